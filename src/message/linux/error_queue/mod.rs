//! Why a packet did not arrive, or what became of it: the error queue's message; see
//! [ip(7)](https://man7.org/linux/man-pages/man7/ip.7.html), `IP_RECVERR`.

use std::{error::Error, fmt, io, net::SocketAddr, os::fd::BorrowedFd};

use nix::libc;

use crate::message::rows::{field, sockaddr_in, sockaddr_in6};
use crate::{
    cmsg::{CmsgId, RawCmsg},
    error::DecodeError,
    options::{Families, set_option, socket_protocol},
};

mod meaning;

pub use meaning::{Meaning, TimestampPoint, ZeroCopied};

// include/uapi/linux/errqueue.h
const ORIGIN_LOCAL: u8 = 1;
const ORIGIN_ICMP: u8 = 2;
const ORIGIN_ICMP6: u8 = 3;
const ORIGIN_TIMESTAMPING: u8 = 4;
const ORIGIN_ZEROCOPY: u8 = 5;
const ORIGIN_TXTIME: u8 = 6;

// include/uapi/linux/can/j1939.h
const SOL_CAN_J1939: i32 = 107;
const CAN_J1939: i32 = 7;
const J1939_ERRQUEUE: i32 = 4;

/// One entry of a socket's error queue (`struct sock_extended_err` with the offender behind it; Linux 2.2).
///
/// Read with [`SocketExt::recv_error`](crate::SocketExt::recv_error). It comes as `IP_RECVERR`, `IPV6_RECVERR`,
/// `PACKET_TX_TIMESTAMP`, `VSOCK_RECVERR`, `SCM_CAN_RAW_ERRQUEUE` or `SCM_J1939_ERRQUEUE`, after all other messages.
/// Network errors of UDP, raw and ping sockets arrive once enabled (`IP_RECVERR`, `IPV6_RECVERR`; on an IPv6 socket both,
/// for IPv4-mapped peers, whose errors come as `IPV6_RECVERR` with the origin [`Icmp`](Origin::Icmp)); on TCP the option
/// puts none here, but makes errors of a route those of the connection. Timestamps of what was sent and completions of
/// `MSG_ZEROCOPY` need no enabling, on TCP either. No privilege. [`meaning`](Self::meaning) says what happened in words.
///
/// Enabled, an error of one destination also becomes the socket's: the next call on it, a send or a receive, fails with it once
/// (ECONNREFUSED after a port that is closed), also on an unconnected socket, where without the option no call would. Reading
/// the queue first takes that away with the last entry (net/core/skbuff.c, `sock_dequeue_err_skb`).
///
/// ```
/// use ancillary::{ControlBuf, SocketExt, message::{ExtendedError, Origin}};
/// use std::{io::ErrorKind, net::UdpSocket};
///
/// # fn main() -> std::io::Result<()> {
/// # let deaf = UdpSocket::bind("127.0.0.1:0")?;
/// # let nobody = deaf.local_addr()?;
/// # deaf.connect(nobody)?; // it hears itself alone
/// let socket = UdpSocket::bind("127.0.0.1:0")?;
/// socket.enable::<ExtendedError>()?;
/// socket.send_to(b"anyone?", nobody)?;
/// # socket.error_queue()?.wait(std::time::Duration::from_secs(10))?;
///
/// let (mut data, mut control) = ([0; 64], ControlBuf::<ExtendedError>::new());
/// let entry = socket.recv_error(&mut data, &mut control)?; // once the socket shows POLLERR
/// let error = entry.error();
/// assert_eq!(error.to_string(), "port unreachable, says 127.0.0.1");
/// assert_eq!((error.origin, error.to_io_error().kind()), (Origin::Icmp, ErrorKind::ConnectionRefused));
/// # Ok(())
/// # }
/// ```
///
/// # Wire layout
///
/// ```text
///   0       4        5      6      7     8      12     16
///   +-------+--------+------+------+-----+------+------+----------------------+
///   | errno | origin | type | code | pad | info | data | offender (sockaddr)  |   host byte order
///   +-------+--------+------+------+-----+------+------+----------------------+
/// ```
///
/// 16 bytes without an offender, 32 with a `sockaddr_in`, 44 with a `sockaddr_in6`; one of family 0 is none.
///
/// # References
///
/// ip(7), `IP_RECVERR`; include/uapi/linux/errqueue.h; net/ipv4/ip_sockglue.c, `ip_recv_error`; net/ipv6/datagram.c,
/// `ipv6_recv_error`; net/core/sock.c, `sock_recv_errqueue`
#[doc(alias = "sock_extended_err")]
#[doc(alias = "IP_RECVERR")]
#[doc(alias = "IPV6_RECVERR")]
#[doc(alias = "PACKET_TX_TIMESTAMP")]
#[doc(alias = "VSOCK_RECVERR")]
#[doc(alias = "SCM_CAN_RAW_ERRQUEUE")]
#[doc(alias = "SCM_J1939_ERRQUEUE")]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub struct ExtendedError {
    /// Which message it was: `IP_RECVERR`, ...
    pub id: CmsgId,
    /// The error number: what the next send would fail with; ENOMSG with timestamps, 0 with completions.
    #[doc(alias = "ee_errno")]
    pub errno: u32,
    /// Who says so.
    #[doc(alias = "ee_origin")]
    pub origin: Origin,
    /// ICMP type.
    #[doc(alias = "ee_type")]
    pub ty: u8,
    /// ICMP code, or a flag of the origin's.
    #[doc(alias = "ee_code")]
    pub code: u8,
    /// MTU, kind of timestamp, first of a range: the origin's.
    #[doc(alias = "ee_info")]
    pub info: u32,
    /// Identity of a timestamp, last of a range, length of the original datagram: the origin's.
    #[doc(alias = "ee_data")]
    pub data: u32,
    /// Who reported it: the router or host that sent the ICMP message, with port 0. An IPv4 one is `::ffff:a.b.c.d` on
    /// an IPv6 socket.
    #[doc(alias = "SO_EE_OFFENDER")]
    pub offender: Option<SocketAddr>,
}

