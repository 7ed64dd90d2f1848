//! The root of PCI bus 0: configuration access by ports (PCI Local Bus 3.0, section 3.2.2.3.2: CONFIG_ADDRESS at
//! 0xCF8, CONFIG_DATA at 0xCFC) and by memory (ECAM, PCI Express 3.0, section 7.2.2), and the reset control
//! register that shares the ports (ICH9, section 13.7.5: RST_CNT at 0xCF9).
//!
//! After each configuration write the root asks the functions which ranges they decode and moves them on the buses.
//! Lock order: the root's lock, then a function's, then (the function's released) a bus table's.

use std::{
    collections::BTreeMap,
    error::Error,
    sync::{Arc, Weak},
};

use hypervisor::memory::DeviceMemory;
use machine::{
    access,
    component::Component,
    device::{DecodedRange, Device, Mmio, PortIo, Space},
    rate::RateLimit,
    saved::{RestoreError, SaveError, SavedState, SavedUnit},
};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::bus::{Buses, SharedDevice, Taken};

/// Region number of ports 0xCF8 to 0xCFF.
pub const REGION_PORTS: u8 = 0;
/// Region number of the ECAM window. A function that decodes a range of this number (the host bridge) moves the
/// root's own window there.
pub const REGION_ECAM: u8 = 0xec;

/// Offsets in the port region.
const CONFIG_ADDRESS: u16 = 0;
const RST_CNT: u16 = 1;
const CONFIG_DATA: u16 = 4;

const CONFIG_ADDRESS_ENABLE: u32 = 1 << 31;
const RST_CNT_CPU: u8 = 1 << 2;

/// Makes device memory visible to the guest, at an address.
pub trait MemoryMapper: Send + Sync {
    /// Shows `memory` at `base`, and logs what the guest writes to it. The mapping ends when the value is dropped.
    ///
    /// # Errors
    /// The range is taken, or the host refuses.
    fn map(&self, base: u64, memory: &DeviceMemory) -> Result<Box<dyn Send>, Box<dyn Error + Send + Sync>>;
}

/// A slot of bus 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slot {
    /// Device number, 0 to 31.
    pub device: u8,
    /// Function number, 0 to 7.
    pub function: u8,
}

impl Slot {
    fn devfn(self) -> u8 {
        self.device << 3 | self.function
    }
}

struct Function {
    device: SharedDevice,
    /// Base address registers whose range is memory that the guest sees without an exit.
    memory: Vec<(u8, DeviceMemory)>,
    active: Vec<(DecodedRange, Option<Box<dyn Send>>)>,
}

/// The PCI root.
pub struct PciRoot {
    buses: Arc<Buses>,
    mapper: Arc<dyn MemoryMapper>,
    reset: Arc<dyn Fn() + Send + Sync>,
    /// The root itself, as a device on the buses.
    this: Weak<Mutex<PciRoot>>,
    functions: BTreeMap<u8, Function>,
    address: u32,
    reset_control: u8,
    log: RateLimit,
}

impl PciRoot {
    /// An empty bus. `reset` is called when the guest asks for a reset through RST_CNT.
    pub fn new(
        buses: Arc<Buses>,
        mapper: Arc<dyn MemoryMapper>,
        reset: Arc<dyn Fn() + Send + Sync>,
    ) -> Arc<Mutex<Self>> {
        Arc::new_cyclic(|this| {
            Mutex::new(PciRoot {
                buses,
                mapper,
                reset,
                this: this.clone(),
                functions: BTreeMap::new(),
                address: 0,
                reset_control: 0,
                log: RateLimit::for_log(),
            })
        })
    }

    /// Puts a function into a slot, instead of what is there. `memory` names the base address registers behind
    /// which is memory.
    pub fn insert(&mut self, slot: Slot, device: SharedDevice, memory: Vec<(u8, DeviceMemory)>) {
        self.functions.insert(slot.devfn(), Function { device, memory, active: Vec::new() });
        self.update();
    }

