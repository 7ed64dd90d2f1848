//! How long it takes from a key to a changed pixel, as an X server sees it.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use x11rb::connection::Connection;
use x11rb::protocol::xproto::{ConnectionExt as _, ImageFormat, KEY_PRESS_EVENT, KEY_RELEASE_EVENT};
use x11rb::protocol::xtest::ConnectionExt as _;
use x11rb::rust_connection::RustConnection;

use super::Window;
use crate::keys::{FIRST_X_CODE, Key};
use crate::wait::wait;

/// A change that takes longer than this was not made by the key.
const LONGEST: Duration = Duration::from_secs(5);

/// How often it is looked at: a look takes a tenth of this.
const POLL: Duration = Duration::from_millis(1);

/// A picture that has stood still for so long is what the last key made of it.
const SETTLED: Duration = Duration::from_secs(1);

/// A person with a stopwatch, at a window under X11, who presses one key and lets it go.
pub struct Stopwatch {
    connection: RustConnection,
    window: u32,
    root: u32,
    key: Key,
    /// The part of the window that the key changes: left, top, width, height.
    part: [u16; 4],
    /// What is in that part when the key is up, and when it is down.
    up: Vec<u8>,
    down: Vec<u8>,
}

impl Stopwatch {
    /// Looks at a part (left, top, width, height) of a window, in which nothing but a key changes anything. Presses the key to see
    /// what it changes.
    ///
    /// # Errors
    /// The window is not on an X server, or that is gone; the key changes nothing, or other things do.
    pub fn new(window: &Window<'_>, part: [u16; 4], key: Key) -> Result<Self> {
        let name = window.desktop.server.x_display().context("there is no X server")?;
        let (connection, screen) = x11rb::connect(Some(name))?;
        let root = connection.setup().roots.get(screen).context("an X server has a screen")?.root;
        let (up, down) = (Vec::new(), Vec::new());
        let mut stopwatch = Self { connection, window: window.id.parse()?, root, key, part, up, down };
        stopwatch.press(true)?;
        stopwatch.down = stopwatch.settled()?;
        stopwatch.press(false)?;
        stopwatch.up = stopwatch.settled()?;
        ensure!(stopwatch.up != stopwatch.down, "the key changes nothing");
        Ok(stopwatch)
    }

    /// How long it takes from the key's press, or from letting it go, to the first change: both, one after the other. The picture
    /// has shown the other for so long before.
    ///
    /// # Errors
    /// Nothing changes.
    pub fn strokes(&self, still: Duration) -> Result<[Duration; 2]> {
        Ok([self.stroke(true, still)?, self.stroke(false, still)?])
    }

    fn stroke(&self, down: bool, still: Duration) -> Result<Duration> {
        // Pictures that come late could be taken for its doing.
        let before = if down { &self.up } else { &self.down };
        let mut since = None;
        wait("the last stroke's picture", LONGEST, POLL, || {
            since = if self.look()? == *before { since.or_else(|| Some(Instant::now())) } else { None };
            Ok(since.filter(|since| since.elapsed() >= still))
        })?;
        let start = Instant::now();
        self.press(down)?;
        let changed = || Ok((self.look()? != *before).then(|| start.elapsed()));
        wait("the picture to change", LONGEST, POLL, changed)
    }

    fn press(&self, down: bool) -> Result<()> {
        let kind = if down { KEY_PRESS_EVENT } else { KEY_RELEASE_EVENT };
        let code = u8::try_from(self.key.0 + FIRST_X_CODE)?;
        self.connection.xtest_fake_input(kind, code, 0, self.root, 0, 0, 0)?;
        Ok(self.connection.flush()?)
    }

    /// Waits until nothing changes any more, and gives what there is then.
    fn settled(&self) -> Result<Vec<u8>> {
        let mut last = (self.look()?, Instant::now());
        wait("the picture to stand still", LONGEST, POLL, || {
            let now = self.look()?;
            if now != last.0 {
                last = (now, Instant::now());
            }
            Ok((last.1.elapsed() >= SETTLED).then(|| last.0.clone()))
        })
    }

    fn look(&self) -> Result<Vec<u8>> {
        let [x, y, width, height] = self.part;
        let (x, y) = (i16::try_from(x)?, i16::try_from(y)?);
        let image = self.connection.get_image(ImageFormat::Z_PIXMAP, self.window, x, y, width, height, u32::MAX)?;
        Ok(image.reply()?.data)
    }
}
