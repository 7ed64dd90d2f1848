//! The LPC bridge: device 31, function 0 of an Intel I/O Controller Hub 9 (ICH9 data sheet, chapter 13), with the
//! interrupt routing and the power management that hang from it.
//!
//! Modelled: PMBASE and ACPI_CNTL, the PIRQ routing registers, the root complex base address with the interrupt
//! route registers as memory, the APM ports. Left out: GPIO, SMI (there is no system management mode: SMI_EN says
//! that the firmware's part of it is done already), the watchdog, the LPC decode ranges (read back only).

mod pirq;
mod power;

use std::sync::Arc;

use machine::{
    access,
    component::Component,
    device::{DecodedRange, Device, Mmio, PciConfig, PortIo, Space},
    line::InterruptLine,
    saved::{Bytes, RestoreError, SaveError, SavedState, SavedUnit},
    time::{Clock, Timer},
};
use serde::{Deserialize, Serialize};

use self::power::Power;
pub use self::{
    pirq::PirqRouter,
    power::{PORTS as POWER_PORTS, SleepRequest},
};
use crate::pci::{ConfigSpace, Identity, SavedConfig};

/// Region number of the APM ports 0xB2 and 0xB3.
pub const REGION_APM: u8 = 0;
const REGION_POWER: u8 = 0x50;
const REGION_RCRB: u8 = 0xf0;

const PMBASE: u16 = 0x40;
const ACPI_CNTL: u16 = 0x44;
const PIRQA_ROUT: u16 = 0x60;
const PIRQE_ROUT: u16 = 0x68;
const RCBA: u16 = 0xf0;

const ACPI_CNTL_EN: u8 = 1 << 7;

/// Length of the root complex register block.
const RCRB_LEN: usize = 0x4000;
/// Device 31 to 25 interrupt route registers: pin A to D of the device go to PIRQA to PIRQD.
const INTERRUPT_ROUTES: [usize; 7] = [0x3140, 0x3142, 0x3144, 0x3146, 0x3148, 0x314c, 0x3150];
const INTERRUPT_ROUTE_DEFAULT: u16 = 0x3210;

/// What the LPC bridge is given.
pub struct Dependencies {
    /// The PIRQ routing, of which the bridge holds the registers.
    pub pirq: Arc<PirqRouter>,
    /// The system control interrupt: IRQ 9.
    pub sci: InterruptLine,
    /// The machine's time, for the power management timer.
    pub clock: Clock,
    /// Fires when the power management timer overflows.
    pub timer: Timer,
    /// Told when the guest asks to sleep or to be switched off.
    pub sleep: Arc<dyn Fn(SleepRequest) + Send + Sync>,
}

/// The ICH9 LPC bridge.
pub struct Lpc {
    config: ConfigSpace,
    pirq: Arc<PirqRouter>,
    power: Power,
    apm: [u8; 2],
    rcrb: Box<[u8]>,
}

impl Lpc {
    /// An LPC bridge in power-on state.
    #[must_use]
    pub fn new(dependencies: Dependencies) -> Self {
        let Dependencies { pirq, sci, clock, timer, sleep } = dependencies;
        let identity = Identity {
            vendor: 0x8086,
            device: 0x2918,
            class: 0x06_01_00,
            revision: 2,
            subsystem_vendor: 0x1af4,
            subsystem: 0x1100,
        };
        let config = ConfigSpace::new(&identity)
            .with_multifunction()
            .with_registers(0x04, &[0x07, 0], &[])
            .with_registers(PMBASE, &1_u32.to_le_bytes(), &0xff80_u32.to_le_bytes())
            .with_registers(ACPI_CNTL, &[0], &[ACPI_CNTL_EN | 7])
            .with_registers(PIRQA_ROUT, &[0x80; 4], &[0x8f; 4])
            .with_registers(0x64, &[0x10], &[0xff])
            .with_registers(PIRQE_ROUT, &[0x80; 4], &[0x8f; 4])
            .with_registers(0x80, &[0; 16], &[0xff; 16])
            .with_registers(0xa0, &[0; 16], &[0xff; 16])
            .with_registers(RCBA, &[0; 4], &0xffff_c001_u32.to_le_bytes());
        let mut lpc = Lpc {
            config,
            pirq,
            power: Power::new(sci, clock, timer, sleep),
            apm: [0; 2],
            rcrb: vec![0; RCRB_LEN].into(),
        };
        lpc.reset_rcrb();
        lpc
    }

