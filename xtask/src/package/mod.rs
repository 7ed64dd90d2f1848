//! `cargo xtask package`: the program as a Debian package, and a trial of it on a fresh Debian 12.
//!
//! The crate `installers` says what is in the package; cargo-deb puts it together.

mod check;
mod desk;
mod root;
mod trial;

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use serde_json::Value;

use self::root::Root;
use crate::args::Args;
use crate::suite::build;
use crate::{packages, places, process};

/// The release of cargo-deb that is used; its dependencies are those that it was published with.
const CARGO_DEB: &str = "3.8.0";
/// What the package is called.
const NAME: &str = "tandem";
/// The folder beside the program that the crate `installers` fills; its `Cargo.toml` names it too.
const INSTALLED: &str = "installed";

/// `cargo xtask package`.
pub(crate) fn command(mut args: Args) -> Result<ExitCode> {
    let output: Option<PathBuf> = args.option("--output")?;
    let checked = args.flag("--check");
    args.finish()?;
    packages::ensure_to_package()?;
    let deb = make(output.as_deref())?;
    println!("{}", deb.display());
    if checked {
        check::check(&deb)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// `cargo xtask try-package`: the part of the trial that needs root, in name spaces of its own.
pub(crate) fn trial(args: Args) -> Result<ExitCode> {
    let words = args.rest()?;
    let [deb, base, root, out] = words.as_slice() else {
        anyhow::bail!("this is a part of `cargo xtask package --check`");
    };
    trial::run(Path::new(deb), &Root::unpack(Path::new(base), Path::new(root))?, Path::new(out))?;
    Ok(ExitCode::SUCCESS)
}

/// Builds everything and puts the package together; where it is.
fn make(output: Option<&Path>) -> Result<PathBuf> {
    let cargo_deb = cargo_deb()?;
    // Nothing in the program is to say where it was built.
    let places = places_of_the_build()?;
    let flags: Vec<String> = places.iter().map(|(from, to)| format!("--remap-path-prefix={from}={to}")).collect();
    let flags = format!("build.rustflags={}", serde_json::to_string(&flags)?);
    let built = build::build(&["--release", "--locked", "--bins", "-p", NAME, "-p", "installers", "--config", &flags])?;
    let program = built.binary(NAME)?;
    let folder = program.parent().context("a program is in a folder")?;
    process::run(Command::new(built.binary("installers")?).arg(folder.join(INSTALLED)))?;

    let output = match output {
        Some(folder) => std::path::absolute(folder)?,
        None => folder.parent().context("cargo builds below a folder")?.join("debian"),
    };
    fs::create_dir_all(&output).with_context(|| format!("can't create {}", output.display()))?;
    let architecture = process::stdout(Command::new("dpkg").arg("--print-architecture"))?;
    let deb = output.join(format!("{NAME}_{}_{}.deb", env!("CARGO_PKG_VERSION"), architecture.trim()));
    let mut command = Command::new(cargo_deb);
    command.args(["-p", "installers", "--no-build", "--locked", "--quiet", "-o"]).arg(&deb);
    command.current_dir(places::workspace()).stdout(std::io::stderr());
    // Whoever calls cargo with another folder for what it builds means this one's files too.
    if let Some(target) = folder.parent() {
        command.env("CARGO_TARGET_DIR", target);
    }
    if let Some(date) = date_of_the_sources() {
        command.env("SOURCE_DATE_EPOCH", date);
    }
    process::run(&mut command)?;
    Ok(deb)
}

/// The folders that a compiler here would name in a program, each with a name that means the same anywhere.
fn places_of_the_build() -> Result<Vec<(String, &'static str)>> {
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let cargo = std::env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| Some(home?.join(".cargo")));
    let mut metadata = build::cargo();
    let metadata = process::stdout(metadata.args(["metadata", "--no-deps", "--format-version", "1", "--locked"]))?;
    let metadata: Value = serde_json::from_str(&metadata).context("cargo metadata wrote something else")?;
    let built = metadata["target_directory"].as_str().map(PathBuf::from);
    let sources = process::stdout(Command::new("rustc").args(["--print", "sysroot"]))?;
    let places = [
        (Some(places::workspace()), "/tandem"),
        (cargo, "/cargo"),
        (Some(PathBuf::from(sources.trim()).join("lib/rustlib/src/rust")), "/rust"),
        // It may be in the workspace: of two names, the compiler takes the last.
        (built, "/built"),
    ];
    Ok(places.into_iter().filter_map(|(from, to)| Some((from?.to_str()?.to_owned(), to))).collect())
}

/// The second at which the last change was recorded, which is the date of all files in the package. Nothing outside of git.
fn date_of_the_sources() -> Option<String> {
    let mut command = Command::new("git");
    command.args(["log", "-1", "--format=%ct"]).current_dir(places::workspace());
    let date = process::stdout(&mut command).ok()?.trim().to_owned();
    (!date.is_empty()).then_some(date)
}

/// Where cargo-deb is; built once, outside of the workspace.
fn cargo_deb() -> Result<PathBuf> {
    let root = places::cache()?.join(format!("cargo-deb-{CARGO_DEB}"));
    places::make_once(&root, |scratch| {
        eprintln!("xtask: installing cargo-deb {CARGO_DEB} from crates.io into {}", root.display());
        let version = format!("={CARGO_DEB}");
        let words: [&OsStr; 8] = [
            "install".as_ref(),
            "--quiet".as_ref(),
            "--locked".as_ref(),
            "cargo-deb".as_ref(),
            "--version".as_ref(),
            version.as_ref(),
            "--root".as_ref(),
            scratch.as_os_str(),
        ];
        // Its build is thrown away, wherever the workspace's goes; and the compiler has no options from here.
        let own: [OsString; 2] = ["CARGO_TARGET_DIR".into(), "RUSTFLAGS".into()];
        let mut command = build::cargo();
        own.iter().for_each(|name| {
            command.env_remove(name);
        });
        process::run(command.args(words).stdout(std::io::stderr()))
    })?;
    Ok(root.join("bin/cargo-deb"))
}
