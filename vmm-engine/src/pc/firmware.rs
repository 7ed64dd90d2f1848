//! What the firmware is told through its configuration device.

use uuid::Uuid;

use crate::{
    acpi,
    fw_cfg::{
        Contents, ContentsError, boot_order, e820, key,
        table_loader::{self, TableLoader, TableLoaderError, Zone},
    },
    layout,
};

use super::memory;

/// The firmware's configuration can't be put together.
#[derive(Debug, thiserror::Error)]
pub enum ConfigurationError {
    /// An item can't be.
    #[error("the firmware's configuration can't be made")]
    Contents(#[from] ContentsError),
    /// The script that places the ACPI tables can't be.
    #[error("the ACPI tables' script can't be made")]
    Tables(#[from] TableLoaderError),
}

/// What differs between machines.
pub(super) struct Settings<'a> {
    pub(super) cpus: u32,
    pub(super) memory_bytes: u64,
    pub(super) uuid: Uuid,
    /// AHCI ports to boot from, first choice first.
    pub(super) boot_ports: &'a [u8],
    pub(super) tables: &'a acpi::Tables,
}

/// The contents of the configuration device.
pub(super) fn contents(settings: &Settings<'_>) -> Result<Contents, ConfigurationError> {
    let mut contents = Contents::new();
    contents.set(key::UUID, settings.uuid.as_bytes().to_vec())?;
    contents.set(key::RAM_SIZE, memory::below_4g(settings.memory_bytes).to_le_bytes().to_vec())?;
    contents.set(key::CPUS, (settings.cpus as u16).to_le_bytes().to_vec())?;
    contents.set(key::MAX_CPUS, (settings.cpus as u16).to_le_bytes().to_vec())?;
    // The timer's interrupt arrives at the I/O APIC's input 2, as the tables say.
    contents.set(key::IRQ0_OVERRIDE, vec![1])?;
    let low = (0, memory::below_4g(settings.memory_bytes), e820::Kind::Ram);
    let high = (layout::HIGH_MEMORY, memory::above_4g(settings.memory_bytes), e820::Kind::Ram);
    let ranges: Vec<_> = [low, high].into_iter().filter(|(_, len, _)| *len > 0).collect();
    contents.add_file(e820::NAME, e820::file(&ranges))?;
    let slot = (super::AHCI_SLOT.device, super::AHCI_SLOT.function);
    let paths: Vec<_> = settings.boot_ports.iter().map(|&port| boot_order::ahci_path(slot, port)).collect();
    contents.add_file(boot_order::NAME, boot_order::file(&paths))?;
    // Neither suspend to RAM nor to disk is offered.
    contents.add_file("etc/system-states", vec![128, 0, 0, 129, 128, 128])?;
    contents.add_file(table_loader::NAME, script(settings.tables)?)?;
    contents.add_file(table_loader::ACPI_TABLES, settings.tables.block.clone())?;
    contents.add_file(table_loader::ACPI_RSDP, settings.tables.rsdp.clone())?;
    Ok(contents)
}

/// The script by which the firmware places the ACPI tables.
fn script(tables: &acpi::Tables) -> Result<Vec<u8>, TableLoaderError> {
    use table_loader::{ACPI_RSDP, ACPI_TABLES};
    let mut script = TableLoader::new();
    script.allocate(ACPI_RSDP, tables.rsdp.len() as u32, 16, Zone::FSegment)?;
    script.allocate(ACPI_TABLES, tables.block.len() as u32, 64, Zone::High)?;
    for (file, pointers, checksums) in
        [(ACPI_TABLES, &tables.pointers, &tables.checksums), (ACPI_RSDP, &tables.rsdp_pointers, &tables.rsdp_checksums)]
    {
        for pointer in pointers {
            script.add_pointer(file, pointer.at as u32, pointer.size, ACPI_TABLES)?;
        }
        for checksum in checksums {
            script.add_checksum(file, checksum.at as u32, checksum.start as u32, checksum.len as u32)?;
        }
    }
    Ok(script.build())
}
