//! What a machine is made of and is doing.

use eframe::egui::{Align, Grid, Layout, RichText, ScrollArea, Ui, vec2};
use machine::{actions::Action, definition::Definition, state::State};

use super::{
    Manager,
    model::{Kind, Knowledge, Known},
};
use crate::ui::theme;

impl Manager {
    pub(super) fn show_details(&mut self, ui: &mut Ui, known: &Known) {
        let context = ui.ctx().clone();
        let mut chosen = None;
        ui.horizontal(|ui| {
            ui.heading(&known.name);
            if let Some(state) = known.state() {
                theme::state_dot(ui, state);
            }
            ui.label(known.state_label());
        });
        ui.add_space(4.0);
        ui.horizontal_wrapped(|ui| {
            let first = match known.state() {
                Some(State::Off | State::Crashed) => Some("start"),
                Some(_) => Some("window"),
                None => None,
            };
            for id in first.into_iter().chain(["pause", "resume", "stop", "kill", "edit", "delete"]) {
                let Some(action) = Action::find(id) else { continue };
                if !known.state().is_some_and(|state| action.is_allowed_in(state)) {
                    continue;
                }
                let likely = first == Some(action.id);
                let button = if likely { theme::likely_button(ui, action.label) } else { ui.button(action.label) };
                if button.on_hover_text(action.help).clicked() {
                    chosen = Some(action.id);
                }
            }
        });
        ui.separator();
        ScrollArea::vertical().auto_shrink([false, false]).show(ui, |ui| match &known.kind {
            Kind::Broken(reason) => {
                theme::banner(ui).show(ui, |ui| {
                    ui.label(
                        RichText::new("This machine's definition can't be used. Nothing of it was changed.").strong(),
                    );
                    ui.label(reason);
                });
            }
            Kind::Machine { definition, status, .. } => {
                if let Some(reason) = status.as_ref().and_then(|status| status.blocked.as_ref()) {
                    theme::banner(ui).show(ui, |ui| ui.label(reason));
                    ui.add_space(6.0);
                }
                if known.state().is_some_and(State::is_alive) {
                    let size = vec2(ui.available_width().min(480.0), 300.0);
                    if self.thumbnails.show(ui, known, size).double_clicked() {
                        chosen = Some("window");
                    }
                    ui.add_space(8.0);
                }
                facts(ui, known, definition);
            }
        });
        if let Some(id) = chosen {
            self.act(&context, id, Some(&known.name));
        }
    }

    /// What stands where a machine would, if there is none.
    pub(super) fn show_nothing(&mut self, ui: &mut Ui, knowledge: &Knowledge) {
        ui.with_layout(Layout::top_down(Align::Center), |ui| {
            ui.add_space(ui.available_height() / 3.0);
            match &knowledge.error {
                Some(error) => {
                    ui.heading("The library can't be read");
                    ui.label(error);
                }
                None if !knowledge.complete => {
                    ui.spinner();
                }
                None if knowledge.machines.is_empty() => {
                    ui.heading("There are no machines yet");
                    ui.label("Welcome is a small computer to try Tandem with: it needs no download.");
                    ui.add_space(10.0);
                    if theme::default_button(ui, "Try Welcome") {
                        let context = ui.ctx().clone();
                        self.make_welcome(&context);
                    }
                }
                None => {
                    ui.label("No machine is chosen.");
                }
            }
        });
    }
}

fn facts(ui: &mut Ui, known: &Known, definition: &Definition) {
    let row = |ui: &mut Ui, what: &str, value: String| {
        ui.weak(what);
        ui.label(value);
        ui.end_row();
    };
    Grid::new("facts").num_columns(2).spacing([24.0, 8.0]).show(ui, |ui| {
        row(ui, "Memory", definition.memory.to_string());
        row(ui, "Processors", definition.cpus.to_string());
        for disk in &definition.disks {
            let file = disk.images.last().map(|image| image.file.as_str().to_owned()).unwrap_or_default();
            let kept = if disk.throw_away_writes { " (what is written is thrown away)" } else { "" };
            row(ui, "Disk", format!("{file}{kept}"));
        }
        for drive in &definition.cdroms {
            row(
                ui,
                "CD drive",
                drive.file.as_ref().map_or_else(|| "Empty".to_owned(), |file| file.as_str().to_owned()),
            );
        }
        if let Some(kernel) = &definition.kernel {
            row(ui, "Kernel", kernel.file.as_str().to_owned());
        }
        row(ui, "Folder", known.folder.display().to_string());
        if !definition.notes.is_empty() {
            row(ui, "Notes", definition.notes.clone());
        }
    });
}
