//! How a processor's thread is called out of the guest: a real-time signal, and a byte that KVM looks at.
//!
//! The signal alone could come between the thread's last look at its orders and its entry into the guest, and be lost.
//! KVM therefore looks at `kvm_run.immediate_exit` on each entry (`KVM_CAP_IMMEDIATE_EXIT`). Whoever kicks writes the
//! order first, then the byte, then sends the signal; the thread clears the byte first and then reads its orders.

use std::{
    io,
    os::{fd::AsFd, unix::thread::JoinHandleExt},
    ptr::NonNull,
    sync::{
        OnceLock,
        atomic::{AtomicU8, Ordering},
    },
    thread::JoinHandle,
};

use kvm_bindings::kvm_run;

use crate::abi::Mapped;

/// The page that KVM and a processor's thread share.
pub(crate) struct RunPage(Mapped);

impl RunPage {
    /// A mapping of its own of the processor's page, `len` bytes long as KVM says.
    pub(crate) fn new(vcpu: &impl AsFd, len: usize) -> io::Result<Self> {
        Ok(RunPage(Mapped::new(vcpu, len, 0)?))
    }

    fn immediate_exit(&self) -> &AtomicU8 {
        // SAFETY: the page lives as long as `self`, the byte needs no alignment, and it is only accessed atomically
        // here and as a whole by the kernel.
        #[allow(unsafe_code)]
        unsafe {
            AtomicU8::from_ptr(&raw mut (*self.run().as_ptr()).immediate_exit)
        }
    }

    /// The next entry into the guest, or the one under way, ends at once.
    pub(crate) fn ask_to_leave(&self) {
        self.immediate_exit().store(1, Ordering::SeqCst);
    }

    /// Entries go into the guest again.
    pub(crate) fn allow_to_stay(&self) {
        self.immediate_exit().store(0, Ordering::SeqCst);
    }

    /// The structure. Except for the byte above it belongs to the thread that runs the processor.
    pub(crate) fn run(&self) -> NonNull<kvm_run> {
        self.0.start().cast()
    }

    /// `len` bytes at `offset` of the page; `None` if they aren't within it.
    pub(crate) fn bytes(&self, offset: u64, len: usize) -> Option<NonNull<u8>> {
        let offset = usize::try_from(offset).ok()?;
        if offset.checked_add(len)? > self.0.len() {
            return None;
        }
        // SAFETY: the check above keeps the pointer inside the mapping.
        #[allow(unsafe_code)]
        Some(unsafe { self.0.start().add(offset) })
    }
}

/// The signal, whose handler does nothing: it only has to interrupt the system call.
fn signal() -> libc::c_int {
    libc::SIGRTMIN()
}

extern "C" fn ignore(_signal: libc::c_int) {}

/// Makes the signal harmless. Once in a process; nothing else in it may handle the first real-time signal.
pub(crate) fn install() -> io::Result<()> {
    static RESULT: OnceLock<Result<(), i32>> = OnceLock::new();
    let result = RESULT.get_or_init(|| {
        // SAFETY: the structure is plain data, filled before it is used; the handler touches nothing. No SA_RESTART, so
        // that the call into the guest is interrupted.
        #[allow(unsafe_code)]
        let result = unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = ignore as *const () as usize;
            libc::sigemptyset(&raw mut action.sa_mask);
            libc::sigaction(signal(), &raw const action, std::ptr::null_mut())
        };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error().raw_os_error().unwrap_or(libc::EINVAL)) }
    });
    result.map_err(io::Error::from_raw_os_error)
}

/// Lets this thread be kicked, whatever signals whoever started it has blocked.
pub(crate) fn unblock() {
    // SAFETY: the set is plain data, filled before it is used.
    #[allow(unsafe_code)]
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, signal());
        libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const set, std::ptr::null_mut());
    }
}

/// Interrupts the thread's system call.
pub(crate) fn send(thread: &JoinHandle<()>) {
    // SAFETY: a thread whose handle is still here hasn't been joined or detached, so that its identifier is valid even
    // if it has ended.
    #[allow(unsafe_code)]
    unsafe {
        libc::pthread_kill(thread.as_pthread_t(), signal());
    }
}
