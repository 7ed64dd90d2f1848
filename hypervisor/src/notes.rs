//! What the host refused or a guest asked for in vain: each said once, for `show` and the log.

use std::{collections::BTreeSet, fmt};

use parking_lot::Mutex;

/// How many notes are kept. A guest can make notes, so that there is an end.
const LIMIT: usize = 256;

/// One thing that this host doesn't offer, or that the guest asked for in vain.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Note {
    /// KVM lacks an optional capability.
    Lacks {
        /// Its name in Linux's `kvm.h`.
        capability: &'static str,
        /// What is weaker without it.
        meaning: &'static str,
    },
    /// KVM refused an optional step.
    Refused {
        /// The step.
        what: String,
    },
    /// The guest read or wrote a model-specific register that KVM doesn't know or with a value that it doesn't
    /// take. The guest got #GP, as from a processor without it.
    Msr {
        /// The register.
        index: u32,
        /// It was a write.
        write: bool,
        /// KVM knows the register, but not the value.
        known: bool,
    },
}

impl fmt::Display for Note {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Note::Lacks { capability, meaning } => write!(formatter, "this host's KVM lacks {capability}: {meaning}"),
            Note::Refused { what } => write!(formatter, "this host's KVM refused {what}"),
            Note::Msr { index, write, known } => {
                let verb = if *write { "wrote" } else { "read" };
                let why = if *known { "in a way that the host refuses" } else { "which the host doesn't know" };
                write!(formatter, "the guest {verb} MSR {index:#x}, {why}, and got #GP")
            }
        }
    }
}

/// The notes of one partition.
#[derive(Debug, Default)]
pub(crate) struct Notes(Mutex<BTreeSet<Note>>);

impl Notes {
    /// Adds a note, and logs it if it is new.
    pub(crate) fn add(&self, note: Note) {
        let mut notes = self.0.lock();
        if notes.len() < LIMIT && !notes.contains(&note) {
            tracing::info!("{note}");
            notes.insert(note);
        }
    }

    pub(crate) fn list(&self) -> Vec<Note> {
        self.0.lock().iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_kept_once_and_their_number_has_an_end() {
        let notes = Notes::default();
        for index in 0..1000 {
            notes.add(Note::Msr { index: index / 2, write: false, known: false });
        }
        assert_eq!(notes.list().len(), LIMIT);
        assert_eq!(notes.list()[7].to_string(), "the guest read MSR 0x7, which the host doesn't know, and got #GP");
    }
}
