//! Whether a definition's values make sense, each by itself and all together.

use std::collections::HashMap;

use super::{Definition, Disk, Problem, limits};

impl Definition {
    /// Everything that is wrong with the values; nothing if the machine can be built.
    #[must_use]
    pub fn validate(&self) -> Vec<Problem> {
        let mut problems = Problems(Vec::new());
        self.check_resources(&mut problems);
        self.check_texts(&mut problems);
        self.check_drives(&mut problems);
        self.check_images(&mut problems);
        self.check_serial(&mut problems);
        self.check_boot(&mut problems);
        problems.0
    }

    fn check_resources(&self, problems: &mut Problems) {
        if !limits::CPUS.contains(&self.cpus) {
            let (least, most) = limits::CPUS.into_inner();
            problems.add("cpus", format!("cpus = {} is out of range: a machine has {least} to {most}", self.cpus));
        }
        let memory = self.memory;
        if !limits::MEMORY.contains(&memory) {
            let (least, most) = limits::MEMORY.into_inner();
            problems.add("memory", format!("memory = {memory} is out of range: a machine has {least} to {most}"));
        } else if !memory.is_multiple_of(limits::MEMORY_STEP) {
            problems.add("memory", format!("memory = {memory} is not a multiple of {}", limits::MEMORY_STEP));
        }
    }

    fn check_texts(&self, problems: &mut Problems) {
        if self.notes.len() > limits::NOTES_BYTES {
            problems
                .add("notes", format!("notes can have {} bytes, these have {}", limits::NOTES_BYTES, self.notes.len()));
        }
        if let Some(os) = &self.os {
            let most = limits::OS_BYTES;
            if os.is_empty() || os.len() > most {
                problems.add("os", format!("os can have 1 to {most} bytes, this has {}", os.len()));
            } else if os.chars().any(char::is_control) {
                problems.add("os", "os can't hold control characters");
            }
        }
        if let Some(kernel) = &self.kernel {
            let length = kernel.cmdline.len();
            if length > limits::CMDLINE_BYTES {
                let most = limits::CMDLINE_BYTES;
                problems.add("kernel.cmdline", format!("kernel.cmdline can have {most} bytes, this one has {length}"));
            }
            if kernel.cmdline.contains('\0') {
                problems.add("kernel.cmdline", "kernel.cmdline can't hold a NUL character");
            }
        }
    }

    fn check_drives(&self, problems: &mut Problems) {
        let count = self.disks.len() + self.cdroms.len();
        if count > limits::DRIVES {
            let key = if self.cdroms.is_empty() { "disks" } else { "cdroms" };
            let most = limits::DRIVES;
            problems.add(key, format!("there are {count} disks and CD drives: a machine has at most {most} together"));
        }
        let mut ids = Unique::default();
        let mut serials = Unique::default();
        let disks = self.disks.iter().enumerate().map(|(index, disk)| (format!("disks[{index}]"), disk.id.as_str()));
        let cdroms =
            self.cdroms.iter().enumerate().map(|(index, drive)| (format!("cdroms[{index}]"), drive.id.as_str()));
        for (drive, id) in disks.chain(cdroms) {
            let key = format!("{drive}.id");
            if !is_id(id) {
                let most = limits::ID_CHARS;
                problems.add(
                    &key,
                    format!("{key} = '{id}' can't be: an id is 1 to {most} of a-z, 0-9 and -, beginning with a letter"),
                );
            } else if let Some(first) = ids.second(id.to_owned(), &key) {
                problems.add(&key, format!("{key} = '{id}' is already the id of {}", parent(&first)));
            }
        }
        for (index, disk) in self.disks.iter().enumerate() {
            let key = format!("disks[{index}].serial");
            let Some(serial) = &disk.serial else { continue };
            let fits =
                (1..=limits::SERIAL_CHARS).contains(&serial.len()) && serial.bytes().all(|b| matches!(b, b' '..=b'~'));
            if !fits || serial.starts_with(' ') || serial.ends_with(' ') {
                let most = limits::SERIAL_CHARS;
                problems.add(
                    &key,
                    format!("{key} = '{serial}' can't be: a serial number is 1 to {most} printable ASCII characters"),
                );
            } else if let Some(first) = serials.second(serial.clone(), &key) {
                problems.add(&key, format!("{key} = '{serial}' is already the serial number of {}", parent(&first)));
            }
        }
    }

