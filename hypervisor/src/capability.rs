//! Which of KVM's capabilities a machine needs, and which it can do without.

use kvm_ioctls::{Cap, Kvm};

/// One capability, and why it is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Capability {
    pub(crate) cap: Cap,
    /// Its name in Linux's `kvm.h`.
    pub(crate) name: &'static str,
    /// What is weaker without it; empty for those that a machine can't do without.
    pub(crate) meaning: &'static str,
}

const fn needed(cap: Cap, name: &'static str) -> Capability {
    Capability { cap, name, meaning: "" }
}

const fn optional(cap: Cap, name: &'static str, meaning: &'static str) -> Capability {
    Capability { cap, name, meaning }
}

/// Without one of these there is no machine. All are in Linux 4.12 and later.
pub(crate) const REQUIRED: &[Capability] = &[
    needed(Cap::UserMemory, "KVM_CAP_USER_MEMORY"),
    needed(Cap::DestroyMemoryRegionWorks, "KVM_CAP_DESTROY_MEMORY_REGION_WORKS"),
    needed(Cap::ReadonlyMem, "KVM_CAP_READONLY_MEM"),
    needed(Cap::Irqchip, "KVM_CAP_IRQCHIP"),
    needed(Cap::IrqRouting, "KVM_CAP_IRQ_ROUTING"),
    needed(Cap::SignalMsi, "KVM_CAP_SIGNAL_MSI"),
    needed(Cap::Pit2, "KVM_CAP_PIT2"),
    needed(Cap::PitState2, "KVM_CAP_PIT_STATE2"),
    needed(Cap::ExtCpuid, "KVM_CAP_EXT_CPUID"),
    needed(Cap::MpState, "KVM_CAP_MP_STATE"),
    needed(Cap::VcpuEvents, "KVM_CAP_VCPU_EVENTS"),
    needed(Cap::Debugregs, "KVM_CAP_DEBUGREGS"),
    needed(Cap::Xsave, "KVM_CAP_XSAVE"),
    needed(Cap::Xcrs, "KVM_CAP_XCRS"),
    needed(Cap::AdjustClock, "KVM_CAP_ADJUST_CLOCK"),
    needed(Cap::ImmediateExit, "KVM_CAP_IMMEDIATE_EXIT"),
];

/// Without one of these a machine is slower or less exact, and says so.
pub(crate) const OPTIONAL: &[Capability] = &[
    optional(Cap::SetTssAddr, "KVM_CAP_SET_TSS_ADDR", "old Intel processors can't run real-mode code"),
    optional(Cap::SetIdentityMapAddr, "KVM_CAP_SET_IDENTITY_MAP_ADDR", "old Intel processors can't run real-mode code"),
    optional(Cap::CoalescedMmio, "KVM_CAP_COALESCED_MMIO", "drawing in old VGA modes is slower"),
    optional(Cap::TscDeadlineTimer, "KVM_CAP_TSC_DEADLINE_TIMER", "guests use a coarser timer"),
    optional(Cap::KvmclockCtrl, "KVM_CAP_KVMCLOCK_CTRL", "a guest may complain of a stuck processor after a pause"),
    optional(
        Cap::X86UserSpaceMsr,
        "KVM_CAP_X86_USER_SPACE_MSR",
        "registers that a guest asks for in vain are not listed",
    ),
];

/// The first required capability that `kvm` lacks.
pub(crate) fn first_missing(kvm: &Kvm) -> Option<&'static Capability> {
    REQUIRED.iter().find(|capability| !kvm.check_extension(capability.cap))
}

/// The optional capabilities that `kvm` lacks.
pub(crate) fn weaker(kvm: &Kvm) -> impl Iterator<Item = &'static Capability> + '_ {
    OPTIONAL.iter().filter(|capability| !kvm.check_extension(capability.cap))
}
