//! The database of Debian's package `osinfo-db`, which the tests need (`cargo xtask packages` installs it): the labels that
//! real discs bear lead to their systems.

#![allow(clippy::unwrap_used, reason = "everything here is a test")]

use std::path::Path;

use osinfo::{Database, Labels, Places, Status};
use proptest::{
    strategy::{Strategy, ValueTree},
    string::string_regex,
    test_runner::TestRunner,
};

const PACKAGED: &str = "/usr/share/osinfo";

fn database() -> Database {
    assert!(Path::new(PACKAGED).is_dir(), "{PACKAGED} is not there: `cargo xtask packages` installs osinfo-db");
    Database::load(&Places::only([PACKAGED]))
}

/// The labels of a disc: volume, system, publisher, application.
fn labels([volume, system, publisher, application]: [&str; 4]) -> Labels {
    Labels {
        volume: volume.into(),
        system: system.into(),
        publisher: publisher.into(),
        application: application.into(),
        volume_bytes: 5_000_000_000,
    }
}

/// The name and processor of what a disc is said to hold, whether the database knows it or one before it.
fn told(database: &Database, disc: [&str; 4]) -> Option<(String, String)> {
    let labels = labels(disc);
    let known = database.identify(&labels).into_iter().next();
    if let Some(known) = known.filter(|known| !known.system.is_unknown_release()) {
        return Some((known.system.name.clone(), known.medium.arch.clone()));
    }
    if let Some(newer) = database.identify_newer(&labels) {
        return Some((newer.name, newer.like.medium.arch.clone()));
    }
    known.map(|known| (known.system.name.clone(), known.medium.arch.clone()))
}

const WINDOWS: &str = "MICROSOFT CORPORATION";
const CDIMAGE: &str = "CDIMAGE 2.56 (01/01/2005 TM)";

#[test]
fn every_file_is_read_and_nearly_every_rule_can_be_used() {
    let database = database();
    assert_eq!(database.skipped(), 0);
    assert!(database.systems().len() > 700, "{}", database.systems().len());
    let unusable = database.unusable_rules();
    assert!(unusable.len() <= 5, "{unusable:?}");
    for system in database.systems() {
        assert!(!system.name.is_empty() && !system.short_ids.is_empty(), "{}", system.id);
    }
}

#[test]
fn real_discs_lead_to_their_systems() {
    let database = database();
    for (disc, name, arch) in [
        (["Debian 11.5.0 amd64 n", "", "", ""], "Debian 11", "x86_64"),
        (["Debian 12.5.0 amd64 n", "", "", ""], "Debian 12", "x86_64"),
        (["Debian 13.1.0 amd64 n", "", "", ""], "Debian 13", "x86_64"),
        (["Debian 12.5.0 arm64 n", "", "", ""], "Debian 12", "aarch64"),
        (["Debian 12.5.0 i386 n", "", "", ""], "Debian 12", "i686"),
        (["d-live nf 11.6.0 gn amd64", "", "", ""], "Debian 11", "x86_64"),
        (["d-live 12.9.0 kd amd64", "", "", ""], "Debian 12", "x86_64"),
        (["d-live 13.0.0 gn amd64", "", "", ""], "Debian 13", "x86_64"),
        (["Debian testing amd64 n", "", "", ""], "Debian testing", "x86_64"),
        (["Ubuntu 22.04.1 LTS amd64", "", "", ""], "Ubuntu 22.04 LTS", "x86_64"),
        (["Ubuntu 24.04.1 LTS amd64", "", "", ""], "Ubuntu 24.04 LTS", "x86_64"),
        (["Ubuntu-Server 24.04.1 LTS amd64", "", "", ""], "Ubuntu 24.04 LTS", "x86_64"),
        (["Ubuntu-Server 24.04 LTS arm64", "", "", ""], "Ubuntu 24.04 LTS", "aarch64"),
        (["Fedora-WS-Live-37-1-7", "LINUX", "", ""], "Fedora Linux 37", "x86_64"),
        (["Fedora-WS-Live-40-1-14", "LINUX", "", ""], "Fedora Linux 40", "x86_64"),
        (["Fedora-WS-Live-41-1-4", "LINUX", "", ""], "Fedora Linux 41", "x86_64"),
        (["Fedora-E-dvd-x86_64-41", "LINUX", "", ""], "Fedora Linux 41", "x86_64"),
        (["CCCOMA_X64FRE_EN-US_DV9", "", WINDOWS, CDIMAGE], "Microsoft Windows 11", "x86_64"),
        (["CENA_X64FREV_EN-US_DV5", "", WINDOWS, CDIMAGE], "Microsoft Windows 10", "x86_64"),
        (["SSS_X64FREE_EN-US_DV9", "", WINDOWS, CDIMAGE], "Microsoft Windows Server 2022", "x86_64"),
        (["13_1_RELEASE_AMD64_CD", "FreeBSD", "", ""], "FreeBSD 13.1", "x86_64"),
        (["14_1_RELEASE_AMD64_DVD", "FreeBSD", "", ""], "FreeBSD 14.1", "x86_64"),
        (["openSUSE-Leap-15.4-DVD-x86_64243.2", "LINUX", "SUSE LINUX GmbH", ""], "openSUSE Leap 15.4", "x86_64"),
        (["openSUSE-Leap-15.6-DVD-x86_64710.3", "LINUX", "SUSE LINUX GmbH", ""], "openSUSE Leap 15.6", "x86_64"),
        (
            ["ARCH_202410", "", "ARCH LINUX <HTTPS://ARCHLINUX.ORG>", "ARCH LINUX LIVE/RESCUE CD"],
            "Arch Linux",
            "x86_64",
        ),
        (["alpine-std 3.17.0 x86_64", "", "", ""], "Alpine Linux 3.17", "x86_64"),
        (["alpine-virt 3.20.3 x86_64", "", "", ""], "Alpine Linux 3.20", "x86_64"),
        (["nixos-minimal-22.05-x86_64", "", "", ""], "NixOS 22.05", "x86_64"),
        (["nixos-minimal-24.05-x86_64", "", "", ""], "NixOS 24.05", "x86_64"),
        (["CentOS-Stream-9-BaseOS-x86_64", "LINUX", "", ""], "CentOS Stream 9", "x86_64"),
    ] {
        assert_eq!(told(&database, disc), Some((name.into(), arch.into())), "{disc:?}");
    }
}

