//! A disk drive: the ATA command set (ATA8-ACS; DATA SET MANAGEMENT and log 30h from ACS-2), 512-byte logical sectors
//! on 4096-byte physical ones, as a drive without moving parts.
//!
//! Left out, and aborted as a drive without the feature does: security, host protected area (only its size is told),
//! device configuration overlay, firmware download, streaming, advanced power management, write uncorrectable.

mod address;
mod features;
mod identify;
mod logs;
mod queue;
mod smart;

use std::sync::Arc;

use storage::disk::Disk;

use self::{
    address::{Addressing, SECTOR, Span},
    features::Settings,
    identify::Geometry,
    queue::Queue,
};
pub(super) use self::{
    features::TransferMode,
    identify::{FIRMWARE, Identity, Words},
};
use super::{
    command::PACKET_LEN,
    drive::{Extent, Protocol, Request, Start, Work, WorkError},
    fis::HostFis,
    task_file::{TaskFile, error, status},
};

/// What a disk drive says of itself after a reset.
pub(super) const SIGNATURE: TaskFile = TaskFile { status: status::READY, error: 1, lba: 1, device: 0, count: 1 };

/// Sectors of a DRQ block at most, for READ and WRITE MULTIPLE.
const MULTIPLE_MAX: u8 = 16;
/// Blocks of 512 bytes that one DATA SET MANAGEMENT may bring.
const TRIM_BLOCKS_MAX: u16 = 8;

/// Commands, by their names in ATA8-ACS, chapter 7.
mod op {
    pub(super) const DATA_SET_MANAGEMENT: u8 = 0x06;
    pub(super) const READ_SECTORS: u8 = 0x20;
    pub(super) const READ_SECTORS_RETRY: u8 = 0x21;
    pub(super) const READ_SECTORS_EXT: u8 = 0x24;
    pub(super) const READ_DMA_EXT: u8 = 0x25;
    pub(super) const READ_NATIVE_MAX_EXT: u8 = 0x27;
    pub(super) const READ_MULTIPLE_EXT: u8 = 0x29;
    pub(super) const READ_LOG_EXT: u8 = 0x2f;
    pub(super) const WRITE_SECTORS: u8 = 0x30;
    pub(super) const WRITE_SECTORS_RETRY: u8 = 0x31;
    pub(super) const WRITE_SECTORS_EXT: u8 = 0x34;
    pub(super) const WRITE_DMA_EXT: u8 = 0x35;
    pub(super) const WRITE_MULTIPLE_EXT: u8 = 0x39;
    pub(super) const WRITE_DMA_FUA_EXT: u8 = 0x3d;
    pub(super) const READ_VERIFY: u8 = 0x40;
    pub(super) const READ_VERIFY_RETRY: u8 = 0x41;
    pub(super) const READ_VERIFY_EXT: u8 = 0x42;
    pub(super) const READ_LOG_DMA_EXT: u8 = 0x47;
    pub(super) const READ_FPDMA_QUEUED: u8 = 0x60;
    pub(super) const WRITE_FPDMA_QUEUED: u8 = 0x61;
    pub(super) const SEEK: u8 = 0x70;
    pub(super) const EXECUTE_DEVICE_DIAGNOSTIC: u8 = 0x90;
    pub(super) const INITIALIZE_DEVICE_PARAMETERS: u8 = 0x91;
    pub(super) const SMART: u8 = 0xb0;
    pub(super) const READ_MULTIPLE: u8 = 0xc4;
    pub(super) const WRITE_MULTIPLE: u8 = 0xc5;
    pub(super) const SET_MULTIPLE_MODE: u8 = 0xc6;
    pub(super) const READ_DMA: u8 = 0xc8;
    pub(super) const READ_DMA_RETRY: u8 = 0xc9;
    pub(super) const WRITE_DMA: u8 = 0xca;
    pub(super) const WRITE_DMA_RETRY: u8 = 0xcb;
    pub(super) const WRITE_MULTIPLE_FUA_EXT: u8 = 0xce;
    pub(super) const STANDBY_IMMEDIATE: u8 = 0xe0;
    pub(super) const IDLE_IMMEDIATE: u8 = 0xe1;
    pub(super) const STANDBY: u8 = 0xe2;
    pub(super) const IDLE: u8 = 0xe3;
    pub(super) const CHECK_POWER_MODE: u8 = 0xe5;
    pub(super) const SLEEP: u8 = 0xe6;
    pub(super) const FLUSH_CACHE: u8 = 0xe7;
    pub(super) const FLUSH_CACHE_EXT: u8 = 0xea;
    pub(super) const IDENTIFY_DEVICE: u8 = 0xec;
    pub(super) const SET_FEATURES: u8 = 0xef;
    pub(super) const READ_NATIVE_MAX: u8 = 0xf8;
}

