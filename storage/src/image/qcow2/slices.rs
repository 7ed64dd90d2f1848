//! Which parts of a table have to be written: a table's cluster in at most 64 slices of at least 4 KiB.

use std::ops::Range;

/// How a cluster is divided.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slices {
    cluster_bits: u32,
    slice_bits: u32,
}

impl Slices {
    pub(super) fn of_cluster(cluster_bits: u32) -> Self {
        // 2^6 bits in a mask; a small cluster is one slice
        Slices { cluster_bits, slice_bits: cluster_bits.saturating_sub(6).max(12).min(cluster_bits) }
    }

    /// The mask of the slice with byte `at` of the cluster.
    pub(super) fn bit(self, at: usize) -> u64 {
        1 << (at >> self.slice_bits)
    }

    /// The mask of every slice.
    pub(super) fn all(self) -> u64 {
        let count = 1_u32 << (self.cluster_bits - self.slice_bits);
        u64::MAX >> (64 - count)
    }

    /// The bytes of one slice within the cluster.
    pub(super) fn range(self, slice: u32) -> Range<usize> {
        let start = (slice as usize) << self.slice_bits;
        start..start + (1 << self.slice_bits)
    }
}

/// The numbers of the slices in a mask.
pub(super) fn iter(mask: u64) -> impl Iterator<Item = u32> {
    (0..64).filter(move |slice| mask & (1 << slice) != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cluster_size_is_covered_by_at_most_64_slices() {
        for cluster_bits in 9..=21 {
            let slices = Slices::of_cluster(cluster_bits);
            let covered: usize = iter(slices.all()).map(|slice| slices.range(slice).len()).sum();
            assert_eq!(covered, 1 << cluster_bits);
            assert_eq!(slices.bit((1 << cluster_bits) - 8).trailing_zeros(), 63 - slices.all().leading_zeros());
        }
    }
}
