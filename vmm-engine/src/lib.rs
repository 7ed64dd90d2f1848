//! The PC: chipset, buses, firmware interfaces, devices.

pub mod bus;
pub mod lpc;
pub mod pci;
