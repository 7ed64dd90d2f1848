//! The register map, as data (AHCI 1.3.1, chapter 3): what each register holds after a reset and what a write does
//! to each of its bits. What a write *causes* stands in `hba` and `port`.
//!
//! Not offered, and so read-only zero: enclosure management, command completion coalescing, port multipliers (with
//! FIS-based switching), BIOS hand-off, device sleep, NVMHCI, vendor registers.

/// Ports of the controller (ICH9: six).
pub(super) const PORTS: usize = 6;
/// Command slots of each port.
pub(super) const SLOTS: u32 = 32;
/// Where the first port's registers begin, and how many bytes each port has.
pub(super) const PORTS_OFFSET: u64 = 0x100;
pub(super) const PORT_LEN: u64 = 0x80;
/// The register space (ABAR), in bytes.
pub(super) const ABAR_LEN: u32 = 0x1000;

/// What a write does to a register's bits. Bits in none of the masks are read-only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Access {
    /// The register exists.
    is_mapped: bool,
    /// Value after power-on and HBA reset.
    pub(super) reset: u32,
    /// RW: take the written value.
    pub(super) write: u32,
    /// RWC: a one clears.
    pub(super) clear: u32,
    /// RW1: a one sets.
    pub(super) set: u32,
}

const RESERVED: Access = Access { is_mapped: false, reset: 0, write: 0, clear: 0, set: 0 };
/// A register whose bits are all read-only zeroes.
const MAPPED: Access = Access { is_mapped: true, ..RESERVED };

const fn read_only(reset: u32) -> Access {
    Access { reset, ..MAPPED }
}
const fn read_write(write: u32) -> Access {
    Access { write, ..MAPPED }
}
const fn write_one_to_clear(clear: u32) -> Access {
    Access { clear, ..MAPPED }
}
const fn write_one_to_set(set: u32) -> Access {
    Access { set, ..MAPPED }
}

/// Generic host control (section 3.1): offsets.
pub(super) mod host {
    pub(in crate::ahci) const CAP: u8 = 0x00;
    pub(in crate::ahci) const GHC: u8 = 0x04;
    pub(in crate::ahci) const IS: u8 = 0x08;
    pub(in crate::ahci) const PI: u8 = 0x0c;
    pub(in crate::ahci) const VS: u8 = 0x10;
    pub(in crate::ahci) const CAP2: u8 = 0x24;
    pub(in crate::ahci) const BOHC: u8 = 0x28;
}

/// CAP, HBA capabilities.
pub(super) mod cap {
    /// 64-bit addresses.
    pub(in crate::ahci) const S64A: u32 = 1 << 31;
    /// Native command queuing.
    pub(in crate::ahci) const SNCQ: u32 = 1 << 30;
    /// Command list override (PxCMD.CLO).
    pub(in crate::ahci) const SCLO: u32 = 1 << 24;
    /// Interface speed: generation 3, 6 Gbit/s.
    pub(in crate::ahci) const ISS_GEN3: u32 = 3 << 20;
    /// AHCI only: no legacy IDE registers.
    pub(in crate::ahci) const SAM: u32 = 1 << 18;
    /// PIO commands with several sectors a DRQ block.
    pub(in crate::ahci) const PMD: u32 = 1 << 15;
}

/// GHC, global HBA control.
pub(super) mod ghc {
    /// AHCI enable; always one, for CAP.SAM is.
    pub(in crate::ahci) const AE: u32 = 1 << 31;
    /// Interrupt enable.
    pub(in crate::ahci) const IE: u32 = 1 << 1;
    /// HBA reset.
    pub(in crate::ahci) const HR: u32 = 1 << 0;
}

