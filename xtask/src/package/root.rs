//! A fresh Debian 12 in a folder: the smallest that has apt. It is unpacked into memory, in a name space of its own, and is gone
//! with the process that did it.

use std::ffi::OsStr;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::apt::{Apt, CODENAME};
use crate::places;
use crate::process;

/// Debian's required packages, and apt.
const VARIANT: &str = "minbase";
/// The package whose version tells one point release from another.
const RELEASE: &str = "base-files";
/// Devices that programs need, and the one that machines need.
const DEVICES: [&str; 7] = ["null", "zero", "full", "random", "urandom", "tty", "kvm"];
const KVM: &str = "/dev/kvm";
/// Where X servers' sockets are.
const DISPLAYS: &str = "/tmp/.X11-unix";

/// An archive of the system, made once for each point release.
pub(super) fn base() -> Result<PathBuf> {
    let apt = Apt::ready()?;
    let release = apt.versions(RELEASE)?;
    let release = release.first().context("Debian's mirror has no base-files")?.version.clone();
    let mut hasher = DefaultHasher::new();
    (VARIANT, apt.stable_lines()).hash(&mut hasher);
    let file = places::cache()?.join(format!("roots/{CODENAME}-{release}-{:08x}.tar", hasher.finish() >> 32));
    places::make_once(&file, |scratch| {
        eprintln!("xtask: making a fresh Debian 12 ({release})");
        let mut command = Command::new("mmdebstrap");
        command.args(["--quiet", "--format=tar", &format!("--variant={VARIANT}")]);
        command.args(proxies()?.iter().map(|line| format!("--aptopt={line}")));
        command.arg(CODENAME).arg(scratch).args(apt.stable_lines());
        process::stdout(&mut command).map(drop)
    })?;
    Ok(file)
}

/// The proxies of this machine's apt, as lines of its configuration. Programs that choose one are not in the new system.
fn proxies() -> Result<Vec<String>> {
    let all = process::stdout(Command::new("apt-config").arg("dump"))?;
    let wanted = |line: &&str| {
        let name = line.split_whitespace().next().unwrap_or_default().to_lowercase();
        name.starts_with("acquire::")
            && name.contains("::proxy")
            && !name.contains("detect")
            && !line.ends_with("\"\";")
    };
    Ok(all.lines().filter(wanted).map(str::to_owned).collect())
}

/// The system, unpacked.
pub(super) struct Root {
    dir: PathBuf,
}

impl Root {
    /// Unpacks the archive over an empty folder. It mounts much there, which only the end of the process undoes, so it is for a
    /// name space of its own.
    pub(super) fn unpack(base: &Path, empty: &Path) -> Result<Self> {
        let dir = empty.to_owned();
        mount(&["-t", "tmpfs", "-o", "mode=755", "root"], &dir)?;
        process::run(Command::new("tar").args(["-x", "-p", "--numeric-owner", "-C"]).arg(&dir).arg("-f").arg(base))?;
        let root = Root { dir };
        root.surroundings()?;
        root.network()?;
        root.archives()?;
        Ok(root)
    }

    /// A file of the system, as seen from outside.
    pub(super) fn path(&self, inside: &str) -> PathBuf {
        self.dir.join(inside.trim_start_matches('/'))
    }

    fn folder(&self, inside: &str) -> Result<PathBuf> {
        let path = self.path(inside);
        fs::create_dir_all(&path).with_context(|| format!("can't create {}", path.display()))?;
        Ok(path)
    }

    /// The kernel's file systems, a few devices, and this machine's displays.
    fn surroundings(&self) -> Result<()> {
        mount(&["-t", "proc", "proc"], &self.folder("proc")?)?;
        mount(&["--rbind", "/sys"], &self.folder("sys")?)?;
        mount(&["-t", "tmpfs", "-o", "mode=755", "dev"], &self.folder("dev")?)?;
        for device in DEVICES {
            let (outside, inside) = (Path::new("/dev").join(device), self.path("dev").join(device));
            if outside.exists() {
                fs::write(&inside, "")?;
                mount(&["--bind".as_ref(), outside.as_os_str()], &inside)?;
            }
        }
        mount(&["-t", "devpts", "-o", "newinstance,ptmxmode=666,mode=620", "devpts"], &self.folder("dev/pts")?)?;
        mount(&["-t", "tmpfs", "-o", "mode=1777", "shm"], &self.folder("dev/shm")?)?;
        for (name, target) in [("ptmx", "pts/ptmx"), ("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1")] {
            symlink(target, self.path("dev").join(name))?;
        }
        fs::create_dir_all(DISPLAYS)?;
        fs::set_permissions(DISPLAYS, fs::Permissions::from_mode(0o1777))?;
        mount(&["--bind", DISPLAYS], &self.folder(DISPLAYS)?)
    }

