//! When a packet arrived or left; see [socket(7)](https://man7.org/linux/man-pages/man7/socket.7.html), `SO_TIMESTAMP`.

#[cfg(linux_like)]
mod flags;
#[cfg(linux_like)]
mod stats;
#[cfg(linux_like)]
mod timestamping;

#[cfg(linux_like)]
pub use flags::{SoTimestamping, TimestampingFlags};
#[cfg(linux_like)]
pub use stats::{ScmTimestampingOptStats, TcpNla, TcpNlas};
#[cfg(linux_like)]
pub use timestamping::{ScmTimestamping, ScmTimestampingPktInfo, ScmTsOptId};

use std::{
    fmt, io,
    os::fd::BorrowedFd,
    time::{Duration, SystemTime},
};

use nix::libc::{self, SOL_SOCKET};

use super::RecvControl;
use crate::{
    cmsg::{CmsgId, RawCmsg},
    error::DecodeError,
    options::set_option,
};

/// When the kernel received a packet, by the system clock (`SCM_TIMESTAMP`, `SCM_TIMESTAMPNS`; old and new width).
///
/// Received once enabled: `SO_TIMESTAMPNS` on Linux (2.6.22), `SO_TIMESTAMP` elsewhere, on FreeBSD in nanoseconds
/// (`SO_TS_CLOCK`). Microseconds and nanoseconds arrive alike as nanoseconds. Linux switches stamping on asynchronously:
/// the first datagrams after enabling get the time of reading, TCP and AF_UNIX stream data none. AF_UNIX streams never
/// have one. No privilege.
///
/// ```
/// use ancillary::message::Timestamp;
/// use std::time::{Duration, SystemTime};
///
/// let when = Timestamp::new(86_400, 500_000_000).unwrap();
/// assert_eq!(when.to_string(), "86400.500000000");
/// assert_eq!((when.seconds(), when.subsec_nanos()), (86_400, 500_000_000));
/// assert_eq!(when.to_system_time(), Some(SystemTime::UNIX_EPOCH + Duration::from_millis(86_400_500)));
/// ```
///
/// # Wire layout
///
/// ```text
///   0         8          16
///   +---------+----------+
///   | seconds | fraction |   long, host byte order; microseconds (SCM_TIMESTAMP) or nanoseconds (SCM_TIMESTAMPNS)
///   +---------+----------+
/// ```
///
/// The old types are 8 bytes long on 32-bit systems; the new ones (`SO_TIMESTAMP_NEW`, `SO_TIMESTAMPNS_NEW`, Linux 5.1)
/// are 16 everywhere. FreeBSD's `SCM_REALTIME` is a `struct timespec`, its `SCM_BINTIME` has the fraction in units of
/// 2^-64 s, eight bytes; both are read. The others have a `struct timeval`.
///
/// Other clocks are other messages: FreeBSD's monotonic one is `ScmMonotonic`; those of macOS
/// (`SCM_TIMESTAMP_MONOTONIC`, `SCM_TIMESTAMP_CONTINUOUS`), which count ticks of a length that only `mach_timebase_info`
/// says, stay [`Unknown`](crate::parser::ControlMessage::Unknown).
///
/// # References
///
/// socket(7), `SO_TIMESTAMP`, `SO_TIMESTAMPNS`; net/socket.c, `__sock_recv_timestamp`
#[doc(alias = "SCM_TIMESTAMP")]
#[doc(alias = "SCM_TIMESTAMPNS")]
#[doc(alias = "SO_TIMESTAMP")]
#[doc(alias = "SO_TIMESTAMPNS")]
#[doc(alias = "SO_TIMESTAMP_NEW")]
#[doc(alias = "SO_TIMESTAMPNS_NEW")]
#[doc(alias = "SCM_REALTIME")]
#[doc(alias = "SCM_BINTIME")]
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Timestamp {
    secs: i64,
    nanos: u32,
}

