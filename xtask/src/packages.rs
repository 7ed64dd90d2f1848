//! The Debian packages that building, the guest lab and the test guests need, and their installation.
//!
//! Nothing that the user installed is removed or downgraded: apt is asked for a simulation first, and what would do
//! either is refused. Packages come from the machine's own sources where those can give them; QEMU may have to come from
//! the backports, when parts of it are installed from there already.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::apt::{Apt, BACKPORTS};
use crate::process;

/// What the lab itself runs on.
const LAB: &[&str] = &["qemu-system-x86", "busybox-static", "kmod", "xz-utils"];

/// What the program needs: to be built, to run machines, and to show windows. The libraries of the last are opened by name
/// while it runs, so nothing else asks for them.
const PROGRAM: &[&str] = &[
    "gcc",
    "libc6-dev",
    "pkg-config",
    "libasound2-dev",
    "binutils",
    "seabios",
    "libgl1",
    "libegl1",
    "libgl1-mesa-dri",
    "libx11-6",
    "libx11-xcb1",
    "libxcursor1",
    "libxi6",
    "libxrender1",
    "libxkbcommon0",
    "libxkbcommon-x11-0",
    "libwayland-client0",
    "libwayland-egl1",
    "libvulkan1",
    "mesa-vulkan-drivers",
];

/// What the tests need besides.
const TESTS: &[&str] = &[
    // desktops
    "sway",
    "grim",
    "xvfb",
    "openbox",
    "xdotool",
    "x11-utils",
    "imagemagick",
    "dbus-daemon",
    // a sound card
    "pulseaudio",
    "pulseaudio-utils",
    "libasound2-plugins",
    // to compare with
    "qemu-utils",
    "zstd",
    // guests
    "grub-rescue-pc",
    "memtest86+",
    "ipxe",
    "debian-installer-12-netboot-amd64",
    // to make guests
    "python3",
    "debian-archive-keyring",
    "mmdebstrap",
    "uidmap",
    "e2fsprogs",
    "grub-common",
    "grub-pc-bin",
    "isolinux",
    "syslinux-common",
    "xorriso",
    "mtools",
    // what systems' discs are like
    "osinfo-db",
];

/// What puts a package together.
const PACKAGING: &[&str] = &["dpkg-dev"];

/// What looks at one, and a fresh system and a desktop to try it on.
const CHECKING: [&str; 13] = [
    "lintian",
    "desktop-file-utils",
    "appstream",
    "man-db",
    "librsvg2-bin",
    "imagemagick",
    "mmdebstrap",
    "uidmap",
    "debian-archive-keyring",
    "xvfb",
    "openbox",
    "xdotool",
    "x11-utils",
];

/// Options of every installation, simulated or not.
const CAREFULLY: [&str; 4] = ["install", "-y", "--no-install-recommends", "--no-remove"];

/// Installs what is missing of everything that the tests need.
pub(crate) fn ensure() -> Result<()> {
    ensure_these(&[LAB, PROGRAM, TESTS].concat())
}

/// Installs what is missing of what the program itself needs.
pub(crate) fn ensure_to_run() -> Result<()> {
    ensure_these(PROGRAM)
}

/// Installs what is missing of what makes a package.
pub(crate) fn ensure_to_package() -> Result<()> {
    ensure_these(&[PROGRAM, PACKAGING].concat())
}

/// Installs what is missing of what checks a package.
pub(crate) fn ensure_to_check_packages() -> Result<()> {
    ensure_these(&CHECKING)
}

/// Installs what is missing of what the lab needs.
pub(crate) fn ensure_for_lab() -> Result<()> {
    ensure_these(LAB)
}

