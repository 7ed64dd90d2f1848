//! Registers for people: what a processor, its local APIC and the chips hold, by the names of the manuals.
//!
//! Sources: AMD64 Architecture Programmer's Manual, volume 2 (registers; chapter 16, the local APIC); the data sheets of
//! 8259A, 82093AA and 8254.

use kvm_bindings::{kvm_lapic_state, kvm_segment};
use machine::registers::Bank;

use super::state::VcpuState;
use crate::{chips::ChipState, msr::IA32_TSC_DEADLINE};

const CR0_PE: u64 = 1;
const RFLAGS_VM: u64 = 1 << 17;
const EFER_LMA: u64 = 1 << 10;
/// Redirection entries: masked, level-triggered, waiting for the end of an interrupt.
const MASKED: u64 = 1 << 16;
const LEVEL: u64 = 1 << 15;
const REMOTE_IRR: u64 = 1 << 14;
/// Where the redirection table begins in `kvm_ioapic_state`.
const IOAPIC_TABLE: usize = 24;

impl VcpuState {
    /// The processor's registers.
    pub(crate) fn bank(&self, index: usize) -> Bank {
        let (regs, sregs, events) = (&self.regs, &self.sregs, &self.events);
        let mut bank = Bank::new(format!("vcpu{index}")).with("activity", self.activity()).with("mode", self.mode());
        for (name, value) in [
            ("rip", regs.rip),
            ("rsp", regs.rsp),
            ("rflags", regs.rflags),
            ("rax", regs.rax),
            ("rbx", regs.rbx),
            ("rcx", regs.rcx),
            ("rdx", regs.rdx),
            ("rsi", regs.rsi),
            ("rdi", regs.rdi),
            ("rbp", regs.rbp),
            ("r8", regs.r8),
            ("r9", regs.r9),
            ("r10", regs.r10),
            ("r11", regs.r11),
            ("r12", regs.r12),
            ("r13", regs.r13),
            ("r14", regs.r14),
            ("r15", regs.r15),
            ("cr0", sregs.cr0),
            ("cr2", sregs.cr2),
            ("cr3", sregs.cr3),
            ("cr4", sregs.cr4),
            ("cr8", sregs.cr8),
            ("efer", sregs.efer),
        ] {
            bank = bank.with_number(name, value);
        }
        for (name, segment) in [("cs", &sregs.cs), ("ss", &sregs.ss), ("ds", &sregs.ds), ("es", &sregs.es)] {
            bank = bank.with(name, format_args!("{:#x} base {:#x}", segment.selector, segment.base));
        }
        for (name, table) in [("gdt", &sregs.gdt), ("idt", &sregs.idt)] {
            bank = bank.with(name, format_args!("{:#x} limit {:#x}", table.base, table.limit));
        }
        let flag = |set: u8, text: String| (set != 0).then_some(text);
        let under_way = [
            flag(events.exception.injected, format!("exception {:#x}", events.exception.nr)),
            flag(events.exception.pending, format!("exception {:#x} to come", events.exception.nr)),
            flag(events.interrupt.injected, format!("interrupt {:#x}", events.interrupt.nr)),
            flag(events.nmi.injected, "NMI".into()),
            flag(events.nmi.pending, "NMI to come".into()),
            flag(events.nmi.masked, "NMIs held back".into()),
            flag(events.interrupt.shadow, "interrupts held back for an instruction".into()),
        ];
        bank.with("events", listed(under_way.into_iter().flatten()))
    }

    /// Whether it executes instructions. Source: `KVM_MP_STATE_*` of Linux's `kvm.h`.
    fn activity(&self) -> String {
        match self.mp_state {
            0 => "runs".into(),
            1 => "waits for INIT".into(),
            2 => "takes INIT".into(),
            3 => "halted".into(),
            4 => "takes a start-up message".into(),
            other => format!("state {other}"),
        }
    }

    fn mode(&self) -> String {
        let (sregs, ring) = (&self.sregs, self.sregs.ss.dpl);
        let width = |code: &kvm_segment| if code.db != 0 { "32-bit" } else { "16-bit" };
        if sregs.cr0 & CR0_PE == 0 {
            "real".into()
        } else if self.regs.rflags & RFLAGS_VM != 0 {
            "virtual 8086".into()
        } else if sregs.efer & EFER_LMA != 0 && sregs.cs.l != 0 {
            format!("64-bit, ring {ring}")
        } else {
            format!("protected {}, ring {ring}", width(&sregs.cs))
        }
    }

