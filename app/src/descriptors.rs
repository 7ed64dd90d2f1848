//! Open files on their way between processes: a message with descriptors (`SCM_RIGHTS`, unix(7)) over a Unix socket.
//!
//! What arrives is owned, closed on exec, and needs no `unsafe` to take.

use std::{
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
};

/// The most descriptors that one message carries; the kernel's own limit is 253.
pub(crate) const DESCRIPTORS_MAX: usize = 128;

/// Sends all of `bytes`, with `descriptors` on the first of them.
///
/// # Errors
/// The socket's; `InvalidInput` for too many descriptors or no bytes to carry them.
pub(crate) fn send(socket: impl AsFd, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    if descriptors.len() > DESCRIPTORS_MAX || bytes.is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "too many descriptors for one message"));
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
    let mut sent = 0;
    while sent < bytes.len() {
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if sent == 0 && !descriptors.is_empty() {
            ancillary.push(SendAncillaryMessage::ScmRights(descriptors));
        }
        let rest = [IoSlice::new(&bytes[sent..])];
        match rustix::net::sendmsg(&socket, &rest, &mut ancillary, SendFlags::NOSIGNAL) {
            Ok(count) => sent += count,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Receives some bytes into `bytes`, and appends the descriptors that came with them. Zero: the other end is closed.
///
/// # Errors
/// The socket's; `InvalidData` when more descriptors came than fit.
pub(crate) fn receive(socket: impl AsFd, bytes: &mut [u8], descriptors: &mut Vec<OwnedFd>) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
    let message = loop {
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut buffers = [IoSliceMut::new(bytes)];
        match rustix::net::recvmsg(&socket, &mut buffers, &mut ancillary, RecvFlags::CMSG_CLOEXEC) {
            Ok(message) => {
                for received in ancillary.drain() {
                    if let RecvAncillaryMessage::ScmRights(rights) = received {
                        descriptors.extend(rights);
                    }
                }
                break message;
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    };
    if message.flags.contains(rustix::net::ReturnFlags::CTRUNC) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "more descriptors came than can be taken"));
    }
    Ok(message.bytes)
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Seek, Write},
        os::unix::net::UnixStream,
    };

    use super::*;

    #[test]
    fn files_arrive_with_the_bytes_they_were_sent_with() {
        let (left, right) = UnixStream::pair().unwrap();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"disc").unwrap();
        file.rewind().unwrap();
        send(&left, b"take this", &[file.as_fd(), left.as_fd()]).unwrap();
        let (mut bytes, mut descriptors) = ([0; 64], Vec::new());
        let count = receive(&right, &mut bytes, &mut descriptors).unwrap();
        assert_eq!((&bytes[..count], descriptors.len()), (b"take this".as_slice(), 2));
        let mut text = String::new();
        std::fs::File::from(descriptors.remove(0)).read_to_string(&mut text).unwrap();
        assert_eq!(text, "disc");
    }

    #[test]
    fn a_closed_socket_gives_nothing() {
        let (left, right) = UnixStream::pair().unwrap();
        drop(left);
        assert_eq!(receive(&right, &mut [0; 8], &mut Vec::new()).unwrap(), 0);
    }

    #[test]
    fn too_many_files_are_refused() {
        let (left, _right) = UnixStream::pair().unwrap();
        assert!(send(&left, b"x", &[left.as_fd(); DESCRIPTORS_MAX + 1]).is_err());
    }
}
