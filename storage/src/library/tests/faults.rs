//! Stops the library at its nth change: by an error of the host, or by the death of the process.

use std::{cell::RefCell, io, path::Path};

/// What happens at the change that was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::library) enum Fault {
    /// The host says that the disk is full.
    Fail,
    /// The process dies as by `kill -9`.
    Die,
}

struct Plan {
    /// Changes until it happens; it happens once.
    left: usize,
    fault: Fault,
}

thread_local! {
    static PLAN: RefCell<Option<Plan>> = const { RefCell::new(None) };
    static CALLS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Lets `fault` happen at change number `nth`, from 0, of this thread.
pub(in crate::library) fn plan(nth: usize, fault: Fault) {
    PLAN.set(Some(Plan { left: nth, fault }));
}

/// Ends the plan, and says whether nothing came of it.
pub(in crate::library) fn unused() -> bool {
    PLAN.take().is_some()
}

/// The changes of this thread since the last time, as `call file-name`.
pub(in crate::library) fn calls() -> Vec<String> {
    CALLS.take()
}

pub(in crate::library) fn step(call: &str, path: &Path) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    CALLS.with_borrow_mut(|calls| calls.push(format!("{call} {name}")));
    let due = PLAN.with_borrow_mut(|plan| match plan {
        Some(Plan { left: 0, fault }) => {
            let fault = *fault;
            *plan = None;
            Some(fault)
        }
        Some(Plan { left, .. }) => {
            *left -= 1;
            None
        }
        None => None,
    });
    match due {
        None => Ok(()),
        Some(Fault::Fail) => Err(io::ErrorKind::StorageFull.into()),
        Some(Fault::Die) => {
            let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
            unreachable!("SIGKILL ends the process")
        }
    }
}
