//! Bus accesses as bytes: x86 is little-endian, and a device sees one to eight bytes at a time.

/// The value of `data`, read as a little-endian number of up to eight bytes.
///
/// Bytes beyond the eighth are ignored.
#[must_use]
pub fn value_of(data: &[u8]) -> u64 {
    data.iter().take(8).rev().fold(0, |value, &byte| value << 8 | u64::from(byte))
}

/// Fills `data` with `value`, little-endian. Bytes beyond the eighth become zero.
pub fn fill(data: &mut [u8], value: u64) {
    for (index, byte) in data.iter_mut().enumerate() {
        *byte = if index < 8 { (value >> (8 * index)) as u8 } else { 0 };
    }
}

/// Fills `data` with all ones: what a read that nobody claims gives.
pub fn fill_unclaimed(data: &mut [u8]) {
    data.fill(0xff);
}

/// Splits an access into bytes, as a bus bridge does for a device with eight data lines: byte `i` of a
/// read at `offset` is what `read(offset + i)` gives.
pub fn read_bytewise(offset: u16, data: &mut [u8], mut read: impl FnMut(u16) -> u8) {
    for (index, byte) in data.iter_mut().enumerate() {
        *byte = read(offset.wrapping_add(index as u16));
    }
}

/// Splits a write into bytes; see [`read_bytewise`].
pub fn write_bytewise(offset: u16, data: &[u8], mut write: impl FnMut(u16, u8)) {
    for (index, &byte) in data.iter().enumerate() {
        write(offset.wrapping_add(index as u16), byte);
    }
}

/// Reads from a register file kept as little-endian bytes. What lies beyond its end reads as zero.
pub fn read_slice(registers: &[u8], offset: u64, data: &mut [u8]) {
    for (index, byte) in data.iter_mut().enumerate() {
        let at = offset.saturating_add(index as u64);
        *byte = usize::try_from(at).ok().and_then(|at| registers.get(at)).copied().unwrap_or(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_little_endian() {
        assert_eq!(value_of(&[0x34, 0x12]), 0x1234);
        let mut data = [0; 4];
        fill(&mut data, 0x0102_0304_0506);
        assert_eq!(data, [6, 5, 4, 3]);
    }

    #[test]
    fn a_wide_access_is_split_in_address_order() {
        let mut seen = Vec::new();
        write_bytewise(0x60, &[1, 2, 3], |port, byte| seen.push((port, byte)));
        assert_eq!(seen, [(0x60, 1), (0x61, 2), (0x62, 3)]);
    }

    #[test]
    fn beyond_a_register_file_is_zero() {
        let mut data = [9; 4];
        read_slice(&[1, 2, 3], 2, &mut data);
        assert_eq!(data, [3, 0, 0, 0]);
        read_slice(&[1, 2, 3], u64::MAX, &mut data);
        assert_eq!(data, [0; 4]);
    }
}
