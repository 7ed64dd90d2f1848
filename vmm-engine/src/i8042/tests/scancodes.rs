//! Each key's codes against the published table, and arbitrary typing decoded again.

use machine::keys::Key;
use proptest::prelude::*;

use super::{super::*, Bench};

/// Set 1 codes as Microsoft's "Keyboard Scan Code Specification" lists them; 0xe0 in the upper byte is the prefix.
#[rustfmt::skip]
const SET_1: &[(Key, u16)] = &[
    (Key::KeyA, 0x1e), (Key::KeyB, 0x30), (Key::KeyC, 0x2e), (Key::KeyD, 0x20), (Key::KeyE, 0x12), (Key::KeyF, 0x21),
    (Key::KeyG, 0x22), (Key::KeyH, 0x23), (Key::KeyI, 0x17), (Key::KeyJ, 0x24), (Key::KeyK, 0x25), (Key::KeyL, 0x26),
    (Key::KeyM, 0x32), (Key::KeyN, 0x31), (Key::KeyO, 0x18), (Key::KeyP, 0x19), (Key::KeyQ, 0x10), (Key::KeyR, 0x13),
    (Key::KeyS, 0x1f), (Key::KeyT, 0x14), (Key::KeyU, 0x16), (Key::KeyV, 0x2f), (Key::KeyW, 0x11), (Key::KeyX, 0x2d),
    (Key::KeyY, 0x15), (Key::KeyZ, 0x2c),
    (Key::Digit1, 0x02), (Key::Digit2, 0x03), (Key::Digit3, 0x04), (Key::Digit4, 0x05), (Key::Digit5, 0x06),
    (Key::Digit6, 0x07), (Key::Digit7, 0x08), (Key::Digit8, 0x09), (Key::Digit9, 0x0a), (Key::Digit0, 0x0b),
    (Key::Enter, 0x1c), (Key::Escape, 0x01), (Key::Backspace, 0x0e), (Key::Tab, 0x0f), (Key::Space, 0x39),
    (Key::Minus, 0x0c), (Key::Equal, 0x0d), (Key::BracketLeft, 0x1a), (Key::BracketRight, 0x1b),
    (Key::Backslash, 0x2b), (Key::Semicolon, 0x27), (Key::Quote, 0x28), (Key::Backquote, 0x29), (Key::Comma, 0x33),
    (Key::Period, 0x34), (Key::Slash, 0x35), (Key::CapsLock, 0x3a), (Key::IntlBackslash, 0x56), (Key::IntlRo, 0x73),
    (Key::IntlYen, 0x7d), (Key::KanaMode, 0x70), (Key::Convert, 0x79), (Key::NonConvert, 0x7b), (Key::Lang1, 0xf2),
    (Key::Lang2, 0xf1), (Key::Lang3, 0x78), (Key::Lang4, 0x77), (Key::Lang5, 0x76),
    (Key::ShiftLeft, 0x2a), (Key::ShiftRight, 0x36), (Key::ControlLeft, 0x1d), (Key::ControlRight, 0xe01d),
    (Key::AltLeft, 0x38), (Key::AltRight, 0xe038), (Key::MetaLeft, 0xe05b), (Key::MetaRight, 0xe05c),
    (Key::ContextMenu, 0xe05d),
    (Key::Insert, 0xe052), (Key::Delete, 0xe053), (Key::Home, 0xe047), (Key::End, 0xe04f), (Key::PageUp, 0xe049),
    (Key::PageDown, 0xe051), (Key::Help, 0xe03b), (Key::ArrowLeft, 0xe04b), (Key::ArrowRight, 0xe04d),
    (Key::ArrowUp, 0xe048), (Key::ArrowDown, 0xe050),
    (Key::NumLock, 0x45), (Key::Numpad0, 0x52), (Key::Numpad1, 0x4f), (Key::Numpad2, 0x50), (Key::Numpad3, 0x51),
    (Key::Numpad4, 0x4b), (Key::Numpad5, 0x4c), (Key::Numpad6, 0x4d), (Key::Numpad7, 0x47), (Key::Numpad8, 0x48),
    (Key::Numpad9, 0x49), (Key::NumpadAdd, 0x4e), (Key::NumpadSubtract, 0x4a), (Key::NumpadMultiply, 0x37),
    (Key::NumpadDivide, 0xe035), (Key::NumpadDecimal, 0x53), (Key::NumpadEnter, 0xe01c), (Key::NumpadEqual, 0x59),
    (Key::NumpadComma, 0x7e),
    (Key::F1, 0x3b), (Key::F2, 0x3c), (Key::F3, 0x3d), (Key::F4, 0x3e), (Key::F5, 0x3f), (Key::F6, 0x40),
    (Key::F7, 0x41), (Key::F8, 0x42), (Key::F9, 0x43), (Key::F10, 0x44), (Key::F11, 0x57), (Key::F12, 0x58),
    (Key::F13, 0x64), (Key::F14, 0x65), (Key::F15, 0x66), (Key::F16, 0x67), (Key::F17, 0x68), (Key::F18, 0x69),
    (Key::F19, 0x6a), (Key::F20, 0x6b), (Key::F21, 0x6c), (Key::F22, 0x6d), (Key::F23, 0x6e), (Key::F24, 0x76),
    (Key::PrintScreen, 0xe037), (Key::ScrollLock, 0x46), (Key::Pause, 0xe046),
    (Key::AudioVolumeMute, 0xe020), (Key::AudioVolumeDown, 0xe02e), (Key::AudioVolumeUp, 0xe030),
    (Key::MediaTrackNext, 0xe019), (Key::MediaTrackPrevious, 0xe010), (Key::MediaStop, 0xe024),
    (Key::MediaPlayPause, 0xe022), (Key::MediaSelect, 0xe06d), (Key::LaunchMail, 0xe06c), (Key::LaunchApp1, 0xe06b),
    (Key::LaunchApp2, 0xe021), (Key::BrowserSearch, 0xe065), (Key::BrowserHome, 0xe032), (Key::BrowserBack, 0xe06a),
    (Key::BrowserForward, 0xe069), (Key::BrowserStop, 0xe068), (Key::BrowserRefresh, 0xe067),
    (Key::BrowserFavorites, 0xe066), (Key::Power, 0xe05e), (Key::Sleep, 0xe05f), (Key::WakeUp, 0xe063),
];

