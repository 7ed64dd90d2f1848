//! The PC's memory map, and the firmware in it.

use hypervisor::{
    loader::{MemoryRange, RangeKind},
    memory::{DeviceMemory, GuestMemory, MemoryError},
};
use vm_memory::{Bytes, GuestAddress};

use crate::layout;

/// The least memory a PC is made with: firmware needs it.
pub const MEMORY_MIN: u64 = 8 << 20;

/// RAM ranges (first address, length) of a PC with `bytes` of memory: conventional memory up to the video window,
/// memory from 768 KiB up to [`layout::LOW_MEMORY_END`], and the rest above 4 GiB.
#[must_use]
pub fn ranges(bytes: u64) -> Vec<(u64, u64)> {
    let low = bytes.min(layout::LOW_MEMORY_END);
    let conventional = (0, layout::VIDEO_WINDOW);
    let extended = (layout::SHADOW_MEMORY, low - layout::SHADOW_MEMORY);
    let high = (layout::HIGH_MEMORY, bytes - low);
    [conventional, extended, high].into_iter().filter(|(_, len)| *len > 0).collect()
}

/// Bytes of memory below 4 GiB, counted as firmware does: from zero on, as if there were no hole.
#[must_use]
pub fn below_4g(bytes: u64) -> u64 {
    bytes.min(layout::LOW_MEMORY_END)
}

/// Bytes of memory above 4 GiB.
#[must_use]
pub fn above_4g(bytes: u64) -> u64 {
    bytes - below_4g(bytes)
}

/// The memory map of a PC without firmware, as a directly started kernel is told. Between `0x9f000` and 1 MiB is
/// room for what firmware would leave there: see [`super::kernel`].
#[must_use]
pub fn kernel_map(bytes: u64) -> Vec<MemoryRange> {
    let range = |base, end, kind| MemoryRange { base, len: end - base, kind };
    let mut map = vec![
        range(0, super::kernel::TABLES, RangeKind::Ram),
        range(super::kernel::TABLES, layout::EXTENDED_MEMORY, RangeKind::Reserved),
        range(layout::EXTENDED_MEMORY, below_4g(bytes), RangeKind::Ram),
        range(layout::ECAM, layout::ECAM + layout::ECAM_LEN, RangeKind::Reserved),
    ];
    if above_4g(bytes) > 0 {
        map.push(range(layout::HIGH_MEMORY, layout::HIGH_MEMORY + above_4g(bytes), RangeKind::Ram));
    }
    map
}

/// A firmware image can't be used.
#[derive(Debug, thiserror::Error)]
pub enum FirmwareError {
    /// It has no possible size.
    #[error("the firmware has {0} bytes: it has to be 64 KiB to 8 MiB, in whole pages")]
    Size(usize),
    /// The host refuses memory for it.
    #[error("there is no memory for the firmware")]
    Memory(#[from] MemoryError),
    /// The guest's memory has no room for its copy.
    #[error("the firmware does not fit into the machine's memory")]
    Shadow(#[source] vm_memory::GuestMemoryError),
}

/// The firmware's flash memory: it ends at 4 GiB, and its last 128 KiB are copied to below 1 MiB at each reset, as
/// firmware finds them there on a chipset whose shadow memory was set up.
pub struct Flash {
    rom: DeviceMemory,
    image: Vec<u8>,
}

impl Flash {
    /// Flash memory with `image` in it.
    ///
    /// # Errors
    /// [`FirmwareError`].
    pub fn new(image: Vec<u8>) -> Result<Self, FirmwareError> {
        let len = image.len();
        if !(64 << 10..=8 << 20).contains(&len) || !len.is_multiple_of(4096) {
            return Err(FirmwareError::Size(len));
        }
        let rom = DeviceMemory::new("firmware", len as u64)?;
        rom.bytes().copy_from(&image);
        Ok(Flash { rom, image })
    }

    /// The memory that the guest sees, read-only.
    #[must_use]
    pub fn memory(&self) -> &DeviceMemory {
        &self.rom
    }

    /// Where the guest sees it.
    #[must_use]
    pub fn base(&self) -> u64 {
        layout::HIGH_MEMORY - self.rom.len()
    }

    /// Copies the end of the image to below 1 MiB.
    ///
    /// # Errors
    /// [`FirmwareError::Shadow`].
    pub fn shadow(&self, memory: &GuestMemory) -> Result<(), FirmwareError> {
        let room = (layout::EXTENDED_MEMORY - layout::SHADOW_FIRMWARE) as usize;
        let end = &self.image[self.image.len().saturating_sub(room)..];
        let at = layout::EXTENDED_MEMORY - end.len() as u64;
        memory.write_slice(end, GuestAddress(at)).map_err(FirmwareError::Shadow)
    }
}

#[cfg(test)]
mod tests {
    use hypervisor::memory::guest_memory;

    use super::*;

    const MIB: u64 = 1 << 20;
    const GIB: u64 = 1 << 30;

    #[test]
    fn memory_leaves_room_for_the_video_window_and_the_devices_below_4_gib() {
        assert_eq!(ranges(64 * MIB), [(0, 0xa_0000), (0xc_0000, 64 * MIB - 0xc_0000)]);
        let large = ranges(8 * GIB);
        assert_eq!(large[1], (0xc_0000, layout::LOW_MEMORY_END - 0xc_0000));
        assert_eq!(large[2], (4 * GIB, 8 * GIB - layout::LOW_MEMORY_END));
        assert_eq!(below_4g(8 * GIB) + above_4g(8 * GIB), 8 * GIB);
    }

    #[test]
    fn a_kernels_map_has_no_overlaps_and_all_extended_memory() {
        for bytes in [64 * MIB, 2 * GIB, 16 * GIB] {
            let map = kernel_map(bytes);
            assert!(map.windows(2).all(|pair| pair[0].base + pair[0].len <= pair[1].base), "{map:?}");
            let ram: u64 = map.iter().filter(|range| range.kind == RangeKind::Ram).map(|range| range.len).sum();
            assert_eq!(ram, bytes - MIB + super::super::kernel::TABLES);
        }
    }

    #[test]
    fn the_end_of_the_firmware_is_below_1_mib() {
        let image: Vec<u8> = (0..256 << 10).map(|at: u32| (at >> 12) as u8).collect();
        let flash = Flash::new(image).unwrap();
        let memory = guest_memory(&ranges(8 * MIB)).unwrap();
        flash.shadow(&memory).unwrap();
        assert_eq!(flash.base(), 0xfffc_0000);
        assert_eq!(memory.read_obj::<u8>(GuestAddress(0xe_0000)).unwrap(), 32);
        assert_eq!(memory.read_obj::<u8>(GuestAddress(0xf_ffff)).unwrap(), 63);
    }

    #[test]
    fn a_file_that_is_no_firmware_is_refused() {
        for len in [0, 100, 65537, 16 << 20] {
            assert!(matches!(Flash::new(vec![0; len]), Err(FirmwareError::Size(_))), "{len}");
        }
    }
}
