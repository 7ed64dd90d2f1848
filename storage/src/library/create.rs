//! Making a machine: it is put together where nobody looks, and moved to its place when it is complete.

use std::{
    io,
    path::{Path, PathBuf},
};

use machine::{
    definition::{Definition, FilePath},
    name::Name,
};
use uuid::Uuid;

use super::{DEFINITION, Library, Machine, error::LibraryError, fs, lock::MachineLock};

/// What the folders of drafts begin with.
pub(super) const DRAFT: &str = ".new-";

/// More machines than this with names that a file system takes for the same don't fit.
const MOST_VARIANTS: u32 = 1000;

/// A machine that is being made. What isn't [committed](Draft::commit) is removed, by dropping it or, when the process
/// dies, by the next that opens the library.
#[derive(Debug)]
pub struct Draft {
    library: Library,
    uuid: Uuid,
    folder: PathBuf,
    /// Tells others that this draft is alive. It becomes the machine's lock.
    lock: Option<MachineLock>,
}

impl Library {
    /// Begins to make a machine called `name`, with folders for its disks, state and logs. The name isn't kept free:
    /// if another machine takes it in the meantime, the commit fails.
    ///
    /// # Errors
    /// [`LibraryError::NameTaken`]; what the host says.
    pub fn draft(&self, name: &Name) -> Result<Draft, LibraryError> {
        let guard = self.guard()?;
        self.check_free(Some(name), None, None)?;
        let uuid = Uuid::new_v4();
        let folder = self.machines_dir().join(format!("{DRAFT}{}", uuid.simple()));
        fs::make_dir(&folder)?;
        // From here on, dropping it removes it.
        let mut draft = Draft { library: self.clone(), uuid, folder, lock: None };
        draft.lock = Some(MachineLock::take(&draft.folder, name.as_str())?);
        drop(guard);
        for part in ["disks", "state", "log"] {
            fs::make_dir(&draft.folder.join(part))?;
        }
        Ok(draft)
    }

    /// Makes a machine that needs nothing prepared.
    ///
    /// # Errors
    /// As [`Library::draft`] and [`Draft::commit`].
    pub fn create(&self, definition: Definition) -> Result<Machine, LibraryError> {
        self.draft(&definition.name)?.commit(definition)
    }

    /// Whether no machine but that in the folder `except` has this name or UUID.
    pub(super) fn check_free(
        &self,
        name: Option<&Name>,
        uuid: Option<Uuid>,
        except: Option<&Path>,
    ) -> Result<(), LibraryError> {
        for entry in self.list()? {
            if except.is_some_and(|folder| folder == entry.folder()) {
                continue;
            }
            if let Some(name) = name.filter(|name| name.as_str() == entry.name()) {
                return Err(LibraryError::NameTaken { name: name.to_string() });
            }
            if let (Some(uuid), super::Listed::Machine(machine)) = (uuid, &entry)
                && machine.uuid() == uuid
            {
                return Err(LibraryError::UuidTaken { uuid, other: machine.name().to_string() });
            }
        }
        Ok(())
    }

    /// Moves the folder `from` to a free place among the machines, that fits `name`.
    pub(super) fn settle(&self, from: &Path, name: &Name) -> Result<PathBuf, LibraryError> {
        let machines = self.machines_dir();
        for variant in 0..MOST_VARIANTS {
            let to = machines.join(name.folder(variant));
            if to == from {
                return Ok(to);
            }
            match fs::rename_new(from, &to) {
                Ok(()) => {
                    fs::sync_dir(&machines);
                    return Ok(to);
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(LibraryError::host("make the folder", &to, error)),
            }
        }
        let full = io::Error::new(io::ErrorKind::AlreadyExists, "all folders for that name are taken");
        Err(LibraryError::host("make the folder", &machines.join(name.folder(0)), full))
    }
}

impl Draft {
    /// The UUID that the machine gets if its definition has no other: made for it, used by no other.
    #[must_use]
    pub fn uuid(&self) -> Uuid {
        self.uuid
    }

    /// The folder, for now. What is put into it belongs to the machine; paths in it are written down with
    /// [`FilePath::in_folder`].
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The folder for the machine's own disk images.
    #[must_use]
    pub fn disks_dir(&self) -> PathBuf {
        self.folder.join("disks")
    }

    /// Makes everything durable, and the machine one of the library's.
    ///
    /// # Errors
    /// [`LibraryError::Definition`] with all problems, [`LibraryError::NameTaken`], [`LibraryError::UuidTaken`]; what the
    /// host says. Nothing of the draft is left then.
    pub fn commit(self, definition: Definition) -> Result<Machine, LibraryError> {
        self.commit_locked(definition).map(|(machine, _)| machine)
    }

    /// As [`Draft::commit`], and keeps the new machine locked, so that nobody comes between making and starting it.
    ///
    /// # Errors
    /// As [`Draft::commit`].
    pub fn commit_locked(mut self, mut definition: Definition) -> Result<(Machine, MachineLock), LibraryError> {
        own_paths(&mut definition, &self.folder);
        let text = definition.to_toml();
        Definition::parse(&text).map_err(|error| LibraryError::Definition(error.without_lines()))?;
        let file = self.folder.join(DEFINITION);
        fs::replace(&file, &self.folder.join(super::change::TEMPORARY), text.as_bytes())?;
        fs::sync_tree(&self.folder)?;
        let _guard = self.library.guard()?;
        self.library.check_free(Some(&definition.name), Some(definition.uuid), None)?;
        let folder = self.library.settle(&self.folder, &definition.name)?;
        let Some(lock) = self.lock.take() else { unreachable!("a draft has its lock until here") };
        let machine = Machine { folder: folder.clone(), text, definition };
        Ok((machine, lock.moved_to(folder)))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // After a commit the folder has another name. The lock is given back last, so that nobody else cleans as well.
        if let Err(error) = fs::remove_tree(&self.folder) {
            tracing::warn!(folder = %self.folder.display(), %error, "a draft could not be removed");
        }
    }
}

/// Writes paths of files in the machine's `folder` as relative to it.
pub(super) fn own_paths(definition: &mut Definition, folder: &Path) {
    for path in paths_of(definition) {
        if let Ok(own) = FilePath::in_folder(Path::new(path.as_str()), folder) {
            *path = own;
        }
    }
}

/// Every path in a definition.
fn paths_of(definition: &mut Definition) -> impl Iterator<Item = &mut FilePath> {
    let images = definition.disks.iter_mut().flat_map(|disk| &mut disk.images).map(|image| &mut image.file);
    let discs = definition.cdroms.iter_mut().filter_map(|drive| drive.file.as_mut());
    let kernel =
        definition.kernel.iter_mut().flat_map(|kernel| std::iter::once(&mut kernel.file).chain(&mut kernel.initrd));
    let serial = definition.serial.iter_mut().map(|serial| &mut serial.file);
    images.chain(discs).chain(kernel).chain(serial)
}
