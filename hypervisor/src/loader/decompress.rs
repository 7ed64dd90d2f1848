//! Unpacks the kernel inside a `bzImage`: gzip, bzip2, LZMA, xz, LZ4 (legacy frames) and Zstandard.
//!
//! The result is at most [`MAX_UNPACKED`] bytes, and a decoder's window at most [`MAX_WINDOW`], so that a hostile file
//! costs bounded memory and time. Leaves out LZO, which only kernels built with `CONFIG_KERNEL_LZO` use.

use std::{
    fmt,
    io::{self, Read},
};

use super::fields::Fields;

/// The most bytes that a kernel may unpack to: 512 MiB. (Distributions' kernels have 50 to 70 MiB.)
pub const MAX_UNPACKED: u64 = 512 << 20;

/// The largest window a decoder may ask for: 256 MiB. (Linux is packed with 64 or 128 MiB.)
pub const MAX_WINDOW: u64 = 256 << 20;

/// The largest block of an LZ4 legacy frame.
const LZ4_BLOCK: usize = 8 << 20;
const LZ4_LEGACY_MAGIC: [u8; 4] = [0x02, 0x21, 0x4c, 0x18];

/// A compression format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Compression {
    /// Not compressed: an ELF file.
    None,
    /// gzip (RFC 1952).
    Gzip,
    /// bzip2.
    Bzip2,
    /// LZMA "alone".
    Lzma,
    /// xz, with its branch filters.
    Xz,
    /// LZO, as `lzop` writes it: known, but not unpacked.
    Lzo,
    /// LZ4 in legacy frames.
    Lz4,
    /// Zstandard (RFC 8878).
    Zstd,
}

impl Compression {
    /// The format of what begins with `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Option<Self> {
        const MAGIC: &[(&[u8], Compression)] = &[
            (b"\x7fELF", Compression::None),
            (&[0x1f, 0x8b], Compression::Gzip),
            (b"BZh", Compression::Bzip2),
            (&[0x5d, 0, 0], Compression::Lzma),
            (b"\xfd7zXZ\0", Compression::Xz),
            (b"\x89LZO\0\r\n\x1a\n", Compression::Lzo),
            (&LZ4_LEGACY_MAGIC, Compression::Lz4),
            (&[0x28, 0xb5, 0x2f, 0xfd], Compression::Zstd),
        ];
        MAGIC.iter().find(|(magic, _)| bytes.starts_with(magic)).map(|&(_, compression)| compression)
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Compression::None => "no compression",
            Compression::Gzip => "gzip",
            Compression::Bzip2 => "bzip2",
            Compression::Lzma => "LZMA",
            Compression::Xz => "xz",
            Compression::Lzo => "LZO",
            Compression::Lz4 => "LZ4",
            Compression::Zstd => "Zstandard",
        })
    }
}

/// A packed kernel can't be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum DecompressError {
    /// The first bytes are of no known format.
    #[error("its compression format is unknown")]
    UnknownFormat,
    /// A format without a decoder here.
    #[error("it is compressed by {0}, which is not supported")]
    Unsupported(Compression),
    /// More than [`MAX_UNPACKED`].
    #[error("it unpacks to more than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// The length that the file promises isn't what came out.
    #[error("it should unpack to {expected} bytes, but {found} came out")]
    WrongLength {
        /// What the file says.
        expected: u64,
        /// What it was; at most one more than `expected`.
        found: u64,
    },
    /// The decoder gave up.
    #[error("its {format} data is damaged")]
    Damaged {
        /// The format.
        format: Compression,
        /// What the decoder said.
        #[source]
        source: io::Error,
    },
}

