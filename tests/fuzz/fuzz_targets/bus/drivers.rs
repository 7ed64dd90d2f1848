//! What firmware and drivers do, so that an input begins behind it: a chipset with its addresses, a running AHCI
//! controller, video modes, a serial port with interrupts; well-formed commands of disks and CD drives, and transfers of
//! the firmware's configuration.

use machine::device::Space;

use super::machine::{CD_DRIVES, DISKS, Machine};

/// Where things are in the guest's memory: command lists with received FISes, command tables, a transfer, data.
const LISTS: u64 = 0x10_0000;
const TABLES: u64 = 0x11_0000;
const TRANSFER: u64 = 0x18_0000;
pub const DATA: u64 = 0x20_0000;
/// A parameter list of MODE SELECT (10), and ranges to discard.
pub const MODE_PAGES: u64 = 0x38_0000;
pub const MODE_PAGES_LEN: u16 = 20;
pub const TRIM_RANGES: u64 = 0x3a_0000;

/// Where the chipset's ranges are put.
pub const ECAM: u64 = 0xb000_0000;
pub const RCRB: u64 = 0xfed1_c000;
const VGA_MEMORY: u32 = 0xc000_0000;
pub const VGA_REGISTERS: u64 = 0xc200_0000;
const VGA_ROM: u32 = 0xc201_0000;
pub const AHCI_REGISTERS: u64 = 0xc200_1000;
const AHCI_PORTS: u32 = 0xc040;

const HOST_BRIDGE: u8 = 0;
const VGA: u8 = 1 << 3;
const LPC: u8 = 31 << 3;
const AHCI: u8 = 31 << 3 | 2;

/// Commands that disk drives or packet devices have, and a few that none has.
pub const ATA_COMMANDS: [u8; 51] = [
    0x25, 0x35, 0x60, 0x61, 0x06, 0x20, 0x21, 0x24, 0x27, 0x29, 0x2f, 0x30, 0x31, 0x34, 0x39, 0x3d, 0x40, 0x41, 0x42,
    0x47, 0x70, 0x90, 0x91, 0xb0, 0xc4, 0xc5, 0xc6, 0xc8, 0xc9, 0xca, 0xcb, 0xce, 0xe0, 0xe1, 0xe2, 0xe3, 0xe5, 0xe6,
    0xe7, 0xea, 0xec, 0xef, 0xf8, 0x08, 0xa0, 0xa1, 0x00, 0x10, 0x92, 0xb1, 0xf5,
];
/// Packet commands that a CD drive has, and one that none has.
pub const PACKET_COMMANDS: [u8; 26] = [
    0x28, 0xa8, 0xbe, 0x00, 0x03, 0x12, 0x15, 0x1a, 0x1b, 0x1e, 0x25, 0x2b, 0x43, 0x46, 0x4a, 0x51, 0x52, 0x55, 0x5a,
    0xa0, 0xad, 0xb9, 0xbb, 0xbd, 0xa8, 0x2a,
];
/// What makes a drive take a packet command.
const PACKET: u8 = 0xa0;
const TEST_UNIT_READY: u8 = 0x00;
pub const MODE_SELECT_10: u8 = 0x55;
/// SMART, with what each of its subcommands has in the address.
const SMART: u8 = 0xb0;
const SMART_KEY: u64 = 0xc2_4f00;
/// Commands of keyboards and mice.
pub const PS2_COMMANDS: [u8; 26] = [
    0xf4, 0xf0, 0xed, 0xf3, 0xf2, 0xff, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa, 0xfb, 0xfc, 0xfd, 0xfe, 0xee, 0xe6, 0xe7,
    0xe8, 0xe9, 0xea, 0xeb, 0xec, 0xee, 0xe1,
];
pub const SAMPLE_RATES: [u8; 4] = [200, 100, 80, 60];

/// Points CONFIG_ADDRESS at a register and gives the port behind which its byte is.
pub fn config_address(machine: &Machine, slot: u8, offset: u16) -> u16 {
    let address = 0x8000_0000 | u64::from(slot) << 8 | u64::from(offset & 0xfc);
    machine.port_write(0xcf8, 4, address);
    0xcfc + (offset & 3)
}

fn config(machine: &Machine, slot: u8, offset: u16, value: u32) {
    let port = config_address(machine, slot, offset);
    machine.port_write(port, 4, value.into());
}

