//! From a person's keyboard to the guest's: physical keys, the host key, and no key that stays down.

use machine::{console::Input, keys::Key};
use winit::keyboard::{KeyCode, PhysicalKey};

/// What a key means to a machine's window.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Stroke {
    /// The guest gets these.
    Guest(Vec<Input>),
    /// The host key and this one: something that the window does.
    Host(Key),
    /// The host key alone, pressed and released.
    HostTap,
    /// Nothing.
    None,
}

/// The keys of one window.
#[derive(Debug)]
pub(super) struct Keyboard {
    host_key: Key,
    /// The host key is down; whether another has been pressed with it.
    host: Option<bool>,
    /// What the guest believes to be down, in the order in which it went down.
    held: Vec<Key>,
    /// What is down for the window only, so that its release isn't the guest's either.
    ours: Vec<Key>,
}

impl Keyboard {
    pub(super) fn new(host_key: Key) -> Self {
        Keyboard { host_key, host: None, held: Vec::new(), ours: Vec::new() }
    }

    pub(super) fn host_key(&self) -> Key {
        self.host_key
    }

    /// A key goes down (again, when it repeats) or up.
    pub(super) fn stroke(&mut self, key: Key, down: bool) -> Stroke {
        if key == self.host_key {
            return match (down, self.host) {
                (true, None) => {
                    self.host = Some(false);
                    Stroke::None
                }
                (true, Some(_)) => Stroke::None,
                (false, used) => {
                    self.host = None;
                    if used == Some(false) { Stroke::HostTap } else { Stroke::None }
                }
            };
        }
        if down && let Some(used) = &mut self.host {
            *used = true;
            // It repeats: once is enough.
            if self.ours.contains(&key) {
                return Stroke::None;
            }
            self.ours.push(key);
            return Stroke::Host(key);
        }
        if let Some(position) = self.ours.iter().position(|&ours| ours == key) {
            if !down {
                self.ours.remove(position);
            }
            return Stroke::None;
        }
        let was_held = self.held.contains(&key);
        if down && !was_held {
            self.held.push(key);
        } else if !down {
            if !was_held {
                return Stroke::None;
            }
            self.held.retain(|&held| held != key);
        }
        Stroke::Guest(vec![Input::Key { key, down }])
    }

    /// The window has lost the keyboard: what is down will be released elsewhere. Gives the releases for the guest.
    pub(super) fn let_go(&mut self) -> Vec<Input> {
        self.host = None;
        self.ours.clear();
        self.held.drain(..).rev().map(|key| Input::Key { key, down: false }).collect()
    }
}

/// The key of ours that winit calls so.
pub(super) fn from_winit(key: PhysicalKey) -> Option<Key> {
    match key {
        PhysicalKey::Code(KeyCode::SuperLeft) => Some(Key::MetaLeft),
        PhysicalKey::Code(KeyCode::SuperRight) => Some(Key::MetaRight),
        // Both use the W3C's names.
        PhysicalKey::Code(code) => format!("{code:?}").parse().ok(),
        PhysicalKey::Unidentified(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(key: Key, down: bool) -> Stroke {
        Stroke::Guest(vec![Input::Key { key, down }])
    }

    #[test]
    fn keys_pass_and_repeat() {
        let mut keyboard = Keyboard::new(Key::ControlRight);
        assert_eq!(keyboard.stroke(Key::KeyA, true), key(Key::KeyA, true));
        assert_eq!(keyboard.stroke(Key::KeyA, true), key(Key::KeyA, true));
        assert_eq!(keyboard.stroke(Key::KeyA, false), key(Key::KeyA, false));
        assert_eq!(keyboard.stroke(Key::KeyA, false), Stroke::None, "its press was elsewhere");
    }

    #[test]
    fn the_host_key_alone_is_a_tap_and_with_another_an_action() {
        let mut keyboard = Keyboard::new(Key::ControlRight);
        assert_eq!(keyboard.stroke(Key::ControlRight, true), Stroke::None);
        assert_eq!(keyboard.stroke(Key::ControlRight, false), Stroke::HostTap);
        keyboard.stroke(Key::ControlRight, true);
        assert_eq!(keyboard.stroke(Key::KeyF, true), Stroke::Host(Key::KeyF));
        assert_eq!(keyboard.stroke(Key::KeyF, true), Stroke::None, "a repetition");
        assert_eq!(keyboard.stroke(Key::ControlRight, false), Stroke::None);
        assert_eq!(keyboard.stroke(Key::KeyF, false), Stroke::None, "the guest has not seen its press");
        assert_eq!(keyboard.stroke(Key::KeyF, true), key(Key::KeyF, true));
    }

    #[test]
    fn a_key_that_went_down_before_the_host_key_comes_up_in_the_guest() {
        let mut keyboard = Keyboard::new(Key::ControlRight);
        keyboard.stroke(Key::ShiftLeft, true);
        keyboard.stroke(Key::ControlRight, true);
        assert_eq!(keyboard.stroke(Key::ShiftLeft, false), key(Key::ShiftLeft, false));
    }

    #[test]
    fn nothing_stays_down_when_the_window_loses_the_keyboard() {
        let mut keyboard = Keyboard::new(Key::ControlRight);
        keyboard.stroke(Key::AltLeft, true);
        keyboard.stroke(Key::Tab, true);
        let released = keyboard.let_go();
        assert_eq!(released, [Key::Tab, Key::AltLeft].map(|key| Input::Key { key, down: false }));
        assert!(keyboard.let_go().is_empty());
        keyboard.stroke(Key::ControlRight, true);
        keyboard.let_go();
        assert_eq!(keyboard.stroke(Key::KeyF, true), key(Key::KeyF, true), "the host key isn't down any more");
    }

    #[test]
    fn the_keys_of_all_boards_are_known() {
        use KeyCode as Code;
        for (code, expected) in [
            (Code::SuperLeft, Key::MetaLeft),
            (Code::NumpadEnter, Key::NumpadEnter),
            (Code::IntlBackslash, Key::IntlBackslash),
            (Code::IntlRo, Key::IntlRo),
            (Code::IntlYen, Key::IntlYen),
            (Code::ControlRight, Key::ControlRight),
            (Code::PrintScreen, Key::PrintScreen),
            (Code::F24, Key::F24),
            (Code::Lang1, Key::Lang1),
        ] {
            assert_eq!(from_winit(PhysicalKey::Code(code)), Some(expected));
        }
        assert_eq!(from_winit(PhysicalKey::Code(Code::Turbo)), None);
    }
}
