//! What a file is, by its content; names and endings say nothing.
//!
//! A raw image has no mark of its own, so it is what is left when the file is nothing else that we know. A guest
//! writes what it likes into a raw image, a qcow2 header as well: the library remembers each image's format and asks
//! only once.

use std::{fs::File, io, os::unix::fs::FileExt};

use super::host_file::HostFile;
use super::{Format, ImageError};

/// How much of a file's beginning is looked at.
const HEAD: usize = 4096;
/// A VHD or VDI footer, or the signature of a VHD of fixed size, stands in the last sector.
const TAIL: usize = 512;

const CONVERT: &str = "Convert it: `qemu-img convert -O qcow2 FILE NEW.qcow2`.";
const UNPACK: &str = "Unpack it first.";
const ANOTHER: &str = "Choose another file.";
const DOWNLOAD: &str = "The download went wrong; its link leads to a page and not to the image.";

/// Which marks, at which place, mean what; and what to do about it.
const FOREIGN: &[(usize, &[u8], &str, &str)] = &[
    (0, b"KDMV", "a VMware disk (VMDK)", CONVERT),
    (0, b"COWD", "a VMware disk (VMDK)", CONVERT),
    (0, b"# Disk DescriptorFile", "the description of a VMware disk (VMDK)", CONVERT),
    (0x40, &[0x7f, 0x10, 0xda, 0xbe], "a VirtualBox disk (VDI)", CONVERT),
    (0, b"vhdxfile", "a Hyper-V disk (VHDX)", CONVERT),
    (0, b"conectix", "a Virtual PC disk (VHD)", CONVERT),
    (0, b"QED\0", "an image in QEMU's old QED format", CONVERT),
    (0, b"WithoutFreeSpace", "a Parallels disk", CONVERT),
    (0, b"WithouFreSpacExt", "a Parallels disk", CONVERT),
    (0, &[0x1f, 0x8b, 0x08], "compressed with gzip", UNPACK),
    (0, b"BZh", "compressed with bzip2", UNPACK),
    (0, &[0xfd, b'7', b'z', b'X', b'Z', 0], "compressed with xz", UNPACK),
    (0, &[0x28, 0xb5, 0x2f, 0xfd], "compressed with zstd", UNPACK),
    (0, &[0x04, 0x22, 0x4d, 0x18], "compressed with lz4", UNPACK),
    (0, &[b'7', b'z', 0xbc, 0xaf, 0x27, 0x1c], "a 7z archive", UNPACK),
    (0, b"PK\x03\x04", "a zip archive", UNPACK),
    (0, b"Rar!\x1a\x07", "a rar archive", UNPACK),
    (257, b"ustar", "a tar archive (perhaps an OVA appliance)", "Unpack it first; the disks are inside."),
    (0, b"%PDF-", "a PDF document", ANOTHER),
    (0, b"\x7fELF", "a program or kernel", ANOTHER),
];

/// The format of `file`.
///
/// # Errors
/// [`ImageError::Empty`], [`ImageError::WrongKind`] for what is recognisably not an image that we use, or what the host
/// says.
pub fn detect(file: &File) -> Result<Format, ImageError> {
    let duplicate = file.try_clone().map_err(ImageError::io("the image"))?;
    let host = HostFile::new(duplicate).map_err(ImageError::io("the image"))?;
    detect_host_file(&host)
}

pub(super) fn detect_host_file(host: &HostFile) -> Result<Format, ImageError> {
    let name = host.name();
    let len = host.len();
    if len == 0 {
        return Err(ImageError::Empty { name: name.to_owned() });
    }
    let mut head = vec![0; HEAD.min(len as usize)];
    host.read_bytes(&mut head, 0).map_err(ImageError::io(name))?;
    if head.starts_with(&super::qcow2::MAGIC) {
        return Ok(Format::Qcow2);
    }
    let mut tail = vec![0; TAIL.min(len as usize)];
    let tail_offset = len - tail.len() as u64;
    host.read_bytes(&mut tail, tail_offset).map_err(ImageError::io(name))?;

    let wrong = |what, advice| Err(ImageError::WrongKind { name: name.to_owned(), what, advice });
    let is_bootable = head.get(510..512) == Some(&[0x55, 0xaa]);
    for (place, mark, what, advice) in FOREIGN {
        // Boot code may begin with anything; the boot signature says that it is a disk
        if head.get(*place..).is_some_and(|rest| rest.starts_with(mark))
            && (!is_bootable || *place != 0 || mark.len() > 4)
        {
            return wrong(what, advice);
        }
    }
    if tail.starts_with(b"conectix") {
        return wrong("a Virtual PC disk (VHD)", CONVERT);
    }
    if looks_like_markup(&head) {
        return wrong("a web page", DOWNLOAD);
    }
    if len < 512 {
        return wrong("shorter than one sector", ANOTHER);
    }
    Ok(Format::Raw)
}

