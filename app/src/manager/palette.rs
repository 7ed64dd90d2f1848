//! The palette: everything that can be done, found by a few letters.

use eframe::egui::{self, Align, Align2, Id, Key, Layout, Modal, Modifiers, RichText, ScrollArea, TextEdit, Ui, vec2};
use machine::actions::{ALL, Action, Scope};

use super::{Manager, model::Known};

/// What can be chosen.
#[derive(Debug, Clone, Copy)]
enum Entry<'a> {
    Action(&'static Action),
    /// To look at the machine of this name.
    Machine(&'a str),
}

/// What was chosen.
pub(super) enum Chosen {
    Action(&'static str),
    Machine(String),
}

/// The palette, open or not.
#[derive(Default)]
pub(super) struct Palette {
    open: bool,
    letters: String,
    at: usize,
}

impl Palette {
    pub(super) fn open(&mut self) {
        *self = Palette { open: true, ..Palette::default() };
    }

    pub(super) fn is_open(&self) -> bool {
        self.open
    }

    /// Shows it, if it is open. Gives what was chosen.
    pub(super) fn show(
        &mut self,
        context: &egui::Context,
        current: Option<&Known>,
        machines: &[&Known],
    ) -> Option<Chosen> {
        if !self.open {
            return None;
        }
        let mut chosen = None;
        let area = Modal::default_area(Id::unique("palette")).anchor(Align2::CENTER_TOP, vec2(0.0, 70.0));
        let modal = Modal::new(Id::unique("palette")).area(area).show(context, |ui| {
            ui.set_width(520.0);
            chosen = self.show_entries(ui, current, machines);
        });
        if chosen.is_some() || modal.should_close() {
            self.open = false;
        }
        chosen
    }

    fn show_entries(&mut self, ui: &mut Ui, current: Option<&Known>, machines: &[&Known]) -> Option<Chosen> {
        let (up, down, enter) = ui.input_mut(|input| {
            let mut take = |key| input.consume_key(Modifiers::NONE, key);
            (take(Key::ArrowUp), take(Key::ArrowDown), take(Key::Enter))
        });
        let field = ui.add(
            TextEdit::singleline(&mut self.letters).hint_text("What do you want to do?").desired_width(f32::INFINITY),
        );
        field.request_focus();
        if field.changed() {
            self.at = 0;
        }
        let entries = entries(current, machines, &self.letters);
        if down {
            self.at += 1;
        }
        self.at = if up { self.at.saturating_sub(1) } else { self.at.min(entries.len().saturating_sub(1)) };
        ui.separator();
        if entries.is_empty() {
            ui.weak("Nothing is called so.");
        }
        let mut clicked = None;
        ScrollArea::vertical().max_height(360.0).show(ui, |ui| {
            for (index, entry) in entries.iter().enumerate() {
                let selected = index == self.at;
                let row = ui.horizontal(|ui| {
                    let label = ui.selectable_label(selected, label_of(*entry, current));
                    if let Entry::Action(action) = entry {
                        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                            if let Some(chord) = action.shortcut {
                                ui.label(RichText::new(chord.to_string()).monospace().weak());
                            }
                        });
                        label.on_hover_text(action.help)
                    } else {
                        label
                    }
                });
                if selected && (up || down) {
                    row.inner.scroll_to_me(None);
                }
                if row.inner.clicked() {
                    clicked = Some(*entry);
                }
            }
        });
        match clicked.or(enter.then(|| entries.get(self.at).copied()).flatten())? {
            Entry::Action(action) => Some(Chosen::Action(action.id)),
            Entry::Machine(name) => Some(Chosen::Machine(name.to_owned())),
        }
    }
}

fn label_of(entry: Entry<'_>, current: Option<&Known>) -> String {
    match entry {
        Entry::Action(action) if action.scope == Scope::Machine => {
            let name = current.map(|known| known.name.as_str()).unwrap_or_default();
            format!("{} — {name}", action.label.trim_end_matches('…'))
        }
        Entry::Action(action) => action.label.trim_end_matches('…').to_owned(),
        Entry::Machine(name) => format!("Go to {name}"),
    }
}

/// What can be done now and holds these letters in their order, the best first.
fn entries<'a>(current: Option<&Known>, machines: &[&'a Known], letters: &str) -> Vec<Entry<'a>> {
    let state = current.and_then(Known::state);
    let actions = ALL.iter().filter(|action| {
        Manager::can_do(action.id)
            && action.id != "palette"
            && (action.scope != Scope::Machine || state.is_some_and(|state| action.is_allowed_in(state)))
    });
    let actions = actions.map(|action| (Entry::Action(action), format!("{} {}", action.label, action.id)));
    let machines = machines.iter().map(|known| (Entry::Machine(&known.name), format!("go to {}", known.name)));
    let mut found: Vec<(u32, Entry<'a>)> =
        actions.chain(machines).filter_map(|(entry, text)| Some((distance(&text, letters)?, entry))).collect();
    found.sort_by_key(|(distance, _)| *distance);
    found.into_iter().map(|(_, entry)| entry).collect()
}

/// How far `text` is from `letters`, which it must hold in their order: the fewer gaps the nearer, and a word's beginning is
/// nearer than its middle.
fn distance(text: &str, letters: &str) -> Option<u32> {
    let text: Vec<char> = text.to_lowercase().chars().collect();
    let mut distance = 0;
    let mut at = 0;
    for letter in letters.to_lowercase().chars().filter(|letter| !letter.is_whitespace()) {
        let next = text[at..].iter().position(|other| *other == letter)? + at;
        let begins = next == 0 || !text[next - 1].is_alphanumeric();
        let follows = next == at && at > 0;
        distance += if follows {
            0
        } else if begins {
            1
        } else {
            5
        };
        at = next + 1;
    }
    Some(distance)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_find_what_they_mean() {
        assert!(distance("Shut down", "sd").unwrap() < distance("Show window", "sd").unwrap());
        assert!(distance("Pause", "pau").unwrap() < distance("Power off up au", "pau").unwrap());
        assert_eq!(distance("Pause", "x"), None);
        assert_eq!(distance("Pause", ""), Some(0));
        let found = entries(None, &[], "new mach");
        assert!(matches!(found.first(), Some(Entry::Action(action)) if action.id == "create"), "{found:?}");
    }
}
