//! One receive that goes on, a buffer for each message.

use std::{fmt, io, marker::PhantomData};

use nix::libc;

use crate::{error::PinnedError, flags::RecvFlags, message::RecvList, receive::Received, sys};

/// Buffers for `IORING_OP_RECVMSG` with `IORING_RECV_MULTISHOT` (Linux 6.0): one request receives message after message, each
/// into a buffer that the kernel takes from a ring.
///
/// It owns the buffers and their ring. [`register`](Self::register) says where the ring is, [`start`](Self::start) gives
/// the header for one request (several sockets may share the buffers), and [`complete`](Self::complete) gives each message,
/// typed as a single one. A message's buffer goes back to the kernel with the next `complete` or
/// [`recycle`](Self::recycle), and descriptors that nobody took are closed then. No call of these allocates, or
/// is a system call but to close them.
///
/// The kernel has the buffers until they are unregistered and all requests have ended, which [`release`](Self::release)
/// is told; dropped before that, they are leaked. `examples/uring_echo.rs` does all of it.
///
/// ```
/// use ancillary::{MsgHdr, SocketExt, message::{HopLimit, PktInfo}, pinned::RecvMsgMulti};
/// # #[cfg(not(uring))]
/// # fn main() {}
/// # #[cfg(uring)]
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use io_uring::{IoUring, cqueue, opcode, types::Fd};
/// use std::{net::UdpSocket, os::fd::AsRawFd};
///
/// type Meta = (PktInfo, HopLimit);
/// let (server, client) = (UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?);
/// server.enable::<Meta>()?;
/// let Ok(mut ring) = IoUring::new(8) else { return Ok(()) }; // containers often forbid it
/// # let mut probe = io_uring::Probe::new();
/// # ring.submitter().register_probe(&mut probe)?;
/// # if !probe.is_supported(opcode::SendZc::CODE) { return Ok(()) } // before Linux 6.0
///
/// let mut receive = RecvMsgMulti::<Meta>::new(64, 1500);
/// let (address, entries) = receive.register()?;
/// // SAFETY: the ring stays where it is until `release`, which comes after it is unregistered.
/// unsafe { ring.submitter().register_buf_ring_with_flags(address, entries, 0, 0)? };
/// let entry = opcode::RecvMsgMulti::new(Fd(server.as_raw_fd()), receive.start()?, 0).flags(receive.flags()).build();
/// // SAFETY: this is the one request of this start, and all its completions are reported below; the socket stays open.
/// unsafe { ring.submission().push(&entry)? };
///
/// for hops in 7..10 {
///     MsgHdr::new().to(server.local_addr()?).data(&[hops]).control(HopLimit(hops)).send(&client)?;
/// }
/// for hops in 7..10 {
///     ring.submit_and_wait(1)?;
///     let completion = ring.completion().next().expect("waited for");
///     let message = receive.complete(completion.result(), completion.flags())?;
///     let (info, limit) = message.extract();
///     assert_eq!((message.data(), limit), (&[hops][..], Some(HopLimit(hops))));
///     assert_eq!(info.unwrap().addr().to_string(), "127.0.0.1");
///     assert!(cqueue::more(completion.flags())); // else it would have to be started again
/// }
/// # Ok(())
/// # }
/// ```
#[doc(alias = "IORING_RECV_MULTISHOT")]
#[doc(alias = "IORING_REGISTER_PBUF_RING")]
#[doc(alias = "io_uring_prep_recvmsg_multishot")]
#[doc(alias = "io_uring_buf_ring")]
pub struct RecvMsgMulti<L: RecvList = ()> {
    parts: sys::Provided,
    list: PhantomData<fn() -> L>,
}

impl<L: RecvList> RecvMsgMulti<L> {
    /// So many buffers, each for a message of so many bytes, with room for the control messages `L` and at least 256
    /// bytes. The number is rounded up to a power of two, and is at most 32,768; with fewer than four, requests end sooner
    /// than they need to (ENOBUFS), since the kernel takes a buffer before it looks whether there is a message, and the last
    /// message has one.
    ///
    /// # Panics
    ///
    /// If it is more memory than there are addresses for, or a buffer of 2 GiB.
    #[must_use]
    pub fn new(buffers: u16, bytes: usize) -> Self {
        Self::with_control(buffers, bytes, L::SPACE.max(256))
    }

    /// With so many bytes of control data for each message, rounded up to a multiple of eight. Fewer than `L::SPACE` cut
    /// the control messages short.
    ///
    /// # Panics
    ///
    /// As [`new`](Self::new).
    #[must_use]
    pub fn with_control(buffers: u16, bytes: usize, control: usize) -> Self {
        let parts = sys::Provided::new(buffers, bytes, control).expect("fewer bytes than there are addresses");
        Self { parts, list: PhantomData }
    }

