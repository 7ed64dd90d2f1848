//! Logging at a limited rate: a guest can ask for nonsense a million times a second.

use std::time::{Duration, Instant};

/// Lets through up to `burst` events in each `period`, and counts the others.
#[derive(Debug)]
pub struct RateLimit {
    burst: u32,
    period: Duration,
    start: Option<Instant>,
    passed: u32,
    held: u64,
}

impl RateLimit {
    /// For the log lines of one device: ten in ten seconds.
    #[must_use]
    pub const fn for_log() -> Self {
        Self::new(10, Duration::from_secs(10))
    }

    /// Up to `burst` events in each `period`.
    #[must_use]
    pub const fn new(burst: u32, period: Duration) -> Self {
        RateLimit { burst, period, start: None, passed: 0, held: 0 }
    }

    /// Whether this event may pass: `Some` with the number of events held back since the last that passed.
    pub fn pass(&mut self) -> Option<u64> {
        self.pass_at(Instant::now())
    }

    fn pass_at(&mut self, now: Instant) -> Option<u64> {
        if self.start.is_none_or(|start| now.duration_since(start) >= self.period) {
            self.start = Some(now);
            self.passed = 0;
        }
        if self.passed == self.burst {
            self.held += 1;
            return None;
        }
        self.passed += 1;
        Some(std::mem::take(&mut self.held))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_the_rest_is_counted() {
        let mut limit = RateLimit::new(2, Duration::from_secs(1));
        let start = Instant::now();
        let passed: Vec<_> = (0..5).map(|_| limit.pass_at(start)).collect();
        assert_eq!(passed, [Some(0), Some(0), None, None, None]);
        assert_eq!(limit.pass_at(start + Duration::from_secs(1)), Some(3));
    }
}
