//! What can be wrong with a kernel, or with a start from one.

use std::io;

use vm_memory::GuestMemoryError;

use super::decompress::DecompressError;

/// A file can't be used as a kernel.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// The file can't be read.
    #[error("the kernel file can't be read")]
    Read(#[source] io::Error),
    /// The file is something else.
    #[error("this file is not a kernel{}", .looks_like.map(|what| format!(": it looks like {what}")).unwrap_or_default())]
    NotAKernel {
        /// What it seems to be, with its article.
        looks_like: Option<&'static str>,
    },
    /// The file ends before one of its parts does.
    #[error("the kernel file is incomplete: its {part} reaches to byte {needed}, but the file ends at byte {len}")]
    Truncated {
        /// Which part.
        part: &'static str,
        /// Where that part ends.
        needed: u64,
        /// Length of the file.
        len: u64,
    },
    /// A program for UEFI firmware without any other entry.
    #[error(
        "this is a program for UEFI firmware, with no entry that a machine could start by itself: \
         put it on a disk or an ISO that boots with UEFI"
    )]
    EfiOnly,
    /// For another processor.
    #[error("this kernel is for {found}, but the machine's processor is x86-64")]
    WrongArchitecture {
        /// Which processor it is for.
        found: String,
    },
    /// An x86 Linux kernel from before 2.6.22, or a `zImage`.
    #[error("this Linux kernel is too old: its boot protocol is {major}.{minor:02}, and 2.06 is the oldest supported")]
    TooOld {
        /// Major number of the protocol.
        major: u8,
        /// Minor number.
        minor: u8,
    },
    /// Too large to be a kernel.
    #[error(
        "this file is too large for a kernel: it has more than {limit} bytes (an unstripped vmlinux can be stripped)"
    )]
    TooLarge {
        /// The limit, in bytes.
        limit: u64,
    },
    /// An ELF file that nothing says how to start.
    #[error("this ELF file has no PVH entry and is no Linux kernel: it looks like an ordinary program")]
    NoEntry,
    /// A `bzImage` without the ELF kernel that Linux's has inside.
    #[error("this kernel has no PVH entry: its file holds no ELF kernel")]
    NoElf,
    /// Fields that contradict each other or the file.
    #[error("the kernel file is damaged: {0}")]
    Malformed(String),
    /// The compressed kernel inside can't be unpacked.
    #[error("the compressed kernel inside this file can't be unpacked")]
    Unpack(#[from] DecompressError),
}

/// A kernel can't be put into a machine's memory.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The kernel itself is the reason.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// PVH was asked for.
    #[error("this kernel has no PVH entry")]
    NoPvhEntry,
    /// The 64-bit boot protocol was asked for, or nothing else remains.
    #[error("this kernel has no 64-bit entry: it is for 32-bit processors or has to be started by firmware")]
    No64BitEntry,
    /// The command line is longer than the kernel takes.
    #[error("the command line has {len} bytes, but this kernel takes at most {limit}")]
    CommandLineTooLong {
        /// Its length in bytes.
        len: usize,
        /// The most that the kernel takes, without the final NUL.
        limit: usize,
    },
    /// The command line can't be handed over as it is.
    #[error("the command line has a NUL character in it")]
    CommandLineNul,
    /// The machine has too little memory.
    #[error("{what} needs a machine with at least {} MiB of memory, and this one has {} MiB", .needed >> 20, .ram >> 20)]
    NeedsMemory {
        /// What doesn't fit.
        what: &'static str,
        /// How much memory would do, in bytes: a multiple of 1 MiB.
        needed: u64,
        /// The memory there is, in bytes.
        ram: u64,
    },
    /// The kernel wants addresses where the machine has no memory for it.
    #[error("the kernel has to be at {start:#x} to {end:#x}, where the machine has no free memory")]
    Occupied {
        /// First address.
        start: u64,
        /// The address after the last.
        end: u64,
    },
    /// No place below `below`, whatever the machine's memory.
    #[error(
        "the initial RAM disk has {len} bytes, more than fit below {below:#x}, the highest address where this kernel can find it"
    )]
    InitrdTooLarge {
        /// Its length in bytes.
        len: u64,
        /// The kernel's limit.
        below: u64,
    },
    /// The initial RAM disk's file is empty.
    #[error("the initial RAM disk is empty")]
    InitrdEmpty,
    /// The initial RAM disk's file can't be read.
    #[error("the initial RAM disk can't be read")]
    InitrdRead(#[source] io::Error),
    /// The caller's memory map contradicts itself or the protocol.
    #[error("this memory map can't be handed to a kernel: {0}")]
    MemoryMap(String),
    /// The memory map promises memory that isn't there.
    #[error("guest memory at {address:#x} can't be written")]
    Memory {
        /// Guest-physical address.
        address: u64,
        /// Why.
        #[source]
        source: GuestMemoryError,
    },
}
