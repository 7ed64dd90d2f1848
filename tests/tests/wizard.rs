//! The manager's page for a new machine, as a person uses it on a desktop.

use anyhow::{Context, Result};
use whole_machine::{Console, Desktop, Guest, Patience, Tandem, wait_until};

/// Enter's key code of X.
const ENTER: u32 = 36;

#[test]
fn a_disc_becomes_a_machine_that_boots_it() -> Result<()> {
    let (desktop, tandem) = (Desktop::start()?, Tandem::new()?);
    let manager = desktop.manager(&tandem)?;
    // The library is empty, and offers something else.
    manager.default_button()?;
    manager.window.shortcut("ctrl+n")?;
    manager.window.type_text(&Guest::GrubRescueIso.path()?)?;
    // When the file has been looked at, the machine can be made.
    wait_until("the button to create it", Patience::REACTION, || {
        manager.window.key(ENTER)?;
        let machines = tandem.json(&["list"])?;
        Ok(machines.as_array().filter(|machines| !machines.is_empty()).map(drop))
    })?;
    let machines = tandem.json(&["list"])?;
    let name = machines[0]["name"].as_str().context("it has a name")?;
    let machine = tandem.adopt(name);
    desktop.window(name)?;
    machine.wait_for_screen("grub>", Patience::FIRMWARE)?;
    Ok(())
}
