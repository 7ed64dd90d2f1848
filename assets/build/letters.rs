//! The letters: each a few strokes of one width with round ends, drawn for this guest, for every printable character of
//! ASCII. Capitals stand between y = 0.5 and 11.5 (the base line), small letters begin at 3.5, descenders end at 15.

use crate::canvas::{Canvas, Colour, Point, Segment};

/// The base line, and the first line below all letters.
pub(crate) const BASE: f32 = 11.5;
/// How many units a line of text is high.
pub(crate) const HEIGHT: usize = 18;

/// How far the pieces of a curve may turn.
const TURN_DEGREES: f32 = 12.0;
/// Half the width of a stroke, in units, of text that isn't scaled.
pub(crate) const HALF_WIDTH: f32 = 0.72;

/// By character from the space on: how far the next one is, and the strokes. `L` is a line through points, `A` an arc:
/// the centre, the two radii, and from where to where in degrees, clockwise from the right. `D` is a dot.
const GLYPHS: [(f32, &str); 95] = [
    (4.0, ""),
    (4.0, "L 1.5 .5 1.5 8; D 1.5 11.2"),
    (6.0, "L 1.5 .5 1.5 3.5; L 4.5 .5 4.5 3.5"),
    (10.0, "L 3.8 .5 2.6 11.5; L 7.4 .5 6.2 11.5; L 1.2 4 9 4; L .8 8 8.6 8"),
    (8.0, "A 3.7 3.6 2.4 2.3 330 90; A 3.7 8.3 2.5 2.4 270 510; L 3.7 -.6 3.7 12.6"),
    (12.0, "A 3 3.2 1.9 2.6 0 360; A 8.6 8.8 1.9 2.6 0 360; L 9 .5 2.6 11.5"),
    (10.0, "A 4 2.9 2.2 2.4 60 -220; L 2.3 4.4 8.6 11.5; A 3.9 8.6 2.9 2.9 225 15"),
    (3.0, "L 1.5 .5 1.5 3.5"),
    (5.0, "A 6.3 6.5 4.8 8.5 233 127"),
    (5.0, "A -1.5 6.5 4.8 8.5 -53 53"),
    (8.0, "L 3.9 .5 3.9 6; L 1.5 1.9 6.3 4.6; L 1.5 4.6 6.3 1.9"),
    (9.0, "L 1 7.5 7 7.5; L 4 4.5 4 10.5"),
    (4.0, "L 1.8 11.2 1.1 13.6"),
    (6.0, "L 1.2 7.5 4.8 7.5"),
    (4.0, "D 1.6 11.2"),
    (7.0, "L 5.8 .5 1 12.5"),
    (8.0, "A 3.9 6 2.8 5.5 0 360"),
    (8.0, "L 1.6 2.9 4.5 .5 4.5 11.5"),
    (8.0, "A 3.8 3.4 2.6 2.9 195 395; L 5.93 5.06 1.2 11.5 6.7 11.5"),
    (8.0, "A 3.6 3.2 2.5 2.7 205 450; A 3.6 8.7 2.8 2.8 270 515"),
    (8.0, "L 5.4 11.5 5.4 .5 1 8.4 7 8.4"),
    (8.0, "L 6.2 .5 2 .5 1.6 5.4; A 3.7 8 2.9 3.5 228 510"),
    (8.0, "A 3.9 8.2 2.7 3.3 0 360; A 6.3 8.2 5.1 7.7 180 248"),
    (8.0, "L 1.1 .5 6.7 .5 3 11.5"),
    (8.0, "A 3.9 3.2 2.4 2.7 0 360; A 3.9 8.7 2.8 2.8 0 360"),
    (8.0, "A 3.9 3.8 2.7 3.3 0 360; A 1.5 3.8 5.1 7.7 0 68"),
    (4.0, "D 1.6 5; D 1.6 11.2"),
    (4.0, "D 1.8 5; L 1.8 11.2 1.1 13.6"),
    (9.0, "L 7 4.2 1.2 7.5 7 10.8"),
    (9.0, "L 1.2 5.8 7 5.8; L 1.2 9.2 7 9.2"),
    (9.0, "L 1.2 4.2 7 7.5 1.2 10.8"),
    (7.0, "A 3.3 3.2 2.4 2.7 190 405; L 5 5.1 3.4 6.8 3.4 8.2; D 3.4 11.2"),
    (
        13.0,
        "A 6.2 6.6 5.2 6.2 -20 -330; A 6 6.6 2.2 2.6 0 360; L 8.3 4 8.2 7.6; A 9.8 7.6 1.6 1.8 180 10; L 11.4 7.6 11.4 5.5",
    ),
    (9.0, "L .9 11.5 4.5 .5 8.1 11.5; L 2.1 7.8 6.9 7.8"),
    (8.0, "L 4 .5 1.5 .5 1.5 11.5 4.2 11.5; L 1.5 5.9 4.2 5.9; A 4 3.2 2.3 2.7 270 450; A 4.2 8.7 2.7 2.8 270 450"),
    (9.0, "A 5.2 6 4 5.5 48 312"),
    (10.0, "L 3.7 .5 1.5 .5 1.5 11.5 3.7 11.5; A 3.7 6 4.7 5.5 270 450"),
    (8.0, "L 6.4 .5 1.5 .5 1.5 11.5 6.4 11.5; L 1.5 5.5 5.8 5.5"),
    (7.0, "L 6.3 .5 1.5 .5 1.5 11.5; L 1.5 5.5 5.6 5.5"),
    (10.0, "A 5.2 6 4 5.5 5 312; L 5.6 6.5 9.2 6.5"),
    (10.0, "L 1.5 .5 1.5 11.5; L 7.7 .5 7.7 11.5; L 1.5 5.5 7.7 5.5"),
    (4.0, "L 1.5 .5 1.5 11.5"),
    (7.0, "L 4.7 .5 4.7 8.6; A 2.6 8.6 2.1 2.9 0 150"),
    (8.0, "L 1.5 .5 1.5 11.5; L 7 .5 1.5 6.8; L 3.6 4.6 7.4 11.5"),
    (7.0, "L 1.5 .5 1.5 11.5 6.2 11.5"),
    (12.0, "L 1.5 11.5 1.5 .5 5.5 8.2 9.5 .5 9.5 11.5"),
    (10.0, "L 1.5 11.5 1.5 .5 7.7 11.5 7.7 .5"),
    (11.0, "A 5.4 6 4.2 5.5 0 360"),
    (8.0, "L 1.5 11.5 1.5 .5 4 .5; L 1.5 6.5 4 6.5; A 4 3.5 2.7 3 270 450"),
    (11.0, "A 5.4 6 4.2 5.5 0 360; L 6.3 8.6 9.2 12.2"),
    (8.0, "L 1.5 11.5 1.5 .5 4 .5; L 1.5 6.5 4 6.5; A 4 3.5 2.6 3 270 450; L 4.2 6.5 7 11.5"),
    (8.0, "A 3.9 3.3 2.6 2.8 325 90; A 3.9 8.8 2.8 2.7 270 508"),
    (8.0, "L .7 .5 6.9 .5; L 3.8 .5 3.8 11.5"),
    (10.0, "L 1.5 .5 1.5 8; A 4.6 8 3.1 3.5 180 0; L 7.7 8 7.7 .5"),
    (9.0, "L .9 .5 4.5 11.5 8.1 .5"),
    (14.0, "L .9 .5 3.8 11.5 6.9 1 10 11.5 12.9 .5"),
    (8.0, "L 1 .5 7 11.5; L 7 .5 1 11.5"),
    (8.0, "L .8 .5 4 6.3 7.2 .5; L 4 6.3 4 11.5"),
    (8.0, "L 1 .5 6.9 .5 1 11.5 7 11.5"),
    (5.0, "L 4 -.5 1.5 -.5 1.5 13.5 4 13.5"),
    (7.0, "L 1 .5 5.8 12.5"),
    (5.0, "L .8 -.5 3.3 -.5 3.3 13.5 .8 13.5"),
    (8.0, "L 1.2 5 3.9 .5 6.6 5"),
    (8.0, "L .5 13.5 7.3 13.5"),
    (5.0, "L 1.2 .5 3.2 2.2"),
    (9.0, "A 3.9 7.5 2.7 4 0 360; L 6.6 3.5 6.6 11.5"),
    (8.0, "L 1.5 .5 1.5 11.5; A 4.2 7.5 2.7 4 0 360"),
    (7.0, "A 4 7.5 2.8 4 50 310"),
    (9.0, "A 3.9 7.5 2.7 4 0 360; L 6.6 .5 6.6 11.5"),
    (8.0, "L 1.4 7.4 6.8 7.4; A 4 7.5 2.8 4 0 -310"),
    (5.0, "L 2 11.5 2 3; A 4.1 3 2.1 2.5 180 270; L .7 4 4.2 4"),
    (9.0, "A 3.9 7.5 2.7 4 0 360; L 6.6 3.5 6.6 12; A 3.9 12 2.7 3 0 145"),
    (9.0, "L 1.5 .5 1.5 11.5; A 4.05 6.2 2.55 2.7 180 360; L 6.6 6.2 6.6 11.5"),
    (4.0, "L 1.5 3.5 1.5 11.5; D 1.5 .8"),
    (4.0, "L 2.2 3.5 2.2 12.8; A .8 12.8 1.4 2.2 0 100; D 2.2 .8"),
    (8.0, "L 1.5 .5 1.5 11.5; L 6.3 3.5 1.5 8.3; L 3.4 6.5 6.8 11.5"),
    (4.0, "L 1.5 .5 1.5 11.5"),
    (
        13.0,
        "L 1.5 3.5 1.5 11.5; A 3.75 6 2.25 2.5 180 360; L 6 6 6 11.5; A 8.25 6 2.25 2.5 180 360; L 10.5 6 10.5 11.5",
    ),
    (9.0, "L 1.5 3.5 1.5 11.5; A 4.05 6.2 2.55 2.7 180 360; L 6.6 6.2 6.6 11.5"),
    (8.0, "A 4.1 7.5 2.9 4 0 360"),
    (8.0, "L 1.5 3.5 1.5 15; A 4.2 7.5 2.7 4 0 360"),
    (9.0, "A 3.9 7.5 2.7 4 0 360; L 6.6 3.5 6.6 15"),
    (6.0, "L 1.5 3.5 1.5 11.5; A 4.3 6.3 2.8 2.8 180 290"),
    (7.0, "A 3.4 5.5 2.1 2 325 90; A 3.4 9.5 2.3 2 270 510"),
    (6.0, "L 2.3 1 2.3 9.2; A 4.6 9.2 2.3 2.3 180 75; L .7 3.6 4.9 3.6"),
    (9.0, "L 1.5 3.5 1.5 8.8; A 4.05 8.8 2.55 2.7 180 0; L 6.6 3.5 6.6 11.5"),
    (8.0, "L .9 3.5 3.8 11.5 6.7 3.5"),
    (11.0, "L .8 3.5 3 11.5 5.4 4 7.8 11.5 10 3.5"),
    (7.0, "L 1 3.5 6 11.5; L 6 3.5 1 11.5"),
    (8.0, "L .9 3.5 3.8 11.3; L 6.7 3.5 3.3 13.2; A 1.4 12.6 2 2.3 20 100"),
    (7.0, "L 1 3.5 5.9 3.5 1 11.5 6 11.5"),
    (
        6.0,
        "A 4.8 1.7 2 2.2 270 180; L 2.8 1.7 2.8 4.5; A .8 4.5 2 2 0 90; A .8 8.5 2 2 270 360; L 2.8 8.5 2.8 11.3; A 4.8 11.3 2 2.2 180 90",
    ),
    (4.0, "L 1.8 -.5 1.8 13.5"),
    (
        6.0,
        "A .8 1.7 2 2.2 270 360; L 2.8 1.7 2.8 4.5; A 4.8 4.5 2 2 180 90; A 4.8 8.5 2 2 270 180; L 2.8 8.5 2.8 11.3; A .8 11.3 2 2.2 0 90",
    ),
    (9.0, "A 2.7 8 1.7 1.5 180 330; A 5.6 6.9 1.7 1.5 150 0"),
];

