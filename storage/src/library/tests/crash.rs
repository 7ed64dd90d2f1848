//! Every operation, stopped at each of its changes: by the death of the process, and by a full disk.

use super::{
    child::{Operation, dies_at, prepared},
    faults::{self, Fault},
    *,
};

/// What a person would see: machines with their processors and disks, in the library and in the trash.
type Seen = (Vec<(String, u32, String)>, Vec<(String, u32, String)>);

fn seen(library: &Library) -> Seen {
    let entry = |content: &Listed| match content {
        Listed::Machine(machine) => {
            let disk = std::fs::read_to_string(machine.disks_dir().join("disk0.raw")).unwrap();
            (machine.name().to_string(), machine.definition().cpus, disk)
        }
        Listed::Broken(broken) => panic!("{broken:?}"),
    };
    let trash = library.trash().unwrap();
    (library.list().unwrap().iter().map(entry).collect(), trash.iter().map(|trashed| entry(&trashed.content)).collect())
}

fn machine(name: &str, cpus: u32, disk: &str) -> (String, u32, String) {
    (name.to_owned(), cpus, disk.to_owned())
}

/// What is seen before the operation, after it, and, if its first part can be seen alone, in between.
fn states(operation: Operation) -> (Seen, Seen, Option<Seen>) {
    let (mint, gone) = (|| machine("Mint", 2, "Mint"), || machine("Gone", 2, "Gone"));
    let old = (vec![mint()], vec![gone()]);
    let (new, between) = match operation {
        Operation::Create => ((vec![mint(), machine("New", 2, "New")], vec![gone()]), None),
        Operation::Update => ((vec![machine("Mint", 7, "Mint")], vec![gone()]), None),
        Operation::Rename => ((vec![machine("New", 2, "Mint")], vec![gone()]), None),
        // Both deleted in the same second: by name.
        Operation::Delete => ((vec![], vec![mint(), gone()]), None),
        Operation::Restore => ((vec![gone(), mint()], vec![]), None),
        Operation::RestoreAs => {
            ((vec![mint(), machine("New", 2, "Gone")], vec![]), Some((vec![mint()], vec![machine("New", 2, "Gone")])))
        }
        Operation::Purge | Operation::Expire => ((vec![mint()], vec![]), None),
        Operation::Run | Operation::Log => (old.clone(), None),
    };
    (old, new, between)
}

/// At least so many changes each operation has: fewer, and the test doesn't see them.
fn least_steps(operation: Operation) -> usize {
    match operation {
        Operation::Create => 15,
        Operation::Purge | Operation::Expire => 10,
        Operation::Log => 1,
        _ => 3,
    }
}

/// What must hold after anything, once the library was opened again.
fn check(root: &Path, operation: Operation, nth: usize) -> Seen {
    let library = Library::open(root, NOW).unwrap();
    let (old, new, between) = states(operation);
    let now = seen(&library);
    assert!(now == old || now == new || Some(&now) == between.as_ref(), "{operation:?} at {nth}: {now:?}");
    assert_eq!(left_behind(root), Vec::<PathBuf>::new(), "{operation:?} at {nth}");
    for listed in library.list().unwrap() {
        let machine = listed.into_machine().unwrap();
        assert!(!matches!(library.presence(&machine).unwrap(), Presence::Owned(_)), "{operation:?} at {nth}");
        assert!(machine.logs().unwrap().len() <= RUNS_KEPT + 1, "{operation:?} at {nth}");
    }
    now
}

fn survives_death_at_each_change(operation: Operation) {
    let (mut nth, mut old_seen, mut new_seen) = (0, 0, 0);
    loop {
        let (dir, _library) = prepared();
        let died = dies_at(nth, operation, dir.path());
        let (_, new, _) = states(operation);
        let now = check(dir.path(), operation, nth);
        if now == new {
            new_seen += 1;
        } else {
            old_seen += 1;
            assert!(died, "{operation:?} did nothing");
            // And it can be done now.
            operation.run(dir.path()).unwrap();
            assert_eq!(check(dir.path(), operation, nth), new, "{operation:?} after its death at {nth}");
        }
        if !died {
            break;
        }
        nth += 1;
    }
    println!("{operation:?}: died at {nth} changes; {old_seen} times nothing had happened, {new_seen} times it had");
    assert!(nth >= least_steps(operation), "{operation:?} was seen to make {nth} changes");
}

