//! Typed ancillary data for sendmsg(2) and recvmsg(2).
//!
//! [`MsgHdr`] gathers buffers and typed control messages into one send; a receive scatters into buffers and gives the
//! control messages back as types; [`parser`] turns any bytes into the enum [`parser::ControlMessage`]. No `unsafe`, no
//! allocation per message, no leaked descriptor.
//!
//! ```
//! use ancillary::{ControlBuf, MsgHdr, SocketExt, message::{HopLimit, PktInfo}};
//! use std::net::UdpSocket;
//!
//! # fn main() -> std::io::Result<()> {
//! type Meta = (PktInfo, HopLimit);                      // declared once:
//! let server = UdpSocket::bind("[::]:0")?;
//! server.enable::<Meta>()?;                             // it sets the options,
//! let mut control = ControlBuf::<Meta>::new();          // sizes the buffer,
//!
//! let client = UdpSocket::bind("127.0.0.1:0")?;
//! let to = std::net::SocketAddr::from(([127, 0, 0, 7], server.local_addr()?.port()));
//! MsgHdr::new().to(to).data(b"hel").data(b"lo").control(HopLimit(9)).send(&client)?;
//!
//! let mut data = [0; 1500];
//! let message = server.recv_msg(&mut data, &mut control)?;
//! let (info, hops) = message.extract();                 // and is extracted
//! assert_eq!(message.data(), b"hello");
//! assert_eq!((info.unwrap().addr().to_string(), hops), ("127.0.0.7".into(), Some(HopLimit(9))));
//! # Ok(())
//! # }
//! ```
//!
//! # Messages
//!
//! The control messages of Linux have types, but for a few small worlds of their own ([`message`] lists them all, with
//! what enables each, and what is left out); the BSDs, macOS and illumos have the same types where they have the message. Those that most
//! programs want:
//!
//! | what | type | C names |
//! |---|---|---|
//! | descriptors | [`ScmRights`](message::ScmRights), [`ScmRightsSpace`](message::ScmRightsSpace) | `SCM_RIGHTS` |
//! | who sent it | `Credentials`, `ScmPidfd` | `SCM_CREDENTIALS`, `SCM_PIDFD` |
//! | when it arrived, or left | [`Timestamp`](message::Timestamp), `ScmTimestamping` | `SCM_TIMESTAMPNS`, `SCM_TIMESTAMPING` |
//! | address asked, interface, source | [`PktInfo`](message::PktInfo) | `IP_PKTINFO`, `IPV6_PKTINFO` |
//! | time to live | [`HopLimit`](message::HopLimit) | `IP_TTL`, `IPV6_HOPLIMIT` |
//! | DSCP and ECN | [`TrafficClass`](message::TrafficClass) | `IP_TOS`, `IPV6_TCLASS` |
//! | many datagrams in one buffer | `UdpSegment`, `UdpGro` | `UDP_SEGMENT`, `UDP_GRO` |
//! | where a proxied packet was going | `OrigDst` | `IP_ORIGDSTADDR`, `IPV6_ORIGDSTADDR` |
//! | why it did not arrive | `ExtendedError` | `IP_RECVERR`, `IPV6_RECVERR` |
//!
//! What is not known arrives as [`Unknown`](parser::ControlMessage::Unknown); for a message of your own see [`message`].
//!
//! # Batches
//!
//! [`batch`] sends and receives many messages in one system call (sendmmsg(2), recvmmsg(2)), each with its own address,
//! buffers and control messages.
//!
//! # The error queue
//!
//! On Linux a socket keeps what became of packets it has sent: ICMP errors with the router that sent them, timestamps,
//! completions of `MSG_ZEROCOPY`. `SocketExt::recv_error` and `SocketExt::error_queue` read it, without ever blocking;
//! `ExtendedError::meaning` says it in words. `ZeroCopy` sends without a copy and gives each buffer back when the kernel
//! has finished with it.
//!
//! # io_uring
//!
//! On Linux `pinned` has messages at stable addresses for io_uring(7), sent and received, and one receive for many messages
//! with buffers that the kernel chooses. To submit is the caller's, and `unsafe` there; what comes back is a [`Received`].
//!
//! # IPv6
//!
//! [`rfc3542`] is the Advanced Sockets API: it builds and reads headers of options and of routing, and on Linux sets what
//! every packet of a socket gets, filters ICMP and tells the path MTU. [`interface`] knows interfaces by name and index,
//! and addresses as `fe80::1%eth0` and `[fe80::1%eth0]:80`.
//!
//! # The buffer
//!
//! The bytes of `(IpTtl(9), IpTos(0xb8))` as they are sent on 64-bit Linux; `cmsgdump --svg`, in the examples, draws what
//! arrives with a datagram:
//!
//! ```text
//!  0 | 14 00 00 00 00 00 00 00 | cmsg_len    20: header 16, payload 4
//!  8 | 00 00 00 00|02 00 00 00 | cmsg_level  0, IPPROTO_IP | cmsg_type  2, IP_TTL
//! 16 | 09 00 00 00|            | payload     an int: 9     | padding, to 24 (space)
//! 24 | 14 00 00 00 00 00 00 00 | cmsg_len    20
//! 32 | 00 00 00 00|01 00 00 00 | cmsg_level  0, IPPROTO_IP | cmsg_type  1, IP_TOS
//! 40 | b8 00 00 00|            | payload     an int: 0xb8 (it arrives as a byte: cmsg_len 17) | padding, to 48
//! ```
//!
//! ```
//! use ancillary::{ControlList, cmsg, message::{IpTos, IpTtl}, parser};
//!
//! # fn main() -> Result<(), ancillary::EncodeError> {
//! let control = ControlList::new((IpTtl(9), IpTos(0xb8)))?;
//! # #[cfg(all(target_os = "linux", target_endian = "little", target_pointer_width = "64"))]
//! assert_eq!(control.as_bytes()[..20], [20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 9, 0, 0, 0]);
//! # #[cfg(all(target_os = "linux", target_endian = "little", target_pointer_width = "64"))]
//! # assert_eq!(control.as_bytes()[24..44], [20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0xb8, 0, 0, 0]);
//! # assert_eq!(control.as_bytes().len(), 2 * cmsg::space(4).unwrap());
//! assert_eq!(format!("{:?}", parser::parse(control.as_bytes())), "[{IP_TTL 9}, {IP_TOS 0xb8}]");
//! # Ok(())
//! # }
//! ```
//!
//! What to receive into:
//!
//! | what | when |
//! |---|---|
//! | [`ControlBuf::<L>::new()`](ControlBuf) | nearly always: 256 bytes on the stack, checked when the program is compiled (`cargo build`, not `cargo check`) |
//! | `ControlBuf::<L, { L::SPACE }>::new()` | the messages need more; the error says so |
//! | [`ControlVec`] | the size is known only at run time, or it should lie on the heap |
//! | [`SocketExt::recv_fds`] | descriptors alone: it brings its own |
//! | [`batch::RecvBatch`], [`stream::FdReader`] | they have theirs |
//!
//! A buffer lives long and is used for many receives. A [`MsgHdr`] is made for each send and costs nothing; what to
//! keep are a [`ControlList`] and a [`SockAddr`].
//!
//! # Truncation
//!
//! Truncation is information, not an error: what arrived is delivered, and [`Received::flags`] says what was cut.
//! [`MsgFlags::TRUNC`]: the datagram was longer than the buffers. [`MsgFlags::CTRUNC`]: the control buffer was too
//! small; Linux then delivers the last message cut, down to nothing, and that one is
//! [`Malformed`](parser::ControlMessage::Malformed) in the enum and `None` when extracted.
//! [`Received::require_complete`] makes an error of both.
//!
//! ```
//! use ancillary::{ControlBuf, MsgFlags, SocketExt};
//!
//! # fn main() -> std::io::Result<()> {
//! let (a, b) = std::os::unix::net::UnixDatagram::pair()?;
//! a.send(b"too long")?;
//! let (mut data, mut control) = ([0; 4], ControlBuf::<()>::new());
//! let message = b.recv_msg(&mut data, &mut control)?;
//! assert_eq!((message.data(), message.flags().contains(MsgFlags::TRUNC)), (&b"too "[..], true));
//! assert!(message.require_complete().is_err());
//! # Ok(())
//! # }
//! ```
//!
//! # Descriptors
//!
//! Received descriptors belong to the control buffer the moment recvmsg(2) returns. [`Received::take_fds`] gives them
//! out as [`OwnedFd`](std::os::fd::OwnedFd), and `take_pidfd` the one of `SCM_PIDFD`; the next receive, or dropping the
//! buffer, closes the others. On macOS alone a buffer without room for all of them leaks those that do not
//! fit, since that kernel installs what it does not name. They are close-on-exec. What [`parser`] shows of them are
//! numbers. To send them, anything [`AsFd`](std::os::fd::AsFd) is borrowed; a bare number goes through the standard
//! library's [`BorrowedFd::borrow_raw`](std::os::fd::BorrowedFd::borrow_raw), which is `unsafe`.
//!
//! ```
//! use ancillary::SocketExt;
//! use std::{fs::File, os::unix::net::UnixStream};
//!
//! # fn main() -> std::io::Result<()> {
//! let (a, b) = UnixStream::pair()?;
//! a.send_fds(b"x", [&File::open("/dev/null")?])?;
//! let mut data = [0; 1];
//! let [file] = b.recv_fds(&mut data)?.exact()?; // an OwnedFd; another number of them is an error, and closed
//! # drop(file);
//! # Ok(())
//! # }
//! ```
//!
//! In a byte stream, descriptors belong to bytes: [`stream`] sends each with its own, and keeps those that arrive until
//! their message has been read.
//!
//! # Errors
//!
//! What makes a system call returns [`std::io::Result`], the raw errno preserved, EINTR retried, `WouldBlock` returned.
//! What this crate refuses is one of its own types inside: [`EncodeError`], [`DecodeError`], [`TruncatedError`],
//! [`FdCountError`], [`FamilyError`], [`ShortReadError`], [`AddrError`], [`ScopeError`],
//! `PinnedError`, [`FdStreamError`](stream::FdStreamError). They say what was expected and what was found,
//! convert into [`std::io::Error`] (`InvalidInput`, `InvalidData`, `UnexpectedEof`), and come out of it again:
//!
//! ```
//! use ancillary::{EncodeError, MsgHdr, message::IpTtl};
//! # use std::net::UdpSocket;
//! # fn main() -> std::io::Result<()> {
//! let socket = UdpSocket::bind("127.0.0.1:0")?;
//! let error = MsgHdr::new().to(socket.local_addr()?).control(IpTtl(0)).send(&socket).unwrap_err();
//! let cause = error.get_ref().and_then(|e| e.downcast_ref::<EncodeError>());
//! assert_eq!(cause, Some(&EncodeError::Value { field: "IP_TTL", expected: "1..=255", found: 0 }));
//! assert_eq!(error.to_string(), "IP_TTL: expected 1..=255, found 0");
//! # Ok(())
//! # }
//! ```
//!
//! # Readiness
//!
//! With the feature `tokio` every call that sends or receives can be awaited on the sockets of tokio: the module `tokio`.
//!
//! Everything works on non-blocking sockets, so on those of mio, async-io and polling as well (`examples/over_mio.rs`,
//! `examples/over_async_io.rs`): `WouldBlock` is returned as it is. Where a closure cannot return a [`Received`], it returns
//! the length; the messages, the descriptors and the peer are read from the control buffer afterwards
//! ([`ControlBuf::extract`], [`ControlBuf::take_fds`], [`ControlBuf::peer`]). [`RecvExact`] and [`MsgHdr::skip`] are the
//! state between two events.
//!
//! An entry of the error queue is an event of its own, `EPOLLERR`, which comes unasked: mio's `is_error`, polling's
//! `is_err`, tokio's `Interest::ERROR`. By level, and with each new registration, it is told until the queue is empty; by
//! edges once for each entry. async-io and polling count it as readable and writable, so drain the queue there before
//! waiting, or the wait ends at once, again and again. mio and tokio do not: who waits for messages alone is not woken.
//!
//! # Platforms and features
//!
//! Linux is tested, glibc and musl; Android, macOS, FreeBSD, NetBSD, OpenBSD and illumos are type-checked, with the
//! same types over their own messages. The feature `bytes` (default) adds [`MsgHdr::buf`] and
//! [`SocketExt::recv_msg_buf`]; the feature `tokio` adds the module of that name.
//!
//! # What it does not do
//!
//! No Windows, no `no_std`, no name resolution, and no sockets of its own: it works on everything that is
//! [`AsFd`](std::os::fd::AsFd). Descriptors are not sent as numbers, messages of memory addresses (RDS) not at all, and
//! `MSG_ZEROCOPY` not on borrowed buffers. The messages of RXRPC, TIPC, Bluetooth and the like are
//! [`Unknown`](parser::ControlMessage::Unknown).
//!
//! Those who come from nix, rustix, socket2, sendfd, std, Python or Go find theirs beside ours in `docs/guide.md`.

