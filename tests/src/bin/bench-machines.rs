//! Measures machines of ours beside QEMU's, and writes the figures as JSON. `cargo xtask bench` runs it where guests run.
//!
//! Usage: `bench-machines OUT.json ROUNDS [qemu|tandem]`; without the last word both sides take turns.

#![allow(clippy::print_stderr, reason = "a command line program reports there")]

use anyhow::{Context, Result, bail};
use serde_json::json;
use whole_machine::bench::{Contender, Ours, Reference, measure};

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [out, rounds, only @ ..] = words.as_slice() else { bail!("usage: bench-machines OUT.json ROUNDS [SIDE]") };
    let rounds = rounds.parse().with_context(|| format!("{rounds:?} is no number of rounds"))?;
    let ours = Ours::new()?;
    let mut sides: Vec<&dyn Contender> = vec![&ours, &Reference];
    sides.retain(|side| only.is_empty() || only.iter().any(|name| name == side.name()));
    let scratch = tempfile::tempdir()?;
    let rows = measure(&sides, rounds, scratch.path(), |line| eprintln!("{line}"))?;
    let rows: Vec<_> = rows.iter().map(|row| row.to_json(ours.name(), Reference.name())).collect();
    std::fs::write(out, json!({ "rounds": rounds, "rows": rows }).to_string())
        .with_context(|| format!("can't write {out}"))
}
