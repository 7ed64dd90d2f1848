//! Interrupt inputs of KVM's chips, and message-signalled interrupts.
//!
//! KVM numbers inputs by *GSI* and has a table of what each leads to. KVM's own table leads GSI 0 to the I/O APIC's
//! input 0, where a PC has nothing: its timer is at input 2. The table here is:
//!
//! | GSI | leads to |
//! |---|---|
//! | 0 | 8259A input 0 and I/O APIC input 2 (KVM's timer chip raises it) |
//! | `n` = 1, 3 to 15 | 8259A input `n` and I/O APIC input `n` |
//! | 16 to 23 | I/O APIC |
//! | 32 + `n` | 8259A input `n` alone |
//! | 64 + `n` | I/O APIC input `n` alone |
//!
//! KVM keeps one level for each input of a chip and not one for each GSI that leads there, so that the OR of an ISA
//! interrupt and a routed PCI interrupt on one 8259A input is made here.

use kvm_bindings::{
    KVM_IRQ_ROUTING_IRQCHIP, KVM_IRQCHIP_IOAPIC, KVM_IRQCHIP_PIC_MASTER, KVM_IRQCHIP_PIC_SLAVE, KvmIrqRouting,
    kvm_irq_routing_entry, kvm_msi,
};
use kvm_ioctls::VmFd;
use machine::{
    line::{LineTarget, MsiTarget},
    rate::RateLimit,
};
use parking_lot::Mutex;

use crate::{error::PartitionError, partition::Partition};

const IOAPIC_INPUTS: u32 = 24;
const ISA_INPUTS: u32 = 16;
const TIMER: u32 = 0;
const CASCADE: u32 = 2;
/// Where the timer's interrupt arrives at the I/O APIC.
const TIMER_AT_IOAPIC: u32 = 2;
const PIC_ONLY: u32 = 32;
const IOAPIC_ONLY: u32 = 64;

/// Who holds one input of the 8259A pair high.
#[derive(Default, Clone, Copy)]
struct Levels {
    isa: bool,
    pci: bool,
}

/// The inputs' levels.
pub(crate) struct Lines {
    levels: [Mutex<Levels>; ISA_INPUTS as usize],
    log: Mutex<RateLimit>,
}

impl Lines {
    /// Gives KVM the table.
    pub(crate) fn new(vm: &VmFd) -> Result<Lines, PartitionError> {
        let entries = table();
        let refused = PartitionError::refused("an interrupt routing table");
        let routing = KvmIrqRouting::from_entries(&entries)
            .map_err(|error| PartitionError::Options(format!("an interrupt routing table ({error:?})")))?;
        vm.set_gsi_routing(&routing).map_err(refused)?;
        Ok(Lines { levels: Default::default(), log: Mutex::new(RateLimit::for_log()) })
    }

    fn drive(&self, vm: &VmFd, gsi: u32, high: bool) {
        if let Err(error) = vm.set_irq_line(gsi, high)
            && let Some(held) = self.log.lock().pass()
        {
            tracing::warn!(gsi, high, %error, held, "KVM refuses an interrupt line's level");
        }
    }
}

fn entry(gsi: u32, chip: u32, pin: u32) -> kvm_irq_routing_entry {
    let mut entry = kvm_irq_routing_entry { gsi, type_: KVM_IRQ_ROUTING_IRQCHIP, ..Default::default() };
    entry.u.irqchip.irqchip = chip;
    entry.u.irqchip.pin = pin;
    entry
}

fn pic_entry(gsi: u32, input: u32) -> kvm_irq_routing_entry {
    if input < 8 { entry(gsi, KVM_IRQCHIP_PIC_MASTER, input) } else { entry(gsi, KVM_IRQCHIP_PIC_SLAVE, input - 8) }
}

fn table() -> Vec<kvm_irq_routing_entry> {
    let isa = || (0..ISA_INPUTS).filter(|&input| input != CASCADE);
    // KVM remembers for each input the last GSI that leads there, and tells that one's listeners (its timer chip)
    // of an acknowledgement: the GSIs that lead to both chips come last.
    let mut entries: Vec<_> = isa().filter(|&input| input != TIMER).map(|n| pic_entry(PIC_ONLY + n, n)).collect();
    entries.extend(isa().filter(|&input| input != TIMER).map(|n| entry(IOAPIC_ONLY + n, KVM_IRQCHIP_IOAPIC, n)));
    for input in isa() {
        let at_ioapic = if input == TIMER { TIMER_AT_IOAPIC } else { input };
        entries.push(pic_entry(input, input));
        entries.push(entry(input, KVM_IRQCHIP_IOAPIC, at_ioapic));
    }
    entries.extend((ISA_INPUTS..IOAPIC_INPUTS).map(|n| entry(n, KVM_IRQCHIP_IOAPIC, n)));
    entries
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Isa,
    Pic,
}

