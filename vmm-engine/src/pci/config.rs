//! A function's configuration space: header type 0, base address registers, capabilities, MSI.

use std::sync::Arc;

use machine::{
    access,
    device::{DecodedRange, Space},
    line::{InterruptLine, MsiTarget},
    saved::{Bytes, RestoreError},
};
use serde::{Deserialize, Serialize};

/// Bytes of a configuration space (PCI Express 3.0, section 7.2).
const LEN: usize = 4096;
/// Base address registers 0 to 5, and the expansion ROM as number 6.
const BARS: usize = 7;
const ROM: usize = 6;

const COMMAND: usize = 0x04;
const STATUS: usize = 0x06;
const CAPABILITIES: usize = 0x34;

const COMMAND_IO: u16 = 1 << 0;
const COMMAND_MEMORY: u16 = 1 << 1;
const COMMAND_MASTER: u16 = 1 << 2;
const COMMAND_INTX_DISABLE: u16 = 1 << 10;
const STATUS_INTERRUPT: u8 = 1 << 3;
const STATUS_CAPABILITIES: u8 = 1 << 4;

const CAPABILITY_MSI: u8 = 0x05;
const MSI_CONTROL_ENABLE: u8 = 1 << 0;
/// Message control: 64-bit addresses, one message.
const MSI_CONTROL: u8 = 1 << 7;

/// What a function says it is.
#[derive(Debug, Clone, Copy)]
pub struct Identity {
    /// Vendor ID.
    pub vendor: u16,
    /// Device ID.
    pub device: u16,
    /// Class code: base class, sub-class, interface, as in `0x010601`.
    pub class: u32,
    /// Revision ID.
    pub revision: u8,
    /// Subsystem vendor ID.
    pub subsystem_vendor: u16,
    /// Subsystem ID.
    pub subsystem: u16,
}

/// What a base address register decodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BarKind {
    /// Ports.
    Io,
    /// 32-bit memory addresses.
    Memory {
        /// Reads have no side effects.
        prefetchable: bool,
    },
}

#[derive(Debug, Clone, Copy)]
struct Bar {
    kind: BarKind,
    len: u32,
}

/// A configuration space. Which bits a guest can change is fixed when it is built.
#[derive(Debug, Clone)]
pub struct ConfigSpace {
    bytes: Box<[u8]>,
    /// Bits that a write sets.
    writable: Box<[u8]>,
    power_on: Box<[u8]>,
    bars: [Option<Bar>; BARS],
    msi: Option<usize>,
    capabilities_end: usize,
    last_capability: usize,
}

impl ConfigSpace {
    /// A function without base address registers, capabilities or interrupt pin.
    #[must_use]
    pub fn new(identity: &Identity) -> Self {
        let mut config = ConfigSpace {
            bytes: vec![0; LEN].into(),
            writable: vec![0; LEN].into(),
            power_on: Box::default(),
            bars: [None; BARS],
            msi: None,
            capabilities_end: 0x40,
            last_capability: CAPABILITIES,
        };
        config.put_u16(0x00, identity.vendor);
        config.put_u16(0x02, identity.device);
        config.bytes[0x08] = identity.revision;
        config.bytes[0x09..0x0c].copy_from_slice(&identity.class.to_le_bytes()[..3]);
        config.put_u16(0x2c, identity.subsystem_vendor);
        config.put_u16(0x2e, identity.subsystem);
        config.let_write(COMMAND, &(COMMAND_MASTER | COMMAND_INTX_DISABLE | 1 << 8).to_le_bytes());
        // Cache line size, and the interrupt line, which only software reads.
        config.let_write(0x0c, &[0xff]);
        config.let_write(0x3c, &[0xff]);
        config.power_on = config.bytes.clone();
        config
    }

    /// Adds base address register `index` (0 to 5) of `len` bytes, a power of two.
    #[must_use]
    pub fn with_bar(mut self, index: u8, kind: BarKind, len: u32) -> Self {
        debug_assert!(len.is_power_of_two() && index < 6, "base address register {index} of {len:#x} bytes");
        let at = bar_offset(index.into());
        let flags: u8 = match kind {
            BarKind::Io => 1,
            BarKind::Memory { prefetchable } => u8::from(prefetchable) << 3,
        };
        self.let_write(at, &(!(len - 1)).to_le_bytes());
        self.bytes[at] = flags;
        self.add_decode(kind);
        self.bars[usize::from(index)] = Some(Bar { kind, len });
        self.built()
    }

