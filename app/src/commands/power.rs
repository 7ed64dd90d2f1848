//! Starting and stopping.

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use machine::{control::Request, state::State};
use storage::library::{Library, Machine, Presence};

use super::{connect, library, look, machine, refuse_unless_allowed};
use crate::{arguments::Given, launch, output};

/// How long a machine's process may take to end after it was told to.
const KILL_PATIENCE: Duration = Duration::from_secs(10);

/// Becomes the machine's process. With `--detached` for `tandem start`: says on standard output what becomes of it.
pub(super) fn run(given: &Given<'_>) -> Result<ExitCode> {
    let detached = given.flag(crate::arguments::DETACHED);
    if detached {
        // A session of its own: no terminal can end it.
        let _ = rustix::process::setsid();
    }
    let library = library()?;
    match launch::run(&library, given.required("name")?, detached) {
        Ok(never) => match never {},
        Err(error) if detached => {
            output::line(output::sentence(&error))?;
            Ok(ExitCode::FAILURE)
        }
        Err(error) => Err(error),
    }
}

pub(super) fn start(given: &Given<'_>) -> Result<()> {
    let library = library()?;
    let machine = machine(&library, given)?;
    let live = look(&library, &machine)?;
    refuse_unless_allowed(&machine, "start", live.state)?;
    launch::start(&library, machine.name().as_str())
}

pub(super) fn ask(given: &Given<'_>, id: &str, request: Request) -> Result<()> {
    let (_, mut client) = connect(given, id)?;
    client.ask(request).map(drop)
}

pub(super) fn stop(given: &Given<'_>) -> Result<()> {
    let (machine, mut client) = connect(given, "stop")?;
    client.ask(Request::Stop)?;
    let Some(seconds) = given.number("wait") else { return Ok(()) };
    if wait_until_off(&library()?, &machine, Duration::from_secs(seconds.into()))? {
        return Ok(());
    }
    bail!(
        "'{}' was asked to shut down, but is still running after {seconds} s. `tandem kill` pulls the plug",
        machine.name()
    )
}

pub(super) fn kill(given: &Given<'_>) -> Result<()> {
    let library = library()?;
    let machine = machine(&library, given)?;
    let live = look(&library, &machine)?;
    refuse_unless_allowed(&machine, "kill", live.state)?;
    if let Some(mut client) = live.client {
        // It may end before it answers.
        let _ = client.ask(Request::Kill);
    }
    if wait_until_off(&library, &machine, KILL_PATIENCE)? {
        return Ok(());
    }
    // The process doesn't listen: the kernel ends it, and with it the lock.
    let Presence::Owned(Some(record)) = library.presence(&machine)? else { return Ok(()) };
    let pid = i32::try_from(record.pid).ok().and_then(rustix::process::Pid::from_raw);
    let pid = pid.context("the record of the machine's run is damaged")?;
    rustix::process::kill_process(pid, rustix::process::Signal::KILL)
        .with_context(|| format!("can't end the machine's process {}", record.pid))?;
    if wait_until_off(&library, &machine, KILL_PATIENCE)? {
        return Ok(());
    }
    bail!("the process {} of '{}' can't be ended: the host keeps it waiting for a disk", record.pid, machine.name())
}

/// Waits until nobody owns the machine.
fn wait_until_off(library: &Library, machine: &Machine, limit: Duration) -> Result<bool> {
    let deadline = Instant::now() + limit;
    loop {
        match library.presence(machine)? {
            Presence::Owned(_) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(20)),
            presence => return Ok(!matches!(presence, Presence::Owned(_))),
        }
    }
}

/// Whether a state means that nobody owns the machine.
pub(super) fn is_at_rest(state: State) -> bool {
    State::AT_REST.contains(&state)
}
