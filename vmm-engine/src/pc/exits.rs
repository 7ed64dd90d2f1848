//! What the processors leave the guest for: accesses go to the buses, events to the driver.

use std::sync::Arc;

use hypervisor::vcpu::{ExitHandler, VcpuEvent};
use machine::{driver::GuestEvents, engine::GuestEvent};

use super::Pc;
use crate::bus::Buses;

/// The PC behind its processors.
pub(super) struct Exits {
    pub(super) buses: Arc<Buses>,
    pub(super) events: GuestEvents<Pc>,
}

impl ExitHandler for Exits {
    fn port_read(&self, port: u16, data: &mut [u8]) {
        self.buses.port_read(port, data);
    }

    fn port_write(&self, port: u16, data: &[u8]) {
        self.buses.port_write(port, data);
    }

    fn mmio_read(&self, address: u64, data: &mut [u8]) {
        self.buses.mmio_read(address, data);
    }

    fn mmio_write(&self, address: u64, data: &[u8]) {
        self.buses.mmio_write(address, data);
    }

    fn event(&self, vcpu: u32, event: VcpuEvent) {
        let event = match event {
            VcpuEvent::TripleFault => GuestEvent::TripleFault,
            VcpuEvent::Failed { reason } => GuestEvent::Failed(format!("processor {vcpu} can't go on: {reason}")),
        };
        self.events.send(event);
    }
}
