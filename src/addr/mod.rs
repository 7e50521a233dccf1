//! Socket addresses of any family.

mod destination;
mod scoped;
mod scoped_socket;

pub use destination::ToSockAddr;
pub(crate) use destination::{Name, set_name};
pub use scoped::ScopedAddr;
pub use scoped_socket::ScopedSocketAddr;

use std::{
    fmt,
    hash::{Hash, Hasher},
    mem::offset_of,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6},
    os::unix::{ffi::OsStrExt, net as unix},
    path::Path,
};

use nix::libc::{self, AF_INET, AF_INET6, AF_UNIX};

use crate::{
    error::AddrError,
    sys::{FAMILY_AT, FAMILY_LEN},
    text::{family_name, hex},
};

const PATH_AT: usize = offset_of!(libc::sockaddr_un, sun_path);
const PATH_MAX: usize = size_of::<libc::sockaddr_un>() - PATH_AT;

pub use crate::sys::SockAddr;

impl SockAddr {
    /// An AF_UNIX address in the file system.
    ///
    /// # Errors
    ///
    /// An empty path, which names nothing; one of more bytes than `sun_path` has (108 on Linux), or with a NUL byte in
    /// it.
    pub fn unix(path: impl AsRef<Path>) -> Result<Self, AddrError> {
        let path = path.as_ref().as_os_str().as_bytes();
        if path.is_empty() {
            return Err(AddrError::TooShort { found: 0, min: 1 });
        }
        if let Some(position) = path.iter().position(|&byte| byte == 0) {
            return Err(AddrError::NulByte { position });
        }
        // The terminating NUL is sent where it fits, as bind(2) by the C library would.
        let nul: &[u8] = if path.len() < PATH_MAX { &[0] } else { &[] };
        Self::from_parts(AF_UNIX, PATH_MAX, &[path, nul])
    }

    /// An AF_UNIX address in the abstract namespace of Linux: any bytes, without the leading NUL.
    ///
    /// ```
    /// use ancillary::{MsgHdr, SockAddr};
    /// use std::os::{linux::net::SocketAddrExt, unix::net::{SocketAddr, UnixDatagram}};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// # let name = format!("ancillary-example-{}", std::process::id());
    /// # let name = name.as_bytes();
    /// let server = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(name)?)?;
    /// let to = SockAddr::unix_abstract(name)?;
    /// MsgHdr::new().to(&to).data(b"hello").send(UnixDatagram::unbound()?)?;
    /// assert_eq!((to.as_abstract_name(), to.as_pathname()), (Some(name), None));
    /// # assert_eq!(server.recv(&mut [0; 9])?, 5);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// A name of more than 107 bytes.
    #[cfg(linux_like)]
    pub fn unix_abstract(name: &[u8]) -> Result<Self, AddrError> {
        if name.len() > PATH_MAX - 1 {
            return Err(AddrError::TooLong { found: name.len(), max: PATH_MAX - 1 });
        }
        Self::from_parts(AF_UNIX, PATH_MAX, &[&[0], name])
    }

