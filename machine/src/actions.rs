//! What a person can do to a machine, to the library, with this host or with a window, as data in one place: the command line,
//! menus, the command palette and the list of shortcuts are made from [`ALL`].
//!
//! An action says what it is called, what it takes, and in which states of a machine it makes sense. What it does is
//! said by whoever carries it out, under its [`Action::id`]. Where a refusal depends on more than the state (a name that
//! is taken, a disk that is full), the carrying out says so.

mod list;

use std::fmt;

pub use self::list::ALL;
use crate::{keys::Key, state::State};

/// Something that a person can do.
#[derive(Debug)]
pub struct Action {
    /// Its name for life: the command on the command line, the request on the control socket.
    pub id: &'static str,
    /// What a menu or button says.
    pub label: &'static str,
    /// What it does, in one sentence.
    pub help: &'static str,
    /// What it is done to.
    pub scope: Scope,
    /// The states in which a machine can have it done to it; of another scope: empty.
    pub states: &'static [State],
    /// What it takes, positional arguments in their order.
    pub arguments: &'static [Argument],
    /// Keys for it in the manager's window.
    pub shortcut: Option<Chord>,
    /// The key that, with the host key, asks for it in a machine's window.
    pub host_key: Option<Key>,
    /// Whether something may be lost for good, so that a window asks before. What goes to the trash isn't lost.
    pub destructive: bool,
    /// Whether its answer is a list or record, which `--json` gives in a form for programs.
    pub lists: bool,
}

/// What an action is done to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// One machine: its first argument is of [`Kind::Machine`].
    Machine,
    /// The library as a whole.
    Library,
    /// This computer.
    Host,
    /// A machine's window; there is no command for it.
    Window,
    /// The manager's window; there is no command for it.
    Manager,
}

impl Scope {
    /// Whether there is a command for what is done to it.
    #[must_use]
    pub const fn has_commands(self) -> bool {
        matches!(self, Scope::Machine | Scope::Library | Scope::Host)
    }
}

/// Something that an action takes.
#[derive(Debug)]
pub struct Argument {
    /// Its name, and that of its option on the command line: `memory` is `--memory`.
    pub name: &'static str,
    /// Whether the command line takes it by its position, without its name.
    pub positional: bool,
    /// What can be given.
    pub kind: Kind,
    /// What stands for the value in a usage line; empty for a flag.
    pub value_name: &'static str,
    /// What it is, in one sentence.
    pub help: &'static str,
    /// Whether it must be given.
    pub required: bool,
    /// Whether it can be given more than once.
    pub repeated: bool,
    /// What holds if it isn't given, as it would be written.
    pub default: Option<&'static str>,
    /// Arguments that must be given with it.
    pub requires: &'static [&'static str],
    /// Arguments that can't be given with it. If it is `required`, one of them does as well.
    pub conflicts: &'static [&'static str],
}

/// What an argument can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The name of a machine in the library.
    Machine,
    /// The name of a machine in the trash.
    Trashed,
    /// A name for a machine, that none has yet.
    NewName,
    /// The id of one of the machine's drives.
    Drive,
    /// A file to read.
    InputFile,
    /// A file to write.
    OutputFile,
    /// A size ([`Size`](crate::size::Size)).
    Size,
    /// A disk: the size of a new one, or an image file, which `,snapshot` makes throw away what is written.
    Disk,
    /// Keys, held together: `ctrl+alt+del`.
    Keys,
    /// Any text.
    Text,
    /// A whole number.
    Number {
        /// The least.
        min: u32,
        /// The most.
        max: u32,
    },
    /// One of these words.
    Choice(&'static [&'static str]),
    /// There or not there; takes no value.
    Flag,
}

/// Keys that are pressed together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Chord {
    /// With Ctrl.
    pub ctrl: bool,
    /// With Shift.
    pub shift: bool,
    /// The key.
    pub key: Key,
}

