//! Files go back and forth between us, QEMU's tools and imago, a qcow2 implementation by others.

use std::os::unix::fs::FileExt;
use std::path::Path;

use storage::disk::Disk;
use storage::image::{BackingName, Format, ImageSource, NewImage, detect, info, open_chain, open_snapshot};

use crate::support::{
    Folder, Numbers, assert_clean, backing, content, content_by_qemu, open_all, open_qcow2, qemu_ok, read, read_write,
    source, text, write,
};

const SIZE: u64 = 12 << 20;

/// Writes the same random ranges to an image by `qemu-io` and to a vector.
fn write_by_qemu(path: &Path, seed: u64, model: &mut [u8]) {
    let mut numbers = Numbers(seed);
    let mut commands = Vec::new();
    for _ in 0..60 {
        let start = numbers.below(SIZE / 512) * 512;
        let len = (1 + numbers.below(400)) * 512;
        let len = len.min(SIZE - start);
        let range = start as usize..(start + len) as usize;
        match numbers.below(4) {
            0 => {
                commands.push(format!("write -z {start} {len}"));
                model[range].fill(0);
            }
            _ => {
                let value = 1 + numbers.below(255);
                commands.push(format!("write -P {value} {start} {len}"));
                model[range].fill(value as u8);
            }
        }
    }
    let arguments: Vec<&str> = commands.iter().flat_map(|command| ["-c", command]).collect();
    qemu_ok("qemu-io", &[&["-f", "qcow2"][..], &arguments, &[text(path)]].concat());
}

/// Writes random ranges to an image by us and to a vector.
fn write_by_us(disk: &dyn Disk, seed: u64, model: &mut [u8]) {
    let mut numbers = Numbers(seed);
    for _ in 0..60 {
        let start = numbers.below(SIZE / 512) * 512;
        let len = ((1 + numbers.below(400)) * 512).min(SIZE - start);
        let value = numbers.below(256) as u8;
        if numbers.below(4) == 0 {
            disk.discard(start, len).unwrap();
            model[start as usize..(start + len) as usize].fill(0);
        } else {
            write(disk, start, &vec![value; len as usize]).unwrap();
            model[start as usize..(start + len) as usize].fill(value);
        }
    }
}

fn goes_back_and_forth(options: &str) {
    let folder = Folder::new();
    let path = folder.path("disk");
    qemu_ok("qemu-img", &["create", "-f", "qcow2", "-o", options, text(&path), &SIZE.to_string()]);
    let mut model = vec![0; SIZE as usize];
    for round in 1..4 {
        write_by_qemu(&path, 77 * round, &mut model);
        let image = open_qcow2(&path);
        assert!(content(&image) == model, "{options}, after QEMU, {round}");
        write_by_us(&image, 99 * round, &mut model);
        drop(image);
        assert_clean(&path);
        assert!(content_by_qemu(&folder, &path) == model, "{options}, after us, {round}");
    }
}

#[test]
fn images_of_every_kind_that_qemu_makes_go_back_and_forth() {
    for options in [
        "cluster_size=64k",
        "cluster_size=512",
        "cluster_size=2M",
        "compat=0.10",
        "compat=0.10,cluster_size=4k",
        "preallocation=metadata",
        "preallocation=full",
        "lazy_refcounts=on",
    ] {
        goes_back_and_forth(options);
    }
}

#[test]
fn reference_counts_of_every_width_go_back_and_forth() {
    for bits in ["1", "2", "4", "8", "32", "64"] {
        goes_back_and_forth(&format!("refcount_bits={bits},cluster_size=4k"));
    }
}

#[test]
fn images_that_imago_wrote_are_read_and_ours_are_read_by_imago() {
    use imago::qcow2::Qcow2;
    use imago::{DenyImplicitOpenGate, FormatAccess, FormatDriverBuilder, Storage, StorageOpenOptions};

    let folder = Folder::new();
    let path = folder.qcow2("disk", &NewImage::new(SIZE));
    let open_by_imago = || {
        let options = StorageOpenOptions::new().filename(&path).write(true);
        let file = imago::file::File::open(options).unwrap();
        let builder = Qcow2::<imago::file::File>::builder(file).write(true).backing(None);
        FormatAccess::new(builder.open(DenyImplicitOpenGate::default()).unwrap())
    };
    let mut model = vec![0; SIZE as usize];
    let image = open_qcow2(&path);
    write_by_us(&image, 5, &mut model);
    drop(image);

    let by_imago = open_by_imago();
    let mut found = vec![1; SIZE as usize];
    by_imago.read(&mut found[..], 0).unwrap();
    assert!(found == model);
    let mut numbers = Numbers(6);
    for _ in 0..50 {
        let start = numbers.below(SIZE / 512 - 300) * 512;
        let bytes = vec![numbers.below(256) as u8; 300 * 512];
        by_imago.write(&bytes[..], start).unwrap();
        model[start as usize..start as usize + bytes.len()].copy_from_slice(&bytes);
    }
    drop(by_imago);
    assert!(content(&open_qcow2(&path)) == model);
}

