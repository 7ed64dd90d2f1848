//! What the registers say is to be shown: a text mode, a graphics mode or nothing.
//!
//! Geometry follows the CRT controller: a scan line that is doubled there is doubled in the picture, as are the dots of
//! modes with half the dot clock. Left out: overscan, cursor and display skew, and attributes that blink in graphics.

use super::{
    dispi::{Dispi, Linear},
    registers::{
        AR_COLOUR_SELECT, AR_INDEX_DISPLAY, AR_MODE, AR_PANNING, AR_PLANE_ENABLE, CR_CURSOR_END, CR_CURSOR_HIGH,
        CR_CURSOR_LOW, CR_CURSOR_START, CR_HORIZONTAL_DISPLAY_END, CR_LINE_COMPARE, CR_MAXIMUM_SCAN_LINE, CR_MODE,
        CR_OFFSET, CR_PRESET_ROW_SCAN, CR_START_HIGH, CR_START_LOW, CR_UNDERLINE, CR_VERTICAL_DISPLAY_END,
        GR_MISCELLANEOUS, GR_MODE, Registers, SR_CHARACTER_MAP, SR_CLOCKING,
    },
};

/// What is on the screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Picture {
    /// The screen is off.
    Blank,
    Text(TextMode),
    Graphics(GraphicsMode),
}

/// Where scan lines come from: the CRT controller's addressing. Addresses count four bytes, one of each plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Scan {
    /// Scan lines in the picture.
    pub(super) lines: u32,
    /// Each scan line of a row is shown twice.
    pub(super) doubled: bool,
    /// Scan lines in a row, before doubling.
    pub(super) row_lines: u32,
    /// The scan line of its row with which the first row begins.
    pub(super) preset: u32,
    /// Address of the first row.
    pub(super) start: u32,
    /// From one row to the next.
    pub(super) pitch: u32,
    /// After this scan line the address starts at zero: the lower part of a split screen.
    pub(super) line_compare: u32,
    /// The lower part isn't panned.
    pub(super) split_stands: bool,
}

/// Scan lines that are next to each other on the screen and come from the same row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Band {
    /// First scan line on the screen.
    pub(super) y: u32,
    /// How many scan lines, at least one.
    pub(super) lines: u32,
    /// Of the row, the scan line with which the band begins, counted after doubling.
    pub(super) from: u32,
    /// Address of the row.
    pub(super) address: u32,
    /// The band is in the lower part of a split screen.
    pub(super) split: bool,
}

impl Scan {
    fn of(registers: &Registers) -> Scan {
        let maximum = registers.crtc[CR_MAXIMUM_SCAN_LINE];
        Scan {
            lines: registers.vertical(CR_VERTICAL_DISPLAY_END, 1, 6) + 1,
            doubled: maximum & 0x80 != 0,
            row_lines: u32::from(maximum & 0x1f) + 1,
            preset: u32::from(registers.crtc[CR_PRESET_ROW_SCAN] & 0x1f),
            start: registers.crtc_pair(CR_START_HIGH, CR_START_LOW),
            pitch: u32::from(registers.crtc[CR_OFFSET]) * 2,
            line_compare: registers.vertical(CR_LINE_COMPARE, 4, 15) | u32::from(maximum & 0x40) << 3,
            split_stands: registers.attribute[AR_MODE] & 0x20 != 0,
        }
    }

    /// Scan lines that a row takes on the screen.
    pub(super) fn row_height(&self) -> u32 {
        self.row_lines << u32::from(self.doubled)
    }

    /// The bands of the picture, from top to bottom.
    pub(super) fn bands(&self) -> impl Iterator<Item = Band> + use<> {
        let scan = *self;
        let height = scan.row_height();
        // A preset beyond the row's end counts on to the end of the row counter in the hardware; here it wraps.
        let from = (scan.preset << u32::from(scan.doubled)) % height;
        let mut next = Band { y: 0, lines: 0, from, address: scan.start, split: false };
        std::iter::from_fn(move || {
            if next.y >= scan.lines {
                return None;
            }
            let mut lines = (height - next.from).min(scan.lines - next.y);
            let until_split = (scan.line_compare + 1).saturating_sub(next.y);
            let splits = !next.split && until_split <= lines && until_split > 0;
            if splits {
                lines = until_split;
            }
            let band = Band { lines, ..next };
            let address = if splits { 0 } else { next.address.wrapping_add(scan.pitch) };
            next = Band { y: next.y + lines, lines: 0, from: 0, address, split: next.split || splits };
            Some(band)
        })
    }
}

