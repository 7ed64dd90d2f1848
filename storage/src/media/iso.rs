//! Discs with an ISO 9660 file system (ECMA-119), alone or beside UDF.

use std::{fs::File, io};

use super::{
    boot_sector::BootSector,
    directory::{self, EfiLoader},
    el_torito::{self, BootEntry, Platform},
    le16, le32, read_up_to,
};

/// Bytes of a sector (ECMA-119, section 6.1.2).
pub(crate) const SECTOR: u64 = 2048;
/// The first volume descriptor's sector (section 6.2.1).
const FIRST_DESCRIPTOR: u64 = 16;
/// The least length of a disc: to the end of its first descriptor.
pub(crate) const LEAST_ISO: u64 = (FIRST_DESCRIPTOR + 1) * SECTOR;
/// How many are looked at; real discs have up to five, and UDF's recognition sequence follows them.
const DESCRIPTORS: usize = 16;
/// Descriptor types (section 8.1.1).
const BOOT_RECORD: u8 = 0;
const PRIMARY: u8 = 1;
const TERMINATOR: u8 = 255;
/// Places in the primary volume descriptor (section 8.4): Volume Space Size, Logical Block Size, root directory record.
const SPACE_SIZE: usize = 80;
const BLOCK_SIZE: usize = 128;
const ROOT: usize = 156;

/// What a disc with an ISO 9660 file system says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Iso {
    /// Its labels.
    pub labels: Labels,
    /// The size of its file system, in bytes; 0 if that is not said.
    pub volume_bytes: u64,
    /// It has a UDF file system as well.
    pub has_udf: bool,
    /// What its El Torito boot catalog offers, in order; empty if there is none.
    pub boot_entries: Vec<BootEntry>,
    /// What is in its first sector: hybrids can be written to a disk, and booted from there.
    pub hybrid: BootSector,
    /// The programs that UEFI firmware starts, by their processors.
    pub efi_loaders: Vec<EfiLoader>,
}

/// The identifiers in the primary volume descriptor (section 8.4), without the blanks around them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Labels {
    /// Volume identifier: the disc's name.
    pub volume: String,
    /// System identifier: what can use its first sectors.
    pub system: String,
    /// Publisher identifier.
    pub publisher: String,
    /// Data preparer identifier.
    pub preparer: String,
    /// Application identifier.
    pub application: String,
}

impl Iso {
    /// Reads what a disc says; `None` if the file has no ISO 9660 file system. What the file is too short for is missing.
    ///
    /// # Errors
    /// The file can't be read.
    pub fn read(file: &File) -> io::Result<Option<Self>> {
        let area = read_up_to(file, FIRST_DESCRIPTOR * SECTOR, DESCRIPTORS * SECTOR as usize)?;
        let descriptors: Vec<&[u8]> = area.chunks(SECTOR as usize).collect();
        if !descriptors.first().is_some_and(|first| is_descriptor(first)) {
            return Ok(None);
        }
        let set = descriptors.iter().take_while(|one| is_descriptor(one) && one.first() != Some(&TERMINATOR));
        let set: Vec<&[u8]> = set.copied().collect();
        let primary = set.iter().find(|one| one.first() == Some(&PRIMARY)).copied().unwrap_or_default();
        let catalog =
            set.iter().filter(|one| one.first() == Some(&BOOT_RECORD)).find_map(|one| el_torito::catalog(one));
        let boot_entries = match catalog {
            Some(sector) => el_torito::entries(&read_up_to(file, u64::from(sector) * SECTOR, SECTOR as usize)?),
            None => Vec::new(),
        };
        Ok(Some(Iso {
            labels: Labels::of(primary),
            volume_bytes: u64::from(le32(primary, SPACE_SIZE)) * u64::from(le16(primary, BLOCK_SIZE)),
            has_udf: descriptors.iter().any(|one| matches!(one.get(1..6), Some(b"NSR02" | b"NSR03"))),
            boot_entries,
            hybrid: BootSector::of(&read_up_to(file, 0, super::HEAD)?),
            efi_loaders: directory::efi_loaders(file, primary.get(ROOT..).unwrap_or_default())?,
        }))
    }

    /// The least length of a whole file, without the run-out that some writers count: its descriptors, and its file system.
    #[must_use]
    pub fn least_bytes(&self) -> u64 {
        self.volume_bytes.max(LEAST_ISO)
    }

    /// Whether a PC's BIOS finds something to start in a drive with this disc.
    #[must_use]
    pub fn boots_with_bios(&self) -> bool {
        self.boot_entries.iter().any(|entry| entry.platform == Platform::X86)
    }

    /// Whether UEFI firmware does.
    #[must_use]
    pub fn boots_with_uefi(&self) -> bool {
        self.boot_entries.iter().any(|entry| entry.platform == Platform::Efi)
    }
}

/// Whether a file has only a UDF file system (ECMA-167, part 2, section 9.1).
///
/// # Errors
/// The file can't be read.
pub(crate) fn has_udf(file: &File) -> io::Result<bool> {
    let area = read_up_to(file, FIRST_DESCRIPTOR * SECTOR, DESCRIPTORS * SECTOR as usize)?;
    Ok(area.chunks(SECTOR as usize).any(|one| matches!(one.get(1..6), Some(b"NSR02" | b"NSR03"))))
}

