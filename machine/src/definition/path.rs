//! Paths in a definition.

use std::{
    fmt,
    path::{Component, Path, PathBuf},
};

use serde::{Serialize, Serializer};

/// Where a file is: relative to the machine's folder for what belongs to the machine, absolute for everything else.
/// A relative path stays inside the folder.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FilePath(String);

/// A path can't stand in a definition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FilePathError {
    /// Nothing.
    #[error("a path can't be empty")]
    Empty,
    /// Holds a NUL, which no path can.
    #[error("a path can't hold a NUL character")]
    Nul,
    /// Not UTF-8.
    #[error("the path '{0}' is not valid UTF-8, so that it can't be written into a definition. Rename the file")]
    NotUnicode(String),
    /// Relative, and leads out of the machine's folder.
    #[error("'{0}' leads out of the machine's folder. Write an absolute path for a file that is elsewhere")]
    Outside(String),
    /// Relative, and names the machine's folder itself.
    #[error("'{0}' is not the path of a file")]
    NoFile(String),
}

impl FilePath {
    /// Takes `path`, as it is.
    ///
    /// # Errors
    /// When it can't be written down, or is relative and leads out of the machine's folder.
    pub fn new(path: impl AsRef<Path>) -> Result<Self, FilePathError> {
        let path = path.as_ref();
        let text = path.to_str().ok_or_else(|| FilePathError::NotUnicode(path.display().to_string()))?;
        if text.is_empty() {
            return Err(FilePathError::Empty);
        }
        if text.contains('\0') {
            return Err(FilePathError::Nul);
        }
        if path.is_relative() && path.components().any(|component| component == Component::ParentDir) {
            return Err(FilePathError::Outside(text.to_owned()));
        }
        if text.ends_with('/') || path.file_name().is_none() {
            return Err(FilePathError::NoFile(text.to_owned()));
        }
        Ok(FilePath(text.to_owned()))
    }

    /// The path of `file`, an absolute path, as it is written in the definition of the machine in `folder`: relative
    /// if the file is the machine's own.
    ///
    /// # Errors
    /// As [`FilePath::new`].
    pub fn in_folder(file: &Path, folder: &Path) -> Result<Self, FilePathError> {
        FilePath::new(file.strip_prefix(folder).unwrap_or(file))
    }

    /// As it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Where the file is, for the machine in `folder`.
    #[must_use]
    pub fn resolve(&self, folder: &Path) -> PathBuf {
        folder.join(&self.0)
    }

    /// Whether the file is the machine's own: in its folder, moved and deleted with it.
    #[must_use]
    pub fn is_own(&self) -> bool {
        Path::new(&self.0).is_relative()
    }

    /// The same for all ways of writing the same path with `.` and doubled slashes.
    pub(super) fn normal(&self) -> PathBuf {
        Path::new(&self.0).components().filter(|component| *component != Component::CurDir).collect()
    }
}

impl fmt::Display for FilePath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.0)
    }
}

impl Serialize for FilePath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_paths_belong_to_the_machine_and_absolute_ones_do_not() {
        let folder = Path::new("/lib/machines/Mint");
        let own = FilePath::new("disks/a.qcow2").unwrap();
        assert!(own.is_own());
        assert_eq!(own.resolve(folder), Path::new("/lib/machines/Mint/disks/a.qcow2"));
        let other = FilePath::new("/iso/../x.iso").unwrap();
        assert!(!other.is_own());
        assert_eq!(other.resolve(folder), Path::new("/iso/../x.iso"));
    }

    #[test]
    fn a_file_in_the_folder_is_written_relative_to_it() {
        let folder = Path::new("/lib/machines/Mint");
        let path = |file: &str| FilePath::in_folder(Path::new(file), folder).map(|path| path.0);
        assert_eq!(path("/lib/machines/Mint/disks/a.raw"), Ok("disks/a.raw".into()));
        assert_eq!(path("/lib/machines/Mint2/disks/a.raw"), Ok("/lib/machines/Mint2/disks/a.raw".into()));
        assert_eq!(path("/lib/machines/Mint"), Err(FilePathError::Empty));
    }

    #[test]
    fn what_leads_out_or_names_no_file_is_refused() {
        use std::{ffi::OsStr, os::unix::ffi::OsStrExt};
        assert_eq!(FilePath::new("../x"), Err(FilePathError::Outside("../x".into())));
        assert_eq!(FilePath::new("disks/../../x"), Err(FilePathError::Outside("disks/../../x".into())));
        assert_eq!(FilePath::new(""), Err(FilePathError::Empty));
        assert_eq!(FilePath::new("."), Err(FilePathError::NoFile(".".into())));
        assert_eq!(FilePath::new("/iso/"), Err(FilePathError::NoFile("/iso/".into())));
        assert_eq!(FilePath::new("a\0b"), Err(FilePathError::Nul));
        assert!(matches!(FilePath::new(OsStr::from_bytes(b"/\xff")), Err(FilePathError::NotUnicode(_))));
    }
}