#[test]
fn discs_of_no_system_lead_nowhere() {
    let database = database();
    for volume in ["", "ISOIMAGE", "CDROM", "GRUB", "My holiday 2019", "d-live amd64", "12345"] {
        assert_eq!(told(&database, [volume, "LINUX", "", ""]), None, "{volume}");
    }
}

#[test]
fn windows_10_and_11_bear_the_same_labels() {
    let database = database();
    let found = database.identify(&labels(["CCCOMA_X64FRE_EN-US_DV9", "", WINDOWS, CDIMAGE]));
    let names: Vec<_> = found.iter().map(|one| one.system.name.as_str()).collect();
    assert_eq!(names, ["Microsoft Windows 11", "Microsoft Windows 10"]);
    assert_eq!(found[0].system.starts_with("bios", "x86_64"), Some(false));
}

#[test]
fn what_systems_need_and_when_they_end_is_known() {
    let database = database();
    let debian = database.find("http://debian.org/debian/11").unwrap();
    let needs = database.resources(debian, "x86_64");
    assert_eq!((needs.minimum.memory_bytes, needs.recommended.storage_bytes), (Some(1 << 30), Some(20 << 30)));
    // What isn't said for AMD64 is said for all; what Rocky leaves out is said of what it is rebuilt from.
    let ubuntu = database.find_by_any_id("ubuntu22.04").unwrap();
    assert_eq!(database.resources(ubuntu, "x86_64").recommended.memory_bytes, Some(4 << 30));
    let rocky = database.find("http://rockylinux.org/rocky/8.6").unwrap();
    assert!(database.resources(rocky, "x86_64").minimum.memory_bytes.is_some());
    let windows = database.find_by_any_id("win10").unwrap();
    assert_eq!(windows.end_of_life.unwrap().to_string(), "2029-01-09");
    assert_eq!(database.find_by_any_id("archlinux").unwrap().status, Status::Rolling);
    // virtio's network card and block device.
    assert_eq!(database.supports(debian, "http://pcisig.com/pci/1af4/1041"), Some(true));
}

#[test]
fn what_a_pattern_is_said_to_need_is_in_whatever_it_matches() {
    let database = database();
    let mut runner = TestRunner::deterministic();
    let media = database.systems().iter().flat_map(|system| &system.media);
    let mut tried = 0;
    for medium in media {
        let Some(strategy) = medium.volume_id.as_deref().and_then(|pattern| string_regex(pattern).ok()) else {
            continue;
        };
        let volume = strategy.new_tree(&mut runner).unwrap().current();
        let alone = osinfo::Medium { volume_id: medium.volume_id.clone(), ..osinfo::Medium::default() };
        let labels = Labels { volume, ..Labels::default() };
        assert!(alone.matches(&labels).unwrap(), "{:?} {:?}", medium.volume_id, labels.volume);
        tried += 1;
    }
    assert!(tried > 1500, "{tried}");
}
