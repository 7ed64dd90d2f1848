//! The package's life on a fresh Debian: it is installed, an ordinary account uses it, it is replaced under a running machine,
//! removed, purged, and installed again.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::NAME;
use super::desk::Desk;
use super::root::Root;
use crate::{process, start};

/// An account that may use KVM, and one that may not.
const ADA: &str = "ada";
const BEN: &str = "ben";
/// Where the first one's machines are.
const LIBRARY: &str = "/home/ada/.local/share/tandem";
const ENTRY: &str = "/usr/share/applications/tandem.desktop";
const MACHINE: &str = "Welcome";
/// Fewer colours than text on a background has, and more than a window has that nothing was painted in.
const COLOURS: u32 = 24;
/// And than a window has that shows no picture.
const LANDSCAPE: u32 = 1000;
/// The size of the icon that our windows bring.
const WINDOW_ICON: &str = "= 64, 64";
/// Libraries whose names are in the program, but which it opens only if they are there.
const OPTIONAL: [&str; 0] = [];

/// Tries it all; what fails is an error.
pub(super) fn run(deb: &Path, root: &Root, out: &Path) -> Result<()> {
    let trial = Trial { root, out };
    fs::copy(deb, trial.root.path(Trial::DEB)).with_context(|| format!("can't copy {}", deb.display()))?;
    trial.root.add_user(ADA, true)?;
    trial.root.add_user(BEN, false)?;
    trial.root.apt(&["update"])?;
    trial.step("apt installs it", Trial::install)?;
    trial.step("it brings no daemon, no script and no rights", Trial::is_harmless)?;
    trial.step("the libraries that it opens by name are there", Trial::libraries)?;
    trial.step("`tandem doctor` says what this computer can do", Trial::doctor)?;
    trial.step("the desktop entry's command opens the manager", Trial::manager)?;
    if Path::new("/dev/kvm").exists() {
        trial.step("Welcome runs without a window, also while the package is replaced", Trial::machine)?;
    } else {
        println!("SKIPPED Welcome: this computer has no /dev/kvm");
        trial.root.run(Some(ADA), &[NAME, "welcome"])?;
    }
    trial.step("removing and purging it leaves the machines, and nothing else", Trial::removal)
}

struct Trial<'a> {
    root: &'a Root,
    out: &'a Path,
}

