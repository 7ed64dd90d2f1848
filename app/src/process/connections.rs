//! Who is connected to the control socket. So many at a time: one who has had nothing to ask for a while makes room for
//! one who comes.

use std::{
    net::Shutdown,
    os::unix::net::UnixStream,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

/// Connections at a time. A machine has one window, one manager and a few command lines; more is a mistake.
const MOST: usize = 64;
/// How long a connection must have been idle before it makes room for another.
const IDLE: Duration = Duration::from_secs(1);

/// The connections that there are.
#[derive(Default)]
pub(super) struct Connections(Mutex<State>);

#[derive(Default)]
struct State {
    last: u64,
    open: Vec<Entry>,
}

struct Entry {
    id: u64,
    socket: Arc<UnixStream>,
    /// Since when it has nothing to do, if so.
    idle: Option<Instant>,
}

impl Connections {
    /// Takes one more in; `None` when there are too many, and all of them busy.
    pub(super) fn admit(self: &Arc<Self>, socket: &Arc<UnixStream>, now: Instant) -> Option<Place> {
        let mut state = self.0.lock();
        if state.open.len() >= MOST {
            let idle = state.open.iter().enumerate().filter_map(|(index, entry)| Some((entry.idle?, index)));
            let (since, index) = idle.min()?;
            if now.saturating_duration_since(since) < IDLE {
                return None;
            }
            // Its thread reads the end, and goes.
            let _ = state.open.swap_remove(index).socket.shutdown(Shutdown::Both);
        }
        state.last += 1;
        let id = state.last;
        state.open.push(Entry { id, socket: socket.clone(), idle: Some(now) });
        Some(Place { connections: self.clone(), id })
    }
}

/// A connection's place among the others, until this is dropped.
pub(super) struct Place {
    connections: Arc<Connections>,
    id: u64,
}

impl Place {
    /// Which connection this is.
    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// It has something to do.
    pub(super) fn busy(&self) {
        self.set_idle(None);
    }

    /// It has nothing to do.
    pub(super) fn idle(&self, now: Instant) {
        self.set_idle(Some(now));
    }

    fn set_idle(&self, idle: Option<Instant>) {
        if let Some(entry) = self.connections.0.lock().open.iter_mut().find(|entry| entry.id == self.id) {
            entry.idle = idle;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.0.lock().open.retain(|entry| entry.id != self.id);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn full(now: Instant) -> (Arc<Connections>, Vec<(UnixStream, Place)>) {
        let connections = Arc::new(Connections::default());
        let open = (0..MOST).map(|index| {
            let (near, far) = UnixStream::pair().unwrap();
            let since = now + Duration::from_millis(index as u64);
            (near, connections.admit(&Arc::new(far), since).unwrap())
        });
        let open = open.collect();
        (connections, open)
    }

    fn newcomer() -> Arc<UnixStream> {
        Arc::new(UnixStream::pair().unwrap().0)
    }

    #[test]
    fn the_one_that_is_idle_longest_makes_room() {
        let now = Instant::now();
        let (connections, mut open) = full(now);
        open[0].1.busy();
        let later = now + 2 * IDLE;
        let place = connections.admit(&newcomer(), later).unwrap();
        assert_eq!(connections.0.lock().open.len(), MOST);
        assert_eq!(open[1].0.read(&mut [0]).unwrap(), 0, "it sees the end");
        assert!(connections.0.lock().open.iter().any(|entry| entry.id == open[0].1.id()));
        // The place of one that made room is given back once.
        drop(open);
        assert_eq!(connections.0.lock().open.len(), 1);
        drop(place);
        assert!(connections.0.lock().open.is_empty());
    }

    #[test]
    fn nobody_who_is_busy_or_has_just_come_makes_room() {
        let now = Instant::now();
        let (connections, open) = full(now);
        assert!(connections.admit(&newcomer(), now + IDLE / 2).is_none());
        open.iter().for_each(|(_, place)| place.busy());
        assert!(connections.admit(&newcomer(), now + 100 * IDLE).is_none());
        open[7].1.idle(now);
        assert!(connections.admit(&newcomer(), now + 100 * IDLE).is_some());
    }
}
