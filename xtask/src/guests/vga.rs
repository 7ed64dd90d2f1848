//! The guest that draws in one VGA mode after the other, and QEMU's pictures of it to compare with. Both are made from
//! `tests/guests/vga-modes`, the pictures under QEMU's software processor, so that they need no KVM.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::{key, sweep, version_of_package};
use crate::places;
use crate::process;

const SOURCES: [&str; 3] = ["vga-modes.S", "build.sh", "reference.py"];
/// What else the image and the pictures come from; the VGA BIOS is SeaBIOS's.
const PACKAGES: [&str; 3] = ["binutils", "qemu-system-x86", "seabios"];

/// The disk image and the folder of pictures, under the names that tests use.
pub(super) fn modes(store: &Path) -> Result<[(&'static str, PathBuf); 2]> {
    let sources = places::workspace().join("tests/guests/vga-modes");
    let read = |name: &&str| fs::read(sources.join(name)).with_context(|| format!("can't read {name}"));
    let contents: Vec<Vec<u8>> = SOURCES.iter().map(read).collect::<Result<_>>()?;
    let versions: Vec<String> = PACKAGES.into_iter().map(version_of_package).collect::<Result<_>>()?;
    let dir = store.join(format!("vga-modes-{}", key(&(contents, versions))));
    places::make_once(&dir, |scratch| {
        eprintln!("xtask: making the VGA guest, and QEMU's pictures of it");
        fs::create_dir_all(scratch)?;
        let image = scratch.join("disk.img");
        process::run(Command::new("sh").arg(sources.join("build.sh")).arg(&image))?;
        let mut take = Command::new("python3");
        take.arg(sources.join("reference.py")).arg(&image).arg(scratch.join("pictures"));
        process::stdout(&mut take).map(drop).context("can't take QEMU's pictures")
    })?;
    sweep(store, "vga-modes-", &[&dir]);
    Ok([("vga-modes.img", dir.join("disk.img")), ("vga-modes-pictures", dir.join("pictures"))])
}
