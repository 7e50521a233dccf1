//! The same work by hand, with the C library and its macros.
//!
//! It is written for speed, as a careful C programmer would: no length is checked that the kernel guarantees.

#![allow(dead_code, reason = "each bench uses a part")]
#![allow(unreachable_pub, reason = "one module for several programs")]
#![allow(clippy::multiple_unsafe_ops_per_block, reason = "C")]
#![allow(clippy::missing_safety_doc, reason = "C")]
#![allow(clippy::unnecessary_cast, reason = "the widths differ between C libraries")]

#[cfg(target_os = "linux")]
pub mod batch;
#[cfg(target_os = "linux")]
pub mod catalogue;
#[cfg(target_os = "linux")]
pub mod plain;
#[cfg(target_os = "linux")]
pub mod stream;
#[cfg(target_os = "linux")]
pub mod udp;

use nix::libc;
use std::{
    mem::zeroed,
    net::Ipv4Addr,
    os::fd::{AsRawFd, BorrowedFd},
};

/// Room for a few small messages, aligned for a header.
#[repr(C, align(8))]
pub struct Aligned<const N: usize>(pub [u8; N]);

/// A header that is all zero.
#[inline(always)]
pub fn header() -> libc::msghdr {
    // SAFETY: msghdr is integers and raw pointers; all zero is a value of each.
    unsafe { zeroed() }
}

/// sendmsg(2) of these buffers.
#[inline(always)]
pub fn send(socket: BorrowedFd<'_>, iov: &[libc::iovec], control: &[u8]) -> usize {
    let mut header = header();
    gather(&mut header, iov);
    if !control.is_empty() {
        header.msg_control = control.as_ptr().cast_mut().cast();
        header.msg_controllen = control.len() as _;
    }
    sendmsg(socket, &header)
}

/// sendmsg(2), retried when a signal interrupts it.
#[inline(always)]
pub fn sendmsg(socket: BorrowedFd<'_>, header: &libc::msghdr) -> usize {
    loop {
        // SAFETY: the header describes borrowed memory, which sendmsg only reads.
        let sent = unsafe { libc::sendmsg(socket.as_raw_fd(), header, SEND_FLAGS) };
        if sent >= 0 {
            return sent as usize;
        }
        retry();
    }
}

/// recvmsg(2) into these buffers, with control data and the sender's name.
///
/// # Safety
///
/// * `iov` describes memory that is borrowed exclusively
#[inline(always)]
pub unsafe fn receive(
    socket: BorrowedFd<'_>,
    iov: &mut [libc::iovec],
    control: &mut [u8],
    name: &mut [u8],
) -> (usize, libc::msghdr) {
    let mut header = header();
    header.msg_name = name.as_mut_ptr().cast();
    header.msg_namelen = name.len() as _;
    header.msg_iov = iov.as_mut_ptr();
    header.msg_iovlen = iov.len() as _;
    header.msg_control = control.as_mut_ptr().cast();
    header.msg_controllen = control.len() as _;
    loop {
        // SAFETY: the header describes memory that is borrowed exclusively.
        let received = unsafe { libc::recvmsg(socket.as_raw_fd(), &mut header, RECV_FLAGS) };
        if received >= 0 {
            return (received as usize, header);
        }
        retry();
    }
}

#[cold]
#[inline(never)]
fn retry() {
    let error = std::io::Error::last_os_error();
    assert_eq!(error.kind(), std::io::ErrorKind::Interrupted, "{error}");
}

#[cfg(target_os = "linux")]
const SEND_FLAGS: libc::c_int = libc::MSG_NOSIGNAL;
#[cfg(not(target_os = "linux"))]
const SEND_FLAGS: libc::c_int = 0;

#[cfg(target_os = "linux")]
const RECV_FLAGS: libc::c_int = libc::MSG_CMSG_CLOEXEC;
#[cfg(not(target_os = "linux"))]
const RECV_FLAGS: libc::c_int = 0;

