//! Sending and receiving on the sockets of tokio (feature `tokio`).
//!
//! What makes a system call has a form that waits for the socket first: its name with `_async` behind it, which takes the
//! socket by reference and gives the same result. `poll_` and the name is the form for futures written by hand.
//!
//! ```
//! use ancillary::{ControlBuf, MsgHdr, SocketExt, message::PktInfo, tokio::AsyncSocket};
//! use tokio::net::UdpSocket;
//!
//! /// Answers one question, from the address it was asked on.
//! async fn answer(server: &UdpSocket, control: &mut ControlBuf<PktInfo>) -> std::io::Result<()> {
//!     let mut data = [0; 1500];
//!     let message = server.recv_msg_async(&mut data, control).await?;
//!     let source = message.extract().and_then(|info| info.reply());
//!     let mut answer = MsgHdr::new();
//!     answer.to(message.peer()).data(b"you said ").data(message.data()).control(source);
//!     answer.send_async(server).await?;
//!     Ok(())
//! }
//!
//! # fn main() -> std::io::Result<()> {
//! # tokio::runtime::Builder::new_current_thread().enable_io().build()?.block_on(async {
//! let server = UdpSocket::bind("[::]:0").await?;
//! server.enable::<PktInfo>()?;
//! let client = UdpSocket::bind("127.0.0.1:0").await?;
//! client.connect(("127.0.0.7", server.local_addr()?.port())).await?; // hears that address alone
//! client.send(b"hello").await?;
//! answer(&server, &mut ControlBuf::new()).await?;
//!
//! let mut data = [0; 64];
//! let len = client.recv(&mut data).await?;
//! assert_eq!(&data[..len], b"you said hello");
//! # Ok(())
//! # })
//! # }
//! ```
//!
//! | call | of | awaited | polled |
//! |---|---|---|---|
//! | `recv_msg` | every socket | [`recv_msg_async`](AsyncSocket::recv_msg_async) | [`poll_recv_msg`](AsyncSocket::poll_recv_msg) |
//! | `recv_msg_uninit` | | [`recv_msg_uninit_async`](AsyncSocket::recv_msg_uninit_async) | [`poll_recv_msg_uninit`](AsyncSocket::poll_recv_msg_uninit) |
//! | `recv_msg_buf` | (feature `bytes`) | `recv_msg_buf_async` | `poll_recv_msg_buf` |
//! | `send_fds`, `recv_fds` | | [`send_fds_async`](AsyncSocket::send_fds_async), [`recv_fds_async`](AsyncSocket::recv_fds_async) | [`poll_send_fds`](AsyncSocket::poll_send_fds), [`poll_recv_fds`](AsyncSocket::poll_recv_fds) |
//! | `recv_error` | (Linux) | `recv_error_async` | `poll_recv_error`, with an `ErrorWait` |
//! | `send`, `send_all` | [`MsgHdr`](crate::MsgHdr) | [`send_async`](crate::MsgHdr::send_async), [`send_all_async`](crate::MsgHdr::send_all_async) | [`poll_send`](crate::MsgHdr::poll_send), [`poll_send_all`](crate::MsgHdr::poll_send_all) |
//! | `recv` | [`MsgHdrMut`](crate::MsgHdrMut) | [`recv_async`](crate::MsgHdrMut::recv_async) | [`poll_recv`](crate::MsgHdrMut::poll_recv) |
//! | `recv` | [`RecvExact`](crate::RecvExact) | [`recv_async`](crate::RecvExact::recv_async) | [`poll_recv`](crate::RecvExact::poll_recv) |
//! | `send`, `send_all` | [`Batch`](crate::batch::Batch) | [`send_async`](crate::batch::Batch::send_async), [`send_all_async`](crate::batch::Batch::send_all_async) | [`poll_send`](crate::batch::Batch::poll_send), [`poll_send_all`](crate::batch::Batch::poll_send_all) |
//! | `recv`, `recv_into` | [`RecvBatch`](crate::batch::RecvBatch) | [`recv_async`](crate::batch::RecvBatch::recv_async), [`recv_into_async`](crate::batch::RecvBatch::recv_into_async) | [`poll_recv`](crate::batch::RecvBatch::poll_recv), [`poll_recv_into`](crate::batch::RecvBatch::poll_recv_into) |
//! | `fill`, `recv` | [`FdReader`](crate::stream::FdReader) | [`fill_async`](crate::stream::FdReader::fill_async), [`recv_async`](crate::stream::FdReader::recv_async) | [`poll_fill`](crate::stream::FdReader::poll_fill), [`poll_recv`](crate::stream::FdReader::poll_recv) |
//! | `flush` | [`FdWriter`](crate::stream::FdWriter) | [`flush_async`](crate::stream::FdWriter::flush_async) | [`poll_flush`](crate::stream::FdWriter::poll_flush) |
//! | those | [`FdStream`](crate::stream::FdStream) | [`fill_async`](crate::stream::FdStream::fill_async), ... | `AsyncRead`, `AsyncBufRead`, `AsyncWrite` |
//! | `send`, `send_with`, `resume` | `ZeroCopy` (Linux) | `send_async`, `send_with_async`, `resume_async`, `send_all_async` | `poll_send`, `poll_send_with`, `poll_resume` |
//! | `wait`, `drain` | `ZeroCopy` (Linux) | `wait_async`, `drain_async` | `poll_wait`, with an `ErrorWait` |
//!
//! The sockets are tokio's own and any [`AsyncFd`](::tokio::io::unix::AsyncFd), for what tokio has no type for:
//! [`AsyncSocket`]. An `AsyncFd` is made by whoever owns the descriptor (`AsyncFd::register` is `unsafe`, so it is not
//! done here); a socket of std or socket2 comes to tokio without it, by `from_std`.
//!
//! # Dropped futures
//!
//! No future waits for anything behind the call that succeeds. So one that is dropped before it is ready, in a `select!` or
//! by a timeout, has received no message and no descriptor, and has sent none; the data stays in the socket. What takes
//! several calls (`send_all`, [`RecvExact`](crate::RecvExact), a flush) keeps how far it came in its header or queue,
//! which outlives the future: calling it again goes on there. A [`Received`](crate::Received) that nobody looks at leaves
//! its descriptors in the control buffer, as always. A buffer for `ZeroCopy` stays in its `Option` until some of it has gone.
//!
//! ```
//! use ancillary::{ControlBuf, RecvExact, tokio::AsyncSocket};
//! use std::time::Duration;
//! use tokio::{io::AsyncWriteExt, net::UnixStream, time::timeout};
//!
//! # fn main() -> std::io::Result<()> {
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! let (mut a, b) = UnixStream::pair()?;
//! let (mut frame, mut control, mut exact) = ([0; 6], ControlBuf::<()>::new(), RecvExact::new());
//! a.write_all(b"fra").await?;
//! let early = timeout(Duration::from_millis(1), exact.recv_async(&b, &mut frame, &mut control)).await;
//! assert!(early.is_err());
//! a.write_all(b"me!").await?;
//! exact.recv_async(&b, &mut frame, &mut control).await?;
//! assert_eq!(&frame, b"frame!");
//! # Ok(())
//! # })
//! # }
//! ```
//!
//! # Batches
//!
//! ```
//! use ancillary::batch::{RecvBatch, SendBatch};
//! use tokio::net::UdpSocket;
//!
//! # fn main() -> std::io::Result<()> {
//! # tokio::runtime::Builder::new_current_thread().enable_io().build()?.block_on(async {
//! let (a, b) = (UdpSocket::bind("127.0.0.1:0").await?, UdpSocket::bind("127.0.0.1:0").await?);
//! let (to, mut room) = (b.local_addr()?, SendBatch::new(32));
//! let mut batch = room.begin();
//! for number in [b"1", b"2", b"3"] {
//!     batch.message().to(to).data(b"number ").data(number).queue()?;
//! }
//! assert_eq!(batch.send_all_async(&a).await?, 3);
//!
//! let (mut batch, mut arrived) = (RecvBatch::<()>::new(32, 1500), 0);
//! while arrived < 3 {
//!     for message in batch.recv_async(&b).await? {
//!         arrived += 1;
//!         assert_eq!(message.data(), format!("number {arrived}").as_bytes());
//!     }
//! }
//! # Ok(())
//! # })
//! # }
//! ```
//!
//! # Streams with descriptors
//!
//! An [`FdStream`](crate::stream::FdStream) over a socket of tokio is `AsyncRead`, `AsyncBufRead` and `AsyncWrite`; what
//! is written is gathered until it is flushed.
//!
//! ```
//! use ancillary::stream::FdStream;
//! use std::fs::File;
//! use tokio::{io::{AsyncBufReadExt, AsyncWriteExt}, net::UnixStream};
//!
//! # fn main() -> std::io::Result<()> {
//! # tokio::runtime::Builder::new_current_thread().enable_io().build()?.block_on(async {
//! let (a, b) = UnixStream::pair()?;
//! let (mut client, mut server) = (FdStream::new(a), FdStream::new(b));
//! client.push_fd(File::open("/dev/null")?); // goes with the next byte
//! client.write_all(b"open\n").await?;
//! client.flush_async().await?;
//!
//! let mut line = String::new();
//! server.read_line(&mut line).await?;
//! let [file] = server.pop_fds_exact()?;
//! assert_eq!((line.as_str(), File::from(file).metadata()?.len()), ("open\n", 0));
//! # Ok(())
//! # })
//! # }
//! ```
//!
//! # Errors
//!
//! An entry of the error queue makes a socket neither readable nor closed: it is an event of its own (`EPOLLERR`), and a task
//! that waits for a message is not woken by it. `recv_error_async` waits for it; wait for both side by side. tokio takes
//! the event for the end of writing, and from then on the socket seems writable at all times. Who waits in vain with a
//! full buffer therefore waits here on a second descriptor of the socket, registered for that time with the runtime that
//! polls (which needs its I/O enabled); the `poll_` forms, which have nowhere to keep one (but for `ZeroCopy`'s), ask again
//! and again, and let the other tasks have their turn in between.

#[cfg(linux_like)]
mod errors;
mod receive;
mod send;
mod socket;
mod stream;
mod wait;
#[cfg(linux_like)]
mod zerocopy;

#[cfg(linux_like)]
pub use errors::ErrorWait;
pub use socket::AsyncSocket;
