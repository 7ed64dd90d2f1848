//! The whole screen as it is before anything happens, and the small pictures that replace parts of it later.

use crate::canvas::{Canvas, Colour, Point, Segment};
use crate::landscape;
use crate::layout::{
    ACCENT, BEEP, BRIGHT, CARD, CARD_HEIGHT, CARD_TOP, CLOCK, COMPUTER, HEIGHT, INPUT, KEYBOARD, KEYBOARD_ROWS, LAMPS,
    MOUSE, MOUSE_ROWS, MUTED, PADDING, RIM, ROWS, WELL, WIDTH,
};
use crate::letters::{BASE, HALF_WIDTH, Style};

/// What is drawn over the screen later, by the name that the guest has for it.
pub(crate) struct Sprite {
    pub(crate) name: &'static str,
    pub(crate) picture: Canvas,
}

/// The screen.
pub(crate) fn paint() -> Canvas {
    let mut canvas = Canvas::new(WIDTH, HEIGHT, [0.0; 3]);
    landscape::paint(&mut canvas);
    titles(&mut canvas);
    for (left, width) in [CLOCK, KEYBOARD, MOUSE, COMPUTER] {
        card(&mut canvas, left, width);
    }
    labels(&mut canvas, CLOCK.0, "TIME OF DAY", &[(ROWS[2], "Running"), (ROWS[3], "Started")]);
    labels(
        &mut canvas,
        KEYBOARD.0,
        "KEYBOARD",
        &[(KEYBOARD_ROWS[0], "Key"), (KEYBOARD_ROWS[1], "Code"), (KEYBOARD_ROWS[2], "Said")],
    );
    labels(
        &mut canvas,
        MOUSE.0,
        "MOUSE",
        &[(MOUSE_ROWS[0], "Place"), (MOUSE_ROWS[1], "Wheel"), (MOUSE_ROWS[2], "Buttons")],
    );
    let computer = [(ROWS[0], "Screen"), (ROWS[1], "Memory"), (ROWS[2], "Processor"), (ROWS[3], "Runs on")];
    labels(&mut canvas, COMPUTER.0, "THIS COMPUTER", &computer);
    let (x, y, width, height) = INPUT;
    let place = ((KEYBOARD.0 + x) as f32, (CARD_TOP + y) as f32);
    canvas.rounded(place, (width as f32, height as f32), 8.0, RIM, 1.0);
    canvas.rounded((place.0 + 1.0, place.1 + 1.0), (width as f32 - 2.0, height as f32 - 2.0), 7.0, WELL, 1.0);
    for number in 0..3 {
        lamp(&mut canvas, number, false);
    }
    button(&mut canvas, false);
    canvas
}

/// The small pictures.
pub(crate) fn sprites(screen: &Canvas) -> Vec<Sprite> {
    let mut sprites = Vec::new();
    for (name, pressed) in [("sprite_beep_off", false), ("sprite_beep_on", true)] {
        let mut canvas = screen.clone();
        button(&mut canvas, pressed);
        let picture = canvas.cut(MOUSE.0 + BEEP.0, CARD_TOP + BEEP.1, BEEP.2, BEEP.3);
        sprites.push(Sprite { name, picture });
    }
    let names = ["sprite_left_off", "sprite_middle_off", "sprite_right_off"];
    let lit_names = ["sprite_left_on", "sprite_middle_on", "sprite_right_on"];
    for (names, lit) in [(names, false), (lit_names, true)] {
        for (number, name) in names.into_iter().enumerate() {
            let mut canvas = screen.clone();
            lamp(&mut canvas, number, lit);
            let left = MOUSE.0 + LAMPS.0 + number * LAMPS.4;
            sprites.push(Sprite { name, picture: canvas.cut(left, CARD_TOP + LAMPS.1, LAMPS.2, LAMPS.3) });
        }
    }
    sprites
}

fn small(colour: Colour) -> Style {
    Style { scale: 1.0, half_width: HALF_WIDTH, tracking: 0.0, colour }
}

fn titles(canvas: &mut Canvas) {
    let title = Style { scale: 6.1, half_width: 0.6, tracking: 0.35, colour: BRIGHT };
    title.draw(canvas, (38.2, 150.0), "Welcome to Tandem");
    let lines = [
        "This computer is made of software, and everything on it is alive:",
        "type something, move the mouse, and listen.",
    ];
    let text = Style { scale: 1.5, half_width: 0.62, tracking: 0.35, colour: [226.0, 214.0, 226.0] };
    for (number, line) in lines.into_iter().enumerate() {
        text.draw(canvas, (40.0, 200.0 + 30.0 * number as f32), line);
    }
    let hint = "Ctrl + Alt + Del restarts this computer, its power button switches it off.";
    let style = Style { tracking: 0.3, ..small([116.0, 126.0, 164.0]) };
    style.draw(canvas, (((WIDTH as f32 - style.width(hint)) / 2.0).round(), 754.5), hint);
}

