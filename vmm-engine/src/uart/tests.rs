use std::sync::Arc;

use machine::{device_contract, line::LineTarget};
use parking_lot::Mutex;

use super::*;

/// The other side of the cable: takes `room` bytes.
#[derive(Default)]
struct Cable {
    sent: Vec<u8>,
    room: usize,
    told: u32,
}

struct End(Arc<Mutex<Cable>>);

impl SerialPort for End {
    fn send(&mut self, bytes: &[u8]) -> usize {
        let mut cable = self.0.lock();
        let taken = bytes.len().min(cable.room);
        cable.room -= taken;
        cable.sent.extend(&bytes[..taken]);
        taken
    }

    fn receiver_ready(&mut self) {
        self.0.lock().told += 1;
    }
}

#[derive(Default)]
struct Edges(Mutex<Vec<bool>>);

impl LineTarget for Edges {
    fn set_level(&self, _input: u32, high: bool) {
        self.0.lock().push(high);
    }
    fn restore_level(&self, _input: u32, _high: bool) {}
}

struct Bench {
    uart: Uart,
    cable: Arc<Mutex<Cable>>,
    clock: Clock,
    edges: Arc<Edges>,
}

fn bench(room: usize) -> Bench {
    let cable = Arc::new(Mutex::new(Cable { room, ..Cable::default() }));
    let (clock, edges) = (Clock::manual(Duration::ZERO), Arc::new(Edges::default()));
    let line = InterruptLine::new(edges.clone(), 4);
    let mut uart = Uart::new("com1", Box::new(End(cable.clone())), clock.clone(), Timer::detached(), line);
    uart.start();
    Bench { uart, cable, clock, edges }
}

fn new_uart() -> Uart {
    bench(usize::MAX).uart
}

device_contract!(contract, new_uart(), &[Region::Port { region: 0, len: 8 }]);
device_contract!(contract_with_a_stuck_cable, bench(0).uart, &[Region::Port { region: 0, len: 8 }]);

impl Bench {
    fn read(&mut self, register: u16) -> u8 {
        let mut data = [0];
        self.uart.port_read(0, register, &mut data);
        data[0]
    }

    fn write(&mut self, register: u16, value: u8) {
        self.uart.port_write(0, register, &[value]);
    }

    /// What a driver sets up: 115200 8N1, FIFOs on with this trigger, all interrupts in `enable`.
    fn set_up(&mut self, fifo_control: u8, enable: u8) {
        self.write(LINE_CONTROL, LCR_DIVISOR_ACCESS);
        self.write(DATA, 1);
        self.write(INTERRUPT_ENABLE, 0);
        self.write(LINE_CONTROL, 0x03);
        self.write(INTERRUPT_IDENTIFICATION, fifo_control);
        self.write(MODEM_CONTROL, MCR_DTR | MCR_RTS | MCR_OUT2);
        self.write(INTERRUPT_ENABLE, enable);
        self.edges.0.lock().clear();
    }

    fn interrupt(&mut self) -> u8 {
        self.read(INTERRUPT_IDENTIFICATION)
    }

    fn high(&self) -> bool {
        self.uart.line.level()
    }

    /// How often the other side was told of room.
    fn told(&self) -> u32 {
        self.cable.lock().told
    }
}

#[test]
fn bytes_go_out_in_order() {
    let mut bench = bench(usize::MAX);
    bench.set_up(0, 0);
    b"hello".iter().for_each(|&byte| bench.write(DATA, byte));
    assert_eq!(bench.cable.lock().sent, b"hello");
    assert_eq!(bench.read(LINE_STATUS), LSR_HOLDING_EMPTY | LSR_TRANSMITTER_EMPTY);
}

#[test]
fn a_slow_cable_holds_the_transmitter_and_loses_nothing() {
    let mut bench = bench(2);
    bench.set_up(FCR_ENABLE, IER_HOLDING_EMPTY);
    assert_eq!(bench.interrupt(), IIR_FIFOS | IIR_HOLDING_EMPTY);
    (0..18).for_each(|byte| bench.write(DATA, byte));
    assert_eq!((bench.read(LINE_STATUS), bench.high()), (0, false));
    bench.cable.lock().room = 15;
    bench.uart.output_ready();
    assert_eq!((bench.read(LINE_STATUS), bench.high()), (0, false));
    bench.cable.lock().room = 10;
    bench.uart.output_ready();
    assert!(bench.high());
    assert_eq!(bench.read(LINE_STATUS), LSR_HOLDING_EMPTY | LSR_TRANSMITTER_EMPTY);
    assert_eq!(bench.cable.lock().sent, (0..18).collect::<Vec<u8>>());
}

