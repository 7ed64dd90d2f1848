//! What a power failure leaves, as a test: everything up to the last sync is on the disk, and of what follows any part.
//!
//! The file's writes are recorded, and images are put together from the recording as a failing host might leave them:
//! page by page, with each page that wasn't synced there or not. Each has to pass QEMU's check, even for leaks once they
//! are reclaimed, and to contain what was flushed.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use parking_lot::Mutex;
use vm_memory::VolatileSlice;

use super::super::host_file::{Event, HostFile};
use super::super::iovec::Buffers;
use super::super::layer::Layer;
use super::super::raw::Raw;
use super::{BackingName, NewImage, Qcow2, create};

const BLOCK: u64 = 4096;
const BLOCKS: u64 = 2048;
const ROUNDS: u64 = 30;
const FAILURES: u64 = 16;

/// A small generator of numbers, the same in every run (xorshift).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// What a flush, done when the trace had `events`, made durable; and each value that a block had after it.
struct Checkpoint {
    events: usize,
    values: BTreeMap<u64, u8>,
    later: BTreeMap<u64, Vec<u8>>,
}

fn write(image: &Qcow2, block: u64, value: u8) {
    let mut bytes = [value; BLOCK as usize];
    let slices = [VolatileSlice::from(&mut bytes[..])];
    image.write(&Buffers::new(&slices), 0..BLOCK as usize, block * BLOCK).unwrap();
}

fn run(image: &Qcow2, trace: &Mutex<Vec<Event>>, below: u8) -> Vec<Checkpoint> {
    let mut numbers = Numbers(0x1234_5678_9abc_def1);
    let mut values: BTreeMap<u64, u8> = (0..BLOCKS).map(|block| (block, below)).collect();
    let mut checkpoints = vec![Checkpoint { events: 0, values: values.clone(), later: BTreeMap::new() }];
    for round in 0..ROUNDS {
        let later = &mut checkpoints.last_mut().unwrap().later;
        for _ in 0..20 {
            let block = numbers.below(BLOCKS);
            let value = if numbers.below(4) == 0 { 0 } else { 1 + (round % 100) as u8 };
            match value {
                0 => image.discard(block * BLOCK, BLOCK).unwrap(),
                _ => write(image, block, value),
            }
            values.insert(block, value);
            later.entry(block).or_default().push(value);
        }
        image.flush().unwrap();
        checkpoints.push(Checkpoint { events: trace.lock().len(), values: values.clone(), later: BTreeMap::new() });
    }
    checkpoints
}

/// Puts a file together as a failure after `count` events might leave it.
fn fail_after(count: usize, trace: &[Event], start: &[u8], path: &Path, numbers: &mut Numbers) {
    let file = File::options().write(true).create(true).truncate(true).open(path).unwrap();
    file.write_all_at(start, 0).unwrap();
    let synced = trace[..count].iter().rposition(|event| matches!(event, Event::Sync)).unwrap_or(0);
    for (number, event) in trace[..count].iter().enumerate() {
        let mut survives = || number < synced || numbers.below(2) == 0;
        match event {
            Event::Write { offset, bytes } => {
                let mut at = 0;
                while at < bytes.len() {
                    let end = bytes.len().min(at + (BLOCK - (offset + at as u64) % BLOCK) as usize);
                    if survives() {
                        file.write_all_at(&bytes[at..end], offset + at as u64).unwrap();
                    }
                    at = end;
                }
            }
            Event::Zero { offset, len } if survives() => {
                let len = (*len).min(file.metadata().unwrap().len().saturating_sub(*offset));
                file.write_all_at(&vec![0; len as usize], *offset).unwrap();
            }
            Event::SetLen { len } if survives() => file.set_len(*len).unwrap(),
            _ => {}
        }
    }
}

/// QEMU's check ends with one of these: 0, or 3 for leaks and nothing worse.
fn assert_check(path: &Path, allowed: &[i32]) {
    let output = Command::new("qemu-img").args(["check", "-f", "qcow2"]).arg(path).output().unwrap();
    let sound = output.status.code().is_some_and(|code| allowed.contains(&code));
    assert!(sound, "{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
}

fn check(path: &Path, checkpoint: &Checkpoint, open: impl FnOnce(HostFile) -> Qcow2) {
    assert_check(path, &[0, 3]);
    let image = open(HostFile::new(File::options().read(true).write(true).open(path).unwrap()).unwrap());
    image.reclaim();
    assert_check(path, &[0]);
    for (block, flushed) in &checkpoint.values {
        let mut found = [0xee; BLOCK as usize];
        let slices = [VolatileSlice::from(&mut found[..])];
        image.read(&Buffers::new(&slices), 0..BLOCK as usize, block * BLOCK).unwrap();
        let later = checkpoint.later.get(block).map_or(&[][..], Vec::as_slice);
        for sector in found.as_chunks::<512>().0 {
            let allowed = sector[0] == *flushed || later.contains(&sector[0]);
            assert!(
                allowed && *sector == [sector[0]; 512],
                "block {block} has {:x}, was {flushed:x}, {later:x?}",
                sector[0]
            );
        }
    }
}

fn survives_power_failures(cluster_bits: u32, below: Option<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let base = folder.path().join("base");
    if let Some(value) = below {
        std::fs::write(&base, vec![value; (BLOCKS * BLOCK) as usize]).unwrap();
    }
    let open = |file: HostFile| {
        let backing = below.map(|_| Layer::Raw(Raw::open(HostFile::new(File::open(&base).unwrap()).unwrap()).unwrap()));
        Qcow2::open(file, true, backing).unwrap()
    };
    let path = folder.path().join("disk");
    let file = || File::options().read(true).write(true).create(true).truncate(false).open(&path).unwrap();
    let backing = below.map(|_| BackingName { name: "base".to_owned(), format: Some("raw".to_owned()) });
    let new = NewImage { virtual_size: BLOCKS * BLOCK, cluster_bits, backing };
    create(&HostFile::new(file()).unwrap(), &new).unwrap();
    let start = std::fs::read(&path).unwrap();

    let trace = Arc::new(Mutex::new(Vec::new()));
    let image = open(HostFile::new(file()).unwrap().traced(trace.clone()));
    let checkpoints = run(&image, &trace, below.unwrap_or(0));
    let trace = trace.lock().clone();
    drop(image);

    let mut numbers = Numbers(0xfeed_beef);
    for _ in 0..FAILURES {
        let count = 1 + numbers.below(trace.len() as u64) as usize;
        let reached = checkpoints.iter().rposition(|checkpoint| checkpoint.events <= count).unwrap();
        let failed = folder.path().join("failed");
        fail_after(count, &trace, &start, &failed, &mut numbers);
        check(&failed, &checkpoints[reached], open);
    }
}

#[test]
fn an_image_of_the_usual_clusters_survives_power_failures() {
    survives_power_failures(16, None);
}

#[test]
fn an_image_of_the_smallest_clusters_survives_power_failures() {
    survives_power_failures(9, None);
}

#[test]
fn an_overlay_survives_power_failures() {
    survives_power_failures(12, Some(0x77));
}
