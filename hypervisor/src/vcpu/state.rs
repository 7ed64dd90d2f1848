//! One processor's state: everything that KVM keeps of it.

use kvm_bindings::{
    kvm_debugregs, kvm_lapic_state, kvm_mp_state, kvm_regs, kvm_sregs, kvm_vcpu_events, kvm_xcrs, kvm_xsave,
};
use kvm_ioctls::VcpuFd;
use machine::saved::{Bytes, RestoreError};

use crate::{
    abi::{self, Structure},
    error::StateError,
    msr::{self, IA32_TSC, IA32_TSC_DEADLINE},
    notes::{Note, Notes},
};

pub(crate) mod saved {
    //! A processor's saved form. Its structures are those of Linux's `kvm.h`, whose layout never changes.

    use machine::saved::Bytes;
    use serde::{Deserialize, Serialize};

    /// One processor.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    pub(crate) struct Vcpu {
        /// `kvm_regs`.
        pub(crate) regs: Bytes,
        /// `kvm_sregs`.
        pub(crate) sregs: Bytes,
        /// `kvm_xsave`: 4096 bytes, in XSAVE's standard form.
        pub(crate) xsave: Bytes,
        /// `kvm_xcrs`.
        pub(crate) xcrs: Bytes,
        /// `kvm_debugregs`.
        pub(crate) debugregs: Bytes,
        /// `kvm_lapic_state`: the local APIC's registers.
        pub(crate) lapic: Bytes,
        /// `kvm_vcpu_events`.
        pub(crate) events: Bytes,
        /// `kvm_mp_state`: running, halted, or waiting for a start-up message.
        pub(crate) mp_state: u32,
        /// Model-specific registers: index and value.
        pub(crate) msrs: Vec<(u32, u64)>,
    }
}

const CR0_NE: u64 = 1 << 5;
const XSAVE_WORDS: usize = 1024;
/// The highest `KVM_MP_STATE_*` that there is on x86, `KVM_MP_STATE_AP_RESET_HOLD`.
const MP_STATE_MAX: u32 = 9;
/// A saved file with more MSRs than this is hostile.
const MSRS_MAX: usize = 4096;

/// A processor's state, in KVM's structures.
#[derive(Clone)]
pub(crate) struct VcpuState {
    pub(crate) regs: kvm_regs,
    pub(crate) sregs: kvm_sregs,
    xsave: Box<[u32; XSAVE_WORDS]>,
    xcrs: kvm_xcrs,
    debugregs: kvm_debugregs,
    pub(crate) lapic: kvm_lapic_state,
    pub(crate) events: kvm_vcpu_events,
    pub(crate) mp_state: u32,
    pub(crate) msrs: Vec<(u32, u64)>,
}

impl VcpuState {
    /// Reads it from a processor that stands still. `tsc` is what its time stamp counter showed then, if that is known.
    pub(crate) fn read(vcpu: &VcpuFd, msrs: &[u32], tsc: Option<u64>) -> Result<Self, StateError> {
        let mut msrs = msr::read(vcpu, msrs)?;
        for (index, value) in &mut msrs {
            if *index == IA32_TSC {
                *value = tsc.unwrap_or(*value);
            }
        }
        Ok(VcpuState {
            regs: vcpu.get_regs().map_err(StateError::refused("a processor's registers"))?,
            sregs: vcpu.get_sregs().map_err(StateError::refused("a processor's segment registers"))?,
            xsave: Box::new(vcpu.get_xsave().map_err(StateError::refused("a processor's FPU"))?.region),
            xcrs: vcpu.get_xcrs().map_err(StateError::refused("a processor's XCRs"))?,
            debugregs: vcpu.get_debug_regs().map_err(StateError::refused("a processor's debug registers"))?,
            lapic: vcpu.get_lapic().map_err(StateError::refused("a local APIC"))?,
            events: vcpu.get_vcpu_events().map_err(StateError::refused("a processor's pending events"))?,
            mp_state: vcpu.get_mp_state().map_err(StateError::refused("whether a processor runs"))?.mp_state,
            msrs,
        })
    }

    /// The time stamp counter.
    pub(crate) fn tsc(&self) -> u64 {
        self.msrs.iter().find(|(index, _)| *index == IA32_TSC).map_or(0, |&(_, value)| value)
    }

