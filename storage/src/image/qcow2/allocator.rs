//! Which clusters of the file are in use.
//!
//! Only counts going from 0 to 1 are ever ahead of what the tables say. A count goes down only after nothing on the
//! disk refers to the cluster any more, so a block may be written at any time: what a crash leaves is, at worst,
//! clusters that count as used and aren't.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::ops::Range;

use super::super::host_file::HostFile;
use super::super::ranges::RangeSet;
use super::entry::MAX_OFFSET;
use super::geometry::Geometry;
use super::header::MAX_REFCOUNT_TABLE_BYTES;
use super::l2::damaged;
use super::refcounts::Block;
use super::slices::{self, Slices};

/// Memory for blocks; more only while they wait to be written.
const CACHE_BYTES: u64 = 16 << 20;
const MIN_BLOCKS: u64 = 8;
/// The file is lengthened in steps of that, because a write within its length is cheaper than one that changes it.
const GROWTH: u64 = 16 << 20;

/// Clusters that were taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) host: u64,
    pub(super) clusters: u64,
    /// They are known to read as zeroes.
    pub(super) zeroed: bool,
}

#[derive(Debug)]
struct CachedBlock {
    block: Block,
    /// One bit a slice.
    dirty: u64,
    used: u64,
}

/// The refcount table, its blocks, and what is known about free space.
#[derive(Debug)]
pub(super) struct Allocator {
    pub(super) geometry: Geometry,
    pub(super) slices: Slices,
    /// Offsets of the blocks, 0 for none.
    pub(super) table: Vec<u64>,
    pub(super) table_offset: u64,
    blocks: HashMap<usize, CachedBlock>,
    changed_entries: BTreeSet<usize>,
    clock: u64,
    /// No unused cluster is below.
    first_unused: u64,
    /// From here on the file is one hole: nothing was ever there.
    untouched_from: u64,
    /// Unused clusters that read as zeroes.
    zeroed: RangeSet,
    /// Clusters with tables, which are never handed out whatever their counts say. Sorted.
    tables: Vec<u64>,
    /// Clusters of former refcount tables, to be freed.
    pub(super) retired: Vec<Range<u64>>,
}

impl Allocator {
    /// Reads the refcount table. `tables` are the clusters with other tables.
    pub(super) fn open(
        file: &HostFile,
        geometry: Geometry,
        (table_offset, table_clusters): (u64, u32),
        mut tables: Vec<u64>,
    ) -> io::Result<Self> {
        let mut bytes = vec![0; (u64::from(table_clusters) << geometry.cluster_bits) as usize];
        file.read_bytes(&mut bytes, table_offset)?;
        let table: Vec<u64> = bytes.as_chunks::<8>().0.iter().map(|bytes| u64::from_be_bytes(*bytes)).collect();
        let first = table_offset >> geometry.cluster_bits;
        tables.extend(first..first + u64::from(table_clusters));
        tables.extend(table.iter().filter(|offset| **offset != 0).map(|offset| offset >> geometry.cluster_bits));
        tables.sort_unstable();
        tables.dedup();
        let untouched_from = if file.is_device() { u64::MAX } else { file.len().div_ceil(geometry.cluster_size()) };
        Ok(Allocator {
            geometry,
            slices: Slices::of_cluster(geometry.cluster_bits),
            table,
            table_offset,
            blocks: HashMap::new(),
            changed_entries: BTreeSet::new(),
            clock: 0,
            first_unused: 1,
            untouched_from,
            zeroed: RangeSet::default(),
            tables,
            retired: Vec::new(),
        })
    }

