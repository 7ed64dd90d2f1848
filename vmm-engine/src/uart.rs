//! A serial port: National Semiconductor's PC16550D (its data sheet, sections 6.0 "Pin Descriptions" and 8.0
//! "Registers"), wired as in a PC: OUT2 connects its interrupt to the interrupt controller.
//!
//! Bytes go and come at once, whatever the divisor says; only the receiver's time-out is measured in character
//! times. When the other side takes nothing, bytes wait in the transmitter and the guest sees it busy.
//!
//! Left out: the DMA modes' pins; parity and framing errors (there is no line on which they could arise); a
//! break that the guest sends (except in loop-back).

mod registers;
mod saved;
#[cfg(test)]
mod tests;

use std::{collections::VecDeque, time::Duration};

use machine::{
    access,
    component::Component,
    device::{Device, PortIo},
    line::InterruptLine,
    saved::{Bytes, RestoreError, SaveError, SavedState, SavedUnit},
    time::{Clock, Timer},
};
use registers::*;

/// Region number and length of the ports; the first port is that of [`ComPort`].
pub const PORTS: (u8, u16) = (0, 8);

/// Where a PC has a serial port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ComPort {
    /// The component's name.
    pub name: &'static str,
    /// The first of eight ports.
    pub port: u16,
    /// The interrupt request.
    pub irq: u32,
}

/// COM1 to COM4.
pub const COM: [ComPort; 4] = [
    ComPort { name: "com1", port: 0x3f8, irq: 4 },
    ComPort { name: "com2", port: 0x2f8, irq: 3 },
    ComPort { name: "com3", port: 0x3e8, irq: 4 },
    ComPort { name: "com4", port: 0x2e8, irq: 3 },
];

/// The other side of the cable. It is called with the serial port's lock held, so it neither waits nor calls back.
pub trait SerialPort: Send {
    /// Takes what the guest sends, as far as there is room, and says how many bytes. Who took less than all
    /// calls [`Uart::output_ready`] when there is room again.
    fn send(&mut self, bytes: &[u8]) -> usize;

    /// [`Uart::receive`] has taken less than it was given, and has room now.
    fn receiver_ready(&mut self);
}

const FIFO_DEPTH: usize = 16;

/// A received byte and the error bits of the line status that came with it.
#[derive(Debug, Clone, Copy)]
struct Received {
    byte: u8,
    errors: u8,
}

/// A serial port.
pub struct Uart {
    name: &'static str,
    port: Box<dyn SerialPort>,
    clock: Clock,
    timer: Timer,
    line: InterruptLine,
    running: bool,

    interrupt_enable: u8,
    fifo_control: u8,
    line_control: u8,
    modem_control: u8,
    scratch: u8,
    divisor: u16,
    line_errors: u8,
    outside: u8,
    modem_deltas: u8,
    holding_empty_pending: bool,
    received: VecDeque<Received>,
    /// Machine time in nanoseconds at which a byte last came or was read.
    receiver_changed: i128,
    sending: VecDeque<u8>,
    refused: bool,
}

impl Uart {
    /// A serial port whose cable leads to `port`. The callback of `timer` is to call [`Uart::timer_fired`].
    #[must_use]
    pub fn new(name: &'static str, port: Box<dyn SerialPort>, clock: Clock, timer: Timer, line: InterruptLine) -> Self {
        Uart {
            name,
            port,
            receiver_changed: clock.now().as_nanos() as i128,
            clock,
            timer,
            line,
            running: false,
            interrupt_enable: 0,
            fifo_control: 0,
            line_control: 0,
            modem_control: 0,
            scratch: 0,
            divisor: 12,
            line_errors: 0,
            outside: MSR_CTS | MSR_DSR | MSR_DCD,
            modem_deltas: 0,
            holding_empty_pending: false,
            received: VecDeque::with_capacity(FIFO_DEPTH),
            sending: VecDeque::with_capacity(FIFO_DEPTH),
            refused: false,
        }
    }

    /// Bytes come in: takes as many as there is room for. When it takes less than all,
    /// [`SerialPort::receiver_ready`] tells of room.
    pub fn receive(&mut self, bytes: &[u8]) -> usize {
        let room = if self.looped() { 0 } else { self.depth() - self.received.len().min(self.depth()) };
        let taken = room.min(bytes.len());
        bytes[..taken].iter().for_each(|&byte| self.push_received(Received { byte, errors: 0 }));
        self.refused |= taken < bytes.len();
        self.update();
        taken
    }

    /// The other side sends a break.
    pub fn receive_break(&mut self) {
        if !self.looped() {
            self.push_received(Received { byte: 0, errors: LSR_BREAK | LSR_FRAMING });
            self.update();
        }
    }

