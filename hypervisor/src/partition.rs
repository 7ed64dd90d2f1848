//! A partition: what of the host belongs to one machine. KVM's virtual machine with its guest memory, in-kernel
//! interrupt chips (two 8259A, an I/O APIC, a local APIC for each processor), 8254 timer and guest clock.
//!
//! Port 0x61 is the machine's: KVM's own stand-in for it is off.

use std::{
    ffi::CString,
    io,
    os::unix::ffi::OsStrExt,
    path::Path,
    sync::{Arc, OnceLock},
};

use kvm_bindings::{
    KVM_CAP_X86_USER_SPACE_MSR, KVM_MSR_EXIT_REASON_INVAL, KVM_MSR_EXIT_REASON_UNKNOWN, kvm_enable_cap, kvm_pit_config,
};
use kvm_ioctls::{Cap, Kvm, VmFd};
use machine::line::{LineTarget, MsiTarget};
use parking_lot::Mutex;

use crate::{
    capability,
    chips::ChipState,
    clock::GuestClock,
    coalesced::{CoalescedRange, Ring},
    error::{MapError, PartitionError, StateError},
    lines::{LineSet, Lines, Msi},
    memory::{self, DeviceMemory, GuestMemory},
    notes::{Note, Notes},
    pit::{PitChannel, Speaker},
    slots::{MapAccess, Mapping, Slots},
};

/// The largest number of processors of a partition.
pub const MAX_CPUS: u32 = 64;

/// Guest addresses that KVM keeps for itself on Intel processors (a page table and a task state segment for real
/// mode): first address and length. No memory and no device may be there.
pub const RESERVED: (u64, u64) = (0xfeff_c000, 0x4000);

const IDENTITY_MAP: u64 = RESERVED.0;
const TASK_STATE: usize = RESERVED.0 as usize + 0x1000;
const KVM_DEVICE: &str = "/dev/kvm";
const KVM_INTERFACE: i32 = 12;

/// What a partition is made of.
#[derive(Debug, Clone)]
pub struct PartitionOptions {
    /// How many processors, 1 to [`MAX_CPUS`].
    pub cpus: u32,
    /// RAM: first address and length in bytes of each range, both multiples of the page size. Accesses between the
    /// ranges leave the guest as memory-mapped I/O.
    pub memory: Vec<(u64, u64)>,
}

/// A virtual machine of the host. Clones are the same one; it ends with the last.
#[derive(Clone)]
pub struct Partition(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) kvm: Kvm,
    pub(crate) vm: VmFd,
    pub(crate) cpus: u32,
    pub(crate) memory: GuestMemory,
    pub(crate) slots: Slots,
    pub(crate) lines: Lines,
    pub(crate) speaker: Mutex<Speaker>,
    pub(crate) clock: Mutex<GuestClock>,
    pub(crate) notes: Notes,
    /// There from the moment that the processors are made.
    pub(crate) ring: OnceLock<Ring>,
    power_on: ChipState,
}

impl Partition {
    /// Makes a partition on this host's KVM.
    ///
    /// # Errors
    /// [`PartitionError`]: there is no KVM, it may not be used, is taken, too old, or refuses.
    pub fn new(options: &PartitionOptions) -> Result<Partition, PartitionError> {
        Self::new_at(Path::new(KVM_DEVICE), options)
    }

    /// As [`Partition::new`], on the KVM device at `path`.
    ///
    /// # Errors
    /// As [`Partition::new`].
    pub fn new_at(path: &Path, options: &PartitionOptions) -> Result<Partition, PartitionError> {
        check(options)?;
        let kvm = open(path)?;
        let most = kvm.get_max_vcpus();
        if options.cpus as usize > most {
            return Err(PartitionError::Options(format!("this host's KVM has at most {most} processors in a machine")));
        }
        let memory = memory::guest_memory(&options.memory)?;
        let vm = create_vm(&kvm)?;
        let notes = Notes::default();
        for weaker in capability::weaker(&kvm) {
            notes.add(Note::Lacks { capability: weaker.name, meaning: weaker.meaning });
        }
        // Only needed, and on other processors only tolerated, where real mode is emulated by KVM on Intel.
        for (what, result) in [
            ("an identity map's address", vm.set_identity_map_address(IDENTITY_MAP)),
            ("a task state segment's address", vm.set_tss_address(TASK_STATE)),
        ] {
            if let Err(error) = result {
                notes.add(Note::Refused { what: format!("{what} ({error})") });
            }
        }
        vm.create_irq_chip().map_err(PartitionError::refused("interrupt chips"))?;
        vm.create_pit2(kvm_pit_config::default()).map_err(PartitionError::refused("a timer chip"))?;
        let lines = Lines::new(&vm)?;
        report_refused_msrs(&kvm, &vm, &notes);
        let slots = Slots::new(kvm.get_nr_memslots());
        slots.add_ram(&vm, &memory)?;
        let speaker = Speaker::new(vm.get_pit2().map_err(PartitionError::refused("the timer chip's state"))?);
        let power_on = ChipState::read(&vm, &speaker)?;
        let (speaker, clock) = (Mutex::new(speaker), Mutex::new(GuestClock::new()));
        let cpus = options.cpus;
        let ring = OnceLock::new();
        Ok(Partition(Arc::new(Inner { kvm, vm, cpus, memory, slots, lines, speaker, clock, notes, ring, power_on })))
    }

