//! Reading the library: machines, and folders that should be machines and aren't.
//!
//! The list is what the folders hold, each time anew. Nothing is hidden: what can't be used is listed with its reason.

use std::{
    collections::HashMap,
    fs::OpenOptions,
    io::{self, Read as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use machine::{
    definition::{Definition, FilePath},
    name::{Name, guess_from_folder},
    suggest,
};
use rustix::fs::OFlags;
use uuid::Uuid;

use super::{
    DEFINITION, Library,
    error::{BrokenReason, Doing as _, LibraryError},
};

/// More than any person writes: notes have at most 64 KiB.
const MOST_BYTES: u64 = 1 << 20;

/// A machine that can be used, as it was when it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    pub(super) folder: PathBuf,
    pub(super) text: String,
    pub(super) definition: Definition,
}

/// What a person takes for a machine and can't be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    pub(super) folder: PathBuf,
    /// What it is called, as far as that can be told.
    pub name: String,
    /// Why it can't be used.
    pub reason: BrokenReason,
    pub(super) text: Option<String>,
}

/// An entry of the library's list.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "a list has mostly machines, and is short")]
pub enum Listed {
    /// A machine.
    Machine(Machine),
    /// Something that should be one.
    Broken(Broken),
}

impl Machine {
    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Its definition.
    #[must_use]
    pub fn definition(&self) -> &Definition {
        &self.definition
    }

    /// Its definition as it stands in the file.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &Name {
        &self.definition.name
    }

    /// What it is known by inside.
    #[must_use]
    pub fn uuid(&self) -> Uuid {
        self.definition.uuid
    }

    /// Where a file of its definition is.
    #[must_use]
    pub fn resolve(&self, file: &FilePath) -> PathBuf {
        file.resolve(&self.folder)
    }

    /// The folder of its own disk images.
    #[must_use]
    pub fn disks_dir(&self) -> PathBuf {
        self.folder.join("disks")
    }

    /// Where its control socket is while it runs, if the file system of its folder can hold one.
    #[must_use]
    pub fn socket_path(&self) -> PathBuf {
        self.folder.join("control.sock")
    }

    /// The folder of its saved state.
    #[must_use]
    pub fn state_dir(&self) -> PathBuf {
        self.folder.join("state")
    }
}

impl Broken {
    /// The folder, or what lies in its place.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Its definition as it stands in the file, if there is one that can be read as text.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        self.text.as_deref()
    }

    fn error(self) -> LibraryError {
        LibraryError::Broken { name: self.name, reason: self.reason }
    }
}

impl Listed {
    /// What it is called, as far as that can be told.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Listed::Machine(machine) => machine.name().as_str(),
            Listed::Broken(broken) => &broken.name,
        }
    }

    /// Its folder, or what lies in its place.
    #[must_use]
    pub fn folder(&self) -> &Path {
        match self {
            Listed::Machine(machine) => &machine.folder,
            Listed::Broken(broken) => &broken.folder,
        }
    }

    /// Its definition as it stands in the file.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match self {
            Listed::Machine(machine) => Some(&machine.text),
            Listed::Broken(broken) => broken.text(),
        }
    }

    /// The machine.
    ///
    /// # Errors
    /// [`LibraryError::Broken`] when it can't be used.
    pub fn into_machine(self) -> Result<Machine, LibraryError> {
        match self {
            Listed::Machine(machine) => Ok(machine),
            Listed::Broken(broken) => Err(broken.error()),
        }
    }
}

impl Library {
    /// Everything in the library, by name: what only differs by a number, by what that counts.
    ///
    /// # Errors
    /// When the library's folder can't be read.
    pub fn list(&self) -> Result<Vec<Listed>, LibraryError> {
        let folder = self.machines_dir();
        let mut entries = Vec::new();
        for entry in folder.read_dir().doing("read the folder", &folder)? {
            let entry = entry.doing("read the folder", &folder)?;
            // Drafts, and what file managers and file systems leave.
            if !entry.file_name().as_encoded_bytes().starts_with(b".") {
                entries.push(entry.path());
            }
        }
        entries.sort();
        let mut list: Vec<Listed> = entries.iter().filter_map(|entry| read(entry)).collect();
        mark_doubles(&mut list);
        list.sort_by_cached_key(|entry| (in_order(entry.name()), entry.name().to_owned(), entry.folder().to_owned()));
        Ok(list)
    }

    /// The machine called `name`, or with that UUID.
    ///
    /// # Errors
    /// [`LibraryError::NotFound`], with what may be meant; [`LibraryError::Broken`] when it can't be used.
    pub fn find(&self, name: &str) -> Result<Machine, LibraryError> {
        self.find_any(name)?.into_machine()
    }

