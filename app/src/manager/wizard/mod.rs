//! The page for a new machine: where its system comes from on the left, what it is made of on the right, each with the reason
//! for what is proposed. Making it is a transaction: a failure leaves nothing, and the page as it was.

mod form;

use std::{
    path::{Path, PathBuf},
    time::SystemTime,
};

use anyhow::{Context, Result, bail};
use eframe::egui;
use machine::{definition::limits, name::Name, size::Size};
use storage::library::{Library, Listed};

use super::{Manager, Page, work::open_window};
use crate::{
    detect::{Advice, Detected, Detector, Kind, Os},
    launch,
    order::{DiskOrder, KernelOrder, Order},
    output,
};

/// Where a machine's system comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Disc,
    Disk,
    Kernel,
    Nothing,
}

impl Source {
    const ALL: [Source; 4] = [Source::Disc, Source::Disk, Source::Kernel, Source::Nothing];

    fn label(self) -> &'static str {
        match self {
            Source::Disc => "Disc (ISO)",
            Source::Disk => "Disk image",
            Source::Kernel => "Linux kernel",
            Source::Nothing => "Empty",
        }
    }

    fn help(self) -> &'static str {
        match self {
            Source::Disc => "Install a system, or try one",
            Source::Disk => "Go on with a system that is installed",
            Source::Kernel => "Start a kernel directly",
            Source::Nothing => "A computer with a blank disk",
        }
    }
}

/// A value that is proposed until a person says another.
#[derive(Debug, Clone, PartialEq)]
struct Proposed<T> {
    value: T,
    why: String,
    /// A person has said it.
    chosen: bool,
}

impl<T> Proposed<T> {
    fn new(value: T, why: String) -> Self {
        Proposed { value, why, chosen: false }
    }

    fn propose(&mut self, value: T, why: &str) {
        if !self.chosen {
            let mut letters = why.chars();
            // It stands alone.
            self.why = letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect();
            self.value = value;
        }
    }

    /// Notes that a person has changed it.
    fn choose(&mut self) {
        self.chosen = true;
        self.why.clear();
    }
}

/// What is known of the file that stands in the field.
#[derive(Debug, Clone, PartialEq)]
enum Look {
    /// There is none.
    Nothing,
    /// It is being looked at.
    Looking,
    Detected(Box<Detected>),
    /// It can't be used; why.
    Unusable(String),
}

/// The page.
pub(super) struct Wizard {
    source: Source,
    /// The disc, disk image or kernel.
    file: String,
    /// What `look` is of.
    looked_at: String,
    look: Look,
    /// The system: the one that was detected, unless the person has said another.
    system: Proposed<Option<Os>>,
    /// What stands in the field for it.
    system_text: String,
    /// What these letters can mean, and the letters.
    meant: (String, Vec<Os>),
    name: Proposed<String>,
    memory: Proposed<u64>,
    cpus: Proposed<u32>,
    has_disk: bool,
    disk: Proposed<u64>,
    initrd: String,
    cmdline: String,
    throw_away: bool,
    serial: String,
    notes: String,
    /// It is being made.
    making: bool,
    /// Why it was not made.
    problem: Option<String>,
    /// The first field is to have the keyboard.
    fresh: bool,
}

/// What stands in the field for a new disk's size where nothing is advised.
const DISK_GIB: u64 = 25;

fn mebibytes(size: Size) -> u64 {
    size.as_bytes() >> 20
}

impl Wizard {
    /// A page, with a file that was given already or without.
    pub(super) fn new(detector: &Detector, file: Option<PathBuf>) -> Self {
        let advice = detector.advice(None);
        let mut wizard = Wizard {
            source: Source::Disc,
            file: String::new(),
            looked_at: String::new(),
            look: Look::Nothing,
            system: Proposed::new(None, String::new()),
            system_text: String::new(),
            meant: (String::new(), Vec::new()),
            name: Proposed::new(advice.name.value.clone(), String::new()),
            memory: Proposed::new(mebibytes(advice.memory.value), String::new()),
            cpus: Proposed::new(advice.cpus.value, String::new()),
            has_disk: true,
            disk: Proposed::new(DISK_GIB << 10, String::new()),
            initrd: String::new(),
            cmdline: String::new(),
            throw_away: false,
            serial: String::new(),
            notes: String::new(),
            making: false,
            problem: None,
            fresh: true,
        };
        wizard.advise(advice);
        if let Some(file) = file {
            wizard.file = file.display().to_string();
        }
        wizard
    }

