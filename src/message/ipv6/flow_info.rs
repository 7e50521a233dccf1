//! Flow information.

use std::fmt;

use nix::libc::{self, IPPROTO_IPV6};

use crate::{
    cmsg::{CmsgId, RawCmsg},
    error::{DecodeError, EncodeError},
    options::{Families, SocketOption},
};

/// Traffic class and flow label of one IPv6 datagram (`IPV6_FLOWINFO`).
///
/// Received once enabled (`IPV6_FLOWINFO`, Linux 2.2); absent where both are zero. When sent, the label is that of the
/// datagram, instead of the one that the kernel makes (`net.ipv6.auto_flowlabels`); the traffic class only helps to
/// choose the route, and [`TClass`](crate::message::TClass) sets the one in the header. No privilege. Not for
/// IPv4-mapped peers.
///
/// ```
/// use ancillary::{ControlBuf, MsgHdr, SocketExt, message::Ipv6FlowInfo};
/// # let Ok(socket) = std::net::UdpSocket::bind("[::1]:0") else { return Ok(()) }; // without IPv6
///
/// socket.enable::<Ipv6FlowInfo>()?;
/// let flow = Ipv6FlowInfo::new(0, 0x12345)?;
/// assert_eq!((flow.traffic_class(), flow.label()), (0, 0x12345));
/// MsgHdr::new().to(socket.local_addr()?).data(b"data").control(flow).send(&socket)?;
/// let (mut data, mut control) = ([0; 16], ControlBuf::<Ipv6FlowInfo>::new());
/// assert_eq!(socket.recv_msg(&mut data, &mut control)?.extract(), Some(flow));
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Wire layout
///
/// ```text
///   0      4               12           32 bits
///   +------+---------------+------------+
///   | zero | traffic class | flow label |   network byte order
///   +------+---------------+------------+
/// ```
///
/// # Errors
///
/// Sending: EINVAL if a socket of the same network namespace holds a label for itself alone (`IPV6_FLOWLABEL_MGR`), and
/// this one is not leased to the sending socket.
///
/// # References
///
/// RFC 6437 s. 2; RFC 8200 s. 3; net/ipv6/datagram.c, `ip6_datagram_send_ctl`
#[doc(alias = "IPV6_FLOWINFO")]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Ipv6FlowInfo {
    // INVARIANT: no more than 20 bits.
    label: u32,
    traffic_class: u8,
}

impl Ipv6FlowInfo {
    pub(crate) const ID: CmsgId = CmsgId::new(IPPROTO_IPV6, libc::IPV6_FLOWINFO);

    /// The largest label.
    pub const MAX_LABEL: u32 = 0x000f_ffff;

    /// Of a traffic class and a label.
    ///
    /// # Errors
    ///
    /// [`EncodeError::Value`] for a label of more than 20 bits.
    pub const fn new(traffic_class: u8, label: u32) -> Result<Self, EncodeError> {
        if label > Self::MAX_LABEL {
            return Err(EncodeError::Value { field: "flow label", expected: "0..=0xfffff", found: label as i64 });
        }
        Ok(Self { label, traffic_class })
    }

    /// DSCP and ECN in one byte.
    pub const fn traffic_class(self) -> u8 {
        self.traffic_class
    }

    /// The flow label, 20 bits; 0: none.
    pub const fn label(self) -> u32 {
        self.label
    }

    fn read(cmsg: RawCmsg<'_>) -> Result<Self, DecodeError> {
        let info = u32::from_be_bytes(cmsg.array()?);
        match info >> 28 {
            0 => Ok(Self { label: info & Self::MAX_LABEL, traffic_class: (info >> 20) as u8 }),
            _ => Err(DecodeError::Value { field: "IPV6_FLOWINFO", expected: "0..=0xfffffff", found: info.into() }),
        }
    }
}

impl fmt::Display for Ipv6FlowInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "class {:#04x} label {:#07x}", self.traffic_class, self.label)
    }
}

sends!(Ipv6FlowInfo, Self::ID, |info| (u32::from(info.traffic_class) << 20 | info.label).to_be_bytes());
receives!(
    Ipv6FlowInfo,
    Self::ID,
    4,
    |cmsg| Self::read(cmsg),
    SocketOption::new(Families::INET6, IPPROTO_IPV6, libc::IPV6_FLOWINFO)
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::laws::{reads, refuses, refuses_lengths, round_trips};

    #[test]
    fn flow_information_is_in_network_byte_order() {
        let info = Ipv6FlowInfo::new(0xb9, 0x12345).unwrap();
        assert_eq!((info.traffic_class(), info.label()), (0xb9, 0x12345));
        round_trips(info, Ipv6FlowInfo::ID, &[0x0b, 0x91, 0x23, 0x45]);
        round_trips(Ipv6FlowInfo::new(0, 1).unwrap(), Ipv6FlowInfo::ID, &[0, 0, 0, 1]);
        round_trips(Ipv6FlowInfo::new(0xff, 0xfffff).unwrap(), Ipv6FlowInfo::ID, &[0x0f, 0xff, 0xff, 0xff]);
        let printed = "{IPV6_FLOWINFO class 0x02 label 0x00345}";
        reads::<Ipv6FlowInfo>(Ipv6FlowInfo::ID, &[0, 0x20, 0x03, 0x45], printed, |info| {
            assert_eq!(info, Ipv6FlowInfo::new(2, 0x345).unwrap());
        });
        refuses_lengths::<Ipv6FlowInfo>(Ipv6FlowInfo::ID, &[4], 4);
    }

    #[test]
    fn more_than_twenty_bits_of_label_and_a_version_are_refused() {
        for found in [0x10_0000, u32::MAX] {
            let error = EncodeError::Value { field: "flow label", expected: "0..=0xfffff", found: found.into() };
            assert_eq!(Ipv6FlowInfo::new(0, found), Err(error));
        }
        let error = |found| DecodeError::Value { field: "IPV6_FLOWINFO", expected: "0..=0xfffffff", found };
        refuses::<Ipv6FlowInfo>(RawCmsg::new(Ipv6FlowInfo::ID, &[0x60, 0, 0, 1]), error(0x6000_0001));
        refuses::<Ipv6FlowInfo>(RawCmsg::new(Ipv6FlowInfo::ID, &[0x10, 0, 0, 0]), error(0x1000_0000));
    }
}
