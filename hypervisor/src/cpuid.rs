//! What CPUID tells the guest (Intel SDM volume 2, CPUID; AMD APM volume 3, appendix E): what the host's KVM supports, one
//! socket with as many cores as the machine has processors, and KVM's paravirtual leaves at 0x40000000.
//!
//! Left out: nested virtualization (VMX, SVM), SGX and memory encryption, which no engine of ours offers or saves.

use kvm_bindings::{KVM_CPUID_FLAG_SIGNIFCANT_INDEX, kvm_cpuid_entry2};

/// What differs between machines and their processors.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Topology {
    /// The processor's APIC identifier, which is its number.
    pub(crate) apic_id: u32,
    /// How many processors the machine has.
    pub(crate) cpus: u32,
    /// The local APIC has a TSC-deadline mode.
    pub(crate) tsc_deadline: bool,
}

impl Topology {
    /// Bits of an APIC identifier that number the core.
    fn core_bits(self) -> u32 {
        self.cpus.next_power_of_two().trailing_zeros()
    }

    /// How many identifiers those bits have, less one.
    fn core_mask(self) -> u32 {
        (1 << self.core_bits()) - 1
    }
}

const ECX_VMX: u32 = 1 << 5;
const ECX_X2APIC: u32 = 1 << 21;
const ECX_TSC_DEADLINE: u32 = 1 << 24;
const ECX_HYPERVISOR: u32 = 1 << 31;
const EDX_HTT: u32 = 1 << 28;
const LEAF7_EBX_SGX: u32 = 1 << 2;
const LEAF7_ECX_SGX_LC: u32 = 1 << 30;
const EXT_ECX_CMP_LEGACY: u32 = 1 << 1;
const EXT_ECX_SVM: u32 = 1 << 2;

/// The first four letters of the vendors that number cores AMD's way: AuthenticAMD, HygonGenuine.
const AMD_VENDORS: [u32; 2] = [u32::from_le_bytes(*b"Auth"), u32::from_le_bytes(*b"Hygo")];
/// Leaves that aren't offered: SGX, SVM, memory encryption, and AMD's second description of the topology (leaf 0xb has it).
const LEFT_OUT: &[u32] = &[0x12, 0x8000_000a, 0x8000_001f, 0x8000_0026];
/// Extended topology enumeration, old and new.
const TOPOLOGY_LEAVES: [u32; 2] = [0xb, 0x1f];
const LEVEL_SMT: u32 = 1;
const LEVEL_CORE: u32 = 2;

/// The leaves for one processor, made from those that KVM supports.
pub(crate) fn for_processor(supported: &[kvm_cpuid_entry2], topology: Topology) -> Vec<kvm_cpuid_entry2> {
    let kept =
        |entry: &&kvm_cpuid_entry2| !LEFT_OUT.contains(&entry.function) && !TOPOLOGY_LEAVES.contains(&entry.function);
    let mut leaves: Vec<_> = supported.iter().filter(kept).copied().collect();
    let first = supported.iter().find(|leaf| leaf.function == 0);
    let amd = first.is_some_and(|leaf| AMD_VENDORS.contains(&leaf.ebx));
    for leaf in &mut leaves {
        adapt(leaf, topology, amd);
    }
    let highest = first.map_or(0, |leaf| leaf.eax);
    for function in TOPOLOGY_LEAVES.into_iter().filter(|&function| function <= highest) {
        leaves.extend(topology_leaves(function, topology));
    }
    leaves
}

fn adapt(leaf: &mut kvm_cpuid_entry2, topology: Topology, amd: bool) {
    let Topology { apic_id, cpus, .. } = topology;
    match leaf.function {
        1 => {
            // Identifier, and how many identifiers a package has.
            leaf.ebx = leaf.ebx & 0xffff | (topology.core_mask() + 1) << 16 | apic_id << 24;
            leaf.ecx = leaf.ecx & !(ECX_VMX | ECX_TSC_DEADLINE) | ECX_X2APIC | ECX_HYPERVISOR;
            if topology.tsc_deadline {
                leaf.ecx |= ECX_TSC_DEADLINE;
            }
            set(&mut leaf.edx, EDX_HTT, cpus > 1);
        }
        // Deterministic cache parameters, Intel's and AMD's: the third level is shared by all cores.
        4 | 0x8000_001d if leaf.eax & 0x1f != 0 => {
            let shared_by = if leaf.eax >> 5 & 7 >= 3 { topology.core_mask() } else { 0 };
            leaf.eax = leaf.eax & 0x3fff | shared_by << 14;
            if leaf.function == 4 {
                leaf.eax |= topology.core_mask() << 26;
            }
        }
        7 if leaf.index == 0 => {
            leaf.ebx &= !LEAF7_EBX_SGX;
            leaf.ecx &= !LEAF7_ECX_SGX_LC;
        }
        0x8000_0001 => {
            leaf.ecx &= !EXT_ECX_SVM;
            set(&mut leaf.ecx, EXT_ECX_CMP_LEGACY, amd && cpus > 1);
        }
        0x8000_0008 => leaf.ecx = if amd { (cpus - 1) | topology.core_bits() << 12 } else { 0 },
        // Extended APIC identifier; one thread a core; one node.
        0x8000_001e => {
            leaf.eax = apic_id;
            leaf.ebx = apic_id;
            leaf.ecx = 0;
        }
        _ => {}
    }
}

