//! Commands of a disk drive that aren't queued.

use std::sync::Arc;

use super::{
    disk::{TestDisk, sector},
    driver::{Command, DATA, Driver, disk},
};
use crate::ahci::registers::px;

const SECTORS: u32 = 4096;

fn setup() -> (Arc<TestDisk>, Driver) {
    let image = Arc::new(TestDisk::numbered(SECTORS));
    let driver = Driver::new(vec![disk(&image)]);
    (image, driver)
}

fn sectors(range: std::ops::Range<u32>) -> Vec<u8> {
    range.flat_map(sector).collect()
}

#[test]
fn identify_comes_by_pio() {
    let (_, driver) = setup();
    driver.issue(0, 0, &Command::new(0xec), &[(DATA, 512)]);
    driver.wait_done(0, 1);
    let data = driver.bytes(DATA, 512);
    assert_eq!(&data[54..66], b"aTdnmed si k");
    assert_eq!(u32::from_le_bytes(data[120..124].try_into().unwrap()), SECTORS);
    assert_eq!((driver.get(0, px::IS) & 0x7f, driver.get(0, px::TFD)), (2, 0x50));
    assert_eq!(driver.byte_count(0, 0), 512);
    let setup = driver.bytes(Driver::received(0) + 0x20, 20);
    assert_eq!((setup[0], setup[1], setup[2], setup[15], &setup[16..18]), (0x5f, 0x60, 0x58, 0x50, &[0, 2][..]));
}

#[test]
fn every_way_to_read_gives_the_same_sectors() {
    let (_, driver) = setup();
    let expected = sectors(1000..1024);
    for command in [0x20, 0x24, 0x25, 0x29, 0xc4, 0xc8] {
        driver.fill(DATA, &[0; 12288]);
        assert_eq!(driver.fetch(0, Command::new(command).lba(1000).count(24), 12288), expected, "{command:#x}");
        assert_eq!(driver.byte_count(0, 0), 12288);
    }
}

#[test]
fn every_way_to_write_reaches_the_disk() {
    let (image, driver) = setup();
    for (index, command) in [0x30, 0x34, 0x35, 0x39, 0x3d, 0xc5, 0xca, 0xce].into_iter().enumerate() {
        let data = vec![command; 1024];
        driver.fill(DATA, &data);
        let lba = 100 + 4 * index;
        driver.run(0, Command::new(command).lba(lba as u64).count(2), &[(DATA, 1024)]);
        assert_eq!(image.data()[lba * 512..][..1024], data, "{command:#x}");
        assert_eq!(image.is_dirty(), !matches!(command, 0x3d | 0xce), "{command:#x}");
        driver.run(0, Command::new(0xe7), &[]);
        assert!(!image.is_dirty());
    }
}

#[test]
fn data_is_scattered_over_words_anywhere() {
    let (_, driver) = setup();
    let pieces = [(DATA + 2, 510), (DATA + 0x1006, 2), (DATA + 0x3000, 1024)];
    driver.run(0, Command::new(0x25).lba(7).count(3), &pieces);
    let data: Vec<u8> = pieces.iter().flat_map(|&(at, len)| driver.bytes(at, len as usize)).collect();
    assert_eq!(data, sectors(7..10));
}

#[test]
fn a_descriptor_can_ask_for_an_interrupt() {
    let (_, driver) = setup();
    driver.issue(0, 0, &Command::new(0x25).count(1), &[(DATA, 512 | 1 << 31)]);
    driver.wait_done(0, 1);
    assert_eq!(driver.get(0, px::IS), 0x21);
}

#[test]
fn cylinders_and_heads_still_work() {
    let (_, driver) = setup();
    let at = |cylinder: u64, sector: u64| cylinder << 8 | sector;
    let data = driver.fetch(0, Command::new(0xc8).device(1).lba(at(2, 5)).count(1), 512);
    assert_eq!(data, sector((2 * 16 + 1) * 63 + 4));
    driver.run(0, Command::new(0x91).device(3).count(17), &[]);
    let data = driver.fetch(0, Command::new(0xc8).device(1).lba(at(2, 5)).count(1), 512);
    assert_eq!(data, sector((2 * 4 + 1) * 17 + 4));
}

#[test]
fn trim_discards_and_what_was_trimmed_is_zero() {
    let (image, driver) = setup();
    let entries: Vec<u8> =
        [10 | 6 << 48, 16 | 4 << 48, 0, 100 | 1_u64 << 48].iter().flat_map(|entry| entry.to_le_bytes()).collect();
    driver.fill(DATA, &[0; 512]);
    driver.fill(DATA, &entries);
    driver.run(0, Command::new(0x06).features(1).count(1), &[(DATA, 512)]);
    assert_eq!(image.discards(), [(10 * 512, 10 * 512), (100 * 512, 512)]);
    assert_eq!(driver.fetch(0, Command::new(0x25).lba(10).count(10), 5120), vec![0; 5120]);
    assert_eq!(driver.handle.stats(0).unwrap().discarded_bytes, 11 * 512);
}

#[test]
fn trim_beyond_the_end_discards_nothing() {
    let (image, driver) = setup();
    let entries: Vec<u8> = [10 | 6 << 48, 4090 | 7_u64 << 48].iter().flat_map(|entry| entry.to_le_bytes()).collect();
    driver.fill(DATA, &[0; 512]);
    driver.fill(DATA, &entries);
    let (task_file, _) = driver.fail(0, Command::new(0x06).features(1).count(1), &[(DATA, 512)]);
    assert_eq!(task_file, 0x1051);
    assert!(image.discards().is_empty());
}

