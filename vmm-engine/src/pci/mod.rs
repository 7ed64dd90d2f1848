//! PCI: configuration spaces, and the root that finds functions and moves their ranges on the buses.
//!
//! Conventional configuration headers as in the PCI Local Bus Specification 3.0, chapter 6, enlarged to 4096
//! bytes as PCI Express asks for ECAM. One bus, bus 0; no bridges, no hot plug.

mod config;
mod host_bridge;
mod root;

pub use config::{BarKind, ConfigSpace, Identity, PciInterrupt, SavedConfig};
pub use host_bridge::HostBridge;
#[cfg(test)]
pub(crate) use root::NoMapper;
pub use root::{MemoryMapper, PciRoot, REGION_ECAM, REGION_PORTS, Slot};
