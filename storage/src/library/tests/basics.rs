//! What each operation does when all goes well, and what it refuses.

use std::os::unix::fs::{MetadataExt as _, symlink};

use machine::{
    definition::{Bus, Disk, FilePath, Image, ImageFormat},
    size::Size,
};

use super::*;

fn error<T: std::fmt::Debug>(result: Result<T, LibraryError>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn the_library_is_where_the_environment_says() {
    let root = |variables: &[(&str, &str)]| {
        let get = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into());
        root_from(get, Path::new("/here")).unwrap()
    };
    assert_eq!(root(&[("HOME", "/h")]), Path::new("/h/.local/share/tandem"));
    assert_eq!(root(&[("HOME", "/h"), ("XDG_DATA_HOME", "/d")]), Path::new("/d/tandem"));
    assert_eq!(root(&[("HOME", "/h"), ("XDG_DATA_HOME", "relative")]), Path::new("/h/.local/share/tandem"));
    assert_eq!(root(&[("XDG_DATA_HOME", "/d"), ("TANDEM_HOME", "/t")]), Path::new("/t"));
    assert_eq!(root(&[("TANDEM_HOME", "t")]), Path::new("/here/t"));
    assert_eq!(root(&[("HOME", "/h"), ("TANDEM_HOME", "")]), Path::new("/h/.local/share/tandem"));
}

#[test]
fn a_new_library_is_empty_and_private() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("share/tandem");
    let library = Library::open(&root, NOW).unwrap();
    assert_eq!(library.list().unwrap(), []);
    for folder in [root.clone(), root.join("machines"), root.join("trash")] {
        assert_eq!(folder.metadata().unwrap().mode() & 0o777, 0o700, "{}", folder.display());
    }
}

#[test]
fn a_machine_is_found_again_with_everything_in_it() {
    let (dir, library) = library();
    let machine = create(&library, "Mint").unwrap();
    let again = Library::open(dir.path(), NOW).unwrap();
    assert_eq!(again.list().unwrap(), [Listed::Machine(machine.clone())]);
    assert_eq!(again.find("Mint").unwrap(), machine);
    assert_eq!(again.find(&machine.uuid().to_string()).unwrap(), machine);
    let image = &machine.definition().disks[0].images[0].file;
    assert_eq!(image.as_str(), "disks/disk0.raw");
    assert_eq!(std::fs::read_to_string(machine.resolve(image)).unwrap(), "Mint");
    assert_eq!(machine.folder(), again.root().join("machines/Mint"));
    assert_eq!(left_behind(dir.path()), [""; 0].map(PathBuf::from));
}

#[test]
fn machines_are_in_the_order_in_which_people_put_names() {
    let (_dir, library) = library();
    let names =
        ["mint 1", "Mint 2", "Mint 02", "mint 10", "Mint 10b", "mint 99999999999999999999999", "Mint a", "Mint ä"];
    for name in names.iter().rev() {
        create(&library, name).unwrap();
    }
    let listed: Vec<String> = library.list().unwrap().iter().map(|entry| entry.name().to_owned()).collect();
    let expected =
        ["mint 1", "Mint 02", "Mint 2", "mint 10", "Mint 10b", "mint 99999999999999999999999", "Mint a", "Mint ä"];
    assert_eq!(listed, expected);
}

#[test]
fn names_may_be_any_text() {
    let (_dir, library) = library();
    let names = ["a/b", "..", ".new-x", "日本語 🐧", "50%", "CON", "mint", "Mint", &"é".repeat(200), "-rf", "  x"];
    for text in names {
        create(&library, text).unwrap();
    }
    for text in names {
        assert_eq!(library.find(text).unwrap().name(), &text);
    }
    assert_eq!(library.list().unwrap().len(), names.len());
}

