//! The program under test, with a library and a runtime folder that nobody else has.
//!
//! What helps to understand a failure (pictures, texts, logs, serial output) goes to the folder that the variable
//! `TANDEM_TEST_ARTIFACTS` names. Every machine ends with the value.

use std::cell::RefCell;
use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use crate::console::Console;
use crate::picture::Picture;
use crate::wait::wait_until;

const PROGRAM: &str = "TANDEM_BIN";
const ARTIFACTS: &str = "TANDEM_TEST_ARTIFACTS";

/// The program, with a library of its own.
pub struct Tandem {
    dir: TempDir,
    program: PathBuf,
    machines: RefCell<Vec<String>>,
}

/// How a command ended, and what it wrote.
#[derive(Debug)]
pub struct Said {
    /// Its exit status.
    pub status: ExitStatus,
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub err: String,
}

impl Said {
    /// Runs a command to its end.
    ///
    /// # Errors
    /// It could not be run.
    pub fn by(command: &mut Command) -> Result<Said> {
        let Output { status, stdout, stderr } = command.output().context("can't run tandem")?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(Said { status, out: text(&stdout), err: text(&stderr) })
    }

    /// The one line by which it refused, with exit status 1.
    ///
    /// # Errors
    /// It said more, or less, or ended otherwise.
    pub fn refusal(&self) -> Result<String> {
        let err = self.err.trim_end();
        ensure!(self.status.code() == Some(1), "{} instead of 1: {err}{}", self.status, self.out);
        ensure!(!err.is_empty() && !err.contains('\n'), "not one line: {err:?}");
        let line = err.strip_prefix("tandem: ").with_context(|| format!("not the program's own words: {err}"))?;
        Ok(line.to_owned())
    }
}

