//! What the battery-backed memory holds when a machine is made: what PC firmware, and SeaBIOS in particular,
//! looks for in it.

use super::STATUS_A;

/// A kind of boot device, by the number that SeaBIOS reads in CMOS bytes 0x3d and 0x38.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum BootDevice {
    /// A floppy drive.
    Floppy = 1,
    /// A hard disk.
    HardDisk = 2,
    /// A CD or DVD drive.
    Cd = 3,
    /// The network.
    Network = 4,
}

/// What a new machine's CMOS memory says about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CmosConfig {
    /// RAM from address 0 on, without a hole, in bytes (below 4 GiB).
    pub memory_below_4g: u64,
    /// RAM from 4 GiB on, in bytes.
    pub memory_above_4g: u64,
    /// Processors, 1 to 256. SeaBIOS waits until as many have come up.
    pub cpus: u16,
    /// The kinds of boot devices to try; the first three count. Firmware prefers fw_cfg's `bootorder`.
    pub boot_order: Vec<BootDevice>,
    /// How far the clock is ahead of UTC, in seconds: a guest that keeps local time needs that over a
    /// power-off. See [`Rtc::offset_seconds`](super::Rtc::offset_seconds).
    pub offset_seconds: i64,
}

/// Equipment byte: a coprocessor and a PS/2 pointing device; no floppy; EGA or VGA.
const EQUIPMENT: u8 = 0x06;

/// The 256 bytes of a new machine.
pub(super) fn contents(config: &CmosConfig) -> [u8; 256] {
    const KIB: u64 = 1 << 10;
    const MIB: u64 = 1 << 20;
    let mut cmos = [0; 256];
    let mut put = |low: usize, high: usize, value: u64| {
        let value = value.min(0xffff) as u16;
        [cmos[low], cmos[high]] = value.to_le_bytes();
    };
    put(0x15, 0x16, 640);
    let above_1m = config.memory_below_4g.saturating_sub(MIB) / KIB;
    put(0x17, 0x18, above_1m);
    put(0x30, 0x31, above_1m);
    put(0x34, 0x35, config.memory_below_4g.saturating_sub(16 * MIB) / (64 * KIB));
    let above_4g = (config.memory_above_4g / (64 * KIB)).min(0xff_ffff) as u32;
    cmos[0x5b..0x5e].copy_from_slice(&above_4g.to_le_bytes()[..3]);
    cmos[0x5f] = config.cpus.clamp(1, 256).wrapping_sub(1) as u8;

    let device = |index: usize| config.boot_order.get(index).map_or(0, |&device| device as u8);
    cmos[0x3d] = device(0) | device(1) << 4;
    // Bit 0: boot from a floppy without looking for its signature.
    cmos[0x38] = device(2) << 4 | 1;

    cmos[0x10] = 0; // no floppy drives
    cmos[0x14] = EQUIPMENT;
    // 32.768 kHz, 1024 Hz periodic rate; BCD, 24 hours.
    cmos[usize::from(STATUS_A)] = 0x26;
    cmos[usize::from(super::STATUS_B)] = super::B_24_HOURS;

    let sum: u16 = cmos[0x10..0x2e].iter().map(|&byte| u16::from(byte)).sum();
    [cmos[0x2e], cmos[0x2f]] = sum.to_be_bytes();
    cmos
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(below: u64, above: u64, cpus: u16) -> [u8; 256] {
        contents(&CmosConfig {
            memory_below_4g: below,
            memory_above_4g: above,
            cpus,
            boot_order: vec![BootDevice::Cd, BootDevice::HardDisk],
            offset_seconds: 0,
        })
    }

    fn word(cmos: &[u8; 256], low: usize) -> u64 {
        u16::from_le_bytes([cmos[low], cmos[low + 1]]).into()
    }

    #[test]
    fn seabios_finds_the_memory_it_computes_from_the_bytes() {
        let cmos = of(0xc000_0000, 5 << 30, 4);
        assert_eq!((word(&cmos, 0x34) << 16) + (16 << 20), 0xc000_0000);
        let above = word(&cmos, 0x5b) << 16 | u64::from(cmos[0x5d]) << 32;
        assert_eq!(above, 5 << 30);
        assert_eq!((word(&cmos, 0x15), word(&cmos, 0x17), word(&cmos, 0x30)), (640, 0xffff, 0xffff));
        assert_eq!(cmos[0x5f], 3);
    }

    #[test]
    fn a_small_machine_says_so() {
        let cmos = of(8 << 20, 0, 1);
        assert_eq!((word(&cmos, 0x30), word(&cmos, 0x34), cmos[0x5f]), (7 * 1024, 0, 0));
    }

    #[test]
    fn the_boot_order_is_in_its_nibbles() {
        let cmos = of(1 << 30, 0, 1);
        assert_eq!((cmos[0x3d], cmos[0x38]), (0x23, 1));
    }

    #[test]
    fn the_checksum_is_that_of_the_setup_bytes() {
        let cmos = of(1 << 30, 0, 1);
        let sum: u32 = cmos[0x10..=0x2d].iter().map(|&byte| u32::from(byte)).sum();
        assert_eq!(u32::from(cmos[0x2e]) << 8 | u32::from(cmos[0x2f]), sum);
        assert!(sum > 0);
    }
}
