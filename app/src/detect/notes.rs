//! What a person should know before they make a machine of a file.

use machine::size::Size;
use osinfo::Database;
use storage::media::EfiLoader;

use super::{
    Detector, DiskImage, Iso, Kind, Note,
    advice::{self, plain},
    kinds::Seen,
    systems::Systems,
};

/// Everything to know, the worst first.
pub(super) fn of(seen: &Seen, systems: &Systems, detector: &Detector) -> Vec<Note> {
    let mut notes = match &seen.kind {
        Kind::Iso(iso) => of_disc(iso, seen, systems),
        Kind::DiskImage(image) => of_image(image),
        Kind::Kernel(kernel) if !kernel.pvh && !kernel.linux64 => {
            vec![Note::problem("This kernel has neither a 64-bit nor a PVH entry: no machine can start it.")]
        }
        Kind::Kernel(_) => Vec::new(),
        Kind::Unknown { .. } => {
            vec![Note::warning("Nothing in this file says what it is. It can be used as a disk, if it is one.")]
        }
    };
    notes.extend(of_system(systems, detector));
    if matches!(seen.kind, Kind::Iso(_)) && detector.database().is_empty() {
        notes.push(Note::hint(
            "Which system this is, and what it needs, is known with the package osinfo-db: `sudo apt install osinfo-db`.",
        ));
    }
    notes.sort_by_key(|note| note.severity);
    notes
}

fn of_disc(iso: &Iso, seen: &Seen, systems: &Systems) -> Vec<Note> {
    let mut notes = Vec::new();
    if let Some((len, expected)) = seen.cut_off {
        notes.push(Note::problem(format!(
            "The file is cut off: it has {} of {} MB. Download or copy it again.",
            len >> 20,
            expected >> 20
        )));
    }
    if let Some(computers) = wrong_processor(seen, systems) {
        notes.push(Note::problem(format!("This is for {computers} computers; it won't start on this one.")));
    } else if !iso.boots_with_bios && iso.boots_with_uefi {
        notes.push(Note::problem("It starts only with UEFI firmware, and machines have only a BIOS yet."));
    } else if !iso.boots_with_bios {
        notes.push(Note::warning("This ISO isn't bootable: a machine can read it, but not start from it."));
    }
    notes
}

/// The computers that a disc is for, if they are others than PCs.
fn wrong_processor(seen: &Seen, systems: &Systems) -> Option<&'static str> {
    if let Some(arch) = systems.os.as_ref().and_then(|os| os.arch.as_deref()) {
        return match arch {
            "x86_64" | "i386" | "i486" | "i586" | "i686" => None,
            "aarch64" => Some("64-bit Arm (arm64)"),
            "armv6l" | "armv7l" => Some("32-bit Arm"),
            "ppc" | "ppc64" | "ppc64le" => Some("Power"),
            "s390" | "s390x" => Some("IBM Z"),
            "riscv32" | "riscv64" => Some("RISC-V"),
            "ia64" => Some("Itanium"),
            _ => Some("other"),
        };
    }
    // The programs on it tell as well.
    let disc = seen.disc.as_ref()?;
    let (first, loaders) = (disc.efi_loaders.first()?, &disc.efi_loaders);
    let for_pcs = loaders.iter().any(|loader| matches!(loader, EfiLoader::X64 | EfiLoader::Ia32));
    if for_pcs || disc.boots_with_bios() {
        return None;
    }
    Some(match first {
        EfiLoader::Aa64 => "64-bit Arm (arm64)",
        EfiLoader::Arm => "32-bit Arm",
        EfiLoader::X64 | EfiLoader::Ia32 | EfiLoader::Other => "other",
    })
}

fn of_image(image: &DiskImage) -> Vec<Note> {
    let mut notes = Vec::new();
    if let Some(backing) = &image.backing {
        notes.push(Note::problem(format!(
            "This image holds only the changes to another one ({backing}), without which it can't be used. \
             Make it whole: `qemu-img convert -O qcow2 FILE NEW.qcow2`."
        )));
    }
    match (image.boots_with_bios, image.boots_with_uefi) {
        (Some(false), Some(true)) => {
            notes.push(Note::problem("It starts only with UEFI firmware, and machines have only a BIOS yet."));
        }
        (Some(false), _) => {
            notes.push(Note::hint("This disk has no boot code: a machine starts from it once a system is installed."));
        }
        _ => {}
    }
    notes
}

fn of_system(systems: &Systems, detector: &Detector) -> Vec<Note> {
    let Some(os) = &systems.os else { return Vec::new() };
    let (name, database) = (&os.name, detector.database());
    let mut notes = Vec::new();
    let least = advice::resources(os, database).minimum.memory_bytes.map(Size::bytes);
    if let Some(least) = least.filter(|least| *least > detector.host.memory) {
        let here = plain(detector.host.memory);
        notes.push(Note::warning(format!("{name} needs {} of memory, and this computer has {here}.", plain(least))));
    }
    if refuses_bios(os, database) {
        notes.push(Note::warning(format!("{name} asks for UEFI firmware, and machines have only a BIOS yet.")));
    }
    if let Some(end) = os.end_of_life.filter(|end| *end < detector.today) {
        notes.push(Note::hint(format!("{name} has had no updates since {end}: keep it away from the Internet.")));
    }
    if os.arch.as_deref() == Some("i686") {
        notes.push(Note::hint("This is a 32-bit system. If there is a 64-bit one, that is faster."));
    }
    if !systems.alternatives.is_empty() {
        let others: Vec<&str> = systems.alternatives.iter().map(|other| other.name.as_str()).collect();
        notes.push(Note::hint(format!("It may also be {}: their discs are labelled alike.", others.join(" or "))));
    }
    if let Some(like) = &os.stand_in {
        notes.push(Note::hint(format!(
            "{name} is newer than this computer's osinfo-db; what it needs is taken from {}.",
            like.name
        )));
    }
    notes
}

fn refuses_bios(os: &super::Os, database: &Database) -> bool {
    let id = os.stand_in.as_ref().map_or(&os.id, |like| &like.id);
    let arch = os.arch.as_deref().unwrap_or("x86_64");
    database.find(id).is_some_and(|system| system.starts_with("bios", arch) == Some(false))
}
