//! What the manager knows of the library, kept up to date by a thread of its own: the window only draws it.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{
        Arc,
        mpsc::{self, RecvTimeoutError, Sender},
    },
    time::Duration,
};

use anyhow::{Context, Result};
use eframe::egui::{self, ColorImage};
use machine::{
    control::{Reply, Request, Status},
    definition::Definition,
    state::State,
};
use parking_lot::Mutex;
use storage::library::{Library, Listed, Presence};
use uuid::Uuid;

use crate::client::Client;

/// How often machines are looked at while somebody looks at the manager.
const INTERVAL: Duration = Duration::from_secs(1);
/// How often while nobody does.
const IDLE_INTERVAL: Duration = Duration::from_secs(5);
/// How long a machine may take to answer before the others are looked at.
const PATIENCE: Duration = Duration::from_millis(500);
/// The size of thumbnails, in pixels.
const THUMBNAIL: (u32, u32) = (320, 240);

/// What is known of a machine.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Known {
    pub(super) name: String,
    pub(super) folder: PathBuf,
    pub(super) kind: Kind,
}

/// What there is in a machine's folder.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    /// A machine.
    Machine {
        definition: Box<Definition>,
        /// `None` when its process doesn't answer.
        state: Option<State>,
        status: Option<Box<Status>>,
        thumbnail: Option<Thumbnail>,
    },
    /// A definition that can't be used; why.
    Broken(String),
}

/// A machine's picture made small.
#[derive(Debug, Clone)]
pub(super) struct Thumbnail {
    /// The number of the picture, in this run of the machine.
    pub(super) number: u64,
    /// The process that shows it: another run begins to count anew.
    pub(super) pid: u32,
    /// Its pixels; `None` when nothing is shown.
    pub(super) image: Option<Arc<ColorImage>>,
}

impl PartialEq for Thumbnail {
    fn eq(&self, other: &Self) -> bool {
        (self.number, self.pid) == (other.number, other.pid)
    }
}

impl Known {
    /// The state, as far as it is known.
    pub(super) fn state(&self) -> Option<State> {
        match &self.kind {
            Kind::Machine { state, .. } => *state,
            Kind::Broken(_) => None,
        }
    }

    /// What the list says of its state.
    pub(super) fn state_label(&self) -> &'static str {
        match &self.kind {
            Kind::Machine { state: Some(state), .. } => state.label(),
            Kind::Machine { state: None, .. } => "Doesn't answer",
            Kind::Broken(_) => "Can't be used",
        }
    }
}

/// Everything that is known.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Knowledge {
    /// The machines, by name.
    pub(super) machines: Vec<Arc<Known>>,
    /// Why the library can't be read, if it can't.
    pub(super) error: Option<String>,
    /// It was looked at once.
    pub(super) complete: bool,
}

/// The library, watched until this is dropped.
pub(super) struct Model {
    shared: Arc<Mutex<Arc<Knowledge>>>,
    orders: Sender<Order>,
}

enum Order {
    /// Look now.
    Look,
    /// Whether anybody looks at the manager.
    Watched(bool),
}

