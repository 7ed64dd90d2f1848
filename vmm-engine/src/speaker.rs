//! The PC speaker and the port around it: NMI status and control, port 0x61 (Intel ICH9 data sheet, section
//! 13.7.1). The tone itself is made by counter 2 of the interval timer, which belongs to the interrupt chip.
//!
//! Left out: the error inputs that would raise an NMI (bits 6 and 7 read as zero), and samples played by
//! switching the speaker directly (only tones of counter 2 are heard).

use std::{sync::Arc, time::Duration};

use machine::{
    component::Component,
    device::{Device, PortIo},
    saved::{RestoreError, SaveError, SavedState, SavedUnit},
    time::Clock,
};

/// The port: region number, port, length.
pub const PORTS: (u8, u16, u16) = (0, 0x61, 1);

/// The interval timer's frequency, in Hz.
pub const PIT_HERTZ: f64 = 14_318_180.0 / 12.0;

const GATE: u8 = 0x01;
const SPEAKER_DATA: u8 = 0x02;
/// The bits that can be written; the upper two disable NMI sources that there aren't.
const WRITABLE: u8 = 0x0f;
const REFRESH_TOGGLE: u8 = 0x10;
const TIMER_OUTPUT: u8 = 0x20;
/// The time between two memory refreshes, which the toggle bit shows.
const REFRESH_NANOS: u128 = 15_085;

/// Counter 2 of the interval timer (Intel 8254).
pub trait PitChannel2: Send + Sync {
    /// The level of OUT.
    fn output(&self) -> bool;

    /// Sets the level of GATE.
    fn set_gate(&self, high: bool);

    /// The count from which it starts again and again, 1 to 65536, when it is programmed as a square wave
    /// generator (mode 3).
    fn square_wave_count(&self) -> Option<u32>;
}

/// A tone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tone {
    /// The counter's period, in cycles of [`PIT_HERTZ`].
    pub count: u32,
}

impl Tone {
    /// The frequency.
    #[must_use]
    pub fn hertz(self) -> f64 {
        PIT_HERTZ / f64::from(self.count.max(1))
    }
}

/// Where tones go: called with the machine's time and what is to be heard from then on. It must not wait.
pub type ToneSink = Box<dyn FnMut(Duration, Option<Tone>) + Send>;

/// The speaker and its port.
pub struct Speaker {
    clock: Clock,
    pit: Arc<dyn PitChannel2>,
    sink: ToneSink,

    control: u8,
    /// What the sink was told last.
    heard: Option<Tone>,
    changes: u64,
}

impl Speaker {
    /// A speaker driven by `pit`, whose tones go to `sink`.
    #[must_use]
    pub fn new(clock: Clock, pit: Arc<dyn PitChannel2>, sink: ToneSink) -> Self {
        Speaker { clock, pit, sink, control: 0, heard: None, changes: 0 }
    }

    /// Looks at the interval timer again, and gives what is to be heard. A guest may start the speaker first and
    /// set the frequency afterwards, which this device doesn't see: who plays tones asks before each buffer.
    pub fn tone(&mut self) -> Option<Tone> {
        let sounding = self.control & (GATE | SPEAKER_DATA) == GATE | SPEAKER_DATA;
        let tone = if sounding { self.pit.square_wave_count().map(|count| Tone { count }) } else { None };
        self.hear(tone);
        tone
    }

    /// How often the tone has changed since the machine was made.
    #[must_use]
    pub fn tone_changes(&self) -> u64 {
        self.changes
    }

    fn hear(&mut self, tone: Option<Tone>) {
        if self.heard != tone {
            self.heard = tone;
            self.changes += 1;
            (self.sink)(self.clock.now(), tone);
        }
    }

    fn set_control(&mut self, value: u8) {
        let changed = self.control ^ value;
        self.control = value & WRITABLE;
        if changed & GATE != 0 {
            self.pit.set_gate(value & GATE != 0);
        }
        self.tone();
    }
}

impl PortIo for Speaker {
    fn port_read(&mut self, _region: u8, _offset: u16, data: &mut [u8]) {
        data.fill(0xff);
        let refresh = if self.clock.now().as_nanos() / REFRESH_NANOS % 2 == 1 { REFRESH_TOGGLE } else { 0 };
        let output = if self.pit.output() { TIMER_OUTPUT } else { 0 };
        data[0] = self.control | refresh | output;
    }

    fn port_write(&mut self, _region: u8, _offset: u16, data: &[u8]) {
        self.set_control(data[0]);
    }
}

mod saved {
    use super::SavedState;

    /// Bits 0 to 3 of port 0x61.
    #[derive(Debug, serde::Serialize, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    pub(super) struct Speaker {
        pub(super) control: u8,
    }

    impl SavedState for Speaker {
        const KIND: &'static str = "speaker";
        const VERSION: u32 = 1;
    }
}

impl Component for Speaker {
    fn name(&self) -> &str {
        "speaker"
    }

    fn start(&mut self) {
        self.tone();
    }

    /// A machine that stands still is silent.
    fn stop(&mut self) {
        self.hear(None);
    }

    fn reset(&mut self) {
        self.set_control(0);
    }

    fn save(&mut self) -> Result<SavedUnit, SaveError> {
        SavedUnit::of(&saved::Speaker { control: self.control })
    }

