//! Debian 12's text installer as an ISO image that starts by itself: its kernel and initial file system from Debian's
//! package, ISOLINUX as on Debian's own images, and the plain VGA text screen.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::{file_of_package, key, needed, sweep, version_of_package};
use crate::places::{self, Scratch};
use crate::process;

const PACKAGE: &str = "debian-installer-12-netboot-amd64";

/// `fb=false` keeps the installer's dialogs in the text mode that `vga=normal` asks for.
const CONFIGURATION: &str = "\
DEFAULT install
PROMPT 0
TIMEOUT 1
LABEL install
  KERNEL /install/vmlinuz
  INITRD /install/initrd.gz
  APPEND vga=normal nomodeset fb=false quiet
";

/// The image, made if it is not there yet.
pub(super) fn iso(store: &Path) -> Result<PathBuf> {
    let versions = (version_of_package(PACKAGE)?, version_of_package("isolinux")?, CONFIGURATION);
    let iso = store.join(format!("installer-{}.iso", key(&versions)));
    places::make_once(&iso, |scratch| {
        eprintln!("xtask: making the ISO image of Debian's installer");
        make(scratch)
    })?;
    sweep(store, "installer-", &[&iso]);
    Ok(iso)
}

fn make(into: &Path) -> Result<()> {
    let tree = Scratch::new("iso")?;
    let copy = |from: &Path, to: &str| {
        let to = tree.path().join(to);
        fs::create_dir_all(to.parent().unwrap_or(tree.path()))?;
        fs::copy(from, &to).with_context(|| format!("can't copy {}", from.display()))
    };
    copy(&file_of_package(PACKAGE, "/text/debian-installer/amd64/linux")?, "install/vmlinuz")?;
    copy(&file_of_package(PACKAGE, "/text/debian-installer/amd64/initrd.gz")?, "install/initrd.gz")?;
    copy(&needed("/usr/lib/ISOLINUX/isolinux.bin", "isolinux")?, "isolinux/isolinux.bin")?;
    copy(&needed("/usr/lib/syslinux/modules/bios/ldlinux.c32", "syslinux-common")?, "isolinux/ldlinux.c32")?;
    fs::write(tree.path().join("isolinux/isolinux.cfg"), CONFIGURATION)?;
    let options = "-as mkisofs -quiet -J -r -V INSTALLER -c isolinux/boot.cat -b isolinux/isolinux.bin -no-emul-boot \
                   -boot-load-size 4 -boot-info-table";
    process::stdout(Command::new("xorriso").args(options.split_whitespace()).arg("-o").arg(into).arg(tree.path()))?;
    Ok(())
}