fn is_descriptor(sector: &[u8]) -> bool {
    sector.get(1..6) == Some(b"CD001")
}

impl Labels {
    /// Those in a primary volume descriptor, or what there is of it.
    fn of(descriptor: &[u8]) -> Self {
        let label = |at: usize, len: usize| {
            let bytes = descriptor.get(at..).map(|rest| &rest[..len.min(rest.len())]).unwrap_or_default();
            // Some writers end them with NUL, and use letters of their own.
            let bytes = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
            let text = String::from_utf8_lossy(bytes);
            text.replace(|char: char| char.is_control(), " ").trim().to_owned()
        };
        Labels {
            system: label(8, 32),
            volume: label(40, 32),
            publisher: label(318, 128),
            preparer: label(446, 128),
            application: label(574, 128),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::{Seek, SeekFrom, Write};

    use proptest::prelude::*;

    use super::*;

    /// A file with these bytes at these sectors.
    pub(crate) fn disc(sectors: &[(u64, &[u8])], len: u64) -> File {
        let mut file = tempfile::tempfile().unwrap();
        for (sector, bytes) in sectors {
            file.seek(SeekFrom::Start(sector * SECTOR)).unwrap();
            file.write_all(bytes).unwrap();
        }
        file.set_len(len).unwrap();
        file
    }

    /// A primary volume descriptor of a volume of so many sectors.
    pub(crate) fn primary(labels: &[(usize, &str)], sectors: u32) -> Vec<u8> {
        let mut bytes = vec![b' '; 813];
        bytes[..7].copy_from_slice(b"\x01CD001\x01");
        for (at, label) in labels {
            bytes[*at..at + label.len()].copy_from_slice(label.as_bytes());
        }
        bytes[SPACE_SIZE..SPACE_SIZE + 4].copy_from_slice(&sectors.to_le_bytes());
        bytes[BLOCK_SIZE..BLOCK_SIZE + 2].copy_from_slice(&2048_u16.to_le_bytes());
        bytes[ROOT..ROOT + 34].fill(0);
        bytes
    }

    #[test]
    fn labels_are_read_without_their_padding() {
        let primary =
            primary(&[(8, "LINUX"), (40, "My Disc"), (318, "ME"), (446, "PREP\0x"), (574, "APP\x01LICATION")], 100);
        let iso = Iso::read(&disc(&[(16, &primary)], 100 * SECTOR)).unwrap().unwrap();
        let labels = &iso.labels;
        assert_eq!(
            (labels.volume.as_str(), labels.system.as_str(), labels.publisher.as_str()),
            ("My Disc", "LINUX", "ME")
        );
        assert_eq!((labels.preparer.as_str(), labels.application.as_str()), ("PREP", "APP LICATION"));
        assert_eq!((iso.volume_bytes, iso.has_udf, iso.boots_with_bios()), (204_800, false, false));
    }

    #[test]
    fn a_disc_with_udf_beside_is_known_to_have_it() {
        let primary = primary(&[(40, "CCCOMA_X64FRE_EN-US_DV9")], 30);
        let both = disc(&[(16, &primary), (17, b"\xffCD001\x01"), (18, b"\0BEA01"), (19, b"\0NSR02")], 100_000);
        let iso = Iso::read(&both).unwrap().unwrap();
        assert!(iso.has_udf && iso.labels.volume == "CCCOMA_X64FRE_EN-US_DV9");
        let alone = disc(&[(16, b"\0BEA01"), (17, b"\0NSR03")], 100_000);
        assert!(has_udf(&alone).unwrap() && Iso::read(&alone).unwrap().is_none());
    }

    #[test]
    fn what_is_cut_off_is_missing_and_what_is_no_disc_is_none() {
        let primary = primary(&[(40, "NAME")], 100);
        let iso = Iso::read(&disc(&[(16, &primary)], 16 * SECTOR + 60)).unwrap().unwrap();
        assert_eq!((iso.labels.volume.as_str(), iso.volume_bytes, iso.least_bytes()), ("NAME", 0, 17 * SECTOR));
        for other in [disc(&[], 0), disc(&[], 1 << 20), disc(&[(0, b"CD001")], 40_000)] {
            assert_eq!(Iso::read(&other).unwrap(), None);
        }
    }

    proptest! {
        #[test]
        fn no_disc_makes_it_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..2048),
            catalog in prop::collection::vec(any::<u8>(), 0..2048),
            root in prop::collection::vec(any::<u8>(), 0..200),
            at: u32,
            len in 0_u64..100_000,
        ) {
            let mut descriptor = bytes;
            descriptor.splice(..descriptor.len().min(6), *b"\x01CD001");
            let mut boot = vec![0; 71];
            boot[..39].copy_from_slice(b"\0CD001\x01EL TORITO SPECIFICATION\0\0\0\0\0\0\0\0\0");
            boot.extend(20_u32.to_le_bytes());
            let _ = Iso::read(&disc(&[(16, &descriptor), (17, &boot), (20, &catalog), (24, &root)], len));
            let mut sound = primary(&[], at);
            sound[ROOT + 2..ROOT + 6].copy_from_slice(&24_u32.to_le_bytes());
            sound[ROOT + 10..ROOT + 14].copy_from_slice(&at.to_le_bytes());
            let _ = Iso::read(&disc(&[(16, &sound), (17, &boot), (20, &catalog), (24, &root)], 100_000 + len));
        }
    }
}
