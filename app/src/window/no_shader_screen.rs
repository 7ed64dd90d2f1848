//! In the place of `shader_screen.rs` in a program that was built without shaders: full screen has no filters.

use display::renderer::Filter;
use eframe::egui;
use winit::{event::WindowEvent, event_loop::ActiveEventLoop, window::WindowId};

use super::link::Link;
use crate::ui::shell::Cover;

/// What the person does to a cover, which never happens.
#[allow(dead_code, reason = "there is no cover")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Happened {
    Clicked,
    EdgeTouched,
    Closed,
    Failed(String),
}

/// No cover.
pub(super) struct ShaderScreen;

impl ShaderScreen {
    pub(super) fn new(_link: Link, _title: &str) -> Self {
        ShaderScreen
    }

    pub(super) fn probe(&mut self) -> Result<(), String> {
        Err("this program was built without filters".into())
    }

    pub(super) fn want(&mut self, _context: &egui::Context, _filter: Option<Filter>) {}

    pub(super) fn capture(&mut self, _captured: bool) {}

    pub(super) fn say(&mut self, _text: Option<&str>) {}

    pub(super) fn take_happened(&mut self) -> Vec<Happened> {
        Vec::new()
    }
}

impl Cover for ShaderScreen {
    fn is_up(&self) -> bool {
        false
    }

    fn attend(&mut self, _event_loop: &ActiveEventLoop) {}

    fn wake(&mut self) {}

    fn owns(&self, _window: WindowId) -> bool {
        false
    }

    fn window_event(&mut self, _event: &WindowEvent) {}
}
