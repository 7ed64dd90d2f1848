//! QEMU's firmware configuration device (its documentation, "QEMU Firmware Configuration (fw_cfg) Device"):
//! firmware reads from it the memory map, ACPI tables, boot order and more, through a selector and a data port,
//! or by DMA.
//!
//! Left out: writing through the data port (a no-op in QEMU, too); the MMIO form of other architectures.

pub mod boot_order;
pub mod contents;
pub mod e820;
mod saved;
pub mod table_loader;
#[cfg(test)]
mod tests;

pub use contents::{Contents, ContentsError, key};
use hypervisor::memory::GuestMemory;
use machine::{
    access,
    component::Component,
    device::{Device, PortIo},
    rate::RateLimit,
    saved::{Bytes as SavedBytes, RestoreError, SaveError, SavedState, SavedUnit},
};
pub use table_loader::{TableLoader, TableLoaderError, Zone};
use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend};

/// The device's ports: region number, first port, length. The selector is at offset 0 (16 bits), the data at 1
/// (8 bits), the DMA address at 4 (upper half) and 8 (lower half, starts the transfer), both big-endian.
pub const PORTS: (u8, u16, u16) = (0, 0x510, 12);

const SELECTOR: u16 = 0;
const DATA: u16 = 1;
const DMA_HIGH: u16 = 4;
const DMA_LOW: u16 = 8;

/// What a read of the DMA address gives.
const DMA_SIGNATURE: &[u8; 8] = b"QEMU CFG";

const CONTROL_ERROR: u32 = 1 << 0;
const CONTROL_READ: u32 = 1 << 1;
const CONTROL_SKIP: u32 = 1 << 2;
const CONTROL_SELECT: u32 = 1 << 3;
const CONTROL_WRITE: u32 = 1 << 4;

/// The device.
pub struct FwCfg {
    memory: GuestMemory,
    contents: Contents,
    log: RateLimit,

    key: u16,
    /// Where the next byte is read; at most the item's length.
    offset: usize,
    dma_high: u32,
}

/// A transfer could not be done as asked.
struct TransferFailed;

impl FwCfg {
    /// A device that hands over `contents`, and transfers to and from `memory`.
    #[must_use]
    pub fn new(contents: Contents, memory: GuestMemory) -> Self {
        FwCfg { memory, contents, log: RateLimit::for_log(), key: key::SIGNATURE, offset: 0, dma_high: 0 }
    }

    /// The bytes of a file, as the guest left them.
    #[must_use]
    pub fn file(&self, name: &str) -> Option<&[u8]> {
        self.contents.file(name)
    }

    fn select(&mut self, selector: u16) {
        self.key = selector & key::MASK;
        self.offset = 0;
    }

    /// What is left of the selected item; nothing of one that doesn't exist.
    fn rest(&self) -> &[u8] {
        self.contents.items.get(&self.key).and_then(|item| item.bytes.get(self.offset..)).unwrap_or(&[])
    }

    /// The next byte; zero beyond the item's end.
    fn read_byte(&mut self) -> u8 {
        let byte = self.rest().first().copied();
        self.offset += usize::from(byte.is_some());
        byte.unwrap_or(0)
    }

    /// Does what the control structure at `address` asks for: control, length and address, big-endian.
    fn dma(&mut self, address: u64) {
        let address = GuestAddress(address);
        let mut request = [0; 16];
        if self.memory.read_slice(&mut request, address).is_err() {
            self.complain(address, "its control structure isn't in memory");
            return;
        }
        let request = u128::from_be_bytes(request);
        let (control, len, data) = ((request >> 96) as u32, (request >> 64) as u32, request as u64);
        if control & CONTROL_SELECT != 0 {
            self.select((control >> 16) as u16);
        }
        let done = match control {
            _ if control & CONTROL_READ != 0 => self.dma_read(GuestAddress(data), len as usize),
            _ if control & CONTROL_WRITE != 0 => self.dma_write(GuestAddress(data), len as usize),
            _ if control & CONTROL_SKIP != 0 => {
                self.offset += self.rest().len().min(len as usize);
                Ok(())
            }
            _ => Ok(()),
        };
        let result = if done.is_ok() { 0 } else { CONTROL_ERROR };
        if result != 0 {
            self.complain(address, "it reaches beyond memory, or writes what can't be written");
        }
        if self.memory.write_slice(&result.to_be_bytes(), address).is_err() {
            self.complain(address, "its result can't be written");
        }
    }

