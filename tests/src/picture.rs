//! Pictures of screens, and in what two of them differ.

use std::collections::HashSet;
use std::fs;
use std::io::Cursor;
use std::path::Path;

use anyhow::{Context, Result, ensure};

/// So many of the pixels that differ are named.
const NAMED: usize = 4;

/// A picture with eight bits each of red, green and blue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    width: u32,
    height: u32,
    /// From left to right, then from top to bottom.
    pixels: Vec<[u8; 3]>,
}

impl Picture {
    /// Reads a PNG file as `tandem screenshot` writes it.
    ///
    /// # Errors
    /// It can't be read, or has other pixels.
    pub fn from_png(file: &Path) -> Result<Self> {
        let bytes = fs::read(file).with_context(|| format!("can't read {}", file.display()))?;
        let mut reader = png::Decoder::new(Cursor::new(bytes)).read_info()?;
        let mut pixels = vec![0; reader.output_buffer_size().context("the picture is too large")?];
        let info = reader.next_frame(&mut pixels)?;
        let format = (info.color_type, info.bit_depth);
        ensure!(format == (png::ColorType::Rgb, png::BitDepth::Eight), "{} has {format:?}", file.display());
        Ok(Self::new(info.width, info.height, &pixels))
    }

    /// Reads a binary portable pixmap as QEMU writes it: Netpbm's P6 with values up to 255, without comments.
    ///
    /// # Errors
    /// It can't be read, or is something else.
    pub fn from_ppm(file: &Path) -> Result<Self> {
        let bytes = fs::read(file).with_context(|| format!("can't read {}", file.display()))?;
        Self::parse_ppm(&bytes).with_context(|| format!("{} is no picture of QEMU's", file.display()))
    }

    fn parse_ppm(bytes: &[u8]) -> Option<Self> {
        let mut lines = bytes.splitn(4, |byte| *byte == b'\n');
        let mut line = || std::str::from_utf8(lines.next()?).ok();
        let (magic, size, highest) = (line()?, line()?, line()?);
        let (width, height) = size.split_once(' ')?;
        let (width, height) = (width.parse().ok()?, height.parse().ok()?);
        let pixels = lines.next()?;
        let whole = pixels.len() as u64 == 3 * u64::from(width) * u64::from(height);
        (magic == "P6" && highest == "255" && whole).then(|| Self::new(width, height, pixels))
    }

    fn new(width: u32, height: u32, bytes: &[u8]) -> Self {
        let pixels = bytes.chunks_exact(3).map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect();
        Self { width, height, pixels }
    }

    /// Its width and height.
    #[must_use]
    pub fn size(&self) -> (u32, u32) {
        (self.width, self.height)
    }

    /// How many colours it has.
    #[must_use]
    pub fn colours(&self) -> usize {
        self.pixels.iter().collect::<HashSet<_>>().len()
    }

    /// The pixels of a rectangle: left, top, width, height. Those that are outside are left out.
    #[must_use]
    pub fn part(&self, [left, top, width, height]: [u32; 4]) -> Self {
        let (right, bottom) = ((left + width).min(self.width), (top + height).min(self.height));
        let (left, top) = (left.min(right), top.min(bottom));
        let row = |y: u32| &self.pixels[(y * self.width + left) as usize..(y * self.width + right) as usize];
        Self { width: right - left, height: bottom - top, pixels: (top..bottom).flat_map(row).copied().collect() }
    }

    /// The middle of what has this colour, if that is some hundred pixels at least.
    #[must_use]
    pub fn middle_of(&self, colour: [u8; 3]) -> Option<(u32, u32)> {
        const LEAST: usize = 300;
        let places = self.pixels.iter().enumerate().filter(|(_, pixel)| **pixel == colour);
        let places: Vec<(u32, u32)> =
            places.map(|(index, _)| (index as u32 % self.width, index as u32 / self.width)).collect();
        let middle = |values: &dyn Fn(&(u32, u32)) -> u32| {
            let (least, most) = (places.iter().map(values).min()?, places.iter().map(values).max()?);
            Some(least.midpoint(most))
        };
        if places.len() < LEAST { None } else { middle(&|place| place.0).zip(middle(&|place| place.1)) }
    }

    /// In what it differs from another picture, in words; nothing if they are equal.
    #[must_use]
    pub fn difference(&self, wanted: &Self) -> Option<String> {
        if (self.width, self.height) != (wanted.width, wanted.height) {
            let Self { width, height, .. } = wanted;
            return Some(format!("{} × {} pixels instead of {width} × {height}", self.width, self.height));
        }
        let pairs = self.pixels.iter().zip(&wanted.pixels);
        let different: Vec<usize> =
            pairs.enumerate().filter(|(_, (shown, wanted))| shown != wanted).map(|(index, _)| index).collect();
        let named = different.iter().take(NAMED).map(|&index| {
            let (x, y) = (index % self.width as usize, index / self.width as usize);
            format!("({x}, {y}) is {} instead of {}", colour(self.pixels[index]), colour(wanted.pixels[index]))
        });
        let named = named.collect::<Vec<_>>().join(", ");
        let (count, all) = (different.len(), self.pixels.len());
        let more = if count > NAMED { ", …" } else { "" };
        (count != 0).then(|| format!("{count} of {all} pixels differ: {named}{more}"))
    }
}

fn colour([red, green, blue]: [u8; 3]) -> String {
    format!("#{red:02x}{green:02x}{blue:02x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pixmap_is_read_whole_or_not_at_all() {
        let picture = Picture::parse_ppm(b"P6\n2 1\n255\n\n12abc").unwrap();
        assert_eq!(picture, Picture { width: 2, height: 1, pixels: vec![*b"\n12", *b"abc"] });
        assert_eq!(Picture::parse_ppm(b"P6\n2 1\n255\n\n12ab"), None);
        assert_eq!(Picture::parse_ppm(b"P3\n2 1\n255\n\n12abc"), None);
        assert_eq!(Picture::parse_ppm(b"P6\n2 1"), None);
    }

    #[test]
    fn a_part_has_the_pixels_of_its_rectangle() {
        let picture = Picture::new(3, 2, b"aaabbbcccdddeeefff");
        assert_eq!(picture.part([1, 0, 2, 2]), Picture::new(2, 2, b"bbbccceeefff"));
        assert_eq!(picture.part([2, 1, 5, 5]), Picture::new(1, 1, b"fff"));
        assert_eq!(picture.part([4, 3, 1, 1]).size(), (0, 0));
        assert_eq!(picture.colours(), 6);
    }

    #[test]
    fn a_difference_names_the_first_pixels() {
        let black = Picture::new(3, 2, &[0; 18]);
        let mut bytes = [0; 18];
        bytes[14] = 0xa5;
        let other = Picture::new(3, 2, &bytes);
        assert_eq!(black.difference(&black), None);
        let said = other.difference(&black).unwrap();
        assert_eq!(said, "1 of 6 pixels differ: (1, 1) is #0000a5 instead of #000000");
        let said = Picture::new(3, 2, &[1; 18]).difference(&black).unwrap();
        assert!(said.starts_with("6 of 6 pixels differ: (0, 0)"), "{said}");
        assert!(said.ends_with("(0, 1) is #010101 instead of #000000, …"), "{said}");
        let said = Picture::new(2, 3, &[0; 18]).difference(&black).unwrap();
        assert_eq!(said, "2 × 3 pixels instead of 3 × 2");
    }
}
