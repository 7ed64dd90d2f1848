//! Running tests, each in a process of its own with a limit, here or in the lab.
//!
//! What became of a test is written down at once, a line of JSON each: a machine that dies takes no result with it. A
//! test says that it can't run here by a line that begins with `SKIPPED: `.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::plan::Test;
use crate::args::Args;
use crate::places::Scratch;
use crate::process::{self, Ended};

/// Holds a value of its own for each test, in the surroundings of all that the test starts.
const MARK: &str = "TANDEM_TEST_MARK";
/// The folder where a test leaves what helps to understand its failure.
const ARTIFACTS: &str = "TANDEM_TEST_ARTIFACTS";
const SKIPPED: &str = "SKIPPED: ";
/// How long killed processes may take to be gone.
const KILL_LIMIT: Duration = Duration::from_secs(5);
/// How often a place where tests run gives a sign of life.
const PULSE: Duration = Duration::from_secs(5);
/// Of a long output, the end says what went wrong.
const OUTPUT_KEPT_BYTES: usize = 20_000;

/// What became of a test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It passed.
    Passed,
    /// It failed, or was stopped at its limit: why.
    Failed(String),
    /// It can't run where it was tried: why.
    Skipped(String),
}

/// A line of the results.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Event {
    /// A test is being run.
    Started(String),
    /// A test has ended.
    Ended {
        /// The test.
        title: String,
        /// What became of it.
        verdict: Verdict,
        /// How long it took.
        seconds: f64,
        /// What it wrote, if it didn't pass.
        output: String,
    },
}

impl Event {
    fn to_json(&self) -> Value {
        match self {
            Self::Started(title) => json!({ "started": title }),
            Self::Ended { title, verdict, seconds, output } => {
                let (verdict, why) = match verdict {
                    Verdict::Passed => ("passed", ""),
                    Verdict::Failed(why) => ("failed", why.as_str()),
                    Verdict::Skipped(why) => ("skipped", why.as_str()),
                };
                json!({ "title": title, "verdict": verdict, "why": why, "seconds": seconds, "output": output })
            }
        }
    }

    fn from_json(value: &Value) -> Option<Self> {
        if let Some(title) = value["started"].as_str() {
            return Some(Self::Started(title.to_owned()));
        }
        let text = |name: &str| value[name].as_str().map(str::to_owned);
        let verdict = match value["verdict"].as_str()? {
            "passed" => Verdict::Passed,
            "failed" => Verdict::Failed(text("why")?),
            "skipped" => Verdict::Skipped(text("why")?),
            _ => return None,
        };
        Some(Self::Ended {
            title: text("title")?,
            verdict,
            seconds: value["seconds"].as_f64()?,
            output: text("output")?,
        })
    }
}

/// Reads the results written so far; a line that a dying machine left unfinished is passed over.
pub(crate) fn results(file: &Path) -> Vec<Event> {
    let text = fs::read(file).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    text.lines().filter_map(|line| Event::from_json(&serde_json::from_str(line).ok()?)).collect()
}

/// What is to be run, and where it leaves what.
pub(crate) struct Order {
    /// The tests.
    pub(crate) tests: Vec<Test>,
    /// How many run at once.
    pub(crate) jobs: usize,
    /// A folder for the results and for what failed tests leave.
    pub(crate) out: PathBuf,
    /// What the tests find in their surroundings.
    pub(crate) variables: Vec<(String, PathBuf)>,
}

impl Order {
    /// The file of results.
    pub(crate) fn results(&self) -> PathBuf {
        self.out.join("results.jsonl")
    }

    /// The file whose content changes as long as the place where the tests run is alive.
    pub(crate) fn pulse(&self) -> PathBuf {
        self.out.join("pulse")
    }

    /// Writes it down for another process.
    pub(crate) fn write(&self, file: &Path) -> Result<()> {
        let tests: Vec<Value> = self.tests.iter().map(Test::to_json).collect();
        let variables: serde_json::Map<String, Value> =
            self.variables.iter().map(|(name, value)| (name.clone(), json!(value.to_string_lossy()))).collect();
        let out = self.out.to_string_lossy();
        let order = json!({ "tests": tests, "jobs": self.jobs, "out": out, "variables": variables });
        fs::write(file, order.to_string()).with_context(|| format!("can't write {}", file.display()))
    }

