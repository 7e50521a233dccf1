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
//! # The buffer
//!
//! ```text
//! |<-------------------- space -------------------->|
//! |<--------------- len --------------->|           |
//! +-----------+------------+------------+-----+-----+-----------+-----
//! | cmsg_len  | cmsg_level | cmsg_type  | payload   | padding   | next header ...
//! +-----------+------------+------------+-----------+-----------+-----
//! 0           8            12           16  (64-bit Linux)
//! ```
//!
//! # Truncation
//!
//! Truncation is information, not an error: what arrived is delivered, and [`Received::flags`] says what was cut.
//! [`MsgFlags::TRUNC`]: the datagram was longer than the buffers. [`MsgFlags::CTRUNC`]: the control buffer was too
//! small; Linux then delivers the last message cut, down to nothing, and that one is
//! [`Malformed`](parser::ControlMessage::Malformed) in the enum and `None` when extracted.
//! [`Received::require_complete`] makes an error of both.
//!
//! # Descriptors
//!
//! Received descriptors belong to the control buffer the moment recvmsg(2) returns. [`Received::take_fds`] gives them
//! out as [`OwnedFd`](std::os::fd::OwnedFd); the next receive, or dropping the buffer, closes the others. They are
//! close-on-exec. What [`parser`] shows of them are numbers.

#![deny(unsafe_code)]

pub mod cmsg;
pub mod interface;
pub mod message;
pub mod parser;

mod addr;
mod control;
mod error;
mod flags;
mod receive;
mod send;
mod socket;
mod sys;

pub use addr::{SockAddr, ToSockAddr};
pub use cmsg::{ControlOut, RawCmsg};
pub use control::{ControlBuf, ControlBuffer, ControlVec};
pub use error::{AddrError, DecodeError, EncodeError, FamilyError, FdCountError, ShortReadError, TruncatedError};
pub use flags::{MsgFlags, RecvFlags, SendFlags};
pub use message::{RecvControl, RecvList, SendControl};
pub use receive::{MsgHdrMut, Received, RecvExact, TakeFds};
pub use send::{ControlList, MsgHdr};
pub use socket::{FdMessage, IntoFds, SocketExt, set_option, socket_family};
