//! GET EVENT STATUS NOTIFICATION (MMC-6, section 6.6): media events, polled.

use serde::{Deserialize, Serialize};

use super::{Optical, sense::Sense};

const CLASS_MEDIA: u8 = 4;
const NO_EVENT_AVAILABLE: u8 = 1 << 7;

/// The media event that the host hasn't fetched; the values are its codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum MediaEvent {
    None = 0,
    /// The button was pressed while the tray is locked.
    EjectRequest = 1,
    NewMedia = 2,
    MediaRemoval = 3,
}

impl Optical {
    pub(super) fn event_status(&mut self, packet: &[u8]) -> Result<Vec<u8>, Sense> {
        let is_polled = packet[1] & 1 != 0;
        if !is_polled {
            return Err(Sense::INVALID_FIELD_IN_COMMAND);
        }
        if packet[4] & 1 << CLASS_MEDIA == 0 {
            return Ok(vec![0, 2, NO_EVENT_AVAILABLE, 1 << CLASS_MEDIA]);
        }
        let event = std::mem::replace(&mut self.event, MediaEvent::None);
        let present = u8::from(self.tray.medium().is_ok()) << 1;
        Ok(vec![0, 6, CLASS_MEDIA, 1 << CLASS_MEDIA, event as u8, present | u8::from(self.tray.is_open()), 0, 0])
    }
}
