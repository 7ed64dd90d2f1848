//! The PC: chipset, buses, firmware interfaces, devices.

pub mod acpi;
pub mod ahci;
pub mod bus;
pub mod debugcon;
pub mod fw_cfg;
pub mod i8042;
pub mod layout;
pub mod lpc;
pub mod pc;
pub mod pci;
pub mod rtc;
pub mod speaker;
pub mod uart;
pub mod vga;
