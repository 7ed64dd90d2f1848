//! The real-time clock with its CMOS memory: a Motorola MC146818A as the ICH9 has it (Intel I/O Controller Hub 9
//! data sheet, section 5.11 "Real Time Clock" and 13.6 "RTC registers"): 14 bytes of clock and 242 of memory in
//! two banks.
//!
//! The time is the host's wall clock plus an offset that the guest changes when it sets the clock. A timer is
//! armed only while an interrupt is enabled; everything else is computed when the guest looks.
//!
//! Left out: daylight saving (bit DSE is kept and does nothing, as on the ICH9), the square wave (the ICH9 has
//! no pin), the date alarm in register D, the locks of the upper bank. A periodic tick that comes while the last
//! one is still unread is lost, as in the hardware.

mod calendar;
mod contents;
mod saved;
#[cfg(test)]
mod tests;

use std::time::Duration;

use calendar::{Alarm, Civil, Form};
pub use contents::{BootDevice, CmosConfig};
use machine::{
    access,
    component::Component,
    device::{Device, PortIo},
    line::InterruptLine,
    saved::{Bytes, RestoreError, SaveError, SavedState, SavedUnit},
    time::{Clock, Timer},
};

/// The clock's ports: region number, first port, length. Ports 0x74 to 0x77 alias 0x70 to 0x73.
pub const PORTS: (u8, u16, u16) = (0, 0x70, 8);
/// The interrupt request that the clock is wired to.
pub const IRQ: u32 = 8;
/// The CMOS byte that holds the century (ACPI's FADT names it).
pub const CENTURY: u8 = 0x32;

const SECONDS: u8 = 0x00;
const SECONDS_ALARM: u8 = 0x01;
const MINUTES: u8 = 0x02;
const MINUTES_ALARM: u8 = 0x03;
const HOURS: u8 = 0x04;
const HOURS_ALARM: u8 = 0x05;
const DAY_OF_WEEK: u8 = 0x06;
const DAY_OF_MONTH: u8 = 0x07;
const MONTH: u8 = 0x08;
const YEAR: u8 = 0x09;
const STATUS_A: u8 = 0x0a;
const STATUS_B: u8 = 0x0b;
const STATUS_C: u8 = 0x0c;
const STATUS_D: u8 = 0x0d;

/// The registers that count.
const COUNTERS: [u8; 8] = [SECONDS, MINUTES, HOURS, DAY_OF_WEEK, DAY_OF_MONTH, MONTH, YEAR, CENTURY];

const NMI_DISABLE: u8 = 0x80;

const A_UPDATE_IN_PROGRESS: u8 = 0x80;
const A_DIVIDER_RESET: u8 = 0x60;
const A_RATE: u8 = 0x0f;

const B_SET: u8 = 0x80;
const B_UPDATE_INTERRUPT: u8 = 0x10;
const B_SQUARE_WAVE: u8 = 0x08;
const B_BINARY: u8 = 0x04;
const B_24_HOURS: u8 = 0x02;

const C_INTERRUPT: u8 = 0x80;
// The flags of register C have the positions of their enables in register B.
const PERIODIC: u8 = 0x40;
const ALARM: u8 = 0x20;
const UPDATE: u8 = 0x10;

/// Valid RAM and time: the battery is good.
const D_VALID: u8 = 0x80;

const NANOS: i128 = 1_000_000_000;
/// The crystal's frequency, in Hz.
const CRYSTAL: i128 = 32_768;
/// From the rise of UIP to the end of the update: 244 µs of warning and 1984 µs of update cycle.
const UPDATE_NANOS: i128 = 2_228_000;
/// Wall clocks get set: while an alarm is enabled, the clock looks again at least this often.
const LOOK_AGAIN: i128 = 60 * NANOS;

/// The real-time clock.
pub struct Rtc {
    clock: Clock,
    timer: Timer,
    line: InterruptLine,
    running: bool,

    index: u8,
    extended_index: u8,
    cmos: [u8; 256],
    /// Register C without IRQF.
    flags: u8,
    /// The clock's time minus the wall clock, in nanoseconds.
    offset: i128,
    weekday_shift: i64,
    /// Machine time, in nanoseconds, at which the divider chain stood at zero.
    divider_start: i128,
    /// The last crystal tick and the last second whose events are in `flags`.
    seen_tick: i128,
    seen_second: i64,
}

