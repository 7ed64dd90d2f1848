//! A CD/DVD-ROM drive with a tray: ATA commands of packet devices (ATA8-ACS), packet commands (SPC-3, MMC-6).
//!
//! A disc is one data track of mode 1 from sector 0 on. Left out: audio, multi-session discs, writing, copy
//! protection, changers.

mod configuration;
mod disc;
mod ecc;
mod events;
mod identify;
mod mode;
mod packet;
mod read;
mod sense;
mod tray;

use std::sync::Arc;

use storage::disk::Disk;

pub(super) use self::read::SectorForm;
pub use self::tray::TrayLocked;
use self::{
    events::MediaEvent,
    mode::ModePages,
    packet::Reply,
    sense::{Attention, Sense},
    tray::Tray,
};
use super::{
    ata::TransferMode,
    command::PACKET_LEN,
    drive::{Notice, Protocol, Request, Start, Work, WorkError},
    fis::HostFis,
    task_file::{TaskFile, error, status},
};

/// What a packet device says of itself after a reset.
pub(super) const SIGNATURE: TaskFile = TaskFile { status: 0, error: 1, lba: 0xeb_1401, device: 0, count: 1 };

/// Bytes of a block.
pub(super) const BLOCK: u64 = 2048;

/// Commands, by their names in ATA8-ACS.
mod op {
    pub(super) const DEVICE_RESET: u8 = 0x08;
    pub(super) const EXECUTE_DEVICE_DIAGNOSTIC: u8 = 0x90;
    pub(super) const PACKET: u8 = 0xa0;
    pub(super) const IDENTIFY_PACKET_DEVICE: u8 = 0xa1;
    pub(super) const STANDBY_IMMEDIATE: u8 = 0xe0;
    pub(super) const IDLE_IMMEDIATE: u8 = 0xe1;
    pub(super) const CHECK_POWER_MODE: u8 = 0xe5;
    pub(super) const SLEEP: u8 = 0xe6;
    pub(super) const SET_FEATURES: u8 = 0xef;
    pub(super) const READ_SECTORS: u8 = 0x20;
    pub(super) const IDENTIFY_DEVICE: u8 = 0xec;
}

/// SET FEATURES: set transfer mode.
const SET_TRANSFER_MODE: u8 = 0x03;
/// Features of PACKET: data by DMA; overlapped.
const PACKET_DMA: u16 = 1 << 0;
const PACKET_OVERLAPPED: u16 = 1 << 1;
/// Interrupt reason, in the count: command or message (CD), to the host (IO). Both: the command is over.
const REASON_OVER: u16 = 3;

/// The drive.
pub(super) struct Optical {
    serial: String,
    tray: Tray,
    /// The host may not open the tray.
    locked: bool,
    sense: Sense,
    attention: Attention,
    event: MediaEvent,
    mode: ModePages,
    transfer_mode: TransferMode,
    notice: Option<Notice>,
}

impl Optical {
    pub(super) fn new(disc: Option<Arc<dyn Disk>>, serial: String) -> Self {
        Optical {
            serial,
            tray: Tray::closed(disc),
            locked: false,
            sense: Sense::NONE,
            attention: Attention::after_reset(),
            event: MediaEvent::None,
            mode: ModePages::default(),
            transfer_mode: TransferMode::default(),
            notice: None,
        }
    }

    /// Any reset: the tray stays as it is, and isn't locked any more.
    pub(super) fn reset(&mut self) {
        self.locked = false;
        self.sense = Sense::NONE;
        self.attention = Attention::after_reset();
        self.event = MediaEvent::None;
        self.mode = ModePages::default();
        self.transfer_mode = TransferMode::default();
    }

    /// Takes a command.
    pub(super) fn begin(&mut self, fis: &HostFis, packet: Option<&[u8; PACKET_LEN]>) -> Start {
        if fis.command == op::PACKET
            && let Some(packet) = packet
            && let Some(sense) = self.attention.report(packet)
        {
            return self.check(sense);
        }
        self.plan(fis, packet)
    }

    /// Turns a command into work.
    pub(super) fn plan(&mut self, fis: &HostFis, packet: Option<&[u8; PACKET_LEN]>) -> Start {
        let done = Start::Over(TaskFile::DONE);
        let foreign = Start::Over(TaskFile { status: status::READY | status::ERR, error: error::ABRT, ..SIGNATURE });
        match fis.command {
            op::PACKET => match packet {
                Some(packet) if fis.features & PACKET_OVERLAPPED == 0 => self.packet(fis, packet),
                _ => Start::abort(),
            },
            op::IDENTIFY_PACKET_DEVICE => {
                let data = identify::identify(&self.serial, self.transfer_mode);
                let protocol = Protocol::PioIn { block: 512 };
                Start::Run(Request { protocol, fis: *fis, packet: [0; PACKET_LEN], work: Work::ToHost(data) })
            }
            op::DEVICE_RESET => {
                self.sense = Sense::NONE;
                Start::Over(SIGNATURE)
            }
            op::EXECUTE_DEVICE_DIAGNOSTIC => Start::Over(SIGNATURE),
            op::IDENTIFY_DEVICE | op::READ_SECTORS => foreign,
            op::SET_FEATURES if fis.features as u8 == SET_TRANSFER_MODE => match TransferMode::of(fis.count as u8) {
                Some(mode) => {
                    self.transfer_mode = mode;
                    done
                }
                None => Start::abort(),
            },
            op::CHECK_POWER_MODE => Start::Over(TaskFile { count: 0xff, ..TaskFile::DONE }),
            op::STANDBY_IMMEDIATE | op::IDLE_IMMEDIATE | op::SLEEP => done,
            _ => Start::abort(),
        }
    }