    /// Takes every function out.
    pub fn clear(&mut self) {
        self.functions.clear();
    }

    /// Brings the buses in line with what the functions decode now: after a configuration write, a reset or a restore.
    pub fn update(&mut self) {
        let wanted = self.wanted();
        for (&devfn, function) in &mut self.functions {
            let (buses, this) = (&self.buses, &self.this);
            let device = &function.device;
            function.active.retain(|(range, mapping)| {
                let stays = wanted.contains(&(devfn, *range));
                if !stays && mapping.is_none() {
                    let owner = owner(range, this, device);
                    match range.space {
                        Space::Port => buses.release_ports(range.base as u16, &owner),
                        Space::Memory => buses.release_memory(range.base, &owner),
                    }
                }
                stays
            });
        }
        for (devfn, range) in wanted {
            if let Err(error) = self.place(devfn, range) {
                self.complain(devfn, &*error);
            }
        }
    }

    /// The ranges that are to be on the buses. Where two overlap, both would answer on a real bus; here the one in the
    /// lower slot does, whichever came first, so that the registers alone say who answers.
    fn wanted(&mut self) -> Vec<(u8, DecodedRange)> {
        let mut wanted: Vec<(u8, DecodedRange)> = Vec::new();
        let mut lost = Vec::new();
        for (&devfn, function) in &self.functions {
            let decoded = function.device.lock().pci().map(|facet| facet.decoded()).unwrap_or_default();
            for range in decoded {
                match wanted.iter().find(|(_, other)| overlap(other, &range)) {
                    Some(&(_, DecodedRange { base: taken, .. })) => {
                        lost.push((devfn, Taken { base: range.base, len: range.len, taken }));
                    }
                    None => wanted.push((devfn, range)),
                }
            }
        }
        for (devfn, taken) in lost {
            self.complain(devfn, &taken);
        }
        wanted
    }

    /// Puts a range on its bus, unless it is there.
    fn place(&mut self, devfn: u8, range: DecodedRange) -> Result<(), Box<dyn Error + Send + Sync>> {
        let Some(function) = self.functions.get_mut(&devfn) else { return Ok(()) };
        if function.active.iter().any(|(active, _)| *active == range) {
            return Ok(());
        }
        let owner = owner(&range, &self.this, &function.device);
        let memory = function.memory.iter().find(|(bar, _)| *bar == range.bar);
        let mapping = match (memory, range.space) {
            (Some((_, memory)), _) => Some(self.mapper.map(range.base, memory)?),
            (None, Space::Port) => {
                self.buses.claim_ports(range.base as u16, range.len as u16, range.bar, owner)?;
                None
            }
            (None, Space::Memory) => {
                self.buses.claim_memory(range.base, range.len, range.bar, owner)?;
                None
            }
        };
        function.active.push((range, mapping));
        Ok(())
    }

