//! What this host can do for machines: findings for the doctor, each with its fix, and whether real guests run.
//!
//! Sources: `/dev/kvm`, `/proc/cpuinfo`, `/sys/module`, `/sys/class/dmi/id`, and a trial with a guest of our own.

mod descriptors;
mod trial;
mod trial_guest;

#[cfg(test)]
mod tests;

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    time::Duration,
};

use kvm_ioctls::Kvm;

pub use self::descriptors::close_on_exec_from;
use self::trial::Trial;
use crate::{
    capability,
    error::PartitionError,
    partition::{create_vm, open},
};

/// How long the trial may take. It is over in a second, even on slow hosts.
const TRIAL_LIMIT: Duration = Duration::from_secs(20);

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// As it should be.
    Ok,
    /// Good to know.
    Note,
    /// Something will be slower, or may fail.
    Warning,
    /// No machine runs before this is put right.
    Problem,
}

/// What a person does about a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fix {
    /// A command for the shell.
    Command(String),
    /// A sentence.
    Advice(String),
}

impl fmt::Display for Fix {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fix::Command(command) => write!(formatter, "Run `{command}`."),
            Fix::Advice(advice) => formatter.write_str(advice),
        }
    }
}

/// One thing that the doctor looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// A stable name, such as `kvm-device`.
    pub id: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What was found: a sentence.
    pub what: String,
    /// What it means: a sentence, or nothing where the first says it all.
    pub meaning: String,
    /// What to do about it.
    pub fix: Option<Fix>,
}

/// Which KVM the host's kernel has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KvmKind {
    /// `kvm_intel`: Intel VT-x.
    Intel,
    /// `kvm_amd`: AMD-V.
    Amd,
    /// `kvm_pvm`: without the processor's help, for guests that are built for it.
    Pvm,
}

impl KvmKind {
    const ALL: [KvmKind; 3] = [KvmKind::Intel, KvmKind::Amd, KvmKind::Pvm];

    /// The kernel module's name.
    #[must_use]
    pub fn module(self) -> &'static str {
        match self {
            KvmKind::Intel => "kvm_intel",
            KvmKind::Amd => "kvm_amd",
            KvmKind::Pvm => "kvm_pvm",
        }
    }
}

/// Whether unmodified operating systems run on this host's KVM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RealGuests {
    /// They do.
    Yes,
    /// They don't.
    No {
        /// Why, for a person.
        reason: String,
        /// What exactly went wrong, for the log.
        details: String,
    },
    /// There is no KVM that could be tried.
    NoKvm {
        /// Why, for a person.
        reason: String,
    },
}

/// Modules of other hypervisors, and whose they are.
const RIVALS: [(&str, &str); 2] = [("vboxdrv", "VirtualBox"), ("vmmon", "VMware")];

/// A host to look at.
#[derive(Debug, Clone)]
pub struct Host {
    root: PathBuf,
}

impl Default for Host {
    fn default() -> Self {
        Self::new()
    }
}

impl Host {
    /// This host.
    #[must_use]
    pub fn new() -> Self {
        Self::at("/")
    }

