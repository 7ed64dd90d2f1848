//! Freeing the clusters that a crash left counted as used: nothing refers to them.
//!
//! Every table is read, and what refers to each cluster is counted. Counts that are higher are lowered; that is all
//! that is ever changed. An image that has more in it than we understand (snapshots, bitmaps, whatever a later version
//! brings), that contradicts itself, or that is too large to look through, stays as it is, and the log says why:
//! such clusters cost space and nothing else.

use std::io;
use std::ops::Range;

use super::super::host_file::HostFile;
use super::Qcow2;
use super::allocator::Allocator;
use super::entry::{Mapping, decode_l1};
use super::header::Header;

/// So many clusters of the file, entries of level 2 tables, and reference counts are looked at: enough for 2 TiB in
/// clusters of the usual size. It takes two bytes of memory a cluster, for as long as the search lasts.
const MOST: u64 = 32 << 20;
/// The space of so many ranges is given back to the host; that of others stays with the file for later.
const MOST_HOLES: u64 = 16_384;
/// Counts that are looked at together.
const WINDOW: usize = 4096;

/// Why nothing was freed.
#[derive(Debug, thiserror::Error)]
enum Skipped {
    #[error("it is too large to be looked through")]
    TooLarge,
    #[error("it has {0}")]
    Unknown(&'static str),
    #[error("its tables contradict themselves ({0}): `qemu-img check` says more")]
    Contradiction(&'static str),
    #[error("the host can't read or write it: {0}")]
    Io(#[from] io::Error),
}

impl Qcow2 {
    /// Frees clusters that count as used and aren't. To be called before anybody uses the image. Whatever goes wrong,
    /// the image is no worse than before.
    pub(in super::super) fn reclaim(&self) {
        let image = self.file.name();
        match self.try_reclaim() {
            Ok(0) => tracing::info!(image, "the last user's crash left no unused clusters"),
            Ok(clusters) => {
                let bytes = clusters << self.geometry.cluster_bits;
                tracing::info!(image, clusters, bytes, "clusters that a crash left unused are free again");
            }
            Err(why) => tracing::warn!(image, "clusters that a crash left unused were not looked for: {why}"),
        }
    }

    fn try_reclaim(&self) -> Result<u64, Skipped> {
        let header = Header::read(&self.file).map_err(|error| io::Error::other(error.to_string()))?;
        if header.snapshots != 0 {
            return Err(Skipped::Unknown("snapshots inside"));
        }
        if header.has_unknown_parts {
            return Err(Skipped::Unknown("bitmaps or other parts that may have clusters of their own"));
        }
        let mut allocator = self.allocator()?.lock();
        let uses = self.count_uses(&header, &allocator)?;
        check_counts(&uses, &self.file, &mut allocator)?;
        let freed = lower_counts(&uses, &self.file, &mut allocator)?;
        allocator.write_changes(&self.file)?;
        Ok(freed)
    }

    /// Goes through all tables.
    fn count_uses(&self, header: &Header, allocator: &Allocator) -> Result<Uses, Skipped> {
        let (geometry, file) = (&self.geometry, &self.file);
        let bits = geometry.cluster_bits;
        let mut uses = Uses::new(file.len().div_ceil(geometry.cluster_size()))?;
        let l1_bytes = u64::from(header.l1_entries) * 8;
        uses.add(0..1, Kind::Own)?;
        uses.add(header.l1_offset >> bits..(header.l1_offset + l1_bytes).div_ceil(geometry.cluster_size()), Kind::Own)?;
        let refcount_table = header.refcount_table_offset >> bits;
        uses.add(refcount_table..refcount_table + u64::from(header.refcount_table_clusters), Kind::Own)?;
        let mut blocks = 0;
        for offset in allocator.table.iter().filter(|offset| **offset != 0) {
            blocks += 1;
            uses.add_at(*offset, bits)?;
        }
        // The last block may count more than there is
        let counts_in_block = 1 << geometry.refcounts_bits();
        if blocks * counts_in_block > MOST + counts_in_block {
            return Err(Skipped::TooLarge);
        }

        let mut l1 = vec![0; l1_bytes as usize];
        file.read_bytes(&mut l1, header.l1_offset)?;
        let mut tables = Vec::new();
        for entry in l1.as_chunks::<8>().0 {
            let table = decode_l1(u64::from_be_bytes(*entry), geometry);
            tables.extend(table.map_err(|_| Skipped::Contradiction("an impossible level 1 entry"))?);
        }
        drop(l1);
        if tables.len() as u64 * geometry.l2_entries() as u64 > MOST {
            return Err(Skipped::TooLarge);
        }
        // In the order of the file, which a disk with heads reads faster
        tables.sort_unstable();
        if tables.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return Err(Skipped::Contradiction("a level 2 table in two places"));
        }
        let mut bytes = vec![0; geometry.cluster_size() as usize];
        for (table, _) in tables {
            uses.add_at(table, bits)?;
            file.read_bytes(&mut bytes, table)?;
            for entry in bytes.as_chunks::<8>().0 {
                match Mapping::decode(u64::from_be_bytes(*entry), geometry, self.version) {
                    Mapping::Unallocated | Mapping::Zero { host: None, .. } => {}
                    Mapping::Data { host, .. } | Mapping::Zero { host: Some(host), .. } => uses.add_at(host, bits)?,
                    Mapping::Compressed(place) => {
                        let last = place.host.saturating_add(u64::from(place.len)) - 1;
                        uses.add(place.host >> bits..(last >> bits) + 1, Kind::Compressed)?;
                    }
                    Mapping::Invalid => return Err(Skipped::Contradiction("an impossible level 2 entry")),
                }
            }
        }
        Ok(uses)
    }
}

/// Makes sure that no cluster is used more often than it counts: then nothing is known for sure.
fn check_counts(uses: &Uses, file: &HostFile, allocator: &mut Allocator) -> Result<(), Skipped> {
    let bits = allocator.geometry.refcounts_bits();
    for slot in 0..allocator.table.len().max(uses.slots(bits)) {
        let first = (slot as u64) << bits;
        let uncounted = if allocator.table.get(slot).is_none_or(|offset| *offset == 0) {
            (first..first + (1 << bits)).take_while(|cluster| *cluster < uses.clusters()).any(|c| uses.of(c).0 != 0)
        } else {
            let block = allocator.block_of(file, slot)?;
            (0..block.len()).any(|index| block.get(index) < uses.of(first + index as u64).0)
        };
        if uncounted {
            return Err(Skipped::Contradiction("a cluster is used that counts as unused"));
        }
    }
    Ok(())
}

/// Lowers counts to what is used. Gives the number of clusters that are free now.
fn lower_counts(uses: &Uses, file: &HostFile, allocator: &mut Allocator) -> Result<u64, Skipped> {
    let bits = allocator.geometry.refcounts_bits();
    let cluster_bits = allocator.geometry.cluster_bits;
    let (mut freed, mut holes) = (0, 0);
    for slot in 0..allocator.table.len() {
        if allocator.table[slot] == 0 {
            continue;
        }
        let first = (slot as u64) << bits;
        for start in (0..1_usize << bits).step_by(WINDOW) {
            let block = allocator.block_of(file, slot)?;
            let mut unused: Vec<Range<u64>> = Vec::new();
            let mut lowered = Vec::new();
            for index in start..block.len().min(start + WINDOW) {
                let cluster = first + index as u64;
                match (block.get(index), uses.of(cluster)) {
                    (0, _) => {}
                    (_, (0, _)) => match unused.last_mut() {
                        Some(last) if last.end == cluster => last.end += 1,
                        _ => unused.push(cluster..cluster + 1),
                    },
                    // Other entries say whether their cluster is used once, and would have to be changed as well
                    (count, (used, Kind::Compressed)) if used < Uses::MOST && count > used => {
                        lowered.push((cluster, used));
                    }
                    _ => {}
                }
            }
            for (cluster, used) in lowered {
                allocator.set_counts(file, cluster..cluster + 1, used)?;
            }
            for range in unused {
                let len = range.end - range.start;
                freed += len;
                holes += 1;
                let zeroed = holes <= MOST_HOLES
                    && file.punch_hole(range.start << cluster_bits, len << cluster_bits).unwrap_or(false);
                allocator.release(file, range, zeroed)?;
            }
        }
        if allocator.is_crowded() {
            allocator.write_changes(file)?;
        }
    }
    Ok(freed)
}

/// What a cluster is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A table, or a whole cluster of the guest's.
    Own,
    /// Compressed content only.
    Compressed,
}

/// How often each cluster of the file is used.
struct Uses(Vec<u16>);

impl Uses {
    /// Or more.
    const MOST: u64 = 0x7fff;
    /// Marks a cluster with a use that isn't compressed content.
    const OWN: u16 = 0x8000;

