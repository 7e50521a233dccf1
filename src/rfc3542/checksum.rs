//! The checksum that the kernel writes and checks (section 3.1).

use std::{io, os::fd::AsFd};

use nix::libc;

use super::sticky::{int, set_int};
use crate::error::DecodeError;

/// Where in its packets a raw IPv6 socket has the Internet checksum; `None`: nowhere (`IPV6_CHECKSUM`; Linux 2.2).
///
/// The offset counts bytes from the start of the data, and is even. The kernel writes the checksum there, the addresses
/// included (RFC 8200 s. 8.1), and drops what arrives with a false one. A new socket has none, but one of ICMPv6 always has
/// (at 2), and takes no other. Option 7 of level `IPPROTO_IPV6`, an `int` that is -1 for none. Making a raw socket needs
/// `CAP_NET_RAW`, this nothing.
///
/// ```
/// use ancillary::rfc3542::Ipv6Checksum;
/// # use socket2::{Domain, Protocol, Socket, Type};
/// # // A raw socket needs a privilege.
/// # let Ok(socket) = Socket::new(Domain::IPV6, Type::RAW, Some(Protocol::from(253))) else { return Ok(()) };
///
/// assert_eq!(Ipv6Checksum::get(&socket)?, Ipv6Checksum(None)); // of a protocol for experiments (RFC 3692)
/// Ipv6Checksum(Some(2)).set(&socket)?;
/// assert_eq!(Ipv6Checksum::get(&socket)?, Ipv6Checksum(Some(2)));
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # References
///
/// RFC 3542 s. 3.1; net/ipv6/raw.c, `rawv6_push_pending_frames`, `rawv6_rcv`
#[doc(alias = "IPV6_CHECKSUM")]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Ipv6Checksum(pub Option<u16>);

impl Ipv6Checksum {
    /// Says so to this socket, from the next packet on. A packet that ends before its checksum would is an error of sending
    /// (EINVAL).
    ///
    /// # Errors
    ///
    /// EINVAL for an odd offset, and for every one on a socket of ICMPv6; ENOPROTOOPT if it is no raw socket;
    /// [`FamilyError`](crate::FamilyError) if it is not of AF_INET6.
    pub fn set(self, socket: impl AsFd) -> io::Result<()> {
        set_int(socket, libc::IPV6_CHECKSUM, self.0.map_or(-1, i32::from))
    }

    /// What holds for this socket.
    ///
    /// # Errors
    ///
    /// [`FamilyError`](crate::FamilyError) if the socket is not of AF_INET6; ENOPROTOOPT if it is no raw one.
    pub fn get(socket: impl AsFd) -> io::Result<Self> {
        let found = int(socket, libc::IPV6_CHECKSUM)?;
        match u16::try_from(found) {
            Ok(offset) => Ok(Self(Some(offset))),
            Err(_) if found < 0 => Ok(Self(None)),
            Err(_) => {
                let (field, expected) = ("IPV6_CHECKSUM", "-1..=65535");
                Err(DecodeError::Value { field, expected, found: found.into() }.into())
            }
        }
    }
}
