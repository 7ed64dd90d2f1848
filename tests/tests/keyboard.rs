//! What is typed at a machine arrives in it, character for character.

use anyhow::Result;
use whole_machine::{Console, Guest, Patience, Tandem};

#[test]
fn every_printable_character_arrives_as_typed() -> Result<()> {
    let tandem = Tandem::new()?;
    let machine =
        tandem.create("keyboard", &["--iso", &Guest::GrubRescueIso.path()?, "--memory", "128M", "--cpus", "1"])?;
    machine.start()?;
    machine.wait_for_screen("GNU GRUB", Patience::FIRMWARE)?;
    machine.type_text("c")?;
    machine.wait_for_screen("grub>", Patience::REACTION)?;
    // GRUB's shell takes everything between single quotes as it is, but for a single quote.
    let characters: Vec<char> = (' '..='~').filter(|character| *character != '\'').collect();
    for part in characters.chunks(47) {
        let text = format!("<{}>", part.iter().collect::<String>());
        machine.type_text(&format!("echo '{text}'\n"))?;
        // The typed line shows it as well, but not alone.
        machine.wait_for_screen_that(&text, Patience::REACTION, &|screen| screen.lines().any(|line| line == text))?;
    }
    machine.type_text("echo \"<'>\"\n")?;
    machine.wait_for_screen_that("<'>", Patience::REACTION, &|screen| screen.lines().any(|line| line == "<'>"))?;
    Ok(())
}
