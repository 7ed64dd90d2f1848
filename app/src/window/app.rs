//! What a machine's window shows: menus, the picture, the status bar, questions.

mod fitted;
mod menus;
mod picture;
mod questions;

use std::{
    cell::RefCell,
    path::PathBuf,
    rc::Rc,
    time::{Duration, Instant},
};

use anyhow::Result;
use display::{
    renderer::{Filter, painted::EguiRenderer},
    scale::Scaling,
};
use eframe::{
    App, Frame as EframeFrame,
    egui::{self, CentralPanel, CursorGrab, Panel, Ui, Vec2, ViewportCommand},
};
use machine::{
    actions::Action,
    console::Input,
    control::{Reply, Request},
    keys::Key,
    state::State,
};
use storage::library::{Library, Machine, Presence};

use self::fitted::Fitted;
use super::{
    hands::{Asked, Hands},
    link::{Link, Over},
    pictures,
    shader_screen::{Happened, ShaderScreen},
    status_bar::{self, Shown},
};
use crate::{
    commands::media,
    console_input, live,
    ui::{
        files::{self, DesktopChooser, FileChooser},
        shell::{Cover, Surroundings},
        tasks::Tasks,
        theme,
    },
};

/// How long a message stands over the picture.
const NOTICE: Duration = Duration::from_secs(4);
/// How much of a monitor a window takes by itself.
const LARGEST: f32 = 0.92;
/// How close to the upper edge the pointer brings the menus in full screen, in points.
const EDGE: f32 = 3.0;
/// How far from the edge it may go without sending them away, in points: their height.
const MENUS: f32 = 30.0;

/// The machine that a window is of.
pub(super) struct Subject {
    pub(super) library: Library,
    pub(super) machine: Machine,
}

