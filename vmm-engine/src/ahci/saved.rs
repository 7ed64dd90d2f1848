//! The controller's saved form.

use machine::saved::{Bytes, RestoreError, SavedState};
use serde::{Deserialize, Serialize};

use super::{
    ata::SavedDisk,
    atapi::SavedOptical,
    command::PACKET_LEN,
    drive::Drive,
    engine::{Engine, Held},
    fis::{HostFis, REGISTER_LEN},
    port::Port,
    registers::{self, RegisterFile},
};
use crate::pci::SavedConfig;

/// Everything. Nothing is under way: commands that weren't begun are bits in PxCI, those that are held are listed.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SavedAhci {
    pub(super) config: SavedConfig,
    pub(super) registers: Vec<u32>,
    pub(super) index: u32,
    pub(super) ports: Vec<SavedPort>,
}

impl SavedState for SavedAhci {
    const KIND: &'static str = "ahci";
    const VERSION: u32 = 1;
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SavedPort {
    registers: Vec<u32>,
    signature_due: bool,
    halted: bool,
    in_soft_reset: bool,
    last_slot: u8,
    held: Vec<SavedHeld>,
    drive: Option<SavedDrive>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedHeld {
    slot: u8,
    fis: Bytes,
    packet: Bytes,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
enum SavedDrive {
    Disk(SavedDisk),
    Optical(SavedOptical),
}

pub(super) fn impossible(what: impl Into<String>) -> RestoreError {
    RestoreError::Impossible { kind: SavedAhci::KIND, what: what.into() }
}

impl SavedPort {
    pub(super) fn of(port: &Port) -> Self {
        let held = port.engine.all_held().map(|held| SavedHeld {
            slot: held.slot,
            fis: Bytes(held.request.fis.bytes().to_vec()),
            packet: Bytes(held.request.packet.to_vec()),
        });
        SavedPort {
            registers: port.regs.words().to_vec(),
            signature_due: port.signature_due,
            halted: port.engine.halted,
            in_soft_reset: port.engine.in_soft_reset,
            last_slot: port.engine.last_slot,
            held: held.collect(),
            drive: port.drive.as_ref().map(|drive| match drive {
                Drive::Disk(disk) => SavedDrive::Disk(disk.save()),
                Drive::Optical(optical) => SavedDrive::Optical(optical.save()),
            }),
        }
    }

    /// What this makes of `port`.
    pub(super) fn restored(&self, port: &Port) -> Result<Port, RestoreError> {
        let mut drive = match (&self.drive, &port.drive) {
            (None, None) => None,
            (Some(SavedDrive::Disk(saved)), Some(Drive::Disk(disk))) => {
                Some(Drive::Disk(Box::new(disk.restored(saved).map_err(impossible)?)))
            }
            (Some(SavedDrive::Optical(saved)), Some(Drive::Optical(optical))) => {
                Some(Drive::Optical(Box::new(optical.restored(saved).map_err(impossible)?)))
            }
            _ => return Err(impossible("other drives than this machine's")),
        };
        let slots = registers::SLOTS as usize;
        if u32::from(self.last_slot) >= registers::SLOTS || self.held.len() > slots {
            return Err(impossible("a command slot"));
        }
        let held: Option<Vec<Held>> = self.held.iter().map(|held| held.restored(drive.as_mut()?)).collect();
        let held = held.ok_or_else(|| impossible("a command under way"))?;
        let regs = RegisterFile::from_words(&registers::PORT, &self.registers);
        Ok(Port {
            regs: regs.ok_or_else(|| impossible("a port's registers"))?,
            drive,
            signature_due: self.signature_due,
            engine: Engine::restored(self.halted, self.in_soft_reset, self.last_slot, held),
        })
    }
}

impl SavedHeld {
    fn restored(&self, drive: &mut Drive) -> Option<Held> {
        let fis: &[u8; REGISTER_LEN] = self.fis.0.as_slice().try_into().ok()?;
        let packet: &[u8; PACKET_LEN] = self.packet.0.as_slice().try_into().ok()?;
        let fis = HostFis::parse(fis).filter(|_| u32::from(self.slot) < registers::SLOTS)?;
        Port::held_again(drive, self.slot, &fis, packet)
    }
}
