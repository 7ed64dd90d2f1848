//! The shaders, run by Mesa's software Vulkan (lavapipe), against what each filter is said to do, reckoned here from its
//! definition, and against pictures that were looked at (`tests/references`).
//!
//! The reckoning is slow and plain on purpose: areas by intersection, and light by adding up small steps instead of the integrals
//! that the shaders use.

#![allow(clippy::unwrap_used, reason = "everything here is a test, its helpers too")]

use std::{f64::consts::PI, path::PathBuf};

use display::{
    renderer::{Filter, RenderError, Renderer, gpu, offscreen::Offscreen},
    scale::{Placement, Scaling},
};
use machine::console::{Frame, Rect};

/// By so much a colour may differ: the graphics processor reckons with half the digits.
const TOLERANCE: i32 = 2;
/// Steps in which light is added up along a side of a pixel.
const STEPS: u32 = 64;

fn software_gpu() -> gpu::Gpu {
    gpu::find(true).unwrap_or_else(|error| {
        panic!(
            "the shaders can't be tried: {error}. Debian's mesa-vulkan-drivers and libvulkan1 bring a software Vulkan"
        )
    })
}

/// Lines of one pixel, colours, a ramp of grey, and noise.
fn test_picture(width: u32, height: u32) -> Frame {
    let mut frame = Frame::new(width, height);
    let mut noise = 0x2545_f491_u32;
    for y in 0..height {
        for (x, pixel) in (0..width).zip(frame.row_mut(y)) {
            noise ^= noise << 13;
            noise ^= noise >> 17;
            noise ^= noise << 5;
            let grey = (x * 255 / width) * 0x01_0101;
            *pixel = match (y * 5 / height, x * 4 / width) {
                (0, _) => grey,
                (1, 0) => 0xff_ffff * (x % 2),
                (1, 1) => 0xff_ffff * (y % 2),
                (1, 2) => 0xff_ffff * ((x + y) % 2),
                (1, _) => 0xff_ffff,
                (2, 0) => 0xff_0000,
                (2, 1) => 0x00_ff00,
                (2, 2) => 0x00_00ff,
                (2, _) => 0x80_4020,
                (3, _) => noise & 0xff_ffff,
                _ if x == 0 || x == width - 1 || y == height - 1 => 0xff_ffff,
                _ => 0x10_1018,
            };
        }
    }
    frame
}

fn light(level: u8) -> f64 {
    let level = f64::from(level) / 255.0;
    if level <= 0.04045 { level / 12.92 } else { ((level + 0.055) / 1.055).powf(2.4) }
}

fn level(light: f64) -> u8 {
    let level = if light <= 0.003_130_8 { light * 12.92 } else { 1.055 * light.powf(1.0 / 2.4) - 0.055 };
    (level.clamp(0.0, 1.0) * 255.0).round() as u8
}

fn channels(pixel: u32) -> [u8; 3] {
    let [_, red, green, blue] = pixel.to_be_bytes();
    [red, green, blue]
}

/// What a filter is said to draw.
struct Definition<'a> {
    frame: &'a Frame,
    filter: Filter,
    placement: Placement,
}

