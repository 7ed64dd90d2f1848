//! Which system a file holds, and what it is called.

use std::{cmp::Reverse, path::Path};

use machine::name::{MAX_CHARS, Name};
use osinfo::{Database, Date, Identified, Labels, Medium, System};
use serde::Serializer;

use super::{Kind, Os, StandIn, kinds::Seen};

/// What a machine is called that nothing gives a name to.
const NAMELESS: &str = "New machine";

/// The systems that a file may hold.
#[derive(Default)]
pub(super) struct Systems {
    pub(super) os: Option<Os>,
    pub(super) alternatives: Vec<Os>,
}

/// The systems that a file may hold, by its labels.
pub(super) fn of(seen: &Seen, database: &Database) -> Systems {
    let Some(disc) = &seen.disc else { return Systems::default() };
    let labels = Labels {
        volume: disc.labels.volume.clone(),
        system: disc.labels.system.clone(),
        publisher: disc.labels.publisher.clone(),
        application: disc.labels.application.clone(),
        volume_bytes: disc.volume_bytes,
    };
    let found = database.identify(&labels);
    // Of releases that the database doesn't know by themselves, their number says more.
    let known = found.first().filter(|first| !first.system.is_unknown_release());
    if known.is_none()
        && let Some(newer) = database.identify_newer(&labels)
    {
        let like = newer.like;
        let os = Os {
            stand_in: Some(StandIn { id: like.system.id.clone(), name: like.system.name.clone() }),
            id: newer.id,
            short_id: newer.short_id,
            name: newer.name,
            version: Some(newer.version),
            // Those are the other one's.
            released: None,
            end_of_life: None,
            ..os(like.system, Some(like.medium))
        };
        return Systems { os: Some(os), alternatives: Vec::new() };
    }
    let Some(best) = found.first() else { return Systems::default() };
    let equal = |one: &&Identified<'_>| {
        !one.system.is_unknown_release()
            && one.medium.rules() == best.medium.rules()
            && one.medium.arch == best.medium.arch
    };
    let alternatives = found[1..].iter().filter(equal).map(|one| os(one.system, Some(one.medium))).collect();
    Systems { os: Some(os(best.system, Some(best.medium))), alternatives }
}

fn os(system: &System, medium: Option<&Medium>) -> Os {
    Os {
        id: system.id.clone(),
        short_id: system.short_id().to_owned(),
        name: system.name.clone(),
        version: system.version.clone(),
        family: system.family.clone(),
        arch: medium.map(|medium| medium.arch.clone()).filter(|arch| arch != "all"),
        live: medium.is_some_and(|medium| medium.live),
        installer: medium.is_some_and(|medium| medium.installer),
        released: system.release_date,
        end_of_life: system.end_of_life,
        stand_in: None,
    }
}

/// The systems that a person may mean, the newest first.
pub(super) fn search(database: &Database, letters: &str) -> Vec<Os> {
    let letters = letters.trim().to_lowercase();
    let mut found: Vec<&System> = database
        .systems()
        .iter()
        .filter(|system| {
            system.name.to_lowercase().contains(&letters) || system.short_ids.iter().any(|id| id.contains(&letters))
        })
        .collect();
    found.sort_by_key(|system| (Reverse(system.release_date), system.name.as_str()));
    found.into_iter().map(|system| os(system, None)).collect()
}

/// What to call a machine for a file.
pub(super) fn name_for(seen: &Seen, os: Option<&Os>, path: &Path) -> (String, &'static str) {
    if let Some(os) = os.filter(|os| !os.id.ends_with("/unknown")) {
        return (name_of(os), "the system on the disc");
    }
    let said = match &seen.kind {
        Kind::Iso(iso) => name_from_label(&iso.volume).map(|name| (name, "the disc bears this name")),
        Kind::Kernel(kernel) => {
            kernel.release().and_then(|name| usable(&name)).map(|name| (name, "the kernel says so"))
        }
        Kind::DiskImage(_) | Kind::Unknown { .. } => None,
    };
    if let Some(said) = said {
        return said;
    }
    match name_from_file(path) {
        Some(name) => (name, "the file is called so"),
        None => (NAMELESS.to_owned(), "call it what you like"),
    }
}

