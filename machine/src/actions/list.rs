//! The actions themselves.

use super::{Action, Argument, Chord, Kind, Scope};
use crate::{keys::Key, state::State};

const CPUS: Kind = Kind::Number { min: 1, max: 64 };
const CONSOLE: &[State] = &[State::Running, State::Paused];
const SETTLED: &[State] = &[State::Off, State::Crashed, State::Running, State::Paused];

const MACHINE: Argument = positional("name", Kind::Machine, "NAME", "The machine's name").required();
const INITRD: Argument =
    option("initrd", Kind::InputFile, "FILE", "The first file system of the kernel that is started directly");
const CMDLINE: Argument =
    option("cmdline", Kind::Text, "TEXT", "The command line of the kernel that is started directly");
const SERIAL: Argument =
    option("serial", Kind::OutputFile, "FILE", "Write the output of the first serial port to this file as well");
const HEADLESS: Argument = flag("headless", "Start without a window");

/// Every action, in the order in which they are listed.
pub static ALL: &[Action] = &[
    Action {
        arguments: &[],
        lists: true,
        ..host("doctor", "Check this computer", "Say what this computer can do, and how to repair what it can't")
    },
    Action {
        arguments: &[
            positional("file", Kind::InputFile, "FILE", "A disc, a disk image or a kernel").required(),
        ],
        lists: true,
        ..host("identify", "Identify a file…", "Say what a file is, and what a machine for it should have")
    },
    Action {
        arguments: &[
            positional("name", Kind::NewName, "NAME", "What to call it: any text").required(),
            option("iso", Kind::InputFile, "FILE", "Put this disc into its CD drive"),
            option(
                "disk",
                Kind::Disk,
                "SIZE|FILE[,snapshot]",
                "Give it a new disk of this size, or this image; with ',snapshot' what is written is thrown away",
            )
            .repeated(),
            option("kernel", Kind::InputFile, "FILE", "Start this Linux kernel directly"),
            INITRD.with(&["kernel"]),
            CMDLINE.with(&["kernel"]),
            option("memory", Kind::Size, "SIZE", "How much memory it has").default("2G"),
            option("cpus", CPUS, "N", "How many virtual processors it has").default("2"),
            SERIAL,
        ],
        shortcut: ctrl(Key::KeyN),
        ..library("create", "New machine…", "Make a machine")
    },
    library("welcome", "Try Welcome", "Make the machine Welcome, a small computer to try this program with"),
    Action {
        arguments: &[flag("trash", "List the machines in the trash instead")],
        lists: true,
        ..library("list", "List machines", "List all machines with their state")
    },
    Action {
        lists: true,
        ..machine("show", "Details", "Show what a machine is made of and what it is doing", State::ALL)
    },
    Action {
        arguments: &[
            MACHINE,
            option("memory", Kind::Size, "SIZE", "How much memory it has"),
            option("cpus", CPUS, "N", "How many virtual processors it has"),
            option("boot", Kind::Drive, "ID", "Boot from this drive; given more than once, from the first that can").repeated(),
            option("add-disk", Kind::Disk, "SIZE|FILE[,snapshot]", "Give it one more disk").repeated(),
            option("remove-disk", Kind::Drive, "ID", "Take this disk out of the machine; its images stay where they are")
                .repeated(),
            option("kernel", Kind::InputFile, "FILE", "Start this Linux kernel directly"),
            INITRD,
            CMDLINE,
            flag("no-kernel", "Start what the drives hold, and no kernel directly")
                .without(&["kernel", "initrd", "cmdline"]),
            SERIAL,
            flag("no-serial", "Write the serial port's output to no file").without(&["serial"]),
            option("notes", Kind::Text, "TEXT", "What to remember about it"),
        ],
        host_key: Some(Key::KeyS),
        ..machine(
            "edit",
            "Settings…",
            "Change what a machine is made of: by options, or without any in your editor",
            State::AT_REST,
        )
    },
    Action {
        arguments: &[MACHINE, positional("new-name", Kind::NewName, "NEW_NAME", "What to call it from now on").required()],
        shortcut: Some(Chord { ctrl: false, shift: false, key: Key::F2 }),
        ..machine("rename", "Rename…", "Call a machine something else", State::AT_REST)
    },
    Action {
        shortcut: Some(Chord { ctrl: false, shift: false, key: Key::Delete }),
        ..machine("delete", "Move to trash", "Move a machine to the trash, where it stays for 30 days", State::AT_REST)
    },
    Action {
        arguments: &[
            positional("name", Kind::Trashed, "NAME", "The name of a machine in the trash").required(),
            option("as", Kind::NewName, "NEW_NAME", "Call it this from now on"),
        ],
        ..library("undelete", "Restore from trash…", "Bring a machine back from the trash")
    },
    Action {
        arguments: &[],
        destructive: true,
        ..library("empty-trash", "Empty the trash", "Delete for good what is in the trash, and free its space")
    },
    Action {
        arguments: &[MACHINE, HEADLESS],
        ..machine("run", "Run", "Run a machine, and stay until it is off", State::AT_REST)
    },
    Action {
        arguments: &[MACHINE, HEADLESS],
        shortcut: ctrl(Key::KeyR),
        ..machine("start", "Start", "Start a machine, and return at once", State::AT_REST)
    },
    Action {
        shortcut: Some(Chord { ctrl: false, shift: false, key: Key::Enter }),
        ..machine("window", "Show window", "Open a running machine's window, or bring it to the front", CONSOLE)
    },
    Action {
        arguments: &[
            MACHINE,
            option(
                "wait",
                Kind::Number { min: 0, max: 86_400 },
                "SECONDS",
                "Return when the machine is off, or fail after so many seconds",
            ),
        ],
        host_key: Some(Key::KeyH),
        ..machine("stop", "Shut down", "Press a machine's power button, so that its system shuts down", &[State::Running])
    },
    Action {
        destructive: true,
        ..machine("kill", "Power off", "Switch a machine off at once, as if its cable were pulled", State::ALIVE)
    },
    Action {
        shortcut: ctrl(Key::KeyP),
        host_key: Some(Key::KeyP),
        ..machine("pause", "Pause", "Make a machine stand still", &[State::Running])
    },
    Action {
        shortcut: ctrl(Key::KeyP),
        host_key: Some(Key::KeyP),
        ..machine("resume", "Resume", "Let a paused machine go on", &[State::Paused])
    },
    Action {
        host_key: Some(Key::KeyR),
        destructive: true,
        ..machine("reset", "Reset", "Press a machine's reset button", CONSOLE)
    },
    Action {
        arguments: &[
            MACHINE,
            positional("file", Kind::OutputFile, "FILE.png", "Where to write the picture; - for standard output").required().without(&["text"]),
            flag("text", "Print the characters of a text mode instead"),
        ],
        host_key: Some(Key::KeyE),
        ..machine("screenshot", "Take a screenshot", "Save what a machine shows", CONSOLE)
    },
    Action {
        arguments: &[MACHINE, positional("text", Kind::Text, "TEXT", "What to type").required()],
        ..machine("type", "Type text…", "Type a text on a machine's keyboard", &[State::Running])
    },
    Action {
        arguments: &[
            MACHINE,
            positional("keys", Kind::Keys, "KEYS", "Keys that are pressed together, such as ctrl+alt+del or f12")
                .required()
                .repeated(),
        ],
        ..machine("key", "Press keys…", "Press keys on a machine's keyboard", &[State::Running])
    },
    Action {
        arguments: &[
            MACHINE,
            positional(
                "event",
                Kind::Choice(&["move", "press", "release", "click", "wheel"]),
                "EVENT",
                "What to do with the mouse",
            )
            .required(),
            positional(
                "values",
                Kind::Text,
                "VALUE",
                "For move: how far to the right and down; for buttons: left, middle or right; for wheel: how many notches",
            )
            .repeated(),
        ],
        ..machine("mouse", "Move the mouse…", "Move a machine's mouse, press its buttons, turn its wheel", &[State::Running])
    },
    Action {
        ..machine("serial", "Serial console", "Talk to a machine's first serial port in this terminal", CONSOLE)
    },
    Action {
        arguments: &[
            MACHINE,
            option("drive", Kind::Drive, "ID", "Which drive, if there are several"),
            flag("force", "Take it even if the guest has locked the drive"),
        ],
        ..machine("eject", "Eject disc", "Take the disc out of a machine's CD drive", SETTLED)
    },
    Action {
        arguments: &[
            MACHINE,
            positional("file", Kind::InputFile, "FILE", "The disc: an ISO file").required(),
            option("drive", Kind::Drive, "ID", "Which drive, if there are several"),
        ],
        ..machine("insert", "Insert disc…", "Put a disc into a machine's CD drive", SETTLED)
    },
    Action { lists: true, ..machine("stats", "Statistics", "Show what a machine uses and how busy it is: numbers of times, where the name says no unit", CONSOLE) },
    Action { lists: true, ..machine("registers", "Registers", "Show what a machine's processors and interrupt controllers hold at this moment", CONSOLE) },
    Action {
        arguments: &[
            MACHINE,
            flag("list", "List the runs whose logs are kept"),
            option("run", Kind::Number { min: 1, max: 10 }, "N", "The log of the run before the last is 2, and so on")
                .without(&["list"])
                .default("1"),
        ],
        lists: true,
        ..machine("logs", "Log", "Show the log of a machine's last run", State::ALL)
    },
    window("full-screen", "Full screen", "Let the machine's picture fill the screen", Key::KeyF),
    window("scaling", "Next scaling", "Show the picture in its own size, in whole multiples, or as large as fits", Key::KeyC),
    window("filter", "Next filter", "Draw full screen with the next filter, or with none", Key::KeyL),
    window("capture", "Capture the mouse", "Give the mouse to the machine, or take it back", Key::KeyG),
    window("ctrl-alt-del", "Send Ctrl+Alt+Del", "Press Ctrl+Alt+Del on the machine's keyboard", Key::Delete),
    window("type-clipboard", "Type the clipboard", "Type the clipboard's text on the machine's keyboard", Key::KeyV),
    window("mute", "Mute the sound", "Keep what the machine plays silent, or let it be heard", Key::KeyM),
    window("shortcuts", "Keyboard shortcuts", "Show every key that means something to this window", Key::Home),
    window("close", "Close window", "Close the machine's window; the machine can go on running without", Key::KeyQ),
    Action {
        shortcut: Some(Chord { ctrl: true, shift: true, key: Key::KeyP }),
        ..manager("palette", "All actions…", "Find anything that can be done by its name")
    },
    Action { shortcut: ctrl(Key::KeyF), ..manager("search", "Find a machine", "Show only the machines whose names hold some letters") },
    Action { shortcut: ctrl(Key::KeyQ), ..manager("quit", "Quit", "Close this window; running machines go on") },
];

