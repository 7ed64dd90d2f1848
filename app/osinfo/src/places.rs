//! Where databases are.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

/// The folders that databases are in. What is in a later one completes and overrides what is in those before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places(Vec<PathBuf>);

impl Places {
    /// The host's: those that libosinfo reads (the packaged `/usr/share/osinfo`, or `OSINFO_SYSTEM_DIR`; the
    /// administrator's `/etc/osinfo`, or `OSINFO_LOCAL_DIR`; the person's `osinfo` in `XDG_CONFIG_HOME`, or
    /// `OSINFO_USER_DIR`), and `/usr/local/share/osinfo` after the packaged one.
    #[must_use]
    pub fn standard() -> Self {
        Places::from_environment(|name| std::env::var_os(name))
    }

    /// The host's, where the environment says `get`.
    pub fn from_environment(get: impl Fn(&str) -> Option<OsString>) -> Self {
        let set = |name: &str| get(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let system = match set("OSINFO_SYSTEM_DIR") {
            Some(folder) => vec![folder],
            None => vec!["/usr/share/osinfo".into(), "/usr/local/share/osinfo".into()],
        };
        let local = set("OSINFO_LOCAL_DIR").unwrap_or_else(|| "/etc/osinfo".into());
        // A relative one is to be ignored (XDG Base Directory Specification).
        let config = set("XDG_CONFIG_HOME").filter(|folder| folder.is_absolute());
        let config = config.or_else(|| Some(set("HOME")?.join(".config")));
        let user = set("OSINFO_USER_DIR").or_else(|| Some(config?.join("osinfo")));
        Places(system.into_iter().chain([local]).chain(user).collect())
    }

    /// Just these.
    pub fn only<P: Into<PathBuf>>(folders: impl IntoIterator<Item = P>) -> Self {
        Places(folders.into_iter().map(Into::into).collect())
    }

    /// The folders.
    pub fn folders(&self) -> impl Iterator<Item = &Path> {
        self.0.iter().map(PathBuf::as_path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(variables: &[(&str, &str)]) -> Vec<PathBuf> {
        let get = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into());
        Places::from_environment(get).0
    }

    fn paths(list: &[&str]) -> Vec<PathBuf> {
        list.iter().map(PathBuf::from).collect()
    }

    #[test]
    fn the_database_is_where_the_environment_says() {
        let packaged = ["/usr/share/osinfo", "/usr/local/share/osinfo", "/etc/osinfo"];
        assert_eq!(places(&[]), paths(&packaged));
        assert_eq!(places(&[("HOME", "/h")]), paths(&[&packaged[..], &["/h/.config/osinfo"]].concat()));
        let relative = [("HOME", "/h"), ("XDG_CONFIG_HOME", "c")];
        assert_eq!(places(&relative), paths(&[&packaged[..], &["/h/.config/osinfo"]].concat()));
        assert_eq!(places(&[("XDG_CONFIG_HOME", "/c")]), paths(&[&packaged[..], &["/c/osinfo"]].concat()));
        let all = [("OSINFO_SYSTEM_DIR", "/s"), ("OSINFO_LOCAL_DIR", "/l"), ("OSINFO_USER_DIR", "/u"), ("HOME", "/h")];
        assert_eq!(places(&all), paths(&["/s", "/l", "/u"]));
    }
}
