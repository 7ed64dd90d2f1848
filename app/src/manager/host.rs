//! What this computer can do for machines, and how to repair what it can't. The finding out is `tandem doctor`'s, in a process
//! of its own: the manager never opens `/dev/kvm`.

use std::process::Command;

use anyhow::{Context, Result};
use eframe::egui::{self, Align, Color32, Grid, Layout, RichText, ScrollArea, Ui};
use machine::state::State;

use super::{Manager, Next, Page};
use crate::{commands::report::Report, output, ui::theme};

/// The page. Empty until the computer has been looked at.
#[derive(Default)]
pub(super) struct HostPage {
    looking: bool,
    report: Option<Result<Report, String>>,
}

impl HostPage {
    /// A page that shows this report.
    #[cfg(test)]
    pub(super) fn of(report: &str) -> Self {
        HostPage { looking: false, report: Some(serde_json::from_str(report).map_err(|error| error.to_string())) }
    }

    /// Has the computer looked at.
    fn look(&mut self, manager: &Manager, context: &egui::Context) {
        self.looking = true;
        manager.begin_then(context, ask_doctor, |manager, _, report| {
            if let Page::Host(page) = &mut manager.page {
                page.looking = false;
                page.report = Some(report.map_err(|error| output::sentence(&error)));
            }
        });
    }

    pub(super) fn show(&mut self, ui: &mut Ui, manager: &Manager) -> Next {
        let mut next = Next::Stay;
        if self.report.is_none() && !self.looking {
            self.look(manager, ui.ctx());
        }
        ui.heading("This computer");
        ui.horizontal(|ui| {
            if ui.button("Back").clicked() {
                next = Next::Leave;
            }
            if ui.add_enabled(!self.looking, egui::Button::new("Check again")).clicked() {
                let context = ui.ctx().clone();
                self.look(manager, &context);
            }
            if self.looking {
                ui.spinner();
            }
        });
        ui.separator();
        ScrollArea::vertical().auto_shrink([false, false]).show(ui, |ui| match &self.report {
            Some(Ok(report)) => show_report(ui, report),
            Some(Err(error)) => {
                theme::banner(ui).show(ui, |ui| ui.label(error));
            }
            None => {}
        });
        next
    }
}

fn show_report(ui: &mut Ui, report: &Report) {
    let verdict = if report.real_guests {
        "Unmodified operating systems run on this computer."
    } else {
        "Unmodified operating systems don't run on this computer."
    };
    ui.label(RichText::new(verdict).strong().size(16.0));
    if let Some(why) = &report.real_guests_why {
        ui.label(why);
    }
    ui.add_space(10.0);
    Grid::new("findings").num_columns(2).min_col_width(72.0).spacing([16.0, 12.0]).show(ui, |ui| {
        for finding in &report.findings {
            let (mark, colour) = mark_of(ui, &finding.severity);
            ui.with_layout(Layout::top_down(Align::Min), |ui| ui.label(RichText::new(mark).color(colour).strong()));
            ui.vertical(|ui| {
                ui.label(RichText::new(&finding.what).strong());
                if !finding.meaning.is_empty() {
                    ui.label(&finding.meaning);
                }
                if let Some(fix) = &finding.fix {
                    ui.horizontal(|ui| {
                        ui.label(RichText::new(fix).monospace());
                        if ui.small_button("Copy").clicked() {
                            ui.ctx().copy_text(fix.clone());
                        }
                    });
                }
            });
            ui.end_row();
        }
    });
}

/// The word that is said of a finding, and its colour.
fn mark_of(ui: &Ui, severity: &str) -> (&'static str, Color32) {
    match severity {
        "ok" => ("Good", theme::state_colour(ui, State::Running)),
        "note" => ("Note", ui.visuals().weak_text_color()),
        "warning" => ("Warning", theme::warning(ui)),
        _ => ("Problem", theme::state_colour(ui, State::Crashed)),
    }
}

fn ask_doctor() -> Result<Report> {
    // It ends with 1 where something is in the way, and says what all the same.
    let said =
        Command::new("/proc/self/exe").args(["doctor", "--json"]).output().context("can't run `tandem doctor`")?;
    serde_json::from_slice(&said.stdout)
        .with_context(|| format!("`tandem doctor` said {:?}", String::from_utf8_lossy(&said.stderr).trim()))
}
