//! The asking side of the control protocol.

use std::{
    io::{self, Read},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
    path::Path,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use machine::control::{Envelope, LINE_MAX, Reply, Request};

use crate::{address, descriptors};

/// How long a machine may take to answer. Pausing waits for disk requests that are under way.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long keys and pointer may take: a program waits until others have typed their texts.
const INPUT_PATIENCE: Duration = Duration::from_secs(600);

/// A connection to a machine's process.
pub(crate) struct Client {
    socket: UnixStream,
    buffer: Vec<u8>,
    /// Files that came with what was read.
    files: Vec<OwnedFd>,
}

/// A machine answered that it did not do what was asked; its own sentence.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Refused(pub(crate) String);

/// A machine's process is there, but did not answer.
#[derive(Debug, thiserror::Error)]
#[error("the machine did not answer in time")]
pub(crate) struct Late;

impl Client {
    /// Connects to the machine that listens at `path`, within `patience`. `None`: nobody does.
    ///
    /// # Errors
    /// The socket is there, but can't be used; [`Late`].
    pub(crate) fn connect(path: &Path, patience: Duration) -> Result<Option<Client>> {
        match address::connect(path, patience) {
            Ok(socket) => {
                socket.set_read_timeout(Some(PATIENCE))?;
                socket.set_write_timeout(Some(PATIENCE))?;
                Ok(Some(Client { socket, buffer: Vec::new(), files: Vec::new() }))
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
                Ok(None)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(Late.into()),
            Err(error) => Err(error).with_context(|| format!("can't reach the machine at {}", path.display())),
        }
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// [`Refused`], or the connection broke.
    pub(crate) fn ask(&mut self, request: Request) -> Result<Reply> {
        self.ask_with(request, &[])
    }

    /// Asks what the machine is doing, and waits no longer than `patience`.
    ///
    /// # Errors
    /// As [`Client::ask`]; [`Late`].
    pub(crate) fn status(&mut self, patience: Duration) -> Result<Reply> {
        self.ask_within(patience, Request::Status)
    }

    /// Asks for what depends on the guest, and on others who ask for the same.
    ///
    /// # Errors
    /// As [`Client::ask`].
    pub(crate) fn ask_patiently(&mut self, request: Request) -> Result<Reply> {
        self.ask_within(INPUT_PATIENCE, request)
    }

    fn ask_within(&mut self, limit: Duration, request: Request) -> Result<Reply> {
        self.socket.set_read_timeout(Some(limit))?;
        let reply = self.ask(request)?;
        self.socket.set_read_timeout(Some(PATIENCE))?;
        Ok(reply)
    }

    /// As [`Client::ask`], with open files.
    ///
    /// # Errors
    /// As [`Client::ask`].
    pub(crate) fn ask_with(&mut self, request: Request, files: &[BorrowedFd<'_>]) -> Result<Reply> {
        let mut line = serde_json::to_vec(&Envelope::new(request))?;
        line.push(b'\n');
        if line.len() > LINE_MAX {
            bail!("this is too long to be sent at once ({} bytes)", line.len());
        }
        descriptors::send(self.socket.as_fd(), &line, files)
            .context("the machine's process doesn't listen any more")?;
        match serde_json::from_slice(&self.line()?).context("the machine's answer can't be understood")? {
            Reply::Refused(why) => Err(Refused(why).into()),
            reply => Ok(reply),
        }
    }

    /// The bytes that follow a [`Reply::Picture`].
    ///
    /// # Errors
    /// The connection broke.
    pub(crate) fn bytes(&mut self, count: usize) -> Result<Vec<u8>> {
        let mut bytes = std::mem::take(&mut self.buffer);
        let missing = count.saturating_sub(bytes.len());
        self.buffer = bytes.split_off(bytes.len().min(count));
        (&mut self.socket).take(missing as u64).read_to_end(&mut bytes)?;
        if bytes.len() != count {
            bail!("the machine's process ended in the middle of its answer");
        }
        Ok(bytes)
    }

    /// The raw connection after a [`Reply::Attached`] or [`Reply::Console`], with the bytes and files that have arrived
    /// already.
    pub(crate) fn into_parts(self) -> (UnixStream, Vec<u8>, Vec<OwnedFd>) {
        (self.socket, self.buffer, self.files)
    }

    fn line(&mut self) -> Result<Vec<u8>> {
        let mut chunk = [0; 4096];
        loop {
            if let Some(end) = self.buffer.iter().position(|&byte| byte == b'\n') {
                let rest = self.buffer.split_off(end + 1);
                return Ok(std::mem::replace(&mut self.buffer, rest));
            }
            if self.buffer.len() > LINE_MAX {
                bail!("the machine's answer has no end");
            }
            // What follows the answer at once may come with files.
            let received = descriptors::receive(&self.socket, &mut chunk, &mut self.files);
            let count = received.map_err(|error| match error.kind() {
                io::ErrorKind::WouldBlock => anyhow::Error::new(Late),
                _ => error.into(),
            })?;
            if count == 0 {
                bail!("the machine's process ended before it answered");
            }
            self.buffer.extend_from_slice(&chunk[..count]);
        }
    }
}

impl From<Client> for OwnedFd {
    fn from(client: Client) -> OwnedFd {
        client.socket.into()
    }
}