impl Definition<'_> {
    /// The colour of a pixel of the screen.
    fn colour(&self, x: u32, y: u32) -> [u8; 3] {
        let inside = |at: u32, start: i32, length: u32| {
            let at = i64::from(at) - i64::from(start);
            u32::try_from(at).ok().filter(|&at| at < length)
        };
        let placed = &self.placement;
        let (Some(column), Some(row)) = (inside(x, placed.x, placed.width), inside(y, placed.y, placed.height)) else {
            return [0; 3];
        };
        let light = match self.filter {
            Filter::Crt => self.tube(x, column, row),
            Filter::Integer | Filter::SharpBilinear => self.mean(column, row),
        };
        light.map(level)
    }

    fn pixel_light(&self, column: usize, row: usize) -> [f64; 3] {
        channels(self.frame.pixels()[row * self.frame.width() as usize + column]).map(light)
    }

    /// Where a pixel of the picture on the screen begins and ends, in pixels of the guest.
    fn span(at: u32, length: u32, pixels: u32) -> (f64, f64) {
        let edge = |at: u32| f64::from(at) * f64::from(pixels) / f64::from(length);
        (edge(at), edge(at + 1))
    }

    fn mean(&self, column: u32, row: u32) -> [f64; 3] {
        let across = Self::span(column, self.placement.width, self.frame.width());
        let down = Self::span(row, self.placement.height, self.frame.height());
        let shares = |(start, end): (f64, f64), pixels: u32| {
            let (first, last) = (start as usize, (end.ceil() as usize).min(pixels as usize));
            (first..last).map(move |at| {
                let share = (end.min(at as f64 + 1.0) - start.max(at as f64)).max(0.0);
                (at, share / (end - start))
            })
        };
        let mut sum = [0.0; 3];
        for (y, height) in shares(down, self.frame.height()) {
            for (x, width) in shares(across, self.frame.width()) {
                let light = self.pixel_light(x, y);
                (0..3).for_each(|channel| sum[channel] += light[channel] * width * height);
            }
        }
        sum
    }

    fn tube(&self, screen_x: u32, column: u32, row: u32) -> [f64; 3] {
        let across = Self::span(column, self.placement.width, self.frame.width());
        let down = Self::span(row, self.placement.height, self.frame.height());
        let (width, height) = (i64::from(self.frame.width()), i64::from(self.frame.height()));
        let mut sum = [0.0; 3];
        for y in (down.0.floor() as i64 - 2).max(0)..(down.1.ceil() as i64 + 2).min(height) {
            let mut row_light = [0.0; 3];
            for x in across.0.floor() as i64 - 2..across.1.ceil() as i64 + 2 {
                let share = mean_of_beam(across, x as f64 + 0.5, 1.0);
                let light = self.pixel_light(x.clamp(0, width - 1) as usize, y as usize);
                (0..3).for_each(|channel| row_light[channel] += light[channel] * share);
            }
            for channel in 0..3 {
                let reach = 0.55 + (0.85 - 0.55) * row_light[channel].sqrt();
                sum[channel] += row_light[channel] * mean_of_beam(down, y as f64 + 0.5, reach);
            }
        }
        let stripe = (screen_x % 3) as usize;
        (0..3).for_each(|channel| sum[channel] = (sum[channel] * if channel == stripe { 1.0 } else { 0.75 }).min(1.0));
        sum
    }
}

/// The light between `start` and `end` of a beam around `middle`, on the mean.
fn mean_of_beam((start, end): (f64, f64), middle: f64, reach: f64) -> f64 {
    let at = |step: u32| start + (end - start) * (f64::from(step) + 0.5) / f64::from(STEPS);
    let beam = |distance: f64| {
        if distance.abs() < reach { (1.0 + (PI * distance / reach).cos()) / (2.0 * reach) } else { 0.0 }
    };
    (0..STEPS).map(|step| beam(at(step) - middle)).sum::<f64>() / f64::from(STEPS)
}

fn draw(filter: Filter, frame: &Frame, screen: (u32, u32), placement: Placement) -> Frame {
    let mut renderer = Offscreen::new(&software_gpu(), filter).unwrap();
    let mut drawn = Frame::new(screen.0, screen.1);
    drawn.pixels_mut().fill(0x12_3456);
    renderer.update(frame, &[], Some(placement));
    renderer.draw(&mut drawn).unwrap();
    drawn
}

fn furthest(left: [u8; 3], right: [u8; 3]) -> i32 {
    (0..3).map(|channel| (i32::from(left[channel]) - i32::from(right[channel])).abs()).max().unwrap()
}

/// Compares one pixel in `stride` with the definition.
fn assert_defined(filter: Filter, picture: (u32, u32), screen: (u32, u32), scaling: Scaling, stride: usize) {
    let frame = test_picture(picture.0, picture.1);
    let placement = scaling.place(picture, screen).unwrap();
    let drawn = draw(filter, &frame, screen, placement);
    let definition = Definition { frame: &frame, filter, placement };
    for at in (0..drawn.pixels().len()).step_by(stride) {
        let (x, y) = (at as u32 % screen.0, at as u32 / screen.0);
        let (shown, expected) = (channels(drawn.pixels()[at]), definition.colour(x, y));
        let difference = furthest(shown, expected);
        assert!(
            difference <= TOLERANCE,
            "{filter:?}, {picture:?} on {screen:?}, {scaling:?}: at {x}, {y} {shown:?} instead of {expected:?}"
        );
    }
}

