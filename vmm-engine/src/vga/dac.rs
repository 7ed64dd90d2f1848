//! The palette DAC: 256 colours behind an index and a data port (IBM VGA, "Video Digital-to-Analog Converter").
//!
//! Six bits a colour as on the VGA; eight while the Bochs VBE extension asks for it. The bytes that the guest wrote are
//! kept as they are, so that a change of width loses nothing.

/// The DAC's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Dac {
    /// Red, green and blue of each colour.
    pub(super) colours: [u8; 768],
    /// The PEL mask: what the pixel's value passes on its way to the palette.
    pub(super) mask: u8,
    /// Colours have eight bits.
    pub(super) eight_bits: bool,
    pub(super) write_index: u8,
    pub(super) read_index: u8,
    /// Which component comes next: 0 to 2.
    pub(super) component: u8,
    /// The index was last written for reading.
    pub(super) reading: bool,
    /// The components of a colour that isn't complete yet.
    pub(super) pending: [u8; 3],
}

impl Dac {
    pub(super) fn new() -> Self {
        Dac {
            colours: [0; 768],
            mask: 0xff,
            eight_bits: false,
            write_index: 0,
            read_index: 0,
            component: 0,
            reading: false,
            pending: [0; 3],
        }
    }

    /// Port 3C7h, written: colours are read from `index` on.
    pub(super) fn set_read_index(&mut self, index: u8) {
        self.read_index = index;
        self.component = 0;
        self.reading = true;
    }

    /// Port 3C8h, written: colours are written from `index` on.
    pub(super) fn set_write_index(&mut self, index: u8) {
        self.write_index = index;
        self.component = 0;
        self.reading = false;
    }

    /// Port 3C7h, read: which way the data port goes.
    pub(super) fn state(&self) -> u8 {
        if self.reading { 3 } else { 0 }
    }

    /// Port 3C9h, read.
    pub(super) fn read(&mut self) -> u8 {
        let value = self.colours[usize::from(self.read_index) * 3 + usize::from(self.component)];
        self.component += 1;
        if self.component == 3 {
            self.component = 0;
            self.read_index = self.read_index.wrapping_add(1);
        }
        if self.eight_bits { value } else { value & 0x3f }
    }

    /// Port 3C9h, written. A colour changes when its third component arrives; says whether one did.
    pub(super) fn write(&mut self, value: u8) -> bool {
        self.pending[usize::from(self.component)] = value;
        self.component += 1;
        if self.component < 3 {
            return false;
        }
        self.component = 0;
        let at = usize::from(self.write_index) * 3;
        self.write_index = self.write_index.wrapping_add(1);
        let colour = &mut self.colours[at..at + 3];
        let changed = *colour != self.pending;
        colour.copy_from_slice(&self.pending);
        changed
    }

    /// The colour that a pixel of value `index` has, as `0x00RRGGBB`.
    pub(super) fn rgb(&self, index: u8) -> u32 {
        let at = usize::from(index & self.mask) * 3;
        self.colours[at..at + 3].iter().fold(0, |rgb, &component| rgb << 8 | u32::from(self.widen(component)))
    }

    /// A component as eight bits. The two lowest repeat the lowest of six, so that full is full.
    fn widen(&self, component: u8) -> u8 {
        if self.eight_bits { component } else { ((component & 0x3f) << 2) | ((component & 1) * 3) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_writes_make_a_colour_and_the_index_moves_on() {
        let mut dac = Dac::new();
        dac.set_write_index(255);
        assert_eq!([63, 0, 42, 1, 2, 3].map(|value| dac.write(value)), [false, false, true, false, false, true]);
        assert_eq!((dac.rgb(255), dac.write_index), (0x00ff_00a8, 1));
        dac.set_read_index(255);
        assert_eq!([(); 6].map(|()| dac.read()), [63, 0, 42, 1, 2, 3]);
        assert_eq!((dac.state(), dac.read_index), (3, 1));
    }

    #[test]
    fn a_new_index_forgets_half_a_colour() {
        let mut dac = Dac::new();
        dac.write(9);
        dac.set_write_index(0);
        for value in [1, 2, 3] {
            dac.write(value);
        }
        assert_eq!(dac.colours[..3], [1, 2, 3]);
    }

    #[test]
    fn eight_bits_pass_whole_and_six_are_widened() {
        let mut dac = Dac::new();
        for value in [0xc1, 0x3f, 0x80] {
            dac.write(value);
        }
        assert_eq!(dac.rgb(0), 0x0007_ff00);
        dac.eight_bits = true;
        assert_eq!(dac.rgb(0), 0x00c1_3f80);
        dac.mask = 0;
        assert_eq!(dac.rgb(0xff), 0x00c1_3f80);
    }
}
