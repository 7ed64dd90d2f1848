//! A SATA controller with six ports: AHCI 1.3.1 as ICH9's PCI function, with disk drives (ATA8-ACS, native command
//! queuing of Serial ATA 3.0) and CD/DVD drives (ATAPI, MMC-6).
//!
//! Commands are carried out by worker threads, a few for each port, which move data between an image and guest memory
//! without a copy in between; a register write of the guest only leaves a note. The module `worker` says in which order
//! locks are taken, `engine` how requests begin and end.
//!
//! Left out: legacy IDE mode, port multipliers, enclosure management, command completion coalescing, link power
//! management, hot plug of drives.

mod ata;
mod atapi;
mod command;
mod drive;
mod engine;
mod events;
mod fis;
mod hba;
mod pci;
mod port;
mod registers;
mod saved;
mod stats;
mod task_file;
mod transfer;
mod worker;

#[cfg(test)]
mod tests;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use hypervisor::memory::GuestMemory;
use machine::{
    access,
    component::Component,
    device::{DecodedRange, Device, Mmio, PciConfig, PortIo},
    line::{InterruptLine, MsiTarget},
    saved::{RestoreError, SaveError, SavedUnit},
};
use storage::disk::Disk;

use self::{
    ata::{AtaDisk, Identity},
    atapi::Optical,
    drive::Drive,
    hba::Hba,
    port::{Bus, Port},
    registers::{HOST, PORTS, RegisterFile},
    saved::{SavedAhci, SavedPort, impossible},
    worker::Shared,
};
pub use self::{
    atapi::TrayLocked,
    events::{DiskEvents, DiskFault, DiskOperation, FaultAnswer, NoDiskEvents},
    pci::{BAR_INDEX_DATA, BAR_REGISTERS},
    stats::DiskStats,
};
use crate::pci::PciInterrupt;

/// Workers of a port, unless the configuration says otherwise.
pub const DEFAULT_WORKERS: usize = 4;

/// What is plugged into a port.
#[derive(Clone)]
pub enum Attachment {
    /// A disk drive.
    Disk {
        /// Its content.
        disk: Arc<dyn Disk>,
        /// Its serial number: up to 20 printable characters of ASCII, its own in the machine.
        serial: String,
    },
    /// A CD/DVD drive.
    Optical {
        /// The disc that lies in it.
        disc: Option<Arc<dyn Disk>>,
        /// Its serial number, as for a disk.
        serial: String,
    },
}

/// How a controller is made.
#[derive(Clone)]
pub struct AhciConfig {
    /// The component's name.
    pub name: String,
    /// What is plugged into each port.
    pub ports: [Option<Attachment>; PORTS],
    /// How many commands of a port are carried out side by side, each on a thread. At least one.
    pub workers: usize,
}

impl AhciConfig {
    /// A controller without drives.
    #[must_use]
    pub fn new(name: &str) -> Self {
        AhciConfig { name: name.into(), ports: [const { None }; PORTS], workers: DEFAULT_WORKERS }
    }
}

/// What a controller is connected to.
pub struct AhciWiring {
    /// The guest's memory.
    pub memory: GuestMemory,
    /// INTA#.
    pub line: InterruptLine,
    /// Where messages go.
    pub messages: Arc<dyn MsiTarget>,
    /// Who takes its events.
    pub events: Arc<dyn DiskEvents>,
}

/// Why a drive can't be plugged in.
#[derive(Debug, thiserror::Error)]
pub enum AhciError {
    /// A disk has no sectors, or a part of one.
    #[error("the disk at port {port} is {bytes} bytes long, which isn't a number of sectors")]
    Length {
        /// The port.
        port: usize,
        /// The disk's length.
        bytes: u64,
    },
}

/// Why a disc can't be changed.
#[derive(Debug, thiserror::Error)]
pub enum MediumError {
    /// There is no CD/DVD drive.
    #[error("there is no CD drive at port {0}")]
    NoDrive(u8),
    /// The guest holds the disc.
    #[error("the disc in the drive at port {port} stays where it is")]
    Locked {
        /// The port.
        port: u8,
        /// Why.
        #[source]
        source: TrayLocked,
    },
}

/// What a CD/DVD drive looks like from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrayState {
    /// The tray is open.
    pub open: bool,
    /// The guest has locked it.
    pub locked: bool,
    /// A disc lies in it.
    pub has_disc: bool,
}

