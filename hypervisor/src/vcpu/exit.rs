//! What a processor left the guest for, and the machine's answer (Linux's `Documentation/virt/kvm/api.rst`, section 5).

use std::sync::atomic::{AtomicU64, Ordering};

use kvm_bindings::{
    KVM_EXIT_FAIL_ENTRY, KVM_EXIT_INTERNAL_ERROR, KVM_EXIT_IO, KVM_EXIT_IO_IN, KVM_EXIT_IRQ_WINDOW_OPEN, KVM_EXIT_MMIO,
    KVM_EXIT_SHUTDOWN, KVM_EXIT_X86_RDMSR, KVM_EXIT_X86_WRMSR, KVM_MSR_EXIT_REASON_UNKNOWN,
};
use kvm_ioctls::VcpuFd;

use super::{
    handler::{ExitHandler, VcpuEvent},
    kick::RunPage,
    report,
};
use crate::{
    notes::Note,
    partition::{Inner, Partition},
};

/// How often one processor has left the guest, by kind.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    port_reads: AtomicU64,
    port_writes: AtomicU64,
    mmio_reads: AtomicU64,
    mmio_writes: AtomicU64,
    coalesced: AtomicU64,
    msrs: AtomicU64,
    interrupted: AtomicU64,
    other: AtomicU64,
}

/// How often one processor has left the guest since it was made, by kind.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Exits {
    /// Port reads; a repeated access counts once for each time it leaves.
    pub port_reads: u64,
    /// Port writes.
    pub port_writes: u64,
    /// Reads of device memory.
    pub mmio_reads: u64,
    /// Writes of device memory.
    pub mmio_writes: u64,
    /// Writes that had gathered and were taken along; they cost no exit.
    pub coalesced: u64,
    /// Model-specific registers that KVM refused.
    pub msrs: u64,
    /// Kicks and other signals.
    pub interrupted: u64,
    /// All others.
    pub other: u64,
}

impl Counters {
    pub(crate) fn read(&self) -> Exits {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Exits {
            port_reads: read(&self.port_reads),
            port_writes: read(&self.port_writes),
            mmio_reads: read(&self.mmio_reads),
            mmio_writes: read(&self.mmio_writes),
            coalesced: read(&self.coalesced),
            msrs: read(&self.msrs),
            interrupted: read(&self.interrupted),
            other: read(&self.other),
        }
    }
}

fn count(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Ordering::Relaxed);
}

/// Hands gathered writes over.
pub(crate) fn drain(partition: &Partition, handler: &dyn ExitHandler) -> u64 {
    partition.0.ring.get().map_or(0, |ring| ring.drain(|address, data| handler.mmio_write(address, data)))
}

/// What a call into the guest came to.
pub(crate) enum Outcome {
    /// It was an access, which is answered; the next entry completes it.
    Answered,
    /// The thread was called out. An access that was pending before is complete.
    Interrupted,
    /// The processor can't go on.
    Stopped(VcpuEvent),
}

/// One processor's way to the machine.
pub(crate) struct Exit<'a> {
    pub(crate) partition: &'a Partition,
    pub(crate) handler: &'a dyn ExitHandler,
    pub(crate) counters: &'a Counters,
    pub(crate) page: &'a RunPage,
}

