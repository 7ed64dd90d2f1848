//! The driver of a machine: the one thread that changes its state.
//!
//! Everything that happens to a machine is an entry in one queue: what people ask for through the window or the
//! control socket, and what the guest does (a power-off, a reset, a triple fault are never done inside a device's
//! register write). The driver takes one entry at a time, calls the engine, and publishes the state.
//!
//! ```text
//!   start ──► Running ◄── resume ── Paused        Running, Paused: reset comes back to the same state
//!                └──── pause ───────►│
//!             Running ── the host is at its limits (blocked) ──► Paused
//!             Running, Paused ── power-off by the guest, kill, failure ──► Stopping ──► Off or Crashed: the end
//! ```
//!
//! Each reset begins a new *epoch*. An event carries the epoch in which it was sent; one from an earlier epoch is
//! dropped, so that a guest that asks for a reset in three ways at once is reset once.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{self, Receiver, Sender},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};

use crate::{
    engine::{Engine, EngineError, GuestEvent},
    rate::RateLimit,
    state::State,
};

/// What a person asks of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// Stand still.
    Pause,
    /// Go on.
    Resume,
    /// Press the reset button.
    Reset,
    /// Press the power button: the guest decides.
    PowerButton,
    /// Pull the plug.
    Kill,
}

/// Why a request was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// It makes no sense in the machine's state.
    #[error("the machine is {state}: it can't {verb} now")]
    State {
        /// What was asked.
        verb: &'static str,
        /// The state.
        state: State,
    },
    /// The engine failed.
    #[error("the machine could not {verb}")]
    Engine {
        /// What was asked.
        verb: &'static str,
        /// Why.
        #[source]
        source: EngineError,
    },
    /// The machine's run is over.
    #[error("the machine is not running any more")]
    Over,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The guest switched the machine off.
    PoweredOff,
    /// A person pulled the plug.
    Killed,
    /// The machine could not go on; why.
    Failed(String),
}

enum Entry<E> {
    Request(Request, Sender<Result<(), RequestError>>),
    Call(Box<dyn FnOnce(&mut E) + Send>),
    Guest(GuestEvent, u64),
}

/// Where an engine sends what its guest does. Clones share the queue.
pub struct GuestEvents<E> {
    queue: Sender<Entry<E>>,
    epoch: Arc<AtomicU64>,
}

impl<E> Clone for GuestEvents<E> {
    fn clone(&self) -> Self {
        GuestEvents { queue: self.queue.clone(), epoch: self.epoch.clone() }
    }
}

impl<E> GuestEvents<E> {
    /// Puts `event` into the driver's queue. Never blocks.
    pub fn send(&self, event: GuestEvent) {
        // The driver is gone when the machine is being taken down: nobody wants to know any more.
        let _ = self.queue.send(Entry::Guest(event, self.epoch.load(Ordering::SeqCst)));
    }
}

impl<E> fmt::Debug for GuestEvents<E> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("GuestEvents")
    }
}

/// A driver's queue, made before the engine that sends to it.
pub struct Queue<E> {
    receiver: Receiver<Entry<E>>,
    events: GuestEvents<E>,
}

impl<E: Engine> Queue<E> {
    /// An empty queue.
    #[must_use]
    pub fn new() -> Self {
        let (queue, receiver) = mpsc::channel();
        Queue { receiver, events: GuestEvents { queue, epoch: Arc::default() } }
    }

    /// The end that the engine gets.
    #[must_use]
    pub fn events(&self) -> GuestEvents<E> {
        self.events.clone()
    }

    /// Starts the driver with an engine that was made for this queue; the machine runs, or stands `paused`.
    ///
    /// # Errors
    /// The host can't make a thread.
    pub fn drive(self, engine: E, paused: bool) -> std::io::Result<Driver<E>> {
        let shared = Arc::new(Shared { status: Mutex::new(Status::new()), changed: Condvar::new() });
        let handle = Handle { queue: self.events.queue.clone(), shared: shared.clone() };
        let worker =
            Worker { engine, receiver: self.receiver, epoch: self.events.epoch, shared, log: RateLimit::for_log() };
        let thread = std::thread::Builder::new().name("driver".into()).spawn(move || worker.run(paused))?;
        Ok(Driver { handle, thread })
    }
}

