//! The guest's clocks over a pause.
//!
//! While a machine is paused its time stands still, whichever clock the guest reads:
//! - KVM's paravirtual clock is read at the pause and set to that value when the machine goes on;
//! - the time stamp counters are put back to what they were at the pause, where KVM can do that exactly
//!   (`KVM_VCPU_TSC_OFFSET`, Linux 5.16 and later), and the deadlines that are set in them are armed anew;
//! - the 8254 timer is taken from KVM (see [`crate::pit`]);
//! - `KVM_KVMCLOCK_CTRL` tells the guest that it was stopped, so that its watchdog doesn't call a processor stuck.
//!
//! A local APIC timer in one-shot or periodic mode runs on and may be early by the length of the pause, by one interrupt:
//! setting it would mean to set the whole local APIC, and to lose an interrupt that arrives at that moment.

use std::io;

use kvm_bindings::{Msrs, kvm_clock_data, kvm_msr_entry};
use kvm_ioctls::{VcpuFd, VmFd};

use crate::{
    abi,
    error::StateError,
    msr::{IA32_TSC, IA32_TSC_DEADLINE},
    notes::{Note, Notes},
};

/// What the guest's clocks showed when its time stood still.
#[derive(Debug, Clone)]
struct Frozen {
    /// The paravirtual clock, in nanoseconds since it was made.
    clock_nanos: u64,
    /// Each processor's time stamp counter; none where KVM can't set them back.
    tscs: Vec<u64>,
}

/// The guest's clock. A new partition's stands still.
pub(crate) struct GuestClock {
    frozen: Option<Frozen>,
}

impl GuestClock {
    pub(crate) fn new() -> Self {
        GuestClock { frozen: Some(Frozen { clock_nanos: 0, tscs: Vec::new() }) }
    }

    /// Time stands still from now on. The processors are out of the guest.
    pub(crate) fn freeze<'a>(
        &mut self,
        vm: &VmFd,
        vcpus: impl Iterator<Item = &'a VcpuFd> + Clone,
    ) -> Result<(), StateError> {
        if self.frozen.is_some() {
            return Ok(());
        }
        let tscs = read_tscs(vcpus.clone());
        let clock = vm.get_clock().map_err(StateError::refused("the guest's clock"))?;
        self.frozen = Some(Frozen { clock_nanos: clock.clock, tscs });
        for vcpu in vcpus {
            // A guest without a paravirtual clock has nothing to be told.
            let _ = vcpu.kvmclock_ctrl();
        }
        Ok(())
    }

    /// Time goes on.
    pub(crate) fn thaw<'a>(
        &mut self,
        vm: &VmFd,
        vcpus: impl Iterator<Item = &'a VcpuFd>,
        notes: &Notes,
    ) -> Result<(), StateError> {
        let Some(frozen) = &self.frozen else { return Ok(()) };
        let mut deadlines = Vec::new();
        let host_tsc = abi::host_tsc();
        for (vcpu, &tsc) in vcpus.zip(&frozen.tscs) {
            let deadline = get_msr(vcpu, IA32_TSC_DEADLINE).unwrap_or(0);
            match abi::set_tsc_offset(vcpu, tsc.wrapping_sub(host_tsc)) {
                Ok(()) if deadline != 0 => deadlines.push((vcpu, deadline)),
                Ok(()) => {}
                Err(error) => {
                    let what = format!("to stop the time stamp counter in a pause ({error})");
                    notes.add(Note::Refused { what });
                }
            }
        }
        // Without flags: with KVM_CLOCK_REALTIME the time of the pause would be added.
        let clock = kvm_clock_data { clock: frozen.clock_nanos, ..Default::default() };
        vm.set_clock(&clock).map_err(StateError::refused("the guest's clock"))?;
        self.frozen = None;
        for (vcpu, deadline) in deadlines {
            let _ = set_msr(vcpu, IA32_TSC_DEADLINE, deadline);
        }
        Ok(())
    }

    /// The paravirtual clock's value, of a paused machine.
    pub(crate) fn saved_nanos(&self) -> u64 {
        self.frozen.as_ref().map_or(0, |frozen| frozen.clock_nanos)
    }

    /// What processor `index`'s time stamp counter showed when time stood still.
    pub(crate) fn saved_tsc(&self, index: usize) -> Option<u64> {
        self.frozen.as_ref()?.tscs.get(index).copied()
    }

    /// Takes over the clocks of a paused machine. Without `clock_nanos` the paravirtual clock stays, as in a reset.
    pub(crate) fn restore(&mut self, clock_nanos: Option<u64>, tscs: Vec<u64>) {
        let clock_nanos = clock_nanos.unwrap_or_else(|| self.saved_nanos());
        self.frozen = Some(Frozen { clock_nanos, tscs });
    }
}

/// The processors' time stamp counters at one moment; none if KVM doesn't tell.
fn read_tscs<'a>(vcpus: impl Iterator<Item = &'a VcpuFd>) -> Vec<u64> {
    let host_tsc = abi::host_tsc();
    let tsc = |vcpu| Ok(host_tsc.wrapping_add(abi::tsc_offset(vcpu)?));
    vcpus.map(tsc).collect::<io::Result<_>>().unwrap_or_default()
}

fn get_msr(vcpu: &VcpuFd, index: u32) -> Option<u64> {
    let mut msrs = Msrs::from_entries(&[kvm_msr_entry { index, ..Default::default() }]).ok()?;
    (vcpu.get_msrs(&mut msrs).ok()? == 1).then(|| msrs.as_slice()[0].data)
}

fn set_msr(vcpu: &VcpuFd, index: u32, data: u64) -> Option<()> {
    let msrs = Msrs::from_entries(&[kvm_msr_entry { index, data, ..Default::default() }]).ok()?;
    (vcpu.set_msrs(&msrs).ok()? == 1).then_some(())
}

/// Sets the processors' time stamp counters to zero, all in step.
pub(crate) fn reset_tsc<'a>(vcpus: impl Iterator<Item = &'a VcpuFd>) {
    for vcpu in vcpus {
        let _ = set_msr(vcpu, IA32_TSC, 0);
    }
}
