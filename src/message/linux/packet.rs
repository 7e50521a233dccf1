//! Control messages of level `SOL_PACKET`; see [packet(7)](https://man7.org/linux/man-pages/man7/packet.7.html).

use std::fmt;

use bitflags::bitflags;
use nix::libc::SOL_PACKET;

use crate::message::rows::field;
use crate::{
    cmsg::{CmsgId, RawCmsg},
    error::DecodeError,
    options::{Families, SocketOption},
};

// include/uapi/linux/if_packet.h; libc lacks it on Android.
const PACKET_AUXDATA: i32 = 8;

// include/uapi/linux/if_ether.h: the protocol of a VLAN tag, unless the tag says another.
const ETH_P_8021Q: u16 = 0x8100;

bitflags! {
    /// What is known of a packet (`TP_STATUS_*` of `tp_status`).
    ///
    /// The bits it does not know are kept.
    ///
    /// ```
    /// use ancillary::message::TpStatus;
    ///
    /// /// Whether the checksum has to be looked at: a packet of this host's own may have none yet.
    /// fn is_to_be_checked(status: TpStatus) -> bool {
    ///     !status.intersects(TpStatus::CSUMNOTREADY | TpStatus::CSUM_VALID)
    /// }
    /// assert!(is_to_be_checked(TpStatus::USER));
    /// assert!(!is_to_be_checked(TpStatus::USER | TpStatus::CSUMNOTREADY));
    /// ```
    #[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
    pub struct TpStatus: u32 {
        /// It is user space's, as every one that arrives (`TP_STATUS_USER`).
        #[doc(alias = "TP_STATUS_USER")]
        const USER = 1;
        /// A ring's: the packet was longer than its frame and is queued whole (`TP_STATUS_COPY`).
        #[doc(alias = "TP_STATUS_COPY")]
        const COPY = 1 << 1;
        /// A ring's: packets were dropped since the last statistics (`TP_STATUS_LOSING`).
        #[doc(alias = "TP_STATUS_LOSING")]
        const LOSING = 1 << 2;
        /// The checksum is not computed yet: the device will do it (`TP_STATUS_CSUMNOTREADY`).
        #[doc(alias = "TP_STATUS_CSUMNOTREADY")]
        const CSUMNOTREADY = 1 << 3;
        /// The packet had a VLAN tag: `vlan_tci` (`TP_STATUS_VLAN_VALID`).
        #[doc(alias = "TP_STATUS_VLAN_VALID")]
        const VLAN_VALID = 1 << 4;
        /// A ring's: its block was given out for want of time (`TP_STATUS_BLK_TMO`).
        #[doc(alias = "TP_STATUS_BLK_TMO")]
        const BLK_TMO = 1 << 5;
        /// And `vlan_tpid` is the tag's (`TP_STATUS_VLAN_TPID_VALID`; Linux 3.14).
        #[doc(alias = "TP_STATUS_VLAN_TPID_VALID")]
        const VLAN_TPID_VALID = 1 << 6;
        /// The checksum of the transport header has been found right (`TP_STATUS_CSUM_VALID`).
        #[doc(alias = "TP_STATUS_CSUM_VALID")]
        const CSUM_VALID = 1 << 7;
        /// Segments of TCP that have been merged or are yet to be cut (`TP_STATUS_GSO_TCP`).
        #[doc(alias = "TP_STATUS_GSO_TCP")]
        const GSO_TCP = 1 << 8;
        /// A ring's: its stamp is the system clock's (`TP_STATUS_TS_SOFTWARE`).
        #[doc(alias = "TP_STATUS_TS_SOFTWARE")]
        const TS_SOFTWARE = 1 << 29;
        /// Never set any longer (`TP_STATUS_TS_SYS_HARDWARE`, deprecated).
        #[doc(alias = "TP_STATUS_TS_SYS_HARDWARE")]
        const TS_SYS_HARDWARE = 1 << 30;
        /// A ring's: its stamp is the device's (`TP_STATUS_TS_RAW_HARDWARE`).
        #[doc(alias = "TP_STATUS_TS_RAW_HARDWARE")]
        const TS_RAW_HARDWARE = 1 << 31;
        const _ = !0;
    }
}

