//! Tests of the loader with kernels made up here and with those that are installed.

#![allow(clippy::single_range_in_vec_init)] // one range is what is meant

use std::{fs::File, io::Write, time::Instant};

use proptest::prelude::*;
use vm_memory::{Bytes, GuestAddress};

use super::*;
use crate::memory::guest_memory;

mod made;

const MIB: u64 = 1 << 20;

/// A PC's memory map with `mib` MiB of RAM, below 3 GiB.
fn pc(mib: u64) -> Vec<MemoryRange> {
    let range = |base, len, kind| MemoryRange { base, len, kind };
    vec![
        range(0, 0x9_fc00, RangeKind::Ram),
        range(0x9_fc00, 0x6_0400, RangeKind::Reserved),
        range(MIB, (mib - 1) * MIB, RangeKind::Ram),
    ]
}

fn memory(mib: u64) -> GuestMemory {
    guest_memory(&[(0, mib * MIB)]).unwrap()
}

fn boot(map: &[MemoryRange]) -> Boot<'_> {
    Boot {
        protocol: Protocol::Any,
        memory_map: map,
        avoid: &[],
        command_line: "console=ttyS0",
        initrd: None,
        rsdp: None,
    }
}

fn bytes_at(memory: &GuestMemory, address: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    memory.read_slice(&mut bytes, GuestAddress(address)).unwrap();
    bytes
}

fn u32_at(memory: &GuestMemory, address: u64) -> u32 {
    memory.read_obj(GuestAddress(address)).unwrap()
}

fn u64_at(memory: &GuestMemory, address: u64) -> u64 {
    memory.read_obj(GuestAddress(address)).unwrap()
}

#[test]
fn a_bzimage_is_loaded_with_its_zero_page() {
    let kernel = Kernel::new(made::bzimage(&made::elf())).unwrap();
    let (memory, map, disk) = (memory(64), pc(64), vec![7; 5000]);
    let asked = Boot { initrd: Some(Initrd::Bytes(&disk)), rsdp: Some(0xf_5000), ..boot(&map) };

    let loaded = kernel.load(&memory, &asked).unwrap();

    let Entry::Linux64 { entry, boot_params } = loaded.entry else { panic!("{:?}", loaded.entry) };
    assert_eq!((entry, &loaded.kernel[..]), (0x100_0200, &[0x100_0000..0x120_0000][..]));
    assert_eq!(bytes_at(&memory, 0x100_0000, 4), [0x90; 4]);
    assert_eq!(bytes_at(&memory, 0x100_2000, 4), *b"\x7fELF");
    let page = |at| boot_params + at;
    assert_eq!(bytes_at(&memory, page(0x1fe), 8), *b"\x55\xaa\xeb\x6aHdrS");
    assert_eq!(bytes_at(&memory, page(0x210), 2), [0xff, 1]);
    assert_eq!(bytes_at(&memory, u32_at(&memory, page(0x228)).into(), 14), *b"console=ttyS0\0");
    assert_eq!(u64_at(&memory, page(0x70)), 0xf_5000);
    let initrd = loaded.initrd.unwrap();
    assert_eq!((initrd.start, initrd.end), (64 * MIB - 8192, 64 * MIB - 8192 + 5000));
    assert_eq!((u32_at(&memory, page(0x218)).into(), u32_at(&memory, page(0x21c))), (initrd.start, 5000));
    assert_eq!(bytes_at(&memory, initrd.start, 5000), disk);
    assert_eq!(bytes_at(&memory, page(0x1e8), 1), [3]);
    for (index, entry) in map.iter().enumerate() {
        let at = page(0x2d0 + 20 * index as u64);
        assert_eq!((u64_at(&memory, at), u64_at(&memory, at + 8)), (entry.base, entry.len));
        assert_eq!(u32_at(&memory, at + 16), entry.kind as u32);
    }
}

