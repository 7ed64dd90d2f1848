//! The PCI function: ICH9's SATA controller in AHCI mode (ICH9 data sheet, chapter 15; Serial ATA AHCI 1.3.1,
//! section 2). The IDE mode of that chip isn't offered.

use crate::pci::{BarKind, ConfigSpace, Identity};

use super::registers::{ABAR_LEN, PORTS};

/// Base address register of the index/data pair (among ports that the IDE mode would use).
pub const BAR_INDEX_DATA: u8 = 4;
/// Base address register of the registers.
pub const BAR_REGISTERS: u8 = 5;

/// Ports behind [`BAR_INDEX_DATA`], and where the pair is among them.
pub(super) const INDEX_DATA_LEN: u32 = 0x20;
pub(super) const INDEX: u16 = 0x10;
pub(super) const DATA: u16 = 0x14;

const CAPABILITY_SATA: u8 = 0x12;

/// The configuration space after power-on. `occupied` has a bit for each port with a drive.
pub(super) fn config_space(occupied: u32) -> ConfigSpace {
    let identity = Identity {
        vendor: 0x8086,
        device: 0x2922,
        class: 0x01_06_01,
        revision: 2,
        subsystem_vendor: 0x1af4,
        subsystem: 0x1100,
    };
    let enabled = (1_u8 << PORTS) - 1;
    // MAP: AHCI mode. PCS: which ports are enabled (software may change it, to no effect), and where drives are.
    let map_and_status = [0x40, 0, enabled, occupied as u8 & enabled];
    // Revision 1.0; the pair is behind BAR 4 (at 0x20 of the configuration space), 4 dwords from its start.
    let sata = [0x10, 0x00, 0x48, 0x00, 0x00, 0x00];
    ConfigSpace::new(&identity)
        .with_bar(BAR_INDEX_DATA, BarKind::Io, INDEX_DATA_LEN)
        .with_bar(BAR_REGISTERS, BarKind::Memory { prefetchable: false }, ABAR_LEN)
        .with_interrupt_pin(1)
        .with_registers(0x90, &map_and_status, &[0, 0, enabled, 0])
        .with_msi()
        .with_capability(CAPABILITY_SATA, &sata, &[])
}
