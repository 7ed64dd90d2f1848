//! What stands below a machine's picture: what it is doing, whether it is heard, and who has the mouse. A click changes what
//! it says.

use eframe::egui::{Align, Button, Layout, RichText, Role, Ui, WidgetInfo};
use machine::{actions::Action, state::State};

use crate::ui::theme;

/// What the status bar tells.
pub(super) struct Shown<'a> {
    pub(super) state: State,
    /// The size of the picture.
    pub(super) screen: (u32, u32),
    pub(super) captured: bool,
    pub(super) muted: bool,
    pub(super) host_key: &'a str,
}

/// Shows the status bar. Gives back the id of the action that was chosen.
pub(super) fn show(ui: &mut Ui, shown: &Shown<'_>) -> Option<&'static str> {
    let mut chosen = None;
    ui.horizontal(|ui| {
        theme::state_dot(ui, shown.state);
        ui.label(shown.state.label());
        if shown.screen != (0, 0) {
            ui.separator();
            ui.label(format!("{} × {}", shown.screen.0, shown.screen.1));
        }
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            ui.label(RichText::new(shown.host_key).monospace())
                .on_hover_text("The host key: with another key it means this window");
            ui.separator();
            let mouse =
                if shown.captured { "The machine has the mouse" } else { "Click the picture to use the mouse in it" };
            toggle(ui, "capture", mouse, shown.captured, &mut chosen);
            ui.separator();
            toggle(ui, "mute", if shown.muted { "Sound is off" } else { "Sound is on" }, shown.muted, &mut chosen);
        });
    });
    chosen
}

/// Says something, and is a button that changes it.
fn toggle(ui: &mut Ui, id: &'static str, text: &str, on: bool, chosen: &mut Option<&'static str>) {
    let Some(action) = Action::find(id) else { return };
    let button = ui.add(Button::new(text).frame(false)).on_hover_text(action.help);
    button.widget_info(|| WidgetInfo::selected(Role::Button, true, on, action.label));
    if button.clicked() {
        *chosen = Some(action.id);
    }
}