#[test]
fn the_kernel_in_a_bzimage_starts_by_pvh() {
    let kernel = Kernel::new(made::bzimage(&made::elf())).unwrap();
    let (memory, map) = (memory(64), pc(64));
    memory.write_slice(&[0xee; 0x4000], GuestAddress(0x100_0000)).unwrap();
    let asked =
        Boot { protocol: Protocol::Pvh, initrd: Some(Initrd::Bytes(b"disk")), rsdp: Some(0xf_5000), ..boot(&map) };

    let loaded = kernel.load(&memory, &asked).unwrap();

    let Entry::Pvh { entry, start_info } = loaded.entry else { panic!("{:?}", loaded.entry) };
    assert_eq!(entry, 0x100_0010);
    assert_eq!(loaded.kernel, [0x100_0000..0x100_3000, 0x120_0000..0x120_1000]);
    assert_eq!(bytes_at(&memory, 0x100_0000, made::CODE.len()), made::CODE);
    let rest = 0x3000 - made::CODE.len();
    assert_eq!(bytes_at(&memory, 0x100_0000 + made::CODE.len() as u64, rest), vec![0; rest], "bss is not zero");
    assert_eq!(bytes_at(&memory, 0x100_3000, 1), [0xee], "what is behind bss was written");
    let info = |at| start_info + at;
    let words: Vec<u32> = (0..4).map(|index| u32_at(&memory, info(4 * index))).collect();
    assert_eq!(words, [0x336e_c578, 1, 0, 1]);
    let modules = u64_at(&memory, info(16));
    let initrd = loaded.initrd.unwrap();
    assert_eq!((u64_at(&memory, modules), u64_at(&memory, modules + 8)), (initrd.start, 4));
    assert_eq!(bytes_at(&memory, initrd.start, 4), *b"disk");
    assert_eq!(bytes_at(&memory, u64_at(&memory, info(24)), 14), *b"console=ttyS0\0");
    assert_eq!(u64_at(&memory, info(32)), 0xf_5000);
    let table = u64_at(&memory, info(40));
    assert_eq!(u32_at(&memory, info(48)), 3);
    for (index, entry) in map.iter().enumerate() {
        let at = table + 24 * index as u64;
        assert_eq!((u64_at(&memory, at), u64_at(&memory, at + 8)), (entry.base, entry.len));
        assert_eq!(u64_at(&memory, at + 16), entry.kind as u64);
    }
}

#[test]
fn a_32_bit_kernel_with_its_note_in_a_section_starts_by_pvh() {
    for descriptor in [&0x10_0004_u64.to_le_bytes()[..], &0x10_0004_u32.to_le_bytes()] {
        let notes = made::note(b"Xen\0", 18, descriptor);
        let segments = [(0x10_0000, 0x100, &b"unikernel"[..])];
        let elf =
            made::Elf { is_64: false, machine: 3, entry: 0, segments: &segments, notes: &notes, in_section: true };
        let kernel = Kernel::new(elf.bytes()).unwrap();
        let (memory, map) = (memory(2), pc(2));

        let loaded = kernel.load(&memory, &boot(&map)).unwrap();

        assert_eq!(kernel.kind(), KernelKind::Elf32 { has_pvh: true, linux: None });
        assert!(matches!(loaded.entry, Entry::Pvh { entry: 0x10_0004, .. }), "{:?}", loaded.entry);
        assert_eq!(bytes_at(&memory, 0x10_0000, 9), *b"unikernel");
    }
}

#[test]
fn a_vmlinux_without_pvh_starts_by_its_64_bit_entry() {
    // Its entry is a virtual address in one case, a physical one in the other.
    for entry in [0x1100_0020, 0x100_0020] {
        let segments = [(0x100_0000, 0x1000, made::CODE)];
        let elf = made::Elf { is_64: true, machine: 62, entry, segments: &segments, notes: &[], in_section: false };
        let kernel = Kernel::new(elf.bytes()).unwrap();
        let (memory, map) = (memory(32), pc(32));

        let loaded = kernel.load(&memory, &boot(&map)).unwrap();

        assert_eq!(kernel.kind(), KernelKind::Elf64 { has_pvh: false, linux: Some("9.8.7 (made up)".into()) });
        let Entry::Linux64 { entry, boot_params } = loaded.entry else { panic!("{:?}", loaded.entry) };
        assert_eq!(entry, 0x100_0020);
        assert_eq!(bytes_at(&memory, boot_params + 0x202, 6), *b"HdrS\x0c\x02");
        let by_pvh = Boot { protocol: Protocol::Pvh, ..boot(&map) };
        assert!(matches!(kernel.load(&memory, &by_pvh), Err(LoadError::NoPvhEntry)));
    }
}

