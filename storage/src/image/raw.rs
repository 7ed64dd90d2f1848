//! Raw images: the disk's bytes, and nothing else. Files and block devices.

use std::io;
use std::ops::Range;

use super::ImageError;
use super::host_file::HostFile;
use super::iovec::Buffers;

/// A raw image, open.
#[derive(Debug)]
pub(super) struct Raw {
    file: HostFile,
    /// Of the disk: the file's, rounded up to whole sectors.
    len: u64,
}

impl Raw {
    pub(super) fn open(mut file: HostFile) -> Result<Self, ImageError> {
        if file.len() == 0 {
            return Err(ImageError::Empty { name: file.name().to_owned() });
        }
        let len = file.len().checked_next_multiple_of(512).unwrap_or(file.len() & !511);
        file.leave_direct_mode_unless(|alignment| len.is_multiple_of(alignment))
            .map_err(ImageError::io(file.name()))?;
        Ok(Raw { file, len })
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn host_file(&self) -> &HostFile {
        &self.file
    }

    pub(super) fn read(&self, buffers: &Buffers<'_>, range: Range<usize>, offset: u64) -> io::Result<()> {
        self.file.read(buffers, range, offset)
    }

    pub(super) fn write(&self, buffers: &Buffers<'_>, range: Range<usize>, offset: u64) -> io::Result<()> {
        self.file.write(buffers, range, offset)
    }

    pub(super) fn flush(&self) -> io::Result<()> {
        self.file.sync()
    }

    pub(super) fn discard(&self, offset: u64, len: u64) -> io::Result<()> {
        if len == 0 || self.file.punch_hole(offset, len)? {
            return Ok(());
        }
        self.file.write_zeroes(offset, len)
    }
}
