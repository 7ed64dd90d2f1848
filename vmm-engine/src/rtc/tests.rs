use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use machine::{device_contract, line::LineTarget, time::TimerQueue};
use parking_lot::{Condvar, Mutex};
use time::{OffsetDateTime, macros::datetime};

use super::*;

const SECOND: Duration = Duration::from_secs(1);
/// A Wednesday.
const POWER_ON: OffsetDateTime = datetime!(2026-11-25 23:58:30 UTC);

fn config() -> CmosConfig {
    CmosConfig {
        memory_below_4g: 1 << 30,
        memory_above_4g: 0,
        cpus: 2,
        boot_order: vec![BootDevice::HardDisk],
        offset_seconds: 0,
    }
}

fn clock_at(time: OffsetDateTime) -> Clock {
    Clock::manual(Duration::from_secs(time.unix_timestamp() as u64))
}

fn new_rtc() -> Rtc {
    Rtc::new(&config(), clock_at(POWER_ON), Timer::detached(), InterruptLine::detached())
}

fn running() -> (Rtc, Clock) {
    let mut rtc = new_rtc();
    rtc.start();
    let clock = rtc.clock.clone();
    (rtc, clock)
}

device_contract!(contract, new_rtc(), &[Region::Port { region: 0, len: 8 }], |before: SavedUnit| {
    let mut kept: saved::Rtc = before.open().unwrap();
    kept.cmos.0[usize::from(STATUS_B)] &= !(PERIODIC | ALARM | UPDATE | B_SQUARE_WAVE);
    kept.flags = 0;
    kept.index = NMI_DISABLE;
    kept.extended_index = 0;
    SavedUnit::of(&kept).unwrap()
});

fn read(rtc: &mut Rtc, register: u8) -> u8 {
    let mut data = [0];
    rtc.port_write(0, 0, &[register]);
    rtc.port_read(0, 1, &mut data);
    data[0]
}

fn write(rtc: &mut Rtc, register: u8, value: u8) {
    rtc.port_write(0, 0, &[register]);
    rtc.port_write(0, 1, &[value]);
}

/// Century, year, month, day, hour, minute, second, weekday.
fn date(rtc: &mut Rtc) -> [u8; 8] {
    [CENTURY, YEAR, MONTH, DAY_OF_MONTH, HOURS, MINUTES, SECONDS, DAY_OF_WEEK].map(|register| read(rtc, register))
}

fn set_date(rtc: &mut Rtc, values: [u8; 7]) {
    let registers = [CENTURY, YEAR, MONTH, DAY_OF_MONTH, HOURS, MINUTES, SECONDS];
    let status = read(rtc, STATUS_B);
    write(rtc, STATUS_B, status | B_SET);
    for (register, value) in registers.into_iter().zip(values) {
        write(rtc, register, value);
    }
    write(rtc, STATUS_B, status);
}

/// What the timer thread does: moves the clock to the timer's deadline and calls.
fn wait_for_timer(rtc: &mut Rtc, clock: &Clock) -> Duration {
    let before = clock.now();
    let deadline = rtc.timer.deadline().expect("the timer is armed");
    clock.advance(deadline - before);
    rtc.timer.disarm();
    rtc.timer_fired();
    deadline - before
}

#[test]
fn the_time_is_the_wall_clocks_in_each_form() {
    let (mut rtc, clock) = running();
    assert_eq!(date(&mut rtc), [0x20, 0x26, 0x11, 0x25, 0x23, 0x58, 0x30, 0x04]);
    write(&mut rtc, STATUS_B, B_BINARY | B_24_HOURS);
    assert_eq!(date(&mut rtc), [20, 26, 11, 25, 23, 58, 30, 4]);
    write(&mut rtc, STATUS_B, B_BINARY);
    assert_eq!(read(&mut rtc, HOURS), 0x80 | 11);
    clock.advance(90 * SECOND);
    assert_eq!(date(&mut rtc), [20, 26, 11, 26, 12, 0, 0, 5]);
}

#[test]
fn a_guest_sets_the_clock_and_it_goes_on_from_there() {
    let (mut rtc, clock) = running();
    set_date(&mut rtc, [0x19, 0x99, 0x12, 0x31, 0x23, 0x59, 0x58]);
    clock.advance(3 * SECOND);
    assert_eq!(date(&mut rtc)[..7], [0x20, 0x00, 0x01, 0x01, 0x00, 0x00, 0x01]);
    let expected = datetime!(1999-12-31 23:59:58 UTC) - POWER_ON;
    assert_eq!(rtc.offset_seconds(), expected.whole_seconds());
}

