//! The saved form of the firmware configuration device. What can only be read is configuration and not saved.

use machine::saved::{Bytes, SavedState};
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FwCfg {
    pub(super) key: u16,
    pub(super) offset: u32,
    /// The upper half of the DMA address, while the lower hasn't been written.
    pub(super) dma_high: u32,
    pub(super) writable: Vec<Writable>,
}

/// A writable item.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Writable {
    pub(super) key: u16,
    pub(super) bytes: Bytes,
}

impl SavedState for FwCfg {
    const KIND: &'static str = "fw-cfg";
    const VERSION: u32 = 1;
}
