//! How an IPv6 datagram came: original destination, fragments.

use std::net::SocketAddrV6;

use nix::libc::{self, IPPROTO_IPV6, c_int};

use crate::{
    cmsg::CmsgId,
    message::rows::{count, sockaddr_in6},
    options::{Families, SocketOption},
};

// include/uapi/linux/in6.h; libc lacks it on some systems.
const IPV6_ORIGDSTADDR: c_int = 74;

/// Destination of one IPv6 datagram as its header says, with the port (`IPV6_ORIGDSTADDR`, `struct sockaddr_in6`).
///
/// Received once enabled (`IPV6_RECVORIGDSTADDR`, Linux 2.6.37): for transparent proxies (`IPV6_TRANSPARENT`), where it
/// is not the socket's own address. The scope is set for link-local addresses; the port is that of UDP, on raw and ping
/// sockets whatever stands in its place. Not for IPv4-mapped peers: [`OrigDst`](crate::message::OrigDst) serves both
/// families. No privilege.
///
/// ```
/// use ancillary::{ControlBuf, SocketExt, message::Ipv6OrigDstAddr};
/// use std::net::{Ipv6Addr, SocketAddrV6, UdpSocket};
///
/// # fn main() -> std::io::Result<()> {
/// # if UdpSocket::bind("[::1]:0").is_err() { return Ok(()) } // without IPv6
/// let socket = UdpSocket::bind("[::]:0")?;
/// socket.enable::<Ipv6OrigDstAddr>()?;
/// let asked = SocketAddrV6::new(Ipv6Addr::LOCALHOST, socket.local_addr()?.port(), 0, 0);
/// socket.send_to(b"where to?", asked)?;
/// let (mut data, mut control) = ([0; 16], ControlBuf::<Ipv6OrigDstAddr>::new());
/// assert_eq!(socket.recv_msg(&mut data, &mut control)?.extract(), Some(Ipv6OrigDstAddr(asked)));
/// # Ok(())
/// # }
/// ```
///
/// # Wire layout
///
/// ```text
///   0        2      4          8      24         28
///   +--------+------+----------+------+----------+
///   | family | port | flowinfo | addr | scope id |   host byte order, AF_INET6; three in network byte order;
///   +--------+------+----------+------+----------+   u32, host byte order
/// ```
///
/// # References
///
/// net/ipv6/datagram.c, `ip6_datagram_recv_specific_ctl`
#[doc(alias = "IPV6_ORIGDSTADDR")]
#[doc(alias = "IPV6_RECVORIGDSTADDR")]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Ipv6OrigDstAddr(pub SocketAddrV6);

impl Ipv6OrigDstAddr {
    pub(crate) const ID: CmsgId = CmsgId::new(IPPROTO_IPV6, IPV6_ORIGDSTADDR);
}

prints!(Ipv6OrigDstAddr);

receives!(
    Ipv6OrigDstAddr,
    Self::ID,
    28,
    |cmsg| sockaddr_in6(&cmsg.array()?).map(Self),
    SocketOption::new(Families::INET6, IPPROTO_IPV6, IPV6_ORIGDSTADDR)
);

/// Size of the largest fragment that one IPv6 datagram came in, with its headers (`IPV6_RECVFRAGSIZE`).
///
/// Received once enabled (`IPV6_RECVFRAGSIZE`, Linux 4.9); absent where the datagram came in one piece. Not for
/// IPv4-mapped peers: [`FragSize`](crate::message::FragSize) serves both families. No privilege.
///
/// ```
/// use ancillary::{message::{Ipv6RecvFragSize, RecvList}, parser};
/// # use ancillary::{ControlList, RawCmsg, cmsg::CmsgId};
///
/// # let arrived = ControlList::new(RawCmsg::new(CmsgId::new(41, 77), &1280i32.to_ne_bytes()))?;
/// # let cmsgs = parser::cmsgs(arrived.as_bytes());
/// match Ipv6RecvFragSize::extract(cmsgs) { // of a message: `message.extract()`
///     Some(Ipv6RecvFragSize(largest)) => assert_eq!(largest, 1280), // the least that every path takes
///     None => println!("it came in one piece"),
/// }
/// # Ok::<(), ancillary::EncodeError>(())
/// ```
///
/// # Wire layout
///
/// ```text
///   0      4
///   +------+
///   | size |   int, host byte order
///   +------+
/// ```
///
/// # References
///
/// net/ipv6/datagram.c, `ip6_datagram_recv_specific_ctl`
#[doc(alias = "IPV6_RECVFRAGSIZE")]
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Ipv6RecvFragSize(pub u32);

