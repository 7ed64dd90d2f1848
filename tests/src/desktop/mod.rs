//! A desktop to open windows on: a display server without a screen, a window manager, and a person.

mod latency;
mod wayland;
mod x11;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

pub use self::latency::Stopwatch;
use self::wayland::Wayland;
use self::x11::X11;
use crate::host::Usage;
use crate::keys::{self, Key, Stroke};
use crate::picture::Picture;
use crate::tandem::{Machine, Tandem};
use crate::wait::{wait, wait_until};

/// How long the server, or a window, may take to be there.
const PATIENCE: Duration = Duration::from_secs(90);

/// How often it is looked whether a window is there.
const WINDOW_POLL: Duration = Duration::from_millis(20);

/// A display server with a window manager, and a person at it; they end with the value.
pub struct Desktop {
    server: Box<dyn Server>,
    // After the server, whose files are in it.
    dir: TempDir,
    pictures: AtomicU32,
}

/// What a desktop is made of.
trait Server {
    /// Sets what programs find it by.
    fn surround(&self, command: &mut Command);

    /// The X server's name, if it is one.
    fn x_display(&self) -> Option<&str> {
        None
    }

    /// What the windows of exactly that title are called, those that are shown.
    fn find(&self, title: &str) -> Result<Vec<String>>;

    /// Brings a window to the front, with the keyboard.
    fn activate(&self, window: &str) -> Result<()>;

    /// Presses keys and lets them go.
    fn press(&self, strokes: &[Stroke]) -> Result<()>;

    /// Clicks at a place in a window.
    fn click(&self, window: &str, x: u32, y: u32) -> Result<()>;

    /// Moves the mouse by so many counts.
    fn move_by(&self, dx: i32, dy: i32) -> Result<()>;

    /// Writes what a window shows, as PNG.
    fn capture(&self, window: &str, file: &Path) -> Result<()>;

    /// Ends it at once, as a crash would.
    fn crash(&mut self) -> Result<()>;
}

/// The manager's window.
pub struct Manager<'a> {
    /// Its window.
    pub window: Window<'a>,
    /// How long it took from the command until there was a window.
    pub took: Duration,
    process: Running,
}

/// After so long a page that has not opened was not asked for by a key that arrived.
const PAGE_OPENS: Duration = Duration::from_secs(10);
/// After so long what was typed is taken for lost.
const TYPED_AGAIN: Duration = Duration::from_secs(20);

/// The colour of the button that Enter presses.
const DEFAULT_BUTTON: [u8; 3] = [0x1f, 0x63, 0xd6];

impl Manager<'_> {
    /// What its process has used.
    ///
    /// # Errors
    /// It is gone.
    pub fn usage(&self) -> Result<Usage> {
        Usage::of(self.process.0.id())
    }

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
            self.window.key(Key::ENTER)?;
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
        self.window.shortcut("ctrl+q")?;
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

impl Running {
    /// Ends it at once.
    fn end(&mut self) -> Result<()> {
        self.0.kill()?;
        self.0.wait()?;
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end().ok();
    }
}

/// A window on a desktop.
pub struct Window<'a> {
    desktop: &'a Desktop,
    id: String,
}

/// What speaks with programs that have windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Windowing {
    /// An X server (Xvfb) with a window manager (openbox).
    X11,
    /// A Wayland compositor (sway).
    Wayland,
}

