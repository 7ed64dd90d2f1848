//! Resets, stops, saves and discs while commands are under way.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use machine::{component::Component, contract::Accesses};

use super::{
    disk::{TestDisk, sector},
    driver::{Command, DATA, Driver, disk},
};
use crate::ahci::registers::{cmd, px};

fn setup() -> (Arc<TestDisk>, Driver) {
    let image = Arc::new(TestDisk::numbered(4096));
    let driver = Driver::new(vec![disk(&image)]);
    (image, driver)
}

fn issue_reads(driver: &Driver, count: u8) {
    for slot in 0..count {
        let at = DATA + 0x1000 * u64::from(slot);
        driver.issue(0, slot, &Command::queued(false, slot, 8 * u64::from(slot), 8), &[(at, 4096)]);
    }
}

#[test]
fn a_software_reset_gives_the_signature_again() {
    let (_, driver) = setup();
    driver.issue(0, 0, &Command::control(4, true), &[]);
    driver.wait_done(0, 1);
    driver.fill(Driver::received(0), &[0; 256]);
    driver.issue(0, 1, &Command::control(0, false), &[]);
    driver.wait_done(0, 2);
    assert_eq!((driver.get(0, px::TFD), driver.get(0, px::SIG)), (0x150, 0x101));
    assert_eq!(driver.register_fis(0)[..3], [0x34, 0, 0x50]);
    assert_eq!(driver.fetch(0, Command::new(0x25).count(1), 512), sector(0));
}

#[test]
fn the_list_runs_until_what_was_given_up_has_ended() {
    let (image, driver) = setup();
    image.close();
    issue_reads(&driver, 2);
    image.wait_for_callers(2);
    driver.put(0, px::CMD, cmd::FRE);
    assert_eq!(driver.get(0, px::CMD) & (cmd::CR | cmd::ST), cmd::CR);
    assert_eq!((driver.get(0, px::CI), driver.get(0, px::SACT)), (0, 0));
    image.open();
    driver.wait("the list stops", || driver.get(0, px::CMD) & cmd::CR == 0);
    driver.put(0, px::IS, !0);
    driver.start(0);
    assert_eq!(driver.fetch(0, Command::new(0x25).count(1), 512), sector(0));
}

#[test]
fn a_drive_that_was_reset_is_busy_until_it_has_left_memory_alone() {
    let (image, driver) = setup();
    image.close();
    issue_reads(&driver, 2);
    image.wait_for_callers(2);
    driver.comreset(0);
    assert_eq!((driver.get(0, px::SSTS), driver.get(0, px::TFD)), (0x133, 0x80));
    image.open();
    driver.wait("the drive is ready", || driver.get(0, px::TFD) == 0x150);
    let garbage = vec![0x77; 0x2000];
    driver.fill(DATA, &garbage);
    driver.bring_up(0);
    assert_eq!(driver.bytes(DATA, 0x2000), garbage);
}

#[test]
fn an_hba_reset_lasts_until_nothing_is_under_way() {
    let (image, driver) = setup();
    image.close();
    issue_reads(&driver, 2);
    image.wait_for_callers(2);
    driver.write(0x04, 0x8000_0003);
    assert_eq!(driver.read(0x04), 0x8000_0003);
    driver.put(0, px::IE, !0);
    image.open();
    driver.wait("the reset ends", || driver.read(0x04) == 0x8000_0000);
    assert_eq!(driver.get(0, px::IE), 0);
    driver.enable();
    driver.bring_up(0);
    assert_eq!(driver.fetch(0, Command::new(0x25).count(1), 512), sector(0));
}

#[test]
fn storms_of_resets_lose_nothing_but_what_was_under_way() {
    let (_, driver) = setup();
    let mut accesses = Accesses::new(3);
    for round in 0..200 {
        issue_reads(&driver, 1 + accesses.below(32) as u8);
        for _ in 0..accesses.below(3) {
            std::thread::yield_now();
        }
        match round % 4 {
            0 => driver.comreset(0),
            1 => driver.stop(0),
            2 => driver.write(0x04, 0x8000_0003),
            _ => driver.issue(0, 31, &Command::control(4, true), &[]),
        }
        driver.wait("no reset", || driver.read(0x04) & 1 == 0);
        driver.enable();
        driver.bring_up(0);
        let number = accesses.below(4096) as u32;
        assert_eq!(driver.fetch(0, Command::new(0x25).lba(number.into()).count(1), 512), sector(number));
    }
}