/// The destination (`msg_name`).
#[inline(always)]
pub fn to(header: &mut libc::msghdr, name: &[u8]) {
    header.msg_name = name.as_ptr().cast_mut().cast();
    header.msg_namelen = name.len() as _;
}

/// The buffers (`msg_iov`).
#[inline(always)]
pub fn gather(header: &mut libc::msghdr, iov: &[libc::iovec]) {
    header.msg_iov = iov.as_ptr().cast_mut();
    header.msg_iovlen = iov.len() as _;
}

/// One `SCM_RIGHTS` with these numbers.
#[inline(always)]
pub fn rights(control: &mut [u8; 1040], header: &mut libc::msghdr, fds: &[libc::c_int]) {
    let len = size_of_val(fds) as u32;
    header.msg_control = control.as_mut_ptr().cast();
    // SAFETY: the buffer is aligned by its owner, and long enough (asserted).
    unsafe {
        header.msg_controllen = libc::CMSG_SPACE(len) as _;
        assert!(header.msg_controllen as usize <= control.len());
        let at = libc::CMSG_FIRSTHDR(header);
        (*at).cmsg_len = libc::CMSG_LEN(len) as _;
        (*at).cmsg_level = libc::SOL_SOCKET;
        (*at).cmsg_type = libc::SCM_RIGHTS;
        libc::CMSG_DATA(at).copy_from_nonoverlapping(fds.as_ptr().cast(), len as usize);
    }
}

/// sendmsg(2) of data with descriptors.
#[inline(always)]
pub fn send_fds(socket: BorrowedFd<'_>, data: &[u8], fds: &[libc::c_int]) -> usize {
    let (mut control, iov) = (Aligned([0; 1040]), iovec(data));
    let mut header = header();
    gather(&mut header, std::slice::from_ref(&iov));
    rights(&mut control.0, &mut header, fds);
    sendmsg(socket, &header)
}

/// Receives descriptors, closes them, and says how many there were.
#[inline(always)]
pub fn receive_and_close(socket: BorrowedFd<'_>, data: &mut [u8]) -> usize {
    let (mut control, mut name) = (Aligned([0; 1040]), Aligned([0; 128]));
    // SAFETY: the entry describes `data`.
    let (_, header) = unsafe { receive(socket, &mut [iovec_mut(data)], &mut control.0, &mut name.0) };
    let mut count = 0;
    // SAFETY: the header describes what the kernel wrote; the descriptors in it are ours, and closed once.
    unsafe {
        let mut at = libc::CMSG_FIRSTHDR(&header);
        while !at.is_null() {
            if (*at).cmsg_level == libc::SOL_SOCKET && (*at).cmsg_type == libc::SCM_RIGHTS {
                let fds = libc::CMSG_DATA(at).cast::<libc::c_int>();
                let here = ((*at).cmsg_len as usize - libc::CMSG_LEN(0) as usize) / size_of::<libc::c_int>();
                for n in 0..here {
                    libc::close(fds.add(n).read_unaligned());
                }
                count += here;
            }
            at = libc::CMSG_NXTHDR(&header, at);
        }
    }
    count
}

/// An entry of `msg_iov` to read from.
#[inline(always)]
pub fn iovec(bytes: &[u8]) -> libc::iovec {
    libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() }
}

/// An entry of `msg_iov` to write to.
#[inline(always)]
pub fn iovec_mut(bytes: &mut [u8]) -> libc::iovec {
    libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() }
}

