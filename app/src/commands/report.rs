//! Telling: the host, the machines, their counters and logs.

use std::{
    collections::BTreeMap,
    process::ExitCode,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use hypervisor::host::{Finding, Fix, Host, RealGuests, Severity};
use machine::{
    control::{Reply, Request, Status},
    definition::Definition,
    state::State,
    timestamp::Timestamp,
};
use serde::{Deserialize, Serialize};
use storage::library::{Library, Listed};

use super::{
    connect, library,
    live::{Live, PATIENCE, look},
    machine,
};
use crate::{arguments::Given, firmware, output};

/// How long a machine may take to say what it is doing, when all are listed.
const LIST_PATIENCE: Duration = Duration::from_secs(1);
/// Machines that are asked at a time.
const LOOKERS: usize = 32;

/// What `doctor` says, for programs.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    /// Whether unmodified systems run: tried.
    pub(crate) real_guests: bool,
    pub(crate) real_guests_why: Option<String>,
    /// Whether there is a KVM that can be used at all.
    pub(crate) kvm: bool,
    pub(crate) findings: Vec<FindingRecord>,
}

/// A finding of `doctor`, for programs.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct FindingRecord {
    pub(crate) id: String,
    /// `ok`, `note`, `warning` or `problem`.
    pub(crate) severity: String,
    pub(crate) what: String,
    pub(crate) meaning: String,
    pub(crate) fix: Option<String>,
}

impl From<Finding> for FindingRecord {
    fn from(finding: Finding) -> Self {
        let severity = match finding.severity {
            Severity::Ok => "ok",
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Problem => "problem",
        };
        let fix = finding.fix.map(|fix| fix.to_string());
        let (id, severity) = (finding.id.to_owned(), severity.to_owned());
        FindingRecord { id, severity, what: finding.what, meaning: finding.meaning, fix }
    }
}

