//! The PC: chipset, buses, firmware interfaces, devices.
