//! What a guest draws is seen as QEMU shows it, pixel for pixel, and costs nothing while nobody looks.
//!
//! The guest draws in one VGA mode after the other, says on the debug console when a mode is drawn completely, and goes on
//! at any key. QEMU's pictures of it are made ahead (`tests/guests/vga-modes`).

use anyhow::Result;
use whole_machine::{Guest, Machine, Patience, Picture, Tandem, wait_until};

const MODES: u32 = 15;

#[test]
fn fifteen_vga_modes_equal_qemus_pixel_for_pixel() -> Result<()> {
    let tandem = Tandem::new()?;
    let machine = start(&tandem)?;
    let mut mismatches = Vec::new();
    for mode in 1..=MODES {
        machine.wait_for_debug_line(&format!("mode {mode}"), Patience::FIRMWARE)?;
        mismatches.extend(mismatch(&tandem, &machine, mode)?);
        machine.key("space")?;
    }
    machine.wait_for_debug_line("end", Patience::REACTION)?;
    assert!(mismatches.is_empty(), "{}", mismatches.join("\n"));
    Ok(())
}

/// How often a screen is drawn for those who keep looking at it is tested in `display`, which has the window's pace: the
/// command line only takes single pictures.
#[test]
fn a_screen_is_drawn_only_for_those_who_look() -> Result<()> {
    let tandem = Tandem::new()?;
    let machine = start(&tandem)?;
    let picture = tandem.scratch("picture.png").display().to_string();
    for mode in 1..=3 {
        machine.wait_for_debug_line(&format!("mode {mode}"), Patience::FIRMWARE)?;
        machine.key("space")?;
    }
    machine.wait_for_debug_line("mode 4", Patience::FIRMWARE)?;
    assert_eq!(drawn(&machine)?, (0, 0), "nobody has looked yet");
    machine.ok("screenshot", &[&picture])?;
    assert_eq!(drawn(&machine)?, (1, 1));
    machine.ok("screenshot", &[&picture])?;
    assert_eq!(drawn(&machine)?, (2, 1), "nothing moves in this mode, so there was nothing to paint anew");
    Ok(())
}

fn start(tandem: &Tandem) -> Result<Machine<'_>> {
    let disk = format!("{},snapshot", Guest::VgaModes.path()?);
    let machine = tandem.create("vga", &["--disk", &disk, "--memory", "64M", "--cpus", "1"])?;
    machine.start()?;
    Ok(machine)
}

/// How often the screen was looked at, and how often it was painted because something had changed.
fn drawn(machine: &Machine<'_>) -> Result<(u64, u64)> {
    Ok((machine.counter("screen.polls")?, machine.counter("screen.repaints")?))
}

/// Waits until each of QEMU's pictures of a mode was seen: one that blinks has two. If something else is seen instead, it
/// says what differs, and keeps both pictures.
fn mismatch(tandem: &Tandem, machine: &Machine<'_>, mode: u32) -> Result<Option<String>> {
    let folder = Guest::VgaModesPictures.file()?;
    let still = folder.join(format!("{mode}.ppm"));
    let wanted = Picture::from_ppm(&still)?;
    let other = Some(folder.join(format!("{mode}-other.ppm"))).filter(|file| file.exists());
    let other = other.map(|file| Picture::from_ppm(&file)).transpose()?;
    let mut unseen: Vec<&Picture> = [&wanted].into_iter().chain(&other).collect();
    let file = tandem.scratch(&format!("mode-{mode}.png"));
    wait_until(&format!("each picture of mode {mode}"), Patience::REACTION, || {
        let shown = machine.screenshot(&file)?;
        unseen.retain(|picture| **picture != shown);
        match shown.difference(&wanted) {
            Some(difference) if other.as_ref() != Some(&shown) => {
                tandem.keep_file(&file, &format!("mode-{mode}.png"));
                tandem.keep_file(&still, &format!("mode-{mode}-qemu.ppm"));
                Ok(Some(Some(format!("mode {mode}: {difference}"))))
            }
            _ => Ok(unseen.is_empty().then_some(None)),
        }
    })
}
