//! The controller behind its lock: generic host control (AHCI 1.3.1, sections 3.1 and 10), the ports, the interrupt,
//! and the PCI function's configuration space.

use machine::{access, rate::RateLimit};

use super::{
    port::{Bus, Port},
    registers::{self, ABAR_LEN, HOST_WORDS, PORT_LEN, PORTS, PORTS_OFFSET, RegisterFile, ghc, host},
};
use crate::pci::{ConfigSpace, PciInterrupt};

/// The controller.
pub(super) struct Hba {
    pub(super) regs: RegisterFile<HOST_WORDS>,
    pub(super) ports: [Port; PORTS],
    pub(super) bus: Bus,
    pub(super) config: ConfigSpace,
    pub(super) interrupt: PciInterrupt,
    /// The index of the index/data pair.
    pub(super) index: u32,
    /// The machine runs: commands are carried out.
    pub(super) running: bool,
    /// An HBA reset waits until nothing is under way.
    resetting: bool,
    pub(super) log: RateLimit,
}

impl Hba {
    pub(super) fn new(ports: [Port; PORTS], bus: Bus, config: ConfigSpace, interrupt: PciInterrupt) -> Self {
        Hba {
            regs: RegisterFile::new(&registers::HOST),
            ports,
            bus,
            config,
            interrupt,
            index: 0,
            running: false,
            resetting: false,
            log: RateLimit::for_log(),
        }
    }

    /// Reads from the register space, a dword at a time.
    pub(super) fn read(&mut self, offset: u64, data: &mut [u8]) {
        for (index, byte) in data.iter_mut().enumerate() {
            let at = offset.wrapping_add(index as u64);
            *byte = (self.read_register(at & !3) >> (8 * (at & 3))) as u8;
        }
    }

    /// Writes to the register space. Gives the ports that may have something to do now, as bits.
    pub(super) fn write(&mut self, offset: u64, data: &[u8]) -> u32 {
        let mut ports = 0;
        let mut start = 0;
        while start < data.len() {
            let at = offset.wrapping_add(start as u64);
            let lane = (at & 3) as usize;
            let len = (4 - lane).min(data.len() - start);
            let (mut value, mut enabled) = ([0; 4], [0; 4]);
            value[lane..lane + len].copy_from_slice(&data[start..start + len]);
            enabled[lane..lane + len].fill(0xff);
            let (value, enabled) = (access::value_of(&value) as u32, access::value_of(&enabled) as u32);
            ports |= self.write_register(at & !3, value, enabled);
            start += len;
        }
        ports
    }

    /// Reads the dword at `offset`.
    pub(super) fn read_register(&self, offset: u64) -> u32 {
        match locate(offset) {
            Some(Place::Host(host::GHC)) if self.resetting => self.regs.get(host::GHC) | ghc::HR,
            Some(Place::Host(offset)) => self.regs.get(offset),
            Some(Place::Port(port, offset)) => self.ports[port].read(offset),
            None => 0,
        }
    }

    /// Writes the dword at `offset`, in the bytes that `enabled` covers. Gives the ports that may have something to do
    /// now, as bits.
    pub(super) fn write_register(&mut self, offset: u64, value: u32, enabled: u32) -> u32 {
        if self.resetting {
            return 0;
        }
        let mut ports = 0;
        match locate(offset) {
            Some(Place::Host(offset)) => {
                let ones = self.regs.write(offset, value, enabled);
                if offset == host::GHC && ones & ghc::HR != 0 {
                    self.hba_reset();
                }
            }
            Some(Place::Port(port, offset)) => {
                self.ports[port].write(&self.bus, offset, value, enabled);
                ports = 1 << port;
            }
            None => {}
        }
        self.update_interrupt();
        ports
    }

    /// GHC.HR: everything is given up; the reset is over when nothing is under way.
    fn hba_reset(&mut self) {
        self.resetting = true;
        for port in &mut self.ports {
            port.cancel();
        }
        self.try_finish_reset();
    }

    fn try_finish_reset(&mut self) {
        if !self.resetting || self.ports.iter().any(|port| port.engine.is_draining()) {
            return;
        }
        self.resetting = false;
        self.regs = RegisterFile::new(&registers::HOST);
        for port in &mut self.ports {
            if let Some(drive) = &mut port.drive {
                drive.reset(true);
            }
            port.hba_reset();
        }
    }

    /// Power-on state; nothing is under way.
    pub(super) fn reset(&mut self) {
        self.resetting = false;
        self.regs = RegisterFile::new(&registers::HOST);
        self.index = 0;
        self.config.reset();
        for port in &mut self.ports {
            if let Some(drive) = &mut port.drive {
                drive.power_on();
            }
            port.reset();
        }
        self.config_changed();
    }

    /// The configuration space was written. Gives the ports that may have something to do now, as bits.
    pub(super) fn config_changed(&mut self) -> u32 {
        self.bus.is_master = self.config.is_bus_master();
        for port in &mut self.ports {
            port.try_signature(&self.bus);
        }
        self.update_interrupt();
        (1 << PORTS) - 1
    }

    /// A request of `port` has ended.
    pub(super) fn request_ended(&mut self) {
        self.try_finish_reset();
        self.update_interrupt();
    }

    /// Whether `port` has something for a worker.
    pub(super) fn has_work(&self, port: usize) -> bool {
        self.running && !self.resetting && self.ports[port].has_work(&self.bus)
    }

    /// Whether any worker is at work.
    pub(super) fn is_occupied(&self) -> bool {
        self.ports.iter().any(|port| port.engine.is_occupied())
    }

    /// Brings IS and the interrupt in line with the ports. A bit of IS that goes up is an event: a message, if
    /// messages are what the host wants. One that the host clears while its port still has a cause goes up again.
    pub(super) fn update_interrupt(&mut self) {
        let before = self.regs.get(host::IS);
        let causes =
            self.ports.iter().enumerate().fold(0, |bits, (index, port)| bits | u32::from(port.interrupts()) << index);
        let now = before | causes;
        self.regs.put(host::IS, now);
        let enabled = self.regs.get(host::GHC) & ghc::IE != 0;
        self.interrupt.update(&mut self.config, enabled && now != 0, now & !before != 0);
    }

    /// Everything was taken over from a saved state: the interrupt gets its level back, without an edge.
    pub(super) fn restored(&mut self) {
        self.resetting = false;
        self.bus.is_master = self.config.is_bus_master();
        let pending = self.regs.get(host::GHC) & ghc::IE != 0 && self.regs.get(host::IS) != 0;
        self.interrupt.restore(&self.config, pending);
    }

    /// Says what the guest does wrong, at a limited rate.
    pub(super) fn complain(&mut self, port: usize, what: &str) {
        if let Some(held) = self.log.pass() {
            tracing::debug!(port, what, held, "the guest's AHCI driver makes a mistake");
        }
    }
}

/// A register: of the controller, or of a port.
enum Place {
    Host(u8),
    Port(usize, u8),
}

fn locate(offset: u64) -> Option<Place> {
    if offset < HOST_WORDS as u64 * 4 {
        return Some(Place::Host(offset as u8));
    }
    let at = offset.checked_sub(PORTS_OFFSET).filter(|_| offset < u64::from(ABAR_LEN))?;
    let port = (at / PORT_LEN) as usize;
    (port < PORTS).then_some(Place::Port(port, (at % PORT_LEN) as u8))
}
