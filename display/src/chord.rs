//! Keys by the names that people use, alone or held together: `f12`, `ctrl+alt+del`, `win+r`, `ShiftRight+Tab`.

use std::{fmt, str::FromStr};

use machine::{console::Input, keys::Key};

use crate::layout::stroke;

/// Names beside the W3C's `code` names and the characters of a US keyboard.
const NAMES: &[(&str, Key)] = &[
    ("ctrl", Key::ControlLeft),
    ("control", Key::ControlLeft),
    ("lctrl", Key::ControlLeft),
    ("rctrl", Key::ControlRight),
    ("shift", Key::ShiftLeft),
    ("lshift", Key::ShiftLeft),
    ("rshift", Key::ShiftRight),
    ("alt", Key::AltLeft),
    ("lalt", Key::AltLeft),
    ("ralt", Key::AltRight),
    ("altgr", Key::AltRight),
    ("option", Key::AltLeft),
    ("win", Key::MetaLeft),
    ("lwin", Key::MetaLeft),
    ("rwin", Key::MetaRight),
    ("super", Key::MetaLeft),
    ("meta", Key::MetaLeft),
    ("cmd", Key::MetaLeft),
    ("menu", Key::ContextMenu),
    ("apps", Key::ContextMenu),
    ("esc", Key::Escape),
    ("return", Key::Enter),
    ("spacebar", Key::Space),
    ("bksp", Key::Backspace),
    ("del", Key::Delete),
    ("ins", Key::Insert),
    ("pgup", Key::PageUp),
    ("pgdn", Key::PageDown),
    ("pgdown", Key::PageDown),
    ("up", Key::ArrowUp),
    ("down", Key::ArrowDown),
    ("left", Key::ArrowLeft),
    ("right", Key::ArrowRight),
    ("print", Key::PrintScreen),
    ("prtsc", Key::PrintScreen),
    ("prtscr", Key::PrintScreen),
    ("sysrq", Key::PrintScreen),
    ("break", Key::Pause),
    ("caps", Key::CapsLock),
    ("num", Key::NumLock),
    ("scroll", Key::ScrollLock),
    ("plus", Key::Equal),
    ("equals", Key::Equal),
    ("hyphen", Key::Minus),
    ("dot", Key::Period),
    ("102nd", Key::IntlBackslash),
    ("kp0", Key::Numpad0),
    ("kp1", Key::Numpad1),
    ("kp2", Key::Numpad2),
    ("kp3", Key::Numpad3),
    ("kp4", Key::Numpad4),
    ("kp5", Key::Numpad5),
    ("kp6", Key::Numpad6),
    ("kp7", Key::Numpad7),
    ("kp8", Key::Numpad8),
    ("kp9", Key::Numpad9),
    ("kpadd", Key::NumpadAdd),
    ("kpsubtract", Key::NumpadSubtract),
    ("kpmultiply", Key::NumpadMultiply),
    ("kpdivide", Key::NumpadDivide),
    ("kpdot", Key::NumpadDecimal),
    ("kpenter", Key::NumpadEnter),
    ("mute", Key::AudioVolumeMute),
    ("volumedown", Key::AudioVolumeDown),
    ("volumeup", Key::AudioVolumeUp),
];

/// The keys of a chord can't be told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChordError {
    /// No key has this name.
    #[error("there is no key '{name}'{}", .suggestion.map(|name| format!("; did you mean '{name}'?")).unwrap_or_default())]
    UnknownKey {
        /// The name.
        name: String,
        /// A name that is nearly the same.
        suggestion: Option<&'static str>,
    },
    /// A name is missing before, between or after plus signs.
    #[error("'{0}' lacks the name of a key (the plus key itself is 'plus')")]
    MissingKey(String),
    /// A key comes twice.
    #[error("the key {0} comes twice: keys held together have to be different")]
    Twice(Key),
}

/// Keys that are held together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chord(Vec<Key>);

