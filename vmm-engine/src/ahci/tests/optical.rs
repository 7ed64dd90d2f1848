//! The CD/DVD drive.

use std::sync::Arc;

use machine::component::Component;

use super::{
    disk::{TestDisk, sector},
    driver::{Command, DATA, Driver, optical},
};
use crate::ahci::{MediumError, registers::px};

fn block(number: u32) -> Vec<u8> {
    (4 * number..4 * number + 4).flat_map(sector).collect()
}

/// A drive with a disc of 100 blocks, whose unit attention was taken.
fn setup() -> (Arc<TestDisk>, Driver) {
    let disc = Arc::new(TestDisk::numbered(400).read_only());
    let driver = Driver::new(vec![optical(Some(&disc))]);
    assert_eq!(sense_of(&driver, &[0]), [6, 0x29, 0]);
    (disc, driver)
}

/// The sense data of a command that fails.
fn sense_of(driver: &Driver, packet: &[u8]) -> [u8; 3] {
    let (task_file, _) = driver.fail(0, Command::packet(packet), &[(DATA, 4096)]);
    let sense = driver.fetch(0, Command::packet(&[3, 0, 0, 0, 18]), 18);
    assert_eq!(task_file, 0x51 | u32::from(sense[2]) << 12 | 0x400);
    assert_eq!(sense[0], 0x70);
    [sense[2], sense[12], sense[13]]
}

fn event(driver: &Driver) -> [u8; 2] {
    let data = driver.fetch(0, Command::packet(&[0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8]), 8);
    assert_eq!(data[..4], [0, 6, 4, 0x10]);
    [data[4], data[5]]
}

fn read_10(first: u8, blocks: u8) -> [u8; 10] {
    [0x28, 0, 0, 0, 0, first, 0, 0, blocks, 0]
}

#[test]
fn it_identifies_itself_as_a_packet_device() {
    let (_, driver) = setup();
    let identify = driver.fetch(0, Command::new(0xa1), 512);
    assert_eq!(identify[..2], [0xc0, 0x85]);
    assert_eq!(driver.fail(0, Command::new(0xec), &[(DATA, 512)]).0, 0x451);
    assert_eq!(driver.register_fis(0)[4..7], [1, 0x14, 0xeb]);
    let inquiry = driver.fetch(0, Command::packet(&[0x12, 0, 0, 0, 36]), 36);
    assert_eq!((inquiry[0], inquiry[1], &inquiry[8..14]), (5, 0x80, &b"TANDEM"[..]));
}

#[test]
fn blocks_are_read_by_dma_and_pio() {
    let (_, driver) = setup();
    assert_eq!(driver.fetch(0, Command::packet(&read_10(7, 2)), 4096), [block(7), block(8)].concat());
    assert_eq!(driver.register_fis(0)[12], 3);
    let pio = Command::packet(&[0xa8, 0, 0, 0, 0, 9, 0, 0, 0, 2]).features(0).lba(2048 << 8);
    driver.issue(0, 0, &pio, &[(DATA, 4096)]);
    driver.wait_done(0, 1);
    assert_eq!(driver.bytes(DATA, 4096), [block(9), block(10)].concat());
    assert_eq!(driver.get(0, px::IS) & 0x7f, 3);
    assert_eq!(driver.byte_count(0, 0), 4096);
}

#[test]
fn less_data_than_asked_for_is_told() {
    let (_, driver) = setup();
    driver.run(0, Command::packet(&[0x25]), &[(DATA, 4096)]);
    assert_eq!(driver.byte_count(0, 0), 8);
    assert_eq!(driver.bytes(DATA, 8), [0, 0, 0, 99, 0, 0, 8, 0]);
}

#[test]
fn reading_beyond_the_end_is_an_illegal_request() {
    let (_, driver) = setup();
    assert_eq!(sense_of(&driver, &read_10(99, 2)), [5, 0x21, 0]);
    assert_eq!(sense_of(&driver, &[0xff]), [5, 0x20, 0]);
    assert_eq!(sense_of(&driver, &[0x4a, 0, 0, 0, 0x10, 0, 0, 0, 8]), [5, 0x24, 0]);
    let sense = driver.fetch(0, Command::packet(&[3, 0, 0, 0, 18]), 18);
    assert_eq!(sense[2], 0, "the sense data was fetched before");
}

