//! What each key sends: scan code sets 1, 2 and 3 (IBM Personal System/2 hardware reference, "101/102-key
//! keyboard"; Microsoft's "Keyboard Scan Code Specification" for the newer keys; the W3C's `code` names tell
//! which key is meant), and the 8042's translation from set 2 to set 1.

use machine::keys::Key;

/// The 8042's translation table for codes below 0x80.
const TRANSLATION: [u8; 128] = [
    0xff, 0x43, 0x41, 0x3f, 0x3d, 0x3b, 0x3c, 0x58, 0x64, 0x44, 0x42, 0x40, 0x3e, 0x0f, 0x29, 0x59, // 00
    0x65, 0x38, 0x2a, 0x70, 0x1d, 0x10, 0x02, 0x5a, 0x66, 0x71, 0x2c, 0x1f, 0x1e, 0x11, 0x03, 0x5b, // 10
    0x67, 0x2e, 0x2d, 0x20, 0x12, 0x05, 0x04, 0x5c, 0x68, 0x39, 0x2f, 0x21, 0x14, 0x13, 0x06, 0x5d, // 20
    0x69, 0x31, 0x30, 0x23, 0x22, 0x15, 0x07, 0x5e, 0x6a, 0x72, 0x32, 0x24, 0x16, 0x08, 0x09, 0x5f, // 30
    0x6b, 0x33, 0x25, 0x17, 0x18, 0x0b, 0x0a, 0x60, 0x6c, 0x34, 0x35, 0x26, 0x27, 0x19, 0x0c, 0x61, // 40
    0x6d, 0x73, 0x28, 0x74, 0x1a, 0x0d, 0x62, 0x6e, 0x3a, 0x36, 0x1c, 0x1b, 0x75, 0x2b, 0x63, 0x76, // 50
    0x55, 0x56, 0x77, 0x78, 0x79, 0x7a, 0x0e, 0x7b, 0x7c, 0x4f, 0x7d, 0x4b, 0x47, 0x7e, 0x7f, 0x6f, // 60
    0x52, 0x53, 0x50, 0x4c, 0x4d, 0x48, 0x01, 0x45, 0x57, 0x4e, 0x51, 0x4a, 0x37, 0x49, 0x46, 0x54, // 70
];

/// The prefix of a release in sets 2 and 3.
pub(super) const RELEASE: u8 = 0xf0;

/// A byte of set 2 as the controller gives it to the processor, apart from [`RELEASE`].
pub(super) fn translate(byte: u8) -> u8 {
    match byte {
        0..0x80 => TRANSLATION[usize::from(byte)],
        0x83 => 0x41,
        0x84 => 0x54,
        _ => byte,
    }
}

/// The sets that a keyboard can send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) enum ScanSet {
    One,
    Two,
    Three,
}

/// Which of the keys that change others are down, and the keyboard's idea of Num Lock.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Modifiers {
    pub(super) shift_left: bool,
    pub(super) shift_right: bool,
    pub(super) control: bool,
    pub(super) num_lock: bool,
}

/// One code of sets 1 and 2: a prefix, and a key of set 2 that is pressed or released.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Step {
    prefix: Option<u8>,
    release: bool,
    code: u8,
}

impl Step {
    const fn plain(code: u8, release: bool) -> Self {
        Step { prefix: None, release, code }
    }

    const fn extended(code: u8, release: bool) -> Self {
        Step { prefix: Some(0xe0), release, code }
    }

    fn write(self, set: ScanSet, bytes: &mut Vec<u8>) {
        bytes.extend(self.prefix);
        match set {
            ScanSet::One => bytes.push(translate(self.code) | if self.release { 0x80 } else { 0 }),
            ScanSet::Two | ScanSet::Three => {
                if self.release {
                    bytes.push(RELEASE);
                }
                bytes.push(self.code);
            }
        }
    }
}

const SHIFT_LEFT: u8 = 0x12;
const SHIFT_RIGHT: u8 = 0x59;
const PRINT_SCREEN: u8 = 0x7c;
const SYS_RQ: u8 = 0x84;

