//! Port accesses, single and repeated.

use super::harness::{Act, Bench, ENTRY, guest};
use vm_memory::{Bytes, GuestAddress};

guest!(
    single_accesses,
    "mov al, 0x12",
    "out 0x80, al", //
    "mov ax, 0x3456",
    "mov dx, 0x1234",
    "out dx, ax", //
    "mov eax, 0x789abcde",
    "out dx, eax", //
    "in al, 0x60",
    "in ax, 0x62",
    "in eax, dx", //
    "out 0x84, eax",
    "out 0xf4, al",
    "hlt",
);

#[test]
fn port_accesses_arrive_with_their_sizes() {
    let Some(bench) = Bench::answering(1, single_accesses::code(), Some(Box::new(|n| 0x1111_1111 * (n + 1)))) else {
        return;
    };
    let acts = bench.run_to_end();
    assert_eq!(
        acts,
        [
            Act::Out(0x80, 1, 0x12),
            Act::Out(0x1234, 2, 0x3456),
            Act::Out(0x1234, 4, 0x789a_bcde),
            Act::In(0x60, 1),
            Act::In(0x62, 2),
            Act::In(0x1234, 4),
            Act::Out(0x84, 4, 0x3333_3333),
            Act::Out(0xf4, 1, 0x33),
        ]
    );
    let exits = bench.vcpus.exits()[0];
    assert_eq!((exits.port_reads, exits.port_writes), (3, 5));
}

guest!(
    repeated_accesses,
    "xor ax, ax",
    "mov ds, ax",
    "mov es, ax",
    "cld", //
    "mov dx, 0x510",
    "mov cx, 300",
    "mov di, 0x2000",
    "rep insb", //
    "mov dx, 0x512",
    "mov cx, 5",
    "mov di, 0x3000",
    "rep insd", //
    "mov dx, 0x514",
    "mov cx, 3",
    "mov si, 0x2000",
    "rep outsw", //
    "out 0xf4, al",
    "hlt",
);

#[test]
fn repeated_accesses_are_split_by_element_and_in_order() {
    let Some(bench) = Bench::new(1, repeated_accesses::code()) else { return };
    let acts = bench.run_to_end();
    let memory = bench.partition.memory();
    let mut bytes = vec![0; 300];
    memory.read_slice(&mut bytes, GuestAddress(0x2000)).unwrap();
    assert_eq!(bytes, (0..300).map(|n| n as u8).collect::<Vec<_>>());
    assert_eq!(memory.read_obj::<[u32; 5]>(GuestAddress(0x3000)).unwrap(), [300, 301, 302, 303, 304]);
    let last: Vec<_> = acts.iter().rev().skip(1).take(3).rev().copied().collect();
    assert_eq!(last, [Act::Out(0x514, 2, 0x0100), Act::Out(0x514, 2, 0x0302), Act::Out(0x514, 2, 0x0504)]);
    assert_eq!(acts.iter().filter(|act| **act == Act::In(0x510, 1)).count(), 300);
}

guest!(
    unknown_msr,
    "xor ax, ax",
    "mov ds, ax",
    "mov word ptr [13 * 4], 0x1000 + 100",
    "mov word ptr [13 * 4 + 2], ax",
    "mov sp, 0x8000",
    "mov ss, ax",
    "mov ecx, 0xc0ffee",
    "rdmsr",
    "out 0x80, al",
    "out 0xf4, al",
    "hlt",
    ".org . + 100 - (. - guest_unknown_msr)",
    "mov al, 0x0d",
    "out 0x81, al",
    "out 0xf4, al",
    "hlt"
);

#[test]
fn an_unknown_msr_gives_a_protection_fault_and_a_note() {
    let Some(bench) = Bench::new(1, unknown_msr::code()) else { return };
    let acts = bench.run_to_end();
    assert_eq!(acts[0], Act::Out(0x81, 1, 0x0d));
    let notes = bench.partition.notes();
    assert!(
        notes.contains(&crate::Note::Msr { index: 0xc0_ffee, write: false, known: false }),
        "{notes:?} (code at {ENTRY:#x})"
    );
}
