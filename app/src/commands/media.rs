//! Discs in and out.

use std::os::fd::AsFd;

use anyhow::{Result, bail};
use machine::{
    control::Request,
    definition::{Definition, FilePath},
};
use storage::library::{Library, Machine, Owner};

use super::{change::disc_path, library, look, machine, power::is_at_rest, refuse_unless_allowed};
use crate::{arguments::Given, launch};

pub(super) fn eject(given: &Given<'_>) -> Result<()> {
    let library = library()?;
    let machine = machine(&library, given)?;
    let drive = drive(&machine, given)?;
    let live = look(&library, &machine)?;
    refuse_unless_allowed(&machine, "eject", live.state)?;
    if !is_at_rest(live.state) {
        let mut client = live.client(&machine)?;
        client.ask(Request::Eject { drive: drive.clone(), force: false })?;
    }
    remember(&library, &machine, &drive, None)
}

pub(super) fn insert(given: &Given<'_>) -> Result<()> {
    let library = library()?;
    let machine = machine(&library, given)?;
    let drive = drive(&machine, given)?;
    let disc = disc_path(given.required("file")?)?;
    let live = look(&library, &machine)?;
    refuse_unless_allowed(&machine, "insert", live.state)?;
    if !is_at_rest(live.state) {
        let mut client = live.client(&machine)?;
        let file = launch::open(&machine.resolve(&disc), false)?;
        let request = Request::Insert { drive: drive.clone(), name: disc.as_str().to_owned() };
        client.ask_with(request, &[file.as_fd()])?;
    }
    remember(&library, &machine, &drive, Some(disc))
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

/// Writes down what is in the drive, for the next start.
fn remember(library: &Library, machine: &Machine, drive: &str, disc: Option<FilePath>) -> Result<()> {
    library.update(machine, Owner::Whoever, |definition| {
        if let Some(drive) = definition.cdroms.iter_mut().find(|candidate| candidate.id == drive) {
            drive.file = disc;
        }
    })?;
    Ok(())
}