    /// Adds an expansion ROM of `len` bytes, a power of two of at least 2 KiB.
    #[must_use]
    pub fn with_rom(mut self, len: u32) -> Self {
        debug_assert!(len.is_power_of_two() && len >= 2048, "an expansion ROM of {len:#x} bytes");
        let kind = BarKind::Memory { prefetchable: true };
        self.let_write(bar_offset(ROM), &(!(len - 1) | 1).to_le_bytes());
        self.add_decode(kind);
        self.bars[ROM] = Some(Bar { kind, len });
        self.built()
    }

    /// Says which interrupt pin the function drives: 1 for INTA# to 4 for INTD#.
    #[must_use]
    pub fn with_interrupt_pin(mut self, pin: u8) -> Self {
        self.bytes[0x3d] = pin;
        self.built()
    }

    /// Marks the function as one of several in its device (header type, bit 7).
    #[must_use]
    pub fn with_multifunction(mut self) -> Self {
        self.bytes[0x0e] = 0x80;
        self.built()
    }

    /// Sets registers of the function's own: `values` at `offset`, of which a guest can change the bits in `writable`.
    #[must_use]
    pub fn with_registers(mut self, offset: u16, values: &[u8], writable: &[u8]) -> Self {
        let offset = usize::from(offset);
        self.bytes[offset..offset + values.len()].copy_from_slice(values);
        self.let_write(offset, writable);
        self.built()
    }

    /// Adds a capability: its ID and what follows the next pointer, with the bits that a guest can change.
    #[must_use]
    pub fn with_capability(mut self, id: u8, body: &[u8], writable: &[u8]) -> Self {
        let at = self.capabilities_end;
        self.bytes[STATUS] |= STATUS_CAPABILITIES;
        self.bytes[self.last_capability] = at as u8;
        self.bytes[at] = id;
        self.bytes[at + 2..at + 2 + body.len()].copy_from_slice(body);
        self.let_write(at + 2, writable);
        self.last_capability = at + 1;
        self.capabilities_end = (at + 2 + body.len()).next_multiple_of(4);
        self.built()
    }

    /// Adds MSI with one message and 64-bit addresses (PCI Local Bus 3.0, section 6.8.1).
    #[must_use]
    pub fn with_msi(mut self) -> Self {
        self.msi = Some(self.capabilities_end);
        let mut writable = [0; 12];
        writable[0] = MSI_CONTROL_ENABLE;
        writable[2..10].copy_from_slice(&0xffff_ffff_ffff_fffc_u64.to_le_bytes());
        writable[10..12].fill(0xff);
        self.with_capability(CAPABILITY_MSI, &[MSI_CONTROL, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], &writable)
    }

    /// A read of up to four bytes.
    pub fn read(&self, offset: u16, data: &mut [u8]) {
        access::read_slice(&self.bytes, offset.into(), data);
    }

    /// A write of up to four bytes: bits that can't be changed stay.
    pub fn write(&mut self, offset: u16, data: &[u8]) {
        for (index, &value) in data.iter().enumerate() {
            let at = usize::from(offset) + index;
            if let (Some(byte), Some(&mask)) = (self.bytes.get_mut(at), self.writable.get(at)) {
                *byte = *byte & !mask | value & mask;
            }
        }
    }

    /// The ranges that are decoded now. One that starts at zero or ends beyond its bus isn't: firmware writes
    /// such values while it sizes the registers.
    #[must_use]
    pub fn decoded(&self) -> Vec<DecodedRange> {
        let command = self.get_u16(COMMAND);
        let range = |(index, bar): (usize, &Option<Bar>)| {
            let Bar { kind, len } = (*bar)?;
            let value = self.get_u32(bar_offset(index));
            let (space, enabled, limit) = match kind {
                BarKind::Io => (Space::Port, command & COMMAND_IO != 0, 0x1_0000),
                BarKind::Memory { .. } => (Space::Memory, command & COMMAND_MEMORY != 0, 0xffff_ffff),
            };
            let enabled = enabled && (index != ROM || value & 1 != 0);
            let (base, len) = (u64::from(value & !(len - 1)), u64::from(len));
            (enabled && base != 0 && base + len <= limit).then_some(DecodedRange { bar: index as u8, space, base, len })
        };
        self.bars.iter().enumerate().filter_map(range).collect()
    }

    /// Whether the function may access memory by itself (bus master enable).
    #[must_use]
    pub fn is_bus_master(&self) -> bool {
        self.get_u16(COMMAND) & COMMAND_MASTER != 0
    }

    /// Address and data of the message, while MSI is enabled.
    #[must_use]
    pub fn msi(&self) -> Option<(u64, u32)> {
        let at = self.msi.filter(|&at| self.bytes[at + 2] & MSI_CONTROL_ENABLE != 0)?;
        let address = u64::from(self.get_u32(at + 4)) | u64::from(self.get_u32(at + 8)) << 32;
        Some((address, self.get_u16(at + 12).into()))
    }

