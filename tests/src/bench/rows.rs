//! What is measured. A round starts the Debian guest once and takes every figure from it.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::contenders::Contender;
use super::figures::{Better, Row};
use super::memory;
use crate::guests::{Guest, SECOND_DISK};
use crate::qemu::Definition;
use crate::wait::Patience;

const MEMORY_MIB: u32 = 512;
/// The disk that is measured, on whatever holds temporary files.
const TEST_DISK_MIB: u32 = 512;
/// How long fio measures each way of access.
const FIO_SECONDS: u32 = 10;

/// A way of using a disk: fio's options, and the column of its terse output (version 3, fio(1)).
struct Access {
    options: &'static str,
    column: usize,
}

/// Column 7 of fio's terse output is the read bandwidth in KiB/s, column 8 reads a second; 48 and 49 are those of writes.
/// They count from 1.
const ACCESSES: [Access; 4] = [
    Access { options: "--rw=read --bs=1M --iodepth=8", column: 7 },
    Access { options: "--rw=write --bs=1M --iodepth=8", column: 48 },
    Access { options: "--rw=randread --bs=4k --iodepth=32", column: 8 },
    Access { options: "--rw=randwrite --bs=4k --iodepth=32", column: 49 },
];

/// Every row, empty: name, unit, direction.
pub const ROWS: [(&str, &str, Better); 7] = [
    ("From start to GRUB's menu", "s", Better::Lower),
    ("From start to Debian's login", "s", Better::Lower),
    ("Memory besides the guest's", "MiB", Better::Lower),
    ("Disk, sequential reads of 1 MiB", "MiB/s", Better::Higher),
    ("Disk, sequential writes of 1 MiB", "MiB/s", Better::Higher),
    ("Disk, random reads of 4 KiB, queue of 32", "1/s", Better::Higher),
    ("Disk, random writes of 4 KiB, queue of 32", "1/s", Better::Higher),
];

/// The figures of one round, by the name of a side, in the order of [`ROWS`].
pub type Round = Vec<(String, Vec<f64>)>;

/// Measures each side once. `said` hears what is done.
///
/// # Errors
/// A machine did not do what it should.
pub fn measure(sides: &[&dyn Contender], scratch: &Path, said: impl Fn(&str)) -> Result<Round> {
    let mut figures = Vec::new();
    for side in sides {
        said(side.name());
        let measured = round(*side, scratch).with_context(|| side.name())?;
        for ((name, unit, _), figure) in ROWS.iter().zip(&measured) {
            said(&format!("  {name}: {figure:.2} {unit}"));
        }
        figures.push((side.name().to_owned(), measured));
    }
    Ok(figures)
}

/// The rows of some rounds.
///
/// # Errors
/// A round has more or fewer figures than there are rows.
pub fn rows(rounds: &[Round]) -> Result<Vec<Row>> {
    let mut rows: Vec<Row> =
        ROWS.iter().map(|(name, unit, better)| Row { name, unit, better: *better, figures: Vec::new() }).collect();
    for (side, figures) in rounds.iter().flatten() {
        ensure!(figures.len() == rows.len(), "a round gives a figure for each row");
        rows.iter_mut().zip(figures).for_each(|(row, figure)| row.add(side, *figure));
    }
    Ok(rows)
}

/// The figures of one start of the guest, in the order of [`ROWS`].
fn round(side: &dyn Contender, scratch: &Path) -> Result<Vec<f64>> {
    let disk = scratch.join("bench.qcow2");
    let mut make = Command::new("qemu-img");
    make.args(["create", "-q", "-f", "qcow2", "-o", "preallocation=metadata"])
        .arg(&disk)
        .arg(format!("{TEST_DISK_MIB}M"));
    ensure!(make.status().context("can't run qemu-img")?.success(), "qemu-img could not make a disk");
    let disks = vec![(Guest::DebianDisk.file()?, true), (disk, false)];
    let definition = Definition { iso: None, disks, memory_mib: MEMORY_MIB, cpus: 2 };

    let start = Instant::now();
    let machine = side.start(&definition)?;
    machine.wait_for_serial("GNU GRUB", Patience::FIRMWARE)?;
    let menu = start.elapsed().as_secs_f64();
    machine.wait_for_serial("guest login:", Patience::SYSTEM)?;
    let login = start.elapsed().as_secs_f64();
    let kib = memory::private_dirty_kib(machine.process(), MEMORY_MIB)?;
    let mut figures = vec![menu, login, kib as f64 / 1024.0];

    machine.log_in()?;
    for access in &ACCESSES {
        let line = format!(
            "fio --name=x --filename=$(readlink -f {SECOND_DISK}) --direct=1 --ioengine=libaio {} --time_based \
             --runtime={FIO_SECONDS} --minimal",
            access.options
        );
        let said = machine.shell(&line, Duration::from_secs(u64::from(FIO_SECONDS)) + Patience::SYSTEM)?;
        let figure = column(&said, access.column)?;
        figures.push(if access.options.contains("bs=1M") { figure / 1024.0 } else { figure });
    }
    Ok(figures)
}

/// A column of fio's terse output, counted from 1.
fn column(said: &str, number: usize) -> Result<f64> {
    let line = said.lines().find(|line| line.starts_with("3;fio-")).with_context(|| format!("fio wrote {said}"))?;
    let field = line.split(';').nth(number - 1).context("fio's output is too short")?;
    field.parse().with_context(|| format!("fio's column {number} is {field:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_the_figures_of_all_rounds() {
        let figures = |first: f64| (0..ROWS.len()).map(|number| first + number as f64).collect::<Vec<_>>();
        let round = |first| vec![("tandem".to_owned(), figures(first))];
        let rows = rows(&[round(0.0), round(10.0)]).unwrap();
        assert_eq!(rows[1].figures, [("tandem".to_owned(), vec![1.0, 11.0])]);
        assert!(super::rows(&[vec![("tandem".to_owned(), vec![1.0])]]).is_err());
    }

    #[test]
    fn a_column_of_fio_is_a_number() {
        let said = "note: something\n3;fio-3.33;x;0;0;1024;2048;4096;9\n";
        assert_eq!(column(said, 7).unwrap(), 2048.0);
        assert_eq!(column(said, 8).unwrap(), 4096.0);
        assert!(column(said, 48).is_err());
        assert!(column("fio: no such file", 7).is_err());
    }
}
