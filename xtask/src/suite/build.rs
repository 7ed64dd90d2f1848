//! Building every program and test once, and listing the tests.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::{places, process};

/// What a build of the workspace gave.
pub(crate) struct Built {
    /// Every test program.
    pub(crate) programs: Vec<Program>,
    /// The programs themselves, by name.
    binaries: Vec<(String, PathBuf)>,
}

/// A program of tests, as libtest makes it.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    /// The package it belongs to.
    pub(crate) package: String,
    /// Its own name: the package's library or program, or a file of its `tests`.
    pub(crate) target: String,
    /// Whether it is a file of `tests`, not a crate's own.
    pub(crate) integration: bool,
    /// Where it is.
    pub(crate) file: PathBuf,
    /// The package's folder, which the tests run in.
    pub(crate) dir: PathBuf,
}

impl Built {
    /// Where one of the workspace's programs is.
    pub(crate) fn binary(&self, name: &str) -> Result<&Path> {
        let found = self.binaries.iter().find(|(known, _)| known == name);
        found.map(|(_, file)| file.as_path()).with_context(|| format!("the workspace builds no program {name}"))
    }
}

/// Cargo, as the one who runs this called it.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(places::workspace());
    command
}

/// Builds the whole workspace in one go.
pub(crate) fn everything() -> Result<Built> {
    build(&["--workspace", "--bins", "--tests"])
}

/// Builds with cargo, and reads what it made.
pub(crate) fn build(what: &[&str]) -> Result<Built> {
    let mut command = cargo();
    command.args(["build", "--message-format=json-render-diagnostics"]).args(what);
    let output = command.stderr(Stdio::inherit()).output().context("can't run cargo")?;
    if !output.status.success() {
        bail!("cargo build failed");
    }
    let mut built = Built { programs: Vec::new(), binaries: Vec::new() };
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let message: Value = serde_json::from_str(line).with_context(|| format!("cargo wrote {line:?}"))?;
        read(&message, &mut built);
    }
    Ok(built)
}

/// Takes what a message of cargo says about a finished program (cargo's book, "JSON messages").
fn read(message: &Value, built: &mut Built) {
    if message["reason"] != "compiler-artifact" {
        return;
    }
    let Some(file) = message["executable"].as_str().map(PathBuf::from) else { return };
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let target = text(&message["target"]["name"]);
    if message["profile"]["test"] != true {
        built.binaries.push((target, file));
        return;
    }
    let dir = PathBuf::from(text(&message["manifest_path"])).parent().unwrap_or(Path::new("/")).to_owned();
    built.programs.push(Program {
        package: package(&text(&message["package_id"]), &target),
        target,
        integration: message["target"]["kind"][0] == "test",
        file,
        dir,
    });
}

/// A package's name from its id: `path+file:///home/me/tandem/machine#0.1.0`, or `…/tests#whole-machine@0.1.0`.
fn package(id: &str, target: &str) -> String {
    let (path, fragment) = id.rsplit_once('#').unwrap_or((id, ""));
    let named = fragment.split_once('@').map(|(name, _)| name);
    named.or_else(|| path.rsplit('/').next()).unwrap_or(target).to_owned()
}

impl Program {
    /// The names of its tests.
    pub(crate) fn tests(&self) -> Result<Vec<String>> {
        let mut command = Command::new(&self.file);
        let list = process::stdout(command.args(["--list", "--format", "terse"]).current_dir(&self.dir))?;
        Ok(list.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_programs_and_binaries_are_told_apart() {
        let mut built = Built { programs: Vec::new(), binaries: Vec::new() };
        let lines = [
            r#"{"reason":"compiler-artifact","package_id":"path+file:///w/app#tandem@0.1.0","manifest_path":"/w/app/Cargo.toml",
                "target":{"kind":["bin"],"name":"tandem"},"profile":{"test":false},"executable":"/t/debug/tandem"}"#,
            r#"{"reason":"compiler-artifact","package_id":"path+file:///w/machine#0.1.0","manifest_path":"/w/machine/Cargo.toml",
                "target":{"kind":["lib"],"name":"machine"},"profile":{"test":true},"executable":"/t/debug/deps/machine-1"}"#,
            r#"{"reason":"compiler-artifact","package_id":"path+file:///w/machine#0.1.0","manifest_path":"/w/machine/Cargo.toml",
                "target":{"kind":["lib"],"name":"machine"},"profile":{"test":false},"executable":null}"#,
            r#"{"reason":"compiler-artifact","package_id":"path+file:///w/tests#whole-machine@0.1.0","manifest_path":"/w/tests/Cargo.toml",
                "target":{"kind":["test"],"name":"boot"},"profile":{"test":true},"executable":"/t/debug/deps/boot-1"}"#,
            r#"{"reason":"build-finished","success":true}"#,
        ];
        for line in lines {
            read(&serde_json::from_str(line).unwrap(), &mut built);
        }
        assert_eq!(built.binary("tandem").unwrap(), Path::new("/t/debug/tandem"));
        let seen: Vec<_> =
            built.programs.iter().map(|one| (one.package.as_str(), one.target.as_str(), one.integration)).collect();
        assert_eq!(seen, [("machine", "machine", false), ("whole-machine", "boot", true)]);
        assert_eq!(built.programs[1].dir, Path::new("/w/tests"));
    }
}
