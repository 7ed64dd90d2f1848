//! Native queued commands.

use std::{collections::BTreeMap, sync::Arc};

use machine::contract::Accesses;

use super::{
    disk::{TestDisk, sector},
    driver::{Command, DATA, Driver, disk},
};
use crate::ahci::registers::px;

const SECTORS: u32 = 8192;

fn setup() -> (Arc<TestDisk>, Driver) {
    let image = Arc::new(TestDisk::numbered(SECTORS));
    let driver = Driver::new(vec![disk(&image)]);
    (image, driver)
}

fn buffer(slot: u8) -> u64 {
    DATA + 0x1_0000 * u64::from(slot)
}

#[test]
fn a_queue_of_32_reads_is_carried_out_side_by_side() {
    let (image, driver) = setup();
    image.close();
    for slot in 0..32 {
        driver.issue(0, slot, &Command::queued(false, slot, 8 * u64::from(slot), 8), &[(buffer(slot), 4096)]);
    }
    image.wait_for_callers(crate::ahci::DEFAULT_WORKERS);
    assert_eq!(driver.get(0, px::SACT), !0);
    assert_eq!(driver.get(0, px::CI).count_ones() as usize, 32 - crate::ahci::DEFAULT_WORKERS);
    image.open();
    driver.wait_done(0, !0);
    for slot in 0..32_u8 {
        let expected: Vec<u8> = (0..8).flat_map(|index| sector(8 * u32::from(slot) + index)).collect();
        assert_eq!(driver.bytes(buffer(slot), 4096), expected, "slot {slot}");
    }
    assert_eq!(driver.get(0, px::IS), 8);
    let received = driver.bytes(Driver::received(0) + 0x58, 8);
    assert_eq!((received[0], received[1], received[2]), (0xa1, 0x40, 0x50));
}

/// Random reads and writes at full depth, that never overlap while both are under way, against a model.
#[test]
fn random_reads_and_writes_at_full_depth_are_true() {
    let (image, driver) = setup();
    let mut accesses = Accesses::new(7);
    let mut model = image.data();
    let mut under_way: BTreeMap<u8, (u32, u32, bool)> = BTreeMap::new();
    let mut begun = 0;
    while begun < 3000 || !under_way.is_empty() {
        let done: Vec<u8> = under_way.keys().copied().filter(|&slot| driver.is_done(0, 1 << slot)).collect();
        for slot in done {
            let (first, count, write) = under_way.remove(&slot).unwrap();
            let range = first as usize * 512..(first + count) as usize * 512;
            if !write {
                assert_eq!(driver.bytes(buffer(slot), range.len()), model[range], "sector {first}, slot {slot}");
            }
        }
        assert!(!driver.has_failed(0));
        let free: Vec<u8> = (0..32).filter(|slot| !under_way.contains_key(slot)).collect();
        for slot in free.into_iter().take(if begun < 3000 { 32 } else { 0 }) {
            let count = 1 + accesses.below(64) as u32;
            let first = accesses.below(u64::from(SECTORS - count)) as u32;
            let write = accesses.below(2) == 0;
            let clashes =
                |other: &(u32, u32, bool)| (write || other.2) && other.0 < first + count && first < other.0 + other.1;
            if under_way.values().any(clashes) {
                continue;
            }
            if write {
                let data: Vec<u8> = (0..count * 512).map(|_| accesses.number() as u8).collect();
                driver.fill(buffer(slot), &data);
                model[first as usize * 512..][..data.len()].copy_from_slice(&data);
            }
            let half = count * 256;
            let pieces = [(buffer(slot), half), (buffer(slot) + u64::from(half), half)];
            driver.issue(0, slot, &Command::queued(write, slot, first.into(), count as u16), &pieces);
            under_way.insert(slot, (first, count, write));
            begun += 1;
        }
    }
    assert_eq!(image.data(), model);
    let stats = driver.handle.stats(0).unwrap();
    assert_eq!(stats.reads + stats.writes, begun);
}

#[test]
fn forced_unit_access_is_durable() {
    let (image, driver) = setup();
    driver.run(0, Command::queued(true, 0, 5, 1), &[(DATA, 512)]);
    assert!(image.is_dirty());
    driver.run(0, Command::queued(true, 0, 5, 1).device(0xc0), &[(DATA, 512)]);
    assert!(!image.is_dirty());
}

