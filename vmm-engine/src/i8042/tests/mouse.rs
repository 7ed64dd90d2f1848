//! Tests of the mouse.

use machine::console::Button;
use proptest::prelude::*;

use super::{super::*, Bench};

/// A mouse that has been asked for `rates` and reports.
fn enabled(rates: &[u8]) -> Bench {
    let mut bench = Bench::with(0);
    rates.iter().for_each(|&rate| assert_eq!(bench.mouse(&[0xf3, rate]), [0xfa, 0xfa]));
    assert_eq!(bench.mouse(&[0xf4]), [0xfa]);
    bench
}

fn plain() -> Bench {
    enabled(&[])
}

impl Bench {
    fn move_by(&mut self, dx: i32, dy: i32) {
        self.device.input(&Input::Move { dx, dy });
    }

    fn button(&mut self, button: Button, down: bool) {
        self.device.input(&Input::Button { button, down });
    }

    fn wheel(&mut self, notches: i32) {
        self.device.input(&Input::Wheel { notches });
    }
}

#[test]
fn reset_and_identity() {
    let mut bench = Bench::with(0);
    assert_eq!(bench.mouse(&[0xff]), [0xfa, 0xaa, 0x00]);
    assert_eq!(bench.mouse(&[0xf2]), [0xfa, 0x00]);
    bench.move_by(1, 1);
    assert!(bench.drain().is_empty(), "a mouse reports nothing before it is enabled");
}

#[test]
fn a_packet_has_buttons_signs_and_counts() {
    let mut bench = plain();
    bench.move_by(10, 20);
    assert_eq!(bench.drain(), [0x28, 10, 0xec], "down is negative");
    bench.move_by(-1, -2);
    assert_eq!(bench.drain(), [0x18, 0xff, 2]);
    bench.button(Button::Left, true);
    bench.button(Button::Right, true);
    bench.button(Button::Middle, true);
    bench.button(Button::Left, false);
    assert_eq!(bench.drain(), [0x09, 0, 0, 0x0b, 0, 0, 0x0f, 0, 0, 0x0e, 0, 0]);
}

#[test]
fn movement_adds_up_while_nobody_reads_and_goes_on_in_further_packets() {
    let mut bench = plain();
    bench.move_by(1, 0);
    bench.move_by(300, 0);
    bench.move_by(100, -5);
    assert_eq!(bench.drain(), [0x08, 1, 0, 0x08, 255, 5, 0x08, 145, 0]);
}

#[test]
fn a_counter_that_runs_over_shows_it() {
    let mut bench = plain();
    bench.move_by(1, 0);
    bench.move_by(20_000, 0);
    bench.move_by(20_000, -1);
    let bytes = bench.drain();
    assert_eq!((bytes[3], bytes[6]), (0x48, 0x08));
    let total: u32 = bytes.chunks(3).map(|packet| u32::from(packet[1])).sum();
    assert_eq!(total, 1 + 0x7fff);
}

#[test]
fn a_click_is_never_lost_in_movement() {
    let mut bench = plain();
    bench.move_by(1, 0);
    bench.move_by(2, 0);
    bench.button(Button::Left, true);
    bench.button(Button::Left, false);
    bench.move_by(3, 0);
    assert_eq!(bench.drain(), [0x08, 1, 0, 0x08, 2, 0, 0x09, 0, 0, 0x08, 3, 0]);
}

#[test]
fn when_too_many_clicks_wait_a_press_is_refused_and_a_release_counts() {
    let mut bench = plain();
    (0..8).for_each(|_| {
        bench.button(Button::Right, true);
        bench.button(Button::Right, false);
    });
    bench.button(Button::Right, true);
    assert!(!bench.device.input(&Input::Button { button: Button::Left, down: true }));
    assert!(bench.device.input(&Input::Button { button: Button::Right, down: false }));
    let bytes = bench.drain();
    let states: Vec<u8> = bytes.chunks(3).map(|packet| packet[0] & 7).collect();
    assert_eq!(states, [2, 0, 2, 0, 2, 0, 2, 0, 2, 0, 2, 0, 2, 0, 2, 0, 0]);
    assert!(bench.device.input(&Input::Button { button: Button::Left, down: true }));
    assert_eq!(bench.drain(), [0x09, 0, 0]);
}

#[test]
fn three_sample_rates_switch_the_wheel_on() {
    let mut bench = enabled(&[200, 100, 80]);
    assert_eq!(bench.mouse(&[0xf2]), [0xfa, 0x03]);
    bench.wheel(1);
    bench.wheel(-10);
    assert_eq!(bench.drain(), [0x08, 0, 0, 0xff, 0x08, 0, 0, 7, 0x08, 0, 0, 3]);
    bench.button(Button::Back, true);
    assert!(bench.drain().is_empty());
}

#[test]
fn three_others_switch_five_buttons_on() {
    let mut bench = enabled(&[200, 100, 80, 200, 200, 80]);
    assert_eq!(bench.mouse(&[0xf2]), [0xfa, 0x04]);
    bench.button(Button::Back, true);
    bench.button(Button::Forward, true);
    bench.wheel(1);
    assert_eq!(bench.drain(), [0x08, 0, 0, 0x10, 0x08, 0, 0, 0x3f]);
    assert_eq!(bench.mouse(&[0xff]), [0xfa, 0xaa, 0x00]);
}

#[test]
fn a_standard_mouse_has_no_wheel() {
    let mut bench = plain();
    bench.wheel(3);
    assert!(bench.drain().is_empty());
}

