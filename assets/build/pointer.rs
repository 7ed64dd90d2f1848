//! The pointer: an arrow, its tip in the upper left corner.

use crate::canvas::Point;

pub(crate) const WIDTH: usize = 18;
pub(crate) const HEIGHT: usize = 27;

/// The arrow's corners in turn.
const CORNERS: [Point; 7] =
    [(1.2, 1.2), (1.2, 21.0), (5.9, 16.6), (9.2, 24.6), (12.6, 23.2), (9.3, 15.3), (15.6, 15.3)];
/// Half the width of the line around it.
const EDGE: f32 = 1.1;
const FILL: f32 = 254.0;
const LINE: [f32; 3] = [16.0, 20.0, 42.0];
/// A pixel is looked at in so many places each way.
const SAMPLES: usize = 8;

/// Its pixels, row by row, as the guest lays them over the screen: the colour in the lower three bytes, and in the
/// highest one how much of what is below shows through, of 255.
pub(crate) fn pixels() -> Vec<u32> {
    (0..WIDTH * HEIGHT).map(|index| pixel(index % WIDTH, index / WIDTH)).collect()
}

fn pixel(x: usize, y: usize) -> u32 {
    let (mut fill, mut line) = (0.0, 0.0);
    for sample in 0..SAMPLES * SAMPLES {
        let place = |whole: usize, part: usize| whole as f32 + (part as f32 + 0.5) / SAMPLES as f32;
        let point = (place(x, sample % SAMPLES), place(y, sample / SAMPLES));
        if edge_distance(point) < EDGE {
            line += 1.0;
        } else if is_inside(point) {
            fill += 1.0;
        }
    }
    let all = (SAMPLES * SAMPLES) as f32;
    let through = 255.0 - 255.0 * (fill + line) / all;
    let channel = |line_colour: f32| ((FILL * fill + line_colour * line) / all).round() as u32;
    let [red, green, blue] = LINE.map(channel);
    (through.round() as u32) << 24 | red << 16 | green << 8 | blue
}

fn sides() -> impl Iterator<Item = (Point, Point)> {
    CORNERS.into_iter().zip(CORNERS.into_iter().cycle().skip(1))
}

fn edge_distance((x, y): Point) -> f32 {
    let distance = |((ax, ay), (bx, by)): (Point, Point)| {
        let (dx, dy) = (bx - ax, by - ay);
        let along = (((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy)).clamp(0.0, 1.0);
        (x - ax - along * dx).hypot(y - ay - along * dy)
    };
    sides().map(distance).fold(f32::MAX, f32::min)
}

fn is_inside((x, y): Point) -> bool {
    let crossed =
        |((ax, ay), (bx, by)): &(Point, Point)| (*ay > y) != (*by > y) && x < (bx - ax) * (y - ay) / (by - ay) + ax;
    sides().filter(crossed).count() % 2 == 1
}
