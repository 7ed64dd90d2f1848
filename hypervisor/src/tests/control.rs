//! Pause, resume, reset, stop, and processors that are started by others.

use std::{
    sync::{Arc, mpsc},
    thread,
    time::Instant,
};

use machine::registers::Bank;
use vm_memory::{Bytes, GuestAddress};

use super::harness::{Act, Bench, LIMIT, guest, partition, silent};
use crate::{
    StateError, VcpuError,
    vcpu::{StartState, Vcpus},
};

/// Does `work` on a thread of its own, so that a hang is an error.
#[track_caller]
fn within_limit<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, result) = mpsc::channel();
    thread::spawn(move || done.send(work()));
    result.recv_timeout(LIMIT).expect("it hangs")
}

guest!(echo, "1: in eax, 0x60", "out 0x80, eax", "jmp 1b");

#[test]
fn no_access_is_lost_or_repeated_by_a_pause() {
    let Some(bench) = Bench::new(1, echo::code()) else { return };
    for round in 0..200 {
        bench.vcpus.resume().unwrap();
        bench.recorder.wait_for_more(round % 7);
        bench.vcpus.pause().unwrap();
    }
    let values = bench.recorder.written(0x80);
    assert_eq!(values, (0..values.len() as u64).collect::<Vec<_>>());
}

#[test]
fn nothing_happens_while_paused() {
    let Some(bench) = Bench::new(1, echo::code()) else { return };
    bench.vcpus.resume().unwrap();
    bench.recorder.wait_for_more(100);
    bench.vcpus.pause().unwrap();
    let (before, exits) = (bench.recorder.acts().len(), bench.vcpus.exits());
    bench.vcpus.pause().unwrap();
    thread::yield_now();
    assert_eq!((bench.recorder.acts().len(), bench.vcpus.exits()), (before, exits));
}

guest!(spin, "2: jmp 2b");

#[test]
fn no_kick_is_lost() {
    let Some(bench) = Bench::new(2, spin::code()) else { return };
    within_limit(move || {
        for _ in 0..2000 {
            bench.vcpus.resume().unwrap();
            bench.vcpus.pause().unwrap();
        }
    });
}

#[test]
fn a_spinning_processor_ends_when_it_is_dropped() {
    let Some(bench) = Bench::new(2, spin::code()) else { return };
    bench.vcpus.resume().unwrap();
    within_limit(move || drop(bench));
}

guest!(halt, "out 0x80, al", "cli", "hlt");

#[test]
fn a_halted_and_a_waiting_processor_can_be_paused() {
    let Some(bench) = Bench::new(3, halt::code()) else { return };
    bench.vcpus.resume().unwrap();
    bench.recorder.wait_for_port(0x80);
    let bench = within_limit(move || {
        for _ in 0..20 {
            bench.vcpus.pause().unwrap();
            bench.vcpus.resume().unwrap();
        }
        bench
    });
    assert_eq!(bench.recorder.acts().len(), 1);
}

#[test]
fn a_reset_under_load_starts_over() {
    let Some(bench) = Bench::new(1, restart::code()) else { return };
    for _ in 0..30 {
        bench.vcpus.resume().unwrap();
        bench.recorder.wait_for_more(20);
        bench.vcpus.pause().unwrap();
        bench.vcpus.reset(StartState::Firmware).unwrap();
    }
    let starts = bench.recorder.written(0x81);
    assert_eq!(starts, [0; 30]);
}

guest!(restart, "out 0x81, eax", "xor eax, eax", "1: inc eax", "out 0x80, eax", "jmp 1b");

// The first processor sends INIT and SIPI to each other one in turn, through x2APIC's ICR; each comes up at 0x2000, says
// its number, and halts.
guest!(
    start_others,
    "mov ecx, 0x1b",
    "rdmsr",
    "or eax, 0xc00",
    "wrmsr", //
    "mov ecx, 0x830",
    "mov edx, 1", //
    "1: mov eax, 0x4500",
    "wrmsr",
    "mov eax, 0x4602",
    "wrmsr", //
    "inc edx",
    "cmp edx, 4",
    "jb 1b", //
    "2: hlt",
    "jmp 2b",
);
guest!(say_number, "mov eax, 1", "cpuid", "shr ebx, 24", "mov eax, ebx", "out 0x82, eax", "cli", "hlt");

#[test]
fn other_processors_start_by_sipi() {
    let Some(bench) = Bench::new(4, start_others::code()) else { return };
    bench.partition.memory().write_slice(say_number::code(), GuestAddress(0x2000)).unwrap();
    bench.vcpus.resume().unwrap();
    bench.recorder.wait(|acts| acts.len() == 3);
    bench.vcpus.pause().unwrap();
    let mut numbers = bench.recorder.written(0x82);
    numbers.sort_unstable();
    assert_eq!(numbers, [1, 2, 3]);

    // And again after a reset, which makes them wait anew.
    bench.vcpus.reset(StartState::Firmware).unwrap();
    bench.vcpus.resume().unwrap();
    bench.recorder.wait(|acts| acts.len() == 6);
}

// In real mode not every KVM looks at the table's length.
guest!(triple_fault, "out 0x80, al", "lidt [0x9000]", "mov eax, cr0", "or al, 1", "mov cr0, eax", "ud2", "1: jmp 1b");

