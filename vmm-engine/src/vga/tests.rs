//! Tests of the adapter as a whole, beside the comparisons in `pictures`.

use std::{sync::Arc, time::Duration};

use machine::{
    console::{Frame, Rect, Screen},
    device_contract,
};
use parking_lot::Mutex;
use vm_memory::Bytes as _;

use super::{
    against_qemu::{Adapter, noise},
    programs::{self, Ports, set, set_colours},
    *,
};

const SMALL: u32 = 1 << 20;

fn small() -> Vga {
    let config = Config { memory_bytes: SMALL, rom: vec![0x55, 0xaa, 3], ..Config::default() };
    Vga::new(config, Clock::manual(Duration::ZERO)).unwrap()
}

device_contract!(
    contract,
    small(),
    &[
        Region::Port { region: REGION_VGA_PORTS, len: VGA_PORTS.1 },
        Region::Port { region: REGION_VGA_PORTS, len: VGA_PORTS.1 },
        Region::Port { region: REGION_DISPI_PORTS, len: DISPI_PORTS.1 },
        Region::Memory { region: REGION_LEGACY_MEMORY, len: LEGACY_MEMORY.1 },
        Region::Memory { region: BAR_MEMORY, len: u64::from(SMALL) },
        Region::Memory { region: BAR_REGISTERS, len: 0x1000 },
        Region::Memory { region: ROM, len: 0x800 },
        Region::Config,
    ]
);

/// An adapter with its screen.
struct Setup {
    vga: Arc<Mutex<Vga>>,
    screen: VgaScreen,
    frame: Frame,
    clock: Clock,
}

impl Setup {
    fn new() -> Setup {
        let clock = Clock::manual(Duration::ZERO);
        let vga = Vga::new(Config { memory_bytes: 4 << 20, ..Config::default() }, clock.clone()).unwrap();
        let vga = Arc::new(Mutex::new(vga));
        Setup { screen: VgaScreen::new(vga.clone()), vga, frame: Frame::default(), clock }
    }

    /// In 80-column text, with white on black (attribute 7) and full blocks as the only glyph (character 1).
    fn text() -> Setup {
        let mut setup = Setup::new();
        setup.with(|vga| {
            programs::TEXT_80.run(vga);
            set_colours(vga, 0, &[[0; 3], [63, 0, 0], [0, 63, 0]]);
            set_colours(vga, 7, &[[42; 3]]);
            for (port, index, value) in [(0x3c4, 2, 4), (0x3c4, 4, 6), (0x3ce, 5, 0), (0x3ce, 6, 4)] {
                set(vga, port, index, value);
            }
            vga.poke(0xa_0020, &[0xff; 16]);
            for (port, index, value) in [(0x3c4, 2, 3), (0x3c4, 4, 2), (0x3ce, 5, 0x10), (0x3ce, 6, 0x0e)] {
                set(vga, port, index, value);
            }
            set(vga, 0x3d4, 0x0a, 0x20);
        });
        setup.draw();
        setup
    }

    fn with<T>(&self, act: impl FnOnce(&mut Vga) -> T) -> T {
        act(&mut self.vga.lock())
    }

    fn draw(&mut self) -> Vec<Rect> {
        self.screen.draw(&mut self.frame, false)
    }

    fn pixel(&self, x: usize, y: usize) -> u32 {
        self.frame.pixels()[y * self.frame.width() as usize + x]
    }
}

#[test]
fn a_new_adapter_is_blank() {
    let mut setup = Setup::new();
    assert_eq!(setup.draw(), [setup.frame.bounds()]);
    assert_eq!((setup.frame.width(), setup.frame.height()), (640, 480));
    assert!(setup.draw().is_empty() && setup.screen.text().is_none());
}

#[test]
fn only_changed_cells_are_drawn() {
    let mut setup = Setup::text();
    assert!(setup.draw().is_empty());
    setup.with(|vga| vga.poke(0xb_8000 + 160 * 2 + 6, &[1, 7, 1, 7]));
    assert_eq!(setup.draw(), [Rect { x: 27, y: 32, width: 18, height: 16 }]);
    assert_eq!(
        [(26, 32), (27, 32), (34, 47), (35, 47), (36, 32)].map(|(x, y)| setup.pixel(x, y)),
        [0, 0xa8a8a8, 0xa8a8a8, 0, 0xa8a8a8]
    );
    setup.with(|vga| vga.poke(0xb_8000 + 160 * 2 + 6, &[1, 7]));
    assert!(setup.draw().is_empty(), "the same character again");
}