impl Rtc {
    /// A clock with CMOS memory according to `config`, on `timer` (whose callback is to call
    /// [`Rtc::timer_fired`]), that interrupts by `line`.
    #[must_use]
    pub fn new(config: &CmosConfig, clock: Clock, timer: Timer, line: InterruptLine) -> Self {
        let mut rtc = Rtc {
            divider_start: clock.now().as_nanos() as i128,
            clock,
            timer,
            line,
            running: false,
            index: NMI_DISABLE,
            extended_index: 0,
            cmos: contents::contents(config),
            flags: 0,
            offset: i128::from(config.offset_seconds) * NANOS,
            weekday_shift: 0,
            seen_tick: 0,
            seen_second: 0,
        };
        rtc.seen_second = rtc.time().0;
        rtc
    }

    /// The timer fired.
    pub fn timer_fired(&mut self) {
        if self.running {
            self.update();
        }
    }

    /// Whether the guest masks non-maskable interrupts (bit 7 of port 0x70).
    #[must_use]
    pub fn nmi_masked(&self) -> bool {
        self.index & NMI_DISABLE != 0
    }

    /// How far the clock is ahead of UTC, in seconds, rounded: what to remember over a power-off.
    #[must_use]
    pub fn offset_seconds(&self) -> i64 {
        (self.offset + NANOS / 2).div_euclid(NANOS) as i64
    }

    /// The clock's time: seconds since the Unix epoch, and nanoseconds.
    fn time(&self) -> (i64, i128) {
        let nanos = self.clock.wall().as_nanos() as i128 + self.offset;
        (nanos.div_euclid(NANOS) as i64, nanos.rem_euclid(NANOS))
    }

    fn status_a(&self) -> u8 {
        self.cmos[usize::from(STATUS_A)]
    }

    fn status_b(&self) -> u8 {
        self.cmos[usize::from(STATUS_B)]
    }

    fn form(&self) -> Form {
        Form { binary: self.status_b() & B_BINARY != 0, hours_24: self.status_b() & B_24_HOURS != 0 }
    }

    fn divider_in_reset(&self) -> bool {
        self.status_a() & A_DIVIDER_RESET == A_DIVIDER_RESET
    }

    /// No update cycles: the counters hold what is written to them.
    fn halted(&self) -> bool {
        self.status_b() & B_SET != 0 || self.divider_in_reset()
    }

    /// Crystal ticks since the divider chain stood at zero.
    fn ticks(&self) -> i128 {
        (self.clock.now().as_nanos() as i128 - self.divider_start) * CRYSTAL / NANOS
    }

    /// The periodic interrupt's period in crystal ticks, if there is one.
    fn period(&self) -> Option<i128> {
        match self.status_a() & A_RATE {
            _ if self.divider_in_reset() => None,
            0 => None,
            // With this crystal, rates 1 and 2 are those of 8 and 9.
            rate @ 1..=2 => Some(1 << (rate + 6)),
            rate => Some(1 << (rate - 1)),
        }
    }

    fn alarm(&self) -> Alarm {
        const DONT_CARE: u8 = 0xc0;
        let (form, raw) = (self.form(), |register: u8| self.cmos[usize::from(register)]);
        let field = |register| (raw(register) < DONT_CARE).then(|| form.decode(raw(register)));
        Alarm {
            hour: (raw(HOURS_ALARM) < DONT_CARE).then(|| form.decode_hour(raw(HOURS_ALARM))),
            minute: field(MINUTES_ALARM),
            second: field(SECONDS_ALARM),
        }
    }

    /// Puts into `flags` what has happened since the last look.
    fn catch_up(&mut self) {
        let tick = self.ticks();
        if self.period().is_some_and(|period| tick.div_euclid(period) > self.seen_tick.div_euclid(period)) {
            self.flags |= PERIODIC;
        }
        self.seen_tick = tick;
        if !self.halted() {
            let (second, _) = self.time();
            if second > self.seen_second {
                self.flags |= UPDATE;
                if self.alarm().next(self.seen_second).is_some_and(|time| time <= second) {
                    self.flags |= ALARM;
                }
            }
            self.seen_second = second;
        }
    }

    fn interrupting(&self) -> bool {
        self.flags & self.status_b() != 0
    }

    /// Brings flags, line and timer up to date.
    fn update(&mut self) {
        self.catch_up();
        let high = self.interrupting();
        self.line.set(high);
        self.schedule();
    }

