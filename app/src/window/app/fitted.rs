//! A window that is as large as the guest's picture, until the person gives it another size.

use std::time::{Duration, Instant};

use eframe::egui::{Vec2, vec2};

/// The size that the window was last asked to have, and what came of it.
///
/// A window manager takes its time to carry out what it is asked for, and may give a little more or less. A guest may show
/// several pictures until then. Under Wayland a window changes at once, and may then be told a size that the compositor had
/// settled on before: it asks again.
#[derive(Default)]
pub(super) struct Fitted {
    /// The picture that the window was last asked to fit.
    picture: (u32, u32),
    wanted: Option<Vec2>,
    /// The last change, while it may yet fail.
    asked: Option<Asked>,
    /// The size that it then got.
    given: Option<Vec2>,
}

/// A change that was asked for.
struct Asked {
    /// The size before, and the one to be.
    from: Vec2,
    to: Vec2,
    /// When it was asked for, and how often.
    at: Instant,
    times: u32,
    /// It has been seen.
    done: bool,
    /// It is a size that the window had before full screen, which may be the person's own.
    restores: bool,
}

/// After so long a change is asked for again that was not carried out, or was taken back.
pub(super) const PATIENCE: Duration = Duration::from_millis(250);
/// After so long a change that was carried out is not taken back any more.
const SETTLED: Duration = Duration::from_secs(1);
/// So often at most: not every desktop lets a window choose.
const TIMES_MOST: u32 = 4;

impl Fitted {
    /// The size to ask for, in points, if the window shall be changed. It is `now` large; `wanted` makes the window's size of
    /// the picture's. Called for each frame, which is of the time `at`, in which the window's size is not the desktop's
    /// (maximized, full screen).
    pub(super) fn ask(
        &mut self,
        picture: (u32, u32),
        now: Vec2,
        at: Instant,
        wanted: impl FnOnce(Vec2) -> Vec2,
    ) -> Option<Vec2> {
        if let Some(asked) = &mut self.asked {
            let old = is_about(asked.from, now);
            let over = at - asked.at > PATIENCE;
            if !old {
                asked.done = true;
                if !asked.restores {
                    self.given = Some(now);
                }
            }
            if old && over && asked.times < TIMES_MOST && picture == self.picture {
                asked.times += 1;
                asked.at = at;
                return Some(asked.to);
            }
            if asked.done && at - asked.at > SETTLED {
                self.asked = None;
            }
        }
        if picture == self.picture || picture.0 == 0 || picture.1 == 0 {
            return None;
        }
        let first = self.picture == (0, 0);
        self.picture = picture;
        // While the last change is yet to come, the size that it has is nobody's choice.
        let settled = self.asked.is_none();
        let ours = [self.given, self.wanted].into_iter().flatten().any(|size| is_about(size, now));
        if settled && !first && !ours {
            return None;
        }
        let wanted = wanted(vec2(picture.0 as f32, picture.1 as f32));
        self.wanted = Some(wanted);
        let asked = Asked { from: now, to: wanted, at, times: 1, done: false, restores: false };
        self.asked = (!is_about(wanted, now)).then_some(asked);
        Some(wanted)
    }

    /// Says that the window leaves full screen at the time `at`, where it was `full` large, and was `before` large before that.
    /// A compositor may leave it as large as the screen.
    pub(super) fn leave_full_screen(&mut self, full: Vec2, before: Vec2, at: Instant) {
        self.asked = Some(Asked { from: full, to: before, at, times: 0, done: false, restores: true });
    }

    /// Whether a change may yet have to be asked for again: it has to be looked at after [`PATIENCE`].
    pub(super) fn is_waiting(&self) -> bool {
        self.asked.as_ref().is_some_and(|asked| asked.done || asked.times < TIMES_MOST)
    }
}

