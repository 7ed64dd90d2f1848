//! Puts things into guest memory: bytes, zeroes, files, a kernel's command line and its initial RAM disk.

use std::{
    fs::File,
    io,
    ops::Range,
    os::unix::fs::{FileExt, MetadataExt},
};

use vm_memory::{Bytes, GuestAddress};

use super::{
    error::LoadError,
    room::{FOUR_GIB, Room},
};
use crate::memory::GuestMemory;

/// Where the small structures go first: above the memory that Linux gives to firmware (64 KiB).
const LOW_DATA: u64 = 0x1_0000;
/// Where conventional memory ends at the latest.
const LOW_DATA_END: u64 = 0xa_0000;

const CHUNK: usize = 1 << 20;

/// An initial RAM disk.
#[derive(Debug, Clone, Copy)]
pub enum Initrd<'a> {
    /// A file, read from its beginning.
    File(&'a File),
    /// Bytes.
    Bytes(&'a [u8]),
}

impl Initrd<'_> {
    fn len(&self) -> Result<u64, LoadError> {
        let len = match self {
            Initrd::Bytes(bytes) => bytes.len() as u64,
            Initrd::File(file) => {
                let metadata = file.metadata().map_err(LoadError::InitrdRead)?;
                if metadata.is_dir() {
                    return Err(LoadError::InitrdRead(io::ErrorKind::IsADirectory.into()));
                }
                metadata.size()
            }
        };
        if len == 0 { Err(LoadError::InitrdEmpty) } else { Ok(len) }
    }
}

/// Guest memory, and what of it is still free.
pub(super) struct Place<'a> {
    pub(super) memory: &'a GuestMemory,
    pub(super) room: Room,
}

impl Place<'_> {
    pub(super) fn write(&self, address: u64, bytes: &[u8]) -> Result<(), LoadError> {
        self.memory.write_slice(bytes, GuestAddress(address)).map_err(|source| LoadError::Memory { address, source })
    }

    fn write_zeroes(&self, range: Range<u64>) -> Result<(), LoadError> {
        let zeroes = vec![0; CHUNK.min((range.end - range.start) as usize)];
        let mut at = range.start;
        while at < range.end {
            let len = (range.end - at).min(CHUNK as u64);
            self.write(at, &zeroes[..len as usize])?;
            at += len;
        }
        Ok(())
    }

    /// Takes `range` for a kernel.
    pub(super) fn take_for_kernel(&mut self, range: &Range<u64>) -> Result<(), LoadError> {
        if self.room.take(range) {
            return Ok(());
        }
        match mib(range.end) {
            Some(needed) if needed <= FOUR_GIB && self.room.ends_before(range) => {
                Err(LoadError::NeedsMemory { what: "this kernel", needed, ram: self.room.ram() })
            }
            _ => Err(LoadError::Occupied { start: range.start, end: range.end }),
        }
    }

    /// Writes `bytes` to `range`, taken before, and zeroes behind them.
    pub(super) fn fill(&self, range: &Range<u64>, bytes: &[u8]) -> Result<(), LoadError> {
        self.write(range.start, bytes)?;
        self.write_zeroes(range.start + bytes.len() as u64..range.end)
    }

    /// Takes room for a small structure below 4 GiB, in conventional memory if it can.
    pub(super) fn take_data(&mut self, len: u64) -> Result<u64, LoadError> {
        let room = &mut self.room;
        let low = room.take_low(len, LOW_DATA, LOW_DATA_END);
        low.or_else(|| room.take_low(len, LOW_DATA, FOUR_GIB)).ok_or_else(|| LoadError::NeedsMemory {
            what: "what this kernel is handed at its start",
            needed: mib(room.ram().saturating_add(len)).unwrap_or(u64::MAX),
            ram: room.ram(),
        })
    }

    /// Places `bytes` as a small structure.
    pub(super) fn add_data(&mut self, bytes: &[u8]) -> Result<u64, LoadError> {
        let address = self.take_data(bytes.len() as u64)?;
        self.write(address, bytes)?;
        Ok(address)
    }

    /// Places a command line of at most `limit` bytes and its NUL.
    pub(super) fn add_command_line(&mut self, line: &str, limit: usize) -> Result<u64, LoadError> {
        if line.len() > limit {
            return Err(LoadError::CommandLineTooLong { len: line.len(), limit });
        }
        if line.contains('\0') {
            return Err(LoadError::CommandLineNul);
        }
        let mut bytes = line.as_bytes().to_vec();
        bytes.push(0);
        self.add_data(&bytes)
    }

    /// Places an initial RAM disk as high as it can, ending at `below` or under.
    pub(super) fn add_initrd(&mut self, initrd: &Initrd<'_>, below: u64) -> Result<Range<u64>, LoadError> {
        let len = initrd.len()?;
        let Some(base) = self.room.take_high(len, below) else {
            return Err(self.no_room_for_initrd(len, below));
        };
        match initrd {
            Initrd::Bytes(bytes) => self.write(base, bytes)?,
            Initrd::File(file) => self.copy_file(file, base, len)?,
        }
        Ok(base..base + len)
    }

    fn copy_file(&self, file: &File, base: u64, len: u64) -> Result<(), LoadError> {
        let mut chunk = vec![0; CHUNK.min(len as usize)];
        let mut done = 0;
        while done < len {
            let part = (len - done).min(CHUNK as u64) as usize;
            file.read_exact_at(&mut chunk[..part], done).map_err(LoadError::InitrdRead)?;
            self.write(base + done, &chunk[..part])?;
            done += part as u64;
        }
        Ok(())
    }

    fn no_room_for_initrd(&self, len: u64, below: u64) -> LoadError {
        let needed = self.room.end_if_larger(len).filter(|&end| end <= below).and_then(mib);
        match needed {
            Some(needed) => LoadError::NeedsMemory { what: "the initial RAM disk", needed, ram: self.room.ram() },
            None => LoadError::InitrdTooLarge { len, below },
        }
    }
}

/// `bytes` rounded up to 1 MiB.
fn mib(bytes: u64) -> Option<u64> {
    bytes.checked_next_multiple_of(1 << 20)
}