#[test]
fn a_failed_read_stops_the_queue_until_its_log_is_read() {
    let (image, driver) = setup();
    image.fail(100 * 512..101 * 512, std::io::ErrorKind::Other);
    driver.issue(0, 9, &Command::queued(false, 9, 96, 8), &[(DATA, 4096)]);
    driver.wait("the command fails", || driver.has_failed(0));
    assert_eq!((driver.get(0, px::TFD), driver.get(0, px::IS)), (0x4051, 0x4000_0008));
    assert_eq!((driver.get(0, px::SACT), driver.get(0, px::CI)), (1 << 9, 0));
    driver.recover(0);
    assert_eq!(driver.fail(0, Command::queued(false, 0, 0, 1), &[(DATA, 512)]).0, 0x451);
    let log = driver.fetch(0, Command::new(0x2f).lba(0x10).count(1), 512);
    assert_eq!(log[..8], [9, 0, 0x51, 0x40, 96, 0, 0, 0x40]);
    assert_eq!(log.iter().fold(0_u8, |sum, &byte| sum.wrapping_add(byte)), 0);
    assert_eq!(driver.fetch(0, Command::queued(false, 0, 3, 1), 512), sector(3));
}

#[test]
fn a_failure_aborts_the_others_of_the_queue() {
    let (image, driver) = setup();
    image.fail(0..512, std::io::ErrorKind::Other);
    image.close();
    for slot in 0..8 {
        driver.issue(0, slot, &Command::queued(false, slot, 64 * u64::from(slot), 8), &[(buffer(slot), 4096)]);
    }
    image.wait_for_callers(crate::ahci::DEFAULT_WORKERS);
    image.open();
    driver.wait("the queue fails", || driver.has_failed(0));
    let left = driver.get(0, px::SACT);
    assert_eq!(left & 1, 1);
    driver.stop(0);
    assert_eq!((driver.get(0, px::SACT), driver.get(0, px::CI)), (0, 0));
    image.heal();
    driver.recover(0);
    driver.fetch(0, Command::new(0x2f).lba(0x10).count(1), 512);
    assert_eq!(driver.fetch(0, Command::queued(false, 0, 0, 1), 512), sector(0));
}

#[test]
fn an_address_beyond_the_end_fails_the_queue() {
    let (_, driver) = setup();
    let beyond = Command::queued(false, 0, u64::from(SECTORS) - 1, 2);
    assert_eq!(driver.fail(0, beyond, &[(DATA, 1024)]).0, 0x1051);
    assert_eq!(driver.fetch(0, Command::new(0x47).lba(0x10).count(1), 512)[..4], [0, 0, 0x51, 0x10]);
}

#[test]
fn a_command_that_is_not_queued_breaks_a_queue_under_way() {
    let (image, driver) = setup();
    image.close();
    driver.issue(0, 3, &Command::queued(false, 3, 0, 8), &[(DATA, 4096)]);
    image.wait_for_callers(1);
    driver.issue(0, 4, &Command::new(0x25).count(1), &[(DATA + 4096, 512)]);
    driver.wait("both fail", || driver.has_failed(0));
    assert_eq!((driver.get(0, px::TFD), driver.get(0, px::SACT)), (0x451, 8));
    image.open();
    driver.recover(0);
    assert_eq!(driver.fetch(0, Command::new(0x2f).lba(0x10).count(1), 512)[0], 0x80);
}

#[test]
fn a_tag_cannot_be_used_twice_at_once() {
    let (image, driver) = setup();
    image.close();
    driver.issue(0, 3, &Command::queued(false, 3, 0, 8), &[(DATA, 4096)]);
    image.wait_for_callers(1);
    driver.issue(0, 4, &Command::queued(false, 3, 0, 8), &[(DATA, 4096)]);
    driver.wait("both fail", || driver.has_failed(0));
    image.open();
    driver.recover(0);
    assert_eq!(driver.fetch(0, Command::new(0x2f).lba(0x10).count(1), 512)[0], 3);
}
