//! The manual page, in the language of man(7), from the same list that the program's menus and command line come from.

use std::fmt::Write as _;

use machine::actions::{ALL, Action, Argument, Chord, Kind, Scope};
use machine::keys::Key;

const BEGINNING: &str = r#".SH NAME
tandem \- run virtual machines
.SH SYNOPSIS
.SY tandem
.YS
.SY tandem
.I command
.RI [ argument \ .\|.\|.]
.YS
.SH DESCRIPTION
.B tandem
runs virtual machines: PCs on KVM, on which unmodified operating systems boot.
Without a command it opens the manager's window, in which everything can be done by hand.
.PP
A running machine is a process of its own, which outlives the window and the terminal that it was started from.
.SH COMMANDS
"#;

const BETWEEN: &str = r#".SH KEYS
The host key is the right Ctrl key.
.SS In the manager's window
"#;

const END: &str = r#".SH EXIT STATUS
0 if all went well, and 1 if not.
.PP
.B tandem run
ends with 0 when the guest switched itself off, 1 when the machine could not start, 3 when it was killed, and 4 when it failed.
.B tandem doctor
ends with 1 when no machine can run.
.SH ENVIRONMENT
.TP
.B TANDEM_HOME
The folder of the library.
.TP
.B XDG_DATA_HOME
The library is in its folder
.I tandem
where
.B TANDEM_HOME
is not set;
.I ~/.local/share
stands for it if it isn't either.
.TP
.B XDG_RUNTIME_DIR
Where control sockets are that don't fit into the library.
.TP
.BR WAYLAND_DISPLAY ", " DISPLAY
Where windows are opened.
.TP
.BR VISUAL ", " EDITOR
What
.B tandem edit
opens a machine's file with.
.SH FILES
.TP
.I ~/.local/share/tandem/machines/NAME/machine.toml
What a machine is made of. People can read and edit it.
.TP
.I ~/.local/share/tandem/trash
What was deleted within the last 30 days.
.TP
.I /dev/kvm
The kernel's virtual machines. The account has to be in the group
.BR kvm ,
or to sit at the computer.
.TP
.I /usr/share/seabios
The PC's firmware.
.SH EXAMPLES
.EX
tandem create Mint \-\-iso mint.iso \-\-disk 20G \-\-memory 4G
tandem start Mint
tandem screenshot Mint mint.png
tandem stop Mint \-\-wait 60
.EE
"#;

/// The whole page.
pub(crate) fn page() -> String {
    let mut page = format!(".TH TANDEM 1 \"\" \"Tandem {}\" \"User Commands\"\n{BEGINNING}", env!("CARGO_PKG_VERSION"));
    for action in ALL.iter().filter(|action| action.scope.has_commands()) {
        command(&mut page, action);
    }
    page.push_str(BETWEEN);
    keys(&mut page, ALL.iter().filter_map(|action| Some((action.shortcut?.to_string(), action.label))));
    page.push_str(".SS In a machine's window, with the host key held\n");
    let in_a_window = ALL.iter().filter(|action| matches!(action.scope, Scope::Machine | Scope::Window));
    keys(&mut page, in_a_window.filter_map(|action| Some((chord(action.host_key?), action.label))));
    page + END
}

/// A key alone, as menus write it.
fn chord(key: Key) -> String {
    Chord { ctrl: false, shift: false, key }.to_string()
}

/// Keys with what they do. One that does two things does each where the other makes no sense.
fn keys(page: &mut String, all: impl Iterator<Item = (String, &'static str)>) {
    let mut list: Vec<(String, Vec<&str>)> = Vec::new();
    for (key, label) in all {
        match list.iter_mut().find(|(known, _)| *known == key) {
            Some((_, labels)) => labels.push(label),
            None => list.push((key, vec![label])),
        }
    }
    for (key, labels) in list {
        let _ = write!(page, ".TP\n.B {}\n{}\n", escaped(&key), escaped(&labels.join(", ")));
    }
}

/// A command: how it is written, what it does, and what it takes.
fn command(page: &mut String, action: &Action) {
    let _ = write!(page, ".SS {}", action.id);
    let (positional, options): (Vec<&Argument>, Vec<&Argument>) =
        action.arguments.iter().partition(|argument| argument.positional);
    if !options.is_empty() || action.lists {
        page.push_str(" [OPTIONS]");
    }
    for argument in &positional {
        let name =
            if argument.repeated { format!("{}...", argument.value_name) } else { argument.value_name.to_owned() };
        let _ = write!(page, " {}", escaped(&if argument.required { name } else { format!("[{name}]") }));
    }
    let _ = write!(page, "\n{}.\n", escaped(action.help));
    for argument in positional.iter().chain(&options) {
        page.push_str(".TP\n");
        let value = escaped(argument.value_name);
        let _ = match (argument.positional, argument.kind) {
            (true, _) => writeln!(page, ".I {value}"),
            (false, Kind::Flag) => writeln!(page, ".B \\-\\-{}", escaped(argument.name)),
            (false, _) => writeln!(page, ".BI \\-\\-{} \" {value}\"", escaped(argument.name)),
        };
        let choice = match argument.kind {
            Kind::Choice(words) => format!(" One of {}.", words.join(", ")),
            _ => String::new(),
        };
        let default = argument.default.map(|value| format!(" It is {value} if not given.")).unwrap_or_default();
        let repeated = argument.repeated && !argument.positional && !argument.help.contains("more than once");
        let repeated = if repeated { " Can be given more than once." } else { "" };
        let _ = writeln!(page, "{}", escaped(&format!("{}.{choice}{default}{repeated}", argument.help)));
    }
    if action.lists {
        page.push_str(".TP\n.B \\-\\-json\nPrint it in a form for programs.\n");
    }
}

/// A text that means itself: a hyphen is the one that can be copied into a shell, and nothing at the beginning of a line is a
/// request.
fn escaped(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-").replace('"', "\\(dq");
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_its_place_and_every_option_is_told() {
        let page = page();
        for action in ALL.iter().filter(|action| action.scope.has_commands()) {
            let section = page.split("\n.SS ").find(|section| section.split_whitespace().next() == Some(action.id));
            let section = section.unwrap_or_else(|| panic!("{} is missing", action.id));
            assert!(section.contains(&escaped(action.help)), "{section}");
            for argument in action.arguments.iter().filter(|argument| !argument.positional) {
                assert!(section.contains(&format!("\\-\\-{}", escaped(argument.name))), "{section}");
            }
        }
    }

    #[test]
    fn a_key_that_does_two_things_stands_there_once() {
        let page = page();
        assert_eq!(page.matches("\n.B Ctrl+P\n").count(), 1);
        assert!(page.contains("\n.B Ctrl+P\nPause, Resume\n"), "{page}");
    }

    #[test]
    fn what_has_a_meaning_for_the_formatter_loses_it() {
        assert_eq!(escaped("ctrl-alt-del"), "ctrl\\-alt\\-del");
        assert_eq!(escaped(".hidden"), "\\&.hidden");
        assert_eq!(escaped("'quoted' \\ \"double\""), "\\&'quoted' \\e \\(dqdouble\\(dq");
    }
}
