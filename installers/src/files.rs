//! The forms that packages want things in: icons as PNG files, and texts compressed.

use std::io::Write;

use anyhow::Result;
use flate2::{Compression, GzBuilder};

/// The icon as a PNG file, of so many pixels along its side.
pub(crate) fn png(side: u32) -> Result<Vec<u8>> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, side, side);
    encoder.set_color(png::ColorType::Rgba);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::High);
    encoder.write_header()?.write_image_data(&assets::icon::pixels(side))?;
    Ok(file)
}

/// Compressed by gzip, without a date in it: the same bytes always become the same file.
pub(crate) fn gzip(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = GzBuilder::new().mtime(0).write(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_icons_file_holds_its_pixels() {
        let file = png(48).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(file)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        assert_eq!((info.width, info.height, info.color_type), (48, 48, png::ColorType::Rgba));
        assert_eq!(pixels, assets::icon::pixels(48));
    }

    #[test]
    fn the_same_bytes_are_compressed_to_the_same_file() {
        assert_eq!(gzip(b"notice").unwrap(), gzip(b"notice").unwrap());
        let mut text = String::new();
        let file = gzip(b"notice").unwrap();
        std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(file.as_slice()), &mut text).unwrap();
        assert_eq!(text, "notice");
    }
}