#[test]
fn a_changed_glyph_changes_the_cells_that_show_it() {
    let mut setup = Setup::text();
    setup.with(|vga| vga.poke(0xb_8000, &[2, 7, 3, 7]));
    setup.draw();
    let memory = setup.with(|vga| vga.memory());
    memory.bytes().write_obj(0xff_u8, (3 * 32) * 4 + 2).unwrap();
    // A dirty page is what makes the fonts be looked at.
    setup.with(|vga| vga.poke(0xb_8000 + 3998, &[0, 0]));
    assert_eq!(setup.draw(), [Rect { x: 9, y: 0, width: 9, height: 16 }]);
    assert_eq!([0, 9, 17].map(|x| setup.pixel(x, 0)), [0, 0xa8a8a8, 0]);
}

#[test]
fn the_characters_can_be_read() {
    let setup = Setup::text();
    setup.with(|vga| {
        vga.poke(0xb_8000, b"A\x07\x81\x07\xdb\x07\xe3\x07");
        vga.poke(0xb_8000 + 160, b"?\x07");
        set(vga, 0x3d4, 0x0a, 0x0d);
        set(vga, 0x3d4, 0x0f, 82);
    });
    let text = setup.screen.text().unwrap();
    assert_eq!(text.to_string(), "Aü█π\n?\n");
    assert_eq!((text.columns, text.cells.len(), text.cursor), (80, 2000, Some((2, 1))));
}

#[test]
fn the_cursor_blinks_and_only_it_is_drawn() {
    let mut setup = Setup::text();
    setup.with(|vga| {
        vga.poke(0xb_8000 + 2, &[0, 7]);
        set(vga, 0x3d4, 0x0a, 0x0d);
        set(vga, 0x3d4, 0x0f, 1);
    });
    setup.draw();
    assert_eq!([12, 13, 14, 15].map(|y| setup.pixel(9, y)), [0, 0xa8a8a8, 0xa8a8a8, 0]);
    setup.clock.advance(Duration::from_millis(200));
    assert!(setup.draw().is_empty());
    setup.clock.advance(Duration::from_millis(30));
    assert_eq!(setup.draw(), [Rect { x: 9, y: 0, width: 9, height: 16 }]);
    assert_eq!(setup.pixel(9, 13), 0);
}

#[test]
fn a_cursor_below_its_cell_changes_nothing() {
    let mut setup = Setup::text();
    setup.with(|vga| {
        set(vga, 0x3d4, 0x0a, 0x10);
        set(vga, 0x3d4, 0x0b, 0x1f);
    });
    setup.draw();
    setup.clock.advance(Duration::from_millis(230));
    assert!(setup.draw().is_empty());
}

#[test]
fn characters_blink_when_the_attribute_says_so() {
    let mut setup = Setup::text();
    setup.with(|vga| vga.poke(0xb_8000, &[1, 0x97]));
    setup.draw();
    assert_eq!([0, 8].map(|x| setup.pixel(x, 0)), [0xa8a8a8, 0xff0000], "the background isn't bright");
    setup.clock.advance(Duration::from_millis(460));
    assert_eq!(setup.draw(), [Rect { x: 0, y: 0, width: 9, height: 16 }]);
    assert_eq!(setup.pixel(0, 0), 0xff0000);
}

#[test]
fn text_is_underlined_where_the_location_says() {
    let mut setup = Setup::text();
    setup.with(|vga| {
        set(vga, 0x3d4, 0x14, 12);
        vga.poke(0xb_8000, &[0, 0x01, 0, 0x02]);
    });
    setup.draw();
    assert_eq!([11, 12, 13].map(|y| setup.pixel(8, y)), [0, 0xff0000, 0]);
    assert_eq!(setup.pixel(9, 12), 0);
}

#[test]
fn text_pans_and_scrolls_by_dots_and_lines() {
    let mut setup = Setup::text();
    setup.with(|vga| {
        vga.poke(0xb_8000 + 2, &[1, 7]);
        vga.poke(0xb_8000 + 160, &[0, 0x20, 1, 7]);
        vga.poke(0xb_8000 + 25 * 160 + 2 * 80, &[0; 2]);
    });
    setup.draw();
    let whole = setup.frame.clone();
    setup.with(|vga| {
        vga.input(0x3da);
        [0x13, 2, 0x20].into_iter().for_each(|value| vga.out(0x3c0, value));
        set(vga, 0x3d4, 0x08, 5);
    });
    setup.draw();
    let moved: Vec<u32> = (0..300).map(|at| setup.pixel(at % 20, at / 20)).collect();
    let expected: Vec<u32> = (0..300).map(|at| whole.pixels()[(at / 20 + 5) * 720 + at % 20 + 3]).collect();
    assert_eq!(moved, expected);
}

