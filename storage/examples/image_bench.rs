//! How many requests an image takes in a second, beside `qemu-img bench` on the same file in the same run.
//!
//! `cargo run -p storage --example image_bench -- [FOLDER [ROUNDS [COUNT [ONLY]]]]`: FOLDER (default: the current one)
//! should be on the disk in question. Each round runs QEMU and us in turn, COUNT requests of 4 KiB each at depth 32; a
//! ratio above 1 says that we are faster. ONLY is a part of the names of the rows to run. "Scattered" goes through the
//! disk in steps of 1 MiB and a bit, since `qemu-img bench` knows no randomness.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used)]

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use storage::disk::Disk;
use storage::image::{Format, ImageSource, open_chain};
use vm_memory::VolatileSlice;

const SIZE: u64 = 1 << 30;
const BLOCK: u64 = 4096;
const DEPTH: u64 = 32;

#[derive(Clone, Copy)]
struct Case {
    format: &'static str,
    preallocated: bool,
    direct: bool,
    write: bool,
    step: u64,
}

impl Case {
    fn all() -> Vec<Case> {
        let mut cases = Vec::new();
        for (format, preallocated) in [("raw", true), ("raw", false), ("qcow2", true), ("qcow2", false)] {
            for direct in [false, true] {
                for write in [false, true] {
                    for step in [BLOCK, (1 << 20) + BLOCK] {
                        cases.push(Case { format, preallocated, direct, write, step });
                    }
                }
            }
        }
        // Nothing is there to be read
        cases.retain(|case| case.preallocated || case.write);
        cases
    }

    fn name(&self) -> String {
        format!(
            "{:5} {:12} {:9} {:5} {:10}",
            self.format,
            if self.preallocated { "preallocated" } else { "sparse" },
            if self.direct { "none" } else { "writeback" },
            if self.write { "write" } else { "read" },
            if self.step == BLOCK { "sequential" } else { "scattered" },
        )
    }

    fn prepare(&self, path: &Path) {
        let size = SIZE.to_string();
        let options = if self.preallocated { "preallocation=full" } else { "preallocation=off" };
        run("qemu-img", &["create", "-q", "-f", self.format, "-o", options, path.to_str().unwrap(), &size]);
    }

    fn by_qemu(&self, path: &Path, count: u64) -> f64 {
        let (count, step) = (count.to_string(), self.step.to_string());
        let cache = if self.direct { "none" } else { "writeback" };
        let mut arguments =
            vec!["bench", "-d", "32", "-s", "4096", "-c", &count, "-S", &step, "-f", self.format, "-t", cache];
        if self.write {
            arguments.push("-w");
        }
        arguments.push(path.to_str().unwrap());
        let output = run("qemu-img", &arguments);
        let seconds = output.split_whitespace().filter_map(|word| word.parse::<f64>().ok()).next_back();
        seconds.unwrap_or_else(|| panic!("{output}"))
    }

    fn by_us(&self, path: &Path, count: u64) -> f64 {
        let flags = if self.direct { libc::O_DIRECT } else { 0 };
        let file = File::options().read(true).write(true).custom_flags(flags).open(path).unwrap();
        let format = if self.format == "raw" { Format::Raw } else { Format::Qcow2 };
        let image = open_chain(vec![ImageSource { file, format, read_only: false, after_crash: false }]).unwrap();
        let next = AtomicU64::new(0);
        let start = Instant::now();
        thread::scope(|scope| {
            for _ in 0..DEPTH {
                scope.spawn(|| self.work(&image, &next, count));
            }
        });
        start.elapsed().as_secs_f64()
    }

    fn work(&self, image: &dyn Disk, next: &AtomicU64, count: u64) {
        // As `O_DIRECT` wants it
        let mut memory = vec![0x55_u8; 2 * BLOCK as usize];
        let skip = memory.as_ptr().align_offset(BLOCK as usize);
        let slices = [VolatileSlice::from(&mut memory[skip..skip + BLOCK as usize])];
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count {
                return;
            }
            let offset = number * self.step % SIZE;
            let offset = offset.min(SIZE - BLOCK);
            let done = if self.write { image.write(offset, &slices) } else { image.read(offset, &slices) };
            done.unwrap();
        }
    }
}

fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().expect("qemu-utils are installed");
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).replace("seconds.", "").to_string()
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().unwrap_or_else(|| ".".to_owned()));
    let rounds: usize = arguments.next().map_or(5, |text| text.parse().unwrap());
    let count: u64 = arguments.next().map_or(75_000, |text| text.parse().unwrap());
    let only = arguments.next().unwrap_or_default();
    println!(
        "{count} requests of 4 KiB at depth {DEPTH}, {rounds} rounds; requests a second, and how often QEMU's that is"
    );
    println!("{:46} {:>8} {:>8}  {:>5} {:>6} {:>5}", "", "QEMU", "ours", "min", "median", "max");
    let path = folder.join(format!("image_bench-{}.img", std::process::id()));
    for case in Case::all().into_iter().filter(|case| case.name().contains(&only)) {
        let (mut theirs, mut ours, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        case.prepare(&path);
        for _ in 0..rounds {
            let mut figures = [0.0; 2];
            for (index, figure) in figures.iter_mut().enumerate() {
                if !case.preallocated {
                    case.prepare(&path);
                }
                // What others wrote is not our load
                File::open(&path).unwrap().sync_all().unwrap();
                let seconds = if index == 0 { case.by_qemu(&path, count) } else { case.by_us(&path, count) };
                *figure = count as f64 / Duration::from_secs_f64(seconds).as_secs_f64();
            }
            theirs.push(figures[0]);
            ours.push(figures[1]);
            ratios.push(figures[1] / figures[0]);
        }
        let middle = median(&mut ratios);
        println!(
            "{} {:8.0} {:8.0}  {:5.2} {:6.2} {:5.2}",
            case.name(),
            median(&mut theirs),
            median(&mut ours),
            ratios[0],
            middle,
            ratios[ratios.len() - 1]
        );
    }
    std::fs::remove_file(&path).unwrap();
}
