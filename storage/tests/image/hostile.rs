//! Images that lie: refused quickly with a sentence, or answered with an error; never a panic, never much memory.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use storage::disk::Disk;
use storage::image::{Format, ImageError, ImageSource, NewImage, info, open_chain};

use crate::support::{Folder, backing, open_qcow2, qemu_ok, read, read_write, source, text, write};

const SIZE: u64 = 4 << 20;
const CLUSTER: u64 = 64 << 10;

/// Where the tables of an image that we made are.
const REFCOUNT_BLOCK: u64 = 2 * CLUSTER;
const L1: u64 = 3 * CLUSTER;

/// A sound image with some data at its beginning.
fn image(folder: &Folder) -> PathBuf {
    let path = folder.qcow2("disk", &NewImage::new(SIZE));
    write(&open_qcow2(&path), 0, &[7; 200_000]).unwrap();
    path
}

fn open(path: &Path) -> Result<storage::image::Image, ImageError> {
    open_chain(vec![source(path, Format::Qcow2)])
}

fn open_read_only(path: &Path) -> Result<storage::image::Image, ImageError> {
    open_chain(vec![ImageSource { read_only: true, ..source(path, Format::Qcow2) }])
}

fn patch(path: &Path, offset: u64, bytes: &[u8]) {
    read_write(path).write_all_at(bytes, offset).unwrap();
}

fn read_u64(path: &Path, offset: u64) -> u64 {
    let mut bytes = [0; 8];
    File::open(path).unwrap().read_exact_at(&mut bytes, offset).unwrap();
    u64::from_be_bytes(bytes)
}

/// The error of an image with this change of its header.
fn refused(offset: u64, bytes: &[u8]) -> ImageError {
    let folder = Folder::new();
    let path = image(&folder);
    patch(&path, offset, bytes);
    open(&path).map(|_| format!("{bytes:x?} at {offset} was accepted")).unwrap_err()
}

#[test]
fn impossible_numbers_in_the_header_are_damage() {
    let mut cases: Vec<(u64, Vec<u8>)> = Vec::new();
    for cluster_bits in [0_u32, 8, 22, 32, 63, 64, u32::MAX] {
        cases.push((20, cluster_bits.to_be_bytes().to_vec()));
    }
    for size in [0, 511, 1 << 60, u64::MAX, !511] {
        cases.push((24, size.to_be_bytes().to_vec()));
    }
    for l1_entries in [0_u32, 1 << 23, u32::MAX] {
        cases.push((36, l1_entries.to_be_bytes().to_vec()));
    }
    for offset in [0, 8, CLUSTER + 1, 1 << 40, u64::MAX, u64::MAX << 16] {
        cases.push((40, offset.to_be_bytes().to_vec()));
        cases.push((48, offset.to_be_bytes().to_vec()));
    }
    for table_clusters in [129_u32, u32::MAX] {
        cases.push((56, table_clusters.to_be_bytes().to_vec()));
    }
    cases.push((32, 3_u32.to_be_bytes().to_vec()));
    for refcount_order in [7_u32, u32::MAX] {
        cases.push((96, refcount_order.to_be_bytes().to_vec()));
    }
    for header_len in [0_u32, 72, 105, 1 << 17, u32::MAX] {
        cases.push((100, header_len.to_be_bytes().to_vec()));
    }
    for (offset, bytes) in cases {
        let error = refused(offset, &bytes);
        assert!(matches!(error, ImageError::Damaged { .. }), "{bytes:x?} at {offset}: {error}");
    }
}

#[test]
fn a_backing_name_outside_the_header_is_damage() {
    for (offset, len) in [(u64::MAX, 10_u32), (CLUSTER - 5, 10), (200, 1024), (200, u32::MAX)] {
        let bytes = [&offset.to_be_bytes()[..], &len.to_be_bytes()].concat();
        assert!(matches!(refused(8, &bytes), ImageError::Damaged { .. }), "{offset} {len}");
    }
}

#[test]
fn features_that_are_not_supported_are_named() {
    let feature = |offset, bytes: &[u8]| match refused(offset, bytes) {
        ImageError::Unsupported { feature, .. } => feature,
        other => panic!("{other}"),
    };
    assert_eq!(feature(32, &1_u32.to_be_bytes()), "encryption");
    assert_eq!(feature(32, &2_u32.to_be_bytes()), "encryption");
    assert_eq!(feature(4, &1_u32.to_be_bytes()), "the old qcow format (version 1)");
    assert_eq!(feature(4, &4_u32.to_be_bytes()), "version 4 of the qcow2 format");
    assert_eq!(feature(72, &(1_u64 << 5).to_be_bytes()), "feature 5");
    assert_eq!(feature(72, &(1_u64 << 63).to_be_bytes()), "feature 63");
}

