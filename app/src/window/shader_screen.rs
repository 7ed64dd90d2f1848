//! Full screen with a filter: a second window that covers the first, with nothing in it but the guest's picture, drawn by shaders.
//!
//! Egui draws to its window by OpenGL and the shaders draw by Vulkan, and a window's surface has one owner: hence the second
//! window. It shows messages, but neither menus nor questions: as soon as egui has one of those to show, the cover is taken away,
//! and the window beneath, which fills the screen as well, shows the picture as ever. While it is covered it isn't painted
//! ([`Cover::is_up`]), so of the two only one takes the link's damage at a time.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use display::renderer::{
    Filter, Renderer,
    gpu::{self, Gpu},
    window::ShaderRenderer,
};
use eframe::egui;
use machine::console::Frame;
use winit::{
    event::{ElementState, WindowEvent},
    event_loop::ActiveEventLoop,
    raw_window_handle::{HasWindowHandle as _, RawWindowHandle},
    window::{CursorGrabMode, Fullscreen, Window, WindowId},
};

use super::{link::Link, note};
use crate::ui::shell::Cover;

/// Allows software to do a graphics processor's work: for tests, it is slow.
const ALLOW_SOFTWARE: &str = "TANDEM_SOFTWARE_SHADERS";

/// How long the cover asks for the keyboard, if it isn't given it.
const CLAIM: Duration = Duration::from_secs(2);

/// So close to the upper edge the pointer brings the menus, in pixels of the screen.
const EDGE: f64 = 3.0;

/// What the person did to the cover that the window beneath has to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Happened {
    /// They clicked the picture.
    Clicked,
    /// The pointer touched the upper edge, where menus come from.
    EdgeTouched,
    /// They, or their desktop, closed it.
    Closed,
    /// It can't be shown any more, and this is why.
    Failed(String),
}

/// The cover, and what it is to be.
pub(super) struct ShaderScreen {
    link: Link,
    title: String,
    context: Option<egui::Context>,
    /// What the probe found, once it was made.
    probed: Option<Result<Gpu, String>>,
    wanted: Option<Filter>,
    captured: bool,
    /// What is said over the picture.
    said: Option<String>,
    cover: Option<Shown>,
    happened: Vec<Happened>,
}

/// The cover's window.
struct Shown {
    // The renderer's surface goes before its window.
    renderer: ShaderRenderer,
    window: Arc<Window>,
    filter: Filter,
    captured: bool,
    /// What is said over the picture.
    said: Option<String>,
    /// The damage before its time went elsewhere: all of the picture is to be brought.
    stale: bool,
    /// Until when it asks for the keyboard.
    claim: Option<Instant>,
}

impl ShaderScreen {
    pub(super) fn new(link: Link, title: &str) -> Self {
        ShaderScreen {
            link,
            title: format!("{title} (full screen)"),
            context: None,
            probed: None,
            wanted: None,
            captured: false,
            said: None,
            cover: None,
            happened: Vec::new(),
        }
    }

    /// Whether filters can be had here, and why not.
    pub(super) fn probe(&mut self) -> Result<(), String> {
        let probed = self.probed.get_or_insert_with(|| {
            let allow_software = std::env::var_os(ALLOW_SOFTWARE).is_some_and(|value| value == "1");
            let found = gpu::find(allow_software);
            match &found {
                Ok(gpu) => tracing::info!(%gpu, "filters run on"),
                Err(error) => tracing::info!(%error, "there are no filters"),
            }
            found.map_err(|error| error.to_string())
        });
        probed.as_ref().map(|_| ()).map_err(Clone::clone)
    }

    /// Says what is to cover the window: a picture with this filter, or nothing. The event loop sees to it; `context` hears
    /// what happens.
    pub(super) fn want(&mut self, context: &egui::Context, filter: Option<Filter>) {
        self.context.get_or_insert_with(|| context.clone());
        self.wanted = filter;
    }

    /// Says whether the machine has the mouse.
    pub(super) fn capture(&mut self, captured: bool) {
        self.captured = captured;
    }

    /// What is to be said over the picture.
    pub(super) fn say(&mut self, text: Option<&str>) {
        if self.said.as_deref() != text {
            self.said = text.map(str::to_owned);
        }
    }

    /// What has happened since the last call.
    pub(super) fn take_happened(&mut self) -> Vec<Happened> {
        std::mem::take(&mut self.happened)
    }

    fn tell(&mut self, happened: Happened) {
        self.happened.push(happened);
        if let Some(context) = &self.context {
            context.request_repaint();
        }
    }

    fn fail(&mut self, why: String) {
        self.cover = None;
        self.wanted = None;
        // It would fail again.
        self.probed = Some(Err(why.clone()));
        self.tell(Happened::Failed(why));
    }

