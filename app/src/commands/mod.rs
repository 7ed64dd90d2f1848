//! The commands: one function for each action, by its id.

use std::time::SystemTime;

mod change;
mod console;
mod identify;
pub(crate) mod media;
pub(crate) mod power;
pub(crate) mod report;
mod target;

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context, Result, bail};
use clap::ArgMatches;
use machine::control;
use storage::library::{Library, Listed, Machine};

use crate::{arguments::Given, client::Client, live};

/// Carries out the command that was given.
///
/// # Errors
/// What a person reads.
pub(crate) fn run(id: &str, matches: &ArgMatches) -> Result<ExitCode> {
    let given = &Given::new(matches);
    let done = |()| ExitCode::SUCCESS;
    match id {
        "run" => return power::run(given),
        "doctor" => return report::doctor(given),
        "identify" => identify::identify(given),
        "create" => change::create(given),
        "welcome" => change::welcome(),
        "list" => report::list(given),
        "show" => report::show(given),
        "edit" => change::edit(given),
        "rename" => change::rename(given),
        "delete" => change::delete(given),
        "undelete" => change::undelete(given),
        "empty-trash" => change::empty_trash(),
        "start" => power::start(given),
        "window" => power::window(given),
        "stop" => power::stop(given),
        "kill" => power::kill(given),
        "pause" => power::ask(given, "pause", control::Request::Pause),
        "resume" => power::ask(given, "resume", control::Request::Resume),
        "reset" => power::ask(given, "reset", control::Request::Reset),
        "screenshot" => console::screenshot(given),
        "type" => console::type_text(given),
        "key" => console::key(given),
        "mouse" => console::mouse(given),
        "serial" => console::serial(given),
        "eject" => media::eject(given),
        "insert" => media::insert(given),
        "stats" => report::stats(given),
        "registers" => report::registers(given),
        "logs" => report::logs(given),
        _ => bail!("'{id}' is an action without a command"),
    }
    .map(done)
}

/// This account's library.
fn library() -> Result<Library> {
    Ok(Library::open(&Library::default_root()?, SystemTime::now().into())?)
}

/// The machine that the command is about.
fn machine(library: &Library, given: &Given<'_>) -> Result<Machine> {
    Ok(library.find(given.required("name")?)?)
}

/// The connection to the machine that the command is about, if the action makes sense in its state.
fn connect(given: &Given<'_>, id: &str) -> Result<(Machine, Client)> {
    let library = library()?;
    let machine = machine(&library, given)?;
    let client = live::look(&library, &machine, live::PATIENCE)?.into_client(&machine, id)?;
    Ok((machine, client))
}

/// A path as the definition keeps it: it must mean the same from any folder.
fn absolute(path: &str) -> Result<PathBuf> {
    if path.is_empty() {
        bail!("a file's name can't be empty");
    }
    let path = std::path::absolute(path).with_context(|| format!("'{path}' is no path"))?;
    Ok(path)
}

/// A machine that can't be used says why.
fn usable(listed: Listed) -> Result<Machine> {
    Ok(listed.into_machine()?)
}
