//! Keys and pointer from the control socket: one program at a time, at a person's pace, and no key stays pressed.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use machine::{
    console::{Button, Input},
    engine::InputTarget,
    keys::Key,
};
use parking_lot::{Condvar, Mutex};

/// How long a person holds a key, and waits before the next: the guest's own buffers are small.
const PACE: Duration = Duration::from_millis(20);
/// How long the guest may leave a key or a click untaken.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the guest may leave what a person's own hands do untaken.
const HANDS_PATIENCE: Duration = Duration::from_millis(300);
/// How long one program may be silent before another has its turn.
const GRACE: Duration = Duration::from_secs(1);
/// How long one program may wait for another. A long text takes minutes.
const TURN_PATIENCE: Duration = Duration::from_secs(300);

/// The console's keyboard and mouse, for whoever has their turn.
pub(super) struct Desk {
    target: Arc<dyn InputTarget>,
    turn: Mutex<Turn>,
    changed: Condvar,
    patience: Duration,
}

#[derive(Default)]
struct Turn {
    /// Whose turn it is.
    of: Option<u64>,
    /// Since when they have been silent, if they are.
    silent: Option<Instant>,
}

impl Turn {
    fn may_take(&self, id: u64) -> bool {
        self.of.is_none_or(|of| of == id) || self.silent.is_some_and(|since| since.elapsed() >= GRACE)
    }
}

/// Why not everything was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unfinished {
    /// The guest leaves its input untaken. It took so many of the inputs; another waits in its device, or not.
    Untaken { taken: usize, waiting: bool },
    /// Others took too long.
    Others,
    /// Nobody wants it any more.
    Unwanted,
}

impl Desk {
    pub(super) fn new(target: Arc<dyn InputTarget>) -> Arc<Self> {
        Self::with_patience(target, PATIENCE)
    }

    fn with_patience(target: Arc<dyn InputTarget>, patience: Duration) -> Arc<Self> {
        Arc::new(Desk { target, turn: Mutex::default(), changed: Condvar::new(), patience })
    }

    /// Sits down as the program number `id`.
    pub(super) fn sit_down(self: &Arc<Self>, id: u64) -> Sitting {
        Sitting { desk: self.clone(), id, held: Vec::new() }
    }

    /// A person's own hands, in a window.
    pub(super) fn hands(&self) -> Hands {
        Hands { target: self.target.clone(), keys: Vec::new(), buttons: Vec::new(), ignored: false }
    }

    /// Waits until `is_so`, while that is `wanted`.
    fn wait(&self, wanted: &dyn Fn() -> bool, mut is_so: impl FnMut() -> bool) -> Result<(), Waited> {
        let deadline = Instant::now() + self.patience;
        while !is_so() {
            if !wanted() {
                return Err(Waited::Unwanted);
            }
            if Instant::now() > deadline {
                return Err(Waited::TooLong);
            }
            // The guest tells nobody that it has read a key.
            std::thread::sleep(PACE / 4);
        }
        Ok(())
    }
}

enum Waited {
    TooLong,
    Unwanted,
}

/// What a person does in the machine's window reaches the guest at once, beside what programs type. The keys and buttons that
/// are still down when this is dropped are let go.
pub(super) struct Hands {
    target: Arc<dyn InputTarget>,
    keys: Vec<Key>,
    buttons: Vec<Button>,
    /// The guest has left a key untaken for as long as one is waited for: it may read none at all.
    ignored: bool,
}

impl Hands {
    /// Passes it on. A guest that is slow is waited for a moment, so that nothing is lost of what is typed fast; a guest that
    /// takes nothing gets nothing, as from real hardware whose buffer is full.
    pub(super) fn act(&mut self, input: &Input) {
        let deadline = Instant::now() + HANDS_PATIENCE;
        let mut taken = self.target.input(input);
        while !taken && !self.ignored {
            // The guest tells nobody that it has read a key.
            std::thread::sleep(PACE / 10);
            taken = self.target.input(input);
            self.ignored = !taken && Instant::now() > deadline;
        }
        if !taken {
            return;
        }
        self.ignored = false;
        match *input {
            Input::Key { key, down } => note(&mut self.keys, key, down),
            Input::Button { button, down } => note(&mut self.buttons, button, down),
            Input::Move { .. } | Input::Wheel { .. } => {}
        }
    }
}

fn note<T: PartialEq>(held: &mut Vec<T>, what: T, down: bool) {
    held.retain(|other| *other != what);
    if down {
        held.push(what);
    }
}

