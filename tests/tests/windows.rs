//! Machines' windows, as a person uses them: on a desktop, with keys and a mouse. The guest is *Welcome*.

use std::ffi::OsString;
use std::fs;
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use whole_machine::{
    Console, Desktop, Key, Machine, Patience, SoundServer, Stopwatch, Tandem, Window, Windowing, found, host,
    wait_until,
};

/// A part of the guest's picture in which nothing moves.
const SKY: [u32; 4] = [20, 20, 900, 200];

/// Where the guest says which key was pressed or let go: left, top, width, height in its picture.
const KEY_CODE: [u16; 4] = [330, 672, 190, 22];
const STROKES: u64 = 60;
const ROUNDS: u32 = 3;
/// How long a manager that has nothing to do is looked at.
const WATCHED: Duration = Duration::from_secs(10);
/// After so long the manager's window is there.
const WINDOW_OPENS: Duration = Duration::from_millis(700);
/// Where nothing else runs, two processors are idle for more than twice this share of the test, in hundredths.
const IDLE_LEAST: u64 = 25;
/// Of a screen with sixty in a second.
const TWO_FRAMES: Duration = Duration::from_micros(33_333);

/// Makes each test one for X11 and one for Wayland.
macro_rules! on_both {
    ($($test:ident)*) => {
        mod x11 {
            $(#[test] fn $test() -> anyhow::Result<()> { super::$test(super::Windowing::X11) })*
        }
        mod wayland {
            $(#[test] fn $test() -> anyhow::Result<()> { super::$test(super::Windowing::Wayland) })*
        }
    };
}

on_both! {
    a_window_shows_the_guest_pixel_for_pixel_and_takes_keys_and_mouse
    the_machine_has_every_key_while_it_has_the_mouse
    a_window_is_closed_and_opened_again_while_the_machine_runs
    a_machine_outlives_its_display_and_is_seen_on_another
    full_screen_has_nothing_but_the_guest
    full_screen_with_a_filter_takes_keys_and_makes_room_for_questions
    a_click_leads_from_an_empty_library_to_a_picture
    a_file_becomes_a_machine_by_the_wizard
}

/// Starts it with a window, and waits until the guest's picture is up.
fn start<'a>(tandem: &Tandem, machine: &Machine<'_>, desktop: &'a Desktop) -> Result<Window<'a>> {
    start_in(tandem, machine, desktop, Vec::new())
}

/// The same, with more variables in its surroundings.
fn start_in<'a>(
    tandem: &Tandem,
    machine: &Machine<'_>,
    desktop: &'a Desktop,
    surroundings: Vec<(&str, OsString)>,
) -> Result<Window<'a>> {
    let mut command = tandem.command(["start", "Welcome"]);
    // There is no graphics processor.
    desktop.surround(&mut command).env("TANDEM_SOFTWARE_SHADERS", "1");
    let status = command.envs(surroundings).status().context("can't run tandem")?;
    ensure!(status.success(), "tandem start ended with {status}");
    let window = desktop.window("Welcome")?;
    machine.wait_for_serial("welcome: ready", Patience::FIRMWARE)?;
    window.activate()?;
    Ok(window)
}

/// Opens the window of a machine that runs.
fn open<'a>(tandem: &Tandem, desktop: &'a Desktop) -> Result<(Child, Window<'a>)> {
    let mut command = tandem.command(["window", "Welcome"]);
    let child = desktop.surround(&mut command).stderr(Stdio::null()).spawn().context("can't run tandem")?;
    Ok((child, desktop.window("Welcome")?))
}

/// Waits until the guest has drawn its picture.
fn wait_until_drawn(tandem: &Tandem, machine: &Machine<'_>) -> Result<()> {
    let file = tandem.scratch("guest.png");
    wait_until("the guest's picture", Patience::FIRMWARE, || {
        Ok((machine.screenshot(&file)?.part(SKY).colours() > 100).then_some(()))
    })
}

/// Waits until a window shows its machine's picture. Gives where.
fn wait_until_shown(tandem: &Tandem, machine: &Machine<'_>, window: &Window<'_>) -> Result<(u32, u32)> {
    let file = tandem.scratch("guest.png");
    wait_until("the guest's picture in the window", Patience::REACTION, || {
        Ok(found(&window.picture()?, &machine.screenshot(&file)?, SKY))
    })
}

/// Moves the mouse until the guest follows: a click gives it to the machine with the window's next picture only.
fn wait_until_pointed(machine: &Machine<'_>, window: &Window<'_>) -> Result<()> {
    wait_until("the guest's pointer to move", Patience::REACTION, || {
        window.move_by(3, 2)?;
        Ok(machine.serial()?.contains("\npointer 5").then_some(()))
    })
}

