//! Control messages of level `IPPROTO_IP`; see [ip(7)](https://man7.org/linux/man-pages/man7/ip.7.html).

#[cfg(linux_like)]
mod arrival;
#[cfg(linux_like)]
mod options;
#[cfg(linux_like)]
mod protocol;

#[cfg(linux_like)]
pub use arrival::{IpChecksum, IpOrigDstAddr, IpRecvFragSize};
#[cfg(linux_like)]
pub use options::{IpOptions, IpRecvOpts, IpRetOpts};
#[cfg(linux_like)]
pub use protocol::IpProtocol;

use std::{fmt, net::Ipv4Addr};

use nix::libc::{self, IPPROTO_IP, c_int};

#[cfg(linux_like)]
use super::rows::small_int;
use super::{SendControl, rows::byte};
use crate::{
    cmsg::{CmsgId, ControlOut, RawCmsg},
    error::{DecodeError, EncodeError},
    options::{Families, SocketOption},
};

// Numbers that libc lacks on some systems, from their netinet/in.h.
#[cfg(any(linux_like, apple, target_os = "freebsd", target_os = "dragonfly"))]
pub(super) use libc::IP_RECVTTL;
#[cfg(target_os = "netbsd")]
pub(super) const IP_RECVTTL: c_int = 23;
#[cfg(target_os = "openbsd")]
pub(super) const IP_RECVTTL: c_int = 31;
#[cfg(solarish)]
pub(super) const IP_RECVTTL: c_int = 11;
#[cfg(any(linux_like, apple, target_os = "freebsd"))]
pub(super) use libc::IP_RECVTOS;
#[cfg(target_os = "dragonfly")]
pub(super) const IP_RECVTOS: c_int = 68;
#[cfg(not(any(linux_like, apple, target_os = "freebsd", target_os = "dragonfly")))]
pub(super) const IP_RECVTOS: c_int = -1; // no such option there: setsockopt says ENOPROTOOPT
#[cfg(any(linux_like, apple, target_os = "netbsd", solarish))]
pub(super) use libc::IP_PKTINFO;
#[cfg(any(target_os = "freebsd", target_os = "openbsd", target_os = "dragonfly"))]
pub(super) const IP_PKTINFO: c_int = libc::IP_RECVDSTADDR;

/// Time to live of one IPv4 datagram (`IP_TTL`).
///
/// Received once enabled (`IP_RECVTTL`, Linux 2.2), also on an IPv6 socket for IPv4 peers; when sent (Linux 3.13) it
/// overrides the socket's own value for this datagram. No privilege. Not delivered by TCP.
///
/// ```
/// use ancillary::{ControlBuf, MsgHdr, SocketExt, message::IpTtl};
/// use std::net::UdpSocket;
///
/// # fn main() -> std::io::Result<()> {
/// # #[cfg(target_os = "linux")] {
/// let socket = UdpSocket::bind("127.0.0.1:0")?;
/// socket.enable::<IpTtl>()?;
/// MsgHdr::new().to(socket.local_addr()?).data(b"not far").control(IpTtl(3)).send(&socket)?;
/// let (mut data, mut control) = ([0; 16], ControlBuf::<IpTtl>::new());
/// assert_eq!(socket.recv_msg(&mut data, &mut control)?.extract(), Some(IpTtl(3))); // no router between
/// # }
/// # Ok(())
/// # }
/// ```
///
/// # Wire layout (Linux, both directions)
///
/// ```text
///   0        4
///   +--------+
///   |  ttl   |   c_int, host byte order, 1..=255
///   +--------+
/// ```
///
/// The other systems deliver one byte, under the number of `IP_RECVTTL`. illumos takes an int; the BSDs and macOS take
/// none with a datagram (`setsockopt(IP_TTL)` sets the socket's).
///
/// # Errors
///
/// Sending 0 is [`EncodeError::Value`] (the kernel's EINVAL, seen on Linux 6.18), and so is any on the BSDs and macOS,
/// where it would be ignored (macOS, OpenBSD) or refused (ENOPROTOOPT).
///
/// # References
///
/// [ip(7)](https://man7.org/linux/man-pages/man7/ip.7.html), `IP_TTL`, `IP_RECVTTL`; net/ipv4/ip_sockglue.c,
/// `ip_cmsg_send`
#[doc(alias = "IP_TTL")]
#[doc(alias = "IP_RECVTTL")]
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct IpTtl(pub u8);

