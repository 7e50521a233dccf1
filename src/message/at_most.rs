//! Less room than the longest there is.

use std::{fmt, io, marker::PhantomData, os::fd::BorrowedFd};

use super::RecvControl;
use crate::{
    cmsg::{CmsgId, RawCmsg},
    error::DecodeError,
};

/// The message `T` with room for `N` bytes of payload instead of the longest there is; otherwise like `T`.
///
/// For messages of any length, of which a program knows that those it wants are short. A longer one arrives cut
/// ([`MsgFlags::CTRUNC`](crate::MsgFlags::CTRUNC)): `None` when extracted, and what comes behind it may be missing.
///
/// An IPv6 header with options has up to 2,048 bytes, a usual one 8. The list names it once, by an alias, and with
/// `'static`: what is extracted borrows from the control buffer all the same.
///
/// ```
/// # #[cfg(target_os = "linux")] {
/// use ancillary::{ControlBuf, SocketExt, message::{AtMost, HopLimit, Ipv6HopOpts, RecvList}};
///
/// type Options = AtMost<Ipv6HopOpts<'static>, 64>;
/// type Meta = (Options, HopLimit); // for enable, ControlBuf, extract
/// assert!(Meta::SPACE < 128 && <(Ipv6HopOpts<'static>, HopLimit)>::SPACE > 2048);
///
/// let control = ControlBuf::<Meta>::new(); // 256 bytes are enough
/// let (options, hops) = control.extract();
/// # assert_eq!((options, hops), (None, None));
/// # }
/// ```
pub struct AtMost<T, const N: usize>(PhantomData<fn() -> T>);

impl<T: RecvControl, const N: usize> RecvControl for AtMost<T, N> {
    type Value<'a> = T::Value<'a>;
    const PAYLOAD_LEN: usize = N;

    #[inline(always)]
    fn matches(id: CmsgId) -> bool {
        T::matches(id)
    }

    #[inline(always)]
    fn decode(cmsg: RawCmsg<'_>) -> Result<Self::Value<'_>, DecodeError> {
        T::decode(cmsg)
    }

    #[inline(always)]
    fn usual_len(id: CmsgId) -> Option<usize> {
        T::usual_len(id)
    }

    #[inline(always)]
    fn merge<'a>(earlier: Self::Value<'a>, later: Self::Value<'a>) -> Self::Value<'a> {
        T::merge(earlier, later)
    }

    fn set_enabled(socket: BorrowedFd<'_>, on: bool) -> io::Result<()> {
        <T as RecvControl>::set_enabled(socket, on)
    }
}

impl<T, const N: usize> fmt::Debug for AtMost<T, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at most {N} bytes")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cmsg,
        message::{IpTtl, RecvList},
    };

    #[test]
    fn only_the_room_differs() {
        assert_eq!(
            <(AtMost<IpTtl, 0>, AtMost<IpTtl, 100>)>::SPACE,
            cmsg::space(0).unwrap() + cmsg::space(100).unwrap()
        );
        let ttl = 9i32.to_ne_bytes();
        for payload in [&ttl[..], &ttl[..3], &[]] {
            let cmsg = RawCmsg::new(IpTtl::RECEIVED, payload);
            assert!(AtMost::<IpTtl, 0>::matches(cmsg.id()));
            assert_eq!(AtMost::<IpTtl, 0>::decode(cmsg), IpTtl::decode(cmsg));
        }
        assert!(!AtMost::<IpTtl, 0>::matches(CmsgId::RIGHTS));
    }
}
