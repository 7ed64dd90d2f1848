//! Makes what a package installs beside the program and isn't kept as a file: the manual page, completions for shells,
//! icons, and the notices of the libraries in the program. `cargo xtask package` calls it.
//!
//! The rest is in folders beside this one: `desktop` for every kind of package, `debian` for Debian's.

#![allow(clippy::print_stderr, reason = "a command line program reports there")]

// The command line is the program's own; this is the only way to it, since a program is no library.
#[allow(dead_code, reason = "the program uses the rest")]
#[path = "../../app/src/arguments.rs"]
mod arguments;
mod files;
mod manual;
mod notices;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Command;
use clap_complete::Shell;

/// The program's name.
const PROGRAM: &str = "tandem";
/// Pixels along the icons' sides: the sizes that desktops ask for.
const ICONS: [u32; 7] = [16, 24, 32, 48, 64, 128, 256];
/// Completions, as the shells' folders want them called.
const COMPLETIONS: [(Shell, &str); 3] =
    [(Shell::Bash, "tandem.bash"), (Shell::Zsh, "_tandem"), (Shell::Fish, "tandem.fish")];

fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().skip(1).collect();
    let made = match words.as_slice() {
        [folder] => make(Path::new(folder)),
        _ => Err(anyhow::anyhow!("which folder shall be filled?")),
    };
    match made {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("installers: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Fills a folder, after emptying it.
fn make(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("can't empty {}", folder.display()))?;
    }
    fs::create_dir_all(folder).with_context(|| format!("can't create {}", folder.display()))?;
    let write = |name: &str, bytes: &[u8]| {
        let file: PathBuf = folder.join(name);
        fs::write(&file, bytes).with_context(|| format!("can't write {}", file.display()))
    };
    write("tandem.1.gz", &files::gzip(manual::page().as_bytes())?)?;
    for (shell, name) in COMPLETIONS {
        write(name, &completion(shell))?;
    }
    for side in ICONS {
        write(&format!("icon-{side}.png"), &files::png(side)?)?;
    }
    write("icon.svg", assets::icon::svg().as_bytes())?;
    let notices = notices::of_the_program()?;
    if notices.is_empty() {
        bail!("cargo knows no library in the program");
    }
    write("notices.gz", &files::gzip(notices.as_bytes())?)
}

/// What completes the program's command line in a shell.
fn completion(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut for_people(&arguments::command()), PROGRAM, &mut script);
    script
}

/// The command line without what is hidden, which some shells would complete all the same.
fn for_people(command: &Command) -> Command {
    let shown = command.get_arguments().filter(|argument| !argument.is_hide_set()).cloned();
    let copy = Command::new(command.get_name().to_owned()).args(shown);
    let copy = copy.subcommands(command.get_subcommands().map(for_people));
    match (command.get_about(), command.get_version()) {
        (Some(about), Some(version)) => copy.about(about.clone()).version(version.to_owned()),
        (Some(about), None) => copy.about(about.clone()),
        _ => copy,
    }
}

#[cfg(test)]
mod tests {
    use machine::actions::ALL;

    use super::*;

    #[test]
    fn every_shell_completes_every_command_and_nothing_that_is_not_for_people() {
        for (shell, name) in COMPLETIONS {
            let script = String::from_utf8(completion(shell)).unwrap();
            for action in ALL.iter().filter(|action| action.scope.has_commands()) {
                assert!(script.contains(action.id), "{name} lacks {}", action.id);
            }
            assert!(!script.contains(arguments::DETACHED), "{name} shows what is hidden");
        }
    }

    #[test]
    fn the_changelog_and_the_metadata_begin_with_this_version() {
        let version = env!("CARGO_PKG_VERSION");
        let changelog = include_str!("../debian/changelog");
        assert!(changelog.starts_with(&format!("tandem ({version}) ")), "{changelog}");
        let metadata = include_str!("../desktop/local.tandem.Tandem.metainfo.xml");
        let newest = metadata.split("<release version=\"").nth(1).unwrap();
        assert!(newest.starts_with(&format!("{version}\"")), "{newest}");
    }

    #[test]
    fn desktops_find_the_program_and_its_icon_by_the_names_that_the_package_gives_them() {
        let entry = include_str!("../desktop/tandem.desktop");
        for line in ["Exec=tandem", "Icon=tandem", "StartupWMClass=tandem"] {
            assert!(entry.lines().any(|known| known == line), "{line}");
        }
        let manifest = include_str!("../Cargo.toml");
        for side in ICONS {
            let line = format!("icon-{side}.png\", \"usr/share/icons/hicolor/{side}x{side}/apps/tandem.png\"");
            assert!(manifest.contains(&line), "{line}");
        }
    }
}
