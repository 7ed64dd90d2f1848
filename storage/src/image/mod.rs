//! Disk images: raw and qcow2, alone or in a chain of overlays.
//!
//! Images come as open files, because whoever runs a machine may not open files itself. Which image builds on which
//! is the caller's to say; a name inside an image is never followed. Each file is locked: one writer, or any number
//! of readers, against other machines and against QEMU.

mod detect;
mod disc;
mod error;
mod host_file;
mod iovec;
mod layer;
mod lock;
mod qcow2;
mod ranges;
mod raw;
mod reservation;
mod temporary;

use std::fs::File;
use std::io;
use std::path::Path;
use std::time::Duration;

use rustix::fs::OFlags;
use vm_memory::VolatileSlice;

use crate::disk::{Disk, check_range};
use host_file::HostFile;
use iovec::Buffers;
use layer::Layer;
use qcow2::Qcow2;
use raw::Raw;

pub use detect::{detect, mark};
pub use disc::check_disc;
pub use error::ImageError;
/// How a disk is stored.
pub use machine::definition::ImageFormat as Format;
pub use qcow2::{BackingName, NewImage};

/// How long a process that was killed may take to let go of its files. Its memory goes first, and that can be much.
const LAST_BREATH: Duration = Duration::from_secs(10);

/// Longest chain: more would only be slow.
const MAX_LAYERS: usize = 200;

/// An image of a chain.
#[derive(Debug)]
pub struct ImageSource {
    /// The file or block device. If it was opened with `O_DIRECT`, the host's cache is bypassed.
    pub file: File,
    /// Its format, as whoever added it to the machine found or chose: a guest can change what [`detect`] would say.
    pub format: Format,
    /// Never write to it. All images but the last are read-only anyway.
    pub read_only: bool,
    /// Whoever used it last has crashed. A process that is on its way out may have it locked for a moment, which is
    /// waited for. A qcow2 image that will be written is searched for clusters that count as used and aren't, and they
    /// are freed; that reads all of its tables.
    pub after_crash: bool,
}

/// What [`info`] finds out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageInfo {
    /// How it is stored.
    pub format: Format,
    /// Length of the disk in bytes.
    pub virtual_size: u64,
    /// Bytes that the file takes on the host.
    pub allocated: u64,
    /// qcow2: bytes in a cluster.
    pub cluster_size: Option<u64>,
    /// qcow2: version of the format.
    pub version: Option<u32>,
    /// qcow2: the image it builds on, for people.
    pub backing: Option<BackingName>,
    /// qcow2: snapshots inside the file.
    pub internal_snapshots: u32,
    /// qcow2: it was not closed properly, or found to be damaged, and can't be written before a repair.
    pub needs_repair: bool,
}

/// An image with all that it builds on, open.
#[derive(Debug)]
pub struct Image {
    top: Layer,
    len: u64,
    read_only: bool,
}

/// Opens a chain of images, the base first. The disk is that of the last one.
///
/// # Errors
/// See [`ImageError`].
pub fn open_chain(sources: Vec<ImageSource>) -> Result<Image, ImageError> {
    let writable = sources.last().is_some_and(|last| !last.read_only);
    let top = open_layers(sources, writable)?;
    Ok(Image { len: top.len(), top, read_only: !writable })
}

/// Opens a chain of images that stays as it is: what the machine writes goes to a file without a name in `folder`,
/// and is gone when the image is closed, or its process.
///
/// # Errors
/// See [`ImageError`].
pub fn open_snapshot(sources: Vec<ImageSource>, folder: &Path) -> Result<Image, ImageError> {
    let file = scratch_file(folder).map_err(ImageError::io(&folder.display().to_string()))?;
    open_throw_away(sources, file)
}

/// As [`open_snapshot`], with the file, empty, for what the machine writes.
///
/// # Errors
/// See [`ImageError`].
pub fn open_throw_away(sources: Vec<ImageSource>, scratch: File) -> Result<Image, ImageError> {
    let base = open_layers(sources, false)?;
    let file = HostFile::new(scratch).map_err(ImageError::io("the file for what is thrown away"))?.temporary();
    let below = BackingName { name: base.host_file().name().chars().take(200).collect(), format: None };
    qcow2::create(&file, &NewImage::overlay(base.len(), below))?;
    let top = Layer::Qcow2(Box::new(Qcow2::open(file, true, Some(base))?));
    Ok(Image { len: top.len(), top, read_only: false })
}

/// A new file in `folder` that nobody else can open, and that is gone when its last descriptor is closed.
///
/// # Errors
/// The host's.
pub fn scratch_file(folder: &Path) -> io::Result<File> {
    temporary::create_in(folder)
}

fn open_layers(sources: Vec<ImageSource>, writable: bool) -> Result<Layer, ImageError> {
    let count = sources.len();
    if count > MAX_LAYERS {
        return Err(ImageError::ChainTooLong { count, limit: MAX_LAYERS });
    }
    let mut identities = Vec::new();
    let mut below = None;
    for (index, source) in sources.into_iter().enumerate() {
        let writable = writable && index + 1 == count;
        let file = HostFile::new(source.file).map_err(ImageError::io("the image"))?;
        if identities.contains(&file.identity()) {
            return Err(ImageError::Loop { name: file.name().to_owned() });
        }
        identities.push(file.identity());
        prepare(&file, writable, source.after_crash)?;
        below = Some(match (source.format, below) {
            (Format::Raw, None) => Layer::Raw(Raw::open(file)?),
            (Format::Raw, Some(below)) => {
                let below: Layer = below;
                let below = below.host_file().name().to_owned();
                return Err(ImageError::BackingUnexpected { name: file.name().to_owned(), below });
            }
            (Format::Qcow2, below) => {
                let image = Qcow2::open(file, writable, below)?;
                if writable && source.after_crash {
                    image.reclaim();
                }
                Layer::Qcow2(Box::new(image))
            }
        });
    }
    below.ok_or(ImageError::NoImage)
}

