//! The command line, made from the list of actions: each action is a command, each argument a positional or an option.

use anyhow::{Context, Result};
use clap::{Arg, ArgAction, ArgMatches, Command, builder::PossibleValuesParser, value_parser};
use machine::actions::{ALL, Action, Argument, Kind};

/// The option that every listing action has beside its arguments.
const JSON: &str = "json";
/// `tandem run` for `tandem start`: no terminal, and standard output says what becomes of it. Likewise `tandem window`, which
/// begins when its standard input ends. Not for people.
pub(crate) const DETACHED: &str = "detached";

/// The whole command line.
pub(crate) fn command() -> Command {
    Command::new("tandem")
        .about("Runs virtual machines: stock PCs on KVM")
        .version(env!("CARGO_PKG_VERSION"))
        .max_term_width(100)
        .after_help(
            "Without a command, 'tandem' opens the manager's window.\n\
             The library of machines is in $TANDEM_HOME, or else in $XDG_DATA_HOME/tandem.\n\
             'tandem run' ends with status 0 when the guest switched itself off, 3 when it was killed, 4 when it failed.",
        )
        .subcommands(ALL.iter().filter(|action| action.scope.has_commands()).map(subcommand))
}

fn subcommand(action: &'static Action) -> Command {
    let command = Command::new(action.id).about(action.help).args(action.arguments.iter().map(argument));
    if ["run", "window"].contains(&action.id) {
        return command.arg(Arg::new(DETACHED).long(DETACHED).action(ArgAction::SetTrue).hide(true));
    }
    if !action.lists {
        return command;
    }
    command.arg(Arg::new(JSON).long(JSON).action(ArgAction::SetTrue).help("Print it in a form for programs"))
}

fn argument(argument: &'static Argument) -> Arg {
    let mut arg = Arg::new(argument.name).help(argument.help).allow_hyphen_values(argument.kind == Kind::Text);
    if !argument.positional {
        arg = arg.long(argument.name);
    }
    if argument.required {
        // One of those that it conflicts with does as well.
        arg = if argument.conflicts.is_empty() {
            arg.required(true)
        } else {
            arg.required_unless_present_any(argument.conflicts)
        };
    }
    arg = arg.conflicts_with_all(argument.conflicts);
    for other in argument.requires {
        arg = arg.requires(other);
    }
    if argument.kind == Kind::Flag {
        return arg.action(ArgAction::SetTrue);
    }
    arg = arg.value_name(argument.value_name);
    if argument.repeated {
        arg = arg.action(ArgAction::Append);
        if argument.positional {
            arg = arg.num_args(1..);
        }
    }
    if let Some(default) = argument.default {
        arg = arg.default_value(default);
    }
    match argument.kind {
        Kind::Number { min, max } => arg.value_parser(value_parser!(u32).range(i64::from(min)..=i64::from(max))),
        Kind::Choice(words) => arg.value_parser(PossibleValuesParser::new(words)),
        _ => arg,
    }
}

/// The arguments that were given to an action.
pub(crate) struct Given<'a> {
    matches: &'a ArgMatches,
}

impl<'a> Given<'a> {
    pub(crate) fn new(matches: &'a ArgMatches) -> Self {
        Given { matches }
    }

    /// A text that may be missing.
    pub(crate) fn text(&self, name: &str) -> Option<&'a str> {
        self.matches.try_get_one::<String>(name).ok().flatten().map(String::as_str)
    }

    /// A text that the action requires.
    ///
    /// # Errors
    /// The action's data doesn't say that it is required.
    pub(crate) fn required(&self, name: &str) -> Result<&'a str> {
        self.text(name).with_context(|| format!("'{name}' is missing"))
    }

    /// Every value of a repeated argument.
    pub(crate) fn texts(&self, name: &str) -> Vec<&'a str> {
        let values = self.matches.try_get_many::<String>(name).ok().flatten();
        values.map(|values| values.map(String::as_str).collect()).unwrap_or_default()
    }

    /// A number.
    pub(crate) fn number(&self, name: &str) -> Option<u32> {
        self.matches.try_get_one::<u32>(name).ok().flatten().copied()
    }

    /// Whether a flag was given.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.matches.try_get_one::<bool>(name).ok().flatten().copied().unwrap_or(false)
    }

    /// Whether the answer is for a program.
    pub(crate) fn json(&self) -> bool {
        self.flag(JSON)
    }

    /// Whether a person gave the argument a value on the command line.
    pub(crate) fn was_given(&self, name: &str) -> bool {
        use clap::parser::ValueSource;
        self.matches.value_source(name) == Some(ValueSource::CommandLine)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        command().debug_assert();
    }

    #[test]
    fn every_action_is_a_command_and_takes_what_its_data_says() {
        let line = ["tandem", "create", "Mint", "--iso", "a.iso", "--disk", "20G", "--disk", "b.img,snapshot"];
        let matches = command().try_get_matches_from(line).unwrap();
        let (name, matches) = matches.subcommand().unwrap();
        let given = Given::new(matches);
        assert_eq!((name, given.text("name"), given.text("memory")), ("create", Some("Mint"), Some("2G")));
        assert_eq!(given.texts("disk"), ["20G", "b.img,snapshot"]);
        assert_eq!((given.number("cpus"), given.was_given("cpus"), given.was_given("iso")), (Some(2), false, true));
        assert!(command().try_get_matches_from(["tandem", "create", "x", "--initrd", "i"]).is_err());
        assert!(command().try_get_matches_from(["tandem", "create", "x", "--cpus", "65"]).is_err());
        assert!(command().try_get_matches_from(["tandem", "screenshot", "x"]).is_err());
        assert!(command().try_get_matches_from(["tandem", "screenshot", "x", "--text"]).is_ok());
        assert!(command().try_get_matches_from(["tandem", "mouse", "x", "move", "-5", "3"]).is_ok());
    }

    #[test]
    fn a_typo_gets_a_suggestion() {
        let error = command().try_get_matches_from(["tandem", "screnshot", "x"]).unwrap_err().to_string();
        assert!(error.contains("'screenshot'"), "{error}");
    }
}
