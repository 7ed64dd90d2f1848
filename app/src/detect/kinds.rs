//! What kind of file it is.

use std::{fs::File, path::Path};

use anyhow::{Context, Result, bail};
use hypervisor::loader::{Kernel, KernelError, KernelKind};
use machine::definition::ImageFormat;
use storage::{
    image::{self, ImageError},
    media::{self, BootSector},
};

use super::{DiskImage, Iso, KernelFile, Kind};
use crate::launch;

/// What was seen of a file.
pub(super) struct Seen {
    pub(super) kind: Kind,
    /// What a disc with an ISO 9660 file system says.
    pub(super) disc: Option<media::Iso>,
    /// It ends before its file system does: it has so many of so many bytes.
    pub(super) cut_off: Option<(u64, u64)>,
}

impl Seen {
    fn of(kind: Kind) -> Self {
        Seen { kind, disc: None, cut_off: None }
    }
}

/// Looks at a file.
///
/// # Errors
/// It can't be read, or is of no use; in words for a person.
pub(super) fn look(path: &Path) -> Result<Seen> {
    let file = launch::open(path, false)?;
    let shown = path.display();
    let disc = media::Iso::read(&file).with_context(|| format!("can't read {shown}"))?;
    if disc.is_some() {
        return look_at_disc(&file, disc);
    }
    if let Some(kernel) = kernel(&file).with_context(|| format!("'{shown}' can't be started"))? {
        return Ok(Seen::of(Kind::Kernel(kernel)));
    }
    if image::check_disc(&file).is_ok() {
        return look_at_disc(&file, None);
    }
    match image::info(&file) {
        Ok(info) => Ok(Seen::of(disk(&file, &info))),
        Err(ImageError::WrongKind { what, advice, .. }) => {
            bail!("'{shown}' is {what}, which no machine can use. {advice}")
        }
        Err(ImageError::Empty { .. }) => bail!("'{shown}' is empty. Download or copy it again"),
        Err(error) => Err(error).with_context(|| format!("'{shown}' can't be used")),
    }
}

fn look_at_disc(file: &File, disc: Option<media::Iso>) -> Result<Seen> {
    let cut_off = match image::check_disc(file) {
        Ok(()) => None,
        Err(ImageError::Truncated { len, expected, .. }) => Some((len, expected)),
        Err(error) => return Err(error.into()),
    };
    let said = disc.clone().unwrap_or_default();
    let iso = Iso {
        boots_with_bios: said.boots_with_bios(),
        boots_with_uefi: said.boots_with_uefi(),
        volume: said.labels.volume,
        publisher: said.labels.publisher,
        application: said.labels.application,
        bytes: said.volume_bytes,
    };
    Ok(Seen { kind: Kind::Iso(iso), disc, cut_off })
}

/// The kernel in a file; `None` if it isn't one.
fn kernel(file: &File) -> Result<Option<KernelFile>> {
    let kernel = match Kernel::read(file) {
        Ok(kernel) => kernel,
        Err(KernelError::NotAKernel { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let known = match kernel.kind() {
        KernelKind::BzImage { version, has_entry_64, compression, .. } => {
            // Whether there is another entry, only the kernel inside tells.
            let inner = compression.and_then(|_| kernel.unpack().ok()).map(|inner| inner.kind());
            let pvh = matches!(
                inner,
                Some(KernelKind::Elf64 { has_pvh: true, .. } | KernelKind::Elf32 { has_pvh: true, .. })
            );
            KernelFile { linux: version, pvh, linux64: has_entry_64 }
        }
        KernelKind::Elf64 { has_pvh, linux } => KernelFile { linux64: linux.is_some(), linux, pvh: has_pvh },
        KernelKind::Elf32 { has_pvh, linux } => KernelFile { linux, pvh: has_pvh, linux64: false },
    };
    Ok(Some(known))
}

fn disk(file: &File, info: &image::ImageInfo) -> Kind {
    // Of an overlay that is without its base, what it begins with isn't known.
    let sector = info.backing.is_none().then(|| BootSector::read(file, info.format).ok()).flatten();
    if info.format == ImageFormat::Raw && sector.is_none_or(|sector| sector == BootSector::default()) {
        return Kind::Unknown { bytes: info.virtual_size };
    }
    Kind::DiskImage(DiskImage {
        format: info.format,
        bytes: info.virtual_size,
        backing: info.backing.as_ref().map(|backing| backing.name.clone()),
        boots_with_bios: sector.map(|sector| sector.has_code),
        boots_with_uefi: sector.map(|sector| sector.has_efi_partition),
    })
}
