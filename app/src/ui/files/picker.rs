//! Our own file dialog, for desktops without a portal: the files of a folder, by keyboard or mouse.

use std::{
    cmp::Ordering,
    fs, io,
    path::{Path, PathBuf},
};

use eframe::egui::{
    Align, Context, Id, Key, Layout, Modal, RichText, Role, ScrollArea, TextEdit, Ui, WidgetInfo, vec2,
};

use super::Wanted;
use crate::ui::{form, tasks::Tasks, theme};

/// The most files of a folder that are shown.
const MOST: usize = 5000;

/// A folder's or file's entry.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    name: String,
    path: PathBuf,
    is_folder: bool,
}

/// What a folder holds.
#[derive(Debug, Default)]
struct Listing {
    folder: PathBuf,
    entries: Vec<Entry>,
    /// Not all entries are shown.
    cut: bool,
    error: Option<String>,
}

/// The dialog.
pub(super) struct Picker {
    wanted: Wanted,
    /// What stands in the field: a folder or a file.
    path: String,
    listing: Listing,
    listings: Tasks<Listing>,
    /// The index of the entry that is looked at, of those that are shown.
    at: Option<usize>,
    all: bool,
    /// The field is to have the keyboard.
    fresh: bool,
}

impl Picker {
    pub(super) fn new(context: &Context, wanted: Wanted, near: Option<&Path>) -> Self {
        let near = near.and_then(|near| if near.is_dir() { Some(near) } else { near.parent() });
        let folder = near.map(Path::to_owned).or_else(std::env::home_dir).unwrap_or_else(|| PathBuf::from("/"));
        let mut picker = Picker {
            wanted,
            path: String::new(),
            listing: Listing::default(),
            listings: Tasks::new(),
            at: None,
            all: wanted.extensions.is_empty(),
            fresh: true,
        };
        picker.go(context, folder);
        picker
    }

    /// Looks into a folder.
    fn go(&mut self, context: &Context, folder: PathBuf) {
        self.path = folder.display().to_string();
        self.at = None;
        self.listings.begin(context, move || list(folder));
    }

    /// The entries that are shown.
    fn shown(&self) -> Vec<&Entry> {
        let fits = |entry: &&Entry| entry.is_folder || self.all || has_extension(&entry.path, self.wanted.extensions);
        self.listing.entries.iter().filter(fits).collect()
    }

