//! GET CONFIGURATION (MMC-6, section 6.5): profiles and features of a drive that reads CDs and DVDs.

use super::{BLOCK, disc, packet::be16, sense::Sense};

const PROFILE_CD_ROM: u16 = 0x0008;
const PROFILE_DVD_ROM: u16 = 0x0010;

/// What a feature applies to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Current {
    Always,
    /// While any disc is in the drive.
    Disc,
    Cd,
    Dvd,
}

struct Feature {
    code: u16,
    version: u8,
    current: Current,
    data: &'static [u8],
}

const fn feature(code: u16, version: u8, current: Current, data: &'static [u8]) -> Feature {
    Feature { code, version, current, data }
}

const PROFILE_LIST: u16 = 0x0000;

/// In ascending order of their codes (MMC-6, chapter 5).
const FEATURES: [Feature; 9] = [
    feature(PROFILE_LIST, 0, Current::Always, &[]),
    // Core: ATAPI; device busy events aren't told.
    feature(0x0001, 2, Current::Always, &[0, 0, 0, 2, 1, 0, 0, 0]),
    // Morphing: operational change events aren't reported asynchronously.
    feature(0x0002, 1, Current::Always, &[2, 0, 0, 0]),
    // Removable medium: a tray, which can be loaded, ejected and locked.
    feature(0x0003, 2, Current::Always, &[0x39, 0, 0, 0]),
    // Random readable: block length, blocks in a unit of reading.
    feature(0x0010, 0, Current::Disc, &[0, 0, (BLOCK >> 8) as u8, 0, 0, 1, 0, 0]),
    // CD read, without C2 pointers and CD-Text.
    feature(0x001e, 2, Current::Cd, &[0, 0, 0, 0]),
    // DVD read.
    feature(0x001f, 0, Current::Dvd, &[]),
    // Power management.
    feature(0x0100, 0, Current::Always, &[]),
    // Time-out.
    feature(0x0105, 1, Current::Always, &[0, 0, 0, 0]),
];

/// The answer, with a disc of `blocks` or without.
pub(super) fn configuration(packet: &[u8], blocks: Option<u64>) -> Result<Vec<u8>, Sense> {
    let first = be16(&packet[2..]);
    let profile = match blocks {
        None => 0,
        Some(blocks) if disc::is_dvd(blocks) => PROFILE_DVD_ROM,
        Some(_) => PROFILE_CD_ROM,
    };
    let is_current = |current| match current {
        Current::Always => true,
        Current::Disc => profile != 0,
        Current::Cd => profile == PROFILE_CD_ROM,
        Current::Dvd => profile == PROFILE_DVD_ROM,
    };
    let is_wanted = |feature: &&Feature| match packet[1] & 3 {
        0 => feature.code >= first,
        1 => feature.code >= first && is_current(feature.current),
        _ => feature.code == first,
    };
    if packet[1] & 3 == 3 {
        return Err(Sense::INVALID_FIELD_IN_COMMAND);
    }
    let mut data = vec![0; 8];
    data[6..8].copy_from_slice(&profile.to_be_bytes());
    for feature in FEATURES.iter().filter(is_wanted) {
        let body: Vec<u8> = if feature.code == PROFILE_LIST {
            let profiles = [PROFILE_DVD_ROM, PROFILE_CD_ROM];
            profiles.iter().flat_map(|&p| [(p >> 8) as u8, p as u8, u8::from(p == profile), 0]).collect()
        } else {
            feature.data.to_vec()
        };
        let persistent = u8::from(feature.current == Current::Always) << 1;
        let flags = feature.version << 2 | persistent | u8::from(is_current(feature.current));
        data.extend(feature.code.to_be_bytes());
        data.extend([flags, body.len() as u8]);
        data.extend(body);
    }
    let len = data.len() as u32 - 4;
    data[..4].copy_from_slice(&len.to_be_bytes());
    Ok(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(kind: u8, first: u8, blocks: Option<u64>) -> Vec<u8> {
        let mut packet = [0; 16];
        packet[1] = kind;
        packet[3] = first;
        configuration(&packet, blocks).unwrap()
    }

    #[test]
    fn the_profile_follows_the_disc() {
        assert_eq!(ask(0, 0, None)[6..8], [0, 0]);
        assert_eq!(ask(0, 0, Some(1000))[6..8], [0, 8]);
        assert_eq!(ask(0, 0, Some(2_000_000))[6..8], [0, 0x10]);
    }

    #[test]
    fn features_are_listed_as_asked() {
        let one = ask(2, 0x1e, Some(1000));
        assert_eq!(one[8..], [0, 0x1e, 0x09, 4, 0, 0, 0, 0]);
        assert_eq!(ask(2, 0x1e, None)[10], 0x08);
        assert!(ask(1, 0, None).len() < ask(0, 0, None).len());
        let all = ask(0, 0, Some(1000));
        assert_eq!(all.len() as u32 - 4, u32::from_be_bytes([all[0], all[1], all[2], all[3]]));
    }
}
