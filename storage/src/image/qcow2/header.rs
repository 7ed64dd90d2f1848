//! The header of a qcow2 file, versions 2 and 3 (QEMU's `docs/interop/qcow2.txt`, "Header").
//!
//! Everything in it may be hostile. What is accepted here is bounded, so that nothing behind needs more memory than the
//! tables of the largest sensible image. Names (of a backing image, of an external data file) are only ever shown.

use super::super::ImageError;
use super::super::host_file::HostFile;
use super::geometry::Geometry;

/// The first four bytes.
pub(in super::super) const MAGIC: [u8; 4] = *b"QFI\xfb";

/// Length of a version 2 header.
const LEN_V2: usize = 72;
/// Shortest version 3 header.
const LEN_V3: usize = 104;
/// As much as we look at: the largest cluster could be longer, but nothing of use stands there.
const LOOKED_AT: usize = 64 << 10;

/// Limits that QEMU has as well, and that no image needs to exceed.
pub(super) const MAX_L1_BYTES: u64 = 32 << 20;
pub(super) const MAX_REFCOUNT_TABLE_BYTES: u64 = 8 << 20;
const MAX_BACKING_NAME: u32 = 1023;

/// Bits of `incompatible_features`.
pub(super) mod incompatible {
    pub(in super::super) const DIRTY: u64 = 1 << 0;
    pub(in super::super) const CORRUPT: u64 = 1 << 1;
    pub(in super::super) const EXTERNAL_DATA: u64 = 1 << 2;
    pub(in super::super) const COMPRESSION_TYPE: u64 = 1 << 3;
    pub(in super::super) const EXTENDED_L2: u64 = 1 << 4;
}

/// The only bit of `compatible_features` that means something to us, and nothing for us.
const LAZY_REFCOUNTS: u64 = 1 << 0;

/// Where fields stand that are written again later.
pub(super) mod field {
    pub(in super::super) const REFCOUNT_TABLE: u64 = 48;
    pub(in super::super) const AUTOCLEAR: u64 = 88;
}

/// Types of header extensions.
mod extension {
    pub(super) const END: u32 = 0;
    pub(super) const BACKING_FORMAT: u32 = 0xe279_2aca;
    pub(super) const FEATURE_NAMES: u32 = 0x6803_f857;
}

/// A header that passed every check that needs nothing but itself and the file's length.
#[derive(Debug, Clone)]
pub(super) struct Header {
    pub(super) geometry: Geometry,
    pub(super) version: u32,
    pub(super) incompatible: u64,
    pub(super) autoclear: u64,
    pub(super) l1_offset: u64,
    pub(super) l1_entries: u32,
    pub(super) refcount_table_offset: u64,
    pub(super) refcount_table_clusters: u32,
    pub(super) snapshots: u32,
    /// Something is in the image, and may have clusters, that isn't understood; writers may leave it alone.
    pub(super) has_unknown_parts: bool,
    pub(super) backing_name: Option<String>,
    pub(super) backing_format: Option<String>,
}

/// Big-endian numbers at fixed places; beyond the end there are zeroes.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn u32(&self, at: usize) -> u32 {
        self.0.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_be_bytes)
    }

    fn u64(&self, at: usize) -> u64 {
        self.0.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_be_bytes)
    }
}

impl Header {
    /// Reads and checks the header of `file`.
    ///
    /// # Errors
    /// [`ImageError::NotQcow2`], [`ImageError::Unsupported`], [`ImageError::Damaged`], or what the host says.
    pub(super) fn read(file: &HostFile) -> Result<Self, ImageError> {
        let name = file.name();
        let mut bytes = vec![0; (file.len() as usize).min(LOOKED_AT)];
        file.read_bytes(&mut bytes, 0).map_err(ImageError::io(name))?;
        Header::parse(&bytes, file.len(), name)
    }

