//! What is only sent.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{
    IPPROTO_SCTP, SCTP_AUTHINFO, SCTP_DSTADDRV4, SCTP_DSTADDRV6, SCTP_INIT, SCTP_PRINFO, SCTP_SNDINFO, SctpFlags,
};
use crate::{cmsg::CmsgId, error::EncodeError};

/// What a new association begins with (`SCTP_INIT`, `struct sctp_initmsg`; Linux 2.6).
///
/// Sent with the message that sets the association up, on a one-to-many socket; later the kernel ignores it. 0 leaves
/// a value as the socket has it (option `SCTP_INITMSG`). No privilege.
///
/// ```
/// use ancillary::{ControlList, message::{SctpInit, SctpSndInfo}, parser};
///
/// // The first message to a peer: 64 streams to it and at most 64 from it, and a stream of that message's own.
/// let init = SctpInit { num_ostreams: 64, max_instreams: 64, ..Default::default() };
/// let control = ControlList::new((init, SctpSndInfo { sid: 63, ..Default::default() }))?;
/// let first = parser::cmsgs(control.as_bytes()).next().unwrap();
/// assert_eq!(first.payload(), [64u16, 64, 0, 0].map(u16::to_ne_bytes).concat()); // 0: as the socket has it
/// # Ok::<(), ancillary::EncodeError>(())
/// ```
///
/// # Wire layout
///
/// ```text
///   0              2               4              6                8
///   +--------------+---------------+--------------+----------------+
///   | num_ostreams | max_instreams | max_attempts | max_init_timeo |   u16 each, host byte order
///   +--------------+---------------+--------------+----------------+
/// ```
///
/// # References
///
/// [RFC 6458 section 5.3.1](https://www.rfc-editor.org/rfc/rfc6458#section-5.3.1); net/sctp/socket.c,
/// `sctp_connect_new_asoc`
#[doc(alias = "SCTP_INIT")]
#[doc(alias = "sctp_initmsg")]
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct SctpInit {
    /// Streams to send on (`sinit_num_ostreams`).
    #[doc(alias = "sinit_num_ostreams")]
    pub num_ostreams: u16,
    /// The most streams that the peer may send on (`sinit_max_instreams`).
    #[doc(alias = "sinit_max_instreams")]
    pub max_instreams: u16,
    /// How often to try to set it up (`sinit_max_attempts`).
    #[doc(alias = "sinit_max_attempts")]
    pub max_attempts: u16,
    /// The longest time between two attempts, in milliseconds (`sinit_max_init_timeo`).
    #[doc(alias = "sinit_max_init_timeo")]
    pub max_init_timeo: u16,
}

impl SctpInit {
    pub(crate) const ID: CmsgId = CmsgId::new(IPPROTO_SCTP, SCTP_INIT);

    #[inline]
    fn to_wire(self) -> [u8; 8] {
        let mut payload = [0; 8];
        payload[..2].copy_from_slice(&self.num_ostreams.to_ne_bytes());
        payload[2..4].copy_from_slice(&self.max_instreams.to_ne_bytes());
        payload[4..6].copy_from_slice(&self.max_attempts.to_ne_bytes());
        payload[6..].copy_from_slice(&self.max_init_timeo.to_ne_bytes());
        payload
    }
}

sends!(SctpInit, Self::ID, |init| init.to_wire());

