//! Virtual processors: a thread for each, and the states that it goes through.
//!
//! ```text
//!              resume                    pause
//!   Parked ─────────────▶ Running ─────────────────▶ Parked
//!     ▲                      │ triple fault, failure     │ drop
//!     │ reset, restore       ▼                           ▼
//!     └────────────────── Stopped ──── drop ─────────▶ Ended
//! ```
//!
//! `pause`, `resume`, `reset`, `save` and `restore` are called by the thread that owns the machine's state, never by an
//! exit handler. State is only read and set while every processor is parked or stopped.

mod exit;
mod handler;
mod inspect;
mod kick;
mod report;
mod start;
mod state;
mod thread;

use std::sync::Arc;

use kvm_bindings::{CpuId, KVM_MAX_CPUID_ENTRIES, kvm_cpuid_entry2};
use kvm_ioctls::{Cap, VcpuFd};
use machine::{
    registers::Bank,
    saved::{RestoreError, SavedState, SavedUnit},
};
use parking_lot::{Mutex, MutexGuard};

pub use self::{
    exit::Exits,
    handler::{ExitHandler, VcpuEvent},
    start::{LINUX64_GDT, LINUX64_TABLES, StartState},
};
use self::{
    state::VcpuState,
    thread::{Cpu, Worker},
};
use crate::{
    chips::ChipState,
    clock,
    coalesced::Ring,
    cpuid::{self, Topology},
    error::{StateError, VcpuError},
    msr,
    partition::Partition,
};

pub(crate) mod saved {
    //! The saved form of all that KVM keeps of a machine.

    use machine::saved::SavedState;
    use serde::{Deserialize, Serialize};

    use super::state::saved::Vcpu;
    use crate::chips::saved::Chips;

    /// Chips, clock and processors.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    pub(crate) struct Kvm {
        pub(crate) chips: Chips,
        pub(crate) vcpus: Vec<Vcpu>,
    }

    impl SavedState for Kvm {
        const KIND: &'static str = "kvm";
        const VERSION: u32 = 1;
    }
}

/// The processors of a partition. They start out parked, at the reset vector; dropping this ends them.
pub struct Vcpus {
    partition: Partition,
    handler: Arc<dyn ExitHandler>,
    workers: Vec<Worker>,
    /// The MSRs that belong to the state, the same for each processor.
    msrs: Vec<u32>,
    power_on: Vec<VcpuState>,
    running: Mutex<bool>,
}

impl Vcpus {
    /// Makes the partition's processors, once, each with its thread (`vcpu-0` and so on).
    ///
    /// # Errors
    /// The host refuses, or the partition has its processors already.
    pub fn new(partition: &Partition, handler: Arc<dyn ExitHandler>) -> Result<Vcpus, VcpuError> {
        kick::install().map_err(|source| VcpuError::Thread { vcpu: 0, source })?;
        let inner = &partition.0;
        let refused =
            |what, vcpu| move |error: kvm_ioctls::Error| VcpuError::Refused { what, vcpu, source: error.into() };
        let supported = inner.kvm.get_supported_cpuid(KVM_MAX_CPUID_ENTRIES).map_err(refused("what CPUID tells", 0))?;
        let tsc_deadline = inner.kvm.check_extension(Cap::TscDeadlineTimer);
        let page_len = inner.kvm.get_vcpu_mmap_size().map_err(refused("the size of the page", 0))?;

        let mut fds = Vec::new();
        for id in 0..inner.cpus {
            let fd = inner.vm.create_vcpu(u64::from(id)).map_err(|error| match error.errno() {
                libc::EEXIST => VcpuError::Again,
                _ => refused("the making", id)(error),
            })?;
            let topology = Topology { apic_id: id, cpus: inner.cpus, tsc_deadline };
            set_cpuid(&fd, &cpuid::for_processor(supported.as_slice(), topology)).map_err(refused("CPUID", id))?;
            set_msrs(&fd).map_err(|error| power_on_error(id, error))?;
            fds.push(fd);
        }
        if inner.kvm.check_extension(Cap::CoalescedMmio)
            && let Some(first) = fds.first()
        {
            let ring = Ring::new(&thread::borrow(first)).map_err(|source| VcpuError::Refused {
                what: "the ring of gathered writes",
                vcpu: 0,
                source,
            })?;
            inner.ring.set(ring).map_err(|_| VcpuError::Again)?;
        }
        let msrs = fds.first().map_or(Ok(Vec::new()), |fd| msr::saved_list(&inner.kvm, fd));
        let msrs = msrs.map_err(|error| power_on_error(0, error))?;
        let mut power_on = Vec::new();
        for (id, fd) in (0..).zip(&fds) {
            power_on.push(VcpuState::read(fd, &msrs, None).map_err(|error| power_on_error(id, error))?);
        }
        inner.clock.lock().restore(None, vec![0; fds.len()]);

        let mut workers = Vec::new();
        for (id, fd) in (0..).zip(fds) {
            let cpu = Cpu::new(id, fd, page_len).map_err(|source| VcpuError::Thread { vcpu: id, source })?;
            let worker = Worker::start(cpu, partition.clone(), handler.clone());
            workers.push(worker.map_err(|source| VcpuError::Thread { vcpu: id, source })?);
        }
        let running = Mutex::new(false);
        Ok(Vcpus { partition: partition.clone(), handler, workers, msrs, power_on, running })
    }