#[test]
fn a_bzimage_says_what_it_is() {
    let kernel = Kernel::read(&made::bzimage(&made::elf())[..]).unwrap();
    let expected = KernelKind::BzImage {
        version: Some("9.8.7 (made up) #1".into()),
        protocol: (2, 15),
        has_entry_64: true,
        compression: Some(Compression::None),
    };
    assert_eq!(kernel.kind(), expected);
}

#[test]
fn files_that_are_no_kernels_are_told_apart() {
    let mut iso = vec![0; 0x9000];
    iso[0x8001..0x8006].copy_from_slice(b"CD001");
    let mut arm = vec![0; 0x100];
    arm[0x38..0x3c].copy_from_slice(b"ARM\x64");
    let mut efi = vec![0; 0x100];
    efi[..2].copy_from_slice(b"MZ");
    efi[0x3c] = 0x80;
    efi[0x80..0x84].copy_from_slice(b"PE\0\0");
    let program = made::Elf {
        is_64: true,
        machine: 62,
        entry: 0,
        segments: &[(0x40_0000, 9, b"a program")],
        notes: &[],
        in_section: false,
    };
    let arm_elf = made::Elf { is_64: true, machine: 183, entry: 0, segments: &[], notes: &[], in_section: false };
    let mut old = made::bzimage(b"");
    old[0x206] = 5;
    let cases: [(&str, Vec<u8>, &str); 11] = [
        ("empty", vec![], "it looks like an empty file"),
        ("HTML", b"\n<!DOCTYPE html><html>".to_vec(), "it looks like a web page"),
        ("ISO", iso, "it looks like an ISO image"),
        ("initrd", b"070701 and so on".to_vec(), "it looks like an initial RAM disk"),
        ("text", b"hello".to_vec(), "this file is not a kernel"),
        ("arm", arm, "this kernel is for 64-bit Arm"),
        ("arm ELF", arm_elf.bytes(), "this kernel is for 64-bit Arm"),
        ("EFI", efi, "UEFI firmware"),
        ("program", program.bytes(), "no PVH entry and is no Linux kernel"),
        ("old", old, "its boot protocol is 2.05"),
        ("cut", made::bzimage(&made::elf())[..0x1800].to_vec(), "the file ends at byte 6144"),
    ];
    for (name, bytes, expected) in cases {
        let error = Kernel::read(&bytes[..]).unwrap_err().to_string();
        assert!(error.contains(expected), "{name}: {error}");
    }
}

#[test]
fn a_cut_off_elf_is_incomplete_wherever_it_is_cut() {
    let whole = made::elf();
    for len in 4..whole.len() {
        let error = Kernel::new(whole[..len].to_vec()).unwrap_err();
        assert!(matches!(error, KernelError::Truncated { .. }), "{len}: {error}");
    }
}

#[test]
fn an_endless_file_is_not_read_to_its_end() {
    let zeroes = Kernel::read(std::io::repeat(0));
    assert!(matches!(zeroes, Err(KernelError::NotAKernel { looks_like: None })));
}

#[test]
fn a_machine_with_too_little_memory_is_told_how_much_it_needs() {
    let kernel = Kernel::new(made::bzimage(&made::elf())).unwrap();
    for protocol in [Protocol::Linux64, Protocol::Pvh] {
        let map = pc(16);
        let error = kernel.load(&memory(16), &Boot { protocol, ..boot(&map) }).unwrap_err();
        let needed = if protocol == Protocol::Pvh { 19 } else { 18 };
        assert!(matches!(error, LoadError::NeedsMemory { needed: bytes, .. } if bytes == needed * MIB), "{error}");
    }
}

