//! How an IPv4 datagram came: original destination, checksum, fragments.

use std::{fmt, net::SocketAddrV4};

use nix::libc::{self, IPPROTO_IP};

use crate::{
    cmsg::CmsgId,
    message::rows::{count, sockaddr_in, word},
    options::{Families, SocketOption},
};

/// Destination of one IPv4 datagram as its header says, with the port (`IP_ORIGDSTADDR`, `struct sockaddr_in`).
///
/// Received once enabled (`IP_RECVORIGDSTADDR`, Linux 2.6.29), also on an IPv6 socket for IPv4 peers: for transparent
/// proxies (`IP_TRANSPARENT`), where it is not the socket's own address. The port is whatever stands in bytes 2 and 3 of
/// the payload: on raw and ping sockets it is none; absent where the payload is shorter than 4 bytes. No privilege. Not
/// delivered by TCP. [`OrigDst`](crate::message::OrigDst) serves both families.
///
/// ```
/// use ancillary::{ControlBuf, SocketExt, message::IpOrigDstAddr};
/// use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
///
/// # fn main() -> std::io::Result<()> {
/// let socket = UdpSocket::bind("0.0.0.0:0")?;
/// socket.enable::<IpOrigDstAddr>()?;
/// let asked = SocketAddrV4::new(Ipv4Addr::new(127, 0, 0, 7), socket.local_addr()?.port());
/// socket.send_to(b"where to?", asked)?;
/// let (mut data, mut control) = ([0; 16], ControlBuf::<IpOrigDstAddr>::new());
/// assert_eq!(socket.recv_msg(&mut data, &mut control)?.extract(), Some(IpOrigDstAddr(asked)));
/// # Ok(())
/// # }
/// ```
///
/// # Wire layout
///
/// ```text
///   0        2      4      8      16
///   +--------+------+------+------+
///   | family | port | addr | zero |   host byte order, AF_INET; two in network byte order
///   +--------+------+------+------+
/// ```
///
/// # References
///
/// [ip(7)](https://man7.org/linux/man-pages/man7/ip.7.html), `IP_RECVORIGDSTADDR`; net/ipv4/ip_sockglue.c,
/// `ip_cmsg_recv_dstaddr`
#[doc(alias = "IP_ORIGDSTADDR")]
#[doc(alias = "IP_RECVORIGDSTADDR")]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct IpOrigDstAddr(pub SocketAddrV4);

impl IpOrigDstAddr {
    pub(crate) const ID: CmsgId = CmsgId::new(IPPROTO_IP, libc::IP_ORIGDSTADDR);
}

prints!(IpOrigDstAddr);

receives!(
    IpOrigDstAddr,
    Self::ID,
    16,
    |cmsg| sockaddr_in(&cmsg.array()?).map(Self),
    SocketOption::new(Families::INET, IPPROTO_IP, libc::IP_RECVORIGDSTADDR)
);

/// Sum over the payload of one IPv4 datagram, as the network card or the kernel has computed it (`IP_CHECKSUM`).
///
/// It is the one's complement sum of RFC 1071, not yet folded to 16 bits and not inverted, over the data that UDP
/// delivers (without the UDP header), or over what follows the IP header on a raw socket; [`fold`](Self::fold) gives the
/// usual 16 bits. A program that forwards the data need not add it up again.
///
/// Received once enabled (`IP_CHECKSUM`, Linux 4.0), also on an IPv6 socket for IPv4 peers, and only where the sum is
/// known: from cards that report it (`CHECKSUM_COMPLETE`), or where the kernel had to add up a short datagram itself (up
/// to 76 bytes with the UDP header). Nothing comes over the loopback from an ordinary UDP socket, whose data nobody
/// adds up. No privilege.
///
/// ```
/// use ancillary::{message::{IpChecksum, RecvList}, parser};
/// # use ancillary::{ControlList, RawCmsg, cmsg::CmsgId};
///
/// # let data = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
/// # let sum: u32 = data.chunks_exact(2).map(|word| u32::from(u16::from_ne_bytes([word[0], word[1]]))).sum();
/// # let payload = sum.to_ne_bytes();
/// # let arrived = ControlList::new(RawCmsg::new(CmsgId::new(0, 23), &payload))?;
/// # let cmsgs = parser::cmsgs(arrived.as_bytes());
/// let sum = IpChecksum::extract(cmsgs).unwrap(); // of a message: `message.extract()`
/// assert_eq!(sum.fold().to_ne_bytes(), [0xdd, 0xf2]); // the example of RFC 1071 s. 3
/// # Ok::<(), ancillary::EncodeError>(())
/// ```
///
/// # Wire layout
///
/// ```text
///   0     4
///   +-----+
///   | sum |   __wsum: u32, added up from 16-bit words as they stand in memory
///   +-----+
/// ```
///
/// # References
///
/// RFC 1071; net/ipv4/ip_sockglue.c, `ip_cmsg_recv_checksum`
#[doc(alias = "IP_CHECKSUM")]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct IpChecksum(pub u32);

