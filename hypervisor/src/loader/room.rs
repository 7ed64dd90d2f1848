//! Where a kernel and what it is handed find room in a machine's memory.

use std::ops::Range;

use super::error::LoadError;
use crate::memory::PAGE_SIZE;

/// Structures that a 32-bit address names have to end here.
pub(super) const FOUR_GIB: u64 = 1 << 32;

/// What a range of guest-physical addresses is for, with the numbers of BIOS's function E820h (ACPI 6.5, table 15.374).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum RangeKind {
    /// Memory that the guest may use.
    Ram = 1,
    /// Not for the guest.
    Reserved = 2,
    /// ACPI tables, usable once they were read.
    AcpiReclaimable = 3,
    /// Firmware's, to be kept across sleep.
    AcpiNvs = 4,
    /// Memory with errors.
    Unusable = 5,
}

/// An entry of a machine's memory map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MemoryRange {
    /// First guest-physical address.
    pub base: u64,
    /// Length in bytes.
    pub len: u64,
    /// What it is for.
    pub kind: RangeKind,
}

/// The free parts of a machine's RAM.
#[derive(Debug, Clone)]
pub(super) struct Room {
    /// In order, neither empty nor touching.
    free: Vec<Range<u64>>,
    ram: u64,
    /// The end of the highest RAM below 4 GiB.
    low_end: u64,
    /// Whether there is RAM above 4 GiB.
    has_high: bool,
}

impl Room {
    /// The RAM of `map` without `avoid`.
    pub(super) fn new(map: &[MemoryRange], avoid: &[Range<u64>]) -> Result<Self, LoadError> {
        let wrong = |what: String| LoadError::MemoryMap(what);
        let mut ranges = Vec::with_capacity(map.len());
        for entry in map.iter().filter(|entry| entry.len != 0) {
            let end = entry
                .base
                .checked_add(entry.len)
                .ok_or_else(|| wrong(format!("{:#x} bytes at {:#x} are too many", entry.len, entry.base)))?;
            ranges.push((entry.base..end, entry.kind));
        }
        ranges.sort_by_key(|(range, _)| range.start);
        if let Some(pair) = ranges.windows(2).find(|pair| pair[0].0.end > pair[1].0.start) {
            return Err(wrong(format!("two ranges share the address {:#x}", pair[1].0.start)));
        }
        let mut free: Vec<Range<u64>> = Vec::new();
        for (range, _) in ranges.into_iter().filter(|(_, kind)| *kind == RangeKind::Ram) {
            match free.last_mut() {
                Some(last) if last.end == range.start => last.end = range.end,
                _ => free.push(range),
            }
        }
        let ram = free.iter().map(|range| range.end - range.start).sum();
        let low_end = free.iter().rev().find(|range| range.start < FOUR_GIB).map_or(0, |range| range.end);
        let has_high = free.last().is_some_and(|range| range.end > FOUR_GIB);
        let mut room = Room { free, ram, low_end, has_high };
        avoid.iter().for_each(|range| room.remove(range));
        Ok(room)
    }

    /// All the RAM there is, in bytes.
    pub(super) fn ram(&self) -> u64 {
        self.ram
    }

    /// Whether more memory would make `range` free, as far as one can tell.
    pub(super) fn ends_before(&self, range: &Range<u64>) -> bool {
        !self.has_high && self.low_end < range.end
    }

    /// Where `len` bytes would end if the machine had just enough memory for them below 4 GiB; `None` if more memory
    /// would go above 4 GiB.
    pub(super) fn end_if_larger(&self, len: u64) -> Option<u64> {
        if self.has_high {
            return None;
        }
        let top = self.free.iter().find(|range| range.end == self.low_end).map_or(self.low_end, |range| range.start);
        top.checked_next_multiple_of(PAGE_SIZE)?.checked_add(len).filter(|&end| end <= FOUR_GIB)
    }

    fn remove(&mut self, taken: &Range<u64>) {
        let parts = |range: &Range<u64>| {
            let before = range.start..range.end.min(taken.start);
            let after = range.start.max(taken.end)..range.end;
            if taken.is_empty() { [range.clone(), 0..0] } else { [before, after] }
        };
        self.free = self.free.iter().flat_map(parts).filter(|range| !range.is_empty()).collect();
    }

