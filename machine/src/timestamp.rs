//! A moment in files and file names: whole seconds of UTC, in the form of RFC 3339 (`2026-11-22T16:55:44Z`) or, where
//! colons are unwelcome, in the basic form of ISO 8601 (`20261122T165544Z`).

use std::{
    fmt,
    str::FromStr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::{Serialize, Serializer};

/// Seconds since 1970-01-01T00:00:00Z, without leap seconds; until the end of the year 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp(u64);

const DAY: u64 = 86_400;
/// 9999-12-31T23:59:59Z, the last that has four digits of year.
const LAST: u64 = 253_402_300_799;

impl Timestamp {
    /// The moment `seconds` after the start of 1970, or the last one there is.
    #[must_use]
    pub const fn from_unix(seconds: u64) -> Self {
        Timestamp(if seconds > LAST { LAST } else { seconds })
    }

    /// Seconds since the start of 1970.
    #[must_use]
    pub const fn unix(self) -> u64 {
        self.0
    }

    /// How long `earlier` is past; zero when it lies in the future.
    #[must_use]
    pub const fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_secs(self.0.saturating_sub(earlier.0))
    }

    /// For a file name: `20261122T165544Z`. Sorts as the moments do.
    #[must_use]
    pub fn compact(self) -> String {
        let (year, month, day, hour, minute, second) = self.civil();
        format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
    }

    /// Reads what [`Timestamp::compact`] writes.
    #[must_use]
    pub fn from_compact(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        if bytes.len() != 16 || bytes[8] != b'T' || bytes[15] != b'Z' {
            return None;
        }
        Self::from_fields([
            text.get(..4)?,
            text.get(4..6)?,
            text.get(6..8)?,
            text.get(9..11)?,
            text.get(11..13)?,
            text.get(13..15)?,
        ])
    }

    fn from_fields(fields: [&str; 6]) -> Option<Self> {
        let mut numbers = [0_u64; 6];
        for (number, field) in numbers.iter_mut().zip(fields) {
            if !field.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            *number = field.parse().ok()?;
        }
        let [year, month, day, hour, minute, second] = numbers;
        if year < 1970 || hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        let moment = Timestamp(days_from_civil(year, month, day)? * DAY + hour * 3600 + minute * 60 + second);
        Some(moment)
    }

    /// Year, month, day, hour, minute, second.
    fn civil(self) -> (u64, u64, u64, u64, u64, u64) {
        let (mut days, second) = (self.0 / DAY, self.0 % DAY);
        let mut year = 1970;
        while days >= days_of_year(year) {
            days -= days_of_year(year);
            year += 1;
        }
        let mut month = 1;
        while days >= days_of_month(year, month) {
            days -= days_of_month(year, month);
            month += 1;
        }
        (year, month, days + 1, second / 3600, second / 60 % 60, second % 60)
    }
}

const fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

const fn days_of_year(year: u64) -> u64 {
    if is_leap(year) { 366 } else { 365 }
}

const fn days_of_month(year: u64, month: u64) -> u64 {
    match month {
        2 => 28 + is_leap(year) as u64,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from the start of 1970 to a date; `None` if the calendar has no such date.
fn days_from_civil(year: u64, month: u64, day: u64) -> Option<u64> {
    if !(1..=12).contains(&month) || day == 0 || day > days_of_month(year, month) {
        return None;
    }
    let years: u64 = (1970..year).map(days_of_year).sum();
    let months: u64 = (1..month).map(|month| days_of_month(year, month)).sum();
    Some(years + months + day - 1)
}

impl From<SystemTime> for Timestamp {
    /// A clock before 1970 counts as 1970.
    fn from(time: SystemTime) -> Self {
        Timestamp::from_unix(time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs())
    }
}

/// RFC 3339.
impl fmt::Display for Timestamp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day, hour, minute, second) = self.civil();
        formatter.pad(&format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A text is no moment in UTC.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a date and time in UTC. Write it as 2026-11-22T16:55:44Z")]
pub struct TimestampError(pub String);

impl FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Self, TimestampError> {
        let error = || TimestampError(text.to_owned());
        let bytes = text.as_bytes();
        let form = bytes.len() == 20
            && [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':'), (19, b'Z')]
                .iter()
                .all(|&(at, expected)| bytes[at].to_ascii_uppercase() == expected);
        if !form {
            return Err(error());
        }
        let field = |start: usize, end: usize| text.get(start..end).unwrap_or("?");
        Timestamp::from_fields([field(0, 4), field(5, 7), field(8, 10), field(11, 13), field(14, 16), field(17, 19)])
            .ok_or_else(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_moments_are_written_as_the_calendar_says() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_735_689_599, "2024-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (LAST, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(Timestamp::from_unix(seconds).to_string(), text);
        }
        assert_eq!(Timestamp::from_unix(u64::MAX), Timestamp::from_unix(LAST));
    }

    #[test]
    fn what_is_no_date_is_refused() {
        for text in [
            "",
            "yesterday",
            "2025-02-29T00:00:00Z",
            "2025-13-01T00:00:00Z",
            "2025-01-01T24:00:00Z",
            "1969-01-01T00:00:00Z",
            "2025-01-01T00:00:00+01:00",
            "2025-01-01 00:00:00Z",
            "2025-01-01T00:00:0éZ",
        ] {
            assert_eq!(text.parse::<Timestamp>(), Err(TimestampError(text.into())));
        }
        for text in ["", "20250229T000000Z", "2025010éT00000Z", "20250101 000000Z"] {
            assert_eq!(Timestamp::from_compact(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_moment_is_read_back_in_both_forms(seconds in 0..=LAST) {
            let moment = Timestamp::from_unix(seconds);
            prop_assert_eq!(moment.to_string().parse(), Ok(moment));
            prop_assert_eq!(Timestamp::from_compact(&moment.compact()), Some(moment));
        }

        #[test]
        fn no_text_makes_it_panic(text: String) {
            let _ = text.parse::<Timestamp>();
            let _ = Timestamp::from_compact(&text);
        }
    }
}
