//! A machine's logs: one a run, of which the last ten are kept.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::PathBuf,
};

use machine::timestamp::Timestamp;

use super::{
    Machine,
    error::{Doing as _, LibraryError},
    fs,
};

/// How many runs' logs are kept.
pub const RUNS_KEPT: usize = 10;

impl Machine {
    /// The folder of its logs.
    #[must_use]
    pub fn log_dir(&self) -> PathBuf {
        self.folder.join("log")
    }

    /// The logs of its runs, the latest first.
    ///
    /// # Errors
    /// When the folder can't be read. (One that isn't there has no logs.)
    pub fn logs(&self) -> Result<Vec<PathBuf>, LibraryError> {
        let folder = self.log_dir();
        let entries = match folder.read_dir() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.doing("read the folder", &folder)?,
        };
        let mut logs = Vec::new();
        for entry in entries {
            let path = entry.doing("read the folder", &folder)?.path();
            if let Some(order) = path.file_name().and_then(|name| order(&name.to_string_lossy())) {
                logs.push((order, path));
            }
        }
        logs.sort_unstable_by(|a, b| b.cmp(a));
        Ok(logs.into_iter().map(|(_, path)| path).collect())
    }

    /// Begins the log of a run that starts `now`, and deletes those of the runs before the last ten. For the machine's
    /// owner.
    ///
    /// # Errors
    /// What the host says.
    pub fn new_log(&self, now: Timestamp) -> Result<(File, PathBuf), LibraryError> {
        let folder = self.log_dir();
        fs::make_dirs(&folder)?;
        for variant in 0_u32.. {
            let suffix = if variant == 0 { String::new() } else { format!("~{variant}") };
            let path = folder.join(format!("{}{suffix}.log", now.compact()));
            match OpenOptions::new().append(true).create_new(true).mode(0o600).open(&path) {
                Ok(file) => {
                    self.prune_logs();
                    return Ok((file, path));
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(LibraryError::host("write", &path, error)),
            }
        }
        unreachable!("one of four billion names is free")
    }

    fn prune_logs(&self) {
        let old = self.logs().map(|logs| logs.into_iter().skip(RUNS_KEPT).collect::<Vec<_>>()).unwrap_or_default();
        for path in old {
            if let Err(error) = fs::remove_file(&path) {
                tracing::warn!(path = %path.display(), %error, "an old log could not be deleted");
            }
        }
    }
}

/// When the run began that a file is the log of; `None` if it isn't a log.
fn order(file: &str) -> Option<(Timestamp, u32)> {
    let stem = file.strip_suffix(".log")?;
    let (time, variant) = match stem.split_once('~') {
        Some((time, variant)) => (time, variant.parse().ok()?),
        None => (stem, 0),
    };
    Some((Timestamp::from_compact(time)?, variant))
}
