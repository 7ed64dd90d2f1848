//! The file for the serial port's output. It is overwritten, so it must be nothing that anybody misses: no disk, no
//! disc, no kernel of any machine, whatever its path is called, and nothing that is in use.

use std::{
    fs::{File, Metadata, OpenOptions},
    io,
    os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use machine::definition::Definition;
use storage::{
    image,
    library::{Library, Listed},
};

/// A file as the host knows it: device and inode.
type Identity = (u64, u64);

fn identity(metadata: &Metadata) -> Identity {
    (metadata.dev(), metadata.ino())
}

/// The files of machines that must not be overwritten, each with the machine's name.
#[derive(Default)]
pub(crate) struct Kept(Vec<(Identity, String)>);

impl Kept {
    /// The files of every machine in `library`.
    ///
    /// # Errors
    /// The library's.
    pub(crate) fn of_library(library: &Library) -> Result<Self> {
        let mut kept = Kept::default();
        for listed in library.list()? {
            let folder = listed.folder();
            kept.note(listed.name(), &folder.join("machine.toml"));
            // Of a machine whose definition can't be read as well.
            for inside in ["disks", "state"] {
                let Ok(entries) = folder.join(inside).read_dir() else { continue };
                entries.flatten().for_each(|entry| kept.note(listed.name(), &entry.path()));
            }
            if let Listed::Machine(machine) = &listed {
                kept.add(machine.definition(), folder);
            }
        }
        Ok(kept)
    }

    /// Adds the files of one definition, whose relative paths begin in `folder`.
    pub(crate) fn add(&mut self, definition: &Definition, folder: &Path) {
        let images = definition.disks.iter().flat_map(|disk| &disk.images).map(|image| &image.file);
        let discs = definition.cdroms.iter().filter_map(|drive| drive.file.as_ref());
        let kernel = definition.kernel.iter().flat_map(|kernel| std::iter::once(&kernel.file).chain(&kernel.initrd));
        for file in images.chain(discs).chain(kernel) {
            self.note(definition.name.as_str(), &file.resolve(folder));
        }
    }

    fn note(&mut self, machine: &str, path: &Path) {
        // What isn't there can't be overwritten.
        if let Ok(metadata) = path.metadata() {
            self.0.push((identity(&metadata), machine.to_owned()));
        }
    }

    /// Refuses what the output can't go to, or what would be missed.
    fn check(&self, path: &Path, metadata: &Metadata) -> Result<()> {
        let (shown, kind) = (path.display(), metadata.file_type());
        if kind.is_dir() {
            bail!("{shown} is a folder: the serial port's output goes to a file");
        }
        if kind.is_block_device() {
            bail!("{shown} is a disk, and would be overwritten by the serial port's output");
        }
        if let Some((_, machine)) = self.0.iter().find(|(kept, _)| *kept == identity(metadata)) {
            bail!("{shown} is used by '{machine}', and would be overwritten by the serial port's output");
        }
        if !kind.is_file() || metadata.len() == 0 {
            return Ok(());
        }
        // One that can be written and not read is taken as it is.
        match File::open(path).and_then(|file| image::mark(&file)) {
            Ok(Some(what)) => bail!(
                "{shown} is {what}, and would be overwritten by the serial port's output. Choose another file, or \
                 remove this one"
            ),
            _ => Ok(()),
        }
    }
}

/// Checks that the output can go to `path`, as far as that can be told now.
///
/// # Errors
/// Why not.
pub(crate) fn check(path: &Path, kept: &Kept) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    if !folder.is_dir() {
        bail!("the serial port's file can't be made: there is no folder {}", folder.display());
    }
    match path.metadata() {
        Ok(metadata) => kept.check(path, &metadata),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(refusal(path, error)),
    }
}

/// The serial port's file, open.
#[derive(Debug)]
pub(crate) struct SerialFile {
    /// To be written from its beginning; what is in it is still there.
    pub(crate) file: File,
    /// It wasn't there before: where it is, to be removed if nothing comes of the start.
    pub(crate) made: Option<PathBuf>,
}

