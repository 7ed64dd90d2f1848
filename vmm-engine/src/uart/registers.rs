//! Registers and their bits, by the names of the data sheet (section 8.0, table II).

pub(super) const DATA: u16 = 0;
pub(super) const INTERRUPT_ENABLE: u16 = 1;
pub(super) const INTERRUPT_IDENTIFICATION: u16 = 2;
pub(super) const LINE_CONTROL: u16 = 3;
pub(super) const MODEM_CONTROL: u16 = 4;
pub(super) const LINE_STATUS: u16 = 5;
pub(super) const MODEM_STATUS: u16 = 6;
pub(super) const SCRATCH: u16 = 7;

pub(super) const IER_RECEIVED: u8 = 0x01;
pub(super) const IER_HOLDING_EMPTY: u8 = 0x02;
pub(super) const IER_LINE_STATUS: u8 = 0x04;
pub(super) const IER_MODEM_STATUS: u8 = 0x08;

pub(super) const IIR_MODEM_STATUS: u8 = 0x00;
pub(super) const IIR_NONE: u8 = 0x01;
pub(super) const IIR_HOLDING_EMPTY: u8 = 0x02;
pub(super) const IIR_RECEIVED: u8 = 0x04;
pub(super) const IIR_LINE_STATUS: u8 = 0x06;
pub(super) const IIR_TIME_OUT: u8 = 0x0c;
pub(super) const IIR_FIFOS: u8 = 0xc0;

pub(super) const FCR_ENABLE: u8 = 0x01;
pub(super) const FCR_CLEAR_RECEIVER: u8 = 0x02;
pub(super) const FCR_CLEAR_TRANSMITTER: u8 = 0x04;
/// FIFO enable, DMA mode and trigger level: the bits that last.
pub(super) const FCR_KEPT: u8 = 0xc9;

pub(super) const LCR_STOP_BITS: u8 = 0x04;
pub(super) const LCR_PARITY: u8 = 0x08;
pub(super) const LCR_BREAK: u8 = 0x40;
pub(super) const LCR_DIVISOR_ACCESS: u8 = 0x80;

pub(super) const MCR_DTR: u8 = 0x01;
pub(super) const MCR_RTS: u8 = 0x02;
pub(super) const MCR_OUT1: u8 = 0x04;
pub(super) const MCR_OUT2: u8 = 0x08;
pub(super) const MCR_LOOP: u8 = 0x10;

pub(super) const LSR_DATA_READY: u8 = 0x01;
pub(super) const LSR_OVERRUN: u8 = 0x02;
pub(super) const LSR_FRAMING: u8 = 0x08;
pub(super) const LSR_BREAK: u8 = 0x10;
pub(super) const LSR_ERRORS: u8 = 0x1e;
/// The errors that belong to a byte.
pub(super) const LSR_BYTE_ERRORS: u8 = 0x1c;
pub(super) const LSR_HOLDING_EMPTY: u8 = 0x20;
pub(super) const LSR_TRANSMITTER_EMPTY: u8 = 0x40;
pub(super) const LSR_FIFO_ERROR: u8 = 0x80;

pub(super) const MSR_CTS: u8 = 0x10;
pub(super) const MSR_DSR: u8 = 0x20;
pub(super) const MSR_RI: u8 = 0x40;
pub(super) const MSR_DCD: u8 = 0x80;
pub(super) const MSR_DELTAS: u8 = 0x0f;

/// The clock's frequency by 16, in bauds.
pub(super) const BASE_BAUDS: u64 = 115_200;
