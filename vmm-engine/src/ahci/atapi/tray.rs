//! The tray: who opens and closes it, and what the host gets to know of it.

use std::sync::Arc;

use storage::disk::Disk;

use super::{BLOCK, Notice, Optical, events::MediaEvent, sense::Sense};

/// The tray with what lies in it.
#[derive(Clone)]
pub(super) struct Tray {
    open: bool,
    disc: Option<Arc<dyn Disk>>,
}

impl Tray {
    pub(super) fn closed(disc: Option<Arc<dyn Disk>>) -> Self {
        Tray { open: false, disc }
    }

    /// The same disc in a tray that is open or closed.
    pub(super) fn with_open(&self, open: bool) -> Self {
        Tray { open, disc: self.disc.clone() }
    }

    pub(super) fn is_open(&self) -> bool {
        self.open
    }

    /// The disc, if it can be read.
    pub(super) fn medium(&self) -> Result<&Arc<dyn Disk>, Sense> {
        match &self.disc {
            Some(disc) if !self.open => Ok(disc),
            _ if self.open => Err(Sense::NO_MEDIUM_TRAY_OPEN),
            _ => Err(Sense::NO_MEDIUM_TRAY_CLOSED),
        }
    }

    /// Blocks of the disc that lies in the tray, open or not. A last block that is begun counts.
    pub(super) fn blocks(&self) -> Option<u64> {
        self.disc.as_ref().map(|disc| disc.len_bytes().div_ceil(BLOCK))
    }
}

/// The disc can't be taken out: the guest has locked the tray. It has been asked to open it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the guest has locked the disc in the drive; it was asked to release it")]
pub struct TrayLocked;

impl Optical {
    /// A person puts a disc in and closes the tray, over any lock that has nothing to hold.
    pub(in crate::ahci) fn insert(&mut self, disc: Arc<dyn Disk>, force: bool) -> Result<(), TrayLocked> {
        if self.tray.disc.is_some() {
            self.eject(force)?;
        }
        self.tray = Tray::closed(Some(disc));
        self.medium_changed();
        Ok(())
    }

    /// A person presses the button and takes the disc, or, with `force`, uses a paper clip.
    pub(in crate::ahci) fn eject(&mut self, force: bool) -> Result<Option<Arc<dyn Disk>>, TrayLocked> {
        if self.locked && !self.tray.open && !force {
            self.event = MediaEvent::EjectRequest;
            return Err(TrayLocked);
        }
        let disc = self.tray.disc.take();
        if !self.tray.open {
            self.tray.open = true;
            self.event = MediaEvent::MediaRemoval;
        }
        Ok(disc)
    }

    /// Whether the tray is open, locked, and holds a disc.
    pub(in crate::ahci) fn tray_state(&self) -> (bool, bool, bool) {
        (self.tray.open, self.locked, self.tray.disc.is_some())
    }

    pub(super) fn medium_changed(&mut self) {
        self.attention.medium = self.tray.medium().is_ok();
        self.event = if self.attention.medium { MediaEvent::NewMedia } else { MediaEvent::MediaRemoval };
    }

    /// START STOP UNIT: bit 0 of byte 4 is START, bit 1 LOEJ, 7:4 the power condition.
    pub(super) fn start_stop(&mut self, packet: &[u8]) -> Result<(), Sense> {
        let (load_eject, start) = (packet[4] & 2 != 0, packet[4] & 1 != 0);
        // Power conditions, and starting or stopping the spindle, change nothing that a host can see.
        if packet[4] >> 4 != 0 || !load_eject {
            return Ok(());
        }
        if start {
            if self.tray.open {
                self.tray.open = false;
                self.notice = Some(Notice::TrayClosed);
                self.medium_changed();
            }
            return Ok(());
        }
        if self.locked {
            return Err(Sense::REMOVAL_PREVENTED);
        }
        if !self.tray.open {
            self.tray.open = true;
            self.notice = Some(Notice::TrayOpened);
            self.event = MediaEvent::MediaRemoval;
        }
        Ok(())
    }

    /// PREVENT ALLOW MEDIUM REMOVAL.
    pub(super) fn prevent_allow(&mut self, packet: &[u8]) {
        self.locked = packet[4] & 1 != 0;
    }
}
