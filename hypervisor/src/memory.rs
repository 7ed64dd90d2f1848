//! Guest memory, and memory of devices that a guest sees directly.

use std::{fs::File, io, os::unix::fs::FileExt as _, sync::Arc};

use parking_lot::Mutex;
use rustix::{
    fs::{FallocateFlags, SeekFrom},
    io::Errno,
};
use vm_memory::{
    FileOffset, GuestAddress, GuestMemoryBackend, GuestMemoryMmap, GuestMemoryRegion, GuestRegionMmap, MmapRegion,
    VolatileMemory, VolatileSlice, mmap::MmapRegionError,
};

/// A guest's RAM. Clones share it. Reads and writes go through `vm-memory`'s `Bytes` and are checked.
pub type GuestMemory = GuestMemoryMmap<()>;

/// The size of a page, in bytes.
pub const PAGE_SIZE: u64 = 4096;
/// The size of a large page, in bytes.
const LARGE_PAGE_SIZE: u64 = 2 << 20;
/// How often a mapping is moved to where large pages can be used.
const PLACING_ATTEMPTS: usize = 4;

/// Guest memory could not be made.
#[derive(Debug, thiserror::Error)]
pub enum MemoryError {
    /// The host refused the memory.
    #[error("the host refuses {bytes} bytes of memory")]
    Refused {
        /// How much was asked for.
        bytes: u64,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The ranges overlap, are empty or not page-aligned.
    #[error("these memory ranges can't be: {0}")]
    Ranges(String),
}

fn memfd(name: &str, len: u64) -> Result<File, MemoryError> {
    let refused = |error: Errno| MemoryError::Refused { bytes: len, source: error.into() };
    let file = rustix::fs::memfd_create(name, rustix::fs::MemfdFlags::CLOEXEC).map_err(refused)?;
    rustix::fs::ftruncate(&file, len).map_err(refused)?;
    Ok(file.into())
}

/// RAM at `ranges` (first address, length in bytes), all zero.
///
/// It is anonymous memory: a Linux host gives that large pages, which a memory file gets only where somebody has changed
/// `/sys/kernel/mm/transparent_hugepage/shmem_enabled`. With small ones each page costs the guest a fault of its own, and
/// each miss of the translation cache a longer walk.
///
/// # Errors
/// The host refuses, or the ranges overlap, are empty or not page-aligned.
pub fn guest_memory(ranges: &[(u64, u64)]) -> Result<GuestMemory, MemoryError> {
    let mut regions = Vec::with_capacity(ranges.len());
    for &(base, len) in ranges {
        let impossible = || MemoryError::Ranges(format!("{base:#x} with {len:#x} bytes"));
        if len == 0 || base % PAGE_SIZE != 0 || len % PAGE_SIZE != 0 {
            return Err(impossible());
        }
        let region = GuestRegionMmap::new(mapping_for(base, len)?, GuestAddress(base)).ok_or_else(impossible)?;
        regions.push(region);
    }
    let memory = GuestMemory::from_regions(regions).map_err(|error| MemoryError::Ranges(error.to_string()))?;
    memory.iter().for_each(advise);
    Ok(memory)
}

/// A mapping of `len` bytes for guest memory at `base`, where a large page of the host can be a large page of the guest: the
/// addresses of both differ by whole large pages (as `kvm_alloc_memslot_metadata` of Linux asks).
fn mapping_for(base: u64, len: u64) -> Result<MmapRegion<()>, MemoryError> {
    let refused =
        |error: MmapRegionError| MemoryError::Refused { bytes: len, source: io::Error::other(error.to_string()) };
    let new = |len: u64| MmapRegion::new(len as usize).map_err(refused);
    let too_high = |mapping: &MmapRegion<()>| (mapping.as_ptr() as u64).wrapping_sub(base) % LARGE_PAGE_SIZE;
    let mut mapping = new(len)?;
    // Linux maps from above: what is put into the place of a mapping that begins too high by so much pushes the next one
    // down by as much. Another thread may map something in between, which a second attempt sees.
    for _ in 0..PLACING_ATTEMPTS {
        let excess = too_high(&mapping);
        if excess == 0 || len < LARGE_PAGE_SIZE {
            break;
        }
        drop(mapping);
        let _pad = new(excess)?;
        mapping = new(len)?;
    }
    Ok(mapping)
}

/// Asks for large pages, and keeps the guest's memory out of crash dumps. Advice may be refused.
fn advise(region: &GuestRegionMmap<()>) {
    use rustix::mm::{Advice, madvise};
    for advice in [Advice::LinuxHugepage, Advice::LinuxDontDump] {
        // SAFETY: the range is the region's own mapping, and neither advice changes what is in it.
        #[allow(unsafe_code)]
        let _ = unsafe { madvise(region.as_ptr().cast(), region.len() as usize, advice) };
    }
}

/// Reports which pages of a mapping the guest has written.
pub trait DirtyLog: Send + Sync {
    /// Pages written since the last call: bit `n % 64` of element `n / 64` is page `n`.
    ///
    /// # Errors
    /// The host's log can't be read.
    fn take(&self) -> io::Result<Vec<u64>>;
}

/// Memory of a device that the guest reads and writes without an exit, such as a frame buffer. Clones share it.
#[derive(Clone)]
pub struct DeviceMemory(Arc<Inner>);

struct Inner {
    mapping: MmapRegion<()>,
    log: Mutex<AttachedLog>,
}

#[derive(Default)]
struct AttachedLog {
    log: Option<Arc<dyn DirtyLog>>,
    /// A log was detached, and took with it which pages it knew of.
    lost: bool,
}

impl AttachedLog {
    fn set(&mut self, log: Option<Arc<dyn DirtyLog>>) {
        self.lost |= self.log.is_some();
        self.log = log;
    }
}

impl DeviceMemory {
    /// `len` bytes of zeroes (rounded up to pages).
    ///
    /// # Errors
    /// The host refuses.
    pub fn new(name: &str, len: u64) -> Result<Self, MemoryError> {
        let len = len.next_multiple_of(PAGE_SIZE);
        let file = FileOffset::new(memfd(name, len)?, 0);
        let mapping = MmapRegion::from_file(file, len as usize)
            .map_err(|error| MemoryError::Refused { bytes: len, source: io::Error::other(error.to_string()) })?;
        Ok(DeviceMemory(Arc::new(Inner { mapping, log: Mutex::default() })))
    }

