//! What the manager does when an action is chosen. What may take a while is done in the background.

use std::{process::Stdio, time::SystemTime};

use anyhow::Result;
use eframe::egui::{self, ViewportCommand};
use machine::{control::Request, definition::Definition};
use storage::library::{Library, Owner};

use super::{MENUS, Manager, Page, host::HostPage, model::Kind, settings::Settings, wizard::Wizard};
use crate::{
    commands::{media, power},
    launch, live,
    order::Order,
    ui::files,
};

/// What follows a piece of work, on the window's own thread.
pub(super) type Finish = Box<dyn FnOnce(&mut Manager, &egui::Context) + Send>;

/// What a toast's button means.
pub(super) enum Offer {
    /// Bring back the machine of this name from the trash.
    Undelete(String),
    /// Give the machine of this definition's UUID the settings that it had.
    Settings(Box<Definition>),
}

/// What a person is asked before something is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Question {
    /// Whether to do the action with this id to the machine of this name, which may lose something.
    Sure(&'static str, String),
    /// What to call the machine of the first name; what stands in the field, and why that can't be.
    Rename { old: String, new: String, problem: Option<String>, fresh: bool },
}

/// What a file was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum FileFor {
    /// A field of the open page.
    Page(&'static str),
    /// The first CD drive of the machine of this name.
    Drive(String),
}

impl Manager {
    /// Whether this window can do the action with this id.
    pub(super) fn can_do(id: &str) -> bool {
        MENUS.iter().any(|(_, ids)| ids.contains(&id))
    }

    /// Does what an action says, to the machine of that name if it is one for machines.
    pub(super) fn act(&mut self, context: &egui::Context, id: &'static str, name: Option<&str>) {
        match (id, name) {
            ("quit", _) => context.send_viewport_cmd(ViewportCommand::Close),
            ("search", _) => self.focus_search = true,
            ("palette", _) => self.palette.open(),
            ("create", _) => self.new_machine(context, None),
            ("welcome", _) => self.make_welcome(context),
            ("doctor", _) => self.page = Page::Host(HostPage::default()),
            ("kill" | "reset", Some(name)) => self.question = Some(Question::Sure(id, name.to_owned())),
            ("rename", Some(name)) => {
                let (old, new) = (name.to_owned(), name.to_owned());
                self.question = Some(Question::Rename { old, new, problem: None, fresh: true });
            }
            ("edit", Some(name)) => self.open_settings(name),
            ("insert", Some(name)) => {
                self.file_for = Some(FileFor::Drive(name.to_owned()));
                self.files.ask(context, files::DISC, None);
            }
            (_, Some(name)) => self.act_surely(context, id, name),
            _ => {}
        }
    }

