//! The manager's window, driven by what a screen reader would find in it. Nothing is drawn, and no machine runs.

use std::time::{Duration, Instant};

use eframe::egui::{Key, Modifiers, vec2};
use egui_kittest::{Harness, kittest::Queryable};
use machine::{name::Name, size::Size};
use tempfile::TempDir;

use super::*;
use crate::order::DiskOrder;

const PATIENCE: Duration = Duration::from_secs(20);

/// A library of its own, with these machines.
fn library(names: &[&str]) -> (TempDir, Library) {
    let folder = tempfile::tempdir().unwrap();
    let library = Library::open(folder.path(), SystemTime::now().into()).unwrap();
    for name in names {
        let order = Order { disks: vec![DiskOrder::New(Size::gib(20))], ..Order::new(Name::new(*name).unwrap()) };
        order.make(&library).unwrap();
    }
    (folder, library)
}

fn open(library: &Library) -> Harness<'static, Manager> {
    let library = library.clone();
    Harness::builder()
        .with_size(vec2(1080.0, 720.0))
        .build_eframe(move |creation| Manager::new(library, &creation.egui_ctx).unwrap())
}

/// Draws until a widget of that label is there.
fn wait_for(harness: &mut Harness<'_, Manager>, label: &str) {
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
    std::fs::remove_dir_all(folder.path().join("machines")).unwrap();
    std::fs::write(folder.path().join("machines"), "").unwrap();
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
    let text = std::fs::read_to_string(&file).unwrap().replace("cpus = 2", "cpus = 0");
    std::fs::write(&file, text).unwrap();
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