/// Unpacks the payload of a `bzImage`: packed data, of which the last four bytes are the unpacked length (part of the
/// format for gzip, appended for the others); or an ELF file as it is.
///
/// # Errors
/// [`DecompressError`].
pub(super) fn unpack(payload: &[u8]) -> Result<Vec<u8>, DecompressError> {
    let format = Compression::of(payload).ok_or(DecompressError::UnknownFormat)?;
    if format == Compression::None {
        return Ok(payload.to_vec());
    }
    let damaged = |source| DecompressError::Damaged { format, source };
    let trailer = payload.len().saturating_sub(4);
    let expected = Fields(payload).u32(trailer as u64).ok_or_else(|| damaged(io::ErrorKind::UnexpectedEof.into()))?;
    let expected = u64::from(expected);
    if expected > MAX_UNPACKED {
        return Err(DecompressError::TooLarge { limit: MAX_UNPACKED });
    }
    let packed = &payload[..trailer];
    let out = match format {
        // The trailer belongs to the format.
        Compression::Gzip => collect(flate2::read::GzDecoder::new(payload), expected),
        Compression::Bzip2 => collect(bzip2::read::BzDecoder::new(packed), expected),
        Compression::Lzma => lzma_rust2::LzmaReader::new_mem_limit(packed, (MAX_WINDOW >> 10) as u32, None)
            .and_then(|reader| collect(reader, expected)),
        Compression::Xz => {
            collect(lzma_rust2::XzReader::new_mem_limit(packed, false, (MAX_WINDOW >> 10) as u32), expected)
        }
        Compression::Zstd => ruzstd::decoding::StreamingDecoder::new_with_max_window_size(packed, MAX_WINDOW)
            .map_err(|error| io::Error::other(error.to_string()))
            .and_then(|reader| collect(reader, expected)),
        Compression::Lz4 => lz4_legacy(packed, expected),
        Compression::None | Compression::Lzo => return Err(DecompressError::Unsupported(format)),
    }
    .map_err(damaged)?;
    let found = out.len() as u64;
    if found == expected { Ok(out) } else { Err(DecompressError::WrongLength { expected, found }) }
}

/// Reads up to one byte more than `expected`.
fn collect(reader: impl Read, expected: u64) -> io::Result<Vec<u8>> {
    let mut out = buffer(expected)?;
    reader.take(expected + 1).read_to_end(&mut out)?;
    Ok(out)
}

fn buffer(expected: u64) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    out.try_reserve_exact(expected as usize + 1).map_err(|_| io::ErrorKind::OutOfMemory)?;
    Ok(out)
}

