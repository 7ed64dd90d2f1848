//! The rules of the house, kept over what cargo knows of the workspace: which crate may use which, where `unsafe` may be,
//! and under which licences other people's crates come.

#![allow(clippy::unwrap_used, reason = "everything here is a test, its helpers too")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Which of our crates each of our crates may use; nothing else may. What may use everything stands in [`TOPMOST`].
const MAY_USE: [(&str, &[&str]); 11] = [
    ("machine", &[]),
    ("assets", &[]),
    ("osinfo", &[]),
    ("processor", &["machine"]),
    ("hypervisor", &["machine", "processor"]),
    ("storage", &["machine"]),
    ("network", &["machine"]),
    ("display", &["machine"]),
    ("vmm-engine", &["machine", "processor", "hypervisor", "storage", "network", "display"]),
    ("pv-engine", &["machine", "processor", "hypervisor", "storage", "network", "display"]),
    // It must build in seconds.
    ("xtask", &[]),
];
const TOPMOST: [&str; 3] = ["tandem", "whole-machine", "installers"];

/// Crates that draw or open windows, which no engine may reach.
const DRAWING: [&str; 8] = ["egui", "eframe", "epaint", "winit", "glow", "wgpu", "pixels", "softbuffer"];
const ENGINES: [&str; 2] = ["vmm-engine", "pv-engine"];

/// Names that say nothing.
const EMPTY_NAMES: [&str; 6] = ["common", "base", "util", "utils", "core", "helpers"];

/// Where `unsafe` may be: what runs on KVM, the software processor's translation cache and compiled code, and memory that
/// is shared with the kernel.
const UNSAFE_PLACES: [&str; 6] = [
    "hypervisor/src/",
    "processor/src/tlb",
    "processor/src/compiled",
    "storage/src/image/iovec.rs",
    "network/src/tap",
    "app/src/ui/every_key/wayland.rs",
];

/// Licences of other people's crates that go together with ours.
const LICENCES: [&str; 14] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    // Of the fonts in our windows.
    "OFL-1.1",
    "Ubuntu-font-1.0",
    "Unicode-3.0",
    "Zlib",
    "bzip2-1.0.6",
];

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn cargo(args: &[&str]) -> String {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo).args(args).arg("--locked").current_dir(workspace()).output().unwrap();
    assert!(output.status.success(), "cargo {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn metadata(more: &[&str]) -> Value {
    serde_json::from_str(&cargo(&[&["metadata", "--format-version", "1"], more].concat())).unwrap()
}

/// Our crates, each with those of ours that it uses in any way.
fn ours() -> BTreeMap<String, BTreeSet<String>> {
    let metadata = metadata(&["--no-deps"]);
    let packages = metadata["packages"].as_array().unwrap();
    let used = |package: &Value| {
        let all = package["dependencies"].as_array().unwrap().iter();
        // Only our own crates are named by a path.
        all.filter(|one| one["path"].is_string()).map(|one| one["name"].as_str().unwrap().to_owned()).collect()
    };
    packages.iter().map(|package| (package["name"].as_str().unwrap().to_owned(), used(package))).collect()
}

#[test]
fn crates_use_only_what_stands_below_them() {
    let allowed: BTreeMap<&str, &[&str]> = MAY_USE.into_iter().collect();
    for (name, used) in ours() {
        if TOPMOST.contains(&name.as_str()) {
            continue;
        }
        let allowed = allowed.get(name.as_str()).unwrap_or_else(|| panic!("{name} has no place in the house"));
        let wrong: Vec<_> = used.iter().filter(|one| !allowed.contains(&one.as_str())).collect();
        assert!(wrong.is_empty(), "{name} may not use {wrong:?}");
    }
}

#[test]
fn no_crate_has_a_name_that_says_nothing() {
    for name in ours().keys() {
        assert!(!name.split('-').any(|word| EMPTY_NAMES.contains(&word)), "what is in {name}?");
    }
}

#[test]
fn engines_neither_draw_nor_open_windows() {
    let ours = ours();
    for engine in ENGINES.iter().filter(|engine| ours.contains_key(**engine)) {
        // As if only the engine were built: what the program asks of a crate that both use doesn't count.
        let tree = cargo(&["tree", "-p", engine, "-e", "normal,build", "--prefix", "none", "--format", "{p}"]);
        let names: BTreeSet<&str> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
        assert!(names.contains(engine), "cargo tree wrote {tree}");
        let wrong: Vec<_> = DRAWING.iter().filter(|name| names.contains(**name)).collect();
        assert!(wrong.is_empty(), "{engine} reaches {wrong:?}");
    }
}