    /// Its local APIC's registers.
    pub(crate) fn apic_bank(&self, index: usize) -> Bank {
        let read = |offset| register(&self.lapic, offset);
        let vectors = |offset| listed(set_bits((0..8_usize).map(|word| read(offset + word * 0x10))));
        let deadline = self.msrs.iter().find(|(index, _)| *index == IA32_TSC_DEADLINE).map_or(0, |&(_, value)| value);
        let mut bank = Bank::new(format!("apic{index}"));
        for (name, value) in [
            ("base", self.sregs.apic_base),
            ("id", read(0x20).into()),
            ("tpr", read(0x80).into()),
            ("ppr", read(0xa0).into()),
            ("svr", read(0xf0).into()),
            ("esr", read(0x280).into()),
            ("lvt-timer", read(0x320).into()),
            ("lvt-lint0", read(0x350).into()),
            ("lvt-lint1", read(0x360).into()),
            ("initial-count", read(0x380).into()),
            ("current-count", read(0x390).into()),
            ("divide", read(0x3e0).into()),
            ("tsc", self.tsc()),
            ("tsc-deadline", deadline),
        ] {
            bank = bank.with_number(name, value);
        }
        bank.with("requested", vectors(0x200)).with("in-service", vectors(0x100))
    }
}

impl ChipState {
    /// The chips' registers.
    pub(crate) fn banks(&self) -> Vec<Bank> {
        let pics = self.pics.iter().enumerate().map(|(index, pic)| {
            // In the order of `kvm_pic_state`.
            let [_, irr, imr, isr, _, base, .., level, _] = *pic;
            [("irr", irr), ("imr", imr), ("isr", isr), ("base", base), ("level", level)]
                .into_iter()
                .fold(Bank::new(format!("pic{index}")), |bank, (name, value)| bank.with_number(name, value))
        });
        let pit = self.pit.channels.iter().enumerate().fold(Bank::new("pit"), |bank, (index, channel)| {
            bank.with(format!("channel{index}"), format_args!("mode {}, count {:#x}", channel.mode, channel.count))
        });
        pics.chain([self.ioapic_bank(), pit]).collect()
    }

    /// The I/O APIC: what is requested, and the pins that are not masked.
    fn ioapic_bank(&self) -> Bank {
        // As in `kvm_ioapic_state`: the requests after base, index and id, and the redirection table at the end.
        let (registers, table) = self.ioapic.split_at(IOAPIC_TABLE);
        let requested = machine::access::value_of(&registers[16..20]) as u32;
        let mut bank = Bank::new("ioapic").with("requested", listed(set_bits([requested])));
        let entries = table.chunks_exact(8).map(machine::access::value_of).enumerate();
        for (pin, entry) in entries.filter(|(_, entry)| entry & MASKED == 0) {
            let trigger = if entry & LEVEL == 0 { "edge" } else { "level" };
            let waits = if entry & REMOTE_IRR == 0 { "" } else { ", not ended" };
            let words = format!("vector {:#x}, {trigger}, to {:#x}{waits}", entry & 0xff, entry >> 56);
            bank = bank.with(format!("pin{pin}"), words);
        }
        bank
    }
}

fn register(apic: &kvm_lapic_state, offset: usize) -> u32 {
    let byte = |at: usize| u32::from(apic.regs[offset + at] as u8);
    byte(0) | byte(1) << 8 | byte(2) << 16 | byte(3) << 24
}

/// The numbers of the bits that are set in words of 32.
fn set_bits(words: impl IntoIterator<Item = u32>) -> impl Iterator<Item = String> {
    let bits = words
        .into_iter()
        .enumerate()
        .flat_map(|(index, word)| (0..32).filter(move |bit| word & 1 << bit != 0).map(move |bit| index * 32 + bit));
    bits.map(|bit| format!("{bit:#x}"))
}

fn listed(parts: impl Iterator<Item = String>) -> String {
    let parts: Vec<String> = parts.collect();
    if parts.is_empty() { "none".into() } else { parts.join(" ") }
}