impl<E: Engine> Default for Queue<E> {
    fn default() -> Self {
        Self::new()
    }
}

/// What everybody may see of a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The state.
    pub state: State,
    /// Resets since the start.
    pub resets: u64,
    /// The machine was paused because the host can't do for now what the guest needs: why, and what to do.
    pub blocked: Option<String>,
    /// When the run is over: how it ended.
    pub end: Option<End>,
}

impl Status {
    fn new() -> Self {
        Status { state: State::Starting, resets: 0, blocked: None, end: None }
    }
}

struct Shared {
    status: Mutex<Status>,
    changed: Condvar,
}

impl Shared {
    fn update(&self, change: impl FnOnce(&mut Status)) {
        change(&mut self.status.lock());
        self.changed.notify_all();
    }
}

/// A running driver.
pub struct Driver<E> {
    handle: Handle<E>,
    thread: JoinHandle<()>,
}

impl<E: Engine> Driver<E> {
    /// A handle to ask things of the machine.
    #[must_use]
    pub fn handle(&self) -> Handle<E> {
        self.handle.clone()
    }

    /// Waits for the end of the run. The engine is gone when this returns.
    #[must_use]
    pub fn join(self) -> End {
        let panicked = self.thread.join().is_err();
        let end = self.handle.status().end;
        end.filter(|_| !panicked).unwrap_or_else(|| End::Failed("the driver's thread panicked".into()))
    }
}

/// Asks things of a machine, from any thread. Clones are equal.
pub struct Handle<E> {
    queue: Sender<Entry<E>>,
    shared: Arc<Shared>,
}

impl<E> Clone for Handle<E> {
    fn clone(&self) -> Self {
        Handle { queue: self.queue.clone(), shared: self.shared.clone() }
    }
}

impl<E> fmt::Debug for Handle<E> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.status.lock().fmt(formatter)
    }
}

impl<E: Engine> Handle<E> {
    /// The machine's status now.
    #[must_use]
    pub fn status(&self) -> Status {
        self.shared.status.lock().clone()
    }

    /// Waits until `wanted` holds of the status, at most for `limit`. Gives the last status seen, and whether it holds.
    pub fn wait(&self, limit: Duration, mut wanted: impl FnMut(&Status) -> bool) -> (Status, bool) {
        let deadline = Instant::now() + limit;
        let mut status = self.shared.status.lock();
        while !wanted(&status) {
            if self.shared.changed.wait_until(&mut status, deadline).timed_out() {
                let holds = wanted(&status);
                return (status.clone(), holds);
            }
        }
        (status.clone(), true)
    }

    /// Carries out `request`, and waits until that is done. A power button press is done when it was passed on.
    ///
    /// # Errors
    /// [`RequestError`]; the machine's status tells what has become of it.
    pub fn request(&self, request: Request) -> Result<(), RequestError> {
        let (sender, receiver) = mpsc::channel();
        self.queue.send(Entry::Request(request, sender)).map_err(|_| RequestError::Over)?;
        receiver.recv().unwrap_or(Err(RequestError::Over))
    }

    /// Runs `work` on the driver's thread with the engine, between two entries of the queue, and gives its result.
    ///
    /// # Errors
    /// [`RequestError::Over`] when the run is over.
    pub fn call<R: Send + 'static>(&self, work: impl FnOnce(&mut E) -> R + Send + 'static) -> Result<R, RequestError> {
        let (sender, receiver) = mpsc::channel();
        let work = Box::new(move |engine: &mut E| {
            let _ = sender.send(work(engine));
        });
        self.queue.send(Entry::Call(work)).map_err(|_| RequestError::Over)?;
        receiver.recv().map_err(|_| RequestError::Over)
    }
}

