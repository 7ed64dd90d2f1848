//! `cargo xtask pictures`: a picture of every page of the manager in `docs/pictures`, drawn by the test that looks whether
//! something on them is cut (`app/src/manager/pictures.rs`).

use std::fs;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

use crate::args::Args;
use crate::{packages, places, process};

/// Where the test leaves its pictures, if that is set.
const VARIABLE: &str = "TANDEM_PICTURES";

/// `cargo xtask pictures`.
pub(crate) fn command(args: Args) -> Result<ExitCode> {
    args.finish()?;
    packages::ensure()?;
    let folder = places::workspace().join("docs/pictures");
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("can't empty {}", folder.display()))?;
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut test = Command::new(cargo);
    test.args(["test", "--locked", "--package", "tandem", "--", "every_page_fits"]).env(VARIABLE, &folder);
    process::run(test.current_dir(places::workspace()))?;
    let count = fs::read_dir(&folder).with_context(|| format!("nothing was left in {}", folder.display()))?.count();
    println!("{count} pictures: {}", folder.display());
    Ok(ExitCode::SUCCESS)
}