#[test]
fn a_block_that_cannot_be_read_is_a_medium_error() {
    let (disc, driver) = setup();
    disc.fail(2048..4096, std::io::ErrorKind::Other);
    assert_eq!(sense_of(&driver, &read_10(0, 2)), [3, 0x11, 0]);
    assert_eq!(driver.fetch(0, Command::packet(&read_10(0, 1)), 2048), block(0));
}

#[test]
fn a_last_block_that_is_only_begun_is_filled_with_zeroes() {
    let disc = Arc::new(TestDisk::numbered(5).read_only());
    let driver = Driver::new(vec![optical(Some(&disc))]);
    sense_of(&driver, &[0]);
    let data = driver.fetch(0, Command::packet(&read_10(0, 2)), 4096);
    assert_eq!(data[2048..], [sector(4), vec![0; 1536]].concat());
}

#[test]
fn whole_sectors_are_made_around_the_data() {
    let (_, driver) = setup();
    let raw = driver.fetch(0, Command::packet(&[0xbe, 0, 0, 0, 0, 5, 0, 0, 2, 0xf8]), 4704);
    assert_eq!((raw[0], &raw[1..11], raw[11]), (0, &[0xff; 10][..], 0));
    assert_eq!(raw[12..16], [0, 2, 5, 1]);
    assert_eq!(raw[2352 + 16..2352 + 16 + 2048], block(6));
    let plain = driver.fetch(0, Command::packet(&[0xb9, 0, 0, 0, 2, 5, 0, 2, 6, 0x10]), 2048);
    assert_eq!(plain, block(5));
    assert_eq!(sense_of(&driver, &[0xbe, 4, 0, 0, 0, 5, 0, 0, 1, 0x10]), [5, 0x64, 0]);
}

#[test]
fn an_empty_drive_says_so() {
    let driver = Driver::new(vec![optical(None)]);
    sense_of(&driver, &[0]);
    for packet in [&[0_u8][..], &read_10(0, 1), &[0x25], &[0x43, 0, 0, 0, 0, 0, 0, 0, 12], &[0x2b], &[0x51]] {
        assert_eq!(sense_of(&driver, packet), [2, 0x3a, 1], "{packet:x?}");
    }
    let configuration = driver.fetch(0, Command::packet(&[0x46, 0, 0, 0, 0, 0, 0, 0, 8]), 8);
    assert_eq!(configuration[6..8], [0, 0]);
}

#[test]
fn a_new_disc_is_noticed() {
    let driver = Driver::new(vec![optical(None)]);
    sense_of(&driver, &[0]);
    assert_eq!(event(&driver), [0, 0]);
    driver.handle.insert(0, Arc::new(TestDisk::numbered(40)), false).unwrap();
    assert_eq!(event(&driver), [2, 2]);
    assert_eq!(event(&driver), [0, 2]);
    assert_eq!(sense_of(&driver, &[0]), [6, 0x28, 0]);
    assert_eq!(driver.fetch(0, Command::packet(&read_10(3, 1)), 2048), block(3));
}

#[test]
fn the_guest_opens_and_closes_the_tray() {
    let (_, driver) = setup();
    driver.run(0, Command::packet(&[0x1b, 0, 0, 0, 2]), &[]);
    driver.wait("the engine is told", || driver.events.trays.lock()[..] == [(0, true)]);
    assert_eq!(sense_of(&driver, &[0]), [2, 0x3a, 2]);
    assert_eq!(event(&driver), [3, 1]);
    assert_eq!(driver.fetch(0, Command::packet(&[0xbd, 0, 0, 0, 0, 0, 0, 0, 0, 8]), 8)[1], 0x10);
    let tray = driver.handle.tray(0).unwrap();
    assert!(tray.open && tray.has_disc);
    driver.run(0, Command::packet(&[0x1b, 0, 0, 0, 3]), &[]);
    assert_eq!(sense_of(&driver, &[0]), [6, 0x28, 0]);
    assert_eq!(driver.fetch(0, Command::packet(&read_10(0, 1)), 2048), block(0));
}

