//! Telling what a file is.

use anyhow::Result;

use super::absolute;
use crate::{
    arguments::Given,
    detect::{Advised, Detected, Detector, DiskImage, Iso, KernelFile, Kind, Severity},
    output,
};

/// Says what a file is, and what a machine for it should have.
pub(super) fn identify(given: &Given<'_>) -> Result<()> {
    let path = absolute(given.required("file")?)?;
    let detected = Detector::of_this_computer().detect(&path)?;
    if given.json() {
        return output::json(&detected);
    }
    output::line(output::table(&rows(&detected)))
}

fn rows(detected: &Detected) -> Vec<Vec<String>> {
    let mut rows = vec![row("File", kind(&detected.kind))];
    if let Some(os) = &detected.os {
        let arch = os.arch.as_deref().map(|arch| format!(", for {arch}")).unwrap_or_default();
        let live = if os.live { ", starts without installation" } else { "" };
        rows.push(row("System", format!("{}{arch}{live}", os.name)));
    }
    let advice = &detected.advice;
    rows.push(advised("Name", &advice.name));
    rows.push(advised("Memory", &advice.memory));
    rows.push(advised("Processors", &advice.cpus));
    rows.extend(advice.disk.as_ref().map(|disk| advised("Disk", disk)));
    rows.extend(detected.notes.iter().map(|note| {
        let word = match note.severity {
            Severity::Problem => "Problem",
            Severity::Warning => "Warning",
            Severity::Hint => "Hint",
        };
        row(word, note.text.clone())
    }));
    rows
}

fn row(what: &str, value: impl Into<String>) -> Vec<String> {
    vec![what.to_owned(), value.into()]
}

fn advised<T: std::fmt::Display>(what: &str, advised: &Advised<T>) -> Vec<String> {
    row(what, format!("{} ({})", advised.value, advised.why))
}

fn kind(kind: &Kind) -> String {
    let by = |bios: bool, uefi: bool| match (bios, uefi) {
        (true, true) => ", starts with BIOS and UEFI",
        (true, false) => ", starts with BIOS",
        (false, true) => ", starts with UEFI",
        (false, false) => "",
    };
    match kind {
        Kind::Iso(Iso { volume, boots_with_bios, boots_with_uefi, .. }) => {
            let name = if volume.is_empty() { String::new() } else { format!(" '{volume}'") };
            format!("a disc{name}{}", by(*boots_with_bios, *boots_with_uefi))
        }
        Kind::DiskImage(DiskImage { format, bytes, boots_with_bios, boots_with_uefi, .. }) => format!(
            "a disk image ({format}) of {}{}",
            machine::size::Size::bytes(*bytes),
            by(boots_with_bios.unwrap_or(false), boots_with_uefi.unwrap_or(false))
        ),
        Kind::Kernel(kernel @ KernelFile { pvh, linux64, .. }) => {
            let name = kernel.release().unwrap_or_else(|| "a kernel".to_owned());
            let entries: Vec<&str> = [(*linux64, "64-bit"), (*pvh, "PVH")]
                .into_iter()
                .filter_map(|(there, entry)| there.then_some(entry))
                .collect();
            format!("{name}, entries: {}", if entries.is_empty() { "none".into() } else { entries.join(", ") })
        }
        Kind::Unknown { bytes } => format!("unknown, of {}", machine::size::Size::bytes(*bytes)),
    }
}