/// Sizes of pictures and screens: as large; twice; two and a half times; other proportions on two sides; smaller.
const SIZES: [((u32, u32), (u32, u32)); 7] = [
    ((64, 40), (64, 40)),
    ((64, 40), (128, 80)),
    ((64, 40), (160, 100)),
    ((64, 40), (201, 90)),
    ((40, 64), (201, 203)),
    ((96, 60), (70, 70)),
    ((97, 61), (30, 40)),
];

#[test]
fn whole_pixels_are_drawn_as_defined() {
    SIZES.iter().for_each(|&(picture, screen)| {
        assert_defined(Filter::Integer, picture, screen, Filter::Integer.scaling(), 1);
    });
}

#[test]
fn sharp_pictures_are_drawn_as_defined() {
    SIZES.iter().for_each(|&(picture, screen)| {
        assert_defined(Filter::SharpBilinear, picture, screen, Filter::SharpBilinear.scaling(), 1);
    });
}

#[test]
fn a_picture_tube_is_drawn_as_defined() {
    SIZES.iter().for_each(|&(picture, screen)| {
        assert_defined(Filter::Crt, picture, screen, Filter::Crt.scaling(), 1);
    });
}

#[test]
fn a_text_screen_fills_a_large_one_as_defined() {
    for &filter in Filter::ALL {
        assert_defined(filter, (640, 400), (1920, 1080), filter.scaling(), 1009);
    }
}

#[test]
fn what_finds_no_room_is_cut_off() {
    for &filter in Filter::ALL {
        assert_defined(filter, (64, 40), (41, 33), Scaling::Original, 1);
    }
}

#[test]
fn whole_pixels_are_the_guests_own() {
    let frame = test_picture(64, 40);
    let placement = Filter::Integer.place((64, 40), (200, 130)).unwrap();
    let drawn = draw(Filter::Integer, &frame, (200, 130), placement);
    for (at, pixel) in drawn.pixels().iter().enumerate() {
        let (x, y) = ((at % 200) as f32 + 0.5, (at / 200) as f32 + 0.5);
        let expected = placement.pixel_at(x, y).map_or(0, |(x, y)| frame.pixels()[(y * 64 + x) as usize]);
        assert_eq!(*pixel, expected, "at {x}, {y}");
    }
}

#[test]
fn a_mixture_is_as_bright_as_its_parts() {
    let mut frame = Frame::new(64, 64);
    (0..64).for_each(|y| {
        frame.row_mut(y).iter_mut().enumerate().for_each(|(x, pixel)| {
            *pixel = 0xff_ffff * ((x as u32 + y) % 2);
        });
    });
    let placement = Filter::SharpBilinear.place((64, 64), (32, 32)).unwrap();
    let drawn = draw(Filter::SharpBilinear, &frame, (32, 32), placement);
    // Half of the light, which is far more than half of the level.
    assert!(drawn.pixels().iter().all(|&pixel| furthest(channels(pixel), [188; 3]) <= 1));
}

#[test]
fn only_the_damage_is_brought() {
    let mut renderer = Offscreen::new(&software_gpu(), Filter::Integer).unwrap();
    let placement = Scaling::Original.place((16, 12), (16, 12));
    let mut drawn = Frame::new(16, 12);
    let mut frame = test_picture(16, 12);
    renderer.update(&frame, &[], placement);
    renderer.draw(&mut drawn).unwrap();
    assert_eq!(drawn, frame);

    let mut expected = frame.clone();
    frame.pixels_mut().fill(0xab_cdef);
    let rects = [Rect { x: 3, y: 2, width: 5, height: 4 }, Rect { x: 15, y: 11, width: 1, height: 1 }];
    for rect in rects {
        for y in rect.y..rect.y + rect.height {
            expected.row_mut(y)[rect.x as usize..][..rect.width as usize].fill(0xab_cdef);
        }
    }
    renderer.update(&frame, &rects, placement);
    renderer.draw(&mut drawn).unwrap();
    assert_eq!(drawn, expected);

    // Many parts come as the one around them.
    let many: Vec<Rect> = (0..12).map(|at| Rect { x: at, y: at, width: 1, height: 1 }).collect();
    (0..12).for_each(|y| expected.row_mut(y)[..12].fill(0xab_cdef));
    renderer.update(&frame, &many, placement);
    renderer.draw(&mut drawn).unwrap();
    assert_eq!(drawn, expected);
}

