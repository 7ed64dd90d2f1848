//! A disk's first sectors: boot code and partitions, by the PC's master boot record or by GPT (UEFI 2.10, sections 5.2 and
//! 5.3).

use std::fs::File;

use vm_memory::VolatileSlice;

use super::{le32, read_up_to};
use crate::{
    disk::Disk,
    image::{self, Format, ImageError, ImageSource},
};

/// How much of a disk's beginning is looked at, in bytes: its master boot record, and a GPT header and table in sectors of 512
/// bytes.
pub(crate) const HEAD: usize = 34 * 512;

const SECTOR: usize = 512;
/// Places in the master boot record.
const PARTITIONS: usize = 446;
const SIGNATURE: usize = 510;
/// Bytes of its code area, which no partition table is in.
const CODE: usize = 440;
/// Types of partitions: a GPT's guard, UEFI's own.
const PROTECTIVE: u8 = 0xee;
const EFI_SYSTEM: u8 = 0xef;
/// The type of UEFI's own partition in a GPT: C12A7328-F81F-11D2-BA4B-00A0C93EC93B.
const EFI_SYSTEM_GUID: [u8; 16] =
    [0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11, 0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b];
/// The most entries of a GPT that are looked at: the usual number.
const MAX_ENTRIES: u32 = 128;

/// What a disk begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct BootSector {
    /// A BIOS would start it: it has boot code and the signature.
    pub has_code: bool,
    /// How it is divided.
    pub partitioning: Partitioning,
    /// It has a partition that UEFI firmware looks for programs in.
    pub has_efi_partition: bool,
}

/// How a disk is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Partitioning {
    /// It isn't, or not in a way that we know.
    #[default]
    None,
    /// By its master boot record.
    Mbr,
    /// By a GPT.
    Gpt,
}

impl BootSector {
    /// What a disk image begins with. A raw image can be read while a machine runs from it.
    ///
    /// # Errors
    /// The image can't be read, or is used by another program.
    pub fn read(file: &File, format: Format) -> Result<Self, ImageError> {
        let mut head = vec![0; HEAD];
        match format {
            Format::Raw => head = read_up_to(file, 0, HEAD).map_err(ImageError::io("the image"))?,
            Format::Qcow2 => {
                let file = file.try_clone().map_err(ImageError::io("the image"))?;
                let source = ImageSource { file, format, read_only: true, after_crash: false };
                let disk = image::open_chain(vec![source])?;
                head.truncate(disk.len_bytes().min(HEAD as u64) as usize);
                let read = disk.read(0, &[VolatileSlice::from(head.as_mut_slice())]);
                read.map_err(ImageError::io("the image"))?;
            }
        }
        Ok(BootSector::of(&head))
    }

    /// What a disk's first [`HEAD`] bytes say; fewer say less.
    pub(crate) fn of(head: &[u8]) -> Self {
        if head.get(SIGNATURE..SECTOR) != Some(&[0x55, 0xaa]) {
            return BootSector::default();
        }
        let has_code = head[..CODE].iter().any(|byte| *byte != 0);
        let entries: Vec<&[u8]> = head[PARTITIONS..SIGNATURE].chunks(16).filter(|entry| is_partition(entry)).collect();
        let has_type = |kind: u8| entries.iter().any(|entry| entry[4] == kind);
        if has_type(PROTECTIVE) && head.get(SECTOR..).is_some_and(|header| header.starts_with(b"EFI PART")) {
            return BootSector {
                has_code,
                partitioning: Partitioning::Gpt,
                has_efi_partition: has_type(EFI_SYSTEM) || gpt_has_efi_partition(head),
            };
        }
        // The boot sector of a file system, as on a floppy, has code where partitions would be.
        let sound = head[PARTITIONS..SIGNATURE].chunks(16).all(|entry| matches!(entry[0], 0 | 0x80));
        let partitioning = if sound && !entries.is_empty() { Partitioning::Mbr } else { Partitioning::None };
        BootSector {
            has_code,
            partitioning,
            has_efi_partition: partitioning == Partitioning::Mbr && has_type(EFI_SYSTEM),
        }
    }
}

/// Whether an entry is of a partition: it has a type and a length.
fn is_partition(entry: &[u8]) -> bool {
    entry[4] != 0 && le32(entry, 12) != 0
}

