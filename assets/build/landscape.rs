//! A calm dawn: the sky with the rising sun, streaks of cloud, and layers of hills behind each other, paler the farther
//! they are.

use crate::canvas::{Canvas, Colour, coverage, mix, smooth_step};
use crate::cyclists::Cyclists;

/// The sky from top to bottom.
const SKY: [Colour; 7] = [
    [26.0, 32.0, 72.0],
    [50.0, 54.0, 108.0],
    [92.0, 80.0, 134.0],
    [152.0, 108.0, 146.0],
    [212.0, 144.0, 144.0],
    [246.0, 188.0, 146.0],
    [254.0, 218.0, 164.0],
];
/// Where the last of these colours is reached.
const HORIZON: f32 = 500.0;

const SUN: (f32, f32) = (690.0, 396.0);
const SUN_RADIUS: f32 = 62.0;
const SUN_COLOUR: Colour = [254.0, 244.0, 214.0];
/// The light around the sun: colour, how strong, how wide.
const GLOW: [(Colour, f32, f32); 3] =
    [([254.0, 226.0, 168.0], 0.62, 95.0), ([254.0, 204.0, 146.0], 0.42, 210.0), ([250.0, 168.0, 132.0], 0.26, 420.0)];

/// Streaks of cloud: the middle, half the length, half the thickness, how strong.
const CLOUDS: [(f32, f32, f32, f32, f32); 7] = [
    (250.0, 300.0, 190.0, 7.0, 0.34),
    (420.0, 322.0, 150.0, 5.0, 0.30),
    (130.0, 348.0, 130.0, 5.0, 0.26),
    (880.0, 286.0, 150.0, 7.0, 0.36),
    (960.0, 316.0, 110.0, 5.0, 0.32),
    (590.0, 276.0, 110.0, 4.0, 0.22),
    (330.0, 252.0, 120.0, 4.0, 0.16),
];
const CLOUD_COLOUR: Colour = [254.0, 196.0, 172.0];

/// A layer of hills.
struct Layer {
    /// The colour along the ridge, and the mist below.
    ridge: Colour,
    mist: Colour,
    /// Where the mist begins, and where there is nothing else: it lies flat, whatever the ridge does.
    fade: (f32, f32),
    line: fn(f32) -> f32,
}

/// Waves added up: each has a height, a length in pixels and a place.
fn waves(x: f32, waves: &[(f32, f32, f32)]) -> f32 {
    waves.iter().map(|(height, length, place)| height * ((x - place) / length * std::f32::consts::TAU).sin()).sum()
}

/// A wide hump.
fn hump(x: f32, centre: f32, width: f32, height: f32) -> f32 {
    height * (-((x - centre) / width).powi(2)).exp()
}

fn mountains(x: f32) -> f32 {
    // Peaks are where the line of a wave is folded
    let fold = |length: f32, place: f32| ((x - place) / length * std::f32::consts::PI).sin().abs();
    let peaks = 34.0 * fold(212.0, 30.0) + 19.0 * fold(97.0, 71.0) + 8.0 * fold(41.0, 13.0) + 3.0 * fold(17.0, 5.0);
    404.0 + peaks + hump(x, 690.0, 170.0, 26.0) - hump(x, 190.0, 150.0, 26.0) - hump(x, 960.0, 120.0, 18.0)
}

fn far_hills(x: f32) -> f32 {
    458.0 + waves(x, &[(13.0, 430.0, 90.0), (7.0, 187.0, 20.0), (2.2, 71.0, 0.0), (0.8, 23.0, 0.0)])
}

fn middle_hills(x: f32) -> f32 {
    486.0 + waves(x, &[(15.0, 610.0, 330.0), (6.0, 240.0, 120.0), (1.6, 59.0, 10.0)])
}

fn near_hills(x: f32) -> f32 {
    516.0 + waves(x, &[(10.0, 480.0, 60.0), (6.0, 330.0, 210.0), (1.0, 47.0, 0.0)])
        - hump(x, 1010.0, 190.0, 22.0)
        - hump(x, 60.0, 200.0, 16.0)
}

/// The one that the riders are on.
fn foreground(x: f32) -> f32 {
    556.0 - hump(x, 640.0, 290.0, 58.0) + waves(x, &[(3.0, 350.0, 100.0), (0.7, 61.0, 0.0)])
}

const LAYERS: [Layer; 5] = [
    Layer { ridge: [176.0, 122.0, 150.0], mist: [240.0, 178.0, 150.0], fade: (400.0, 500.0), line: mountains },
    Layer { ridge: [136.0, 98.0, 142.0], mist: [214.0, 154.0, 150.0], fade: (452.0, 520.0), line: far_hills },
    Layer { ridge: [96.0, 78.0, 128.0], mist: [160.0, 118.0, 144.0], fade: (476.0, 550.0), line: middle_hills },
    Layer { ridge: [56.0, 56.0, 102.0], mist: [92.0, 82.0, 124.0], fade: (500.0, 580.0), line: near_hills },
    Layer { ridge: [22.0, 26.0, 56.0], mist: [10.0, 14.0, 30.0], fade: (510.0, 720.0), line: foreground },
];
/// Which of them has a wood.
const WOODED: usize = 3;