/// A text mode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TextMode {
    pub(super) scan: Scan,
    /// Characters in a row.
    pub(super) columns: u32,
    /// Dots of a character: 8, 9, or 16 with half the dot clock.
    pub(super) cell_width: u32,
    /// The ninth dot of box-drawing characters repeats the eighth.
    pub(super) line_graphics: bool,
    /// Bit 7 of an attribute makes it blink, and isn't the background's intensity.
    pub(super) blinking: bool,
    /// Dots by which the picture is moved to the left.
    pub(super) panning: u32,
    /// The scan line of a character that is set in underlined attributes.
    pub(super) underline: u32,
    /// Address of the fonts in plane 2 that bit 3 of an attribute chooses from.
    pub(super) fonts: [u32; 2],
    pub(super) cursor: Option<TextCursor>,
}

/// A text mode's cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TextCursor {
    /// Address of its cell.
    pub(super) address: u32,
    /// First and last scan line in the cell.
    pub(super) lines: (u32, u32),
}

/// How memory becomes pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// Four planes, one bit each.
    Planes,
    /// Two bits a pixel, from even or odd planes alternately (the CGA's).
    Pairs,
    /// A byte a pixel: a colour of the DAC.
    Bytes,
    /// Five bits a colour.
    Rgb555,
    /// Five bits for red and blue, six for green.
    Rgb565,
    /// Three bytes a pixel: blue, green, red.
    Rgb888,
    /// Four bytes a pixel: blue, green, red, nothing.
    Xrgb8888,
}

impl Format {
    /// Bits that a pixel takes in memory.
    pub(super) fn bits(self) -> u32 {
        match self {
            Format::Planes | Format::Pairs => 4,
            Format::Bytes => 8,
            Format::Rgb555 | Format::Rgb565 => 16,
            Format::Rgb888 => 24,
            Format::Xrgb8888 => 32,
        }
    }
}

/// A graphics mode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct GraphicsMode {
    pub(super) format: Format,
    /// Pixels in a row of memory that are shown.
    pub(super) pixels: u32,
    /// Each pixel is two wide in the picture.
    pub(super) wide: bool,
    /// Pixels by which the picture is moved to the left.
    pub(super) panning: u32,
    /// Planes that count (Color Plane Enable).
    pub(super) planes: u8,
    pub(super) lines: Lines,
}

/// Where a graphics mode's scan lines are in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Lines {
    /// By the CRT controller, with the bits of the address (in bytes) that the lowest and second-lowest bit of the row
    /// scan counter replace.
    Scan(Scan, [Option<u32>; 2]),
    /// One after the other.
    Linear {
        /// How many.
        count: u32,
        /// Where the first begins, in bytes.
        start: u32,
        /// From one to the next, in bytes.
        pitch: u32,
    },
}

impl GraphicsMode {
    pub(super) fn width(&self) -> u32 {
        self.pixels << u32::from(self.wide)
    }

    pub(super) fn height(&self) -> u32 {
        match &self.lines {
            Lines::Scan(scan, _) => scan.lines,
            Lines::Linear { count, .. } => *count,
        }
    }

    fn linear(mode: &Linear, registers: &Registers) -> GraphicsMode {
        GraphicsMode {
            format: match mode.bits {
                4 => Format::Planes,
                8 => Format::Bytes,
                15 => Format::Rgb555,
                16 => Format::Rgb565,
                24 => Format::Rgb888,
                _ => Format::Xrgb8888,
            },
            pixels: mode.width,
            wide: false,
            panning: 0,
            planes: registers.attribute[AR_PLANE_ENABLE] & 0x0f,
            lines: Lines::Linear { count: mode.height, start: mode.start, pitch: mode.pitch },
        }
    }

