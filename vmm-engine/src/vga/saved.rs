//! The adapter's saved state.

use machine::saved::{Bytes, RestoreError, SavedState};
use serde::{Deserialize, Serialize};

use super::{
    dac::Dac,
    dispi::{self, Dispi},
    registers::Registers,
};
use crate::pci::SavedConfig;

/// Everything that a guest can have changed.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SavedVga {
    pub(super) config: SavedConfig,
    pub(super) registers: SavedRegisters,
    pub(super) dac: SavedDac,
    pub(super) dispi: SavedDispi,
    pub(super) latches: u32,
    /// From the start of the display memory; zeroes at its end are left out.
    pub(super) memory: Bytes,
}

impl SavedState for SavedVga {
    const KIND: &'static str = "vga";
    const VERSION: u32 = 1;
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SavedRegisters {
    miscellaneous: u8,
    feature: u8,
    sequencer_index: u8,
    sequencer: [u8; 5],
    graphics_index: u8,
    graphics: [u8; 9],
    attribute_index: u8,
    attribute_data: bool,
    attribute: [u8; 21],
    crtc_index: u8,
    crtc: [u8; 25],
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SavedDac {
    colours: Bytes,
    mask: u8,
    write_index: u8,
    read_index: u8,
    component: u8,
    reading: bool,
    pending: [u8; 3],
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SavedDispi {
    index: u16,
    registers: [u16; dispi::COUNT],
    bank: u32,
}

/// An error about `what`.
pub(super) fn impossible(what: &str) -> RestoreError {
    RestoreError::Impossible { kind: SavedVga::KIND, what: what.to_owned() }
}

impl SavedRegisters {
    pub(super) fn of(registers: &Registers) -> Self {
        SavedRegisters {
            miscellaneous: registers.miscellaneous,
            feature: registers.feature,
            sequencer_index: registers.sequencer_index,
            sequencer: registers.sequencer,
            graphics_index: registers.graphics_index,
            graphics: registers.graphics,
            attribute_index: registers.attribute_index,
            attribute_data: registers.attribute_data,
            attribute: registers.attribute,
            crtc_index: registers.crtc_index,
            crtc: registers.crtc,
        }
    }

    /// The registers, with `dac`, if they can have these values.
    pub(super) fn checked(&self, dac: Dac) -> Result<Registers, RestoreError> {
        let registers = Registers {
            miscellaneous: self.miscellaneous,
            feature: self.feature,
            sequencer_index: self.sequencer_index,
            sequencer: self.sequencer,
            graphics_index: self.graphics_index,
            graphics: self.graphics,
            attribute_index: self.attribute_index,
            attribute_data: self.attribute_data,
            attribute: self.attribute,
            crtc_index: self.crtc_index,
            crtc: self.crtc,
            dac,
        };
        if registers.are_possible() { Ok(registers) } else { Err(impossible("a register with bits that don't exist")) }
    }
}

impl SavedDac {
    pub(super) fn of(dac: &Dac) -> Self {
        SavedDac {
            colours: Bytes(dac.colours.to_vec()),
            mask: dac.mask,
            write_index: dac.write_index,
            read_index: dac.read_index,
            component: dac.component,
            reading: dac.reading,
            pending: dac.pending,
        }
    }

    /// The DAC, if it can have these values; its width is the VBE extension's.
    pub(super) fn checked(&self, eight_bits: bool) -> Result<Dac, RestoreError> {
        let colours = self.colours.0.as_slice().try_into().map_err(|_| impossible("the number of colours"))?;
        if self.component > 2 {
            return Err(impossible("the DAC's component"));
        }
        Ok(Dac {
            colours,
            mask: self.mask,
            eight_bits,
            write_index: self.write_index,
            read_index: self.read_index,
            component: self.component,
            reading: self.reading,
            pending: self.pending,
        })
    }
}

impl SavedDispi {
    pub(super) fn of(dispi: &Dispi) -> Self {
        SavedDispi { index: dispi.index, registers: dispi.registers, bank: dispi.bank }
    }

    /// The registers, if they can have these values with as much memory as `present` has.
    pub(super) fn checked(&self, present: &Dispi) -> Result<Dispi, RestoreError> {
        let mut dispi = present.clone();
        dispi.restore(self.index, self.registers, self.bank).map_err(impossible)?;
        Ok(dispi)
    }
}