impl Tandem {
    /// An empty library.
    ///
    /// # Errors
    /// The program was not built, or there is no room for temporary files.
    pub fn new() -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("tandem").tempdir().context("no folder for the library")?;
        for sub in ["home", "run"] {
            fs::create_dir(dir.path().join(sub))?;
        }
        Ok(Self { dir, program: program()?, machines: RefCell::default() })
    }

    /// The library's folder.
    #[must_use]
    pub fn home(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    /// A path for a file of the test's own.
    #[must_use]
    pub fn scratch(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A command line of the program, not started yet.
    pub fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(&self.program);
        command.args(args).stdin(Stdio::null());
        command.env("TANDEM_HOME", self.home()).env("XDG_RUNTIME_DIR", self.dir.path().join("run"));
        command.env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY");
        command
    }

    /// Runs a command line to its end.
    ///
    /// # Errors
    /// The program could not be run.
    pub fn run<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Result<Said> {
        Said::by(&mut self.command(args))
    }

    /// Runs a command line that must succeed, and gives what it wrote.
    ///
    /// # Errors
    /// It failed.
    pub fn ok(&self, args: &[&str]) -> Result<String> {
        let said = self.run(args)?;
        ensure!(said.status.success(), "tandem {} failed ({}): {}", args.join(" "), said.status, said.err.trim());
        Ok(said.out)
    }

    /// Runs a command line that must be refused with exit status 1 and one line on standard error, and gives that line.
    ///
    /// # Errors
    /// It was not.
    pub fn refused(&self, args: &[&str]) -> Result<String> {
        self.run(args)?.refusal().with_context(|| format!("tandem {}", args.join(" ")))
    }

    /// The processes that work for this library, apart from those that only look (which end by themselves).
    ///
    /// # Errors
    /// The host's list of processes can't be read.
    pub fn processes(&self) -> Result<Vec<i32>> {
        let mark = format!("TANDEM_HOME={}", self.home().display());
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc")? {
            let path = entry?.path();
            let Some(pid) = path.file_name().and_then(|name| name.to_str()?.parse().ok()) else { continue };
            // What ends in between, and other accounts' processes, can't be read.
            let Ok(environment) = fs::read(path.join("environ")) else { continue };
            if environment.split(|&byte| byte == 0).any(|variable| variable == mark.as_bytes()) {
                found.push(pid);
            }
        }
        Ok(found)
    }

    /// The control sockets that are there.
    ///
    /// # Errors
    /// Their folder can't be read.
    pub fn sockets(&self) -> Result<Vec<PathBuf>> {
        let folders = self.folders()?.into_iter().map(|folder| folder.join("control.sock"));
        let elsewhere = files_in(&self.dir.path().join("run/tandem"))?;
        Ok(folders.filter(|socket| socket.symlink_metadata().is_ok()).chain(elsewhere).collect())
    }

    /// The folders of machines, those that are being made among them.
    ///
    /// # Errors
    /// The library can't be read.
    pub fn folders(&self) -> Result<Vec<PathBuf>> {
        files_in(&self.home().join("machines"))
    }

    /// What a listing command says with `--json`.
    ///
    /// # Errors
    /// It failed, or said something else than JSON.
    pub fn json(&self, args: &[&str]) -> Result<serde_json::Value> {
        let (command, rest) = args.split_first().context("a command")?;
        let said = self.ok(&[&[*command, "--json"], rest].concat())?;
        serde_json::from_str(&said).with_context(|| format!("tandem {} --json: {said}", args.join(" ")))
    }

    /// Has a machine that the test made in another way ended with this value.
    pub fn adopt(&self, name: &str) -> Machine<'_> {
        self.machines.borrow_mut().push(name.to_owned());
        Machine { tandem: self, name: name.to_owned(), serial: self.serial_file(name) }
    }

    /// Makes a machine whose serial output is kept.
    ///
    /// # Errors
    /// The program refused.
    pub fn create(&self, name: &str, args: &[&str]) -> Result<Machine<'_>> {
        let machine = Machine { tandem: self, name: name.to_owned(), serial: self.serial_file(name) };
        let serial = machine.serial.to_str().context("the path is text")?;
        self.ok(&[&["create", name, "--serial", serial], args].concat())?;
        self.machines.borrow_mut().push(name.to_owned());
        Ok(machine)
    }

    /// Makes a machine that boots *Welcome*, from a disk that keeps nothing.
    ///
    /// # Errors
    /// The program refused.
    pub fn create_welcome(&self) -> Result<Machine<'_>> {
        let image = self.scratch("welcome.img");
        fs::write(&image, assets::WELCOME)?;
        let disk = format!("{},snapshot", image.to_str().context("the path is text")?);
        self.create("Welcome", &["--disk", &disk, "--memory", "64M", "--cpus", "1"])
    }

    fn serial_file(&self, name: &str) -> PathBuf {
        self.scratch(&format!("serial-{}", file_name(name)))
    }

    /// Keeps a file beside what a failed test leaves.
    pub fn keep_file(&self, file: &Path, name: &str) {
        if let Some(dir) = env::var_os(ARTIFACTS) {
            fs::copy(file, Path::new(&dir).join(name)).ok();
        }
    }

    /// Keeps what a machine shows and what its log says.
    fn keep(&self, name: &str) {
        let Some(dir) = env::var_os(ARTIFACTS).map(PathBuf::from) else { return };
        let file = |end: &str| dir.join(format!("{}{end}", file_name(name)));
        let keep = |end: &str, args: &[&str]| {
            let said = self.run(args).ok().filter(|said| said.status.success() && !said.out.is_empty());
            said.map(|said| fs::write(file(end), said.out))
        };
        let picture = file(".png").into_os_string().into_string();
        if let Ok(picture) = picture {
            self.run(["screenshot", name, &picture]).ok();
        }
        keep(".screen.txt", &["screenshot", name, "--text"]);
        keep(".log", &["logs", name]);
        keep(".registers.txt", &["registers", name]);
        keep(".stats.txt", &["stats", name]);
        let machine = Machine { tandem: self, name: name.to_owned(), serial: PathBuf::new() };
        if let Ok(folder) = machine.folder() {
            fs::copy(folder.join("log/window.txt"), file(".window.txt")).ok();
        }
        fs::copy(self.serial_file(name), file(".serial.txt")).ok();
    }
}

impl Drop for Tandem {
    fn drop(&mut self) {
        for name in self.machines.take() {
            self.keep(&name);
            self.run(["kill", &name]).ok();
        }
    }
}

/// A machine of a test.
pub struct Machine<'a> {
    tandem: &'a Tandem,
    name: String,
    serial: PathBuf,
}