fn gpt_has_efi_partition(head: &[u8]) -> bool {
    let (count, size) = (le32(head, SECTOR + 80).min(MAX_ENTRIES), le32(head, SECTOR + 84));
    // As everywhere, right after the header.
    (128..=512).contains(&size)
        && (0..count as usize).any(|index| {
            let at = 2 * SECTOR + index * size as usize;
            head.get(at..at + 16) == Some(&EFI_SYSTEM_GUID[..])
        })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn mbr(code: u8, types: &[u8]) -> Vec<u8> {
        let mut head = vec![0; HEAD];
        head[..CODE].fill(code);
        for (index, kind) in types.iter().enumerate() {
            let entry = PARTITIONS + 16 * index;
            (head[entry + 4], head[entry + 12]) = (*kind, 1);
        }
        head[SIGNATURE..SECTOR].copy_from_slice(&[0x55, 0xaa]);
        head
    }

    #[test]
    fn a_master_boot_record_tells_of_code_and_partitions() {
        let told = |head: &[u8]| {
            let sector = BootSector::of(head);
            (sector.has_code, sector.partitioning, sector.has_efi_partition)
        };
        assert_eq!(told(&mbr(0xeb, &[0x83])), (true, Partitioning::Mbr, false));
        assert_eq!(told(&mbr(0, &[0x83, EFI_SYSTEM])), (false, Partitioning::Mbr, true));
        assert_eq!(told(&mbr(1, &[])), (true, Partitioning::None, false));
        let mut floppy = mbr(1, &[0x83]);
        floppy[PARTITIONS] = 0x33;
        assert_eq!(told(&floppy), (true, Partitioning::None, false));
        assert_eq!(told(&[0; HEAD]), (false, Partitioning::None, false));
        assert_eq!(told(b"short"), (false, Partitioning::None, false));
    }

    #[test]
    fn a_gpt_tells_of_uefis_partition() {
        let mut head = mbr(0, &[PROTECTIVE]);
        head[SECTOR..SECTOR + 8].copy_from_slice(b"EFI PART");
        head[SECTOR + 80] = 128;
        head[SECTOR + 84] = 128;
        assert!(!BootSector::of(&head).has_efi_partition);
        head[2 * SECTOR + 128..2 * SECTOR + 144].copy_from_slice(&EFI_SYSTEM_GUID);
        let sector = BootSector::of(&head);
        assert_eq!((sector.partitioning, sector.has_efi_partition), (Partitioning::Gpt, true));
    }

    #[test]
    fn the_disk_in_a_qcow2_image_is_looked_at_and_not_the_image() {
        let raw = tempfile::tempfile().unwrap();
        std::os::unix::fs::FileExt::write_all_at(&raw, &mbr(1, &[0x83]), 0).unwrap();
        assert_eq!(BootSector::read(&raw, Format::Raw).unwrap().partitioning, Partitioning::Mbr);
        let qcow2 = tempfile::tempfile().unwrap();
        image::create_qcow2(&qcow2, &image::NewImage::new(1 << 20)).unwrap();
        assert_eq!(BootSector::read(&qcow2, Format::Qcow2).unwrap(), BootSector::default());
        let source = ImageSource {
            file: qcow2.try_clone().unwrap(),
            format: Format::Qcow2,
            read_only: false,
            after_crash: false,
        };
        let disk = image::open_chain(vec![source]).unwrap();
        let mut head = mbr(1, &[EFI_SYSTEM]);
        disk.write(0, &[VolatileSlice::from(head.as_mut_slice())]).unwrap();
        disk.flush().unwrap();
        drop(disk);
        let sector = BootSector::read(&qcow2, Format::Qcow2).unwrap();
        assert!(sector.has_code && sector.has_efi_partition);
    }

    proptest! {
        #[test]
        fn no_sector_makes_it_panic(mut head in prop::collection::vec(any::<u8>(), 0..2 * HEAD), signed: bool) {
            if signed && head.len() >= SECTOR {
                head[SIGNATURE..SECTOR].copy_from_slice(&[0x55, 0xaa]);
                head[PARTITIONS + 4] = PROTECTIVE;
            }
            BootSector::of(&head);
        }
    }
}
