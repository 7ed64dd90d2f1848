//! Why a processor can't go on, in words and registers.

use std::{fmt::Write as _, io};

use kvm_bindings::kvm_run__bindgen_ty_1__bindgen_ty_13 as InternalError;
use kvm_ioctls::VcpuFd;

const EMULATION: u32 = 1;
/// `KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES`.
const HAS_INSTRUCTION: u64 = 1;

/// KVM gave up.
pub(crate) fn internal_error(vcpu: &VcpuFd, failure: &InternalError) -> String {
    let mut text = match failure.suberror {
        EMULATION => "KVM can't emulate an instruction".to_owned(),
        2 => "KVM met two events at once (internal error 2)".to_owned(),
        3 => "KVM could not deliver an event (internal error 3)".to_owned(),
        4 => "the processor left the guest for a reason that KVM doesn't know (internal error 4)".to_owned(),
        other => format!("KVM met internal error {other}"),
    };
    let data = &failure.data[..(failure.ndata as usize).min(failure.data.len())];
    if failure.suberror == EMULATION && data.len() >= 4 && data[0] & HAS_INSTRUCTION != 0 {
        // The bytes follow the flags: a length, then up to fifteen of them.
        let bytes: Vec<u8> = data[1..3].iter().flat_map(|word| word.to_le_bytes()).collect();
        let len = usize::from(bytes[0]).min(15);
        text.push_str(", bytes");
        bytes[1..=len].iter().for_each(|byte| {
            let _ = write!(text, " {byte:02x}");
        });
    } else if !data.is_empty() {
        let _ = write!(text, ", data {data:x?}");
    }
    with_registers(vcpu, text)
}

/// The processor refused the guest's state.
pub(crate) fn failed_entry(vcpu: &VcpuFd, code: u64) -> String {
    with_registers(vcpu, format!("the processor refuses to enter the guest (reason {code:#x})"))
}

/// KVM told something that there is no answer to.
pub(crate) fn unknown_exit(vcpu: &VcpuFd, reason: u32) -> String {
    with_registers(vcpu, format!("KVM left the guest for the unknown reason {reason}"))
}

/// The call into the guest failed.
pub(crate) fn refused(vcpu: &VcpuFd, error: &io::Error) -> String {
    let text = match error.raw_os_error() {
        Some(libc::EFAULT | libc::EHWPOISON) => format!("guest memory can't be had from the host ({error})"),
        _ => format!("KVM refuses to run the processor ({error})"),
    };
    with_registers(vcpu, text)
}

fn with_registers(vcpu: &VcpuFd, mut text: String) -> String {
    if let (Ok(regs), Ok(sregs)) = (vcpu.get_regs(), vcpu.get_sregs()) {
        let _ = write!(
            text,
            "; cs {:#x} base {:#x} rip {:#x} rflags {:#x} rax {:#x} rbx {:#x} rcx {:#x} rdx {:#x} rsi {:#x} rdi {:#x} \
             rsp {:#x} cr0 {:#x} cr2 {:#x} cr3 {:#x} cr4 {:#x} efer {:#x}",
            sregs.cs.selector,
            sregs.cs.base,
            regs.rip,
            regs.rflags,
            regs.rax,
            regs.rbx,
            regs.rcx,
            regs.rdx,
            regs.rsi,
            regs.rdi,
            regs.rsp,
            sregs.cr0,
            sregs.cr2,
            sregs.cr3,
            sregs.cr4,
            sregs.efer,
        );
    }
    text
}
