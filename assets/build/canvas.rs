//! A picture in floating point, and the few shapes that everything is drawn with. Edges are smoothed by the distance of
//! a pixel's centre to the shape.

/// Red, green and blue, each from 0 to 255.
pub(crate) type Colour = [f32; 3];

/// A point or a vector: to the right, down.
pub(crate) type Point = (f32, f32);

/// A straight stroke with round ends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Segment(pub(crate) Point, pub(crate) Point);

impl Segment {
    fn distance(self, (x, y): Point) -> f32 {
        let Segment((ax, ay), (bx, by)) = self;
        let (dx, dy) = (bx - ax, by - ay);
        let length = dx * dx + dy * dy;
        let along = if length > 0.0 { (((x - ax) * dx + (y - ay) * dy) / length).clamp(0.0, 1.0) } else { 0.0 };
        let (px, py) = (x - ax - along * dx, y - ay - along * dy);
        (px * px + py * py).sqrt()
    }
}

/// A picture.
#[derive(Debug, Clone)]
pub(crate) struct Canvas {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) pixels: Vec<Colour>,
}

/// How much of a pixel lies inside a shape whose edge is `distance` away, negative inside. It has few values, so that
/// the colours along edges repeat.
pub(crate) fn coverage(distance: f32) -> f32 {
    const VALUES: f32 = 15.0;
    ((0.5 - distance).clamp(0.0, 1.0) * VALUES).round() / VALUES
}

/// A colour between two others.
pub(crate) fn mix(from: Colour, to: Colour, share: f32) -> Colour {
    let [red, green, blue] = from;
    [red + (to[0] - red) * share, green + (to[1] - green) * share, blue + (to[2] - blue) * share]
}

/// The slow step from 0 at `from` to 1 at `to`.
pub(crate) fn smooth_step(from: f32, to: f32, value: f32) -> f32 {
    let share = ((value - from) / (to - from)).clamp(0.0, 1.0);
    share * share * (3.0 - 2.0 * share)
}

impl Canvas {
    /// A picture of one colour.
    pub(crate) fn new(width: usize, height: usize, colour: Colour) -> Self {
        Self { width, height, pixels: vec![colour; width * height] }
    }

    /// A part of the picture.
    pub(crate) fn cut(&self, left: usize, top: usize, width: usize, height: usize) -> Self {
        let rows = (top..top + height).map(|row| &self.pixels[row * self.width + left..][..width]);
        Self { width, height, pixels: rows.flatten().copied().collect() }
    }

    /// Lays a colour over a pixel, which may lie outside.
    pub(crate) fn blend(&mut self, x: usize, y: usize, colour: Colour, share: f32) {
        if share > 0.0 && x < self.width && y < self.height {
            let pixel = &mut self.pixels[y * self.width + x];
            *pixel = mix(*pixel, colour, share);
        }
    }

    /// Lays a colour over every pixel whose centre `share` gives something for, within a rectangle of two corners.
    fn shade(&mut self, from: Point, to: Point, colour: Colour, share: impl Fn(Point) -> f32) {
        let range = |low: f32, high: f32, end: usize| (low.max(0.0) as usize)..(high.ceil().max(0.0) as usize).min(end);
        for y in range(from.1, to.1, self.height) {
            for x in range(from.0, to.0, self.width) {
                let part = share((x as f32 + 0.5, y as f32 + 0.5));
                self.blend(x, y, colour, part);
            }
        }
    }

    /// Strokes that are one shape: where they meet, nothing is laid over twice.
    pub(crate) fn strokes(&mut self, strokes: &[Segment], half_width: f32, colour: Colour, share: f32) {
        let ends = || strokes.iter().flat_map(|stroke| [stroke.0, stroke.1]);
        let margin = half_width + 1.0;
        let (mut from, mut to) = ((f32::MAX, f32::MAX), (f32::MIN, f32::MIN));
        for (x, y) in ends() {
            from = (from.0.min(x - margin), from.1.min(y - margin));
            to = (to.0.max(x + margin), to.1.max(y + margin));
        }
        self.shade(from, to, colour, |point| {
            let nearest = strokes.iter().map(|stroke| stroke.distance(point)).fold(f32::MAX, f32::min);
            coverage(nearest - half_width) * share
        });
    }

    /// A line through some points.
    pub(crate) fn line(&mut self, points: &[Point], half_width: f32, colour: Colour) {
        let strokes: Vec<Segment> = points.windows(2).map(|ends| Segment(ends[0], ends[1])).collect();
        self.strokes(&strokes, half_width, colour, 1.0);
    }

    /// A filled circle.
    pub(crate) fn disc(&mut self, centre: Point, radius: f32, colour: Colour) {
        self.strokes(&[Segment(centre, centre)], radius, colour, 1.0);
    }

    /// A circle's line.
    pub(crate) fn ring(&mut self, (cx, cy): Point, radius: f32, half_width: f32, colour: Colour) {
        let reach = radius + half_width + 1.0;
        self.shade((cx - reach, cy - reach), (cx + reach, cy + reach), colour, |(x, y)| {
            let distance = ((x - cx).powi(2) + (y - cy).powi(2)).sqrt();
            coverage((distance - radius).abs() - half_width)
        });
    }

    /// A filled rectangle with round corners.
    pub(crate) fn rounded(
        &mut self,
        (left, top): Point,
        (width, height): Point,
        radius: f32,
        colour: Colour,
        share: f32,
    ) {
        let (cx, cy) = (left + width / 2.0, top + height / 2.0);
        let (inner_x, inner_y) = (width / 2.0 - radius, height / 2.0 - radius);
        self.shade((left - 1.0, top - 1.0), (left + width + 1.0, top + height + 1.0), colour, |(x, y)| {
            let (dx, dy) = ((x - cx).abs() - inner_x, (y - cy).abs() - inner_y);
            let outside = (dx.max(0.0).powi(2) + dy.max(0.0).powi(2)).sqrt() + dx.max(dy).min(0.0);
            coverage(outside - radius) * share
        });
    }
}
