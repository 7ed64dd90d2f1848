//! Tests of the pump with an adapter made up here. They own the time, but for the one of the thread.

use std::sync::mpsc;

use proptest::prelude::*;

use super::*;

/// An adapter: its picture, and where it changed since it was last drawn.
#[derive(Default)]
struct Adapter {
    picture: Frame,
    changed: Vec<Rect>,
    resized: bool,
}

#[derive(Clone, Default)]
struct Shown(Arc<Mutex<Adapter>>);

impl Shown {
    fn new(width: u32, height: u32) -> Self {
        let shown = Shown::default();
        shown.resize(width, height);
        shown
    }

    fn resize(&self, width: u32, height: u32) {
        let mut adapter = self.0.lock();
        adapter.picture = Frame::new(width, height);
        adapter.resized = true;
    }

    /// Fills a rectangle; what is outside of the picture is cut off, but reported.
    fn paint(&self, rect: Rect, colour: u32) {
        let mut adapter = self.0.lock();
        let inside = clip(rect, &adapter.picture);
        for y in inside.y..inside.y + inside.height {
            adapter.picture.row_mut(y)[inside.x as usize..(inside.x + inside.width) as usize].fill(colour);
        }
        adapter.changed.push(rect);
    }

    fn picture(&self) -> Frame {
        self.0.lock().picture.clone()
    }
}

impl Screen for Shown {
    fn draw(&mut self, frame: &mut Frame, all: bool) -> Vec<Rect> {
        let mut adapter = self.0.lock();
        let changed = std::mem::take(&mut adapter.changed);
        let resized = std::mem::take(&mut adapter.resized);
        frame.resize(adapter.picture.width(), adapter.picture.height());
        if all || resized {
            frame.clone_from(&adapter.picture);
            return vec![frame.bounds()];
        }
        // Only what is reported is drawn: a pump that copies less than that shows an old picture.
        for rect in &changed {
            copy(&adapter.picture, frame, clip(*rect, &adapter.picture));
        }
        changed
    }

    fn size(&self, _frame: &Frame) -> (u32, u32) {
        let adapter = self.0.lock();
        (adapter.picture.width(), adapter.picture.height())
    }

    fn text(&self) -> Option<TextScreen> {
        Some(TextScreen { columns: 2, cells: vec!['o', 'k'], cursor: None })
    }
}

fn rect(x: u32, y: u32, width: u32, height: u32) -> Rect {
    Rect { x, y, width, height }
}

