//! IDENTIFY DEVICE (ATA8-ACS, section 7.16, and the words that ACS-2 and Serial ATA 3.0 added).

use super::{MULTIPLE_MAX, TRIM_BLOCKS_MAX, address::Translation, features::Settings, logs::set_checksum};

/// As many sectors as 28-bit commands can name.
pub(super) const LBA28_SECTORS: u64 = 0x0fff_ffff;
const HEADS: u8 = 16;
const SECTORS_PER_TRACK: u8 = 63;
const CYLINDERS_MAX: u64 = 16383;

/// Model names and serial numbers of drives, as IDENTIFY tells them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::ahci) struct Identity {
    /// Up to 20 printable characters of ASCII.
    pub(in crate::ahci) serial: String,
    /// Up to 40.
    pub(in crate::ahci) model: String,
}

/// Firmware revision of all drives here: 8 characters.
pub(in crate::ahci) const FIRMWARE: &str = "1.0";

/// A drive's size, and the cylinders and heads it is said to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Geometry {
    pub(super) sectors: u64,
    /// The default translation.
    pub(super) translation: Translation,
}

impl Geometry {
    pub(super) fn of(sectors: u64) -> Self {
        Geometry { sectors, translation: Translation { heads: HEADS, sectors: SECTORS_PER_TRACK } }
    }

    /// Cylinders in `translation`. A disk that doesn't fill one has one all the same: firmware would not read a disk without.
    fn cylinders(&self, translation: &Translation) -> u16 {
        let cylinder = u64::from(translation.heads) * u64::from(translation.sectors);
        (self.sectors / cylinder).clamp(1, CYLINDERS_MAX) as u16
    }
}

/// 256 words, of which some are numbers and some text.
pub(in crate::ahci) struct Words(Vec<u8>);

impl Words {
    pub(in crate::ahci) fn new() -> Self {
        Words(vec![0; 512])
    }

