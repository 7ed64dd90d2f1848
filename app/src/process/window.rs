//! The machine's end of the connection to its window ([`machine::window`]): pictures out, keys and pointer in.
//!
//! A window is a process of its own. Its end, by its person, its display or a crash, is the end of a connection here: the
//! keys that it held are let go, and the machine runs on.

use std::{
    fs::File,
    io,
    os::{
        fd::{AsFd, BorrowedFd},
        unix::{fs::FileExt, net::UnixStream},
    },
    sync::{
        Arc,
        mpsc::{self, Receiver, Sender},
    },
    time::Duration,
};

use anyhow::{Context, Result, bail};
use display::pump::{Update, Viewer};
use machine::{
    console::{Frame, Rect},
    window::{FromWindow, LINE_MAX, ToWindow},
};
use parking_lot::Mutex;
use rustix::fs::MemfdFlags;

use super::{input::Hands, machine::Machine, server::has_hung_up};
use crate::descriptors;

/// How often a thread that waits for the machine's status looks whether its window is still there.
const STATUS_CHECK: Duration = Duration::from_secs(1);

/// What a window's connection has to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    Picture,
    Seen,
    Visible(bool),
    Status,
    Raise,
    Replaced,
    Gone,
}

/// The place for a machine's window: there is one at a time.
#[derive(Default)]
pub(super) struct WindowPlace(Mutex<Occupant>);

#[derive(Default)]
struct Occupant {
    last: u64,
    open: Option<Open>,
}

struct Open {
    id: u64,
    display: String,
    events: Sender<Event>,
    socket: UnixStream,
}

impl WindowPlace {
    /// Takes the place for a window on `display`, at the other end of `socket`. One on another display goes; one on the
    /// same comes to the front, and `None` is given, unless it has hung up: its process may take a while to end.
    ///
    /// # Errors
    /// The process has no more descriptors.
    pub(super) fn take(self: &Arc<Self>, display: &str, socket: &UnixStream) -> io::Result<Option<Taken>> {
        let socket = socket.try_clone()?;
        let mut occupant = self.0.lock();
        if let Some(open) = &occupant.open {
            let same = open.display == display;
            let told = open.events.send(if same { Event::Raise } else { Event::Replaced });
            if same && told.is_ok() && !has_hung_up(&open.socket) {
                return Ok(None);
            }
        }
        let (events, received) = mpsc::channel();
        occupant.last += 1;
        let id = occupant.last;
        occupant.open = Some(Open { id, display: display.to_owned(), events: events.clone(), socket });
        Ok(Some(Taken { place: self.clone(), id, events, received }))
    }

    /// Whether the one who took it as number `id` has it still.
    fn is_of(&self, id: u64) -> bool {
        self.0.lock().open.as_ref().is_some_and(|open| open.id == id)
    }
}

/// The place, taken until this is dropped.
pub(super) struct Taken {
    place: Arc<WindowPlace>,
    id: u64,
    events: Sender<Event>,
    received: Receiver<Event>,
}

impl Drop for Taken {
    fn drop(&mut self) {
        let mut occupant = self.place.0.lock();
        if occupant.open.as_ref().is_some_and(|open| open.id == self.id) {
            occupant.open = None;
        }
    }
}

/// Serves a window until either end hangs up. `first` has arrived already.
///
/// # Errors
/// The connection's, or what the window says can't be understood.
pub(super) fn serve(machine: &Arc<Machine>, taken: &Taken, socket: &UnixStream, first: Vec<u8>) -> Result<()> {
    // A window may be silent for as long as its person is.
    socket.set_read_timeout(None)?;
    let listener = Listener { machine: machine.clone(), events: taken.events.clone(), socket: socket.try_clone()? };
    std::thread::Builder::new().name("window-input".into()).spawn(move || listener.listen(first))?;
    let (events, watched, id) = (taken.events.clone(), machine.clone(), taken.id);
    std::thread::Builder::new().name("window-status".into()).spawn(move || watch_status(&watched, id, &events))?;
    let (sound, _listening) = machine.listen().context("the machine's sound")?;
    let mut show = Show { machine, socket, events: &taken.events, viewer: None, memory: None, free: true, fresh: true };
    show.tell(&ToWindow::Sound, Some(sound.as_fd()))?;
    drop(sound);
    show.look(true);
    let shown = show.run(&taken.received);
    // Whoever waits in the other thread is woken.
    let _ = socket.shutdown(std::net::Shutdown::Both);
    shown
}

