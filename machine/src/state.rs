//! The states of a machine, and which may follow which.
//!
//! ```text
//!   Off ─────► Starting ─────► Running ◄────► Paused
//!    ▲            │               │             │
//!    │            ▼               ▼             │
//!    └──────── Stopping ◄─────────┴─────────────┘
//! ```
//!
//! A start may also end in `Paused` (started paused) or straight in `Off` (it failed, and was undone). Every state
//! in which a process owns the machine may become `Crashed`, from which it is started again or put to `Off`.
//!
//! A reset is no state of its own: the machine is [`State::Running`] before and after. A request to the guest
//! to shut down (the ACPI power button) changes nothing until the guest does so.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// What a machine is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// No process owns the machine; its last run, if any, ended as it should.
    Off,
    /// A process owns the machine and puts it together; no instruction of the guest has run.
    Starting,
    /// The virtual processors run.
    Running,
    /// The virtual processors stand still, and everything else with them.
    Paused,
    /// The machine is being taken down: no instruction of the guest will run any more, writes under way are
    /// completed.
    Stopping,
    /// The last run ended by a failure of the host or of this program, not by the guest or a person.
    Crashed,
}

impl State {
    /// Every state.
    pub const ALL: &[State] =
        &[State::Off, State::Starting, State::Running, State::Paused, State::Stopping, State::Crashed];

    /// The states in which a machine can be started, edited, renamed or deleted: no process owns it.
    pub const AT_REST: &[State] = &[State::Off, State::Crashed];

    /// The states in which a process owns the machine.
    pub const ALIVE: &[State] = &[State::Starting, State::Running, State::Paused, State::Stopping];

    /// The name in files, in the control protocol and in `--json`: that of serde.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            State::Off => "off",
            State::Starting => "starting",
            State::Running => "running",
            State::Paused => "paused",
            State::Stopping => "stopping",
            State::Crashed => "crashed",
        }
    }

    /// The word that a person reads in a window.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            State::Off => "Off",
            State::Starting => "Starting",
            State::Running => "Running",
            State::Paused => "Paused",
            State::Stopping => "Stopping",
            State::Crashed => "Crashed",
        }
    }

    /// Whether a process owns the machine.
    #[must_use]
    pub const fn is_alive(self) -> bool {
        matches!(self, State::Starting | State::Running | State::Paused | State::Stopping)
    }

    /// The states that may follow.
    #[must_use]
    pub const fn successors(self) -> &'static [State] {
        match self {
            State::Off => &[State::Starting],
            // Off: the start failed and everything was undone.
            State::Starting => &[State::Off, State::Running, State::Paused, State::Stopping, State::Crashed],
            State::Running => &[State::Paused, State::Stopping, State::Crashed],
            State::Paused => &[State::Running, State::Stopping, State::Crashed],
            State::Stopping => &[State::Off, State::Crashed],
            State::Crashed => &[State::Off, State::Starting],
        }
    }

    /// Whether `next` may follow. A state doesn't follow itself.
    #[must_use]
    pub fn may_become(self, next: State) -> bool {
        self.successors().contains(&next)
    }

    /// Goes over to `next`.
    ///
    /// # Errors
    /// [`IllegalTransition`] when `next` may not follow; the state is then unchanged.
    pub fn become_state(&mut self, next: State) -> Result<(), IllegalTransition> {
        if !self.may_become(next) {
            return Err(IllegalTransition { from: *self, to: next });
        }
        *self = next;
        Ok(())
    }
}

impl fmt::Display for State {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

/// A change of state that can't be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a machine that is {from} can't become {to}")]
pub struct IllegalTransition {
    /// The state it is in.
    pub from: State,
    /// The state that was asked for.
    pub to: State,
}

/// There is no state of that name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no state '{0}'")]
pub struct UnknownState(pub String);

impl FromStr for State {
    type Err = UnknownState;

    fn from_str(name: &str) -> Result<Self, UnknownState> {
        State::ALL.iter().copied().find(|state| state.name() == name).ok_or_else(|| UnknownState(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_leads_back_to_its_state_and_is_that_of_serde() {
        for &state in State::ALL {
            assert_eq!(state.name().parse(), Ok(state));
            assert_eq!(serde_json::to_string(&state).unwrap(), format!("\"{state}\""));
        }
        assert_eq!("Off".parse::<State>(), Err(UnknownState("Off".into())));
    }

    #[test]
    fn alive_and_at_rest_divide_the_states() {
        for &state in State::ALL {
            assert_eq!(state.is_alive(), State::ALIVE.contains(&state), "{state}");
            assert_eq!(state.is_alive(), !State::AT_REST.contains(&state), "{state}");
        }
    }

    #[test]
    fn every_state_can_be_reached_from_off_and_leads_back_to_it() {
        let reach = |from: State| {
            let mut seen = vec![from];
            let mut at = 0;
            while at < seen.len() {
                let new: Vec<_> = seen[at].successors().iter().copied().filter(|next| !seen.contains(next)).collect();
                seen.extend(new);
                at += 1;
            }
            seen
        };
        for &state in State::ALL {
            assert!(reach(State::Off).contains(&state), "{state} can't be reached");
            assert!(reach(state).contains(&State::Off), "{state} is a dead end");
        }
    }

    #[test]
    fn only_a_living_machine_can_crash_and_nothing_follows_itself() {
        for &state in State::ALL {
            assert_eq!(state.may_become(State::Crashed), state.is_alive(), "{state}");
            assert!(!state.may_become(state), "{state}");
        }
    }

    #[test]
    fn an_illegal_change_is_refused_and_changes_nothing() {
        let mut state = State::Off;
        let error = state.become_state(State::Paused).unwrap_err();
        assert_eq!(error.to_string(), "a machine that is off can't become paused");
        assert_eq!(state, State::Off);
        state.become_state(State::Starting).unwrap();
        assert_eq!(state, State::Starting);
    }
}