    /// Whether something is at the other end of the cable (CTS, DSR and DCD); it is so at first.
    pub fn set_connected(&mut self, connected: bool) {
        let before = self.modem_lines();
        self.outside = if connected { MSR_CTS | MSR_DSR | MSR_DCD } else { 0 };
        self.note_modem_changes(before);
        self.update();
    }

    /// The other side has room again.
    pub fn output_ready(&mut self) {
        self.transmit();
        self.update();
    }

    /// The timer fired.
    pub fn timer_fired(&mut self) {
        if self.running {
            self.update();
        }
    }

    fn looped(&self) -> bool {
        self.modem_control & MCR_LOOP != 0
    }

    fn fifos_enabled(&self) -> bool {
        self.fifo_control & FCR_ENABLE != 0
    }

    fn depth(&self) -> usize {
        if self.fifos_enabled() { FIFO_DEPTH } else { 1 }
    }

    fn trigger_level(&self) -> usize {
        if self.fifos_enabled() { [1, 4, 8, 14][usize::from(self.fifo_control >> 6)] } else { 1 }
    }

    /// Four character times without a change, after which a few bytes in the FIFO interrupt, too.
    fn time_out(&self) -> i128 {
        let data_bits = 5 + u64::from(self.line_control & 3);
        let parity_bits = u64::from(self.line_control & LCR_PARITY != 0);
        let stop_bits = 1 + u64::from(self.line_control & LCR_STOP_BITS != 0);
        let bits = 4 * (1 + data_bits + parity_bits + stop_bits) * u64::from(self.divisor.max(1));
        i128::from(bits * 1_000_000_000 / BASE_BAUDS)
    }

    /// When the receiver's time-out comes, in nanoseconds of machine time, if it can.
    fn time_out_at(&self) -> Option<i128> {
        let few = self.fifos_enabled() && !self.received.is_empty();
        few.then(|| self.receiver_changed + self.time_out())
    }

    fn now(&self) -> i128 {
        self.clock.now().as_nanos() as i128
    }

    /// The interrupt identification without the FIFO bits: the pending interrupt of the highest priority.
    fn identification(&self) -> u8 {
        let enabled = |bit| self.interrupt_enable & bit != 0;
        if enabled(IER_LINE_STATUS) && self.line_errors != 0 {
            IIR_LINE_STATUS
        } else if enabled(IER_RECEIVED) && self.received.len() >= self.trigger_level() {
            IIR_RECEIVED
        } else if enabled(IER_RECEIVED) && self.time_out_at().is_some_and(|time| self.now() >= time) {
            IIR_TIME_OUT
        } else if enabled(IER_HOLDING_EMPTY) && self.holding_empty_pending {
            IIR_HOLDING_EMPTY
        } else if enabled(IER_MODEM_STATUS) && self.modem_deltas != 0 {
            IIR_MODEM_STATUS
        } else {
            IIR_NONE
        }
    }

    /// In loop-back, all modem outputs are inactive, OUT2 included.
    fn line_level(&self) -> bool {
        self.modem_control & (MCR_OUT2 | MCR_LOOP) == MCR_OUT2 && self.identification() != IIR_NONE
    }

    fn update(&mut self) {
        let high = self.line_level();
        self.line.set(high);
        self.schedule();
    }

    fn schedule(&self) {
        let waits = self.running && self.interrupt_enable & IER_RECEIVED != 0;
        match self.time_out_at() {
            Some(time) if waits && self.received.len() < self.trigger_level() && self.now() < time => {
                self.timer.arm(Duration::from_nanos(time.max(0) as u64));
            }
            _ => self.timer.disarm(),
        }
    }

    fn push_received(&mut self, received: Received) {
        if self.received.len() >= self.depth() {
            self.line_errors |= LSR_OVERRUN;
            if self.fifos_enabled() {
                return;
            }
            // Without FIFOs, the new byte takes the place of the old.
            self.received.clear();
        }
        self.received.push_back(received);
        self.receiver_changed = self.now();
        self.reveal_errors();
    }

    /// A byte's errors show in the line status when it is the next to be read.
    fn reveal_errors(&mut self) {
        if let Some(next) = self.received.front_mut() {
            self.line_errors |= std::mem::take(&mut next.errors);
        }
    }

    fn tell_of_room(&mut self) {
        if self.refused && self.received.is_empty() && !self.looped() {
            self.refused = false;
            self.port.receiver_ready();
        }
    }

    /// Sends what waits, as far as the other side takes it.
    fn transmit(&mut self) {
        while !self.sending.is_empty() {
            let (first, _) = self.sending.as_slices();
            let len = first.len();
            let taken = self.port.send(first).min(len);
            self.sending.drain(..taken);
            if taken < len {
                return;
            }
            self.holding_empty_pending |= self.sending.is_empty();
        }
    }