impl Trial<'_> {
    /// The package, in the system.
    const DEB: &'static str = "/tmp/tandem.deb";

    fn step(&self, what: &str, step: fn(&Self) -> Result<()>) -> Result<()> {
        step(self).with_context(|| format!("not so: {what}"))?;
        println!("   pass {what}");
        Ok(())
    }

    /// Keeps a text for people to look at.
    fn keep(&self, name: &str, text: &str) -> Result<()> {
        fs::write(self.out.join(name), text).with_context(|| format!("can't write {name}"))
    }

    /// Runs the program as one who may use KVM.
    fn tandem(&self, words: &[&str]) -> Result<String> {
        self.root.run(Some(ADA), &[&[NAME], words].concat())
    }

    /// What is in the library, with states.
    fn machines(&self) -> Result<Vec<(String, String)>> {
        let list: Value = serde_json::from_str(&self.tandem(&["list", "--json"])?).context("the list can't be read")?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let machines = list.as_array().context("the list is none")?.iter();
        Ok(machines.map(|machine| (text(&machine["name"]), text(&machine["state"]))).collect())
    }

    fn install(&self) -> Result<()> {
        let said = self.root.apt(&["install", Self::DEB])?;
        self.keep("install.txt", &said)?;
        let version = self.tandem(&["--version"])?;
        ensure!(version.trim() == format!("{NAME} {}", env!("CARGO_PKG_VERSION")), "it says that it is {version:?}");
        Ok(())
    }

    /// The files that the package has installed.
    fn files(&self) -> Result<Vec<String>> {
        let list = self.root.run(None, &["dpkg", "--listfiles", NAME])?;
        Ok(list.lines().filter(|file| self.root.path(file).is_file()).map(str::to_owned).collect())
    }

    fn is_harmless(&self) -> Result<()> {
        use std::os::unix::fs::PermissionsExt;
        let scripts = self.root.run(None, &["dpkg-query", "--control-list", NAME])?;
        ensure!(scripts.trim() == "md5sums", "besides sums of its files, the package has {scripts:?}");
        for file in self.files()? {
            let mode = fs::metadata(self.root.path(&file))?.permissions().mode();
            ensure!(mode & 0o7022 == 0, "{file} has mode {mode:o}");
            ensure!(file.starts_with("/usr/bin/tandem") || file.starts_with("/usr/share/"), "what is {file}?");
        }
        Ok(())
    }

    fn libraries(&self) -> Result<()> {
        let program = fs::read(self.root.path("/usr/bin/tandem"))?;
        let linked = self.root.run(None, &["ldd", "/usr/bin/tandem"])?;
        self.keep("ldd.txt", &linked)?;
        ensure!(!linked.contains("not found"), "{linked}");
        let names = sonames(&program);
        ensure!(names.iter().any(|name| name.starts_with("libEGL")), "no window without EGL: {names:?}");
        let installed = self.root.run(None, &["ldconfig", "-p"])?;
        let installed: BTreeSet<&str> = installed.lines().filter_map(|line| line.split_whitespace().next()).collect();
        let missing: Vec<&String> = names
            .iter()
            .filter(|name| !OPTIONAL.contains(&name.as_str()))
            .filter(|name| !installed.contains(name.as_str()))
            .collect();
        ensure!(missing.is_empty(), "the package doesn't depend on what brings {missing:?}");
        Ok(())
    }

    fn doctor(&self) -> Result<()> {
        // Its status says whether machines can run, which is the computer's matter and not the package's.
        let said = |user| -> Result<String> {
            let output = process::output(self.root.command(Some(user)).args([NAME, "doctor"]))?;
            ensure!(output.stderr.is_empty(), "doctor failed: {}", String::from_utf8_lossy(&output.stderr));
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        };
        let (ada, ben) = (said(ADA)?, said(BEN)?);
        self.keep("doctor.txt", &format!("As one in the group kvm:\n{ada}\nAs one who isn't:\n{ben}"))?;
        let firmware = "The PC's firmware is installed: /usr/share/seabios/";
        ensure!(ada.contains(firmware) && ben.contains(firmware), "the firmware is not found:\n{ada}");
        if Path::new("/dev/kvm").exists() {
            ensure!(ada.contains("This account may use KVM."), "one in the group kvm hears:\n{ada}");
            let advice = "This account may not use /dev/kvm.";
            ensure!(ben.contains(advice) && ben.contains("usermod -aG kvm"), "one who isn't hears:\n{ben}");
        } else {
            ensure!(ada.contains("There is no /dev/kvm."), "{ada}");
        }
        Ok(())
    }

    fn manager(&self) -> Result<()> {
        let entry = fs::read_to_string(self.root.path(ENTRY))?;
        let field = |name: &str| {
            let line = entry.lines().find_map(|line| line.strip_prefix(&format!("{name}=")));
            line.with_context(|| format!("the desktop entry has no {name}"))
        };
        let desk = Desk::start()?;
        // Words that begin so stand for files, of which there are none.
        let words: Vec<&str> = field("Exec")?.split_whitespace().filter(|word| !word.starts_with('%')).collect();
        let mut command = self.root.command(Some(ADA));
        command.args(words).env("DISPLAY", desk.name()).stdin(Stdio::null());
        let mut program = command.spawn().context("can't run the desktop entry's command")?;
        let shown = self.look_at(&desk, &mut program, field("StartupWMClass")?);
        if shown.is_err() {
            process::terminate(program.id());
            program.wait().ok();
        }
        shown
    }

    fn look_at(&self, desk: &Desk, program: &mut Child, class: &str) -> Result<()> {
        let window = desk.window("Tandem", program)?;
        desk.picture(&window, COLOURS, &self.out.join("manager.png"))?;
        let known = desk.property(&window, "WM_CLASS");
        ensure!(known.contains(&format!("\"{class}\"")), "desktops can't know the window by its class: {known}");
        // The first numbers of it are its width and height.
        let icon = desk.property(&window, "_NET_WM_ICON");
        ensure!(icon.contains(WINDOW_ICON), "the window has another icon than ours: {icon}");
        desk.close(&window, program)
    }

    fn machine(&self) -> Result<()> {
        self.tandem(&["welcome"])?;
        self.tandem(&["start", "--headless", MACHINE])?;
        let mut serial = self.root.command(Some(ADA));
        serial.args([NAME, "serial", MACHINE]);
        start::wait_for_picture(serial)?;
        self.tandem(&["screenshot", MACHINE, "/home/ada/welcome.png"])?;
        fs::copy(self.root.path("/home/ada/welcome.png"), self.out.join("welcome.png"))?;
        fs::remove_file(self.root.path("/home/ada/welcome.png"))?;
        self.root.apt(&["install", "--reinstall", Self::DEB])?;
        let running = (MACHINE.to_owned(), "running".to_owned());
        ensure!(self.machines()?.contains(&running), "replacing the package has stopped the machine");
        self.machines_window()?;
        self.tandem(&["stop", MACHINE, "--wait", "60"]).map(drop)
    }

    /// The window of the new program, on the machine that the old one runs.
    fn machines_window(&self) -> Result<()> {
        let desk = Desk::start()?;
        let mut command = self.root.command(Some(ADA));
        command.args([NAME, "window", MACHINE]).env("DISPLAY", desk.name()).stdin(Stdio::null());
        // That it is ended is no news.
        command.stderr(Stdio::null());
        let mut program = command.spawn().context("can't open the machine's window")?;
        let window = desk.window(MACHINE, &mut program);
        let shown = window.and_then(|window| desk.picture(&window, LANDSCAPE, &self.out.join("window.png")));
        process::terminate(program.id());
        program.wait().context("can't wait for the window")?;
        shown
    }

    fn removal(&self) -> Result<()> {
        let files = self.files()?;
        let before = self.root.contents(LIBRARY)?;
        for how in ["remove", "purge"] {
            self.root.apt(&[how, NAME])?;
            ensure!(self.root.contents(LIBRARY)? == before, "{how} has changed the library");
            let left: Vec<&String> = files.iter().filter(|file| self.root.path(file).exists()).collect();
            ensure!(left.is_empty(), "{how} leaves {left:?}");
            self.root.apt(&["install", Self::DEB])?;
            let found = self.machines()?;
            let off = (MACHINE.to_owned(), "off".to_owned());
            ensure!(found == [off], "after {how} and installing again, the library holds {found:?}");
        }
        Ok(())
    }
}

