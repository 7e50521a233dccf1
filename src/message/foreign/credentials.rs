//! Who sent a message, on the BSDs that say it.

use std::{fmt, mem::offset_of};

use nix::libc::{self, SOL_SOCKET};

use super::wire::credentials as wire;
use crate::{
    cmsg::CmsgId,
    options::{Families, SocketOption},
};

/// Process, user and group of a sender (AF_UNIX; `SCM_CREDS`, `SCM_CREDS2`).
///
/// User and group are the real ones, as in what Linux adds by itself.
///
/// * FreeBSD: received once enabled (`LOCAL_CREDS_PERSISTENT`, FreeBSD 13), as `struct sockcred2` (`SCM_CREDS2`) with
///   every message; and unasked if the sender sends one (`SCM_CREDS`, `struct cmsgcred`). `LOCAL_CREDS` makes it a
///   `struct sockcred`, which is read with a `pid` of 0; of 16 groups it has the length of a `struct cmsgcred`, and is
///   mistaken for one: leave that option alone.
/// * DragonFly: received once enabled (`SO_PASSCRED`), and unasked if the sender sends one.
/// * NetBSD: received once enabled (`LOCAL_CREDS`); it cannot be sent.
///
/// When sent (FreeBSD, DragonFly) it has to be [`own`](Self::own): the kernel fills it in, whatever the sender writes.
/// OpenBSD and macOS have no such message. That of illumos (`SCM_UCRED`) stays
/// [`Unknown`](crate::parser::ControlMessage::Unknown): the C library alone knows its layout, and trusts the offsets in
/// it, for which bytes from anywhere cannot vouch.
///
/// # Wire layout
///
/// ```text
///   FreeBSD, DragonFly: cmsgcred                     0     4     8      12    16      20
///                                                    | pid | uid | euid | gid | count | 16 groups |   84 bytes
///   FreeBSD: sockcred2     0         4     8     12     16    20     24      28
///                          | version | pid | uid | euid | gid | egid | count | groups |
///   NetBSD: sockcred                 0     4     8      12    16     20      24
///                                    | pid | uid | euid | gid | egid | count | groups |
/// ```
///
/// All in host byte order, four bytes each; the `count` of a cmsgcred has two, and two of padding.
///
/// # Errors
///
/// Sending: [`EncodeError::Value`](crate::EncodeError::Value) for what is not the sender's own.
///
/// # References
///
/// [unix(4)](https://man.freebsd.org/cgi/man.cgi?query=unix&sektion=4), `SCM_CREDS`, `LOCAL_CREDS_PERSISTENT`;
/// sys/kern/uipc_usrreq.c, `unp_internalize`, `unp_addsockcred`
#[doc(alias = "SCM_CREDS")]
#[doc(alias = "SCM_CREDS2")]
#[doc(alias = "LOCAL_CREDS")]
#[doc(alias = "LOCAL_CREDS_PERSISTENT")]
#[doc(alias = "cmsgcred")]
#[doc(alias = "sockcred")]
#[doc(alias = "sockcred2")]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Credentials {
    /// Process; 0 where the system does not say.
    pub pid: i32,
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

impl Credentials {
    pub(crate) const ID: CmsgId = CmsgId::new(SOL_SOCKET, libc::SCM_CREDS);

    /// This process's own, with its real user and group.
    pub fn own() -> Self {
        use nix::unistd::{getgid, getuid};
        Self { pid: std::process::id() as i32, uid: getuid().as_raw(), gid: getgid().as_raw() }
    }
}

impl fmt::Display for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pid {} uid {} gid {}", self.pid, self.uid, self.gid)
    }
}

#[cfg(any(target_os = "freebsd", target_os = "dragonfly"))]
sends!(Credentials, Self::ID, |credentials| {
    wire::only_own(*credentials, Self::own())?;
    [0; wire::CMSGCRED]
});

// Where `wire` reads the fields.
#[cfg(any(target_os = "freebsd", target_os = "dragonfly"))]
const _: () = {
    assert!(size_of::<libc::cmsgcred>() == wire::CMSGCRED);
    assert!(offset_of!(libc::cmsgcred, cmcred_pid) == 0 && offset_of!(libc::cmsgcred, cmcred_uid) == 4);
    assert!(offset_of!(libc::cmsgcred, cmcred_gid) == 12);
};
#[cfg(target_os = "freebsd")]
const _: () = {
    assert!(offset_of!(libc::sockcred, sc_uid) == 0 && offset_of!(libc::sockcred, sc_gid) == 8);
    assert!(offset_of!(libc::sockcred, sc_ngroups) == 16 && offset_of!(libc::sockcred, sc_groups) == 20);
    assert!(offset_of!(libc::sockcred2, sc_version) == 0 && offset_of!(libc::sockcred2, sc_pid) == 4);
    assert!(offset_of!(libc::sockcred2, sc_uid) == 8 && offset_of!(libc::sockcred2, sc_gid) == 16);
    assert!(offset_of!(libc::sockcred2, sc_ngroups) == 24 && offset_of!(libc::sockcred2, sc_groups) == 28);
};
#[cfg(target_os = "netbsd")]
const _: () = {
    assert!(offset_of!(libc::sockcred, sc_pid) == 0 && offset_of!(libc::sockcred, sc_uid) == 4);
    assert!(offset_of!(libc::sockcred, sc_gid) == 12);
    assert!(offset_of!(libc::sockcred, sc_ngroups) == 20 && offset_of!(libc::sockcred, sc_groups) == 24);
};

/// `SOL_LOCAL`, which libc lacks (FreeBSD sys/un.h, NetBSD sys/un.h).
#[cfg(any(target_os = "freebsd", target_os = "netbsd"))]
const SOL_LOCAL: libc::c_int = 0;

#[cfg(target_os = "freebsd")]
impl Credentials {
    pub(crate) const PERSISTENT: CmsgId = CmsgId::new(SOL_SOCKET, libc::SCM_CREDS2);

    /// A `struct sockcred2` with as many groups as the kernel adds at most (`CMGROUP_MAX`, 16).
    const LEN: usize = size_of::<libc::sockcred2>() + 15 * 4;
}

#[cfg(target_os = "freebsd")]
receives!(
    Credentials,
    Self::PERSISTENT | Self::ID,
    Self::LEN,
    |cmsg| {
        if cmsg.id() == Self::PERSISTENT {
            wire::sockcred2(cmsg.payload())
        } else {
            wire::freebsd_creds(cmsg.payload())
        }
    },
    SocketOption::new(Families::UNIX, SOL_LOCAL, libc::LOCAL_CREDS_PERSISTENT)
);

#[cfg(target_os = "dragonfly")]
receives!(
    Credentials,
    Self::ID,
    wire::CMSGCRED,
    |cmsg| wire::cmsgcred(cmsg.payload()),
    SocketOption::new(Families::UNIX, SOL_SOCKET, libc::SO_PASSCRED)
);

// A `struct sockcred` with `NGROUPS_MAX` groups, 16.
#[cfg(target_os = "netbsd")]
receives!(
    Credentials,
    Self::ID,
    size_of::<libc::sockcred>() + 15 * 4,
    |cmsg| wire::netbsd_sockcred(cmsg.payload()),
    SocketOption::new(Families::UNIX, SOL_LOCAL, libc::LOCAL_CREDS)
);