impl IpTtl {
    #[cfg(any(linux_like, solarish))]
    const SENT: CmsgId = CmsgId::new(IPPROTO_IP, libc::IP_TTL);
    #[cfg(linux_like)]
    pub(crate) const RECEIVED: CmsgId = Self::SENT;
    #[cfg(not(linux_like))]
    pub(crate) const RECEIVED: CmsgId = CmsgId::new(IPPROTO_IP, IP_RECVTTL);
}

prints!(IpTtl);

#[cfg(not(any(linux_like, solarish)))]
impl SendControl<'_> for IpTtl {
    fn encode(&self, _: &mut ControlOut<'_, '_>) -> Result<(), EncodeError> {
        let expected = "the socket's own (this system takes none with a datagram)";
        Err(EncodeError::Value { field: "IP_TTL", expected, found: self.0.into() })
    }
}

#[cfg(any(linux_like, solarish))]
impl SendControl<'_> for IpTtl {
    #[inline(always)]
    fn encode(&self, out: &mut ControlOut<'_, '_>) -> Result<(), EncodeError> {
        // Checked afterwards: what follows is then written to the same place either way, and needs no second look.
        out.push(Self::SENT, &c_int::from(self.0).to_ne_bytes())?;
        if self.0 == 0 {
            return Err(EncodeError::Value { field: "IP_TTL", expected: "1..=255", found: 0 });
        }
        Ok(())
    }
}

impl IpTtl {
    #[cfg(linux_like)]
    #[inline(always)]
    fn read(cmsg: RawCmsg<'_>) -> Result<Self, DecodeError> {
        small_int(cmsg, "IP_TTL").map(Self)
    }

    #[cfg(not(linux_like))]
    #[inline(always)]
    fn read(cmsg: RawCmsg<'_>) -> Result<Self, DecodeError> {
        byte(cmsg, "IP_TTL").map(Self)
    }
}

receives!(IpTtl, Self::RECEIVED, 4, |cmsg| Self::read(cmsg), SocketOption::new(Families::INET, IPPROTO_IP, IP_RECVTTL));

/// Type of service of one IPv4 datagram: DSCP and ECN in one byte (`IP_TOS`).
///
/// Received once enabled (`IP_RECVTOS`, Linux 2.2), also on an IPv6 socket for IPv4 peers; when sent (Linux 3.13) it
/// overrides the socket's own value, DSCP included, and sets the packet's priority. No privilege. Not delivered by TCP.
/// [`TrafficClass`](super::TrafficClass) takes DSCP and ECN apart.
///
/// ```
/// use ancillary::{ControlBuf, MsgHdr, SocketExt, message::{IpTos, TrafficClass}};
/// use std::net::UdpSocket;
///
/// # fn main() -> std::io::Result<()> {
/// # #[cfg(target_os = "linux")] {
/// let socket = UdpSocket::bind("127.0.0.1:0")?;
/// socket.enable::<IpTos>()?;
/// MsgHdr::new().to(socket.local_addr()?).data(b"voice").control(IpTos(0xb8)).send(&socket)?;
/// let (mut data, mut control) = ([0; 16], ControlBuf::<IpTos>::new());
/// let tos = socket.recv_msg(&mut data, &mut control)?.extract().expect("enabled");
/// assert_eq!((tos, TrafficClass::from(tos).dscp()), (IpTos(0xb8), 46)); // expedited forwarding
/// # }
/// # Ok(())
/// # }
/// ```
///
/// # Wire layout (Linux)
///
/// ```text
///   received          sent
///   0     1           0        4
///   +-----+           +--------+
///   | tos |  u8       |  tos   |   c_int, host byte order (one byte is accepted too)
///   +-----+           +--------+
/// ```
///
/// `getsockopt(IP_PKTOPTIONS)` gives four bytes; both are read. FreeBSD and DragonFly take one byte, macOS an `int`; they
/// deliver one byte under the number of `IP_RECVTOS`. illumos takes an `int` and delivers none. NetBSD and OpenBSD have
/// neither: enabling it is ENOPROTOOPT.
///
/// # Errors
///
/// Sending on NetBSD and OpenBSD is [`EncodeError::Value`]: they would refuse it (ENOPROTOOPT) or ignore it.
///
/// # References
///
/// [ip(7)](https://man7.org/linux/man-pages/man7/ip.7.html), `IP_TOS`, `IP_RECVTOS`; net/ipv4/ip_sockglue.c,
/// `ip_cmsg_recv_tos`
#[doc(alias = "IP_TOS")]
#[doc(alias = "IP_RECVTOS")]
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct IpTos(pub u8);

