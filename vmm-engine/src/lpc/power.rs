//! Power management (ICH9 data sheet, section 13.8; ACPI 6.4, section 4.8): the PM1 event and control blocks, the
//! power management timer, general purpose events, and what remains of the SMI registers without SMM.

use std::{sync::Arc, time::Duration};

use machine::{
    access,
    line::InterruptLine,
    time::{Clock, Timer},
};
use serde::{Deserialize, Serialize};

/// Length of the block at PMBASE, in ports.
pub const PORTS: u16 = 128;

const PM1_STS: u16 = 0x00;
const PM1_EN: u16 = 0x02;
const PM1_CNT: u16 = 0x04;
const PM1_TMR: u16 = 0x08;
const GPE0_STS: u16 = 0x20;
const GPE0_EN: u16 = 0x28;
const SMI_EN: u16 = 0x30;
const TCO1_CNT: u16 = 0x68;

const TMR_STS: u16 = 1 << 0;
const PWRBTN_STS: u16 = 1 << 8;
/// Status bits that a write of one clears: timer, bus master, global, power button, sleep button, RTC, wake.
const PM1_STS_BITS: u16 = 0x8731;
/// Enable bits: timer, global, power button, RTC.
const PM1_EN_BITS: u16 = 0x0521;

const SCI_EN: u16 = 1 << 0;
const SLP_EN: u16 = 1 << 13;
const SLP_TYP_SHIFT: u32 = 10;

/// Global SMI and APM SMI enabled: firmware takes it that its handler is installed and leaves SMM alone.
const SMI_EN_VALUE: u32 = 1 << 5 | 1 << 0;
/// The watchdog stands still, whatever is written.
const TCO_TMR_HLT: u16 = 1 << 11;

/// Frequency of the timer, in hertz (ACPI 6.4, section 4.8.2.1).
const TIMER_HZ: u128 = 3_579_545;
/// The timer has 24 bits; its status bit is set each time the highest of them changes.
const TIMER_BITS: u32 = 24;
const HALF_ROUND: u128 = 1 << (TIMER_BITS - 1);

/// What the guest asked for by SLP_TYP and SLP_EN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SleepRequest {
    /// Soft off, S5.
    Off,
    /// Another type, which the ACPI tables don't offer.
    Unknown(u8),
}

/// The power management block.
pub(super) struct Power {
    sci: InterruptLine,
    clock: Clock,
    timer: Timer,
    sleep: Arc<dyn Fn(SleepRequest) + Send + Sync>,
    status: u16,
    enable: u16,
    control: u16,
    gpe_status: u64,
    gpe_enable: u64,
    /// Half rounds of the timer whose change of the highest bit is in the status already.
    half_rounds_seen: u64,
}

/// The block's saved form.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Saved {
    status: u16,
    enable: u16,
    control: u16,
    gpe_status: u64,
    gpe_enable: u64,
    half_rounds_seen: u64,
    sci: bool,
}

impl Power {
    pub(super) fn new(
        sci: InterruptLine,
        clock: Clock,
        timer: Timer,
        sleep: Arc<dyn Fn(SleepRequest) + Send + Sync>,
    ) -> Self {
        let mut power = Power {
            sci,
            clock,
            timer,
            sleep,
            status: 0,
            enable: 0,
            control: 0,
            gpe_status: 0,
            gpe_enable: 0,
            half_rounds_seen: 0,
        };
        power.reset();
        power
    }

    pub(super) fn reset(&mut self) {
        self.status = 0;
        self.enable = 0;
        // The tables name no SMI command port: the machine is in ACPI mode from the start.
        self.control = SCI_EN;
        self.gpe_status = 0;
        self.gpe_enable = 0;
        self.half_rounds_seen = self.half_rounds();
        self.update();
    }

    pub(super) fn press_button(&mut self) {
        self.status |= PWRBTN_STS;
        self.update();
    }

    pub(super) fn timer_fired(&mut self) {
        self.update();
    }

