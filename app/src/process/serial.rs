//! The far end of the first serial port: a file, and whoever is attached.
//!
//! The guest's output goes into a bounded queue, and from there, on a thread of its own, to the file and to everybody
//! attached. A full queue makes the port say that its transmitter is busy, so that nothing is lost and the guest's
//! processor is never blocked.
//!
//! Input waits for a guest that doesn't read its port, as on a line with flow control, but holds nobody: whoever hangs
//! up is noticed and let go.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, Read, Write},
    net::Shutdown,
    os::{fd::OwnedFd, unix::net::UnixStream},
    sync::{Arc, OnceLock},
    time::Duration,
};

use parking_lot::{Condvar, Mutex};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use vmm_engine::uart::SerialPort;

/// Bytes that may wait.
const QUEUE: usize = 64 * 1024;
/// How long an attached reader may hold up the line before it is let go.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long the guest may leave untaken what somebody sent who has hung up since.
const LINGER: Duration = Duration::from_secs(2);
/// How many may be attached at a time.
pub(crate) const SEATS: usize = 16;

#[derive(Default)]
struct State {
    waiting: VecDeque<u8>,
    attached: Vec<Arc<Client>>,
    /// Those with input for the port, in the order of their turns. Whoever becomes the first is rung for.
    queue: VecDeque<Arc<Client>>,
    /// Taken by whoever is attached, or about to be.
    seats: usize,
    /// The worker may write.
    open: bool,
    /// Nothing more comes: the worker writes what is there, and lets go of the file.
    closing: bool,
    /// It has.
    closed: bool,
    /// The port has more than there was room for.
    starved: bool,
}

impl State {
    fn ring_for_the_first(&self) {
        if let Some(first) = self.queue.front() {
            first.ring();
        }
    }
}

/// Tells the port that there is room for its output again.
type Ready = Box<dyn Fn() + Send + Sync>;

/// The line.
#[derive(Default)]
pub(crate) struct SerialLine {
    state: Mutex<State>,
    changed: Condvar,
    ready: OnceLock<Ready>,
}

/// The line's end at the guest's port. The port's lock is held while it is called: it takes only the line's own.
pub(crate) struct Port(pub(crate) Arc<SerialLine>);

impl SerialPort for Port {
    fn send(&mut self, bytes: &[u8]) -> usize {
        self.0.offer(bytes)
    }

    fn receiver_ready(&mut self) {
        self.0.state.lock().ring_for_the_first();
    }
}

impl SerialLine {
    /// A line whose output goes to `file`, if there is one. Nothing is written before [`SerialLine::open`].
    ///
    /// # Errors
    /// The host can't make a thread.
    pub(crate) fn new(file: Option<File>) -> io::Result<Arc<Self>> {
        let line = Arc::new(SerialLine::default());
        let worker = line.clone();
        std::thread::Builder::new().name("serial".into()).spawn(move || worker.work(file))?;
        Ok(line)
    }

    /// Empties the file, and lets the output flow to it: the start can't fail any more.
    pub(crate) fn open(&self) {
        self.state.lock().open = true;
        self.changed.notify_all();
    }

    /// Says how to tell the port that there is room again. Once.
    pub(crate) fn connect(&self, ready: impl Fn() + Send + Sync + 'static) {
        let _ = self.ready.set(Box::new(ready));
    }

    /// Takes as many of `bytes` as there is room for.
    pub(crate) fn offer(&self, bytes: &[u8]) -> usize {
        let mut state = self.state.lock();
        let count = bytes.len().min(QUEUE - state.waiting.len());
        state.starved |= count < bytes.len();
        state.waiting.extend(&bytes[..count]);
        self.changed.notify_all();
        count
    }

    /// A place for one more to be attached; `None` when all are taken.
    pub(crate) fn seat(self: &Arc<Self>) -> Option<Seat> {
        let mut state = self.state.lock();
        if state.seats >= SEATS {
            return None;
        }
        state.seats += 1;
        Some(Seat(self.clone()))
    }

    /// The run is over: waits until everything that was offered is written and the file is closed, at most for `limit`.
    /// The next run may use the file then.
    pub(crate) fn close(&self, limit: Duration) {
        let mut state = self.state.lock();
        state.closing = true;
        self.changed.notify_all();
        self.changed.wait_while_for(&mut state, |state| !state.closed, limit);
    }

    fn work(&self, mut file: Option<File>) {
        self.changed.wait_while(&mut self.state.lock(), |state| !state.open);
        if let Some(file) = &file
            && let Err(error) = begin_anew(file)
        {
            tracing::error!(%error, "the serial port's file still begins with what was in it");
        }
        loop {
            let mut state = self.state.lock();
            self.changed.wait_while(&mut state, |state| state.waiting.is_empty() && !state.closing);
            if state.waiting.is_empty() {
                drop(file);
                state.closed = true;
                self.changed.notify_all();
                return;
            }
            let bytes: Vec<u8> = std::mem::take(&mut state.waiting).into();
            let starved = std::mem::take(&mut state.starved);
            let attached = state.attached.clone();
            drop(state);
            if let Some(ready) = self.ready.get().filter(|_| starved) {
                ready();
            }
            if let Some(writer) = &mut file
                && let Err(error) = writer.write_all(&bytes)
            {
                tracing::error!(%error, "the serial port's file can't be written; its output goes on without it");
                file = None;
            }
            for client in attached {
                if let Err(error) = (&client.socket).write_all(&bytes) {
                    tracing::info!(%error, "somebody attached to the serial port is let go");
                    self.forget(&client);
                }
            }
        }
    }

