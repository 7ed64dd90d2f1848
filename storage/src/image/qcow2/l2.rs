//! The level 2 tables that are in memory.
//!
//! Looking an entry up takes a shared lock only, so that requests of many threads don't wait for each other. Entries
//! are atomics: whoever changes one holds the table (an `Arc`), and marks the part of it that has to be written. A
//! table can leave the cache only while nobody holds it; the list of changed tables holds its own.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};

use super::super::host_file::HostFile;
use super::geometry::Geometry;
use super::slices::Slices;

/// Memory for tables, together; more only while they wait to be written.
const CACHE_BYTES: u64 = 32 << 20;
/// As few tables as that are kept whatever their size.
const MIN_TABLES: u64 = 8;
/// Loads of different tables wait for each other only if their numbers are equal modulo this.
const LOADERS: usize = 16;

/// One level 2 table.
#[derive(Debug)]
pub(super) struct Table {
    /// Where it is in the file.
    pub(super) host: u64,
    entries: Box<[AtomicU64]>,
    /// One bit a slice.
    dirty: AtomicU64,
    /// When it was last used, in lookups of the cache.
    used: AtomicU64,
}

impl Table {
    pub(super) fn get(&self, index: usize) -> u64 {
        self.entries[index].load(Ordering::Acquire)
    }

    /// The bytes of slice `slice` as they belong in the file.
    pub(super) fn slice_bytes(&self, slices: Slices, slice: u32) -> Vec<u8> {
        let range = slices.range(slice);
        let entries = &self.entries[range.start / 8..range.end / 8];
        entries.iter().flat_map(|entry| entry.load(Ordering::Acquire).to_be_bytes()).collect()
    }
}

/// A changed table, and which of its slices.
pub(super) struct DirtyTable {
    pub(super) table: Arc<Table>,
    pub(super) mask: u64,
}

/// The tables in memory, by their level 1 index.
#[derive(Debug)]
pub(super) struct TableCache {
    geometry: Geometry,
    slices: Slices,
    capacity: usize,
    tables: RwLock<HashMap<usize, Arc<Table>>>,
    loaders: [Mutex<()>; LOADERS],
    dirty: Mutex<Vec<Arc<Table>>>,
    clock: AtomicU64,
}

impl TableCache {
    pub(super) fn new(geometry: Geometry) -> Self {
        TableCache {
            geometry,
            slices: Slices::of_cluster(geometry.cluster_bits),
            capacity: (CACHE_BYTES >> geometry.cluster_bits).max(MIN_TABLES) as usize,
            tables: RwLock::new(HashMap::new()),
            loaders: Default::default(),
            dirty: Mutex::new(Vec::new()),
            clock: AtomicU64::new(0),
        }
    }

    /// Looks at a table if it is in memory.
    pub(super) fn peek<R>(&self, l1_index: usize, look: impl FnOnce(&Table) -> R) -> Option<R> {
        let tables = self.tables.read();
        let table = tables.get(&l1_index)?;
        let now = self.clock.load(Ordering::Relaxed);
        if table.used.load(Ordering::Relaxed) != now {
            table.used.store(now, Ordering::Relaxed);
        }
        Some(look(table))
    }

    /// The table of `l1_index`, which is at `host` in the file.
    ///
    /// # Errors
    /// `InvalidData` if the file ends before it; what the host says.
    pub(super) fn load(&self, l1_index: usize, host: u64, file: &HostFile) -> io::Result<Arc<Table>> {
        if let Some(table) = self.tables.read().get(&l1_index) {
            return Ok(table.clone());
        }
        // While this is held, nobody else can bring this table in, change it, write it and drop it, which would make
        // the bytes read below old.
        let _loading = self.loaders[l1_index % LOADERS].lock();
        if let Some(table) = self.tables.read().get(&l1_index) {
            return Ok(table.clone());
        }
        let mut bytes = vec![0; self.geometry.cluster_size() as usize];
        if host.checked_add(bytes.len() as u64).is_none_or(|end| end > file.len()) {
            return Err(damaged(format!("a level 2 table at offset {host} lies beyond the end of the file")));
        }
        file.read_bytes(&mut bytes, host)?;
        let entries = bytes.as_chunks::<8>().0.iter().map(|bytes| AtomicU64::new(u64::from_be_bytes(*bytes)));
        let table = self.make(host, entries.collect(), 0);
        self.insert(l1_index, table.clone());
        Ok(table)
    }

