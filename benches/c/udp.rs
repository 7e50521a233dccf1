//! The same for UDP: one datagram with ECN, many in one call, many in one buffer.

use std::{net::Ipv4Addr, os::fd::AsRawFd, os::fd::BorrowedFd};

use nix::libc::{self, CMSG_DATA, CMSG_FIRSTHDR, CMSG_LEN, CMSG_NXTHDR, CMSG_SPACE, c_int};

use super::{Aligned, catalogue::SOL_UDP, catalogue::UDP_GRO, catalogue::UDP_SEGMENT, iovec, iovec_mut};

/// How many datagrams go in one call.
pub const BATCH: usize = 32;

/// `IP_TOS` and `IP_PKTINFO`. The buffer is zeroed, as for `build`.
#[inline(always)]
pub fn build_class(control: &mut Aligned<56>, header: &mut libc::msghdr, class: u8, source: Ipv4Addr) {
    // SAFETY: the buffer is zeroed, aligned, and long enough (asserted; the lengths are constants).
    unsafe {
        let room = CMSG_SPACE(4) + CMSG_SPACE(12);
        assert!(room as usize <= control.0.len());
        header.msg_control = control.0.as_mut_ptr().cast();
        header.msg_controllen = room as _;
        let mut at = CMSG_FIRSTHDR(header);
        (*at).cmsg_len = CMSG_LEN(4) as _;
        (*at).cmsg_level = libc::IPPROTO_IP;
        (*at).cmsg_type = libc::IP_TOS;
        CMSG_DATA(at).cast::<c_int>().write_unaligned(class.into());
        at = CMSG_NXTHDR(header, at);
        (*at).cmsg_len = CMSG_LEN(12) as _;
        (*at).cmsg_level = libc::IPPROTO_IP;
        (*at).cmsg_type = libc::IP_PKTINFO;
        let source = libc::in_addr { s_addr: u32::from_ne_bytes(source.octets()) };
        let info = libc::in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: source, ipi_addr: libc::in_addr { s_addr: 0 } };
        CMSG_DATA(at).cast::<libc::in_pktinfo>().write_unaligned(info);
    }
}

/// `IP_PKTINFO` and `IP_TOS`, which the kernel delivers in one byte.
#[inline(always)]
pub fn parse_class(header: &libc::msghdr) -> (Option<libc::in_pktinfo>, Option<u8>) {
    let mut found = (None, None);
    // SAFETY: the header describes what the kernel wrote.
    unsafe {
        let mut at = CMSG_FIRSTHDR(header);
        while !at.is_null() {
            match ((*at).cmsg_level, (*at).cmsg_type) {
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                    found.0 = Some(CMSG_DATA(at).cast::<libc::in_pktinfo>().read_unaligned())
                }
                (libc::IPPROTO_IP, libc::IP_TOS) => found.1 = Some(CMSG_DATA(at).read()),
                _ => {}
            }
            at = CMSG_NXTHDR(header, at);
        }
    }
    found
}

/// `UDP_SEGMENT`. The buffer is zeroed, as for `build`.
#[inline(always)]
pub fn build_segment(control: &mut Aligned<24>, header: &mut libc::msghdr, segment: u16) {
    header.msg_control = control.0.as_mut_ptr().cast();
    // SAFETY: the buffer is aligned, and long enough (asserted; the lengths are constants).
    unsafe {
        header.msg_controllen = CMSG_SPACE(2) as _;
        assert!(header.msg_controllen as usize <= control.0.len());
        let at = CMSG_FIRSTHDR(header);
        (*at).cmsg_len = CMSG_LEN(2) as _;
        (*at).cmsg_level = SOL_UDP;
        (*at).cmsg_type = UDP_SEGMENT;
        CMSG_DATA(at).cast::<u16>().write_unaligned(segment);
    }
}

/// `UDP_GRO`
#[inline(always)]
pub fn parse_gro(header: &libc::msghdr) -> Option<c_int> {
    let mut found = None;
    // SAFETY: the header describes what the kernel wrote.
    unsafe {
        let mut at = CMSG_FIRSTHDR(header);
        while !at.is_null() {
            if (*at).cmsg_level == SOL_UDP && (*at).cmsg_type == UDP_GRO {
                found = Some(CMSG_DATA(at).cast::<c_int>().read_unaligned());
            }
            at = CMSG_NXTHDR(header, at);
        }
    }
    found
}

