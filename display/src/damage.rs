//! Which parts of a picture a viewer hasn't seen yet.

use machine::console::{Frame, Rect};

/// Beyond so many rectangles they are kept as the one around them.
const MOST: usize = 32;

/// Rectangles to draw anew. They may overlap, and may cover more than what changed, never less.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Damage(Vec<Rect>);

impl Damage {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn rects(&self) -> &[Rect] {
        &self.0
    }

    /// Forgets all, and adds the whole of `frame`.
    pub(crate) fn set_all(&mut self, frame: &Frame) {
        self.0.clear();
        self.add(frame.bounds());
    }

    pub(crate) fn add(&mut self, rect: Rect) {
        if rect.width == 0 || rect.height == 0 || self.0.iter().any(|known| contains(known, &rect)) {
            return;
        }
        self.0.retain(|known| !contains(&rect, known));
        self.0.push(rect);
        if self.0.len() > MOST {
            let around = self.0.iter().copied().reduce(around);
            self.0.clear();
            self.0.extend(around);
        }
    }
}

/// The part of `rect` inside of a frame.
pub(crate) fn clip(rect: Rect, frame: &Frame) -> Rect {
    let (x, y) = (rect.x.min(frame.width()), rect.y.min(frame.height()));
    let width = rect.x.saturating_add(rect.width).min(frame.width()) - x;
    let height = rect.y.saturating_add(rect.height).min(frame.height()) - y;
    Rect { x, y, width, height }
}

/// Copies `rect`, which lies inside of both frames, which are of one size.
pub(crate) fn copy(from: &Frame, to: &mut Frame, rect: Rect) {
    let columns = rect.x as usize..rect.x as usize + rect.width as usize;
    let width = from.width() as usize;
    for y in rect.y..rect.y + rect.height {
        let row = &from.pixels()[y as usize * width..][..width];
        to.row_mut(y)[columns.clone()].copy_from_slice(&row[columns.clone()]);
    }
}

// Rectangles are clipped to a frame before they come here: their ends don't overflow.

fn contains(outer: &Rect, inner: &Rect) -> bool {
    outer.x <= inner.x
        && outer.y <= inner.y
        && inner.x + inner.width <= outer.x + outer.width
        && inner.y + inner.height <= outer.y + outer.height
}

pub(crate) fn around(left: Rect, right: Rect) -> Rect {
    let (x, y) = (left.x.min(right.x), left.y.min(right.y));
    let width = (left.x + left.width).max(right.x + right.width) - x;
    let height = (left.y + left.height).max(right.y + right.height) - y;
    Rect { x, y, width, height }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_rectangle_is_clipped_to_its_frame() {
        let frame = Frame::new(10, 8);
        let rect = |x, y, width, height| Rect { x, y, width, height };
        assert_eq!(clip(rect(4, 4, u32::MAX, 2), &frame), rect(4, 4, 6, 2));
        assert_eq!(clip(rect(u32::MAX, 9, 5, 5), &frame), rect(10, 8, 0, 0));
    }

    proptest! {
        #[test]
        fn each_added_pixel_stays_covered(
            rects in prop::collection::vec((0_u32..40, 0_u32..40, 0_u32..12, 0_u32..12), 0..80),
        ) {
            let rects: Vec<Rect> = rects.into_iter().map(|(x, y, width, height)| Rect { x, y, width, height }).collect();
            let mut damage = Damage::default();
            rects.iter().for_each(|&rect| damage.add(rect));
            let covers = |x, y| damage.rects().iter().any(|rect| contains(rect, &Rect { x, y, width: 1, height: 1 }));
            prop_assert!(damage.rects().len() <= MOST);
            for rect in rects {
                prop_assert!((rect.x..rect.x + rect.width).all(|x| (rect.y..rect.y + rect.height).all(|y| covers(x, y))));
            }
        }
    }
}
