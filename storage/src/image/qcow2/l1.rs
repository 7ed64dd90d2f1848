//! The level 1 table: where the level 2 tables are. All of it is in memory.

use std::collections::BTreeSet;
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, MutexGuard};

use super::super::host_file::HostFile;
use super::entry::{COPIED, InvalidEntry, decode_l1};
use super::geometry::Geometry;
use super::header::Header;
use super::l2::damaged;

/// The table, and which entries have to be written.
#[derive(Debug)]
pub(super) struct L1 {
    offset: u64,
    entries: Vec<AtomicU64>,
    changed: Mutex<BTreeSet<usize>>,
}

/// The right to change the table.
pub(super) struct L1Guard<'a> {
    table: &'a L1,
    changed: MutexGuard<'a, BTreeSet<usize>>,
}

impl L1 {
    pub(super) fn read(file: &HostFile, header: &Header) -> io::Result<Self> {
        let mut bytes = vec![0; header.geometry.l1_entries_needed() as usize * 8];
        file.read_bytes(&mut bytes, header.l1_offset)?;
        let entries = bytes.as_chunks::<8>().0.iter().map(|bytes| AtomicU64::new(u64::from_be_bytes(*bytes)));
        Ok(L1 { offset: header.l1_offset, entries: entries.collect(), changed: Mutex::default() })
    }

    /// Where the level 2 table of `index` is, and whether it may be changed there.
    pub(super) fn get(&self, index: usize, geometry: &Geometry) -> io::Result<Option<(u64, bool)>> {
        let entry = self.entries.get(index).map_or(0, |entry| entry.load(Ordering::Acquire));
        decode_l1(entry, geometry).map_err(|InvalidEntry| damaged(format!("level 1 entry {index} is impossible")))
    }

    /// Waits until nobody else changes the table.
    pub(super) fn lock(&self) -> L1Guard<'_> {
        L1Guard { table: self, changed: self.changed.lock() }
    }

    /// Index and value of the entries that have to be written; they count as written from now on.
    pub(super) fn take_changed(&self) -> Vec<(usize, u64)> {
        let changed = std::mem::take(&mut *self.changed.lock());
        changed.into_iter().map(|index| (index, self.entries[index].load(Ordering::Acquire))).collect()
    }

    /// They could not be written.
    pub(super) fn put_back(&self, entries: &[(usize, u64)]) {
        self.changed.lock().extend(entries.iter().map(|(index, _)| *index));
    }

    /// Where an entry is in the file.
    pub(super) fn place(&self, index: usize) -> u64 {
        self.offset + index as u64 * 8
    }

    /// The bytes of the file that the table takes.
    pub(super) fn bytes(&self) -> Range<u64> {
        self.offset..self.offset + self.entries.len() as u64 * 8
    }

    /// The clusters of the file that the table takes.
    pub(super) fn own_clusters(&self, geometry: &Geometry) -> Range<u64> {
        let bytes = self.bytes();
        bytes.start >> geometry.cluster_bits..bytes.end.div_ceil(geometry.cluster_size())
    }

    /// The clusters of the file that level 2 tables take, as far as entries are possible.
    pub(super) fn table_clusters(&self, geometry: &Geometry) -> impl Iterator<Item = u64> {
        let entries = self.entries.iter().map(|entry| entry.load(Ordering::Acquire));
        entries
            .filter_map(|entry| decode_l1(entry, geometry).ok().flatten())
            .map(|(offset, _)| offset >> geometry.cluster_bits)
    }
}

impl L1Guard<'_> {
    /// Lets an entry point to a table that is used once.
    pub(super) fn set(&mut self, index: usize, host: u64) {
        self.table.entries[index].store(host | COPIED, Ordering::Release);
        self.changed.insert(index);
    }
}
