//! Packet info.

use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    os::fd::BorrowedFd,
};

use nix::libc;

use crate::{
    cmsg::{CmsgId, ControlOut, RawCmsg},
    error::{DecodeError, EncodeError},
    message::{IpPktInfo, Ipv6PktInfo, RecvControl, SendControl},
    options::Families,
};

/// Interface and addresses of one datagram, both families (`IP_PKTINFO`, `IPV6_PKTINFO`).
///
/// Enabled on an IPv6 socket it sets the IPv6 option alone, which reports IPv4 peers with a mapped address; enabling
/// both would deliver both. An IPv4-mapped address goes out as `IP_PKTINFO`, which works on IPv4 and dual-stack
/// sockets. Linux ignores a source of another family than the destination; after [`MsgHdr::to`](crate::MsgHdr::to) it
/// is [`EncodeError::Destination`].
///
/// FreeBSD, DragonFly and OpenBSD tell the address and the interface of an IPv4 datagram in two messages
/// (`IP_RECVDSTADDR`, `IP_RECVIF`): both are enabled, there is room for both, and one value is made of them. They take
/// no interface to send by, and macOS none beside a source: see [`IpPktInfo`].
///
/// A server bound to a wildcard address answers from the address it was asked on with [`reply`](Self::reply):
///
/// ```
/// use ancillary::{ControlBuf, MsgHdr, SocketExt, message::PktInfo};
/// use std::net::UdpSocket;
///
/// # fn main() -> std::io::Result<()> {
/// let server = UdpSocket::bind("0.0.0.0:0")?;
/// server.enable::<PktInfo>()?;
/// # let client = UdpSocket::bind("127.0.0.1:0")?;
/// # client.send_to(b"ping", ("127.0.0.9", server.local_addr()?.port()))?;
///
/// let (mut data, mut control) = ([0; 1500], ControlBuf::<PktInfo>::new());
/// let message = server.recv_msg(&mut data, &mut control)?;
/// let source = message.extract().and_then(|info| info.reply());
/// if let Err(error) = MsgHdr::new().to(message.peer()).data(message.data()).control(source).send(&server) {
///     eprintln!("{error}"); // one client's trouble is not the server's
/// }
/// # let (_, from) = client.recv_from(&mut [0; 9])?;
/// # assert_eq!(from.ip().to_string(), "127.0.0.9");
/// # Ok(())
/// # }
/// ```
#[doc(alias = "IP_PKTINFO")]
#[doc(alias = "IP_RECVDSTADDR")]
#[doc(alias = "IP_SENDSRCADDR")]
#[doc(alias = "IPV6_PKTINFO")]
#[doc(alias = "IPV6_RECVPKTINFO")]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum PktInfo {
    /// `IP_PKTINFO`
    V4(IpPktInfo),
    /// `IPV6_PKTINFO`
    V6(Ipv6PktInfo),
}

impl PktInfo {
    /// To send from `source`, over any interface.
    pub fn source(source: impl Into<IpAddr>) -> Self {
        match source.into() {
            IpAddr::V4(addr) => Self::V4(IpPktInfo::source(addr)),
            IpAddr::V6(addr) => Self::V6(Ipv6PktInfo::source(addr)),
        }
    }

    /// The same over this interface.
    ///
    /// ```
    /// use ancillary::{interface, message::PktInfo};
    /// use std::net::Ipv4Addr;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// # let Some(found) = interface::list()?.pop() else { return Ok(()) };
    /// # let name = &found.name;
    /// // A multicast by this interface, whatever the routes say; the source is its address.
    /// let info = PktInfo::source(Ipv4Addr::UNSPECIFIED).on_interface(interface::index(name)?);
    /// assert_eq!(info.ifindex(), interface::index(name)?);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn on_interface(mut self, index: u32) -> Self {
        match &mut self {
            Self::V4(info) => info.ifindex = index,
            Self::V6(info) => info.ifindex = index,
        }
        self
    }

    /// The interface it arrived on (received), or is to leave by (sent; 0: any).
    pub fn ifindex(&self) -> u32 {
        match self {
            Self::V4(info) => info.ifindex,
            Self::V6(info) => info.ifindex,
        }
    }

    /// The destination in the header of a received datagram, an IPv4-mapped one as IPv4.
    pub fn addr(&self) -> IpAddr {
        match self {
            Self::V4(info) => info.addr.into(),
            Self::V6(info) => IpAddr::V6(info.addr).to_canonical(),
        }
    }

    /// The local address, an IPv4-mapped one as IPv4: of the route for IPv4, the destination for IPv6.
    ///
    /// ```
    /// use ancillary::message::{IpPktInfo, PktInfo};
    /// use std::net::Ipv4Addr;
    ///
    /// // As it comes with a multicast: the answer has to leave from an address of this machine.
    /// let (group, own) = (Ipv4Addr::new(224, 0, 0, 251), Ipv4Addr::new(192, 0, 2, 7));
    /// let info = PktInfo::V4(IpPktInfo { ifindex: 2, spec_dst: own, addr: group });
    /// assert_eq!((info.addr(), info.spec_dst()), (group.into(), own.into()));
    /// # #[cfg(target_os = "linux")]
    /// assert_eq!(info.reply().map(|source| source.spec_dst()), Some(own.into()));
    /// ```
    pub fn spec_dst(&self) -> IpAddr {
        match self {
            Self::V4(info) => info.spec_dst.into(),
            Self::V6(info) => IpAddr::V6(info.addr).to_canonical(),
        }
    }

    /// What to send with a reply, so that it comes from the address that was asked; `None` if that is no source
    /// address (an IPv6 multicast group, or an IPv4 one mapped into IPv6).
    ///
    /// The interface is kept only for link-local IPv6, where the address alone says too little; elsewhere the route
    /// back may be another one. [`on_interface`](Self::on_interface) asks for it.
    pub fn reply(&self) -> Option<Self> {
        match *self {
            Self::V4(info) => {
                // What illumos says there is some address of the interface, not of the route.
                let source = match info.spec_dst.is_unspecified() || (cfg!(solarish) && is_source_v4(info.addr)) {
                    true => info.addr,
                    false => info.spec_dst,
                };
                is_source_v4(source).then(|| Self::source(source))
            }
            Self::V6(info) => match info.addr.to_ipv4_mapped() {
                Some(addr) => is_source_v4(addr).then(|| Self::source(addr)),
                None if info.addr.is_multicast() || info.addr.is_unspecified() => None,
                None if is_link_local(info.addr) => Some(*self),
                None => Some(Self::source(info.addr)),
            },
        }
    }
}

