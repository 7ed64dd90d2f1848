//! Packet commands: which there are, and what each gives back.

use super::{
    Optical, configuration, disc, identify,
    read::{self, SectorForm},
    sense::Sense,
};
use crate::ahci::{command::PACKET_LEN, drive::Extent};

/// Operation codes (SPC-3, annex D; MMC-6, chapter 6).
pub(super) mod op {
    pub(in crate::ahci::atapi) const TEST_UNIT_READY: u8 = 0x00;
    pub(in crate::ahci::atapi) const REQUEST_SENSE: u8 = 0x03;
    pub(in crate::ahci::atapi) const INQUIRY: u8 = 0x12;
    pub(in crate::ahci::atapi) const MODE_SELECT_6: u8 = 0x15;
    pub(in crate::ahci::atapi) const MODE_SENSE_6: u8 = 0x1a;
    pub(in crate::ahci::atapi) const START_STOP_UNIT: u8 = 0x1b;
    pub(in crate::ahci::atapi) const PREVENT_ALLOW_MEDIUM_REMOVAL: u8 = 0x1e;
    pub(in crate::ahci::atapi) const READ_CAPACITY: u8 = 0x25;
    pub(in crate::ahci::atapi) const READ_10: u8 = 0x28;
    pub(in crate::ahci::atapi) const SEEK: u8 = 0x2b;
    pub(in crate::ahci::atapi) const READ_TOC: u8 = 0x43;
    pub(in crate::ahci::atapi) const GET_CONFIGURATION: u8 = 0x46;
    pub(in crate::ahci::atapi) const GET_EVENT_STATUS_NOTIFICATION: u8 = 0x4a;
    pub(in crate::ahci::atapi) const READ_DISC_INFORMATION: u8 = 0x51;
    pub(in crate::ahci::atapi) const READ_TRACK_INFORMATION: u8 = 0x52;
    pub(in crate::ahci::atapi) const MODE_SELECT_10: u8 = 0x55;
    pub(in crate::ahci::atapi) const MODE_SENSE_10: u8 = 0x5a;
    pub(in crate::ahci::atapi) const REPORT_LUNS: u8 = 0xa0;
    pub(in crate::ahci::atapi) const READ_12: u8 = 0xa8;
    pub(in crate::ahci::atapi) const READ_DISC_STRUCTURE: u8 = 0xad;
    pub(in crate::ahci::atapi) const READ_CD_MSF: u8 = 0xb9;
    pub(in crate::ahci::atapi) const SET_CD_SPEED: u8 = 0xbb;
    pub(in crate::ahci::atapi) const MECHANISM_STATUS: u8 = 0xbd;
    pub(in crate::ahci::atapi) const READ_CD: u8 = 0xbe;
}

/// The answer to a packet command.
pub(super) enum Reply {
    Done,
    Data(Vec<u8>),
    /// The host is to send so many bytes.
    Receive(u16),
    Read(Extent),
    ReadCd(Extent, SectorForm),
    Fail(Sense),
}

pub(super) fn be16(bytes: &[u8]) -> u16 {
    u16::from_be_bytes([bytes[0], bytes[1]])
}