    /// Lets the processors and the guest's time go on. A processor that was stopped by an event stays so.
    ///
    /// # Errors
    /// KVM refuses the clocks; nothing runs then.
    pub fn resume(&self) -> Result<(), StateError> {
        let mut running = self.running.lock();
        if *running {
            return Ok(());
        }
        let inner = &self.partition.0;
        let fds = self.lock_all();
        inner.speaker.lock().thaw(&inner.vm)?;
        inner.clock.lock().thaw(&inner.vm, fds.iter().map(|fd| &**fd), &inner.notes)?;
        drop(fds);
        self.workers.iter().for_each(Worker::run);
        *running = true;
        Ok(())
    }

    /// Parks the processors, and stops the guest's time. When this returns, each has completed the access that it had
    /// left the guest for, and the exit handler is called no more.
    ///
    /// # Errors
    /// KVM doesn't tell the clocks; the processors are parked all the same.
    pub fn pause(&self) -> Result<(), StateError> {
        let mut running = self.running.lock();
        if !*running {
            return Ok(());
        }
        self.workers.iter().for_each(Worker::ask_to_park);
        self.workers.iter().for_each(Worker::wait_until_still);
        *running = false;
        self.drain_coalesced();
        let inner = &self.partition.0;
        let fds = self.lock_all();
        inner.clock.lock().freeze(&inner.vm, fds.iter().map(|fd| &**fd))?;
        inner.speaker.lock().freeze(&inner.vm)
    }

    /// Power-on state for processors, local APICs and chips, with the first processor at `start`. Devices are reset
    /// before, so that their interrupt lines are low.
    ///
    /// # Errors
    /// [`StateError::Running`], or KVM refuses.
    pub fn reset(&self, start: StartState) -> Result<(), StateError> {
        let running = self.running.lock();
        if *running {
            return Err(StateError::Running);
        }
        let inner = &self.partition.0;
        let fds = self.lock_all();
        self.partition.power_on_chips().write(&inner.vm, &mut inner.speaker.lock())?;
        for (id, (fd, power_on)) in fds.iter().zip(&self.power_on).enumerate() {
            let mut state = power_on.clone();
            start.apply(id, &mut state, &inner.memory)?;
            state.write(fd, &inner.notes)?;
        }
        clock::reset_tsc(fds.iter().map(|fd| &**fd));
        inner.clock.lock().restore(None, vec![0; fds.len()]);
        self.workers.iter().for_each(Worker::clear);
        Ok(())
    }

    /// All that KVM keeps of the paused machine: processors, local APICs, chips, clocks. Memory is apart.
    ///
    /// # Errors
    /// [`StateError::Running`], or KVM refuses.
    pub fn save(&self) -> Result<SavedUnit, StateError> {
        let running = self.running.lock();
        if *running {
            return Err(StateError::Running);
        }
        let inner = &self.partition.0;
        let fds = self.lock_all();
        let clock = inner.clock.lock();
        let mut vcpus = Vec::new();
        for (index, fd) in fds.iter().enumerate() {
            vcpus.push(VcpuState::read(fd, &self.msrs, clock.saved_tsc(index))?.save());
        }
        let chips = ChipState::read(&inner.vm, &inner.speaker.lock())?.save(clock.saved_nanos());
        Ok(SavedUnit::of(&saved::Kvm { chips, vcpus })?)
    }

