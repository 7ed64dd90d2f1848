//! What can be said of the package without installing it; then its trial on a fresh Debian.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::root;
use crate::places::Scratch;
use crate::{packages, process};

/// How far the vector icon, drawn by another program, may be from our own pixels: a mean over all, where 1 is black to
/// white.
const FARTHEST: f64 = 0.01;

/// Checks it all; what fails is an error.
pub(super) fn check(deb: &Path) -> Result<()> {
    packages::ensure_to_check_packages()?;
    let out = out(deb)?;
    lint(deb)?;
    let files = Scratch::new("package")?;
    process::run(Command::new("dpkg-deb").arg("--extract").arg(deb).arg(files.path()))?;
    nameless(files.path())?;
    desktop(files.path())?;
    manual(files.path())?;
    completions(files.path())?;
    icons(files.path())?;

    let base = root::base()?;
    let mut line: Vec<OsString> = Vec::new();
    if process::user_id()? != 0 {
        eprintln!("xtask: the trial on a fresh Debian needs root, to change its root folder and to install");
        line.push("sudo".into());
    }
    let own = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private"];
    line.extend(own.iter().map(OsString::from));
    // The first process of a name space has to bury those that nobody waits for; a shell does.
    line.extend(["sh", "-c", "\"$@\"; exit $?", "sh"].iter().map(OsString::from));
    line.push(env::current_exe().context("a program has a file")?.into());
    line.push("try-package".into());
    // Removed out here, where nothing is mounted on it: a folder that is removed takes with it what is mounted below.
    let empty = Scratch::new("root")?;
    line.extend([deb, &base, empty.path(), &out].map(OsString::from));
    let (program, rest) = line.split_first().context("a command has a program")?;
    process::run(Command::new(program).args(rest))?;
    println!("the package passed; pictures and texts of its trial are in {}", out.display());
    Ok(())
}

/// A folder for what the trial shows, empty.
fn out(deb: &Path) -> Result<PathBuf> {
    let dir = deb.parent().context("a package is in a folder")?.join("trial");
    if dir.exists() {
        fs::remove_dir_all(&dir).with_context(|| format!("can't empty {}", dir.display()))?;
    }
    fs::create_dir_all(&dir).with_context(|| format!("can't create {}", dir.display()))?;
    Ok(dir)
}

/// Debian's own opinion.
fn lint(deb: &Path) -> Result<()> {
    let mut command = Command::new("lintian");
    command.args(["--fail-on", "error,warning", "--tag-display-limit", "0"]);
    if process::user_id()? == 0 {
        command.arg("--allow-root");
    }
    process::run(command.arg(deb)).context("lintian has found mistakes in the package")
}

/// The program doesn't say where it was built.
fn nameless(files: &Path) -> Result<()> {
    let program = fs::read(files.join("usr/bin/tandem"))?;
    for (place, _) in super::places_of_the_build()? {
        if program.windows(place.len()).any(|part| part == place.as_bytes()) {
            bail!("the program names {place}, where it was built");
        }
    }
    Ok(())
}

/// The desktop entry, and what software centres read.
fn desktop(files: &Path) -> Result<()> {
    let entry = files.join("usr/share/applications/tandem.desktop");
    process::run(Command::new("desktop-file-validate").arg(entry))?;
    process::run(Command::new("appstreamcli").args(["validate-tree", "--no-net"]).arg(files))
}

/// The manual page, for which the formatter must have no complaint.
fn manual(files: &Path) -> Result<()> {
    let mut command = Command::new("man");
    command.args(["--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z"]).env("LC_ALL", "C.UTF-8").env("MANWIDTH", "100");
    let said = process::output(command.arg(files.join("usr/share/man/man1/tandem.1.gz")))?;
    let complaint = String::from_utf8_lossy(&said.stderr).into_owned();
    if !said.status.success() || !complaint.trim().is_empty() {
        bail!("the manual page has mistakes: {}", complaint.trim());
    }
    Ok(())
}

/// Completions are programs of their shells.
fn completions(files: &Path) -> Result<()> {
    for (shell, file) in [
        ("bash", "usr/share/bash-completion/completions/tandem"),
        ("zsh", "usr/share/zsh/vendor-completions/_tandem"),
        ("fish", "usr/share/fish/vendor_completions.d/tandem.fish"),
    ] {
        let file = files.join(file);
        if process::exists(shell) {
            process::run(Command::new(shell).arg("-n").arg(&file))?;
        } else if !file.exists() {
            bail!("the package has no completions for {shell}");
        } else {
            println!("SKIPPED the syntax of the completions for {shell}, which is not installed here");
        }
    }
    Ok(())
}

/// The vector icon shows what the others do.
fn icons(files: &Path) -> Result<()> {
    let scratch = Scratch::new("icon")?;
    let drawn = scratch.path().join("drawn.png");
    let folder = files.join("usr/share/icons/hicolor");
    let mut draw = Command::new("rsvg-convert");
    draw.args(["--width", "256", "--height", "256", "--output"]).arg(&drawn);
    process::run(draw.arg(folder.join("scalable/apps/tandem.svg")))?;
    // The difference goes to the other output, and the status says that there is one.
    let mut compare = Command::new("compare");
    compare.args(["-metric", "MAE"]).arg(&drawn).arg(folder.join("256x256/apps/tandem.png")).arg("null:");
    let said = process::output(&mut compare)?;
    let said = String::from_utf8_lossy(&said.stderr).into_owned();
    let share = said.split('(').nth(1).and_then(|rest| rest.trim_end().strip_suffix(')'));
    let share: f64 = share.and_then(|text| text.parse().ok()).with_context(|| format!("ImageMagick says {said:?}"))?;
    if share > FARTHEST {
        bail!("the vector icon is not the painted one: they differ by {share}");
    }
    Ok(())
}
