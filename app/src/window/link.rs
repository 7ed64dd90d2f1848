//! The window's end of its connection to the machine ([`machine::window`]).

use std::{
    fs::File,
    io::{self, Write},
    net::Shutdown,
    os::{fd::OwnedFd, unix::fs::FileExt, unix::net::UnixStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::{Context, Result, bail};
use machine::{
    console::{Frame, Input, Rect},
    control::Status,
    window::{FromWindow, LINE_MAX, ToWindow},
};
use parking_lot::Mutex;

use crate::descriptors;

/// The largest picture that is taken, in pixels: more than any display adapter of ours has memory for.
const PIXELS_MAX: u64 = 64 << 20;

/// What the machine has said.
#[derive(Default)]
pub(super) struct Seen {
    /// The picture, up to date.
    pub(super) frame: Frame,
    /// What of it is new since this was last emptied.
    pub(super) damage: Vec<Rect>,
    /// Pictures and parts of pictures that came.
    pub(super) updates: u64,
    /// The machine's last status.
    pub(super) status: Option<Status>,
    /// Somebody wants to see the window.
    pub(super) raise: bool,
    /// The connection is over, and why.
    pub(super) over: Option<Over>,
}

/// Why a connection is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    /// The machine's process hung up: its run is over.
    Ended,
    /// Another window has taken this one's place.
    Replaced,
}

/// A connection. Clones share it.
#[derive(Clone)]
pub(super) struct Link {
    socket: Arc<UnixStream>,
    seen: Arc<Mutex<Seen>>,
    /// One message at a time.
    sending: Arc<Mutex<()>>,
    /// Nothing of the machine is heard.
    muted: Arc<AtomicBool>,
}

impl Link {
    /// Goes on with a connection on which the machine has answered
    /// [`Reply::Console`](machine::control::Reply::Console); `first` has arrived already, with `files`. `wake` is called
    /// whenever something new was seen.
    ///
    /// # Errors
    /// The host gives no thread.
    pub(super) fn new(
        socket: UnixStream,
        first: Vec<u8>,
        files: Vec<OwnedFd>,
        wake: impl Fn() + Send + 'static,
    ) -> io::Result<Self> {
        socket.set_read_timeout(None)?;
        let link =
            Link { socket: Arc::new(socket), seen: Arc::default(), sending: Arc::default(), muted: Arc::default() };
        let reader = Reader { link: link.clone(), buffer: first, files, memory: None };
        std::thread::Builder::new().name("link".into()).spawn(move || reader.run(&wake))?;
        Ok(link)
    }

    /// What was seen. It is to be locked for a moment only.
    pub(super) fn seen(&self) -> parking_lot::MutexGuard<'_, Seen> {
        self.seen.lock()
    }

    /// What the person does. A machine that has gone doesn't hear it.
    pub(super) fn input(&self, inputs: Vec<Input>) {
        if !inputs.is_empty() {
            self.say(&FromWindow::Input(inputs));
        }
    }

    /// Whether anybody can see the picture.
    pub(super) fn visible(&self, visible: bool) {
        self.say(&FromWindow::Visible(visible));
    }

    /// Hangs up: from now on the machine has no window, even while this process takes its time to end.
    pub(super) fn hang_up(&self) {
        // Where it fails, the machine has hung up before.
        let _ = self.socket.shutdown(Shutdown::Both);
    }

    /// Whether what the machine plays is kept silent.
    pub(super) fn is_muted(&self) -> bool {
        self.muted.load(Ordering::Relaxed)
    }

    /// Keeps what the machine plays silent, or doesn't.
    pub(super) fn mute(&self, muted: bool) {
        self.muted.store(muted, Ordering::Relaxed);
    }

    fn say(&self, message: &FromWindow) {
        let Ok(mut line) = serde_json::to_vec(message) else { return };
        line.push(b'\n');
        let _one = self.sending.lock();
        if let Err(error) = (&*self.socket).write_all(&line) {
            // The reader finds out as well, and says so.
            tracing::debug!(%error, "the machine doesn't listen");
        }
    }
}

