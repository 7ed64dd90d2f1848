//! What a machine's window asks its person.

use eframe::egui::{self, Id, Modal, RichText, Ui};
use machine::{actions::Action, control::Request};

use super::{Answer, MachineWindow, Question};
use crate::ui::theme;

impl MachineWindow {
    /// Asks the open question, if there is one.
    pub(super) fn ask_question(&mut self, context: &egui::Context) {
        let Some(question) = self.question else { return };
        let mut answer = None;
        let modal = Modal::new(Id::unique("question")).show(context, |ui| {
            ui.set_max_width(480.0);
            match question {
                Question::Close => self.ask_whether_to_close(ui, &mut answer),
                Question::Sure(id) => self.ask_whether_sure(ui, id, &mut answer),
                Question::Shortcuts => self.show_shortcuts(ui, &mut answer),
            }
        });
        if answer.is_none() && modal.should_close() {
            answer = Some(Answer::Nothing);
        }
        let Some(answer) = answer else { return };
        self.question = None;
        match answer {
            Answer::Nothing => {}
            Answer::KeepRunning => self.close_surely(context),
            Answer::Do(id) => self.act(context, id),
            Answer::DoSurely("kill") => self.request(context, "kill", Request::Kill),
            Answer::DoSurely(_) => self.request(context, "reset", Request::Reset),
        }
    }

    fn ask_whether_to_close(&self, ui: &mut Ui, answer: &mut Option<Answer>) {
        ui.heading(format!("'{}' is running", self.name()));
        ui.label("It can go on without this window; 'Show window' brings it back.");
        ui.add_space(12.0);
        ui.horizontal(|ui| {
            if theme::default_button(ui, "Keep running") {
                *answer = Some(Answer::KeepRunning);
            }
            if ui.button("Shut down").clicked() {
                *answer = Some(Answer::Do("stop"));
            }
            if ui.button("Power off").clicked() {
                *answer = Some(Answer::DoSurely("kill"));
            }
            if ui.button("Cancel").clicked() {
                *answer = Some(Answer::Nothing);
            }
        });
    }

    fn ask_whether_sure(&self, ui: &mut Ui, id: &'static str, answer: &mut Option<Answer>) {
        let Some(action) = Action::find(id) else { return };
        ui.heading(format!("{} '{}'?", action.label, self.name()));
        ui.label("Its system gets no chance to save: what is not on its disks yet is lost.");
        ui.add_space(12.0);
        ui.horizontal(|ui| {
            if ui.button(action.label).clicked() {
                *answer = Some(Answer::DoSurely(id));
            }
            if theme::default_button(ui, "Cancel") {
                *answer = Some(Answer::Nothing);
            }
        });
    }

    fn show_shortcuts(&self, ui: &mut Ui, answer: &mut Option<Answer>) {
        ui.heading("Keyboard shortcuts");
        ui.add_space(6.0);
        let row = |ui: &mut Ui, keys: String, help: &str| {
            ui.label(RichText::new(keys).monospace());
            ui.label(help);
            ui.end_row();
        };
        egui::Grid::new("shortcuts").num_columns(2).striped(true).show(ui, |ui| {
            let host_key = theme::key_name(self.hands.borrow().host_key());
            row(ui, host_key.to_owned(), "Take the mouse back from the machine");
            for action in machine::actions::ALL.iter() {
                if let Some(key) = action.host_key {
                    row(ui, self.host_chord(key), action.help);
                }
            }
        });
        ui.add_space(12.0);
        if theme::default_button(ui, "Close") {
            *answer = Some(Answer::Nothing);
        }
    }
}