#[test]
fn the_status_tells_all_settings() {
    let mut bench = Bench::with(0);
    assert_eq!(bench.mouse(&[0xe9]), [0xfa, 0x00, 2, 100]);
    bench.mouse(&[0xe7, 0xe8, 3, 0xf3, 40, 0xf0, 0xf4]);
    bench.button(Button::Left, true);
    bench.button(Button::Middle, true);
    assert_eq!(bench.mouse(&[0xe9]), [0xfa, 0x76, 3, 40]);
    assert_eq!(bench.mouse(&[0xf6, 0xe9]), [0xfa, 0xfa, 0x06, 2, 100]);
}

#[test]
fn in_remote_mode_data_come_when_they_are_asked_for() {
    let mut bench = Bench::with(0);
    assert_eq!(bench.mouse(&[0xf0]), [0xfa]);
    bench.move_by(3, 4);
    assert!(bench.drain().is_empty());
    assert_eq!(bench.mouse(&[0xeb]), [0xfa, 0x28, 3, 0xfc]);
    assert_eq!(bench.mouse(&[0xeb]), [0xfa, 0x08, 0, 0]);
    assert_eq!(bench.mouse(&[0xea, 0xf4]), [0xfa, 0xfa]);
    bench.move_by(1, 0);
    assert_eq!(bench.drain(), [0x08, 1, 0]);
}

#[test]
fn in_wrap_mode_everything_comes_back() {
    let mut bench = plain();
    assert_eq!(bench.mouse(&[0xee]), [0xfa]);
    bench.move_by(1, 0);
    assert_eq!(bench.mouse(&[0xf2, 0x55, 0xfe]), [0xf2, 0x55, 0xfe]);
    assert_eq!(bench.mouse(&[0xec]), [0xfa]);
    assert_eq!(bench.mouse(&[0xee, 0xff]), [0xfa, 0xfa, 0xaa, 0x00]);
}

#[test]
fn scaling_is_for_streams_only() {
    let mut bench = plain();
    bench.mouse(&[0xe7]);
    for (count, scaled) in [(1, 1), (2, 1), (3, 3), (4, 6), (5, 9), (6, 12), (100, 200)] {
        bench.move_by(count, 0);
        assert_eq!(bench.drain(), [0x08, scaled, 0], "{count}");
    }
    bench.move_by(-4, 200);
    assert_eq!(bench.drain(), [0x38, 0xfa, 2, 0x28, 0, 0x6e], "127 doubled, then 73 doubled");
    bench.mouse(&[0xf0]);
    bench.move_by(100, 0);
    assert_eq!(bench.mouse(&[0xeb]), [0xfa, 0x08, 100, 0]);
}

#[test]
fn what_is_no_command_is_asked_for_again_and_then_refused() {
    let mut bench = Bench::with(0);
    assert_eq!(bench.mouse(&[0x12, 0x34, 0xe1, 0xf2]), [0xfe, 0xfc, 0xfc, 0xfa, 0x00]);
    assert_eq!(bench.mouse(&[0xe8, 4]), [0xfa, 0xfe]);
    assert_eq!(bench.mouse(&[0xf3, 0]), [0xfa, 0xfe]);
}

#[test]
fn resend_repeats_the_last_byte() {
    let mut bench = plain();
    assert_eq!(bench.mouse(&[0xf2]), [0xfa, 0x00]);
    bench.move_by(7, 0);
    assert_eq!(bench.drain(), [0x08, 7, 0]);
    assert_eq!(bench.mouse(&[0xfe]), [0]);
}

#[test]
fn a_command_ends_the_packet_under_way() {
    let mut bench = plain();
    bench.move_by(9, 9);
    assert_eq!(bench.read(), 0x28);
    assert_eq!(bench.read(), 9);
    // The last byte of the packet is in the output buffer already.
    assert_eq!(bench.mouse(&[0xf2]), [0xf7, 0xfa, 0x00]);
    bench.move_by(1, 0);
    assert_eq!(bench.drain(), [0x08, 1, 0]);
}

proptest! {
    #[test]
    fn no_movement_is_lost_and_no_button_is_wrong(
        actions in prop::collection::vec((-600..600_i32, -600..600_i32, -20..20_i32, 0..5_usize, any::<bool>()), 1..40),
        reads in 0..8_usize,
    ) {
        let buttons = [Button::Left, Button::Right, Button::Middle, Button::Back, Button::Forward];
        let mut bench = enabled(&[200, 200, 80]);
        let (mut bytes, mut held) = (Vec::new(), 0_u8);
        for &(dx, dy, notches, button, down) in &actions {
            bench.move_by(dx, dy);
            bench.wheel(notches);
            if bench.device.input(&Input::Button { button: buttons[button], down }) {
                held = if down { held | 1 << button } else { held & !(1 << button) };
            }
            bytes.extend(bench.read_some(reads));
        }
        bytes.extend(bench.drain());
        prop_assert_eq!(bytes.len() % 4, 0);
        let (mut sums, mut last) = ((0, 0, 0), 0);
        for packet in bytes.chunks(4) {
            prop_assert_eq!(packet[0] & 0xc8, 0x08);
            let signed = |byte: u8, bit: u8| i32::from(byte) - if packet[0] & bit != 0 { 256 } else { 0 };
            let wheel = i32::from((packet[3] << 4) as i8 >> 4);
            sums = (sums.0 + signed(packet[1], 0x10), sums.1 - signed(packet[2], 0x20), sums.2 - wheel);
            last = packet[0] & 7 | (packet[3] & 0x30) >> 1;
        }
        let total = |of: fn(&(i32, i32, i32, usize, bool)) -> i32| actions.iter().map(of).sum::<i32>();
        prop_assert_eq!(sums, (total(|action| action.0), total(|action| action.1), total(|action| action.2)));
        prop_assert_eq!(last, held);
    }
}
