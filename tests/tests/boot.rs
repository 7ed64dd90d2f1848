//! Stock boot loaders and small systems start, show what they show on real hardware, and hear the keyboard.

use std::time::Duration;

use anyhow::Result;
use whole_machine::{Console, Guest, Patience, Tandem};

#[test]
fn grub_lists_pci_devices_in_its_shell() -> Result<()> {
    let tandem = Tandem::new()?;
    let machine =
        tandem.create("grub", &["--iso", &Guest::GrubRescueIso.path()?, "--memory", "128M", "--cpus", "1"])?;
    machine.start()?;
    machine.wait_for_screen("GNU GRUB", Patience::FIRMWARE)?;
    machine.type_text("c")?;
    machine.wait_for_screen("grub>", Patience::REACTION)?;
    machine.type_text("lspci\n")?;
    // The disk controller is the last one.
    let screen = machine.wait_for_screen("[0106]", Patience::REACTION)?;
    assert!(screen.contains("8086:29c0"), "the host bridge is missing:\n{screen}");
    assert!(screen.contains("[0601]"), "the ISA bridge is missing:\n{screen}");
    Ok(())
}

#[test]
fn memtest_completes_its_first_tests_on_two_processors() -> Result<()> {
    let tandem = Tandem::new()?;
    let machine = tandem.create("memtest", &["--iso", &Guest::MemtestIso.path()?, "--memory", "64M", "--cpus", "2"])?;
    machine.start()?;
    let screen = machine.wait_for_screen("Memtest86+", Patience::FIRMWARE)?;
    assert!(!screen.contains("Failed"), "{screen}");
    // Test 0 and 1 walk addresses; number 2 running says that both have been completed.
    let limit = Duration::from_secs(400);
    let screen = machine.wait_for_screen_that("test 2", limit, &|screen| screen.contains("Test #2"))?;
    assert!(screen.contains("Errors: 0") || screen.contains("Errors:       0"), "{screen}");
    assert!(screen.contains("2 Threads"), "{screen}");
    Ok(())
}

/// iPXE gathers entropy from the real-time clock's interrupts on the way.
#[test]
fn ipxe_looks_for_a_network() -> Result<()> {
    let tandem = Tandem::new()?;
    let machine = tandem.create("ipxe", &["--iso", &Guest::IpxeIso.path()?, "--memory", "128M", "--cpus", "1"])?;
    machine.start()?;
    machine.wait_for_screen("iPXE", Patience::FIRMWARE)?;
    machine.wait_for_screen("No more network devices", Patience::FIRMWARE)?;
    Ok(())
}

#[test]
fn the_debian_installer_shows_its_first_dialog() -> Result<()> {
    let tandem = Tandem::new()?;
    let machine =
        tandem.create("installer", &["--iso", &Guest::InstallerIso.path()?, "--memory", "1G", "--cpus", "1"])?;
    machine.start()?;
    machine.wait_for_screen("Select a language", Patience::SYSTEM)?;
    Ok(())
}
