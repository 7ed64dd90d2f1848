//! What a machine is made of: the definition in its `machine.toml`.
//!
//! The file is written for people: every setting has its unit, what is left out has a [default](defaults), and what
//! can't be is refused with its line. Reading goes in two steps, each of which finds all problems and not only the
//! first: [`Definition::parse`] understands the text, [`Definition::validate`] checks that the values make sense
//! together. Neither looks at the host: whether a file exists is seen when the machine starts.
//!
//! ```toml
//! version = 1
//! uuid = "6f0a2b8e-3c55-4f0e-9a58-1d2f64f0a0c1"
//! name = "Mint"
//! os = "http://linuxmint.com/mint/22"
//! engine = "full"
//! firmware = "bios"
//! cpus = 2
//! memory = "2 GiB"
//!
//! [[disks]]
//! id = "disk0"
//! bus = "ahci"
//!
//! [[disks.images]]
//! uuid = "0e8d3b5e-2a7b-4a52-a1f9-6b7c8d9e0f10"
//! file = "disks/disk0.qcow2"
//! format = "qcow2"
//!
//! [[cdroms]]
//! id = "cd0"
//! file = "/home/ada/mint.iso"
//! ```
//!
//! Not here yet: networks, sound, UEFI, snapshots, the paravirtualizing engine.

mod parse;
mod path;
mod problem;
#[cfg(test)]
mod tests;
mod validate;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use self::{
    path::{FilePath, FilePathError},
    problem::{DefinitionError, Problem},
};
use crate::{name::Name, size::Size, timestamp::Timestamp};

/// The version of the format that this program reads and writes.
pub const VERSION: u32 = 1;

/// What a new machine has, and what a definition means that leaves a key out. Changing a value here changes
/// existing machines: it takes a new [`VERSION`].
pub mod defaults {
    use super::{Bus, Engine, Firmware};
    use crate::size::Size;

    /// Virtual processors.
    pub const CPUS: u32 = 2;
    /// Memory.
    pub const MEMORY: Size = Size::gib(2);
    /// Engine.
    pub const ENGINE: Engine = Engine::Full;
    /// Firmware.
    pub const FIRMWARE: Firmware = Firmware::Bios;
    /// What a disk is attached to.
    pub const BUS: Bus = Bus::Ahci;
}

/// What a definition may hold at most and at least.
pub mod limits {
    use std::ops::RangeInclusive;

    use crate::size::Size;

    /// Virtual processors.
    pub const CPUS: RangeInclusive<u32> = 1..=64;
    /// Memory.
    pub const MEMORY: RangeInclusive<Size> = Size::mib(8)..=Size::tib(1);
    /// Memory comes in multiples of this.
    pub const MEMORY_STEP: Size = Size::mib(1);
    /// Disks and CD drives together: the ports of an ICH9's AHCI controller.
    pub const DRIVES: usize = 6;
    /// Images of one disk, one on top of the other.
    pub const IMAGES: usize = 256;
    /// Characters of a drive's `id`.
    pub const ID_CHARS: usize = 32;
    /// Characters of a disk's serial number (ATA8-ACS, IDENTIFY DEVICE words 10–19).
    pub const SERIAL_CHARS: usize = 20;
    /// Bytes of a kernel's command line: `COMMAND_LINE_SIZE` of Linux on x86, with the terminator.
    pub const CMDLINE_BYTES: usize = 2047;
    /// Bytes of an operating system's id.
    pub const OS_BYTES: usize = 200;
    /// Bytes of notes.
    pub const NOTES_BYTES: usize = 64 * 1024;
}

/// A machine's definition. A value of this type need not be sensible: [`Definition::validate`] says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Definition {
    /// The version of the format.
    pub version: u32,
    /// What the machine is known by inside, for life.
    pub uuid: Uuid,
    /// What it is called.
    pub name: Name,
    /// When it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<Timestamp>,
    /// What its owner wants to remember about it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub notes: String,
    /// The operating system that it is meant for, by its id in the osinfo database: `http://debian.org/debian/12`. Only
    /// people are told; the machine is the same without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub os: Option<String>,
    /// What runs it.
    pub engine: Engine,
    /// What its first instruction belongs to.
    pub firmware: Firmware,
    /// Virtual processors.
    pub cpus: u32,
    /// Memory.
    pub memory: Size,
    /// The ids of the drives to boot from, first choice first. Empty: [`Definition::boot_order`] says.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub boot: Vec<String>,
    /// A kernel to start directly, instead of what the drives hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel: Option<Kernel>,
    /// The first serial port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serial: Option<Serial>,
    /// Disks, in the order of their ports.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub disks: Vec<Disk>,
    /// CD drives; their ports follow those of the disks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cdroms: Vec<CdDrive>,
}

/// What runs a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Engine {
    /// Full virtualization: a PC.
    Full,
}

/// What a machine's first instruction belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Firmware {
    /// A PC BIOS (SeaBIOS).
    Bios,
}

/// What a disk is attached to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bus {
    /// A port of the AHCI controller.
    Ahci,
}

