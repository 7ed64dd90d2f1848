//! A machine's time, as values that are passed in: tests own theirs.

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use parking_lot::{Condvar, Mutex};

/// A machine's clocks: time since power-on, which stands still while the machine is paused, and the wall clock.
///
/// Clones share the time.
#[derive(Clone)]
pub struct Clock(Arc<ClockKind>);

enum ClockKind {
    Host(Mutex<HostClock>),
    Manual(AtomicU64, Duration),
}

struct HostClock {
    /// Time gathered before `since`.
    gathered: Duration,
    /// When the clock was last started; `None` while it stands still.
    since: Option<Instant>,
}

impl Clock {
    /// A clock that follows the host's monotonic clock. It stands at zero until [`Clock::resume`].
    #[must_use]
    pub fn host() -> Self {
        Clock(Arc::new(ClockKind::Host(Mutex::new(HostClock { gathered: Duration::ZERO, since: None }))))
    }

    /// A clock that moves by [`Clock::advance`] only; its wall clock starts at `wall` since the Unix epoch.
    #[must_use]
    pub fn manual(wall: Duration) -> Self {
        Clock(Arc::new(ClockKind::Manual(AtomicU64::new(0), wall)))
    }

    /// Machine time since power-on.
    #[must_use]
    pub fn now(&self) -> Duration {
        match &*self.0 {
            ClockKind::Host(clock) => {
                let clock = clock.lock();
                clock.gathered + clock.since.map_or(Duration::ZERO, |since| since.elapsed())
            }
            ClockKind::Manual(nanos, _) => Duration::from_nanos(nanos.load(Ordering::SeqCst)),
        }
    }

    /// Wall-clock time (UTC) since the Unix epoch. It goes on while the machine is paused.
    #[must_use]
    pub fn wall(&self) -> Duration {
        match &*self.0 {
            ClockKind::Host(_) => SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
            ClockKind::Manual(_, wall) => *wall + self.now(),
        }
    }

    /// The machine runs: time goes on.
    pub fn resume(&self) {
        if let ClockKind::Host(clock) = &*self.0 {
            clock.lock().since.get_or_insert_with(Instant::now);
        }
    }

    /// The machine is paused: time stands still.
    pub fn pause(&self) {
        if let ClockKind::Host(clock) = &*self.0 {
            let mut clock = clock.lock();
            if let Some(since) = clock.since.take() {
                clock.gathered += since.elapsed();
            }
        }
    }

    /// Moves a manual clock forward; does nothing to a host clock.
    pub fn advance(&self, by: Duration) {
        if let ClockKind::Manual(nanos, _) = &*self.0 {
            nanos.fetch_add(by.as_nanos() as u64, Ordering::SeqCst);
        }
    }

    /// How long a host thread has to wait for `deadline`; `None` while the clock stands still.
    fn wait_for(&self, deadline: Duration) -> Option<Duration> {
        match &*self.0 {
            ClockKind::Host(clock) if clock.lock().since.is_none() => None,
            ClockKind::Manual(..) => None,
            ClockKind::Host(_) => Some(deadline.saturating_sub(self.now())),
        }
    }
}

type Callback = Box<dyn Fn() + Send + Sync>;

struct TimerSlot {
    /// Machine time in nanoseconds; `u64::MAX` while disarmed.
    deadline: AtomicU64,
    callback: Mutex<Option<Arc<Callback>>>,
    queue: Option<Weak<QueueShared>>,
}

