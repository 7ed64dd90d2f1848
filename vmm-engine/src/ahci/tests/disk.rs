//! A disk of bytes that fails, waits and counts as a test wants.

use std::{io, ops::Range, time::Duration};

use parking_lot::{Condvar, Mutex};
use storage::disk::Disk;
use vm_memory::VolatileSlice;

const LIMIT: Duration = Duration::from_secs(30);

/// What a test sets and sees.
#[derive(Default)]
struct State {
    data: Vec<u8>,
    /// Bytes whose access fails, and how.
    bad: Option<(Range<u64>, io::ErrorKind)>,
    panics: bool,
    /// Calls wait.
    closed: bool,
    waiting: usize,
    flushes: usize,
    /// Writes that no flush has followed.
    dirty: bool,
    discards: Vec<(u64, u64)>,
}

pub(super) struct TestDisk {
    state: Mutex<State>,
    changed: Condvar,
    read_only: bool,
}

impl TestDisk {
    pub(super) fn new(data: Vec<u8>) -> Self {
        TestDisk { state: Mutex::new(State { data, ..State::default() }), changed: Condvar::new(), read_only: false }
    }

    /// Sectors that each begin with their number.
    pub(super) fn numbered(sectors: u32) -> Self {
        TestDisk::new((0..sectors).flat_map(sector).collect())
    }

    pub(super) fn read_only(self) -> Self {
        TestDisk { read_only: true, ..self }
    }

    pub(super) fn fail(&self, bytes: Range<u64>, kind: io::ErrorKind) {
        self.state.lock().bad = Some((bytes, kind));
    }

    /// Calls panic from now on.
    pub(super) fn panic(&self) {
        self.state.lock().panics = true;
    }

    pub(super) fn heal(&self) {
        let mut state = self.state.lock();
        state.bad = None;
        state.panics = false;
    }

    /// Calls wait from now on.
    pub(super) fn close(&self) {
        self.state.lock().closed = true;
    }

    pub(super) fn open(&self) {
        self.state.lock().closed = false;
        self.changed.notify_all();
    }

    /// Returns when `count` calls wait.
    pub(super) fn wait_for_callers(&self, count: usize) {
        let mut state = self.state.lock();
        while state.waiting < count {
            assert!(!self.changed.wait_for(&mut state, LIMIT).timed_out(), "only {} calls came", state.waiting);
        }
    }

    pub(super) fn data(&self) -> Vec<u8> {
        self.state.lock().data.clone()
    }

    pub(super) fn flushes(&self) -> usize {
        self.state.lock().flushes
    }

    pub(super) fn is_dirty(&self) -> bool {
        self.state.lock().dirty
    }

    pub(super) fn discards(&self) -> Vec<(u64, u64)> {
        self.state.lock().discards.clone()
    }

    fn call<T>(&self, range: Range<u64>, body: impl FnOnce(&mut State) -> T) -> io::Result<T> {
        let mut state = self.state.lock();
        state.waiting += 1;
        self.changed.notify_all();
        while state.closed {
            assert!(!self.changed.wait_for(&mut state, LIMIT).timed_out(), "the disk was never opened again");
        }
        state.waiting -= 1;
        assert!(!state.panics, "the panic that a test asked for");
        if range.end > state.data.len() as u64 {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        match &state.bad {
            Some((bad, kind)) if bad.start < range.end && range.start < bad.end => Err((*kind).into()),
            _ => Ok(body(&mut state)),
        }
    }
}

/// A sector's content: its number, over and over.
pub(super) fn sector(number: u32) -> Vec<u8> {
    number.to_le_bytes().repeat(128)
}

fn total(buffers: &[VolatileSlice<'_>]) -> u64 {
    buffers.iter().map(|buffer| buffer.len() as u64).sum()
}

impl Disk for TestDisk {
    fn len_bytes(&self) -> u64 {
        self.state.lock().data.len() as u64
    }

    fn is_read_only(&self) -> bool {
        self.read_only
    }

    fn read(&self, offset: u64, buffers: &[VolatileSlice<'_>]) -> io::Result<()> {
        self.call(offset..offset + total(buffers), |state| {
            let mut at = offset as usize;
            for buffer in buffers {
                buffer.copy_from(&state.data[at..at + buffer.len()]);
                at += buffer.len();
            }
        })
    }

    fn write(&self, offset: u64, buffers: &[VolatileSlice<'_>]) -> io::Result<()> {
        self.call(offset..offset + total(buffers), |state| {
            let mut at = offset as usize;
            for buffer in buffers {
                buffer.copy_to(&mut state.data[at..at + buffer.len()]);
                at += buffer.len();
            }
            state.dirty = true;
        })
    }

    fn flush(&self) -> io::Result<()> {
        self.call(0..0, |state| {
            state.flushes += 1;
            state.dirty = false;
        })
    }

    fn discard(&self, offset: u64, len: u64) -> io::Result<()> {
        self.call(offset..offset + len, |state| {
            state.data[offset as usize..(offset + len) as usize].fill(0);
            state.discards.push((offset, len));
        })
    }
}
