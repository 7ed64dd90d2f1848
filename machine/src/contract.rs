//! The contract tests that every device passes, in one macro.

use crate::{access, device::Device};

/// A small generator of test accesses (xorshift64*), the same on each run for the same seed.
#[derive(Debug, Clone)]
pub struct Accesses(u64);

impl Accesses {
    /// A sequence from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Accesses(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `limit` (which is not zero).
    pub fn below(&mut self, limit: u64) -> u64 {
        self.number() % limit
    }

    /// One access to `device`: on a random facet that it has, in a random region of `regions`
    /// (facet, number, length), read or write, of a size that the bus allows.
    pub fn step(&mut self, device: &mut dyn Device, regions: &[Region]) {
        let Some(&region) = regions.get(self.below(regions.len().max(1) as u64) as usize) else { return };
        let write = self.number() & 1 == 1;
        let mut data = [0; 8];
        access::fill(&mut data, if self.below(4) == 0 { self.number() & 0xff } else { self.number() });
        match region {
            Region::Port { region, len } => {
                let size = 1 << self.below(3);
                let offset = self.below(u64::from(len)) as u16;
                let Some(facet) = device.port_io() else { return };
                if write {
                    facet.port_write(region, offset, &data[..size]);
                } else {
                    facet.port_read(region, offset, &mut data[..size]);
                }
            }
            Region::Memory { region, len } => {
                let size = 1 + self.below(8) as usize;
                let offset = self.below(len);
                let Some(facet) = device.mmio() else { return };
                if write {
                    facet.mmio_write(region, offset, &data[..size]);
                } else {
                    facet.mmio_read(region, offset, &mut data[..size]);
                }
            }
            Region::Config => {
                let size = 1 << self.below(3);
                let len = if self.below(2) == 0 { 0x100 } else { 0x1000 };
                let offset = self.below(len) as u16 & !(size as u16 - 1);
                let Some(facet) = device.pci() else { return };
                if write {
                    facet.config_write(offset, &data[..size]);
                    let _ = facet.decoded();
                } else {
                    facet.config_read(offset, &mut data[..size]);
                }
            }
        }
    }
}

/// A range of a device that the contract tests access.
#[derive(Debug, Clone, Copy)]
pub enum Region {
    /// Ports: region number and length.
    Port {
        /// The region's number.
        region: u8,
        /// Its length, in ports.
        len: u16,
    },
    /// Memory: region number and length.
    Memory {
        /// The region's number.
        region: u8,
        /// Its length, in bytes.
        len: u64,
    },
    /// The PCI configuration space.
    Config,
}

/// Writes the contract tests of a device: `device_contract!(name, make, regions)`, where `make` is an
/// expression that gives a new device (a fresh one each time it is evaluated, always of the same
/// configuration) and `regions` a `&[Region]`.
///
/// - *Nothing panics*: thousands of random accesses, wide ones and ones across a region's end included.
/// - *Saving loses nothing*: after random accesses, what a fresh device saves once it was restored equals what
///   was saved; then both are given the same further accesses, and still equal each other.
/// - *A reset device equals a new one*. A device that keeps something over a reset takes a fourth argument,
///   `kept`: a closure that makes of the state saved just before the reset the one expected after it.
/// - *A foreign state is refused* and changes nothing.
#[macro_export]
macro_rules! device_contract {
    ($name:ident, $make:expr, $regions:expr) => {
        $crate::device_contract!($name, $make, $regions, |_before: SavedUnit| $make.save().unwrap());
    };
    ($name:ident, $make:expr, $regions:expr, $kept:expr) => {
        mod $name {
            #[allow(unused_imports)]
            use super::*;
            use $crate::{
                component::Component,
                contract::{Accesses, Region},
                saved::SavedUnit,
            };

            fn regions() -> Vec<Region> {
                let regions: &[Region] = $regions;
                regions.to_vec()
            }

            #[test]
            fn arbitrary_accesses_do_not_panic() {
                for seed in 0..8 {
                    let mut device = $make;
                    let mut accesses = Accesses::new(seed);
                    for _ in 0..4000 {
                        accesses.step(&mut device, &regions());
                    }
                }
            }

            #[test]
            fn saving_and_restoring_loses_nothing() {
                for seed in 0..8 {
                    let mut device = $make;
                    let mut accesses = Accesses::new(seed);
                    for _ in 0..200 {
                        accesses.step(&mut device, &regions());
                    }
                    let saved = device.save().unwrap();
                    let mut copy = $make;
                    copy.restore(&saved).unwrap();
                    assert_eq!(copy.save().unwrap(), saved, "seed {seed}: restored state differs");
                    let mut same = accesses.clone();
                    for _ in 0..200 {
                        accesses.step(&mut device, &regions());
                        same.step(&mut copy, &regions());
                    }
                    assert_eq!(copy.save().unwrap(), device.save().unwrap(), "seed {seed}: the copy went another way");
                }
            }

            #[test]
            fn a_reset_device_equals_a_new_one() {
                for seed in 0..8 {
                    let mut device = $make;
                    let mut accesses = Accesses::new(seed);
                    for _ in 0..200 {
                        accesses.step(&mut device, &regions());
                    }
                    let expected: SavedUnit = ($kept)(device.save().unwrap());
                    device.reset();
                    assert_eq!(device.save().unwrap(), expected, "seed {seed}");
                }
            }

            #[test]
            fn a_foreign_state_is_refused_and_changes_nothing() {
                let mut device = $make;
                let before = device.save().unwrap();
                let mut foreign = before.clone();
                foreign.kind.push('x');
                assert!(device.restore(&foreign).is_err());
                let mut newer = before.clone();
                newer.version += 1;
                assert!(device.restore(&newer).is_err());
                let mut short = before.clone();
                short.data.0.truncate(short.data.0.len() / 2);
                assert!(device.restore(&short).is_err());
                assert_eq!(device.save().unwrap(), before);
            }
        }
    };
}
