//! Brings the picture from a display adapter to those who look at it.
//!
//! The adapter draws into a back picture, with its lock held for as long as that takes; what changed is then copied to
//! the front picture, which viewers read. So a slow viewer doesn't hold up the guest, nor a slow adapter the window.
//! How often the adapter is asked is [`Pace`]'s to say; while there is no viewer it isn't asked at all.
//!
//! Order of locks: the adapter (`source`) before the front picture. Viewers are woken with neither held.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use machine::console::{Frame, Rect, Screen, TextScreen};
use parking_lot::{Condvar, Mutex};

use crate::{
    damage::{Damage, clip, copy},
    pace::Pace,
};

/// The least time the thread leaves the adapter to the guest, when drawing takes longer than the pace allows.
const REST: Duration = Duration::from_millis(4);

/// What a pump has done so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// How often the adapter was asked for its picture, snapshots included.
    pub polls: u64,
    /// How often something had changed, so that viewers had to repaint.
    pub repaints: u64,
}

/// The reader of one [`Screen`]. Dropping it ends its thread; viewers then keep the last picture.
pub struct Pump {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    source: Mutex<Source>,
    front: Mutex<Front>,
    /// Something came that the thread has to look at: a viewer, a hint, the end.
    changed: Condvar,
    polls: AtomicU64,
    repaints: AtomicU64,
}

struct Source {
    screen: Box<dyn Screen>,
    back: Frame,
    was_drawn: bool,
}

struct Front {
    frame: Frame,
    sequence: u64,
    pace: Pace,
    /// A change is likely: look soon.
    hint: bool,
    viewers: Vec<Looking>,
    next_id: u64,
    closed: bool,
}

struct Looking {
    id: u64,
    damage: Damage,
    resized: bool,
    wake: Wake,
}

type Wake = Arc<dyn Fn() + Send + Sync>;

impl Pump {
    /// A pump without a thread: the caller calls [`Pump::poll`].
    #[must_use]
    pub fn new(screen: Box<dyn Screen>) -> Self {
        let shared = Shared {
            source: Mutex::new(Source { screen, back: Frame::default(), was_drawn: false }),
            front: Mutex::new(Front {
                frame: Frame::default(),
                sequence: 0,
                pace: Pace::new(),
                hint: false,
                viewers: Vec::new(),
                next_id: 0,
                closed: false,
            }),
            changed: Condvar::new(),
            polls: AtomicU64::new(0),
            repaints: AtomicU64::new(0),
        };
        Pump { shared: Arc::new(shared), thread: None }
    }

    /// A pump with a thread that polls.
    ///
    /// # Errors
    /// The host can't make a thread.
    pub fn spawn(screen: Box<dyn Screen>) -> std::io::Result<Self> {
        let mut pump = Pump::new(screen);
        let shared = pump.shared.clone();
        pump.thread = Some(std::thread::Builder::new().name("display".into()).spawn(move || shared.run())?);
        Ok(pump)
    }

    /// A new viewer, for which the whole picture is new. `wake` is called after each change, on the thread that found
    /// it; it should only pass the word on.
    #[must_use]
    pub fn viewer(&self, wake: impl Fn() + Send + Sync + 'static) -> Viewer {
        let mut front = self.shared.front.lock();
        let id = front.next_id;
        front.next_id += 1;
        let mut damage = Damage::default();
        damage.set_all(&front.frame);
        front.viewers.push(Looking { id, damage, resized: true, wake: Arc::new(wake) });
        front.hint = true;
        self.shared.changed.notify_one();
        Viewer { shared: self.shared.clone(), id }
    }

    /// Asks the adapter for its picture if that is due at `now`, and says when it is due next; `None` if there is no
    /// viewer. `now` counts from any start, always the same.
    pub fn poll(&self, now: Duration) -> Option<Duration> {
        self.shared.poll(now)
    }

    /// The picture is likely to change soon, because a person did something: doesn't wait for the slow pace of a
    /// picture that stands still.
    pub fn hurry(&self) {
        self.shared.front.lock().hint = true;
        self.shared.changed.notify_one();
    }

    /// The picture as it is now, with or without viewers.
    #[must_use]
    pub fn snapshot(&self) -> Frame {
        self.shared.refresh();
        self.shared.front.lock().frame.clone()
    }

    /// The picture as it is now, and its number, unless that is `known`: the number of the picture's last change.
    #[must_use]
    pub fn snapshot_after(&self, known: Option<u64>) -> Option<(Frame, u64)> {
        self.shared.refresh();
        let front = self.shared.front.lock();
        (known != Some(front.sequence)).then(|| (front.frame.clone(), front.sequence))
    }

    /// Width and height of the picture as it is now, without drawing it.
    #[must_use]
    pub fn size(&self) -> (u32, u32) {
        let source = self.shared.source.lock();
        source.screen.size(&source.back)
    }

    /// The characters on the screen, in a text mode.
    #[must_use]
    pub fn text(&self) -> Option<TextScreen> {
        self.shared.source.lock().screen.text()
    }

