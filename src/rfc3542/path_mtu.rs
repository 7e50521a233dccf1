//! The path MTU: how it is discovered, and what is known of it (section 11).

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
};

use nix::libc::{self, IPPROTO_IP, IPPROTO_IPV6, c_int};

use crate::{error::DecodeError, options::Families, sys};

/// How a socket learns what fits through a path, and what it does with more (`IPV6_MTU_DISCOVER`, `IP_MTU_DISCOVER`).
///
/// A new socket has [`Want`](Self::Want), unless `net.ipv4.ip_no_pmtu_disc` says [`Dont`](Self::Dont) for IPv4. The
/// modes are those of ip(7); `DF` is the bit in the header of IPv4 that forbids routers to fragment, which those of
/// IPv6 never do. No privilege. Linux 2.2.
///
/// ```
/// use ancillary::rfc3542::PathMtuDiscovery;
/// use std::net::UdpSocket;
///
/// let socket = UdpSocket::bind("127.0.0.1:0")?;
/// PathMtuDiscovery::Do.set(&socket)?;
/// assert_eq!(PathMtuDiscovery::get(&socket)?, PathMtuDiscovery::Do);
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # References
///
/// Of Linux alone, for what RFC 3542 s. 11 asks (RFC 8201, RFC 8899);
/// [ip(7)](https://man7.org/linux/man-pages/man7/ip.7.html); include/net/ip6_route.h, `ip6_sk_accept_pmtu`
#[doc(alias = "IPV6_MTU_DISCOVER")]
#[doc(alias = "IP_MTU_DISCOVER")]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum PathMtuDiscovery {
    /// IPv4 without `DF`; longer datagrams are cut into fragments (`IP_PMTUDISC_DONT`).
    #[doc(alias = "IP_PMTUDISC_DONT")]
    #[doc(alias = "IPV6_PMTUDISC_DONT")]
    Dont,
    /// With `DF` where the route allows it; what is longer than the path MTU is cut into fragments by this host
    /// (`IP_PMTUDISC_WANT`).
    #[doc(alias = "IP_PMTUDISC_WANT")]
    #[doc(alias = "IPV6_PMTUDISC_WANT")]
    Want,
    /// Always with `DF`; what is longer than the path MTU is refused with EMSGSIZE (`IP_PMTUDISC_DO`). How long it may be,
    /// [`ExtendedError`](crate::message::ExtendedError) says alone: [`Ipv6PathMtu`](crate::message::Ipv6PathMtu) comes only
    /// after a refusal by [`Ipv6DontFrag`](crate::message::Ipv6DontFrag).
    #[doc(alias = "IP_PMTUDISC_DO")]
    #[doc(alias = "IPV6_PMTUDISC_DO")]
    Do,
    /// Always with `DF`, the known path MTU left aside: what is longer than the MTU of the interface is refused; for
    /// programs that probe (`IP_PMTUDISC_PROBE`; Linux 2.6.22).
    #[doc(alias = "IP_PMTUDISC_PROBE")]
    #[doc(alias = "IPV6_PMTUDISC_PROBE")]
    Probe,
    /// Without `DF`, whatever routers say of the path left aside; what is longer than the MTU of the interface is
    /// refused (`IP_PMTUDISC_INTERFACE`; Linux 3.13, for IPv6 3.14).
    #[doc(alias = "IP_PMTUDISC_INTERFACE")]
    #[doc(alias = "IPV6_PMTUDISC_INTERFACE")]
    Interface,
    /// As [`Interface`](Self::Interface), but what is longer is cut into fragments (`IP_PMTUDISC_OMIT`; Linux 3.15).
    #[doc(alias = "IP_PMTUDISC_OMIT")]
    #[doc(alias = "IPV6_PMTUDISC_OMIT")]
    Omit,
}

impl PathMtuDiscovery {
    /// By their numbers, which are the same for both families.
    const ALL: [Self; 6] = [Self::Dont, Self::Want, Self::Do, Self::Probe, Self::Interface, Self::Omit];

