//! An unmodified Debian 12 on a disk: started by its own boot loader, used by keyboard, switched off by the power button,
//! and found as it was left.

use std::time::Duration;

use anyhow::Result;
use whole_machine::{Console, Guest, Patience, Tandem};

#[test]
fn files_survive_a_shutdown_by_the_power_button() -> Result<()> {
    let tandem = Tandem::new()?;
    let disk = tandem.scratch("disk.qcow2");
    std::fs::copy(Guest::DebianDisk.file()?, &disk)?;
    let machine =
        tandem.create("debian", &["--disk", &disk.display().to_string(), "--memory", "512M", "--cpus", "2"])?;
    machine.start()?;
    machine.wait_for_screen("GNU GRUB", Patience::FIRMWARE)?;
    machine.log_in()?;
    let devices = machine.shell("lspci -nn", Patience::REACTION)?;
    assert!(devices.contains("[8086:29c0]"), "the host bridge is missing:\n{devices}");
    assert!(devices.contains("[0106]"), "the disk controller is missing:\n{devices}");
    machine.shell("echo remember >note", Patience::REACTION)?;
    machine.ok("stop", &["--wait", "240"])?;

    machine.start()?;
    machine.log_in()?;
    assert_eq!(machine.shell("cat note", Patience::REACTION)?.trim(), "remember");
    assert_eq!(machine.shell("nproc", Patience::REACTION)?.trim(), "2");
    machine.ok("stop", &["--wait", "240"])?;
    machine.wait_for_state("off", Duration::from_secs(30))?;
    Ok(())
}