#[test]
fn a_guest_that_polls_sees_the_cable_come_free() {
    let mut bench = bench(0);
    bench.set_up(0, 0);
    bench.write(DATA, b'x');
    assert_eq!(bench.read(LINE_STATUS) & LSR_HOLDING_EMPTY, 0);
    bench.cable.lock().room = 1;
    assert_eq!(bench.read(LINE_STATUS) & LSR_HOLDING_EMPTY, LSR_HOLDING_EMPTY);
}

#[test]
fn enabling_the_transmitter_interrupt_raises_it_and_reading_it_ends_it() {
    let mut bench = bench(usize::MAX);
    bench.set_up(FCR_ENABLE, 0);
    bench.write(INTERRUPT_ENABLE, IER_HOLDING_EMPTY);
    assert!(bench.high());
    assert_eq!((bench.interrupt(), bench.high()), (IIR_FIFOS | IIR_HOLDING_EMPTY, false));
    assert_eq!(bench.interrupt(), IIR_FIFOS | IIR_NONE);
    bench.write(INTERRUPT_ENABLE, IER_HOLDING_EMPTY);
    assert!(!bench.high(), "only the change of the enable counts");
    bench.write(INTERRUPT_ENABLE, 0);
    bench.write(INTERRUPT_ENABLE, IER_HOLDING_EMPTY);
    assert!(bench.high());
}

#[test]
fn each_byte_sent_makes_an_edge() {
    let mut bench = bench(usize::MAX);
    bench.set_up(FCR_ENABLE, IER_HOLDING_EMPTY);
    bench.write(DATA, 1);
    bench.write(DATA, 2);
    assert_eq!(*bench.edges.0.lock(), [false, true, false, true]);
    assert!(bench.high());
}

#[test]
fn without_fifos_one_byte_is_received_at_a_time() {
    let mut bench = bench(0);
    bench.set_up(0, IER_RECEIVED);
    assert_eq!(bench.uart.receive(b"abc"), 1);
    assert_eq!((bench.high(), bench.interrupt(), bench.told()), (true, IIR_RECEIVED, 0));
    assert_eq!(bench.read(LINE_STATUS) & LSR_DATA_READY, LSR_DATA_READY);
    assert_eq!((bench.read(DATA), bench.high(), bench.told()), (b'a', false, 1));
    assert_eq!((bench.uart.receive(b"bc"), bench.read(DATA), bench.told()), (1, b'b', 2));
}

#[test]
fn each_trigger_level_interrupts_at_its_count() {
    for (bits, level) in [(0x00, 1), (0x40, 4), (0x80, 8), (0xc0, 14)] {
        let mut bench = bench(0);
        bench.set_up(FCR_ENABLE | bits, IER_RECEIVED);
        assert_eq!(bench.uart.receive(&vec![7; level - 1]), level - 1);
        assert!(!bench.high(), "level {level}");
        bench.uart.receive(&[7]);
        assert_eq!((bench.high(), bench.interrupt()), (true, IIR_FIFOS | IIR_RECEIVED), "level {level}");
        bench.read(DATA);
        assert!(!bench.high(), "level {level}");
    }
}

#[test]
fn a_few_bytes_interrupt_after_four_character_times() {
    let mut bench = bench(0);
    bench.set_up(FCR_ENABLE | 0xc0, IER_RECEIVED);
    bench.uart.receive(b"ab");
    // Ten bits a character at 115200 bauds.
    let time_out = Duration::from_nanos(347_222);
    assert_eq!(bench.uart.timer.deadline(), Some(time_out));
    bench.clock.advance(time_out - Duration::from_nanos(1));
    bench.uart.timer_fired();
    assert!(!bench.high());
    bench.clock.advance(Duration::from_nanos(1));
    bench.uart.timer_fired();
    assert_eq!((bench.high(), bench.interrupt()), (true, IIR_FIFOS | IIR_TIME_OUT));
    assert_eq!((bench.read(DATA), bench.high()), (b'a', false), "a read starts the time anew");
    assert_eq!(bench.uart.timer.deadline(), Some(2 * time_out));
    bench.clock.advance(time_out);
    bench.uart.timer_fired();
    assert_eq!((bench.high(), bench.read(DATA), bench.high()), (true, b'b', false));
    assert_eq!(bench.uart.timer.deadline(), None);
}

#[test]
fn the_time_out_follows_divisor_and_line_control() {
    let mut bench = bench(0);
    bench.set_up(FCR_ENABLE | 0xc0, IER_RECEIVED);
    bench.write(LINE_CONTROL, LCR_DIVISOR_ACCESS | 0x0f);
    bench.write(DATA, 12);
    bench.write(LINE_CONTROL, 0x0f);
    bench.uart.receive(b"a");
    // Start, eight data, parity, two stop bits: twelve, at 9600 bauds.
    assert_eq!(bench.uart.timer.deadline(), Some(Duration::from_millis(5)));
}

