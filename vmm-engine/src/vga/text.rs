//! Draws text modes, cell by cell.

use hypervisor::memory::DeviceMemory;
use machine::console::{Frame, TextScreen};

use super::{
    cp437,
    memory::Pages,
    mode::{Band, TextMode},
    screen::{Changes, read_planes},
    timing::Blink,
};

/// Characters of a font, and bytes that each takes in plane 2.
const CHARACTERS: usize = 256;
const GLYPH_LEN: usize = 32;

/// What a cell looks like, beside colours and fonts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Cell {
    character: u8,
    attribute: u8,
    cursor: bool,
    hidden: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Font {
    glyphs: Vec<u8>,
    /// Characters whose glyph is another than at the last drawing.
    changed: [bool; CHARACTERS],
}

impl Default for Font {
    fn default() -> Self {
        Font { glyphs: vec![0; CHARACTERS * GLYPH_LEN], changed: [false; CHARACTERS] }
    }
}

impl Font {
    /// Reads the font at `address`.
    fn load(&mut self, memory: &DeviceMemory, address: u32) {
        let mut planes = vec![0; CHARACTERS * GLYPH_LEN * 4];
        read_planes(memory, address << 2, &mut planes);
        for ((old, changed), new) in
            self.glyphs.chunks_exact_mut(GLYPH_LEN).zip(&mut self.changed).zip(planes.chunks_exact(GLYPH_LEN * 4))
        {
            for (old, planes) in old.iter_mut().zip(new.chunks_exact(4)) {
                *changed |= *old != planes[2];
                *old = planes[2];
            }
        }
    }
}

/// The cells and fonts as they were drawn last.
#[derive(Debug, Default)]
pub(super) struct TextPainter {
    cells: Vec<Cell>,
    fonts: [Font; 2],
    blink: Blink,
    /// Something on the screen blinks.
    blinks: bool,
    row: Vec<u8>,
}

impl TextPainter {
    /// Draws the cells that changed, or all, into `frame`, which has the mode's size.
    #[allow(clippy::too_many_arguments)] // one caller, which holds all of these apart
    pub(super) fn draw(
        &mut self,
        mode: &TextMode,
        palette: &[u32],
        memory: &DeviceMemory,
        dirty: &Pages,
        blink: Blink,
        all: bool,
        frame: &mut Frame,
        changes: &mut Changes,
    ) {
        let other_phase = std::mem::replace(&mut self.blink, blink) != blink;
        if !all && dirty.is_empty() && !(other_phase && self.blinks) {
            return;
        }
        if all || !dirty.is_empty() {
            for (font, address) in self.fonts.iter_mut().zip(mode.fonts) {
                font.load(memory, address);
            }
        }
        // One more than fits: panning shows a part of it.
        let columns = mode.columns as usize + 1;
        self.row.resize(columns * 4, 0);
        self.blinks = false;
        let mut at = 0;
        for band in mode.scan.bands() {
            if self.cells.len() < at + columns {
                self.cells.resize(at + columns, Cell::default());
            }
            read_planes(memory, band.address << 2, &mut self.row);
            let mut changed: Option<(u32, u32)> = None;
            for (column, planes) in (0_u32..).zip(self.row.chunks_exact(4)) {
                let (cell, blinks) = look(mode, &band, column, [planes[0], planes[1]], blink);
                self.blinks |= blinks;
                let font = &self.fonts[usize::from(cell.attribute >> 3 & 1)];
                let old = std::mem::replace(&mut self.cells[at + column as usize], cell);
                if !all && old == cell && !font.changed[usize::from(cell.character)] {
                    continue;
                }
                let glyph = &font.glyphs[usize::from(cell.character) * GLYPH_LEN..][..GLYPH_LEN];
                if let Some((left, right)) = paint(mode, palette, &band, column, cell, glyph, frame) {
                    let (first, end) = changed.unwrap_or((left, right));
                    changed = Some((first.min(left), end.max(right)));
                }
            }
            if let Some((first, end)) = changed {
                changes.add(band.y, band.lines, first, end);
            }
            at += columns;
        }
        self.cells.truncate(at);
        for font in &mut self.fonts {
            font.changed.fill(false);
        }
    }
}

