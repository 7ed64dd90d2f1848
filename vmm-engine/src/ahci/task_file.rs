//! A drive's registers as a host sees them (ATA8-ACS, chapter 6): status, error and what commands return in them.

/// Status register.
pub(super) mod status {
    /// Error; for PACKET: check condition.
    pub(in crate::ahci) const ERR: u8 = 1 << 0;
    /// Data request.
    pub(in crate::ahci) const DRQ: u8 = 1 << 3;
    /// Seek complete, an old name for what every drive sets when it is ready.
    pub(in crate::ahci) const DSC: u8 = 1 << 4;
    /// Drive ready.
    pub(in crate::ahci) const DRDY: u8 = 1 << 6;
    /// Busy.
    pub(in crate::ahci) const BSY: u8 = 1 << 7;
    /// Nothing to complain about.
    pub(in crate::ahci) const READY: u8 = DRDY | DSC;
}

/// Error register.
pub(super) mod error {
    /// Command aborted.
    pub(in crate::ahci) const ABRT: u8 = 1 << 2;
    /// ID not found: no such address.
    pub(in crate::ahci) const IDNF: u8 = 1 << 4;
    /// Uncorrectable data.
    pub(in crate::ahci) const UNC: u8 = 1 << 6;
}

/// What a drive returns at the end of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TaskFile {
    pub(super) status: u8,
    pub(super) error: u8,
    /// 48 bits.
    pub(super) lba: u64,
    pub(super) device: u8,
    pub(super) count: u16,
}

impl TaskFile {
    /// Success, with no values to return.
    pub(super) const DONE: TaskFile = TaskFile { status: status::READY, error: 0, lba: 0, device: 0, count: 0 };

    /// Failure, with the bits of the error register.
    pub(super) const fn failed(error: u8) -> TaskFile {
        TaskFile { status: status::READY | status::ERR, error, ..TaskFile::DONE }
    }

    pub(super) fn is_error(&self) -> bool {
        self.status & status::ERR != 0
    }
}
