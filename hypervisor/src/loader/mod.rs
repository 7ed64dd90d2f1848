//! Starts a kernel without firmware: reads its file, puts it into guest memory and says where a processor enters it.
//!
//! It knows Linux's `bzImage` and x86 ELF files, and two ways in: Linux's 64-bit boot protocol and PVH. It works on
//! bytes and on guest memory; what a processor's registers have to be is [`Entry`]'s to tell. Kernel files may be
//! hostile: each size and offset is checked before use, and unpacking has limits of memory and time.
//!
//! Leaves out the 16-bit and 32-bit entries of Linux's boot protocol, Multiboot and EFI.

mod bzimage;
mod decompress;
mod elf;
mod error;
mod fields;
mod linux;
mod place;
mod pvh;
mod room;
#[cfg(test)]
mod tests;

use std::{io::Read, ops::Range};

use bzimage::BzImage;
pub use decompress::{Compression, DecompressError, MAX_UNPACKED, MAX_WINDOW};
use elf::Elf;
pub use error::{KernelError, LoadError};
use fields::Fields;
pub use place::Initrd;
use place::Place;
use pvh::Limits;
use room::Room;
pub use room::{MemoryRange, RangeKind};

use crate::memory::GuestMemory;

/// The largest file that is taken for a kernel: 1 GiB.
pub const MAX_KERNEL_FILE: u64 = 1 << 30;

/// How much of a file is read before it is known to be a kernel.
const HEAD: u64 = 64 << 10;

/// What a kernel file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KernelKind {
    /// Linux with a setup header.
    BzImage {
        /// Release and build, as the file names them.
        version: Option<String>,
        /// Major and minor number of the boot protocol.
        protocol: (u8, u8),
        /// Whether it has a 64-bit entry.
        has_entry_64: bool,
        /// How the ELF kernel inside is packed. Only unpacking it tells whether it has a PVH entry.
        compression: Option<Compression>,
    },
    /// A 64-bit ELF file.
    Elf64 {
        /// Whether it has a PVH entry.
        has_pvh: bool,
        /// If it is Linux: release and build.
        linux: Option<String>,
    },
    /// A 32-bit ELF file.
    Elf32 {
        /// Whether it has a PVH entry.
        has_pvh: bool,
        /// If it is Linux: release and build.
        linux: Option<String>,
    },
}

/// A kernel file, read and checked.
#[derive(Debug, Clone)]
pub struct Kernel {
    file: Vec<u8>,
    form: Form,
}

#[derive(Debug, Clone)]
enum Form {
    BzImage(BzImage),
    Elf(Elf, Limits),
}

/// Ways to enter a kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Protocol {
    /// The one that needs least work on the host: 64-bit Linux for a `bzImage`, PVH for an ELF file; the other one if
    /// the kernel hasn't got that.
    #[default]
    Any,
    /// PVH only.
    Pvh,
    /// Linux's 64-bit boot protocol only.
    Linux64,
}

/// What a kernel is started with.
#[derive(Debug, Clone, Copy)]
pub struct Boot<'a> {
    /// How to enter it.
    pub protocol: Protocol,
    /// The machine's memory, as the kernel is told. Everything is placed in its RAM, which has to be in guest memory.
    pub memory_map: &'a [MemoryRange],
    /// RAM to leave alone until the kernel runs, for example where the first page tables are.
    pub avoid: &'a [Range<u64>],
    /// The command line.
    pub command_line: &'a str,
    /// The initial RAM disk.
    pub initrd: Option<Initrd<'a>>,
    /// Guest-physical address of ACPI's RSDP, if the kernel isn't to search for it.
    pub rsdp: Option<u64>,
}

/// Where and how a processor enters a loaded kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Entry {
    /// 32-bit protected mode, paging off, flat segments, interrupts off.
    Pvh {
        /// EIP.
        entry: u32,
        /// EBX: the address of `hvm_start_info`, below 4 GiB.
        start_info: u64,
    },
    /// 64-bit mode, flat segments (code selector 0x10, data 0x18, in a GDT), interrupts off. Paging maps the kernel
    /// ([`Loaded::kernel`]), `boot_params` and the command line (below 4 GiB) to their own addresses.
    Linux64 {
        /// RIP.
        entry: u64,
        /// RSI: the address of `boot_params`, below 4 GiB.
        boot_params: u64,
    },
}

/// A kernel in guest memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// How to enter it.
    pub entry: Entry,
    /// The memory it takes, by address: an ELF file's segments, or what a `bzImage` needs to unpack itself.
    pub kernel: Vec<Range<u64>>,
    /// Where the initial RAM disk is.
    pub initrd: Option<Range<u64>>,
}

impl Kernel {
    /// Reads a kernel from a file. What can't be a kernel isn't read to its end.
    ///
    /// # Errors
    /// [`KernelError`].
    pub fn read(mut file: impl Read) -> Result<Self, KernelError> {
        let mut bytes = Vec::new();
        file.by_ref().take(HEAD).read_to_end(&mut bytes).map_err(KernelError::Read)?;
        if !BzImage::matches(&bytes) && !Elf::matches(&bytes) {
            return Err(something_else(&bytes));
        }
        let rest = MAX_KERNEL_FILE - bytes.len() as u64;
        file.take(rest + 1).read_to_end(&mut bytes).map_err(KernelError::Read)?;
        Kernel::new(bytes)
    }