/// A port's registers (section 3.3): offsets.
pub(super) mod px {
    pub(in crate::ahci) const CLB: u8 = 0x00;
    pub(in crate::ahci) const CLBU: u8 = 0x04;
    pub(in crate::ahci) const FB: u8 = 0x08;
    pub(in crate::ahci) const FBU: u8 = 0x0c;
    pub(in crate::ahci) const IS: u8 = 0x10;
    pub(in crate::ahci) const IE: u8 = 0x14;
    pub(in crate::ahci) const CMD: u8 = 0x18;
    pub(in crate::ahci) const TFD: u8 = 0x20;
    pub(in crate::ahci) const SIG: u8 = 0x24;
    pub(in crate::ahci) const SSTS: u8 = 0x28;
    pub(in crate::ahci) const SCTL: u8 = 0x2c;
    pub(in crate::ahci) const SERR: u8 = 0x30;
    pub(in crate::ahci) const SACT: u8 = 0x34;
    pub(in crate::ahci) const CI: u8 = 0x38;
}

/// PxIS and PxIE, interrupt status and enable.
pub(super) mod is {
    /// Device-to-host register FIS.
    pub(in crate::ahci) const DHRS: u32 = 1 << 0;
    /// PIO setup FIS.
    pub(in crate::ahci) const PSS: u32 = 1 << 1;
    /// Set device bits FIS.
    pub(in crate::ahci) const SDBS: u32 = 1 << 3;
    /// Descriptor processed.
    pub(in crate::ahci) const DPS: u32 = 1 << 5;
    /// Port connect change: PxSERR.DIAG.X.
    pub(in crate::ahci) const PCS: u32 = 1 << 6;
    /// PhyRdy change: PxSERR.DIAG.N.
    pub(in crate::ahci) const PRCS: u32 = 1 << 22;
    /// Overflow.
    pub(in crate::ahci) const OFS: u32 = 1 << 24;
    /// Interface fatal error.
    pub(in crate::ahci) const IFS: u32 = 1 << 27;
    /// Host bus fatal error.
    pub(in crate::ahci) const HBFS: u32 = 1 << 29;
    /// Task file error.
    pub(in crate::ahci) const TFES: u32 = 1 << 30;
    /// Every cause that can be enabled here (no cold presence, mechanical switch or port multiplier).
    pub(in crate::ahci) const ENABLES: u32 = 0x7d40_007f;
    /// What a one clears; PCS, UFS and PRCS follow PxSERR.
    pub(in crate::ahci) const CLEARS: u32 = 0x7d00_002f;
}

/// PxCMD, command and status.
pub(super) mod cmd {
    /// Start.
    pub(in crate::ahci) const ST: u32 = 1 << 0;
    /// Spin-up device; always one without staggered spin-up.
    pub(in crate::ahci) const SUD: u32 = 1 << 1;
    /// Power on device; always one without cold presence detection.
    pub(in crate::ahci) const POD: u32 = 1 << 2;
    /// Command list override.
    pub(in crate::ahci) const CLO: u32 = 1 << 3;
    /// FIS receive enable.
    pub(in crate::ahci) const FRE: u32 = 1 << 4;
    /// Current command slot.
    pub(in crate::ahci) const CCS: u32 = 0x1f << CCS_SHIFT;
    pub(in crate::ahci) const CCS_SHIFT: u32 = 8;
    /// FIS receive running.
    pub(in crate::ahci) const FR: u32 = 1 << 14;
    /// Command list running.
    pub(in crate::ahci) const CR: u32 = 1 << 15;
    /// Device is ATAPI; drive LED on ATAPI.
    pub(in crate::ahci) const ATAPI: u32 = 1 << 24;
    pub(in crate::ahci) const DLAE: u32 = 1 << 25;
}

/// PxSSTS, SATA status: IPM 1 (active), SPD, DET.
pub(super) mod ssts {
    pub(in crate::ahci) const IPM_ACTIVE: u32 = 1 << 8;
    pub(in crate::ahci) const SPD_SHIFT: u32 = 4;
    /// Device present, Phy communication established.
    pub(in crate::ahci) const DET_ESTABLISHED: u32 = 3;
    /// Phy off line.
    pub(in crate::ahci) const DET_OFFLINE: u32 = 4;
    pub(in crate::ahci) const DET: u32 = 0xf;
}

