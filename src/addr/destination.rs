//! What names the destination of a message.

use std::{
    net::{IpAddr, SocketAddr, SocketAddrV4, SocketAddrV6},
    os::unix::net as unix,
};

use nix::libc::{self, AF_INET, AF_INET6};

use super::{ScopedSocketAddr, SockAddr, set_v4, set_v6};

/// The destination of a header: in its own storage, or somebody else's.
#[allow(unreachable_pub, reason = "named by a sealed trait, which has to be public")]
pub struct Name<'a> {
    external: Option<&'a SockAddr>,
    own: SockAddr,
}

impl<'a> Name<'a> {
    #[inline(always)]
    pub(crate) const fn new() -> Self {
        Self { external: None, own: SockAddr::empty() }
    }

    #[inline(always)]
    pub(crate) fn get(&self) -> Option<&SockAddr> {
        // An address that somebody has is never empty.
        self.external.or(Some(&self.own).filter(|own| own.len() > 0))
    }

    /// Somebody else's address, and its own storage, which counts if there is none.
    #[inline(always)]
    pub(crate) fn parts(&self) -> (Option<&'a SockAddr>, &SockAddr) {
        (self.external, &self.own)
    }

    /// `AF_INET` also for a mapped address: what the kernel makes of it.
    #[inline(always)]
    pub(crate) fn effective_family(&self) -> i32 {
        let Some(name) = self.get() else { return libc::AF_UNSPEC };
        let family = name.family();
        if family == AF_INET6 && name.as_bytes().get(8..20) == Some(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff]) {
            return AF_INET;
        }
        family
    }
}

mod sealed {
    pub trait Sealed<'a> {
        fn set(self, name: &mut super::Name<'a>);
    }
}

/// What [`MsgHdr::to`](crate::MsgHdr::to) takes: the standard library's addresses, an address with a port, a
/// [`ScopedSocketAddr`](crate::interface::ScopedSocketAddr), a [`SockAddr`] or a reference to one (which is not copied), or an `Option` of these. `None` means the connected peer.
///
/// ```
/// use ancillary::{MsgHdr, SockAddr};
/// use std::net::{Ipv4Addr, UdpSocket};
///
/// # fn main() -> std::io::Result<()> {
/// let socket = UdpSocket::bind("127.0.0.1:0")?;
/// let to = socket.local_addr()?;
/// let kept = SockAddr::from(to);
/// MsgHdr::new().to(to).data(b"1").send(&socket)?;
/// MsgHdr::new().to((Ipv4Addr::LOCALHOST, to.port())).data(b"2").send(&socket)?;
/// MsgHdr::new().to(&kept).data(b"3").send(&socket)?; // not copied
/// # Ok(())
/// # }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no destination for a message",
    note = "the standard library's socket addresses, `(IpAddr, u16)`, `SockAddr`, `&SockAddr`, or an `Option` of these are"
)]
pub trait ToSockAddr<'a>: sealed::Sealed<'a> {}

impl<'a, T: sealed::Sealed<'a>> ToSockAddr<'a> for T {}

impl<'a> sealed::Sealed<'a> for SocketAddrV4 {
    #[inline(always)]
    fn set(self, name: &mut Name<'a>) {
        name.external = None;
        set_v4(&mut name.own, &self);
    }
}

impl<'a> sealed::Sealed<'a> for SocketAddrV6 {
    #[inline(always)]
    fn set(self, name: &mut Name<'a>) {
        name.external = None;
        set_v6(&mut name.own, &self);
    }
}

impl<'a> sealed::Sealed<'a> for SocketAddr {
    #[inline(always)]
    fn set(self, name: &mut Name<'a>) {
        match self {
            SocketAddr::V4(addr) => addr.set(name),
            SocketAddr::V6(addr) => addr.set(name),
        }
    }
}

impl<'a> sealed::Sealed<'a> for ScopedSocketAddr {
    #[inline(always)]
    fn set(self, name: &mut Name<'a>) {
        SocketAddrV6::from(self).set(name);
    }
}

impl<'a> sealed::Sealed<'a> for &SocketAddr {
    #[inline(always)]
    fn set(self, name: &mut Name<'a>) {
        (*self).set(name);
    }
}

impl<'a, I: Into<IpAddr>> sealed::Sealed<'a> for (I, u16) {
    #[inline(always)]
    fn set(self, name: &mut Name<'a>) {
        SocketAddr::from(self).set(name);
    }
}

impl<'a> sealed::Sealed<'a> for SockAddr {
    fn set(self, name: &mut Name<'a>) {
        name.external = None;
        name.own = self;
    }
}

impl<'a> sealed::Sealed<'a> for &'a SockAddr {
    #[inline(always)]
    fn set(self, name: &mut Name<'a>) {
        name.external = Some(self);
    }
}

impl<'a> sealed::Sealed<'a> for &unix::SocketAddr {
    fn set(self, name: &mut Name<'a>) {
        SockAddr::from(self).set(name);
    }
}

impl<'a, T: sealed::Sealed<'a>> sealed::Sealed<'a> for Option<T> {
    #[inline(always)]
    fn set(self, name: &mut Name<'a>) {
        match self {
            Some(addr) => addr.set(name),
            None => *name = Name::new(),
        }
    }
}

#[inline(always)]
pub(crate) fn set_name<'a>(name: &mut Name<'a>, addr: impl ToSockAddr<'a>) {
    addr.set(name);
}