/// Paints it all.
pub(crate) fn paint(canvas: &mut Canvas) {
    sky(canvas);
    birds(canvas);
    for (index, layer) in LAYERS.iter().enumerate() {
        if index == WOODED {
            wood(canvas, layer);
        }
        hills(canvas, layer);
    }
    let place = (SUN.0 - 22.0, foreground(SUN.0 - 22.0) + 1.0);
    let slope = (foreground(place.0 - 60.0) - foreground(place.0 + 60.0)) / 120.0;
    let colour = LAYERS[4].ridge;
    Cyclists { place, slope, scale: 0.92, colour, scarf: [236.0, 104.0, 74.0] }.draw(canvas);
}

/// Catmull and Rom's curve through the sky's colours: a bend in a straight ramp would be seen as a line.
fn sky_colour(y: f32) -> Colour {
    let last = SKY.len() - 1;
    let position = (y / HORIZON).clamp(0.0, 1.0) * last as f32;
    let index = (position as usize).min(last - 1);
    let t = position - index as f32;
    let colour = |offset: isize| SKY[index.saturating_add_signed(offset).min(last)];
    let (before, from, to, after) = (colour(-1), colour(0), colour(1), colour(2));
    std::array::from_fn(|channel| {
        let (a, b, c, d) = (before[channel], from[channel], to[channel], after[channel]);
        let bend = (2.0 * a - 5.0 * b + 4.0 * c - d) * t * t + (3.0 * b - a - 3.0 * c + d) * t * t * t;
        (b + 0.5 * ((c - a) * t + bend)).clamp(0.0, 254.0)
    })
}

fn sky(canvas: &mut Canvas) {
    let width = canvas.width;
    for (y, row) in canvas.pixels.chunks_exact_mut(width).enumerate() {
        let y = y as f32 + 0.5;
        let base = sky_colour(y);
        for (x, pixel) in row.iter_mut().enumerate() {
            let x = x as f32 + 0.5;
            let mut colour = base;
            let distance = (x - SUN.0).hypot(y - SUN.1);
            for (glow, strength, width) in GLOW.iter().rev() {
                let beyond = (distance - SUN_RADIUS).max(0.0) / width;
                // Wider than it is high, as haze spreads it
                colour = mix(colour, *glow, strength * (-1.6 * beyond.powf(1.15)).exp());
            }
            let light = CLOUDS.iter().map(|(cx, cy, long, thick, strength)| {
                let (dx, dy) = ((x - cx) / long, (y - cy) / thick);
                // Flat below, soft above
                let dy = if dy > 0.0 { dy * 1.8 } else { dy * 0.8 };
                let far = dx * dx + dy * dy;
                if far < 8.0 { strength * (-far).exp() } else { 0.0 }
            });
            colour = mix(colour, CLOUD_COLOUR, light.sum::<f32>().min(0.6));
            *pixel = mix(colour, SUN_COLOUR, smooth_step(SUN_RADIUS + 1.0, SUN_RADIUS - 1.0, distance));
        }
    }
}

fn birds(canvas: &mut Canvas) {
    for (x, y, size) in [(548.0, 318.0, 1.0), (574.0, 304.0, 0.8), (528.0, 299.0, 0.7), (600.0, 322.0, 0.6)] {
        let wing = |side: f32| {
            [
                (x, y),
                (x + side * 3.5 * size, y - 3.6 * size),
                (x + side * 8.0 * size, y - 3.2 * size),
                (x + side * 11.5 * size, y - 0.5 * size),
            ]
        };
        canvas.line(&wing(-1.0), 0.9 * size, [92.0, 66.0, 104.0]);
        canvas.line(&wing(1.0), 0.9 * size, [92.0, 66.0, 104.0]);
    }
}

fn hills(canvas: &mut Canvas, layer: &Layer) {
    for x in 0..canvas.width {
        let ridge = (layer.line)(x as f32 + 0.5);
        let steep = ((layer.line)(x as f32 + 1.5) - (layer.line)(x as f32 - 0.5)) / 2.0;
        let soft = (1.0 + steep * steep).sqrt();
        for y in ridge.max(0.0) as usize - 1..canvas.height {
            let below = y as f32 + 0.5 - ridge;
            let colour = mix(layer.ridge, layer.mist, smooth_step(layer.fade.0, layer.fade.1, y as f32 + 0.5));
            canvas.blend(x, y, colour, coverage(-below / soft));
        }
    }
}

/// Firs along a ridge, in groups.
fn wood(canvas: &mut Canvas, layer: &Layer) {
    let mut random = 20_u32;
    let mut next = || {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (random >> 16) as f32 / 65536.0
    };
    let mut x = 4.0;
    while x < canvas.width as f32 {
        let thick = hump(x, 40.0, 150.0, 1.0) + hump(x, 330.0, 90.0, 0.75) + hump(x, 990.0, 130.0, 1.0);
        if next() < thick {
            fir(canvas, (x, (layer.line)(x) + 4.0), 15.0 + 26.0 * next() * thick.min(1.0), layer.ridge);
        }
        x += 4.0 + 7.0 * next();
    }
}

fn fir(canvas: &mut Canvas, (x, base): (f32, f32), height: f32, colour: Colour) {
    let top = base - height;
    for y in top as usize..base as usize {
        let down = (y as f32 + 0.5 - top) / height;
        // Four tiers of branches, each wider than the one above
        let tier = (down * 4.0).fract();
        let half = height * (0.03 + 0.17 * down + 0.07 * tier) * (down * 9.0).min(1.0);
        for column in (x - half - 1.0) as usize..=(x + half + 1.0) as usize {
            let share = coverage((column as f32 + 0.5 - x).abs() - half);
            canvas.blend(column, y, colour, share);
        }
    }
}