    /// How many processors it was made for.
    #[must_use]
    pub fn cpus(&self) -> u32 {
        self.0.cpus
    }

    /// The guest's RAM.
    #[must_use]
    pub fn memory(&self) -> &GuestMemory {
        &self.0.memory
    }

    /// The interrupt inputs of a PC. 0 to 15 are the ISA interrupts: input `n` drives input `n` of the 8259A pair and
    /// input `n` of the I/O APIC together, except that 0 (the timer's) drives the I/O APIC's input 2, as ACPI's
    /// interrupt source override tells the guest, and that 2 (the cascade) drives nothing. 16 to 23 are the I/O APIC's
    /// alone. An input has one driver: several devices share one through
    /// [`SharedInput`](machine::line::SharedInput).
    #[must_use]
    pub fn interrupt_lines(&self) -> Arc<dyn LineTarget> {
        Arc::new(LineSet::isa(self.clone()))
    }

    /// The inputs 0 to 15 of the 8259A pair alone, where a PCI interrupt router leads (its other end, the I/O APIC's
    /// inputs 16 to 23, is in [`Partition::interrupt_lines`]). An input here and the same ISA interrupt may be driven
    /// at the same time: the 8259A sees their OR.
    #[must_use]
    pub fn pic_lines(&self) -> Arc<dyn LineTarget> {
        Arc::new(LineSet::pic(self.clone()))
    }

    /// Where message-signalled interrupts go: the local APICs.
    #[must_use]
    pub fn msi(&self) -> Arc<dyn MsiTarget> {
        Arc::new(Msi::new(self.clone()))
    }

    /// Shows `memory` to the guest at `base`. The processors may be running.
    ///
    /// With `log_dirty` the pages that the guest writes are told by [`DeviceMemory::take_dirty`]; what was written
    /// before the mapping isn't, so that a new mapping is best taken as all dirty.
    ///
    /// # Errors
    /// [`MapError`]: nothing is mapped then.
    pub fn map(
        &self,
        base: u64,
        memory: &DeviceMemory,
        access: MapAccess,
        log_dirty: bool,
    ) -> Result<Mapping, MapError> {
        Mapping::new(self, base, memory, access, log_dirty)
    }

    /// Lets the guest's writes to `len` bytes of device memory at `base` gather in the kernel instead of stopping
    /// the processor each time. See [`Vcpus::drain_coalesced`](crate::vcpu::Vcpus::drain_coalesced) for when they
    /// arrive. Does nothing, slowly, where KVM has no such thing.
    ///
    /// # Errors
    /// [`MapError`]: the range can't be, or KVM refuses.
    pub fn coalesce(&self, base: u64, len: u64) -> Result<CoalescedRange, MapError> {
        CoalescedRange::new(self, base, len)
    }

    /// Channel 2 of the timer chip, whose output a PC's speaker hears and port 0x61 shows.
    ///
    /// # Errors
    /// KVM refuses to tell.
    pub fn pit_channel2(&self) -> Result<PitChannel, StateError> {
        self.0.speaker.lock().channel(&self.0.vm)
    }

    /// Sets channel 2's gate (bit 0 of port 0x61).
    ///
    /// # Errors
    /// KVM refuses to tell the channel's state.
    pub fn set_pit_channel2_gate(&self, gate: bool) -> Result<(), StateError> {
        self.0.speaker.lock().set_gate(&self.0.vm, gate)
    }

    /// What the host refused, and what the guest asked for in vain.
    #[must_use]
    pub fn notes(&self) -> Vec<Note> {
        self.0.notes.list()
    }

    /// The chips as they were when the partition was made.
    pub(crate) fn power_on_chips(&self) -> &ChipState {
        &self.0.power_on
    }
}

impl std::fmt::Debug for Partition {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Partition").field("cpus", &self.0.cpus).finish_non_exhaustive()
    }
}

