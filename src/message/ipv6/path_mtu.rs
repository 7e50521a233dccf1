//! Fragmentation forbidden, and the path MTU that comes of it.

use std::{fmt, net::SocketAddrV6};

use nix::libc::{self, IPPROTO_IPV6, c_int};

use crate::{
    cmsg::CmsgId,
    error::DecodeError,
    message::rows::{field, sockaddr_in6},
    options::{Families, SocketOption},
};

/// Whether one IPv6 datagram may be cut into fragments by this host (`IPV6_DONTFRAG`).
///
/// Sent with each message (Linux 2.6.35), it overrides the socket's own value: with `true` a datagram longer than the
/// path MTU is refused, and [`Ipv6PathMtu`] or [`ExtendedError`](crate::message::ExtendedError) says what would fit. UDP and ICMPv6 sockets; raw ones of other protocols
/// ignore it, as do all to IPv4-mapped destinations. No privilege.
///
/// ```
/// use ancillary::{MsgHdr, message::Ipv6DontFrag};
/// # let Ok(socket) = std::net::UdpSocket::bind("[::1]:0") else { return Ok(()) }; // without IPv6
///
/// let long = [0; 65527]; // the most that UDP has
/// let error = MsgHdr::new().to(socket.local_addr()?).data(&long).control(Ipv6DontFrag(true)).send(&socket).unwrap_err();
/// assert_eq!(error.raw_os_error(), Some(nix::libc::EMSGSIZE)); // loopback has 65,536 bytes with the headers
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Wire layout
///
/// ```text
///   0           4
///   +-----------+
///   | dont frag |   int, host byte order, 0 or 1
///   +-----------+
/// ```
///
/// # Errors
///
/// Sending: EMSGSIZE for a datagram longer than the path MTU, with `true`.
///
/// # References
///
/// RFC 3542 s. 11.2; net/ipv6/datagram.c, `ip6_datagram_send_ctl`
#[doc(alias = "IPV6_DONTFRAG")]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Ipv6DontFrag(pub bool);

impl Ipv6DontFrag {
    pub(crate) const ID: CmsgId = CmsgId::new(IPPROTO_IPV6, libc::IPV6_DONTFRAG);
}

sends!(Ipv6DontFrag, Self::ID, |dont| c_int::from(dont.0).to_ne_bytes());

/// Path MTU to a destination, after a datagram that was too long for it was refused (`IPV6_PATHMTU`,
/// `struct ip6_mtuinfo`).
///
/// Received once enabled (`IPV6_RECVPATHMTU`, Linux 2.6.35), when a send with [`Ipv6DontFrag`], or the option of that
/// name, has failed with EMSGSIZE. It comes alone with an ordinary receive, before what waits in the queue: no data,
/// `addr` as the peer, no flag; without this message it looks like an empty datagram. The kernel keeps the newest one
/// alone. No privilege. UDP, raw and ping sockets.
///
/// A router that says "Packet Too Big" does not bring it: the first datagram that only the first link takes is sent and lost,
/// the second is refused, and then it comes. [`ExtendedError`](crate::message::ExtendedError) tells at once, and is the
/// only one to tell what [`PathMtuDiscovery::Do`](crate::rfc3542::PathMtuDiscovery::Do) refuses; what is known of a
/// connected peer, [`path_mtu`](crate::rfc3542::path_mtu) says without any datagram ([`rfc3542`](crate::rfc3542#path-mtu)
/// compares them).
///
/// ```
/// use ancillary::{ControlBuf, MsgHdr, SocketExt, message::{Ipv6DontFrag, Ipv6PathMtu}};
/// # let Ok(socket) = std::net::UdpSocket::bind("[::1]:0") else { return Ok(()) }; // without IPv6
///
/// socket.enable::<Ipv6PathMtu>()?;
/// let to = socket.local_addr()?;
/// MsgHdr::new().to(to).data(&[0; 65527]).control(Ipv6DontFrag(true)).send(&socket).unwrap_err();
/// let (mut data, mut control) = ([0; 16], ControlBuf::<Ipv6PathMtu>::new());
/// let told = socket.recv_msg(&mut data, &mut control)?.extract().unwrap();
/// assert_eq!(told.addr.ip(), &std::net::Ipv6Addr::LOCALHOST);
/// assert!(told.mtu >= 1280);
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Wire layout
///
/// ```text
///   0      28    32
///   +------+-----+
///   | addr | mtu |   struct sockaddr_in6, its port 0; u32, host byte order
///   +------+-----+
/// ```
///
/// # References
///
/// RFC 3542 s. 11.3; net/ipv6/datagram.c, `ipv6_local_rxpmtu`, `ipv6_recv_rxpmtu`
#[doc(alias = "IPV6_PATHMTU")]
#[doc(alias = "IPV6_RECVPATHMTU")]
#[doc(alias = "ip6_mtuinfo")]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Ipv6PathMtu {
    /// The destination (`ip6m_addr`).
    #[doc(alias = "ip6m_addr")]
    pub addr: SocketAddrV6,
    /// Bytes that the packet might have had, with the IPv6 header, but without the extension headers that it would have
    /// carried, sticky or as messages: the path MTU less these (`ip6m_mtu`). A UDP datagram with the same headers may
    /// have 48 bytes less of data, and less again by a destination options header, which Linux counts twice (seen on 6.18).
    #[doc(alias = "ip6m_mtu")]
    pub mtu: u32,
}

