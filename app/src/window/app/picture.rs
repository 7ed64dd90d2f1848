//! The guest's picture in its window, and what stands over it.

use std::time::Instant;

use display::renderer::{Renderer, painted::EguiRenderer};
use eframe::egui::{
    self, Align2, Color32, FontId, Rect, RichText, Role, Sense, Ui, ViewportCommand, WidgetInfo, pos2, vec2,
};
use machine::state::State;
use storage::library::Presence;

use super::{LARGEST, MachineWindow, fitted};
use crate::ui::theme;

impl MachineWindow {
    /// The guest's picture.
    pub(super) fn picture(&mut self, ui: &mut Ui) {
        let context = ui.ctx().clone();
        let (area, response) = ui.allocate_exact_size(ui.available_size(), Sense::click());
        let name = format!("Screen of {}", self.name());
        response.widget_info(|| WidgetInfo::labeled(Role::Image, true, name.clone()));
        let scale = context.pixels_per_point();
        let pixels = |length: f32| (length * scale).round().max(0.0) as u32;
        let size = {
            let seen = self.link.seen();
            (seen.frame.width(), seen.frame.height())
        };
        self.fit_window(&context, size, area);
        let placement = self.scaling.place(size, (pixels(area.width()), pixels(area.height())));
        let renderer = self.renderer.get_or_insert_with(|| EguiRenderer::new(&context));
        {
            let mut seen = self.link.seen();
            let damage = std::mem::take(&mut seen.damage);
            renderer.update(&seen.frame, &damage, placement);
        }
        let painter = ui.painter_at(area);
        if let Err(error) = renderer.draw(&painter) {
            tracing::warn!(%error, "the picture isn't drawn");
        }
        if placement.is_none() {
            let text = if self.ended.is_some() { "" } else { "No picture yet" };
            let colour = Color32::from_gray(160);
            painter.text(area.center(), Align2::CENTER_CENTER, text, FontId::proportional(18.0), colour);
        }
        let state = self.state();
        if state == State::Paused {
            painter.rect_filled(area, 0.0, Color32::from_black_alpha(150));
            let at = area.center() - vec2(0.0, 26.0);
            painter.text(at, Align2::CENTER_CENTER, "Paused", FontId::proportional(28.0), Color32::WHITE);
            let button = Rect::from_center_size(area.center() + vec2(0.0, 18.0), vec2(110.0, 32.0));
            if ui.put(button, egui::Button::new("Resume")).clicked() {
                self.act(&context, "resume");
            }
        } else if response.clicked() && state == State::Running {
            response.request_focus();
            self.capture(&context, true);
        }
        self.banner(ui, area);
        self.notice(ui, area);
    }

    /// Makes the window as large as a new picture of this size, unless the person has given it a size of their own. The
    /// picture has `area` of it now.
    fn fit_window(&mut self, context: &egui::Context, picture: (u32, u32), area: Rect) {
        let (free, monitor) = context.input(|input| {
            let viewport = input.viewport();
            let free =
                !self.full_screen && !viewport.maximized.unwrap_or(false) && !viewport.fullscreen.unwrap_or(false);
            (free, viewport.monitor_size)
        });
        if !free {
            return;
        }
        let now = context.viewport_rect().size();
        let bars = now - area.size();
        let wanted = self.fitted.ask(picture, now, Instant::now(), |pixels| {
            let wanted = pixels / context.pixels_per_point() + bars;
            monitor.map_or(wanted, |monitor| wanted.min(monitor * LARGEST))
        });
        if let Some(wanted) = wanted {
            context.send_viewport_cmd(ViewportCommand::InnerSize(wanted));
        }
        if self.fitted.is_waiting() {
            context.request_repaint_after(fitted::PATIENCE);
        }
    }

    /// What went wrong, with what can be done.
    fn banner(&mut self, ui: &mut Ui, area: Rect) {
        let blocked = self.link.seen().status.as_ref().and_then(|status| status.blocked.clone());
        let (text, button) = match (&self.ended, blocked) {
            (Some(Presence::Crashed(_)), _) => {
                ("The machine has ended unexpectedly. What it had written to its disks is there.".to_owned(), "Close")
            }
            (None, Some(reason)) => (reason, "Resume"),
            _ => return,
        };
        let context = ui.ctx().clone();
        let mut pressed = false;
        let place = Rect::from_min_size(area.min + vec2(12.0, 12.0), vec2(area.width() - 24.0, 0.0));
        ui.scope_builder(egui::UiBuilder::new().max_rect(place), |ui| {
            theme::banner(ui).show(ui, |ui| {
                ui.horizontal_wrapped(|ui| {
                    ui.label(RichText::new(text).strong());
                    pressed = ui.button(button).clicked();
                });
            });
        });
        if pressed {
            match button {
                "Resume" => self.act(&context, "resume"),
                _ => self.close_surely(&context),
            }
        }
    }

    /// What was said last, for a moment.
    fn notice(&mut self, ui: &Ui, area: Rect) {
        let Some((text, until)) = &self.notice else { return };
        if Instant::now() >= *until {
            self.notice = None;
            return;
        }
        let painter = ui.painter_at(area);
        let at = pos2(area.center().x, area.max.y - 34.0);
        let galley = painter.layout(text.clone(), FontId::proportional(15.0), Color32::WHITE, area.width() - 60.0);
        let rect = Align2::CENTER_CENTER.anchor_size(at, galley.size());
        painter.rect_filled(rect.expand2(vec2(14.0, 8.0)), 8.0, Color32::from_black_alpha(210));
        painter.galley(rect.min, galley, Color32::WHITE);
    }
}
