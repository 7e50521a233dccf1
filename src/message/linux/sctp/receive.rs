//! What is only received.

use std::fmt;

use super::{IPPROTO_SCTP, SCTP_NXTINFO, SCTP_RCVINFO, SCTP_RECVNXTINFO, SCTP_RECVRCVINFO, SctpFlags};
use crate::{
    cmsg::CmsgId,
    message::rows::field,
    options::{Families, SocketOption},
};

/// Stream, numbers and flags of the SCTP message that is read (`SCTP_RCVINFO`, `struct sctp_rcvinfo`; Linux 3.17).
///
/// Received once enabled (`SCTP_RECVRCVINFO`), with every message that is not a notification. No privilege. Sending it
/// is EINVAL.
///
/// ```
/// use ancillary::{message::{RecvList, SctpRcvInfo}, parser};
/// # use ancillary::{ControlList, RawCmsg, cmsg::CmsgId};
///
/// # let numbers = [46u32.to_be(), 7000, 0, 0, 12].map(u32::to_ne_bytes).concat();
/// # let payload = [&[3u16, 9, 0, 0].map(u16::to_ne_bytes).concat()[..], &numbers].concat();
/// # let arrived = ControlList::new(RawCmsg::new(CmsgId::new(132, 3), &payload))?;
/// # let cmsgs = parser::cmsgs(arrived.as_bytes());
/// let info = SctpRcvInfo::extract(cmsgs).unwrap(); // of a message: `message.extract()`
/// assert_eq!((info.sid, info.ssn), (3, 9)); // the tenth message of stream 3
/// assert_eq!(u32::from_be(info.ppid), 46); // Diameter
/// assert_eq!(info.assoc_id, 12); // whose it is, on a one-to-many socket
/// # Ok::<(), ancillary::EncodeError>(())
/// ```
///
/// # Wire layout
///
/// ```text
///   0     2     4       6     8      12    16       20        24         28
///   +-----+-----+-------+-----+------+-----+--------+---------+----------+
///   | sid | ssn | flags | pad | ppid | tsn | cumtsn | context | assoc_id |
///   +-----+-----+-------+-----+------+-----+--------+---------+----------+
///     host byte order, but ppid, which is nobody's but the program's
/// ```
///
/// # References
///
/// [RFC 6458 section 5.3.5](https://www.rfc-editor.org/rfc/rfc6458#section-5.3.5); net/sctp/ulpevent.c,
/// `sctp_ulpevent_read_rcvinfo`
#[doc(alias = "SCTP_RCVINFO")]
#[doc(alias = "SCTP_RECVRCVINFO")]
#[doc(alias = "sctp_rcvinfo")]
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct SctpRcvInfo {
    /// Stream (`rcv_sid`).
    #[doc(alias = "rcv_sid")]
    pub sid: u16,
    /// Number in the stream (`rcv_ssn`).
    #[doc(alias = "rcv_ssn")]
    pub ssn: u16,
    /// Flags (`rcv_flags`): [`SctpFlags::UNORDERED`] or none.
    #[doc(alias = "rcv_flags")]
    pub flags: SctpFlags,
    /// Payload protocol identifier (`rcv_ppid`): the four bytes that the sender gave, read in host byte order. They are
    /// the network's by convention: `u32::from_be(info.ppid)`.
    #[doc(alias = "rcv_ppid")]
    pub ppid: u32,
    /// Transmission number of a piece of the message (`rcv_tsn`).
    #[doc(alias = "rcv_tsn")]
    pub tsn: u32,
    /// Transmission number up to which everything has arrived (`rcv_cumtsn`); for unordered messages.
    #[doc(alias = "rcv_cumtsn")]
    pub cumtsn: u32,
    /// What the option `SCTP_CONTEXT` has given the association (`rcv_context`).
    #[doc(alias = "rcv_context")]
    pub context: u32,
    /// Association (`rcv_assoc_id`).
    #[doc(alias = "rcv_assoc_id")]
    pub assoc_id: i32,
}

impl SctpRcvInfo {
    pub(crate) const ID: CmsgId = CmsgId::new(IPPROTO_SCTP, SCTP_RCVINFO);

