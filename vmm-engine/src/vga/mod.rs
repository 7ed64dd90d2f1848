//! The display adapter: a VGA with the Bochs VBE extension, as PCI function 1234:1111.
//!
//! IBM's VGA (PS/2 Hardware Interface Technical Reference, "Video Subsystem"), the Bochs VBE Display API for linear modes
//! up to 2560 by 1600 by 32, and the memory-mapped registers and EDID that guests' drivers for this function know. Its
//! ROM is a VGA BIOS that is given to it.
//!
//! Left out: the vertical interrupt, big-endian frame buffers, overscan.

mod cp437;
mod dac;
mod dispi;
mod edid;
mod graphics;
mod memory;
mod mode;
mod registers;
mod saved;
mod screen;
mod text;
mod timing;

#[cfg(test)]
mod against_qemu;
#[cfg(test)]
mod pictures;
#[cfg(test)]
mod programs;
#[cfg(test)]
mod tests;

use hypervisor::memory::{DeviceMemory, MemoryError};
use machine::{
    access,
    component::Component,
    device::{DecodedRange, Device, Mmio, PciConfig, PortIo},
    saved::{Bytes, RestoreError, SaveError, SavedState as _, SavedUnit},
    time::Clock,
};

pub use self::screen::VgaScreen;
use self::{
    dispi::Dispi,
    memory::DisplayMemory,
    registers::{Change, Registers},
    saved::{SavedDac, SavedDispi, SavedRegisters, SavedVga},
};
use crate::pci::{BarKind, ConfigSpace, Identity};

/// Region of the VGA's ports, [`VGA_PORTS`].
pub const REGION_VGA_PORTS: u8 = 0x10;
/// First port and number of ports of the VGA.
pub const VGA_PORTS: (u16, u16) = (registers::FIRST_PORT, 0x30);
/// Region of the VBE extension's ports, [`DISPI_PORTS`].
pub const REGION_DISPI_PORTS: u8 = 0x11;
/// First port and number of ports of the VBE extension: index, and data in two places.
pub const DISPI_PORTS: (u16, u16) = (0x1ce, 4);
/// Region of the window into the display memory, [`LEGACY_MEMORY`].
pub const REGION_LEGACY_MEMORY: u8 = 0x12;
/// First address and length of the window into the display memory.
pub const LEGACY_MEMORY: (u64, u64) = (0xa_0000, memory::LEGACY_LEN);

/// Base address register of the display memory.
pub const BAR_MEMORY: u8 = 0;
/// Base address register of the memory-mapped registers.
pub const BAR_REGISTERS: u8 = 2;
/// Number of the expansion ROM among the ranges that the function decodes.
const ROM: u8 = 6;

/// In the range of [`BAR_REGISTERS`]: ports 3C0h to 3DFh.
const MAPPED_PORTS: u64 = 0x400;
/// In the range of [`BAR_REGISTERS`]: the VBE extension's registers, two bytes each.
const MAPPED_DISPI: u64 = 0x500;
/// In the range of [`BAR_REGISTERS`]: length of the extended registers, and that pixels are little-endian.
const MAPPED_EXTENDED: u64 = 0x600;
const EXTENDED: [u8; 8] = [8, 0, 0, 0, 0x1e, 0x1e, 0x1e, 0x1e];

/// What kind of display adapter.
#[derive(Debug, Clone)]
pub struct Config {
    /// Length of the display memory, in bytes: a power of two from 256 KiB to 256 MiB.
    pub memory_bytes: u32,
    /// The VGA BIOS. Empty: the function has no expansion ROM.
    pub rom: Vec<u8>,
    /// Width and height that the monitor prefers.
    pub preferred: (u16, u16),
}

impl Default for Config {
    /// Memory for the largest mode, no BIOS, a monitor of 1280 by 800.
    fn default() -> Self {
        Config { memory_bytes: 32 << 20, rom: Vec::new(), preferred: (1280, 800) }
    }
}

/// The display adapter. [`VgaScreen`] draws its picture.
pub struct Vga {
    registers: Registers,
    dispi: Dispi,
    memory: DisplayMemory,
    config: ConfigSpace,
    rom: Vec<u8>,
    edid: [u8; edid::LEN],
    clock: Clock,
    /// Counts changes of registers that the picture depends on.
    generation: u64,
}

