//! Hop limit and time to live.

use std::{io, os::fd::BorrowedFd};

use super::{encode_either, set_both};
use crate::{
    cmsg::{CmsgId, ControlOut, RawCmsg},
    error::{DecodeError, EncodeError},
    message::{IpTtl, Ipv6HopLimit, RecvControl, SendControl},
};

/// Hop limit or time to live of one datagram, whichever the family calls it (`IPV6_HOPLIMIT`, `IP_TTL`).
///
/// Enabled on an IPv6 socket it sets both options, since Linux reports an IPv4 peer's only as `IP_TTL`. Sent to a known
/// destination it goes out in that family's form, else in both. 0 is refused: IPv4 has no such value. The BSDs and macOS
/// take none with an IPv4 datagram: sent there it is [`EncodeError::Value`], unless [`to`](crate::MsgHdr::to) has named
/// an IPv6 destination.
///
/// See [`IpTtl`] and [`Ipv6HopLimit`] for the layouts.
///
/// ```
/// use ancillary::{ControlBuf, MsgHdr, SocketExt, message::HopLimit};
///
/// # fn main() -> std::io::Result<()> {
/// let socket = std::net::UdpSocket::bind("127.0.0.1:0")?;
/// socket.enable::<HopLimit>()?;
/// MsgHdr::new().to(socket.local_addr()?).data(b"near").control(HopLimit(3)).send(&socket)?;
/// let (mut data, mut control) = ([0; 16], ControlBuf::<HopLimit>::new());
/// assert_eq!(socket.recv_msg(&mut data, &mut control)?.extract(), Some(HopLimit(3)));
/// # Ok(())
/// # }
/// ```
#[doc(alias = "IP_TTL")]
#[doc(alias = "IP_RECVTTL")]
#[doc(alias = "IPV6_HOPLIMIT")]
#[doc(alias = "IPV6_RECVHOPLIMIT")]
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct HopLimit(pub u8);

impl From<IpTtl> for HopLimit {
    fn from(ttl: IpTtl) -> Self {
        Self(ttl.0)
    }
}

impl From<Ipv6HopLimit> for HopLimit {
    fn from(hops: Ipv6HopLimit) -> Self {
        Self(hops.0)
    }
}

prints!(HopLimit);

impl SendControl<'_> for HopLimit {
    #[inline(always)]
    fn encode(&self, out: &mut ControlOut<'_, '_>) -> Result<(), EncodeError> {
        if self.0 == 0 {
            return Err(EncodeError::Value { field: "hop limit", expected: "1..=255", found: 0 });
        }
        encode_either(out, IpTtl(self.0), Ipv6HopLimit(self.0))
    }
}

impl RecvControl for HopLimit {
    type Value<'a> = Self;
    const PAYLOAD_LEN: usize = 4;

    #[inline(always)]
    fn matches(id: CmsgId) -> bool {
        IpTtl::matches(id) || Ipv6HopLimit::matches(id)
    }

    #[inline(always)]
    fn usual_len(id: CmsgId) -> Option<usize> {
        if Ipv6HopLimit::matches(id) { Ipv6HopLimit::usual_len(id) } else { IpTtl::usual_len(id) }
    }

    #[inline(always)]
    fn decode(cmsg: RawCmsg<'_>) -> Result<Self, DecodeError> {
        if Ipv6HopLimit::matches(cmsg.id()) {
            Ipv6HopLimit::decode(cmsg).map(Self::from)
        } else {
            IpTtl::decode(cmsg).map(Self::from)
        }
    }

    fn set_enabled(socket: BorrowedFd<'_>, on: bool) -> io::Result<()> {
        set_both::<IpTtl, Ipv6HopLimit>(socket, on)
    }
}