#[test]
fn a_split_text_screen_starts_again_at_any_line() {
    let mut setup = Setup::text();
    setup.with(|vga| {
        vga.poke(0xb_8000, &[1, 7]);
        set(vga, 0x3d4, 0x0d, 80);
        set(vga, 0x3d4, 0x11, 0);
        set(vga, 0x3d4, 0x18, 101);
        set(vga, 0x3d4, 0x07, 0x0f);
        set(vga, 0x3d4, 0x09, 0x0f);
    });
    setup.draw();
    assert_eq!([0, 101, 102, 117, 118].map(|y| setup.pixel(0, y)), [0, 0, 0xa8a8a8, 0xa8a8a8, 0]);
    assert_eq!(setup.screen.text().unwrap().cells.len() / 80, 26);
}

#[test]
fn pixels_of_256_colours_pan_by_dot_pairs() {
    let mut setup = Setup::new();
    setup.with(|vga| {
        programs::BYTES_320_BY_240.run(vga);
        set_colours(vga, 0, &(0..64).map(|value| [value; 3]).collect::<Vec<_>>());
        for plane in 0..4 {
            set(vga, 0x3c4, 2, 1 << plane);
            vga.poke(0xa_0000, &[plane, 4 + plane, 8 + plane]);
        }
    });
    setup.draw();
    assert_eq!([0, 2, 4, 6, 8].map(|x| setup.pixel(x, 1) & 0xfc), [0, 4, 8, 12, 16]);
    setup.with(|vga| {
        vga.input(0x3da);
        [0x13, 6, 0x20].into_iter().for_each(|value| vga.out(0x3c0, value));
    });
    setup.draw();
    assert_eq!([0, 1, 2, 15].map(|x| setup.pixel(x, 0) & 0xfc), [12, 12, 16, 40]);
}

#[test]
fn a_blank_screen_is_black_and_keeps_its_size() {
    let mut setup = Setup::text();
    setup.with(|vga| vga.poke(0xb_8000, &[1, 7]));
    setup.draw();
    let shown = setup.frame.clone();
    for off in [
        |vga: &mut Vga| set(vga, 0x3c4, 1, 0x20),
        |vga: &mut Vga| {
            vga.input(0x3da);
            vga.out(0x3c0, 0x00);
        },
    ] {
        setup.with(off);
        assert_eq!(setup.draw(), [setup.frame.bounds()]);
        assert!(setup.frame.pixels().iter().all(|&pixel| pixel == 0) && setup.frame.width() == 720);
        setup.with(|vga| {
            set(vga, 0x3c4, 1, 0x00);
            vga.input(0x3da);
            vga.out(0x3c0, 0x20);
        });
        setup.draw();
        assert_eq!(setup.frame, shown);
    }
}

/// A linear mode, with white at 255.
fn linear(setup: &Setup, width: u16, height: u16, bits: u16) {
    setup.with(|vga| {
        programs::TEXT_80.run(vga);
        set_colours(vga, 255, &[[63; 3]]);
        for (index, value) in [(4, 0), (1, width), (2, height), (3, bits), (4, 0x41)] {
            vga.out16(0x1ce, index);
            vga.out16(0x1cf, value);
        }
    });
}

#[test]
fn only_scan_lines_in_dirty_pages_are_drawn() {
    struct Log(Mutex<Vec<u64>>);
    impl hypervisor::memory::DirtyLog for Log {
        fn take(&self) -> std::io::Result<Vec<u64>> {
            Ok(std::mem::take(&mut *self.0.lock()))
        }
    }
    let mut setup = Setup::new();
    linear(&setup, 1024, 512, 32);
    let memory = setup.with(|vga| vga.memory());
    let log = Arc::new(Log(Mutex::new(Vec::new())));
    memory.set_log(Some(log.clone()));
    setup.draw();
    // The guest writes two pixels without an exit: the log knows of one page.
    memory.bytes().write_obj(0x0012_3456_u32, 4096 * 70 + 4).unwrap();
    memory.bytes().write_obj(0x0012_3456_u32, 4096 * 80).unwrap();
    log.0.lock().extend([0, 1 << 6]);
    assert_eq!(setup.draw(), [Rect { x: 1, y: 70, width: 1, height: 1 }]);
    assert_eq!((setup.pixel(1, 70), setup.pixel(0, 80)), (0x123456, 0));
    log.0.lock().extend([0, 1 << 6]);
    assert!(setup.draw().is_empty(), "written, but not changed");
}

