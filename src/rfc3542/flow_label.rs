//! Where the flow label of packets comes from.

use std::{io, os::fd::AsFd};

use nix::libc::c_int;

use super::sticky::{int, set_int};

// include/uapi/linux/in6.h; libc lacks them on some systems.
const IPV6_FLOWINFO_SEND: c_int = 33;
const IPV6_AUTOFLOWLABEL: c_int = 70;

/// Whether packets get the flow label that the destination's address names (`IPV6_FLOWINFO_SEND`; Linux 2.2).
///
/// It is `sin6_flowinfo`, which a new socket ignores; network byte order. The traffic class there only helps to choose
/// the route. [`Ipv6FlowInfo`](crate::message::Ipv6FlowInfo) overrides it for one datagram. No privilege.
///
/// ```
/// use ancillary::rfc3542::Ipv6FlowInfoSend;
/// use std::net::{Ipv6Addr, SocketAddrV6};
/// # let Ok(socket) = std::net::UdpSocket::bind("[::1]:0") else { return Ok(()) }; // without IPv6
///
/// Ipv6FlowInfoSend(true).set(&socket)?;
/// assert_eq!(Ipv6FlowInfoSend::get(&socket)?, Ipv6FlowInfoSend(true));
/// let label = 0x12345u32;
/// socket.send_to(b"data", SocketAddrV6::new(Ipv6Addr::LOCALHOST, 9, label.to_be(), 0))?;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # References
///
/// RFC 3493 s. 3.3, RFC 6437 (RFC 3542 leaves flow labels out); net/ipv6/udp.c, `udpv6_sendmsg`
#[doc(alias = "IPV6_FLOWINFO_SEND")]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Ipv6FlowInfoSend(pub bool);

impl Ipv6FlowInfoSend {
    /// Says so to this socket.
    ///
    /// # Errors
    ///
    /// [`FamilyError`](crate::FamilyError) if the socket is not of AF_INET6.
    pub fn set(self, socket: impl AsFd) -> io::Result<()> {
        set_int(socket, IPV6_FLOWINFO_SEND, self.0.into())
    }

    /// What holds for this socket.
    ///
    /// # Errors
    ///
    /// As those of [`set`](Self::set).
    pub fn get(socket: impl AsFd) -> io::Result<Self> {
        int(socket, IPV6_FLOWINFO_SEND).map(|found| Self(found != 0))
    }
}

/// Whether packets without a flow label get one that the kernel makes of the flow's addresses and ports
/// (`IPV6_AUTOFLOWLABEL`; Linux 3.17).
///
/// A new socket does as `net.ipv6.auto_flowlabels` says, by default yes; where that is 0 or 3, the option has no effect.
/// No privilege.
///
/// ```
/// use ancillary::rfc3542::Ipv6AutoFlowLabel;
/// # let Ok(socket) = std::net::UdpSocket::bind("[::1]:0") else { return Ok(()) }; // without IPv6
///
/// Ipv6AutoFlowLabel(false).set(&socket)?;
/// assert_eq!(Ipv6AutoFlowLabel::get(&socket)?, Ipv6AutoFlowLabel(false));
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # References
///
/// RFC 6437 s. 3 (RFC 3542 leaves flow labels out); include/net/ipv6.h, `ip6_make_flowlabel`
#[doc(alias = "IPV6_AUTOFLOWLABEL")]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Ipv6AutoFlowLabel(pub bool);

impl Ipv6AutoFlowLabel {
    /// Says so to this socket.
    ///
    /// # Errors
    ///
    /// [`FamilyError`](crate::FamilyError) if the socket is not of AF_INET6.
    pub fn set(self, socket: impl AsFd) -> io::Result<()> {
        set_int(socket, IPV6_AUTOFLOWLABEL, self.0.into())
    }

    /// What holds for this socket.
    ///
    /// # Errors
    ///
    /// As those of [`set`](Self::set).
    pub fn get(socket: impl AsFd) -> io::Result<Self> {
        int(socket, IPV6_AUTOFLOWLABEL).map(|found| Self(found != 0))
    }
}