    /// Length in bytes.
    #[must_use]
    #[allow(clippy::len_without_is_empty)] // it is never empty
    pub fn len(&self) -> u64 {
        self.0.mapping.size() as u64
    }

    /// The bytes, as the host sees them. The guest may change them at any time.
    #[must_use]
    pub fn bytes(&self) -> VolatileSlice<'_> {
        self.0.mapping.as_volatile_slice()
    }

    /// Makes all bytes zero, and gives their pages back to the host.
    ///
    /// # Errors
    /// The host refuses.
    pub fn clear(&self) -> io::Result<()> {
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        Ok(rustix::fs::fallocate(self.file()?, flags, 0, self.len())?)
    }

    /// A copy of the bytes, without zeroes at the end. Pages that nobody has touched aren't allocated for it.
    ///
    /// # Errors
    /// The memory's file can't be read.
    pub fn contents(&self) -> io::Result<Vec<u8>> {
        let file = self.file()?;
        let mut bytes = Vec::new();
        loop {
            let start = match rustix::fs::seek(file, SeekFrom::Data(bytes.len() as u64)) {
                Err(Errno::NXIO) => break,
                start => start?,
            };
            let end = rustix::fs::seek(file, SeekFrom::Hole(start))?;
            bytes.resize(end as usize, 0);
            file.read_exact_at(&mut bytes[start as usize..], start)?;
        }
        bytes.truncate(bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1));
        Ok(bytes)
    }

    fn file(&self) -> io::Result<&File> {
        let file = self.0.mapping.file_offset().map(FileOffset::file);
        file.ok_or_else(|| io::Error::other("device memory without a file"))
    }

    /// Pages that the guest wrote since the last call, as in [`DirtyLog::take`]; all of them if a log was detached since;
    /// empty while no log is attached (the memory isn't mapped). What the host wrote is not in it.
    ///
    /// # Errors
    /// The host's log can't be read.
    pub fn take_dirty(&self) -> io::Result<Vec<u64>> {
        let (log, lost) = {
            let mut attached = self.0.log.lock();
            (attached.log.clone(), std::mem::take(&mut attached.lost))
        };
        if lost {
            return Ok(vec![u64::MAX; (self.len() / PAGE_SIZE).div_ceil(64) as usize]);
        }
        log.map_or(Ok(Vec::new()), |log| log.take())
    }

    /// Attaches the log of the mapping in which the guest sees this memory, or detaches it.
    pub fn set_log(&self, log: Option<Arc<dyn DirtyLog>>) {
        self.0.log.lock().set(log);
    }

    /// Detaches `log`, unless another has been attached since.
    pub fn detach_log(&self, log: &Arc<dyn DirtyLog>) {
        let mut attached = self.0.log.lock();
        if attached.log.as_ref().is_some_and(|attached| Arc::ptr_eq(attached, log)) {
            attached.set(None);
        }
    }
}

