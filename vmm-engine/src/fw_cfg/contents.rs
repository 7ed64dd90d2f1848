//! What the firmware configuration device holds: items by number, and files by name.

use std::collections::BTreeMap;

/// Numbers of items that have no name. Values are little-endian unless said otherwise.
pub mod key {
    /// The four characters `QEMU`.
    pub const SIGNATURE: u16 = 0x00;
    /// Features, 32 bits.
    pub const ID: u16 = 0x01;
    /// The machine's UUID, 16 bytes.
    pub const UUID: u16 = 0x02;
    /// RAM size in bytes, 64 bits.
    pub const RAM_SIZE: u16 = 0x03;
    /// Whether there is no display, 16 bits.
    pub const NO_GRAPHIC: u16 = 0x04;
    /// Processors at power-on, 16 bits.
    pub const CPUS: u16 = 0x05;
    /// Where the kernel's protected-mode part is to be loaded, 32 bits.
    pub const KERNEL_ADDRESS: u16 = 0x07;
    /// Its size in bytes, 32 bits.
    pub const KERNEL_SIZE: u16 = 0x08;
    /// Where the initial RAM disk is to be loaded, 32 bits.
    pub const INITRD_ADDRESS: u16 = 0x0a;
    /// Its size in bytes, 32 bits.
    pub const INITRD_SIZE: u16 = 0x0b;
    /// Whether firmware shows a boot menu, 16 bits.
    pub const BOOT_MENU: u16 = 0x0e;
    /// One more than the highest APIC identifier, 16 bits.
    pub const MAX_CPUS: u16 = 0x0f;
    /// The kernel's protected-mode part.
    pub const KERNEL_DATA: u16 = 0x11;
    /// The initial RAM disk.
    pub const INITRD_DATA: u16 = 0x12;
    /// Where the command line is to be loaded, 32 bits.
    pub const COMMAND_LINE_ADDRESS: u16 = 0x13;
    /// Its size in bytes with the terminating zero, 32 bits.
    pub const COMMAND_LINE_SIZE: u16 = 0x14;
    /// The command line, zero-terminated.
    pub const COMMAND_LINE_DATA: u16 = 0x15;
    /// Where the kernel's real-mode part is to be loaded, 32 bits.
    pub const SETUP_ADDRESS: u16 = 0x16;
    /// Its size in bytes, 32 bits.
    pub const SETUP_SIZE: u16 = 0x17;
    /// The kernel's real-mode part.
    pub const SETUP_DATA: u16 = 0x18;
    /// The directory of files.
    pub const FILE_DIRECTORY: u16 = 0x19;
    /// The first file; the others follow.
    pub const FIRST_FILE: u16 = 0x20;
    /// Bits of a selector that number an item: bit 14 once meant "write", bit 15 marks items of the x86 PC.
    pub const MASK: u16 = 0xbfff;
    /// Whether IRQ 0 is wired to input 2 of the I/O APIC, 8 bits (an item of the x86 PC).
    pub const IRQ0_OVERRIDE: u16 = 0x8002;
}

/// Features: ports, and DMA.
const FEATURES: u32 = 0b11;
/// The longest name of a file, in bytes.
pub const MAX_NAME: usize = 55;

/// Something can't be handed over to firmware.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContentsError {
    /// The file's name is empty, longer than [`MAX_NAME`], or not printable ASCII.
    #[error("'{0}' can't be the name of a firmware configuration file")]
    Name(String),
    /// There is a file of that name already.
    #[error("there are two firmware configuration files '{0}'")]
    Twice(String),
    /// The number is taken by a file or by the device itself.
    #[error("number {0:#x} is not free for a firmware configuration item")]
    Number(u16),
    /// There are more files than numbers, or the file has 4 GiB or more.
    #[error("there is no room for the firmware configuration file '{0}'")]
    Full(String),
}

/// One item.
#[derive(Debug, Clone, Default)]
pub(super) struct Item {
    pub(super) bytes: Vec<u8>,
    /// What a writable item holds after a reset; `None` for one that can only be read.
    pub(super) initial: Option<Vec<u8>>,
}

/// All items.
#[derive(Debug, Clone)]
pub struct Contents {
    pub(super) items: BTreeMap<u16, Item>,
    files: Vec<(String, u16)>,
}

impl Default for Contents {
    fn default() -> Self {
        Self::new()
    }
}

impl Contents {
    /// The items that every device has: signature, features, and a directory without files.
    #[must_use]
    pub fn new() -> Self {
        let mut contents = Contents { items: BTreeMap::new(), files: Vec::new() };
        contents.put(key::SIGNATURE, b"QEMU".to_vec());
        contents.put(key::ID, FEATURES.to_le_bytes().to_vec());
        contents.write_directory();
        contents
    }

    fn put(&mut self, key: u16, bytes: Vec<u8>) {
        self.items.insert(key, Item { bytes, initial: None });
    }

