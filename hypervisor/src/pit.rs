//! The 8254 timer chip, which KVM plays (Intel 8254 data sheet; the PC's speaker and port 0x61 hang on channel 2).
//!
//! KVM counts channel 2 from the moment its count is loaded and takes no notice of the gate. Its gate can be set only
//! together with all three channels, which starts channel 0 anew and so slows a guest's clock with every note of the
//! speaker. The gate is therefore kept here, and the channel's output is computed here from KVM's load time and the
//! gate's history. What is left out: the count that a guest reads back from channel 2 (port 0x42) goes on while the gate
//! is low, and isn't reloaded by the gate's rise.
//!
//! While a machine is paused its timer is taken from KVM, or an hour's ticks would be made up for at its end.

use kvm_bindings::{kvm_pit_channel_state, kvm_pit_state2};
use kvm_ioctls::VmFd;

use crate::{abi::monotonic_nanos, error::StateError};

/// The chip's clock, in hertz.
const FREQUENCY: i128 = 1_193_182;
/// KVM's mode of a channel that was never programmed; it stops channel 0's timer.
const MODE_NONE: u8 = 0xff;

/// Channel 2 of the timer chip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PitChannel {
    /// The gate: bit 0 of port 0x61.
    pub gate: bool,
    /// The output now: bit 5 of port 0x61.
    pub output: bool,
    /// The mode, 0 to 5; `None` before the channel is first programmed.
    pub mode: Option<u8>,
    /// The count that is loaded, 1 to 65536. In modes 2 and 3 the output's frequency is 1193182 Hz divided by it.
    pub reload: u32,
}

/// Channel 2's gate and what has been counted. Times are of the host's monotonic clock, in nanoseconds.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Gate {
    high: bool,
    /// KVM's load time to which the rest belongs.
    load: i64,
    /// Counted before `counting_since`.
    counted: i64,
    /// It counts since then; `None` while the gate is low or the machine is paused.
    counting_since: Option<i64>,
    /// The gate rose since the load: modes 1 and 5 run.
    triggered: bool,
}

impl Gate {
    /// Takes notice of a load.
    fn observe(&mut self, load: i64) {
        if load != self.load {
            let counting_since = self.high.then_some(load);
            *self = Gate { high: self.high, load, counted: 0, counting_since, triggered: false };
        }
    }

    fn counted(&self, now: i64) -> i64 {
        self.counted + self.counting_since.map_or(0, |since| (now - since).max(0))
    }

    fn stop(&mut self, now: i64) {
        self.counted = self.counted(now);
        self.counting_since = None;
    }

    fn set(&mut self, high: bool, now: i64, mode: u8) {
        if self.high == high {
            return;
        }
        self.high = high;
        if high {
            self.triggered = true;
            self.counting_since = Some(now);
            if matches!(mode, 1 | 2 | 3 | 5) {
                self.counted = 0;
            }
        } else {
            self.stop(now);
        }
    }

    fn output(&self, now: i64, mode: u8, count: u32) -> bool {
        let ticks = i128::from(self.counted(now)) * FREQUENCY / 1_000_000_000;
        let count = i128::from(count.max(1));
        match mode {
            0 => ticks >= count,
            1 => !self.triggered || ticks >= count,
            2 => !self.high || ticks % count != count - 1,
            3 => !self.high || ticks % count < (count + 1) / 2,
            4 => ticks != count,
            5 => !self.triggered || ticks != count,
            _ => true,
        }
    }
}

/// The timer chip of a partition, beside what KVM keeps of it.
pub(crate) struct Speaker {
    gate: Gate,
    /// The chip's state while the machine is paused: KVM's own timer is off then.
    frozen: Option<kvm_pit_state2>,
}

/// What a saved state needs beyond KVM's own: the gate, the nanoseconds counted, and whether the gate has risen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SavedGate {
    pub(crate) high: bool,
    pub(crate) counted_nanos: u64,
    pub(crate) triggered: bool,
}

fn mode_of(channel: &kvm_pit_channel_state) -> u8 {
    // Modes 6 and 7 are modes 2 and 3.
    if matches!(channel.mode, 6 | 7) { channel.mode - 4 } else { channel.mode }
}

impl Speaker {
    /// The chip of a machine that hasn't run yet.
    pub(crate) fn new(power_on: kvm_pit_state2) -> Self {
        let load = power_on.channels[2].count_load_time;
        Speaker { gate: Gate { load, ..Gate::default() }, frozen: Some(power_on) }
    }

    fn state(&self, vm: &VmFd) -> Result<kvm_pit_state2, StateError> {
        match self.frozen {
            Some(state) => Ok(state),
            None => vm.get_pit2().map_err(StateError::refused("the timer chip's state")),
        }
    }

    pub(crate) fn channel(&mut self, vm: &VmFd) -> Result<PitChannel, StateError> {
        let channel = self.state(vm)?.channels[2];
        self.gate.observe(channel.count_load_time);
        let mode = mode_of(&channel);
        Ok(PitChannel {
            gate: self.gate.high,
            output: self.gate.output(monotonic_nanos(), mode, channel.count),
            mode: (mode < 6).then_some(mode),
            reload: channel.count.clamp(1, 0x1_0000),
        })
    }

