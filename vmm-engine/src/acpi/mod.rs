//! The ACPI tables of the PC (ACPI 6.4, chapter 5): what the operating system learns of processors, interrupts,
//! power management and devices that can't be found by looking.
//!
//! The tables are one block with pointers inside, and the root pointer apart. Firmware gets the block by fw_cfg with
//! a script that says where the pointers and checksums are; without firmware the engine places it itself
//! ([`Tables::placed_at`]).

mod dsdt;
mod tables;

pub use tables::{Checksum, Pointer, Tables};

use crate::{layout, lpc, pci::Slot};

/// What differs between machines.
#[derive(Debug, Clone)]
pub struct Config {
    /// Number of processors; their APIC IDs are 0 to `cpus - 1`.
    pub cpus: u32,
    /// First ports of the serial ports that are there, with their interrupts.
    pub serial_ports: Vec<(u16, u8)>,
}

/// I/O APIC input of PCI interrupt pin `pin` (0 for INTA#) of a device on bus 0.
///
/// Devices 0 to 24 rotate over PIRQE# to PIRQH#; 25 to 31 have fixed routes, by their interrupt route registers'
/// power-on values (ICH9 data sheet, section 10.1.55).
#[must_use]
pub fn pirq_of(slot: Slot, pin: u8) -> u8 {
    if slot.device <= 24 { 4 + (slot.device + pin) % 4 } else { pin % 4 }
}

/// The ISA interrupt to which firmware routes PIRQ `pirq` (0 for PIRQA#).
#[must_use]
pub fn isa_irq_of(pirq: u8) -> u8 {
    layout::PIRQ_ISA_IRQS[usize::from(pirq % 4)]
}

/// First port of the power management registers.
const PM: u16 = layout::PM_BASE;
const _: () = assert!(PM.is_multiple_of(lpc::POWER_PORTS));