/// What the person answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Nothing,
    KeepRunning,
    /// The action with this id, which may ask in its turn.
    Do(&'static str),
    /// The action with this id, which was confirmed.
    DoSurely(&'static str),
}

/// What is asked of the person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Question {
    /// The window is to be closed, and the machine runs.
    Close,
    /// Something may be lost: the action with this id.
    Sure(&'static str),
    /// The list of keys.
    Shortcuts,
}

/// A machine's window.
pub(super) struct MachineWindow {
    subject: Subject,
    link: Link,
    hands: Rc<RefCell<Hands>>,
    surroundings: Surroundings,
    /// Draws the picture wherever the cover doesn't; made when there is the first one.
    renderer: Option<EguiRenderer>,
    scaling: Scaling,
    full_screen: bool,
    /// Covers the window in full screen, to draw with a filter.
    screen: Rc<RefCell<ShaderScreen>>,
    filter: Option<Filter>,
    /// The cover was taken away because the pointer asked for the menus.
    peeking: bool,
    /// The cover was there since the last picture of this window.
    was_covered: bool,
    question: Option<Question>,
    /// What is said over the picture, until when. It isn't egui's time, which stands still below a cover.
    notice: Option<(String, Instant)>,
    /// What was done in the background: something to say, or nothing.
    tasks: Tasks<Result<Option<String>>>,
    /// The window is to be closed without a question.
    closing: bool,
    /// What the library says of the machine after its process has gone.
    ended: Option<Presence>,
    visible: bool,
    /// A menu is open, which wants the keys.
    menu_open: bool,
    files: DesktopChooser,
    /// The clipboard's text is to be typed when it comes.
    wants_clipboard: bool,
    fitted: Fitted,
    /// Its size before full screen, in points.
    windowed: Option<Vec2>,
}

impl MachineWindow {
    pub(super) fn new(
        subject: Subject,
        link: Link,
        hands: Rc<RefCell<Hands>>,
        screen: Rc<RefCell<ShaderScreen>>,
        surroundings: Surroundings,
    ) -> Self {
        MachineWindow {
            subject,
            link,
            hands,
            surroundings,
            renderer: None,
            scaling: Scaling::default(),
            full_screen: false,
            screen,
            filter: None,
            peeking: false,
            was_covered: false,
            question: None,
            notice: None,
            tasks: Tasks::new(),
            closing: false,
            ended: None,
            visible: true,
            menu_open: false,
            files: DesktopChooser::default(),
            wants_clipboard: false,
            fitted: Fitted::default(),
            windowed: None,
        }
    }

    fn name(&self) -> &str {
        self.subject.machine.name().as_str()
    }

    fn state(&self) -> State {
        match &self.ended {
            Some(Presence::Crashed(_)) => State::Crashed,
            Some(_) => State::Off,
            None => self.link.seen().status.as_ref().map_or(State::Starting, |status| status.state),
        }
    }

    fn say(&mut self, context: &egui::Context, text: impl Into<String>) {
        self.notice = Some((text.into(), Instant::now() + NOTICE));
        context.request_repaint_after(NOTICE);
    }

    /// Asks something of the machine, off this thread.
    fn request(&mut self, context: &egui::Context, id: &'static str, request: Request) {
        let (library, machine) = (self.subject.library.clone(), self.subject.machine.clone());
        self.tasks.begin(context, move || ask(&library, &machine, id, request).map(|_| None));
    }

    /// Does what an action says, whether it came from a menu, a key or a button.
    fn act(&mut self, context: &egui::Context, id: &'static str) {
        if let Some(refusal) = Action::find(id).and_then(|action| action.refusal(self.state())) {
            let text = format!("'{}' {refusal}", self.name());
            return self.say(context, text);
        }
        match id {
            "pause" => self.request(context, id, Request::Pause),
            "resume" => self.request(context, id, Request::Resume),
            "stop" => {
                self.request(context, id, Request::Stop);
                self.say(context, "The power button was pressed: the system may take a while to shut down");
            }
            "reset" | "kill" => self.question = Some(Question::Sure(id)),
            "screenshot" => self.screenshot(context),
            "full-screen" => self.set_full_screen(context, !self.full_screen),
            "scaling" => self.next_scaling(context),
            "filter" => {
                let next = self.filter.map_or(0, |now| 1 + Filter::ALL.iter().position(|&it| it == now).unwrap_or(0));
                self.set_filter(context, Filter::ALL.get(next).copied());
            }
            "capture" => {
                let captured = self.hands.borrow().is_captured();
                self.capture(context, !captured);
            }
            "ctrl-alt-del" => {
                let keys = [Key::ControlLeft, Key::AltLeft, Key::Delete];
                let down = keys.iter().map(|&key| Input::Key { key, down: true });
                let up = keys.iter().rev().map(|&key| Input::Key { key, down: false });
                self.link.input(down.chain(up).collect());
            }
            "insert" => self.files.ask(context, files::DISC, None),
            "eject" => self.change_disc(context, None),
            "type-clipboard" => {
                self.wants_clipboard = true;
                context.send_viewport_cmd(ViewportCommand::RequestPaste);
            }
            "mute" => {
                let muted = !self.link.is_muted();
                self.link.mute(muted);
                self.say(context, if muted { "The sound is off" } else { "The sound is on" });
            }
            "shortcuts" => self.question = Some(Question::Shortcuts),
            "close" => self.close(context),
            _ => {}
        }
    }

    fn close(&mut self, context: &egui::Context) {
        if self.state().is_alive() {
            self.question = Some(Question::Close);
        } else {
            self.close_surely(context);
        }
    }

    fn close_surely(&mut self, context: &egui::Context) {
        self.closing = true;
        self.link.hang_up();
        context.send_viewport_cmd(ViewportCommand::Close);
    }

    fn set_full_screen(&mut self, context: &egui::Context, full: bool) {
        let monitor = context.input(|input| input.viewport().monitor_size);
        if full && !self.full_screen {
            self.windowed = Some(context.viewport_rect().size());
        } else if !full && let (Some(monitor), Some(windowed)) = (monitor, self.windowed) {
            self.fitted.leave_full_screen(monitor, windowed, Instant::now());
        }
        self.full_screen = full;
        context.send_viewport_cmd(ViewportCommand::Fullscreen(full));
        if full {
            self.say(context, format!("{} leaves full screen", self.host_chord(Key::KeyF)));
        }
    }

    /// Takes a filter for full screen, or none, if this computer can draw with it.
    fn set_filter(&mut self, context: &egui::Context, filter: Option<Filter>) {
        let possible = filter.map_or(Ok(()), |_| self.screen.borrow_mut().probe());
        match possible {
            Ok(()) => {
                self.filter = filter;
                let said = filter.map_or("No filter", Filter::help);
                self.say(context, if self.full_screen { said.to_owned() } else { format!("In full screen: {said}") });
            }
            Err(why) => self.say(context, format!("The picture stays as it is: {why}")),
        }
    }

    /// Covers the window, or doesn't, as is right now.
    fn attend_cover(&mut self, context: &egui::Context) {
        let happened = self.screen.borrow_mut().take_happened();
        for happened in happened {
            match happened {
                Happened::Clicked => self.capture(context, true),
                Happened::EdgeTouched => self.peeking = true,
                Happened::Closed => self.close(context),
                Happened::Failed(why) => {
                    self.filter = None;
                    self.was_covered = true;
                    self.say(context, format!("Full screen goes on without the filter: {why}"));
                }
            }
        }
        let blocked = self.link.seen().status.as_ref().is_some_and(|status| status.blocked.is_some());
        let egui_has_to_show = self.question.is_some() || self.menu_open || self.peeking || blocked;
        let covered = self.full_screen && self.state() == State::Running && !egui_has_to_show;
        let filter = self.filter.filter(|_| covered);
        let mut screen = self.screen.borrow_mut();
        screen.want(context, filter);
        screen.capture(self.hands.borrow().is_captured());
        self.was_covered |= screen.is_up();
        let now = Instant::now();
        let notice = self.notice.as_ref().filter(|(_, until)| now < *until);
        screen.say(notice.map(|(text, _)| text.as_str()));
        if let Some((_, until)) = notice {
            context.request_repaint_after(*until - now);
        }
    }

    /// The cover has gone: what it took away is brought back.
    fn uncovered(&mut self, context: &egui::Context) {
        // It took the damage.
        self.renderer = None;
        // A compositor may have only one window that fills its screen.
        context.send_viewport_cmd(ViewportCommand::Fullscreen(self.full_screen));
        context.send_viewport_cmd(ViewportCommand::Focus);
        if self.hands.borrow().is_captured() {
            // The window believes that it holds the pointer still.
            context.send_viewport_cmd(ViewportCommand::CursorGrab(CursorGrab::None));
            context.send_viewport_cmd(ViewportCommand::CursorGrab(self.grab()));
        }
    }

    fn next_scaling(&mut self, context: &egui::Context) {
        let at = Scaling::ALL.iter().position(|scaling| *scaling == self.scaling).unwrap_or_default();
        self.scaling = Scaling::ALL[(at + 1) % Scaling::ALL.len()];
        self.say(context, self.scaling.label());
    }

    fn host_chord(&self, key: Key) -> String {
        format!("{} + {}", theme::key_name(self.hands.borrow().host_key()), theme::key_name(key))
    }

    /// Gives the mouse to the guest, or takes it back.
    fn capture(&mut self, context: &egui::Context, captured: bool) {
        if self.hands.borrow().is_captured() == captured {
            return;
        }
        self.hands.borrow_mut().capture(captured);
        let grab = if captured { self.grab() } else { CursorGrab::None };
        context.send_viewport_cmd(ViewportCommand::CursorGrab(grab));
        context.send_viewport_cmd(ViewportCommand::CursorVisible(!captured));
        if captured {
            let host_key = theme::key_name(self.hands.borrow().host_key());
            self.say(context, format!("The machine has the mouse and the keyboard. {host_key} takes them back"));
        }
    }

    /// How the pointer is held. X servers can't hold it in its place; its movement is told all the same.
    fn grab(&self) -> CursorGrab {
        if self.surroundings.wayland { CursorGrab::Locked } else { CursorGrab::Confined }
    }

    fn screenshot(&mut self, context: &egui::Context) {
        let frame = self.link.seen().frame.clone();
        if frame.width() == 0 || frame.height() == 0 {
            return self.say(context, "There is no picture yet");
        }
        context.copy_image(display::texture::image(&frame, frame.bounds()));
        let name = self.subject.machine.name().clone();
        self.tasks.begin(context, move || {
            let path = pictures::save(&frame, name.as_str())?;
            Ok(Some(format!("Saved as {} and copied", path.display())))
        });
    }

    /// Takes the disc out of the first CD drive, or puts another in.
    fn change_disc(&mut self, context: &egui::Context, disc: Option<PathBuf>) {
        let (library, machine) = (self.subject.library.clone(), self.subject.machine.clone());
        self.tasks.begin(context, move || {
            // As it is now: somebody else may have changed it.
            let machine = library.find(&machine.uuid().to_string())?;
            let drive = media::first_drive(&machine)?;
            let done = match disc {
                Some(path) => {
                    media::insert_into(&library, &machine, &drive, &path).map(|()| "The disc is in the drive")
                }
                None => media::eject_from(&library, &machine, &drive, false).map(|()| "The drive is empty"),
            };
            Ok(Some(done?.to_owned()))
        });
    }

    /// Types the clipboard's text, if it has come.
    fn take_clipboard(&mut self, context: &egui::Context) {
        if !std::mem::take(&mut self.wants_clipboard) {
            return;
        }
        let text = context.input(|input| {
            input.events.iter().find_map(|event| match event {
                egui::Event::Paste(text) => Some(text.clone()),
                _ => None,
            })
        });
        let Some(text) = text else { return self.say(context, "There is no text in the clipboard") };
        let inputs = match display::typing::strokes(&text) {
            Ok(strokes) => display::typing::inputs(&strokes),
            Err(error) => return self.say(context, crate::output::sentence(&error.into())),
        };
        let (library, machine) = (self.subject.library.clone(), self.subject.machine.clone());
        self.tasks.begin(context, move || {
            let mut client = live::look(&library, &machine, live::PATIENCE)?.into_client(&machine, "type-clipboard")?;
            console_input::send(&mut client, machine.name().as_str(), &inputs)?;
            Ok(None)
        });
    }

    /// Takes what has arrived since the last picture of the window.
    fn take_news(&mut self, context: &egui::Context) {
        for done in self.tasks.finished() {
            match done {
                Ok(None) => {}
                Ok(Some(text)) => self.say(context, text),
                Err(error) => self.say(context, crate::output::sentence(&error)),
            }
        }
        let (raise, over) = {
            let mut seen = self.link.seen();
            (std::mem::take(&mut seen.raise), seen.over)
        };
        if raise {
            context.send_viewport_cmd(ViewportCommand::Minimized(false));
            context.send_viewport_cmd(ViewportCommand::Focus);
        }
        match over {
            _ if self.closing => {}
            Some(Over::Replaced) => self.close_surely(context),
            Some(Over::Ended) if self.ended.is_none() => self.has_ended(context),
            _ => {}
        }
        let asked = self.hands.borrow_mut().take_asked();
        for asked in asked {
            match asked {
                Asked::HostTap => self.capture(context, false),
                Asked::Host(key) => {
                    let state = self.state();
                    let action = machine::actions::ALL.iter().find(|action| {
                        action.host_key == Some(key)
                            && (action.is_allowed_in(state) || action.scope == machine::actions::Scope::Window)
                    });
                    match action {
                        Some(action) => self.act(context, action.id),
                        None => self.say(context, format!("{} means nothing here", self.host_chord(key))),
                    }
                }
            }
        }
    }

    /// The machine's process has gone: looks at what the library says of it.
    fn has_ended(&mut self, context: &egui::Context) {
        match self.subject.library.presence(&self.subject.machine) {
            // It takes a moment until its lock is free.
            Ok(Presence::Owned(_)) => context.request_repaint_after(Duration::from_millis(50)),
            Ok(crashed @ Presence::Crashed(_)) => {
                self.capture(context, false);
                self.ended = Some(crashed);
            }
            Ok(off) => {
                self.ended = Some(off);
                self.close_surely(context);
            }
            Err(error) => {
                tracing::warn!(%error, "the machine is gone");
                self.close_surely(context);
            }
        }
    }

    /// Keys are the guest's while nothing else wants them.
    fn give_keys(&mut self) {
        let to_guest = self.question.is_none() && !self.files.is_open() && self.ended.is_none() && !self.menu_open;
        self.hands.borrow_mut().give_keys(to_guest);
    }

    /// Tells the machine whether anybody can see its picture.
    fn tell_visibility(&mut self, context: &egui::Context) {
        let hidden = context.input(|input| {
            let viewport = input.viewport();
            viewport.minimized == Some(true) || viewport.occluded == Some(true)
        });
        let hidden = hidden && !self.screen.borrow().is_up();
        if self.visible == hidden {
            self.visible = !hidden;
            self.link.visible(self.visible);
        }
    }
}

impl App for MachineWindow {
    fn logic(&mut self, context: &egui::Context, _frame: &mut EframeFrame) {
        self.take_clipboard(context);
        self.take_news(context);
        self.tell_visibility(context);
        if context.input(|input| input.viewport().close_requested()) && !self.closing {
            context.send_viewport_cmd(ViewportCommand::CancelClose);
            self.capture(context, false);
            self.close(context);
        }
        if !self.hands.borrow().is_focused() {
            self.capture(context, false);
        }
        self.attend_cover(context);
    }

    fn ui(&mut self, ui: &mut Ui, _frame: &mut EframeFrame) {
        let context = ui.ctx().clone();
        if std::mem::take(&mut self.was_covered) {
            self.uncovered(&context);
        }
        // In full screen they come when the pointer touches the upper edge.
        let pointer = context.input(|input| input.pointer.hover_pos());
        let at_edge = pointer.is_some_and(|at| at.y < EDGE);
        self.peeking &= pointer.is_none_or(|at| at.y < MENUS);
        if !self.full_screen || at_edge || self.menu_open || self.peeking {
            Panel::top("menus").show(ui, |ui| self.menus(ui));
        }
        if !self.full_screen {
            let size = {
                let seen = self.link.seen();
                (seen.frame.width(), seen.frame.height())
            };
            let shown = Shown {
                state: self.state(),
                screen: size,
                captured: self.hands.borrow().is_captured(),
                muted: self.link.is_muted(),
                host_key: theme::key_name(self.hands.borrow().host_key()),
            };
            let chosen = Panel::bottom("status").show(ui, |ui| status_bar::show(ui, &shown)).inner;
            if let Some(id) = chosen {
                self.act(&context, id);
            }
        }
        CentralPanel::no_frame().show(ui, |ui| self.picture(ui));
        self.ask_question(&context);
        if let Some(Some(path)) = self.files.show(&context) {
            self.change_disc(&context, Some(path));
        }
        self.give_keys();
        self.attend_cover(&context);
    }

    fn clear_color(&self, _visuals: &egui::Visuals) -> [f32; 4] {
        [0.0, 0.0, 0.0, 1.0]
    }
}

/// Asks something of a machine that may have ended meanwhile.
fn ask(library: &Library, machine: &Machine, id: &str, request: Request) -> Result<Reply> {
    live::look(library, machine, live::PATIENCE)?.into_client(machine, id)?.ask(request)
}
