//! Waiting for a condition, with a limit.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How often a condition is looked at: a look starts a program, so not too often.
const POLL: Duration = Duration::from_millis(200);
const CLOSE_POLL: Duration = Duration::from_millis(5);

/// How long something may take. Guests in the lab are many times slower than on real hardware, so these are generous: a
/// test that waits in vain fails late, a test that succeeds is not slowed down.
pub struct Patience;

impl Patience {
    /// A firmware or a boot loader shows something.
    pub const FIRMWARE: Duration = Duration::from_secs(120);
    /// A kernel and what it starts.
    pub const SYSTEM: Duration = Duration::from_secs(420);
    /// A program reacts to a key.
    pub const REACTION: Duration = Duration::from_secs(60);
}

/// Looks until `look` gives a value, or fails after `limit` with what was waited for.
///
/// # Errors
/// The limit passed, or a look failed.
pub fn wait_until<T>(what: &str, limit: Duration, look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    wait(what, limit, POLL, look)
}

/// The same, for a condition that costs nothing to look at and must be seen soon.
///
/// # Errors
/// As [`wait_until`].
pub fn wait_closely<T>(what: &str, limit: Duration, look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    wait(what, limit, CLOSE_POLL, look)
}

/// The same, with a look every `poll`.
pub(crate) fn wait<T>(
    what: &str,
    limit: Duration,
    poll: Duration,
    mut look: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(value) = look()? {
            return Ok(value);
        }
        if Instant::now() >= deadline {
            bail!("waited {} s in vain for {what}", limit.as_secs());
        }
        thread::sleep(poll);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_that_comes_true_ends_the_wait() {
        let mut looks = 0;
        let value = wait_until("three looks", Duration::from_secs(60), || {
            looks += 1;
            Ok((looks == 3).then_some(looks))
        });
        assert_eq!(value.unwrap(), 3);
    }

    #[test]
    fn a_wait_in_vain_says_for_what() {
        let error = wait_until("rain", Duration::ZERO, || Ok(None::<()>)).unwrap_err();
        assert!(error.to_string().contains("rain"), "{error}");
    }
}
