//! The same for messages beyond the first ones: what a QUIC stack sends and receives, and the error queue.

use std::net::Ipv6Addr;

use nix::libc::{self, CMSG_DATA, CMSG_FIRSTHDR, CMSG_LEN, CMSG_NXTHDR, CMSG_SPACE, c_int};

use super::Aligned;

pub const SOL_UDP: c_int = 17;
pub const UDP_SEGMENT: c_int = 103;
pub const UDP_GRO: c_int = 104;

/// `UDP_SEGMENT`, `IPV6_TCLASS`, `IPV6_PKTINFO`. The buffer is zeroed, as for `build`.
#[inline(always)]
pub fn build_quic(control: &mut Aligned<88>, header: &mut libc::msghdr, segment: u16, class: u8, source: Ipv6Addr) {
    // SAFETY: the buffer is zeroed, aligned, and long enough (asserted; the lengths are constants).
    unsafe {
        let room = CMSG_SPACE(2) + CMSG_SPACE(4) + CMSG_SPACE(20);
        assert!(room as usize <= control.0.len());
        header.msg_control = control.0.as_mut_ptr().cast();
        header.msg_controllen = room as _;
        let mut at = CMSG_FIRSTHDR(header);
        (*at).cmsg_len = CMSG_LEN(2) as _;
        (*at).cmsg_level = SOL_UDP;
        (*at).cmsg_type = UDP_SEGMENT;
        CMSG_DATA(at).cast::<u16>().write_unaligned(segment);
        at = CMSG_NXTHDR(header, at);
        (*at).cmsg_len = CMSG_LEN(4) as _;
        (*at).cmsg_level = libc::IPPROTO_IPV6;
        (*at).cmsg_type = libc::IPV6_TCLASS;
        CMSG_DATA(at).cast::<c_int>().write_unaligned(class.into());
        at = CMSG_NXTHDR(header, at);
        (*at).cmsg_len = CMSG_LEN(20) as _;
        (*at).cmsg_level = libc::IPPROTO_IPV6;
        (*at).cmsg_type = libc::IPV6_PKTINFO;
        let info = libc::in6_pktinfo { ipi6_addr: libc::in6_addr { s6_addr: source.octets() }, ipi6_ifindex: 0 };
        CMSG_DATA(at).cast::<libc::in6_pktinfo>().write_unaligned(info);
    }
}

/// What a QUIC stack looks for.
#[derive(Clone, Copy, Default)]
pub struct Quic {
    /// `UDP_GRO`
    pub gro: Option<c_int>,
    /// `IPV6_TCLASS`
    pub class: Option<c_int>,
    /// `IPV6_PKTINFO`
    pub info: Option<libc::in6_pktinfo>,
    /// `SCM_TIMESTAMPNS`
    pub stamp: Option<libc::timespec>,
}

/// Reads them with the macros.
#[inline(always)]
pub fn parse_quic(header: &libc::msghdr) -> Quic {
    let mut found = Quic::default();
    // SAFETY: the header describes what the kernel would write.
    unsafe {
        let mut at = CMSG_FIRSTHDR(header);
        while !at.is_null() {
            match ((*at).cmsg_level, (*at).cmsg_type) {
                (SOL_UDP, UDP_GRO) => found.gro = Some(CMSG_DATA(at).cast::<c_int>().read_unaligned()),
                (libc::IPPROTO_IPV6, libc::IPV6_TCLASS) => {
                    found.class = Some(CMSG_DATA(at).cast::<c_int>().read_unaligned())
                }
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                    found.info = Some(CMSG_DATA(at).cast::<libc::in6_pktinfo>().read_unaligned())
                }
                (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => {
                    found.stamp = Some(CMSG_DATA(at).cast::<libc::timespec>().read_unaligned())
                }
                _ => {}
            }
            at = CMSG_NXTHDR(header, at);
        }
    }
    found
}

/// `struct scm_timestamping`
pub type Stamps = [libc::timespec; 3];

/// `SCM_TIMESTAMPING` and `IP_RECVERR` with its offender.
#[inline(always)]
pub fn parse_error(header: &libc::msghdr) -> (Option<Stamps>, Option<(libc::sock_extended_err, libc::sockaddr_in)>) {
    let mut found = (None, None);
    // SAFETY: as in `parse_quic`.
    unsafe {
        let mut at = CMSG_FIRSTHDR(header);
        while !at.is_null() {
            match ((*at).cmsg_level, (*at).cmsg_type) {
                (libc::SOL_SOCKET, libc::SCM_TIMESTAMPING) => {
                    found.0 = Some(CMSG_DATA(at).cast::<Stamps>().read_unaligned())
                }
                (libc::IPPROTO_IP, libc::IP_RECVERR) => {
                    found.1 =
                        Some(CMSG_DATA(at).cast::<(libc::sock_extended_err, libc::sockaddr_in)>().read_unaligned())
                }
                _ => {}
            }
            at = CMSG_NXTHDR(header, at);
        }
    }
    found
}
