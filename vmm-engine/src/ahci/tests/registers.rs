//! The registers without commands: what reads and writes do, links, interrupts.

use std::sync::Arc;

use machine::device::{Device, Mmio, PciConfig, PortIo};

use super::{
    disk::TestDisk,
    driver::{Command, DATA, Driver, disk, optical},
};
use crate::ahci::{
    BAR_INDEX_DATA, BAR_REGISTERS,
    registers::{cmd, px},
};

fn numbered() -> Arc<TestDisk> {
    Arc::new(TestDisk::numbered(256))
}

#[test]
fn the_signature_comes_when_fis_receive_is_enabled() {
    let driver = Driver::cold(vec![disk(&numbered()), optical(None)]);
    driver.enable();
    assert_eq!((driver.get(0, px::TFD), driver.get(0, px::SIG)), (0x80, !0));
    for port in 0..2 {
        driver.put(port, px::FB, Driver::received(port) as u32);
        driver.put(port, px::CMD, cmd::FRE);
    }
    assert_eq!((driver.get(0, px::TFD), driver.get(0, px::SIG)), (0x150, 0x0000_0101));
    assert_eq!((driver.get(1, px::TFD), driver.get(1, px::SIG)), (0x100, 0xeb14_0101));
    assert_eq!(driver.register_fis(1)[..8], [0x34, 0, 0, 1, 1, 0x14, 0xeb, 0]);
    assert_eq!(driver.get(0, px::CMD), 0x4016);
}

#[test]
fn a_port_without_a_drive_has_no_link() {
    let driver = Driver::new(vec![disk(&numbered())]);
    assert_eq!((driver.get(0, px::SSTS), driver.get(5, px::SSTS)), (0x133, 0));
    assert_eq!((driver.get(5, px::TFD), driver.get(5, px::SIG)), (0x7f, !0));
    driver.put(5, px::CI, 1);
    assert_eq!(driver.get(5, px::CI), 1);
}

#[test]
fn the_link_follows_its_control_register() {
    let driver = Driver::new(vec![disk(&numbered())]);
    driver.stop(0);
    driver.put(0, px::SCTL, 0x311);
    assert_eq!((driver.get(0, px::SSTS), driver.get(0, px::TFD), driver.get(0, px::SIG)), (0, 0x7f, !0));
    driver.put(0, px::SCTL, 0x310);
    assert_eq!((driver.get(0, px::SSTS), driver.get(0, px::TFD)), (0x113, 0x150));
    assert_eq!(driver.get(0, px::SERR), 0x0401_0000);
    assert_eq!(driver.get(0, px::IS), 0x0040_0040);
    driver.put(0, px::SERR, !0);
    assert_eq!(driver.get(0, px::IS), 0);
    driver.put(0, px::SCTL, 4);
    assert_eq!(driver.get(0, px::SSTS), 4);
    driver.put(0, px::SCTL, 0);
    assert_eq!(driver.get(0, px::SSTS), 0x133);
}

#[test]
fn commands_are_taken_only_while_the_list_runs() {
    let driver = Driver::new(vec![disk(&numbered())]);
    driver.stop(0);
    driver.put(0, px::SACT, 6);
    driver.put(0, px::CI, 6);
    assert_eq!((driver.get(0, px::SACT), driver.get(0, px::CI)), (0, 0));
}