    fn read_data(&mut self) -> u8 {
        let byte = self.received.pop_front().map_or(0, |received| received.byte);
        self.receiver_changed = self.now();
        self.reveal_errors();
        self.tell_of_room();
        byte
    }

    fn write_data(&mut self, byte: u8) {
        self.holding_empty_pending = false;
        // The line falls, if only for a moment: its rise is what an edge-triggered input sees.
        let high = self.line_level();
        self.line.set(high);
        if self.looped() {
            self.push_received(Received { byte, errors: 0 });
            self.holding_empty_pending = true;
        } else {
            if self.sending.len() >= self.depth() {
                self.transmit();
            }
            if self.sending.len() < self.depth() {
                self.sending.push_back(byte);
            }
            self.transmit();
        }
    }

    fn read_line_status(&mut self) -> u8 {
        // A guest that polls is a good occasion to try again.
        self.transmit();
        let mut status = self.line_errors;
        let byte_errors = self.line_errors & LSR_BYTE_ERRORS != 0;
        if self.fifos_enabled() && (byte_errors || self.received.iter().any(|received| received.errors != 0)) {
            status |= LSR_FIFO_ERROR;
        }
        if !self.received.is_empty() {
            status |= LSR_DATA_READY;
        }
        if self.sending.is_empty() {
            status |= LSR_HOLDING_EMPTY | LSR_TRANSMITTER_EMPTY;
        }
        self.line_errors = 0;
        status
    }

    /// The upper half of the modem status.
    fn modem_lines(&self) -> u8 {
        if !self.looped() {
            return self.outside;
        }
        [(MCR_RTS, MSR_CTS), (MCR_DTR, MSR_DSR), (MCR_OUT1, MSR_RI), (MCR_OUT2, MSR_DCD)]
            .into_iter()
            .filter(|(output, _)| self.modem_control & output != 0)
            .fold(0, |lines, (_, input)| lines | input)
    }

    fn note_modem_changes(&mut self, before: u8) {
        let after = self.modem_lines();
        let changed = before ^ after;
        // The ring indicator counts when it ends.
        let counted = changed & (MSR_CTS | MSR_DSR | MSR_DCD) | before & !after & MSR_RI;
        self.modem_deltas |= counted >> 4;
    }

    fn write_fifo_control(&mut self, value: u8) {
        let toggled = (value ^ self.fifo_control) & FCR_ENABLE != 0;
        if value & FCR_ENABLE == 0 && !toggled {
            return;
        }
        if toggled || value & FCR_CLEAR_RECEIVER != 0 {
            self.received.clear();
            self.tell_of_room();
        }
        if toggled || value & FCR_CLEAR_TRANSMITTER != 0 {
            self.holding_empty_pending |= !self.sending.is_empty();
            self.sending.clear();
        }
        self.fifo_control = if value & FCR_ENABLE != 0 { value & FCR_KEPT } else { 0 };
    }

    fn write_modem_control(&mut self, value: u8) {
        let before = self.modem_lines();
        self.modem_control = value & 0x1f;
        self.note_modem_changes(before);
        self.tell_of_room();
    }

    fn read(&mut self, register: u16) -> u8 {
        let divisor_access = self.line_control & LCR_DIVISOR_ACCESS != 0;
        match register {
            DATA if divisor_access => self.divisor as u8,
            DATA => self.read_data(),
            INTERRUPT_ENABLE if divisor_access => (self.divisor >> 8) as u8,
            INTERRUPT_ENABLE => self.interrupt_enable,
            INTERRUPT_IDENTIFICATION => {
                let identification = self.identification();
                if identification == IIR_HOLDING_EMPTY {
                    self.holding_empty_pending = false;
                }
                identification | if self.fifos_enabled() { IIR_FIFOS } else { 0 }
            }
            LINE_CONTROL => self.line_control,
            MODEM_CONTROL => self.modem_control,
            LINE_STATUS => self.read_line_status(),
            MODEM_STATUS => self.modem_lines() | std::mem::take(&mut self.modem_deltas),
            SCRATCH => self.scratch,
            _ => 0xff,
        }
    }

