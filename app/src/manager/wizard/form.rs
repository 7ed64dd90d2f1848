//! How the page for a new machine looks.

use eframe::egui::{
    Align, Button, CollapsingHeader, Frame, Key, Layout, Margin, Modifiers, RichText, Role, ScrollArea, Sense, Stroke,
    Ui, WidgetInfo, vec2,
};

use super::{Look, Source, Wizard};
use crate::{
    detect::{Detected, Kind, Os, Severity},
    manager::{Manager, Next, work::FileFor},
    ui::{
        files::{self, Wanted},
        form, theme,
    },
};

impl Wizard {
    pub(in crate::manager) fn show(&mut self, ui: &mut Ui, manager: &mut Manager) -> Next {
        let context = ui.ctx().clone();
        self.look_at_file(manager, &context);
        self.free_name(manager);
        let mut next = Next::Stay;
        ui.heading("New machine");
        ui.separator();
        let foot = 46.0;
        let size = vec2(ui.available_width(), ui.available_height() - foot);
        ui.allocate_ui_with_layout(size, Layout::left_to_right(Align::Min), |ui| {
            ui.set_min_height(size.y);
            ui.vertical(|ui| {
                ui.set_width(190.0);
                for source in Source::ALL {
                    if card(ui, source, self.source == source) {
                        self.choose_source(&manager.detector, source);
                    }
                }
            });
            ui.add_space(12.0);
            ScrollArea::vertical().auto_shrink([false, false]).show(ui, |ui| {
                ui.vertical(|ui| self.show_form(ui, manager));
            });
        });
        ui.separator();
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            let can = !self.making && self.name_problem(manager).is_none() && self.file_is_usable();
            if theme::default_button_if(ui, can, "Create and start") {
                self.make(manager, &context, true);
            }
            if ui.add_enabled(can, Button::new("Create")).clicked() {
                self.make(manager, &context, false);
            }
            let escape = ui.input_mut(|input| input.consume_key(Modifiers::NONE, Key::Escape));
            if ui.add_enabled(!self.making, Button::new("Cancel")).clicked() || escape && !self.making {
                next = Next::Leave;
            }
            if self.making {
                ui.spinner();
            }
        });
        next
    }

    fn file_is_usable(&self) -> bool {
        match &self.look {
            Look::Detected(detected) => detected.notes.iter().all(|note| note.severity != Severity::Problem),
            Look::Nothing => self.source == Source::Nothing,
            Look::Looking | Look::Unusable(_) => false,
        }
    }

    fn show_form(&mut self, ui: &mut Ui, manager: &mut Manager) {
        if let Some(problem) = &self.problem {
            theme::banner(ui).show(ui, |ui| {
                ui.label(RichText::new(problem).strong());
                ui.label("Nothing was made.");
            });
            ui.add_space(8.0);
        }
        let fresh = std::mem::take(&mut self.fresh);
        match self.source {
            Source::Disc => self.show_file(ui, manager, "Disc", "An ISO file", files::DISC, fresh),
            Source::Disk => self.show_file(ui, manager, "Disk image", "A raw or qcow2 file", files::DISK, fresh),
            Source::Kernel => {
                self.show_file(ui, manager, "Kernel", "A bzImage or ELF file", files::ANY, fresh);
                self.show_kernel(ui, manager);
            }
            Source::Nothing => {}
        }
        self.show_machine(ui, manager);
        ui.add_space(6.0);
        CollapsingHeader::new("More options").id_salt("more").show(ui, |ui| {
            self.show_more(ui, manager);
        });
    }

    fn show_file(
        &mut self,
        ui: &mut Ui,
        manager: &mut Manager,
        label: &'static str,
        example: &str,
        wanted: Wanted,
        fresh: bool,
    ) {
        let mut ask = false;
        let row = form::row(ui, label, "", |ui| {
            let (field, asked) = form::file(ui, &mut self.file, example);
            ask = asked;
            match &self.look {
                // What is being written isn't complained about.
                Look::Unusable(why) if !field.has_focus() => form::problem(ui, why),
                Look::Detected(detected) => show_detected(ui, detected),
                Look::Looking => {
                    ui.spinner();
                }
                _ => {}
            }
            field
        });
        if fresh && self.file.is_empty() {
            row.request_focus();
        }
        if ask {
            self.ask_for(ui, manager, "file", wanted);
        }
    }

    fn ask_for(&self, ui: &Ui, manager: &mut Manager, field: &'static str, wanted: Wanted) {
        let near = [&self.file, &self.initrd, &self.serial].into_iter().find(|path| !path.is_empty());
        manager.file_for = Some(FileFor::Page(field));
        manager.files.ask(ui.ctx(), wanted, near.map(std::path::Path::new));
    }

    fn show_kernel(&mut self, ui: &mut Ui, manager: &mut Manager) {
        let mut ask = false;
        form::row(ui, "First file system", "An initrd, if the kernel needs one", |ui| {
            let (field, asked) = form::file(ui, &mut self.initrd, "None");
            ask = asked;
            field
        });
        if ask {
            self.ask_for(ui, manager, "initrd", files::ANY);
        }
        form::row(ui, "Command line", "What the kernel is told", |ui| {
            form::text(ui, &mut self.cmdline, "root=/dev/sda1 console=ttyS0")
        });
    }

    /// The system, and others that it may be.
    fn show_system(&mut self, ui: &mut Ui, manager: &Manager) {
        const MOST: usize = 6;
        let hint = if manager.detector.has_database() {
            "What the machine is for; it says what is proposed below"
        } else {
            "With the package osinfo-db, systems would be known here"
        };
        let mut chosen = None;
        let alternatives = match &self.look {
            Look::Detected(detected) if !self.system.chosen => detected.alternatives.as_slice(),
            _ => &[],
        };
        let offered: Vec<Os> = self.meant.1.iter().chain(alternatives).take(MOST).cloned().collect();
        let field = form::row(ui, "System", hint, |ui| {
            let field = form::text(ui, &mut self.system_text, "Not known");
            for os in &offered {
                if ui.selectable_label(false, &os.name).clicked() {
                    chosen = Some(Some(os.clone()));
                }
            }
            field
        });
        if field.changed() {
            self.look_for_systems(&manager.detector);
            if self.system_text.trim().is_empty() {
                chosen = Some(None);
            }
        }
        if let Some(os) = chosen {
            self.choose_system(&manager.detector, os);
        }
    }

    fn show_machine(&mut self, ui: &mut Ui, manager: &Manager) {
        self.show_system(ui, manager);
        let problem = self.name_problem(manager);
        let why = self.name.why.clone();
        let name = form::row(ui, "Name", &why, |ui| {
            let field = form::text(ui, &mut self.name.value, "Its name in the list");
            if let Some(problem) = &problem {
                form::problem(ui, problem);
            }
            field
        });
        if name.changed() {
            self.name.choose();
        }
        form::row(ui, "Engine", "A PC with firmware, which runs any operating system for this processor", |ui| {
            ui.label("Full virtualization (KVM)")
        });
        let range = super::memory_range(manager.detector.host().memory);
        let why = self.memory.why.clone();
        let memory = form::row(ui, "Memory", &why, |ui| form::size(ui, &mut self.memory.value, range));
        if memory.changed() {
            self.memory.choose();
        }
        let why = self.cpus.why.clone();
        let most = manager.detector.host().cpus.clamp(1, *machine::definition::limits::CPUS.end());
        let cpus = form::row(ui, "Processors", &why, |ui| form::number(ui, &mut self.cpus.value, 1..=most));
        if cpus.changed() {
            self.cpus.choose();
        }
        if self.source != Source::Disk {
            let why = if self.has_disk { self.disk.why.clone() } else { "It has none of its own".to_owned() };
            let mut changed = false;
            form::row(ui, "New disk", &why, |ui| {
                ui.horizontal(|ui| {
                    let tick = ui.checkbox(&mut self.has_disk, "");
                    tick.widget_info(|| WidgetInfo::selected(Role::CheckBox, true, self.has_disk, "With a new disk"));
                    ui.add_enabled_ui(self.has_disk, |ui| {
                        let size = form::size(ui, &mut self.disk.value, 1 << 10..=4 << 20);
                        changed = size.changed();
                        size
                    })
                    .inner
                })
                .inner
            });
            if changed {
                self.disk.choose();
            }
        }
    }

    fn show_more(&mut self, ui: &mut Ui, manager: &mut Manager) {
        if self.source == Source::Disk {
            let hint = "The image stays as it is: each start begins with it anew";
            form::group(ui, "Changes", hint, |ui, _| {
                ui.checkbox(&mut self.throw_away, "Throw away what is written when the machine is off")
            });
        }
        let mut ask = false;
        form::row(ui, "Serial output", "What the first serial port says is written to this file as well", |ui| {
            let (field, asked) = form::file(ui, &mut self.serial, "None");
            ask = asked;
            field
        });
        if ask {
            self.ask_for(ui, manager, "serial", files::ANY);
        }
        form::row(ui, "Notes", "", |ui| form::text(ui, &mut self.notes, "What to remember about it"));
    }
}

