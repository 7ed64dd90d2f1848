//! What can be said of the guest without running it, and the parts of the build that it relies on.

use crate::WELCOME;
use crate::canvas::{Canvas, coverage, smooth_step};
use crate::letters::{HALF_WIDTH, HEIGHT, Style, glyph};
use crate::pack::{Dictionary, Flat};

/// Of 16 heads and 63 sectors of 512 bytes.
const CYLINDER: usize = 16 * 63 * 512;
const PARTITION_TABLE: std::ops::Range<usize> = 446..510;

#[test]
fn firmware_takes_the_image_for_a_disk_to_boot_from() {
    assert_eq!(WELCOME[510..512], [0x55, 0xaa]);
    assert!(WELCOME[PARTITION_TABLE].iter().all(|byte| *byte == 0), "a partition table would be read from code");
}

#[test]
fn the_disk_has_one_cylinder_and_the_guest_is_small() {
    assert_eq!(WELCOME.len(), CYLINDER, "firmware boots from whole cylinders");
    let used = WELCOME.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    assert!(used <= 256 << 10, "{used} bytes");
}

#[test]
fn a_slow_change_of_colour_keeps_its_mean() {
    for value in [40.25_f32, 41.0, 100.5, 201.75] {
        let flat = Flat::of(&Canvas::new(4, 64, [value; 3]));
        let mean = flat.pixels.iter().map(|pixel| (pixel & 0xff) as f32).sum::<f32>() / flat.pixels.len() as f32;
        assert!((mean - value).abs() <= 0.25, "{value} has become {mean}");
    }
}

#[test]
fn an_even_colour_is_kept_exactly() {
    let colours: Vec<f32> = (0..128).map(|step| step as f32 * 2.0).collect();
    for value in colours {
        let flat = Flat::of(&Canvas::new(2, 16, [value; 3]));
        let expected = value as u32 * 0x01_01_01;
        assert!(flat.pixels.iter().all(|pixel| *pixel == expected), "{value}: {:x?}", flat.pixels);
    }
}

#[test]
fn a_packed_picture_unpacks_to_itself_whatever_is_in_it() {
    let mut random = 1_u32;
    let noise = (0..64 * 48).map(|_| {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        random >> 8
    });
    let noise = Flat { width: 64, pixels: noise.collect() };
    let still = Flat { width: 1024, pixels: vec![0xfe_fe_fe; 1024 * 3] };
    let dictionary = Dictionary::for_pictures(&[&still, &noise]);
    for picture in [noise, still] {
        assert_eq!(dictionary.unpack(&dictionary.pack(&picture)).as_ref(), Some(&picture));
    }
}

#[test]
fn a_cut_picture_is_seen() {
    let picture = Flat { width: 8, pixels: (0..64).collect() };
    let dictionary = Dictionary::for_pictures(&[&picture]);
    let packed = dictionary.pack(&picture);
    assert_eq!(dictionary.unpack(&packed[..packed.len() - 1]), None);
    assert_eq!(dictionary.unpack(&[&packed[..], &[0]].concat()), None);
}

#[test]
fn every_printable_character_has_a_shape_within_its_line() {
    for character in '!'..='~' {
        let outline = glyph(character);
        let points = outline.strokes.iter().flat_map(|stroke| [stroke.0, stroke.1]);
        let (left, right) = points.clone().fold((99.0_f32, 0.0_f32), |(l, r), (x, _)| (l.min(x), r.max(x)));
        let (top, bottom) = points.fold((99.0_f32, -99.0_f32), |(t, b), (_, y)| (t.min(y), b.max(y)));
        // The guest draws each from one unit below its line's top.
        assert!(top + 1.0 >= HALF_WIDTH - 0.5 && bottom + 1.0 + HALF_WIDTH <= HEIGHT as f32 + 0.25, "{character:?}");
        assert!(left >= 0.4 && right <= outline.advance - 0.4, "{character:?}: {left} to {right}");
    }
    assert!(glyph(' ').strokes.is_empty() && glyph(' ').advance > 0.0);
    assert!(glyph('ä').strokes.is_empty(), "what isn't ASCII has no shape");
}

#[test]
fn a_text_is_as_wide_as_its_letters() {
    let style = Style { scale: 2.0, half_width: HALF_WIDTH, tracking: 0.5, colour: [0.0; 3] };
    assert_eq!(style.width("il"), 2.0 * (glyph('i').advance + glyph('l').advance + 1.0));
}

#[test]
fn edges_are_half_covered_in_their_middle() {
    assert_eq!(coverage(-1.0), 1.0);
    assert_eq!(coverage(1.0), 0.0);
    assert!((coverage(0.0) - 0.5).abs() < 0.05);
    assert_eq!(smooth_step(10.0, 20.0, 15.0), 0.5);
}