impl Drop for Hands {
    fn drop(&mut self) {
        for key in self.keys.drain(..).rev() {
            self.target.input(&Input::Key { key, down: false });
        }
        for button in self.buttons.drain(..).rev() {
            self.target.input(&Input::Button { button, down: false });
        }
    }
}

/// One program's use of the console. The keys that it still holds when this is dropped are let go.
pub(super) struct Sitting {
    desk: Arc<Desk>,
    id: u64,
    held: Vec<Key>,
}

impl Sitting {
    /// Does what a person does, one after the other, as long as it is `wanted`: waits until the guest has taken each, and
    /// then as long as a person.
    ///
    /// # Errors
    /// [`Unfinished`]; no key is held then.
    pub(super) fn carry_out(&mut self, inputs: &[Input], wanted: &dyn Fn() -> bool) -> Result<(), Unfinished> {
        self.take_turn(wanted)?;
        let done = inputs.iter().enumerate().try_for_each(|(taken, input)| {
            let mut waiting = false;
            self.one(input, wanted, &mut waiting).map_err(|waited| match waited {
                Waited::TooLong => Unfinished::Untaken { taken, waiting },
                Waited::Unwanted => Unfinished::Unwanted,
            })
        });
        if done.is_err() {
            self.let_go();
        }
        self.desk.turn.lock().silent = Some(Instant::now());
        self.desk.changed.notify_all();
        done
    }

    fn take_turn(&self, wanted: &dyn Fn() -> bool) -> Result<(), Unfinished> {
        let deadline = Instant::now() + TURN_PATIENCE;
        let mut turn = self.desk.turn.lock();
        while !turn.may_take(self.id) {
            if Instant::now() > deadline {
                return Err(Unfinished::Others);
            }
            self.desk.changed.wait_for(&mut turn, GRACE);
            if !wanted() {
                return Err(Unfinished::Unwanted);
            }
        }
        *turn = Turn { of: Some(self.id), silent: None };
        Ok(())
    }

    fn one(&mut self, input: &Input, wanted: &dyn Fn() -> bool, waiting: &mut bool) -> Result<(), Waited> {
        let target = self.desk.target.clone();
        let is_key = matches!(input, Input::Key { .. });
        // A guest that has left a key untaken isn't given another.
        self.desk.wait(wanted, || (!is_key || target.is_taken()) && target.input(input))?;
        if let Input::Key { key, down } = *input {
            self.held.retain(|&held| held != key);
            if down {
                self.held.push(key);
            }
            *waiting = true;
            self.desk.wait(wanted, || target.is_taken())?;
        }
        std::thread::sleep(PACE);
        Ok(())
    }

    /// Releases always find their way: the keyboard remembers those for which it has no room.
    fn let_go(&mut self) {
        for key in self.held.drain(..).rev() {
            self.desk.target.input(&Input::Key { key, down: false });
        }
    }
}