    fn read(file: &Path) -> Result<Self> {
        let text = fs::read_to_string(file).with_context(|| format!("can't read {}", file.display()))?;
        let order: Value = serde_json::from_str(&text)?;
        let tests = order["tests"].as_array().into_iter().flatten();
        let variables = order["variables"].as_object().into_iter().flatten();
        Ok(Self {
            tests: tests.map(Test::from_json).collect::<Option<_>>().context("a test in the order lacks a field")?,
            jobs: usize::try_from(order["jobs"].as_u64().unwrap_or(1))?,
            out: order["out"].as_str().context("the order has no folder for results")?.into(),
            variables: variables
                .map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().into()))
                .collect(),
        })
    }

    /// Runs the tests; `seen` hears of everything that happens.
    pub(crate) fn run(&self, seen: impl Fn(&Event) + Sync) -> Result<()> {
        fs::create_dir_all(&self.out).with_context(|| format!("can't create {}", self.out.display()))?;
        let results = OpenOptions::new().append(true).create(true).open(self.results());
        let results = Mutex::new(results.with_context(|| format!("can't write {}", self.results().display()))?);
        let record = |event: Event| -> Result<()> {
            let line = format!("{}\n", event.to_json());
            // Seen while it is held, so that two tests' lines don't mix.
            let mut file = results.lock().unwrap_or_else(PoisonError::into_inner);
            file.write_all(line.as_bytes()).context("can't write the results")?;
            seen(&event);
            Ok(())
        };
        let queue: Mutex<VecDeque<&Test>> = Mutex::new(self.tests.iter().collect());
        let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let work = || -> Result<()> {
            while let Some(test) = next() {
                record(Event::Started(test.title.clone()))?;
                record(self.run_one(test)?)?;
            }
            Ok(())
        };
        thread::scope(|scope| {
            let workers: Vec<_> = (0..self.jobs.max(1)).map(|_| scope.spawn(work)).collect();
            workers
                .into_iter()
                .try_for_each(|worker| worker.join().unwrap_or_else(|_| anyhow::bail!("a worker panicked")))
        })
    }

    /// Runs one test to its end, and ends all that it started.
    fn run_one(&self, test: &Test) -> Result<Event> {
        let scratch = Scratch::new("test")?;
        let log = scratch.path().join("output");
        let artifacts = self.out.join("artifacts").join(test.title.replace("::", "."));
        fs::create_dir_all(&artifacts).with_context(|| format!("can't create {}", artifacts.display()))?;
        let mark = scratch.path().to_string_lossy().into_owned();
        let writer = File::create(&log)?;
        let mut command = Command::new(&test.program);
        command.args([test.name.as_str(), "--exact", "--nocapture", "--test-threads=1"]);
        command.current_dir(&test.dir).env("CARGO_MANIFEST_DIR", &test.dir).env(MARK, &mark).env(ARTIFACTS, &artifacts);
        // A test's error says what happened; where the library that runs it was called from is no help.
        command.env("RUST_BACKTRACE", "0");
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer).process_group(0);
        let start = Instant::now();
        let mut child = command.spawn().with_context(|| format!("can't run {}", test.program))?;
        let ended = process::wait(&mut child, test.limit, || false)?;
        let seconds = start.elapsed().as_secs_f64();
        process::kill_group(child.id());
        kill_marked(&mark);

        let output = fs::read(&log).unwrap_or_default();
        let output = String::from_utf8_lossy(&output[output.len().saturating_sub(OUTPUT_KEPT_BYTES)..]).into_owned();
        let reason = output.lines().find_map(|line| line.split_once(SKIPPED)).map(|(_, why)| why.to_owned());
        let verdict = match (ended, reason) {
            (Ended::TimedOut, _) => Verdict::Failed(format!("it did not end within {} s", test.limit.as_secs())),
            (Ended::Exited(status), Some(why)) if status.success() => Verdict::Skipped(why),
            (Ended::Exited(status), None) if status.success() => Verdict::Passed,
            (Ended::Exited(status), _) => Verdict::Failed(status.to_string()),
            (Ended::Stopped, _) => Verdict::Failed("it was stopped".to_owned()),
        };
        if verdict == Verdict::Passed {
            fs::remove_dir_all(&artifacts).ok();
            return Ok(Event::Ended { title: test.title.clone(), verdict, seconds, output: String::new() });
        }
        fs::write(artifacts.join("output.txt"), &output).ok();
        Ok(Event::Ended { title: test.title.clone(), verdict, seconds, output })
    }
}

