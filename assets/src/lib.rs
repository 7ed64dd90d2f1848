//! What Tandem brings along: its icon, and the guest *Welcome*, the first thing that a newcomer sees. That is a disk image
//! that the build makes from the sources in `demo`, with the system's assembler. What the guest shows is painted by the
//! build too, so that no picture and no program is kept in binary form.

pub mod icon;

/// A raw disk image that any PC with a BIOS boots from: it draws a welcome, and then answers keys, the mouse and the
/// power button.
///
/// It needs a graphics adapter with VESA modes, one processor, and 32 MiB of memory. It never writes to its disk.
/// What it says on the first serial port, line by line, stands at the head of `demo/boot.S`.
pub static WELCOME: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/welcome.img"));

#[cfg(test)]
mod tests;

// Parts of the build, for their tests.
#[cfg(test)]
#[allow(dead_code, reason = "the build uses the rest")]
#[path = "../build/canvas.rs"]
mod canvas;
#[cfg(test)]
#[allow(dead_code, reason = "the build uses the rest")]
#[path = "../build/letters.rs"]
mod letters;
#[cfg(test)]
#[allow(dead_code, reason = "the build uses the rest")]
#[path = "../build/pack.rs"]
mod pack;