    /// Arms the timer for the next event that would interrupt.
    fn schedule(&self) {
        let waited_for = self.status_b() & !self.flags;
        let now = self.clock.now().as_nanos() as i128;
        let mut deadlines = [None; 3];
        if waited_for & PERIODIC != 0
            && let Some(period) = self.period()
        {
            let next = (self.seen_tick.div_euclid(period) + 1) * period;
            deadlines[0] = Some(self.divider_start + (next * NANOS + CRYSTAL - 1) / CRYSTAL);
        }
        if !self.halted() {
            let (second, nanos) = self.time();
            if waited_for & UPDATE != 0 {
                deadlines[1] = Some(now + NANOS - nanos);
            }
            if waited_for & ALARM != 0
                && let Some(time) = self.alarm().next(second)
            {
                deadlines[2] = Some(now + (i128::from(time - second) * NANOS - nanos).min(LOOK_AGAIN));
            }
        }
        match deadlines.into_iter().flatten().min() {
            Some(deadline) if self.running => self.timer.arm(Duration::from_nanos(deadline.max(0) as u64)),
            _ => self.timer.disarm(),
        }
    }

    /// The counters' registers for the clock's present time.
    fn counters(&self) -> [(u8, u8); COUNTERS.len()] {
        let (seconds, _) = self.time();
        let (now, form) = (Civil::from_seconds(seconds), self.form());
        [
            (SECONDS, form.encode(now.second)),
            (MINUTES, form.encode(now.minute)),
            (HOURS, form.encode_hour(now.hour)),
            (DAY_OF_WEEK, form.encode((calendar::weekday(seconds) + self.weekday_shift) % 7 + 1)),
            (DAY_OF_MONTH, form.encode(now.day)),
            (MONTH, form.encode(now.month)),
            (YEAR, form.encode(now.year)),
            (CENTURY, form.encode(now.year.div_euclid(100))),
        ]
    }

    fn copy_counters_to_memory(&mut self) {
        for (register, value) in self.counters() {
            self.cmos[usize::from(register)] = value;
        }
    }

    /// The clock goes on from what the counters' registers hold, with `nanos` of the second gone.
    fn set_time_from_memory(&mut self, nanos: i128) {
        let (form, raw) = (self.form(), |register: u8| self.cmos[usize::from(register)]);
        let set = Civil {
            year: form.decode(raw(CENTURY)) * 100 + form.decode(raw(YEAR)),
            month: form.decode(raw(MONTH)),
            day: form.decode(raw(DAY_OF_MONTH)),
            hour: form.decode_hour(raw(HOURS)),
            minute: form.decode(raw(MINUTES)),
            second: form.decode(raw(SECONDS)),
        };
        let seconds = set.to_seconds();
        self.weekday_shift = (form.decode(raw(DAY_OF_WEEK)) - 1 - calendar::weekday(seconds)).rem_euclid(7);
        self.offset = i128::from(seconds) * NANOS + nanos - self.clock.wall().as_nanos() as i128;
        self.seen_second = seconds;
    }

    fn read_register(&mut self, register: u8) -> u8 {
        match register {
            STATUS_A => {
                let in_progress = !self.halted() && self.time().1 >= NANOS - UPDATE_NANOS;
                self.status_a() | if in_progress { A_UPDATE_IN_PROGRESS } else { 0 }
            }
            STATUS_C => {
                self.catch_up();
                let value = self.flags | if self.interrupting() { C_INTERRUPT } else { 0 };
                self.flags = 0;
                // The line falls even if the next tick is due by now: without an edge there is no more interrupt.
                self.line.set(false);
                self.schedule();
                value
            }
            STATUS_D => D_VALID,
            _ if COUNTERS.contains(&register) && !self.halted() => {
                self.counters().iter().find(|(counter, _)| *counter == register).map_or(0, |&(_, value)| value)
            }
            _ => self.cmos[usize::from(register)],
        }
    }

    fn write_register(&mut self, register: u8, value: u8) {
        self.catch_up();
        match register {
            STATUS_A | STATUS_B => self.write_control(register, value),
            STATUS_C | STATUS_D => {}
            _ if COUNTERS.contains(&register) && !self.halted() => {
                let (_, nanos) = self.time();
                self.copy_counters_to_memory();
                self.cmos[usize::from(register)] = value;
                self.set_time_from_memory(nanos);
            }
            _ => self.cmos[usize::from(register)] = value,
        }
        self.update();
    }

    fn write_control(&mut self, register: u8, value: u8) {
        let (was_halted, was_in_reset) = (self.halted(), self.divider_in_reset());
        let (_, nanos) = self.time();
        if !was_halted {
            self.copy_counters_to_memory();
        }
        let status = &mut self.cmos[usize::from(register)];
        if register == STATUS_A {
            *status = value & !A_UPDATE_IN_PROGRESS;
        } else {
            // SET ends an update under way, and its interrupt with it.
            *status = if value & B_SET != 0 { value & !B_UPDATE_INTERRUPT } else { value };
        }
        let mut nanos = nanos;
        if was_in_reset && !self.divider_in_reset() {
            // The first update comes half a second after the divider chain is let go.
            nanos = NANOS / 2;
            self.divider_start = self.clock.now().as_nanos() as i128;
            self.seen_tick = 0;
            self.offset += nanos - self.time().1;
        }
        if was_halted && !self.halted() {
            self.set_time_from_memory(nanos);
        }
    }
}

