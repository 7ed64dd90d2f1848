//! The description of the monitor that a guest reads (VESA E-EDID 1.4, a base block).

use super::dispi;

/// Length of the block, in bytes.
pub(super) const LEN: usize = 128;

/// Width and height of the standard timings offered, all at 60 Hz.
const STANDARD: [(u16, u16); 8] =
    [(1920, 1200), (1920, 1080), (1680, 1050), (1600, 1200), (1440, 900), (1280, 1024), (1280, 960), (1152, 864)];

/// The block of a monitor that prefers `width` by `height` pixels.
pub(super) fn block(width: u16, height: u16) -> [u8; LEN] {
    let (width, height) = (width.clamp(640, dispi::MAX_XRES), height.clamp(480, dispi::MAX_YRES));
    let mut edid = [0; LEN];
    edid[..8].copy_from_slice(&[0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00]);
    // Three letters of five bits: "TDM".
    let letter = |letter: u8| u16::from(letter - b'@');
    let maker = letter(b'T') << 10 | letter(b'D') << 5 | letter(b'M');
    edid[8..10].copy_from_slice(&maker.to_be_bytes());
    edid[10..12].copy_from_slice(&0x1111_u16.to_le_bytes());
    // Model year 2026 instead of a date.
    edid[16..18].copy_from_slice(&[0xff, 36]);
    edid[18..20].copy_from_slice(&[1, 4]);
    // Digital, eight bits a colour, no particular connector.
    edid[20] = 0xa0;
    // Size in centimetres at 96 dots an inch.
    let millimetres = |pixels: u16| u32::from(pixels) * 254 / 960;
    edid[21] = (millimetres(width) / 10) as u8;
    edid[22] = (millimetres(height) / 10) as u8;
    // Gamma 2.2; sRGB, and the first detailed timing is the preferred one.
    edid[23] = 120;
    edid[24] = 0x06;
    // Chromaticity of sRGB.
    edid[25..35].copy_from_slice(&[0xee, 0x91, 0xa3, 0x54, 0x4c, 0x99, 0x26, 0x0f, 0x50, 0x54]);
    // 640×480, 800×600, 1024×768 at 60 Hz.
    edid[35..38].copy_from_slice(&[0x21, 0x08, 0x00]);
    for (entry, (width, height)) in edid[38..54].chunks_exact_mut(2).zip(STANDARD) {
        entry.copy_from_slice(&standard_timing(width, height));
    }
    edid[54..72].copy_from_slice(&detailed_timing(width, height));
    // Range limits: 50 to 75 Hz, 30 to 160 kHz, up to 600 MHz, no formula.
    edid[72..90]
        .copy_from_slice(&[0, 0, 0, 0xfd, 0, 50, 75, 30, 160, 60, 1, b'\n', b' ', b' ', b' ', b' ', b' ', b' ']);
    edid[90..108].copy_from_slice(&[
        0, 0, 0, 0xfc, 0, b'T', b'a', b'n', b'd', b'e', b'm', b'\n', b' ', b' ', b' ', b' ', b' ', b' ',
    ]);
    // An unused descriptor.
    edid[108 + 3] = 0x10;
    let sum = edid.iter().fold(0_u8, |sum, &byte| sum.wrapping_add(byte));
    edid[LEN - 1] = sum.wrapping_neg();
    edid
}

/// Two bytes: width and shape.
fn standard_timing(width: u16, height: u16) -> [u8; 2] {
    let (across, down) = (u32::from(width), u32::from(height));
    let shape = [(16, 10), (4, 3), (5, 4)].iter().position(|&(x, y)| across * y == down * x).unwrap_or(3);
    [(width / 8 - 31) as u8, (shape as u8) << 6]
}

/// Eighteen bytes: a timing of 60 Hz with reduced blanking.
fn detailed_timing(width: u16, height: u16) -> [u8; 18] {
    const HORIZONTAL_BLANKING: u16 = 160;
    let vertical_blanking = (height / 35).max(23);
    let total = u32::from(width + HORIZONTAL_BLANKING) * u32::from(height + vertical_blanking);
    let clock = (total * 60 / 10_000) as u16;
    let (low, high) = (|value: u16| value as u8, |value: u16| (value >> 8) as u8);
    let millimetres = |pixels: u16| (u32::from(pixels) * 254 / 960) as u16;
    let (across, down) = (millimetres(width), millimetres(height));
    [
        low(clock),
        high(clock),
        low(width),
        low(HORIZONTAL_BLANKING),
        high(width) << 4 | high(HORIZONTAL_BLANKING),
        low(height),
        low(vertical_blanking),
        high(height) << 4 | high(vertical_blanking),
        // Front porch and width of the horizontal and of the vertical pulse.
        48,
        32,
        3 << 4 | 6,
        0,
        low(across),
        low(down),
        high(across) << 4 | high(down),
        0,
        0,
        // Digital separate sync, horizontal positive.
        0x1a,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_block_adds_up_and_prefers_what_was_asked() {
        for (width, height) in [(1280, 800), (2560, 1600), (1, 1), (9999, 9999)] {
            let edid = block(width, height);
            assert_eq!(edid.iter().fold(0_u8, |sum, &byte| sum.wrapping_add(byte)), 0);
            let preferred = (
                u16::from(edid[56]) | u16::from(edid[58] >> 4) << 8,
                u16::from(edid[59]) | u16::from(edid[61] >> 4) << 8,
            );
            assert_eq!(preferred, (width.clamp(640, 2560), height.clamp(480, 1600)));
        }
    }

    #[test]
    fn standard_timings_say_their_shape() {
        assert_eq!(standard_timing(1920, 1200), [209, 0x00]);
        assert_eq!(standard_timing(1600, 1200), [169, 0x40]);
        assert_eq!(standard_timing(1280, 1024), [129, 0x80]);
        assert_eq!(standard_timing(1920, 1080), [209, 0xc0]);
    }
}