/// Lengths, VLAN tag and checksum of a packet (`PACKET_AUXDATA`, `struct tpacket_auxdata`; Linux 2.6.21).
///
/// Received once enabled (`PACKET_AUXDATA`) with every packet of an AF_PACKET socket, which takes `CAP_NET_RAW` to open.
/// Linux takes the outer VLAN tag out of the packet before it gets there: [`vlan`](Self::vlan) has it.
///
/// ```
/// use ancillary::{message::{PacketAuxdata, RecvList}, parser};
/// # use ancillary::{ControlList, RawCmsg, cmsg::CmsgId};
///
/// # let words = [0x51u32, 1514, 96].map(u32::to_ne_bytes).concat();
/// # let payload = [&words[..], &[0u16, 14, 0x6007, 0x8100].map(u16::to_ne_bytes).concat()].concat();
/// # let arrived = ControlList::new(RawCmsg::new(CmsgId::new(263, 8), &payload))?;
/// # let cmsgs = parser::cmsgs(arrived.as_bytes());
/// let aux = PacketAuxdata::extract(cmsgs).unwrap(); // of a packet: `message.extract()`
/// assert_eq!((aux.len, aux.snaplen), (1514, 96)); // a filter has cut it
/// let (tci, tpid) = aux.vlan().expect("a tag was taken out of it");
/// assert_eq!((tci & 0xfff, tci >> 13, tpid), (7, 3, 0x8100)); // VLAN 7, priority 3
/// # Ok::<(), ancillary::EncodeError>(())
/// ```
///
/// # Wire layout
///
/// ```text
///   0        4     8         12    14    16         18          20
///   +--------+-----+---------+-----+-----+----------+-----------+
///   | status | len | snaplen | mac | net | vlan_tci | vlan_tpid |   three u32, four u16; host byte order
///   +--------+-----+---------+-----+-----+----------+-----------+
/// ```
///
/// # References
///
/// [packet(7)](https://man7.org/linux/man-pages/man7/packet.7.html), `PACKET_AUXDATA`; net/packet/af_packet.c,
/// `packet_recvmsg`
#[doc(alias = "PACKET_AUXDATA")]
#[doc(alias = "tpacket_auxdata")]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct PacketAuxdata {
    /// What is known of the packet (`tp_status`).
    #[doc(alias = "tp_status")]
    pub status: TpStatus,
    /// Length of the packet, from the link layer's header on for `SOCK_RAW` (`tp_len`).
    #[doc(alias = "tp_len")]
    pub len: u32,
    /// How much of it a filter has left (`tp_snaplen`); a short buffer does not count.
    #[doc(alias = "tp_snaplen")]
    pub snaplen: u32,
    /// Where the link layer's header starts in the data; 0 (`tp_mac`).
    #[doc(alias = "tp_mac")]
    pub mac: u16,
    /// Where the network layer's header starts in the data (`tp_net`).
    #[doc(alias = "tp_net")]
    pub net: u16,
    /// Tag control information, if [`TpStatus::VLAN_VALID`]: priority, one bit, twelve of the VLAN (`tp_vlan_tci`).
    #[doc(alias = "tp_vlan_tci")]
    pub vlan_tci: u16,
    /// Protocol of the tag, if [`TpStatus::VLAN_TPID_VALID`]: 0x8100, 0x88a8 (`tp_vlan_tpid`).
    #[doc(alias = "tp_vlan_tpid")]
    pub vlan_tpid: u16,
}

impl PacketAuxdata {
    pub(crate) const ID: CmsgId = CmsgId::new(SOL_PACKET, PACKET_AUXDATA);
    const WIRE: usize = 20;

    /// The VLAN tag that has been taken out of the packet, its control information and its protocol, if it had one. The
    /// protocol is 0x8100 where the kernel does not say (before Linux 3.14).
    pub const fn vlan(self) -> Option<(u16, u16)> {
        if !self.status.contains(TpStatus::VLAN_VALID) {
            return None;
        }
        let tpid = if self.status.contains(TpStatus::VLAN_TPID_VALID) { self.vlan_tpid } else { ETH_P_8021Q };
        Some((self.vlan_tci, tpid))
    }

