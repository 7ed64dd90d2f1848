//! Reading: which part of the image a command means, and sectors in the form that READ CD asks for (MMC-6, section
//! 6.19; sector layout: ECMA-130, chapter 14).

use super::{BLOCK, ecc, packet::op, sense::Sense, tray::Tray};
use crate::ahci::drive::Extent;

/// Blocks in a second, and before the first one of the program area.
const BLOCKS_PER_SECOND: u64 = 75;
pub(super) const PREGAP: u64 = 150;

/// Blocks that one command may ask for: as much as a count of 24 bits in bytes of any form stays far below 2^40.
pub(super) fn extent(tray: &Tray, first: u64, blocks: u64) -> Result<Extent, Sense> {
    let disc = tray.medium()?;
    let capacity = tray.blocks().unwrap_or(0);
    if first > capacity || blocks > capacity - first {
        return Err(Sense::ADDRESS_OUT_OF_RANGE);
    }
    Ok(Extent { disk: disc.clone(), offset: first * BLOCK, len: blocks * BLOCK })
}

/// Minutes, seconds and frames of a block.
pub(super) fn minutes(block: u64) -> [u8; 3] {
    let frames = block + PREGAP;
    let seconds = frames / BLOCKS_PER_SECOND;
    [(seconds / 60).min(255) as u8, (seconds % 60) as u8, (frames % BLOCKS_PER_SECOND) as u8]
}

/// The block at minutes, seconds and frames.
pub(super) fn address_of(minutes: &[u8]) -> Option<u64> {
    let [minute, second, frame] = [minutes[0], minutes[1], minutes[2]].map(u64::from);
    let frames = (minute * 60 + second) * BLOCKS_PER_SECOND + frame;
    (second < 60 && frame < BLOCKS_PER_SECOND).then(|| frames.checked_sub(PREGAP)).flatten()
}

/// Which parts of a sector the host wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ahci) struct SectorForm {
    sync: bool,
    header: bool,
    user_data: bool,
    edc_ecc: bool,
}

impl SectorForm {
    /// The form that a READ CD (MSF) asks for.
    pub(super) fn of(packet: &[u8]) -> Result<Self, Sense> {
        let expected_type = packet[1] >> 2 & 7;
        // Any type or mode 1; there is no audio and nothing of mode 2 on the disc.
        if !matches!(expected_type, 0 | 2) {
            return Err(Sense::ILLEGAL_MODE_FOR_TRACK);
        }
        let flags = packet[9];
        // Error flags and sub-channels aren't to be had.
        if flags & 0x06 != 0 || packet[10] & 7 != 0 {
            return Err(Sense::INVALID_FIELD_IN_COMMAND);
        }
        debug_assert!(matches!(packet[0], op::READ_CD | op::READ_CD_MSF));
        Ok(SectorForm {
            sync: flags & 0x80 != 0,
            // In mode 1 the sub-header doesn't exist.
            header: flags & 0x20 != 0,
            user_data: flags & 0x10 != 0,
            edc_ecc: flags & 0x08 != 0,
        })
    }

    pub(super) fn is_user_data(self) -> bool {
        self == SectorForm { sync: false, header: false, user_data: true, edc_ecc: false }
    }

    /// Bytes of a sector in this form.
    pub(in crate::ahci) fn len(self) -> usize {
        let part = |wanted, len| if wanted { len } else { 0 };
        part(self.sync, 12)
            + part(self.header, 4)
            + part(self.user_data, BLOCK as usize)
            + part(self.edc_ecc, ecc::SECTOR - ecc::EDC)
    }

    /// Appends block `number` with `user_data` in this form.
    pub(in crate::ahci) fn append(self, number: u64, user_data: &[u8], to: &mut Vec<u8>) {
        let sector = ecc::sector(minutes(number), user_data);
        let part = |wanted: bool, range: std::ops::Range<usize>| if wanted { &sector[range] } else { &[][..] };
        to.extend_from_slice(part(self.sync, 0..12));
        to.extend_from_slice(part(self.header, 12..16));
        to.extend_from_slice(part(self.user_data, 16..ecc::EDC));
        to.extend_from_slice(part(self.edc_ecc, ecc::EDC..ecc::SECTOR));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(flags: u8) -> Result<SectorForm, Sense> {
        let mut packet = [0; 16];
        packet[0] = op::READ_CD;
        packet[9] = flags;
        SectorForm::of(&packet)
    }

    #[test]
    fn sectors_come_in_the_form_that_was_asked_for() {
        assert_eq!(form(0xf8).unwrap().len(), 2352);
        assert!(form(0x10).unwrap().is_user_data());
        assert_eq!(form(0x12), Err(Sense::INVALID_FIELD_IN_COMMAND));
        let mut data = Vec::new();
        form(0x30).unwrap().append(0, &[5; 2048], &mut data);
        assert_eq!((data.len(), &data[..5]), (2052, &[0, 2, 0, 1, 5][..]));
    }

    #[test]
    fn minutes_are_blocks() {
        assert_eq!(minutes(0), [0, 2, 0]);
        assert_eq!(minutes(4500 + 75 - 150 + 3), [1, 1, 3]);
        assert_eq!(address_of(&[1, 1, 3]), Some(4500 + 75 - 150 + 3));
        assert_eq!(address_of(&[0, 1, 0]), None);
        assert_eq!(address_of(&[0, 60, 0]), None);
    }
}
