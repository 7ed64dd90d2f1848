//! What a person does at a machine's window, before egui sees it.

use std::collections::VecDeque;

use eframe::egui;
use machine::{
    console::{Button, Input},
    keys::Key,
};
use winit::{event::MouseButton, keyboard::PhysicalKey};

use super::{
    keyboard::{Keyboard, Stroke, from_winit},
    link::Link,
};
use crate::ui::shell::Watcher;

/// What the window itself is asked for by keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// The host key with this one.
    Host(Key),
    /// The host key alone.
    HostTap,
}

/// Keyboard and mouse of one window.
pub(super) struct Hands {
    link: Link,
    keyboard: Keyboard,
    context: Option<egui::Context>,
    /// The keys are the guest's, and not those of a menu or a dialog.
    keys_to_guest: bool,
    /// The mouse is the guest's.
    captured: bool,
    /// The window has the keyboard.
    focused: bool,
    /// Movement and turns that are no whole counts yet.
    rest: (f64, f64),
    wheel_rest: f32,
    asked: VecDeque<Asked>,
}

impl Hands {
    pub(super) fn new(link: Link, host_key: Key) -> Self {
        Hands {
            link,
            keyboard: Keyboard::new(host_key),
            context: None,
            keys_to_guest: false,
            captured: false,
            focused: false,
            rest: (0.0, 0.0),
            wheel_rest: 0.0,
            asked: VecDeque::new(),
        }
    }

    /// Draws `context` anew when something is asked of the window.
    pub(super) fn attend(&mut self, context: egui::Context) {
        self.context = Some(context);
    }

    pub(super) fn host_key(&self) -> Key {
        self.keyboard.host_key()
    }

    /// What was asked of the window since the last call.
    pub(super) fn take_asked(&mut self) -> VecDeque<Asked> {
        std::mem::take(&mut self.asked)
    }

    /// Says whether keys are the guest's from now on.
    pub(super) fn give_keys(&mut self, to_guest: bool) {
        if self.keys_to_guest && !to_guest {
            self.let_go();
        }
        self.keys_to_guest = to_guest;
    }

    /// Says whether the mouse is the guest's from now on.
    pub(super) fn capture(&mut self, captured: bool) {
        self.captured = captured;
        self.rest = (0.0, 0.0);
    }

    pub(super) fn is_captured(&self) -> bool {
        self.captured
    }

    pub(super) fn is_focused(&self) -> bool {
        self.focused
    }

    fn ask(&mut self, asked: Asked) {
        self.asked.push_back(asked);
        if let Some(context) = &self.context {
            context.request_repaint();
        }
    }
}

impl Watcher for Hands {
    fn key(&mut self, key: PhysicalKey, down: bool) -> bool {
        if !self.keys_to_guest {
            return false;
        }
        let Some(key) = from_winit(key) else { return true };
        match self.keyboard.stroke(key, down) {
            Stroke::Guest(inputs) => self.link.input(inputs),
            Stroke::Host(key) => self.ask(Asked::Host(key)),
            Stroke::HostTap => self.ask(Asked::HostTap),
            Stroke::None => {}
        }
        true
    }

    fn movement(&mut self, dx: f64, dy: f64) {
        if !self.captured || !self.focused {
            return;
        }
        self.rest = (self.rest.0 + dx, self.rest.1 + dy);
        let whole = (self.rest.0.trunc(), self.rest.1.trunc());
        self.rest = (self.rest.0 - whole.0, self.rest.1 - whole.1);
        if whole != (0.0, 0.0) {
            self.link.input(vec![Input::Move { dx: whole.0 as i32, dy: whole.1 as i32 }]);
        }
    }

    fn button(&mut self, button: MouseButton, down: bool) -> bool {
        if !self.captured {
            return false;
        }
        let button = match button {
            MouseButton::Left => Button::Left,
            MouseButton::Middle => Button::Middle,
            MouseButton::Right => Button::Right,
            MouseButton::Back => Button::Back,
            MouseButton::Forward => Button::Forward,
            MouseButton::Other(_) => return true,
        };
        self.link.input(vec![Input::Button { button, down }]);
        true
    }

    fn wheel(&mut self, notches: f32) -> bool {
        if !self.captured {
            return false;
        }
        self.wheel_rest += notches;
        let whole = self.wheel_rest.trunc();
        self.wheel_rest -= whole;
        if whole != 0.0 {
            self.link.input(vec![Input::Wheel { notches: whole as i32 }]);
        }
        true
    }

    fn focus(&mut self, focused: bool) {
        self.focused = focused;
        if !focused {
            self.let_go();
        }
        if let Some(context) = &self.context {
            context.request_repaint();
        }
    }

    fn let_go(&mut self) {
        let released = self.keyboard.let_go();
        self.link.input(released);
    }

    fn wants_every_key(&self) -> bool {
        self.captured && self.keys_to_guest
    }
}
