//! What a file is that a person gives for a new machine, and what a machine for it should have.
//!
//! A file is looked at by its content, never by its name: the labels and boot records of a disc, a disk image's header and
//! partitions, a kernel's entries ([`storage::media`], [`storage::image`], [`hypervisor::loader`]). What system a disc holds is
//! for the osinfo database to say ([`osinfo`]), if the host has one; without, its labels speak for themselves.
//!
//! # How to use it
//!
//! ```ignore
//! let detector = Arc::new(Detector::of_this_computer());    // when the manager starts: costs nothing
//! // Off the window's thread: what follows reads files. The database is read once, when first asked for.
//! detector.warm_up();                                       // when the wizard opens, so that detecting is instant
//! match detector.detect(&path) {
//!     Ok(detected) => fill_in(detected),                    // `advice` has name, memory, processors, disk, each with its why
//!     Err(error) => show(output::sentence(&error)),         // it can't be used for anything: a web page, a zip…
//! }
//! // The person chooses another system than the one that was detected, or there is no file at all:
//! detector.systems("debi");                                 // what their letters can mean, the newest release first
//! detector.advice(Some(&os));                               // or None
//! ```
//!
//! [`Detected::kind`] says where the file belongs in an [`Order`](crate::order::Order): a disc into the drive, an image as a
//! disk, a kernel to be started. A note of [`Severity::Problem`] means that `Order::make` refuses the file, or that the
//! machine would not start with it; the others are hints. [`Os::id`] is what the definition keeps.

mod advice;
mod kinds;
mod notes;
mod systems;
#[cfg(test)]
mod tests;

use std::{path::Path, sync::OnceLock};

use anyhow::Result;
use machine::{size::Size, timestamp::Timestamp};
use osinfo::{Database, Date, Places};
use serde::Serialize;

/// Looks at files for new machines on one computer.
pub(crate) struct Detector {
    host: Host,
    today: Date,
    places: Places,
    database: OnceLock<Database>,
}

/// What the computer has that machines run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Host {
    pub(crate) memory: Size,
    pub(crate) cpus: u32,
}

/// What a file is, and what a machine for it should have.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Detected {
    pub(crate) kind: Kind,
    /// The system on it, where that is known.
    pub(crate) os: Option<Os>,
    /// Other systems whose discs bear the same labels.
    pub(crate) alternatives: Vec<Os>,
    /// What a machine for it should have.
    pub(crate) advice: Advice,
    /// What the person should know before they go on, the worst first.
    pub(crate) notes: Vec<Note>,
}

/// What kind of file it is.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "type")]
pub(crate) enum Kind {
    /// For a CD drive.
    Iso(Iso),
    /// For a disk.
    DiskImage(DiskImage),
    /// To be started directly.
    Kernel(KernelFile),
    /// It bears no mark of anything. It may still be a disk, an empty one for example.
    Unknown {
        /// Its length.
        bytes: u64,
    },
}

/// A disc.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Iso {
    /// The name that it bears.
    pub(crate) volume: String,
    pub(crate) publisher: String,
    pub(crate) application: String,
    /// The length that its file system says; 0 if it says none.
    pub(crate) bytes: u64,
    /// It can be started by a PC's BIOS.
    pub(crate) boots_with_bios: bool,
    /// It can be started by UEFI firmware.
    pub(crate) boots_with_uefi: bool,
}

/// A disk image.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct DiskImage {
    /// How it is stored: `raw` or `qcow2`.
    pub(crate) format: machine::definition::ImageFormat,
    /// The length of the disk, in bytes.
    pub(crate) bytes: u64,
    /// The image that it builds on, which its header names.
    pub(crate) backing: Option<String>,
    /// It begins with code for a PC's BIOS; unknown while another program uses the image.
    pub(crate) boots_with_bios: Option<bool>,
    /// It has a partition for UEFI firmware.
    pub(crate) boots_with_uefi: Option<bool>,
}

/// A kernel.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct KernelFile {
    /// What it says of itself: of Linux, release and build.
    pub(crate) linux: Option<String>,
    /// It can be started by the PVH protocol.
    pub(crate) pvh: bool,
    /// It can be started by Linux's 64-bit boot protocol.
    pub(crate) linux64: bool,
}

impl KernelFile {
    /// What it is, as far as it says: `Linux 6.1.0-56-amd64`, or what another kernel of that form is called.
    pub(crate) fn release(&self) -> Option<String> {
        let version = self.linux.as_deref()?;
        if version.starts_with(|char: char| char.is_ascii_digit()) {
            return Some(format!("Linux {}", version.split_whitespace().next()?));
        }
        Some(version.to_owned())
    }
}