#[test]
fn a_name_is_used_once() {
    let (dir, library) = library();
    create(&library, "Mint").unwrap();
    let before = tree(dir.path());
    assert_eq!(
        error(create(&library, "Mint")),
        "there is already a machine called 'Mint'. Nothing was changed. Choose another name"
    );
    let other = create(&library, "Other").unwrap();
    assert!(matches!(library.rename(&other, name("Mint")), Err(LibraryError::NameTaken { .. })));
    library.delete(&Listed::Machine(other), NOW).unwrap();
    library.empty_trash().unwrap();
    assert_eq!(tree(dir.path()), before);
}

#[test]
fn a_name_that_is_taken_while_a_machine_is_made_is_refused_at_the_end() {
    let (dir, library) = library();
    let draft = library.draft(&name("Mint")).unwrap();
    create(&library, "Mint").unwrap();
    let definition = Definition::new(name("Mint"), draft.uuid());
    assert!(matches!(draft.commit(definition), Err(LibraryError::NameTaken { .. })));
    assert_eq!(library.list().unwrap().len(), 1);
    assert_eq!(left_behind(dir.path()), Vec::<PathBuf>::new());
}

#[test]
fn a_draft_that_is_dropped_leaves_nothing() {
    let (dir, library) = library();
    let draft = library.draft(&name("Mint")).unwrap();
    std::fs::write(draft.disks_dir().join("disk0.raw"), "x").unwrap();
    assert_eq!(library.list().unwrap(), []);
    drop(draft);
    assert_eq!(left_behind(dir.path()), Vec::<PathBuf>::new());
}

#[test]
fn a_definition_that_cannot_be_is_refused_and_leaves_nothing() {
    let (dir, library) = library();
    let mut definition = Definition::new(name("Mint"), Uuid::new_v4());
    definition.cpus = 0;
    assert_eq!(
        error(library.create(definition)),
        "machine.toml, cpus = 0 is out of range: a machine has 1 to 64. Nothing was changed"
    );
    assert_eq!((machines(&library).len(), left_behind(dir.path()).len()), (0, 0));
}

#[test]
fn a_typo_gets_a_suggestion() {
    let (_dir, library) = library();
    create(&library, "Mint").unwrap();
    assert_eq!(error(library.find("mnit")), "there is no machine called 'mnit'. Did you mean 'Mint'?");
    assert_eq!(error(library.find("Windows")), "there is no machine called 'Windows'");
    assert_eq!(error(library.find_in_trash("Mint")), "there is no machine called 'Mint' in the trash");
}

#[test]
fn an_update_changes_the_file_and_keeps_what_a_person_wrote() {
    let (_dir, library) = library();
    let machine = create(&library, "Mint").unwrap();
    let text = machine.text().replace("cpus = 2", "# slow host\ncpus = 2 # two");
    let machine = library.replace_text(&Listed::Machine(machine), &text).unwrap();
    let changed = library.update(&machine, Owner::Nobody, |definition| definition.cpus = 4).unwrap();
    assert_eq!(changed, library.find("Mint").unwrap());
    assert_eq!(changed.definition().cpus, 4);
    assert_eq!(changed.text(), text.replace("cpus = 2", "cpus = 4"));
}

#[test]
fn an_update_of_what_somebody_else_changed_overwrites_nothing() {
    let (_dir, library) = library();
    let seen = create(&library, "Mint").unwrap();
    let changed = library.update(&seen, Owner::Nobody, |definition| definition.cpus = 4).unwrap();
    let late = library.update(&seen, Owner::Nobody, |definition| definition.memory = Size::gib(1));
    assert!(matches!(late, Err(LibraryError::Changed { .. })));
    assert_eq!(library.find("Mint").unwrap(), changed);
    let gone = library.find("Mint").unwrap();
    library.delete(&Listed::Machine(changed), NOW).unwrap();
    let late = library.update(&gone, Owner::Nobody, |definition| definition.cpus = 1);
    assert!(matches!(late, Err(LibraryError::NotFound { .. })));
}

