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

/// Sets an option that is an `int` (setsockopt(2)); for messages of one's own.
///
/// # Errors
///
/// That of setsockopt(2). `InvalidInput` for Linux's options whose number is a descriptor (`SO_ATTACH_BPF`,
/// `SO_ATTACH_REUSEPORT_EBPF`, `PACKET_FANOUT_DATA`): a descriptor has to be borrowed, not named.
#[doc(alias = "setsockopt")]
pub fn set_option(socket: impl AsFd, level: i32, name: i32, value: i32) -> io::Result<()> {
    #[cfg(linux_like)]
    if TAKES_A_DESCRIPTOR.contains(&(level, name)) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "expected a number, found an option that is a descriptor",
        ));
    }
    sys::set_int_option(socket.as_fd(), level, name, value)
}

/// The address family of a socket (`AF_*`; `SO_DOMAIN`); for messages of one's own that serve several.
///
/// # Errors
///
/// That of getsockopt(2).
#[doc(alias = "SO_DOMAIN")]
pub fn socket_family(socket: impl AsFd) -> io::Result<i32> {
    sys::domain(socket.as_fd())
}

/// The socket's family, if it is an internet one.
pub(crate) fn inet_family(socket: BorrowedFd<'_>) -> io::Result<i32> {
    require(socket, &[libc::AF_INET, libc::AF_INET6], "AF_INET or AF_INET6")
}

pub(crate) fn require_inet(socket: BorrowedFd<'_>) -> io::Result<()> {
    inet_family(socket).map(drop)
}

pub(crate) fn require_inet6(socket: BorrowedFd<'_>) -> io::Result<()> {
    require(socket, &[libc::AF_INET6], "AF_INET6").map(drop)
}

pub(crate) fn require_unix(socket: BorrowedFd<'_>) -> io::Result<()> {
    require(socket, &[libc::AF_UNIX], "AF_UNIX").map(drop)
}

#[cfg(linux_like)]
pub(crate) fn require_unix_or_netlink(socket: BorrowedFd<'_>) -> io::Result<()> {
    require(socket, &[libc::AF_UNIX, libc::AF_NETLINK], "AF_UNIX or AF_NETLINK").map(drop)
}

fn require(socket: BorrowedFd<'_>, families: &[i32], expected: &'static str) -> io::Result<i32> {
    let found = sys::domain(socket)?;
    if families.contains(&found) { Ok(found) } else { Err(FamilyError { what: "socket", expected, found }.into()) }
}
