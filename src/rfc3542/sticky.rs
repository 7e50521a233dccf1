//! Sticky options (sections 6 to 11): what every packet of a socket gets, set once.
//!
//! They are methods of the messages' types, since value and meaning are the same.

use std::{io, os::fd::AsFd};

use nix::libc::{self, IPPROTO_IPV6, c_int};

use crate::{
    error::{DecodeError, EncodeError},
    message::{Ipv6DontFrag, Ipv6DstOpts, Ipv6HopLimit, Ipv6HopOpts, Ipv6PktInfo, Ipv6Rthdr, Ipv6RthdrDstOpts, TClass},
    options::Families,
    sys,
};

fn set(socket: impl AsFd, name: c_int, value: &[u8]) -> io::Result<()> {
    let socket = socket.as_fd();
    Families::INET6.require(socket)?;
    sys::set_option_bytes(socket, IPPROTO_IPV6, name, value)
}

pub(super) fn set_int(socket: impl AsFd, name: c_int, value: c_int) -> io::Result<()> {
    set(socket, name, &value.to_ne_bytes())
}

pub(super) fn int(socket: impl AsFd, name: c_int) -> io::Result<c_int> {
    let socket = socket.as_fd();
    Families::INET6.require(socket)?;
    sys::int_option(socket, IPPROTO_IPV6, name)
}

fn byte(socket: impl AsFd, name: c_int, field: &'static str) -> io::Result<u8> {
    let found = int(socket, name)?;
    u8::try_from(found).map_err(|_| DecodeError::Value { field, expected: "0..=255", found: found.into() }.into())
}

/// For the kernel: the value that a new socket has.
const DEFAULT: c_int = -1;

/// As the socket's own value.
impl Ipv6HopLimit {
    /// Every packet to a unicast address leaves with this hop limit (`IPV6_UNICAST_HOPS`; Linux 2.2).
    ///
    /// A control message of this type overrides it for one datagram.
    ///
    /// ```
    /// use ancillary::message::Ipv6HopLimit;
    /// # let Ok(socket) = std::net::UdpSocket::bind("[::1]:0") else { return Ok(()) }; // without IPv6
    ///
    /// Ipv6HopLimit(9).set_sticky(&socket)?;
    /// assert_eq!(Ipv6HopLimit::sticky(&socket)?, Ipv6HopLimit(9));
    /// Ipv6HopLimit::clear_sticky(&socket)?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// RFC 3542 s. 6.3; RFC 3493 s. 5.1
    ///
    /// # Errors
    ///
    /// [`FamilyError`](crate::FamilyError) if the socket is not of AF_INET6.
    #[doc(alias = "IPV6_UNICAST_HOPS")]
    pub fn set_sticky(self, socket: impl AsFd) -> io::Result<()> {
        set_int(socket, libc::IPV6_UNICAST_HOPS, self.0.into())
    }

    /// The hop limit of packets to unicast addresses: the socket's, else that of the route or of this host.
    ///
    /// # Errors
    ///
    /// As those of [`set_sticky`](Self::set_sticky).
    pub fn sticky(socket: impl AsFd) -> io::Result<Self> {
        byte(socket, libc::IPV6_UNICAST_HOPS, "IPV6_UNICAST_HOPS").map(Self)
    }

    /// Back to the hop limit of the route or of this host.
    ///
    /// # Errors
    ///
    /// As those of [`set_sticky`](Self::set_sticky).
    pub fn clear_sticky(socket: impl AsFd) -> io::Result<()> {
        set_int(socket, libc::IPV6_UNICAST_HOPS, DEFAULT)
    }

    /// Every packet to a multicast group leaves with this hop limit (`IPV6_MULTICAST_HOPS`; Linux 2.2), 0: not at all.
    ///
    /// A control message of this type overrides it for one datagram.
    ///
    /// ```
    /// use ancillary::message::Ipv6HopLimit;
    /// # let Ok(socket) = std::net::UdpSocket::bind("[::1]:0") else { return Ok(()) }; // without IPv6
    ///
    /// assert_eq!(Ipv6HopLimit::sticky_multicast(&socket)?, Ipv6HopLimit(1));
    /// Ipv6HopLimit(4).set_sticky_multicast(&socket)?;
    /// assert_eq!(Ipv6HopLimit::sticky_multicast(&socket)?, Ipv6HopLimit(4));
    /// Ipv6HopLimit::clear_sticky_multicast(&socket)?;
    /// assert_eq!(Ipv6HopLimit::sticky_multicast(&socket)?, Ipv6HopLimit(1));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// RFC 3542 s. 6.3; RFC 3493 s. 5.2
    ///
    /// # Errors
    ///
    /// [`FamilyError`](crate::FamilyError) if the socket is not of AF_INET6; ENOPROTOOPT if it is a stream.
    #[doc(alias = "IPV6_MULTICAST_HOPS")]
    pub fn set_sticky_multicast(self, socket: impl AsFd) -> io::Result<()> {
        set_int(socket, libc::IPV6_MULTICAST_HOPS, self.0.into())
    }

