//! What TCP knows of a connection when it makes a stamp; see
//! [Documentation/networking/timestamping.rst](https://docs.kernel.org/networking/timestamping.html).

use std::{fmt, iter::FusedIterator};

use nix::libc::{self, SOL_SOCKET};

use super::flags::{Stamping, TimestampingFlags};
use crate::cmsg::CmsgId;

/// Statistics of a TCP connection at the moment of a stamp (`SCM_TIMESTAMPING_OPT_STATS`; Linux 4.10): a list of netlink
/// attributes.
///
/// Enabling it adds `OPT_STATS`, `OPT_TSONLY` and `SOFTWARE` to the flags that the socket has, disabling takes the first
/// away; which stamps are made is chosen by [`SoTimestamping`](super::SoTimestamping), on the socket or with a message
/// (`TX_SCHED`, `TX_SOFTWARE`, `TX_ACK`). It comes from the error queue
/// ([`RecvFlags::ERRQUEUE`](crate::RecvFlags::ERRQUEUE)) with the [`ScmTimestamping`](super::ScmTimestamping); the same
/// bytes arrive as the data, so that a small buffer is reported as [`MsgFlags::TRUNC`](crate::MsgFlags::TRUNC). The names
/// are TCP's; J1939 sends attributes of its own under the same numbers. No privilege.
///
/// The room reserved for it is what the statistics named in [`TcpNla`] take: more than the 256 bytes that a
/// [`ControlBuf`](crate::ControlBuf) has unless told otherwise. A later kernel may send more.
///
/// ```
/// use ancillary::{ControlVec, MsgHdr, SocketExt};
/// use ancillary::message::{ExtendedError, ScmTimestampingOptStats, SoTimestamping, TcpNla, TimestampingFlags};
/// # use std::{io::Read, net::{TcpListener, TcpStream}, time::Duration};
///
/// # fn main() -> std::io::Result<()> {
/// # let listener = TcpListener::bind("127.0.0.1:0")?;
/// # let stream = TcpStream::connect(listener.local_addr()?)?;
/// # let mut peer = listener.accept()?.0;
/// stream.enable::<ScmTimestampingOptStats<'_>>()?;
/// let when_acknowledged = SoTimestamping(TimestampingFlags::TX_ACK);
/// MsgHdr::new().data(b"ping").control(when_acknowledged).send(&stream)?;
/// # peer.read_exact(&mut [0; 4])?;
/// stream.error_queue()?.wait(Duration::from_secs(10))?;
///
/// type Report<'a> = (ExtendedError, ScmTimestampingOptStats<'a>);
/// let (mut data, mut control) = ([0; 1024], ControlVec::<Report<'_>>::with_capacity(2048));
/// let report = stream.recv_error(&mut data, &mut control)?;
/// let stats = report.extract().1.expect("enabled");
/// assert!(stats.stats().any(|stat| matches!(stat, TcpNla::DataSegsOut(1))), "{stats}");
/// # Ok(())
/// # }
/// ```
///
/// # Wire layout
///
/// ```text
///   0     2      4         len
///   +-----+------+---------+---------+
///   | len | type | value   | padding |   two u16, the value 1, 2, 4 or 8 bytes; host byte order; and again
///   +-----+------+---------+---------+
/// ```
///
/// `len` counts its own header and not the padding, which goes to a multiple of four.
///
/// # References
///
/// [Documentation/networking/timestamping.rst](https://docs.kernel.org/networking/timestamping.html), 1.3.4;
/// [netlink(7)](https://man7.org/linux/man-pages/man7/netlink.7.html); include/uapi/linux/tcp.h, `TCP_NLA_*`;
/// net/ipv4/tcp.c, `tcp_get_timestamping_opt_stats`
#[doc(alias = "SCM_TIMESTAMPING_OPT_STATS")]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct ScmTimestampingOptStats<'a>(&'a [u8]);

impl<'a> ScmTimestampingOptStats<'a> {
    pub(crate) const ID: CmsgId = CmsgId::new(SOL_SOCKET, libc::SCM_TIMESTAMPING_OPT_STATS);

