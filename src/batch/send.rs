//! Messages that go out together.

use std::{
    fmt, io,
    os::fd::{AsFd, BorrowedFd},
};

use crate::{
    cmsg::Cmsgs,
    error::EncodeError,
    flags::SendFlags,
    parser,
    send::{BatchSlot, MsgHdr, other_name, refused_flags, without_data},
    sys::{self, QueueError},
};

/// Room for a batch of messages to send (sendmmsg(2)), made once and used again.
///
/// ```
/// use ancillary::{batch::SendBatch, message::HopLimit};
/// use std::net::UdpSocket;
///
/// # fn main() -> std::io::Result<()> {
/// let (socket, peer) = (UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?);
/// let to = peer.local_addr()?;
/// let mut room = SendBatch::new(32);
/// for round in [b"ping", b"pong"] {
///     let mut batch = room.begin();
///     for (hops, number) in (1..).zip([b"1", b"2", b"3"]) {
///         batch.message().to(to).data(round).data(number).control(HopLimit(hops)).queue()?;
///     }
///     assert_eq!(batch.send_all(&socket)?, 3);
/// }
///
/// let mut data = [0; 16];
/// let len = peer.recv(&mut data)?;
/// assert_eq!(&data[..len], b"ping1");
/// # Ok(())
/// # }
/// ```
///
/// [sendmmsg(2)](https://man7.org/linux/man-pages/man2/sendmmsg.2.html)
#[doc(alias = "sendmmsg")]
#[doc(alias = "mmsghdr")]
pub struct SendBatch {
    out: sys::OutBatch,
}

impl SendBatch {
    /// For so many messages, with room for five buffers and 128 bytes of control messages each, on average.
    #[must_use]
    pub fn new(messages: usize) -> Self {
        Self::with_room(messages, 4 * messages, 128 * messages)
    }

    /// For so many messages, with room for so many buffers, beside one for each message, and for so many bytes of control
    /// messages in all: one may need much and the next little. A list of buffers given whole ([`MsgHdr::slices`]) and a
    /// [`ControlList`](crate::ControlList) need no room.
    ///
    /// ```
    /// use ancillary::{EncodeError, batch::SendBatch};
    ///
    /// let mut room = SendBatch::with_room(8, 8, 0); // eight messages, eight buffers more, no control messages
    /// let mut batch = room.begin();
    /// for count in [7, 3] {
    ///     let mut message = batch.message();
    ///     for _ in 0..count {
    ///         message.data(b"piece");
    ///     }
    ///     message.queue()?;
    /// }
    /// batch.message().data(b"its own").queue()?;
    /// let full = batch.message().data(b"its own").data(b"one more").queue();
    /// assert_eq!(full, Err(EncodeError::Slices { needed: 2, available: 1 }));
    /// # Ok::<(), EncodeError>(())
    /// ```
    #[must_use]
    pub fn with_room(messages: usize, slices: usize, control: usize) -> Self {
        Self { out: sys::OutBatch::new(messages, slices, control) }
    }

    /// Messages that it has room for.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.out.capacity()
    }

    /// An empty batch in this room.
    #[inline(always)]
    pub fn begin<'a>(&mut self) -> Batch<'_, 'a> {
        Batch { session: self.out.session(), flags: SendFlags::NOSIGNAL, error: None }
    }
}

/// Prints how many messages it has room for.
impl fmt::Debug for SendBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SendBatch {{ capacity: {} }}", self.capacity())
    }
}

/// A message of a [`Batch`] while it is built: a [`MsgHdr`] with its parts in the batch.
///
/// ```
/// use ancillary::{EncodeError, batch::{BatchMessage, SendBatch}, message::HopLimit};
/// use std::net::SocketAddr;
///
/// /// A question, in its place in a batch.
/// fn ask<'a>(mut message: BatchMessage<'_, 'a>, to: SocketAddr, name: &'a [u8]) -> Result<(), EncodeError> {
///     message.to(to).data(b"where is ").data(name).control(HopLimit(1)).queue()
/// }
///
/// let mut room = SendBatch::new(8);
/// let mut batch = room.begin();
/// ask(batch.message(), ([192, 0, 2, 1], 5353).into(), b"printer.local")?;
/// assert_eq!(batch.len(), 1);
/// # Ok::<(), EncodeError>(())
/// ```
pub type BatchMessage<'m, 'a> = MsgHdr<'a, BatchSlot<'m, 'a>>;

