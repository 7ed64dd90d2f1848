//! The disk that a controller sees, whatever its format.

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

    /// Makes everything durable whose write returned before.
    ///
    /// # Errors
    /// What the host says; the writes may then be lost.
    fn flush(&self) -> io::Result<()>;

    /// The range's content isn't needed any more: it reads as zeroes afterwards, and its space is given back
    /// where the format and the host can.
    ///
    /// # Errors
    /// As [`Disk::write`].
    fn discard(&self, offset: u64, len: u64) -> io::Result<()>;
}