    pub(in crate::ahci) fn set(&mut self, word: usize, value: u16) -> &mut Self {
        self.0[2 * word..][..2].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// The same value in a range of words.
    pub(in crate::ahci) fn set_all(&mut self, words: std::ops::RangeInclusive<usize>, value: u16) -> &mut Self {
        for word in words {
            self.set(word, value);
        }
        self
    }

    /// A number in `words` words from `first` on, the least significant first.
    pub(in crate::ahci) fn set_number(&mut self, first: usize, words: usize, value: u64) -> &mut Self {
        for index in 0..words {
            self.set(first + index, (value >> (16 * index)) as u16);
        }
        self
    }

    /// Text in `words` words, padded with blanks; the first character of two is in a word's upper half.
    pub(in crate::ahci) fn set_text(&mut self, first: usize, words: usize, text: &str) -> &mut Self {
        let mut characters = text.bytes().map(|byte| if (0x20..0x7f).contains(&byte) { byte } else { b'?' });
        for word in first..first + words {
            let (upper, lower) = (characters.next().unwrap_or(b' '), characters.next().unwrap_or(b' '));
            self.set(word, u16::from_be_bytes([upper, lower]));
        }
        self
    }

    /// The 512 bytes, with the checksum of word 255.
    pub(in crate::ahci) fn finish(mut self) -> Vec<u8> {
        self.0[510] = 0xa5;
        set_checksum(&mut self.0);
        self.0
    }
}

/// A worldwide name without an organisation's number (NAA 3, locally assigned), made from the serial number (FNV-1a).
fn worldwide_name(serial: &str) -> u64 {
    let hash = serial
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    hash >> 4 | 3 << 60
}

/// The data that IDENTIFY DEVICE gives. A drive that can't be written can't be trimmed either.
pub(super) fn identify(identity: &Identity, geometry: &Geometry, settings: &Settings, has_trim: bool) -> Vec<u8> {
    let mut words = Words::new();
    let cylinders = geometry.cylinders(&geometry.translation);
    let now = &settings.translation;
    let cylinders_now = geometry.cylinders(now);
    let chs_sectors = u64::from(cylinders_now) * u64::from(now.heads) * u64::from(now.sectors);
    let chs_sectors = chs_sectors.min(geometry.sectors);
    let (multiword_dma, ultra_dma) = settings.transfer_mode.words();
    let worldwide_name = worldwide_name(&identity.serial);
    let flag = |on: bool, bits: u16| if on { bits } else { 0 };
    words
        // A fixed disk, with complete identification.
        .set(0, 0x0040)
        .set(1, cylinders)
        .set(2, 0xc837)
        .set(3, HEADS.into())
        .set(6, SECTORS_PER_TRACK.into())
        .set_text(10, 10, &identity.serial)
        .set_text(23, 4, FIRMWARE)
        .set_text(27, 20, &identity.model)
        .set(47, 0x8000 | u16::from(MULTIPLE_MAX))
        .set(48, 0x4000)
        // Standby timer of the standard, IORDY, LBA, DMA.
        .set(49, 0x2f00)
        .set(50, 0x4000)
        // Words 54 to 58, 64 to 70 and 88 hold something.
        .set(53, 0x0007)
        .set(54, cylinders_now)
        .set(55, now.heads.into())
        .set(56, now.sectors.into())
        .set_number(57, 2, chs_sectors)
        .set(59, flag(settings.multiple != 0, 0x0100 | u16::from(settings.multiple)))
        .set_number(60, 2, geometry.sectors.min(LBA28_SECTORS))
        .set(63, multiword_dma)
        // PIO modes 3 and 4; cycle times of 120 ns.
        .set(64, 0x0003)
        .set_all(65..=68, 120)
        // Trimmed sectors read the same each time, and as zeroes.
        .set(69, flag(has_trim, 0x4020))
        // Queue depth minus one.
        .set(75, 31)
        // Generations 1 to 3, native command queuing.
        .set(76, 0x010e)
        // Negotiated: generation 3.
        .set(77, 0x0006)
        // Software settings preservation, and whether it is on.
        .set(78, 0x0040)
        .set(79, flag(settings.preserved, 0x0040))
        // ATA/ATAPI-4 to ACS-2.
        .set(80, 0x03f0)
        // Look-ahead, write cache, power management, SMART.
        .set(82, 0x0069)
        // FLUSH CACHE EXT, FLUSH CACHE, 48-bit addresses.
        .set(83, 0x7400)
        // Worldwide name, FUA, general purpose logging, SMART self-test and error logging.
        .set(84, 0x4163)
        .set(
            85,
            0x0008 | flag(settings.look_ahead, 1 << 6) | flag(settings.write_cache, 1 << 5) | u16::from(settings.smart),
        )
        .set(86, 0xb400)
        .set(87, 0x4163)
        .set(88, ultra_dma)
        .set_number(100, 4, geometry.sectors)
        .set(105, flag(has_trim, TRIM_BLOCKS_MAX))
        // Eight logical sectors in a physical one.
        .set(106, 0x6003)
        .set(108, (worldwide_name >> 48) as u16)
        .set(109, (worldwide_name >> 32) as u16)
        .set(110, (worldwide_name >> 16) as u16)
        .set(111, worldwide_name as u16)
        // READ LOG DMA EXT.
        .set(119, 0x4008)
        .set(120, 0x4008)
        .set(169, flag(has_trim, 0x0001))
        // Logical sector 0 begins a physical one.
        .set(209, 0x4000)
        // Doesn't rotate.
        .set(217, 0x0001)
        // A serial cable, up to Serial ATA 3.0.
        .set(222, 0x107f);
    words.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(data: &[u8], word: usize) -> u16 {
        u16::from_le_bytes([data[2 * word], data[2 * word + 1]])
    }

    fn of(sectors: u64) -> Vec<u8> {
        let geometry = Geometry::of(sectors);
        let identity = Identity { serial: "TD0001".into(), model: "Tandem disk".into() };
        identify(&identity, &geometry, &Settings::power_on(&geometry), true)
    }

    #[test]
    fn sizes_are_told_in_all_three_ways() {
        let small = of(20 * 1008 + 5);
        assert_eq!((word(&small, 1), word(&small, 3), word(&small, 6)), (20, 16, 63));
        assert_eq!(u32::from(word(&small, 57)), 20 * 1008);
        let tiny = of(455);
        assert_eq!((word(&tiny, 1), word(&tiny, 54), word(&tiny, 57), word(&tiny, 60)), (1, 1, 455, 455));
        let big = of(0x1_2345_6789);
        assert_eq!(word(&big, 1), 16383);
        assert_eq!((word(&big, 60), word(&big, 61)), (0xffff, 0x0fff));
        assert_eq!((word(&big, 100), word(&big, 101), word(&big, 102)), (0x6789, 0x2345, 1));
    }

    #[test]
    fn text_has_its_bytes_swapped_and_the_sum_is_zero() {
        let data = of(2048);
        assert_eq!(&data[54..66], b"aTdnmed si k");
        assert_eq!(&data[20..28], b"DT0010  ");
        assert_eq!(data.iter().fold(0_u8, |sum, &byte| sum.wrapping_add(byte)), 0);
    }

    #[test]
    fn worldwide_names_differ_and_are_locally_assigned() {
        let (one, other) = (worldwide_name("TD0001"), worldwide_name("TD0002"));
        assert_ne!(one, other);
        assert_eq!(one >> 60, 3);
    }
}
