//! A picture made small, for lists.

use machine::console::Frame;

/// `frame` so small that it fits into `width` by `height`, in its own proportions; as it is if it fits already. Each pixel is
/// the mean of those that it stands for.
#[must_use]
pub fn thumbnail(frame: &Frame, width: u32, height: u32) -> Frame {
    let Some(place) = crate::scale::Scaling::Fit.place((frame.width(), frame.height()), (width, height)) else {
        return Frame::default();
    };
    if place.width >= frame.width() && place.height >= frame.height() {
        return frame.clone();
    }
    let mut small = Frame::new(place.width.min(frame.width()), place.height.min(frame.height()));
    let columns: Vec<(usize, usize)> = spans(frame.width(), small.width()).collect();
    for (y, (top, bottom)) in (0..).zip(spans(frame.height(), small.height())) {
        let row = small.row_mut(y);
        for (pixel, &(left, right)) in row.iter_mut().zip(&columns) {
            *pixel = mean(frame, left..right, top..bottom);
        }
    }
    small
}

/// The parts into which `length` falls, in `count` pieces of at least one, from each to below each.
fn spans(length: u32, count: u32) -> impl Iterator<Item = (usize, usize)> {
    let at = move |index: u32| (u64::from(index) * u64::from(length) / u64::from(count)) as usize;
    (0..count).map(move |index| (at(index), at(index + 1).max(at(index) + 1)))
}

fn mean(frame: &Frame, columns: std::ops::Range<usize>, rows: std::ops::Range<usize>) -> u32 {
    let count = (columns.len() * rows.len()) as u64;
    let mut sums = [0_u64; 3];
    for row in rows {
        for pixel in &frame.pixels()[row * frame.width() as usize..][columns.clone()] {
            let [_, red, green, blue] = pixel.to_be_bytes();
            for (sum, part) in sums.iter_mut().zip([red, green, blue]) {
                *sum += u64::from(part);
            }
        }
    }
    sums.iter().fold(0, |pixel, sum| pixel << 8 | ((sum + count / 2) / count) as u32)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_pixel_is_the_mean_of_those_it_stands_for() {
        let mut frame = Frame::new(4, 2);
        frame.pixels_mut().copy_from_slice(&[0xff_0000, 0, 0, 0, 0xff_0000, 0, 0, 0x00_00ff]);
        let small = thumbnail(&frame, 2, 2);
        assert_eq!((small.width(), small.height()), (2, 1));
        assert_eq!(small.pixels(), [0x80_0000, 0x00_0040]);
        assert_eq!(thumbnail(&frame, 100, 100), frame);
        assert_eq!(thumbnail(&Frame::default(), 10, 10), Frame::default());
    }

    proptest! {
        #[test]
        fn a_picture_of_one_colour_keeps_it(width in 1_u32..300, height in 1_u32..300, colour in 0_u32..0x100_0000) {
            let mut frame = Frame::new(width, height);
            frame.pixels_mut().fill(colour);
            let small = thumbnail(&frame, 64, 48);
            prop_assert!(small.width() <= 64 && small.height() <= 48 && small.width() > 0 && small.height() > 0);
            prop_assert!(small.pixels().iter().all(|pixel| *pixel == colour));
        }
    }
}
