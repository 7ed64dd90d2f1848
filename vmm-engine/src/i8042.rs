//! The keyboard controller: Intel's 8042 as IBM programmed it for the AT and the PS/2 (IBM Personal System/2
//! hardware reference, "Keyboard and auxiliary device controller"), with its keyboard and its mouse; and port
//! 0x92 (ICH9 data sheet, section 13.7.4), which does two of its old duties.
//!
//! The output buffer holds one byte at a time; the next is there as soon as it has been read, the keyboard's
//! before the mouse's.
//!
//! Left out: the password; the parity and time-out bits (nothing fails on this cable); the hiding of address
//! line 20, which processors under KVM can't: its bits can be set and read. The time that a byte takes on the
//! cable: a program that reads the same byte twice finds the next one.

mod keyboard;
mod mouse;
mod saved;
mod scancodes;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use keyboard::Keyboard;
pub use keyboard::Leds;
use machine::{
    component::Component,
    console::Input,
    device::{Device, PortIo},
    line::InterruptLine,
    rate::RateLimit,
    saved::{Bytes, RestoreError, SaveError, SavedState, SavedUnit},
};
use mouse::Mouse;
use scancodes::{RELEASE, translate};

/// Region of the data port.
pub const DATA: u8 = 0;
/// Region of the command and status port.
pub const COMMAND: u8 = 1;
/// Region of port 0x92.
pub const PORT_92: u8 = 2;
/// The ports: region number, port, length.
pub const PORTS: [(u8, u16, u16); 3] = [(DATA, 0x60, 1), (COMMAND, 0x64, 1), (PORT_92, 0x92, 1)];
/// The keyboard's interrupt request.
pub const KEYBOARD_IRQ: u32 = 1;
/// The mouse's interrupt request.
pub const MOUSE_IRQ: u32 = 12;

/// Asks for the machine's reset. It is called with the controller's lock held and must only pass the request on.
pub type ResetRequest = Arc<dyn Fn() + Send + Sync>;

const STATUS_OUTPUT_FULL: u8 = 0x01;
const STATUS_SYSTEM: u8 = 0x04;
const STATUS_LAST_WAS_COMMAND: u8 = 0x08;
const STATUS_UNLOCKED: u8 = 0x10;
const STATUS_MOUSE_DATA: u8 = 0x20;

const KEYBOARD_INTERRUPT: u8 = 0x01;
const MOUSE_INTERRUPT: u8 = 0x02;
const SYSTEM_FLAG: u8 = 0x04;
const KEYBOARD_DISABLED: u8 = 0x10;
const MOUSE_DISABLED: u8 = 0x20;
const TRANSLATE: u8 = 0x40;
/// At power-on both cables are closed, until firmware is ready for them.
const POWER_ON_COMMAND_BYTE: u8 = TRANSLATE | KEYBOARD_DISABLED | MOUSE_DISABLED;

const READ_RAM: u8 = 0x20;
const LAST_READ_RAM: u8 = 0x3f;
const WRITE_RAM: u8 = 0x60;
const LAST_WRITE_RAM: u8 = 0x7f;
const TEST_PASSWORD: u8 = 0xa4;
const DISABLE_MOUSE: u8 = 0xa7;
const ENABLE_MOUSE: u8 = 0xa8;
const TEST_MOUSE_CABLE: u8 = 0xa9;
const SELF_TEST: u8 = 0xaa;
const TEST_KEYBOARD_CABLE: u8 = 0xab;
const DISABLE_KEYBOARD: u8 = 0xad;
const ENABLE_KEYBOARD: u8 = 0xae;
const READ_INPUT_PORT: u8 = 0xc0;
const READ_OUTPUT_PORT: u8 = 0xd0;
const WRITE_OUTPUT_PORT: u8 = 0xd1;
const WRITE_KEYBOARD_BUFFER: u8 = 0xd2;
const WRITE_MOUSE_BUFFER: u8 = 0xd3;
const WRITE_MOUSE: u8 = 0xd4;
const DISABLE_A20: u8 = 0xdd;
const ENABLE_A20: u8 = 0xdf;
const READ_TEST_INPUTS: u8 = 0xe0;
const PULSE_OUTPUT_PORT: u8 = 0xf0;

const NO_PASSWORD: u8 = 0xf1;
const SELF_TEST_PASSED: u8 = 0x55;
const CABLE_GOOD: u8 = 0x00;
/// The keyboard isn't locked.
const INPUT_PORT: u8 = 0x80;