    /// Takes up to `count` (at least one) clusters in a row.
    ///
    /// # Errors
    /// `InvalidData` if the counts are obviously wrong, `FileTooLarge` at the format's end, what the host says.
    pub(super) fn allocate(&mut self, file: &HostFile, count: u64) -> io::Result<Run> {
        let bits = self.geometry.refcounts_bits();
        let mut cluster = self.first_unused;
        loop {
            let slot = (cluster >> bits) as usize;
            if slot >= self.table.len() {
                self.grow_table(file)?;
                continue;
            }
            if self.table[slot] == 0 {
                self.create_block(file, slot)?;
            }
            let first_in_slot = (slot as u64) << bits;
            let block = &self.block(file, slot)?.block;
            let Some(index) = block.find_unused((cluster - first_in_slot) as usize) else {
                cluster = first_in_slot + (1 << bits);
                self.first_unused = cluster;
                continue;
            };
            let following = (index..block.len()).take(count.max(1) as usize);
            let unused = following.take_while(|index| block.get(*index) == 0).count();
            let first = first_in_slot + index as u64;
            let zeroed = self.is_zeroed(first);
            let clusters =
                (first..first + unused as u64).take_while(|cluster| self.is_zeroed(*cluster) == zeroed).count();
            let range = first..first + clusters as u64;
            self.check_new(file, range.clone())?;
            self.set_counts(file, range.clone(), 1)?;
            self.first_unused = range.end;
            let host = first << self.geometry.cluster_bits;
            let clusters = clusters as u64;
            // After a crash, or in a file that others made, there are holes that we don't know of
            let zeroed = zeroed || file.is_hole(host, clusters << self.geometry.cluster_bits);
            return Ok(Run { host, clusters, zeroed });
        }
    }

    /// Gives clusters back that nothing on the disk refers to. `zeroed` if they read as zeroes.
    pub(super) fn release(&mut self, file: &HostFile, range: Range<u64>, zeroed: bool) -> io::Result<()> {
        self.set_counts(file, range.clone(), 0)?;
        self.first_unused = self.first_unused.min(range.start);
        if zeroed {
            self.zeroed.insert(range);
        }
        Ok(())
    }

    /// Counts one use of a cluster less, unless it was the last: then it says `true` and the caller calls
    /// [`Allocator::release`]. Tables that an entry points to by mistake, and clusters that count as unused, stay.
    pub(super) fn drop_use(&mut self, file: &HostFile, cluster: u64) -> io::Result<bool> {
        let bits = self.geometry.refcounts_bits();
        let slot = (cluster >> bits) as usize;
        if cluster == 0
            || self.tables.binary_search(&cluster).is_ok()
            || self.table.get(slot).is_none_or(|host| *host == 0)
        {
            return Ok(false);
        }
        match self.block(file, slot)?.block.get((cluster & ((1 << bits) - 1)) as usize) {
            0 => Ok(false),
            1 => Ok(true),
            count => self.set_counts(file, cluster..cluster + 1, count - 1).map(|()| false),
        }
    }

    /// A table was at that cluster, and is no more.
    pub(super) fn forget_table(&mut self, cluster: u64) {
        if let Ok(index) = self.tables.binary_search(&cluster) {
            self.tables.remove(index);
        }
    }

    /// The byte after the last cluster that was ever used.
    pub(super) fn used_end(&self) -> Option<u64> {
        self.untouched_from.checked_mul(self.geometry.cluster_size())
    }

    /// Whether so many blocks are changed that it is time to write them.
    pub(super) fn is_crowded(&self) -> bool {
        let limit = self.capacity();
        self.blocks.len() > limit && self.blocks.values().filter(|cached| cached.dirty != 0).count() > limit / 2
    }

    fn capacity(&self) -> usize {
        (CACHE_BYTES >> self.geometry.cluster_bits).max(MIN_BLOCKS) as usize
    }

    fn is_zeroed(&self, cluster: u64) -> bool {
        cluster >= self.untouched_from || self.zeroed.contains(cluster)
    }

    /// Checks that clusters may be taken, and lengthens the file to hold them.
    fn check_new(&mut self, file: &HostFile, range: Range<u64>) -> io::Result<()> {
        let end = range.end.checked_mul(self.geometry.cluster_size()).filter(|end| *end <= MAX_OFFSET);
        let end = end.ok_or(io::ErrorKind::FileTooLarge)?;
        let next_table = self.tables.partition_point(|table| *table < range.start);
        if range.start == 0 || self.tables.get(next_table).is_some_and(|table| *table < range.end) {
            return Err(damaged("it counts clusters with its own tables as unused"));
        }
        if end > file.len() {
            let ahead =
                if file.is_device() { end } else { end.next_multiple_of(GROWTH.max(self.geometry.cluster_size())) };
            // A file system may allow the length that is needed and not the one that would be good
            file.set_len(ahead).or_else(|_| file.set_len(end))?;
        }
        Ok(())
    }