struct Reader {
    link: Link,
    buffer: Vec<u8>,
    files: Vec<OwnedFd>,
    memory: Option<File>,
}

impl Reader {
    fn run(mut self, wake: &dyn Fn()) {
        let over = match self.read_all(wake) {
            Ok(over) => over,
            Err(error) => {
                tracing::warn!("the connection to the machine ended: {error:#}");
                Over::Ended
            }
        };
        self.link.seen.lock().over = Some(over);
        wake();
    }

    fn read_all(&mut self, wake: &dyn Fn()) -> Result<Over> {
        let mut chunk = vec![0; 16 * 1024];
        loop {
            while let Some(end) = self.buffer.iter().position(|&byte| byte == b'\n') {
                let rest = self.buffer.split_off(end + 1);
                let line = std::mem::replace(&mut self.buffer, rest);
                let message = serde_json::from_slice(&line).context("a message that can't be understood")?;
                if message == ToWindow::Replaced {
                    return Ok(Over::Replaced);
                }
                self.take(message)?;
                wake();
            }
            if self.buffer.len() > LINE_MAX {
                bail!("a message without an end");
            }
            let count = descriptors::receive(&*self.link.socket, &mut chunk, &mut self.files)?;
            if count == 0 {
                return Ok(Over::Ended);
            }
            self.buffer.extend_from_slice(&chunk[..count]);
        }
    }

    /// The file that came with a message; messages and files have the same order.
    fn take_file(&mut self) -> Option<OwnedFd> {
        (!self.files.is_empty()).then(|| self.files.remove(0))
    }

    fn take(&mut self, message: ToWindow) -> Result<()> {
        match message {
            ToWindow::Picture { width, height } => {
                if u64::from(width) * u64::from(height) > PIXELS_MAX {
                    bail!("a picture of {width} by {height} pixels");
                }
                let mut frame = Frame::new(width, height);
                self.memory = None;
                if width != 0 && height != 0 {
                    let file = File::from(self.take_file().context("a picture came without its memory")?);
                    read(&file, &mut frame, Rect { x: 0, y: 0, width, height })?;
                    self.memory = Some(file);
                }
                let mut seen = self.link.seen.lock();
                seen.damage = vec![frame.bounds()];
                seen.frame = frame;
                seen.updates += 1;
            }
            ToWindow::Damage(rects) => {
                let file = self.memory.as_ref().context("a change came before a picture")?;
                let mut seen = self.link.seen.lock();
                let bounds = seen.frame.bounds();
                for rect in rects {
                    if !contains(&bounds, &rect) {
                        bail!("a change beside the picture: {rect:?}");
                    }
                    read(file, &mut seen.frame, rect)?;
                    seen.damage.push(rect);
                }
                seen.updates += 1;
            }
            ToWindow::Status(status) => {
                self.link.seen.lock().status = Some(status);
                return Ok(());
            }
            ToWindow::Raise => {
                self.link.seen.lock().raise = true;
                return Ok(());
            }
            ToWindow::Sound => {
                let packets = self.take_file().context("sound came without its socket")?;
                super::sound::play(packets, self.link.muted.clone()).context("the host gives no thread")?;
                return Ok(());
            }
            ToWindow::Replaced => return Ok(()),
        }
        self.link.say(&FromWindow::Seen);
        Ok(())
    }
}

fn contains(outer: &Rect, inner: &Rect) -> bool {
    let end = |start: u32, length: u32| start.checked_add(length);
    inner.x >= outer.x
        && inner.y >= outer.y
        && end(inner.x, inner.width).is_some_and(|right| right <= outer.x + outer.width)
        && end(inner.y, inner.height).is_some_and(|bottom| bottom <= outer.y + outer.height)
}

