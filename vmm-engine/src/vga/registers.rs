//! The VGA's registers behind ports 3B0h to 3DFh (IBM PS/2 Hardware Interface Technical Reference, "Video Subsystem"):
//! general, sequencer, CRT controller, graphics controller, attribute controller and DAC.
//!
//! Left out: the vertical interrupt, the light pen, the video status multiplexer.

use super::dac::Dac;

/// The first port.
pub(super) const FIRST_PORT: u16 = 0x3b0;

/// Sequencer: Clocking Mode.
pub(super) const SR_CLOCKING: usize = 1;
/// Sequencer: Map Mask.
pub(super) const SR_MAP_MASK: usize = 2;
/// Sequencer: Character Map Select.
pub(super) const SR_CHARACTER_MAP: usize = 3;
/// Sequencer: Memory Mode.
pub(super) const SR_MEMORY_MODE: usize = 4;
const SEQUENCER_BITS: [u8; 5] = [0x03, 0x3d, 0x0f, 0x3f, 0x0e];

/// Graphics controller: Set/Reset.
pub(super) const GR_SET_RESET: usize = 0;
/// Graphics controller: Enable Set/Reset.
pub(super) const GR_ENABLE_SET_RESET: usize = 1;
/// Graphics controller: Color Compare.
pub(super) const GR_COMPARE: usize = 2;
/// Graphics controller: Data Rotate and function select.
pub(super) const GR_ROTATE: usize = 3;
/// Graphics controller: Read Map Select.
pub(super) const GR_READ_MAP: usize = 4;
/// Graphics controller: Graphics Mode.
pub(super) const GR_MODE: usize = 5;
/// Graphics controller: Miscellaneous.
pub(super) const GR_MISCELLANEOUS: usize = 6;
/// Graphics controller: Color Don't Care.
pub(super) const GR_DONT_CARE: usize = 7;
/// Graphics controller: Bit Mask.
pub(super) const GR_BIT_MASK: usize = 8;
const GRAPHICS_BITS: [u8; 9] = [0x0f, 0x0f, 0x0f, 0x1f, 0x03, 0x7b, 0x0f, 0x0f, 0xff];

/// Attribute controller: Mode Control.
pub(super) const AR_MODE: usize = 0x10;
/// Attribute controller: Color Plane Enable.
pub(super) const AR_PLANE_ENABLE: usize = 0x12;
/// Attribute controller: Horizontal PEL Panning.
pub(super) const AR_PANNING: usize = 0x13;
/// Attribute controller: Color Select.
pub(super) const AR_COLOUR_SELECT: usize = 0x14;
/// Attribute controller's address: Palette Address Source, without which the screen is blank.
pub(super) const AR_INDEX_DISPLAY: u8 = 0x20;

/// CRT controller: Horizontal Total.
pub(super) const CR_HORIZONTAL_TOTAL: usize = 0x00;
/// CRT controller: Horizontal Display Enable End.
pub(super) const CR_HORIZONTAL_DISPLAY_END: usize = 0x01;
/// CRT controller: Vertical Total.
pub(super) const CR_VERTICAL_TOTAL: usize = 0x06;
/// CRT controller: Overflow.
pub(super) const CR_OVERFLOW: usize = 0x07;
/// CRT controller: Preset Row Scan.
pub(super) const CR_PRESET_ROW_SCAN: usize = 0x08;
/// CRT controller: Maximum Scan Line.
pub(super) const CR_MAXIMUM_SCAN_LINE: usize = 0x09;
/// CRT controller: Cursor Start.
pub(super) const CR_CURSOR_START: usize = 0x0a;
/// CRT controller: Cursor End.
pub(super) const CR_CURSOR_END: usize = 0x0b;
/// CRT controller: Start Address High.
pub(super) const CR_START_HIGH: usize = 0x0c;
/// CRT controller: Start Address Low.
pub(super) const CR_START_LOW: usize = 0x0d;
/// CRT controller: Cursor Location High.
pub(super) const CR_CURSOR_HIGH: usize = 0x0e;
/// CRT controller: Cursor Location Low.
pub(super) const CR_CURSOR_LOW: usize = 0x0f;
/// CRT controller: Vertical Retrace Start.
pub(super) const CR_VERTICAL_RETRACE_START: usize = 0x10;
/// CRT controller: Vertical Retrace End; bit 7 protects registers 0 to 7.
pub(super) const CR_VERTICAL_RETRACE_END: usize = 0x11;
/// CRT controller: Vertical Display Enable End.
pub(super) const CR_VERTICAL_DISPLAY_END: usize = 0x12;
/// CRT controller: Offset.
pub(super) const CR_OFFSET: usize = 0x13;
/// CRT controller: Underline Location; bit 6 is doubleword mode.
pub(super) const CR_UNDERLINE: usize = 0x14;
/// CRT controller: Mode Control.
pub(super) const CR_MODE: usize = 0x17;
/// CRT controller: Line Compare.
pub(super) const CR_LINE_COMPARE: usize = 0x18;

/// What a write to a port changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// Nothing that anybody sees.
    Nothing,
    /// What is on the screen.
    Picture,
    /// What is on the screen, perhaps, and how the processor reaches the memory.
    Memory,
}