impl TimerSlot {
    /// Disarms the timer, if it is still armed for `deadline`; says whether it was.
    fn take(&self, deadline: u64) -> bool {
        self.deadline.compare_exchange(deadline, u64::MAX, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    fn call(&self) {
        let callback = self.callback.lock().clone();
        if let Some(callback) = callback {
            callback();
        }
    }
}

/// A timer that a device is given: it is armed for a point of machine time and calls back once.
///
/// The device keeps one clone; whoever puts the machine together connects another to it after the device
/// stands behind its lock.
#[derive(Clone)]
pub struct Timer(Arc<TimerSlot>);

impl Timer {
    /// A timer that no thread watches: for tests, which read [`Timer::deadline`] and call the device themselves, or
    /// [`Timer::fire_if_due`].
    #[must_use]
    pub fn detached() -> Self {
        Timer(Arc::new(TimerSlot { deadline: AtomicU64::new(u64::MAX), callback: Mutex::new(None), queue: None }))
    }

    /// What to do when the timer fires. It is called on the timer thread with no lock held, and may arm the
    /// timer again. It should hold its device weakly.
    pub fn connect(&self, callback: impl Fn() + Send + Sync + 'static) {
        *self.0.callback.lock() = Some(Arc::new(Box::new(callback)));
    }

    /// Fires at `deadline` (machine time), instead of any earlier arming.
    pub fn arm(&self, deadline: Duration) {
        self.set(deadline.as_nanos().min(u128::from(u64::MAX - 1)) as u64);
    }

    /// Doesn't fire any more. A callback that is already under way may still come: devices compare the time.
    pub fn disarm(&self) {
        self.0.deadline.store(u64::MAX, Ordering::SeqCst);
    }

    /// Fires now, on the caller's thread, if the deadline has come by `now`; says whether it did. For whoever moves a
    /// manual clock.
    pub fn fire_if_due(&self, now: Duration) -> bool {
        let now = now.as_nanos().min(u128::from(u64::MAX - 1)) as u64;
        let deadline = self.0.deadline.load(Ordering::SeqCst);
        let due = deadline <= now && self.0.take(deadline);
        if due {
            self.0.call();
        }
        due
    }

    /// The deadline, while armed.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        let nanos = self.0.deadline.load(Ordering::SeqCst);
        (nanos != u64::MAX).then(|| Duration::from_nanos(nanos))
    }

    fn set(&self, nanos: u64) {
        let before = self.0.deadline.swap(nanos, Ordering::SeqCst);
        // For a later deadline the thread needs no call: it looks again when the earlier one has come.
        if nanos < before
            && let Some(queue) = self.0.queue.as_ref().and_then(Weak::upgrade)
        {
            queue.look_again();
        }
    }
}

impl std::fmt::Debug for Timer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("Timer").field(&self.deadline()).finish()
    }
}

struct QueueShared {
    clock: Clock,
    timers: Mutex<Timers>,
    changed: Condvar,
}

/// Every timer that somebody still has. They are few: the thread looks at all of them.
#[derive(Default)]
struct Timers {
    slots: Vec<Weak<TimerSlot>>,
    closed: bool,
}

impl Timers {
    /// The timer that is to fire first, and when.
    fn first(&mut self) -> Option<(u64, Arc<TimerSlot>)> {
        self.slots.retain(|slot| slot.strong_count() > 0);
        let slots = self.slots.iter().filter_map(Weak::upgrade);
        let armed = slots.map(|slot| (slot.deadline.load(Ordering::SeqCst), slot));
        armed.filter(|(deadline, _)| *deadline != u64::MAX).min_by_key(|(deadline, _)| *deadline)
    }
}

/// The thread that fires a machine's timers. Dropping it ends the thread; no timer fires afterwards.
pub struct TimerQueue {
    shared: Arc<QueueShared>,
    thread: Option<JoinHandle<()>>,
}

impl TimerQueue {
    /// Starts the thread, on `clock`'s time.
    ///
    /// # Errors
    /// The host can't make a thread.
    pub fn new(clock: Clock) -> std::io::Result<Self> {
        let shared = Arc::new(QueueShared { clock, timers: Mutex::default(), changed: Condvar::new() });
        let worker = shared.clone();
        let thread = std::thread::Builder::new().name("timers".into()).spawn(move || worker.run())?;
        Ok(TimerQueue { shared, thread: Some(thread) })
    }

    /// A new timer on this queue.
    #[must_use]
    pub fn timer(&self) -> Timer {
        let slot = Arc::new(TimerSlot {
            deadline: AtomicU64::new(u64::MAX),
            callback: Mutex::new(None),
            queue: Some(Arc::downgrade(&self.shared)),
        });
        self.shared.timers.lock().slots.push(Arc::downgrade(&slot));
        Timer(slot)
    }

    /// Looks at the clock again: call it after [`Clock::resume`].
    pub fn clock_changed(&self) {
        self.shared.look_again();
    }
}

impl Drop for TimerQueue {
    fn drop(&mut self) {
        self.shared.timers.lock().closed = true;
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != std::thread::current().id()
        {
            let _ = thread.join();
        }
    }
}

impl QueueShared {
    /// Lets the thread look at clock and timers again.
    fn look_again(&self) {
        // The lock orders this after the thread's own look at both, so that the wake-up isn't lost.
        let _timers = self.timers.lock();
        self.changed.notify_one();
    }