/// `IP_TTL` and `IP_PKTINFO` with CMSG_FIRSTHDR, CMSG_NXTHDR, CMSG_DATA; with `tos`, `IP_TOS` between them.
///
/// The buffer is zeroed: CMSG_NXTHDR of glibc reads the length of the header that is yet to be written. A TTL of 0 is
/// refused, as the kernel would (EINVAL), and as ours does.
#[cfg(target_os = "linux")]
#[inline(always)]
pub fn build<const N: usize>(
    control: &mut Aligned<N>,
    header: &mut libc::msghdr,
    ttl: u8,
    tos: Option<u8>,
    source: Ipv4Addr,
) -> bool {
    use libc::{CMSG_DATA, CMSG_FIRSTHDR, CMSG_LEN, CMSG_NXTHDR, CMSG_SPACE, c_int, in_pktinfo};

    if ttl == 0 {
        return false;
    }

    // SAFETY: the buffer is zeroed, aligned, and long enough (asserted; the lengths are constants).
    unsafe {
        let (int, info) = (size_of::<c_int>() as u32, size_of::<in_pktinfo>() as u32);
        let room = CMSG_SPACE(int) + CMSG_SPACE(info) + if tos.is_some() { CMSG_SPACE(int) } else { 0 };
        assert!(room as usize <= N);
        header.msg_control = control.0.as_mut_ptr().cast();
        header.msg_controllen = room as _;
        let mut at = CMSG_FIRSTHDR(header);
        (*at).cmsg_len = CMSG_LEN(int) as _;
        (*at).cmsg_level = libc::IPPROTO_IP;
        (*at).cmsg_type = libc::IP_TTL;
        CMSG_DATA(at).cast::<c_int>().write_unaligned(ttl.into());
        if let Some(tos) = tos {
            at = CMSG_NXTHDR(header, at);
            (*at).cmsg_len = CMSG_LEN(int) as _;
            (*at).cmsg_level = libc::IPPROTO_IP;
            (*at).cmsg_type = libc::IP_TOS;
            CMSG_DATA(at).cast::<c_int>().write_unaligned(tos.into());
        }
        at = CMSG_NXTHDR(header, at);
        (*at).cmsg_len = CMSG_LEN(info) as _;
        (*at).cmsg_level = libc::IPPROTO_IP;
        (*at).cmsg_type = libc::IP_PKTINFO;
        let source = libc::in_addr { s_addr: u32::from_ne_bytes(source.octets()) };
        let info = in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: source, ipi_addr: libc::in_addr { s_addr: 0 } };
        CMSG_DATA(at).cast::<in_pktinfo>().write_unaligned(info);
    }
    true
}

/// As many times `IP_TTL` as there are values; the length. The buffer is zeroed, as for `build`.
#[cfg(target_os = "linux")]
#[inline(always)]
pub fn build_ttls<const N: usize>(control: &mut Aligned<N>, header: &mut libc::msghdr, values: &[u8]) -> usize {
    use libc::{CMSG_DATA, CMSG_FIRSTHDR, CMSG_LEN, CMSG_NXTHDR, CMSG_SPACE, c_int};

    let int = size_of::<c_int>() as u32;
    // SAFETY: the buffer is zeroed, aligned, and long enough (asserted), so no header is null.
    unsafe {
        let room = CMSG_SPACE(int) as usize * values.len();
        assert!(room <= N);
        header.msg_control = control.0.as_mut_ptr().cast();
        header.msg_controllen = room as _;
        let mut at = CMSG_FIRSTHDR(header);
        for value in values {
            (*at).cmsg_len = CMSG_LEN(int) as _;
            (*at).cmsg_level = libc::IPPROTO_IP;
            (*at).cmsg_type = libc::IP_TTL;
            CMSG_DATA(at).cast::<c_int>().write_unaligned((*value).into());
            at = CMSG_NXTHDR(header, at);
        }
        room
    }
}

/// `IP_PKTINFO` and `IP_TTL`, read with CMSG_FIRSTHDR, CMSG_NXTHDR, CMSG_DATA.
#[cfg(target_os = "linux")]
#[inline(always)]
pub fn parse(header: &libc::msghdr) -> (Option<libc::in_pktinfo>, Option<libc::c_int>) {
    use libc::{CMSG_DATA, CMSG_FIRSTHDR, CMSG_NXTHDR, IP_PKTINFO, IP_TTL, IPPROTO_IP};

    let mut found = (None, None);
    // SAFETY: the header describes what the kernel, or `build`, wrote.
    unsafe {
        let mut at = CMSG_FIRSTHDR(header);
        while !at.is_null() {
            match ((*at).cmsg_level, (*at).cmsg_type) {
                (IPPROTO_IP, IP_PKTINFO) => found.0 = Some(CMSG_DATA(at).cast::<libc::in_pktinfo>().read_unaligned()),
                (IPPROTO_IP, IP_TTL) => found.1 = Some(CMSG_DATA(at).cast::<libc::c_int>().read_unaligned()),
                _ => {}
            }
            at = CMSG_NXTHDR(header, at);
        }
    }
    found
}

