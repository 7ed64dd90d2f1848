//! Model-specific registers (Intel SDM volume 4, AMD APM volume 2 appendix A): the few that are named here, and which
//! belong to a processor's saved state.

use kvm_bindings::{KVM_MAX_MSR_ENTRIES, Msrs, kvm_msr_entry};
use kvm_ioctls::{Kvm, VcpuFd};

use crate::error::StateError;

pub(crate) const IA32_TSC: u32 = 0x10;
pub(crate) const IA32_MISC_ENABLE: u32 = 0x1a0;
pub(crate) const MTRR_DEF_TYPE: u32 = 0x2ff;
pub(crate) const IA32_TSC_DEADLINE: u32 = 0x6e0;
pub(crate) const EFER: u32 = 0xc000_0080;

/// `IA32_MISC_ENABLE`: fast string instructions. Linux takes them for slow if this isn't set.
pub(crate) const FAST_STRINGS: u64 = 1;
/// `MTRR_DEF_TYPE`: MTRRs on, all memory write-back. What firmware leaves behind, for kernels started without any.
pub(crate) const MTRR_ON_WRITE_BACK: u64 = 1 << 11 | 6;

/// Memory type ranges (Intel SDM volume 3, section 12.11), which KVM has but leaves out of its list.
const MTRRS: &[u32] = &[0x250, 0x258, 0x259, 0x268, 0x269, 0x26a, 0x26b, 0x26c, 0x26d, 0x26e, 0x26f, MTRR_DEF_TYPE];
/// Hyper-V's synthetic MSRs, which KVM names but CPUID doesn't offer to the guest; one of them is a clock.
const HYPER_V: std::ops::Range<u32> = 0x4000_0000..0x4000_0200;
const MTRR_PHYS_BASE_0: u32 = 0x200;
const MTRR_PHYS_COUNT: u32 = 16;

/// The MSRs of a processor's state: those that KVM names and can read, and the memory type ranges.
pub(crate) fn saved_list(kvm: &Kvm, vcpu: &VcpuFd) -> Result<Vec<u32>, StateError> {
    let named = kvm.get_msr_index_list().map_err(StateError::refused("the list of model-specific registers"))?;
    let mut list = named.as_slice().to_vec();
    list.extend((MTRR_PHYS_BASE_0..MTRR_PHYS_BASE_0 + MTRR_PHYS_COUNT).chain(MTRRS.iter().copied()));
    list.retain(|index| !HYPER_V.contains(index));
    list.sort_unstable();
    list.dedup();
    let readable = read(vcpu, &list)?;
    Ok(readable.into_iter().map(|(index, _)| index).collect())
}

/// The values of those of `list` that KVM can read.
pub(crate) fn read(vcpu: &VcpuFd, list: &[u32]) -> Result<Vec<(u32, u64)>, StateError> {
    let mut values = Vec::with_capacity(list.len());
    let mut rest = list;
    while !rest.is_empty() {
        let batch = &rest[..rest.len().min(KVM_MAX_MSR_ENTRIES)];
        let mut msrs = wrap(batch.iter().map(|&index| (index, 0)))?;
        let done = vcpu.get_msrs(&mut msrs).map_err(StateError::refused("model-specific registers"))?;
        values.extend(msrs.as_slice()[..done].iter().map(|entry| (entry.index, entry.data)));
        // KVM stops at the first that it can't read: go on behind it.
        rest = &rest[if done < batch.len() { done + 1 } else { done }..];
    }
    Ok(values)
}

/// Sets MSRs, in order, and returns those that KVM doesn't take (read-only ones, mostly).
pub(crate) fn write(vcpu: &VcpuFd, values: &[(u32, u64)]) -> Result<Vec<u32>, StateError> {
    let mut refused = Vec::new();
    let mut rest = values;
    while !rest.is_empty() {
        let batch = &rest[..rest.len().min(KVM_MAX_MSR_ENTRIES)];
        let msrs = wrap(batch.iter().copied())?;
        let done = vcpu.set_msrs(&msrs).map_err(StateError::refused("model-specific registers"))?;
        let mut next = done;
        if let Some(&(index, _)) = batch.get(done) {
            refused.push(index);
            next += 1;
        }
        rest = &rest[next..];
    }
    Ok(refused)
}

fn wrap(values: impl Iterator<Item = (u32, u64)>) -> Result<Msrs, StateError> {
    let entries: Vec<_> = values.map(|(index, data)| kvm_msr_entry { index, data, ..Default::default() }).collect();
    Msrs::from_entries(&entries).map_err(|error| StateError::Refused {
        what: "so many model-specific registers",
        source: std::io::Error::other(format!("{error:?}")),
    })
}
