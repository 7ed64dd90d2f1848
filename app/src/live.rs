//! What a machine is doing now, as far as that can be told.

use std::time::{Duration, Instant, SystemTime};

use anyhow::{Result, bail};
use machine::{actions::Action, control, state::State, timestamp::Timestamp};
use storage::library::{Library, Machine, Presence, RunRecord};

use crate::{
    client::{Client, Late},
    output,
};

/// How long a machine may take to say what it is doing.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// Between the record of a run and its socket, and between the socket's end and the process's, is less than this.
const HANDOVER: Duration = Duration::from_millis(500);
/// A machine that doesn't answer in its first seconds is being put together.
const START: Duration = Duration::from_secs(10);

/// What a machine is doing.
pub(crate) enum Live {
    /// Nobody runs it, or its process says no more than that.
    Settled(State),
    /// Its process answers.
    Answers(Box<control::Status>, Client),
    /// A process has it, and can't be asked.
    Silent(Silence, RunRecord),
}

/// Why a machine can't be asked, to follow its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Silence {
    /// Nobody listens where the record says.
    NoSocket(String),
    /// A debugger or a signal has stopped the process.
    Stopped(String),
    /// It listens, but doesn't answer.
    Hangs(String),
}

impl Silence {
    pub(crate) fn why(&self) -> &str {
        match self {
            Silence::NoSocket(why) | Silence::Stopped(why) | Silence::Hangs(why) => why,
        }
    }
}

impl Live {
    /// Its state; `None` when that isn't known.
    pub(crate) fn state(&self) -> Option<State> {
        match self {
            Live::Settled(state) => Some(*state),
            Live::Answers(status, _) => Some(status.state),
            Live::Silent(..) => None,
        }
    }

    /// Refuses an action that makes no sense for `machine` in this state.
    ///
    /// # Errors
    /// It makes none.
    pub(crate) fn allows(&self, machine: &Machine, id: &str) -> Result<()> {
        let Some(action) = Action::find(id) else { return Ok(()) };
        let refusal = match self.state() {
            Some(state) => action.refusal(state),
            // It runs in some way: what no state of those allows is refused for that reason.
            None if State::ALIVE.iter().any(|state| action.is_allowed_in(*state)) => None,
            None => action.refusal(State::Running),
        };
        refusal.map_or(Ok(()), |refusal| bail!("'{}' {refusal}", machine.name()))
    }

    /// The connection, for an action that makes sense in this state.
    ///
    /// # Errors
    /// It makes none, or the machine doesn't answer.
    pub(crate) fn into_client(self, machine: &Machine, id: &str) -> Result<Client> {
        self.allows(machine, id)?;
        match self {
            Live::Answers(_, client) => Ok(client),
            Live::Settled(state) => bail!("'{}' is {state} and doesn't answer yet", machine.name()),
            Live::Silent(silence, _) => bail!("'{}' {}", machine.name(), silence.why()),
        }
    }
}

/// Looks at what `machine` is doing; its process has `patience` to answer.
///
/// # Errors
/// The machine's folder can't be read.
pub(crate) fn look(library: &Library, machine: &Machine, patience: Duration) -> Result<Live> {
    let deadline = Instant::now() + HANDOVER.min(patience);
    loop {
        let record = match library.presence(machine)? {
            Presence::Off => return Ok(Live::Settled(State::Off)),
            Presence::Crashed(_) => return Ok(Live::Settled(State::Crashed)),
            // Somebody who starts it, or changes its definition: it takes a moment.
            Presence::Owned(None) => return Ok(Live::Settled(State::Starting)),
            Presence::Owned(Some(record)) => record,
        };
        match ask(&record, patience) {
            Live::Silent(Silence::NoSocket(_), _) if Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(20));
            }
            live => return Ok(live),
        }
    }
}

/// Asks the process of a run what it is doing.
fn ask(record: &RunRecord, patience: Duration) -> Live {
    let answer = match Client::connect(&record.socket, patience) {
        Ok(Some(mut client)) => client.status(patience).map(|reply| (reply, client)),
        Ok(None) => {
            let why = format!(
                "doesn't answer: its socket {} is gone. `tandem stop` and `tandem kill` still reach it (process {})",
                record.socket.display(),
                record.pid
            );
            return Live::Silent(Silence::NoSocket(why), record.clone());
        }
        Err(error) => Err(error),
    };
    match answer {
        Ok((control::Reply::Status(status), client)) => Live::Answers(Box::new(status), client),
        Err(error) if error.is::<Late>() => silence(record, patience),
        Err(error) if error.is::<crate::client::Refused>() => {
            Live::Silent(Silence::Hangs(format!("can't be asked: {}", output::sentence(&error))), record.clone())
        }
        // It ended while we asked.
        Ok(_) | Err(_) => Live::Settled(State::Stopping),
    }
}

/// What it means that a process took longer than `patience`.
fn silence(record: &RunRecord, patience: Duration) -> Live {
    let pid = record.pid;
    let silence = if is_stopped(pid) {
        Silence::Stopped(format!("doesn't answer: its process {pid} was stopped. `kill -CONT {pid}` lets it go on"))
    } else if Timestamp::from(SystemTime::now()).unix().saturating_sub(record.started) < START.as_secs() {
        return Live::Settled(State::Starting);
    } else {
        let seconds = patience.as_secs_f32();
        Silence::Hangs(format!("doesn't answer: its process {pid} said nothing for {seconds} s"))
    };
    Live::Silent(silence, record.clone())
}

/// Whether a signal or a debugger holds a process (proc_pid_stat(5), third field).
fn is_stopped(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with(['T', 't']))
}

#[cfg(test)]
mod tests {
    use std::{os::unix::net::UnixListener, process::Command};

    use super::*;

    fn record(socket: &std::path::Path, pid: u32, started: u64) -> RunRecord {
        RunRecord { pid, started, socket: socket.to_owned(), log: None }
    }

    #[test]
    fn what_keeps_a_process_from_answering_is_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("control.sock");
        let me = std::process::id();
        let patience = Duration::from_millis(20);
        let said = |live| match live {
            Live::Silent(silence, _) => silence,
            other => panic!("{:?}", other.state()),
        };
        assert!(matches!(said(ask(&record(&path, me, 0), patience)), Silence::NoSocket(_)));
        // Nobody takes the connection.
        let _listener = UnixListener::bind(&path).unwrap();
        let hangs = said(ask(&record(&path, me, 0), patience));
        assert!(matches!(hangs, Silence::Hangs(_)) && hangs.why().contains(&me.to_string()), "{hangs:?}");
        let now = Timestamp::from(SystemTime::now()).unix();
        assert_eq!(ask(&record(&path, me, now), patience).state(), Some(State::Starting));
        let mut child = Command::new("sh").args(["-c", "kill -STOP $$"]).spawn().unwrap();
        while !is_stopped(child.id()) {
            assert!(child.try_wait().unwrap().is_none());
            std::thread::yield_now();
        }
        assert!(matches!(said(ask(&record(&path, child.id(), now), patience)), Silence::Stopped(_)));
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