    /// Makes it the mode of this socket; of one of IPv6 also for IPv4-mapped peers.
    ///
    /// # Errors
    ///
    /// [`FamilyError`](crate::FamilyError) if the socket is neither of AF_INET nor of AF_INET6.
    pub fn set(self, socket: impl AsFd) -> io::Result<()> {
        let (socket, mode) = (socket.as_fd(), self as c_int);
        if Families::INET.require(socket)? == libc::AF_INET {
            return sys::set_int_option(socket, IPPROTO_IP, libc::IP_MTU_DISCOVER, mode);
        }
        sys::set_int_option(socket, IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, mode)?;
        // Raw sockets take no options of IPv4, and have no such peers.
        let _ = sys::set_int_option(socket, IPPROTO_IP, libc::IP_MTU_DISCOVER, mode);
        Ok(())
    }

    /// The mode of this socket, of one of IPv6 that for IPv6 peers.
    ///
    /// # Errors
    ///
    /// As those of [`set`](Self::set), or [`DecodeError::Value`] for a mode that is not known here.
    pub fn get(socket: impl AsFd) -> io::Result<Self> {
        let found = option(socket.as_fd(), libc::IP_MTU_DISCOVER, libc::IPV6_MTU_DISCOVER)?;
        let mode = usize::try_from(found).ok().and_then(|mode| Self::ALL.get(mode));
        mode.copied().ok_or_else(|| {
            DecodeError::Value { field: "IPV6_MTU_DISCOVER", expected: "0..=5", found: found.into() }.into()
        })
    }
}

fn option(socket: BorrowedFd<'_>, v4: c_int, v6: c_int) -> io::Result<c_int> {
    match Families::INET.require(socket)? {
        libc::AF_INET => sys::int_option(socket, IPPROTO_IP, v4),
        _ => sys::int_option(socket, IPPROTO_IPV6, v6),
    }
}

/// The known path MTU to the peer of a connected socket, in bytes with the IP header and all others (`IPV6_MTU`,
/// `IP_MTU`).
///
/// That of the interface, until a router says less. `IPV6_PATHMTU` by getsockopt(2) says the same number and no address,
/// so there is no function for it. An unconnected socket learns it of one destination by
/// [`Ipv6PathMtu`](crate::message::Ipv6PathMtu) or [`ExtendedError`](crate::message::ExtendedError), both less the
/// extension headers. Linux 2.2.
///
/// ```
/// use ancillary::rfc3542::path_mtu;
/// use std::net::UdpSocket;
///
/// let socket = UdpSocket::bind("127.0.0.1:0")?;
/// assert_eq!(path_mtu(&socket).unwrap_err().kind(), std::io::ErrorKind::NotConnected);
/// socket.connect(socket.local_addr()?)?;
/// assert!(path_mtu(&socket)? >= 68); // the least of IPv4
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// RFC 3542 s. 11.4, in Linux's older form; net/ipv6/ipv6_sockglue.c, `do_ipv6_getsockopt`; [ipv6(7)](https://man7.org/linux/man-pages/man7/ipv6.7.html)
///
/// # Errors
///
/// ENOTCONN if the socket is not connected; [`FamilyError`](crate::FamilyError) if it is neither of AF_INET nor of
/// AF_INET6.
#[doc(alias = "IPV6_MTU")]
#[doc(alias = "IP_MTU")]
#[doc(alias = "IPV6_PATHMTU")]
pub fn path_mtu(socket: impl AsFd) -> io::Result<u32> {
    option(socket.as_fd(), libc::IP_MTU, libc::IPV6_MTU).map(|mtu| mtu as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_have_the_same_numbers_in_both_families() {
        let v4 = [
            libc::IP_PMTUDISC_DONT,
            libc::IP_PMTUDISC_WANT,
            libc::IP_PMTUDISC_DO,
            libc::IP_PMTUDISC_PROBE,
            libc::IP_PMTUDISC_INTERFACE,
            libc::IP_PMTUDISC_OMIT,
        ];
        let v6 = [
            libc::IPV6_PMTUDISC_DONT,
            libc::IPV6_PMTUDISC_WANT,
            libc::IPV6_PMTUDISC_DO,
            libc::IPV6_PMTUDISC_PROBE,
            libc::IPV6_PMTUDISC_INTERFACE,
            libc::IPV6_PMTUDISC_OMIT,
        ];
        assert_eq!(PathMtuDiscovery::ALL.map(|mode| mode as c_int), v4);
        assert_eq!(v4, v6);
    }
}
