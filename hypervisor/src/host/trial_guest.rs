//! The guest of the trial: what every operating system does in its first moments, and nothing else.
//!
//! It climbs from the reset vector's real mode through 32-bit paging and PAE to long mode, takes exceptions, uses the
//! FPU, goes to ring 3 and back, and sleeps until its local APIC's timer wakes it. After each step it writes the step's
//! number to port 0x99, and 0xff where something came out wrong; after the last it halts for good.
//!
//! The code runs at 0:1000. Page tables are laid out by [`load`]; everything else is in the code.

use vm_memory::{Bytes, GuestAddress};

use crate::memory::GuestMemory;

/// What the steps are, by their number less one.
pub(super) const STEPS: [&str; 9] = [
    "real mode",
    "paging in 32-bit mode",
    "paging with PAE",
    "long mode",
    "exceptions and page faults",
    "model-specific registers",
    "floating point and vectors",
    "user mode and system calls",
    "timer interrupts",
];
/// The port that the guest tells its progress to.
pub(super) const PORT: u16 = 0x99;
/// What it tells where something came out wrong.
pub(super) const WRONG: u8 = 0xff;
/// How much memory the guest needs, from address zero.
pub(super) const MEMORY: u64 = 0x20_0000;

const ENTRY: u64 = 0x1000;
const PAGE_DIRECTORY_32: u64 = 0x1_0000;
const PAE_POINTERS: u64 = 0x1_1000;
const PAE_DIRECTORY: u64 = 0x1_2000;
const PML4: u64 = 0x1_3000;
const PDPT: u64 = 0x1_4000;
const DIRECTORY: u64 = 0x1_5000;

const PRESENT: u64 = 1;
const TABLE: u64 = 7;
/// A large page: present, writable, for ring 3 as well.
const LARGE: u64 = 0x87;

