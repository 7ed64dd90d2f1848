//! An unmodified Debian 12 on a disk: started by its own boot loader, used by keyboard, switched off by the power button,
//! and found as it was left.

use std::{process::Command, time::Duration};

use anyhow::Result;
use whole_machine::host::{Mounted, skip};
use whole_machine::{Console, Guest, Patience, SECOND_DISK, Tandem, wait_until};

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
    let complaints = machine.shell("dmesg --level=emerg,alert,crit,err", Patience::REACTION)?;
    assert_eq!(complaints.trim(), "", "the kernel complains about the machine");
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

/// A guest fills its disk until the computer has no room: the machine stands still, and goes on when there is some.
#[test]
fn long_a_full_computer_pauses_a_machine_and_nothing_is_lost() -> Result<()> {
    let tandem = Tandem::new()?;
    let Some(small) = Mounted::small(&tandem.scratch("small"), "24m")? else {
        skip("only root can mount a file system that fills up");
        return Ok(());
    };
    let image = small.path().join("data.qcow2").display().to_string();
    let made = Command::new("qemu-img").args(["create", "-q", "-f", "qcow2", &image, "1G"]).status()?;
    assert!(made.success());
    let system = format!("{},snapshot", Guest::DebianDisk.path()?);
    let machine = tandem.create("full", &["--disk", &system, "--disk", &image, "--memory", "512M", "--cpus", "2"])?;
    machine.start()?;
    machine.log_in()?;
    machine.shell("head -c 64M /dev/urandom >/dev/shm/data", Patience::SYSTEM)?;
    let write = format!("dd if=/dev/shm/data of={SECOND_DISK} bs=1M oflag=direct conv=fsync,nocreat");
    machine.shell(&format!("({write}; echo $? >/dev/shm/end) 2>/dev/null &"), Patience::REACTION)?;

    machine.wait_for_state("paused", Patience::SYSTEM)?;
    let shown = machine.ok("show", &[])?;
    assert!(shown.contains("no room left for what the guest writes to 'disk1'"), "{shown}");
    // There still is none.
    machine.ok("resume", &[])?;
    machine.wait_for_state("paused", Patience::SYSTEM)?;
    small.resize("200m")?;
    machine.ok("resume", &[])?;
    wait_until("the guest's writes", Patience::SYSTEM, || {
        let end = machine.shell("cat /dev/shm/end", Patience::REACTION)?;
        Ok((!end.trim().is_empty() && !end.contains("No such file")).then_some(end))
    })
    .map(|end| assert_eq!(end.trim(), "0"))?;
    machine.shell("echo 3 >/proc/sys/vm/drop_caches", Patience::SYSTEM)?;
    let compared =
        machine.shell(&format!("cmp -n 67108864 /dev/shm/data {SECOND_DISK} && echo equal"), Patience::SYSTEM)?;
    assert_eq!(compared.trim(), "equal");
    assert!(!machine.ok("show", &[])?.contains("no room"));
    machine.ok("stop", &["--wait", "240"])?;
    assert!(Command::new("qemu-img").args(["check", "-q", &image]).status()?.success());
    Ok(())
}