#[test]
fn a_triple_fault_stops_the_processor_until_a_reset() {
    let Some(bench) = Bench::new(1, triple_fault::code()) else { return };
    for round in 1..=2 {
        bench.vcpus.resume().unwrap();
        let acts = bench.recorder.wait(|acts| acts.len() == 2 * round);
        assert_eq!(acts[2 * round - 1], Act::Event(0, true));
        bench.vcpus.pause().unwrap();
        // Without a reset nothing goes on.
        bench.vcpus.resume().unwrap();
        bench.vcpus.pause().unwrap();
        assert_eq!(bench.recorder.acts().len(), 2 * round);
        bench.vcpus.reset(StartState::Firmware).unwrap();
    }
}

guest!(run_device_memory, "ljmp 0xd000, 0x123");

#[test]
fn a_processor_that_cannot_go_on_says_where() {
    let Some(bench) = Bench::new(1, run_device_memory::code()) else { return };
    bench.vcpus.resume().unwrap();
    bench.recorder.wait(|acts| acts.contains(&Act::Event(0, false)));
    let reason = bench.recorder.reasons().pop().unwrap();
    assert!(reason.contains("rip 0x123") && reason.contains("base 0xd0000"), "{reason}");
    assert!(reason.starts_with("KVM"), "{reason}");
}

#[test]
fn a_panic_in_a_device_stops_the_processor_and_nothing_else() {
    let Some(bench) = Bench::answering(1, echo::code(), Some(Box::new(|_| panic!("a device's mistake")))) else {
        return;
    };
    bench.vcpus.resume().unwrap();
    bench.recorder.wait(|acts| acts.contains(&Act::Event(0, false)));
    let bench = within_limit(move || {
        bench.vcpus.pause().unwrap();
        bench
    });
    bench.vcpus.reset(StartState::Firmware).unwrap();
}

#[test]
fn state_cannot_be_touched_while_processors_run() {
    let Some(bench) = Bench::new(1, spin::code()) else { return };
    bench.vcpus.resume().unwrap();
    assert!(matches!(bench.vcpus.reset(StartState::Firmware), Err(StateError::Running)));
    assert!(matches!(bench.vcpus.save(), Err(StateError::Running)));
    bench.vcpus.pause().unwrap();
    assert!(bench.vcpus.save().is_ok());
}

/// The value of a bank's register.
fn value(banks: &[Bank], bank: &str, register: &str) -> String {
    let bank = banks.iter().find(|known| known.name == bank).expect("the bank");
    bank.get(register).expect("the register").to_owned()
}

#[test]
fn registers_are_read_while_processors_run_and_nothing_is_lost() {
    let Some(bench) = Bench::new(2, echo::code()) else { return };
    bench.vcpus.resume().unwrap();
    for round in 0..50 {
        bench.recorder.wait_for_more(round % 7);
        let banks = bench.vcpus.registers().unwrap();
        assert_eq!(value(&banks, "vcpu0", "activity"), "runs");
        assert_eq!(value(&banks, "vcpu1", "activity"), "waits for INIT");
    }
    bench.recorder.wait_for_more(1);
    bench.vcpus.pause().unwrap();
    let values = bench.recorder.written(0x80);
    assert_eq!(values, (0..values.len() as u64).collect::<Vec<_>>());
}

#[test]
fn a_halted_processors_registers_are_told() {
    let Some(bench) = Bench::new(1, halt::code()) else { return };
    bench.vcpus.resume().unwrap();
    bench.recorder.wait_for_port(0x80);
    let banks = within_limit(move || {
        loop {
            let banks = bench.vcpus.registers().unwrap();
            if value(&banks, "vcpu0", "activity") == "halted" {
                return banks;
            }
        }
    });
    assert_eq!(value(&banks, "vcpu0", "mode"), "real");
    assert_eq!(value(&banks, "vcpu0", "rflags"), "0x2");
    assert_eq!(value(&banks, "vcpu0", "events"), "none");
    assert_eq!(value(&banks, "apic0", "in-service"), "none");
    assert_eq!(value(&banks, "ioapic", "requested"), "none");
    assert_eq!(
        banks.iter().map(|bank| bank.name.as_str()).collect::<Vec<_>>(),
        ["vcpu0", "apic0", "pic0", "pic1", "ioapic", "pit"]
    );
}

#[test]
fn a_partition_has_its_processors_once() {
    let Some(partition) = partition(2) else { return };
    let first = Vcpus::new(&partition, silent()).unwrap();
    assert!(matches!(Vcpus::new(&partition, silent()), Err(VcpuError::Again)));
    drop(first);
}

#[test]
fn threads_have_names() {
    let Some(bench) = Bench::new(2, echo::code()) else { return };
    bench.vcpus.resume().unwrap();
    bench.recorder.wait_for_more(1);
    let names = || -> Vec<String> {
        let tasks = std::fs::read_dir("/proc/self/task").unwrap();
        tasks.filter_map(|task| std::fs::read_to_string(task.unwrap().path().join("comm")).ok()).collect()
    };
    // A thread gives itself its name, and the second processor's may not have had its turn yet.
    let end = Instant::now() + LIMIT;
    while !names().contains(&"vcpu-1\n".to_owned()) {
        assert!(Instant::now() < end, "{:?}", names());
        thread::yield_now();
    }
    assert!(Arc::strong_count(&bench.recorder) > 1);
}
