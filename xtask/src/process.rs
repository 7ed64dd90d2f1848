//! Running other programs.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// How often a condition is looked at while it is waited for.
const POLL: Duration = Duration::from_millis(20);

/// A command line as a person would read it.
fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// Runs a command to its end; anything but success is an error.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("can't run {}", shown(command)))?;
    if !status.success() {
        bail!("{} failed: {status}", shown(command));
    }
    Ok(())
}

/// Runs a command to its end and gives what it wrote, whether it succeeded or not.
pub(crate) fn output(command: &mut Command) -> Result<Output> {
    command.stdin(Stdio::null()).output().with_context(|| format!("can't run {}", shown(command)))
}

/// Runs a command and gives its standard output; anything but success is an error that holds the other output.
pub(crate) fn stdout(command: &mut Command) -> Result<String> {
    let output = output(command)?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{} failed ({}): {}", shown(command), output.status, said.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Whether a program is found in `PATH`.
pub(crate) fn exists(program: &str) -> bool {
    find(program).is_some()
}

/// Where a program is: in `PATH`, or where a plain user's `PATH` doesn't reach.
pub(crate) fn find(program: &str) -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/sbin", "/sbin"].map(std::path::PathBuf::from);
    std::env::split_paths(&path).chain(system).map(|dir| dir.join(program)).find(|file| file.is_file())
}

/// The user this process runs as.
pub(crate) fn user_id() -> Result<u32> {
    use std::os::unix::fs::MetadataExt;
    Ok(std::fs::metadata("/proc/self").context("/proc is not mounted")?.uid())
}

/// How a program that was given a limit ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// By itself, or by a signal that was not ours.
    Exited(ExitStatus),
    /// It was stopped at its limit.
    TimedOut,
    /// It was stopped because the condition became true.
    Stopped,
}

/// Waits until the child ends, `stop` becomes true or `limit` has passed; in the last two cases the child, with its
/// whole process group if it leads one, is killed.
pub(crate) fn wait(child: &mut Child, limit: Duration, mut stop: impl FnMut() -> bool) -> Result<Ended> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait().context("can't wait for a child")? {
            return Ok(Ended::Exited(status));
        }
        let ended = if stop() {
            Ended::Stopped
        } else if Instant::now() >= deadline {
            Ended::TimedOut
        } else {
            thread::sleep(POLL);
            continue;
        };
        kill_group(child.id());
        child.kill().ok();
        child.wait().context("can't wait for a child")?;
        return Ok(ended);
    }
}

/// Kills every process of a group that one of ours leads. It may be gone already.
pub(crate) fn kill_group(leader: u32) {
    kill(&format!("-{leader}"));
}

/// Kills a process by its number, or the group of a negative one. It may be gone already.
pub(crate) fn kill(process: &str) {
    signal("KILL", process);
}

/// Asks a process to end. It may be gone already.
pub(crate) fn terminate(process: u32) {
    signal("TERM", &process.to_string());
}

fn signal(name: &str, process: &str) {
    // The shell's own: a small system may lack the program.
    let words = ["-c", "kill -s \"$1\" -- \"$2\"", "sh", name, process];
    Command::new("sh").args(words).stderr(Stdio::null()).status().ok();
}

/// A program that dies with this process, in a process group of its own.
pub(crate) fn tied(program: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--", program]).process_group(0);
    command
}