/// `cargo xtask run-tests ORDER`: what the lab runs.
pub(crate) fn command(mut args: Args) -> Result<ExitCode> {
    let file: PathBuf = args.subcommand().context("run-tests needs a file")?.into();
    args.finish()?;
    let order = Order::read(&file)?;
    let pulse = order.pulse();
    // It ends with the process.
    thread::spawn(move || {
        for beat in 0_u64.. {
            fs::write(&pulse, beat.to_string()).ok();
            thread::sleep(PULSE);
        }
    });
    order.run(|_| ())?;
    Ok(ExitCode::SUCCESS)
}

/// Kills what a test left behind, in whatever session it is, and waits until it is gone.
fn kill_marked(mark: &str) {
    let deadline = Instant::now() + KILL_LIMIT;
    // A process that is about to become another program has no surroundings for a moment: look twice.
    let mut clean = 0;
    while clean < 2 && Instant::now() < deadline {
        let left = marked(mark);
        clean = if left.is_empty() { clean + 1 } else { 0 };
        left.iter().for_each(|process| process::kill(process));
    }
}

/// The processes that a mark's test started. One that has ended already has no surroundings.
fn marked(mark: &str) -> Vec<String> {
    let wanted = format!("{MARK}={mark}");
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let surroundings = fs::read(entry.path().join("environ")).unwrap_or_default();
        if surroundings.split(|byte| *byte == 0).any(|variable| variable == wanted.as_bytes()) {
            found.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A program that a shell runs in place of libtest's.
    fn scripted(dir: &Path, name: &str, script: &str, limit: Duration) -> Test {
        use std::os::unix::fs::PermissionsExt;
        let program = dir.join(name);
        fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let text = |path: &Path| path.to_string_lossy().into_owned();
        Test { title: name.to_owned(), program: text(&program), name: "x".into(), dir: text(dir), limit }
    }

    fn verdicts(order: &Order) -> Vec<(String, Verdict)> {
        order.run(|_| ()).unwrap();
        let ended = results(&order.results()).into_iter().filter_map(|event| match event {
            Event::Ended { title, verdict, .. } => Some((title, verdict)),
            Event::Started(_) => None,
        });
        ended.collect()
    }

    #[test]
    fn each_test_gets_its_own_verdict() {
        let dir = Scratch::new("runner").unwrap();
        let limit = Duration::from_secs(60);
        let tests = vec![
            scripted(dir.path(), "good", "exit 0", limit),
            scripted(dir.path(), "bad", "echo why; exit 101", limit),
            scripted(dir.path(), "absent", "echo 'test x ... SKIPPED: no such thing'", limit),
            scripted(dir.path(), "endless", "while :; do sleep 1; done", Duration::from_millis(200)),
        ];
        let order = Order { tests, jobs: 1, out: dir.path().join("out"), variables: Vec::new() };
        let verdicts = verdicts(&order);
        assert_eq!(verdicts[0].1, Verdict::Passed);
        assert!(matches!(&verdicts[1].1, Verdict::Failed(why) if why.contains("101")), "{verdicts:?}");
        assert_eq!(verdicts[2].1, Verdict::Skipped("no such thing".into()));
        assert!(matches!(&verdicts[3].1, Verdict::Failed(why) if why.contains("did not end")), "{verdicts:?}");
        assert_eq!(fs::read_to_string(dir.path().join("out/artifacts/bad/output.txt")).unwrap(), "why\n");
        assert!(!dir.path().join("out/artifacts/good").exists());
    }

    #[test]
    fn what_a_test_leaves_running_is_ended() {
        let dir = Scratch::new("runner").unwrap();
        let script = format!("setsid sleep 1000 & echo $! > {}/pid", dir.path().display());
        let order = Order {
            tests: vec![scripted(dir.path(), "messy", &script, Duration::from_secs(60))],
            jobs: 1,
            out: dir.path().join("out"),
            variables: Vec::new(),
        };
        assert_eq!(verdicts(&order)[0].1, Verdict::Passed);
        let pid = fs::read_to_string(dir.path().join("pid")).unwrap();
        // It may still wait for its new parent, as a zombie, whose command line is empty.
        let line = fs::read_to_string(format!("/proc/{}/cmdline", pid.trim())).unwrap_or_default();
        assert_eq!(line, "");
    }

    #[test]
    fn an_unfinished_line_of_results_is_passed_over() {
        let dir = Scratch::new("runner").unwrap();
        let file = dir.path().join("results");
        fs::write(&file, "{\"started\":\"a\"}\n{\"title\":\"a\",\"verd").unwrap();
        assert_eq!(results(&file), [Event::Started("a".into())]);
    }
}
