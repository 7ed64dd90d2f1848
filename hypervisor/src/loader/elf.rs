//! Kernels as ELF files for x86 (System V ABI, 32 and 64 bits): their segments and how they are entered.
//!
//! A kernel with Xen's note `XEN_ELFNOTE_PHYS32_ENTRY` (Xen, `xen/include/public/elfnote.h`) can be entered by PVH. An
//! ELF64 Linux kernel (`vmlinux`) can be entered by its 64-bit boot protocol. Leaves out relocation: each segment goes
//! to its physical address.

use std::ops::Range;

use super::{
    error::KernelError,
    fields::{Fields, printable},
};

const ET_REL: u16 = 1;
const ET_EXEC: u16 = 2;
const ET_DYN: u16 = 3;
const EM_386: u16 = 3;
const EM_X86_64: u16 = 62;
const PT_LOAD: u32 = 1;
const PT_NOTE: u32 = 4;
const SHT_NOTE: u32 = 7;
const XEN_ELFNOTE_PHYS32_ENTRY: u32 = 18;

/// More headers than any kernel has; they bound the time that a hostile file costs.
const MAX_PROGRAM_HEADERS: u16 = 256;
const MAX_SECTION_HEADERS: u16 = 4096;
/// As much as all notes of a kernel may have together, in bytes.
const MAX_NOTES: u64 = 1 << 20;

/// A part of the file that goes to memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Segment {
    /// Its bytes in the file; what `memory` has more is zero.
    pub(super) file: Range<usize>,
    /// Its physical addresses.
    pub(super) memory: Range<u64>,
    virtual_base: u64,
}

/// An ELF kernel, checked.
#[derive(Debug, Clone)]
pub(super) struct Elf {
    pub(super) is_64: bool,
    entry: u64,
    /// By physical address; they don't overlap.
    pub(super) segments: Vec<Segment>,
    /// The entry of the PVH note.
    pub(super) pvh_entry: Option<u32>,
    /// A Linux kernel's banner: release and build.
    pub(super) linux: Option<String>,
}

/// The offsets in which the two classes of ELF differ.
struct Layout {
    is_64: bool,
    phoff: u64,
    shoff: u64,
    phentsize: u16,
    shentsize: u16,
    phnum: u16,
    shnum: u16,
}

impl Elf {
    pub(super) fn matches(file: &[u8]) -> bool {
        file.starts_with(b"\x7fELF")
    }

    /// Reads a file that [matches](Self::matches).
    pub(super) fn parse(file: &[u8]) -> Result<Self, KernelError> {
        let fields = Fields(file);
        let len = file.len() as u64;
        let cut = |part, needed| KernelError::Truncated { part, needed, len };
        let header_cut = || cut("ELF header", 64);
        let is_64 = match fields.u8(4).ok_or_else(header_cut)? {
            1 => false,
            2 => true,
            other => return Err(KernelError::Malformed(format!("its ELF class is {other}"))),
        };
        if fields.u8(5) == Some(2) {
            return Err(KernelError::WrongArchitecture { found: "a big-endian processor".into() });
        }
        let kind = fields.u16(16).ok_or_else(header_cut)?;
        let machine = fields.u16(18).ok_or_else(header_cut)?;
        if machine != if is_64 { EM_X86_64 } else { EM_386 } {
            return Err(KernelError::WrongArchitecture { found: machine_name(machine) });
        }
        if kind == ET_REL {
            return Err(KernelError::NotAKernel { looks_like: Some("an object file or a kernel module") });
        }
        if kind != ET_EXEC && kind != ET_DYN {
            return Err(KernelError::NotAKernel { looks_like: Some("an ELF file, but no executable one") });
        }
        let word = |at32, at64| if is_64 { fields.u64(at64) } else { fields.u32(at32).map(u64::from) };
        let half = |at32, at64| fields.u16(if is_64 { at64 } else { at32 });
        let layout = (|| {
            Some(Layout {
                is_64,
                phoff: word(0x1c, 0x20)?,
                shoff: word(0x20, 0x28)?,
                phentsize: half(0x2a, 0x36)?,
                phnum: half(0x2c, 0x38)?,
                shentsize: half(0x2e, 0x3a)?,
                shnum: half(0x30, 0x3c)?,
            })
        })()
        .ok_or_else(header_cut)?;
        let entry = word(0x18, 0x18).ok_or_else(header_cut)?;

        let mut notes = Notes { file: fields, budget: MAX_NOTES };
        let (segments, mut pvh_entry) = layout.segments(file, &mut notes)?;
        if pvh_entry.is_none() {
            pvh_entry = layout.note_sections(fields, &mut notes)?;
        }
        let linux = segments.iter().find_map(|segment| linux_banner(&file[segment.file.clone()]));
        if pvh_entry.is_none() && linux.is_none() {
            return Err(KernelError::NoEntry);
        }
        if segments.is_empty() {
            return Err(KernelError::Malformed("it has nothing to load".into()));
        }
        Ok(Elf { is_64, entry, segments, pvh_entry, linux })
    }

