//! The disk that a controller sees, whatever its format.

pub mod memory;

use std::io;

use vm_memory::VolatileSlice;

/// A disk image, open. All calls block, may come from several threads at once, and are independent: a caller
/// that wants several requests under way uses several threads.
///
/// Buffers are guest memory, or any other; a call moves as many bytes as they hold together.
pub trait Disk: Send + Sync {
    /// Length in bytes, a multiple of 512.
    fn len_bytes(&self) -> u64;

    /// Whether writes are refused.
    fn is_read_only(&self) -> bool;

    /// Fills `buffers` from `offset` on. Never-written ranges are zeroes.
    ///
    /// # Errors
    /// `InvalidInput` beyond the end; what the host says otherwise.
    fn read(&self, offset: u64, buffers: &[VolatileSlice<'_>]) -> io::Result<()>;

    /// Writes `buffers` from `offset` on. Durable after the next [`Disk::flush`] that begins after this returned.
    ///
    /// # Errors
    /// `InvalidInput` beyond the end, `PermissionDenied` on a read-only disk; what the host says otherwise.
    fn write(&self, offset: u64, buffers: &[VolatileSlice<'_>]) -> io::Result<()>;

    /// Makes everything durable whose write or discard returned before, the image's own tables included.
    ///
    /// # Errors
    /// What the host says. After `StorageFull` nothing is lost: a later flush, when there is space, makes up for it.
    /// After any other error the writes since the last good flush may be lost.
    fn flush(&self) -> io::Result<()>;

    /// The range's content isn't needed any more: it reads as zeroes afterwards, and its space is given back
    /// where the format and the host can.
    ///
    /// # Errors
    /// As [`Disk::write`].
    fn discard(&self, offset: u64, len: u64) -> io::Result<()>;
}

/// How many bytes `buffers` hold together.
#[must_use]
pub fn total_len(buffers: &[VolatileSlice<'_>]) -> usize {
    buffers.iter().map(VolatileSlice::len).sum()
}

/// Whether the `len` bytes from `offset` on are inside a disk of `disk_len` bytes.
///
/// # Errors
/// `InvalidInput` if they are not.
pub fn check_range(offset: u64, len: u64, disk_len: u64) -> io::Result<()> {
    match offset.checked_add(len) {
        Some(end) if end <= disk_len => Ok(()),
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("{len} bytes at {offset} reach beyond the end of the disk ({disk_len} bytes)"),
        )),
    }
}