/// PxSCTL, SATA control.
pub(super) mod sctl {
    pub(in crate::ahci) const DET: u32 = 0xf;
    /// Interface reset: COMRESET for as long as it stands.
    pub(in crate::ahci) const DET_RESET: u32 = 1;
    /// Phy off line.
    pub(in crate::ahci) const DET_DISABLE: u32 = 4;
    pub(in crate::ahci) const SPD_SHIFT: u32 = 4;
    pub(in crate::ahci) const SPD: u32 = 0xf << SPD_SHIFT;
}

/// PxSERR, SATA error.
pub(super) mod serr {
    /// Handshake error.
    pub(in crate::ahci) const DIAG_H: u32 = 1 << 22;
    /// PhyRdy change.
    pub(in crate::ahci) const DIAG_N: u32 = 1 << 16;
    /// Exchanged: COMINIT received.
    pub(in crate::ahci) const DIAG_X: u32 = 1 << 26;
    /// Protocol error.
    pub(in crate::ahci) const ERR_P: u32 = 1 << 10;
}

/// PxTFD without a device (section 3.3.8), and a drive that hasn't sent its signature yet.
pub(super) const TFD_NO_DEVICE: u32 = 0x7f;
pub(super) const TFD_BUSY: u32 = 0x80;
/// PxSIG before the first device-to-host FIS.
pub(super) const SIG_NONE: u32 = 0xffff_ffff;

const HOST_MAP: [(u8, Access); 7] = [
    (
        host::CAP,
        read_only(
            cap::S64A
                | cap::SNCQ
                | cap::SCLO
                | cap::ISS_GEN3
                | cap::SAM
                | cap::PMD
                | (SLOTS - 1) << 8
                | (PORTS as u32 - 1),
        ),
    ),
    (host::GHC, Access { reset: ghc::AE, write: ghc::IE, set: ghc::HR, ..MAPPED }),
    (host::IS, write_one_to_clear((1 << PORTS) - 1)),
    (host::PI, read_only((1 << PORTS) - 1)),
    (host::VS, read_only(0x0001_0301)),
    (host::CAP2, read_only(0)),
    (host::BOHC, read_only(0)),
];

const PORT_MAP: [(u8, Access); 14] = [
    (px::CLB, read_write(0xffff_fc00)),
    (px::CLBU, read_write(0xffff_ffff)),
    (px::FB, read_write(0xffff_ff00)),
    (px::FBU, read_write(0xffff_ffff)),
    (px::IS, write_one_to_clear(is::CLEARS)),
    (px::IE, read_write(is::ENABLES)),
    (
        px::CMD,
        Access {
            reset: cmd::SUD | cmd::POD,
            write: cmd::ST | cmd::FRE | cmd::ATAPI | cmd::DLAE,
            set: cmd::CLO,
            ..MAPPED
        },
    ),
    (px::TFD, read_only(TFD_NO_DEVICE)),
    (px::SIG, read_only(SIG_NONE)),
    (px::SSTS, read_only(0)),
    (px::SCTL, read_write(0xfff)),
    (px::SERR, write_one_to_clear(0x07ff_0f03)),
    (px::SACT, write_one_to_set(0xffff_ffff)),
    (px::CI, write_one_to_set(0xffff_ffff)),
];

const fn map<const ROWS: usize, const WORDS: usize>(rows: &[(u8, Access); ROWS]) -> [Access; WORDS] {
    let mut words = [RESERVED; WORDS];
    let mut row = 0;
    while row < ROWS {
        words[rows[row].0 as usize / 4] = rows[row].1;
        row += 1;
    }
    words
}