/// Stream, identifier and flags for one SCTP message (`SCTP_SNDINFO`, `struct sctp_sndinfo`; Linux 3.17).
///
/// All of it counts: without this message the association's own values do (option `SCTP_DEFAULT_SNDINFO`). No
/// privilege.
///
/// ```
/// use ancillary::{ControlList, MsgHdr, message::SctpSndInfo, parser};
///
/// // Diameter (RFC 6733 s. 2.1.1): identifier 46, here on stream 3.
/// let info = SctpSndInfo { sid: 3, ppid: 46u32.to_be(), ..Default::default() };
/// let mut message = MsgHdr::new();
/// message.data(b"a request").control(info); // and `send`
/// # assert!(format!("{message:?}").contains("{SCTP_SNDINFO, 16 bytes: "), "{message:?}");
///
/// let control = ControlList::new(info)?;
/// let payload = parser::cmsgs(control.as_bytes()).next().unwrap().payload();
/// assert_eq!((&payload[..2], &payload[4..8]), (&3u16.to_ne_bytes()[..], &[0, 0, 0, 46][..]));
/// # Ok::<(), ancillary::EncodeError>(())
/// ```
///
/// # Wire layout
///
/// ```text
///   0     2       4      8         12         16
///   +-----+-------+------+---------+----------+
///   | sid | flags | ppid | context | assoc_id |   host byte order, but ppid, which is nobody's but the program's
///   +-----+-------+------+---------+----------+
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
/// [RFC 6458 section 5.3.4](https://www.rfc-editor.org/rfc/rfc6458#section-5.3.4); net/sctp/socket.c,
/// `sctp_sendmsg_parse`
#[doc(alias = "SCTP_SNDINFO")]
#[doc(alias = "sctp_sndinfo")]
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct SctpSndInfo {
    /// Stream (`snd_sid`).
    #[doc(alias = "snd_sid")]
    pub sid: u16,
    /// Flags (`snd_flags`).
    #[doc(alias = "snd_flags")]
    pub flags: SctpFlags,
    /// Payload protocol identifier (`snd_ppid`), which the peer sees: four bytes that nobody on the way looks at or
    /// turns, here as a number in host byte order. They are the network's by convention: `46u32.to_be()`.
    #[doc(alias = "snd_ppid")]
    pub ppid: u32,
    /// What comes back if the message cannot be sent (`snd_context`).
    #[doc(alias = "snd_context")]
    pub context: u32,
    /// Association; on a one-to-many socket it says where to, if no address does (`snd_assoc_id`).
    #[doc(alias = "snd_assoc_id")]
    pub assoc_id: i32,
}

impl SctpSndInfo {
    pub(crate) const ID: CmsgId = CmsgId::new(IPPROTO_SCTP, SCTP_SNDINFO);

    #[inline]
    fn to_wire(self) -> Result<[u8; 16], EncodeError> {
        let mut payload = [0; 16];
        payload[..2].copy_from_slice(&self.sid.to_ne_bytes());
        payload[2..4].copy_from_slice(&self.flags.sendable("snd_flags")?.bits().to_ne_bytes());
        payload[4..8].copy_from_slice(&self.ppid.to_ne_bytes());
        payload[8..12].copy_from_slice(&self.context.to_ne_bytes());
        payload[12..].copy_from_slice(&self.assoc_id.to_ne_bytes());
        Ok(payload)
    }
}

sends!(SctpSndInfo, Self::ID, |info| info.to_wire()?);

/// When to give up sending a message (`SCTP_PR_SCTP_*`; RFC 3758, RFC 7496).
///
/// ```
/// use ancillary::message::{SctpFlags, SctpPrInfo, SctpPrPolicy};
///
/// // A frame of video: worth two retransmissions. A position: worthless after 50 ms.
/// let frame = SctpPrInfo { policy: SctpPrPolicy::Rtx, value: 2 };
/// let position = SctpPrInfo { policy: SctpPrPolicy::Ttl, value: 50 };
/// assert_ne!(frame.policy.flags(), position.policy.flags());
/// assert!(SctpFlags::PR_SCTP_MASK.contains(frame.policy.flags()));
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum SctpPrPolicy {
    /// Never (`SCTP_PR_SCTP_NONE`).
    #[doc(alias = "SCTP_PR_SCTP_NONE")]
    #[default]
    None,
    /// After so many milliseconds (`SCTP_PR_SCTP_TTL`); after 0 it is not even sent (seen on Linux 6.1).
    #[doc(alias = "SCTP_PR_SCTP_TTL")]
    Ttl,
    /// After so many retransmissions (`SCTP_PR_SCTP_RTX`; Linux 4.8).
    #[doc(alias = "SCTP_PR_SCTP_RTX")]
    Rtx,
    /// When the buffer is full, and a message of a smaller number is to be sent (`SCTP_PR_SCTP_PRIO`; Linux 4.8).
    #[doc(alias = "SCTP_PR_SCTP_PRIO")]
    Prio,
}