/// Keys whose sequences are special; they have tests of their own.
const SPECIAL: [Key; 2] = [Key::PrintScreen, Key::Pause];

fn set_1_bytes(code: u16, release: u16) -> Vec<u8> {
    let own = (code | release) as u8;
    if code > 0xff { vec![0xe0, own] } else { vec![own] }
}

#[test]
fn the_published_table_names_every_key_once() {
    let mut named: Vec<Key> = SET_1.iter().map(|&(key, _)| key).collect();
    named.sort();
    let mut all = Key::ALL.to_vec();
    all.sort();
    assert_eq!(named, all);
}

#[test]
fn every_key_sends_the_published_codes_by_both_ways_to_set_1() {
    for &(key, code) in SET_1.iter().filter(|(key, _)| !SPECIAL.contains(key)) {
        let mut translated = Bench::with(TRANSLATE);
        let mut native = Bench::with(0);
        assert_eq!(native.keyboard(&[0xf0, 1]), [0xfa, 0xfa]);
        for bench in [&mut translated, &mut native] {
            bench.key(key, true);
            assert_eq!(bench.drain(), set_1_bytes(code, 0), "{key}");
            bench.key(key, false);
            let release = if code == 0xf1 || code == 0xf2 { vec![] } else { set_1_bytes(code, 0x80) };
            assert_eq!(bench.drain(), release, "{key}");
        }
    }
}

/// Bytes that keys send one after another.
fn typed(command_byte: u8, keys: &[(Key, bool)]) -> Vec<u8> {
    let mut bench = Bench::with(command_byte);
    keys.iter().for_each(|&(key, down)| bench.key(key, down));
    bench.drain()
}

#[test]
fn pause_and_break_send_everything_on_pressing() {
    assert_eq!(typed(0, &[(Key::Pause, true)]), [0xe1, 0x14, 0x77, 0xe1, 0xf0, 0x14, 0xf0, 0x77]);
    assert_eq!(typed(TRANSLATE, &[(Key::Pause, true)]), [0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5]);
    assert_eq!(typed(0, &[(Key::ControlLeft, true), (Key::Pause, true)])[1..], [0xe0, 0x7e, 0xe0, 0xf0, 0x7e]);
    let repeated = [(Key::Pause, true), (Key::Pause, true), (Key::Pause, false)];
    assert_eq!(typed(TRANSLATE, &repeated).len(), 6);
}