/// The controller.
pub struct Ahci {
    name: String,
    shared: Arc<Shared>,
}

/// A way to a controller that needs no lock around the device. Clones lead to the same one.
#[derive(Clone)]
pub struct AhciHandle(Arc<Shared>);

impl Ahci {
    /// A controller, stopped.
    ///
    /// # Errors
    /// [`AhciError`] when a disk has an impossible length.
    pub fn new(config: AhciConfig, wiring: AhciWiring) -> Result<Self, AhciError> {
        let mut ports = Vec::with_capacity(PORTS);
        for (index, attachment) in config.ports.into_iter().enumerate() {
            ports.push(Port::new(attachment.map(|attachment| drive(index, attachment)).transpose()?));
        }
        let occupied =
            ports.iter().enumerate().fold(0, |bits, (index, port)| bits | u32::from(port.drive.is_some()) << index);
        let bus = Bus { memory: wiring.memory, is_master: false };
        let ports = std::array::from_fn(|_| ports.remove(0));
        let interrupt = PciInterrupt::new(wiring.line, wiring.messages);
        let hba = Hba::new(ports, bus, pci::config_space(occupied), interrupt);
        let shared = Shared::new(config.name.clone(), hba, wiring.events, config.workers.max(1));
        Ok(Ahci { name: config.name, shared })
    }

    /// A way to this controller for whoever runs the machine.
    #[must_use]
    pub fn handle(&self) -> AhciHandle {
        AhciHandle(self.shared.clone())
    }
}

fn drive(port: usize, attachment: Attachment) -> Result<Drive, AhciError> {
    Ok(match attachment {
        Attachment::Disk { disk, serial } => {
            let bytes = disk.len_bytes();
            if bytes == 0 || bytes % 512 != 0 {
                return Err(AhciError::Length { port, bytes });
            }
            Drive::Disk(Box::new(AtaDisk::new(disk, Identity { serial, model: "Tandem disk".into() })))
        }
        Attachment::Optical { disc, serial } => Drive::Optical(Box::new(Optical::new(disc, serial))),
    })
}

impl AhciHandle {
    /// Puts a disc into the drive at `port`, instead of one that lies in it, and closes the tray. The guest is told.
    ///
    /// # Errors
    /// [`MediumError`]: no drive, or the guest holds the other disc and `force` isn't set; it is asked to release it.
    pub fn insert(&self, port: u8, disc: Arc<dyn Disk>, force: bool) -> Result<(), MediumError> {
        self.with_optical(port, |optical| optical.insert(disc, force))
    }

    /// Opens the tray of the drive at `port` and takes the disc. The guest is told.
    ///
    /// # Errors
    /// As [`AhciHandle::insert`].
    pub fn eject(&self, port: u8, force: bool) -> Result<Option<Arc<dyn Disk>>, MediumError> {
        self.with_optical(port, |optical| optical.eject(force))
    }

    /// What the drive at `port` looks like.
    ///
    /// # Errors
    /// [`MediumError::NoDrive`].
    pub fn tray(&self, port: u8) -> Result<TrayState, MediumError> {
        self.with_optical(port, |optical| {
            let (open, locked, has_disc) = optical.tray_state();
            Ok(TrayState { open, locked, has_disc })
        })
    }

    fn with_optical<T>(
        &self,
        port: u8,
        body: impl FnOnce(&mut Optical) -> Result<T, TrayLocked>,
    ) -> Result<T, MediumError> {
        let mut hba = self.0.hba.lock();
        match hba.ports.get_mut(usize::from(port)).and_then(|port| port.drive.as_mut()) {
            Some(Drive::Optical(optical)) => body(optical).map_err(|source| MediumError::Locked { port, source }),
            _ => Err(MediumError::NoDrive(port)),
        }
    }

    /// Tries every command again that was held ([`FaultAnswer::Hold`]).
    pub fn retry(&self) {
        self.0.retry();
    }

    /// Waits until no command is under way and none waits that can be begun, for at most `limit`, and says whether it is
    /// so. Held ones don't count.
    #[must_use]
    pub fn wait_until_idle(&self, limit: Duration) -> bool {
        self.0.wait_until_idle(Instant::now() + limit)
    }

    /// How many commands are held.
    #[must_use]
    pub fn held(&self) -> usize {
        self.0.hba.lock().ports.iter().map(|port| port.engine.all_held().count()).sum()
    }

