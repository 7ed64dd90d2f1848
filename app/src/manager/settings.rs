//! The page for what a machine is made of. It changes nothing before it is applied, then all at once; and that can be undone.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use eframe::egui::{self, Align, Button, Key, Layout, Modifiers, RichText, ScrollArea, Ui, vec2};
use machine::{
    definition::{Definition, limits},
    size::Size,
};

use super::{
    Manager, Next, Page,
    work::{FileFor, Offer},
};
use crate::{
    changes::Changes,
    order::DiskOrder,
    output,
    ui::{
        files::{self, Wanted},
        form, theme,
    },
};

/// A disk that the machine has.
struct DiskRow {
    id: String,
    file: String,
    throw_away: bool,
    remove: bool,
}

/// A disk that it is to get.
enum NewDisk {
    /// An empty one of so many MiB.
    Empty(u64),
    /// This image.
    Image(String),
}

/// The page.
pub(super) struct Settings {
    old: Box<Definition>,
    memory: u64,
    cpus: u32,
    disks: Vec<DiskRow>,
    new_disks: Vec<NewDisk>,
    /// The ids of the CD drives with what is in them.
    discs: Vec<(String, String)>,
    /// Ids of the drives, in the order in which they are booted from.
    boot: Vec<String>,
    kernel: String,
    initrd: String,
    cmdline: String,
    serial: String,
    notes: String,
    applying: bool,
    problem: Option<String>,
}

impl Settings {
    pub(super) fn new(definition: &Definition) -> Self {
        let text = |file: Option<&machine::definition::FilePath>| {
            file.map_or_else(String::new, |file| file.as_str().to_owned())
        };
        let kernel = definition.kernel.as_ref();
        Settings {
            memory: definition.memory.as_bytes() >> 20,
            cpus: definition.cpus,
            disks: definition
                .disks
                .iter()
                .map(|disk| DiskRow {
                    id: disk.id.clone(),
                    file: text(disk.images.last().map(|image| &image.file)),
                    throw_away: disk.throw_away_writes,
                    remove: false,
                })
                .collect(),
            new_disks: Vec::new(),
            discs: definition.cdroms.iter().map(|drive| (drive.id.clone(), text(drive.file.as_ref()))).collect(),
            boot: definition.boot_order().into_iter().map(str::to_owned).collect(),
            kernel: text(kernel.map(|kernel| &kernel.file)),
            initrd: text(kernel.and_then(|kernel| kernel.initrd.as_ref())),
            cmdline: kernel.map(|kernel| kernel.cmdline.clone()).unwrap_or_default(),
            serial: text(definition.serial.as_ref().map(|serial| &serial.file)),
            notes: definition.notes.clone(),
            old: Box::new(definition.clone()),
            applying: false,
            problem: None,
        }
    }

    /// A file was chosen for the field of that name.
    pub(super) fn take_file(&mut self, field: &'static str, path: &Path) {
        let path = path.display().to_string();
        match field {
            "kernel" => self.kernel = path,
            "initrd" => self.initrd = path,
            "serial" => self.serial = path,
            "new-disk" => self.new_disks.push(NewDisk::Image(path)),
            _ => {
                if let Some((_, disc)) = self.discs.first_mut() {
                    *disc = path;
                }
            }
        }
    }

