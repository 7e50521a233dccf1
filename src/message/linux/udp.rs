//! Control messages of level `SOL_UDP`: many datagrams in one buffer; see
//! [udp(7)](https://man7.org/linux/man-pages/man7/udp.7.html).

use nix::libc;

use crate::message::rows::count;
use crate::{
    cmsg::CmsgId,
    options::{Families, SocketOption},
};

// include/uapi/linux/udp.h; libc lacks them on some systems.
const UDP_SEGMENT: i32 = 103;
const UDP_GRO: i32 = 104;

/// Cuts the data of one send into datagrams of this many bytes each, the last one shorter (`UDP_SEGMENT`, generic
/// segmentation offload; Linux 4.18).
///
/// Sent with each message; 0 overrides a size that the socket has by `setsockopt(SOL_UDP, UDP_SEGMENT)`. Data of at
/// most this many bytes goes out as one datagram. No privilege. Raw sockets ignore it.
///
/// # Wire layout
///
/// ```text
///   0              2
///   +--------------+
///   | segment size |   u16, host byte order; an int is refused (EINVAL)
///   +--------------+
/// ```
///
/// # Errors
///
/// Sending: EINVAL for more than 128 segments (64 before Linux 6.9) or on a socket with `SO_NO_CHECK`; EMSGSIZE for
/// more than 65,507 bytes in all, or segments that do not fit the path MTU (EINVAL on Linux 5.10); EIO where the route
/// cannot compute checksums (IPsec).
///
/// # References
///
/// [udp(7)](https://man7.org/linux/man-pages/man7/udp.7.html), `UDP_SEGMENT`; net/ipv4/udp.c, `udp_cmsg_send`
#[doc(alias = "UDP_SEGMENT")]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct UdpSegment(pub u16);

impl UdpSegment {
    const ID: CmsgId = CmsgId::new(libc::SOL_UDP, UDP_SEGMENT);
}

sends!(UdpSegment, Self::ID, |segment| segment.0.to_ne_bytes());

/// How long the datagrams are that the kernel has merged into this one (`UDP_GRO`, generic receive offload; Linux 5.0).
///
/// Received once enabled (`UDP_GRO`): all have this many bytes but the last, which may be shorter. It is absent where
/// nothing was merged. Give 64 KiB of room: what does not fit is cut off in whole datagrams (`MSG_TRUNC`). No
/// privilege.
///
/// # Wire layout
///
/// ```text
///   0              4
///   +--------------+
///   | segment size |   int, host byte order
///   +--------------+
/// ```
///
/// # References
///
/// [udp(7)](https://man7.org/linux/man-pages/man7/udp.7.html), `UDP_GRO`; include/linux/udp.h, `udp_cmsg_recv`
#[doc(alias = "UDP_GRO")]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct UdpGro(pub u32);

impl UdpGro {
    pub(crate) const ID: CmsgId = CmsgId::new(libc::SOL_UDP, UDP_GRO);
}

prints!(UdpGro);

receives!(
    UdpGro,
    Self::ID,
    4,
    |cmsg| count(cmsg, "UDP_GRO").map(Self),
    SocketOption::new(Families::INET, libc::SOL_UDP, UDP_GRO)
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cmsg::RawCmsg,
        error::DecodeError,
        message::laws::{reads, refuses, refuses_lengths, sends},
    };

    #[test]
    fn a_segment_size_goes_out_in_two_bytes() {
        for size in [0, 1, 1200, u16::MAX] {
            sends(&UdpSegment(size), UdpSegment::ID, &size.to_ne_bytes());
        }
    }

    #[test]
    fn a_merged_size_arrives_in_four_bytes() {
        let payload = 1200i32.to_ne_bytes();
        reads::<UdpGro>(UdpGro::ID, &payload, "{UDP_GRO 1200}", |gro| assert_eq!(gro, UdpGro(1200)));
        refuses_lengths::<UdpGro>(UdpGro::ID, &[4], 4);
        let error = DecodeError::Value { field: "UDP_GRO", expected: "0..=2147483647", found: -1 };
        refuses::<UdpGro>(RawCmsg::new(UdpGro::ID, &(-1i32).to_ne_bytes()), error);
    }
}
