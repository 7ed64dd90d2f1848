//! Reading a database from its folders.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

use crate::{Places, System, parse};

/// What is read at most, so that a folder of something else does no harm.
pub mod limits {
    /// Files. The database of 2022 has 800 with systems.
    pub const FILES: usize = 10_000;
    /// Bytes of one file. The largest has 23 KiB.
    pub const FILE_BYTES: u64 = 1 << 20;
    /// Bytes of all. They have 3 MiB.
    pub const ALL_BYTES: u64 = 64 << 20;
    /// Folders in folders.
    pub const DEPTH: usize = 4;
}

/// Discs that the database lacks, though it has their systems.
const SUPPLEMENT: &str = include_str!("supplement.xml");

/// The systems that are known.
#[derive(Debug, Clone, Default)]
pub struct Database {
    systems: Vec<System>,
    by_id: HashMap<String, usize>,
    skipped: usize,
}

impl Database {
    /// Reads the database. What can't be read is skipped, with a warning; where nothing is, it is empty.
    #[must_use]
    pub fn load(places: &Places) -> Self {
        let mut database = Database::default();
        let mut left = limits::ALL_BYTES;
        for file in files(places) {
            let parsed = read(&file, &mut left).map_err(|error| error.to_string()).and_then(|bytes| {
                let systems = parse::systems(&bytes);
                systems.map_err(|error| match std::error::Error::source(&error) {
                    Some(cause) => format!("{error}: {cause}"),
                    None => error.to_string(),
                })
            });
            match parsed {
                Ok(systems) => systems.into_iter().for_each(|system| database.add(system)),
                Err(error) => {
                    tracing::warn!(file = %file.display(), error, "a file of the osinfo database is left out");
                    database.skipped += 1;
                }
            }
        }
        for system in parse::systems(SUPPLEMENT.as_bytes()).unwrap_or_default() {
            if database.find(&system.id).is_some() {
                database.add(system);
            }
        }
        database
    }

    /// A database of these systems.
    pub fn of(systems: impl IntoIterator<Item = System>) -> Self {
        let mut database = Database::default();
        systems.into_iter().for_each(|system| database.add(system));
        database
    }

    fn add(&mut self, system: System) {
        if let Some(known) = self.by_id.get(&system.id).and_then(|&index| self.systems.get_mut(index)) {
            return known.complete(system);
        }
        self.by_id.insert(system.id.clone(), self.systems.len());
        self.systems.push(system);
    }

    /// Every system, in no particular order.
    #[must_use]
    pub fn systems(&self) -> &[System] {
        &self.systems
    }

    /// Whether nothing is known, as where no database is installed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.systems.is_empty()
    }

    /// How many files could not be used.
    #[must_use]
    pub fn skipped(&self) -> usize {
        self.skipped
    }

    /// The system of that id.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<&System> {
        self.by_id.get(id).and_then(|&index| self.systems.get(index))
    }

    /// The system that people call so: its id or one of its short ids.
    #[must_use]
    pub fn find_by_any_id(&self, id: &str) -> Option<&System> {
        self.find(id).or_else(|| self.systems.iter().find(|system| system.short_ids.iter().any(|short| short == id)))
    }

    /// Whether a system has a driver for a device; `None` if nothing is said. What it derives from counts as well.
    #[must_use]
    pub fn supports(&self, system: &System, device: &str) -> Option<bool> {
        let said = |system: &System| system.devices.iter().find(|one| one.device == device).map(|one| one.supported);
        self.lineage(system).find_map(said)
    }

    /// A system, and those that it derives from or is rebuilt from, the nearest first, each once.
    pub(crate) fn lineage<'a>(&'a self, system: &'a System) -> impl Iterator<Item = &'a System> {
        let mut line: Vec<&System> = vec![system];
        let mut next = 0;
        while let Some(child) = line.get(next) {
            next += 1;
            for id in child.clones.iter().chain(&child.derives_from) {
                if let Some(parent) = self.find(id).filter(|parent| !line.iter().any(|known| known.id == parent.id)) {
                    line.push(parent);
                }
            }
        }
        line.into_iter()
    }
}

/// The files with systems. One that has the same name in a later folder replaces it there; and one that is no file (a link
/// to `/dev/null`) removes it.
fn files(places: &Places) -> Vec<PathBuf> {
    let mut files: BTreeMap<PathBuf, Option<PathBuf>> = BTreeMap::new();
    for place in places.folders() {
        let folder = place.join("os");
        if let Err(error) = collect(&folder, &folder, limits::DEPTH, &mut files)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(folder = %folder.display(), %error, "an osinfo database is left out");
        }
    }
    files.into_values().flatten().collect()
}

