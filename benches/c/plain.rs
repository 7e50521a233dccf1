//! send(2), sendto(2), recv(2), recvfrom(2): what does without a header.

use std::os::fd::{AsRawFd, BorrowedFd};

use nix::libc;

use super::{RECV_FLAGS, SEND_FLAGS, retry};

/// To this name, or none if it is empty.
#[inline(always)]
pub fn send(socket: BorrowedFd<'_>, data: &[u8], name: &[u8]) -> usize {
    let at = if name.is_empty() { std::ptr::null() } else { name.as_ptr().cast() };
    loop {
        // SAFETY: both are borrowed and of these lengths; without a name the pointer is null and the length 0.
        let sent = unsafe {
            libc::sendto(socket.as_raw_fd(), data.as_ptr().cast(), data.len(), SEND_FLAGS, at, name.len() as _)
        };
        if sent >= 0 {
            return sent as usize;
        }
        retry();
    }
}

/// How many bytes arrived, and how long the sender's name is.
#[inline(always)]
pub fn receive(socket: BorrowedFd<'_>, data: &mut [u8], name: &mut [u8]) -> (usize, usize) {
    let mut len = name.len() as libc::socklen_t;
    let at = name.as_mut_ptr().cast();
    loop {
        // SAFETY: both are borrowed exclusively and of these lengths.
        let received = unsafe {
            libc::recvfrom(socket.as_raw_fd(), data.as_mut_ptr().cast(), data.len(), RECV_FLAGS, at, &mut len)
        };
        if received >= 0 {
            return (received as usize, len as usize);
        }
        retry();
    }
}