/// A register behind an index port, as each kind of them is written.
pub fn indexed(machine: &Machine, port: u16, index: u8, value: u8) {
    if port == 0x3c0 {
        // A read of Input Status 1 makes the next write an index.
        machine.port_read(0x3da, 1);
        machine.port_write(port, 1, index.into());
        machine.port_write(port, 1, value.into());
    } else {
        machine.port_write(port, 1, index.into());
        machine.port_write(port + 1, 1, value.into());
    }
}

/// A register of the VBE extension.
pub fn dispi(machine: &Machine, index: u16, value: u16) {
    machine.port_write(0x1ce, 2, index.into());
    machine.port_write(0x1cf, 2, value.into());
}

/// A transfer of the firmware's configuration.
pub fn firmware_dma(machine: &Machine, control: u32, len: u32, address: u64) {
    let request = u128::from(control) << 96 | u128::from(len) << 64 | u128::from(address);
    for (at, byte) in (TRANSFER..).zip(request.to_be_bytes()) {
        machine.write(at, 1, byte.into());
    }
    machine.port_write(0x514, 4, 0);
    machine.port_write(0x518, 4, (TRANSFER as u32).swap_bytes().into());
}

/// A command to a drive.
#[derive(Debug, Clone)]
pub struct Ata {
    pub port: u8,
    pub slot: u8,
    pub command: u8,
    pub features: u16,
    pub lba: u64,
    pub count: u16,
    pub device: u8,
    /// Not zero: a device control FIS with this register, in place of a command.
    pub control: u8,
    pub buffers: Vec<(u64, u32, bool)>,
    /// The controller is told of it. Otherwise it waits in memory.
    pub is_issued: bool,
}

/// A packet command to a CD drive.
#[derive(Debug, Clone)]
pub struct Packet {
    pub port: u8,
    pub slot: u8,
    pub command: u8,
    pub parameters: [u8; 11],
    pub dma: bool,
    /// The byte count limit.
    pub limit: u16,
    pub buffers: Vec<(u64, u32, bool)>,
}

impl Ata {
    pub fn issue(&self, machine: &Machine) {
        self.prepare(machine, None);
        if self.is_issued {
            self.start(machine);
        }
    }

    fn is_queued(&self) -> bool {
        matches!(self.command, 0x60 | 0x61)
    }

    /// Puts header, FIS, packet and descriptors into memory.
    fn prepare(&self, machine: &Machine, packet: Option<[u8; 12]>) {
        let list = LISTS + u64::from(self.port) * 0x1000;
        let table = TABLES + (u64::from(self.port) * 32 + u64::from(self.slot)) * 0x200;
        let header = list + u64::from(self.slot) * 32;
        let flags = 5 | u64::from(packet.is_some()) << 5 | (self.buffers.len() as u64) << 16;
        machine.write(header, 8, flags);
        machine.write(header + 8, 8, table);
        // Queued commands have their count in the features, and their tag in the count.
        let (features, count) = match self.is_queued() {
            true => (self.count, u16::from(self.slot) << 3),
            false => (self.features, self.count),
        };
        let (lba, features) = match self.command {
            SMART => (SMART_KEY | self.lba & 0xff, 0xd0 | features & 0x0f),
            _ => (self.lba, features),
        };
        let (lba, features, count) = (lba.to_le_bytes(), features.to_le_bytes(), count.to_le_bytes());
        let kind = if self.control == 0 { 0x80 } else { 0 };
        let fis = [
            [0x27, kind, self.command, features[0]],
            [lba[0], lba[1], lba[2], self.device],
            [lba[3], lba[4], lba[5], features[1]],
            [count[0], count[1], 0, self.control],
        ];
        for (at, dword) in (table..).step_by(4).zip(fis) {
            machine.write(at, 4, u32::from_le_bytes(dword).into());
        }
        for (at, byte) in (table + 0x40..).zip(packet.into_iter().flatten()) {
            machine.write(at, 1, byte.into());
        }
        for (at, &(address, len, interrupts)) in (table + 0x80..).step_by(16).zip(&self.buffers) {
            machine.write(at, 8, address);
            machine.write(at + 12, 4, u64::from(len & 0x3f_ffff) | u64::from(interrupts) << 31);
        }
    }

    fn start(&self, machine: &Machine) {
        // Wherever the registers are now
        let ranges = machine.decoded();
        let Some(registers) = ranges.iter().find(|range| range.space == Space::Memory && range.bar == 5) else {
            return;
        };
        let port = registers.base + 0x100 + u64::from(self.port) * 0x80;
        // After an error the list runs again when it was stopped.
        if machine.read(port + 0x20, 4) & 1 != 0 {
            machine.write(port + 0x18, 4, 0x10);
            machine.write(port + 0x10, 4, 0xffff_ffff);
            machine.write(port + 0x18, 4, 0x11);
            machine.settle();
        }
        if self.is_queued() {
            machine.write(port + 0x34, 4, 1 << self.slot);
        }
        machine.write(port + 0x38, 4, 1 << self.slot);
    }
}

