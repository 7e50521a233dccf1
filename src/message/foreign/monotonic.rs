//! When a packet arrived, by a clock that is never set.

use std::{fmt, io, mem::offset_of, os::fd::BorrowedFd, time::Duration};

use nix::libc::{self, SOL_SOCKET};

use super::wire;
use crate::{
    cmsg::{CmsgId, RawCmsg},
    error::DecodeError,
    message::RecvControl,
    options::set_option,
};

/// When the kernel received a packet, by the monotonic clock: time since the system started (`SCM_MONOTONIC`;
/// FreeBSD 12).
///
/// Received once enabled (`SO_TIMESTAMP` with `SO_TS_CLOCK` of `SO_TS_MONOTONIC`), by UDP and raw sockets. A socket has
/// one clock: enabling [`Timestamp`](crate::message::Timestamp) afterwards ends this one, and the other way round. No
/// privilege.
///
/// # Wire layout
///
/// ```text
///   0         8             16
///   +---------+-------------+
///   | seconds | nanoseconds |   struct timespec, host byte order; 8 bytes on i386
///   +---------+-------------+
/// ```
///
/// # References
///
/// [getsockopt(2)](https://man.freebsd.org/cgi/man.cgi?query=getsockopt&sektion=2), `SO_TS_CLOCK`;
/// sys/netinet/ip_input.c, `ip_savecontrol`
#[doc(alias = "SCM_MONOTONIC")]
#[doc(alias = "SO_TS_CLOCK")]
#[doc(alias = "SO_TS_MONOTONIC")]
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ScmMonotonic(pub Duration);

impl ScmMonotonic {
    pub(crate) const ID: CmsgId = CmsgId::new(SOL_SOCKET, libc::SCM_MONOTONIC);
}

impl fmt::Display for ScmMonotonic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:09}", self.0.as_secs(), self.0.subsec_nanos())
    }
}

/// Seconds and nanoseconds of a `struct timespec`.
pub(in crate::message) fn timespec(cmsg: RawCmsg<'_>) -> Result<(i64, i64), DecodeError> {
    const AT: usize = offset_of!(libc::timespec, tv_nsec);
    let fraction = AT..AT + size_of::<libc::c_long>();
    wire::pair(cmsg.payload(), size_of::<libc::timespec>(), 0..size_of::<libc::time_t>(), fraction)
}

impl RecvControl for ScmMonotonic {
    type Value<'a> = Self;
    const PAYLOAD_LEN: usize = size_of::<libc::timespec>();

    fn matches(id: CmsgId) -> bool {
        id == Self::ID
    }

    fn decode(cmsg: RawCmsg<'_>) -> Result<Self, DecodeError> {
        wire::since_start(timespec(cmsg)?).map(Self)
    }

    fn set_enabled(socket: BorrowedFd<'_>, on: bool) -> io::Result<()> {
        if on {
            set_option(socket, SOL_SOCKET, libc::SO_TS_CLOCK, libc::SO_TS_MONOTONIC)?;
        }
        set_option(socket, SOL_SOCKET, libc::SO_TIMESTAMP, on.into())
    }
}
