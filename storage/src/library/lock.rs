//! Who owns what: the library's lock, machines' locks, and the record of who runs a machine.
//!
//! Both locks are `flock(2)`: they belong to an open file description, so that a child process which inherits the
//! descriptor shares the ownership, and they end when the last holder does, however it ends.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use machine::timestamp::Timestamp;
use rustix::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    fs::{FlockOperation, OFlags, flock},
    io::Errno,
};
use serde::{Deserialize, Serialize};

use super::{
    Library, Machine,
    error::{Doing as _, LibraryError},
    fs,
};

pub(super) const LOCK: &str = "lock";
const RUN: &str = "run.json";
pub(super) const RUN_TEMPORARY: &str = ".run.json.new";

/// How long the library's lock is waited for. It is held for milliseconds; only a stopped process or a disk that hangs
/// keeps it longer.
const PATIENCE: Duration = Duration::from_secs(10);

/// The library's lock, held until dropped.
#[derive(Debug)]
pub(super) struct Guard(#[expect(dead_code, reason = "dropping it gives the lock back")] File);

impl Library {
    /// Takes the library's lock, to change something.
    pub(super) fn guard(&self) -> Result<Guard, LibraryError> {
        self.guard_within(PATIENCE)
    }

    fn guard_within(&self, patience: Duration) -> Result<Guard, LibraryError> {
        let path = self.root.join(LOCK);
        let file = fs::open_lock(&path, true).doing("open the lock", &path)?;
        let start = Instant::now();
        let mut pause = Duration::from_millis(1);
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Guard(file)),
                Err(Errno::WOULDBLOCK | Errno::INTR) => {}
                Err(error) => return Err(LibraryError::host("lock", &path, error)),
            }
            if start.elapsed() >= patience {
                return Err(LibraryError::Busy { path: self.root.clone(), seconds: patience.as_secs() });
            }
            // There is no `flock` with a time limit.
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(50));
        }
    }

    /// Becomes the owner of the machine called `name`: nobody else can run, edit, rename or delete it until the lock is
    /// dropped by everybody who has it.
    ///
    /// # Errors
    /// [`LibraryError::Running`] when somebody owns it; as [`Library::find`] otherwise.
    pub fn lock(&self, name: &str) -> Result<(Machine, MachineLock), LibraryError> {
        let _guard = self.guard()?;
        let machine = self.find(name)?;
        let lock = MachineLock::take(&machine.folder, machine.name().as_str())?;
        Ok((machine, lock))
    }

    /// Says to others that the run of `record`, whose process was ended because a person wanted it, ended as it should.
    /// Does nothing if another run has begun.
    ///
    /// # Errors
    /// [`LibraryError::Running`] when somebody owns the machine; what the host says.
    pub fn end_run_of(&self, machine: &Machine, record: &RunRecord) -> Result<(), LibraryError> {
        let _guard = self.guard()?;
        let lock = MachineLock::take(&machine.folder, machine.name().as_str())?;
        if RunRecord::read(&machine.folder).as_ref() == Some(record) {
            record.remove_socket();
            lock.end_run()?;
        }
        Ok(())
    }

    /// Who has `machine` now.
    ///
    /// # Errors
    /// When the folder can't be read.
    pub fn presence(&self, machine: &Machine) -> Result<Presence, LibraryError> {
        let path = machine.folder.join(LOCK);
        // In a library that can't be written nobody can own a machine, and there may be no lock to take.
        let guard = self.guard().ok();
        let owned = match fs::open_lock(&path, false) {
            Ok(file) => match flock(&file, FlockOperation::NonBlockingLockShared) {
                Ok(()) => false,
                Err(Errno::WOULDBLOCK) => true,
                Err(error) => return Err(LibraryError::host("look at the lock", &path, error)),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(LibraryError::host("look at the lock", &path, error)),
        };
        let record = RunRecord::read(&machine.folder);
        Ok(match (owned, record) {
            // The record of a crash doesn't name the process that is changing the machine now.
            (true, record) => Presence::Owned(record.filter(|record| record.names_holder_of(&path))),
            (false, Some(record)) => {
                // Nobody can begin to own the machine while the library's lock is held.
                if guard.is_some() {
                    record.remove_socket();
                }
                Presence::Crashed(record)
            }
            (false, None) => Presence::Off,
        })
    }
}

/// Who has a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presence {
    /// Nobody, and its last run ended as it should.
    Off,
    /// Nobody, but its last run didn't end as it should: the process or the host died.
    Crashed(RunRecord),
    /// Somebody: a process that runs it, if there is a record, or one that is about to, or is changing it.
    Owned(Option<RunRecord>),
}

/// Who runs a machine, written for others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRecord {
    /// The process.
    pub pid: u32,
    /// Since when, in seconds since the start of 1970.
    pub started: u64,
    /// Where it answers: found by others whatever their environment says.
    pub socket: PathBuf,
    /// Its log.
    pub log: Option<PathBuf>,
}

impl RunRecord {
    /// A record for this process.
    #[must_use]
    pub fn of_this_process(started: Timestamp, socket: PathBuf, log: Option<PathBuf>) -> Self {
        RunRecord { pid: std::process::id(), started: started.unix(), socket, log }
    }