    /// Sets the counts of clusters, whose blocks exist.
    pub(super) fn set_counts(&mut self, file: &HostFile, range: Range<u64>, count: u64) -> io::Result<()> {
        let bits = self.geometry.refcounts_bits();
        for cluster in range.clone() {
            let slices = self.slices;
            let cached = self.block(file, (cluster >> bits) as usize)?;
            let index = (cluster & ((1 << bits) - 1)) as usize;
            cached.block.set(index, count);
            cached.dirty |= slices.bit(cached.block.byte_of(index));
        }
        self.zeroed.remove(range.clone());
        if self.untouched_from != u64::MAX {
            self.untouched_from = self.untouched_from.max(range.end);
        }
        Ok(())
    }

    /// The counts in a slot that has a block.
    pub(super) fn block_of(&mut self, file: &HostFile, slot: usize) -> io::Result<&Block> {
        self.block(file, slot).map(|cached| &cached.block)
    }

    /// The block of a slot that has one, from memory or from the file.
    fn block(&mut self, file: &HostFile, slot: usize) -> io::Result<&mut CachedBlock> {
        self.clock += 1;
        if !self.blocks.contains_key(&slot) {
            let host = self.table.get(slot).copied().unwrap_or(0);
            let mut bytes = vec![0; self.geometry.cluster_size() as usize];
            let inside = host.checked_add(bytes.len() as u64).is_some_and(|end| end <= file.len());
            if host == 0 || self.geometry.in_cluster(host) != 0 || !inside {
                return Err(damaged(format!("there is no refcount block at offset {host}")));
            }
            file.read_bytes(&mut bytes, host)?;
            self.evict();
            let block = Block::new(bytes, self.geometry.refcount_order);
            self.blocks.insert(slot, CachedBlock { block, dirty: 0, used: 0 });
        }
        let clock = self.clock;
        let cached = self.blocks.get_mut(&slot).ok_or(io::ErrorKind::NotFound)?;
        cached.used = clock;
        Ok(cached)
    }

    /// Makes space for one more block, if one can go.
    fn evict(&mut self) {
        if self.blocks.len() < self.capacity() {
            return;
        }
        let idle = self.blocks.iter().filter(|(_, cached)| cached.dirty == 0).min_by_key(|(_, cached)| cached.used);
        if let Some(slot) = idle.map(|(slot, _)| *slot) {
            self.blocks.remove(&slot);
        }
    }

    /// A block for a part of the file that has none yet: it stands at the part's beginning, and counts itself.
    fn create_block(&mut self, file: &HostFile, slot: usize) -> io::Result<()> {
        let cluster = (slot as u64) << self.geometry.refcounts_bits();
        self.check_new(file, cluster..cluster + 1)?;
        self.evict();
        let block = Block::new(vec![0; self.geometry.cluster_size() as usize], self.geometry.refcount_order);
        self.blocks.insert(slot, CachedBlock { block, dirty: self.slices.all(), used: self.clock });
        self.table[slot] = cluster << self.geometry.cluster_bits;
        self.changed_entries.insert(slot);
        self.set_counts(file, cluster..cluster + 1, 1)
    }