    /// A kernel from the bytes of its file.
    ///
    /// # Errors
    /// [`KernelError`].
    pub fn new(file: Vec<u8>) -> Result<Self, KernelError> {
        if file.len() as u64 > MAX_KERNEL_FILE {
            return Err(KernelError::TooLarge { limit: MAX_KERNEL_FILE });
        }
        let form = if Elf::matches(&file) {
            Form::Elf(Elf::parse(&file)?, Limits::default())
        } else if BzImage::matches(&file) {
            Form::BzImage(BzImage::parse(&file)?)
        } else {
            return Err(something_else(&file));
        };
        Ok(Kernel { file, form })
    }

    /// What it is.
    #[must_use]
    pub fn kind(&self) -> KernelKind {
        match &self.form {
            Form::BzImage(image) => KernelKind::BzImage {
                version: image.version.clone(),
                protocol: image.protocol,
                has_entry_64: image.has_entry_64,
                compression: image.compression(&self.file),
            },
            Form::Elf(elf, _) => {
                let (has_pvh, linux) = (elf.pvh_entry.is_some(), elf.linux.clone());
                if elf.is_64 { KernelKind::Elf64 { has_pvh, linux } } else { KernelKind::Elf32 { has_pvh, linux } }
            }
        }
    }

    /// The bytes of its file, or of the ELF file that was in it.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.file
    }

    /// The ELF kernel that a `bzImage` has inside. An ELF kernel stays as it is. Takes about a second of processor
    /// time, and memory for the unpacked kernel.
    ///
    /// # Errors
    /// It can't be unpacked, or isn't a kernel.
    pub fn unpack(self) -> Result<Self, KernelError> {
        match &self.form {
            Form::BzImage(image) => image.unpack_kernel(&self.file),
            Form::Elf(..) => Ok(self),
        }
    }

    /// Puts the kernel, and what it is handed, into `memory`. Only RAM of the memory map is written. It can be done
    /// again, for a reset.
    ///
    /// # Errors
    /// [`LoadError`]; guest memory may be half written then.
    pub fn load(&self, memory: &GuestMemory, boot: &Boot<'_>) -> Result<Loaded, LoadError> {
        let mut place = Place { memory, room: Room::new(boot.memory_map, boot.avoid)? };
        match (&self.form, boot.protocol) {
            (Form::BzImage(image), Protocol::Linux64) => linux::load_bzimage(image, &self.file, &mut place, boot),
            (Form::BzImage(image), Protocol::Any) if image.has_entry_64 => {
                linux::load_bzimage(image, &self.file, &mut place, boot)
            }
            (Form::BzImage(image), Protocol::Any) if image.compression(&self.file).is_none() => {
                Err(LoadError::No64BitEntry)
            }
            (Form::BzImage(image), _) => image.unpack_kernel(&self.file)?.load(memory, boot),
            (Form::Elf(elf, _), Protocol::Any) if elf.pvh_entry.is_none() => {
                linux::load_elf(elf, &self.file, &mut place, boot)
            }
            (Form::Elf(elf, _), Protocol::Linux64) => linux::load_elf(elf, &self.file, &mut place, boot),
            (Form::Elf(elf, limits), _) => pvh::load(elf, &self.file, *limits, &mut place, boot),
        }
    }
}

impl BzImage {
    fn unpack_kernel(&self, file: &[u8]) -> Result<Kernel, KernelError> {
        let limits = Limits { command_line: Some(self.command_line_limit), initrd_below: Some(self.initrd_below) };
        let inner = self.unpack(file)?;
        if !Elf::matches(&inner) {
            return Err(KernelError::NoElf);
        }
        Ok(Kernel { form: Form::Elf(Elf::parse(&inner)?, limits), file: inner })
    }
}

/// The error for a file that is neither a `bzImage` nor an ELF file.
fn something_else(file: &[u8]) -> KernelError {
    let fields = Fields(file);
    let found = |what: &str| KernelError::WrongArchitecture { found: what.into() };
    let starts = |magic: &[u8]| file.starts_with(magic);
    // Other processors' Linux images (Linux, Documentation/arch/*/booting.rst, boot-image-header.rst).
    if fields.has(0x38, b"ARM\x64") {
        return found("64-bit Arm");
    }
    if fields.has(0x38, b"RSC\x05") || fields.has(0x30, b"RISCV\0\0\0") {
        return found("RISC-V");
    }
    if fields.has(0x24, &[0x18, 0x28, 0x6f, 0x01]) {
        return found("32-bit Arm");
    }
    if starts(b"MZ") && (fields.has(4, b"zimg") || is_pe(fields)) {
        return KernelError::EfiOnly;
    }
    let text = String::from_utf8_lossy(&file[..file.len().min(512)]).trim_start().to_ascii_lowercase();
    let looks_like = if file.is_empty() {
        Some("an empty file")
    } else if text.starts_with("<!doctype html") || text.starts_with("<html") {
        Some("a web page")
    } else if starts(b"070701") || starts(b"070702") {
        Some("an initial RAM disk")
    } else if fields.has(0x8001, b"CD001") {
        Some("an ISO image")
    } else if starts(b"QFI\xfb") || (fields.u16(0x1fe) == Some(0xaa55) && file.len() >= 512) {
        Some("a disk image")
    } else if starts(b"\x27\x05\x19\x56") {
        Some("an image for U-Boot")
    } else if Compression::of(file).is_some() {
        Some("a compressed file, perhaps an initial RAM disk")
    } else {
        None
    };
    KernelError::NotAKernel { looks_like }
}

/// A Portable Executable: its header's place is at 0x3c.
fn is_pe(fields: Fields<'_>) -> bool {
    fields.u32(0x3c).is_some_and(|at| fields.has(at.into(), b"PE\0\0"))
}
