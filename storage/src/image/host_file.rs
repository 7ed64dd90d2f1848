//! The file (or block device) on the host that an image lives in.
//!
//! If the descriptor was opened with `O_DIRECT`, requests that don't fit the device's alignment take a detour through
//! an aligned buffer; everything else goes between guest memory and the file without a copy.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};
use rustix::fs::{AtFlags, FallocateFlags, OFlags, StatxFlags};
use vm_memory::VolatileSlice;

use super::iovec::Buffers;
use super::reservation::Reservations;

/// What identifies a file on this host: device and inode.
pub(super) type FileIdentity = (u64, u64);

/// A file on the host, open.
#[derive(Debug)]
pub(super) struct HostFile {
    file: File,
    /// For messages only.
    name: String,
    identity: FileIdentity,
    is_device: bool,
    /// Length in bytes, as far as we know: nobody else changes it while we hold the lock.
    len: AtomicU64,
    /// What `O_DIRECT` asks for.
    direct: Option<DirectAlignment>,
    /// Space taken ahead, for direct writes to a file.
    reservations: Option<Reservations>,
    /// Held during a cached write to a file. The host lets only one in at a time anyway, and threads that wait here
    /// take far less of its time than threads that wait there.
    cached_write: Mutex<()>,
    /// Held exclusively while part of a block is replaced by reading, changing and writing all of it.
    partial_block: RwLock<()>,
    /// Whether something was written since the last sync began.
    unsynced: AtomicBool,
    /// One sync at a time, so that whoever finds nothing to do knows that it is done. The host lost data that it had
    /// taken: a later sync that succeeds wouldn't bring it back.
    lost_data: Mutex<bool>,
    /// Nobody will look at the file after us, so there is no point in making it durable.
    temporary: bool,
    punch: AtomicBool,
    zero_range: AtomicBool,
    /// What was asked of the host, for tests of what a power failure leaves.
    #[cfg(test)]
    trace: Option<std::sync::Arc<Mutex<Vec<Event>>>>,
    #[cfg(test)]
    pub(super) fault: Mutex<Option<Fault>>,
}

/// A failure to come, of one kind of requests, after some more successes.
#[cfg(test)]
#[derive(Debug, Clone, Copy)]
pub(super) struct Fault {
    /// Syncs, or else writes and changes of the length.
    pub(super) sync: bool,
    pub(super) successes: u64,
    pub(super) errno: i32,
}

/// Something that was asked of the host.
#[cfg(test)]
#[derive(Debug, Clone)]
pub(super) enum Event {
    Write { offset: u64, bytes: Vec<u8> },
    Zero { offset: u64, len: u64 },
    SetLen { len: u64 },
    Sync,
}

#[derive(Debug, Clone, Copy)]
struct DirectAlignment {
    /// Of addresses in memory.
    memory: usize,
    /// Of offsets and lengths in the file. A power of two.
    offset: u64,
}