impl Machine<'_> {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Starts it without a window.
    ///
    /// # Errors
    /// The program refused.
    pub fn start(&self) -> Result<()> {
        self.tandem.ok(&["start", &self.name, "--headless"]).map(drop)
    }

    /// Runs it without a window as a child, which ends when the machine is off.
    ///
    /// # Errors
    /// The program could not be run.
    pub fn run(&self) -> Result<Child> {
        let mut command = self.tandem.command(["run", &self.name, "--headless"]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().context("can't run tandem")
    }

    /// Runs a command about it that must succeed, with its name after the first word.
    ///
    /// # Errors
    /// It failed.
    pub fn ok(&self, verb: &str, args: &[&str]) -> Result<String> {
        self.tandem.ok(&[&[verb, &self.name], args].concat())
    }

    /// What its screen shows. `file` keeps the picture.
    ///
    /// # Errors
    /// The program refused, or wrote something else than a picture.
    pub fn screenshot(&self, file: &Path) -> Result<Picture> {
        self.ok("screenshot", &[&file.display().to_string()])?;
        Picture::from_png(file)
    }

    /// Its folder in the library.
    ///
    /// # Errors
    /// The program refused, or said something else.
    pub fn folder(&self) -> Result<PathBuf> {
        let shown = self.tandem.json(&["show", &self.name])?;
        Ok(shown["folder"].as_str().context("`show --json` has no folder")?.into())
    }

    /// The process that runs it, as `show --json` names it.
    ///
    /// # Errors
    /// The program refused, or it isn't running.
    pub fn pid(&self) -> Result<rustix::process::Pid> {
        let shown = self.tandem.json(&["show", &self.name])?;
        let pid = shown["run"]["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok());
        pid.and_then(rustix::process::Pid::from_raw).with_context(|| format!("{} is not running", self.name))
    }

    /// Ends its process without asking it.
    ///
    /// # Errors
    /// It isn't running.
    pub fn end_process(&self) -> Result<()> {
        Ok(rustix::process::kill_process(self.pid()?, rustix::process::Signal::KILL)?)
    }

    /// Its state, as `show --json` names it.
    ///
    /// # Errors
    /// The program refused, or said something else.
    pub fn state(&self) -> Result<String> {
        let shown: serde_json::Value = serde_json::from_str(&self.ok("show", &["--json"])?)?;
        shown["state"].as_str().map(str::to_owned).context("`show --json` has no state")
    }

    /// Waits until it is in a state.
    ///
    /// # Errors
    /// The limit passed.
    pub fn wait_for_state(&self, state: &str, limit: Duration) -> Result<()> {
        wait_until(&format!("{} to be {state}", self.name), limit, || Ok((self.state()? == state).then_some(())))
    }

    /// What it or its process has counted, as `stats --json` names it.
    ///
    /// # Errors
    /// The program refused, or counts no such thing.
    pub fn counter(&self, name: &str) -> Result<u64> {
        let counters: serde_json::Value = serde_json::from_str(&self.ok("stats", &["--json"])?)?;
        counters[name].as_u64().with_context(|| format!("`stats --json` has no {name}"))
    }

    /// Waits until the firmware or the guest has written a line to the debug console, which is in the machine's log.
    ///
    /// # Errors
    /// The limit passed.
    pub fn wait_for_debug_line(&self, line: &str, limit: Duration) -> Result<()> {
        let logged = format!(" firmware: {line}");
        wait_until(&format!("{line:?} in the log of {}", self.name), limit, || {
            Ok(self.ok("logs", &[])?.lines().any(|said| said.ends_with(&logged)).then_some(()))
        })
    }

    /// Presses keys together, such as `ctrl+alt+del`.
    ///
    /// # Errors
    /// The program refused.
    pub fn key(&self, keys: &str) -> Result<()> {
        self.ok("key", &[keys]).map(drop)
    }
}

impl Console for Machine<'_> {
    fn title(&self) -> &str {
        &self.name
    }

    fn screen_text(&self) -> Result<String> {
        // A screen between two modes, or in a graphical one, has no characters: that is no failure.
        Ok(self.tandem.run(["screenshot", &self.name, "--text"])?.out)
    }

    fn diagnosis(&self) -> String {
        // Twice: a guest that stands still shows the same again.
        let look = || {
            let told = ["registers", "stats"].map(|what| self.ok(what, &[]).unwrap_or_else(|error| error.to_string()));
            told.join("\n")
        };
        format!("its processors\n{}\nand again\n{}", look(), look())
    }

    fn type_text(&self, text: &str) -> Result<()> {
        self.ok("type", &[text]).map(drop)
    }

    fn serial(&self) -> Result<String> {
        let bytes = if self.serial.exists() { fs::read(&self.serial)? } else { Vec::new() };
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// What is in a folder, if that is there.
fn files_in(folder: &Path) -> Result<Vec<PathBuf>> {
    match fs::read_dir(folder) {
        Ok(entries) => entries.map(|entry| Ok(entry?.path())).collect(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error).with_context(|| format!("can't read {}", folder.display())),
    }
}

/// A machine's name as a file's.
fn file_name(name: &str) -> String {
    name.chars().map(|c| if c.is_alphanumeric() { c } else { '-' }).take(60).collect()
}

/// The program under test: what `cargo xtask test` built, or else what stands beside the test's own program.
fn program() -> Result<PathBuf> {
    if let Some(program) = env::var_os(PROGRAM) {
        return Ok(program.into());
    }
    let test = env::current_exe().context("this program has no path")?;
    let built = test.ancestors().nth(2).map(|dir: &Path| dir.join("tandem")).filter(|program| program.is_file());
    match built {
        Some(program) => Ok(program),
        None => bail!("tandem was not built: run `cargo xtask test`, or name it in {PROGRAM}"),
    }
}