    pub(super) fn read(&mut self, offset: u16, data: &mut [u8]) {
        self.count_timer();
        let mut block = [0; PORTS as usize];
        let mut put = |at: u16, bytes: &[u8]| block[usize::from(at)..][..bytes.len()].copy_from_slice(bytes);
        put(PM1_STS, &self.status.to_le_bytes());
        put(PM1_EN, &self.enable.to_le_bytes());
        put(PM1_CNT, &self.control.to_le_bytes());
        put(PM1_TMR, &(self.ticks() as u32 & ((1 << TIMER_BITS) - 1)).to_le_bytes());
        put(GPE0_STS, &self.gpe_status.to_le_bytes());
        put(GPE0_EN, &self.gpe_enable.to_le_bytes());
        put(SMI_EN, &SMI_EN_VALUE.to_le_bytes());
        put(TCO1_CNT, &TCO_TMR_HLT.to_le_bytes());
        access::read_slice(&block, offset.into(), data);
    }

    pub(super) fn write(&mut self, offset: u16, data: &[u8]) {
        self.count_timer();
        access::write_bytewise(offset, data, |at, value| self.write_byte(at, value));
        self.update();
    }

    fn write_byte(&mut self, at: u16, value: u8) {
        /// `register` with its byte `at` replaced.
        fn with_byte(register: u16, at: u16, value: u8) -> u16 {
            let mut bytes = register.to_le_bytes();
            bytes[usize::from(at & 1)] = value;
            u16::from_le_bytes(bytes)
        }
        let in_eight = |base: u16| u64::from(value) << (8 * (at - base));
        match at {
            PM1_STS..PM1_EN => self.status &= !(with_byte(0, at, value) & PM1_STS_BITS),
            PM1_EN..PM1_CNT => self.enable = with_byte(self.enable, at, value) & PM1_EN_BITS,
            4 | 5 => self.write_control(with_byte(self.control, at, value)),
            GPE0_STS..GPE0_EN => self.gpe_status &= !in_eight(GPE0_STS),
            GPE0_EN..SMI_EN => {
                let mask = 0xff_u64 << (8 * (at - GPE0_EN));
                self.gpe_enable = self.gpe_enable & !mask | in_eight(GPE0_EN);
            }
            _ => {}
        }
    }

    fn write_control(&mut self, value: u16) {
        // SLP_EN and GBL_RLS read as zero. SCI_EN stays: there is no other mode.
        self.control = value & (7 << SLP_TYP_SHIFT | 1 << 1) | SCI_EN;
        if value & SLP_EN != 0 {
            let kind = (value >> SLP_TYP_SHIFT & 7) as u8;
            // The ICH9's code for soft off is 7; firmware that was written for other machines uses 0, which the
            // ICH9 calls "on" and where SLP_EN has no meaning.
            (self.sleep)(if kind == 0 || kind == 7 { SleepRequest::Off } else { SleepRequest::Unknown(kind) });
        }
    }

    fn ticks(&self) -> u128 {
        self.clock.now().as_nanos() * TIMER_HZ / 1_000_000_000
    }

    fn half_rounds(&self) -> u64 {
        (self.ticks() / HALF_ROUND) as u64
    }

    /// Sets TMR_STS if the timer's highest bit has changed since the last look.
    fn count_timer(&mut self) {
        let now = self.half_rounds();
        if now != self.half_rounds_seen {
            self.half_rounds_seen = now;
            self.status |= TMR_STS;
        }
    }

    fn update(&mut self) {
        self.count_timer();
        let pending = self.status & self.enable != 0 || self.gpe_status & self.gpe_enable != 0;
        self.sci.set(pending && self.control & SCI_EN != 0);
        self.schedule();
    }

    /// Arms the timer for the next change of the highest bit, if that would interrupt.
    fn schedule(&self) {
        if self.enable & TMR_STS != 0 && self.status & TMR_STS == 0 {
            let next = (u128::from(self.half_rounds_seen) + 1) * HALF_ROUND;
            let nanos = (next * 1_000_000_000).div_ceil(TIMER_HZ);
            self.timer.arm(Duration::from_nanos(nanos as u64));
        } else {
            self.timer.disarm();
        }
    }

    pub(super) fn save(&self) -> Saved {
        Saved {
            status: self.status,
            enable: self.enable,
            control: self.control,
            gpe_status: self.gpe_status,
            gpe_enable: self.gpe_enable,
            half_rounds_seen: self.half_rounds_seen,
            sci: self.sci.level(),
        }
    }

    pub(super) fn restore(&mut self, saved: &Saved) {
        self.status = saved.status & PM1_STS_BITS;
        self.enable = saved.enable & PM1_EN_BITS;
        self.control = saved.control & (7 << SLP_TYP_SHIFT | 1 << 1) | SCI_EN;
        self.gpe_status = saved.gpe_status;
        self.gpe_enable = saved.gpe_enable;
        self.half_rounds_seen = saved.half_rounds_seen;
        self.sci.restore(saved.sci);
        // A change that nobody has looked at yet comes by the timer, when the machine runs.
        self.schedule();
    }
}

