//! The display memory as the processor sees it through A0000h to BFFFFh: windows, planes, latches, read and write modes
//! (IBM PS/2 Hardware Interface Technical Reference, "Graphics Controller").
//!
//! The four planes lie interleaved: byte `4 * n + p` of the memory is byte `n` of plane `p`. So chained modes, banked and
//! linear VBE modes all see one memory, as on a Bochs VBE adapter. Word and doubleword addressing of the CRT controller are
//! applied here, when the memory is accessed, and not when it is shown: with an unchanged mode that is the same picture,
//! and it makes text cells and chained pixels adjacent.

use std::sync::atomic::Ordering;

use hypervisor::memory::{DeviceMemory, PAGE_SIZE};
use vm_memory::{Bytes, VolatileSlice};

use super::{
    dispi::Dispi,
    registers::{
        CR_MODE, CR_UNDERLINE, GR_BIT_MASK, GR_COMPARE, GR_DONT_CARE, GR_ENABLE_SET_RESET, GR_MISCELLANEOUS, GR_MODE,
        GR_READ_MAP, GR_ROTATE, GR_SET_RESET, Registers, SR_MAP_MASK, SR_MEMORY_MODE,
    },
};

/// Length of the range of addresses, in bytes.
pub(super) const LEGACY_LEN: u64 = 0x2_0000;

/// A set of pages of the display memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pages {
    bits: Vec<u64>,
    any: bool,
}

impl Pages {
    pub(super) fn new(memory: u64) -> Self {
        Pages { bits: vec![0; memory.div_ceil(PAGE_SIZE * 64) as usize], any: false }
    }

    /// Adds the page of byte `offset`.
    #[inline]
    fn add(&mut self, offset: usize) {
        if let Some(bits) = self.bits.get_mut(offset / (PAGE_SIZE as usize * 64)) {
            *bits |= 1 << (offset / PAGE_SIZE as usize % 64);
            self.any = true;
        }
    }

    pub(super) fn add_range(&mut self, offset: usize, len: usize) {
        let page = PAGE_SIZE as usize;
        if len > 0 {
            (offset / page..=(offset + len - 1) / page).for_each(|number| self.add(number * page));
        }
    }

    pub(super) fn add_all(&mut self) {
        self.bits.fill(u64::MAX);
        self.any = true;
    }

    /// Adds the pages of a dirty log.
    pub(super) fn add_log(&mut self, log: &[u64]) {
        for (mine, theirs) in self.bits.iter_mut().zip(log) {
            *mine |= theirs;
            self.any |= *theirs != 0;
        }
    }

    /// Moves the pages into `other`, which is added to.
    pub(super) fn move_into(&mut self, other: &mut Pages) {
        if self.any {
            other.add_log(&self.bits);
            self.clear();
        }
    }

    pub(super) fn clear(&mut self) {
        if self.any {
            self.bits.fill(0);
            self.any = false;
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        !self.any
    }

    /// Whether a page of `len` bytes (more than zero) from `offset` is in the set.
    pub(super) fn touches(&self, offset: usize, len: usize) -> bool {
        let page = PAGE_SIZE as usize;
        self.any
            && (offset / page..=(offset + len - 1) / page)
                .any(|number| self.bits.get(number / 64).is_some_and(|bits| bits >> (number % 64) & 1 != 0))
    }
}

/// How an address of the range becomes one of the memory: what the registers say, decoded once for many accesses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Window {
    /// The part of the range that answers.
    first: u32,
    len: u32,
    /// Added to the address, in bytes.
    bank: u32,
    /// Four planes are chained: the lowest two address bits choose the plane.
    chained: bool,
    /// Chained, and bytes are consecutive in memory.
    linear: bool,
    /// Writes change nothing but the byte itself.
    plain_write: bool,
    /// The lowest address bit chooses even or odd planes, for reads and for writes.
    odd_even_read: bool,
    odd_even_write: bool,
    /// The lowest address bit is dropped.
    drop_lowest: bool,
    /// What the CRT controller's addressing takes off addresses.
    read_shift: u8,
    write_shift: u8,
    /// Planes that are written.
    planes: u8,
}

