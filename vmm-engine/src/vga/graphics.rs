//! Draws graphics modes, scan line by scan line.

use hypervisor::memory::DeviceMemory;
use machine::console::Frame;
use vm_memory::Bytes;

use super::{
    memory::Pages,
    mode::{Format, GraphicsMode, Lines},
    screen::{Changes, planes_touched, read_planes},
};

/// A scan line in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Source {
    /// Where it begins, in bytes.
    address: u32,
    /// Addresses wrap at the end of the VGA's own 256 KiB.
    planar: bool,
    /// Pixels by which it is moved to the left.
    panning: u32,
}

/// Buffers for drawing.
#[derive(Debug, Default)]
pub(super) struct GraphicsPainter {
    bytes: Vec<u8>,
    pixels: Vec<u32>,
}

impl GraphicsPainter {
    /// Draws the scan lines that lie in `dirty` pages, or all, into `frame`, which has the mode's size.
    #[allow(clippy::too_many_arguments)] // one caller, which holds all of these apart
    pub(super) fn draw(
        &mut self,
        mode: &GraphicsMode,
        palette: &[u32],
        memory: &DeviceMemory,
        dirty: &Pages,
        all: bool,
        frame: &mut Frame,
        changes: &mut Changes,
    ) {
        if dirty.is_empty() && !all {
            return;
        }
        self.pixels.resize(mode.width() as usize, 0);
        let mut drawn = None;
        for_each_line(mode, |y, source| {
            let len = ((mode.pixels + source.panning) * mode.format.bits()).div_ceil(32) as usize * 4;
            let touched = || match source.planar {
                true => planes_touched(dirty, source.address, len),
                false => dirty.touches(source.address as usize, len),
            };
            // A line that is shown again is the same as before.
            let again = drawn == Some(source);
            if !all && !again && !touched() {
                return;
            }
            if !again {
                self.bytes.resize(len, 0);
                if source.planar {
                    read_planes(memory, source.address, &mut self.bytes);
                } else {
                    self.bytes.fill(0);
                    let _ = memory.bytes().read(&mut self.bytes, source.address as usize);
                }
                self.convert(mode, palette, source.panning as usize);
                drawn = Some(source);
            }
            if let Some((first, end)) = difference(frame.row_mut(y), &self.pixels) {
                frame.row_mut(y)[first..end].copy_from_slice(&self.pixels[first..end]);
                changes.add(y, 1, first as u32, end as u32);
            }
        });
    }

    /// Makes pixels of the line in `bytes`.
    fn convert(&mut self, mode: &GraphicsMode, palette: &[u32], panning: usize) {
        let GraphicsPainter { bytes, pixels } = self;
        let colour = |index: u8| palette.get(usize::from(index)).copied().unwrap_or(0);
        match mode.format {
            Format::Planes => {
                let dots = bytes.chunks_exact(4).flat_map(|planes| {
                    (0..8).rev().map(move |bit| {
                        let dot = |plane: usize| (planes[plane] >> bit & 1) << plane;
                        dot(0) | dot(1) | dot(2) | dot(3)
                    })
                });
                put(pixels, mode.wide, dots.skip(panning).map(|dot| colour(dot & mode.planes)));
            }
            Format::Pairs => {
                let dots = bytes.chunks_exact(4).flat_map(|planes| {
                    (0..8_usize).map(move |dot| {
                        let (pair, shift) = (dot / 4, 6 - 2 * (dot % 4));
                        planes[pair] >> shift & 3 | (planes[pair + 2] >> shift & 3) << 2
                    })
                });
                put(pixels, mode.wide, dots.skip(panning).map(|dot| colour(dot & mode.planes)));
            }
            Format::Bytes => {
                put(pixels, mode.wide, bytes.iter().skip(panning).map(|&index| colour(index)));
            }
            Format::Rgb555 => {
                let values = bytes.chunks_exact(2).map(|pair| u32::from(u16::from_le_bytes([pair[0], pair[1]])));
                put(pixels, false, values.map(|value| rgb(five(value >> 10), five(value >> 5), five(value))));
            }
            Format::Rgb565 => {
                let values = bytes.chunks_exact(2).map(|pair| u32::from(u16::from_le_bytes([pair[0], pair[1]])));
                put(pixels, false, values.map(|value| rgb(five(value >> 11), six(value >> 5), five(value))));
            }
            Format::Rgb888 => {
                let values = bytes.chunks_exact(3).map(|blue| u32::from_le_bytes([blue[0], blue[1], blue[2], 0]));
                put(pixels, false, values);
            }
            Format::Xrgb8888 => {
                let values = bytes.chunks_exact(4).map(|blue| u32::from_le_bytes([blue[0], blue[1], blue[2], 0]));
                put(pixels, false, values);
            }
        }
    }
}

/// Calls `line` for each scan line of `mode`, from top to bottom.
fn for_each_line(mode: &GraphicsMode, mut line: impl FnMut(u32, Source)) {
    match &mode.lines {
        Lines::Linear { count, start, pitch } => {
            for y in 0..*count {
                let address = start.wrapping_add(y.wrapping_mul(*pitch));
                line(y, Source { address, planar: false, panning: 0 });
            }
        }
        Lines::Scan(scan, replaced) => {
            for band in scan.bands() {
                let panning = if band.split && scan.split_stands { 0 } else { mode.panning };
                for index in 0..band.lines {
                    let row_line = (band.from + index) >> u32::from(scan.doubled);
                    let address = (0..).zip(replaced).fold(band.address << 2, |address, (bit, replaced)| {
                        let Some(at) = *replaced else { return address };
                        address & !(1 << at) | (row_line >> bit & 1) << at
                    });
                    line(band.y + index, Source { address, planar: true, panning });
                }
            }
        }
    }
}

#[inline]
fn put(pixels: &mut [u32], wide: bool, colours: impl Iterator<Item = u32>) {
    if wide {
        for (pair, colour) in pixels.chunks_exact_mut(2).zip(colours) {
            pair.fill(colour);
        }
    } else {
        for (pixel, colour) in pixels.iter_mut().zip(colours) {
            *pixel = colour;
        }
    }
}

fn rgb(red: u32, green: u32, blue: u32) -> u32 {
    red << 16 | green << 8 | blue
}

/// Five bits as eight: the highest are repeated below.
fn five(value: u32) -> u32 {
    let value = value & 31;
    value << 3 | value >> 2
}

/// Six bits as eight.
fn six(value: u32) -> u32 {
    let value = value & 63;
    value << 2 | value >> 4
}

/// The first and behind the last place where two rows differ.
fn difference(old: &[u32], new: &[u32]) -> Option<(usize, usize)> {
    if old == new {
        return None;
    }
    let first = old.iter().zip(new).position(|(old, new)| old != new)?;
    let last = old.iter().zip(new).rposition(|(old, new)| old != new)?;
    Some((first, last + 1))
}
