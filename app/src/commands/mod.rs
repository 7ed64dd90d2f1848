//! The commands: one function for each action, by its id.

use std::time::SystemTime;

mod change;
mod console;
mod media;
mod power;
mod report;

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context, Result, bail};
use clap::ArgMatches;
use machine::{actions::Action, control, state::State};
use storage::library::{Library, Listed, Machine, Presence};

use crate::{
    arguments::Given,
    client::{Client, Refused},
};

/// Carries out the command that was given.
///
/// # Errors
/// What a person reads.
pub(crate) fn run(matches: &ArgMatches) -> Result<ExitCode> {
    let (id, matches) = matches.subcommand().context("no command was given")?;
    let given = &Given::new(matches);
    let done = |()| ExitCode::SUCCESS;
    match id {
        "run" => return power::run(given),
        "doctor" => return report::doctor(given),
        "create" => change::create(given),
        "list" => report::list(given),
        "show" => report::show(given),
        "edit" => change::edit(given),
        "rename" => change::rename(given),
        "delete" => change::delete(given),
        "undelete" => change::undelete(given),
        "empty-trash" => change::empty_trash(),
        "start" => power::start(given),
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

/// What a machine is doing, and the connection to it if it is running.
struct Live {
    state: State,
    status: Option<control::Status>,
    client: Option<Client>,
    /// Why it doesn't talk to us, if it said so.
    refusal: Option<String>,
}

impl Live {
    /// The connection, or why there is none.
    fn client(self, machine: &Machine) -> Result<Client> {
        if let Some(refusal) = self.refusal {
            bail!("'{}' takes no orders: {refusal}", machine.name());
        }
        self.client.with_context(|| format!("'{}' is {} and doesn't answer yet", machine.name(), self.state))
    }
}

/// Looks at what `machine` is doing.
fn look(library: &Library, machine: &Machine) -> Result<Live> {
    let at_rest = |state| Live { state, status: None, client: None, refusal: None };
    let record = match library.presence(machine)? {
        Presence::Off => return Ok(at_rest(State::Off)),
        Presence::Crashed(_) => return Ok(at_rest(State::Crashed)),
        Presence::Owned(record) => record,
    };
    // Somebody who starts it, or changes its definition: it takes a moment.
    let Some(record) = record else { return Ok(at_rest(State::Starting)) };
    let Some(mut client) = Client::connect(&record.socket)? else { return Ok(at_rest(State::Starting)) };
    let status = match client.status() {
        Ok(control::Reply::Status(status)) => status,
        // It lives, and may even be well; what exactly it does, it doesn't say.
        Err(error) if error.is::<Refused>() => {
            return Ok(Live { refusal: Some(error.to_string()), ..at_rest(State::Running) });
        }
        // It ended while we asked, or hangs.
        Ok(_) | Err(_) => return Ok(at_rest(State::Stopping)),
    };
    Ok(Live { state: status.state, status: Some(status), client: Some(client), refusal: None })
}

/// The connection to the machine that the command is about, if the action makes sense in its state.
fn connect(given: &Given<'_>, id: &str) -> Result<(Machine, Client)> {
    let library = library()?;
    let machine = machine(&library, given)?;
    let live = look(&library, &machine)?;
    refuse_unless_allowed(&machine, id, live.state)?;
    let client = live.client(&machine)?;
    Ok((machine, client))
}

fn refuse_unless_allowed(machine: &Machine, id: &str, state: State) -> Result<()> {
    let refusal = Action::find(id).and_then(|action| action.refusal(state));
    refusal.map_or(Ok(()), |refusal| bail!("'{}' {refusal}", machine.name()))
}

/// A path as the definition keeps it: it must mean the same from any folder.
fn absolute(path: &str) -> Result<PathBuf> {
    let path = std::path::absolute(path).with_context(|| format!("'{path}' is no path"))?;
    Ok(path)
}

/// A machine that can't be used says why.
fn usable(listed: Listed) -> Result<Machine> {
    Ok(listed.into_machine()?)
}
