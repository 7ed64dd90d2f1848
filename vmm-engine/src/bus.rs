//! The two buses that a processor sees, ports and physical addresses: which device answers where.
//!
//! Lock order: a bus's table is locked only while a claim is looked up or changed, never while a device is
//! called. A device's own lock is taken for one access. A device never calls a bus.

use std::{collections::BTreeMap, sync::Arc};

use machine::{access, device::Device};
use parking_lot::{Mutex, RwLock};

/// A device, shared by the buses, its engine and its workers.
pub type SharedDevice = Arc<Mutex<dyn Device>>;

/// A range of a bus, and who answers there.
#[derive(Clone)]
struct Claim {
    len: u64,
    region: u8,
    device: SharedDevice,
}

/// Somebody else answers in part of the range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the range {base:#x} with {len:#x} bytes is taken at {taken:#x}")]
pub struct Taken {
    /// Start of the range that was asked for.
    pub base: u64,
    /// Its length.
    pub len: u64,
    /// Start of the claim that is in the way.
    pub taken: u64,
}

/// One bus: non-overlapping claims by first address.
#[derive(Default)]
struct Table(RwLock<BTreeMap<u64, Claim>>);

/// The part of an access that one claim answers.
struct Part {
    start: usize,
    end: usize,
    offset: u64,
    claim: Option<(u8, SharedDevice)>,
}

impl Table {
    fn claim(&self, base: u64, len: u64, region: u8, device: SharedDevice) -> Result<(), Taken> {
        let mut claims = self.0.write();
        let end = base.saturating_add(len);
        let overlapping = claims.range(..end).next_back().filter(|(start, claim)| *start + claim.len > base);
        if let Some((&taken, _)) = overlapping {
            return Err(Taken { base, len, taken });
        }
        claims.insert(base, Claim { len, region, device });
        Ok(())
    }

    fn release(&self, base: u64, device: &SharedDevice) {
        let mut claims = self.0.write();
        if claims.get(&base).is_some_and(|claim| Arc::ptr_eq(&claim.device, device)) {
            claims.remove(&base);
        }
    }

    /// The claim that answers at `address`: how far it reaches from there, and the device. Without one, how far
    /// nobody answers.
    fn find(&self, address: u64) -> (u64, u64, Option<(u8, SharedDevice)>) {
        let claims = self.0.read();
        if let Some((&base, claim)) = claims.range(..=address).next_back()
            && address - base < claim.len
        {
            return (address - base, base + claim.len - address, Some((claim.region, claim.device.clone())));
        }
        let free = claims.range(address..).next().map_or(u64::MAX, |(&base, _)| base - address);
        (0, free, None)
    }

    /// Cuts an access of `len` bytes at `address` into the parts that different claims answer. Nearly always one.
    fn parts(&self, address: u64, len: usize) -> impl Iterator<Item = Part> + '_ {
        let mut start = 0;
        std::iter::from_fn(move || {
            (start < len).then(|| {
                let (offset, reach, claim) = self.find(address.wrapping_add(start as u64));
                let end = len.min(start.saturating_add(usize::try_from(reach).unwrap_or(usize::MAX)));
                let part = Part { start, end, offset, claim };
                start = end;
                part
            })
        })
    }
}

/// Both buses of a PC.
#[derive(Default)]
pub struct Buses {
    ports: Table,
    memory: Table,
}

impl Buses {
    /// Lets `device` answer at `len` ports from `base` on, as its region `region`.
    ///
    /// # Errors
    /// Somebody else answers there.
    pub fn claim_ports(&self, base: u16, len: u16, region: u8, device: SharedDevice) -> Result<(), Taken> {
        self.ports.claim(base.into(), len.into(), region, device)
    }

    /// Lets `device` answer at `len` physical addresses from `base` on, as its region `region`.
    ///
    /// # Errors
    /// Somebody else answers there.
    pub fn claim_memory(&self, base: u64, len: u64, region: u8, device: SharedDevice) -> Result<(), Taken> {
        self.memory.claim(base, len, region, device)
    }

    /// Takes back a claim of `device` that starts at port `base`, if there is one.
    pub fn release_ports(&self, base: u16, device: &SharedDevice) {
        self.ports.release(base.into(), device);
    }

    /// Takes back a claim of `device` that starts at address `base`, if there is one.
    pub fn release_memory(&self, base: u64, device: &SharedDevice) {
        self.memory.release(base, device);
    }

    /// Takes back every claim. A device that holds the buses is held by them, too: whoever takes a machine apart ends
    /// that here.
    pub fn clear(&self) {
        // Devices are dropped after the tables are unlocked: they may be the last of their kind.
        let claims = [&self.ports, &self.memory].map(|table| std::mem::take(&mut *table.0.write()));
        drop(claims);
    }

    /// A port read. Where nobody answers it gives all ones.
    pub fn port_read(&self, port: u16, data: &mut [u8]) {
        for part in self.ports.parts(port.into(), data.len()) {
            let data = &mut data[part.start..part.end];
            let answered = part.claim.is_some_and(|(region, device)| {
                device.lock().port_io().map(|facet| facet.port_read(region, part.offset as u16, data)).is_some()
            });
            if !answered {
                access::fill_unclaimed(data);
            }
        }
    }

    /// A port write.
    pub fn port_write(&self, port: u16, data: &[u8]) {
        for part in self.ports.parts(port.into(), data.len()) {
            if let Some((region, device)) = part.claim
                && let Some(facet) = device.lock().port_io()
            {
                facet.port_write(region, part.offset as u16, &data[part.start..part.end]);
            }
        }
    }

