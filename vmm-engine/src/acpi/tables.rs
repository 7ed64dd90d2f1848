//! The block of tables: FACS, DSDT, FADT, MADT, MCFG, WAET, RSDT, XSDT, and the RSDP.

use acpi_tables::{
    Aml,
    facs::FACS,
    fadt::{FADTBuilder, Flags, PmProfile},
    gas::{AccessSize, AddressSpace, GAS},
    mcfg::MCFG,
    sdt::Sdt,
};

use super::{Config, PM, dsdt};
use crate::layout;

const OEM: [u8; 6] = *b"TANDEM";
const OEM_TABLE: [u8; 8] = *b"TANDEMPC";
const OEM_REVISION: u32 = 1;
/// Offset of the checksum in a table's header.
const HEADER_CHECKSUM: usize = 9;
const HEADER_LEN: usize = 36;

/// Offsets in the FADT (ACPI 6.4, table 5.9).
const FADT_FIRMWARE_CTRL: usize = 36;
const FADT_DSDT: usize = 40;
const FADT_X_DSDT: usize = 140;

/// Offsets in the RSDP (ACPI 6.4, table 5.3).
const RSDP_RSDT: usize = 16;
const RSDP_XSDT: usize = 24;
const RSDP_V1_LEN: usize = 20;
const RSDP_LEN: usize = 36;

/// A pointer inside the block or the root pointer: an offset in the block, to which the block's address is added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pointer {
    /// Where the pointer stands.
    pub at: usize,
    /// Its size in bytes, 4 or 8.
    pub size: u8,
}

/// A checksum over a range, which makes its bytes sum up to zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checksum {
    /// Start of the range.
    pub start: usize,
    /// Its length.
    pub len: usize,
    /// Where the checksum stands.
    pub at: usize,
}

/// All tables of a machine. Pointers hold offsets from the block's start, and checksums are zero, until the tables
/// are placed.
#[derive(Debug, Clone)]
pub struct Tables {
    /// The block.
    pub block: Vec<u8>,
    /// Pointers in the block, to the block.
    pub pointers: Vec<Pointer>,
    /// Checksums in the block, to be made after the pointers are set.
    pub checksums: Vec<Checksum>,
    /// The root system description pointer.
    pub rsdp: Vec<u8>,
    /// Pointers in the RSDP, to the block.
    pub rsdp_pointers: Vec<Pointer>,
    /// Checksums in the RSDP, in this order.
    pub rsdp_checksums: Vec<Checksum>,
}

impl Tables {
    /// Makes the tables.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let mut tables = Tables {
            block: Vec::new(),
            pointers: Vec::new(),
            checksums: Vec::new(),
            rsdp: rsdp(),
            rsdp_pointers: Vec::new(),
            rsdp_checksums: Vec::new(),
        };
        // The FACS has to be aligned to 64 bytes: it comes first. It has no checksum.
        let facs = tables.block.len();
        FACS::new().to_aml_bytes(&mut tables.block);
        let mut definition = sdt(*b"DSDT", 2);
        definition.append_slice(&dsdt::body(config));
        let dsdt = tables.append(definition.as_slice());
        let fadt = tables.append_fadt(facs, dsdt);
        let others = [madt(config), bytes_of(&mcfg()), waet().as_slice().to_vec()];
        let mut roots = vec![fadt];
        roots.extend(others.map(|table| tables.append(&table)));
        let rsdt = tables.append_root(*b"RSDT", 4, &roots);
        let xsdt = tables.append_root(*b"XSDT", 8, &roots);
        tables.rsdp[RSDP_RSDT..RSDP_RSDT + 4].copy_from_slice(&(rsdt as u32).to_le_bytes());
        tables.rsdp[RSDP_XSDT..RSDP_XSDT + 8].copy_from_slice(&(xsdt as u64).to_le_bytes());
        tables.rsdp_pointers = vec![Pointer { at: RSDP_RSDT, size: 4 }, Pointer { at: RSDP_XSDT, size: 8 }];
        tables.rsdp_checksums =
            vec![Checksum { start: 0, len: RSDP_V1_LEN, at: 8 }, Checksum { start: 0, len: RSDP_LEN, at: 32 }];
        tables
    }

    /// The block and the RSDP for a block that stands at `address` (a multiple of 64, below 4 GiB).
    #[must_use]
    pub fn placed_at(&self, address: u32) -> (Vec<u8>, Vec<u8>) {
        let (mut block, mut rsdp) = (self.block.clone(), self.rsdp.clone());
        for (bytes, pointers, checksums) in
            [(&mut block, &self.pointers, &self.checksums), (&mut rsdp, &self.rsdp_pointers, &self.rsdp_checksums)]
        {
            for pointer in pointers {
                let field = &mut bytes[pointer.at..pointer.at + usize::from(pointer.size)];
                let offset = machine::access::value_of(field);
                machine::access::fill(field, offset + u64::from(address));
            }
            for checksum in checksums {
                let range = &bytes[checksum.start..checksum.start + checksum.len];
                let sum = range.iter().fold(0_u8, |sum, &byte| sum.wrapping_add(byte));
                bytes[checksum.at] = bytes[checksum.at].wrapping_sub(sum);
            }
        }
        (block, rsdp)
    }

    /// Appends a table with the standard header, and gives its offset.
    fn append(&mut self, table: &[u8]) -> usize {
        self.block.resize(self.block.len().next_multiple_of(16), 0);
        let start = self.block.len();
        self.block.extend_from_slice(table);
        self.block[start + HEADER_CHECKSUM] = 0;
        self.checksums.push(Checksum { start, len: table.len(), at: start + HEADER_CHECKSUM });
        start
    }

    fn point(&mut self, at: usize, size: u8, to: usize) {
        machine::access::fill(&mut self.block[at..at + usize::from(size)], to as u64);
        self.pointers.push(Pointer { at, size });
    }

    fn append_fadt(&mut self, facs: usize, dsdt: usize) -> usize {
        let fadt = self.append(&bytes_of(&fadt()));
        self.point(fadt + FADT_FIRMWARE_CTRL, 4, facs);
        self.point(fadt + FADT_DSDT, 4, dsdt);
        self.point(fadt + FADT_X_DSDT, 8, dsdt);
        fadt
    }

    fn append_root(&mut self, signature: [u8; 4], size: u8, tables: &[usize]) -> usize {
        let mut root = sdt(signature, 1);
        root.append_slice(&vec![0; tables.len() * usize::from(size)]);
        let start = self.append(root.as_slice());
        for (index, &table) in tables.iter().enumerate() {
            self.point(start + HEADER_LEN + index * usize::from(size), size, table);
        }
        start
    }
}

