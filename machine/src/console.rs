//! What passes between a machine and the person at its console: pictures out, keys and pointer in.

use std::fmt;

use crate::keys::Key;

/// A rectangle of a picture, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rect {
    /// Left edge.
    pub x: u32,
    /// Upper edge.
    pub y: u32,
    /// Width.
    pub width: u32,
    /// Height.
    pub height: u32,
}

/// A picture: rows from top to bottom, each pixel `0x00RRGGBB` (sRGB).
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Frame {
    width: u32,
    height: u32,
    pixels: Vec<u32>,
}

impl Frame {
    /// A black picture.
    #[must_use]
    pub fn new(width: u32, height: u32) -> Self {
        Frame { width, height, pixels: vec![0; width as usize * height as usize] }
    }

    /// Makes the picture `width` by `height` and black, if it has another size. Says whether it had.
    pub fn resize(&mut self, width: u32, height: u32) -> bool {
        let other = (width, height) != (self.width, self.height);
        if other {
            *self = Frame::new(width, height);
        }
        other
    }

    /// Width in pixels.
    #[must_use]
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Height in pixels.
    #[must_use]
    pub fn height(&self) -> u32 {
        self.height
    }

    /// All pixels, row by row.
    #[must_use]
    pub fn pixels(&self) -> &[u32] {
        &self.pixels
    }

    /// All pixels, row by row.
    pub fn pixels_mut(&mut self) -> &mut [u32] {
        &mut self.pixels
    }

    /// Row `y` (below `height`).
    pub fn row_mut(&mut self, y: u32) -> &mut [u32] {
        let start = y as usize * self.width as usize;
        &mut self.pixels[start..start + self.width as usize]
    }

    /// The whole picture as a rectangle.
    #[must_use]
    pub fn bounds(&self) -> Rect {
        Rect { x: 0, y: 0, width: self.width, height: self.height }
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Frame({}×{})", self.width, self.height)
    }
}

/// What a text mode shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextScreen {
    /// Characters in a row.
    pub columns: usize,
    /// The characters, row by row, as Unicode.
    pub cells: Vec<char>,
    /// Column and row of the cursor, if it is shown.
    pub cursor: Option<(usize, usize)>,
}

impl TextScreen {
    /// The rows, without blanks at their ends.
    pub fn rows(&self) -> impl Iterator<Item = String> + '_ {
        self.cells.chunks(self.columns.max(1)).map(|row| row.iter().collect::<String>().trim_end().to_owned())
    }
}

impl fmt::Display for TextScreen {
    /// The rows, each with a line end, without empty rows at the bottom.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows: Vec<String> = self.rows().collect();
        let used = rows.iter().rposition(|row| !row.is_empty()).map_or(0, |last| last + 1);
        rows[..used].iter().try_for_each(|row| writeln!(formatter, "{row}"))
    }
}

/// A display adapter's picture. It has one reader, which keeps the frame between calls.
pub trait Screen: Send {
    /// Brings `frame` up to date (its size included) and gives the rectangles that changed since the last
    /// call; none when the picture stands still. With `all`, everything is drawn anew.
    fn draw(&mut self, frame: &mut Frame, all: bool) -> Vec<Rect>;

    /// Width and height that [`Screen::draw`] would give `frame`, without drawing.
    fn size(&self, frame: &Frame) -> (u32, u32);

    /// The characters on the screen, in a text mode.
    fn text(&self) -> Option<TextScreen>;
}

/// A pointer button.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Button {
    /// The left one.
    Left,
    /// The middle one, or the wheel pressed.
    Middle,
    /// The right one.
    Right,
    /// The fourth ("back").
    Back,
    /// The fifth ("forward").
    Forward,
}

/// What a person does at the console.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Input {
    /// A key goes down or up.
    Key {
        /// Which key.
        key: Key,
        /// Down, or up.
        down: bool,
    },
    /// The pointer moves by so many counts: right and down are positive.
    Move {
        /// To the right.
        dx: i32,
        /// Downwards.
        dy: i32,
    },
    /// A button goes down or up.
    Button {
        /// Which button.
        button: Button,
        /// Down, or up.
        down: bool,
    },
    /// The wheel turns by so many notches: away from the person is positive.
    Wheel {
        /// Notches.
        notches: i32,
    },
}
