//! The manager's window: the machines, what they are doing, and everything that can be done to them.
//!
//! On the left is the list; the rest is one [`Page`]: the machine that is chosen, a new machine, settings, this computer.
//! It never opens `/dev/kvm`: machines run in processes of their own, which outlive it.

mod details;
mod host;
mod list;
mod model;
mod palette;
#[cfg(test)]
mod pictures;
mod questions;
mod settings;
#[cfg(test)]
mod tests;
mod thumbnails;
mod wizard;
mod work;

use std::{cell::RefCell, rc::Rc, sync::Arc, time::SystemTime};

use anyhow::{Result, bail};
use eframe::{
    App,
    egui::{self, Align2, CentralPanel, Color32, FontId, Id, Key as EguiKey, LayerId, MenuBar, Modifiers, Panel, Ui},
};
use machine::actions::{ALL, Action, Scope};
use storage::library::Library;

use self::{
    host::HostPage,
    model::{Kind, Known, Model},
    palette::{Chosen, Palette},
    settings::Settings,
    thumbnails::Thumbnails,
    wizard::Wizard,
    work::{FileFor, Finish, Offer, Question},
};
use crate::{
    detect::Detector,
    ui::{
        self,
        files::{DesktopChooser, FileChooser},
        tasks::Tasks,
        theme,
        toasts::Toasts,
    },
};

/// The smallest size of the window, in points: a form fits beside the list.
const SMALLEST: (f32, f32) = (860.0, 560.0);

/// Shows the manager's window until it is closed.
///
/// # Errors
/// There is no library and none can be made, or there is no display.
pub(crate) fn run() -> Result<()> {
    if ui::shell::display_name().is_none() {
        bail!(
            "there is no display to open the manager's window on (neither WAYLAND_DISPLAY nor DISPLAY is set). \
             `tandem help` lists what can be done without"
        );
    }
    let library = Library::open(&Library::default_root()?, SystemTime::now().into())?;
    let viewport = egui::ViewportBuilder::default().with_inner_size([1080.0, 720.0]).with_min_inner_size(SMALLEST);
    ui::shell::run("Tandem", viewport, Rc::new(RefCell::new(())), |_| {
        Box::new(move |creation| {
            theme::apply(&creation.egui_ctx);
            let files = Box::new(DesktopChooser::default());
            Ok(Box::new(Manager::new(library, files, Detector::of_this_computer(), &creation.egui_ctx)?))
        })
    })
}

/// The menus: ids of actions, and nothing for a line between them. What is in one can be done here.
const MENUS: [(&str, &[&str]); 3] = [
    ("Tandem", &["create", "welcome", "", "palette", "search", "doctor", "", "quit"]),
    ("Machine", &["start", "window", "pause", "resume", "reset", "stop", "kill", "", "edit", "rename", "delete"]),
    ("Drive", &["insert", "eject"]),
];

/// What stands beside the list.
#[derive(Default)]
enum Page {
    /// The machine that is looked at.
    #[default]
    Machine,
    New(Box<Wizard>),
    Settings(Box<Settings>),
    Host(HostPage),
}

/// What a page wants next.
enum Next {
    Stay,
    /// To give place to the machine that is looked at.
    Leave,
}

/// The manager's window.
pub(super) struct Manager {
    library: Library,
    model: Model,
    detector: Arc<Detector>,
    files: Box<dyn FileChooser>,
    /// What a file is being asked for.
    file_for: Option<FileFor>,
    page: Page,
    palette: Palette,
    /// The name of the machine that is looked at.
    selected: Option<String>,
    search: String,
    /// The search field gets the keyboard.
    focus_search: bool,
    /// The row of the machine that is looked at gets the keyboard.
    focus_row: bool,
    /// A row had the keyboard when the list was drawn last.
    row_focused: bool,
    thumbnails: Thumbnails,
    tasks: Tasks<Finish>,
    toasts: Toasts<Offer>,
    question: Option<Question>,
    watched: bool,
}