/// A letter, or a text: its strokes, and how far the next one is.
#[derive(Debug, Default)]
pub(crate) struct Outline {
    pub(crate) strokes: Vec<Segment>,
    pub(crate) advance: f32,
}

/// The outline of a printable character of ASCII. What isn't one has none.
pub(crate) fn glyph(character: char) -> Outline {
    let index = (character as usize).wrapping_sub(' ' as usize);
    let Some(&(advance, text)) = GLYPHS.get(index) else { return Outline::default() };
    let strokes = text.split(';').flat_map(|stroke| {
        let mut words = stroke.split_whitespace();
        let kind = words.next().unwrap_or_default();
        let numbers: Vec<f32> = words.filter_map(|word| word.parse().ok()).collect();
        let points = match (kind, numbers.as_slice()) {
            ("L", ends) => ends.chunks_exact(2).map(|point| (point[0], point[1])).collect(),
            ("A", &[x, y, wide, high, from, to]) => arc((x, y), (wide, high), from, to),
            // Dots are as a pen makes them: a little wider than the strokes.
            ("D", &[x, y]) => arc((x, y), (0.3, 0.3), 0.0, 360.0),
            _ => Vec::new(),
        };
        points.windows(2).map(|ends| Segment(ends[0], ends[1])).collect::<Vec<_>>()
    });
    Outline { strokes: strokes.collect(), advance }
}

