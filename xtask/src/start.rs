//! `cargo xtask start`: the program as a newcomer meets it. Installs what it needs, builds it, puts the machine *Welcome* into
//! an empty library and opens the manager; without a display it shows that a machine runs by a picture of its screen.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::args::Args;
use crate::suite::build;
use crate::{packages, process};

/// The machine that everybody can start.
const WELCOME: &str = "Welcome";
/// What it says on its serial port each second when its picture is up.
const SIGN_OF_LIFE: &str = "tick ";
/// How long it may take until then, on a KVM that interprets each instruction.
const PATIENCE: Duration = Duration::from_secs(120);

/// `cargo xtask start`.
pub(crate) fn command(mut args: Args) -> Result<ExitCode> {
    let picture: Option<PathBuf> = args.option("--picture")?;
    args.finish()?;
    packages::ensure_to_run()?;
    let built = build::build(&["-p", "tandem", "--bins"])?;
    let tandem = built.binary("tandem")?;
    if machines(tandem)?.is_empty() {
        process::run(Command::new(tandem).arg("welcome"))?;
    }
    if has_display() {
        // The window is not ours to wait for.
        process::run(&mut Command::new(tandem))?;
        return Ok(ExitCode::SUCCESS);
    }
    let picture = picture.unwrap_or_else(|| std::env::temp_dir().join("tandem-welcome.png"));
    show_without_display(tandem, &picture)?;
    println!(
        "There is no display, so '{WELCOME}' ran without a window. What its screen showed is in {}",
        picture.display()
    );
    Ok(ExitCode::SUCCESS)
}

/// The names of the machines in the library.
fn machines(tandem: &Path) -> Result<Vec<String>> {
    let said = process::stdout(Command::new(tandem).args(["list", "--json"]))?;
    let list: Value = serde_json::from_str(&said).context("tandem's list can't be read")?;
    let names = list.as_array().into_iter().flatten().filter_map(|machine| machine["name"].as_str().map(str::to_owned));
    Ok(names.collect())
}

fn has_display() -> bool {
    ["WAYLAND_DISPLAY", "DISPLAY"].iter().any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
}

/// Runs the machine until its picture is up, and writes that down.
fn show_without_display(tandem: &Path, picture: &Path) -> Result<()> {
    if !machines(tandem)?.iter().any(|name| name == WELCOME) {
        bail!("there is no display, and the library has no machine '{WELCOME}': `tandem welcome` makes it");
    }
    let run = |words: &[&OsStr]| process::run(Command::new(tandem).args(words));
    run(&["start".as_ref(), "--headless".as_ref(), WELCOME.as_ref()])?;
    let mut serial = Command::new(tandem);
    serial.args(["serial", WELCOME]);
    let shown =
        wait_for_picture(serial).and_then(|()| run(&["screenshot".as_ref(), WELCOME.as_ref(), picture.as_os_str()]));
    let stopped = run(&["stop".as_ref(), WELCOME.as_ref(), "--wait".as_ref(), "20".as_ref()]);
    shown.and(stopped)
}

/// Waits until the machine says that it is alive, on its serial port, which the command `serial` shows.
pub(crate) fn wait_for_picture(mut serial: Command) -> Result<()> {
    serial.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut serial = serial.spawn().context("can't run tandem")?;
    let output = serial.stdout.take().context("a pipe was asked for")?;
    let (said, heard) = mpsc::channel();
    std::thread::spawn(move || {
        let alive = BufReader::new(output).lines().map_while(Result::ok).any(|line| line.starts_with(SIGN_OF_LIFE));
        let _ = said.send(alive);
    });
    let alive = heard.recv_timeout(PATIENCE);
    serial.kill().ok();
    serial.wait().context("can't wait for tandem")?;
    match alive {
        Ok(true) => Ok(()),
        Ok(false) => bail!("'{WELCOME}' ended before its picture was up: `tandem logs {WELCOME}` shows why"),
        Err(_) => bail!("'{WELCOME}' showed nothing within {} s: `tandem doctor` may say why", PATIENCE.as_secs()),
    }
}