/// Tells of each change of the machine's status, as long as the window number `id` is there.
fn watch_status(machine: &Machine, id: u64, events: &Sender<Event>) {
    let mut known = None;
    while machine.window().is_of(id) {
        let now = machine.watch_status(STATUS_CHECK, known.as_ref());
        let over = now.end.is_some();
        if known.as_ref() != Some(&now) && events.send(Event::Status).is_err() || over {
            return;
        }
        known = Some(now);
    }
}

/// Takes what a window says.
struct Listener {
    machine: Arc<Machine>,
    events: Sender<Event>,
    socket: UnixStream,
}

impl Listener {
    fn listen(mut self, first: Vec<u8>) {
        if let Err(error) = self.take_all(first) {
            tracing::debug!(%error, "a window's connection ended");
        }
        let _ = self.events.send(Event::Gone);
    }

    fn take_all(&mut self, first: Vec<u8>) -> Result<()> {
        use std::io::{BufRead, BufReader, Read};
        let mut hands = self.machine.desk().hands();
        let mut lines = BufReader::new(io::Cursor::new(first).chain(&self.socket));
        let mut line = Vec::new();
        loop {
            line.clear();
            let count = (&mut lines).take(LINE_MAX as u64).read_until(b'\n', &mut line)?;
            if count == 0 {
                return Ok(());
            }
            if line.last() != Some(&b'\n') {
                bail!("a message without an end");
            }
            match serde_json::from_slice(&line).context("a message that can't be understood")? {
                FromWindow::Seen => self.events.send(Event::Seen)?,
                FromWindow::Visible(visible) => self.events.send(Event::Visible(visible))?,
                FromWindow::Input(inputs) => {
                    inputs.iter().for_each(|input| Hands::act(&mut hands, input));
                    self.machine.hurry_picture();
                }
            }
        }
    }
}

/// Tells a window what there is to see.
struct Show<'a> {
    machine: &'a Arc<Machine>,
    socket: &'a UnixStream,
    events: &'a Sender<Event>,
    /// While somebody can see it.
    viewer: Option<Viewer>,
    /// The window's copy of the picture: its memory and its size.
    memory: Option<(File, u32, u32)>,
    /// The window has taken what it was told last.
    free: bool,
    /// There is something new.
    fresh: bool,
}

impl Show<'_> {
    fn run(&mut self, events: &Receiver<Event>) -> Result<()> {
        while let Ok(event) = events.recv() {
            match event {
                Event::Picture => self.fresh = true,
                Event::Seen => self.free = true,
                Event::Visible(visible) => self.look(visible),
                Event::Status => self.tell(&ToWindow::Status(self.machine.status()), None)?,
                Event::Raise => self.tell(&ToWindow::Raise, None)?,
                Event::Replaced => {
                    self.tell(&ToWindow::Replaced, None)?;
                    return Ok(());
                }
                Event::Gone => return Ok(()),
            }
            if self.free && self.fresh {
                self.show()?;
            }
        }
        Ok(())
    }

    /// Begins or ends to look at the picture.
    fn look(&mut self, visible: bool) {
        if !visible {
            self.viewer = None;
        } else if self.viewer.is_none() {
            let events = self.events.clone();
            self.viewer = Some(self.machine.viewer(move || {
                let _ = events.send(Event::Picture);
            }));
            self.fresh = true;
        }
    }

    /// Brings the window's copy up to date, and says so.
    fn show(&mut self) -> Result<()> {
        self.fresh = false;
        let Some(viewer) = &self.viewer else { return Ok(()) };
        let memory = &mut self.memory;
        let Some(message) = viewer.take(|update| bring(&update, memory)) else { return Ok(()) };
        let message = message.context("the picture can't be shared")?;
        self.free = false;
        let file = match &message {
            ToWindow::Picture { .. } => self.memory.as_ref().map(|(file, ..)| file.as_fd()),
            _ => None,
        };
        self.tell(&message, file)
    }

    fn tell(&self, message: &ToWindow, file: Option<BorrowedFd<'_>>) -> Result<()> {
        let mut line = serde_json::to_vec(message)?;
        line.push(b'\n');
        Ok(descriptors::send(self.socket, &line, file.as_slice())?)
    }
}

