//! sendmmsg(2) and recvmmsg(2) by hand.

use std::{
    net::Ipv4Addr,
    os::fd::{AsRawFd, BorrowedFd},
};

use nix::libc;

use super::{Aligned, build, gather, header, iovec, iovec_mut, retry, to};

/// What is kept between two batches to send, of so many messages at most.
pub struct Send<const MOST: usize> {
    headers: Box<[libc::mmsghdr; MOST]>,
    slices: Box<[libc::iovec; MOST]>,
    control: Box<[Aligned<80>; MOST]>,
}

impl<const MOST: usize> Send<MOST> {
    /// Empty, and zeroed as CMSG_NXTHDR needs it.
    pub fn new() -> Self {
        Self {
            headers: Box::new([libc::mmsghdr { msg_hdr: header(), msg_len: 0 }; MOST]),
            slices: Box::new([iovec(&[]); MOST]),
            control: Box::new([const { Aligned([0; 80]) }; MOST]),
        }
    }

    /// Puts a message with TTL, TOS and PKTINFO in its place.
    #[inline(always)]
    pub fn set(&mut self, at: usize, name: &[u8], data: &[u8], ttl: u8, tos: u8, source: Ipv4Addr) -> bool {
        let header = &mut self.headers[at].msg_hdr;
        self.slices[at] = iovec(data);
        to(header, name);
        gather(header, std::slice::from_ref(&self.slices[at]));
        build(&mut self.control[at], header, ttl, Some(tos), source)
    }

    /// Sends the first `count`.
    #[inline(always)]
    pub fn send(&mut self, socket: BorrowedFd<'_>, count: usize) {
        let mut sent = 0;
        while sent < count {
            let rest = &mut self.headers[sent..count];
            // SAFETY: the headers describe memory of this struct, and of the caller's.
            let n = unsafe {
                libc::sendmmsg(socket.as_raw_fd(), rest.as_mut_ptr(), rest.len() as u32, libc::MSG_NOSIGNAL as _)
            };
            if n < 0 {
                retry();
            } else {
                sent += n as usize;
            }
        }
    }
}

/// What is kept between two batches to receive, of so many messages at most.
pub struct Receive<const MOST: usize> {
    headers: Box<[libc::mmsghdr; MOST]>,
    slices: Box<[libc::iovec; MOST]>,
    control: Box<[Aligned<256>; MOST]>,
    names: Box<[Aligned<128>; MOST]>,
    data: Box<[[u8; 1500]; MOST]>,
}

impl<const MOST: usize> Receive<MOST> {
    /// All headers set up.
    pub fn new() -> Self {
        let mut this = Self {
            headers: Box::new([libc::mmsghdr { msg_hdr: header(), msg_len: 0 }; MOST]),
            slices: Box::new([iovec(&[]); MOST]),
            control: Box::new([const { Aligned([0; 256]) }; MOST]),
            names: Box::new([const { Aligned([0; 128]) }; MOST]),
            data: Box::new([[0; 1500]; MOST]),
        };
        for at in 0..MOST {
            this.slices[at] = iovec_mut(&mut this.data[at]);
            let header = &mut this.headers[at].msg_hdr;
            header.msg_name = this.names[at].0.as_mut_ptr().cast();
            header.msg_iov = &mut this.slices[at];
            header.msg_iovlen = 1;
            header.msg_control = this.control[at].0.as_mut_ptr().cast();
        }
        this
    }

    /// Receives what is there.
    #[inline(always)]
    pub fn receive(&mut self, socket: BorrowedFd<'_>) -> usize {
        for message in self.headers.iter_mut() {
            message.msg_hdr.msg_namelen = 128;
            message.msg_hdr.msg_controllen = 256;
        }
        let flags = libc::MSG_CMSG_CLOEXEC | libc::MSG_WAITFORONE;
        loop {
            // SAFETY: the headers describe memory of this struct.
            let n = unsafe {
                libc::recvmmsg(
                    socket.as_raw_fd(),
                    self.headers.as_mut_ptr(),
                    MOST as u32,
                    flags as _,
                    std::ptr::null_mut(),
                )
            };
            if n >= 0 {
                return n as usize;
            }
            retry();
        }
    }

    /// A message that has arrived: its data and its header.
    #[inline(always)]
    pub fn message(&self, at: usize) -> (&[u8], &libc::msghdr) {
        (&self.data[at][..self.headers[at].msg_len as usize], &self.headers[at].msg_hdr)
    }
}
