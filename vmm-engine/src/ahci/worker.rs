//! The threads that carry commands out, a few for each port. They are made when they are first needed.
//!
//! # Locks
//! `Shared::hba` is the only lock of the controller, and is never held while an image works. With it held, the
//! interrupt line's target is called (and takes locks of its own), so that the line's changes keep their order; the
//! controller is never called from there. Whoever holds a lock that such a target takes must not call the controller.
//! The lock around the device, which the buses hold during an access, is taken before; workers never take it. The crews'
//! locks and the log's are leaves.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread::{self, JoinHandle},
    time::Instant,
};

use machine::rate::RateLimit;
use parking_lot::{Condvar, Mutex, MutexGuard};

use super::{
    drive::{Notice, WorkError},
    engine::Next,
    events::{DiskEvents, DiskFault, FaultAnswer},
    hba::Hba,
    registers::PORTS,
    stats::DiskCounters,
    transfer::{self, Failure, Outcome},
};

/// What the device, its handles and its workers share.
pub(super) struct Shared {
    name: String,
    pub(super) hba: Mutex<Hba>,
    pub(super) crews: [Crew; PORTS],
    /// Signalled when the last request under way has ended, and when a worker has nothing more to do.
    quiet: Condvar,
    events: Arc<dyn DiskEvents>,
    workers_per_port: usize,
    /// For what goes wrong in the host computer.
    log: Mutex<RateLimit>,
    memory: hypervisor::memory::GuestMemory,
}

/// A port's workers.
#[derive(Default)]
pub(super) struct Crew {
    /// Signalled when a worker is wanted.
    wanted: Condvar,
    state: Mutex<CrewState>,
    pub(super) stats: DiskCounters,
}

/// Taken only while [`Shared::hba`] is held, or when the threads end.
#[derive(Default)]
struct CrewState {
    threads: Vec<JoinHandle<()>>,
    /// Workers that wait and haven't been called.
    idle: usize,
    /// Counts the times that held requests were tried again.
    retries: u64,
    closed: bool,
}

impl Shared {
    pub(super) fn new(name: String, hba: Hba, events: Arc<dyn DiskEvents>, workers_per_port: usize) -> Arc<Self> {
        Arc::new(Shared {
            name,
            memory: hba.bus.memory.clone(),
            hba: Mutex::new(hba),
            crews: Default::default(),
            quiet: Condvar::new(),
            events,
            workers_per_port,
            log: Mutex::new(RateLimit::for_log()),
        })
    }

    /// Calls a worker to each port of `ports` (bits) that has something to do.
    pub(super) fn call(self: &Arc<Self>, hba: &Hba, ports: u32) {
        for port in 0..PORTS {
            if ports & 1 << port != 0 && hba.has_work(port) {
                self.call_to(port);
            }
        }
    }

    fn call_to(self: &Arc<Self>, port: usize) {
        let crew = &self.crews[port];
        let mut state = crew.state.lock();
        if state.idle > 0 {
            state.idle -= 1;
            crew.wanted.notify_one();
        } else if state.threads.len() < self.workers_per_port {
            let shared = self.clone();
            let name = format!("{}-{port}.{}", self.name, state.threads.len());
            match thread::Builder::new().name(name).spawn(move || shared.work(port)) {
                Ok(thread) => state.threads.push(thread),
                // Whoever is at work goes on; the next command tries again.
                Err(error) => {
                    if let Some(held) = self.log.lock().pass() {
                        tracing::error!(%error, held, "the host refuses a thread for a disk");
                    }
                }
            }
        }
    }

    /// Held requests are tried again.
    pub(super) fn retry(self: &Arc<Self>) {
        let mut hba = self.hba.lock();
        self.resubmit(&mut hba);
    }

    fn resubmit(self: &Arc<Self>, hba: &mut Hba) {
        for (port, crew) in hba.ports.iter_mut().zip(&self.crews) {
            port.engine.resubmit();
            crew.state.lock().retries += 1;
        }
        self.call(hba, !0);
    }

    /// Commands are carried out from now on.
    pub(super) fn start(self: &Arc<Self>) {
        let mut hba = self.hba.lock();
        hba.running = true;
        self.resubmit(&mut hba);
    }

    /// No command is begun any more. Returns when none is under way.
    pub(super) fn stop(&self) {
        let mut hba = self.hba.lock();
        hba.running = false;
        self.wait_until_quiet(&mut hba);
    }

