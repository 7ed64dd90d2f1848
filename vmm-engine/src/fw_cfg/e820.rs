//! The file `etc/e820`: RAM and reserved ranges, from which firmware makes its memory map (ACPI 6.5, section
//! 15.1; each entry is base, length and type, little-endian, 20 bytes).

/// The file's name.
pub const NAME: &str = "etc/e820";

/// What a range is. Firmware reads these two kinds from the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Kind {
    /// Usable RAM.
    Ram = 1,
    /// Not for the operating system.
    Reserved = 2,
}

/// The file for ranges of (first address, length in bytes, kind).
#[must_use]
pub fn file(ranges: &[(u64, u64, Kind)]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(ranges.len() * 20);
    for &(base, len, kind) in ranges {
        bytes.extend(base.to_le_bytes());
        bytes.extend(len.to_le_bytes());
        bytes.extend((kind as u32).to_le_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_twenty_bytes() {
        let bytes = file(&[(0, 0x8000_0000, Kind::Ram), (0xb000_0000, 0x1000_0000, Kind::Reserved)]);
        assert_eq!(bytes.len(), 40);
        assert_eq!(bytes[..20], [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80, 0, 0, 0, 0, 1, 0, 0, 0]);
        assert_eq!(bytes[20..40], [0, 0, 0, 0xb0, 0, 0, 0, 0, 0, 0, 0, 0x10, 0, 0, 0, 0, 2, 0, 0, 0]);
    }
}