fn check(options: &PartitionOptions) -> Result<(), PartitionError> {
    if !(1..=MAX_CPUS).contains(&options.cpus) {
        return Err(PartitionError::Options(format!("{} processors (1 to {MAX_CPUS} can be)", options.cpus)));
    }
    let reserved = RESERVED.0..RESERVED.0 + RESERVED.1;
    for &(base, len) in &options.memory {
        if base.checked_add(len).is_none_or(|end| base < reserved.end && end > reserved.start) {
            return Err(PartitionError::Options(format!("{len:#x} bytes of memory at {base:#x}")));
        }
    }
    Ok(())
}

/// Opens the KVM device and makes sure that it has all that a machine needs.
pub(crate) fn open(path: &Path) -> Result<Kvm, PartitionError> {
    let name = CString::new(path.as_os_str().as_bytes())
        .map_err(|_| PartitionError::Options("a path with a zero byte".into()))?;
    let kvm = Kvm::new_with_path(name).map_err(|error| open_error(error, path))?;
    match kvm.get_api_version() {
        KVM_INTERFACE => {}
        none if none < 0 => {
            return Err(PartitionError::Refused { what: "to tell its version", source: io::Error::last_os_error() });
        }
        version => return Err(PartitionError::TooOld { version }),
    }
    match capability::first_missing(&kvm) {
        Some(missing) => Err(PartitionError::Lacks { capability: missing.name }),
        None => Ok(kvm),
    }
}

fn open_error(error: kvm_ioctls::Error, path: &Path) -> PartitionError {
    match error.errno() {
        libc::ENOENT | libc::ENODEV | libc::ENXIO | libc::ENOTDIR => PartitionError::Missing { path: path.into() },
        libc::EACCES | libc::EPERM => PartitionError::NotAllowed { path: path.into() },
        libc::EBUSY => PartitionError::Busy,
        _ => PartitionError::Refused { what: "to be opened", source: error.into() },
    }
}

pub(crate) fn create_vm(kvm: &Kvm) -> Result<VmFd, PartitionError> {
    loop {
        match kvm.create_vm() {
            Ok(vm) => return Ok(vm),
            // A signal, for example a timer's, came while KVM was waiting.
            Err(error) if error.errno() == libc::EINTR => {}
            Err(error) if error.errno() == libc::EBUSY => return Err(PartitionError::Busy),
            Err(error) => return Err(PartitionError::Refused { what: "a virtual machine", source: error.into() }),
        }
    }
}

/// Has accesses to MSRs that KVM doesn't know, or doesn't take, told to us. The guest gets #GP all the same, as it
/// would from a processor (Linux and others probe for MSRs that way, and a made-up zero misleads them); the point
/// is that they are listed.
fn report_refused_msrs(kvm: &Kvm, vm: &VmFd, notes: &Notes) {
    if !kvm.check_extension(Cap::X86UserSpaceMsr) {
        return;
    }
    let mut request = kvm_enable_cap { cap: KVM_CAP_X86_USER_SPACE_MSR, ..Default::default() };
    request.args[0] = u64::from(KVM_MSR_EXIT_REASON_UNKNOWN | KVM_MSR_EXIT_REASON_INVAL);
    if let Err(error) = vm.enable_cap(&request) {
        notes.add(Note::Refused { what: format!("telling of unknown MSRs ({error})") });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(errno: i32) -> String {
        open_error(kvm_ioctls::Error::new(errno), Path::new("/dev/kvm")).to_string()
    }

    #[test]
    fn a_refused_device_says_what_to_do() {
        assert_eq!(
            message(libc::EACCES),
            "This account may not use /dev/kvm. Nothing was changed. Run `sudo usermod -aG kvm $USER` and log in again."
        );
        assert!(message(libc::ENOENT).starts_with("This host has no /dev/kvm:"));
        assert!(message(libc::EBUSY).contains("VirtualBox"));
        assert!(message(libc::EIO).contains("refuses to be opened"));
    }

    #[test]
    fn a_file_that_is_not_kvm_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let options = PartitionOptions { cpus: 1, memory: vec![(0, 0x1000)] };
        let refused = Partition::new_at(file.path(), &options);
        assert!(matches!(refused, Err(PartitionError::Refused { what: "to tell its version", .. })), "{refused:?}");
        let missing = Partition::new_at(&file.path().join("kvm"), &options);
        assert!(matches!(missing, Err(PartitionError::Missing { .. })), "{missing:?}");
    }

    #[test]
    fn impossible_options_are_refused() {
        for (cpus, memory) in [(0, (0, 0x1000)), (65, (0, 0x1000)), (1, (0xfeff_0000, 0x1_0000)), (1, (u64::MAX, 2))] {
            let options = PartitionOptions { cpus, memory: vec![memory] };
            assert!(matches!(Partition::new(&options), Err(PartitionError::Options(_))), "{options:?}");
        }
    }
}