fn arc((x, y): Point, (wide, high): Point, from: f32, to: f32) -> Vec<Point> {
    let pieces = ((to - from).abs() / TURN_DEGREES).ceil().max(1.0) as usize;
    let point = |piece: usize| {
        let angle = (from + (to - from) * piece as f32 / pieces as f32).to_radians();
        (x + wide * angle.cos(), y + high * angle.sin())
    };
    (0..=pieces).map(point).collect()
}

/// A text to be drawn: how large, how bold, and how far apart.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Style {
    /// Pixels a unit.
    pub(crate) scale: f32,
    /// Half the width of the strokes, in units.
    pub(crate) half_width: f32,
    /// Units between two letters beyond the usual.
    pub(crate) tracking: f32,
    pub(crate) colour: Colour,
}

impl Style {
    /// How many pixels a text takes.
    pub(crate) fn width(&self, text: &str) -> f32 {
        text.chars().map(|character| (glyph(character).advance + self.tracking) * self.scale).sum()
    }

    /// Draws a text from a point on its base line on.
    pub(crate) fn draw(&self, canvas: &mut Canvas, (x, y): Point, text: &str) {
        let mut left = x;
        for character in text.chars() {
            let outline = glyph(character);
            let place = |(px, py): Point| (left + px * self.scale, y + (py - BASE) * self.scale);
            let strokes: Vec<Segment> =
                outline.strokes.iter().map(|Segment(a, b)| Segment(place(*a), place(*b))).collect();
            if !strokes.is_empty() {
                canvas.strokes(&strokes, self.half_width * self.scale, self.colour, 1.0);
            }
            left += (outline.advance + self.tracking) * self.scale;
        }
    }
}
