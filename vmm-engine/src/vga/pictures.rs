//! Tests: pictures that equal QEMU's, in all kinds of modes.

use machine::contract::Accesses;

use super::{
    against_qemu::{Adapter, Both, noise},
    programs::{self, Ports, Program, set, set_colours},
};

/// 256 colours of six bits.
fn some_colours() -> Vec<[u8; 3]> {
    noise(1, 768).chunks_exact(3).map(|rgb| [rgb[0] & 63, rgb[1] & 63, rgb[2] & 63]).collect()
}

/// Writes 8 KiB of font into plane 2, as a BIOS does, and goes back to text.
fn load_font(adapter: &mut impl Adapter, block: u32, font: &[u8]) {
    for (port, index, value) in [(0x3c4, 2, 4), (0x3c4, 4, 6), (0x3ce, 4, 2), (0x3ce, 5, 0), (0x3ce, 6, 4)] {
        set(adapter, port, index, value);
    }
    adapter.poke(0xa_0000 + block * 0x2000, font);
    for (port, index, value) in [(0x3c4, 2, 3), (0x3c4, 4, 2), (0x3ce, 4, 0), (0x3ce, 5, 0x10), (0x3ce, 6, 0x0e)] {
        set(adapter, port, index, value);
    }
}

/// A text mode with two fonts, all characters in all attributes, bit 7 as intensity, no cursor.
fn text(both: &mut Both, program: &Program, cells: usize) {
    program.run(both);
    set_colours(both, 0, &some_colours());
    load_font(both, 0, &noise(2, 0x2000));
    load_font(both, 5, &noise(3, 0x2000));
    set(both, 0x3c4, 3, 0x24);
    set(both, 0x3d4, 0x0a, 0x20);
    let mode = program.attribute[0x10] & !8;
    both.input(0x3da);
    for value in [0x10, mode, 0x20] {
        both.out(0x3c0, value);
    }
    let page: Vec<u8> = (0..cells).flat_map(|cell| [cell as u8, ((cell / 3) ^ (cell >> 8)) as u8]).collect();
    both.poke(0xb_8000, &page);
}

/// A graphics mode with colours.
fn graphics(both: &mut Both, program: &Program) {
    program.run(both);
    set_colours(both, 0, &some_colours());
}

fn dispi(both: &mut Both, index: u16, value: u16) {
    both.out16(0x1ce, index);
    both.out16(0x1cf, value);
}

fn vbe(both: &mut Both, width: u16, height: u16, bits: u16) {
    for (index, value) in [(4, 0), (1, width), (2, height), (3, bits), (4, 0x41)] {
        dispi(both, index, value);
    }
}

#[test]
fn text_modes_equal_qemus() {
    let Some(mut both) = Both::start() else { return };
    text(&mut both, &programs::TEXT_80, 2000);
    both.compare("80 by 25");
    both.poke(0xb_8000 + 160 * 7 + 20, b"H\x1fe\x2fl\x3fl\x4fo\x5f");
    both.compare("80 by 25, five cells written");
    load_font(&mut both, 0, &noise(4, 0x1000));
    both.compare("80 by 25, half a font written");
    set(&mut both, 0x3d4, 0x0d, 80);
    both.compare("80 by 25, start address");
    set(&mut both, 0x3d4, 0x13, 0x2a);
    both.compare("80 by 25, offset");
    text(&mut both, &programs::TEXT_40, 1000);
    both.compare("40 by 25");
    text(&mut both, &programs::TEXT_80_BY_50, 4000);
    both.compare("80 by 50");
    set(&mut both, 0x3d4, 0x18, 199);
    set(&mut both, 0x3d4, 0x09, 0x07);
    set(&mut both, 0x3d4, 0x07, 0x0f);
    set(&mut both, 0x3d4, 0x0c, 0x02);
    both.compare("80 by 50, split after 25 rows");
    both.out(0x3c6, 0xff);
}