    /// The hop limit of packets to multicast groups; 1 unless it was set.
    ///
    /// # Errors
    ///
    /// [`FamilyError`](crate::FamilyError) if the socket is not of AF_INET6.
    pub fn sticky_multicast(socket: impl AsFd) -> io::Result<Self> {
        byte(socket, libc::IPV6_MULTICAST_HOPS, "IPV6_MULTICAST_HOPS").map(Self)
    }

    /// Back to 1.
    ///
    /// # Errors
    ///
    /// As those of [`set_sticky_multicast`](Self::set_sticky_multicast).
    pub fn clear_sticky_multicast(socket: impl AsFd) -> io::Result<()> {
        set_int(socket, libc::IPV6_MULTICAST_HOPS, DEFAULT)
    }
}

/// As the socket's own value.
impl TClass {
    /// Every packet leaves with this traffic class (`IPV6_TCLASS`; Linux 2.6.14).
    ///
    /// A control message of this type overrides it for one datagram. Of a TCP socket the kernel keeps the ECN bits for
    /// itself.
    ///
    /// ```
    /// use ancillary::message::TClass;
    /// # let Ok(socket) = std::net::UdpSocket::bind("[::1]:0") else { return Ok(()) }; // without IPv6
    ///
    /// TClass(0xb8).set_sticky(&socket)?;
    /// assert_eq!(TClass::sticky(&socket)?, TClass(0xb8));
    /// TClass::clear_sticky(&socket)?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// RFC 3542 s. 6.5
    ///
    /// # Errors
    ///
    /// [`FamilyError`](crate::FamilyError) if the socket is not of AF_INET6.
    pub fn set_sticky(self, socket: impl AsFd) -> io::Result<()> {
        set_int(socket, libc::IPV6_TCLASS, self.0.into())
    }

    /// The traffic class of the socket's packets; 0 unless it was set.
    ///
    /// # Errors
    ///
    /// As those of [`set_sticky`](Self::set_sticky).
    pub fn sticky(socket: impl AsFd) -> io::Result<Self> {
        byte(socket, libc::IPV6_TCLASS, "IPV6_TCLASS").map(Self)
    }

    /// Back to 0.
    ///
    /// # Errors
    ///
    /// As those of [`set_sticky`](Self::set_sticky).
    pub fn clear_sticky(socket: impl AsFd) -> io::Result<()> {
        set_int(socket, libc::IPV6_TCLASS, DEFAULT)
    }
}

/// As the socket's own value.
impl Ipv6DontFrag {
    /// Whether datagrams longer than the path MTU are refused instead of cut into fragments (`IPV6_DONTFRAG`; Linux
    /// 2.6.35).
    ///
    /// A control message of this type overrides it for one datagram. Refused too, but without an
    /// [`Ipv6PathMtu`](crate::message::Ipv6PathMtu), they are by
    /// [`PathMtuDiscovery::Do`](crate::rfc3542::PathMtuDiscovery::Do).
    ///
    /// ```
    /// use ancillary::message::Ipv6DontFrag;
    /// # let Ok(socket) = std::net::UdpSocket::bind("[::1]:0") else { return Ok(()) }; // without IPv6
    ///
    /// Ipv6DontFrag(true).set_sticky(&socket)?;
    /// assert_eq!(Ipv6DontFrag::sticky(&socket)?, Ipv6DontFrag(true));
    /// Ipv6DontFrag::clear_sticky(&socket)?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// RFC 3542 s. 11.2
    ///
    /// # Errors
    ///
    /// [`FamilyError`](crate::FamilyError) if the socket is not of AF_INET6.
    pub fn set_sticky(self, socket: impl AsFd) -> io::Result<()> {
        set_int(socket, libc::IPV6_DONTFRAG, self.0.into())
    }

    /// Whether they are refused; not unless it was set.
    ///
    /// # Errors
    ///
    /// As those of [`set_sticky`](Self::set_sticky).
    pub fn sticky(socket: impl AsFd) -> io::Result<Self> {
        int(socket, libc::IPV6_DONTFRAG).map(|found| Self(found != 0))
    }

    /// Back to fragments.
    ///
    /// # Errors
    ///
    /// As those of [`set_sticky`](Self::set_sticky).
    pub fn clear_sticky(socket: impl AsFd) -> io::Result<()> {
        Self(false).set_sticky(socket)
    }
}