    fn queue_up(&self, client: &Arc<Client>) {
        let mut state = self.state.lock();
        state.queue.push_back(client.clone());
        state.ring_for_the_first();
    }

    fn leave_queue(&self, client: &Arc<Client>) {
        let mut state = self.state.lock();
        state.queue.retain(|other| !Arc::ptr_eq(other, client));
        state.ring_for_the_first();
    }

    fn is_first(&self, client: &Arc<Client>) -> bool {
        self.state.lock().queue.front().is_some_and(|first| Arc::ptr_eq(first, client))
    }

    /// Lets `client` go: nothing more is sent to it, and its other end sees that.
    fn forget(&self, client: &Arc<Client>) {
        self.state.lock().attached.retain(|other| !Arc::ptr_eq(other, client));
        let _ = client.socket.shutdown(Shutdown::Both);
    }
}

/// A terminal, a pipe and the like have nothing to begin anew.
fn begin_anew(file: &File) -> io::Result<()> {
    if file.metadata()?.is_file() { file.set_len(0) } else { Ok(()) }
}

/// A place at the line for one who attaches. It is free again when this is dropped.
pub(crate) struct Seat(Arc<SerialLine>);

impl Seat {
    /// Attaches `socket`: it gets what the guest sends from now on; what it sends, after `first`, goes to `receive`,
    /// which takes as many bytes as the port has room for. Returns when the other end has hung up, or was too slow.
    ///
    /// # Errors
    /// The socket's.
    pub(crate) fn attach(self, socket: UnixStream, first: &[u8], receive: impl Fn(&[u8]) -> usize) -> io::Result<()> {
        socket.set_write_timeout(Some(PATIENCE))?;
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let client = Arc::new(Client { socket, bell });
        self.0.state.lock().attached.push(client.clone());
        let ended = client.listen(&self.0, first, receive);
        self.0.forget(&client);
        match ended {
            // It hung up without having read everything.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(()),
            ended => ended,
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.state.lock().seats -= 1;
    }
}

/// Somebody attached.
struct Client {
    socket: UnixStream,
    /// Rings when the port has room for input: each has its own, so that none takes another's.
    bell: OwnedFd,
}

impl Client {
    fn ring(&self) {
        // A bell that is full rings as well.
        let _ = rustix::io::write(&self.bell, &1_u64.to_ne_bytes());
    }

    fn listen(self: &Arc<Self>, line: &SerialLine, first: &[u8], receive: impl Fn(&[u8]) -> usize) -> io::Result<()> {
        let mut chunk = [0; 1024];
        let mut goes_on = self.deliver(line, first, &receive)?;
        while goes_on {
            goes_on = match (&self.socket).read(&mut chunk) {
                // It has no more to say, and may still listen.
                Ok(0) => return self.wait_for_hang_up(),
                Ok(count) => self.deliver(line, &chunk[..count], &receive)?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => true,
                Err(error) => return Err(error),
            };
        }
        Ok(())
    }

    /// Hands `bytes` to the port as it has room, in turn with others. `false`: the sender has hung up, and the guest
    /// doesn't take them.
    fn deliver(
        self: &Arc<Self>,
        line: &SerialLine,
        mut bytes: &[u8],
        receive: &impl Fn(&[u8]) -> usize,
    ) -> io::Result<bool> {
        line.queue_up(self);
        let mut goes_on = Ok(true);
        while !bytes.is_empty() && matches!(goes_on, Ok(true)) {
            if line.is_first(self) {
                let taken = receive(bytes).min(bytes.len());
                bytes = &bytes[taken..];
                if taken > 0 && !bytes.is_empty() {
                    line.leave_queue(self);
                    line.queue_up(self);
                }
            }
            if !bytes.is_empty() {
                goes_on = self.wait_for_room();
            }
        }
        line.leave_queue(self);
        goes_on
    }

    fn wait_for_room(&self) -> io::Result<bool> {
        let linger = Timespec::try_from(LINGER).map_err(io::Error::other)?;
        // No event is asked for: a hang-up is always told.
        let mut events = [PollFd::new(&self.bell, PollFlags::IN), PollFd::new(&self.socket, PollFlags::empty())];
        wait(&mut events, None)?;
        if events[0].revents().is_empty() && wait(&mut events[..1], Some(&linger))? == 0 {
            return Ok(false);
        }
        rustix::io::read(&self.bell, &mut [0; 8])?;
        Ok(true)
    }

    fn wait_for_hang_up(&self) -> io::Result<()> {
        wait(&mut [PollFd::new(&self.socket, PollFlags::empty())], None).map(drop)
    }
}

fn wait(events: &mut [PollFd<'_>], limit: Option<&Timespec>) -> io::Result<usize> {
    Ok(rustix::io::retry_on_intr(|| poll(events, limit))?)
}

#[cfg(test)]
mod tests;