/// What to call a machine for a system, or for none.
pub(super) fn name_of_chosen(os: Option<&Os>) -> (String, &'static str) {
    os.map_or_else(|| (NAMELESS.to_owned(), "call it what you like"), |os| (name_of(os), "the system's name"))
}

fn name_of(os: &Os) -> String {
    let name = os.name.strip_prefix("Microsoft ").unwrap_or(&os.name);
    usable(name).unwrap_or_else(|| NAMELESS.to_owned())
}

/// `Ubuntu-Server 24.04 LTS amd64` as a person would write it. Names that discs have by default say nothing.
fn name_from_label(volume: &str) -> Option<String> {
    const SAYS_NOTHING: [&str; 10] =
        ["cdrom", "cd-rom", "dvd", "isoimage", "iso", "image", "new", "unnamed", "untitled", "no name"];
    const PROCESSORS: [&str; 12] =
        ["amd64", "x86_64", "x64", "x86", "i386", "i486", "i586", "i686", "arm64", "aarch64", "ppc64le", "s390x"];
    if SAYS_NOTHING.contains(&volume.to_lowercase().as_str()) {
        return None;
    }
    let spaced = volume.replace("x86_64", "amd64").replace(['_', '-'], " ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    // What follows the processor is a number among its discs.
    let end = words.iter().position(|word| PROCESSORS.contains(&word.to_lowercase().as_str()));
    let words = match end {
        Some(0) | None => &words[..],
        Some(end) => &words[..end],
    };
    usable(&words.join(" "))
}

/// The file's name without its ending; what follows a point in a version is none.
fn name_from_file(path: &Path) -> Option<String> {
    let ends = |path: &Path| {
        let ending = path.extension().unwrap_or_default().to_string_lossy();
        (1..=5).contains(&ending.len()) && ending.starts_with(|char: char| char.is_ascii_alphabetic())
    };
    let name = if ends(path) { path.file_stem() } else { path.file_name() };
    usable(&name?.to_string_lossy().replace(['_', '\n', '\t'], " "))
}

fn usable(text: &str) -> Option<String> {
    let text: String = text.trim().chars().take(MAX_CHARS).collect();
    Some(Name::new(text.trim()).ok()?.as_str().to_owned())
}

/// A day for programs.
pub(super) fn as_text<S: Serializer>(date: &Option<Date>, serializer: S) -> Result<S::Ok, S::Error> {
    match date {
        Some(date) => serializer.collect_str(date),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_files_name_gives_a_machine_its_name_without_the_ending() {
        for (path, name) in [
            ("/a/my_disk.qcow2", Some("my disk")),
            ("/a/debian-12.5.0", Some("debian-12.5.0")),
            ("/a/.img", Some(".img")),
            ("/", None),
        ] {
            assert_eq!(name_from_file(Path::new(path)).as_deref(), name, "{path}");
        }
    }

    #[test]
    fn a_label_becomes_a_name_that_a_person_would_write() {
        for (label, name) in [
            ("Ubuntu-Server 24.04.1 LTS amd64", Some("Ubuntu Server 24.04.1 LTS")),
            ("Kubuntu 24.04 LTS amd64", Some("Kubuntu 24.04 LTS")),
            ("Fedora-KDE-Live-41-1-4", Some("Fedora KDE Live 41 1 4")),
            ("alpine-std 3.20.3 x86_64", Some("alpine std 3.20.3")),
            ("AMD64", Some("AMD64")),
            ("CDROM", None),
            ("ISOIMAGE", None),
            ("", None),
            ("\u{202e}", None),
        ] {
            assert_eq!(name_from_label(label).as_deref(), name, "{label}");
        }
    }
}