fn ensure_these(wanted: &[&'static str]) -> Result<()> {
    if !process::exists("dpkg-query") || !process::exists("apt-get") {
        bail!("this takes its software from Debian's packages, and this system has no apt: {}", wanted.join(" "));
    }
    let machine = Machine::default();
    let missing = machine.missing(wanted)?;
    if missing.is_empty() {
        return Ok(());
    }
    eprintln!("xtask: installing Debian's {}", missing.join(" "));
    let install = || -> Result<()> {
        let steps = machine.plan(&missing, || Ok(Apt::ready()?.options()))?;
        steps.iter().try_for_each(|step| as_root(&step.words()))
    };
    if let Err(error) = install() {
        // A mirror forgets the versions that old lists name.
        eprintln!("xtask: {error:#}; once more with new package lists");
        update()?;
        install()?;
    }
    let missing = machine.missing(&missing)?;
    if missing.is_empty() { Ok(()) } else { bail!("apt-get did not install {}", missing.join(" ")) }
}

/// Runs apt-get as root, through `sudo` if this is somebody else.
fn as_root(words: &[OsString]) -> Result<()> {
    let surroundings = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-o", "DPkg::Lock::Timeout=300"];
    let quietly = ["-o", "Dpkg::Use-Pty=0", "-o", "Dpkg::Options::=--force-confold"];
    let mut line: Vec<&OsStr> = surroundings.iter().chain(&quietly).map(OsStr::new).collect();
    line.extend(words.iter().map(OsString::as_os_str));
    if process::user_id()? != 0 {
        if !process::exists("sudo") {
            let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
            bail!("packages are missing and there is no sudo: as root, run apt-get {}", words.join(" "));
        }
        line.insert(0, OsStr::new("sudo"));
    }
    let (program, rest) = line.split_first().context("a command has a program")?;
    let mut command = Command::new(program);
    // What apt says belongs to the diagnostics of whoever called, not to a command's own output.
    command.args(rest).stdout(std::io::stderr());
    process::run(&mut command)
}

/// Fetches the lists of the machine's own sources.
fn update() -> Result<()> {
    as_root(&["update".into()])
}

/// One installation: options that come before the packages, and the packages.
#[derive(Debug, PartialEq, Eq)]
struct Step {
    options: Vec<OsString>,
    packages: Vec<String>,
}

impl Step {
    fn words(&self) -> Vec<OsString> {
        let words = CAREFULLY.iter().map(OsString::from).chain(self.options.iter().cloned());
        words.chain(self.packages.iter().map(OsString::from)).collect()
    }
}

/// The machine whose packages are looked at.
#[derive(Default)]
struct Machine {
    /// Options for every apt command.
    apt: Vec<OsString>,
    /// Dpkg's folder, if not the system's.
    dpkg: Option<OsString>,
}

impl Machine {
    fn missing(&self, wanted: &[&'static str]) -> Result<Vec<&'static str>> {
        let mut query = Command::new("dpkg-query");
        if let Some(dir) = &self.dpkg {
            query.arg("--admindir").arg(dir);
        }
        // It fails for names that it never heard of, which are missing like the others.
        let known = process::output(query.args(["-W", "-f", "${Package} ${db:Status-Status}\n"]).args(wanted))?;
        let known = String::from_utf8_lossy(&known.stdout).into_owned();
        let installed: HashSet<&str> = known.lines().filter_map(|line| line.strip_suffix(" installed")).collect();
        Ok(wanted.iter().copied().filter(|package| !installed.contains(package)).collect())
    }

    /// What to run so that the packages get installed, tried by simulation.
    fn plan(&self, missing: &[&str], private: impl FnOnce() -> Result<Vec<OsString>>) -> Result<Vec<Step>> {
        let everything: Vec<String> = missing.iter().map(|package| (*package).to_owned()).collect();
        if self.simulate(&[], &everything).is_ok() {
            return Ok(vec![Step { options: Vec::new(), packages: everything }]);
        }
        // Lists that are missing or old are the usual reason, parts from elsewhere the other.
        let mut steps = Vec::new();
        if self.apt.is_empty() && everything.iter().any(|name| !self.knows(name)) {
            update()?;
            if self.simulate(&[], &everything).is_ok() {
                return Ok(vec![Step { options: Vec::new(), packages: everything }]);
            }
        }
        let private = private()?;
        let newer = [private.as_slice(), &["-t".into(), BACKPORTS.into()]].concat();
        let (qemu, others): (Vec<String>, Vec<String>) =
            everything.into_iter().partition(|name| name.starts_with("qemu"));
        for (group, last_resort) in [(others, &private), (qemu, &newer)] {
            if group.is_empty() {
                continue;
            }
            if self.simulate(&[], &group).is_ok() {
                steps.push(Step { options: Vec::new(), packages: group });
                continue;
            }
            self.simulate(last_resort, &group).with_context(|| {
                format!("apt can't install {} without removing or downgrading something", group.join(" "))
            })?;
            steps.push(Step { options: last_resort.clone(), packages: group });
        }
        Ok(steps)
    }

    /// Whether apt has heard of a package.
    fn knows(&self, package: &str) -> bool {
        let mut command = Command::new("apt-cache");
        command.args(&self.apt).args(["show", "--no-all-versions", package]);
        process::output(&mut command).is_ok_and(|output| output.status.success())
    }

    /// Lets apt say whether it could install the packages without removing or downgrading another.
    fn simulate(&self, options: &[OsString], packages: &[String]) -> Result<()> {
        let mut command = Command::new("apt-get");
        command.env("LC_ALL", "C.UTF-8").arg("-s").args(CAREFULLY).args(&self.apt).args(options).args(packages);
        let said = process::stdout(&mut command)?;
        if said.contains("DOWNGRADED") {
            bail!("apt would downgrade packages:\n{said}");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::places::Scratch;

    /// A package as repositories and dpkg list it.
    fn stanza(name: &str, version: &str, more: &str) -> String {
        format!(
            "Package: {name}\nVersion: {version}\nArchitecture: amd64\nMaintainer: Nobody <nobody@example.org>\n\
             Description: {name}\n{more}\n"
        )
    }

    fn repository(dir: &Path, suite: &str, more: &str, packages: &[String]) -> String {
        fs::create_dir_all(dir).unwrap();
        let offered = |stanza: &String| {
            let file = "Filename: ./none.deb\nSize: 1\nSHA256: 0000000000000000000000000000000000000000000000000000000000000000\n\n";
            stanza.trim_end().to_owned() + "\n" + file
        };
        let index: String = packages.iter().map(offered).collect();
        fs::write(dir.join("Packages"), &index).unwrap();
        let sum = process::stdout(Command::new("sha256sum").arg(dir.join("Packages"))).unwrap();
        let sum = sum.split_whitespace().next().unwrap();
        let release = format!("Suite: {suite}\nCodename: {suite}\n{more}SHA256:\n {sum} {} Packages\n", index.len());
        fs::write(dir.join("Release"), release).unwrap();
        format!("Types: deb\nURIs: file:{}\nSuites: ./\nTrusted: yes\n\n", dir.display())
    }

    /// A machine with `installed` packages whose sources are a Debian 12 with QEMU 7.2; the options of a configuration
    /// that has QEMU 10 in its backports as well.
    fn machine(scratch: &Path, installed: &[String]) -> (Machine, Vec<OsString>) {
        let qemu = |version: &str| {
            let same = format!("Depends: qemu-system-common (= {version})\n");
            let breaks = format!("Breaks: qemu-utils (<< {version}), qemu-utils (>> {version})\n");
            [
                stanza("qemu-system-x86", version, &same),
                stanza("qemu-system-common", version, &breaks),
                stanza("qemu-utils", version, ""),
            ]
        };
        let mut stable = qemu("1:7.2").to_vec();
        stable.push(stanza("xorriso", "1.5", ""));
        let main = repository(&scratch.join("main"), "bookworm", "", &stable);
        let shy = "NotAutomatic: yes\nButAutomaticUpgrades: yes\n";
        let backports = repository(&scratch.join("backports"), BACKPORTS, shy, &qemu("1:10.0"));

        let status: String = installed
            .iter()
            .map(|one| one.replace("\nVersion", "\nStatus: install ok installed\nVersion") + "\n")
            .collect();
        fs::create_dir_all(scratch.join("dpkg")).unwrap();
        fs::write(scratch.join("dpkg/status"), status).unwrap();
        let options = |name: &str, sources: &str| {
            let dir = scratch.join(name);
            for sub in ["sources", "lists/partial", "archives/partial"] {
                fs::create_dir_all(dir.join(sub)).unwrap();
            }
            fs::write(dir.join("sources/all.sources"), sources).unwrap();
            let settings = [
                ("Dir::State::status", scratch.join("dpkg/status")),
                ("Dir::Etc::SourceList", "/dev/null".into()),
                ("Dir::Etc::SourceParts", dir.join("sources")),
                ("Dir::Etc::Preferences", "/dev/null".into()),
                ("Dir::Etc::PreferencesParts", "/dev/null".into()),
                ("Dir::State::Lists", dir.join("lists")),
                ("Dir::Cache", dir.clone()),
                ("APT::Sandbox::User", "root".into()),
            ];
            let options: Vec<OsString> = settings
                .iter()
                .flat_map(|(name, value)| ["-o".into(), format!("{name}={}", value.display()).into()])
                .collect();
            process::stdout(Command::new("apt-get").args(&options).args(["-qq", "update"])).unwrap();
            options
        };
        let machine = Machine { apt: options("system", &main), dpkg: Some(scratch.join("dpkg").into()) };
        (machine, options("private", &(main + &backports)))
    }

    #[test]
    fn a_plain_machine_installs_from_its_own_sources() {
        let scratch = Scratch::new("apt").unwrap();
        let (machine, _) = machine(scratch.path(), &[]);
        let steps =
            machine.plan(&["qemu-system-x86", "xorriso"], || panic!("the private sources are not needed")).unwrap();
        assert_eq!(steps, [Step { options: vec![], packages: vec!["qemu-system-x86".into(), "xorriso".into()] }]);
    }

    #[test]
    fn an_emulator_joins_its_tools_from_the_backports() {
        let scratch = Scratch::new("apt").unwrap();
        let (machine, private) = machine(scratch.path(), &[stanza("qemu-utils", "1:10.0", "")]);
        let steps = machine.plan(&["qemu-system-x86", "xorriso"], || Ok(private.clone())).unwrap();
        let newer = [private.as_slice(), &["-t".into(), BACKPORTS.into()]].concat();
        let expected = [
            Step { options: vec![], packages: vec!["xorriso".into()] },
            Step { options: newer, packages: vec!["qemu-system-x86".into()] },
        ];
        assert_eq!(steps, expected);
    }

    #[test]
    fn nothing_is_downgraded() {
        let scratch = Scratch::new("apt").unwrap();
        let (machine, private) = machine(scratch.path(), &[stanza("qemu-utils", "1:11.0", "")]);
        let error = machine.plan(&["qemu-system-x86"], || Ok(private.clone())).unwrap_err();
        assert!(format!("{error:#}").contains("without removing or downgrading"), "{error:#}");
    }

    #[test]
    fn what_is_not_fully_installed_is_missing() {
        let scratch = Scratch::new("apt").unwrap();
        let (machine, _) = machine(scratch.path(), &[stanza("xorriso", "1.5", "")]);
        assert_eq!(machine.missing(&["xorriso", "mtools"]).unwrap(), ["mtools"]);
    }
}
