//! A disk in memory, for tests of what uses a [`Disk`]: it fails on demand, counts, and knows what was flushed.

use std::io;

use parking_lot::{Mutex, RwLock};
use vm_memory::VolatileSlice;

use super::{Disk, check_range, total_len};

/// What a [`Disk`] can be asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// [`Disk::read`]
    Read,
    /// [`Disk::write`]
    Write,
    /// [`Disk::flush`]
    Flush,
    /// [`Disk::discard`]
    Discard,
}

/// A failure to come.
#[derive(Debug, Clone, Copy)]
struct Fault {
    operation: Operation,
    /// How many of these operations still succeed before.
    successes: u64,
    errno: i32,
}

/// How often each operation was asked for, refused ones included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// [`Disk::read`]
    pub reads: u64,
    /// [`Disk::write`]
    pub writes: u64,
    /// [`Disk::flush`]
    pub flushes: u64,
    /// [`Disk::discard`]
    pub discards: u64,
}

/// A disk whose content is a vector.
#[derive(Debug)]
pub struct MemoryDisk {
    content: RwLock<Vec<u8>>,
    durable: Mutex<Vec<u8>>,
    faults: Mutex<Vec<Fault>>,
    counts: Mutex<Counts>,
    read_only: bool,
}

impl MemoryDisk {
    /// A disk of `len` zeroes; `len` is a multiple of 512.
    #[must_use]
    pub fn new(len: usize) -> Self {
        MemoryDisk::with_content(vec![0; len])
    }

    /// A disk with this content, padded with zeroes to a multiple of 512 bytes.
    #[must_use]
    pub fn with_content(mut content: Vec<u8>) -> Self {
        content.resize(content.len().next_multiple_of(512), 0);
        MemoryDisk {
            durable: Mutex::new(content.clone()),
            content: RwLock::new(content),
            faults: Mutex::new(Vec::new()),
            counts: Mutex::new(Counts::default()),
            read_only: false,
        }
    }

    /// The same disk, refusing writes.
    #[must_use]
    pub fn read_only(mut self) -> Self {
        self.read_only = true;
        self
    }

    /// Lets one `operation` fail with `errno` (`libc::ENOSPC`, `libc::EIO`…) after `successes` more of its kind were
    /// carried out. A failed write or discard changes nothing. Several faults may wait at once.
    pub fn fail(&self, operation: Operation, successes: u64, errno: i32) {
        self.faults.lock().push(Fault { operation, successes, errno });
    }

    /// Another disk in the same state, failures to come included.
    #[must_use]
    pub fn duplicate(&self) -> MemoryDisk {
        MemoryDisk {
            content: RwLock::new(self.content()),
            durable: Mutex::new(self.durable_content()),
            faults: Mutex::new(self.faults.lock().clone()),
            counts: Mutex::new(self.counts()),
            read_only: self.read_only,
        }
    }

    /// What a reader sees now.
    #[must_use]
    pub fn content(&self) -> Vec<u8> {
        self.content.read().clone()
    }

    /// What would be left after a power failure: the content as of the last good flush.
    #[must_use]
    pub fn durable_content(&self) -> Vec<u8> {
        self.durable.lock().clone()
    }

    /// How often each operation was asked for.
    #[must_use]
    pub fn counts(&self) -> Counts {
        *self.counts.lock()
    }

    fn begin(&self, operation: Operation) -> io::Result<()> {
        let mut counts = self.counts.lock();
        match operation {
            Operation::Read => counts.reads += 1,
            Operation::Write => counts.writes += 1,
            Operation::Flush => counts.flushes += 1,
            Operation::Discard => counts.discards += 1,
        }
        drop(counts);
        let mut faults = self.faults.lock();
        let mut due = None;
        for (index, fault) in faults.iter_mut().enumerate().filter(|(_, fault)| fault.operation == operation) {
            match fault.successes.checked_sub(1) {
                Some(left) => fault.successes = left,
                None => due = due.or(Some(index)),
            }
        }
        match due {
            Some(index) => Err(io::Error::from_raw_os_error(faults.remove(index).errno)),
            None => Ok(()),
        }
    }