fn a_window_shows_the_guest_pixel_for_pixel_and_takes_keys_and_mouse(windowing: Windowing) -> Result<()> {
    let (desktop, tandem) = (Desktop::start(windowing)?, Tandem::new()?);
    let machine = tandem.create_welcome()?;
    let window = start(&tandem, &machine, &desktop)?;
    let (x, y) = wait_until_shown(&tandem, &machine, &window)?;
    window.type_text("Hello")?;
    window.key(Key::ENTER)?;
    machine.wait_for_serial("line Hello", Patience::REACTION)?;
    window.click(x + 500, y + 300)?;
    wait_until_pointed(&machine, &window)?;
    window.key(Key::HOST)?;
    window.chord(&[Key::HOST, Key::P])?;
    machine.wait_for_state("paused", Patience::REACTION)?;
    window.chord(&[Key::HOST, Key::P])?;
    machine.wait_for_state("running", Patience::REACTION)
}

fn the_machine_has_every_key_while_it_has_the_mouse(windowing: Windowing) -> Result<()> {
    let (desktop, tandem) = (Desktop::start(windowing)?, Tandem::new()?);
    let machine = tandem.create_welcome()?;
    let window = start(&tandem, &machine, &desktop)?;
    let (x, y) = wait_until_shown(&tandem, &machine, &window)?;
    window.click(x + 500, y + 300)?;
    wait_until_pointed(&machine, &window)?;
    // On these desktops that closes the window that has the keyboard.
    window.chord(&[Key::ALT, Key::F4])?;
    machine.wait_for_serial("key down 3e F4", Patience::REACTION)?;
    window.type_text("Hello")?;
    window.key(Key::ENTER)?;
    machine.wait_for_serial("line Hello", Patience::REACTION)?;
    // They are the desktop's again as soon as the mouse is, and a running machine's window asks.
    window.key(Key::HOST)?;
    wait_until("the window's end", Patience::REACTION, || {
        window.chord(&[Key::ALT, Key::F4])?;
        window.key(Key::ENTER)?;
        Ok((!desktop.shows("Welcome")?).then_some(()))
    })?;
    machine.wait_for_state("running", Patience::REACTION)
}

fn a_window_is_closed_and_opened_again_while_the_machine_runs(windowing: Windowing) -> Result<()> {
    let (desktop, tandem) = (Desktop::start(windowing)?, Tandem::new()?);
    let machine = tandem.create_welcome()?;
    let window = start(&tandem, &machine, &desktop)?;
    wait_until_shown(&tandem, &machine, &window)?;
    window.chord(&[Key::HOST, Key::Q])?;
    // It asks, and Enter keeps the machine running.
    wait_until("the window's end", Patience::REACTION, || {
        window.key(Key::ENTER)?;
        Ok((!desktop.shows("Welcome")?).then_some(()))
    })?;
    machine.wait_for_state("running", Patience::REACTION)?;
    let (mut child, window) = open(&tandem, &desktop)?;
    wait_until_shown(&tandem, &machine, &window)?;
    // A second one only brings the first to the front.
    let status = desktop.surround(&mut tandem.command(["window", "Welcome"])).status()?;
    ensure!(status.success(), "the second window ended with {status}");
    machine.ok("kill", &[])?;
    desktop.wait_gone("Welcome")?;
    ensure!(child.wait()?.success(), "the window did not end well");
    Ok(())
}

fn a_machine_outlives_its_display_and_is_seen_on_another(windowing: Windowing) -> Result<()> {
    let (mut desktop, tandem) = (Desktop::start(windowing)?, Tandem::new()?);
    let machine = tandem.create_welcome()?;
    let window = start(&tandem, &machine, &desktop)?;
    wait_until_shown(&tandem, &machine, &window)?;
    desktop.crash()?;
    let before = machine.serial()?.lines().filter(|line| line.starts_with("tick ")).count();
    wait_until("the guest to count on", Patience::REACTION, || {
        let now = machine.serial()?.lines().filter(|line| line.starts_with("tick ")).count();
        Ok((now > before + 2).then_some(()))
    })?;
    let other = Desktop::start(windowing)?;
    let (mut child, window) = open(&tandem, &other)?;
    wait_until_shown(&tandem, &machine, &window)?;
    machine.ok("kill", &[])?;
    ensure!(child.wait()?.success(), "the window did not end well");
    ensure!(tandem.processes()?.is_empty(), "a process was left behind");
    Ok(())
}

fn full_screen_has_nothing_but_the_guest(windowing: Windowing) -> Result<()> {
    let (desktop, tandem) = (Desktop::start(windowing)?, Tandem::new()?);
    let machine = tandem.create_welcome()?;
    let window = start(&tandem, &machine, &desktop)?;
    wait_until_shown(&tandem, &machine, &window)?;
    window.chord(&[Key::HOST, Key::F])?;
    wait_until("full screen", Patience::REACTION, || Ok((window.picture()?.size() == (1600, 1000)).then_some(())))?;
    window.chord(&[Key::HOST, Key::F])?;
    wait_until("a window again", Patience::REACTION, || Ok((window.picture()?.size() != (1600, 1000)).then_some(())))
}

