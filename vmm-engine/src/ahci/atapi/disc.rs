//! What a disc says of itself (MMC-6, chapter 6): capacity, table of contents, disc, track and DVD structure.

use super::{
    BLOCK,
    packet::{be16, be32},
    read::minutes,
    sense::Sense,
};

/// Blocks of 80 minutes: what has more is a DVD.
const CD_BLOCKS: u64 = 80 * 60 * 75;

/// A data track, copying allowed (ADR 1, CONTROL 4).
const DATA_TRACK: u8 = 0x14;
const LEAD_OUT: u8 = 0xaa;

/// Whether a disc of so many blocks is a DVD.
pub(super) fn is_dvd(blocks: u64) -> bool {
    blocks > CD_BLOCKS
}

/// A number of blocks as a command can tell it.
fn told(blocks: u64) -> u32 {
    u32::try_from(blocks).unwrap_or(u32::MAX)
}

/// READ CAPACITY: the last block, and a block's length.
pub(super) fn capacity(blocks: u64) -> Vec<u8> {
    [told(blocks).saturating_sub(1).to_be_bytes(), (BLOCK as u32).to_be_bytes()].concat()
}

/// READ TOC/PMA/ATIP: formats 0 (TOC), 1 (sessions), 2 (full TOC).
pub(super) fn toc(packet: &[u8], blocks: u64) -> Result<Vec<u8>, Sense> {
    let in_minutes = packet[1] & 2 != 0;
    // Old hosts put the format into the last byte.
    let format = match packet[2] & 0xf {
        0 => packet[9] >> 6,
        format => format,
    };
    let address = |block: u64| -> [u8; 4] {
        if in_minutes {
            let [minute, second, frame] = minutes(block);
            [0, minute, second, frame]
        } else {
            told(block).to_be_bytes()
        }
    };
    let entry = |track: u8, block: u64| {
        let [a, b, c, d] = address(block);
        [0, DATA_TRACK, track, 0, a, b, c, d]
    };
    let (entries, track) = (&mut Vec::new(), packet[6]);
    match format {
        0 if track <= 1 => entries.extend([entry(1, 0), entry(LEAD_OUT, blocks)].concat()),
        0 if track == LEAD_OUT => entries.extend(entry(LEAD_OUT, blocks)),
        1 => entries.extend(entry(1, 0)),
        2 if track <= 1 => {
            // Session, ADR and control, track number 0, point, MSF of nothing, zero, and the point's values.
            let point = |point: u8, values: [u8; 3]| {
                let [a, b, c] = values;
                [1, DATA_TRACK, 0, point, 0, 0, 0, 0, a, b, c]
            };
            for point in
                [point(0xa0, [1, 0, 0]), point(0xa1, [1, 0, 0]), point(0xa2, minutes(blocks)), point(1, minutes(0))]
            {
                entries.extend(point);
            }
        }
        _ => return Err(Sense::INVALID_FIELD_IN_COMMAND),
    }
    let mut data = (entries.len() as u16 + 2).to_be_bytes().to_vec();
    // First and last track, or session.
    data.extend([1, 1]);
    data.append(entries);
    Ok(data)
}

/// READ DISC INFORMATION: a finished disc with one session and one track.
pub(super) fn information() -> Vec<u8> {
    let mut data = vec![0; 34];
    data[1] = 32;
    // Not erasable; the last session and the disc are complete.
    data[2] = 0x0e;
    // First track; sessions; first and last track of the last session.
    data[3..7].fill(1);
    // Unrestricted use.
    data[7] = 0x20;
    // No further session: lead-in and lead-out addresses of none.
    data[16..24].fill(0xff);
    data
}

/// READ TRACK INFORMATION: by block, by track number, by session.
pub(super) fn track(packet: &[u8], blocks: u64) -> Result<Vec<u8>, Sense> {
    let number = be32(&packet[2..]);
    let found = match packet[1] & 3 {
        0 => u64::from(number) < blocks,
        _ => number == 1,
    };
    if !found {
        return Err(Sense::INVALID_FIELD_IN_COMMAND);
    }
    let mut data = vec![0; 36];
    data[..2].copy_from_slice(&34_u16.to_be_bytes());
    // Track and session; a data track, of mode 1.
    data[2..4].fill(1);
    data[5] = 0x04;
    data[6] = 0x01;
    data[24..28].copy_from_slice(&told(blocks).to_be_bytes());
    Ok(data)
}

