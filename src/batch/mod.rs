//! Many messages in one system call: sendmmsg(2) and recvmmsg(2).
//!
//! Each message has its own destination, buffers and control messages. The room for them is made once; what a call borrows
//! or brings lasts until the next. On other systems than Linux, and where an old kernel or a filter hides the calls, the same
//! happens by one call for each.
//!
//! On UDP, one message of many datagrams ([`UdpSegment`](crate::message::UdpSegment), Linux) is far faster than many
//! messages of one; both go together.

mod recv;
mod send;

pub use recv::{ReceivedMessages, RecvBatch};
pub use send::{Batch, BatchMessage, SendBatch};

pub use crate::send::{BatchSlot, Inline, Storage};