/// What the cell in `column` of `band` looks like now, and whether that changes as time passes.
fn look(mode: &TextMode, band: &Band, column: u32, [character, attribute]: [u8; 2], blink: Blink) -> (Cell, bool) {
    let address = band.address.wrapping_add(column) & 0xffff;
    let cursor = mode.cursor.is_some_and(|cursor| cursor.address == address);
    let blinking = mode.blinking && attribute & 0x80 != 0;
    let cell = Cell { character, attribute, cursor: cursor && blink.cursor, hidden: blinking && !blink.characters };
    (cell, cursor || blinking)
}

/// Draws a cell's part in `band`. Gives the columns of pixels that it takes, if any are in the picture.
fn paint(
    mode: &TextMode,
    palette: &[u32],
    band: &Band,
    column: u32,
    cell: Cell,
    glyph: &[u8],
    frame: &mut Frame,
) -> Option<(u32, u32)> {
    let colour = |index: u8| palette.get(usize::from(index)).copied().unwrap_or(0);
    let background_bits = if mode.blinking { 7 } else { 15 };
    let (foreground, background) = (colour(cell.attribute & 15), colour(cell.attribute >> 4 & background_bits));
    let panning = if band.split && mode.scan.split_stands { 0 } else { mode.panning };
    let left = (column * mode.cell_width).saturating_sub(panning);
    let right = ((column + 1) * mode.cell_width).saturating_sub(panning).min(mode.width());
    if left >= right {
        return None;
    }
    // Dots that are cut off on the left, in the first column only.
    let skipped = (panning + left).saturating_sub(column * mode.cell_width);
    let cursor = mode.cursor.filter(|_| cell.cursor).map(|cursor| cursor.lines.0..=cursor.lines.1);
    let underlined = cell.attribute & 0x77 == 0x01;
    for index in 0..band.lines {
        let line = (band.from + index) >> u32::from(mode.scan.doubled);
        let in_cursor = cursor.as_ref().is_some_and(|lines| lines.contains(&line));
        let dots = match glyph.get(line as usize) {
            _ if in_cursor => u32::MAX,
            _ if cell.hidden => 0,
            _ if underlined && line == mode.underline => u32::MAX,
            dots => dots_of(mode, cell.character, dots.copied().unwrap_or(0)),
        };
        let row = &mut frame.row_mut(band.y + index)[left as usize..right as usize];
        for (x, pixel) in (skipped..).zip(row) {
            *pixel = if dots >> (mode.cell_width - 1 - x) & 1 != 0 { foreground } else { background };
        }
    }
    Some((left, right))
}

/// A line of a glyph as it is shown: the leftmost dot is the highest of as many bits as the cell is wide.
fn dots_of(mode: &TextMode, character: u8, glyph: u8) -> u32 {
    let dots = u32::from(glyph);
    match mode.cell_width {
        // Without a register for it, adapters differ in which characters are box drawing: C0h to DFh by IBM's
        // reference; here with the shades and boxes before them, as firmware and emulators agree today.
        9 if mode.line_graphics && (0xb0..=0xdf).contains(&character) => dots << 1 | dots & 1,
        9 => dots << 1,
        16 => (0..8).fold(0, |wide, bit| wide | (((dots >> bit & 1) * 3) << (2 * bit))),
        _ => dots,
    }
}

/// The characters that a text mode shows.
pub(super) fn characters(mode: &TextMode, memory: &DeviceMemory) -> TextScreen {
    let columns = mode.columns as usize;
    let mut screen = TextScreen { columns, cells: Vec::new(), cursor: None };
    let mut row = vec![0; columns * 4];
    for (index, band) in mode.scan.bands().enumerate() {
        read_planes(memory, band.address << 2, &mut row);
        screen.cells.extend(row.chunks_exact(4).map(|planes| cp437::CHARACTERS[usize::from(planes[0])]));
        if let Some(cursor) = mode.cursor {
            let column = cursor.address.wrapping_sub(band.address) & 0xffff;
            if (column as usize) < columns {
                screen.cursor = Some((column as usize, index));
            }
        }
    }
    screen
}
