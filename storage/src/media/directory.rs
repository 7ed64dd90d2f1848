//! A disc's folder `/EFI/BOOT`, whose programs say which processors' UEFI firmware starts it (ECMA-119, section 9.1; UEFI 2.10,
//! section 3.5.1.1).

use std::{fs::File, io};

use super::{iso::SECTOR, le32, read_up_to};

/// The most that is read of a folder, in bytes.
const MAX_FOLDER: u32 = 256 << 10;
/// Places in a directory record.
const EXTENT: usize = 2;
const DATA_LENGTH: usize = 10;
const FLAGS: usize = 25;
const NAME_LENGTH: usize = 32;
const NAME: usize = 33;
const IS_FOLDER: u8 = 0x02;

/// A program that UEFI firmware of this kind of processor starts from a removable medium.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EfiLoader {
    /// 32-bit x86.
    Ia32,
    /// x86-64.
    X64,
    /// 32-bit Arm.
    Arm,
    /// 64-bit Arm.
    Aa64,
    /// Another one.
    Other,
}

impl EfiLoader {
    fn from_name(name: &str) -> Option<Self> {
        let name = name.split(';').next()?;
        match name.strip_prefix("BOOT")?.strip_suffix(".EFI")? {
            "IA32" => Some(EfiLoader::Ia32),
            "X64" => Some(EfiLoader::X64),
            "ARM" => Some(EfiLoader::Arm),
            "AA64" => Some(EfiLoader::Aa64),
            "IA64" | "RISCV32" | "RISCV64" | "RISCV128" | "LOONGARCH32" | "LOONGARCH64" => Some(EfiLoader::Other),
            _ => None,
        }
    }
}

/// The programs on a disc whose root folder has this record.
///
/// # Errors
/// The file can't be read.
pub(super) fn efi_loaders(file: &File, root: &[u8]) -> io::Result<Vec<EfiLoader>> {
    let mut folder = Folder::of(root);
    for name in ["EFI", "BOOT"] {
        let records = folder.read(file)?;
        let Some((_, record)) = entries(&records)
            .find(|(entry, record)| entry == name && record.get(FLAGS).is_some_and(|flags| flags & IS_FOLDER != 0))
        else {
            return Ok(Vec::new());
        };
        folder = Folder::of(record);
    }
    let records = folder.read(file)?;
    Ok(entries(&records).filter_map(|(name, _)| EfiLoader::from_name(&name)).collect())
}

/// Where a folder is.
struct Folder {
    sector: u32,
    bytes: u32,
}

impl Folder {
    fn of(record: &[u8]) -> Self {
        Folder { sector: le32(record, EXTENT), bytes: le32(record, DATA_LENGTH).min(MAX_FOLDER) }
    }

    fn read(&self, file: &File) -> io::Result<Vec<u8>> {
        read_up_to(file, u64::from(self.sector) * SECTOR, self.bytes as usize)
    }
}

/// The entries of a folder: name in capitals, and record. A record never crosses a sector's end.
fn entries(records: &[u8]) -> impl Iterator<Item = (String, &[u8])> {
    records.chunks(SECTOR as usize).flat_map(|sector| {
        let mut rest = sector;
        std::iter::from_fn(move || {
            let length = usize::from(*rest.first()?);
            let record = rest.get(..length).filter(|record| record.len() > NAME)?;
            rest = &rest[length..];
            let name = record.get(NAME..NAME + usize::from(record[NAME_LENGTH])).unwrap_or_default();
            Some((String::from_utf8_lossy(name).to_ascii_uppercase(), record))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::{super::iso::tests::disc, *};

    fn record(name: &str, sector: u32, bytes: u32, flags: u8) -> Vec<u8> {
        let mut record = vec![0; NAME + name.len()];
        record[0] = record.len() as u8;
        record[EXTENT..EXTENT + 4].copy_from_slice(&sector.to_le_bytes());
        record[DATA_LENGTH..DATA_LENGTH + 4].copy_from_slice(&bytes.to_le_bytes());
        (record[FLAGS], record[NAME_LENGTH]) = (flags, name.len() as u8);
        record[NAME..].copy_from_slice(name.as_bytes());
        record
    }

    #[test]
    fn programs_for_uefi_are_found_by_their_names() {
        let root = [record("\0", 20, 2048, IS_FOLDER), record("EFI", 21, 2048, IS_FOLDER)].concat();
        let efi = [record("BOOT", 9, 2048, 0), record("boot", 22, 4096, IS_FOLDER)].concat();
        let first = [record("BOOTX64.EFI;1", 30, 1, 0), record("GRUBX64.EFI;1", 30, 1, 0)].concat();
        let second = [record("BOOTAA64.EFI;1", 30, 1, 0), record("BOOTRISCV64.EFI", 30, 1, 0)].concat();
        let file = disc(&[(20, &root), (21, &efi), (22, &first), (23, &second)], 100_000);
        let found = efi_loaders(&file, &record("\0", 20, 2048, IS_FOLDER)).unwrap();
        assert_eq!(found, [EfiLoader::X64, EfiLoader::Aa64, EfiLoader::Other]);
    }

    #[test]
    fn a_folder_that_is_elsewhere_or_refers_to_itself_is_empty() {
        let root = record("EFI", 20, u32::MAX, IS_FOLDER);
        let file = disc(&[(20, &root)], 100_000);
        assert_eq!(efi_loaders(&file, &record("\0", 20, u32::MAX, IS_FOLDER)).unwrap(), []);
        assert_eq!(efi_loaders(&file, &record("\0", u32::MAX, 2048, IS_FOLDER)).unwrap(), []);
        assert_eq!(efi_loaders(&file, &[]).unwrap(), []);
    }
}
