//! Random operations on an image do what they do to a vector, and leave files that QEMU reads the same way.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use proptest::prelude::*;
use storage::disk::Disk;
use storage::image::{Format, Image, ImageSource, NewImage, open_chain};
use vm_memory::VolatileSlice;

use crate::support::{Folder, assert_clean, backing, content, content_by_qemu, read};

/// Not a multiple of any cluster size.
const SIZE: u64 = (1 << 20) + 3 * 512;

#[derive(Debug, Clone)]
enum Step {
    Write { offset: u64, len: u64, value: u8, pieces: usize },
    Discard { offset: u64, len: u64 },
    Read { offset: u64, len: u64 },
    Flush,
    Reopen,
}

fn range() -> impl Strategy<Value = (u64, u64)> {
    // Mostly whole sectors, as controllers ask for; short and long
    let sectors = (0..SIZE / 512, prop_oneof![1_u64..16, 1_u64..400]).prop_map(|(start, len)| (start * 512, len * 512));
    let bytes = (0..SIZE, 1_u64..5000);
    prop_oneof![4 => sectors, 1 => bytes].prop_map(|(offset, len)| (offset, len.min(SIZE - offset)))
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (range(), 1_u8.., 1_usize..4)
            .prop_map(|((offset, len), value, pieces)| Step::Write { offset, len, value, pieces }),
        2 => range().prop_map(|(offset, len)| Step::Discard { offset, len }),
        2 => range().prop_map(|(offset, len)| Step::Read { offset, len }),
        1 => Just(Step::Flush),
        1 => Just(Step::Reopen),
    ]
}

/// The kinds of chains that are tried.
#[derive(Debug, Clone, Copy)]
struct Chain {
    cluster_bits: u32,
    /// Sizes of the images below, in bytes: smaller, equal or larger than the disk.
    below: &'static [u64],
    base_is_raw: bool,
    direct: bool,
}

fn run_steps(chain: Chain, steps: &[Step]) {
    let folder = Folder::new();
    let mut model = vec![0; SIZE as usize];
    let mut paths: Vec<(PathBuf, Format)> = Vec::new();
    for (number, size) in chain.below.iter().copied().chain([SIZE]).enumerate() {
        let name = format!("layer{number}");
        let raw = number == 0 && chain.base_is_raw;
        let path = if raw {
            folder.raw(&name, size)
        } else {
            let mut new = NewImage { cluster_bits: chain.cluster_bits, ..NewImage::new(size) };
            new.backing = number.checked_sub(1).map(|below| {
                backing(&format!("layer{below}"), if paths[below].1 == Format::Raw { "raw" } else { "qcow2" })
            });
            folder.qcow2(&name, &new)
        };
        paths.push((path, if raw { Format::Raw } else { Format::Qcow2 }));
        if number < chain.below.len() {
            // Something to shine through
            let image = open(&paths, false);
            for start in (0..size).step_by(200_000) {
                let len = 70_000.min(size - start);
                crate::support::write(&image, start, &vec![0x80 + number as u8; len as usize]).unwrap();
                let end = (start + len).min(SIZE);
                if start < end {
                    model[start as usize..end as usize].fill(0x80 + number as u8);
                }
            }
        }
        // Below a smaller image there is nothing
        model[size.min(SIZE) as usize..].fill(0);
    }

    let mut image = open(&paths, chain.direct);
    for step in steps {
        match *step {
            Step::Write { offset, len, value, pieces } => {
                write_in_pieces(&image, offset, &mut vec![value; len as usize], pieces);
                model[offset as usize..(offset + len) as usize].fill(value);
            }
            Step::Discard { offset, len } => {
                image.discard(offset, len).unwrap();
                model[offset as usize..(offset + len) as usize].fill(0);
            }
            Step::Read { offset, len } => {
                let found = read(&image, offset, len as usize).unwrap();
                assert!(found == model[offset as usize..(offset + len) as usize], "{offset}+{len}");
            }
            Step::Flush => image.flush().unwrap(),
            Step::Reopen => {
                drop(image);
                image = open(&paths, chain.direct);
            }
        }
    }
    assert!(content(&image) == model);
    drop(image);
    let (top, format) = &paths[paths.len() - 1];
    if *format == Format::Qcow2 {
        assert_clean(top);
    }
    assert!(content_by_qemu(&folder, top) == model);
}

fn open(paths: &[(PathBuf, Format)], direct: bool) -> Image {
    let flags = if direct { libc::O_DIRECT } else { 0 };
    let file = |path| File::options().read(true).write(true).custom_flags(flags).open(path).unwrap();
    let sources = paths.iter().map(|(path, format)| ImageSource {
        file: file(path),
        format: *format,
        read_only: false,
        after_crash: false,
    });
    open_chain(sources.collect()).unwrap()
}

fn write_in_pieces(image: &Image, offset: u64, bytes: &mut [u8], pieces: usize) {
    let size = bytes.len().div_ceil(pieces);
    let slices: Vec<_> = bytes.chunks_mut(size).map(VolatileSlice::from).collect();
    image.write(offset, &slices).unwrap();
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step(), 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn a_qcow2_image_of_the_usual_clusters_behaves_like_a_vector(steps in steps()) {
        run_steps(Chain { cluster_bits: 16, below: &[], base_is_raw: false, direct: false }, &steps);
    }

    #[test]
    fn a_qcow2_image_of_the_smallest_clusters_behaves_like_a_vector(steps in steps()) {
        run_steps(Chain { cluster_bits: 9, below: &[], base_is_raw: false, direct: false }, &steps);
    }

    #[test]
    fn a_qcow2_image_of_the_largest_clusters_behaves_like_a_vector(steps in steps()) {
        run_steps(Chain { cluster_bits: 21, below: &[SIZE], base_is_raw: false, direct: false }, &steps);
    }

    #[test]
    fn an_overlay_on_a_smaller_raw_image_behaves_like_a_vector(steps in steps()) {
        run_steps(Chain { cluster_bits: 12, below: &[300_032], base_is_raw: true, direct: false }, &steps);
    }

    #[test]
    fn a_chain_of_overlays_of_different_sizes_behaves_like_a_vector(steps in steps()) {
        run_steps(Chain { cluster_bits: 16, below: &[2 * SIZE, 500_224], base_is_raw: false, direct: false }, &steps);
    }

    #[test]
    fn a_chain_that_bypasses_the_hosts_cache_behaves_like_a_vector(steps in steps()) {
        run_steps(Chain { cluster_bits: 12, below: &[SIZE], base_is_raw: false, direct: true }, &steps);
    }

    #[test]
    fn small_clusters_that_bypass_the_hosts_cache_behave_like_a_vector(steps in steps()) {
        run_steps(Chain { cluster_bits: 9, below: &[], base_is_raw: false, direct: true }, &steps);
    }

    #[test]
    fn a_raw_image_behaves_like_a_vector(steps in steps()) {
        run_steps(Chain { cluster_bits: 16, below: &[], base_is_raw: true, direct: false }, &steps);
    }
}
