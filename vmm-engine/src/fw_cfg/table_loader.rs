//! The file `etc/table-loader`: a script by which firmware puts tables (ACPI, mostly) into memory and links
//! them, since only it knows the addresses. Each command is 128 bytes, little-endian: its number, then names of
//! files in 56 bytes each and numbers (QEMU's linker/loader interface, read by SeaBIOS and OVMF).

use std::collections::BTreeMap;

use super::contents::{padded, valid_name};

/// The file's name.
pub const NAME: &str = "etc/table-loader";
/// By custom, the file that holds all ACPI tables but the root pointer.
pub const ACPI_TABLES: &str = "etc/acpi/tables";
/// By custom, the file that holds ACPI's root system description pointer.
pub const ACPI_RSDP: &str = "etc/acpi/rsdp";

/// The length of a command, in bytes.
const COMMAND: usize = 128;

const ALLOCATE: u32 = 1;
const ADD_POINTER: u32 = 2;
const ADD_CHECKSUM: u32 = 3;
const WRITE_POINTER: u32 = 4;

/// Where a file is put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Zone {
    /// Anywhere below 4 GiB.
    High = 1,
    /// In the segment 0xf0000, where operating systems look for the root pointer.
    FSegment = 2,
}

/// A command that firmware would refuse.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TableLoaderError {
    /// The file's name can't be.
    #[error("'{0}' can't be the name of a firmware configuration file")]
    Name(String),
    /// The file was allocated twice.
    #[error("the file '{0}' is allocated twice")]
    Twice(String),
    /// The file has not been allocated by an earlier command.
    #[error("the file '{0}' is used before it is allocated")]
    NotAllocated(String),
    /// The alignment is no power of two.
    #[error("an alignment of {0} bytes can't be")]
    Alignment(u32),
    /// A pointer of a length other than 1, 2, 4 or 8 bytes.
    #[error("a pointer of {0} bytes can't be")]
    PointerSize(u8),
    /// The bytes at `offset` are not in the file.
    #[error("{len} bytes at {offset:#x} are beyond the end of the file '{file}'")]
    Range {
        /// The file.
        file: String,
        /// Where the bytes begin.
        offset: u32,
        /// How many they are.
        len: u32,
    },
}

/// Builds the script, in order.
#[derive(Debug, Clone, Default)]
pub struct TableLoader {
    commands: Vec<u8>,
    /// Allocated files and their lengths.
    files: BTreeMap<String, u32>,
}

impl TableLoader {
    /// An empty script.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Loads `file`, which has `len` bytes, to an address that is a multiple of `alignment`.
    ///
    /// # Errors
    /// The name can't be or comes again, or the alignment is no power of two.
    pub fn allocate(&mut self, file: &str, len: u32, alignment: u32, zone: Zone) -> Result<(), TableLoaderError> {
        if !valid_name(file) {
            return Err(TableLoaderError::Name(file.to_owned()));
        }
        if !alignment.is_power_of_two() {
            return Err(TableLoaderError::Alignment(alignment));
        }
        if self.files.insert(file.to_owned(), len).is_some() {
            return Err(TableLoaderError::Twice(file.to_owned()));
        }
        self.push(ALLOCATE, &[&padded(file), &alignment.to_le_bytes(), &[zone as u8]]);
        Ok(())
    }

    /// Adds the address of `pointee` to the `size` bytes at `offset` of `file`, which hold an offset into `pointee`.
    ///
    /// # Errors
    /// A file isn't allocated, the size is impossible, or the bytes are beyond the file's end.
    pub fn add_pointer(&mut self, file: &str, offset: u32, size: u8, pointee: &str) -> Result<(), TableLoaderError> {
        self.check_pointer_size(size)?;
        self.check_range(file, offset, size.into())?;
        self.check_range(pointee, 0, 0)?;
        self.push(ADD_POINTER, &[&padded(file), &padded(pointee), &offset.to_le_bytes(), &[size]]);
        Ok(())
    }

