//! Tests of the controller; those of keyboard and mouse are apart.

mod keyboard;
mod mouse;
mod scancodes;

use machine::{device_contract, keys::Key, line::LineTarget};
use parking_lot::Mutex;

use super::*;

const REGIONS: &[machine::contract::Region] = &[
    machine::contract::Region::Port { region: DATA, len: 1 },
    machine::contract::Region::Port { region: COMMAND, len: 1 },
    machine::contract::Region::Port { region: PORT_92, len: 1 },
];

device_contract!(contract, Bench::new().device, REGIONS);
device_contract!(contract_with_input, Busy(Bench::new().device), REGIONS, |_before: SavedUnit| {
    Bench::new().device.save().unwrap()
});

/// A controller at which somebody types and moves the mouse at each access.
struct Busy(I8042);

impl PortIo for Busy {
    fn port_read(&mut self, region: u8, offset: u16, data: &mut [u8]) {
        self.0.port_read(region, offset, data);
    }

    fn port_write(&mut self, region: u8, offset: u16, data: &[u8]) {
        let (key, value) = (Key::ALL[usize::from(data[0]) % Key::ALL.len()], i32::from(data[0] as i8));
        self.0.input(&Input::Key { key, down: data[0] & 0x80 == 0 });
        self.0.input(&Input::Move { dx: value * 50, dy: -value });
        self.0.input(&Input::Button { button: machine::console::Button::Left, down: value & 1 == 0 });
        self.0.input(&Input::Wheel { notches: value });
        self.0.port_write(region, offset, data);
    }
}

impl Component for Busy {
    fn name(&self) -> &str {
        self.0.name()
    }
    fn start(&mut self) {
        self.0.start();
    }
    fn stop(&mut self) {
        self.0.stop();
    }
    fn reset(&mut self) {
        self.0.reset();
    }
    fn save(&mut self) -> Result<SavedUnit, SaveError> {
        self.0.save()
    }
    fn restore(&mut self, unit: &SavedUnit) -> Result<(), RestoreError> {
        self.0.restore(unit)
    }
}

impl Device for Busy {
    fn port_io(&mut self) -> Option<&mut dyn PortIo> {
        Some(self)
    }
}

#[derive(Default)]
struct Edges(Mutex<Vec<(u32, bool)>>);

impl LineTarget for Edges {
    fn set_level(&self, input: u32, high: bool) {
        self.0.lock().push((input, high));
    }
    fn restore_level(&self, _input: u32, _high: bool) {}
}

/// A controller, the edges of its lines, and the number of resets it has asked for.
pub(super) struct Bench {
    pub(super) device: I8042,
    edges: Arc<Edges>,
    resets: Arc<Mutex<u32>>,
}

impl Bench {
    /// As at power-on.
    pub(super) fn new() -> Self {
        let (edges, resets) = (Arc::new(Edges::default()), Arc::new(Mutex::new(0)));
        let counter = resets.clone();
        let device = I8042::new(
            InterruptLine::new(edges.clone(), KEYBOARD_IRQ),
            InterruptLine::new(edges.clone(), MOUSE_IRQ),
            Arc::new(move || *counter.lock() += 1),
        );
        Bench { device, edges, resets }
    }

    /// With this command byte.
    pub(super) fn with(command_byte: u8) -> Self {
        let mut bench = Bench::new();
        bench.command(WRITE_RAM);
        bench.write(command_byte);
        bench
    }

    pub(super) fn command(&mut self, command: u8) {
        self.device.port_write(COMMAND, 0, &[command]);
    }

    pub(super) fn write(&mut self, byte: u8) {
        self.device.port_write(DATA, 0, &[byte]);
    }

    pub(super) fn status(&mut self) -> u8 {
        let mut data = [0];
        self.device.port_read(COMMAND, 0, &mut data);
        data[0]
    }

    pub(super) fn read(&mut self) -> u8 {
        let mut data = [0];
        self.device.port_read(DATA, 0, &mut data);
        data[0]
    }

    /// Up to `count` of the bytes that are there, each read when the status says so.
    pub(super) fn read_some(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while bytes.len() < count && self.status() & STATUS_OUTPUT_FULL != 0 {
            bytes.push(self.read());
        }
        bytes
    }