#[test]
fn the_text_cursor_equals_qemus() {
    let Some(mut both) = Both::start() else { return };
    text(&mut both, &programs::TEXT_80, 2000);
    set(&mut both, 0x3d4, 0x0f, 0x55);
    for (start, end) in [(13, 14), (0, 15), (0, 31), (5, 5), (14, 31)] {
        set(&mut both, 0x3d4, 0x0a, start);
        set(&mut both, 0x3d4, 0x0b, end);
        both.compare_blinking(&format!("cursor from {start} to {end}"));
    }
    for (start, end) in [(14, 13), (0x2d, 0x0e), (16, 20)] {
        set(&mut both, 0x3d4, 0x0a, start);
        set(&mut both, 0x3d4, 0x0b, end);
        both.compare(&format!("no cursor, from {start} to {end}"));
    }
    text(&mut both, &programs::TEXT_40, 1000);
    set(&mut both, 0x3d4, 0x0f, 0x55);
    set(&mut both, 0x3d4, 0x0a, 0x0d);
    both.compare_blinking("cursor in 40 columns");
}

#[test]
fn a_monochrome_text_mode_equals_qemus() {
    let Some(mut both) = Both::start() else { return };
    programs::TEXT_MONO.run(&mut both);
    set_colours(&mut both, 0, &some_colours());
    load_font(&mut both, 0, &noise(2, 0x2000));
    set(&mut both, 0x3ce, 6, 0x0a);
    set(&mut both, 0x3b4, 0x0a, 0x20);
    let page: Vec<u8> = (0..2000).flat_map(|cell| [cell as u8, [0x07, 0x0f, 0x70, 0x00][cell % 4]]).collect();
    both.poke(0xb_0000, &page);
    both.compare("mode 7");
}

#[test]
fn cga_modes_equal_qemus() {
    let Some(mut both) = Both::start() else { return };
    graphics(&mut both, &programs::CGA_FOUR);
    both.poke(0xb_8000, &noise(5, 0x4000));
    both.compare("mode 4");
    both.poke(0xb_a100, &[0x1b; 3]);
    both.compare("mode 4, three bytes written");
    graphics(&mut both, &programs::CGA_TWO);
    both.poke(0xb_8000, &noise(6, 0x4000));
    both.compare("mode 6");
    (0..64).for_each(|address| assert_eq!(both.peek(0xb_8000 + address), noise(6, 64)[address as usize]));
}

/// Accesses of all read and write modes.
fn raster_operations(both: &mut Both, seed: u64) {
    let mut numbers = Accesses::new(seed);
    for _ in 0..400 {
        for index in [0, 1, 2, 3, 4, 7, 8] {
            let value = numbers.number() as u8;
            set(
                both,
                0x3ce,
                index,
                if numbers.below(3) == 0 { [0, 0, 0, 0, 0, 0x0f, 0, 0, 0xff][usize::from(index)] } else { value },
            );
        }
        set(both, 0x3ce, 5, (numbers.below(4) | numbers.below(2) << 3) as u8);
        set(both, 0x3c4, 2, numbers.below(16) as u8);
        let address = 0xa_0000 + numbers.below(0x9600) as u32;
        both.peek(address);
        both.poke(address + numbers.below(3) as u32, &noise(numbers.number(), 16));
        both.peek(address + 1);
    }
    for (index, value) in (0..).zip([0, 0, 0, 0, 0, 0, 5, 0x0f, 0xff]) {
        set(both, 0x3ce, index, value);
    }
    set(both, 0x3c4, 2, 0x0f);
}

#[test]
fn planar_modes_equal_qemus() {
    let Some(mut both) = Both::start() else { return };
    for (name, program) in [
        ("mode 0Dh", &programs::PLANES_320_BY_200),
        ("mode 10h", &programs::PLANES_640_BY_350),
        ("mode 12h", &programs::PLANES_640_BY_480),
    ] {
        graphics(&mut both, program);
        for plane in 0..4 {
            set(&mut both, 0x3c4, 2, 1 << plane);
            both.poke(0xa_0000, &noise(10 + plane, 0xa000));
        }
        both.compare(name);
        raster_operations(&mut both, 7);
        both.compare(&format!("{name}, raster operations"));
        both.input(0x3da);
        for value in [0x12, 0x05, 0x13, 0x03, 0x14, 0x0c, 0x20] {
            both.out(0x3c0, value);
        }
        set(&mut both, 0x3d4, 0x0d, 0x33);
        both.compare(&format!("{name}, two planes, panned"));
        split(&mut both, 299);
        both.compare(&format!("{name}, split and panned"));
        both.input(0x3da);
        for value in [0x10, 0x21, 0x20] {
            both.out(0x3c0, value);
        }
        both.compare(&format!("{name}, split, the lower part stands"));
    }
}