    /// A file was chosen for the field of that name.
    pub(super) fn take_file(&mut self, field: &'static str, path: &Path) {
        let path = path.display().to_string();
        match field {
            "initrd" => self.initrd = path,
            "serial" => self.serial = path,
            _ => self.file = path,
        }
    }

    fn choose_source(&mut self, detector: &Detector, source: Source) {
        if self.source == source {
            return;
        }
        self.source = source;
        self.file.clear();
        self.looked_at.clear();
        self.look = Look::Nothing;
        self.problem = None;
        self.detect_system(None);
        self.advise(detector.advice(self.system.value.as_ref()));
    }

    /// A system was detected, or none.
    fn detect_system(&mut self, os: Option<Os>) {
        if !self.system.chosen {
            self.system_text = os.as_ref().map(|os| os.name.clone()).unwrap_or_default();
            self.meant = (self.system_text.clone(), Vec::new());
        }
        self.system.propose(os, "");
    }

    /// The person says which system it is.
    fn choose_system(&mut self, detector: &Detector, os: Option<Os>) {
        self.system_text = os.as_ref().map(|os| os.name.clone()).unwrap_or_default();
        self.meant = (self.system_text.clone(), Vec::new());
        self.advise(detector.advice(os.as_ref()));
        self.system.value = os;
        self.system.choose();
    }

    /// What the letters in the field for the system can mean.
    fn look_for_systems(&mut self, detector: &Detector) {
        if self.meant.0 == self.system_text {
            return;
        }
        let letters = self.system_text.trim();
        let systems = if letters.len() < 2 { Vec::new() } else { detector.systems(letters) };
        self.meant = (self.system_text.clone(), systems);
    }

    /// Proposes what is advised where the person hasn't said anything.
    fn advise(&mut self, advice: Advice) {
        self.name.propose(advice.name.value, &advice.name.why);
        self.memory.propose(mebibytes(advice.memory.value), &advice.memory.why);
        self.cpus.propose(advice.cpus.value, &advice.cpus.why);
        if let Some(disk) = advice.disk {
            self.disk.propose(mebibytes(disk.value), &disk.why);
        }
    }

    /// Has the file looked at, if another stands in the field than was looked at.
    fn look_at_file(&mut self, manager: &Manager, context: &egui::Context) {
        let path = self.file.trim().to_owned();
        if path == self.looked_at || self.look == Look::Looking {
            return;
        }
        self.looked_at.clone_from(&path);
        if path.is_empty() {
            self.look = Look::Nothing;
            return;
        }
        self.look = Look::Looking;
        let detector = manager.detector.clone();
        let work = move || detector.detect(Path::new(&path)).map_err(|error| output::sentence(&error));
        manager.begin_then(context, work, |manager, _, found| {
            if let Page::New(wizard) = &mut manager.page {
                wizard.take_look(found);
            }
        });
    }

    fn take_look(&mut self, found: Result<Detected, String>) {
        self.look = match found {
            Ok(detected) => {
                // What was dropped or chosen says itself what it is.
                self.source = match detected.kind {
                    Kind::Iso(_) => Source::Disc,
                    Kind::DiskImage(_) => Source::Disk,
                    Kind::Kernel(_) => Source::Kernel,
                    Kind::Unknown { .. } => self.source,
                };
                self.detect_system(detected.os.clone());
                if !self.system.chosen {
                    self.advise(detected.advice.clone());
                }
                self.has_disk = detected.advice.disk.is_some();
                Look::Detected(Box::new(detected))
            }
            Err(why) => Look::Unusable(why),
        };
    }

