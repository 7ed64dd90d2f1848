//! The system calls that take pointers: vectored reads and writes straight to and from guest memory, and locks on
//! open file descriptions.
//!
//! This is the only module of the crate with `unsafe`. Guest memory is shared with running vCPUs, so it can't be a
//! Rust slice; `preadv` and `pwritev` take it by address instead, without a copy.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd};

use vm_memory::VolatileSlice;
use vm_memory::volatile_memory::PtrGuardMut;

/// The kernel's limit of buffers in one call (`UIO_MAXIOV`).
const MAX_BUFFERS: usize = 1024;

/// The buffers of one request, seen as one run of bytes.
#[derive(Clone, Copy)]
pub(super) struct Buffers<'a> {
    slices: &'a [VolatileSlice<'a>],
    len: usize,
}

impl<'a> Buffers<'a> {
    pub(super) fn new(slices: &'a [VolatileSlice<'a>]) -> Self {
        Buffers { slices, len: crate::disk::total_len(slices) }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The parts of the slices that make up `range`, empty ones left out.
    fn parts(&self, range: Range<usize>) -> impl Iterator<Item = VolatileSlice<'a>> {
        debug_assert!(range.end <= self.len);
        let mut start = 0;
        self.slices.iter().filter_map(move |slice| {
            let (from, to) = (range.start.max(start), range.end.min(start + slice.len()));
            let part = if from < to { slice.subslice(from - start, to - from).ok() } else { None };
            start += slice.len();
            part
        })
    }

    /// Copies out of the buffers, from position `at` on.
    pub(super) fn copy_to(&self, at: usize, bytes: &mut [u8]) {
        let mut done = 0;
        for part in self.parts(at..at + bytes.len()) {
            done += part.copy_to(&mut bytes[done..done + part.len()]);
        }
    }

    /// Copies into the buffers, from position `at` on.
    pub(super) fn copy_from(&self, at: usize, bytes: &[u8]) {
        let mut done = 0;
        for part in self.parts(at..at + bytes.len()) {
            part.copy_from(&bytes[done..done + part.len()]);
            done += part.len();
        }
    }

    pub(super) fn fill_zero(&self, range: Range<usize>) {
        const ZEROES: [u8; 4096] = [0; 4096];
        for part in self.parts(range) {
            let mut done = 0;
            while done < part.len() {
                let count = ZEROES.len().min(part.len() - done);
                if let Ok(piece) = part.subslice(done, count) {
                    piece.copy_from(&ZEROES[..count]);
                }
                done += count;
            }
        }
    }

    /// Whether every buffer that `range` touches begins and ends at a multiple of `alignment` in memory.
    pub(super) fn is_aligned(&self, range: Range<usize>, alignment: usize) -> bool {
        self.parts(range).all(|part| {
            let guard = part.ptr_guard();
            guard.as_ptr().addr().is_multiple_of(alignment) && guard.len().is_multiple_of(alignment)
        })
    }

    /// Reads from `offset` of `file` into `range` of the buffers, as far as the file goes. Says how many bytes that
    /// were.
    pub(super) fn read_from(&self, file: &File, range: Range<usize>, offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while done < range.len() {
            let batch = Batch::new(self.parts(range.start + done..range.end));
            let position = file_position(offset, done)?;
            // SAFETY: each iovec of the batch is memory that is valid for writes while the batch's guards live, as
            // `VolatileSlice` promises; the memory is shared with a guest, so no reference to it exists that a
            // change from outside could break. The count is that of the array.
            #[allow(unsafe_code)]
            let count =
                unsafe { libc::preadv(file.as_raw_fd(), batch.iovecs.as_ptr(), batch.iovecs.len() as i32, position) };
            match transferred(count)? {
                Some(0) => break,
                Some(count) => done += count,
                None => {}
            }
        }
        Ok(done)
    }

    /// Writes all of `range` of the buffers to `file` at `offset`.
    pub(super) fn write_to(&self, file: &File, range: Range<usize>, offset: u64) -> io::Result<()> {
        let mut done = 0;
        while done < range.len() {
            let batch = Batch::new(self.parts(range.start + done..range.end));
            let position = file_position(offset, done)?;
            // SAFETY: each iovec of the batch is memory that is valid for reads while the batch's guards live, as
            // `VolatileSlice` promises; the kernel only copies from it, whatever a guest does to it meanwhile. The
            // count is that of the array.
            #[allow(unsafe_code)]
            let count =
                unsafe { libc::pwritev(file.as_raw_fd(), batch.iovecs.as_ptr(), batch.iovecs.len() as i32, position) };
            match transferred(count)? {
                Some(0) => return Err(io::ErrorKind::WriteZero.into()),
                Some(count) => done += count,
                None => {}
            }
        }
        Ok(())
    }
}

