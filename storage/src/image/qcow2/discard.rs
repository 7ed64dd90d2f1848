//! Making ranges of the disk empty.

use std::io;
use std::ops::Range;
use std::sync::atomic::Ordering;

use vm_memory::VolatileSlice;

use super::super::iovec::Buffers;
use super::Qcow2;
use super::entry::{Mapping, ZERO};

impl Qcow2 {
    /// Makes a range read as zeroes. Whole clusters of it lose their place in the file.
    pub(in super::super) fn discard(&self, offset: u64, len: u64) -> io::Result<()> {
        let end = offset + len;
        let size = self.geometry.cluster_size();
        let first = offset.next_multiple_of(size).min(end);
        // What follows the disk's end in its last cluster is nobody's
        let last = if end == self.len() { end } else { (end & !(size - 1)).max(first) };
        self.write_zeroes(offset..first)?;
        self.write_zeroes(last..end)?;
        if first >= last {
            return Ok(());
        }
        let bits = self.geometry.cluster_bits;
        let clusters = first >> bits..last.div_ceil(size);
        if self.version < 3 && self.backing.is_some() {
            // There is no way to say "zero" but to store it
            return self.write_zeroes(first..last);
        }
        let mut cluster = clusters.start;
        while cluster < clusters.end {
            let next_table = ((cluster >> self.geometry.l2_bits()) + 1) << self.geometry.l2_bits();
            let part = cluster..clusters.end.min(next_table);
            cluster = part.end;
            let _gate = self.gate.read();
            self.discard_clusters(part)?;
        }
        if self.crowded.load(Ordering::Relaxed) {
            self.relieve();
        }
        Ok(())
    }

    /// Discards whole clusters of one level 2 table.
    fn discard_clusters(&self, clusters: Range<u64>) -> io::Result<()> {
        let bits = self.geometry.cluster_bits;
        let l1_index = self.geometry.l1_index(clusters.start);
        if self.table(l1_index)?.is_none() && self.is_zero_below(clusters.start << bits..clusters.end << bits)? {
            return Ok(());
        }
        let table = self.writable_table(l1_index)?;
        let empty = if self.backing.is_some() { ZERO } else { 0 };
        let _claim = self.claims.claim(clusters.clone());
        for cluster in clusters {
            let index = self.geometry.l2_index(cluster);
            // A cluster that reads as zeroes without a place in the file stays as it is
            match self.decode(table.get(index))? {
                Mapping::Zero { host: None, .. } => {}
                Mapping::Unallocated if empty == 0 => {}
                _ => {
                    let old = self.tables.swap(&table, index, empty);
                    self.free_mapping(self.decode(old)?);
                }
            }
        }
        Ok(())
    }

    /// Stores zeroes in a range, where it doesn't read as zeroes already.
    fn write_zeroes(&self, range: Range<u64>) -> io::Result<()> {
        let size = self.geometry.cluster_size();
        let mut offset = range.start;
        while offset < range.end {
            let count = (size - self.geometry.in_cluster(offset)).min(range.end - offset);
            if !self.is_known_zero(offset..offset + count)? {
                let mut zeroes = vec![0; count as usize];
                let slices = [VolatileSlice::from(&mut zeroes[..])];
                self.write(&Buffers::new(&slices), 0..count as usize, offset)?;
            }
            offset += count;
        }
        Ok(())
    }
}
