//! How long it takes from a key to a changed pixel, as an X server sees it.

use std::ffi::OsStr;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use x11rb::connection::Connection;
use x11rb::protocol::xproto::{ConnectionExt as _, ImageFormat, KEY_PRESS_EVENT, KEY_RELEASE_EVENT};
use x11rb::protocol::xtest::ConnectionExt as _;
use x11rb::rust_connection::RustConnection;

use super::Window;
use super::keys::{FIRST_X_CODE, Key};
use crate::wait::wait;

/// A change that takes longer than this was not made by the key.
const LONGEST: Duration = Duration::from_secs(5);

/// How often it is looked at: a look takes a tenth of this.
const POLL: Duration = Duration::from_millis(1);

/// A person with a stopwatch, at a window under X11.
pub struct Stopwatch {
    connection: RustConnection,
    window: u32,
    root: u32,
    /// The part of the window that keys change: left, top, width, height.
    part: [u16; 4],
}

impl Stopwatch {
    /// Looks at a part (left, top, width, height) of a window, in which nothing but keys changes anything.
    ///
    /// # Errors
    /// The window is not on an X server, or that is gone.
    pub fn new(window: &Window<'_>, part: [u16; 4]) -> Result<Self> {
        let mut program = Command::new("");
        window.desktop.server.surround(&mut program);
        let mut surroundings = program.get_envs();
        let name = surroundings.find_map(|(name, value)| (name == "DISPLAY").then_some(value)).flatten();
        let name = name.and_then(OsStr::to_str).context("there is no X server")?;
        let (connection, screen) = x11rb::connect(Some(name))?;
        let root = connection.setup().roots.get(screen).context("an X server has a screen")?.root;
        Ok(Self { connection, window: window.id.parse()?, root, part })
    }

    /// How long it takes from pressing a key to the first change.
    ///
    /// # Errors
    /// Nothing changes.
    pub fn press(&self, key: Key) -> Result<Duration> {
        self.stroke(key, KEY_PRESS_EVENT)
    }

    /// How long it takes from letting a key go to the first change.
    ///
    /// # Errors
    /// Nothing changes.
    pub fn release(&self, key: Key) -> Result<Duration> {
        self.stroke(key, KEY_RELEASE_EVENT)
    }

    fn stroke(&self, key: Key, kind: u8) -> Result<Duration> {
        let before = self.look()?;
        let code = u8::try_from(key.0 + FIRST_X_CODE)?;
        let start = Instant::now();
        self.connection.xtest_fake_input(kind, code, 0, self.root, 0, 0, 0)?;
        self.connection.flush()?;
        let changed = || Ok((self.look()? != before).then(|| start.elapsed()));
        wait("the picture to change", LONGEST, POLL, changed)
    }

    fn look(&self) -> Result<Vec<u8>> {
        let [x, y, width, height] = self.part;
        let (x, y) = (i16::try_from(x)?, i16::try_from(y)?);
        let image = self.connection.get_image(ImageFormat::Z_PIXMAP, self.window, x, y, width, height, u32::MAX)?;
        Ok(image.reply()?.data)
    }
}
