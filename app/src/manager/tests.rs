//! The manager's window, driven by what a screen reader would find in it. Nothing is drawn, and no machine runs.

use std::{
    collections::VecDeque,
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use eframe::egui::{Key, Modifiers, vec2};
use egui_kittest::{
    Harness,
    kittest::{NodeT, Queryable},
};
use machine::{name::Name, size::Size};
use tempfile::TempDir;

use osinfo::Places;

use super::*;
use crate::{
    detect::Host,
    order::{DiskOrder, Order},
    ui::files::Wanted,
};

const PATIENCE: Duration = Duration::from_secs(20);

/// A library of its own, with these machines.
pub(super) fn library(names: &[&str]) -> (TempDir, Library) {
    let folder = tempfile::tempdir().unwrap();
    let library = Library::open(folder.path(), SystemTime::now().into()).unwrap();
    for name in names {
        let order = Order { disks: vec![DiskOrder::New(Size::gib(20))], ..Order::new(Name::new(*name).unwrap()) };
        order.make(&library).unwrap();
    }
    (folder, library)
}

/// A person who has made up their mind: chooses these, one after the other.
#[derive(Default)]
struct Decided {
    files: VecDeque<Option<PathBuf>>,
    asked: bool,
}

impl FileChooser for Decided {
    fn ask(&mut self, _context: &egui::Context, _wanted: Wanted, _near: Option<&std::path::Path>) {
        self.asked = true;
    }

    fn show(&mut self, _context: &egui::Context) -> Option<Option<PathBuf>> {
        if std::mem::take(&mut self.asked) { self.files.pop_front() } else { None }
    }
}

fn open(library: &Library) -> Harness<'static, Manager> {
    open_with(library, &[])
}

/// With a person who chooses these files when they are asked.
fn open_with(library: &Library, files: &[&std::path::Path]) -> Harness<'static, Manager> {
    let library = library.clone();
    let files: Vec<PathBuf> = files.iter().map(|file| file.to_path_buf()).collect();
    Harness::builder()
        .with_size(vec2(1080.0, 720.0))
        .build_eframe(move |creation| manager(library, &files, &creation.egui_ctx))
}

/// A manager on a computer of 16 GiB, with a person who chooses these files when they are asked.
pub(super) fn manager(library: Library, files: &[PathBuf], context: &egui::Context) -> Manager {
    let chooser = Box::new(Decided { files: files.iter().cloned().map(Some).collect(), asked: false });
    let host = Host { memory: Size::gib(16), cpus: 8 };
    let detector = Detector::new(host, "2026-11-22".parse().unwrap(), Places::only(["/usr/share/osinfo"]));
    Manager::new(library, chooser, detector, context).unwrap()
}

/// A disc that says what it is, by its labels alone.
pub(super) fn disc(folder: &TempDir, volume: &str) -> PathBuf {
    let path = folder.path().join("disc.iso");
    let tree = folder.path().join("tree");
    fs::create_dir_all(&tree).unwrap();
    fs::write(tree.join("bios.img"), [0xeb; 2048]).unwrap();
    let made = std::process::Command::new("xorriso")
        .args([
            "-as",
            "mkisofs",
            "-quiet",
            "-V",
            volume,
            "-b",
            "bios.img",
            "-no-emul-boot",
            "-boot-load-size",
            "4",
            "-o",
        ])
        .args([&path, &tree])
        .output()
        .expect("xorriso, which `cargo xtask packages` installs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    path
}

/// Draws until a widget of that label is there.
pub(super) fn wait_for(harness: &mut Harness<'_, Manager>, label: &str) {
    wait_until(harness, label, |harness| harness.query_all_by_label(label).next().is_some());
}

/// Draws until no widget of that label is there.
fn wait_gone(harness: &mut Harness<'_, Manager>, label: &str) {
    wait_until(harness, label, |harness| harness.query_all_by_label(label).next().is_none());
}

fn wait_until(harness: &mut Harness<'_, Manager>, what: &str, holds: impl Fn(&Harness<'_, Manager>) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    harness.step();
    while !holds(harness) {
        assert!(Instant::now() < deadline, "waited in vain for {what:?}: {:#?}", harness.root());
        // The library is watched by another thread.
        std::thread::sleep(Duration::from_millis(5));
        harness.step();
    }
    // What has just come finds its place.
    harness.step();
    harness.step();
}