impl SctpPrPolicy {
    /// The bits of the policy, which stand in [`SctpFlags::PR_SCTP_MASK`]. In the flags of [`SctpSndInfo`] it has the
    /// association's own value, most often 0 (option `SCTP_DEFAULT_PRINFO`).
    pub const fn flags(self) -> SctpFlags {
        SctpFlags::from_bits_retain(match self {
            Self::None => 0,
            Self::Ttl => 0x10,
            Self::Rtx => 0x20,
            Self::Prio => 0x30,
        })
    }
}

/// When to give up sending one SCTP message (`SCTP_PRINFO`, `struct sctp_prinfo`; Linux 4.17).
///
/// It overrides a policy in the flags of [`SctpSndInfo`]. No privilege. The peer has to know of it (PR-SCTP), or the
/// message is sent until it arrives.
///
/// ```
/// use ancillary::{ControlList, message::{SctpPrInfo, SctpPrPolicy, SctpSndInfo}, parser};
///
/// // Not in order, and given up after 50 ms.
/// let info = SctpSndInfo { flags: ancillary::message::SctpFlags::UNORDERED, ..Default::default() };
/// let control = ControlList::new((info, SctpPrInfo { policy: SctpPrPolicy::Ttl, value: 50 }))?;
/// let sent = parser::cmsgs(control.as_bytes()).last().unwrap();
/// assert_eq!(sent.id().name(), Some("SCTP_PRINFO"));
/// assert_eq!(sent.payload()[4..], 50u32.to_ne_bytes());
/// # Ok::<(), ancillary::EncodeError>(())
/// ```
///
/// # Wire layout
///
/// ```text
///   0        2     4       8
///   +--------+-----+-------+
///   | policy | pad | value |   host byte order
///   +--------+-----+-------+
/// ```
///
/// # Errors
///
/// Sending: EINVAL for a policy without data.
///
/// # References
///
/// [RFC 6458 section 5.3.7](https://www.rfc-editor.org/rfc/rfc6458#section-5.3.7); net/sctp/socket.c,
/// `sctp_msghdr_parse`
#[doc(alias = "SCTP_PRINFO")]
#[doc(alias = "sctp_prinfo")]
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct SctpPrInfo {
    /// What decides (`pr_policy`).
    #[doc(alias = "pr_policy")]
    pub policy: SctpPrPolicy,
    /// How long, how often, or how important (`pr_value`); the kernel makes it 0 for [`SctpPrPolicy::None`].
    #[doc(alias = "pr_value")]
    pub value: u32,
}

impl SctpPrInfo {
    pub(crate) const ID: CmsgId = CmsgId::new(IPPROTO_SCTP, SCTP_PRINFO);

    #[inline]
    fn to_wire(self) -> [u8; 8] {
        let mut payload = [0; 8];
        payload[..2].copy_from_slice(&self.policy.flags().bits().to_ne_bytes());
        payload[4..].copy_from_slice(&self.value.to_ne_bytes());
        payload
    }
}

sends!(SctpPrInfo, Self::ID, |info| info.to_wire());