/// As menus write it: `Ctrl+Shift+P`.
impl fmt::Display for Chord {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.key.name();
        let name = name.strip_prefix("Key").or_else(|| name.strip_prefix("Digit")).unwrap_or(name);
        let (ctrl, shift) = (if self.ctrl { "Ctrl+" } else { "" }, if self.shift { "Shift+" } else { "" });
        formatter.pad(&format!("{ctrl}{shift}{name}"))
    }
}

impl Action {
    /// The action of that id.
    #[must_use]
    pub fn find(id: &str) -> Option<&'static Action> {
        ALL.iter().find(|action| action.id == id)
    }

    /// Whether it makes sense for a machine in this state; always for what isn't done to a machine.
    #[must_use]
    pub fn is_allowed_in(&self, state: State) -> bool {
        self.scope != Scope::Machine || self.states.contains(&state)
    }

    /// Why it can't be done to a machine in this state, to follow the machine's name: `is off; 'pause' needs a machine
    /// that is running`. `None` if it can.
    #[must_use]
    pub fn refusal(&self, state: State) -> Option<String> {
        if self.is_allowed_in(state) {
            return None;
        }
        let states: Vec<_> = self.states.iter().map(|state| state.name()).collect();
        let states = match states.as_slice() {
            [one] => (*one).to_owned(),
            [first @ .., last] => format!("{} or {last}", first.join(", ")),
            [] => String::new(),
        };
        let resume = Action::find("resume")
            .filter(|resume| resume.is_allowed_in(state) && self.is_allowed_in(State::Running) && self.id != "pause");
        let advice = resume.map(|_| ". Resume it first").unwrap_or_default();
        Some(format!("is {state}; '{}' needs a machine that is {states}{advice}", self.id))
    }

    /// The argument of that name.
    #[must_use]
    pub fn argument(&self, name: &str) -> Option<&'static Argument> {
        self.arguments.iter().find(|argument| argument.name == name)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_are_unique_words_and_lead_to_their_action() {
        for action in ALL {
            assert!(action.id.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'), "{}", action.id);
            assert!(std::ptr::eq(Action::find(action.id).unwrap(), action), "{} is there twice", action.id);
        }
        assert!(Action::find("fly").is_none());
    }

    #[test]
    fn every_command_that_is_promised_is_there() {
        for id in [
            "doctor",
            "identify",
            "create",
            "list",
            "show",
            "edit",
            "rename",
            "delete",
            "undelete",
            "run",
            "start",
            "stop",
            "kill",
            "pause",
            "resume",
            "reset",
            "screenshot",
            "type",
            "key",
            "mouse",
            "serial",
            "eject",
            "insert",
            "stats",
            "registers",
            "logs",
        ] {
            assert!(Action::find(id).is_some(), "{id}");
        }
    }

    #[test]
    fn everything_has_its_help_in_one_sentence() {
        let texts = ALL.iter().flat_map(|action| {
            let arguments = action.arguments.iter().map(move |argument| (action.id, argument.help));
            arguments.chain([(action.id, action.help), (action.id, action.label)])
        });
        for (id, text) in texts {
            assert!(text.starts_with(|c: char| c.is_uppercase() || c == '$'), "{id}: {text}");
            assert!(!text.ends_with(['.', ' ']) && !text.contains(". "), "{id}: {text}");
        }
    }

    #[test]
    fn shortcuts_are_unique_among_what_can_be_done_at_the_same_time() {
        for (index, one) in ALL.iter().enumerate() {
            for other in &ALL[..index] {
                // In the manager's window there are no host keys, in a machine's no shortcuts.
                let together = State::ALL.iter().any(|state| one.is_allowed_in(*state) && other.is_allowed_in(*state));
                if together {
                    assert!(one.shortcut.is_none() || one.shortcut != other.shortcut, "{} {}", one.id, other.id);
                    assert!(one.host_key.is_none() || one.host_key != other.host_key, "{} {}", one.id, other.id);
                }
            }
        }
    }

    #[test]
    fn only_machines_have_states_and_host_keys_and_they_come_first_among_arguments() {
        for action in ALL {
            let machine = action.scope == Scope::Machine;
            assert_eq!(machine, !action.states.is_empty(), "{}", action.id);
            assert_eq!(
                machine,
                action.arguments.first().is_some_and(|first| first.kind == Kind::Machine),
                "{}",
                action.id
            );
            assert!(machine || action.scope == Scope::Window || action.host_key.is_none(), "{}", action.id);
            assert!(action.scope.has_commands() || action.arguments.is_empty(), "{}", action.id);
        }
    }

    #[test]
    fn every_argument_can_be_told_on_a_command_line() {
        for action in ALL {
            let names: HashSet<_> = action.arguments.iter().map(|argument| argument.name).collect();
            assert_eq!(names.len(), action.arguments.len(), "{}", action.id);
            assert!(!names.contains("json") && !names.contains("help"), "{}", action.id);
            let positional: Vec<_> = action.arguments.iter().filter(|argument| argument.positional).collect();
            // Whatever follows one that may be missing, or may come often, could not be told from it.
            for (index, argument) in positional.iter().enumerate() {
                let last = index + 1 == positional.len();
                assert!(last || (argument.required && !argument.repeated), "{} {}", action.id, argument.name);
            }
            for argument in action.arguments {
                let place = format!("{} {}", action.id, argument.name);
                assert_eq!(argument.kind == Kind::Flag, argument.value_name.is_empty(), "{place}");
                assert!(!(argument.required && argument.default.is_some()), "{place}");
                assert!(
                    argument.requires.iter().chain(argument.conflicts).all(|other| names.contains(other)),
                    "{place}"
                );
                assert!(!argument.conflicts.contains(&argument.name), "{place}");
            }
        }
    }

    #[test]
    fn defaults_are_values_of_their_kind() {
        for argument in ALL.iter().flat_map(|action| action.arguments) {
            let Some(default) = argument.default else { continue };
            let fits = match argument.kind {
                Kind::Size => default.parse::<crate::size::Size>().is_ok(),
                Kind::Number { min, max } => default.parse::<u32>().is_ok_and(|number| (min..=max).contains(&number)),
                Kind::Choice(choices) => choices.contains(&default),
                _ => true,
            };
            assert!(fits, "{} = {default}", argument.name);
        }
        use crate::definition::defaults;
        let create = Action::find("create").unwrap();
        assert_eq!(create.argument("memory").unwrap().default.unwrap().parse(), Ok(defaults::MEMORY));
        assert_eq!(create.argument("cpus").unwrap().default.unwrap().parse(), Ok(defaults::CPUS));
    }

    #[test]
    fn a_refusal_names_the_states_that_would_do() {
        let (pause, kill) = (Action::find("pause").unwrap(), Action::find("kill").unwrap());
        assert_eq!(pause.refusal(State::Running), None);
        assert_eq!(pause.refusal(State::Off).unwrap(), "is off; 'pause' needs a machine that is running");
        assert_eq!(
            kill.refusal(State::Crashed).unwrap(),
            "is crashed; 'kill' needs a machine that is starting, running, paused or stopping"
        );
        assert_eq!(pause.refusal(State::Paused).unwrap(), "is paused; 'pause' needs a machine that is running");
        assert_eq!(
            Action::find("stop").unwrap().refusal(State::Paused).unwrap(),
            "is paused; 'stop' needs a machine that is running. Resume it first"
        );
        assert_eq!(Action::find("doctor").unwrap().refusal(State::Off), None);
    }

    #[test]
    fn a_chord_is_written_as_menus_write_it() {
        let chord = Action::find("create").unwrap().shortcut.unwrap();
        assert_eq!(chord.to_string(), "Ctrl+N");
        assert_eq!(Chord { ctrl: true, shift: true, key: Key::F5 }.to_string(), "Ctrl+Shift+F5");
    }
}