impl<'a> MsgHdr<'a, BatchSlot<'_, 'a>> {
    /// Puts the message into the batch, behind those that are there. Without it, it is forgotten, without a word.
    ///
    /// # Errors
    ///
    /// [`EncodeError::Messages`] if the batch is full, [`EncodeError::Queued`] for a second time; else the first
    /// [`EncodeError`] of the builder, of which [`EncodeError::Slices`] and [`EncodeError::ControlSpace`] say whether the
    /// message would fit into an empty batch: its room is for all messages together. The batch is as it was then.
    #[inline(always)]
    pub fn queue(&mut self) -> Result<(), EncodeError> {
        if let Some(error) = self.first_error() {
            let queued = self.slot().is_queued();
            return Err(if queued { EncodeError::Queued } else { error });
        }
        match self.put_in_slot() {
            Ok(()) => Ok(()),
            Err(QueueError::Full(available)) => Err(EncodeError::Messages { available }),
            Err(QueueError::Queued) => Err(EncodeError::Queued),
            Err(QueueError::Slices(needed)) => Err(EncodeError::Slices { needed, available: sys::MAX_SLICES }),
        }
    }
}

/// Messages that are queued and sent together; see [`SendBatch`].
///
/// What is sent, and in which order, is that of the [`queue`](BatchMessage::queue) calls. A batch that has gone whole stays
/// full: [`SendBatch::begin`] makes room. A message that cannot be built is told by `queue` and is not in the batch; one
/// that the kernel refuses is the first that has not gone: [`send`](Self::send) sends those before it and then returns its
/// error, [`skip`](Self::skip) leaves it out.
///
/// Not every error is the message's: a pending one (ECONNREFUSED after an ICMP message) is the socket's, and the message goes
/// when it is sent again. What no repetition helps is to be left out: EMSGSIZE, EINVAL, and what says the same of a
/// destination (EACCES, EAFNOSUPPORT); [`send_each`](Self::send_each) does both.
///
/// ```
/// use ancillary::batch::SendBatch;
/// use nix::libc;
/// use std::net::UdpSocket;
///
/// # fn main() -> std::io::Result<()> {
/// let (socket, peer) = (UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?);
/// let (too_long, mut room) = (vec![0; 70_000], SendBatch::new(3));
/// let mut batch = room.begin();
/// for data in [&b"first"[..], &too_long, b"third"] {
///     batch.message().to(peer.local_addr()?).data(data).queue()?;
/// }
/// let error = batch.send_all(&socket).unwrap_err();
/// assert_eq!((batch.sent(), error.raw_os_error()), (1, Some(libc::EMSGSIZE)));
/// batch.skip();
/// assert_eq!(batch.send_all(&socket)?, 1);
/// # Ok(())
/// # }
/// ```
///
/// It cannot outlive what its messages borrow:
///
/// ```compile_fail,E0597
/// use ancillary::batch::SendBatch;
///
/// let mut room = SendBatch::new(1);
/// let mut batch = room.begin();
/// {
///     let data = vec![1, 2, 3];
///     batch.message().data(&data).queue().unwrap();
/// }
/// batch.skip();
/// ```
pub struct Batch<'b, 'a> {
    session: sys::OutSession<'b, 'a>,
    flags: SendFlags,
    error: Option<EncodeError>,
}

