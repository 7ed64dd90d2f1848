//! Ours beside QEMU: the same definition, the same guest, the same host, round by round.

mod contenders;
mod figures;
mod memory;
mod rows;

pub use contenders::{Contender, Ours, Reference, Running};
pub use figures::{Better, Row, Spread};
pub use rows::{ROWS, Round, measure, rows};
