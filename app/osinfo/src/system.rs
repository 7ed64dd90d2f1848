//! What the database says of a system.

use crate::Date;

/// An operating system: a release of one, usually.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct System {
    /// What it is known by, for life: a URL that leads nowhere.
    pub id: String,
    /// Shorter ids that people type.
    pub short_ids: Vec<String>,
    /// What it is called, in English.
    pub name: String,
    /// Who makes it.
    pub vendor: Option<String>,
    /// Which release it is.
    pub version: Option<String>,
    /// The name that the release is called by in its making.
    pub codename: Option<String>,
    /// `linux`, `winnt`, `freebsd`…
    pub family: Option<String>,
    /// `debian`, `win`…
    pub distro: Option<String>,
    /// When it was released.
    pub release_date: Option<Date>,
    /// From when on nobody mends it.
    pub end_of_life: Option<Date>,
    /// Whether it is a release.
    pub status: Status,
    /// The ids of the systems that it is the next release of.
    pub upgrades: Vec<String>,
    /// The ids of the systems that it was made from, the nearest first.
    pub derives_from: Vec<String>,
    /// The id of the system that it is rebuilt from.
    pub clones: Option<String>,
    /// What it needs, each for a kind of processor.
    pub resources: Vec<ResourceSet>,
    /// Its discs.
    pub media: Vec<Medium>,
    /// Devices that it has drivers for, or lacks them though what it derives from has them.
    pub devices: Vec<DeviceSupport>,
    /// What firmware it starts with; nothing is said of the others.
    pub firmware: Vec<Firmware>,
}

/// What stage a system is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Status {
    /// It is there.
    #[default]
    Released,
    /// It is to come.
    Prerelease,
    /// It was taken from its makers' workshop.
    Snapshot,
    /// It has no releases.
    Rolling,
}

/// What a system needs on one kind of processor.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ResourceSet {
    /// Which; `all` for any.
    pub arch: String,
    /// What isn't said is as for the system that it derives from.
    pub inherit: bool,
    /// With less it doesn't run.
    pub minimum: crate::Needs,
    /// With this it runs well.
    pub recommended: crate::Needs,
    /// More is of no use.
    pub maximum: crate::Needs,
}

/// What the discs are like that hold a system. A pattern is a regular expression that is found anywhere in a label.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Medium {
    /// The processors that it is for: `x86_64`, `i686`, `aarch64`…, or `all`.
    pub arch: String,
    /// It starts a system that needs no installation.
    pub live: bool,
    /// It installs.
    pub installer: bool,
    /// Pattern of the volume identifier.
    pub volume_id: Option<String>,
    /// Pattern of the system identifier.
    pub system_id: Option<String>,
    /// Pattern of the publisher identifier.
    pub publisher_id: Option<String>,
    /// Pattern of the application identifier.
    pub application_id: Option<String>,
    /// The exact size of the volume in bytes.
    pub volume_bytes: Option<u64>,
}

/// Whether a system has a driver for a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceSupport {
    /// The device's id, such as `http://pcisig.com/pci/1af4/1041`: vendor and device in hexadecimal.
    pub device: String,
    /// Whether it has.
    pub supported: bool,
}

/// Whether a system starts with a firmware.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Firmware {
    /// The kind of processor.
    pub arch: String,
    /// `bios`, `efi`, `efi-secboot`…
    pub kind: String,
    /// Whether it does.
    pub supported: bool,
}

impl System {
    /// The id that people type: the first of the short ones.
    #[must_use]
    pub fn short_id(&self) -> &str {
        self.short_ids.first().map_or(&self.id, String::as_str)
    }

    /// Whether it stands for releases that the database doesn't know by themselves.
    #[must_use]
    pub fn is_unknown_release(&self) -> bool {
        self.id.ends_with("/unknown")
    }

    /// Whether it is known to start, or not to start, with this firmware on this processor.
    #[must_use]
    pub fn starts_with(&self, firmware: &str, arch: &str) -> Option<bool> {
        let found = self.firmware.iter().find(|one| one.kind == firmware && one.arch == arch);
        found.map(|one| one.supported)
    }

    /// Takes over what another file says of the same system.
    pub(crate) fn complete(&mut self, other: System) {
        fn take<T>(place: &mut Option<T>, other: Option<T>) {
            if place.is_none() {
                *place = other;
            }
        }
        if self.name.is_empty() {
            self.name = other.name;
        }
        if self.status == Status::Released {
            self.status = other.status;
        }
        for id in other.short_ids {
            if !self.short_ids.contains(&id) {
                self.short_ids.push(id);
            }
        }
        take(&mut self.vendor, other.vendor);
        take(&mut self.version, other.version);
        take(&mut self.codename, other.codename);
        take(&mut self.family, other.family);
        take(&mut self.distro, other.distro);
        take(&mut self.release_date, other.release_date);
        take(&mut self.end_of_life, other.end_of_life);
        take(&mut self.clones, other.clones);
        self.upgrades.extend(other.upgrades);
        self.derives_from.extend(other.derives_from);
        self.resources.extend(other.resources);
        self.media.extend(other.media);
        self.devices.extend(other.devices);
        self.firmware.extend(other.firmware);
    }
}