#[test]
fn an_empty_library_offers_welcome() {
    let (_folder, library) = library(&[]);
    let mut harness = open(&library);
    wait_for(&mut harness, "There are no machines yet");
    harness.get_by_label("Try Welcome");
}

#[test]
fn a_library_that_cannot_be_read_says_so() {
    let (folder, library) = library(&[]);
    fs::remove_dir_all(folder.path().join("machines")).unwrap();
    fs::write(folder.path().join("machines"), "").unwrap();
    let mut harness = open(&library);
    wait_for(&mut harness, "The library can't be read");
}

#[test]
fn machines_are_listed_and_found_by_their_names() {
    let (_folder, library) = library(&["Debian", "Mint"]);
    let mut harness = open(&library);
    wait_for(&mut harness, "Mint, Off");
    harness.get_by_label("Debian, Off");
    harness.key_press_modifiers(Modifiers::COMMAND, Key::F);
    harness.step();
    harness.step();
    harness.event(egui::Event::Text("min".into()));
    wait_gone(&mut harness, "Debian, Off");
    harness.get_by_label("Mint, Off");
}

#[test]
fn the_arrow_keys_choose_a_machine() {
    let (_folder, library) = library(&["VM 10", "VM 9", "VM 100"]);
    let mut harness = open(&library);
    wait_for(&mut harness, "VM 100, Off");
    let chosen = |harness: &Harness<'_, Manager>| harness.state().selected.clone();
    let mut press = |key| {
        harness.key_press(key);
        harness.step();
        harness.step();
        chosen(&harness).unwrap_or_default()
    };
    // The first is looked at when none was chosen.
    assert_eq!(press(Key::ArrowDown), "VM 10");
    assert_eq!(press(Key::ArrowDown), "VM 100");
    assert_eq!(press(Key::ArrowDown), "VM 100");
    assert_eq!(press(Key::ArrowUp), "VM 10");
    assert_eq!(press(Key::ArrowUp), "VM 9");
    // From the search field as well.
    harness.key_press_modifiers(Modifiers::COMMAND, Key::F);
    harness.step();
    harness.step();
    harness.event(egui::Event::Text("10".into()));
    wait_gone(&mut harness, "VM 9, Off");
    harness.key_press(Key::ArrowDown);
    harness.step();
    harness.step();
    assert_eq!(chosen(&harness).as_deref(), Some("VM 100"));
    harness.key_press(Key::Delete);
    wait_gone(&mut harness, "VM 100, Off");
    assert_eq!(library.trash().unwrap().len(), 1);
}

#[test]
fn the_right_button_shows_what_can_be_done_to_a_machine() {
    let (_folder, library) = library(&["Debian", "Mint"]);
    let mut harness = open(&library);
    wait_for(&mut harness, "Mint, Off");
    harness.get_by_label("Mint, Off").click_secondary();
    harness.step();
    wait_for(&mut harness, "Rename… F2");
    harness.get_by_label("Rename… F2").click();
    wait_for(&mut harness, "Rename 'Mint'");
    assert_eq!(harness.state().selected.as_deref(), Some("Mint"));
}

#[test]
fn a_machine_is_deleted_by_a_key_and_brought_back_by_a_button() {
    let (_folder, library) = library(&["Debian", "Mint"]);
    let mut harness = open(&library);
    wait_for(&mut harness, "Mint, Off");
    harness.get_by_label("Mint, Off").click();
    harness.step();
    harness.key_press(Key::Delete);
    wait_gone(&mut harness, "Mint, Off");
    assert_eq!(library.trash().unwrap().len(), 1);
    wait_for(&mut harness, "Undo");
    harness.get_by_label("Undo").click();
    wait_for(&mut harness, "Mint, Off");
    assert!(library.trash().unwrap().is_empty());
}