fn sdt(signature: [u8; 4], revision: u8) -> Sdt {
    Sdt::new(signature, HEADER_LEN as u32, revision, OEM, OEM_TABLE, OEM_REVISION)
}

fn bytes_of(table: &dyn Aml) -> Vec<u8> {
    let mut bytes = Vec::new();
    table.to_aml_bytes(&mut bytes);
    bytes
}

fn rsdp() -> Vec<u8> {
    let mut rsdp = vec![0; RSDP_LEN];
    rsdp[..8].copy_from_slice(b"RSD PTR ");
    rsdp[9..15].copy_from_slice(&OEM);
    rsdp[15] = 2;
    rsdp[20..24].copy_from_slice(&(RSDP_LEN as u32).to_le_bytes());
    rsdp
}

/// A register block in ports: `width` bits at the ports from `port` on.
fn port_register(port: u16, width: u8, access: AccessSize) -> GAS {
    GAS::new(AddressSpace::SystemIo, width, 0, access, port.into())
}

fn fadt() -> acpi_tables::fadt::FADT {
    let mut fadt = FADTBuilder::new(OEM, OEM_TABLE, OEM_REVISION)
        .preferred_pm_profile(PmProfile::Desktop)
        .flag(Flags::Wbinvd)
        .flag(Flags::ProcC1)
        .flag(Flags::SlpButton)
        .flag(Flags::FixRtc)
        .flag(Flags::ResetRegSup)
        .gpe_info(u32::from(PM) + 0x20, 0, 16, 0, 0);
    fadt.sci_int = u16::from(layout::SCI_IRQ).into();
    fadt.pm1a_evt_blk = u32::from(PM).into();
    fadt.pm1_evt_len = 4;
    fadt.pm1a_cnt_blk = (u32::from(PM) + 4).into();
    fadt.pm1_cnt_len = 2;
    fadt.pm_tmr_blk = (u32::from(PM) + 8).into();
    fadt.pm_tmr_len = 4;
    // C2 and C3 are not offered: latencies beyond what the specification allows.
    fadt.p_lvl2_lat = 0xfff.into();
    fadt.p_lvl3_lat = 0xfff.into();
    fadt.century = 0x32;
    // Legacy devices, and an 8042.
    fadt.iapc_boot_arch = 0b11.into();
    fadt.reset_reg = port_register(0xcf9, 8, AccessSize::ByteAccess);
    fadt.reset_value = 0x0f;
    fadt.x_pm1a_evt_blk = port_register(PM, 32, AccessSize::WordAccess);
    fadt.x_pm1a_cnt_blk = port_register(PM + 4, 16, AccessSize::WordAccess);
    fadt.x_pm_tmr_blk = port_register(PM + 8, 32, AccessSize::DwordAccess);
    fadt.x_gpe0_blk = port_register(PM + 0x20, 128, AccessSize::ByteAccess);
    fadt.finalize()
}