    /// Back to power-on values.
    pub fn reset(&mut self) {
        self.bytes.copy_from_slice(&self.power_on);
    }

    /// The bytes, for a device's saved state.
    #[must_use]
    pub fn save(&self) -> SavedConfig {
        SavedConfig { bytes: Bytes(self.bytes.to_vec()) }
    }

    /// Takes over saved bytes. What a guest can't change must be as in this function.
    ///
    /// # Errors
    /// [`RestoreError::Impossible`] when it is another function's; nothing is changed then.
    pub fn restore(&mut self, kind: &'static str, saved: &SavedConfig) -> Result<(), RestoreError> {
        let saved = &saved.bytes.0;
        let fixed = |at: usize| !self.writable[at] & !(if at == STATUS { STATUS_INTERRUPT } else { 0 });
        let same = saved.len() == LEN && (0..LEN).all(|at| (saved[at] ^ self.power_on[at]) & fixed(at) == 0);
        if !same {
            return Err(RestoreError::Impossible { kind, what: "a configuration space of another function".into() });
        }
        self.bytes.copy_from_slice(saved);
        Ok(())
    }

    fn built(mut self) -> Self {
        self.power_on = self.bytes.clone();
        self
    }

    fn add_decode(&mut self, kind: BarKind) {
        self.writable[COMMAND] |= match kind {
            BarKind::Io => COMMAND_IO,
            BarKind::Memory { .. } => COMMAND_MEMORY,
        } as u8;
    }

    fn let_write(&mut self, offset: usize, mask: &[u8]) {
        for (byte, &mask) in self.writable[offset..].iter_mut().zip(mask) {
            *byte |= mask;
        }
    }

    fn put_u16(&mut self, offset: usize, value: u16) {
        self.bytes[offset..offset + 2].copy_from_slice(&value.to_le_bytes());
    }

    fn get_u16(&self, offset: usize) -> u16 {
        u16::from_le_bytes([self.bytes[offset], self.bytes[offset + 1]])
    }

    fn get_u32(&self, offset: usize) -> u32 {
        u32::from(self.get_u16(offset)) | u32::from(self.get_u16(offset + 2)) << 16
    }
}

fn bar_offset(index: usize) -> usize {
    if index == ROM { 0x30 } else { 0x10 + 4 * index }
}

/// A configuration space as it is saved, inside its device's state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedConfig {
    /// All 4096 bytes.
    pub bytes: Bytes,
}

/// A function's interrupt: a message while MSI is enabled, its pin otherwise.
pub struct PciInterrupt {
    line: InterruptLine,
    messages: Arc<dyn MsiTarget>,
    pending: bool,
}

impl PciInterrupt {
    /// An interrupt on `line` (the pin) or by `messages`.
    #[must_use]
    pub fn new(line: InterruptLine, messages: Arc<dyn MsiTarget>) -> Self {
        PciInterrupt { line, messages, pending: false }
    }

    /// Brings the interrupt to what the device and `config` say. Call it after each change of either. A message
    /// is sent when `pending` becomes true, and for each `event` that adds a cause while it is.
    pub fn update(&mut self, config: &mut ConfigSpace, pending: bool, event: bool) {
        let rises = pending && (!self.pending || event);
        self.pending = pending;
        config.bytes[STATUS] = config.bytes[STATUS] & !STATUS_INTERRUPT | if pending { STATUS_INTERRUPT } else { 0 };
        let message = config.msi();
        let masked = config.get_u16(COMMAND) & COMMAND_INTX_DISABLE != 0;
        self.line.set(pending && message.is_none() && !masked);
        if let Some((address, data)) = message.filter(|_| rises) {
            self.messages.signal(address, data);
        }
    }

    /// Takes over the state after a restore: no edge, no message.
    pub fn restore(&mut self, config: &ConfigSpace, pending: bool) {
        self.pending = pending;
        let masked = config.get_u16(COMMAND) & COMMAND_INTX_DISABLE != 0;
        self.line.restore(pending && config.msi().is_none() && !masked);
    }
}

impl std::fmt::Debug for PciInterrupt {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("PciInterrupt").field("line", &self.line).field("pending", &self.pending).finish()
    }
}

#[cfg(test)]
mod tests {
    use machine::access::value_of;
    use parking_lot::Mutex;

    use super::*;

    const IDENTITY: Identity = Identity {
        vendor: 0x8086,
        device: 0x2922,
        class: 0x01_06_01,
        revision: 2,
        subsystem_vendor: 0x1af4,
        subsystem: 0x1100,
    };

    fn function() -> ConfigSpace {
        ConfigSpace::new(&IDENTITY)
            .with_bar(4, BarKind::Io, 0x20)
            .with_bar(5, BarKind::Memory { prefetchable: false }, 0x1000)
            .with_rom(0x1_0000)
            .with_interrupt_pin(1)
            .with_msi()
    }