    /// Puts a new table in place of what is there, all of it changed.
    pub(super) fn create(&self, l1_index: usize, host: u64, entries: impl Iterator<Item = u64>) -> Arc<Table> {
        let entries: Box<[AtomicU64]> = entries.take(self.geometry.l2_entries()).map(AtomicU64::new).collect();
        let table = self.make(host, entries, self.slices.all());
        self.dirty.lock().push(table.clone());
        self.insert(l1_index, table.clone());
        table
    }

    fn make(&self, host: u64, entries: Box<[AtomicU64]>, dirty: u64) -> Arc<Table> {
        let used = AtomicU64::new(self.clock.load(Ordering::Relaxed));
        Arc::new(Table { host, entries, dirty: AtomicU64::new(dirty), used })
    }

    fn insert(&self, l1_index: usize, table: Arc<Table>) {
        self.clock.fetch_add(1, Ordering::Relaxed);
        let mut tables = self.tables.write();
        match tables.entry(l1_index) {
            Entry::Occupied(mut entry) => drop(entry.insert(table)),
            Entry::Vacant(entry) => drop(entry.insert(table)),
        }
        if tables.len() > self.capacity {
            evict(&mut tables, self.capacity);
        }
    }

    /// Replaces an entry if it is still what the caller saw. `false` if somebody else was faster.
    pub(super) fn replace(&self, table: &Arc<Table>, index: usize, old: u64, new: u64) -> bool {
        let replaced = table.entries[index].compare_exchange(old, new, Ordering::AcqRel, Ordering::Acquire).is_ok();
        if replaced {
            self.mark(table, self.slices.bit(index * 8));
        }
        replaced
    }

    /// Sets an entry and says what it was.
    pub(super) fn swap(&self, table: &Arc<Table>, index: usize, new: u64) -> u64 {
        let old = table.entries[index].swap(new, Ordering::AcqRel);
        if old != new {
            self.mark(table, self.slices.bit(index * 8));
        }
        old
    }

    /// Marks slices as changed (again).
    pub(super) fn mark(&self, table: &Arc<Table>, mask: u64) {
        if table.dirty.fetch_or(mask, Ordering::AcqRel) == 0 {
            self.dirty.lock().push(table.clone());
        }
    }

    /// The changed tables, which count as unchanged from now on.
    pub(super) fn take_dirty(&self) -> Vec<DirtyTable> {
        let tables = std::mem::take(&mut *self.dirty.lock());
        tables
            .into_iter()
            .map(|table| DirtyTable { mask: table.dirty.swap(0, Ordering::AcqRel), table })
            .filter(|dirty| dirty.mask != 0)
            .collect()
    }

    /// Whether so many tables are changed that it is time to write them.
    pub(super) fn is_crowded(&self) -> bool {
        self.dirty.lock().len() > self.capacity / 2
    }

    pub(super) fn slices(&self) -> Slices {
        self.slices
    }
}

/// Drops an eighth of the tables, those that nobody used for longest and nobody holds.
fn evict(tables: &mut HashMap<usize, Arc<Table>>, capacity: usize) {
    let mut idle: Vec<(u64, usize)> = tables
        .iter()
        .filter(|(_, table)| Arc::strong_count(table) == 1)
        .map(|(index, table)| (table.used.load(Ordering::Relaxed), *index))
        .collect();
    let count = (tables.len() - capacity + capacity / 8).min(idle.len());
    if count < idle.len() {
        idle.select_nth_unstable(count);
    }
    for (_, index) in &idle[..count] {
        tables.remove(index);
    }
}

/// An error for what only a damaged or hostile image says.
pub(super) fn damaged(what: impl Into<String>) -> io::Error {
    let what: String = what.into();
    io::Error::new(io::ErrorKind::InvalidData, format!("the image is damaged: {what}"))
}
