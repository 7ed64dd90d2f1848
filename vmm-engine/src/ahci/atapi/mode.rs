//! Mode pages (MMC-6, chapter 7): read error recovery, audio control, power condition, time-out and protect,
//! capabilities and mechanical status.

use serde::{Deserialize, Serialize};

use super::{packet::be16, sense::Sense};

const CAPABILITIES: u8 = 0x2a;
const ALL_PAGES: u8 = 0x3f;

/// A page: its bytes with code and length, and the bits that a host can change.
struct Page {
    defaults: &'static [u8],
    changeable: &'static [u8],
}

/// Speed in kB/s: 40 times 176.4, and the drive's buffer in KiB.
const SPEED: u16 = 7056;
const BUFFER: u16 = 512;

/// In ascending order of their codes.
const PAGES: [Page; 5] = [
    // Read error recovery: five retries.
    Page {
        defaults: &[0x01, 10, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0],
        changeable: &[0, 0, 0x3f, 0xff, 0, 0, 0, 0, 0, 0, 0, 0],
    },
    // Audio control: two ports at full volume.
    Page {
        defaults: &[0x0e, 14, 4, 0, 0, 0, 0, 75, 1, 255, 2, 255, 0, 0, 0, 0],
        changeable: &[0, 0, 0, 0, 0, 0, 0, 0, 0x0f, 0xff, 0x0f, 0xff, 0, 0, 0, 0],
    },
    // Power condition.
    Page { defaults: &[0x1a, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], changeable: &[0; 12] },
    // Time-out and protect.
    Page { defaults: &[0x1d, 8, 0, 0, 0, 0, 0, 0, 0, 0], changeable: &[0; 10] },
    // Reads CD-R, CD-RW, DVD-ROM; lock, eject, a tray; the speeds and the buffer.
    Page {
        defaults: &[
            CAPABILITIES,
            18,
            0x0b,
            0,
            0,
            0,
            0x29,
            0,
            (SPEED >> 8) as u8,
            SPEED as u8,
            0,
            0,
            (BUFFER >> 8) as u8,
            BUFFER as u8,
            (SPEED >> 8) as u8,
            SPEED as u8,
            0,
            0,
            0,
            0,
        ],
        changeable: &[0; 20],
    },
];

/// The pages' current values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ModePages([Vec<u8>; PAGES.len()]);

impl Default for ModePages {
    fn default() -> Self {
        ModePages(PAGES.each_ref().map(|page| page.defaults.to_vec()))
    }
}

impl ModePages {
    /// MODE SENSE (6) or, if `is_long`, (10), without block descriptors.
    pub(super) fn sense(&self, packet: &[u8], is_long: bool, locked: bool) -> Result<Vec<u8>, Sense> {
        let (control, wanted, subpage) = (packet[2] >> 6, packet[2] & 0x3f, packet[3]);
        if control == 3 {
            return Err(Sense::SAVING_NOT_SUPPORTED);
        }
        if subpage != 0 && subpage != 0xff {
            return Err(Sense::INVALID_FIELD_IN_COMMAND);
        }
        let mut pages = Vec::<u8>::new();
        for (page, current) in PAGES.iter().zip(&self.0) {
            let code = page.defaults[0];
            if wanted != code && wanted != ALL_PAGES {
                continue;
            }
            let start = pages.len();
            match control {
                1 => {
                    pages.extend(&page.defaults[..2]);
                    pages.extend(&page.changeable[2..]);
                }
                2 => pages.extend(page.defaults),
                _ => pages.extend(current),
            }
            if code == CAPABILITIES && control == 0 {
                pages[start + 6] |= u8::from(locked) << 1;
            }
        }
        if pages.is_empty() {
            return Err(Sense::INVALID_FIELD_IN_COMMAND);
        }
        let header = header_len(is_long);
        let mut data = vec![0; header];
        data.extend(pages);
        let len = data.len();
        if is_long {
            data[..2].copy_from_slice(&(len as u16 - 2).to_be_bytes());
        } else {
            data[0] = len as u8 - 1;
        }
        Ok(data)
    }

