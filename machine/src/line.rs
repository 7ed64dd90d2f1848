//! Interrupt lines and message-signalled interrupts, as values that a device is given.

use std::sync::Arc;

use parking_lot::Mutex;

/// Where a line ends: an interrupt controller's inputs, or a router before it.
pub trait LineTarget: Send + Sync {
    /// Input `input` goes to a level. Repeating a level changes nothing.
    fn set_level(&self, input: u32, high: bool);

    /// Input `input` has this level after a restore. Routers take it over; an interrupt controller does
    /// nothing, since its own saved state has it already.
    fn restore_level(&self, input: u32, high: bool);
}

/// A device's end of an interrupt line. It remembers its level; a change goes to the target.
pub struct InterruptLine {
    target: Option<(Arc<dyn LineTarget>, u32)>,
    high: bool,
}

impl InterruptLine {
    /// A line to `input` of `target`.
    #[must_use]
    pub fn new(target: Arc<dyn LineTarget>, input: u32) -> Self {
        InterruptLine { target: Some((target, input)), high: false }
    }

    /// A line that ends nowhere: for tests, and for a device whose interrupt isn't wired. The level can be read.
    #[must_use]
    pub fn detached() -> Self {
        InterruptLine { target: None, high: false }
    }

    /// Sets the level.
    pub fn set(&mut self, high: bool) {
        if self.high != high {
            self.high = high;
            if let Some((target, input)) = &self.target {
                target.set_level(*input, high);
            }
        }
    }

    /// Raises and lowers the line: one edge.
    pub fn pulse(&mut self) {
        self.set(true);
        self.set(false);
    }

    /// The level.
    #[must_use]
    pub fn level(&self) -> bool {
        self.high
    }

    /// Takes over a saved level. No edge: the interrupt controller's own saved state already has it.
    pub fn restore(&mut self, high: bool) {
        self.high = high;
        if let Some((target, input)) = &self.target {
            target.restore_level(*input, high);
        }
    }
}

impl std::fmt::Debug for InterruptLine {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let input = self.target.as_ref().map(|(_, input)| *input);
        formatter.debug_struct("InterruptLine").field("input", &input).field("high", &self.high).finish()
    }
}

/// Several devices on one input: it is high while any of them is (level-triggered, as PCI's INTx).
pub struct SharedInput {
    target: Arc<dyn LineTarget>,
    input: u32,
    /// Bit `n`: source `n` is high. Held while the target is told, so that changes arrive in order.
    high: Mutex<u64>,
}

impl SharedInput {
    /// Shares `input` of `target` among up to 64 sources, which are this target's inputs 0 to 63.
    pub fn new(target: Arc<dyn LineTarget>, input: u32) -> Arc<Self> {
        Arc::new(SharedInput { target, input, high: Mutex::new(0) })
    }

    fn with_source(high: u64, source: u32, level: bool) -> u64 {
        let bit = 1 << (source % 64);
        if level { high | bit } else { high & !bit }
    }
}

impl LineTarget for SharedInput {
    fn set_level(&self, source: u32, level: bool) {
        let mut high = self.high.lock();
        let before = *high;
        *high = Self::with_source(before, source, level);
        if (before == 0) != (*high == 0) {
            self.target.set_level(self.input, *high != 0);
        }
    }

    fn restore_level(&self, source: u32, level: bool) {
        let mut high = self.high.lock();
        *high = Self::with_source(*high, source, level);
        self.target.restore_level(self.input, *high != 0);
    }
}

/// Where message-signalled interrupts go.
pub trait MsiTarget: Send + Sync {
    /// Delivers the message (PCI Local Bus 3.0, section 6.8): a write of `data` to `address`.
    fn signal(&self, address: u64, data: u32);
}

/// For devices under test: messages go nowhere.
#[derive(Debug, Default)]
pub struct NoMsi;

impl MsiTarget for NoMsi {
    fn signal(&self, _address: u64, _data: u32) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Recorder(Mutex<Vec<(u32, bool)>>);
    impl LineTarget for Recorder {
        fn set_level(&self, input: u32, high: bool) {
            self.0.lock().push((input, high));
        }
        fn restore_level(&self, _input: u32, _high: bool) {}
    }

    #[test]
    fn only_changes_reach_the_target() {
        let recorder = Arc::new(Recorder::default());
        let mut line = InterruptLine::new(recorder.clone(), 8);
        line.set(true);
        line.set(true);
        line.pulse();
        assert_eq!(*recorder.0.lock(), [(8, true), (8, false)]);
    }

    #[test]
    fn a_restored_level_makes_no_edge() {
        let recorder = Arc::new(Recorder::default());
        let mut line = InterruptLine::new(recorder.clone(), 8);
        line.restore(true);
        assert!(line.level() && recorder.0.lock().is_empty());
    }

    #[test]
    fn a_shared_input_is_high_while_any_source_is() {
        let recorder = Arc::new(Recorder::default());
        let shared = SharedInput::new(recorder.clone(), 10);
        let (mut a, mut b) = (InterruptLine::new(shared.clone(), 0), InterruptLine::new(shared, 1));
        a.set(true);
        b.set(true);
        a.set(false);
        assert_eq!(*recorder.0.lock(), [(10, true)]);
        b.set(false);
        assert_eq!(*recorder.0.lock(), [(10, true), (10, false)]);
    }
}
