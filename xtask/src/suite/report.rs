//! What people read about a run of tests, and its sum.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use super::runner::{Event, Verdict};

/// Collects what became of tests, and shows it as it happens.
#[derive(Default)]
pub(crate) struct Report {
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    passed: usize,
    skipped: Vec<String>,
    failed: Vec<String>,
    /// Labs that ended under a test, which was tried again.
    lost: Vec<String>,
    /// Tests that failed at their first trial in a place, and their second is yet to come.
    failed_once: HashSet<String>,
    /// Tests that passed at their second.
    unsteady: Vec<String>,
    /// The titles that passed or failed somewhere.
    settled: HashSet<String>,
    /// Those that passed.
    passed_somewhere: HashSet<String>,
}

impl Report {
    /// Takes an event from one of the places where tests run.
    pub(crate) fn event(&self, place: &str, event: &Event) {
        let Event::Ended { title, verdict, seconds, output } = event else { return };
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if !matches!(verdict, Verdict::Skipped(_)) {
            seen.settled.insert(title.clone());
        }
        let line = format!("[{seconds:7.2} s] {place}: {title}");
        let second = seen.failed_once.remove(&format!("{place}: {title}"));
        match verdict {
            Verdict::Passed => {
                seen.passed += 1;
                seen.passed_somewhere.insert(title.clone());
                println!("   pass {line}{}", if second { " (at the second trial)" } else { "" });
                if second {
                    seen.unsteady.push(format!("{place}: {title}"));
                }
            }
            Verdict::Skipped(why) => {
                seen.skipped.push(format!("{place}: {title}: {why}"));
                println!("SKIPPED {line}: {why}");
            }
            Verdict::Failed(why) => {
                seen.failed.push(format!("{place}: {title}: {why}"));
                println!("   FAIL {line}: {why}");
                println!("{}", indented(output));
            }
        }
    }

    /// Whether a test has passed or failed in some place.
    pub(crate) fn is_settled(&self, title: &str) -> bool {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).settled.contains(title)
    }

    /// Whether a test has passed in some place.
    pub(crate) fn has_passed(&self, title: &str) -> bool {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).passed_somewhere.contains(title)
    }

    /// Takes a lab that ended under a test, which will be tried again.
    pub(crate) fn lost(&self, what: &str, why: &str) {
        println!("  AGAIN {what}\n{}", indented(why));
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).lost.push(what.to_owned());
    }

    /// Takes a failure of a test, `place: title`, which will be tried once more.
    pub(crate) fn failed_once(&self, what: &str, why: &str) {
        println!("  AGAIN {what}: it failed\n{}", indented(why));
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).failed_once.insert(what.to_owned());
    }

    /// Takes a failure that is no single test's.
    pub(crate) fn failure(&self, what: &str) {
        println!("   FAIL {what}");
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).failed.push(what.to_owned());
    }

    /// Takes tests that could not be tried anywhere.
    pub(crate) fn not_tried(&self, titles: &[String], why: &str) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        for title in titles {
            println!("SKIPPED {title}: {why}");
            seen.skipped.push(format!("{title}: {why}"));
        }
    }

    /// Shows what didn't pass once more, then the sum; whether nothing failed.
    pub(crate) fn close(self) -> bool {
        let mut seen = self.seen.into_inner().unwrap_or_else(PoisonError::into_inner);
        let without_second: Vec<String> = seen.failed_once.drain().map(|title| format!("{title}: failed")).collect();
        seen.failed.extend(without_second);
        if !seen.skipped.is_empty() {
            println!("\n{} tests could not run:", seen.skipped.len());
            seen.skipped.iter().for_each(|line| println!("  SKIPPED {line}"));
        }
        if !seen.lost.is_empty() {
            println!("\n{} labs were lost under tests that were then tried again:", seen.lost.len());
            seen.lost.iter().for_each(|line| println!("  AGAIN {line}"));
        }
        if !seen.unsteady.is_empty() {
            println!("\n{} tests failed at first and passed at the second trial:", seen.unsteady.len());
            seen.unsteady.iter().for_each(|line| println!("  UNSTEADY {line}"));
        }
        if !seen.failed.is_empty() {
            println!("\n{} failures:", seen.failed.len());
            seen.failed.iter().for_each(|line| println!("  FAIL {line}"));
        }
        println!("\n{} passed, {} failed, {} skipped", seen.passed, seen.failed.len(), seen.skipped.len());
        seen.failed.is_empty()
    }
}

/// Lines as they stand below the test that they belong to.
fn indented(text: &str) -> String {
    let lines: Vec<String> = text.trim_end().lines().map(|line| format!("      | {line}")).collect();
    lines.join("\n")
}

/// The titles that have ended, among events.
pub(crate) fn ended(events: &[Event]) -> HashSet<&str> {
    let titles = events.iter().filter_map(|event| match event {
        Event::Ended { title, .. } => Some(title.as_str()),
        Event::Started(_) => None,
    });
    titles.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(verdict: Verdict) -> Event {
        Event::Ended { title: "boot".into(), verdict, seconds: 1.0, output: String::new() }
    }

    #[test]
    fn a_second_trial_decides() {
        let report = Report::default();
        report.failed_once("lab: boot", "it froze");
        report.event("lab", &ended(Verdict::Passed));
        assert!(report.close());

        let report = Report::default();
        report.failed_once("lab: boot", "it froze");
        report.event("lab", &ended(Verdict::Failed("it froze".into())));
        assert!(!report.close());
    }

    #[test]
    fn what_passed_somewhere_is_known() {
        let report = Report::default();
        report.event("lab", &ended(Verdict::Failed("it froze".into())));
        assert!(report.is_settled("boot") && !report.has_passed("boot"));
        report.event("another lab", &ended(Verdict::Passed));
        assert!(report.has_passed("boot"));
    }

    #[test]
    fn a_failure_without_a_second_trial_is_one() {
        let report = Report::default();
        report.failed_once("lab: boot", "it froze");
        assert!(!report.close());
    }
}