/// Low resets the processor.
const OUTPUT_RESET: u8 = 0x01;
const OUTPUT_A20: u8 = 0x02;
const OUTPUT_KEYBOARD_FULL: u8 = 0x10;
const OUTPUT_MOUSE_FULL: u8 = 0x20;
/// Clock and data lines of the cables, idle.
const OUTPUT_LINES: u8 = 0xcc;

const PORT_92_RESET: u8 = 0x01;
const PORT_92_A20: u8 = 0x02;

/// Where a byte in the output buffer comes from. The controller's own answers count as the keyboard's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
enum Source {
    Keyboard,
    Mouse,
}

/// The controller with keyboard and mouse.
pub struct I8042 {
    keyboard: Keyboard,
    mouse: Mouse,
    keyboard_line: InterruptLine,
    mouse_line: InterruptLine,
    request_reset: ResetRequest,
    log: RateLimit,

    /// The first byte is the command byte.
    ram: [u8; 32],
    data: u8,
    /// The output buffer is full, with a byte from there.
    full: Option<Source>,
    /// An answer of the controller's own that waits for the output buffer.
    pending: Option<(u8, Source)>,
    /// The command whose data byte comes next.
    expecting: Option<u8>,
    last_was_command: bool,
    output_port: u8,
    port_92: u8,
    /// The translator has seen the prefix of a release.
    release_seen: bool,
}

impl I8042 {
    /// A controller with lines to interrupts 1 and 12.
    #[must_use]
    pub fn new(keyboard_line: InterruptLine, mouse_line: InterruptLine, request_reset: ResetRequest) -> Self {
        let mut ram = [0; 32];
        ram[0] = POWER_ON_COMMAND_BYTE;
        I8042 {
            keyboard: Keyboard::new(),
            mouse: Mouse::new(),
            keyboard_line,
            mouse_line,
            request_reset,
            log: RateLimit::for_log(),
            ram,
            data: 0,
            full: None,
            pending: None,
            expecting: None,
            last_was_command: false,
            output_port: OUTPUT_LINES | OUTPUT_A20 | OUTPUT_RESET,
            port_92: PORT_92_A20,
            release_seen: false,
        }
    }

    /// Somebody types or moves the mouse. Gives back whether there was room for it in the device's buffer; for
    /// releases and movement there always is.
    pub fn input(&mut self, input: &Input) -> bool {
        let had_room = match *input {
            Input::Key { key, down } => self.keyboard.key(key, down),
            Input::Button { button, down } => self.mouse.button(button, down),
            Input::Move { dx, dy } => {
                self.mouse.move_by(dx, dy);
                true
            }
            Input::Wheel { notches } => {
                self.mouse.turn_wheel(notches);
                true
            }
        };
        self.pump();
        had_room
    }

    /// The keyboard's lamps.
    #[must_use]
    pub fn leds(&self) -> Leds {
        self.keyboard.leds()
    }

    /// Whether the guest has read everything that was typed: who types a text waits for that between keys, since
    /// the keyboard's buffer holds a few only.
    #[must_use]
    pub fn keyboard_idle(&self) -> bool {
        self.keyboard.is_idle() && self.full != Some(Source::Keyboard)
    }

    /// Whether address line 20 is switched on, by either of its switches.
    #[must_use]
    pub fn a20(&self) -> bool {
        self.output_port & OUTPUT_A20 != 0 || self.port_92 & PORT_92_A20 != 0
    }

    fn command_byte(&self) -> u8 {
        self.ram[0]
    }

    fn set_in_command_byte(&mut self, bits: u8, on: bool) {
        self.ram[0] = if on { self.ram[0] | bits } else { self.ram[0] & !bits };
    }

    /// Fills the output buffer, if it is empty and there is something.
    fn pump(&mut self) {
        while self.full.is_none() {
            if let Some((byte, source)) = self.pending.take() {
                self.fill(byte, source);
            } else if let Some(byte) = self.take_from_keyboard() {
                if self.command_byte() & TRANSLATE == 0 {
                    self.fill(byte, Source::Keyboard);
                } else if byte == RELEASE {
                    self.release_seen = true;
                } else {
                    let release = if std::mem::take(&mut self.release_seen) { 0x80 } else { 0 };
                    self.fill(translate(byte) | release, Source::Keyboard);
                }
            } else if let Some(byte) = self.take_from_mouse() {
                self.fill(byte, Source::Mouse);
            } else {
                break;
            }
        }
        self.update_lines();
    }

    fn take_from_keyboard(&mut self) -> Option<u8> {
        if self.command_byte() & KEYBOARD_DISABLED == 0 { self.keyboard.take() } else { None }
    }

    fn take_from_mouse(&mut self) -> Option<u8> {
        if self.command_byte() & MOUSE_DISABLED == 0 { self.mouse.take() } else { None }
    }