/// One way to the inputs.
pub(crate) struct LineSet {
    partition: Partition,
    kind: Kind,
}

impl LineSet {
    /// ISA interrupts, and the I/O APIC's inputs above them.
    pub(crate) fn isa(partition: Partition) -> Self {
        LineSet { partition, kind: Kind::Isa }
    }

    /// The 8259A pair's inputs, for routed PCI interrupts.
    pub(crate) fn pic(partition: Partition) -> Self {
        LineSet { partition, kind: Kind::Pic }
    }
}

impl LineTarget for LineSet {
    fn set_level(&self, input: u32, high: bool) {
        let (vm, lines) = (&self.partition.0.vm, &self.partition.0.lines);
        match lines.levels.get(input as usize) {
            Some(_) if input == CASCADE => {}
            // The lock is held over the call, so that levels reach KVM in the order in which they were decided.
            Some(levels) => {
                let mut levels = levels.lock();
                match self.kind {
                    // The timer's interrupt is none that a PCI interrupt can be routed to.
                    Kind::Pic if input == TIMER => {}
                    Kind::Isa if levels.pci => lines.drive(vm, IOAPIC_ONLY + input, high),
                    Kind::Isa => lines.drive(vm, input, high),
                    Kind::Pic if levels.isa => {}
                    Kind::Pic => lines.drive(vm, PIC_ONLY + input, high),
                }
                levels.set(self.kind, high);
            }
            None if self.kind == Kind::Isa && input < IOAPIC_INPUTS => lines.drive(vm, input, high),
            None => {}
        }
    }

    fn restore_level(&self, input: u32, high: bool) {
        if let Some(levels) = self.partition.0.lines.levels.get(input as usize) {
            levels.lock().set(self.kind, high);
        }
    }
}

impl Levels {
    fn set(&mut self, kind: Kind, high: bool) {
        match kind {
            Kind::Isa => self.isa = high,
            Kind::Pic => self.pci = high,
        }
    }
}

/// Messages to the local APICs.
pub(crate) struct Msi {
    partition: Partition,
    log: Mutex<RateLimit>,
}

impl Msi {
    pub(crate) fn new(partition: Partition) -> Self {
        Msi { partition, log: Mutex::new(RateLimit::for_log()) }
    }
}

impl MsiTarget for Msi {
    fn signal(&self, address: u64, data: u32) {
        let message =
            kvm_msi { address_lo: address as u32, address_hi: (address >> 32) as u32, data, ..Default::default() };
        // A message that no processor takes is lost, as in hardware: that isn't an error.
        if let Err(error) = self.partition.0.vm.signal_msi(message)
            && let Some(held) = self.log.lock().pass()
        {
            tracing::warn!(address, data, %error, held, "KVM refuses a message-signalled interrupt");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn targets(gsi: u32) -> Vec<(u32, u32)> {
        let leads_there = table().into_iter().filter(|entry| entry.gsi == gsi);
        // SAFETY: each entry of the table is of the kind KVM_IRQ_ROUTING_IRQCHIP.
        #[allow(unsafe_code)]
        leads_there.map(|entry| unsafe { (entry.u.irqchip.irqchip, entry.u.irqchip.pin) }).collect()
    }

    #[test]
    fn the_table_is_a_pcs() {
        assert_eq!(targets(0), [(KVM_IRQCHIP_PIC_MASTER, 0), (KVM_IRQCHIP_IOAPIC, 2)]);
        assert_eq!(targets(2), []);
        assert_eq!(targets(12), [(KVM_IRQCHIP_PIC_SLAVE, 4), (KVM_IRQCHIP_IOAPIC, 12)]);
        assert_eq!(targets(23), [(KVM_IRQCHIP_IOAPIC, 23)]);
        assert_eq!(targets(PIC_ONLY + 11), [(KVM_IRQCHIP_PIC_SLAVE, 3)]);
        assert_eq!(targets(IOAPIC_ONLY + 5), [(KVM_IRQCHIP_IOAPIC, 5)]);
    }
}