    /// All bytes that are there.
    pub(super) fn drain(&mut self) -> Vec<u8> {
        let bytes = self.read_some(1000);
        assert!(bytes.len() < 1000, "the controller never gets empty");
        bytes
    }

    /// Writes to the keyboard, and gives its answers to each byte.
    pub(super) fn keyboard(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut answer = Vec::new();
        for &byte in bytes {
            self.write(byte);
            answer.extend(self.drain());
        }
        answer
    }

    /// Writes to the mouse, and gives its answers to each byte.
    pub(super) fn mouse(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut answer = Vec::new();
        for &byte in bytes {
            self.command(WRITE_MOUSE);
            self.write(byte);
            answer.extend(self.drain());
        }
        answer
    }

    pub(super) fn key(&mut self, key: Key, down: bool) {
        self.device.input(&Input::Key { key, down });
    }

    fn edges(&self) -> Vec<(u32, bool)> {
        std::mem::take(&mut *self.edges.0.lock())
    }
}

#[test]
fn the_controller_tests_itself_and_its_cables() {
    let mut bench = Bench::new();
    assert_eq!(bench.status() & STATUS_SYSTEM, 0);
    bench.command(SELF_TEST);
    assert_eq!((bench.drain(), bench.status() & STATUS_SYSTEM), (vec![0x55], STATUS_SYSTEM));
    bench.command(TEST_KEYBOARD_CABLE);
    assert_eq!(bench.drain(), [0]);
    bench.command(TEST_MOUSE_CABLE);
    assert_eq!(bench.drain(), [0]);
    bench.command(TEST_PASSWORD);
    assert_eq!(bench.drain(), [0xf1]);
}

#[test]
fn the_command_byte_and_the_memory_are_read_back() {
    let mut bench = Bench::with(0x47);
    bench.command(READ_RAM);
    assert_eq!(bench.drain(), [0x47]);
    bench.command(DISABLE_KEYBOARD);
    bench.command(DISABLE_MOUSE);
    bench.command(READ_RAM);
    assert_eq!(bench.drain(), [0x77]);
    bench.command(ENABLE_KEYBOARD);
    bench.command(ENABLE_MOUSE);
    bench.command(READ_RAM);
    assert_eq!(bench.drain(), [0x47]);
    bench.command(WRITE_RAM + 0x1f);
    bench.write(0xa5);
    bench.command(READ_RAM + 0x1f);
    assert_eq!(bench.drain(), [0xa5]);
}

#[test]
fn the_status_tells_commands_from_data() {
    let mut bench = Bench::with(0x74);
    assert_eq!(bench.status(), STATUS_SYSTEM | STATUS_UNLOCKED);
    bench.command(ENABLE_MOUSE);
    assert_eq!(bench.status(), STATUS_SYSTEM | STATUS_UNLOCKED | STATUS_LAST_WAS_COMMAND);
}

#[test]
fn bytes_come_one_by_one_each_with_its_edge() {
    let mut bench = Bench::with(KEYBOARD_INTERRUPT | MOUSE_INTERRUPT);
    bench.mouse(&[0xf4]);
    bench.edges();
    bench.key(Key::ArrowUp, true);
    bench.device.input(&Input::Move { dx: 5, dy: 0 });
    assert_eq!(bench.edges(), [(1, true)]);
    assert_eq!((bench.read(), bench.edges()), (0xe0, vec![(1, false), (1, true)]));
    assert_eq!((bench.read(), bench.edges()), (0x75, vec![(1, false), (12, true)]));
    assert_eq!(bench.status() & STATUS_MOUSE_DATA, STATUS_MOUSE_DATA);
    assert_eq!((bench.read(), bench.edges()), (0x08, vec![(12, false), (12, true)]));
    assert_eq!((bench.read(), bench.read()), (5, 0));
    assert_eq!(bench.edges(), [(12, false), (12, true), (12, false)]);
    assert_eq!((bench.read(), bench.edges()), (0, vec![]), "the last byte stays in the buffer");
}