    /// An address of any family, from the bytes of its C structure.
    ///
    /// ```
    /// use ancillary::SockAddr;
    ///
    /// # #[cfg(target_os = "linux")] {
    /// // A struct sockaddr_nl: the multicasts of group 1 of netlink.
    /// let bytes = [&16u16.to_ne_bytes()[..], &[0; 6], &1u32.to_ne_bytes()].concat();
    /// let addr = SockAddr::from_bytes(&bytes)?;
    /// assert_eq!((addr.family(), addr.as_bytes()), (16, &bytes[..]));
    /// # }
    /// # Ok::<(), ancillary::AddrError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// More bytes than `sockaddr_storage` has, or too few to name a family.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, AddrError> {
        let min = FAMILY_AT + FAMILY_LEN;
        if bytes.len() < min {
            return Err(AddrError::TooShort { found: bytes.len(), min });
        }
        let mut addr = Self::empty();
        if !addr.set(bytes) {
            return Err(AddrError::TooLong { found: bytes.len(), max: Self::CAPACITY });
        }
        Ok(addr)
    }

    fn from_parts(family: i32, max: usize, parts: &[&[u8]]) -> Result<Self, AddrError> {
        let mut bytes = [0; Self::CAPACITY];
        let mut at = PATH_AT;
        for part in parts {
            if at - PATH_AT + part.len() > max {
                return Err(AddrError::TooLong { found: parts.iter().map(|part| part.len()).sum(), max });
            }
            bytes[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
        put_family(&mut bytes, family, at);
        Self::from_bytes(&bytes[..at])
    }

    /// The internet address, if it is one.
    pub fn as_inet(&self) -> Option<SocketAddr> {
        match self.family() {
            AF_INET => v4_in(self.as_bytes()).map(SocketAddr::from),
            AF_INET6 => v6_in(self.as_bytes()).map(SocketAddr::from),
            _ => None,
        }
    }

    /// The internet address, an IPv4-mapped one as IPv4: to compare with what a dual-stack socket reports.
    ///
    /// ```
    /// use ancillary::SockAddr;
    /// use std::net::SocketAddr;
    ///
    /// let known: SocketAddr = "192.0.2.1:53".parse()?;
    /// let told = SockAddr::from("[::ffff:192.0.2.1]:53".parse::<SocketAddr>()?); // by a dual-stack socket
    /// assert_eq!(told.as_inet_canonical(), Some(known));
    /// assert_ne!(told.as_inet(), Some(known));
    /// # Ok::<(), std::net::AddrParseError>(())
    /// ```
    pub fn as_inet_canonical(&self) -> Option<SocketAddr> {
        let mut addr = self.as_inet()?;
        addr.set_ip(addr.ip().to_canonical());
        Some(addr)
    }

    fn sun_path(&self) -> Option<&[u8]> {
        if self.family() == AF_UNIX { self.as_bytes().get(PATH_AT..) } else { None }
    }

    /// The path of an AF_UNIX address that has one.
    #[doc(alias = "sun_path")]
    pub fn as_pathname(&self) -> Option<&Path> {
        let path = self.sun_path().filter(|path| path.first().is_some_and(|&byte| byte != 0))?;
        let end = path.iter().position(|&byte| byte == 0).unwrap_or(path.len());
        Some(Path::new(std::ffi::OsStr::from_bytes(&path[..end])))
    }

    /// The name of an AF_UNIX address in the abstract namespace (Linux), without the leading NUL.
    #[cfg(linux_like)]
    pub fn as_abstract_name(&self) -> Option<&[u8]> {
        match self.sun_path()? {
            [0, name @ ..] => Some(name),
            _ => None,
        }
    }

    /// Whether it is an AF_UNIX address without a name.
    ///
    /// ```
    /// use ancillary::{ControlBuf, SocketExt};
    /// use std::os::unix::net::UnixDatagram;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let (a, b) = UnixDatagram::pair()?; // nobody has bound them
    /// a.send(b"who am I?")?;
    /// let (mut data, mut control) = ([0; 16], ControlBuf::<()>::new());
    /// let message = b.recv_msg(&mut data, &mut control)?;
    /// assert!(message.peer().is_none_or(|peer| peer.is_unnamed())); // there is no answer to it
    /// # Ok(())
    /// # }
    /// ```
    pub fn is_unnamed(&self) -> bool {
        let unnamed = |path: &[u8]| path.is_empty() || (cfg!(not(linux_like)) && path[0] == 0);
        self.family() == AF_UNIX && self.sun_path().is_none_or(unnamed)
    }
}

/// The address in a `sockaddr_in`, whatever family it says; `None` if the bytes are too few.
#[inline]
pub(crate) fn v4_in(bytes: &[u8]) -> Option<SocketAddrV4> {
    let port: [u8; 2] = bytes.get(2..4)?.try_into().ok()?;
    let ip: [u8; 4] = bytes.get(4..8)?.try_into().ok()?;
    Some(SocketAddrV4::new(Ipv4Addr::from(ip), u16::from_be_bytes(port)))
}

/// The address in a `sockaddr_in6`, likewise.
#[inline]
pub(crate) fn v6_in(bytes: &[u8]) -> Option<SocketAddrV6> {
    let word = |at: usize| -> Option<[u8; 4]> { bytes.get(at..at + 4)?.try_into().ok() };
    let port: [u8; 2] = bytes.get(2..4)?.try_into().ok()?;
    let ip: [u8; 16] = bytes.get(8..24)?.try_into().ok()?;
    let (flowinfo, scope_id) = (u32::from_ne_bytes(word(4)?), u32::from_ne_bytes(word(24)?));
    Some(SocketAddrV6::new(Ipv6Addr::from(ip), u16::from_be_bytes(port), flowinfo, scope_id))
}

fn put_family(bytes: &mut [u8], family: i32, len: usize) {
    bytes[FAMILY_AT..FAMILY_AT + FAMILY_LEN].copy_from_slice(&(family as libc::sa_family_t).to_ne_bytes());
    // The BSDs have a length before the family.
    if FAMILY_AT == 1 {
        bytes[0] = len as u8;
    }
}

#[inline(always)]
fn set_v4(to: &mut SockAddr, addr: &SocketAddrV4) {
    let mut bytes = [0; size_of::<libc::sockaddr_in>()];
    put_family(&mut bytes, AF_INET, size_of::<libc::sockaddr_in>());
    bytes[2..4].copy_from_slice(&addr.port().to_be_bytes());
    bytes[4..8].copy_from_slice(&addr.ip().octets());
    to.set(&bytes);
}

#[inline(always)]
fn set_v6(to: &mut SockAddr, addr: &SocketAddrV6) {
    let mut bytes = [0; size_of::<libc::sockaddr_in6>()];
    put_family(&mut bytes, AF_INET6, 28);
    bytes[2..4].copy_from_slice(&addr.port().to_be_bytes());
    bytes[4..8].copy_from_slice(&addr.flowinfo().to_ne_bytes());
    bytes[8..24].copy_from_slice(&addr.ip().octets());
    bytes[24..28].copy_from_slice(&addr.scope_id().to_ne_bytes());
    to.set(&bytes);
}

impl From<SocketAddrV4> for SockAddr {
    fn from(addr: SocketAddrV4) -> Self {
        let mut to = Self::empty();
        set_v4(&mut to, &addr);
        to
    }
}

impl From<SocketAddrV6> for SockAddr {
    fn from(addr: SocketAddrV6) -> Self {
        let mut to = Self::empty();
        set_v6(&mut to, &addr);
        to
    }
}

impl From<SocketAddr> for SockAddr {
    fn from(addr: SocketAddr) -> Self {
        match addr {
            SocketAddr::V4(addr) => addr.into(),
            SocketAddr::V6(addr) => addr.into(),
        }
    }
}

impl From<&unix::SocketAddr> for SockAddr {
    fn from(addr: &unix::SocketAddr) -> Self {
        // Each of these was a valid address, so it fits; an unnamed one is the family alone.
        let unnamed = || Self::from_parts(AF_UNIX, PATH_MAX, &[]).unwrap_or(Self::empty());
        #[cfg(target_os = "linux")]
        if let Some(name) = std::os::linux::net::SocketAddrExt::as_abstract_name(addr) {
            return Self::unix_abstract(name).unwrap_or_else(|_| unnamed());
        }
        #[cfg(target_os = "android")]
        if let Some(name) = std::os::android::net::SocketAddrExt::as_abstract_name(addr) {
            return Self::unix_abstract(name).unwrap_or_else(|_| unnamed());
        }
        addr.as_pathname().and_then(|path| Self::unix(path).ok()).unwrap_or_else(unnamed)
    }
}

impl PartialEq for SockAddr {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for SockAddr {}

impl Hash for SockAddr {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

/// The same as `Debug`.
impl fmt::Display for SockAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Prints `192.0.2.1:53`, `"/run/x"`, `@abstract`, `unnamed`, or family and bytes.
impl fmt::Debug for SockAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(addr) = self.as_inet() {
            return addr.fmt(f);
        }
        if self.is_unnamed() {
            return f.write_str("unnamed");
        }
        if let Some(path) = self.as_pathname() {
            return path.fmt(f);
        }
        #[cfg(linux_like)]
        if let Some(name) = self.as_abstract_name() {
            return write!(f, "@{}", name.escape_ascii());
        }
        match family_name(self.family()) {
            Some(name) => write!(f, "{name}, ")?,
            None => write!(f, "family {}, ", self.family())?,
        }
        hex(self.as_bytes(), f)
    }
}