/// The port of an IPv4 or IPv6 address.
#[inline(always)]
pub fn port(name: &[u8]) -> u16 {
    u16::from_be_bytes([name[2], name[3]])
}

/// The headers of a batch, which are kept.
pub struct Headers {
    iov: [libc::iovec; BATCH],
    headers: [libc::mmsghdr; BATCH],
}

impl Headers {
    #[allow(clippy::new_without_default, reason = "one way to make it is enough")]
    pub fn new() -> Self {
        let header = libc::mmsghdr { msg_hdr: super::header(), msg_len: 0 };
        Self { iov: [iovec(&[]); BATCH], headers: [header; BATCH] }
    }
}

/// sendmmsg(2): each of these, up to [`BATCH`], to one address; `control` gives each its control data.
#[inline(always)]
pub fn send_batch<const N: usize>(
    socket: BorrowedFd<'_>,
    name: &[u8],
    data: &[[u8; N]],
    Headers { iov, headers }: &mut Headers,
    mut control: impl FnMut(usize, &mut libc::msghdr),
) -> usize {
    let count = data.len().min(BATCH);
    for (n, ((header, iov), data)) in headers.iter_mut().zip(iov).zip(data).enumerate() {
        *iov = iovec(data);
        control(n, &mut header.msg_hdr);
        super::to(&mut header.msg_hdr, name);
        super::gather(&mut header.msg_hdr, std::slice::from_ref(iov));
    }
    // SAFETY: each of so many headers describes borrowed memory, which sendmmsg only reads.
    let sent = unsafe { libc::sendmmsg(socket.as_raw_fd(), headers.as_mut_ptr(), count as _, super::SEND_FLAGS as _) };
    assert!(sent >= 0, "{}", std::io::Error::last_os_error());
    sent as usize
}

/// Where a batch arrives.
pub struct Room<const N: usize> {
    /// The data of each.
    pub data: [[u8; N]; BATCH],
    names: [Aligned<16>; BATCH],
    control: [Aligned<64>; BATCH],
    headers: Headers,
}

impl<const N: usize> Room<N> {
    #[allow(clippy::new_without_default, reason = "one way to make it is enough")]
    pub fn new() -> Self {
        let (names, control) = ([const { Aligned([0; 16]) }; BATCH], [const { Aligned([0; 64]) }; BATCH]);
        Self { data: [[0; N]; BATCH], names, control, headers: Headers::new() }
    }
}

/// recvmmsg(2) of up to `count`, without waiting: how many came; of each its place, length, port and header.
#[inline(always)]
pub fn receive_batch<const N: usize>(
    socket: BorrowedFd<'_>,
    count: usize,
    room: &mut Room<N>,
    mut each: impl FnMut(usize, usize, u16, &libc::msghdr),
) -> usize {
    let (count, Headers { iov, headers }) = (count.min(BATCH), &mut room.headers);
    for n in 0..count {
        iov[n] = iovec_mut(&mut room.data[n]);
        let header = &mut headers[n].msg_hdr;
        header.msg_iov = &mut iov[n];
        header.msg_iovlen = 1;
        header.msg_name = room.names[n].0.as_mut_ptr().cast();
        header.msg_namelen = room.names[n].0.len() as _;
        header.msg_control = room.control[n].0.as_mut_ptr().cast();
        header.msg_controllen = room.control[n].0.len() as _;
    }
    let (fd, flags, wait) = (socket.as_raw_fd(), super::RECV_FLAGS | libc::MSG_DONTWAIT, std::ptr::null_mut());
    // SAFETY: each of so many headers describes memory that is borrowed exclusively; no timeout is given.
    let came = unsafe { libc::recvmmsg(fd, headers.as_mut_ptr(), count as _, flags as _, wait) };
    assert!(came >= 0, "{}", std::io::Error::last_os_error());
    for (n, (header, name)) in headers.iter().zip(&room.names).take(came as usize).enumerate() {
        each(n, header.msg_len as usize, port(&name.0), &header.msg_hdr);
    }
    came as usize
}