#[test]
fn interrupts_follow_their_enables() {
    let mut bench = Bench::with(0);
    bench.key(Key::KeyA, true);
    assert!(bench.edges().is_empty());
    bench.command(WRITE_RAM);
    bench.write(KEYBOARD_INTERRUPT);
    assert_eq!(bench.edges(), [(1, true)]);
    bench.command(WRITE_RAM);
    bench.write(0);
    assert_eq!(bench.edges(), [(1, false)]);
    assert_eq!(bench.drain(), [0x1c]);
}

#[test]
fn a_closed_keyboard_cable_holds_the_keys_back() {
    let mut bench = Bench::with(TRANSLATE | KEYBOARD_DISABLED);
    bench.key(Key::KeyA, true);
    bench.key(Key::KeyA, false);
    assert!(bench.drain().is_empty());
    assert!(!bench.device.keyboard_idle());
    bench.command(ENABLE_KEYBOARD);
    assert_eq!(bench.drain(), [0x1e, 0x9e]);
    assert!(bench.device.keyboard_idle());
}

#[test]
fn sending_to_a_device_opens_its_cable() {
    let mut bench = Bench::new();
    assert_eq!(bench.keyboard(&[0xee]), [0xee]);
    assert_eq!(bench.mouse(&[0xf2]), [0xfa, 0x00]);
    bench.command(READ_RAM);
    assert_eq!(bench.drain(), [TRANSLATE]);
}

#[test]
fn firmware_and_drivers_may_echo_through_the_buffers() {
    let mut bench = Bench::with(KEYBOARD_DISABLED | MOUSE_DISABLED | MOUSE_INTERRUPT);
    bench.command(WRITE_MOUSE_BUFFER);
    bench.write(0x5a);
    assert_eq!(bench.status() & 0x21, STATUS_OUTPUT_FULL | STATUS_MOUSE_DATA);
    assert_eq!((bench.read(), bench.edges()), (0x5a, vec![(12, true), (12, false)]));
    bench.command(WRITE_KEYBOARD_BUFFER);
    bench.write(0xf0);
    assert_eq!((bench.status() & 0x21, bench.read()), (STATUS_OUTPUT_FULL, 0xf0));
}

#[test]
fn translation_can_be_switched() {
    let mut bench = Bench::with(0);
    bench.key(Key::Enter, true);
    bench.key(Key::Enter, false);
    assert_eq!(bench.drain(), [0x5a, 0xf0, 0x5a]);
    let mut bench = Bench::with(TRANSLATE);
    bench.key(Key::Enter, true);
    bench.key(Key::Enter, false);
    assert_eq!(bench.drain(), [0x1c, 0x9c]);
    assert_eq!(bench.keyboard(&[0xf2]), [0xfa, 0xab, 0x41], "answers are translated, too");
}

#[test]
fn address_line_20_can_be_set_and_read() {
    let mut bench = Bench::new();
    assert!(bench.device.a20());
    bench.command(WRITE_OUTPUT_PORT);
    bench.write(0xcd);
    bench.device.port_write(PORT_92, 0, &[0]);
    assert!(!bench.device.a20());
    bench.command(READ_OUTPUT_PORT);
    assert_eq!(bench.drain()[0] & 0x03, 0x01);
    bench.command(ENABLE_A20);
    assert!(bench.device.a20());
    bench.command(DISABLE_A20);
    bench.device.port_write(PORT_92, 0, &[0x02]);
    let mut port_92 = [0];
    bench.device.port_read(PORT_92, 0, &mut port_92);
    assert_eq!((bench.device.a20(), port_92), (true, [0x02]));
}

#[test]
fn each_way_to_reset_asks_once() {
    let mut bench = Bench::new();
    bench.command(0xfe);
    assert_eq!(*bench.resets.lock(), 1);
    bench.command(0xff);
    bench.command(0xf1);
    assert_eq!(*bench.resets.lock(), 1);
    bench.command(WRITE_OUTPUT_PORT);
    bench.write(0xce);
    assert_eq!(*bench.resets.lock(), 2);
    bench.device.port_write(PORT_92, 0, &[0x03]);
    bench.device.port_write(PORT_92, 0, &[0x03]);
    assert_eq!(*bench.resets.lock(), 3);
}

