//! The PC: chipset, buses, firmware interfaces, devices.

pub mod debugcon;
pub mod fw_cfg;
pub mod rtc;
pub mod speaker;
pub mod uart;
