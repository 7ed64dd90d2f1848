//! The host bridge: device 0 of an Intel Q35 memory controller hub (3 Series Express Chipset Family data sheet,
//! chapter 5: DRAM controller registers).
//!
//! Modelled: identity, PCIEXBAR, and the shadow memory registers PAM0 to PAM6 as far as they can be read back. Left
//! out: what PAM does to the memory (addresses 0xC0000 to 0xFFFFF are always RAM), SMRAM, the graphics port and the
//! memory timing registers.

use machine::{
    component::Component,
    device::{DecodedRange, Device, PciConfig, Space},
    saved::{RestoreError, SaveError, SavedState, SavedUnit},
};
use serde::{Deserialize, Serialize};

use super::{ConfigSpace, Identity, REGION_ECAM, SavedConfig};

/// PCI Express register range base address.
const PCIEXBAR: u16 = 0x60;
/// Programmable attribute map 0 to 6.
const PAM0: u16 = 0x90;

/// The Q35 host bridge.
pub struct HostBridge {
    config: ConfigSpace,
}

impl HostBridge {
    /// A host bridge in power-on state.
    #[must_use]
    pub fn new() -> Self {
        let identity = Identity {
            vendor: 0x8086,
            device: 0x29c0,
            class: 0x06_00_00,
            revision: 0,
            subsystem_vendor: 0x1af4,
            subsystem: 0x1100,
        };
        let mut pciexbar = [0; 8];
        // Base address bits 28 to 35, length, enable.
        pciexbar.copy_from_slice(&0xf_f000_0007_u64.to_le_bytes());
        let config = ConfigSpace::new(&identity)
            .with_registers(PCIEXBAR, &0xe000_0000_u64.to_le_bytes(), &pciexbar)
            .with_registers(PAM0, &[0; 7], &[0x30, 0x33, 0x33, 0x33, 0x33, 0x33, 0x33]);
        HostBridge { config }
    }
}

impl Default for HostBridge {
    fn default() -> Self {
        Self::new()
    }
}

impl PciConfig for HostBridge {
    fn config_read(&mut self, offset: u16, data: &mut [u8]) {
        self.config.read(offset, data);
    }

    fn config_write(&mut self, offset: u16, data: &[u8]) {
        self.config.write(offset, data);
    }

    fn decoded(&self) -> Vec<DecodedRange> {
        let mut register = [0; 8];
        self.config.read(PCIEXBAR, &mut register);
        let value = u64::from_le_bytes(register);
        // Length: 256, 128 or 64 MiB, the last encoding is reserved.
        let shift = value >> 1 & 3;
        let len = 0x1000_0000_u64 >> shift;
        let base = value & 0xf_f000_0000;
        let enabled = value & 1 != 0 && shift != 3;
        enabled.then_some(DecodedRange { bar: REGION_ECAM, space: Space::Memory, base, len }).into_iter().collect()
    }
}

impl Device for HostBridge {
    fn pci(&mut self) -> Option<&mut dyn PciConfig> {
        Some(self)
    }
}

mod saved {
    use super::{Deserialize, SavedConfig, SavedState, Serialize};

    #[derive(Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    pub(super) struct HostBridge {
        pub(super) config: SavedConfig,
    }

    impl SavedState for HostBridge {
        const KIND: &'static str = "q35-host-bridge";
        const VERSION: u32 = 1;
    }
}

impl Component for HostBridge {
    fn name(&self) -> &str {
        "host-bridge"
    }

    fn start(&mut self) {}

    fn stop(&mut self) {}

    fn reset(&mut self) {
        self.config.reset();
    }

    fn save(&mut self) -> Result<SavedUnit, SaveError> {
        SavedUnit::of(&saved::HostBridge { config: self.config.save() })
    }

    fn restore(&mut self, unit: &SavedUnit) -> Result<(), RestoreError> {
        self.config.restore(saved::HostBridge::KIND, &unit.open::<saved::HostBridge>()?.config)
    }
}

#[cfg(test)]
mod tests {
    use machine::device_contract;

    use super::*;

    #[test]
    fn the_ecam_window_follows_its_register() {
        let mut bridge = HostBridge::new();
        assert!(bridge.decoded().is_empty());
        bridge.config_write(PCIEXBAR, &0xb000_0001_u32.to_le_bytes());
        let window = DecodedRange { bar: REGION_ECAM, space: Space::Memory, base: 0xb000_0000, len: 0x1000_0000 };
        assert_eq!(bridge.decoded(), [window]);
        bridge.config_write(PCIEXBAR, &[7]);
        assert!(bridge.decoded().is_empty());
    }

    device_contract!(contract, HostBridge::new(), &[Region::Config]);
}