/// Power modes that CHECK POWER MODE tells apart; the values are what it returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Power {
    Standby = 0x00,
    Idle = 0x80,
    Active = 0xff,
}

/// A disk drive.
pub(super) struct AtaDisk {
    disk: Arc<dyn Disk>,
    identity: Identity,
    geometry: Geometry,
    settings: Settings,
    power: Power,
    pub(super) queue: Queue,
}

impl AtaDisk {
    pub(super) fn new(disk: Arc<dyn Disk>, identity: Identity) -> Self {
        let geometry = Geometry::of(disk.len_bytes() / SECTOR);
        AtaDisk {
            disk,
            identity,
            geometry,
            settings: Settings::power_on(&geometry),
            power: Power::Active,
            queue: Queue::default(),
        }
    }

    pub(super) fn reset(&mut self, hard: bool) {
        self.queue = Queue::default();
        self.power = Power::Active;
        if hard {
            self.settings.after_comreset(&self.geometry);
        }
    }

    /// Power-on, as opposed to a reset by the host.
    pub(super) fn power_on(&mut self) {
        self.reset(false);
        self.settings = Settings::power_on(&self.geometry);
    }

    /// Takes a command, if the queue allows it (Serial ATA 3.0, section 13.6).
    pub(super) fn begin(&mut self, fis: &HostFis) -> Start {
        let tag = is_queued(fis.command).then_some((fis.count >> 3) as u8 & 0x1f);
        if self.queue.error().is_some() && !is_queue_error_log(fis) {
            return Start::abort();
        }
        if self.queue.is_misused(tag) {
            let answer = TaskFile::failed(error::ABRT);
            self.queue.fail(tag, fis, &answer);
            return Start::AbortQueue(answer);
        }
        let start = self.plan(fis);
        match (tag, &start) {
            (Some(tag), Start::Run(_)) => self.queue.add(tag),
            (Some(_), Start::Over(answer)) => {
                let answer = *answer;
                self.queue.fail(tag, fis, &answer);
                return Start::AbortQueue(answer);
            }
            _ => {}
        }
        start
    }

