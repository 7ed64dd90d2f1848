//! The guest software that the whole-machine tests boot: made from Debian's packages and our own sources, kept in the
//! cache by content, and found by the tests under plain names in the folder `guests/current` there.

mod debian;
mod disk;
mod installer;
mod vga;

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};

use crate::args::Args;
use crate::{packages, places, process};

/// Guests that a package holds ready: the name that tests use, the package, and the end of the file's path.
const READY: [(&str, &str, &str); 5] = [
    ("grub-rescue.iso", "grub-rescue-pc", "/grub-rescue-cdrom.iso"),
    ("memtest86.iso", "memtest86+", "/memtest86+x64.iso"),
    ("ipxe.iso", "ipxe", "/ipxe.iso"),
    ("ipxe.lkrn", "ipxe", "/usr/lib/ipxe/ipxe.lkrn"),
    ("installer-vmlinuz", "debian-installer-12-netboot-amd64", "/text/debian-installer/amd64/linux"),
];

/// `cargo xtask guests`.
pub(crate) fn command(args: Args) -> Result<ExitCode> {
    args.finish()?;
    packages::ensure()?;
    let dir = ensure()?;
    let mut names: Vec<_> = fs::read_dir(&dir)?.collect::<Result<_, _>>()?;
    names.sort_by_key(fs::DirEntry::file_name);
    for entry in names {
        println!("{}", entry.path().display());
    }
    Ok(ExitCode::SUCCESS)
}

/// Makes what is missing, and gives the folder where tests find every guest by its name.
pub(crate) fn ensure() -> Result<PathBuf> {
    let store = places::cache()?.join("guests");
    let current = store.join("current");
    fs::create_dir_all(&current).with_context(|| format!("can't create {}", current.display()))?;
    for (name, package, end) in READY {
        point(&current.join(name), &file_of_package(package, end)?)?;
    }
    point(&current.join("installer.iso"), &installer::iso(&store)?)?;
    for (name, file) in vga::modes(&store)? {
        point(&current.join(name), &file)?;
    }
    for (name, file) in debian::disk(&store)? {
        point(&current.join(name), &file)?;
    }
    Ok(current)
}

/// The file of an installed package whose path ends so.
fn file_of_package(package: &str, end: &str) -> Result<PathBuf> {
    let files = process::stdout(Command::new("dpkg-query").args(["-L", package]))?;
    let file = files.lines().find(|file| file.ends_with(end));
    file.map(PathBuf::from).with_context(|| format!("Debian's package {package} holds no {end}"))
}

/// The version of an installed package.
fn version_of_package(package: &str) -> Result<String> {
    process::stdout(Command::new("dpkg-query").args(["-W", "-f", "${Version}", package]))
}

/// Makes `link` a symbolic link to `target`, replacing what it was in one step.
fn point(link: &Path, target: &Path) -> Result<()> {
    if fs::read_link(link).is_ok_and(|now| now == target) {
        return Ok(());
    }
    let new = link.with_extension(format!("new{}", std::process::id()));
    fs::remove_file(&new).ok();
    std::os::unix::fs::symlink(target, &new)
        .and_then(|()| fs::rename(&new, link))
        .with_context(|| format!("can't link {}", link.display()))
}

/// A short name for everything that a guest was made from.
fn key(parts: &impl Hash) -> String {
    let mut hasher = DefaultHasher::new();
    parts.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

/// Removes what earlier versions left of a guest: files that begin like it, but are not the ones in use.
fn sweep(store: &Path, prefix: &str, keep: &[&Path]) {
    for entry in fs::read_dir(store).into_iter().flatten().flatten() {
        let path = entry.path();
        let old = entry.file_name().to_string_lossy().starts_with(prefix) && !keep.contains(&path.as_path());
        if old && path.is_dir() {
            fs::remove_dir_all(path).ok();
        } else if old {
            fs::remove_file(path).ok();
        }
    }
}

/// A file that another one needs, or says which package brings it.
fn needed(path: &str, package: &str) -> Result<PathBuf> {
    let file = PathBuf::from(path);
    if !file.exists() {
        bail!("{path} is missing: install Debian's {package}");
    }
    Ok(file)
}
