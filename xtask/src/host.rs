//! Whether this machine's own KVM runs real guests. The product tries it, so the product is asked: a KVM that is there
//! may still be one that runs no unmodified system.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::process::{self, Ended};

/// Decides instead of the trial: `here` or `lab`.
const OVERRIDE: &str = "TANDEM_TEST_PLACE";
const LIMIT: Duration = Duration::from_secs(60);

/// What this machine can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Host {
    /// Real guests run on it.
    Real,
    /// They don't, but simple ones do, such as *Welcome*; why.
    Simple(String),
    /// None does: why.
    Nothing(String),
}

impl std::fmt::Display for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Real => write!(f, "runs real guests"),
            Self::Simple(why) => write!(f, "runs simple guests alone ({why})"),
            Self::Nothing(why) => write!(f, "runs no real guests ({why})"),
        }
    }
}

/// Asks `tandem doctor --json`, whose `real_guests` is true where a trial went well, and `kvm` where there is one at all;
/// `real_guests_why` says more.
pub(crate) fn tried(tandem: &Path) -> Host {
    match std::env::var(OVERRIDE).as_deref() {
        Ok("here") => return Host::Real,
        Ok("lab") => return Host::Nothing(format!("{OVERRIDE} says so")),
        _ => {}
    }
    let child = Command::new(tandem).args(["doctor", "--json"]).stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
    let Ok(mut child) = child else { return Host::Nothing("tandem can't be run".to_owned()) };
    // A few kilobytes fit into the pipe, so it is read at the end.
    let said = match process::wait(&mut child, LIMIT, || false) {
        Ok(Ended::Exited(_)) => child.stdout.map(std::io::read_to_string).and_then(Result::ok).unwrap_or_default(),
        _ => String::new(),
    };
    verdict(&said)
}

fn verdict(said: &str) -> Host {
    let Ok(said) = serde_json::from_str::<Value>(said) else {
        return Host::Nothing("`tandem doctor --json` gave no answer".to_owned());
    };
    if said["real_guests"] == true {
        return Host::Real;
    }
    let why = said["real_guests_why"].as_str().unwrap_or("`tandem doctor --json` gives no reason");
    if said["kvm"] == true { Host::Simple(why.to_owned()) } else { Host::Nothing(why.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_trial_that_went_well_counts() {
        assert_eq!(verdict(r#"{"real_guests": true}"#), Host::Real);
        let refused = verdict(r#"{"real_guests": false, "real_guests_why": "not allowed", "kvm": false}"#);
        assert_eq!(refused, Host::Nothing("not allowed".into()));
        let simple = verdict(r#"{"real_guests": false, "real_guests_why": "kvm_pvm", "kvm": true}"#);
        assert_eq!(simple, Host::Simple("kvm_pvm".into()));
        assert!(matches!(verdict(r#"{"kvm": "present"}"#), Host::Nothing(_)));
        assert!(matches!(verdict(""), Host::Nothing(_)));
    }
}
