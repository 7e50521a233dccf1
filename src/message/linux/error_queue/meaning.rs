//! What an entry of the error queue means.

use std::{fmt, io};

use nix::libc;

use super::{ExtendedError, Origin};

/// What happened, in words rather than numbers: [`ExtendedError::meaning`].
///
/// ```
/// use ancillary::message::{ExtendedError, Meaning};
/// # use ancillary::{RawCmsg, RecvControl, cmsg::CmsgId};
///
/// # let entry = [&90u32.to_ne_bytes()[..], &[3, 2, 0, 0], &1280u32.to_ne_bytes(), &[0; 4]].concat();
/// # let error = ExtendedError::decode(RawCmsg::new(CmsgId::new(41, 25), &entry))?;
/// // `error` is that of an entry of the queue: ICMPv6 type 2.
/// match error.meaning() {
///     Meaning::PacketTooBig { mtu } => assert_eq!(mtu, 1280), // and shorter packets from now on
///     Meaning::HopLimitExceeded => println!("a router on the way: {:?}", error.offender),
///     other => println!("{other}"),
/// }
/// # assert_eq!(error.meaning().to_string(), "packet too big for an MTU of 1280");
/// # Ok::<(), ancillary::DecodeError>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Meaning {
    /// Nobody listens on that port (ICMP 3/3, ICMPv6 1/4).
    PortUnreachable,
    /// The host does not answer, or is not known (ICMP 3/1, 3/7, 3/8, 3/12; ICMPv6 1/3).
    HostUnreachable,
    /// There is no route (ICMP 3/0, 3/6, 3/11; ICMPv6 1/0).
    NetworkUnreachable,
    /// The host does not speak that protocol (ICMP 3/2; ICMPv6 4/1).
    ProtocolUnreachable,
    /// A router or a firewall forbids it (ICMP 3/9, 3/10, 3/13 to 3/15; ICMPv6 1/1, 1/5, 1/6).
    Prohibited,
    /// Too large for a network on the way, which takes this many bytes (ICMP 3/4, ICMPv6 2/0; of this host, EMSGSIZE). 0:
    /// an old router that does not say.
    PacketTooBig {
        /// The largest packet, IP header included.
        mtu: u32,
    },
    /// The hop limit ran out on the way (ICMP 11/0, ICMPv6 3/0): what traceroute waits for.
    HopLimitExceeded,
    /// Not all fragments arrived in time (ICMP 11/1, ICMPv6 3/1).
    ReassemblyTimeExceeded,
    /// A header that somebody could not read (ICMP 12, ICMPv6 4).
    ParameterProblem,
    /// Sends with `MSG_ZEROCOPY` are complete: their buffers are free.
    ZeroCopied(ZeroCopied),
    /// A timestamp of a packet that was sent, beside it as [`ScmTimestamping`](crate::message::ScmTimestamping); or, with a
    /// [`ScmWifiStatus`](crate::message::ScmWifiStatus) beside it, whether a station has acknowledged it.
    Sent {
        /// At which point.
        point: TimestampPoint,
        /// Which packet, with `SOF_TIMESTAMPING_OPT_ID`: a count of datagrams from 0, the last byte of a send on a stream,
        /// or a [`ScmTsOptId`](crate::message::ScmTsOptId), which takes no number of the count.
        id: u32,
    },
    /// A packet with a time to leave at ([`ScmTxTime`](crate::message::ScmTxTime)) was dropped.
    NotSent {
        /// Its time, in nanoseconds of the socket's clock.
        time: u64,
        /// Whether the time had passed; else it was invalid.
        missed: bool,
    },
    /// Another error of this number.
    Other {
        /// `ee_errno`
        errno: u32,
    },
}

/// Sends with `MSG_ZEROCOPY` that are complete, by number: the first send of a socket is 0, and after 4,294,967,295
/// comes 0.
///
/// ```
/// use ancillary::message::{ExtendedError, Meaning};
/// # use ancillary::{RawCmsg, RecvControl, cmsg::CmsgId};
///
/// # let entry = [&[0, 0, 0, 0, 5, 0, 1, 0][..], &3u32.to_ne_bytes(), &5u32.to_ne_bytes()].concat();
/// # let error = ExtendedError::decode(RawCmsg::new(CmsgId::new(0, 11), &entry))?;
/// let Meaning::ZeroCopied(done) = error.meaning() else { panic!("{error}") };
/// assert_eq!((done.first, done.last), (3, 5)); // three sends: their buffers are free
/// assert!(done.copied); // it did not pay
/// # Ok::<(), ancillary::DecodeError>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[doc(alias = "SO_EE_ORIGIN_ZEROCOPY")]
pub struct ZeroCopied {
    /// The first of the range (`ee_info`).
    pub first: u32,
    /// The last of the range (`ee_data`).
    pub last: u32,
    /// Whether the kernel has copied the data after all (`SO_EE_CODE_ZEROCOPY_COPIED`), as on loopback: then
    /// `MSG_ZEROCOPY` costs more than it saves.
    #[doc(alias = "SO_EE_CODE_ZEROCOPY_COPIED")]
    pub copied: bool,
}

