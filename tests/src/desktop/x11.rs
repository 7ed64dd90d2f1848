//! An X server with a window manager, and a person made of `xdotool`.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::{PATIENCE, Running, Server, said};
use crate::keys::{FIRST_X_CODE, Stroke};
use crate::wait::wait_until;

/// Xvfb with openbox.
pub(super) struct X11 {
    name: String,
    /// It ends before the server that it needs.
    _manager: Running,
    server: Running,
}

impl X11 {
    /// With a screen of 1600 by 1000 pixels.
    pub(super) fn start() -> Result<Self> {
        // It chooses a free number, and tells it when it is ready.
        let mut server = Command::new("Xvfb");
        server.args(["-displayfd", "1", "-screen", "0", "1600x1000x24", "-nolisten", "tcp"]);
        server.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut server = Running(server.spawn().context("can't run Xvfb")?);
        let mut number = String::new();
        let output = server.0.stdout.take().context("a pipe was asked for")?;
        BufReader::new(output).read_line(&mut number).context("the X server says nothing")?;
        let name = format!(":{}", number.trim());
        ensure!(name.len() > 1, "the X server did not start");
        let mut manager = Command::new("openbox");
        manager.env("DISPLAY", &name).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let manager = Running(manager.spawn().context("can't run openbox")?);
        let desktop = Self { name, _manager: manager, server };
        wait_until("the window manager", PATIENCE, || {
            let mut asked = desktop.command("xprop");
            let said = asked.args(["-root", "_NET_SUPPORTING_WM_CHECK"]).output()?;
            Ok(String::from_utf8_lossy(&said.stdout).contains("window id").then_some(()))
        })?;
        Ok(desktop)
    }

    /// A program on this desktop, not started yet.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        self.surround(&mut command);
        command
    }

    fn person(&self, words: &[&str]) -> Result<String> {
        said(self.command("xdotool").args(words)).with_context(|| words.join(" "))
    }
}

impl Server for X11 {
    fn surround(&self, command: &mut Command) {
        command.env("DISPLAY", &self.name).env_remove("WAYLAND_DISPLAY");
    }

    fn x_display(&self) -> Option<&str> {
        Some(&self.name)
    }

    fn find(&self, title: &str) -> Result<Vec<String>> {
        let letter = |c: char| if c.is_alphanumeric() { c.to_string() } else { format!("[{c}]") };
        let pattern: String = title.chars().map(letter).collect();
        let mut search = self.command("xdotool");
        search.args(["search", "--onlyvisible", "--name", &format!("^{pattern}$")]);
        // It fails as well when there is none.
        let said = search.output().context("can't run xdotool")?;
        Ok(String::from_utf8_lossy(&said.stdout).lines().map(str::to_owned).collect())
    }

    fn activate(&self, window: &str) -> Result<()> {
        self.person(&["windowactivate", "--sync", window]).map(drop)
    }

    fn press(&self, strokes: &[Stroke]) -> Result<()> {
        let word = |&(key, down): &Stroke| {
            let verb = if down { "keydown" } else { "keyup" };
            [verb.to_owned(), (key.0 + FIRST_X_CODE).to_string()]
        };
        let words: Vec<String> = strokes.iter().flat_map(word).collect();
        self.person(&words.iter().map(String::as_str).collect::<Vec<_>>()).map(drop)
    }

    fn click(&self, window: &str, x: u32, y: u32) -> Result<()> {
        let (x, y) = (x.to_string(), y.to_string());
        self.person(&["mousemove", "--window", window, &x, &y, "click", "1"]).map(drop)
    }

    fn move_by(&self, dx: i32, dy: i32) -> Result<()> {
        self.person(&["mousemove_relative", "--", &dx.to_string(), &dy.to_string()]).map(drop)
    }

    fn capture(&self, window: &str, file: &Path) -> Result<()> {
        let file = format!("png24:{}", file.display());
        said(self.command("import").args(["-window", window, "-depth", "8", &file])).map(drop)
    }

    fn crash(&mut self) -> Result<()> {
        self.server.end()
    }
}