#[test]
fn compressed_images_are_read_and_written() {
    let folder = Folder::new();
    let plain = folder.path("plain.raw");
    let mut numbers = Numbers(3);
    let mut model: Vec<u8> =
        (0..SIZE).map(|byte| if byte % 5000 < 1000 { numbers.below(7) as u8 } else { 9 }).collect();
    std::fs::write(&plain, &model).unwrap();
    let path = folder.path("disk");
    qemu_ok("qemu-img", &["convert", "-c", "-O", "qcow2", text(&plain), text(&path)]);

    let image = open_qcow2(&path);
    assert!(content(&image) == model);
    write_by_us(&image, 8, &mut model);
    assert!(content(&image) == model);
    drop(image);
    assert_clean(&path);
    assert!(content_by_qemu(&folder, &path) == model);
}

#[test]
fn snapshots_inside_an_image_keep_their_content() {
    let folder = Folder::new();
    let path = folder.path("disk");
    qemu_ok("qemu-img", &["create", "-f", "qcow2", "-o", "cluster_size=4k", text(&path), &SIZE.to_string()]);
    let mut model = vec![0; SIZE as usize];
    write_by_qemu(&path, 21, &mut model);
    qemu_ok("qemu-img", &["snapshot", "-c", "before", text(&path)]);
    let before = model.clone();

    let image = open_qcow2(&path);
    write_by_us(&image, 22, &mut model);
    image.flush().unwrap();
    write_by_us(&image, 23, &mut model);
    drop(image);
    assert_clean(&path);
    assert!(content_by_qemu(&folder, &path) == model);

    assert_eq!(info(&read_write(&path)).unwrap().internal_snapshots, 1);
    qemu_ok("qemu-img", &["snapshot", "-a", "before", text(&path)]);
    assert_clean(&path);
    assert!(content_by_qemu(&folder, &path) == before);
    assert!(content(&open_qcow2(&path)) == before);
}

#[test]
fn an_overlay_of_ours_is_opened_by_qemu_with_what_it_builds_on() {
    let folder = Folder::new();
    let base = folder.qcow2("base", &NewImage::new(SIZE));
    let mut model = vec![0; SIZE as usize];
    write_by_qemu(&base, 31, &mut model);
    let top = folder.qcow2("top", &NewImage::overlay(SIZE, backing("base", "qcow2")));
    write_by_qemu(&top, 32, &mut model);
    let image = open_all(&[base.clone(), top.clone()]);
    assert!(content(&image) == model);
    write_by_us(&image, 33, &mut model);
    drop(image);
    assert!(content_by_qemu(&folder, &top) == model);
    assert_clean(&top);
}

#[test]
fn a_snapshot_of_a_chain_takes_writes_and_leaves_nothing() {
    let folder = Folder::new();
    let base = folder.qcow2("base", &NewImage::new(SIZE));
    let mut model = vec![0; SIZE as usize];
    write_by_qemu(&base, 41, &mut model);
    let before = std::fs::read(&base).unwrap();

    let scratch = Folder::new();
    let mut changed = model.clone();
    let image = open_snapshot(vec![source(&base, Format::Qcow2)], &scratch.path("")).unwrap();
    assert!(!image.is_read_only());
    write_by_us(&image, 42, &mut changed);
    image.flush().unwrap();
    assert!(content(&image) == changed);
    drop(image);

    assert_eq!(std::fs::read_dir(scratch.path("")).unwrap().count(), 0);
    assert!(std::fs::read(&base).unwrap() == before);
}