    #[inline]
    fn from_wire(payload: [u8; 28]) -> Self {
        Self {
            sid: u16::from_ne_bytes(field::<0, 2, 28>(&payload)),
            ssn: u16::from_ne_bytes(field::<2, 2, 28>(&payload)),
            flags: SctpFlags::from_bits_retain(u16::from_ne_bytes(field::<4, 2, 28>(&payload))),
            ppid: u32::from_ne_bytes(field::<8, 4, 28>(&payload)),
            tsn: u32::from_ne_bytes(field::<12, 4, 28>(&payload)),
            cumtsn: u32::from_ne_bytes(field::<16, 4, 28>(&payload)),
            context: u32::from_ne_bytes(field::<20, 4, 28>(&payload)),
            assoc_id: i32::from_ne_bytes(field::<24, 4, 28>(&payload)),
        }
    }
}

/// Prints the fields by name; `ppid` as a number in network byte order.
impl fmt::Display for SctpRcvInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sid, ssn, flags, ppid, tsn, cumtsn, context, assoc_id } = *self;
        let ppid = u32::from_be(ppid);
        write!(f, "sid {sid} ssn {ssn} flags {flags} ppid {ppid} tsn {tsn} cumtsn {cumtsn} context {context} ")?;
        write!(f, "assoc {assoc_id}")
    }
}

receives!(
    SctpRcvInfo,
    Self::ID,
    28,
    |cmsg| cmsg.array().map(Self::from_wire),
    SocketOption::new(Families::INET, IPPROTO_SCTP, SCTP_RECVRCVINFO)
);

/// Stream, length and flags of the SCTP message that comes next (`SCTP_NXTINFO`, `struct sctp_nxtinfo`; Linux 3.17).
///
/// Received once enabled (`SCTP_RECVNXTINFO`), where another message or notification is in the queue. Under
/// [`RecvFlags::PEEK`](crate::RecvFlags::PEEK) that is the one that is being read. No privilege. Sending it is EINVAL.
///
/// ```
/// use ancillary::{message::{RecvList, SctpFlags, SctpNxtInfo, SctpRcvInfo}, parser};
/// # use ancillary::{ControlList, RawCmsg, cmsg::CmsgId};
///
/// # let words = [46u32.to_be(), 70_000, 12].map(u32::to_ne_bytes).concat();
/// # let next = [&[3u16, 0].map(u16::to_ne_bytes).concat()[..], &words].concat();
/// # let next = RawCmsg::new(CmsgId::new(132, 4), &next);
/// # let arrived = ControlList::new((RawCmsg::new(CmsgId::new(132, 3), &[0; 28]), next))?;
/// # let cmsgs = parser::cmsgs(arrived.as_bytes());
/// let (_this, next) = <(SctpRcvInfo, SctpNxtInfo)>::extract(cmsgs); // of a message: `message.extract()`
/// let room = match next {
///     Some(next) if !next.flags.contains(SctpFlags::NOTIFICATION) => next.length as usize,
///     _ => 4096, // nobody knows
/// };
/// assert_eq!(vec![0; room].len(), 70_000);
/// # Ok::<(), ancillary::EncodeError>(())
/// ```
///
/// # Wire layout
///
/// ```text
///   0     2       4      8        12         16
///   +-----+-------+------+--------+----------+
///   | sid | flags | ppid | length | assoc_id |   host byte order, but ppid, which is nobody's but the program's
///   +-----+-------+------+--------+----------+
/// ```
///
/// # References
///
/// [RFC 6458 section 5.3.6](https://www.rfc-editor.org/rfc/rfc6458#section-5.3.6); net/sctp/ulpevent.c,
/// `sctp_ulpevent_read_nxtinfo`
#[doc(alias = "SCTP_NXTINFO")]
#[doc(alias = "SCTP_RECVNXTINFO")]
#[doc(alias = "sctp_nxtinfo")]
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct SctpNxtInfo {
    /// Stream (`nxt_sid`).
    #[doc(alias = "nxt_sid")]
    pub sid: u16,
    /// Flags (`nxt_flags`): [`SctpFlags::UNORDERED`], [`SctpFlags::NOTIFICATION`], or none.
    #[doc(alias = "nxt_flags")]
    pub flags: SctpFlags,
    /// Payload protocol identifier (`nxt_ppid`), as in [`SctpRcvInfo::ppid`].
    #[doc(alias = "nxt_ppid")]
    pub ppid: u32,
    /// Bytes of it that have arrived (`nxt_length`).
    #[doc(alias = "nxt_length")]
    pub length: u32,
    /// Association (`nxt_assoc_id`).
    #[doc(alias = "nxt_assoc_id")]
    pub assoc_id: i32,
}