impl Timestamp {
    /// `SCM_TIMESTAMP`: microseconds.
    pub(crate) const MICROS: CmsgId = CmsgId::new(SOL_SOCKET, libc::SCM_TIMESTAMP);
    /// `SCM_TIMESTAMPNS`: nanoseconds.
    #[cfg(linux_like)]
    pub(crate) const NANOS: CmsgId = CmsgId::new(SOL_SOCKET, libc::SO_TIMESTAMPNS);
    // include/uapi/asm/socket.h; libc lacks them on musl.
    #[cfg(all(linux_like, not(any(target_arch = "sparc", target_arch = "sparc64"))))]
    pub(crate) const MICROS_NEW: CmsgId = CmsgId::new(SOL_SOCKET, 63);
    #[cfg(all(linux_like, not(any(target_arch = "sparc", target_arch = "sparc64"))))]
    pub(crate) const NANOS_NEW: CmsgId = CmsgId::new(SOL_SOCKET, 64);
    #[cfg(all(linux_like, any(target_arch = "sparc", target_arch = "sparc64")))]
    pub(crate) const MICROS_NEW: CmsgId = CmsgId::new(SOL_SOCKET, 0x46);
    #[cfg(all(linux_like, any(target_arch = "sparc", target_arch = "sparc64")))]
    pub(crate) const NANOS_NEW: CmsgId = CmsgId::new(SOL_SOCKET, 0x42);

    /// `SCM_REALTIME`: nanoseconds.
    #[cfg(target_os = "freebsd")]
    pub(crate) const REALTIME: CmsgId = CmsgId::new(SOL_SOCKET, libc::SCM_REALTIME);
    /// `SCM_BINTIME`: a binary fraction.
    #[cfg(target_os = "freebsd")]
    pub(crate) const BINTIME: CmsgId = CmsgId::new(SOL_SOCKET, libc::SCM_BINTIME);

    /// Of seconds since 1970, UTC, and nanoseconds; `None` from 1,000,000,000 of these on.
    #[must_use]
    pub const fn new(secs: i64, nanos: u32) -> Option<Self> {
        if nanos < 1_000_000_000 { Some(Self { secs, nanos }) } else { None }
    }

    /// Seconds since 1970, UTC.
    pub const fn seconds(self) -> i64 {
        self.secs
    }

    /// Nanoseconds within the second, below 1,000,000,000.
    pub const fn subsec_nanos(self) -> u32 {
        self.nanos
    }

    /// Nanoseconds since 1970: the difference of two is the time between them, whichever is the earlier.
    ///
    /// ```
    /// use ancillary::message::Timestamp;
    ///
    /// let (sent, arrived) = (Timestamp::new(9, 999_999_000).unwrap(), Timestamp::new(10, 250).unwrap());
    /// assert_eq!(arrived.as_nanos() - sent.as_nanos(), 1_250);
    /// ```
    pub const fn as_nanos(self) -> i128 {
        self.secs as i128 * 1_000_000_000 + self.nanos as i128
    }

    /// The same as the standard library's type; `None` before 1970 where it cannot say.
    pub fn to_system_time(self) -> Option<SystemTime> {
        let whole = Duration::from_secs(self.secs.unsigned_abs());
        let second = if self.secs < 0 {
            SystemTime::UNIX_EPOCH.checked_sub(whole)
        } else {
            SystemTime::UNIX_EPOCH.checked_add(whole)
        };
        second?.checked_add(Duration::from_nanos(self.nanos.into()))
    }

    #[inline(always)]
    fn is_micros(id: CmsgId) -> bool {
        #[cfg(linux_like)]
        if id == Self::MICROS_NEW {
            return true;
        }
        id == Self::MICROS
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:09}", self.secs, self.nanos)
    }
}

impl RecvControl for Timestamp {
    type Value<'a> = Self;
    const PAYLOAD_LEN: usize = 16;

