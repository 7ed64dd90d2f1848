//! The keys of a keyboard with the American layout, by Linux's key codes (`linux/input-event-codes.h`).

use anyhow::{Context, Result};

/// A key, by Linux's code for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key(pub(crate) u32);

/// What an X server adds to Linux's key codes.
pub(crate) const FIRST_X_CODE: u32 = 8;

/// A key that is pressed (`true`) or let go.
pub(crate) type Stroke = (Key, bool);

impl Key {
    /// Enter.
    pub const ENTER: Key = Key(28);
    /// The left Alt.
    pub const ALT: Key = Key(56);
    /// The function key F2.
    pub const F2: Key = Key(60);
    /// The function key F4.
    pub const F4: Key = Key(62);
    /// The right Ctrl, by which a machine's window is spoken to.
    pub const HOST: Key = Key(97);
    /// The key of the letter A.
    pub const A: Key = Key(30);
    /// The key of the letter F.
    pub const F: Key = Key(33);
    /// The key of the letter L.
    pub const L: Key = Key(38);
    /// The key of the letter M.
    pub const M: Key = Key(50);
    /// The key of the letter P.
    pub const P: Key = Key(25);
    /// The key of the letter Q.
    pub const Q: Key = Key(16);
    const CTRL: Key = Key(29);
    const SHIFT: Key = Key(42);

    /// The bit of the modifier (X11 protocol, "Keycodes and modifiers") that the key is.
    pub(crate) fn modifier(self) -> u32 {
        match self.0 {
            42 | 54 => 1,
            29 | 97 => 4,
            56 | 100 => 8,
            _ => 0,
        }
    }
}

/// The characters of the keys, by rows, without and with Shift, and the code of a row's first key.
const ROWS: [(&str, &str, u32); 6] = [
    ("1234567890-=", "!@#$%^&*()_+", 2),
    ("qwertyuiop[]", "QWERTYUIOP{}", 16),
    ("asdfghjkl;'`", "ASDFGHJKL:\"~", 30),
    ("\\zxcvbnm,./", "|ZXCVBNM<>?", 43),
    ("\n", "", 28),
    (" ", "", 57),
];

/// The keys that make a character, the first ones held.
pub(crate) fn of(character: char) -> Result<Vec<Key>> {
    let found = ROWS.iter().find_map(|(plain, shifted, first)| {
        let at = |row: &str| row.chars().position(|one| one == character);
        let (index, shift) =
            at(plain).map(|index| (index, false)).or_else(|| at(shifted).map(|index| (index, true)))?;
        let key = Key(first + u32::try_from(index).ok()?);
        Some(if shift { vec![Key::SHIFT, key] } else { vec![key] })
    });
    found.with_context(|| format!("there is no key for {character:?}"))
}

/// Keys together, the first ones held.
pub(crate) fn chord(keys: &[Key]) -> Vec<Stroke> {
    keys.iter().map(|&key| (key, true)).chain(keys.iter().rev().map(|&key| (key, false))).collect()
}

/// The keys that type a text.
pub(crate) fn typed(text: &str) -> Result<Vec<Stroke>> {
    let strokes: Result<Vec<_>> = text.chars().map(|character| Ok(chord(&of(character)?))).collect();
    Ok(strokes?.concat())
}

/// The keys of a shortcut, as `ctrl+n`.
pub(crate) fn named(shortcut: &str) -> Result<Vec<Key>> {
    let one = |name: &str| match name {
        "ctrl" => Ok(vec![Key::CTRL]),
        "shift" => Ok(vec![Key::SHIFT]),
        "alt" => Ok(vec![Key::ALT]),
        _ => of(name.chars().next().context("a shortcut has keys")?),
    };
    let keys: Result<Vec<_>> = shortcut.split('+').map(one).collect();
    Ok(keys?.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_are_keys_with_or_without_shift() {
        assert_eq!(of('a').unwrap(), [Key::A]);
        assert_eq!(of('A').unwrap(), [Key::SHIFT, Key::A]);
        assert_eq!(of('|').unwrap(), [Key::SHIFT, Key(43)]);
        assert_eq!(of('\n').unwrap(), [Key::ENTER]);
        assert!(of('ß').is_err());
    }

    #[test]
    fn characters_are_on_their_keys() {
        assert_eq!(typed("/").unwrap(), chord(&[Key(53)]));
        assert_eq!(typed("M").unwrap(), chord(&[Key::SHIFT, Key::M]));
        assert_eq!(typed("\"`").unwrap(), [chord(&[Key::SHIFT, Key(40)]), chord(&[Key(41)])].concat());
        assert_eq!(typed("p\u{e4}").unwrap_err().to_string(), "there is no key for 'ä'");
        assert_eq!(named("ctrl+shift+p").unwrap(), [Key::CTRL, Key::SHIFT, Key::P]);
    }
}
