//! The clock's counters as numbers, and their register forms (BCD or binary, 12 or 24 hours).

/// A day, in seconds.
const DAY: i64 = 86_400;

/// A point of time as the counters hold it. When it comes from a guest, each field may be anything a byte can
/// hold; the sum then runs over, as a date computed from "32 January" would.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Civil {
    pub(super) year: i64,
    /// 1 to 12.
    pub(super) month: i64,
    /// 1 to 31.
    pub(super) day: i64,
    /// 0 to 23.
    pub(super) hour: i64,
    pub(super) minute: i64,
    pub(super) second: i64,
}

impl Civil {
    /// The point of time `seconds` after the Unix epoch, in the proleptic Gregorian calendar.
    pub(super) fn from_seconds(seconds: i64) -> Self {
        let (days, rest) = (seconds.div_euclid(DAY), seconds.rem_euclid(DAY));
        // Years that begin in March, counted in eras of 400 years: leap days come last in each.
        let day = days + 719_468;
        let (era, of_era) = (day.div_euclid(146_097), day.rem_euclid(146_097));
        let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
        Civil {
            year: year_of_era + era * 400 + i64::from(month <= 2),
            month,
            day: day_of_year - (153 * shifted_month + 2) / 5 + 1,
            hour: rest / 3600,
            minute: rest / 60 % 60,
            second: rest % 60,
        }
    }

    /// Seconds since the Unix epoch.
    pub(super) fn to_seconds(self) -> i64 {
        let months = self.month - 1;
        let (year, month) = (self.year + months.div_euclid(12), months.rem_euclid(12) + 1);
        let year = year - i64::from(month <= 2);
        let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
        let shifted_month = if month > 2 { month - 3 } else { month + 9 };
        let day_of_year = (153 * shifted_month + 2) / 5 + self.day - 1;
        let of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        let days = era * 146_097 + of_era - 719_468;
        days * DAY + self.hour * 3600 + self.minute * 60 + self.second
    }
}

/// The weekday of a point of time, 0 (Sunday) to 6.
pub(super) fn weekday(seconds: i64) -> i64 {
    (seconds.div_euclid(DAY) + 4).rem_euclid(7)
}

/// How the counters are written in the registers (bits DM and 24/12 of register B).
#[derive(Debug, Clone, Copy)]
pub(super) struct Form {
    pub(super) binary: bool,
    pub(super) hours_24: bool,
}

const PM: u8 = 0x80;

impl Form {
    /// A number from 0 to 99.
    pub(super) fn encode(self, value: i64) -> u8 {
        let value = value.rem_euclid(100) as u8;
        if self.binary { value } else { value / 10 * 16 + value % 10 }
    }

    /// The number that a register holds. What is no BCD digit counts as its value all the same.
    pub(super) fn decode(self, raw: u8) -> i64 {
        if self.binary { raw.into() } else { i64::from(raw >> 4) * 10 + i64::from(raw & 15) }
    }

    /// An hour from 0 to 23.
    pub(super) fn encode_hour(self, hour: i64) -> u8 {
        if self.hours_24 {
            return self.encode(hour);
        }
        let half = if hour >= 12 { PM } else { 0 };
        self.encode((hour + 11) % 12 + 1) | half
    }

    /// The hour that a register holds.
    pub(super) fn decode_hour(self, raw: u8) -> i64 {
        if self.hours_24 {
            return self.decode(raw);
        }
        self.decode(raw & !PM) % 12 + if raw & PM != 0 { 12 } else { 0 }
    }
}

/// The time of day at which the alarm goes off; `None` is "don't care".
#[derive(Debug, Clone, Copy)]
pub(super) struct Alarm {
    pub(super) hour: Option<i64>,
    pub(super) minute: Option<i64>,
    pub(super) second: Option<i64>,
}

impl Alarm {
    /// The first time after `after` that matches; `None` when a field can never match.
    pub(super) fn next(self, after: i64) -> Option<i64> {
        let beyond = |field: Option<i64>, end: i64| field.is_some_and(|field| field >= end);
        if beyond(self.hour, 24) || beyond(self.minute, 60) || beyond(self.second, 60) {
            return None;
        }
        let first = after + 1;
        let fits = |field: Option<i64>, value: i64| field.is_none_or(|field| field == value);
        let today = first - first.rem_euclid(DAY);
        let mut hours = (0..48).map(|hour| (today + hour * 3600, hour % 24));
        hours.find_map(|(hour_start, hour)| {
            if !fits(self.hour, hour) || hour_start + 3600 <= first {
                return None;
            }
            let mut minutes = (0..60).map(|minute| (hour_start + minute * 60, minute));
            minutes.find_map(|(minute_start, minute)| {
                if !fits(self.minute, minute) || minute_start + 60 <= first {
                    return None;
                }
                let mut seconds = (0..60).map(|second| (minute_start + second, second));
                seconds.find(|&(time, second)| fits(self.second, second) && time >= first).map(|(time, _)| time)
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::{OffsetDateTime, UtcDateTime};

    use super::*;

    proptest! {
        #[test]
        fn dates_agree_with_the_time_crate(seconds in -30_000_000_000_i64..200_000_000_000) {
            let ours = Civil::from_seconds(seconds);
            let theirs = OffsetDateTime::from_unix_timestamp(seconds).unwrap();
            prop_assert_eq!(
                (ours.year, ours.month, ours.day, ours.hour, ours.minute, ours.second),
                (
                    i64::from(theirs.year()), i64::from(u8::from(theirs.month())), theirs.day().into(),
                    theirs.hour().into(), theirs.minute().into(), theirs.second().into(),
                )
            );
            prop_assert_eq!(weekday(seconds), i64::from(theirs.weekday().number_days_from_sunday()));
            prop_assert_eq!(ours.to_seconds(), seconds);
        }

        #[test]
        fn hours_survive_each_form(hour in 0..24_i64, binary: bool, hours_24: bool) {
            let form = Form { binary, hours_24 };
            prop_assert_eq!(form.decode_hour(form.encode_hour(hour)), hour);
        }

        #[test]
        fn the_next_alarm_is_the_first_match(
            after in 0..300_000_i64,
            hour in proptest::option::of(0..24_i64),
            minute in proptest::option::of(0..60_i64),
            second in proptest::option::of(0..60_i64),
        ) {
            let found = Alarm { hour, minute, second }.next(after);
            let searched = (after + 1..after + 2 * DAY).find(|&time| {
                let at = UtcDateTime::from_unix_timestamp(time).unwrap();
                hour.is_none_or(|hour| hour == i64::from(at.hour()))
                    && minute.is_none_or(|minute| minute == i64::from(at.minute()))
                    && second.is_none_or(|second| second == i64::from(at.second()))
            });
            prop_assert_eq!(found, searched);
        }
    }

    #[test]
    fn twelve_hour_form_has_no_zero() {
        let form = Form { binary: false, hours_24: false };
        assert_eq!([0, 1, 12, 13, 23].map(|hour| form.encode_hour(hour)), [0x12, 0x01, 0x92, 0x81, 0x91]);
    }

    #[test]
    fn an_impossible_alarm_never_comes() {
        let alarm = Alarm { hour: Some(25), minute: None, second: None };
        assert_eq!(alarm.next(1000), None);
    }
}
