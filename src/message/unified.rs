//! Messages that serve IPv4 and IPv6 together.

use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    os::fd::BorrowedFd,
};

use nix::libc;

use super::{IpPktInfo, IpTos, IpTtl, Ipv6HopLimit, Ipv6PktInfo, RecvControl, SendControl, TClass};
use crate::{
    cmsg::{CmsgId, ControlOut, RawCmsg},
    error::{DecodeError, EncodeError},
    socket::inet_family,
};

/// Enables the IPv6 option and, at best effort, the IPv4 one for mapped peers; on an IPv4 socket that one alone.
fn set_both<V4: RecvControl, V6: RecvControl>(socket: BorrowedFd<'_>, on: bool) -> io::Result<()> {
    if inet_family(socket)? == libc::AF_INET {
        return V4::set_enabled(socket, on);
    }
    V6::set_enabled(socket, on)?;
    // A system that refuses IPv4 options here has no IPv4 traffic on this socket either.
    let _ = V4::set_enabled(socket, on);
    Ok(())
}

/// Encodes for the destination's family, or for both if it is not known: the other level is ignored.
#[inline(always)]
fn encode_either<'fd>(
    out: &mut ControlOut<'_, 'fd>,
    v4: impl SendControl<'fd>,
    v6: impl SendControl<'fd>,
) -> Result<(), EncodeError> {
    if out.family() != libc::AF_INET6 {
        v4.encode(out)?;
    }
    if out.family() != libc::AF_INET {
        v6.encode(out)?;
    }
    Ok(())
}

/// Hop limit or time to live of one datagram, whichever the family calls it (`IPV6_HOPLIMIT`, `IP_TTL`).
///
/// Enabled on an IPv6 socket it sets both options, since Linux reports an IPv4 peer's only as `IP_TTL`. Sent to a known
/// destination it goes out in that family's form, else in both. 0 is refused: IPv4 has no such value.
///
/// See [`IpTtl`] and [`Ipv6HopLimit`] for the layouts.
#[doc(alias = "IP_TTL")]
#[doc(alias = "IP_RECVTTL")]
#[doc(alias = "IPV6_HOPLIMIT")]
#[doc(alias = "IPV6_RECVHOPLIMIT")]
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct HopLimit(pub u8);

impl From<IpTtl> for HopLimit {
    fn from(ttl: IpTtl) -> Self {
        Self(ttl.0)
    }
}

impl From<Ipv6HopLimit> for HopLimit {
    fn from(hops: Ipv6HopLimit) -> Self {
        Self(hops.0)
    }
}

impl fmt::Display for HopLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl SendControl<'_> for HopLimit {
    #[inline(always)]
    fn encode(&self, out: &mut ControlOut<'_, '_>) -> Result<(), EncodeError> {
        if self.0 == 0 {
            return Err(EncodeError::Value { field: "hop limit", expected: "1..=255", found: 0 });
        }
        encode_either(out, IpTtl(self.0), Ipv6HopLimit(self.0))
    }
}

impl RecvControl for HopLimit {
    type Value<'a> = Self;
    const PAYLOAD_LEN: usize = 4;

    #[inline(always)]
    fn matches(id: CmsgId) -> bool {
        IpTtl::matches(id) || Ipv6HopLimit::matches(id)
    }

    #[inline(always)]
    fn decode(cmsg: RawCmsg<'_>) -> Result<Self, DecodeError> {
        if Ipv6HopLimit::matches(cmsg.id()) {
            Ipv6HopLimit::decode(cmsg).map(|hops| Self(hops.0))
        } else {
            IpTtl::decode(cmsg).map(|ttl| Self(ttl.0))
        }
    }

    fn set_enabled(socket: BorrowedFd<'_>, on: bool) -> io::Result<()> {
        set_both::<IpTtl, Ipv6HopLimit>(socket, on)
    }
}

/// Explicit congestion notification: the low two bits of a traffic class (RFC 3168 s. 5).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Ecn {
    /// Not ECN-capable transport (00).
    NotEct,
    /// ECN-capable transport, codepoint 1 (01).
    Ect1,
    /// ECN-capable transport, codepoint 0 (10).
    Ect0,
    /// Congestion experienced (11).
    Ce,
}

impl Ecn {
    /// The two bits.
    pub const fn bits(self) -> u8 {
        match self {
            Self::NotEct => 0,
            Self::Ect1 => 1,
            Self::Ect0 => 2,
            Self::Ce => 3,
        }
    }

    /// From the low two bits; the others are ignored.
    pub const fn from_bits(bits: u8) -> Self {
        match bits & 3 {
            0 => Self::NotEct,
            1 => Self::Ect1,
            2 => Self::Ect0,
            _ => Self::Ce,
        }
    }
}

