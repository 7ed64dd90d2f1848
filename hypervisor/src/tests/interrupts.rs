//! Interrupt lines, messages and the timer chip.

use std::time::{Duration, Instant};

use kvm_bindings::{KVM_IRQCHIP_IOAPIC, KVM_IRQCHIP_PIC_MASTER, KVM_IRQCHIP_PIC_SLAVE, kvm_irqchip};
use machine::line::InterruptLine;

use super::harness::{Act, Bench, LIMIT, guest, partition};
use crate::Partition;

fn chip(partition: &Partition, chip_id: u32) -> kvm_irqchip {
    let mut chip = kvm_irqchip { chip_id, ..Default::default() };
    partition.0.vm.get_irqchip(&mut chip).unwrap();
    chip
}

/// The levels that the 8259A pair sees (each chip's `last_irr`).
fn pic_levels(partition: &Partition) -> u16 {
    let [low, high] = [KVM_IRQCHIP_PIC_MASTER, KVM_IRQCHIP_PIC_SLAVE].map(|id| {
        // SAFETY: this member of the union is what these two chips have.
        #[allow(unsafe_code)]
        let pic = unsafe { chip(partition, id).chip.pic };
        pic.last_irr
    });
    // The cascade is driven by the second chip.
    (u16::from(low) & !4) | u16::from(high) << 8
}

/// The I/O APIC inputs where an interrupt waits.
fn ioapic_waiting(partition: &Partition) -> u32 {
    // SAFETY: this member of the union is what this chip has.
    #[allow(unsafe_code)]
    unsafe {
        chip(partition, KVM_IRQCHIP_IOAPIC).chip.ioapic.irr
    }
}

#[test]
fn an_isa_interrupt_reaches_both_chips_and_the_timer_input_2() {
    let Some(partition) = partition(1) else { return };
    let lines = partition.interrupt_lines();
    for (input, pic, ioapic) in
        [(0, 1, 1 << 2), (2, 0, 0), (4, 1 << 4, 1 << 4), (12, 1 << 12, 1 << 12), (17, 0, 1 << 17)]
    {
        let before = ioapic_waiting(&partition);
        let mut line = InterruptLine::new(lines.clone(), input);
        line.set(true);
        assert_eq!(pic_levels(&partition), pic, "input {input}");
        assert_eq!(ioapic_waiting(&partition) & !before, ioapic, "input {input}");
        line.set(false);
        assert_eq!(pic_levels(&partition), 0, "input {input}");
    }
    lines.set_level(24, true);
    lines.set_level(u32::MAX, true);
    assert_eq!(pic_levels(&partition), 0);
}

#[test]
fn a_routed_pci_interrupt_reaches_the_8259a_alone_and_is_ored_with_isas() {
    let Some(partition) = partition(1) else { return };
    let mut isa = InterruptLine::new(partition.interrupt_lines(), 11);
    let mut pci = InterruptLine::new(partition.pic_lines(), 11);
    pci.set(true);
    assert_eq!((pic_levels(&partition), ioapic_waiting(&partition)), (1 << 11, 0));
    isa.set(true);
    assert_eq!((pic_levels(&partition), ioapic_waiting(&partition)), (1 << 11, 1 << 11));
    pci.set(false);
    assert_eq!(pic_levels(&partition), 1 << 11);
    pci.set(true);
    isa.set(false);
    assert_eq!(pic_levels(&partition), 1 << 11);
    pci.set(false);
    assert_eq!(pic_levels(&partition), 0);
}

#[test]
fn a_restored_level_makes_no_edge_but_is_remembered() {
    let Some(partition) = partition(1) else { return };
    let mut isa = InterruptLine::new(partition.interrupt_lines(), 10);
    let mut pci = InterruptLine::new(partition.pic_lines(), 10);
    isa.restore(true);
    assert_eq!(pic_levels(&partition), 0);
    pci.set(true);
    assert_eq!(pic_levels(&partition), 0, "the chip's own saved state has the level");
    isa.set(false);
    assert_eq!(ioapic_waiting(&partition), 0);
}

// Sets the 8259A pair up with vectors 8 and 0x70, all inputs but 4 masked, and waits; the handler at 0:1100 says so.
guest!(
    serve_irq4,
    "cli",
    "xor ax, ax",
    "mov ds, ax",
    "mov ss, ax",
    "mov sp, 0x8000", //
    "mov word ptr [12 * 4], 0x1000 + 0x100",
    "mov [12 * 4 + 2], ax", //
    "mov al, 0x11",
    "out 0x20, al",
    "mov al, 8",
    "out 0x21, al",
    "mov al, 4",
    "out 0x21, al", //
    "mov al, 1",
    "out 0x21, al",
    "mov al, 0xef",
    "out 0x21, al", //
    "sti",
    "out 0x80, al",
    "1: hlt",
    "jmp 1b", //
    ".org guest_serve_irq4 + 0x100",
    "mov al, 0x20",
    "out 0x20, al",
    "out 0x81, al",
    "iret",
);

#[test]
fn an_interrupt_wakes_a_halted_guest() {
    let Some(bench) = Bench::new(1, serve_irq4::code()) else { return };
    bench.vcpus.resume().unwrap();
    bench.recorder.wait_for_port(0x80);
    let mut line = InterruptLine::new(bench.partition.interrupt_lines(), 4);
    for count in 1..=50 {
        line.pulse();
        bench.recorder.wait(|acts| acts.iter().filter(|act| **act == Act::Out(0x81, 1, 0x20)).count() == count);
    }
}