/// Reads `rect`, which lies inside of `frame`, from the memory of a picture of the same size.
fn read(file: &File, frame: &mut Frame, rect: Rect) -> io::Result<()> {
    let width = frame.width() as usize;
    let bytes: &mut [u8] = bytemuck::cast_slice_mut(frame.pixels_mut());
    let rows = rect.y as usize..rect.y as usize + rect.height as usize;
    if rect.width as usize == width {
        let (start, end) = (rows.start * width * 4, rows.end * width * 4);
        return file.read_exact_at(&mut bytes[start..end], start as u64);
    }
    for row in rows {
        let start = (row * width + rect.x as usize) * 4;
        file.read_exact_at(&mut bytes[start..start + rect.width as usize * 4], start as u64)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead, BufReader},
        os::fd::AsFd,
        sync::mpsc,
        time::Duration,
    };

    use super::*;

    /// A machine's end, and a link whose every wake is told.
    fn pair() -> (UnixStream, Link, mpsc::Receiver<()>) {
        let (machine, window) = UnixStream::pair().unwrap();
        machine.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let (woken, wakes) = mpsc::channel();
        let link = Link::new(window, Vec::new(), Vec::new(), move || {
            let _ = woken.send(());
        })
        .unwrap();
        (machine, link, wakes)
    }

    fn tell(machine: &UnixStream, message: &ToWindow, file: Option<&File>) {
        let mut line = serde_json::to_vec(message).unwrap();
        line.push(b'\n');
        let files: Vec<_> = file.map(AsFd::as_fd).into_iter().collect();
        descriptors::send(machine, &line, &files).unwrap();
    }

    fn wait(wakes: &mpsc::Receiver<()>) {
        wakes.recv_timeout(Duration::from_secs(10)).unwrap();
    }

    #[test]
    fn a_picture_and_its_changes_arrive_and_are_acknowledged() {
        let (machine, link, wakes) = pair();
        let file = tempfile::tempfile().unwrap();
        let mut pixels = [1_u32, 2, 3, 4, 5, 6];
        file.write_all_at(bytemuck::cast_slice(&pixels), 0).unwrap();
        tell(&machine, &ToWindow::Picture { width: 3, height: 2 }, Some(&file));
        wait(&wakes);
        assert_eq!(link.seen().frame.pixels(), pixels);
        pixels[4] = 50;
        file.write_all_at(bytemuck::cast_slice(&pixels), 0).unwrap();
        let part = Rect { x: 1, y: 1, width: 1, height: 1 };
        link.seen().damage.clear();
        tell(&machine, &ToWindow::Damage(vec![part]), None);
        wait(&wakes);
        assert_eq!(link.seen().frame.pixels(), pixels);
        assert_eq!(link.seen().damage, [part]);
        let mut lines = BufReader::new(&machine).lines();
        for _ in 0..2 {
            assert_eq!(lines.next().unwrap().unwrap(), r#""seen""#);
        }
        drop(lines);
        drop(machine);
        wait(&wakes);
        assert_eq!(link.seen().over, Some(Over::Ended));
    }

    #[test]
    fn what_makes_no_sense_ends_the_connection() {
        let small = Rect { x: 0, y: 0, width: 1, height: 1 };
        let beside = Rect { x: 1, y: 0, width: u32::MAX, height: 1 };
        let too_large = ToWindow::Picture { width: u32::MAX, height: u32::MAX };
        let without_memory = ToWindow::Picture { width: 1, height: 1 };
        for messages in [
            vec![ToWindow::Damage(vec![small])],
            vec![too_large],
            vec![without_memory],
            vec![ToWindow::Picture { width: 0, height: 0 }, ToWindow::Damage(vec![beside])],
        ] {
            let (machine, link, wakes) = pair();
            messages.iter().for_each(|message| tell(&machine, message, None));
            while link.seen().over.is_none() {
                wait(&wakes);
            }
            assert_eq!(link.seen().over, Some(Over::Ended), "{messages:?}");
        }
    }

    #[test]
    fn a_window_that_is_replaced_knows_it() {
        let (machine, link, wakes) = pair();
        tell(&machine, &ToWindow::Raise, None);
        wait(&wakes);
        assert!(link.seen().raise);
        tell(&machine, &ToWindow::Replaced, None);
        wait(&wakes);
        assert_eq!(link.seen().over, Some(Over::Replaced));
    }
}
