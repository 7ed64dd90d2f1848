//! A window: winit's event loop with eframe's drawing in it. A [`Watcher`] sees keys and the mouse's own movement before egui
//! does, which tells no number pad from the main keys, nor left Shift from right.

use std::{
    cell::{OnceCell, RefCell},
    rc::Rc,
    sync::Arc,
};

use anyhow::{Context, Result};
use eframe::{
    AppCreator, EframeWinitApplication, NativeOptions, Renderer, UserEvent,
    egui::{self, IconData, ViewportBuilder},
};
use winit::{
    application::ApplicationHandler,
    event::{DeviceEvent, DeviceId, ElementState, MouseButton, MouseScrollDelta, StartCause, WindowEvent},
    event_loop::{ActiveEventLoop, ControlFlow, DeviceEvents, EventLoop},
    keyboard::PhysicalKey,
    platform::wayland::EventLoopExtWayland,
    raw_window_handle::{HasWindowHandle as _, RawWindowHandle},
    window::WindowId,
};

use super::every_key::{EveryKey, Grabbed, Inhibitor, KeyboardGrab};

/// The name by which desktops know our windows; the desktop entry is called so too.
pub(crate) const APP_ID: &str = "tandem";

/// Pixels along a side of our windows' icon. Desktops that know the desktop entry take its icon instead.
const ICON_SIDE: u32 = 64;

/// A touchpad tells of its own pixels: so many are a notch of a wheel.
const PIXELS_A_NOTCH: f64 = 40.0;

/// One who sees keys and movement first.
pub(crate) trait Watcher {
    /// A key goes down (`down`, also each time it repeats) or up. Gives back whether it is taken: egui doesn't see it then.
    fn key(&mut self, key: PhysicalKey, down: bool) -> bool;

    /// The mouse has moved by so many counts, wherever the pointer is.
    fn movement(&mut self, dx: f64, dy: f64);

    /// A button of the mouse goes down or up over the window. Gives back whether it is taken.
    fn button(&mut self, button: MouseButton, down: bool) -> bool;

    /// The wheel turns by so many notches, away from the person for positive ones. Gives back whether it is taken.
    fn wheel(&mut self, notches: f32) -> bool;

    /// The window has or hasn't the keyboard.
    fn focus(&mut self, focused: bool);

    /// What is down counts as up from now on.
    fn let_go(&mut self);

    /// Whether the window is to have every key while it has the keyboard, those too that the desktop keeps for itself.
    fn wants_every_key(&self) -> bool;
}

/// One who lets egui see everything.
impl Watcher for () {
    fn key(&mut self, _key: PhysicalKey, _down: bool) -> bool {
        false
    }

    fn movement(&mut self, _dx: f64, _dy: f64) {}

    fn button(&mut self, _button: MouseButton, _down: bool) -> bool {
        false
    }

    fn wheel(&mut self, _notches: f32) -> bool {
        false
    }

    fn focus(&mut self, _focused: bool) {}

    fn let_go(&mut self) {}

    fn wants_every_key(&self) -> bool {
        false
    }
}

/// A second window, which covers eframe's while it is there. Its keys and buttons go to the [`Watcher`] like those of the first.
pub(crate) trait Cover {
    /// Whether it is there. The window beneath isn't painted then.
    fn is_up(&self) -> bool;

    /// Opens or closes it, as it is wanted.
    fn attend(&mut self, event_loop: &ActiveEventLoop);

    /// There may be something new to show.
    fn wake(&mut self);

    /// Whether it is that window.
    fn owns(&self, window: WindowId) -> bool;

    /// The window system's own name for it, while it is there.
    fn handle(&self) -> Option<RawWindowHandle>;

    /// Something happened to it.
    fn window_event(&mut self, event: &WindowEvent);
}

/// No second window.
impl Cover for () {
    fn is_up(&self) -> bool {
        false
    }

    fn attend(&mut self, _event_loop: &ActiveEventLoop) {}

    fn wake(&mut self) {}

    fn owns(&self, _window: WindowId) -> bool {
        false
    }

    fn handle(&self) -> Option<RawWindowHandle> {
        None
    }

    fn window_event(&mut self, _event: &WindowEvent) {}
}

/// What a window may have to know of the display that it is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Surroundings {
    /// A Wayland compositor, and not an X server.
    pub(crate) wayland: bool,
}

/// Opens a window, and returns when it is closed.
///
/// # Errors
/// There is no display, or it can't show a window.
pub(crate) fn run<'a>(
    title: &str,
    viewport: ViewportBuilder,
    watcher: Rc<RefCell<dyn Watcher>>,
    create: impl FnOnce(Surroundings) -> AppCreator<'a>,
) -> Result<()> {
    run_covered(title, viewport, watcher, Rc::new(RefCell::new(())), create)
}

