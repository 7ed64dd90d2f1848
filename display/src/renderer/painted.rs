//! The picture as a part of egui's own drawing: a texture of whatever draws for egui, here OpenGL. It is sharp where each pixel of
//! the guest is a square of whole pixels of the screen, and smooth elsewhere.

use egui::{Color32, Painter, pos2, vec2};
use machine::console::{Frame, Rect};

use super::{RenderError, Renderer};
use crate::{scale::Placement, texture::ScreenTexture};

/// Draws a picture with egui.
pub struct EguiRenderer {
    context: egui::Context,
    texture: ScreenTexture,
    placement: Option<Placement>,
}

impl EguiRenderer {
    /// Draws where `context` does.
    #[must_use]
    pub fn new(context: &egui::Context) -> Self {
        EguiRenderer { context: context.clone(), texture: ScreenTexture::default(), placement: None }
    }
}

impl Renderer for EguiRenderer {
    /// Draws to the painter's area.
    type Target<'t> = &'t Painter;

    fn update(&mut self, frame: &Frame, damage: &[Rect], placement: Option<Placement>) {
        let smooth = placement.is_some_and(|placement| !placement.is_exact());
        self.texture.update(&self.context, frame, damage, smooth);
        self.placement = placement;
    }

    fn draw(&mut self, painter: &Painter) -> Result<(), RenderError> {
        let area = painter.clip_rect();
        painter.rect_filled(area, 0.0, Color32::BLACK);
        let (Some(placement), Some(texture)) = (self.placement, self.texture.texture()) else { return Ok(()) };
        // On whole pixels of the screen.
        let scale = self.context.pixels_per_point();
        let corner = (area.min.to_vec2() * scale).round();
        let min = pos2(corner.x + placement.x as f32, corner.y + placement.y as f32);
        let size = vec2(placement.width as f32, placement.height as f32);
        let whole = egui::Rect::from_min_max(pos2(0.0, 0.0), pos2(1.0, 1.0));
        painter.image(texture.id(), egui::Rect::from_min_size(min / scale, size / scale), whole, Color32::WHITE);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use egui::{LayerId, Shape, epaint::ClippedShape};

    use super::*;
    use crate::scale::Scaling;

    /// What is painted, on a screen of 1.25 pixels to a point.
    fn painted(frame: &Frame, area: egui::Rect, placement: Option<Placement>) -> Vec<Shape> {
        let context = egui::Context::default();
        context.set_pixels_per_point(1.25);
        let mut renderer = EguiRenderer::new(&context);
        let mut output = context.run_ui(egui::RawInput::default(), |_| {});
        output.textures_delta.clear();
        let mut output = context.run_ui(egui::RawInput::default(), |_| {
            renderer.update(frame, &[], placement);
            renderer.draw(&Painter::new(context.clone(), LayerId::background(), area)).unwrap();
        });
        output.textures_delta.clear();
        output.shapes.into_iter().map(|ClippedShape { shape, .. }| shape).collect()
    }

    #[test]
    fn a_picture_is_painted_on_whole_pixels_of_the_screen() {
        let area = egui::Rect::from_min_size(pos2(0.0, 24.0), vec2(400.0, 300.0));
        let placement = Scaling::Integer.place((64, 48), (500, 375));
        let shapes = painted(&Frame::new(64, 48), area, placement);
        let picture = shapes.iter().rev().find_map(|shape| match shape {
            Shape::Rect(rect) if rect.brush.is_some() => Some(rect.rect),
            Shape::Mesh(mesh) => Some(mesh.calc_bounds()),
            _ => None,
        });
        let picture = picture.unwrap() * 1.25;
        let expected = egui::Rect::from_min_size(pos2(26.0, 30.0 + 19.0), vec2(448.0, 336.0));
        assert!((picture.min - expected.min).length() < 0.01, "{picture:?}");
        assert!((picture.max - expected.max).length() < 0.01, "{picture:?}");
    }

    #[test]
    fn without_a_picture_the_area_is_black() {
        let area = egui::Rect::from_min_size(pos2(0.0, 0.0), vec2(40.0, 30.0));
        let shapes = painted(&Frame::new(0, 0), area, None);
        let fills = shapes.iter().filter_map(|shape| match shape {
            Shape::Rect(rect) => Some((rect.rect, rect.fill)),
            _ => None,
        });
        assert_eq!(fills.collect::<Vec<_>>(), [(area, Color32::BLACK)]);
    }
}
