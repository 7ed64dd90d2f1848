//! The contract that every part of a machine fulfils, whatever its engine.

use crate::saved::{RestoreError, SaveError, SavedUnit};

/// A part of a machine: a device, an interrupt controller, a back end.
///
/// # Life
/// A component is made stopped. `start` and `stop` alternate, over and over; `reset` may come in either
/// state; `save` and `restore` come only while stopped.
///
/// None of these has a default body on purpose: a component that can't be saved doesn't compile.
pub trait Component: Send {
    /// A stable name, unique in its machine, for example `"rtc"` or `"ahci0"`. The saved state is filed
    /// under it.
    fn name(&self) -> &str;

    /// The machine runs from now on: workers may work, timers may fire.
    fn start(&mut self);

    /// The machine stands still. When this returns, the component no longer touches guest memory and
    /// raises no interrupt until the next `start`; requests under way are completed or remembered.
    fn stop(&mut self);

    /// Back to power-on state. Equal, as saved state, to a new component of the same configuration, except
    /// for what survives a reset in the hardware (battery-backed memory, a disc in its drive).
    fn reset(&mut self);

    /// The state, complete: what a new component of the same configuration needs to go on.
    ///
    /// # Errors
    /// [`SaveError`] when something can't be read or encoded.
    fn save(&mut self) -> Result<SavedUnit, SaveError>;

    /// Takes over a saved state. Interrupt lines get their level back without an edge
    /// ([`InterruptLine::restore`](crate::line::InterruptLine::restore)).
    ///
    /// Every index and length in `unit` is checked: a saved file may be hostile.
    ///
    /// # Errors
    /// [`RestoreError`]; the component is then unchanged.
    fn restore(&mut self, unit: &SavedUnit) -> Result<(), RestoreError>;
}
