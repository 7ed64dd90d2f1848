//! The Bochs VBE extension ("dispi"): linear modes behind an index and a data register (Bochs VBE Display API, ids
//! B0C0h to B0C5h), at ports 1CEh to 1D0h and in the function's second memory range.
//!
//! A value that can't be is moved to the nearest that can, since the interface has no way to refuse.

/// The most pixels in a row.
pub(super) const MAX_XRES: u16 = 2560;
/// The most rows.
pub(super) const MAX_YRES: u16 = 1600;
/// The longest line in memory, in pixels.
const MAX_VIRTUAL_WIDTH: u16 = 16_384;

/// The number of registers.
pub(super) const COUNT: usize = 10;
const ID: u16 = 0;
const XRES: u16 = 1;
const YRES: u16 = 2;
const BPP: u16 = 3;
const ENABLE: u16 = 4;
const BANK: u16 = 5;
const VIRT_WIDTH: u16 = 6;
const VIRT_HEIGHT: u16 = 7;
const X_OFFSET: u16 = 8;
const Y_OFFSET: u16 = 9;
const VIDEO_MEMORY_64K: u16 = 10;

const NEWEST_ID: u16 = 0xb0c5;
const ENABLED: u16 = 0x01;
const GETCAPS: u16 = 0x02;
const EIGHT_BIT_DAC: u16 = 0x20;
const NOCLEARMEM: u16 = 0x80;

/// The registers, and what follows from them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Dispi {
    pub(super) index: u16,
    pub(super) registers: [u16; COUNT],
    /// Where the bank begins that is seen through A0000h, in bytes.
    pub(super) bank: u32,
    video_memory: u32,
}

/// What a write asks of the device beyond the registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Effect {
    /// The picture, or the window into the memory, is another.
    pub(super) changed: bool,
    /// So many bytes from the start of the memory are to be cleared.
    pub(super) clear: u32,
}

/// A mode of the extension: what is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Linear {
    pub(super) width: u32,
    pub(super) height: u32,
    /// 4, 8, 15, 16, 24 or 32.
    pub(super) bits: u16,
    /// Bytes from one line to the next.
    pub(super) pitch: u32,
    /// Where the first line begins, in bytes.
    pub(super) start: u32,
}

impl Dispi {
    pub(super) fn new(video_memory: u32) -> Self {
        let mut registers = [0; COUNT];
        registers[usize::from(ID)] = NEWEST_ID;
        Dispi { index: 0, registers, bank: 0, video_memory }
    }

    fn get(&self, index: u16) -> u16 {
        self.registers[usize::from(index)]
    }

    fn set(&mut self, index: u16, value: u16) {
        self.registers[usize::from(index)] = value;
    }

    /// A linear mode is on.
    pub(super) fn enabled(&self) -> bool {
        self.get(ENABLE) & ENABLED != 0
    }

    /// Colours have eight bits in the DAC.
    pub(super) fn eight_bit_dac(&self) -> bool {
        self.get(ENABLE) & EIGHT_BIT_DAC != 0
    }

    /// Reads register `index`.
    pub(super) fn read(&self, index: u16) -> u16 {
        let capabilities = self.get(ENABLE) & GETCAPS != 0;
        match index {
            XRES if capabilities => MAX_XRES,
            YRES if capabilities => MAX_YRES,
            BPP if capabilities => 32,
            VIDEO_MEMORY_64K => (self.video_memory >> 16) as u16,
            _ => self.registers.get(usize::from(index)).copied().unwrap_or(0),
        }
    }

    /// Writes register `index`.
    pub(super) fn write(&mut self, index: u16, value: u16) -> Effect {
        match index {
            ID if (0xb0c0..=NEWEST_ID).contains(&value) => self.set(ID, value),
            XRES | YRES | BPP | VIRT_WIDTH | X_OFFSET | Y_OFFSET => {
                self.set(index, value);
                if self.enabled() {
                    self.fit();
                    return Effect { changed: true, clear: 0 };
                }
            }
            BANK => {
                let banks = self.video_memory >> 16;
                let bank = u32::from(value) & banks.wrapping_sub(1);
                self.set(BANK, bank as u16);
                self.bank = bank << 16;
                return Effect { changed: true, clear: 0 };
            }
            ENABLE => return self.enable(value),
            _ => {}
        }
        Effect::default()
    }

    fn enable(&mut self, value: u16) -> Effect {
        let starts = value & ENABLED != 0 && !self.enabled();
        self.set(ENABLE, value);
        if !starts {
            self.bank = 0;
            self.set(BANK, 0);
            return Effect { changed: true, clear: 0 };
        }
        for index in [VIRT_WIDTH, X_OFFSET, Y_OFFSET] {
            self.set(index, 0);
        }
        self.fit();
        let clear = if value & NOCLEARMEM == 0 { self.pitch() * u32::from(self.get(YRES)) } else { 0 };
        Effect { changed: true, clear }
    }

    /// Bits that a pixel takes in memory.
    fn memory_bits(&self) -> u32 {
        match self.get(BPP) {
            15 => 16,
            bits => u32::from(bits),
        }
    }

    fn pitch(&self) -> u32 {
        u32::from(self.get(VIRT_WIDTH)) * self.memory_bits() / 8
    }

    fn start(&self) -> u32 {
        // Displays begin at a multiple of four bytes.
        (u32::from(self.get(X_OFFSET)) * self.memory_bits() / 8 + u32::from(self.get(Y_OFFSET)) * self.pitch()) & !3
    }

