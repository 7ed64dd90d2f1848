//! Tests of the library as a whole.

mod basics;
mod child;
mod crash;
mod documents;
pub(super) mod faults;
mod host;
mod sharing;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use machine::{
    definition::{Definition, Disk, FilePath, Image, ImageFormat, defaults},
    name::Name,
    timestamp::Timestamp,
};
use tempfile::TempDir;
use uuid::Uuid;

use super::*;

/// 2026-11-22T16:55:44Z.
const NOW: Timestamp = Timestamp::from_unix(1_795_366_544);

fn later(days: u64) -> Timestamp {
    Timestamp::from_unix(NOW.unix() + days * 24 * 3600)
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn library() -> (TempDir, Library) {
    let dir = tempfile::tempdir().unwrap();
    let library = Library::open(dir.path(), NOW).unwrap();
    (dir, library)
}

/// Makes a machine with one disk in its folder.
fn create(library: &Library, text: &str) -> Result<Machine, LibraryError> {
    let draft = library.draft(&name(text))?;
    let disk = draft.disks_dir().join("disk0.raw");
    std::fs::write(&disk, text).map_err(|source| LibraryError::host("write", &disk, source))?;
    let image =
        Image { uuid: Uuid::new_v4(), file: FilePath::new(&disk).unwrap(), format: ImageFormat::Raw, read_only: false };
    let disk =
        Disk { id: "disk0".into(), bus: defaults::BUS, serial: None, throw_away_writes: false, images: vec![image] };
    let definition = Definition { disks: vec![disk], ..Definition::new(name(text), draft.uuid()) };
    draft.commit(definition)
}

fn machines(library: &Library) -> Vec<String> {
    library.list().unwrap().iter().map(|entry| entry.name().to_owned()).collect()
}

fn trashed(library: &Library) -> Vec<String> {
    library.trash().unwrap().iter().map(|entry| entry.name().to_owned()).collect()
}

/// Everything below `root`, with the content of files and the targets of links.
fn tree(root: &Path) -> BTreeMap<PathBuf, String> {
    fn walk(root: &Path, folder: &Path, found: &mut BTreeMap<PathBuf, String>) {
        for entry in folder.read_dir().unwrap() {
            let entry = entry.unwrap();
            let (path, kind) = (entry.path(), entry.file_type().unwrap());
            let content = if kind.is_dir() {
                walk(root, &path, found);
                "a folder".to_owned()
            } else if kind.is_symlink() {
                format!("a link to {}", path.read_link().unwrap().display())
            } else {
                String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned()
            };
            found.insert(path.strip_prefix(root).unwrap().to_owned(), content);
        }
    }
    let mut found = BTreeMap::new();
    walk(root, root, &mut found);
    found
}

/// What no living process needs: hidden files and folders, which are all temporary.
fn left_behind(root: &Path) -> Vec<PathBuf> {
    let hidden = |path: &PathBuf| path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    tree(root).into_keys().filter(hidden).collect()
}