#[test]
fn one_counter_written_while_the_clock_runs_changes_that_one() {
    let (mut rtc, clock) = running();
    write(&mut rtc, HOURS, 0x07);
    write(&mut rtc, DAY_OF_WEEK, 0x01);
    clock.advance(SECOND);
    assert_eq!(date(&mut rtc), [0x20, 0x26, 0x11, 0x25, 0x07, 0x58, 0x31, 0x01]);
}

#[test]
fn the_clock_stands_still_while_set_is_on() {
    let (mut rtc, clock) = running();
    write(&mut rtc, STATUS_B, B_SET | B_24_HOURS | B_UPDATE_INTERRUPT);
    clock.advance(10 * SECOND);
    assert_eq!((read(&mut rtc, SECONDS), read(&mut rtc, STATUS_C) & !PERIODIC), (0x30, 0));
    assert_eq!(read(&mut rtc, STATUS_B), B_SET | B_24_HOURS, "SET clears the update interrupt's enable");
    write(&mut rtc, STATUS_B, B_24_HOURS);
    clock.advance(SECOND);
    assert_eq!(read(&mut rtc, SECONDS), 0x31);
}

#[test]
fn the_first_update_comes_half_a_second_after_divider_reset() {
    let (mut rtc, clock) = running();
    write(&mut rtc, STATUS_B, B_SET | B_24_HOURS);
    write(&mut rtc, STATUS_A, 0x70);
    write(&mut rtc, SECONDS, 0x10);
    write(&mut rtc, STATUS_B, B_24_HOURS);
    clock.advance(5 * SECOND);
    assert_eq!(read(&mut rtc, SECONDS), 0x10);
    write(&mut rtc, STATUS_A, 0x26);
    clock.advance(SECOND / 2 - Duration::from_millis(1));
    assert_eq!((read(&mut rtc, SECONDS), read(&mut rtc, STATUS_A)), (0x10, 0xa6));
    clock.advance(Duration::from_millis(1));
    assert_eq!((read(&mut rtc, SECONDS), read(&mut rtc, STATUS_A)), (0x11, 0x26));
}

#[test]
fn update_in_progress_shows_for_2228_microseconds_before_each_second() {
    let (mut rtc, clock) = running();
    let mut seen = Vec::new();
    for wait in [0, 997_771, 1, 2_227, 1] {
        clock.advance(Duration::from_micros(wait));
        seen.push((read(&mut rtc, STATUS_A) >> 7, read(&mut rtc, SECONDS)));
    }
    assert_eq!(seen, [(0, 0x30), (0, 0x30), (1, 0x30), (1, 0x30), (0, 0x31)]);
}

#[test]
fn update_ended_interrupts_each_second_once_it_was_read() {
    let (mut rtc, clock) = running();
    clock.advance(Duration::from_millis(300));
    write(&mut rtc, STATUS_B, B_24_HOURS | B_UPDATE_INTERRUPT);
    assert_eq!(wait_for_timer(&mut rtc, &clock), Duration::from_millis(700));
    assert!(rtc.line.level());
    assert_eq!(rtc.timer.deadline(), None, "nothing more can interrupt before register C is read");
    clock.advance(3 * SECOND);
    assert_eq!((read(&mut rtc, STATUS_C) & !PERIODIC, rtc.line.level()), (C_INTERRUPT | UPDATE, false));
    assert_eq!(read(&mut rtc, STATUS_C), 0);
    assert_eq!(wait_for_timer(&mut rtc, &clock), SECOND);
    assert!(rtc.line.level());
}

#[test]
fn flags_come_without_their_interrupts_too() {
    let (mut rtc, clock) = running();
    clock.advance(SECOND);
    assert_eq!((read(&mut rtc, STATUS_C), rtc.line.level()), (PERIODIC | UPDATE, false));
    clock.advance(SECOND);
    write(&mut rtc, STATUS_B, B_24_HOURS | B_UPDATE_INTERRUPT);
    assert!(rtc.line.level(), "an enable finds the flag set");
}