    fn network(&self) -> Result<()> {
        let resolver = fs::read("/etc/resolv.conf").unwrap_or_default();
        // It may be a link to what isn't there.
        fs::remove_file(self.path("etc/resolv.conf")).ok();
        fs::write(self.path("etc/resolv.conf"), resolver)?;
        fs::write(self.path("etc/apt/apt.conf.d/90proxies"), proxies()?.join("\n"))?;
        Ok(())
    }

    /// Packages that were fetched once are kept beside the archive.
    fn archives(&self) -> Result<()> {
        let kept = places::cache()?.join("roots/archives");
        fs::create_dir_all(kept.join("partial"))?;
        mount(&["--bind".as_ref(), kept.as_os_str()], &self.folder("var/cache/apt/archives")?)
    }

    /// A command in the system, as root or as one of its users.
    pub(super) fn command(&self, user: Option<&str>) -> Command {
        let mut command = Command::new("chroot");
        command.arg(&self.dir).env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("LC_ALL", "C.UTF-8");
        for name in ["http_proxy", "https_proxy", "no_proxy"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        if let Some(user) = user {
            let run = format!("/run/user/{user}");
            command.args(["runuser", "-u", user, "--"]);
            command.env("HOME", format!("/home/{user}")).env("USER", user).env("XDG_RUNTIME_DIR", run);
        }
        command
    }

    /// Runs a command in the system; anything but success is an error.
    pub(super) fn run(&self, user: Option<&str>, words: &[&str]) -> Result<String> {
        process::stdout(self.command(user).args(words))
    }

    /// Runs apt-get, which asks nothing and brings only what is depended on.
    pub(super) fn apt(&self, words: &[&str]) -> Result<String> {
        let mut command = self.command(None);
        command.env("DEBIAN_FRONTEND", "noninteractive").args(["apt-get", "-q", "-y", "--no-install-recommends"]);
        // The kept packages belong to whoever keeps them, and not to apt's own user.
        command.args(["-o", "APT::Keep-Downloaded-Packages=true", "-o", "APT::Sandbox::User=root"]);
        let said = process::stdout(command.args(["-o", "Dpkg::Use-Pty=0"]).args(words));
        let kept = self.path("var/cache/apt/archives");
        if let Ok(owner) = fs::metadata(places::cache()?) {
            let owner = format!("{}:{}", owner.uid(), owner.gid());
            process::run(Command::new("chown").args(["-R", &owner]).arg(kept))?;
        }
        said
    }

    /// Makes an account; one that may use KVM is in the group that the device belongs to.
    pub(super) fn add_user(&self, name: &str, uses_kvm: bool) -> Result<()> {
        let mut add = vec!["useradd", "--create-home", "--shell", "/bin/sh"];
        if uses_kvm {
            let group = fs::metadata(KVM).map(|device| device.gid().to_string()).ok();
            let id = group.as_ref().map_or(vec![], |id| vec!["--non-unique", "--gid", id]);
            self.run(None, &[&["groupadd", "--force"], id.as_slice(), &["kvm"]].concat())?;
            add.extend(["--groups", "kvm"]);
        }
        add.push(name);
        self.run(None, &add)?;
        let run = format!("/run/user/{name}");
        self.run(None, &["install", "-d", "-m", "700", "-o", name, "-g", name, &run]).map(drop)
    }

    /// The files below a folder of the system, each with what it holds: for comparing.
    pub(super) fn contents(&self, folder: &str) -> Result<String> {
        let script = "cd \"$1\" && find . -type f -exec sha256sum {} + | sort -k 2";
        let files = self.run(None, &["sh", "-c", script, "sh", folder])?;
        if files.trim().is_empty() {
            bail!("{folder} holds nothing");
        }
        Ok(files)
    }
}

/// Mounts something on a folder or file.
fn mount<S: AsRef<OsStr>>(what: &[S], on: &Path) -> Result<()> {
    process::run(Command::new("mount").args(what).arg(on))
}
