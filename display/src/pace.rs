//! How often a picture is looked at: often while it changes, seldom while it stands still.

use std::time::Duration;

/// Between two looks at a picture that changes: 60 a second.
pub const FASTEST: Duration = Duration::from_nanos(16_666_667);
/// Between two looks at a picture that stands still: 4 a second.
pub const SLOWEST: Duration = Duration::from_millis(250);
/// How long after a change the picture counts as moving: a film of 10 pictures a second keeps the fast pace.
pub const HOLD: Duration = Duration::from_millis(100);

/// The rhythm of looks at one picture. Time is whatever the caller counts, in one direction.
#[derive(Debug, Clone)]
pub struct Pace {
    interval: Duration,
    looked: Option<Duration>,
    moved: Duration,
    due: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Pace::new()
    }
}

impl Pace {
    /// The first look is due at once.
    #[must_use]
    pub const fn new() -> Self {
        Pace { interval: FASTEST, looked: None, moved: Duration::ZERO, due: Duration::ZERO }
    }

    /// When the next look is due.
    #[must_use]
    pub const fn due(&self) -> Duration {
        self.due
    }

    /// A look was taken at `now`, and the picture had changed or not.
    pub fn looked(&mut self, now: Duration, changed: bool) {
        self.looked = Some(now);
        if changed {
            self.moved = now;
            self.interval = FASTEST;
        } else if now.saturating_sub(self.moved) >= HOLD {
            self.interval = (self.interval * 2).min(SLOWEST);
        }
        self.due = now + self.interval;
    }

    /// A change is likely from `now` on: a key was pressed, a viewer came. However often this is called, looks keep
    /// [`FASTEST`] apart.
    pub fn hurry(&mut self, now: Duration) {
        self.moved = now;
        self.interval = FASTEST;
        let soonest = self.looked.map_or(now, |looked| now.max(looked + FASTEST));
        self.due = self.due.min(soonest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many looks fall in the second after `from`, of a picture that changes at multiples of `period`.
    fn looks_in_a_second(pace: &mut Pace, from: Duration, period: Duration) -> usize {
        let mut looks = 0;
        let mut seen = 0;
        while pace.due() < from + Duration::from_secs(1) {
            let now = pace.due();
            looks += usize::from(now >= from);
            let change = now.as_nanos() / period.as_nanos();
            pace.looked(now, change != seen);
            seen = change;
        }
        looks
    }

    #[test]
    fn a_still_picture_is_looked_at_four_times_a_second() {
        let mut pace = Pace::new();
        let never = Duration::from_secs(1_000_000);
        looks_in_a_second(&mut pace, Duration::ZERO, never);
        assert_eq!(looks_in_a_second(&mut pace, Duration::from_secs(1), never), 4);
        assert_eq!(looks_in_a_second(&mut pace, Duration::from_secs(2), never), 4);
    }

    #[test]
    fn a_film_is_looked_at_sixty_times_a_second() {
        for pictures in [60, 30, 12] {
            let mut pace = Pace::new();
            let period = Duration::from_secs(1) / pictures;
            let looks = looks_in_a_second(&mut pace, Duration::from_secs(1), period);
            assert!((59..=61).contains(&looks), "{pictures} pictures: {looks}");
        }
    }

    #[test]
    fn a_hint_brings_the_next_look_forward() {
        let mut pace = Pace::new();
        let never = Duration::from_secs(1_000_000);
        looks_in_a_second(&mut pace, Duration::ZERO, never);
        let now = pace.due() - SLOWEST / 2;
        pace.hurry(now);
        assert_eq!(pace.due(), now);
        pace.looked(now, false);
        assert_eq!(pace.due(), now + FASTEST);
        pace.hurry(now + FASTEST / 2);
        assert_eq!(pace.due(), now + FASTEST);
    }
}