/// As [`run`], with a second window that may cover the first.
///
/// # Errors
/// As [`run`].
pub(crate) fn run_covered<'a>(
    title: &str,
    viewport: ViewportBuilder,
    watcher: Rc<RefCell<dyn Watcher>>,
    cover: Rc<RefCell<dyn Cover>>,
    create: impl FnOnce(Surroundings) -> AppCreator<'a>,
) -> Result<()> {
    let event_loop = EventLoop::<UserEvent>::with_user_event().build().context(
        "no window can be opened: there is neither a Wayland compositor (WAYLAND_DISPLAY) nor an X server (DISPLAY)",
    )?;
    let surroundings = Surroundings { wayland: event_loop.is_wayland() };
    event_loop.set_control_flow(ControlFlow::Wait);
    event_loop.listen_device_events(DeviceEvents::WhenFocused);
    let options = NativeOptions {
        viewport: viewport.with_title(title).with_app_id(APP_ID).with_icon(icon()),
        renderer: Renderer::Glow,
        // Nothing here is drawn in three dimensions.
        depth_buffer: 0,
        stencil_buffer: 0,
        multisampling: 0,
        persist_window: false,
        ..NativeOptions::default()
    };
    let first = Rc::new(OnceCell::new());
    let (made, create) = (first.clone(), create(surroundings));
    let create: AppCreator<'a> = Box::new(move |creation| {
        let _ = made.set(First { context: creation.egui_ctx.clone(), handle: creation.window_handle()?.as_raw() });
        create(creation)
    });
    let app = eframe::create_native(APP_ID, options, create, &event_loop);
    let (focus, keys) = (Focus::default(), Keys::Unasked);
    let mut shell = Shell { app, watcher, cover, surroundings, first, window: None, focus, covered: false, keys };
    event_loop.run_app(&mut shell).context("the window could not be kept open")
}

fn icon() -> Arc<IconData> {
    Arc::new(IconData { rgba: assets::icon::pixels(ICON_SIDE), width: ICON_SIDE, height: ICON_SIDE })
}

struct Shell<'a> {
    app: EframeWinitApplication<'a>,
    watcher: Rc<RefCell<dyn Watcher>>,
    cover: Rc<RefCell<dyn Cover>>,
    surroundings: Surroundings,
    /// Once it is made.
    first: Rc<OnceCell<First>>,
    /// Eframe's window, once something has happened to it: it is the first.
    window: Option<WindowId>,
    focus: Focus,
    /// Eframe was told that its window is covered.
    covered: bool,
    keys: Keys,
}

/// Eframe's window, which is there until the event loop ends.
struct First {
    context: egui::Context,
    handle: RawWindowHandle,
}

/// Which windows have the keyboard.
#[derive(Default)]
struct Focus {
    window: bool,
    cover: bool,
    /// The one that got it last.
    last: Option<WindowId>,
}

/// Whose the keys are that the desktop keeps for itself.
enum Keys {
    /// They may be had, and nobody has wanted them yet.
    Unasked,
    /// A window's, if it wants them.
    Windows(Box<dyn EveryKey>),
    /// The desktop's.
    Desktops,
}

impl Shell<'_> {
    /// Opens or closes the cover, and tells eframe whether its window can be seen: it knows of its own only on some displays.
    fn attend_cover(&mut self, event_loop: &ActiveEventLoop) {
        let mut cover = self.cover.borrow_mut();
        cover.attend(event_loop);
        let up = cover.is_up();
        drop(cover);
        if up == self.covered {
            return;
        }
        self.covered = up;
        if !up && std::mem::take(&mut self.focus.cover) {
            // Where the keys come up that are down in a window which is gone, nobody tells.
            self.watcher.borrow_mut().let_go();
        }
        if let Some(window) = self.window {
            self.app.window_event(event_loop, window, WindowEvent::Occluded(up));
        }
    }
}

impl Shell<'_> {
    /// Takes every key, or gives the desktop its own back, as is wanted.
    fn attend_keys(&mut self, event_loop: &ActiveEventLoop) {
        let focused = (self.focus.window || self.focus.cover).then_some(self.focus.last).flatten();
        let wanted = focused.filter(|_| self.watcher.borrow().wants_every_key());
        if matches!(self.keys, Keys::Unasked)
            && wanted.is_some()
            && let Some(first) = self.first.get()
        {
            self.keys = match every_key(self.surroundings, event_loop, first.context.clone()) {
                Ok(every_key) => Keys::Windows(every_key),
                Err(error) => no_keys(&error),
            };
        }
        let Keys::Windows(every_key) = &mut self.keys else { return };
        if every_key.window() == wanted {
            return;
        }
        every_key.release();
        let Some(window) = wanted else { return };
        let cover = self.cover.borrow();
        let handle = if cover.owns(window) { cover.handle() } else { self.first.get().map(|first| first.handle) };
        if let Some(handle) = handle
            && let Err(error) = every_key.grab(window, handle)
        {
            self.keys = no_keys(&error);
        }
    }

    /// Takes the keys that have come, or their loss.
    fn take_keys(&mut self, event_loop: &ActiveEventLoop) {
        let Keys::Windows(every_key) = &mut self.keys else { return };
        let grabbed = every_key.take();
        for grabbed in grabbed {
            match grabbed {
                Grabbed::Key(key, down) => {
                    self.watcher.borrow_mut().key(key, down);
                }
                Grabbed::Lost => {
                    let Keys::Windows(every_key) = &mut self.keys else { return };
                    if let Some(window) = every_key.window() {
                        every_key.release();
                        self.window_event(event_loop, window, WindowEvent::Focused(false));
                    }
                }
            }
        }
    }

    /// Whether it only says that the grab has taken the keyboard from its own window.
    fn is_of_grab(&self, window: WindowId, event: &WindowEvent) -> bool {
        let Keys::Windows(every_key) = &self.keys else { return false };
        *event == WindowEvent::Focused(false) && every_key.takes_focus() && every_key.window() == Some(window)
    }
}