impl Manager {
    pub(super) fn new(
        library: Library,
        files: Box<dyn FileChooser>,
        detector: Detector,
        context: &egui::Context,
    ) -> Result<Self> {
        Ok(Manager {
            model: Model::watch(library.clone(), context.clone())?,
            library,
            detector: Arc::new(detector),
            files,
            file_for: None,
            page: Page::default(),
            palette: Palette::default(),
            selected: None,
            search: String::new(),
            focus_search: false,
            focus_row: false,
            row_focused: false,
            thumbnails: Thumbnails::default(),
            tasks: Tasks::new(),
            toasts: Toasts::default(),
            question: None,
            watched: true,
        })
    }

    /// The machine that is looked at: the first, if none was chosen.
    fn current<'a>(&self, machines: &[&'a Known]) -> Option<&'a Known> {
        let chosen = self.selected.as_ref().and_then(|name| machines.iter().find(|known| known.name == *name));
        chosen.or(machines.first()).copied()
    }

    /// Whether something is open that has the keys for itself.
    fn is_asking(&self) -> bool {
        self.question.is_some() || self.palette.is_open() || self.file_for.is_some()
    }

    /// Does what the keys say that are an action's shortcut.
    fn take_shortcuts(&mut self, context: &egui::Context, current: Option<&Known>) {
        if self.is_asking() {
            return;
        }
        let writing = context.text_edit_focused();
        // Keys without Ctrl are a form's own.
        let plain = !writing && matches!(self.page, Page::Machine);
        let state = current.and_then(Known::state);
        for action in ALL {
            let Some(chord) = action.shortcut else { continue };
            let of_machine = action.scope == Scope::Machine;
            let makes_sense = !of_machine
                || matches!(self.page, Page::Machine)
                    && !writing
                    && state.is_some_and(|state| action.is_allowed_in(state));
            let Some(key) = egui_key(chord.key) else { continue };
            let modifiers = Modifiers { command: chord.ctrl, shift: chord.shift, ..Modifiers::NONE };
            if makes_sense && (chord.ctrl || plain) && context.input_mut(|input| take_key(input, modifiers, key)) {
                self.act(context, action.id, current.map(|known| known.name.as_str()));
            }
        }
    }

    fn menus(&mut self, ui: &mut Ui, current: Option<&Known>) {
        let context = ui.ctx().clone();
        let mut chosen = None;
        MenuBar::new().ui(ui, |ui| {
            for (label, ids) in MENUS {
                ui.menu_button(label, |ui| {
                    for id in ids {
                        if id.is_empty() {
                            ui.separator();
                        } else {
                            item(ui, id, current, &mut chosen);
                        }
                    }
                });
            }
        });
        if let Some(id) = chosen {
            self.act(&context, id, current.map(|known| known.name.as_str()));
        }
    }

    /// Shows what stands beside the list.
    fn show_page(&mut self, ui: &mut Ui, current: Option<&Known>, knowledge: &model::Knowledge) {
        // The page has the manager at hand, so it is taken out of it meanwhile.
        let mut page = std::mem::take(&mut self.page);
        let next = match &mut page {
            Page::Machine => {
                match current {
                    Some(known) => self.show_details(ui, known),
                    None => self.show_nothing(ui, knowledge),
                }
                Next::Stay
            }
            Page::New(wizard) => wizard.show(ui, self),
            Page::Settings(settings) => settings.show(ui, self),
            Page::Host(host) => host.show(ui, self),
        };
        // Something that was chosen on it may have opened another.
        if matches!(next, Next::Stay) && matches!(self.page, Page::Machine) {
            self.page = page;
        }
    }

    fn show_palette(&mut self, context: &egui::Context, current: Option<&Known>, machines: &[&Known]) {
        match self.palette.show(context, current, machines) {
            Some(Chosen::Action(id)) => self.act(context, id, current.map(|known| known.name.as_str())),
            Some(Chosen::Machine(name)) => {
                self.selected = Some(name);
                self.page = Page::Machine;
            }
            None => {}
        }
    }

    /// A file that is dropped on the window is for a new machine.
    fn take_dropped(&mut self, context: &egui::Context) {
        let (hovering, dropped) = context.input(|input| {
            let path = input.raw.dropped_files.first().map(|file| file.path().to_owned());
            (!input.raw.hovered_files.is_empty(), path)
        });
        if let Some(path) = dropped {
            self.new_machine(context, Some(path));
        }
        if hovering {
            let painter = context.layer_painter(LayerId::new(egui::Order::Foreground, Id::unique("drop")));
            let area = context.content_rect();
            painter.rect_filled(area, 0.0, Color32::from_black_alpha(170));
            let text = "Drop it to make a machine of it";
            painter.text(area.center(), Align2::CENTER_CENTER, text, FontId::proportional(24.0), Color32::WHITE);
        }
    }
}

