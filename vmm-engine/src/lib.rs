//! The PC: chipset, buses, firmware interfaces, devices.

pub mod rtc;