#[test]
fn every_periodic_rate_has_its_period() {
    let expected_micros =
        [3906, 7812, 122, 244, 488, 976, 1953, 3906, 7812, 15_625, 31_250, 62_500, 125_000, 250_000, 500_000];
    for (rate, micros) in (1_u8..).zip(expected_micros) {
        let (mut rtc, clock) = running();
        write(&mut rtc, STATUS_A, 0x20 | rate);
        write(&mut rtc, STATUS_B, B_24_HOURS | PERIODIC);
        let ticks = (0..4).map(|_| {
            let waited = wait_for_timer(&mut rtc, &clock);
            assert_eq!(read(&mut rtc, STATUS_C) & (C_INTERRUPT | PERIODIC), C_INTERRUPT | PERIODIC);
            waited
        });
        let total: Duration = ticks.sum();
        assert!(total.as_micros().abs_diff(4 * micros) <= 4, "rate {rate}: {total:?}");
    }
}

#[test]
fn no_timer_runs_while_no_interrupt_is_enabled() {
    let (mut rtc, _clock) = running();
    assert_eq!(rtc.timer.deadline(), None);
    write(&mut rtc, STATUS_B, B_24_HOURS | PERIODIC);
    assert!(rtc.timer.deadline().is_some());
    rtc.stop();
    assert_eq!(rtc.timer.deadline(), None);
    rtc.start();
    assert!(rtc.timer.deadline().is_some());
    write(&mut rtc, STATUS_A, 0x20);
    assert_eq!(rtc.timer.deadline(), None, "rate 0 has no ticks");
}

#[test]
fn the_alarm_goes_off_at_its_time_and_with_dont_cares_again() {
    let (mut rtc, clock) = running();
    for (register, value) in [(HOURS_ALARM, 0xff), (MINUTES_ALARM, 0xc0), (SECONDS_ALARM, 0x05)] {
        write(&mut rtc, register, value);
    }
    write(&mut rtc, STATUS_B, B_24_HOURS | ALARM);
    assert_eq!(wait_for_timer(&mut rtc, &clock), 35 * SECOND);
    assert_eq!(read(&mut rtc, STATUS_C) & (C_INTERRUPT | ALARM), C_INTERRUPT | ALARM);
    write(&mut rtc, HOURS_ALARM, 0x00);
    write(&mut rtc, MINUTES_ALARM, 0x00);
    assert_eq!(wait_for_timer(&mut rtc, &clock), 60 * SECOND);
    assert_eq!(read(&mut rtc, STATUS_C) & ALARM, ALARM);
    assert_eq!(date(&mut rtc)[4..7], [0x00, 0x00, 0x05]);
}

#[test]
fn an_alarm_passed_while_nobody_looked_is_flagged() {
    let (mut rtc, clock) = running();
    for (register, value) in [(HOURS_ALARM, 0x12), (MINUTES_ALARM, 0x00), (SECONDS_ALARM, 0x00)] {
        write(&mut rtc, register, value);
    }
    clock.advance(12 * 3600 * SECOND);
    assert_eq!(read(&mut rtc, STATUS_C) & ALARM, 0);
    clock.advance(3600 * SECOND);
    assert_eq!(read(&mut rtc, STATUS_C) & ALARM, ALARM);
}

#[test]
fn both_banks_of_memory_hold_what_is_written() {
    let (mut rtc, _clock) = running();
    write(&mut rtc, 0x7f, 0x11);
    rtc.port_write(0, 2, &[0xff, 0x22]);
    rtc.port_write(0, 2, &[0x00]);
    rtc.port_write(0, 3, &[0x33]);
    let (mut low, mut high, mut first) = ([0; 2], [0; 2], [0]);
    rtc.port_write(0, 4, &[0x7f]);
    rtc.port_read(0, 4, &mut low);
    rtc.port_read(0, 3, &mut first);
    rtc.port_write(0, 2, &[0x7f]);
    rtc.port_read(0, 2, &mut high);
    assert_eq!((low, high, first), ([0x7f, 0x11], [0x7f, 0x22], [0x33]));
}

#[test]
fn memory_and_time_survive_a_reset_and_interrupts_do_not() {
    let (mut rtc, clock) = running();
    write(&mut rtc, 0x40, 0x5a);
    set_date(&mut rtc, [0x20, 0x00, 0x01, 0x01, 0x00, 0x00, 0x00]);
    write(&mut rtc, STATUS_B, B_24_HOURS | UPDATE | PERIODIC);
    wait_for_timer(&mut rtc, &clock);
    assert!(rtc.line.level());
    rtc.reset();
    assert!(!rtc.line.level() && rtc.nmi_masked());
    assert_eq!((read(&mut rtc, 0x40), read(&mut rtc, STATUS_B), read(&mut rtc, YEAR)), (0x5a, B_24_HOURS, 0x00));
}

