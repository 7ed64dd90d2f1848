//! Every key, those too that the desktop keeps for itself. Winit can't ask for them.

mod wayland;
mod x11;

use anyhow::Result;
use winit::{keyboard::PhysicalKey, raw_window_handle::RawWindowHandle, window::WindowId};

pub(super) use self::{wayland::Inhibitor, x11::KeyboardGrab};

/// What happens while a window has every key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Grabbed {
    /// A key goes down (again, when it repeats) or up, of which winit doesn't hear.
    Key(PhysicalKey, bool),
    /// Another window has the keyboard now.
    Lost,
}

/// One who gives a window every key.
pub(super) trait EveryKey {
    /// The window that has them.
    fn window(&self) -> Option<WindowId>;

    /// Gives them to a window of ours, which has to be there.
    ///
    /// # Errors
    /// The desktop refuses, or is gone.
    fn grab(&mut self, window: WindowId, handle: RawWindowHandle) -> Result<()>;

    /// Gives the desktop its own back.
    fn release(&mut self);

    /// What has happened since the last call.
    fn take(&mut self) -> Vec<Grabbed>;

    /// Whether the window loses the keyboard in winit's eyes while it has every key.
    fn takes_focus(&self) -> bool;
}
