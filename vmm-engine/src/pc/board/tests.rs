//! The board by itself, without a partition.

use std::time::Duration;

use hypervisor::memory::guest_memory;
use machine::line::NoMsi;

use super::*;
use crate::{pci::NoMapper, uart::SerialPort};

const MEMORY: u64 = memory::MEMORY_MIN;

struct Nowhere;
impl LineTarget for Nowhere {
    fn set_level(&self, _input: u32, _high: bool) {}
    fn restore_level(&self, _input: u32, _high: bool) {}
}
impl PitChannel2 for Nowhere {
    fn output(&self) -> bool {
        false
    }
    fn set_gate(&self, _high: bool) {}
    fn square_wave_count(&self) -> Option<u32> {
        None
    }
}
impl SerialPort for Nowhere {
    fn send(&mut self, bytes: &[u8]) -> usize {
        bytes.len()
    }
    fn receiver_ready(&mut self) {}
}

type Events = Arc<Mutex<Vec<GuestEvent>>>;

fn board() -> (Board, Events) {
    let options = BoardOptions {
        uuid: Uuid::nil(),
        cpus: 1,
        memory_bytes: MEMORY,
        video_rom: None,
        drives: vec![Drive { id: "cd0".into(), kind: DriveKind::Cd(None) }],
        drive_workers: 1,
        boot_order: vec![0],
        serial: Box::new(Nowhere),
        tones: Box::new(|_, _| ()),
        debug: Box::new(|_| ()),
    };
    let events = Events::default();
    let told = events.clone();
    let sockets = Sockets {
        memory: guest_memory(&memory::ranges(MEMORY)).unwrap(),
        clock: Clock::manual(Duration::ZERO),
        timers: &Timer::detached,
        isa: Arc::new(Nowhere),
        pic: Arc::new(Nowhere),
        messages: Arc::new(NoMsi),
        pit: Arc::new(Nowhere),
        mapper: Arc::new(NoMapper),
        events: Arc::new(move |event| told.lock().push(event)),
    };
    (Board::new(options, sockets).unwrap(), events)
}

fn write_config(board: &Board, devfn: u32, register: u32, value: u32) {
    board.buses.port_write(0xcf8, &(0x8000_0000 | devfn << 8 | register).to_le_bytes());
    board.buses.port_write(0xcfc, &value.to_le_bytes());
}

fn read(board: &Board, address: u64) -> u32 {
    let mut data = [0; 4];
    board.buses.mmio_read(address, &mut data);
    u32::from_le_bytes(data)
}

const AHCI: u32 = 31 << 3 | 2;
const AHCI_CAPABILITIES: u32 = 0xc134_9f05;

/// Puts the AHCI controller's registers where firmware could.
fn place_ahci(board: &Board) {
    write_config(board, AHCI, 0x24, 0xfebf_0000);
    write_config(board, AHCI, 0x04, 2);
}

#[test]
fn devices_answer_where_a_pc_has_them() {
    let (board, _) = board();
    let byte = |port: u16| {
        let mut data = [0];
        board.buses.port_read(port, &mut data);
        data[0]
    };
    assert_eq!((byte(0x402), byte(0x510 + 4), byte(0x64), byte(0x3fd)), (0xe9, b'Q', 0x10, 0x60));
    place_ahci(&board);
    assert_eq!(read(&board, 0xfebf_0000), AHCI_CAPABILITIES);
    assert_eq!(board.drives.tray(0).unwrap(), crate::ahci::TrayState { open: false, locked: false, has_disc: false });
}

#[test]
fn a_restored_board_has_its_ranges_where_they_were() {
    let (first, _) = board();
    place_ahci(&first);
    let units = first.save().unwrap();
    let (second, _) = board();
    second.restore(&units).unwrap();
    assert_eq!(read(&second, 0xfebf_0000), AHCI_CAPABILITIES);
    assert_eq!(second.save().unwrap(), units);
}

#[test]
fn a_state_of_other_devices_is_refused() {
    let (board, _) = board();
    let mut units = board.save().unwrap();
    let unit = units.remove("rtc").unwrap();
    assert!(matches!(board.restore(&units), Err(BoardRestoreError::Missing(name)) if name == "rtc"));
    units.insert("rtc".into(), unit.clone());
    units.insert("sound".into(), unit.clone());
    assert!(matches!(board.restore(&units), Err(BoardRestoreError::Unknown(name)) if name == "sound"));
    units.remove("sound");
    units.insert("vga".into(), unit);
    assert!(matches!(board.restore(&units), Err(BoardRestoreError::Device { name, .. }) if name == "vga"));
}

#[test]
fn a_reset_takes_the_ranges_off_the_buses() {
    let (board, _) = board();
    place_ahci(&board);
    board.reset();
    assert_eq!(read(&board, 0xfebf_0000), 0xffff_ffff);
}

#[test]
fn what_the_guest_wants_of_the_machine_is_told() {
    let (board, events) = board();
    board.buses.port_write(0xcf9, &[6]);
    write_config(&board, 31 << 3, 0x40, 0x601);
    write_config(&board, 31 << 3, 0x44, 0x80);
    board.buses.port_write(0x604, &0x3c00_u16.to_le_bytes());
    assert_eq!(*events.lock(), [GuestEvent::Reset, GuestEvent::PowerOff]);
}

#[test]
fn more_drives_than_ports_are_refused() {
    let drives = |count: usize| (0..count).map(|index| Drive { id: index.to_string(), kind: DriveKind::Cd(None) });
    assert!(ahci_config(drives(6).collect(), 1).is_ok());
    let refused = ahci_config(drives(7).collect(), 1);
    assert!(matches!(refused, Err(BoardError::Drives { count: 7, room: 6 })));
}