    fn show(&mut self, event_loop: &ActiveEventLoop, filter: Filter) -> Result<Shown, String> {
        let Some(Ok(gpu)) = &self.probed else { return Err("no graphics processor was looked for".into()) };
        let attributes = Window::default_attributes()
            .with_title(self.title.clone())
            .with_decorations(false)
            .with_fullscreen(Some(Fullscreen::Borderless(None)));
        let window = event_loop.create_window(attributes).map_err(|error| error.to_string())?;
        let window = Arc::new(window);
        let renderer = ShaderRenderer::new(window.clone(), window.inner_size().into(), gpu, filter);
        let renderer = renderer.map_err(|error| error.to_string())?;
        window.request_redraw();
        let claim = Some(Instant::now() + CLAIM);
        Ok(Shown { renderer, window, filter, captured: false, said: None, stale: true, claim })
    }

    fn draw(&mut self) {
        let Some(cover) = &mut self.cover else { return };
        if cover.claim.is_some_and(|until| cover.window.has_focus() || Instant::now() >= until) {
            cover.claim = None;
        } else if cover.claim.is_some() {
            // Not every window manager gives it by itself, and it can't be asked for before the window is seen.
            cover.window.focus_window();
            cover.window.request_redraw();
        }
        cover.renderer.resize(cover.window.inner_size().into());
        {
            let mut seen = self.link.seen();
            let mut damage = std::mem::take(&mut seen.damage);
            let frame: &Frame = &seen.frame;
            if std::mem::take(&mut cover.stale) {
                damage = vec![frame.bounds()];
            }
            let placement = cover.filter.place((frame.width(), frame.height()), cover.renderer.size());
            cover.renderer.update(frame, &damage, placement);
        }
        cover.window.pre_present_notify();
        match cover.renderer.draw(()) {
            Ok(()) if cover.renderer.is_behind() => cover.window.request_redraw(),
            Ok(()) => {}
            Err(error) => self.fail(error.to_string()),
        }
    }
}

impl Shown {
    /// Gives the mouse to the machine, or takes it back. The pointer's own movement is told in either case.
    fn capture(&mut self, captured: bool) {
        if self.captured == captured {
            return;
        }
        self.captured = captured;
        let modes: &[CursorGrabMode] =
            if captured { &[CursorGrabMode::Locked, CursorGrabMode::Confined] } else { &[CursorGrabMode::None] };
        if !modes.iter().any(|&mode| self.window.set_cursor_grab(mode).is_ok()) {
            tracing::debug!("the pointer can't be held in the picture");
        }
        self.window.set_cursor_visible(!captured);
    }
}

impl Cover for ShaderScreen {
    fn is_up(&self) -> bool {
        self.cover.is_some()
    }

    fn attend(&mut self, event_loop: &ActiveEventLoop) {
        match (self.wanted, &mut self.cover) {
            (Some(filter), Some(cover)) => {
                if cover.filter != filter {
                    cover.filter = filter;
                    cover.renderer.set_filter(filter);
                    cover.window.request_redraw();
                }
            }
            (Some(filter), None) => match self.show(event_loop, filter) {
                Ok(cover) => self.cover = Some(cover),
                Err(why) => self.fail(why),
            },
            (None, _) => self.cover = None,
        }
        if let Some(cover) = &mut self.cover {
            cover.capture(self.captured);
            if let Some(context) = &self.context
                && cover.said != self.said
            {
                cover.said.clone_from(&self.said);
                let width = cover.renderer.size().0;
                let note = cover.said.as_ref().map(|text| note::picture(context, text, width));
                cover.renderer.set_note(note.as_ref());
                cover.window.request_redraw();
            }
        }
    }

    fn wake(&mut self) {
        if let Some(cover) = &self.cover
            && !self.link.seen().damage.is_empty()
        {
            cover.window.request_redraw();
        }
    }

    fn owns(&self, window: WindowId) -> bool {
        self.cover.as_ref().is_some_and(|cover| cover.window.id() == window)
    }

    fn handle(&self) -> Option<RawWindowHandle> {
        let cover = self.cover.as_ref()?;
        cover.window.window_handle().ok().map(|handle| handle.as_raw())
    }

    fn window_event(&mut self, event: &WindowEvent) {
        match event {
            WindowEvent::RedrawRequested => self.draw(),
            WindowEvent::Resized(_) | WindowEvent::ScaleFactorChanged { .. } => {
                if let Some(cover) = &self.cover {
                    cover.window.request_redraw();
                }
            }
            WindowEvent::MouseInput { state: ElementState::Released, .. } => self.tell(Happened::Clicked),
            WindowEvent::CursorMoved { position, .. } if position.y < EDGE && !self.captured => {
                self.tell(Happened::EdgeTouched);
            }
            WindowEvent::CloseRequested => self.tell(Happened::Closed),
            _ => {}
        }
    }
}