impl IpChecksum {
    pub(crate) const ID: CmsgId = CmsgId::new(IPPROTO_IP, libc::IP_CHECKSUM);

    /// The sum in 16 bits, not inverted; its bytes in memory (`to_ne_bytes`) are those of the network byte order.
    pub const fn fold(self) -> u16 {
        let once = (self.0 >> 16) + (self.0 & 0xffff);
        ((once >> 16) + once) as u16
    }
}

impl fmt::Display for IpChecksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#010x}", self.0)
    }
}

receives!(
    IpChecksum,
    Self::ID,
    4,
    |cmsg| word(cmsg).map(Self),
    SocketOption::new(Families::INET, IPPROTO_IP, libc::IP_CHECKSUM)
);

/// Size of the largest fragment that one IPv4 datagram came in, with its IP header (`IP_RECVFRAGSIZE`).
///
/// Received once enabled (`IP_RECVFRAGSIZE`, Linux 4.9), also on an IPv6 socket for IPv4 peers; absent where the
/// datagram came in one piece. No privilege. [`FragSize`](crate::message::FragSize) serves both families.
///
/// ```
/// use ancillary::{message::{IpRecvFragSize, RecvList}, parser};
/// # use ancillary::{ControlList, RawCmsg, cmsg::CmsgId};
///
/// # let arrived = ControlList::new(RawCmsg::new(CmsgId::new(0, 25), &1500i32.to_ne_bytes()))?;
/// # let cmsgs = parser::cmsgs(arrived.as_bytes());
/// match IpRecvFragSize::extract(cmsgs) { // of a message: `message.extract()`
///     Some(IpRecvFragSize(largest)) => assert_eq!(largest, 1500), // pieces as long as Ethernet takes
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
/// net/ipv4/ip_sockglue.c, `ip_cmsg_recv_fragsize`
#[doc(alias = "IP_RECVFRAGSIZE")]
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct IpRecvFragSize(pub u32);

impl IpRecvFragSize {
    pub(crate) const ID: CmsgId = CmsgId::new(IPPROTO_IP, libc::IP_RECVFRAGSIZE);
}

prints!(IpRecvFragSize);

receives!(
    IpRecvFragSize,
    Self::ID,
    4,
    |cmsg| count(cmsg, "IP_RECVFRAGSIZE").map(Self),
    SocketOption::new(Families::INET, IPPROTO_IP, libc::IP_RECVFRAGSIZE)
);

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::{
        cmsg::RawCmsg,
        error::DecodeError,
        message::laws::{reads, refuses, refuses_lengths},
    };

    #[test]
    fn an_original_destination_is_a_sockaddr_in() {
        let mut payload = [0; 16];
        payload[..2].copy_from_slice(&(libc::AF_INET as u16).to_ne_bytes());
        payload[2..8].copy_from_slice(&[0x12, 0x34, 192, 0, 2, 7]);
        reads::<IpOrigDstAddr>(IpOrigDstAddr::ID, &payload, "{IP_ORIGDSTADDR 192.0.2.7:4660}", |found| {
            assert_eq!(found, IpOrigDstAddr(SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 7), 0x1234)));
        });
        refuses_lengths::<IpOrigDstAddr>(IpOrigDstAddr::ID, &[16], 16);
        for family in [libc::AF_UNSPEC, libc::AF_INET6, 0xffff] {
            payload[..2].copy_from_slice(&(family as u16).to_ne_bytes());
            let error = DecodeError::Value { field: "sin_family", expected: "AF_INET", found: family.into() };
            refuses::<IpOrigDstAddr>(RawCmsg::new(IpOrigDstAddr::ID, &payload), error);
        }
    }

    #[test]
    fn a_checksum_is_folded_end_around() {
        let payload = 0x0001_fffeu32.to_ne_bytes();
        reads::<IpChecksum>(IpChecksum::ID, &payload, "{IP_CHECKSUM 0x0001fffe}", |found| {
            assert_eq!((found, found.fold()), (IpChecksum(0x0001_fffe), 0xffff));
        });
        refuses_lengths::<IpChecksum>(IpChecksum::ID, &[4], 4);
        for (sum, folded) in
            [(0, 0), (0xffff, 0xffff), (0x1_0000, 1), (0x1_ffff, 1), (u32::MAX, 0xffff), (0xffff_0001, 1)]
        {
            assert_eq!(IpChecksum(sum).fold(), folded, "{sum:#x}");
        }
    }

    #[test]
    fn a_fragment_size_arrives_in_four_bytes() {
        let payload = 1500i32.to_ne_bytes();
        reads::<IpRecvFragSize>(IpRecvFragSize::ID, &payload, "{IP_RECVFRAGSIZE 1500}", |found| {
            assert_eq!(found, IpRecvFragSize(1500));
        });
        refuses_lengths::<IpRecvFragSize>(IpRecvFragSize::ID, &[4], 4);
        let error = DecodeError::Value { field: "IP_RECVFRAGSIZE", expected: "0..=2147483647", found: -1 };
        refuses::<IpRecvFragSize>(RawCmsg::new(IpRecvFragSize::ID, &(-1i32).to_ne_bytes()), error);
    }
}