    /// A read of a physical address that isn't memory. Where nobody answers it gives all ones.
    pub fn mmio_read(&self, address: u64, data: &mut [u8]) {
        for part in self.memory.parts(address, data.len()) {
            let data = &mut data[part.start..part.end];
            let answered = part.claim.is_some_and(|(region, device)| {
                device.lock().mmio().map(|facet| facet.mmio_read(region, part.offset, data)).is_some()
            });
            if !answered {
                access::fill_unclaimed(data);
            }
        }
    }

    /// A write to a physical address that isn't memory.
    pub fn mmio_write(&self, address: u64, data: &[u8]) {
        for part in self.memory.parts(address, data.len()) {
            if let Some((region, device)) = part.claim
                && let Some(facet) = device.lock().mmio()
            {
                facet.mmio_write(region, part.offset, &data[part.start..part.end]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use machine::{
        component::Component,
        device::{Mmio, PortIo},
        saved::{RestoreError, SaveError, SavedUnit},
    };

    use super::*;

    /// Reads give its mark plus the offset; writes are remembered.
    struct Marker(u8, Vec<(u8, u64, Vec<u8>)>);
    impl Component for Marker {
        fn name(&self) -> &str {
            "marker"
        }
        fn start(&mut self) {}
        fn stop(&mut self) {}
        fn reset(&mut self) {}
        fn save(&mut self) -> Result<SavedUnit, SaveError> {
            Ok(SavedUnit { kind: "marker".into(), version: 1, data: machine::saved::Bytes::default() })
        }
        fn restore(&mut self, _unit: &SavedUnit) -> Result<(), RestoreError> {
            Ok(())
        }
    }
    impl PortIo for Marker {
        fn port_read(&mut self, _region: u8, offset: u16, data: &mut [u8]) {
            access::read_bytewise(offset, data, |offset| self.0 + offset as u8);
        }
        fn port_write(&mut self, region: u8, offset: u16, data: &[u8]) {
            self.1.push((region, offset.into(), data.to_vec()));
        }
    }
    impl Mmio for Marker {
        fn mmio_read(&mut self, region: u8, offset: u64, data: &mut [u8]) {
            self.port_read(region, offset as u16, data);
        }
        fn mmio_write(&mut self, region: u8, offset: u64, data: &[u8]) {
            self.1.push((region, offset, data.to_vec()));
        }
    }
    impl Device for Marker {
        fn port_io(&mut self) -> Option<&mut dyn PortIo> {
            Some(self)
        }
        fn mmio(&mut self) -> Option<&mut dyn Mmio> {
            Some(self)
        }
    }

    fn marker(mark: u8) -> Arc<Mutex<Marker>> {
        Arc::new(Mutex::new(Marker(mark, Vec::new())))
    }

    #[test]
    fn an_access_goes_to_whoever_claims_it_and_ones_come_from_nobody() {
        let buses = Buses::default();
        buses.claim_ports(0x60, 1, 0, marker(0x10)).unwrap();
        buses.claim_ports(0x61, 1, 0, marker(0x20)).unwrap();
        let mut data = [0; 4];
        buses.port_read(0x60, &mut data);
        assert_eq!(data, [0x10, 0x20, 0xff, 0xff]);
        buses.port_read(0x5f, &mut data[..2]);
        assert_eq!(data[..2], [0xff, 0x10]);
    }

    #[test]
    fn the_last_port_and_the_last_address_are_reached() {
        let buses = Buses::default();
        buses.claim_ports(0xfffe, 2, 0, marker(1)).unwrap();
        buses.claim_memory(u64::MAX - 1, 1, 0, marker(1)).unwrap();
        let mut data = [0; 4];
        buses.port_read(0xfffe, &mut data);
        assert_eq!(data, [1, 2, 0xff, 0xff]);
        buses.mmio_read(u64::MAX - 1, &mut data);
        assert_eq!(data, [1, 0xff, 0xff, 0xff]);
    }

    #[test]
    fn overlapping_claims_are_refused() {
        let buses = Buses::default();
        buses.claim_memory(0x1000, 0x1000, 0, marker(0)).unwrap();
        for (base, len) in [(0x1000, 1), (0x1fff, 2), (0, 0x1001), (0, 0x4000), (0x1800, 0x100)] {
            let taken = Taken { base, len, taken: 0x1000 };
            assert_eq!(buses.claim_memory(base, len, 0, marker(0)), Err(taken));
        }
        buses.claim_memory(0x2000, 1, 0, marker(0)).unwrap();
        buses.claim_memory(0xfff, 1, 0, marker(0)).unwrap();
    }

    #[test]
    fn a_released_claim_answers_no_more_and_only_its_owner_releases() {
        let buses = Buses::default();
        let (owner, other) = (marker(5), marker(6));
        buses.claim_memory(0x1000, 0x10, 3, owner.clone()).unwrap();
        let (owner_device, other_device): (SharedDevice, SharedDevice) = (owner.clone(), other);
        buses.release_memory(0x1000, &other_device);
        buses.mmio_write(0x1008, &[1, 2]);
        assert_eq!(owner.lock().1, [(3, 8, vec![1, 2])]);
        buses.release_memory(0x1000, &owner_device);
        let mut data = [0];
        buses.mmio_read(0x1000, &mut data);
        assert_eq!(data, [0xff]);
    }
}
