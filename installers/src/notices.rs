//! The notices of the libraries in the program, which most of their licences want to be handed on: every crate that the
//! program is built from with its licence, then the texts that lie in the crates, each once.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::PROGRAM;

/// How the files begin that hold such texts, in small letters.
const NAMES: [&str; 6] = ["license", "licence", "copying", "copyright", "notice", "unlicense"];
/// Folders of crates that hold texts too: of licences, and of fonts, which have licences of their own.
const FOLDERS: [&str; 3] = ["LICENSES", "licenses", "fonts"];

const HEAD: &str = "\
The program `tandem` contains the Rust standard library (MIT or Apache-2.0, by the Rust Project's contributors) and these
libraries. Each is used under the licence that stands behind its name; the texts follow, as they lie in the libraries.
";

/// A library in the program.
struct Library {
    /// Its name and version.
    title: String,
    /// Its licence, as an SPDX expression.
    licence: String,
    folder: PathBuf,
}

/// The notices, as a text to read.
pub(crate) fn of_the_program() -> Result<String> {
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut notices = HEAD.to_owned() + "\n";
    for library in libraries(&metadata()?)? {
        let _ = writeln!(notices, "{}: {}", library.title, library.licence);
        for text in texts_in(&library.folder)? {
            texts.entry(text).or_default().push(library.title.clone());
        }
    }
    // In the order of the libraries that come first.
    let mut texts: Vec<_> = texts.into_iter().map(|(text, titles)| (titles, text)).collect();
    texts.sort();
    for (titles, text) in texts {
        let _ = write!(notices, "\n{}\n{}:\n\n{text}\n", "-".repeat(100), titles.join(", "));
    }
    Ok(notices)
}

/// What cargo knows of the workspace, as it is built for this kind of computer.
fn metadata() -> Result<Value> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let output = command.args(["metadata", "--format-version", "1", "--locked", "--filter-platform", &target]).output();
    let output = output.context("can't run cargo")?;
    if !output.status.success() {
        bail!("cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    serde_json::from_slice(&output.stdout).context("cargo metadata wrote something else")
}

/// The libraries by others that the program is built from, in the order of their names.
fn libraries(metadata: &Value) -> Result<Vec<Library>> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let packages = list(&metadata["packages"]);
    let nodes = list(&metadata["resolve"]["nodes"]);
    let program = packages.iter().find(|package| package["name"] == PROGRAM).context("cargo knows no such program")?;
    let mut reached = BTreeSet::new();
    let mut next = vec![program["id"].clone()];
    while let Some(id) = next.pop() {
        if !reached.insert(id.as_str().unwrap_or_default().to_owned()) {
            continue;
        }
        let Some(node) = nodes.iter().find(|node| node["id"] == id) else { continue };
        for dependency in list(&node["deps"]) {
            // A kind is a text for what tests and builds need, and nothing for what the program needs.
            if list(&dependency["dep_kinds"]).iter().any(|kind| kind["kind"].is_null()) {
                next.push(dependency["pkg"].clone());
            }
        }
    }
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let theirs = packages.iter().filter(|package| {
        // Only our own have no source.
        !package["source"].is_null() && package["id"].as_str().is_some_and(|id| reached.contains(id))
    });
    let mut libraries: Vec<Library> = theirs
        .map(|package| Library {
            title: format!("{} {}", text(&package["name"]), text(&package["version"])),
            licence: text(&package["license"]),
            folder: PathBuf::from(text(&package["manifest_path"])).parent().unwrap_or(Path::new("/")).to_owned(),
        })
        .collect();
    libraries.sort_by(|one, other| one.title.cmp(&other.title));
    Ok(libraries)
}

/// The texts of licences and notices that lie in a crate, without differences in white space at their ends.
fn texts_in(folder: &Path) -> Result<BTreeSet<String>> {
    let mut texts = BTreeSet::new();
    let inner = FOLDERS.map(|name| folder.join(name));
    for (folder, all) in inner.iter().map(|folder| (folder.as_path(), true)).chain([(folder, false)]) {
        let Ok(entries) = fs::read_dir(folder) else { continue };
        for entry in entries {
            let path = entry.with_context(|| format!("can't read {}", folder.display()))?.path();
            if path.is_file() && is_notice(&path, all) {
                let bytes = fs::read(&path).with_context(|| format!("can't read {}", path.display()))?;
                let text = String::from_utf8_lossy(&bytes).replace('\r', "");
                let lines: Vec<&str> = text.trim_matches('\n').lines().map(str::trim_end).collect();
                texts.insert(lines.join("\n"));
            }
        }
    }
    Ok(texts)
}

/// Whether a file holds such a text: by its name, or by its kind in a folder where all texts are.
fn is_notice(path: &Path, all: bool) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    NAMES.iter().any(|begin| name.starts_with(begin)) && !name.ends_with(".rs") || all && name.ends_with(".txt")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_only_builds_and_tests_need_is_not_in_the_program() {
        let package = |name: &str, source: Value| {
            json!({ "name": name, "version": "1.0.0", "id": name, "license": "MIT", "source": source,
                    "manifest_path": format!("/registry/{name}/Cargo.toml") })
        };
        let registry = json!("registry");
        let dependency = |name: &str, kind: Value| json!({ "pkg": name, "dep_kinds": [{ "kind": kind }] });
        let metadata = json!({
            "packages": [
                package(PROGRAM, Value::Null), package("ours", Value::Null), package("used", registry.clone()),
                package("built-with", registry.clone()), package("tested-with", registry.clone()),
                package("elsewhere", registry),
            ],
            "resolve": { "nodes": [
                { "id": PROGRAM, "deps": [dependency("ours", Value::Null), dependency("tested-with", json!("dev"))] },
                { "id": "ours", "deps": [dependency("used", Value::Null), dependency("built-with", json!("build"))] },
            ] },
        });
        let libraries = libraries(&metadata).unwrap();
        let found: Vec<_> = libraries.iter().map(|library| library.title.as_str()).collect();
        assert_eq!(found, ["used 1.0.0"]);
        assert_eq!(libraries[0].folder, Path::new("/registry/used"));
    }

    #[test]
    fn a_notice_is_known_by_its_name() {
        for name in ["LICENSE", "LICENSE-MIT", "license.md", "COPYING.txt", "NOTICE", "UNLICENSE"] {
            assert!(is_notice(Path::new(name), false), "{name}");
        }
        assert!(!is_notice(Path::new("README.md"), false) && !is_notice(Path::new("license.rs"), false));
        assert!(is_notice(Path::new("fonts/OFL.txt"), true) && !is_notice(Path::new("fonts/Hack.ttf"), true));
    }

    #[test]
    fn the_program_hands_on_what_its_libraries_want() {
        let notices = of_the_program().unwrap();
        for needed in ["egui ", "kvm-ioctls ", "Permission is hereby granted", "SIL OPEN FONT LICENSE"] {
            assert!(notices.contains(needed), "{needed} is missing");
        }
        assert!(!notices.contains("egui_kittest "), "tests are not in the program");
    }
}
