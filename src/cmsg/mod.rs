//! The carrier: headers and padding of control messages, no protocol.
//!
//! ```
//! use ancillary::{RawCmsg, cmsg::{self, CmsgId}, parser};
//!
//! let mut control = [0; 64];
//! let len = cmsg::encode(&RawCmsg::new(CmsgId::new(9999, 1), b"hello"), &mut control)?;
//! assert_eq!(Some(len), cmsg::space(5)); // with header and padding
//! let mut walk = parser::cmsgs(&control[..len]);
//! assert_eq!(walk.next().map(|cmsg| cmsg.payload()), Some(&b"hello"[..]));
//! assert!(walk.next().is_none() && walk.error().is_none());
//! # Ok::<(), ancillary::EncodeError>(())
//! ```

#![forbid(unsafe_code)]

mod encode;
mod raw;
mod walk;

pub use encode::{ControlOut, SendControl, encode};
pub use raw::RawCmsg;
pub use walk::Cmsgs;

use nix::libc;

use crate::sys;

/// Tells the compiler which way is taken seldom: it then branches there, instead of computing both ways.
#[cold]
#[inline]
pub(crate) const fn unlikely() {}

/// What a control message is: its `cmsg_level` and `cmsg_type`.
///
/// The level has a meaning only on sockets of its family: level 0 is `IPPROTO_IP` on internet sockets.
///
/// ```
/// use ancillary::cmsg::CmsgId;
///
/// let id = CmsgId::new(0, 2);
/// assert_eq!((id.level(), id.ty()), (0, 2));
/// # #[cfg(target_os = "linux")]
/// assert_eq!(id.name(), Some("IP_TTL"));
/// assert_eq!(format!("{:?}", CmsgId::new(9999, 1)), "level 9999 type 1");
/// ```
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct CmsgId {
    /// Level and type as they stand in a header, so that comparing both is one instruction.
    bytes: u64,
}

impl CmsgId {
    /// `SCM_RIGHTS`, the one message that the carrier has to tell from the others: it alone can send descriptors.
    pub(crate) const RIGHTS: Self = Self::new(libc::SOL_SOCKET, libc::SCM_RIGHTS);

    /// `SCM_PIDFD` (include/linux/socket.h), which carries a descriptor too, one way.
    #[cfg(linux_like)]
    pub(crate) const PIDFD: Self = Self::new(libc::SOL_SOCKET, 4);

    /// The message of this `cmsg_level` and `cmsg_type`.
    #[inline(always)]
    pub const fn new(level: i32, ty: i32) -> Self {
        let ([l0, l1, l2, l3], [t0, t1, t2, t3]) = (level.to_ne_bytes(), ty.to_ne_bytes());
        Self::from_header([l0, l1, l2, l3, t0, t1, t2, t3])
    }

    #[inline(always)]
    const fn from_header(bytes: [u8; 8]) -> Self {
        Self { bytes: u64::from_ne_bytes(bytes) }
    }

    #[inline(always)]
    const fn halves(self) -> (i32, i32) {
        let [l0, l1, l2, l3, t0, t1, t2, t3] = self.bytes.to_ne_bytes();
        (i32::from_ne_bytes([l0, l1, l2, l3]), i32::from_ne_bytes([t0, t1, t2, t3]))
    }

    /// `cmsg_level`: `SOL_SOCKET`, `IPPROTO_IP`, ...
    #[doc(alias = "cmsg_level")]
    #[inline(always)]
    pub const fn level(self) -> i32 {
        self.halves().0
    }

    /// `cmsg_type`, a number of that level's.
    #[doc(alias = "cmsg_type")]
    #[inline(always)]
    pub const fn ty(self) -> i32 {
        self.halves().1
    }
}

/// `CMSG_LEN`: header and `payload` bytes, without tail padding; `None` where C would wrap.
///
/// ```
/// use ancillary::cmsg;
///
/// # #[cfg(all(target_os = "linux", target_pointer_width = "64"))]
/// assert_eq!((cmsg::len(4), cmsg::space(4)), (Some(20), Some(24)));
/// assert_eq!(cmsg::len(usize::MAX), None);
/// ```
///
/// RFC 3542 s. 20.3, [cmsg(3)](https://man7.org/linux/man-pages/man3/cmsg.3.html)
#[doc(alias = "CMSG_LEN")]
#[inline]
pub const fn len(payload: usize) -> Option<usize> {
    if payload > sys::MAX_LEN - sys::HEADER { None } else { Some(sys::HEADER + payload) }
}

/// `CMSG_SPACE`: the bytes that a message of `payload` bytes takes in a buffer, tail padding included; `None` where C
/// would wrap.
///
/// RFC 3542 s. 20.2, [cmsg(3)](https://man7.org/linux/man-pages/man3/cmsg.3.html)
///
/// ```
/// use ancillary::cmsg;
///
/// // Room for an int and for four descriptors.
/// const ROOM: usize = cmsg::space(4).unwrap() + cmsg::space(4 * 4).unwrap();
/// # #[cfg(all(target_os = "linux", target_pointer_width = "64"))]
/// assert_eq!(ROOM, 24 + 32);
/// ```
#[doc(alias = "CMSG_SPACE")]
#[doc(alias = "CMSG_ALIGN")]
#[inline]
pub const fn space(payload: usize) -> Option<usize> {
    if payload > sys::MAX_LEN - sys::HEADER - sys::ALIGN { None } else { Some(sys::HEADER + sys::align_up(payload)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// MC01, MC02
    #[test]
    fn len_and_space_never_wrap() {
        let limit = i32::MAX as usize;
        for n in (0..=256).chain(limit - 300..limit - 2 * sys::HEADER) {
            let (len, space) = (len(n).unwrap(), space(n).unwrap());
            assert_eq!(len, n + sys::HEADER);
            assert!(space >= len && space <= limit && space % sys::ALIGN == 0, "{n}: {len} {space}");
            assert!(space - len < sys::ALIGN, "no less for more: {n}: {len} {space}");
        }
        for n in [limit, limit + 1, isize::MAX as usize, usize::MAX - 6, usize::MAX] {
            assert_eq!((len(n), space(n)), (None, None), "{n}");
        }
    }

    #[test]
    fn the_longest_that_fit_are_given_and_no_longer_ones() {
        let limit = i32::MAX as usize;
        let longest = limit - sys::HEADER;
        assert_eq!((len(longest), len(longest + 1)), (Some(limit), None));
        let longest = longest - sys::ALIGN;
        assert!(space(longest).is_some_and(|space| space <= limit));
        assert_eq!(space(longest + 1), None);
    }

    /// MC03
    #[test]
    #[cfg(all(linux_like, target_pointer_width = "64"))]
    fn sizes_are_those_of_the_c_library() {
        let sizes = [0, 1, 4, 9].map(|n| (len(n).unwrap(), space(n).unwrap()));
        assert_eq!(sizes, [(16, 16), (17, 24), (20, 24), (25, 32)]);
    }
}