    fn check_writable(&self) -> io::Result<()> {
        if self.read_only { Err(io::ErrorKind::PermissionDenied.into()) } else { Ok(()) }
    }
}

impl Disk for MemoryDisk {
    fn len_bytes(&self) -> u64 {
        self.content.read().len() as u64
    }

    fn is_read_only(&self) -> bool {
        self.read_only
    }

    fn read(&self, offset: u64, buffers: &[VolatileSlice<'_>]) -> io::Result<()> {
        check_range(offset, total_len(buffers) as u64, self.len_bytes())?;
        self.begin(Operation::Read)?;
        let content = self.content.read();
        let mut at = offset as usize;
        for buffer in buffers {
            buffer.copy_from(&content[at..at + buffer.len()]);
            at += buffer.len();
        }
        Ok(())
    }

    fn write(&self, offset: u64, buffers: &[VolatileSlice<'_>]) -> io::Result<()> {
        self.check_writable()?;
        check_range(offset, total_len(buffers) as u64, self.len_bytes())?;
        self.begin(Operation::Write)?;
        let mut content = self.content.write();
        let mut at = offset as usize;
        for buffer in buffers {
            buffer.copy_to(&mut content[at..at + buffer.len()]);
            at += buffer.len();
        }
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        self.begin(Operation::Flush)?;
        self.durable.lock().clone_from(&self.content.read());
        Ok(())
    }

    fn discard(&self, offset: u64, len: u64) -> io::Result<()> {
        self.check_writable()?;
        check_range(offset, len, self.len_bytes())?;
        self.begin(Operation::Discard)?;
        self.content.write()[offset as usize..(offset + len) as usize].fill(0);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(disk: &MemoryDisk, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        disk.write(offset, &[VolatileSlice::from(bytes)])
    }

    #[test]
    fn what_was_written_is_read_back_and_durable_only_after_a_flush() {
        let disk = MemoryDisk::new(4096);
        write(&disk, 512, &mut [7; 512]).unwrap();
        let mut back = [0; 512];
        disk.read(512, &[VolatileSlice::from(&mut back[..])]).unwrap();
        assert_eq!(back, [7; 512]);
        assert_eq!(disk.durable_content(), vec![0; 4096]);
        disk.flush().unwrap();
        assert_eq!(disk.durable_content(), disk.content());
        disk.discard(512, 512).unwrap();
        assert_eq!(disk.content(), vec![0; 4096]);
    }

    #[test]
    fn a_fault_hits_the_chosen_operation_once() {
        let disk = MemoryDisk::new(4096);
        disk.fail(Operation::Write, 1, libc::ENOSPC);
        disk.fail(Operation::Flush, 0, libc::EIO);
        write(&disk, 0, &mut [1; 512]).unwrap();
        assert_eq!(write(&disk, 512, &mut [2; 512]).unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(disk.content()[512], 0);
        write(&disk, 512, &mut [2; 512]).unwrap();
        assert_eq!(disk.flush().unwrap_err().raw_os_error(), Some(libc::EIO));
        disk.flush().unwrap();
        assert_eq!(disk.counts(), Counts { reads: 0, writes: 3, flushes: 2, discards: 0 });
    }

    #[test]
    fn a_duplicate_goes_its_own_way() {
        let disk = MemoryDisk::new(4096);
        write(&disk, 0, &mut [1; 512]).unwrap();
        disk.fail(Operation::Write, 0, libc::EIO);
        let other = disk.duplicate();
        assert!(write(&other, 0, &mut [2; 512]).is_err());
        write(&other, 0, &mut [2; 512]).unwrap();
        assert_eq!((disk.content()[0], other.content()[0]), (1, 2));
        assert!(write(&disk, 0, &mut [2; 512]).is_err());
    }

    #[test]
    fn ranges_beyond_the_end_and_writes_to_a_read_only_disk_are_refused() {
        let disk = MemoryDisk::new(4096).read_only();
        assert_eq!(write(&disk, 0, &mut [1; 512]).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        assert_eq!(disk.discard(0, 512).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        let mut back = [0; 512];
        let outside = disk.read(u64::MAX, &[VolatileSlice::from(&mut back[..])]).unwrap_err();
        assert_eq!(outside.kind(), io::ErrorKind::InvalidInput);
    }
}