#[test]
fn a_growing_image_of_small_clusters_outgrows_its_refcount_table() {
    // One cluster of the table counts 64 blocks of 256 clusters of 512 bytes: 8 MiB
    let size = 40 << 20;
    let folder = Folder::new();
    let path = folder.qcow2("disk", &NewImage { cluster_bits: 9, ..NewImage::new(size) });
    let image = open_qcow2(&path);
    let mut model = vec![0; size as usize];
    for (number, start) in (0..size).step_by(1 << 20).enumerate() {
        let bytes = vec![number as u8 + 1; 1 << 20];
        write(&image, start, &bytes).unwrap();
        model[start as usize..start as usize + bytes.len()].copy_from_slice(&bytes);
        if number % 7 == 0 {
            image.flush().unwrap();
        }
    }
    drop(image);
    assert_clean(&path);
    assert!(content_by_qemu(&folder, &path) == model);
}

#[test]
fn a_raw_image_with_a_qcow2_header_written_by_its_guest_stays_raw() {
    let folder = Folder::new();
    let path = folder.raw("disk", SIZE);
    let image = open_chain(vec![source(&path, Format::Raw)]).unwrap();
    let header = b"QFI\xfb\0\0\0\x03 whatever";
    write(&image, 0, header).unwrap();
    drop(image);
    let image = open_chain(vec![source(&path, Format::Raw)]).unwrap();
    assert_eq!(read(&image, 0, header.len()).unwrap(), header);
    assert_eq!(detect(&read_write(&path)).unwrap(), Format::Qcow2);
}

#[test]
fn a_raw_file_of_odd_length_is_a_disk_of_whole_sectors() {
    let folder = Folder::new();
    let path = folder.path("disk");
    std::fs::write(&path, vec![7; 1000]).unwrap();
    let image = open_chain(vec![source(&path, Format::Raw)]).unwrap();
    assert_eq!(image.len_bytes(), 1024);
    assert_eq!(read(&image, 512, 512).unwrap(), [vec![7; 488], vec![0; 24]].concat());
    write(&image, 512, &[8; 512]).unwrap();
    image.flush().unwrap();
    assert_eq!(read_write(&path).metadata().unwrap().len(), 1024);
}

#[test]
fn discarding_a_raw_image_gives_its_space_back() {
    use std::os::unix::fs::MetadataExt;
    let folder = Folder::new();
    let path = folder.raw("disk", SIZE);
    let image = open_chain(vec![source(&path, Format::Raw)]).unwrap();
    write(&image, 0, &vec![1; SIZE as usize]).unwrap();
    image.discard(0, SIZE).unwrap();
    image.flush().unwrap();
    assert!(content(&image).iter().all(|byte| *byte == 0));
    assert!(std::fs::metadata(&path).unwrap().blocks() * 512 < 1 << 20);
}

#[test]
fn info_says_what_qemu_img_says() {
    let folder = Folder::new();
    let path = folder.path("top");
    let base = folder.raw("base", SIZE);
    let options = "backing_file=base,backing_fmt=raw,cluster_size=32k";
    qemu_ok("qemu-img", &["create", "-f", "qcow2", "-o", options, text(&path)]);
    let found = info(&read_write(&path)).unwrap();
    assert_eq!((found.format, found.virtual_size), (Format::Qcow2, SIZE));
    assert_eq!((found.cluster_size, found.version), (Some(32768), Some(3)));
    assert_eq!(found.backing, Some(BackingName { name: "base".to_owned(), format: Some("raw".to_owned()) }));
    let base = info(&read_write(&base)).unwrap();
    assert_eq!((base.format, base.virtual_size, base.allocated), (Format::Raw, SIZE, 0));
}

#[test]
fn a_read_only_image_refuses_writes_and_leaves_its_file_alone() {
    let folder = Folder::new();
    let path = folder.qcow2("disk", &NewImage::new(SIZE));
    // Bitmaps that a writer would have to mark as outdated
    read_write(&path).write_all_at(&[0, 0, 0, 0, 0, 0, 0, 1], 88).unwrap();
    let before = std::fs::read(&path).unwrap();
    let image = open_chain(vec![ImageSource { read_only: true, ..source(&path, Format::Qcow2) }]).unwrap();
    assert!(image.is_read_only());
    assert_eq!(write(&image, 0, &[1]).unwrap_err().kind(), std::io::ErrorKind::PermissionDenied);
    assert_eq!(image.discard(0, 512).unwrap_err().kind(), std::io::ErrorKind::PermissionDenied);
    image.flush().unwrap();
    drop(image);
    assert!(std::fs::read(&path).unwrap() == before);

    drop(open_qcow2(&path));
    assert_eq!(std::fs::read(&path).unwrap()[88..96], [0; 8]);
}
