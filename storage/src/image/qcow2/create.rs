//! New, empty images.

use std::io;

use super::super::ImageError;
use super::super::host_file::HostFile;
use super::geometry::Geometry;
use super::header::{MAX_L1_BYTES, NewHeader};
use super::refcounts::Block;

/// The image that a new one builds on, as its header says it. We never follow the name; other programs do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackingName {
    /// Path, absolute or from the new image's folder.
    pub name: String,
    /// "qcow2", "raw"; some old images don't say.
    pub format: Option<String>,
}

/// What a new qcow2 image shall be like.
#[derive(Debug, Clone)]
pub struct NewImage {
    /// Length of the disk in bytes, a multiple of 512.
    pub virtual_size: u64,
    /// log2 of the cluster size, 9 to 21; 16 is usual.
    pub cluster_bits: u32,
    /// What it builds on.
    pub backing: Option<BackingName>,
}

impl NewImage {
    /// A disk of its own, with clusters of the usual size.
    #[must_use]
    pub fn new(virtual_size: u64) -> Self {
        NewImage { virtual_size, cluster_bits: 16, backing: None }
    }

    /// A disk of changes to another.
    #[must_use]
    pub fn overlay(virtual_size: u64, backing: BackingName) -> Self {
        NewImage { backing: Some(backing), ..NewImage::new(virtual_size) }
    }
}

/// Clusters before the level 1 table: header, refcount table, one refcount block.
const L1_CLUSTER: u64 = 3;
const REFCOUNT_ORDER: u32 = 4;

/// Writes an empty image to an empty file.
///
/// # Errors
/// [`ImageError::BadSize`]; [`ImageError::Io`] with `AlreadyExists` if there is something in the file.
pub(in super::super) fn create(file: &HostFile, new: &NewImage) -> Result<(), ImageError> {
    let bad = |why| ImageError::BadSize { size: new.virtual_size, why };
    let io_error = |source: io::Error| ImageError::Io { name: file.name().to_owned(), source };
    if file.len() != 0 {
        return Err(io_error(io::ErrorKind::AlreadyExists.into()));
    }
    if !(9..=21).contains(&new.cluster_bits) {
        return Err(bad("clusters have 512 bytes to 2 MiB"));
    }
    if new.virtual_size == 0 || !new.virtual_size.is_multiple_of(512) {
        return Err(bad("a disk has at least one sector, and whole sectors of 512 bytes"));
    }
    let geometry =
        Geometry { cluster_bits: new.cluster_bits, refcount_order: REFCOUNT_ORDER, virtual_size: new.virtual_size };
    let l1_entries = geometry.l1_entries_needed();
    if l1_entries * 8 > MAX_L1_BYTES {
        return Err(bad("that is more than the format can hold with clusters of that size"));
    }
    let size = geometry.cluster_size();
    let l1_clusters = (l1_entries * 8).div_ceil(size);
    let used = L1_CLUSTER + l1_clusters;
    let block_count = used.div_ceil(1 << geometry.refcounts_bits());
    if block_count > size / 8 {
        return Err(bad("clusters of that size are too small for it"));
    }

    // With small clusters the table may need more than one block; the others stand behind it
    let blocks = Blocks::plan(&geometry, used);
    let header = NewHeader {
        geometry,
        l1_offset: L1_CLUSTER * size,
        l1_entries: l1_entries as u32,
        refcount_table_offset: size,
        backing: new
            .backing
            .as_ref()
            .map(|backing| (backing.name.as_str(), backing.format.as_deref().unwrap_or("raw"))),
    };
    let mut head = header.encode().ok_or_else(|| bad("the name of the image below doesn't fit into one cluster"))?;

    file.set_len(blocks.used * size).map_err(io_error)?;
    for (slot, offset) in blocks.offsets.iter().enumerate() {
        let mut block = Block::new(vec![0; size as usize], REFCOUNT_ORDER);
        let first = slot * block.len();
        for index in 0..block.len().min((blocks.used as usize).saturating_sub(first)) {
            block.set(index, 1);
        }
        file.write_bytes(&mut block.bytes().to_vec(), *offset).map_err(io_error)?;
    }
    let mut table: Vec<u8> = blocks.offsets.iter().flat_map(|offset| offset.to_be_bytes()).collect();
    file.write_bytes(&mut table, size).map_err(io_error)?;
    file.write_bytes(&mut head, 0).map_err(io_error)?;
    file.sync().map_err(io_error)
}

/// Where the refcount blocks of a new image are.
struct Blocks {
    offsets: Vec<u64>,
    /// Clusters of the file that are used, all of them at its beginning.
    used: u64,
}

impl Blocks {
    fn plan(geometry: &Geometry, used_without_more: u64) -> Self {
        let size = geometry.cluster_size();
        let mut blocks = Blocks { offsets: vec![2 * size], used: used_without_more };
        while (blocks.offsets.len() as u64) << geometry.refcounts_bits() < blocks.used {
            blocks.offsets.push(blocks.used * size);
            blocks.used += 1;
        }
        blocks
    }
}