#[allow(unsafe_code)]
mod code {
    core::arch::global_asm!(
        ".pushsection .rodata",
        ".global tandem_trial_start",
        ".global tandem_trial_end",
        ".set trial_base, 0x1000",
        "tandem_trial_start:",
        ".code16",
        "    cli",
        "    cld",
        "    xor ax, ax",
        "    mov ds, ax",
        "    mov es, ax",
        "    mov ss, ax",
        "    mov sp, 0x7000",
        "    mov al, 1",
        "    out 0x99, al",
        // Protected mode, flat. The far jumps are spelled out: opcode, offset, selector.
        "    mov ebx, offset trial_gdt_pointer_at",
        "    lgdt [bx]",
        "    mov eax, cr0",
        "    or al, 1",
        "    mov cr0, eax",
        "    .byte 0x66, 0xea",
        "    .4byte trial_protected - tandem_trial_start + trial_base",
        "    .2byte 0x08",
        ".code32",
        "trial_protected:",
        "    mov ax, 0x10",
        "    mov ds, ax",
        "    mov es, ax",
        "    mov ss, ax",
        "    mov esp, 0x7000",
        // 32-bit paging with 4 MiB pages (CR4.PSE); 0x40000000 is another name of 0.
        "    mov eax, cr4",
        "    or eax, 0x10",
        "    mov cr4, eax",
        "    mov eax, 0x10000",
        "    mov cr3, eax",
        "    mov eax, cr0",
        "    or eax, 0x80010000",
        "    mov cr0, eax",
        "    mov dword ptr [0x40003000], 0x1234567",
        "    cmp dword ptr [0x3000], 0x1234567",
        "    jne trial_wrong_32",
        "    mov al, 2",
        "    out 0x99, al",
        // The same with PAE (CR4.PAE), which needs paging off in between.
        "    mov eax, cr0",
        "    and eax, 0x7fffffff",
        "    mov cr0, eax",
        "    mov ebx, cr4",
        "    or ebx, 0x20",
        "    mov cr4, ebx",
        "    mov ebx, 0x11000",
        "    mov cr3, ebx",
        "    or eax, 0x80000000",
        "    mov cr0, eax",
        "    inc dword ptr [0x40003000]",
        "    cmp dword ptr [0x3000], 0x1234568",
        "    jne trial_wrong_32",
        "    mov al, 3",
        "    out 0x99, al",
        // Long mode: EFER.LME, with NXE and SCE.
        "    mov eax, cr0",
        "    and eax, 0x7fffffff",
        "    mov cr0, eax",
        "    mov ebx, 0x13000",
        "    mov cr3, ebx",
        "    mov ecx, 0xc0000080",
        "    rdmsr",
        "    or eax, 0x901",
        "    wrmsr",
        "    mov eax, cr0",
        "    or eax, 0x80000000",
        "    mov cr0, eax",
        "    .byte 0xea",
        "    .4byte trial_long - tandem_trial_start + trial_base",
        "    .2byte 0x18",
        "trial_wrong_32:",
        "    mov al, 0xff",
        "    out 0x99, al",
        "    hlt",
        ".code64",
        "trial_long:",
        "    mov eax, 0x20",
        "    mov ds, eax",
        "    mov es, eax",
        "    mov ss, eax",
        "    mov esp, 0x7000",
        "    mov eax, 0x40",
        "    ltr ax",
        // Gates: breakpoint, page fault, and the timer's vector.
        "    mov eax, offset trial_breakpoint_at",
        "    mov ebx, 0x9000 + 3 * 16",
        "    call trial_set_gate",
        "    mov eax, offset trial_page_fault_at",
        "    mov ebx, 0x9000 + 14 * 16",
        "    call trial_set_gate",
        "    mov eax, offset trial_timer_at",
        "    mov ebx, 0x9000 + 0x40 * 16",
        "    call trial_set_gate",
        "    mov ebx, offset trial_idt_pointer_at",
        "    lidt [rbx]",
        "    mov al, 4",
        "    out 0x99, al",
        // An exception that returns, and a page fault that is repaired: its page is another name of 0 again.
        "    int3",
        "    cmp dword ptr [0x3100], 1",
        "    jne trial_wrong",
        "    mov ebx, 0x603000",
        "    mov eax, [rbx]",
        "    cmp eax, 0x1234568",
        "    jne trial_wrong",
        "    mov al, 5",
        "    out 0x99, al",
        // CPUID, and the registers that system calls and per-processor data need.
        "    xor eax, eax",
        "    cpuid",
        "    test eax, eax",
        "    jz trial_wrong",
        "    mov ecx, 0xc0000081",
        "    xor eax, eax",
        "    mov edx, 0x2b0018",
        "    wrmsr",
        "    xor edx, edx",
        "    rdmsr",
        "    cmp edx, 0x2b0018",
        "    jne trial_wrong",
        "    mov ecx, 0xc0000082",
        "    mov eax, offset trial_system_call_at",
        "    xor edx, edx",
        "    wrmsr",
        "    mov ecx, 0xc0000084",
        "    mov eax, 0x200",
        "    wrmsr",
        "    mov ecx, 0xc0000101",
        "    mov eax, 0x3000",
        "    wrmsr",
        "    mov eax, gs:[0x100]",
        "    cmp eax, 1",
        "    jne trial_wrong",
        "    rdtsc",
        "    mov esi, eax",
        "    mov edi, edx",
        "    rdtsc",
        "    sub eax, esi",
        "    sbb edx, edi",
        "    jb trial_wrong",
        "    mov al, 6",
        "    out 0x99, al",
        // x87, SSE2, and their state; with XSAVE if CPUID has it.
        "    mov rax, cr0",
        "    and al, 0xf3",
        "    or al, 2",
        "    mov cr0, rax",
        "    mov rax, cr4",
        "    or eax, 0x600",
        "    mov cr4, rax",
        "    fninit",
        "    fld1",
        "    fadd st(0), st(0)",
        "    fistp dword ptr [0x3200]",
        "    cmp dword ptr [0x3200], 2",
        "    jne trial_wrong",
        "    mov eax, 21",
        "    movd xmm0, eax",
        "    paddd xmm0, xmm0",
        "    mov ebx, 0x3400",
        "    fxsave [rbx]",
        "    pxor xmm0, xmm0",
        "    fxrstor [rbx]",
        "    movd eax, xmm0",
        "    cmp eax, 42",
        "    jne trial_wrong",
        "    mov eax, 1",
        "    cpuid",
        "    bt ecx, 26",
        "    jnc 2f",
        "    mov rax, cr4",
        "    or eax, 0x40000",
        "    mov cr4, rax",
        "    xor ecx, ecx",
        "    mov eax, 3",
        "    xor edx, edx",
        "    xsetbv",
        "    mov ebx, 0x4000",
        "    xsave [rbx]",
        "    pxor xmm0, xmm0",
        "    mov eax, 3",
        "    xor edx, edx",
        "    xrstor [rbx]",
        "    movd eax, xmm0",
        "    cmp eax, 42",
        "    jne trial_wrong",
        "2:  mov al, 7",
        "    out 0x99, al",
        // To ring 3, and back by SYSCALL.
        "    push 0x33",
        "    push 0x6f00",
        "    push 2",
        "    push 0x3b",
        "    mov eax, offset trial_user_at",
        "    push rax",
        "    iretq",
        "trial_user:",
        "    mov ebx, 0x77",
        "    mov eax, cs",
        "    syscall",
        "trial_system_call:",
        "    mov esp, 0x7000",
        "    cmp eax, 0x3b",
        "    jne trial_wrong",
        "    cmp ebx, 0x77",
        "    jne trial_wrong",
        "    mov al, 8",
        "    out 0x99, al",
        // The local APIC in x2APIC mode: enable, spurious vector, divide by one, one-shot; then sleep three times.
        "    mov ecx, 0x1b",
        "    rdmsr",
        "    or eax, 0xc00",
        "    wrmsr",
        "    xor edx, edx",
        "    mov ecx, 0x80f",
        "    mov eax, 0x1ff",
        "    wrmsr",
        "    mov ecx, 0x83e",
        "    mov eax, 0xb",
        "    wrmsr",
        "    mov ecx, 0x832",
        "    mov eax, 0x40",
        "    wrmsr",
        "3:  mov ecx, 0x838",
        "    mov eax, 100000",
        "    wrmsr",
        "    sti",
        "    hlt",
        "    cli",
        "    cmp dword ptr [0x3300], 3",
        "    jb 3b",
        "    mov al, 9",
        "    out 0x99, al",
        "4:  hlt",
        "    jmp 4b",
        "trial_wrong:",
        "    mov al, 0xff",
        "    out 0x99, al",
        "    jmp 4b",
        // Writes the interrupt gate at RBX, to the handler at EAX.
        "trial_set_gate:",
        "    mov [rbx], ax",
        "    mov word ptr [rbx + 2], 0x18",
        "    mov word ptr [rbx + 4], 0x8e00",
        "    mov qword ptr [rbx + 6], 0",
        "    ret",
        "trial_breakpoint:",
        "    inc dword ptr [0x3100]",
        "    iretq",
        "trial_page_fault:",
        "    push rax",
        "    mov rax, cr2",
        "    cmp rax, 0x603000",
        "    jne trial_wrong",
        "    mov qword ptr [0x15018], 0x87",
        "    invlpg [rax]",
        "    pop rax",
        "    add rsp, 8",
        "    iretq",
        "trial_timer:",
        "    push rax",
        "    push rcx",
        "    push rdx",
        "    inc dword ptr [0x3300]",
        "    mov ecx, 0x80b",
        "    xor eax, eax",
        "    xor edx, edx",
        "    wrmsr",
        "    pop rdx",
        "    pop rcx",
        "    pop rax",
        "    iretq",
        ".balign 8",
        // Null; 32-bit code, data; 64-bit code, data; ring 3: 32-bit code, data, 64-bit code; task state at 0x8000.
        "trial_gdt:",
        "    .8byte 0",
        "    .8byte 0x00cf9b000000ffff",
        "    .8byte 0x00cf93000000ffff",
        "    .8byte 0x00af9b000000ffff",
        "    .8byte 0x00cf93000000ffff",
        "    .8byte 0x00cffb000000ffff",
        "    .8byte 0x00cff3000000ffff",
        "    .8byte 0x00affb000000ffff",
        "    .8byte 0x0000890080000067, 0",
        "trial_gdt_pointer:",
        "    .2byte trial_gdt_pointer - trial_gdt - 1",
        "    .4byte trial_gdt - tandem_trial_start + trial_base",
        // 65 gates at 0x9000.
        "trial_idt_pointer:",
        "    .2byte 65 * 16 - 1",
        "    .8byte 0x9000",
        "tandem_trial_end:",
        // Where the guest finds what it names.
        ".set trial_breakpoint_at, trial_breakpoint - tandem_trial_start + trial_base",
        ".set trial_gdt_pointer_at, trial_gdt_pointer - tandem_trial_start + trial_base",
        ".set trial_idt_pointer_at, trial_idt_pointer - tandem_trial_start + trial_base",
        ".set trial_page_fault_at, trial_page_fault - tandem_trial_start + trial_base",
        ".set trial_system_call_at, trial_system_call - tandem_trial_start + trial_base",
        ".set trial_timer_at, trial_timer - tandem_trial_start + trial_base",
        ".set trial_user_at, trial_user - tandem_trial_start + trial_base",
        ".popsection",
    );