/// Brings `memory` up to date. Gives the message that says so.
fn bring(update: &Update<'_>, memory: &mut Option<(File, u32, u32)>) -> io::Result<ToWindow> {
    let (width, height) = (update.frame.width(), update.frame.height());
    match memory {
        Some((file, has_width, has_height)) if (*has_width, *has_height) == (width, height) => {
            update.damage.iter().try_for_each(|&rect| write(file, update.frame, rect))?;
            Ok(ToWindow::Damage(update.damage.to_vec()))
        }
        _ if width == 0 || height == 0 => {
            *memory = None;
            Ok(ToWindow::Picture { width, height })
        }
        _ => {
            let file = File::from(rustix::fs::memfd_create("tandem-picture", MemfdFlags::CLOEXEC)?);
            write(&file, update.frame, update.frame.bounds())?;
            *memory = Some((file, width, height));
            Ok(ToWindow::Picture { width, height })
        }
    }
}

/// Writes `rect`, which lies inside of `frame`, where it belongs in the memory of a picture.
fn write(file: &File, frame: &Frame, rect: Rect) -> io::Result<()> {
    let width = frame.width() as usize;
    let bytes: &[u8] = bytemuck::cast_slice(frame.pixels());
    let rows = rect.y as usize..rect.y as usize + rect.height as usize;
    if rect.width as usize == width {
        let (start, end) = (rows.start * width * 4, rows.end * width * 4);
        return file.write_all_at(&bytes[start..end], start as u64);
    }
    for row in rows {
        let start = (row * width + rect.x as usize) * 4;
        file.write_all_at(&bytes[start..start + rect.width as usize * 4], start as u64)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_window_on_the_same_display_raises_the_first_and_one_on_another_takes_its_place() {
        let (socket, _window) = UnixStream::pair().unwrap();
        let place = Arc::new(WindowPlace::default());
        let first = place.take("x11:0", &socket).unwrap().unwrap();
        assert!(place.take("x11:0", &socket).unwrap().is_none());
        assert_eq!(first.received.try_recv(), Ok(Event::Raise));
        let second = place.take("x11:1", &socket).unwrap().unwrap();
        assert_eq!(first.received.try_recv(), Ok(Event::Replaced));
        // The first one's end doesn't give away the second one's place.
        drop(first);
        assert!(place.take("x11:1", &socket).unwrap().is_none());
        drop(second);
        assert!(place.take("x11:1", &socket).unwrap().is_some());
    }

    #[test]
    fn a_window_that_has_hung_up_is_not_waited_for() {
        let place = Arc::new(WindowPlace::default());
        let (socket, window) = UnixStream::pair().unwrap();
        let first = place.take("x11:0", &socket).unwrap().unwrap();
        window.shutdown(std::net::Shutdown::Both).unwrap();
        let (socket, _window) = UnixStream::pair().unwrap();
        let second = place.take("x11:0", &socket).unwrap().unwrap();
        drop(first);
        assert!(place.is_of(second.id));
    }

    #[test]
    fn the_memory_of_a_picture_follows_its_damage() {
        let mut frame = Frame::new(4, 3);
        frame.pixels_mut().copy_from_slice(&std::array::from_fn::<u32, 12, _>(|index| index as u32));
        let mut memory = None;
        let whole = [frame.bounds()];
        let update = Update { frame: &frame, sequence: 1, resized: true, damage: &whole };
        assert_eq!(bring(&update, &mut memory).unwrap(), ToWindow::Picture { width: 4, height: 3 });
        let part = [Rect { x: 1, y: 1, width: 2, height: 2 }];
        frame.pixels_mut().fill(0xff_ffff);
        let update = Update { frame: &frame, sequence: 2, resized: false, damage: &part };
        assert_eq!(bring(&update, &mut memory).unwrap(), ToWindow::Damage(part.to_vec()));
        let mut bytes = [0; 48];
        memory.as_ref().unwrap().0.read_exact_at(&mut bytes, 0).unwrap();
        let white = 0xff_ffff;
        let expected = [0, 1, 2, 3, 4, white, white, 7, 8, white, white, 11];
        assert_eq!(bytemuck::cast_slice::<u8, u32>(&bytes), expected);
        let nothing = Frame::new(0, 0);
        let update = Update { frame: &nothing, sequence: 3, resized: true, damage: &[] };
        assert_eq!(bring(&update, &mut memory).unwrap(), ToWindow::Picture { width: 0, height: 0 });
        assert!(memory.is_none());
    }
}