    fn new(clusters: u64) -> Result<Self, Skipped> {
        if clusters > MOST { Err(Skipped::TooLarge) } else { Ok(Uses(vec![0; clusters as usize])) }
    }

    fn add(&mut self, clusters: Range<u64>, kind: Kind) -> Result<(), Skipped> {
        let range = usize::try_from(clusters.start).ok().zip(usize::try_from(clusters.end).ok());
        let uses = range.and_then(|(start, end)| self.0.get_mut(start..end));
        for uses in uses.ok_or(Skipped::Contradiction("something beyond the end of the file"))? {
            let mark = if kind == Kind::Own { Uses::OWN } else { *uses & Uses::OWN };
            *uses = mark | ((*uses & !Uses::OWN) + 1).min(Uses::MOST as u16);
        }
        Ok(())
    }

    fn add_at(&mut self, offset: u64, cluster_bits: u32) -> Result<(), Skipped> {
        let cluster = offset >> cluster_bits;
        self.add(cluster..cluster + 1, Kind::Own)
    }

    /// The uses of a cluster, none beyond the end of the file.
    fn of(&self, cluster: u64) -> (u64, Kind) {
        let uses = usize::try_from(cluster).ok().and_then(|cluster| self.0.get(cluster)).copied().unwrap_or(0);
        let kind = if uses & Uses::OWN != 0 { Kind::Own } else { Kind::Compressed };
        (u64::from(uses & !Uses::OWN), kind)
    }

    fn clusters(&self) -> u64 {
        self.0.len() as u64
    }

    /// The blocks of reference counts that it takes to count every cluster.
    fn slots(&self, refcounts_bits: u32) -> usize {
        self.0.len().div_ceil(1 << refcounts_bits)
    }
}
