//! The US keyboard layout: which key makes which character.

use machine::keys::Key;

/// A key, and whether Shift is held with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Stroke {
    /// The key.
    pub key: Key,
    /// Whether Shift is held.
    pub shift: bool,
}

/// Keys that make two characters, without and with Shift. Letters come apart.
const PAIRS: &[(Key, char, char)] = &[
    (Key::Backquote, '`', '~'),
    (Key::Digit1, '1', '!'),
    (Key::Digit2, '2', '@'),
    (Key::Digit3, '3', '#'),
    (Key::Digit4, '4', '$'),
    (Key::Digit5, '5', '%'),
    (Key::Digit6, '6', '^'),
    (Key::Digit7, '7', '&'),
    (Key::Digit8, '8', '*'),
    (Key::Digit9, '9', '('),
    (Key::Digit0, '0', ')'),
    (Key::Minus, '-', '_'),
    (Key::Equal, '=', '+'),
    (Key::BracketLeft, '[', '{'),
    (Key::BracketRight, ']', '}'),
    (Key::Backslash, '\\', '|'),
    (Key::Semicolon, ';', ':'),
    (Key::Quote, '\'', '"'),
    (Key::Comma, ',', '<'),
    (Key::Period, '.', '>'),
    (Key::Slash, '/', '?'),
];

const LETTERS: [Key; 26] = [
    Key::KeyA,
    Key::KeyB,
    Key::KeyC,
    Key::KeyD,
    Key::KeyE,
    Key::KeyF,
    Key::KeyG,
    Key::KeyH,
    Key::KeyI,
    Key::KeyJ,
    Key::KeyK,
    Key::KeyL,
    Key::KeyM,
    Key::KeyN,
    Key::KeyO,
    Key::KeyP,
    Key::KeyQ,
    Key::KeyR,
    Key::KeyS,
    Key::KeyT,
    Key::KeyU,
    Key::KeyV,
    Key::KeyW,
    Key::KeyX,
    Key::KeyY,
    Key::KeyZ,
];

/// The stroke that types `character`, if the layout has one. A line feed is Enter; Tab, Backspace and Escape are their
/// control characters.
pub(crate) fn stroke(character: char) -> Option<Stroke> {
    let plain = |key| Some(Stroke { key, shift: false });
    match character {
        'a'..='z' => plain(LETTERS[character as usize - 'a' as usize]),
        'A'..='Z' => Some(Stroke { key: LETTERS[character as usize - 'A' as usize], shift: true }),
        ' ' => plain(Key::Space),
        '\n' => plain(Key::Enter),
        '\t' => plain(Key::Tab),
        '\u{8}' => plain(Key::Backspace),
        '\u{1b}' => plain(Key::Escape),
        _ => PAIRS.iter().find_map(|&(key, low, high)| {
            (character == low || character == high).then_some(Stroke { key, shift: character == high })
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn each_printable_ascii_character_has_a_stroke_of_its_own() {
        let strokes: HashSet<Stroke> = (' '..='~').map(|character| stroke(character).unwrap()).collect();
        assert_eq!(strokes.len(), 95);
    }

    #[test]
    fn well_known_characters_are_where_they_belong() {
        let shifted = |key| Some(Stroke { key, shift: true });
        assert_eq!(stroke('Q'), shifted(Key::KeyQ));
        assert_eq!(stroke('_'), shifted(Key::Minus));
        assert_eq!(stroke('7'), Some(Stroke { key: Key::Digit7, shift: false }));
        assert_eq!((stroke('ä'), stroke('\0'), stroke('€')), (None, None, None));
    }
}