/// The registers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Registers {
    /// Miscellaneous Output.
    pub(super) miscellaneous: u8,
    /// Feature Control.
    pub(super) feature: u8,
    pub(super) sequencer_index: u8,
    pub(super) sequencer: [u8; 5],
    pub(super) graphics_index: u8,
    pub(super) graphics: [u8; 9],
    /// The attribute controller's address register: six bits.
    pub(super) attribute_index: u8,
    /// The next write to 3C0h is data.
    pub(super) attribute_data: bool,
    pub(super) attribute: [u8; 21],
    pub(super) crtc_index: u8,
    pub(super) crtc: [u8; 25],
    pub(super) dac: Dac,
}

impl Registers {
    pub(super) fn new() -> Self {
        Registers {
            miscellaneous: 0,
            feature: 0,
            sequencer_index: 0,
            sequencer: [0; 5],
            graphics_index: 0,
            graphics: [0; 9],
            attribute_index: 0,
            attribute_data: false,
            attribute: [0; 21],
            crtc_index: 0,
            crtc: [0; 25],
            dac: Dac::new(),
        }
    }

    /// Whether a port is one of the CRT controller's that Miscellaneous Output has switched off: it answers at
    /// 3Bxh for a monochrome display, at 3Dxh for a colour one.
    fn absent(&self, port: u16) -> bool {
        let colour = self.miscellaneous & 1 != 0;
        match port {
            0x3b0..=0x3bf => colour,
            0x3d0..=0x3df => !colour,
            _ => false,
        }
    }

    /// A byte read from `port`; `status` gives Input Status 1.
    pub(super) fn read(&mut self, port: u16, status: impl FnOnce(&Self) -> u8) -> u8 {
        if self.absent(port) {
            return 0xff;
        }
        match port {
            0x3c0 => self.attribute_index,
            0x3c1 => get(&self.attribute, self.attribute_index & 0x1f),
            0x3c2 | 0x3c3 => 0,
            0x3c4 => self.sequencer_index,
            0x3c5 => get(&self.sequencer, self.sequencer_index),
            0x3c6 => self.dac.mask,
            0x3c7 => self.dac.state(),
            0x3c8 => self.dac.write_index,
            0x3c9 => self.dac.read(),
            0x3ca => self.feature,
            0x3cc => self.miscellaneous,
            0x3ce => self.graphics_index,
            0x3cf => get(&self.graphics, self.graphics_index),
            0x3b4 | 0x3d4 => self.crtc_index,
            0x3b5 | 0x3d5 => get(&self.crtc, self.crtc_index),
            0x3ba | 0x3da => {
                self.attribute_data = false;
                status(self)
            }
            0x3cb | 0x3cd => 0,
            _ => 0xff,
        }
    }

    /// A byte written to `port`.
    pub(super) fn write(&mut self, port: u16, value: u8) -> Change {
        if self.absent(port) {
            return Change::Nothing;
        }
        match port {
            0x3c0 => return self.write_attribute(value),
            0x3c2 => self.miscellaneous = value & !0x10,
            0x3c4 => self.sequencer_index = value & 7,
            0x3c5 => {
                return set(&mut self.sequencer, self.sequencer_index, value, &SEQUENCER_BITS);
            }
            0x3c6 => return replace(&mut self.dac.mask, value, Change::Picture),
            0x3c7 => self.dac.set_read_index(value),
            0x3c8 => self.dac.set_write_index(value),
            0x3c9 => return if self.dac.write(value) { Change::Picture } else { Change::Nothing },
            0x3ce => self.graphics_index = value & 0x0f,
            0x3cf => return set(&mut self.graphics, self.graphics_index, value, &GRAPHICS_BITS),
            0x3b4 | 0x3d4 => self.crtc_index = value,
            0x3b5 | 0x3d5 => return self.write_crtc(value),
            0x3ba | 0x3da => self.feature = value & 0x10,
            _ => {}
        }
        Change::Nothing
    }

    fn write_attribute(&mut self, value: u8) -> Change {
        let data = self.attribute_data;
        self.attribute_data = !data;
        if !data {
            let shown = self.attribute_index & AR_INDEX_DISPLAY;
            self.attribute_index = value & 0x3f;
            return if shown == value & AR_INDEX_DISPLAY { Change::Nothing } else { Change::Picture };
        }
        let index = usize::from(self.attribute_index & 0x1f);
        match self.attribute.get_mut(index) {
            Some(register) => replace(register, value & attribute_bits(index), Change::Picture),
            None => Change::Nothing,
        }
    }

    fn write_crtc(&mut self, value: u8) -> Change {
        let index = usize::from(self.crtc_index);
        let protected = self.crtc[CR_VERTICAL_RETRACE_END] & 0x80 != 0;
        let Some(register) = self.crtc.get_mut(index) else { return Change::Nothing };
        let value = match (protected, index) {
            // Bit 8 of Line Compare stays writable.
            (true, CR_OVERFLOW) => *register & !0x10 | value & 0x10,
            (true, 0..CR_OVERFLOW) => return Change::Nothing,
            _ => value,
        };
        let change = if matches!(index, CR_UNDERLINE | CR_MODE) { Change::Memory } else { Change::Picture };
        replace(register, value, change)
    }