/// Who gives every key here. `context` is drawn anew when something has come.
fn every_key(
    surroundings: Surroundings,
    event_loop: &ActiveEventLoop,
    context: egui::Context,
) -> Result<Box<dyn EveryKey>> {
    Ok(if surroundings.wayland {
        Box::new(Inhibitor::new(event_loop.owned_display_handle())?)
    } else {
        Box::new(KeyboardGrab::connect(move || context.request_repaint())?)
    })
}

/// The desktop keeps its keys, as it does on displays without a grab.
fn no_keys(error: &anyhow::Error) -> Keys {
    tracing::warn!("the desktop keeps its own keys: {error:#}");
    Keys::Desktops
}

impl ApplicationHandler<UserEvent> for Shell<'_> {
    fn window_event(&mut self, event_loop: &ActiveEventLoop, window: WindowId, mut event: WindowEvent) {
        let of_cover = self.cover.borrow().owns(window);
        if !of_cover && *self.window.get_or_insert(window) != window {
            // What is left of a cover that has gone.
            return;
        }
        if self.is_of_grab(window, &event) {
            return;
        }
        if let WindowEvent::Occluded(occluded) = &mut event {
            *occluded |= self.covered && !of_cover;
        }
        let mut watcher = self.watcher.borrow_mut();
        let taken = match &event {
            // Winit makes up events for the keys that are down when the window gets the keyboard.
            WindowEvent::KeyboardInput { event, is_synthetic: false, .. } => {
                watcher.key(event.physical_key, event.state == ElementState::Pressed)
            }
            WindowEvent::MouseInput { state, button, .. } => watcher.button(*button, *state == ElementState::Pressed),
            WindowEvent::MouseWheel { delta, .. } => {
                let notches = match delta {
                    MouseScrollDelta::LineDelta(_, lines) => *lines,
                    MouseScrollDelta::PixelDelta(pixels) => (pixels.y / PIXELS_A_NOTCH) as f32,
                };
                watcher.wheel(notches)
            }
            WindowEvent::Focused(focused) => {
                *(if of_cover { &mut self.focus.cover } else { &mut self.focus.window }) = *focused;
                if *focused {
                    self.focus.last = Some(window);
                }
                watcher.focus(self.focus.cover || self.focus.window);
                false
            }
            _ => false,
        };
        drop(watcher);
        if taken {
            return;
        }
        if of_cover {
            self.cover.borrow_mut().window_event(&event);
        } else {
            self.app.window_event(event_loop, window, event);
        }
    }

    fn device_event(&mut self, event_loop: &ActiveEventLoop, device: DeviceId, event: DeviceEvent) {
        if let DeviceEvent::MouseMotion { delta: (dx, dy) } = event {
            self.watcher.borrow_mut().movement(dx, dy);
        }
        self.app.device_event(event_loop, device, event);
    }

    fn resumed(&mut self, event_loop: &ActiveEventLoop) {
        self.app.resumed(event_loop);
    }

    fn suspended(&mut self, event_loop: &ActiveEventLoop) {
        self.app.suspended(event_loop);
    }

    fn new_events(&mut self, event_loop: &ActiveEventLoop, cause: StartCause) {
        self.app.new_events(event_loop, cause);
    }

    fn user_event(&mut self, event_loop: &ActiveEventLoop, event: UserEvent) {
        self.take_keys(event_loop);
        self.cover.borrow_mut().wake();
        self.app.user_event(event_loop, event);
    }

    fn about_to_wait(&mut self, event_loop: &ActiveEventLoop) {
        self.attend_cover(event_loop);
        self.take_keys(event_loop);
        self.attend_keys(event_loop);
        self.app.about_to_wait(event_loop);
    }

    fn exiting(&mut self, event_loop: &ActiveEventLoop) {
        self.app.exiting(event_loop);
    }

    fn memory_warning(&mut self, event_loop: &ActiveEventLoop) {
        self.app.memory_warning(event_loop);
    }
}

/// What tells this process's display apart from others: `None` where there is none.
pub(crate) fn display_name() -> Option<String> {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    // As winit chooses.
    set("WAYLAND_DISPLAY")
        .or_else(|| set("WAYLAND_SOCKET"))
        .map(|name| format!("wayland:{name}"))
        .or_else(|| set("DISPLAY").map(|name| format!("x11:{name}")))
}
