//! IDENTIFY PACKET DEVICE (ATA8-ACS, section 7.17) and INQUIRY (SPC-3, section 6.4).

use super::{super::ata, TransferMode, sense::Sense};

const MODEL: &str = "Tandem CD/DVD-ROM";

/// The data that IDENTIFY PACKET DEVICE gives.
pub(super) fn identify(serial: &str, transfer_mode: TransferMode) -> Vec<u8> {
    let mut words = ata::Words::new();
    let (multiword_dma, ultra_dma) = transfer_mode.words();
    words
        // A packet device: CD/DVD, removable, DRQ within 50 µs, 12-byte packets.
        .set(0, 0x85c0)
        .set_text(10, 10, serial)
        .set_text(23, 4, ata::FIRMWARE)
        .set_text(27, 20, MODEL)
        // IORDY, LBA, DMA.
        .set(49, 0x0f00)
        .set(50, 0x4000)
        .set(53, 0x0006)
        .set(63, multiword_dma)
        .set(64, 0x0003)
        .set_all(65..=68, 120)
        // Serial ATA generations 1 to 3; negotiated: 3.
        .set(76, 0x000e)
        .set(77, 0x0006)
        // ATA/ATAPI-4 to ATA8.
        .set(80, 0x01f0)
        // PACKET, DEVICE RESET.
        .set(82, 0x0210)
        .set(83, 0x4000)
        .set(84, 0x4000)
        .set(85, 0x0210)
        .set(87, 0x4000)
        .set(88, ultra_dma)
        .set(222, 0x107f);
    words.finish()
}

/// INQUIRY: standard data, or the vital product data page that the command names.
pub(super) fn inquiry(packet: &[u8], serial: &str) -> Result<Vec<u8>, Sense> {
    const CD_DVD: u8 = 5;
    let has_page = packet[1] & 1 != 0;
    match (has_page, packet[2]) {
        (false, 0) => {
            let mut data = vec![CD_DVD, 0x80, 5, 0x02, 31, 0, 0, 0];
            data.extend(b"TANDEM  CD/DVD-ROM      1.0 ");
            Ok(data)
        }
        (true, 0x00) => Ok(vec![CD_DVD, 0x00, 0, 2, 0x00, 0x80]),
        (true, 0x80) => {
            let serial = &serial.as_bytes()[..serial.len().min(20)];
            Ok([&[CD_DVD, 0x80, 0, serial.len() as u8], serial].concat())
        }
        _ => Err(Sense::INVALID_FIELD_IN_COMMAND),
    }
}