fn set(register: &mut u32, bit: u32, on: bool) {
    *register = if on { *register | bit } else { *register & !bit };
}

fn topology_leaves(function: u32, topology: Topology) -> [kvm_cpuid_entry2; 3] {
    let level = |index, shift, processors, kind| kvm_cpuid_entry2 {
        function,
        index,
        flags: KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
        eax: shift,
        ebx: processors,
        ecx: index | kind << 8,
        edx: topology.apic_id,
        ..Default::default()
    };
    [level(0, 0, 1, LEVEL_SMT), level(1, topology.core_bits(), topology.cpus, LEVEL_CORE), level(2, 0, 0, 0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf(function: u32, index: u32, registers: [u32; 4]) -> kvm_cpuid_entry2 {
        let [eax, ebx, ecx, edx] = registers;
        kvm_cpuid_entry2 { function, index, eax, ebx, ecx, edx, ..Default::default() }
    }

    fn find(leaves: &[kvm_cpuid_entry2], function: u32, index: u32) -> [u32; 4] {
        let found = leaves.iter().find(|leaf| leaf.function == function && leaf.index == index).unwrap();
        [found.eax, found.ebx, found.ecx, found.edx]
    }

    fn host() -> Vec<kvm_cpuid_entry2> {
        vec![
            leaf(0, 0, [0x1f, AMD_VENDORS[0], 0, 0]),
            leaf(1, 0, [0x800f12, 0x1102_0800, ECX_VMX, 0]),
            leaf(4, 0, [0xfc00_4121, 0, 0, 0]),
            leaf(4, 3, [0xfc0f_c163, 0, 0, 0]),
            leaf(4, 4, [0, 0, 0, 0]),
            leaf(7, 0, [2, LEAF7_EBX_SGX | 1, 0, 0]),
            leaf(0xb, 0, [1, 2, 0x100, 9]),
            leaf(0x12, 0, [1, 1, 1, 1]),
            leaf(0x8000_0001, 0, [0, 0, EXT_ECX_SVM | EXT_ECX_CMP_LEGACY, 0]),
            leaf(0x8000_0008, 0, [0x3030, 0, 0x700f, 0]),
            leaf(0x8000_001e, 0, [9, 0x109, 0x300, 0]),
        ]
    }

    #[test]
    fn six_processors_are_six_cores_of_one_socket() {
        let leaves = for_processor(&host(), Topology { apic_id: 5, cpus: 6, tsc_deadline: true });
        let [_, ebx, ecx, edx] = find(&leaves, 1, 0);
        assert_eq!(ebx, 0x0508_0800);
        assert_eq!(ecx, ECX_X2APIC | ECX_TSC_DEADLINE | ECX_HYPERVISOR);
        assert_eq!(edx, EDX_HTT);
        assert_eq!(find(&leaves, 4, 0)[0], 7 << 26 | 0x121);
        assert_eq!(find(&leaves, 4, 3)[0], 7 << 26 | 7 << 14 | 0x163);
        assert_eq!(find(&leaves, 4, 4)[0], 0);
        for function in TOPOLOGY_LEAVES {
            assert_eq!(find(&leaves, function, 0), [0, 1, 0x100, 5]);
            assert_eq!(find(&leaves, function, 1), [3, 6, 0x201, 5]);
            assert_eq!(find(&leaves, function, 2), [0, 0, 2, 5]);
        }
        assert_eq!(find(&leaves, 0x8000_0008, 0)[2], 0x3005);
        assert_eq!(find(&leaves, 0x8000_001e, 0), [5, 5, 0, 0]);
    }

    #[test]
    fn one_processor_says_so() {
        let leaves = for_processor(&host(), Topology { apic_id: 0, cpus: 1, tsc_deadline: false });
        assert_eq!(find(&leaves, 1, 0)[1], 0x0001_0800);
        assert_eq!(find(&leaves, 1, 0)[3], 0);
        assert_eq!(find(&leaves, 0x8000_0001, 0)[2], 0);
        assert_eq!(find(&leaves, 0x8000_0008, 0)[2], 0);
        assert_eq!(find(&leaves, 0xb, 1), [0, 1, 0x201, 0]);
    }

    #[test]
    fn what_is_not_offered_is_left_out() {
        let leaves = for_processor(&host(), Topology { apic_id: 0, cpus: 1, tsc_deadline: false });
        assert!(leaves.iter().all(|leaf| leaf.function != 0x12));
        assert_eq!(find(&leaves, 7, 0)[1], 1);
    }
}
