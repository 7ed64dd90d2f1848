//! The lab's initial file system: busybox, the modules that reach the host's files and KVM, and the first program.
//!
//! The archive is of the "new ASCII" kind (cpio's `newc`, see Linux's `Documentation/driver-api/early-userspace`).

use std::collections::HashSet;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::kernel::{Kernel, decompress};
use crate::{places, process};

/// The first program of the lab.
const INIT: &str = include_str!("init.sh");

/// What is loaded before the host's file system can be seen, in this order.
const MODULES: [&str; 9] =
    ["virtio_pci", "virtio_console", "9pnet_virtio", "9p", "overlay", "kvm_amd", "tun", "vhost_net", "vhost_vsock"];

/// The initial file system for a kernel, from the cache if it was made before.
pub(crate) fn for_kernel(kernel: &Kernel) -> Result<PathBuf> {
    let busybox = process::find("busybox").context("busybox is missing: install Debian's busybox-static")?;
    let mut key = DefaultHasher::new();
    let stamp = |path: &Path| -> Result<_> {
        let meta = fs::metadata(path).with_context(|| format!("can't read {}", path.display()))?;
        Ok((meta.len(), meta.modified()?))
    };
    (INIT, MODULES, stamp(&busybox)?, stamp(&kernel.modules.join("modules.dep"))?).hash(&mut key);
    let initrd = places::cache()?.join("initrds").join(format!("{}-{:016x}", kernel.release, key.finish()));
    places::make_once(&initrd, |scratch| {
        let archive = build(kernel, &busybox)?;
        fs::write(scratch, archive).with_context(|| format!("can't write {}", scratch.display()))
    })?;
    Ok(initrd)
}

fn build(kernel: &Kernel, busybox: &Path) -> Result<Vec<u8>> {
    let mut archive = Archive::default();
    for dir in ["bin", "proc", "sys", "dev", "lower", "upper", "host", "modules"] {
        archive.entry(dir, 0o040_755, &[]);
    }
    archive.entry("bin/busybox", 0o100_755, &read(busybox)?);
    archive.entry("init", 0o100_755, INIT.as_bytes());
    let index_file = kernel.modules.join("modules.dep");
    let index = fs::read_to_string(&index_file).with_context(|| format!("can't read {}", index_file.display()))?;
    // What a kernel has built in is listed apart, and missing in the index.
    let built_in = fs::read_to_string(kernel.modules.join("modules.builtin")).unwrap_or_default();
    let loadable: Vec<&str> =
        MODULES.into_iter().filter(|name| !built_in.lines().any(|file| stem(file) == *name)).collect();
    for (number, path) in load_order(&index, &loadable)?.iter().enumerate() {
        let file = kernel.modules.join(path);
        let module = decompress(&file, &read(&file)?)?;
        archive.entry(&format!("modules/{number:02}-{}.ko", stem(path)), 0o100_644, &module);
    }
    Ok(archive.finish())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("can't read {}", path.display()))
}

/// The name of the module that a file holds.
fn stem(file: &str) -> String {
    file.rsplit('/').next().unwrap_or_default().split(".ko").next().unwrap_or_default().replace('-', "_")
}

/// The files of the wanted modules and all that they need, each after what it needs (`modules.dep(5)`: a line is a
/// file, a colon, and what it depends on, the deepest last).
fn load_order<'a>(index: &'a str, wanted: &[&str]) -> Result<Vec<&'a str>> {
    let lines: Vec<(&str, &str)> = index.lines().filter_map(|line| line.split_once(':')).collect();
    let mut seen = HashSet::new();
    let mut order = Vec::new();
    for name in wanted {
        let found = lines.iter().find(|(file, _)| stem(file) == *name);
        let (file, needs) = found.with_context(|| format!("this kernel has no module {name}"))?;
        for path in needs.split_whitespace().rev().chain([*file]) {
            if seen.insert(path) {
                order.push(path);
            }
        }
    }
    Ok(order)
}

/// A cpio archive that is being written.
#[derive(Default)]
struct Archive {
    bytes: Vec<u8>,
    entries: u32,
}

impl Archive {
    fn entry(&mut self, name: &str, mode: u32, content: &[u8]) {
        self.entries += 1;
        let links = 1;
        let fields = [
            self.entries,
            mode,
            0, // owner
            0, // group
            links,
            0, // time of change
            u32::try_from(content.len()).unwrap_or(u32::MAX),
            0, // device
            0,
            0, // device that a device node stands for
            0,
            u32::try_from(name.len() + 1).unwrap_or(u32::MAX),
            0, // checksum, unused in this kind
        ];
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes.extend_from_slice(format!("{field:08x}").as_bytes());
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(content);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    fn finish(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, &[]);
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_come_after_what_they_need_and_once() {
        let index = "kernel/fs/9p/9p.ko: kernel/fs/netfs/netfs.ko kernel/net/9p/9pnet.ko\n\
                     kernel/fs/netfs/netfs.ko:\nkernel/net/9p/9pnet.ko.xz:\n\
                     kernel/net/9p/9pnet-virtio.ko: kernel/net/9p/9pnet.ko kernel/virtio/virtio.ko\n";
        let order = load_order(index, &["9pnet_virtio", "9p"]).unwrap();
        let expected = [
            "kernel/virtio/virtio.ko",
            "kernel/net/9p/9pnet.ko",
            "kernel/net/9p/9pnet-virtio.ko",
            "kernel/fs/netfs/netfs.ko",
            "kernel/fs/9p/9p.ko",
        ];
        assert_eq!(order, expected);
        assert!(load_order(index, &["ext4"]).is_err());
    }

    #[test]
    fn an_archive_is_what_cpio_reads() {
        let mut archive = Archive::default();
        archive.entry("dir", 0o040_755, &[]);
        archive.entry("dir/file", 0o100_644, b"hello");
        let bytes = archive.finish();
        assert_eq!(bytes.len() % 4, 0);
        assert_eq!(&bytes[..6], b"070701");
        // The file's header follows the folder's: its name's length and its content's are in their columns.
        let file = &bytes[6 + 13 * 8 + 6..];
        assert_eq!(&file[..6], b"070701");
        assert_eq!(&file[6 + 6 * 8..6 + 7 * 8], b"00000005");
        assert_eq!(&file[6 + 11 * 8..6 + 12 * 8], b"00000009");
        assert_eq!(&file[110..119], b"dir/file\0");
        assert_eq!(&file[120..125], b"hello");
    }
}
