//! Errors of the host, of the guest's driver and of the bus.

use std::{io::ErrorKind, sync::Arc};

use super::{
    disk::{TestDisk, sector},
    driver::{Command, DATA, Driver, MEMORY, disk},
};
use crate::ahci::registers::{cmd, px};

fn setup() -> (Arc<TestDisk>, Driver) {
    let image = Arc::new(TestDisk::numbered(4096));
    let driver = Driver::new(vec![disk(&image)]);
    (image, driver)
}

#[test]
fn a_sector_that_cannot_be_read_is_uncorrectable() {
    let (image, driver) = setup();
    image.fail(4096..8192, ErrorKind::Other);
    for command in [0x20, 0x25, 0x42, 0xc8] {
        assert_eq!(driver.fail(0, Command::new(command).lba(8).count(1), &[(DATA, 512)]).0, 0x4051, "{command:#x}");
    }
    assert_eq!(driver.register_fis(0)[4], 8);
    assert_eq!(driver.fetch(0, Command::new(0x25).count(1), 512), sector(0));
    assert_eq!(driver.events.faults.lock()[..], [(0, false); 4]);
}

#[test]
fn writes_and_flushes_that_fail_are_aborted() {
    let (image, driver) = setup();
    image.fail(4096..8192, ErrorKind::Other);
    assert_eq!(driver.fail(0, Command::new(0x35).lba(8).count(1), &[(DATA, 512)]).0, 0x451);
}

#[test]
fn an_error_leaves_the_command_in_its_slot_and_stops_the_list() {
    let (_, driver) = setup();
    driver.put(0, px::IS, !0);
    driver.issue(0, 5, &Command::new(0x25).lba(4096).count(1), &[(DATA, 512)]);
    driver.wait("the command fails", || driver.has_failed(0));
    assert_eq!((driver.get(0, px::CI), driver.get(0, px::CMD) & cmd::CCS), (1 << 5, 5 << 8));
    assert_eq!((driver.get(0, px::TFD), driver.get(0, px::IS)), (0x1051, 0x4000_0001));
    driver.issue(0, 6, &Command::new(0x25).count(1), &[(DATA, 512)]);
    assert_eq!(driver.get(0, px::CI), 3 << 5);
    driver.recover(0);
    assert_eq!(driver.get(0, px::CI), 0);
    assert_eq!(driver.fetch(0, Command::new(0x25).count(1), 512), sector(0));
}

#[test]
fn a_full_host_is_waited_for_if_the_engine_says_so() {
    let (image, driver) = setup();
    *driver.events.hold.lock() = true;
    image.fail(0..4096, ErrorKind::StorageFull);
    driver.fill(DATA, &[0xaa; 512]);
    driver.issue(0, 0, &Command::new(0x35).count(1), &[(DATA, 512)]);
    driver.wait("the command is held", || driver.handle.held() == 1);
    assert_eq!(driver.events.faults.lock()[..], [(0, true)]);
    assert_eq!((driver.get(0, px::CI), driver.get(0, px::TFD) & 0x80), (1, 0x80));
    driver.handle.retry();
    driver.wait("it is held again", || driver.events.faults.lock().len() == 2 && driver.handle.held() == 1);
    image.heal();
    driver.handle.retry();
    driver.wait_done(0, 1);
    assert_eq!(image.data()[..512], [0xaa; 512]);
}

#[test]
fn room_that_is_made_before_a_command_is_held_is_not_missed() {
    let (image, driver) = setup();
    *driver.events.hold.lock() = true;
    image.fail(0..4096, ErrorKind::StorageFull);
    let (room, handle) = (image.clone(), driver.handle.clone());
    *driver.events.at_fault.lock() = Some(Box::new(move || {
        room.heal();
        handle.retry();
    }));
    driver.run(0, Command::new(0x35).count(1), &[(DATA, 512)]);
    assert_eq!((driver.events.faults.lock().len(), driver.handle.held()), (1, 0));
    *driver.events.at_fault.lock() = None;
}

#[test]
fn an_image_whose_code_panics_is_a_drive_that_fails() {
    let (image, driver) = setup();
    image.panic();
    assert_eq!(driver.fail(0, Command::new(0x25).count(1), &[(DATA, 512)]).0, 0x4051);
    image.heal();
    assert_eq!(driver.fetch(0, Command::new(0x25).count(1), 512), sector(0));
}

#[test]
fn queued_commands_are_held_one_by_one() {
    let (image, driver) = setup();
    *driver.events.hold.lock() = true;
    image.fail(0..8 * 512, ErrorKind::StorageFull);
    driver.fill(DATA, &[0xbb; 4096]);
    for slot in 0..8 {
        driver.issue(0, slot, &Command::queued(true, slot, 4 * u64::from(slot), 4), &[(DATA, 2048)]);
    }
    driver.wait("the writable ones are done", || driver.is_done(0, 0xfc));
    driver.wait("two are held", || driver.handle.held() == 2);
    assert_eq!(driver.get(0, px::SACT), 3);
    image.heal();
    driver.handle.retry();
    driver.wait_done(0, 3);
    assert_eq!(image.data()[..32 * 512], [0xbb; 32 * 512]);
}

#[test]
fn data_outside_memory_is_a_host_bus_error() {
    let (image, driver) = setup();
    let before = image.data();
    for command in [Command::new(0x25).count(2), Command::new(0x35).count(2), Command::queued(true, 0, 0, 2)] {
        driver.issue(0, 0, &command, &[(MEMORY - 512, 1024)]);
        driver.wait("the bus fails", || driver.has_failed(0));
        assert_eq!(driver.get(0, px::IS) & 0x6000_0000, 0x2000_0000);
        driver.bring_up(0);
    }
    assert_eq!(image.data(), before);
}

#[test]
fn too_few_descriptors_are_an_overflow() {
    let (image, driver) = setup();
    let before = image.data();
    for command in [0x25, 0x35, 0xec] {
        let data: &[(u64, u32)] = &[(DATA, 256)];
        driver.issue(0, 0, &Command::new(command).count(1), data);
        driver.wait("the transfer overflows", || driver.has_failed(0));
        assert_eq!(driver.get(0, px::IS) & 0x0100_0000, 0x0100_0000, "{command:#x}");
        assert_eq!(driver.get(0, px::TFD) & 0x80, 0x80);
        driver.bring_up(0);
    }
    assert_eq!(image.data(), before);
}

#[test]
fn a_command_list_outside_memory_is_a_host_bus_error() {
    let (_, driver) = setup();
    driver.stop(0);
    driver.put(0, px::CLBU, 0xffff_ffff);
    driver.start(0);
    driver.put(0, px::CI, 1);
    driver.wait("the bus fails", || driver.has_failed(0));
    assert_eq!(driver.get(0, px::IS) & 0x2000_0000, 0x2000_0000);
}

#[test]
fn a_fis_that_no_drive_knows_is_an_interface_error() {
    let (_, driver) = setup();
    for command in [Command::new(0xec).malformed(0x46, 5), Command::new(0xec).malformed(0x27, 1)] {
        driver.issue(0, 0, &command, &[(DATA, 512)]);
        driver.wait("the link fails", || driver.has_failed(0));
        assert_eq!(driver.get(0, px::IS) & 0x0800_0000, 0x0800_0000);
        assert_ne!(driver.get(0, px::SERR), 0);
        driver.bring_up(0);
    }
    assert_eq!(driver.fetch(0, Command::new(0x25).count(1), 512), sector(0));
}