    /// Takes exactly `range`; false if not all of it is free.
    pub(super) fn take(&mut self, range: &Range<u64>) -> bool {
        let is_free = self.free.iter().any(|free| free.start <= range.start && range.end <= free.end);
        if is_free {
            self.remove(range);
        }
        is_free
    }

    /// Takes the lowest `len` bytes that begin on a page boundary at `from` or above and end at `below` or under.
    pub(super) fn take_low(&mut self, len: u64, from: u64, below: u64) -> Option<u64> {
        self.take_low_aligned(len, PAGE_SIZE, from, below)
    }

    /// [`Self::take_low`], beginning at a multiple of `align` (not 0).
    pub(super) fn take_low_aligned(&mut self, len: u64, align: u64, from: u64, below: u64) -> Option<u64> {
        let base = self.free.iter().find_map(|free| {
            let base = free.start.max(from).checked_next_multiple_of(align)?;
            (base.checked_add(len)? <= free.end.min(below)).then_some(base)
        })?;
        self.remove(&(base..base + len));
        Some(base)
    }

    /// Takes the highest `len` bytes that begin on a page boundary and end at `below` or under.
    pub(super) fn take_high(&mut self, len: u64, below: u64) -> Option<u64> {
        let base = self.free.iter().rev().find_map(|free| {
            let base = free.end.min(below).checked_sub(len)? / PAGE_SIZE * PAGE_SIZE;
            (base >= free.start).then_some(base)
        })?;
        self.remove(&(base..base + len));
        Some(base)
    }
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init)] // one range is what is meant
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn ram(base: u64, len: u64) -> MemoryRange {
        MemoryRange { base, len, kind: RangeKind::Ram }
    }

    #[test]
    fn touching_ram_is_one_and_what_is_taken_is_gone() {
        let mut room = Room::new(&[ram(0x8000, 0x8000), ram(0, 0x8000)], &[0..0x1000]).unwrap();
        assert_eq!((room.ram(), &room.free[..]), (0x10000, &[0x1000..0x10000][..]));
        assert!(room.take(&(0x7000..0x9000)));
        assert!(!room.take(&(0x8fff..0x9001)));
        assert_eq!(room.take_low(0x1001, 0x1800, u64::MAX), Some(0x2000));
        assert_eq!(room.take_high(0x1001, 0xf800), Some(0xe000));
        assert_eq!(room.take_high(0x10000, u64::MAX), None);
    }

    #[test]
    fn memory_that_is_missing_is_counted_from_the_highest_free_address() {
        let mut room = Room::new(&[ram(0, 0x9_f000), ram(0x10_0000, 0x10_0000)], &[]).unwrap();
        assert!(room.take(&(0x10_0000..0x18_0001)));
        assert_eq!(room.end_if_larger(0x100), Some(0x18_1100));
        assert!(room.take(&(0x18_0001..0x20_0000)));
        assert_eq!(room.end_if_larger(0x100), Some(0x20_0100));
        assert_eq!(room.end_if_larger(FOUR_GIB), None);
        let full = Room::new(&[ram(0, 0xc000_0000), ram(FOUR_GIB, 0x1000)], &[]).unwrap();
        assert_eq!(full.end_if_larger(1), None);
    }

    #[test]
    fn ranges_that_overlap_or_overflow_are_refused() {
        let reserved = MemoryRange { base: 0xfff, len: 1, kind: RangeKind::Reserved };
        for map in [&[ram(0, 0x1000), reserved][..], &[ram(u64::MAX, 2)]] {
            assert!(matches!(Room::new(map, &[]), Err(LoadError::MemoryMap(_))), "{map:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_is_given_twice(wishes in prop::collection::vec((0_u8..3, 1_u64..0x6000, 0_u64..0x20_000), 1..40)) {
            let mut room = Room::new(&[ram(0, 0x9000), ram(0xa000, 0x1_6000)], &[0x3000..0x3800]).unwrap();
            let mut given: Vec<Range<u64>> = vec![0x3000..0x3800, 0x9000..0xa000];
            for (how, len, place) in wishes {
                let base = match how {
                    0 => room.take_low(len, place, u64::MAX),
                    1 => room.take_high(len, place),
                    _ => room.take(&(place..place + len)).then_some(place),
                };
                if let Some(base) = base {
                    prop_assert!(base + len <= 0x20_000);
                    prop_assert!(given.iter().all(|other| other.end <= base || base + len <= other.start));
                    given.push(base..base + len);
                }
            }
        }
    }
}
