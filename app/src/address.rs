//! Control sockets at paths of any length. A socket's address holds 107 bytes (`sun_path` of unix(7)); a longer path is
//! reached through its folder's descriptor in `/proc`.

use std::{
    fs, io,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::net::{UnixListener, UnixStream},
    },
    path::Path,
    time::Duration,
};

use rustix::{
    fs::{Mode, OFlags},
    net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, sockopt},
};

/// The most that an address holds, without its terminating zero.
const MOST_BYTES: usize = 107;
/// Connections that may wait to be taken.
const BACKLOG: i32 = 128;

/// Listens at `path`, for this account only. What an earlier process left there is removed.
///
/// # Errors
/// The host's, also when the file system can't hold sockets that others find.
pub(crate) fn listen(path: &Path) -> io::Result<UnixListener> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let socket = new_socket()?;
    with_address(path, |address| rustix::net::bind(&socket, address))?;
    let ready = || {
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
        rustix::net::listen(&socket, BACKLOG)?;
        // A network's file system may take it, and not know it again. What accepts finds this connection closed.
        connect(path, Duration::from_secs(1)).map(drop)
    };
    match ready() {
        Ok(()) => Ok(socket.into()),
        Err(error) => {
            let _ = fs::remove_file(path);
            Err(error)
        }
    }
}

/// Connects to `path`, and waits no longer than `patience` for a place in its queue.
///
/// # Errors
/// The host's; `WouldBlock` when the queue stays full.
pub(crate) fn connect(path: &Path, patience: Duration) -> io::Result<UnixStream> {
    let socket = new_socket()?;
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Send, Some(patience))?;
    with_address(path, |address| rustix::net::connect(&socket, address))?;
    Ok(socket.into())
}

fn new_socket() -> rustix::io::Result<OwnedFd> {
    rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
}

fn with_address(path: &Path, act: impl Fn(&SocketAddrUnix) -> rustix::io::Result<()>) -> io::Result<()> {
    if path.as_os_str().len() <= MOST_BYTES {
        return Ok(act(&SocketAddrUnix::new(path)?)?);
    }
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let folder = rustix::fs::open(folder, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let short = Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string()).join(name);
    Ok(act(&SocketAddrUnix::new(&short)?)?)
}

#[cfg(test)]
mod tests {
    use std::{io::Read, os::unix::fs::PermissionsExt};

    use super::*;

    #[test]
    fn a_socket_is_found_however_long_its_path_is_and_by_this_account_only() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("x".repeat(150));
        fs::create_dir(&deep).unwrap();
        for path in [dir.path().join("control.sock"), deep.join("control.sock")] {
            fs::write(&path, "left by somebody").unwrap();
            let listener = listen(&path).unwrap();
            assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
            // The first connection is the listener's own.
            assert_eq!(listener.accept().unwrap().0.read(&mut [0]).unwrap(), 0);
            let _client = connect(&path, Duration::from_secs(1)).unwrap();
            listener.accept().unwrap();
            drop(listener);
            let refused = connect(&path, Duration::from_secs(1)).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        }
    }

    #[test]
    fn a_full_queue_is_not_waited_for_for_ever() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("control.sock");
        let _listener = listen(&path).unwrap();
        let patience = Duration::from_millis(20);
        let mut waiting = Vec::new();
        let late = (0..2 * BACKLOG).find_map(|_| connect(&path, patience).map(|socket| waiting.push(socket)).err());
        assert_eq!(late.unwrap().kind(), io::ErrorKind::WouldBlock);
    }
}
