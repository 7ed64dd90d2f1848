//! Which sectors a command means (ATA8-ACS, sections 4.1 and 7): cylinders and heads, 28 bits, 48 bits.

use super::HostFis;

/// Bytes of a logical sector.
pub(super) const SECTOR: u64 = 512;

/// Device register, bit 6: the address is a sector's number, not a cylinder, head and sector.
const DEVICE_LBA: u8 = 1 << 6;

/// Where a command keeps its address and count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Addressing {
    /// 28 bits or cylinder, head, sector; 8-bit count.
    Short,
    /// 48 bits; 16-bit count.
    Long,
    /// 48 bits; the count is in the features.
    Queued,
}

/// Cylinders, heads and sectors as the host sees them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Translation {
    pub(super) heads: u8,
    /// Sectors of a track.
    pub(super) sectors: u8,
}

/// A range of sectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) lba: u64,
    pub(super) sectors: u64,
}

/// The sectors that `fis` means, if they all exist on a drive of `capacity` sectors.
pub(super) fn span(fis: &HostFis, addressing: Addressing, chs: &Translation, capacity: u64) -> Option<Span> {
    let (lba, sectors) = match addressing {
        Addressing::Short => {
            let count = u64::from(fis.count as u8);
            (short(fis, chs)?, if count == 0 { 256 } else { count })
        }
        Addressing::Long => (fis.lba, long_count(fis.count)),
        Addressing::Queued => (fis.lba, long_count(fis.features)),
    };
    (lba < capacity && sectors <= capacity - lba).then_some(Span { lba, sectors })
}

fn long_count(count: u16) -> u64 {
    if count == 0 { 0x1_0000 } else { count.into() }
}

fn short(fis: &HostFis, chs: &Translation) -> Option<u64> {
    let head = u64::from(fis.device & 0xf);
    if fis.device & DEVICE_LBA != 0 {
        return Some(fis.lba & 0xff_ffff | head << 24);
    }
    let (sector, cylinder) = (fis.lba & 0xff, fis.lba >> 8 & 0xffff);
    let exists = (1..=u64::from(chs.sectors)).contains(&sector) && head < u64::from(chs.heads);
    exists.then(|| (cylinder * u64::from(chs.heads) + head) * u64::from(chs.sectors) + sector - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHS: Translation = Translation { heads: 16, sectors: 63 };

    fn fis(lba: u64, device: u8, count: u16) -> HostFis {
        HostFis { is_command: true, command: 0, features: 0x20, lba, device, count, control: 0 }
    }

    #[test]
    fn addresses_come_in_three_forms() {
        let at = |fis: &HostFis, form| span(fis, form, &CHS, 1 << 40);
        assert_eq!(at(&fis(0x34_5678, 0x42, 0x300), Addressing::Short), Some(Span { lba: 0x234_5678, sectors: 256 }));
        assert_eq!(at(&fis(0x1_0000_0000, 0x40, 0), Addressing::Long), Some(Span { lba: 1 << 32, sectors: 65536 }));
        assert_eq!(at(&fis(7, 0x40, 0xf8), Addressing::Queued), Some(Span { lba: 7, sectors: 0x20 }));
    }

    #[test]
    fn cylinders_heads_and_sectors_count_from_one_in_the_sector() {
        let at = |lba, device| span(&fis(lba, device, 1), Addressing::Short, &CHS, 1 << 40).map(|span| span.lba);
        assert_eq!(at(0x000001, 0), Some(0));
        assert_eq!(at(0x000102, 3), Some((16 + 3) * 63 + 1));
        assert_eq!(at(0x000000, 0), None);
        assert_eq!(at(0x000040, 0), None);
    }

    #[test]
    fn sectors_beyond_the_end_do_not_exist() {
        let at = |lba, count| span(&fis(lba, 0x40, count), Addressing::Long, &CHS, 1000);
        assert!(at(992, 8).is_some());
        assert!(at(993, 8).is_none());
        assert!(at(0xffff_ffff_ffff, 1).is_none());
    }
}
