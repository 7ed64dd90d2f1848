//! The machines' small pictures as textures.

use std::collections::HashMap;

use eframe::egui::{
    self, Align2, Color32, CornerRadius, FontId, Rect, Sense, TextureHandle, TextureOptions, Ui, Vec2, pos2,
};
use machine::state::State;

use super::model::{Kind, Known, Thumbnail};

/// The textures, by the machines' names.
#[derive(Default)]
pub(super) struct Thumbnails(HashMap<String, (Thumbnail, TextureHandle)>);

impl Thumbnails {
    fn texture(&mut self, context: &egui::Context, known: &Known) -> Option<&TextureHandle> {
        let Kind::Machine { thumbnail: Some(thumbnail), .. } = &known.kind else {
            self.0.remove(&known.name);
            return None;
        };
        let image = thumbnail.image.clone()?;
        let entry = self.0.get_mut(&known.name);
        match entry {
            Some((shown, _)) if shown == thumbnail => {}
            Some((shown, texture)) => {
                texture.set(image, TextureOptions::LINEAR);
                *shown = thumbnail.clone();
            }
            None => {
                let texture = context.load_texture("thumbnail", image, TextureOptions::LINEAR);
                self.0.insert(known.name.clone(), (thumbnail.clone(), texture));
            }
        }
        self.0.get(&known.name).map(|(_, texture)| texture)
    }

    /// Shows a machine's picture, or what stands for it, in a space of that size.
    pub(super) fn show(&mut self, ui: &mut Ui, known: &Known, size: Vec2) -> egui::Response {
        let (rect, response) = ui.allocate_exact_size(size, Sense::click());
        let painter = ui.painter_at(rect);
        painter.rect_filled(rect, CornerRadius::same(4), Color32::from_gray(18));
        let paused = known.state() == Some(State::Paused);
        match self.texture(ui.ctx(), known) {
            Some(texture) => {
                let [width, height] = texture.size();
                let scale = (size.x / width as f32).min(size.y / height as f32);
                let place = Rect::from_center_size(rect.center(), Vec2::new(width as f32, height as f32) * scale);
                let whole = Rect::from_min_max(pos2(0.0, 0.0), pos2(1.0, 1.0));
                let tint = if paused { Color32::from_gray(110) } else { Color32::WHITE };
                painter.image(texture.id(), place, whole, tint);
            }
            None => {
                let font = FontId::proportional((size.y / 5.0).clamp(9.0, 18.0));
                let text = if size.y < 60.0 { "" } else { known.state_label() };
                painter.text(rect.center(), Align2::CENTER_CENTER, text, font, Color32::from_gray(150));
            }
        }
        response
    }
}