    fn parse(bytes: &[u8], file_len: u64, name: &str) -> Result<Self, ImageError> {
        let damaged = |what: String| ImageError::damaged(name, what);
        if !bytes.starts_with(&MAGIC) {
            return Err(ImageError::NotQcow2 { name: name.to_owned() });
        }
        let cut = || damaged("the file ends within its header".to_owned());
        if bytes.len() < LEN_V2 {
            return Err(cut());
        }
        let fields = Fields(bytes);
        let version = fields.u32(4);
        if version == 3 && bytes.len() < LEN_V3 {
            return Err(cut());
        }
        let header_len = match version {
            2 => LEN_V2,
            3 => fields.u32(100) as usize,
            1 => return Err(ImageError::unsupported(name, "the old qcow format (version 1)", CONVERT)),
            _ => return Err(ImageError::unsupported(name, format!("version {version} of the qcow2 format"), NEWER)),
        };
        let cluster_bits = fields.u32(20);
        if !(9..=21).contains(&cluster_bits) {
            return Err(damaged(format!("clusters of 2^{cluster_bits} bytes are impossible")));
        }
        let cluster_size = 1_usize << cluster_bits;
        if version == 3 && (header_len < LEN_V3 || header_len > cluster_size || !header_len.is_multiple_of(8)) {
            return Err(damaged(format!("its header can't be {header_len} bytes long")));
        }
        if bytes.len() < header_len {
            return Err(cut());
        }

        let v3 = version == 3;
        let incompatible = if v3 { fields.u64(72) } else { 0 };
        let refcount_order = if v3 { fields.u32(96) } else { 4 };
        let extensions = Extensions::parse(&bytes[header_len..bytes.len().min(cluster_size).max(header_len)]);
        check_features(name, incompatible, &extensions)?;
        match fields.u32(32) {
            0 => {}
            1 | 2 => return Err(ImageError::unsupported(name, "encryption", CONVERT)),
            method => return Err(damaged(format!("encryption method {method} doesn't exist"))),
        }
        if refcount_order > 6 {
            return Err(damaged(format!("reference counts of 2^{refcount_order} bits are impossible")));
        }

        let header = Header {
            geometry: Geometry { cluster_bits, refcount_order, virtual_size: fields.u64(24) },
            version,
            incompatible,
            autoclear: if v3 { fields.u64(88) } else { 0 },
            l1_offset: fields.u64(40),
            l1_entries: fields.u32(36),
            refcount_table_offset: fields.u64(48),
            refcount_table_clusters: fields.u32(56),
            snapshots: fields.u32(60),
            has_unknown_parts: extensions.unknown || (v3 && fields.u64(80) & !LAZY_REFCOUNTS != 0),
            backing_name: backing_name(bytes, cluster_size, name)?,
            backing_format: extensions.backing_format,
        };
        header.check_tables(file_len, name)?;
        Ok(header)
    }

    fn check_tables(&self, file_len: u64, name: &str) -> Result<(), ImageError> {
        let damaged = |what: String| Err(ImageError::damaged(name, what));
        let geometry = &self.geometry;
        let size = geometry.virtual_size;
        if size == 0 || !size.is_multiple_of(512) {
            return damaged(format!("a disk of {size} bytes is impossible"));
        }
        let needed = geometry.l1_entries_needed();
        if needed * 8 > MAX_L1_BYTES {
            return damaged(format!(
                "a disk of {size} bytes is impossible with clusters of {} bytes",
                geometry.cluster_size()
            ));
        }
        let l1_bytes = u64::from(self.l1_entries) * 8;
        if u64::from(self.l1_entries) < needed || l1_bytes > MAX_L1_BYTES {
            return damaged(format!("its level 1 table can't have {} entries", self.l1_entries));
        }
        let table_bytes = u64::from(self.refcount_table_clusters) << geometry.cluster_bits;
        if table_bytes > MAX_REFCOUNT_TABLE_BYTES.max(geometry.cluster_size()) {
            return damaged(format!("its refcount table can't have {} clusters", self.refcount_table_clusters));
        }
        for (what, offset, len) in
            [("level 1 table", self.l1_offset, l1_bytes), ("refcount table", self.refcount_table_offset, table_bytes)]
        {
            if !offset.is_multiple_of(geometry.cluster_size()) || offset < geometry.cluster_size() {
                return damaged(format!("its {what} can't be at offset {offset}"));
            }
            if offset.checked_add(len).is_none_or(|end| end > file_len) {
                return damaged(format!("its {what} lies beyond the end of the file, which was cut off"));
            }
        }
        Ok(())
    }
}

const CONVERT: &str = "Convert it: `qemu-img convert -O qcow2 FILE NEW.qcow2`.";
const NEWER: &str = "A newer program made it; convert it there with `qemu-img convert -O qcow2 FILE NEW.qcow2`.";

fn check_features(name: &str, incompatible: u64, extensions: &Extensions) -> Result<(), ImageError> {
    if incompatible & incompatible::EXTERNAL_DATA != 0 {
        return Err(ImageError::unsupported(name, "an external data file", CONVERT));
    }
    if incompatible & incompatible::COMPRESSION_TYPE != 0 {
        return Err(ImageError::unsupported(name, "compression other than zlib (zstd, probably)", CONVERT));
    }
    if incompatible & incompatible::EXTENDED_L2 != 0 {
        return Err(ImageError::unsupported(name, "subclusters (extended L2 entries)", CONVERT));
    }
    let unknown = incompatible & !(incompatible::DIRTY | incompatible::CORRUPT);
    if unknown != 0 {
        let bit = unknown.trailing_zeros() as u8;
        let feature = match extensions.feature_names.iter().find(|(number, _)| *number == bit) {
            Some((_, feature)) => format!("the feature \"{feature}\""),
            None => format!("feature {bit}"),
        };
        return Err(ImageError::unsupported(name, feature, NEWER));
    }
    Ok(())
}

