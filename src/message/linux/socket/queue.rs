//! What a receive queue has lost, and what is left in it; see
//! [socket(7)](https://man7.org/linux/man-pages/man7/socket.7.html).

use nix::libc::{self, SOL_SOCKET};

use super::PacketOption;
use crate::{
    cmsg::CmsgId,
    message::rows::{count, word},
    options::{Families, SocketOption, by_arch},
};

// include/uapi/asm-generic/socket.h; libc lacks it. `SCM_INQ` is the same number.
const SO_INQ: i32 = by_arch(84, 0x5d);

/// How many packets the socket has dropped so far for want of room (`SO_RXQ_OVFL`; Linux 2.6.33).
///
/// Received once enabled (`SO_RXQ_OVFL`), with the packets queued after a drop: it is absent while the count is 0, and it
/// says what the count was when this packet came. The count never goes back, and wraps. Internet sockets but TCP,
/// AF_PACKET, CAN and others of packets. No privilege.
///
/// ```
/// use ancillary::{ControlBuf, SocketExt, message::SoRxqOvfl};
/// # use ancillary::{MsgHdrMut, RecvFlags, set_option};
/// # use nix::libc;
/// use std::net::UdpSocket;
///
/// # fn main() -> std::io::Result<()> {
/// let socket = UdpSocket::bind("127.0.0.1:0")?;
/// socket.enable::<SoRxqOvfl>()?;
/// # set_option(&socket, libc::SOL_SOCKET, libc::SO_RCVBUF, 4096)?;
/// # let (to, mut buffer, mut arrived) = (socket.local_addr()?, [0; 1000], 0);
/// # for _ in 0..100 { socket.send_to(&[0; 1000], to)?; } // more than there is room for
/// # let mut control = ControlBuf::<SoRxqOvfl>::new();
/// # let mut drain = MsgHdrMut::new();
/// # drain.data(&mut buffer).flags(RecvFlags::DONTWAIT);
/// # while drain.recv(&socket, &mut control).is_ok() { arrived += 1; }
/// # socket.send_to(b"the next", to)?;
/// let (mut data, mut control) = ([0; 1500], ControlBuf::<SoRxqOvfl>::new());
/// let message = socket.recv_msg(&mut data, &mut control)?;
/// if let Some(SoRxqOvfl(dropped)) = message.extract() {
///     eprintln!("{dropped} datagrams lost so far: read faster, or give more room");
/// }
/// # assert_eq!(message.extract(), Some(SoRxqOvfl(100 - arrived)));
/// # Ok(())
/// # }
/// ```
///
/// # Wire layout
///
/// ```text
///   0       4
///   +-------+
///   | drops |   u32, host byte order
///   +-------+
/// ```
///
/// # References
///
/// [socket(7)](https://man7.org/linux/man-pages/man7/socket.7.html), `SO_RXQ_OVFL`; net/socket.c, `sock_recv_drops`
#[doc(alias = "SO_RXQ_OVFL")]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct SoRxqOvfl(pub u32);

impl SoRxqOvfl {
    pub(crate) const ID: CmsgId = CmsgId::new(SOL_SOCKET, libc::SO_RXQ_OVFL);
}

prints!(SoRxqOvfl);

receives!(SoRxqOvfl, Self::ID, 4, |cmsg| word(cmsg).map(Self), PacketOption::new(libc::SO_RXQ_OVFL));

/// How many bytes are left in an AF_UNIX stream behind those of this receive (`SCM_INQ`; Linux 6.17).
///
/// Received once enabled (`SO_INQ`), with every receive, also at the end of the stream. AF_UNIX streams alone;
/// TCP's is `TCP_CM_INQ`. No privilege. Others may send or receive in the meantime.
///
/// ```
/// use ancillary::{ControlBuf, SocketExt, message::ScmInq};
/// use std::{io::Write, os::unix::net::UnixStream};
///
/// # fn main() -> std::io::Result<()> {
/// let (mut a, b) = UnixStream::pair()?;
/// # use ancillary::{RawCmsg, RecvControl, cmsg::CmsgId};
/// # let mut ids = (0..256).map(|ty| CmsgId::new(nix::libc::SOL_SOCKET, ty));
/// # let id = ids.find(|&id| ScmInq::matches(id)).unwrap();
/// # assert_eq!(ScmInq::decode(RawCmsg::new(id, &10i32.to_ne_bytes())), Ok(ScmInq(10)));
/// if !b.try_enable::<ScmInq>()? {
///     return Ok(()); // before Linux 6.17
/// }
/// a.write_all(b"head, and body")?;
/// let (mut head, mut control) = ([0; 4], ControlBuf::<ScmInq>::new());
/// let message = b.recv_msg(&mut head, &mut control)?;
/// assert_eq!((message.data(), message.extract()), (&b"head"[..], Some(ScmInq(10))));
/// # Ok(())
/// # }
/// ```
///
/// # Wire layout
///
/// ```text
///   0       4
///   +-------+
///   | bytes |   int, host byte order
///   +-------+
/// ```
///
/// # Errors
///
/// Enabling: ENOPROTOOPT on AF_UNIX sockets that are no streams, and before Linux 6.17.
///
/// # References
///
/// net/unix/af_unix.c, `unix_stream_read_generic`
#[doc(alias = "SCM_INQ")]
#[doc(alias = "SO_INQ")]
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ScmInq(pub u32);

impl ScmInq {
    pub(crate) const ID: CmsgId = CmsgId::new(SOL_SOCKET, SO_INQ);
}

prints!(ScmInq);

receives!(
    ScmInq,
    Self::ID,
    4,
    |cmsg| count(cmsg, "SCM_INQ").map(Self),
    SocketOption::new(Families::UNIX, SOL_SOCKET, SO_INQ)
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cmsg::RawCmsg,
        error::DecodeError,
        message::laws::{reads, refuses, refuses_lengths},
    };

    #[test]
    fn drops_are_any_word() {
        for drops in [1, 0x0102_0304, u32::MAX] {
            let printed = format!("{{SO_RXQ_OVFL {drops}}}");
            reads::<SoRxqOvfl>(SoRxqOvfl::ID, &drops.to_ne_bytes(), &printed, |found| {
                assert_eq!(found, SoRxqOvfl(drops));
            });
        }
        refuses_lengths::<SoRxqOvfl>(SoRxqOvfl::ID, &[4], 4);
    }

    #[test]
    fn bytes_left_are_no_negative_number() {
        for left in [0, 512, i32::MAX] {
            let printed = format!("{{SCM_INQ {left}}}");
            reads::<ScmInq>(ScmInq::ID, &left.to_ne_bytes(), &printed, |found| {
                assert_eq!(found, ScmInq(left.unsigned_abs()));
            });
        }
        refuses_lengths::<ScmInq>(ScmInq::ID, &[4], 4);
        for found in [-1, i32::MIN] {
            let error = DecodeError::Value { field: "SCM_INQ", expected: "0..=2147483647", found: found.into() };
            refuses::<ScmInq>(RawCmsg::new(ScmInq::ID, &found.to_ne_bytes()), error);
        }
    }
}