impl Packet {
    pub fn issue(&self, machine: &Machine) {
        let command = Ata {
            port: self.port,
            slot: self.slot,
            command: PACKET,
            features: self.dma.into(),
            lba: u64::from(self.limit) << 8,
            count: 0,
            device: 0,
            control: 0,
            buffers: self.buffers.clone(),
            is_issued: true,
        };
        let mut packet = [0; 12];
        packet[0] = self.command;
        packet[1..].copy_from_slice(&self.parameters);
        command.prepare(machine, Some(packet));
        command.start(machine);
    }
}

/// What an input usually begins behind: a chipset with its addresses and a running AHCI controller.
pub const USUAL: u8 = 3;

/// Does what `wanted` says, a bit each, of what comes before an input's actions.
pub fn prepare(machine: &Machine, wanted: u8) {
    let steps: [fn(&Machine); 8] =
        [chipset, controller, text_mode, planar_mode, byte_mode, linear_mode, keyboard_and_mouse, interrupts];
    for (bit, step) in steps.iter().enumerate() {
        if wanted & 1 << bit != 0 {
            step(machine);
        }
    }
}

/// Firmware's part.
fn chipset(machine: &Machine) {
    config(machine, HOST_BRIDGE, 0x60, ECAM as u32 | 1);
    config(machine, LPC, 0x40, 0x601);
    config(machine, LPC, 0x44, 1 << 7);
    config(machine, LPC, 0x60, 0x0b0b_0a0a);
    config(machine, LPC, 0x68, 0x0b0b_0a0a);
    config(machine, LPC, 0xf0, RCRB as u32 | 1);
    config(machine, VGA, 0x10, VGA_MEMORY);
    config(machine, VGA, 0x18, VGA_REGISTERS as u32);
    config(machine, VGA, 0x30, VGA_ROM | 1);
    config(machine, VGA, 0x04, 3);
    config(machine, AHCI, 0x20, AHCI_PORTS | 1);
    config(machine, AHCI, 0x24, AHCI_REGISTERS as u32);
    config(machine, AHCI, 0x04, 7);
}

/// The AHCI driver's part; it comes to nothing without the chipset's.
fn controller(machine: &Machine) {
    machine.write(AHCI_REGISTERS + 0x04, 4, 0x8000_0002);
    for port in 0..6 {
        let registers = AHCI_REGISTERS + 0x100 + port * 0x80;
        machine.write(registers, 8, LISTS + port * 0x1000);
        machine.write(registers + 0x08, 8, LISTS + port * 0x1000 + 0x400);
        machine.write(registers + 0x30, 4, 0xffff_ffff);
        machine.write(registers + 0x10, 4, 0xffff_ffff);
        machine.write(registers + 0x14, 4, 0xffff_ffff);
        machine.write(registers + 0x18, 4, 0x10);
        machine.write(registers + 0x18, 4, 0x11);
    }
    for (at, byte) in (MODE_PAGES + 8..).zip([0x01, 10, 0x20, 9]) {
        machine.write(at, 1, byte);
    }
    for (at, range) in (TRIM_RANGES..).step_by(8).zip([0x10_u64 << 48 | 0x40, 8 << 48 | 0x50, 1 << 48 | 3]) {
        machine.write(at, 8, range);
    }
    machine.settle();
    // The first packet command after a reset is answered with the reset.
    for port in DISKS as u8..(DISKS + CD_DRIVES) as u8 {
        let (parameters, buffers) = ([0; 11], Vec::new());
        Packet { port, slot: 0, command: TEST_UNIT_READY, parameters, dma: false, limit: 0, buffers }.issue(machine);
    }
}

/// Registers of a video mode of IBM's.
struct Mode {
    miscellaneous: u8,
    sequencer: [u8; 5],
    crtc: [u8; 25],
    graphics: [u8; 9],
    attribute: [u8; 21],
}

