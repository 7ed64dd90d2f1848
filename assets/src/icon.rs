//! The program's icon: two machines, one before the other, and a mark that says "run" where they are one. The drawing is
//! kept as shapes, from which come pixels of any size, for windows and for desktops that want bitmaps, and a vector image.

use std::fmt::Write as _;

/// The drawing's own size: it is a square.
const SIDE: f32 = 128.0;

type Point = (f32, f32);
type Colour = [u8; 3];

/// A square with round corners.
#[derive(Debug, Clone, Copy)]
struct Square {
    left: f32,
    top: f32,
    side: f32,
    radius: f32,
}

/// From one colour to another, along a line between two points.
#[derive(Debug, Clone, Copy)]
struct Gradient {
    from: (Point, Colour),
    to: (Point, Colour),
}

const BACK: Square = Square { left: 8.0, top: 8.0, side: 78.0, radius: 20.0 };
const FRONT: Square = Square { left: 42.0, top: 42.0, side: 78.0, radius: 20.0 };
/// Dawn, as behind the guest *Welcome*, and the night that it follows.
const BACK_COLOURS: Gradient = Gradient { from: ((14.0, 8.0), [255, 205, 120]), to: ((80.0, 86.0), [238, 96, 92]) };
const FRONT_COLOURS: Gradient = Gradient { from: ((48.0, 42.0), [118, 128, 246]), to: ((114.0, 120.0), [56, 58, 168]) };
const BOTH_COLOURS: Gradient = Gradient { from: ((44.0, 42.0), [206, 72, 118]), to: ((84.0, 86.0), [104, 46, 140]) };
/// The mark's corners, and the radius that makes them round.
const MARK: [Point; 3] = [(57.5, 54.0), (57.5, 74.0), (74.5, 64.0)];
const MARK_RADIUS: f32 = 3.5;
const MARK_COLOUR: Colour = [255, 255, 255];

impl Square {
    /// How far a point is outside; negative inside.
    fn distance(self, (x, y): Point) -> f32 {
        let half = self.side / 2.0;
        let (dx, dy) =
            ((x - self.left - half).abs() - half + self.radius, (y - self.top - half).abs() - half + self.radius);
        dx.max(0.0).hypot(dy.max(0.0)) + dx.max(dy).min(0.0) - self.radius
    }

    fn to_svg(self, more: &str) -> String {
        let Square { left, top, side, radius } = self;
        format!("<rect x=\"{left}\" y=\"{top}\" width=\"{side}\" height=\"{side}\" rx=\"{radius}\"{more}/>")
    }
}

impl Gradient {
    fn at(&self, (x, y): Point) -> Colour {
        let ((from_x, from_y), (to_x, to_y)) = (self.from.0, self.to.0);
        let (dx, dy) = (to_x - from_x, to_y - from_y);
        let share = (((x - from_x) * dx + (y - from_y) * dy) / (dx * dx + dy * dy)).clamp(0.0, 1.0);
        std::array::from_fn(|channel| {
            let (from, to) = (f32::from(self.from.1[channel]), f32::from(self.to.1[channel]));
            (from + (to - from) * share).round() as u8
        })
    }

    fn to_svg(self, id: &str) -> String {
        let ((x1, y1), (x2, y2)) = (self.from.0, self.to.0);
        let stops = [(0, self.from.1), (1, self.to.1)]
            .map(|(offset, colour)| format!("<stop offset=\"{offset}\" stop-color=\"{}\"/>", hexadecimal(colour)));
        format!(
            "<linearGradient id=\"{id}\" gradientUnits=\"userSpaceOnUse\" \
             x1=\"{x1}\" y1=\"{y1}\" x2=\"{x2}\" y2=\"{y2}\">{}</linearGradient>",
            stops.concat()
        )
    }
}

/// How far a point is outside of the mark; negative inside.
fn mark_distance(point: Point) -> f32 {
    let (mut nearest, mut inside) = (f32::MAX, true);
    for (index, from) in MARK.into_iter().enumerate() {
        let to = MARK[(index + 1) % MARK.len()];
        let (edge_x, edge_y) = (to.0 - from.0, to.1 - from.1);
        let (x, y) = (point.0 - from.0, point.1 - from.1);
        let along = ((x * edge_x + y * edge_y) / (edge_x * edge_x + edge_y * edge_y)).clamp(0.0, 1.0);
        nearest = nearest.min((x - edge_x * along).hypot(y - edge_y * along));
        inside &= edge_x * y - edge_y * x <= 0.0;
    }
    if inside { -nearest - MARK_RADIUS } else { nearest - MARK_RADIUS }
}

