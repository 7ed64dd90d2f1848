//! Text as key strokes on a US keyboard: what a guest has to be set to for the text to arrive as it is.

use machine::{console::Input, keys::Key};

pub use crate::layout::Stroke;
use crate::layout::stroke;

/// A text has characters for which the US layout has no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}, so nothing was typed: a US keyboard has no key for {}", places(.0), characters(.0))]
pub struct Untypable(
    /// The characters, each once, with the line and the column (both from 1) where it comes first.
    pub Vec<(char, usize, usize)>,
);

fn characters(missing: &[(char, usize, usize)]) -> String {
    missing.iter().map(|(character, ..)| format!("{character:?}")).collect::<Vec<_>>().join(", ")
}

fn places(missing: &[(char, usize, usize)]) -> String {
    let (_, line, column) = missing.first().copied().unwrap_or(('?', 1, 1));
    format!("the text can't be typed (line {line}, column {column})")
}

/// The strokes that type `text`. Line ends (`\n`, `\r\n` or `\r`) become Enter.
///
/// # Errors
/// [`Untypable`] with every character that has no key.
pub fn strokes(text: &str) -> Result<Vec<Stroke>, Untypable> {
    let mut strokes = Vec::with_capacity(text.len());
    let mut missing: Vec<(char, usize, usize)> = Vec::new();
    let (mut line, mut column) = (1, 1);
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let character = match character {
            '\r' if characters.peek() == Some(&'\n') => continue,
            '\r' => '\n',
            other => other,
        };
        match stroke(character) {
            Some(stroke) => strokes.push(stroke),
            None if missing.iter().any(|&(known, ..)| known == character) => {}
            None => missing.push((character, line, column)),
        }
        (line, column) = if character == '\n' { (line + 1, 1) } else { (line, column + 1) };
    }
    if missing.is_empty() { Ok(strokes) } else { Err(Untypable(missing)) }
}

/// What a keyboard sends for `strokes`. Shift goes down before the first of a row of shifted keys and up after the last.
#[must_use]
pub fn inputs(strokes: &[Stroke]) -> Vec<Input> {
    let mut inputs = Vec::with_capacity(strokes.len() * 2);
    let mut is_shifted = false;
    for stroke in strokes {
        if stroke.shift != is_shifted {
            inputs.push(Input::Key { key: Key::ShiftLeft, down: stroke.shift });
            is_shifted = stroke.shift;
        }
        inputs.extend([true, false].map(|down| Input::Key { key: stroke.key, down }));
    }
    if is_shifted {
        inputs.push(Input::Key { key: Key::ShiftLeft, down: false });
    }
    inputs
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn text_becomes_key_presses() {
        let events: Vec<String> = inputs(&strokes("aB!\r\n").unwrap())
            .into_iter()
            .map(|input| match input {
                Input::Key { key, down: true } => format!("+{key}"),
                Input::Key { key, down: false } => format!("-{key}"),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(events.join(" "), "+KeyA -KeyA +ShiftLeft +KeyB -KeyB +Digit1 -Digit1 -ShiftLeft +Enter -Enter");
    }

    #[test]
    fn each_line_end_is_one_enter() {
        for text in ["a\nb", "a\rb", "a\r\nb"] {
            let keys: Vec<Key> = strokes(text).unwrap().iter().map(|stroke| stroke.key).collect();
            assert_eq!(keys, [Key::KeyA, Key::Enter, Key::KeyB], "{text:?}");
        }
    }

    #[test]
    fn characters_without_a_key_are_all_named() {
        let error = strokes("ok\ngrün für €").unwrap_err();
        assert_eq!(error.0, [('ü', 2, 3), ('€', 2, 10)]);
        assert_eq!(
            error.to_string(),
            "the text can't be typed (line 2, column 3), so nothing was typed: a US keyboard has no key for 'ü', '€'"
        );
    }

    proptest! {
        #[test]
        fn what_a_keyboard_would_type_is_the_text(text in "[ -~\n\t]{0,60}") {
            let (mut typed, mut shift) = (String::new(), false);
            for input in inputs(&strokes(&text).unwrap()) {
                let Input::Key { key, down } = input else { panic!("{input:?}") };
                if key == Key::ShiftLeft {
                    prop_assert_ne!(shift, down);
                    shift = down;
                } else if down {
                    let wanted = Some(Stroke { key, shift });
                    let all = (' '..='~').chain(['\n', '\t']);
                    typed.extend(all.filter(|&character| stroke(character) == wanted));
                }
            }
            prop_assert!(!shift);
            prop_assert_eq!(typed, text);
        }
    }
}
