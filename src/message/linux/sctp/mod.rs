//! Control messages of level `IPPROTO_SCTP`; see
//! [RFC 6458 section 5.3](https://www.rfc-editor.org/rfc/rfc6458#section-5.3) and
//! [sctp(7)](https://manpages.debian.org/sctp.7).

mod receive;
mod send;

pub use receive::{SctpNxtInfo, SctpRcvInfo};
pub use send::{SctpAuthInfo, SctpDstAddrV4, SctpDstAddrV6, SctpInit, SctpPrInfo, SctpPrPolicy, SctpSndInfo};

use std::{fmt, io, os::fd::BorrowedFd};

use bitflags::bitflags;

use crate::message::rows::field;
use crate::{cmsg::CmsgId, error::EncodeError, options::Families, sys};

// include/uapi/linux/in.h and include/uapi/linux/sctp.h; libc lacks them on some systems, and elsewhere than on Linux
// the numbers are others.
const IPPROTO_SCTP: i32 = 132;
const SCTP_EVENTS: i32 = 11;
const SCTP_RECVRCVINFO: i32 = 32;
const SCTP_RECVNXTINFO: i32 = 33;

const SCTP_INIT: i32 = 0;
const SCTP_SNDRCV: i32 = 1;
const SCTP_SNDINFO: i32 = 2;
const SCTP_RCVINFO: i32 = 3;
const SCTP_NXTINFO: i32 = 4;
const SCTP_PRINFO: i32 = 5;
const SCTP_AUTHINFO: i32 = 6;
const SCTP_DSTADDRV4: i32 = 7;
const SCTP_DSTADDRV6: i32 = 8;

bitflags! {
    /// Flags of an SCTP message (`enum sctp_sinfo_flags`): of one that is sent, and of one that arrived or will.
    ///
    /// Bits that are not known are kept.
    ///
    /// ```
    /// use ancillary::message::{SctpFlags, SctpRcvInfo, SctpSndInfo};
    ///
    /// let urgent = SctpFlags::UNORDERED | SctpFlags::SACK_IMMEDIATELY;
    /// let sent = SctpSndInfo { sid: 1, flags: urgent, ..Default::default() };
    /// assert_eq!(sent.flags.to_string(), "UNORDERED | SACK_IMMEDIATELY");
    ///
    /// let received = SctpRcvInfo { flags: SctpFlags::UNORDERED, ..Default::default() };
    /// assert!(received.flags.contains(SctpFlags::UNORDERED)); // its number in the stream, `ssn`, says nothing
    /// ```
    #[doc(alias = "sctp_sinfo_flags")]
    #[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
    pub struct SctpFlags: u16 {
        /// Not in the order of its stream (`SCTP_UNORDERED`); both directions.
        #[doc(alias = "SCTP_UNORDERED")]
        const UNORDERED = 1;
        /// To the address given, not to the primary one (`SCTP_ADDR_OVER`).
        #[doc(alias = "SCTP_ADDR_OVER")]
        const ADDR_OVER = 2;
        /// Aborts the association; the data is the reason (`SCTP_ABORT`; one-to-many sockets).
        #[doc(alias = "SCTP_ABORT")]
        const ABORT = 4;
        /// The peer shall acknowledge at once (`SCTP_SACK_IMMEDIATELY`).
        #[doc(alias = "SCTP_SACK_IMMEDIATELY")]
        const SACK_IMMEDIATELY = 8;
        /// To every association of the socket (`SCTP_SENDALL`; Linux 4.17, one-to-many sockets).
        #[doc(alias = "SCTP_SENDALL")]
        const SENDALL = 0x40;
        /// Shuts the association down; without data (`SCTP_EOF`; one-to-many sockets).
        #[doc(alias = "SCTP_EOF")]
        const EOF = 0x200;
        /// A notification, not a message (`SCTP_NOTIFICATION`); received alone.
        #[doc(alias = "SCTP_NOTIFICATION")]
        const NOTIFICATION = 0x8000;
        /// The two bits that hold a [`SctpPrPolicy`] (`SCTP_PR_SCTP_MASK`).
        #[doc(alias = "SCTP_PR_SCTP_MASK")]
        const PR_SCTP_MASK = 0x30;
        const _ = !0;
    }
}

impl SctpFlags {
    /// What may be sent. Flags that are not known are the kernel's to judge.
    #[inline]
    fn sendable(self, field: &'static str) -> Result<Self, EncodeError> {
        if self.contains(Self::NOTIFICATION) {
            return Err(EncodeError::Value { field, expected: "no SCTP_NOTIFICATION", found: self.bits().into() });
        }
        Ok(self)
    }
}

/// Prints `UNORDERED | SENDALL`, or `-`.
impl fmt::Display for SctpFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() { f.write_str("-") } else { bitflags::parser::to_writer(self, f) }
    }
}

