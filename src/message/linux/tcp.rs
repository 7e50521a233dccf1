//! Control messages of level `SOL_TCP`; see [tcp(7)](https://man7.org/linux/man-pages/man7/tcp.7.html).

use nix::libc::IPPROTO_TCP;

use crate::message::rows::count;
use crate::{
    cmsg::CmsgId,
    options::{Families, SocketOption},
};

// include/uapi/linux/tcp.h; the message has the number of the option.
const TCP_INQ: i32 = 36;

/// How many bytes can still be read from a TCP stream, after this receive (`TCP_CM_INQ`; Linux 4.18, MPTCP too).
///
/// Received once enabled (`TCP_INQ`), with everything that is read, so that one call less is needed to know whether to
/// read on. No privilege. It comes last: a control buffer that is too small loses it first. Nothing is sent: the
/// kernel ignores it.
///
/// Once the peer has closed, the end counts as one more byte, so that it is not 0 before the end has been read. With the
/// end itself the kernel says 1; that message is dropped ([`Received::is_eof`](crate::Received::is_eof)).
///
/// ```
/// use ancillary::{ControlBuf, SocketExt, message::TcpCmInq};
/// # use std::{io::Write, net::{TcpListener, TcpStream}};
///
/// # fn main() -> std::io::Result<()> {
/// # let listener = TcpListener::bind("127.0.0.1:0")?;
/// # let mut peer = TcpStream::connect(listener.local_addr()?)?;
/// # let stream = listener.accept()?.0;
/// stream.enable::<TcpCmInq>()?;
/// peer.write_all(b"head, and body")?;
/// let (mut head, mut control) = ([0; 4], ControlBuf::<TcpCmInq>::new());
/// let message = stream.recv_msg(&mut head, &mut control)?;
/// assert_eq!((message.data(), message.extract()), (&b"head"[..], Some(TcpCmInq(10)))); // ten more without waiting
/// # Ok(())
/// # }
/// ```
///
/// # Wire layout
///
/// ```text
///   0              4
///   +--------------+
///   | bytes queued |   int, host byte order
///   +--------------+
/// ```
///
/// # References
///
/// [tcp(7)](https://man7.org/linux/man-pages/man7/tcp.7.html), `TCP_INQ`; net/ipv4/tcp.c, `tcp_inq_hint`;
/// net/mptcp/protocol.c, `mptcp_recvmsg`
#[doc(alias = "TCP_CM_INQ")]
#[doc(alias = "TCP_INQ")]
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct TcpCmInq(pub u32);

impl TcpCmInq {
    pub(crate) const ID: CmsgId = CmsgId::new(IPPROTO_TCP, TCP_INQ);
}

prints!(TcpCmInq);

receives!(
    TcpCmInq,
    Self::ID,
    4,
    |cmsg| count(cmsg, "TCP_CM_INQ").map(Self),
    SocketOption::new(Families::INET, IPPROTO_TCP, TCP_INQ)
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
    fn a_count_of_queued_bytes_arrives_in_four_bytes() {
        for (queued, printed) in [(0u32, "{TCP_CM_INQ 0}"), (0x0102_0304, "{TCP_CM_INQ 16909060}")] {
            let payload = queued.to_ne_bytes();
            reads::<TcpCmInq>(TcpCmInq::ID, &payload, printed, |found| assert_eq!(found, TcpCmInq(queued)));
        }
        refuses_lengths::<TcpCmInq>(TcpCmInq::ID, &[4], 4);
        let error = DecodeError::Value { field: "TCP_CM_INQ", expected: "0..=2147483647", found: -1 };
        refuses::<TcpCmInq>(RawCmsg::new(TcpCmInq::ID, &(-1i32).to_ne_bytes()), error);
    }
}