#[test]
fn a_stopped_machine_leaves_memory_alone_and_goes_on_later() {
    let (image, driver) = setup();
    image.close();
    issue_reads(&driver, 32);
    image.wait_for_callers(crate::ahci::DEFAULT_WORKERS);
    let stopped = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            driver.device.lock().stop();
            stopped.store(true, Ordering::SeqCst);
        });
        driver.wait("the machine is about to stop", || driver.device.is_locked());
        assert!(!stopped.load(Ordering::SeqCst));
        image.open();
    });
    let left = driver.get(0, px::CI);
    assert_eq!((left.count_ones(), driver.get(0, px::SACT)), (32 - 4, left));
    let rises = driver.interrupts.rises();
    driver.fill(DATA, &[0; 0x2_0000]);
    driver.device.lock().start();
    driver.wait_done(0, !0);
    assert!(driver.interrupts.rises() >= rises);
    for slot in (0..32_u8).filter(|slot| left & 1 << slot != 0) {
        let at = DATA + 0x1000 * u64::from(slot);
        assert_eq!(driver.bytes(at, 512), sector(8 * u32::from(slot)), "slot {slot}");
    }
}

#[test]
fn stopping_and_starting_while_busy_loses_nothing() {
    let (_, driver) = setup();
    for _ in 0..100 {
        issue_reads(&driver, 32);
        driver.device.lock().stop();
        driver.device.lock().start();
        driver.wait_done(0, !0);
        assert_eq!(driver.bytes(DATA + 0x1000 * 31, 512), sector(8 * 31));
    }
}

#[test]
fn a_reset_while_busy_equals_a_new_controller() {
    let (image, driver) = setup();
    issue_reads(&driver, 32);
    driver.device.lock().reset();
    driver.device.lock().stop();
    let fresh = Driver::cold(vec![disk(&image)]);
    assert_eq!(driver.device.lock().save().unwrap(), fresh.device.lock().save().unwrap());
}

#[test]
fn what_is_held_and_what_was_not_begun_survive_saving() {
    let (image, driver) = setup();
    *driver.events.hold.lock() = true;
    image.fail(0..8 * 512, std::io::ErrorKind::StorageFull);
    driver.fill(DATA, &[0xcc; 4096]);
    driver.issue(0, 2, &Command::queued(true, 2, 0, 8), &[(DATA, 4096)]);
    driver.wait("the command is held", || driver.handle.held() == 1);
    driver.device.lock().stop();
    driver.issue(0, 7, &Command::queued(true, 7, 8, 8), &[(DATA, 4096)]);
    let saved = driver.device.lock().save().unwrap();
    image.heal();

    let copy = Driver::with_memory(vec![disk(&image)], driver.memory.clone());
    copy.device.lock().restore(&saved).unwrap();
    assert_eq!(copy.device.lock().save().unwrap(), saved);
    assert_eq!((copy.handle.held(), copy.get(0, px::SACT), copy.get(0, px::CI)), (1, 1 << 2 | 1 << 7, 1 << 7));
    copy.device.lock().start();
    copy.wait_done(0, !0);
    assert_eq!(image.data()[..8192], [0xcc; 8192]);
}

#[test]
fn another_disk_does_not_take_over_a_state() {
    let (_, driver) = setup();
    driver.device.lock().stop();
    let saved = driver.device.lock().save().unwrap();
    let smaller = Driver::cold(vec![disk(&Arc::new(TestDisk::numbered(64)))]);
    let before = smaller.device.lock().save().unwrap();
    let error = smaller.device.lock().restore(&saved).unwrap_err();
    assert!(error.to_string().contains("4096 sectors"), "{error}");
    assert_eq!(smaller.device.lock().save().unwrap(), before);
    let none = Driver::cold(vec![]);
    assert!(none.device.lock().restore(&saved).is_err());
}

#[test]
fn dropping_a_busy_controller_ends_its_threads() {
    let (image, driver) = setup();
    issue_reads(&driver, 32);
    drop(driver);
    assert_eq!(Arc::strong_count(&image), 1);
}
