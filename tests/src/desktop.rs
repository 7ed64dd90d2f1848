//! A desktop to open windows on: an X server without a screen, a window manager, and a person made of `xdotool`.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::picture::Picture;
use crate::tandem::{Machine, Tandem};
use crate::wait::wait_until;

/// How long the server, or a window, may take to be there.
const PATIENCE: Duration = Duration::from_secs(90);

/// An X server with a window manager; both end with the value.
pub struct Desktop {
    name: String,
    server: Child,
    manager: Child,
    dir: TempDir,
    pictures: AtomicU32,
}

/// The manager's window.
pub struct Manager<'a> {
    /// Its window.
    pub window: Window<'a>,
    process: Running,
}

/// The key code of Enter.
pub const ENTER: u32 = 36;

/// After so long a page that has not opened was not asked for by a key that arrived.
const PAGE_OPENS: Duration = Duration::from_secs(10);
/// After so long what was typed is taken for lost.
const TYPED_AGAIN: Duration = Duration::from_secs(20);

/// The colour of the button that Enter presses.
const DEFAULT_BUTTON: [u8; 3] = [0x1f, 0x63, 0xd6];

impl Manager<'_> {
    /// Where the button is that Enter presses, when it can be pressed.
    ///
    /// # Errors
    /// There is none.
    pub fn default_button(&self) -> Result<(u32, u32)> {
        wait_until("the default button", PATIENCE, || Ok(self.window.picture()?.middle_of(DEFAULT_BUTTON)))
    }

    /// Makes a machine of a disc or a disk image by the page for new ones, with what that proposes, and starts it. By the
    /// keyboard alone, in a library that is empty.
    ///
    /// # Errors
    /// None was made.
    pub fn make<'t>(&self, tandem: &'t Tandem, file: &Path) -> Result<Machine<'t>> {
        // What the empty library offers shows that the window has begun.
        self.default_button()?;
        let file = file.to_str().context("the path is text")?;
        let mut typed: Option<Instant> = None;
        let name = wait_until("a machine", PATIENCE, || {
            if typed.is_none_or(|at| at.elapsed() > TYPED_AGAIN) {
                // The window manager gives the window the keyboard in its own time.
                self.window.activate()?;
                self.window.shortcut("ctrl+n")?;
                // A page that knows no file yet has no default button.
                let open = || Ok(self.window.picture()?.middle_of(DEFAULT_BUTTON).is_none().then_some(()));
                if wait_until("the page for a new machine", PAGE_OPENS, open).is_err() {
                    return Ok(None);
                }
                // Its field has the keyboard.
                self.window.shortcut("ctrl+a")?;
                self.window.type_text(file)?;
                typed = Some(Instant::now());
            }
            // What the file is the page finds by itself, and can be confirmed then.
            self.window.key(ENTER)?;
            let machines = tandem.json(&["list"])?;
            Ok(machines[0]["name"].as_str().map(str::to_owned))
        })?;
        Ok(tandem.adopt(&name))
    }

    /// Closes it by its key, and waits until its process has ended.
    ///
    /// # Errors
    /// It doesn't end well.
    pub fn quit(mut self) -> Result<()> {
        self.window.activate()?;
        self.window.desktop.person(&["key", "ctrl+q"])?;
        let status = self.process.0.wait()?;
        ensure!(status.success(), "the manager ended with {status}");
        Ok(())
    }
}

/// The window's bars above the picture are lower than this.
const BARS: u32 = 120;

/// Where the guest's picture is in a window's, if `part` of it (left, top, width, height) is there pixel for pixel.
#[must_use]
pub fn found(window: &Picture, guest: &Picture, part: [u32; 4]) -> Option<(u32, u32)> {
    let wanted = guest.part(part);
    let [left, top, width, height] = part;
    let x = window.size().0.checked_sub(guest.size().0)? / 2;
    (0..BARS)
        .map(|y| (x, y))
        .find(|&(x, y)| window.part([x + left, y + top, width, height]).difference(&wanted).is_none())
}

/// A process that ends with the value.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// A window on a desktop.
pub struct Window<'a> {
    desktop: &'a Desktop,
    id: String,
}