#[test]
fn every_crate_keeps_the_workspaces_lints() {
    for package in metadata(&["--no-deps"])["packages"].as_array().unwrap() {
        let manifest = package["manifest_path"].as_str().unwrap();
        let text = std::fs::read_to_string(manifest).unwrap();
        assert!(text.contains("[lints]\nworkspace = true"), "{manifest} does not inherit the lints");
    }
}

/// Every file of Rust that git knows or would add.
fn sources() -> Vec<String> {
    let mut git = Command::new("git");
    git.args(["ls-files", "--cached", "--others", "--exclude-standard", "*.rs"]).current_dir(workspace());
    let output = git.output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// Whether a line of code lifts the lint that denies `unsafe`.
fn lifts_the_lint(line: &str) -> bool {
    let code = line.split("//").next().unwrap_or_default();
    // Spelt in two, since this file is looked at too.
    let lint = concat!("unsafe", "_code");
    ["allow(", "expect(", "warn("].iter().any(|lift| {
        let lists = code.split(lift).skip(1);
        lists.filter_map(|rest| rest.split(')').next()).any(|list| list.contains(lint))
    })
}

#[test]
fn unsafe_code_is_where_it_may_be() {
    let workspace = workspace();
    let sources = sources();
    assert!(sources.iter().any(|file| file == "xtask/tests/house.rs"), "git did not list this file");
    let lifting = sources.iter().filter(|file| {
        // A file that git still lists may be gone already.
        let text = std::fs::read_to_string(workspace.join(file)).unwrap_or_default();
        text.lines().any(lifts_the_lint)
    });
    let wrong: Vec<_> = lifting.filter(|file| !UNSAFE_PLACES.iter().any(|place| file.starts_with(place))).collect();
    assert!(wrong.is_empty(), "unsafe code has no place in {wrong:?}");
}

#[test]
fn a_lifted_lint_is_seen_and_a_mentioned_one_is_not() {
    let lint = concat!("unsafe", "_code");
    assert!(lifts_the_lint(&format!("#[allow({lint})]")));
    assert!(lifts_the_lint(&format!("    #[allow(dead_code, {lint}, reason = \"x\")]")));
    assert!(!lifts_the_lint(&format!("// #[allow({lint})]")));
    assert!(!lifts_the_lint(&format!("{lint} = \"deny\"")));
    assert!(!lifts_the_lint(&format!("#![deny({lint})]")));
}

/// Whether an SPDX expression can be met with the licences we accept. `/` is an old spelling of `OR`.
fn acceptable(expression: &str) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    let met = either(&words, &mut at);
    met && at == words.len()
}

/// Terms joined by `OR`, each of terms joined by `AND`, which binds more tightly.
fn either(words: &[&str], at: &mut usize) -> bool {
    let mut met = all(words, at);
    while words.get(*at) == Some(&"OR") {
        *at += 1;
        met |= all(words, at);
    }
    met
}

fn all(words: &[&str], at: &mut usize) -> bool {
    let mut met = licence(words, at);
    while words.get(*at) == Some(&"AND") {
        *at += 1;
        met &= licence(words, at);
    }
    met
}

fn licence(words: &[&str], at: &mut usize) -> bool {
    let word = words.get(*at).copied().unwrap_or_default();
    *at += 1;
    if word == "(" {
        let met = either(words, at);
        *at += 1;
        return met;
    }
    if words.get(*at) == Some(&"WITH") {
        *at += 2;
        return LICENCES.contains(&words.get(*at - 3..*at).unwrap_or_default().join(" ").as_str());
    }
    LICENCES.contains(&word)
}

#[test]
fn a_licence_expression_is_read_as_spdx_says() {
    assert!(acceptable("MIT OR Apache-2.0"));
    assert!(acceptable("MIT/Apache-2.0"));
    assert!(acceptable("GPL-3.0-only OR MIT"));
    assert!(acceptable("(MIT OR GPL-3.0-only) AND Unicode-3.0"));
    assert!(acceptable("Apache-2.0 WITH LLVM-exception OR MIT"));
    assert!(!acceptable("MIT AND GPL-3.0-only"));
    assert!(!acceptable("GPL-2.0-only WITH Classpath-exception-2.0"));
    assert!(!acceptable("MIT OR"));
    assert!(!acceptable(""));
}

#[test]
fn licences_of_other_peoples_crates_go_with_ours() {
    let metadata = metadata(&[]);
    let packages = metadata["packages"].as_array().unwrap();
    assert!(packages.len() > ours().len(), "cargo metadata lists no dependency");
    let wrong: Vec<String> = packages
        .iter()
        .filter(|package| !acceptable(package["license"].as_str().unwrap_or_default()))
        .map(|package| format!("{} ({})", package["name"], package["license"]))
        .collect();
    assert!(wrong.is_empty(), "not accepted: {wrong:?}");
}
