//! The PC: chipset, buses, firmware interfaces, devices.

pub mod ahci;
pub mod bus;
pub mod lpc;
pub mod pci;
