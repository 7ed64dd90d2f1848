//! Memory that the guest sees, or doesn't.

use vm_memory::Bytes;

use super::harness::{Act, Bench, guest, partition};
use crate::{MapAccess, MapError, memory::DeviceMemory};

guest!(
    across_a_page,
    "mov ax, 0xd000",
    "mov es, ax",                           //
    "mov dword ptr es:[0xffe], 0x12345678", //
    "mov eax, dword ptr es:[0xffe]",
    "out 0x84, eax",
    "out 0xf4, al",
    "hlt",
);

#[test]
fn an_access_across_a_page_comes_in_two_parts() {
    let Some(bench) = Bench::answering(1, across_a_page::code(), Some(Box::new(|n| 0x1111 * (n + 1)))) else { return };
    let acts = bench.run_to_end();
    assert_eq!(
        acts[..5],
        [
            Act::Write(0xd0ffe, 2, 0x5678),
            Act::Write(0xd1000, 2, 0x1234),
            Act::Read(0xd0ffe, 2),
            Act::Read(0xd1000, 2),
            Act::Out(0x84, 4, 0x2222_1111),
        ]
    );
}

guest!(
    touch_rom,
    "mov ax, 0xe000",
    "mov es, ax",
    "mov eax, dword ptr es:[8]",
    "out 0x84, eax", //
    "mov byte ptr es:[8], 9",
    "mov eax, dword ptr es:[8]",
    "out 0x84, eax",
    "out 0xf4, al",
    "hlt",
);

#[test]
fn read_only_memory_is_read_without_an_exit_and_written_with_one() {
    let Some(bench) = Bench::new(1, touch_rom::code()) else { return };
    let rom = DeviceMemory::new("rom", 0x2_0000).unwrap();
    rom.bytes().write_obj(0xcafe_f00d_u32, 8).unwrap();
    let _mapping = bench.partition.map(0xe0000, &rom, MapAccess::ReadOnly, false).unwrap();
    let acts = bench.run_to_end();
    assert_eq!(acts[..3], [Act::Out(0x84, 4, 0xcafe_f00d), Act::Write(0xe0008, 1, 9), Act::Out(0x84, 4, 0xcafe_f00d)]);
}

guest!(
    draw,
    "mov ax, 0xc000",
    "mov es, ax",
    "mov byte ptr es:[0x1000], 1",
    "mov byte ptr es:[0x5fff], 1", //
    "out 0xf4, al",
    "1: inc al",
    "mov byte ptr es:[0x7000], al",
    "out 0x80, al",
    "jmp 1b",
);

#[test]
fn the_pages_that_the_guest_writes_are_told_once() {
    let Some(bench) = Bench::new(1, draw::code()) else { return };
    let vram = DeviceMemory::new("vram", 0x1_0000).unwrap();
    let mapping = bench.partition.map(0xc0000, &vram, MapAccess::ReadWrite, true).unwrap();
    assert_eq!(vram.take_dirty().unwrap(), [0]);
    bench.vcpus.resume().unwrap();
    bench.recorder.wait(|acts| acts.contains(&Act::Out(0x80, 1, 9)));
    bench.vcpus.pause().unwrap();
    assert_eq!(vram.take_dirty().unwrap(), [1 << 1 | 1 << 5 | 1 << 7]);
    assert_eq!(vram.take_dirty().unwrap(), [0]);
    bench.vcpus.resume().unwrap();
    bench.recorder.wait_for_more(20);
    bench.vcpus.pause().unwrap();
    assert_eq!(vram.take_dirty().unwrap(), [1 << 7]);
    drop(mapping);
    assert_eq!(vram.take_dirty().unwrap(), [u64::MAX], "what the mapping's log knew is gone: any page may be new");
    assert!(vram.take_dirty().unwrap().is_empty());
}

#[test]
fn a_second_mapping_keeps_its_log_when_the_first_goes() {
    let Some(partition) = partition(1) else { return };
    let vram = DeviceMemory::new("vram", 0x1000).unwrap();
    let first = partition.map(0xc0000, &vram, MapAccess::ReadWrite, true).unwrap();
    let second = partition.map(0xc8000, &vram, MapAccess::ReadWrite, true).unwrap();
    assert_eq!(vram.take_dirty().unwrap(), [u64::MAX], "the second log has taken the first one's place");
    drop(first);
    assert_eq!(vram.take_dirty().unwrap(), [0]);
    drop(second);
    assert_eq!(vram.take_dirty().unwrap(), [u64::MAX]);
    assert!(vram.take_dirty().unwrap().is_empty());
}

// Says what it reads at 0xc0000 and at 0xc8000.
guest!(
    look,
    "mov ax, 0xc000",
    "mov ds, ax",
    "mov ax, 0xc800",
    "mov es, ax", //
    "1: mov al, byte ptr ds:[0]",
    "out 0x80, al",
    "mov al, byte ptr es:[0]",
    "out 0x81, al",
    "jmp 1b",
);