    /// Whether all registers have values that writes can give them.
    pub(super) fn are_possible(&self) -> bool {
        let within = |values: &[u8], bits: &[u8]| values.iter().zip(bits).all(|(value, bits)| value & !bits == 0);
        self.miscellaneous & 0x10 == 0
            && self.feature & !0x10 == 0
            && self.sequencer_index <= 7
            && self.graphics_index <= 0x0f
            && self.attribute_index <= 0x3f
            && within(&self.sequencer, &SEQUENCER_BITS)
            && within(&self.graphics, &GRAPHICS_BITS)
            && (0..).zip(self.attribute).all(|(index, value)| value & !attribute_bits(index) == 0)
    }

    /// Sixteen-bit CRT controller value in the registers `high` and `low`.
    pub(super) fn crtc_pair(&self, high: usize, low: usize) -> u32 {
        u32::from(self.crtc[high]) << 8 | u32::from(self.crtc[low])
    }

    /// A vertical position: register `low` with two bits of Overflow, numbers `bit8` and `bit9`.
    pub(super) fn vertical(&self, low: usize, bit8: u8, bit9: u8) -> u32 {
        let overflow = u32::from(self.crtc[CR_OVERFLOW]);
        u32::from(self.crtc[low]) | (overflow >> bit8 & 1) << 8 | (overflow >> bit9 & 1) << 9
    }
}

/// The bits that attribute controller register `index` has.
fn attribute_bits(index: usize) -> u8 {
    match index {
        0..=0x0f | AR_PLANE_ENABLE => 0x3f,
        AR_MODE => !0x10,
        AR_PANNING | AR_COLOUR_SELECT => 0x0f,
        _ => 0xff,
    }
}

fn get(registers: &[u8], index: u8) -> u8 {
    registers.get(usize::from(index)).copied().unwrap_or(0)
}

fn set(registers: &mut [u8], index: u8, value: u8, bits: &[u8]) -> Change {
    let index = usize::from(index);
    match (registers.get_mut(index), bits.get(index)) {
        (Some(register), Some(bits)) => replace(register, value & bits, Change::Memory),
        _ => Change::Nothing,
    }
}

fn replace(register: &mut u8, value: u8, change: Change) -> Change {
    if std::mem::replace(register, value) == value { Change::Nothing } else { change }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn colour() -> Registers {
        let mut registers = Registers::new();
        registers.write(0x3c2, 0x67);
        registers
    }

    fn indexed(registers: &mut Registers, port: u16, index: u8, value: u8) -> u8 {
        registers.write(port, index);
        registers.write(port + 1, value);
        registers.read(port + 1, |_| 0)
    }

    #[test]
    fn the_attribute_port_alternates_and_a_status_read_sets_it_back() {
        let mut registers = colour();
        registers.write(0x3c0, 0x13);
        registers.write(0x3c0, 0xf7);
        assert_eq!(registers.attribute[AR_PANNING], 0x07);
        registers.write(0x3c0, 0x10);
        registers.read(0x3da, |_| 0);
        registers.write(0x3c0, 0x20);
        assert_eq!((registers.attribute_index, registers.attribute[AR_MODE]), (0x20, 0));
    }

    #[test]
    fn the_crt_controller_answers_where_miscellaneous_output_says() {
        let mut registers = colour();
        assert_eq!(indexed(&mut registers, 0x3d4, 0x0f, 0x55), 0x55);
        assert_eq!(indexed(&mut registers, 0x3b4, 0x0f, 0x66), 0xff);
        registers.write(0x3c2, 0x66);
        registers.write(0x3b4, 0x0f);
        assert_eq!((registers.read(0x3b5, |_| 0), registers.read(0x3d5, |_| 0)), (0x55, 0xff));
    }

    #[test]
    fn protected_crtc_registers_keep_all_but_a_line_compare_bit() {
        let mut registers = colour();
        indexed(&mut registers, 0x3d4, 0x11, 0x80);
        assert_eq!(indexed(&mut registers, 0x3d4, 0x00, 0x5f), 0);
        assert_eq!(indexed(&mut registers, 0x3d4, 0x07, 0xff), 0x10);
        assert_eq!(indexed(&mut registers, 0x3d4, 0x08, 0x1f), 0x1f);
        indexed(&mut registers, 0x3d4, 0x11, 0x00);
        assert_eq!(indexed(&mut registers, 0x3d4, 0x00, 0x5f), 0x5f);
    }

    #[test]
    fn bits_that_do_not_exist_read_as_zero() {
        let mut registers = colour();
        assert_eq!(indexed(&mut registers, 0x3c4, 4, 0xff), 0x0e);
        assert_eq!(indexed(&mut registers, 0x3ce, 5, 0xff), 0x7b);
        assert_eq!(indexed(&mut registers, 0x3ce, 0x0c, 0xff), 0);
        assert_eq!(indexed(&mut registers, 0x3d4, 0x40, 0xff), 0);
    }
}
