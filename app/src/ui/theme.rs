//! How our windows look: sizes and the few colours that mean something, on egui's own light and dark styles.

use eframe::egui::{
    self, Button, Color32, Context, CornerRadius, FontFamily, FontId, Frame, Margin, Response, RichText, Role, Sense,
    Stroke, Style, TextStyle, Theme, Ui, WidgetInfo, vec2,
};
use machine::{keys::Key, state::State};

/// The colour of what is chosen, and of the button that Enter presses.
const ACCENT_DARK: Color32 = Color32::from_rgb(0x4c, 0x8d, 0xff);
const ACCENT_LIGHT: Color32 = Color32::from_rgb(0x1f, 0x63, 0xd6);

/// Gives a window our style. It follows the desktop's choice of light or dark.
pub(crate) fn apply(context: &Context) {
    context.set_theme(egui::ThemePreference::System);
    context.style_mut_of(Theme::Dark, |style| adapt(style, ACCENT_DARK));
    context.style_mut_of(Theme::Light, |style| adapt(style, ACCENT_LIGHT));
}

fn adapt(style: &mut Style, accent: Color32) {
    let sizes = [
        (TextStyle::Small, 12.0, FontFamily::Proportional),
        (TextStyle::Body, 14.5, FontFamily::Proportional),
        (TextStyle::Button, 14.5, FontFamily::Proportional),
        (TextStyle::Heading, 20.0, FontFamily::Proportional),
        (TextStyle::Monospace, 13.5, FontFamily::Monospace),
    ];
    style.text_styles = sizes.map(|(name, size, family)| (name, FontId::new(size, family))).into();
    style.spacing.item_spacing = vec2(8.0, 6.0);
    style.spacing.button_padding = vec2(10.0, 5.0);
    style.spacing.interact_size.y = 28.0;
    style.spacing.window_margin = Margin::same(18);
    let visuals = &mut style.visuals;
    // Text that can be read without effort: at least 4.5 to 1, hints included (WCAG 2.1, 1.4.3).
    let text = if visuals.dark_mode { Color32::from_gray(0xd0) } else { Color32::from_gray(0x28) };
    visuals.widgets.noninteractive.fg_stroke.color = text;
    visuals.weak_text_alpha = 0.72;
    // The edge of what can be used: 3 to 1 (WCAG 2.1, 1.4.11).
    let edge = if visuals.dark_mode { Color32::from_gray(0x6c) } else { Color32::from_gray(0x8e) };
    visuals.widgets.inactive.bg_stroke = Stroke::new(1.0, edge);
    visuals.selection.bg_fill = accent.gamma_multiply(0.55);
    visuals.hyperlink_color = accent;
    visuals.window_corner_radius = CornerRadius::same(10);
    for widget in [
        &mut visuals.widgets.noninteractive,
        &mut visuals.widgets.inactive,
        &mut visuals.widgets.hovered,
        &mut visuals.widgets.active,
        &mut visuals.widgets.open,
    ] {
        widget.corner_radius = CornerRadius::same(6);
    }
}

/// The accent of the style that is in use.
pub(crate) fn accent(ui: &Ui) -> Color32 {
    if ui.visuals().dark_mode { ACCENT_DARK } else { ACCENT_LIGHT }
}

/// A button that Enter presses as well. Gives back whether it was pressed.
pub(crate) fn default_button(ui: &mut Ui, label: &str) -> bool {
    default_button_if(ui, true, label)
}

/// The same, if it can be pressed now.
pub(crate) fn default_button_if(ui: &mut Ui, enabled: bool, label: &str) -> bool {
    let text = RichText::new(label).color(Color32::WHITE).strong();
    let button = ui.add_enabled(enabled, Button::new(text).fill(ACCENT_LIGHT));
    if !enabled {
        return false;
    }
    // A button that has the keyboard is pressed by Enter itself.
    let other_focus = ui.memory(|memory| memory.focused().is_some_and(|focused| focused != button.id));
    button.clicked() || !other_focus && ui.input(|input| input.key_pressed(egui::Key::Enter))
}

/// A button for what is most likely wanted. Enter doesn't press it.
pub(crate) fn likely_button(ui: &mut Ui, label: &str) -> Response {
    ui.add(Button::new(RichText::new(label).color(Color32::WHITE).strong()).fill(ACCENT_LIGHT))
}

/// A button as wide as there is room.
pub(crate) fn wide_button(ui: &mut Ui, label: &str) -> Response {
    let width = ui.available_width();
    ui.add(Button::new(label).min_size(vec2(width, 0.0)))
}

/// The frame of something that went wrong.
pub(crate) fn banner(ui: &Ui) -> Frame {
    let colour = warning(ui);
    Frame::new()
        .fill(ui.visuals().window_fill)
        .stroke(Stroke::new(1.5, colour))
        .corner_radius(CornerRadius::same(8))
        .inner_margin(Margin::symmetric(12, 10))
}

/// The colour of what a person should look at.
pub(crate) fn warning(ui: &Ui) -> Color32 {
    if ui.visuals().dark_mode { Color32::from_rgb(0xe0, 0xa0, 0x30) } else { Color32::from_rgb(0xa8, 0x62, 0x00) }
}

/// The colour of a machine's state.
pub(crate) fn state_colour(ui: &Ui, state: State) -> Color32 {
    let dark = ui.visuals().dark_mode;
    match state {
        State::Running if dark => Color32::from_rgb(0x4c, 0xc0, 0x6a),
        State::Running => Color32::from_rgb(0x1d, 0x87, 0x3c),
        State::Starting | State::Stopping => accent(ui),
        State::Paused => warning(ui),
        State::Crashed if dark => Color32::from_rgb(0xf0, 0x6a, 0x60),
        State::Crashed => Color32::from_rgb(0xc0, 0x2a, 0x20),
        State::Off => ui.visuals().weak_text_color(),
    }
}

/// A dot in the colour of a machine's state. Its word stands beside it.
pub(crate) fn state_dot(ui: &mut Ui, state: State) -> Response {
    let (rect, response) = ui.allocate_exact_size(vec2(12.0, 12.0), Sense::hover());
    let colour = state_colour(ui, state);
    if state == State::Off {
        ui.painter().circle_stroke(rect.center(), 4.0, Stroke::new(1.5, colour));
    } else {
        ui.painter().circle_filled(rect.center(), 4.5, colour);
    }
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, state.label()));
    response
}

/// What is written on a key.
pub(crate) fn key_name(key: Key) -> &'static str {
    match key {
        Key::ControlRight => "Right Ctrl",
        Key::AltRight => "Right Alt",
        Key::ContextMenu => "Menu",
        Key::Delete => "Del",
        key => {
            let name = key.name();
            name.strip_prefix("Key").or_else(|| name.strip_prefix("Digit")).unwrap_or(name)
        }
    }
}
