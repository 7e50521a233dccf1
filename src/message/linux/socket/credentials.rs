//! Who sent a message; see [unix(7)](https://man7.org/linux/man-pages/man7/unix.7.html).

use std::fmt;

use nix::libc::{self, SOL_SOCKET};

use crate::{
    cmsg::CmsgId,
    message::rows::field,
    options::{Families, SocketOption},
};

/// Process, user and group of a sender (`SCM_CREDENTIALS`, `struct ucred`; Linux 2.2, AF_UNIX and AF_NETLINK).
///
/// Received once enabled (`SO_PASSCRED`); the kernel then adds the sender's own to every message. Sent explicitly they
/// must be the sender's own process, and one of its real, effective or saved ids; other values need `CAP_SYS_ADMIN`
/// (pid), `CAP_SETUID`, `CAP_SETGID`. Messages sent before anybody asked say pid 0, uid and gid 65534.
///
/// A server enables it on the listening socket, so that accepted ones have it from their first message on.
///
/// Enabling it makes the kernel bind an unnamed datagram socket to an abstract name at its next send or connect.
///
/// ```
/// use ancillary::{ControlBuf, SocketExt, message::Credentials};
/// use std::{io::Write, os::unix::net::UnixStream};
///
/// # fn main() -> std::io::Result<()> {
/// let (mut a, b) = UnixStream::pair()?;
/// b.enable::<Credentials>()?;
/// a.write_all(b"it is me")?;
/// let (mut data, mut control) = ([0; 16], ControlBuf::<Credentials>::new());
/// let sender = b.recv_msg(&mut data, &mut control)?.extract();
/// assert_eq!(sender.map(|sender| sender.pid as u32), Some(std::process::id()));
/// # Ok(())
/// # }
/// ```
///
/// # Wire layout
///
/// ```text
///   0     4     8     12
///   +-----+-----+-----+
///   | pid | uid | gid |   host byte order, in the receiver's namespaces
///   +-----+-----+-----+
/// ```
///
/// # Errors
///
/// Sending: EPERM for what is not one's own, ESRCH for a process that does not exist, EINVAL for an id of -1.
///
/// # References
///
/// unix(7), `SCM_CREDENTIALS`; net/core/scm.c, `scm_check_creds`
#[doc(alias = "SCM_CREDENTIALS")]
#[doc(alias = "SO_PASSCRED")]
#[doc(alias = "ucred")]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Credentials {
    /// Process; 0 if it is not visible from here.
    pub pid: i32,
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

impl Credentials {
    /// This process's own, with its effective user and group.
    ///
    /// ```
    /// use ancillary::{ControlBuf, MsgHdr, SocketExt, message::Credentials};
    /// use std::os::unix::net::UnixStream;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let (a, b) = UnixStream::pair()?;
    /// b.enable::<Credentials>()?;
    /// // With the effective user: unasked the kernel adds the real one.
    /// MsgHdr::new().data(b"it is me").control(Credentials::own()).send(&a)?;
    /// let (mut data, mut control) = ([0; 16], ControlBuf::<Credentials>::new());
    /// assert_eq!(b.recv_msg(&mut data, &mut control)?.extract(), Some(Credentials::own()));
    /// # Ok(())
    /// # }
    /// ```
    pub fn own() -> Self {
        use nix::unistd::{getegid, geteuid};
        Self { pid: std::process::id() as i32, uid: geteuid().as_raw(), gid: getegid().as_raw() }
    }
}

impl fmt::Display for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pid {} uid {} gid {}", self.pid, self.uid, self.gid)
    }
}

impl Credentials {
    pub(crate) const ID: CmsgId = CmsgId::new(SOL_SOCKET, libc::SCM_CREDENTIALS);
}

impl Credentials {
    #[inline]
    fn to_wire(self) -> [u8; 12] {
        let mut payload = [0; 12];
        payload[..4].copy_from_slice(&self.pid.to_ne_bytes());
        payload[4..8].copy_from_slice(&self.uid.to_ne_bytes());
        payload[8..].copy_from_slice(&self.gid.to_ne_bytes());
        payload
    }

    #[inline]
    fn from_wire(payload: [u8; 12]) -> Self {
        Self {
            pid: i32::from_ne_bytes(field::<0, 4, 12>(&payload)),
            uid: u32::from_ne_bytes(field::<4, 4, 12>(&payload)),
            gid: u32::from_ne_bytes(field::<8, 4, 12>(&payload)),
        }
    }
}

sends!(Credentials, Self::ID, |credentials| credentials.to_wire());
receives!(
    Credentials,
    Self::ID,
    12,
    |cmsg| cmsg.array().map(Self::from_wire),
    SocketOption::new(Families::UNIX_OR_NETLINK, SOL_SOCKET, libc::SO_PASSCRED)
);
