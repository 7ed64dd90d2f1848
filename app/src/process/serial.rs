//! The far end of the first serial port: a file, and whoever is attached.
//!
//! The guest's output goes into a bounded queue, and from there, on a thread of its own, to the file and to everybody
//! attached. A full queue makes the port say that its transmitter is busy, so that nothing is lost and the guest's
//! processor is never blocked.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, Read, Write},
    os::unix::net::UnixStream,
    sync::{Arc, OnceLock},
    time::Duration,
};

use parking_lot::{Condvar, Mutex};
use vmm_engine::uart::SerialPort;

/// Bytes that may wait.
const QUEUE: usize = 64 * 1024;
/// How long an attached reader may hold up the line before it is let go.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Default)]
struct State {
    waiting: VecDeque<u8>,
    attached: Vec<UnixStream>,
    /// The worker is writing what it took.
    busy: bool,
    /// The port has more than there was room for.
    starved: bool,
    /// The port has room for input again.
    receiver_ready: bool,
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
        self.0.state.lock().receiver_ready = true;
        self.0.changed.notify_all();
    }
}

impl SerialLine {
    /// A line whose output goes to `file`, if there is one.
    ///
    /// # Errors
    /// The host can't make a thread.
    pub(crate) fn new(file: Option<File>) -> io::Result<Arc<Self>> {
        let line = Arc::new(SerialLine::default());
        let worker = line.clone();
        std::thread::Builder::new().name("serial".into()).spawn(move || worker.work(file))?;
        Ok(line)
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

    /// Attaches `socket`: it gets what the guest sends from now on; what it sends goes to `receive`, which takes as many
    /// bytes as the port has room for. Returns when the other end hangs up.
    ///
    /// # Errors
    /// The socket's.
    pub(crate) fn attach(
        &self,
        mut socket: UnixStream,
        first: &[u8],
        receive: impl Fn(&[u8]) -> usize,
    ) -> io::Result<()> {
        let output = socket.try_clone()?;
        output.set_write_timeout(Some(PATIENCE))?;
        self.state.lock().attached.push(output);
        self.deliver(first, &receive);
        let mut chunk = [0; 1024];
        loop {
            match socket.read(&mut chunk) {
                Ok(0) => return Ok(()),
                Ok(count) => self.deliver(&chunk[..count], &receive),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits until everything that was offered is written, at most for `limit`.
    pub(crate) fn flush(&self, limit: Duration) {
        let mut state = self.state.lock();
        self.changed.wait_while_for(&mut state, |state| state.busy || !state.waiting.is_empty(), limit);
    }

    fn work(&self, mut file: Option<File>) {
        loop {
            let mut state = self.state.lock();
            state.busy = false;
            self.changed.notify_all();
            self.changed.wait_while(&mut state, |state| state.waiting.is_empty());
            let bytes: Vec<u8> = std::mem::take(&mut state.waiting).into();
            state.busy = true;
            let starved = std::mem::take(&mut state.starved);
            let mut attached = std::mem::take(&mut state.attached);
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
            attached.retain_mut(|socket| socket.write_all(&bytes).is_ok());
            self.state.lock().attached.append(&mut attached);
        }
    }

    /// Hands `bytes` to the port as it has room. A guest that doesn't read its port lets them wait for as long as it
    /// likes, like a line with flow control.
    fn deliver(&self, mut bytes: &[u8], receive: &impl Fn(&[u8]) -> usize) {
        while !bytes.is_empty() {
            self.state.lock().receiver_ready = false;
            bytes = &bytes[receive(bytes)..];
            if !bytes.is_empty() {
                let mut state = self.state.lock();
                self.changed.wait_while(&mut state, |state| !state.receiver_ready);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Seek, Write},
        time::Instant,
    };

    use super::*;

    const LIMIT: Duration = Duration::from_secs(20);

    #[test]
    fn output_reaches_the_file_and_everybody_attached() {
        let mut file = tempfile::tempfile().unwrap();
        let line = SerialLine::new(Some(file.try_clone().unwrap())).unwrap();
        let (mut near, far) = UnixStream::pair().unwrap();
        near.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let deadline = Instant::now() + LIMIT;
        let (attached, input) = (line.clone(), Arc::new(Mutex::new(Vec::new())));
        let (sink, mut port) = (input.clone(), Port(line.clone()));
        let reader = std::thread::spawn(move || {
            let port = Mutex::new(&mut port);
            attached.attach(far, b"early ", |bytes| {
                sink.lock().push(bytes[0]);
                port.lock().receiver_ready();
                1
            })
        });
        near.write_all(b"late").unwrap();
        let mut seen = Vec::new();
        while !seen.ends_with(b"ping") {
            line.offer(b"ping");
            let mut chunk = [0; 64];
            match near.read(&mut chunk) {
                Ok(count) => seen.extend_from_slice(&chunk[..count]),
                // What was offered before the line was attached went to the file alone.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => assert!(Instant::now() < deadline),
                Err(error) => panic!("{error}"),
            }
        }
        drop(near);
        reader.join().unwrap().unwrap();
        line.flush(LIMIT);
        assert_eq!(*input.lock(), b"early late");
        let mut text = String::new();
        file.rewind().unwrap();
        file.read_to_string(&mut text).unwrap();
        assert!(text.starts_with("pingping") || text == "ping", "{text}");
    }

    #[test]
    fn a_line_that_nobody_empties_takes_no_more_than_its_queue() {
        let line = SerialLine::default();
        assert_eq!(line.offer(&vec![0; QUEUE + 10]), QUEUE);
        assert_eq!(line.offer(&[0]), 0);
    }
}
