//! Many messages in one system call: sendmmsg(2) and recvmmsg(2).
//!
//! Each message has its own destination, buffers and control messages. The room for them is made once; what a call borrows
//! or brings lasts until the next. On other systems than Linux, and where an old kernel or a filter hides the calls (ENOSYS), the same
//! happens by one call for each.
//!
//! A server answers all that came together:
//!
//! ```
//! use ancillary::{SocketExt, batch::{RecvBatch, SendBatch}, message::PktInfo};
//! use std::net::UdpSocket;
//!
//! # fn main() -> std::io::Result<()> {
//! let (server, client) = (UdpSocket::bind("0.0.0.0:0")?, UdpSocket::bind("127.0.0.1:0")?);
//! server.enable::<PktInfo>()?;
//! let asked = (std::net::Ipv4Addr::new(127, 0, 0, 53), server.local_addr()?.port());
//! for question in [b"one", b"two"] {
//!     client.send_to(question, asked)?;
//! }
//!
//! let (mut arriving, mut leaving) = (RecvBatch::<PktInfo>::new(64, 1500), SendBatch::new(64));
//! let messages = arriving.recv(&server)?;
//! let mut answers = leaving.begin();
//! for message in messages {
//!     let source = message.extract().and_then(|info| info.reply());
//!     // The address is copied: the message ends here, its data does not.
//!     answers.message().to(message.peer().copied()).data(b"re: ").data(message.data()).control(source).queue()?;
//! }
//! // One client's trouble is not the server's.
//! answers.send_each(&server, |number, error| eprintln!("answer {number} is left out: {error}"))?;
//!
//! let mut data = [0; 16];
//! let (len, from) = client.recv_from(&mut data)?;
//! assert_eq!((&data[..len], from), (&b"re: one"[..], asked.into()));
//! # Ok(())
//! # }
//! ```
//!
//! A message that is built and not [queued](BatchMessage::queue) is not in the batch.
//!
//! Descriptors stay borrowed as long as the batch, and so does the list that they stand in:
//! `ScmRights::new(std::slice::from_ref(&file))`, not a list of `file.as_fd()` made on the spot.
//!
//! On UDP, one message of many datagrams ([`UdpSegment`](crate::message::UdpSegment), Linux) is far faster than many
//! messages of one; both go together.

mod recv;
mod send;

pub use recv::{ReceivedMessages, RecvBatch};
pub use send::{Batch, BatchMessage, SendBatch};

pub use crate::send::{BatchSlot, Inline, Storage};
