//! The `tandem` program: command line, and the process of a machine.

mod address;
mod arguments;
mod client;
mod commands;
mod descriptors;
mod firmware;
mod launch;
mod output;
mod process;
mod serial_file;
mod usage;

use std::process::ExitCode;

use clap::error::ErrorKind;

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
        Err(help) if !help.use_stderr() || help.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = help.print();
            return if help.use_stderr() { ExitCode::FAILURE } else { ExitCode::SUCCESS };
        }
        Err(mistake) => {
            output::error(&anyhow::Error::msg(usage::sentence(&mistake)));
            return ExitCode::FAILURE;
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