impl Chord {
    /// The keys, in the order in which they go down.
    #[must_use]
    pub fn keys(&self) -> &[Key] {
        &self.0
    }

    /// What a keyboard sends: the keys go down in order, and up again in the opposite order.
    #[must_use]
    pub fn inputs(&self) -> Vec<Input> {
        let down = self.0.iter().map(|&key| Input::Key { key, down: true });
        let up = self.0.iter().rev().map(|&key| Input::Key { key, down: false });
        down.chain(up).collect()
    }
}

impl FromStr for Chord {
    type Err = ChordError;

    /// Names joined by `+`, in any case, with or without `_` and `-` inside.
    fn from_str(text: &str) -> Result<Self, ChordError> {
        // A plus sign at the end, alone or after another, is the plus key.
        let (names, plus) = match text.strip_suffix('+') {
            Some("") => (None, true),
            Some(rest) if rest.ends_with('+') => (rest.strip_suffix('+'), true),
            _ => (Some(text), false),
        };
        let names = names.into_iter().flat_map(|names| names.split('+')).chain(plus.then_some("+"));
        let mut keys = Vec::new();
        for name in names.map(str::trim) {
            if name.is_empty() {
                return Err(ChordError::MissingKey(text.to_owned()));
            }
            let (key, shift) = find(name)?;
            for key in shift.then_some(Key::ShiftLeft).into_iter().chain([key]) {
                if keys.contains(&key) {
                    return Err(ChordError::Twice(key));
                }
                keys.push(key);
            }
        }
        Ok(Chord(keys))
    }
}

impl fmt::Display for Chord {
    /// The `code` names, joined by `+`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0.iter().map(|key| key.name()).collect::<Vec<_>>().join("+"))
    }
}

/// The key called `name`, and whether its character needs Shift.
fn find(name: &str) -> Result<(Key, bool), ChordError> {
    let mut characters = name.chars();
    if let (Some(character), None) = (characters.next(), characters.next())
        && let Some(stroke) = stroke(character)
    {
        // `win+R` means the key, whatever its case; `ctrl+?` needs Shift.
        return Ok((stroke.key, stroke.shift && !character.is_ascii_alphabetic()));
    }
    if name.eq_ignore_ascii_case("plus") {
        return Ok((Key::Equal, true));
    }
    let wanted = normal(name);
    let known = NAMES.iter().copied().chain(Key::ALL.iter().map(|&key| (key.name(), key)));
    if let Some((_, key)) = known.clone().find(|(known, _)| normal(known) == wanted) {
        return Ok((key, false));
    }
    let near = known.map(|(known, _)| (distance(&wanted, &normal(known)), known)).min_by_key(|&(distance, _)| distance);
    // One slip in a short name, two in a long one.
    let allowed = if wanted.len() < 5 { 1 } else { 2 };
    let suggestion = near.filter(|&(distance, _)| distance <= allowed).map(|(_, known)| known);
    Err(ChordError::UnknownKey { name: name.to_owned(), suggestion })
}

fn normal(name: &str) -> String {
    name.chars().filter(|character| !matches!(character, '_' | '-' | ' ')).flat_map(char::to_lowercase).collect()
}