    /// Ten of eight bytes with the attribute that aligns each, twelve of four, and five shorter ones.
    const LONGEST: usize = 10 * (4 + 12) + 12 * 8 + 5 * 8;

    const OPTION: Stamping = {
        use TimestampingFlags as Flags;
        Stamping { on: Flags::OPT_STATS.union(Flags::OPT_TSONLY).union(Flags::SOFTWARE), off: Flags::OPT_STATS }
    };

    /// The attributes as they stand there: type and value. One whose length makes no sense ends them.
    pub const fn attributes(self) -> TcpNlas<'a> {
        TcpNlas { rest: self.0 }
    }

    /// The statistics; attributes that only align others are left out.
    pub fn stats(self) -> impl Iterator<Item = TcpNla<'a>> + Clone {
        self.attributes().filter(|&(ty, _)| ty != TCP_NLA_PAD).map(|(ty, value)| TcpNla::read(ty, value))
    }

    /// All bytes as they arrived.
    pub const fn as_bytes(self) -> &'a [u8] {
        self.0
    }
}

/// Prints the statistics by their C names.
impl fmt::Display for ScmTimestampingOptStats<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for stat in self.stats() {
            write!(f, "{separator}{stat}")?;
            separator = ", ";
        }
        let mut attributes = self.attributes();
        attributes.by_ref().for_each(drop);
        if attributes.rest.is_empty() { Ok(()) } else { write!(f, "{separator}malformed") }
    }
}

receives!(
    view ScmTimestampingOptStats,
    Self::ID,
    Self::LONGEST,
    |cmsg| Ok(ScmTimestampingOptStats(cmsg.payload())),
    Self::OPTION
);

// include/uapi/linux/netlink.h, include/uapi/linux/tcp.h
const HEADER: usize = 4;
const NLA_TYPE_MASK: u16 = 0x3fff;
const TCP_NLA_PAD: u16 = 0;

/// Iterates over netlink attributes; see [`ScmTimestampingOptStats::attributes`].
///
/// ```
/// use ancillary::message::ScmTimestampingOptStats;
/// # use ancillary::{RawCmsg, RecvControl, cmsg::CmsgId};
///
/// # let attribute = |len: u16, ty: u16, value: &[u8]| {
/// #     [&len.to_ne_bytes()[..], &ty.to_ne_bytes(), value].concat()
/// # };
/// # let bytes = [attribute(8, 22, &12_000u32.to_ne_bytes()), attribute(5, 26, &[64, 0, 0, 0])].concat();
/// # let stats = ScmTimestampingOptStats::decode(RawCmsg::new(CmsgId::new(1, 54), &bytes))?;
/// let found: Vec<(u16, &[u8])> = stats.attributes().collect();
/// assert_eq!(found, [(22, &12_000u32.to_ne_bytes()[..]), (26, &[64])]); // TCP_NLA_SRTT, TCP_NLA_TTL
/// # Ok::<(), ancillary::DecodeError>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use = "iterators are lazy"]
pub struct TcpNlas<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for TcpNlas<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<(u16, &'a [u8])> {
        let &[l0, l1, t0, t1, ..] = self.rest else { return None };
        let (len, ty) = (usize::from(u16::from_ne_bytes([l0, l1])), u16::from_ne_bytes([t0, t1]));
        let value = self.rest.get(HEADER..len)?;
        // The last one may lack its padding.
        self.rest = self.rest.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some((ty & NLA_TYPE_MASK, value))
    }
}

impl FusedIterator for TcpNlas<'_> {}

