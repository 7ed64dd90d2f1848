//! `cargo xtask bench`: machines of ours beside QEMU's, measured in one run, written into `docs/performance.md`.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::args::Args;
use crate::host::{self, Host};
use crate::lab::{Lab, Outcome, SERIES};
use crate::suite::build;
use crate::{guests, packages, places, process};

/// The section of the report that is rewritten stands between these lines.
const BEGIN: &str = "<!-- figures: written by cargo xtask bench -->";
const END: &str = "<!-- end of figures -->";
const REPORT: &str = "docs/performance.md";
/// How many rounds may fail; see `suite::run_in_lab` about the lab's processor.
const FAILURES: u32 = 8;
const LIMIT: Duration = Duration::from_secs(4 * 60 * 60);

/// `cargo xtask bench`.
pub(crate) fn command(mut args: Args) -> Result<ExitCode> {
    let rounds: u32 = args.option("--rounds")?.unwrap_or(3);
    let kernel: String = args.option("--kernel")?.unwrap_or_else(|| SERIES[0].to_owned());
    let only: Option<String> = args.option("--only")?;
    let resume = args.flag("--resume");
    args.finish()?;
    packages::ensure()?;
    let built = build::build(&["-p", "tandem", "-p", "whole-machine", "--bins"])?;
    let tandem = built.binary("tandem")?;
    let out = tandem.parent().context("a program has a folder")?.join("bench");
    fs::create_dir_all(&out).with_context(|| format!("can't create {}", out.display()))?;
    let figures = out.join("figures.json");
    fs::remove_file(&figures).ok();
    if !resume {
        fs::remove_file(figures.with_extension("rounds")).ok();
    }
    let mut words: Vec<PathBuf> =
        vec![built.binary("bench-machines")?.into(), figures.clone(), rounds.to_string().into()];
    words.extend(only.clone().map(PathBuf::from));
    let variables =
        [("TANDEM_BIN".to_owned(), tandem.to_owned()), ("TANDEM_TEST_GUESTS".to_owned(), guests::ensure()?)];

    let place = match host::tried(tandem) {
        Host::Real => {
            process::run(Command::new(&words[0]).args(&words[1..]).envs(variables))?;
            "on this machine's own KVM".to_owned()
        }
        Host::Simple(_) | Host::Nothing(_) => {
            let lab = Lab {
                kernel: kernel.clone(),
                limit: LIMIT,
                out: Some(out),
                variables: variables.into(),
                ..Lab::default()
            };
            measure_in(&lab, &words)?;
            format!("in the guest lab (kernel {kernel}, {} processors)", lab.cpus)
        }
    };
    let text = fs::read_to_string(&figures).with_context(|| format!("can't read {}", figures.display()))?;
    let section = section(&serde_json::from_str(&text)?, &place)?;
    if only.is_some() {
        print!("{section}");
        return Ok(ExitCode::SUCCESS);
    }
    let report = places::workspace().join(REPORT);
    write_section(&report, &section)?;
    println!("{}", report.display());
    Ok(ExitCode::SUCCESS)
}

/// Measures in a lab. After a round in which the lab died or a machine of either side did not do what it should, which the
/// lab's processor makes happen to both, another lab goes on behind the last round that is complete. A round's two sides are
/// always of one lab.
fn measure_in(lab: &Lab, words: &[PathBuf]) -> Result<()> {
    let mut failures = 0;
    loop {
        let why = match lab.run(words, || false)? {
            Outcome::Exited(0) => return Ok(()),
            Outcome::Exited(code) => format!("exit status {code}"),
            Outcome::Died(death) => death.to_string(),
            other => bail!("the measurement in the lab failed: {other:?}"),
        };
        failures += 1;
        ensure!(failures <= FAILURES, "the measurement in the lab failed again: {why}");
        println!("the round begins again in a new lab ({failures} of {FAILURES}): {why}");
    }
}

