//! x
use anyhow::Result;
pub(crate) fn command(_args: crate::args::Args) -> Result<std::process::ExitCode> {
    Ok(0.into())
}
pub(crate) mod runner;
