//! What goes to the terminal.

use std::{
    fmt::Display,
    io::{self, Write},
};

use anyhow::Result;
use serde::Serialize;
use unicode_width::UnicodeWidthStr;

/// Writes a line to standard output. A reader that has gone away (`tandem list | head -1`) is no error.
///
/// # Errors
/// Standard output's.
pub(crate) fn line(text: impl Display) -> Result<()> {
    match writeln!(io::stdout(), "{text}") {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}

/// Writes a value as JSON.
///
/// # Errors
/// Standard output's.
pub(crate) fn json(value: &impl Serialize) -> Result<()> {
    line(serde_json::to_string_pretty(value)?)
}

/// Writes an error to standard error, in one line.
pub(crate) fn error(error: &anyhow::Error) {
    let _ = writeln!(io::stderr(), "tandem: {}", sentence(error));
}

/// An error with its causes in one line. What comes after a whole sentence of advice is put in brackets.
pub(crate) fn sentence(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1) {
        if is_said(&text, cause) {
            continue;
        }
        let cause = cause.to_string();
        text = if text.contains(". ") { format!("{text} ({cause})") } else { format!("{text}: {cause}") };
    }
    text.replace('\n', "; ")
}

/// Whether `text` says already what `cause` does: in the same words, or in ours instead of the host's.
fn is_said(text: &str, cause: &(dyn std::error::Error + 'static)) -> bool {
    let words = match cause.downcast_ref::<io::Error>().map(io::Error::kind) {
        Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => "disk is full",
        Some(io::ErrorKind::ReadOnlyFilesystem) => "read-only",
        Some(io::ErrorKind::PermissionDenied) => "account may not",
        Some(io::ErrorKind::NotFound) => "there is no",
        Some(io::ErrorKind::IsADirectory) => "is a folder",
        _ => return text.contains(&cause.to_string()),
    };
    text.contains(words) || text.contains(&cause.to_string())
}

/// The widest that a column gets, in cells of a terminal: one long name must not push all others out of sight.
const WIDEST: usize = 40;

/// Rows as columns of equal width, with two spaces between. What is wider than [`WIDEST`] stands out of its column.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns)
        .map(|column| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.width()).max().unwrap_or(0))
        .map(|width| width.min(WIDEST))
        .collect();
    let lines = rows.iter().map(|row| {
        let cells = row
            .iter()
            .zip(&widths)
            .map(|(cell, &width)| format!("{cell}{}", " ".repeat(width.saturating_sub(cell.width()))));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn an_error_is_one_line_with_its_causes_and_nothing_twice() {
        let error = anyhow!("no such file").context("can't open a.iso: no such file").context("the disc can't be used");
        assert_eq!(sentence(&error), "the disc can't be used: can't open a.iso: no such file");
        let advice = anyhow!("os error 28").context("the disk is full. Free some space");
        assert_eq!(sentence(&advice), "the disk is full. Free some space (os error 28)");
        let host = anyhow::Error::new(io::Error::from(io::ErrorKind::NotFound));
        assert_eq!(sentence(&host.context("there is no file a.iso")), "there is no file a.iso");
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [vec!["NAME".into(), "STATE".into()], vec!["Müller".into(), "off".into()]];
        assert_eq!(table(&rows), "NAME    STATE\nMüller  off");
        // What is written in two cells, and what in none.
        let rows = [vec!["日本".into(), "off".into()], vec!["u\u{308}".into(), "off".into()]];
        assert_eq!(table(&rows), "日本  off\nu\u{308}     off");
        let long = "x".repeat(WIDEST + 10);
        let rows = [vec![long.clone(), "off".into()], vec!["a".into(), "off".into()]];
        assert_eq!(table(&rows), format!("{long}  off\na{}  off", " ".repeat(WIDEST - 1)));
    }
}
