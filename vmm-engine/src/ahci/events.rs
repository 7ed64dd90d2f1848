//! What the controller tells whoever runs the machine.

use std::io;

/// What an image was to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskOperation {
    /// Read.
    Read,
    /// Write.
    Write,
    /// Make durable.
    Flush,
    /// Discard.
    Discard,
}

/// An image failed.
#[derive(Debug)]
pub struct DiskFault<'a> {
    /// The port of the drive.
    pub port: u8,
    /// What the image was to do.
    pub operation: DiskOperation,
    /// Where, in bytes; zero for flush and discard.
    pub offset: u64,
    /// How much, in bytes; zero for flush and discard.
    pub len: u64,
    /// Why it failed.
    pub error: &'a io::Error,
}

impl DiskFault<'_> {
    /// Whether the host has no room for the image's data.
    #[must_use]
    pub fn is_out_of_space(&self) -> bool {
        matches!(self.error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
    }
}

/// What to do about a [`DiskFault`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultAnswer {
    /// The drive fails the command, and the guest deals with it.
    Report,
    /// The guest sees nothing: the command stays under way until
    /// [`AhciHandle::retry`](super::AhciHandle::retry), or the next start of the machine, tries it again.
    Hold,
}

/// Takes the controller's events. They come on worker threads, with no lock held; an answer must not wait for the
/// machine to stop, which waits for the answer.
pub trait DiskEvents: Send + Sync {
    /// An image failed.
    fn disk_fault(&self, fault: &DiskFault<'_>) -> FaultAnswer {
        let _ = fault;
        FaultAnswer::Report
    }

    /// The guest has opened the tray of the drive at `port` (its disc lies in it still), or closed it.
    fn tray_moved(&self, port: u8, open: bool) {
        let _ = (port, open);
    }
}

/// Events that nobody takes: every fault is the guest's.
#[derive(Debug, Default)]
pub struct NoDiskEvents;

impl DiskEvents for NoDiskEvents {}