#[test]
fn without_a_write_cache_each_write_is_durable() {
    let (image, driver) = setup();
    driver.run(0, Command::new(0xef).features(0x82), &[]);
    let identify = driver.fetch(0, Command::new(0xec), 512);
    assert_eq!(identify[170] & 0x20, 0);
    driver.run(0, Command::new(0x35).lba(1).count(1), &[(DATA, 512)]);
    assert!(!image.is_dirty());
    assert_eq!(image.flushes(), 1);
    driver.run(0, Command::new(0xef).features(0x02), &[]);
    driver.run(0, Command::new(0x35).lba(1).count(1), &[(DATA, 512)]);
    assert!(image.is_dirty());
}

#[test]
fn power_modes_are_told() {
    let (_, driver) = setup();
    let mode = || {
        driver.run(0, Command::new(0xe5), &[]);
        driver.register_fis(0)[12]
    };
    assert_eq!(mode(), 0xff);
    driver.run(0, Command::new(0xe0), &[]);
    assert_eq!(mode(), 0);
    driver.run(0, Command::new(0xe1), &[]);
    assert_eq!(mode(), 0x80);
    driver.run(0, Command::new(0x25).count(1), &[(DATA, 512)]);
    assert_eq!(mode(), 0xff);
}

#[test]
fn registers_come_back_where_a_command_returns_values() {
    let (_, driver) = setup();
    let lba = || {
        let fis = driver.register_fis(0);
        u64::from_le_bytes([fis[4], fis[5], fis[6], fis[8], fis[9], fis[10], 0, 0])
    };
    driver.run(0, Command::new(0x27), &[]);
    assert_eq!(lba(), u64::from(SECTORS) - 1);
    driver.run(0, Command::new(0xf8), &[]);
    assert_eq!(lba(), u64::from(SECTORS) - 1);
    driver.run(0, Command::new(0xb0).features(0xda).lba(0xc2_4f00), &[]);
    assert_eq!(lba(), 0xc2_4f00);
    driver.run(0, Command::new(0x90), &[]);
    assert_eq!(driver.register_fis(0)[3..6], [1, 1, 0]);
}

#[test]
fn what_the_drive_does_not_have_is_aborted() {
    let (_, driver) = setup();
    for command in [0x00, 0x08, 0x45, 0x92, 0xa0, 0xa1, 0xb1, 0xf1, 0xf5, 0xf9, 0x63, 0xff] {
        let (task_file, status) = driver.fail(0, Command::new(command), &[(DATA, 512)]);
        assert_eq!((task_file, status & 0x4000_0001), (0x451, 0x4000_0001), "{command:#x}");
    }
}

#[test]
fn a_read_only_disk_aborts_writes_and_offers_no_trim() {
    let image = Arc::new(TestDisk::numbered(64).read_only());
    let driver = Driver::new(vec![disk(&image)]);
    assert_eq!(driver.fail(0, Command::new(0x35).count(1), &[(DATA, 512)]).0, 0x451);
    assert_eq!(driver.fail(0, Command::new(0x06).features(1).count(1), &[(DATA, 512)]).0, 0x451);
    assert_eq!(driver.fetch(0, Command::new(0xec), 512)[338], 0);
}

#[test]
fn logs_are_read_by_pio_and_dma() {
    let (_, driver) = setup();
    assert_eq!(driver.fetch(0, Command::new(0x2f).lba(0x30).count(2), 1024)[8], 2);
    assert_eq!(driver.fetch(0, Command::new(0x47).lba(0).count(1), 512)[0x20], 1);
    assert_eq!(driver.fetch(0, Command::new(0x2f).lba(0x10).count(1), 512)[0], 0x80);
}

#[test]
fn work_is_counted() {
    let (_, driver) = setup();
    driver.run(0, Command::new(0x25).count(8), &[(DATA, 4096)]);
    driver.run(0, Command::new(0x35).count(4), &[(DATA, 2048)]);
    driver.run(0, Command::new(0xea), &[]);
    let stats = driver.handle.stats(0).unwrap();
    assert_eq!((stats.reads, stats.read_bytes, stats.writes, stats.written_bytes), (1, 4096, 1, 2048));
    assert_eq!(stats.flushes, 1);
    assert_eq!(driver.handle.stats(1), None);
}

#[test]
fn sixty_four_thousand_sectors_go_in_one_command() {
    let image = Arc::new(TestDisk::numbered(70_000));
    let memory = hypervisor::memory::guest_memory(&[(0, 4 << 20), (16 << 20, 40 << 20)]).unwrap();
    let driver = Driver::with_memory(vec![disk(&image)], memory);
    machine::component::Component::start(&mut *driver.device.lock());
    driver.enable();
    driver.bring_up(0);
    let pieces: Vec<(u64, u32)> = (0..8).map(|index| ((16 + 4 * index) << 20, 4 << 20)).collect();
    driver.run(0, Command::new(0x25).lba(1000).count(0), &pieces);
    assert_eq!(driver.byte_count(0, 0), 32 << 20);
    assert_eq!(driver.bytes((48 << 20) - 512, 512), sector(1000 + 65535));
}
