//! Forms: rows of a label, a control and a hint that says why.

use std::ops::RangeInclusive;

use eframe::egui::{Align, Id, Layout, Response, RichText, Slider, TextEdit, Ui, vec2};
use machine::size::Size;

use super::theme;

/// How wide labels, and controls that don't say it themselves, are, in points.
const LABEL: f32 = 130.0;
const WIDTH: f32 = 320.0;
/// How wide a slider's value, and the button that asks for a file, can be, with the gap before them.
const VALUE: f32 = 90.0;
const CHOOSE: f32 = 96.0;

/// A row: what it is, what can be chosen, and why that is proposed. The control is the one that `control` gives back.
pub(crate) fn row(ui: &mut Ui, label: &str, hint: &str, control: impl FnOnce(&mut Ui) -> Response) -> Response {
    group(ui, label, hint, |ui, label| control(ui).labelled_by(label))
}

/// A row of controls that say themselves what they are; they are given the label's id.
pub(crate) fn group<R>(ui: &mut Ui, label: &str, hint: &str, controls: impl FnOnce(&mut Ui, Id) -> R) -> R {
    let row = ui.horizontal_top(|ui| {
        // In line with the text in the control.
        let size = vec2(LABEL, ui.spacing().interact_size.y);
        let label = ui.allocate_ui_with_layout(size, Layout::left_to_right(Align::Center), |ui| {
            ui.set_min_size(size);
            ui.label(label).id
        });
        ui.vertical(|ui| {
            let given = controls(ui, label.inner);
            if !hint.is_empty() {
                ui.label(RichText::new(hint).small().weak());
            }
            given
        })
        .inner
    });
    ui.add_space(6.0);
    row.inner
}

/// How wide a control can be that has so much beside it.
fn width(ui: &Ui, beside: f32) -> f32 {
    WIDTH.min(ui.available_width()) - beside
}

/// A line of text.
pub(crate) fn text(ui: &mut Ui, text: &mut String, example: &str) -> Response {
    let width = width(ui, 0.0);
    ui.add(TextEdit::singleline(text).hint_text(example).desired_width(width))
}

/// A size of whole MiB, by a slider or written as `4G`.
pub(crate) fn size(ui: &mut Ui, mebibytes: &mut u64, range: RangeInclusive<u64>) -> Response {
    ui.spacing_mut().slider_width = width(ui, VALUE);
    let slider = Slider::new(mebibytes, range)
        .logarithmic(true)
        .custom_formatter(|value, _| Size::mib(value as u64).to_string())
        .custom_parser(|text| Some((text.parse::<Size>().ok()?.as_bytes() >> 20) as f64));
    ui.add(slider)
}

/// A number.
pub(crate) fn number(ui: &mut Ui, number: &mut u32, range: RangeInclusive<u32>) -> Response {
    ui.spacing_mut().slider_width = width(ui, VALUE);
    ui.add(Slider::new(number, range))
}

/// A file's name, with a button that asks for one. Gives back the field, and whether the button was pressed.
pub(crate) fn file(ui: &mut Ui, path: &mut String, example: &str) -> (Response, bool) {
    let width = width(ui, CHOOSE);
    ui.horizontal(|ui| {
        let field = ui.add(TextEdit::singleline(path).hint_text(example).desired_width(width));
        (field, ui.button("Choose…").clicked())
    })
    .inner
}

/// What is wrong with what stands above.
pub(crate) fn problem(ui: &mut Ui, text: &str) {
    ui.label(RichText::new(text).color(theme::warning(ui)));
}
