//! Messages at stable addresses, for io_uring(7): the kernel goes on using them after the call that submits them.
//!
//! [`SendMsg`] and [`RecvMsg`] are one message each, [`RecvMsgMulti`] receives message after message with one request,
//! [`RecvMsgOut`] reads such messages in buffers of another library's. They hand out the pointers that the crate
//! [`io-uring`](https://github.com/tokio-rs/io-uring) takes, and are told how requests ended; they submit nothing, and know no ring.
//!
//! ```
//! use ancillary::{MsgHdr, pinned::{RecvMsg, SendMsg}};
//! # #[cfg(not(uring))]
//! # fn main() {}
//! # #[cfg(uring)]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use io_uring::{IoUring, opcode, types::Fd};
//! use std::os::{fd::AsRawFd, unix::net::UnixDatagram};
//!
//! let (a, b) = UnixDatagram::pair()?;
//! let Ok(mut ring) = IoUring::new(8) else { return Ok(()) }; // containers often forbid it
//! let (mut out, mut incoming) = (SendMsg::new(), RecvMsg::<()>::new(64));
//! out.set(&MsgHdr::new(), b"by the ring".to_vec())?;
//! let send = opcode::SendMsg::new(Fd(a.as_raw_fd()), out.start()?).flags(out.flags());
//! let receive = opcode::RecvMsg::new(Fd(b.as_raw_fd()), incoming.start()?).flags(incoming.flags());
//! // SAFETY: each is the one request of its start, and its completion is reported below; the sockets stay open.
//! unsafe { ring.submission().push_multiple(&[send.build().user_data(1), receive.build().user_data(2)])? };
//! ring.submit_and_wait(2)?;
//! for completion in ring.completion() {
//!     match completion.user_data() {
//!         1 => assert_eq!(out.complete(completion.result(), completion.flags())?, 11),
//!         _ => assert_eq!(incoming.complete(completion.result())?.data(), b"by the ring"),
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # The promise
//!
//! To submit is `unsafe`, in every interface to io_uring. Who submits a pointer from here promises in that `unsafe`, beside
//! what the interface itself asks for:
//!
//! * each `start` makes one request, of the operation that the type is for, and each `register` one registration;
//! * the completions of that request are reported to `complete` of the same message, each once, and no others;
//! * `withdraw` and `release` are called if what they say is true.
//!
//! The rest is safe, whatever is done: moving a message, sending it to another thread, forgetting or dropping it in flight.
//! What is dropped in flight is leaked, since nobody can tell when the kernel has finished: memory, the buffer and the
//! descriptors that were to be sent. Closing a ring is no end: its requests end later than the call. Before that,
//! cancel what is in flight (`IORING_OP_ASYNC_CANCEL`, `IORING_REGISTER_SYNC_CANCEL`) and report the completions.
//!
//! A completion that is another's breaks the promise. Of a receive it is caught, unless it is an error: a message that the
//! kernel has not written is [`PinnedError::NotCompleted`](crate::PinnedError::NotCompleted), and no descriptor is taken from
//! it.
//!
//! # Descriptors
//!
//! Those to send are duplicated, and the duplicates closed when they have been sent, or with the message. Those received belong to the message from its
//! completion on, as with any other receive: taken, or closed with the next start, or the next message. They are
//! close-on-exec if the request gets the flags that `flags` says. Those that the kernel installed for a request whose
//! completion is never reported are nobody's, and stay open.
//!
//! Linux 5.3; [`RecvMsgMulti`] since 6.0, `IORING_OP_SENDMSG_ZC` since 6.1. Containers often forbid
//! io_uring (EPERM, ENOSYS).
//!
//! # References
//!
//! [io_uring(7)](https://man7.org/linux/man-pages/man7/io_uring.7.html),
//! [io_uring_prep_recvmsg_multishot(3)](https://man7.org/linux/man-pages/man3/io_uring_prep_recvmsg_multishot.3.html);
//! io_uring/net.c

mod multi;
mod out;
mod recv;
mod send;

pub use multi::RecvMsgMulti;
pub use out::RecvMsgOut;
pub use recv::RecvMsg;
pub use send::SendMsg;