    /// What was done so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        Counters {
            polls: self.shared.polls.load(Ordering::Relaxed),
            repaints: self.shared.repaints.load(Ordering::Relaxed),
        }
    }
}

impl Drop for Pump {
    fn drop(&mut self) {
        self.shared.front.lock().closed = true;
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != std::thread::current().id()
        {
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Pump {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Pump").field("counters", &self.counters()).finish_non_exhaustive()
    }
}

impl Shared {
    fn run(&self) {
        let start = Instant::now();
        loop {
            let due = self.poll(start.elapsed());
            let mut front = self.front.lock();
            if front.closed {
                return;
            }
            match due {
                // A hint that came since the poll must not wait for the next.
                _ if front.hint && !front.viewers.is_empty() => {}
                None => self.changed.wait(&mut front),
                Some(due) => {
                    let rest = due.saturating_sub(start.elapsed()).max(REST);
                    self.changed.wait_for(&mut front, rest);
                }
            }
        }
    }

    fn poll(&self, now: Duration) -> Option<Duration> {
        {
            let mut front = self.front.lock();
            if front.viewers.is_empty() {
                return None;
            }
            if std::mem::take(&mut front.hint) {
                front.pace.hurry(now);
            }
            if now < front.pace.due() {
                return Some(front.pace.due());
            }
        }
        let changed = self.refresh();
        let mut front = self.front.lock();
        front.pace.looked(now, changed);
        Some(front.pace.due())
    }

    /// Brings the front picture up to date. Says whether it changed.
    fn refresh(&self) -> bool {
        let mut source = self.source.lock();
        let Source { screen, back, was_drawn } = &mut *source;
        let all = !std::mem::replace(was_drawn, true);
        let rects = screen.draw(back, all);
        self.polls.fetch_add(1, Ordering::Relaxed);
        let mut front = self.front.lock();
        let changed = front.publish(back, &rects, all);
        let wakes: Vec<Wake> =
            if changed { front.viewers.iter().map(|viewer| viewer.wake.clone()).collect() } else { Vec::new() };
        drop(front);
        drop(source);
        if changed {
            self.repaints.fetch_add(1, Ordering::Relaxed);
        }
        wakes.iter().for_each(|wake| wake());
        changed
    }
}

impl Front {
    /// Takes over `rects` of `back`, or all of it. Says whether that was anything.
    fn publish(&mut self, back: &Frame, rects: &[Rect], all: bool) -> bool {
        let resized = self.frame.resize(back.width(), back.height());
        let whole = [back.bounds()];
        let rects = if resized || all { &whole } else { rects };
        let mut changed = resized;
        for rect in rects.iter().map(|&rect| clip(rect, back)).filter(|rect| rect.width != 0 && rect.height != 0) {
            copy(back, &mut self.frame, rect);
            changed = true;
            for viewer in &mut self.viewers {
                viewer.damage.add(rect);
            }
        }
        if resized {
            for viewer in &mut self.viewers {
                viewer.resized = true;
                viewer.damage.set_all(back);
            }
        }
        self.sequence += u64::from(changed);
        changed
    }
}

/// What is new for a viewer.
#[derive(Debug)]
pub struct Update<'a> {
    /// The picture.
    pub frame: &'a Frame,
    /// The number of the picture's last change.
    pub sequence: u64,
    /// Whether it has another size than at the last update, or this is the first.
    pub resized: bool,
    /// Where it differs, at most, from what the viewer saw last. It covers all of it after a change of size.
    pub damage: &'a [Rect],
}

/// One who looks at a [`Pump`]'s picture. As long as it exists, the picture is kept up to date.
pub struct Viewer {
    shared: Arc<Shared>,
    id: u64,
}

impl Viewer {
    /// Shows `see` what is new since the last call; `None` if nothing is. The picture is locked meanwhile: `see` is to
    /// be brief and must not call the pump or a viewer.
    pub fn take<R>(&self, see: impl FnOnce(Update<'_>) -> R) -> Option<R> {
        let mut front = self.shared.front.lock();
        let Front { frame, sequence, viewers, .. } = &mut *front;
        let viewer = viewers.iter_mut().find(|viewer| viewer.id == self.id)?;
        let damage = std::mem::take(&mut viewer.damage);
        let resized = std::mem::take(&mut viewer.resized);
        if damage.is_empty() && !resized {
            return None;
        }
        Some(see(Update { frame, sequence: *sequence, resized, damage: damage.rects() }))
    }

    /// Brings a copy of the picture up to date, into which only this method writes. Says whether anything changed.
    pub fn update(&self, copied: &mut Frame) -> bool {
        let bring = |update: Update<'_>| {
            if update.resized || copied.bounds() != update.frame.bounds() {
                copied.clone_from(update.frame);
            } else {
                update.damage.iter().for_each(|&rect| copy(update.frame, copied, rect));
            }
        };
        self.take(bring).is_some()
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        self.shared.front.lock().viewers.retain(|viewer| viewer.id != self.id);
    }
}

impl fmt::Debug for Viewer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Viewer").field(&self.id).finish()
    }
}

#[cfg(test)]
mod tests;