/// The names of shared libraries that stand in a program, with the number that a package's file has: what is linked, and what
/// is opened by name.
fn sonames(program: &[u8]) -> BTreeSet<String> {
    let part_of_a_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-_.".contains(byte);
    let words = program.split(|byte| !part_of_a_name(byte)).filter_map(|word| std::str::from_utf8(word).ok());
    words.flat_map(names_in).collect()
}

/// The names in a word: in programs, texts stand behind each other without a space.
fn names_in(word: &str) -> Vec<String> {
    let mut names = Vec::new();
    for (at, _) in word.match_indices(".so.") {
        let Some(begin) = word[..at].rfind("lib") else { continue };
        let number: String = word[at + 4..].chars().take_while(|c| c.is_ascii_digit()).collect();
        if !number.is_empty() && !word[begin..at].contains(".so") {
            names.push(format!("{}.so.{number}", &word[begin..at]));
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_found_by_their_names_wherever_they_stand() {
        let program = b"\x7fELF\0libc.so.6\0\x01libX11-xcb.so.1libX11.so.6libEGL.solibEGL.so.1\0liberty\0x.so.\0";
        let names = sonames(program);
        assert_eq!(
            names.iter().map(String::as_str).collect::<Vec<_>>(),
            ["libEGL.so.1", "libX11-xcb.so.1", "libX11.so.6", "libc.so.6"]
        );
    }
}
