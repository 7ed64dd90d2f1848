//! The file-system calls that change the library, one function a call, so that tests can stop at each of them: by
//! an error, or by the death of the process ([`faults`]).

use std::{
    ffi::{OsStr, OsString},
    fs::{DirBuilder, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::Path,
};

use rustix::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, RenameFlags, ResolveFlags},
    io::Errno,
};

use super::error::{Doing as _, LibraryError};

#[cfg(test)]
use super::tests::faults;

/// Directories in directories that are deleted: more than any machine has.
const MOST_LEVELS: usize = 64;

/// Everything passes here before it changes anything.
fn step(call: &str, path: &Path) -> io::Result<()> {
    #[cfg(test)]
    return faults::step(call, path);
    #[cfg(not(test))]
    {
        let _ = (call, path);
        Ok(())
    }
}

/// Makes one directory, for this account only.
pub(super) fn make_dir(path: &Path) -> Result<(), LibraryError> {
    step("mkdir", path).and_then(|()| DirBuilder::new().mode(0o700).create(path)).doing("create the folder", path)
}

/// Makes a directory and those above it, where they aren't there.
pub(super) fn make_dirs(path: &Path) -> Result<(), LibraryError> {
    match path.metadata() {
        Ok(metadata) if metadata.is_dir() => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            return Err(LibraryError::host("look into the folder of", path, error));
        }
        _ => {}
    }
    step("mkdir -p", path)
        .and_then(|()| DirBuilder::new().recursive(true).mode(0o700).create(path))
        .doing("create the folder", path)
}

/// Opens a lock file, or makes one; `flock` needs no right to write to it.
pub(super) fn open_lock(path: &Path, create: bool) -> io::Result<File> {
    let open = |create: bool| {
        OpenOptions::new()
            .read(true)
            .write(create)
            .create(create)
            .mode(0o600)
            // Of a pipe that somebody put there: don't wait for its other end.
            .custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed())
            .open(path)
    };
    match open(false) {
        Err(error) if create && error.kind() == io::ErrorKind::NotFound => {
            step("create", path)?;
            open(true)
        }
        result => result,
    }
}

/// Gives `path` the content `bytes`: afterwards, even after the host's power went out, it has either the old content
/// or the new. `temporary` is a file beside it that may be overwritten, and may be left behind by a crash.
pub(super) fn replace(path: &Path, temporary: &Path, bytes: &[u8]) -> Result<(), LibraryError> {
    let write = || {
        step("create", temporary)?;
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
            .open(temporary)?;
        step("write", temporary)?;
        file.write_all(bytes)?;
        step("fsync", temporary)?;
        file.sync_all()?;
        step("rename", path)?;
        std::fs::rename(temporary, path)
    };
    let result = write();
    if result.is_err() {
        // It may not be there, or not be ours to remove: then the next one overwrites it.
        let _ = std::fs::remove_file(temporary);
    }
    result.doing("write", path)?;
    sync_parent(path);
    Ok(())
}

/// Moves `from` to `to`, which must not exist.
///
/// # Errors
/// `AlreadyExists` when something is there.
pub(super) fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    step("rename", to)?;
    match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // A file system that can't. (Machines are folders, which don't replace one that holds anything.)
        Err(Errno::INVAL | Errno::NOSYS) => {
            if to.symlink_metadata().is_ok() {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            std::fs::rename(from, to)
        }
        // Of directories some file systems say so.
        Err(Errno::NOTEMPTY) => Err(io::ErrorKind::AlreadyExists.into()),
        result => result.map_err(io::Error::from),
    }
}

/// Makes what a directory lists durable. What it lists is true already: a failure is logged, and no failure of the
/// operation.
pub(super) fn sync_dir(path: &Path) {
    let result = step("fsync", path).and_then(|()| File::open(path)?.sync_all());
    if let Err(error) = result {
        tracing::warn!(path = %path.display(), %error, "a folder could not be made durable");
    }
}

/// [`sync_dir`] of the directory that `path` is in.
pub(super) fn sync_parent(path: &Path) {
    if let Some(parent) = path.parent() {
        sync_dir(parent);
    }
}

/// Makes everything below `path` durable: files and directories; what links lead to is left alone.
pub(super) fn sync_tree(path: &Path) -> Result<(), LibraryError> {
    let sync = |path: &Path| step("fsync", path).and_then(|()| File::open(path)?.sync_all());
    for entry in path.read_dir().doing("read the folder", path)? {
        let entry = entry.doing("read the folder", path)?;
        let kind = entry.file_type().doing("read the folder", path)?;
        if kind.is_dir() {
            sync_tree(&entry.path())?;
        } else if kind.is_file() {
            sync(&entry.path()).doing("write", &entry.path())?;
        }
    }
    sync(path).doing("write", path)
}

/// Deletes a file, if it is there.
pub(super) fn remove_file(path: &Path) -> io::Result<()> {
    step("unlink", path)?;
    match std::fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// Deletes whatever `path` is, with everything in it, if it is there. Links are deleted and not followed, and neither
/// is anything that is mounted inside. Somebody else may be deleting the same at the same time.
pub(super) fn remove_tree(path: &Path) -> io::Result<()> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    match open_dir(CWD, parent.as_os_str(), ResolveFlags::empty()) {
        Ok(parent) => remove_entry(parent.as_fd(), name, path, MOST_LEVELS),
        Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn remove_entry(parent: BorrowedFd<'_>, name: &OsStr, path: &Path, levels: usize) -> io::Result<()> {
    step("unlink", path)?;
    match rustix::fs::unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::ISDIR) => {}
        // POSIX's way of saying that it is a directory.
        Err(Errno::PERM) if is_dir(parent, name) => {}
        Err(error) => return Err(error.into()),
    }
    let Some(levels) = levels.checked_sub(1) else {
        return Err(io::Error::other("folders are nested too deeply"));
    };
    let dir = match open_dir(parent, name, ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV) {
        Ok(dir) => dir,
        Err(Errno::NOENT) => return Ok(()),
        Err(Errno::XDEV) => return Err(io::Error::other("another file system is mounted in it")),
        Err(error) => return Err(error.into()),
    };
    for entry in names(&dir)? {
        remove_entry(dir.as_fd(), &entry, &path.join(&entry), levels)?;
    }
    step("rmdir", path)?;
    match rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn is_dir(parent: BorrowedFd<'_>, name: &OsStr) -> bool {
    rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)
        .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
}

fn open_dir(parent: impl AsFd, name: &OsStr, resolve: ResolveFlags) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    if resolve.is_empty() {
        return rustix::fs::openat(parent, name, flags, Mode::empty());
    }
    rustix::fs::openat2(parent, name, flags | OFlags::NOFOLLOW, Mode::empty(), resolve)
}

fn names(dir: &OwnedFd) -> io::Result<Vec<OsString>> {
    use std::os::unix::ffi::OsStrExt as _;
    let mut names = Vec::new();
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push(OsStr::from_bytes(name).to_owned());
        }
    }
    Ok(names)
}
