//! Where things are on the screen, and their colours: for what is painted here and, as a file of assembler constants,
//! for the guest.

use std::fmt::Write as _;

use crate::canvas::Colour;

pub(crate) const WIDTH: usize = 1024;
pub(crate) const HEIGHT: usize = 768;

/// The cards along the bottom: where they begin and how wide they are.
pub(crate) const CARD_TOP: usize = 566;
pub(crate) const CARD_HEIGHT: usize = 168;
pub(crate) const CLOCK: (usize, usize) = (40, 204);
pub(crate) const KEYBOARD: (usize, usize) = (260, 284);
pub(crate) const MOUSE: (usize, usize) = (560, 204);
pub(crate) const COMPUTER: (usize, usize) = (780, 204);
/// From a card's edge to what is in it.
pub(crate) const PADDING: usize = 16;

/// Rows of small text in a card, from its top: the top of the letters' cells.
pub(crate) const ROWS: [usize; 4] = [44, 74, 104, 134];
/// The same in the two cards that have something larger as well.
pub(crate) const KEYBOARD_ROWS: [usize; 3] = [86, 110, 134];
pub(crate) const MOUSE_ROWS: [usize; 3] = [42, 67, 92];
/// From the beginning of a row's label to its value.
pub(crate) const VALUE: usize = 76;
pub(crate) const CLOCK_VALUE: usize = 92;
pub(crate) const MOUSE_VALUE: usize = 64;

/// The box that shows what is typed, in its card.
pub(crate) const INPUT: (usize, usize, usize, usize) = (PADDING, 40, 284 - 2 * PADDING, 34);
/// The button that beeps, in its card.
pub(crate) const BEEP: (usize, usize, usize, usize) = (PADDING, 118, 204 - 2 * PADDING, 34);
/// The three lamps of the mouse's buttons, in its card: where the first begins, their size, from one to the next.
pub(crate) const LAMPS: (usize, usize, usize, usize, usize) = (PADDING + MOUSE_VALUE, 91, 28, 18, 36);

/// A digit of the large clock, and the colon between two.
pub(crate) const DIGIT: (usize, usize) = (24, 40);
pub(crate) const COLON_WIDTH: usize = 12;
/// The large clock, from its card's top.
pub(crate) const DIGITS_TOP: usize = 42;

// Values that are even: the picture keeps colours in steps of two, and the guest draws on them.
pub(crate) const CARD: Colour = [22.0, 28.0, 52.0];
pub(crate) const WELL: Colour = [12.0, 16.0, 34.0];
pub(crate) const RIM: Colour = [70.0, 78.0, 116.0];
pub(crate) const BRIGHT: Colour = [254.0, 244.0, 228.0];
pub(crate) const MUTED: Colour = [148.0, 158.0, 192.0];
pub(crate) const ACCENT: Colour = [254.0, 184.0, 124.0];

/// A colour as the guest has it: 0x00RRGGBB.
pub(crate) fn number(colour: Colour) -> u32 {
    let [red, green, blue] = colour.map(|value| value.round() as u32);
    red << 16 | green << 8 | blue
}

/// The constants that the guest's source includes.
pub(crate) fn for_assembler() -> String {
    let mut text =
        String::from("# Where things are on the screen, and colours. Written by the build; the source is layout.rs.\n");
    let card = |(left, _): (usize, usize), x: usize, y: usize| (left + x, CARD_TOP + y);
    let places = [
        ("DIGITS", card(CLOCK, PADDING, DIGITS_TOP)),
        ("RUNNING", card(CLOCK, PADDING + CLOCK_VALUE, ROWS[2])),
        ("STARTED", card(CLOCK, PADDING + CLOCK_VALUE, ROWS[3])),
        ("INPUT", card(KEYBOARD, INPUT.0 + 10, INPUT.1 + 8)),
        ("KEY", card(KEYBOARD, PADDING + VALUE, KEYBOARD_ROWS[0])),
        ("CODE", card(KEYBOARD, PADDING + VALUE, KEYBOARD_ROWS[1])),
        ("LINE", card(KEYBOARD, PADDING + VALUE, KEYBOARD_ROWS[2])),
        ("POSITION", card(MOUSE, PADDING + MOUSE_VALUE, MOUSE_ROWS[0])),
        ("WHEEL", card(MOUSE, PADDING + MOUSE_VALUE, MOUSE_ROWS[1])),
        ("LAMPS", card(MOUSE, LAMPS.0, LAMPS.1)),
        ("BEEP", card(MOUSE, BEEP.0, BEEP.1)),
        ("SCREEN", card(COMPUTER, PADDING + VALUE, ROWS[0])),
        ("MEMORY", card(COMPUTER, PADDING + VALUE, ROWS[1])),
        ("PROCESSOR", card(COMPUTER, PADDING + VALUE, ROWS[2])),
        ("UNDER", card(COMPUTER, PADDING + VALUE, ROWS[3])),
    ];
    let mut constant = |name: &str, value: usize| {
        // A string takes whatever is written to it
        let _ = writeln!(text, "        .equ    {name}, {value}");
    };
    for (name, (x, y)) in places {
        constant(&format!("{name}_X"), x);
        constant(&format!("{name}_Y"), y);
    }
    let inner = |(_, width): (usize, usize), from: usize| width - 2 * PADDING - from;
    for (name, value) in [
        ("PICTURE_WIDTH", WIDTH),
        ("PICTURE_HEIGHT", HEIGHT),
        ("TEXT_HEIGHT", crate::letters::HEIGHT),
        ("DIGIT_WIDTH", DIGIT.0),
        ("DIGIT_HEIGHT", DIGIT.1),
        ("COLON_WIDTH", COLON_WIDTH),
        ("CLOCK_VALUE_WIDTH", inner(CLOCK, CLOCK_VALUE)),
        ("KEYBOARD_VALUE_WIDTH", inner(KEYBOARD, VALUE)),
        ("INPUT_WIDTH", INPUT.2 - 20),
        ("MOUSE_VALUE_WIDTH", inner(MOUSE, MOUSE_VALUE)),
        ("COMPUTER_VALUE_WIDTH", inner(COMPUTER, VALUE)),
        ("BEEP_WIDTH", BEEP.2),
        ("BEEP_HEIGHT", BEEP.3),
        ("LAMP_WIDTH", LAMPS.2),
        ("LAMP_HEIGHT", LAMPS.3),
        ("LAMP_PITCH", LAMPS.4),
        ("POINTER_WIDTH", crate::pointer::WIDTH),
        ("POINTER_HEIGHT", crate::pointer::HEIGHT),
        ("CARET_COLOUR", number(ACCENT) as usize),
        ("WELL_COLOUR", number(WELL) as usize),
    ] {
        constant(name, value);
    }
    text
}