impl Vga {
    /// A display adapter in power-on state, whose retrace and cursor follow `clock`.
    ///
    /// # Errors
    /// The host refuses the memory, or its length can't be.
    pub fn new(config: Config, clock: Clock) -> Result<Self, MemoryError> {
        let bytes = config.memory_bytes;
        if !bytes.is_power_of_two() || !(256 << 10..=256 << 20).contains(&bytes) {
            return Err(MemoryError::Ranges(format!("a display memory of {bytes:#x} bytes")));
        }
        let memory = DeviceMemory::new("vga", bytes.into())?;
        let (registers, dispi) = (Registers::new(), Dispi::new(bytes));
        let identity = Identity {
            vendor: 0x1234,
            device: 0x1111,
            class: 0x03_00_00,
            revision: 2,
            subsystem_vendor: 0x1af4,
            subsystem: 0x1100,
        };
        let space = ConfigSpace::new(&identity)
            .with_bar(BAR_MEMORY, BarKind::Memory { prefetchable: true }, bytes)
            .with_bar(BAR_REGISTERS, BarKind::Memory { prefetchable: false }, 0x1000)
            // The VGA's own ports are at fixed addresses. Firmware looks for an adapter with this bit set.
            .with_registers(0x04, &[0], &[1]);
        let rom_len = config.rom.len().next_power_of_two().max(2048);
        let space = match u32::try_from(rom_len) {
            Ok(len) if !config.rom.is_empty() && len <= 16 << 20 => space.with_rom(len),
            _ => space,
        };
        Ok(Vga {
            memory: DisplayMemory::new(memory, &registers, &dispi),
            registers,
            dispi,
            config: space,
            rom: config.rom,
            edid: edid::block(config.preferred.0, config.preferred.1),
            clock,
            generation: 0,
        })
    }

    /// The display memory, which the guest sees behind [`BAR_MEMORY`].
    #[must_use]
    pub fn memory(&self) -> DeviceMemory {
        self.memory.handle().clone()
    }

    fn read_port(&mut self, port: u16) -> u8 {
        let (vbe, clock) = (self.dispi.enabled(), &self.clock);
        self.registers.read(port, |registers| timing::input_status(registers, vbe, clock.now()))
    }

    fn write_port(&mut self, port: u16, value: u8) {
        match self.registers.write(port, value) {
            Change::Nothing => {}
            Change::Picture => self.generation += 1,
            Change::Memory => self.changed(),
        }
    }

    fn write_dispi(&mut self, index: u16, value: u16) {
        let effect = self.dispi.write(index, value);
        if effect.changed {
            self.registers.dac.eight_bits = self.dispi.eight_bit_dac();
            self.memory.clear(effect.clear.into());
            self.changed();
        }
    }

    /// Registers changed: the picture and the window into the memory may be others.
    fn changed(&mut self) {
        self.generation += 1;
        self.memory.update(&self.registers, &self.dispi);
    }

    /// Ports 1CEh to 1D1h: words only.
    fn read_dispi_ports(&mut self, offset: u16, data: &mut [u8]) {
        access::fill_unclaimed(data);
        for (offset, word) in (offset..).step_by(2).zip(data.chunks_exact_mut(2)) {
            match offset {
                0 => access::fill(word, self.dispi.index.into()),
                1 | 2 => access::fill(word, self.dispi.read(self.dispi.index).into()),
                _ => {}
            }
        }
    }

    fn write_dispi_ports(&mut self, offset: u16, data: &[u8]) {
        for (offset, word) in (offset..).step_by(2).zip(data.chunks_exact(2)) {
            let value = access::value_of(word) as u16;
            match offset {
                0 => self.dispi.index = value,
                1 | 2 => self.write_dispi(self.dispi.index, value),
                _ => {}
            }
        }
    }

    /// A byte of the memory-mapped registers.
    fn read_mapped(&mut self, offset: u64) -> u8 {
        match offset {
            0..0x80 => self.edid[offset as usize],
            0x80..MAPPED_PORTS => 0,
            MAPPED_PORTS..0x420 => self.read_port(0x3c0 + (offset - MAPPED_PORTS) as u16),
            MAPPED_DISPI..0x516 => {
                let register = self.dispi.read((offset - MAPPED_DISPI) as u16 / 2);
                (register >> (8 * (offset & 1))) as u8
            }
            MAPPED_EXTENDED..0x608 => EXTENDED[(offset - MAPPED_EXTENDED) as usize],
            _ => 0xff,
        }
    }

    /// The VBE extension's mapped registers take words; VGA ports bytes.
    fn write_mapped(&mut self, offset: u64, data: &[u8]) {
        if (MAPPED_DISPI..0x516).contains(&offset) && offset & 1 == 0 {
            for (index, word) in (((offset - MAPPED_DISPI) / 2) as u16..).zip(data.chunks_exact(2)) {
                self.write_dispi(index, access::value_of(word) as u16);
            }
            return;
        }
        for (offset, &byte) in (offset..).zip(data) {
            if (MAPPED_PORTS..0x420).contains(&offset) {
                self.write_port(0x3c0 + (offset - MAPPED_PORTS) as u16, byte);
            }
        }
    }
}

