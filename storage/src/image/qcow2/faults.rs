//! A host that fails, as a test: whichever write, change of length or sync it refuses, the caller hears of it, and
//! the image stays sound.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::Path;
use std::process::Command;

use vm_memory::VolatileSlice;

use super::super::host_file::{Fault, HostFile};
use super::super::iovec::Buffers;
use super::{NewImage, Qcow2, create};

const BLOCK: u64 = 2048;
const BLOCKS: u64 = 600;

fn open(path: &Path) -> Qcow2 {
    let file = File::options().read(true).write(true).open(path).unwrap();
    Qcow2::open(HostFile::new(file).unwrap(), true, None).unwrap()
}

fn new_image(folder: &Path) -> std::path::PathBuf {
    let path = folder.join("disk");
    let file = File::options().read(true).write(true).create(true).truncate(true).open(&path).unwrap();
    let new = NewImage { cluster_bits: 9, ..NewImage::new(BLOCK * BLOCKS) };
    create(&HostFile::new(file).unwrap(), &new).unwrap();
    path
}

fn write(image: &Qcow2, block: u64, value: u8) -> io::Result<()> {
    let mut bytes = [value; BLOCK as usize];
    let slices = [VolatileSlice::from(&mut bytes[..])];
    image.write(&Buffers::new(&slices), 0..BLOCK as usize, block * BLOCK)
}

fn read(image: &Qcow2, block: u64) -> Vec<u8> {
    let mut bytes = vec![0xee; BLOCK as usize];
    let slices = [VolatileSlice::from(&mut bytes[..])];
    image.read(&Buffers::new(&slices), 0..BLOCK as usize, block * BLOCK).unwrap();
    bytes
}

fn assert_check(path: &Path, allowed: &[i32]) {
    let output = Command::new("qemu-img").args(["check", "-f", "qcow2"]).arg(path).output().unwrap();
    let sound = output.status.code().is_some_and(|code| allowed.contains(&code));
    assert!(sound, "{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
}

/// Writes, discards and flushes, trying each again that fails. Says how many failed, and what there is now.
fn run(image: &Qcow2, path: &Path) -> (u64, BTreeMap<u64, u8>) {
    let mut failures = 0;
    let mut values = BTreeMap::new();
    let mut retry = |action: &dyn Fn() -> io::Result<()>| {
        if let Err(error) = action() {
            assert_eq!(error.kind(), io::ErrorKind::StorageFull);
            // Should this be the end, nothing worse than leaks is left
            assert_check(path, &[0, 3]);
            failures += 1;
            action().unwrap();
        }
    };
    for step in 0..120_u64 {
        let block = step * 7919 % BLOCKS;
        retry(&|| write(image, block, 1 + step as u8));
        values.insert(block, 1 + step as u8);
        if step % 5 == 4 {
            let block = (step - 3) * 7919 % BLOCKS;
            retry(&|| image.discard(block * BLOCK, BLOCK));
            values.insert(block, 0);
        }
        if step % 20 == 19 {
            retry(&|| image.flush());
        }
    }
    retry(&|| image.flush());
    (failures, values)
}

#[test]
fn whichever_write_finds_the_host_full_trying_again_makes_up_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut failures = 0;
    for successes in (0..500).step_by(9) {
        let path = new_image(folder.path());
        let image = open(&path);
        *image.file.fault.lock() = Some(Fault { sync: false, successes, errno: libc::ENOSPC });
        let (failed, values) = run(&image, &path);
        failures += failed;
        for (block, value) in &values {
            assert_eq!(read(&image, *block), vec![*value; BLOCK as usize], "block {block}, {successes} successes");
        }
        drop(image);
        assert_check(&path, &[0]);
    }
    assert!(failures > 20, "only {failures} failures were met");
}

#[test]
fn after_a_sync_that_failed_no_flush_claims_success() {
    let folder = tempfile::tempdir().unwrap();
    let path = new_image(folder.path());
    let image = open(&path);
    write(&image, 3, 9).unwrap();
    image.flush().unwrap();
    write(&image, 3, 10).unwrap();
    // On file systems that look for room late, this is how a full host shows: the data is gone all the same.
    *image.file.fault.lock() = Some(Fault { sync: true, successes: 0, errno: libc::ENOSPC });
    let error = image.flush().unwrap_err();
    assert_ne!(error.kind(), io::ErrorKind::StorageFull, "nobody must wait for room and try again");
    assert!(error.to_string().contains("No space left"), "{error}");
    image.flush().unwrap_err();
    assert_eq!(read(&image, 3), vec![10; BLOCK as usize]);
    drop(image);
    assert_check(&path, &[0, 3]);
}
