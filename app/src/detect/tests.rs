//! What is said of files, with the database of Debian's package `osinfo-db` and discs made by xorriso: `cargo xtask packages`
//! installs both.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use machine::definition::{ImageFormat, defaults};
use storage::image::{self, NewImage};
use tempfile::TempDir;

use super::*;

const HOST: Host = Host { memory: Size::gib(16), cpus: 8 };
const PACKAGED: &str = "/usr/share/osinfo";

fn detector() -> Detector {
    assert!(Path::new(PACKAGED).is_dir(), "{PACKAGED} is not there: `cargo xtask packages` installs osinfo-db");
    Detector::new(HOST, "2026-11-22".parse().unwrap(), Places::only([PACKAGED]))
}

fn detector_without_database() -> Detector {
    Detector::new(HOST, "2026-11-22".parse().unwrap(), Places::only(["/nonexistent"]))
}

/// A folder with files for tests.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Files(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    /// A disc by xorriso, with these options, of the files below `disc/`.
    fn disc(&self, volume: &str, options: &[&str]) -> PathBuf {
        self.write("disc/boot/bios.img", &[0xeb; 2048]);
        self.write("disc/boot/efi.img", &[0; 8192]);
        let iso = self.path("disc.iso");
        let made = Command::new("xorriso")
            .args(["-as", "mkisofs", "-quiet", "-V", volume])
            .args(options)
            .arg("-o")
            .args([&iso, &self.path("disc")])
            .output()
            .expect("xorriso, which `cargo xtask packages` installs");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        iso
    }
}

const BIOS: [&str; 6] = ["-b", "boot/bios.img", "-no-emul-boot", "-boot-load-size", "4", "-boot-info-table"];
const UEFI: [&str; 3] = ["-e", "boot/efi.img", "-no-emul-boot"];

fn both() -> Vec<&'static str> {
    [&BIOS[..], &["-eltorito-alt-boot"], &UEFI].concat()
}

fn iso(detected: &Detected) -> &Iso {
    match &detected.kind {
        Kind::Iso(iso) => iso,
        other => panic!("{other:?}"),
    }
}

fn said(detected: &Detected, severity: Severity) -> Vec<&str> {
    detected.notes.iter().filter(|note| note.severity == severity).map(|note| note.text.as_str()).collect()
}

fn refusal(detector: &Detector, path: &Path) -> String {
    crate::output::sentence(&detector.detect(path).unwrap_err())
}

#[test]
fn an_installers_disc_prefills_the_wizard() {
    let files = Files::new();
    let path = files.disc("Debian 11.5.0 amd64 n", &both());
    let detected = detector().detect(&path).unwrap();
    assert!(iso(&detected).boots_with_bios && iso(&detected).boots_with_uefi);
    let os = detected.os.as_ref().unwrap();
    assert_eq!((os.id.as_str(), os.short_id.as_str()), ("http://debian.org/debian/11", "debian11"));
    assert_eq!((os.arch.as_deref(), os.live, os.installer), (Some("x86_64"), false, true));
    let advice = &detected.advice;
    assert_eq!(advice.name.value, "Debian 11");
    assert_eq!(advice.memory.value, Size::gib(2));
    assert_eq!(advice.memory.why, "Debian 11 recommends 1 GB; with 2 GB it has room");
    assert_eq!(advice.disk.as_ref().unwrap().value, Size::gib(25));
    assert_eq!(said(&detected, Severity::Problem), [""; 0]);
    assert_eq!(said(&detected, Severity::Warning), [""; 0]);
}

#[test]
fn a_release_that_the_database_doesnt_know_is_named_after_its_label() {
    let files = Files::new();
    let path = files.disc("Ubuntu 24.04.1 LTS amd64", &both());
    let detected = detector().detect(&path).unwrap();
    let os = detected.os.as_ref().unwrap();
    assert_eq!((os.name.as_str(), os.id.as_str()), ("Ubuntu 24.04 LTS", "http://ubuntu.com/ubuntu/24.04"));
    assert!(os.live && os.stand_in.as_ref().unwrap().name == "Ubuntu 22.04 LTS");
    assert_eq!(detected.advice.memory.why, "Ubuntu 24.04 LTS recommends 4 GB");
    assert!(said(&detected, Severity::Hint)[0].contains("newer than this computer's osinfo-db"));
}

