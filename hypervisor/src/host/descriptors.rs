//! This process's open files.

use std::io;

/// Has every descriptor from `first` on closed by the next `exec`: what a caller left open is not the next program's.
/// Linux before 5.11 can't; there they stay open.
///
/// # Errors
/// What the host says.
#[allow(unsafe_code)]
pub fn close_on_exec_from(first: u32) -> io::Result<()> {
    // SAFETY: only a flag of this process's descriptors changes: none is closed, so that everybody who owns one still does.
    let result = unsafe { libc::close_range(first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC.cast_signed()) };
    match io::Error::last_os_error() {
        _ if result == 0 => Ok(()),
        error if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EINVAL)) => Ok(()),
        error => Err(error),
    }
}
