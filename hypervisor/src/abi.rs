//! Structures of KVM's interface as bytes, and the ioctls that `kvm-ioctls` has no function for.
//!
//! Source: Linux's `Documentation/virt/kvm/api.rst` and `include/uapi/linux/kvm.h`. The layout of these structures is
//! part of the kernel's stable interface, so that their bytes can be kept in a saved state.

use std::{
    io,
    os::fd::{AsFd, AsRawFd},
    ptr::{NonNull, null_mut},
};

use kvm_bindings::{
    KVM_VCPU_TSC_CTRL, KVM_VCPU_TSC_OFFSET, kvm_debugregs, kvm_device_attr, kvm_lapic_state, kvm_pic_state,
    kvm_pit_state2, kvm_regs, kvm_sregs, kvm_vcpu_events, kvm_xcrs,
};

/// A structure of the kernel's interface.
///
/// # Safety
/// The type is `repr(C)`, has no padding, and every bit pattern is a value of it.
#[allow(unsafe_code)]
pub(crate) unsafe trait Structure: Copy {
    /// Its name, for messages.
    const NAME: &'static str;
}

macro_rules! structures {
    ($($name:ident),*) => {$(
        // SAFETY: generated from the kernel's header, whose structures spell their padding out as fields, and made
        // of integers only.
        #[allow(unsafe_code)]
        unsafe impl Structure for $name {
            const NAME: &'static str = stringify!($name);
        }
    )*};
}
structures!(
    kvm_debugregs,
    kvm_lapic_state,
    kvm_pic_state,
    kvm_pit_state2,
    kvm_regs,
    kvm_sregs,
    kvm_vcpu_events,
    kvm_xcrs
);

/// The bytes of `value`.
pub(crate) fn bytes_of<T: Structure>(value: &T) -> Vec<u8> {
    let start = std::ptr::from_ref(value).cast::<u8>();
    // SAFETY: `Structure` promises that there is no padding, so that all of the bytes are initialised.
    #[allow(unsafe_code)]
    let bytes = unsafe { std::slice::from_raw_parts(start, size_of::<T>()) };
    bytes.to_vec()
}

/// The value with these bytes; `None` if their number is wrong.
pub(crate) fn value_of<T: Structure>(bytes: &[u8]) -> Option<T> {
    if bytes.len() != size_of::<T>() {
        return None;
    }
    // SAFETY: the length is right, and `Structure` promises that any bytes are a value. The read is unaligned.
    #[allow(unsafe_code)]
    Some(unsafe { bytes.as_ptr().cast::<T>().read_unaligned() })
}

const KVM_SET_DEVICE_ATTR: libc::c_ulong = 0x4018_aee1;
const KVM_GET_DEVICE_ATTR: libc::c_ulong = 0x4018_aee2;

fn tsc_offset_ioctl(vcpu: &impl AsRawFd, request: libc::c_ulong, offset: &mut u64) -> io::Result<()> {
    let attribute = kvm_device_attr {
        flags: 0,
        group: KVM_VCPU_TSC_CTRL,
        attr: u64::from(KVM_VCPU_TSC_OFFSET),
        addr: std::ptr::from_mut(offset) as u64,
    };
    // SAFETY: both requests take a `kvm_device_attr`; for this attribute `addr` is a u64 that the kernel reads or
    // writes, and it lives until the call returns.
    #[allow(unsafe_code)]
    let result = unsafe { libc::ioctl(vcpu.as_raw_fd(), request, &raw const attribute) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// What is added to the host's time stamp counter for this vCPU (Linux 5.16 and later).
pub(crate) fn tsc_offset(vcpu: &impl AsRawFd) -> io::Result<u64> {
    let mut offset = 0;
    tsc_offset_ioctl(vcpu, KVM_GET_DEVICE_ATTR, &mut offset)?;
    Ok(offset)
}

/// Sets what [`tsc_offset`] tells.
pub(crate) fn set_tsc_offset(vcpu: &impl AsRawFd, mut offset: u64) -> io::Result<()> {
    tsc_offset_ioctl(vcpu, KVM_SET_DEVICE_ATTR, &mut offset)
}

/// The host's time stamp counter.
pub(crate) fn host_tsc() -> u64 {
    // SAFETY: RDTSC is on every x86-64 processor.
    #[allow(unsafe_code)]
    unsafe {
        core::arch::x86_64::_rdtsc()
    }
}

/// The host's monotonic clock in nanoseconds, as KVM's timer chip reads it.
pub(crate) fn monotonic_nanos() -> i64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel fills the structure, which lives until the call returns.
    #[allow(unsafe_code)]
    unsafe {
        libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time);
    }
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}

/// Memory that the kernel shares with us behind a file, until this is dropped.
pub(crate) struct Mapped {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: the mapping belongs to the process and not to a thread; who accesses it, and how, is up to the owner.
#[allow(unsafe_code)]
unsafe impl Send for Mapped {}
// SAFETY: as above.
#[allow(unsafe_code)]
unsafe impl Sync for Mapped {}

impl Mapped {
    /// Maps `len` bytes of `file` from `offset`.
    pub(crate) fn new(file: &impl AsFd, len: usize, offset: u64) -> io::Result<Self> {
        use rustix::mm::{MapFlags, ProtFlags};
        // SAFETY: a new mapping, at an address of the kernel's choice, disturbs no other.
        #[allow(unsafe_code)]
        let start = unsafe {
            rustix::mm::mmap(null_mut(), len, ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED, file, offset)?
        };
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Mapped { start, len })
    }

    /// The first byte.
    pub(crate) fn start(&self) -> NonNull<u8> {
        self.start
    }

    /// The length, in bytes.
    pub(crate) fn len(&self) -> usize {
        self.len
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and nobody borrows from it any more.
        #[allow(unsafe_code)]
        let result = unsafe { rustix::mm::munmap(self.start.as_ptr().cast(), self.len) };
        debug_assert!(result.is_ok());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_give_the_value_back_and_a_wrong_length_none() {
        let regs = kvm_regs { rax: 7, rflags: 2, ..Default::default() };
        let bytes = bytes_of(&regs);
        assert_eq!(value_of::<kvm_regs>(&bytes), Some(regs));
        assert_eq!(value_of::<kvm_regs>(&bytes[1..]), None);
    }
}