macro_rules! tcp_nla {
    ($($(#[doc = $doc:literal])+ $name:ident($int:ty) = $number:literal, $c_name:literal;)+) => {
        /// One statistic of a TCP connection (`TCP_NLA_*`). Times are in microseconds unless said otherwise.
        ///
        /// ```
        /// use ancillary::message::{ScmTimestampingOptStats, TcpNla};
        /// # use ancillary::{RawCmsg, RecvControl, cmsg::CmsgId};
        /// use std::time::Duration;
        ///
        /// # let attribute = |len: u16, ty: u16, value: &[u8]| {
        /// #     [&len.to_ne_bytes()[..], &ty.to_ne_bytes(), value].concat()
        /// # };
        /// # let bytes = [attribute(8, 22, &12_000u32.to_ne_bytes()), attribute(5, 99, &[1, 0, 0, 0])].concat();
        /// # let stats = ScmTimestampingOptStats::decode(RawCmsg::new(CmsgId::new(1, 54), &bytes))?;
        /// let mut smoothed = None;
        /// for stat in stats.stats() {
        ///     match stat {
        ///         TcpNla::Srtt(micros) => smoothed = Some(Duration::from_micros(micros.into())),
        ///         TcpNla::Unknown { ty, value } => assert_eq!((ty, value), (99, &[1][..])), // of a later kernel
        ///         other => println!("{other}"),
        ///     }
        /// }
        /// assert_eq!(smoothed, Some(Duration::from_millis(12)));
        /// # Ok::<(), ancillary::DecodeError>(())
        /// ```
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
        #[non_exhaustive]
        pub enum TcpNla<'a> {
            $($(#[doc = $doc])+ #[doc(alias = $c_name)] $name($int),)+
            /// An attribute that is not known here, or whose value has another length.
            Unknown {
                /// Its type (`nla_type`).
                ty: u16,
                /// Its bytes.
                value: &'a [u8],
            },
        }

        impl<'a> TcpNla<'a> {
            fn read(ty: u16, value: &'a [u8]) -> Self {
                let known = match ty {
                    $($number => value.try_into().ok().map(|bytes| Self::$name(<$int>::from_ne_bytes(bytes))),)+
                    _ => None,
                };
                known.unwrap_or(Self::Unknown { ty, value })
            }
        }

        /// Prints the C name without its prefix, and the value.
        impl fmt::Display for TcpNla<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$name(value) => {
                        write!(f, "{} {value}", $c_name.strip_prefix("TCP_NLA_").unwrap_or($c_name))
                    })+
                    Self::Unknown { ty, value } => {
                        write!(f, "type {ty}, ")?;
                        crate::text::hex(value, f)
                    }
                }
            }
        }
    };
}