#[test]
fn bit_7_of_the_index_masks_nmi_and_selects_nothing() {
    let (mut rtc, _clock) = running();
    rtc.port_write(0, 0, &[0x80 | STATUS_D]);
    let mut data = [0; 2];
    rtc.port_read(0, 0, &mut data);
    assert_eq!((data, rtc.nmi_masked()), ([0xff, D_VALID], true));
    rtc.port_write(0, 0, &[STATUS_D]);
    assert!(!rtc.nmi_masked());
}

#[test]
fn a_restored_clock_keeps_its_time_and_its_pending_interrupt() {
    let (mut rtc, clock) = running();
    set_date(&mut rtc, [0x20, 0x10, 0x06, 0x15, 0x12, 0x00, 0x00]);
    write(&mut rtc, STATUS_B, B_24_HOURS | UPDATE);
    wait_for_timer(&mut rtc, &clock);
    rtc.stop();
    let saved = rtc.save().unwrap();
    let mut later = Rtc::new(
        &config(),
        clock_at(POWER_ON + Duration::from_secs(3601)),
        Timer::detached(),
        InterruptLine::detached(),
    );
    later.restore(&saved).unwrap();
    later.start();
    assert!(later.line.level());
    assert_eq!(date(&mut later)[4..7], [0x13, 0x00, 0x01]);
}

#[test]
fn an_impossible_state_is_refused() {
    let good: saved::Rtc = new_rtc().save().unwrap().open().unwrap();
    let broken = [
        saved::Rtc { cmos: Bytes(vec![0; 255]), ..clone(&good) },
        saved::Rtc { offset_seconds: i64::MIN, ..clone(&good) },
        saved::Rtc { seen_second: i64::MAX, ..clone(&good) },
        saved::Rtc { offset_nanos: 1_000_000_000, ..clone(&good) },
        saved::Rtc { weekday_shift: 7, ..clone(&good) },
        saved::Rtc { flags: 0x80, ..clone(&good) },
    ];
    for state in broken {
        let unit = SavedUnit::of(&state).unwrap();
        assert!(matches!(new_rtc().restore(&unit), Err(RestoreError::Impossible { .. })), "{state:?}");
    }
}

fn clone(state: &saved::Rtc) -> saved::Rtc {
    SavedUnit::of(state).unwrap().open().unwrap()
}

#[test]
fn on_the_timer_thread_a_guest_gets_its_ticks() {
    let clock = Clock::host();
    clock.resume();
    let queue = TimerQueue::new(clock.clone()).unwrap();
    let (timer, target) = (queue.timer(), Arc::new(Ticks::default()));
    let line = InterruptLine::new(target.clone(), IRQ);
    let rtc = Arc::new(Mutex::new(Rtc::new(&config(), clock, timer.clone(), line)));
    let weak = Arc::downgrade(&rtc);
    timer.connect(move || weak.upgrade().into_iter().for_each(|rtc| rtc.lock().timer_fired()));
    rtc.lock().start();
    // 8192 Hz: often the next tick is due while register C is read.
    write(&mut rtc.lock(), STATUS_A, 0x23);
    write(&mut rtc.lock(), STATUS_B, B_24_HOURS | PERIODIC);
    for tick in 1..=2000 {
        let mut ticks = target.ticks.lock();
        let timed_out = target.came.wait_while_for(&mut ticks, |ticks| *ticks < tick, 20 * SECOND).timed_out();
        assert!(!timed_out, "tick {tick} never came");
        drop(ticks);
        read(&mut rtc.lock(), STATUS_C);
    }
}

/// Counts rising edges.
#[derive(Default)]
struct Ticks {
    ticks: Mutex<u32>,
    level: AtomicBool,
    came: Condvar,
}

impl LineTarget for Ticks {
    fn set_level(&self, _input: u32, high: bool) {
        let was_high = self.level.swap(high, Ordering::SeqCst);
        *self.ticks.lock() += u32::from(high && !was_high);
        self.came.notify_all();
    }
    fn restore_level(&self, _input: u32, _high: bool) {}
}