    /// The 64-bit entry of a Linux kernel, as a physical address.
    pub(super) fn linux_entry_64(&self) -> Option<u64> {
        self.linux.as_ref().filter(|_| self.is_64)?;
        let at = self.entry;
        let by_virtual = |segment: &Segment| {
            let offset = at.checked_sub(segment.virtual_base)?;
            (offset < segment.memory.end - segment.memory.start).then(|| segment.memory.start + offset)
        };
        let is_physical = self.segments.iter().any(|segment| segment.memory.contains(&at));
        if is_physical { Some(at) } else { self.segments.iter().find_map(by_virtual) }
    }
}

impl Layout {
    /// The loadable segments, and the PVH entry if a note segment has it.
    fn segments(&self, file: &[u8], notes: &mut Notes<'_>) -> Result<(Vec<Segment>, Option<u32>), KernelError> {
        let fields = Fields(file);
        let len = file.len() as u64;
        let (mut segments, mut pvh_entry) = (Vec::new(), None);
        let size = if self.is_64 { 0x38 } else { 0x20 };
        if self.phnum > MAX_PROGRAM_HEADERS || (self.phnum != 0 && self.phentsize < size) {
            let what = format!("it has {} program headers of {} bytes", self.phnum, self.phentsize);
            return Err(KernelError::Malformed(what));
        }
        for index in 0..u64::from(self.phnum) {
            let at = self.phoff.checked_add(index * u64::from(self.phentsize));
            let header = at.and_then(|at| fields.range(at, size.into())).map(Fields).ok_or_else(|| {
                let needed = self.phoff.saturating_add((index + 1) * u64::from(self.phentsize));
                KernelError::Truncated { part: "program header table", needed, len }
            })?;
            let word = |at32, at64| {
                let word = if self.is_64 { header.u64(at64) } else { header.u32(at32).map(u64::from) };
                word.unwrap_or_default() // `size` bytes are there
            };
            let (offset, filesz) = (word(0x04, 0x08), word(0x10, 0x20));
            match header.u32(0) {
                Some(PT_NOTE) if pvh_entry.is_none() => {
                    pvh_entry = notes.pvh_entry(offset, filesz, word(0x1c, 0x30))?;
                }
                Some(PT_LOAD) => {
                    let (base, memsz) = (word(0x0c, 0x18), word(0x14, 0x28));
                    if memsz == 0 && filesz == 0 {
                        continue;
                    }
                    let end = base.checked_add(memsz).filter(|_| filesz <= memsz).ok_or_else(|| {
                        KernelError::Malformed(format!(
                            "its segment {index} has {filesz} of {memsz} bytes at {base:#x}"
                        ))
                    })?;
                    if fields.range(offset, filesz).is_none() {
                        let needed = offset.saturating_add(filesz);
                        return Err(KernelError::Truncated { part: "loadable segment", needed, len });
                    }
                    let file = offset as usize..(offset + filesz) as usize;
                    segments.push(Segment { file, memory: base..end, virtual_base: word(0x08, 0x10) });
                }
                _ => {}
            }
        }
        segments.sort_by_key(|segment| segment.memory.start);
        if let Some(pair) = segments.windows(2).find(|pair| pair[0].memory.end > pair[1].memory.start) {
            let what = format!("two of its segments share the address {:#x}", pair[1].memory.start);
            return Err(KernelError::Malformed(what));
        }
        Ok((segments, pvh_entry))
    }