/// What a file that should be overwritten may be too good for: an image, a disc, an archive. `None` when it bears no
/// mark of such, as an empty file, a text, or a raw image without boot code.
///
/// # Errors
/// The file can't be read.
pub fn mark(file: &File) -> io::Result<Option<&'static str>> {
    const DISC: u64 = 16 * 2048 + 1;
    let read = |offset, len: usize| {
        let mut bytes = vec![0; len];
        let count = file.read_at(&mut bytes, offset)?;
        bytes.truncate(count);
        io::Result::Ok(bytes)
    };
    let head = read(0, HEAD)?;
    if head.starts_with(&super::qcow2::MAGIC) {
        return Ok(Some("a qcow2 disk image"));
    }
    let is_there = |place: usize, mark: &[u8]| head.get(place..).is_some_and(|rest| rest.starts_with(mark));
    if let Some((.., what, _)) = FOREIGN.iter().find(|(place, mark, ..)| is_there(*place, mark)) {
        return Ok(Some(what));
    }
    if read(DISC, 5)? == b"CD001" {
        return Ok(Some("a disc"));
    }
    let last_sector = file.metadata()?.len().saturating_sub(TAIL as u64);
    if read(last_sector, TAIL)?.starts_with(b"conectix") {
        return Ok(Some("a Virtual PC disk (VHD)"));
    }
    Ok(is_there(510, &[0x55, 0xaa]).then_some("a disk with a boot sector"))
}

fn looks_like_markup(head: &[u8]) -> bool {
    let head = head.strip_prefix(&[0xef, 0xbb, 0xbf]).unwrap_or(head).trim_ascii_start();
    let begins = |mark: &[u8]| head.len() >= mark.len() && head[..mark.len()].eq_ignore_ascii_case(mark);
    [&b"<!doctype"[..], b"<html", b"<head", b"<?xml", b"<!--"].into_iter().any(begins)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn detect_bytes(bytes: &[u8]) -> Result<Format, ImageError> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        detect(&file)
    }

    fn refused_as(bytes: &[u8]) -> &'static str {
        match detect_bytes(bytes) {
            Err(ImageError::WrongKind { what, .. }) => what,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_qcow2_header_and_anything_unknown_are_images() {
        assert_eq!(detect_bytes(b"QFI\xfb\0\0\0\x03").unwrap(), Format::Qcow2);
        assert_eq!(detect_bytes(&[0; 512]).unwrap(), Format::Raw);
    }

    #[test]
    fn what_bears_a_mark_is_known_and_texts_are_not() {
        let marked = |bytes: &[u8]| {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(bytes).unwrap();
            mark(&file).unwrap()
        };
        let mut disc = vec![0; 40_000];
        disc[0x8001..0x8006].copy_from_slice(b"CD001");
        let mut boot = vec![0; 512];
        boot[510..].copy_from_slice(&[0x55, 0xaa]);
        assert_eq!(marked(b"QFI\xfb"), Some("a qcow2 disk image"));
        assert_eq!(marked(b"KDMV\x01\0\0\0"), Some("a VMware disk (VMDK)"));
        assert_eq!(marked(&disc), Some("a disc"));
        assert_eq!(marked(&boot), Some("a disk with a boot sector"));
        for text in [&b""[..], b"Linux version 6.1", &[b'x'; 5000]] {
            assert_eq!(marked(text), None);
        }
    }

    #[test]
    fn an_empty_file_is_said_to_be_empty() {
        assert!(matches!(detect_bytes(b""), Err(ImageError::Empty { .. })));
    }

    #[test]
    fn what_is_no_image_is_named() {
        let mut vdi = vec![0; 512];
        vdi[0x40..0x44].copy_from_slice(&[0x7f, 0x10, 0xda, 0xbe]);
        let mut fixed_vhd = vec![0; 4096];
        fixed_vhd[4096 - 512..4096 - 504].copy_from_slice(b"conectix");
        assert_eq!(refused_as(b"KDMV\x01\0\0\0"), "a VMware disk (VMDK)");
        assert_eq!(refused_as(&vdi), "a VirtualBox disk (VDI)");
        assert_eq!(refused_as(b"vhdxfile"), "a Hyper-V disk (VHDX)");
        assert_eq!(refused_as(&fixed_vhd), "a Virtual PC disk (VHD)");
        assert_eq!(refused_as(b"\x1f\x8b\x08\0"), "compressed with gzip");
        assert_eq!(refused_as(b"\xfd7zXZ\0"), "compressed with xz");
        assert_eq!(refused_as(b"\xef\xbb\xbf\n <!DOCTYPE html><html>"), "a web page");
        assert_eq!(refused_as(b"hello"), "shorter than one sector");
    }

    #[test]
    fn a_boot_sector_that_begins_like_an_archive_is_a_disk() {
        let mut sector = [0; 512];
        sector[..4].copy_from_slice(b"BZh9");
        sector[510..].copy_from_slice(&[0x55, 0xaa]);
        assert_eq!(detect_bytes(&sector).unwrap(), Format::Raw);
    }
}