impl Drop for Sitting {
    fn drop(&mut self) {
        self.let_go();
        let mut turn = self.desk.turn.lock();
        if turn.of == Some(self.id) {
            *turn = Turn::default();
        }
        self.desk.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// A guest that takes so many keys, and no more.
    #[derive(Default)]
    struct Guest {
        takes: AtomicUsize,
        seen: Mutex<Vec<(Key, bool)>>,
    }

    impl InputTarget for Guest {
        fn input(&self, input: &Input) -> bool {
            let Input::Key { key, down } = *input else { return true };
            self.seen.lock().push((key, down));
            true
        }

        fn is_taken(&self) -> bool {
            self.seen.lock().len() <= self.takes.load(Ordering::SeqCst)
        }
    }

    fn guest(takes: usize) -> (Arc<Guest>, Arc<Desk>) {
        let guest = Arc::new(Guest { takes: takes.into(), ..Guest::default() });
        (guest.clone(), Desk::with_patience(guest, Duration::from_millis(50)))
    }

    fn stroke(key: Key) -> [Input; 2] {
        [true, false].map(|down| Input::Key { key, down })
    }

    #[test]
    fn what_the_guest_leaves_is_told_and_no_key_stays_pressed() {
        let (guest, desk) = guest(3);
        let inputs = [Key::KeyA, Key::KeyB, Key::KeyC].map(stroke).concat();
        let mut sitting = desk.sit_down(1);
        let unfinished = sitting.carry_out(&inputs, &|| true).unwrap_err();
        assert_eq!(unfinished, Unfinished::Untaken { taken: 3, waiting: true });
        let pressed = [(Key::KeyA, true), (Key::KeyA, false), (Key::KeyB, true), (Key::KeyB, false)];
        assert_eq!(*guest.seen.lock(), pressed, "the B in the keyboard is followed by its release");
        let again = sitting.carry_out(&inputs, &|| true).unwrap_err();
        assert_eq!(again, Unfinished::Untaken { taken: 0, waiting: false });
        assert_eq!(guest.seen.lock().len(), 4, "nothing is put on top of what waits");
    }

    #[test]
    fn who_goes_away_lets_their_keys_go() {
        let (guest, desk) = guest(100);
        let mut sitting = desk.sit_down(1);
        sitting.carry_out(&[Input::Key { key: Key::ShiftLeft, down: true }], &|| true).unwrap();
        assert_eq!(sitting.carry_out(&stroke(Key::KeyA), &|| true), Ok(()));
        drop(sitting);
        assert_eq!(guest.seen.lock().last(), Some(&(Key::ShiftLeft, false)));
    }

    #[test]
    fn hands_act_at_once_and_let_go_in_the_opposite_order() {
        let (guest, desk) = guest(0);
        let mut hands = desk.hands();
        for (key, down) in [(Key::ShiftLeft, true), (Key::KeyA, true), (Key::KeyB, true), (Key::KeyB, false)] {
            hands.act(&Input::Key { key, down });
        }
        hands.act(&Input::Button { button: Button::Left, down: true });
        drop(hands);
        assert_eq!(guest.seen.lock()[4..], [(Key::KeyA, false), (Key::ShiftLeft, false)]);
    }

    /// A keyboard that has room for a key only now and then.
    #[derive(Default)]
    struct Slow {
        tries: AtomicUsize,
        never: bool,
        seen: Mutex<Vec<(Key, bool)>>,
    }

    impl InputTarget for Slow {
        fn input(&self, input: &Input) -> bool {
            let Input::Key { key, down } = *input else { return true };
            let tries = self.tries.fetch_add(1, Ordering::SeqCst);
            let room = !down || !self.never && tries % 3 == 2;
            if room {
                self.seen.lock().push((key, down));
            }
            room
        }

        fn is_taken(&self) -> bool {
            true
        }
    }

    #[test]
    fn nothing_that_is_typed_fast_is_lost_on_a_slow_guest() {
        let slow = Arc::new(Slow::default());
        let mut hands = Desk::new(slow.clone()).hands();
        let inputs = [Key::KeyA, Key::KeyB, Key::KeyC].map(stroke).concat();
        inputs.iter().for_each(|input| hands.act(input));
        let keys: Vec<Key> = slow.seen.lock().iter().map(|&(key, _)| key).collect();
        assert_eq!(keys, [Key::KeyA, Key::KeyA, Key::KeyB, Key::KeyB, Key::KeyC, Key::KeyC]);
    }

    #[test]
    fn a_guest_that_takes_nothing_is_waited_for_once() {
        let deaf = Arc::new(Slow { never: true, ..Slow::default() });
        let mut hands = Desk::new(deaf.clone()).hands();
        hands.act(&stroke(Key::KeyA)[0]);
        let tries = deaf.tries.load(Ordering::SeqCst);
        assert!(tries > 1);
        hands.act(&stroke(Key::KeyB)[0]);
        assert_eq!(deaf.tries.load(Ordering::SeqCst), tries + 1);
        drop(hands);
        assert!(deaf.seen.lock().is_empty(), "what was not pressed is not released");
    }

    #[test]
    fn what_nobody_wants_any_more_is_not_typed() {
        let (guest, desk) = guest(0);
        let mut sitting = desk.sit_down(1);
        let keys = [stroke(Key::KeyA), stroke(Key::KeyB)].concat();
        assert_eq!(sitting.carry_out(&keys, &|| false), Err(Unfinished::Unwanted));
        assert_eq!(*guest.seen.lock(), [(Key::KeyA, true), (Key::KeyA, false)]);
    }

    #[test]
    fn two_who_type_at_once_type_one_after_the_other() {
        let (guest, desk) = guest(100);
        let type_in_parts = |id, key| {
            let mut sitting = desk.sit_down(id);
            (0..5).for_each(|_| sitting.carry_out(&stroke(key), &|| true).unwrap());
        };
        std::thread::scope(|scope| {
            scope.spawn(|| type_in_parts(1, Key::KeyA));
            scope.spawn(|| type_in_parts(2, Key::KeyB));
        });
        let keys: Vec<Key> = guest.seen.lock().iter().map(|&(key, _)| key).collect();
        assert_eq!(keys.len(), 20);
        assert!(keys[..10].iter().all(|key| *key == keys[0]), "{keys:?}");
    }
}