    /// What is different from the machine as it is.
    fn changes(&self) -> Result<Changes> {
        let was = Settings::new(&self.old);
        let path = |text: &str| -> Result<Option<PathBuf>> {
            let text = text.trim();
            if text.is_empty() {
                return Ok(None);
            }
            std::path::absolute(text).map(Some).with_context(|| format!("'{text}' is no path"))
        };
        let kept: Vec<String> = self
            .boot
            .iter()
            .filter(|id| !self.disks.iter().any(|disk| disk.remove && disk.id == **id))
            .cloned()
            .collect();
        let kernel = path(&self.kernel)?;
        let add = |disk: &NewDisk| -> Result<DiskOrder> {
            Ok(match disk {
                NewDisk::Empty(mebibytes) => DiskOrder::New(Size::mib(*mebibytes)),
                NewDisk::Image(file) => DiskOrder::Existing {
                    file: path(file)?.context("no image is chosen for the new disk")?,
                    throw_away_writes: false,
                },
            })
        };
        Ok(Changes {
            memory: (self.memory != was.memory).then(|| Size::mib(self.memory)),
            cpus: (self.cpus != was.cpus).then_some(self.cpus),
            remove_disks: self.disks.iter().filter(|disk| disk.remove).map(|disk| disk.id.clone()).collect(),
            add_disks: self.new_disks.iter().map(add).collect::<Result<_>>()?,
            throw_away: self
                .disks
                .iter()
                .zip(&was.disks)
                .filter(|(now, was)| now.throw_away != was.throw_away && !now.remove)
                .map(|(now, _)| (now.id.clone(), now.throw_away))
                .collect(),
            discs: self
                .discs
                .iter()
                .zip(&was.discs)
                .filter(|(now, was)| now != was)
                .map(|((id, file), _)| Ok((id.clone(), path(file)?)))
                .collect::<Result<_>>()?,
            boot: (self.boot != was.boot).then_some(kept),
            no_kernel: kernel.is_none() && self.old.kernel.is_some(),
            initrd: (kernel.is_some() && self.initrd != was.initrd).then(|| path(&self.initrd)).transpose()?,
            cmdline: (kernel.is_some() && self.cmdline != was.cmdline).then(|| self.cmdline.trim().to_owned()),
            kernel: if self.kernel == was.kernel { None } else { kernel },
            serial: (self.serial != was.serial).then(|| path(&self.serial)).transpose()?,
            notes: (self.notes != was.notes).then(|| self.notes.clone()),
        })
    }

    fn apply(&mut self, manager: &Manager, context: &egui::Context) {
        let changes = match self.changes() {
            Ok(changes) => changes,
            Err(error) => {
                self.problem = Some(output::sentence(&error));
                return;
            }
        };
        self.applying = true;
        self.problem = None;
        let (library, old) = (manager.library.clone(), self.old.clone());
        manager.begin_then(
            context,
            move || changes.apply(&library, old.name.as_str()).map(|_| old),
            |manager, context, applied: Result<Box<Definition>>| match applied {
                Ok(old) => {
                    if matches!(manager.page, Page::Settings(_)) {
                        manager.page = Page::Machine;
                    }
                    let text = format!("The settings of '{}' were changed", old.name);
                    manager.toasts.offer(context, text, "Undo", Offer::Settings(old));
                }
                Err(error) => {
                    if let Page::Settings(settings) = &mut manager.page {
                        settings.applying = false;
                        settings.problem = Some(output::sentence(&error));
                    } else {
                        manager.toasts.complain(context, &error);
                    }
                }
            },
        );
    }

