//! A desktop without a screen, to see a window on: an X server, a window manager, and `xdotool`.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::process;

/// How long a window, or what is in it, may take.
const PATIENCE: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(100);

/// The desktop; it ends with the value.
pub(super) struct Desk {
    name: String,
    server: Child,
    manager: Child,
}

impl Desk {
    pub(super) fn start() -> Result<Self> {
        let mut server = Command::new("Xvfb");
        server.args(["-displayfd", "1", "-screen", "0", "1280x900x24", "-nolisten", "tcp"]);
        server.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut server = server.spawn().context("can't run Xvfb")?;
        let mut number = String::new();
        let output = server.stdout.take().context("a pipe was asked for")?;
        BufReader::new(output).read_line(&mut number).context("the X server says nothing")?;
        if number.trim().is_empty() {
            bail!("the X server did not start");
        }
        let name = format!(":{}", number.trim());
        let mut manager = Command::new("openbox");
        manager.env("DISPLAY", &name).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let manager = manager.spawn().context("can't run openbox")?;
        let desk = Desk { name, server, manager };
        desk.wait("the window manager", || {
            let said = desk.said("xprop", &["-root", "_NET_SUPPORTING_WM_CHECK"]);
            Ok(said.contains("window id").then_some(()))
        })?;
        Ok(desk)
    }

    /// What `DISPLAY` has to be.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    fn said(&self, program: &str, words: &[&str]) -> String {
        let output = process::output(Command::new(program).args(words).env("DISPLAY", &self.name));
        output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
    }

    fn wait<T>(&self, what: &str, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = look()? {
                return Ok(found);
            }
            if Instant::now() >= deadline {
                bail!("{what} did not come within {} s", PATIENCE.as_secs());
            }
            std::thread::sleep(POLL);
        }
    }

    /// Waits for a window of that title, while `program` runs.
    pub(super) fn window(&self, title: &str, program: &mut Child) -> Result<String> {
        self.wait(&format!("the window {title:?}"), || {
            if let Some(status) = program.try_wait()? {
                bail!("the program ended before its window was there: {status}");
            }
            let found = self.said("xdotool", &["search", "--onlyvisible", "--name", &format!("^{title}$")]);
            Ok(found.lines().next().map(str::to_owned))
        })
    }

    /// The beginning of a window's property, as `xprop` writes it: texts, or numbers.
    pub(super) fn property(&self, window: &str, name: &str) -> String {
        let words: &[&str] = if name == "WM_CLASS" { &[name] } else { &["-len", "16", "32c", "= $0+\n", name] };
        self.said("xprop", &[&["-id", window], words].concat())
    }

    /// Takes a picture of a window as soon as it shows at least so many colours.
    pub(super) fn picture(&self, window: &str, colours: u32, file: &Path) -> Result<()> {
        let name = format!("png24:{}", file.display());
        self.wait("a picture in the window", || {
            self.said("import", &["-window", window, &name]);
            let count = self.said("identify", &["-format", "%k", &file.to_string_lossy()]);
            Ok(count.trim().parse().is_ok_and(|count: u32| count >= colours).then_some(()))
        })
    }

    /// Closes a window as a person does, and waits for the program's end.
    pub(super) fn close(&self, window: &str, program: &mut Child) -> Result<()> {
        self.said("xdotool", &["windowactivate", "--sync", window, "key", "alt+F4"]);
        let status = self.wait("the program's end", || Ok(program.try_wait()?))?;
        if status.success() { Ok(()) } else { bail!("after its window was closed, the program ended with {status}") }
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        // A server that is killed leaves its lock behind.
        for child in [&mut self.manager, &mut self.server] {
            process::terminate(child.id());
            child.wait().ok();
        }
    }
}
