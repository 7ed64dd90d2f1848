//! The picture of the display adapter, drawn from the display memory: only what changed.
//!
//! The device's lock is held while its registers are looked at and not while pixels are made. What the guest writes
//! meanwhile is marked and comes with the next call.

use std::sync::Arc;

use hypervisor::memory::DeviceMemory;
use machine::console::{Frame, Rect, Screen, TextScreen};
use parking_lot::Mutex;

use super::{
    Vga,
    graphics::GraphicsPainter,
    memory::Pages,
    mode::Picture,
    text::{self, TextPainter},
    timing::Blink,
};

/// The size of a blank picture while there was no other.
const BLANK_SIZE: (u32, u32) = (640, 480);

/// Draws what a [`Vga`] shows.
pub struct VgaScreen {
    vga: Arc<Mutex<Vga>>,
    memory: DeviceMemory,
    /// Pages of the display memory that aren't drawn yet.
    dirty: Pages,
    /// What `look` was made from.
    generation: Option<u64>,
    look: Look,
    text: TextPainter,
    graphics: GraphicsPainter,
}

/// What the registers say, as it was drawn last.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Look {
    picture: Picture,
    palette: Vec<u32>,
}

/// Changed parts of a picture, gathered from top to bottom.
#[derive(Debug, Default)]
pub(super) struct Changes(Vec<Rect>);

impl Changes {
    /// Unchanged lines that aren't worth another rectangle.
    const GAP: u32 = 8;

    /// Adds `lines` lines from `y` on, in the columns from `x` to before `end`.
    pub(super) fn add(&mut self, y: u32, lines: u32, x: u32, end: u32) {
        if let Some(last) = self.0.last_mut()
            && y <= last.y + last.height + Self::GAP
        {
            let right = end.max(last.x + last.width);
            last.x = last.x.min(x);
            last.width = right - last.x;
            last.height = (y + lines).max(last.y + last.height) - last.y;
            return;
        }
        self.0.push(Rect { x, y, width: end - x, height: lines });
    }
}

impl VgaScreen {
    /// The screen of `vga`. An adapter has one.
    #[must_use]
    pub fn new(vga: Arc<Mutex<Vga>>) -> Self {
        let memory = vga.lock().memory();
        VgaScreen {
            vga,
            dirty: Pages::new(memory.len()),
            memory,
            generation: None,
            look: Look { picture: Picture::Blank, palette: Vec::new() },
            text: TextPainter::default(),
            graphics: GraphicsPainter::default(),
        }
    }

    /// What the registers say now.
    fn picture(&self) -> Picture {
        let vga = self.vga.lock();
        Picture::of(&vga.registers, &vga.dispi)
    }

    /// Brings the list of dirty pages and `look` up to date. Says whether `look` changed, and what blinks.
    fn observe(&mut self) -> (bool, Blink) {
        let (changed, blink) = {
            let mut vga = self.vga.lock();
            vga.memory.written.move_into(&mut self.dirty);
            let other = self.generation != Some(vga.generation);
            let changed = other && {
                let picture = Picture::of(&vga.registers, &vga.dispi);
                let palette = picture.palette(&vga.registers);
                let look = Look { picture, palette };
                let first = self.generation.replace(vga.generation).is_none();
                std::mem::replace(&mut self.look, look) != self.look || first
            };
            (changed, Blink::at(vga.clock.now()))
        };
        match self.memory.take_dirty() {
            Ok(log) => self.dirty.add_log(&log),
            // Without the log, anything may have changed.
            Err(_) => self.dirty.add_all(),
        }
        (changed, blink)
    }
}

/// The size of a picture in a frame; a blank one takes the size of the last.
fn size(picture: &Picture, frame: &Frame) -> (u32, u32) {
    match picture {
        Picture::Text(mode) => (mode.width(), mode.scan.lines),
        Picture::Graphics(mode) => (mode.width(), mode.height()),
        Picture::Blank if frame.width() == 0 => BLANK_SIZE,
        Picture::Blank => (frame.width(), frame.height()),
    }
}

impl Screen for VgaScreen {
    fn draw(&mut self, frame: &mut Frame, all: bool) -> Vec<Rect> {
        let (changed, blink) = self.observe();
        let (width, height) = size(&self.look.picture, frame);
        let resized = frame.resize(width, height);
        let everything = all || changed || resized;
        let mut changes = Changes::default();
        let palette = &self.look.palette;
        match &self.look.picture {
            Picture::Blank => {
                if everything && frame.pixels().iter().any(|&pixel| pixel != 0) {
                    frame.pixels_mut().fill(0);
                    changes.add(0, height, 0, width);
                }
            }
            Picture::Text(mode) => {
                self.text.draw(mode, palette, &self.memory, &self.dirty, blink, everything, frame, &mut changes);
            }
            Picture::Graphics(mode) => {
                self.graphics.draw(mode, palette, &self.memory, &self.dirty, everything, frame, &mut changes);
            }
        }
        self.dirty.clear();
        if all || resized { vec![frame.bounds()] } else { changes.0 }
    }

    fn size(&self, frame: &Frame) -> (u32, u32) {
        size(&self.picture(), frame)
    }

    fn text(&self) -> Option<TextScreen> {
        match self.picture() {
            Picture::Text(mode) => Some(text::characters(&mode, &self.memory)),
            _ => None,
        }
    }
}

impl std::fmt::Debug for VgaScreen {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("VgaScreen").field("look", &self.look.picture).finish_non_exhaustive()
    }
}

/// Reads display memory at `address` (in bytes), which wraps at the end of the VGA's 256 KiB.
pub(super) fn read_planes(memory: &DeviceMemory, address: u32, data: &mut [u8]) {
    use vm_memory::Bytes as _;
    let address = address as usize & 0x3_ffff;
    let (head, tail) = data.split_at_mut(data.len().min(0x4_0000 - address));
    let _ = memory.bytes().read_slice(head, address);
    if !tail.is_empty() {
        let _ = memory.bytes().read_slice(tail, 0);
    }
}

/// Whether memory that [`read_planes`] would read is in `pages`.
pub(super) fn planes_touched(pages: &Pages, address: u32, len: usize) -> bool {
    let address = address as usize & 0x3_ffff;
    let head = len.min(0x4_0000 - address);
    pages.touches(address, head) || (head < len && pages.touches(0, len - head))
}