#[test]
fn memory_moves_while_the_guest_looks_at_it() {
    let Some(bench) = Bench::answering(1, look::code(), Some(Box::new(|_| 0xff))) else { return };
    let vram = DeviceMemory::new("vram", 0x1000).unwrap();
    vram.bytes().write_obj(7_u8, 0).unwrap();
    bench.vcpus.resume().unwrap();
    for (base, port, other) in [(0xc0000, 0x80, 0x81), (0xc8000, 0x81, 0x80), (0xc0000, 0x80, 0x81)] {
        let mapping = bench.partition.map(base, &vram, MapAccess::ReadWrite, false).unwrap();
        let from = bench.recorder.acts().len();
        bench.recorder.wait(|acts| {
            let seen = &acts[from..];
            seen.contains(&Act::Out(port, 1, 7)) && seen.contains(&Act::Out(other, 1, 0xff))
        });
        drop(mapping);
        // What was under way may still come; then it is gone.
        bench.recorder.wait_for_more(4);
        let from = bench.recorder.acts().len();
        bench.recorder.wait_for_more(8);
        assert!(!bench.recorder.acts()[from..].contains(&Act::Out(port, 1, 7)));
    }
}

#[test]
fn mappings_do_not_overlap_and_give_their_place_back() {
    let Some(partition) = partition(1) else { return };
    let memory = DeviceMemory::new("vram", 0x2000).unwrap();
    let map = |base| partition.map(base, &memory, MapAccess::ReadWrite, false);
    let first = map(0xe000_0000).unwrap();
    assert_eq!((first.base(), first.memory().len()), (0xe000_0000, 0x2000));
    assert!(matches!(map(0xe000_1000), Err(MapError::Overlap { present: 0xe000_0000, .. })));
    assert!(matches!(map(0xdfff_f000), Err(MapError::Overlap { .. })));
    assert!(matches!(map(0x9f000), Err(MapError::Overlap { present: 0, .. })));
    assert!(matches!(map(0xfeff_d000), Err(MapError::Overlap { .. })));
    assert!(matches!(map(0xe000_2001), Err(MapError::Place { .. })));
    assert!(matches!(map(u64::MAX - 0xfff), Err(MapError::Place { .. })));
    drop(map(0xe000_2000).unwrap());
    drop(first);
    drop(map(0xe000_1000).unwrap());
}

guest!(
    plot,
    "mov ax, 0xd000",
    "mov es, ax",
    "cld",
    "xor di, di",
    "mov cx, 300",
    "mov al, 1", //
    "1: stosb",
    "inc al",
    "loop 1b", //
    "out 0x80, al",
    "mov word ptr es:[0x2000], 0x5555",
    "mov byte ptr es:[0x10], 0x77",
    "out 0xf4, al", //
    "mov byte ptr es:[0x11], 0x78",
    "cli",
    "hlt",
);

#[test]
fn gathered_writes_arrive_in_order_before_what_follows_them() {
    let Some(bench) = Bench::new(1, plot::code()) else { return };
    let range = bench.partition.coalesce(0xd0000, 0x1000).unwrap();
    bench.run_to_end();
    let mut expected: Vec<_> = (0..300).map(|n| Act::Write(0xd0000 + n, 1, (n + 1) & 0xff)).collect();
    expected.push(Act::Out(0x80, 1, 301 & 0xff));
    expected.push(Act::Write(0xd2000, 2, 0x5555));
    expected.push(Act::Write(0xd0010, 1, 0x77));
    expected.push(Act::Out(0xf4, 1, 301 & 0xff));
    let acts = bench.recorder.acts();
    assert_eq!(acts[..expected.len()], expected);
    let exits = bench.vcpus.exits()[0];
    assert!(exits.mmio_writes < 10 && exits.coalesced > 290, "{exits:?}");
    drop(range);
}

guest!(plot_and_spin, "mov ax, 0xd000", "mov es, ax", "out 0x80, al", "mov byte ptr es:[0x11], 0x78", "2: jmp 2b");

#[test]
fn gathered_writes_are_there_when_asked_for() {
    let Some(bench) = Bench::new(1, plot_and_spin::code()) else { return };
    let _range = bench.partition.coalesce(0xd0000, 0x1000).unwrap();
    bench.vcpus.resume().unwrap();
    bench.recorder.wait_for_port(0x80);
    let end = std::time::Instant::now() + super::harness::LIMIT;
    while bench.recorder.acts().len() < 2 {
        assert!(std::time::Instant::now() < end, "the write doesn't come");
        bench.vcpus.drain_coalesced();
    }
    assert_eq!(bench.recorder.acts()[1], Act::Write(0xd0011, 1, 0x78));
}

#[test]
fn impossible_ranges_do_not_gather() {
    let Some(partition) = partition(1) else { return };
    for (base, len) in [(0, 0), (u64::MAX, 2), (0, 1 << 40)] {
        assert!(matches!(partition.coalesce(base, len), Err(MapError::Place { .. })), "{base:#x} {len:#x}");
    }
}
