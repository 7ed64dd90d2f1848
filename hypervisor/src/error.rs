//! What can go wrong between this crate and the host, in sentences for the person at the machine.

use std::{io, path::PathBuf};

use machine::saved::{RestoreError, SaveError};

use crate::memory::MemoryError;

/// A partition can't be made. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum PartitionError {
    /// There is no KVM device.
    #[error(
        "This host has no {}: the processor's virtualization is switched off in the firmware set-up, or its module \
         isn't loaded. Nothing was changed. Run `sudo modprobe kvm_intel` (or `kvm_amd`) and try again.", path.display()
    )]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The account has no right to the KVM device.
    #[error(
        "This account may not use {}. Nothing was changed. Run `sudo usermod -aG kvm $USER` and log in again.",
        path.display()
    )]
    NotAllowed {
        /// The device.
        path: PathBuf,
    },
    /// Another hypervisor holds the processor's virtualization.
    #[error(
        "Another program, such as VirtualBox or VMware, is using the processor's virtualization. Nothing was changed. \
         Close its machines and try again."
    )]
    Busy,
    /// KVM's interface isn't the one that every kernel since 2.6.22 has.
    #[error("This host's KVM has interface version {version} instead of 12. Nothing was changed. Update its kernel.")]
    TooOld {
        /// What it says.
        version: i32,
    },
    /// KVM lacks something that a machine can't do without.
    #[error("This host's KVM lacks {capability}. Nothing was changed. Update the host's kernel.")]
    Lacks {
        /// Its name in Linux's `kvm.h`.
        capability: &'static str,
    },
    /// The options ask for something that can't be.
    #[error("this machine can't be: {0}")]
    Options(String),
    /// Guest memory can't be had.
    #[error("The guest's memory can't be had. Nothing was changed. Give the machine less memory, or close programs.")]
    Memory(#[from] MemoryError),
    /// KVM refuses a step.
    #[error("This host's KVM refuses {what}. Nothing was changed.")]
    Refused {
        /// The step.
        what: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The chips' power-on state can't be read.
    #[error("This host's KVM doesn't tell its chips' state. Nothing was changed.")]
    Chips(#[from] StateError),
}

impl PartitionError {
    /// For `map_err`: KVM refused `what`.
    pub(crate) fn refused(what: &'static str) -> impl FnOnce(kvm_ioctls::Error) -> Self {
        move |error| PartitionError::Refused { what, source: error.into() }
    }
}

/// Memory of a device can't be shown to the guest.
#[derive(Debug, thiserror::Error)]
pub enum MapError {
    /// The address isn't at a page's start, or the end lies beyond the address space.
    #[error("memory of {len:#x} bytes can't be at {base:#x}")]
    Place {
        /// The first address.
        base: u64,
        /// The length.
        len: u64,
    },
    /// Something is there already.
    #[error("memory of {len:#x} bytes at {base:#x} would cover the range that starts at {present:#x}")]
    Overlap {
        /// The first address.
        base: u64,
        /// The length.
        len: u64,
        /// The first address of what is there.
        present: u64,
    },
    /// All of KVM's memory slots are taken.
    #[error("all {0} memory slots of this host's KVM are taken")]
    Slots(usize),
    /// KVM refuses.
    #[error("this host's KVM refuses memory of {len:#x} bytes at {base:#x}")]
    Refused {
        /// The first address.
        base: u64,
        /// The length.
        len: u64,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// The virtual processors can't be made.
#[derive(Debug, thiserror::Error)]
pub enum VcpuError {
    /// The partition has its processors already.
    #[error("this partition has its processors already")]
    Again,
    /// KVM refuses a step.
    #[error("this host's KVM refuses {what} of processor {vcpu}")]
    Refused {
        /// The step.
        what: &'static str,
        /// The processor.
        vcpu: u32,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The host has no thread for a processor, or lacks a signal.
    #[error("the host refuses a thread for processor {vcpu}")]
    Thread {
        /// The processor.
        vcpu: u32,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// The processors' or the chips' state can't be read or set.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The processors run: pause them first.
    #[error("the processors are running")]
    Running,
    /// KVM refuses to give or take a part of the state.
    #[error("this host's KVM refuses {what}")]
    Refused {
        /// The part.
        what: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The state can't be encoded.
    #[error("the state can't be saved")]
    Save(#[from] SaveError),
    /// The saved state can't be taken over.
    #[error("the saved state can't be restored")]
    Restore(#[from] RestoreError),
    /// The start state's tables don't fit into the guest's memory.
    #[error("the start state needs memory at {0:#x}, where the guest has none")]
    NoMemory(u64),
}

impl StateError {
    /// For `map_err`: KVM refused `what`.
    pub(crate) fn refused(what: &'static str) -> impl FnOnce(kvm_ioctls::Error) -> Self {
        move |error| StateError::Refused { what, source: error.into() }
    }
}