/// As the socket's own value.
impl Ipv6PktInfo {
    /// Every packet leaves by this interface (`IPV6_PKTINFO`; Linux 2.6.29); 0: by any, as before.
    ///
    /// The scope of a link-local destination overrides it for one datagram; a control message does not, against section
    /// 6.7: with another interface it is EINVAL (seen on Linux 6.18). Linux takes an address too and makes no use of it,
    /// so there is none here: bind(2) sets the source. It cannot be read back.
    ///
    /// ```
    /// use ancillary::{interface, message::Ipv6PktInfo};
    /// # let Ok(socket) = std::net::UdpSocket::bind("[::1]:0") else { return Ok(()) }; // without IPv6
    ///
    /// Ipv6PktInfo::set_sticky_interface(&socket, interface::index("lo")?)?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// RFC 3542 s. 6.1 and 6.7; net/ipv6/udp.c, `udpv6_sendmsg`
    ///
    /// # Errors
    ///
    /// [`FamilyError`](crate::FamilyError) if the socket is not of AF_INET6; EINVAL if it is bound to another interface
    /// (`SO_BINDTODEVICE`). An interface that does not exist is an error of sending (ENETUNREACH).
    pub fn set_sticky_interface(socket: impl AsFd, ifindex: u32) -> io::Result<()> {
        set(socket, libc::IPV6_PKTINFO, &Self { addr: std::net::Ipv6Addr::UNSPECIFIED, ifindex }.to_wire())
    }
}

/// The header of this option, in the caller's buffer.
fn header(socket: impl AsFd, name: c_int, buffer: &mut [u8]) -> io::Result<Option<&[u8]>> {
    let socket = socket.as_fd();
    Families::INET6.require(socket)?;
    let available = buffer.len();
    if available < 8 {
        return Err(EncodeError::HeaderSpace { needed: 8, available }.into());
    }
    // What the buffer has no room for is left out by the kernel without a word.
    let found = sys::option_bytes(socket, IPPROTO_IPV6, name, buffer)?;
    if found == 0 {
        return Ok(None);
    }
    let needed = (usize::from(buffer[1]) + 1) * 8;
    match buffer.get(..needed) {
        Some(header) => Ok(Some(header)),
        None => Err(EncodeError::HeaderSpace { needed, available }.into()),
    }
}