// Switches the local APIC on (x2APIC, spurious vector 0xff) and waits; the handler of vector 0x40 at 0:1100 says so.
guest!(
    serve_msi,
    "cli",
    "xor ax, ax",
    "mov ds, ax",
    "mov ss, ax",
    "mov sp, 0x8000", //
    "mov word ptr [0x40 * 4], 0x1000 + 0x100",
    "mov [0x40 * 4 + 2], ax", //
    "mov ecx, 0x1b",
    "rdmsr",
    "or eax, 0xc00",
    "wrmsr", //
    "mov ecx, 0x80f",
    "xor edx, edx",
    "mov eax, 0x1ff",
    "wrmsr", //
    "sti",
    "out 0x80, al",
    "1: hlt",
    "jmp 1b", //
    ".org guest_serve_msi + 0x100",
    "xor eax, eax",
    "xor edx, edx",
    "mov ecx, 0x80b",
    "wrmsr",
    "out 0x81, al",
    "iret",
);

#[test]
fn a_message_interrupts_the_guest() {
    let Some(bench) = Bench::new(1, serve_msi::code()) else { return };
    bench.vcpus.resume().unwrap();
    bench.recorder.wait_for_port(0x80);
    let msi = bench.partition.msi();
    for count in 1..=20 {
        msi.signal(0xfee0_0000, 0x40);
        bench.recorder.wait(|acts| acts.iter().filter(|act| **act == Act::Out(0x81, 1, 0)).count() == count);
    }
    // Nobody is at these addresses: lost, as in hardware.
    msi.signal(0xfee3_0000, 0x41);
    msi.signal(0, 0);
}

// Loads channel 2 with 0xffff in mode 0 (55 ms), as Linux does to measure its time stamp counter.
guest!(
    load_channel_2,
    "mov al, 0xb0",
    "out 0x43, al",
    "mov al, 0xff",
    "out 0x42, al",
    "out 0x42, al", //
    "out 0xf4, al",
    "cli",
    "hlt",
);

#[test]
fn channel_2_counts_down_while_its_gate_is_high() {
    let Some(bench) = Bench::new(1, load_channel_2::code()) else { return };
    let partition = &bench.partition;
    let untouched = partition.pit_channel2().unwrap();
    assert_eq!((untouched.gate, untouched.mode), (false, None));
    partition.set_pit_channel2_gate(true).unwrap();
    let start = Instant::now();
    bench.vcpus.resume().unwrap();
    bench.recorder.wait_for_port(0xf4);
    let loaded = partition.pit_channel2().unwrap();
    assert_eq!((loaded.gate, loaded.mode, loaded.reload), (true, Some(0), 0xffff));
    while !partition.pit_channel2().unwrap().output {
        assert!(start.elapsed() < LIMIT, "the count never ends");
    }
    assert!(start.elapsed() >= Duration::from_micros(54_925), "{:?}", start.elapsed());
}

#[test]
fn channel_2_stands_still_while_its_gate_is_low_or_the_machine_is_paused() {
    let Some(bench) = Bench::new(1, load_channel_2::code()) else { return };
    let partition = &bench.partition;
    bench.vcpus.resume().unwrap();
    bench.recorder.wait_for_port(0xf4);
    let hour = Instant::now();
    while hour.elapsed() < Duration::from_millis(60) {
        assert!(!partition.pit_channel2().unwrap().output);
    }
    bench.vcpus.pause().unwrap();
    partition.set_pit_channel2_gate(true).unwrap();
    let hour = Instant::now();
    while hour.elapsed() < Duration::from_millis(60) {
        assert!(!partition.pit_channel2().unwrap().output);
    }
    let start = Instant::now();
    bench.vcpus.resume().unwrap();
    while !partition.pit_channel2().unwrap().output {
        assert!(start.elapsed() < LIMIT, "the count never ends");
    }
    assert!(start.elapsed() >= Duration::from_micros(54_900), "{:?}", start.elapsed());
}

// The timer at 1 kHz, served through vector 8 of the 8259A; each tick is told to port 0x81.
guest!(
    serve_timer,
    "cli",
    "xor ax, ax",
    "mov ds, ax",
    "mov ss, ax",
    "mov sp, 0x8000", //
    "mov word ptr [8 * 4], 0x1000 + 0x100",
    "mov [8 * 4 + 2], ax", //
    "mov al, 0x11",
    "out 0x20, al",
    "mov al, 8",
    "out 0x21, al",
    "mov al, 4",
    "out 0x21, al", //
    "mov al, 1",
    "out 0x21, al",
    "mov al, 0xfe",
    "out 0x21, al", //
    "mov al, 0x34",
    "out 0x43, al",
    "mov al, 0xa9",
    "out 0x40, al",
    "mov al, 4",
    "out 0x40, al", //
    "sti",
    "1: hlt",
    "jmp 1b", //
    ".org guest_serve_timer + 0x100",
    "mov al, 0x20",
    "out 0x20, al",
    "out 0x81, al",
    "iret",
);

#[test]
fn the_timer_ticks_and_is_off_while_paused() {
    let Some(bench) = Bench::new(1, serve_timer::code()) else { return };
    let mode = || bench.partition.0.vm.get_pit2().unwrap().channels[0].mode;
    for _ in 0..3 {
        bench.vcpus.resume().unwrap();
        bench.recorder.wait_for_more(20);
        assert_eq!(mode(), 2);
        bench.vcpus.pause().unwrap();
        assert_eq!(mode(), 0xff);
    }
    // Neither is it disturbed by the speaker's gate.
    bench.vcpus.resume().unwrap();
    let before = bench.partition.0.vm.get_pit2().unwrap().channels[2].count_load_time;
    bench.partition.set_pit_channel2_gate(true).unwrap();
    assert_eq!(bench.partition.0.vm.get_pit2().unwrap().channels[2].count_load_time, before);
}