    pub(crate) fn set_gate(&mut self, vm: &VmFd, high: bool) -> Result<(), StateError> {
        if self.gate.high == high {
            return Ok(());
        }
        let channel = self.state(vm)?.channels[2];
        self.gate.observe(channel.count_load_time);
        let now = monotonic_nanos();
        self.gate.set(high, now, mode_of(&channel));
        if self.frozen.is_some() {
            self.gate.stop(now);
        }
        Ok(())
    }

    /// The machine pauses: takes the timer from KVM.
    pub(crate) fn freeze(&mut self, vm: &VmFd) -> Result<(), StateError> {
        if self.frozen.is_some() {
            return Ok(());
        }
        let state = self.state(vm)?;
        self.gate.observe(state.channels[2].count_load_time);
        self.gate.stop(monotonic_nanos());
        self.frozen = Some(state);
        let mut stopped = state;
        stopped.channels[0].mode = MODE_NONE;
        vm.set_pit2(&stopped).map_err(StateError::refused("to stop the timer chip"))
    }

    /// The machine goes on: gives the timer back. Channel 0's period starts anew, and its ticks of before are forgotten.
    pub(crate) fn thaw(&mut self, vm: &VmFd) -> Result<(), StateError> {
        let Some(state) = self.frozen else { return Ok(()) };
        vm.set_pit2(&state).map_err(StateError::refused("the timer chip's state"))?;
        let now = monotonic_nanos();
        let running = vm.get_pit2().map_err(StateError::refused("the timer chip's state"))?;
        self.gate.load = running.channels[2].count_load_time;
        self.gate.counting_since = self.gate.high.then_some(now);
        self.frozen = None;
        Ok(())
    }

    /// The chip's state, of a paused machine.
    pub(crate) fn save(&self, vm: &VmFd) -> Result<(kvm_pit_state2, SavedGate), StateError> {
        let Gate { high, triggered, .. } = self.gate;
        let counted_nanos = self.gate.counted(monotonic_nanos()).max(0) as u64;
        Ok((self.state(vm)?, SavedGate { high, counted_nanos, triggered }))
    }

    /// Takes over a state, for a paused machine. KVM gets it when the machine goes on.
    pub(crate) fn restore(&mut self, state: kvm_pit_state2, gate: SavedGate) {
        // A hostile file must not make sums overflow: a count is over after 55 ms.
        let counted = gate.counted_nanos.min(1 << 60) as i64;
        let load = state.channels[2].count_load_time;
        self.gate = Gate { high: gate.high, load, counted, counting_since: None, triggered: gate.triggered };
        self.frozen = Some(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLISECOND: i64 = 1_000_000;
    /// One millisecond of ticks, about.
    const COUNT: u32 = 1193;

    #[test]
    fn mode_0_counts_only_while_the_gate_is_high() {
        let mut gate = Gate::default();
        gate.set(true, 0, 0);
        gate.observe(MILLISECOND);
        assert!(!gate.output(MILLISECOND + 900_000, 0, COUNT));
        gate.set(false, MILLISECOND + 900_000, 0);
        assert!(!gate.output(9 * MILLISECOND, 0, COUNT));
        gate.set(true, 9 * MILLISECOND, 0);
        assert!(!gate.output(9 * MILLISECOND + 90_000, 0, COUNT));
        assert!(gate.output(9 * MILLISECOND + 110_000, 0, COUNT));
    }

    #[test]
    fn a_count_loaded_under_a_low_gate_waits_for_it() {
        let mut gate = Gate::default();
        gate.observe(MILLISECOND);
        assert!(!gate.output(50 * MILLISECOND, 0, COUNT));
        gate.set(true, 50 * MILLISECOND, 0);
        assert!(!gate.output(50 * MILLISECOND + 900_000, 0, COUNT));
        assert!(gate.output(51 * MILLISECOND + 10_000, 0, COUNT));
    }

    #[test]
    fn the_gates_rise_starts_a_square_wave_anew() {
        let mut gate = Gate::default();
        gate.set(true, 0, 3);
        gate.observe(MILLISECOND);
        assert!(gate.output(MILLISECOND + 400_000, 3, COUNT));
        assert!(!gate.output(MILLISECOND + 600_000, 3, COUNT));
        gate.set(false, MILLISECOND + 600_000, 3);
        assert!(gate.output(MILLISECOND + 700_000, 3, COUNT));
        gate.set(true, MILLISECOND + 700_000, 3);
        assert!(gate.output(2 * MILLISECOND + 100_000, 3, COUNT));
        assert!(!gate.output(2 * MILLISECOND + 300_000, 3, COUNT));
    }

    #[test]
    fn a_one_shot_waits_for_its_trigger() {
        let mut gate = Gate::default();
        gate.set(true, 0, 1);
        gate.observe(MILLISECOND);
        assert!(gate.output(MILLISECOND + 1, 1, COUNT));
        gate.set(false, 2 * MILLISECOND, 1);
        gate.set(true, 3 * MILLISECOND, 1);
        assert!(!gate.output(3 * MILLISECOND + 900_000, 1, COUNT));
        assert!(gate.output(4 * MILLISECOND + 10_000, 1, COUNT));
    }

    #[test]
    fn a_rate_generator_is_low_for_one_tick() {
        let mut gate = Gate::default();
        gate.set(true, 0, 2);
        gate.observe(1);
        let tick = |n: i64| 1 + (n * 1_000_000_000 + 500_000_000) / FREQUENCY as i64;
        let low: Vec<_> = (0..20).filter(|&n| !gate.output(tick(n), 2, 10)).collect();
        assert_eq!(low, [9, 19]);
    }
}
