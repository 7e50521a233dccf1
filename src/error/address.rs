//! Addresses that are none, or of another family.

use std::{fmt, net::Ipv6Addr};

use crate::text::family_name;

/// A socket or an address is of another family than the operation needs.
///
/// ```
/// use ancillary::{FamilyError, SocketExt, message::HopLimit};
/// use std::os::unix::net::UnixDatagram;
///
/// # fn main() -> std::io::Result<()> {
/// let (socket, _) = UnixDatagram::pair()?;
/// let error = socket.enable::<HopLimit>().unwrap_err(); // a local socket has no routers
/// assert_eq!(error.to_string(), "socket: expected AF_INET or AF_INET6, found AF_UNIX");
/// let error = error.downcast::<FamilyError>().unwrap();
/// assert_eq!((error.what, error.found), ("socket", nix::libc::AF_UNIX));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct FamilyError {
    /// What has the family: `"socket"` or `"destination address"`.
    pub what: &'static str,
    /// The families that would do, as C names.
    pub expected: &'static str,
    /// The family found (`AF_*`).
    pub found: i32,
}

impl FamilyError {
    /// For messages of one's own ([`RecvControl::set_enabled`](crate::RecvControl::set_enabled)).
    #[must_use]
    pub const fn new(what: &'static str, expected: &'static str, found: i32) -> Self {
        Self { what, expected, found }
    }
}

impl fmt::Display for FamilyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: expected {}, found ", self.what, self.expected)?;
        fmt_family(self.found, f)
    }
}

pub(super) fn fmt_family(family: i32, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match family_name(family) {
        Some(name) => f.write_str(name),
        None => write!(f, "address family {family}"),
    }
}

/// Bytes or a path that make no socket address.
///
/// ```
/// use ancillary::{AddrError, SockAddr};
///
/// assert_eq!(SockAddr::unix("run\0me"), Err(AddrError::NulByte { position: 3 }));
/// let long = SockAddr::unix("x".repeat(200)).unwrap_err();
/// assert!(matches!(long, AddrError::TooLong { found: 200.., .. }), "{long}");
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum AddrError {
    /// The name is longer than the address can hold.
    TooLong {
        /// Bytes given.
        found: usize,
        /// The most that fits.
        max: usize,
    },
    /// The bytes are too few to name a family.
    TooShort {
        /// Bytes given.
        found: usize,
        /// The least that is needed.
        min: usize,
    },
    /// A path holds a NUL byte.
    NulByte {
        /// Where it stands.
        position: usize,
    },
}

impl fmt::Display for AddrError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::TooLong { found, max } => write!(f, "expected at most {max} bytes of address, found {found}"),
            Self::TooShort { found, min } => write!(f, "expected at least {min} bytes of address, found {found}"),
            Self::NulByte { position } => write!(f, "expected a path without NUL, found one at byte {position}"),
        }
    }
}

/// A text that is no address with a zone ([`ScopedAddr`](crate::interface::ScopedAddr)), or none with a port
/// ([`ScopedSocketAddr`](crate::interface::ScopedSocketAddr)).
///
/// ```
/// use ancillary::{ScopeError, interface::ScopedSocketAddr};
///
/// let error = "[fe80::1%nowhere]:80".parse::<ScopedSocketAddr>().unwrap_err();
/// assert_eq!(error, ScopeError::Interface { found: "nowhere".into() });
/// let error = "[fe80::1]:65536".parse::<ScopedSocketAddr>().unwrap_err();
/// assert_eq!(error.to_string(), "expected a port of 0..=65535 behind \"]:\", found \"65536\"");
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ScopeError {
    /// What stands before the `%`, or the whole of it, is no IPv6 address.
    Address {
        /// The text there.
        found: String,
    },
    /// Nothing stands behind the `%`.
    EmptyZone {
        /// What stands before it.
        addr: Ipv6Addr,
    },
    /// What stands behind the `%` is neither the name of an interface nor a number.
    Interface {
        /// The text there.
        found: String,
    },
    /// What stands behind the `%` is no number, and the address is not link-local: its zone is no interface.
    NotLinkLocal {
        /// What stands before it.
        addr: Ipv6Addr,
        /// The text behind it.
        found: String,
    },
    /// It is no address in brackets, a colon and a port.
    Form {
        /// The whole text.
        found: String,
    },
    /// What stands behind the colon is no port.
    Port {
        /// The text there.
        found: String,
    },
}

impl fmt::Display for ScopeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address { found } => write!(f, "expected an IPv6 address, found {found:?}"),
            Self::EmptyZone { addr } => {
                write!(f, "expected an interface's name or number behind \"{addr}%\", found nothing")
            }
            Self::Interface { found } => {
                write!(f, "expected an interface's name or number behind '%', found {found:?}")
            }
            Self::NotLinkLocal { addr, found } => {
                write!(f, "expected a number behind \"{addr}%\", which is not link-local, found {found:?}")
            }
            Self::Form { found } => write!(f, "expected \"[address%zone]:port\", found {found:?}"),
            Self::Port { found } => write!(f, "expected a port of 0..=65535 behind \"]:\", found {found:?}"),
        }
    }
}