struct Worker<E> {
    engine: E,
    receiver: Receiver<Entry<E>>,
    epoch: Arc<AtomicU64>,
    shared: Arc<Shared>,
    log: RateLimit,
}

impl<E: Engine> Worker<E> {
    fn run(mut self, paused: bool) {
        let end = match self.begin(paused) {
            Ok(()) => self.serve(),
            Err(end) => end,
        };
        self.enter(State::Stopping);
        // Refuse what comes from now on, then take the machine down, then say that it is down.
        drop(self.receiver);
        drop(self.engine);
        let state = if matches!(end, End::Failed(_)) { State::Crashed } else { State::Off };
        self.shared.update(|status| {
            status.state = state;
            status.end = Some(end);
        });
    }

    fn begin(&mut self, paused: bool) -> Result<(), End> {
        if !paused {
            self.engine.resume().map_err(|error| End::Failed(chain(error.as_ref())))?;
        }
        self.enter(if paused { State::Paused } else { State::Running });
        Ok(())
    }

    /// Serves the queue until the run is over.
    fn serve(&mut self) -> End {
        loop {
            let Ok(entry) = self.receiver.recv() else {
                return End::Killed;
            };
            let end = match entry {
                Entry::Call(work) => {
                    work(&mut self.engine);
                    None
                }
                Entry::Request(request, reply) => {
                    let (result, end) = self.carry_out(request);
                    let _ = reply.send(result);
                    end
                }
                Entry::Guest(event, epoch) => self.guest(event, epoch),
            };
            if let Some(end) = end {
                return end;
            }
        }
    }

    /// Carries out a request. An engine that fails can't go on: that is the end.
    fn carry_out(&mut self, request: Request) -> (Result<(), RequestError>, Option<End>) {
        let state = self.state();
        let (verb, done) = match (request, state) {
            (Request::Pause, State::Running) => ("pause", self.pause()),
            (Request::Resume, State::Paused) => ("resume", self.resume()),
            (Request::Reset, _) => ("reset", self.reset()),
            (Request::PowerButton, State::Running) => {
                self.engine.press_power_button();
                ("stop", Ok(()))
            }
            (Request::Kill, _) => return (Ok(()), Some(End::Killed)),
            (Request::Pause, _) => return (Err(RequestError::State { verb: "pause", state }), None),
            (Request::Resume, _) => return (Err(RequestError::State { verb: "resume", state }), None),
            (Request::PowerButton, _) => return (Err(RequestError::State { verb: "shut down", state }), None),
        };
        match done {
            Ok(()) => (Ok(()), None),
            Err(source) => {
                let end = End::Failed(chain(source.as_ref()));
                (Err(RequestError::Engine { verb, source }), Some(end))
            }
        }
    }

    fn guest(&mut self, event: GuestEvent, epoch: u64) -> Option<End> {
        if epoch != self.epoch.load(Ordering::SeqCst) {
            return None;
        }
        // A guest may do nothing else but reset itself.
        if let Some(held) = self.log.pass() {
            tracing::info!(?event, held, "the guest");
        }
        match event {
            GuestEvent::PowerOff => Some(End::PoweredOff),
            GuestEvent::Failed(reason) => Some(End::Failed(reason)),
            GuestEvent::Blocked(reason) => {
                tracing::warn!("{reason}");
                let paused = if self.state() == State::Running { self.pause() } else { Ok(()) };
                self.shared.update(|status| status.blocked = Some(reason));
                paused.err().map(|error| End::Failed(chain(error.as_ref())))
            }
            GuestEvent::Reset | GuestEvent::TripleFault => {
                self.reset().err().map(|error| End::Failed(chain(error.as_ref())))
            }
        }
    }

    fn pause(&mut self) -> Result<(), EngineError> {
        self.engine.pause()?;
        self.enter(State::Paused);
        Ok(())
    }

    fn resume(&mut self) -> Result<(), EngineError> {
        self.engine.resume()?;
        self.shared.update(|status| status.blocked = None);
        self.enter(State::Running);
        Ok(())
    }

