//! The list of machines, with their state and a small picture.

use eframe::egui::{
    Align, Color32, Frame, Label, Layout, Margin, RichText, Role, ScrollArea, Sense, TextEdit, Ui, WidgetInfo, vec2,
};

use super::{Manager, model::Known};
use crate::ui::theme;

impl Manager {
    pub(super) fn show_list(&mut self, ui: &mut Ui, machines: &[&Known], current: Option<&Known>) {
        ui.add_space(6.0);
        let search =
            ui.add(TextEdit::singleline(&mut self.search).hint_text("Find a machine").desired_width(f32::INFINITY));
        if std::mem::take(&mut self.focus_search) {
            search.request_focus();
        }
        ui.add_space(6.0);
        if machines.is_empty() && !self.search.is_empty() {
            ui.weak("No machine's name holds these letters.");
        }
        ScrollArea::vertical().auto_shrink([false, false]).show(ui, |ui| {
            for &known in machines {
                let selected = current.is_some_and(|current| current.name == known.name);
                self.row(ui, known, selected);
            }
        });
    }

    fn row(&mut self, ui: &mut Ui, known: &Known, selected: bool) {
        let fill = if selected { ui.visuals().selection.bg_fill } else { Color32::TRANSPARENT };
        let inner = Frame::new().fill(fill).corner_radius(6).inner_margin(Margin::same(6)).show(ui, |ui| {
            ui.set_width(ui.available_width());
            ui.horizontal(|ui| {
                self.thumbnails.show(ui, known, vec2(64.0, 48.0));
                ui.with_layout(Layout::top_down(Align::Min), |ui| {
                    ui.add(Label::new(RichText::new(&known.name).strong()).truncate().selectable(false));
                    ui.horizontal(|ui| {
                        if let Some(state) = known.state() {
                            theme::state_dot(ui, state);
                        }
                        ui.add(Label::new(known.state_label()).selectable(false));
                    });
                });
            });
        });
        let id = ui.scope_id().with(("row", &known.name));
        let response = ui.interact(inner.response.rect, id, Sense::click());
        let label = format!("{}, {}", known.name, known.state_label());
        response.widget_info(|| WidgetInfo::selected(Role::ListItem, true, selected, label.clone()));
        if response.clicked() {
            response.request_focus();
            self.selected = Some(known.name.clone());
        }
        if response.double_clicked() {
            let context = ui.ctx().clone();
            match known.state() {
                Some(state) if state.is_alive() => self.act(&context, "window", Some(&known.name)),
                Some(_) => self.act(&context, "start", Some(&known.name)),
                None => {}
            }
        }
    }
}
