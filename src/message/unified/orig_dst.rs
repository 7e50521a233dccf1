//! Original destination.

use std::{io, net::SocketAddr, os::fd::BorrowedFd};

use super::set_both;
use crate::{
    cmsg::{CmsgId, RawCmsg},
    error::DecodeError,
    message::{IpOrigDstAddr, Ipv6OrigDstAddr, RecvControl},
};

/// Destination of one datagram as its header says, with the port, both families (`IP_ORIGDSTADDR`,
/// `IPV6_ORIGDSTADDR`).
///
/// Enabled on an IPv6 socket it sets both options, since Linux reports an IPv4 peer's only as `IP_ORIGDSTADDR`: that
/// one's address is IPv4, not a mapped one.
///
/// See [`IpOrigDstAddr`] and [`Ipv6OrigDstAddr`] for the layouts.
///
/// ```
/// use ancillary::{ControlBuf, SocketExt, message::OrigDst};
///
/// # fn main() -> std::io::Result<()> {
/// let socket = std::net::UdpSocket::bind("0.0.0.0:0")?;
/// socket.enable::<OrigDst>()?;
/// let asked = ([127, 0, 0, 7], socket.local_addr()?.port()).into();
/// socket.send_to(b"where to?", asked)?;
/// let (mut data, mut control) = ([0; 16], ControlBuf::<OrigDst>::new());
/// assert_eq!(socket.recv_msg(&mut data, &mut control)?.extract(), Some(OrigDst(asked)));
/// # Ok(())
/// # }
/// ```
#[doc(alias = "IP_ORIGDSTADDR")]
#[doc(alias = "IP_RECVORIGDSTADDR")]
#[doc(alias = "IPV6_ORIGDSTADDR")]
#[doc(alias = "IPV6_RECVORIGDSTADDR")]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct OrigDst(pub SocketAddr);

impl From<IpOrigDstAddr> for OrigDst {
    fn from(addr: IpOrigDstAddr) -> Self {
        Self(addr.0.into())
    }
}

impl From<Ipv6OrigDstAddr> for OrigDst {
    fn from(addr: Ipv6OrigDstAddr) -> Self {
        Self(addr.0.into())
    }
}

prints!(OrigDst);

impl RecvControl for OrigDst {
    type Value<'a> = Self;
    const PAYLOAD_LEN: usize = Ipv6OrigDstAddr::PAYLOAD_LEN;

    #[inline(always)]
    fn matches(id: CmsgId) -> bool {
        IpOrigDstAddr::matches(id) || Ipv6OrigDstAddr::matches(id)
    }

    #[inline(always)]
    fn decode(cmsg: RawCmsg<'_>) -> Result<Self, DecodeError> {
        if Ipv6OrigDstAddr::matches(cmsg.id()) {
            Ipv6OrigDstAddr::decode(cmsg).map(Self::from)
        } else {
            IpOrigDstAddr::decode(cmsg).map(Self::from)
        }
    }

    fn set_enabled(socket: BorrowedFd<'_>, on: bool) -> io::Result<()> {
        set_both::<IpOrigDstAddr, Ipv6OrigDstAddr>(socket, on)
    }
}