/// Checks that a file is open for what will be done to it, and locks it.
fn prepare(file: &HostFile, writable: bool, after_crash: bool) -> Result<(), ImageError> {
    let name = file.name();
    let flags = rustix::fs::fcntl_getfl(file.file()).map_err(|error| ImageError::io(name)(error.into()))?;
    if writable && !flags.contains(OFlags::RDWR) {
        return Err(ImageError::io(name)(io::ErrorKind::PermissionDenied.into()));
    }
    let patience = if after_crash { LAST_BREATH } else { Duration::ZERO };
    match lock::lock_within(file.file(), writable, patience) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::ResourceBusy => Err(ImageError::InUse { name: name.to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::Unsupported => {
            tracing::warn!(image = name, "this file system knows no locks: nothing keeps others from using the image");
            Ok(())
        }
        Err(error) => Err(ImageError::io(name)(error)),
    }
}

/// Writes an empty qcow2 image to an empty file.
///
/// # Errors
/// [`ImageError::BadSize`], or [`ImageError::Io`]; with `AlreadyExists` if there is something in the file.
pub fn create_qcow2(file: &File, new: &NewImage) -> Result<(), ImageError> {
    qcow2::create(&duplicate(file)?, new)
}

/// Makes an empty file a raw image of zeroes, which takes no space yet.
///
/// # Errors
/// As [`create_qcow2`].
pub fn create_raw(file: &File, size: u64) -> Result<(), ImageError> {
    let file = duplicate(file)?;
    if size == 0 || !size.is_multiple_of(512) {
        let why = "a disk has at least one sector, and whole sectors of 512 bytes";
        return Err(ImageError::BadSize { size, why });
    }
    if file.len() != 0 {
        return Err(ImageError::io(file.name())(io::ErrorKind::AlreadyExists.into()));
    }
    file.set_len(size).and_then(|()| file.sync()).map_err(ImageError::io(file.name()))
}

/// Keeps `file`, which is written to and is no image, from being used as one as long as it is open; and finds out whether
/// somebody uses it; `after_crash` a process that is on its way out is waited for. A file system that knows no locks allows
/// everything.
///
/// # Errors
/// `ResourceBusy` if somebody does; what the host says.
pub fn lock_output(file: &File, after_crash: bool) -> io::Result<()> {
    let patience = if after_crash { LAST_BREATH } else { Duration::ZERO };
    match lock::lock_within(file, true, patience) {
        Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(()),
        locked => locked,
    }
}

/// What is known about an image without opening it for use. Takes no lock: a running machine's image can be looked at.
///
/// # Errors
/// As [`detect`], and whatever is wrong with a qcow2 header.
pub fn info(file: &File) -> Result<ImageInfo, ImageError> {
    let host = duplicate(file)?;
    let format = detect::detect_host_file(&host)?;
    let allocated = host.allocated().map_err(ImageError::io(host.name()))?;
    match format {
        Format::Raw => Ok(ImageInfo {
            format,
            virtual_size: host.len().checked_next_multiple_of(512).unwrap_or(host.len()),
            allocated,
            cluster_size: None,
            version: None,
            backing: None,
            internal_snapshots: 0,
            needs_repair: false,
        }),
        Format::Qcow2 => {
            let found = Qcow2::describe(&host)?;
            Ok(ImageInfo {
                format,
                virtual_size: found.virtual_size,
                allocated,
                cluster_size: Some(found.cluster_size),
                version: Some(found.version),
                backing: found.backing,
                internal_snapshots: found.internal_snapshots,
                needs_repair: found.needs_repair,
            })
        }
    }
}

fn duplicate(file: &File) -> Result<HostFile, ImageError> {
    file.try_clone().and_then(HostFile::new).map_err(ImageError::io("the image"))
}

impl Image {
    fn check_writable(&self) -> io::Result<()> {
        if self.read_only { Err(io::ErrorKind::PermissionDenied.into()) } else { Ok(()) }
    }
}

impl Disk for Image {
    fn len_bytes(&self) -> u64 {
        self.len
    }

    fn is_read_only(&self) -> bool {
        self.read_only
    }

    fn read(&self, offset: u64, buffers: &[VolatileSlice<'_>]) -> io::Result<()> {
        let buffers = Buffers::new(buffers);
        check_range(offset, buffers.len() as u64, self.len)?;
        self.top.read(&buffers, 0..buffers.len(), offset)
    }

    fn write(&self, offset: u64, buffers: &[VolatileSlice<'_>]) -> io::Result<()> {
        self.check_writable()?;
        let buffers = Buffers::new(buffers);
        check_range(offset, buffers.len() as u64, self.len)?;
        self.top.write(&buffers, 0..buffers.len(), offset)
    }

    fn flush(&self) -> io::Result<()> {
        if self.read_only { Ok(()) } else { self.top.flush() }
    }

    fn discard(&self, offset: u64, len: u64) -> io::Result<()> {
        self.check_writable()?;
        check_range(offset, len, self.len)?;
        self.top.discard(offset, len)
    }
}