    /// Replaces the refcount table by one of twice the size. It stands, with the blocks that count it, behind all
    /// that the old one could count. Everything is durable when this returns.
    fn grow_table(&mut self, file: &HostFile) -> io::Result<()> {
        let plan = Growth::plan(&self.geometry, self.table.len() as u64)?;
        let cluster_bits = self.geometry.cluster_bits;
        let range = plan.first_cluster..plan.first_cluster + plan.blocks + plan.table_clusters;
        self.check_new(file, range.clone())?;
        // The new table points to every block, so every block has to be there
        self.write_blocks(file)?;

        let old_slots = self.table.len();
        let mut table = self.table.clone();
        table.resize((plan.table_clusters * self.geometry.cluster_size() / 8) as usize, 0);
        let per_block = 1_u64 << self.geometry.refcounts_bits();
        let mut blocks = Vec::new();
        for number in 0..plan.blocks {
            let slot = old_slots + number as usize;
            let mut block = Block::new(vec![0; self.geometry.cluster_size() as usize], self.geometry.refcount_order);
            let first = slot as u64 * per_block;
            for cluster in range.start.max(first)..range.end.min(first + per_block) {
                block.set((cluster - first) as usize, 1);
            }
            table[slot] = (range.start + number) << cluster_bits;
            file.write_bytes(&mut block.bytes().to_vec(), table[slot])?;
            blocks.push((slot, CachedBlock { block, dirty: 0, used: self.clock }));
        }
        let table_cluster = range.start + plan.blocks;
        let mut bytes: Vec<u8> = table.iter().flat_map(|entry| entry.to_be_bytes()).collect();
        file.write_bytes(&mut bytes, table_cluster << cluster_bits)?;
        file.sync()?;
        let mut pointer = (table_cluster << cluster_bits).to_be_bytes().to_vec();
        pointer.extend_from_slice(&(plan.table_clusters as u32).to_be_bytes());
        file.write_bytes(&mut pointer, super::header::field::REFCOUNT_TABLE)?;
        file.sync()?;

        let old_first = self.table_offset >> cluster_bits;
        let old_clusters = (old_slots as u64 * 8).div_ceil(self.geometry.cluster_size());
        for cluster in old_first..old_first + old_clusters {
            self.forget_table(cluster);
        }
        self.retired.push(old_first..old_first + old_clusters);
        self.table = table;
        self.table_offset = table_cluster << cluster_bits;
        self.changed_entries.clear();
        self.blocks.extend(blocks);
        if self.untouched_from != u64::MAX {
            self.untouched_from = self.untouched_from.max(range.end);
        }
        Ok(())
    }

    /// Writes what was changed: first blocks, then, once these are durable, the table's entries that point to new
    /// ones. What could not be written stays marked.
    pub(super) fn write_changes(&mut self, file: &HostFile) -> io::Result<()> {
        self.write_blocks(file)?;
        if !self.changed_entries.is_empty() {
            file.sync()?;
        }
        while let Some(slot) = self.changed_entries.first().copied() {
            file.write_bytes(&mut self.table[slot].to_be_bytes(), self.table_offset + slot as u64 * 8)?;
            self.changed_entries.remove(&slot);
        }
        Ok(())
    }

    fn write_blocks(&mut self, file: &HostFile) -> io::Result<()> {
        for (slot, cached) in self.blocks.iter_mut().filter(|(_, cached)| cached.dirty != 0) {
            for slice in slices::iter(cached.dirty) {
                let range = self.slices.range(slice);
                let offset = self.table[*slot] + range.start as u64;
                file.write_bytes(&mut cached.block.bytes()[range].to_vec(), offset)?;
            }
            cached.dirty = 0;
        }
        Ok(())
    }
}

/// Where a larger refcount table goes.
#[derive(Debug, PartialEq, Eq)]
struct Growth {
    first_cluster: u64,
    /// Blocks that count themselves and the table; they come first.
    blocks: u64,
    table_clusters: u64,
}

impl Growth {
    fn plan(geometry: &Geometry, slots: u64) -> io::Result<Self> {
        let slots_per_cluster = geometry.cluster_size() / 8;
        let per_block = 1 << geometry.refcounts_bits();
        let mut plan = Growth {
            first_cluster: slots.checked_mul(per_block).ok_or(io::ErrorKind::FileTooLarge)?,
            blocks: 1,
            table_clusters: slots.div_ceil(slots_per_cluster).max(1) * 2,
        };
        loop {
            let blocks = (plan.blocks + plan.table_clusters).div_ceil(per_block);
            let needed_slots = slots + blocks + 1;
            if blocks == plan.blocks && needed_slots <= plan.table_clusters * slots_per_cluster {
                break;
            }
            plan.blocks = blocks.max(plan.blocks);
            plan.table_clusters = plan.table_clusters.max(needed_slots.div_ceil(slots_per_cluster));
        }
        if plan.table_clusters * geometry.cluster_size() > MAX_REFCOUNT_TABLE_BYTES {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(plan)
    }
}