    /// A host whose `/dev`, `/proc` and `/sys` are below `root`.
    #[must_use]
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Host { root: root.into() }
    }

    fn device(&self) -> PathBuf {
        self.root.join("dev/kvm")
    }

    fn has_module(&self, name: &str) -> bool {
        self.root.join("sys/module").join(name).exists()
    }

    fn read(&self, path: impl AsRef<Path>) -> Option<String> {
        let text = fs::read_to_string(self.root.join(path)).ok()?;
        let text = text.trim();
        (!text.is_empty()).then(|| text.to_owned())
    }

    fn has_cpu_flag(&self, flag: &str) -> bool {
        let info = self.read("proc/cpuinfo").unwrap_or_default();
        let flags = info.lines().find(|line| line.starts_with("flags")).and_then(|line| line.split_once(':'));
        flags.is_some_and(|(_, flags)| flags.split_whitespace().any(|word| word == flag))
    }

    /// Which KVM is loaded.
    #[must_use]
    pub fn kvm_kind(&self) -> Option<KvmKind> {
        KvmKind::ALL.into_iter().find(|kind| self.has_module(kind.module()))
    }

    /// Tries whether unmodified operating systems run. Takes up to a second, and longer where they don't.
    #[must_use]
    pub fn real_guests(&self) -> RealGuests {
        match trial::run(&self.device(), TRIAL_LIMIT) {
            Ok(Trial::Passed) => RealGuests::Yes,
            Ok(Trial::Failed { step, why }) => {
                let details = format!("the trial ended in its step \"{step}\": {why}");
                let reason = match self.kvm_kind() {
                    Some(KvmKind::Pvm) => "This host's KVM (kvm_pvm) runs only specially built guests: an unmodified \
                                           system will not start."
                        .to_owned(),
                    _ => format!("This host's KVM can't run an unmodified system: a trial ended at {step}."),
                };
                RealGuests::No { reason, details }
            }
            Err(error) => RealGuests::NoKvm { reason: error.to_string() },
        }
    }

    /// Looks at everything that machines need, and tries it.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        let mut findings = vec![self.processor(), self.module()];
        findings.extend(self.nesting());
        findings.extend(self.rivals());
        match open(&self.device()) {
            Err(error) => findings.push(self.no_device(&error)),
            Ok(kvm) => {
                findings.push(found("kvm-device", "This account may use KVM."));
                findings.push(capabilities(&kvm));
                findings.push(self.free(&kvm));
                findings.push(self.trial());
            }
        }
        findings
    }

    fn processor(&self) -> Finding {
        let id = "processor";
        for (flag, name) in [("vmx", "Intel VT-x"), ("svm", "AMD-V")] {
            if self.has_cpu_flag(flag) {
                return found(id, format!("The processor has {name}."));
            }
        }
        let what = "The processor doesn't show Intel VT-x or AMD-V.".to_owned();
        if self.kvm_kind() == Some(KvmKind::Pvm) {
            let meaning = "KVM works here without the processor's help.".into();
            return Finding { id, severity: Severity::Note, what, meaning, fix: None };
        }
        let fix = Fix::Advice(if self.has_cpu_flag("hypervisor") {
            "This host is itself a virtual machine: switch on nested virtualization in its hypervisor.".into()
        } else {
            "Switch on virtualization (Intel VT-x, AMD-V or SVM) in the computer's firmware set-up.".into()
        });
        Finding { id, severity: Severity::Problem, what, meaning: "No machine can run.".into(), fix: Some(fix) }
    }

    fn module(&self) -> Finding {
        let id = "kvm-kind";
        match self.kvm_kind() {
            Some(kind @ KvmKind::Pvm) => Finding {
                id,
                severity: Severity::Warning,
                what: format!("The host's KVM is {}.", kind.module()),
                meaning: "It is made for guests that are built for it.".into(),
                fix: None,
            },
            Some(kind) => found(id, format!("The host's KVM is {}.", kind.module())),
            None => Finding {
                id,
                severity: Severity::Problem,
                what: "The kernel's KVM isn't loaded.".into(),
                meaning: "No machine can run.".into(),
                fix: Some(Fix::Command(self.load_command().into())),
            },
        }
    }

    fn load_command(&self) -> &'static str {
        if self.has_cpu_flag("svm") { "sudo modprobe kvm_amd" } else { "sudo modprobe kvm_intel" }
    }

    fn nesting(&self) -> Option<Finding> {
        if !self.has_cpu_flag("hypervisor") {
            return None;
        }
        let dmi = |file| self.read(Path::new("sys/class/dmi/id").join(file));
        let maker: Vec<_> = ["sys_vendor", "product_name"].into_iter().filter_map(dmi).collect();
        let what = match maker.join(" ") {
            maker if maker.is_empty() => "This host is itself a virtual machine.".into(),
            maker => format!("This host is itself a virtual machine ({maker})."),
        };
        let meaning = "Machines in it are slower than on the computer itself.".into();
        Some(Finding { id: "nested", severity: Severity::Note, what, meaning, fix: None })
    }

    fn rivals(&self) -> impl Iterator<Item = Finding> + '_ {
        RIVALS.into_iter().filter(|(module, _)| self.has_module(module)).map(|(module, name)| Finding {
            id: "conflict",
            severity: Severity::Note,
            what: format!("{name} is installed and its module ({module}) is loaded."),
            meaning: "While one of its machines runs, the processor's virtualization may be taken.".into(),
            fix: Some(Fix::Advice(format!("If a machine doesn't start, close {name}'s machines first."))),
        })
    }

    fn no_device(&self, error: &PartitionError) -> Finding {
        let device = self.device();
        let device = device.display();
        let problem = |id, what: String, meaning: &str, fix| Finding {
            id,
            severity: Severity::Problem,
            what,
            meaning: meaning.to_owned(),
            fix,
        };
        let none = "No machine can run.";
        match error {
            PartitionError::Missing { .. } => problem(
                "kvm-device",
                format!("There is no {device}."),
                none,
                Some(Fix::Command(self.load_command().into())),
            ),
            PartitionError::NotAllowed { .. } => problem(
                "kvm-device",
                format!("This account may not use {device}."),
                "No machine can run from this account.",
                Some(Fix::Advice("Run `sudo usermod -aG kvm $USER` and log in again.".into())),
            ),
            PartitionError::Busy => busy(),
            PartitionError::Lacks { capability } => problem(
                "kvm-capabilities",
                format!("The host's KVM lacks {capability}."),
                none,
                Some(Fix::Advice("Update the host's kernel.".into())),
            ),
            other => problem("kvm-device", other.to_string(), none, None),
        }
    }

    fn free(&self, kvm: &Kvm) -> Finding {
        match create_vm(kvm) {
            Ok(_) => found("kvm-free", "The processor's virtualization is free."),
            Err(PartitionError::Busy) => busy(),
            Err(error) => Finding {
                id: "kvm-free",
                severity: Severity::Problem,
                what: error.to_string(),
                meaning: "No machine can run.".into(),
                fix: None,
            },
        }
    }

    fn trial(&self) -> Finding {
        let id = "real-guests";
        match self.real_guests() {
            RealGuests::Yes => found(id, "Unmodified operating systems run: tried with a small guest."),
            RealGuests::No { reason, details } => Finding {
                id,
                severity: Severity::Problem,
                what: reason,
                meaning: format!("Tried with a small guest: {details}."),
                fix: None,
            },
            RealGuests::NoKvm { reason } => {
                Finding { id, severity: Severity::Problem, what: reason, meaning: String::new(), fix: None }
            }
        }
    }
}

fn found(id: &'static str, what: impl Into<String>) -> Finding {
    Finding { id, severity: Severity::Ok, what: what.into(), meaning: String::new(), fix: None }
}

fn busy() -> Finding {
    Finding {
        id: "kvm-free",
        severity: Severity::Problem,
        what: "Another program, such as VirtualBox or VMware, is using the processor's virtualization.".into(),
        meaning: "No machine can run until it is free.".into(),
        fix: Some(Fix::Advice("Close the other program's machines.".into())),
    }
}

/// What an opened KVM is weaker without.
fn capabilities(kvm: &Kvm) -> Finding {
    let id = "kvm-capabilities";
    let weaker: Vec<_> = capability::weaker(kvm).map(|lack| format!("{} ({})", lack.name, lack.meaning)).collect();
    if weaker.is_empty() {
        return found(id, "The host's KVM has all that machines use.");
    }
    Finding {
        id,
        severity: Severity::Note,
        what: format!("The host's KVM lacks {}.", weaker.join(", ")),
        meaning: "Machines run all the same.".into(),
        fix: Some(Fix::Advice("A newer kernel has it.".into())),
    }
}
