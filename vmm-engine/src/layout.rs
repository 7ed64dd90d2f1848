//! Where things are in the PC: physical addresses, ports and interrupts that the chipset, the ACPI tables and the
//! firmware have to agree on. The values are those that SeaBIOS programs on a Q35.

/// Ends of the memory below 4 GiB: as much as there is up to here, the rest goes above 4 GiB.
pub const LOW_MEMORY_END: u64 = 0xb000_0000;
/// The legacy video window, between conventional memory and the option ROMs.
pub const VIDEO_WINDOW: u64 = 0xa_0000;
/// Length of the video window.
pub const VIDEO_WINDOW_LEN: u64 = 0x2_0000;
/// Where memory goes on above the video window.
pub const SHADOW_MEMORY: u64 = 0xc_0000;
/// Start of the firmware's copy below 1 MiB.
pub const SHADOW_FIRMWARE: u64 = 0xe_0000;
/// Start of memory above 1 MiB.
pub const EXTENDED_MEMORY: u64 = 0x10_0000;
/// Where the memory-mapped configuration space is.
pub const ECAM: u64 = 0xb000_0000;
/// Its length: 256 buses.
pub const ECAM_LEN: u64 = 0x1000_0000;
/// First address for PCI memory ranges.
pub const PCI_MEMORY: u32 = 0xc000_0000;
/// Last address for PCI memory ranges.
pub const PCI_MEMORY_LAST: u32 = 0xfebf_ffff;
/// The I/O APIC.
pub const IO_APIC: u32 = 0xfec0_0000;
/// The root complex register block.
pub const RCRB: u32 = 0xfed1_c000;
/// Local APICs.
pub const LOCAL_APIC: u32 = 0xfee0_0000;
/// First address above 4 GiB.
pub const HIGH_MEMORY: u64 = 0x1_0000_0000;
/// Power management registers.
pub const PM_BASE: u16 = 0x600;
/// ISA interrupts that firmware gives to PIRQA# to PIRQD#, and again to PIRQE# to PIRQH#.
pub const PIRQ_ISA_IRQS: [u8; 4] = [10, 10, 11, 11];
/// The system control interrupt.
pub const SCI_IRQ: u8 = 9;
