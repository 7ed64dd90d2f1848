//! What a crash leaves counted as used is freed by whoever opens the image next, and nothing else is touched.
//!
//! A copy of an image's file, made while somebody has it open, is what a crash at that moment would leave.

use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Instant;

use storage::disk::Disk;
use storage::image::{Format, Image, ImageSource, NewImage, open_chain};

use crate::support::{
    Folder, Numbers, assert_clean, content, content_by_qemu, open_after_crash, open_qcow2, qemu, qemu_ok, read_write,
    source, text, write,
};

const SIZE: u64 = 12 << 20;
const CLUSTER: u64 = 64 << 10;
/// Where an image that we made has its tables.
const REFCOUNT_BLOCK: u64 = 2 * CLUSTER;
const L1: u64 = 3 * CLUSTER;

/// Writes, discards and flushes, so that counts of clusters that were freed wait to be written.
fn use_image(image: &Image, seed: u64, model: &mut [u8]) {
    let mut numbers = Numbers(seed);
    for step in 0..60 {
        let start = numbers.below(SIZE / 512) * 512;
        let len = ((1 + numbers.below(400)) * 512).min(SIZE - start);
        let value = if step % 3 == 0 { 0 } else { 1 + numbers.below(255) as u8 };
        match value {
            0 => image.discard(start, len).unwrap(),
            _ => write(image, start, &vec![value; len as usize]).unwrap(),
        }
        model[start as usize..(start + len) as usize].fill(value);
    }
    image.flush().unwrap();
}

/// The image as a crash of its user now would leave it.
fn crashed(folder: &Folder, path: &Path) -> PathBuf {
    let copy = folder.path("crashed");
    qemu_ok("cp", &["--sparse=always", text(path), text(&copy)]);
    copy
}

/// A crashed image of ours with clusters that leaked, and what the disk contains.
fn leaking(folder: &Folder) -> (PathBuf, Vec<u8>) {
    let path = folder.qcow2("disk", &NewImage::new(SIZE));
    let mut model = vec![0; SIZE as usize];
    let image = open_qcow2(&path);
    write(&image, 0, &vec![1; SIZE as usize]).unwrap();
    image.flush().unwrap();
    use_image(&image, 5, &mut model);
    model[..9 << 20].fill(0);
    image.discard(0, 9 << 20).unwrap();
    image.flush().unwrap();
    let path = crashed(folder, &path);
    let model = content(&image);
    assert!(leaks(&path) >= 100);
    (path, model)
}

/// The clusters that leaked, by QEMU's check, which must find nothing worse.
fn leaks(path: &Path) -> u64 {
    let output = qemu("qemu-img", &["check", "--output=json", "-f", "qcow2", text(path)]);
    let found = String::from_utf8(output.stdout).unwrap();
    assert!(matches!(output.status.code(), Some(0 | 3)), "{found}");
    let number = found.split_once("\"leaks\": ").map_or("0", |(_, rest)| rest);
    number.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap()
}

#[test]
fn what_leaked_is_free_again_and_the_rest_is_there() {
    let folder = Folder::new();
    let (path, model) = leaking(&folder);
    let image = open_after_crash(std::slice::from_ref(&path));
    assert!(content(&image) == model);
    drop(image);
    assert_clean(&path);
    assert!(content_by_qemu(&folder, &path) == model);
}

#[test]
fn the_space_of_what_leaked_is_given_back_to_the_host() {
    let folder = Folder::new();
    let path = folder.qcow2("disk", &NewImage::new(SIZE));
    write(&open_qcow2(&path), 0, &vec![1; SIZE as usize]).unwrap();
    let mut table = [0; 8];
    read_write(&path).read_exact_at(&mut table, L1).unwrap();
    let table = u64::from_be_bytes(table) & 0x00ff_ffff_ffff_fe00;
    // As if the guest had discarded them, just before the end
    read_write(&path).write_all_at(&[0; 100 * 8], table).unwrap();
    assert_eq!(leaks(&path), 100);
    let before = path.metadata().unwrap().blocks() * 512;
    drop(open_after_crash(std::slice::from_ref(&path)));
    assert_clean(&path);
    let after = path.metadata().unwrap().blocks() * 512;
    assert!(after + 100 * CLUSTER <= before, "{before} bytes before, {after} after");
}

#[test]
fn what_leaked_is_used_again() {
    let folder = Folder::new();
    let (path, mut model) = leaking(&folder);
    let len = path.metadata().unwrap().len();
    let image = open_after_crash(std::slice::from_ref(&path));
    use_image(&image, 8, &mut model);
    write(&image, 0, &[9; 6 << 20]).unwrap();
    model[..6 << 20].fill(9);
    assert!(content(&image) == model);
    drop(image);
    assert_clean(&path);
    assert!(path.metadata().unwrap().len() <= len);
}

#[test]
fn without_being_asked_nobody_looks_for_leaks() {
    let folder = Folder::new();
    let (path, _) = leaking(&folder);
    let before = leaks(&path);
    drop(open_qcow2(&path));
    assert_eq!(leaks(&path), before);
}

#[test]
fn a_read_only_image_stays_as_it_is() {
    let folder = Folder::new();
    let (path, model) = leaking(&folder);
    let before = std::fs::read(&path).unwrap();
    let only_read = ImageSource { read_only: true, after_crash: true, ..source(&path, Format::Qcow2) };
    let image = open_chain(vec![only_read]).unwrap();
    assert!(content(&image) == model);
    drop(image);
    assert!(std::fs::read(&path).unwrap() == before);
}