impl Window {
    fn of(registers: &Registers, dispi: &Dispi) -> Window {
        let gr = &registers.graphics;
        let vbe = dispi.mode();
        let linear_mode = vbe.is_some_and(|mode| mode.bits > 4);
        let map = if vbe.is_some() { 1 } else { gr[GR_MISCELLANEOUS] >> 2 & 3 };
        let (first, len) = match map {
            0 => (0, 0x2_0000),
            1 => (0, 0x1_0000),
            2 => (0x1_0000, 0x8000),
            _ => (0x1_8000, 0x8000),
        };
        let memory_mode = registers.sequencer[SR_MEMORY_MODE];
        let chained = linear_mode || (vbe.is_none() && memory_mode & 0x08 != 0);
        let doubleword = registers.crtc[CR_UNDERLINE] & 0x40 != 0 && vbe.is_none();
        let word = registers.crtc[CR_MODE] & 0x40 == 0 && vbe.is_none();
        let odd_even_read = gr[GR_MODE] & 0x10 != 0;
        let odd_even_write = memory_mode & 0x04 == 0;
        let shift = |odd_even: bool| if doubleword { 2 } else { u8::from(odd_even && word) };
        let planes = if linear_mode { 0x0f } else { registers.sequencer[SR_MAP_MASK] };
        let linear = linear_mode || (chained && doubleword);
        let unchanged =
            gr[GR_MODE] & 3 == 0 && gr[GR_ROTATE] == 0 && gr[GR_ENABLE_SET_RESET] == 0 && gr[GR_BIT_MASK] == 0xff;
        Window {
            first,
            len,
            bank: if map == 1 { dispi.bank } else { 0 },
            chained,
            linear,
            plain_write: linear && (linear_mode || (planes == 0x0f && unchanged)),
            odd_even_read,
            odd_even_write: odd_even_write && !chained,
            drop_lowest: gr[GR_MISCELLANEOUS] & 0x02 != 0 && !chained,
            read_shift: shift(odd_even_read),
            write_shift: shift(odd_even_write),
            planes,
        }
    }

    /// The address behind `offset` of the range, bank included.
    #[inline]
    fn locate(&self, offset: u32) -> Option<u32> {
        let within = offset.wrapping_sub(self.first);
        (within < self.len).then(|| within.wrapping_add(self.bank))
    }
}

/// The display memory with its latches.
#[derive(Debug)]
pub(super) struct DisplayMemory {
    memory: DeviceMemory,
    /// One less than the length, which is a power of two.
    mask: u32,
    /// The four planes' latches, plane 0 lowest.
    pub(super) latches: u32,
    window: Window,
    /// Pages that were written from here. What the guest wrote without an exit is in the memory's own log.
    pub(super) written: Pages,
}

/// Each bit of the low four, as a byte of ones.
#[inline]
fn spread(planes: u8) -> u32 {
    let planes = u32::from(planes);
    (planes & 1 | (planes & 2) << 7 | (planes & 4) << 14 | (planes & 8) << 21) * 0xff
}

#[inline]
fn replicate(byte: u8) -> u32 {
    u32::from(byte) * 0x0101_0101
}

impl DisplayMemory {
    /// Over `memory`, whose length is a power of two from 256 KiB to 256 MiB.
    pub(super) fn new(memory: DeviceMemory, registers: &Registers, dispi: &Dispi) -> Self {
        let len = memory.len();
        let written = Pages::new(len);
        DisplayMemory { memory, mask: (len - 1) as u32, latches: 0, window: Window::of(registers, dispi), written }
    }

    /// Decodes the registers anew.
    pub(super) fn update(&mut self, registers: &Registers, dispi: &Dispi) {
        self.window = Window::of(registers, dispi);
    }

    pub(super) fn handle(&self) -> &DeviceMemory {
        &self.memory
    }

