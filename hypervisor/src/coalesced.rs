//! Writes to device memory that gather in a ring of KVM's instead of stopping the processor.
//!
//! # Order
//! KVM puts a write into the ring before its processor goes on. A processor that leaves the guest for us drains the
//! ring before its own access is looked at, so that a device sees one processor's accesses in the order in which they
//! were made. Writes of different processors come in the order in which they reached the ring.
//!
//! The ring's lock is held while its writes are handed over. It is below no device's lock: who holds a device's
//! lock must not drain, and what the exit handler does with a write must not drain either.

use std::{
    os::fd::AsFd,
    ptr::NonNull,
    sync::atomic::{AtomicU32, Ordering},
};

use kvm_bindings::{KVM_COALESCED_MMIO_PAGE_OFFSET, kvm_coalesced_mmio, kvm_coalesced_mmio_ring};
use kvm_ioctls::{Cap, IoEventAddress};
use parking_lot::Mutex;

use crate::{abi::Mapped, error::MapError, memory::PAGE_SIZE, partition::Partition};

/// How many writes the ring's page has room for.
const CAPACITY: u32 =
    ((PAGE_SIZE as usize - size_of::<kvm_coalesced_mmio_ring>()) / size_of::<kvm_coalesced_mmio>()) as u32;

/// The ring that all processors of a partition share.
pub(crate) struct Ring {
    page: Mapped,
    reader: Mutex<()>,
}

impl Ring {
    /// The ring, which KVM shows behind every processor's file.
    pub(crate) fn new(vcpu: &impl AsFd) -> std::io::Result<Ring> {
        let offset = u64::from(KVM_COALESCED_MMIO_PAGE_OFFSET) * PAGE_SIZE;
        Ok(Ring { page: Mapped::new(vcpu, PAGE_SIZE as usize, offset)?, reader: Mutex::new(()) })
    }

    fn ring(&self) -> NonNull<kvm_coalesced_mmio_ring> {
        self.page.start().cast()
    }

    /// Index of the next write to take; ours to move.
    fn first(&self) -> &AtomicU32 {
        // SAFETY: the page starts with the ring's head and lives as long as `self`; the field is aligned, and both
        // the kernel and we only access it as a whole.
        #[allow(unsafe_code)]
        unsafe {
            AtomicU32::from_ptr(&raw mut (*self.ring().as_ptr()).first)
        }
    }

    /// Index behind the last write; KVM's to move.
    fn last(&self) -> &AtomicU32 {
        // SAFETY: as for `first`.
        #[allow(unsafe_code)]
        unsafe {
            AtomicU32::from_ptr(&raw mut (*self.ring().as_ptr()).last)
        }
    }

    /// Hands the writes gathered until now to `sink`, oldest first. When this returns, they have all arrived, also
    /// those that another thread was handing over.
    pub(crate) fn drain(&self, mut sink: impl FnMut(u64, &[u8])) -> u64 {
        // A write leaves the ring after it has arrived: an empty ring needs no lock.
        if self.first().load(Ordering::Acquire) == self.last().load(Ordering::Acquire) {
            return 0;
        }
        let _reader = self.reader.lock();
        // Only what is there now: another processor may go on writing for ever.
        let last = self.last().load(Ordering::Acquire) % CAPACITY;
        let mut count = 0;
        loop {
            let first = self.first().load(Ordering::Relaxed) % CAPACITY;
            if first == last {
                return count;
            }
            // SAFETY: the entry lies in the page, since `first` is below the capacity, and KVM doesn't write to it
            // before `first` has moved beyond it.
            #[allow(unsafe_code)]
            let entry = unsafe {
                let entries = (&raw const (*self.ring().as_ptr()).coalesced_mmio).cast::<kvm_coalesced_mmio>();
                entries.add(first as usize).read_volatile()
            };
            let len = (entry.len as usize).min(entry.data.len());
            sink(entry.phys_addr, &entry.data[..len]);
            self.first().store((first + 1) % CAPACITY, Ordering::Release);
            count += 1;
        }
    }
}

/// A range whose writes gather; dropping it ends that. What has gathered still arrives.
#[derive(Debug)]
pub struct CoalescedRange {
    partition: Partition,
    base: u64,
    /// Zero where KVM can't.
    len: u32,
}

impl CoalescedRange {
    pub(crate) fn new(partition: &Partition, base: u64, len: u64) -> Result<Self, MapError> {
        let place = || MapError::Place { base, len };
        let mut length = u32::try_from(len).ok().filter(|&len| len > 0).ok_or_else(place)?;
        base.checked_add(len).ok_or_else(place)?;
        if partition.0.kvm.check_extension(Cap::CoalescedMmio) {
            partition
                .0
                .vm
                .register_coalesced_mmio(IoEventAddress::Mmio(base), length)
                .map_err(|error| MapError::Refused { base, len, source: error.into() })?;
        } else {
            length = 0;
        }
        Ok(CoalescedRange { partition: partition.clone(), base, len: length })
    }
}

impl Drop for CoalescedRange {
    fn drop(&mut self) {
        if self.len != 0
            && let Err(error) = self.partition.0.vm.unregister_coalesced_mmio(IoEventAddress::Mmio(self.base), self.len)
        {
            tracing::warn!(base = self.base, %error, "KVM goes on gathering writes");
        }
    }
}