    /// Sets a processor that stands still.
    ///
    /// The order matters: the segment registers hold the local APIC's base and mode, which its registers depend on; its
    /// timer's mode decides whether a deadline is taken, and a deadline is one of the time stamp counter.
    pub(crate) fn write(&self, vcpu: &VcpuFd, notes: &Notes) -> Result<(), StateError> {
        // After a triple fault without paging, KVM on AMD forgets where its own page tables are, and takes them up again
        // only when CR0 changes: change it once more than needed, in a bit that has to do with nothing else.
        let mut sregs = self.sregs;
        for cr0 in [self.sregs.cr0 ^ CR0_NE, self.sregs.cr0] {
            sregs.cr0 = cr0;
            vcpu.set_sregs(&sregs).map_err(StateError::refused("a processor's segment registers"))?;
        }
        vcpu.set_lapic(&self.lapic).map_err(StateError::refused("a local APIC"))?;
        vcpu.set_xcrs(&self.xcrs).map_err(StateError::refused("a processor's XCRs"))?;
        let xsave = kvm_xsave { region: *self.xsave, ..Default::default() };
        // SAFETY: KVM reads more than 4096 bytes only from processors with features that a process has to ask the
        // kernel for (AMX); nothing here does.
        #[allow(unsafe_code)]
        unsafe { vcpu.set_xsave(&xsave) }.map_err(StateError::refused("a processor's FPU"))?;
        self.write_msrs(vcpu, notes)?;
        vcpu.set_debug_regs(&self.debugregs).map_err(StateError::refused("a processor's debug registers"))?;
        vcpu.set_regs(&self.regs).map_err(StateError::refused("a processor's registers"))?;
        vcpu.set_mp_state(kvm_mp_state { mp_state: self.mp_state })
            .map_err(StateError::refused("whether a processor runs"))?;
        vcpu.set_vcpu_events(&self.events).map_err(StateError::refused("a processor's pending events"))
    }

    fn write_msrs(&self, vcpu: &VcpuFd, notes: &Notes) -> Result<(), StateError> {
        let late = |entry: &&(u32, u64)| entry.0 == IA32_TSC_DEADLINE;
        let mut ordered: Vec<_> = self.msrs.iter().filter(|entry| !late(entry)).copied().collect();
        ordered.extend(self.msrs.iter().filter(late));
        let refused = msr::write(vcpu, &ordered)?;
        // One that can't be written is no loss where it has the value already: most are read-only.
        let now = msr::read(vcpu, &refused)?;
        for index in refused {
            let wanted = self.msrs.iter().find(|entry| entry.0 == index);
            if wanted.is_some_and(|wanted| !now.contains(wanted)) {
                notes.add(Note::Refused { what: format!("the saved value of MSR {index:#x}") });
            }
        }
        Ok(())
    }

    /// The saved form.
    pub(crate) fn save(&self) -> saved::Vcpu {
        let xsave = self.xsave.iter().flat_map(|word| word.to_le_bytes()).collect();
        saved::Vcpu {
            regs: Bytes(abi::bytes_of(&self.regs)),
            sregs: Bytes(abi::bytes_of(&self.sregs)),
            xsave: Bytes(xsave),
            xcrs: Bytes(abi::bytes_of(&self.xcrs)),
            debugregs: Bytes(abi::bytes_of(&self.debugregs)),
            lapic: Bytes(abi::bytes_of(&self.lapic)),
            events: Bytes(abi::bytes_of(&self.events)),
            mp_state: self.mp_state,
            msrs: self.msrs.clone(),
        }
    }

    /// Reads the saved form; every length is checked. KVM checks what the values mean.
    pub(crate) fn of(saved: &saved::Vcpu, kind: &'static str) -> Result<Self, RestoreError> {
        fn part<T: Structure>(bytes: &Bytes, kind: &'static str) -> Result<T, RestoreError> {
            let impossible = || RestoreError::Impossible { kind, what: format!("the length of {}", T::NAME) };
            abi::value_of(&bytes.0).ok_or_else(impossible)
        }
        let impossible = |what: &str| RestoreError::Impossible { kind, what: what.to_owned() };
        if saved.xsave.0.len() != XSAVE_WORDS * 4 {
            return Err(impossible("the length of kvm_xsave"));
        }
        if saved.mp_state > MP_STATE_MAX {
            return Err(impossible("kvm_mp_state"));
        }
        if saved.msrs.len() > MSRS_MAX {
            return Err(impossible("the number of model-specific registers"));
        }
        let xcrs: kvm_xcrs = part(&saved.xcrs, kind)?;
        if xcrs.nr_xcrs as usize > xcrs.xcrs.len() {
            return Err(impossible("the number of XCRs"));
        }
        let mut xsave = Box::new([0; XSAVE_WORDS]);
        for (word, bytes) in xsave.iter_mut().zip(saved.xsave.0.chunks_exact(4)) {
            *word = machine::access::value_of(bytes) as u32;
        }
        Ok(VcpuState {
            regs: part(&saved.regs, kind)?,
            sregs: part(&saved.sregs, kind)?,
            xsave,
            xcrs,
            debugregs: part(&saved.debugregs, kind)?,
            lapic: part(&saved.lapic, kind)?,
            events: part(&saved.events, kind)?,
            mp_state: saved.mp_state,
            msrs: saved.msrs.clone(),
        })
    }
}