#[test]
fn a_definition_that_makes_no_sense_is_shown_with_its_reason() {
    let (folder, library) = library(&["Debian"]);
    let file = folder.path().join("machines/Debian/machine.toml");
    let text = fs::read_to_string(&file).unwrap().replace("cpus = 2", "cpus = 0");
    fs::write(&file, text).unwrap();
    let mut harness = open(&library);
    wait_for(&mut harness, "Debian, Can't be used");
}

#[test]
fn what_goes_wrong_is_said() {
    let (_folder, library) = library(&["Debian"]);
    let mut harness = open(&library);
    wait_for(&mut harness, "Debian, Off");
    let context = harness.ctx.clone();
    harness.state_mut().toasts.complain(&context, &anyhow::anyhow!("the disk 'disk0' can't be used"));
    wait_for(&mut harness, "the disk 'disk0' can't be used");
    harness.get_by_label("Dismiss").click();
    wait_gone(&mut harness, "the disk 'disk0' can't be used");
}

#[test]
fn a_machine_is_made_from_a_disc_by_the_keyboard_alone() {
    let (folder, library) = library(&[]);
    let iso = disc(&folder, "Debian 12.5.0 amd64 n");
    let mut harness = open(&library);
    wait_for(&mut harness, "There are no machines yet");
    harness.key_press_modifiers(Modifiers::COMMAND, Key::N);
    wait_for(&mut harness, "New machine");
    // The disc's field has the keyboard.
    harness.step();
    harness.event(egui::Event::Text(iso.display().to_string()));
    wait_for(&mut harness, "Debian 12");
    // Enter would start it, too.
    harness.get_by_label("Create").focus();
    harness.step();
    harness.key_press(Key::Enter);
    wait_for(&mut harness, "Debian 12, Off");
    let machine = library.find("Debian 12").unwrap();
    let definition = machine.definition();
    assert_eq!(definition.cdroms[0].file.as_ref().unwrap().as_str(), iso.display().to_string());
    assert_eq!(definition.os.as_deref(), Some("http://debian.org/debian/12"));
    assert_eq!(definition.disks.len(), 1);
    assert!(definition.memory >= Size::gib(1), "{}", definition.memory);
}

#[test]
fn a_disc_is_chosen_by_the_dialog_and_the_wizard_left_without_a_trace() {
    let (folder, library) = library(&[]);
    let iso = disc(&folder, "UNKNOWN DISC");
    let mut harness = open_with(&library, &[&iso]);
    wait_for(&mut harness, "There are no machines yet");
    harness.key_press_modifiers(Modifiers::COMMAND, Key::N);
    wait_for(&mut harness, "Choose…");
    harness.get_by_label("Choose…").click();
    wait_for(&mut harness, "A disc called 'UNKNOWN DISC'");
    harness.get_by_label("Cancel").click();
    wait_for(&mut harness, "There are no machines yet");
    assert!(library.list().unwrap().is_empty());
    assert_eq!(fs::read_dir(library.root().join("machines")).unwrap().count(), 0);
}

#[test]
fn a_web_page_is_said_to_be_one_and_makes_no_machine() {
    let (folder, library) = library(&[]);
    let page = folder.path().join("debian.iso");
    fs::write(&page, format!("<!DOCTYPE html><html>{}</html>", " ".repeat(70_000))).unwrap();
    let mut harness = open_with(&library, &[&page]);
    wait_for(&mut harness, "There are no machines yet");
    harness.key_press_modifiers(Modifiers::COMMAND, Key::N);
    wait_for(&mut harness, "Choose…");
    harness.get_by_label("Choose…").click();
    wait_until(&mut harness, "the refusal", |harness| harness.query_by_label_contains("web page").is_some());
    assert!(harness.get_by_label("Create and start").accesskit_node().is_disabled());
}