#[test]
fn an_initrd_that_does_not_fit_says_how_much_memory_would_do() {
    let kernel = Kernel::new(made::bzimage(&made::elf())).unwrap();
    let disk = vec![1; 30 * MIB as usize];
    let load = |mib| {
        let map = pc(mib);
        kernel.load(&memory(mib), &Boot { initrd: Some(Initrd::Bytes(&disk)), ..boot(&map) })
    };
    let error = load(20).unwrap_err();
    assert!(matches!(error, LoadError::NeedsMemory { needed, .. } if needed == 48 * MIB), "{error}");
    assert_eq!(
        error.to_string(),
        "the initial RAM disk needs a machine with at least 48 MiB of memory, and this one has 19 MiB"
    );
    assert_eq!(load(48).unwrap().initrd, Some(18 * MIB..48 * MIB));
    assert!(load(47).is_err());
}

#[test]
fn an_initrd_stays_below_the_kernels_limit() {
    let mut file = made::bzimage(&made::elf());
    file[0x22c..0x230].copy_from_slice(&0x1ff_ffff_u32.to_le_bytes());
    let kernel = Kernel::new(file).unwrap();
    let (memory, map) = (memory(64), pc(64));
    let load = |len: usize| {
        let disk = vec![1; len];
        kernel.load(&memory, &Boot { initrd: Some(Initrd::Bytes(&disk)), ..boot(&map) })
    };
    assert_eq!(load(4096).unwrap().initrd, Some(32 * MIB - 4096..32 * MIB));
    assert!(matches!(load(20 * MIB as usize), Err(LoadError::InitrdTooLarge { below: 0x200_0000, .. })));
}

#[test]
fn an_initrd_comes_from_a_file_as_often_as_needed() {
    let mut file = tempfile::tempfile().unwrap();
    let content: Vec<u8> = (0..3_000_000_u32).map(|index| (index % 251) as u8).collect();
    file.write_all(&content).unwrap();
    let kernel = Kernel::new(made::elf()).unwrap();
    let (memory, map) = (memory(32), pc(32));
    let asked = Boot { initrd: Some(Initrd::File(&file)), ..boot(&map) };

    let first = kernel.load(&memory, &asked).unwrap();
    let second = kernel.load(&memory, &asked).unwrap();

    assert_eq!(first, second);
    assert!(bytes_at(&memory, first.initrd.unwrap().start, content.len()) == content);
    let empty = tempfile::tempfile().unwrap();
    let none = Boot { initrd: Some(Initrd::File(&empty)), ..boot(&map) };
    assert!(matches!(kernel.load(&memory, &none), Err(LoadError::InitrdEmpty)));
    let folder = File::open("/").unwrap();
    let none = Boot { initrd: Some(Initrd::File(&folder)), ..boot(&map) };
    assert!(matches!(kernel.load(&memory, &none), Err(LoadError::InitrdRead(_))));
}

#[test]
fn a_command_line_ends_at_the_kernels_limit() {
    let mut file = made::bzimage(&made::elf());
    file[0x238..0x23c].copy_from_slice(&20_u32.to_le_bytes());
    let kernel = Kernel::new(file).unwrap();
    let (memory, map) = (memory(32), pc(32));
    for protocol in [Protocol::Linux64, Protocol::Pvh] {
        let load = |command_line: &str| kernel.load(&memory, &Boot { protocol, command_line, ..boot(&map) });
        load(&"x".repeat(20)).unwrap();
        assert!(matches!(load(&"x".repeat(21)), Err(LoadError::CommandLineTooLong { len: 21, limit: 20 })));
        assert!(matches!(load("a\0b"), Err(LoadError::CommandLineNul)));
    }
}

#[test]
fn what_is_to_be_avoided_is_left_alone() {
    let kernel = Kernel::new(made::bzimage(&made::elf())).unwrap();
    let (memory, map) = (memory(32), pc(32));
    let load = |avoid: &[Range<u64>]| kernel.load(&memory, &Boot { avoid, ..boot(&map) });
    let Entry::Linux64 { boot_params, .. } = load(&[0..0x9_0000]).unwrap().entry else { panic!() };
    assert!((0x9_0000..0x9_fc00).contains(&boot_params), "{boot_params:#x}");
    // The preferred place is taken: a relocatable kernel goes to the next one.
    let moved = load(&[0x110_0000..0x110_1000]).unwrap();
    assert!(matches!(moved.entry, Entry::Linux64 { entry: 0x120_0200, .. }), "{:?}", moved.entry);
    let by_pvh = Boot { protocol: Protocol::Pvh, avoid: &[0x100_0000..0x100_1000], ..boot(&map) };
    let error = kernel.load(&memory, &by_pvh).unwrap_err();
    assert!(matches!(error, LoadError::Occupied { start: 0x100_0000, end: 0x100_3000 }), "{error}");
}

