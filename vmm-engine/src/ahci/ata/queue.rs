//! The queue of native queued commands and its one error (Serial ATA 3.0, sections 13.6 and 13.7).

use serde::{Deserialize, Serialize};

use super::{HostFis, TaskFile};

/// Which tags are under way, and what went wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::ahci) struct Queue {
    outstanding: u32,
    error: Option<QueueError>,
}

/// What the log of queued command errors holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::ahci) struct QueueError {
    /// The failed command's tag; `None` for a command that wasn't queued.
    tag: Option<u8>,
    status: u8,
    error: u8,
    lba: u64,
    device: u8,
    count: u16,
}

impl Queue {
    /// Whether a command with this tag (none for one that isn't queued) breaks the queue's rules.
    pub(super) fn is_misused(&self, tag: Option<u8>) -> bool {
        match tag {
            Some(tag) => self.outstanding & 1 << tag != 0,
            None => self.outstanding != 0,
        }
    }

    pub(super) fn add(&mut self, tag: u8) {
        self.outstanding |= 1 << tag;
    }

    pub(super) fn done(&mut self, tag: u8) {
        self.outstanding &= !(1 << tag);
    }

    /// A command failed, and with it all that are under way.
    pub(super) fn fail(&mut self, tag: Option<u8>, fis: &HostFis, answer: &TaskFile) {
        self.outstanding = 0;
        self.error = Some(QueueError {
            tag,
            status: answer.status,
            error: answer.error,
            lba: answer.lba,
            device: answer.device,
            count: fis.count,
        });
    }

    /// The host doesn't wait for anything any more.
    pub(in crate::ahci) fn abandon(&mut self) {
        self.outstanding = 0;
    }

    pub(super) fn error(&self) -> Option<&QueueError> {
        self.error.as_ref()
    }

    pub(super) fn clear_error(&mut self) {
        self.error = None;
    }

    /// Log 10h: 512 bytes with a checksum.
    pub(super) fn error_log(&self) -> Vec<u8> {
        const NOT_QUEUED: u8 = 1 << 7;
        let mut page = vec![0; 512];
        match &self.error {
            None => page[0] = NOT_QUEUED,
            Some(error) => {
                let lba = error.lba.to_le_bytes();
                page[0] = error.tag.unwrap_or(NOT_QUEUED);
                page[2] = error.status;
                page[3] = error.error;
                page[4..7].copy_from_slice(&lba[..3]);
                page[7] = error.device;
                page[8..11].copy_from_slice(&lba[3..6]);
                page[12..14].copy_from_slice(&error.count.to_le_bytes());
            }
        }
        super::logs::set_checksum(&mut page);
        page
    }
}

/// The queue's saved form. What is under way is saved by the port, as command slots.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::ahci) struct SavedQueue {
    outstanding: u32,
    error: Option<SavedError>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedError {
    tag: Option<u8>,
    status: u8,
    error: u8,
    lba: u64,
    device: u8,
    count: u16,
}

impl Queue {
    pub(super) fn save(&self) -> SavedQueue {
        let error = self.error.as_ref().map(|&QueueError { tag, status, error, lba, device, count }| SavedError {
            tag,
            status,
            error,
            lba,
            device,
            count,
        });
        SavedQueue { outstanding: self.outstanding, error }
    }

    pub(super) fn restored(saved: &SavedQueue) -> Option<Self> {
        let error = saved.error.as_ref().map(|&SavedError { tag, status, error, lba, device, count }| QueueError {
            tag,
            status,
            error,
            lba,
            device,
            count,
        });
        let tag = error.as_ref().and_then(|error| error.tag);
        tag.is_none_or(|tag| tag < 32).then_some(Queue { outstanding: saved.outstanding, error })
    }
}
