//! Sizes of memory and disks, as a person writes them: `2G`, `1.5 GiB`, `512M`, `1048576`.
//!
//! K, M, G and T are powers of 1024, with or without `iB`. `KB`, `MB`, `GB` and `TB` are refused: they mean 1000
//! to some and 1024 to others.

use std::{fmt, str::FromStr};

use serde::{Serialize, Serializer};

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Size(u64);

/// Units from large to small, with their number of bytes as a power of two.
const UNITS: [(&str, u32); 4] = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];

impl Size {
    /// `bytes` bytes.
    #[must_use]
    pub const fn bytes(bytes: u64) -> Self {
        Size(bytes)
    }

    /// `kib` × 1024 bytes. Saturates, as its larger brothers do.
    #[must_use]
    pub const fn kib(kib: u64) -> Self {
        Size(kib.saturating_mul(1 << 10))
    }

    /// `mib` × 1024² bytes.
    #[must_use]
    pub const fn mib(mib: u64) -> Self {
        Size(mib.saturating_mul(1 << 20))
    }

    /// `gib` × 1024³ bytes.
    #[must_use]
    pub const fn gib(gib: u64) -> Self {
        Size(gib.saturating_mul(1 << 30))
    }

    /// `tib` × 1024⁴ bytes.
    #[must_use]
    pub const fn tib(tib: u64) -> Self {
        Size(tib.saturating_mul(1 << 40))
    }

    /// The number of bytes.
    #[must_use]
    pub const fn as_bytes(self) -> u64 {
        self.0
    }

    /// Whether this is a whole number of `unit`s (which is not zero).
    #[must_use]
    pub const fn is_multiple_of(self, unit: Size) -> bool {
        self.0.is_multiple_of(unit.0)
    }
}

/// Exact, in the largest unit that needs no fraction: `2 GiB`, `1536 MiB`, `513 bytes`.
impl fmt::Display for Size {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = UNITS.iter().find(|(_, shift)| self.0 != 0 && self.0.trailing_zeros() >= *shift).map_or_else(
            || format!("{} {}", self.0, if self.0 == 1 { "byte" } else { "bytes" }),
            |(unit, shift)| format!("{} {unit}", self.0 >> shift),
        );
        formatter.pad(&text)
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A text is no size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SizeError {
    /// It isn't a number with a unit.
    #[error("'{0}' is not a size. Write a number and a unit, for example 512M, 2G or 1.5 GiB")]
    Syntax(String),
    /// A unit that is 1000 to some and 1024 to others.
    #[error("'{text}' can be read in two ways. Write {letter} or {letter}iB for powers of 1024")]
    Ambiguous {
        /// What was written.
        text: String,
        /// The unit's first letter.
        letter: char,
    },
    /// It isn't a whole number of bytes.
    #[error("'{0}' is not a whole number of bytes")]
    Fraction(String),
    /// More than 64 bits.
    #[error("'{0}' is too large: sizes end below 16777216 TiB")]
    TooLarge(String),
}

impl FromStr for Size {
    type Err = SizeError;

    fn from_str(text: &str) -> Result<Self, SizeError> {
        let syntax = || SizeError::Syntax(text.to_owned());
        let trimmed = text.trim();
        let end = trimmed.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(trimmed.len());
        let (number, unit) = (&trimmed[..end], trimmed[end..].trim_start());
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() || fraction.contains('.') || number.ends_with('.') {
            return Err(syntax());
        }
        let shift = match unit.to_ascii_lowercase().as_str() {
            "" | "b" | "byte" | "bytes" => 0,
            "k" | "kib" => 10,
            "m" | "mib" => 20,
            "g" | "gib" => 30,
            "t" | "tib" => 40,
            decimal @ ("kb" | "mb" | "gb" | "tb") => {
                let letter = decimal.chars().next().unwrap_or('G').to_ascii_uppercase();
                return Err(SizeError::Ambiguous { text: text.to_owned(), letter });
            }
            _ => return Err(syntax()),
        };
        // As a fraction of integers, so that nothing is rounded.
        let fraction = fraction.trim_end_matches('0');
        let whole = whole.trim_start_matches('0');
        if whole.len() > 20 {
            return Err(SizeError::TooLarge(text.to_owned()));
        }
        // 1/1024⁴ has 40 decimals: with more than 12 kept apart from their unit nobody writes a size.
        if fraction.len() > 12 {
            return Err(SizeError::Fraction(text.to_owned()));
        }
        let digits = format!("{whole}{fraction}");
        let scaled: u128 = if digits.is_empty() { 0 } else { digits.parse().map_err(|_| syntax())? };
        let divisor = 10_u128.pow(fraction.len() as u32);
        // At most 32 digits: below 2¹⁰⁷, so the shift could overflow.
        let bytes = scaled.checked_mul(1 << shift).ok_or_else(|| SizeError::TooLarge(text.to_owned()))?;
        if bytes % divisor != 0 {
            return Err(SizeError::Fraction(text.to_owned()));
        }
        u64::try_from(bytes / divisor).map(Size).map_err(|_| SizeError::TooLarge(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        for (text, bytes) in [
            ("0", 0),
            ("4096", 4096),
            ("512 bytes", 512),
            ("2G", 2 << 30),
            ("2g", 2 << 30),
            (" 2 GiB ", 2 << 30),
            ("1.5 GiB", 3 << 29),
            ("1.50G", 3 << 29),
            ("64M", 64 << 20),
            ("64MiB", 64 << 20),
            ("8k", 8 << 10),
            ("1T", 1 << 40),
            ("007K", 7 << 10),
            ("0.5K", 512),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(text.parse::<Size>().map(Size::as_bytes), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in ["", " ", "G", "2X", "-1", "+1", "1..5G", ".5G", "1.G", "2 G B", "0x10", "1e3", "٣G", "2G2", "1,5G"]
        {
            assert_eq!(text.parse::<Size>(), Err(SizeError::Syntax(text.into())), "{text}");
        }
        assert_eq!("2gb".parse::<Size>(), Err(SizeError::Ambiguous { text: "2gb".into(), letter: 'G' }));
        for text in ["1.5", "0.3K", "1.0000000000001T"] {
            assert_eq!(text.parse::<Size>(), Err(SizeError::Fraction(text.into())), "{text}");
        }
        for text in ["18446744073709551616", "16777216T", "99999999999999999999T", "999999999999999999999"] {
            assert_eq!(text.parse::<Size>(), Err(SizeError::TooLarge(text.into())), "{text}");
        }
    }

    #[test]
    fn sizes_are_written_in_the_largest_exact_unit() {
        for (size, text) in [
            (Size::gib(2), "2 GiB"),
            (Size::mib(1536), "1536 MiB"),
            (Size::kib(1), "1 KiB"),
            (Size::tib(1), "1 TiB"),
            (Size::bytes(513), "513 bytes"),
            (Size::bytes(0), "0 bytes"),
        ] {
            assert_eq!(size.to_string(), text);
        }
    }

    proptest! {
        #[test]
        fn every_size_is_read_back_exactly(bytes: u64, shift in 0_u32..64) {
            let size = Size::bytes(bytes << shift);
            prop_assert_eq!(size.to_string().parse(), Ok(size));
        }

        #[test]
        fn no_text_makes_it_panic(text in "[0-9]{0,40}\\.?[0-9]{0,40} ?[kmgtKMGT]?i?[bB]?|.*") {
            let _ = text.parse::<Size>();
        }
    }
}
