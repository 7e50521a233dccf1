//! What the kernel notes on a packet: its mark and its priority; see
//! [socket(7)](https://man7.org/linux/man-pages/man7/socket.7.html).

use std::fmt;

use nix::libc::{self, SOL_SOCKET};

use super::PacketOption;
use crate::options::by_arch;
use crate::{cmsg::CmsgId, message::rows::word};

// include/uapi/asm-generic/socket.h; libc lacks them on some systems.
pub(super) const SO_RCVMARK: i32 = by_arch(75, 0x54);
const SO_RCVPRIORITY: i32 = by_arch(82, 0x5b);

/// The mark that routing rules and packet filters look at (`SO_MARK`).
///
/// Sent (Linux 5.4) it takes the place of the socket's own for this message. Received once enabled (`SO_RCVMARK`, Linux
/// 5.19) with every packet, also while it is 0: the mark that the packet has in this machine, given by the sender on
/// loopback or by a filter; it does not travel on a wire. Internet sockets but TCP, AF_PACKET, CAN and others of
/// packets; TCP takes it when sent and delivers none, MPTCP ignores it. To send it needs `CAP_NET_RAW` or
/// `CAP_NET_ADMIN`, to receive it nothing.
///
/// ```
/// use ancillary::{ControlBuf, MsgHdr, SocketExt, message::SoMark};
/// use std::{io::ErrorKind, net::UdpSocket};
///
/// # fn main() -> std::io::Result<()> {
/// let socket = UdpSocket::bind("127.0.0.1:0")?;
/// let is_told = socket.try_enable::<SoMark>()?; // not before Linux 5.19
/// let mut message = MsgHdr::new();
/// message.to(socket.local_addr()?).data(b"by the table of mark 7").control(SoMark(7));
/// # assert!(format!("{message:?}").contains("{SO_MARK 0x7}"), "{message:?}");
/// if message.send(&socket).is_err_and(|error| error.kind() == ErrorKind::PermissionDenied) {
///     return Ok(()); // without CAP_NET_RAW and CAP_NET_ADMIN
/// }
///
/// let (mut data, mut control) = ([0; 64], ControlBuf::<SoMark>::new());
/// let mark = socket.recv_msg(&mut data, &mut control)?.extract();
/// assert_eq!(mark.is_some(), is_told);
/// # Ok(())
/// # }
/// ```
///
/// # Wire layout
///
/// ```text
///   0      4
///   +------+
///   | mark |   u32, host byte order
///   +------+
/// ```
///
/// # Errors
///
/// Sending: EPERM without the capability; EINVAL on AF_UNIX and AF_NETLINK; what the routing rules say of the mark, such
/// as EACCES (`prohibit`).
///
/// # References
///
/// [socket(7)](https://man7.org/linux/man-pages/man7/socket.7.html), `SO_MARK`; net/core/sock.c, `__sock_cmsg_send`;
/// net/socket.c, `sock_recv_mark`
#[doc(alias = "SO_MARK")]
#[doc(alias = "SO_RCVMARK")]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct SoMark(pub u32);

impl SoMark {
    pub(crate) const ID: CmsgId = CmsgId::new(SOL_SOCKET, libc::SO_MARK);
}

impl fmt::Display for SoMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

sends!(SoMark, Self::ID, |mark| mark.0.to_ne_bytes());
receives!(SoMark, Self::ID, 4, |cmsg| word(cmsg).map(Self), PacketOption::new(SO_RCVMARK));

/// The priority that queueing disciplines sort by (`SO_PRIORITY`; Linux 6.14 as a control message).
///
/// Sent it takes the place of the socket's own for this message. Received once enabled (`SO_RCVPRIORITY`) with every
/// packet, also while it is 0. Sockets as for [`SoMark`]. 0 to 6 need no privilege to be sent, more needs `CAP_NET_RAW`
/// or `CAP_NET_ADMIN`; to receive it needs nothing. An [`IpTos`](crate::message::IpTos) sets the priority too: of the
/// two the later one in the message counts.
///
/// ```
/// use ancillary::{ControlList, message::{IpTos, SoPriority}, parser};
///
/// // DSCP 46, which would mean priority 4 to the queues, and 6 instead: the later one counts.
/// let control = ControlList::new((IpTos(46 << 2), SoPriority(6)))?;
/// // MsgHdr::new().to(peer).data(voice).control_from(&control).send(&socket)?
/// assert_eq!(format!("{:?}", parser::parse(control.as_bytes())), "[{IP_TOS 0xb8}, {SO_PRIORITY 6}]");
/// # Ok::<(), ancillary::EncodeError>(())
/// ```
///
/// # Wire layout
///
/// ```text
///   0          4
///   +----------+
///   | priority |   u32, host byte order
///   +----------+
/// ```
///
/// # Errors
///
/// Sending: EPERM for more than 6 without the capability; EINVAL on AF_UNIX and AF_NETLINK, and before Linux 6.14.
///
/// # References
///
/// [socket(7)](https://man7.org/linux/man-pages/man7/socket.7.html), `SO_PRIORITY`; net/core/sock.c,
/// `__sock_cmsg_send`; net/socket.c, `sock_recv_priority`
#[doc(alias = "SO_PRIORITY")]
#[doc(alias = "SO_RCVPRIORITY")]
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SoPriority(pub u32);

impl SoPriority {
    pub(crate) const ID: CmsgId = CmsgId::new(SOL_SOCKET, libc::SO_PRIORITY);
}

prints!(SoPriority);

sends!(SoPriority, Self::ID, |priority| priority.0.to_ne_bytes());
receives!(SoPriority, Self::ID, 4, |cmsg| word(cmsg).map(Self), PacketOption::new(SO_RCVPRIORITY));

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::laws::{reads, refuses_lengths, round_trips};

    #[test]
    fn a_mark_is_any_word() {
        for mark in [0, 1, 0xdead_beef, u32::MAX] {
            let payload = mark.to_ne_bytes();
            round_trips(SoMark(mark), SoMark::ID, &payload);
            let printed = format!("{{SO_MARK {mark:#x}}}");
            reads::<SoMark>(SoMark::ID, &payload, &printed, |found| assert_eq!(found, SoMark(mark)));
        }
        refuses_lengths::<SoMark>(SoMark::ID, &[4], 4);
    }

    #[test]
    fn a_priority_is_any_word() {
        for priority in [0, 6, 7, 0x0001_0002, u32::MAX] {
            let payload = priority.to_ne_bytes();
            round_trips(SoPriority(priority), SoPriority::ID, &payload);
            let printed = format!("{{SO_PRIORITY {priority}}}");
            reads::<SoPriority>(SoPriority::ID, &payload, &printed, |found| assert_eq!(found, SoPriority(priority)));
        }
        refuses_lengths::<SoPriority>(SoPriority::ID, &[4], 4);
    }
}