    /// Draws the dialog. Gives the answer.
    pub(super) fn show(&mut self, context: &Context) -> Option<Option<PathBuf>> {
        if let Some(listing) = self.listings.finished().pop() {
            self.listing = listing;
        }
        let mut answer = None;
        let modal = Modal::new(Id::unique("files")).show(context, |ui| {
            ui.set_width(560.0);
            ui.heading(self.wanted.title);
            ui.add_space(6.0);
            self.show_path(ui, &mut answer);
            ui.separator();
            self.show_entries(ui, &mut answer);
            ui.separator();
            ui.horizontal(|ui| {
                if !self.wanted.extensions.is_empty() {
                    ui.checkbox(&mut self.all, "Show all files");
                }
                ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                    if theme::default_button(ui, "Choose") {
                        answer = self.take(ui.ctx(), PathBuf::from(&self.path));
                    }
                    if ui.button("Cancel").clicked() {
                        answer = Some(None);
                    }
                });
            });
        });
        if answer.is_none() && modal.should_close() {
            answer = Some(None);
        }
        answer
    }

    fn show_path(&mut self, ui: &mut Ui, answer: &mut Option<Option<PathBuf>>) {
        ui.horizontal(|ui| {
            if ui.button("Up").on_hover_text("The folder that holds this one").clicked()
                && let Some(parent) = self.listing.folder.parent()
            {
                self.go(ui.ctx(), parent.to_owned());
            }
            if ui.button("Home").clicked()
                && let Some(home) = std::env::home_dir()
            {
                self.go(ui.ctx(), home);
            }
            let field = ui.add(TextEdit::singleline(&mut self.path).desired_width(f32::INFINITY));
            field.widget_info(|| WidgetInfo::labeled(Role::TextInput, true, "File or folder"));
            if std::mem::take(&mut self.fresh) {
                field.request_focus();
            }
            if field.lost_focus() && ui.input(|input| input.key_pressed(Key::Enter)) {
                *answer = self.take(ui.ctx(), PathBuf::from(&self.path));
            }
        });
    }

    fn show_entries(&mut self, ui: &mut Ui, answer: &mut Option<Option<PathBuf>>) {
        if let Some(error) = &self.listing.error {
            form::problem(ui, error);
        }
        let shown: Vec<Entry> = self.shown().into_iter().cloned().collect();
        let moved = self.take_arrows(ui, shown.len());
        let mut opened = None;
        ScrollArea::vertical().auto_shrink([false, false]).max_height(320.0).show(ui, |ui| {
            if shown.is_empty() && self.listing.error.is_none() {
                ui.weak("Nothing of that kind is here.");
            }
            for (index, entry) in shown.iter().enumerate() {
                let selected = self.at == Some(index);
                let end = if entry.is_folder { "/" } else { "" };
                let label = ui.selectable_label(selected, format!("{}{end}", entry.name));
                label.widget_info(|| WidgetInfo::selected(Role::ListItem, true, selected, &entry.name));
                if moved && selected {
                    label.scroll_to_me(None);
                }
                if label.clicked() {
                    self.at = Some(index);
                    self.path = entry.path.display().to_string();
                }
                if label.double_clicked() {
                    opened = Some(entry.path.clone());
                }
            }
            if self.listing.cut {
                ui.label(RichText::new("There are more files here: write the name above.").weak());
            }
            ui.allocate_space(vec2(1.0, 1.0));
        });
        if let Some(path) = opened {
            *answer = self.take(ui.ctx(), path);
        }
        if moved && let Some(entry) = self.at.and_then(|at| shown.get(at)) {
            self.path = entry.path.display().to_string();
        }
    }

    /// Moves along the entries by arrow keys. Gives back whether it moved.
    fn take_arrows(&mut self, ui: &Ui, count: usize) -> bool {
        let (up, down) = ui.input(|input| (input.key_pressed(Key::ArrowUp), input.key_pressed(Key::ArrowDown)));
        if count == 0 || up == down {
            return false;
        }
        let next = self.at.map_or(0, |at| if down { at + 1 } else { at.saturating_sub(1) });
        self.at = Some(next.min(count - 1));
        true
    }

    /// A folder is gone into, a file is the answer.
    fn take(&mut self, context: &Context, path: PathBuf) -> Option<Option<PathBuf>> {
        let path = self.listing.folder.join(path);
        match fs::metadata(&path) {
            Ok(found) if found.is_dir() => self.go(context, path),
            Ok(_) => return Some(Some(path)),
            Err(error) => self.listing.error = Some(said(&path, &error)),
        }
        None
    }
}

fn said(path: &Path, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => format!("There is no {}.", path.display()),
        io::ErrorKind::PermissionDenied => format!("This account may not look at {}.", path.display()),
        _ => format!("{} can't be looked at: {error}.", path.display()),
    }
}

/// What `folder` holds: folders first, by name; nothing that is hidden.
fn list(folder: PathBuf) -> Listing {
    let read = match fs::read_dir(&folder) {
        Ok(read) => read,
        Err(error) => {
            let error = Some(said(&folder, &error));
            return Listing { folder, error, ..Listing::default() };
        }
    };
    let mut entries = Vec::new();
    let mut cut = false;
    for entry in read.filter_map(Result::ok) {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') {
            continue;
        }
        if entries.len() == MOST {
            cut = true;
            break;
        }
        let path = entry.path();
        // Where a link leads to.
        let is_folder = fs::metadata(&path).is_ok_and(|found| found.is_dir());
        entries.push(Entry { name, path, is_folder });
    }
    entries.sort_by(|one, other| {
        other.is_folder.cmp(&one.is_folder).then_with(|| {
            let by_letters = one.name.to_lowercase().cmp(&other.name.to_lowercase());
            if by_letters == Ordering::Equal { one.name.cmp(&other.name) } else { by_letters }
        })
    });
    Listing { folder, entries, cut, error: None }
}

fn has_extension(path: &Path, extensions: &[&str]) -> bool {
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
    extension.is_some_and(|extension| extensions.contains(&extension.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_lists_folders_first_and_nothing_hidden() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b.iso", "A.ISO", ".hidden", "notes.txt"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        fs::create_dir(dir.path().join("more")).unwrap();
        let listing = list(dir.path().to_owned());
        let names: Vec<&str> = listing.entries.iter().map(|entry| entry.name.as_str()).collect();
        assert_eq!(names, ["more", "A.ISO", "b.iso", "notes.txt"]);
        assert!(has_extension(Path::new("A.ISO"), &["iso"]) && !has_extension(Path::new("iso"), &["iso"]));
        let gone = list(dir.path().join("gone"));
        assert!(gone.error.unwrap().starts_with("There is no "));
    }
}