fn collect(root: &Path, folder: &Path, depth: usize, files: &mut BTreeMap<PathBuf, Option<PathBuf>>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let Ok(metadata) = fs::metadata(&path) else { continue };
        if metadata.is_dir() {
            if depth > 1 {
                collect(root, &path, depth - 1, files)?;
            }
            continue;
        }
        if path.extension().is_none_or(|extension| extension != "xml") {
            continue;
        }
        let Ok(relative) = path.strip_prefix(root) else { continue };
        if files.len() >= limits::FILES && !files.contains_key(relative) {
            tracing::warn!(most = limits::FILES, "the osinfo database has too many files: the others are left out");
            return Ok(());
        }
        files.insert(relative.to_owned(), metadata.is_file().then(|| path.clone()));
    }
    Ok(())
}

/// The file's bytes, which are taken from those that are `left`.
fn read(path: &Path, left: &mut u64) -> io::Result<Vec<u8>> {
    let file = fs::File::open(path)?;
    let most = limits::FILE_BYTES.min(*left);
    let mut bytes = Vec::with_capacity(file.metadata()?.len().min(most) as usize);
    file.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is too large, or the database is"));
    }
    *left -= bytes.len() as u64;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path, name: &str, system: &str) {
        let path = folder.join("os").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, format!("<libosinfo>{system}</libosinfo>")).unwrap();
    }

    #[test]
    fn later_folders_replace_and_complete_files_of_earlier_ones() {
        let (packaged, own) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        write(packaged.path(), "a/one.xml", "<os id='1'><name>One</name></os>");
        write(packaged.path(), "a/two.xml", "<os id='2'><name>Two</name><short-id>two</short-id></os>");
        write(packaged.path(), "a/three.xml", "<os id='3'><name>Three</name></os>");
        write(own.path(), "a/one.xml", "<os id='1'><name>Uno</name></os>");
        write(own.path(), "a/two.d/more.xml", "<os id='2'><version>2.0</version></os>");
        std::os::unix::fs::symlink("/dev/null", own.path().join("os/a/three.xml")).unwrap();
        let nowhere = Path::new("/nonexistent/osinfo");
        let database = Database::load(&Places::only([packaged.path(), nowhere, own.path()]));
        assert_eq!(database.systems().len(), 2);
        assert_eq!(database.find("1").unwrap().name, "Uno");
        let two = database.find_by_any_id("two").unwrap();
        assert_eq!((two.name.as_str(), two.version.as_deref()), ("Two", Some("2.0")));
        assert_eq!((database.find("3"), database.skipped()), (None, 0));
    }

    #[test]
    fn what_is_broken_or_too_large_is_left_out_and_counted() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "good.xml", "<os id='1'/>");
        write(folder.path(), "bad.xml", "<os id='2'>");
        write(folder.path(), "large.xml", &format!("<!--{}--><os id='3'/>", " ".repeat(limits::FILE_BYTES as usize)));
        write(folder.path(), "1/2/3/4/deep.xml", "<os id='4'/>");
        write(folder.path(), "note.txt", "");
        let database = Database::load(&Places::only([folder.path()]));
        assert_eq!((database.systems().len(), database.skipped()), (1, 2));
        assert!(Database::load(&Places::only(["/nonexistent"])).is_empty());
    }

    #[test]
    fn the_supplement_is_sound_and_completes_only_what_is_there() {
        let supplement = parse::systems(SUPPLEMENT.as_bytes()).unwrap();
        assert!(!supplement.is_empty());
        assert!(supplement.iter().flat_map(|system| &system.media).all(|medium| medium.check().is_ok()));
        let folder = tempfile::tempdir().unwrap();
        let id = &supplement[0].id;
        write(folder.path(), "one.xml", &format!("<os id='{id}'><name>One</name></os>"));
        let database = Database::load(&Places::only([folder.path()]));
        assert_eq!(database.systems().len(), 1);
        assert_eq!(database.systems()[0].media, supplement[0].media);
    }

    #[test]
    fn drivers_are_inherited_and_a_circle_of_systems_ends() {
        let system = |id: &str, parent: &str, devices: &[(&str, bool)]| System {
            id: id.into(),
            derives_from: vec![parent.into()],
            devices: devices
                .iter()
                .map(|&(device, supported)| crate::DeviceSupport { device: device.into(), supported })
                .collect(),
            ..System::default()
        };
        let database = Database::of([
            system("1", "3", &[("net", true), ("disk", true)]),
            system("2", "1", &[]),
            system("3", "2", &[("net", false)]),
        ]);
        let newest = database.find("3").unwrap();
        assert_eq!(database.supports(newest, "net"), Some(false));
        assert_eq!(database.supports(newest, "disk"), Some(true));
        assert_eq!(database.supports(newest, "sound"), None);
    }
}
