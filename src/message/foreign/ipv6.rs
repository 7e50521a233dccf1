//! Control messages of level `IPPROTO_IPV6` that Linux does not take.

use std::net::SocketAddrV6;

use nix::libc::{IPPROTO_IPV6, c_int};

use crate::{addr::SockAddr, cmsg::CmsgId, error::EncodeError};

// Numbers of netinet6/in6.h, on illumos netinet/in.h; libc has none of them. The tests have those of the BSDs.
#[cfg(not(solarish))]
const IPV6_USE_MIN_MTU: c_int = 42;
#[cfg(solarish)]
const IPV6_USE_MIN_MTU: c_int = 0x20;
#[cfg(not(solarish))]
const IPV6_NEXTHOP: c_int = 48;
#[cfg(solarish)]
const IPV6_NEXTHOP: c_int = 0x0d;
#[cfg(any(test, apple, target_os = "freebsd", target_os = "dragonfly", target_os = "netbsd"))]
const IPV6_PREFER_TEMPADDR: c_int = 63;

/// Sends one IPv6 datagram in fragments of the least MTU, 1,280 bytes, without path MTU discovery
/// (`IPV6_USE_MIN_MTU`; not Linux).
///
/// Sent with each message, it overrides the socket's own: 1 always, 0 never, -1 to multicast groups alone, which is how
/// a socket starts. No privilege.
///
/// # Wire layout
///
/// ```text
///   0              4
///   +--------------+
///   | -1, 0 or 1   |   int, host byte order
///   +--------------+
/// ```
///
/// # Errors
///
/// Sending another value is [`EncodeError::Value`] (the kernels' EINVAL).
///
/// # References
///
/// RFC 3542 s. 11.1; sys/netinet6/ip6_output.c, `ip6_setpktopt`
#[doc(alias = "IPV6_USE_MIN_MTU")]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Ipv6UseMinMtu(pub i32);

impl Ipv6UseMinMtu {
    const ID: CmsgId = CmsgId::new(IPPROTO_IPV6, IPV6_USE_MIN_MTU);
}

sends!(Ipv6UseMinMtu, Self::ID, |value| three_valued("IPV6_USE_MIN_MTU", value.0)?);

/// Whether one IPv6 datagram prefers a temporary address as its source (`IPV6_PREFER_TEMPADDR`; macOS, FreeBSD,
/// DragonFly, NetBSD).
///
/// Sent with each message, it overrides the socket's own: 1 prefers, 0 does not, -1 leaves it to the system. No
/// privilege.
///
/// # Wire layout
///
/// ```text
///   0              4
///   +--------------+
///   | -1, 0 or 1   |   int, host byte order
///   +--------------+
/// ```
///
/// # Errors
///
/// Sending another value is [`EncodeError::Value`] (the kernels' EINVAL).
///
/// # References
///
/// RFC 8981 for temporary addresses; sys/netinet6/ip6_output.c, `ip6_setpktopt`
#[cfg(any(test, apple, target_os = "freebsd", target_os = "dragonfly", target_os = "netbsd"))]
#[doc(alias = "IPV6_PREFER_TEMPADDR")]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Ipv6PreferTempAddr(pub i32);

#[cfg(any(test, apple, target_os = "freebsd", target_os = "dragonfly", target_os = "netbsd"))]
impl Ipv6PreferTempAddr {
    const ID: CmsgId = CmsgId::new(IPPROTO_IPV6, IPV6_PREFER_TEMPADDR);
}

#[cfg(any(test, apple, target_os = "freebsd", target_os = "dragonfly", target_os = "netbsd"))]
sends!(Ipv6PreferTempAddr, Self::ID, |value| three_valued("IPV6_PREFER_TEMPADDR", value.0)?);

fn three_valued(field: &'static str, value: i32) -> Result<[u8; 4], EncodeError> {
    match value {
        -1..=1 => Ok(value.to_ne_bytes()),
        _ => Err(EncodeError::Value { field, expected: "-1..=1", found: value.into() }),
    }
}

/// The router that one IPv6 datagram goes to first (`IPV6_NEXTHOP`; not Linux).
///
/// Sent with each message, it overrides the route; the router has to be a neighbour. Its port is 0. The superuser's on
/// the BSDs and macOS (`PRIV_NETINET_SETHDROPTS` on FreeBSD).
///
/// # Wire layout
///
/// ```text
///   0                     28
///   +---------------------+
///   | struct sockaddr_in6 |   32 bytes on illumos
///   +---------------------+
/// ```
///
/// # Errors
///
/// Sending: EPERM or EACCES without the privilege, EHOSTUNREACH on illumos for a router that is no neighbour.
///
/// # References
///
/// RFC 3542 s. 6.4; sys/netinet6/ip6_output.c, `ip6_setpktopt`
#[doc(alias = "IPV6_NEXTHOP")]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Ipv6NextHop(pub SocketAddrV6);

impl Ipv6NextHop {
    const ID: CmsgId = CmsgId::new(IPPROTO_IPV6, IPV6_NEXTHOP);
}

sends!(Ipv6NextHop, Self::ID, |hop| *SockAddr::from(hop.0).as_bytes());

#[cfg(test)]
mod tests {
    use nix::libc::{AF_INET6, sockaddr_in6};

    use super::*;
    use crate::{cmsg, message::laws::sends};

    #[test]
    fn three_values_go_out_in_four_bytes() {
        for value in -1..=1i32 {
            sends(&Ipv6UseMinMtu(value), Ipv6UseMinMtu::ID, &value.to_ne_bytes());
            sends(&Ipv6PreferTempAddr(value), Ipv6PreferTempAddr::ID, &value.to_ne_bytes());
        }
    }

    #[test]
    fn other_values_are_refused() {
        for found in [-2, 2, i32::MIN, i32::MAX] {
            let error = |field| Err(EncodeError::Value { field, expected: "-1..=1", found: found.into() });
            assert_eq!(cmsg::encode(&Ipv6UseMinMtu(found), &mut [0; 64]), error("IPV6_USE_MIN_MTU"));
            assert_eq!(cmsg::encode(&Ipv6PreferTempAddr(found), &mut [0; 64]), error("IPV6_PREFER_TEMPADDR"));
        }
    }

    #[test]
    fn a_next_hop_goes_out_as_a_socket_address() {
        let router: SocketAddrV6 = "[fe80::1%5]:0".parse().unwrap();
        let mut payload = vec![0; size_of::<sockaddr_in6>()];
        let at = std::mem::offset_of!(sockaddr_in6, sin6_addr);
        payload[at..at + 16].copy_from_slice(&router.ip().octets());
        let at = std::mem::offset_of!(sockaddr_in6, sin6_scope_id);
        payload[at..at + 4].copy_from_slice(&5u32.to_ne_bytes());
        #[cfg(any(linux_like, solarish))]
        payload[..2].copy_from_slice(&(AF_INET6 as u16).to_ne_bytes());
        #[cfg(not(any(linux_like, solarish)))]
        payload[..2].copy_from_slice(&[28, AF_INET6 as u8]);
        sends(&Ipv6NextHop(router), Ipv6NextHop::ID, &payload);
    }
}