#[test]
fn an_unknown_feature_is_called_by_the_name_that_the_image_gives_it() {
    let folder = Folder::new();
    let path = image(&folder);
    let mut name = [0; 46];
    name[..11].copy_from_slice(b"time\ntravel");
    let table = [&0x6803_f857_u32.to_be_bytes()[..], &48_u32.to_be_bytes(), &[0, 9], &name].concat();
    patch(&path, 104, &table);
    patch(&path, 72, &(1_u64 << 9).to_be_bytes());
    let error = open(&path).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("time\u{fffd}travel"), "{error}");
}

#[test]
fn what_qemu_makes_and_we_do_not_support_is_refused_with_its_name() {
    let folder = Folder::new();
    let cases = [
        ("data_file=data,data_file_raw=on", "an external data file"),
        ("compression_type=zstd", "zstd"),
        ("extended_l2=on", "subclusters"),
    ];
    for (options, name) in cases {
        let path = folder.path("disk");
        let options = options.replace("=data,", &format!("={},", text(&folder.path("data"))));
        qemu_ok("qemu-img", &["create", "-f", "qcow2", "-o", &options, text(&path), "1M"]);
        let error = open(&path).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains(name), "{error}");
        assert!(info(&read_write(&path)).is_err());
        std::fs::remove_file(&path).unwrap();
    }
}

#[test]
fn an_image_that_was_not_closed_is_read_and_not_written() {
    let folder = Folder::new();
    let path = image(&folder);
    patch(&path, 72, &1_u64.to_be_bytes());
    let error = open(&path).map(|_| ()).unwrap_err();
    assert!(matches!(error, ImageError::NotClosed { .. }), "{error}");
    assert_eq!(read(&open_read_only(&path).unwrap(), 0, 16).unwrap(), [7; 16]);
    assert!(info(&read_write(&path)).unwrap().needs_repair);
    qemu_ok("qemu-img", &["check", "-r", "all", text(&path)]);
    open(&path).unwrap();
}

#[test]
fn an_image_marked_as_corrupt_is_read_and_not_written() {
    let folder = Folder::new();
    let path = image(&folder);
    patch(&path, 72, &2_u64.to_be_bytes());
    assert!(matches!(open(&path), Err(ImageError::Damaged { .. })));
    assert_eq!(read(&open_read_only(&path).unwrap(), 0, 16).unwrap(), [7; 16]);
}

#[test]
fn a_backing_name_is_never_followed() {
    let folder = Folder::new();
    folder.raw("secret", SIZE);
    let path = folder.qcow2("disk", &NewImage::overlay(SIZE, backing("secret", "raw")));
    let error = open(&path).map(|_| ()).unwrap_err();
    assert!(matches!(&error, ImageError::BackingMissing { backing, .. } if backing == "secret"), "{error}");
}

#[test]
fn an_image_that_stands_alone_is_not_put_on_another() {
    let folder = Folder::new();
    let (base, top) = (folder.raw("base", SIZE), folder.qcow2("top", &NewImage::new(SIZE)));
    let error = open_chain(vec![source(&base, Format::Raw), source(&top, Format::Qcow2)]).map(|_| ()).unwrap_err();
    assert!(matches!(error, ImageError::BackingUnexpected { .. }), "{error}");
}

#[test]
fn no_image_and_too_many_are_refused() {
    assert!(matches!(open_chain(Vec::new()), Err(ImageError::NoImage)));
    let folder = Folder::new();
    let path = folder.raw("disk", SIZE);
    let many = (0..201).map(|_| source(&path, Format::Raw)).collect();
    assert!(matches!(open_chain(many), Err(ImageError::ChainTooLong { count: 201, .. })));
}

#[test]
fn an_image_cut_off_anywhere_is_refused_or_says_what_is_missing() {
    let folder = Folder::new();
    let path = image(&folder);
    let whole = std::fs::read(&path).unwrap();
    for len in (0..whole.len()).step_by(20_011).chain([1, 4, 71, 72, 103, 104, 511]) {
        std::fs::write(&path, &whole[..len]).unwrap();
        if let Ok(image) = open(&path) {
            // The tables are there, the end of the data is not; what there is may be read, what there isn't may not
            // be zeroes
            match read(&image, 0, 200_000) {
                Ok(found) => assert!(len >= whole.len() - 2 * CLUSTER as usize && found[..100] == [7; 100], "{len}"),
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{len}"),
            }
        }
    }
}

#[test]
fn entries_that_point_into_the_images_own_tables_are_not_written_through() {
    let folder = Folder::new();
    for target in [L1, CLUSTER / 2, 1 << 50] {
        let path = image(&folder);
        let l2 = read_u64(&path, L1) & 0x00ff_ffff_ffff_fe00;
        patch(&path, l2, &(1 << 63 | target).to_be_bytes());
        let image = open(&path).unwrap();
        assert_eq!(write(&image, 0, &[1; 512]).unwrap_err().kind(), io::ErrorKind::InvalidData);
        drop(image);
        std::fs::remove_file(&path).unwrap();
    }
}

