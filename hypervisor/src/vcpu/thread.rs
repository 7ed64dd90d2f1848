//! One processor's thread, and the orders that it follows.

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread::JoinHandle,
};

use kvm_ioctls::VcpuFd;
use machine::rate::RateLimit;
use parking_lot::{Condvar, Mutex};

use super::{
    exit::{Counters, Exit, Outcome},
    handler::{ExitHandler, VcpuEvent},
    kick::{self, RunPage},
};
use crate::partition::Partition;

/// What the thread does. The module above draws how one follows from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// It waits to be told to run.
    Parked,
    /// It is in the guest, or answers what the guest left for.
    Running,
    /// An event stopped the processor; only a reset or a restore makes it ready again.
    Stopped,
    /// It is over.
    Ended,
}

/// What the thread was told last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Park,
    Run,
    End,
}

struct Control {
    phase: Phase,
    order: Order,
}

/// What a processor's thread and its owner share.
pub(crate) struct Cpu {
    id: u32,
    /// Held by the thread while it runs, and by the owner while it doesn't.
    pub(crate) fd: Mutex<VcpuFd>,
    page: RunPage,
    control: Mutex<Control>,
    changed: Condvar,
    pub(crate) counters: Counters,
}

/// The file of a processor, for a call that wants a borrowed one.
pub(crate) fn borrow(fd: &VcpuFd) -> BorrowedFd<'_> {
    // SAFETY: the file is open as long as `fd` is borrowed.
    #[allow(unsafe_code)]
    unsafe {
        BorrowedFd::borrow_raw(fd.as_raw_fd())
    }
}

impl Cpu {
    /// Processor `id`, whose page is `page_len` bytes long.
    pub(crate) fn new(id: u32, fd: VcpuFd, page_len: usize) -> io::Result<Self> {
        let page = RunPage::new(&borrow(&fd), page_len)?;
        let control = Mutex::new(Control { phase: Phase::Parked, order: Order::Park });
        Ok(Cpu { id, fd: Mutex::new(fd), page, control, changed: Condvar::new(), counters: Counters::default() })
    }

    /// Waits for an order; false is the order to end.
    fn wait_for_order(&self) -> bool {
        let mut control = self.control.lock();
        loop {
            match (control.order, control.phase) {
                (Order::End, _) => return false,
                (Order::Run, Phase::Parked) => {
                    control.phase = Phase::Running;
                    return true;
                }
                _ => self.changed.wait(&mut control),
            }
        }
    }

    fn enter(&self, phase: Phase) {
        self.control.lock().phase = phase;
        self.changed.notify_all();
    }

    /// Runs the processor until it is told otherwise or can't go on.
    fn run(&self, exit: &Exit<'_>) -> Option<VcpuEvent> {
        let mut fd = self.fd.lock();
        loop {
            // In this order: see `kick`.
            self.page.allow_to_stay();
            if self.control.lock().order != Order::Run {
                return None;
            }
            // KVM completes an access when the processor is next entered, and looks at whether it shall leave at once
            // only after that. An interruption therefore always leaves a complete state behind, and is the only way
            // out of here but for the processor's end.
            loop {
                match exit.enter(&mut fd) {
                    Outcome::Answered => {}
                    Outcome::Interrupted => break,
                    Outcome::Stopped(event) => return Some(event),
                }
            }
        }
    }

    fn work(&self, partition: &Partition, handler: &dyn ExitHandler) {
        kick::unblock();
        let exit = Exit { partition, handler, counters: &self.counters, page: &self.page };
        let mut log = RateLimit::for_log();
        while self.wait_for_order() {
            let end = catch_unwind(AssertUnwindSafe(|| self.run(&exit))).unwrap_or_else(|_| {
                Some(VcpuEvent::Failed { reason: "the program failed while it answered the guest".into() })
            });
            match end {
                None => self.enter(Phase::Parked),
                Some(event) => {
                    if let Some(held) = log.pass() {
                        tracing::warn!(vcpu = self.id, ?event, held, "a processor has stopped");
                    }
                    // First the event, then the phase: who pauses has the event in the queue when the pause is over.
                    let told = catch_unwind(AssertUnwindSafe(|| handler.event(self.id, event)));
                    if told.is_err() {
                        tracing::error!(vcpu = self.id, "the program failed while it took note of that");
                    }
                    self.enter(Phase::Stopped);
                }
            }
        }
        self.enter(Phase::Ended);
    }
}

/// A processor's thread, seen from its owner. Dropping it ends the thread.
pub(crate) struct Worker {
    cpu: Arc<Cpu>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// Starts the thread; the processor is parked.
    pub(crate) fn start(cpu: Cpu, partition: Partition, handler: Arc<dyn ExitHandler>) -> io::Result<Worker> {
        let cpu = Arc::new(cpu);
        let of_thread = cpu.clone();
        let name = format!("vcpu-{}", cpu.id);
        let thread = std::thread::Builder::new().name(name).spawn(move || of_thread.work(&partition, &*handler))?;
        Ok(Worker { cpu, thread: Some(thread) })
    }

    pub(crate) fn cpu(&self) -> &Cpu {
        &self.cpu
    }

    fn give(&self, order: Order) {
        self.cpu.control.lock().order = order;
        self.cpu.changed.notify_all();
    }

    fn kick(&self) {
        self.cpu.page.ask_to_leave();
        if let Some(thread) = &self.thread {
            kick::send(thread);
        }
    }

    /// Lets a parked processor run.
    pub(crate) fn run(&self) {
        self.give(Order::Run);
    }

    /// Calls the processor out of the guest.
    pub(crate) fn ask_to_park(&self) {
        self.give(Order::Park);
        self.kick();
    }

    /// Waits until the processor is parked or stopped.
    pub(crate) fn wait_until_still(&self) {
        let mut control = self.cpu.control.lock();
        while control.phase == Phase::Running {
            self.cpu.changed.wait(&mut control);
        }
    }

    /// A stopped processor has a new state and may run again.
    pub(crate) fn clear(&self) {
        let mut control = self.cpu.control.lock();
        if control.phase == Phase::Stopped {
            control.phase = Phase::Parked;
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.give(Order::End);
        self.kick();
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != std::thread::current().id()
        {
            let _ = thread.join();
        }
    }
}
