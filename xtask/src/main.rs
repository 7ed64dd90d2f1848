//! `cargo xtask`: the project's own commands.
//!
//! They are: `start` (the program, for newcomers), `package` (the program as a Debian package), `test` (every test, the
//! whole-machine ones where real guests can run), `lab` (a command on a machine with real KVM), `bench` (figures beside
//! QEMU's), `pictures` (the manager's pages), `guests` (the software that the tests boot) and `packages` (what Debian must
//! provide for all of that). It stays small, so that it builds in seconds: no crate of the product is used.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line program reports there")]

mod apt;
mod args;
mod bench;
mod guests;
mod host;
mod lab;
mod package;
mod packages;
mod pictures;
mod places;
mod process;
mod start;
mod suite;

use std::process::ExitCode;

use anyhow::{Result, bail};

use args::Args;

const USAGE: &str = "\
cargo xtask start [--picture FILE.png]
        install what is missing, build, put the machine Welcome into an empty library, open the manager;
        without a display, write what Welcome shows to FILE.png
cargo xtask package [--output DIR] [--check]
        install what is missing, build, and make the Debian package;
        --check: look at it with Debian's tools, then install, use and remove it on a fresh Debian 12
cargo xtask test [--all] [--unit | --machine] [--jobs N] [FILTER]
        install what is missing, then run every test whose name holds FILTER;
        --all: the long ones too, on both lab kernels, as root and as an ordinary user
cargo xtask lab [--kernel 6.1|6.12] [--cpus N] [--memory MIB] [--timeout SECONDS] [--out DIR] [--as-user] [-v] -- COMMAND...
        run COMMAND on a machine that has real KVM
cargo xtask bench [--rounds N] [--kernel 6.1|6.12] [--only tandem|qemu]
        measure beside QEMU and write docs/performance.md; one side alone is only shown
cargo xtask pictures
        draw every page of the manager into docs/pictures
cargo xtask guests
        make the guest software that the tests boot, and say where it is
cargo xtask packages
        install the Debian packages that all of this needs
";

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::from(125)
        }
    }
}

fn run() -> Result<ExitCode> {
    let mut args = Args::from_environment();
    match args.subcommand().as_deref() {
        Some("start") => start::command(args),
        Some("package") => package::command(args),
        Some("try-package") => package::trial(args),
        Some("test") => suite::command(args),
        Some("run-tests") => suite::runner::command(args),
        Some("lab") => lab::command(args),
        Some("bench") => bench::command(args),
        Some("pictures") => pictures::command(args),
        Some("guests") => guests::command(args),
        Some("packages") => {
            args.finish()?;
            packages::ensure()?;
            Ok(ExitCode::SUCCESS)
        }
        Some("help" | "--help" | "-h") => {
            print!("{USAGE}");
            Ok(ExitCode::SUCCESS)
        }
        Some(other) => bail!("there is no command {other:?}\n\n{USAGE}"),
        None => bail!("which command?\n\n{USAGE}"),
    }
}
