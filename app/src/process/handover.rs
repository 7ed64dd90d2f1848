//! The handover from whoever opens a machine's files to the process that runs it.
//!
//! The opener (`tandem run`) opens each file that the machine needs, takes the machine's lock, and becomes the machine's
//! process by `exec`: a socket on standard input carries the [`Handover`] and the open files. The process itself opens
//! nothing by name, so that it can be confined.

use std::{
    collections::BTreeMap,
    fs::File,
    io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::{net::UnixStream, process::CommandExt},
    },
    path::PathBuf,
    process::Command,
};

use anyhow::{Context, Result, bail};
use machine::definition::ImageFormat;
use serde::{Deserialize, Serialize};

use crate::descriptors::{self, DESCRIPTORS_MAX};

/// The word by which the program knows that it is a machine's process.
pub(crate) const ARGUMENT: &str = "machine-process";

/// An index into the open files.
type Index = usize;

/// One image of a disk.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ImageFile {
    pub(crate) file: Index,
    /// As the definition names it.
    pub(crate) format: ImageFormat,
    pub(crate) read_only: bool,
}

/// What a machine's process is told, beside the open files.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Handover {
    /// The definition, as TOML.
    pub(crate) definition: String,
    /// The machine's folder: where the record of the run is.
    pub(crate) folder: PathBuf,
    /// The machine's lock, to be held until the process ends.
    pub(crate) lock: Index,
    /// Where the control socket is, to be removed at the end.
    pub(crate) socket_path: PathBuf,
    /// The control socket, listening.
    pub(crate) socket: Index,
    /// The run's log.
    pub(crate) log: Index,
    /// Each disk's chain, base first, by the disk's id.
    pub(crate) disks: BTreeMap<String, Vec<ImageFile>>,
    /// An empty unnamed file for each disk whose writes are thrown away.
    pub(crate) scratch: BTreeMap<String, Index>,
    /// The disc in each CD drive that has one.
    pub(crate) discs: BTreeMap<String, Index>,
    /// The firmware.
    pub(crate) firmware: Index,
    /// The display adapter's option ROM.
    pub(crate) video_rom: Option<Index>,
    /// The kernel to start directly.
    pub(crate) kernel: Option<Index>,
    /// Its initial file system.
    pub(crate) initrd: Option<Index>,
    /// Where the first serial port's output goes.
    pub(crate) serial: Option<Index>,
    /// That file's path, if it was made for this run.
    #[serde(default)]
    pub(crate) serial_made: Option<PathBuf>,
    /// What holds up a shutdown of the computer for as long as it is open.
    #[serde(default)]
    pub(crate) inhibitor: Option<Index>,
    /// Nobody waits at a terminal: standard output carries one line that says whether the machine runs, and is closed.
    pub(crate) detached: bool,
    /// The last run didn't end as it should: its disks may hold clusters that nothing uses.
    pub(crate) after_crash: bool,
}

impl Handover {
    /// Nothing comes of the start: removes the file that was made for it.
    pub(crate) fn remove_made(&self) {
        if let Some(path) = &self.serial_made {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// The open files of a handover that is being put together.
#[derive(Default)]
pub(crate) struct Files(Vec<OwnedFd>);

impl Files {
    /// Adds a file, and gives its index.
    pub(crate) fn add(&mut self, file: impl Into<OwnedFd>) -> Index {
        self.0.push(file.into());
        self.0.len() - 1
    }
}

/// Becomes the machine's process. Returns only if that failed.
pub(crate) fn become_machine(handover: &Handover, name: &str, files: &Files) -> anyhow::Error {
    match send(handover, files) {
        Ok(socket) => {
            if let Err(error) = rustix::stdio::dup2_stdin(&socket) {
                return anyhow::Error::new(io::Error::from(error)).context("can't hand over the machine's files");
            }
            // What the caller had open and where it stood is not the machine's: it would keep pipes from ending, and file
            // systems from being unmounted.
            let kept = hypervisor::host::close_on_exec_from(3).and_then(|()| std::env::set_current_dir("/"));
            if let Err(error) = kept {
                return anyhow::Error::new(error).context("can't let go of the caller's files");
            }
            // The name is for whoever looks at a list of processes.
            let error = Command::new("/proc/self/exe").arg0("tandem").args([ARGUMENT, name]).exec();
            anyhow::Error::new(error).context("can't start the machine's process")
        }
        Err(error) => error,
    }
}

/// Puts everything into a socket; the kernel keeps it until the other end is read.
fn send(handover: &Handover, files: &Files) -> Result<UnixStream> {
    if files.0.len() > DESCRIPTORS_MAX {
        bail!("the machine has {} files; {DESCRIPTORS_MAX} can be handed over", files.0.len());
    }
    let (near, far) = UnixStream::pair().context("can't make a socket for the handover")?;
    let body = serde_json::to_vec(handover)?;
    let mut message = (body.len() as u64).to_le_bytes().to_vec();
    message.extend_from_slice(&body);
    // The far end is read after exec, by this same process: it must not block.
    near.set_nonblocking(true)?;
    let borrowed: Vec<BorrowedFd<'_>> = files.0.iter().map(AsFd::as_fd).collect();
    descriptors::send(&near, &message, &borrowed).context("the machine's definition is too large to hand over")?;
    Ok(far)
}

/// A handover's open files, on the side of the machine's process. Each is taken once.
pub(crate) struct Received(Vec<Option<OwnedFd>>);

impl Received {
    /// Takes the file at `index`.
    ///
    /// # Errors
    /// There is none, or it was taken.
    pub(crate) fn take(&mut self, index: Index) -> Result<File> {
        let file = self.0.get_mut(index).and_then(Option::take);
        Ok(file.with_context(|| format!("file {index} was not handed over"))?.into())
    }

    /// Takes the file at `index`, if one is named.
    ///
    /// # Errors
    /// As [`Received::take`].
    pub(crate) fn take_if(&mut self, index: Option<Index>) -> Result<Option<File>> {
        index.map(|index| self.take(index)).transpose()
    }
}

/// Receives the handover from standard input, and closes that. The definition in it was not looked at yet.
///
/// # Errors
/// Standard input is no such socket, or what came isn't a handover.
pub(crate) fn receive() -> Result<(Handover, Received)> {
    let wrong = "this is for Tandem's own use: start a machine with `tandem run NAME`";
    let socket = rustix::stdio::stdin();
    let (mut bytes, mut descriptors) = (Vec::new(), Vec::new());
    let mut chunk = vec![0; 64 * 1024];
    let wanted = loop {
        let count = descriptors::receive(socket, &mut chunk, &mut descriptors).context(wrong)?;
        bytes.extend_from_slice(&chunk[..count]);
        let wanted = bytes.first_chunk().map(|len| u64::from_le_bytes(*len) as usize + 8);
        if wanted.is_some_and(|wanted| bytes.len() >= wanted) || count == 0 {
            break wanted;
        }
    };
    if wanted != Some(bytes.len()) {
        bail!(wrong);
    }
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    let handover: Handover = serde_json::from_slice(&bytes[8..]).context(wrong)?;
    Ok((handover, Received(descriptors.into_iter().map(Some).collect())))
}