/// Stream, numbers and flags of one SCTP message (`SCTP_SNDRCV`, `struct sctp_sndrcvinfo`; Linux 2.6).
///
/// RFC 6458 has put [`SctpSndInfo`] and [`SctpRcvInfo`] in its place; it alone says, when sent, how long the message may
/// wait without [`SctpPrInfo`]. Of the two sent together [`SctpSndInfo`] counts.
///
/// Received once enabled (the field `sctp_data_io_event` of the option `SCTP_EVENTS`; no other event is touched), with
/// every message that is not a notification. No privilege.
///
/// ```
/// use ancillary::{ControlList, message::SctpSndRcv, parser::{self, ControlMessage}};
///
/// // On stream 3, with the identifier 46, and dropped if it has not left after 500 ms.
/// let info = SctpSndRcv { stream: 3, ppid: 46u32.to_be(), timetolive: 500, ..Default::default() };
/// let control = ControlList::new(info)?;
/// match parser::parse(control.as_bytes()).next() { // and so it is read
///     Some(ControlMessage::SctpSndRcv(found)) => assert_eq!((found.stream, u32::from_be(found.ppid)), (3, 46)),
///     other => panic!("{other:?}"),
/// }
/// # Ok::<(), ancillary::EncodeError>(())
/// ```
///
/// # Wire layout
///
/// ```text
///   0        2     4       6     8      12        16           20    24       28         32
///   +--------+-----+-------+-----+------+---------+------------+-----+--------+----------+
///   | stream | ssn | flags | pad | ppid | context | timetolive | tsn | cumtsn | assoc_id |
///   +--------+-----+-------+-----+------+---------+------------+-----+--------+----------+
///     host byte order, but ppid, which is nobody's but the program's
/// ```
///
/// # Errors
///
/// Sending [`SctpFlags::NOTIFICATION`] is [`EncodeError::Value`]. The kernel says EINVAL for flags it does not know, a
/// stream that the association does not have, no data without [`SctpFlags::EOF`] or [`SctpFlags::ABORT`], data with
/// [`SctpFlags::EOF`], either of the two on a one-to-one socket, and [`SctpFlags::ADDR_OVER`] without an address.
///
/// # References
///
/// [RFC 6458 section 5.3.2](https://www.rfc-editor.org/rfc/rfc6458#section-5.3.2); net/sctp/socket.c,
/// `sctp_msghdr_parse`; net/sctp/ulpevent.c, `sctp_ulpevent_read_sndrcvinfo`
#[doc(alias = "SCTP_SNDRCV")]
#[doc(alias = "SCTP_EVENTS")]
#[doc(alias = "sctp_sndrcvinfo")]
#[doc(alias = "sctp_data_io_event")]
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct SctpSndRcv {
    /// Stream (`sinfo_stream`).
    #[doc(alias = "sinfo_stream")]
    pub stream: u16,
    /// Number in the stream (`sinfo_ssn`); received.
    #[doc(alias = "sinfo_ssn")]
    pub ssn: u16,
    /// Flags (`sinfo_flags`).
    #[doc(alias = "sinfo_flags")]
    pub flags: SctpFlags,
    /// Payload protocol identifier (`sinfo_ppid`), as in [`SctpSndInfo::ppid`].
    #[doc(alias = "sinfo_ppid")]
    pub ppid: u32,
    /// What comes back if the message cannot be sent; received, the association's own (`sinfo_context`).
    #[doc(alias = "sinfo_context")]
    pub context: u32,
    /// Milliseconds the message may wait, 0 for any, or the value of the [`SctpPrPolicy`] in the flags
    /// (`sinfo_timetolive`); sent.
    #[doc(alias = "sinfo_timetolive")]
    pub timetolive: u32,
    /// Transmission number of a piece of the message (`sinfo_tsn`); received.
    #[doc(alias = "sinfo_tsn")]
    pub tsn: u32,
    /// Transmission number up to which everything has arrived (`sinfo_cumtsn`); received, for unordered messages.
    #[doc(alias = "sinfo_cumtsn")]
    pub cumtsn: u32,
    /// Association; on a one-to-many socket it says where to, if no address does (`sinfo_assoc_id`).
    #[doc(alias = "sinfo_assoc_id")]
    pub assoc_id: i32,
}

impl SctpSndRcv {
    pub(crate) const ID: CmsgId = CmsgId::new(IPPROTO_SCTP, SCTP_SNDRCV);

    #[inline]
    fn to_wire(self) -> Result<[u8; 32], EncodeError> {
        let mut payload = [0; 32];
        payload[..2].copy_from_slice(&self.stream.to_ne_bytes());
        payload[2..4].copy_from_slice(&self.ssn.to_ne_bytes());
        payload[4..6].copy_from_slice(&self.flags.sendable("sinfo_flags")?.bits().to_ne_bytes());
        payload[8..12].copy_from_slice(&self.ppid.to_ne_bytes());
        payload[12..16].copy_from_slice(&self.context.to_ne_bytes());
        payload[16..20].copy_from_slice(&self.timetolive.to_ne_bytes());
        payload[20..24].copy_from_slice(&self.tsn.to_ne_bytes());
        payload[24..28].copy_from_slice(&self.cumtsn.to_ne_bytes());
        payload[28..].copy_from_slice(&self.assoc_id.to_ne_bytes());
        Ok(payload)
    }

