//! The security label of a peer; see [unix(7)](https://man7.org/linux/man-pages/man7/unix.7.html), `SO_PASSSEC`.

use std::{fmt, io, os::fd::BorrowedFd, str};

use nix::libc::{self, SOL_SOCKET};

use crate::{cmsg::CmsgId, error::FamilyError, options::set_option, sys};

// include/linux/socket.h; libc lacks it.
const SCM_SECURITY: i32 = 3;

/// What a security module (SELinux, Smack, AppArmor) calls the sender of a message (`SCM_SECURITY`; Linux 2.6.17 on
/// internet sockets, 2.6.18 on AF_UNIX datagrams, 4.2 on AF_UNIX streams).
///
/// Received once enabled: `SO_PASSSEC` on AF_UNIX, AF_NETLINK and AF_BLUETOOTH, `IP_PASSSEC` on internet sockets, where
/// UDP and raw sockets deliver it for IPv4 packets that came with a label (IPsec, NetLabel). On internet sockets its
/// level is `SOL_IP`. Without a module that gives labels it never comes. It cannot be sent. No privilege.
///
/// 256 bytes are reserved for it, which is a choice: labels have no limit, SELinux's with many categories are longer.
/// One that is cut looks like a shorter one; [`MsgFlags::CTRUNC`](crate::MsgFlags::CTRUNC) tells.
///
/// ```
/// use ancillary::{message::{RecvList, ScmSecurity}, parser};
/// # use ancillary::{ControlList, RawCmsg, cmsg::CmsgId};
///
/// # let arrived = ControlList::new(RawCmsg::new(CmsgId::new(0, 3), b"system_u:system_r:ntpd_t:s0\0"))?;
/// # let cmsgs = parser::cmsgs(arrived.as_bytes());
/// let label = ScmSecurity::extract(cmsgs).and_then(|label| label.as_str()); // of a message: `message.extract()`
/// let domain = label.and_then(|label| label.split(':').nth(2)); // SELinux: user, role, type, level
/// assert_eq!(domain, Some("ntpd_t"));
/// # Ok::<(), ancillary::EncodeError>(())
/// ```
///
/// # Wire layout
///
/// ```text
///   0                 n
///   +-------+---------+
///   | label | perhaps |   characters; whether a NUL follows is up to the module
///   |       |   NUL   |
///   +-------+---------+
/// ```
///
/// # References
///
/// [unix(7)](https://man7.org/linux/man-pages/man7/unix.7.html), `SO_PASSSEC`;
/// [ip(7)](https://man7.org/linux/man-pages/man7/ip.7.html), `IP_PASSSEC`; net/core/scm.c, `scm_passec`;
/// net/ipv4/ip_sockglue.c, `ip_cmsg_recv_security`
#[doc(alias = "SCM_SECURITY")]
#[doc(alias = "SO_PASSSEC")]
#[doc(alias = "IP_PASSSEC")]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct ScmSecurity<'a>(&'a [u8]);

impl<'a> ScmSecurity<'a> {
    /// From local sockets.
    pub(crate) const ID: CmsgId = CmsgId::new(SOL_SOCKET, SCM_SECURITY);
    /// From internet sockets.
    pub(crate) const IP: CmsgId = CmsgId::new(libc::IPPROTO_IP, SCM_SECURITY);

    /// The label, without a NUL at its end.
    pub const fn label(self) -> &'a [u8] {
        match self.0 {
            [label @ .., 0] => label,
            label => label,
        }
    }

    /// The label as text, without a NUL at its end, if it is UTF-8.
    pub fn as_str(self) -> Option<&'a str> {
        str::from_utf8(self.label()).ok()
    }

    /// All bytes as they arrived.
    pub const fn as_bytes(self) -> &'a [u8] {
        self.0
    }
}

/// Prints the label; what is no printable ASCII is escaped.
impl fmt::Display for ScmSecurity<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.label().escape_ascii().fmt(f)
    }
}

receives!(view ScmSecurity, Self::ID | Self::IP, 256, |cmsg| Ok(ScmSecurity(cmsg.payload())), PassSec);

/// The option that the socket's family has.
struct PassSec;

impl PassSec {
    fn set(self, socket: BorrowedFd<'_>, on: bool) -> io::Result<()> {
        let (level, name) = match sys::domain(socket)? {
            libc::AF_UNIX | libc::AF_NETLINK | libc::AF_BLUETOOTH => (SOL_SOCKET, libc::SO_PASSSEC),
            libc::AF_INET | libc::AF_INET6 => (libc::IPPROTO_IP, libc::IP_PASSSEC),
            found => {
                let expected = "AF_UNIX, AF_NETLINK, AF_BLUETOOTH, AF_INET or AF_INET6";
                return Err(FamilyError::new("socket", expected, found).into());
            }
        };
        set_option(socket, level, name, on.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::laws::reads;

    #[test]
    fn a_label_is_read_with_and_without_a_nul() {
        for id in [ScmSecurity::ID, ScmSecurity::IP] {
            for payload in [&b"system_u:object_r:t:s0"[..], b"system_u:object_r:t:s0\0"] {
                reads::<ScmSecurity<'_>>(id, payload, "{SCM_SECURITY system_u:object_r:t:s0}", |security| {
                    assert_eq!(security.label(), b"system_u:object_r:t:s0");
                    assert_eq!(security.as_str(), Some("system_u:object_r:t:s0"));
                    assert_eq!(security.as_bytes(), payload);
                });
            }
            reads::<ScmSecurity<'_>>(id, &[b'x'; 256], &format!("{{SCM_SECURITY {}}}", "x".repeat(256)), |security| {
                assert_eq!(security.label().len(), 256);
            });
        }
    }

    #[test]
    fn a_label_may_be_empty_or_any_bytes() {
        for (payload, label, printed) in [
            (&b""[..], &b""[..], "{SCM_SECURITY }"),
            (b"\0", b"", "{SCM_SECURITY }"),
            (b"a\0\0", b"a\0", "{SCM_SECURITY a\\x00}"),
            (b"\xff\n", b"\xff\n", "{SCM_SECURITY \\xff\\n}"),
        ] {
            reads::<ScmSecurity<'_>>(ScmSecurity::ID, payload, printed, |security| {
                assert_eq!(security.label(), label);
                assert_eq!(security.as_str().is_some(), str::from_utf8(label).is_ok());
            });
        }
    }
}
