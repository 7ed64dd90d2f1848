//! Starting a kernel directly: what firmware would have done to the chipset, and the ACPI tables in memory.

use std::{fs::File, sync::Arc};

use hypervisor::{
    loader::{Boot, Entry, Initrd, Kernel, LoadError, Protocol},
    memory::GuestMemory,
    vcpu::{LINUX64_GDT, LINUX64_TABLES},
};
use vm_memory::{Bytes, GuestAddress};

use super::memory;
use crate::{acpi::Tables, bus::Buses, layout, pci::Slot};

/// Where the root pointer is: in the area that every system searches (ACPI 6.4, section 5.2.5.1).
const RSDP: u64 = 0xe_0000;
/// Where the tables are, from here to the video window, and at [`RSDP`]: nothing else may use it.
pub(super) const TABLES: u64 = 0x9_0000;

/// A kernel to start, instead of firmware.
#[derive(Debug)]
pub struct DirectKernel {
    /// The kernel.
    pub kernel: Kernel,
    /// Its initial file system.
    pub initrd: Option<File>,
    /// Its command line.
    pub command_line: String,
}

/// A kernel could not be started directly.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// It could not be loaded.
    #[error("the kernel can't be loaded")]
    Load(#[from] LoadError),
    /// The tables do not fit.
    #[error("the ACPI tables have {0} bytes, too many for their place")]
    Tables(usize),
    /// The guest's memory has no room for the tables.
    #[error("the ACPI tables can't be written to the machine's memory")]
    Memory(#[from] vm_memory::GuestMemoryError),
}

impl DirectKernel {
    /// Puts tables and kernel into memory and gives the kernel's entry.
    pub(super) fn load(&self, guest: &GuestMemory, memory_bytes: u64, tables: &Tables) -> Result<Entry, StartError> {
        let (block, rsdp) = tables.placed_at(TABLES as u32);
        if block.len() as u64 > layout::VIDEO_WINDOW - TABLES {
            return Err(StartError::Tables(block.len()));
        }
        guest.write_slice(&block, GuestAddress(TABLES))?;
        guest.write_slice(&rsdp, GuestAddress(RSDP))?;
        let boot = Boot {
            protocol: Protocol::Any,
            memory_map: &memory::kernel_map(memory_bytes),
            avoid: &[LINUX64_GDT, LINUX64_TABLES].map(|(start, len)| start..start + len),
            command_line: &self.command_line,
            initrd: self.initrd.as_ref().map(Initrd::File),
            rsdp: Some(RSDP),
        };
        Ok(self.kernel.load(guest, &boot)?.entry)
    }
}

/// Programs the chipset as firmware does before it starts a system, through the guest's own ports.
pub(super) fn set_up_chipset(buses: &Arc<Buses>, host_bridge: Slot, lpc: Slot) {
    let write = |slot: Slot, register: u16, value: u32| {
        let address = 0x8000_0000 | u32::from(slot.device) << 11 | u32::from(slot.function) << 8 | u32::from(register);
        buses.port_write(0xcf8, &address.to_le_bytes());
        buses.port_write(0xcfc, &value.to_le_bytes());
    };
    // PCIEXBAR: the whole window, enabled.
    write(host_bridge, 0x60, layout::ECAM as u32 | 1);
    write(lpc, 0x40, u32::from(layout::PM_BASE) | 1);
    write(lpc, 0x44, 1 << 7);
    let routes = u32::from_le_bytes(layout::PIRQ_ISA_IRQS);
    write(lpc, 0x60, routes);
    write(lpc, 0x68, routes);
    write(lpc, 0xf0, layout::RCRB | 1);
}
