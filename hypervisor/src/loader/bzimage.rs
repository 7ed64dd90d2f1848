//! Linux's `bzImage`: the setup header of the x86 boot protocol, versions 2.06 to 2.15 (Linux,
//! `Documentation/arch/x86/boot.rst`).
//!
//! Leaves out `zImage` (protected-mode code below 1 MiB) and the real-mode part, which needs a BIOS.

use std::ops::Range;

use super::{
    decompress::{self, Compression},
    error::KernelError,
    fields::{Fields, printable},
};

/// Where the setup header begins, in the file and in `boot_params`.
pub(super) const HEADER: u64 = 0x1f1;
/// Where the setup header has to end: `boot_params.edd_mbr_sig_buffer` begins here.
const HEADER_LIMIT: u64 = 0x290;

const BOOT_FLAG: u64 = 0x1fe;
const JUMP: u64 = 0x200;
const MAGIC: u64 = 0x202;
const VERSION: u64 = 0x206;
const SYSSIZE: u64 = 0x1f4;
const KERNEL_VERSION: u64 = 0x20e;
const LOADFLAGS: u64 = 0x211;
const INITRD_ADDR_MAX: u64 = 0x22c;
const KERNEL_ALIGNMENT: u64 = 0x230;
const RELOCATABLE_KERNEL: u64 = 0x234;
const XLOADFLAGS: u64 = 0x236;
const CMDLINE_SIZE: u64 = 0x238;
const PAYLOAD_OFFSET: u64 = 0x248;
const PAYLOAD_LENGTH: u64 = 0x24c;
const PREF_ADDRESS: u64 = 0x258;
const INIT_SIZE: u64 = 0x260;

const LOADED_HIGH: u8 = 1 << 0;
const XLF_KERNEL_64: u16 = 1 << 0;

/// The 64-bit entry, from the start of the protected-mode part.
pub(super) const ENTRY_64: u64 = 0x200;
/// Where the protected-mode part goes, unless the header prefers another place.
const DEFAULT_ADDRESS: u64 = 0x10_0000;

/// What the setup header says, checked against the file.
#[derive(Debug, Clone)]
pub(super) struct BzImage {
    /// Major and minor number of the boot protocol.
    pub(super) protocol: (u8, u8),
    /// The kernel's release and build, if the file names them.
    pub(super) version: Option<String>,
    /// The setup header, in the file.
    pub(super) header: Range<usize>,
    /// The protected-mode part, in the file.
    pub(super) protected_mode: Range<usize>,
    /// Whether the protected-mode part has a 64-bit entry.
    pub(super) has_entry_64: bool,
    /// Where the protected-mode part should go.
    pub(super) address: u64,
    /// To which multiples of an address it can go otherwise; `None` if it can't.
    pub(super) relocatable_by: Option<u64>,
    /// Memory needed from `address` on, in bytes, until the kernel has read its memory map.
    pub(super) init_size: u64,
    /// The address after the last at which the kernel finds an initial RAM disk.
    pub(super) initrd_below: u64,
    /// The longest command line, without its NUL.
    pub(super) command_line_limit: usize,
    /// The packed kernel, in the protected-mode part: offset and length as the file gives them.
    payload: Option<(u64, u64)>,
}

impl BzImage {
    /// Whether the file begins like one, whatever its protocol version.
    pub(super) fn matches(file: &[u8]) -> bool {
        Fields(file).u16(BOOT_FLAG) == Some(0xaa55) && Fields(file).has(MAGIC, b"HdrS")
    }