/// The same with `IP_TOS`, which arrives as one byte.
#[cfg(target_os = "linux")]
#[inline(always)]
pub fn parse3(header: &libc::msghdr) -> (Option<libc::in_pktinfo>, Option<libc::c_int>, Option<u8>) {
    use libc::{CMSG_DATA, CMSG_FIRSTHDR, CMSG_NXTHDR, IP_PKTINFO, IP_TOS, IP_TTL, IPPROTO_IP};

    let mut found = (None, None, None);
    // SAFETY: as in `parse`.
    unsafe {
        let mut at = CMSG_FIRSTHDR(header);
        while !at.is_null() {
            match ((*at).cmsg_level, (*at).cmsg_type) {
                (IPPROTO_IP, IP_PKTINFO) => found.0 = Some(CMSG_DATA(at).cast::<libc::in_pktinfo>().read_unaligned()),
                (IPPROTO_IP, IP_TTL) => found.1 = Some(CMSG_DATA(at).cast::<libc::c_int>().read_unaligned()),
                (IPPROTO_IP, IP_TOS) => found.2 = Some(*CMSG_DATA(at)),
                _ => {}
            }
            at = CMSG_NXTHDR(header, at);
        }
    }
    found
}

/// Packet info of either family.
#[cfg(target_os = "linux")]
#[derive(Clone, Copy)]
pub enum Info {
    /// `IP_PKTINFO`
    V4(libc::in_pktinfo),
    /// `IPV6_PKTINFO`
    V6(libc::in6_pktinfo),
}

/// The same for both families.
#[cfg(target_os = "linux")]
#[inline(always)]
pub fn parse_both(header: &libc::msghdr) -> (Option<Info>, Option<libc::c_int>) {
    use libc::{CMSG_DATA, CMSG_FIRSTHDR, CMSG_NXTHDR, IPPROTO_IP, IPPROTO_IPV6};
    use libc::{IP_PKTINFO, IP_TTL, IPV6_HOPLIMIT, IPV6_PKTINFO};

    let mut found = (None, None);
    // SAFETY: as in `parse`.
    unsafe {
        let mut at = CMSG_FIRSTHDR(header);
        while !at.is_null() {
            match ((*at).cmsg_level, (*at).cmsg_type) {
                (IPPROTO_IP, IP_PKTINFO) => {
                    found.0 = Some(Info::V4(CMSG_DATA(at).cast::<libc::in_pktinfo>().read_unaligned()))
                }
                (IPPROTO_IPV6, IPV6_PKTINFO) => {
                    found.0 = Some(Info::V6(CMSG_DATA(at).cast::<libc::in6_pktinfo>().read_unaligned()))
                }
                (IPPROTO_IP, IP_TTL) | (IPPROTO_IPV6, IPV6_HOPLIMIT) => {
                    found.1 = Some(CMSG_DATA(at).cast::<libc::c_int>().read_unaligned());
                }
                _ => {}
            }
            at = CMSG_NXTHDR(header, at);
        }
    }
    found
}

/// A header over control data that has arrived.
pub fn over(control: &mut [u8]) -> libc::msghdr {
    let mut header = header();
    header.msg_control = control.as_mut_ptr().cast();
    header.msg_controllen = control.len() as _;
    header
}

/// The control data of a message.
pub fn control_of(message: &ancillary::MsgHdr<'_>) -> Vec<u8> {
    let copy = |raw: &libc::msghdr| {
        // SAFETY: the header is valid during this call.
        unsafe { std::slice::from_raw_parts(raw.msg_control.cast::<u8>(), raw.msg_controllen as usize) }.to_vec()
    };
    message.with_raw(copy).expect("built without error")
}