#[test]
fn a_full_fifo_refuses_and_tells_of_room_when_it_is_empty() {
    let mut bench = bench(0);
    bench.set_up(FCR_ENABLE, 0);
    assert_eq!(bench.uart.receive(&[1; 20]), 16);
    let read: Vec<u8> = (0..15).map(|_| bench.read(DATA)).collect();
    assert_eq!((read, bench.told()), (vec![1; 15], 0));
    bench.read(DATA);
    assert_eq!((bench.told(), bench.read(LINE_STATUS) & LSR_OVERRUN), (1, 0));
    assert_eq!(bench.read(DATA), 0);
    assert_eq!(bench.told(), 1);
}

#[test]
fn interrupts_are_identified_by_priority() {
    let mut bench = bench(usize::MAX);
    bench.set_up(FCR_ENABLE, 0x0f);
    bench.uart.set_connected(false);
    bench.uart.receive(b"a");
    bench.uart.receive_break();
    bench.read(DATA);
    let line_status = bench.interrupt();
    let status = bench.read(LINE_STATUS);
    assert_eq!((line_status & 0x0f, status & LSR_BREAK), (IIR_LINE_STATUS, LSR_BREAK));
    let received = bench.interrupt();
    bench.read(DATA);
    let holding_empty = bench.interrupt();
    let modem_status = bench.interrupt();
    let lines = bench.read(MODEM_STATUS);
    let seen = [received, holding_empty, modem_status, bench.interrupt()].map(|value| value & 0x0f);
    assert_eq!(seen, [IIR_RECEIVED, IIR_HOLDING_EMPTY, IIR_MODEM_STATUS, IIR_NONE]);
    assert_eq!((lines, bench.high()), (0x0b, false));
}

#[test]
fn a_break_shows_when_its_byte_is_next() {
    let mut bench = bench(0);
    bench.set_up(FCR_ENABLE, IER_LINE_STATUS);
    bench.uart.receive(b"a");
    bench.uart.receive_break();
    assert_eq!(bench.read(LINE_STATUS) & (LSR_BREAK | LSR_FIFO_ERROR), LSR_FIFO_ERROR);
    assert!(!bench.high());
    bench.read(DATA);
    assert!(bench.high());
    let status = bench.read(LINE_STATUS);
    assert_eq!(status & (LSR_BREAK | LSR_FRAMING | LSR_FIFO_ERROR), LSR_BREAK | LSR_FRAMING | LSR_FIFO_ERROR);
    assert_eq!((bench.read(LINE_STATUS) & (LSR_BREAK | LSR_FIFO_ERROR), bench.high()), (0, false));
    assert_eq!(bench.read(DATA), 0);
}

#[test]
fn loop_back_connects_transmitter_and_receiver() {
    let mut bench = bench(usize::MAX);
    bench.set_up(FCR_ENABLE, 0);
    bench.write(MODEM_CONTROL, MCR_LOOP | MCR_RTS | MCR_OUT2);
    (0..17).for_each(|byte| bench.write(DATA, byte));
    assert_eq!(bench.read(LINE_STATUS) & (LSR_OVERRUN | LSR_DATA_READY), LSR_OVERRUN | LSR_DATA_READY);
    let echoed: Vec<u8> = (0..16).map(|_| bench.read(DATA)).collect();
    assert_eq!(echoed, (0..16).collect::<Vec<u8>>());
    assert!(bench.cable.lock().sent.is_empty());
    assert_eq!(bench.uart.receive(b"outside"), 0);
    bench.write(MODEM_CONTROL, MCR_OUT2);
    assert_eq!(bench.told(), 1);
    assert_eq!(bench.uart.receive(b"outside"), 7);
}

#[test]
fn loop_back_connects_the_modem_lines() {
    let mut bench = bench(0);
    bench.set_up(0, IER_MODEM_STATUS);
    bench.read(MODEM_STATUS);
    let status = |bench: &mut Bench, outputs| {
        bench.write(MODEM_CONTROL, MCR_LOOP | outputs);
        bench.read(MODEM_STATUS)
    };
    assert_eq!(status(&mut bench, 0), 0x0b, "CTS, DSR and DCD fell");
    assert_eq!(status(&mut bench, MCR_RTS), MSR_CTS | 0x01);
    assert_eq!(status(&mut bench, MCR_DTR), MSR_DSR | 0x03);
    assert_eq!(status(&mut bench, MCR_OUT1), MSR_RI | 0x02, "the ring's beginning doesn't count");
    assert_eq!(status(&mut bench, MCR_OUT2), MSR_DCD | 0x0c, "its end does");
    assert!(!bench.high(), "OUT2 is inactive in loop-back");
}

