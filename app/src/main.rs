//! The `tandem` program: command line, and the process of a machine.

mod address;
mod arguments;
mod changes;
mod client;
mod commands;
mod console_input;
mod descriptors;
mod detect;
mod firmware;
mod inhibit;
mod launch;
mod live;
mod manager;
mod order;
mod output;
mod process;
mod serial_file;
mod ui;
mod usage;
mod window;

use std::process::ExitCode;

/// What a detached machine's process writes when it runs.
const STARTED: &str = "started\n";

fn main() -> ExitCode {
    // One that was executed as `/proc/self/exe` would be called `exe`.
    let _ = rustix::thread::set_name(c"tandem");
    if std::env::args_os().nth(1).is_some_and(|word| word == process::handover::ARGUMENT) {
        return process::main();
    }
    let matches = match arguments::command().try_get_matches() {
        Ok(matches) => matches,
        Err(help) if !help.use_stderr() => {
            let _ = help.print();
            return ExitCode::SUCCESS;
        }
        Err(mistake) => {
            output::error(&anyhow::Error::msg(usage::sentence(&mistake)));
            return ExitCode::FAILURE;
        }
    };
    let done = match matches.subcommand() {
        Some((id, matches)) => commands::run(id, matches),
        None => manager::run().map(|()| ExitCode::SUCCESS),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            output::error(&error);
            ExitCode::FAILURE
        }
    }
}
