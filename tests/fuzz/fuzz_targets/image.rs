//! The image layer under a hostile image, or a hostile guest on a sound one.
#![no_main]

use std::fs::File;
use std::os::unix::fs::FileExt;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use rustix::fs::{MemfdFlags, memfd_create};
use storage::disk::Disk;
use storage::image::{BackingName, Format, ImageSource, NewImage, create_qcow2, detect, info, open_chain};
use vm_memory::VolatileSlice;

/// Long enough for several level 2 tables of the smallest clusters.
const SIZE: u64 = 256 << 10;

#[derive(Debug, Arbitrary)]
struct Input {
    /// Modulo the sizes that are tried.
    cluster_size: u8,
    overlay: bool,
    crashed: bool,
    damages: Vec<Damage>,
    operations: Vec<Operation>,
}

#[derive(Debug, Arbitrary)]
struct Damage {
    /// Which cluster of the file's beginning, where the tables are.
    cluster: u8,
    /// Which number in it; the header's fields are not aligned, so this counts bytes in the first cluster.
    place: u16,
    value: Value,
}

#[derive(Debug, Arbitrary)]
enum Value {
    Byte(u8),
    Short(u32),
    Long(u64),
    /// An entry of a table: a cluster and the flags of either level.
    Entry {
        cluster: u8,
        copied: bool,
        compressed: bool,
        zero: bool,
    },
    /// The file ends here.
    Cut,
}

#[derive(Debug, Arbitrary)]
enum Operation {
    Read { offset: u32, len: u16 },
    Write { offset: u32, len: u16, value: u8 },
    Discard { offset: u32, len: u32 },
    Flush,
    Reopen { crashed: bool },
}

fn memory_file() -> File {
    memfd_create("image", MemfdFlags::CLOEXEC).expect("memory for a file").into()
}

fn damage(file: &File, damage: &Damage, cluster_bits: u32) {
    let cluster = u64::from(damage.cluster % 16) << cluster_bits;
    let place = u64::from(damage.place);
    let offset = if cluster == 0 { place % 600 } else { cluster + place * 8 % (1 << cluster_bits) };
    let bytes = match damage.value {
        Value::Byte(value) => vec![value],
        Value::Short(value) => value.to_be_bytes().to_vec(),
        Value::Long(value) => value.to_be_bytes().to_vec(),
        Value::Entry { cluster, copied, compressed, zero } => {
            let host = u64::from(cluster) << cluster_bits;
            (host | u64::from(copied) << 63 | u64::from(compressed) << 62 | u64::from(zero)).to_be_bytes().to_vec()
        }
        Value::Cut => {
            file.set_len(offset).expect("a shorter file");
            return;
        }
    };
    file.write_all_at(&bytes, offset).expect("damage");
}

fn open(files: &[File], after_crash: bool) -> Option<storage::image::Image> {
    let sources = files.iter().map(|file| {
        let file = file.try_clone().expect("a descriptor");
        ImageSource { file, format: Format::Qcow2, read_only: false, after_crash }
    });
    open_chain(sources.collect()).ok()
}

/// The part of a range that is inside the disk.
fn clamp(offset: u32, len: u32, disk_len: u64) -> (u64, u64) {
    let offset = u64::from(offset) % disk_len;
    (offset, u64::from(len).min(disk_len - offset))
}

fuzz_target!(|input: Input| {
    let cluster_bits = [9, 10, 12, 16][usize::from(input.cluster_size % 4)];
    let mut files = vec![memory_file()];
    let new = NewImage { cluster_bits, ..NewImage::new(SIZE) };
    create_qcow2(&files[0], &new).expect("a new image");
    let mut model = vec![0; SIZE as usize];
    // Something to find in the tables, and below an overlay
    let image = open(&files, false).expect("a sound image");
    for start in [0, SIZE / 3, SIZE / 2 + 100] {
        let mut bytes = [0x11; 3000];
        image.write(start, &[VolatileSlice::from(&mut bytes[..])]).expect("a write to a sound image");
        model[start as usize..start as usize + 3000].fill(0x11);
    }
    drop(image);
    if input.overlay {
        let backing = BackingName { name: "below".to_owned(), format: Some("qcow2".to_owned()) };
        let top = memory_file();
        create_qcow2(&top, &NewImage { backing: Some(backing), ..new }).expect("a new overlay");
        files.push(top);
    }
    let sound = input.damages.is_empty();
    for change in &input.damages {
        damage(&files[files.len() - 1], change, cluster_bits);
    }
    let top = &files[files.len() - 1];
    let _ = detect(top);
    let _ = info(top);

    let Some(mut image) = open(&files, input.crashed) else {
        assert!(!sound, "a sound image was refused");
        return;
    };
    let len = image.len_bytes();
    for operation in &input.operations {
        match *operation {
            Operation::Read { offset, len: count } => {
                let (offset, count) = clamp(offset, count.into(), len);
                let mut bytes = vec![0xee; count as usize];
                let result = image.read(offset, &[VolatileSlice::from(&mut bytes[..])]);
                assert!(!sound || result.is_ok(), "{result:?}");
                assert!(!sound || bytes == model[offset as usize..(offset + count) as usize]);
            }
            Operation::Write { offset, len: count, value } => {
                let (offset, count) = clamp(offset, count.into(), len);
                let mut bytes = vec![value; count as usize];
                let result = image.write(offset, &[VolatileSlice::from(&mut bytes[..])]);
                assert!(!sound || result.is_ok(), "{result:?}");
                if sound {
                    model[offset as usize..(offset + count) as usize].fill(value);
                }
            }
            Operation::Discard { offset, len: count } => {
                let (offset, count) = clamp(offset, count, len.min(1 << 24));
                let result = image.discard(offset, count);
                assert!(!sound || result.is_ok(), "{result:?}");
                if sound {
                    model[offset as usize..(offset + count) as usize].fill(0);
                }
            }
            Operation::Flush => {
                let result = image.flush();
                assert!(!sound || result.is_ok(), "{result:?}");
            }
            Operation::Reopen { crashed } => {
                drop(image);
                match open(&files, crashed) {
                    Some(again) => image = again,
                    None => {
                        assert!(!sound, "a sound image was refused");
                        return;
                    }
                }
            }
        }
    }
});
