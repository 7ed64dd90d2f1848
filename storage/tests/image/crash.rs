//! A process that writes to an image is killed at any moment: the image is sound, what was flushed is there, and what
//! leaked is free again after the next opening.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::Duration;

use storage::disk::Disk;
use storage::image::{Image, NewImage};

use crate::support::{Folder, Numbers, assert_clean, assert_sound, backing, open_after_crash, open_all, read, write};

/// Says which images to write to, the base first, separated by colons; and from which round on.
const IMAGES: &str = "TEST_IMAGES";
const FIRST_ROUND: &str = "TEST_FIRST_ROUND";

const BLOCK: u64 = 4096;
/// What a guest may count on being there whole.
const SECTOR: usize = 512;
const SIZE: u64 = 4 << 30;
const WRITES_IN_A_ROUND: u64 = 48;
const THREADS: u64 = 3;

/// What a round does to a block: `None` is a discard.
type Change = (u64, Option<[u8; BLOCK as usize]>);

/// The changes of a round, the same in whichever process.
fn changes(round: u64) -> Vec<Change> {
    let mut numbers = Numbers(round.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut blocks = BTreeMap::new();
    while (blocks.len() as u64) < WRITES_IN_A_ROUND {
        // Half of them close together, so that clusters are shared and written again
        let limit = if numbers.below(2) == 0 { 2000 } else { SIZE / BLOCK };
        let block = numbers.below(limit);
        let discard = numbers.below(6) == 0;
        blocks.insert(block, (!discard).then(|| block_content(round, block)));
    }
    blocks.into_iter().collect()
}

fn block_content(round: u64, block: u64) -> [u8; BLOCK as usize] {
    let mut content = [0; BLOCK as usize];
    for piece in content.as_chunks_mut::<16>().0 {
        piece[..8].copy_from_slice(&round.to_le_bytes());
        piece[8..].copy_from_slice(&block.to_le_bytes());
    }
    content
}

fn run_round(image: &Image, round: u64) {
    let changes = changes(round);
    thread::scope(|scope| {
        for part in changes.chunks(changes.len().div_ceil(THREADS as usize)) {
            scope.spawn(move || {
                for (block, content) in part {
                    match content {
                        Some(content) => write(image, block * BLOCK, content).unwrap(),
                        None => image.discard(block * BLOCK, BLOCK).unwrap(),
                    }
                }
            });
        }
    });
    image.flush().unwrap();
}

/// What the killed tests run in another process; by itself it makes sure that a writer that isn't killed leaves
/// nothing behind.
#[test]
fn a_writer_that_closes_its_image_leaves_it_clean() {
    if let Ok(images) = std::env::var(IMAGES) {
        let first: u64 = std::env::var(FIRST_ROUND).unwrap().parse().unwrap();
        let image = open_all(&images.split(':').map(PathBuf::from).collect::<Vec<_>>());
        for round in first.. {
            run_round(&image, round);
            // One system call, so that it is there even if the next instruction is the last
            std::io::stdout().write_all(format!("flushed {round}\n").as_bytes()).unwrap();
        }
    }
    let folder = Folder::new();
    let path = folder.qcow2("disk", &NewImage::new(SIZE));
    let image = open_all(std::slice::from_ref(&path));
    (1..20).for_each(|round| run_round(&image, round));
    drop(image);
    assert_clean(&path);
}

fn start_writer(images: &[PathBuf], first_round: u64) -> (Child, BufReader<ChildStdout>) {
    let images: Vec<&str> = images.iter().map(|path| path.to_str().unwrap()).collect();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::a_writer_that_closes_its_image_leaves_it_clean", "--nocapture"])
        .env(IMAGES, images.join(":"))
        .env(FIRST_ROUND, first_round.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    (child, output)
}

/// What a block may contain: what was flushed last, and what was written since.
type Model = BTreeMap<u64, Vec<[u8; BLOCK as usize]>>;

fn kill_again_and_again(images: &[PathBuf], kills: u64, seed: u64) {
    let mut numbers = Numbers(seed);
    let mut flushed: BTreeMap<u64, [u8; BLOCK as usize]> = BTreeMap::new();
    let mut round = 1;
    for _ in 0..kills {
        let (mut child, mut output) = start_writer(images, round);
        let wait_for = 1 + numbers.below(6);
        let mut seen = 0;
        let mut line = String::new();
        while seen < wait_for {
            line.clear();
            assert_ne!(output.read_line(&mut line).unwrap(), 0, "the writer ended by itself");
            seen += u64::from(line.starts_with("flushed"));
        }
        // Any moment of what follows
        thread::sleep(Duration::from_micros(numbers.below(15_000)));
        child.kill().unwrap();
        child.wait().unwrap();
        let rest = output.lines().filter(|line| line.as_ref().unwrap().starts_with("flushed")).count() as u64;
        let last_flushed = round + seen + rest - 1;

        assert_sound(&images[images.len() - 1]);
        for round in round..=last_flushed {
            for (block, content) in changes(round) {
                flushed.insert(block, content.unwrap_or([0; BLOCK as usize]));
            }
        }
        let mut allowed: Model = flushed.iter().map(|(block, content)| (*block, vec![*content])).collect();
        for (block, content) in changes(last_flushed + 1) {
            // Not flushed, or not known to be
            allowed
                .entry(block)
                .or_insert_with(|| vec![[0; BLOCK as usize]])
                .push(content.unwrap_or([0; BLOCK as usize]));
        }
        let image = open_after_crash(images);
        for (block, contents) in &allowed {
            let found = read(&image, block * BLOCK, BLOCK as usize).unwrap();
            // What was not flushed is there or not sector by sector: a cluster may be as small as a sector.
            for (sector, found) in found.chunks(SECTOR).enumerate() {
                let allowed = contents.iter().any(|content| found == &content[sector * SECTOR..][..SECTOR]);
                assert!(allowed, "sector {sector} of block {block} after round {last_flushed}: {:?}", &found[..16]);
            }
            flushed.insert(*block, found.try_into().unwrap());
        }
        drop(image);
        assert_clean(&images[images.len() - 1]);
        round = last_flushed + 2;
    }
}

fn overlay(folder: &Folder, cluster_bits: u32) -> Vec<PathBuf> {
    let base = folder.qcow2("base", &NewImage::new(SIZE));
    let top = NewImage { cluster_bits, ..NewImage::overlay(SIZE, backing("base", "qcow2")) };
    vec![base, folder.qcow2("top", &top)]
}

#[test]
fn an_image_of_the_usual_clusters_survives_being_killed() {
    let folder = Folder::new();
    kill_again_and_again(&[folder.qcow2("disk", &NewImage::new(SIZE))], 12, 11);
}

#[test]
fn an_image_of_the_smallest_clusters_survives_being_killed() {
    let folder = Folder::new();
    kill_again_and_again(&[folder.qcow2("disk", &NewImage { cluster_bits: 9, ..NewImage::new(SIZE) })], 12, 12);
}

#[test]
fn an_overlay_survives_being_killed() {
    let folder = Folder::new();
    kill_again_and_again(&overlay(&folder, 12), 12, 13);
}
