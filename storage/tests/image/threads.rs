//! Many threads on one image, in each other's clusters.

use std::os::unix::fs::MetadataExt;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use storage::disk::Disk;
use storage::image::{Image, NewImage};

use crate::support::{
    Folder, Numbers, assert_clean, backing, content, content_by_qemu, open_all, open_qcow2, read, write,
};

const THREADS: u64 = 8;
const SECTOR: u64 = 512;
const SECTORS: u64 = 8192;
const STEPS: u64 = 1500;

/// Each thread owns every eighth sector, so that each cluster belongs to all. Says what they left.
fn hammer(image: &Image, before: &[u8]) -> Vec<u8> {
    let barrier = Barrier::new(THREADS as usize + 1);
    let running = AtomicBool::new(true);
    let mut model = before.to_vec();
    thread::scope(|scope| {
        let workers: Vec<_> = (0..THREADS)
            .map(|worker| {
                let barrier = &barrier;
                scope.spawn(move || {
                    barrier.wait();
                    work(image, worker, before)
                })
            })
            .collect();
        let flusher = scope.spawn(|| {
            barrier.wait();
            while running.load(Ordering::Relaxed) {
                image.flush().unwrap();
            }
        });
        for (worker, handle) in workers.into_iter().enumerate() {
            let own = handle.join().unwrap();
            for (number, sector) in own.iter().enumerate() {
                let start = (number * THREADS as usize + worker) * SECTOR as usize;
                model[start..start + SECTOR as usize].copy_from_slice(sector);
            }
        }
        running.store(false, Ordering::Relaxed);
        flusher.join().unwrap();
    });
    model
}

fn work(image: &Image, worker: u64, before: &[u8]) -> Vec<Vec<u8>> {
    let mut numbers = Numbers((worker + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let offset_of = |number: u64| (number * THREADS + worker) * SECTOR;
    let mut own: Vec<Vec<u8>> = (0..SECTORS / THREADS)
        .map(|number| before[offset_of(number) as usize..(offset_of(number) + SECTOR) as usize].to_vec())
        .collect();
    for step in 0..STEPS {
        let number = numbers.below(SECTORS / THREADS);
        let sector = &mut own[number as usize];
        match numbers.below(8) {
            0 | 1 => assert!(read(image, offset_of(number), SECTOR as usize).unwrap() == *sector),
            2 => {
                image.discard(offset_of(number), SECTOR).unwrap();
                sector.fill(0);
            }
            _ => {
                sector.fill((step % 255) as u8 + 1);
                write(image, offset_of(number), sector).unwrap();
            }
        }
    }
    own
}

#[test]
fn threads_in_the_same_clusters_of_a_new_image_keep_their_own_sectors() {
    let folder = Folder::new();
    let path = folder.qcow2("disk", &NewImage::new(SECTORS * SECTOR));
    let image = open_qcow2(&path);
    let model = hammer(&image, &vec![0; (SECTORS * SECTOR) as usize]);
    assert!(content(&image) == model);
    drop(image);
    assert_clean(&path);
    assert!(content_by_qemu(&folder, &path) == model);
}

#[test]
fn threads_in_the_same_clusters_of_an_overlay_keep_their_own_sectors() {
    let folder = Folder::new();
    let size = SECTORS * SECTOR;
    let base = folder.qcow2("base", &NewImage::new(size));
    let image = open_qcow2(&base);
    let before: Vec<u8> = (0..size).map(|byte| (byte / SECTOR % 251) as u8).collect();
    write(&image, 0, &before).unwrap();
    drop(image);
    let top = folder.qcow2("top", &NewImage { cluster_bits: 14, ..NewImage::overlay(size, backing("base", "qcow2")) });
    let image = open_all(&[base.clone(), top.clone()]);
    let model = hammer(&image, &before);
    assert!(content(&image) == model);
    drop(image);
    assert_clean(&top);
    assert!(content_by_qemu(&folder, &top) == model);
    assert!(content_by_qemu(&folder, &base) == before);
}

/// Clusters come and go while others read and write: what was freed is used again only when nobody is in it any more.
#[test]
fn whole_clusters_that_are_discarded_and_written_by_many_threads_never_show_anothers_data() {
    let folder = Folder::new();
    let cluster = 4096_u64;
    let clusters = 512_u64;
    let path = folder.qcow2("disk", &NewImage { cluster_bits: 12, ..NewImage::new(clusters * cluster) });
    let image = open_qcow2(&path);
    let running = AtomicBool::new(true);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..THREADS)
            .map(|worker| {
                let image = &image;
                scope.spawn(move || {
                    let mut numbers = Numbers(0xdead_beef * (worker + 1));
                    let mut own = vec![0_u8; (clusters / THREADS) as usize];
                    for step in 0..STEPS {
                        let number = numbers.below(clusters / THREADS);
                        let offset = (number * THREADS + worker) * cluster;
                        let value = &mut own[number as usize];
                        let found = read(image, offset, cluster as usize).unwrap();
                        assert!(found == vec![*value; cluster as usize], "step {step}");
                        *value = if numbers.below(2) == 0 { 0 } else { (worker * 16 + 1 + step % 15) as u8 };
                        if *value == 0 {
                            image.discard(offset, cluster).unwrap();
                        } else {
                            write(image, offset, &vec![*value; cluster as usize]).unwrap();
                        }
                    }
                })
            })
            .collect();
        let flusher = scope.spawn(|| {
            while running.load(Ordering::Relaxed) {
                image.flush().unwrap();
            }
        });
        for worker in workers {
            worker.join().unwrap();
        }
        running.store(false, Ordering::Relaxed);
        flusher.join().unwrap();
    });
    drop(image);
    assert_clean(&path);
}

#[test]
fn space_that_was_discarded_is_given_back_and_used_again() {
    let folder = Folder::new();
    let size = 8 << 20;
    let path = folder.qcow2("disk", &NewImage::new(size));
    let image = open_qcow2(&path);
    let mut lengths = Vec::new();
    for round in 0..20_u8 {
        write(&image, 0, &vec![round + 1; size as usize]).unwrap();
        image.flush().unwrap();
        lengths.push(std::fs::metadata(&path).unwrap().len());
        image.discard(0, size).unwrap();
        image.flush().unwrap();
        assert!(std::fs::metadata(&path).unwrap().blocks() * 512 < 1 << 20);
    }
    assert!(lengths.iter().all(|len| *len == lengths[0]), "{lengths:?}");
    drop(image);
    assert_clean(&path);
}