impl Desktop {
    /// With a screen of 1600 by 1000 pixels.
    ///
    /// # Errors
    /// The server or the window manager could not be started.
    pub fn start() -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("desktop").tempdir()?;
        // It chooses a free number, and tells it when it is ready.
        let mut server = Command::new("Xvfb");
        server.args(["-displayfd", "1", "-screen", "0", "1600x1000x24", "-nolisten", "tcp"]);
        server.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut server = server.spawn().context("can't run Xvfb")?;
        let mut number = String::new();
        let output = server.stdout.take().context("a pipe was asked for")?;
        BufReader::new(output).read_line(&mut number).context("the X server says nothing")?;
        let name = format!(":{}", number.trim());
        ensure!(name.len() > 1, "the X server did not start");
        let mut manager = Command::new("openbox");
        manager.env("DISPLAY", &name).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let manager = manager.spawn().context("can't run openbox")?;
        let desktop = Desktop { name, server, manager, dir, pictures: AtomicU32::new(0) };
        wait_until("the window manager", PATIENCE, || {
            let said = desktop.command("xprop").args(["-root", "_NET_SUPPORTING_WM_CHECK"]).output()?;
            Ok(String::from_utf8_lossy(&said.stdout).contains("window id").then_some(()))
        })?;
        Ok(desktop)
    }

    /// What `DISPLAY` has to be.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A program on this desktop, not started yet.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("DISPLAY", &self.name).env_remove("WAYLAND_DISPLAY").stdin(Stdio::null());
        command
    }

    /// Opens the manager of the library of `tandem`, and waits for its window.
    ///
    /// # Errors
    /// It doesn't open.
    pub fn manager(&self, tandem: &Tandem) -> Result<Manager<'_>> {
        let mut command = tandem.command::<&str>([]);
        let process = command.env("DISPLAY", &self.name).stderr(Stdio::null()).spawn().context("can't run tandem")?;
        // It is ended with the value from now on, whatever happens.
        let process = Running(process);
        let window = self.window("Tandem")?;
        window.activate()?;
        Ok(Manager { window, process })
    }

    /// Waits for a window of that title.
    ///
    /// # Errors
    /// None came.
    pub fn window(&self, title: &str) -> Result<Window<'_>> {
        let id = wait_until(&format!("the window {title:?}"), PATIENCE, || Ok(self.find(title)?.into_iter().next()))?;
        Ok(Window { desktop: self, id })
    }

    /// Waits until there is no window of that title.
    ///
    /// # Errors
    /// One stays.
    pub fn wait_gone(&self, title: &str) -> Result<()> {
        wait_until(&format!("the end of {title:?}"), PATIENCE, || Ok(self.find(title)?.is_empty().then_some(())))
    }

    /// The numbers of the windows of that title that are shown.
    fn find(&self, title: &str) -> Result<Vec<String>> {
        let said = self.command("xdotool").args(["search", "--onlyvisible", "--name", &format!("^{title}$")]).output();
        let said = said.context("can't run xdotool")?;
        Ok(String::from_utf8_lossy(&said.stdout).lines().map(str::to_owned).collect())
    }

    fn person(&self, words: &[&str]) -> Result<String> {
        let said = self.command("xdotool").args(words).output().context("can't run xdotool")?;
        let err = String::from_utf8_lossy(&said.stderr).into_owned();
        ensure!(said.status.success(), "xdotool {} failed: {}", words.join(" "), err.trim());
        Ok(String::from_utf8_lossy(&said.stdout).into_owned())
    }

    /// Ends the X server at once, as a crash would.
    ///
    /// # Errors
    /// It can't be ended.
    pub fn crash(&mut self) -> Result<()> {
        self.server.kill()?;
        self.server.wait()?;
        Ok(())
    }

    fn picture_file(&self) -> PathBuf {
        self.dir.path().join(format!("{}.png", self.pictures.fetch_add(1, Ordering::Relaxed)))
    }
}

impl Drop for Desktop {
    fn drop(&mut self) {
        for child in [&mut self.manager, &mut self.server] {
            child.kill().ok();
            child.wait().ok();
        }
    }
}

impl Window<'_> {
    /// Brings it to the front, with the keyboard.
    ///
    /// # Errors
    /// It is gone.
    pub fn activate(&self) -> Result<()> {
        self.desktop.person(&["windowactivate", "--sync", &self.id]).map(drop)
    }

    /// Presses a key, by its X key code: a name may bring modifiers with it.
    ///
    /// # Errors
    /// The server is gone.
    pub fn key(&self, code: u32) -> Result<()> {
        self.desktop.person(&["key", &code.to_string()]).map(drop)
    }

    /// Presses a key with others held, as `ctrl+n`.
    ///
    /// # Errors
    /// The server is gone.
    pub fn shortcut(&self, keys: &str) -> Result<()> {
        self.desktop.person(&["key", keys]).map(drop)
    }

    /// Presses keys together, the first ones held.
    ///
    /// # Errors
    /// The server is gone.
    pub fn chord(&self, codes: &[u32]) -> Result<()> {
        let codes: Vec<String> = codes.iter().map(u32::to_string).collect();
        let down = codes.iter().flat_map(|code| ["keydown", code]);
        let up = codes.iter().rev().flat_map(|code| ["keyup", code]);
        self.desktop.person(&down.chain(up).collect::<Vec<_>>()).map(drop)
    }

    /// Types a text.
    ///
    /// # Errors
    /// The server is gone.
    pub fn type_text(&self, text: &str) -> Result<()> {
        self.desktop.person(&["type", text]).map(drop)
    }

    /// Clicks at a place in it.
    ///
    /// # Errors
    /// It is gone.
    pub fn click(&self, x: u32, y: u32) -> Result<()> {
        let (x, y) = (x.to_string(), y.to_string());
        self.desktop.person(&["mousemove", "--window", &self.id, &x, &y, "click", "1"]).map(drop)
    }

    /// Moves the mouse by so many counts.
    ///
    /// # Errors
    /// The server is gone.
    pub fn move_by(&self, dx: i32, dy: i32) -> Result<()> {
        self.desktop.person(&["mousemove_relative", "--", &dx.to_string(), &dy.to_string()]).map(drop)
    }

    /// Asks it to close, by the window manager's key for that.
    ///
    /// # Errors
    /// It is gone.
    pub fn ask_to_close(&self) -> Result<()> {
        self.desktop.person(&["key", "alt+F4"]).map(drop)
    }

    /// What it shows.
    ///
    /// # Errors
    /// It is gone.
    pub fn picture(&self) -> Result<Picture> {
        let file = self.desktop.picture_file();
        let png = format!("png24:{}", file.display());
        let said = self.desktop.command("import").args(["-window", &self.id, "-depth", "8", &png]).output();
        let said = said.context("can't run ImageMagick's import")?;
        ensure!(said.status.success(), "import failed: {}", String::from_utf8_lossy(&said.stderr).trim());
        let picture = Picture::from_png(&file)?;
        self.keep(&file);
        Ok(picture)
    }

    /// Keeps the last picture where it helps to understand a failure.
    fn keep(&self, file: &Path) {
        if let Some(folder) = std::env::var_os("TANDEM_TEST_ARTIFACTS") {
            let _ = fs::copy(file, Path::new(&folder).join("window.png"));
        }
        let _ = fs::remove_file(file);
    }
}
