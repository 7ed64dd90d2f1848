//! The El Torito boot catalog of a disc ("El Torito" Bootable CD-ROM Format Specification 1.0; UEFI 2.10, section 13.3.2.1).

use super::{le16, le32};

/// The boot record's Boot System Identifier.
const IDENTIFIER: &[u8] = b"EL TORITO SPECIFICATION";
/// Bytes of an entry.
const ENTRY: usize = 32;
/// Header IDs and boot indicators, the first byte of an entry.
const VALIDATION: u8 = 0x01;
const BOOTABLE: u8 = 0x88;
const SECTION: u8 = 0x90;
const LAST_SECTION: u8 = 0x91;
const EXTENSION: u8 = 0x44;

/// Something that can be booted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BootEntry {
    /// What boots it.
    pub platform: Platform,
    /// The sector (of 2048 bytes) that its image begins at.
    pub sector: u32,
}

/// What an entry is for (section 2.1, Platform ID).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Platform {
    /// A PC's BIOS.
    X86,
    /// Open Firmware on Power processors.
    PowerPc,
    /// Old Macintoshes.
    Mac,
    /// UEFI firmware.
    Efi,
    /// Something else.
    Other(u8),
}

impl From<u8> for Platform {
    fn from(id: u8) -> Self {
        match id {
            0 => Platform::X86,
            1 => Platform::PowerPc,
            2 => Platform::Mac,
            0xef => Platform::Efi,
            other => Platform::Other(other),
        }
    }
}

/// The catalog's sector, if the descriptor (of ISO 9660's type "boot record") is El Torito's.
pub(super) fn catalog(descriptor: &[u8]) -> Option<u32> {
    let sector = le32(descriptor, 0x47);
    (descriptor.get(7..)?.starts_with(IDENTIFIER) && sector != 0).then_some(sector)
}

/// The bootable entries of a catalog; none if its validation entry is not sound.
pub(super) fn entries(catalog: &[u8]) -> Vec<BootEntry> {
    let mut rest = catalog.chunks_exact(ENTRY);
    let Some(validation) = rest.next() else { return Vec::new() };
    let sum = (0..ENTRY).step_by(2).fold(0_u16, |sum, at| sum.wrapping_add(le16(validation, at)));
    if validation[0] != VALIDATION || validation[30..] != [0x55, 0xaa] || sum != 0 {
        return Vec::new();
    }
    let mut platform = Platform::from(validation[1]);
    // The initial entry belongs to the validation entry; each section's header says how many follow it.
    let mut left = 1;
    let mut found = Vec::new();
    for entry in rest {
        match entry[0] {
            EXTENSION => {}
            SECTION | LAST_SECTION if left == 0 => {
                platform = Platform::from(entry[1]);
                left = le16(entry, 2);
            }
            _ if left == 0 => break,
            indicator => {
                left -= 1;
                if indicator == BOOTABLE {
                    found.push(BootEntry { platform, sector: le32(entry, 8) });
                }
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn validation(platform: u8) -> [u8; ENTRY] {
        let mut entry = [0; ENTRY];
        (entry[0], entry[1], entry[30], entry[31]) = (VALIDATION, platform, 0x55, 0xaa);
        let sum = (0..ENTRY).step_by(2).fold(0_u16, |sum, at| sum.wrapping_add(le16(&entry, at)));
        entry[28..30].copy_from_slice(&0_u16.wrapping_sub(sum).to_le_bytes());
        entry
    }

    fn entry(first: [u8; 4], sector: u32) -> [u8; ENTRY] {
        let mut entry = [0; ENTRY];
        entry[..4].copy_from_slice(&first);
        entry[8..12].copy_from_slice(&sector.to_le_bytes());
        entry
    }

    #[test]
    fn entries_of_every_section_have_its_platform() {
        let catalog = [
            validation(0),
            entry([BOOTABLE, 0, 0, 0], 100),
            entry([SECTION, 0xef, 2, 0], 0),
            entry([BOOTABLE, 0, 0, 0], 200),
            entry([EXTENSION, 0, 0, 0], 0),
            entry([0, 0, 0, 0], 300),
            entry([LAST_SECTION, 7, 1, 0], 0),
            entry([BOOTABLE, 0, 0, 0], 400),
            entry([BOOTABLE, 0, 0, 0], 500),
        ];
        let found: Vec<_> = entries(&catalog.concat()).iter().map(|entry| (entry.platform, entry.sector)).collect();
        assert_eq!(found, [(Platform::X86, 100), (Platform::Efi, 200), (Platform::Other(7), 400)]);
    }

    #[test]
    fn a_catalog_may_be_for_uefi_alone_and_one_that_is_damaged_offers_nothing() {
        let efi = [validation(0xef), entry([BOOTABLE, 0, 0, 0], 9)];
        assert_eq!(entries(&efi.concat()), [BootEntry { platform: Platform::Efi, sector: 9 }]);
        let mut damaged = efi.concat();
        damaged[5] ^= 1;
        assert_eq!(entries(&damaged), []);
        assert_eq!(entries(&[]), []);
    }
}
