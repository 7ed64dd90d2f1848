//! What stands below a machine's picture: what it is doing, and who has the mouse.

use eframe::egui::{Align, Layout, RichText, Ui};
use machine::state::State;

use crate::ui::theme;

/// Shows the status bar.
pub(super) fn show(ui: &mut Ui, state: State, screen: (u32, u32), captured: bool, host_key: &str) {
    ui.horizontal(|ui| {
        theme::state_dot(ui, state);
        ui.label(state.label());
        if screen != (0, 0) {
            ui.separator();
            ui.label(format!("{} × {}", screen.0, screen.1));
        }
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            ui.label(RichText::new(host_key).monospace())
                .on_hover_text("The host key: with another key it means this window");
            ui.separator();
            ui.label(if captured { "The machine has the mouse" } else { "Click the picture to use the mouse in it" });
        });
    });
}