    /// MODE SELECT: takes over the pages of a parameter list, or none of them.
    pub(super) fn select(&mut self, list: &[u8], is_long: bool) -> Result<(), Sense> {
        let header = list.get(..header_len(is_long)).ok_or(Sense::PARAMETER_LIST_LENGTH)?;
        let descriptors = if is_long { usize::from(be16(&header[6..])) } else { usize::from(header[3]) };
        let mut rest = list.get(header.len() + descriptors..).ok_or(Sense::PARAMETER_LIST_LENGTH)?;
        let mut changed = self.clone();
        while let [code, len, ..] = *rest {
            let page = rest.get(..usize::from(len) + 2).ok_or(Sense::PARAMETER_LIST_LENGTH)?;
            let index = PAGES.iter().position(|page| page.defaults[0] == code & 0x3f);
            let index = index.ok_or(Sense::INVALID_FIELD_IN_PARAMETERS)?;
            let (known, current) = (&PAGES[index], &mut changed.0[index]);
            if page.len() != current.len() {
                return Err(Sense::INVALID_FIELD_IN_PARAMETERS);
            }
            for at in 2..page.len() {
                let mask = known.changeable[at];
                if (page[at] ^ current[at]) & !mask != 0 {
                    return Err(Sense::INVALID_FIELD_IN_PARAMETERS);
                }
                current[at] = page[at];
            }
            rest = &rest[page.len()..];
        }
        *self = changed;
        Ok(())
    }
}

fn header_len(is_long: bool) -> usize {
    if is_long { 8 } else { 4 }
}

/// The pages' saved form: the current values of each.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SavedPages(Vec<Vec<u8>>);

impl ModePages {
    pub(super) fn save(&self) -> SavedPages {
        SavedPages(self.0.to_vec())
    }

    pub(super) fn restored(saved: &SavedPages) -> Option<Self> {
        let pages: [Vec<u8>; PAGES.len()] = saved.0.clone().try_into().ok()?;
        let fits = |(page, known): (&Vec<u8>, &Page)| {
            let differs = |at: usize| (page[at] ^ known.defaults[at]) & !known.changeable[at] != 0;
            page.len() == known.defaults.len() && !(0..page.len()).any(differs)
        };
        pages.iter().zip(&PAGES).all(fits).then_some(ModePages(pages))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sense(page: u8) -> Result<Vec<u8>, Sense> {
        let mut packet = [0; 16];
        packet[2] = page;
        ModePages::default().sense(&packet, true, true)
    }

    #[test]
    fn each_page_has_the_length_that_it_says() {
        for page in &PAGES {
            assert_eq!(usize::from(page.defaults[1]) + 2, page.defaults.len());
            assert_eq!(page.changeable.len(), page.defaults.len());
        }
    }

    #[test]
    fn pages_are_sensed_one_by_one_or_together() {
        let capabilities = sense(0x2a).unwrap();
        assert_eq!((capabilities.len(), capabilities[1], capabilities[8 + 6]), (28, 26, 0x2b));
        assert_eq!(sense(0x3f).unwrap().len(), 8 + 12 + 16 + 12 + 10 + 20);
        assert_eq!(sense(0x05), Err(Sense::INVALID_FIELD_IN_COMMAND));
        assert_eq!(sense(0xc1), Err(Sense::SAVING_NOT_SUPPORTED));
    }

    #[test]
    fn what_is_changeable_is_changed_and_nothing_else() {
        let mut pages = ModePages::default();
        let mut list = vec![0; 8];
        list.extend([0x01, 10, 0x20, 9, 0, 0, 0, 0, 0, 0, 0, 0]);
        pages.select(&list, true).unwrap();
        assert_eq!(pages.0[0][2..4], [0x20, 9]);
        list[8 + 8] = 1;
        assert_eq!(pages.select(&list, true), Err(Sense::INVALID_FIELD_IN_PARAMETERS));
        assert_eq!(pages.select(&list[..15], true), Err(Sense::PARAMETER_LIST_LENGTH));
        assert_eq!(ModePages::restored(&pages.save()), Some(pages));
    }
}
