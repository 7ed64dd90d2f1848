//! Sense data (SPC-3, section 4.5) and unit attention conditions (SAM-3, section 5.9.7).

use super::packet;

/// Sense key, additional sense code and its qualifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sense(u8, u8, u8);

impl Sense {
    pub(super) const NONE: Sense = Sense(0, 0, 0);
    pub(super) const NO_MEDIUM_TRAY_CLOSED: Sense = Sense(2, 0x3a, 1);
    pub(super) const NO_MEDIUM_TRAY_OPEN: Sense = Sense(2, 0x3a, 2);
    pub(super) const UNRECOVERED_READ_ERROR: Sense = Sense(3, 0x11, 0);
    pub(super) const PARAMETER_LIST_LENGTH: Sense = Sense(5, 0x1a, 0);
    pub(super) const INVALID_COMMAND: Sense = Sense(5, 0x20, 0);
    pub(super) const ADDRESS_OUT_OF_RANGE: Sense = Sense(5, 0x21, 0);
    pub(super) const INVALID_FIELD_IN_COMMAND: Sense = Sense(5, 0x24, 0);
    pub(super) const INVALID_FIELD_IN_PARAMETERS: Sense = Sense(5, 0x26, 0);
    pub(super) const INCOMPATIBLE_FORMAT: Sense = Sense(5, 0x30, 2);
    pub(super) const SAVING_NOT_SUPPORTED: Sense = Sense(5, 0x39, 0);
    pub(super) const REMOVAL_PREVENTED: Sense = Sense(5, 0x53, 2);
    pub(super) const ILLEGAL_MODE_FOR_TRACK: Sense = Sense(5, 0x64, 0);
    const MEDIUM_MAY_HAVE_CHANGED: Sense = Sense(6, 0x28, 0);
    const RESET_OCCURRED: Sense = Sense(6, 0x29, 0);

    pub(super) fn key(self) -> u8 {
        self.0
    }

    /// Fixed format.
    pub(super) fn data(self) -> Vec<u8> {
        let mut data = vec![0; 18];
        data[0] = 0x70;
        data[2] = self.0;
        data[7] = 10;
        data[12] = self.1;
        data[13] = self.2;
        data
    }

    pub(super) fn bytes(self) -> [u8; 3] {
        [self.0, self.1, self.2]
    }

    pub(super) fn from_bytes([key, code, qualifier]: [u8; 3]) -> Self {
        Sense(key & 0xf, code, qualifier)
    }
}

/// Unit attention conditions that the host hasn't been told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Attention {
    pub(super) reset: bool,
    pub(super) medium: bool,
}

impl Attention {
    pub(super) fn after_reset() -> Self {
        Attention { reset: true, medium: false }
    }

    /// The next condition, which is then told.
    pub(super) fn take(&mut self) -> Option<Sense> {
        if std::mem::take(&mut self.reset) {
            return Some(Sense::RESET_OCCURRED);
        }
        std::mem::take(&mut self.medium).then_some(Sense::MEDIUM_MAY_HAVE_CHANGED)
    }

    /// The condition that stops `packet`; some commands are carried out in spite of it.
    pub(super) fn report(&mut self, packet: &[u8]) -> Option<Sense> {
        use packet::op;
        let passes = matches!(
            packet[0],
            op::INQUIRY
                | op::REQUEST_SENSE
                | op::GET_CONFIGURATION
                | op::GET_EVENT_STATUS_NOTIFICATION
                | op::REPORT_LUNS
        );
        if passes { None } else { self.take() }
    }
}