/// Characters to insert, delete, replace or swap with their neighbour (optimal string alignment distance).
fn distance(left: &str, right: &str) -> usize {
    let (left, right): (Vec<char>, Vec<char>) = (left.chars().collect(), right.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=right.len()).collect();
    for i in 1..=left.len() {
        let mut row = vec![i];
        for j in 1..=right.len() {
            let change = above[j - 1] + usize::from(left[i - 1] != right[j - 1]);
            let mut best = change.min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && left[i - 1] == right[j - 2] && left[i - 2] == right[j - 1] {
                best = best.min(before[j - 2] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[right.len()]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn keys(text: &str) -> Vec<Key> {
        text.parse::<Chord>().unwrap_or_else(|error| panic!("{text}: {error}")).0
    }

    #[test]
    fn usual_names_are_known() {
        assert_eq!(keys("ctrl+alt+del"), [Key::ControlLeft, Key::AltLeft, Key::Delete]);
        assert_eq!(keys("Ctrl + Alt + F2"), [Key::ControlLeft, Key::AltLeft, Key::F2]);
        assert_eq!(keys("shift+tab"), [Key::ShiftLeft, Key::Tab]);
        assert_eq!(keys("win+R"), [Key::MetaLeft, Key::KeyR]);
        assert_eq!(keys("rctrl+rshift"), [Key::ControlRight, Key::ShiftRight]);
        for (name, key) in [
            ("f12", Key::F12),
            ("enter", Key::Enter),
            ("esc", Key::Escape),
            ("up", Key::ArrowUp),
            ("printscreen", Key::PrintScreen),
            ("print-screen", Key::PrintScreen),
            ("page_down", Key::PageDown),
            ("KeyA", Key::KeyA),
            ("numpadenter", Key::NumpadEnter),
            ("5", Key::Digit5),
            ("/", Key::Slash),
            ("-", Key::Minus),
        ] {
            assert_eq!(keys(name), [key], "{name}");
        }
    }

    #[test]
    fn the_plus_key_can_be_pressed() {
        assert_eq!(keys("+"), [Key::ShiftLeft, Key::Equal]);
        assert_eq!(keys("ctrl++"), [Key::ControlLeft, Key::ShiftLeft, Key::Equal]);
        assert_eq!(keys("ctrl+plus"), keys("ctrl++"));
        assert_eq!(keys("ctrl+?"), [Key::ControlLeft, Key::ShiftLeft, Key::Slash]);
    }

    #[test]
    fn a_typo_gets_a_suggestion() {
        for (typo, message) in [
            ("contrl", "there is no key 'contrl'; did you mean 'control'?"),
            ("ecs", "there is no key 'ecs'; did you mean 'esc'?"),
            ("entre", "there is no key 'entre'; did you mean 'Enter'?"),
            ("ctrl+dell", "there is no key 'dell'; did you mean 'del'?"),
            ("f25", "there is no key 'f25'; did you mean 'F2'?"),
            ("flux-capacitor", "there is no key 'flux-capacitor'"),
            ("ä", "there is no key 'ä'"),
            ("ctrl+", "'ctrl+' lacks the name of a key (the plus key itself is 'plus')"),
            ("", "'' lacks the name of a key (the plus key itself is 'plus')"),
            ("a++b", "'a++b' lacks the name of a key (the plus key itself is 'plus')"),
            ("ctrl+lctrl", "the key ControlLeft comes twice: keys held together have to be different"),
        ] {
            assert_eq!(typo.parse::<Chord>().unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn keys_go_up_in_the_opposite_order() {
        let inputs = "alt+f4".parse::<Chord>().unwrap().inputs();
        let expected = [(Key::AltLeft, true), (Key::F4, true), (Key::F4, false), (Key::AltLeft, false)];
        assert_eq!(inputs, expected.map(|(key, down)| Input::Key { key, down }));
    }

    #[test]
    fn each_code_name_leads_to_its_key_and_no_name_comes_twice() {
        for &key in Key::ALL {
            assert_eq!(keys(key.name()), [key]);
        }
        let mut names: Vec<String> = NAMES.iter().map(|(name, _)| (*name).to_owned()).collect();
        names.extend(Key::ALL.iter().map(|key| normal(key.name())));
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    proptest! {
        #[test]
        fn a_chord_reads_back_what_it_writes(indexes in prop::collection::hash_set(0..Key::ALL.len(), 1..5)) {
            let chord = Chord(indexes.into_iter().map(|index| Key::ALL[index]).collect());
            prop_assert_eq!(chord.to_string().parse::<Chord>(), Ok(chord));
        }

        #[test]
        fn no_text_makes_it_panic(text in ".{0,40}") {
            let _ = text.parse::<Chord>();
        }
    }
}
