//! Days, as the database writes them.

use std::{fmt, str::FromStr};

/// A day of the Gregorian calendar. They sort as they follow each other. The default is before all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Date {
    year: u16,
    month: u8,
    day: u8,
}

/// A text is no day.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a day such as 2026-11-22")]
pub struct DateError(String);

impl Date {
    /// The year.
    #[must_use]
    pub const fn year(self) -> u16 {
        self.year
    }
}

impl FromStr for Date {
    type Err = DateError;

    fn from_str(text: &str) -> Result<Self, DateError> {
        let error = || DateError(text.chars().take(40).collect());
        let field = |range, least, most| {
            let field: &str = text.get(range)?;
            let number = field.bytes().all(|byte| byte.is_ascii_digit()).then(|| field.parse::<u16>().ok())??;
            (least..=most).contains(&number).then_some(number)
        };
        let fields = || {
            let separated = text.len() == 10 && text.get(4..5)? == "-" && text.get(7..8)? == "-";
            let (year, month, day) = (field(0..4, 0, 9999)?, field(5..7, 1, 12)?, field(8..10, 1, 31)?);
            separated.then_some(Date { year, month: month as u8, day: day as u8 })
        };
        fields().ok_or_else(error)
    }
}

impl fmt::Display for Date {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&format!("{:04}-{:02}-{:02}", self.year, self.month, self.day))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_read_written_and_compared() {
        let day: Date = "2021-08-14".parse().unwrap();
        assert_eq!((day.year(), day.to_string().as_str()), (2021, "2021-08-14"));
        assert!(day > "2021-08-13".parse().unwrap() && day < "2021-10-01".parse().unwrap() && day > Date::default());
    }

    #[test]
    fn what_is_no_day_is_refused() {
        for text in
            ["", "2021", "2021-13-01", "2021-00-01", "2021-01-32", "2021/01/01", "2021-1-1", "٢٠٢١-01", "+021-01-01"]
        {
            assert!(text.parse::<Date>().is_err(), "{text}");
        }
    }
}
