//! Discs: ISO 9660 and UDF images, looked at before they go into a drive.

use std::fs::File;

use super::{Format, ImageError, detect, duplicate};
use crate::media::{self, Iso};

/// Writers count up to 150 sectors of run-out that not every file has.
const RUN_OUT: u64 = 150 * media::SECTOR;

/// Checks that a file is a disc that a drive can hold, and whole.
///
/// # Errors
/// [`ImageError`]: it is empty, something else, or ends before its file system does.
pub fn check_disc(file: &File) -> Result<(), ImageError> {
    let host = duplicate(file)?;
    let name = host.name().to_owned();
    let what = match detect(file) {
        Ok(Format::Qcow2) => Some("a qcow2 disk image, not a disc"),
        Ok(Format::Raw) => None,
        // The advice there is about disks.
        Err(ImageError::WrongKind { what, .. }) => Some(what),
        Err(error) => return Err(error),
    };
    let other = |what| ImageError::NotDisc { name: name.clone(), what };
    if let Some(what) = what {
        return Err(other(what));
    }
    let Some(iso) = Iso::read(file).map_err(ImageError::io(&name))? else {
        // UDF alone says its size elsewhere.
        let has_udf = media::has_udf(file).map_err(ImageError::io(&name))?;
        let cut = host.len() < media::LEAST_ISO;
        return match (has_udf, cut) {
            (true, _) => Ok(()),
            (false, true) => Err(other("too short for a disc")),
            (false, false) => Err(other("not a disc: it has no ISO 9660 or UDF file system")),
        };
    };
    // Cut off within the descriptor itself, or not.
    let expected = iso.least_bytes();
    if host.len() < media::LEAST_ISO || host.len() + RUN_OUT < expected {
        return Err(ImageError::Truncated { name, len: host.len(), expected });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::{Seek, SeekFrom, Write};

    use super::*;
    use crate::media::SECTOR;

    /// The primary volume descriptor's place.
    const DESCRIPTOR: u64 = 16 * SECTOR;

    fn file(parts: &[(u64, &[u8])], len: u64) -> File {
        let mut file = tempfile::tempfile().unwrap();
        for (at, bytes) in parts {
            file.seek(SeekFrom::Start(*at)).unwrap();
            file.write_all(bytes).unwrap();
        }
        file.set_len(len).unwrap();
        file
    }

    fn iso(sectors: u32, len: u64) -> File {
        let size = sectors.to_le_bytes();
        let parts: [(u64, &[u8]); 3] =
            [(DESCRIPTOR, b"\x01CD001\x01"), (DESCRIPTOR + 80, &size), (DESCRIPTOR + 128, &[0, 8])];
        file(&parts, len)
    }

    #[test]
    fn a_whole_iso_is_taken_with_or_without_its_run_out() {
        check_disc(&iso(1000, 1000 * SECTOR)).unwrap();
        check_disc(&iso(1000, 850 * SECTOR)).unwrap();
        check_disc(&file(&[(DESCRIPTOR, b"\0BEA01"), (DESCRIPTOR + SECTOR, b"\0NSR02")], 1 << 20)).unwrap();
    }

    #[test]
    fn an_iso_that_was_cut_off_is_said_to_be() {
        let error = check_disc(&iso(1000, 700 * SECTOR)).unwrap_err();
        assert!(matches!(error, ImageError::Truncated { expected: 2_048_000, .. }), "{error}");
        assert!(check_disc(&iso(1000, DESCRIPTOR + 100)).is_err());
    }

    #[test]
    fn what_is_no_disc_is_refused() {
        for other in
            [file(&[], 0), file(&[], 1 << 20), file(&[(0, b"<!DOCTYPE html>")], 5000), file(&[(0, b"hello")], 5)]
        {
            assert!(check_disc(&other).is_err());
        }
        let short = check_disc(&file(&[(0, b"hello")], 700)).unwrap_err().to_string();
        let tiny = check_disc(&file(&[(0, b"hello")], 5)).unwrap_err().to_string();
        assert!(tiny.ends_with("is shorter than one sector. Choose an ISO file."), "{tiny}");
        assert!(short.ends_with("is too short for a disc. Choose an ISO file."), "{short}");
    }
}
