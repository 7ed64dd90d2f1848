//! What is on the other end of a port's cable, and how the port speaks with it: a command comes in, is turned into
//! work that needs no lock, and ends with the drive's registers.

use std::{io, sync::Arc};

use storage::disk::Disk;

use super::{
    ata::AtaDisk,
    atapi::Optical,
    command::PACKET_LEN,
    fis::HostFis,
    task_file::{TaskFile, error},
};

/// How the drive exchanges the data of a command with the host (ATA8-ACS, chapter 4; Serial ATA 3.0, chapter 11).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    NonData,
    /// Data in DRQ blocks of `block` bytes.
    PioIn {
        block: u16,
    },
    PioOut {
        block: u16,
    },
    Dma,
    /// A native queued command.
    Queued {
        tag: u8,
        to_host: bool,
    },
    /// A packet command. Without DMA, data comes in blocks of up to `block` bytes.
    Packet {
        dma: bool,
        block: u16,
    },
}

/// A range of an image.
#[derive(Clone)]
pub(super) struct Extent {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) offset: u64,
    pub(super) len: u64,
}

/// What has to be done for a command. Nothing in it refers to the drive, so that it is done without a lock.
#[derive(Clone)]
pub(super) enum Work {
    Nothing,
    /// Give these bytes to the host.
    ToHost(Vec<u8>),
    /// Take so many bytes from the host.
    FromHost(u32),
    /// Read to the host. What lies behind the image's end is zeroes.
    Read(Extent),
    /// Write from the host; `durable` with a flush behind it.
    Write {
        extent: Extent,
        durable: bool,
    },
    /// Read, and give to nobody.
    Verify(Extent),
    Flush(Arc<dyn Disk>),
    /// Take so many 512-byte blocks of range entries from the host, and discard what they name.
    Trim {
        disk: Arc<dyn Disk>,
        blocks: u32,
    },
    /// Read compact disc sectors in a form other than plain user data.
    ReadCd {
        extent: Extent,
        form: super::atapi::SectorForm,
    },
}

/// A command that the drive has taken on.
#[derive(Clone)]
pub(super) struct Request {
    pub(super) protocol: Protocol,
    pub(super) fis: HostFis,
    pub(super) packet: [u8; PACKET_LEN],
    pub(super) work: Work,
}

/// The drive's answer to a command.
pub(super) enum Start {
    /// There is work to do; BSY until then.
    Run(Request),
    /// It is over: refused, or done at once.
    Over(TaskFile),
    /// It is over, and every queued command with it.
    AbortQueue(TaskFile),
}

/// Why the work of a command failed on the drive's side.
#[derive(Debug)]
pub(super) enum WorkError {
    /// The image can't be read or written.
    Host(io::Error),
    /// The host named sectors that don't exist.
    Address,
}

/// Something that the drive did and that whoever runs the machine wants to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Notice {
    TrayOpened,
    TrayClosed,
}

/// A drive.
pub(super) enum Drive {
    Disk(Box<AtaDisk>),
    Optical(Box<Optical>),
}

impl Drive {
    /// What the drive says of itself after a reset.
    pub(super) fn signature(&self) -> TaskFile {
        match self {
            Drive::Disk(_) => super::ata::SIGNATURE,
            Drive::Optical(_) => super::atapi::SIGNATURE,
        }
    }

    /// Power-on reset and COMRESET (`hard`), or the SRST bit.
    pub(super) fn reset(&mut self, hard: bool) {
        match self {
            Drive::Disk(disk) => disk.reset(hard),
            Drive::Optical(optical) => optical.reset(),
        }
    }

    /// Power-on.
    pub(super) fn power_on(&mut self) {
        match self {
            Drive::Disk(disk) => disk.power_on(),
            Drive::Optical(optical) => optical.reset(),
        }
    }

    /// The host has forgotten the commands under way.
    pub(super) fn abandon(&mut self) {
        if let Drive::Disk(disk) = self {
            disk.queue.abandon();
        }
    }

    /// Takes a command.
    pub(super) fn begin(&mut self, fis: &HostFis, packet: Option<&[u8; PACKET_LEN]>) -> Start {
        match self {
            Drive::Disk(disk) => disk.begin(fis),
            Drive::Optical(optical) => optical.begin(fis, packet),
        }
    }

    /// Takes a command on again that was already accepted, in an earlier life.
    pub(super) fn resume(&mut self, fis: &HostFis, packet: &[u8; PACKET_LEN]) -> Start {
        match self {
            Drive::Disk(disk) => disk.plan(fis),
            Drive::Optical(optical) => optical.plan(fis, Some(packet)),
        }
    }

    /// The work of `request` is done; `taken` came from the host.
    pub(super) fn finish(&mut self, request: &Request, taken: &[u8]) -> TaskFile {
        match self {
            Drive::Disk(disk) => disk.finish(request),
            Drive::Optical(optical) => optical.finish(request, taken),
        }
    }

    /// The work of `request` failed.
    pub(super) fn fail(&mut self, request: &Request, why: &WorkError) -> TaskFile {
        match self {
            Drive::Disk(disk) => disk.fail(request, why),
            Drive::Optical(optical) => optical.fail(why),
        }
    }

    /// What happened since the last call that others want to know.
    pub(super) fn take_notice(&mut self) -> Option<Notice> {
        match self {
            Drive::Disk(_) => None,
            Drive::Optical(optical) => optical.take_notice(),
        }
    }
}

impl Start {
    /// The command is refused.
    pub(super) fn abort() -> Start {
        Start::Over(TaskFile::failed(error::ABRT))
    }
}
