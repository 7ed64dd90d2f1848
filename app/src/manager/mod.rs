//! The manager's window: the machines, what they are doing, and everything that can be done to them.
//!
//! It never opens `/dev/kvm`: machines run in processes of their own, which outlive it.

mod details;
mod list;
mod model;
#[cfg(test)]
mod tests;
mod thumbnails;

use std::{cell::RefCell, process::Stdio, rc::Rc, time::SystemTime};

use anyhow::{Result, bail};
use eframe::{
    App,
    egui::{self, CentralPanel, Id, Key as EguiKey, MenuBar, Modal, Modifiers, Panel, Ui, ViewportCommand},
};
use machine::{
    actions::{ALL, Action, Scope},
    control::Request,
};
use storage::library::Library;

use self::{
    model::{Kind, Known, Model},
    thumbnails::Thumbnails,
};
use crate::{
    commands::power,
    launch, live,
    order::Order,
    ui::{self, tasks::Tasks, theme, toasts::Toasts},
};

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
    let viewport =
        egui::ViewportBuilder::default().with_inner_size([1080.0, 720.0]).with_min_inner_size([640.0, 420.0]);
    ui::shell::run("Tandem", viewport, Rc::new(RefCell::new(())), |_| {
        Box::new(move |creation| {
            theme::apply(&creation.egui_ctx);
            Ok(Box::new(Manager::new(library, &creation.egui_ctx)?))
        })
    })
}

/// What a toast's button means.
enum Offer {
    /// Bring back the machine of this name from the trash.
    Undelete(String),
}

/// What was done in the background: something to say, or nothing.
struct Done {
    result: Result<Option<String>>,
    offer: Option<(&'static str, Offer)>,
}

/// The manager's window.
pub(super) struct Manager {
    library: Library,
    model: Model,
    /// The name of the machine that is looked at.
    selected: Option<String>,
    search: String,
    /// The search field gets the keyboard.
    focus_search: bool,
    thumbnails: Thumbnails,
    tasks: Tasks<Done>,
    toasts: Toasts<Offer>,
    /// The action and machine that a person is asked about.
    question: Option<(&'static str, String)>,
    watched: bool,
}

impl Manager {
    pub(super) fn new(library: Library, context: &egui::Context) -> Result<Self> {
        Ok(Manager {
            model: Model::watch(library.clone(), context.clone())?,
            library,
            selected: None,
            search: String::new(),
            focus_search: false,
            thumbnails: Thumbnails::default(),
            tasks: Tasks::new(),
            toasts: Toasts::default(),
            question: None,
            watched: true,
        })
    }

    /// Does what an action says, to the machine of that name if it is one for machines.
    fn act(&mut self, context: &egui::Context, id: &'static str, name: Option<&str>) {
        match (id, name) {
            ("quit", _) => context.send_viewport_cmd(ViewportCommand::Close),
            ("search", _) => self.focus_search = true,
            ("kill" | "reset", Some(name)) => self.question = Some((id, name.to_owned())),
            (_, Some(name)) => self.act_surely(context, id, name),
            _ => {}
        }
    }

    /// Does it without asking.
    fn act_surely(&mut self, context: &egui::Context, id: &'static str, name: &str) {
        let (library, name) = (self.library.clone(), name.to_owned());
        let ask = |request| {
            let (library, name) = (library.clone(), name.clone());
            Box::new(move || {
                let machine = library.find(&name)?;
                live::look(&library, &machine, live::PATIENCE)?.into_client(&machine, id)?.ask(request)?;
                Ok(None)
            }) as Box<dyn FnOnce() -> Result<Option<String>> + Send>
        };
        let mut offer = None;
        let work: Box<dyn FnOnce() -> Result<Option<String>> + Send> = match id {
            "start" => Box::new(move || {
                launch::start(&library, &name)?;
                open_window(&library, &name)
            }),
            "window" => Box::new(move || open_window(&library, &name)),
            "pause" => ask(Request::Pause),
            "resume" => ask(Request::Resume),
            "reset" => ask(Request::Reset),
            "stop" => ask(Request::Stop),
            "kill" => Box::new(move || power::kill_machine(&library, &library.find(&name)?).map(|()| None)),
            "delete" => {
                offer = Some(("Undo", Offer::Undelete(name.clone())));
                Box::new(move || {
                    library.delete(&library.find_any(&name)?, SystemTime::now().into())?;
                    Ok(Some(format!("'{name}' is in the trash for 30 days")))
                })
            }
            _ => return,
        };
        self.tasks.begin(context, move || Done { result: work(), offer });
    }

    /// Makes the machine *Welcome*, and starts it.
    fn make_welcome(&mut self, context: &egui::Context) {
        let library = self.library.clone();
        let work = move || {
            let machine = Order::welcome()?.make(&library)?;
            launch::start(&library, machine.name().as_str())?;
            open_window(&library, machine.name().as_str())
        };
        self.tasks.begin(context, move || Done { result: work(), offer: None });
    }

