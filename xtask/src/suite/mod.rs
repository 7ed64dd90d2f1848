//! `cargo xtask test`: every test of the project, in the places where it can run.
//!
//! Tests of single crates run here, each in a process of its own. Whole machines run here if this machine's KVM runs real
//! guests, and in the guest lab: one lab for many tests, and a new one for those that are left when it dies.

pub(crate) mod build;
mod doc;
mod plan;
mod report;
pub(crate) mod runner;

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use self::build::Built;
use self::plan::{Needs, Place, Test};
use self::report::Report;
use self::runner::{Event, Order, Verdict};
use crate::args::Args;
use crate::host::{self, Host};
use crate::lab::{Lab, Outcome};
use crate::{guests, packages, process};

/// Where the whole-machine tests find the program (another one, if it is set already), and the guests.
const PROGRAM_VARIABLE: &str = "TANDEM_BIN";
const GUESTS_VARIABLE: &str = "TANDEM_TEST_GUESTS";
/// A lab is given up when a test has passed its limit by this much and nothing happened, or when the lab gave no sign of
/// life for as long.
const GRACE: Duration = Duration::from_secs(120);
/// How often a test is begun if the lab's processor fails under it.
const TRIALS: u32 = 4;
/// So many tests may fail in a place and be tried once more. Two of 89 were seen to freeze in one run; what fails oftener is no
/// accident.
const UNSTEADY_MOST: usize = 4;

/// What was asked for.
struct Asked {
    all: bool,
    unit: bool,
    machine: bool,
    jobs: Option<usize>,
    filters: Vec<String>,
}