impl std::fmt::Debug for DeviceMemory {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "DeviceMemory({} bytes)", self.len())
    }
}

#[cfg(test)]
mod tests {
    use vm_memory::Bytes;

    use super::*;

    #[test]
    fn ram_is_zero_and_holds_what_is_written() {
        let memory = guest_memory(&[(0, 0x10000), (0x1_0000_0000, 0x2000)]).unwrap();
        assert_eq!(memory.read_obj::<u64>(GuestAddress(0x1_0000_1000)).unwrap(), 0);
        memory.write_obj(0x55aa_u16, GuestAddress(0xfffe)).unwrap();
        assert_eq!(memory.read_obj::<u16>(GuestAddress(0xfffe)).unwrap(), 0x55aa);
        assert_eq!(memory.num_regions(), 2);
        assert!(memory.read_obj::<u8>(GuestAddress(0x10000)).is_err());
    }

    #[test]
    fn impossible_ranges_are_refused() {
        for ranges in [vec![(0, 0)], vec![(1, 0x1000)], vec![(0, 0x2000), (0x1000, 0x1000)]] {
            assert!(matches!(guest_memory(&ranges), Err(MemoryError::Ranges(_))), "{ranges:?}");
        }
        assert!(matches!(guest_memory(&[(0, 1 << 62)]), Err(MemoryError::Refused { .. } | MemoryError::Ranges(_))));
    }

    #[test]
    fn large_pages_of_guest_and_host_coincide() {
        let memory = guest_memory(&[(0, 64 << 20), (0x1_0000_0000, 6 << 20)]).unwrap();
        for region in memory.iter() {
            assert_eq!((region.as_ptr() as u64).wrapping_sub(region.start_addr().0) % LARGE_PAGE_SIZE, 0);
        }
    }

    #[test]
    fn device_memory_is_shared_by_its_clones() {
        let memory = DeviceMemory::new("vram", 5000).unwrap();
        assert_eq!(memory.len(), 8192);
        memory.clone().bytes().write_obj(7_u32, 100).unwrap();
        assert_eq!(memory.bytes().get_ref::<u32>(100).unwrap().load(), 7);
        assert!(memory.take_dirty().unwrap().is_empty());
    }

    #[test]
    fn what_a_log_knew_is_not_lost_with_it() {
        struct Quiet;
        impl DirtyLog for Quiet {
            fn take(&self) -> io::Result<Vec<u64>> {
                Ok(vec![0])
            }
        }
        let memory = DeviceMemory::new("vram", 8192).unwrap();
        let (first, second): (Arc<dyn DirtyLog>, Arc<dyn DirtyLog>) = (Arc::new(Quiet), Arc::new(Quiet));
        memory.set_log(Some(first.clone()));
        memory.detach_log(&second);
        assert_eq!(memory.take_dirty().unwrap(), [0]);
        memory.detach_log(&first);
        memory.set_log(Some(second));
        assert_eq!(memory.take_dirty().unwrap(), [u64::MAX]);
        assert_eq!(memory.take_dirty().unwrap(), [0]);
    }

    #[test]
    fn device_memory_is_copied_up_to_its_last_byte_and_cleared() {
        let memory = DeviceMemory::new("vram", 1 << 20).unwrap();
        assert!(memory.contents().unwrap().is_empty());
        memory.bytes().write_obj(7_u8, 3).unwrap();
        memory.bytes().write_obj(9_u8, 70_000).unwrap();
        let contents = memory.contents().unwrap();
        assert_eq!((contents.len(), contents[3], contents[70_000]), (70_001, 7, 9));
        assert_eq!(contents.iter().filter(|&&byte| byte != 0).count(), 2);
        memory.clear().unwrap();
        assert!(memory.contents().unwrap().is_empty());
        assert_eq!(memory.bytes().get_ref::<u8>(70_000).unwrap().load(), 0);
    }
}
