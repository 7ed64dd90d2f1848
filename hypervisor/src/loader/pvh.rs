//! Start by PVH (Xen, `xen/include/public/arch-x86/hvm/start_info.h`, version 1; `docs/misc/pvh.pandoc`): a 32-bit entry
//! with paging off and the address of `hvm_start_info` in EBX.

use std::ops::Range;

use super::{
    Boot, Entry, Loaded,
    elf::Elf,
    error::{KernelError, LoadError},
    linux::COMMAND_LINE_LIMIT,
    place::Place,
    room::FOUR_GIB,
};

const XEN_HVM_START_MAGIC_VALUE: u32 = 0x336e_c578;
const VERSION: u32 = 1;
/// Where 32-bit Linux finds an initial RAM disk at most: the end of its directly mapped memory.
const LINUX_32_INITRD_END: u64 = 0x3800_0000;
/// For kernels that don't say how long a command line may be.
const OTHER_COMMAND_LINE_LIMIT: usize = 4095;

/// What a kernel's other header says about its limits.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Limits {
    pub(super) command_line: Option<usize>,
    pub(super) initrd_below: Option<u64>,
}

/// Puts a kernel's segments where they belong.
pub(super) fn load_segments(elf: &Elf, file: &[u8], place: &mut Place<'_>) -> Result<Vec<Range<u64>>, LoadError> {
    // The highest first: it decides how much memory is needed.
    for segment in elf.segments.iter().rev() {
        place.take_for_kernel(&segment.memory)?;
    }
    for segment in &elf.segments {
        place.fill(&segment.memory, &file[segment.file.clone()])?;
    }
    Ok(elf.segments.iter().map(|segment| segment.memory.clone()).collect())
}

/// Loads an ELF kernel and what PVH hands to it.
pub(super) fn load(
    elf: &Elf,
    file: &[u8],
    limits: Limits,
    place: &mut Place<'_>,
    boot: &Boot<'_>,
) -> Result<Loaded, LoadError> {
    let entry = elf.pvh_entry.ok_or(LoadError::NoPvhEntry)?;
    if !elf.segments.iter().any(|segment| segment.memory.contains(&entry.into())) {
        return Err(KernelError::Malformed(format!("its PVH entry {entry:#x} is outside of its segments")).into());
    }
    let kernel = load_segments(elf, file, place)?;

    let below = limits.initrd_below.unwrap_or(if elf.is_64 { FOUR_GIB } else { LINUX_32_INITRD_END });
    let initrd = boot.initrd.as_ref().map(|initrd| place.add_initrd(initrd, below)).transpose()?;
    let limit = if elf.linux.is_some() { COMMAND_LINE_LIMIT } else { OTHER_COMMAND_LINE_LIMIT };
    let command_line = place.add_command_line(boot.command_line, limits.command_line.unwrap_or(limit))?;

    let mut modules = Vec::new();
    if let Some(initrd) = &initrd {
        // hvm_modlist_entry: paddr, size, cmdline_paddr, reserved.
        modules.extend([initrd.start, initrd.end - initrd.start, 0, 0].into_iter().flat_map(u64::to_le_bytes));
    }
    let module_list = if modules.is_empty() { 0 } else { place.add_data(&modules)? };
    let mut map = Vec::new();
    let entries = boot.memory_map.iter().filter(|entry| entry.len != 0);
    for entry in entries.clone() {
        // hvm_memmap_table_entry: addr, size, type (E820h's), reserved.
        map.extend([entry.base, entry.len, entry.kind as u64].into_iter().flat_map(u64::to_le_bytes));
    }
    let memory_map = place.add_data(&map)?;

    let mut info = Vec::new();
    for half in [XEN_HVM_START_MAGIC_VALUE, VERSION, 0, initrd.iter().len() as u32] {
        info.extend(half.to_le_bytes());
    }
    for word in [module_list, command_line, boot.rsdp.unwrap_or(0), memory_map, entries.count() as u64] {
        info.extend(word.to_le_bytes());
    }
    let start_info = place.add_data(&info)?;
    Ok(Loaded { entry: Entry::Pvh { entry, start_info }, kernel, initrd })
}