impl IpTos {
    #[cfg(not(any(target_os = "netbsd", target_os = "openbsd")))]
    const SENT: CmsgId = CmsgId::new(IPPROTO_IP, libc::IP_TOS);
    #[cfg(linux_like)]
    pub(crate) const RECEIVED: CmsgId = Self::SENT;
    #[cfg(not(linux_like))]
    pub(crate) const RECEIVED: CmsgId = CmsgId::new(IPPROTO_IP, IP_RECVTOS);
}

impl fmt::Display for IpTos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#04x}", self.0)
    }
}

#[cfg(any(linux_like, apple, solarish))]
sends!(IpTos, Self::SENT, |tos| c_int::from(tos.0).to_ne_bytes());
#[cfg(any(target_os = "freebsd", target_os = "dragonfly"))]
sends!(IpTos, Self::SENT, |tos| [tos.0]);
#[cfg(any(target_os = "netbsd", target_os = "openbsd"))]
impl SendControl<'_> for IpTos {
    fn encode(&self, _: &mut ControlOut<'_, '_>) -> Result<(), EncodeError> {
        let expected = "the socket's own (this system takes none with a datagram)";
        Err(EncodeError::Value { field: "IP_TOS", expected, found: self.0.into() })
    }
}
receives!(
    usually 1,
    IpTos,
    Self::RECEIVED,
    4,
    |cmsg| byte(cmsg, "IP_TOS").map(Self),
    SocketOption::new(Families::INET, IPPROTO_IP, IP_RECVTOS)
);

/// Interface and addresses of one IPv4 datagram (`IP_PKTINFO`, `struct in_pktinfo`).
///
/// Received once enabled (`IP_PKTINFO`, Linux 2.2): `addr` is the destination in the header, `spec_dst` the local
/// address of the route, to reply from. When sent, `spec_dst` is the source address, `ifindex` the interface (0: any)
/// and `addr` is ignored. No privilege; the source must be a local address. [`PktInfo`](super::PktInfo) serves both
/// families and has the helpers for replies. Not delivered by TCP. On an IPv6 socket Linux honours it for IPv4-mapped
/// destinations alone.
///
/// ```
/// use ancillary::{ControlBuf, MsgHdr, SocketExt, message::IpPktInfo};
/// use std::net::{Ipv4Addr, UdpSocket};
///
/// # fn main() -> std::io::Result<()> {
/// # #[cfg(target_os = "linux")] {
/// let (server, client) = (UdpSocket::bind("0.0.0.0:0")?, UdpSocket::bind("0.0.0.0:0")?);
/// server.enable::<IpPktInfo>()?;
/// let from = Ipv4Addr::new(127, 0, 0, 7);
/// let to = (Ipv4Addr::new(127, 0, 0, 53), server.local_addr()?.port());
/// MsgHdr::new().to(to).data(b"from .7 to .53").control(IpPktInfo::source(from)).send(&client)?;
///
/// let (mut data, mut control) = ([0; 64], ControlBuf::<IpPktInfo>::new());
/// let message = server.recv_msg(&mut data, &mut control)?;
/// assert_eq!(message.extract().map(|info| info.addr), Some(to.0));
/// assert_eq!(message.peer().and_then(|peer| peer.as_inet()).map(|peer| peer.ip()), Some(from.into()));
/// # }
/// # Ok(())
/// # }
/// ```
///
/// # Wire layout (Linux, macOS, illumos)
///
/// ```text
///   0         4          8      12
///   +---------+----------+------+
///   | ifindex | spec_dst | addr |   c_int, host byte order; two addresses, network byte order
///   +---------+----------+------+
/// ```
///
/// NetBSD has `addr` and `ifindex`, eight bytes, and sends `spec_dst` as `addr`. FreeBSD, DragonFly and OpenBSD have two
/// messages, of which both are enabled and one value is made: the address (`IP_RECVDSTADDR`, four bytes), and the
/// interface (`IP_RECVIF`, a `struct sockaddr_dl`). Where only one of them has arrived, `ifindex` is 0 or the addresses
/// are 0.0.0.0. They take an address alone (`IP_SENDSRCADDR`), FreeBSD on sockets that are bound to a port and no
/// address. `spec_dst` is `addr` on all of these and on macOS; on illumos it is some address of the interface.
///
/// # Errors
///
/// Sending: ENETUNREACH if `spec_dst` is no local address (`IP_FREEBIND` and `IP_TRANSPARENT` lift that; EADDRNOTAVAIL
/// elsewhere), ENODEV if there is no such interface (ENXIO elsewhere). [`EncodeError::Value`] for an `ifindex` on
/// FreeBSD, DragonFly and OpenBSD, and on macOS for one beside a `spec_dst`, which that kernel would then ignore.
///
/// # References
///
/// [ip(7)](https://man7.org/linux/man-pages/man7/ip.7.html), `IP_PKTINFO`; net/ipv4/ip_sockglue.c,
/// `ip_cmsg_recv_pktinfo`
#[doc(alias = "IP_PKTINFO")]
#[doc(alias = "in_pktinfo")]
#[doc(alias = "IP_RECVDSTADDR")]
#[doc(alias = "IP_SENDSRCADDR")]
#[doc(alias = "IP_RECVIF")]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct IpPktInfo {
    /// Interface index (`ipi_ifindex`; [`interface`](crate::interface)); 0 to send: any.
    #[doc(alias = "ipi_ifindex")]
    pub ifindex: u32,
    /// Local address (`ipi_spec_dst`); the source when sent.
    #[doc(alias = "ipi_spec_dst")]
    pub spec_dst: Ipv4Addr,
    /// Destination in the header (`ipi_addr`); ignored when sent.
    #[doc(alias = "ipi_addr")]
    pub addr: Ipv4Addr,
}