/// Who put an entry on the error queue (`ee_origin`).
///
/// ```
/// use ancillary::message::{ExtendedError, Origin};
/// # use ancillary::{RawCmsg, RecvControl, cmsg::CmsgId};
///
/// fn who(error: &ExtendedError) -> &'static str {
///     match error.origin {
///         Origin::Local => "this host, before it left",
///         Origin::Icmp | Origin::Icmp6 => "a router or the peer",
///         _ => "no error: what became of a packet",
///     }
/// }
/// # let entry = |origin| [&90u32.to_ne_bytes()[..], &[origin, 0, 0, 0], &1500u32.to_ne_bytes(), &[0; 4]].concat();
/// # let read = |origin| ExtendedError::decode(RawCmsg::new(CmsgId::new(0, 11), &entry(origin))).unwrap();
/// # let (local, icmp) = (read(1), read(2));
/// assert_eq!((who(&local), who(&icmp)), ("this host, before it left", "a router or the peer"));
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Origin {
    /// `SO_EE_ORIGIN_NONE`
    #[doc(alias = "SO_EE_ORIGIN_NONE")]
    None,
    /// This host: the packet never left (`SO_EE_ORIGIN_LOCAL`).
    #[doc(alias = "SO_EE_ORIGIN_LOCAL")]
    Local,
    /// An ICMP message (`SO_EE_ORIGIN_ICMP`).
    #[doc(alias = "SO_EE_ORIGIN_ICMP")]
    Icmp,
    /// An ICMPv6 message (`SO_EE_ORIGIN_ICMP6`).
    #[doc(alias = "SO_EE_ORIGIN_ICMP6")]
    Icmp6,
    /// A timestamp of a sent packet, or a wireless status (`SO_EE_ORIGIN_TIMESTAMPING`, `SO_EE_ORIGIN_TXSTATUS`, the
    /// same number: a [`ScmWifiStatus`](super::ScmWifiStatus) beside it tells).
    #[doc(alias = "SO_EE_ORIGIN_TIMESTAMPING")]
    #[doc(alias = "SO_EE_ORIGIN_TXSTATUS")]
    Timestamping,
    /// Sends with `MSG_ZEROCOPY` that are complete (`SO_EE_ORIGIN_ZEROCOPY`).
    #[doc(alias = "SO_EE_ORIGIN_ZEROCOPY")]
    ZeroCopy,
    /// A packet with a time to leave at that did not (`SO_EE_ORIGIN_TXTIME`).
    #[doc(alias = "SO_EE_ORIGIN_TXTIME")]
    TxTime,
    /// One that this crate does not know.
    Other(u8),
}

impl From<u8> for Origin {
    fn from(origin: u8) -> Self {
        match origin {
            0 => Self::None,
            ORIGIN_LOCAL => Self::Local,
            ORIGIN_ICMP => Self::Icmp,
            ORIGIN_ICMP6 => Self::Icmp6,
            ORIGIN_TIMESTAMPING => Self::Timestamping,
            ORIGIN_ZEROCOPY => Self::ZeroCopy,
            ORIGIN_TXTIME => Self::TxTime,
            other => Self::Other(other),
        }
    }
}

/// Bytes of a `sock_extended_err`, and with the longest offender.
const PLAIN: usize = 16;
const WITH_V6: usize = PLAIN + 28;