    fn vga(registers: &Registers) -> GraphicsMode {
        let clocks = u32::from(registers.crtc[CR_HORIZONTAL_DISPLAY_END]) + 1;
        let half_clock = registers.sequencer[SR_CLOCKING] & 0x08 != 0;
        let panning = u32::from(registers.attribute[AR_PANNING] & 7);
        let (format, pixels, wide, panning) = match registers.graphics[GR_MODE] >> 5 & 3 {
            0 => (Format::Planes, clocks * 8, half_clock, panning),
            1 => (Format::Pairs, clocks * 8, half_clock, panning),
            // A pixel takes two dot clocks.
            _ => (Format::Bytes, clocks * 4, true, panning >> 1),
        };
        let mode = registers.crtc[CR_MODE];
        // Bit 13 of the address counter, which word addressing moves up by one.
        let low = 14 + u32::from(mode >> 6 & 1);
        let replaced = [(mode & 1 == 0).then_some(low), (mode & 2 == 0).then_some(low + 1)];
        let planes = registers.attribute[AR_PLANE_ENABLE] & 0x0f;
        GraphicsMode { format, pixels, wide, panning, planes, lines: Lines::Scan(Scan::of(registers), replaced) }
    }
}

impl TextMode {
    fn of(registers: &Registers) -> TextMode {
        let crtc = &registers.crtc;
        let clocking = registers.sequencer[SR_CLOCKING];
        let nine_dots = clocking & 1 == 0;
        let cell_width = match (clocking & 0x08 != 0, nine_dots) {
            (true, _) => 16,
            (false, true) => 9,
            (false, false) => 8,
        };
        let mode = registers.attribute[AR_MODE];
        let panning = u32::from(registers.attribute[AR_PANNING]);
        let panning = match (nine_dots, panning) {
            (true, 8..) => 0,
            (true, dots) => dots + 1,
            (false, dots) => dots & 7,
        };
        let map = u32::from(registers.sequencer[SR_CHARACTER_MAP]);
        let font = |high: u32, low: u32| (map >> high & 1 | (map >> low & 3) << 1) * 0x2000;
        let (first, last) = (u32::from(crtc[CR_CURSOR_START] & 0x1f), u32::from(crtc[CR_CURSOR_END] & 0x1f));
        let mut scan = Scan::of(registers);
        let shown = crtc[CR_CURSOR_START] & 0x20 == 0 && first <= last && first < scan.row_lines;
        // Rows that aren't shown whole aren't shown.
        if scan.lines >= scan.row_height() {
            scan.lines -= scan.lines % scan.row_height();
        }
        TextMode {
            scan,
            columns: u32::from(crtc[CR_HORIZONTAL_DISPLAY_END]) + 1,
            cell_width,
            line_graphics: mode & 0x04 != 0,
            blinking: mode & 0x08 != 0,
            panning: if cell_width == 16 { panning * 2 % 16 } else { panning },
            underline: u32::from(crtc[CR_UNDERLINE] & 0x1f),
            fonts: [font(4, 0), font(5, 2)],
            cursor: shown.then(|| TextCursor {
                address: registers.crtc_pair(CR_CURSOR_HIGH, CR_CURSOR_LOW),
                lines: (first, last),
            }),
        }
    }

    pub(super) fn width(&self) -> u32 {
        self.columns * self.cell_width
    }
}

impl Picture {
    pub(super) fn of(registers: &Registers, dispi: &Dispi) -> Picture {
        let off = registers.attribute_index & AR_INDEX_DISPLAY == 0 || registers.sequencer[SR_CLOCKING] & 0x20 != 0;
        match dispi.mode() {
            _ if off => Picture::Blank,
            Some(mode) => Picture::Graphics(GraphicsMode::linear(&mode, registers)),
            None if registers.graphics[GR_MISCELLANEOUS] & 1 != 0 => Picture::Graphics(GraphicsMode::vga(registers)),
            None => Picture::Text(TextMode::of(registers)),
        }
    }

    /// The colours that the picture is drawn with, as far as it has a palette.
    pub(super) fn palette(&self, registers: &Registers) -> Vec<u32> {
        match self {
            Picture::Graphics(GraphicsMode { format: Format::Bytes, .. }) => {
                (0..=255).map(|index| registers.dac.rgb(index)).collect()
            }
            Picture::Text(_) | Picture::Graphics(GraphicsMode { format: Format::Planes | Format::Pairs, .. }) => {
                (0..16).map(|index| registers.dac.rgb(attribute_colour(registers, index))).collect()
            }
            _ => Vec::new(),
        }
    }
}

/// The DAC's colour for one of the sixteen, by way of the attribute controller.
fn attribute_colour(registers: &Registers, index: usize) -> u8 {
    let colour = registers.attribute[index];
    let select = registers.attribute[AR_COLOUR_SELECT];
    if registers.attribute[AR_MODE] & 0x80 != 0 {
        (select & 0x0f) << 4 | colour & 0x0f
    } else {
        (select & 0x0c) << 4 | colour & 0x3f
    }
}
