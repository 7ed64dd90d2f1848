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
    RunsGuests,
    /// They don't: why.
    RunsNone(String),
}

impl std::fmt::Display for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::RunsGuests => write!(f, "runs real guests"),
            Self::RunsNone(why) => write!(f, "runs no real guests ({why})"),
        }
    }
}

/// Asks `tandem doctor --json`, whose `real_guests` is true where a trial went well; `real_guests_why` says more.
pub(crate) fn tried(tandem: &Path) -> Host {
    match std::env::var(OVERRIDE).as_deref() {
        Ok("here") => return Host::RunsGuests,
        Ok("lab") => return Host::RunsNone(format!("{OVERRIDE} says so")),
        _ => {}
    }
    let child = Command::new(tandem).args(["doctor", "--json"]).stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
    let Ok(mut child) = child else { return Host::RunsNone("tandem can't be run".to_owned()) };
    // A few kilobytes fit into the pipe, so it is read at the end.
    let said = match process::wait(&mut child, LIMIT, || false) {
        Ok(Ended::Exited(_)) => child.stdout.map(std::io::read_to_string).and_then(Result::ok).unwrap_or_default(),
        _ => String::new(),
    };
    verdict(&said)
}

fn verdict(said: &str) -> Host {
    let Ok(said) = serde_json::from_str::<Value>(said) else {
        return Host::RunsNone("`tandem doctor --json` gave no answer".to_owned());
    };
    if said["real_guests"] == true {
        return Host::RunsGuests;
    }
    let why = said["real_guests_why"].as_str().unwrap_or("`tandem doctor --json` gives no reason");
    Host::RunsNone(why.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_trial_that_went_well_counts() {
        assert_eq!(verdict(r#"{"real_guests": true}"#), Host::RunsGuests);
        let refused = verdict(r#"{"real_guests": false, "real_guests_why": "kvm_pvm: a real-mode guest stopped"}"#);
        assert_eq!(refused, Host::RunsNone("kvm_pvm: a real-mode guest stopped".into()));
        assert!(matches!(verdict(r#"{"kvm": "present"}"#), Host::RunsNone(_)));
        assert!(matches!(verdict(""), Host::RunsNone(_)));
    }
}