/// Whether times say nothing here, and says so.
fn is_in_lab() -> bool {
    let lab = std::env::var_os("LAB").is_some();
    if lab {
        host::skip("on the lab's software processor, times say nothing");
    }
    lab
}

/// Whether other programs had the processors while times were measured, and says so.
fn is_busy(load: &host::Load) -> Result<bool> {
    let idle = load.idle_percent()?;
    let busy = idle < IDLE_LEAST;
    if busy {
        host::skip(&format!("this computer is too busy to measure times: it is idle for {idle} % of the time"));
    }
    Ok(busy)
}

#[test]
fn a_key_changes_a_pixel_within_two_frames() -> Result<()> {
    if is_in_lab() {
        return Ok(());
    }
    let (desktop, tandem) = (Desktop::start(Windowing::X11)?, Tandem::new()?);
    let machine = tandem.create_welcome()?;
    let window = start(&tandem, &machine, &desktop)?;
    let (x, y) = wait_until_shown(&tandem, &machine, &window)?;
    let (x, y) = (u16::try_from(x)?, u16::try_from(y)?);
    let [left, top, width, height] = KEY_CODE;
    let stopwatch = Stopwatch::new(&window, [x + left, y + top, width, height], Key::A)?;
    let load = host::Load::watch()?;
    // Whatever else this computer does delays some of them: what the program itself takes the quick ones tell.
    for _ in 0..ROUNDS {
        let mut took = Vec::new();
        for stroke in 0..STROKES / 2 {
            // A person's strokes are not in step with the pictures.
            took.extend(stopwatch.strokes(Duration::from_millis(40 + stroke * 14 % 31))?);
        }
        took.sort();
        let [quarter, median, most] = [4, 2, 1].map(|part| took[took.len() / part - 1]);
        eprintln!(
            "from a key to a changed pixel: a quarter within {quarter:?}, half within {median:?}, all within {most:?}"
        );
        if quarter <= TWO_FRAMES {
            return Ok(());
        }
    }
    if is_busy(&load)? {
        return Ok(());
    }
    bail!("in none of {ROUNDS} rounds a quarter was within {TWO_FRAMES:?}")
}

#[test]
fn ten_machines_are_listed_soon_and_cost_next_to_nothing() -> Result<()> {
    if is_in_lab() {
        return Ok(());
    }
    let (desktop, tandem) = (Desktop::start(Windowing::X11)?, Tandem::new()?);
    for number in 1..=10 {
        tandem.create(&format!("VM {number}"), &["--disk", "10G"])?;
    }
    let load = host::Load::watch()?;
    let manager = desktop.manager(&tandem)?;
    // What starts a machine is drawn like a default button.
    manager.default_button()?;
    let mut used = manager.usage()?.processors;
    wait_until("the manager to come to rest", Patience::REACTION, || {
        let now = manager.usage()?.processors;
        Ok((std::mem::replace(&mut used, now) == now).then_some(()))
    })?;
    let (began, before) = (Instant::now(), manager.usage()?);
    thread::sleep(WATCHED);
    let (elapsed, after) = (began.elapsed(), manager.usage()?);
    let share = (after.processors - before.processors).as_secs_f64() / elapsed.as_secs_f64() * 100.0;
    let mebibytes = after.resident >> 20;
    eprintln!("ten machines: a window after {:?}, {share:.2} % of a processor, {mebibytes} MiB", manager.took);
    ensure!(share < 1.0, "it uses {share} % of a processor, and nothing happens");
    ensure!(mebibytes < 150, "it uses {mebibytes} MiB");
    if manager.took >= WINDOW_OPENS && !is_busy(&load)? {
        bail!("its window came after {:?}", manager.took);
    }
    manager.quit()
}