#[test]
fn a_picture_is_drawn_anew_when_asked() {
    let mut setup = Setup::new();
    linear(&setup, 640, 480, 8);
    setup.draw();
    setup.with(|vga| vga.fill(640 * 3, &[255; 640]));
    assert_eq!(setup.draw(), [Rect { x: 0, y: 3, width: 640, height: 1 }]);
    let shown = setup.frame.clone();
    let mut other = Frame::default();
    assert_eq!(setup.screen.draw(&mut other, true), [shown.bounds()]);
    assert_eq!(other, shown);
}

#[test]
fn a_restored_adapter_shows_the_same() {
    let mut setup = Setup::text();
    setup.with(|vga| vga.poke(0xb_8000, &noise(1, 4000)));
    setup.draw();
    let saved = setup.with(|vga| vga.save().unwrap());
    assert!(saved.data.0.len() < 64 << 10, "{} bytes for 8 KiB of text and font", saved.data.0.len());
    let mut other = Setup::new();
    other.with(|vga| vga.fill(3 << 20, &[1; 16]));
    other.with(|vga| vga.restore(&saved)).unwrap();
    other.draw();
    assert_eq!(other.frame, setup.frame);
    setup.with(Component::reset);
    setup.draw();
    assert!(setup.frame.pixels().iter().all(|&pixel| pixel == 0));
}

#[test]
fn an_impossible_saved_state_is_refused_and_changes_nothing() {
    let mut vga = small();
    let before = vga.save().unwrap();
    let larger = Config { memory_bytes: 2 * SMALL, ..Config::default() };
    let mut larger = Vga::new(larger, Clock::manual(Duration::ZERO)).unwrap();
    larger.fill(SMALL, &[1]);
    assert!(matches!(vga.restore(&larger.save().unwrap()), Err(RestoreError::Impossible { .. })));
    assert_eq!(vga.save().unwrap(), before);
}

#[test]
fn the_function_is_found_by_its_registers() {
    let mut vga = small();
    let mut read = |offset: u16| {
        let mut data = [0; 4];
        vga.config_read(offset, &mut data);
        u32::from_le_bytes(data)
    };
    assert_eq!([0, 8, 0x2c].map(&mut read), [0x1111_1234, 0x0300_0002, 0x1100_1af4]);
    assert_eq!([0x10, 0x18].map(&mut read), [8, 0]);
    vga.config_write(0x30, &[0xff; 4]);
    let mut data = [0; 4];
    vga.config_read(0x30, &mut data);
    assert_eq!(u32::from_le_bytes(data), 0xffff_f801);
    vga.mmio_read(ROM, 0, &mut data);
    assert_eq!(data, [0x55, 0xaa, 3, 0]);
}

#[test]
fn registers_are_mapped_into_memory() {
    let mut vga = small();
    let mut read = |offset: u64| {
        let mut data = [0; 4];
        vga.mmio_read(BAR_REGISTERS, offset, &mut data);
        u32::from_le_bytes(data)
    };
    assert_eq!(read(0), 0xffff_ff00, "an EDID");
    assert_eq!((read(0x600), read(0x604)), (8, 0x1e1e_1e1e));
    assert_eq!(read(0x500), 0xb0c5);
    vga.mmio_write(BAR_REGISTERS, 0x402, &[0x67]);
    for (offset, value) in [(0x502_u64, 800_u16), (0x504, 600), (0x506, 32), (0x508, 0x41)] {
        vga.mmio_write(BAR_REGISTERS, offset, &value.to_le_bytes());
    }
    assert_eq!((vga.registers.miscellaneous, vga.dispi.mode().unwrap().width), (0x67, 800));
}

#[test]
fn wide_accesses_to_the_window_equal_bytes() {
    let planar = || {
        let mut vga = small();
        programs::PLANES_640_BY_480.run(&mut vga);
        set(&mut vga, 0x3c4, 2, 0x05);
        vga
    };
    let chained = || {
        let mut vga = small();
        programs::BYTES_320_BY_200.run(&mut vga);
        vga
    };
    let makers: [fn() -> Vga; 2] = [planar, chained];
    for make in makers {
        let (mut wide, mut bytes) = (make(), make());
        let data = noise(3, 8);
        // The last reaches beyond the end of the window.
        for offset in [0, 0x123, 0xfffc] {
            wide.mmio_write(REGION_LEGACY_MEMORY, offset, &data);
            bytes.poke(0xa_0000 + offset as u32, &data);
            let mut read = [0; 8];
            wide.mmio_read(REGION_LEGACY_MEMORY, offset, &mut read);
            let single: Vec<u8> = (0..8).map(|index| bytes.peek(0xa_0000 + offset as u32 + index)).collect();
            assert_eq!(read, *single);
        }
        assert_eq!(wide.memory().contents().unwrap(), bytes.memory().contents().unwrap());
    }
}