/// The key that authenticates one SCTP message (`SCTP_AUTHINFO`, `struct sctp_authinfo`, `auth_keynumber`; Linux 4.17).
///
/// It counts where the peer wants data authenticated (option `SCTP_AUTH_CHUNK`), and is ignored elsewhere. No
/// privilege.
///
/// ```
/// use ancillary::{ControlList, message::{SctpAuthInfo, SctpSndInfo}, parser};
///
/// let control = ControlList::new((SctpSndInfo::default(), SctpAuthInfo(2)))?; // by key 2 of the association
/// let names: Vec<_> = parser::cmsgs(control.as_bytes()).map(|cmsg| cmsg.id().name()).collect();
/// assert_eq!(names, [Some("SCTP_SNDINFO"), Some("SCTP_AUTHINFO")]);
/// assert_eq!(parser::cmsgs(control.as_bytes()).last().unwrap().payload(), 2u16.to_ne_bytes());
/// # Ok::<(), ancillary::EncodeError>(())
/// ```
///
/// # Wire layout
///
/// ```text
///   0           2
///   +-----------+
///   | keynumber |   u16, host byte order
///   +-----------+
/// ```
///
/// # Errors
///
/// Sending: EINVAL for a key that the association does not have.
///
/// # References
///
/// [RFC 6458 section 5.3.8](https://www.rfc-editor.org/rfc/rfc6458#section-5.3.8); net/sctp/chunk.c,
/// `sctp_datamsg_from_user`
#[doc(alias = "SCTP_AUTHINFO")]
#[doc(alias = "sctp_authinfo")]
#[doc(alias = "auth_keynumber")]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct SctpAuthInfo(pub u16);

impl SctpAuthInfo {
    pub(crate) const ID: CmsgId = CmsgId::new(IPPROTO_SCTP, SCTP_AUTHINFO);
}

sends!(SctpAuthInfo, Self::ID, |key| key.0.to_ne_bytes());

/// One more IPv4 address of the peer (`SCTP_DSTADDRV4`, `struct in_addr`; Linux 4.17).
///
/// Sent, once or several times, with the message that sets the association up, on a one-to-many socket; later the
/// kernel ignores it. The port is that of the destination. No privilege.
///
/// ```
/// use ancillary::{ControlList, message::SctpDstAddrV4, parser};
/// use std::net::Ipv4Addr;
///
/// // A peer of three addresses: the first is where the message is sent `to`, these are the others.
/// let others = [Ipv4Addr::new(192, 0, 2, 2), Ipv4Addr::new(198, 51, 100, 2)];
/// let control = ControlList::new(others.map(SctpDstAddrV4))?;
/// let sent: Vec<_> = parser::cmsgs(control.as_bytes()).map(|cmsg| cmsg.payload().to_vec()).collect();
/// assert_eq!(sent, [[192, 0, 2, 2], [198, 51, 100, 2]]);
/// # Ok::<(), ancillary::EncodeError>(())
/// ```
///
/// # Wire layout
///
/// ```text
///   0      4
///   +------+
///   | addr |   network byte order
///   +------+
/// ```
///
/// # Errors
///
/// Sending: EINVAL for an address that no peer can have, such as a multicast one.
///
/// # References
///
/// [RFC 6458 section 5.3.9](https://www.rfc-editor.org/rfc/rfc6458#section-5.3.9); net/sctp/socket.c,
/// `sctp_sendmsg_new_asoc`
#[doc(alias = "SCTP_DSTADDRV4")]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct SctpDstAddrV4(pub Ipv4Addr);

impl SctpDstAddrV4 {
    pub(crate) const ID: CmsgId = CmsgId::new(IPPROTO_SCTP, SCTP_DSTADDRV4);
}

sends!(SctpDstAddrV4, Self::ID, |addr| addr.0.octets());

