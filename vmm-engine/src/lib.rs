//! The PC: chipset, buses, firmware interfaces, devices.

pub mod fw_cfg;
pub mod rtc;