    /// Subtracts from the byte at `offset` of `file` the sum of the `len` bytes at `start`, so that their sum
    /// becomes zero if the byte is among them and was zero.
    ///
    /// # Errors
    /// The file isn't allocated, or the bytes are beyond its end.
    pub fn add_checksum(&mut self, file: &str, offset: u32, start: u32, len: u32) -> Result<(), TableLoaderError> {
        self.check_range(file, offset, 1)?;
        self.check_range(file, start, len)?;
        self.push(ADD_CHECKSUM, &[&padded(file), &offset.to_le_bytes(), &start.to_le_bytes(), &len.to_le_bytes()]);
        Ok(())
    }

    /// Writes the address of byte `pointee_offset` of `pointee` to `offset` of the writable file `file`, which has
    /// `len` bytes and isn't loaded itself: that tells the host where the file is. SeaBIOS doesn't know this command.
    ///
    /// # Errors
    /// `pointee` isn't allocated, the size is impossible, or bytes are beyond a file's end.
    pub fn write_pointer(
        &mut self,
        (file, len): (&str, u32),
        offset: u32,
        size: u8,
        (pointee, pointee_offset): (&str, u32),
    ) -> Result<(), TableLoaderError> {
        if !valid_name(file) {
            return Err(TableLoaderError::Name(file.to_owned()));
        }
        self.check_pointer_size(size)?;
        if offset.checked_add(size.into()).is_none_or(|end| end > len) {
            return Err(TableLoaderError::Range { file: file.to_owned(), offset, len: size.into() });
        }
        self.check_range(pointee, pointee_offset, 0)?;
        let numbers = (offset.to_le_bytes(), pointee_offset.to_le_bytes());
        self.push(WRITE_POINTER, &[&padded(file), &padded(pointee), &numbers.0, &numbers.1, &[size]]);
        Ok(())
    }

    /// The file.
    #[must_use]
    pub fn build(self) -> Vec<u8> {
        self.commands
    }

    fn check_pointer_size(&self, size: u8) -> Result<(), TableLoaderError> {
        if [1, 2, 4, 8].contains(&size) { Ok(()) } else { Err(TableLoaderError::PointerSize(size)) }
    }

    fn check_range(&self, file: &str, offset: u32, len: u32) -> Result<(), TableLoaderError> {
        let size = self.files.get(file).ok_or_else(|| TableLoaderError::NotAllocated(file.to_owned()))?;
        if offset.checked_add(len).is_none_or(|end| end > *size) {
            return Err(TableLoaderError::Range { file: file.to_owned(), offset, len });
        }
        Ok(())
    }