    unsafe extern "C" {
        #[link_name = "tandem_trial_start"]
        static START: u8;
        #[link_name = "tandem_trial_end"]
        static END: u8;
    }

    /// The guest's code.
    pub(super) fn bytes() -> &'static [u8] {
        let (start, end) = (&raw const START, &raw const END);
        // SAFETY: the two symbols stand around the bytes that the assembler put between them.
        unsafe { std::slice::from_raw_parts(start, end as usize - start as usize) }
    }
}

/// Puts the guest and its page tables into memory.
pub(super) fn load(memory: &GuestMemory) -> Result<(), vm_memory::GuestMemoryError> {
    memory.write_slice(code::bytes(), GuestAddress(ENTRY))?;
    for (table, index, entry) in [
        (PAE_POINTERS, 0, PAE_DIRECTORY | PRESENT),
        (PAE_POINTERS, 1, PAE_DIRECTORY | PRESENT),
        (PAE_DIRECTORY, 0, LARGE),
        (PML4, 0, PDPT | TABLE),
        (PDPT, 0, DIRECTORY | TABLE),
        (DIRECTORY, 0, LARGE),
    ] {
        memory.write_obj(entry, GuestAddress(table + 8 * index))?;
    }
    for index in [0, 256] {
        memory.write_obj(LARGE as u32, GuestAddress(PAGE_DIRECTORY_32 + 4 * index))?;
    }
    Ok(())
}
