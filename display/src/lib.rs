//! What a person sees, hears and types at a machine's console: keys by name and by character, the picture as a file, and
//! the pump that brings the picture from a display adapter to its viewers.

pub mod chord;
mod damage;
mod layout;
pub mod pace;
pub mod picture;
#[cfg(feature = "playback")]
pub mod playback;
pub mod pump;
pub mod renderer;
pub mod scale;
pub mod sound;
#[cfg(feature = "egui")]
pub mod texture;
pub mod thumbnail;
pub mod typing;
