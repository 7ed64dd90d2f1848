//! Text as the guest draws it: bitmaps with sixteen shades of each character, and the colours of those shades.

use std::fmt::Write as _;

use crate::canvas::{Canvas, Colour, mix};
use crate::layout::{ACCENT, BRIGHT, CARD, COLON_WIDTH, DIGIT, MUTED, WELL, number};
use crate::letters::{BASE, HALF_WIDTH, HEIGHT, Style, glyph};

const WHITE: Colour = [255.0; 3];
const BLACK: Colour = [0.0; 3];

/// The characters from the space on. An index has a number of 32 bits for each: the advance in the lowest byte, above
/// it where the bitmap begins, from the index's start. A bitmap has rows of two pixels a byte, the left one in the
/// high half; its width is the advance, made even.
pub(crate) fn small_font() -> Vec<u8> {
    let characters: Vec<char> = (' '..='~').collect();
    let (mut index, mut bitmaps) = (Vec::new(), Vec::new());
    for character in &characters {
        let advance = glyph(*character).advance as usize;
        let mut canvas = Canvas::new(advance.next_multiple_of(2), HEIGHT, BLACK);
        let style = Style { scale: 1.0, half_width: HALF_WIDTH, tracking: 0.0, colour: WHITE };
        style.draw(&mut canvas, (0.0, BASE + 1.0), &character.to_string());
        let start = characters.len() * 4 + bitmaps.len();
        index.extend(((start << 8 | advance) as u32).to_le_bytes());
        bitmaps.extend(shades(&canvas));
    }
    [index, bitmaps].concat()
}

/// The ten digits of the large clock and the colon, one bitmap behind the other.
pub(crate) fn large_digits() -> Vec<u8> {
    let draw = |character: char, width: usize| {
        let mut canvas = Canvas::new(width, DIGIT.1, BLACK);
        let style = Style { scale: 2.8, half_width: 0.46, tracking: 0.0, colour: WHITE };
        let left = (width as f32 - style.width(&character.to_string())) / 2.0;
        style.draw(&mut canvas, (left, DIGIT.1 as f32 - 4.5), &character.to_string());
        shades(&canvas)
    };
    let digits = ('0'..='9').flat_map(|digit| draw(digit, DIGIT.0));
    digits.chain(draw(':', COLON_WIDTH)).collect()
}

fn shades(canvas: &Canvas) -> Vec<u8> {
    let shade = |colour: Colour| (colour[0] / 17.0).round() as u8;
    canvas.pixels.chunks_exact(2).map(|pair| shade(pair[0]) << 4 | shade(pair[1])).collect()
}

/// Tables of sixteen colours, from the ground's to the letters'.
pub(crate) fn styles() -> String {
    let mut text = String::from("# Colours of text. Written by the build; the source is text.rs.\n");
    let styles = [("bright", BRIGHT, CARD), ("accent", ACCENT, CARD), ("muted", MUTED, CARD), ("typed", BRIGHT, WELL)];
    for (name, ink, ground) in styles {
        let shades: Vec<String> =
            (0..16).map(|shade| format!("{:#08x}", number(mix(ground, ink, shade as f32 / 15.0)))).collect();
        // A string takes whatever is written to it
        let _ = writeln!(text, "        .globl  style_{name}\nstyle_{name}:\n        .long   {}", shades.join(", "));
    }
    text
}