/// What one system call gets: addresses and lengths, and what keeps them valid.
struct Batch {
    iovecs: Vec<libc::iovec>,
    _guards: Vec<PtrGuardMut>,
}

impl Batch {
    fn new<'a>(parts: impl Iterator<Item = VolatileSlice<'a>>) -> Self {
        let guards: Vec<PtrGuardMut> = parts.take(MAX_BUFFERS).map(|part| part.ptr_guard_mut()).collect();
        let iovecs =
            guards.iter().map(|guard| libc::iovec { iov_base: guard.as_ptr().cast(), iov_len: guard.len() }).collect();
        Batch { iovecs, _guards: guards }
    }
}

fn file_position(offset: u64, done: usize) -> io::Result<i64> {
    offset
        .checked_add(done as u64)
        .and_then(|position| i64::try_from(position).ok())
        .ok_or_else(|| io::ErrorKind::FileTooLarge.into())
}

/// The number of bytes of a finished call; `None` if a signal interrupted it before the first.
fn transferred(count: isize) -> io::Result<Option<usize>> {
    match usize::try_from(count) {
        Ok(count) => Ok(Some(count)),
        Err(_) => match io::Error::last_os_error() {
            error if error.kind() == io::ErrorKind::Interrupted => Ok(None),
            error => Err(error),
        },
    }
}

/// Locks bytes `range` of what `file` describes, without waiting. The lock belongs to the open file description: it is
/// shared with every duplicate of it, in whichever process, and ends when the last one is closed.
///
/// # Errors
/// `WouldBlock` if another description has a lock in the way.
pub(super) fn lock_range(file: impl AsFd, range: Range<i64>, exclusive: bool) -> io::Result<()> {
    let kind = if exclusive { libc::F_WRLCK } else { libc::F_RDLCK };
    let lock = libc::flock {
        l_type: kind as i16,
        l_whence: libc::SEEK_SET as i16,
        l_start: range.start,
        // 0 reaches to the end, however far the file grows
        l_len: if range.end == i64::MAX { 0 } else { range.end - range.start },
        l_pid: 0,
    };
    // SAFETY: `F_OFD_SETLK` reads one `flock` structure, which lives across the call, and stores no pointer to it.
    #[allow(unsafe_code)]
    let result = unsafe { libc::fcntl(file.as_fd().as_raw_fd(), libc::F_OFD_SETLK, &raw const lock) };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_over_many_buffers_arrives_in_order() {
        let file = tempfile::tempfile().unwrap();
        let mut source: Vec<u8> = (0..=255).cycle().take(3000).collect();
        let expected = source.clone();
        let slices: Vec<_> = source.chunks_mut(7).map(VolatileSlice::from).collect();
        let buffers = Buffers::new(&slices);
        buffers.write_to(&file, 0..3000, 100).unwrap();

        let mut back = vec![0; 3000];
        let (first, second) = back.split_at_mut(1234);
        let slices = [VolatileSlice::from(first), VolatileSlice::from(second)];
        assert_eq!(Buffers::new(&slices).read_from(&file, 0..3000, 100).unwrap(), 3000);
        assert_eq!(back, expected);
    }

    #[test]
    fn parts_of_buffers_are_copied_and_zeroed() {
        let mut memory = [1_u8; 100];
        let (first, second) = memory.split_at_mut(30);
        let slices = [VolatileSlice::from(first), VolatileSlice::from(second)];
        let buffers = Buffers::new(&slices);
        buffers.copy_from(28, &[2, 3, 4, 5]);
        buffers.fill_zero(31..33);
        let mut back = [9; 6];
        buffers.copy_to(28, &mut back);
        assert_eq!(back, [2, 3, 4, 0, 0, 1]);
    }

    #[test]
    fn a_read_beyond_the_end_says_how_far_it_came() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(10).unwrap();
        let mut memory = [1_u8; 20];
        let slices = [VolatileSlice::from(&mut memory[..])];
        assert_eq!(Buffers::new(&slices).read_from(&file, 0..20, 4).unwrap(), 6);
    }
}