    /// What is called `name`, or is in the folder of that name, or has that UUID: usable or not.
    ///
    /// # Errors
    /// [`LibraryError::NotFound`], with what may be meant.
    pub fn find_any(&self, name: &str) -> Result<Listed, LibraryError> {
        let mut list = self.list()?;
        let uuid = Uuid::parse_str(name).ok();
        let is_called = |entry: &Listed| entry.name() == name;
        let is_usable = |entry: &Listed| matches!(entry, Listed::Machine(_));
        let has_uuid = |entry: &Listed| matches!(entry, Listed::Machine(machine) if Some(machine.uuid()) == uuid);
        let is_in = |entry: &Listed| entry.folder().file_name().is_some_and(|folder| folder == name);
        let found = list
            .iter()
            .position(|entry| is_called(entry) && is_usable(entry))
            .or_else(|| list.iter().position(has_uuid))
            // Of several that can't be used and are called the same, the folder tells which.
            .or_else(|| list.iter().position(is_in))
            .or_else(|| list.iter().position(is_called));
        match found {
            Some(index) => Ok(list.swap_remove(index)),
            None => {
                let suggestion = suggest::nearest(name, list.iter().map(Listed::name)).map(str::to_owned);
                Err(LibraryError::NotFound { name: name.to_owned(), suggestion })
            }
        }
    }
}

/// Reads the machine in `folder`; `None` if it has just gone.
pub(super) fn read(folder: &Path) -> Option<Listed> {
    let folder_name = folder.file_name().unwrap_or_default().to_string_lossy();
    let broken = |text: Option<String>, reason| {
        let name = text.as_deref().and_then(name_in).unwrap_or_else(|| guess_from_folder(&folder_name));
        Some(Listed::Broken(Broken { folder: folder.to_owned(), name, reason, text }))
    };
    let text = match read_definition(&folder.join(DEFINITION)) {
        Ok(text) => text,
        Err(reason) => {
            return match folder.metadata() {
                Err(_) if folder.symlink_metadata().is_err() => None,
                Ok(metadata) if !metadata.is_dir() => broken(None, BrokenReason::NotAFolder),
                _ => broken(None, reason),
            };
        }
    };
    match Definition::parse(&text) {
        Ok(definition) => Some(Listed::Machine(Machine { folder: folder.to_owned(), text, definition })),
        Err(error) => broken(Some(text), error.into()),
    }
}

/// The text of a definition. Whatever `path` is, this neither waits nor fills the memory.
pub(super) fn read_definition(path: &Path) -> Result<String, BrokenReason> {
    let unreadable = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => BrokenReason::NoDefinition,
        _ => BrokenReason::Unreadable(error.to_string()),
    };
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
        .open(path)
        .map_err(unreadable)?;
    if !file.metadata().map_err(unreadable)?.is_file() {
        return Err(BrokenReason::NotAFile);
    }
    let mut bytes = Vec::new();
    file.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(BrokenReason::TooLarge(MOST_BYTES));
    }
    String::from_utf8(bytes).map_err(|_| BrokenReason::NotText)
}

/// The name in a definition that is otherwise wrong.
fn name_in(text: &str) -> Option<String> {
    let (document, _) = toml::de::DeTable::parse_recoverable(text);
    let name = document.get_ref().get("name")?.get_ref().as_str()?;
    Name::new(name).ok().map(|name| name.to_string())
}

/// A part of a name, as people put names in order. A number has more digits the larger it is, once its zeros in front are gone.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Number(usize, String),
    Text(String),
}

fn in_order(name: &str) -> Vec<Part> {
    let name = name.to_lowercase();
    let parts = name.as_bytes().chunk_by(|one, next| one.is_ascii_digit() == next.is_ascii_digit());
    let part = |part: &[u8]| {
        let text = String::from_utf8_lossy(part);
        if !part[0].is_ascii_digit() {
            return Part::Text(text.into_owned());
        }
        let number = text.trim_start_matches('0');
        Part::Number(number.len(), number.to_owned())
    };
    parts.map(part).collect()
}

/// Of several machines with the same name or UUID, only the first can be used: that whose folder is called as the
/// machine is, if there is one.
fn mark_doubles(list: &mut [Listed]) {
    let mut order: Vec<usize> = (0..list.len()).collect();
    order.sort_by_key(|index| match &list[*index] {
        Listed::Machine(machine) => {
            machine.folder.file_name().is_none_or(|folder| *folder != *machine.name().folder(0))
        }
        Listed::Broken(_) => true,
    });
    let mut names: HashMap<String, String> = HashMap::new();
    let mut uuids: HashMap<Uuid, String> = HashMap::new();
    for index in order {
        let Listed::Machine(machine) = &list[index] else { continue };
        let name = machine.name().to_string();
        let folder = machine.folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let reason = if let Some(other) = uuids.get(&machine.uuid()) {
            BrokenReason::SameUuid { name: other.clone() }
        } else if let Some(folder) = names.get(&name) {
            BrokenReason::SameName { folder: folder.clone() }
        } else {
            uuids.insert(machine.uuid(), name.clone());
            names.insert(name, folder);
            continue;
        };
        let (folder, text) = (machine.folder.clone(), Some(machine.text.clone()));
        list[index] = Listed::Broken(Broken { folder, name, reason, text });
    }
}
