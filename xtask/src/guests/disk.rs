//! A disk that a PC's firmware starts: GRUB in the master boot record and behind it, one partition.
//!
//! GRUB's `boot.img` goes into the first sector and loads `core.img` from the sectors after it, where both expect each
//! other by default; between them and the first partition is a mebibyte.

use std::fs::OpenOptions;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::places::Scratch;
use crate::process;

/// Where the only partition starts.
pub(super) const PARTITION_START_BYTES: u64 = 1 << 20;
/// What GRUB's core holds; it loads the rest from the partition.
pub(super) const RECIPE: [&str; 5] = ["biosdisk", "part_msdos", "ext2", "normal", "linux"];

const SECTOR_BYTES: u64 = 512;
/// The code in the master boot record ends here, before the disk's signature and the partition table.
const CODE_BYTES: usize = 440;
const TABLE_AT: usize = 446;
const LINUX_PARTITION: u8 = 0x83;
const ACTIVE: u8 = 0x80;

/// Writes GRUB and the partition table into a disk image that has its file system already.
pub(super) fn make_bootable(disk: &Path, grub_modules: &Path) -> Result<()> {
    let scratch = Scratch::new("grub")?;
    let core_file = scratch.path().join("core.img");
    let mut make = Command::new("grub-mkimage");
    make.args(["-O", "i386-pc", "-p", "(hd0,msdos1)/boot/grub", "-d"]).arg(grub_modules).arg("-o").arg(&core_file);
    process::stdout(make.args(RECIPE))?;
    let core = std::fs::read(&core_file).context("grub-mkimage made nothing")?;
    let boot_file = grub_modules.join("boot.img");
    let boot = std::fs::read(&boot_file).with_context(|| format!("can't read {}", boot_file.display()))?;

    let mut image = OpenOptions::new().read(true).write(true).open(disk)?;
    let sectors = image.metadata()?.len() / SECTOR_BYTES;
    let mut record = [0; SECTOR_BYTES as usize];
    image.read_exact(&mut record)?;
    fill(&mut record, &boot, sectors)?;
    if core.len() as u64 > PARTITION_START_BYTES - SECTOR_BYTES {
        bail!("GRUB's core of {} bytes doesn't fit before the partition", core.len());
    }
    image.seek(SeekFrom::Start(0))?;
    image.write_all(&record)?;
    image.write_all(&core)?;
    image.sync_all().with_context(|| format!("can't write {}", disk.display()))
}

/// Fills a master boot record: code, and one active partition up to the disk's end.
fn fill(record: &mut [u8; 512], code: &[u8], disk_sectors: u64) -> Result<()> {
    let code = code.get(..CODE_BYTES).context("GRUB's boot.img is too short")?;
    record[..CODE_BYTES].copy_from_slice(code);
    let start = u32::try_from(PARTITION_START_BYTES / SECTOR_BYTES)?;
    let length = u32::try_from(disk_sectors)?.checked_sub(start).context("the disk is too small")?;
    // Addresses by cylinder, head and sector are beyond their range: only the linear ones count.
    let beyond = [0xfe, 0xff, 0xff];
    let entry = &mut record[TABLE_AT..TABLE_AT + 16];
    entry[0] = ACTIVE;
    entry[1..4].copy_from_slice(&beyond);
    entry[4] = LINUX_PARTITION;
    entry[5..8].copy_from_slice(&beyond);
    entry[8..12].copy_from_slice(&start.to_le_bytes());
    entry[12..16].copy_from_slice(&length.to_le_bytes());
    record[TABLE_AT + 16..510].fill(0);
    record[510..].copy_from_slice(&[0x55, 0xaa]);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_partition_reaches_to_the_end_of_the_disk() {
        let mut record = [0xff; 512];
        fill(&mut record, &[0x90; 512], 6 << 20).unwrap();
        assert_eq!(record[..CODE_BYTES], [0x90; CODE_BYTES]);
        assert_eq!(record[446..450], [0x80, 0xfe, 0xff, 0xff]);
        assert_eq!(record[450], 0x83);
        assert_eq!(record[454..458], 2048_u32.to_le_bytes());
        assert_eq!(record[458..462], ((6_u32 << 20) - 2048).to_le_bytes());
        assert_eq!(record[462..510], [0; 48]);
        assert_eq!(record[510..], [0x55, 0xaa]);
        assert!(fill(&mut record, &[0x90; 512], 1000).is_err());
    }
}
