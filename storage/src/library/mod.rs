//! The machine library on disk.
//!
//! ```text
//! $TANDEM_HOME, or $XDG_DATA_HOME/tandem, or ~/.local/share/tandem
//!   lock                   flock: held for an instant by whoever renames or rewrites anything below
//!   machines/<folder>/     one machine; the folder's name is made from the machine's, but machine.toml says what it is
//!     machine.toml         the definition
//!     lock                 flock: whoever holds it owns the machine (a running machine's process, or a change to it)
//!     run.json             who runs it; still there after a crash
//!     control.sock         where the process that runs it answers
//!     disks/ state/ log/
//!   machines/.new-<uuid>/  a machine that is being made
//!   trash/<time>-<folder>/ a machine that was deleted, kept for 30 days
//!   trash/.purge-<uuid>/   something that is being deleted for good
//! ```
//!
//! # Transactions
//! Each operation has one instant at which it happens, a `rename`: of a whole folder, or of a new `machine.toml` over
//! the old. Before it, a failure undoes what was prepared; after it, the operation has happened, and is never
//! reported as failed. So whenever the process dies, the next [`Library::open`] finds the old state or the new. It also
//! removes what was prepared by processes that are no more: those of which no lock is held.
//!
//! # Locks, in this order
//! 1. the library's, for a few milliseconds: around every rename, around taking or looking at a machine's lock;
//! 2. a machine's: it is never waited for. Because it is looked at only under the library's, nobody who just looks
//!    at it is ever taken for its owner.
//!
//! Reading needs no lock: a definition is replaced in one instant. A library that can't be written can be read.

mod change;
mod clean;
mod create;
mod document;
mod error;
mod fs;
mod list;
mod lock;
mod logs;
mod runtime;
#[cfg(test)]
mod tests;
mod trash;

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    time::Duration,
};

use machine::timestamp::Timestamp;
use uuid::Uuid;

pub use self::{
    change::Owner,
    create::Draft,
    error::{BrokenReason, LibraryError},
    list::{Broken, Listed, Machine},
    lock::{MachineLock, Presence, RunRecord},
    logs::RUNS_KEPT,
    trash::Trashed,
};

/// How long the trash keeps what a person deleted.
pub const TRASH_KEEPS: Duration = Duration::from_secs(30 * 24 * 3600);

const DEFINITION: &str = "machine.toml";

/// The library of one account's machines. Cheap to clone; any number of processes may have it open.
#[derive(Debug, Clone)]
pub struct Library {
    root: PathBuf,
}

impl Library {
    /// Where the library of this process's account is: `$TANDEM_HOME`, or `$XDG_DATA_HOME/tandem`, or
    /// `~/.local/share/tandem`.
    ///
    /// # Errors
    /// [`LibraryError::NoHome`] when none of these is known.
    pub fn default_root() -> Result<PathBuf, LibraryError> {
        let current = std::env::current_dir().unwrap_or_default();
        root_from(|name| std::env::var_os(name), &current)
    }

    /// Opens the library in `root`, makes it if there is none, and brings it in order: removes what dead processes
    /// left half done, and what has been in the trash for 30 days at `now`. What can't be brought in order, in a
    /// library that can only be read for example, is logged and left.
    ///
    /// # Errors
    /// When there is no library and none can be made.
    pub fn open(root: &Path, now: Timestamp) -> Result<Self, LibraryError> {
        fs::make_dirs(root)?;
        // One name for it, however it was reached: sockets are named after it.
        let root = root.canonicalize().map_err(|source| LibraryError::host("open the folder", root, source))?;
        let library = Library { root };
        for folder in [library.machines_dir(), library.trash_dir()] {
            fs::make_dirs(&folder)?;
        }
        library.clean(now);
        Ok(library)
    }

    /// The library's own folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where the control socket of a machine of this library is that can't be in the machine's folder
    /// ([`Machine::socket_path`]). Its directory is made, if need be, and is of this
    /// account only: `$XDG_RUNTIME_DIR/tandem`, or `/tmp/tandem-<uid>` where that isn't usable.
    ///
    /// # Errors
    /// When neither directory is usable.
    pub fn socket_path(&self, uuid: Uuid) -> Result<PathBuf, LibraryError> {
        use std::os::unix::ffi::OsStrExt as _;
        let file = machine::name::socket_file(uuid, self.root.as_os_str().as_bytes());
        Ok(runtime::runtime_dir(file.len())?.join(file))
    }

    fn machines_dir(&self) -> PathBuf {
        self.root.join("machines")
    }

    fn trash_dir(&self) -> PathBuf {
        self.root.join("trash")
    }
}

/// Where the library is, by the environment variables that `get` knows.
fn root_from(get: impl Fn(&str) -> Option<OsString>, current: &Path) -> Result<PathBuf, LibraryError> {
    let path = |name: &str| get(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(home) = path("TANDEM_HOME") {
        return Ok(current.join(home));
    }
    // The XDG Base Directory specification has relative paths ignored.
    if let Some(data) = path("XDG_DATA_HOME").filter(|path| path.is_absolute()) {
        return Ok(data.join("tandem"));
    }
    let home = path("HOME").or_else(std::env::home_dir).filter(|path| path.is_absolute());
    Ok(home.ok_or(LibraryError::NoHome)?.join(".local/share/tandem"))
}