fn survives_failure_of_each_change(operation: Operation) {
    let mut nth = 0;
    loop {
        let (dir, _library) = prepared();
        faults::plan(nth, Fault::Fail);
        let result = operation.run(dir.path());
        let done = faults::unused();
        let (old, new, between) = states(operation);
        // Before the next open: a failure has cleaned up after itself.
        let now = seen(&Library { root: dir.path().canonicalize().unwrap() });
        match &result {
            Ok(()) => assert!(now == new || operation == Operation::Expire, "{operation:?} at {nth}: {now:?}"),
            Err(error) => {
                let text = error.to_string();
                assert!(text.contains("the disk is full. Nothing was changed"), "{operation:?} at {nth}: {text}");
                // Deleting goes on later, but is decided.
                let decided = operation == Operation::Purge && now == new;
                assert!(now == old || Some(&now) == between.as_ref() || decided, "{operation:?} at {nth}: {now:?}");
            }
        }
        if result.is_err() && operation != Operation::Purge {
            assert_eq!(left_behind(dir.path()), Vec::<PathBuf>::new(), "{operation:?} at {nth}");
        }
        check(dir.path(), operation, nth);
        if done {
            break;
        }
        nth += 1;
    }
    assert!(nth >= least_steps(operation), "{operation:?} was seen to make {nth} changes");
}

macro_rules! each_operation {
    ($($name:ident: $operation:ident,)+) => {
        $(mod $name {
            use super::*;

            #[test]
            fn survives_the_death_of_its_process_at_each_change() {
                survives_death_at_each_change(Operation::$operation);
            }

            #[test]
            fn survives_a_full_disk_at_each_change() {
                survives_failure_of_each_change(Operation::$operation);
            }
        })+
    };
}

each_operation! {
    creating: Create,
    updating: Update,
    renaming: Rename,
    deleting: Delete,
    restoring: Restore,
    restoring_under_another_name: RestoreAs,
    purging: Purge,
    expiring: Expire,
    beginning_a_run: Run,
    beginning_a_log: Log,
}

/// Opens the library when everything that can be left behind is.
#[test]
fn cleaning_up_survives_the_death_of_its_process_at_each_change() {
    let litter = |root: &Path| {
        for folder in ["machines/.new-1/disks", "machines/.new-2", "trash/.purge-1/disks"] {
            std::fs::create_dir_all(root.join(folder)).unwrap();
        }
        for file in [
            "machines/.new-1/lock",
            "machines/.new-1/disks/a",
            "machines/Mint/.machine.toml.new",
            "machines/Mint/.run.json.new",
            "trash/.purge-1/disks/b",
        ] {
            std::fs::write(root.join(file), "x").unwrap();
        }
    };
    let mut nth = 0;
    loop {
        let (dir, _library) = prepared();
        litter(dir.path());
        let died = dies_at(nth, Operation::Expire, dir.path());
        check(dir.path(), Operation::Expire, nth);
        if !died {
            break;
        }
        nth += 1;
    }
    assert!(nth >= 30, "only {nth} changes were seen");
}

#[test]
fn what_gets_its_name_was_made_durable_before() {
    let (_dir, library) = library();
    faults::calls();
    let machine = create(&library, "Mint").unwrap();
    let calls = faults::calls();
    let at = |call: &str| calls.iter().rposition(|known| known == call).unwrap_or_else(|| panic!("{call}: {calls:?}"));
    let named = at("rename Mint");
    for call in ["fsync machine.toml", "fsync disk0.raw", "fsync disks"] {
        assert!(at(call) < named, "{call}: {calls:?}");
    }
    assert!(at("fsync machines") > named, "{calls:?}");
    library.update(&machine, Owner::Nobody, |definition| definition.cpus = 4).unwrap();
    let calls = faults::calls();
    let steps = [
        "create .machine.toml.new",
        "write .machine.toml.new",
        "fsync .machine.toml.new",
        "rename machine.toml",
        "fsync Mint",
    ];
    assert_eq!(calls, steps);
}