/// What was found out about the file.
fn show_detected(ui: &mut Ui, detected: &Detected) {
    let what = match (&detected.os, &detected.kind) {
        (Some(os), _) => os.name.clone(),
        (None, Kind::Iso(iso)) if !iso.volume.is_empty() => format!("A disc called '{}'", iso.volume),
        (None, Kind::Iso(_)) => "A disc".to_owned(),
        (None, Kind::DiskImage(image)) => {
            format!("A disk of {} ({})", machine::size::Size::bytes(image.bytes), image.format.name())
        }
        (None, Kind::Kernel(kernel)) => {
            kernel.linux.as_ref().map_or_else(|| "A kernel".to_owned(), |linux| format!("Linux {linux}"))
        }
        (None, Kind::Unknown { .. }) => "It bears no mark of any system".to_owned(),
    };
    ui.label(RichText::new(what).strong());
    for note in &detected.notes {
        match note.severity {
            Severity::Problem | Severity::Warning => form::problem(ui, &note.text),
            Severity::Hint => {
                ui.label(RichText::new(&note.text).small().weak());
            }
        }
    }
}

/// A card for a source. Gives back whether it was chosen.
fn card(ui: &mut Ui, source: Source, selected: bool) -> bool {
    let visuals = ui.visuals();
    let fill = if selected { visuals.selection.bg_fill } else { visuals.faint_bg_color };
    let stroke = if selected { Stroke::new(1.0, theme::accent(ui)) } else { Stroke::NONE };
    let frame = Frame::new().fill(fill).stroke(stroke).corner_radius(8).inner_margin(Margin::same(10));
    let inner = frame.show(ui, |ui| {
        ui.set_width(ui.available_width());
        ui.vertical(|ui| {
            ui.label(RichText::new(source.label()).strong());
            ui.label(RichText::new(source.help()).small());
        });
    });
    let response = ui.interact(inner.response.rect, ui.scope_id().with(source.label()), Sense::click());
    response.widget_info(|| WidgetInfo::selected(Role::RadioButton, true, selected, source.label()));
    ui.add_space(6.0);
    response.clicked()
}
