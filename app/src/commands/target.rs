//! Where a picture is written: a file, which is there whole or not at all; or what a person has put in its place, which is
//! written to and never replaced.

use std::{
    fs::{File, OpenOptions, Permissions},
    io::{self, IsTerminal, Write},
    os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

use super::absolute;

/// Where something is written.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// Standard output.
    Stdout,
    /// A new file, or one that a new one with these permissions replaces.
    File(PathBuf, Option<u32>),
    /// What is there: a pipe, a device, a file of several names or of another account, one that a link leads to.
    There(PathBuf),
}

impl Target {
    /// What `text` names. Links are followed.
    ///
    /// # Errors
    /// It can't be written.
    pub(super) fn find(text: &str) -> Result<Target> {
        if ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"].contains(&text) {
            if io::stdout().is_terminal() {
                bail!("a picture can't be shown in a terminal: name a file, or send it on with a pipe");
            }
            return Ok(Target::Stdout);
        }
        let path = absolute(text)?;
        let shown = path.display();
        let metadata = match path.metadata() {
            Ok(metadata) => metadata,
            // A link to a file that isn't there yet: opening it makes the file.
            Err(error) if error.kind() == io::ErrorKind::NotFound && path.is_symlink() => {
                return Ok(Target::There(path));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if !path.parent().is_some_and(Path::is_dir) {
                    bail!("can't write {shown}: there is no such folder");
                }
                return Ok(Target::File(path, None));
            }
            Err(error) => return Err(error).with_context(|| format!("can't write {shown}")),
        };
        let kind = metadata.file_type();
        if kind.is_dir() {
            bail!("can't write {shown}: it is a folder");
        }
        if kind.is_block_device() {
            bail!("can't write {shown}: it is a disk, which a picture would damage");
        }
        if !kind.is_file() {
            return Ok(Target::There(path));
        }
        // Also where root may all the same.
        if metadata.mode() & 0o222 == 0 {
            bail!("can't write {shown}: the file is write-protected. Choose another name");
        }
        OpenOptions::new().write(true).open(&path).with_context(|| format!("can't write {shown}"))?;
        if metadata.nlink() > 1 || metadata.uid() != rustix::process::geteuid().as_raw() {
            return Ok(Target::There(path));
        }
        let path = path.canonicalize().with_context(|| format!("can't write {shown}"))?;
        Ok(Target::File(path, Some(metadata.mode() & 0o7777)))
    }

    /// Writes all of `bytes`.
    ///
    /// # Errors
    /// The host's, with the path.
    pub(super) fn write(&self, bytes: &[u8]) -> Result<()> {
        match self {
            Target::Stdout => {
                let mut stdout = io::stdout();
                let written = stdout.write_all(bytes).and_then(|()| stdout.flush());
                written.context("can't write to standard output")
            }
            Target::There(path) => {
                // A pipe is waited for until somebody reads it.
                let file = OpenOptions::new().write(true).create(true).truncate(true).open(path);
                let written = file.and_then(|mut file| file.write_all(bytes));
                written.with_context(|| format!("can't write {}", path.display()))
            }
            Target::File(path, mode) => {
                write_whole(path, *mode, bytes).with_context(|| format!("can't write {}", path.display()))
            }
        }
    }
}

/// Writes a file so that it is there whole or not at all.
fn write_whole(path: &Path, mode: Option<u32>, bytes: &[u8]) -> io::Result<()> {
    // Its own name may be as long as names can be.
    let temporary = path.with_file_name(format!(".tandem-{}-{}", std::process::id(), uuid::Uuid::new_v4().simple()));
    let write = || {
        let mut file: File = OpenOptions::new().write(true).create_new(true).mode(0o666).open(&temporary)?;
        if let Some(mode) = mode {
            file.set_permissions(Permissions::from_mode(mode))?;
        }
        file.write_all(bytes)?;
        std::fs::rename(&temporary, path)
    };
    let written = write();
    if written.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    written
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    fn write(path: &Path, bytes: &[u8]) -> Result<()> {
        Target::find(path.to_str().unwrap())?.write(bytes)
    }

    #[test]
    fn a_file_is_made_or_replaced_and_keeps_its_permissions() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x".repeat(255));
        write(&path, b"one").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        let before = path.metadata().unwrap().ino();
        write(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o640);
        assert_ne!(path.metadata().unwrap().ino(), before, "whoever reads the old picture keeps it whole");
        assert_eq!(dir.path().read_dir().unwrap().count(), 1);
    }

    #[test]
    fn links_are_followed_and_stay() {
        let dir = tempfile::tempdir().unwrap();
        for (name, there) in [("old.png", true), ("new.png", false)] {
            let (file, link) = (dir.path().join(name), dir.path().join(format!("link-{name}")));
            if there {
                fs::write(&file, "before").unwrap();
            }
            symlink(name, &link).unwrap();
            // From any folder.
            write(&link, b"picture").unwrap();
            assert!(link.is_symlink());
            assert_eq!(fs::read(&file).unwrap(), b"picture");
        }
        let (one, other) = (dir.path().join("one"), dir.path().join("other"));
        fs::write(&one, "before").unwrap();
        fs::hard_link(&one, &other).unwrap();
        write(&one, b"picture").unwrap();
        assert_eq!(fs::read(&other).unwrap(), b"picture");
    }

    #[test]
    fn a_pipe_is_written_to_and_stays() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR).unwrap();
        let reader = std::thread::spawn({
            let pipe = pipe.clone();
            move || fs::read(pipe).unwrap()
        });
        write(&pipe, b"picture").unwrap();
        assert_eq!(reader.join().unwrap(), b"picture");
        assert!(pipe.metadata().unwrap().file_type().is_fifo());
        write(Path::new("/dev/null"), b"picture").unwrap();
        assert!(Path::new("/dev/null").metadata().unwrap().file_type().is_char_device());
    }

    #[test]
    fn what_must_not_be_written_is_refused_and_untouched() {
        let dir = tempfile::tempdir().unwrap();
        let locked = dir.path().join("locked.png");
        fs::write(&locked, "before").unwrap();
        fs::set_permissions(&locked, Permissions::from_mode(0o400)).unwrap();
        let error = write(&locked, b"picture").unwrap_err().to_string();
        assert!(error.contains("write-protected"), "{error}");
        assert_eq!(fs::read(&locked).unwrap(), b"before");
        assert!(write(dir.path(), b"x").unwrap_err().to_string().contains("is a folder"));
        assert!(write(&dir.path().join("no/a.png"), b"x").unwrap_err().to_string().contains("no such folder"));
    }
}