/// The bytes of sets 1 and 2 for a key that goes down (or repeats) or up. `sys_rq` says that Print Screen is
/// down as SysRq. Keys that send nothing when they are released give nothing.
pub(super) fn sequence(set: ScanSet, key: Key, down: bool, modifiers: Modifiers, sys_rq: bool) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(8);
    for step in steps(key, down, modifiers, sys_rq) {
        step.write(set, &mut bytes);
    }
    bytes
}

fn steps(key: Key, down: bool, modifiers: Modifiers, sys_rq: bool) -> Vec<Step> {
    let shifted = modifiers.shift_left || modifiers.shift_right;
    let fakes = match key {
        Key::Pause if !down => return Vec::new(),
        Key::Pause if modifiers.control => return vec![Step::extended(0x7e, false), Step::extended(0x7e, true)],
        Key::Pause => {
            return vec![
                Step { prefix: Some(0xe1), ..Step::plain(0x14, false) },
                Step::plain(0x77, false),
                Step { prefix: Some(0xe1), ..Step::plain(0x14, true) },
                Step::plain(0x77, true),
            ];
        }
        // Korean keyboards send these two on pressing only, without set 1's release bit to spare.
        Key::Lang1 | Key::Lang2 if !down => return Vec::new(),
        Key::PrintScreen if sys_rq => return vec![Step::plain(SYS_RQ, !down)],
        Key::PrintScreen if modifiers.control || shifted => Vec::new(),
        Key::PrintScreen => vec![Step::extended(SHIFT_LEFT, !down)],
        Key::NumpadDivide => lifted_shifts(modifiers, down),
        _ if is_cursor_key(key) && modifiers.num_lock && !shifted => vec![Step::extended(SHIFT_LEFT, !down)],
        _ if is_cursor_key(key) && !modifiers.num_lock => lifted_shifts(modifiers, down),
        _ => Vec::new(),
    };
    let (extended, code) = set_2(key);
    let own = if extended { Step::extended(code, !down) } else { Step::plain(code, !down) };
    // Around the key, so that programs which know the 83-key keyboard's keypad only see the cursor keys in it.
    if down { fakes.into_iter().chain([own]).collect() } else { [own].into_iter().chain(fakes).collect() }
}

/// The shift keys that are down are lifted before a key goes down, and pressed again after it went up.
fn lifted_shifts(modifiers: Modifiers, down: bool) -> Vec<Step> {
    let shifts = [(modifiers.shift_left, SHIFT_LEFT), (modifiers.shift_right, SHIFT_RIGHT)];
    shifts.into_iter().filter(|(held, _)| *held).map(|(_, code)| Step::extended(code, down)).collect()
}

/// The keys between main block and number pad that the 83-key keyboard had on its number pad only.
fn is_cursor_key(key: Key) -> bool {
    use Key::*;
    matches!(key, Insert | Delete | Home | End | PageUp | PageDown | ArrowLeft | ArrowRight | ArrowUp | ArrowDown)
}