    /// Sets item `key` (of [`key`]) to `bytes`.
    ///
    /// # Errors
    /// [`ContentsError::Number`] for the device's own items, those of files, and numbers that can't be selected.
    pub fn set(&mut self, key: u16, bytes: Vec<u8>) -> Result<(), ContentsError> {
        let own = [key::SIGNATURE, key::ID, key::FILE_DIRECTORY].contains(&key);
        if own || key & key::MASK != key || (key::FIRST_FILE..0x8000).contains(&key) {
            return Err(ContentsError::Number(key));
        }
        self.put(key, bytes);
        Ok(())
    }

    /// Adds a file that the guest can read.
    ///
    /// # Errors
    /// The name can't be or is taken, or there is no room.
    pub fn add_file(&mut self, name: &str, bytes: Vec<u8>) -> Result<(), ContentsError> {
        self.add(name, Item { bytes, initial: None })
    }

    /// Adds a file that the guest can read and overwrite (by DMA), but neither lengthen nor shorten.
    ///
    /// # Errors
    /// As [`Contents::add_file`].
    pub fn add_writable_file(&mut self, name: &str, bytes: Vec<u8>) -> Result<(), ContentsError> {
        self.add(name, Item { initial: Some(bytes.clone()), bytes })
    }

    fn add(&mut self, name: &str, item: Item) -> Result<(), ContentsError> {
        if !valid_name(name) {
            return Err(ContentsError::Name(name.to_owned()));
        }
        if self.key_of(name).is_some() {
            return Err(ContentsError::Twice(name.to_owned()));
        }
        let key = key::FIRST_FILE.saturating_add(self.files.len().min(0xffff) as u16);
        if key >= 0x4000 || u32::try_from(item.bytes.len()).is_err() {
            return Err(ContentsError::Full(name.to_owned()));
        }
        self.items.insert(key, item);
        self.files.push((name.to_owned(), key));
        self.write_directory();
        Ok(())
    }

    /// The bytes of a file, as the guest left them.
    #[must_use]
    pub fn file(&self, name: &str) -> Option<&[u8]> {
        self.items.get(&self.key_of(name)?).map(|item| item.bytes.as_slice())
    }

    fn key_of(&self, name: &str) -> Option<u16> {
        self.files.iter().find(|(file, _)| file == name).map(|&(_, key)| key)
    }

    /// The directory: the number of files, then for each its size, its item, two zero bytes and its name in 56
    /// bytes. Numbers are big-endian.
    fn write_directory(&mut self) {
        let mut directory = (self.files.len() as u32).to_be_bytes().to_vec();
        for (name, key) in &self.files {
            let size = self.items.get(key).map_or(0, |item| item.bytes.len()) as u32;
            directory.extend(size.to_be_bytes());
            directory.extend(key.to_be_bytes());
            directory.extend([0; 2]);
            directory.extend(padded(name));
        }
        self.put(key::FILE_DIRECTORY, directory);
    }
}

/// Whether `name` can be a file's name.
pub(super) fn valid_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= MAX_NAME && name.bytes().all(|byte| byte.is_ascii_graphic())
}

/// A file's name in its 56 bytes, filled up with zeroes.
pub(super) fn padded(name: &str) -> [u8; MAX_NAME + 1] {
    let mut field = [0; MAX_NAME + 1];
    let len = name.len().min(MAX_NAME);
    field[..len].copy_from_slice(&name.as_bytes()[..len]);
    field
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directory_names_each_file_with_size_and_number() {
        let mut contents = Contents::new();
        contents.add_file("etc/one", vec![1; 300]).unwrap();
        contents.add_writable_file("etc/two", vec![2; 8]).unwrap();
        let directory = &contents.items[&key::FILE_DIRECTORY].bytes;
        assert_eq!(directory.len(), 4 + 2 * 64);
        assert_eq!(directory[..12], [0, 0, 0, 2, 0, 0, 1, 44, 0, 0x20, 0, 0]);
        assert_eq!(&directory[12..20], b"etc/one\0");
        assert_eq!(directory[68..76], [0, 0, 0, 8, 0, 0x21, 0, 0]);
        assert_eq!(contents.file("etc/two"), Some([2; 8].as_slice()));
    }

    #[test]
    fn names_that_cannot_be_are_refused() {
        let mut contents = Contents::new();
        let long = "x".repeat(56);
        for name in ["", "with space", "umläut", long.as_str()] {
            assert_eq!(contents.add_file(name, vec![]), Err(ContentsError::Name(name.into())));
        }
        contents.add_file(&long[1..], vec![]).unwrap();
        assert_eq!(contents.add_file(&long[1..], vec![]), Err(ContentsError::Twice(long[1..].into())));
    }

    #[test]
    fn numbers_that_are_taken_are_refused() {
        let mut contents = Contents::new();
        for number in [key::SIGNATURE, key::ID, key::FILE_DIRECTORY, 0x20, 0x3fff, 0x4005] {
            assert_eq!(contents.set(number, vec![1]), Err(ContentsError::Number(number)));
        }
        contents.set(key::CPUS, vec![2, 0]).unwrap();
        contents.set(key::IRQ0_OVERRIDE, vec![1]).unwrap();
    }
}
