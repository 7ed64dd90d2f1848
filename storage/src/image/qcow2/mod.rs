//! qcow2 images, versions 2 and 3 (QEMU's `docs/interop/qcow2.txt`): read and written by many threads at once, and
//! sound after a crash at any moment.
//!
//! # What reaches the file when
//!
//! Data goes to its cluster at once. Tables change in memory, and [`Qcow2::flush`] writes them in an order in which
//! each step only refers to what is durable already:
//!
//! 1. reference counts (with a sync before the refcount table refers to new blocks),
//! 2. level 2 tables, after a sync that also covers the data they point to,
//! 3. level 1 entries of new level 2 tables, after another sync,
//! 4. a last sync.
//!
//! A step without changes costs nothing, so a flush after writes in place is one `fdatasync`. Only after step 4 are
//! the clusters freed that nothing refers to any more. So the file's tables always describe a disk as it was at some
//! moment since the last flush, and the worst that a crash leaves is clusters that count as used and aren't. Whoever
//! opens the image after a crash has them freed (`reclaim`).
//!
//! # Locks, in the order in which they are taken
//!
//! `gate` (shared by every request; exclusively, for an instant, before freed clusters are used again) or `commit`
//! (one flush at a time); `claims`; the level 1 table's; the allocator; the table cache's. Flushing takes the gate
//! while it holds `commit`, so nobody who holds the gate waits for a flush.
//!
//! # Why this is not a library
//!
//! imago 0.2.6 was measured first. It lets level 1 entries reach the file before the reference counts of what they
//! point to, so that a kill can leave clusters that are used and count as unused; it doesn't sync between its tables;
//! and it holds a table's lock while it writes data, at half of QEMU's rate in a growing image that bypasses the host's
//! cache. The tests still read its files, and let it read ours.
//!
//! # What is left out
//!
//! Encryption, external data files, zstd and subclusters are refused. Internal snapshots are left as they are, and
//! dirty bitmaps are marked as outdated by the first writer, as the format asks for. Compressed clusters are read,
//! never written.

mod allocator;
mod claims;
mod compressed;
mod create;
mod discard;
mod entry;
#[cfg(test)]
mod faults;
mod flush;
mod geometry;
mod header;
mod l1;
mod l2;
mod lookup;
#[cfg(test)]
mod power_failure;
mod reclaim;
mod refcounts;
mod slices;
mod write;

use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64};

use parking_lot::{Mutex, RwLock};

use super::ImageError;
use super::host_file::HostFile;
use super::layer::Layer;
use allocator::Allocator;
use claims::Claims;
use compressed::CompressedClusters;
use flush::CommitState;
use geometry::Geometry;
use header::{Header, incompatible};
use l1::L1;
use l2::TableCache;

pub(super) use create::create;
pub use create::{BackingName, NewImage};
pub(super) use header::MAGIC;

/// A qcow2 image, open. With the images below it, if it has any.
#[derive(Debug)]
pub(super) struct Qcow2 {
    file: HostFile,
    geometry: Geometry,
    version: u32,
    l1: L1,
    tables: TableCache,
    compressed: CompressedClusters,
    /// `None` if the image is read-only.
    allocator: Option<Mutex<Allocator>>,
    backing: Option<Box<Layer>>,
    gate: RwLock<()>,
    claims: Claims,
    commit: Mutex<CommitState>,
    /// Host clusters that nothing in memory refers to any more, but the file may.
    freed: Mutex<Vec<Range<u64>>>,
    /// Flushes asked for so far.
    requests: AtomicU64,
    /// So much is changed in memory that it should be written before more changes.
    crowded: AtomicBool,
}

/// What [`Qcow2::describe`] finds in a header.
#[derive(Debug, Clone)]
pub(super) struct Description {
    pub(super) virtual_size: u64,
    pub(super) cluster_size: u64,
    pub(super) version: u32,
    pub(super) backing: Option<BackingName>,
    pub(super) internal_snapshots: u32,
    pub(super) needs_repair: bool,
}

impl Qcow2 {
    /// Opens the image in `file`, on top of `backing`.
    ///
    /// # Errors
    /// What [`Header::read`] refuses; a backing name without a backing image and the reverse; for writing also an
    /// image that has to be repaired first.
    pub(super) fn open(file: HostFile, writable: bool, backing: Option<Layer>) -> Result<Self, ImageError> {
        let header = Header::read(&file)?;
        let name = file.name();
        match (&header.backing_name, &backing) {
            (Some(backing), None) => {
                return Err(ImageError::BackingMissing { name: name.to_owned(), backing: backing.clone() });
            }
            (None, Some(below)) => {
                let below = below.host_file().name().to_owned();
                return Err(ImageError::BackingUnexpected { name: name.to_owned(), below });
            }
            _ => {}
        }
        if writable && header.incompatible & incompatible::CORRUPT != 0 {
            return Err(ImageError::damaged(name, "a program marked it as corrupt"));
        }
        if writable && header.incompatible & incompatible::DIRTY != 0 {
            return Err(ImageError::NotClosed { name: name.to_owned() });
        }
        let l1 = L1::read(&file, &header).map_err(ImageError::io(name))?;
        let allocator =
            if writable { Some(open_allocator(&file, &header, &l1).map_err(ImageError::io(name))?) } else { None };
        Ok(Qcow2 {
            tables: TableCache::new(header.geometry),
            geometry: header.geometry,
            version: header.version,
            l1,
            compressed: CompressedClusters::default(),
            allocator,
            backing: backing.map(Box::new),
            gate: RwLock::new(()),
            claims: Claims::default(),
            commit: Mutex::new(CommitState::default()),
            freed: Mutex::new(Vec::new()),
            requests: AtomicU64::new(0),
            crowded: AtomicBool::new(false),
            file,
        })
    }

    /// What the header of the image in `file` says.
    ///
    /// # Errors
    /// As [`Header::read`].
    pub(super) fn describe(file: &HostFile) -> Result<Description, ImageError> {
        let header = Header::read(file)?;
        Ok(Description {
            virtual_size: header.geometry.virtual_size,
            cluster_size: header.geometry.cluster_size(),
            version: header.version,
            backing: header.backing_name.map(|name| BackingName { name, format: header.backing_format }),
            internal_snapshots: header.snapshots,
            needs_repair: header.incompatible & (incompatible::DIRTY | incompatible::CORRUPT) != 0,
        })
    }

    pub(super) fn len(&self) -> u64 {
        self.geometry.virtual_size
    }

    pub(super) fn host_file(&self) -> &HostFile {
        &self.file
    }

    fn allocator(&self) -> io::Result<&Mutex<Allocator>> {
        self.allocator.as_ref().ok_or_else(|| io::ErrorKind::PermissionDenied.into())
    }
}

/// Prepares for writing: what the format wants a writer to do with features that it doesn't keep up to date, and free
/// space.
fn open_allocator(file: &HostFile, header: &Header, l1: &L1) -> io::Result<Mutex<Allocator>> {
    if header.autoclear != 0 {
        file.write_bytes(&mut [0; 8], header::field::AUTOCLEAR)?;
        file.sync()?;
    }
    let mut tables = vec![0];
    tables.extend(l1.own_clusters(&header.geometry));
    tables.extend(l1.table_clusters(&header.geometry));
    let refcount_table = (header.refcount_table_offset, header.refcount_table_clusters);
    Allocator::open(file, header.geometry, refcount_table, tables).map(Mutex::new)
}