/// The form of a disk image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ImageFormat {
    /// The disk's bytes, one after the other.
    Raw,
    /// QEMU's copy-on-write format, versions 2 and 3.
    Qcow2,
}

/// A disk: a chain of images, of which each holds what was changed since the one before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Disk {
    /// Its name among this machine's drives.
    pub id: String,
    /// What it is attached to.
    pub bus: Bus,
    /// The serial number that the guest sees; if absent, [`Disk::serial_number`] makes one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    /// What the guest writes lasts until the machine is off; the images stay as they are.
    #[serde(skip_serializing_if = "is_false")]
    pub throw_away_writes: bool,
    /// The chain, base first. Only the last one is ever written.
    pub images: Vec<Image>,
}

/// One image of a disk's chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Image {
    /// What the image is known by: the chain is this list, whatever an image's header says about its backing file.
    pub uuid: Uuid,
    /// Where it is.
    pub file: FilePath,
    /// Its form. Never guessed: a guest could write a header into a raw disk.
    pub format: ImageFormat,
    /// The guest may not write it. Of the last image this makes a read-only disk; the others are never written anyway.
    #[serde(skip_serializing_if = "is_false")]
    pub read_only: bool,
}

/// A CD drive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CdDrive {
    /// Its name among this machine's drives.
    pub id: String,
    /// The disc in it: an ISO file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<FilePath>,
}

/// A kernel that is started directly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Kernel {
    /// The kernel: a bzImage or an ELF file.
    pub file: FilePath,
    /// Its first file system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initrd: Option<FilePath>,
    /// Its command line.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cmdline: String,
}

/// The first serial port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Serial {
    /// Where the guest's output goes as well; begun anew with each run.
    pub file: FilePath,
}

fn is_false(value: &bool) -> bool {
    !value
}

/// Gives an enum of the definition the names that stand in the file (those of serde), which are also what a problem
/// lists as the choices.
macro_rules! choice {
    ($type:ident { $($variant:ident = $name:literal),+ $(,)? }) => {
        impl $type {
            /// The choices, as they stand in the file.
            pub const NAMES: &[&str] = &[$($name),+];

            /// The name in the file.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $($type::$variant => $name),+ }
            }

            /// The choice of that name.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                match name {
                    $($name => Some($type::$variant),)+
                    _ => None,
                }
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.pad(self.name())
            }
        }
    };
}

choice!(Engine { Full = "full" });
choice!(Firmware { Bios = "bios" });
choice!(Bus { Ahci = "ahci" });
choice!(ImageFormat { Raw = "raw", Qcow2 = "qcow2" });

impl Definition {
    /// A machine with the [defaults], and no drives.
    #[must_use]
    pub fn new(name: Name, uuid: Uuid) -> Self {
        Definition {
            version: VERSION,
            uuid,
            name,
            created: None,
            notes: String::new(),
            os: None,
            engine: defaults::ENGINE,
            firmware: defaults::FIRMWARE,
            cpus: defaults::CPUS,
            memory: defaults::MEMORY,
            boot: Vec::new(),
            kernel: None,
            serial: None,
            disks: Vec::new(),
            cdroms: Vec::new(),
        }
    }

    /// The ids of all drives, disks first.
    pub fn drive_ids(&self) -> impl Iterator<Item = &str> {
        self.disks.iter().map(|disk| disk.id.as_str()).chain(self.cdroms.iter().map(|drive| drive.id.as_str()))
    }

    /// The first of `disk0`, `disk1`, … (or `cd0`, … with `stem` "cd") that no drive is called.
    #[must_use]
    pub fn free_id(&self, stem: &str) -> String {
        let mut number = 0_u32;
        loop {
            let id = format!("{stem}{number}");
            if self.drive_ids().all(|taken| taken != id) {
                return id;
            }
            number += 1;
        }
    }

    /// The ids of the drives to boot from, first choice first: `boot`, or else the disks before the CD drives. (A new,
    /// empty disk can't be booted, so that the installer's disc comes next; once it has done its work the disk is
    /// first.)
    #[must_use]
    pub fn boot_order(&self) -> Vec<&str> {
        if self.boot.is_empty() { self.drive_ids().collect() } else { self.boot.iter().map(String::as_str).collect() }
    }

    /// The definition as a new file. To change an existing file, and keep what a person wrote into it, use the
    /// library's `update`.
    #[must_use]
    pub fn to_toml(&self) -> String {
        // Fails for types that TOML has no form of; the definition has none, and a test writes one with everything in.
        toml::to_string_pretty(self).unwrap_or_else(|error| unreachable!("a definition is always TOML: {error}"))
    }
}

impl Disk {
    /// The serial number that the guest sees: `serial`, or one that stays the same as long as machine and id do.
    #[must_use]
    pub fn serial_number(&self, machine: Uuid) -> String {
        self.serial.clone().unwrap_or_else(|| {
            let hash = crate::name::fnv1a(&[machine.as_bytes(), self.id.as_bytes()]);
            format!("TD{hash:016X}")
        })
    }

    /// Whether the guest is told that the disk can't be written.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        !self.throw_away_writes && self.images.last().is_some_and(|image| image.read_only)
    }
}