    fn write(&mut self, register: u16, value: u8) {
        let divisor_access = self.line_control & LCR_DIVISOR_ACCESS != 0;
        match register {
            DATA if divisor_access => self.divisor = self.divisor & 0xff00 | u16::from(value),
            DATA => self.write_data(value),
            INTERRUPT_ENABLE if divisor_access => self.divisor = self.divisor & 0xff | u16::from(value) << 8,
            INTERRUPT_ENABLE => {
                let enabled = value & !self.interrupt_enable & IER_HOLDING_EMPTY != 0;
                self.holding_empty_pending |= enabled && self.sending.is_empty();
                self.interrupt_enable = value & 0x0f;
            }
            INTERRUPT_IDENTIFICATION => self.write_fifo_control(value),
            LINE_CONTROL => {
                let starts_break = value & !self.line_control & LCR_BREAK != 0;
                self.line_control = value;
                if starts_break && self.looped() {
                    self.push_received(Received { byte: 0, errors: LSR_BREAK | LSR_FRAMING });
                }
            }
            MODEM_CONTROL => self.write_modem_control(value),
            SCRATCH => self.scratch = value,
            _ => {}
        }
    }
}

impl PortIo for Uart {
    fn port_read(&mut self, _region: u8, offset: u16, data: &mut [u8]) {
        access::read_bytewise(offset, data, |register| self.read(register));
        self.update();
    }

    fn port_write(&mut self, _region: u8, offset: u16, data: &[u8]) {
        access::write_bytewise(offset, data, |register, value| self.write(register, value));
        self.update();
    }
}

impl Component for Uart {
    fn name(&self) -> &str {
        self.name
    }

    fn start(&mut self) {
        self.running = true;
        self.output_ready();
    }

    fn stop(&mut self) {
        self.running = false;
        self.timer.disarm();
    }

    fn reset(&mut self) {
        self.interrupt_enable = 0;
        self.fifo_control = 0;
        self.line_control = 0;
        self.modem_control = 0;
        self.scratch = 0;
        self.divisor = 12;
        self.line_errors = 0;
        self.modem_deltas = 0;
        self.holding_empty_pending = false;
        self.received.clear();
        self.receiver_changed = self.now();
        self.sending.clear();
        self.tell_of_room();
        self.update();
    }

    fn save(&mut self) -> Result<SavedUnit, SaveError> {
        SavedUnit::of(&saved::Uart {
            interrupt_enable: self.interrupt_enable,
            fifo_control: self.fifo_control,
            line_control: self.line_control,
            modem_control: self.modem_control,
            scratch: self.scratch,
            divisor: self.divisor,
            line_errors: self.line_errors,
            outside: self.outside,
            modem_deltas: self.modem_deltas,
            holding_empty_pending: self.holding_empty_pending,
            received: Bytes(self.received.iter().map(|received| received.byte).collect()),
            received_errors: Bytes(self.received.iter().map(|received| received.errors).collect()),
            receiver_age: (self.now() - self.receiver_changed) as u64,
            sending: Bytes(self.sending.iter().copied().collect()),
            refused: self.refused,
        })
    }

    fn restore(&mut self, unit: &SavedUnit) -> Result<(), RestoreError> {
        let state: saved::Uart = unit.open()?;
        let impossible =
            |what: &str| RestoreError::Impossible { kind: <saved::Uart as SavedState>::KIND, what: what.to_owned() };
        let beyond = [
            state.interrupt_enable & !0x0f,
            state.fifo_control & !FCR_KEPT,
            state.modem_control & !0x1f,
            state.line_errors & !LSR_ERRORS,
            state.outside & MSR_DELTAS,
            state.modem_deltas & !MSR_DELTAS,
        ];
        if beyond != [0; 6] || state.received_errors.0.iter().any(|errors| errors & !LSR_BYTE_ERRORS != 0) {
            return Err(impossible("register bits that don't exist"));
        }
        let depth = if state.fifo_control & FCR_ENABLE != 0 { FIFO_DEPTH } else { 1 };
        if state.received.0.len().max(state.sending.0.len()) > depth {
            return Err(impossible("more bytes than the FIFOs hold"));
        }
        if state.received.0.len() != state.received_errors.0.len() {
            return Err(impossible("received bytes without their errors"));
        }
        self.interrupt_enable = state.interrupt_enable;
        self.fifo_control = state.fifo_control;
        self.line_control = state.line_control;
        self.modem_control = state.modem_control;
        self.scratch = state.scratch;
        self.divisor = state.divisor;
        self.line_errors = state.line_errors;
        self.outside = state.outside;
        self.modem_deltas = state.modem_deltas;
        self.holding_empty_pending = state.holding_empty_pending;
        let received = state.received.0.into_iter().zip(state.received_errors.0);
        self.received = received.map(|(byte, errors)| Received { byte, errors }).collect();
        self.receiver_changed = self.now() - i128::from(state.receiver_age);
        self.sending = state.sending.0.into();
        self.refused = state.refused;
        let high = self.line_level();
        self.line.restore(high);
        self.schedule();
        Ok(())
    }
}

impl Device for Uart {
    fn port_io(&mut self) -> Option<&mut dyn PortIo> {
        Some(self)
    }
}
