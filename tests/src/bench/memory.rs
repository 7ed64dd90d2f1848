//! What a machine's process costs besides its guest's memory: the private dirty pages of all mappings but those that
//! hold the guest's memory (`/proc/PID/smaps`, proc(5)).

use std::fs;

use anyhow::{Context, Result, ensure};

/// The figure of a process in KiB. Mappings that together have the guest's size are the guest's: the largest ones.
///
/// # Errors
/// The process is gone, or it has no mappings of that size.
pub(super) fn private_dirty_kib(process: u32, guest_mib: u32) -> Result<u64> {
    let smaps = fs::read_to_string(format!("/proc/{process}/smaps")).context("the machine's process is gone")?;
    besides_guest(&smaps, u64::from(guest_mib) * 1024)
}

fn besides_guest(smaps: &str, guest_kib: u64) -> Result<u64> {
    let mut mappings: Vec<(u64, u64)> = Vec::new();
    for line in smaps.lines() {
        let mut words = line.split_whitespace();
        let (Some(field), Some(value)) = (words.next(), words.next()) else { continue };
        let value = || value.parse::<u64>().context("smaps holds a size that is no number");
        match field {
            "Size:" => mappings.push((value()?, 0)),
            "Private_Dirty:" => mappings.last_mut().context("smaps begins with a size")?.1 = value()?,
            _ => {}
        }
    }
    // Guest memory may lie in several mappings (around the hole below 4 GiB, around the video card's): at most a few.
    mappings.sort_unstable_by_key(|(size, _)| std::cmp::Reverse(*size));
    let mut left = guest_kib;
    let mut besides = 0;
    for (size, dirty) in mappings {
        if size <= left && left > guest_kib / 16 {
            left -= size;
        } else {
            besides += dirty;
        }
    }
    ensure!(left <= guest_kib / 16, "the process has no mapping of the guest's memory, {guest_kib} KiB");
    Ok(besides)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(size: u64, dirty: u64) -> String {
        format!(
            "7f00-7f10 rw-p 00000000 00:01 2 /memfd:x\nSize:  {size} kB\nPrivate_Dirty:  {dirty} kB\nVmFlags: rd wr\n"
        )
    }

    #[test]
    fn the_guests_memory_does_not_count() {
        let smaps = [mapping(100, 40), mapping(65_536, 65_536), mapping(16_384, 1000), mapping(8192, 8)].concat();
        assert_eq!(besides_guest(&smaps, 65_536).unwrap(), 1048);
    }

    #[test]
    fn a_large_stack_is_not_taken_for_the_guest() {
        let smaps = [mapping(1_000_000, 7), mapping(65_536, 65_536)].concat();
        assert_eq!(besides_guest(&smaps, 65_536).unwrap(), 7);
    }

    #[test]
    fn a_process_without_the_guests_memory_is_an_error() {
        assert!(besides_guest(&mapping(100, 40), 65_536).is_err());
    }
}