/// Where a sent packet was when it got its timestamp (`SCM_TSTAMP_*` in `ee_info`).
///
/// ```
/// use ancillary::{ControlBuf, SocketExt};
/// use ancillary::message::{ExtendedError, Meaning, ScmTimestamping, SoTimestamping, TimestampPoint};
/// use ancillary::message::TimestampingFlags as Flags;
/// use std::net::UdpSocket;
///
/// # fn main() -> std::io::Result<()> {
/// let socket = UdpSocket::bind("127.0.0.1:0")?;
/// SoTimestamping(Flags::SOFTWARE | Flags::TX_SCHED | Flags::TX_SOFTWARE | Flags::OPT_TSONLY).set(&socket)?;
/// socket.send_to(b"twice", socket.local_addr()?)?;
///
/// let (mut control, mut points) = (ControlBuf::<(ExtendedError, ScmTimestamping)>::new(), Vec::new());
/// socket.error_queue()?.drain(&mut [], &mut control, |entry| {
///     if let Meaning::Sent { point, .. } = entry.error().meaning() {
///         points.push(point);
///     }
/// })?;
/// assert_eq!(points, [TimestampPoint::Scheduled, TimestampPoint::Sent]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum TimestampPoint {
    /// Handed to the network card (`SCM_TSTAMP_SND`).
    #[doc(alias = "SCM_TSTAMP_SND")]
    Sent,
    /// Entered the packet scheduler (`SCM_TSTAMP_SCHED`).
    #[doc(alias = "SCM_TSTAMP_SCHED")]
    Scheduled,
    /// The peer has acknowledged all bytes (`SCM_TSTAMP_ACK`; TCP).
    #[doc(alias = "SCM_TSTAMP_ACK")]
    Acknowledged,
    /// The hardware reports completion (`SCM_TSTAMP_COMPLETION`; Bluetooth, Linux 6.15).
    #[doc(alias = "SCM_TSTAMP_COMPLETION")]
    Completed,
    /// One that this crate does not know.
    Other(u32),
}

impl From<u32> for TimestampPoint {
    fn from(info: u32) -> Self {
        match info {
            0 => Self::Sent,
            1 => Self::Scheduled,
            2 => Self::Acknowledged,
            3 => Self::Completed,
            other => Self::Other(other),
        }
    }
}

impl ExtendedError {
    /// What happened.
    pub fn meaning(&self) -> Meaning {
        let Self { errno, ty, code, info, data, .. } = *self;
        let other = Meaning::Other { errno };
        match self.origin {
            Origin::Local if errno == libc::EMSGSIZE as u32 && matches!(self.id, Self::IP | Self::IPV6) => {
                Meaning::PacketTooBig { mtu: info }
            }
            Origin::Icmp => icmp(ty, code, info).unwrap_or(other),
            Origin::Icmp6 => icmp6(ty, code, info).unwrap_or(other),
            Origin::Timestamping => Meaning::Sent { point: info.into(), id: data },
            Origin::ZeroCopy => Meaning::ZeroCopied(ZeroCopied { first: info, last: data, copied: code == 1 }),
            Origin::TxTime => Meaning::NotSent { time: u64::from(data) << 32 | u64::from(info), missed: code == 2 },
            _ => other,
        }
    }

