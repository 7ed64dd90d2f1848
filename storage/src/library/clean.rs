//! Bringing the library in order: what dead processes left half done, and what was long enough in the trash.

use std::path::{Path, PathBuf};

use machine::timestamp::Timestamp;

use super::{
    Library, TRASH_KEEPS, change,
    create::DRAFT,
    error::LibraryError,
    fs,
    lock::{LOCK, MachineLock, RUN_TEMPORARY},
    trash::PURGE,
};

impl Library {
    /// Removes what nobody needs any more. What can't be removed stays for the next time.
    pub(super) fn clean(&self, now: Timestamp) {
        // Mostly there is nothing to do: then nobody has to wait for the lock.
        let work = self.work(now);
        if work.is_empty() {
            return;
        }
        match self.guard() {
            Ok(guard) => {
                // What was seen without the lock may be gone, or have become something else.
                let work = self.work(now);
                let condemned: Vec<PathBuf> = work.into_iter().filter_map(|work| self.condemn_remains(work)).collect();
                drop(guard);
                for path in condemned {
                    tracing::info!(path = %path.display(), "deleting what is no longer needed");
                    log_failure(&path, fs::remove_tree(&path));
                }
            }
            Err(error) => tracing::warn!(%error, "the library could not be brought in order"),
        }
    }

    fn work(&self, now: Timestamp) -> Vec<Remains> {
        let mut work = Vec::new();
        for path in entries(&self.machines_dir()) {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.starts_with(DRAFT) {
                work.push(Remains::Draft(path));
            } else if !name.starts_with('.') {
                work.extend(temporaries(path));
            }
        }
        for path in entries(&self.trash_dir()) {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let deleted = name.split('-').next().and_then(Timestamp::from_compact);
            if name.starts_with(PURGE) {
                work.push(Remains::Condemned(path));
            } else if deleted.is_some_and(|deleted| now.since(deleted) > TRASH_KEEPS) {
                work.push(Remains::Expired(path));
            } else {
                work.extend(temporaries(path));
            }
        }
        work
    }

    /// Sees to one thing, and gives what is then to be deleted without the library's lock, which the caller has.
    fn condemn_remains(&self, remains: Remains) -> Option<PathBuf> {
        match remains {
            Remains::Condemned(path) => Some(path),
            Remains::Expired(path) => self.condemn_logged(&path),
            Remains::Draft(path) => {
                let _lock = dead(&path)?;
                self.condemn_logged(&path)
            }
            Remains::Temporary { machine, file } => {
                let _lock = dead(&machine)?;
                log_failure(&file, fs::remove_file(&file));
                None
            }
        }
    }

    fn condemn_logged(&self, path: &Path) -> Option<PathBuf> {
        self.condemn(path)
            .inspect_err(|error| tracing::warn!(%error, "what is no longer needed could not be removed"))
            .ok()
    }
}

/// What nobody needs any more.
enum Remains {
    /// A draft, if its maker is dead.
    Draft(PathBuf),
    /// A file that would have replaced another, if the machine's owner is dead.
    Temporary { machine: PathBuf, file: PathBuf },
    /// What was long enough in the trash.
    Expired(PathBuf),
    /// What was being deleted.
    Condemned(PathBuf),
}

/// The lock of a folder that no living process has locked. (One without a lock file was left before that was made,
/// under the library's lock: its maker is dead.)
fn dead(folder: &Path) -> Option<Option<MachineLock>> {
    if folder.join(LOCK).symlink_metadata().is_err() {
        return Some(None);
    }
    match MachineLock::take(folder, "") {
        Ok(lock) => Some(Some(lock)),
        Err(LibraryError::Running { .. }) => None,
        Err(error) => {
            tracing::warn!(folder = %folder.display(), %error, "it can't be told whether this is in use");
            None
        }
    }
}

/// What a change to the machine left.
fn temporaries(machine: PathBuf) -> impl Iterator<Item = Remains> {
    let files = [change::TEMPORARY, RUN_TEMPORARY].map(|file| machine.join(file));
    let left = files.into_iter().filter(|file| file.symlink_metadata().is_ok());
    left.map(move |file| Remains::Temporary { machine: machine.clone(), file })
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    match folder.read_dir() {
        Ok(entries) => entries.filter_map(|entry| Some(entry.ok()?.path())).collect(),
        Err(error) => {
            tracing::warn!(folder = %folder.display(), %error, "a folder can't be read");
            Vec::new()
        }
    }
}

fn log_failure(path: &Path, result: std::io::Result<()>) {
    if let Err(error) = result {
        tracing::warn!(path = %path.display(), %error, "what is no longer needed could not be deleted");
    }
}