    /// Gives everything up that is under way, and returns when it is.
    pub(super) fn reset(&self) {
        let mut hba = self.hba.lock();
        for port in &mut hba.ports {
            port.cancel();
        }
        // Nothing new begins in the meantime.
        let running = std::mem::replace(&mut hba.running, false);
        self.wait_until_quiet(&mut hba);
        hba.reset();
        hba.running = running;
    }

    /// Returns when nothing is under way and nothing can be begun, or at `deadline`; whether it is so.
    pub(super) fn wait_until_idle(&self, deadline: Instant) -> bool {
        let mut hba = self.hba.lock();
        let is_idle = |hba: &Hba| !hba.is_occupied() && !(0..PORTS).any(|port| hba.has_work(port));
        while !is_idle(&hba) {
            if self.quiet.wait_until(&mut hba, deadline).timed_out() {
                return is_idle(&hba);
            }
        }
        true
    }

    fn wait_until_quiet(&self, hba: &mut MutexGuard<'_, Hba>) {
        while hba.is_occupied() {
            self.quiet.wait(hba);
        }
    }

    /// Ends the threads.
    pub(super) fn close(&self) {
        let mut threads = Vec::new();
        {
            let _hba = self.hba.lock();
            for crew in &self.crews {
                let mut state = crew.state.lock();
                state.closed = true;
                threads.append(&mut state.threads);
                crew.wanted.notify_all();
            }
        }
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("a disk's thread has panicked");
            }
        }
    }

    /// A worker's life.
    fn work(self: Arc<Self>, port: usize) {
        let crew = &self.crews[port];
        let mut hba = self.hba.lock();
        loop {
            let retries = {
                let state = crew.state.lock();
                if state.closed {
                    return;
                }
                state.retries
            };
            let next = match hba.has_work(port) {
                true => {
                    let hba = &mut *hba;
                    hba.ports[port].next(&hba.bus)
                }
                false => Next::Idle,
            };
            let job = match next {
                Next::Idle => {
                    self.quiet.notify_all();
                    crew.state.lock().idle += 1;
                    crew.wanted.wait(&mut hba);
                    continue;
                }
                Next::Progress => {
                    hba.update_interrupt();
                    continue;
                }
                Next::Work(job) => job,
            };
            // What is left is for another worker, while this one works.
            if hba.has_work(port) {
                self.call_to(port);
            }
            let outcome = MutexGuard::unlocked(&mut hba, || {
                // A request that never ended would keep the machine from ever stopping.
                let work = || transfer::run(&self.memory, &job.header, &job.request, &crew.stats);
                let outcome = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Outcome::panicked());
                self.judge(port, &job.request, outcome)
            });
            let is_held = matches!(outcome.result, Err(Failure::Held));
            if let Err(failure @ (Failure::Bus | Failure::Overflow)) = &outcome.result {
                hba.complain(port, &format!("{failure:?}"));
            }
            let notice = {
                let hba = &mut *hba;
                let notice = hba.ports[port].complete(&hba.bus, *job, outcome);
                // Somebody said to try again while this request was on its way to be held.
                if is_held && crew.state.lock().retries != retries {
                    hba.ports[port].engine.resubmit();
                }
                notice
            };
            hba.request_ended();
            if !hba.is_occupied() {
                self.quiet.notify_all();
            }
            if let Some(notice) = notice {
                let open = notice == Notice::TrayOpened;
                MutexGuard::unlocked(&mut hba, || self.events.tray_moved(port as u8, open));
            }
        }
    }

    /// Asks what to do about an image that failed.
    fn judge(&self, port: usize, request: &super::drive::Request, outcome: Outcome) -> Outcome {
        let Err(Failure::Drive(WorkError::Host(error))) = &outcome.result else { return outcome };
        let (operation, offset, len) = transfer::operation(request);
        let fault = DiskFault { port: port as u8, operation, offset, len, error };
        match self.events.disk_fault(&fault) {
            FaultAnswer::Hold => Outcome { result: Err(Failure::Held), ..outcome },
            FaultAnswer::Report => {
                if let Some(held) = self.log.lock().pass() {
                    tracing::warn!(port, ?operation, offset, len, %error, held, "a disk image fails");
                }
                outcome
            }
        }
    }
}
