//! Debian's packages, looked up and fetched with a private configuration.
//!
//! The tests need packages of Debian 12 and of its backports, whatever this machine's own sources offer. So they have
//! package lists of their own in the cache, from the mirrors that the machine uses already. The machine's sources and
//! lists stay as they are; its proxies and pins apply, since the rest of its configuration does.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::{places, process};

/// The Debian that guests and lab kernels are taken from.
pub(crate) const CODENAME: &str = "bookworm";
/// Its suite of newer packages.
pub(crate) const BACKPORTS: &str = "bookworm-backports";
const SECURITY: &str = "bookworm-security";
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// Package lists older than this are fetched again.
const FRESH: Duration = Duration::from_secs(24 * 60 * 60);

/// Apt, with sources and package lists of our own.
pub(crate) struct Apt {
    dir: PathBuf,
    mirrors: Mirrors,
}

impl Apt {
    /// The private configuration in the cache, with package lists of today where the network allows it.
    pub(crate) fn ready() -> Result<Self> {
        let apt = Self::in_dir(&places::cache()?.join("apt"), Mirrors::of_this_machine())?;
        apt.refresh()?;
        Ok(apt)
    }

    fn in_dir(dir: &Path, mirrors: Mirrors) -> Result<Self> {
        for sub in ["lists/partial", "archives/partial", "sources"] {
            let sub = dir.join(sub);
            fs::create_dir_all(&sub).with_context(|| format!("can't create {}", sub.display()))?;
        }
        let file = dir.join("sources/private.sources");
        let sources = sources(&mirrors);
        if fs::read_to_string(&file).unwrap_or_default() != sources {
            fs::write(&file, sources).with_context(|| format!("can't write {}", file.display()))?;
            fs::remove_file(dir.join("fetched")).ok();
        }
        Ok(Self { dir: dir.to_owned(), mirrors })
    }

    /// The options that make an apt command use this configuration.
    pub(crate) fn options(&self) -> Vec<OsString> {
        let settings = [
            ("Dir::Etc::SourceList", PathBuf::from("/dev/null")),
            ("Dir::Etc::SourceParts", self.dir.join("sources")),
            ("Dir::State::Lists", self.dir.join("lists")),
            ("Dir::Cache::Archives", self.dir.join("archives")),
            ("Dir::Cache::pkgcache", self.dir.join("pkgcache.bin")),
            ("Dir::Cache::srcpkgcache", self.dir.join("srcpkgcache.bin")),
            ("APT::Sandbox::User", PathBuf::from("root")),
        ];
        let mut options = Vec::new();
        for (name, value) in settings {
            let mut setting = OsString::from(format!("{name}="));
            setting.push(value);
            options.extend([OsString::from("-o"), setting]);
        }
        options
    }

    /// Debian 12 without its backports, as lines of a `sources.list`.
    pub(crate) fn stable_lines(&self) -> [String; 3] {
        let line = |uri: &str, suite: &str| format!("deb [signed-by={KEYRING}] {uri} {suite} main");
        let Mirrors { main, security } = &self.mirrors;
        [line(main, CODENAME), line(main, &format!("{CODENAME}-updates")), line(security, SECURITY)]
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.args(self.options()).env("LC_ALL", "C.UTF-8");
        command
    }