/// LZ4's legacy frame: a magic number, then blocks, each after its packed length. Frames may follow each other.
fn lz4_legacy(packed: &[u8], expected: u64) -> io::Result<Vec<u8>> {
    let mut out = buffer(expected)?;
    let mut block = vec![0; LZ4_BLOCK];
    let mut rest = packed.get(LZ4_LEGACY_MAGIC.len()..).ok_or(io::ErrorKind::UnexpectedEof)?;
    while let Some((head, tail)) = rest.split_first_chunk::<4>() {
        rest = tail;
        if *head == LZ4_LEGACY_MAGIC {
            continue;
        }
        let len = u32::from_le_bytes(*head) as usize;
        let data = rest.get(..len).ok_or(io::ErrorKind::UnexpectedEof)?;
        rest = &rest[len..];
        let written = lz4_flex::block::decompress_into(data, &mut block).map_err(io::Error::other)?;
        out.extend_from_slice(&block[..written]);
        if out.len() as u64 > expected {
            out.truncate(expected as usize + 1);
            break;
        }
    }
    if rest.is_empty() || out.len() as u64 > expected { Ok(out) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// [`plain`], packed as Linux's build does it (`scripts/Makefile.lib`): `gzip -9`, `bzip2 -9`, `lzma -9`,
    /// `xz --check=crc32 --x86 --lzma2=dict=32MiB`, `lz4 -l -9`, `zstd -22 --ultra`, each from standard input; then, but
    /// for gzip, the length as a little-endian `u32`.
    const PACKED: &[(Compression, &[u8])] = &[
        (Compression::Gzip, include_bytes!("packed/gzip.bin")),
        (Compression::Bzip2, include_bytes!("packed/bzip2.bin")),
        (Compression::Lzma, include_bytes!("packed/lzma.bin")),
        (Compression::Xz, include_bytes!("packed/xz.bin")),
        (Compression::Lz4, include_bytes!("packed/lz4.bin")),
        (Compression::Zstd, include_bytes!("packed/zstd.bin")),
    ];

    /// 64 calls, which xz's x86 filter changes, and then runs of each byte.
    fn plain() -> Vec<u8> {
        let block = |index: usize| {
            let run = (index / 64) as u8;
            if index < 64 { [0xe8, index as u8, 0x10, 0, 0, run, run, 0x90] } else { [run; 8] }
        };
        (0..12_500).flat_map(block).collect()
    }

    #[test]
    fn each_format_unpacks_to_what_was_packed() {
        for &(format, packed) in PACKED {
            assert_eq!(Compression::of(packed), Some(format));
            assert!(unpack(packed).unwrap() == plain(), "{format}");
        }
        assert_eq!(unpack(b"\x7fELF as it is").unwrap(), b"\x7fELF as it is");
    }

    #[test]
    fn a_wrong_length_is_noticed() {
        for &(format, packed) in PACKED {
            let trailer = packed.len() - 4;
            for wrong in [99_999_u32, 100_001] {
                let bytes = [&packed[..trailer], &wrong.to_le_bytes()].concat();
                assert!(unpack(&bytes).is_err(), "{format}");
            }
            let bytes = [&packed[..trailer], &u32::MAX.to_le_bytes()].concat();
            assert!(matches!(unpack(&bytes), Err(DecompressError::TooLarge { limit: MAX_UNPACKED })), "{format}");
        }
    }

    #[test]
    fn data_that_is_cut_off_is_an_error_wherever_it_is_cut() {
        for (format, packed) in PACKED {
            for len in (0..32).chain((32..packed.len() - 4).step_by(29)) {
                assert!(unpack(&packed[..len]).is_err(), "{format} cut to {len}");
                let error = unpack(&[&packed[..len], &100_000_u32.to_le_bytes()].concat()).unwrap_err();
                assert!(!matches!(error, DecompressError::TooLarge { .. }), "{format} cut to {len}: {error}");
            }
        }
    }

    #[test]
    fn what_has_no_decoder_is_named() {
        let lzo = [&b"\x89LZO\0\r\n\x1a\n"[..], &[0; 20]].concat();
        assert_eq!(unpack(&lzo).unwrap_err().to_string(), "it is compressed by LZO, which is not supported");
        assert!(matches!(unpack(b"plain text"), Err(DecompressError::UnknownFormat)));
        assert!(matches!(unpack(b""), Err(DecompressError::UnknownFormat)));
    }

    #[test]
    fn a_window_of_four_gibibytes_is_refused() {
        // The dictionary's size is the second byte's property in an LZMA header, little-endian.
        let mut lzma = PACKED[2].1.to_vec();
        lzma[1..5].copy_from_slice(&[0xff; 4]);
        lzma[1] = 0;
        lzma[2] = 0;
        assert!(matches!(unpack(&lzma), Err(DecompressError::Damaged { format: Compression::Lzma, .. })));
        // Window_Descriptor of a Zstandard frame: exponent 22, 2^32 bytes.
        let mut zstd = PACKED[5].1.to_vec();
        zstd[5] = 22 << 3;
        assert!(matches!(unpack(&zstd), Err(DecompressError::Damaged { format: Compression::Zstd, .. })));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]
        #[test]
        fn damaged_data_never_panics(
            which in 0..PACKED.len(),
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut bytes = PACKED[which].1.to_vec();
            for (at, value) in changes {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
            let _ = unpack(&bytes);
            let _ = unpack(&bytes[..cut.index(bytes.len())]);
        }
    }
}
