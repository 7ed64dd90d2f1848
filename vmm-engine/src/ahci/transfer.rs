//! The work of a command: data between an image and guest memory, on a worker's thread and without a lock.

use std::io;

use hypervisor::memory::GuestMemory;
use storage::disk::Disk;
use vm_memory::VolatileSlice;

use super::{
    command::{Buffers, BusFault, CommandHeader},
    drive::{Extent, Request, Work, WorkError},
    events::DiskOperation,
    stats::DiskCounters,
};

/// Bytes that READ VERIFY, and READ CD in unusual forms, keep in memory at once.
const CHUNK: u64 = 256 * 1024;
/// Bytes of a range entry of DATA SET MANAGEMENT, and of a logical sector.
const RANGE_LEN: usize = 8;
const SECTOR: u64 = 512;

/// Why a command didn't succeed.
#[derive(Debug)]
pub(super) enum Failure {
    /// The controller can't reach the memory that it was told.
    Bus,
    /// There is more data than the descriptors have room for (or fewer than the drive wants).
    Overflow,
    /// The drive fails.
    Drive(WorkError),
    /// The host computer can't do it now, and is to try again later.
    Held,
}

impl From<BusFault> for Failure {
    fn from(_: BusFault) -> Self {
        Failure::Bus
    }
}
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Failure::Drive(WorkError::Host(error))
    }
}

/// How the work of a command went.
pub(super) struct Outcome {
    pub(super) result: Result<(), Failure>,
    /// Bytes that were moved.
    pub(super) moved: u32,
    /// What came from the host.
    pub(super) taken: Vec<u8>,
    /// A descriptor that asks for an interrupt was used up.
    pub(super) interrupt: bool,
}

impl Outcome {
    fn of(result: Result<(), Failure>) -> Self {
        Outcome { result, moved: 0, taken: Vec::new(), interrupt: false }
    }

    /// The image's code has panicked.
    pub(super) fn panicked() -> Self {
        Outcome::of(Err(io::Error::other("the code of the disk image has panicked").into()))
    }
}

/// What the image was to do when it failed, in words for whoever runs the machine.
pub(super) fn operation(request: &Request) -> (DiskOperation, u64, u64) {
    match &request.work {
        Work::Read(extent) | Work::Verify(extent) | Work::ReadCd { extent, .. } => {
            (DiskOperation::Read, extent.offset, extent.len)
        }
        Work::Write { extent, .. } => (DiskOperation::Write, extent.offset, extent.len),
        Work::Trim { .. } => (DiskOperation::Discard, 0, 0),
        Work::Flush(_) | Work::Nothing | Work::ToHost(_) | Work::FromHost(_) => (DiskOperation::Flush, 0, 0),
    }
}

/// Does the work of `request`, whose data is described by `header`.
pub(super) fn run(memory: &GuestMemory, header: &CommandHeader, request: &Request, stats: &DiskCounters) -> Outcome {
    let result = match &request.work {
        Work::Nothing => Ok(Outcome::of(Ok(()))),
        Work::ToHost(data) => to_host(memory, header, data),
        Work::FromHost(len) => from_host(memory, header, (*len).into()),
        Work::Read(extent) => with_buffers(memory, header, extent.len, |buffers| {
            read(extent, buffers)?;
            stats.read(extent.len);
            Ok(())
        }),
        Work::Write { extent, durable } => with_buffers(memory, header, extent.len, |buffers| {
            extent.disk.write(extent.offset, &buffers.slices)?;
            if *durable {
                extent.disk.flush()?;
            }
            stats.write(extent.len);
            Ok(())
        }),
        Work::Verify(extent) => verify(extent),
        Work::Flush(disk) => disk.flush().map_err(Failure::from).map(|()| {
            stats.flush();
            Outcome::of(Ok(()))
        }),
        Work::Trim { disk, blocks } => from_host(memory, header, u64::from(*blocks) * SECTOR).and_then(|outcome| {
            let discarded = trim(disk.as_ref(), &outcome.taken)?;
            stats.discard(discarded);
            Ok(outcome)
        }),
        Work::ReadCd { extent, form } => read_cd(memory, header, extent, *form).inspect(|_| stats.read(extent.len)),
    };
    result.unwrap_or_else(|failure| Outcome::of(Err(failure)))
}

