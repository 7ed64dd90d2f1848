//! The examples in the documentation, which rustdoc runs.

use anyhow::{Context, Result};

use super::build::cargo;
use super::report::Report;
use super::runner::{Event, Verdict};

/// Runs them all, and counts them like other tests.
pub(super) fn run(report: &Report) -> Result<()> {
    let mut command = cargo();
    let output = command.args(["test", "--doc", "--workspace", "--quiet"]).output().context("can't run cargo")?;
    let said = String::from_utf8_lossy(&output.stdout);
    for line in said.lines() {
        if let Some((title, verdict)) = result(line) {
            let ended = Event::Ended { title, verdict, seconds: 0.0, output: String::new() };
            report.event("doc", &ended);
        }
    }
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        report.failure(&format!("examples in the documentation\n{said}\n{errors}"));
    }
    Ok(())
}

/// Reads a line such as `test machine/src/line.rs - line::Line (line 20) ... ok`.
fn result(line: &str) -> Option<(String, Verdict)> {
    let (title, result) = line.strip_prefix("test ")?.rsplit_once(" ... ")?;
    let verdict = match result {
        "ok" => Verdict::Passed,
        "ignored" => Verdict::Skipped("it is marked as ignored".to_owned()),
        // The failure of the whole run says more.
        _ => return None,
    };
    Some((title.to_owned(), verdict))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_examples_are_read() {
        let passed = result("test machine/src/line.rs - line::Line (line 20) ... ok");
        assert_eq!(passed, Some(("machine/src/line.rs - line::Line (line 20)".into(), Verdict::Passed)));
        assert_eq!(result("test result: ok. 1 passed; 0 failed"), None);
    }
}
