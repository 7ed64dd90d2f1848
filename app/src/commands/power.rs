//! Starting and stopping.

use std::{
    fs::File,
    io,
    os::unix::{fs::OpenOptionsExt, process::CommandExt},
    process::{Child, Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use machine::{control::Request, state::State};
use rustix::{
    io::Errno,
    process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal},
};
use storage::library::{Library, LibraryError, Machine, Presence, RunRecord};

use super::{
    connect, library,
    live::{Live, PATIENCE, Silence, look},
    machine,
};
use crate::{arguments::Given, launch, output, process, ui};

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
    let name = given.required("name")?;
    // It waits for the end of its input, which is this process's end or the machine's beginning.
    let _window = if detached || given.flag("headless") || !has_display() {
        None
    } else {
        Some(spawn_window(&library, name, Stdio::piped())?)
    };
    match launch::run(&library, name, detached) {
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
    look(&library, &machine, PATIENCE)?.allows(&machine, "start")?;
    let name = machine.name().as_str();
    launch::start(&library, name)?;
    if given.flag("headless") {
        return Ok(());
    }
    if !has_display() {
        return output::line(format_args!(
            "'{name}' runs without a window: there is no display here. `tandem window` opens one"
        ));
    }
    spawn_window(&library, name, Stdio::null()).map(drop)
}

/// Whether a window can be opened from here.
fn has_display() -> bool {
    ui::shell::display_name().is_some()
}

/// Opens a machine's window in a process of its own, as soon as `input` ends.
pub(crate) fn spawn_window(library: &Library, name: &str, input: Stdio) -> Result<Child> {
    Command::new("/proc/self/exe")
        .arg0("tandem")
        .args(["window", "--detached", "--", name])
        .env("TANDEM_HOME", library.root())
        .stdin(input)
        .stdout(Stdio::null())
        .stderr(window_log(library, name).map_or_else(Stdio::null, Stdio::from))
        .spawn()
        .context("can't start the window's process")
}

/// Where a window that nobody waits for says what went wrong: beside the logs of the machine's runs.
fn window_log(library: &Library, name: &str) -> Option<File> {
    let folder = library.find(name).ok()?.log_dir();
    std::fs::create_dir_all(&folder).ok()?;
    File::options().write(true).create(true).truncate(true).mode(0o600).open(folder.join("window.txt")).ok()
}

/// Becomes the machine's window. With `--detached` for others of our commands: apart from their terminal, and when its input
/// has ended.
pub(super) fn window(given: &Given<'_>) -> Result<()> {
    if given.flag(crate::arguments::DETACHED) {
        let _ = rustix::process::setsid();
        io::copy(&mut io::stdin(), &mut io::sink()).context("the one who opens the window can't be heard")?;
    }
    let library = library()?;
    let machine = machine(&library, given)?;
    crate::window::run(&library, &machine)
}

pub(super) fn ask(given: &Given<'_>, id: &str, request: Request) -> Result<()> {
    let (_, mut client) = connect(given, id)?;
    client.ask(request).map(drop)
}

pub(super) fn stop(given: &Given<'_>) -> Result<()> {
    let library = library()?;
    let machine = machine(&library, given)?;
    match look(&library, &machine, PATIENCE)? {
        Live::Silent(Silence::NoSocket(_), record) => signal(&library, &machine, &record, process::POWER_BUTTON)?,
        live => live.into_client(&machine, "stop")?.ask(Request::Stop).map(drop)?,
    }
    let Some(seconds) = given.number("wait") else { return Ok(()) };
    if wait_until_off(&library, &machine, Duration::from_secs(seconds.into()))? {
        return Ok(());
    }
    bail!(
        "'{}' was asked to shut down, but is still running after {seconds} s. `tandem kill` pulls the plug",
        machine.name()
    )
}

pub(super) fn kill(given: &Given<'_>) -> Result<()> {
    let library = library()?;
    kill_machine(&library, &machine(&library, given)?)
}

/// Pulls a machine's plug, and waits until it is off, whatever its process is doing.
///
/// # Errors
/// It makes no sense in its state, or the host can't end the process.
pub(crate) fn kill_machine(library: &Library, machine: &Machine) -> Result<()> {
    let live = look(library, machine, KILL_PATIENCE)?;
    live.allows(machine, "kill")?;
    let presence = library.presence(machine)?;
    let mut listens = true;
    match live {
        // It may end before it answers.
        Live::Answers(_, mut client) => drop(client.ask(Request::Kill)),
        Live::Silent(Silence::Stopped(_), _) => listens = false,
        Live::Silent(_, record) => signal(library, machine, &record, process::PLUG)?,
        Live::Settled(_) => {}
    }
    let off = listens && wait_until_off(library, machine, KILL_PATIENCE)?;
    // Now or while it listens no more: the kernel ends the process, and with it the lock.
    let Presence::Owned(Some(record)) = presence else { return if off { Ok(()) } else { unnamed(machine) } };
    if !off {
        signal(library, machine, &record, Signal::KILL)?;
        if !wait_until_off(library, machine, KILL_PATIENCE)? {
            let (pid, name) = (record.pid, machine.name());
            bail!("the process {pid} of '{name}' can't be ended: the host keeps it waiting for a disk");
        }
    }
    // However the process ended, a person wanted it. Somebody may have started it again by now.
    match library.end_run_of(machine, &record) {
        Ok(()) | Err(LibraryError::Running { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn unnamed(machine: &Machine) -> Result<()> {
    bail!("'{}' is being started or changed by another command, which has not ended yet. Try again", machine.name())
}

/// Sends a signal to the process of the run `record`, if it is that still.
fn signal(library: &Library, machine: &Machine, record: &RunRecord, signal: Signal) -> Result<()> {
    let pid = i32::try_from(record.pid).ok().and_then(Pid::from_raw);
    let pid = pid.context("the record of the machine's run is damaged")?;
    let failed = || format!("can't reach the machine's process {}", record.pid);
    let process = match pidfd_open(pid, PidfdFlags::empty()) {
        Err(Errno::SRCH) => return Ok(()),
        opened => opened.with_context(failed)?,
    };
    // Whoever has the machine now had it when the descriptor was opened: it is the same process.
    match library.presence(machine)? {
        Presence::Owned(Some(owner)) if owner == *record => {}
        _ => return Ok(()),
    }
    match pidfd_send_signal(&process, signal) {
        Ok(()) | Err(Errno::SRCH) => Ok(()),
        Err(error) => Err(error).with_context(failed),
    }
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
