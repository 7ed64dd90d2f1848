//! Commands that are nearly right: whatever a driver sends, the controller lives on and works after a reset.

use std::sync::Arc;

use machine::contract::Accesses;

use super::{
    disk::{TestDisk, sector},
    driver::{Command, DATA, Driver, MEMORY, disk, optical},
};
use crate::ahci::registers::px;

const DISK_COMMANDS: [u8; 24] = [
    0x06, 0x20, 0x24, 0x25, 0x29, 0x2f, 0x30, 0x35, 0x3d, 0x40, 0x42, 0x47, 0x60, 0x61, 0x60, 0x61, 0x91, 0xb0, 0xc6,
    0xc8, 0xca, 0xec, 0xef, 0xe7,
];
const PACKETS: [u8; 25] = [
    0x00, 0x03, 0x12, 0x15, 0x1a, 0x1b, 0x1e, 0x25, 0x28, 0x2b, 0x43, 0x46, 0x4a, 0x51, 0x52, 0x55, 0x5a, 0xa0, 0xa8,
    0xad, 0xb9, 0xbb, 0xbd, 0xbe, 0xff,
];

/// A command with a known code whose other fields are random, small or zero.
fn command(accesses: &mut Accesses, port: u8) -> Command {
    let mut byte = |_| match accesses.below(4) {
        0 => accesses.number() as u8,
        1 => accesses.below(16) as u8,
        _ => 0,
    };
    let fields: Vec<u8> = (0..34).map(&mut byte).collect();
    let mut command = if port == 1 && fields[0] & 7 != 1 {
        let mut packet: [u8; 16] = fields[18..34].try_into().unwrap();
        packet[0] = PACKETS[accesses.below(PACKETS.len() as u64) as usize];
        Command::packet(&packet).features((fields[1] & 1).into())
    } else {
        let mut command = Command::new(0);
        command.bytes_mut().copy_from_slice(&fields[..18]);
        command.bytes_mut()[0] = DISK_COMMANDS[accesses.below(DISK_COMMANDS.len() as u64) as usize];
        command
    };
    if accesses.below(50) == 0 {
        command = command.malformed(accesses.number() as u8, accesses.below(32) as u16);
    }
    command
}

#[test]
fn nearly_right_commands_do_no_harm() {
    let image = Arc::new(TestDisk::numbered(4096));
    let disc = Arc::new(TestDisk::numbered(400).read_only());
    let driver = Driver::new(vec![disk(&image), optical(Some(&disc))]);
    for seed in 0..400 {
        let mut accesses = Accesses::new(seed);
        let port = (seed % 2) as u8;
        let slots = accesses.number() as u32 & accesses.number() as u32 | 1;
        for slot in (0..32).filter(|slot| slots & 1 << slot != 0) {
            let pieces: Vec<(u64, u32)> = (0..accesses.below(5))
                .map(|_| (DATA + accesses.below(MEMORY - DATA), 1 << accesses.below(18)))
                .collect();
            driver.prepare(port, slot, &command(&mut accesses, port), &pieces);
        }
        driver.put(port, px::SACT, slots & accesses.number() as u32);
        driver.put(port, px::CI, slots);
        driver.wait("commands end or hang", || {
            driver.is_done(port, slots) || driver.has_failed(port) || driver.get(port, px::TFD) & 0x80 == 0
        });
        driver.bring_up(port);
    }
    driver.fill(DATA, &vec![0x5a; 4096]);
    driver.run(0, Command::new(0x35).lba(64).count(8), &[(DATA, 4096)]);
    assert_eq!(driver.fetch(0, Command::new(0x25).lba(64).count(8), 4096), vec![0x5a; 4096]);
    assert_eq!(disc.data()[..512], sector(0));
}
