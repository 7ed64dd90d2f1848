//! Which test runs where, and for how long at most.

use std::time::Duration;

use serde_json::{Value, json};

use super::build::Program;
use crate::lab;

/// The package whose integration tests boot whole machines.
const WHOLE_MACHINE: &str = "whole-machine";

/// Whole-machine tests whose only guest is *Welcome*, which runs on every KVM: by the file that they are in.
const WELCOME_ALONE: [&str; 1] = ["windows"];

/// Tests of single crates that run guests of a few instructions on KVM, by package and the beginning of their names.
const NEED_KVM: [(&str, &str); 2] = [("hypervisor", "tests::"), ("vmm-engine", "on_kvm::")];

/// A test whose name begins so takes many minutes, and runs when all are asked for.
const LONG: &str = "long_";

/// One test to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Test {
    /// The name that people read, and filters are compared with.
    pub(crate) title: String,
    /// Its program.
    pub(crate) program: String,
    /// Its name in the program.
    pub(crate) name: String,
    /// The folder it runs in.
    pub(crate) dir: String,
    /// It has failed when it takes longer.
    pub(crate) limit: Duration,
}

impl Test {
    /// As the runner reads it.
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "title": self.title, "program": self.program, "name": self.name, "dir": self.dir,
            "limit_seconds": self.limit.as_secs(),
        })
    }

    /// As it was written; nothing if a field is missing.
    pub(crate) fn from_json(value: &Value) -> Option<Self> {
        let text = |name: &str| value[name].as_str().map(str::to_owned);
        Some(Self {
            title: text("title")?,
            program: text("program")?,
            name: text("name")?,
            dir: text("dir")?,
            limit: Duration::from_secs(value["limit_seconds"].as_u64()?),
        })
    }
}

/// What a test needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needs {
    /// Nothing: it runs anywhere.
    Nothing,
    /// A KVM that runs simple guests.
    SimpleKvm,
    /// A KVM that runs real guests.
    Kvm,
    /// The same, and much time.
    KvmForLong,
}

/// What a test of a program needs.
pub(crate) fn needs(program: &Program, name: &str) -> Needs {
    let whole_machine = program.package == WHOLE_MACHINE && program.integration;
    let small_guest = NEED_KVM.iter().any(|(package, prefix)| program.package == *package && name.starts_with(prefix));
    let last = name.rsplit("::").next().unwrap_or(name);
    match (whole_machine, small_guest) {
        (true, _) if last.starts_with(LONG) => Needs::KvmForLong,
        (true, _) if WELCOME_ALONE.contains(&program.target.as_str()) => Needs::SimpleKvm,
        (true, _) | (_, true) => Needs::Kvm,
        (false, false) => Needs::Nothing,
    }
}

/// How long a test may take.
fn limit(needs: Needs) -> Duration {
    Duration::from_secs(match needs {
        Needs::Nothing => 120,
        Needs::SimpleKvm | Needs::Kvm => 900,
        Needs::KvmForLong => 3600,
    })
}

/// A program's test as something to run.
pub(crate) fn test(program: &Program, name: &str) -> Test {
    let package = if program.package == WHOLE_MACHINE { "" } else { &program.package };
    let target =
        if program.package.replace('-', "_") == program.target.replace('-', "_") { "" } else { &program.target };
    let title = [package, target, name].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("::");
    Test {
        title,
        program: program.file.to_string_lossy().into_owned(),
        name: name.to_owned(),
        dir: program.dir.to_string_lossy().into_owned(),
        limit: limit(needs(program, name)),
    }
}

/// A place where tests that need KVM run once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// This machine, as whoever started this.
    Here,
    /// The lab.
    Lab {
        /// The kernel's series.
        kernel: &'static str,
        /// As an ordinary user who is in no group but `kvm`.
        as_user: bool,
    },
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Here => write!(f, "this machine"),
            Self::Lab { kernel, as_user: false } => write!(f, "lab {kernel}, root"),
            Self::Lab { kernel, as_user: true } => write!(f, "lab {kernel}, user"),
        }
    }
}

/// The places to run in, the first of which runs the long tests too. Each test is tried as an ordinary user, since root
/// hides mistakes, and under both kernels of the lab; in every combination if all is asked for.
pub(crate) fn places(here: bool, root: bool, all: bool) -> Vec<Place> {
    let [stable, newer] = lab::SERIES;
    let lab = |kernel, as_user| Place::Lab { kernel, as_user };
    let mut places = Vec::new();
    if here {
        places.push(Place::Here);
    }
    if !here || root || all {
        places.push(lab(stable, true));
    }
    if !here || all {
        places.push(lab(newer, false));
    }
    if all {
        places.extend([lab(newer, true), lab(stable, false)]);
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(package: &str, target: &str, integration: bool) -> Program {
        let (package, target) = (package.to_owned(), target.to_owned());
        Program { package, target, integration, file: "/t/p".into(), dir: "/w".into() }
    }

    #[test]
    fn whole_machines_and_small_guests_need_kvm() {
        let boot = program("whole-machine", "boot", true);
        assert_eq!(needs(&boot, "grub_shows_its_menu"), Needs::Kvm);
        assert_eq!(needs(&program("whole-machine", "windows", true), "a_beep_is_heard"), Needs::SimpleKvm);
        assert_eq!(needs(&boot, "disks::long_verified_writes_survive"), Needs::KvmForLong);
        assert_eq!(needs(&program("whole-machine", "whole_machine", false), "screen::tests::text"), Needs::Nothing);
        assert_eq!(needs(&program("hypervisor", "hypervisor", false), "tests::ports::a_read"), Needs::Kvm);
        assert_eq!(needs(&program("hypervisor", "hypervisor", false), "cpuid::tests::a_leaf"), Needs::Nothing);
    }

    #[test]
    fn a_title_says_everything_once() {
        let title = |program: &Program| test(program, "a::works").title;
        assert_eq!(title(&program("vmm-engine", "vmm_engine", false)), "vmm-engine::a::works");
        assert_eq!(title(&program("app", "tandem", false)), "app::tandem::a::works");
        assert_eq!(title(&program("whole-machine", "boot", true)), "boot::a::works");
    }

    #[test]
    fn every_machine_tries_an_ordinary_user() {
        let user = Place::Lab { kernel: "6.1", as_user: true };
        let newer = Place::Lab { kernel: "6.12", as_user: false };
        assert_eq!(places(false, true, false), [user.clone(), newer]);
        assert_eq!(places(true, true, false), [Place::Here, user]);
        assert_eq!(places(true, false, false), [Place::Here]);
        assert_eq!(places(false, false, true).len(), 4);
    }

    #[test]
    fn a_test_survives_its_way_to_the_runner() {
        let test = test(&program("whole-machine", "boot", true), "grub_shows_its_menu");
        assert_eq!(Test::from_json(&test.to_json()), Some(test));
        assert_eq!(Test::from_json(&json!({"title": "boot"})), None);
    }
}
