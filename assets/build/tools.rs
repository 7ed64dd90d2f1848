//! The system's assembler and linker.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Assembles every `.S` file of a folder and links them to a raw image. The sources find what the build has made in
/// `made`, where intermediate files go too.
pub(crate) fn image(sources: &Path, made: &Path) -> Result<Vec<u8>, String> {
    let mut objects = Vec::new();
    for source in assembler_files(sources)? {
        let object = made.join(source.file_name().unwrap_or_default()).with_extension("o");
        let mut assembler = Command::new("as");
        assembler.args(["--32", "--fatal-warnings", "-I"]).arg(sources).arg("-I").arg(made);
        run(assembler.arg("-o").arg(&object).arg(&source))?;
        objects.push(object);
    }
    let (linked, raw) = (made.join("welcome.elf"), made.join("welcome.raw"));
    let mut linker = Command::new("ld");
    linker.args(["-m", "elf_i386", "--build-id=none", "-nostdlib", "-T"]);
    run(linker.arg(sources.join("welcome.ld")).arg("-o").arg(&linked).args(&objects))?;
    run(Command::new("objcopy").args(["-O", "binary"]).arg(&linked).arg(&raw))?;
    fs::read(&raw).map_err(|error| format!("can't read {}: {error}", raw.display()))
}

fn assembler_files(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = fs::read_dir(folder).map_err(|error| format!("can't read {}: {error}", folder.display()))?;
    let files = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut files: Vec<PathBuf> = files.filter(|file| file.extension() == Some(OsStr::new("S"))).collect();
    files.sort();
    Ok(files)
}

fn run(command: &mut Command) -> Result<(), String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| {
        format!("can't run `{name}` ({error}). It assembles the guest Welcome; Debian's package binutils has it")
    })?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(()) } else { Err(format!("`{name}` failed ({}):\n{said}", output.status)) }
}