impl Exit<'_> {
    /// Enters the guest once and answers what it leaves for.
    pub(crate) fn enter(&self, vcpu: &mut VcpuFd) -> Outcome {
        if let Err(error) = vcpu.run().map(drop::<kvm_ioctls::VcpuExit<'_>>) {
            return match error.errno() {
                libc::EINTR => {
                    count(&self.counters.interrupted, 1);
                    Outcome::Interrupted
                }
                // A processor that waited for its start-up message has got it.
                libc::EAGAIN => Outcome::Answered,
                _ => Outcome::Stopped(VcpuEvent::Failed { reason: report::refused(vcpu, &error.into()) }),
            };
        }
        count(&self.counters.coalesced, drain(self.partition, self.handler));
        // SAFETY: the structure is this thread's until it enters the guest again.
        #[allow(unsafe_code)]
        let reason = unsafe { (*self.page.run().as_ptr()).exit_reason };
        match reason {
            KVM_EXIT_IO => self.port(),
            KVM_EXIT_MMIO => self.mmio(),
            KVM_EXIT_X86_RDMSR | KVM_EXIT_X86_WRMSR => self.msr(reason == KVM_EXIT_X86_WRMSR),
            KVM_EXIT_IRQ_WINDOW_OPEN => Outcome::Answered,
            KVM_EXIT_SHUTDOWN => Outcome::Stopped(VcpuEvent::TripleFault),
            KVM_EXIT_INTERNAL_ERROR => {
                // SAFETY: as above; the reason says which member of the union is there.
                #[allow(unsafe_code)]
                let failure = unsafe { (*self.page.run().as_ptr()).__bindgen_anon_1.internal };
                Outcome::Stopped(VcpuEvent::Failed { reason: report::internal_error(vcpu, &failure) })
            }
            KVM_EXIT_FAIL_ENTRY => {
                // SAFETY: as above.
                #[allow(unsafe_code)]
                let failure = unsafe { (*self.page.run().as_ptr()).__bindgen_anon_1.fail_entry };
                let code = failure.hardware_entry_failure_reason;
                Outcome::Stopped(VcpuEvent::Failed { reason: report::failed_entry(vcpu, code) })
            }
            other => Outcome::Stopped(VcpuEvent::Failed { reason: report::unknown_exit(vcpu, other) }),
        }
    }

    fn port(&self) -> Outcome {
        let run = self.page.run().as_ptr();
        // SAFETY: the structure is this thread's until it enters the guest again, and the reason says that this member
        // of the union is there.
        #[allow(unsafe_code)]
        let io = unsafe { (*run).__bindgen_anon_1.io };
        let (size, len) = (usize::from(io.size), usize::from(io.size) * io.count as usize);
        let data = self.page.bytes(io.data_offset, len).filter(|_| matches!(size, 1 | 2 | 4));
        let Some(data) = data else {
            return Outcome::Stopped(VcpuEvent::Failed {
                reason: format!("KVM tells of an impossible access: {io:?}"),
            });
        };
        // SAFETY: the bytes are within the page, which outlives this function, and nobody else touches them before the
        // next entry.
        #[allow(unsafe_code)]
        let data = unsafe { std::slice::from_raw_parts_mut(data.as_ptr(), len) };
        let read = u32::from(io.direction) == KVM_EXIT_IO_IN;
        count(if read { &self.counters.port_reads } else { &self.counters.port_writes }, 1);
        match (read, io.count) {
            (true, 1) => self.handler.port_read(io.port, data),
            (true, _) => self.handler.port_read_repeated(io.port, size, data),
            (false, 1) => self.handler.port_write(io.port, data),
            (false, _) => self.handler.port_write_repeated(io.port, size, data),
        }
        Outcome::Answered
    }

    fn mmio(&self) -> Outcome {
        let run = self.page.run().as_ptr();
        // SAFETY: as in `port`.
        #[allow(unsafe_code)]
        let mmio = unsafe { &mut (*run).__bindgen_anon_1.mmio };
        let len = (mmio.len as usize).min(mmio.data.len());
        let data = &mut mmio.data[..len];
        if mmio.is_write == 0 {
            count(&self.counters.mmio_reads, 1);
            self.handler.mmio_read(mmio.phys_addr, data);
        } else {
            count(&self.counters.mmio_writes, 1);
            self.handler.mmio_write(mmio.phys_addr, data);
        }
        Outcome::Answered
    }

    /// An MSR that KVM doesn't know or doesn't take: #GP, and a note.
    fn msr(&self, write: bool) -> Outcome {
        count(&self.counters.msrs, 1);
        let run = self.page.run().as_ptr();
        // SAFETY: as in `port`.
        #[allow(unsafe_code)]
        let msr = unsafe { &mut (*run).__bindgen_anon_1.msr };
        msr.error = 1;
        let known = msr.reason & KVM_MSR_EXIT_REASON_UNKNOWN == 0;
        let Inner { notes, .. } = &*self.partition.0;
        notes.add(Note::Msr { index: msr.index, write, known });
        Outcome::Answered
    }
}