    /// Moves the registers to values that the memory can hold.
    fn fit(&mut self) {
        if !matches!(self.get(BPP), 4 | 8 | 15 | 16 | 24 | 32) {
            self.set(BPP, 8);
        }
        self.set(XRES, (self.get(XRES) & !7).clamp(8, MAX_XRES));
        self.set(VIRT_WIDTH, (self.get(VIRT_WIDTH) & !1).clamp(self.get(XRES), MAX_VIRTUAL_WIDTH));
        let pitch = self.pitch();
        let lines = (self.video_memory / pitch).min(u32::from(u16::MAX)) as u16;
        self.set(VIRT_HEIGHT, lines);
        self.set(YRES, self.get(YRES).clamp(1, MAX_YRES).min(lines.max(1)));
        let shown = u32::from(self.get(YRES)) * pitch;
        let room = self.video_memory.saturating_sub(shown);
        self.set(X_OFFSET, self.get(X_OFFSET).min(MAX_VIRTUAL_WIDTH));
        if u64::from(self.get(Y_OFFSET)) * u64::from(pitch) > u64::from(room) || self.start() > room {
            self.set(Y_OFFSET, 0);
            if self.start() > room {
                self.set(X_OFFSET, 0);
            }
        }
    }

    /// The mode that is on.
    pub(super) fn mode(&self) -> Option<Linear> {
        self.enabled().then(|| Linear {
            width: u32::from(self.get(XRES)),
            height: u32::from(self.get(YRES)),
            bits: self.get(BPP),
            pitch: self.pitch(),
            start: self.start(),
        })
    }

    /// Whether saved registers can have come about. `registers` replaces the present ones if so.
    pub(super) fn restore(&mut self, index: u16, registers: [u16; COUNT], bank: u32) -> Result<(), &'static str> {
        let mut other = Dispi { index, registers, bank, video_memory: self.video_memory };
        if !(0xb0c0..=NEWEST_ID).contains(&other.get(ID)) {
            return Err("the id of the VBE extension");
        }
        if !bank.is_multiple_of(0x1_0000) || bank >= self.video_memory || u32::from(other.get(BANK)) != bank >> 16 {
            return Err("the bank of the VBE extension");
        }
        if other.enabled() {
            other.fit();
            if other.registers != registers {
                return Err("the mode of the VBE extension");
            }
        }
        *self = other;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMORY: u32 = 32 << 20;

    fn with(mode: [u16; 3], enable: u16) -> (Dispi, Effect) {
        let mut dispi = Dispi::new(MEMORY);
        for (index, value) in (1..).zip(mode) {
            dispi.write(index, value);
        }
        let effect = dispi.write(ENABLE, enable);
        (dispi, effect)
    }

    #[test]
    fn the_largest_mode_fits_the_memory() {
        let (dispi, effect) = with([2560, 1600, 32], 0x41);
        let mode = dispi.mode().unwrap();
        assert_eq!((mode.width, mode.height, mode.bits, mode.pitch, mode.start), (2560, 1600, 32, 10240, 0));
        assert_eq!(effect, Effect { changed: true, clear: 2560 * 1600 * 4 });
        assert_eq!(dispi.read(VIRT_HEIGHT), 3276);
    }

    #[test]
    fn memory_is_kept_when_asked() {
        assert_eq!(with([640, 480, 8], 0xc1).1.clear, 0);
    }

    #[test]
    fn values_that_cannot_be_move_to_the_nearest() {
        let (dispi, _) = with([1367, 65535, 17], 0x41);
        let mode = dispi.mode().unwrap();
        assert_eq!((mode.width, mode.height, mode.bits), (1360, 1600, 8));
        let (dispi, _) = with([0, 0, 32], 1);
        assert_eq!((dispi.mode().unwrap().width, dispi.mode().unwrap().height), (8, 1));
    }

    #[test]
    fn a_virtual_screen_pans() {
        let (mut dispi, _) = with([800, 600, 16], 1);
        dispi.write(VIRT_WIDTH, 1024);
        dispi.write(X_OFFSET, 10);
        dispi.write(Y_OFFSET, 100);
        let mode = dispi.mode().unwrap();
        assert_eq!((mode.pitch, mode.start), (2048, 100 * 2048 + 20));
        dispi.write(Y_OFFSET, 65535);
        assert_eq!(dispi.mode().unwrap().start, 20);
    }

    #[test]
    fn capabilities_are_the_limits() {
        let (dispi, _) = with([640, 480, 8], GETCAPS);
        assert_eq!([XRES, YRES, BPP].map(|index| dispi.read(index)), [MAX_XRES, MAX_YRES, 32]);
        assert_eq!((dispi.read(VIDEO_MEMORY_64K), dispi.read(11), dispi.read(ID)), (512, 0, 0xb0c5));
    }

    #[test]
    fn an_unknown_id_is_not_taken() {
        let mut dispi = Dispi::new(MEMORY);
        dispi.write(ID, 0xb0c0);
        dispi.write(ID, 0xb0c6);
        assert_eq!(dispi.read(ID), 0xb0c0);
    }

    #[test]
    fn an_impossible_saved_mode_is_refused() {
        let (good, _) = with([640, 480, 8], 1);
        let mut dispi = Dispi::new(MEMORY);
        let mut bad = good.registers;
        bad[1] = 65535;
        assert!(dispi.restore(0, bad, 0).is_err());
        assert!(dispi.restore(0, good.registers, 0x10001).is_err());
        assert_eq!(dispi, Dispi::new(MEMORY));
        dispi.restore(0, good.registers, 0).unwrap();
        assert_eq!(dispi, good);
    }
}