    fn read_u32(config: &ConfigSpace, offset: u16) -> u32 {
        let mut data = [0; 4];
        config.read(offset, &mut data);
        value_of(&data) as u32
    }

    #[test]
    fn the_header_says_who_it_is() {
        let config = function();
        assert_eq!(read_u32(&config, 0), 0x2922_8086);
        assert_eq!(read_u32(&config, 8), 0x0106_0102);
        assert_eq!(read_u32(&config, 0x2c), 0x1100_1af4);
        assert_eq!(read_u32(&config, 0x3c), 0x100);
    }

    #[test]
    fn sizing_a_register_gives_its_length() {
        let mut config = function();
        for (offset, sized) in [(0x20, 0xffff_ffe1), (0x24, 0xffff_f000), (0x30, 0xffff_0001), (0x10, 0)] {
            config.write(offset, &[0xff; 4]);
            assert_eq!(read_u32(&config, offset), sized, "register at {offset:#x}");
        }
        config.write(COMMAND as u16, &3_u16.to_le_bytes());
        assert!(config.decoded().is_empty(), "sizing values decode: {:x?}", config.decoded());
    }

    #[test]
    fn ranges_are_decoded_while_the_command_register_says_so() {
        let mut config = function();
        config.write(0x20, &0xc040_u32.to_le_bytes());
        config.write(0x24, &0xfebf_0000_u32.to_le_bytes());
        assert!(config.decoded().is_empty());
        config.write(COMMAND as u16, &3_u16.to_le_bytes());
        let ports = DecodedRange { bar: 4, space: Space::Port, base: 0xc040, len: 0x20 };
        let memory = DecodedRange { bar: 5, space: Space::Memory, base: 0xfebf_0000, len: 0x1000 };
        assert_eq!(config.decoded(), [ports, memory]);
        config.write(0x30, &0xfec0_0001_u32.to_le_bytes());
        assert_eq!(config.decoded().len(), 3);
    }

    #[test]
    fn fixed_bits_stay() {
        let mut config = function();
        for offset in (0..0x100).step_by(4).filter(|offset| ![4, 0x0c, 0x20, 0x24, 0x30, 0x3c].contains(offset)) {
            let before = read_u32(&config, offset);
            config.write(offset, &[0xff; 4]);
            let msi = (0x40..0x50).contains(&offset);
            assert!(msi || read_u32(&config, offset) == before, "offset {offset:#x}");
        }
    }

    #[derive(Default)]
    struct Messages(Mutex<Vec<(u64, u32)>>);
    impl MsiTarget for Messages {
        fn signal(&self, address: u64, data: u32) {
            self.0.lock().push((address, data));
        }
    }

    #[test]
    fn the_pin_gives_way_to_messages() {
        let (mut config, messages) = (function(), Arc::new(Messages::default()));
        let mut interrupt = PciInterrupt::new(InterruptLine::detached(), messages.clone());
        interrupt.update(&mut config, true, true);
        assert!(interrupt.line.level() && read_u32(&config, 4) >> 16 & 8 != 0);
        config.write(0x44, &0xfee0_1000_u32.to_le_bytes());
        config.write(0x4c, &0x4041_u16.to_le_bytes());
        config.write(0x42, &1_u16.to_le_bytes());
        interrupt.update(&mut config, true, false);
        assert!(!interrupt.line.level() && messages.0.lock().is_empty());
        interrupt.update(&mut config, true, true);
        interrupt.update(&mut config, false, false);
        interrupt.update(&mut config, true, false);
        assert_eq!(*messages.0.lock(), [(0xfee0_1000, 0x4041); 2]);
    }

    #[test]
    fn the_pin_is_masked_by_the_command_register() {
        let mut config = function();
        let mut interrupt = PciInterrupt::new(InterruptLine::detached(), Arc::new(machine::line::NoMsi));
        config.write(COMMAND as u16, &COMMAND_INTX_DISABLE.to_le_bytes());
        interrupt.update(&mut config, true, true);
        assert!(!interrupt.line.level());
    }

    #[test]
    fn another_functions_state_is_refused() {
        let mut config = function();
        config.write(0x24, &0xfebf_0000_u32.to_le_bytes());
        let saved = config.save();
        let mut same = function();
        same.restore("test", &saved).unwrap();
        assert_eq!(same.save(), saved);
        let mut other = ConfigSpace::new(&Identity { device: 1, ..IDENTITY });
        assert!(other.restore("test", &saved).is_err());
        assert!(other.restore("test", &SavedConfig { bytes: Bytes(vec![0; 3]) }).is_err());
    }
}