/// The figures as a person reads them.
fn section(figures: &Value, place: &str) -> Result<String> {
    let rounds = figures["rounds"].as_u64().context("the figures have no rounds")?;
    let processor = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let processor = processor.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown");
    let processor = processor.trim_start_matches([' ', '\t', ':']);
    let qemu = process::stdout(Command::new("qemu-system-x86_64").arg("--version")).unwrap_or_default();
    let qemu = qemu.lines().next().unwrap_or("QEMU");
    let mut text = format!(
        "Measured {place}, {rounds} rounds of each side in turns, in one run; host processor: {processor}; {qemu}, \
         `-accel kvm -machine q35`, the same firmware, guest and images. Each cell: median (least – greatest); ratios are \
         of the two sides of a round, and above 1 Tandem does better.\n\n\
         | what | Tandem | QEMU | ratio |\n|---|---|---|---|\n"
    );
    for row in figures["rows"].as_array().context("the figures have no rows")? {
        let name = row["name"].as_str().context("a row has no name")?;
        let unit = row["unit"].as_str().unwrap_or_default();
        let (ours, theirs) = (&row["sides"]["tandem"], &row["sides"]["qemu"]);
        writeln!(text, "| {name} ({unit}) | {} | {} | {} |", cell(ours), cell(theirs), cell(&row["ratio"]))?;
    }
    Ok(text)
}

fn cell(side: &Value) -> String {
    let number = |name: &str| {
        side[name].as_f64().map(|number| if number < 100.0 { format!("{number:.2}") } else { format!("{number:.0}") })
    };
    match (number("median"), number("min"), number("max")) {
        (Some(median), Some(min), Some(max)) => format!("{median} ({min} – {max})"),
        _ => "–".to_owned(),
    }
}

/// Puts the section into the report, in place of the last one.
fn write_section(report: &Path, section: &str) -> Result<()> {
    let old = fs::read_to_string(report).unwrap_or_else(|_| {
        let how = "Repeat it with `cargo xtask bench` (`--rounds N`, `--kernel 6.1|6.12` in the lab; `--resume` goes on after an interruption).";
        format!("# Performance\n\n{how}\n\n{BEGIN}\n{END}\n")
    });
    let new = replaced(&old, section)?;
    fs::create_dir_all(report.parent().context("the report has a folder")?)?;
    fs::write(report, new).with_context(|| format!("can't write {}", report.display()))
}

fn replaced(report: &str, section: &str) -> Result<String> {
    let (before, rest) = report.split_once(BEGIN).with_context(|| format!("{REPORT} has no line {BEGIN}"))?;
    let (old, after) = rest.split_once(END).with_context(|| format!("{REPORT} has no line {END}"))?;
    ensure!(!old.contains(BEGIN), "{REPORT} has the line {BEGIN} twice");
    Ok(format!("{before}{BEGIN}\n{}\n{END}{after}", section.trim_end()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_the_figures_are_replaced() {
        let report = format!("# P\n\n{BEGIN}\nold\n{END}\n\nMore.\n");
        assert_eq!(replaced(&report, "new\n").unwrap(), format!("# P\n\n{BEGIN}\nnew\n{END}\n\nMore.\n"));
        assert!(replaced("# P\n", "new").is_err());
    }

    #[test]
    fn a_row_has_each_sides_figures_and_the_ratios() {
        let spread = |median: f64| json!({ "min": median / 2.0, "median": median, "max": median * 100.0 });
        let row = json!({
            "name": "Boot", "unit": "s", "sides": { "tandem": spread(2.0), "qemu": null }, "ratio": spread(1.5),
        });
        let text = section(&json!({ "rounds": 3, "rows": [row] }), "here").unwrap();
        assert!(text.ends_with("| Boot (s) | 2.00 (1.00 – 200) | – | 1.50 (0.75 – 150) |\n"), "{text}");
        assert!(section(&json!({ "rows": [] }), "here").is_err());
    }
}