/// One more IPv6 address of the peer (`SCTP_DSTADDRV6`, `struct in6_addr`; Linux 4.17); as [`SctpDstAddrV4`].
///
/// ```
/// use ancillary::{ControlList, message::{SctpDstAddrV4, SctpDstAddrV6}, parser};
/// use std::net::{Ipv4Addr, Ipv6Addr};
///
/// let other = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2);
/// let control = ControlList::new((SctpDstAddrV6(other), SctpDstAddrV4(Ipv4Addr::new(192, 0, 2, 2))))?;
/// assert_eq!(parser::cmsgs(control.as_bytes()).next().unwrap().array(), Ok(other.octets()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Wire layout
///
/// ```text
///   0      16
///   +------+
///   | addr |   network byte order
///   +------+
/// ```
///
/// # Errors
///
/// Sending: EINVAL for an address that no peer can have, such as a multicast one, and on an IPv4 socket.
///
/// # References
///
/// [RFC 6458 section 5.3.10](https://www.rfc-editor.org/rfc/rfc6458#section-5.3.10); net/sctp/socket.c,
/// `sctp_sendmsg_new_asoc`
#[doc(alias = "SCTP_DSTADDRV6")]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct SctpDstAddrV6(pub Ipv6Addr);

impl SctpDstAddrV6 {
    pub(crate) const ID: CmsgId = CmsgId::new(IPPROTO_SCTP, SCTP_DSTADDRV6);
}

sends!(SctpDstAddrV6, Self::ID, |addr| addr.0.octets());

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cmsg, message::laws::sends};

    #[test]
    fn what_an_association_begins_with_goes_out_in_eight_bytes() {
        let init = SctpInit { num_ostreams: 0x0102, max_instreams: 3, max_attempts: 4, max_init_timeo: u16::MAX };
        let payload = [0x0102u16, 3, 4, u16::MAX].map(u16::to_ne_bytes).concat();
        sends(&init, SctpInit::ID, &payload);
    }

    #[test]
    fn information_about_a_message_goes_out_in_16_bytes() {
        let (flags, ppid) = (SctpFlags::UNORDERED | SctpFlags::SACK_IMMEDIATELY, 0x1234u32.to_be());
        let info = SctpSndInfo { sid: 0x0102, flags, ppid, context: 0x0304_0506, assoc_id: -7 };
        let mut payload = [0x0102u16, 9].map(u16::to_ne_bytes).concat();
        payload.extend([0, 0, 0x12, 0x34]);
        payload.extend(0x0304_0506u32.to_ne_bytes());
        payload.extend((-7i32).to_ne_bytes());
        sends(&info, SctpSndInfo::ID, &payload);
    }

    #[test]
    fn a_notification_cannot_be_sent() {
        let info = SctpSndInfo { flags: SctpFlags::NOTIFICATION, ..Default::default() };
        let error = EncodeError::Value { field: "snd_flags", expected: "no SCTP_NOTIFICATION", found: 0x8000 };
        assert_eq!(cmsg::encode(&info, &mut [0; 64]), Err(error));
    }

    #[test]
    fn a_policy_goes_out_before_its_value() {
        for (policy, number) in [
            (SctpPrPolicy::None, 0u16),
            (SctpPrPolicy::Ttl, 0x10),
            (SctpPrPolicy::Rtx, 0x20),
            (SctpPrPolicy::Prio, 0x30),
        ] {
            let mut payload = [number, 0].map(u16::to_ne_bytes).concat();
            payload.extend(0x0102_0304u32.to_ne_bytes());
            sends(&SctpPrInfo { policy, value: 0x0102_0304 }, SctpPrInfo::ID, &payload);
            assert!(SctpFlags::PR_SCTP_MASK.contains(policy.flags()));
        }
    }

    #[test]
    fn a_key_number_goes_out_in_two_bytes() {
        for key in [0, 0x0102, u16::MAX] {
            sends(&SctpAuthInfo(key), SctpAuthInfo::ID, &key.to_ne_bytes());
        }
    }

    #[test]
    fn addresses_go_out_in_network_order() {
        sends(&SctpDstAddrV4(Ipv4Addr::new(192, 0, 2, 1)), SctpDstAddrV4::ID, &[192, 0, 2, 1]);
        let addr: Ipv6Addr = "2001:db8::1".parse().unwrap();
        sends(&SctpDstAddrV6(addr), SctpDstAddrV6::ID, &addr.octets());
    }
}