/// READ DISC STRUCTURE of a DVD-ROM: physical format, copyright (there is none), manufacturing (nothing), and the
/// list of these.
pub(super) fn structure(packet: &[u8], blocks: u64) -> Result<Vec<u8>, Sense> {
    const FIRST_SECTOR: u32 = 0x3_0000;
    const GENERIC: u8 = 0xff;
    let is_dvd_medium = packet[1] & 0xf == 0;
    let (layer, format) = (packet[6], packet[7]);
    if format != GENERIC && (!is_dvd_medium || !is_dvd(blocks)) {
        return Err(Sense::INCOMPATIBLE_FORMAT);
    }
    if layer != 0 {
        return Err(Sense::INVALID_FIELD_IN_COMMAND);
    }
    let body = match format {
        0x00 => {
            let mut body = vec![0; 2048];
            // DVD-ROM version 1, 120 mm at 10 Mbit/s, one layer with embossed data.
            body[..4].copy_from_slice(&[0x01, 0x02, 0x01, 0x00]);
            body[4..8].copy_from_slice(&FIRST_SECTOR.to_be_bytes());
            let last = FIRST_SECTOR.saturating_add(told(blocks)).saturating_sub(1) & 0xff_ffff;
            body[8..12].copy_from_slice(&last.to_be_bytes());
            body
        }
        0x01 => vec![0; 4],
        0x04 => vec![0; 2048],
        GENERIC => [(0x00, 2052_u16), (0x01, 8), (0x04, 2052), (GENERIC, 20)]
            .iter()
            // Readable.
            .flat_map(|&(format, len)| [&[format, 0x40][..], &len.to_be_bytes()].concat())
            .collect(),
        _ => return Err(Sense::INVALID_FIELD_IN_COMMAND),
    };
    let mut data = (body.len() as u16 + 2).to_be_bytes().to_vec();
    data.extend([0, 0]);
    data.extend(body);
    debug_assert_eq!(usize::from(be16(&data)) + 2, data.len());
    Ok(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(bytes: &[(usize, u8)]) -> [u8; 16] {
        let mut packet = [0; 16];
        for &(at, value) in bytes {
            packet[at] = value;
        }
        packet
    }

    #[test]
    fn the_table_of_contents_has_a_track_and_a_lead_out() {
        let toc = toc(&packet(&[]), 1000).unwrap();
        assert_eq!(toc, [0, 18, 1, 1, 0, 0x14, 1, 0, 0, 0, 0, 0, 0, 0x14, 0xaa, 0, 0, 0, 3, 0xe8]);
    }

    #[test]
    fn tables_come_in_minutes_and_in_old_and_new_formats() {
        let lead_out = toc(&packet(&[(1, 2), (6, 0xaa)]), 75).unwrap();
        assert_eq!(lead_out, [0, 10, 1, 1, 0, 0x14, 0xaa, 0, 0, 0, 3, 0]);
        assert_eq!(toc(&packet(&[(2, 1)]), 75), toc(&packet(&[(9, 0x40)]), 75));
        assert_eq!(toc(&packet(&[(2, 2)]), 75).unwrap().len(), 4 + 4 * 11);
        assert_eq!(toc(&packet(&[(6, 2)]), 75), Err(Sense::INVALID_FIELD_IN_COMMAND));
        assert_eq!(toc(&packet(&[(2, 5)]), 75), Err(Sense::INVALID_FIELD_IN_COMMAND));
    }

    #[test]
    fn a_dvd_has_structures_and_a_compact_disc_has_not() {
        let dvd = structure(&packet(&[]), 2_000_000).unwrap();
        assert_eq!((dvd.len(), be32(&dvd[12..])), (2052, 0x3_0000 + 1_999_999));
        assert_eq!(structure(&packet(&[]), 1000), Err(Sense::INCOMPATIBLE_FORMAT));
        assert_eq!(structure(&packet(&[(7, 0xff)]), 1000).unwrap().len(), 20);
    }

    #[test]
    fn tracks_are_found_by_block_and_number() {
        assert_eq!(track(&packet(&[(1, 0), (5, 99)]), 100).unwrap()[27], 100);
        assert_eq!(track(&packet(&[(1, 0), (5, 100)]), 100), Err(Sense::INVALID_FIELD_IN_COMMAND));
        assert!(track(&packet(&[(1, 1), (5, 1)]), 100).is_ok());
    }

    #[test]
    fn the_capacity_is_the_last_block() {
        assert_eq!(capacity(0x1_0000), [0, 0, 0xff, 0xff, 0, 0, 8, 0]);
        assert_eq!(capacity(1 << 40)[..4], [0xff, 0xff, 0xff, 0xfe]);
    }
}
