//! Byte streams that carry descriptors: Wayland, D-Bus, varlink and the like, over AF_UNIX streams.
//!
//! A stream has no borders between messages, and descriptors travel beside its bytes: the kernel hands them over with the
//! first byte of the call that sent them. [`FdWriter`] sees to it that each leaves with the byte it belongs to, once,
//! however short the writes are; [`FdReader`] keeps them in order until the message that they belong to has been read;
//! [`FdStream`] is both, beside a socket.
//!
//! ```
//! use ancillary::stream::FdStream;
//! use std::{fs::File, io::{BufRead, Write}, os::unix::net::UnixStream};
//!
//! # fn main() -> std::io::Result<()> {
//! let (a, b) = UnixStream::pair()?;
//! let (mut client, mut server) = (FdStream::new(a), FdStream::new(b));
//! client.queue(b"open\n", [File::open("/dev/null")?])?;
//! client.flush()?;
//!
//! let mut line = String::new();
//! server.read_line(&mut line)?;
//! let [file] = server.pop_fds_exact()?;
//! assert_eq!((line.as_str(), File::from(file).metadata()?.len()), ("open\n", 0));
//! # Ok(())
//! # }
//! ```
//!
//! # Writing
//!
//! [`queue`](FdStream::queue) takes a message with its descriptors, owned or borrowed; nothing leaves before
//! [`flush`](FdStream::flush), but what [`Write::write`](std::io::Write::write) gathers beyond 8 KiB. A call to the kernel begins
//! at every byte that has descriptors, so none leaves late, and none with the bytes of the message before. At most 253 go
//! in one call, or what the protocol allows ([`FdWriter::with_fds_per_message`]). [`FdWriter::push_fd`] gives a
//! descriptor to whatever byte comes next.
//!
//! # Reading
//!
//! The kernel does not merge reads across descriptors: a receive ends with the bytes of the first send that had some. So one
//! receive brings the descriptors of one send at most, but bytes that were sent before them may come along: which message
//! they belong to, the protocol says. [`FdReader::take_message`] takes a message and its descriptors out. Every byte of
//! the socket has to be read through the reader: read(2) closes the descriptors that it passes.
//!
//! At the end ([`FdReader::is_eof`]) descriptors may be left, with a message that was cut off; they are closed with the
//! reader. Descriptors that the kernel kept back, and more than may wait, are a [`FdStreamError`].
//!
//! # Readiness
//!
//! On a non-blocking socket every call returns `WouldBlock` when it can do no more, has lost nothing, and is made again
//! when the socket is ready: with poll(2), epoll, mio (the stream is [`AsFd`](std::os::fd::AsFd) and `AsRawFd`), or tokio
//! (its own streams, and `AsyncFd` of anything; the feature `tokio` has these calls ready-made). With edges instead of levels, read until `WouldBlock`. The `try_` forms
//! do not wait on a blocking socket either.
//!
//! ```
//! use ancillary::stream::{FdReader, FdWriter};
//! use std::{fs::File, io};
//! use tokio::{io::Interest, net::UnixStream};
//!
//! /// One call for each readiness: reader and writer keep what they have, so it may be dropped at any time.
//! async fn receive(socket: &UnixStream, incoming: &mut FdReader) -> io::Result<usize> {
//!     socket.async_io(Interest::READABLE, || incoming.fill(socket)).await
//! }
//!
//! async fn flush(socket: &UnixStream, out: &mut FdWriter<'_>) -> io::Result<()> {
//!     socket.async_io(Interest::WRITABLE, || out.flush(socket)).await
//! }
//!
//! # fn main() -> io::Result<()> {
//! # tokio::runtime::Builder::new_current_thread().enable_io().build()?.block_on(async {
//! let (a, b) = UnixStream::pair()?;
//! let (mut out, mut incoming) = (FdWriter::new(), FdReader::new());
//! out.queue(b"message", [File::open("/dev/null")?])?;
//! flush(&a, &mut out).await?;
//! let len = receive(&b, &mut incoming).await?;
//! let (message, fds) = incoming.take_message(len, 1)?;
//! assert_eq!((message, fds.len()), (&b"message"[..], 1));
//! # Ok(())
//! # })
//! # }
//! ```

mod arrived;
mod both;
mod error;
mod queued;
mod reader;
mod writer;

pub use arrived::PopFds;
pub use both::FdStream;
pub use error::FdStreamError;
pub use queued::QueuedFd;
pub use reader::FdReader;
pub use writer::FdWriter;
