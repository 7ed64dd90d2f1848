//! A guest's picture as a texture of egui: only what has changed is brought to the graphics processor.

use egui::{Color32, ColorImage, TextureHandle, TextureOptions};
use machine::console::{Frame, Rect};

use crate::renderer::parts;

/// The texture of one picture.
#[derive(Default)]
pub struct ScreenTexture {
    texture: Option<TextureHandle>,
    size: (u32, u32),
    smooth: bool,
}

impl ScreenTexture {
    /// Brings the texture up to date with `frame`, which differs from the last one in `damage`. All of it is new when the
    /// size differs, or `smooth`: whether it is drawn smoothed, for a scale that isn't whole.
    pub fn update(&mut self, context: &egui::Context, frame: &Frame, damage: &[Rect], smooth: bool) {
        let size = (frame.width(), frame.height());
        if size.0 == 0 || size.1 == 0 {
            self.texture = None;
            return;
        }
        let options = if smooth { TextureOptions::LINEAR } else { TextureOptions::NEAREST };
        match &mut self.texture {
            Some(texture) if self.size == size && self.smooth == smooth => {
                for rect in parts(damage) {
                    texture.set_partial([rect.x as usize, rect.y as usize], image(frame, rect), options);
                }
            }
            Some(texture) => texture.set(image(frame, frame.bounds()), options),
            none => *none = Some(context.load_texture("screen", image(frame, frame.bounds()), options)),
        }
        (self.size, self.smooth) = (size, smooth);
    }

    /// The texture, if there is a picture.
    #[must_use]
    pub fn texture(&self) -> Option<&TextureHandle> {
        self.texture.as_ref()
    }

    /// The picture's width and height, in pixels of the guest.
    #[must_use]
    pub fn size(&self) -> (u32, u32) {
        self.size
    }
}

/// A part of a picture, which lies inside of it.
#[must_use]
pub fn image(frame: &Frame, part: Rect) -> ColorImage {
    let width = frame.width() as usize;
    let (left, part_width) = (part.x as usize, part.width as usize);
    let rows = (part.y as usize..part.y as usize + part.height as usize).flat_map(|row| {
        frame.pixels()[row * width + left..][..part_width].iter().map(|pixel| {
            let [_, red, green, blue] = pixel.to_be_bytes();
            Color32::from_rgb(red, green, blue)
        })
    });
    ColorImage::new([part_width, part.height as usize], rows.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_picture_has_its_pixels() {
        let mut frame = Frame::new(3, 2);
        frame.pixels_mut().copy_from_slice(&[0, 1, 2, 3, 0x1234_5678, 5]);
        let part = image(&frame, Rect { x: 1, y: 1, width: 2, height: 1 });
        assert_eq!(part.size, [2, 1]);
        assert_eq!(part.pixels, [Color32::from_rgb(0x34, 0x56, 0x78), Color32::from_rgb(0, 0, 5)]);
    }

    #[test]
    fn only_what_has_changed_is_brought() {
        let context = egui::Context::default();
        let mut texture = ScreenTexture::default();
        let mut frame = Frame::new(8, 8);
        // Where they begin (nowhere for the whole), and how large they are.
        let changes = || -> Vec<(Option<[usize; 2]>, [usize; 2])> {
            let mut delta = context.tex_manager().write().take_delta();
            let parts = delta.set.values().flat_map(|parts| parts.iter().map(|part| (part.pos, part.image.size())));
            let parts = parts.collect();
            delta.clear();
            parts
        };
        texture.update(&context, &frame, &[], false);
        assert!(changes().contains(&(None, [8, 8])));
        frame.pixels_mut()[9] = 0xff;
        texture.update(&context, &frame, &[Rect { x: 1, y: 1, width: 1, height: 1 }], false);
        assert_eq!(changes(), [(Some([1, 1]), [1, 1])]);
        let many: Vec<Rect> = (0..8).map(|x| Rect { x, y: x, width: 1, height: 1 }).chain([frame.bounds()]).collect();
        texture.update(&context, &frame, &many, false);
        assert_eq!(changes(), [(Some([0, 0]), [8, 8])]);
        texture.update(&context, &Frame::new(4, 4), &[], false);
        assert_eq!(changes(), [(None, [4, 4])]);
        texture.update(&context, &Frame::new(0, 0), &[], false);
        assert!(texture.texture().is_none());
    }
}