/// A key's code in set 2, and whether 0xe0 comes before it.
#[rustfmt::skip]
fn set_2(key: Key) -> (bool, u8) {
    use Key::*;
    let plain = |code| (false, code);
    let extended = |code| (true, code);
    match key {
        KeyA => plain(0x1c), KeyB => plain(0x32), KeyC => plain(0x21), KeyD => plain(0x23), KeyE => plain(0x24),
        KeyF => plain(0x2b), KeyG => plain(0x34), KeyH => plain(0x33), KeyI => plain(0x43), KeyJ => plain(0x3b),
        KeyK => plain(0x42), KeyL => plain(0x4b), KeyM => plain(0x3a), KeyN => plain(0x31), KeyO => plain(0x44),
        KeyP => plain(0x4d), KeyQ => plain(0x15), KeyR => plain(0x2d), KeyS => plain(0x1b), KeyT => plain(0x2c),
        KeyU => plain(0x3c), KeyV => plain(0x2a), KeyW => plain(0x1d), KeyX => plain(0x22), KeyY => plain(0x35),
        KeyZ => plain(0x1a),
        Digit0 => plain(0x45), Digit1 => plain(0x16), Digit2 => plain(0x1e), Digit3 => plain(0x26),
        Digit4 => plain(0x25), Digit5 => plain(0x2e), Digit6 => plain(0x36), Digit7 => plain(0x3d),
        Digit8 => plain(0x3e), Digit9 => plain(0x46),
        Backquote => plain(0x0e), Minus => plain(0x4e), Equal => plain(0x55), BracketLeft => plain(0x54),
        BracketRight => plain(0x5b), Backslash => plain(0x5d), Semicolon => plain(0x4c), Quote => plain(0x52),
        Comma => plain(0x41), Period => plain(0x49), Slash => plain(0x4a), IntlBackslash => plain(0x61),
        IntlRo => plain(0x51), IntlYen => plain(0x6a),

        Backspace => plain(0x66), Tab => plain(0x0d), CapsLock => plain(0x58), Enter => plain(0x5a),
        ShiftLeft => plain(SHIFT_LEFT), ShiftRight => plain(SHIFT_RIGHT),
        ControlLeft => plain(0x14), ControlRight => extended(0x14),
        AltLeft => plain(0x11), AltRight => extended(0x11),
        MetaLeft => extended(0x1f), MetaRight => extended(0x27), ContextMenu => extended(0x2f),
        Space => plain(0x29), Convert => plain(0x64), NonConvert => plain(0x67), KanaMode => plain(0x13),
        Lang1 => plain(0xf2), Lang2 => plain(0xf1), Lang3 => plain(0x63), Lang4 => plain(0x62), Lang5 => plain(0x5f),

        Insert => extended(0x70), Delete => extended(0x71), Home => extended(0x6c), End => extended(0x69),
        PageUp => extended(0x7d), PageDown => extended(0x7a), Help => extended(0x05),
        ArrowLeft => extended(0x6b), ArrowRight => extended(0x74), ArrowUp => extended(0x75),
        ArrowDown => extended(0x72),

        NumLock => plain(0x77),
        Numpad0 => plain(0x70), Numpad1 => plain(0x69), Numpad2 => plain(0x72), Numpad3 => plain(0x7a),
        Numpad4 => plain(0x6b), Numpad5 => plain(0x73), Numpad6 => plain(0x74), Numpad7 => plain(0x6c),
        Numpad8 => plain(0x75), Numpad9 => plain(0x7d),
        NumpadAdd => plain(0x79), NumpadSubtract => plain(0x7b), NumpadMultiply => plain(0x7c),
        NumpadDivide => extended(0x4a), NumpadDecimal => plain(0x71), NumpadEnter => extended(0x5a),
        NumpadEqual => plain(0x0f), NumpadComma => plain(0x6d),

        Escape => plain(0x76),
        F1 => plain(0x05), F2 => plain(0x06), F3 => plain(0x04), F4 => plain(0x0c), F5 => plain(0x03),
        F6 => plain(0x0b), F7 => plain(0x83), F8 => plain(0x0a), F9 => plain(0x01), F10 => plain(0x09),
        F11 => plain(0x78), F12 => plain(0x07), F13 => plain(0x08), F14 => plain(0x10), F15 => plain(0x18),
        F16 => plain(0x20), F17 => plain(0x28), F18 => plain(0x30), F19 => plain(0x38), F20 => plain(0x40),
        F21 => plain(0x48), F22 => plain(0x50), F23 => plain(0x57), F24 => plain(0x5f),
        PrintScreen => extended(PRINT_SCREEN), ScrollLock => plain(0x7e), Pause => plain(0x77),

        AudioVolumeMute => extended(0x23), AudioVolumeDown => extended(0x21), AudioVolumeUp => extended(0x32),
        MediaTrackNext => extended(0x4d), MediaTrackPrevious => extended(0x15), MediaStop => extended(0x3b),
        MediaPlayPause => extended(0x34), MediaSelect => extended(0x50), LaunchMail => extended(0x48),
        LaunchApp1 => extended(0x40), LaunchApp2 => extended(0x2b),
        BrowserSearch => extended(0x10), BrowserHome => extended(0x3a), BrowserBack => extended(0x38),
        BrowserForward => extended(0x30), BrowserStop => extended(0x28), BrowserRefresh => extended(0x20),
        BrowserFavorites => extended(0x18),
        Power => extended(0x37), Sleep => extended(0x3f), WakeUp => extended(0x5e),
    }
}

