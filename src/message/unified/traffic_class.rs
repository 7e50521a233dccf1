//! Traffic class and type of service.

use std::{fmt, io, os::fd::BorrowedFd};

use super::{encode_either, set_both};
use crate::{
    cmsg::{CmsgId, ControlOut, RawCmsg},
    error::{DecodeError, EncodeError},
    message::{IpTos, RecvControl, SendControl, TClass},
};

/// Explicit congestion notification: the low two bits of a traffic class (RFC 3168 s. 5).
///
/// ```
/// use ancillary::{ControlBuf, MsgHdr, SocketExt, message::{Ecn, TrafficClass}};
/// use std::net::UdpSocket;
///
/// # fn main() -> std::io::Result<()> {
/// # #[cfg(target_os = "linux")] {
/// let socket = UdpSocket::bind("127.0.0.1:0")?;
/// socket.enable::<TrafficClass>()?;
/// let capable = TrafficClass::new(0, Ecn::Ect0);
/// MsgHdr::new().to(socket.local_addr()?).data(b"x").control(capable).send(&socket)?;
///
/// let (mut data, mut control) = ([0; 16], ControlBuf::<TrafficClass>::new());
/// match socket.recv_msg(&mut data, &mut control)?.extract().map(TrafficClass::ecn) {
///     Some(Ecn::Ce) => println!("a router was congested: tell the sender"),
///     found => assert_eq!(found, Some(Ecn::Ect0)),
/// }
/// # }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Ecn {
    /// Not ECN-capable transport (00).
    NotEct,
    /// ECN-capable transport, codepoint 1 (01).
    Ect1,
    /// ECN-capable transport, codepoint 0 (10).
    Ect0,
    /// Congestion experienced (11).
    Ce,
}

impl Ecn {
    /// The two bits.
    pub const fn bits(self) -> u8 {
        match self {
            Self::NotEct => 0,
            Self::Ect1 => 1,
            Self::Ect0 => 2,
            Self::Ce => 3,
        }
    }

    /// From the low two bits; the others are ignored.
    ///
    /// ```
    /// use ancillary::message::Ecn;
    ///
    /// // The second byte of an IPv4 header, from a capture.
    /// assert_eq!(Ecn::from_bits(0xbb), Ecn::Ce);
    /// ```
    pub const fn from_bits(bits: u8) -> Self {
        match bits & 3 {
            0 => Self::NotEct,
            1 => Self::Ect1,
            2 => Self::Ect0,
            _ => Self::Ce,
        }
    }
}

/// Traffic class or type of service of one datagram, DSCP and ECN apart (`IPV6_TCLASS`, `IP_TOS`).
///
/// Enabled on an IPv6 socket it sets both options, since Linux reports an IPv4 peer's only as `IP_TOS`. Sent to a known
/// destination it goes out in that family's form, else in both. It replaces the socket's whole byte: to set ECN alone
/// give the DSCP too. NetBSD and OpenBSD take none with an IPv4 datagram: sent there it is [`EncodeError::Value`], unless
/// [`to`](crate::MsgHdr::to) has named an IPv6 destination.
///
/// ```
/// use ancillary::message::{Ecn, TrafficClass};
///
/// let class = TrafficClass::new(46, Ecn::Ect0); // expedited forwarding
/// assert_eq!((class.0, class.dscp(), class.ecn()), (0xba, 46, Ecn::Ect0));
/// ```
///
/// See [`IpTos`] and [`TClass`] for the layouts; RFC 2474 s. 3 for DSCP.
#[doc(alias = "IP_TOS")]
#[doc(alias = "IP_RECVTOS")]
#[doc(alias = "IPV6_TCLASS")]
#[doc(alias = "IPV6_RECVTCLASS")]
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct TrafficClass(pub u8);

impl TrafficClass {
    /// Of a DSCP (its low six bits) and an ECN.
    pub const fn new(dscp: u8, ecn: Ecn) -> Self {
        Self(dscp << 2 | ecn.bits())
    }

    /// The differentiated services codepoint, 0..=63.
    pub const fn dscp(self) -> u8 {
        self.0 >> 2
    }

    /// The congestion bits.
    pub const fn ecn(self) -> Ecn {
        Ecn::from_bits(self.0)
    }
}

impl From<IpTos> for TrafficClass {
    fn from(tos: IpTos) -> Self {
        Self(tos.0)
    }
}

impl From<TClass> for TrafficClass {
    fn from(class: TClass) -> Self {
        Self(class.0)
    }
}

impl fmt::Display for TrafficClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#04x}", self.0)
    }
}

impl SendControl<'_> for TrafficClass {
    #[inline(always)]
    fn encode(&self, out: &mut ControlOut<'_, '_>) -> Result<(), EncodeError> {
        encode_either(out, IpTos(self.0), TClass(self.0))
    }
}

impl RecvControl for TrafficClass {
    type Value<'a> = Self;
    const PAYLOAD_LEN: usize = 4;

    #[inline(always)]
    fn matches(id: CmsgId) -> bool {
        IpTos::matches(id) || TClass::matches(id)
    }

    #[inline(always)]
    fn usual_len(id: CmsgId) -> Option<usize> {
        if TClass::matches(id) { TClass::usual_len(id) } else { IpTos::usual_len(id) }
    }

    #[inline(always)]
    fn decode(cmsg: RawCmsg<'_>) -> Result<Self, DecodeError> {
        if TClass::matches(cmsg.id()) {
            TClass::decode(cmsg).map(Self::from)
        } else {
            IpTos::decode(cmsg).map(Self::from)
        }
    }

    fn set_enabled(socket: BorrowedFd<'_>, on: bool) -> io::Result<()> {
        set_both::<IpTos, TClass>(socket, on)
    }
}