impl PortIo for Rtc {
    fn port_read(&mut self, _region: u8, offset: u16, data: &mut [u8]) {
        access::read_bytewise(offset, data, |port| match port {
            1 | 5 => self.read_register(self.index & !NMI_DISABLE),
            2 | 6 => self.extended_index,
            3 | 7 => self.read_register(self.extended_index | 0x80),
            // Port 0x70 can only be written; its alias gives the index.
            4 => self.index & !NMI_DISABLE,
            _ => 0xff,
        });
    }

    fn port_write(&mut self, _region: u8, offset: u16, data: &[u8]) {
        access::write_bytewise(offset, data, |port, value| match port {
            0 | 4 => self.index = value,
            1 | 5 => self.write_register(self.index & !NMI_DISABLE, value),
            2 | 6 => self.extended_index = value & 0x7f,
            3 | 7 => self.write_register(self.extended_index | 0x80, value),
            _ => {}
        });
    }
}

impl Component for Rtc {
    fn name(&self) -> &str {
        "rtc"
    }

    fn start(&mut self) {
        self.running = true;
        self.update();
    }

    fn stop(&mut self) {
        self.running = false;
        self.timer.disarm();
    }

    /// The clock and its memory run on a battery: a reset ends the interrupts, and that is all.
    fn reset(&mut self) {
        self.catch_up();
        self.index = NMI_DISABLE;
        self.extended_index = 0;
        self.cmos[usize::from(STATUS_B)] &= !(PERIODIC | ALARM | UPDATE | B_SQUARE_WAVE);
        self.flags = 0;
        self.update();
    }

    fn save(&mut self) -> Result<SavedUnit, SaveError> {
        self.catch_up();
        let phase = self.clock.now().as_nanos() as i128 - self.divider_start;
        SavedUnit::of(&saved::Rtc {
            index: self.index,
            extended_index: self.extended_index,
            cmos: Bytes(self.cmos.to_vec()),
            flags: self.flags,
            offset_seconds: self.offset.div_euclid(NANOS) as i64,
            offset_nanos: self.offset.rem_euclid(NANOS) as u32,
            weekday_shift: self.weekday_shift as u8,
            divider_nanos: phase.rem_euclid(NANOS) as u32,
            seen_second: self.seen_second,
        })
    }

    fn restore(&mut self, unit: &SavedUnit) -> Result<(), RestoreError> {
        let state: saved::Rtc = unit.open()?;
        let impossible =
            |what: &str| RestoreError::Impossible { kind: <saved::Rtc as SavedState>::KIND, what: what.to_owned() };
        let cmos: [u8; 256] = state.cmos.0.try_into().map_err(|_| impossible("memory that isn't 256 bytes"))?;
        // Years 0 to 25599 from any wall clock are within this.
        let range = -(1_i64 << 41)..1 << 41;
        if !range.contains(&state.offset_seconds) || !range.contains(&state.seen_second) {
            return Err(impossible("a time beyond the calendar"));
        }
        if i128::from(state.offset_nanos) >= NANOS || i128::from(state.divider_nanos) >= NANOS {
            return Err(impossible("a second of more than a second"));
        }
        if state.weekday_shift >= 7 || state.flags & !(PERIODIC | ALARM | UPDATE) != 0 || state.extended_index > 0x7f {
            return Err(impossible("register bits that don't exist"));
        }
        self.index = state.index;
        self.extended_index = state.extended_index;
        self.cmos = cmos;
        self.cmos[usize::from(STATUS_A)] &= !A_UPDATE_IN_PROGRESS;
        self.flags = state.flags;
        self.offset = i128::from(state.offset_seconds) * NANOS + i128::from(state.offset_nanos);
        self.weekday_shift = state.weekday_shift.into();
        self.divider_start = self.clock.now().as_nanos() as i128 - i128::from(state.divider_nanos);
        self.seen_tick = self.ticks();
        self.seen_second = state.seen_second;
        let high = self.interrupting();
        self.line.restore(high);
        self.schedule();
        Ok(())
    }
}

impl Device for Rtc {
    fn port_io(&mut self) -> Option<&mut dyn PortIo> {
        Some(self)
    }
}
