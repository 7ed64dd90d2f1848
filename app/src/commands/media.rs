//! Discs in and out.

use std::{os::fd::AsFd, path::Path};

use anyhow::{Context, Result, bail};
use machine::{
    control::Request,
    definition::{Definition, FilePath},
};
use storage::library::{Library, LibraryError, Machine, Owner};

use super::{
    absolute, library,
    live::{PATIENCE, look},
    machine,
    power::is_at_rest,
};
use crate::{arguments::Given, launch, order::disc_path};

pub(super) fn eject(given: &Given<'_>) -> Result<()> {
    let library = library()?;
    let machine = machine(&library, given)?;
    eject_from(&library, &machine, &drive(&machine, given)?, given.flag("force"))
}

/// Takes the disc out of a drive of a machine, whether that runs or not; with `force`, even if the guest has locked it.
///
/// # Errors
/// What a person reads; the disc is where it was, then.
pub(crate) fn eject_from(library: &Library, machine: &Machine, drive: &str, force: bool) -> Result<()> {
    let live = look(library, machine, PATIENCE)?;
    live.allows(machine, "eject")?;
    if !live.state().is_some_and(is_at_rest) {
        let mut client = live.into_client(machine, "eject")?;
        client.ask(Request::Eject { drive: drive.to_owned(), force })?;
    }
    remember(library, machine, drive, None)
}

pub(super) fn insert(given: &Given<'_>) -> Result<()> {
    let library = library()?;
    let machine = machine(&library, given)?;
    insert_into(&library, &machine, &drive(&machine, given)?, &absolute(given.required("file")?)?)
}

/// Puts the disc in the file `path` into a drive of a machine, whether that runs or not.
///
/// # Errors
/// What a person reads; the drive holds what it held, then.
pub(crate) fn insert_into(library: &Library, machine: &Machine, drive: &str, path: &Path) -> Result<()> {
    let disc = disc_path(path)?;
    let live = look(library, machine, PATIENCE)?;
    live.allows(machine, "insert")?;
    if !live.state().is_some_and(is_at_rest) {
        let mut client = live.into_client(machine, "insert")?;
        let file = launch::open(&machine.resolve(&disc), false)?;
        let request = Request::Insert { drive: drive.to_owned(), name: disc.as_str().to_owned() };
        client.ask_with(request, &[file.as_fd()])?;
    }
    remember(library, machine, drive, Some(disc))
}

/// The drive that is meant: the one that was named, or the only one.
fn drive(machine: &Machine, given: &Given<'_>) -> Result<String> {
    let definition: &Definition = machine.definition();
    let ids: Vec<&str> = definition.cdroms.iter().map(|drive| drive.id.as_str()).collect();
    let name = machine.name();
    match (given.text("drive"), ids.as_slice()) {
        (_, []) => bail!("'{name}' has no CD drive"),
        (None, [only]) => Ok((*only).to_owned()),
        (None, several) => bail!("'{name}' has several CD drives: say with --drive which ({})", several.join(", ")),
        (Some(id), ids) if ids.contains(&id) => Ok(id.to_owned()),
        (Some(id), ids) => bail!("'{name}' has no CD drive '{id}' (it has {})", ids.join(", ")),
    }
}

/// The drive that is meant where nobody says which.
///
/// # Errors
/// There is none.
pub(crate) fn first_drive(machine: &Machine) -> Result<String> {
    let drive = machine.definition().cdroms.first();
    drive.map(|drive| drive.id.clone()).with_context(|| format!("'{}' has no CD drive", machine.name()))
}

/// How often a change is tried that others' changes come before.
const TRIES: u32 = 100;

/// Writes down what is in the drive, for the next start.
fn remember(library: &Library, machine: &Machine, drive: &str, disc: Option<FilePath>) -> Result<()> {
    let mut machine = machine.clone();
    for _ in 0..TRIES {
        let changed = library.update(&machine, Owner::Whoever, |definition| {
            if let Some(drive) = definition.cdroms.iter_mut().find(|candidate| candidate.id == drive) {
                drive.file.clone_from(&disc);
            }
        });
        match changed {
            // The drive has changed already: on top of what somebody else wrote.
            Err(LibraryError::Changed { .. }) => machine = library.find(&machine.uuid().to_string())?,
            changed => return Ok(changed.map(drop)?),
        }
    }
    bail!(
        "the definition of '{}' is changed by others all the time: what is in the drive was not noted",
        machine.name()
    )
}

#[cfg(test)]
mod tests {
    use machine::definition::CdDrive;

    use super::*;

    #[test]
    fn a_disc_is_noted_on_top_of_what_somebody_else_changed() {
        let dir = tempfile::tempdir().unwrap();
        let library = Library::open(dir.path(), std::time::SystemTime::now().into()).unwrap();
        let name = machine::name::Name::new("Mint").unwrap();
        let draft = library.draft(&name).unwrap();
        let mut definition = Definition::new(name, draft.uuid());
        definition.cdroms.push(CdDrive { id: "cd0".into(), file: None });
        let read_before = draft.commit(definition).unwrap();
        library.update(&read_before, Owner::Nobody, |definition| definition.cpus = 7).unwrap();
        remember(&library, &read_before, "cd0", Some(FilePath::new(Path::new("/a.iso")).unwrap())).unwrap();
        let now = library.find("Mint").unwrap();
        let definition = now.definition();
        assert_eq!((definition.cpus, definition.cdroms[0].file.as_ref().unwrap().as_str()), (7, "/a.iso"));
    }
}