fn card(canvas: &mut Canvas, left: usize, width: usize) {
    let (x, y, w, h) = (left as f32, CARD_TOP as f32, width as f32, CARD_HEIGHT as f32);
    // A shadow, a line of light around, the card
    for spread in 1..=6 {
        let by = spread as f32;
        canvas.rounded((x - by, y - by + 3.0), (w + 2.0 * by, h + 2.0 * by), 14.0 + by, [4.0, 6.0, 16.0], 0.07);
    }
    canvas.rounded((x, y), (w, h), 14.0, RIM, 1.0);
    canvas.rounded((x + 1.0, y + 1.0), (w - 2.0, h - 2.0), 13.0, CARD, 1.0);
}

fn labels(canvas: &mut Canvas, left: usize, heading: &str, rows: &[(usize, &str)]) {
    let x = (left + PADDING) as f32;
    let style = Style { scale: 0.9, half_width: 0.85, tracking: 1.6, colour: ACCENT };
    style.draw(canvas, (x, CARD_TOP as f32 + 26.5), heading);
    for (top, label) in rows {
        small(MUTED).draw(canvas, (x, (CARD_TOP + top) as f32 + BASE + 1.0), label);
    }
}

fn lamp(canvas: &mut Canvas, number: usize, lit: bool) {
    let (x, y, width, height, pitch) = LAMPS;
    let place = ((MOUSE.0 + x + number * pitch) as f32, (CARD_TOP + y) as f32);
    let (fill, letter) = if lit { (ACCENT, WELL) } else { (WELL, MUTED) };
    canvas.rounded(place, (width as f32, height as f32), 9.0, if lit { ACCENT } else { RIM }, 1.0);
    canvas.rounded((place.0 + 1.0, place.1 + 1.0), (width as f32 - 2.0, height as f32 - 2.0), 8.0, fill, 1.0);
    let style = Style { scale: 0.82, half_width: 0.85, tracking: 0.0, colour: letter };
    let text = ["L", "M", "R"][number];
    let left = place.0 + (width as f32 - style.width(text)) / 2.0 + 0.5;
    style.draw(canvas, (left, place.1 + 13.5), text);
}

fn button(canvas: &mut Canvas, sounding: bool) {
    let (x, y, width, height) = BEEP;
    let (x, y) = ((MOUSE.0 + x) as f32, (CARD_TOP + y) as f32);
    let (fill, ink) = if sounding { (BRIGHT, WELL) } else { (ACCENT, WELL) };
    canvas.rounded((x, y), (width as f32, height as f32), 9.0, fill, 1.0);
    let style = Style { scale: 1.15, half_width: 0.85, tracking: 0.4, colour: ink };
    style.draw(canvas, (x + 52.0, y + 23.5), "Beep");
    let key = Style { scale: 0.9, half_width: 0.75, tracking: 0.3, colour: [110.0, 68.0, 46.0] };
    key.draw(canvas, (x + 132.0, y + 22.5), "F2");
    loudspeaker(canvas, (x + 24.0, y + height as f32 / 2.0), ink, if sounding { 2 } else { 1 });
}

/// A loudspeaker with so many waves in front of it.
fn loudspeaker(canvas: &mut Canvas, (x, y): Point, ink: Colour, waves: usize) {
    canvas.rounded((x - 7.0, y - 3.0), (6.0, 6.0), 1.0, ink, 1.0);
    let cone = (0..=11).map(|step| {
        let share = step as f32 / 11.0;
        let (column, half) = (x - 1.0 + 5.5 * share, 2.5 + 4.5 * share);
        Segment((column, y - half), (column, y + half))
    });
    canvas.strokes(&cone.collect::<Vec<_>>(), 0.8, ink, 1.0);
    for radius in [5.0, 9.0].into_iter().take(waves) {
        let wave = (-4..=4).map(|step| {
            let angle = step as f32 * 0.2;
            (x + 5.0 + radius * angle.cos(), y + 1.1 * radius * angle.sin())
        });
        canvas.line(&wave.collect::<Vec<_>>(), 0.9, ink);
    }
}
