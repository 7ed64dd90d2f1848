//! A message as a small picture, for where egui doesn't draw.

use eframe::egui::{self, Color32, ColorImage, FontId};
use machine::console::Frame;

/// Around the text, in points.
const MARGIN: (f32, f32) = (14.0, 8.0);
const SIZE: f32 = 15.0;
/// What it is written on.
const GROUND: u8 = 24;

/// `text` in white on dark, in egui's own letters, no wider than `width` pixels of the screen.
pub(super) fn picture(context: &egui::Context, text: &str, width: u32) -> Frame {
    let scale = context.pixels_per_point();
    let wrap = (width as f32 / scale - 2.0 * MARGIN.0).max(100.0);
    let (galley, letters) = context.fonts_mut(|fonts| {
        let galley = fonts.layout(text.to_owned(), FontId::proportional(SIZE), Color32::WHITE, wrap);
        (galley, fonts.image())
    });
    let pixels = |points: f32| (points * scale).round() as i32;
    let size = (pixels(galley.size().x + 2.0 * MARGIN.0), pixels(galley.size().y + 2.0 * MARGIN.1));
    let mut note = Frame::new(size.0.max(1) as u32, size.1.max(1) as u32);
    note.pixels_mut().fill(grey(GROUND));
    for row in &galley.rows {
        for glyph in row.row.glyphs.iter().filter(|glyph| !glyph.uv_rect.is_nothing()) {
            let corner = row.pos + glyph.pos.to_vec2() + glyph.uv_rect.offset;
            let at = (pixels(corner.x + MARGIN.0), pixels(corner.y + MARGIN.1));
            write(&mut note, at, &letters, glyph.uv_rect.min, glyph.uv_rect.max);
        }
    }
    note
}

/// Writes a letter, from where it stands among all letters, at a place of the note.
fn write(note: &mut Frame, at: (i32, i32), letters: &ColorImage, min: [u16; 2], max: [u16; 2]) {
    for (row, y) in (min[1]..max[1]).zip(at.1..) {
        for (column, x) in (min[0]..max[0]).zip(at.0..) {
            let (Ok(x), Ok(y)) = (u32::try_from(x), u32::try_from(y)) else { continue };
            if x < note.width() && y < note.height() {
                let coverage = u32::from(letters[(usize::from(column), usize::from(row))].a());
                let level = (u32::from(GROUND) * (255 - coverage) + 255 * coverage) / 255;
                note.row_mut(y)[x as usize] = grey(level as u8);
            }
        }
    }
}

fn grey(level: u8) -> u32 {
    u32::from_be_bytes([0, level, level, level])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_has_its_letters_and_its_width() {
        let context = egui::Context::default();
        let mut output = context.run_ui(egui::RawInput::default(), |_| {});
        output.textures_delta.clear();
        let one_line = picture(&context, "The machine has the mouse", 2000);
        let letters = one_line.pixels().iter().filter(|&&pixel| pixel == grey(255)).count();
        assert!(letters > 50, "{letters} white pixels");
        assert_eq!(one_line.pixels()[0], grey(GROUND));
        let several = picture(&context, "The machine has the mouse", 130);
        assert!(several.width() <= 130 && several.height() > one_line.height(), "{several:?}, {one_line:?}");
    }
}