#[test]
fn segments_that_contradict_each_other_are_refused() {
    let make = |segments: &[made::Segment<'_>], entry| {
        let notes = made::pvh(entry);
        let elf = made::Elf { is_64: true, machine: 62, entry: 0, segments, notes: &notes, in_section: false };
        Kernel::new(elf.bytes())
    };
    for segments in [
        &[(0x10_0000, 0x1000, &b"a"[..]), (0x10_0fff, 0x1000, b"b")][..],
        &[(0x10_0000, 2, b"longer than in memory")],
        &[(u64::MAX - 1, 0x1000, b"a")],
        &[],
    ] {
        let error = make(segments, 0x10_0000).unwrap_err();
        assert!(matches!(error, KernelError::Malformed(_)), "{error}");
    }
    let outside = make(&[(0x10_0000, 0x1000, b"a")], 0x10_1000).unwrap();
    let error = outside.load(&memory(2), &boot(&pc(2))).unwrap_err();
    assert!(matches!(error, LoadError::Kernel(KernelError::Malformed(_))), "{error}");
}

#[test]
fn a_memory_map_without_memory_behind_it_is_an_error() {
    let kernel = Kernel::new(made::elf()).unwrap();
    let error = kernel.load(&memory(8), &boot(&pc(64))).unwrap_err();
    assert!(matches!(error, LoadError::Memory { address: 0x100_0000, .. }), "{error}");
    let long: Vec<_> =
        (0..129).map(|at| MemoryRange { base: at * 0x2000, len: 0x1000, kind: RangeKind::Reserved }).collect();
    let map = [pc(32)[2..].to_vec(), long].concat();
    let asked = Boot { protocol: Protocol::Linux64, ..boot(&map) };
    assert!(matches!(kernel.load(&memory(32), &asked), Err(LoadError::MemoryMap(_))));
}

/// The kernels below `/boot` with their names; prints loudly when there are none.
fn installed() -> Vec<(String, Vec<u8>)> {
    let entries = std::fs::read_dir("/boot").into_iter().flatten().flatten();
    let kernels: Vec<_> = entries
        .map(|entry| entry.path())
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("vmlinuz-")))
        .filter_map(|path| Some((path.display().to_string(), std::fs::read(&path).ok()?)))
        .collect();
    if kernels.is_empty() {
        println!("SKIPPED: no readable kernel in /boot; install linux-image-amd64");
    }
    kernels
}

#[test]
fn installed_kernels_can_be_entered_both_ways() {
    for (name, file) in installed() {
        let kernel = Kernel::new(file.clone()).unwrap();
        let KernelKind::BzImage { version: Some(version), has_entry_64: true, .. } = kernel.kind() else {
            panic!("{name}: {:?}", kernel.kind())
        };
        assert!(name.ends_with(version.split(' ').next().unwrap()), "{name} is {version}");
        let (memory, map) = (memory(256), pc(256));

        let loaded = kernel.load(&memory, &boot(&map)).unwrap();
        let Entry::Linux64 { entry, .. } = loaded.entry else { panic!("{name}: {:?}", loaded.entry) };
        let setup = (usize::from(file[0x1f1]) + 1) * 512;
        assert_eq!(bytes_at(&memory, entry, 4096), file[setup + 0x200..][..4096], "{name}");

        let start = Instant::now();
        let unpacked = kernel.unpack().unwrap();
        println!("{name}: unpacked to {} bytes in {:?}", unpacked.bytes().len(), start.elapsed());
        let KernelKind::Elf64 { has_pvh: true, linux: Some(linux) } = unpacked.kind() else {
            panic!("{name}: {:?}", unpacked.kind())
        };
        assert!(version.starts_with(linux.split(' ').next().unwrap()), "{name} is {linux}");
        let loaded = unpacked.load(&memory, &boot(&map)).unwrap();
        let Entry::Pvh { entry, .. } = loaded.entry else { panic!("{name}: {:?}", loaded.entry) };
        assert!(loaded.kernel.iter().any(|range| range.contains(&entry.into())), "{name}");
        // The ELF header's entry, startup_64, stands in the first segment.
        let header: [u8; 8] = unpacked.bytes()[24..32].try_into().unwrap();
        assert_eq!(u64::from_le_bytes(header), loaded.kernel[0].start, "{name}");
    }
}

