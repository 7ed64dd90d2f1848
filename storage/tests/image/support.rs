//! What the tests of images share: temporary images, QEMU's tools, reading and writing whole vectors.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use storage::disk::Disk;
use storage::image::{BackingName, Format, Image, ImageSource, NewImage, create_qcow2, create_raw, open_chain};
use tempfile::TempDir;
use vm_memory::VolatileSlice;

/// A folder with images in it, gone at the end of the test.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        // On a real disk: a temporary file system may not know `O_DIRECT`
        Folder(tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn qcow2(&self, name: &str, new: &NewImage) -> PathBuf {
        let path = self.path(name);
        create_qcow2(&File::create_new(&path).unwrap(), new).unwrap();
        path
    }

    pub(crate) fn raw(&self, name: &str, size: u64) -> PathBuf {
        let path = self.path(name);
        create_raw(&File::create_new(&path).unwrap(), size).unwrap();
        path
    }
}

pub(crate) fn backing(name: &str, format: &str) -> BackingName {
    BackingName { name: name.to_owned(), format: Some(format.to_owned()) }
}

pub(crate) fn read_write(path: &Path) -> File {
    File::options().read(true).write(true).open(path).unwrap()
}

pub(crate) fn source(path: &Path, format: Format) -> ImageSource {
    ImageSource { file: read_write(path), format, read_only: false, after_crash: false }
}

pub(crate) fn open_qcow2(path: &Path) -> Image {
    open_chain(vec![source(path, Format::Qcow2)]).unwrap()
}

/// A chain of qcow2 images, the base first.
pub(crate) fn open_all(paths: &[PathBuf]) -> Image {
    open_chain(paths.iter().map(|path| source(path, Format::Qcow2)).collect()).unwrap()
}

/// The same, after whoever had them open has crashed.
pub(crate) fn open_after_crash(paths: &[PathBuf]) -> Image {
    let sources = paths.iter().map(|path| ImageSource { after_crash: true, ..source(path, Format::Qcow2) });
    open_chain(sources.collect()).unwrap()
}

pub(crate) fn write(disk: &dyn Disk, offset: u64, bytes: &[u8]) -> std::io::Result<()> {
    let mut bytes = bytes.to_vec();
    disk.write(offset, &[VolatileSlice::from(&mut bytes[..])])
}

pub(crate) fn read(disk: &dyn Disk, offset: u64, len: usize) -> std::io::Result<Vec<u8>> {
    let mut bytes = vec![0xa5; len];
    disk.read(offset, &[VolatileSlice::from(&mut bytes[..])])?;
    Ok(bytes)
}

pub(crate) fn content(disk: &dyn Disk) -> Vec<u8> {
    read(disk, 0, disk.len_bytes() as usize).unwrap()
}

/// Runs one of QEMU's tools.
pub(crate) fn qemu(tool: &str, arguments: &[&str]) -> Output {
    Command::new(tool)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("{tool} is needed by this test (Debian's package qemu-utils): {error}"))
}

pub(crate) fn qemu_ok(tool: &str, arguments: &[&str]) -> String {
    let output = qemu(tool, arguments);
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{tool} {arguments:?}: {text}");
    text
}

/// `qemu-img check` finds nothing at all.
pub(crate) fn assert_clean(path: &Path) {
    qemu_ok("qemu-img", &["check", "-f", "qcow2", text(path)]);
}

/// `qemu-img check` finds nothing, or nothing worse than clusters that count as used and aren't.
pub(crate) fn assert_sound(path: &Path) {
    let output = qemu("qemu-img", &["check", "-f", "qcow2", text(path)]);
    let sound = matches!(output.status.code(), Some(0 | 3));
    assert!(sound, "{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
}

/// What QEMU reads from an image.
pub(crate) fn content_by_qemu(folder: &Folder, path: &Path) -> Vec<u8> {
    let raw = folder.path("converted.raw");
    qemu_ok("qemu-img", &["convert", "-O", "raw", text(path), text(&raw)]);
    std::fs::read(raw).unwrap()
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A small generator of numbers, the same in every run (xorshift).
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}
