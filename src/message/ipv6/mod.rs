//! Control messages of level `IPPROTO_IPV6`; see [ipv6(7)](https://man7.org/linux/man-pages/man7/ipv6.7.html), RFC
//! 3542.

#[cfg(linux_like)]
mod arrival;
#[cfg(linux_like)]
mod flow_info;
#[cfg(linux_like)]
mod headers;
mod options;
#[cfg(linux_like)]
mod path_mtu;
#[cfg(linux_like)]
mod rfc2292;

#[cfg(linux_like)]
pub use arrival::{Ipv6OrigDstAddr, Ipv6RecvFragSize};
#[cfg(linux_like)]
pub use flow_info::Ipv6FlowInfo;
#[cfg(linux_like)]
pub use headers::{Ipv6DstOpts, Ipv6HopOpts, Ipv6Rthdr, Ipv6RthdrDstOpts};
pub use options::Ipv6Options;
#[cfg(linux_like)]
pub use path_mtu::{Ipv6DontFrag, Ipv6PathMtu};
#[cfg(linux_like)]
pub use rfc2292::Rfc2292;

use std::{fmt, net::Ipv6Addr};

use nix::libc::{self, IPPROTO_IPV6, c_int};

use super::rows::{field, small_int};
use crate::{
    cmsg::CmsgId,
    options::{Families, SocketOption},
};

// Numbers that libc lacks on some systems, from their netinet6/in6.h.
#[cfg(any(linux_like, apple, target_os = "freebsd"))]
use libc::{IPV6_HOPLIMIT, IPV6_RECVHOPLIMIT};
#[cfg(solarish)]
const IPV6_HOPLIMIT: c_int = 12;
#[cfg(solarish)]
const IPV6_RECVHOPLIMIT: c_int = 19;
#[cfg(not(any(linux_like, apple, target_os = "freebsd", solarish)))]
const IPV6_HOPLIMIT: c_int = 47;
#[cfg(not(any(linux_like, apple, target_os = "freebsd", solarish)))]
const IPV6_RECVHOPLIMIT: c_int = 37;

/// Hop limit of one IPv6 datagram (`IPV6_HOPLIMIT`).
///
/// Received once enabled (`IPV6_RECVHOPLIMIT`, Linux 2.6.14); when sent it overrides the socket's own value. Linux
/// neither delivers nor honours it for IPv4-mapped peers: [`HopLimit`](super::HopLimit) serves both. No privilege; 0
/// is accepted and sent (seen on Linux 6.18). For the socket's own value (-1 in C) leave it out.
///
/// ```
/// use ancillary::{ControlBuf, MsgHdr, SocketExt, message::Ipv6HopLimit};
/// # let Ok(socket) = std::net::UdpSocket::bind("[::1]:0") else { return Ok(()) }; // without IPv6
///
/// socket.enable::<Ipv6HopLimit>()?;
/// MsgHdr::new().to(socket.local_addr()?).data(b"data").control(Ipv6HopLimit(16)).send(&socket)?;
/// let (mut data, mut control) = ([0; 16], ControlBuf::<Ipv6HopLimit>::new());
/// assert_eq!(socket.recv_msg(&mut data, &mut control)?.extract(), Some(Ipv6HopLimit(16)));
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Wire layout
///
/// ```text
///   0           4
///   +-----------+
///   | hop limit |   int, host byte order
///   +-----------+
/// ```
///
/// # References
///
/// RFC 3542 s. 6.3; net/ipv6/datagram.c, `ip6_datagram_send_ctl`
#[doc(alias = "IPV6_HOPLIMIT")]
#[doc(alias = "IPV6_RECVHOPLIMIT")]
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Ipv6HopLimit(pub u8);

impl Ipv6HopLimit {
    pub(crate) const ID: CmsgId = CmsgId::new(IPPROTO_IPV6, IPV6_HOPLIMIT);
}

prints!(Ipv6HopLimit);

sends!(Ipv6HopLimit, Self::ID, |value| c_int::from(value.0).to_ne_bytes());
receives!(
    Ipv6HopLimit,
    Self::ID,
    4,
    |cmsg| small_int(cmsg, "IPV6_HOPLIMIT").map(Self),
    SocketOption::new(Families::INET6, IPPROTO_IPV6, IPV6_RECVHOPLIMIT)
);

/// Traffic class of one IPv6 datagram: DSCP and ECN in one byte (`IPV6_TCLASS`).
///
/// Received once enabled (`IPV6_RECVTCLASS`, Linux 2.6.14); when sent it overrides the socket's own value, DSCP
/// included. Linux neither delivers nor honours it for IPv4-mapped peers: [`TrafficClass`](super::TrafficClass)
/// serves both. No privilege.
///
/// ```
/// use ancillary::{ControlBuf, MsgHdr, SocketExt, message::TClass};
/// # let Ok(socket) = std::net::UdpSocket::bind("[::1]:0") else { return Ok(()) }; // without IPv6
///
/// socket.enable::<TClass>()?;
/// MsgHdr::new().to(socket.local_addr()?).data(b"data").control(TClass(0x08)).send(&socket)?;
/// let (mut data, mut control) = ([0; 16], ControlBuf::<TClass>::new());
/// assert_eq!(socket.recv_msg(&mut data, &mut control)?.extract(), Some(TClass(0x08)));
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Wire layout
///
/// ```text
///   0               4
///   +---------------+
///   | traffic class |   int, host byte order
///   +---------------+
/// ```
///
/// # References
///
/// RFC 3542 s. 6.5; net/ipv6/datagram.c, `ip6_datagram_send_ctl`
#[doc(alias = "IPV6_TCLASS")]
#[doc(alias = "IPV6_RECVTCLASS")]
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct TClass(pub u8);

