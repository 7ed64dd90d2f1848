//! The saved form of a serial port.

use machine::saved::{Bytes, SavedState};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Uart {
    pub(super) interrupt_enable: u8,
    pub(super) fifo_control: u8,
    pub(super) line_control: u8,
    pub(super) modem_control: u8,
    pub(super) scratch: u8,
    pub(super) divisor: u16,
    /// Overrun, parity, framing and break bits of the line status.
    pub(super) line_errors: u8,
    /// Levels of the modem lines from outside, in the upper four bits.
    pub(super) outside: u8,
    /// The delta bits of the modem status.
    pub(super) modem_deltas: u8,
    pub(super) holding_empty_pending: bool,
    /// Received bytes, and the error bits that came with each.
    pub(super) received: Bytes,
    pub(super) received_errors: Bytes,
    /// How long ago the receiver last changed, in nanoseconds.
    pub(super) receiver_age: u64,
    /// Bytes that the other side hasn't taken yet.
    pub(super) sending: Bytes,
    /// Input was refused, and the other side waits to be told of room.
    pub(super) refused: bool,
}

impl SavedState for Uart {
    const KIND: &'static str = "uart";
    const VERSION: u32 = 1;
}