    pub(super) fn show(&mut self, ui: &mut Ui, manager: &mut Manager) -> Next {
        let mut next = Next::Stay;
        ui.heading(format!("Settings of {}", self.old.name));
        ui.separator();
        let foot = 46.0;
        let size = vec2(ui.available_width(), ui.available_height() - foot);
        ui.allocate_ui(size, |ui| {
            ui.set_min_height(size.y);
            ScrollArea::vertical().auto_shrink([false, false]).show(ui, |ui| {
                if let Some(problem) = &self.problem {
                    theme::banner(ui).show(ui, |ui| {
                        ui.label(RichText::new(problem).strong());
                        ui.label("Nothing was changed.");
                    });
                    ui.add_space(8.0);
                }
                self.show_rows(ui, manager);
            });
        });
        ui.separator();
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            let changed = self.changes().map_or(true, |changes| changes != Changes::default());
            if theme::default_button_if(ui, changed && !self.applying, "Apply") {
                let context = ui.ctx().clone();
                self.apply(manager, &context);
            }
            let escape = ui.input_mut(|input| input.consume_key(Modifiers::NONE, Key::Escape));
            let close = if changed { "Cancel" } else { "Close" };
            if ui.add_enabled(!self.applying, Button::new(close)).clicked() || escape && !self.applying {
                next = Next::Leave;
            }
            if self.applying {
                ui.spinner();
            }
        });
        next
    }

    fn show_rows(&mut self, ui: &mut Ui, manager: &mut Manager) {
        let mut asked: Option<(&'static str, Wanted)> = None;
        let host = manager.detector.host().memory.max(self.old.memory);
        form::row(ui, "Memory", "", |ui| form::size(ui, &mut self.memory, super::wizard::memory_range(host)));
        let most = manager.detector.host().cpus.clamp(1, *limits::CPUS.end()).max(self.old.cpus);
        form::row(ui, "Processors", "", |ui| form::number(ui, &mut self.cpus, 1..=most));
        for disk in &mut self.disks {
            let hint =
                if disk.remove { "It will be taken out; its image stays where it is" } else { disk.file.as_str() };
            form::group(ui, &format!("Disk {}", disk.id), hint, |ui, _| {
                ui.horizontal(|ui| {
                    ui.add_enabled_ui(!disk.remove, |ui| {
                        ui.checkbox(&mut disk.throw_away, "Throw away what is written")
                    });
                    ui.toggle_value(&mut disk.remove, "Take out");
                });
            });
        }
        let mut dropped = None;
        for (index, disk) in self.new_disks.iter_mut().enumerate() {
            form::row(ui, "New disk", "", |ui| {
                ui.horizontal(|ui| {
                    let control = match disk {
                        NewDisk::Empty(size) => form::size(ui, size, 1 << 10..=4 << 20),
                        NewDisk::Image(file) => form::text(ui, file, "A raw or qcow2 file"),
                    };
                    if ui.button("Remove").clicked() {
                        dropped = Some(index);
                    }
                    control
                })
                .inner
            });
        }
        if let Some(index) = dropped {
            self.new_disks.remove(index);
        }
        form::group(ui, "", "", |ui, _| {
            ui.horizontal(|ui| {
                if ui.button("Add an empty disk").clicked() {
                    self.new_disks.push(NewDisk::Empty(25 << 10));
                }
                if ui.button("Add an image…").clicked() {
                    asked = Some(("new-disk", files::DISK));
                }
            });
        });
        for (index, (id, disc)) in self.discs.iter_mut().enumerate() {
            form::row(ui, &format!("CD drive {id}"), "", |ui| {
                let (field, ask) = form::file(ui, disc, "Empty");
                if ask && index == 0 {
                    asked = Some(("disc", files::DISC));
                }
                field
            });
        }
        self.show_boot(ui);
        self.show_kernel(ui, &mut asked);
        form::row(ui, "Serial output", "What the first serial port says is written to this file as well", |ui| {
            let (field, ask) = form::file(ui, &mut self.serial, "None");
            if ask {
                asked = Some(("serial", files::ANY));
            }
            field
        });
        form::row(ui, "Notes", "", |ui| form::text(ui, &mut self.notes, "What to remember about it"));
        if let Some((field, wanted)) = asked {
            manager.file_for = Some(FileFor::Page(field));
            manager.files.ask(ui.ctx(), wanted, None);
        }
    }

    fn show_boot(&mut self, ui: &mut Ui) {
        if self.boot.len() < 2 {
            return;
        }
        let mut earlier = None;
        form::group(ui, "Boot order", "The machine starts from the first that can", |ui, _| {
            for (index, id) in self.boot.iter().enumerate() {
                ui.horizontal(|ui| {
                    ui.label(format!("{}. {id}", index + 1));
                    if ui.add_enabled(index > 0, Button::new("Earlier").small()).clicked() {
                        earlier = Some(index);
                    }
                });
            }
        });
        if let Some(index) = earlier {
            self.boot.swap(index, index - 1);
        }
    }

    fn show_kernel(&mut self, ui: &mut Ui, asked: &mut Option<(&'static str, Wanted)>) {
        form::row(ui, "Kernel", "A kernel that is started directly, instead of what the drives hold", |ui| {
            let (field, ask) = form::file(ui, &mut self.kernel, "None");
            if ask {
                *asked = Some(("kernel", files::ANY));
            }
            field
        });
        if self.kernel.trim().is_empty() {
            return;
        }
        form::row(ui, "First file system", "", |ui| {
            let (field, ask) = form::file(ui, &mut self.initrd, "None");
            if ask {
                *asked = Some(("initrd", files::ANY));
            }
            field
        });
        form::row(ui, "Command line", "", |ui| form::text(ui, &mut self.cmdline, "What the kernel is told"));
    }
}
