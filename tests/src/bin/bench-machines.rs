//! Measures machines of ours beside QEMU's, and writes the figures as JSON. `cargo xtask bench` runs it where guests run.
//!
//! Usage: `bench-machines OUT.json ROUNDS [qemu|tandem]`; without the last word both sides take turns. Each round is kept
//! in `OUT.rounds` as soon as it is complete, and rounds that are there already are not measured again: a measurement
//! whose host died goes on from there.

#![allow(clippy::print_stderr, reason = "a command line program reports there")]

use std::{fs, io, path::Path};

use anyhow::{Context, Result, bail};
use serde_json::json;
use whole_machine::bench::{Contender, Ours, Reference, Round, measure, rows};

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [out, count, only @ ..] = words.as_slice() else { bail!("usage: bench-machines OUT.json ROUNDS [SIDE]") };
    let count: usize = count.parse().with_context(|| format!("{count:?} is no number of rounds"))?;
    let ours = Ours::new()?;
    let mut sides: Vec<&dyn Contender> = vec![&ours, &Reference];
    sides.retain(|side| only.is_empty() || only.iter().any(|name| name == side.name()));
    let scratch = tempfile::tempdir()?;
    let kept = Path::new(out).with_extension("rounds");
    let mut rounds = read(&kept)?;
    while rounds.len() < count {
        let number = rounds.len() + 1;
        eprintln!("round {number} of {count}");
        let round = measure(&sides, scratch.path(), |line| eprintln!("{line}"));
        rounds.push(round.with_context(|| format!("round {number}"))?);
        fs::write(&kept, json!(rounds).to_string()).with_context(|| format!("can't write {}", kept.display()))?;
    }
    let rows: Vec<_> = rows(&rounds)?.iter().map(|row| row.to_json(ours.name(), Reference.name())).collect();
    fs::write(out, json!({ "rounds": count, "rows": rows }).to_string()).with_context(|| format!("can't write {out}"))
}

/// The rounds that an earlier measurement has completed.
fn read(file: &Path) -> Result<Vec<Round>> {
    match fs::read(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        read => serde_json::from_slice(&read?).with_context(|| format!("{} is damaged", file.display())),
    }
}