#[test]
fn print_screen_depends_on_the_modifiers() {
    let press_and_release = [(Key::PrintScreen, true), (Key::PrintScreen, false)];
    let with = |modifier| typed(0, &[&[(modifier, true)], &press_and_release[..]].concat());
    assert_eq!(typed(0, &press_and_release), [0xe0, 0x12, 0xe0, 0x7c, 0xe0, 0xf0, 0x7c, 0xe0, 0xf0, 0x12]);
    assert_eq!(with(Key::ShiftLeft)[1..], [0xe0, 0x7c, 0xe0, 0xf0, 0x7c]);
    assert_eq!(with(Key::ControlRight)[2..], [0xe0, 0x7c, 0xe0, 0xf0, 0x7c]);
    assert_eq!(with(Key::AltLeft)[1..], [0x84, 0xf0, 0x84]);
    let alt_first = [(Key::AltLeft, true), (Key::PrintScreen, true), (Key::AltLeft, false), (Key::PrintScreen, false)];
    assert_eq!(typed(TRANSLATE, &alt_first), [0x38, 0x54, 0xb8, 0xd4]);
}

#[test]
fn cursor_keys_come_with_the_shifts_that_the_number_pad_would_need() {
    let up = [(Key::ArrowUp, true), (Key::ArrowUp, false)];
    let with_num_lock = |keys: &[(Key, bool)]| {
        let mut bench = Bench::with(0);
        bench.keyboard(&[0xed, 0x02]);
        keys.iter().for_each(|&(key, down)| bench.key(key, down));
        bench.drain()
    };
    assert_eq!(typed(0, &up), [0xe0, 0x75, 0xe0, 0xf0, 0x75]);
    assert_eq!(with_num_lock(&up), [0xe0, 0x12, 0xe0, 0x75, 0xe0, 0xf0, 0x75, 0xe0, 0xf0, 0x12]);
    let shifted = [(Key::ShiftRight, true), up[0], up[1]];
    assert_eq!(typed(0, &shifted)[1..], [0xe0, 0xf0, 0x59, 0xe0, 0x75, 0xe0, 0xf0, 0x75, 0xe0, 0x59]);
    assert_eq!(with_num_lock(&shifted)[1..], [0xe0, 0x75, 0xe0, 0xf0, 0x75]);
    let divide = [(Key::ShiftLeft, true), (Key::NumpadDivide, true), (Key::NumpadDivide, false)];
    assert_eq!(typed(0, &divide)[1..], [0xe0, 0xf0, 0x12, 0xe0, 0x4a, 0xe0, 0xf0, 0x4a, 0xe0, 0x12]);
    assert_eq!(with_num_lock(&divide)[1..], [0xe0, 0xf0, 0x12, 0xe0, 0x4a, 0xe0, 0xf0, 0x4a, 0xe0, 0x12]);
}

#[test]
fn set_3_has_one_code_a_key_and_types_of_keys() {
    let mut bench = Bench::with(0);
    assert_eq!(bench.keyboard(&[0xf0, 3]), [0xfa, 0xfa]);
    let press = |bench: &mut Bench, key| {
        [true, true, false].iter().for_each(|&down| bench.key(key, down));
        bench.drain()
    };
    assert_eq!(press(&mut bench, Key::KeyA), [0x1c, 0x1c]);
    assert_eq!(press(&mut bench, Key::ArrowUp), [0x63, 0x63]);
    assert_eq!(press(&mut bench, Key::ShiftLeft), [0x12, 0xf0, 0x12]);
    assert_eq!(press(&mut bench, Key::Pause), [0x62]);
    assert!(press(&mut bench, Key::MediaStop).is_empty());
    assert_eq!(bench.keyboard(&[0xfc, 0x1c, 0x63]), [0xfa, 0xfa, 0xfa]);
    assert_eq!(bench.keyboard(&[0xf4]), [0xfa]);
    assert_eq!(press(&mut bench, Key::KeyA), [0x1c, 0xf0, 0x1c]);
    assert_eq!(press(&mut bench, Key::ArrowUp), [0x63, 0xf0, 0x63]);
    assert_eq!(bench.keyboard(&[0xfa]), [0xfa]);
    assert_eq!(press(&mut bench, Key::KeyA), [0x1c, 0x1c, 0xf0, 0x1c]);
    assert_eq!(bench.keyboard(&[0xf9]), [0xfa]);
    assert_eq!(press(&mut bench, Key::KeyA), [0x1c]);
    assert_eq!(bench.keyboard(&[0xf6]), [0xfa]);
    assert_eq!(press(&mut bench, Key::KeyA), [0x1c, 0x1c, 0xf0, 0x1c], "back in set 2");
}

