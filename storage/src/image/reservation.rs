//! Space for direct writes, taken ahead.
//!
//! A direct write into a hole makes the host look for space and change the file's tables, alone with the file, for
//! every single request; a write to space that the file has already is done beside others. So the surroundings of a
//! first write are reserved: one piece, or, behind a piece that is in use, up to the end of a larger one, because
//! then more of the same is likely to come. Cached writes need nothing of it: the host gathers them before it looks
//! for space.

use std::fs::File;
use std::ops::Range;

use parking_lot::Mutex;
use rustix::fs::{FallocateFlags, SeekFrom};

use super::ranges::RangeSet;

/// Bytes of a piece.
const PIECE: u64 = 64 << 10;
/// Pieces that are reserved together at most.
const MOST_PIECES: u64 = 16;
/// More ranges than that are forgotten, which costs a question to the host each.
const MOST_RANGES: usize = 16_384;

/// What is known to have space.
#[derive(Debug)]
pub(super) struct Reservations {
    pieces: Mutex<RangeSet>,
}

impl Reservations {
    /// For a file that has space for the first `full` bytes.
    pub(super) fn new(full: u64) -> Self {
        let mut pieces = RangeSet::default();
        pieces.insert(0..full / PIECE);
        Reservations { pieces: Mutex::new(pieces) }
    }

    /// Takes space for a write to a range, if it may be missing; nothing beyond that and the file's end (`file_len`).
    /// Where that fails the write will say why.
    pub(super) fn reserve(&self, file: &File, range: Range<u64>, file_len: u64) {
        let wanted = range.start / PIECE..range.end.div_ceil(PIECE);
        let mut pieces = self.pieces.lock();
        for piece in wanted.clone() {
            if pieces.contains(piece) {
                continue;
            }
            let follows = piece.checked_sub(1).is_some_and(|before| pieces.contains(before));
            let end = if follows { (piece + 1).next_multiple_of(MOST_PIECES) } else { piece + 1 };
            let missing = piece..end.min(file_len.div_ceil(PIECE)).max(wanted.end);
            if pieces.range_count() > MOST_RANGES {
                *pieces = RangeSet::default();
            }
            if has_space(file, &missing) || take_space(file, &missing) {
                pieces.insert(missing);
            }
        }
    }

    /// The space of a range was given back.
    pub(super) fn forget(&self, range: Range<u64>) {
        self.pieces.lock().remove(range.start / PIECE..range.end.div_ceil(PIECE));
    }
}

fn has_space(file: &File, pieces: &Range<u64>) -> bool {
    // Nobody uses the file's position
    rustix::fs::seek(file, SeekFrom::Hole(pieces.start * PIECE)).is_ok_and(|hole| hole >= pieces.end * PIECE)
}

fn take_space(file: &File, pieces: &Range<u64>) -> bool {
    let len = (pieces.end - pieces.start) * PIECE;
    rustix::fs::fallocate(file, FallocateFlags::KEEP_SIZE, pieces.start * PIECE, len).is_ok()
}
