//! Pictures of a machine's screen, as files.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use machine::console::Frame;

/// Saves a picture in the person's folder of pictures, under a name that no file has.
pub(super) fn save(frame: &Frame, name: &str) -> Result<PathBuf> {
    let folder = picture_folder().context("there is no home folder to save the picture in")?;
    std::fs::create_dir_all(&folder).with_context(|| format!("can't make the folder {}", folder.display()))?;
    let name: String =
        name.chars().map(|letter| if letter == '/' || letter.is_control() { '_' } else { letter }).collect();
    let name: String = name.trim_start_matches('.').chars().take(60).collect();
    let bytes = display::picture::png(frame)?;
    for number in 1..10_000 {
        let path = folder.join(format!("{name} {number}.png"));
        match std::fs::File::options().write(true).create_new(true).open(&path) {
            Ok(mut file) => {
                let written = std::io::Write::write_all(&mut file, &bytes);
                if written.is_err() {
                    let _ = std::fs::remove_file(&path);
                }
                written.with_context(|| format!("can't write {}", path.display()))?;
                return Ok(path);
            }
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error).with_context(|| format!("can't write {}", path.display())),
        }
    }
    bail!("the folder {} is full of pictures of this machine", folder.display())
}

/// Where this account keeps pictures: as its desktop says (xdg-user-dirs), or `~/Pictures`.
fn picture_folder() -> Option<PathBuf> {
    let home = std::env::home_dir().filter(|home| home.is_absolute())?;
    let config = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let dirs = std::fs::read_to_string(config.unwrap_or_else(|| home.join(".config")).join("user-dirs.dirs"));
    let said = dirs.ok().and_then(|text| {
        let line = text.lines().find_map(|line| line.trim().strip_prefix("XDG_PICTURES_DIR=").map(str::to_owned))?;
        let value = line.trim_matches('"').to_owned();
        Some(
            value
                .strip_prefix("$HOME")
                .map_or_else(|| PathBuf::from(&value), |rest| home.join(rest.trim_start_matches('/'))),
        )
    });
    Some(said.filter(|path| path.is_absolute()).unwrap_or_else(|| home.join("Pictures")))
}