    /// Fetches the package lists when they are missing or old. Old ones do when there is no network.
    fn refresh(&self) -> Result<()> {
        let stamp = self.dir.join("fetched");
        let age = fs::metadata(&stamp).and_then(|meta| meta.modified()).ok().and_then(|time| time.elapsed().ok());
        if age.is_some_and(|age| age < FRESH) {
            return Ok(());
        }
        eprintln!("xtask: fetching Debian's package lists");
        let fetched = process::stdout(self.command("apt-get").args(["-qq", "--error-on=any", "update"]));
        match fetched {
            Ok(_) => fs::write(&stamp, "").with_context(|| format!("can't write {}", stamp.display())),
            Err(error) if age.is_some() => {
                eprintln!("xtask: using the package lists of the last time: {error:#}");
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// A package's versions, newest first, each with the suites that hold it.
    pub(crate) fn versions(&self, package: &str) -> Result<Vec<Version>> {
        Ok(madison(&process::stdout(self.command("apt-cache").args(["madison", package]))?))
    }

    /// A field of a package's description.
    pub(crate) fn field(&self, package: &str, version: &str, field: &str) -> Result<String> {
        let named = format!("{package}={version}");
        let text = process::stdout(self.command("apt-cache").args(["show", "--no-all-versions", &named]))?;
        let prefix = format!("{field}: ");
        let line = text.lines().find_map(|line| line.strip_prefix(&prefix));
        line.map(str::to_owned).with_context(|| format!("{named} has no {field}"))
    }

    /// Fetches a package's file into a folder.
    pub(crate) fn download(&self, package: &str, version: &str, into: &Path) -> Result<PathBuf> {
        // Apt takes a name that is no package's for a pattern, and some kernels' names hold a '+': be sure first.
        self.field(package, version, "Package")?;
        fs::create_dir_all(into).with_context(|| format!("can't create {}", into.display()))?;
        let named = format!("{package}={version}");
        process::stdout(self.command("apt-get").args(["-qq", "download", &named]).current_dir(into))?;
        let prefix = format!("{package}_");
        for entry in fs::read_dir(into).with_context(|| format!("can't read {}", into.display()))? {
            let path = entry?.path();
            if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&prefix)) {
                return Ok(path);
            }
        }
        bail!("apt-get download {named} left no file in {}", into.display())
    }
}

/// The addresses that this machine gets Debian from.
#[derive(Debug, PartialEq, Eq)]
struct Mirrors {
    main: String,
    security: String,
}

impl Mirrors {
    fn of_this_machine() -> Self {
        let format = "$(REPO_URI) $(CODENAME) $(COMPONENT)";
        let mut command = Command::new("apt-get");
        command.args(["indextargets", "--format", format, "Created-By: Packages"]);
        Self::listed(&process::stdout(&mut command).unwrap_or_default())
    }

    /// Reads lines of address, code name and component; Debian's own addresses stand in for what is missing.
    fn listed(targets: &str) -> Self {
        let find = |wanted: &str| {
            targets.lines().find_map(|line| {
                let mut words = line.split_whitespace();
                let uri = words.next()?;
                (words.next()? == wanted && words.next()? == "main").then(|| uri.to_owned())
            })
        };
        Self {
            main: find(CODENAME).unwrap_or_else(|| "http://deb.debian.org/debian/".into()),
            security: find(SECURITY).unwrap_or_else(|| "http://deb.debian.org/debian-security/".into()),
        }
    }
}

/// The private sources: Debian 12 with its updates and backports.
fn sources(mirrors: &Mirrors) -> String {
    let entry = |uri: &str, suites: &str| {
        format!("Types: deb\nURIs: {uri}\nSuites: {suites}\nComponents: main\nSigned-By: {KEYRING}\n")
    };
    let main = entry(&mirrors.main, &format!("{CODENAME} {CODENAME}-updates {BACKPORTS}"));
    format!("{main}\n{}", entry(&mirrors.security, SECURITY))
}

/// A version of a package.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Version {
    /// Debian's version number.
    pub(crate) version: String,
    /// The suite that holds it.
    pub(crate) suite: String,
}

/// Reads what `apt-cache madison` writes, which sorts by version.
fn madison(table: &str) -> Vec<Version> {
    let line = |line: &str| {
        let mut columns = line.split('|').map(str::trim);
        let (_, version, origin) = (columns.next()?, columns.next()?, columns.next()?);
        let suite = origin.split_whitespace().nth(1)?.split('/').next()?;
        Some(Version { version: version.to_owned(), suite: suite.to_owned() })
    };
    table.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machines_own_mirror_is_used() {
        let targets = "http://mirror.example/debian/ bookworm-backports main\n\
                       http://mirror.example/debian/ bookworm non-free\n\
                       http://near.example/debian/ bookworm main\n";
        let mirrors = Mirrors::listed(targets);
        assert_eq!(mirrors.main, "http://near.example/debian/");
        assert_eq!(mirrors.security, "http://deb.debian.org/debian-security/");
    }

    #[test]
    fn versions_are_read_with_their_suites() {
        let table = "linux-image-amd64 | 6.12.95-1~bpo12+1 | http://deb.debian.org/debian bookworm-backports/main amd64 Packages\n\
                     linux-image-amd64 |  6.1.192-2 | http://deb.debian.org/debian-security bookworm-security/main amd64 Packages\n";
        let version = |version: &str, suite: &str| Version { version: version.into(), suite: suite.into() };
        let expected = [version("6.12.95-1~bpo12+1", BACKPORTS), version("6.1.192-2", SECURITY)];
        assert_eq!(madison(table), expected);
    }
}