    /// The length of the original datagram as an ICMP message gives it, in bytes of the data received with this error,
    /// where an extension follows (RFC 4884); asked for with the options `IP_RECVERR_RFC4884`, `IPV6_RECVERR_RFC4884`
    /// (Linux 5.9). `None` if there is none, or it was marked invalid.
    ///
    /// ```
    /// use ancillary::message::ExtendedError;
    /// # use ancillary::{RawCmsg, RecvControl, cmsg::CmsgId};
    ///
    /// # let length = [&128u16.to_ne_bytes()[..], &[0, 0]].concat();
    /// # let entry = [&113u32.to_ne_bytes()[..], &[2, 11, 0, 0], &[0; 4], &length].concat();
    /// # let error = ExtendedError::decode(RawCmsg::new(CmsgId::new(0, 11), &entry))?;
    /// # let data = [0; 140];
    /// // `data` came with the error: 128 bytes of the datagram that failed, and what a router adds (RFC 4950).
    /// let (datagram, extension) = data.split_at(error.extension_at().map_or(data.len(), usize::from));
    /// assert_eq!((datagram.len(), extension.len()), (128, 12));
    /// # Ok::<(), ancillary::DecodeError>(())
    /// ```
    #[doc(alias = "sock_ee_data_rfc4884")]
    #[doc(alias = "IP_RECVERR_RFC4884")]
    #[doc(alias = "IPV6_RECVERR_RFC4884")]
    pub fn extension_at(&self) -> Option<u16> {
        let [l0, l1, flags, _] = self.data.to_ne_bytes();
        let len = u16::from_ne_bytes([l0, l1]);
        let icmp = matches!(self.origin, Origin::Icmp | Origin::Icmp6);
        (icmp && len > 0 && flags & 1 == 0).then_some(len)
    }
}

/// RFC 792, RFC 1122 s. 3.2.2.1, RFC 1812 s. 5.2.7.1.
fn icmp(ty: u8, code: u8, info: u32) -> Option<Meaning> {
    Some(match (ty, code) {
        (3, 0 | 6 | 11) => Meaning::NetworkUnreachable,
        (3, 1 | 7 | 8 | 12) => Meaning::HostUnreachable,
        (3, 2) => Meaning::ProtocolUnreachable,
        (3, 3) => Meaning::PortUnreachable,
        (3, 4) => Meaning::PacketTooBig { mtu: info },
        (3, 9 | 10 | 13..=15) => Meaning::Prohibited,
        (11, 0) => Meaning::HopLimitExceeded,
        (11, 1) => Meaning::ReassemblyTimeExceeded,
        (12, _) => Meaning::ParameterProblem,
        _ => return None,
    })
}

/// RFC 4443 s. 3.
fn icmp6(ty: u8, code: u8, info: u32) -> Option<Meaning> {
    Some(match (ty, code) {
        (1, 0) => Meaning::NetworkUnreachable,
        (1, 3) => Meaning::HostUnreachable,
        (1, 1 | 5 | 6) => Meaning::Prohibited,
        (1, 4) => Meaning::PortUnreachable,
        (2, _) => Meaning::PacketTooBig { mtu: info },
        (3, 0) => Meaning::HopLimitExceeded,
        (3, 1) => Meaning::ReassemblyTimeExceeded,
        (4, 1) => Meaning::ProtocolUnreachable,
        (4, _) => Meaning::ParameterProblem,
        _ => return None,
    })
}

impl fmt::Display for Meaning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match *self {
            Self::PortUnreachable => "port unreachable",
            Self::HostUnreachable => "host unreachable",
            Self::NetworkUnreachable => "network unreachable",
            Self::ProtocolUnreachable => "protocol unreachable",
            Self::Prohibited => "administratively prohibited",
            Self::PacketTooBig { mtu } => return write!(f, "packet too big for an MTU of {mtu}"),
            Self::HopLimitExceeded => "hop limit exceeded",
            Self::ReassemblyTimeExceeded => "reassembly time exceeded",
            Self::ParameterProblem => "parameter problem",
            Self::ZeroCopied(ZeroCopied { first, last, copied }) => {
                let how = if copied { ", copied" } else { "" };
                return write!(f, "sends {first} to {last} complete{how}");
            }
            Self::Sent { point, id } => return write!(f, "{point}, id {id}"),
            Self::NotSent { time, missed: true } => return write!(f, "time {time} was missed"),
            Self::NotSent { time, missed: false } => return write!(f, "time {time} is invalid"),
            Self::Other { errno } => {
                return io::Error::from_raw_os_error(i32::try_from(errno).unwrap_or(i32::MAX)).fmt(f);
            }
        })
    }
}

impl fmt::Display for TimestampPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match *self {
            Self::Sent => "sent",
            Self::Scheduled => "scheduled",
            Self::Acknowledged => "acknowledged",
            Self::Completed => "completed",
            Self::Other(info) => return write!(f, "timestamp {info}"),
        })
    }
}