const fn window(id: &'static str, label: &'static str, help: &'static str, host_key: Key) -> Action {
    Action { scope: Scope::Window, arguments: &[], host_key: Some(host_key), ..machine(id, label, help, &[]) }
}

const fn manager(id: &'static str, label: &'static str, help: &'static str) -> Action {
    Action { scope: Scope::Manager, arguments: &[], ..machine(id, label, help, &[]) }
}

const fn machine(id: &'static str, label: &'static str, help: &'static str, states: &'static [State]) -> Action {
    Action {
        id,
        label,
        help,
        scope: Scope::Machine,
        states,
        arguments: &[MACHINE],
        shortcut: None,
        host_key: None,
        destructive: false,
        lists: false,
    }
}

const fn library(id: &'static str, label: &'static str, help: &'static str) -> Action {
    Action { scope: Scope::Library, arguments: &[], ..machine(id, label, help, &[]) }
}

const fn host(id: &'static str, label: &'static str, help: &'static str) -> Action {
    Action { scope: Scope::Host, ..library(id, label, help) }
}

const fn ctrl(key: Key) -> Option<Chord> {
    Some(Chord { ctrl: true, shift: false, key })
}

const fn option(name: &'static str, kind: Kind, value_name: &'static str, help: &'static str) -> Argument {
    Argument {
        name,
        positional: false,
        kind,
        value_name,
        help,
        required: false,
        repeated: false,
        default: None,
        requires: &[],
        conflicts: &[],
    }
}

const fn positional(name: &'static str, kind: Kind, value_name: &'static str, help: &'static str) -> Argument {
    Argument { positional: true, ..option(name, kind, value_name, help) }
}

const fn flag(name: &'static str, help: &'static str) -> Argument {
    option(name, Kind::Flag, "", help)
}

impl Argument {
    const fn required(self) -> Self {
        Argument { required: true, ..self }
    }

    const fn repeated(self) -> Self {
        Argument { repeated: true, ..self }
    }

    const fn default(self, value: &'static str) -> Self {
        Argument { default: Some(value), ..self }
    }

    const fn with(self, others: &'static [&'static str]) -> Self {
        Argument { requires: others, ..self }
    }

    const fn without(self, others: &'static [&'static str]) -> Self {
        Argument { conflicts: others, ..self }
    }
}
