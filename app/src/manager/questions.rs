//! What a person is asked before something is done.

use anyhow::Result;
use eframe::egui::{self, Id, Modal, TextEdit, Ui};
use machine::{actions::Action, name::Name};

use super::{Manager, work::Question};
use crate::{
    output,
    ui::{form, theme},
};

impl Manager {
    /// Asks the open question, if there is one.
    pub(super) fn ask_question(&mut self, context: &egui::Context) {
        let Some(mut question) = self.question.take() else { return };
        let mut answer = None;
        let modal = Modal::new(Id::unique("question")).show(context, |ui| {
            ui.set_max_width(460.0);
            match &mut question {
                Question::Sure(id, name) => ask_whether_sure(ui, id, name, &mut answer),
                Question::Rename { old, new, problem, fresh } => {
                    ask_for_name(ui, old, new, problem.as_deref(), fresh, &mut answer);
                }
            }
        });
        if answer.is_none() && modal.should_close() {
            answer = Some(false);
        }
        match (answer, question) {
            (None, question) => self.question = Some(question),
            (Some(false), _) => {}
            (Some(true), Question::Sure(id, name)) => self.act_surely(context, id, &name),
            (Some(true), Question::Rename { old, new, .. }) => self.rename(context, old, new),
        }
    }

    fn rename(&mut self, context: &egui::Context, old: String, new: String) {
        let library = self.library.clone();
        let (from, to) = (old.clone(), new.trim().to_owned());
        let work = move || {
            let machine = library.rename(&library.find(&from)?, Name::new(to)?)?;
            Ok(machine.name().as_str().to_owned())
        };
        self.begin_then(context, work, move |manager, _, renamed: Result<String>| match renamed {
            Ok(name) => manager.selected = Some(name),
            Err(error) => {
                let problem = Some(output::sentence(&error));
                manager.question = Some(Question::Rename { old, new, problem, fresh: true });
            }
        });
    }
}

fn ask_whether_sure(ui: &mut Ui, id: &str, name: &str, answer: &mut Option<bool>) {
    let Some(action) = Action::find(id) else { return };
    ui.heading(format!("{} '{name}'?", action.label));
    ui.label("Its system gets no chance to save: what is not on its disks yet is lost.");
    ui.add_space(12.0);
    ui.horizontal(|ui| {
        if ui.button(action.label).clicked() {
            *answer = Some(true);
        }
        if theme::default_button(ui, "Cancel") {
            *answer = Some(false);
        }
    });
}

fn ask_for_name(
    ui: &mut Ui,
    old: &str,
    new: &mut String,
    problem: Option<&str>,
    fresh: &mut bool,
    answer: &mut Option<bool>,
) {
    ui.heading(format!("Rename '{old}'"));
    let field = ui.add(TextEdit::singleline(new).desired_width(f32::INFINITY));
    field.widget_info(|| egui::WidgetInfo::labeled(egui::Role::TextInput, true, "New name"));
    if std::mem::take(fresh) {
        field.request_focus();
    }
    if let Some(problem) = problem {
        form::problem(ui, problem);
    }
    let entered = field.lost_focus() && ui.input(|input| input.key_pressed(egui::Key::Enter));
    ui.add_space(12.0);
    ui.horizontal(|ui| {
        let changed = !new.trim().is_empty() && new.trim() != old;
        if theme::default_button_if(ui, changed, "Rename") || entered && changed {
            *answer = Some(true);
        }
        if ui.button("Cancel").clicked() {
            *answer = Some(false);
        }
    });
}
