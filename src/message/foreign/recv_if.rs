//! The interface that a datagram came in by.

use nix::libc::{self, IPPROTO_IP};

use crate::{
    cmsg::CmsgId,
    options::{Families, SocketOption},
};

#[cfg(not(solarish))]
use libc::IP_RECVIF;
#[cfg(solarish)]
const IP_RECVIF: libc::c_int = 9; // netinet/in.h

/// The interface that one IPv4 datagram came in by (`IP_RECVIF`; not Linux, whose
/// [`IpPktInfo`](crate::message::IpPktInfo) says it).
///
/// Received once enabled (`IP_RECVIF`), by UDP and raw sockets; 0 where the system no longer knows the interface. No
/// privilege. [`PktInfo`](crate::message::PktInfo) says it on every system, with the address.
///
/// # Wire layout
///
/// ```text
///   BSDs, macOS: struct sockaddr_dl                       illumos
///   0     1        2       4                sdl_len       0       4
///   +-----+--------+-------+-------------------+          +-------+
///   | len | family | index | type, name, address |        | index |   unsigned int
///   +-----+--------+-------+-------------------+          +-------+
/// ```
///
/// The index is in host byte order. Name and address are the interface's own and are not read:
/// [`interface::name`](crate::interface::name) gives the name.
///
/// # References
///
/// ip(4) of [FreeBSD](https://man.freebsd.org/cgi/man.cgi?query=ip&sektion=4) and
/// [OpenBSD](https://man.openbsd.org/ip.4); sys/netinet/ip_input.c, `ip_savecontrol`; illumos:
/// uts/common/inet/ip/conn_opt.c, `conn_recvancillary_add`
#[doc(alias = "IP_RECVIF")]
#[doc(alias = "sockaddr_dl")]
#[doc(alias = "sdl_index")]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct IpRecvIf(pub u32);

impl IpRecvIf {
    pub(crate) const ID: CmsgId = CmsgId::new(IPPROTO_IP, IP_RECVIF);

    /// FreeBSD delivers at most a `struct sockaddr_dl` (54 bytes) and 32 more; the others less.
    #[cfg(not(solarish))]
    const LEN: usize = 88;
    #[cfg(solarish)]
    const LEN: usize = 4;
}

prints!(IpRecvIf);

#[cfg(not(solarish))]
receives!(
    IpRecvIf,
    Self::ID,
    Self::LEN,
    |cmsg| super::wire::link_index(cmsg.payload()).map(Self),
    SocketOption::new(Families::INET, IPPROTO_IP, IP_RECVIF)
);
#[cfg(solarish)]
receives!(
    IpRecvIf,
    Self::ID,
    Self::LEN,
    |cmsg| cmsg.array().map(u32::from_ne_bytes).map(Self),
    SocketOption::new(Families::INET, IPPROTO_IP, IP_RECVIF)
);