#[test]
fn a_renderer_follows_its_picture_screen_and_filter() {
    let mut renderer = Offscreen::new(&software_gpu(), Filter::Integer).unwrap();
    let mut show = |filter: Filter, picture: (u32, u32), screen: (u32, u32)| {
        let frame = test_picture(picture.0, picture.1);
        let placement = filter.place(picture, screen);
        let mut drawn = Frame::new(screen.0, screen.1);
        renderer.set_filter(filter);
        renderer.update(&frame, &[], placement);
        renderer.draw(&mut drawn).unwrap();
        let alone = placement
            .map_or_else(|| Frame::new(screen.0, screen.1), |placement| draw(filter, &frame, screen, placement));
        assert_eq!(drawn.pixels(), alone.pixels(), "{filter:?}, {picture:?} on {screen:?}");
    };
    show(Filter::Integer, (32, 20), (100, 80));
    show(Filter::Crt, (32, 20), (100, 80));
    show(Filter::Crt, (40, 20), (100, 80));
    show(Filter::Crt, (0, 0), (100, 80));
    show(Filter::SharpBilinear, (32, 20), (100, 80));
    show(Filter::SharpBilinear, (32, 20), (60, 70));
}

#[test]
fn a_note_stands_over_the_picture() {
    let mut renderer = Offscreen::new(&software_gpu(), Filter::Crt).unwrap();
    let frame = test_picture(64, 40);
    let placement = Filter::Crt.place((64, 40), (128, 80));
    let mut drawn = Frame::new(128, 80);
    renderer.update(&frame, &[], placement);
    renderer.draw(&mut drawn).unwrap();
    let without = drawn.clone();
    let mut note = Frame::new(20, 16);
    note.pixels_mut().iter_mut().zip(0x40_5060..).for_each(|(pixel, colour)| *pixel = colour);
    let mut expected = without.clone();
    for y in 0..16 {
        let row = &note.pixels()[y as usize * 20..][..20];
        expected.row_mut(60 + y)[54..74].copy_from_slice(row);
    }
    renderer.set_note(Some(&note));
    renderer.draw(&mut drawn).unwrap();
    assert_eq!(drawn.pixels(), expected.pixels());
    renderer.set_note(None);
    renderer.draw(&mut drawn).unwrap();
    assert_eq!(drawn.pixels(), without.pixels());
}

#[test]
fn a_picture_that_is_too_large_is_told() {
    let mut renderer = Offscreen::new(&software_gpu(), Filter::Integer).unwrap();
    let mut drawn = Frame::new(10, 10);
    let wide = (1 << 20, 1);
    renderer.update(&Frame::new(wide.0, wide.1), &[], Filter::Integer.place(wide, (10, 10)));
    let error = renderer.draw(&mut drawn).unwrap_err();
    assert!(matches!(error, RenderError::TooLarge { size, .. } if size == wide), "{error}");
    renderer.update(&test_picture(10, 10), &[], Filter::Integer.place((10, 10), (10, 10)));
    renderer.draw(&mut drawn).unwrap();
    assert_eq!(drawn, test_picture(10, 10));
}

/// Compares with a picture that a person has found good; writes it instead where `TANDEM_WRITE_REFERENCES` is set.
fn assert_like_reference(name: &str, filter: Filter, picture: (u32, u32), screen: (u32, u32)) {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/references").join(name);
    let placement = filter.place(picture, screen).unwrap();
    let drawn = draw(filter, &test_picture(picture.0, picture.1), screen, placement);
    if std::env::var_os("TANDEM_WRITE_REFERENCES").is_some() {
        std::fs::write(&file, display::picture::png(&drawn).unwrap()).unwrap();
    }
    let expected = display::picture::read_png(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!((expected.width(), expected.height()), screen);
    for (at, (&pixel, &expected)) in drawn.pixels().iter().zip(expected.pixels()).enumerate() {
        let difference = furthest(channels(pixel), channels(expected));
        assert!(difference <= TOLERANCE, "{name}: at {}, {}", at as u32 % screen.0, at as u32 / screen.0);
    }
}

#[test]
fn a_picture_tube_looks_as_it_did() {
    assert_like_reference("crt-two-and-a-half.png", Filter::Crt, (64, 40), (160, 100));
    assert_like_reference("crt-four.png", Filter::Crt, (64, 40), (270, 160));
}

#[test]
fn a_sharp_picture_looks_as_it_did() {
    assert_like_reference("sharp-two-and-a-half.png", Filter::SharpBilinear, (64, 40), (160, 100));
}
