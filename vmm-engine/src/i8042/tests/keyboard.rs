//! Tests of the keyboard's commands and its buffer.

use machine::keys::Key;

use super::{super::*, Bench};

fn bench() -> Bench {
    Bench::with(0)
}

#[test]
fn the_lamps_are_what_the_guest_sets() {
    let mut bench = bench();
    assert_eq!(bench.keyboard(&[0xed]), [0xfa]);
    assert_eq!(bench.keyboard(&[0x06]), [0xfa]);
    assert_eq!(bench.device.leds(), Leds { scroll: false, num: true, caps: true });
    bench.keyboard(&[0xff]);
    assert_eq!(bench.device.leds(), Leds::default());
}

#[test]
fn the_keyboard_answers_echo_identity_and_reset() {
    let mut bench = bench();
    assert_eq!(bench.keyboard(&[0xee]), [0xee]);
    assert_eq!(bench.keyboard(&[0xf2]), [0xfa, 0xab, 0x83]);
    assert_eq!(bench.keyboard(&[0xff]), [0xfa, 0xaa]);
    assert_eq!(bench.keyboard(&[0xf3, 0x00]), [0xfa, 0xfa]);
}

#[test]
fn the_scan_code_set_can_be_asked_for() {
    let mut bench = bench();
    for set in [1, 3, 2] {
        assert_eq!(bench.keyboard(&[0xf0]), [0xfa]);
        assert_eq!(bench.keyboard(&[set]), [0xfa]);
        assert_eq!(bench.keyboard(&[0xf0]), [0xfa]);
        assert_eq!(bench.keyboard(&[0]), [0xfa, set]);
    }
}

#[test]
fn what_is_no_command_is_asked_for_again() {
    let mut bench = bench();
    assert_eq!(bench.keyboard(&[0x00]), [0xfe]);
    assert_eq!(bench.keyboard(&[0xef]), [0xfe]);
    assert_eq!(bench.keyboard(&[0xf1]), [0xfe]);
    assert_eq!(bench.keyboard(&[0xf0, 0x04]), [0xfa, 0xfe]);
    assert_eq!(bench.keyboard(&[0xf3, 0x80]), [0xfa, 0xfe]);
}

#[test]
fn a_command_in_the_place_of_a_parameter_is_a_command() {
    let mut bench = bench();
    assert_eq!(bench.keyboard(&[0xed]), [0xfa]);
    assert_eq!(bench.keyboard(&[0xf2]), [0xfa, 0xab, 0x83]);
    assert_eq!(bench.device.leds(), Leds::default());
}

#[test]
fn resend_repeats_the_last_byte() {
    let mut bench = bench();
    bench.key(Key::KeyQ, true);
    assert_eq!(bench.drain(), [0x15]);
    assert_eq!(bench.keyboard(&[0xfe]), [0x15]);
    assert_eq!(bench.keyboard(&[0xfe]), [0x15]);
}

#[test]
fn a_disabled_keyboard_sends_no_keys_and_answers() {
    let mut bench = bench();
    assert_eq!(bench.keyboard(&[0xf5]), [0xfa]);
    bench.key(Key::KeyA, true);
    assert!(bench.drain().is_empty());
    assert_eq!(bench.keyboard(&[0xee]), [0xee]);
    assert_eq!(bench.keyboard(&[0xf4]), [0xfa]);
    bench.key(Key::KeyB, true);
    assert_eq!(bench.drain(), [0x32]);
}

#[test]
fn answers_come_before_keys_that_wait() {
    let mut bench = bench();
    bench.command(DISABLE_KEYBOARD);
    bench.key(Key::KeyA, true);
    bench.write(0xed);
    assert_eq!(bench.drain(), [0xfa], "no key comes between a command and its parameter");
    bench.write(0x00);
    assert_eq!(bench.drain(), [0xfa, 0x1c]);
}

#[test]
fn a_repeated_key_is_sent_again_and_a_release_without_a_press_is_not() {
    let mut bench = bench();
    bench.key(Key::KeyA, true);
    bench.key(Key::KeyA, true);
    bench.key(Key::KeyB, false);
    bench.key(Key::KeyA, false);
    bench.key(Key::KeyA, false);
    assert_eq!(bench.drain(), [0x1c, 0x1c, 0xf0, 0x1c]);
}

#[test]
fn a_full_buffer_ends_with_the_overrun_code() {
    for (set, overrun) in [(1, 0xff), (2, 0x00)] {
        let mut bench = bench();
        bench.keyboard(&[0xf0, set]);
        bench.command(DISABLE_KEYBOARD);
        (0..30).for_each(|_| bench.key(Key::KeyA, true));
        bench.command(ENABLE_KEYBOARD);
        let bytes = bench.drain();
        assert_eq!((bytes.len(), bytes[16]), (17, overrun), "set {set}");
    }
}

#[test]
fn a_release_that_had_no_room_follows_later() {
    let mut bench = bench();
    bench.command(DISABLE_KEYBOARD);
    (0..16).for_each(|_| bench.key(Key::KeyA, true));
    bench.key(Key::KeyA, false);
    bench.command(ENABLE_KEYBOARD);
    let bytes = bench.drain();
    assert_eq!(bytes[15..], [0x1c, 0xf0, 0x1c]);
}

#[test]
fn enabling_forgets_what_was_typed_before() {
    let mut bench = bench();
    bench.command(DISABLE_KEYBOARD);
    bench.key(Key::KeyA, true);
    bench.write(0xf4);
    assert_eq!(bench.drain(), [0xfa]);
}

#[test]
fn a_press_that_finds_no_room_is_refused_and_can_be_tried_again() {
    let mut bench = bench();
    bench.command(DISABLE_KEYBOARD);
    (0..15).for_each(|_| bench.key(Key::KeyA, true));
    let press = Input::Key { key: Key::Pause, down: true };
    assert!(!bench.device.input(&press));
    bench.command(ENABLE_KEYBOARD);
    assert_eq!(bench.drain(), [0x1c; 15]);
    assert!(bench.device.input(&press));
    assert_eq!(bench.drain().len(), 8);
}