    /// The gate is part of the interval timer's own saved state.
    fn restore(&mut self, unit: &SavedUnit) -> Result<(), RestoreError> {
        let state: saved::Speaker = unit.open()?;
        if state.control & !WRITABLE != 0 {
            let what = "register bits that don't exist".to_owned();
            return Err(RestoreError::Impossible { kind: <saved::Speaker as SavedState>::KIND, what });
        }
        self.control = state.control;
        Ok(())
    }
}

impl Device for Speaker {
    fn port_io(&mut self) -> Option<&mut dyn PortIo> {
        Some(self)
    }
}

#[cfg(test)]
mod tests {

    use machine::device_contract;
    use parking_lot::Mutex;

    use super::*;

    #[derive(Default)]
    struct Pit {
        output: Mutex<bool>,
        gates: Mutex<Vec<bool>>,
        count: Mutex<Option<u32>>,
    }

    impl PitChannel2 for Pit {
        fn output(&self) -> bool {
            *self.output.lock()
        }
        fn set_gate(&self, high: bool) {
            self.gates.lock().push(high);
        }
        fn square_wave_count(&self) -> Option<u32> {
            *self.count.lock()
        }
    }

    type Heard = Arc<Mutex<Vec<(Duration, Option<Tone>)>>>;

    fn speaker() -> (Speaker, Arc<Pit>, Clock, Heard) {
        let (pit, clock, heard) = (Arc::new(Pit::default()), Clock::manual(Duration::ZERO), Heard::default());
        let log = heard.clone();
        let sink = Box::new(move |at, tone| log.lock().push((at, tone)));
        (Speaker::new(clock.clone(), pit.clone(), sink), pit, clock, heard)
    }

    device_contract!(contract, speaker().0, &[Region::Port { region: 0, len: 1 }]);

    fn read(speaker: &mut Speaker) -> u8 {
        let mut data = [0];
        speaker.port_read(0, 0, &mut data);
        data[0]
    }

    #[test]
    fn a_beep_begins_and_ends_with_its_times() {
        let (mut speaker, pit, clock, heard) = speaker();
        *pit.count.lock() = Some(1193);
        speaker.port_write(0, 0, &[0x03]);
        clock.advance(Duration::from_millis(200));
        speaker.port_write(0, 0, &[0x03]);
        speaker.port_write(0, 0, &[0x00]);
        let tone = Some(Tone { count: 1193 });
        assert_eq!(*heard.lock(), [(Duration::ZERO, tone), (Duration::from_millis(200), None)]);
        assert_eq!((*pit.gates.lock()).as_slice(), [true, false]);
        assert_eq!((speaker.tone_changes(), Tone { count: 1193 }.hertz().round()), (2, 1000.0));
    }

    #[test]
    fn gate_and_data_and_a_square_wave_make_a_tone_together_only() {
        let (mut speaker, pit, _, heard) = speaker();
        speaker.port_write(0, 0, &[0x03]);
        *pit.count.lock() = Some(100);
        speaker.port_write(0, 0, &[0x01]);
        speaker.port_write(0, 0, &[0x02]);
        assert!(heard.lock().is_empty());
        speaker.port_write(0, 0, &[0x03]);
        assert_eq!(heard.lock().len(), 1);
    }

    #[test]
    fn a_frequency_set_afterwards_is_found() {
        let (mut speaker, pit, _, heard) = speaker();
        *pit.count.lock() = Some(500);
        speaker.port_write(0, 0, &[0x03]);
        *pit.count.lock() = Some(250);
        assert_eq!(speaker.tone(), Some(Tone { count: 250 }));
        assert_eq!(heard.lock().len(), 2);
    }

    #[test]
    fn the_port_shows_the_timers_output_and_what_was_written() {
        let (mut speaker, pit, _, _) = speaker();
        speaker.port_write(0, 0, &[0xfd]);
        assert_eq!(read(&mut speaker), 0x0d);
        *pit.output.lock() = true;
        assert_eq!(read(&mut speaker), 0x2d);
    }

    #[test]
    fn the_refresh_bit_toggles_with_time() {
        let (mut speaker, _, clock, _) = speaker();
        let mut seen = Vec::new();
        for _ in 0..4 {
            seen.push(read(&mut speaker) & REFRESH_TOGGLE);
            clock.advance(Duration::from_nanos(15_085));
        }
        assert_eq!(seen, [0, 0x10, 0, 0x10]);
    }

    #[test]
    fn a_paused_machine_is_silent_and_sounds_on_afterwards() {
        let (mut speaker, pit, _, heard) = speaker();
        *pit.count.lock() = Some(500);
        speaker.port_write(0, 0, &[0x03]);
        speaker.stop();
        speaker.start();
        let tones: Vec<_> = heard.lock().iter().map(|(_, tone)| tone.is_some()).collect();
        assert_eq!(tones, [true, false, true]);
    }

    #[test]
    fn restoring_leaves_the_gate_to_the_interval_timer() {
        let (mut first, _, _, _) = speaker();
        first.port_write(0, 0, &[0x03]);
        let (mut second, pit, _, _) = speaker();
        second.restore(&first.save().unwrap()).unwrap();
        assert_eq!((read(&mut second), pit.gates.lock().len()), (0x03, 0));
    }
}