    fn push(&mut self, command: u32, fields: &[&[u8]]) {
        let end = self.commands.len() + COMMAND;
        self.commands.extend(command.to_le_bytes());
        fields.iter().for_each(|field| self.commands.extend(*field));
        self.commands.resize(end, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What firmware does with the script: loads each file at the given address.
    fn execute(script: &[u8], files: &mut BTreeMap<String, (u64, Vec<u8>)>) {
        let word = |entry: &[u8], at: usize| u32::from_le_bytes(entry[at..at + 4].try_into().unwrap()) as usize;
        let name = |entry: &[u8], at: usize| {
            let field = &entry[at..at + 56];
            let end = field.iter().position(|&byte| byte == 0).unwrap();
            String::from_utf8(field[..end].to_vec()).unwrap()
        };
        assert_eq!(script.len() % 128, 0);
        for entry in script.chunks(128) {
            match word(entry, 0) {
                1 => assert_eq!(files[&name(entry, 4)].0 % word(entry, 60) as u64, 0),
                2 => {
                    let (offset, size) = (word(entry, 116), usize::from(entry[120]));
                    let address = files[&name(entry, 60)].0;
                    let bytes = &mut files.get_mut(&name(entry, 4)).unwrap().1[offset..offset + size];
                    let mut value = [0; 8];
                    value[..size].copy_from_slice(bytes);
                    bytes.copy_from_slice(&(u64::from_le_bytes(value) + address).to_le_bytes()[..size]);
                }
                3 => {
                    let bytes = &mut files.get_mut(&name(entry, 4)).unwrap().1;
                    let (offset, start, len) = (word(entry, 60), word(entry, 64), word(entry, 68));
                    let sum = bytes[start..start + len].iter().fold(0_u8, |sum, &byte| sum.wrapping_add(byte));
                    bytes[offset] = bytes[offset].wrapping_sub(sum);
                }
                other => panic!("command {other}"),
            }
        }
    }

    #[test]
    fn firmware_links_tables_and_their_sums_are_zero() {
        let mut loader = TableLoader::new();
        loader.allocate(ACPI_RSDP, 20, 16, Zone::FSegment).unwrap();
        loader.allocate(ACPI_TABLES, 0x200, 64, Zone::High).unwrap();
        loader.add_pointer(ACPI_RSDP, 16, 4, ACPI_TABLES).unwrap();
        loader.add_checksum(ACPI_RSDP, 8, 0, 20).unwrap();
        loader.add_pointer(ACPI_TABLES, 0x40, 8, ACPI_TABLES).unwrap();
        loader.add_checksum(ACPI_TABLES, 9, 0, 0x80).unwrap();
        let mut tables = vec![0x11; 0x200];
        tables[9] = 0;
        tables[0x40..0x48].copy_from_slice(&0x100_u64.to_le_bytes());
        let mut rsdp = b"RSD PTR \0TANDEM\0".to_vec();
        rsdp.extend(0x24_u32.to_le_bytes());
        let mut files =
            BTreeMap::from([(ACPI_RSDP.into(), (0xf_5a00, rsdp)), (ACPI_TABLES.into(), (0x7ffd_c000, tables))]);
        execute(&loader.build(), &mut files);
        let (rsdp, tables) = (&files[ACPI_RSDP].1, &files[ACPI_TABLES].1);
        assert_eq!(rsdp[16..20], 0x7ffd_c024_u32.to_le_bytes());
        assert_eq!(tables[0x40..0x48], 0x7ffd_c100_u64.to_le_bytes());
        let sum = |bytes: &[u8]| bytes.iter().fold(0_u8, |sum, &byte| sum.wrapping_add(byte));
        assert_eq!((sum(rsdp), sum(&tables[..0x80])), (0, 0));
    }

    #[test]
    fn the_write_pointer_command_has_its_fields_in_place() {
        let mut loader = TableLoader::new();
        loader.allocate("etc/guid", 4096, 4096, Zone::High).unwrap();
        loader.write_pointer(("etc/guid_addr", 8), 0, 8, ("etc/guid", 40)).unwrap();
        let script = loader.build();
        let entry = &script[128..];
        assert_eq!(
            (&entry[..8], &entry[60..68]),
            ([4, 0, 0, 0, b'e', b't', b'c', b'/'].as_slice(), b"etc/guid".as_slice())
        );
        assert_eq!(entry[116..125], [0, 0, 0, 0, 40, 0, 0, 0, 8]);
    }

    #[test]
    fn commands_that_firmware_would_refuse_are_refused() {
        let mut loader = TableLoader::new();
        assert_eq!(loader.allocate("", 1, 1, Zone::High), Err(TableLoaderError::Name(String::new())));
        assert_eq!(loader.allocate("a", 1, 3, Zone::High), Err(TableLoaderError::Alignment(3)));
        loader.allocate("a", 16, 1, Zone::High).unwrap();
        assert_eq!(loader.allocate("a", 16, 1, Zone::High), Err(TableLoaderError::Twice("a".into())));
        assert_eq!(loader.add_pointer("a", 0, 4, "b"), Err(TableLoaderError::NotAllocated("b".into())));
        assert_eq!(loader.add_pointer("a", 0, 3, "a"), Err(TableLoaderError::PointerSize(3)));
        let beyond = |offset, len| Err(TableLoaderError::Range { file: "a".into(), offset, len });
        assert_eq!(loader.add_pointer("a", 13, 4, "a"), beyond(13, 4));
        assert_eq!(loader.add_checksum("a", 0, u32::MAX, 2), beyond(u32::MAX, 2));
        assert_eq!(loader.add_checksum("a", 16, 0, 16), beyond(16, 1));
        assert_eq!(loader.build().len(), 128);
    }
}
