//! The guest software that tests boot, by name. `cargo xtask guests` makes it, mostly from Debian's packages.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// The folder of guests, if it isn't in the cache of whoever runs the tests.
const DIR: &str = "TANDEM_TEST_GUESTS";

/// The second disk of a machine as Debian's udev names it, here and in QEMU: which one becomes `sda` is a race in the guest.
pub const SECOND_DISK: &str = "/dev/disk/by-path/pci-0000:00:1f.2-ata-2";

/// A file that holds a guest, or what belongs to one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guest {
    /// GRUB's rescue image: a menu of nothing, and a shell.
    GrubRescueIso,
    /// memtest86+ for 64-bit processors.
    MemtestIso,
    /// iPXE, which looks for a network.
    IpxeIso,
    /// The same as a kernel to start directly.
    IpxeKernel,
    /// Debian 12's text installer, which starts by itself and shows its first dialog in VGA text mode.
    InstallerIso,
    /// Debian 12 on a disk (qcow2): `root`, password `tandem`. Its GRUB offers a text screen (the default), a graphical
    /// screen, and a text screen with every message.
    DebianDisk,
    /// That Debian's kernel.
    DebianKernel,
    /// That kernel's initial file system.
    DebianInitrd,
    /// A disk (raw) with a program that draws in one VGA mode after the other: `tests/guests/vga-modes`.
    VgaModes,
    /// The folder of QEMU's pictures of that program: `N.ppm` for each mode from 1 on, and `N-other.ppm` if it blinks.
    VgaModesPictures,
}

impl Guest {
    /// Where it is.
    ///
    /// # Errors
    /// It was not made yet.
    pub fn file(self) -> Result<PathBuf> {
        let name = match self {
            Self::GrubRescueIso => "grub-rescue.iso",
            Self::MemtestIso => "memtest86.iso",
            Self::IpxeIso => "ipxe.iso",
            Self::IpxeKernel => "ipxe.lkrn",
            Self::InstallerIso => "installer.iso",
            Self::DebianDisk => "debian.qcow2",
            Self::DebianKernel => "debian-vmlinuz",
            Self::DebianInitrd => "debian-initrd",
            Self::VgaModes => "vga-modes.img",
            Self::VgaModesPictures => "vga-modes-pictures",
        };
        let file = dir()?.join(name);
        // Links are resolved: what a test names is the file itself.
        file.canonicalize().with_context(|| format!("there is no {}: run `cargo xtask guests`", file.display()))
    }

    /// Its path as a word of a command line.
    ///
    /// # Errors
    /// It was not made yet, or its path is no text.
    pub fn path(self) -> Result<String> {
        self.file()?.into_os_string().into_string().ok().context("a guest's path is no text")
    }
}

fn dir() -> Result<PathBuf> {
    if let Some(dir) = env::var_os(DIR) {
        return Ok(dir.into());
    }
    let cache = match (env::var_os("XDG_CACHE_HOME"), env::var_os("HOME")) {
        (Some(cache), _) if Path::new(&cache).is_absolute() => PathBuf::from(cache),
        (_, Some(home)) => PathBuf::from(home).join(".cache"),
        (_, None) => bail!("none of {DIR}, XDG_CACHE_HOME and HOME is set"),
    };
    Ok(cache.join("tandem-tests/guests/current"))
}