    fn fill(&mut self, byte: u8, source: Source) {
        self.data = byte;
        self.full = Some(source);
    }

    fn levels(&self) -> (bool, bool) {
        let enabled = |bit| self.command_byte() & bit != 0;
        (
            self.full == Some(Source::Keyboard) && enabled(KEYBOARD_INTERRUPT),
            self.full == Some(Source::Mouse) && enabled(MOUSE_INTERRUPT),
        )
    }

    fn update_lines(&mut self) {
        let (keyboard, mouse) = self.levels();
        self.keyboard_line.set(keyboard);
        self.mouse_line.set(mouse);
    }

    /// An answer of the controller's own. It takes the place of one that hasn't been read.
    fn answer(&mut self, byte: u8) {
        self.pending = Some((byte, Source::Keyboard));
    }

    fn status(&self) -> u8 {
        let output = match self.full {
            None => 0,
            Some(Source::Keyboard) => STATUS_OUTPUT_FULL,
            Some(Source::Mouse) => STATUS_OUTPUT_FULL | STATUS_MOUSE_DATA,
        };
        let system = if self.command_byte() & SYSTEM_FLAG != 0 { STATUS_SYSTEM } else { 0 };
        let last = if self.last_was_command { STATUS_LAST_WAS_COMMAND } else { 0 };
        output | system | last | STATUS_UNLOCKED
    }

    fn read_data(&mut self) -> u8 {
        let data = self.data;
        self.full = None;
        // The lines fall before the next byte raises them again.
        self.update_lines();
        self.pump();
        data
    }

    fn write_data(&mut self, byte: u8) {
        self.last_was_command = false;
        match self.expecting.take() {
            None => {
                // Sending to the keyboard opens its cable.
                self.set_in_command_byte(KEYBOARD_DISABLED, false);
                self.keyboard.write(byte);
            }
            Some(command @ WRITE_RAM..=LAST_WRITE_RAM) => self.ram[usize::from(command - WRITE_RAM)] = byte,
            Some(WRITE_OUTPUT_PORT) => self.write_output_port(byte),
            Some(WRITE_KEYBOARD_BUFFER) => self.pending = Some((byte, Source::Keyboard)),
            Some(WRITE_MOUSE_BUFFER) => self.pending = Some((byte, Source::Mouse)),
            Some(_) => {
                self.set_in_command_byte(MOUSE_DISABLED, false);
                self.mouse.write(byte);
            }
        }
        self.pump();
    }

    fn write_output_port(&mut self, value: u8) {
        self.output_port = OUTPUT_LINES | value & OUTPUT_A20 | OUTPUT_RESET;
        if value & OUTPUT_RESET == 0 {
            self.reset_machine("output port");
        }
    }

    fn read_output_port(&self) -> u8 {
        let full = match self.full {
            None => 0,
            Some(Source::Keyboard) => OUTPUT_KEYBOARD_FULL,
            Some(Source::Mouse) => OUTPUT_MOUSE_FULL,
        };
        self.output_port | full
    }

    fn write_command(&mut self, command: u8) {
        self.last_was_command = true;
        self.expecting = None;
        match command {
            READ_RAM..=LAST_READ_RAM => self.answer(self.ram[usize::from(command & 0x1f)]),
            WRITE_RAM..=LAST_WRITE_RAM
            | WRITE_OUTPUT_PORT
            | WRITE_KEYBOARD_BUFFER
            | WRITE_MOUSE_BUFFER
            | WRITE_MOUSE => self.expecting = Some(command),
            TEST_PASSWORD => self.answer(NO_PASSWORD),
            DISABLE_MOUSE => self.set_in_command_byte(MOUSE_DISABLED, true),
            ENABLE_MOUSE => self.set_in_command_byte(MOUSE_DISABLED, false),
            TEST_MOUSE_CABLE | TEST_KEYBOARD_CABLE => self.answer(CABLE_GOOD),
            SELF_TEST => {
                self.set_in_command_byte(SYSTEM_FLAG, true);
                self.answer(SELF_TEST_PASSED);
            }
            DISABLE_KEYBOARD => self.set_in_command_byte(KEYBOARD_DISABLED, true),
            ENABLE_KEYBOARD => self.set_in_command_byte(KEYBOARD_DISABLED, false),
            READ_INPUT_PORT => self.answer(INPUT_PORT),
            READ_OUTPUT_PORT => self.answer(self.read_output_port()),
            DISABLE_A20 => self.output_port &= !OUTPUT_A20,
            ENABLE_A20 => self.output_port |= OUTPUT_A20,
            // The clock lines: the controller holds that of a closed cable low.
            READ_TEST_INPUTS => {
                let closed = |bit| self.command_byte() & bit != 0;
                self.answer(u8::from(!closed(KEYBOARD_DISABLED)) | u8::from(!closed(MOUSE_DISABLED)) << 1);
            }
            // The lower bits that are zero are pulsed low.
            PULSE_OUTPUT_PORT.. if command & OUTPUT_RESET == 0 => self.reset_machine("pulse"),
            PULSE_OUTPUT_PORT.. => {}
            _ => {
                if let Some(held_back) = self.log.pass() {
                    tracing::debug!(command, held_back, "unknown command to the keyboard controller");
                }
            }
        }
        self.pump();
    }

