//! The other end, which knows nothing of the library: what has arrived, by recvmsg(2) itself.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd},
};

use nix::libc;

use super::calm;
use crate::common::pipes::contents;

/// What can be received now, message by message, or on a stream call by call: its bytes, and the texts in its
/// [numbered](crate::common::pipes::numbered) pipes. A pipe that came twice has no text the second time.
pub fn arrived(socket: impl AsFd) -> Vec<(Vec<u8>, Vec<String>)> {
    calm(|| std::iter::from_fn(|| one(socket.as_fd().as_raw_fd())).collect())
}

fn one(socket: RawFd) -> Option<(Vec<u8>, Vec<String>)> {
    let (mut data, mut control) = (vec![0u8; 70_000], [0u64; 140]);
    let mut slice = libc::iovec { iov_base: data.as_mut_ptr().cast(), iov_len: data.len() };
    // SAFETY: integers and pointers; all zero is a value of each.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    (header.msg_iov, header.msg_iovlen) = (&mut slice, 1);
    (header.msg_control, header.msg_controllen) = (control.as_mut_ptr().cast(), size_of_val(&control));
    // SAFETY: the descriptor is borrowed by the caller; the header describes two buffers that outlive the call.
    let len = unsafe { libc::recvmsg(socket, &mut header, libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC) };
    if len < 0 {
        let error = io::Error::last_os_error();
        assert!(matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::ECONNRESET)), "{error}");
        return None;
    }
    assert_eq!(header.msg_flags & (libc::MSG_TRUNC | libc::MSG_CTRUNC), 0);
    data.truncate(len as usize);
    // One message of descriptors at most is here: a length, SOL_SOCKET and SCM_RIGHTS in the next word, the numbers.
    let mut fds = Vec::new();
    if header.msg_controllen > 0 {
        assert_eq!(control[1].to_ne_bytes()[..], [1i32, 1].map(i32::to_ne_bytes).concat());
        let numbers: Vec<u8> = control[2..].iter().flat_map(|word| word.to_ne_bytes()).collect();
        for number in numbers[..control[0] as usize - 16].chunks_exact(4) {
            let number = RawFd::from_ne_bytes(number.try_into().unwrap());
            // SAFETY: the kernel has just installed it, and nobody else knows it.
            fds.push(unsafe { OwnedFd::from_raw_fd(number) });
        }
    }
    // The end of a stream, or nothing at all.
    (len > 0 || !fds.is_empty()).then(|| (data, contents(fds)))
}

/// All that a stream, or datagrams in their order, have brought so far.
#[derive(Debug, Default, Eq, PartialEq)]
pub struct Got {
    pub bytes: Vec<u8>,
    pub fds: Vec<String>,
}

impl Got {
    pub fn more(&mut self, socket: impl AsFd) {
        for (bytes, fds) in arrived(socket) {
            self.bytes.extend(bytes);
            self.fds.extend(fds);
        }
    }
}