/// `cargo xtask test`.
pub(crate) fn command(mut args: Args) -> Result<ExitCode> {
    let (only_unit, only_machine) = (args.flag("--unit"), args.flag("--machine"));
    let asked = Asked {
        all: args.flag("--all"),
        unit: !only_machine,
        machine: !only_unit,
        jobs: args.option("--jobs")?,
        filters: args.rest()?,
    };
    packages::ensure()?;
    let built = build::everything()?;
    let report = Report::default();
    let mut machine_tests = Vec::new();
    let mut unit_tests = Vec::new();
    for program in &built.programs {
        for name in program.tests()? {
            let test = plan::test(program, &name);
            let wanted = asked.filters.is_empty() || asked.filters.iter().any(|filter| test.title.contains(filter));
            match plan::needs(program, &name) {
                _ if !wanted => {}
                Needs::Nothing => unit_tests.push(test),
                needs => machine_tests.push((test, needs)),
            }
        }
    }
    if asked.unit {
        run_here(&unit_tests, &asked, &built, &report)?;
        if asked.filters.is_empty() {
            doc::run(&report)?;
        }
    }
    if asked.machine && !machine_tests.is_empty() {
        run_machines(&machine_tests, &asked, &built, &report)?;
    }
    Ok(if report.close() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A folder for what tests leave, empty.
fn out(built: &Built, place: &str) -> Result<PathBuf> {
    let target = built.binary("xtask")?.ancestors().nth(2).context("cargo builds below a folder")?;
    let dir = target.join("whole-machine").join(place);
    if dir.exists() {
        fs::remove_dir_all(&dir).with_context(|| format!("can't empty {}", dir.display()))?;
    }
    fs::create_dir_all(&dir).with_context(|| format!("can't create {}", dir.display()))?;
    Ok(dir)
}

/// Runs the tests of single crates.
fn run_here(tests: &[Test], asked: &Asked, built: &Built, report: &Report) -> Result<()> {
    println!("{} tests of single crates", tests.len());
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let out = out(built, "crates")?;
    let order = Order { tests: tests.to_vec(), jobs: asked.jobs.unwrap_or(cpus), out, variables: Vec::new() };
    order.run(|event| report.event("here", event))
}

/// Runs the tests that need a KVM, in each place.
fn run_machines(tests: &[(Test, Needs)], asked: &Asked, built: &Built, report: &Report) -> Result<()> {
    let tandem = match std::env::var_os(PROGRAM_VARIABLE) {
        Some(other) => PathBuf::from(other),
        None => built.binary("tandem")?.to_owned(),
    };
    let surroundings = [(PROGRAM_VARIABLE.to_owned(), tandem.clone()), (GUESTS_VARIABLE.to_owned(), guests::ensure()?)];
    let host = host::tried(&tandem);
    println!("this machine's KVM {host}");
    let here = matches!(host, Host::Real);
    let simple_here = matches!(host, Host::Simple(_));
    let with_guests_here = |tests: Vec<Test>| {
        println!("{} tests with guests: {}", tests.len(), Place::Here);
        let dir = out(built, "this-machine")?;
        let order = Order { tests, jobs: asked.jobs.unwrap_or(1), out: dir, variables: surroundings.to_vec() };
        run_twice(order, report)
    };
    let simple = |needs: &Needs| *needs == Needs::SimpleKvm;
    if simple_here && tests.iter().any(|(_, needs)| simple(needs)) {
        with_guests_here(tests.iter().filter(|(_, needs)| simple(needs)).map(|(test, _)| test.clone()).collect())?;
    }
    // What has run here runs in the lab as well if all is asked for.
    let in_lab = |needs: &Needs| !simple(needs) || !simple_here || asked.all;
    if !tests.iter().any(|(_, needs)| here || in_lab(needs)) {
        return Ok(());
    }
    if let Err(error) = Lab::check() {
        let titles = tests.iter().filter(|(_, needs)| in_lab(needs)).map(|(test, _)| test.title.clone());
        let titles: Vec<String> = titles.collect();
        if !here {
            report.not_tried(&titles, &format!("neither this machine's KVM nor the lab runs guests: {error:#}"));
            return Ok(());
        }
        println!("SKIPPED the lab: {error:#}");
    }
    for place in plan::places(here, process::user_id()? == 0, asked.all) {
        // A long test runs in the first place that it doesn't skip.
        let wanted = tests.iter().filter(|(test, needs)| match needs {
            Needs::KvmForLong => asked.all && !report.is_settled(&test.title),
            needs => here || in_lab(needs),
        });
        let tests: Vec<Test> = wanted.map(|(test, _)| test.clone()).collect();
        match place {
            Place::Here => with_guests_here(tests)?,
            Place::Lab { kernel, as_user } => {
                println!("{} tests with guests: {place}", tests.len());
                let dir = out(built, &place.to_string().replace([',', ' '], "-"))?;
                let order = Order { tests, jobs: asked.jobs.unwrap_or(1), out: dir, variables: surroundings.to_vec() };
                let lab = Lab {
                    kernel: kernel.to_owned(),
                    as_user,
                    limit: Duration::from_secs(24 * 60 * 60),
                    ..Lab::default()
                };
                run_in_lab(lab, order, built.binary("xtask")?, &place.to_string(), report)?;
            }
        }
    }
    Ok(())
}

/// Runs the tests of an order here, and those that failed once more, as in the lab (see [`run_in_lab`]): they depend on a
/// display server, a window manager and a drawing library as well, and on how busy this machine is.
fn run_twice(mut order: Order, report: &Report) -> Result<()> {
    let failed = Mutex::new(Vec::new());
    order.run(|event| {
        let mut failed = failed.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Ended { title, verdict: Verdict::Failed(why), output, .. } if failed.len() < UNSTEADY_MOST => {
                report.failed_once(&format!("here: {title}"), &format!("{why}\n{output}"));
                failed.push(title.clone());
            }
            _ => report.event("here", event),
        }
    })?;
    let failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    order.tests.retain(|test| failed.contains(&test.title));
    order.run(|event| report.event("here", event))
}

/// Runs the tests of an order in the lab, and in a new one those that a dead one left.
///
/// The software processor that the lab runs on loses its own kernel now and then: by a triple fault, a panic, or by never
/// coming to an end of something. No program of a user may be able to end or to stop a machine (a test that doesn't end is
/// ended in the lab itself), so no test is at fault: one that was running then is tried again, at most [`TRIALS`] times in
/// all, and the sum tells how many labs were lost. One that no lab survived counts as not tried here if it passed in another
/// place, and as failed if it didn't ([`unsurvived`]).
///
/// Once in many boots it saves its own host's registers as the guest's, which then freezes (`docs/limits.md`). A test that
/// failed is therefore tried once more in a new lab, if there are no more than [`UNSTEADY_MOST`] in this place; the sum names those that passed only then.
fn run_in_lab(mut lab: Lab, mut order: Order, xtask: &Path, place: &str, report: &Report) -> Result<()> {
    let file = order.out.join("order.json");
    lab.out = Some(order.out.clone());
    lab.log = Some(order.out.join("lab.log"));
    let mut trials = HashMap::new();
    let mut failed_once = HashSet::new();
    while !order.tests.is_empty() {
        for old in [order.results(), order.pulse()] {
            fs::remove_file(old).ok();
        }
        order.write(&file)?;
        let mut watch = Watch::new(&order, place, report, failed_once);
        let ended = lab.run(&[xtask.as_os_str(), "run-tests".as_ref(), file.as_os_str()], || watch.look())?;
        watch.look();
        let (left, running, again) = (watch.left(), watch.running(), watch.again.clone());
        failed_once = watch.failed_once;
        order.tests.retain(|test| left.contains(&test.title) || again.contains(&test.title));
        if left.is_empty() {
            continue;
        }
        let output = match &ended {
            Outcome::Died(death) => death.to_string(),
            Outcome::GivenUp => "the lab came to a stand".to_owned(),
            other => format!("the lab ended with it: {other:?}"),
        };
        // Whether it was the lab's own fault, and the test can be tried again: how often it was.
        let mut again = |title: &str| {
            let trials: &mut u32 = trials.entry(title.to_owned()).or_insert(0);
            *trials += 1;
            let again = matches!(ended, Outcome::Died(_) | Outcome::GivenUp) && *trials < TRIALS;
            if again {
                report.lost(&format!("{place}: {title} (trial {trials} of {TRIALS})"), &output);
            }
            again
        };
        if running.is_empty() {
            if again("before the first test") {
                continue;
            }
            let said = fs::read_to_string(order.out.join("lab.log")).unwrap_or_default();
            bail!("the lab ({place}) ended before a test did: {output}\n{said}");
        }
        for title in running {
            if again(&title) {
                continue;
            }
            order.tests.retain(|test| test.title != title);
            let verdict = unsurvived(report.has_passed(&title));
            let output = output.clone();
            report.event(place, &Event::Ended { title, verdict, seconds: 0.0, output });
        }
    }
    Ok(())
}

/// What is said of a test that no lab of a place survived. The lab's processor is at fault and not the test, which is known where it
/// passed elsewhere; where it passed nowhere, nothing is known of it.
fn unsurvived(passed_elsewhere: bool) -> Verdict {
    match passed_elsewhere {
        true => Verdict::Skipped("no lab survived it here; it passed in another place".to_owned()),
        false => Verdict::Failed("the lab did not survive it".to_owned()),
    }
}

/// Follows the results that tests in a lab write.
struct Watch<'a> {
    order: &'a Order,
    place: &'a str,
    report: &'a Report,
    /// The tests that failed once, in any lab of this place.
    failed_once: HashSet<String>,
    /// Those of this lab, which are tried once more.
    again: Vec<String>,
    events: Vec<Event>,
    bytes: u64,
    /// When a result came last.
    progress: Instant,
    /// What the lab's sign of life was last, and when that changed.
    pulse: (Vec<u8>, Instant),
}

