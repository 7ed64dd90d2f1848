//! Where the beam is: Input Status 1's retrace and display-enable bits, from the CRT controller's timing registers and
//! the machine's clock, so that programs that wait for the retrace run at the right speed.
//!
//! The same clock drives blinking.

use std::time::Duration;

use super::registers::{
    CR_HORIZONTAL_DISPLAY_END, CR_HORIZONTAL_TOTAL, CR_VERTICAL_DISPLAY_END, CR_VERTICAL_RETRACE_END,
    CR_VERTICAL_RETRACE_START, CR_VERTICAL_TOTAL, Registers, SR_CLOCKING,
};

/// Input Status 1: vertical retrace.
pub(super) const VERTICAL_RETRACE: u8 = 0x08;
/// Input Status 1: the display is disabled (horizontal or vertical blanking).
pub(super) const DISPLAY_DISABLED: u8 = 0x01;

/// A frame: lengths in character clocks and scan lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Frame {
    characters_per_second: u32,
    total: (u32, u32),
    displayed: (u32, u32),
    retrace_start: u32,
    retrace_lines: u32,
}

/// 640 by 480 at 60 Hz, for registers that make no picture.
const STANDARD: Frame = Frame {
    characters_per_second: 25_175_000 / 8,
    total: (100, 525),
    displayed: (80, 480),
    retrace_start: 490,
    retrace_lines: 2,
};

impl Frame {
    fn of(registers: &Registers) -> Frame {
        let crtc = |index: usize| u32::from(registers.crtc[index]);
        let dots = if registers.sequencer[SR_CLOCKING] & 1 != 0 { 8 } else { 9 };
        let halved = u32::from(registers.sequencer[SR_CLOCKING] >> 3 & 1);
        let hertz = if registers.miscellaneous >> 2 & 3 == 1 { 28_322_000 } else { 25_175_000 };
        let retrace_start = registers.vertical(CR_VERTICAL_RETRACE_START, 2, 7);
        let frame = Frame {
            characters_per_second: (hertz / dots) >> halved,
            total: (crtc(CR_HORIZONTAL_TOTAL) + 5, registers.vertical(CR_VERTICAL_TOTAL, 0, 5) + 2),
            displayed: (crtc(CR_HORIZONTAL_DISPLAY_END) + 1, registers.vertical(CR_VERTICAL_DISPLAY_END, 1, 6) + 1),
            retrace_start,
            // Retrace ends when the low four bits of the line agree.
            retrace_lines: match crtc(CR_VERTICAL_RETRACE_END).wrapping_sub(retrace_start) & 0x0f {
                0 => 16,
                lines => lines,
            },
        };
        let sound = frame.displayed.0 < frame.total.0
            && frame.displayed.1 < frame.total.1
            && frame.retrace_start + frame.retrace_lines <= frame.total.1
            && frame.displayed.1 >= 100;
        if sound { frame } else { STANDARD }
    }
}

/// Input Status 1 at machine time `now`. `vbe`: the timing registers don't matter.
pub(super) fn input_status(registers: &Registers, vbe: bool, now: Duration) -> u8 {
    let frame = if vbe { STANDARD } else { Frame::of(registers) };
    let characters = now.as_nanos() * u128::from(frame.characters_per_second) / 1_000_000_000;
    let position = (characters % u128::from(frame.total.0 * frame.total.1)) as u32;
    let (column, line) = (position % frame.total.0, position / frame.total.0);
    let mut status = 0;
    if column >= frame.displayed.0 || line >= frame.displayed.1 {
        status |= DISPLAY_DISABLED;
    }
    if (frame.retrace_start..frame.retrace_start + frame.retrace_lines).contains(&line) {
        status |= VERTICAL_RETRACE;
    }
    status
}

/// What blinks, at a point of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Blink {
    /// The cursor is seen.
    pub(super) cursor: bool,
    /// Blinking characters are seen.
    pub(super) characters: bool,
}

impl Blink {
    /// The cursor changes every 16 frames of 70 Hz, characters every 32; at zero both are seen.
    pub(super) fn at(now: Duration) -> Blink {
        let sixteen_frames = now.as_millis() * 70 / 16_000;
        Blink { cursor: sixteen_frames & 1 == 0, characters: sixteen_frames & 2 == 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vga::programs;

    /// The share of a second, in thousandths, for which `bit` is set, and how many times it rises.
    fn second(registers: &Registers, bit: u8) -> (usize, usize) {
        let samples: Vec<bool> = (0..1_000_000_u64)
            .map(|micros| input_status(registers, false, Duration::from_micros(micros)) & bit != 0)
            .collect();
        let rises = samples.windows(2).filter(|pair| !pair[0] && pair[1]).count();
        (samples.iter().filter(|&&set| set).count() / 1000, rises)
    }

    #[test]
    fn text_mode_retraces_seventy_times_a_second() {
        let registers = programs::TEXT_80.registers();
        let (share, rises) = second(&registers, VERTICAL_RETRACE);
        assert_eq!(rises, 70);
        assert_eq!(share, 4); // 2 lines of 449
        assert!(second(&registers, DISPLAY_DISABLED).1 > 20_000);
    }

    #[test]
    fn registers_without_sense_still_retrace() {
        assert_eq!(second(&Registers::new(), VERTICAL_RETRACE).1, 60);
    }

    #[test]
    fn blinking_starts_visible_and_changes_with_the_frames() {
        let at = |millis| Blink::at(Duration::from_millis(millis));
        assert_eq!(at(0), Blink { cursor: true, characters: true });
        assert_eq!(at(229), Blink { cursor: false, characters: true });
        assert_eq!(at(458), Blink { cursor: true, characters: false });
    }
}
