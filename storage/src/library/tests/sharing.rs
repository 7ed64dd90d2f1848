//! Several processes and threads with one library.

use std::{
    process::{Command, Stdio},
    sync::Barrier,
    thread,
};

use machine::definition::CdDrive;

use super::{
    child::{self, Operation},
    *,
};

fn record() -> RunRecord {
    RunRecord::of_this_process(NOW, "/run/x.sock".into(), None)
}

#[test]
fn of_many_who_make_the_same_machine_one_succeeds() {
    let (dir, library) = library();
    let start = Barrier::new(8);
    let results: Vec<_> = thread::scope(|scope| {
        let makers: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    start.wait();
                    create(&library, "Mint")
                })
            })
            .collect();
        makers.into_iter().map(|maker| maker.join().unwrap()).collect()
    });
    let (made, refused): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
    assert_eq!((made.len(), refused.len()), (1, 7));
    assert!(refused.iter().all(|result| matches!(result, Err(LibraryError::NameTaken { .. }))), "{refused:?}");
    assert_eq!(machines(&library), ["Mint"]);
    assert_eq!(left_behind(dir.path()), Vec::<PathBuf>::new());
}

#[test]
fn of_many_processes_that_make_the_same_machine_one_succeeds() {
    let (dir, library) = library();
    let binary = std::env::current_exe().unwrap();
    let makers: Vec<_> = (0..4)
        .map(|_| child::command(&[], &binary, Operation::Create, dir.path()).stdout(Stdio::piped()).spawn().unwrap())
        .collect();
    let mut results: Vec<_> =
        makers.into_iter().map(|maker| child::result(&maker.wait_with_output().unwrap())).collect();
    results.sort();
    assert_eq!(results.remove(0), "ok");
    assert!(results.iter().all(|result| result.starts_with("there is already a machine called 'New'")), "{results:?}");
    assert_eq!(machines(&library), ["New"]);
    assert_eq!(left_behind(dir.path()), Vec::<PathBuf>::new());
}

#[test]
fn of_many_who_change_the_same_machine_nobody_overwrites_another() {
    let (_dir, library) = library();
    create(&library, "Mint").unwrap();
    let start = Barrier::new(4);
    thread::scope(|scope| {
        for number in 0..4 {
            let (library, start) = (&library, &start);
            scope.spawn(move || {
                start.wait();
                let mut changed = false;
                while !changed {
                    let machine = library.find("Mint").unwrap();
                    let result = library.update(&machine, Owner::Nobody, |definition| {
                        definition.notes.push_str(&format!("<{number}>"));
                    });
                    assert!(matches!(result, Ok(_) | Err(LibraryError::Changed { .. })), "{result:?}");
                    changed = result.is_ok();
                }
            });
        }
    });
    let notes = library.find("Mint").unwrap().definition().notes.clone();
    assert_eq!(notes.len(), 12, "{notes}");
    assert!((0..4).all(|number| notes.contains(&format!("<{number}>"))), "{notes}");
}

#[test]
fn a_machine_that_somebody_owns_is_not_changed() {
    let (dir, library) = library();
    create(&library, "Mint").unwrap();
    let (machine, lock) = library.lock("Mint").unwrap();
    assert_eq!(library.presence(&machine).unwrap(), Presence::Owned(None));
    let before = tree(dir.path());
    let listed = Listed::Machine(machine.clone());
    assert!(matches!(library.lock("Mint"), Err(LibraryError::Running { .. })));
    assert!(matches!(library.rename(&machine, name("x")), Err(LibraryError::Running { .. })));
    assert!(matches!(library.replace_text(&listed, machine.text()), Err(LibraryError::Running { .. })));
    assert_eq!(
        library.delete(&listed, NOW).unwrap_err().to_string(),
        "'Mint' is running. Nothing was changed. Stop it first"
    );
    assert_eq!(tree(dir.path()), before);
    drop(lock);
    assert_eq!(library.presence(&machine).unwrap(), Presence::Off);
    library.delete(&listed, NOW).unwrap();
}