    fn reset(&mut self) -> Result<(), EngineError> {
        let runs = self.state() == State::Running;
        if runs {
            self.engine.pause()?;
        }
        self.engine.reset()?;
        // Nothing of the guest runs: what it sent before is of the old epoch.
        self.epoch.fetch_add(1, Ordering::SeqCst);
        self.shared.update(|status| status.resets += 1);
        if runs { self.engine.resume() } else { Ok(()) }
    }

    fn state(&self) -> State {
        self.shared.status.lock().state
    }

    fn enter(&self, next: State) {
        self.shared.update(|status| {
            if let Err(error) = status.state.become_state(next) {
                // The table of states and this file disagree; the machine itself is as the driver says.
                tracing::error!(%error, "a state was skipped");
                status.state = next;
            }
        });
    }
}

/// An error with its causes, in one line.
#[must_use]
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// An engine that writes down what it is asked, and fails when told to.
    struct Paper {
        calls: Arc<Mutex<Vec<&'static str>>>,
        running: bool,
        fails_at: Option<&'static str>,
    }

    impl Paper {
        fn note(&mut self, call: &'static str) -> Result<(), EngineError> {
            self.calls.lock().push(call);
            if self.fails_at == Some(call) { Err("paper is torn".into()) } else { Ok(()) }
        }
    }

    impl Engine for Paper {
        fn resume(&mut self) -> Result<(), EngineError> {
            assert!(!std::mem::replace(&mut self.running, true), "resumed twice");
            self.note("resume")
        }
        fn pause(&mut self) -> Result<(), EngineError> {
            assert!(std::mem::replace(&mut self.running, false), "paused twice");
            self.note("pause")
        }
        fn reset(&mut self) -> Result<(), EngineError> {
            assert!(!self.running, "reset while running");
            self.note("reset")
        }
        fn press_power_button(&mut self) {
            self.calls.lock().push("button");
        }
    }
    impl Drop for Paper {
        fn drop(&mut self) {
            self.calls.lock().push("drop");
        }
    }

    type Calls = Arc<Mutex<Vec<&'static str>>>;

    fn driver(fails_at: Option<&'static str>) -> (Driver<Paper>, GuestEvents<Paper>, Calls) {
        let queue = Queue::new();
        let (events, calls) = (queue.events(), Calls::default());
        let driver = queue.drive(Paper { calls: calls.clone(), running: false, fails_at }, false).unwrap();
        (driver, events, calls)
    }

    #[test]
    fn a_run_from_start_to_power_off() {
        let (driver, events, calls) = driver(None);
        let handle = driver.handle();
        handle.request(Request::Pause).unwrap();
        assert_eq!(handle.status().state, State::Paused);
        handle.request(Request::Resume).unwrap();
        handle.request(Request::PowerButton).unwrap();
        events.send(GuestEvent::PowerOff);
        assert_eq!(driver.join(), End::PoweredOff);
        assert_eq!(*calls.lock(), ["resume", "pause", "resume", "button", "drop"]);
        assert_eq!(handle.status().state, State::Off);
        assert!(matches!(handle.request(Request::Pause), Err(RequestError::Over)));
        assert!(matches!(handle.call(|_| ()), Err(RequestError::Over)));
    }

    #[test]
    fn a_guest_that_asks_for_a_reset_three_times_at_once_is_reset_once() {
        let (driver, events, calls) = driver(None);
        let handle = driver.handle();
        let sender = events.clone();
        handle
            .call(move |_| {
                for event in [GuestEvent::Reset, GuestEvent::TripleFault, GuestEvent::Reset] {
                    sender.send(event);
                }
            })
            .unwrap();
        assert!(handle.wait(Duration::from_secs(20), |status| status.resets == 1).1);
        handle.call(move |_| events.send(GuestEvent::Reset)).unwrap();
        assert!(handle.wait(Duration::from_secs(20), |status| status.resets == 2).1);
        handle.request(Request::Kill).unwrap();
        assert_eq!(driver.join(), End::Killed);
        let again = ["pause", "reset", "resume"];
        assert_eq!(*calls.lock(), [&["resume"], &again[..], &again[..], &["drop"]].concat());
    }

    #[test]
    fn requests_that_make_no_sense_are_refused_and_change_nothing() {
        let (driver, _, calls) = driver(None);
        let handle = driver.handle();
        let resumed = handle.request(Request::Resume).unwrap_err();
        assert_eq!(resumed.to_string(), "the machine is running: it can't resume now");
        handle.request(Request::Pause).unwrap();
        handle.request(Request::Pause).unwrap_err();
        handle.request(Request::PowerButton).unwrap_err();
        handle.request(Request::Reset).unwrap();
        assert_eq!(handle.status().state, State::Paused);
        assert_eq!(*calls.lock(), ["resume", "pause", "reset"]);
    }

    #[test]
    fn a_blocked_machine_stands_still_until_it_is_resumed() {
        let (driver, events, calls) = driver(None);
        let handle = driver.handle();
        for reason in ["no room", "still no room"] {
            events.send(GuestEvent::Blocked(reason.into()));
            let (status, _) = handle.wait(Duration::from_secs(20), |status| status.blocked.as_deref() == Some(reason));
            assert_eq!((status.state, status.blocked.as_deref()), (State::Paused, Some(reason)));
        }
        handle.request(Request::Resume).unwrap();
        assert_eq!((handle.status().state, handle.status().blocked), (State::Running, None));
        assert_eq!(*calls.lock(), ["resume", "pause", "resume"]);
    }

    #[test]
    fn an_engine_that_fails_ends_the_run_with_its_reason() {
        let (driver, _, _) = driver(Some("pause"));
        let handle = driver.handle();
        assert!(matches!(handle.request(Request::Pause), Err(RequestError::Engine { .. })));
        assert_eq!(driver.join(), End::Failed("paper is torn".into()));
        assert_eq!(handle.status().state, State::Crashed);
    }

    #[test]
    fn a_start_that_fails_ends_the_run() {
        let (driver, _, calls) = driver(Some("resume"));
        assert_eq!(driver.join(), End::Failed("paper is torn".into()));
        assert_eq!(*calls.lock(), ["resume", "drop"]);
    }

    #[test]
    fn a_panicking_engine_is_a_failure_and_not_a_hang() {
        let (driver, _, _) = driver(None);
        let handle = driver.handle();
        assert!(handle.call(|_| panic!("on purpose")).is_err());
        assert!(matches!(driver.join(), End::Failed(_)));
    }

    proptest! {
        /// Whatever is asked in whatever order, the engine's own contract holds (the asserts in `Paper`), and the
        /// published state is what the requests that were carried out make of it.
        #[test]
        fn any_order_of_requests_keeps_the_contract(steps in proptest::collection::vec(0..5_u8, 0..40)) {
            let (driver, events, _) = driver(None);
            let handle = driver.handle();
            let mut paused = false;
            handle.wait(Duration::from_secs(20), |status| status.state != State::Starting);
            for step in steps {
                match step {
                    0 => paused |= handle.request(Request::Pause).is_ok(),
                    1 => paused &= handle.request(Request::Resume).is_err(),
                    2 => handle.request(Request::Reset).unwrap(),
                    3 => drop(handle.request(Request::PowerButton)),
                    _ => events.send(GuestEvent::TripleFault),
                }
                let expected = if paused { State::Paused } else { State::Running };
                prop_assert_eq!(handle.status().state, expected);
            }
            events.send(GuestEvent::PowerOff);
            handle.call(|_| ()).ok();
            let power_off_was_dropped = !handle.wait(Duration::ZERO, |status| status.end.is_some()).1;
            if power_off_was_dropped {
                let _ = handle.request(Request::Kill);
            }
            prop_assert!(matches!(driver.join(), End::PoweredOff | End::Killed));
        }
    }
}
