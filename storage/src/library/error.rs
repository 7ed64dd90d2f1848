//! What can go wrong with the library, and what a person reads then.

use std::{
    io,
    path::{Path, PathBuf},
};

use machine::{definition::DefinitionError, name::NameError};

/// An operation on the library failed. Nothing was changed: what had been done was undone.
#[derive(Debug, thiserror::Error)]
pub enum LibraryError {
    /// It isn't known where the library is.
    #[error("this account has no home directory. Say with TANDEM_HOME where the machines are")]
    NoHome,
    /// The host refused.
    #[error("{}", describe(what, path, source))]
    Host {
        /// What was being done, to follow "can't".
        what: &'static str,
        /// To what.
        path: PathBuf,
        /// What the host said. (Where the message has said it, this is not shown again by walking the sources.)
        #[source]
        source: io::Error,
    },
    /// No machine has that name.
    #[error("there is no machine called '{name}'{}", did_you_mean(suggestion.as_deref()))]
    NotFound {
        /// The name.
        name: String,
        /// A machine that may be meant.
        suggestion: Option<String>,
    },
    /// Nothing in the trash has that name.
    #[error("there is no machine called '{name}' in the trash{}", did_you_mean(suggestion.as_deref()))]
    NotInTrash {
        /// The name.
        name: String,
        /// A machine that may be meant.
        suggestion: Option<String>,
    },
    /// Another machine has the name already.
    #[error("there is already a machine called '{name}'. Nothing was changed. Choose another name")]
    NameTaken {
        /// The name.
        name: String,
    },
    /// Another machine has the UUID already.
    #[error("'{other}' already has the UUID {uuid}. Nothing was changed. Give this machine another one")]
    UuidTaken {
        /// The UUID.
        uuid: uuid::Uuid,
        /// The machine that has it.
        other: String,
    },
    /// The machine's folder doesn't hold a usable machine.
    #[error("'{name}' can't be used: {reason}")]
    Broken {
        /// The machine's name, as far as it is known.
        name: String,
        /// What is wrong with it.
        reason: BrokenReason,
    },
    /// A process owns the machine.
    #[error("'{name}' is running. Nothing was changed. Stop it first")]
    Running {
        /// The machine's name.
        name: String,
    },
    /// Somebody else changed the definition in the meantime.
    #[error(
        "the definition of '{name}' was changed by somebody else in the meantime. Nothing was overwritten. Try again"
    )]
    Changed {
        /// The machine's name.
        name: String,
    },
    /// The new definition is wrong.
    #[error("{}Nothing was changed", sentence(.0))]
    Definition(DefinitionError),
    /// The new name is wrong.
    #[error(transparent)]
    Name(#[from] NameError),
    /// While a machine runs, only its discs can be changed.
    #[error("'{name}' is running: only the discs in its drives can be changed now. Nothing was changed. Stop it first")]
    OnlyDiscs {
        /// The machine's name.
        name: String,
    },
    /// Another process keeps the library's lock.
    #[error(
        "another process has been changing the library in {path} for {seconds} seconds. Nothing was changed. Try again"
    )]
    Busy {
        /// The library.
        path: PathBuf,
        /// How long this one waited.
        seconds: u64,
    },
    /// No directory is fit for control sockets.
    #[error(
        "{path} can't hold control sockets: {reason}. Remove it, or set XDG_RUNTIME_DIR to a directory of your own"
    )]
    RuntimeDir {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
}

/// Why a machine that is there can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BrokenReason {
    /// Something that is no folder lies where machines are.
    #[error("it is not a folder")]
    NotAFolder,
    /// The folder holds no definition.
    #[error("its folder has no machine.toml")]
    NoDefinition,
    /// The definition is no file.
    #[error("its machine.toml is not a file")]
    NotAFile,
    /// The definition can't be read.
    #[error("its machine.toml can't be read: {0}")]
    Unreadable(String),
    /// The definition is implausibly large.
    #[error("its machine.toml is larger than {0} bytes")]
    TooLarge(u64),
    /// The definition isn't text.
    #[error("its machine.toml is not UTF-8 text")]
    NotText,
    /// The definition is wrong.
    #[error(transparent)]
    Definition(#[from] DefinitionError),
    /// Another folder holds a machine of the same name.
    #[error("the folder '{folder}' holds a machine of the same name. Change the name in machine.toml")]
    SameName {
        /// The other folder's name.
        folder: String,
    },
    /// Another folder holds the same machine: it was copied by hand.
    #[error("it has the same UUID as '{name}'. If it is a copy, change name and uuid in machine.toml")]
    SameUuid {
        /// The other machine's name.
        name: String,
    },
}

impl LibraryError {
    /// Makes an error of `source`, which came from doing `what` to `path`.
    pub(super) fn host(what: &'static str, path: &Path, source: impl Into<io::Error>) -> Self {
        LibraryError::Host { what, path: path.to_owned(), source: source.into() }
    }
}

/// Adds to a host's error what was being done to what.
pub(super) trait Doing<T> {
    fn doing(self, what: &'static str, path: &Path) -> Result<T, LibraryError>;
}

impl<T, E: Into<io::Error>> Doing<T> for Result<T, E> {
    fn doing(self, what: &'static str, path: &Path) -> Result<T, LibraryError> {
        self.map_err(|source| LibraryError::host(what, path, source))
    }
}

fn describe(what: &str, path: &Path, source: &io::Error) -> String {
    let path = path.display();
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            format!("can't {what} {path}: the disk is full. Nothing was changed. Free some space and try again")
        }
        io::ErrorKind::ReadOnlyFilesystem => {
            format!("can't {what} {path}: the file system is read-only. Nothing was changed")
        }
        io::ErrorKind::PermissionDenied => {
            format!(
                "can't {what} {path}: this account may not. Nothing was changed. Look at `ls -ld` of it and of the folders above"
            )
        }
        _ => format!("can't {what} {path}. Nothing was changed"),
    }
}

/// A whole sentence, to be followed by the next.
fn sentence(error: &DefinitionError) -> String {
    let text = error.to_string();
    let stop = if text.ends_with(['.', '?', '!']) { " " } else { ". " };
    text + stop
}

fn did_you_mean(suggestion: Option<&str>) -> String {
    suggestion.map(|name| format!(". Did you mean '{name}'?")).unwrap_or_default()
}
