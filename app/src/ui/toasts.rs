//! Short messages in a corner of a window, each for a while, some with a button.

use std::time::Duration;

use eframe::egui::{self, Align2, Area, Frame, Id, Order, RichText, vec2};

use super::theme;

/// How long a message stays, and one with a button.
const SHORT: Duration = Duration::from_secs(5);
const LONG: Duration = Duration::from_secs(12);

/// A message.
struct Toast<A> {
    text: String,
    bad: bool,
    /// What the button says and means.
    button: Option<(&'static str, A)>,
    until: f64,
}

/// The messages of a window. `A` is what their buttons mean.
pub(crate) struct Toasts<A>(Vec<Toast<A>>);

impl<A> Default for Toasts<A> {
    fn default() -> Self {
        Toasts(Vec::new())
    }
}

impl<A> Toasts<A> {
    /// Says that something has happened.
    pub(crate) fn say(&mut self, context: &egui::Context, text: impl Into<String>) {
        self.add(context, text.into(), false, None, SHORT);
    }

    /// Says that something went wrong.
    pub(crate) fn complain(&mut self, context: &egui::Context, error: &anyhow::Error) {
        self.add(context, crate::output::sentence(error), true, None, LONG);
    }

    /// Says that something has happened, with a button.
    pub(crate) fn offer(&mut self, context: &egui::Context, text: impl Into<String>, label: &'static str, action: A) {
        self.add(context, text.into(), false, Some((label, action)), LONG);
    }

    fn add(
        &mut self,
        context: &egui::Context,
        text: String,
        bad: bool,
        button: Option<(&'static str, A)>,
        stay: Duration,
    ) {
        let until = context.input(|input| input.time) + stay.as_secs_f64();
        self.0.push(Toast { text, bad, button, until });
        context.request_repaint_after(stay);
    }

    /// Shows what there is to say. Gives what a pressed button means.
    pub(crate) fn show(&mut self, context: &egui::Context) -> Option<A> {
        let now = context.input(|input| input.time);
        self.0.retain(|toast| toast.until > now);
        let mut pressed = None;
        let mut closed = None;
        let area =
            Area::new(Id::unique("toasts")).order(Order::Foreground).anchor(Align2::RIGHT_BOTTOM, vec2(-16.0, -16.0));
        area.show(context, |ui| {
            ui.set_max_width(440.0);
            for (index, toast) in self.0.iter().enumerate() {
                let frame = if toast.bad { theme::banner(ui) } else { Frame::popup(ui.style()) };
                frame.show(ui, |ui| {
                    ui.horizontal_wrapped(|ui| {
                        ui.label(RichText::new(&toast.text));
                        if let Some((label, _)) = &toast.button
                            && ui.button(*label).clicked()
                        {
                            pressed = Some(index);
                        }
                        if ui.small_button("Dismiss").clicked() {
                            closed = Some(index);
                        }
                    });
                });
                ui.add_space(6.0);
            }
        });
        let index = pressed.or(closed)?;
        let toast = self.0.remove(index);
        toast.button.filter(|_| pressed.is_some()).map(|(_, action)| action)
    }
}
