//! Where the firmware of Debian's `seabios` package is.

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

/// The PC BIOS, where distributions put it.
const BIOS: &[&str] =
    &["/usr/share/seabios/bios-256k.bin", "/usr/share/qemu/bios-256k.bin", "/usr/share/seabios/bios.bin"];
/// The option ROM of the display adapter.
const VIDEO: &[&str] = &["/usr/share/seabios/vgabios-stdvga.bin", "/usr/share/qemu/vgabios-stdvga.bin"];

/// Where the BIOS is, if it is installed.
pub(crate) fn bios() -> Option<PathBuf> {
    first_of(BIOS)
}

/// Where the display adapter's option ROM is, if it is installed.
pub(crate) fn video() -> Option<PathBuf> {
    first_of(VIDEO)
}

fn first_of(candidates: &[&str]) -> Option<PathBuf> {
    candidates.iter().map(Path::new).find(|path| path.exists()).map(Path::to_owned)
}

/// Opens the BIOS and the display adapter's option ROM.
///
/// # Errors
/// They aren't installed, or can't be read.
pub(crate) fn open() -> Result<(File, File)> {
    let (Some(bios), Some(video)) = (bios(), video()) else {
        bail!("the PC's firmware (SeaBIOS) is not installed. Nothing was changed. Run `sudo apt install seabios`");
    };
    let open = |path: &Path| File::open(path).with_context(|| format!("can't open the firmware {}", path.display()));
    Ok((open(&bios)?, open(&video)?))
}
