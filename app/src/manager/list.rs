//! The list of machines, with their state and a small picture.

use eframe::egui::{
    Align, Color32, EventFilter, Frame, Key, Label, Layout, Margin, Modifiers, PointerButton, RichText, Role,
    ScrollArea, Sense, TextEdit, Ui, WidgetInfo, vec2,
};

use machine::actions::Action;

use super::{MENUS, Manager, Page, item, model::Known};
use crate::ui::theme;

impl Manager {
    pub(super) fn show_list(&mut self, ui: &mut Ui, machines: &[&Known], current: Option<&Known>) {
        ui.add_space(6.0);
        if let Some(action) = Action::find("create") {
            let keys = action.shortcut.map(|chord| format!(" ({chord})")).unwrap_or_default();
            let button = theme::wide_button(ui, action.label).on_hover_text(format!("{}{keys}", action.help));
            if button.clicked() {
                let context = ui.ctx().clone();
                self.act(&context, action.id, None);
            }
        }
        ui.add_space(6.0);
        let search =
            ui.add(TextEdit::singleline(&mut self.search).hint_text("Find a machine").desired_width(f32::INFINITY));
        if std::mem::take(&mut self.focus_search) {
            search.request_focus();
        }
        ui.add_space(6.0);
        let step = self.take_step(ui, search.has_focus());
        let at = machines.iter().position(|known| current.is_some_and(|current| current.name == known.name));
        let stepped = step.zip(at).and_then(|(step, at)| machines.get(at.checked_add_signed(step)?));
        if let Some(known) = stepped {
            self.selected = Some(known.name.clone());
            self.focus_row = true;
        }
        let current = stepped.copied().or(current);
        if machines.is_empty() && !self.search.is_empty() {
            ui.weak("No machine's name holds these letters.");
        }
        self.row_focused = false;
        ScrollArea::vertical().auto_shrink([false, false]).show(ui, |ui| {
            for &known in machines {
                let selected = current.is_some_and(|current| current.name == known.name);
                self.row(ui, known, selected);
            }
        });
    }

    /// How far the arrow keys ask for another machine, if nothing else has the keyboard.
    fn take_step(&self, ui: &Ui, searching: bool) -> Option<isize> {
        let free = !self.is_asking() && matches!(self.page, Page::Machine);
        let focused = ui.memory(|memory| memory.focused());
        if !free || !searching && !self.row_focused && focused.is_some() {
            return None;
        }
        ui.input_mut(|input| {
            let mut pressed = |key| input.consume_key(Modifiers::NONE, key);
            pressed(Key::ArrowDown).then_some(1).or_else(|| pressed(Key::ArrowUp).then_some(-1))
        })
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
        if selected && std::mem::take(&mut self.focus_row) {
            response.request_focus();
            response.scroll_to_me(None);
        }
        self.row_focused |= response.has_focus();
        if response.has_focus() {
            // The arrows are the list's, and not egui's way to the next widget.
            let filter = EventFilter { vertical_arrows: true, ..EventFilter::default() };
            ui.memory_mut(|memory| memory.set_focus_lock_filter(response.id, filter));
        }
        if response.clicked() || response.secondary_clicked() || response.gained_focus() {
            response.request_focus();
            self.selected = Some(known.name.clone());
        }
        let context = ui.ctx().clone();
        let by_key = response.clicked() && !response.clicked_by(PointerButton::Primary);
        if response.double_clicked() || by_key {
            match known.state() {
                Some(state) if state.is_alive() => self.act(&context, "window", Some(&known.name)),
                Some(_) => self.act(&context, "start", Some(&known.name)),
                None => {}
            }
        }
        let mut chosen = None;
        response.context_menu(|ui| {
            for id in MENUS.iter().filter(|(label, _)| *label != "Tandem").flat_map(|(_, ids)| *ids) {
                if id.is_empty() {
                    ui.separator();
                } else {
                    item(ui, id, Some(known), &mut chosen);
                }
            }
        });
        if let Some(id) = chosen {
            self.act(&context, id, Some(&known.name));
        }
    }
}
