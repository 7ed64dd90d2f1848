//! The menus of a machine's window.

use display::{renderer::Filter, scale::Scaling};
use eframe::egui::{self, MenuBar, Ui};
use machine::{actions::Action, state::State};

use super::MachineWindow;

impl MachineWindow {
    pub(super) fn menus(&mut self, ui: &mut Ui) {
        let context = ui.ctx().clone();
        let mut chosen = None;
        let mut filter_chosen = None;
        let mut open = false;
        MenuBar::new().ui(ui, |ui| {
            let state = self.state();
            let machine = ui.menu_button("Machine", |ui| {
                let pause = if state == State::Paused { "resume" } else { "pause" };
                for id in [pause, "reset", "stop", "kill"] {
                    self.item(ui, id, state, &mut chosen);
                }
                ui.separator();
                self.item(ui, "screenshot", state, &mut chosen);
                ui.separator();
                self.item(ui, "close", state, &mut chosen);
            });
            let view = ui.menu_button("View", |ui| {
                self.item(ui, "full-screen", state, &mut chosen);
                ui.separator();
                for &scaling in Scaling::ALL {
                    if ui.radio(self.scaling == scaling, scaling.label()).clicked() {
                        self.scaling = scaling;
                        ui.close();
                    }
                }
                ui.separator();
                ui.label("In full screen");
                let filters = Filter::ALL.iter().copied().map(Some);
                for filter in std::iter::once(None).chain(filters) {
                    let (label, help) = filter.map_or(("No filter", "As in the window"), |it| (it.label(), it.help()));
                    if ui.radio(self.filter == filter, label).on_hover_text(help).clicked() {
                        filter_chosen = Some(filter);
                        ui.close();
                    }
                }
            });
            let devices = ui.menu_button("Devices", |ui| {
                for id in ["insert", "eject"] {
                    self.item(ui, id, state, &mut chosen);
                }
                ui.separator();
                self.item(ui, "mute", state, &mut chosen);
            });
            let input = ui.menu_button("Input", |ui| {
                for id in ["capture", "ctrl-alt-del", "type-clipboard"] {
                    self.item(ui, id, state, &mut chosen);
                }
            });
            let help = ui.menu_button("Help", |ui| self.item(ui, "shortcuts", state, &mut chosen));
            open = [machine.inner, view.inner, devices.inner, input.inner, help.inner].iter().any(Option::is_some);
        });
        self.menu_open = open;
        if let Some(filter) = filter_chosen {
            self.set_filter(&context, filter);
        }
        if let Some(id) = chosen {
            self.act(&context, id);
        }
    }

    /// A menu's entry for an action.
    fn item(&self, ui: &mut Ui, id: &str, state: State, chosen: &mut Option<&'static str>) {
        let Some(action) = Action::find(id) else { return };
        let mut button = egui::Button::new(action.label);
        if let Some(key) = action.host_key {
            button = button.shortcut_text(self.host_chord(key));
        }
        if ui.add_enabled(action.is_allowed_in(state), button).on_hover_text(action.help).clicked() {
            *chosen = Some(action.id);
            ui.close();
        }
    }
}