#[test]
fn discs_that_are_labelled_alike_are_all_named_and_get_enough_for_each() {
    let files = Files::new();
    let options = [&BIOS[..], &["-publisher", "MICROSOFT CORPORATION"]].concat();
    let path = files.disc("CCCOMA_X64FRE_EN-US_DV9", &options);
    let detected = detector().detect(&path).unwrap();
    assert_eq!(detected.os.as_ref().unwrap().name, "Microsoft Windows 11");
    assert_eq!(detected.alternatives.iter().map(|os| os.short_id.as_str()).collect::<Vec<_>>(), ["win10"]);
    let advice = &detected.advice;
    assert_eq!((advice.name.value.as_str(), advice.memory.value), ("Windows 11", Size::gib(4)));
    assert_eq!(advice.disk.as_ref().unwrap().value, Size::gib(64));
    assert!(said(&detected, Severity::Warning)[0].contains("asks for UEFI firmware"));
    assert!(said(&detected, Severity::Hint)[0].contains("Microsoft Windows 10"));
}

#[test]
fn a_disc_for_other_computers_is_said_to_be_by_its_label_or_by_its_programs() {
    let files = Files::new();
    let labelled = files.disc("Debian 12.5.0 arm64 n", &UEFI);
    let note = "This is for 64-bit Arm (arm64) computers; it won't start on this one.";
    assert_eq!(said(&detector().detect(&labelled).unwrap(), Severity::Problem), [note]);
    files.write("disc/EFI/BOOT/BOOTAA64.EFI", b"MZ");
    let unknown = files.disc("SOMETHING", &UEFI);
    let detected = detector().detect(&unknown).unwrap();
    assert_eq!((said(&detected, Severity::Problem), detected.os.as_ref()), (vec![note], None));
    files.write("disc/EFI/BOOT/BOOTX64.EFI", b"MZ");
    let universal = files.disc("SOMETHING", &both());
    assert_eq!(said(&detector().detect(&universal).unwrap(), Severity::Problem), [""; 0]);
}

#[test]
fn a_disc_that_wont_start_is_said_not_to() {
    let files = Files::new();
    let efi = detector().detect(&files.disc("SOMETHING", &UEFI)).unwrap();
    assert!(said(&efi, Severity::Problem)[0].contains("only with UEFI"));
    let none = detector().detect(&files.disc("Holiday_2019", &[])).unwrap();
    assert!(said(&none, Severity::Warning)[0].contains("isn't bootable"));
    assert_eq!(none.advice.name.value, "Holiday 2019");
}

#[test]
fn a_disc_that_is_cut_off_is_known_and_said_to_be_cut_off() {
    let files = Files::new();
    files.write("disc/data", &vec![1; 2 << 20]);
    let path = files.disc("Debian 11.5.0 amd64 n", &both());
    fs::File::options().write(true).open(&path).unwrap().set_len(100 << 10).unwrap();
    let detected = detector().detect(&path).unwrap();
    assert!(said(&detected, Severity::Problem)[0].contains("cut off"), "{:?}", detected.notes);
    assert_eq!(detected.os.unwrap().name, "Debian 11");
}

#[test]
fn without_a_database_the_label_speaks_for_itself() {
    let files = Files::new();
    let path = files.disc("Debian 11.5.0 amd64 n", &both());
    let detected = detector_without_database().detect(&path).unwrap();
    assert_eq!(detected.os, None);
    let advice = &detected.advice;
    assert_eq!((advice.name.value.as_str(), advice.memory.value), ("Debian 11.5.0", defaults::MEMORY));
    assert!(said(&detected, Severity::Hint)[0].contains("osinfo-db"));
}

#[test]
fn what_no_machine_can_use_is_named() {
    let files = Files::new();
    let detector = detector();
    for (name, bytes, word) in [
        ("page.iso", &b"<!DOCTYPE html><html>"[..], "is a web page"),
        ("empty.iso", b"", "is empty"),
        ("a.zip", b"PK\x03\x04....", "is a zip archive"),
        ("a.vmdk", b"KDMV\x01\0\0\0", "VMware"),
        ("short", b"hello", "shorter than one sector"),
    ] {
        let refusal = refusal(&detector, &files.write(name, bytes));
        assert!(refusal.contains(word) && refusal.contains(name), "{refusal}");
    }
    assert!(refusal(&detector, &files.path("nowhere")).contains("there is no file"));
    assert!(refusal(&detector, files.0.path()).contains("is a folder"));
}