fn with_buffers<'m>(
    memory: &'m GuestMemory,
    header: &CommandHeader,
    len: u64,
    body: impl FnOnce(&Buffers<'m>) -> Result<(), Failure>,
) -> Result<Outcome, Failure> {
    let buffers = header.buffers(memory, len)?;
    if buffers.len < len {
        return Err(Failure::Overflow);
    }
    body(&buffers)?;
    Ok(Outcome { moved: buffers.len as u32, interrupt: buffers.interrupt, ..Outcome::of(Ok(())) })
}

fn to_host(memory: &GuestMemory, header: &CommandHeader, data: &[u8]) -> Result<Outcome, Failure> {
    with_buffers(memory, header, data.len() as u64, |buffers| {
        buffers.put(data);
        Ok(())
    })
}

fn from_host(memory: &GuestMemory, header: &CommandHeader, len: u64) -> Result<Outcome, Failure> {
    let mut taken = Vec::new();
    let outcome = with_buffers(memory, header, len, |buffers| {
        taken = buffers.take();
        Ok(())
    })?;
    Ok(Outcome { taken, ..outcome })
}

/// Reads; what lies behind the image's end, in a disc whose last block is only begun, is zeroes.
fn read(extent: &Extent, buffers: &Buffers<'_>) -> Result<(), Failure> {
    let inside = extent.disk.len_bytes().saturating_sub(extent.offset).min(extent.len);
    if inside == extent.len {
        return Ok(extent.disk.read(extent.offset, &buffers.slices)?);
    }
    let (front, back) = buffers.split_at(inside)?;
    extent.disk.read(extent.offset, &front)?;
    for slice in back {
        slice.copy_from(&vec![0_u8; slice.len()]);
    }
    Ok(())
}

/// Calls `each` with the content of one chunk of `extent` after another, and its offset. Chunks are multiples of
/// `unit`.
fn chunks(extent: &Extent, unit: u64, mut each: impl FnMut(u64, &[u8]) -> Result<(), Failure>) -> Result<(), Failure> {
    let chunk = CHUNK - CHUNK % unit;
    let end = extent.offset + extent.len;
    let mut data = vec![0; chunk.min(extent.len) as usize];
    let mut offset = extent.offset;
    while offset < end {
        let len = chunk.min(end - offset) as usize;
        let data = &mut data[..len];
        let part = Extent { offset, len: len as u64, ..extent.clone() };
        let slice = VolatileSlice::from(&mut *data);
        read(&part, &Buffers { slices: vec![slice], len: len as u64, interrupt: false })?;
        each(offset, data)?;
        offset += len as u64;
    }
    Ok(())
}

fn verify(extent: &Extent) -> Result<Outcome, Failure> {
    chunks(extent, SECTOR, |_, _| Ok(()))?;
    Ok(Outcome::of(Ok(())))
}

fn read_cd(
    memory: &GuestMemory,
    header: &CommandHeader,
    extent: &Extent,
    form: super::atapi::SectorForm,
) -> Result<Outcome, Failure> {
    const BLOCK: u64 = super::atapi::BLOCK;
    let len = extent.len / BLOCK * form.len() as u64;
    with_buffers(memory, header, len, |buffers| {
        let mut rest = 0;
        chunks(extent, BLOCK, |offset, data| {
            let mut sectors = Vec::new();
            for (index, block) in data.chunks(BLOCK as usize).enumerate() {
                form.append(offset / BLOCK + index as u64, block, &mut sectors);
            }
            let (_, behind) = buffers.split_at(rest)?;
            Buffers { slices: behind, len: 0, interrupt: false }.put(&sectors);
            rest += sectors.len() as u64;
            Ok(())
        })
    })
}

/// Discards the ranges of a DATA SET MANAGEMENT (ATA8-ACS, section 7.10.3): 48 bits of address, 16 of count each. None
/// is discarded unless all exist. Gives the bytes.
fn trim(disk: &dyn Disk, entries: &[u8]) -> Result<u64, Failure> {
    let capacity = disk.len_bytes() / SECTOR;
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for entry in entries.chunks_exact(RANGE_LEN) {
        let number = entry.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte));
        let (first, count) = (number & 0xffff_ffff_ffff, number >> 48);
        if count == 0 {
            continue;
        }
        if first > capacity || count > capacity - first {
            return Err(Failure::Drive(WorkError::Address));
        }
        match ranges.last_mut() {
            // A long range comes as several entries.
            Some((start, len)) if *start + *len == first => *len += count,
            _ => ranges.push((first, count)),
        }
    }
    for &(first, count) in &ranges {
        disk.discard(first * SECTOR, count * SECTOR)?;
    }
    Ok(ranges.iter().map(|&(_, count)| count * SECTOR).sum())
}
