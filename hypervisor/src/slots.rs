//! KVM's memory slots: which host memory the guest sees where.

use std::{io, sync::Arc};

use kvm_bindings::{KVM_MEM_LOG_DIRTY_PAGES, KVM_MEM_READONLY, kvm_userspace_memory_region};
use kvm_ioctls::VmFd;
use parking_lot::Mutex;
use vm_memory::{Address, GuestMemoryBackend, GuestMemoryRegion};

use crate::{
    error::{MapError, PartitionError},
    memory::{DeviceMemory, DirtyLog, GuestMemory, PAGE_SIZE},
    partition::{Partition, RESERVED},
};

/// What the guest may do with mapped memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MapAccess {
    /// Read, write and execute.
    ReadWrite,
    /// Read and execute; a write leaves the guest as memory-mapped I/O.
    ReadOnly,
}

#[derive(Clone, Copy)]
struct Range {
    base: u64,
    len: u64,
}

/// The slots that are taken, by number.
pub(crate) struct Slots {
    limit: usize,
    taken: Mutex<Vec<Option<Range>>>,
}

impl Slots {
    pub(crate) fn new(limit: usize) -> Self {
        Slots { limit, taken: Mutex::default() }
    }

    /// Gives each range of the guest's RAM a slot.
    pub(crate) fn add_ram(&self, vm: &VmFd, memory: &GuestMemory) -> Result<(), PartitionError> {
        for region in memory.iter() {
            let (base, len) = (region.start_addr().raw_value(), region.len());
            // SAFETY: the mapping is `len` bytes long, and lives as long as the guest's memory, which the partition
            // keeps beside the virtual machine.
            #[allow(unsafe_code)]
            unsafe { self.add(vm, Range { base, len }, region.as_ptr() as u64, 0) }.map_err(|error| match error {
                MapError::Refused { source, .. } => PartitionError::Refused { what: "guest memory", source },
                other => PartitionError::Options(other.to_string()),
            })?;
        }
        Ok(())
    }

    /// Fills a free slot and returns its number.
    ///
    /// # Safety
    /// `host` is the address of `range.len` bytes that stay mapped until the slot is removed.
    #[allow(unsafe_code)]
    unsafe fn add(&self, vm: &VmFd, range: Range, host: u64, flags: u32) -> Result<u32, MapError> {
        let Range { base, len } = range;
        let end = base.checked_add(len);
        let in_the_way = |other: Range| end.is_some_and(|end| base < other.base + other.len && end > other.base);
        if end.is_none() || base % PAGE_SIZE != 0 {
            return Err(MapError::Place { base, len });
        }
        let mut taken = self.taken.lock();
        let reserved = Range { base: RESERVED.0, len: RESERVED.1 };
        if let Some(other) = taken.iter().copied().flatten().chain([reserved]).find(|&other| in_the_way(other)) {
            return Err(MapError::Overlap { base, len, present: other.base });
        }
        let slot = taken.iter().position(Option::is_none).unwrap_or(taken.len());
        if slot >= self.limit {
            return Err(MapError::Slots(self.limit));
        }
        let region = kvm_userspace_memory_region {
            slot: slot as u32,
            flags,
            guest_phys_addr: base,
            memory_size: len,
            userspace_addr: host,
        };
        // SAFETY: the caller's promise is the one that this asks for.
        unsafe { vm.set_user_memory_region(region) }.map_err(|error| MapError::Refused {
            base,
            len,
            source: error.into(),
        })?;
        if slot == taken.len() {
            taken.push(None);
        }
        taken[slot] = Some(range);
        Ok(slot as u32)
    }

    /// Empties a slot. When this returns, no processor reaches the memory through it any more.
    fn remove(&self, vm: &VmFd, slot: u32) {
        let mut taken = self.taken.lock();
        let Some(entry) = taken.get_mut(slot as usize) else { return };
        let Some(range) = entry.take() else { return };
        let region = kvm_userspace_memory_region { slot, guest_phys_addr: range.base, ..Default::default() };
        // SAFETY: a region without length only takes memory away from the guest.
        #[allow(unsafe_code)]
        let result = unsafe { vm.set_user_memory_region(region) };
        if let Err(error) = result {
            // The guest would still see the memory: the slot stays taken, so that nothing else is put there.
            *entry = Some(range);
            tracing::error!(slot, %error, "KVM keeps a memory slot");
        }
    }
}

/// Memory of a device that the guest sees. It goes away when this is dropped; the processors may be running.
pub struct Mapping {
    partition: Partition,
    memory: DeviceMemory,
    slot: u32,
    base: u64,
    log: Option<Arc<SlotLog>>,
}

impl Mapping {
    pub(crate) fn new(
        partition: &Partition,
        base: u64,
        memory: &DeviceMemory,
        access: MapAccess,
        log_dirty: bool,
    ) -> Result<Mapping, MapError> {
        let mut flags = 0;
        if access == MapAccess::ReadOnly {
            flags |= KVM_MEM_READONLY;
        }
        if log_dirty {
            flags |= KVM_MEM_LOG_DIRTY_PAGES;
        }
        let len = memory.len();
        let host = memory.bytes().ptr_guard_mut().as_ptr() as u64;
        let inner = &partition.0;
        // SAFETY: the memory is `len` bytes long, and the mapping keeps it until it has emptied the slot.
        #[allow(unsafe_code)]
        let slot = unsafe { inner.slots.add(&inner.vm, Range { base, len }, host, flags) }?;
        let log = log_dirty.then(|| {
            Arc::new(SlotLog { partition: partition.clone(), slot, len: len as usize, mapped: Mutex::new(true) })
        });
        if let Some(log) = &log {
            memory.set_log(Some(log.clone()));
        }
        Ok(Mapping { partition: partition.clone(), memory: memory.clone(), slot, base, log })
    }

    /// The address where the guest sees it.
    #[must_use]
    pub fn base(&self) -> u64 {
        self.base
    }

    /// The memory.
    #[must_use]
    pub fn memory(&self) -> &DeviceMemory {
        &self.memory
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        if let Some(log) = &self.log {
            // From here on nobody asks KVM for this slot's log: the slot may soon be another's.
            *log.mapped.lock() = false;
        }
        self.partition.0.slots.remove(&self.partition.0.vm, self.slot);
        // Now that no processor writes here any more, nothing gets lost without being counted as lost.
        if let Some(log) = self.log.take() {
            let log: Arc<dyn DirtyLog> = log;
            self.memory.detach_log(&log);
        }
    }
}

impl std::fmt::Debug for Mapping {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Mapping").field("base", &self.base).field("slot", &self.slot).finish_non_exhaustive()
    }
}

/// KVM's log of the pages written in one slot.
struct SlotLog {
    partition: Partition,
    slot: u32,
    len: usize,
    /// The slot is still this log's. Held while KVM is asked.
    mapped: Mutex<bool>,
}

impl DirtyLog for SlotLog {
    fn take(&self) -> io::Result<Vec<u64>> {
        let mapped = self.mapped.lock();
        if !*mapped {
            return Ok(Vec::new());
        }
        Ok(self.partition.0.vm.get_dirty_log(self.slot, self.len)?)
    }
}
