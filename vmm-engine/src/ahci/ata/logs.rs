//! General purpose logs (ATA8-ACS, annex A; log 30h from ACS-2): directory, queued command error, identify device data.

use super::HostFis;

/// Log addresses.
const DIRECTORY: u8 = 0x00;
pub(super) const QUEUE_ERROR: u8 = 0x10;
const IDENTIFY_DEVICE_DATA: u8 = 0x30;
/// Pages of log 30h: the list of pages, and a copy of IDENTIFY DEVICE.
const IDENTIFY_PAGES: u16 = 2;

/// The pages that a READ LOG (DMA) EXT asks for: address in LBA 7:0, first page in LBA 15:8 and 39:32, how many in
/// the count. `None` when there is no such log or it ends before.
pub(super) fn read(fis: &HostFis, queue_error: &[u8], identify: impl Fn() -> Vec<u8>) -> Option<Vec<u8>> {
    let first = (fis.lba >> 8 & 0xff | fis.lba >> 24 & 0xff00) as u16;
    let end = first.checked_add(fis.count).filter(|_| fis.count > 0)?;
    let log = match fis.lba as u8 {
        DIRECTORY => directory(),
        QUEUE_ERROR => queue_error.to_vec(),
        IDENTIFY_DEVICE_DATA => [identify_pages(), identify()].concat(),
        _ => return None,
    };
    log.get(usize::from(first) * 512..usize::from(end) * 512).map(<[u8]>::to_vec)
}

/// How many pages each log has: a word a log, and the version first.
fn directory() -> Vec<u8> {
    let mut page = vec![0; 512];
    for (log, pages) in [(DIRECTORY, 1), (QUEUE_ERROR, 1_u16), (IDENTIFY_DEVICE_DATA, IDENTIFY_PAGES)] {
        page[2 * usize::from(log)..][..2].copy_from_slice(&pages.to_le_bytes());
    }
    page
}

fn identify_pages() -> Vec<u8> {
    let mut page = vec![0; 512];
    page[..2].copy_from_slice(&1_u16.to_le_bytes());
    page[8] = IDENTIFY_PAGES as u8;
    for number in 0..IDENTIFY_PAGES as u8 {
        page[9 + usize::from(number)] = number;
    }
    page
}

/// Makes the page's bytes add up to zero.
pub(super) fn set_checksum(page: &mut [u8]) {
    if let Some((last, rest)) = page.split_last_mut() {
        *last = rest.iter().fold(0_u8, |sum, &byte| sum.wrapping_sub(byte));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fis(lba: u64, count: u16) -> HostFis {
        HostFis { is_command: true, command: 0x2f, features: 0, lba, device: 0, count, control: 0 }
    }

    #[test]
    fn logs_are_read_by_page() {
        let read = |lba, count| read(&fis(lba, count), &[7; 512], || vec![9; 512]);
        assert_eq!(read(0, 1).unwrap()[0x60], 2);
        assert_eq!(read(0x10, 1), Some(vec![7; 512]));
        assert_eq!(read(0x130, 1), Some(vec![9; 512]));
        assert_eq!(read(0x30, 2).unwrap().len(), 1024);
    }

    #[test]
    fn pages_that_are_not_there_are_not_read() {
        for (lba, count) in [(0, 0), (0x110, 1), (0x30, 3), (0x11, 1), (1 << 32, 1)] {
            assert_eq!(read(&fis(lba, count), &[7; 512], || vec![9; 512]), None, "log {lba:#x}, {count} pages");
        }
    }
}