impl HostFile {
    /// # Errors
    /// What the host says to questions about the file; `InvalidInput` if it is neither a file nor a block device.
    pub(super) fn new(file: File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        let is_device = metadata.file_type().is_block_device();
        if !is_device && !metadata.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "this is neither a file nor a block device"));
        }
        let len = if is_device { (&file).seek(SeekFrom::End(0))? } else { metadata.len() };
        let direct = direct_alignment(&file)?;
        let is_full = metadata.blocks() * 512 >= len;
        Ok(HostFile {
            name: display_name(&file),
            identity: (metadata.dev(), metadata.ino()),
            is_device,
            len: AtomicU64::new(len),
            direct,
            reservations: (direct.is_some() && !is_device).then(|| Reservations::new(if is_full { len } else { 0 })),
            cached_write: Mutex::new(()),
            partial_block: RwLock::new(()),
            unsynced: AtomicBool::new(false),
            lost_data: Mutex::new(false),
            temporary: false,
            punch: AtomicBool::new(true),
            zero_range: AtomicBool::new(true),
            #[cfg(test)]
            trace: None,
            #[cfg(test)]
            fault: Mutex::new(None),
            file,
        })
    }

    /// The same file, never synced.
    pub(super) fn temporary(mut self) -> Self {
        self.temporary = true;
        self
    }

    pub(super) fn is_temporary(&self) -> bool {
        self.temporary
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn identity(&self) -> FileIdentity {
        self.identity
    }

    pub(super) fn is_device(&self) -> bool {
        self.is_device
    }

    pub(super) fn len(&self) -> u64 {
        self.len.load(Ordering::Acquire)
    }

    /// Bytes that the file takes on the host.
    pub(super) fn allocated(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.blocks() * 512)
    }

    /// Goes back to cached I/O, for a file whose length doesn't fit `O_DIRECT`.
    pub(super) fn leave_direct_mode_unless(&mut self, fits: impl FnOnce(u64) -> bool) -> io::Result<()> {
        if self.direct.is_some_and(|direct| !fits(direct.offset)) {
            let flags = rustix::fs::fcntl_getfl(&self.file)?;
            rustix::fs::fcntl_setfl(&self.file, flags - OFlags::DIRECT)?;
            self.direct = None;
            self.reservations = None;
        }
        Ok(())
    }

    /// Fills `range` of the buffers from `offset` on. Beyond the end of the file there are zeroes.
    pub(super) fn read(&self, buffers: &Buffers<'_>, range: Range<usize>, offset: u64) -> io::Result<()> {
        let done = match self.direct {
            Some(direct) if !direct.fits(buffers, &range, offset) => {
                let block = direct.around(offset, range.len());
                let mut bounce = AlignedBuffer::new(direct, block.len);
                let count = bounce.read_from(&self.file, block.offset)?;
                let count = count.saturating_sub(block.skip).min(range.len());
                buffers.copy_from(range.start, &bounce.bytes()[block.skip..block.skip + count]);
                count
            }
            _ => buffers.read_from(&self.file, range.clone(), offset)?,
        };
        buffers.fill_zero(range.start + done..range.end);
        Ok(())
    }

    /// Writes `range` of the buffers at `offset`.
    pub(super) fn write(&self, buffers: &Buffers<'_>, range: Range<usize>, offset: u64) -> io::Result<()> {
        let end = offset.checked_add(range.len() as u64).ok_or(io::ErrorKind::FileTooLarge)?;
        let result = self.write_now(buffers, range.clone(), offset);
        #[cfg(test)]
        self.record(|| {
            let mut bytes = vec![0; range.len()];
            buffers.copy_to(range.start, &mut bytes);
            Event::Write { offset, bytes }
        });
        self.unsynced.store(true, Ordering::Release);
        result?;
        self.len.fetch_max(end, Ordering::AcqRel);
        Ok(())
    }

    fn write_now(&self, buffers: &Buffers<'_>, range: Range<usize>, offset: u64) -> io::Result<()> {
        #[cfg(test)]
        self.fail_if_due(false)?;
        let Some(direct) = self.direct else {
            let _one = (!self.is_device).then(|| self.cached_write.lock());
            return buffers.write_to(&self.file, range, offset);
        };
        if let Some(reservations) = &self.reservations {
            reservations.reserve(&self.file, offset..offset + range.len() as u64, self.len());
        }
        if direct.fits(buffers, &range, offset) {
            let _shared = self.partial_block.read();
            return buffers.write_to(&self.file, range, offset);
        }
        let block = direct.around(offset, range.len());
        let mut bounce = AlignedBuffer::new(direct, block.len);
        let _exclusive = self.partial_block.write();
        if block.skip != 0 || block.len != range.len() {
            bounce.read_from(&self.file, block.offset)?;
        }
        buffers.copy_to(range.start, &mut bounce.bytes_mut()[block.skip..block.skip + range.len()]);
        bounce.write_to(&self.file, block.offset)
    }

    /// Fills `bytes` from `offset` on.
    ///
    /// # Errors
    /// `UnexpectedEof` if the file ends before.
    pub(super) fn read_bytes(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        if self.direct.is_none() {
            return self.file.read_exact_at(bytes, offset);
        }
        if offset.saturating_add(bytes.len() as u64) > self.len() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let len = bytes.len();
        let slices = [VolatileSlice::from(bytes)];
        self.read(&Buffers::new(&slices), 0..len, offset)
    }

    /// Writes `bytes` at `offset`.
    pub(super) fn write_bytes(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        let len = bytes.len();
        let slices = [VolatileSlice::from(bytes)];
        self.write(&Buffers::new(&slices), 0..len, offset)
    }

    /// Makes a range read as zeroes, with space kept for it where the host can.
    pub(super) fn write_zeroes(&self, offset: u64, len: u64) -> io::Result<()> {
        if len == 0 {
            return Ok(());
        }
        if self.try_fallocate(&self.zero_range, FallocateFlags::ZERO_RANGE | FallocateFlags::KEEP_SIZE, offset, len)? {
            return Ok(());
        }
        let mut zeroes = vec![0; len.min(1 << 20) as usize];
        let mut done = 0;
        while done < len {
            let count = (len - done).min(zeroes.len() as u64) as usize;
            self.write_bytes(&mut zeroes[..count], offset + done)?;
            done += count as u64;
        }
        Ok(())
    }

    /// Whether a range has no space in the file yet, so that it reads as zeroes. `false` where the host doesn't tell.
    pub(super) fn is_hole(&self, offset: u64, len: u64) -> bool {
        // This moves the file's position, which nobody uses
        match rustix::fs::seek(&self.file, rustix::fs::SeekFrom::Data(offset)) {
            Ok(data) => data >= offset.saturating_add(len),
            Err(error) => error == rustix::io::Errno::NXIO && !self.is_device && offset < self.len(),
        }
    }

    /// Gives the space of a range back; it reads as zeroes afterwards. `false` if this host can't, and nothing changed.
    pub(super) fn punch_hole(&self, offset: u64, len: u64) -> io::Result<bool> {
        if let Some(reservations) = &self.reservations {
            reservations.forget(offset..offset.saturating_add(len));
        }
        self.try_fallocate(&self.punch, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, offset, len)
    }

    /// `Ok(false)` if this kind of `fallocate` isn't there; `supported` remembers it.
    fn try_fallocate(&self, supported: &AtomicBool, mode: FallocateFlags, offset: u64, len: u64) -> io::Result<bool> {
        if !supported.load(Ordering::Relaxed) {
            return Ok(false);
        }
        let _exclusive = self.direct.map(|_| self.partial_block.write());
        loop {
            match rustix::fs::fallocate(&self.file, mode, offset, len) {
                Ok(()) => {
                    #[cfg(test)]
                    self.record(|| Event::Zero { offset, len });
                    self.unsynced.store(true, Ordering::Release);
                    return Ok(true);
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(
                    rustix::io::Errno::OPNOTSUPP
                    | rustix::io::Errno::NOSYS
                    | rustix::io::Errno::NODEV
                    | rustix::io::Errno::INVAL
                    | rustix::io::Errno::PERM,
                ) => {
                    supported.store(false, Ordering::Relaxed);
                    return Ok(false);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Lengthens or shortens the file. A block device keeps its length: longer than that is `StorageFull`.
    pub(super) fn set_len(&self, len: u64) -> io::Result<()> {
        if self.is_device {
            return if len <= self.len() { Ok(()) } else { Err(io::ErrorKind::StorageFull.into()) };
        }
        #[cfg(test)]
        self.fail_if_due(false)?;
        self.file.set_len(len)?;
        #[cfg(test)]
        self.record(|| Event::SetLen { len });
        self.unsynced.store(true, Ordering::Release);
        self.len.store(len, Ordering::Release);
        Ok(())
    }

    /// Makes everything durable that was written before.
    ///
    /// # Errors
    /// What the host says; then, and on every later call, what was written may be lost.
    pub(super) fn sync(&self) -> io::Result<()> {
        if self.temporary {
            return Ok(());
        }
        let mut lost_data = self.lost_data.lock();
        if *lost_data {
            return Err(io::Error::other(format!("the host failed to store earlier writes to {}", self.name)));
        }
        if !self.unsynced.swap(false, Ordering::AcqRel) {
            return Ok(());
        }
        if let Err(error) = self.sync_data() {
            *lost_data = true;
            // Whatever the cause is, the host has dropped the data: this is no error that a second try can mend, as
            // one of the same kind from a write is.
            let name = &self.name;
            return Err(io::Error::other(format!("the host failed to store earlier writes to {name}: {error}")));
        }
        #[cfg(test)]
        self.record(|| Event::Sync);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        #[cfg(test)]
        self.fail_if_due(true)?;
        self.file.sync_data()
    }

    /// The same file, writing down what is asked of the host.
    #[cfg(test)]
    pub(super) fn traced(mut self, trace: std::sync::Arc<Mutex<Vec<Event>>>) -> Self {
        self.trace = Some(trace);
        self
    }

    #[cfg(test)]
    fn fail_if_due(&self, sync: bool) -> io::Result<()> {
        let mut fault = self.fault.lock();
        match fault.as_mut().filter(|fault| fault.sync == sync) {
            Some(Fault { successes: 0, errno, .. }) => {
                let errno = *errno;
                *fault = None;
                Err(io::Error::from_raw_os_error(errno))
            }
            Some(fault) => {
                fault.successes -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    #[cfg(test)]
    fn record(&self, event: impl FnOnce() -> Event) {
        if let Some(trace) = &self.trace {
            trace.lock().push(event());
        }
    }
}

/// An aligned range around one that isn't.
struct Block {
    offset: u64,
    len: usize,
    /// Where the range begins in it.
    skip: usize,
}

impl DirectAlignment {
    fn fits(&self, buffers: &Buffers<'_>, range: &Range<usize>, offset: u64) -> bool {
        offset.is_multiple_of(self.offset)
            && (range.len() as u64).is_multiple_of(self.offset)
            && buffers.is_aligned(range.clone(), self.memory)
    }

    fn around(&self, offset: u64, len: usize) -> Block {
        let start = offset & !(self.offset - 1);
        let skip = (offset - start) as usize;
        Block { offset: start, len: (skip + len).next_multiple_of(self.offset as usize), skip }
    }
}

/// Memory that `O_DIRECT` accepts.
struct AlignedBuffer {
    memory: Vec<u8>,
    range: Range<usize>,
}

impl AlignedBuffer {
    fn new(direct: DirectAlignment, len: usize) -> Self {
        let memory = vec![0; len + direct.memory];
        let start = memory.as_ptr().align_offset(direct.memory).min(direct.memory);
        AlignedBuffer { memory, range: start..start + len }
    }

    fn bytes(&self) -> &[u8] {
        &self.memory[self.range.clone()]
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.memory[self.range.clone()]
    }

    fn read_from(&mut self, file: &File, offset: u64) -> io::Result<usize> {
        let len = self.range.len();
        let slices = [VolatileSlice::from(self.bytes_mut())];
        Buffers::new(&slices).read_from(file, 0..len, offset)
    }

    fn write_to(&mut self, file: &File, offset: u64) -> io::Result<()> {
        let len = self.range.len();
        let slices = [VolatileSlice::from(self.bytes_mut())];
        Buffers::new(&slices).write_to(file, 0..len, offset)
    }
}

fn direct_alignment(file: &File) -> io::Result<Option<DirectAlignment>> {
    if !rustix::fs::fcntl_getfl(file)?.contains(OFlags::DIRECT) {
        return Ok(None);
    }
    // What fits every device that hosts have, for kernels before 6.1 and file systems that don't say
    let careful = DirectAlignment { memory: 4096, offset: 4096 };
    let told = rustix::fs::statx(file, "", AtFlags::EMPTY_PATH, StatxFlags::DIOALIGN)
        .ok()
        .filter(|statx| StatxFlags::from_bits_retain(statx.stx_mask).contains(StatxFlags::DIOALIGN))
        .map(|statx| (statx.stx_dio_mem_align, statx.stx_dio_offset_align))
        .filter(|(memory, offset)| memory.is_power_of_two() && offset.is_power_of_two())
        .map(|(memory, offset)| DirectAlignment { memory: memory as usize, offset: u64::from(offset.max(512)) });
    Ok(Some(told.unwrap_or(careful)))
}

/// The file's path, as the kernel knows it.
fn display_name(file: &File) -> String {
    match std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())) {
        Ok(path) => path.display().to_string(),
        Err(_) => "the image".to_owned(),
    }
}
