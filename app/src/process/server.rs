//! The answering side of the control protocol: a thread for the socket, and one for each connection.

use std::{
    io::{self, Write},
    os::{
        fd::OwnedFd,
        unix::net::{UnixListener, UnixStream},
    },
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use machine::{
    console::Input,
    control::{Envelope, LINE_MAX, Reply, Request, VERSION},
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{
    connections::{Connections, Place},
    input::{Sitting, Unfinished},
    machine::Machine,
    serial::{SEATS, Seat},
    window::{self, Taken},
};
use crate::{descriptors, output};

/// Files that may wait for their request on one connection.
const FILES_MAX: usize = 4;
/// How long the other end may leave an answer unread.
const ANSWER_PATIENCE: Duration = Duration::from_secs(30);

/// Starts to answer at `listener`, for as long as the process lives.
pub(super) fn serve(listener: UnixListener, machine: Arc<Machine>) -> io::Result<()> {
    let connections = Arc::new(Connections::default());
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

fn connect(socket: UnixStream, machine: &Arc<Machine>, connections: &Arc<Connections>) {
    let socket = Arc::new(socket);
    let Some(place) = connections.admit(&socket, Instant::now()) else {
        let _ = answer(&socket, &Reply::Refused("too many connections to this machine are open".into()));
        return;
    };
    let sitting = machine.desk().sit_down(place.id());
    let connection = Connection {
        socket,
        machine: machine.clone(),
        files: Vec::new(),
        seat: None,
        window: None,
        bytes: Vec::new(),
        sitting,
    };
    let talk = move || {
        if let Err(error) = connection.talk(place) {
            tracing::debug!(%error, "a control connection ended");
        }
    };
    if let Err(error) = std::thread::Builder::new().name("connection".into()).spawn(talk) {
        tracing::warn!(%error, "no thread for a control connection");
    }
}

fn answer(mut socket: &UnixStream, reply: &Reply) -> Result<()> {
    let mut line = serde_json::to_vec(reply)?;
    line.push(b'\n');
    Ok(socket.write_all(&line)?)
}

struct Connection {
    socket: Arc<UnixStream>,
    machine: Arc<Machine>,
    files: Vec<OwnedFd>,
    /// The place at the serial line, once it was asked for.
    seat: Option<Seat>,
    /// The window's place, likewise.
    window: Option<Taken>,
    /// What follows the next answer.
    bytes: Vec<u8>,
    sitting: Sitting,
}

impl Connection {
    fn talk(mut self, place: Place) -> Result<()> {
        self.socket.set_write_timeout(Some(ANSWER_PATIENCE))?;
        let mut buffer = Vec::new();
        let mut chunk = vec![0; 16 * 1024];
        loop {
            while let Some(end) = buffer.iter().position(|&byte| byte == b'\n') {
                place.busy();
                let rest = buffer.split_off(end + 1);
                let line = std::mem::replace(&mut buffer, rest);
                let reply = self.reply(&line);
                answer(&self.socket, &reply)?;
                (&*self.socket).write_all(&std::mem::take(&mut self.bytes))?;
                if let Some(seat) = self.seat.take() {
                    // From here on it is no control connection.
                    drop(place);
                    let (machine, socket) = (self.machine.clone(), self.socket.try_clone()?);
                    drop(self);
                    return machine.attach_serial(seat, socket, &buffer).context("the serial line");
                }
                if let Some(taken) = self.window.take() {
                    drop(place);
                    let (machine, socket) = (self.machine.clone(), self.socket.clone());
                    drop(self);
                    return window::serve(&machine, &taken, &socket, buffer).context("the window");
                }
                self.files.clear();
            }
            if buffer.len() > LINE_MAX {
                return answer(&self.socket, &Reply::Refused("this request has no end".into()));
            }
            place.idle(Instant::now());
            let count = descriptors::receive(&self.socket, &mut chunk, &mut self.files)?;
            if count == 0 {
                return Ok(());
            }
            if self.files.len() > FILES_MAX {
                return answer(&self.socket, &Reply::Refused("too many files came with this request".into()));
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
            Request::Screenshot => {
                self.bytes = machine.screenshot()?;
                return Ok(Reply::Picture { bytes: self.bytes.len() });
            }
            Request::Thumbnail { width, height, known } => {
                let Some((png, number)) = machine.thumbnail((width, height), known)? else { return Ok(Reply::Done) };
                self.bytes = png;
                return Ok(Reply::Thumbnail { bytes: self.bytes.len(), number });
            }
            Request::Text => return Ok(Reply::Text(machine.text().map(|text| text.to_string()))),
            Request::Input(inputs) => return self.input(&inputs),
            Request::Serial => {
                let seat = machine.serial_seat();
                let full =
                    || format!("{SEATS} programs are attached to this machine's serial port: end one of them first");
                self.seat = Some(seat.with_context(full)?);
                return Ok(Reply::Attached);
            }
            Request::Eject { drive, force } => machine.eject(&drive, force)?,
            Request::Insert { drive, name } => {
                let file = self.files.pop().context("no disc came with this request")?;
                machine.insert(&drive, &name, file.into())?;
            }
            Request::Console { display } => {
                if let Some(taken) = machine.window().take(&display, &self.socket)? {
                    self.window = Some(taken);
                    return Ok(Reply::Console);
                }
                // One is open there, and comes to the front.
            }
            Request::Statistics => return Ok(Reply::Statistics(machine.statistics()?)),
            Request::Registers => return Ok(Reply::Registers(machine.registers()?)),
        }
        Ok(Reply::Done)
    }

    fn input(&mut self, inputs: &[Input]) -> Result<Reply> {
        let wanted = || !has_hung_up(&self.socket);
        match self.sitting.carry_out(inputs, &wanted) {
            Ok(()) => Ok(Reply::Done),
            Err(Unfinished::Untaken { taken, waiting }) => Ok(Reply::Untaken { taken, waiting }),
            Err(Unfinished::Others) => anyhow::bail!("other programs keep this machine's keyboard and mouse busy"),
            Err(Unfinished::Unwanted) => anyhow::bail!("the other end has hung up"),
        }
    }
}

/// Whether the other end is gone. One that has only no more to say isn't.
pub(super) fn has_hung_up(socket: &UnixStream) -> bool {
    let mut events = [PollFd::new(socket, PollFlags::empty())];
    poll(&mut events, Some(&Timespec::default())).is_ok_and(|count| count > 0)
}