#[test]
fn looking_at_a_machine_never_keeps_anybody_from_owning_it() {
    let (_dir, library) = library();
    let machine = create(&library, "Mint").unwrap();
    let done = std::sync::atomic::AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                library.presence(&machine).unwrap();
            }
        });
        let results: Vec<_> = (0..300).map(|_| library.lock("Mint").map(drop)).collect();
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(results.iter().all(Result::is_ok), "{results:?}");
    });
}

#[test]
fn of_a_machine_that_runs_discs_may_be_changed_and_nothing_else() {
    let (_dir, library) = library();
    let machine = create(&library, "Mint").unwrap();
    library
        .update(&machine, Owner::Nobody, |definition| {
            definition.cdroms.push(CdDrive { id: "cd0".into(), file: None });
        })
        .unwrap();
    let (machine, _lock) = library.lock("Mint").unwrap();
    let disc = FilePath::new("/x.iso").unwrap();
    let insert = |definition: &mut Definition| definition.cdroms[0].file = Some(disc.clone());
    let nobody = library.update(&machine, Owner::Nobody, insert);
    assert!(matches!(nobody, Err(LibraryError::Running { .. })));
    let more = library.update(&machine, Owner::Whoever, |definition| definition.cpus = 1);
    assert!(matches!(more, Err(LibraryError::OnlyDiscs { .. })));
    let drive = library.update(&machine, Owner::Whoever, |definition| definition.cdroms.clear());
    assert!(matches!(drive, Err(LibraryError::OnlyDiscs { .. })));
    let changed = library.update(&machine, Owner::Whoever, insert).unwrap();
    assert_eq!(library.find("Mint").unwrap(), changed);
    assert_eq!(changed.definition().cdroms[0].file, Some(disc));
}

#[test]
fn who_has_locked_a_machine_may_change_it_and_no_other() {
    let (_dir, library) = library();
    create(&library, "Mint").unwrap();
    create(&library, "Other").unwrap();
    let (machine, lock) = library.lock("Mint").unwrap();
    let (_, other) = library.lock("Other").unwrap();
    let foreign = library.update(&machine, Owner::Me(&other), |definition| definition.cpus = 1);
    assert!(matches!(foreign, Err(LibraryError::Running { .. })));
    let changed = library.update(&machine, Owner::Me(&lock), |definition| definition.cpus = 1).unwrap();
    assert_eq!(changed.definition().cpus, 1);
}

#[test]
fn a_run_that_ends_is_off_and_one_that_dies_is_a_crash() {
    let (_dir, library) = library();
    create(&library, "Mint").unwrap();
    let (machine, lock) = library.lock("Mint").unwrap();
    lock.begin_run(&record()).unwrap();
    assert_eq!(library.presence(&machine).unwrap(), Presence::Owned(Some(record())));
    lock.end_run().unwrap();
    drop(lock);
    assert_eq!(library.presence(&machine).unwrap(), Presence::Off);
    let (_, lock) = library.lock("Mint").unwrap();
    lock.begin_run(&record()).unwrap();
    drop(lock);
    assert_eq!(library.presence(&machine).unwrap(), Presence::Crashed(record()));
    // Whoever ended the process because a person wanted it says so, unless another run has begun.
    let other = RunRecord { started: 1, ..record() };
    library.end_run_of(&machine, &other).unwrap();
    assert_eq!(library.presence(&machine).unwrap(), Presence::Crashed(record()));
    library.end_run_of(&machine, &record()).unwrap();
    assert_eq!(library.presence(&machine).unwrap(), Presence::Off);
    // A process that failed to take over takes its own record back, and no other.
    let (_, lock) = library.lock("Mint").unwrap();
    lock.begin_run(&RunRecord { pid: u32::MAX, ..record() }).unwrap();
    RunRecord::withdraw_own(machine.folder()).unwrap();
    assert!(machine.folder().join("run.json").exists());
    lock.begin_run(&record()).unwrap();
    RunRecord::withdraw_own(machine.folder()).unwrap();
    assert!(!machine.folder().join("run.json").exists());
    drop(lock);
    // What a person or a full disk made of it is no record.
    std::fs::write(machine.folder().join("run.json"), "{").unwrap();
    assert_eq!(library.presence(&machine).unwrap(), Presence::Off);
}

