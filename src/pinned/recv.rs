//! A message to receive.

use std::{fmt, io, marker::PhantomData};

use nix::libc;

use crate::{error::PinnedError, flags::RecvFlags, message::RecvList, receive::Received, sys};

/// A message for `IORING_OP_RECVMSG`: one buffer, room for the control messages `L` and the sender's address.
///
/// Made once, used for many receives. [`start`](Self::start) gives the header for one request, and
/// [`complete`](Self::complete) is told how that ended and gives the message; meanwhile nothing of it can be seen or taken
/// out. Descriptors that nobody takes are closed by the next start, or when it is dropped. Dropped in flight, it is
/// leaked.
///
/// ```
/// use ancillary::{MsgHdr, SocketExt, message::HopLimit, pinned::RecvMsg};
/// # #[cfg(not(uring))]
/// # fn main() {}
/// # #[cfg(uring)]
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use io_uring::{IoUring, opcode, types::Fd};
/// use std::{net::UdpSocket, os::fd::AsRawFd};
///
/// let (server, client) = (UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?);
/// server.enable::<HopLimit>()?;
/// let Ok(mut ring) = IoUring::new(8) else { return Ok(()) }; // containers often forbid it
/// let mut receive = RecvMsg::<HopLimit>::new(1500);
/// let entry = opcode::RecvMsg::new(Fd(server.as_raw_fd()), receive.start()?).flags(receive.flags()).build();
/// // SAFETY: this is the one request of this start, and its completion is reported below; the socket stays open.
/// unsafe { ring.submission().push(&entry)? };
///
/// MsgHdr::new().to(server.local_addr()?).data(b"hello").control(HopLimit(9)).send(&client)?;
/// ring.submit_and_wait(1)?;
/// let completion = ring.completion().next().expect("waited for");
/// let message = receive.complete(completion.result())?;
/// assert_eq!((message.data(), message.extract()), (&b"hello"[..], Some(HopLimit(9))));
/// # Ok(())
/// # }
/// ```
#[doc(alias = "IORING_OP_RECVMSG")]
#[doc(alias = "io_uring_prep_recvmsg")]
pub struct RecvMsg<L: RecvList = ()> {
    parts: sys::RecvPinned,
    list: PhantomData<fn() -> L>,
}

impl<L: RecvList> RecvMsg<L> {
    /// For messages of so many bytes, with room for the control messages `L` and at least 256 bytes.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        Self::with_buffer(vec![0; bytes], L::SPACE.max(256))
    }

    /// With this buffer, as far as it is filled, and so many bytes of control data. Fewer than `L::SPACE` cut the control
    /// messages short.
    #[must_use]
    pub fn with_buffer(buffer: Vec<u8>, control: usize) -> Self {
        Self { parts: sys::RecvPinned::new(buffer, control), list: PhantomData }
    }

    /// More flags, from the next start on.
    ///
    /// [`RecvFlags::TRUNC`] on TCP discards the bytes unread, which cannot be told here: they read as zeros.
    pub fn set_flags(&mut self, flags: RecvFlags) -> &mut Self {
        self.parts.ask.flags |= flags.bits();
        self
    }

    /// Does not ask for the peer's address; for connected sockets.
    pub fn no_peer(&mut self) -> &mut Self {
        self.parts.ask.peer = false;
        self
    }

    /// Leaves received descriptors open across execve(2), as C does by default; for AF_PACKET sockets, which refuse the
    /// flag that closes them.
    pub fn inheritable(&mut self) -> &mut Self {
        self.parts.ask.inheritable = true;
        self
    }

    /// The flags for the request (`msg_flags`): those that were set, and `MSG_CMSG_CLOEXEC`.
    #[doc(alias = "MSG_CMSG_CLOEXEC")]
    #[must_use]
    pub fn flags(&self) -> u32 {
        u32::from_ne_bytes(self.parts.flags().to_ne_bytes())
    }

    /// The header for one request, which the kernel has from now on; [the promise](super#the-promise) comes with it. The
    /// last message is forgotten, and descriptors of it that nobody took are closed.
    ///
    /// # Errors
    ///
    /// [`PinnedError::InFlight`].
    pub fn start(&mut self) -> Result<*mut libc::msghdr, PinnedError> {
        self.parts.start().ok_or(PinnedError::InFlight)
    }

    /// Takes the result of its request, and gives the message. Truncation is no error.
    ///
    /// On a stream, no bytes are its end; which socket it is cannot be told here, so
    /// [`is_eof`](Received::is_eof) says `false`, and credentials that Linux attaches to the end (of pid 0) are shown.
    ///
    /// # Errors
    ///
    /// That of the request, errno preserved. [`PinnedError::NotInFlight`] for a completion of nothing, and
    /// [`PinnedError::NotCompleted`] if the kernel has written no message, so that the completion was another's: this one
    /// stays in flight.
    pub fn complete(&mut self, result: i32) -> io::Result<Received<'_, L, &[u8]>> {
        self.parts.complete(result)?;
        self.received().ok_or_else(|| PinnedError::InFlight.into())
    }

    /// The message of the last completion again, where a closure cannot return it; `None` in flight. Empty, if there was
    /// none.
    pub fn received(&mut self) -> Option<Received<'_, L, &[u8]>> {
        let (inbox, arrival, data) = self.parts.received()?;
        Some(Received::of_batch(inbox, arrival, false, data))
    }

    /// Takes back a start of which no request was made: the queue was full.
    ///
    /// A request that may have reached the kernel ends by its completion alone.
    pub fn withdraw(&mut self) {
        self.parts.withdraw();
    }

    /// Whether the kernel may have it.
    #[must_use]
    pub fn is_in_flight(&self) -> bool {
        self.parts.in_flight()
    }

    /// Takes the buffer out, with the data of the last message at its start, and puts another one in its place: so data
    /// goes on without a copy.
    ///
    /// ```
    /// use ancillary::pinned::RecvMsg;
    ///
    /// let mut message = RecvMsg::<()>::with_buffer(vec![7; 1500], 256);
    /// let data = message.swap_buffer(vec![0; 1500]).expect("not in flight");
    /// assert_eq!(data, [7; 1500]); // with what arrived at its start
    ///
    /// message.start()?;
    /// assert!(message.swap_buffer(Vec::new()).is_err()); // the kernel may be writing to it
    /// # message.withdraw();
    /// # Ok::<(), ancillary::PinnedError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The buffer that was given, in flight.
    pub fn swap_buffer(&mut self, buffer: Vec<u8>) -> Result<Vec<u8>, Vec<u8>> {
        self.parts.swap(buffer)
    }
}

impl<L: RecvList> fmt::Debug for RecvMsg<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.parts.sizes() {
            Some((data, control)) => write!(f, "RecvMsg {{ data: {data} bytes, control: {control} bytes }}"),
            None => f.write_str("RecvMsg { in flight }"),
        }
    }
}