pub(super) fn be32(bytes: &[u8]) -> u32 {
    u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

impl Optical {
    /// Executes a packet command, as far as it needs no disc image.
    pub(super) fn execute(&mut self, packet: &[u8; PACKET_LEN]) -> Reply {
        if packet[0] != op::REQUEST_SENSE {
            self.sense = Sense::NONE;
        }
        let long = usize::from(be16(&packet[7..]));
        let (data, allocation) = match packet[0] {
            op::TEST_UNIT_READY | op::SEEK => return done(self.tray.medium().map(|_| ())),
            op::START_STOP_UNIT => return done(self.start_stop(packet)),
            op::PREVENT_ALLOW_MEDIUM_REMOVAL => {
                self.prevent_allow(packet);
                return Reply::Done;
            }
            op::SET_CD_SPEED => return Reply::Done,
            op::READ_10 | op::READ_12 => return self.read(packet).map_or_else(Reply::Fail, Reply::Read),
            op::READ_CD | op::READ_CD_MSF => return self.read_cd(packet),
            op::MODE_SELECT_6 => return Reply::Receive(packet[4].into()),
            op::MODE_SELECT_10 => return Reply::Receive(be16(&packet[7..])),
            op::REQUEST_SENSE => (Ok(self.request_sense()), usize::from(packet[4])),
            op::INQUIRY => (identify::inquiry(packet, &self.serial), usize::from(be16(&packet[3..]))),
            op::MODE_SENSE_6 => (self.mode.sense(packet, false, self.locked), usize::from(packet[4])),
            op::MODE_SENSE_10 => (self.mode.sense(packet, true, self.locked), long),
            op::READ_CAPACITY => (self.with_blocks(|blocks| Ok(disc::capacity(blocks))), usize::MAX),
            op::READ_TOC => (self.with_blocks(|blocks| disc::toc(packet, blocks)), long),
            op::READ_DISC_INFORMATION => (self.with_blocks(|_| Ok(disc::information())), long),
            op::READ_TRACK_INFORMATION => (self.with_blocks(|blocks| disc::track(packet, blocks)), long),
            op::READ_DISC_STRUCTURE => {
                let allocation = usize::from(be16(&packet[8..]));
                (self.with_blocks(|blocks| disc::structure(packet, blocks)), allocation)
            }
            op::GET_CONFIGURATION => (configuration::configuration(packet, self.ready_blocks()), long),
            op::GET_EVENT_STATUS_NOTIFICATION => (self.event_status(packet), long),
            op::MECHANISM_STATUS => {
                let door = u8::from(self.tray.is_open()) << 4;
                (Ok(vec![0, door, 0, 0, 0, 0, 0, 0]), usize::from(be16(&packet[8..])))
            }
            op::REPORT_LUNS => {
                (Ok([&[0, 0, 0, 8][..], &[0; 12]].concat()), be32(&packet[6..]).try_into().unwrap_or(usize::MAX))
            }
            _ => (Err(Sense::INVALID_COMMAND), 0),
        };
        match data {
            Ok(mut data) => {
                data.truncate(allocation);
                Reply::Data(data)
            }
            Err(sense) => Reply::Fail(sense),
        }
    }

    fn request_sense(&mut self) -> Vec<u8> {
        let mut sense = std::mem::replace(&mut self.sense, Sense::NONE);
        if sense == Sense::NONE {
            sense = self.attention.take().unwrap_or(Sense::NONE);
        }
        sense.data()
    }

    /// Blocks of the disc, if one can be read.
    fn ready_blocks(&self) -> Option<u64> {
        self.tray.medium().ok().and_then(|_| self.tray.blocks())
    }

    fn with_blocks(&self, answer: impl FnOnce(u64) -> Result<Vec<u8>, Sense>) -> Result<Vec<u8>, Sense> {
        self.tray.medium()?;
        answer(self.tray.blocks().unwrap_or(0))
    }

    fn read(&self, packet: &[u8]) -> Result<Extent, Sense> {
        let blocks = if packet[0] == op::READ_12 { be32(&packet[6..]) } else { be16(&packet[7..]).into() };
        read::extent(&self.tray, be32(&packet[2..]).into(), blocks.into())
    }

    fn read_cd(&self, packet: &[u8]) -> Reply {
        let form = match SectorForm::of(packet) {
            Ok(form) => form,
            Err(sense) => return Reply::Fail(sense),
        };
        let (first, blocks) = if packet[0] == op::READ_CD {
            (be32(&packet[2..]).into(), u64::from(be32(&packet[5..]) & 0xff_ffff))
        } else {
            let (first, end) = (read::address_of(&packet[3..]), read::address_of(&packet[6..]));
            match (first, end) {
                (Some(first), Some(end)) if first <= end => (first, end - first),
                _ => return Reply::Fail(Sense::INVALID_FIELD_IN_COMMAND),
            }
        };
        match read::extent(&self.tray, first, blocks) {
            Err(sense) => Reply::Fail(sense),
            Ok(extent) if extent.len == 0 || form.len() == 0 => Reply::Done,
            Ok(extent) if form.is_user_data() => Reply::Read(extent),
            Ok(extent) => Reply::ReadCd(extent, form),
        }
    }
}

fn done(result: Result<(), Sense>) -> Reply {
    match result {
        Ok(()) => Reply::Done,
        Err(sense) => Reply::Fail(sense),
    }
}
