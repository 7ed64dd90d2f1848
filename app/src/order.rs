//! A new machine, as a person asks for it: what the wizard and `tandem create` have in common.
//!
//! Everything that can be wrong with it is found before the machine is there; then nothing of it is.

use std::{
    fs::File,
    path::{Path, PathBuf},
    time::SystemTime,
};

use anyhow::{Context, Result, bail};
use machine::{
    definition::{Bus, CdDrive, Definition, Disk, FilePath, Image, ImageFormat, Kernel, Serial},
    name::Name,
    size::Size,
};
use storage::{
    image::{self, NewImage},
    library::{Library, Machine},
};
use uuid::Uuid;

use crate::{
    launch,
    serial_file::{self, Kept},
};

/// What a new machine is to be.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Order {
    pub(crate) name: Name,
    pub(crate) memory: Size,
    pub(crate) cpus: u32,
    pub(crate) disc: Option<PathBuf>,
    pub(crate) disks: Vec<DiskOrder>,
    pub(crate) kernel: Option<KernelOrder>,
    pub(crate) serial: Option<PathBuf>,
    pub(crate) notes: String,
    /// The system that it is for, by its id in the osinfo database.
    pub(crate) os: Option<String>,
}

/// A disk of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum DiskOrder {
    /// A new, empty one.
    New(Size),
    /// A new one that holds this.
    Made(&'static [u8]),
    /// An image file that is there.
    Existing {
        file: PathBuf,
        /// What the guest writes lasts until the machine is off.
        throw_away_writes: bool,
    },
}

/// A kernel that is started directly.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct KernelOrder {
    pub(crate) file: PathBuf,
    pub(crate) initrd: Option<PathBuf>,
    pub(crate) cmdline: String,
}

impl Order {
    /// A machine called `name`, of the usual size, with nothing in it.
    pub(crate) fn new(name: Name) -> Self {
        use machine::definition::defaults;
        Order {
            name,
            memory: defaults::MEMORY,
            cpus: defaults::CPUS,
            disc: None,
            disks: Vec::new(),
            kernel: None,
            serial: None,
            notes: String::new(),
            os: None,
        }
    }

    /// The machine *Welcome*, which needs nothing that isn't in this program.
    ///
    /// # Errors
    /// Never, in fact: its name is one.
    pub(crate) fn welcome() -> Result<Self> {
        Ok(Order {
            memory: Size::mib(64),
            cpus: 1,
            disks: vec![DiskOrder::Made(assets::WELCOME)],
            notes: "A small computer to try Tandem with.".to_owned(),
            ..Order::new(Name::new("Welcome")?)
        })
    }

    /// Makes the machine.
    ///
    /// # Errors
    /// What a person reads; nothing is left then.
    pub(crate) fn make(self, library: &Library) -> Result<Machine> {
        let draft = library.draft(&self.name)?;
        let mut definition = Definition::new(self.name, draft.uuid());
        definition.created = Some(SystemTime::now().into());
        definition.memory = self.memory;
        definition.cpus = self.cpus;
        definition.notes = self.notes;
        definition.os = self.os;
        for disk in self.disks {
            let disk = disk.make(&definition, &draft.disks_dir())?;
            definition.disks.push(disk);
        }
        let disc = self.disc.as_deref().map(disc_path).transpose()?;
        definition.cdroms.push(CdDrive { id: definition.free_id("cd"), file: disc });
        definition.kernel = self.kernel.map(KernelOrder::check).transpose()?;
        if let Some(path) = &self.serial {
            let mut kept = Kept::of_library(library)?;
            kept.add(&definition, &draft.disks_dir());
            serial_file::check(path, &kept)?;
            definition.serial = Some(Serial { file: FilePath::new(path)? });
        }
        Ok(draft.commit(definition)?)
    }
}

impl DiskOrder {
    /// The disk, for a machine of this definition. A new image is made in `folder`.
    ///
    /// # Errors
    /// What a person reads; nothing is left then.
    pub(crate) fn make(self, definition: &Definition, folder: &Path) -> Result<Disk> {
        let id = definition.free_id("disk");
        let uuid = Uuid::new_v4();
        let own = |end: &str| folder.join(format!("{id}-{}.{end}", &uuid.simple().to_string()[..8]));
        let (image, throw_away_writes) = match self {
            DiskOrder::Made(bytes) => {
                let path = own("img");
                std::fs::write(&path, bytes).with_context(|| format!("can't write {}", path.display()))?;
                (Image { uuid, file: FilePath::new(&path)?, format: ImageFormat::Raw, read_only: false }, false)
            }
            DiskOrder::New(size) => {
                let path = own("qcow2");
                make_image(&path, size)?;
                (Image { uuid, file: FilePath::new(&path)?, format: ImageFormat::Qcow2, read_only: false }, false)
            }
            DiskOrder::Existing { file, throw_away_writes } => {
                (existing_image(&file, uuid, throw_away_writes)?, throw_away_writes)
            }
        };
        Ok(Disk { id, bus: Bus::Ahci, serial: None, throw_away_writes, images: vec![image] })
    }
}

impl KernelOrder {
    /// The kernel, if it can be started.
    ///
    /// # Errors
    /// It can't, or a file is missing.
    pub(crate) fn check(self) -> Result<Kernel> {
        let file = kernel_path(&self.file)?;
        let initrd = self.initrd.as_deref().map(initrd_path).transpose()?;
        Ok(Kernel { file, initrd, cmdline: self.cmdline })
    }
}

/// Makes an empty image; nothing is left if that fails.
fn make_image(path: &Path, size: Size) -> Result<()> {
    let file = File::options().read(true).write(true).create_new(true).open(path);
    let file = file.with_context(|| format!("can't make a disk of {size}"))?;
    let made = image::create_qcow2(&file, &NewImage::new(size.as_bytes()));
    if made.is_err() {
        let _ = std::fs::remove_file(path);
    }
    match made {
        // It says what was to be made.
        Err(error @ image::ImageError::BadSize { .. }) => Err(error.into()),
        made => made.with_context(|| format!("can't make a disk of {size}")),
    }
}

/// An image file that is there. It is looked at, so that what can't be used is said now and not at the start.
fn existing_image(path: &Path, uuid: Uuid, throw_away_writes: bool) -> Result<Image> {
    let shown = path.display();
    let file = launch::open(path, !throw_away_writes)?;
    let found = image::info(&file).with_context(|| format!("'{shown}' can't be used as a disk"))?;
    if let Some(backing) = found.backing {
        bail!("'{shown}' holds only the changes to another image ({}), which would be missing", backing.name);
    }
    Ok(Image { uuid, file: FilePath::new(path)?, format: found.format, read_only: false })
}

/// The path of a disc that can be used.
///
/// # Errors
/// It can't.
pub(crate) fn disc_path(path: &Path) -> Result<FilePath> {
    let file = launch::open(path, false)?;
    image::check_disc(&file).with_context(|| format!("'{}' can't be used as a disc", path.display()))?;
    Ok(FilePath::new(path)?)
}

/// The path of a kernel that can be started.
///
/// # Errors
/// It can't.
pub(crate) fn kernel_path(path: &Path) -> Result<FilePath> {
    let file = launch::open(path, false)?;
    hypervisor::loader::Kernel::read(file).with_context(|| format!("'{}' can't be started", path.display()))?;
    Ok(FilePath::new(path)?)
}

/// The path of a kernel's first file system.
///
/// # Errors
/// It can't be opened.
pub(crate) fn initrd_path(path: &Path) -> Result<FilePath> {
    launch::open(path, false)?;
    Ok(FilePath::new(path)?)
}
