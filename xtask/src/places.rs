//! Where things are: the workspace, the build directory, and the cache that outlives builds.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The workspace's top folder.
pub(crate) fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("/")).to_owned()
}

/// What tests and the lab keep between runs: `$XDG_CACHE_HOME/tandem-tests`, or the same below `~/.cache`.
pub(crate) fn cache() -> Result<PathBuf> {
    let base = match env::var_os("XDG_CACHE_HOME") {
        Some(dir) if Path::new(&dir).is_absolute() => PathBuf::from(dir),
        _ => PathBuf::from(env::var_os("HOME").context("neither XDG_CACHE_HOME nor HOME is set")?).join(".cache"),
    };
    let dir = base.join("tandem-tests");
    fs::create_dir_all(&dir).with_context(|| format!("can't create {}", dir.display()))?;
    Ok(dir)
}

/// Makes `target` by having `make` fill a scratch place beside it, which is renamed when all went well. Two processes
/// may do the same at once: the first one's result stays.
pub(crate) fn make_once(target: &Path, make: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    if target.exists() {
        return Ok(());
    }
    let parent = target.parent().context("a cached thing has a folder")?;
    fs::create_dir_all(parent).with_context(|| format!("can't create {}", parent.display()))?;
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    let scratch = parent.join(format!(".{name}.{}", std::process::id()));
    let made = make(&scratch).and_then(|()| match fs::rename(&scratch, target) {
        Err(error) if !target.exists() => Err(error).with_context(|| format!("can't make {}", target.display())),
        _ => Ok(()),
    });
    if scratch.is_dir() {
        fs::remove_dir_all(&scratch).ok();
    } else {
        fs::remove_file(&scratch).ok();
    }
    made
}

/// A folder that is removed when the value is dropped.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    /// A new folder in the system's place for temporary files.
    pub(crate) fn new(purpose: &str) -> Result<Self> {
        let nanos = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_nanos();
        let dir = env::temp_dir().join(format!("tandem-{purpose}-{}-{nanos}", std::process::id()));
        fs::create_dir(&dir).with_context(|| format!("can't create {}", dir.display()))?;
        Ok(Self(dir))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}
