//! A picture as a file: PNG (ISO/IEC 15948), eight bits each of red, green and blue, marked as sRGB.

use std::io::Cursor;

use machine::console::Frame;

/// A picture can't be made into a file.
#[derive(Debug, thiserror::Error)]
pub enum PictureError {
    /// The picture has no pixels: the display adapter has no mode yet.
    #[error("there is no picture yet: the machine's screen is {width} by {height} pixels")]
    Empty {
        /// Its width.
        width: u32,
        /// Its height.
        height: u32,
    },
    /// The encoder refused.
    #[error("the picture can't be encoded as PNG")]
    Encode(#[from] png::EncodingError),
    /// It is no PNG.
    #[error("the picture can't be read: it is damaged, or no PNG")]
    Decode(#[from] png::DecodingError),
    /// It is a PNG of another kind.
    #[error("the picture can't be read: it has other colours than red, green and blue of eight bits each")]
    Colours,
}

/// The bytes of a PNG file that shows `frame`. To write them so that no reader meets half a file is the caller's part.
///
/// # Errors
/// [`PictureError`].
pub fn png(frame: &Frame) -> Result<Vec<u8>, PictureError> {
    let (width, height) = (frame.width(), frame.height());
    if width == 0 || height == 0 {
        return Err(PictureError::Empty { width, height });
    }
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::Fast);
    encoder.set_source_srgb(png::SrgbRenderingIntent::Perceptual);
    let mut writer = encoder.write_header()?;
    let bytes: Vec<u8> = frame.pixels().iter().flat_map(|pixel| pixel.to_be_bytes().into_iter().skip(1)).collect();
    writer.write_image_data(&bytes)?;
    writer.finish()?;
    Ok(file)
}

/// The picture in a PNG file such as [`png()`] makes.
///
/// # Errors
/// [`PictureError::Decode`], [`PictureError::Colours`].
pub fn read_png(file: &[u8]) -> Result<Frame, PictureError> {
    let mut reader = png::Decoder::new(Cursor::new(file)).read_info()?;
    let mut bytes = vec![0; reader.output_buffer_size().ok_or(PictureError::Colours)?];
    let info = reader.next_frame(&mut bytes)?;
    if (info.color_type, info.bit_depth) != (png::ColorType::Rgb, png::BitDepth::Eight) {
        return Err(PictureError::Colours);
    }
    let mut frame = Frame::new(info.width, info.height);
    for (pixel, [red, green, blue]) in frame.pixels_mut().iter_mut().zip(bytes.as_chunks().0) {
        *pixel = u32::from_be_bytes([0, *red, *green, *blue]);
    }
    Ok(frame)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_no_picture_is_an_error() {
        assert!(matches!(read_png(b"<html>"), Err(PictureError::Decode(_))));
    }

    #[test]
    fn a_picture_without_pixels_is_an_error() {
        assert!(matches!(png(&Frame::new(0, 5)), Err(PictureError::Empty { width: 0, height: 5 })));
    }

    proptest! {
        #[test]
        fn a_file_shows_the_picture(width in 1_u32..20, height in 1_u32..20, seed in any::<u32>()) {
            let mut frame = Frame::new(width, height);
            for (index, pixel) in frame.pixels_mut().iter_mut().enumerate() {
                // The topmost byte means nothing.
                *pixel = (index as u32).wrapping_add(seed).wrapping_mul(0x9e37_79b1);
            }
            let read = read_png(&png(&frame).unwrap()).unwrap();
            frame.pixels_mut().iter_mut().for_each(|pixel| *pixel &= 0xff_ffff);
            prop_assert_eq!(read, frame);
        }
    }
}
