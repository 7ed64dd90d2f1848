//! Small disks and images for tests of single behaviours: boot sectors of a few instructions, and images with something
//! wrong in them.

use std::fs;
use std::path::Path;

use anyhow::Result;

/// Code of a boot sector (16-bit, loaded at 0x7c00).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BootSector {
    /// Switches the machine off by ACPI's registers: sleep type 7 is S5.
    PowerOff,
    /// Goes to a place that is no memory, from which no KVM can take an instruction: the video adapter's, in a
    /// 16-colour mode.
    Lost,
    /// Stands still, and hears nothing.
    Halt,
}

impl BootSector {
    fn code(self) -> &'static [u8] {
        match self {
            // mov dx, 0x604; mov ax, 0x3c00; out dx, ax; hlt; jmp $-1
            Self::PowerOff => &[0xba, 0x04, 0x06, 0xb8, 0x00, 0x3c, 0xef, 0xf4, 0xeb, 0xfd],
            // mov ax, 0x12; int 0x10; jmp 0xa000:0
            Self::Lost => &[0xb8, 0x12, 0x00, 0xcd, 0x10, 0xea, 0x00, 0x00, 0x00, 0xa0],
            // cli; hlt; jmp $-1
            Self::Halt => &[0xfa, 0xf4, 0xeb, 0xfd],
        }
    }

    /// Writes a raw disk of 1 MiB that boots it.
    ///
    /// # Errors
    /// The host's.
    pub fn write(self, path: &Path) -> Result<()> {
        let mut disk = vec![0; 1 << 20];
        disk[..self.code().len()].copy_from_slice(self.code());
        disk[510..512].copy_from_slice(&[0x55, 0xaa]);
        Ok(fs::write(path, disk)?)
    }
}

/// A change to a sound qcow2 image (version 3, without a backing image) that makes it unusable; QEMU's
/// `docs/interop/qcow2.txt` says where the fields are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hostile {
    /// Builds on a file of the host that is none of the guest's business.
    BackingName,
    /// Keeps its data in another file.
    ExternalData,
    /// Is encrypted with LUKS.
    Encrypted,
    /// Says that it is 8 EiB large.
    HugeSize,
    /// Says that its level 1 table has 2³² entries.
    HugeTable,
    /// Ends within the header.
    CutInHeader,
    /// Ends before its tables.
    CutInTables,
    /// Has clusters that no number can count.
    HugeClusters,
}

impl Hostile {
    /// Every one, with a word that the refusal has.
    pub const ALL: [(Hostile, &'static str); 8] = [
        (Hostile::BackingName, "/etc/passwd"),
        (Hostile::ExternalData, "external data file"),
        (Hostile::Encrypted, "encryption"),
        (Hostile::HugeSize, "damaged"),
        (Hostile::HugeTable, "damaged"),
        (Hostile::CutInHeader, "damaged"),
        (Hostile::CutInTables, "cut off"),
        (Hostile::HugeClusters, "damaged"),
    ];

    /// Makes a sound image into such a one.
    #[must_use]
    pub fn image(self, sound: &[u8]) -> Vec<u8> {
        let mut image = sound.to_vec();
        let mut put = |at: usize, bytes: &[u8]| image[at..at + bytes.len()].copy_from_slice(bytes);
        match self {
            Self::BackingName => {
                let name = b"/etc/passwd";
                put(8, &4096_u64.to_be_bytes());
                put(16, &(name.len() as u32).to_be_bytes());
                put(4096, name);
            }
            Self::ExternalData => put(72, &4_u64.to_be_bytes()),
            Self::Encrypted => put(32, &2_u32.to_be_bytes()),
            Self::HugeSize => put(24, &(u64::MAX / 2 - 511).to_be_bytes()),
            Self::HugeTable => put(36, &u32::MAX.to_be_bytes()),
            Self::HugeClusters => put(20, &200_u32.to_be_bytes()),
            Self::CutInHeader => image.truncate(90),
            Self::CutInTables => image.truncate(70_000),
        }
        image
    }
}