    /// Why the name can't be, if it can't.
    fn name_problem(&self, manager: &Manager) -> Option<String> {
        let name = self.name.value.trim();
        if let Err(error) = Name::new(name) {
            return Some(output::sentence(&error.into()));
        }
        let knowledge = manager.model.knowledge();
        let taken = knowledge.machines.iter().any(|known| known.name == name);
        taken.then(|| format!("There is a machine called '{name}' already."))
    }

    /// A name that no machine has, beginning with what is proposed.
    fn free_name(&mut self, manager: &Manager) {
        if self.name.chosen {
            return;
        }
        let knowledge = manager.model.knowledge();
        let taken = |name: &str| knowledge.machines.iter().any(|known| known.name == name);
        if taken(&self.name.value) {
            let stem = self.name.value.clone();
            if let Some(free) = (2..1000).map(|number| format!("{stem} ({number})")).find(|name| !taken(name)) {
                self.name.value = free;
            }
        }
    }

    /// What the page says, as an order.
    fn order(&self) -> Result<Order> {
        let path = |text: &str| std::path::absolute(text.trim()).with_context(|| format!("'{text}' is no path"));
        let file = || {
            if self.file.trim().is_empty() {
                bail!("no file is chosen yet");
            }
            path(&self.file)
        };
        let mut order = Order::new(Name::new(self.name.value.trim())?);
        order.memory = Size::mib(self.memory.value);
        order.cpus = self.cpus.value;
        order.notes.clone_from(&self.notes);
        if !self.serial.trim().is_empty() {
            order.serial = Some(path(&self.serial)?);
        }
        match self.source {
            Source::Disc => order.disc = Some(file()?),
            Source::Disk => {
                order.disks.push(DiskOrder::Existing { file: file()?, throw_away_writes: self.throw_away });
            }
            Source::Kernel => {
                let initrd = if self.initrd.trim().is_empty() { None } else { Some(path(&self.initrd)?) };
                order.kernel = Some(KernelOrder { file: file()?, initrd, cmdline: self.cmdline.trim().to_owned() });
            }
            Source::Nothing => {}
        }
        if self.source != Source::Disk && self.has_disk {
            order.disks.push(DiskOrder::New(Size::mib(self.disk.value)));
        }
        order.os = self.system.value.as_ref().map(|os| os.id.clone());
        Ok(order)
    }

    /// Makes the machine, and starts it if that is wanted too.
    fn make(&mut self, manager: &Manager, context: &egui::Context, start: bool) {
        let order = match self.order() {
            Ok(order) => order,
            Err(error) => {
                self.problem = Some(output::sentence(&error));
                return;
            }
        };
        self.making = true;
        self.problem = None;
        let library = manager.library.clone();
        manager.begin_then(
            context,
            move || make(&library, order, start),
            |manager, context, made: Result<String>| match made {
                Ok(name) => {
                    if matches!(manager.page, Page::New(_)) {
                        manager.page = Page::Machine;
                    }
                    manager.toasts.say(context, format!("'{name}' is ready"));
                    manager.selected = Some(name);
                }
                Err(error) => {
                    if let Page::New(wizard) = &mut manager.page {
                        wizard.making = false;
                        wizard.problem = Some(output::sentence(&error));
                    } else {
                        manager.toasts.complain(context, &error);
                    }
                }
            },
        );
    }
}

/// The memory that can be chosen on a computer that has so much, in MiB.
pub(super) fn memory_range(host: Size) -> std::ops::RangeInclusive<u64> {
    mebibytes(*limits::MEMORY.start())..=mebibytes(host.min(*limits::MEMORY.end()))
}

/// Makes the machine, and starts it with its window. Gives its name; nothing is left of it if either fails.
fn make(library: &Library, order: Order, start: bool) -> Result<String> {
    let machine = order.make(library)?;
    let name = machine.name().as_str().to_owned();
    if start && let Err(error) = launch::start(library, &name).and_then(|()| open_window(library, &name)) {
        let gone = library
            .delete(&Listed::Machine(machine), SystemTime::now().into())
            .and_then(|trashed| library.purge(&trashed));
        return match gone {
            Ok(()) => Err(error),
            // It may run by now, without its window.
            Err(left) => Err(error.context(format!("'{name}' was made, and is still there: {left}"))),
        };
    }
    Ok(name)
}
