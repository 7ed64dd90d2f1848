//! The saved form of controller, keyboard and mouse.

use std::collections::BTreeMap;

use machine::{
    keys::Key,
    saved::{Bytes, SavedState},
};
use serde::{Deserialize, Serialize};

use super::{
    Source,
    mouse::{Kind, Report},
    scancodes::{KeyType, ScanSet},
};

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct I8042 {
    /// 32 bytes, the first of which is the command byte.
    pub(super) ram: Bytes,
    pub(super) data: u8,
    /// Where the byte in the output buffer came from, while it is full.
    pub(super) full: Option<Source>,
    pub(super) pending: Option<(u8, Source)>,
    pub(super) expecting: Option<u8>,
    pub(super) last_was_command: bool,
    pub(super) output_port: u8,
    pub(super) port_92: u8,
    pub(super) release_seen: bool,
    pub(super) keyboard: Keyboard,
    pub(super) mouse: Mouse,
}

impl SavedState for I8042 {
    const KIND: &'static str = "i8042";
    const VERSION: u32 = 1;
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Keyboard {
    pub(super) scanning: bool,
    pub(super) set: ScanSet,
    pub(super) leds: u8,
    pub(super) typematic: u8,
    pub(super) key_types: BTreeMap<u8, KeyType>,
    pub(super) expecting: Option<u8>,
    pub(super) replies: Bytes,
    pub(super) buffer: Bytes,
    pub(super) last_sent: u8,
    pub(super) down: Vec<Key>,
    pub(super) sys_rq: bool,
    pub(super) owed_releases: Vec<Key>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Mouse {
    pub(super) kind: Kind,
    pub(super) enabled: bool,
    pub(super) remote: bool,
    pub(super) wrap: bool,
    pub(super) double_scaling: bool,
    pub(super) resolution: u8,
    pub(super) rate: u8,
    pub(super) rates: [u8; 3],
    pub(super) expecting: Option<u8>,
    pub(super) error: bool,
    pub(super) replies: Bytes,
    pub(super) packet: Bytes,
    pub(super) reports: Vec<Report>,
    pub(super) buttons: u8,
    pub(super) last_sent: u8,
}