    fn complain(&mut self, devfn: u8, error: &(dyn Error + 'static)) {
        if let Some(held) = self.log.pass() {
            tracing::warn!(devfn, error, held, "a PCI range can't be placed");
        }
    }

    fn config_read(&mut self, bus: u8, devfn: u8, offset: u16, data: &mut [u8]) {
        let function = (bus == 0).then(|| self.functions.get(&devfn)).flatten();
        let answered = function.is_some_and(|function| {
            function.device.lock().pci().map(|facet| facet.config_read(offset, data)).is_some()
        });
        if !answered {
            access::fill_unclaimed(data);
        }
    }

    fn config_write(&mut self, bus: u8, devfn: u8, offset: u16, data: &[u8]) {
        let Some(function) = (bus == 0).then(|| self.functions.get(&devfn)).flatten() else { return };
        if let Some(facet) = function.device.lock().pci() {
            facet.config_write(offset, data);
        }
        self.update();
    }

    /// Bus, device and function, and register offset that CONFIG_ADDRESS points at.
    fn target(&self) -> Option<(u8, u8, u16)> {
        let address = self.address;
        (address & CONFIG_ADDRESS_ENABLE != 0).then_some((
            (address >> 16) as u8,
            (address >> 8) as u8,
            (address & 0xfc) as u16,
        ))
    }
}

/// Who answers in a range: the function, or the root for the window into the configuration spaces.
fn owner(range: &DecodedRange, root: &Weak<Mutex<PciRoot>>, function: &SharedDevice) -> SharedDevice {
    match root.upgrade() {
        Some(root) if range.bar == REGION_ECAM => root,
        _ => function.clone(),
    }
}

fn overlap(one: &DecodedRange, other: &DecodedRange) -> bool {
    one.space == other.space && one.base < other.base + other.len && other.base < one.base + one.len
}

/// Splits an access so that no part crosses a dword.
fn dword_parts(offset: u64, len: usize) -> impl Iterator<Item = (u64, std::ops::Range<usize>)> {
    let mut start = 0;
    std::iter::from_fn(move || {
        (start < len).then(|| {
            let at = offset + start as u64;
            let end = len.min(start + (4 - (at % 4) as usize));
            let part = (at, start..end);
            start = end;
            part
        })
    })
}

impl PortIo for PciRoot {
    fn port_read(&mut self, _region: u8, offset: u16, data: &mut [u8]) {
        match (offset, data.len()) {
            (CONFIG_ADDRESS, 4) => access::fill(data, self.address.into()),
            (RST_CNT, 1) => data[0] = self.reset_control,
            (CONFIG_DATA.., _) => match self.target() {
                Some((bus, devfn, register)) => {
                    for (at, part) in dword_parts(u64::from(offset - CONFIG_DATA), data.len()) {
                        self.config_read(bus, devfn, register + (at % 4) as u16, &mut data[part]);
                    }
                }
                None => access::fill_unclaimed(data),
            },
            _ => access::fill_unclaimed(data),
        }
    }

    fn port_write(&mut self, _region: u8, offset: u16, data: &[u8]) {
        match (offset, data.len()) {
            // Only a whole dword reaches CONFIG_ADDRESS; the reserved bits read as zero.
            (CONFIG_ADDRESS, 4) => self.address = access::value_of(data) as u32 & 0x80ff_fffc,
            (RST_CNT, 1) => {
                // Bit 2 going up starts the reset that bits 1 and 3 describe.
                let rises = !self.reset_control & data[0] & RST_CNT_CPU != 0;
                self.reset_control = data[0] & 0x0e;
                if rises {
                    (self.reset)();
                }
            }
            (CONFIG_DATA.., _) => {
                if let Some((bus, devfn, register)) = self.target() {
                    for (at, part) in dword_parts(u64::from(offset - CONFIG_DATA), data.len()) {
                        self.config_write(bus, devfn, register + (at % 4) as u16, &data[part]);
                    }
                }
            }
            _ => {}
        }
    }
}

impl Mmio for PciRoot {
    fn mmio_read(&mut self, _region: u8, offset: u64, data: &mut [u8]) {
        for (at, part) in dword_parts(offset, data.len()) {
            self.config_read((at >> 20) as u8, (at >> 12) as u8, at as u16 & 0xfff, &mut data[part]);
        }
    }

    fn mmio_write(&mut self, _region: u8, offset: u64, data: &[u8]) {
        for (at, part) in dword_parts(offset, data.len()) {
            self.config_write((at >> 20) as u8, (at >> 12) as u8, at as u16 & 0xfff, &data[part]);
        }
    }
}

impl Device for PciRoot {
    fn port_io(&mut self) -> Option<&mut dyn PortIo> {
        Some(self)
    }
    fn mmio(&mut self) -> Option<&mut dyn Mmio> {
        Some(self)
    }
}

/// The root's saved form.
mod saved {
    use super::{Deserialize, SavedState, Serialize};

    #[derive(Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    pub(super) struct PciRoot {
        pub(super) address: u32,
        pub(super) reset_control: u8,
    }

    impl SavedState for PciRoot {
        const KIND: &'static str = "pci-root";
        const VERSION: u32 = 1;
    }
}