    fn slice(&self) -> VolatileSlice<'_> {
        self.memory.bytes()
    }

    /// The four planes at `index`. The mask keeps it within the memory, and the alignment is right, so that it can't fail.
    #[inline]
    fn load(&self, index: u32) -> u32 {
        self.slice().load(((index << 2) & self.mask) as usize, Ordering::Relaxed).unwrap_or(0)
    }

    #[inline]
    fn store(&mut self, index: u32, value: u32) {
        let at = ((index << 2) & self.mask) as usize;
        let _ = self.slice().store(value, at, Ordering::Relaxed);
        self.written.add(at);
    }

    /// Reads from the range A0000h to BFFFFh.
    pub(super) fn read(&mut self, registers: &Registers, offset: u64, data: &mut [u8]) {
        if self.window.linear
            && let Some(at) = self.run(offset, data.len())
        {
            let _ = self.slice().read_slice(data, at);
            return;
        }
        for (index, byte) in data.iter_mut().enumerate() {
            *byte = self.read_byte(registers, offset.wrapping_add(index as u64));
        }
    }

    /// Writes to the range A0000h to BFFFFh.
    pub(super) fn write(&mut self, registers: &Registers, offset: u64, data: &[u8]) {
        if self.window.plain_write
            && let Some(at) = self.run(offset, data.len())
        {
            let _ = self.slice().write_slice(data, at);
            self.written.add_range(at, data.len());
            return;
        }
        for (index, &byte) in data.iter().enumerate() {
            self.write_byte(registers, offset.wrapping_add(index as u64), byte);
        }
    }

    /// Where `len` bytes begin that lie in the window, and in the memory, without a gap.
    #[inline]
    fn run(&self, offset: u64, len: usize) -> Option<usize> {
        let first = self.window.locate(u32::try_from(offset).ok()?)? & self.mask;
        let last = self.window.locate(offset as u32 + len as u32 - 1)? & self.mask;
        (last >= first).then_some(first as usize)
    }

    fn read_byte(&mut self, registers: &Registers, offset: u64) -> u8 {
        let window = self.window;
        let Some(address) = u32::try_from(offset).ok().and_then(|offset| window.locate(offset)) else { return 0xff };
        let select = registers.graphics[GR_READ_MAP];
        let (plane, mut address) = match (window.chained, window.odd_even_read) {
            (true, _) => ((address & 3) as u8, address & !3),
            (false, true) => (select & 2 | (address & 1) as u8, address),
            (false, false) => (select, address),
        };
        if window.drop_lowest {
            address &= !1;
        }
        self.latches = self.load(address >> window.read_shift);
        if registers.graphics[GR_MODE] & 0x08 == 0 {
            return (self.latches >> (8 * plane)) as u8;
        }
        // Read mode 1: bits where all the planes that count have the colour to compare with.
        let differs =
            (self.latches ^ spread(registers.graphics[GR_COMPARE])) & spread(registers.graphics[GR_DONT_CARE]);
        let halves = differs | differs >> 16;
        !(halves | halves >> 8) as u8
    }

    fn write_byte(&mut self, registers: &Registers, offset: u64, value: u8) {
        let window = self.window;
        let Some(mut address) = u32::try_from(offset).ok().and_then(|offset| window.locate(offset)) else { return };
        let mut planes = window.planes;
        if window.chained {
            planes &= 1 << (address & 3);
            address &= !3;
        } else if window.odd_even_write {
            planes &= if address & 1 == 0 { 0x05 } else { 0x0a };
        }
        if window.drop_lowest {
            address &= !1;
        }
        if planes != 0 {
            let index = address >> window.write_shift;
            let mask = spread(planes);
            let value = self.compose(registers, value);
            self.store(index, self.load(index) & !mask | value & mask);
        }
    }

    /// What the graphics controller makes of a byte from the processor, for all four planes.
    #[inline]
    fn compose(&self, registers: &Registers, value: u8) -> u32 {
        let gr = &registers.graphics;
        let rotated = || value.rotate_right(u32::from(gr[GR_ROTATE] & 7));
        let (data, bits) = match gr[GR_MODE] & 3 {
            0 => {
                let set = spread(gr[GR_ENABLE_SET_RESET]);
                (replicate(rotated()) & !set | spread(gr[GR_SET_RESET]) & set, gr[GR_BIT_MASK])
            }
            1 => return self.latches,
            2 => (spread(value & 0x0f), gr[GR_BIT_MASK]),
            _ => (spread(gr[GR_SET_RESET]), gr[GR_BIT_MASK] & rotated()),
        };
        let data = match gr[GR_ROTATE] >> 3 & 3 {
            0 => data,
            1 => data & self.latches,
            2 => data | self.latches,
            _ => data ^ self.latches,
        };
        let bits = replicate(bits);
        data & bits | self.latches & !bits
    }

    /// Reads linearly, as through the first base address register. Beyond the end there is nothing.
    pub(super) fn read_linear(&self, offset: u64, data: &mut [u8]) {
        data.fill(0xff);
        let Ok(at) = usize::try_from(offset) else { return };
        let _ = self.slice().read(data, at);
    }

    /// Writes linearly.
    pub(super) fn write_linear(&mut self, offset: u64, data: &[u8]) {
        let Ok(at) = usize::try_from(offset) else { return };
        let written = self.slice().write(data, at).unwrap_or(0);
        self.written.add_range(at, written);
    }

    /// Fills the first `len` bytes with zeroes.
    pub(super) fn clear(&mut self, len: u64) {
        const ZEROES: [u8; 4096] = [0; 4096];
        let len = len.min(self.memory.len()) as usize;
        for at in (0..len).step_by(ZEROES.len()) {
            let _ = self.slice().write_slice(&ZEROES[..(len - at).min(ZEROES.len())], at);
        }
        self.written.add_range(0, len);
    }

    /// All zeroes.
    pub(super) fn reset(&mut self) {
        if self.memory.clear().is_err() {
            self.clear(self.memory.len());
        }
        self.latches = 0;
        self.written.add_all();
    }

    /// Puts `bytes` (not longer than the memory) at the start and zeroes behind.
    pub(super) fn set_contents(&mut self, bytes: &[u8]) {
        self.reset();
        let _ = self.slice().write(bytes, 0);
    }
}
