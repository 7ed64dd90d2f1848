//! Systems that are not ours, in a window.

use anyhow::Result;
use whole_machine::{Console, Desktop, Guest, Key, Patience, Tandem, Windowing, found, wait_until};

/// A part of GRUB's text screen without its cursor.
const ABOVE: [u32; 4] = [0, 0, 720, 160];

#[test]
fn a_disc_becomes_a_machine_by_the_wizard_and_is_used_in_its_window() -> Result<()> {
    let (desktop, tandem) = (Desktop::start(Windowing::X11)?, Tandem::new()?);
    let manager = desktop.manager(&tandem)?;
    let machine = manager.make(&tandem, &Guest::GrubRescueIso.file()?)?;
    let window = desktop.window(machine.name())?;
    machine.wait_for_screen("GNU GRUB", Patience::FIRMWARE)?;
    // A menu of nothing: c opens the shell.
    window.type_text("c")?;
    machine.wait_for_screen("grub>", Patience::REACTION)?;
    window.type_text("lspci")?;
    window.key(Key::ENTER)?;
    let screen = machine.wait_for_screen("[0106]", Patience::REACTION)?;
    assert!(screen.contains("8086:29c0"), "the host bridge is missing:\n{screen}");
    // What the guest shows is what the window does.
    let file = tandem.scratch("guest.png");
    wait_until("the guest's text in the window", Patience::REACTION, || {
        Ok(found(&window.picture()?, &machine.screenshot(&file)?, ABOVE))
    })
    .map(drop)
}