fn hexadecimal([red, green, blue]: Colour) -> String {
    format!("#{red:02x}{green:02x}{blue:02x}")
}

/// The icon as pixels: `side` rows of `side` pixels, each red, green, blue and opacity, which the colours are not
/// multiplied with.
#[must_use]
pub fn pixels(side: u32) -> Vec<u8> {
    let unit = side as f32 / SIDE;
    let centre = |index: u32| (index as f32 + 0.5) / unit;
    // How much of a pixel is inside of a shape whose edge is so far away.
    let covered = |distance: f32| (0.5 - distance * unit).clamp(0.0, 1.0);
    let places = (0..side).flat_map(|y| (0..side).map(move |x| (centre(x), centre(y))));
    let painted = places.flat_map(|place| {
        let (back, front) = (BACK.distance(place), FRONT.distance(place));
        let layers = [
            (BACK_COLOURS.at(place), covered(back)),
            (FRONT_COLOURS.at(place), covered(front)),
            (BOTH_COLOURS.at(place), covered(front) * covered(back)),
            (MARK_COLOUR, covered(mark_distance(place))),
        ];
        let over = |(colour, opacity): ([f32; 3], f32), (above, share): (Colour, f32)| {
            let sum = share + opacity * (1.0 - share);
            let weight = if sum > 0.0 { share / sum } else { 0.0 };
            (
                std::array::from_fn(|channel| colour[channel] + (f32::from(above[channel]) - colour[channel]) * weight),
                sum,
            )
        };
        let (colour, opacity) = layers.into_iter().fold(([0.0_f32; 3], 0.0), over);
        [colour[0], colour[1], colour[2], opacity * 255.0].map(|value| value.round() as u8)
    });
    painted.collect()
}

/// The icon as a vector image (SVG 1.1).
#[must_use]
pub fn svg() -> String {
    let mut lines = vec![
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{SIDE}\" height=\"{SIDE}\" viewBox=\"0 0 {SIDE} {SIDE}\">"
        ),
        "<defs>".to_owned(),
        BACK_COLOURS.to_svg("back"),
        FRONT_COLOURS.to_svg("front"),
        BOTH_COLOURS.to_svg("both"),
        format!("<clipPath id=\"common\">{}</clipPath>", BACK.to_svg("")),
        "</defs>".to_owned(),
        BACK.to_svg(" fill=\"url(#back)\""),
        FRONT.to_svg(" fill=\"url(#front)\""),
        FRONT.to_svg(" fill=\"url(#both)\" clip-path=\"url(#common)\""),
    ];
    let corners = MARK.map(|(x, y)| format!("{x},{y}")).join(" ");
    let (colour, width) = (hexadecimal(MARK_COLOUR), MARK_RADIUS * 2.0);
    let mut mark = format!("<polygon points=\"{corners}\" fill=\"{colour}\" ");
    let _ = write!(mark, "stroke=\"{colour}\" stroke-width=\"{width}\" stroke-linejoin=\"round\"/>");
    lines.extend([mark, "</svg>".to_owned(), String::new()]);
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pixel(side: u32, x: u32, y: u32) -> [u8; 4] {
        let at = (y * side + x) as usize * 4;
        pixels(side)[at..at + 4].try_into().unwrap()
    }

    #[test]
    fn it_is_clear_outside_and_solid_inside_at_every_size() {
        for side in [16, 24, 32, 48, 64, 128, 256] {
            assert_eq!(pixels(side).len(), (side * side * 4) as usize);
            assert_eq!(pixel(side, 0, 0)[3], 0, "{side}: a corner");
            assert_eq!(pixel(side, side - 1, 0)[3], 0, "{side}: beside both");
            assert_eq!(pixel(side, side / 2, side / 4)[3], 255, "{side}: the one behind");
            assert_eq!(pixel(side, side / 2, side * 3 / 4)[3], 255, "{side}: the one in front");
        }
    }

    #[test]
    fn the_mark_is_in_the_middle_of_what_both_have() {
        assert_eq!(pixel(128, 64, 64), [255; 4]);
        let [red, green, blue, _] = pixel(128, 78, 50);
        assert!(
            red > green && blue > green && red < 220,
            "what both have has a colour of its own: {red} {green} {blue}"
        );
    }

    #[test]
    fn the_vector_image_names_all_that_it_uses() {
        let svg = svg();
        for (used, made) in [
            ("url(#back)", "id=\"back\""),
            ("url(#front)", "id=\"front\""),
            ("url(#both)", "id=\"both\""),
            ("url(#common)", "id=\"common\""),
        ] {
            assert!(svg.contains(used) && svg.contains(made), "{used}");
        }
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
    }
}