    /// Does it without asking.
    pub(super) fn act_surely(&mut self, context: &egui::Context, id: &'static str, name: &str) {
        let (library, name) = (self.library.clone(), name.to_owned());
        let ask = |request| {
            let (library, name) = (library.clone(), name.clone());
            Box::new(move || {
                let machine = library.find(&name)?;
                live::look(&library, &machine, live::PATIENCE)?.into_client(&machine, id)?.ask(request)?;
                Ok(None)
            }) as Box<dyn FnOnce() -> Result<Option<String>> + Send>
        };
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
            "eject" => Box::new(move || {
                let machine = library.find(&name)?;
                let drive = media::first_drive(&machine)?;
                media::eject_from(&library, &machine, &drive, false)?;
                Ok(Some(format!("The drive of '{name}' is empty")))
            }),
            "delete" => return self.delete(context, name),
            _ => return,
        };
        self.begin(context, work);
    }

    /// Does `work` in the background, and says what it gives back or what went wrong.
    pub(super) fn begin(
        &self,
        context: &egui::Context,
        work: impl FnOnce() -> Result<Option<String>> + Send + 'static,
    ) {
        self.begin_then(context, work, |manager, context, result| match result {
            Ok(Some(text)) => manager.toasts.say(context, text),
            Ok(None) => {}
            Err(error) => manager.toasts.complain(context, &error),
        });
    }

    /// Does `work` in the background, and `then` what follows from its result.
    pub(super) fn begin_then<T: Send + 'static>(
        &self,
        context: &egui::Context,
        work: impl FnOnce() -> T + Send + 'static,
        then: impl FnOnce(&mut Manager, &egui::Context, T) + Send + 'static,
    ) {
        self.tasks.begin(context, move || {
            let result = work();
            Box::new(move |manager: &mut Manager, context: &egui::Context| then(manager, context, result)) as Finish
        });
    }

    fn delete(&self, context: &egui::Context, name: String) {
        let (library, deleted) = (self.library.clone(), name.clone());
        let work = move || Ok(library.delete(&library.find_any(&deleted)?, SystemTime::now().into())?);
        self.begin_then(context, work, |manager, context, result: Result<_>| match result {
            Ok(_) => {
                let text = format!("'{name}' is in the trash for 30 days");
                manager.toasts.offer(context, text, "Undo", Offer::Undelete(name));
            }
            Err(error) => manager.toasts.complain(context, &error),
        });
    }

    /// Opens the page for a new machine, with a file that somebody dropped or without. At once, since people type on; what
    /// the page will soon ask of the database of systems is read meanwhile.
    pub(super) fn new_machine(&mut self, context: &egui::Context, file: Option<std::path::PathBuf>) {
        let detector = self.detector.clone();
        self.begin_then(context, move || detector.warm_up(), |_, _, ()| ());
        self.page = Page::New(Box::new(Wizard::new(&self.detector, file)));
    }

    fn open_settings(&mut self, name: &str) {
        let knowledge = self.model.knowledge();
        let known = knowledge.machines.iter().find(|known| known.name == name);
        if let Some(Kind::Machine { definition, .. }) = known.map(|known| &known.kind) {
            self.page = Page::Settings(Box::new(Settings::new(definition)));
        }
    }

    /// Makes the machine *Welcome*, and starts it.
    pub(super) fn make_welcome(&mut self, context: &egui::Context) {
        let library = self.library.clone();
        self.begin(context, move || {
            let machine = Order::welcome()?.make(&library)?;
            launch::start(&library, machine.name().as_str())?;
            open_window(&library, machine.name().as_str())
        });
    }

    /// A file was chosen that was asked for.
    pub(super) fn take_file(&mut self, context: &egui::Context, path: std::path::PathBuf) {
        match self.file_for.take() {
            Some(FileFor::Page(field)) => match &mut self.page {
                Page::New(wizard) => wizard.take_file(field, &path),
                Page::Settings(settings) => settings.take_file(field, &path),
                Page::Machine | Page::Host(_) => {}
            },
            Some(FileFor::Drive(name)) => {
                let library = self.library.clone();
                self.begin(context, move || {
                    let machine = library.find(&name)?;
                    let drive = media::first_drive(&machine)?;
                    media::insert_into(&library, &machine, &drive, &path)?;
                    Ok(Some(format!("The disc is in the drive of '{name}'")))
                });
            }
            None => {}
        }
    }

    pub(super) fn take_news(&mut self, context: &egui::Context) {
        for finish in self.tasks.finished() {
            finish(self, context);
            self.model.look();
        }
    }

    pub(super) fn undo(&mut self, context: &egui::Context, offer: Offer) {
        let library = self.library.clone();
        match offer {
            Offer::Undelete(name) => self.begin(context, move || {
                library.restore(&library.find_in_trash(&name)?, None)?;
                Ok(Some(format!("'{name}' is back")))
            }),
            Offer::Settings(old) => self.begin(context, move || {
                let (machine, lock) = library.lock(&old.uuid.to_string())?;
                let name = machine.name().clone();
                library.update(&machine, Owner::Me(&lock), |now| *now = Definition { name: name.clone(), ..*old })?;
                Ok(Some(format!("The settings of '{name}' are what they were")))
            }),
        }
    }
}

/// Opens a machine's window, and waits until it is closed: the process is our child.
pub(super) fn open_window(library: &Library, name: &str) -> Result<Option<String>> {
    let mut window = power::spawn_window(library, name, Stdio::null())?;
    std::thread::Builder::new().name("window".into()).spawn(move || window.wait())?;
    Ok(None)
}
