//! Makes the disk image of the guest *Welcome*: paints what it shows, packs that, and assembles the guest around it.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "cargo is told on standard output, people on standard error"
)]

mod canvas;
mod cyclists;
mod landscape;
mod layout;
mod letters;
mod pack;
mod pointer;
mod screen;
mod text;
mod tools;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};

use pack::{Dictionary, Flat};

/// A disk's size: one cylinder of 16 heads and 63 sectors. Firmware reads the boot sector by cylinder, head and sector,
/// and can't from a disk that hasn't even one cylinder.
const DISK_BYTES: usize = 16 * 63 * 512;

fn main() -> ExitCode {
    println!("cargo::rerun-if-changed=build");
    println!("cargo::rerun-if-changed=demo");
    match make() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn make() -> Result<(), String> {
    let folder = |name: &str| env::var_os(name).map(PathBuf::from).ok_or_else(|| format!("cargo has not set {name}"));
    let (sources, made) = (folder("CARGO_MANIFEST_DIR")?.join("demo"), folder("OUT_DIR")?);
    write(&made, "layout.inc", layout::for_assembler().as_bytes())?;
    write(&made, "styles.inc", text::styles().as_bytes())?;
    write(&made, "small_font.bin", &text::small_font())?;
    write(&made, "large_digits.bin", &text::large_digits())?;
    let pointer: Vec<u8> = pointer::pixels().into_iter().flat_map(u32::to_le_bytes).collect();
    write(&made, "pointer.bin", &pointer)?;
    pictures(&made)?;

    let mut image = tools::image(&sources, &made)?;
    if image.len() > DISK_BYTES {
        return Err(format!("the guest has grown to {} bytes, which its disk of {DISK_BYTES} can't hold", image.len()));
    }
    image.resize(DISK_BYTES, 0);
    write(&made, "welcome.img", &image)
}

/// Paints and packs the pictures.
fn pictures(made: &Path) -> Result<(), String> {
    let screen = screen::paint();
    let sprites = screen::sprites(&screen);
    let mut all = vec![("screen", Flat::of(&screen))];
    all.extend(sprites.iter().map(|sprite| (sprite.name, Flat::of(&sprite.picture))));
    let dictionary = Dictionary::for_pictures(&all.iter().map(|(_, flat)| flat).collect::<Vec<_>>());
    write(made, "dictionary.bin", &dictionary.to_bytes())?;
    for (name, flat) in &all {
        let packed = dictionary.pack(flat);
        if dictionary.unpack(&packed).as_ref() != Some(flat) {
            return Err(format!("the packed picture {name} unpacks to something else"));
        }
        write(made, &format!("{name}.bin"), &packed)?;
    }
    Ok(())
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), String> {
    let file = folder.join(name);
    fs::write(&file, bytes).map_err(|error| format!("can't write {}: {error}", file.display()))
}