impl Ipv6RecvFragSize {
    pub(crate) const ID: CmsgId = CmsgId::new(IPPROTO_IPV6, libc::IPV6_RECVFRAGSIZE);
}

prints!(Ipv6RecvFragSize);

receives!(
    Ipv6RecvFragSize,
    Self::ID,
    4,
    |cmsg| count(cmsg, "IPV6_RECVFRAGSIZE").map(Self),
    SocketOption::new(Families::INET6, IPPROTO_IPV6, libc::IPV6_RECVFRAGSIZE)
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cmsg::RawCmsg,
        error::DecodeError,
        message::laws::{reads, refuses, refuses_lengths},
    };

    fn sockaddr(family: i32) -> [u8; 28] {
        let mut bytes = [0; 28];
        bytes[..2].copy_from_slice(&(family as u16).to_ne_bytes());
        bytes[2..8].copy_from_slice(&[0x12, 0x34, 0, 1, 2, 3]);
        bytes[8..10].copy_from_slice(&[0xfe, 0x80]);
        bytes[23] = 7;
        bytes[24..].copy_from_slice(&3u32.to_ne_bytes());
        bytes
    }

    fn addr() -> SocketAddrV6 {
        SocketAddrV6::new("fe80::7".parse().unwrap(), 0x1234, u32::from_ne_bytes([0, 1, 2, 3]), 3)
    }

    #[test]
    fn an_original_destination_is_a_sockaddr_in6() {
        let payload = sockaddr(libc::AF_INET6);
        reads::<Ipv6OrigDstAddr>(Ipv6OrigDstAddr::ID, &payload, "{IPV6_ORIGDSTADDR [fe80::7%3]:4660}", |found| {
            assert_eq!(found, Ipv6OrigDstAddr(addr()));
        });
        refuses_lengths::<Ipv6OrigDstAddr>(Ipv6OrigDstAddr::ID, &[28], 28);
    }

    #[test]
    fn an_address_of_another_family_is_refused() {
        for family in [libc::AF_UNSPEC, libc::AF_INET, 0xffff] {
            let error = DecodeError::Value { field: "sin6_family", expected: "AF_INET6", found: family.into() };
            refuses::<Ipv6OrigDstAddr>(RawCmsg::new(Ipv6OrigDstAddr::ID, &sockaddr(family)), error);
        }
    }

    #[test]
    fn a_fragment_size_arrives_in_four_bytes() {
        let payload = 1496i32.to_ne_bytes();
        reads::<Ipv6RecvFragSize>(Ipv6RecvFragSize::ID, &payload, "{IPV6_RECVFRAGSIZE 1496}", |found| {
            assert_eq!(found, Ipv6RecvFragSize(1496));
        });
        refuses_lengths::<Ipv6RecvFragSize>(Ipv6RecvFragSize::ID, &[4], 4);
        let error = DecodeError::Value { field: "IPV6_RECVFRAGSIZE", expected: "0..=2147483647", found: -1 };
        refuses::<Ipv6RecvFragSize>(RawCmsg::new(Ipv6RecvFragSize::ID, &(-1i32).to_ne_bytes()), error);
    }
}