/// Opens the file; never waits, as it would for a pipe that nobody reads, but for the process of a machine that has crashed.
/// While it is open, nobody uses it as a disk.
///
/// # Errors
/// With its path, and what to do.
pub(crate) fn open(path: &Path, kept: &Kept, after_crash: bool) -> Result<SerialFile> {
    let mut options = OpenOptions::new();
    options.write(true).custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed());
    let (file, made) = match options.clone().create_new(true).open(path) {
        Ok(file) => (file, Some(path.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let file = options.create(true).open(path).map_err(|error| refusal(path, error))?;
            (file, None)
        }
        Err(error) => return Err(refusal(path, error)),
    };
    let metadata = file.metadata()?;
    kept.check(path, &metadata)?;
    if metadata.is_file() {
        image::lock_output(&file, after_crash).map_err(|error| refusal(path, error))?;
    }
    // From here on it may wait: on a thread of its own.
    rustix::fs::fcntl_setfl(&file, rustix::fs::fcntl_getfl(&file)? - rustix::fs::OFlags::NONBLOCK)
        .context("the serial port's file")?;
    Ok(SerialFile { file, made })
}

fn refusal(path: &Path, error: io::Error) -> anyhow::Error {
    let shown = path.display();
    let what = match error.kind() {
        io::ErrorKind::PermissionDenied => format!("this account may not write the serial port's file {shown}"),
        io::ErrorKind::NotFound => format!("there is no folder for the serial port's file {shown}"),
        io::ErrorKind::IsADirectory => format!("{shown} is a folder: the serial port's output goes to a file"),
        io::ErrorKind::ResourceBusy => {
            return anyhow::anyhow!(
                "the serial port's file {shown} is in use by a running machine. Choose another file"
            );
        }
        _ => format!("can't write the serial port's file {shown}"),
    };
    anyhow::Error::new(error).context(what)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    struct Place(tempfile::TempDir);

    impl Place {
        fn new() -> Self {
            Place(tempfile::tempdir().unwrap())
        }

        fn file(&self, name: &str, content: &[u8]) -> PathBuf {
            let path = self.0.path().join(name);
            fs::write(&path, content).unwrap();
            path
        }
    }

    fn refused(path: &Path, kept: &Kept) -> String {
        let said = check(path, kept).unwrap_err().to_string();
        assert!(open(path, kept, false).is_err(), "{said}");
        said
    }

    #[test]
    fn a_machines_file_is_known_by_any_name() {
        let place = Place::new();
        let disk = place.file("disk.img", &[7; 1000]);
        let mut kept = Kept::default();
        kept.note("Mint", &disk);
        let (hard, soft) = (place.0.path().join("hard"), place.0.path().join("soft"));
        fs::hard_link(&disk, &hard).unwrap();
        std::os::unix::fs::symlink(&disk, &soft).unwrap();
        for path in [&disk, &hard, &soft] {
            let said = refused(path, &kept);
            assert!(said.contains("used by 'Mint'") && said.contains("overwritten"), "{said}");
        }
        assert_eq!(fs::read(&disk).unwrap(), [7; 1000]);
    }

    #[test]
    fn folders_and_images_are_refused_and_devices_are_not() {
        let (place, kept) = (Place::new(), Kept::default());
        assert!(refused(place.0.path(), &kept).contains("is a folder"));
        assert!(refused(&place.file("x", b"QFI\xfb and more"), &kept).contains("a qcow2 disk image"));
        check(Path::new("/dev/null"), &kept).unwrap();
        assert!(open(Path::new("/dev/null"), &kept, false).unwrap().made.is_none());
        let pipe = place.0.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR).unwrap();
        check(&pipe, &kept).unwrap();
        assert!(open(&pipe, &kept, false).is_err(), "nobody reads it");
    }

    #[test]
    fn what_is_in_use_is_refused_and_so_is_using_what_is_written() {
        let (place, kept) = (Place::new(), Kept::default());
        let path = place.file("log", b"the run before");
        let first = open(&path, &kept, false).unwrap();
        assert!(open(&path, &kept, false).unwrap_err().to_string().contains("in use by a running machine"));
        let disk = OpenOptions::new().read(true).write(true).open(&path).unwrap();
        let source =
            image::ImageSource { file: disk, format: image::Format::Raw, read_only: false, after_crash: false };
        assert!(image::open_chain(vec![source]).is_err());
        assert_eq!(fs::read(&path).unwrap(), b"the run before", "opening empties nothing");
        drop(first);
        assert!(open(&path, &kept, false).unwrap().made.is_none());
    }

    #[test]
    fn a_new_file_is_told_from_an_old_one() {
        let (place, kept) = (Place::new(), Kept::default());
        let path = place.0.path().join("new");
        check(&path, &kept).unwrap();
        assert_eq!(open(&path, &kept, false).unwrap().made, Some(path.clone()));
        assert!(open(&path, &kept, false).unwrap().made.is_none());
        assert!(check(&path.join("nowhere"), &kept).is_err());
    }
}