/// A menu's entry for an action.
fn item(ui: &mut Ui, id: &str, current: Option<&Known>, chosen: &mut Option<&'static str>) {
    let Some(action) = Action::find(id) else { return };
    let allowed = action.scope != Scope::Machine
        || current.and_then(Known::state).is_some_and(|state| action.is_allowed_in(state))
        || id == "delete" && current.is_some_and(|known| matches!(known.kind, Kind::Broken(_)));
    let mut button = egui::Button::new(action.label);
    if let Some(chord) = action.shortcut {
        button = button.shortcut_text(chord.to_string());
    }
    if ui.add_enabled(allowed, button).on_hover_text(action.help).clicked() {
        *chosen = Some(action.id);
        ui.close();
    }
}

/// Takes the presses of a key with exactly these modifiers. (By egui's own way, Ctrl+P would be pressed by Ctrl+Shift+P.)
fn take_key(input: &mut egui::InputState, wanted: Modifiers, wanted_key: EguiKey) -> bool {
    let before = input.events.len();
    input.events.retain(|event| {
        let egui::Event::Key { key, modifiers, pressed: true, repeat: false, .. } = event else { return true };
        *key != wanted_key || !modifiers.matches_exact(wanted)
    });
    input.events.len() != before
}

/// The key of egui that is one of ours, for shortcuts.
fn egui_key(key: machine::keys::Key) -> Option<EguiKey> {
    let name = key.name();
    EguiKey::from_name(name.strip_prefix("Key").unwrap_or(name))
}

impl App for Manager {
    fn logic(&mut self, context: &egui::Context, _frame: &mut eframe::Frame) {
        self.take_news(context);
        let hidden = context.input(|input| {
            let viewport = input.viewport();
            viewport.minimized == Some(true) || viewport.occluded == Some(true)
        });
        if self.watched == hidden {
            self.watched = !hidden;
            self.model.watched(self.watched);
        }
    }

    fn ui(&mut self, ui: &mut Ui, _frame: &mut eframe::Frame) {
        let context = ui.ctx().clone();
        let knowledge = self.model.knowledge();
        let all: Vec<&Known> = knowledge.machines.iter().map(|known| &**known).collect();
        let wanted = self.search.to_lowercase();
        let machines: Vec<&Known> =
            all.iter().copied().filter(|known| known.name.to_lowercase().contains(&wanted)).collect();
        let current = self.current(&machines);
        self.take_shortcuts(&context, current);
        Panel::top("menus").show(ui, |ui| self.menus(ui, current));
        Panel::left("machines")
            .default_size(290.0)
            .min_size(200.0)
            .show(ui, |ui| self.show_list(ui, &machines, current));
        CentralPanel::default_margins().show(ui, |ui| self.show_page(ui, current, &knowledge));
        self.ask_question(&context);
        self.show_palette(&context, current, &all);
        match self.files.show(&context) {
            Some(Some(path)) => self.take_file(&context, path),
            Some(None) => self.file_for = None,
            None => {}
        }
        self.take_dropped(&context);
        if let Some(offer) = self.toasts.show(&context) {
            self.undo(&context, offer);
        }
    }
}