    /// Presses the power button for a moment.
    pub fn press_power_button(&mut self) {
        self.power.press_button();
    }

    /// The timer that was given to the bridge has fired.
    pub fn timer_fired(&mut self) {
        self.power.timer_fired();
    }

    fn reset_rcrb(&mut self) {
        self.rcrb.fill(0);
        for register in INTERRUPT_ROUTES {
            self.rcrb[register..register + 2].copy_from_slice(&INTERRUPT_ROUTE_DEFAULT.to_le_bytes());
        }
    }

    fn routes(&self) -> [u8; 8] {
        let mut routes = [0; 8];
        self.config.read(PIRQA_ROUT, &mut routes[..4]);
        self.config.read(PIRQE_ROUT, &mut routes[4..]);
        routes
    }
}

impl PciConfig for Lpc {
    fn config_read(&mut self, offset: u16, data: &mut [u8]) {
        self.config.read(offset, data);
    }

    fn config_write(&mut self, offset: u16, data: &[u8]) {
        self.config.write(offset, data);
        self.pirq.set_routes(self.routes());
    }

    fn decoded(&self) -> Vec<DecodedRange> {
        let (mut base, mut control, mut rcba) = ([0; 4], [0], [0; 4]);
        self.config.read(PMBASE, &mut base);
        self.config.read(ACPI_CNTL, &mut control);
        self.config.read(RCBA, &mut rcba);
        let base = u64::from(u32::from_le_bytes(base) & 0xff80);
        let rcba = u32::from_le_bytes(rcba);
        let power = DecodedRange { bar: REGION_POWER, space: Space::Port, base, len: POWER_PORTS.into() };
        let block = DecodedRange {
            bar: REGION_RCRB,
            space: Space::Memory,
            base: u64::from(rcba & 0xffff_c000),
            len: RCRB_LEN as u64,
        };
        let power_on = control[0] & ACPI_CNTL_EN != 0 && base != 0;
        [(power_on, power), (rcba & 1 != 0, block)].into_iter().filter(|(on, _)| *on).map(|(_, range)| range).collect()
    }
}

impl PortIo for Lpc {
    fn port_read(&mut self, region: u8, offset: u16, data: &mut [u8]) {
        match region {
            REGION_POWER => self.power.read(offset, data),
            _ => access::read_slice(&self.apm, offset.into(), data),
        }
    }

    fn port_write(&mut self, region: u8, offset: u16, data: &[u8]) {
        if region == REGION_POWER {
            return self.power.write(offset, data);
        }
        access::write_bytewise(offset, data, |at, value| {
            if let Some(byte) = self.apm.get_mut(usize::from(at)) {
                *byte = value;
            }
        });
    }
}

impl Mmio for Lpc {
    fn mmio_read(&mut self, _region: u8, offset: u64, data: &mut [u8]) {
        access::read_slice(&self.rcrb, offset, data);
    }

    fn mmio_write(&mut self, _region: u8, offset: u64, data: &[u8]) {
        for (index, &value) in data.iter().enumerate() {
            let at = usize::try_from(offset).ok().and_then(|offset| offset.checked_add(index));
            if let Some(byte) = at.and_then(|at| self.rcrb.get_mut(at)) {
                *byte = value;
            }
        }
    }
}