#[test]
fn a_beep_is_heard_unless_it_is_muted() -> Result<()> {
    let (desktop, sound, tandem) = (Desktop::start(Windowing::X11)?, SoundServer::start()?, Tandem::new()?);
    let machine = tandem.create_welcome()?;
    let window = start_in(&tandem, &machine, &desktop, sound.surroundings())?;
    wait_until_shown(&tandem, &machine, &window)?;
    // Welcome says hello by two tones, which are heard in part where the window came late.
    wait_until("silence", Patience::REACTION, || {
        Ok((machine.counter("speaker.tone-changes")? >= 3 && sound.is_silent()?).then_some(()))
    })?;
    let before = sound.tones()?.len();
    window.key(Key::F2)?;
    let heard = wait_until("a tone", Patience::REACTION, || Ok(sound.tones()?.get(before).copied()))?;
    ensure!((heard.hertz - 880.0).abs() < 15.0, "{heard:?}, and not 880 Hz");
    // A host that is busy makes it a little shorter or longer.
    ensure!((0.1..0.4).contains(&heard.seconds), "{heard:?}, and not a fifth of a second");
    window.chord(&[Key::HOST, Key::M])?;
    let before = sound.tones()?.len();
    let beeps =
        || Ok::<_, anyhow::Error>(machine.serial()?.lines().filter(|line| line.starts_with("beep 880")).count());
    let beeped = beeps()?;
    window.key(Key::F2)?;
    wait_until("the beep's end", Patience::REACTION, || Ok((beeps()? > beeped).then_some(())))?;
    window.chord(&[Key::HOST, Key::M])?;
    window.key(Key::F2)?;
    wait_until("another tone", Patience::REACTION, || Ok((sound.tones()?.len() > before).then_some(())))?;
    ensure!(sound.tones()?.len() == before + 1, "the muted tone was heard: {:?}", sound.tones()?);
    Ok(())
}

fn full_screen_with_a_filter_takes_keys_and_makes_room_for_questions(windowing: Windowing) -> Result<()> {
    let (desktop, tandem) = (Desktop::start(windowing)?, Tandem::new()?);
    let machine = tandem.create_welcome()?;
    let window = start(&tandem, &machine, &desktop)?;
    wait_until_shown(&tandem, &machine, &window)?;
    // Whole pixels are the first filter. Here they are as large as the screen's.
    window.chord(&[Key::HOST, Key::L])?;
    window.chord(&[Key::HOST, Key::F])?;
    let full = desktop.window("Welcome (full screen)")?;
    let file = tandem.scratch("guest.png");
    wait_until("the guest's picture in full screen", Patience::REACTION, || {
        let (shown, guest) = (full.picture()?, machine.screenshot(&file)?);
        Ok((shown.size() == (1600, 1000) && found(&shown, &guest, SKY) == Some((288, 116))).then_some(()))
    })?;
    full.type_text("Hello")?;
    full.key(Key::ENTER)?;
    machine.wait_for_serial("line Hello", Patience::REACTION)?;
    full.click(800, 500)?;
    wait_until_pointed(&machine, &full)?;
    full.key(Key::HOST)?;
    // The window beneath says that the machine is paused.
    full.chord(&[Key::HOST, Key::P])?;
    machine.wait_for_state("paused", Patience::REACTION)?;
    desktop.wait_gone("Welcome (full screen)")?;
    // The window manager gives it the keyboard in its own time.
    window.activate()?;
    window.chord(&[Key::HOST, Key::P])?;
    machine.wait_for_state("running", Patience::REACTION)?;
    let full = desktop.window("Welcome (full screen)")?;
    full.activate()?;
    // The next filter fills the height of the screen.
    full.chord(&[Key::HOST, Key::L])?;
    wait_until("a picture as large as the screen", Patience::REACTION, || {
        let shown = full.picture()?;
        Ok((found(&shown, &machine.screenshot(&file)?, SKY).is_none()).then_some(()))
    })?;
    full.chord(&[Key::HOST, Key::F])?;
    desktop.wait_gone("Welcome (full screen)")?;
    wait_until("a window again", Patience::REACTION, || Ok((window.picture()?.size() != (1600, 1000)).then_some(())))?;
    wait_until_shown(&tandem, &machine, &window).map(drop)
}

fn a_click_leads_from_an_empty_library_to_a_picture(windowing: Windowing) -> Result<()> {
    let (desktop, tandem) = (Desktop::start(windowing)?, Tandem::new()?);
    let manager = desktop.manager(&tandem)?;
    let (x, y) = manager.default_button()?;
    manager.window.click(x, y)?;
    let machine = tandem.adopt("Welcome");
    let window = desktop.window("Welcome")?;
    wait_until_drawn(&tandem, &machine)?;
    wait_until_shown(&tandem, &machine, &window)?;
    // The machine goes on without the manager.
    manager.quit()?;
    machine.wait_for_state("running", Patience::REACTION)
}

fn a_file_becomes_a_machine_by_the_wizard(windowing: Windowing) -> Result<()> {
    let (desktop, tandem) = (Desktop::start(windowing)?, Tandem::new()?);
    let image = tandem.scratch("picture.img");
    fs::write(&image, assets::WELCOME)?;
    let manager = desktop.manager(&tandem)?;
    let machine = manager.make(&tandem, &image)?;
    let window = desktop.window(machine.name())?;
    wait_until_drawn(&tandem, &machine)?;
    wait_until_shown(&tandem, &machine, &window).map(drop)
}