fn backing_name(bytes: &[u8], cluster_size: usize, name: &str) -> Result<Option<String>, ImageError> {
    let fields = Fields(bytes);
    let (offset, len) = (fields.u64(8), fields.u32(16));
    if offset == 0 || len == 0 {
        return Ok(None);
    }
    if len > MAX_BACKING_NAME || offset.saturating_add(u64::from(len)) > cluster_size as u64 {
        return Err(ImageError::damaged(name, "the name of its backing image is not inside its header"));
    }
    let offset = offset as usize;
    match bytes.get(offset..offset + len as usize) {
        Some(text) => Ok(Some(printable(text))),
        None => Err(ImageError::damaged(name, "the file ends within its header")),
    }
}

/// Text from an image, safe to show.
fn printable(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// What of the header extensions is of interest.
#[derive(Debug, Default)]
struct Extensions {
    backing_format: Option<String>,
    /// Incompatible features only: bit, name.
    feature_names: Vec<(u8, String)>,
    /// There are others, or something that isn't an extension.
    unknown: bool,
}

impl Extensions {
    fn parse(mut bytes: &[u8]) -> Self {
        let mut extensions = Extensions::default();
        while bytes.len() >= 8 {
            let fields = Fields(bytes);
            let (kind, len) = (fields.u32(0), fields.u32(4) as usize);
            let Some(data) = bytes[8..].get(..len) else {
                extensions.unknown = true;
                break;
            };
            match kind {
                extension::END => break,
                extension::BACKING_FORMAT => extensions.backing_format = Some(printable(data)),
                extension::FEATURE_NAMES => extensions.read_feature_names(data),
                _ => extensions.unknown = true,
            }
            bytes = bytes[8..].get(len.next_multiple_of(8)..).unwrap_or_default();
        }
        extensions
    }

    fn read_feature_names(&mut self, data: &[u8]) {
        for entry in data.chunks_exact(48).filter(|entry| entry[0] == 0) {
            let text = entry[2..].split(|byte| *byte == 0).next().unwrap_or_default();
            self.feature_names.push((entry[1], printable(text)));
        }
    }
}

/// The beginning of a new image: a version 3 header with its extensions and the backing name, all within one cluster.
pub(super) struct NewHeader<'a> {
    pub(super) geometry: Geometry,
    pub(super) l1_offset: u64,
    pub(super) l1_entries: u32,
    pub(super) refcount_table_offset: u64,
    pub(super) backing: Option<(&'a str, &'a str)>,
}

impl NewHeader<'_> {
    /// The bytes; `None` if the backing name is too long for the first cluster or for the format.
    pub(super) fn encode(&self) -> Option<Vec<u8>> {
        let mut extensions = Vec::new();
        let mut push = |kind: u32, data: &[u8]| {
            extensions.extend_from_slice(&kind.to_be_bytes());
            extensions.extend_from_slice(&(data.len() as u32).to_be_bytes());
            extensions.extend_from_slice(data);
            extensions.resize(extensions.len().next_multiple_of(8), 0);
        };
        if let Some((_, format)) = self.backing {
            push(extension::BACKING_FORMAT, format.as_bytes());
        }
        push(extension::END, &[]);
        let name = self.backing.map(|(name, _)| name.as_bytes()).unwrap_or_default();
        let name_offset = if name.is_empty() { 0 } else { LEN_V3 + extensions.len() };
        if name.len() > MAX_BACKING_NAME as usize
            || LEN_V3 + extensions.len() + name.len() > self.geometry.cluster_size() as usize
        {
            return None;
        }

        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&3_u32.to_be_bytes());
        bytes.extend_from_slice(&(name_offset as u64).to_be_bytes());
        bytes.extend_from_slice(&(name.len() as u32).to_be_bytes());
        bytes.extend_from_slice(&self.geometry.cluster_bits.to_be_bytes());
        bytes.extend_from_slice(&self.geometry.virtual_size.to_be_bytes());
        bytes.extend_from_slice(&0_u32.to_be_bytes()); // not encrypted
        bytes.extend_from_slice(&self.l1_entries.to_be_bytes());
        bytes.extend_from_slice(&self.l1_offset.to_be_bytes());
        bytes.extend_from_slice(&self.refcount_table_offset.to_be_bytes());
        bytes.extend_from_slice(&1_u32.to_be_bytes()); // clusters of the refcount table
        bytes.extend_from_slice(&[0; 12]); // no snapshots
        bytes.extend_from_slice(&[0; 24]); // no incompatible, compatible or autoclear features
        bytes.extend_from_slice(&self.geometry.refcount_order.to_be_bytes());
        bytes.extend_from_slice(&(LEN_V3 as u32).to_be_bytes());
        bytes.extend_from_slice(&extensions);
        bytes.extend_from_slice(name);
        Some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_ends_within_its_header_is_said_to() {
        let mut bytes = [0; 100];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[20..24].copy_from_slice(&16_u32.to_be_bytes());
        for (version, len) in [(3, 100), (3, 60), (3, 24), (2, 71), (2, 6)] {
            bytes[4..8].copy_from_slice(&u32::to_be_bytes(version));
            let error = Header::parse(&bytes[..len], len as u64, "a.qcow2").unwrap_err().to_string();
            assert!(error.contains("the file ends within its header"), "{version} {len}: {error}");
        }
    }
}