/// An operating system, as the database has it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Os {
    /// What it is known by in the osinfo database, for life: `http://debian.org/debian/12`.
    pub(crate) id: String,
    /// The same for people who type: `debian12`.
    pub(crate) short_id: String,
    /// `Debian 12`.
    pub(crate) name: String,
    pub(crate) version: Option<String>,
    /// `linux`, `winnt`, `freebsd`…
    pub(crate) family: Option<String>,
    /// The processors that the disc is for, by osinfo's name: `x86_64`, `i686`, `aarch64`…
    pub(crate) arch: Option<String>,
    /// The disc starts a system that needs no installation.
    pub(crate) live: bool,
    /// The disc installs.
    pub(crate) installer: bool,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "systems::as_text")]
    pub(crate) released: Option<Date>,
    /// From this day on nobody mends it.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "systems::as_text")]
    pub(crate) end_of_life: Option<Date>,
    /// The release that stands in for this one, which is newer than the database.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) stand_in: Option<StandIn>,
}

/// A release whose needs are taken for those of a newer one.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct StandIn {
    pub(crate) id: String,
    pub(crate) name: String,
}

/// What a machine should have.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Advice {
    /// What to call it. It may be taken already.
    pub(crate) name: Advised<String>,
    pub(crate) memory: Advised<Size>,
    pub(crate) cpus: Advised<u32>,
    /// The size of a new disk; none where the file is the disk or nothing needs one.
    pub(crate) disk: Option<Advised<Size>>,
}

/// A value with the reason for it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Advised<T> {
    pub(crate) value: T,
    /// In plain words, one line without a full stop: `Debian 12 recommends 2 GB`.
    pub(crate) why: String,
}

/// Something to know before a machine is made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Note {
    pub(crate) severity: Severity,
    /// Whole sentences: what it is, and what to do.
    pub(crate) text: String,
}

/// How bad it is, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Severity {
    /// A machine can't be made with it, or would not start.
    Problem,
    /// A machine may not do what is expected.
    Warning,
    /// Good to know.
    Hint,
}

impl Detector {
    /// For this computer, today, with the database where it is installed. Reads nothing yet.
    pub(crate) fn of_this_computer() -> Self {
        let now = Timestamp::from(std::time::SystemTime::now()).to_string();
        let today = now.get(..10).and_then(|day| day.parse().ok()).unwrap_or_default();
        Detector::new(Host::this(), today, Places::standard())
    }

    pub(crate) fn new(host: Host, today: Date, places: Places) -> Self {
        Detector { host, today, places, database: OnceLock::new() }
    }

    /// The computer that it advises for.
    pub(crate) fn host(&self) -> Host {
        self.host
    }

    /// Reads the database, unless that is done. Takes some tens of milliseconds.
    pub(crate) fn warm_up(&self) {
        self.database();
    }

    fn database(&self) -> &Database {
        self.database.get_or_init(|| Database::load(&self.places))
    }

    /// Says what the file is. Takes some milliseconds for a disc or an image, and up to a second for a kernel, which is
    /// unpacked.
    ///
    /// # Errors
    /// The file can't be read, or is of no use to any machine; in words for a person.
    pub(crate) fn detect(&self, path: &Path) -> Result<Detected> {
        let seen = kinds::look(path)?;
        let systems = systems::of(&seen, self.database());
        let notes = notes::of(&seen, &systems, self);
        let name = systems::name_for(&seen, systems.os.as_ref(), path);
        let advice = advice::of(&seen.kind, name, &systems, self.database(), self.host);
        Ok(Detected { kind: seen.kind, os: systems.os, alternatives: systems.alternatives, advice, notes })
    }

    /// What a machine should have for a system that a person chose, or for none.
    pub(crate) fn advice(&self, os: Option<&Os>) -> Advice {
        advice::without_file(os, self.database(), self.host)
    }

    /// Whether this computer has an osinfo database at all.
    pub(crate) fn has_database(&self) -> bool {
        !self.database().is_empty()
    }

    /// The systems whose name or id holds `letters`, whatever their case; the newest first, those without a date last.
    pub(crate) fn systems(&self, letters: &str) -> Vec<Os> {
        systems::search(self.database(), letters)
    }
}

impl Host {
    /// This computer, as far as it tells.
    pub(crate) fn this() -> Self {
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        Host {
            memory: crate::launch::memory_of_this_computer().unwrap_or(Size::gib(4)),
            cpus: u32::try_from(cpus).unwrap_or(u32::MAX),
        }
    }
}

impl<T> Advised<T> {
    fn new(value: T, why: impl Into<String>) -> Self {
        Advised { value, why: why.into() }
    }
}

impl Note {
    fn problem(text: impl Into<String>) -> Self {
        Note { severity: Severity::Problem, text: text.into() }
    }

    fn warning(text: impl Into<String>) -> Self {
        Note { severity: Severity::Warning, text: text.into() }
    }

    fn hint(text: impl Into<String>) -> Self {
        Note { severity: Severity::Hint, text: text.into() }
    }
}
