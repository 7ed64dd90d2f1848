//! Kernels made up for tests: the smallest that are complete.

/// A segment: physical address, length in memory, bytes.
pub(super) type Segment<'a> = (u64, u64, &'a [u8]);

pub(super) struct Elf<'a> {
    pub(super) is_64: bool,
    pub(super) machine: u16,
    pub(super) entry: u64,
    pub(super) segments: &'a [Segment<'a>],
    pub(super) notes: &'a [u8],
    pub(super) in_section: bool,
}

/// An ELF note.
pub(super) fn note(name: &[u8], kind: u32, descriptor: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for word in [name.len() as u32, descriptor.len() as u32, kind] {
        out.extend(word.to_le_bytes());
    }
    for part in [name, descriptor] {
        out.extend(part);
        out.resize(out.len().next_multiple_of(4), 0);
    }
    out
}

/// The notes of a PVH kernel.
pub(super) fn pvh(entry: u32) -> Vec<u8> {
    [note(b"GNU\0", 18, &[1; 5]), note(b"Xen\0", 6, b"linux\0"), note(b"Xen\0", 18, &entry.to_le_bytes())].concat()
}

impl Elf<'_> {
    pub(super) fn bytes(&self) -> Vec<u8> {
        let (header, entry_size, section_size) = if self.is_64 { (64, 56, 64) } else { (52, 32, 40) };
        let headers = self.segments.len() + usize::from(!self.in_section);
        let mut data_at = header + headers * entry_size;
        let mut table = Vec::new();
        let mut data = Vec::new();
        let word = |out: &mut Vec<u8>, value: u64| {
            out.extend(&value.to_le_bytes()[..if self.is_64 { 8 } else { 4 }]);
        };
        let mut program_header = |kind: u32, base: u64, memsz: u64, bytes: &[u8]| {
            table.extend(kind.to_le_bytes());
            if self.is_64 {
                table.extend(7_u32.to_le_bytes());
            }
            for value in [data_at as u64, base.wrapping_add(0x1000_0000), base, bytes.len() as u64, memsz] {
                word(&mut table, value);
            }
            if !self.is_64 {
                table.extend(7_u32.to_le_bytes());
            }
            word(&mut table, 4);
            data.extend(bytes);
            data_at += bytes.len();
        };
        for &(base, memsz, bytes) in self.segments {
            program_header(1, base, memsz, bytes);
        }
        if !self.in_section {
            program_header(4, 0, self.notes.len() as u64, self.notes);
        }

        let mut out = b"\x7fELF".to_vec();
        out.extend([if self.is_64 { 2 } else { 1 }, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        for half in [2, self.machine, 1, 0] {
            out.extend(half.to_le_bytes());
        }
        word(&mut out, self.entry);
        word(&mut out, header as u64);
        word(&mut out, if self.in_section { data_at as u64 } else { 0 });
        out.extend([0; 4]);
        let sections = u16::from(self.in_section);
        for half in [header as u16, entry_size as u16, headers as u16, section_size, sections, 0] {
            out.extend(half.to_le_bytes());
        }
        out.extend(&table);
        out.extend(&data);
        if self.in_section {
            let notes_at = (data_at + usize::from(section_size)) as u64;
            let mut section = vec![0; 4];
            section.extend(7_u32.to_le_bytes());
            for value in [0, 0, notes_at, self.notes.len() as u64] {
                word(&mut section, value);
            }
            section.resize(usize::from(section_size), 0);
            out.extend(&section);
            out.extend(self.notes);
        }
        out
    }
}

pub(super) const CODE: &[u8] = b"kernel code; Linux version 9.8.7 (made up)\n\0";

/// A 64-bit PVH Linux at 16 MiB.
pub(super) fn elf() -> Vec<u8> {
    let notes = pvh(0x100_0010);
    let segments = [(0x100_0000, 0x3000, CODE), (0x120_0000, 0x1000, &b"data"[..])];
    Elf { is_64: true, machine: 62, entry: 0x1100_0000, segments: &segments, notes: &notes, in_section: false }.bytes()
}

pub(super) const PROTECTED_MODE: usize = 0x2000;

/// A `bzImage` of protocol 2.15 with `payload` inside: relocatable, to be at 16 MiB, needing 2 MiB.
pub(super) fn bzimage(payload: &[u8]) -> Vec<u8> {
    let mut setup = vec![0; 1024];
    let mut put = |at: usize, bytes: &[u8]| setup[at..at + bytes.len()].copy_from_slice(bytes);
    let mut code = vec![0x90; PROTECTED_MODE];
    code.extend(payload);
    code.resize(code.len().next_multiple_of(16), 0);
    put(0x1f1, &[1]);
    put(0x1f4, &((code.len() / 16) as u32).to_le_bytes());
    put(0x1fe, &[0x55, 0xaa, 0xeb, 0x6a]);
    put(0x202, b"HdrS\x0f\x02");
    put(0x20e, &0x100_u16.to_le_bytes());
    put(0x211, &[1]);
    put(0x22c, &0x7fff_ffff_u32.to_le_bytes());
    put(0x230, &0x20_0000_u32.to_le_bytes());
    put(0x234, &[1, 21, 1, 0]);
    put(0x238, &2047_u32.to_le_bytes());
    put(0x248, &(PROTECTED_MODE as u32).to_le_bytes());
    put(0x24c, &(payload.len() as u32).to_le_bytes());
    put(0x258, &0x100_0000_u64.to_le_bytes());
    put(0x260, &0x20_0000_u32.to_le_bytes());
    put(0x300, b"9.8.7 (made up) #1\0");
    setup.extend(code);
    setup
}