    /// What the drive at `port` has done since the controller was made; `None` without a drive.
    #[must_use]
    pub fn stats(&self, port: u8) -> Option<DiskStats> {
        let port = usize::from(port);
        let is_occupied = self.0.hba.lock().ports.get(port)?.drive.is_some();
        is_occupied.then(|| self.0.crews[port].stats.snapshot())
    }
}

impl Drop for Ahci {
    fn drop(&mut self) {
        self.shared.stop();
        self.shared.close();
    }
}

impl Mmio for Ahci {
    fn mmio_read(&mut self, _region: u8, offset: u64, data: &mut [u8]) {
        self.shared.hba.lock().read(offset, data);
    }

    fn mmio_write(&mut self, _region: u8, offset: u64, data: &[u8]) {
        let mut hba = self.shared.hba.lock();
        let ports = hba.write(offset, data);
        self.shared.call(&hba, ports);
    }
}

impl PortIo for Ahci {
    fn port_read(&mut self, _region: u8, offset: u16, data: &mut [u8]) {
        let hba = self.shared.hba.lock();
        let mut registers = [0; pci::INDEX_DATA_LEN as usize];
        registers[usize::from(pci::INDEX)..][..4].copy_from_slice(&hba.index.to_le_bytes());
        let wants_data = offset < pci::DATA + 4 && usize::from(offset) + data.len() > usize::from(pci::DATA);
        if wants_data {
            let value = hba.read_register(hba.index.into());
            registers[usize::from(pci::DATA)..][..4].copy_from_slice(&value.to_le_bytes());
        }
        access::read_slice(&registers, offset.into(), data);
    }

    fn port_write(&mut self, _region: u8, offset: u16, data: &[u8]) {
        let mut hba = self.shared.hba.lock();
        // Software has to access both as dwords; anything else goes nowhere.
        if let Ok(value) = data.try_into().map(u32::from_le_bytes) {
            match offset {
                pci::INDEX => hba.index = value & (registers::ABAR_LEN - 4),
                pci::DATA => {
                    let register = hba.index.into();
                    let ports = hba.write_register(register, value, !0);
                    self.shared.call(&hba, ports);
                }
                _ => {}
            }
        }
    }
}

impl PciConfig for Ahci {
    fn config_read(&mut self, offset: u16, data: &mut [u8]) {
        self.shared.hba.lock().config.read(offset, data);
    }

    fn config_write(&mut self, offset: u16, data: &[u8]) {
        let mut hba = self.shared.hba.lock();
        hba.config.write(offset, data);
        let ports = hba.config_changed();
        self.shared.call(&hba, ports);
    }

    fn decoded(&self) -> Vec<DecodedRange> {
        self.shared.hba.lock().config.decoded()
    }
}

impl Device for Ahci {
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

impl Component for Ahci {
    fn name(&self) -> &str {
        &self.name
    }

    fn start(&mut self) {
        self.shared.start();
    }

    fn stop(&mut self) {
        self.shared.stop();
    }

    fn reset(&mut self) {
        self.shared.reset();
    }

    fn save(&mut self) -> Result<SavedUnit, SaveError> {
        let hba = self.shared.hba.lock();
        SavedUnit::of(&SavedAhci {
            config: hba.config.save(),
            registers: hba.regs.words().to_vec(),
            index: hba.index,
            ports: hba.ports.iter().map(SavedPort::of).collect(),
        })
    }

    fn restore(&mut self, unit: &SavedUnit) -> Result<(), RestoreError> {
        let saved: SavedAhci = unit.open()?;
        let mut hba = self.shared.hba.lock();
        let regs = RegisterFile::from_words(&HOST, &saved.registers).ok_or_else(|| impossible("registers"))?;
        if saved.ports.len() != PORTS {
            return Err(impossible("a number of ports"));
        }
        let ports: Result<Vec<Port>, RestoreError> =
            saved.ports.iter().zip(&hba.ports).map(|(saved, port)| saved.restored(port)).collect();
        let ports: [Port; PORTS] = ports?.try_into().map_err(|_| impossible("a number of ports"))?;
        hba.config.restore(<SavedAhci as machine::saved::SavedState>::KIND, &saved.config)?;
        hba.regs = regs;
        hba.ports = ports;
        hba.index = saved.index & (registers::ABAR_LEN - 4);
        hba.restored();
        Ok(())
    }
}
