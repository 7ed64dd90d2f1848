//! How the first processor starts; the others wait for a start-up message (SIPI).
//!
//! Sources: Intel SDM volume 3, section 10.1 (state after reset); Xen's "x86/HVM direct boot ABI" (PVH); Linux's
//! `Documentation/arch/x86/boot.rst`, section "64-bit boot protocol".

use kvm_bindings::{kvm_lapic_state, kvm_segment};
use vm_memory::{Bytes, GuestAddress};

use super::state::VcpuState;
use crate::{
    error::StateError,
    memory::GuestMemory,
    msr::{EFER, MTRR_DEF_TYPE, MTRR_ON_WRITE_BACK},
};

/// The state in which the first processor starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartState {
    /// At the reset vector, 16 bytes below 4 GiB, in real mode.
    Firmware,
    /// In 32-bit protected mode with flat segments and without paging, EBX pointing at `hvm_start_info`.
    Pvh {
        /// The entry's physical address.
        entry: u32,
        /// Where `hvm_start_info` is: below 4 GiB.
        start_info: u64,
    },
    /// In long mode, the first 4 GiB mapped to themselves, RSI pointing at `boot_params`. The tables are written to the
    /// guest's memory at [`LINUX64_GDT`] and [`LINUX64_TABLES`].
    Linux64 {
        /// The entry's physical address: the kernel's 64-bit entry point, below 4 GiB.
        entry: u64,
        /// Where `boot_params` is: below 4 GiB.
        boot_params: u64,
    },
}

/// Where [`StartState::Linux64`] puts its segment descriptor table: first address and length.
pub const LINUX64_GDT: (u64, u64) = (0x500, 0x20);
/// Where [`StartState::Linux64`] puts its page tables: first address and length.
pub const LINUX64_TABLES: (u64, u64) = (0x9000, 0x6000);

const CR0_PE: u64 = 1;
const CR0_ET: u64 = 1 << 4;
const CR0_PG: u64 = 1 << 31;
const CR4_PAE: u64 = 1 << 5;
const EFER_LME: u64 = 1 << 8;
const EFER_LMA: u64 = 1 << 10;
const RFLAGS: u64 = 2;

const PRESENT_WRITABLE: u64 = 3;
const LARGE_PAGE: u64 = 1 << 7;
const PAGE: u64 = 0x1000;

/// The selectors that Linux's boot protocol asks for.
const CODE: u16 = 0x10;
const DATA: u16 = 0x18;
const TASK: u16 = 0x20;

/// A flat 4 GiB segment.
fn flat(selector: u16, code: bool, long: bool) -> kvm_segment {
    kvm_segment {
        base: 0,
        limit: u32::MAX,
        selector,
        type_: if code { 0xb } else { 0x3 },
        present: 1,
        dpl: 0,
        db: u8::from(!long),
        s: 1,
        l: u8::from(long),
        g: 1,
        ..Default::default()
    }
}

/// The descriptor of a flat segment, as in the table in memory.
fn descriptor(segment: &kvm_segment) -> u64 {
    let access = u64::from(segment.type_) | u64::from(segment.s) << 4 | u64::from(segment.present) << 7;
    let flags = u64::from(segment.l) << 1 | u64::from(segment.db) << 2 | u64::from(segment.g) << 3;
    0xffff | access << 40 | 0xf << 48 | flags << 52
}

impl StartState {
    /// Changes the power-on state of processor `id`, and writes the tables that the first one's needs.
    pub(crate) fn apply(self, id: usize, state: &mut VcpuState, memory: &GuestMemory) -> Result<(), StateError> {
        match self {
            StartState::Firmware => return Ok(()),
            StartState::Pvh { .. } | StartState::Linux64 { .. } if id != 0 => {}
            StartState::Pvh { entry, start_info } => {
                protected_mode(state);
                state.regs.rip = u64::from(entry);
                state.regs.rbx = start_info;
            }
            StartState::Linux64 { entry, boot_params } => {
                protected_mode(state);
                long_mode(state, memory)?;
                state.regs.rip = entry;
                state.regs.rsi = boot_params;
            }
        }
        // What firmware would have left: memory is write-back, the 8259A's interrupts reach the first processor, and NMIs
        // reach all.
        for (index, value) in &mut state.msrs {
            if *index == MTRR_DEF_TYPE {
                *value = MTRR_ON_WRITE_BACK;
            }
        }
        if id == 0 {
            set_local_vector(&mut state.lapic, LVT_LINT0, DELIVER_EXTINT);
        }
        set_local_vector(&mut state.lapic, LVT_LINT1, DELIVER_NMI);
        Ok(())
    }
}

const LVT_LINT0: usize = 0x350;
const LVT_LINT1: usize = 0x360;
const DELIVER_NMI: u32 = 4 << 8;
const DELIVER_EXTINT: u32 = 7 << 8;

fn set_local_vector(lapic: &mut kvm_lapic_state, register: usize, value: u32) {
    for (to, from) in lapic.regs[register..].iter_mut().zip(value.to_le_bytes()) {
        *to = from as libc::c_char;
    }
}

fn protected_mode(state: &mut VcpuState) {
    let sregs = &mut state.sregs;
    sregs.cs = flat(CODE, true, false);
    let data = flat(DATA, false, false);
    (sregs.ds, sregs.es, sregs.fs, sregs.gs, sregs.ss) = (data, data, data, data, data);
    sregs.tr = kvm_segment { limit: 0x67, selector: TASK, type_: 0xb, present: 1, ..Default::default() };
    sregs.cr0 = CR0_PE | CR0_ET;
    sregs.cr4 = 0;
    state.regs = kvm_bindings::kvm_regs { rflags: RFLAGS, ..Default::default() };
}

fn long_mode(state: &mut VcpuState, memory: &GuestMemory) -> Result<(), StateError> {
    let put = |address: u64, values: &[u64]| {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        memory.write_slice(&bytes, GuestAddress(address)).map_err(|_| StateError::NoMemory(address))
    };
    let sregs = &mut state.sregs;
    sregs.cs = flat(CODE, true, true);
    put(LINUX64_GDT.0, &[0, 0, descriptor(&sregs.cs), descriptor(&sregs.ds)])?;
    sregs.gdt.base = LINUX64_GDT.0;
    sregs.gdt.limit = (LINUX64_GDT.1 - 1) as u16;
    sregs.idt.base = 0;
    sregs.idt.limit = 0;

    let (pml4, pdpt, first_directory) = (LINUX64_TABLES.0, LINUX64_TABLES.0 + PAGE, LINUX64_TABLES.0 + 2 * PAGE);
    put(pml4, &[pdpt | PRESENT_WRITABLE])?;
    let directories: Vec<u64> = (0..4).map(|gib| (first_directory + gib * PAGE) | PRESENT_WRITABLE).collect();
    put(pdpt, &directories)?;
    let pages: Vec<u64> = (0..4 * 512).map(|page| page << 21 | LARGE_PAGE | PRESENT_WRITABLE).collect();
    put(first_directory, &pages)?;
    sregs.cr3 = pml4;
    sregs.cr4 = CR4_PAE;
    sregs.cr0 |= CR0_PG;
    sregs.efer |= EFER_LME | EFER_LMA;
    for (index, value) in &mut state.msrs {
        if *index == EFER {
            *value = state.sregs.efer;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_are_what_the_manual_draws() {
        assert_eq!(descriptor(&flat(CODE, true, true)), 0x00af_9b00_0000_ffff);
        assert_eq!(descriptor(&flat(DATA, false, false)), 0x00cf_9300_0000_ffff);
    }
}