/// Splits the screen after scan line `line`.
fn split(both: &mut Both, line: u16) {
    both.out(0x3d4, 0x07);
    let overflow = both.input(0x3d5);
    both.out(0x3d4, 0x09);
    let maximum = both.input(0x3d5);
    set(both, 0x3d4, 0x18, line as u8);
    set(both, 0x3d4, 0x07, overflow & !0x10 | (line >> 4 & 0x10) as u8);
    set(both, 0x3d4, 0x09, maximum & !0x40 | (line >> 3 & 0x40) as u8);
}

#[test]
fn modes_of_256_colours_equal_qemus() {
    let Some(mut both) = Both::start() else { return };
    graphics(&mut both, &programs::BYTES_320_BY_200);
    both.poke(0xa_0000, &noise(20, 64000));
    both.compare("mode 13h");
    both.poke(0xa_0000 + 320 * 100 + 7, &[1, 2, 3]);
    both.compare("mode 13h, three bytes written");
    set_colours(&mut both, 3, &[[63, 0, 0]]);
    both.compare("mode 13h, a colour changed");
    graphics(&mut both, &programs::BYTES_320_BY_240);
    for plane in 0..4 {
        set(&mut both, 0x3c4, 2, 1 << plane);
        both.poke(0xa_0000, &noise(30 + plane, 0x1_0000));
    }
    both.compare("mode X");
    set(&mut both, 0x3d4, 0x0c, 0x20);
    set(&mut both, 0x3d4, 0x0d, 0x11);
    both.compare("mode X, start address");
    split(&mut both, 143);
    both.compare("mode X, split");
    set(&mut both, 0x3d4, 0x13, 0x40);
    both.compare("mode X, wider in memory");
}

#[test]
fn linear_modes_equal_qemus() {
    let Some(mut both) = Both::start() else { return };
    programs::TEXT_80.run(&mut both);
    set_colours(&mut both, 0, &some_colours());
    for (width, height, bits) in [
        (800, 600, 8),
        (640, 480, 4),
        (1024, 768, 16),
        (800, 600, 15),
        (1280, 1024, 24),
        (1920, 1200, 32),
        (2560, 1600, 32),
    ] {
        let what = format!("{width} by {height} by {bits}");
        vbe(&mut both, width, height, bits);
        both.compare(&format!("{what}, cleared"));
        let pitch = u32::from(width) * u32::from(bits + bits % 2) / 8;
        both.fill(pitch * 17 + 40, &noise(u64::from(bits), 50_000));
        both.fill(pitch * (u32::from(height) - 1), &noise(9, pitch as usize));
        both.compare(&what);
    }
}

#[test]
fn linear_modes_move_and_change_as_qemus() {
    let Some(mut both) = Both::start() else { return };
    programs::TEXT_80.run(&mut both);
    set_colours(&mut both, 0, &some_colours());
    vbe(&mut both, 640, 480, 16);
    both.fill(0, &noise(40, 400_000));
    dispi(&mut both, 6, 1000);
    both.compare("virtual width");
    dispi(&mut both, 8, 14);
    dispi(&mut both, 9, 33);
    both.compare("offsets");
    for index in 0..11 {
        both.out16(0x1ce, index);
        both.in16(0x1cf);
    }
    vbe(&mut both, 640, 480, 8);
    dispi(&mut both, 4, 0x61);
    set_colours(&mut both, 0, &noise(41, 768).chunks_exact(3).map(|c| [c[0], c[1], c[2]]).collect::<Vec<_>>());
    for bank in 0..4 {
        dispi(&mut both, 5, bank);
        both.poke(0xa_1000, &noise(42 + u64::from(bank), 0x8000));
        both.peek(0xa_2000);
    }
    both.compare("banks, and a DAC of eight bits");
    dispi(&mut both, 4, 0);
    both.poke(0xb_8000, b"A\x17B\x26C\x35");
    set(&mut both, 0x3d4, 0x0a, 0x20);
}