impl ExtendedError {
    pub(crate) const IP: CmsgId = CmsgId::new(libc::IPPROTO_IP, libc::IP_RECVERR);
    pub(crate) const IPV6: CmsgId = CmsgId::new(libc::IPPROTO_IPV6, libc::IPV6_RECVERR);
    pub(crate) const PACKET: CmsgId = CmsgId::new(libc::SOL_PACKET, 16); // PACKET_TX_TIMESTAMP
    pub(crate) const VSOCK: CmsgId = CmsgId::new(287, 1); // SOL_VSOCK, VSOCK_RECVERR
    pub(crate) const CAN_RAW: CmsgId = CmsgId::new(101, 1); // SOL_CAN_RAW, SCM_CAN_RAW_ERRQUEUE
    pub(crate) const J1939: CmsgId = CmsgId::new(SOL_CAN_J1939, J1939_ERRQUEUE);

    /// The same as the standard library's error, with this error number.
    pub fn to_io_error(&self) -> io::Error {
        io::Error::from_raw_os_error(i32::try_from(self.errno).unwrap_or(i32::MAX))
    }

    #[inline]
    fn read(cmsg: RawCmsg<'_>) -> Result<Self, DecodeError> {
        let payload = cmsg.payload();
        let Some((plain, offender)) = payload.split_first_chunk::<PLAIN>() else {
            return Err(DecodeError::Length { expected: PLAIN, found: payload.len() });
        };
        let word = |bytes: [u8; 4]| u32::from_ne_bytes(bytes);
        let [origin, ty, code, _] = field::<4, 4, PLAIN>(plain);
        Ok(Self {
            id: cmsg.id(),
            errno: word(field::<0, 4, PLAIN>(plain)),
            origin: origin.into(),
            ty,
            code,
            info: word(field::<8, 4, PLAIN>(plain)),
            data: word(field::<12, 4, PLAIN>(plain)),
            offender: read_offender(cmsg.id(), offender)?,
        })
    }
}

/// The address behind the error; its length tells one that was cut. TLS and others report on the level of IP without one.
#[inline]
fn read_offender(id: CmsgId, bytes: &[u8]) -> Result<Option<SocketAddr>, DecodeError> {
    if bytes.is_empty() {
        return Ok(None);
    }
    match id {
        ExtendedError::IP => offender(bytes, "AF_INET or AF_UNSPEC", |bytes| sockaddr_in(bytes).map(SocketAddr::V4)),
        ExtendedError::IPV6 => {
            offender(bytes, "AF_INET6 or AF_UNSPEC", |bytes| sockaddr_in6(bytes).map(SocketAddr::V6))
        }
        _ => Err(DecodeError::Length { expected: PLAIN, found: PLAIN + bytes.len() }),
    }
}

/// An address of this length; one of no family is none.
#[inline]
fn offender<const LEN: usize>(
    bytes: &[u8],
    expected: &'static str,
    read: impl FnOnce(&[u8; LEN]) -> Result<SocketAddr, DecodeError>,
) -> Result<Option<SocketAddr>, DecodeError> {
    let Ok(bytes) = <&[u8; LEN]>::try_from(bytes) else {
        return Err(DecodeError::Length { expected: PLAIN + LEN, found: PLAIN + bytes.len() });
    };
    if u16::from_ne_bytes([bytes[0], bytes[1]]) == libc::AF_UNSPEC as u16 {
        return Ok(None);
    }
    match read(bytes) {
        Ok(addr) => Ok(Some(addr)),
        Err(DecodeError::Value { found, .. }) => Err(DecodeError::Value { field: "SO_EE_OFFENDER", expected, found }),
        Err(error) => Err(error),
    }
}

/// Prints `port unreachable, says 192.0.2.1`.
impl fmt::Display for ExtendedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.meaning().fmt(f)?;
        match self.offender {
            Some(offender) => write!(f, ", says {}", offender.ip()),
            None => Ok(()),
        }
    }
}

impl Error for ExtendedError {}

/// Network errors of this socket, on internet sockets for both families; elsewhere entries come unasked.
struct RecvErr;

impl RecvErr {
    fn set(&self, socket: BorrowedFd<'_>, on: bool) -> io::Result<()> {
        let v4 = || set_option(socket, libc::IPPROTO_IP, libc::IP_RECVERR, on.into());
        match Families::ERROR_QUEUE.require(socket)? {
            libc::AF_INET => v4(),
            libc::AF_INET6 => {
                set_option(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVERR, on.into())?;
                // A socket that is for IPv6 alone has no IPv4 errors.
                let _ = v4();
                Ok(())
            }
            libc::AF_CAN if socket_protocol(socket)? == CAN_J1939 => {
                set_option(socket, SOL_CAN_J1939, J1939_ERRQUEUE, on.into())
            }
            _ => Ok(()),
        }
    }
}

receives!(
    varying ExtendedError,
    Self::IP | Self::IPV6 | Self::PACKET | Self::VSOCK | Self::CAN_RAW | Self::J1939,
    WITH_V6,
    |cmsg| Self::read(cmsg),
    RecvErr
);

#[cfg(test)]
mod tests;
