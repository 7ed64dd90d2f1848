//! The saved form of the clock.

use machine::saved::{Bytes, SavedState};
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rtc {
    /// Index registers of the two banks.
    pub(super) index: u8,
    pub(super) extended_index: u8,
    /// 256 bytes; those of the counters count only while the clock stands still.
    pub(super) cmos: Bytes,
    /// Register C without IRQF.
    pub(super) flags: u8,
    /// The clock's time minus UTC, in whole seconds and nanoseconds (below a second).
    pub(super) offset_seconds: i64,
    pub(super) offset_nanos: u32,
    /// The weekday counter minus the date's weekday, 0 to 6.
    pub(super) weekday_shift: u8,
    /// Where the divider chain stands within its second, in nanoseconds.
    pub(super) divider_nanos: u32,
    /// The last second (since the Unix epoch) whose update has been seen.
    pub(super) seen_second: i64,
}

impl SavedState for Rtc {
    const KIND: &'static str = "rtc";
    const VERSION: u32 = 1;
}
