//! One image of a chain.

use std::io;
use std::ops::Range;

use super::host_file::HostFile;
use super::iovec::Buffers;
use super::qcow2::Qcow2;
use super::raw::Raw;

/// An image of either format.
#[derive(Debug)]
pub(super) enum Layer {
    Raw(Raw),
    Qcow2(Box<Qcow2>),
}

impl Layer {
    pub(super) fn len(&self) -> u64 {
        match self {
            Layer::Raw(raw) => raw.len(),
            Layer::Qcow2(qcow2) => qcow2.len(),
        }
    }

    pub(super) fn host_file(&self) -> &HostFile {
        match self {
            Layer::Raw(raw) => raw.host_file(),
            Layer::Qcow2(qcow2) => qcow2.host_file(),
        }
    }

    /// Fills `range` of the buffers from `offset` on, with zeroes beyond the end.
    pub(super) fn read(&self, buffers: &Buffers<'_>, range: Range<usize>, offset: u64) -> io::Result<()> {
        match self {
            Layer::Raw(raw) => raw.read(buffers, range, offset),
            Layer::Qcow2(qcow2) => qcow2.read(buffers, range, offset),
        }
    }

    pub(super) fn write(&self, buffers: &Buffers<'_>, range: Range<usize>, offset: u64) -> io::Result<()> {
        match self {
            Layer::Raw(raw) => raw.write(buffers, range, offset),
            Layer::Qcow2(qcow2) => qcow2.write(buffers, range, offset),
        }
    }

    pub(super) fn flush(&self) -> io::Result<()> {
        match self {
            Layer::Raw(raw) => raw.flush(),
            Layer::Qcow2(qcow2) => qcow2.flush(),
        }
    }

    pub(super) fn discard(&self, offset: u64, len: u64) -> io::Result<()> {
        match self {
            Layer::Raw(raw) => raw.discard(offset, len),
            Layer::Qcow2(qcow2) => qcow2.discard(offset, len),
        }
    }

    /// Whether a range certainly reads as zeroes. `false` if finding out would be work.
    pub(super) fn is_known_zero(&self, range: Range<u64>) -> io::Result<bool> {
        match self {
            Layer::Raw(raw) => Ok(range.start >= raw.len()),
            Layer::Qcow2(qcow2) => qcow2.is_known_zero(range),
        }
    }
}
