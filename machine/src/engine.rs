//! The contract between a machine's driver and the engine that makes it run.

use std::error::Error;

use crate::console::Input;

/// Why an engine could not do what it was asked: a chain of causes for the log and the person.
pub type EngineError = Box<dyn Error + Send + Sync>;

/// An engine, assembled: a machine that can run.
///
/// Only the driver's thread calls it. It is made paused, in power-on state. `resume` and `pause` alternate; `reset`
/// comes while it is paused. Dropping it takes the machine down: no vCPU, worker or helper is left.
pub trait Engine: Send + 'static {
    /// Lets the machine run.
    ///
    /// # Errors
    /// The host refuses; the machine is then paused as before.
    fn resume(&mut self) -> Result<(), EngineError>;

    /// Brings the machine to a stand: when this returns, each vCPU has completed the exit it was in and is parked,
    /// the clocks stand still, and the components are stopped.
    ///
    /// # Errors
    /// A part could not be brought to a stand; the machine can't go on.
    fn pause(&mut self) -> Result<(), EngineError>;

    /// Puts the machine, paused, back to power-on state.
    ///
    /// # Errors
    /// A part could not be reset; the machine can't go on.
    fn reset(&mut self) -> Result<(), EngineError>;

    /// Asks the guest to shut down, as a short press on the power button does.
    fn press_power_button(&mut self);
}

/// Takes what a person does. It works in every state, without the driver.
pub trait InputTarget: Send + Sync {
    /// A key, the pointer, a button or the wheel. Gives back whether the guest's device had room for it; a key or a button
    /// that found none is not pressed, as on real hardware, and can be tried again. For releases and movement there
    /// always is room: what can't be sent at once follows later.
    fn input(&self, input: &Input) -> bool;

    /// Whether the guest has taken every key until now: time for the next, for a program that types.
    fn is_taken(&self) -> bool;
}

/// What a guest, or the host below it, makes happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GuestEvent {
    /// The guest switched the machine off.
    PowerOff,
    /// The guest asked for a reset.
    Reset,
    /// A processor shut down after a triple fault. A PC's chipset answers with a reset.
    TripleFault,
    /// The host can't do for now what the guest needs, and nothing is lost if the machine stands still until a person
    /// has seen to it; what is the matter, and what to do.
    Blocked(String),
    /// The machine can't go on; why.
    Failed(String),
}