#[test]
fn a_renamed_machine_gets_another_folder_and_keeps_its_disks() {
    let (dir, library) = library();
    let old = create(&library, "Mint").unwrap();
    let new = library.rename(&old, name("Mint/2")).unwrap();
    assert_eq!(new.folder(), library.root().join("machines/Mint%2F2"));
    assert_eq!(library.find("Mint/2").unwrap(), new);
    assert_eq!(std::fs::read_to_string(new.disks_dir().join("disk0.raw")).unwrap(), "Mint");
    assert!(matches!(library.find("Mint"), Err(LibraryError::NotFound { .. })));
    assert_eq!(left_behind(dir.path()), Vec::<PathBuf>::new());
}

#[test]
fn a_disk_that_is_added_in_the_machines_folder_moves_with_it() {
    let (_dir, library) = library();
    let machine = create(&library, "old").unwrap();
    let file = machine.disks_dir().join("more.qcow2");
    std::fs::write(&file, "x").unwrap();
    let image =
        Image { uuid: Uuid::new_v4(), file: FilePath::new(&file).unwrap(), format: ImageFormat::Raw, read_only: false };
    let disk = Disk { id: "more".into(), bus: Bus::Ahci, serial: None, throw_away_writes: false, images: vec![image] };
    let machine = library.update(&machine, Owner::Nobody, |definition| definition.disks.push(disk)).unwrap();
    let machine = library.rename(&machine, name("new")).unwrap();
    let image = &machine.definition().disks.last().unwrap().images[0];
    assert_eq!(image.file.as_str(), "disks/more.qcow2");
    assert!(machine.resolve(&image.file).exists());
}

#[test]
fn a_folder_that_is_in_the_way_is_left_alone() {
    let (_dir, library) = library();
    // On a file system that ignores case it would be in the way of "mint".
    let taken = create(&library, "Mint").unwrap();
    std::fs::rename(taken.folder(), library.root().join("machines/mint")).unwrap();
    let made = create(&library, "mint").unwrap();
    assert_eq!(made.folder(), library.root().join("machines/mint~1"));
    let other = create(&library, "Other").unwrap();
    std::fs::rename(other.folder(), library.root().join("machines/New")).unwrap();
    let renamed = library.rename(&made, name("New")).unwrap();
    assert_eq!(renamed.folder(), library.root().join("machines/New~1"));
    assert_eq!(machines(&library), ["Mint", "New", "Other"]);
}

#[test]
fn what_is_deleted_can_be_brought_back() {
    let (dir, library) = library();
    let machine = create(&library, "Mint").unwrap();
    let deleted = library.delete(&Listed::Machine(machine.clone()), NOW).unwrap();
    assert_eq!((machines(&library).len(), trashed(&library)), (0, vec!["Mint".to_owned()]));
    assert_eq!(deleted, library.find_in_trash("Mint").unwrap());
    assert_eq!((deleted.id.as_str(), deleted.deleted), ("20261122T165544Z-Mint", Some(NOW)));
    // A new one of the same name may come in the meantime.
    create(&library, "Mint").unwrap();
    assert!(matches!(library.restore(&deleted, None), Err(LibraryError::NameTaken { .. })));
    let back = library.restore(&deleted, Some(name("Old Mint"))).unwrap().into_machine().unwrap();
    assert_eq!((back.name().as_str(), back.uuid()), ("Old Mint", machine.uuid()));
    assert_eq!(std::fs::read_to_string(back.disks_dir().join("disk0.raw")).unwrap(), "Mint");
    assert_eq!((machines(&library), trashed(&library).len()), (vec!["Mint".into(), "Old Mint".into()], 0));
    assert_eq!(left_behind(dir.path()), Vec::<PathBuf>::new());
}

#[test]
fn of_two_in_the_trash_the_latest_is_found_and_both_by_their_ids() {
    let (_dir, library) = library();
    let first = library.delete(&Listed::Machine(create(&library, "Mint").unwrap()), NOW).unwrap();
    let second = library.delete(&Listed::Machine(create(&library, "Mint").unwrap()), NOW).unwrap();
    let third = library.delete(&Listed::Machine(create(&library, "Mint").unwrap()), later(1)).unwrap();
    assert_eq!(second.id, "20261122T165544Z-Mint~1");
    assert_eq!(library.find_in_trash("Mint").unwrap(), third);
    assert_eq!(library.find_in_trash(&first.id).unwrap(), first);
    assert_eq!(library.find_in_trash(&second.id).unwrap(), second);
}