impl Desktop {
    /// With a screen of 1600 by 1000 pixels.
    ///
    /// # Errors
    /// The server or the window manager could not be started.
    pub fn start(windowing: Windowing) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("desktop").tempdir()?;
        let server: Box<dyn Server> = match windowing {
            Windowing::X11 => Box::new(X11::start()?),
            Windowing::Wayland => Box::new(Wayland::start(dir.path())?),
        };
        Ok(Desktop { server, dir, pictures: AtomicU32::new(0) })
    }

    /// Lets a program, which is not started yet, be on this desktop.
    pub fn surround<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        self.server.surround(command);
        command
    }

    /// Opens the manager of the library of `tandem`, and waits for its window.
    ///
    /// # Errors
    /// It doesn't open.
    pub fn manager(&self, tandem: &Tandem) -> Result<Manager<'_>> {
        let mut command = tandem.command::<&str>([]);
        let began = Instant::now();
        let process = self.surround(&mut command).stderr(Stdio::null()).spawn().context("can't run tandem")?;
        // It is ended with the value from now on, whatever happens.
        let process = Running(process);
        let window = self.window("Tandem")?;
        let took = began.elapsed();
        window.activate()?;
        Ok(Manager { window, took, process })
    }

    /// Waits for a window of that title.
    ///
    /// # Errors
    /// None came.
    pub fn window(&self, title: &str) -> Result<Window<'_>> {
        let first = || Ok(self.server.find(title)?.into_iter().next());
        let id = wait(&format!("the window {title:?}"), PATIENCE, WINDOW_POLL, first)?;
        Ok(Window { desktop: self, id })
    }

    /// Whether there is a window of that title.
    ///
    /// # Errors
    /// The server is gone.
    pub fn shows(&self, title: &str) -> Result<bool> {
        Ok(!self.server.find(title)?.is_empty())
    }

    /// Waits until there is no window of that title.
    ///
    /// # Errors
    /// One stays.
    pub fn wait_gone(&self, title: &str) -> Result<()> {
        wait_until(&format!("the end of {title:?}"), PATIENCE, || Ok((!self.shows(title)?).then_some(())))
    }

    /// Ends the server at once, as a crash would.
    ///
    /// # Errors
    /// It can't be ended.
    pub fn crash(&mut self) -> Result<()> {
        self.server.crash()
    }

    fn picture_file(&self) -> PathBuf {
        self.dir.path().join(format!("{}.png", self.pictures.fetch_add(1, Ordering::Relaxed)))
    }
}

impl Window<'_> {
    /// Brings it to the front, with the keyboard.
    ///
    /// # Errors
    /// It is gone.
    pub fn activate(&self) -> Result<()> {
        self.desktop.server.activate(&self.id)
    }

    /// Presses a key.
    ///
    /// # Errors
    /// The server is gone.
    pub fn key(&self, key: Key) -> Result<()> {
        self.chord(&[key])
    }

    /// Presses a key with others held, as `ctrl+n`.
    ///
    /// # Errors
    /// The server is gone, or there is no such key.
    pub fn shortcut(&self, keys: &str) -> Result<()> {
        self.chord(&keys::named(keys)?)
    }

    /// Presses keys together, the first ones held.
    ///
    /// # Errors
    /// The server is gone.
    pub fn chord(&self, keys: &[Key]) -> Result<()> {
        self.desktop.server.press(&keys::chord(keys))
    }

    /// Types a text.
    ///
    /// # Errors
    /// The server is gone, or the keyboard doesn't have a character.
    pub fn type_text(&self, text: &str) -> Result<()> {
        self.desktop.server.press(&keys::typed(text)?)
    }

    /// Clicks at a place in it.
    ///
    /// # Errors
    /// It is gone.
    pub fn click(&self, x: u32, y: u32) -> Result<()> {
        self.desktop.server.click(&self.id, x, y)
    }

    /// Moves the mouse by so many counts.
    ///
    /// # Errors
    /// The server is gone.
    pub fn move_by(&self, dx: i32, dy: i32) -> Result<()> {
        self.desktop.server.move_by(dx, dy)
    }

    /// What it shows.
    ///
    /// # Errors
    /// It is gone.
    pub fn picture(&self) -> Result<Picture> {
        let file = self.desktop.picture_file();
        self.desktop.server.capture(&self.id, &file)?;
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

/// Runs one of the desktop's programs, and gives what it printed.
fn said(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("can't run {program}"))?;
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "{program} failed: {}", err.trim());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
