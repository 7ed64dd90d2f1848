//! The guest *Welcome*, which a newcomer sees first: its picture, its clock, and that it answers to everything that a
//! person can do. What it says on the serial port is listed at the head of `assets/demo/boot.S`.

use anyhow::Result;
use whole_machine::{Console, Machine, Patience, Tandem, wait_until};

const SIZE: (u32, u32) = (1024, 768);

/// Where things are on its screen: left, top, width, height.
const CLOCK: [u32; 4] = [56, 608, 172, 40];
const INPUT: [u32; 4] = [286, 614, 232, 18];
/// A place on the button that beeps.
const BUTTON: (i32, i32) = (662, 701);
/// Where the pointer is at the start.
const MIDDLE: (i32, i32) = (512, 384);

/// The same, listening.
fn start(tandem: &Tandem) -> Result<Machine<'_>> {
    let machine = tandem.create_welcome()?;
    machine.start()?;
    machine.wait_for_serial("welcome: ready", Patience::FIRMWARE)?;
    Ok(machine)
}

/// Waits until it has said a line so often.
fn wait_for_lines(machine: &Machine<'_>, line: &str, times: usize) -> Result<()> {
    wait_until(&format!("{times} times {line:?}"), Patience::FIRMWARE, || {
        Ok((machine.serial()?.lines().filter(|said| *said == line).count() >= times).then_some(()))
    })
}

/// Moves the pointer by so many pixels, in the steps that a mouse can make.
fn move_by(machine: &Machine<'_>, x: i32, y: i32) -> Result<()> {
    machine.ok("mouse", &["move", &x.to_string(), &y.to_string()]).map(drop)
}

#[test]
fn a_newcomer_sees_a_picture_and_a_clock_that_ticks() -> Result<()> {
    let tandem = Tandem::new()?;
    let machine = start(&tandem)?;
    machine.wait_for_serial("welcome: picture 1024x768x32", Patience::REACTION)?;
    machine.wait_for_serial("tick 1\r\n", Patience::REACTION)?;
    let first = machine.screenshot(&tandem.scratch("first.png"))?;
    machine.wait_for_serial("tick 3\r\n", Patience::REACTION)?;
    let later = machine.screenshot(&tandem.scratch("later.png"))?;
    assert_eq!(first.size(), SIZE);
    assert!(first.colours() > 1000, "a landscape in {} colours", first.colours());
    assert_ne!(first.part(CLOCK), later.part(CLOCK), "the clock stands still");
    assert_eq!(first.part([0, 0, 1024, 300]), later.part([0, 0, 1024, 300]), "the sky is not still");
    Ok(())
}

#[test]
fn keys_are_named_and_what_is_typed_is_seen() -> Result<()> {
    let tandem = Tandem::new()?;
    let machine = start(&tandem)?;
    let empty = machine.screenshot(&tandem.scratch("empty.png"))?;
    machine.type_text("Hello, Tandem!")?;
    machine.wait_for_serial("key up 02 1\r\n", Patience::REACTION)?;
    let typed = machine.screenshot(&tandem.scratch("typed.png"))?;
    assert_ne!(empty.part(INPUT), typed.part(INPUT), "the box shows nothing");
    machine.type_text("\n")?;
    machine.wait_for_serial("line Hello, Tandem!\r\n", Patience::REACTION)?;
    for (keys, said) in [
        ("left", "key down e0 4b Left"),
        ("f10", "key up 44 F10"),
        ("pause", "key down e1 Pause"),
        ("a", "key up 1e A"),
    ] {
        machine.key(keys)?;
        machine.wait_for_serial(&format!("{said}\r\n"), Patience::REACTION)?;
    }
    machine.type_text("xy")?;
    machine.key("backspace")?;
    machine.type_text("z\n")?;
    machine.wait_for_serial("line axz\r\n", Patience::REACTION)?;
    Ok(())
}