impl Model {
    /// Begins to watch. `context` is drawn anew when something has changed.
    ///
    /// # Errors
    /// The host gives no thread.
    pub(super) fn watch(library: Library, context: egui::Context) -> Result<Self> {
        let shared: Arc<Mutex<Arc<Knowledge>>> = Arc::default();
        let (orders, received) = mpsc::channel();
        let mut watcher = Watcher { library, clients: HashMap::new(), thumbnails: HashMap::new() };
        let told = shared.clone();
        let watch = move || {
            let mut watched = true;
            loop {
                let knowledge = watcher.look();
                let changed = **told.lock() != knowledge;
                if changed {
                    *told.lock() = Arc::new(knowledge);
                    context.request_repaint();
                }
                match received.recv_timeout(if watched { INTERVAL } else { IDLE_INTERVAL }) {
                    Ok(Order::Watched(now)) => watched = now,
                    Ok(Order::Look) | Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            }
        };
        std::thread::Builder::new().name("library".into()).spawn(watch).context("the host gives no thread")?;
        Ok(Model { shared, orders })
    }

    /// What is known now.
    pub(super) fn knowledge(&self) -> Arc<Knowledge> {
        self.shared.lock().clone()
    }

    /// Something was done: looks at once.
    pub(super) fn look(&self) {
        let _ = self.orders.send(Order::Look);
    }

    /// Whether anybody looks at the manager.
    pub(super) fn watched(&self, watched: bool) {
        let _ = self.orders.send(Order::Watched(watched));
    }
}

struct Watcher {
    library: Library,
    /// Connections to machines that run, kept from one look to the next.
    clients: HashMap<Uuid, Client>,
    thumbnails: HashMap<Uuid, Thumbnail>,
}

impl Watcher {
    fn look(&mut self) -> Knowledge {
        let listed = match self.library.list() {
            Ok(listed) => listed,
            Err(error) => {
                let error = Some(crate::output::sentence(&error.into()));
                return Knowledge { error, complete: true, ..Knowledge::default() };
            }
        };
        let machines: Vec<Arc<Known>> = listed.iter().map(|listed| Arc::new(self.look_at(listed))).collect();
        let there: Vec<Uuid> = listed
            .iter()
            .filter_map(|listed| if let Listed::Machine(one) = listed { Some(one.uuid()) } else { None })
            .collect();
        self.clients.retain(|uuid, _| there.contains(uuid));
        self.thumbnails.retain(|uuid, _| there.contains(uuid));
        Knowledge { machines, error: None, complete: true }
    }

    fn look_at(&mut self, listed: &Listed) -> Known {
        let kind = match listed {
            Listed::Broken(broken) => Kind::Broken(broken.reason.to_string()),
            Listed::Machine(machine) => {
                let (state, status) = self.status_of(machine);
                let thumbnail = match &status {
                    Some(status) => self.thumbnail_of(machine.uuid(), status.pid),
                    None => None,
                };
                let definition = Box::new(machine.definition().clone());
                Kind::Machine { definition, state, status: status.map(Box::new), thumbnail }
            }
        };
        Known { name: listed.name().to_owned(), folder: listed.folder().to_owned(), kind }
    }

    fn status_of(&mut self, machine: &storage::library::Machine) -> (Option<State>, Option<Status>) {
        let uuid = machine.uuid();
        let record = match self.library.presence(machine) {
            Ok(Presence::Owned(Some(record))) => record,
            Ok(presence) => {
                self.clients.remove(&uuid);
                let state = match presence {
                    Presence::Crashed(_) => State::Crashed,
                    Presence::Owned(None) => State::Starting,
                    _ => State::Off,
                };
                return (Some(state), None);
            }
            Err(_) => return (None, None),
        };
        let mut client = match self.clients.remove(&uuid) {
            Some(client) => client,
            None => match Client::connect(&record.socket, PATIENCE) {
                Ok(Some(client)) => client,
                // Between the record of a run and its socket there is a moment.
                Ok(None) => return (Some(State::Starting), None),
                Err(_) => return (None, None),
            },
        };
        match client.status(PATIENCE) {
            Ok(Reply::Status(status)) => {
                self.clients.insert(uuid, client);
                (Some(status.state), Some(status))
            }
            // It is looked at again, with a new connection.
            _ => (None, None),
        }
    }

    fn thumbnail_of(&mut self, uuid: Uuid, pid: u32) -> Option<Thumbnail> {
        let client = self.clients.get_mut(&uuid)?;
        let last = self.thumbnails.get(&uuid).filter(|last| last.pid == pid);
        let known = last.map(|last| last.number);
        let (width, height) = THUMBNAIL;
        match client.ask(Request::Thumbnail { width, height, known }) {
            Ok(Reply::Thumbnail { bytes, number }) => {
                let png = client.bytes(bytes).ok()?;
                let frame = (bytes > 0).then(|| display::picture::read_png(&png).ok()).flatten();
                let image = frame.map(|frame| Arc::new(display::texture::image(&frame, frame.bounds())));
                self.thumbnails.insert(uuid, Thumbnail { number, pid, image });
            }
            Ok(_) => {}
            Err(_) => {
                self.clients.remove(&uuid);
            }
        }
        self.thumbnails.get(&uuid).cloned()
    }
}