impl<'a> Watch<'a> {
    fn new(order: &'a Order, place: &'a str, report: &'a Report, failed_once: HashSet<String>) -> Self {
        let now = Instant::now();
        let (again, events, pulse) = (Vec::new(), Vec::new(), (Vec::new(), now));
        Self { order, place, report, failed_once, again, events, bytes: 0, progress: now, pulse }
    }

    /// Reports what is new; whether nothing has happened for so long that nothing will.
    fn look(&mut self) -> bool {
        let file = self.order.results();
        let bytes = fs::metadata(&file).map_or(0, |meta| meta.len());
        if bytes != self.bytes {
            self.bytes = bytes;
            self.progress = Instant::now();
            let events = runner::results(&file);
            for event in events.iter().skip(self.events.len()) {
                match event {
                    Event::Ended { title, verdict: Verdict::Failed(why), output, .. } if self.may_fail(title) => {
                        self.report.failed_once(&format!("{}: {title}", self.place), &format!("{why}\n{output}"));
                        self.failed_once.insert(title.clone());
                        self.again.push(title.clone());
                    }
                    _ => self.report.event(self.place, event),
                }
            }
            self.events = events;
        }
        let pulse = fs::read(self.order.pulse()).unwrap_or_default();
        if pulse != self.pulse.0 {
            self.pulse = (pulse, Instant::now());
        }
        let longest = self.order.tests.iter().map(|test| test.limit).max().unwrap_or_default();
        self.progress.elapsed() > longest + GRACE || self.pulse.1.elapsed() > GRACE
    }

    /// Whether a test that has failed is tried once more.
    fn may_fail(&self, title: &str) -> bool {
        !self.failed_once.contains(title) && self.failed_once.len() < UNSTEADY_MOST
    }

    /// The tests without a result.
    fn left(&self) -> Vec<String> {
        let ended = report::ended(&self.events);
        let left = self.order.tests.iter().filter(|test| !ended.contains(test.title.as_str()));
        left.map(|test| test.title.clone()).collect()
    }

    /// The tests that had begun and have no result.
    fn running(&self) -> Vec<String> {
        let left = self.left();
        let running = self.events.iter().filter_map(|event| match event {
            Event::Started(title) if left.contains(title) => Some(title.clone()),
            _ => None,
        });
        running.collect()
    }
}
