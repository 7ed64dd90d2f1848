//! Operations in a child process, which is this test program again: it can be killed at a change that was chosen, and
//! can be another user.

use std::{
    env,
    os::unix::process::ExitStatusExt as _,
    process::{Command, Output},
};

use super::{
    faults::{self, Fault},
    *,
};

const OPERATION: &str = "TANDEM_TEST_OPERATION";
const ROOT: &str = "TANDEM_TEST_ROOT";
const NTH: &str = "TANDEM_TEST_NTH";

/// Something that changes a library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    /// Makes a machine "New".
    Create,
    /// Gives "Mint" 7 processors.
    Update,
    /// Calls "Mint" "New".
    Rename,
    /// Deletes "Mint".
    Delete,
    /// Brings "Gone" back.
    Restore,
    /// Brings "Gone" back as "New".
    RestoreAs,
    /// Purges "Gone".
    Purge,
    /// Opens the library when "Gone" has been in the trash too long.
    Expire,
    /// Runs "Mint", without an end.
    Run,
    /// Begins a log of "Mint" when there are ten.
    Log,
}

impl Operation {
    pub(super) const ALL: [Operation; 10] = [
        Operation::Create,
        Operation::Update,
        Operation::Rename,
        Operation::Delete,
        Operation::Restore,
        Operation::RestoreAs,
        Operation::Purge,
        Operation::Expire,
        Operation::Run,
        Operation::Log,
    ];

    pub(super) fn run(self, root: &Path) -> Result<(), LibraryError> {
        let now = if self == Operation::Expire { later(31) } else { NOW };
        let library = Library::open(root, now)?;
        match self {
            Operation::Create => create(&library, "New").map(drop),
            Operation::Update => {
                library.update(&library.find("Mint")?, Owner::Nobody, |definition| definition.cpus = 7).map(drop)
            }
            Operation::Rename => library.rename(&library.find("Mint")?, name("New")).map(drop),
            Operation::Delete => library.delete(&library.find_any("Mint")?, NOW).map(drop),
            Operation::Restore => library.restore(&library.find_in_trash("Gone")?, None).map(drop),
            // After a crash it may be called so already.
            Operation::RestoreAs => library
                .find_in_trash("Gone")
                .or_else(|_| library.find_in_trash("New"))
                .and_then(|gone| library.restore(&gone, Some(name("New"))))
                .map(drop),
            Operation::Purge => library.purge(&library.find_in_trash("Gone")?),
            Operation::Expire => Ok(()),
            Operation::Run => {
                library.lock("Mint")?.1.begin_run(&RunRecord::of_this_process(NOW, "/run/x.sock".into(), None))
            }
            Operation::Log => library.find("Mint")?.new_log(later(20)).map(drop),
        }
    }
}

/// A library with a machine "Mint", that has been run, and a machine "Gone" in the trash.
pub(super) fn prepared() -> (TempDir, Library) {
    let (dir, library) = library();
    let machine = create(&library, "Mint").unwrap();
    for day in 0..10 {
        machine.new_log(later(day)).unwrap();
    }
    let gone = create(&library, "Gone").unwrap();
    std::fs::create_dir(gone.state_dir().join("units")).unwrap();
    std::fs::write(gone.state_dir().join("units/cpu.bin"), "cpu").unwrap();
    library.delete(&Listed::Machine(gone), NOW).unwrap();
    (dir, library)
}

/// This test program, as the child that does `operation`, with `program` before it (such as `setpriv`).
pub(super) fn command(program: &[&str], binary: &Path, operation: Operation, root: &Path) -> Command {
    let mut words = program.iter().map(|word| std::ffi::OsStr::new(*word)).chain([binary.as_os_str()]);
    let mut command = Command::new(words.next().unwrap());
    command.args(words).args(["--exact", "library::tests::child::an_operation_in_a_child_process", "--nocapture"]);
    command.env(OPERATION, format!("{operation:?}")).env(ROOT, root).env_remove(NTH);
    command
}

/// Does `operation` in a child that dies at change `nth`. `false` when it was done before there.
pub(super) fn dies_at(nth: usize, operation: Operation, root: &Path) -> bool {
    let output =
        command(&[], &env::current_exe().unwrap(), operation, root).env(NTH, nth.to_string()).output().unwrap();
    if output.status.signal() == Some(9) {
        return true;
    }
    assert_eq!(result(&output), "ok", "{operation:?} at {nth}");
    false
}

/// What came of the operation: `ok`, or the error.
pub(super) fn result(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout);
    let result = text.lines().find_map(|line| line.strip_prefix("result: "));
    result.unwrap_or_else(|| panic!("{output:?}")).to_owned()
}

/// Not a test by itself, unless it is called as a child: then without the variables it does nothing.
#[test]
fn an_operation_in_a_child_process() {
    let (Ok(operation), Some(root)) = (env::var(OPERATION), env::var_os(ROOT)) else { return };
    let operation = Operation::ALL.into_iter().find(|known| format!("{known:?}") == operation).unwrap();
    if let Ok(nth) = env::var(NTH) {
        faults::plan(nth.parse().unwrap(), Fault::Die);
    }
    let result = operation.run(Path::new(&root));
    println!("\nresult: {}", result.map_or_else(|error| error.to_string(), |()| "ok".to_owned()));
}