    fn check_images(&self, problems: &mut Problems) {
        let mut uuids = Unique::default();
        let mut files = Unique::default();
        for (index, Disk { images, .. }) in self.disks.iter().enumerate() {
            let key = format!("disks[{index}].images");
            if images.is_empty() {
                problems.add(&key, format!("disks[{index}] has no images: a disk has at least one"));
            }
            if images.len() > limits::IMAGES {
                problems.add(&key, format!("{key} can have {} images, this has {}", limits::IMAGES, images.len()));
            }
            for (number, image) in images.iter().enumerate() {
                let key = format!("disks[{index}].images[{number}]");
                if image.uuid.is_nil() {
                    problems.add(format!("{key}.uuid"), format!("{key}.uuid is all zeroes, which no image has"));
                } else if let Some(first) = uuids.second(image.uuid, &key) {
                    problems.add(
                        format!("{key}.uuid"),
                        format!("{key}.uuid = '{}' is already that of {first}: an image is used once", image.uuid),
                    );
                }
                if let Some(first) = files.second(image.file.normal(), &key) {
                    problems.add(
                        format!("{key}.file"),
                        format!("{key}.file = '{}' is already that of {first}: an image is used once", image.file),
                    );
                }
            }
        }
        if self.uuid.is_nil() {
            problems.add("uuid", "uuid is all zeroes, which no machine has");
        } else if let Some(image) = uuids.0.get(&self.uuid) {
            problems.add("uuid", format!("uuid = '{}' is already that of {image}", self.uuid));
        }
    }

    /// What the serial port's file is at the start is overwritten.
    fn check_serial(&self, problems: &mut Problems) {
        let Some(serial) = &self.serial else { return };
        let images = self.disks.iter().flat_map(|disk| &disk.images).map(|image| &image.file);
        let discs = self.cdroms.iter().filter_map(|drive| drive.file.as_ref());
        let kernel = self.kernel.iter().flat_map(|kernel| std::iter::once(&kernel.file).chain(&kernel.initrd));
        if images.chain(discs).chain(kernel).any(|file| file.normal() == serial.file.normal()) {
            let file = &serial.file;
            problems.add(
                "serial.file",
                format!(
                    "serial.file = '{file}' is already used by the machine, and would be overwritten by its output"
                ),
            );
        }
    }

    fn check_boot(&self, problems: &mut Problems) {
        let mut seen = Unique::default();
        for (index, id) in self.boot.iter().enumerate() {
            let key = format!("boot[{index}]");
            if self.drive_ids().all(|drive| drive != id) {
                let known: Vec<_> = self.drive_ids().collect();
                let known =
                    if known.is_empty() { "there are none".into() } else { format!("there are {}", known.join(", ")) };
                problems.add(&key, format!("boot names '{id}', which is the id of no drive: {known}"));
            } else if seen.second(id.as_str(), &key).is_some() {
                problems.add(&key, format!("boot names '{id}' twice"));
            }
        }
    }
}

struct Problems(Vec<Problem>);

impl Problems {
    fn add(&mut self, key: impl Into<String>, message: impl Into<String>) {
        self.0.push(Problem::new(key, message));
    }
}

/// Remembers what was where first.
struct Unique<T>(HashMap<T, String>);

impl<T> Default for Unique<T> {
    fn default() -> Self {
        Unique(HashMap::new())
    }
}

impl<T: std::hash::Hash + Eq> Unique<T> {
    /// Where `value` was before, if this is not the first.
    fn second(&mut self, value: T, place: &str) -> Option<String> {
        match self.0.entry(value) {
            std::collections::hash_map::Entry::Occupied(first) => Some(first.get().clone()),
            std::collections::hash_map::Entry::Vacant(slot) => {
                slot.insert(place.to_owned());
                None
            }
        }
    }
}

/// `disks[0]` of `disks[0].id`.
fn parent(key: &str) -> &str {
    key.rsplit_once('.').map_or(key, |(parent, _)| parent)
}

fn is_id(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.len() <= limits::ID_CHARS
        && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}