    /// Takes over what [`Vcpus::save`] gave, while paused.
    ///
    /// # Errors
    /// [`StateError::Running`]; the unit is damaged or of another number of processors (nothing is changed then); or KVM
    /// refuses a value, and the machine must be reset or restored before it runs.
    pub fn restore(&self, unit: &SavedUnit) -> Result<(), StateError> {
        let running = self.running.lock();
        if *running {
            return Err(StateError::Running);
        }
        let saved: saved::Kvm = unit.open()?;
        let kind = saved::Kvm::KIND;
        if saved.vcpus.len() != self.workers.len() {
            let what = format!("{} processors instead of {}", saved.vcpus.len(), self.workers.len());
            return Err(RestoreError::Impossible { kind, what }.into());
        }
        let chips = ChipState::of(&saved.chips, kind)?;
        let mut states = Vec::new();
        for vcpu in &saved.vcpus {
            states.push(VcpuState::of(vcpu, kind)?);
        }
        let inner = &self.partition.0;
        chips.write(&inner.vm, &mut inner.speaker.lock())?;
        let fds = self.lock_all();
        for (fd, state) in fds.iter().zip(&states) {
            state.write(fd, &inner.notes)?;
        }
        inner.clock.lock().restore(Some(saved.chips.clock_nanos), states.iter().map(VcpuState::tsc).collect());
        self.workers.iter().for_each(Worker::clear);
        Ok(())
    }

    /// What processors, local APICs and chips hold, for people. Processors that run stand still for that long;
    /// time goes on.
    ///
    /// # Errors
    /// KVM refuses.
    pub fn registers(&self) -> Result<Vec<Bank>, StateError> {
        let running = self.running.lock();
        if *running {
            self.workers.iter().for_each(Worker::ask_to_park);
            self.workers.iter().for_each(Worker::wait_until_still);
        }
        let banks = self.read_banks();
        if *running {
            self.workers.iter().for_each(Worker::run);
        }
        banks
    }

    fn read_banks(&self) -> Result<Vec<Bank>, StateError> {
        let inner = &self.partition.0;
        let mut banks = Vec::new();
        for (index, fd) in self.lock_all().iter().enumerate() {
            let state = VcpuState::read(fd, &self.msrs, None)?;
            banks.extend([state.bank(index), state.apic_bank(index)]);
        }
        banks.extend(ChipState::read(&inner.vm, &inner.speaker.lock())?.banks());
        Ok(banks)
    }

    /// Hands writes that have gathered (see [`Partition::coalesce`]) to the exit handler. Before a display is drawn, for
    /// example. The caller holds no lock that the handler takes.
    pub fn drain_coalesced(&self) {
        exit::drain(&self.partition, &*self.handler);
    }

    /// How often each processor has left the guest, by kind.
    #[must_use]
    pub fn exits(&self) -> Vec<Exits> {
        self.workers.iter().map(|worker| worker.cpu().counters.read()).collect()
    }

    /// The processors, which are all still.
    fn lock_all(&self) -> Vec<MutexGuard<'_, VcpuFd>> {
        self.workers.iter().map(|worker| worker.cpu().fd.lock()).collect()
    }
}

impl std::fmt::Debug for Vcpus {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Vcpus").field("count", &self.workers.len()).finish_non_exhaustive()
    }
}

fn set_cpuid(fd: &VcpuFd, leaves: &[kvm_cpuid_entry2]) -> Result<(), kvm_ioctls::Error> {
    let leaves = CpuId::from_entries(leaves).map_err(|_| kvm_ioctls::Error::new(libc::E2BIG))?;
    fd.set_cpuid2(&leaves)
}

/// What KVM leaves otherwise than processors are: string instructions are fast.
fn set_msrs(fd: &VcpuFd) -> Result<(), StateError> {
    for (index, value) in msr::read(fd, &[msr::IA32_MISC_ENABLE])? {
        msr::write(fd, &[(index, value | msr::FAST_STRINGS)])?;
    }
    Ok(())
}

fn power_on_error(vcpu: u32, error: StateError) -> VcpuError {
    match error {
        StateError::Refused { what, source } => VcpuError::Refused { what, vcpu, source },
        other => VcpuError::Refused { what: "its power-on state", vcpu, source: std::io::Error::other(other) },
    }
}
