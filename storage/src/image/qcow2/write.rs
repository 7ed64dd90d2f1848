//! Writing: in place where a cluster is ours alone, otherwise to a new one.
//!
//! A new cluster that is known to read as zeroes may take the place of zeroes before its data is there: nobody can
//! tell the difference, neither a reader nor, after a crash, the next user. That is the common case of a growing
//! image, and it keeps requests for the same cluster from waiting for each other. Everything else goes through a
//! claim: the cluster is filled first, with what the request doesn't cover copied from where it was.

use std::io;
use std::iter;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::super::iovec::Buffers;
use super::Qcow2;
use super::allocator::Run;
use super::entry::{COPIED, Mapping};
use super::l2::{Table, damaged};
use super::lookup::Piece;
use vm_memory::VolatileSlice;

/// So many ranges of clusters may wait for the next flush to be freed.
const MOST_FREED: usize = 8192;

/// A part of a request that begins in one cluster and stays within one level 2 table.
struct Part<'a> {
    buffers: &'a Buffers<'a>,
    range: Range<usize>,
    cluster: u64,
    /// Offset of its first byte in that cluster.
    skip: u64,
}

impl Qcow2 {
    /// Writes `range` of the buffers at `offset` of the disk.
    pub(in super::super) fn write(&self, buffers: &Buffers<'_>, range: Range<usize>, offset: u64) -> io::Result<()> {
        let result = {
            let _gate = self.gate.read();
            self.write_parts(buffers, range, offset)
        };
        if self.crowded.load(Ordering::Relaxed) {
            self.relieve();
        }
        result
    }

    fn write_parts(&self, buffers: &Buffers<'_>, range: Range<usize>, offset: u64) -> io::Result<()> {
        let mut at = range.start;
        while at < range.end {
            let position = offset + (at - range.start) as u64;
            let (piece, count) = self.lookup(position, (range.end - at) as u64)?;
            if let Piece::Data { host, copied: true } = piece {
                self.check_overlap(host, count)?;
                self.file.write(buffers, at..at + count as usize, host)?;
                at += count as usize;
                continue;
            }
            let cluster = position >> self.geometry.cluster_bits;
            let skip = self.geometry.in_cluster(position);
            let left_in_table = (self.geometry.l2_entries() - self.geometry.l2_index(cluster)) as u64;
            let most = (left_in_table << self.geometry.cluster_bits) - skip;
            let end = range.end.min(at + usize::try_from(most).unwrap_or(usize::MAX));
            at += self.write_new(&Part { buffers, range: at..end, cluster, skip })?;
        }
        Ok(())
    }

    /// Makes a place for the beginning of a part. Says how many bytes are written already; the rest has to be looked
    /// up again.
    fn write_new(&self, part: &Part<'_>) -> io::Result<usize> {
        let table = self.writable_table(self.geometry.l1_index(part.cluster))?;
        let index = self.geometry.l2_index(part.cluster);
        let touched = (part.skip + part.range.len() as u64).div_ceil(self.geometry.cluster_size());

        let mut zeroes = 0;
        while zeroes < touched && self.is_empty_zero(&table, index + zeroes as usize, part.cluster + zeroes)? {
            zeroes += 1;
        }
        if zeroes == 0 {
            return self.write_claimed(part, &table, None);
        }
        let run = self.allocate(zeroes)?;
        if run.zeroed {
            self.publish_zeroed(&table, index, run).map(|()| 0)
        } else {
            self.write_claimed(part, &table, Some(run))
        }
    }

    /// Whether a cluster reads as zeroes and has no place in the file.
    fn is_empty_zero(&self, table: &Table, index: usize, cluster: u64) -> io::Result<bool> {
        match self.decode(table.get(index))? {
            Mapping::Unallocated => {
                let start = cluster << self.geometry.cluster_bits;
                self.is_zero_below(start..start + self.geometry.cluster_size())
            }
            Mapping::Zero { host, .. } => Ok(host.is_none()),
            _ => Ok(false),
        }
    }

    /// Puts zeroed clusters in the place of zeroes.
    fn publish_zeroed(&self, table: &Arc<Table>, index: usize, run: Run) -> io::Result<()> {
        for number in 0..run.clusters {
            let entry = table.get(index + number as usize);
            let new = (run.host + (number << self.geometry.cluster_bits)) | COPIED;
            let empty = matches!(self.decode(entry)?, Mapping::Unallocated | Mapping::Zero { host: None, .. });
            if !empty || !self.tables.replace(table, index + number as usize, entry, new) {
                return self.give_back(run, number, true);
            }
        }
        Ok(())
    }

