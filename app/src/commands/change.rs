//! Making machines and changing what they are made of.

use std::time::SystemTime;

use std::{fs::File, io::Write, os::unix::fs::OpenOptionsExt, path::Path, process::Command};

use anyhow::{Context, Result, bail};
use machine::{
    name::Name,
    size::{Size, SizeError},
};
use storage::library::{Library, Listed};
use uuid::Uuid;

use super::{
    absolute, library,
    live::{PATIENCE, look},
    machine, usable,
};
use crate::{
    arguments::Given,
    changes::Changes,
    detect::Detector,
    order::{DiskOrder, KernelOrder, Order},
    output,
};

/// What a person writes after an image's file name so that what the guest writes is thrown away.
const SNAPSHOT: &str = ",snapshot";

pub(super) fn create(given: &Given<'_>) -> Result<()> {
    let mut order = Order::new(new_name(given.required("name")?)?);
    order.memory = size(given.required("memory")?)?;
    order.cpus = given.number("cpus").unwrap_or(order.cpus);
    order.disks = given.texts("disk").into_iter().map(disk_order).collect::<Result<_>>()?;
    order.disc = given.text("iso").map(absolute).transpose()?;
    if let Some(kernel) = given.text("kernel") {
        order.kernel = Some(KernelOrder {
            file: absolute(kernel)?,
            initrd: given.text("initrd").map(absolute).transpose()?,
            cmdline: given.text("cmdline").unwrap_or_default().to_owned(),
        });
    }
    order.serial = given.text("serial").map(absolute).transpose()?;
    // What can't be used is refused below.
    let detected = order.disc.as_deref().and_then(|disc| Detector::of_this_computer().detect(disc).ok());
    order.os = detected.and_then(|detected| detected.os).map(|os| os.id);
    make(order)
}

pub(super) fn welcome() -> Result<()> {
    make(Order::welcome()?)
}

fn make(order: Order) -> Result<()> {
    let machine = order.make(&library()?)?;
    output::line(format_args!("'{}' is ready: `tandem start` runs it", machine.name()))
}

/// A name from a command line: blanks around it were not meant.
fn new_name(text: &str) -> Result<Name> {
    Ok(Name::new(text.trim())?)
}

fn size(text: &str) -> Result<Size> {
    Ok(text.parse::<Size>()?)
}

/// A disk from what a person wrote: the size of a new one, or an image file.
fn disk_order(text: &str) -> Result<DiskOrder> {
    let (text, throw_away_writes) = split_snapshot(text);
    let text = text.as_str();
    match text.parse::<Size>() {
        Ok(_) if throw_away_writes => bail!("',snapshot' is for image files: a new disk has nothing to keep"),
        Ok(_) if Path::new(text).exists() => {
            bail!(
                "'{text}' is a size, and a file is called so too. Write ./{text} for the file, or choose another size"
            )
        }
        Ok(size) => Ok(DiskOrder::New(size)),
        // A number is no file's name, unless there is such a file.
        Err(error) if !matches!(error, SizeError::Syntax(_)) && !Path::new(text).exists() => Err(error.into()),
        Err(_) => {
            if text.is_empty() || !absolute(text)?.exists() {
                if throw_away_writes && Path::new(&format!("{text}{SNAPSHOT}")).exists() {
                    bail!("there is no file '{text}'. If '{text}{SNAPSHOT}' is meant, write {text},{SNAPSHOT}");
                }
                bail!("'{text}' is neither a size (such as 20G) nor a file that is there");
            }
            Ok(DiskOrder::Existing { file: absolute(text)?, throw_away_writes })
        }
    }
}

/// Parts `,snapshot` from a file's name. Two commas before it are one of a name that ends so.
fn split_snapshot(text: &str) -> (String, bool) {
    match text.strip_suffix(SNAPSHOT) {
        Some(file) if file.ends_with(',') => (format!("{}{SNAPSHOT}", &file[..file.len() - 1]), false),
        Some(file) => (file.to_owned(), true),
        None => (text.to_owned(), false),
    }
}

const EDIT_OPTIONS: &[&str] = &[
    "memory",
    "cpus",
    "boot",
    "add-disk",
    "remove-disk",
    "kernel",
    "initrd",
    "cmdline",
    "no-kernel",
    "serial",
    "no-serial",
    "notes",
];

