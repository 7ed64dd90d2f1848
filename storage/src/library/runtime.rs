//! The directory of control sockets: for this account only, and short enough for a socket's address.

use std::{
    ffi::OsStr,
    fs::DirBuilder,
    io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _},
    path::{Path, PathBuf},
};

use super::error::LibraryError;

/// The most that a socket's address holds, without its terminating zero (`sun_path` of unix(7)).
const MOST_BYTES: usize = 107;

/// The directory for sockets whose file names have `file_bytes`. It exists afterwards.
pub(super) fn runtime_dir(file_bytes: usize) -> Result<PathBuf, LibraryError> {
    let xdg = std::env::var_os("XDG_RUNTIME_DIR");
    let fallback = PathBuf::from(format!("/tmp/tandem-{}", rustix::process::geteuid().as_raw()));
    choose(xdg.as_deref(), fallback, file_bytes)
}

/// `tandem` in the directory `xdg`, if that is given, exists and is usable; else `fallback`.
fn choose(xdg: Option<&OsStr>, fallback: PathBuf, file_bytes: usize) -> Result<PathBuf, LibraryError> {
    let usual = xdg.map(Path::new).filter(|path| path.is_absolute()).map(|path| path.join("tandem"));
    if let Some(path) = usual {
        let fits = path.as_os_str().len() + 1 + file_bytes <= MOST_BYTES;
        // Not there, or another account's, as after `su`.
        if fits && prepare(&path).is_ok() {
            return Ok(path);
        }
    }
    // In a directory that all accounts may write to, somebody else may have been there first.
    prepare(&fallback).map(|()| fallback)
}

/// Makes sure that `path` is a directory of this account, which nobody else can look into.
fn prepare(path: &Path) -> Result<(), LibraryError> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(LibraryError::host("make the folder", path, error));
        }
        _ => {}
    }
    // Of a link, the link itself.
    let metadata = path.symlink_metadata().map_err(|error| LibraryError::host("look at the folder", path, error))?;
    let unfit = |reason| Err(LibraryError::RuntimeDir { path: path.to_owned(), reason });
    if !metadata.is_dir() {
        return unfit("it is not a directory");
    }
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return unfit("it belongs to another account");
    }
    if metadata.mode() & 0o077 != 0 {
        return unfit("other accounts may look into it");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn mode(path: &Path) -> u32 {
        path.symlink_metadata().unwrap().mode() & 0o777
    }

    #[test]
    fn the_directory_of_the_session_is_used_where_there_is_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = choose(Some(dir.path().as_os_str()), dir.path().join("fallback"), 21).unwrap();
        assert_eq!(path, dir.path().join("tandem"));
        assert_eq!(mode(&path), 0o700);
        assert_eq!(choose(Some(dir.path().as_os_str()), dir.path().join("fallback"), 21).unwrap(), path);
    }

    #[test]
    fn without_one_or_where_it_is_unusable_the_fallback_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        let fallback = dir.path().join("fallback");
        let long = dir.path().join("x".repeat(90));
        std::fs::create_dir(&long).unwrap();
        let open = dir.path().join("open");
        std::fs::create_dir_all(open.join("tandem")).unwrap();
        std::fs::set_permissions(open.join("tandem"), PermissionsExt::from_mode(0o755)).unwrap();
        for xdg in [
            None,
            Some(Path::new("")),
            Some(Path::new("relative")),
            Some(Path::new("/nowhere")),
            Some(&long),
            Some(&open),
        ] {
            assert_eq!(choose(xdg.map(Path::as_os_str), fallback.clone(), 21).unwrap(), fallback, "{xdg:?}");
        }
        assert_eq!(mode(&fallback), 0o700);
    }

    #[test]
    fn a_directory_that_somebody_else_prepared_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let reason = |path: &Path| match choose(None, path.to_owned(), 21) {
            Err(LibraryError::RuntimeDir { reason, .. }) => reason,
            other => panic!("{other:?}"),
        };
        let (link, file, open) = (dir.path().join("link"), dir.path().join("file"), dir.path().join("open"));
        symlink(dir.path(), &link).unwrap();
        std::fs::write(&file, "").unwrap();
        std::fs::create_dir(&open).unwrap();
        std::fs::set_permissions(&open, PermissionsExt::from_mode(0o770)).unwrap();
        assert_eq!(reason(&link), "it is not a directory");
        assert_eq!(reason(&file), "it is not a directory");
        assert_eq!(reason(&open), "other accounts may look into it");
    }
}