impl Ipv6PathMtu {
    pub(crate) const ID: CmsgId = CmsgId::new(IPPROTO_IPV6, libc::IPV6_PATHMTU);

    fn from_wire(payload: [u8; 32]) -> Result<Self, DecodeError> {
        let mtu = u32::from_ne_bytes(field::<28, 4, 32>(&payload));
        Ok(Self { addr: sockaddr_in6(&field::<0, 28, 32>(&payload))?, mtu })
    }
}

impl fmt::Display for Ipv6PathMtu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} mtu {}", self.addr, self.mtu)
    }
}

receives!(
    Ipv6PathMtu,
    Self::ID,
    32,
    |cmsg| Self::from_wire(cmsg.array()?),
    SocketOption::new(Families::INET6, IPPROTO_IPV6, libc::IPV6_RECVPATHMTU)
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cmsg::RawCmsg,
        message::laws::{reads, refuses, refuses_lengths, sends},
    };

    #[test]
    fn do_not_fragment_goes_out_as_int() {
        sends(&Ipv6DontFrag(false), CmsgId::new(41, 62), &0i32.to_ne_bytes());
        sends(&Ipv6DontFrag(true), CmsgId::new(41, 62), &1i32.to_ne_bytes());
    }

    /// Golden bytes of an address.
    fn sockaddr(family: i32) -> [u8; 28] {
        let mut bytes = [0; 28];
        bytes[..2].copy_from_slice(&(family as u16).to_ne_bytes());
        bytes[8..12].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
        bytes[23] = 7;
        bytes
    }

    #[test]
    fn a_path_mtu_is_an_address_and_a_size() {
        let payload = [&sockaddr(libc::AF_INET6)[..], &1280u32.to_ne_bytes()].concat();
        reads::<Ipv6PathMtu>(Ipv6PathMtu::ID, &payload, "{IPV6_PATHMTU [2001:db8::7]:0 mtu 1280}", |found| {
            let addr = SocketAddrV6::new("2001:db8::7".parse().unwrap(), 0, 0, 0);
            assert_eq!(found, Ipv6PathMtu { addr, mtu: 1280 });
        });
        refuses_lengths::<Ipv6PathMtu>(Ipv6PathMtu::ID, &[32], 32);
    }

    #[test]
    fn an_address_of_another_family_is_refused() {
        for family in [libc::AF_UNSPEC, libc::AF_INET, 0xffff] {
            let error = DecodeError::Value { field: "sin6_family", expected: "AF_INET6", found: family.into() };
            refuses::<Ipv6PathMtu>(RawCmsg::new(Ipv6PathMtu::ID, &[&sockaddr(family)[..], &[0; 4]].concat()), error);
        }
    }
}