impl SctpNxtInfo {
    pub(crate) const ID: CmsgId = CmsgId::new(IPPROTO_SCTP, SCTP_NXTINFO);

    #[inline]
    fn from_wire(payload: [u8; 16]) -> Self {
        Self {
            sid: u16::from_ne_bytes(field::<0, 2, 16>(&payload)),
            flags: SctpFlags::from_bits_retain(u16::from_ne_bytes(field::<2, 2, 16>(&payload))),
            ppid: u32::from_ne_bytes(field::<4, 4, 16>(&payload)),
            length: u32::from_ne_bytes(field::<8, 4, 16>(&payload)),
            assoc_id: i32::from_ne_bytes(field::<12, 4, 16>(&payload)),
        }
    }
}

/// Prints the fields by name; `ppid` as a number in network byte order.
impl fmt::Display for SctpNxtInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sid, flags, ppid, length, assoc_id } = *self;
        write!(f, "sid {sid} flags {flags} ppid {} length {length} assoc {assoc_id}", u32::from_be(ppid))
    }
}

receives!(
    SctpNxtInfo,
    Self::ID,
    16,
    |cmsg| cmsg.array().map(Self::from_wire),
    SocketOption::new(Families::INET, IPPROTO_SCTP, SCTP_RECVNXTINFO)
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::laws::{reads, refuses_lengths};

    #[test]
    fn information_about_a_message_arrives_in_28_bytes() {
        let mut payload = [0; 28];
        payload[..2].copy_from_slice(&0x0102u16.to_ne_bytes());
        payload[2..4].copy_from_slice(&0x0304u16.to_ne_bytes());
        payload[4..6].copy_from_slice(&1u16.to_ne_bytes());
        payload[8..12].copy_from_slice(&[0, 0, 0x12, 0x34]);
        for (at, value) in [(12, 0x0506_0708u32), (16, 9), (20, 10), (24, 11)] {
            payload[at..at + 4].copy_from_slice(&value.to_ne_bytes());
        }
        let printed = "{SCTP_RCVINFO sid 258 ssn 772 flags UNORDERED ppid 4660 tsn 84281096 cumtsn 9 context 10 \
                       assoc 11}";
        reads::<SctpRcvInfo>(SctpRcvInfo::ID, &payload, printed, |found| {
            let expected = SctpRcvInfo {
                sid: 0x0102,
                ssn: 0x0304,
                flags: SctpFlags::UNORDERED,
                ppid: 0x1234u32.to_be(),
                tsn: 0x0506_0708,
                cumtsn: 9,
                context: 10,
                assoc_id: 11,
            };
            assert_eq!(found, expected);
        });
        refuses_lengths::<SctpRcvInfo>(SctpRcvInfo::ID, &[28], 28);
    }

    #[test]
    fn information_about_the_next_message_arrives_in_16_bytes() {
        let mut payload = [0; 16];
        payload[..2].copy_from_slice(&0x0102u16.to_ne_bytes());
        payload[2..4].copy_from_slice(&0x8000u16.to_ne_bytes());
        payload[4..8].copy_from_slice(&[0, 0, 0x12, 0x34]);
        payload[8..12].copy_from_slice(&0x0506_0708u32.to_ne_bytes());
        payload[12..].copy_from_slice(&(-2i32).to_ne_bytes());
        let printed = "{SCTP_NXTINFO sid 258 flags NOTIFICATION ppid 4660 length 84281096 assoc -2}";
        reads::<SctpNxtInfo>(SctpNxtInfo::ID, &payload, printed, |found| {
            let flags = SctpFlags::NOTIFICATION;
            let ppid = 0x1234u32.to_be();
            assert_eq!(found, SctpNxtInfo { sid: 0x0102, flags, ppid, length: 0x0506_0708, assoc_id: -2 });
        });
        refuses_lengths::<SctpNxtInfo>(SctpNxtInfo::ID, &[16], 16);
    }
}
