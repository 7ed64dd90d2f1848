//! Where a guest's picture goes in a window, in the screen's own pixels: a person who has set their desktop to 125 % sees
//! each pixel of the guest as sharp as one who has not.

use std::fmt;

/// How a picture is made to fit its window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Scaling {
    /// A pixel of the guest is a pixel of the screen. What finds no room is cut off on all sides alike.
    Original,
    /// Each pixel of the guest is a square of whole pixels: the largest that fits. A picture that is larger than the window is
    /// made smaller, as by [`Scaling::Fit`].
    Integer,
    /// As large as the window allows, in the picture's own proportions.
    #[default]
    Fit,
}

impl Scaling {
    /// Every way, in the order in which menus show them.
    pub const ALL: &[Scaling] = &[Scaling::Original, Scaling::Integer, Scaling::Fit];

    /// What a menu calls it.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Scaling::Original => "Original size",
            Scaling::Integer => "Whole multiples",
            Scaling::Fit => "Fit the window",
        }
    }

    /// The name in files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Scaling::Original => "original",
            Scaling::Integer => "integer",
            Scaling::Fit => "fit",
        }
    }

    /// The one of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Scaling::ALL.iter().copied().find(|scaling| scaling.name() == name)
    }

    /// Where a picture goes in an area, both in pixels of the screen. `None` if one of them has none.
    #[must_use]
    pub fn place(self, picture: (u32, u32), area: (u32, u32)) -> Option<Placement> {
        if [picture.0, picture.1, area.0, area.1].contains(&0) {
            return None;
        }
        let fit = || {
            // Which side is the narrow one is told without rounding.
            let by_width = u64::from(area.0) * u64::from(picture.1) <= u64::from(area.1) * u64::from(picture.0);
            if by_width {
                (area.0, scaled(picture.1, area.0, picture.0).min(area.1))
            } else {
                (scaled(picture.0, area.1, picture.1).min(area.0), area.1)
            }
        };
        let (width, height) = match self {
            Scaling::Original => picture,
            Scaling::Integer => match (area.0 / picture.0).min(area.1 / picture.1) {
                0 => fit(),
                times => (picture.0 * times, picture.1 * times),
            },
            Scaling::Fit => fit(),
        };
        let middle = |area: u32, size: u32| (i64::from(area) - i64::from(size)).div_euclid(2);
        let at = |area, size| i32::try_from(middle(area, size)).unwrap_or_default();
        Some(Placement { x: at(area.0, width), y: at(area.1, height), width, height, picture })
    }
}

impl fmt::Display for Scaling {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.label())
    }
}

/// `length * numerator / denominator`, rounded, and at least a pixel.
fn scaled(length: u32, numerator: u32, denominator: u32) -> u32 {
    let (length, numerator, denominator) = (u64::from(length), u64::from(numerator), u64::from(denominator));
    u32::try_from((length * numerator + denominator / 2) / denominator).unwrap_or(u32::MAX).max(1)
}

/// Where a picture is in its area, in pixels of the screen. It lies outside of it in part if it is larger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placement {
    /// Left edge.
    pub x: i32,
    /// Upper edge.
    pub y: i32,
    /// Width.
    pub width: u32,
    /// Height.
    pub height: u32,
    /// The picture's own width and height.
    pub picture: (u32, u32),
}

impl Placement {
    /// Whether each pixel of the guest is a square of whole pixels of the screen, so that nothing has to be smoothed.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.width.is_multiple_of(self.picture.0)
            && self.height.is_multiple_of(self.picture.1)
            && self.width / self.picture.0 == self.height / self.picture.1
    }

    /// The guest's pixel below a point of the area; `None` beside the picture.
    #[must_use]
    pub fn pixel_at(&self, x: f32, y: f32) -> Option<(u32, u32)> {
        let along = |at: f32, start: i32, size: u32, pixels: u32| {
            let inside = (at - start as f32) / size as f32;
            (0.0..1.0).contains(&inside).then(|| ((inside * pixels as f32) as u32).min(pixels - 1))
        };
        let column = along(x, self.x, self.width, self.picture.0)?;
        Some((column, along(y, self.y, self.height, self.picture.1)?))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn place(scaling: Scaling, picture: (u32, u32), area: (u32, u32)) -> (i32, i32, u32, u32) {
        let placed = scaling.place(picture, area).unwrap();
        (placed.x, placed.y, placed.width, placed.height)
    }

    #[test]
    fn each_way_has_its_own_place() {
        assert_eq!(place(Scaling::Original, (640, 480), (1000, 1000)), (180, 260, 640, 480));
        assert_eq!(place(Scaling::Original, (640, 480), (600, 400)), (-20, -40, 640, 480));
        assert_eq!(place(Scaling::Integer, (640, 480), (1920, 1080)), (320, 60, 1280, 960));
        assert_eq!(place(Scaling::Integer, (640, 480), (320, 480)), (0, 120, 320, 240));
        assert_eq!(place(Scaling::Fit, (640, 480), (1920, 1080)), (240, 0, 1440, 1080));
        assert_eq!(place(Scaling::Fit, (720, 400), (1000, 1000)), (0, 222, 1000, 556));
        assert_eq!(Scaling::Fit.place((0, 480), (10, 10)), None);
    }

    #[test]
    fn names_lead_back() {
        for &scaling in Scaling::ALL {
            assert_eq!(Scaling::from_name(scaling.name()), Some(scaling));
        }
        assert_eq!(Scaling::from_name("wide"), None);
    }

    proptest! {
        #[test]
        fn a_fitted_picture_lies_inside_and_touches_two_sides(
            picture in (1_u32..5000, 1_u32..5000), area in (1_u32..8000, 1_u32..8000),
        ) {
            let placed = Scaling::Fit.place(picture, area).unwrap();
            prop_assert!(placed.x >= 0 && placed.y >= 0);
            prop_assert!(placed.width <= area.0 && placed.height <= area.1);
            prop_assert!(placed.width == area.0 || placed.height == area.1);
            let integer = Scaling::Integer.place(picture, area).unwrap();
            prop_assert!(integer.width <= area.0 && integer.height <= area.1);
            prop_assert!(integer.is_exact() || picture.0 > area.0 || picture.1 > area.1);
        }

        #[test]
        fn a_point_of_an_exact_picture_is_the_pixel_that_is_drawn_there(
            x in 0_u32..64, y in 0_u32..48, times in 1_u32..5,
        ) {
            let placed = Scaling::Integer.place((64, 48), (64 * times + 3, 48 * times + 5)).unwrap();
            prop_assume!(placed.width == 64 * times);
            let middle = |start: i32, pixel: u32| start as f32 + (pixel * times) as f32 + times as f32 / 2.0;
            prop_assert_eq!(placed.pixel_at(middle(placed.x, x), middle(placed.y, y)), Some((x, y)));
            prop_assert_eq!(placed.pixel_at(placed.x as f32 - 1.0, 0.0), None);
        }
    }
}