#[test]
fn a_break_in_loop_back_is_received() {
    let mut bench = bench(0);
    bench.set_up(FCR_ENABLE, 0);
    bench.write(MODEM_CONTROL, MCR_LOOP);
    bench.write(LINE_CONTROL, LCR_BREAK | 0x03);
    assert_eq!(bench.read(LINE_STATUS) & (LSR_BREAK | LSR_DATA_READY), LSR_BREAK | LSR_DATA_READY);
}

#[test]
fn out2_connects_the_interrupt() {
    let mut bench = bench(0);
    bench.set_up(0, IER_RECEIVED);
    bench.uart.receive(b"a");
    assert!(bench.high());
    bench.write(MODEM_CONTROL, MCR_DTR);
    assert_eq!((bench.high(), bench.interrupt()), (false, IIR_RECEIVED));
}

#[test]
fn fifo_control_clears_what_it_says() {
    let mut bench = bench(0);
    bench.set_up(FCR_ENABLE, 0);
    bench.uart.receive(b"abc");
    bench.write(DATA, b'x');
    bench.write(INTERRUPT_IDENTIFICATION, FCR_ENABLE | FCR_CLEAR_RECEIVER);
    assert_eq!(bench.read(LINE_STATUS) & (LSR_DATA_READY | LSR_HOLDING_EMPTY), 0);
    bench.write(INTERRUPT_IDENTIFICATION, FCR_ENABLE | FCR_CLEAR_TRANSMITTER);
    assert_eq!(bench.read(LINE_STATUS) & LSR_HOLDING_EMPTY, LSR_HOLDING_EMPTY);
    bench.uart.receive(b"abc");
    bench.write(INTERRUPT_IDENTIFICATION, 0);
    assert_eq!((bench.read(LINE_STATUS) & LSR_DATA_READY, bench.interrupt()), (0, IIR_NONE));
}

#[test]
fn divisor_and_scratch_hold_what_is_written() {
    let mut bench = bench(0);
    bench.write(LINE_CONTROL, LCR_DIVISOR_ACCESS);
    bench.uart.port_write(0, DATA, &[0x34, 0x12]);
    bench.write(SCRATCH, 0x5a);
    let mut divisor = [0; 2];
    bench.uart.port_read(0, DATA, &mut divisor);
    assert_eq!((divisor, bench.read(SCRATCH)), ([0x34, 0x12], 0x5a));
    bench.write(LINE_CONTROL, 0);
    bench.write(INTERRUPT_ENABLE, 0xff);
    assert_eq!(bench.read(INTERRUPT_ENABLE), 0x0f);
}

#[test]
fn a_restored_port_goes_on_where_it_was() {
    let mut old = bench(0);
    old.set_up(FCR_ENABLE | 0xc0, IER_RECEIVED);
    old.uart.receive(b"in");
    old.write(DATA, b'o');
    old.clock.advance(Duration::from_nanos(300_000));
    let saved = old.uart.save().unwrap();
    let mut new = bench(8);
    new.uart.restore(&saved).unwrap();
    assert!(new.edges.0.lock().is_empty());
    new.uart.start();
    assert_eq!(new.cable.lock().sent, b"o");
    assert_eq!(new.uart.timer.deadline(), Some(Duration::from_nanos(47_222)));
    assert_eq!([new.read(DATA), new.read(DATA)], *b"in");
}

#[test]
fn an_impossible_state_is_refused() {
    let good: saved::Uart = new_uart().save().unwrap().open().unwrap();
    let bytes = |len| Bytes(vec![0; len]);
    let broken = [
        saved::Uart { interrupt_enable: 0x10, ..good.clone() },
        saved::Uart { fifo_control: 0x02, ..good.clone() },
        saved::Uart { line_errors: 1, ..good.clone() },
        saved::Uart { outside: 1, ..good.clone() },
        saved::Uart { received: bytes(2), received_errors: bytes(2), ..good.clone() },
        saved::Uart { received: bytes(1), ..good.clone() },
        saved::Uart { sending: bytes(17), fifo_control: FCR_ENABLE, ..good.clone() },
        saved::Uart { received: bytes(1), received_errors: Bytes(vec![1]), ..good.clone() },
    ];
    for state in broken {
        let unit = SavedUnit::of(&state).unwrap();
        assert!(matches!(new_uart().restore(&unit), Err(RestoreError::Impossible { .. })), "{state:?}");
    }
}
