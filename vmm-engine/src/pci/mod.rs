//! PCI: configuration spaces, and the root that finds functions and moves their ranges on the buses.
//!
//! Conventional configuration headers as in the PCI Local Bus Specification 3.0, chapter 6, enlarged to 4096
//! bytes as PCI Express asks for ECAM. One bus, bus 0; no bridges, no hot plug.

mod config;

pub use config::{BarKind, ConfigSpace, Identity, PciInterrupt, SavedConfig};