/// Finds keys in a stream of set 1, as a driver does.
fn decode_set_1(bytes: &[u8]) -> Vec<(Key, bool)> {
    let mut events = Vec::new();
    let mut rest = bytes;
    while let Some((&first, tail)) = rest.split_first() {
        if let Some(tail) = rest.strip_prefix(&[0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5]) {
            events.push((Key::Pause, true));
            rest = tail;
            continue;
        }
        let (code, tail) = if first == 0xe0 { (0xe000 | u16::from(tail[0]), &tail[1..]) } else { (first.into(), tail) };
        rest = tail;
        let down = code == 0xf1 || code == 0xf2 || code & 0x80 == 0;
        let make = if code == 0xf1 || code == 0xf2 { code } else { code & !0x80 };
        match make {
            // Shifts that the keyboard makes up; the release of Ctrl+Pause.
            0xe02a | 0xe036 => {}
            0xe046 if !down => {}
            0x54 => events.push((Key::PrintScreen, down)),
            _ => {
                let known = SET_1.iter().rev().find(|&&(key, code)| code == make && key != Key::Lang5);
                events.push((known.unwrap_or_else(|| panic!("no key has {make:#x}")).0, down));
            }
        }
    }
    events
}

/// Finds keys in a stream of set 2, by way of set 1.
fn decode_set_2(bytes: &[u8]) -> Vec<(Key, bool)> {
    let mut set_1 = Vec::new();
    let mut release = 0;
    for &byte in bytes {
        if byte == 0xf0 {
            release = 0x80;
        } else {
            set_1.push(translate(byte) | release);
            release = 0;
        }
    }
    decode_set_1(&set_1)
}

fn any_key() -> impl Strategy<Value = Key> {
    let common = prop::sample::select(vec![
        Key::ShiftLeft,
        Key::ShiftRight,
        Key::ControlLeft,
        Key::AltRight,
        Key::ArrowUp,
        Key::PrintScreen,
        Key::Pause,
        Key::NumpadDivide,
    ]);
    // Lang5 sends what F24 sends.
    let all: Vec<Key> = Key::ALL.iter().copied().filter(|&key| key != Key::Lang5).collect();
    prop_oneof![common, prop::sample::select(all)]
}

/// What a guest is to make of a person's keys.
fn understood(keys: &[(Key, bool)]) -> Vec<(Key, bool)> {
    let mut held = std::collections::BTreeSet::new();
    let mut events = Vec::new();
    for &(key, down) in keys {
        let was_held = if down { !held.insert(key) } else { held.remove(&key) };
        let sent = match key {
            Key::Pause => down && !was_held,
            Key::Lang1 | Key::Lang2 => down,
            _ => down || was_held,
        };
        if sent {
            events.push((key, down));
        }
    }
    events
}

proptest! {
    #[test]
    fn any_typing_is_understood_in_each_set(
        keys in prop::collection::vec((any_key(), any::<bool>()), 0..60),
        leds in 0..8_u8,
    ) {
        let expected = understood(&keys);
        let type_all = |mut bench: Bench| {
            let mut bytes = Vec::new();
            for &(key, down) in &keys {
                bench.key(key, down);
                bytes.extend(bench.drain());
            }
            bytes
        };
        let bench = |command_byte, set| {
            let mut bench = Bench::with(command_byte);
            bench.keyboard(&[0xed, leds]);
            bench.keyboard(&[0xf0, set]);
            bench
        };
        prop_assert_eq!(decode_set_1(&type_all(bench(TRANSLATE, 2))), expected.clone());
        prop_assert_eq!(decode_set_1(&type_all(bench(0, 1))), expected.clone());
        prop_assert_eq!(decode_set_2(&type_all(bench(0, 2))), expected);
    }

    #[test]
    fn no_key_seems_down_for_ever_however_slowly_the_guest_reads(
        keys in prop::collection::vec((any_key(), any::<bool>(), 0..4_usize), 0..120),
    ) {
        let mut bench = Bench::with(TRANSLATE);
        let mut bytes = Vec::new();
        for &(key, down, reads) in &keys {
            bench.key(key, down);
            bytes.extend(bench.read_some(reads));
        }
        Key::ALL.iter().for_each(|&key| bench.key(key, false));
        bytes.extend(bench.drain());
        bytes.retain(|&byte| byte != 0xff);
        let mut held = std::collections::BTreeSet::new();
        for (key, down) in decode_set_1(&bytes) {
            if down { held.insert(key); } else { held.remove(&key); }
        }
        let only_made: Vec<Key> =
            held.into_iter().filter(|key| ![Key::Pause, Key::Lang1, Key::Lang2].contains(key)).collect();
        prop_assert_eq!(only_made, vec![]);
        prop_assert!(bench.device.keyboard_idle());
    }
}
