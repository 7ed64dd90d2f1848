//! Guest clusters that one request is giving a new place, so that no other does the same at the same time.

use std::ops::Range;

use parking_lot::{Condvar, Mutex};

/// The ranges of guest clusters that are claimed. There are at most as many as requests under way.
#[derive(Debug, Default)]
pub(super) struct Claims {
    ranges: Mutex<Vec<Range<u64>>>,
    released: Condvar,
}

/// A claimed range; dropping it ends the claim.
#[derive(Debug)]
pub(super) struct Claim<'a> {
    claims: &'a Claims,
    range: Range<u64>,
}

impl Claims {
    /// Waits until nobody has claimed any of `range`, and claims it. Whoever holds a claim must not ask for another.
    pub(super) fn claim(&self, range: Range<u64>) -> Claim<'_> {
        let mut ranges = self.ranges.lock();
        while ranges.iter().any(|other| other.start < range.end && range.start < other.end) {
            self.released.wait(&mut ranges);
        }
        ranges.push(range.clone());
        Claim { claims: self, range }
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        let mut ranges = self.claims.ranges.lock();
        if let Some(index) = ranges.iter().position(|range| *range == self.range) {
            ranges.swap_remove(index);
        }
        drop(ranges);
        self.claims.released.notify_all();
    }
}
