//! What a drive has done since the machine began, for people who watch it.

use std::sync::atomic::{AtomicU64, Ordering};

/// What a drive has done. Numbers only grow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct DiskStats {
    /// Commands that read.
    pub reads: u64,
    /// Bytes that they read.
    pub read_bytes: u64,
    /// Commands that wrote.
    pub writes: u64,
    /// Bytes that they wrote.
    pub written_bytes: u64,
    /// Flushes.
    pub flushes: u64,
    /// Commands that discarded.
    pub discards: u64,
    /// Bytes that they discarded.
    pub discarded_bytes: u64,
}

/// The counters behind [`DiskStats`].
#[derive(Debug, Default)]
pub(super) struct DiskCounters {
    reads: AtomicU64,
    read_bytes: AtomicU64,
    writes: AtomicU64,
    written_bytes: AtomicU64,
    flushes: AtomicU64,
    discards: AtomicU64,
    discarded_bytes: AtomicU64,
}

fn add(counter: &AtomicU64, value: u64) {
    counter.fetch_add(value, Ordering::Relaxed);
}

impl DiskCounters {
    pub(super) fn read(&self, bytes: u64) {
        add(&self.reads, 1);
        add(&self.read_bytes, bytes);
    }

    pub(super) fn write(&self, bytes: u64) {
        add(&self.writes, 1);
        add(&self.written_bytes, bytes);
    }

    pub(super) fn flush(&self) {
        add(&self.flushes, 1);
    }

    pub(super) fn discard(&self, bytes: u64) {
        add(&self.discards, 1);
        add(&self.discarded_bytes, bytes);
    }

    pub(super) fn snapshot(&self) -> DiskStats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        DiskStats {
            reads: get(&self.reads),
            read_bytes: get(&self.read_bytes),
            writes: get(&self.writes),
            written_bytes: get(&self.written_bytes),
            flushes: get(&self.flushes),
            discards: get(&self.discards),
            discarded_bytes: get(&self.discarded_bytes),
        }
    }
}