#[test]
fn the_trash_is_emptied_after_thirty_days_and_not_before() {
    let (dir, library) = library();
    library.delete(&Listed::Machine(create(&library, "Mint").unwrap()), NOW).unwrap();
    std::fs::create_dir(library.root().join("trash/by hand")).unwrap();
    Library::open(dir.path(), later(30)).unwrap();
    assert_eq!(trashed(&library), ["Mint", "by hand"]);
    Library::open(dir.path(), Timestamp::from_unix(later(30).unix() + 1)).unwrap();
    assert_eq!(trashed(&library), ["by hand"]);
    assert_eq!(left_behind(dir.path()), Vec::<PathBuf>::new());
}

#[test]
fn a_broken_machine_is_listed_with_its_reason_and_can_be_repaired_or_deleted() {
    let (_dir, library) = library();
    let good = create(&library, "Mint").unwrap();
    let file = good.folder().join(DEFINITION);
    std::fs::write(&file, good.text().replace("cpus = 2", "cpus = 'many'")).unwrap();
    let line = good.text().lines().position(|line| line.starts_with("cpus")).unwrap() + 1;
    let reason = format!("machine.toml, line {line}: cpus = 'many' is not a whole number. Write it without quotes");
    assert_eq!(error(library.find("Mint")), format!("'Mint' can't be used: {reason}"));
    let broken = library.find_any("Mint").unwrap();
    assert_eq!(broken.text().map(|text| text.contains("many")), Some(true));
    assert!(matches!(library.replace_text(&broken, "nonsense"), Err(LibraryError::Definition(_))));
    assert_eq!(library.replace_text(&broken, good.text()).unwrap(), good);
    std::fs::remove_file(&file).unwrap();
    let broken = library.find_any("Mint").unwrap();
    assert_eq!(error(library.find("Mint")), "'Mint' can't be used: its folder has no machine.toml");
    let deleted = library.delete(&broken, NOW).unwrap();
    assert_eq!((machines(&library).len(), trashed(&library)), (0, vec!["Mint".to_owned()]));
    assert!(matches!(library.restore(&deleted, Some(name("x"))), Err(LibraryError::Broken { .. })));
    let back = library.restore(&deleted, None).unwrap();
    assert_eq!(library.replace_text(&back, good.text()).unwrap(), good);
}

#[test]
fn whatever_lies_among_the_machines_is_listed_and_nothing_is_waited_for() {
    let (_dir, library) = library();
    let folder = library.root().join("machines");
    let machine = |name: &str| {
        std::fs::create_dir(folder.join(name)).unwrap();
        folder.join(name).join(DEFINITION)
    };
    std::fs::write(folder.join("file"), "").unwrap();
    symlink("/nowhere", folder.join("dangling")).unwrap();
    std::fs::create_dir(machine("dir")).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, machine("pipe"), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    std::fs::write(machine("latin1"), b"name = \"\xe9\"").unwrap();
    std::fs::File::create(machine("huge")).unwrap().set_len(1 << 40).unwrap();
    symlink("/dev/zero", machine("zero")).unwrap();
    std::fs::write(folder.join(".directory"), "").unwrap();
    let reasons: Vec<_> = library
        .list()
        .unwrap()
        .into_iter()
        .map(|entry| match entry {
            Listed::Broken(broken) => (broken.name, broken.reason),
            Listed::Machine(machine) => panic!("{machine:?}"),
        })
        .collect();
    let expected = [
        ("dangling", BrokenReason::NoDefinition),
        ("dir", BrokenReason::NotAFile),
        ("file", BrokenReason::NotAFolder),
        ("huge", BrokenReason::TooLarge(1 << 20)),
        ("latin1", BrokenReason::NotText),
        ("pipe", BrokenReason::NotAFile),
        ("zero", BrokenReason::NotAFile),
    ];
    assert_eq!(reasons, expected.map(|(name, reason)| (name.to_owned(), reason)));
    for entry in library.list().unwrap() {
        library.delete(&entry, NOW).unwrap();
    }
    library.empty_trash().unwrap();
    assert!(Path::new("/dev/zero").exists());
}

