//! Socket options, and the family that decides which there are.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
};

use nix::libc;

use crate::{error::FamilyError, sys};

/// `SO_ATTACH_BPF` and `SO_ATTACH_REUSEPORT_EBPF` (50, 52; on SPARC 52, 54), `PACKET_FANOUT_DATA`.
#[cfg(linux_like)]
const TAKES_A_DESCRIPTOR: [(i32, i32); 4] =
    [(libc::SOL_SOCKET, 50), (libc::SOL_SOCKET, 52), (libc::SOL_SOCKET, 54), (libc::SOL_PACKET, 22)];

/// A number of level `SOL_SOCKET` (include/uapi/asm-generic/socket.h): SPARC has its own
/// (arch/sparc/include/uapi/asm/socket.h).
#[cfg(linux_like)]
pub(crate) const fn by_arch(generic: i32, sparc: i32) -> i32 {
    if cfg!(any(target_arch = "sparc", target_arch = "sparc64")) { sparc } else { generic }
}

#[cfg(linux_like)]
pub(crate) const SO_ZEROCOPY: i32 = by_arch(60, 0x3e);

/// Sets an option that is an `int` (setsockopt(2)); for messages of one's own.
///
/// ```
/// use ancillary::set_option;
///
/// # fn main() -> std::io::Result<()> {
/// let socket = std::net::UdpSocket::bind("127.0.0.1:0")?;
/// # #[cfg(target_os = "linux")]
/// set_option(&socket, 0, 10, 2)?; // IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// That of setsockopt(2). `InvalidInput` for Linux's options whose number is a descriptor (`SO_ATTACH_BPF`,
/// `SO_ATTACH_REUSEPORT_EBPF`, `PACKET_FANOUT_DATA`): a descriptor has to be borrowed, not named; and for `SO_ZEROCOPY`,
/// which is `ZeroCopy`'s.
#[doc(alias = "setsockopt")]
pub fn set_option(socket: impl AsFd, level: i32, name: i32, value: i32) -> io::Result<()> {
    #[cfg(linux_like)]
    if TAKES_A_DESCRIPTOR.contains(&(level, name)) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "expected a number, found an option that is a descriptor",
        ));
    }
    #[cfg(linux_like)]
    if (level, name) == (libc::SOL_SOCKET, SO_ZEROCOPY) {
        let found = "expected an option that ZeroCopy does not set, found SO_ZEROCOPY";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, found));
    }
    sys::set_int_option(socket.as_fd(), level, name, value)
}

/// The address family of a socket (`AF_*`; `SO_DOMAIN`); for messages of one's own that serve several.
///
/// ```
/// use ancillary::{set_option, socket_family};
/// use nix::libc::{AF_INET, AF_INET6};
/// use std::{io, net::UdpSocket};
///
/// /// The time to live of multicasts, whichever family the socket is of.
/// fn set_multicast_ttl(socket: &UdpSocket, ttl: i32) -> io::Result<()> {
///     use nix::libc::{IP_MULTICAST_TTL, IPPROTO_IP, IPPROTO_IPV6, IPV6_MULTICAST_HOPS};
///     match socket_family(socket)? {
///         AF_INET => set_option(socket, IPPROTO_IP, IP_MULTICAST_TTL, ttl),
///         AF_INET6 => set_option(socket, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, ttl),
///         found => Err(ancillary::FamilyError::new("socket", "AF_INET or AF_INET6", found).into()),
///     }
/// }
/// # fn main() -> io::Result<()> {
/// let socket = UdpSocket::bind("127.0.0.1:0")?;
/// set_multicast_ttl(&socket, 4)?;
/// assert_eq!(socket.multicast_ttl_v4()?, 4);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// That of getsockopt(2).
#[doc(alias = "SO_DOMAIN")]
pub fn socket_family(socket: impl AsFd) -> io::Result<i32> {
    sys::domain(socket.as_fd())
}

/// The protocol of a socket (`SO_PROTOCOL`).
#[cfg(linux_like)]
pub(crate) fn socket_protocol(socket: BorrowedFd<'_>) -> io::Result<i32> {
    sys::int_option(socket, libc::SOL_SOCKET, libc::SO_PROTOCOL)
}

