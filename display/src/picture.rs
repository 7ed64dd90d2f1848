//! A picture as a file: PNG (ISO/IEC 15948), eight bits each of red, green and blue, marked as sRGB.

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

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::*;

    /// Width, height and pixels of a PNG file with three colours of eight bits.
    fn decode(file: &[u8]) -> (u32, u32, Vec<u32>) {
        let mut reader = png::Decoder::new(Cursor::new(file)).read_info().unwrap();
        let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut bytes).unwrap();
        assert_eq!((info.color_type, info.bit_depth), (png::ColorType::Rgb, png::BitDepth::Eight));
        let pixel = |rgb: &[u8]| u32::from_be_bytes([0, rgb[0], rgb[1], rgb[2]]);
        (info.width, info.height, bytes.chunks(3).map(pixel).collect())
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
            let expected = frame.pixels().iter().map(|pixel| pixel & 0xff_ffff).collect();
            prop_assert_eq!(decode(&png(&frame).unwrap()), (width, height, expected));
        }
    }
}
