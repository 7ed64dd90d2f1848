//! A device: a component with the facets that its hardware has, and no others.
//!
//! Accesses come from vCPU threads with the device's lock held, one at a time. What a guest does wrong is
//! never an error here and never a panic: the device does what the hardware would.

use crate::component::Component;

/// A component on a bus. A facet that a device lacks costs it nothing.
pub trait Device: Component {
    /// The port I/O facet.
    fn port_io(&mut self) -> Option<&mut dyn PortIo> {
        None
    }

    /// The memory-mapped I/O facet.
    fn mmio(&mut self) -> Option<&mut dyn Mmio> {
        None
    }

    /// The PCI configuration facet.
    fn pci(&mut self) -> Option<&mut dyn PciConfig> {
        None
    }
}

/// Answers to port accesses.
///
/// `region` tells ranges apart that one device claims: for fixed ranges the number under which whoever put
/// the machine together claimed it (constants of the device), for PCI the number of the base address
/// register. `offset` counts from the range's start. `data` is 1, 2 or 4 bytes and may reach beyond the end
/// of the range.
pub trait PortIo {
    /// A read: fills `data`.
    fn port_read(&mut self, region: u8, offset: u16, data: &mut [u8]);

    /// A write of `data`.
    fn port_write(&mut self, region: u8, offset: u16, data: &[u8]);
}

/// Answers to memory accesses. `region` as in [`PortIo`]; `data` is 1 to 8 bytes, `offset` may be unaligned
/// and the access may reach beyond the end of the range.
pub trait Mmio {
    /// A read: fills `data`.
    fn mmio_read(&mut self, region: u8, offset: u64, data: &mut [u8]);

    /// A write of `data`.
    fn mmio_write(&mut self, region: u8, offset: u64, data: &[u8]);
}

/// A PCI function's configuration space (PCI Local Bus 3.0, chapter 6; 4096 bytes with PCI Express).
///
/// Accesses are 1, 2 or 4 bytes and never cross a dword; the root has made sure of it.
pub trait PciConfig {
    /// A read at `offset` (0 to 0xfff).
    fn config_read(&mut self, offset: u16, data: &mut [u8]);

    /// A write at `offset` (0 to 0xfff).
    fn config_write(&mut self, offset: u16, data: &[u8]);

    /// The ranges that the function decodes now, according to its base address registers and its command
    /// register. The root asks after each write and moves the ranges on the buses.
    fn decoded(&self) -> Vec<DecodedRange>;
}

/// Which bus a range is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Space {
    /// The 64 KiB of ports.
    Port,
    /// Physical addresses.
    Memory,
}

/// A range that a PCI function decodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodedRange {
    /// The base address register, 0 to 5; 6 is the expansion ROM. Becomes the access's `region`.
    pub bar: u8,
    /// The bus.
    pub space: Space,
    /// The first address.
    pub base: u64,
    /// The length, in bytes: a power of two.
    pub len: u64,
}