#[test]
fn disk_images_are_known_by_what_they_hold() {
    let files = Files::new();
    let detector = detector();
    let welcome = detector.detect(&files.write("Welcome.img", assets::WELCOME)).unwrap();
    let Kind::DiskImage(found) = &welcome.kind else { panic!("{welcome:?}") };
    assert_eq!((found.format, found.boots_with_bios), (ImageFormat::Raw, Some(true)));
    assert_eq!((welcome.advice.disk.as_ref(), welcome.advice.name.value.as_str()), (None, "Welcome"));
    assert_eq!(welcome.notes, []);

    let path = files.path("new.qcow2");
    let file = fs::File::options().read(true).write(true).create_new(true).open(&path).unwrap();
    image::create_qcow2(&file, &NewImage::new(1 << 30)).unwrap();
    let new = detector.detect(&path).unwrap();
    let Kind::DiskImage(found) = &new.kind else { panic!("{new:?}") };
    assert_eq!((found.format, found.bytes, found.boots_with_bios), (ImageFormat::Qcow2, 1 << 30, Some(false)));
    assert!(said(&new, Severity::Hint)[0].contains("no boot code"));

    let path = files.path("overlay.qcow2");
    let file = fs::File::options().read(true).write(true).create_new(true).open(&path).unwrap();
    let below = image::BackingName { name: "base.qcow2".into(), format: None };
    image::create_qcow2(&file, &NewImage::overlay(1 << 30, below)).unwrap();
    let overlay = detector.detect(&path).unwrap();
    assert!(said(&overlay, Severity::Problem)[0].contains("base.qcow2"), "{overlay:?}");

    let unknown = detector.detect(&files.write("zeroes", &[0; 4096])).unwrap();
    assert_eq!(unknown.kind, Kind::Unknown { bytes: 4096 });
    assert!(said(&unknown, Severity::Warning)[0].contains("Nothing in this file"));
}

/// An ELF file with one segment, and with Xen's note of a PVH entry (`XEN_ELFNOTE_PHYS32_ENTRY`).
fn pvh_kernel() -> Vec<u8> {
    let mut file = vec![0; 0x100];
    let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"\x7fELF\x02\x01\x01");
    put(16, &[2, 0, 62, 0, 1, 0, 0, 0]);
    put(24, &0x10_0000_u64.to_le_bytes());
    put(32, &64_u64.to_le_bytes());
    put(52, &[64, 0, 56, 0, 2, 0]);
    for (header, kind, offset, address, size) in
        [(64, 1_u32, 0_u64, 0x10_0000_u64, 0x100_u64), (120, 4, 0xc0, 0x10_00c0, 20)]
    {
        put(header, &kind.to_le_bytes());
        put(header + 4, &7_u32.to_le_bytes());
        for (place, value) in [(8, offset), (16, address), (24, address), (32, size), (40, size), (48, 4)] {
            put(header + place, &value.to_le_bytes());
        }
    }
    for (index, value) in [4_u32, 4, 18, u32::from_le_bytes(*b"Xen\0"), 0x10_0000].into_iter().enumerate() {
        put(0xc0 + 4 * index, &value.to_le_bytes());
    }
    file
}

#[test]
fn kernels_are_known_by_their_entries() {
    let files = Files::new();
    let detector = detector();
    let detected = detector.detect(&files.write("vmlinux", &pvh_kernel())).unwrap();
    assert_eq!(detected.kind, Kind::Kernel(KernelFile { linux: None, pvh: true, linux64: false }));
    assert_eq!((detected.notes.len(), detected.advice.disk.is_none()), (0, true));
    let mut other = pvh_kernel();
    other[18] = 183;
    assert!(refusal(&detector, &files.write("arm", &other)).contains("can't be started"));
}

#[test]
fn a_kernel_is_called_as_it_says() {
    let release = |linux: &str| KernelFile { linux: Some(linux.into()), pvh: true, linux64: true }.release();
    assert_eq!(release("6.1.0-50-amd64 (someone) #1 SMP").as_deref(), Some("Linux 6.1.0-50-amd64"));
    assert_eq!(release("Memtest86+ v6.10").as_deref(), Some("Memtest86+ v6.10"));
}

#[test]
fn systems_are_found_by_their_letters_the_newest_first() {
    let detector = detector();
    let names: Vec<_> = detector.systems("debian").into_iter().map(|os| os.name).collect();
    let place = |name: &str| names.iter().position(|known| known == name).unwrap();
    assert!(place("Debian 11") < place("Debian 10"), "{names:?}");
    assert_eq!(detector.systems("nothing is called so"), []);
    let windows = detector.systems("win11").remove(0);
    assert_eq!(detector.advice(Some(&windows)).disk.unwrap().value, Size::gib(64));
    assert_eq!(detector.advice(None).memory.value, defaults::MEMORY);
}

#[test]
fn an_old_system_is_said_to_be_out_of_care() {
    let files = Files::new();
    let path = files.disc("alpine-std 3.10.1 x86_64", &BIOS);
    let detected = detector().detect(&path).unwrap();
    assert_eq!(detected.os.as_ref().unwrap().name, "Alpine Linux 3.10");
    assert!(said(&detected, Severity::Hint)[0].contains("has had no updates since 2021-05-01"));
}

#[test]
fn this_computer_has_memory_and_processors() {
    let host = Host::this();
    assert!(host.memory > Size::mib(64) && host.cpus >= 1);
}