tcp_nla! {
    /// Time spent sending (`TCP_NLA_BUSY`).
    Busy(u64) = 1, "TCP_NLA_BUSY";
    /// Time limited by the receive window (`TCP_NLA_RWND_LIMITED`).
    RwndLimited(u64) = 2, "TCP_NLA_RWND_LIMITED";
    /// Time limited by the send buffer (`TCP_NLA_SNDBUF_LIMITED`).
    SndbufLimited(u64) = 3, "TCP_NLA_SNDBUF_LIMITED";
    /// Data segments sent, those sent again included (`TCP_NLA_DATA_SEGS_OUT`).
    DataSegsOut(u64) = 4, "TCP_NLA_DATA_SEGS_OUT";
    /// Data segments sent again (`TCP_NLA_TOTAL_RETRANS`).
    TotalRetrans(u64) = 5, "TCP_NLA_TOTAL_RETRANS";
    /// Pacing rate in bytes per second (`TCP_NLA_PACING_RATE`).
    PacingRate(u64) = 6, "TCP_NLA_PACING_RATE";
    /// Delivery rate in bytes per second (`TCP_NLA_DELIVERY_RATE`).
    DeliveryRate(u64) = 7, "TCP_NLA_DELIVERY_RATE";
    /// Congestion window in segments (`TCP_NLA_SND_CWND`).
    SndCwnd(u32) = 8, "TCP_NLA_SND_CWND";
    /// Reordering metric (`TCP_NLA_REORDERING`).
    Reordering(u32) = 9, "TCP_NLA_REORDERING";
    /// Least round-trip time (`TCP_NLA_MIN_RTT`).
    MinRtt(u32) = 10, "TCP_NLA_MIN_RTT";
    /// Times that the oldest segment was sent again after a timeout (`TCP_NLA_RECUR_RETRANS`).
    RecurRetrans(u8) = 11, "TCP_NLA_RECUR_RETRANS";
    /// 1 if the delivery rate was limited by the application (`TCP_NLA_DELIVERY_RATE_APP_LMT`).
    DeliveryRateAppLmt(u8) = 12, "TCP_NLA_DELIVERY_RATE_APP_LMT";
    /// Bytes in the send queue (`TCP_NLA_SNDQ_SIZE`).
    SndqSize(u32) = 13, "TCP_NLA_SNDQ_SIZE";
    /// State of congestion avoidance (`TCP_NLA_CA_STATE`).
    CaState(u8) = 14, "TCP_NLA_CA_STATE";
    /// Threshold of slow start in segments (`TCP_NLA_SND_SSTHRESH`).
    SndSsthresh(u32) = 15, "TCP_NLA_SND_SSTHRESH";
    /// Data segments that arrived, out of order ones included (`TCP_NLA_DELIVERED`).
    Delivered(u32) = 16, "TCP_NLA_DELIVERED";
    /// Those of them that met congestion, by ECN (`TCP_NLA_DELIVERED_CE`).
    DeliveredCe(u32) = 17, "TCP_NLA_DELIVERED_CE";
    /// Bytes sent, those sent again included (`TCP_NLA_BYTES_SENT`).
    BytesSent(u64) = 18, "TCP_NLA_BYTES_SENT";
    /// Bytes sent again (`TCP_NLA_BYTES_RETRANS`).
    BytesRetrans(u64) = 19, "TCP_NLA_BYTES_RETRANS";
    /// Duplicate blocks that the peer told of (`TCP_NLA_DSACK_DUPS`).
    DsackDups(u32) = 20, "TCP_NLA_DSACK_DUPS";
    /// Times that reordering was seen (`TCP_NLA_REORD_SEEN`).
    ReordSeen(u32) = 21, "TCP_NLA_REORD_SEEN";
    /// Smoothed round-trip time (`TCP_NLA_SRTT`).
    Srtt(u32) = 22, "TCP_NLA_SRTT";
    /// Times that a timeout chose another path (`TCP_NLA_TIMEOUT_REHASH`).
    TimeoutRehash(u16) = 23, "TCP_NLA_TIMEOUT_REHASH";
    /// Bytes written and not yet sent (`TCP_NLA_BYTES_NOTSENT`).
    BytesNotsent(u32) = 24, "TCP_NLA_BYTES_NOTSENT";
    /// Earliest departure time in nanoseconds of `CLOCK_MONOTONIC` (`TCP_NLA_EDT`).
    Edt(u64) = 25, "TCP_NLA_EDT";
    /// TTL or hop limit of the acknowledgement, with the stamp of one (`TCP_NLA_TTL`).
    Ttl(u8) = 26, "TCP_NLA_TTL";
    /// Times that another path was chosen, by a timeout or by congestion (`TCP_NLA_REHASH`).
    Rehash(u32) = 27, "TCP_NLA_REHASH";
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{RecvControl, laws::reads};

    fn attribute(len: u16, ty: u16, value: &[u8]) -> Vec<u8> {
        let mut bytes = [len.to_ne_bytes(), ty.to_ne_bytes()].concat();
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0xee);
        bytes
    }

    #[test]
    fn every_statistic_is_read() {
        const WIDTHS: [usize; 27] = [8, 8, 8, 8, 8, 8, 8, 4, 4, 4, 1, 1, 4, 1, 4, 4, 4, 8, 8, 4, 4, 4, 2, 4, 8, 1, 4];
        let (mut payload, mut printed) = (Vec::new(), Vec::new());
        for (ty, width) in (1u16..).zip(WIDTHS) {
            let number = u64::from(ty) + 100;
            let value = match width {
                1 => vec![number as u8],
                2 => (number as u16).to_ne_bytes().to_vec(),
                4 => (number as u32).to_ne_bytes().to_vec(),
                _ => number.to_ne_bytes().to_vec(),
            };
            if width == 8 {
                payload.extend(attribute(4, TCP_NLA_PAD, &[]));
            }
            payload.extend(attribute(4 + width as u16, ty, &value));
            let stat = TcpNla::read(ty, &value);
            assert!(!matches!(stat, TcpNla::Unknown { .. }), "{ty}");
            assert!(stat.to_string().ends_with(&format!(" {number}")), "{stat}");
            printed.push(stat.to_string());
            for other in [0, 1, 2, 3, 4, 7, 8, 9].into_iter().filter(|&other| other != width) {
                let value = &[1; 9][..other];
                assert_eq!(TcpNla::read(ty, value), TcpNla::Unknown { ty, value });
            }
        }
        assert_eq!(payload.len(), ScmTimestampingOptStats::PAYLOAD_LEN);
        assert!(printed.starts_with(&["BUSY 101".into(), "RWND_LIMITED 102".into()]), "{printed:?}");
        let printed = format!("{{SCM_TIMESTAMPING_OPT_STATS {}}}", printed.join(", "));
        reads::<ScmTimestampingOptStats<'_>>(ScmTimestampingOptStats::ID, &payload, &printed, |stats| {
            let types: Vec<_> = stats.attributes().map(|(ty, _)| ty).filter(|&ty| ty != TCP_NLA_PAD).collect();
            assert_eq!(types, (1..=27).collect::<Vec<_>>());
            assert_eq!(stats.stats().count(), 27);
            assert!(stats.stats().any(|stat| stat == TcpNla::TimeoutRehash(123)));
            assert_eq!(stats.as_bytes(), payload);
        });
    }

    #[test]
    fn unknown_attributes_are_kept() {
        let payload = [attribute(7, 0x8000 | 99, b"abc"), attribute(5, 26, &[64])].concat();
        let printed = "{SCM_TIMESTAMPING_OPT_STATS type 99, 3 bytes: 61 62 63, TTL 64}";
        reads::<ScmTimestampingOptStats<'_>>(ScmTimestampingOptStats::ID, &payload, printed, |stats| {
            let found: Vec<_> = stats.stats().collect();
            assert_eq!(found, [TcpNla::Unknown { ty: 99, value: b"abc" }, TcpNla::Ttl(64)]);
        });
    }

    #[test]
    fn malformed_attributes_end_the_list() {
        let whole = attribute(8, 8, &10u32.to_ne_bytes());
        for (tail, malformed) in [
            (attribute(0, 1, &[]), true),
            (attribute(3, 1, &[]), true),
            (attribute(9, 1, &[0; 4]), true),
            (attribute(u16::MAX, 1, &[0; 8]), true),
            (vec![1], true),
            (vec![5, 0, 5], true),
            (Vec::new(), false),
        ] {
            let payload = [&whole[..], &tail].concat();
            let printed = if malformed { "SND_CWND 10, malformed" } else { "SND_CWND 10" };
            let printed = format!("{{SCM_TIMESTAMPING_OPT_STATS {printed}}}");
            reads::<ScmTimestampingOptStats<'_>>(ScmTimestampingOptStats::ID, &payload, &printed, |stats| {
                assert_eq!(stats.stats().collect::<Vec<_>>(), [TcpNla::SndCwnd(10)]);
                let mut attributes = stats.attributes();
                assert_eq!(attributes.next(), Some((8, &10u32.to_ne_bytes()[..])));
                assert_eq!([attributes.next(), attributes.next()], [None; 2]);
            });
        }
    }

    #[test]
    fn a_last_attribute_without_padding_is_read() {
        let payload = &attribute(5, 14, &[3])[..5];
        reads::<ScmTimestampingOptStats<'_>>(
            ScmTimestampingOptStats::ID,
            payload,
            "{SCM_TIMESTAMPING_OPT_STATS CA_STATE 3}",
            |stats| assert_eq!(stats.stats().collect::<Vec<_>>(), [TcpNla::CaState(3)]),
        );
    }
}
