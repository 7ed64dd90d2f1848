//! Start by Linux's 64-bit boot protocol (Linux, `Documentation/arch/x86/boot.rst` and `zero-page.rst`): `boot_params`,
//! the "zero page", for a `bzImage` or a `vmlinux`.
//!
//! Leaves out `setup_data` (hence memory maps of more than 128 entries), the video fields (the kernel then finds the
//! adapter by itself) and initial RAM disks above 4 GiB.

use std::ops::Range;

use super::{
    Boot, Entry, Loaded,
    bzimage::{BzImage, ENTRY_64, HEADER},
    elf::Elf,
    error::LoadError,
    place::Place,
    pvh,
    room::FOUR_GIB,
};

/// Size of `boot_params`.
const BOOT_PARAMS: usize = 4096;
const ACPI_RSDP_ADDR: usize = 0x070;
const E820_ENTRIES: usize = 0x1e8;
const BOOT_FLAG: usize = 0x1fe;
const MAGIC: usize = 0x202;
const VERSION: usize = 0x206;
const TYPE_OF_LOADER: usize = 0x210;
const LOADFLAGS: usize = 0x211;
const CODE32_START: usize = 0x214;
const RAMDISK_IMAGE: usize = 0x218;
const RAMDISK_SIZE: usize = 0x21c;
const CMD_LINE_PTR: usize = 0x228;
const KERNEL_ALIGNMENT: usize = 0x230;
const XLOADFLAGS: usize = 0x236;
const CMDLINE_SIZE: usize = 0x238;
const SETUP_DATA: usize = 0x250;
const E820_TABLE: usize = 0x2d0;
const E820_ENTRY: usize = 20;
const MAX_E820: usize = 128;

/// "Any other boot loader."
const LOADER_UNDEFINED: u8 = 0xff;
/// What a `vmlinux` is told that its own header would have said: protocol 2.12, the first with a 64-bit entry.
const VMLINUX_PROTOCOL: u16 = 0x20c;
/// x86 Linux's `COMMAND_LINE_SIZE`, without the NUL.
pub(super) const COMMAND_LINE_LIMIT: usize = 2047;

/// Loads the protected-mode part of a `bzImage` as it is; it unpacks itself.
pub(super) fn load_bzimage(
    image: &BzImage,
    file: &[u8],
    place: &mut Place<'_>,
    boot: &Boot<'_>,
) -> Result<Loaded, LoadError> {
    if !image.has_entry_64 {
        return Err(LoadError::No64BitEntry);
    }
    let protected_mode = &file[image.protected_mode.clone()];
    let preferred = image.address..image.address + image.init_size;
    let address = match (place.take_for_kernel(&preferred), image.relocatable_by) {
        (Ok(()), _) => image.address,
        // A lower place would not help: the kernel unpacks itself to its preferred address at the lowest.
        (Err(error), Some(alignment)) => {
            place.room.take_low_aligned(image.init_size, alignment, image.address, FOUR_GIB).ok_or(error)?
        }
        (Err(error), None) => return Err(error),
    };
    let taken = address..address + image.init_size;
    place.write(address, protected_mode)?;

    let mut params = vec![0; BOOT_PARAMS];
    params[HEADER as usize..HEADER as usize + image.header.len()].copy_from_slice(&file[image.header.clone()]);
    params[SETUP_DATA..SETUP_DATA + 8].fill(0);
    // The boot loader's part, which a file leaves zero; not if it is hostile.
    put(&mut params, RAMDISK_IMAGE, &[0; 8]);
    put(&mut params, CODE32_START, &(address as u32).to_le_bytes());
    let initrd = boot.initrd.as_ref().map(|initrd| place.add_initrd(initrd, image.initrd_below)).transpose()?;
    let boot_params = finish(params, place, boot, image.command_line_limit, initrd.clone())?;
    Ok(Loaded { entry: Entry::Linux64 { entry: address + ENTRY_64, boot_params }, kernel: vec![taken], initrd })
}

/// Loads a `vmlinux`, unpacked.
pub(super) fn load_elf(elf: &Elf, file: &[u8], place: &mut Place<'_>, boot: &Boot<'_>) -> Result<Loaded, LoadError> {
    let entry = elf.linux_entry_64().ok_or(LoadError::No64BitEntry)?;
    let kernel = pvh::load_segments(elf, file, place)?;

    let mut params = vec![0; BOOT_PARAMS];
    put(&mut params, BOOT_FLAG, &0xaa55_u16.to_le_bytes());
    put(&mut params, MAGIC, b"HdrS");
    put(&mut params, VERSION, &VMLINUX_PROTOCOL.to_le_bytes());
    put(&mut params, LOADFLAGS, &[1]); // LOADED_HIGH
    put(&mut params, KERNEL_ALIGNMENT, &0x20_0000_u32.to_le_bytes());
    put(&mut params, XLOADFLAGS, &[1]); // XLF_KERNEL_64
    put(&mut params, CMDLINE_SIZE, &(COMMAND_LINE_LIMIT as u32).to_le_bytes());
    let initrd = boot.initrd.as_ref().map(|initrd| place.add_initrd(initrd, FOUR_GIB)).transpose()?;
    let boot_params = finish(params, place, boot, COMMAND_LINE_LIMIT, initrd.clone())?;
    Ok(Loaded { entry: Entry::Linux64 { entry, boot_params }, kernel, initrd })
}

/// Fills in what does not depend on the kernel, and places `boot_params`.
fn finish(
    mut params: Vec<u8>,
    place: &mut Place<'_>,
    boot: &Boot<'_>,
    command_line_limit: usize,
    initrd: Option<Range<u64>>,
) -> Result<u64, LoadError> {
    let map: Vec<_> = boot.memory_map.iter().filter(|entry| entry.len != 0).collect();
    if map.len() > MAX_E820 {
        return Err(LoadError::MemoryMap(format!(
            "it has {} entries, and the boot protocol takes {MAX_E820}",
            map.len()
        )));
    }
    params[E820_ENTRIES] = map.len() as u8;
    for (slot, entry) in params[E820_TABLE..].chunks_exact_mut(E820_ENTRY).zip(map) {
        put(slot, 0, &entry.base.to_le_bytes());
        put(slot, 8, &entry.len.to_le_bytes());
        put(slot, 16, &(entry.kind as u32).to_le_bytes());
    }
    put(&mut params, TYPE_OF_LOADER, &[LOADER_UNDEFINED]);
    put(&mut params, ACPI_RSDP_ADDR, &boot.rsdp.unwrap_or(0).to_le_bytes());
    // Both lie below 4 GiB: `take_data` and the callers' limits see to it.
    if let Some(initrd) = initrd {
        put(&mut params, RAMDISK_IMAGE, &(initrd.start as u32).to_le_bytes());
        put(&mut params, RAMDISK_SIZE, &((initrd.end - initrd.start) as u32).to_le_bytes());
    }
    let command_line = place.add_command_line(boot.command_line, command_line_limit)?;
    put(&mut params, CMD_LINE_PTR, &(command_line as u32).to_le_bytes());
    place.add_data(&params)
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}