/// The multiple APIC description table (ACPI 6.4, section 5.2.12).
fn madt(config: &Config) -> Vec<u8> {
    /// Trigger and polarity of an interrupt source override.
    const CONFORMS: u16 = 0;
    const LEVEL_ACTIVE_HIGH: u16 = 0xd;
    let mut table = sdt(*b"APIC", 3);
    table.append_slice(&layout::LOCAL_APIC.to_le_bytes());
    // There is an 8259 pair, too.
    table.append_slice(&1_u32.to_le_bytes());
    for cpu in 0..config.cpus as u8 {
        table.append_slice(&[0, 8, cpu, cpu, 1, 0, 0, 0]);
    }
    table.append_slice(&[1, 12, 0, 0]);
    table.append_slice(&layout::IO_APIC.to_le_bytes());
    table.append_slice(&0_u32.to_le_bytes());
    let mut source_override = |irq: u8, gsi: u32, flags: u16| {
        table.append_slice(&[2, 10, 0, irq]);
        table.append_slice(&gsi.to_le_bytes());
        table.append_slice(&flags.to_le_bytes());
    };
    source_override(0, 2, CONFORMS);
    source_override(layout::SCI_IRQ, layout::SCI_IRQ.into(), LEVEL_ACTIVE_HIGH);
    // LINT1 of every processor is the NMI.
    table.append_slice(&[4, 6, 0xff, 0, 0, 1]);
    table.as_slice().to_vec()
}

fn mcfg() -> MCFG {
    let mut mcfg = MCFG::new(OEM, OEM_TABLE, OEM_REVISION);
    mcfg.add_ecam(layout::ECAM, 0, 0, 0xff);
    mcfg
}

/// Windows ACPI emulated devices table: a read of the power management timer gives the true value at once.
fn waet() -> Sdt {
    let mut table = sdt(*b"WAET", 1);
    table.append_slice(&2_u32.to_le_bytes());
    table
}

#[cfg(test)]
mod tests {
    use machine::access::value_of;

    use super::*;

    fn tables() -> Tables {
        Tables::new(&Config { cpus: 4, serial_ports: vec![(0x3f8, 4), (0x2f8, 3)] })
    }

    fn sum(bytes: &[u8]) -> u8 {
        bytes.iter().fold(0, |sum: u8, &byte| sum.wrapping_add(byte))
    }

    /// The table at `address` of a block that stands at `base`.
    fn table(block: &[u8], base: u32, address: u64) -> &[u8] {
        let start = usize::try_from(address - u64::from(base)).unwrap();
        let len = value_of(&block[start + 4..start + 8]) as usize;
        &block[start..start + len]
    }

    #[test]
    fn every_table_is_reached_from_the_root_pointer_and_sums_to_zero() {
        let base = 0x7ff_0000;
        let (block, rsdp) = tables().placed_at(base);
        assert_eq!((sum(&rsdp[..RSDP_V1_LEN]), sum(&rsdp)), (0, 0));
        for (root, size) in [(value_of(&rsdp[16..20]), 4), (value_of(&rsdp[24..32]), 8)] {
            let root = table(&block, base, root);
            assert_eq!(sum(root), 0);
            let signatures: Vec<_> = root[HEADER_LEN..]
                .chunks(size)
                .map(|pointer| table(&block, base, value_of(pointer)))
                .inspect(|table| assert_eq!(sum(table), 0))
                .map(|table| String::from_utf8_lossy(&table[..4]).into_owned())
                .collect();
            assert_eq!(signatures, ["FACP", "APIC", "MCFG", "WAET"]);
            let fadt = table(&block, base, value_of(&root[HEADER_LEN..HEADER_LEN + size]));
            let dsdt = table(&block, base, value_of(&fadt[FADT_X_DSDT..FADT_X_DSDT + 8]));
            assert_eq!((&dsdt[..4], sum(dsdt)), (b"DSDT".as_slice(), 0));
            assert_eq!(value_of(&fadt[FADT_DSDT..FADT_DSDT + 4]), value_of(&fadt[FADT_X_DSDT..FADT_X_DSDT + 8]));
            let facs = table(&block, base, value_of(&fadt[FADT_FIRMWARE_CTRL..FADT_FIRMWARE_CTRL + 4]));
            assert_eq!(&facs[..4], b"FACS");
        }
    }

    #[test]
    fn each_processor_has_its_local_apic() {
        let madt = madt(&Config { cpus: 64, serial_ports: Vec::new() });
        let mut rest = &madt[44..];
        let mut ids = Vec::new();
        while let [kind, len, ..] = *rest {
            if kind == 0 {
                ids.push(rest[3]);
            }
            rest = &rest[usize::from(len)..];
        }
        assert_eq!(ids, (0..64).collect::<Vec<u8>>());
    }
}