macro_rules! headers {
    ($($(#[$doc:meta])* $type:ident = $number:path, $cleared:literal;)+) => {$(
        /// As the socket's own value.
        impl<'a> $type<'a> {
            $(#[$doc])*
            pub fn set_sticky(self, socket: impl AsFd) -> io::Result<()> {
                set(socket, $number, self.as_bytes())
            }

            /// The header that every packet gets, read into a buffer of at least eight bytes; `None` unless it was set.
            ///
            /// # Errors
            ///
            /// [`FamilyError`](crate::FamilyError) if the socket is not of AF_INET6, [`EncodeError::HeaderSpace`] if the
            /// buffer has no room for it: 2,040 bytes always do.
            pub fn sticky(socket: impl AsFd, buffer: &'a mut [u8]) -> io::Result<Option<Self>> {
                match header(socket, $number, buffer)? {
                    Some(header) => Ok(Some(Self::new(header)?)),
                    None => Ok(None),
                }
            }

            /// No such header any more.
            ///
            /// # Errors
            ///
            #[doc = $cleared]
            pub fn clear_sticky(socket: impl AsFd) -> io::Result<()> {
                set(socket, $number, &[])
            }
        }
    )+};
}

headers! {
    /// Every packet gets this header (`IPV6_HOPOPTS`; Linux 2.6.14).
    ///
    /// A datagram with any extension header among its control messages gets those alone, and no sticky one.
    ///
    /// ```
    /// use ancillary::{message::Ipv6HopOpts, rfc3542::OptionsBuilder};
    /// # let Ok(socket) = std::net::UdpSocket::bind("[::1]:0") else { return Ok(()) }; // without IPv6
    ///
    /// let mut buffer = [0; 64];
    /// let mut options = OptionsBuilder::new(&mut buffer);
    /// options.append(5, 2, &[0, 0]); // router alert
    /// let alert = Ipv6HopOpts::new(options.finish()?)?;
    /// match alert.set_sticky(&socket) {
    ///     Ok(()) => assert_eq!(Ipv6HopOpts::sticky(&socket, &mut [0; 64])?, Some(alert)),
    ///     Err(error) => eprintln!("{error}"), // without the privilege
    /// }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// RFC 3542 s. 8; net/ipv6/ipv6_sockglue.c, `ipv6_set_opt_hdr`
    ///
    /// # Errors
    ///
    /// EPERM without `CAP_NET_RAW`; EINVAL for one of 2,048 bytes, which is taken as a control message alone;
    /// [`FamilyError`](crate::FamilyError) if the socket is not of AF_INET6.
    Ipv6HopOpts = libc::IPV6_HOPOPTS,
        "[`FamilyError`](crate::FamilyError) if the socket is not of AF_INET6; EPERM without `CAP_NET_RAW`, set or not.";

    /// Every packet gets this header, behind the routing header if there is one (`IPV6_DSTOPTS`; Linux 2.6.14).
    ///
    /// A datagram with any extension header among its control messages gets those alone, and no sticky one.
    ///
    /// ```
    /// use ancillary::message::Ipv6DstOpts;
    /// # let Ok(socket) = std::net::UdpSocket::bind("[::1]:0") else { return Ok(()) }; // without IPv6
    ///
    /// let padding = Ipv6DstOpts::new(&[0, 0, 1, 4, 0, 0, 0, 0])?;
    /// match padding.set_sticky(&socket) {
    ///     Ok(()) => assert_eq!(Ipv6DstOpts::sticky(&socket, &mut [0; 64])?, Some(padding)),
    ///     Err(error) => eprintln!("{error}"), // without the privilege
    /// }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// RFC 3542 s. 9; net/ipv6/ipv6_sockglue.c, `ipv6_set_opt_hdr`
    ///
    /// # Errors
    ///
    /// As those of [`Ipv6HopOpts::set_sticky`].
    Ipv6DstOpts = libc::IPV6_DSTOPTS,
        "[`FamilyError`](crate::FamilyError) if the socket is not of AF_INET6; EPERM without `CAP_NET_RAW`, set or not.";

    /// Every packet with a routing header gets this one before it (`IPV6_RTHDRDSTOPTS`; Linux 2.6.14).
    ///
    /// A datagram with any extension header among its control messages gets those alone, and no sticky one.
    ///
    /// ```
    /// use ancillary::message::Ipv6RthdrDstOpts;
    /// # let Ok(socket) = std::net::UdpSocket::bind("[::1]:0") else { return Ok(()) }; // without IPv6
    ///
    /// let padding = Ipv6RthdrDstOpts::new(&[0, 0, 1, 4, 0, 0, 0, 0])?;
    /// match padding.set_sticky(&socket) {
    ///     Ok(()) => assert_eq!(Ipv6RthdrDstOpts::sticky(&socket, &mut [0; 64])?, Some(padding)),
    ///     Err(error) => eprintln!("{error}"), // without the privilege
    /// }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// RFC 3542 s. 9; net/ipv6/ipv6_sockglue.c, `ipv6_set_opt_hdr`
    ///
    /// # Errors
    ///
    /// As those of [`Ipv6HopOpts::set_sticky`].
    Ipv6RthdrDstOpts = libc::IPV6_RTHDRDSTOPTS,
        "[`FamilyError`](crate::FamilyError) if the socket is not of AF_INET6; EPERM without `CAP_NET_RAW`, set or not.";

    /// Every packet gets this routing header (`IPV6_RTHDR`; Linux 2.6.14): of type 4 (segment routing, where the kernel
    /// was built for it, `CONFIG_IPV6_SEG6_LWTUNNEL`), or 2 (with `CONFIG_IPV6_MIP6`). No privilege.
    ///
    /// A datagram with any extension header among its control messages gets those alone, and no sticky one.
    ///
    /// ```
    /// use ancillary::message::Ipv6Rthdr;
    /// # let Ok(socket) = std::net::UdpSocket::bind("[::1]:0") else { return Ok(()) }; // without IPv6
    ///
    /// let mut header = [0; 24];
    /// header[1..3].copy_from_slice(&[2, 4]); // length, type
    /// header[23] = 1;                        // one segment, ::1
    /// let route = Ipv6Rthdr::new(&header)?;
    /// match route.set_sticky(&socket) {
    ///     Ok(()) => assert_eq!(Ipv6Rthdr::sticky(&socket, &mut [0; 64])?, Some(route)),
    ///     Err(error) => eprintln!("{error}"), // not by this kernel
    /// }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// RFC 3542 s. 7; RFC 8754 s. 2; net/ipv6/ipv6_sockglue.c, `ipv6_set_opt_hdr`
    ///
    /// # Errors
    ///
    /// EINVAL for another type, or for a header of these that is malformed or has 2,048 bytes;
    /// [`FamilyError`](crate::FamilyError) if the socket is not of AF_INET6.
    Ipv6Rthdr = libc::IPV6_RTHDR,
        "[`FamilyError`](crate::FamilyError) if the socket is not of AF_INET6. No privilege.";
}