#[test]
fn bytes_and_wide_accesses_reach_the_right_registers() {
    let driver = Driver::cold(vec![]);
    let mut device = driver.device.lock();
    device.mmio_write(BAR_REGISTERS, 0x100, &[0xff; 8]);
    let mut data = [0; 8];
    device.mmio_read(BAR_REGISTERS, 0x100, &mut data);
    assert_eq!(data, [0, 0xfc, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
    device.mmio_write(BAR_REGISTERS, 0x102, &[0x12]);
    device.mmio_read(BAR_REGISTERS, 0x101, &mut data[..3]);
    assert_eq!(data[..3], [0xfc, 0x12, 0xff]);
    device.mmio_read(BAR_REGISTERS, 0xfff, &mut data);
    assert_eq!(data, [0; 8]);
}

#[test]
fn the_index_data_pair_reaches_every_register() {
    let driver = Driver::cold(vec![]);
    let mut device = driver.device.lock();
    device.port_write(BAR_INDEX_DATA, 0x10, &0x108_u32.to_le_bytes());
    device.port_write(BAR_INDEX_DATA, 0x14, &0x1234_5678_u32.to_le_bytes());
    let mut data = [0; 4];
    device.port_read(BAR_INDEX_DATA, 0x14, &mut data);
    assert_eq!(u32::from_le_bytes(data), 0x1234_5600);
    device.port_read(BAR_INDEX_DATA, 0x10, &mut data);
    assert_eq!(u32::from_le_bytes(data), 0x108);
    device.port_read(BAR_INDEX_DATA, 0, &mut data);
    assert_eq!(data, [0; 4]);
}

#[test]
fn the_function_says_what_it_is() {
    let driver = Driver::cold(vec![disk(&numbered())]);
    let mut device = driver.device.lock();
    let mut read = |offset| {
        let mut data = [0; 4];
        device.pci().unwrap().config_read(offset, &mut data);
        u32::from_le_bytes(data)
    };
    assert_eq!((read(0x00), read(0x08)), (0x2922_8086, 0x0106_0102));
    assert_eq!(read(0x90), 0x013f_0040);
    let first = read(0x34) as u16;
    let second = (read(first) >> 8 & 0xff) as u16;
    assert_eq!((read(first) & 0xff, read(second)), (0x05, 0x0010_0012));
    assert_eq!(read(second + 4), 0x48);
}

#[test]
fn a_line_stays_high_until_every_cause_is_cleared() {
    let driver = Driver::new(vec![disk(&numbered())]);
    driver.issue(0, 0, &Command::new(0xec), &[(DATA, 512)]);
    driver.wait_done(0, 1);
    assert!(driver.interrupts.level());
    driver.write(0x08, 1);
    assert!(driver.interrupts.level(), "the port still has a cause");
    assert_eq!(driver.read(0x08), 1);
    driver.put(0, px::IS, !0);
    assert!(driver.interrupts.level(), "IS isn't cleared yet");
    driver.write(0x08, 1);
    assert!(!driver.interrupts.level());
}

#[test]
fn messages_replace_the_line_and_come_for_each_new_cause() {
    let driver = Driver::new(vec![disk(&numbered()), disk(&numbered())]);
    driver.device.lock().config_write(0x44, &0xfee0_0000_u32.to_le_bytes());
    driver.device.lock().config_write(0x42, &[0x81, 0]);
    let rises = driver.interrupts.rises();
    driver.issue(0, 0, &Command::new(0xec), &[(DATA, 512)]);
    driver.wait_done(0, 1);
    assert_eq!(driver.interrupts.messages(), 1);
    driver.issue(1, 0, &Command::new(0xec), &[(DATA, 512)]);
    driver.wait_done(1, 1);
    assert_eq!(driver.interrupts.messages(), 2);
    driver.write(0x08, 1);
    assert_eq!(driver.interrupts.messages(), 3, "the port's cause was still there");
    assert_eq!(driver.interrupts.rises(), rises);
}

#[test]
fn an_hba_reset_clears_all_but_the_addresses() {
    let driver = Driver::new(vec![disk(&numbered())]);
    let addresses = (driver.get(0, px::CLB), driver.get(0, px::FB));
    driver.write(0x04, 0x8000_0003);
    assert_eq!((driver.read(0x04), driver.get(0, px::CMD), driver.get(0, px::IE)), (0x8000_0000, 6, 0));
    assert_eq!((driver.get(0, px::CLB), driver.get(0, px::FB)), addresses);
    assert_eq!(driver.get(0, px::TFD), 0x80);
}

#[test]
fn nothing_is_fetched_before_the_function_is_a_bus_master() {
    let driver = Driver::new(vec![disk(&numbered())]);
    driver.device.lock().config_write(4, &[2, 0]);
    driver.issue(0, 0, &Command::new(0xec), &[(DATA, 512)]);
    assert_eq!(driver.get(0, px::CI), 1);
    driver.device.lock().config_write(4, &[6, 0]);
    driver.wait_done(0, 1);
}