#[test]
fn level_2_tables_in_impossible_places_are_damage() {
    let folder = Folder::new();
    let path = image(&folder);
    for entry in [1_u64 << 63 | 512, 1 << 63 | 1 << 50, 0x00ff_ffff_ffff_0000] {
        patch(&path, L1, &entry.to_be_bytes());
        let image = open(&path).unwrap();
        assert_eq!(read(&image, 0, 512).unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!(write(&image, 0, &[1; 512]).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}

#[test]
fn counts_that_call_the_tables_unused_do_not_get_them_overwritten() {
    let folder = Folder::new();
    let path = image(&folder);
    patch(&path, REFCOUNT_BLOCK, &[0; 64]);
    let image = open(&path).unwrap();
    let error = write(&image, SIZE - 512, &[1; 512]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error}");
    assert_eq!(read(&image, 0, 16).unwrap(), [7; 16]);
}

#[test]
fn compressed_rubbish_is_an_error() {
    let folder = Folder::new();
    let path = image(&folder);
    let l2 = read_u64(&path, L1) & 0x00ff_ffff_ffff_fe00;
    for place in [0, 5 * CLUSTER + 77, 1 << 50] {
        patch(&path, l2, &(1_u64 << 62 | 127 << 54 | place).to_be_bytes());
        let image = open(&path).unwrap();
        assert_eq!(read(&image, 100, 512).unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!(write(&image, 100, &[1; 512]).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}

#[test]
fn the_largest_tables_that_are_accepted_open_quickly() {
    let folder = Folder::new();
    let path = folder.path("disk");
    // 2^22 entries are 32 MiB, full of pointers to the same table
    qemu_ok("qemu-img", &["create", "-f", "qcow2", text(&path), "2P"]);
    let l1 = read_u64(&path, 40);
    let entries: Vec<u8> = (1_u64 << 63 | l1).to_be_bytes().repeat(1 << 22);
    patch(&path, l1, &entries);
    let start = std::time::Instant::now();
    let image = open(&path).unwrap();
    let mut seen = 0;
    for l1_index in (0..1_u64 << 22).step_by(4001) {
        seen += usize::from(read(&image, l1_index << 29, 512).is_ok());
    }
    // Each of these tables was loaded, and most of them dropped again
    assert!(seen > 0);
    drop(image);
    assert!(start.elapsed().as_secs() < 60, "{:?}", start.elapsed());
}

#[derive(Debug, Clone)]
struct Damage {
    /// Part of the file, by its table, so that most changes hit something of interest.
    table: u64,
    offset: u64,
    bytes: Vec<u8>,
}

fn damage() -> impl Strategy<Value = Damage> {
    let table = prop_oneof![Just(0), Just(CLUSTER), Just(REFCOUNT_BLOCK), Just(L1), Just(4 * CLUSTER)];
    let number = prop_oneof![
        any::<u64>(),
        (0_u64..20, 0_u64..8).prop_map(|(cluster, flags)| (cluster * CLUSTER) | (flags << 61)),
        (0_u64..16).prop_map(|cluster| (cluster * CLUSTER) | 1),
    ];
    let bytes = prop_oneof![
        3 => number.prop_map(|number| number.to_be_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 1..16)
    ];
    let offset = prop_oneof![0_u64..112, (0_u64..64).prop_map(|entry| entry * 8)];
    (table, offset, bytes).prop_map(|(table, offset, bytes)| Damage { table, offset, bytes })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 250, ..ProptestConfig::default() })]

    /// Whatever it answers, it doesn't panic and it doesn't hang.
    #[test]
    fn a_damaged_image_is_used_without_panic(
        damages in prop::collection::vec(damage(), 1..6),
        operations in prop::collection::vec((0_u8..4, 0..SIZE / 512, 1_u64..600), 1..30),
        after_crash: bool
    ) {
        let folder = Folder::new();
        let path = image(&folder);
        for damage in &damages {
            patch(&path, damage.table + damage.offset, &damage.bytes);
        }
        if let Ok(image) = open_chain(vec![ImageSource { after_crash, ..source(&path, Format::Qcow2) }]) {
            for (operation, sector, sectors) in operations {
                let (offset, len) = (sector * 512, sectors * 512);
                let _ = match operation {
                    0 => read(&image, offset, len as usize).map(drop),
                    1 => write(&image, offset, &vec![3; len as usize]),
                    2 => image.discard(offset, len),
                    _ => image.flush(),
                };
            }
        }
    }
}