impl Device for Lpc {
    fn port_io(&mut self) -> Option<&mut dyn PortIo> {
        Some(self)
    }
    fn mmio(&mut self) -> Option<&mut dyn Mmio> {
        Some(self)
    }
    fn pci(&mut self) -> Option<&mut dyn PciConfig> {
        Some(self)
    }
}

mod saved {
    use super::{Bytes, Deserialize, SavedConfig, SavedState, Serialize, power};

    #[derive(Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    pub(super) struct Lpc {
        pub(super) config: SavedConfig,
        pub(super) power: power::Saved,
        pub(super) pirq_levels: u8,
        pub(super) apm: [u8; 2],
        pub(super) root_complex: Bytes,
    }

    impl SavedState for Lpc {
        const KIND: &'static str = "ich9-lpc";
        const VERSION: u32 = 1;
    }
}

impl Component for Lpc {
    fn name(&self) -> &str {
        "lpc"
    }

    fn start(&mut self) {}

    fn stop(&mut self) {}

    fn reset(&mut self) {
        self.config.reset();
        self.power.reset();
        self.apm = [0; 2];
        self.reset_rcrb();
        self.pirq.set_routes(self.routes());
    }

    fn save(&mut self) -> Result<SavedUnit, SaveError> {
        SavedUnit::of(&saved::Lpc {
            config: self.config.save(),
            power: self.power.save(),
            pirq_levels: self.pirq.levels(),
            apm: self.apm,
            root_complex: Bytes(self.rcrb.to_vec()),
        })
    }

    fn restore(&mut self, unit: &SavedUnit) -> Result<(), RestoreError> {
        let saved: saved::Lpc = unit.open()?;
        if saved.root_complex.0.len() != RCRB_LEN {
            let what = format!("a root complex block of {} bytes", saved.root_complex.0.len());
            return Err(RestoreError::Impossible { kind: saved::Lpc::KIND, what });
        }
        self.config.restore(saved::Lpc::KIND, &saved.config)?;
        self.power.restore(&saved.power);
        self.apm = saved.apm;
        self.rcrb.copy_from_slice(&saved.root_complex.0);
        self.pirq.restore(self.routes(), saved.pirq_levels);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use machine::device_contract;

    use super::*;

    fn lpc() -> Lpc {
        Lpc::new(Dependencies {
            pirq: PirqRouter::detached(),
            sci: InterruptLine::detached(),
            clock: Clock::manual(Duration::ZERO),
            timer: Timer::detached(),
            sleep: Arc::new(|_| ()),
        })
    }

    #[test]
    fn power_management_is_decoded_where_the_firmware_puts_it() {
        let mut lpc = lpc();
        lpc.config_write(PMBASE, &0x600_u32.to_le_bytes());
        assert!(lpc.decoded().is_empty());
        lpc.config_write(ACPI_CNTL, &[ACPI_CNTL_EN]);
        assert_eq!(lpc.decoded(), [DecodedRange { bar: REGION_POWER, space: Space::Port, base: 0x600, len: 128 }]);
    }

    #[test]
    fn the_root_complex_block_is_decoded_while_enabled() {
        let mut lpc = lpc();
        lpc.config_write(RCBA, &0xfed1_c001_u32.to_le_bytes());
        let block = DecodedRange { bar: REGION_RCRB, space: Space::Memory, base: 0xfed1_c000, len: 0x4000 };
        assert_eq!(lpc.decoded(), [block]);
        let mut data = [0; 2];
        lpc.mmio_read(REGION_RCRB, 0x3140, &mut data);
        assert_eq!(u16::from_le_bytes(data), INTERRUPT_ROUTE_DEFAULT);
    }

    device_contract!(
        contract,
        lpc(),
        &[
            Region::Config,
            Region::Port { region: REGION_APM, len: 2 },
            Region::Port { region: REGION_POWER, len: POWER_PORTS },
            Region::Memory { region: REGION_RCRB, len: RCRB_LEN as u64 },
        ]
    );
}