    fn write_port_92(&mut self, value: u8) {
        let rises = value & !self.port_92 & PORT_92_RESET != 0;
        self.port_92 = value & (PORT_92_RESET | PORT_92_A20);
        if rises {
            self.reset_machine("port 0x92");
        }
    }

    fn reset_machine(&mut self, by: &str) {
        if let Some(held_back) = self.log.pass() {
            tracing::info!(held_back, "the guest resets the machine by the keyboard controller ({by})");
        }
        (self.request_reset)();
    }
}

impl PortIo for I8042 {
    fn port_read(&mut self, region: u8, _offset: u16, data: &mut [u8]) {
        data.fill(0xff);
        data[0] = match region {
            DATA => self.read_data(),
            COMMAND => self.status(),
            _ => self.port_92,
        };
    }

    fn port_write(&mut self, region: u8, _offset: u16, data: &[u8]) {
        match region {
            DATA => self.write_data(data[0]),
            COMMAND => self.write_command(data[0]),
            _ => self.write_port_92(data[0]),
        }
    }
}

impl Component for I8042 {
    fn name(&self) -> &str {
        "i8042"
    }

    fn start(&mut self) {}

    fn stop(&mut self) {}

    fn reset(&mut self) {
        let fresh = I8042::new(InterruptLine::detached(), InterruptLine::detached(), self.request_reset.clone());
        let lines = (
            std::mem::replace(&mut self.keyboard_line, InterruptLine::detached()),
            std::mem::replace(&mut self.mouse_line, InterruptLine::detached()),
        );
        *self = I8042 { keyboard_line: lines.0, mouse_line: lines.1, ..fresh };
        self.update_lines();
    }

    fn save(&mut self) -> Result<SavedUnit, SaveError> {
        SavedUnit::of(&saved::I8042 {
            ram: Bytes(self.ram.to_vec()),
            data: self.data,
            full: self.full,
            pending: self.pending,
            expecting: self.expecting,
            last_was_command: self.last_was_command,
            output_port: self.output_port,
            port_92: self.port_92,
            release_seen: self.release_seen,
            keyboard: self.keyboard.save(),
            mouse: self.mouse.save(),
        })
    }

    fn restore(&mut self, unit: &SavedUnit) -> Result<(), RestoreError> {
        let state: saved::I8042 = unit.open()?;
        let impossible =
            |what: &str| RestoreError::Impossible { kind: <saved::I8042 as SavedState>::KIND, what: what.to_owned() };
        let ram = state.ram.0.try_into().map_err(|_| impossible("memory that isn't 32 bytes"))?;
        let takes_data = |command| matches!(command, WRITE_RAM..=LAST_WRITE_RAM | WRITE_OUTPUT_PORT..=WRITE_MOUSE);
        if state.expecting.is_some_and(|command| !takes_data(command)) {
            return Err(impossible("a command that takes no data"));
        }
        if state.output_port & !OUTPUT_A20 != OUTPUT_LINES | OUTPUT_RESET || state.port_92 > 3 {
            return Err(impossible("register bits that don't exist"));
        }
        let keyboard = Keyboard::restored(state.keyboard).map_err(impossible)?;
        let mouse = Mouse::restored(state.mouse).map_err(impossible)?;
        self.ram = ram;
        self.data = state.data;
        self.full = state.full;
        self.pending = state.pending;
        self.expecting = state.expecting;
        self.last_was_command = state.last_was_command;
        self.output_port = state.output_port;
        self.port_92 = state.port_92;
        self.release_seen = state.release_seen;
        self.keyboard = keyboard;
        self.mouse = mouse;
        let (keyboard, mouse) = self.levels();
        self.keyboard_line.restore(keyboard);
        self.mouse_line.restore(mouse);
        Ok(())
    }
}

impl Device for I8042 {
    fn port_io(&mut self) -> Option<&mut dyn PortIo> {
        Some(self)
    }
}