    #[inline]
    fn from_wire(payload: [u8; 32]) -> Self {
        Self {
            stream: u16::from_ne_bytes(field::<0, 2, 32>(&payload)),
            ssn: u16::from_ne_bytes(field::<2, 2, 32>(&payload)),
            flags: SctpFlags::from_bits_retain(u16::from_ne_bytes(field::<4, 2, 32>(&payload))),
            ppid: u32::from_ne_bytes(field::<8, 4, 32>(&payload)),
            context: u32::from_ne_bytes(field::<12, 4, 32>(&payload)),
            timetolive: u32::from_ne_bytes(field::<16, 4, 32>(&payload)),
            tsn: u32::from_ne_bytes(field::<20, 4, 32>(&payload)),
            cumtsn: u32::from_ne_bytes(field::<24, 4, 32>(&payload)),
            assoc_id: i32::from_ne_bytes(field::<28, 4, 32>(&payload)),
        }
    }
}

/// Prints what is received; `timetolive` is not.
impl fmt::Display for SctpSndRcv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stream, ssn, flags, ppid, context, timetolive: _, tsn, cumtsn, assoc_id } = *self;
        let (ppid, context) = (u32::from_be(ppid), context);
        write!(f, "stream {stream} ssn {ssn} flags {flags} ppid {ppid} tsn {tsn} cumtsn {cumtsn} context {context} ")?;
        write!(f, "assoc {assoc_id}")
    }
}

/// The first byte of the option is `sctp_data_io_event`, and the kernel takes a part: the other events stay as they
/// are, whoever else is setting them.
struct DataIoEvent;

impl DataIoEvent {
    fn set(self, socket: BorrowedFd<'_>, on: bool) -> io::Result<()> {
        Families::INET.require(socket)?;
        sys::set_option_bytes(socket, IPPROTO_SCTP, SCTP_EVENTS, &[on.into()])
    }
}

sends!(SctpSndRcv, Self::ID, |info| info.to_wire()?);
receives!(SctpSndRcv, Self::ID, 32, |cmsg| cmsg.array().map(Self::from_wire), DataIoEvent);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cmsg,
        message::laws::{reads, refuses_lengths, round_trips},
    };

    fn golden() -> (SctpSndRcv, [u8; 32]) {
        let mut payload = [0; 32];
        payload[..2].copy_from_slice(&0x0102u16.to_ne_bytes());
        payload[2..4].copy_from_slice(&0x0304u16.to_ne_bytes());
        payload[4..6].copy_from_slice(&0x0241u16.to_ne_bytes());
        payload[8..12].copy_from_slice(&[0, 0, 0x12, 0x34]);
        for (at, value) in [(12, 5u32), (16, 0x0607_0809), (20, u32::MAX), (24, 11), (28, 12)] {
            payload[at..at + 4].copy_from_slice(&value.to_ne_bytes());
        }
        let info = SctpSndRcv {
            stream: 0x0102,
            ssn: 0x0304,
            flags: SctpFlags::UNORDERED | SctpFlags::SENDALL | SctpFlags::EOF,
            ppid: 0x1234u32.to_be(),
            context: 5,
            timetolive: 0x0607_0809,
            tsn: u32::MAX,
            cumtsn: 11,
            assoc_id: 12,
        };
        (info, payload)
    }

    #[test]
    fn the_old_information_goes_both_ways_in_one_form() {
        let (info, payload) = golden();
        round_trips(info, SctpSndRcv::ID, &payload);
        let printed = "{SCTP_SNDRCV stream 258 ssn 772 flags UNORDERED | SENDALL | EOF ppid 4660 tsn 4294967295 \
                       cumtsn 11 context 5 assoc 12}";
        reads::<SctpSndRcv>(SctpSndRcv::ID, &payload, printed, |found| assert_eq!(found, info));
        refuses_lengths::<SctpSndRcv>(SctpSndRcv::ID, &[32], 32);
    }

    #[test]
    fn a_notification_cannot_be_sent_and_unknown_flags_can() {
        let mut info = SctpSndRcv { flags: SctpFlags::NOTIFICATION | SctpFlags::UNORDERED, ..Default::default() };
        let expected = "no SCTP_NOTIFICATION";
        let error = EncodeError::Value { field: "sinfo_flags", expected, found: 0x8001 };
        assert_eq!(cmsg::encode(&info, &mut [0; 64]), Err(error));
        info.flags = SctpFlags::from_bits_retain(0x4000);
        let mut payload = [0; 32];
        payload[4..6].copy_from_slice(&0x4000u16.to_ne_bytes());
        round_trips(info, SctpSndRcv::ID, &payload);
    }

    #[test]
    fn flags_are_printed_by_their_names() {
        assert_eq!(SctpFlags::empty().to_string(), "-");
        assert_eq!((SctpFlags::UNORDERED | SctpFlags::NOTIFICATION).to_string(), "UNORDERED | NOTIFICATION");
        assert_eq!(SctpFlags::from_bits_retain(0x4001).to_string(), "UNORDERED | 0x4000");
    }
}
