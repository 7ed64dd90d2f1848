//! Work that may take a while, off the thread that draws. Its result comes back to it.

use std::sync::mpsc::{self, Receiver, Sender};

use eframe::egui;

/// Results of type `T`, each from a thread of its own.
pub(crate) struct Tasks<T> {
    sender: Sender<T>,
    receiver: Receiver<T>,
}

impl<T: Send + 'static> Tasks<T> {
    pub(crate) fn new() -> Self {
        let (sender, receiver) = mpsc::channel();
        Tasks { sender, receiver }
    }

    /// Begins a piece of work; `context` is drawn anew when it is done. A host that gives no thread has it done here.
    pub(crate) fn begin(&self, context: &egui::Context, work: impl FnOnce() -> T + Send + 'static) {
        let (sender, context) = (self.sender.clone(), context.clone());
        let job = move || {
            // The window may be closed by now.
            let _ = sender.send(work());
            context.request_repaint();
        };
        std::thread::Builder::new()
            .name("task".into())
            .spawn(job)
            .map_or_else(|error| tracing::error!(%error, "the host gives no thread"), drop);
    }

    /// What has been finished since the last call.
    pub(crate) fn finished(&self) -> Vec<T> {
        self.receiver.try_iter().collect()
    }
}