    /// Buffers that there are.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.parts.sizes().0.into()
    }

    /// More flags, for every request from now on. The kernel refuses [`RecvFlags::WAITALL`].
    pub fn set_flags(&mut self, flags: RecvFlags) -> &mut Self {
        self.parts.ask.flags |= flags.bits();
        self
    }

    /// Leaves received descriptors open across execve(2), as C does by default; for AF_PACKET sockets, which refuse the
    /// flag that closes them.
    pub fn inheritable(&mut self) -> &mut Self {
        self.parts.ask.inheritable = true;
        self
    }

    /// The flags for a request (`msg_flags`): those that were set, and `MSG_CMSG_CLOEXEC`.
    #[doc(alias = "MSG_CMSG_CLOEXEC")]
    #[must_use]
    pub fn flags(&self) -> u32 {
        u32::from_ne_bytes(self.parts.flags().to_ne_bytes())
    }

    /// Address and number of entries of the ring of buffers, for one registration (`IORING_REGISTER_PBUF_RING`) without
    /// flags. The kernel has the buffers from now on; [the promise](super#the-promise) comes with it.
    ///
    /// # Errors
    ///
    /// [`PinnedError::InFlight`] if it has them already.
    pub fn register(&mut self) -> Result<(u64, u16), PinnedError> {
        self.parts.lend().ok_or(PinnedError::InFlight)
    }

    /// The header for one request, which is in flight from now on.
    ///
    /// # Errors
    ///
    /// [`PinnedError::NotRegistered`].
    pub fn start(&mut self) -> Result<*const libc::msghdr, PinnedError> {
        self.parts.start().ok_or(PinnedError::NotRegistered)
    }

    /// Takes a completion of one of its requests, result and flags, and gives the message. The message before it is gone,
    /// descriptors of it that nobody took are closed, and its buffer is the kernel's again.
    ///
    /// A completion without `IORING_CQE_F_MORE` is the request's last: start another one. That is so after an error, after
    /// an empty message (on a stream: its end, which [`is_eof`](Received::is_eof) does not tell here), and whenever the
    /// kernel likes.
    ///
    /// # Errors
    ///
    /// That of the request, errno preserved: ENOBUFS if all buffers are in use, ECANCELED.
    /// [`PinnedError::NotInFlight`], [`PinnedError::NotCompleted`] and [`PinnedError::Buffer`] for a completion that is
    /// none of its own.
    #[doc(alias = "io_uring_recvmsg_out")]
    pub fn complete(&mut self, result: i32, flags: u32) -> io::Result<Received<'_, L, &[u8]>> {
        self.parts.complete(result, flags)?;
        self.received().ok_or_else(|| PinnedError::NotCompleted.into())
    }

    /// The last message again, if its buffer is not the kernel's.
    pub fn received(&mut self) -> Option<Received<'_, L, &[u8]>> {
        let (inbox, arrival, data) = self.parts.message()?;
        Some(Received::of_batch(inbox, arrival, false, data))
    }

    /// Gives the buffer of the last message back to the kernel now, and closes what nobody took.
    ///
    /// ```
    /// use ancillary::pinned::RecvMsgMulti;
    /// use std::io;
    ///
    /// /// Keeps the buffer no longer than the answer takes to be made.
    /// fn answer(receive: &mut RecvMsgMulti, result: i32, flags: u32) -> io::Result<Vec<u8>> {
    ///     let answer = receive.complete(result, flags)?.data().to_ascii_uppercase();
    ///     receive.recycle();
    ///     Ok(answer)
    /// }
    /// # let mut receive = RecvMsgMulti::new(4, 1500);
    /// assert!(answer(&mut receive, 0, 0).is_err()); // nothing is in flight
    /// ```
    pub fn recycle(&mut self) {
        self.parts.recycle();
    }

    /// Takes back a start of which no request was made: the queue was full.
    ///
    /// A request that may have reached the kernel ends by its last completion alone.
    pub fn withdraw(&mut self) {
        self.parts.end();
    }

    /// Requests in flight.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.parts.requests()
    }

    /// Says that the kernel has the buffers no longer: they have been unregistered, or registering failed. They can be
    /// registered again, and are freed when this is dropped.
    ///
    /// ```
    /// use ancillary::{PinnedError, RecvFlags, pinned::RecvMsgMulti};
    ///
    /// # fn main() -> Result<(), PinnedError> {
    /// let mut receive = RecvMsgMulti::<()>::new(64, 1500);
    /// receive.set_flags(RecvFlags::TRUNC);
    /// let (_address, entries) = receive.register()?;
    /// receive.start()?;
    /// assert_eq!((entries, receive.requests(), receive.release()), (64, 1, Err(PinnedError::InFlight)));
    /// receive.withdraw(); // no request was made of it here,
    /// receive.release()?; // and no registration
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`PinnedError::InFlight`] if a request has not ended. The ring that is closed does not end them at once: cancel
    /// them before, and report their completions.
    #[doc(alias = "IORING_UNREGISTER_PBUF_RING")]
    pub fn release(&mut self) -> Result<(), PinnedError> {
        if self.parts.release() { Ok(()) } else { Err(PinnedError::InFlight) }
    }
}

impl<L: RecvList> fmt::Debug for RecvMsgMulti<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ((count, data, control), requests) = (self.parts.sizes(), self.parts.requests());
        write!(
            f,
            "RecvMsgMulti {{ buffers: {count}, data: {data} bytes, control: {control} bytes, requests: {requests} }}"
        )
    }
}