impl Component for PciRoot {
    fn name(&self) -> &str {
        "pci-root"
    }

    fn start(&mut self) {}

    fn stop(&mut self) {}

    fn reset(&mut self) {
        self.address = 0;
        self.reset_control = 0;
    }

    fn save(&mut self) -> Result<SavedUnit, SaveError> {
        SavedUnit::of(&saved::PciRoot { address: self.address, reset_control: self.reset_control })
    }

    fn restore(&mut self, unit: &SavedUnit) -> Result<(), RestoreError> {
        let saved: saved::PciRoot = unit.open()?;
        self.address = saved.address & 0x80ff_fffc;
        self.reset_control = saved.reset_control & 0x0e;
        Ok(())
    }
}

/// For tests: device memory is never mapped.
#[cfg(test)]
pub(crate) struct NoMapper;

#[cfg(test)]
impl MemoryMapper for NoMapper {
    fn map(&self, _: u64, _: &DeviceMemory) -> Result<Box<dyn Send>, Box<dyn Error + Send + Sync>> {
        Ok(Box::new(()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use machine::{access::value_of, device::PciConfig, device_contract, saved::Bytes};

    use super::*;
    use crate::pci::{BarKind, ConfigSpace, Identity};

    struct Card(ConfigSpace);
    impl Component for Card {
        fn name(&self) -> &str {
            "card"
        }
        fn start(&mut self) {}
        fn stop(&mut self) {}
        fn reset(&mut self) {
            self.0.reset();
        }
        fn save(&mut self) -> Result<SavedUnit, SaveError> {
            Ok(SavedUnit { kind: "card".into(), version: 1, data: Bytes::default() })
        }
        fn restore(&mut self, _unit: &SavedUnit) -> Result<(), RestoreError> {
            Ok(())
        }
    }
    impl PciConfig for Card {
        fn config_read(&mut self, offset: u16, data: &mut [u8]) {
            self.0.read(offset, data);
        }
        fn config_write(&mut self, offset: u16, data: &[u8]) {
            self.0.write(offset, data);
        }
        fn decoded(&self) -> Vec<DecodedRange> {
            self.0.decoded()
        }
    }
    impl Mmio for Card {
        fn mmio_read(&mut self, region: u8, offset: u64, data: &mut [u8]) {
            access::fill(data, u64::from(region) << 4 | offset);
        }
        fn mmio_write(&mut self, _region: u8, _offset: u64, _data: &[u8]) {}
    }
    impl Device for Card {
        fn mmio(&mut self) -> Option<&mut dyn Mmio> {
            Some(self)
        }
        fn pci(&mut self) -> Option<&mut dyn PciConfig> {
            Some(self)
        }
    }

    fn root(resets: Arc<AtomicU32>) -> (Arc<Buses>, Arc<Mutex<PciRoot>>) {
        let buses = Arc::new(Buses::default());
        let reset = Arc::new(move || {
            resets.fetch_add(1, Ordering::SeqCst);
        });
        let root = PciRoot::new(buses.clone(), Arc::new(NoMapper), reset);
        root.lock().insert(Slot { device: 3, function: 1 }, Arc::new(Mutex::new(Card(config_space(2)))), Vec::new());
        (buses, root)
    }

    /// Of a function with 4 KiB behind base address register `bar`.
    fn config_space(bar: u8) -> ConfigSpace {
        let identity = Identity {
            vendor: 0x1234,
            device: 0x5678,
            class: 0xff_00_00,
            revision: 0,
            subsystem_vendor: 0,
            subsystem: 0,
        };
        ConfigSpace::new(&identity).with_bar(bar, BarKind::Memory { prefetchable: false }, 0x1000)
    }

    fn read(root: &mut PciRoot, address: u32, len: usize) -> u64 {
        root.port_write(0, CONFIG_ADDRESS, &address.to_le_bytes());
        let mut data = [0; 4];
        root.port_read(0, CONFIG_DATA, &mut data[..len]);
        value_of(&data[..len])
    }

    fn write(root: &mut PciRoot, address: u32, value: u32) {
        root.port_write(0, CONFIG_ADDRESS, &address.to_le_bytes());
        root.port_write(0, CONFIG_DATA, &value.to_le_bytes());
    }

    const CARD: u32 = 0x8000_0000 | 3 << 11 | 1 << 8;

    #[test]
    fn functions_are_found_by_ports_and_by_memory() {
        let (_, root) = root(Arc::default());
        let mut root = root.lock();
        assert_eq!(read(&mut root, CARD, 4), 0x5678_1234);
        assert_eq!(read(&mut root, CARD & 0x7fff_ffff, 4), 0xffff_ffff);
        assert_eq!(read(&mut root, 0x8000_0000 | 4 << 11, 4), 0xffff_ffff);
        assert_eq!(read(&mut root, CARD | 1 << 16, 4), 0xffff_ffff);
        let mut data = [0; 8];
        root.mmio_read(REGION_ECAM, 3 << 15 | 1 << 12, &mut data);
        assert_eq!(data[..4], [0x34, 0x12, 0x78, 0x56]);
        root.mmio_read(REGION_ECAM, 3 << 15 | 1 << 12 | 2, &mut data[..4]);
        assert_eq!(data[..2], [0x78, 0x56]);
    }

    #[test]
    fn a_range_moves_when_its_register_is_written() {
        let (buses, root) = root(Arc::default());
        let mut root = root.lock();
        let mut data = [0];
        write(&mut root, CARD | 0x18, 0xe000_0000);
        write(&mut root, CARD | 0x04, 2);
        buses.mmio_read(0xe000_0003, &mut data);
        assert_eq!(data, [0x23]);
        write(&mut root, CARD | 0x18, 0xe000_1000);
        buses.mmio_read(0xe000_0003, &mut data);
        assert_eq!(data, [0xff]);
        buses.mmio_read(0xe000_1005, &mut data);
        assert_eq!(data, [0x25]);
        write(&mut root, CARD | 0x04, 0);
        buses.mmio_read(0xe000_1005, &mut data);
        assert_eq!(data, [0xff]);
    }

    #[test]
    fn where_two_functions_decode_one_address_the_lower_slot_answers_whoever_came_first() {
        let (buses, root) = root(Arc::default());
        let mut root = root.lock();
        let second = CARD + (1 << 11);
        root.insert(Slot { device: 4, function: 1 }, Arc::new(Mutex::new(Card(config_space(3)))), Vec::new());
        let answer = || {
            let mut data = [0];
            buses.mmio_read(0xe000_0000, &mut data);
            data[0]
        };
        write(&mut root, second | 0x1c, 0xe000_0000);
        write(&mut root, second | 0x04, 2);
        assert_eq!(answer(), 0x30);
        write(&mut root, CARD | 0x18, 0xe000_0000);
        write(&mut root, CARD | 0x04, 2);
        assert_eq!(answer(), 0x20);
        write(&mut root, CARD | 0x18, 0xe100_0000);
        assert_eq!(answer(), 0x30);
    }

    #[test]
    fn a_reset_is_asked_for_by_an_edge() {
        let resets = Arc::new(AtomicU32::new(0));
        let (_, root) = root(resets.clone());
        let mut root = root.lock();
        for value in [0x02, 0x06, 0x06, 0x00, 0x0e] {
            root.port_write(0, RST_CNT, &[value]);
        }
        assert_eq!(resets.load(Ordering::SeqCst), 2);
    }

    /// The root alone, without functions that would go on the buses.
    fn lone_root() -> PciRoot {
        let root = PciRoot::new(Arc::default(), Arc::new(NoMapper), Arc::new(|| ()));
        Arc::into_inner(root).map(Mutex::into_inner).unwrap()
    }

    device_contract!(
        contract,
        lone_root(),
        &[Region::Port { region: REGION_PORTS, len: 8 }, Region::Memory { region: REGION_ECAM, len: 1 << 28 }]
    );
}