    fn take_news(&mut self, context: &egui::Context) {
        for Done { result, offer } in self.tasks.finished() {
            match (result, offer) {
                (Ok(Some(text)), Some((label, offer))) => self.toasts.offer(context, text, label, offer),
                (Ok(Some(text)), None) => self.toasts.say(context, text),
                (Ok(None), _) => {}
                (Err(error), _) => self.toasts.complain(context, &error),
            }
            self.model.look();
        }
    }

    fn undo(&mut self, context: &egui::Context, offer: Offer) {
        let library = self.library.clone();
        match offer {
            Offer::Undelete(name) => self.tasks.begin(context, move || {
                let restore = || {
                    library.restore(&library.find_in_trash(&name)?, None)?;
                    Ok(Some(format!("'{name}' is back")))
                };
                Done { result: restore(), offer: None }
            }),
        }
    }

    /// The machine that is looked at: the first, if none was chosen.
    fn current<'a>(&self, machines: &[&'a Known]) -> Option<&'a Known> {
        let chosen = self.selected.as_ref().and_then(|name| machines.iter().find(|known| known.name == *name));
        chosen.or(machines.first()).copied()
    }

    /// Does what the keys say that are an action's shortcut.
    fn take_shortcuts(&mut self, context: &egui::Context, current: Option<&Known>) {
        // A text field has the keyboard, or a question is open.
        if self.question.is_some() || context.text_edit_focused() {
            return;
        }
        let state = current.and_then(Known::state);
        for action in ALL {
            let Some(chord) = action.shortcut else { continue };
            let makes_sense = action.scope != Scope::Machine || state.is_some_and(|state| action.is_allowed_in(state));
            let Some(key) = egui_key(chord.key) else { continue };
            let modifiers = Modifiers { command: chord.ctrl, shift: chord.shift, ..Modifiers::NONE };
            if makes_sense && context.input_mut(|input| take_key(input, modifiers, key)) {
                self.act(context, action.id, current.map(|known| known.name.as_str()));
            }
        }
    }

    fn menus(&mut self, ui: &mut Ui, current: Option<&Known>) {
        let context = ui.ctx().clone();
        let mut chosen = None;
        MenuBar::new().ui(ui, |ui| {
            ui.menu_button("Tandem", |ui| item(ui, "quit", None, &mut chosen));
            ui.menu_button("Machine", |ui| {
                for id in ["start", "window", "pause", "resume", "reset", "stop", "kill", "delete"] {
                    item(ui, id, current, &mut chosen);
                }
            });
        });
        if let Some(id) = chosen {
            self.act(&context, id, current.map(|known| known.name.as_str()));
        }
    }

    fn ask_question(&mut self, context: &egui::Context) {
        let Some((id, name)) = self.question.clone() else { return };
        let Some(action) = Action::find(id) else { return };
        let mut answer = None;
        let modal = Modal::new(Id::unique("question")).show(context, |ui| {
            ui.set_max_width(460.0);
            ui.heading(format!("{} '{name}'?", action.label));
            ui.label("Its system gets no chance to save: what is not on its disks yet is lost.");
            ui.add_space(12.0);
            ui.horizontal(|ui| {
                if ui.button(action.label).clicked() {
                    answer = Some(true);
                }
                if theme::default_button(ui, "Cancel") {
                    answer = Some(false);
                }
            });
        });
        if answer.is_none() && modal.should_close() {
            answer = Some(false);
        }
        if let Some(sure) = answer {
            self.question = None;
            if sure {
                self.act_surely(context, id, &name);
            }
        }
    }
}

/// Opens a machine's window, and waits until it is closed: the process is our child.
fn open_window(library: &Library, name: &str) -> Result<Option<String>> {
    let mut window = power::spawn_window(library, name, Stdio::null())?;
    std::thread::Builder::new().name("window".into()).spawn(move || window.wait())?;
    Ok(None)
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
        let wanted = self.search.to_lowercase();
        let machines: Vec<&Known> = knowledge
            .machines
            .iter()
            .map(|known| &**known)
            .filter(|known| known.name.to_lowercase().contains(&wanted))
            .collect();
        let current = self.current(&machines);
        self.take_shortcuts(&context, current);
        Panel::top("menus").show(ui, |ui| self.menus(ui, current));
        Panel::left("machines")
            .default_size(290.0)
            .min_size(200.0)
            .show(ui, |ui| self.show_list(ui, &machines, current));
        CentralPanel::default_margins().show(ui, |ui| match current {
            Some(known) => self.show_details(ui, known),
            None => self.show_nothing(ui, &knowledge),
        });
        self.ask_question(&context);
        if let Some(offer) = self.toasts.show(&context) {
            self.undo(&context, offer);
        }
    }
}
