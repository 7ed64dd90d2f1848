//! The answering side of the control protocol: a thread for the socket, and one for each connection.

use std::{
    io::{self, Write},
    os::{
        fd::OwnedFd,
        unix::net::{UnixListener, UnixStream},
    },
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use machine::{
    console::Input,
    control::{Envelope, LINE_MAX, Reply, Request, VERSION},
};

use super::machine::Machine;
use crate::{descriptors, output};

/// Connections at a time. A machine has one window, one manager and a few command lines; more is a mistake.
const CONNECTIONS_MAX: usize = 64;
/// Files that may wait for their request on one connection.
const FILES_MAX: usize = 4;
/// How long a person holds a key, and waits before the next: the guest's own buffers are small.
const KEY_PACE: Duration = Duration::from_millis(20);
/// How long the guest may leave a key or a movement untaken.
const INPUT_PATIENCE: Duration = Duration::from_secs(10);

/// Starts to answer at `listener`, for as long as the process lives.
pub(super) fn serve(listener: UnixListener, machine: Arc<Machine>) -> io::Result<()> {
    let connections = Arc::new(AtomicUsize::new(0));
    let accept = move || {
        for socket in listener.incoming() {
            match socket {
                Ok(socket) => connect(socket, &machine, &connections),
                Err(error) => {
                    // Out of descriptors, for example: that passes when a connection ends.
                    tracing::warn!(%error, "a control connection was not taken");
                    std::thread::sleep(Duration::from_millis(100));
                }
            }
        }
    };
    std::thread::Builder::new().name("control".into()).spawn(accept)?;
    Ok(())
}

fn connect(socket: UnixStream, machine: &Arc<Machine>, connections: &Arc<AtomicUsize>) {
    if connections.fetch_add(1, Ordering::SeqCst) >= CONNECTIONS_MAX {
        connections.fetch_sub(1, Ordering::SeqCst);
        let mut socket = socket;
        let _ = answer(&mut socket, &Reply::Refused("too many connections to this machine are open".into()));
        return;
    }
    let (machine, connections) = (machine.clone(), connections.clone());
    let ended = connections.clone();
    let talk = move || {
        if let Err(error) = (Connection { socket, machine, files: Vec::new() }).talk() {
            tracing::debug!(%error, "a control connection ended");
        }
        connections.fetch_sub(1, Ordering::SeqCst);
    };
    if let Err(error) = std::thread::Builder::new().name("connection".into()).spawn(talk) {
        tracing::warn!(%error, "no thread for a control connection");
        ended.fetch_sub(1, Ordering::SeqCst);
    }
}

fn answer(socket: &mut UnixStream, reply: &Reply) -> Result<()> {
    let mut line = serde_json::to_vec(reply)?;
    line.push(b'\n');
    Ok(socket.write_all(&line)?)
}

struct Connection {
    socket: UnixStream,
    machine: Arc<Machine>,
    files: Vec<OwnedFd>,
}

impl Connection {
    fn talk(mut self) -> Result<()> {
        let mut buffer = Vec::new();
        let mut chunk = vec![0; 16 * 1024];
        loop {
            while let Some(end) = buffer.iter().position(|&byte| byte == b'\n') {
                let rest = buffer.split_off(end + 1);
                let line = std::mem::replace(&mut buffer, rest);
                match self.reply(&line) {
                    Reply::Attached => {
                        answer(&mut self.socket, &Reply::Attached)?;
                        return self.machine.attach_serial(self.socket, &buffer).context("the serial line");
                    }
                    Reply::Picture { .. } => self.send_picture()?,
                    reply => answer(&mut self.socket, &reply)?,
                }
                self.files.clear();
            }
            if buffer.len() > LINE_MAX {
                return answer(&mut self.socket, &Reply::Refused("this request has no end".into()));
            }
            let count = descriptors::receive(&self.socket, &mut chunk, &mut self.files)?;
            if count == 0 {
                return Ok(());
            }
            if self.files.len() > FILES_MAX {
                return answer(&mut self.socket, &Reply::Refused("too many files came with this request".into()));
            }
            buffer.extend_from_slice(&chunk[..count]);
        }
    }

    fn reply(&mut self, line: &[u8]) -> Reply {
        let request = match serde_json::from_slice::<Envelope>(line) {
            Ok(Envelope { version: VERSION, request }) => request,
            Ok(Envelope { version, .. }) => {
                let why = "this machine was started by another version of Tandem";
                return Reply::Refused(format!("{why} (it speaks {VERSION}, not {version}): restart the machine"));
            }
            Err(error) => return Reply::Refused(format!("this request can't be understood: {error}")),
        };
        self.carry_out(request).unwrap_or_else(|error| Reply::Refused(output::sentence(&error)))
    }

    fn carry_out(&mut self, request: Request) -> Result<Reply> {
        use machine::driver::Request as Ask;
        let machine = &self.machine;
        match request {
            Request::Status => return Ok(Reply::Status(machine.status())),
            Request::Pause => machine.ask(Ask::Pause)?,
            Request::Resume => machine.ask(Ask::Resume)?,
            Request::Reset => machine.ask(Ask::Reset)?,
            Request::Stop => machine.ask(Ask::PowerButton)?,
            Request::Kill => machine.ask(Ask::Kill)?,
            // The bytes are made when the reply is sent.
            Request::Screenshot => return Ok(Reply::Picture { bytes: 0 }),
            Request::Text => return Ok(Reply::Text(machine.text().map(|text| text.to_string()))),
            Request::Input(inputs) => inputs.iter().try_for_each(|input| self.input(input))?,
            Request::Serial => return Ok(Reply::Attached),
            Request::Eject { drive, force } => machine.eject(&drive, force)?,
            Request::Insert { drive, name } => {
                let file = self.files.pop().context("no disc came with this request")?;
                machine.insert(&drive, &name, file.into())?;
            }
            Request::Statistics => return Ok(Reply::Statistics(machine.statistics()?)),
        }
        Ok(Reply::Done)
    }

    fn send_picture(&mut self) -> Result<()> {
        match self.machine.screenshot() {
            Ok(png) => {
                answer(&mut self.socket, &Reply::Picture { bytes: png.len() })?;
                Ok(self.socket.write_all(&png)?)
            }
            Err(error) => answer(&mut self.socket, &Reply::Refused(output::sentence(&error))),
        }
    }

    /// Does what a person does at the console: waits until the guest has taken it, and then as long as a person.
    fn input(&self, input: &Input) -> Result<()> {
        self.machine.input(input);
        let deadline = Instant::now() + INPUT_PATIENCE;
        while !self.machine.input_is_taken() {
            if Instant::now() > deadline {
                let seconds = INPUT_PATIENCE.as_secs();
                anyhow::bail!("the guest did not take a key in {seconds} s; those before it were delivered");
            }
            std::thread::sleep(KEY_PACE / 4);
        }
        std::thread::sleep(KEY_PACE);
        Ok(())
    }
}