    #[inline(always)]
    fn read(cmsg: RawCmsg<'_>) -> Result<Self, DecodeError> {
        let bytes: [u8; Self::WIRE] = cmsg.array()?;
        Ok(Self {
            status: TpStatus::from_bits_retain(u32::from_ne_bytes(field::<0, 4, 20>(&bytes))),
            len: u32::from_ne_bytes(field::<4, 4, 20>(&bytes)),
            snaplen: u32::from_ne_bytes(field::<8, 4, 20>(&bytes)),
            mac: u16::from_ne_bytes(field::<12, 2, 20>(&bytes)),
            net: u16::from_ne_bytes(field::<14, 2, 20>(&bytes)),
            vlan_tci: u16::from_ne_bytes(field::<16, 2, 20>(&bytes)),
            vlan_tpid: u16::from_ne_bytes(field::<18, 2, 20>(&bytes)),
        })
    }
}

impl fmt::Display for PacketAuxdata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { status, len, snaplen, mac, net, .. } = self;
        write!(f, "status {:#x} len {len} snaplen {snaplen} mac {mac} net {net}", status.bits())?;
        match self.vlan() {
            Some((tci, tpid)) => write!(f, " vlan {tpid:#06x} {tci:#06x}"),
            None => Ok(()),
        }
    }
}

receives!(
    PacketAuxdata,
    Self::ID,
    Self::WIRE,
    |cmsg| Self::read(cmsg),
    SocketOption::new(Families::PACKET, SOL_PACKET, PACKET_AUXDATA)
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::laws::{reads, refuses_lengths};

    fn wire(words: [u32; 3], halves: [u16; 4]) -> Vec<u8> {
        let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        bytes.extend(halves.iter().flat_map(|half| half.to_ne_bytes()));
        bytes
    }

    #[test]
    fn every_field_is_read() {
        let expected = PacketAuxdata {
            status: TpStatus::from_bits_retain(0x8000_0400 | TpStatus::CSUM_VALID.bits()),
            len: 1514,
            snaplen: 96,
            mac: 2,
            net: 16,
            vlan_tci: 0x1234,
            vlan_tpid: 0x5678,
        };
        let payload = wire([0x8000_0480, 1514, 96], [2, 16, 0x1234, 0x5678]);
        let printed = "{PACKET_AUXDATA status 0x80000480 len 1514 snaplen 96 mac 2 net 16}";
        reads::<PacketAuxdata>(PacketAuxdata::ID, &payload, printed, |found| {
            assert_eq!(found, expected);
            assert_eq!(found.vlan(), None, "the status does not vouch for it");
        });
        refuses_lengths::<PacketAuxdata>(PacketAuxdata::ID, &[20], 20);
    }

    #[test]
    fn a_vlan_tag_is_there_only_if_the_status_says_so() {
        for (status, tpid, vlan, printed) in [
            (0x01, 0x88a8, None, ""),
            (0x40, 0x88a8, None, ""),
            (0x10, 0, Some((0x2007, 0x8100)), " vlan 0x8100 0x2007"),
            (0x10, 0x88a8, Some((0x2007, 0x8100)), " vlan 0x8100 0x2007"),
            (0x51, 0x88a8, Some((0x2007, 0x88a8)), " vlan 0x88a8 0x2007"),
            (0x50, 0x8100, Some((0x2007, 0x8100)), " vlan 0x8100 0x2007"),
        ] {
            let payload = wire([status, 64, 64], [0, 14, 0x2007, tpid]);
            let printed = format!("{{PACKET_AUXDATA status {status:#x} len 64 snaplen 64 mac 0 net 14{printed}}}");
            reads::<PacketAuxdata>(PacketAuxdata::ID, &payload, &printed, |found| assert_eq!(found.vlan(), vlan));
        }
        let untagged = wire([0x51, 64, 64], [0, 14, 0, 0x8100]);
        let found = PacketAuxdata::read(RawCmsg::new(PacketAuxdata::ID, &untagged)).unwrap();
        assert_eq!(found.vlan(), Some((0, 0x8100)), "VLAN 0 is one");
    }
}