pub(super) fn edit(given: &Given<'_>) -> Result<()> {
    let library = library()?;
    if !EDIT_OPTIONS.iter().any(|name| given.was_given(name)) {
        return edit_by_hand(&library, given.required("name")?);
    }
    let path = |name| given.text(name).map(absolute).transpose();
    let changes = Changes {
        memory: given.text("memory").map(size).transpose()?,
        cpus: given.number("cpus"),
        remove_disks: given.texts("remove-disk").into_iter().map(str::to_owned).collect(),
        add_disks: given.texts("add-disk").into_iter().map(disk_order).collect::<Result<_>>()?,
        boot: given.was_given("boot").then(|| given.texts("boot").into_iter().map(str::to_owned).collect()),
        no_kernel: given.flag("no-kernel"),
        kernel: path("kernel")?,
        initrd: path("initrd")?.map(Some),
        cmdline: given.text("cmdline").map(str::to_owned),
        serial: if given.flag("no-serial") { Some(None) } else { path("serial")?.map(Some) },
        notes: given.text("notes").map(str::to_owned),
        ..Changes::default()
    };
    changes.apply(&library, given.required("name")?).map(drop)
}

/// Opens the definition in the person's editor, and takes what they wrote if it can be used.
fn edit_by_hand(library: &Library, name: &str) -> Result<()> {
    let listed = library.find_any(name)?;
    // Now, and not when everything has been written. (One that is broken can't be running.)
    if let Listed::Machine(machine) = &listed {
        look(library, machine, PATIENCE)?.allows(machine, "edit")?;
    }
    let text = listed.text().with_context(|| format!("'{name}' has no definition that can be edited"))?.to_owned();
    let editor =
        ["VISUAL", "EDITOR"].iter().find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
    let editor = editor.unwrap_or_else(|| "editor".into());
    let draft = std::env::temp_dir().join(format!("tandem-{}-{}.toml", std::process::id(), Uuid::new_v4().simple()));
    // Nobody else's to read: the definition itself isn't.
    let written = File::options().write(true).create_new(true).mode(0o600).open(&draft);
    written
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("can't write {}", draft.display()))?;
    // As for other programs, the variable may hold options as well as the program.
    let status = Command::new("sh").args(["-c", &format!("{editor} \"$1\""), "sh"]).arg(&draft).status();
    let status = status.with_context(|| format!("can't run the editor '{editor}'. Set EDITOR to one that is there"))?;
    let edited = std::fs::read_to_string(&draft).with_context(|| format!("can't read {}", draft.display()))?;
    let unchanged = edited == text;
    if unchanged {
        let _ = std::fs::remove_file(&draft);
    }
    if !status.success() {
        let kept = if unchanged { String::new() } else { format!("; what you wrote is in {}", draft.display()) };
        bail!("the editor '{editor}' did not end well. Nothing was changed{kept}. EDITOR says which one is used");
    }
    if unchanged {
        return output::line("Nothing was changed");
    }
    if let Err(error) = library.replace_text(&listed, &edited) {
        bail!("{}. What you wrote is in {}", output::sentence(&error.into()), draft.display());
    }
    let _ = std::fs::remove_file(&draft);
    Ok(())
}

pub(super) fn rename(given: &Given<'_>) -> Result<()> {
    let library = library()?;
    let name = new_name(given.required("new-name")?)?;
    library.rename(&machine(&library, given)?, name)?;
    Ok(())
}

pub(super) fn delete(given: &Given<'_>) -> Result<()> {
    let library = library()?;
    let listed = library.find_any(given.required("name")?)?;
    let name = listed.name().to_owned();
    library.delete(&listed, SystemTime::now().into())?;
    output::line(format_args!("'{name}' is in the trash for 30 days: `tandem undelete` brings it back"))
}

pub(super) fn undelete(given: &Given<'_>) -> Result<()> {
    let library = library()?;
    let trashed = library.find_in_trash(given.required("name")?)?;
    let name = given.text("as").map(new_name).transpose()?;
    let restored = library.restore(&trashed, name)?;
    let name = restored.name().to_owned();
    usable(restored)?;
    output::line(format_args!("'{name}' is back"))
}

pub(super) fn empty_trash() -> Result<()> {
    let library = library()?;
    library.trash()?.iter().try_for_each(|trashed| Ok(library.purge(trashed)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_may_be_called_as_if_its_writes_were_thrown_away() {
        for (text, file, throw_away) in [
            ("a.img", "a.img", false),
            ("a.img,snapshot", "a.img", true),
            ("a.img,,snapshot", "a.img,snapshot", false),
            (",snapshot", "", true),
        ] {
            assert_eq!(split_snapshot(text), (file.to_owned(), throw_away), "{text}");
        }
    }
}