    fn packet(&mut self, fis: &HostFis, packet: &[u8; PACKET_LEN]) -> Start {
        let dma = fis.features & PACKET_DMA != 0;
        // The byte count limit; zero stands for the most there is, and an odd one is rounded down.
        let block = match (fis.lba >> 8) as u16 & !1 {
            0 => 0xfffe,
            limit => limit,
        };
        let work = match self.execute(packet) {
            Reply::Done => Work::Nothing,
            Reply::Data(data) if data.is_empty() => Work::Nothing,
            Reply::Data(data) => Work::ToHost(data),
            Reply::Receive(0) => Work::Nothing,
            Reply::Receive(len) => Work::FromHost(len.into()),
            Reply::Read(extent) if extent.len == 0 => Work::Nothing,
            Reply::Read(extent) => Work::Read(extent),
            Reply::ReadCd(extent, form) => Work::ReadCd { extent, form },
            Reply::Fail(sense) => return self.check(sense),
        };
        Start::Run(Request { protocol: Protocol::Packet { dma, block }, fis: *fis, packet: *packet, work })
    }

    /// The work is done.
    pub(super) fn finish(&mut self, request: &Request, taken: &[u8]) -> TaskFile {
        let is_packet = matches!(request.protocol, Protocol::Packet { .. });
        if is_packet && matches!(request.work, Work::FromHost(_)) {
            let is_long = request.packet[0] == packet::op::MODE_SELECT_10;
            if let Err(sense) = self.mode.select(taken, is_long) {
                return self.failed(sense);
            }
        }
        TaskFile { count: if is_packet { REASON_OVER } else { 0 }, ..TaskFile::DONE }
    }

    /// The work failed: the disc can't be read.
    pub(super) fn fail(&mut self, _why: &WorkError) -> TaskFile {
        self.failed(Sense::UNRECOVERED_READ_ERROR)
    }

    /// What happened since the last call that others want to know.
    pub(super) fn take_notice(&mut self) -> Option<Notice> {
        self.notice.take()
    }

    /// CHECK CONDITION, with `sense` to be asked for.
    fn check(&mut self, sense: Sense) -> Start {
        Start::Over(self.failed(sense))
    }

    fn failed(&mut self, sense: Sense) -> TaskFile {
        self.sense = sense;
        TaskFile { count: REASON_OVER, ..TaskFile::failed(sense.key() << 4 | error::ABRT) }
    }
}

/// A CD/DVD drive's saved form.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SavedOptical {
    tray_open: bool,
    /// The blocks of the disc in the tray; none without.
    disc_blocks: Option<u64>,
    locked: bool,
    sense: [u8; 3],
    attention_reset: bool,
    attention_medium: bool,
    event: MediaEvent,
    mode: mode::SavedPages,
    transfer_mode: TransferMode,
}

impl Optical {
    pub(super) fn save(&self) -> SavedOptical {
        SavedOptical {
            tray_open: self.tray.is_open(),
            disc_blocks: self.tray.blocks(),
            locked: self.locked,
            sense: self.sense.bytes(),
            attention_reset: self.attention.reset,
            attention_medium: self.attention.medium,
            event: self.event,
            mode: self.mode.save(),
            transfer_mode: self.transfer_mode,
        }
    }

    /// What `saved` makes of this drive. If another disc is in it now, the guest gets to know as of a change.
    pub(super) fn restored(&self, saved: &SavedOptical) -> Result<Self, String> {
        if !saved.transfer_mode.is_possible() {
            return Err("a CD drive's transfer mode".into());
        }
        let mut optical = Optical {
            serial: self.serial.clone(),
            tray: self.tray.with_open(saved.tray_open),
            locked: saved.locked,
            sense: Sense::from_bytes(saved.sense),
            attention: Attention { reset: saved.attention_reset, medium: saved.attention_medium },
            event: saved.event,
            mode: ModePages::restored(&saved.mode).ok_or("a CD drive's mode pages")?,
            transfer_mode: saved.transfer_mode,
            notice: None,
        };
        if optical.tray.blocks() != saved.disc_blocks {
            optical.medium_changed();
        }
        Ok(optical)
    }
}
