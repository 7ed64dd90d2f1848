//! What a virtual machine *is*: the contracts of components and devices, the values they are given
//! (interrupt lines, clocks, timers), the form of saved state, a machine's definition and states, the
//! actions a person can take, and the control protocol.
//!
//! This crate knows no KVM and opens no file or socket: it can be read, and tested, without either.

pub mod access;
pub mod actions;
pub mod component;
pub mod console;
pub mod contract;
pub mod control;
pub mod definition;
pub mod device;
pub mod driver;
pub mod engine;
pub mod keys;
pub mod line;
pub mod name;
pub mod rate;
pub mod registers;
pub mod saved;
pub mod size;
pub mod state;
pub mod suggest;
pub mod time;
pub mod timestamp;
pub mod window;
