//! Bringing the tables to the disk, in order, and freeing what nothing refers to any more.

use std::io;
use std::ops::Range;
use std::sync::atomic::Ordering;

use machine::rate::RateLimit;

use super::Qcow2;
use super::l2::DirtyTable;
use super::slices;

/// What only the flush under way touches.
#[derive(Debug)]
pub(super) struct CommitState {
    /// Requests up to this number are done.
    covered: u64,
    /// Clusters that nothing on the disk refers to, and that still count as used.
    unused: Vec<Range<u64>>,
    log: RateLimit,
}

impl Default for CommitState {
    fn default() -> Self {
        CommitState { covered: 0, unused: Vec::new(), log: RateLimit::for_log() }
    }
}

impl Qcow2 {
    /// Returns once everything that was written before is durable, tables included. Requests that wait for each other
    /// share the work.
    pub(in super::super) fn flush(&self) -> io::Result<()> {
        if self.allocator.is_none() || self.file.is_temporary() {
            return Ok(());
        }
        let request = self.requests.fetch_add(1, Ordering::SeqCst) + 1;
        let mut state = self.commit.lock();
        if state.covered >= request {
            return Ok(());
        }
        let up_to = self.requests.load(Ordering::SeqCst);
        self.commit(&mut state)?;
        state.covered = up_to;
        Ok(())
    }

    /// Writes tables because there are too many changed ones in memory. If that fails, a flush will say so.
    pub(super) fn relieve(&self) {
        let mut state = self.commit.lock();
        if self.crowded.swap(false, Ordering::Relaxed)
            && let Err(error) = self.commit(&mut state)
        {
            if let Some(held) = state.log.pass() {
                tracing::warn!(image = self.file.name(), %error, held, "tables can't be written now");
            }
            self.crowded.store(true, Ordering::Relaxed);
        }
    }

    fn commit(&self, state: &mut CommitState) -> io::Result<()> {
        // Each of these is taken before what it refers to, so that whatever is found in one is complete in the next:
        // what is freed here is gone from the tables below; the tables that the level 1 entries point to are among
        // the changed ones.
        let freed = std::mem::take(&mut *self.freed.lock());
        let l1_entries = self.l1.take_changed();
        let tables = self.tables.take_dirty();
        if let Err(error) = self.write_tables(&tables, &l1_entries) {
            for changed in &tables {
                self.tables.mark(&changed.table, changed.mask);
            }
            self.l1.put_back(&l1_entries);
            self.freed.lock().extend(freed);
            return Err(error);
        }
        state.unused.extend(freed);
        self.release_unused(state);
        Ok(())
    }

    fn write_tables(&self, tables: &[DirtyTable], l1_entries: &[(usize, u64)]) -> io::Result<()> {
        // The tables' bytes are fixed before the counts are written: clusters that are taken meanwhile are not in them
        let cache_slices = self.tables.slices();
        let mut writes: Vec<(u64, Vec<u8>)> = tables
            .iter()
            .flat_map(|changed| slices::iter(changed.mask).map(move |slice| (&changed.table, slice)))
            .map(|(table, slice)| {
                (table.host + cache_slices.range(slice).start as u64, table.slice_bytes(cache_slices, slice))
            })
            .collect();
        self.allocator()?.lock().write_changes(&self.file)?;
        if !writes.is_empty() {
            self.file.sync()?;
        }
        for (offset, bytes) in &mut writes {
            self.file.write_bytes(bytes, *offset)?;
        }
        if !l1_entries.is_empty() {
            self.file.sync()?;
        }
        for (index, entry) in l1_entries {
            self.file.write_bytes(&mut entry.to_be_bytes(), self.l1.place(*index))?;
        }
        self.file.sync()
    }

    /// Frees clusters that nothing refers to, neither on the disk nor in memory. Failing only leaks them.
    fn release_unused(&self, state: &mut CommitState) {
        if let Ok(allocator) = self.allocator() {
            state.unused.append(&mut allocator.lock().retired);
        }
        if state.unused.is_empty() {
            return;
        }
        // A request that looked these clusters up before they went may still be reading or writing them
        drop(self.gate.write());
        for range in std::mem::take(&mut state.unused) {
            if let Err(error) = self.release(range)
                && let Some(held) = state.log.pass()
            {
                tracing::warn!(image = self.file.name(), %error, held, "unused clusters can't be freed");
            }
        }
    }

    fn release(&self, clusters: Range<u64>) -> io::Result<()> {
        let allocator = self.allocator()?;
        let mut last_uses: Vec<Range<u64>> = Vec::new();
        {
            let mut allocator = allocator.lock();
            for cluster in clusters {
                if allocator.drop_use(&self.file, cluster)? {
                    match last_uses.last_mut() {
                        Some(last) if last.end == cluster => last.end += 1,
                        _ => last_uses.push(cluster..cluster + 1),
                    }
                }
            }
        }
        for range in last_uses {
            let bits = self.geometry.cluster_bits;
            let len = (range.end - range.start) << bits;
            let zeroed = self.file.punch_hole(range.start << bits, len).unwrap_or(false);
            allocator.lock().release(&self.file, range, zeroed)?;
        }
        Ok(())
    }

    fn close(&self) -> io::Result<()> {
        self.flush()?;
        // The first flush freed clusters; their counts are still to be written
        self.flush()?;
        let used_end = self.allocator()?.lock().used_end();
        match used_end {
            Some(end) if end < self.file.len() => self.file.set_len(end),
            _ => Ok(()),
        }
    }
}

impl Drop for Qcow2 {
    fn drop(&mut self) {
        if self.allocator.is_some()
            && !self.file.is_temporary()
            && let Err(error) = self.close()
        {
            tracing::error!(image = self.file.name(), %error, "the image can't be closed properly");
        }
    }
}