/// Says what this host can do. Ends with 1 when machines can't run.
pub(super) fn doctor(given: &Given<'_>) -> Result<ExitCode> {
    let host = Host::new();
    let (real_guests, real_guests_why, kvm) = match host.real_guests() {
        RealGuests::Yes => (true, None, true),
        RealGuests::No { reason, details } => (false, Some(format!("{reason} ({details})")), true),
        RealGuests::NoKvm { reason } => (false, Some(reason), false),
    };
    let mut findings = host.findings();
    findings.push(firmware_finding());
    let problem = findings.iter().any(|finding| finding.severity == Severity::Problem);
    let findings: Vec<FindingRecord> = findings.into_iter().map(FindingRecord::from).collect();
    if given.json() {
        output::json(&Report { real_guests, real_guests_why, kvm, findings })?;
    } else {
        for finding in &findings {
            output::line(format_args!("{:<8} {} {}", finding.severity, finding.what, finding.meaning))?;
            if let Some(fix) = &finding.fix {
                output::line(format_args!("{:<8} {fix}", ""))?;
            }
        }
    }
    Ok(if problem { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn firmware_finding() -> Finding {
    let finding = |severity, what: &str, meaning: &str, fix| Finding {
        id: "firmware",
        severity,
        what: what.to_owned(),
        meaning: meaning.to_owned(),
        fix,
    };
    match firmware::bios().zip(firmware::video()) {
        Some((bios, _)) => {
            finding(Severity::Ok, &format!("The PC's firmware is installed: {}.", bios.display()), "", None)
        }
        None => finding(
            Severity::Problem,
            "The PC's firmware (SeaBIOS) is not installed.",
            "No PC can start.",
            Some(Fix::Command("sudo apt install seabios".into())),
        ),
    }
}

/// A machine in a list, for programs.
#[derive(Serialize)]
struct Row {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<State>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    folder: std::path::PathBuf,
    /// What stands for the state of a machine that has none.
    #[serde(skip)]
    without_state: &'static str,
}

/// Looks at all machines at once: one that hangs holds nobody up for longer than [`LIST_PATIENCE`].
fn rows(library: &Library, list: &[Listed]) -> Vec<Row> {
    let row = |listed: &Listed| {
        let (state, error) = match listed {
            Listed::Machine(machine) => match look(library, machine, LIST_PATIENCE) {
                Ok(Live::Silent(silence, _)) => (None, Some(silence.why().to_owned())),
                Ok(live) => (live.state(), None),
                Err(error) => (None, Some(output::sentence(&error))),
            },
            Listed::Broken(broken) => (None, Some(broken.reason.to_string())),
        };
        let without_state = if matches!(listed, Listed::Broken(_)) { "broken" } else { "unknown" };
        Row { name: listed.name().to_owned(), state, error, folder: listed.folder().to_owned(), without_state }
    };
    let next = AtomicUsize::new(0);
    let work = || {
        let indices = std::iter::repeat_with(|| next.fetch_add(1, Ordering::Relaxed));
        indices.map_while(|index| Some((index, row(list.get(index)?)))).collect::<Vec<_>>()
    };
    let mut rows = std::thread::scope(|scope| {
        let others: Vec<_> = (1..LOOKERS.min(list.len())).map(|_| scope.spawn(work)).collect();
        let mut rows = work();
        for other in others {
            rows.extend(other.join().unwrap_or_default());
        }
        rows
    });
    rows.sort_by_key(|(index, _)| *index);
    rows.into_iter().map(|(_, row)| row).collect()
}

pub(super) fn list(given: &Given<'_>) -> Result<()> {
    let library = library()?;
    if given.flag("trash") {
        return list_trash(&library, given.json());
    }
    let rows = rows(&library, &library.list()?);
    if given.json() {
        return output::json(&rows);
    }
    if rows.is_empty() {
        return output::line("There are no machines yet: `tandem create` makes one");
    }
    let cells = rows.iter().map(|row| {
        let state = row.state.map_or_else(|| row.without_state.to_owned(), |state| state.to_string());
        vec![row.name.clone(), state, row.error.clone().unwrap_or_default().replace('\n', "; ")]
    });
    output::line(output::table(&cells.collect::<Vec<_>>()))
}

fn list_trash(library: &Library, json: bool) -> Result<()> {
    #[derive(Serialize)]
    struct TrashRow {
        name: String,
        deleted: Option<Timestamp>,
    }
    let rows = library
        .trash()?
        .into_iter()
        .map(|trashed| TrashRow { name: trashed.name().to_owned(), deleted: trashed.deleted });
    let rows: Vec<_> = rows.collect();
    if json {
        return output::json(&rows);
    }
    if rows.is_empty() {
        return output::line("The trash is empty");
    }
    let cells: Vec<_> = rows
        .iter()
        .map(|row| vec![row.name.clone(), row.deleted.map(|deleted| deleted.to_string()).unwrap_or_default()])
        .collect();
    output::line(output::table(&cells))
}

pub(super) fn show(given: &Given<'_>) -> Result<()> {
    #[derive(Serialize)]
    struct Record<'a> {
        /// Not there: its process doesn't answer.
        #[serde(skip_serializing_if = "Option::is_none")]
        state: Option<State>,
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<&'a str>,
        folder: &'a std::path::Path,
        #[serde(skip_serializing_if = "Option::is_none")]
        run: Option<&'a Status>,
        definition: &'a Definition,
    }
    let library = library()?;
    let machine = machine(&library, given)?;
    let live = look(&library, &machine, PATIENCE)?;
    let (error, run) = match &live {
        Live::Settled(_) => (None, None),
        Live::Answers(status, _) => (None, Some(&**status)),
        Live::Silent(silence, _) => (Some(silence.why()), None),
    };
    if given.json() {
        let (state, folder, definition) = (live.state(), machine.folder(), machine.definition());
        return output::json(&Record { state, error, folder, run, definition });
    }
    let mut rows = vec![
        vec!["State".into(), live.state().map_or_else(|| "unknown".to_owned(), |state| state.to_string())],
        vec!["Folder".into(), machine.folder().display().to_string()],
    ];
    rows.extend(error.map(|error| vec!["Note".into(), format!("It {error}")]));
    if let Some(status) = run {
        rows.extend(status.blocked.iter().map(|reason| vec!["Waits".into(), reason.clone()]));
        rows.push(vec!["Process".into(), status.pid.to_string()]);
        rows.push(vec!["Screen".into(), format!("{} × {}", status.screen.0, status.screen.1)]);
        rows.push(vec!["Resets".into(), status.resets.to_string()]);
        rows.extend(status.notes.iter().map(|note| vec!["Note".into(), note.clone()]));
    }
    output::line(output::table(&rows))?;
    output::line("")?;
    output::line(machine.text().trim_end())
}

pub(super) fn stats(given: &Given<'_>) -> Result<()> {
    let (_, mut client) = connect(given, "stats")?;
    let Reply::Status(status) = client.ask(Request::Status)? else { bail!("an unexpected answer") };
    let Reply::Statistics(statistics) = client.ask(Request::Statistics)? else { bail!("an unexpected answer") };
    let mut counters: BTreeMap<String, u64> = statistics.0;
    counters.extend(process_counters(status.pid));
    if given.json() {
        return output::json(&counters);
    }
    let rows: Vec<_> = counters.into_iter().map(|(name, value)| vec![name, value.to_string()]).collect();
    output::line(output::table(&rows))
}

pub(super) fn registers(given: &Given<'_>) -> Result<()> {
    let (_, mut client) = connect(given, "registers")?;
    let Reply::Registers(banks) = client.ask(Request::Registers)? else { bail!("an unexpected answer") };
    if given.json() {
        let banks = banks.into_iter().map(|bank| (bank.name, bank.values.into_iter().collect()));
        return output::json(&banks.collect::<BTreeMap<String, BTreeMap<String, String>>>());
    }
    for bank in banks {
        let values: Vec<_> = bank.values.into_iter().map(|(name, value)| format!("{name} {value}")).collect();
        output::line(format!("{}: {}", bank.name, values.join(", ")))?;
    }
    Ok(())
}

/// What the host's kernel counts of a process: memory in bytes, processor time in milliseconds.
fn process_counters(pid: u32) -> BTreeMap<String, u64> {
    let mut counters = BTreeMap::new();
    if let Ok(status) = std::fs::read_to_string(format!("/proc/{pid}/status")) {
        for (key, name) in [("VmRSS:", "process.resident-bytes"), ("Threads:", "process.threads")] {
            let value = status.lines().find_map(|line| line.strip_prefix(key)?.split_whitespace().next()?.parse().ok());
            let unit = if key == "VmRSS:" { 1024 } else { 1 };
            counters.extend(value.map(|value: u64| (name.to_owned(), value * unit)));
        }
    }
    if let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) {
        // Fields after the name, which may hold anything: utime and stime are the 14th and 15th of all.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = [11, 12].iter().filter_map(|&index| fields.get(index)?.parse::<u64>().ok()).sum::<u64>();
        let per_second = rustix::param::clock_ticks_per_second();
        counters.insert("process.cpu-milliseconds".into(), ticks * 1000 / per_second.max(1));
    }
    counters
}

pub(super) fn logs(given: &Given<'_>) -> Result<()> {
    #[derive(Serialize)]
    struct Entry {
        run: usize,
        file: std::path::PathBuf,
    }
    let library = library()?;
    let machine = machine(&library, given)?;
    let logs = machine.logs()?;
    if given.flag("list") || given.json() {
        let entries: Vec<_> = logs.into_iter().zip(1..).map(|(file, run)| Entry { run, file }).collect();
        if given.json() {
            return output::json(&entries);
        }
        let rows: Vec<_> =
            entries.iter().map(|entry| vec![entry.run.to_string(), entry.file.display().to_string()]).collect();
        return output::line(output::table(&rows));
    }
    let run = given.number("run").unwrap_or(1) as usize;
    let path = logs.get(run - 1).with_context(|| match logs.len() {
        0 => format!("'{}' has never run", machine.name()),
        kept => format!("of '{}' {kept} logs are kept", machine.name()),
    })?;
    let text = std::fs::read(path).with_context(|| format!("can't read {}", path.display()))?;
    output::line(String::from_utf8_lossy(&text).trim_end())
}