/// Whether two sizes are the same but for what a window manager rounds.
fn is_about(one: Vec2, other: Vec2) -> bool {
    (one - other).abs().max_elem() <= 2.0
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;

    static START: LazyLock<Instant> = LazyLock::new(Instant::now);

    const TEXT: (u32, u32) = (720, 400);
    const GRAPHICS: (u32, u32) = (1024, 768);
    const BARS: Vec2 = Vec2::new(0.0, 60.0);
    const AT_FIRST: Vec2 = Vec2::new(740.0, 470.0);

    /// A frame that comes long after the last.
    fn ask(fitted: &mut Fitted, picture: (u32, u32), now: Vec2) -> Option<Vec2> {
        let at = fitted.asked.as_ref().map_or(*START, |asked| asked.at);
        fitted.ask(picture, now, at + Duration::from_secs(2), |picture| picture + BARS)
    }

    fn ask_at(fitted: &mut Fitted, picture: (u32, u32), now: Vec2, seconds: f64) -> Option<Vec2> {
        fitted.ask(picture, now, after(seconds), |picture| picture + BARS)
    }

    fn after(seconds: f64) -> Instant {
        *START + Duration::from_secs_f64(seconds)
    }

    #[test]
    fn it_follows_the_picture() {
        let mut fitted = Fitted::default();
        let text = ask(&mut fitted, TEXT, AT_FIRST).unwrap();
        assert_eq!(text, vec2(720.0, 460.0));
        assert_eq!(ask(&mut fitted, TEXT, text), None);
        assert_eq!(ask(&mut fitted, GRAPHICS, text), Some(vec2(1024.0, 828.0)));
    }

    #[test]
    fn a_picture_that_comes_before_the_window_has_changed_is_followed() {
        let mut fitted = Fitted::default();
        ask_at(&mut fitted, TEXT, AT_FIRST, 0.0).unwrap();
        assert!(ask_at(&mut fitted, GRAPHICS, AT_FIRST, 0.1).is_some());
        // Both sizes arrive, one after the other.
        assert_eq!(ask_at(&mut fitted, GRAPHICS, vec2(720.0, 460.0), 0.2), None);
        assert_eq!(ask_at(&mut fitted, GRAPHICS, vec2(1024.0, 828.0), 0.3), None);
        assert!(ask_at(&mut fitted, TEXT, vec2(1024.0, 828.0), 0.4).is_some());
    }

    #[test]
    fn a_size_that_the_window_manager_gave_instead_is_no_choice() {
        let mut fitted = Fitted::default();
        ask(&mut fitted, TEXT, AT_FIRST).unwrap();
        let given = vec2(716.0, 440.0);
        assert_eq!(ask(&mut fitted, TEXT, given), None);
        assert!(ask(&mut fitted, GRAPHICS, given).is_some());
    }

    #[test]
    fn a_persons_own_size_stays() {
        let mut fitted = Fitted::default();
        let text = ask(&mut fitted, TEXT, AT_FIRST).unwrap();
        assert_eq!(ask(&mut fitted, TEXT, text), None);
        let own = vec2(900.0, 700.0);
        assert_eq!(ask(&mut fitted, TEXT, own), None);
        assert_eq!(ask(&mut fitted, GRAPHICS, own), None);
        assert_eq!(ask(&mut fitted, TEXT, own), None);
    }

    #[test]
    fn a_change_that_is_taken_back_is_asked_for_again() {
        let mut fitted = Fitted::default();
        let wanted = ask_at(&mut fitted, GRAPHICS, AT_FIRST, 0.0).unwrap();
        assert_eq!(ask_at(&mut fitted, GRAPHICS, wanted, 0.1), None);
        assert_eq!(ask_at(&mut fitted, GRAPHICS, AT_FIRST, 0.2), None);
        assert!(fitted.is_waiting());
        assert_eq!(ask_at(&mut fitted, GRAPHICS, AT_FIRST, 0.3), Some(wanted));
        assert_eq!(ask_at(&mut fitted, GRAPHICS, wanted, 0.4), None);
        assert_eq!(ask_at(&mut fitted, GRAPHICS, wanted, 1.6), None);
        assert!(!fitted.is_waiting());
        assert_eq!(ask_at(&mut fitted, GRAPHICS, AT_FIRST, 9.0), None, "that is what the person wants");
        assert_eq!(ask_at(&mut fitted, TEXT, AT_FIRST, 9.1), None);
    }

    #[test]
    fn after_full_screen_it_is_as_large_as_before() {
        let (full, own) = (vec2(1600.0, 1000.0), vec2(900.0, 700.0));
        let mut fitted = Fitted::default();
        let wanted = ask_at(&mut fitted, GRAPHICS, AT_FIRST, 0.0).unwrap();
        assert_eq!(ask_at(&mut fitted, GRAPHICS, wanted, 1.5), None);
        assert_eq!(ask_at(&mut fitted, GRAPHICS, own, 1.6), None);
        fitted.leave_full_screen(full, own, after(2.0));
        assert_eq!(ask_at(&mut fitted, GRAPHICS, full, 2.1), None, "the compositor may do it yet");
        assert_eq!(ask_at(&mut fitted, GRAPHICS, full, 2.4), Some(own));
        assert_eq!(ask_at(&mut fitted, GRAPHICS, own, 2.5), None);
        assert_eq!(ask_at(&mut fitted, GRAPHICS, own, 4.0), None);
        assert_eq!(ask_at(&mut fitted, TEXT, own, 4.1), None, "it is the person's");
    }

    #[test]
    fn a_desktop_that_gives_every_window_its_size_is_not_asked_for_ever() {
        let mut fitted = Fitted::default();
        let asked = (0..100).filter(|frame| ask_at(&mut fitted, GRAPHICS, AT_FIRST, f64::from(*frame)).is_some());
        assert_eq!(asked.count(), 4);
        assert!(!fitted.is_waiting());
    }

    #[test]
    fn nothing_is_no_picture() {
        let mut fitted = Fitted::default();
        assert_eq!(ask(&mut fitted, (0, 0), AT_FIRST), None);
        assert!(ask(&mut fitted, TEXT, AT_FIRST).is_some());
    }
}
