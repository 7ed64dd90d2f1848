//! What a medium says of itself, before any machine has it: a disc's labels and boot records, a disk's boot sector and
//! partitions. Nothing here is trusted: what is read is limited, and fields that contradict the file are as if they were not
//! there.
//!
//! Left out: file systems, but for the one folder of a disc that tells which processors' UEFI firmware starts it; UDF's own
//! labels (discs of both kinds bear the same).

mod boot_sector;
mod directory;
mod el_torito;
mod iso;

use std::{fs::File, io, os::unix::fs::FileExt};

pub(crate) use boot_sector::HEAD;
pub use boot_sector::{BootSector, Partitioning};
pub use directory::EfiLoader;
pub use el_torito::{BootEntry, Platform};
pub use iso::{Iso, Labels};
pub(crate) use iso::{LEAST_ISO, SECTOR, has_udf};

/// Up to `len` bytes; fewer where the file ends.
fn read_up_to(file: &File, offset: u64, len: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; len];
    let mut done = 0;
    while done < len {
        match file.read_at(&mut bytes[done..], offset.saturating_add(done as u64)) {
            Ok(0) => break,
            Ok(count) => done += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // Offsets beyond what a file can have are offsets beyond its end.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => break,
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(done);
    Ok(bytes)
}

/// A little-endian number; zero where the bytes end before it.
fn le16(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |field| u16::from_le_bytes(*field))
}

/// As [`le16`].
fn le32(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |field| u32::from_le_bytes(*field))
}