#[test]
fn the_output_port_shows_where_the_byte_comes_from() {
    let mut bench = Bench::with(0);
    bench.command(READ_OUTPUT_PORT);
    assert_eq!(bench.drain(), [0xcf]);
    bench.key(Key::KeyA, true);
    bench.command(READ_OUTPUT_PORT);
    assert_eq!(bench.drain(), [0x1c, 0xdf]);
}

#[test]
fn the_test_inputs_show_the_clock_lines() {
    let mut bench = Bench::with(MOUSE_DISABLED);
    bench.command(READ_TEST_INPUTS);
    assert_eq!(bench.drain(), [0x01]);
}

#[test]
fn a_command_ends_the_wait_for_data() {
    let mut bench = Bench::with(0);
    bench.command(WRITE_RAM);
    bench.command(READ_INPUT_PORT);
    assert_eq!(bench.drain(), [0x80]);
    assert_eq!(bench.keyboard(&[0xee]), [0xee]);
}

/// What SeaBIOS does at power-on, with somebody leaning on the keyboard.
#[test]
fn firmware_brings_the_keyboard_up_while_keys_are_pressed() {
    let mut bench = Bench::new();
    (0..40).for_each(|_| bench.key(Key::Space, true));
    assert!(bench.drain().is_empty());
    bench.command(SELF_TEST);
    assert_eq!(bench.drain(), [0x55]);
    bench.command(TEST_KEYBOARD_CABLE);
    assert_eq!(bench.drain(), [0x00]);
    bench.command(WRITE_RAM);
    bench.write(MOUSE_DISABLED);
    bench.drain();
    assert_eq!(bench.keyboard(&[0xff]), [0xfa, 0xaa]);
    assert_eq!(bench.keyboard(&[0xf5]), [0xfa]);
    bench.key(Key::Space, true);
    assert_eq!(bench.keyboard(&[0xf0, 0x02]), [0xfa, 0xfa]);
    bench.command(WRITE_RAM);
    bench.write(MOUSE_DISABLED | TRANSLATE | KEYBOARD_INTERRUPT);
    assert_eq!(bench.keyboard(&[0xf4]), [0xfa]);
    bench.key(Key::F12, true);
    assert_eq!(bench.drain(), [0x58]);
}

#[test]
fn a_restored_controller_goes_on_within_a_sequence() {
    let mut old = Bench::with(TRANSLATE | KEYBOARD_INTERRUPT);
    old.key(Key::Pause, true);
    assert_eq!([old.read(), old.read()], [0xe1, 0x1d]);
    let mut new = Bench::new();
    new.device.restore(&old.device.save().unwrap()).unwrap();
    assert_eq!((new.device.keyboard_line.level(), new.edges()), (true, vec![]));
    assert_eq!(new.drain(), [0x45, 0xe1, 0x9d, 0xc5]);
}

#[test]
fn an_impossible_state_is_refused() {
    let changes: [fn(&mut saved::I8042); 13] = [
        |state| state.ram.0.truncate(31),
        |state| state.expecting = Some(0xaa),
        |state| state.output_port = 0,
        |state| state.port_92 = 4,
        |state| state.keyboard.buffer = Bytes(vec![0; 18]),
        |state| state.keyboard.replies = Bytes(vec![0; 5]),
        |state| state.keyboard.leds = 8,
        |state| state.keyboard.expecting = Some(0xf2),
        |state| state.keyboard.owed_releases = vec![Key::KeyA; 1000],
        |state| state.mouse.packet = Bytes(vec![0; 5]),
        |state| state.mouse.resolution = 4,
        |state| state.mouse.expecting = Some(0xff),
        |state| state.mouse.reports = vec![super::mouse::Report { x: i32::MIN, ..Default::default() }],
    ];
    for (number, change) in changes.iter().enumerate() {
        let mut bench = Bench::new();
        let mut state: saved::I8042 = bench.device.save().unwrap().open().unwrap();
        change(&mut state);
        let unit = SavedUnit::of(&state).unwrap();
        assert!(matches!(bench.device.restore(&unit), Err(RestoreError::Impossible { .. })), "change {number}");
    }
}