/// Traffic class or type of service of one datagram, DSCP and ECN apart (`IPV6_TCLASS`, `IP_TOS`).
///
/// Enabled on an IPv6 socket it sets both options, since Linux reports an IPv4 peer's only as `IP_TOS`. Sent to a known
/// destination it goes out in that family's form, else in both. It replaces the socket's whole byte: to set ECN alone
/// give the DSCP too.
///
/// ```
/// use ancillary::message::{Ecn, TrafficClass};
///
/// let class = TrafficClass::new(46, Ecn::Ect0); // expedited forwarding
/// assert_eq!((class.0, class.dscp(), class.ecn()), (0xba, 46, Ecn::Ect0));
/// ```
///
/// See [`IpTos`] and [`TClass`] for the layouts; RFC 2474 s. 3 for DSCP.
#[doc(alias = "IP_TOS")]
#[doc(alias = "IP_RECVTOS")]
#[doc(alias = "IPV6_TCLASS")]
#[doc(alias = "IPV6_RECVTCLASS")]
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct TrafficClass(pub u8);

impl TrafficClass {
    /// Of a DSCP (its low six bits) and an ECN.
    pub const fn new(dscp: u8, ecn: Ecn) -> Self {
        Self(dscp << 2 | ecn.bits())
    }

    /// The differentiated services codepoint, 0..=63.
    pub const fn dscp(self) -> u8 {
        self.0 >> 2
    }

    /// The congestion bits.
    pub const fn ecn(self) -> Ecn {
        Ecn::from_bits(self.0)
    }
}

impl From<IpTos> for TrafficClass {
    fn from(tos: IpTos) -> Self {
        Self(tos.0)
    }
}

impl From<TClass> for TrafficClass {
    fn from(class: TClass) -> Self {
        Self(class.0)
    }
}

impl fmt::Display for TrafficClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#04x}", self.0)
    }
}

impl SendControl<'_> for TrafficClass {
    #[inline(always)]
    fn encode(&self, out: &mut ControlOut<'_, '_>) -> Result<(), EncodeError> {
        encode_either(out, IpTos(self.0), TClass(self.0))
    }
}

impl RecvControl for TrafficClass {
    type Value<'a> = Self;
    const PAYLOAD_LEN: usize = 4;

    #[inline(always)]
    fn matches(id: CmsgId) -> bool {
        IpTos::matches(id) || TClass::matches(id)
    }

    #[inline(always)]
    fn decode(cmsg: RawCmsg<'_>) -> Result<Self, DecodeError> {
        if TClass::matches(cmsg.id()) {
            TClass::decode(cmsg).map(|class| Self(class.0))
        } else {
            IpTos::decode(cmsg).map(|tos| Self(tos.0))
        }
    }

    fn set_enabled(socket: BorrowedFd<'_>, on: bool) -> io::Result<()> {
        set_both::<IpTos, TClass>(socket, on)
    }
}

/// Interface and addresses of one datagram, both families (`IP_PKTINFO`, `IPV6_PKTINFO`).
///
/// Enabled on an IPv6 socket it sets the IPv6 option alone, which reports IPv4 peers with a mapped address; enabling
/// both would deliver both. An IPv4-mapped address goes out as `IP_PKTINFO`, which works on IPv4 and dual-stack sockets.
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
/// MsgHdr::new().to(message.peer()).data(message.data()).control(source).send(&server)?;
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
                let source = if info.spec_dst.is_unspecified() { info.addr } else { info.spec_dst };
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
        match self {
            Self::V4(info) => info.encode(out),
            Self::V6(info) => match info.addr.to_ipv4_mapped() {
                Some(addr) => IpPktInfo { ifindex: info.ifindex, ..IpPktInfo::source(addr) }.encode(out),
                None => info.encode(out),
            },
        }
    }
}

impl RecvControl for PktInfo {
    type Value<'a> = Self;
    const PAYLOAD_LEN: usize = Ipv6PktInfo::PAYLOAD_LEN;

    #[inline(always)]
    fn matches(id: CmsgId) -> bool {
        IpPktInfo::matches(id) || Ipv6PktInfo::matches(id)
    }

    #[inline(always)]
    fn decode(cmsg: RawCmsg<'_>) -> Result<Self, DecodeError> {
        if Ipv6PktInfo::matches(cmsg.id()) {
            Ipv6PktInfo::decode(cmsg).map(Self::V6)
        } else {
            IpPktInfo::decode(cmsg).map(Self::V4)
        }
    }

    fn set_enabled(socket: BorrowedFd<'_>, on: bool) -> io::Result<()> {
        if inet_family(socket)? == libc::AF_INET {
            IpPktInfo::set_enabled(socket, on)
        } else {
            Ipv6PktInfo::set_enabled(socket, on)
        }
    }
}