/// Dwords of the generic host control registers that are mapped, and of a port.
pub(super) const HOST_WORDS: usize = 0x2c / 4;
pub(super) const PORT_WORDS: usize = PORT_LEN as usize / 4;

pub(super) static HOST: [Access; HOST_WORDS] = map(&HOST_MAP);
pub(super) static PORT: [Access; PORT_WORDS] = map(&PORT_MAP);

/// A file of registers with the map that says what writes do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RegisterFile<const WORDS: usize> {
    values: [u32; WORDS],
    map: &'static [Access; WORDS],
}

impl<const WORDS: usize> RegisterFile<WORDS> {
    pub(super) fn new(map: &'static [Access; WORDS]) -> Self {
        RegisterFile { values: map.each_ref().map(|access| access.reset), map }
    }

    /// The register at `offset`, one of the constants above.
    pub(super) fn get(&self, offset: u8) -> u32 {
        self.values[usize::from(offset) / 4]
    }

    pub(super) fn put(&mut self, offset: u8, value: u32) {
        self.values[usize::from(offset) / 4] = value;
    }

    pub(super) fn insert(&mut self, offset: u8, bits: u32) {
        self.put(offset, self.get(offset) | bits);
    }

    pub(super) fn remove(&mut self, offset: u8, bits: u32) {
        self.put(offset, self.get(offset) & !bits);
    }

    /// Applies a write of `value` in the bytes that `enabled` covers, and gives the bits that were set by a one
    /// (they are not stored: what they start is the caller's business).
    pub(super) fn write(&mut self, offset: u8, value: u32, enabled: u32) -> u32 {
        let access = self.map[usize::from(offset) / 4];
        let (written, ones) = (access.write & enabled, value & enabled);
        let old = self.get(offset);
        self.put(offset, old & !written & !(ones & access.clear) | ones & written);
        ones & access.set
    }

    pub(super) fn words(&self) -> &[u32] {
        &self.values
    }

    /// Takes over saved words. `None` when there are more or fewer, or a reserved register isn't zero.
    pub(super) fn from_words(map: &'static [Access; WORDS], words: &[u32]) -> Option<Self> {
        let values: [u32; WORDS] = words.try_into().ok()?;
        let clean = map.iter().zip(&values).all(|(access, &value)| access.is_mapped || value == 0);
        clean.then_some(RegisterFile { values, map })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_capabilities_are_those_of_six_ports_with_queues_of_32() {
        let host = RegisterFile::new(&HOST);
        assert_eq!(host.get(host::CAP), 0xc134_9f05);
        assert_eq!(host.get(host::GHC), 0x8000_0000);
        assert_eq!(host.get(host::PI), 0x3f);
    }

    #[test]
    fn bits_are_written_set_and_cleared_as_the_map_says() {
        let mut port = RegisterFile::new(&PORT);
        assert_eq!(port.write(px::CLB, 0xffff_ffff, !0), 0);
        assert_eq!(port.get(px::CLB), 0xffff_fc00);
        port.put(px::SERR, serr::DIAG_X | serr::ERR_P);
        port.write(px::SERR, !0, 0xff00_0000);
        assert_eq!(port.get(px::SERR), serr::ERR_P);
        assert_eq!(port.write(px::CI, 0x8001, 0xff), 1);
        assert_eq!(port.get(px::CI), 0);
        port.write(px::TFD, !0, !0);
        assert_eq!(port.get(px::TFD), TFD_NO_DEVICE);
    }

    #[test]
    fn saved_words_must_fit_the_map() {
        let port = RegisterFile::new(&PORT);
        assert_eq!(RegisterFile::from_words(&PORT, port.words()), Some(port.clone()));
        assert_eq!(RegisterFile::from_words(&PORT, &port.words()[1..]), None);
        let mut words = port.words().to_vec();
        words[0x1c / 4] = 1;
        assert_eq!(RegisterFile::from_words(&PORT, &words), None);
    }
}