/// The families whose sockets deliver a message: on others an option of the same number would set something else.
#[derive(Clone, Copy)]
pub(crate) struct Families {
    /// None at all: the kernel decides.
    list: &'static [i32],
    names: &'static str,
}

impl Families {
    #[cfg_attr(not(linux_like), allow(dead_code, reason = "Linux has such messages"))]
    pub(crate) const ANY: Self = Self { list: &[], names: "any family" };
    pub(crate) const INET: Self = Self { list: &[libc::AF_INET, libc::AF_INET6], names: "AF_INET or AF_INET6" };
    #[cfg(linux_like)]
    pub(crate) const INET4: Self = Self { list: &[libc::AF_INET], names: "AF_INET" };
    pub(crate) const INET6: Self = Self { list: &[libc::AF_INET6], names: "AF_INET6" };
    pub(crate) const UNIX: Self = Self { list: &[libc::AF_UNIX], names: "AF_UNIX" };
    #[cfg(linux_like)]
    pub(crate) const UNIX_OR_NETLINK: Self =
        Self { list: &[libc::AF_UNIX, libc::AF_NETLINK], names: "AF_UNIX or AF_NETLINK" };
    #[cfg(linux_like)]
    pub(crate) const NETLINK: Self = Self { list: &[libc::AF_NETLINK], names: "AF_NETLINK" };
    #[cfg(linux_like)]
    pub(crate) const PACKET: Self = Self { list: &[libc::AF_PACKET], names: "AF_PACKET" };
    #[cfg(linux_like)]
    pub(crate) const CAN: Self = Self { list: &[libc::AF_CAN], names: "AF_CAN" };

    /// Those with an error queue of their own: the others ignore `MSG_ERRQUEUE` and hand out ordinary messages.
    #[cfg(linux_like)]
    pub(crate) const ERROR_QUEUE: Self = Self {
        list: &[libc::AF_INET, libc::AF_INET6, libc::AF_PACKET, libc::AF_CAN, libc::AF_VSOCK],
        names: "AF_INET, AF_INET6, AF_PACKET, AF_CAN or AF_VSOCK",
    };

    /// The socket's family, if it is one of them.
    pub(crate) fn require(self, socket: BorrowedFd<'_>) -> io::Result<i32> {
        let found = sys::domain(socket)?;
        if self.list.is_empty() || self.list.contains(&found) {
            return Ok(found);
        }
        Err(FamilyError { what: "socket", expected: self.names, found }.into())
    }
}

/// Refuses sockets of this machine alone, which take the options of packets without a word.
#[cfg(linux_like)]
pub(crate) fn require_packets(socket: BorrowedFd<'_>) -> io::Result<()> {
    match sys::domain(socket)? {
        found @ (libc::AF_UNIX | libc::AF_NETLINK) => {
            let expected = "AF_INET, AF_INET6, AF_PACKET or another of packets";
            Err(FamilyError { what: "socket", expected, found }.into())
        }
        _ => Ok(()),
    }
}

/// The option, an `int`, that asks for a message.
#[derive(Clone, Copy)]
pub(crate) struct SocketOption {
    families: Families,
    level: i32,
    name: i32,
}

impl SocketOption {
    pub(crate) const fn new(families: Families, level: i32, name: i32) -> Self {
        Self { families, level, name }
    }

    pub(crate) fn set(self, socket: BorrowedFd<'_>, on: bool) -> io::Result<()> {
        if !self.families.list.is_empty() {
            self.families.require(socket)?;
        }
        set_option(socket, self.level, self.name, on.into())
    }
}

/// What arrives unasked, on sockets of these families.
#[cfg_attr(not(linux_like), allow(dead_code, reason = "Linux has such messages"))]
#[derive(Clone, Copy)]
pub(crate) struct Unasked(pub(crate) Families);

impl Unasked {
    /// Only says whether it can arrive at all.
    #[cfg_attr(not(linux_like), allow(dead_code, reason = "Linux has such messages"))]
    pub(crate) fn set(self, socket: BorrowedFd<'_>, _: bool) -> io::Result<()> {
        self.0.require(socket).map(drop)
    }
}
