//! Size of fragments.

use std::{io, os::fd::BorrowedFd};

use super::set_both;
use crate::{
    cmsg::{CmsgId, RawCmsg},
    error::DecodeError,
    message::{IpRecvFragSize, Ipv6RecvFragSize, RecvControl},
};

/// Size of the largest fragment that one datagram came in, with its IP header, both families (`IP_RECVFRAGSIZE`,
/// `IPV6_RECVFRAGSIZE`).
///
/// Enabled on an IPv6 socket it sets both options. Absent where the datagram came in one piece.
///
/// ```
/// use ancillary::{message::{FragSize, RecvList}, parser};
/// # use ancillary::{ControlList, RawCmsg, cmsg::CmsgId};
///
/// # let (v4, v6) = (1500i32.to_ne_bytes(), 1280i32.to_ne_bytes());
/// # let from_v4 = ControlList::new(RawCmsg::new(CmsgId::new(0, 25), &v4))?;
/// # let from_v6 = ControlList::new(RawCmsg::new(CmsgId::new(41, 77), &v6))?;
/// # let at_once = ControlList::new(())?;
/// for (arrived, largest) in [(from_v4, Some(1500)), (from_v6, Some(1280)), (at_once, None)] {
///     let found = FragSize::extract(parser::cmsgs(arrived.as_bytes())); // of a message: `message.extract()`
///     assert_eq!(found.map(|size| size.0), largest); // the path takes so much: longer datagrams come in pieces
/// }
/// # Ok::<(), ancillary::EncodeError>(())
/// ```
///
/// See [`IpRecvFragSize`] and [`Ipv6RecvFragSize`] for the layouts.
#[doc(alias = "IP_RECVFRAGSIZE")]
#[doc(alias = "IPV6_RECVFRAGSIZE")]
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct FragSize(pub u32);

impl From<IpRecvFragSize> for FragSize {
    fn from(size: IpRecvFragSize) -> Self {
        Self(size.0)
    }
}

impl From<Ipv6RecvFragSize> for FragSize {
    fn from(size: Ipv6RecvFragSize) -> Self {
        Self(size.0)
    }
}

prints!(FragSize);

impl RecvControl for FragSize {
    type Value<'a> = Self;
    const PAYLOAD_LEN: usize = 4;

    #[inline(always)]
    fn matches(id: CmsgId) -> bool {
        IpRecvFragSize::matches(id) || Ipv6RecvFragSize::matches(id)
    }

    #[inline(always)]
    fn decode(cmsg: RawCmsg<'_>) -> Result<Self, DecodeError> {
        if Ipv6RecvFragSize::matches(cmsg.id()) {
            Ipv6RecvFragSize::decode(cmsg).map(Self::from)
        } else {
            IpRecvFragSize::decode(cmsg).map(Self::from)
        }
    }

    fn set_enabled(socket: BorrowedFd<'_>, on: bool) -> io::Result<()> {
        set_both::<IpRecvFragSize, Ipv6RecvFragSize>(socket, on)
    }
}