#[test]
fn an_empty_machine_needs_a_name_that_is_free() {
    let (_folder, library) = library(&["Debian"]);
    let mut harness = open(&library);
    wait_for(&mut harness, "Debian, Off");
    harness.key_press_modifiers(Modifiers::COMMAND, Key::N);
    wait_for(&mut harness, "Empty");
    // A widget that has just appeared is where it stays one step later.
    harness.step();
    harness.get_by_role_and_label(egui::accesskit::Role::RadioButton, "Empty").click();
    harness.step();
    harness.step();
    let name = harness.get_by_label("Name");
    name.focus();
    harness.step();
    harness.key_press_modifiers(Modifiers::COMMAND, Key::A);
    harness.event(egui::Event::Text("Debian".into()));
    wait_for(&mut harness, "There is a machine called 'Debian' already.");
    assert!(harness.get_by_label("Create").accesskit_node().is_disabled());
    harness.event(egui::Event::Text(" Two".into()));
    wait_gone(&mut harness, "There is a machine called 'Debian' already.");
    harness.get_by_label("Create").click();
    wait_for(&mut harness, "Debian Two, Off");
    assert!(library.find("Debian Two").unwrap().definition().cdroms[0].file.is_none());
}

#[test]
fn settings_are_changed_and_what_they_were_is_brought_back() {
    let (_folder, library) = library(&["Debian"]);
    let before = library.find("Debian").unwrap().definition().clone();
    let mut harness = open(&library);
    wait_for(&mut harness, "Debian, Off");
    harness.get_by_label("Settings…").click();
    wait_for(&mut harness, "Settings of Debian");
    harness.get_by_label("Notes").focus();
    harness.step();
    harness.event(egui::Event::Text("mine".into()));
    harness.step();
    harness.get_by_label("Add an empty disk").click();
    wait_for(&mut harness, "New disk");
    harness.get_by_label("Apply").click();
    wait_for(&mut harness, "Undo");
    let changed = library.find("Debian").unwrap().definition().clone();
    assert_eq!((changed.notes.as_str(), changed.disks.len()), ("mine", 2));
    harness.get_by_label("Undo").click();
    wait_for(&mut harness, "The settings of 'Debian' are what they were");
    assert_eq!(*library.find("Debian").unwrap().definition(), before);
}

#[test]
fn a_machine_is_renamed_by_a_key() {
    let (_folder, library) = library(&["Debian", "Mint"]);
    let mut harness = open(&library);
    wait_for(&mut harness, "Debian, Off");
    harness.key_press(Key::F2);
    wait_for(&mut harness, "Rename 'Debian'");
    harness.step();
    harness.key_press_modifiers(Modifiers::COMMAND, Key::A);
    harness.event(egui::Event::Text("Mint".into()));
    harness.step();
    harness.key_press(Key::Enter);
    wait_until(&mut harness, "the refusal", |harness| harness.query_by_label_contains("already").is_some());
    harness.key_press_modifiers(Modifiers::COMMAND, Key::A);
    harness.event(egui::Event::Text("Lenny".into()));
    harness.step();
    harness.key_press(Key::Enter);
    wait_for(&mut harness, "Lenny, Off");
}

#[test]
fn the_palette_finds_what_can_be_done() {
    let (_folder, library) = library(&["Debian", "Mint"]);
    let mut harness = open(&library);
    wait_for(&mut harness, "Debian, Off");
    harness.key_press_modifiers(Modifiers::COMMAND | Modifiers::SHIFT, Key::P);
    wait_for(&mut harness, "Go to Mint");
    harness.event(egui::Event::Text("go mint".into()));
    wait_gone(&mut harness, "Go to Debian");
    harness.key_press(Key::Enter);
    wait_gone(&mut harness, "Go to Mint");
    harness.key_press_modifiers(Modifiers::COMMAND | Modifiers::SHIFT, Key::P);
    wait_for(&mut harness, "Move to trash — Mint");
    harness.event(egui::Event::Text("trash".into()));
    harness.step();
    harness.step();
    harness.key_press(Key::Enter);
    wait_gone(&mut harness, "Mint, Off");
}

#[test]
fn every_menu_says_actions_that_there_are() {
    for id in ["create", "welcome", "doctor", "edit", "rename", "insert", "eject"] {
        assert!(Manager::can_do(id) && Action::find(id).is_some(), "{id}");
    }
    // What the palette offers for machines does something.
    let offered = ALL.iter().filter(|action| Manager::can_do(action.id));
    assert!(offered.count() >= 18);
}