impl IpPktInfo {
    pub(crate) const ID: CmsgId = CmsgId::new(IPPROTO_IP, IP_PKTINFO);

    /// To send from `source`, over any interface.
    pub const fn source(source: Ipv4Addr) -> Self {
        Self { ifindex: 0, spec_dst: source, addr: Ipv4Addr::UNSPECIFIED }
    }
}

impl fmt::Display for IpPktInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.addr)?;
        if self.spec_dst != self.addr {
            write!(f, " spec_dst {}", self.spec_dst)?;
        }
        write!(f, " if {}", self.ifindex)
    }
}

#[cfg(any(linux_like, apple, solarish))]
impl IpPktInfo {
    const WIRE: usize = 12;

    #[inline(always)]
    fn to_wire(self) -> [u8; Self::WIRE] {
        let ([i0, i1, i2, i3], [s0, s1, s2, s3], [a0, a1, a2, a3]) =
            (self.ifindex.to_ne_bytes(), self.spec_dst.octets(), self.addr.octets());
        [i0, i1, i2, i3, s0, s1, s2, s3, a0, a1, a2, a3]
    }

    #[inline(always)]
    fn from_wire(bytes: [u8; Self::WIRE]) -> Self {
        let [i0, i1, i2, i3, s0, s1, s2, s3, a0, a1, a2, a3] = bytes;
        let addr = Ipv4Addr::from([a0, a1, a2, a3]);
        Self {
            ifindex: u32::from_ne_bytes([i0, i1, i2, i3]),
            // macOS leaves it empty.
            spec_dst: if cfg!(apple) { addr } else { Ipv4Addr::from([s0, s1, s2, s3]) },
            addr,
        }
    }
}

#[cfg(any(linux_like, solarish, target_os = "netbsd"))]
sends!(IpPktInfo, Self::ID, |info| info.to_wire());
#[cfg(not(any(linux_like, solarish, target_os = "netbsd")))]
sends!(IpPktInfo, Self::ID, |info| info.sendable()?.to_wire());
#[cfg(any(linux_like, apple, solarish, target_os = "netbsd"))]
receives!(
    IpPktInfo,
    Self::ID,
    Self::WIRE,
    |cmsg| cmsg.array().map(Self::from_wire),
    SocketOption::new(Families::INET, IPPROTO_IP, IP_PKTINFO)
);