/// A file of a package; prints loudly when it isn't there.
fn of_package(path: &str, package: &str) -> Option<Kernel> {
    let Ok(file) = File::open(path) else {
        println!("SKIPPED: {path} can't be read; install {package}");
        return None;
    };
    Some(Kernel::read(file).unwrap())
}

#[test]
fn memtest86_has_a_64_bit_entry_and_no_pvh() {
    let Some(kernel) = of_package("/boot/memtest86+x64.bin", "memtest86+") else { return };
    let (memory, map) = (memory(16), pc(16));
    let loaded = kernel.load(&memory, &boot(&map)).unwrap();
    // It can't be relocated from 1 MiB.
    assert!(matches!(loaded.entry, Entry::Linux64 { entry: 0x10_0200, .. }), "{:?}", loaded.entry);
    let error = kernel.load(&memory, &Boot { protocol: Protocol::Pvh, ..boot(&map) }).unwrap_err();
    assert!(matches!(error, LoadError::Kernel(KernelError::NoElf)), "{error}");
}

#[test]
fn ipxes_kernel_needs_a_bios() {
    let Some(kernel) = of_package("/boot/ipxe.lkrn", "ipxe") else { return };
    let error = kernel.load(&memory(16), &boot(&pc(16))).unwrap_err();
    assert!(matches!(error, LoadError::No64BitEntry), "{error}");
}

/// Changes at any place, more often at the fields that matter.
fn changes() -> impl Strategy<Value = Vec<(usize, u8)>> {
    let place = prop_oneof![0_usize..0x100, 0x1f0_usize..0x270, 0_usize..0x3000];
    let value = prop_oneof![any::<u8>(), Just(0), Just(0xff), Just(0x7f), Just(0x80)];
    prop::collection::vec((place, value), 1..12)
}

proptest! {
    #[test]
    fn a_hostile_file_never_panics_nor_leaves_its_ram(
        which in 0..4,
        changes in changes(),
        cut in prop_oneof![3 => Just(usize::MAX), 1 => 0_usize..0x3000],
        protocol in prop::sample::select(&[Protocol::Any, Protocol::Pvh, Protocol::Linux64][..]),
    ) {
        let mut file = match which {
            0 => made::elf(),
            1 => made::bzimage(&made::elf()),
            2 => made::bzimage(include_bytes!("packed/xz.bin")),
            _ => {
                let notes = made::pvh(0x10_0000);
                let segments = [(0x10_0000, 0x1000, made::CODE)];
                made::Elf { is_64: false, machine: 3, entry: 0, segments: &segments, notes: &notes, in_section: true }.bytes()
            }
        };
        for (at, value) in changes {
            if let Some(byte) = file.get_mut(at) {
                *byte = value;
            }
        }
        file.truncate(cut);
        let (memory, map) = (memory(32), pc(32));
        let asked = Boot { protocol, initrd: Some(Initrd::Bytes(b"disk")), ..boot(&map) };
        if let Ok(kernel) = Kernel::new(file) {
            let _ = kernel.kind();
            if let Ok(loaded) = kernel.load(&memory, &asked) {
                for range in &loaded.kernel {
                    prop_assert!(map.iter().any(|ram| {
                        ram.kind == RangeKind::Ram && ram.base <= range.start && range.end <= ram.base + ram.len
                    }), "{range:x?}");
                }
            }
            let reserved = bytes_at(&memory, 0x9_fc00, 0x6_0400);
            prop_assert!(reserved.iter().all(|&byte| byte == 0), "reserved memory was written");
        }
    }
}