    /// Reads the setup header of a file that [matches](Self::matches).
    pub(super) fn parse(file: &[u8]) -> Result<Self, KernelError> {
        let fields = Fields(file);
        let len = file.len() as u64;
        let sectors = match fields.u8(HEADER).unwrap_or_default() {
            0 => 4,
            sectors => u64::from(sectors),
        };
        let start = (sectors + 1) * 512;
        let cut = || KernelError::Truncated { part: "setup part", needed: start, len };
        if len < start {
            return Err(cut());
        }
        // 1024 bytes and more are there: no field below can be missing.
        let u16 = |at| fields.u16(at).ok_or_else(cut);
        let u32 = |at| fields.u32(at).ok_or_else(cut);
        let u64 = |at| fields.u64(at).ok_or_else(cut);

        let version = u16(VERSION)?;
        let protocol = ((version >> 8) as u8, version as u8);
        let is_high = fields.u8(LOADFLAGS).unwrap_or_default() & LOADED_HIGH != 0;
        if version < 0x206 || !is_high {
            return Err(KernelError::TooOld { major: protocol.0, minor: protocol.1 });
        }
        let header_end = MAGIC + u64::from(fields.u8(JUMP + 1).unwrap_or_default());
        let header = HEADER as usize..header_end.min(HEADER_LIMIT) as usize;

        let size = u64::from(u32(SYSSIZE)?) * 16;
        // The size counts paragraphs; the file may end within the last.
        if size == 0 || start + size > len + 15 {
            return Err(KernelError::Truncated { part: "protected-mode part", needed: start + size.max(1), len });
        }
        let protected_mode = start as usize..(start + size).min(len) as usize;

        let (mut address, mut init_size, mut relocatable_by) = (DEFAULT_ADDRESS, size, None);
        if version >= 0x20a {
            let preferred = u64(PREF_ADDRESS)?;
            address = if preferred == 0 { DEFAULT_ADDRESS } else { preferred };
            init_size = u64::from(u32(INIT_SIZE)?).max(size);
            let alignment = u64::from(u32(KERNEL_ALIGNMENT)?);
            if fields.u8(RELOCATABLE_KERNEL) != Some(0) && alignment.is_power_of_two() {
                relocatable_by = Some(alignment);
            }
        }
        if address.checked_add(init_size).is_none() {
            return Err(KernelError::Malformed(format!("it wants {init_size} bytes at {address:#x}")));
        }
        let has_entry_64 =
            version >= 0x20c && u16(XLOADFLAGS)? & XLF_KERNEL_64 != 0 && protected_mode.len() as u64 > ENTRY_64;
        let payload = (version >= 0x208).then_some((u32(PAYLOAD_OFFSET)?.into(), u32(PAYLOAD_LENGTH)?.into()));

        Ok(BzImage {
            protocol,
            version: version_string(fields, start),
            header,
            protected_mode,
            has_entry_64,
            address,
            relocatable_by,
            init_size,
            initrd_below: u64::from(u32(INITRD_ADDR_MAX)?) + 1,
            command_line_limit: match u32(CMDLINE_SIZE)? {
                0 => 255,
                size => size as usize,
            },
            payload: payload.filter(|(_, len)| *len != 0),
        })
    }

    fn payload<'a>(&self, file: &'a [u8]) -> Option<&'a [u8]> {
        let (offset, len) = self.payload?;
        Fields(&file[self.protected_mode.clone()]).range(offset, len)
    }

    /// How the kernel inside is packed, if the header says where it is.
    pub(super) fn compression(&self, file: &[u8]) -> Option<Compression> {
        Compression::of(self.payload(file)?)
    }

    /// The ELF file inside.
    pub(super) fn unpack(&self, file: &[u8]) -> Result<Vec<u8>, KernelError> {
        let (offset, len) = self.payload.ok_or(KernelError::NoElf)?;
        let payload = self.payload(file).ok_or_else(|| {
            KernelError::Malformed(format!("its compressed kernel ({len} bytes at {offset:#x}) is not inside it"))
        })?;
        Ok(decompress::unpack(payload)?)
    }
}

fn version_string(fields: Fields<'_>, setup_end: u64) -> Option<String> {
    let at = u64::from(fields.u16(KERNEL_VERSION).filter(|&at| at != 0)?) + 0x200;
    let text = printable(fields.range(at, setup_end.checked_sub(at)?)?);
    (!text.is_empty()).then_some(text)
}
