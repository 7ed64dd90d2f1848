//! Little-endian fields and ranges of a file whose offsets can't be trusted.

/// The bytes of a file, or of a part of one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    /// `len` bytes from `offset` on, if all of them are there.
    pub(super) fn range(self, offset: u64, len: u64) -> Option<&'a [u8]> {
        let start = usize::try_from(offset).ok()?;
        let end = usize::try_from(offset.checked_add(len)?).ok()?;
        self.0.get(start..end)
    }

    fn array<const N: usize>(self, offset: u64) -> Option<[u8; N]> {
        self.range(offset, N as u64)?.try_into().ok()
    }

    pub(super) fn u8(self, offset: u64) -> Option<u8> {
        self.array(offset).map(|[byte]: [u8; 1]| byte)
    }

    pub(super) fn u16(self, offset: u64) -> Option<u16> {
        self.array(offset).map(u16::from_le_bytes)
    }

    pub(super) fn u32(self, offset: u64) -> Option<u32> {
        self.array(offset).map(u32::from_le_bytes)
    }

    pub(super) fn u64(self, offset: u64) -> Option<u64> {
        self.array(offset).map(u64::from_le_bytes)
    }

    /// Whether `bytes` stand at `offset`.
    pub(super) fn has(self, offset: u64, bytes: &[u8]) -> bool {
        self.range(offset, bytes.len() as u64) == Some(bytes)
    }
}

/// Printable ASCII up to the first NUL or line end, at most 255 characters of it.
pub(super) fn printable(bytes: &[u8]) -> String {
    let printable = |byte: u8| if byte.is_ascii_graphic() || byte == b' ' { char::from(byte) } else { '?' };
    let line = bytes.split(|&byte| byte == 0 || byte == b'\n').next().unwrap_or_default();
    line.iter().take(255).map(|&byte| printable(byte)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_beyond_the_end_is_none() {
        let fields = Fields(&[1, 2, 3, 4, 5]);
        assert_eq!((fields.u32(1), fields.u32(2)), (Some(0x0504_0302), None));
        assert_eq!((fields.u16(u64::MAX), fields.range(u64::MAX, u64::MAX)), (None, None));
        assert_eq!(fields.range(5, 0), Some(&[][..]));
    }

    #[test]
    fn a_version_string_ends_at_its_nul_and_holds_nothing_odd() {
        assert_eq!(printable(b"6.1.0 (me)\0rest"), "6.1.0 (me)");
        assert_eq!(printable(b"\x1b[2J\nrest"), "?[2J");
        assert_eq!(printable(&[b'x'; 1000]).len(), 255);
    }
}