/// Polls whenever it is due from `from` to `to`.
fn poll_between(pump: &Pump, from: Duration, to: Duration) {
    let mut now = from;
    while let Some(due) = pump.poll(now).filter(|&due| due < to) {
        now = due.max(now);
    }
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn without_a_viewer_the_adapter_is_left_alone() {
    let pump = Pump::new(Box::new(Shown::new(4, 4)));
    pump.hurry();
    assert_eq!((pump.poll(seconds(1)), pump.counters()), (None, Counters::default()));
    let viewer = pump.viewer(|| {});
    assert!(pump.poll(seconds(2)).is_some());
    drop(viewer);
    assert_eq!((pump.poll(seconds(3)), pump.counters().polls), (None, 1));
}

#[test]
fn a_still_picture_costs_four_polls_a_second_and_no_repaint() {
    let pump = Pump::new(Box::new(Shown::new(4, 4)));
    let viewer = pump.viewer(|| {});
    poll_between(&pump, seconds(0), seconds(1));
    let before = pump.counters();
    poll_between(&pump, seconds(1), seconds(11));
    let after = pump.counters();
    assert_eq!(before.repaints, 1);
    assert_eq!((after.polls - before.polls, after.repaints), (40, 1));
    assert!(viewer.take(|_| ()).is_some() && viewer.take(|_| ()).is_none());
}

#[test]
fn a_hint_ends_the_slow_pace() {
    let shown = Shown::new(4, 4);
    let pump = Pump::new(Box::new(shown.clone()));
    let _viewer = pump.viewer(|| {});
    poll_between(&pump, seconds(0), seconds(2));
    shown.paint(rect(0, 0, 1, 1), 1);
    assert!(pump.poll(seconds(2)).unwrap() > seconds(2));
    let repaints = pump.counters().repaints;
    pump.hurry();
    pump.poll(seconds(2));
    assert_eq!(pump.counters().repaints, repaints + 1);
}

#[test]
fn each_viewer_has_damage_of_its_own() {
    let shown = Shown::new(10, 10);
    let pump = Pump::new(Box::new(shown.clone()));
    let (often, seldom) = (pump.viewer(|| {}), pump.viewer(|| {}));
    pump.poll(seconds(0));
    let sees = |viewer: &Viewer| {
        viewer.take(|update| (update.sequence, update.resized, update.damage.to_vec())).unwrap_or_default()
    };
    assert_eq!(sees(&often), (1, true, vec![rect(0, 0, 10, 10)]));
    assert_eq!(sees(&seldom), (1, true, vec![rect(0, 0, 10, 10)]));
    shown.paint(rect(1, 1, 2, 2), 7);
    pump.poll(seconds(1));
    assert_eq!(sees(&often), (2, false, vec![rect(1, 1, 2, 2)]));
    shown.paint(rect(5, 5, 9, 1), 8);
    pump.poll(seconds(2));
    assert_eq!(sees(&often), (3, false, vec![rect(5, 5, 5, 1)]));
    assert_eq!(sees(&seldom), (3, false, vec![rect(1, 1, 2, 2), rect(5, 5, 5, 1)]));
    assert_eq!(sees(&seldom), (0, false, vec![]));
}

#[test]
fn a_screen_that_goes_dark_is_told() {
    let shown = Shown::new(10, 10);
    let pump = Pump::new(Box::new(shown.clone()));
    let viewer = pump.viewer(|| {});
    let mut copied = Frame::default();
    pump.poll(seconds(0));
    viewer.update(&mut copied);
    shown.resize(0, 0);
    pump.poll(seconds(1));
    assert!(viewer.update(&mut copied));
    assert_eq!(copied.bounds(), rect(0, 0, 0, 0));
}

#[test]
fn a_snapshot_is_fresh_without_a_viewer() {
    let shown = Shown::new(10, 10);
    let pump = Pump::new(Box::new(shown.clone()));
    assert_eq!(pump.snapshot(), shown.picture());
    shown.paint(rect(3, 3, 3, 3), 9);
    assert_eq!(pump.snapshot(), shown.picture());
    assert_eq!(pump.text().unwrap().to_string(), "ok\n");
    assert_eq!(pump.counters(), Counters { polls: 2, repaints: 2 });
}

#[test]
fn a_size_is_known_without_drawing() {
    let shown = Shown::new(10, 10);
    let pump = Pump::new(Box::new(shown.clone()));
    assert_eq!(pump.size(), (10, 10));
    shown.resize(20, 5);
    assert_eq!(pump.size(), (20, 5));
    assert_eq!(pump.counters(), Counters::default());
}

#[test]
fn the_thread_wakes_a_viewer_and_ends_with_the_pump() {
    const LIMIT: Duration = Duration::from_secs(20);
    let shown = Shown::new(10, 10);
    let pump = Pump::spawn(Box::new(shown.clone())).unwrap();
    let (sender, woken) = mpsc::channel();
    let viewer = pump.viewer(move || sender.send(()).unwrap());
    let mut copied = Frame::default();
    woken.recv_timeout(LIMIT).unwrap();
    viewer.update(&mut copied);
    assert_eq!(copied, shown.picture());
    shown.paint(rect(0, 0, 5, 5), 3);
    pump.hurry();
    woken.recv_timeout(LIMIT).unwrap();
    drop(pump);
    viewer.update(&mut copied);
    assert_eq!(copied, shown.picture());
}

#[derive(Debug, Clone)]
enum Step {
    Paint(Rect, u32),
    Resize(u32, u32),
    Poll(u64),
    Hurry,
    Snapshot,
    Join,
    Leave(prop::sample::Index),
    Look(prop::sample::Index),
}

fn step() -> impl Strategy<Value = Step> {
    let side = || prop_oneof![8 => 0_u32..24, 1 => Just(u32::MAX)];
    let paint = (side(), side(), side(), side(), any::<u32>())
        .prop_map(|(x, y, width, height, colour)| Step::Paint(rect(x, y, width, height), colour));
    prop_oneof![
        12 => paint,
        1 => (0_u32..20, 0_u32..20).prop_map(|(width, height)| Step::Resize(width, height)),
        8 => (0_u64..300).prop_map(Step::Poll),
        1 => Just(Step::Hurry),
        1 => Just(Step::Snapshot),
        1 => Just(Step::Join),
        1 => any::<prop::sample::Index>().prop_map(Step::Leave),
        4 => any::<prop::sample::Index>().prop_map(Step::Look),
    ]
}

proptest! {
    #[test]
    fn a_viewer_that_applies_damage_has_the_picture(steps in prop::collection::vec(step(), 1..120)) {
        let shown = Shown::new(16, 12);
        let pump = Pump::new(Box::new(shown.clone()));
        let mut viewers = vec![(pump.viewer(|| {}), Frame::default())];
        let mut now = Duration::ZERO;
        for step in steps {
            match step {
                Step::Paint(rect, colour) => shown.paint(rect, colour),
                Step::Resize(width, height) => shown.resize(width, height),
                Step::Poll(millis) => {
                    now += Duration::from_millis(millis);
                    pump.poll(now);
                }
                Step::Hurry => pump.hurry(),
                Step::Snapshot => prop_assert_eq!(pump.snapshot(), shown.picture()),
                Step::Join => viewers.push((pump.viewer(|| {}), Frame::default())),
                Step::Leave(which) if !viewers.is_empty() => drop(viewers.swap_remove(which.index(viewers.len()))),
                Step::Look(which) if !viewers.is_empty() => {
                    let which = which.index(viewers.len());
                    let (viewer, copied) = &mut viewers[which];
                    viewer.update(copied);
                }
                Step::Leave(_) | Step::Look(_) => {}
            }
        }
        let due = pump.poll(now).unwrap_or(now);
        pump.poll(due);
        for (viewer, copied) in &mut viewers {
            viewer.update(copied);
            prop_assert_eq!(&*copied, &shown.picture());
        }
    }
}
