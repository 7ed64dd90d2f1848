//! The trash: what a person deletes stays for 30 days, and can be brought back.

use std::{io, path::PathBuf};

use machine::{
    definition::Definition,
    name::{Name, guess_from_folder},
    suggest,
    timestamp::Timestamp,
};
use uuid::Uuid;

use super::{
    DEFINITION, Library, Listed, Machine, change, document,
    error::{Doing as _, LibraryError},
    fs, list,
    lock::MachineLock,
};

/// What the names begin with of what is being deleted for good.
pub(super) const PURGE: &str = ".purge-";

/// Something in the trash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trashed {
    /// What it is called in the trash; tells machines of the same name apart.
    pub id: String,
    /// When it was deleted; unknown of what a person put there by hand, which is never purged by itself.
    pub deleted: Option<Timestamp>,
    /// What it is.
    pub content: Listed,
}

impl Trashed {
    /// The machine's name, as far as that can be told.
    #[must_use]
    pub fn name(&self) -> &str {
        self.content.name()
    }
}

impl Library {
    /// Moves a machine to the trash, usable or not, with everything in its folder.
    ///
    /// # Errors
    /// [`LibraryError::Running`]; what the host says.
    pub fn delete(&self, entry: &Listed, now: Timestamp) -> Result<Trashed, LibraryError> {
        let _guard = self.guard()?;
        let from = entry.folder();
        if from.symlink_metadata().is_err() {
            return Err(LibraryError::NotFound { name: entry.name().to_owned(), suggestion: None });
        }
        let _lock = if from.is_dir() { Some(MachineLock::take(from, entry.name())?) } else { None };
        let folder = from.file_name().unwrap_or_default().to_string_lossy();
        let trash = self.trash_dir();
        for variant in 0_u32.. {
            let suffix = if variant == 0 { String::new() } else { format!("~{variant}") };
            let id = format!("{}-{folder}{suffix}", now.compact());
            let to = trash.join(&id);
            match fs::rename_new(from, &to) {
                Ok(()) => {
                    fs::sync_dir(&trash);
                    fs::sync_parent(from);
                    let mut content = entry.clone();
                    match &mut content {
                        Listed::Machine(machine) => machine.folder = to,
                        Listed::Broken(broken) => broken.folder = to,
                    }
                    return Ok(Trashed { id, deleted: Some(now), content });
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(LibraryError::host("move to the trash", from, error)),
            }
        }
        unreachable!("one of four billion names is free")
    }

    /// What is in the trash, the latest first.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn trash(&self) -> Result<Vec<Trashed>, LibraryError> {
        let folder = self.trash_dir();
        let mut list = Vec::new();
        for entry in folder.read_dir().doing("read the folder", &folder)? {
            let entry = entry.doing("read the folder", &folder)?;
            let id = entry.file_name().to_string_lossy().into_owned();
            if id.starts_with('.') {
                continue;
            }
            let Some(mut content) = list::read(&entry.path()) else { continue };
            let (deleted, place) = split_id(&id);
            // Without a definition, the name is that of the folder it was in.
            if let Listed::Broken(broken) = &mut content
                && broken.text.is_none()
            {
                broken.name = guess_from_folder(place);
            }
            list.push(Trashed { id, deleted, content });
        }
        list.sort_by(|a, b| (b.deleted, &b.id).cmp(&(a.deleted, &a.id)));
        Ok(list)
    }

    /// What is in the trash under `name`, the latest if there are several; or with that id.
    ///
    /// # Errors
    /// [`LibraryError::NotInTrash`], with what may be meant.
    pub fn find_in_trash(&self, name: &str) -> Result<Trashed, LibraryError> {
        let mut list = self.trash()?;
        match list.iter().position(|trashed| trashed.name() == name).or_else(|| list.iter().position(|t| t.id == name))
        {
            Some(index) => Ok(list.swap_remove(index)),
            None => {
                let suggestion = suggest::nearest(name, list.iter().map(Trashed::name)).map(str::to_owned);
                Err(LibraryError::NotInTrash { name: name.to_owned(), suggestion })
            }
        }
    }

