//! What draws a guest's picture for a person: one trait, and those who stand behind it.
//!
//! - [`painted::EguiRenderer`] (feature `egui`) puts the picture into egui's own drawing, beneath menus and messages. It works
//!   on every display, and is what a window shows.
//! - [`window::ShaderRenderer`] (feature `shaders`) draws with a [`Filter`] to a window that nobody else draws to, by Vulkan.
//!   It is meant for full screen, where [`gpu::find`] says that there is a graphics processor for it.
//! - [`offscreen::Offscreen`] (feature `shaders`) draws the same into memory.
//!
//! A surface has one owner, egui's is OpenGL's: the shaders need a window of their own, which covers egui's for as long as egui
//! has nothing to say.

#[cfg(feature = "shaders")]
mod drawing;
mod filter;
#[cfg(feature = "shaders")]
pub mod gpu;
#[cfg(feature = "shaders")]
pub mod offscreen;
#[cfg(feature = "egui")]
pub mod painted;
#[cfg(feature = "shaders")]
pub mod window;

use machine::console::{Frame, Rect};

pub use self::filter::Filter;
use crate::scale::Placement;

/// Draws one guest's picture.
///
/// [`update`](Renderer::update) takes what is new, while the picture may be locked; [`draw`](Renderer::draw) shows it, as often as
/// it has to be shown, and needs the picture no more.
pub trait Renderer {
    /// Where it draws, if that is given to it anew each time.
    type Target<'t>;

    /// Takes what is new of `frame`, which differs from the last one in `damage` (within it); all of it is new when the size
    /// differs. `placement` says where [`draw`](Renderer::draw) is to show it: it was made for a picture of this size, and is
    /// `None` where there is none, or no room.
    fn update(&mut self, frame: &Frame, damage: &[Rect], placement: Option<Placement>);

    /// Draws the picture on black.
    ///
    /// # Errors
    /// It can't be drawn by this renderer any more: another one is to be made, or taken.
    fn draw(&mut self, target: Self::Target<'_>) -> Result<(), RenderError>;
}

/// Why a picture can't be drawn.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// The driver gives no surface, or no device that can draw to it.
    #[error("the graphics driver can't draw to this window ({0})")]
    Refused(String),
    /// It did draw, and doesn't any more.
    #[error("the graphics driver has stopped drawing ({0})")]
    Lost(String),
    /// The picture is larger than a texture can be.
    #[error("a picture of {} × {} pixels is more than the graphics processor takes (at most {limit} each way)", .size.0, .size.1)]
    TooLarge {
        /// The picture's width and height.
        size: (u32, u32),
        /// The longest side of a texture.
        limit: u32,
    },
}

/// Beyond so many parts at a time, the one around them is brought: each costs a call of the driver.
#[cfg(any(feature = "egui", feature = "shaders"))]
const MOST_PARTS: usize = 8;

/// The parts of a picture to bring for this damage.
#[cfg(any(feature = "egui", feature = "shaders"))]
pub(crate) fn parts(damage: &[Rect]) -> Vec<Rect> {
    if damage.len() <= MOST_PARTS {
        return damage.to_vec();
    }
    damage.iter().copied().reduce(crate::damage::around).into_iter().collect()
}