#![deny(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod batch;
pub mod cmsg;
pub mod interface;
pub mod message;
pub mod parser;
#[cfg(linux_like)]
pub mod pinned;
pub mod rfc3542;
pub mod stream;

#[cfg(feature = "tokio")]
pub mod tokio;

mod addr;
mod control;
mod error;
#[cfg(linux_like)]
mod error_queue;
mod flags;
mod options;
mod receive;
mod send;
mod socket;
mod sys;
mod take;
mod text;
#[cfg(linux_like)]
mod zerocopy;

pub use addr::{SockAddr, ToSockAddr};
pub use cmsg::{ControlOut, RawCmsg};
pub use control::{ControlBuf, ControlBuffer, ControlVec};
#[cfg(linux_like)]
pub use error::PinnedError;
pub use error::{
    AddrError, DecodeError, EncodeError, FamilyError, FdCountError, ScopeError, ShortReadError, TruncatedError,
};
#[cfg(linux_like)]
pub use error_queue::{ErrorQueue, QueuedError};
pub use flags::{MsgFlags, RecvFlags, SendFlags};
pub use message::{RecvControl, RecvList, SendControl};
pub use options::{set_option, socket_family};
pub use receive::{MsgHdrMut, Received, RecvExact};
pub use send::{ControlList, MsgHdr};
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

#[cfg(doctest)]
#[doc = include_str!("../docs/guide.md")]
mod guide {}

pub use socket::{FdMessage, IntoFds, SocketExt};
pub use take::TakeFds;
#[cfg(linux_like)]
pub use zerocopy::{Completion, ZeroCopy, ZeroCopyBuf, ZeroCopyError};