    /// Fills new clusters and puts them in the place of what was there. `run` has clusters that were taken for it
    /// already.
    fn write_claimed(&self, part: &Part<'_>, table: &Arc<Table>, run: Option<Run>) -> io::Result<usize> {
        let geometry = &self.geometry;
        let whole = if part.skip == 0 { part.range.len() as u64 >> geometry.cluster_bits } else { 0 };
        let wanted = whole.max(1).min(run.map_or(u64::MAX, |run| run.clusters));
        let _claim = self.claims.claim(part.cluster..part.cluster + wanted);

        let index = geometry.l2_index(part.cluster);
        let entries: Vec<u64> = (index..index + wanted as usize).map(|index| table.get(index)).collect();
        let mut run = match (self.decode(entries[0])?, run) {
            (Mapping::Data { copied: true, .. }, run) => {
                // Somebody was faster
                run.map_or(Ok(()), |run| self.give_back(run, 0, run.zeroed))?;
                return Ok(0);
            }
            (Mapping::Zero { host: Some(host), copied: true }, None) => {
                self.check_overlap(host, geometry.cluster_size())?;
                Run { host, clusters: 1, zeroed: false }
            }
            (_, Some(run)) => run,
            (_, None) => self.allocate(wanted)?,
        };
        if run.clusters > wanted {
            self.give_back(run, wanted, run.zeroed)?;
            run.clusters = wanted;
        }
        let is_new = !matches!(self.decode(entries[0])?, Mapping::Zero { host: Some(host), .. } if host == run.host);

        let filled = if whole == 0 {
            self.fill_partly(part, entries[0], run.host)
        } else {
            let len = (run.clusters << geometry.cluster_bits) as usize;
            self.file.write(part.buffers, part.range.start..part.range.start + len, run.host).map(|()| len)
        };
        let filled = match filled {
            Ok(filled) => filled,
            Err(error) => {
                if is_new {
                    self.give_back(run, 0, false)?;
                }
                return Err(error);
            }
        };

        for number in 0..run.clusters {
            let entry = entries[number as usize];
            let mapping = self.decode(entry)?;
            let new = (run.host + (number << geometry.cluster_bits)) | COPIED;
            let replaceable = !matches!(mapping, Mapping::Data { copied: true, .. });
            if !replaceable || !self.tables.replace(table, index + number as usize, entry, new) {
                if is_new {
                    self.give_back(run, number, false)?;
                }
                return Ok((number << geometry.cluster_bits) as usize);
            }
            if is_new {
                self.free_mapping(mapping);
            }
        }
        Ok(filled)
    }

    /// Fills one cluster with the part's beginning, and around it with what was there before.
    fn fill_partly(&self, part: &Part<'_>, old_entry: u64, host: u64) -> io::Result<usize> {
        let size = self.geometry.cluster_size();
        let count = part.range.len().min((size - part.skip) as usize);
        let start = part.cluster << self.geometry.cluster_bits;
        let mut content = vec![0; size as usize];
        if count < content.len() {
            let slices = [VolatileSlice::from(&mut content[..])];
            let buffers = Buffers::new(&slices);
            let inside = size.min(self.len() - start) as usize;
            match (self.decode(old_entry)?, &self.backing) {
                (Mapping::Data { host, .. }, _) => self.file.read(&buffers, 0..size as usize, host)?,
                (Mapping::Unallocated, Some(backing)) => backing.read(&buffers, 0..inside, start)?,
                (Mapping::Compressed(place), _) => {
                    buffers.copy_from(0, &self.compressed.read(place, &self.geometry, &self.file)?);
                }
                _ => {}
            }
        }
        part.buffers.copy_to(part.range.start, &mut content[part.skip as usize..part.skip as usize + count]);
        self.file.write_bytes(&mut content, host)?;
        Ok(count)
    }

    fn allocate(&self, clusters: u64) -> io::Result<Run> {
        let mut allocator = self.allocator()?.lock();
        let run = allocator.allocate(&self.file, clusters)?;
        if allocator.is_crowded() || self.tables.is_crowded() {
            self.crowded.store(true, Ordering::Relaxed);
        }
        Ok(run)
    }

    /// Gives clusters of a run back, from number `from` on, that no table refers to.
    fn give_back(&self, run: Run, from: u64, zeroed: bool) -> io::Result<()> {
        let first = run.host >> self.geometry.cluster_bits;
        self.allocator()?.lock().release(&self.file, first + from..first + run.clusters, zeroed)
    }

    /// The clusters of the file that an entry referred to may be used again, once that is durable.
    pub(super) fn free_mapping(&self, mapping: Mapping) {
        let bits = self.geometry.cluster_bits;
        match mapping {
            Mapping::Data { host, .. } | Mapping::Zero { host: Some(host), .. } => {
                self.free(host >> bits..(host >> bits) + 1);
            }
            Mapping::Compressed(place) => {
                self.free(place.host >> bits..((place.host + u64::from(place.len) - 1) >> bits) + 1);
            }
            _ => {}
        }
    }

    fn free(&self, clusters: Range<u64>) {
        let mut freed = self.freed.lock();
        match freed.last_mut() {
            Some(last) if last.end == clusters.start => last.end = clusters.end,
            _ => freed.push(clusters),
        }
        if freed.len() > MOST_FREED {
            self.crowded.store(true, Ordering::Relaxed);
        }
    }

    /// The level 2 table of `l1_index`, made if there is none, copied if a snapshot uses it as well.
    pub(super) fn writable_table(&self, l1_index: usize) -> io::Result<Arc<Table>> {
        if let Some((host, true)) = self.l1.get(l1_index, &self.geometry)? {
            return self.tables.load(l1_index, host, &self.file);
        }
        let mut l1 = self.l1.lock();
        let shared = match self.l1.get(l1_index, &self.geometry)? {
            Some((host, true)) => return self.tables.load(l1_index, host, &self.file),
            Some((host, false)) => Some(self.tables.load(l1_index, host, &self.file)?),
            None => None,
        };
        let run = self.allocate(1)?;
        let table = match &shared {
            Some(old) => self.tables.create(l1_index, run.host, (0..self.geometry.l2_entries()).map(|i| old.get(i))),
            None => self.tables.create(l1_index, run.host, iter::repeat(0)),
        };
        l1.set(l1_index, run.host);
        if let Some(old) = shared {
            let cluster = old.host >> self.geometry.cluster_bits;
            self.allocator()?.lock().forget_table(cluster);
            self.free(cluster..cluster + 1);
        }
        Ok(table)
    }

    /// Keeps a damaged or hostile image from having its own header or level 1 table overwritten.
    fn check_overlap(&self, host: u64, len: u64) -> io::Result<()> {
        let l1 = self.l1.bytes();
        if host < self.geometry.cluster_size() || (host < l1.end && l1.start < host + len) {
            return Err(damaged("a level 2 entry points to the image's own tables"));
        }
        Ok(())
    }
}