/// A key's code in set 3, for the keys that had one before the set fell out of use.
#[rustfmt::skip]
pub(super) fn set_3(key: Key) -> Option<u8> {
    use Key::*;
    Some(match key {
        Backslash => 0x5c, IntlBackslash => 0x13, IntlRo => 0x51, IntlYen => 0x5d,
        CapsLock => 0x14, ControlLeft => 0x11, ControlRight => 0x58, AltLeft => 0x19, AltRight => 0x39,
        MetaLeft => 0x8b, MetaRight => 0x8c, ContextMenu => 0x8d,
        Convert => 0x86, NonConvert => 0x85, KanaMode => 0x87,
        Insert => 0x67, Delete => 0x64, Home => 0x6e, End => 0x65, PageUp => 0x6f, PageDown => 0x6d,
        ArrowLeft => 0x61, ArrowRight => 0x6a, ArrowUp => 0x63, ArrowDown => 0x60,
        NumLock => 0x76, NumpadAdd => 0x7c, NumpadSubtract => 0x84, NumpadMultiply => 0x7e, NumpadDivide => 0x77,
        NumpadEnter => 0x79, NumpadComma => 0x7b,
        Escape => 0x08, F1 => 0x07, F2 => 0x0f, F3 => 0x17, F4 => 0x1f, F5 => 0x27, F6 => 0x2f, F7 => 0x37,
        F8 => 0x3f, F9 => 0x47, F10 => 0x4f, F11 => 0x56, F12 => 0x5e,
        PrintScreen => 0x57, ScrollLock => 0x5f, Pause => 0x62,
        // What these mean in set 3 differs from keyboard to keyboard, or there is no code at all.
        Lang1 | Lang2 | Lang3 | Lang4 | Lang5 | NumpadEqual | Help
        | F13 | F14 | F15 | F16 | F17 | F18 | F19 | F20 | F21 | F22 | F23 | F24 => return None,
        key => match set_2(key) {
            (false, code) => code,
            (true, _) => return None,
        },
    })
}

/// How a key behaves in set 3 by default: it repeats and tells no release, or the reverse, or neither.
pub(super) fn default_type(code: u8) -> KeyType {
    match code {
        // Caps Lock, Shift, left Control, left Alt; the later Windows keys.
        0x14 | 0x12 | 0x59 | 0x11 | 0x19 | 0x8b..=0x8d => KeyType::MakeBreak,
        // Escape, function keys, the right-hand modifiers, and the blocks to the right, but for the cursor
        // keys, Delete and the number pad's plus.
        0x08 | 0x07 | 0x0f | 0x17 | 0x1f | 0x27 | 0x2f | 0x37 | 0x3f | 0x47 | 0x4f | 0x56 | 0x5e => KeyType::Make,
        0x57 | 0x5f | 0x62 | 0x39 | 0x58 | 0x67 | 0x6e | 0x65 | 0x6f | 0x6d => KeyType::Make,
        0x76 | 0x77 | 0x7e | 0x84 | 0x79 | 0x69 | 0x6b..=0x6c | 0x70..=0x75 | 0x7a | 0x7d => KeyType::Make,
        _ => KeyType::Typematic,
    }
}

/// How a key behaves in set 3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) enum KeyType {
    /// It repeats; no release.
    Typematic,
    /// No repeating; releases.
    MakeBreak,
    /// Neither.
    Make,
    /// Both.
    TypematicMakeBreak,
}

impl KeyType {
    pub(super) fn repeats(self) -> bool {
        matches!(self, KeyType::Typematic | KeyType::TypematicMakeBreak)
    }

    pub(super) fn tells_release(self) -> bool {
        matches!(self, KeyType::MakeBreak | KeyType::TypematicMakeBreak)
    }
}