fn leaks_of_a_kind_are_freed(options: &str) {
    let folder = Folder::new();
    let path = folder.path("disk");
    qemu_ok("qemu-img", &["create", "-f", "qcow2", "-o", options, text(&path), &SIZE.to_string()]);
    let mut model = vec![0; SIZE as usize];
    let image = open_qcow2(&path);
    write(&image, 0, &vec![3; SIZE as usize]).unwrap();
    model.fill(3);
    use_image(&image, 77, &mut model);
    // Whole clusters, however large
    image.discard(4 << 20, 4 << 20).unwrap();
    model[4 << 20..8 << 20].fill(0);
    image.flush().unwrap();
    let crashed = crashed(&folder, &path);
    assert!(leaks(&crashed) > 0, "{options}");
    drop(open_after_crash(std::slice::from_ref(&crashed)));
    assert_clean(&crashed);
    assert!(content_by_qemu(&folder, &crashed) == model, "{options}");
}

#[test]
fn leaks_in_images_of_every_kind_that_qemu_makes_are_freed() {
    for options in [
        "cluster_size=64k",
        "cluster_size=512",
        "cluster_size=2M",
        "compat=0.10",
        "compat=0.10,cluster_size=4k",
        "preallocation=metadata",
        "lazy_refcounts=on",
    ] {
        leaks_of_a_kind_are_freed(options);
    }
}

#[test]
fn leaks_are_freed_whatever_the_width_of_counts() {
    for bits in ["1", "2", "4", "8", "32", "64"] {
        leaks_of_a_kind_are_freed(&format!("refcount_bits={bits},cluster_size=4k"));
    }
}

#[test]
fn clusters_that_compressed_content_shares_count_its_uses() {
    let folder = Folder::new();
    let plain = folder.path("plain.raw");
    let mut numbers = Numbers(3);
    let mut model: Vec<u8> =
        (0..SIZE).map(|byte| if byte % 5000 < 1000 { numbers.below(7) as u8 } else { 9 }).collect();
    std::fs::write(&plain, &model).unwrap();
    let path = folder.path("disk");
    qemu_ok("qemu-img", &["convert", "-c", "-O", "qcow2", text(&plain), text(&path)]);
    let image = open_qcow2(&path);
    use_image(&image, 9, &mut model);
    let crashed = crashed(&folder, &path);
    assert!(leaks(&crashed) > 0);
    drop(open_after_crash(std::slice::from_ref(&crashed)));
    assert_clean(&crashed);
    assert!(content_by_qemu(&folder, &crashed) == model);
}

#[test]
fn an_image_with_snapshots_inside_stays_as_it_is() {
    let folder = Folder::new();
    let (path, _) = leaking(&folder);
    qemu_ok("qemu-img", &["snapshot", "-c", "before", text(&path)]);
    let before = leaks(&path);
    assert!(before > 0);
    drop(open_after_crash(std::slice::from_ref(&path)));
    assert_eq!(leaks(&path), before);
}

#[test]
fn clusters_of_bitmaps_are_not_freed() {
    let folder = Folder::new();
    let path = folder.path("disk");
    qemu_ok("qemu-img", &["create", "-f", "qcow2", text(&path), &SIZE.to_string()]);
    qemu_ok("qemu-img", &["bitmap", "--add", text(&path), "changes"]);
    let before = std::fs::read(&path).unwrap();
    drop(open_after_crash(std::slice::from_ref(&path)));
    let after = std::fs::read(&path).unwrap();
    // Only that they are outdated is marked, in the header
    assert!(after[CLUSTER as usize..] == before[CLUSTER as usize..]);
}

#[test]
fn an_image_that_counts_too_little_stays_as_it_is() {
    let folder = Folder::new();
    let (path, _) = leaking(&folder);
    let mut counts = vec![0; CLUSTER as usize];
    read_write(&path).read_exact_at(&mut counts, REFCOUNT_BLOCK).unwrap();
    // The level 1 table, in use
    counts[6..8].fill(0);
    read_write(&path).write_all_at(&counts, REFCOUNT_BLOCK).unwrap();
    drop(open_after_crash(std::slice::from_ref(&path)));
    let mut after = vec![0; CLUSTER as usize];
    read_write(&path).read_exact_at(&mut after, REFCOUNT_BLOCK).unwrap();
    assert!(after == counts);
}

/// Opens an image that says of itself what is too much to look through, or just not.
fn opens_quickly(path: &Path) {
    let start = Instant::now();
    drop(open_after_crash(&[path.to_owned()]));
    assert!(start.elapsed().as_secs() < 30, "{:?}", start.elapsed());
}

#[test]
fn an_image_with_too_much_in_it_opens_quickly() {
    let folder = Folder::new();
    let path = folder.path("disk");
    qemu_ok("qemu-img", &["create", "-f", "qcow2", text(&path), "2P"]);
    let file = read_write(&path);
    let mut l1 = [0; 8];
    file.read_exact_at(&mut l1, 40).unwrap();
    let l1 = u64::from_be_bytes(l1);
    // As many tables as possible in a file that is one hole
    let tables = |first: u64, step: u64| -> Vec<u8> {
        (0..1_u64 << 22).flat_map(|index| (1_u64 << 63 | (first + index * step)).to_be_bytes()).collect()
    };
    file.set_len(1 << 40).unwrap();
    for entries in [tables(1 << 32, 0), tables(1 << 32, CLUSTER)] {
        file.write_all_at(&entries, l1).unwrap();
        opens_quickly(&path);
    }
    // As many as are looked at
    let mut entries = tables(1 << 32, CLUSTER);
    entries[4096 * 8..].fill(0);
    file.write_all_at(&entries, l1).unwrap();
    opens_quickly(&path);
    // Longer than is looked at
    file.write_all_at(&vec![0; entries.len()], l1).unwrap();
    file.set_len(1 << 42).unwrap();
    opens_quickly(&path);
}
