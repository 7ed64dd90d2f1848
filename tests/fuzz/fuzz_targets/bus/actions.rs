//! What an input means: any bytes are a sequence of actions, of a guest or of whoever sits before the machine.
//!
//! Numbers that choose among things that exist make it likely that an action reaches a device; one value of each stands
//! for "any number".

use std::time::Duration;

use machine::{
    console::{Button, Input as ConsoleInput},
    device::Space,
    keys::Key,
};
use storage::disk::memory::Operation;

use super::{
    drivers::{self, Ata, Packet},
    machine::{CD_DRIVES, DISKS, MEMORY, Machine, disc},
};

/// Bytes of an input that haven't been used. Zeroes follow, so that the last action is whole.
pub struct Input<'a>(pub &'a [u8]);

impl Input<'_> {
    pub fn byte(&mut self) -> u8 {
        let (&first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        first
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn number(&mut self, bytes: usize) -> u64 {
        (0..bytes).fold(0, |number, at| number | u64::from(self.byte()) << (8 * at))
    }

    fn bytes(&mut self, limit: u8) -> Vec<u8> {
        (0..self.byte() % limit).map(|_| self.byte()).collect()
    }

    fn short(&mut self) -> u16 {
        self.number(2) as u16
    }

    fn flag(&mut self) -> bool {
        self.byte() & 1 != 0
    }

    /// One of `known`, or any.
    fn one_of(&mut self, known: &[u8]) -> u8 {
        let choice = self.byte();
        known.get(usize::from(choice)).copied().unwrap_or_else(|| self.byte())
    }

    /// A number of one to eight bytes, small ones with few.
    fn value(&mut self) -> u64 {
        match self.byte() {
            small @ 0..=0x7f => small.into(),
            shape @ 0x80..=0xdf => self.number(usize::from(shape & 7) + 1),
            0xe0..=0xef => u64::MAX,
            _ => 1 << self.byte().min(63),
        }
    }

    /// Mostly what is usual, or else a number of one or two bytes.
    fn short_or(&mut self, usual: u16) -> u16 {
        match self.byte() {
            0..=0x7f => usual,
            0x80..=0xbf => self.byte().into(),
            _ => self.short(),
        }
    }

    fn width(&mut self) -> usize {
        [1, 2, 4, 8, 3, 5, 6, 7][usize::from(self.byte() & 7)]
    }
}

/// Where an access goes.
#[derive(Debug, Clone, Copy)]
pub enum Place {
    /// Into a range that a PCI function decodes.
    Decoded { which: u8, offset: u16 },
    /// To a fixed place.
    At(u64),
}

#[derive(Debug, Clone)]
pub enum Action {
    PortRead {
        place: Place,
        width: usize,
    },
    PortWrite {
        place: Place,
        width: usize,
        value: u64,
    },
    Read {
        place: Place,
        width: usize,
    },
    Write {
        place: Place,
        width: usize,
        value: u64,
    },
    ConfigRead {
        slot: u8,
        offset: u16,
        width: usize,
        ecam: bool,
    },
    ConfigWrite {
        slot: u8,
        offset: u16,
        width: usize,
        value: u64,
        ecam: bool,
    },
    /// A register behind an index and a data port.
    Indexed {
        index_port: u16,
        index: u8,
        value: u8,
    },
    Dispi {
        index: u16,
        value: u16,
    },
    Memory {
        address: u64,
        bytes: Vec<u8>,
    },
    Ata(Ata),
    Packet(Packet),
    FirmwareDma {
        control: u32,
        len: u32,
        address: u64,
    },
    Controller {
        command: u8,
        data: Option<u8>,
    },
    /// A command to the keyboard or the mouse, and its parameter.
    Ps2 {
        mouse: bool,
        command: u8,
        parameter: Option<u8>,
    },
    Console(ConsoleInput),
    Serial(Vec<u8>),
    SerialRoom(u8),
    SerialCable {
        connected: bool,
        sends_break: bool,
    },
    Tone(Option<u32>),
    Advance(Duration),
    Draw {
        all: bool,
    },
    PowerButton,
    Reset,
    Pause,
    Disc {
        drive: u8,
        kind: Option<u8>,
        force: bool,
    },
    DiskFails {
        disk: u8,
        operation: Operation,
        successes: u64,
        no_room: bool,
    },
    Copy,
    Damage {
        device: u8,
        at: u16,
        value: u8,
        removes: bool,
    },
}

/// Ports where something is, fixed or where firmware puts it.
const PORTS: [u16; 44] = [
    0x60, 0x61, 0x64, 0x70, 0x71, 0x72, 0x73, 0x74, 0x76, 0x92, 0xb2, 0xb3, 0xe9, 0x1ce, 0x1cf, 0x1d0, 0x3b4, 0x3b5,
    0x3ba, 0x3c0, 0x3c1, 0x3c2, 0x3c4, 0x3c5, 0x3c6, 0x3c7, 0x3c8, 0x3c9, 0x3cc, 0x3ce, 0x3cf, 0x3d4, 0x3d5, 0x3da,
    0x3f8, 0x3f9, 0x402, 0x510, 0x511, 0x514, 0x518, 0xcf8, 0xcf9, 0xcfc,
];
const MORE_PORTS: [u16; 20] = [
    0x3fa, 0x3fb, 0x3fc, 0x3fd, 0x3fe, 0x3ff, 0x600, 0x601, 0x602, 0x604, 0x608, 0x620, 0x628, 0x630, 0x660, 0x668,
    0xc040, 0xc050, 0xc054, 0xc05f,
];
/// Addresses where something is.
const ADDRESSES: [u64; 10] = [
    drivers::DATA,
    0xa_0000,
    0xa_ffff,
    0xb_0000,
    0xb_8000,
    drivers::ECAM,
    drivers::VGA_REGISTERS,
    drivers::AHCI_REGISTERS,
    drivers::RCRB,
    0xfffc_0000,
];
/// Functions that exist, and one that doesn't.
const SLOTS: [u8; 5] = [0, 1 << 3, 31 << 3, 31 << 3 | 2, 2 << 3];
const CONFIG_REGISTERS: [u16; 18] =
    [0x04, 0x06, 0x10, 0x18, 0x20, 0x24, 0x30, 0x3c, 0x40, 0x44, 0x48, 0x60, 0x64, 0x68, 0x80, 0x90, 0xf0, 0x4c];
const INDEX_PORTS: [u16; 7] = [0x3c4, 0x3ce, 0x3d4, 0x3c0, 0x70, 0x72, 0x3b4];

fn port_place(input: &mut Input<'_>) -> Place {
    let choice = usize::from(input.byte());
    let all = PORTS.len() + MORE_PORTS.len();
    match choice {
        _ if choice < PORTS.len() => Place::At(PORTS[choice].into()),
        _ if choice < all => Place::At(MORE_PORTS[choice - PORTS.len()].into()),
        0x80..=0xbf => Place::Decoded { which: choice as u8 & 7, offset: input.byte().into() },
        _ => Place::At(input.short().into()),
    }
}

fn place(input: &mut Input<'_>) -> Place {
    let choice = input.byte();
    match choice {
        0..=0x7f => Place::Decoded { which: choice & 15, offset: input.short() },
        0x80..=0xef => {
            let base = ADDRESSES[usize::from(choice) % ADDRESSES.len()];
            Place::At(base.wrapping_add(input.short().into()))
        }
        _ => Place::At(input.value()),
    }
}

impl Action {
    /// The next action.
    pub fn decode(input: &mut Input<'_>) -> Action {
        match input.byte() % 37 {
            0 | 1 => Action::PortRead { place: port_place(input), width: 1 << (input.byte() % 3) },
            2..=4 => {
                Action::PortWrite { place: port_place(input), width: 1 << (input.byte() % 3), value: input.value() }
            }
            5 | 6 => Action::Read { place: place(input), width: input.width() },
            7..=9 => Action::Write { place: place(input), width: input.width(), value: input.value() },
            10 => {
                let (slot, offset, width, ecam) = config(input);
                Action::ConfigRead { slot, offset, width, ecam }
            }
            11 | 12 => {
                let (slot, offset, width, ecam) = config(input);
                Action::ConfigWrite { slot, offset, width, value: input.value(), ecam }
            }
            13 | 14 => Action::Indexed {
                index_port: INDEX_PORTS[usize::from(input.byte()) % INDEX_PORTS.len()],
                index: input.byte(),
                value: input.byte(),
            },
            15 => Action::Dispi { index: (input.byte() % 12).into(), value: input.short() },
            16 => Action::Memory { address: input.number(3) % MEMORY, bytes: input.bytes(32) },
            17..=19 => Action::Ata(Ata {
                port: [0, 0, 1, 0, 1, 2, 3, 4][usize::from(input.byte() & 7)],
                slot: input.byte() % 32,
                command: input.one_of(&drivers::ATA_COMMANDS),
                features: input.short_or(0),
                lba: input.value(),
                count: input.short_or(1),
                device: 0x40 ^ input.byte(),
                control: if input.byte() >= 0xf8 { input.byte() } else { 0 },
                buffers: buffers(input),
                is_issued: input.byte() < 0xf8,
            }),
            20 | 21 => Action::Packet(packet(input)),
            22 => Action::FirmwareDma {
                control: u32::from(input.byte()) | u32::from(input.short()) << 16,
                len: input.value() as u32,
                address: if input.flag() { input.value() } else { drivers::DATA + u64::from(input.short()) },
            },
            23 => Action::Controller { command: input.byte(), data: input.flag().then(|| input.byte()) },
            35 => Action::Ps2 {
                mouse: input.flag(),
                command: input.one_of(&drivers::PS2_COMMANDS),
                parameter: match input.byte() {
                    small @ 0..=0x7f => Some(small & 3),
                    0x80..=0xbf => Some(input.one_of(&drivers::SAMPLE_RATES)),
                    _ => None,
                },
            },
            24 => Action::Console(ConsoleInput::Key {
                key: Key::ALL[usize::from(input.byte()) % Key::ALL.len()],
                down: !input.flag(),
            }),
            25 => Action::Console(pointer(input)),
            26 => Action::Serial(input.bytes(24)),
            27 => match input.byte() {
                room @ 0..=0x3f => Action::SerialRoom(room),
                cable => Action::SerialCable { connected: cable & 1 != 0, sends_break: cable & 2 != 0 },
            },
            28 => match input.byte() {
                0 => Action::Tone(None),
                count => Action::Tone(Some(u32::from(count) << 8)),
            },
            29 => Action::Advance(Duration::from_nanos(match input.byte() {
                shift @ 0..=0x7f => 1 << (shift % 45),
                millis => u64::from(millis) * 1_000_000,
            })),
            30 => Action::Draw { all: input.flag() },
            31 => match input.byte() % 4 {
                0 => Action::PowerButton,
                1 => Action::Reset,
                _ => Action::Pause,
            },
            32 => {
                let (drive, kind) = (DISKS as u8 + input.byte() % 3, input.byte());
                Action::Disc { drive, kind: (kind & 0x80 == 0).then_some(kind), force: input.flag() }
            }
            33 => Action::DiskFails {
                disk: input.byte() % DISKS as u8,
                operation: [Operation::Read, Operation::Write, Operation::Flush, Operation::Discard]
                    [usize::from(input.byte() % 4)],
                successes: (input.byte() % 4).into(),
                no_room: input.flag(),
            },
            34 => Action::Copy,
            _ => Action::Damage { device: input.byte(), at: input.short(), value: input.byte(), removes: input.flag() },
        }
    }

    /// What is done at most so many times with one input, since it takes long by itself.
    pub fn is_slow(&self) -> bool {
        matches!(self, Action::Draw { .. } | Action::Copy | Action::Damage { .. })
    }
}

fn config(input: &mut Input<'_>) -> (u8, u16, usize, bool) {
    let choice = input.byte();
    let slot = SLOTS[usize::from(choice & 7).min(SLOTS.len() - 1)];
    let register = usize::from(input.byte());
    let offset = CONFIG_REGISTERS.get(register).copied().unwrap_or_else(|| input.short() & 0xfff);
    (slot, offset, 4 >> (choice >> 3 & 3).min(2), choice & 0x80 != 0)
}

/// Address and length of each, and whether it is to interrupt: mostly room for any ordinary command.
fn buffers(input: &mut Input<'_>) -> Vec<(u64, u32, bool)> {
    let shape = input.byte();
    if shape < 0x80 {
        let places = [drivers::DATA, drivers::DATA, drivers::MODE_PAGES, drivers::TRIM_RANGES];
        return vec![(places[usize::from(shape >> 5)], 0x1_ffff, shape & 1 != 0)];
    }
    let buffer = |_| {
        let address = match input.byte() {
            0xff => input.value(),
            page => drivers::DATA + u64::from(page) * 0x1000 + u64::from(page & 1) * 0x200,
        };
        let len = match input.byte() {
            0xff => input.number(3) as u32,
            0xfe => 0x3f_ffff,
            sectors => u32::from(sectors) * 512 + 511,
        };
        (address, len, len & 0x200 != 0)
    };
    (0..shape % 4).map(buffer).collect()
}

/// A packet command, with its address, length and flags where most commands have them, or with any parameters.
fn packet(input: &mut Input<'_>) -> Packet {
    let (port, slot) = (DISKS as u8 + input.byte() % CD_DRIVES as u8, input.byte() % 32);
    let command = input.one_of(&drivers::PACKET_COMMANDS);
    let mut parameters = [0; 11];
    let shape = input.byte();
    if shape < 0xc0 {
        let address = input.value() as u32;
        let len = input.short_or(if command == drivers::MODE_SELECT_10 { drivers::MODE_PAGES_LEN } else { 0x40 });
        parameters[0] = shape;
        parameters[1..5].copy_from_slice(&address.to_be_bytes());
        // Where READ, MODE SENSE and the like have it; the shorter commands have it before the address's end.
        parameters[6..8].copy_from_slice(&len.to_be_bytes());
        parameters[8] = input.byte();
        if matches!(command, 0x03 | 0x12 | 0x15 | 0x1a | 0x1b | 0x1e) {
            parameters[3] = len as u8 ^ 0x40;
        }
    } else {
        parameters.fill_with(|| input.byte());
    }
    Packet { port, slot, command, parameters, dma: !input.flag(), limit: input.short_or(0), buffers: buffers(input) }
}

fn pointer(input: &mut Input<'_>) -> ConsoleInput {
    let kind = input.byte();
    match kind % 4 {
        0 => ConsoleInput::Move { dx: input.value() as i32, dy: input.value() as i32 },
        1 => ConsoleInput::Wheel { notches: input.value() as i32 },
        _ => ConsoleInput::Button {
            button: [Button::Left, Button::Middle, Button::Right, Button::Back, Button::Forward]
                [usize::from(kind >> 2) % 5],
            down: kind & 1 == 0,
        },
    }
}

/// What an action shows to who does it.
pub type Seen = Vec<u64>;

impl Place {
    fn port(self, machine: &Machine) -> u16 {
        self.resolve(machine, Space::Port) as u16
    }

    fn address(self, machine: &Machine) -> u64 {
        self.resolve(machine, Space::Memory)
    }

    fn resolve(self, machine: &Machine, space: Space) -> u64 {
        match self {
            Place::At(address) => address,
            Place::Decoded { which, offset } => {
                let mut ranges = machine.decoded();
                ranges.retain(|range| range.space == space);
                match ranges.get(usize::from(which) % ranges.len().max(1)) {
                    Some(range) => range.base + u64::from(offset) % range.len,
                    None => offset.into(),
                }
            }
        }
    }
}

/// Does `action` to a machine.
pub fn apply(action: &Action, machine: &mut Machine) -> Seen {
    match action {
        Action::PortRead { place, width } => return vec![machine.port_read(place.port(machine), *width)],
        Action::PortWrite { place, width, value } => machine.port_write(place.port(machine), *width, *value),
        Action::Read { place, width } => return vec![machine.read(place.address(machine), *width)],
        Action::Write { place, width, value } => machine.write(place.address(machine), *width, *value),
        &Action::ConfigRead { slot, offset, width, ecam } => {
            return vec![match ecam {
                true => machine.read(drivers::ECAM | u64::from(slot) << 12 | u64::from(offset), width),
                false => {
                    let port = drivers::config_address(machine, slot, offset);
                    machine.port_read(port, width)
                }
            }];
        }
        &Action::ConfigWrite { slot, offset, width, value, ecam } => match ecam {
            true => machine.write(drivers::ECAM | u64::from(slot) << 12 | u64::from(offset), width, value),
            false => {
                let port = drivers::config_address(machine, slot, offset);
                machine.port_write(port, width, value);
            }
        },
        &Action::Indexed { index_port, index, value } => drivers::indexed(machine, index_port, index, value),
        &Action::Dispi { index, value } => drivers::dispi(machine, index, value),
        Action::Memory { address, bytes } => {
            for (at, &byte) in (*address..).zip(bytes) {
                machine.write(at, 1, byte.into());
            }
        }
        Action::Ata(command) => command.issue(machine),
        Action::Packet(packet) => packet.issue(machine),
        &Action::FirmwareDma { control, len, address } => drivers::firmware_dma(machine, control, len, address),
        &Action::Controller { command, data } => {
            machine.port_write(0x64, 1, command.into());
            if let Some(data) = data {
                machine.port_write(0x60, 1, data.into());
            }
            return vec![machine.port_read(0x64, 1), machine.port_read(0x60, 1)];
        }
        &Action::Ps2 { mouse, command, parameter } => {
            let mut seen = Vec::new();
            for byte in [Some(command), parameter].into_iter().flatten() {
                if mouse {
                    machine.port_write(0x64, 1, 0xd4);
                }
                machine.port_write(0x60, 1, byte.into());
                while machine.port_read(0x64, 1) & 1 != 0 && seen.len() < 32 {
                    seen.push(machine.port_read(0x60, 1));
                }
            }
            return seen;
        }
        Action::Console(input) => return vec![machine.board.i8042.lock().input(input).into()],
        Action::Serial(bytes) => return vec![machine.board.serial.lock().receive(bytes) as u64],
        Action::SerialRoom(room) => machine.serial_room((*room).into()),
        &Action::SerialCable { connected, sends_break } => {
            let mut serial = machine.board.serial.lock();
            serial.set_connected(connected);
            if sends_break {
                serial.receive_break();
            }
        }
        Action::Tone(count) => {
            machine.tone(*count);
            let tone = machine.board.speaker.lock().tone();
            return vec![tone.map_or(0, |tone| tone.count.into())];
        }
        Action::Advance(by) => machine.advance(*by),
        Action::Draw { all } => {
            machine.draw(*all);
            return machine.frame.pixels().iter().map(|&pixel| pixel.into()).collect();
        }
        Action::PowerButton => machine.board.lpc.lock().press_power_button(),
        Action::Reset => machine.reset(),
        Action::Pause => machine.pause(),
        &Action::Disc { drive, kind, force } => {
            let done = match kind {
                Some(kind) => machine.board.drives.insert(drive, disc(kind), force).map(|()| Some(disc(kind))),
                None => machine.board.drives.eject(drive, force).map(|_| None),
            };
            let lies = usize::from(drive).checked_sub(DISKS).and_then(|drive| machine.discs.get_mut(drive));
            if let (Ok(disc), Some(lies)) = (&done, lies) {
                lies.clone_from(disc);
            }
            let tray = machine.board.drives.tray(drive).ok();
            let tray = tray.map(|tray| [tray.open, tray.locked, tray.has_disc].map(u64::from));
            return tray.into_iter().flatten().chain([done.is_ok().into()]).collect();
        }
        &Action::DiskFails { disk, operation, successes, no_room } => {
            const EIO: i32 = 5;
            const ENOSPC: i32 = 28;
            machine.disks[usize::from(disk)].fail(operation, successes, if no_room { ENOSPC } else { EIO });
        }
        // Not to one machine alone.
        Action::Copy | Action::Damage { .. } => {}
    }
    Vec::new()
}
