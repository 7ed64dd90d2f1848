//! The ways in which shaders draw a picture that is larger or smaller than the guest's.

use std::fmt;

use crate::scale::{Placement, Scaling};

/// A way to draw a picture. Colours are mixed as light, not as numbers: a mixture is as bright as its parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Filter {
    /// Each pixel of the guest is a square of whole pixels of the screen, the largest that fits, with black around. A picture
    /// that is larger than the screen is drawn as by [`Filter::SharpBilinear`].
    Integer,
    /// As large as the screen allows. Each pixel of the screen is the mean of what lies beneath it: inside of the guest's pixels
    /// they are sharp, and an edge between them takes one pixel of the screen at most.
    SharpBilinear,
    /// As large as the screen allows, as a tube with an electron beam draws it: each row of the guest is a line with soft edges,
    /// which is wider the brighter it is; the beam's spot is two of the guest's pixels wide; upright stripes of phosphor take
    /// turns in red, green and blue. The glass is flat, so that everything is where the picture has it.
    Crt,
}

impl Filter {
    /// Every filter, in the order in which menus show them.
    pub const ALL: &[Filter] = &[Filter::Integer, Filter::SharpBilinear, Filter::Crt];

    /// What a menu calls it.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Filter::Integer => "Whole pixels",
            Filter::SharpBilinear => "Sharp",
            Filter::Crt => "Picture tube",
        }
    }

    /// What it does, in one sentence.
    #[must_use]
    pub const fn help(self) -> &'static str {
        match self {
            Filter::Integer => "Each pixel of the machine is a square of whole pixels, with black around the picture",
            Filter::SharpBilinear => "Fill the screen, with edges as sharp as it can show them",
            Filter::Crt => "Fill the screen, with the lines and stripes of a cathode-ray tube",
        }
    }

    /// The name in files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Filter::Integer => "integer",
            Filter::SharpBilinear => "sharp-bilinear",
            Filter::Crt => "crt",
        }
    }

    /// The one of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Filter::ALL.iter().copied().find(|filter| filter.name() == name)
    }

    /// How it makes a picture fit.
    #[must_use]
    pub const fn scaling(self) -> Scaling {
        match self {
            Filter::Integer => Scaling::Integer,
            Filter::SharpBilinear | Filter::Crt => Scaling::Fit,
        }
    }

    /// Where a picture goes in an area, both in pixels of the screen. `None` if one of them has none.
    #[must_use]
    pub fn place(self, picture: (u32, u32), area: (u32, u32)) -> Option<Placement> {
        self.scaling().place(picture, area)
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.label())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back() {
        for &filter in Filter::ALL {
            assert_eq!(Filter::from_name(filter.name()), Some(filter));
        }
        assert_eq!(Filter::from_name("blur"), None);
    }
}
