//! The `tandem` program: command line, and the process of a machine.

mod arguments;
mod client;
mod commands;
mod descriptors;
mod firmware;
mod launch;
mod output;
mod process;

use std::process::ExitCode;

/// What a detached machine's process writes when it runs.
const STARTED: &str = "started\n";

fn main() -> ExitCode {
    if std::env::args_os().nth(1).is_some_and(|word| word == process::handover::ARGUMENT) {
        return process::main();
    }
    let matches = match arguments::command().try_get_matches() {
        Ok(matches) => matches,
        Err(help_or_error) => {
            let _ = help_or_error.print();
            return ExitCode::from(help_or_error.exit_code() as u8);
        }
    };
    match commands::run(&matches) {
        Ok(code) => code,
        Err(error) => {
            output::error(&error);
            ExitCode::FAILURE
        }
    }
}
