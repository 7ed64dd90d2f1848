//! Who may use an image file: one writer, or any number of readers.
//!
//! The lock is on the open file description (`F_OFD_SETLK`), so it travels with a descriptor that is passed to
//! another process, and a crash releases it. It covers the bytes on which QEMU (since 2.10) puts such locks itself:
//! from 100 on for what it does to an image, from 200 on for what others must not do, one byte for each permission. So
//! a machine of QEMU's and one of ours never write the same file. Whoever hands a descriptor over closes its own: the
//! lock lasts as long as any duplicate.

use std::fs::File;
use std::io;
use std::time::{Duration, Instant};

use super::iovec::lock_range;

/// Where readers stand: before QEMU's bytes.
const READERS: std::ops::Range<i64> = 0..100;
/// QEMU: "I rely on consistent content".
const QEMU_READS: i64 = 100;
/// QEMU: "others must not write".
const QEMU_NO_WRITER: i64 = 201;
/// QEMU: "others must not resize".
const QEMU_NO_RESIZE: i64 = 203;

/// Takes the lock that a user of `file` needs, for as long as its description is open.
///
/// # Errors
/// `ResourceBusy` if another user is in the way; `Unsupported` if the file system knows no locks.
fn lock(file: &File, exclusive: bool) -> io::Result<()> {
    let result = if exclusive {
        lock_range(file, 0..i64::MAX, true)
    } else {
        lock_range(file, READERS, false)
            .and_then(|()| lock_range(file, QEMU_READS..QEMU_READS + 1, false))
            .and_then(|()| lock_range(file, QEMU_NO_WRITER..QEMU_NO_WRITER + 1, false))
            .and_then(|()| lock_range(file, QEMU_NO_RESIZE..QEMU_NO_RESIZE + 1, false))
    };
    result.map_err(|error| match error.raw_os_error() {
        Some(libc::EAGAIN | libc::EACCES) => io::ErrorKind::ResourceBusy.into(),
        Some(libc::EINVAL | libc::ENOLCK | libc::EOPNOTSUPP) => io::ErrorKind::Unsupported.into(),
        _ => error,
    })
}

/// The same, waiting for others to go.
///
/// # Errors
/// As [`lock`].
pub(super) fn lock_within(file: &File, exclusive: bool, patience: Duration) -> io::Result<()> {
    let start = Instant::now();
    loop {
        match lock(file, exclusive) {
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy && start.elapsed() < patience => {
                // There is no such lock with a time limit
                std::thread::sleep(Duration::from_millis(5));
            }
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(path: &std::path::Path) -> File {
        File::options().read(true).write(true).open(path).unwrap()
    }

    #[test]
    fn a_writer_excludes_everyone_and_readers_only_writers() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let (first, second, third) = (open(file.path()), open(file.path()), open(file.path()));
        lock(&first, false).unwrap();
        lock(&second, false).unwrap();
        assert_eq!(lock(&third, true).unwrap_err().kind(), io::ErrorKind::ResourceBusy);
        drop((first, second));
        lock(&third, true).unwrap();
        assert_eq!(lock(&open(file.path()), false).unwrap_err().kind(), io::ErrorKind::ResourceBusy);
    }

    #[test]
    fn a_duplicated_descriptor_keeps_the_lock() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let first = open(file.path());
        lock(&first, true).unwrap();
        let duplicate = first.try_clone().unwrap();
        drop(first);
        assert_eq!(lock(&open(file.path()), true).unwrap_err().kind(), io::ErrorKind::ResourceBusy);
        drop(duplicate);
        lock(&open(file.path()), true).unwrap();
    }
}
