//! A window that is as large as the guest's picture, until the person gives it another size.

use eframe::egui::{Vec2, vec2};

/// The size that the window was last asked to have, and what came of it.
///
/// A window manager takes its time to carry out what it is asked for, and may give a little more or less. A guest may show
/// several pictures until then.
#[derive(Default)]
pub(super) struct Fitted {
    /// The picture that the window was last asked to fit.
    picture: (u32, u32),
    wanted: Option<Vec2>,
    /// The window's size when it was asked to change, until it has.
    before: Option<Vec2>,
    /// The size that it then got.
    given: Option<Vec2>,
}

impl Fitted {
    /// The size to ask for, in points, if the window shall be changed. It is `now` large; `wanted` makes the window's size of
    /// the picture's. Called for each frame in which the window's size is not the desktop's (maximized, full screen).
    pub(super) fn ask(&mut self, picture: (u32, u32), now: Vec2, wanted: impl FnOnce(Vec2) -> Vec2) -> Option<Vec2> {
        if self.before.is_some_and(|before| !is_about(before, now)) {
            self.given = Some(now);
            self.before = None;
        }
        if picture == self.picture || picture.0 == 0 || picture.1 == 0 {
            return None;
        }
        let first = self.picture == (0, 0);
        self.picture = picture;
        // While the last change is yet to come, the size that it has is nobody's choice.
        let settled = self.before.is_none();
        let ours = [self.given, self.wanted].into_iter().flatten().any(|size| is_about(size, now));
        if settled && !first && !ours {
            return None;
        }
        let wanted = wanted(vec2(picture.0 as f32, picture.1 as f32));
        self.wanted = Some(wanted);
        self.before = (!is_about(wanted, now)).then_some(now);
        Some(wanted)
    }
}

/// Whether two sizes are the same but for what a window manager rounds.
fn is_about(one: Vec2, other: Vec2) -> bool {
    (one - other).abs().max_elem() <= 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: (u32, u32) = (720, 400);
    const GRAPHICS: (u32, u32) = (1024, 768);
    const BARS: Vec2 = Vec2::new(0.0, 60.0);
    const AT_FIRST: Vec2 = Vec2::new(740.0, 470.0);

    fn ask(fitted: &mut Fitted, picture: (u32, u32), now: Vec2) -> Option<Vec2> {
        fitted.ask(picture, now, |picture| picture + BARS)
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
        ask(&mut fitted, TEXT, AT_FIRST).unwrap();
        assert!(ask(&mut fitted, GRAPHICS, AT_FIRST).is_some());
        // Both sizes arrive, one after the other.
        assert_eq!(ask(&mut fitted, GRAPHICS, vec2(720.0, 460.0)), None);
        assert_eq!(ask(&mut fitted, GRAPHICS, vec2(1024.0, 828.0)), None);
        assert!(ask(&mut fitted, TEXT, vec2(1024.0, 828.0)).is_some());
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
    fn nothing_is_no_picture() {
        let mut fitted = Fitted::default();
        assert_eq!(ask(&mut fitted, (0, 0), AT_FIRST), None);
        assert!(ask(&mut fitted, TEXT, AT_FIRST).is_some());
    }
}
