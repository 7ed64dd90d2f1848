//! State of the chips that KVM plays: the 8259A pair, the I/O APIC and the 8254 timer.

use kvm_bindings::{
    KVM_IRQCHIP_IOAPIC, KVM_IRQCHIP_PIC_MASTER, KVM_IRQCHIP_PIC_SLAVE, kvm_ioapic_state, kvm_irqchip, kvm_pic_state,
    kvm_pit_state2,
};
use kvm_ioctls::VmFd;
use machine::saved::{Bytes, RestoreError};

use crate::{
    abi,
    error::StateError,
    pit::{SavedGate, Speaker},
};

pub(crate) mod saved {
    //! The chips' saved form. Its structures are those of Linux's `kvm.h`, whose layout never changes.

    use machine::saved::Bytes;
    use serde::{Deserialize, Serialize};

    /// The interrupt chips, the timer chip and the paravirtual clock.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    pub(crate) struct Chips {
        /// `kvm_pic_state` of the two 8259A.
        pub(crate) pics: [Bytes; 2],
        /// `kvm_ioapic_state`.
        pub(crate) ioapic: Bytes,
        /// `kvm_pit_state2`.
        pub(crate) pit: Bytes,
        /// Channel 2's gate.
        pub(crate) gate: bool,
        /// Nanoseconds that channel 2 has counted since it was loaded.
        pub(crate) counted_nanos: u64,
        /// Channel 2's gate rose since it was loaded.
        pub(crate) triggered: bool,
        /// The paravirtual clock.
        pub(crate) clock_nanos: u64,
    }
}

const PICS: [u32; 2] = [KVM_IRQCHIP_PIC_MASTER, KVM_IRQCHIP_PIC_SLAVE];

/// The chips' state, in KVM's structures.
#[derive(Clone)]
pub(crate) struct ChipState {
    pub(crate) pics: [[u8; PIC_BYTES]; 2],
    pub(crate) ioapic: [u8; IOAPIC_BYTES],
    pub(crate) pit: kvm_pit_state2,
    pub(crate) gate: SavedGate,
}

const PIC_BYTES: usize = size_of::<kvm_pic_state>();
const IOAPIC_BYTES: usize = size_of::<kvm_ioapic_state>();

fn read_chip<const N: usize>(vm: &VmFd, chip_id: u32) -> Result<[u8; N], StateError> {
    let mut chip = kvm_irqchip { chip_id, ..Default::default() };
    vm.get_irqchip(&mut chip).map_err(StateError::refused("an interrupt chip's state"))?;
    // SAFETY: the union is 512 bytes, all of them initialised above, and bytes are valid whatever they are.
    #[allow(unsafe_code)]
    let bytes = unsafe { chip.chip.dummy };
    Ok(std::array::from_fn(|index| bytes[index] as u8))
}

fn write_chip(vm: &VmFd, chip_id: u32, bytes: &[u8]) -> Result<(), StateError> {
    let mut chip = kvm_irqchip { chip_id, ..Default::default() };
    let mut all = [0; 512];
    for (to, &from) in all.iter_mut().zip(bytes) {
        *to = from as libc::c_char;
    }
    chip.chip.dummy = all;
    vm.set_irqchip(&chip).map_err(StateError::refused("an interrupt chip's state"))
}

impl ChipState {
    /// Reads the chips.
    pub(crate) fn read(vm: &VmFd, speaker: &Speaker) -> Result<Self, StateError> {
        let (pit, gate) = speaker.save(vm)?;
        let pics = [read_chip(vm, PICS[0])?, read_chip(vm, PICS[1])?];
        Ok(ChipState { pics, ioapic: read_chip(vm, KVM_IRQCHIP_IOAPIC)?, pit, gate })
    }

    /// Sets the chips of a paused machine.
    pub(crate) fn write(&self, vm: &VmFd, speaker: &mut Speaker) -> Result<(), StateError> {
        for (id, pic) in PICS.into_iter().zip(&self.pics) {
            write_chip(vm, id, pic)?;
        }
        write_chip(vm, KVM_IRQCHIP_IOAPIC, &self.ioapic)?;
        speaker.restore(self.pit, self.gate);
        Ok(())
    }

    pub(crate) fn save(&self, clock_nanos: u64) -> saved::Chips {
        saved::Chips {
            pics: self.pics.map(|pic| Bytes(pic.to_vec())),
            ioapic: Bytes(self.ioapic.to_vec()),
            pit: Bytes(abi::bytes_of(&self.pit)),
            gate: self.gate.high,
            counted_nanos: self.gate.counted_nanos,
            triggered: self.gate.triggered,
            clock_nanos,
        }
    }

    /// Reads the saved form; every length is checked.
    pub(crate) fn of(saved: &saved::Chips, kind: &'static str) -> Result<Self, RestoreError> {
        let impossible = |what: &str| RestoreError::Impossible { kind, what: format!("the length of {what}") };
        let pic =
            |n: usize| <[u8; PIC_BYTES]>::try_from(saved.pics[n].0.as_slice()).map_err(|_| impossible("an 8259A"));
        Ok(ChipState {
            pics: [pic(0)?, pic(1)?],
            ioapic: saved.ioapic.0.as_slice().try_into().map_err(|_| impossible("the I/O APIC"))?,
            pit: abi::value_of(&saved.pit.0).ok_or_else(|| impossible("the timer chip"))?,
            gate: SavedGate { high: saved.gate, counted_nanos: saved.counted_nanos, triggered: saved.triggered },
        })
    }
}