    fn dma_read(&mut self, to: GuestAddress, len: usize) -> Result<(), TransferFailed> {
        const ZEROES: [u8; 4096] = [0; 4096];
        if len == 0 {
            return Ok(());
        }
        if !self.memory.check_range(to, len) {
            return Err(TransferFailed);
        }
        let rest = self.rest();
        let known = rest.len().min(len);
        self.memory.write_slice(&rest[..known], to).map_err(|_| TransferFailed)?;
        self.offset += known;
        let mut written = known;
        while written < len {
            let zeroes = &ZEROES[..ZEROES.len().min(len - written)];
            let to = to.0.checked_add(written as u64).ok_or(TransferFailed)?;
            self.memory.write_slice(zeroes, GuestAddress(to)).map_err(|_| TransferFailed)?;
            written += zeroes.len();
        }
        Ok(())
    }

    fn dma_write(&mut self, from: GuestAddress, len: usize) -> Result<(), TransferFailed> {
        let item = self.contents.items.get_mut(&self.key).filter(|item| item.initial.is_some());
        let end = self.offset.checked_add(len).ok_or(TransferFailed)?;
        let target = item.and_then(|item| item.bytes.get_mut(self.offset..end)).ok_or(TransferFailed)?;
        if len > 0 && !self.memory.check_range(from, len) {
            return Err(TransferFailed);
        }
        self.memory.read_slice(target, from).map_err(|_| TransferFailed)?;
        self.offset = end;
        Ok(())
    }

    fn complain(&mut self, address: GuestAddress, reason: &str) {
        if let Some(held_back) = self.log.pass() {
            tracing::debug!(address = address.0, held_back, "firmware configuration transfer refused: {reason}");
        }
    }
}

impl PortIo for FwCfg {
    fn port_read(&mut self, _region: u8, offset: u16, data: &mut [u8]) {
        access::read_bytewise(offset, data, |port| match port {
            DATA => self.read_byte(),
            DMA_HIGH..12 => DMA_SIGNATURE[usize::from(port - DMA_HIGH)],
            _ => 0xff,
        });
    }

    fn port_write(&mut self, _region: u8, offset: u16, data: &[u8]) {
        let value = access::value_of(data);
        match (offset, data.len()) {
            // The data port is the selector's upper half: an access of more than a byte is to the selector.
            (SELECTOR, 2 | 4) => self.select(value as u16),
            (DMA_HIGH, 4) => self.dma_high = (value as u32).swap_bytes(),
            (DMA_LOW, 4) => {
                let high = std::mem::take(&mut self.dma_high);
                self.dma(u64::from(high) << 32 | u64::from((value as u32).swap_bytes()));
            }
            _ => {}
        }
    }
}

impl Component for FwCfg {
    fn name(&self) -> &str {
        "fw-cfg"
    }

    fn start(&mut self) {}

    fn stop(&mut self) {}

    fn reset(&mut self) {
        self.select(key::SIGNATURE);
        self.dma_high = 0;
        for item in self.contents.items.values_mut() {
            if let Some(initial) = &item.initial {
                item.bytes.clone_from(initial);
            }
        }
    }

    fn save(&mut self) -> Result<SavedUnit, SaveError> {
        let writable = self.contents.items.iter().filter(|(_, item)| item.initial.is_some());
        SavedUnit::of(&saved::FwCfg {
            key: self.key,
            offset: self.offset as u32,
            dma_high: self.dma_high,
            writable: writable
                .map(|(&key, item)| saved::Writable { key, bytes: SavedBytes(item.bytes.clone()) })
                .collect(),
        })
    }

    fn restore(&mut self, unit: &SavedUnit) -> Result<(), RestoreError> {
        let state: saved::FwCfg = unit.open()?;
        let impossible =
            |what: &str| RestoreError::Impossible { kind: <saved::FwCfg as SavedState>::KIND, what: what.to_owned() };
        let ours = self.contents.items.iter().filter(|(_, item)| item.initial.is_some());
        let ours: Vec<_> = ours.map(|(&key, item)| (key, item.bytes.len())).collect();
        let theirs: Vec<_> = state.writable.iter().map(|item| (item.key, item.bytes.0.len())).collect();
        if ours != theirs {
            return Err(impossible("other writable items than this machine's"));
        }
        if state.key & key::MASK != state.key {
            return Err(impossible("a selector of an item that can't be"));
        }
        let len = self.contents.items.get(&state.key).map_or(0, |item| item.bytes.len());
        self.key = state.key;
        // What can only be read may have got shorter with a newer program.
        self.offset = (state.offset as usize).min(len);
        self.dma_high = state.dma_high;
        for item in state.writable {
            if let Some(ours) = self.contents.items.get_mut(&item.key) {
                ours.bytes = item.bytes.0;
            }
        }
        Ok(())
    }
}

impl Device for FwCfg {
    fn port_io(&mut self) -> Option<&mut dyn PortIo> {
        Some(self)
    }
}
