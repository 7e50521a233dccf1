//! Control messages of level `SOL_UDP`: many datagrams in one buffer; see
//! [udp(7)](https://man7.org/linux/man-pages/man7/udp.7.html).

use std::os::fd::AsFd;

use nix::libc;

use crate::{
    cmsg::{CmsgId, RawCmsg},
    error::DecodeError,
    message::rows::count,
    options::{Families, SocketOption},
    sys::int_option,
};

// include/uapi/linux/udp.h; libc lacks them on some systems.
const UDP_SEGMENT: i32 = 103;
const UDP_GRO: i32 = 104;

/// Cuts the data of one send into datagrams of this many bytes each, the last one shorter (`UDP_SEGMENT`, generic
/// segmentation offload; Linux 4.18).
///
/// Sent with each message; 0 overrides a size that the socket has by `setsockopt(SOL_UDP, UDP_SEGMENT)`. Data of at
/// most this many bytes goes out as one datagram. No privilege. Sockets that are not UDP's ignore it.
///
/// Where it may be missing, ask [`is_supported`](Self::is_supported) once: a kernel before 4.18 ignores it without a word, and
/// all data leaves as one datagram. A send that fails with EIO nevertheless is one to repeat datagram by datagram, as is
/// every later one to that destination; EINVAL is the caller's: too many segments, or no checksums.
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
/// # Examples
///
/// ```
/// use ancillary::{MsgHdr, message::UdpSegment};
/// use std::net::UdpSocket;
///
/// # fn main() -> std::io::Result<()> {
/// # let peer = UdpSocket::bind("127.0.0.1:0")?;
/// # let to = peer.local_addr()?;
/// let socket = UdpSocket::bind("127.0.0.1:0")?;
/// MsgHdr::new().to(to).data(&[7; 3000]).control(UdpSegment(1200)).send(&socket)?; // 1200, 1200 and 600 bytes
/// # let sizes = [(); 3].map(|()| peer.recv(&mut [0; 2000]).unwrap());
/// # assert_eq!(sizes, [1200, 1200, 600]);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// Sending: EINVAL for more than 128 segments (64 before Linux 6.9) or without checksums (`SO_NO_CHECK`, over IPv6
/// `UDP_NO_CHECK6_TX`); EMSGSIZE for more than 65,507 bytes in all (65,527 over IPv6), or segments that do not fit the
/// path MTU (EINVAL on Linux 5.10); EIO where the route cannot compute checksums (IPsec).
///
/// # References
///
/// [udp(7)](https://man7.org/linux/man-pages/man7/udp.7.html), `UDP_SEGMENT`; net/ipv4/udp.c, `udp_cmsg_send`
#[doc(alias = "UDP_SEGMENT")]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct UdpSegment(pub u16);

impl UdpSegment {
    pub(crate) const ID: CmsgId = CmsgId::new(libc::SOL_UDP, UDP_SEGMENT);

    /// Whether the kernel knows it on this socket (`getsockopt(SOL_UDP, UDP_SEGMENT)`). A route can still refuse it (EIO).
    ///
    /// ```
    /// use ancillary::message::UdpSegment;
    /// use std::{net::UdpSocket, os::unix::net::UnixDatagram};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// assert!(UdpSegment::is_supported(UdpSocket::bind("127.0.0.1:0")?)); // since Linux 4.18
    /// assert!(!UdpSegment::is_supported(UnixDatagram::unbound()?));
    /// # Ok(())
    /// # }
    /// ```
    pub fn is_supported(socket: impl AsFd) -> bool {
        int_option(socket.as_fd(), libc::SOL_UDP, UDP_SEGMENT).is_ok()
    }
}

sends!(UdpSegment, Self::ID, |segment| segment.0.to_ne_bytes());

/// How long the datagrams are that the kernel has merged into this one (`UDP_GRO`, generic receive offload; Linux 5.0).
///
/// Received once enabled (`UDP_GRO`): all have this many bytes but the last, which may be shorter. It is absent where
/// nothing was merged. Give 64 KiB of room: what does not fit is cut off (`MSG_TRUNC`), in the middle of a datagram too,
/// and the last of the [`segments`](Self::segments) is then what is left of it. No privilege.
///
/// ```
/// use ancillary::{ControlBuf, SocketExt, message::UdpGro};
/// use std::net::UdpSocket;
///
/// # fn main() -> std::io::Result<()> {
/// let socket = UdpSocket::bind("127.0.0.1:0")?;
/// socket.enable::<UdpGro>()?;
/// # socket.send_to(b"alone", socket.local_addr()?)?;
/// let (mut data, mut control) = (vec![0; 65536], ControlBuf::<UdpGro>::new());
/// let message = socket.recv_msg(&mut data, &mut control)?;
/// for datagram in message.segments() {
///     println!("{} bytes", datagram.len());
/// }
/// # Ok(())
/// # }
/// ```
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

    /// The datagrams in this data, which a message with this `UDP_GRO`, or with none, has brought: one at least.
    ///
    /// [`Received::segments`](crate::Received::segments) is the same for data of the message's own.
    ///
    /// ```
    /// use ancillary::message::UdpGro;
    ///
    /// let each: Vec<_> = UdpGro::segments(Some(UdpGro(4)), b"one two end").collect();
    /// assert_eq!(each, [&b"one "[..], b"two ", b"end"]);
    /// assert_eq!(UdpGro::segments(None, b"alone").count(), 1);
    /// ```
    pub fn segments(found: Option<Self>, data: &[u8]) -> impl Iterator<Item = &[u8]> {
        let size = found.map_or(data.len().max(1), Self::size);
        let empty = data.is_empty().then_some(data);
        data.chunks(size).chain(empty)
    }

    /// Bytes of one datagram, never 0.
    ///
    /// ```
    /// use ancillary::message::UdpGro;
    ///
    /// let data = [7; 3000]; // as `message.segments()` cuts it
    /// let lengths: Vec<_> = data.chunks(UdpGro(1200).size()).map(<[u8]>::len).collect();
    /// assert_eq!(lengths, [1200, 1200, 600]);
    /// ```
    #[must_use]
    pub const fn size(self) -> usize {
        if self.0 == 0 { 1 } else { self.0 as usize }
    }

    #[inline(always)]
    fn read(cmsg: RawCmsg<'_>) -> Result<Self, DecodeError> {
        match count(cmsg, "UDP_GRO")? {
            0 => Err(DecodeError::Value { field: "UDP_GRO", expected: "1..=2147483647", found: 0 }),
            size => Ok(Self(size)),
        }
    }
}

prints!(UdpGro);

receives!(UdpGro, Self::ID, 4, |cmsg| Self::read(cmsg), SocketOption::new(Families::INET, libc::SOL_UDP, UDP_GRO));

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::laws::{reads, refuses, refuses_lengths, sends};

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
        let error = DecodeError::Value { field: "UDP_GRO", expected: "1..=2147483647", found: 0 };
        refuses::<UdpGro>(RawCmsg::new(UdpGro::ID, &0i32.to_ne_bytes()), error);
        assert_eq!((UdpGro(0).size(), UdpGro(1200).size()), (1, 1200));
    }
}
