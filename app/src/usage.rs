//! A command line that can't be understood, said in one line like every other error.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use machine::{actions::Action, suggest};

/// What is wrong with the command line, and how to find out what would be right.
pub(crate) fn sentence(error: &clap::Error) -> String {
    if let (ErrorKind::InvalidSubcommand, Some(ContextValue::String(word))) =
        (error.kind(), error.get(ContextKind::InvalidSubcommand))
    {
        let meant = suggest::nearest(
            word,
            machine::actions::ALL.iter().filter(|action| action.scope.has_commands()).map(|action| action.id),
        );
        let hint = meant.map(|meant| format!("Did you mean '{meant}'? ")).unwrap_or_default();
        return format!("there is no command '{word}'. {hint}`tandem help` lists all");
    }
    if let (ErrorKind::UnknownArgument, Some(ContextValue::String(word))) =
        (error.kind(), error.get(ContextKind::InvalidArg))
        && let Some(rest) = word.strip_prefix('-').filter(|rest| !rest.starts_with('-'))
    {
        if rest.starts_with(|first: char| first.is_ascii_digit()) {
            return format!("'{word}…' can't be given: sizes and numbers are never below zero");
        }
        return format!(
            "there is no option '{word}'. A name or text that begins with '-' stands last, after `--`: \
             `tandem COMMAND OPTIONS -- {word}…`"
        );
    }
    let rendered = error.render().to_string();
    let lines: Vec<&str> = rendered.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let what = lines.iter().take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more"));
    let text = what.fold(String::new(), |text, line| match line.strip_prefix("tip: ") {
        Some(tip) => format!("{text} ({tip})"),
        None if text.is_empty() => line.strip_prefix("error: ").unwrap_or(line).to_owned(),
        None => format!("{text} {line}"),
    });
    // `Usage: tandem create …` tells which command it was.
    let usage = lines.iter().find_map(|line| line.strip_prefix("Usage: tandem ")).unwrap_or_default();
    let command = usage.split_whitespace().next().and_then(Action::find);
    let command = command.map(|action| format!(" {}", action.id)).unwrap_or_default();
    format!("{text}. `tandem help{command}` shows what can be given")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments;

    fn said(words: &[&str]) -> String {
        let line = ["tandem"].iter().chain(words);
        sentence(&arguments::command().try_get_matches_from(line).unwrap_err())
    }

    #[test]
    fn a_mistake_is_one_line_that_helps() {
        assert_eq!(said(&["sohw", "x"]), "there is no command 'sohw'. Did you mean 'show'? `tandem help` lists all");
        assert_eq!(said(&["xyzzy"]), "there is no command 'xyzzy'. `tandem help` lists all");
        let missing = said(&["create"]);
        assert!(missing.contains("<NAME>. `tandem help create`"), "{missing}");
        let unknown = said(&["edit", "x", "--cpu", "3"]);
        assert!(unknown.contains("'--cpu'") && unknown.contains("'--cpus'"), "{unknown}");
        let range = said(&["create", "x", "--cpus", "65"]);
        assert!(range.contains("65 is not in 1..=64"), "{range}");
        for args in
            [&["create", "x", "--memory", "-1"][..], &["create", "x", "--disk", "-5G"], &["stop", "x", "--wait", "-1"]]
        {
            assert!(said(args).contains("never below zero"), "{}", said(args));
        }
        assert!(said(&["create", "-dash"]).contains("after `--`"), "{}", said(&["create", "-dash"]));
        assert!([missing, unknown, range].iter().all(|text| !text.contains('\n')));
    }
}
