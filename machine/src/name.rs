//! Names of machines: any text that fits on a line; and what is derived from one: a folder name and a socket name.
//!
//! A name is not a path. The folder's name is made from it so that a person recognizes it in a file manager, any file
//! system takes it (no separators, no control characters, none of the names that DOS reserved, not hidden), and it is
//! at most [`MAX_FOLDER_BYTES`] long. Different names give different folder names, except that long ones are told
//! apart by a hash, and that a file system which ignores case or Unicode's ways of writing an accent may take two for
//! one: whoever makes a folder tries [`Name::folder`] with 0, 1, 2… until one is free. What machine a folder holds is
//! said by the definition in it, never by the folder's name.

use std::{fmt, str::FromStr};

use serde::{Serialize, Serializer};
use uuid::Uuid;

/// The longest name, in characters.
pub const MAX_CHARS: usize = 200;

/// The longest folder name, in bytes of UTF-8.
pub const MAX_FOLDER_BYTES: usize = 100;

/// A machine's name: 1 to 200 characters, with something visible and no line breaks or control characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(String);

/// A text can't be a machine's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing, or nothing that can be seen.
    #[error("a machine's name can't be empty")]
    Empty,
    /// Too long.
    #[error("a machine's name has at most {MAX_CHARS} characters, this one has {0}")]
    TooLong(usize),
    /// A control character, a line break or a text-direction override.
    #[error(
        "a machine's name can't hold control characters: character {position} is U+{code:04X}",
        code = u32::from(*character)
    )]
    Control {
        /// Which.
        character: char,
        /// Where, counted in characters from 1.
        position: usize,
    },
}

impl Name {
    /// Takes `text` as a name, exactly as it is.
    ///
    /// # Errors
    /// When it is empty, too long, or holds what would break a line or mislead a reader.
    pub fn new(text: impl Into<String>) -> Result<Self, NameError> {
        let text = text.into();
        if let Some((index, character)) = text.chars().enumerate().find(|(_, character)| is_control(*character)) {
            return Err(NameError::Control { character, position: index + 1 });
        }
        if text.chars().all(is_invisible) {
            return Err(NameError::Empty);
        }
        let length = text.chars().count();
        if length > MAX_CHARS {
            return Err(NameError::TooLong(length));
        }
        Ok(Name(text))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The folder's name: at most [`MAX_FOLDER_BYTES`] long, never empty, a single path component that neither starts
    /// with a dot nor is taken for an option. `variant` 0 is the usual one; others are for when it is taken.
    #[must_use]
    pub fn folder(&self, variant: u32) -> String {
        let mut escaped: Vec<String> = Vec::new();
        let last = self.0.chars().count() - 1;
        for (index, character) in self.0.chars().enumerate() {
            let plain = match character {
                '.' | ' ' => index != 0 && index != last,
                '-' => index != 0,
                '_' | '+' | ',' | '=' | '@' | '(' | ')' | '[' | ']' => true,
                _ => character.is_alphanumeric(),
            };
            escaped.push(if plain { character.to_string() } else { escape(character) });
        }
        if is_reserved(&self.0) {
            escaped[0] = self.0.chars().next().map(escape).unwrap_or_default();
        }
        let suffix = if variant == 0 { String::new() } else { format!("~{variant}") };
        let whole: usize = escaped.iter().map(String::len).sum();
        if whole + suffix.len() <= MAX_FOLDER_BYTES {
            return escaped.concat() + &suffix;
        }
        // `~` is escaped in names, so that no name looks like a shortened one.
        let hash = format!("~{:016x}", fnv1a(&[self.0.as_bytes()]));
        let room = MAX_FOLDER_BYTES - hash.len() - suffix.len();
        let mut short = String::new();
        for piece in &escaped {
            if short.len() + piece.len() > room {
                break;
            }
            short.push_str(piece);
        }
        // A blank or dot may now stand last, but the hash follows it.
        short + &hash + &suffix
    }
}

impl fmt::Display for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.0)
    }
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Name::new(text)
    }
}

impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl PartialEq<str> for Name {
    fn eq(&self, other: &str) -> bool {
        self.0 == other
    }
}

impl PartialEq<&str> for Name {
    fn eq(&self, other: &&str) -> bool {
        self.0 == *other
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// The text behind a folder's name, as far as it can be told: for a folder whose definition can't be read.
#[must_use]
pub fn guess_from_folder(folder: &str) -> String {
    let stem = folder.split('~').next().unwrap_or(folder);
    let mut bytes = Vec::with_capacity(stem.len());
    let mut rest = stem.as_bytes();
    while let [first, tail @ ..] = rest {
        let code = match (first, tail) {
            (b'%', [high, low, ..]) => hex(*high).zip(hex(*low)).map(|(high, low)| high << 4 | low),
            _ => None,
        };
        bytes.push(code.unwrap_or(*first));
        rest = if code.is_some() { &tail[2..] } else { tail };
    }
    match String::from_utf8(bytes) {
        Ok(text) if Name::new(text.as_str()).is_ok() => text,
        _ => folder.to_owned(),
    }
}

/// The file name of a machine's control socket: 21 bytes, whatever the machine is called, so that it fits into a
/// socket address (108 bytes on Linux) beside any usual directory. `library` is the absolute path of the library that
/// the machine is in: a copied library has sockets of its own.
#[must_use]
pub fn socket_file(uuid: Uuid, library: &[u8]) -> String {
    format!("{:016x}.sock", fnv1a(&[uuid.as_bytes(), library]))
}

/// What would break a line on a terminal, or make it read otherwise than it is written: controls, line and paragraph
/// separators, and the overrides and isolates of text direction.
pub(crate) fn is_control(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Whether a character leaves no mark on a line: blanks, and what Unicode lists as ignorable by default
/// (`Default_Ignorable_Code_Point`), as joiners and variation selectors.
fn is_invisible(character: char) -> bool {
    character.is_whitespace()
        || matches!(character,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}'
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

fn escape(character: char) -> String {
    let mut buffer = [0; 4];
    character.encode_utf8(&mut buffer).bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// Whether DOS and its heirs take `name`, with any extension, for a device.
fn is_reserved(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or(name).trim_end().to_ascii_lowercase();
    match stem.as_str() {
        "con" | "prn" | "aux" | "nul" => true,
        _ => {
            (stem.starts_with("com") || stem.starts_with("lpt"))
                && stem.chars().count() == 4
                && stem.chars().nth(3).is_some_and(|c| c.is_ascii_digit() || matches!(c, '¹' | '²' | '³'))
        }
    }
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// FNV-1a, 64 bits (http://www.isthe.com/chongo/tech/comp/fnv/): the same on every host and in every version, which
/// the standard library's hashers don't promise. Each part is followed by its length.
pub(crate) fn fnv1a(parts: &[&[u8]]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for part in parts {
        for byte in part.iter().copied().chain((part.len() as u64).to_le_bytes()) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    hash
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use proptest::prelude::*;

    fn folder(name: &str) -> String {
        Name::new(name).unwrap().folder(0)
    }

    #[test]
    fn plain_names_are_their_own_folder() {
        for name in ["Mint", "Debian 12.7", "win-98_se", "Приставка", "日本語", "a", "B (2)"] {
            assert_eq!(folder(name), name);
        }
    }

    #[test]
    fn what_a_file_system_would_mind_is_escaped() {
        for (name, expected) in [
            ("a/b", "a%2Fb"),
            ("..", "%2E%2E"),
            (".hidden", "%2Ehidden"),
            ("dot.", "dot%2E"),
            (" x ", "%20x%20"),
            ("-rf", "%2Drf"),
            ("50%", "50%25"),
            ("~", "%7E"),
            ("CON", "%43ON"),
            ("nul.txt", "%6Eul.txt"),
            ("Com7", "%43om7"),
            ("COM10", "COM10"),
            ("a\\b:c*d?", "a%5Cb%3Ac%2Ad%3F"),
            ("🐧", "%F0%9F%90%A7"),
        ] {
            assert_eq!(folder(name), expected);
            assert_eq!(guess_from_folder(expected), name);
        }
    }

    #[test]
    fn long_names_are_cut_and_told_apart() {
        let (a, b) = ("x".repeat(199) + "a", "x".repeat(199) + "b");
        assert_ne!(folder(&a), folder(&b));
        assert_eq!(folder(&a).len(), MAX_FOLDER_BYTES);
        assert_ne!(folder(&"🐧".repeat(200)), folder(&"🐧".repeat(199)));
        assert!(guess_from_folder(&folder(&"🐧".repeat(200))).starts_with("🐧🐧"));
    }

    #[test]
    fn a_name_of_nothing_or_of_controls_is_refused() {
        for name in ["", " ", "\u{a0}\u{3000}", "\u{200b}", " \u{2060}\u{feff}\u{200d}"] {
            assert_eq!(Name::new(name), Err(NameError::Empty), "{name:?}");
        }
        for (name, position) in [("a\nb", 2), ("\0", 1), ("ab\u{1b}[0m", 3), ("x\u{202e}y", 2), ("\u{2028}", 1)] {
            let error = Name::new(name).unwrap_err();
            assert!(matches!(error, NameError::Control { position: at, .. } if at == position), "{name:?}: {error}");
        }
        assert_eq!(Name::new("é".repeat(200)).unwrap().as_str(), "é".repeat(200));
        assert_eq!(Name::new("é".repeat(201)), Err(NameError::TooLong(201)));
        assert_eq!(
            Name::new("a\tb").unwrap_err().to_string(),
            "a machine's name can't hold control characters: character 2 is U+0009"
        );
    }

    #[test]
    fn hashes_are_the_published_ones() {
        // Without the length that is appended: the offset basis is the hash of nothing.
        assert_eq!(fnv1a(&[]), 0xcbf2_9ce4_8422_2325);
        assert_ne!(fnv1a(&[b"ab", b"c"]), fnv1a(&[b"a", b"bc"]));
    }

    #[test]
    fn a_socket_depends_on_machine_and_library() {
        let (one, two) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let names: HashSet<_> =
            [(one, "/a"), (two, "/a"), (one, "/b")].map(|(uuid, library)| socket_file(uuid, library.as_bytes())).into();
        assert_eq!(names.len(), 3);
        assert!(names.iter().all(|name| name.len() == 21));
    }

    proptest! {
        #[test]
        fn every_name_has_a_folder_that_any_file_system_takes(text in "\\PC{1,200}", variant in 0_u32..100_000) {
            let Ok(name) = Name::new(text) else { return Ok(()) };
            let folder = name.folder(variant);
            prop_assert!(!folder.is_empty() && folder.len() <= MAX_FOLDER_BYTES, "{}", folder);
            prop_assert!(!folder.starts_with(['.', '-', ' ']) && !folder.ends_with(['.', ' ']), "{}", folder);
            let bad = folder.contains(|c: char| c.is_control() || "/\\:*?\"<>|".contains(c));
            prop_assert!(!bad, "{}", folder);
            prop_assert!(!is_reserved(&folder), "{}", folder);
            prop_assert_ne!(&folder, &name.folder(variant + 1));
        }

        #[test]
        fn short_names_are_found_back_from_their_folder(text in "\\PC{1,8}") {
            let Ok(name) = Name::new(text) else { return Ok(()) };
            prop_assert_eq!(guess_from_folder(&name.folder(0)), name.as_str());
        }

        #[test]
        fn no_folder_name_makes_the_guess_panic(text: String) {
            let _ = guess_from_folder(&text);
        }
    }
}