impl TClass {
    pub(crate) const ID: CmsgId = CmsgId::new(IPPROTO_IPV6, libc::IPV6_TCLASS);
}

impl fmt::Display for TClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#04x}", self.0)
    }
}

sends!(TClass, Self::ID, |value| c_int::from(value.0).to_ne_bytes());
receives!(
    TClass,
    Self::ID,
    4,
    |cmsg| small_int(cmsg, "IPV6_TCLASS").map(Self),
    SocketOption::new(Families::INET6, IPPROTO_IPV6, libc::IPV6_RECVTCLASS)
);

/// Interface and address of one IPv6 datagram (`IPV6_PKTINFO`, `struct in6_pktinfo`).
///
/// Received once enabled (`IPV6_RECVPKTINFO`, Linux 2.6.14), with an IPv4-mapped address for IPv4 peers: `addr` is the
/// destination in the header. When sent, `addr` is the source (`::`: any) and `ifindex` the interface (0: any). No
/// privilege; the source must be a local address. [`PktInfo`](super::PktInfo) serves both families and has the
/// helpers for replies.
///
/// ```
/// use ancillary::{ControlBuf, MsgHdr, SocketExt, message::Ipv6PktInfo};
/// use std::net::Ipv6Addr;
/// # let Ok(socket) = std::net::UdpSocket::bind("[::1]:0") else { return Ok(()) }; // without IPv6
///
/// socket.enable::<Ipv6PktInfo>()?;
/// let source = Ipv6PktInfo::source(Ipv6Addr::LOCALHOST);
/// MsgHdr::new().to(socket.local_addr()?).data(b"data").control(source).send(&socket)?;
/// let (mut data, mut control) = ([0; 16], ControlBuf::<Ipv6PktInfo>::new());
/// let info = socket.recv_msg(&mut data, &mut control)?.extract().unwrap();
/// assert_eq!(info.addr, Ipv6Addr::LOCALHOST);
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Wire layout
///
/// ```text
///   0       16        20
///   +-------+---------+
///   | addr  | ifindex |   network byte order; unsigned int, host byte order
///   +-------+---------+
/// ```
///
/// Linux accepts longer payloads when sent and delivers exactly 20 bytes.
///
/// # Errors
///
/// Sending: EINVAL if `addr` is no local address or is link-local without an interface, ENODEV if there is no such
/// interface. To an IPv4-mapped destination only a mapped `addr` is accepted; an IPv4 socket ignores the message.
///
/// # References
///
/// RFC 3542 s. 6.1 and 6.2; net/ipv6/datagram.c, `ip6_datagram_recv_common_ctl`
#[doc(alias = "IPV6_PKTINFO")]
#[doc(alias = "IPV6_RECVPKTINFO")]
#[doc(alias = "in6_pktinfo")]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Ipv6PktInfo {
    /// Destination received, source sent (`ipi6_addr`).
    #[doc(alias = "ipi6_addr")]
    pub addr: Ipv6Addr,
    /// Interface index (`ipi6_ifindex`; [`interface`](crate::interface)); 0 to send: any.
    #[doc(alias = "ipi6_ifindex")]
    pub ifindex: u32,
}

impl Ipv6PktInfo {
    pub(crate) const ID: CmsgId = CmsgId::new(IPPROTO_IPV6, libc::IPV6_PKTINFO);

    /// To send from `source`, over any interface.
    pub const fn source(source: Ipv6Addr) -> Self {
        Self { addr: source, ifindex: 0 }
    }
}

impl fmt::Display for Ipv6PktInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} if {}", self.addr, self.ifindex)
    }
}

impl Ipv6PktInfo {
    #[inline(always)]
    pub(crate) fn to_wire(self) -> [u8; 20] {
        let mut payload = [0; 20];
        payload[..16].copy_from_slice(&self.addr.octets());
        payload[16..].copy_from_slice(&self.ifindex.to_ne_bytes());
        payload
    }

    #[inline(always)]
    fn from_wire(payload: [u8; 20]) -> Self {
        let (addr, ifindex) = (field::<0, 16, 20>(&payload), field::<16, 4, 20>(&payload));
        Self { addr: addr.into(), ifindex: u32::from_ne_bytes(ifindex) }
    }
}

sends!(Ipv6PktInfo, Self::ID, |info| info.to_wire());
receives!(
    Ipv6PktInfo,
    Self::ID,
    20,
    |cmsg| cmsg.array().map(Self::from_wire),
    SocketOption::new(Families::INET6, IPPROTO_IPV6, libc::IPV6_RECVPKTINFO)
);
