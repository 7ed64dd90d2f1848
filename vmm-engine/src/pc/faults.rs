//! What becomes of a disk image that fails: a full host is no reason to let a guest lose data.

use std::{collections::BTreeMap, sync::Arc};

use machine::engine::GuestEvent;

use crate::ahci::{DiskEvents, DiskFault, FaultAnswer};

/// Holds what the host has no room for, and lets the machine stand still until there is some: the next resumption tries
/// again. Any other fault is the guest's, as one of a real disk would be.
pub(super) struct DiskFaults {
    /// The drive's id, by its port.
    drives: BTreeMap<u8, String>,
    events: Arc<dyn Fn(GuestEvent) + Send + Sync>,
}

impl DiskFaults {
    pub(super) fn new(drive_ports: &BTreeMap<String, u8>, events: Arc<dyn Fn(GuestEvent) + Send + Sync>) -> Self {
        DiskFaults { drives: drive_ports.iter().map(|(id, &port)| (port, id.clone())).collect(), events }
    }
}

impl DiskEvents for DiskFaults {
    fn disk_fault(&self, fault: &DiskFault<'_>) -> FaultAnswer {
        if !fault.is_out_of_space() {
            return FaultAnswer::Report;
        }
        let drive = self.drives.get(&fault.port).map_or("?", String::as_str);
        (self.events)(GuestEvent::Blocked(format!(
            "The computer has no room left for what the guest writes to '{drive}'. Free some space, then resume the \
             machine; nothing is lost."
        )));
        FaultAnswer::Hold
    }
}