    /// Brings something back from the trash, usable or not; a usable machine as `name`, if one is given.
    ///
    /// # Errors
    /// [`LibraryError::NameTaken`] and [`LibraryError::UuidTaken`] by what is in the library now,
    /// [`LibraryError::Broken`] when what isn't usable shall be renamed; what the host says.
    pub fn restore(&self, trashed: &Trashed, name: Option<Name>) -> Result<Listed, LibraryError> {
        let _guard = self.guard()?;
        let from = self.trash_dir().join(&trashed.id);
        let gone = || LibraryError::NotInTrash { name: trashed.name().to_owned(), suggestion: None };
        let mut content = list::read(&from).ok_or_else(gone)?;
        match &mut content {
            Listed::Machine(machine) => {
                let renamed = name.map(|name| Definition { name, ..machine.definition.clone() });
                let definition = renamed.as_ref().unwrap_or(&machine.definition);
                self.check_free(Some(&definition.name), Some(definition.uuid), None)?;
                if let Some(renamed) = renamed {
                    let text = document::rewrite(&machine.text, &machine.definition, &renamed);
                    fs::replace(&from.join(DEFINITION), &from.join(change::TEMPORARY), text.as_bytes())?;
                    *machine = Machine { folder: from.clone(), text, definition: renamed };
                }
                machine.folder = self.settle(&from, &machine.definition.name)?;
            }
            Listed::Broken(broken) if name.is_some() => {
                return Err(LibraryError::Broken { name: trashed.name().to_owned(), reason: broken.reason.clone() });
            }
            Listed::Broken(broken) => {
                let to = self.machines_dir().join(split_id(&trashed.id).1);
                fs::rename_new(&from, &to).map_err(|error| match error.kind() {
                    io::ErrorKind::AlreadyExists => LibraryError::NameTaken { name: trashed.name().to_owned() },
                    _ => LibraryError::host("bring back from the trash", &from, error),
                })?;
                fs::sync_parent(&to);
                broken.folder = to;
            }
        }
        fs::sync_dir(&self.trash_dir());
        Ok(content)
    }

    /// Deletes something in the trash for good, and frees its space. Files outside of its folder stay.
    ///
    /// # Errors
    /// What the host says: then it is no longer in the trash, and the next [`Library::open`] goes on deleting.
    pub fn purge(&self, trashed: &Trashed) -> Result<(), LibraryError> {
        let from = self.trash_dir().join(&trashed.id);
        let condemned = {
            let _guard = self.guard()?;
            self.condemn(&from)?
        };
        fs::remove_tree(&condemned).doing("delete", &condemned)
    }

    /// Deletes everything in the trash for good.
    ///
    /// # Errors
    /// As [`Library::purge`], at the first that fails.
    pub fn empty_trash(&self) -> Result<(), LibraryError> {
        self.trash()?.iter().try_for_each(|trashed| self.purge(trashed))
    }

    /// Takes `from` out of sight, in one instant, to be deleted. The caller has the library's lock.
    pub(super) fn condemn(&self, from: &std::path::Path) -> Result<PathBuf, LibraryError> {
        let to = self.trash_dir().join(format!("{PURGE}{}", Uuid::new_v4().simple()));
        fs::rename_new(from, &to).doing("delete", from)?;
        fs::sync_parent(from);
        Ok(to)
    }
}

/// When it was deleted, and the name of the folder it was in.
fn split_id(id: &str) -> (Option<Timestamp>, &str) {
    match id.split_once('-') {
        Some((time, folder)) if !folder.is_empty() => match Timestamp::from_compact(time) {
            Some(time) => (Some(time), folder),
            None => (None, id),
        },
        _ => (None, id),
    }
}