const TEXT: Mode = Mode {
    miscellaneous: 0x67,
    sequencer: [0x03, 0x00, 0x03, 0x00, 0x02],
    crtc: [
        0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0x00, 0x4f, 0x0d, 0x0e, 0x00, 0x00, 0x00, 0x50, 0x9c, 0x0e,
        0x8f, 0x28, 0x1f, 0x96, 0xb9, 0xa3, 0xff,
    ],
    graphics: [0x00, 0x00, 0x00, 0x00, 0x00, 0x10, 0x0e, 0x00, 0xff],
    attribute: [
        0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x14, 0x07, 0x38, 0x39, 0x3a, 0x3b, 0x3c, 0x3d, 0x3e, 0x3f, 0x0c, 0x00,
        0x0f, 0x08, 0x00,
    ],
};
const PLANAR: Mode = Mode {
    miscellaneous: 0xe3,
    sequencer: [0x03, 0x01, 0x0f, 0x00, 0x06],
    crtc: [
        0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0x0b, 0x3e, 0x00, 0x40, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xea, 0x0c,
        0xdf, 0x28, 0x00, 0xe7, 0x04, 0xe3, 0xff,
    ],
    graphics: [0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x05, 0x0f, 0xff],
    attribute: [
        0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x14, 0x07, 0x38, 0x39, 0x3a, 0x3b, 0x3c, 0x3d, 0x3e, 0x3f, 0x01, 0x00,
        0x0f, 0x00, 0x00,
    ],
};
const BYTES: Mode = Mode {
    miscellaneous: 0x63,
    sequencer: [0x03, 0x01, 0x0f, 0x00, 0x0e],
    crtc: [
        0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0xbf, 0x1f, 0x00, 0x41, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x9c, 0x0e,
        0x8f, 0x28, 0x40, 0x96, 0xb9, 0xa3, 0xff,
    ],
    graphics: [0x00, 0x00, 0x00, 0x00, 0x00, 0x40, 0x05, 0x0f, 0xff],
    attribute: [
        0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f, 0x41, 0x00,
        0x0f, 0x00, 0x00,
    ],
};

fn set_mode(machine: &Machine, mode: &Mode) {
    machine.port_write(0x3c2, 1, mode.miscellaneous.into());
    // Registers 0 to 7 of the CRT controller are protected by one of the others.
    indexed(machine, 0x3d4, 0x11, 0);
    for (port, registers) in [(0x3c4, &mode.sequencer[..]), (0x3d4, &mode.crtc), (0x3ce, &mode.graphics)] {
        for (index, &value) in (0..).zip(registers) {
            indexed(machine, port, index, value);
        }
    }
    for (index, &value) in (0..).zip(&mode.attribute) {
        indexed(machine, 0x3c0, index, value);
    }
    // The picture is on from here.
    machine.port_read(0x3da, 1);
    machine.port_write(0x3c0, 1, 0x20);
    machine.port_write(0x3c8, 1, 0);
    for colour in 0..64 {
        for shift in [4, 2, 0] {
            machine.port_write(0x3c9, 1, (colour >> shift & 3) * 21);
        }
    }
}

fn text_mode(machine: &Machine) {
    set_mode(machine, &TEXT);
    for cell in 0..40 {
        machine.write(0xb_8000 + 2 * cell, 2, (0x11 * cell) << 8 | (0x20 + cell));
    }
}

fn planar_mode(machine: &Machine) {
    set_mode(machine, &PLANAR);
    for at in 0..40 {
        machine.write(0xa_0000 + 99 * at, 1, at);
    }
}

fn byte_mode(machine: &Machine) {
    set_mode(machine, &BYTES);
    for at in 0..40 {
        machine.write(0xa_0000 + 99 * at, 1, at);
    }
}

/// 320 by 200 with 32 bits, beyond what the screen shows.
fn linear_mode(machine: &Machine) {
    for (index, value) in [(4, 0), (1, 320), (2, 200), (3, 32), (4, 0x41), (6, 400), (9, 3)] {
        dispi(machine, index, value);
    }
    machine.port_read(0x3da, 1);
    machine.port_write(0x3c0, 1, 0x20);
    for at in 0..40 {
        machine.write(u64::from(VGA_MEMORY) + 4096 * at, 4, 0x0123_4567 * at);
    }
}

fn keyboard_and_mouse(machine: &Machine) {
    for (port, value) in [(0x64, 0x60), (0x60, 0x47), (0x64, 0xd4), (0x60, 0xf4), (0x60, 0xf4)] {
        machine.port_write(port, 1, value);
        machine.port_read(0x60, 1);
    }
}

/// Interrupts of the clock, the serial port and power management.
fn interrupts(machine: &Machine) {
    indexed(machine, 0x70, 0x0a, 0x2a);
    indexed(machine, 0x70, 0x0b, 0x72);
    for (port, value) in [(0x3fa, 0x41), (0x3f9, 0x0f), (0x3fc, 0x0b)] {
        machine.port_write(port, 1, value);
    }
    machine.port_write(0x602, 2, 0x0121);
}