impl<'a> Batch<'_, 'a> {
    /// One more message, to be built and [queued](BatchMessage::queue).
    #[inline(always)]
    pub fn message(&mut self) -> BatchMessage<'_, 'a> {
        MsgHdr::in_slot(self.session.slot())
    }

    /// Flags for all of them, beside [`SendFlags::NOSIGNAL`]; of `FASTOPEN` alone the first that goes makes use.
    pub fn flags(&mut self, flags: SendFlags) -> &mut Self {
        match refused_flags(flags) {
            Some(error) => self.error = Some(error),
            None => self.flags |= flags,
        }
        self
    }

    /// Messages queued, sent or not.
    #[must_use]
    pub fn len(&self) -> usize {
        self.session.len()
    }

    /// Whether none has been queued.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether no further message can be queued.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.len() == self.session.capacity()
    }

    /// How many have gone, or been left out: the error of a send was found at the next one.
    #[must_use]
    pub fn sent(&self) -> usize {
        self.session.sent()
    }

    /// Sends those that have not gone, in one call (sendmmsg(2)), and returns how many went: at least one, fewer than all
    /// if the kernel refuses one behind it. 0: there is none left.
    ///
    /// A call takes 1,024. On a stream a message that goes in part is finished first (before Linux 4.9 the kernel itself
    /// goes on with the next one). Of an error that was pending, as after an ICMP message, Linux tells only when it comes to
    /// the first message of a call.
    ///
    /// # Errors
    ///
    /// Those of [`MsgHdr::send`] for the first message that has not gone; no whole message has gone by this call then. On a
    /// stream a part of it may have ([`begun`](Self::begun)): calling again goes on behind it, without the control messages:
    /// what the kernel's TLS wants with every call ([`TlsRecordType`](crate::message)) is not for batches of long records.
    #[doc(alias = "sendmmsg")]
    #[inline(always)]
    pub fn send(&mut self, socket: impl AsFd) -> io::Result<usize> {
        let (socket, mut most) = (socket.as_fd(), usize::MAX);
        if self.error.is_some() || self.session.is_loose() {
            most = self.check(socket)?;
        }
        let sent = match self.session.send(socket, most, self.flags.bits()) {
            Ok(sent) => sent,
            Err(error) => self.explain(socket, error)?,
        };
        #[cfg(linux_like)]
        {
            self.flags -= SendFlags::FASTOPEN; // it is connected now
        }
        Ok(sent)
    }

    /// Sends all that have not gone, in as many calls as it takes, and returns how many went.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), `WouldBlock` included. Calling it again goes on with the same message.
    #[inline(always)]
    pub fn send_all(&mut self, socket: impl AsFd) -> io::Result<usize> {
        let before = self.sent();
        while self.sent() < self.len() {
            self.send(&socket)?;
        }
        Ok(self.sent() - before)
    }

    /// Sends all that have not gone, and leaves out what the kernel refuses, so that one client's trouble is not the
    /// others': `refused` gets the number of such a message, in the order of the [`queue`](BatchMessage::queue) calls, and
    /// its error. Returns how many went.
    ///
    /// The first error of a message may be the socket's, pending since an ICMP message: it is sent once more, and is left out
    /// if that fails too.
    ///
    /// ```
    /// use ancillary::batch::SendBatch;
    /// use nix::libc;
    /// use std::net::{Ipv4Addr, UdpSocket};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let (socket, peer) = (UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?);
    /// let (mut room, mut left_out) = (SendBatch::new(3), Vec::new());
    /// let mut batch = room.begin();
    /// batch.message().to(peer.local_addr()?).data(b"first").queue()?;
    /// batch.message().to((Ipv4Addr::LOCALHOST, 0)).data(b"to nobody").queue()?; // whoever said that it came from there
    /// batch.message().to(peer.local_addr()?).data(b"third").queue()?;
    /// let went = batch.send_each(&socket, |number, error| left_out.push((number, error.raw_os_error())))?;
    /// assert_eq!((went, left_out), (2, vec![(1, Some(libc::EINVAL))]));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// `WouldBlock`, and on a stream, of which no message can be left out, any. Calling it again goes on with the same
    /// message.
    pub fn send_each(&mut self, socket: impl AsFd, mut refused: impl FnMut(usize, io::Error)) -> io::Result<usize> {
        let (socket, mut went, mut again) = (socket.as_fd(), 0, false);
        while self.sent() < self.len() {
            match self.send(socket) {
                Ok(count) => (went, again) = (went + count, false),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock || self.error.is_some() => return Err(error),
                Err(error) if sys::takes_parts(socket)? => return Err(error),
                Err(_) if !again => again = true,
                Err(error) => {
                    refused(self.sent(), error);
                    self.skip();
                    again = false;
                }
            }
        }
        Ok(went)
    }

    /// How many bytes of the next message have gone, on a stream.
    ///
    /// A batch borrows its data. Whoever has to give it up in between keeps [`sent`](Self::sent) and this, queues the rest
    /// of the messages in another batch and lets it [`resume`](Self::resume) here.
    #[must_use]
    pub fn begun(&self) -> usize {
        self.session.begun()
    }

    /// Lets the first message continue behind so many bytes, without its control messages, which went with the first byte.
    ///
    /// ```
    /// use ancillary::batch::SendBatch;
    /// use std::os::unix::net::UnixStream;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let (a, b) = UnixStream::pair()?;
    /// let (first, second) = ([7; 1 << 20], [8; 3]); // more than the socket takes at once
    /// # a.set_nonblocking(true)?;
    /// let mut room = SendBatch::new(2);
    /// let mut batch = room.begin();
    /// for data in [&first[..], &second] {
    ///     batch.message().data(data).queue()?;
    /// }
    /// assert!(batch.send_all(&a).is_err()); // it would block
    /// let (sent, begun) = (batch.sent(), batch.begun()); // all that is to be kept
    /// assert!(sent == 0 && begun > 0);
    ///
    /// # let read = std::thread::spawn(move || std::io::copy(&mut &b, &mut std::io::sink()));
    /// # a.set_nonblocking(false)?;
    /// let mut batch = room.begin();
    /// for data in [&first[..], &second].into_iter().skip(sent) {
    ///     batch.message().data(data).queue()?;
    /// }
    /// batch.resume(begun).send_all(&a)?;
    /// # drop(a);
    /// # assert_eq!(read.join().unwrap()?, (1 << 20) + 3);
    /// # Ok(())
    /// # }
    /// ```
    pub fn resume(&mut self, begun: usize) -> &mut Self {
        self.session.rewind(begun);
        self
    }

    /// Makes it as if nothing had gone: to send the same to another socket.
    ///
    /// ```
    /// use ancillary::{SocketExt, batch::SendBatch};
    /// use std::os::unix::net::UnixDatagram;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let ((a, one), (b, other)) = (UnixDatagram::pair()?, UnixDatagram::pair()?);
    /// let mut room = SendBatch::new(2);
    /// let mut batch = room.begin();
    /// batch.message().data(b"to both").queue()?;
    /// batch.send_all(&a)?;
    /// batch.rewind().send_all(&b)?;
    /// # assert_eq!((one.recv(&mut [0; 9])?, other.recv(&mut [0; 9])?), (7, 7));
    /// # Ok(())
    /// # }
    /// ```
    pub fn rewind(&mut self) -> &mut Self {
        self.resume(0)
    }

    /// Lets a write to a closed stream raise SIGPIPE, as C does by default.
    pub fn raise_sigpipe(&mut self) -> &mut Self {
        self.flags -= SendFlags::NOSIGNAL;
        self
    }

    /// Leaves out the next message; whether there was one. On a stream of which it has gone in part, its rest is missing
    /// there.
    pub fn skip(&mut self) -> bool {
        self.session.skip()
    }

    /// How many may go in one call. Control messages without data would be lost on a stream, and what has begun is to go on.
    #[cold]
    #[inline(never)]
    fn check(&mut self, socket: BorrowedFd<'_>) -> io::Result<usize> {
        if let Some(error) = self.error {
            return Err(error.into());
        }
        let (begun, takes_parts) = (self.begun(), sys::takes_parts(socket)?);
        let Some((_, slices, control)) = self.session.next() else { return Ok(usize::MAX) };
        let bytes = sys::total(slices);
        if begun > 0 && (begun > bytes || !takes_parts) {
            let expected = if takes_parts { "no more than the bytes of the message" } else { "0: not a stream" };
            return Err(EncodeError::Value { field: "begun", expected, found: begun as i64 }.into());
        }
        if !takes_parts {
            return Ok(usize::MAX);
        }
        if begun == 0 {
            without_data(socket, slices, control)?;
        }
        Ok(1)
    }

    #[cold]
    #[inline(never)]
    fn explain(&mut self, socket: BorrowedFd<'_>, error: io::Error) -> io::Result<usize> {
        #[cfg(linux_like)]
        if self.begun() > 0 {
            self.flags -= SendFlags::FASTOPEN; // it is connected now
        }
        let name = self.session.next().and_then(|(name, ..)| name);
        let plain = other_name(socket, name, error)?;
        self.session.redirect(plain);
        self.session.send(socket, 1, self.flags.bits())
    }
}

/// Prints the messages and how many have gone.
impl fmt::Debug for Batch<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Batch {{ sent: {} of {}, messages: [", self.sent(), self.len())?;
        for (index, (name, slices, control)) in (0..).map_while(|at| Some((at, self.session.message(at)?))) {
            let bytes = slices.iter().fold(0u64, |sum, slice| sum.saturating_add(slice.len() as u64));
            write!(f, "{}{bytes} bytes", if index > 0 { ", " } else { "" })?;
            if let Some(name) = name {
                write!(f, " to {name:?}")?;
            }
            if !control.is_empty() {
                f.write_str(" with ")?;
                parser::fmt_list(Cmsgs::new(control), f)?;
            }
        }
        f.write_str("] }")
    }
}