    fn run(&self) {
        let mut timers = self.timers.lock();
        while !timers.closed {
            let Some((deadline, slot)) = timers.first() else {
                self.changed.wait(&mut timers);
                continue;
            };
            match self.clock.wait_for(Duration::from_nanos(deadline)) {
                None => self.changed.wait(&mut timers),
                Some(wait) if !wait.is_zero() => {
                    self.changed.wait_for(&mut timers, wait);
                }
                Some(_) => {
                    if slot.take(deadline) {
                        parking_lot::MutexGuard::unlocked(&mut timers, || slot.call());
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(20);

    #[test]
    fn a_timer_fires_once_and_in_order() {
        let clock = Clock::host();
        let queue = TimerQueue::new(clock.clone()).unwrap();
        let (sender, receiver) = mpsc::channel();
        let timers: Vec<_> = [30, 10, 20]
            .map(|millis| {
                let timer = queue.timer();
                let sender = sender.clone();
                timer.connect(move || sender.send(millis).unwrap());
                timer.arm(Duration::from_millis(millis));
                timer
            })
            .into();
        clock.resume();
        queue.clock_changed();
        let fired: Vec<u64> = (0..3).map(|_| receiver.recv_timeout(LIMIT).unwrap()).collect();
        assert_eq!(fired, [10, 20, 30]);
        assert!(timers.iter().all(|timer| timer.deadline().is_none()));
        assert!(clock.now() >= Duration::from_millis(30));
    }

    #[test]
    fn arming_again_replaces_and_disarming_ends() {
        let clock = Clock::host();
        clock.resume();
        let queue = TimerQueue::new(clock).unwrap();
        let (sender, receiver) = mpsc::channel();
        let (moved, ended, last) = (queue.timer(), queue.timer(), queue.timer());
        for (timer, name) in [(&moved, "moved"), (&ended, "ended"), (&last, "last")] {
            let sender = sender.clone();
            timer.connect(move || sender.send(name).unwrap());
        }
        moved.arm(Duration::from_secs(3600));
        ended.arm(Duration::from_millis(60));
        last.arm(Duration::from_millis(80));
        ended.disarm();
        moved.arm(Duration::from_millis(5));
        assert_eq!(receiver.recv_timeout(LIMIT).unwrap(), "moved");
        assert_eq!(receiver.recv_timeout(LIMIT).unwrap(), "last");
    }

    #[test]
    fn arming_over_and_over_leaves_nothing_behind() {
        let queue = TimerQueue::new(Clock::host()).unwrap();
        let timer = queue.timer();
        for seconds in (1..10_000).rev() {
            timer.arm(Duration::from_secs(seconds));
            timer.arm(Duration::from_secs(seconds + 10_000));
        }
        drop(queue.timer());
        let mut timers = queue.shared.timers.lock();
        assert_eq!(timers.first().map(|(deadline, _)| deadline), Some(10_001_000_000_000));
        assert_eq!(timers.slots.len(), 1);
    }

    #[test]
    fn a_paused_clock_stands_still() {
        let clock = Clock::host();
        assert_eq!(clock.now(), Duration::ZERO);
        clock.resume();
        while clock.now().is_zero() {}
        clock.pause();
        let stood = clock.now();
        assert_eq!(clock.now(), stood);
    }

    #[test]
    fn a_timer_that_nobody_watches_fires_when_told_and_not_before_its_time() {
        let fired = Arc::new(AtomicU64::new(0));
        let count = fired.clone();
        let timer = Timer::detached();
        timer.connect(move || {
            count.fetch_add(1, Ordering::SeqCst);
        });
        timer.arm(Duration::from_secs(2));
        assert!(!timer.fire_if_due(Duration::from_secs(1)));
        assert!(timer.fire_if_due(Duration::from_secs(2)));
        assert!(!timer.fire_if_due(Duration::from_secs(3)));
        assert_eq!((fired.load(Ordering::SeqCst), timer.deadline()), (1, None));
    }

    #[test]
    fn a_manual_clock_moves_when_told() {
        let clock = Clock::manual(Duration::from_secs(100));
        clock.advance(Duration::from_secs(5));
        assert_eq!((clock.now(), clock.wall()), (Duration::from_secs(5), Duration::from_secs(105)));
    }
}