    /// Turns a command into work.
    pub(super) fn plan(&mut self, fis: &HostFis) -> Start {
        use Addressing::{Long, Queued, Short};
        use Direction::{In, Out};
        let done = Start::Over(TaskFile::DONE);
        match fis.command {
            op::READ_SECTORS | op::READ_SECTORS_RETRY => self.transfer(fis, Short, In, self.pio(In, 1)),
            op::READ_SECTORS_EXT => self.transfer(fis, Long, In, self.pio(In, 1)),
            op::WRITE_SECTORS | op::WRITE_SECTORS_RETRY => self.transfer(fis, Short, Out, self.pio(Out, 1)),
            op::WRITE_SECTORS_EXT => self.transfer(fis, Long, Out, self.pio(Out, 1)),
            op::READ_MULTIPLE => self.multiple(fis, Short, In),
            op::READ_MULTIPLE_EXT => self.multiple(fis, Long, In),
            op::WRITE_MULTIPLE => self.multiple(fis, Short, Out),
            op::WRITE_MULTIPLE_EXT => self.multiple(fis, Long, Out),
            op::WRITE_MULTIPLE_FUA_EXT => self.multiple(fis, Long, Direction::OutDurable),
            op::READ_DMA | op::READ_DMA_RETRY => self.transfer(fis, Short, In, Protocol::Dma),
            op::READ_DMA_EXT => self.transfer(fis, Long, In, Protocol::Dma),
            op::WRITE_DMA | op::WRITE_DMA_RETRY => self.transfer(fis, Short, Out, Protocol::Dma),
            op::WRITE_DMA_EXT => self.transfer(fis, Long, Out, Protocol::Dma),
            op::WRITE_DMA_FUA_EXT => self.transfer(fis, Long, Direction::OutDurable, Protocol::Dma),
            op::READ_FPDMA_QUEUED => self.transfer(fis, Queued, In, queued(fis, true)),
            op::WRITE_FPDMA_QUEUED => {
                let durable = fis.device & 1 << 7 != 0;
                let direction = if durable { Direction::OutDurable } else { Out };
                self.transfer(fis, Queued, direction, queued(fis, false))
            }
            op::READ_VERIFY | op::READ_VERIFY_RETRY => self.transfer(fis, Short, Direction::Verify, Protocol::NonData),
            op::READ_VERIFY_EXT => self.transfer(fis, Long, Direction::Verify, Protocol::NonData),
            op::FLUSH_CACHE | op::FLUSH_CACHE_EXT => self.run(fis, Protocol::NonData, Work::Flush(self.disk.clone())),
            op::DATA_SET_MANAGEMENT => self.data_set_management(fis),
            op::IDENTIFY_DEVICE => self.give(fis, self.identify(), self.pio(In, 1)),
            op::READ_LOG_EXT => self.read_log(fis, self.pio(In, 1)),
            op::READ_LOG_DMA_EXT => self.read_log(fis, Protocol::Dma),
            op::SMART => self.smart(fis),
            op::SET_FEATURES if self.settings.set(fis) => done,
            op::SET_MULTIPLE_MODE if self.settings.set_multiple(fis.count as u8) => done,
            op::INITIALIZE_DEVICE_PARAMETERS if self.settings.set_translation(fis) => done,
            op::SEEK => match address::span(fis, Short, &self.settings.translation, self.geometry.sectors) {
                Some(_) => done,
                None => Start::Over(TaskFile { lba: fis.lba, ..TaskFile::failed(error::IDNF) }),
            },
            op::READ_NATIVE_MAX => Start::Over(TaskFile {
                lba: self.geometry.sectors.min(identify::LBA28_SECTORS) - 1,
                device: 0x40,
                ..TaskFile::DONE
            }),
            op::READ_NATIVE_MAX_EXT => {
                Start::Over(TaskFile { lba: self.geometry.sectors - 1, device: 0x40, ..TaskFile::DONE })
            }
            op::EXECUTE_DEVICE_DIAGNOSTIC => Start::Over(SIGNATURE),
            op::CHECK_POWER_MODE => Start::Over(TaskFile { count: self.power as u16, ..TaskFile::DONE }),
            // A sleeping drive would need a reset before it answers; this one wakes by itself, as from standby.
            op::STANDBY_IMMEDIATE | op::STANDBY | op::SLEEP => {
                self.power = Power::Standby;
                self.run(fis, Protocol::NonData, Work::Flush(self.disk.clone()))
            }
            op::IDLE_IMMEDIATE | op::IDLE => {
                self.power = Power::Idle;
                done
            }
            _ => Start::abort(),
        }
    }

    /// The work is done.
    pub(super) fn finish(&mut self, request: &Request) -> TaskFile {
        if let Protocol::Queued { tag, .. } = request.protocol {
            self.queue.done(tag);
        }
        if is_queue_error_log(&request.fis) {
            self.queue.clear_error();
        }
        TaskFile { device: request.fis.device & 0x40, ..TaskFile::DONE }
    }

    /// The work failed.
    pub(super) fn fail(&mut self, request: &Request, why: &WorkError) -> TaskFile {
        let bits = match (why, &request.work) {
            (WorkError::Address, _) => error::IDNF,
            (WorkError::Host(_), Work::Read(_) | Work::Verify(_)) => error::UNC,
            (WorkError::Host(_), _) => error::ABRT,
        };
        let answer = TaskFile { lba: request.fis.lba, device: request.fis.device & 0x4f, ..TaskFile::failed(bits) };
        if let Protocol::Queued { tag, .. } = request.protocol {
            self.queue.fail(Some(tag), &request.fis, &answer);
        }
        answer
    }

    fn run(&self, fis: &HostFis, protocol: Protocol, work: Work) -> Start {
        Start::Run(Request { protocol, fis: *fis, packet: [0; PACKET_LEN], work })
    }

    fn give(&self, fis: &HostFis, data: Vec<u8>, protocol: Protocol) -> Start {
        self.run(fis, protocol, Work::ToHost(data))
    }

    fn pio(&self, direction: Direction, sectors: u8) -> Protocol {
        let block = u16::from(sectors) * SECTOR as u16;
        if direction == Direction::In { Protocol::PioIn { block } } else { Protocol::PioOut { block } }
    }