#[test]
fn a_locked_tray_asks_the_guest_first() {
    let (_, driver) = setup();
    driver.run(0, Command::packet(&[0x1e, 0, 0, 0, 1]), &[]);
    assert_eq!(sense_of(&driver, &[0x1b, 0, 0, 0, 2]), [5, 0x53, 2]);
    assert!(matches!(driver.handle.eject(0, false), Err(MediumError::Locked { port: 0, .. })));
    assert_eq!(event(&driver), [1, 2]);
    assert!(driver.handle.insert(0, Arc::new(TestDisk::numbered(8)), false).is_err());
    driver.run(0, Command::packet(&[0x1e]), &[]);
    driver.run(0, Command::packet(&[0x1b, 0, 0, 0, 2]), &[]);
    driver.handle.insert(0, Arc::new(TestDisk::numbered(8)), false).unwrap();
    assert_eq!(sense_of(&driver, &[0]), [6, 0x28, 0]);
    let capacity = driver.fetch(0, Command::packet(&[0x25]), 8);
    assert_eq!(capacity[3], 1);
}

#[test]
fn a_paper_clip_opens_a_locked_tray() {
    let (disc, driver) = setup();
    driver.run(0, Command::packet(&[0x1e, 0, 0, 0, 1]), &[]);
    assert!(driver.handle.eject(0, true).unwrap().is_some());
    assert_eq!(Arc::strong_count(&disc), 1);
    assert_eq!(sense_of(&driver, &[0]), [2, 0x3a, 2]);
    assert!(matches!(driver.handle.eject(3, true), Err(MediumError::NoDrive(3))));
}

#[test]
fn a_disc_changed_while_it_is_read_ends_the_read_well() {
    let (disc, driver) = setup();
    disc.close();
    driver.issue(0, 0, &Command::packet(&read_10(7, 1)), &[(DATA, 2048)]);
    disc.wait_for_callers(1);
    driver.handle.insert(0, Arc::new(TestDisk::new(vec![9; 8192])), false).unwrap();
    disc.open();
    driver.wait_done(0, 1);
    assert_eq!(driver.bytes(DATA, 2048), block(7));
    driver.put(0, px::IS, !0);
    assert_eq!(sense_of(&driver, &[0]), [6, 0x28, 0]);
    assert_eq!(driver.fetch(0, Command::packet(&read_10(0, 1)), 2048), vec![9; 2048]);
}

#[test]
fn mode_pages_are_selected_and_sensed() {
    let (_, driver) = setup();
    let mut list = vec![0; 8];
    list.extend([0x01, 10, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0]);
    driver.fill(DATA, &list);
    driver.run(0, Command::packet(&[0x55, 0x10, 0, 0, 0, 0, 0, 0, 20]), &[(DATA, 20)]);
    let page = driver.fetch(0, Command::packet(&[0x5a, 8, 1, 0, 0, 0, 0, 0, 20]), 20);
    assert_eq!((page[1], &page[8..12]), (18, &[1, 10, 0, 3][..]));
    driver.fill(DATA, &[0; 8]);
    driver.fill(DATA + 8, &[0x33, 10]);
    assert_eq!(sense_of(&driver, &[0x55, 0x10, 0, 0, 0, 0, 0, 0, 20]), [5, 0x26, 0]);
}

#[test]
fn the_tray_outlives_a_reset_and_its_lock_does_not() {
    let (_, driver) = setup();
    driver.run(0, Command::packet(&[0x1b, 0, 0, 0, 2]), &[]);
    driver.run(0, Command::packet(&[0x1e, 0, 0, 0, 1]), &[]);
    driver.device.lock().reset();
    let tray = driver.handle.tray(0).unwrap();
    assert!(tray.open && !tray.locked && tray.has_disc);
}

#[test]
fn another_disc_after_a_restore_is_a_change() {
    let (_, driver) = setup();
    driver.device.lock().stop();
    let saved = driver.device.lock().save().unwrap();
    let copy = Driver::with_memory(vec![optical(None)], driver.memory.clone());
    copy.device.lock().restore(&saved).unwrap();
    copy.device.lock().start();
    assert_eq!(event(&copy), [3, 0]);
    assert_eq!(sense_of(&copy, &[0]), [2, 0x3a, 1]);
}
