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