fn is_source_v4(addr: Ipv4Addr) -> bool {
    !(addr.is_multicast() || addr.is_broadcast() || addr.is_unspecified())
}

fn is_link_local(addr: Ipv6Addr) -> bool {
    addr.segments()[0] & 0xffc0 == 0xfe80
}

impl From<IpPktInfo> for PktInfo {
    fn from(info: IpPktInfo) -> Self {
        Self::V4(info)
    }
}

impl From<Ipv6PktInfo> for PktInfo {
    fn from(info: Ipv6PktInfo) -> Self {
        Self::V6(info)
    }
}

impl fmt::Display for PktInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4(info) => info.fmt(f),
            Self::V6(info) => info.fmt(f),
        }
    }
}

impl SendControl<'_> for PktInfo {
    #[inline(always)]
    fn encode(&self, out: &mut ControlOut<'_, '_>) -> Result<(), EncodeError> {
        let (v4, v6) = match *self {
            Self::V4(info) => (Some(info), None),
            Self::V6(info) => match info.addr.to_ipv4_mapped() {
                Some(addr) => (Some(IpPktInfo { ifindex: info.ifindex, ..IpPktInfo::source(addr) }), None),
                None => (None, Some(info)),
            },
        };
        let (expected, found) = (if v4.is_some() { libc::AF_INET } else { libc::AF_INET6 }, out.family());
        if found != expected && matches!(found, libc::AF_INET | libc::AF_INET6) {
            return Err(EncodeError::Destination { expected, found });
        }
        (v4, v6).encode(out)
    }
}

impl RecvControl for PktInfo {
    type Value<'a> = Self;
    const PAYLOAD_LEN: usize = match IpPktInfo::PAYLOAD_LEN > Ipv6PktInfo::PAYLOAD_LEN {
        true => IpPktInfo::PAYLOAD_LEN,
        false => Ipv6PktInfo::PAYLOAD_LEN,
    };

    #[inline(always)]
    fn matches(id: CmsgId) -> bool {
        IpPktInfo::matches(id) || Ipv6PktInfo::matches(id)
    }

    #[inline(always)]
    fn usual_len(id: CmsgId) -> Option<usize> {
        if Ipv6PktInfo::matches(id) { Ipv6PktInfo::usual_len(id) } else { IpPktInfo::usual_len(id) }
    }

    #[inline(always)]
    fn decode(cmsg: RawCmsg<'_>) -> Result<Self, DecodeError> {
        if Ipv6PktInfo::matches(cmsg.id()) {
            Ipv6PktInfo::decode(cmsg).map(Self::V6)
        } else {
            IpPktInfo::decode(cmsg).map(Self::V4)
        }
    }

    #[inline(always)]
    fn merge<'a>(earlier: Self::Value<'a>, later: Self::Value<'a>) -> Self::Value<'a> {
        match (earlier, later) {
            (Self::V4(earlier), Self::V4(later)) => Self::V4(IpPktInfo::merge(earlier, later)),
            _ => later,
        }
    }

    fn set_enabled(socket: BorrowedFd<'_>, on: bool) -> io::Result<()> {
        if Families::INET.require(socket)? == libc::AF_INET {
            IpPktInfo::set_enabled(socket, on)
        } else {
            Ipv6PktInfo::set_enabled(socket, on)
        }
    }
}
