//! A set of numbers (of clusters, of pieces of a file), kept as ranges.

use std::collections::BTreeMap;
use std::ops::Range;

/// Start to end (exclusive); ranges neither touch nor overlap.
#[derive(Debug, Default)]
pub(super) struct RangeSet(BTreeMap<u64, u64>);

impl RangeSet {
    pub(super) fn insert(&mut self, mut range: Range<u64>) {
        while let Some((&start, &end)) = self.0.range(..=range.end).next_back() {
            if end < range.start {
                break;
            }
            range = range.start.min(start)..range.end.max(end);
            self.0.remove(&start);
        }
        if !range.is_empty() {
            self.0.insert(range.start, range.end);
        }
    }

    pub(super) fn remove(&mut self, range: Range<u64>) {
        while let Some((&start, &end)) = self.0.range(..range.end).next_back() {
            if end <= range.start {
                break;
            }
            self.0.remove(&start);
            if start < range.start {
                self.0.insert(start, range.start);
            }
            if end > range.end {
                self.0.insert(range.end, end);
            }
        }
    }

    /// How many ranges it takes to say what is in the set.
    pub(super) fn range_count(&self) -> usize {
        self.0.len()
    }

    pub(super) fn contains(&self, number: u64) -> bool {
        self.0.range(..=number).next_back().is_some_and(|(_, end)| number < *end)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_range_set_behaves_like_a_set_of_numbers(
            steps in prop::collection::vec((any::<bool>(), 0_u64..60, 0_u64..12), 0..60)
        ) {
            let mut set = RangeSet::default();
            let mut model = [false; 80];
            for (insert, start, len) in steps {
                if insert { set.insert(start..start + len) } else { set.remove(start..start + len) }
                model[start as usize..(start + len) as usize].fill(insert);
                let found: Vec<bool> = (0..80).map(|number| set.contains(number)).collect();
                prop_assert_eq!(&found[..], &model[..]);
            }
        }
    }
}
