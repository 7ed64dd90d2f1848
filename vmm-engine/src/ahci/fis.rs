//! Frame information structures (Serial ATA 3.0, section 10.3), and where the HBA puts received ones (AHCI 1.3.1,
//! section 4.2.1).

use super::task_file::TaskFile;

/// Where each kind goes in the received FIS area.
pub(super) mod area {
    pub(in crate::ahci) const DMA_SETUP: u64 = 0x00;
    pub(in crate::ahci) const PIO_SETUP: u64 = 0x20;
    pub(in crate::ahci) const REGISTER: u64 = 0x40;
    pub(in crate::ahci) const SET_DEVICE_BITS: u64 = 0x58;
}

const TYPE_REGISTER_H2D: u8 = 0x27;
const TYPE_REGISTER_D2H: u8 = 0x34;
const TYPE_DMA_SETUP: u8 = 0x41;
const TYPE_PIO_SETUP: u8 = 0x5f;
const TYPE_SET_DEVICE_BITS: u8 = 0xa1;

/// The I bit: the device asks for an interrupt.
const INTERRUPT: u8 = 1 << 6;
/// The D bit: data goes from the device to the host.
const DEVICE_TO_HOST: u8 = 1 << 5;

/// A register FIS, host to device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HostFis {
    /// The C bit: the command register was written; otherwise the device control register.
    pub(super) is_command: bool,
    pub(super) command: u8,
    pub(super) features: u16,
    /// 48 bits.
    pub(super) lba: u64,
    pub(super) device: u8,
    pub(super) count: u16,
    pub(super) control: u8,
}

/// Bytes of a register FIS.
pub(super) const REGISTER_LEN: usize = 20;

impl HostFis {
    /// Reads the FIS, if it is one that a device knows.
    pub(super) fn parse(bytes: &[u8; REGISTER_LEN]) -> Option<Self> {
        (bytes[0] == TYPE_REGISTER_H2D).then(|| HostFis {
            is_command: bytes[1] & 0x80 != 0,
            command: bytes[2],
            features: u16::from_le_bytes([bytes[3], bytes[11]]),
            lba: u64::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[8], bytes[9], bytes[10], 0, 0]),
            device: bytes[7],
            count: u16::from_le_bytes([bytes[12], bytes[13]]),
            control: bytes[15],
        })
    }

    /// The 20 bytes again, for a saved state.
    pub(super) fn bytes(&self) -> [u8; REGISTER_LEN] {
        let lba = self.lba.to_le_bytes();
        let mut bytes = [0; REGISTER_LEN];
        bytes[0] = TYPE_REGISTER_H2D;
        bytes[1] = u8::from(self.is_command) << 7;
        bytes[2] = self.command;
        [bytes[3], bytes[11]] = self.features.to_le_bytes();
        bytes[4..7].copy_from_slice(&lba[..3]);
        bytes[7] = self.device;
        bytes[8..11].copy_from_slice(&lba[3..6]);
        bytes[12..14].copy_from_slice(&self.count.to_le_bytes());
        bytes[15] = self.control;
        bytes
    }
}

/// A register FIS, device to host.
pub(super) fn register(task_file: &TaskFile, interrupt: bool) -> [u8; REGISTER_LEN] {
    let lba = task_file.lba.to_le_bytes();
    let mut bytes = [0; REGISTER_LEN];
    bytes[0] = TYPE_REGISTER_D2H;
    bytes[1] = if interrupt { INTERRUPT } else { 0 };
    bytes[2] = task_file.status;
    bytes[3] = task_file.error;
    bytes[4..7].copy_from_slice(&lba[..3]);
    bytes[7] = task_file.device;
    bytes[8..11].copy_from_slice(&lba[3..6]);
    bytes[12..14].copy_from_slice(&task_file.count.to_le_bytes());
    bytes
}

/// A PIO setup FIS for `transfer_count` bytes. `task_file` is the state before the transfer, `end_status` the status
/// after it.
pub(super) fn pio_setup(
    task_file: &TaskFile,
    end_status: u8,
    transfer_count: u16,
    to_host: bool,
    interrupt: bool,
) -> [u8; REGISTER_LEN] {
    let mut bytes = register(task_file, interrupt);
    bytes[0] = TYPE_PIO_SETUP;
    bytes[1] |= if to_host { DEVICE_TO_HOST } else { 0 };
    bytes[15] = end_status;
    bytes[16..18].copy_from_slice(&transfer_count.to_le_bytes());
    bytes
}

/// A DMA setup FIS for the queued command `tag`.
pub(super) fn dma_setup(tag: u8, transfer_count: u32, to_host: bool) -> [u8; 28] {
    let mut bytes = [0; 28];
    bytes[0] = TYPE_DMA_SETUP;
    bytes[1] = if to_host { DEVICE_TO_HOST } else { 0 };
    bytes[4] = tag;
    bytes[20..24].copy_from_slice(&transfer_count.to_le_bytes());
    bytes
}

/// A set device bits FIS: status and error, and the queued commands that are done.
pub(super) fn set_device_bits(status: u8, error: u8, done: u32) -> [u8; 8] {
    let mut bytes = [TYPE_SET_DEVICE_BITS, INTERRUPT, status & 0x77, error, 0, 0, 0, 0];
    bytes[4..].copy_from_slice(&done.to_le_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_fis_is_read_and_written_alike() {
        let mut bytes = [0; REGISTER_LEN];
        bytes[..4].copy_from_slice(&[0x27, 0x80, 0x60, 0x08]);
        bytes[4..8].copy_from_slice(&[1, 2, 3, 0x40]);
        bytes[8..12].copy_from_slice(&[4, 5, 6, 0x01]);
        bytes[12..16].copy_from_slice(&[0xf8, 0, 0, 8]);
        let fis = HostFis::parse(&bytes).unwrap();
        assert_eq!((fis.command, fis.features, fis.lba, fis.count), (0x60, 0x108, 0x0605_0403_0201, 0xf8));
        assert_eq!(fis.bytes(), bytes);
        bytes[0] = 0x34;
        assert_eq!(HostFis::parse(&bytes), None);
    }

    #[test]
    fn a_drive_speaks_of_its_registers() {
        let task_file = TaskFile { status: 0x50, error: 1, lba: 0xeb_1401, device: 0, count: 1 };
        assert_eq!(register(&task_file, true)[..8], [0x34, 0x40, 0x50, 1, 1, 0x14, 0xeb, 0]);
        let setup = pio_setup(&task_file, 0x50, 512, true, true);
        assert_eq!((setup[0], setup[1], setup[15], setup[17]), (0x5f, 0x60, 0x50, 2));
        assert_eq!(set_device_bits(0xc1, 4, 0x8000_0001), [0xa1, 0x40, 0x41, 4, 1, 0, 0, 0x80]);
    }
}
