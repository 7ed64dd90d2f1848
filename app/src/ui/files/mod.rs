//! Asking a person for a file: by their desktop's own dialog, through its portal, or by ours where there is none.

mod picker;
mod portal;

use std::{
    path::{Path, PathBuf},
    sync::mpsc::{self, Receiver, TryRecvError},
};

use eframe::egui::Context;

use self::{picker::Picker, portal::PortalAnswer};

/// What a person is to choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// What the dialog is called.
    pub(crate) title: &'static str,
    /// What such files are called.
    pub(crate) kind: &'static str,
    /// How their names usually end; none for any.
    pub(crate) extensions: &'static [&'static str],
}

/// A disc.
pub(crate) const DISC: Wanted = Wanted { title: "Choose a disc", kind: "Discs", extensions: &["iso", "img"] };
/// A disk image.
pub(crate) const DISK: Wanted =
    Wanted { title: "Choose a disk image", kind: "Disk images", extensions: &["qcow2", "img", "raw", "qcow"] };
/// A kernel or its first file system, whose names end in many ways.
pub(crate) const ANY: Wanted = Wanted { title: "Choose a file", kind: "Files", extensions: &[] };

/// One who asks for files. One question at a time.
pub(crate) trait FileChooser {
    /// Begins to ask, `near` a file or folder that was chosen before.
    fn ask(&mut self, context: &Context, wanted: Wanted, near: Option<&Path>);

    /// Draws what there is to draw. Gives the answer when there is one: a file, or nothing for a person who chose none.
    fn show(&mut self, context: &Context) -> Option<Option<PathBuf>>;
}

/// Asks by the desktop's own dialog, or by ours.
#[derive(Default)]
pub(crate) struct DesktopChooser {
    asking: Asking,
    /// The desktop has no dialog.
    alone: bool,
}

#[derive(Default)]
enum Asking {
    #[default]
    Nothing,
    Portal(Receiver<PortalAnswer>, Wanted, Option<PathBuf>),
    Picker(Picker),
}

impl DesktopChooser {
    /// Whether a person is being asked.
    pub(crate) fn is_open(&self) -> bool {
        !matches!(self.asking, Asking::Nothing)
    }
}

impl FileChooser for DesktopChooser {
    fn ask(&mut self, context: &Context, wanted: Wanted, near: Option<&Path>) {
        let near = near.map(Path::to_owned);
        if self.alone {
            self.asking = Asking::Picker(Picker::new(context, wanted, near.as_deref()));
            return;
        }
        let (answer, answered) = mpsc::channel();
        let (context, start) = (context.clone(), near.clone());
        let ask = move || {
            let _ = answer.send(portal::choose(wanted, start.as_deref()));
            context.request_repaint();
        };
        // Without a thread there is no answer, and so ours is asked.
        let _ = std::thread::Builder::new().name("portal".into()).spawn(ask);
        self.asking = Asking::Portal(answered, wanted, near);
    }

    fn show(&mut self, context: &Context) -> Option<Option<PathBuf>> {
        let answer = match &mut self.asking {
            Asking::Nothing => return None,
            Asking::Portal(answered, wanted, near) => match answered.try_recv() {
                Ok(PortalAnswer::Chosen(path)) => Some(path),
                Err(TryRecvError::Empty) => None,
                Ok(PortalAnswer::NoPortal) | Err(TryRecvError::Disconnected) => {
                    self.alone = true;
                    let picker = Picker::new(context, *wanted, near.as_deref());
                    self.asking = Asking::Picker(picker);
                    return None;
                }
            },
            Asking::Picker(picker) => picker.show(context),
        };
        if answer.is_some() {
            self.asking = Asking::Nothing;
        }
        answer
    }
}
