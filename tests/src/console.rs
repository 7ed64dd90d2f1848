//! What a person has of a machine: a screen, a keyboard and a serial port, ours or QEMU's.

use std::time::Duration;

use anyhow::{Context, Result};

use crate::wait::{Patience, wait_until};

/// Screen, keyboard and serial port of a running machine.
pub trait Console {
    /// What to call it in an error.
    fn title(&self) -> &str;

    /// The characters of its text screen; other characters may come before or after them. Nothing in a graphical mode.
    ///
    /// # Errors
    /// The machine is gone.
    fn screen_text(&self) -> Result<String>;

    /// Types a text; `\n` is the enter key.
    ///
    /// # Errors
    /// The machine is gone, or its keyboard has no such key.
    fn type_text(&self, text: &str) -> Result<()>;

    /// What it wrote to its first serial port.
    ///
    /// # Errors
    /// It can't be read.
    fn serial(&self) -> Result<String>;

    /// What its processors do, for the report of a test that waited in vain; nothing if it can't tell.
    fn diagnosis(&self) -> String {
        String::new()
    }

    /// Waits until the screen shows a text, and gives all that it shows.
    ///
    /// # Errors
    /// The limit passed.
    fn wait_for_screen(&self, text: &str, limit: Duration) -> Result<String> {
        self.wait_for_screen_that(&format!("{text:?}"), limit, &|screen| screen.contains(text))
    }

    /// Waits until what the screen shows is as wanted, and gives it.
    ///
    /// # Errors
    /// The limit passed: what the screen shows at last is in the error.
    fn wait_for_screen_that(&self, what: &str, limit: Duration, wanted: &dyn Fn(&str) -> bool) -> Result<String> {
        let mut last = String::new();
        let seen = wait_until(&format!("{what} on the screen of {}", self.title()), limit, || {
            last = self.screen_text()?;
            Ok(wanted(&last).then(|| last.clone()))
        });
        seen.with_context(|| format!("the screen shows\n{}\n{}", last.trim_end(), self.diagnosis()))
    }

    /// Waits until it has written a text to its first serial port.
    ///
    /// # Errors
    /// The limit passed: the end of what it wrote is in the error.
    fn wait_for_serial(&self, text: &str, limit: Duration) -> Result<()> {
        let what = format!("{text:?} on the serial port of {}", self.title());
        let seen = wait_until(&what, limit, || Ok(self.serial()?.contains(text).then_some(())));
        seen.with_context(|| {
            let serial = self.serial().unwrap_or_default();
            let lines: Vec<&str> = serial.lines().collect();
            format!("it ends with\n{}\n{}", lines[lines.len().saturating_sub(15)..].join("\n"), self.diagnosis())
        })
    }

    /// Logs in as root on the screen of the Debian guest, by its keyboard.
    ///
    /// # Errors
    /// It did not come to a prompt.
    fn log_in(&self) -> Result<()> {
        self.wait_for_screen("guest login:", Patience::SYSTEM)?;
        self.type_text("root\n")?;
        self.wait_for_screen("Password:", Patience::REACTION)?;
        self.type_text("tandem\n")?;
        self.wait_for_screen("root@guest:~#", Patience::REACTION)?;
        Ok(())
    }

    /// Runs a command line in the Debian guest, typed after [`Console::log_in`], and gives what it wrote.
    ///
    /// # Errors
    /// It did not end, or ended with another exit status than 0.
    fn shell(&self, line: &str, limit: Duration) -> Result<String> {
        // The serial port brings the answer whole. The typed line doesn't hold the mark as it is.
        let before = self.serial()?.len();
        self.type_text(&format!("({line}) >/dev/ttyS0 2>&1; echo EN''D $? >/dev/ttyS0\n"))?;
        let said = wait_until(&format!("the end of {line:?}"), limit, || {
            Ok(answer(self.serial()?.get(before..).unwrap_or_default()))
        });
        let (said, status) = said.with_context(|| {
            format!("the screen shows\n{}\n{}", self.screen_text().unwrap_or_default(), self.diagnosis())
        })?;
        anyhow::ensure!(status == "0", "{line:?} ended with status {status}: {said}");
        Ok(said)
    }
}

/// What a command wrote and its exit status, once its end was seen on the serial port.
fn answer(serial: &str) -> Option<(String, String)> {
    let serial = serial.replace('\r', "");
    let (said, status) = serial.rsplit_once("END ")?;
    let status = status.strip_suffix('\n')?;
    Some((said.to_owned(), status.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_when_its_status_is() {
        assert_eq!(answer("one\r\ntwo\r\nEND 0\r\n"), Some(("one\ntwo\n".into(), "0".into())));
        assert_eq!(answer("one\r\nEND 1"), None);
        assert_eq!(answer("one\r\n"), None);
    }
}
