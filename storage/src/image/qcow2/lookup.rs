//! Finding and reading what the disk contains.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use super::super::iovec::Buffers;
use super::entry::{Compressed, Mapping};
use super::l2::{Table, damaged};
use super::{Layer, Qcow2};

/// Where a part of the disk has its content at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece {
    /// In the file, from this offset on.
    Data { host: u64, copied: bool },
    /// Nowhere: it reads as zeroes.
    Zero,
    /// In the backing image.
    Below,
    /// In one compressed cluster.
    Compressed(Compressed),
}

impl Qcow2 {
    /// Fills `range` of the buffers with what is at `offset` of the disk, zeroes beyond its end.
    pub(in super::super) fn read(&self, buffers: &Buffers<'_>, range: Range<usize>, offset: u64) -> io::Result<()> {
        let _gate = self.gate.read();
        let mut at = range.start;
        while at < range.end {
            let position = offset + (at - range.start) as u64;
            if position >= self.len() {
                buffers.fill_zero(at..range.end);
                break;
            }
            let wanted = ((range.end - at) as u64).min(self.len() - position);
            let (piece, count) = self.lookup(position, wanted)?;
            let part = at..at + count as usize;
            self.read_piece(piece, buffers, part.clone(), position)?;
            at = part.end;
        }
        Ok(())
    }

    fn read_piece(&self, piece: Piece, buffers: &Buffers<'_>, part: Range<usize>, position: u64) -> io::Result<()> {
        match (piece, &self.backing) {
            (Piece::Data { host, .. }, _) => self.file.read(buffers, part, host),
            (Piece::Below, Some(backing)) => backing.read(buffers, part, position),
            (Piece::Below | Piece::Zero, _) => {
                buffers.fill_zero(part);
                Ok(())
            }
            (Piece::Compressed(place), _) => {
                let content = self.compressed.read(place, &self.geometry, &self.file)?;
                let start = self.geometry.in_cluster(position) as usize;
                buffers.copy_from(part.start, &content[start..start + part.len()]);
                Ok(())
            }
        }
    }

    /// What is at `offset` of the disk, and for how many of `len` bytes that goes on.
    pub(super) fn lookup(&self, offset: u64, len: u64) -> io::Result<(Piece, u64)> {
        let cluster = offset >> self.geometry.cluster_bits;
        let l1_index = self.geometry.l1_index(cluster);
        if let Some(found) = self.tables.peek(l1_index, |table| self.lookup_in(table, offset, len)) {
            return found;
        }
        match self.l1.get(l1_index, &self.geometry)? {
            Some((host, _)) => {
                let table = self.tables.load(l1_index, host, &self.file)?;
                self.lookup_in(&table, offset, len)
            }
            None => {
                let bits = self.geometry.cluster_bits + self.geometry.l2_bits();
                let until_next_table = (1 << bits) - (offset & ((1 << bits) - 1));
                Ok((self.unallocated(), len.min(until_next_table)))
            }
        }
    }

    fn lookup_in(&self, table: &Table, offset: u64, len: u64) -> io::Result<(Piece, u64)> {
        let geometry = &self.geometry;
        let index = geometry.l2_index(offset >> geometry.cluster_bits);
        let skip = geometry.in_cluster(offset);
        let first = self.piece(table.get(index))?;
        let mut count = geometry.cluster_size() - skip;
        let mut next = index + 1;
        while count < len
            && next < geometry.l2_entries()
            && follows(&first, &self.piece(table.get(next))?, count + skip)
        {
            count += geometry.cluster_size();
            next += 1;
        }
        let count = count.min(len);
        let Piece::Data { host, copied } = first else { return Ok((first, count)) };
        // The last cluster may be cut off by the end of the file; one that lies beyond it entirely is lost
        let last_cluster = (host + skip + count - 1) & !(geometry.cluster_size() - 1);
        if last_cluster >= self.file.len() {
            return Err(damaged(format!("the file was cut off: what belongs at offset {last_cluster} is missing")));
        }
        Ok((Piece::Data { host: host + skip, copied }, count))
    }

    fn piece(&self, entry: u64) -> io::Result<Piece> {
        match self.decode(entry)? {
            Mapping::Unallocated => Ok(self.unallocated()),
            Mapping::Zero { .. } => Ok(Piece::Zero),
            Mapping::Data { host, copied } => Ok(Piece::Data { host, copied }),
            Mapping::Compressed(place) => Ok(Piece::Compressed(place)),
            Mapping::Invalid => Err(damaged("a level 2 entry is impossible")),
        }
    }

    fn unallocated(&self) -> Piece {
        if self.backing.is_some() { Piece::Below } else { Piece::Zero }
    }

    /// # Errors
    /// `InvalidData` for an entry that no sound image has.
    pub(super) fn decode(&self, entry: u64) -> io::Result<Mapping> {
        match Mapping::decode(entry, &self.geometry, self.version) {
            Mapping::Invalid => Err(damaged("a level 2 entry is impossible")),
            mapping => Ok(mapping),
        }
    }

    /// The level 2 table of `l1_index`, if there is one.
    pub(super) fn table(&self, l1_index: usize) -> io::Result<Option<Arc<Table>>> {
        match self.l1.get(l1_index, &self.geometry)? {
            Some((host, _)) => self.tables.load(l1_index, host, &self.file).map(Some),
            None => Ok(None),
        }
    }

    /// Whether the range reads as zeroes, as far as the tables know.
    pub(in super::super) fn is_known_zero(&self, range: Range<u64>) -> io::Result<bool> {
        let _gate = self.gate.read();
        let mut offset = range.start;
        let end = range.end.min(self.len());
        while offset < end {
            let (piece, count) = self.lookup(offset, end - offset)?;
            let zero = match piece {
                Piece::Zero => true,
                Piece::Below => self.is_zero_below(offset..offset + count)?,
                Piece::Data { .. } | Piece::Compressed(_) => false,
            };
            if !zero {
                return Ok(false);
            }
            offset += count;
        }
        Ok(true)
    }

    /// Whether the backing image, or its absence, reads as zeroes in the range.
    pub(super) fn is_zero_below(&self, range: Range<u64>) -> io::Result<bool> {
        self.backing.as_deref().map_or(Ok(true), |backing: &Layer| backing.is_known_zero(range))
    }
}

/// Whether `next` continues `first` at a distance of `distance` bytes from the beginning of the first's cluster.
fn follows(first: &Piece, next: &Piece, distance: u64) -> bool {
    match (first, next) {
        (Piece::Data { host, copied }, Piece::Data { host: next_host, copied: next_copied }) => {
            host + distance == *next_host && copied == next_copied
        }
        (Piece::Zero, Piece::Zero) | (Piece::Below, Piece::Below) => true,
        _ => false,
    }
}
