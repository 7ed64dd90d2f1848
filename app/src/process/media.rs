//! Files that were handed over, as disks and discs.

use std::{fs::File, sync::Arc};

use anyhow::{Context, Result};
use machine::definition::{Definition, Disk as DiskDefinition, ImageFormat};
use storage::{
    disk::Disk,
    image::{self, Format, ImageSource},
};
use vmm_engine::pc::{Drive, DriveKind};

use super::handover::{Handover, Received};

/// Opens every drive of the machine, disks first, in the order of their ports.
pub(super) fn open_drives(definition: &Definition, handover: &Handover, files: &mut Received) -> Result<Vec<Drive>> {
    let mut drives = Vec::new();
    for disk in &definition.disks {
        let opened =
            open_disk(disk, handover, files).with_context(|| format!("the disk '{}' can't be used", disk.id))?;
        let serial = disk.serial_number(definition.uuid);
        drives.push(Drive { id: disk.id.clone(), kind: DriveKind::Disk(opened, serial) });
    }
    for drive in &definition.cdroms {
        let disc = files.take_if(handover.discs.get(&drive.id).copied())?;
        let disc =
            disc.map(open_disc).transpose().with_context(|| format!("the disc in '{}' can't be used", drive.id))?;
        drives.push(Drive { id: drive.id.clone(), kind: DriveKind::Cd(disc) });
    }
    Ok(drives)
}

fn open_disk(disk: &DiskDefinition, handover: &Handover, files: &mut Received) -> Result<Arc<dyn Disk>> {
    let chain = handover.disks.get(&disk.id).context("its images were not handed over")?;
    let mut sources = Vec::new();
    for image in chain {
        let format = match image.format {
            ImageFormat::Raw => Format::Raw,
            ImageFormat::Qcow2 => Format::Qcow2,
        };
        let file = files.take(image.file)?;
        sources.push(ImageSource { file, format, read_only: image.read_only, after_crash: handover.after_crash });
    }
    match files.take_if(handover.scratch.get(&disk.id).copied())? {
        Some(scratch) => Ok(Arc::new(image::open_throw_away(sources, scratch)?)),
        None => Ok(Arc::new(image::open_chain(sources)?)),
    }
}

/// Opens a disc: a raw image, never written.
///
/// # Errors
/// The file can't be read, or is no disc.
pub(super) fn open_disc(file: File) -> Result<Arc<dyn Disk>> {
    image::check_disc(&file)?;
    let source = ImageSource { file, format: Format::Raw, read_only: true, after_crash: false };
    Ok(Arc::new(image::open_chain(vec![source])?))
}