    #[inline(always)]
    fn matches(id: CmsgId) -> bool {
        #[cfg(linux_like)]
        if id == Self::NANOS || id == Self::NANOS_NEW {
            return true;
        }
        #[cfg(target_os = "freebsd")]
        if id == Self::REALTIME || id == Self::BINTIME {
            return true;
        }
        Self::is_micros(id)
    }

    #[inline(always)]
    fn decode(cmsg: RawCmsg<'_>) -> Result<Self, DecodeError> {
        let (secs, fraction) = parts(cmsg)?;
        let (field, expected, limit, unit) = if Self::is_micros(cmsg.id()) {
            ("tv_usec", "0..=999999", 1_000_000, 1_000)
        } else {
            ("tv_nsec", "0..=999999999", 1_000_000_000, 1)
        };
        if !(0..limit).contains(&fraction) {
            return Err(DecodeError::Value { field, expected, found: fraction });
        }
        Ok(Self { secs, nanos: fraction as u32 * unit })
    }

    fn set_enabled(socket: BorrowedFd<'_>, on: bool) -> io::Result<()> {
        // 32 bits of seconds end in 2038, and musl makes two messages of the old one: the new one where there is one.
        #[cfg(all(linux_like, target_pointer_width = "32"))]
        match set_option(socket, SOL_SOCKET, Self::NANOS_NEW.ty(), on.into()) {
            Err(error) if error.raw_os_error() == Some(libc::ENOPROTOOPT) => {}
            result => return result,
        }
        #[cfg(linux_like)]
        let option = libc::SO_TIMESTAMPNS;
        #[cfg(not(linux_like))]
        let option = libc::SO_TIMESTAMP;
        // A kernel without this choice (before FreeBSD 12) stamps in microseconds.
        #[cfg(target_os = "freebsd")]
        if on {
            let _ = set_option(socket, SOL_SOCKET, libc::SO_TS_CLOCK, libc::SO_TS_REALTIME);
        }
        set_option(socket, SOL_SOCKET, option, on.into())
    }
}

/// Seconds and fraction: two `long`s, or two of 64 bits (`SO_TIMESTAMP_NEW`).
#[cfg(linux_like)]
#[inline(always)]
fn parts(cmsg: RawCmsg<'_>) -> Result<(i64, i64), DecodeError> {
    if cmsg.payload().len() == 8 && size_of::<libc::c_long>() == 4 {
        let [s0, s1, s2, s3, f0, f1, f2, f3] = cmsg.array()?;
        return Ok((i32::from_ne_bytes([s0, s1, s2, s3]).into(), i32::from_ne_bytes([f0, f1, f2, f3]).into()));
    }
    let both: [u8; 16] = cmsg.array()?;
    let (mut secs, mut fraction) = ([0; 8], [0; 8]);
    secs.copy_from_slice(&both[..8]);
    fraction.copy_from_slice(&both[8..]);
    Ok((i64::from_ne_bytes(secs), i64::from_ne_bytes(fraction)))
}

/// Seconds and microseconds of a `struct timeval`, whose widths and padding differ between the systems.
#[cfg(not(linux_like))]
#[inline]
fn parts(cmsg: RawCmsg<'_>) -> Result<(i64, i64), DecodeError> {
    const TIME: usize = size_of::<libc::time_t>();
    #[cfg(target_os = "freebsd")]
    match cmsg.id() {
        Timestamp::REALTIME => return super::foreign::monotonic::timespec(cmsg),
        Timestamp::BINTIME => return super::foreign::wire::bintime(cmsg.payload(), TIME),
        _ => {}
    }
    const AT: usize = std::mem::offset_of!(libc::timeval, tv_usec);
    let micros = AT..AT + size_of::<libc::suseconds_t>();
    super::foreign::wire::pair(cmsg.payload(), size_of::<libc::timeval>(), 0..TIME, micros)
}