#[cfg(test)]
mod tests {
    use machine::access::value_of;
    use parking_lot::Mutex;

    use super::*;

    type Requests = Arc<Mutex<Vec<SleepRequest>>>;

    fn power() -> (Power, Clock, Requests) {
        let (clock, requests) = (Clock::manual(Duration::ZERO), Requests::default());
        let told = requests.clone();
        let sleep = Arc::new(move |request| told.lock().push(request));
        (Power::new(InterruptLine::detached(), clock.clone(), Timer::detached(), sleep), clock, requests)
    }

    fn read(power: &mut Power, offset: u16, len: usize) -> u64 {
        let mut data = [0; 4];
        power.read(offset, &mut data[..len]);
        value_of(&data[..len])
    }

    #[test]
    fn the_timer_counts_3_579_545_times_a_second_in_24_bits() {
        let (mut power, clock, _) = power();
        clock.advance(Duration::from_secs(1));
        assert_eq!(read(&mut power, PM1_TMR, 4), 3_579_545);
        clock.advance(Duration::from_secs(4));
        assert_eq!(read(&mut power, PM1_TMR, 4), 5 * 3_579_545 - (1 << 24));
    }

    #[test]
    fn the_timer_interrupts_when_its_highest_bit_changes() {
        let (mut power, clock, _) = power();
        power.write(PM1_EN, &TMR_STS.to_le_bytes());
        let deadline = power.timer.deadline().unwrap();
        assert_eq!(deadline.as_millis(), 2343);
        clock.advance(deadline - Duration::from_micros(1));
        power.timer_fired();
        assert!(!power.sci.level());
        clock.advance(Duration::from_micros(1));
        power.timer_fired();
        assert!(power.sci.level());
        power.write(PM1_STS, &TMR_STS.to_le_bytes());
        assert!(!power.sci.level() && power.timer.deadline().is_some());
        power.write(PM1_EN, &[0, 0]);
        assert_eq!(power.timer.deadline(), None);
    }

    #[test]
    fn the_button_interrupts_when_enabled_until_its_status_is_cleared() {
        let (mut power, _, _) = power();
        power.press_button();
        assert!(!power.sci.level());
        power.write(PM1_EN, &PWRBTN_STS.to_le_bytes());
        assert!(power.sci.level());
        power.write(PM1_STS, &PWRBTN_STS.to_le_bytes());
        assert!(!power.sci.level());
        assert_eq!(read(&mut power, PM1_STS, 2), 0);
    }

    #[test]
    fn sleep_enable_asks_for_off() {
        let (mut power, _, requests) = power();
        power.write(PM1_CNT, &(7_u16 << SLP_TYP_SHIFT).to_le_bytes());
        assert!(requests.lock().is_empty());
        power.write(PM1_CNT, &(SLP_EN | 7 << SLP_TYP_SHIFT).to_le_bytes());
        power.write(PM1_CNT + 1, &[0x20]);
        power.write(PM1_CNT, &(SLP_EN | 5 << SLP_TYP_SHIFT).to_le_bytes());
        assert_eq!(*requests.lock(), [SleepRequest::Off, SleepRequest::Off, SleepRequest::Unknown(5)]);
        assert_eq!(read(&mut power, PM1_CNT, 2) & u64::from(SLP_EN), 0);
    }

    #[test]
    fn a_restore_looks_at_nothing_that_was_not_looked_at_before() {
        let (mut power, clock, _) = power();
        power.write(PM1_EN, &TMR_STS.to_le_bytes());
        let deadline = power.timer.deadline();
        clock.advance(Duration::from_secs(3));
        let saved = power.save();
        let (mut other, other_clock, _) = self::power();
        other_clock.advance(Duration::from_secs(3));
        other.restore(&saved);
        assert!(!other.sci.level());
        assert_eq!(other.save(), saved);
        assert_eq!(other.timer.deadline(), deadline);
        other.timer_fired();
        assert!(other.sci.level());
    }

    #[test]
    fn firmware_sees_smm_as_set_up() {
        let (mut power, _, _) = power();
        power.write(SMI_EN, &[0; 4]);
        assert_ne!(read(&mut power, SMI_EN, 4) & 1 << 5, 0);
    }
}