    /// Removes the record of a run of this process, that came to nothing, from a machine's folder. Any other stays.
    ///
    /// # Errors
    /// What the host says.
    pub fn withdraw_own(folder: &Path) -> Result<(), LibraryError> {
        let path = folder.join(RUN);
        match RunRecord::read(folder) {
            Some(record) if record.pid == std::process::id() => fs::remove_file(&path).doing("delete", &path),
            _ => Ok(()),
        }
    }

    /// Removes the socket of a process that is dead. A file that isn't one stays, whatever the record says.
    fn remove_socket(&self) {
        use std::os::unix::fs::FileTypeExt as _;
        if self.socket.symlink_metadata().is_ok_and(|metadata| metadata.file_type().is_socket()) {
            // Without it nothing is lost: the next start removes it as well.
            let _ = fs::remove_file(&self.socket);
        }
    }

    /// Whether its process has the lock at `path` open: process numbers are used again.
    fn names_holder_of(&self, path: &Path) -> bool {
        let identity = |path: &Path| path.metadata().map(|metadata| (metadata.dev(), metadata.ino())).ok();
        let Some(lock) = identity(path) else { return true };
        match PathBuf::from(format!("/proc/{}/fd", self.pid)).read_dir() {
            Ok(mut files) => files.any(|file| file.is_ok_and(|file| identity(&file.path()) == Some(lock))),
            // Not for us to see: then it is as the record says.
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        }
    }

    /// The record in a machine's folder. One that can't be understood is none.
    fn read(folder: &Path) -> Option<Self> {
        let mut text = String::new();
        OpenOptions::new()
            .read(true)
            .custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed())
            .open(folder.join(RUN))
            .ok()?
            .take(64 * 1024)
            .read_to_string(&mut text)
            .ok()?;
        serde_json::from_str(&text).ok()
    }
}

/// Ownership of a machine.
#[derive(Debug)]
pub struct MachineLock {
    file: File,
    folder: PathBuf,
}

impl MachineLock {
    /// Takes the lock in `folder`. The caller has the library's lock, or the folder is not one that others know.
    pub(super) fn take(folder: &Path, name: &str) -> Result<Self, LibraryError> {
        let path = folder.join(LOCK);
        let file = fs::open_lock(&path, true).doing("open the lock", &path)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(MachineLock { file, folder: folder.to_owned() }),
            Err(Errno::WOULDBLOCK) => Err(LibraryError::Running { name: name.to_owned() }),
            Err(error) => Err(LibraryError::host("lock", &path, error)),
        }
    }

    /// The lock of the machine called `name` in `folder`, that whoever opened its files handed over as `fd`.
    ///
    /// # Errors
    /// When `fd` is another file, or the lock is somebody else's.
    pub fn from_fd(fd: OwnedFd, folder: &Path, name: &str) -> Result<Self, LibraryError> {
        let path = folder.join(LOCK);
        let file = File::from(fd);
        let [given, expected] = [file.metadata(), path.metadata()];
        let (given, expected) = (given.doing("look at the lock", &path)?, expected.doing("look at the lock", &path)?);
        if (given.dev(), given.ino()) != (expected.dev(), expected.ino()) {
            let wrong = io::Error::new(io::ErrorKind::InvalidInput, "the descriptor is not of this machine's lock");
            return Err(LibraryError::host("take over the lock", &path, wrong));
        }
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(MachineLock { file, folder: folder.to_owned() }),
            Err(Errno::WOULDBLOCK) => Err(LibraryError::Running { name: name.to_owned() }),
            Err(error) => Err(LibraryError::host("take over the lock", &path, error)),
        }
    }

    /// The same lock, after its folder was moved.
    pub(super) fn moved_to(self, folder: PathBuf) -> Self {
        MachineLock { folder, ..self }
    }

    /// The descriptor, to hand to a child process; what becomes the child's standard input
    /// (`Command::stdin(lock.into_fd())`) can't leak to other children. The machine is owned until the child ends.
    #[must_use]
    pub fn into_fd(self) -> OwnedFd {
        self.file.into()
    }

    /// The machine's folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether the last run didn't end as it should, and no run began since.
    #[must_use]
    pub fn follows_a_crash(&self) -> bool {
        // Whatever the record says: that it is there is enough.
        self.folder.join(RUN).symlink_metadata().is_ok()
    }

    /// Says to others who runs the machine. Until [`MachineLock::end_run`], the end of the lock means a crash.
    ///
    /// # Errors
    /// What the host says.
    pub fn begin_run(&self, record: &RunRecord) -> Result<(), LibraryError> {
        let path = self.folder.join(RUN);
        let text = serde_json::to_vec_pretty(record).map_err(io::Error::from).doing("write", &path)?;
        fs::replace(&path, &self.folder.join(RUN_TEMPORARY), &text)
    }

    /// Says to others that the run ended as it should.
    ///
    /// # Errors
    /// What the host says.
    pub fn end_run(&self) -> Result<(), LibraryError> {
        let path = self.folder.join(RUN);
        fs::remove_file(&path).doing("delete", &path)
    }
}

impl AsFd for MachineLock {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}