impl PortIo for Vga {
    fn port_read(&mut self, region: u8, offset: u16, data: &mut [u8]) {
        match region {
            REGION_VGA_PORTS => {
                access::read_bytewise(offset, data, |offset| self.read_port(VGA_PORTS.0.wrapping_add(offset)));
            }
            REGION_DISPI_PORTS => self.read_dispi_ports(offset, data),
            _ => access::fill_unclaimed(data),
        }
    }

    fn port_write(&mut self, region: u8, offset: u16, data: &[u8]) {
        match region {
            REGION_VGA_PORTS => access::write_bytewise(offset, data, |offset, byte| {
                self.write_port(VGA_PORTS.0.wrapping_add(offset), byte);
            }),
            REGION_DISPI_PORTS => self.write_dispi_ports(offset, data),
            _ => {}
        }
    }
}

impl Mmio for Vga {
    fn mmio_read(&mut self, region: u8, offset: u64, data: &mut [u8]) {
        match region {
            REGION_LEGACY_MEMORY => self.memory.read(&self.registers, offset, data),
            BAR_MEMORY => self.memory.read_linear(offset, data),
            BAR_REGISTERS => {
                for (index, byte) in (0..).zip(data) {
                    *byte = self.read_mapped(offset.wrapping_add(index));
                }
            }
            ROM => access::read_slice(&self.rom, offset, data),
            _ => access::fill_unclaimed(data),
        }
    }

    fn mmio_write(&mut self, region: u8, offset: u64, data: &[u8]) {
        match region {
            REGION_LEGACY_MEMORY => self.memory.write(&self.registers, offset, data),
            BAR_MEMORY => self.memory.write_linear(offset, data),
            BAR_REGISTERS => self.write_mapped(offset, data),
            _ => {}
        }
    }
}

impl PciConfig for Vga {
    fn config_read(&mut self, offset: u16, data: &mut [u8]) {
        self.config.read(offset, data);
    }

    fn config_write(&mut self, offset: u16, data: &[u8]) {
        self.config.write(offset, data);
    }

    fn decoded(&self) -> Vec<DecodedRange> {
        self.config.decoded()
    }
}

impl Device for Vga {
    fn port_io(&mut self) -> Option<&mut dyn PortIo> {
        Some(self)
    }

    fn mmio(&mut self) -> Option<&mut dyn Mmio> {
        Some(self)
    }

    fn pci(&mut self) -> Option<&mut dyn PciConfig> {
        Some(self)
    }
}

impl Component for Vga {
    fn name(&self) -> &str {
        "vga"
    }

    fn start(&mut self) {}

    fn stop(&mut self) {}

    fn reset(&mut self) {
        self.registers = Registers::new();
        self.dispi = Dispi::new(self.memory.handle().len() as u32);
        self.config.reset();
        self.memory.reset();
        self.changed();
    }

    fn save(&mut self) -> Result<SavedUnit, SaveError> {
        let contents = self.memory.handle().contents();
        let contents = contents.map_err(|source| SaveError::Unavailable { what: "the display memory", source })?;
        SavedUnit::of(&SavedVga {
            config: self.config.save(),
            registers: SavedRegisters::of(&self.registers),
            dac: SavedDac::of(&self.registers.dac),
            dispi: SavedDispi::of(&self.dispi),
            latches: self.memory.latches,
            memory: Bytes(contents),
        })
    }

    fn restore(&mut self, unit: &SavedUnit) -> Result<(), RestoreError> {
        let saved: SavedVga = unit.open()?;
        let dispi = saved.dispi.checked(&self.dispi)?;
        let dac = saved.dac.checked(dispi.eight_bit_dac())?;
        let registers = saved.registers.checked(dac)?;
        if saved.memory.0.len() as u64 > self.memory.handle().len() {
            return Err(saved::impossible("more display memory than there is"));
        }
        // The last that can fail, and the first that changes anything.
        self.config.restore(SavedVga::KIND, &saved.config)?;
        self.registers = registers;
        self.dispi = dispi;
        self.memory.set_contents(&saved.memory.0);
        self.memory.latches = saved.latches;
        self.changed();
        Ok(())
    }
}

impl std::fmt::Debug for Vga {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Vga").field("memory", self.memory.handle()).finish_non_exhaustive()
    }
}
