//! The PIRQ router (ICH9 data sheet, sections 13.1.18 to 13.1.25 and 5.8): eight PCI interrupt lines, PIRQA# to
//! PIRQH#. Each always drives its own I/O APIC input, 16 to 23, and also the ISA interrupt that its routing
//! register names, while that is enabled.

use std::sync::Arc;

use machine::line::LineTarget;
use parking_lot::Mutex;

/// Routing register: not routed to an ISA interrupt.
const ROUTE_DISABLED: u8 = 1 << 7;

/// The router. Its inputs 0 to 7 are PIRQA# to PIRQH#.
pub struct PirqRouter {
    /// Told the level of ISA interrupt `n` as its input `n`; its end is the 8259 pair only.
    isa: Arc<dyn LineTarget>,
    /// Told the level of PIRQ `n` as its input `n`; its end is the I/O APIC.
    ioapic: Arc<dyn LineTarget>,
    state: Mutex<State>,
}

#[derive(Clone, Copy)]
struct State {
    /// Bit `n`: PIRQ `n` is asserted.
    levels: u8,
    routes: [u8; 8],
}

impl State {
    /// ISA interrupts that are asserted, one bit each.
    fn isa_levels(self) -> u16 {
        let asserted = (0..8).filter(|line| self.levels & 1 << line != 0).map(|line| self.routes[line]);
        asserted.filter(|route| route & ROUTE_DISABLED == 0).fold(0, |levels, route| levels | 1 << (route & 0xf))
    }
}

impl PirqRouter {
    /// A router with nothing routed to ISA interrupts. Input `n` of `isa` is ISA interrupt `n` of the 8259 pair;
    /// input `n` of `ioapic` is I/O APIC input `16 + n`.
    pub fn new(isa: Arc<dyn LineTarget>, ioapic: Arc<dyn LineTarget>) -> Arc<Self> {
        let state = Mutex::new(State { levels: 0, routes: [ROUTE_DISABLED; 8] });
        Arc::new(PirqRouter { isa, ioapic, state })
    }

    /// A router that ends nowhere, for tests.
    #[must_use]
    pub fn detached() -> Arc<Self> {
        struct Nowhere;
        impl LineTarget for Nowhere {
            fn set_level(&self, _input: u32, _high: bool) {}
            fn restore_level(&self, _input: u32, _high: bool) {}
        }
        Self::new(Arc::new(Nowhere), Arc::new(Nowhere))
    }

    /// PIRQ lines that are asserted, one bit each.
    #[must_use]
    pub fn levels(&self) -> u8 {
        self.state.lock().levels
    }

    /// The routing registers were written; PIRQA# first.
    pub fn set_routes(&self, routes: [u8; 8]) {
        self.change(|state| state.routes = routes);
    }

    /// Takes over registers and levels from a saved state, without edges.
    pub fn restore(&self, routes: [u8; 8], levels: u8) {
        *self.state.lock() = State { levels, routes };
    }

    /// The lock is held while the targets are told, so that changes arrive in order; they are interrupt controllers
    /// and call nobody.
    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state.lock();
        let before = state.isa_levels();
        change(&mut state);
        let after = state.isa_levels();
        for irq in (0..16).filter(|irq| (before ^ after) & 1 << irq != 0) {
            self.isa.set_level(irq, after & 1 << irq != 0);
        }
    }
}

impl LineTarget for PirqRouter {
    fn set_level(&self, input: u32, high: bool) {
        let (input, bit) = (input & 7, 1 << (input & 7));
        self.change(|state| {
            state.levels = if high { state.levels | bit } else { state.levels & !bit };
            self.ioapic.set_level(input, high);
        });
    }

    fn restore_level(&self, input: u32, high: bool) {
        let bit = 1 << (input & 7);
        let mut state = self.state.lock();
        state.levels = if high { state.levels | bit } else { state.levels & !bit };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Recorder(Mutex<Vec<(u32, bool)>>);
    impl Recorder {
        fn take(&self) -> Vec<(u32, bool)> {
            std::mem::take(&mut self.0.lock())
        }
    }
    impl LineTarget for Recorder {
        fn set_level(&self, input: u32, high: bool) {
            self.0.lock().push((input, high));
        }
        fn restore_level(&self, _input: u32, _high: bool) {}
    }

    fn router() -> (Arc<Recorder>, Arc<Recorder>, Arc<PirqRouter>) {
        let (isa, ioapic) = (Arc::new(Recorder::default()), Arc::new(Recorder::default()));
        (isa.clone(), ioapic.clone(), PirqRouter::new(isa, ioapic))
    }

    #[test]
    fn a_line_drives_its_apic_input_always_and_its_isa_interrupt_when_routed() {
        let (isa, ioapic, router) = router();
        router.set_level(2, true);
        assert_eq!((isa.take(), ioapic.take()), (vec![], vec![(2, true)]));
        router.set_routes([0x80, 0x80, 11, 0x80, 0x80, 0x80, 0x80, 0x80]);
        assert_eq!(isa.take(), [(11, true)]);
        router.set_level(2, false);
        assert_eq!((isa.take(), ioapic.take()), (vec![(11, false)], vec![(2, false)]));
    }

    #[test]
    fn lines_that_share_an_isa_interrupt_are_ored() {
        let (isa, _, router) = router();
        router.set_routes([10, 10, 11, 11, 10, 10, 11, 11]);
        router.set_level(0, true);
        router.set_level(4, true);
        router.set_level(0, false);
        assert_eq!(isa.take(), [(10, true)]);
        router.set_routes([10, 10, 11, 11, 11, 10, 11, 11]);
        assert_eq!(isa.take(), [(10, false), (11, true)]);
    }

    #[test]
    fn a_restore_makes_no_edge() {
        let (isa, ioapic, router) = router();
        router.restore([10; 8], 1);
        router.restore_level(3, true);
        assert!(isa.take().is_empty() && ioapic.take().is_empty());
        assert_eq!(router.levels(), 9);
    }
}