#[test]
fn whoever_takes_the_machine_after_a_crash_is_told() {
    let (_dir, library) = library();
    let machine = create(&library, "Mint").unwrap();
    let lock = library.lock("Mint").unwrap().1;
    assert!(!lock.follows_a_crash());
    lock.begin_run(&record()).unwrap();
    lock.end_run().unwrap();
    drop(lock);
    let lock = library.lock("Mint").unwrap().1;
    assert!(!lock.follows_a_crash());
    lock.begin_run(&record()).unwrap();
    drop(lock);
    let lock = library.lock("Mint").unwrap().1;
    assert!(lock.follows_a_crash());
    // A record that can't be read is one of a crash as well.
    std::fs::write(machine.folder().join("run.json"), "{").unwrap();
    assert!(lock.follows_a_crash());
}

#[test]
fn a_child_process_inherits_the_machine_and_its_death_ends_the_ownership() {
    let (_dir, library) = library();
    create(&library, "Mint").unwrap();
    let (machine, lock) = library.lock("Mint").unwrap();
    lock.begin_run(&record()).unwrap();
    let mut child = Command::new("sleep").arg("600").stdin(Stdio::from(lock.into_fd())).spawn().unwrap();
    // This process doesn't have it any more: the record, which names it, is not the child's.
    assert_eq!(library.presence(&machine).unwrap(), Presence::Owned(None));
    assert!(matches!(library.lock("Mint"), Err(LibraryError::Running { .. })));
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(library.presence(&machine).unwrap(), Presence::Crashed(record()));
    library.lock("Mint").unwrap();
}

#[test]
fn a_descriptor_is_taken_over_only_if_it_is_this_machines_lock() {
    let (_dir, library) = library();
    create(&library, "Mint").unwrap();
    create(&library, "Other").unwrap();
    let (mint, lock) = library.lock("Mint").unwrap();
    let (other, other_lock) = library.lock("Other").unwrap();
    let lock = MachineLock::from_fd(lock.into_fd(), mint.folder(), "Mint").unwrap();
    assert_eq!(lock.folder(), mint.folder());
    let error = MachineLock::from_fd(lock.into_fd(), other.folder(), "Other").unwrap_err().to_string();
    assert!(error.starts_with("can't take over the lock"), "{error}");
    // The right file, opened anew while somebody else has the lock.
    let fresh = std::fs::File::open(other.folder().join("lock")).unwrap();
    assert!(matches!(MachineLock::from_fd(fresh.into(), other.folder(), "Other"), Err(LibraryError::Running { .. })));
    drop(other_lock);
}

#[test]
fn nobody_cleans_away_what_a_living_process_makes() {
    let (dir, library) = library();
    let draft = library.draft(&name("Mint")).unwrap();
    let (machine, lock) = {
        create(&library, "Other").unwrap();
        library.lock("Other").unwrap()
    };
    std::fs::write(machine.folder().join(".run.json.new"), "half").unwrap();
    Library::open(dir.path(), NOW).unwrap();
    assert!(machine.folder().join(".run.json.new").exists());
    let definition = Definition::new(name("Mint"), draft.uuid());
    draft.commit(definition).unwrap();
    drop(lock);
    Library::open(dir.path(), NOW).unwrap();
    assert_eq!(left_behind(dir.path()), Vec::<PathBuf>::new());
    assert_eq!(machines(&library), ["Mint", "Other"]);
}

#[test]
fn a_new_machine_can_stay_locked_until_it_is_started() {
    let (_dir, library) = library();
    let draft = library.draft(&name("Mint")).unwrap();
    let definition = Definition::new(name("Mint"), draft.uuid());
    let (machine, lock) = draft.commit_locked(definition).unwrap();
    assert!(matches!(library.lock("Mint"), Err(LibraryError::Running { .. })));
    assert_eq!(lock.folder(), machine.folder());
    lock.begin_run(&record()).unwrap();
    assert!(machine.folder().join("run.json").exists());
}

#[test]
fn two_libraries_have_sockets_of_their_own() {
    let (_one, one) = library();
    let (_two, two) = library();
    let uuid = Uuid::new_v4();
    let (a, b) = (one.socket_path(uuid).unwrap(), two.socket_path(uuid).unwrap());
    assert_ne!(a, b);
    assert_eq!(a, one.socket_path(uuid).unwrap());
    assert!(a.as_os_str().len() <= 107, "{}", a.display());
}
