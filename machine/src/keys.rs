//! Physical keys, by the names of the W3C's UI Events `code` values (https://www.w3.org/TR/uievents-code/):
//! a name says where a key is on the board, not which character it makes.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

macro_rules! keys {
    ($($(#[$group:meta])* $name:ident,)*) => {
        /// A physical key, by its `code` name.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[allow(missing_docs)] // the names are the W3C's
        pub enum Key { $($(#[$group])* $name,)* }

        impl Key {
            /// Every key.
            pub const ALL: &[Key] = &[$(Key::$name,)*];

            /// The key's `code` name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Key::$name => stringify!($name),)* }
            }
        }
    };
}

keys! {
    // Writing system keys.
    KeyA, KeyB, KeyC, KeyD, KeyE, KeyF, KeyG, KeyH, KeyI, KeyJ, KeyK, KeyL, KeyM, KeyN, KeyO, KeyP, KeyQ,
    KeyR, KeyS, KeyT, KeyU, KeyV, KeyW, KeyX, KeyY, KeyZ, Digit0, Digit1, Digit2, Digit3, Digit4, Digit5,
    Digit6, Digit7, Digit8, Digit9, Backquote, Minus, Equal, BracketLeft, BracketRight, Backslash, Semicolon,
    Quote, Comma, Period, Slash, IntlBackslash, IntlRo, IntlYen,
    // Functional keys.
    Backspace, Tab, CapsLock, Enter, ShiftLeft, ShiftRight, ControlLeft, ControlRight, AltLeft, AltRight,
    MetaLeft, MetaRight, ContextMenu, Space, Convert, NonConvert, KanaMode, Lang1, Lang2, Lang3, Lang4, Lang5,
    // Control pad and arrows.
    Insert, Delete, Home, End, PageUp, PageDown, Help, ArrowLeft, ArrowRight, ArrowUp, ArrowDown,
    // Number pad.
    NumLock, Numpad0, Numpad1, Numpad2, Numpad3, Numpad4, Numpad5, Numpad6, Numpad7, Numpad8, Numpad9,
    NumpadAdd, NumpadSubtract, NumpadMultiply, NumpadDivide, NumpadDecimal, NumpadEnter, NumpadEqual,
    NumpadComma,
    // Function section.
    Escape, F1, F2, F3, F4, F5, F6, F7, F8, F9, F10, F11, F12, F13, F14, F15, F16, F17, F18, F19, F20, F21,
    F22, F23, F24, PrintScreen, ScrollLock, Pause,
    // Media and power keys.
    AudioVolumeMute, AudioVolumeDown, AudioVolumeUp, MediaTrackNext, MediaTrackPrevious, MediaStop,
    MediaPlayPause, MediaSelect, LaunchMail, LaunchApp1, LaunchApp2, BrowserSearch, BrowserHome, BrowserBack,
    BrowserForward, BrowserStop, BrowserRefresh, BrowserFavorites, Power, Sleep, WakeUp,
}

impl fmt::Display for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// There is no key of that name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no key '{0}'")]
pub struct UnknownKey(pub String);

impl FromStr for Key {
    type Err = UnknownKey;

    /// By `code` name, in any case.
    fn from_str(name: &str) -> Result<Self, UnknownKey> {
        Key::ALL
            .iter()
            .copied()
            .find(|key| key.name().eq_ignore_ascii_case(name))
            .ok_or_else(|| UnknownKey(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_leads_back_to_its_key() {
        for &key in Key::ALL {
            assert_eq!(key.name().to_lowercase().parse(), Ok(key));
        }
        assert_eq!("KeyÄ".parse::<Key>(), Err(UnknownKey("KeyÄ".into())));
    }
}