    /// The PVH entry if a note section has it: some linkers make no note segment.
    fn note_sections(&self, fields: Fields<'_>, notes: &mut Notes<'_>) -> Result<Option<u32>, KernelError> {
        let size = if self.is_64 { 0x40 } else { 0x28 };
        if self.shnum > MAX_SECTION_HEADERS || self.shentsize < size {
            return Ok(None);
        }
        for index in 0..u64::from(self.shnum) {
            let at = self.shoff.checked_add(index * u64::from(self.shentsize));
            // Sections aren't needed to load a kernel, so a table that is cut off is no error.
            let Some(header) = at.and_then(|at| fields.range(at, size.into())).map(Fields) else {
                return Ok(None);
            };
            if header.u32(4) == Some(SHT_NOTE) {
                let word = |at32, at64| {
                    let word = if self.is_64 { header.u64(at64) } else { header.u32(at32).map(u64::from) };
                    word.unwrap_or_default()
                };
                let entry = notes.pvh_entry(word(0x10, 0x18), word(0x14, 0x20), word(0x20, 0x30))?;
                if entry.is_some() {
                    return Ok(entry);
                }
            }
        }
        Ok(None)
    }
}

/// The notes of a file, and how many bytes of them may still be read.
struct Notes<'a> {
    file: Fields<'a>,
    budget: u64,
}

impl Notes<'_> {
    /// The descriptor of `XEN_ELFNOTE_PHYS32_ENTRY` among the notes at `offset`.
    fn pvh_entry(&mut self, offset: u64, len: u64, align: u64) -> Result<Option<u32>, KernelError> {
        self.budget = self
            .budget
            .checked_sub(len)
            .ok_or_else(|| KernelError::Malformed(format!("its notes have more than {MAX_NOTES} bytes")))?;
        let Some(notes) = self.file.range(offset, len).map(Fields) else {
            let needed = offset.saturating_add(len);
            return Err(KernelError::Truncated { part: "notes", needed, len: self.file.0.len() as u64 });
        };
        let align = if align == 8 { 8 } else { 4 };
        let mut at = 0;
        while let (Some(namesz), Some(descsz), Some(kind)) = (notes.u32(at), notes.u32(at + 4), notes.u32(at + 8)) {
            // Sums of three u32: no overflow in u64.
            let name_at = at + 12;
            let desc_at = (name_at + u64::from(namesz)).next_multiple_of(align);
            at = (desc_at + u64::from(descsz)).next_multiple_of(align);
            let is_xen = namesz == 4 && notes.has(name_at, b"Xen\0");
            if is_xen && kind == XEN_ELFNOTE_PHYS32_ENTRY {
                let entry = match descsz {
                    4 => notes.u32(desc_at).map(u64::from),
                    8 => notes.u64(desc_at),
                    _ => None,
                };
                let entry = entry.and_then(|entry| u32::try_from(entry).ok());
                return entry.map(Some).ok_or_else(|| KernelError::Malformed("its PVH note names no address".into()));
            }
        }
        Ok(None)
    }
}

/// Release and build of a Linux kernel, from the first line that it prints.
fn linux_banner(bytes: &[u8]) -> Option<String> {
    const BANNER: &[u8] = b"Linux version ";
    let mut rest = bytes;
    loop {
        let at = rest.iter().position(|&byte| byte == BANNER[0])?;
        rest = &rest[at..];
        if let Some(text) = rest.strip_prefix(BANNER)
            && text.first().is_some_and(u8::is_ascii_digit)
        {
            return Some(printable(&text[..text.len().min(256)]));
        }
        rest = &rest[1..];
    }
}

fn machine_name(machine: u16) -> String {
    match machine {
        EM_386 | EM_X86_64 => "an x86 processor in a mixed mode (x32)".into(),
        8 => "MIPS".into(),
        20 | 21 => "PowerPC".into(),
        22 => "IBM Z (s390x)".into(),
        40 => "32-bit Arm".into(),
        50 => "Itanium".into(),
        183 => "64-bit Arm".into(),
        243 => "RISC-V".into(),
        258 => "LoongArch".into(),
        other => format!("a processor with the ELF number {other}"),
    }
}