#[test]
fn the_pointer_follows_the_mouse_and_a_click_on_the_button_beeps() -> Result<()> {
    let tandem = Tandem::new()?;
    let machine = start(&tandem)?;
    // The two tones at the start have ended
    wait_until("silence", Patience::REACTION, || Ok((machine.counter("speaker.tone-changes")? >= 3).then_some(())))?;
    let before = machine.screenshot(&tandem.scratch("before.png"))?;
    move_by(&machine, 100, -80)?;
    machine.wait_for_serial("pointer 612 304 buttons 0\r\n", Patience::REACTION)?;
    let moved = machine.screenshot(&tandem.scratch("moved.png"))?;
    let arrow = |(x, y): (u32, u32)| [x, y, 18, 27];
    assert_ne!(before.part(arrow((512, 384))), moved.part(arrow((512, 384))), "it is still where it was");
    assert_ne!(before.part(arrow((612, 304))), moved.part(arrow((612, 304))), "it isn't where it was moved");
    move_by(&machine, -100, 80)?;
    machine.wait_for_serial("pointer 512 384 buttons 0\r\n", Patience::REACTION)?;
    let back = machine.screenshot(&tandem.scratch("back.png"))?;
    assert_eq!(before.part([400, 250, 300, 200]), back.part([400, 250, 300, 200]), "it has left something behind");

    let (x, y) = BUTTON;
    move_by(&machine, x - MIDDLE.0, y - MIDDLE.1)?;
    machine.wait_for_serial("pointer 662 701 buttons 0\r\n", Patience::REACTION)?;
    let tones = machine.counter("speaker.tone-changes")?;
    machine.ok("mouse", &["click", "left"])?;
    machine.wait_for_serial("pointer 662 701 buttons 1\r\n", Patience::REACTION)?;
    wait_for_lines(&machine, "beep 880", 1)?;
    wait_until("the tone's end", Patience::REACTION, || {
        Ok((machine.counter("speaker.tone-changes")? >= tones + 2).then_some(()))
    })?;
    machine.key("f2")?;
    wait_for_lines(&machine, "beep 880", 2)?;
    machine.ok("mouse", &["click", "right"])?;
    machine.wait_for_serial("pointer 662 701 buttons 2\r\n", Patience::REACTION)?;
    machine.ok("mouse", &["wheel", "2"])?;
    wait_until("the wheel", Patience::REACTION, || Ok(machine.serial()?.contains("\nwheel ").then_some(())))?;

    // Movements and buttons at once
    for _ in 0..10 {
        move_by(&machine, -30, -20)?;
        machine.ok("mouse", &["click", "left"])?;
    }
    machine.wait_for_serial("pointer 362 501 buttons 1\r\npointer 362 501 buttons 0\r\n", Patience::REACTION)?;
    let serial = machine.serial()?;
    let mut buttons = serial.lines().filter_map(|line| line.strip_prefix("pointer ")?.split_once(" buttons "));
    assert!(buttons.all(|(_, buttons)| ["0", "1", "2"].contains(&buttons)), "{serial}");
    Ok(())
}

#[test]
fn the_power_button_switches_it_off() -> Result<()> {
    let tandem = Tandem::new()?;
    let machine = tandem.create_welcome()?;
    let mut process = machine.run()?;
    machine.wait_for_serial("welcome: ready", Patience::FIRMWARE)?;
    machine.ok("stop", &["--wait", "60"])?;
    let status = wait_until("the end of `tandem run`", Patience::REACTION, || Ok(process.try_wait()?))?;
    assert_eq!(status.code(), Some(0), "it did not switch itself off");
    assert!(machine.serial()?.ends_with("power button\r\noff\r\n"));
    Ok(())
}

#[test]
fn control_alt_delete_starts_it_again() -> Result<()> {
    let tandem = Tandem::new()?;
    let machine = start(&tandem)?;
    machine.key("ctrl+alt+del")?;
    machine.wait_for_serial("reset\r\n", Patience::REACTION)?;
    wait_for_lines(&machine, "welcome: ready", 2)
}
