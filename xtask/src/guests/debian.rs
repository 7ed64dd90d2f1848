//! A small Debian 12 on a disk: the stock kernel, systemd, and GRUB in the master boot record, with a few tools. It is
//! made from packages alone, without loop devices, and as an ordinary user too.
//!
//! Its screen stays in text mode unless the second entry of GRUB's menu is taken. `root` logs in with the password
//! `tandem`, on the screen and on the first serial port.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::disk::{self, PARTITION_START_BYTES};
use super::{key, needed, sweep, version_of_package};
use crate::apt::{Apt, BACKPORTS};
use crate::places::{self, Scratch};
use crate::process;

/// What the system holds besides Debian's essential packages.
const PACKAGES: [&str; 17] = [
    "linux-image-amd64",
    "initramfs-tools",
    "zstd",
    "systemd-sysv",
    "udev",
    "dbus",
    "libpam-systemd",
    "login",
    "passwd",
    "kmod",
    "pciutils",
    "fio",
    "e2fsprogs",
    "iproute2",
    "procps",
    "less",
    "ca-certificates",
];

/// What is left out of packages, to make copies of the disk quick: documentation, and drivers of hardware that no virtual
/// machine has.
const LEFT_OUT: [&str; 14] = [
    "/usr/share/doc/*",
    "/usr/share/man/*",
    "/usr/share/locale/*",
    "/usr/share/info/*",
    "/lib/modules/*/kernel/drivers/gpu/drm/amd/*",
    "/lib/modules/*/kernel/drivers/gpu/drm/i915/*",
    "/lib/modules/*/kernel/drivers/gpu/drm/nouveau/*",
    "/lib/modules/*/kernel/drivers/gpu/drm/radeon/*",
    "/lib/modules/*/kernel/drivers/infiniband/*",
    "/lib/modules/*/kernel/drivers/media/*",
    "/lib/modules/*/kernel/drivers/net/ethernet/mellanox/*",
    "/lib/modules/*/kernel/drivers/net/wireless/*",
    "/lib/modules/*/kernel/drivers/staging/*",
    "/lib/modules/*/kernel/sound/soc/*",
];

/// What is done to the system before the kernel is installed, so that its initial file system becomes small.
const BEFORE: &str = include_str!("debian-before.sh");
/// What is done to the system at the end.
const AFTER: &str = include_str!("debian-after.sh");

const DISK_BYTES: u64 = 3 << 30;

/// The disk, and its kernel and initial file system apart, under the names that tests use.
pub(super) fn disk(store: &Path) -> Result<Vec<(&'static str, PathBuf)>> {
    let apt = Apt::ready()?;
    let grub = version_of_package("grub-pc-bin")?;
    let versions: Vec<String> = PACKAGES
        .iter()
        .map(|package| {
            let known = apt.versions(package)?;
            let stable = known.into_iter().find(|known| known.suite != BACKPORTS);
            Ok(stable.with_context(|| format!("Debian's mirror has no {package}"))?.version)
        })
        .collect::<Result<_>>()?;
    let recipe = (PACKAGES, LEFT_OUT, BEFORE, AFTER, DISK_BYTES, grub, versions, disk::RECIPE);
    let dir = store.join(format!("debian-{}", key(&recipe)));
    places::make_once(&dir, |scratch| {
        eprintln!("xtask: making the Debian 12 disk");
        fs::create_dir_all(scratch)?;
        make(&apt, scratch)
    })?;
    sweep(store, "debian-", &[&dir]);
    let files = [("debian.qcow2", "disk.qcow2"), ("debian-vmlinuz", "vmlinuz"), ("debian-initrd", "initrd")];
    Ok(files.map(|(name, file)| (name, dir.join(file))).into())
}

fn make(apt: &Apt, into: &Path) -> Result<()> {
    let scratch = Scratch::new("debian")?;
    let here = scratch.path();
    // The one who runs the hooks may be another user, of a name space of this one's.
    fs::set_permissions(here, fs::Permissions::from_mode(0o777))?;
    let write = |name: &str, text: &str| -> Result<PathBuf> {
        let path = here.join(name);
        fs::write(&path, text).with_context(|| format!("can't write {}", path.display()))?;
        Ok(path)
    };
    let before = write("before.sh", BEFORE)?;
    let after = write("after.sh", AFTER)?;
    let raw = here.join("disk.raw");
    fs::File::create(&raw)?.set_len(DISK_BYTES)?;
    fs::set_permissions(&raw, fs::Permissions::from_mode(0o666))?;
    let modules = needed("/usr/lib/grub/i386-pc", "grub-pc-bin")?;
    let file_system_kib = (DISK_BYTES - PARTITION_START_BYTES) / 1024;

    let mut command = Command::new("mmdebstrap");
    command.args(["--quiet", "--variant=essential", "--format=null"]);
    command.arg(format!("--include={}", PACKAGES.join(",")));
    for path in LEFT_OUT {
        command.arg(format!("--dpkgopt=path-exclude={path}"));
    }
    command.arg(format!("--essential-hook=sh {} \"$1\"", before.display()));
    command.arg(format!(
        "--customize-hook=sh {} \"$1\" {} {} {PARTITION_START_BYTES} {file_system_kib}",
        after.display(),
        here.display(),
        modules.display()
    ));
    command.arg(crate::apt::CODENAME).arg("/dev/null").args(apt.stable_lines());
    // Its own progress would be many pages; what went wrong is shown.
    process::stdout(&mut command).context("can't make the Debian disk")?;

    disk::make_bootable(&raw, &modules)?;
    let qcow2 = into.join("disk.qcow2");
    process::run(Command::new("qemu-img").args(["convert", "-f", "raw", "-O", "qcow2"]).arg(&raw).arg(&qcow2))?;
    for name in ["vmlinuz", "initrd"] {
        fs::copy(here.join(name), into.join(name)).with_context(|| format!("the system has no {name}"))?;
    }
    Ok(())
}