#[test]
fn a_machine_that_was_copied_by_hand_is_listed_as_a_copy() {
    let (_dir, library) = library();
    let machine = create(&library, "Mint").unwrap();
    let copy = library.root().join("machines/A copy");
    std::fs::create_dir(&copy).unwrap();
    std::fs::write(copy.join(DEFINITION), machine.text()).unwrap();
    assert_eq!(library.find("Mint").unwrap(), machine);
    let listed = library.find_any("A copy").unwrap();
    let Listed::Broken(broken) = &listed else { panic!("{listed:?}") };
    assert_eq!(broken.reason, BrokenReason::SameUuid { name: "Mint".into() });
    assert!(matches!(library.replace_text(&listed, machine.text()), Err(LibraryError::NameTaken { .. })));
    let other = machine.text().replace("\"Mint\"", "\"Copy\"");
    assert!(matches!(library.replace_text(&listed, &other), Err(LibraryError::UuidTaken { .. })));
    let other = other.replace(&machine.uuid().to_string(), &Uuid::new_v4().to_string());
    library.replace_text(&listed, &other).unwrap();
    assert_eq!(library.find("Copy").unwrap().folder(), library.root().join("machines/Copy"));
}

#[test]
fn deleting_for_good_never_leaves_the_folder() {
    let (dir, library) = library();
    let outside = dir.path().join("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("precious"), "x").unwrap();
    let machine = create(&library, "Mint").unwrap();
    symlink(&outside, machine.folder().join("link")).unwrap();
    symlink(outside.join("precious"), machine.disks_dir().join("disk1.raw")).unwrap();
    std::os::unix::net::UnixListener::bind(machine.state_dir().join("socket")).unwrap();
    std::fs::create_dir_all(machine.state_dir().join("a/b/c")).unwrap();
    // The whole machine may be elsewhere, too.
    let elsewhere = dir.path().join("elsewhere");
    std::fs::rename(create(&library, "Far").unwrap().folder(), &elsewhere).unwrap();
    symlink(&elsewhere, library.root().join("machines/Far")).unwrap();
    for name in ["Mint", "Far"] {
        library.delete(&library.find_any(name).unwrap(), NOW).unwrap();
    }
    library.empty_trash().unwrap();
    assert_eq!(std::fs::read_to_string(outside.join("precious")).unwrap(), "x");
    assert!(elsewhere.join(DEFINITION).exists());
    assert_eq!((machines(&library).len(), trashed(&library).len()), (0, 0));
    assert_eq!(left_behind(dir.path()), Vec::<PathBuf>::new());
}

#[test]
fn the_logs_of_the_last_ten_runs_are_kept() {
    let (_dir, library) = library();
    let machine = create(&library, "Mint").unwrap();
    std::fs::write(machine.log_dir().join("notes.txt"), "mine").unwrap();
    let logs: Vec<_> = [0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10].map(|day| machine.new_log(later(day)).unwrap().1).into();
    assert_eq!(logs[1].file_name().unwrap(), "20261122T165544Z~1.log");
    let mut expected = logs[2..].to_vec();
    expected.reverse();
    assert_eq!(machine.logs().unwrap(), expected);
    assert!(machine.log_dir().join("notes.txt").exists());
    std::fs::remove_dir_all(machine.log_dir()).unwrap();
    assert_eq!(machine.logs().unwrap(), Vec::<PathBuf>::new());
    machine.new_log(NOW).unwrap();
}