    fn multiple(&mut self, fis: &HostFis, addressing: Addressing, direction: Direction) -> Start {
        match self.settings.multiple {
            0 => Start::abort(),
            sectors => self.transfer(fis, addressing, direction, self.pio(direction, sectors)),
        }
    }

    fn transfer(&mut self, fis: &HostFis, addressing: Addressing, direction: Direction, protocol: Protocol) -> Start {
        let Some(Span { lba, sectors }) =
            address::span(fis, addressing, &self.settings.translation, self.geometry.sectors)
        else {
            return Start::Over(TaskFile { lba: fis.lba, ..TaskFile::failed(error::IDNF) });
        };
        self.power = Power::Active;
        let extent = Extent { disk: self.disk.clone(), offset: lba * SECTOR, len: sectors * SECTOR };
        let durable = direction == Direction::OutDurable || !self.settings.write_cache;
        let work = match direction {
            Direction::In => Work::Read(extent),
            Direction::Verify => Work::Verify(extent),
            Direction::Out | Direction::OutDurable if self.disk.is_read_only() => return Start::abort(),
            Direction::Out | Direction::OutDurable => Work::Write { extent, durable },
        };
        self.run(fis, protocol, work)
    }

    fn data_set_management(&mut self, fis: &HostFis) -> Start {
        let is_trim = fis.features & 0xff == 1;
        if !is_trim || fis.count == 0 || fis.count > TRIM_BLOCKS_MAX || self.disk.is_read_only() {
            return Start::abort();
        }
        self.power = Power::Active;
        self.run(fis, Protocol::Dma, Work::Trim { disk: self.disk.clone(), blocks: fis.count.into() })
    }

    fn identify(&self) -> Vec<u8> {
        identify::identify(&self.identity, &self.geometry, &self.settings, !self.disk.is_read_only())
    }

    fn read_log(&mut self, fis: &HostFis, protocol: Protocol) -> Start {
        let error = self.queue.error_log();
        match logs::read(fis, &error, || self.identify()) {
            Some(data) => self.give(fis, data, protocol),
            None => Start::abort(),
        }
    }

    fn smart(&mut self, fis: &HostFis) -> Start {
        match smart::execute(fis, &mut self.settings.smart) {
            smart::Answer::Data(data) => self.give(fis, data, self.pio(Direction::In, 1)),
            smart::Answer::Registers(answer) => Start::Over(answer),
            smart::Answer::Flush => self.run(fis, Protocol::NonData, Work::Flush(self.disk.clone())),
            smart::Answer::Abort => Start::abort(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    In,
    Out,
    /// Out, and durable before it is over.
    OutDurable,
    Verify,
}

fn queued(fis: &HostFis, to_host: bool) -> Protocol {
    Protocol::Queued { tag: (fis.count >> 3) as u8 & 0x1f, to_host }
}

fn is_queued(command: u8) -> bool {
    matches!(command, op::READ_FPDMA_QUEUED | op::WRITE_FPDMA_QUEUED)
}

/// Whether the command reads the log of queued command errors, which ends an error.
fn is_queue_error_log(fis: &HostFis) -> bool {
    matches!(fis.command, op::READ_LOG_EXT | op::READ_LOG_DMA_EXT) && fis.lba as u8 == logs::QUEUE_ERROR
}

/// A disk drive's saved form.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SavedDisk {
    sectors: u64,
    power: u8,
    settings: features::SavedSettings,
    queue: queue::SavedQueue,
}

impl AtaDisk {
    pub(super) fn save(&self) -> SavedDisk {
        SavedDisk {
            sectors: self.geometry.sectors,
            power: self.power as u8,
            settings: self.settings.save(),
            queue: self.queue.save(),
        }
    }

    /// What `saved` makes of this drive.
    pub(super) fn restored(&self, saved: &SavedDisk) -> Result<Self, String> {
        if saved.sectors != self.geometry.sectors {
            let (was, is) = (saved.sectors, self.geometry.sectors);
            return Err(format!("a disk of {was} sectors, while the machine's has {is}"));
        }
        let power = [Power::Standby, Power::Idle, Power::Active].into_iter().find(|power| *power as u8 == saved.power);
        Ok(AtaDisk {
            disk: self.disk.clone(),
            identity: self.identity.clone(),
            geometry: self.geometry,
            settings: Settings::restored(&saved.settings).ok_or("settings of a disk drive")?,
            power: power.ok_or("a disk drive's power mode")?,
            queue: Queue::restored(&saved.queue).ok_or("a disk drive's queue")?,
        })
    }
}
