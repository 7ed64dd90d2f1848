//! Two riders on a tandem, as a silhouette: what the program is called after.

use crate::canvas::{Canvas, Colour, Point};

const WHEEL: f32 = 25.0;
const WHEELS: [Point; 2] = [(-62.0, -WHEEL), (62.0, -WHEEL)];
const CRANKS: [Point; 2] = [(-25.0, -23.0), (25.0, -23.0)];
/// Each rider: hip, knees, feet, shoulder, elbow, hand, head. To the right and up from between the wheels' ground.
const RIDERS: [[Point; 9]; 2] = [
    [
        (-37.0, -67.0),
        (-13.0, -56.0),
        (-16.0, -47.0),
        (-23.0, -34.0),
        (-27.0, -11.0),
        (-19.0, -99.0),
        (-4.0, -84.0),
        (8.0, -73.0),
        (-10.0, -114.0),
    ],
    [
        (13.0, -67.0),
        (37.0, -56.0),
        (34.0, -47.0),
        (27.0, -34.0),
        (23.0, -11.0),
        (33.0, -98.0),
        (46.0, -83.0),
        (57.0, -71.0),
        (43.0, -112.0),
    ],
];

/// Draws them, with a scarf in another colour.
pub(crate) struct Cyclists {
    /// Between the wheels, on the ground.
    pub(crate) place: Point,
    /// How the ground rises to the right.
    pub(crate) slope: f32,
    pub(crate) scale: f32,
    pub(crate) colour: Colour,
    pub(crate) scarf: Colour,
}

impl Cyclists {
    fn at(&self, (x, y): Point) -> Point {
        let (x, y) = (x * self.scale, y * self.scale);
        let length = (1.0 + self.slope * self.slope).sqrt();
        let (cos, sin) = (1.0 / length, -self.slope / length);
        (self.place.0 + x * cos - y * sin, self.place.1 + x * sin + y * cos)
    }

    fn line(&self, canvas: &mut Canvas, points: &[Point], half_width: f32) {
        let points: Vec<Point> = points.iter().map(|point| self.at(*point)).collect();
        canvas.line(&points, half_width * self.scale, self.colour);
    }

    pub(crate) fn draw(&self, canvas: &mut Canvas) {
        self.bicycle(canvas);
        for rider in RIDERS {
            self.rider(canvas, rider);
        }
        let scarf = |from: f32, to: f32| -> Vec<Point> {
            let piece = |step: u8| {
                let back = from + (to - from) * f32::from(step) / 12.0;
                self.at((38.0 - back, -101.5 - back * 0.06 + 2.0 * (back / 5.0).sin() * (back / 16.0).min(1.0)))
            };
            (0..=12).map(piece).collect()
        };
        canvas.line(&scarf(0.0, 20.0), 2.6 * self.scale, self.scarf);
        canvas.line(&scarf(20.0, 36.0), 1.8 * self.scale, self.scarf);
    }

    fn bicycle(&self, canvas: &mut Canvas) {
        let [rear, front] = WHEELS;
        let [rear_crank, front_crank] = CRANKS;
        for hub in WHEELS {
            canvas.ring(self.at(hub), (WHEEL - 1.5) * self.scale, 1.5 * self.scale, self.colour);
            for spoke in 0..6 {
                let angle = 0.26 + spoke as f32 * std::f32::consts::FRAC_PI_6;
                let (x, y) = (angle.cos() * (WHEEL - 2.0), angle.sin() * (WHEEL - 2.0));
                self.line(canvas, &[(hub.0 - x, hub.1 - y), (hub.0 + x, hub.1 + y)], 0.35);
            }
            self.line(canvas, &[hub, hub], 2.6);
        }
        let (rear_seat, front_seat, head) = ((-37.0, -62.0), (13.0, -62.0), (51.0, -57.0));
        // Seat tubes and saddles, the long tubes, the stays, the fork
        for (crank, seat) in [(rear_crank, rear_seat), (front_crank, front_seat)] {
            self.line(canvas, &[crank, seat], 1.5);
            self.line(canvas, &[(seat.0 - 7.0, seat.1), (seat.0 + 5.0, seat.1 + 0.5)], 1.9);
            self.line(canvas, &[crank, crank], 4.0);
            self.line(canvas, &[(crank.0 + 2.0, crank.1 - 11.0), (crank.0 - 2.0, crank.1 + 11.0)], 1.1);
        }
        self.line(canvas, &[(-34.5, -53.0), (15.5, -54.0), head], 1.5);
        self.line(canvas, &[rear, rear_crank, front_crank, (53.0, -50.0)], 1.6);
        self.line(canvas, &[(-34.5, -53.0), front_crank], 1.2);
        self.line(canvas, &[rear, (-34.5, -53.0)], 1.3);
        self.line(canvas, &[front, head, (49.5, -66.0), (57.0, -70.0)], 1.5);
        // The second rider's handlebar stands on the first one's saddle
        self.line(canvas, &[front_seat, (11.0, -69.0), (4.0, -73.0), (9.0, -74.0)], 1.3);
    }

    fn rider(&self, canvas: &mut Canvas, rider: [Point; 9]) {
        let [hip, knee, other_knee, foot, other_foot, shoulder, elbow, hand, head] = rider;
        self.line(canvas, &[hip, knee], 4.6);
        self.line(canvas, &[knee, foot], 3.1);
        self.line(canvas, &[hip, other_knee], 4.6);
        self.line(canvas, &[other_knee, other_foot], 3.1);
        for (x, y) in [foot, other_foot] {
            self.line(canvas, &[(x - 1.0, y + 1.0), (x + 6.0, y + 2.0)], 2.0);
        }
        let waist = ((hip.0 + shoulder.0) / 2.0, (hip.1 + shoulder.1) / 2.0);
        self.line(canvas, &[hip, waist, shoulder], 6.0);
        self.line(canvas, &[waist, shoulder], 6.8);
        self.line(canvas, &[shoulder, elbow, hand], 2.5);
        self.line(canvas, &[shoulder, head], 2.8);
        let (x, y) = self.at(head);
        canvas.disc((x, y), 7.2 * self.scale, self.colour);
        // A helmet's edge
        self.line(canvas, &[(head.0 - 7.0, head.1 - 3.0), (head.0 + 8.5, head.1 - 3.5)], 1.6);
    }
}
