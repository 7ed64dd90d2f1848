//! The desktop's own file dialog, through xdg-desktop-portal.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use super::Wanted;

/// How long a portal may take to say that it is there. One that is started for it takes a moment.
const PATIENCE: Duration = Duration::from_secs(5);

/// What came of asking.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum PortalAnswer {
    /// The person chose a file, or none.
    Chosen(Option<PathBuf>),
    /// There is nobody to show a dialog.
    NoPortal,
}

/// Asks, and waits for the person.
pub(super) fn choose(wanted: Wanted, near: Option<&Path>) -> PortalAnswer {
    if let Err(error) = file_chooser_version() {
        tracing::debug!(%error, "the desktop has no file dialog");
        return PortalAnswer::NoPortal;
    }
    let mut dialog = rfd::FileDialog::new().set_title(wanted.title);
    if !wanted.extensions.is_empty() {
        dialog = dialog.add_filter(wanted.kind, wanted.extensions).add_filter("All files", &["*"]);
    }
    if let Some(folder) = near.and_then(|near| if near.is_dir() { Some(near) } else { near.parent() }) {
        dialog = dialog.set_directory(folder);
    }
    PortalAnswer::Chosen(dialog.pick_file())
}

/// The version of the portal's dialog (`org.freedesktop.portal.FileChooser`), which is there if it has one.
fn file_chooser_version() -> zbus::Result<u32> {
    let bus = zbus::blocking::connection::Builder::session()?.method_timeout(PATIENCE).build()?;
    let portal = zbus::blocking::Proxy::new(
        &bus,
        "org.freedesktop.portal.Desktop",
        "/org/freedesktop/portal/desktop",
        "org.freedesktop.portal.FileChooser",
    )?;
    portal.get_property("version")
}
