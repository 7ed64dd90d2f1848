//! The entries of the level 1 and level 2 tables: where a guest cluster's content is.

use super::geometry::Geometry;

/// The cluster is used once, so it may be written in place.
pub(super) const COPIED: u64 = 1 << 63;
const COMPRESSED: u64 = 1 << 62;
/// Reads as zeroes, whatever else is there (version 3).
pub(super) const ZERO: u64 = 1;
/// Bits of a host offset in entries of both levels.
const OFFSET: u64 = 0x00ff_ffff_ffff_fe00;

/// Host offsets end here: they have 56 bits.
pub(super) const MAX_OFFSET: u64 = OFFSET;

/// What a level 2 entry says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mapping {
    /// Nothing: the backing image's content, or zeroes.
    Unallocated,
    /// Zeroes. A host cluster may be kept for later.
    Zero {
        host: Option<u64>,
        copied: bool,
    },
    Data {
        host: u64,
        copied: bool,
    },
    Compressed(Compressed),
    /// Not one of these: the image is damaged.
    Invalid,
}

/// Where compressed content is. It may begin anywhere and share its clusters with others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Compressed {
    pub(super) host: u64,
    /// Upper limit; the content's own end mark counts.
    pub(super) len: u32,
}

impl Mapping {
    pub(super) fn decode(entry: u64, geometry: &Geometry, version: u32) -> Self {
        if entry & COMPRESSED != 0 {
            // The lower bits are the offset, the upper ones the number of further sectors
            let offset_bits = 62 - (geometry.cluster_bits - 8);
            let host = entry & ((1 << offset_bits) - 1);
            let sectors = (entry & (COMPRESSED - 1)) >> offset_bits;
            if host >= MAX_OFFSET || entry & COPIED != 0 {
                return Mapping::Invalid;
            }
            let len = (sectors + 1) * 512 - (host & 511);
            return Mapping::Compressed(Compressed { host, len: len as u32 });
        }
        let host = entry & OFFSET;
        let copied = entry & COPIED != 0;
        if geometry.in_cluster(host) != 0 {
            return Mapping::Invalid;
        }
        if version >= 3 && entry & ZERO != 0 {
            return Mapping::Zero { host: (host != 0).then_some(host), copied };
        }
        if host == 0 { Mapping::Unallocated } else { Mapping::Data { host, copied } }
    }
}

/// The table that a level 1 entry points to: its offset, and whether it may be changed in place.
///
/// # Errors
/// [`InvalidEntry`] if the offset is impossible.
pub(super) fn decode_l1(entry: u64, geometry: &Geometry) -> Result<Option<(u64, bool)>, InvalidEntry> {
    let offset = entry & OFFSET;
    if geometry.in_cluster(offset) != 0 {
        return Err(InvalidEntry);
    }
    Ok((offset != 0).then_some((offset, entry & COPIED != 0)))
}

/// An entry that no sound image has.
#[derive(Debug, Clone, Copy)]
pub(super) struct InvalidEntry;

#[cfg(test)]
mod tests {
    use super::*;

    const GEOMETRY: Geometry = Geometry { cluster_bits: 16, refcount_order: 4, virtual_size: 1 << 30 };

    #[test]
    fn each_kind_of_entry_is_told_apart() {
        let decode = |entry| Mapping::decode(entry, &GEOMETRY, 3);
        assert_eq!(decode(0), Mapping::Unallocated);
        assert_eq!(decode(ZERO), Mapping::Zero { host: None, copied: false });
        assert_eq!(decode(COPIED | 0x5_0000), Mapping::Data { host: 0x5_0000, copied: true });
        assert_eq!(decode(COPIED | 0x5_0001), Mapping::Zero { host: Some(0x5_0000), copied: true });
        assert_eq!(decode(0x5_0200), Mapping::Invalid);
    }

    #[test]
    fn version_2_has_no_zero_flag() {
        assert_eq!(Mapping::decode(0x5_0001, &GEOMETRY, 2), Mapping::Data { host: 0x5_0000, copied: false });
    }

    #[test]
    fn a_compressed_entry_counts_sectors_from_the_one_it_begins_in() {
        // 54 bits of offset with clusters of 64 KiB
        let entry = COMPRESSED | (3 << 54) | 0x1_2345;
        assert_eq!(
            Mapping::decode(entry, &GEOMETRY, 3),
            Mapping::Compressed(Compressed { host: 0x1_2345, len: 4 * 512 - 0x145 })
        );
    }
}
