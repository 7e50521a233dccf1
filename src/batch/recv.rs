//! Messages that come together.

use std::{
    fmt,
    io::{self, IoSliceMut},
    iter::FusedIterator,
    marker::PhantomData,
    os::fd::AsFd,
};

use crate::{error::EncodeError, flags::RecvFlags, message::RecvList, receive::Received, sys};

/// Buffers for a batch of messages to receive (recvmmsg(2)), made once and used again.
///
/// Each message has its own data, control messages and sender, and gives the same typed access as a single one
/// ([`Received`]). Descriptors that nobody takes are closed by the next receive, or when it is dropped.
///
/// ```
/// use ancillary::{MsgHdr, SocketExt, batch::RecvBatch, message::{HopLimit, PktInfo}};
/// use std::net::UdpSocket;
///
/// # fn main() -> std::io::Result<()> {
/// type Meta = (PktInfo, HopLimit);
/// let (server, client) = (UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?);
/// server.enable::<Meta>()?;
/// for hops in 7..10 {
///     MsgHdr::new().to(server.local_addr()?).data(&[hops]).control(HopLimit(hops)).send(&client)?;
/// }
///
/// let mut batch = RecvBatch::<Meta>::new(32, 1500);
/// for (message, hops) in batch.recv(&server)?.zip(7..) {
///     let (info, limit) = message.extract();
///     assert_eq!((message.data(), limit), (&[hops][..], Some(HopLimit(hops))));
///     assert_eq!(info.unwrap().addr().to_string(), "127.0.0.1");
/// }
/// # Ok(())
/// # }
/// ```
///
/// The messages last until the next receive:
///
/// ```compile_fail,E0499
/// use ancillary::batch::RecvBatch;
/// # fn f(socket: std::net::UdpSocket) -> std::io::Result<()> {
/// let mut batch = RecvBatch::<()>::new(32, 1500);
/// let first = batch.recv(&socket)?.next().unwrap();
/// batch.recv(&socket)?;
/// println!("{:?}", first.data());
/// # Ok(())
/// # }
/// ```
///
/// [recvmmsg(2)](https://man7.org/linux/man-pages/man2/recvmmsg.2.html)
#[doc(alias = "recvmmsg")]
#[doc(alias = "mmsghdr")]
pub struct RecvBatch<L: RecvList = ()> {
    inboxes: sys::InBatch,
    ask: sys::Recv,
    list: PhantomData<fn() -> L>,
}

impl<L: RecvList> RecvBatch<L> {
    /// For so many messages of so many bytes, with room for the control messages `L` and at least 256 bytes each.
    ///
    /// Memory that is not written costs nothing but addresses: 64 KiB for each message, as merged datagrams need
    /// ([`UdpGro`](crate::message::UdpGro)), are fine.
    #[must_use]
    pub fn new(messages: usize, bytes: usize) -> Self {
        Self::with_control(messages, bytes, L::SPACE.max(256))
    }

    /// With so many bytes of control data for each message, rounded up to a multiple of eight. Fewer than `L::SPACE` cut
    /// the control messages short.
    ///
    /// ```
    /// use ancillary::{SocketExt, batch::RecvBatch, message::{RecvList, ScmRightsSpace}};
    /// use std::os::unix::net::UnixDatagram;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// type Few = ScmRightsSpace<3>;
    /// let (a, b) = UnixDatagram::pair()?;
    /// a.send_fds(b"three", [&a, &b, &a])?;
    /// let mut batch = RecvBatch::<Few>::with_control(64, 1500, Few::SPACE); // 64 times that, and not 256
    /// let mut message = batch.recv(&b)?.next().unwrap();
    /// assert_eq!(message.take_fds().count(), 3);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// If it is more memory than there are addresses for, or more messages than one call takes (2³² − 1).
    #[must_use]
    pub fn with_control(messages: usize, bytes: usize, control: usize) -> Self {
        let inboxes = sys::InBatch::new(messages, bytes, control)
            .expect("fewer bytes than addresses, messages than a call takes");
        Self { inboxes, ask: sys::Recv::PLAIN, list: PhantomData }
    }

    /// Messages that it has room for.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.inboxes.capacity()
    }

    /// More flags, for every receive from now on.
    pub fn flags(&mut self, flags: RecvFlags) -> &mut Self {
        self.ask.flags |= flags.bits();
        // The error queue never blocks, but AF_UNIX ignores the flag and would.
        #[cfg(linux_like)]
        if flags.contains(RecvFlags::ERRQUEUE) {
            self.ask.flags |= RecvFlags::DONTWAIT.bits();
        }
        self
    }

    /// Leaves received descriptors open across execve(2), as C does by default.
    pub fn inheritable(&mut self) -> &mut Self {
        self.ask.inheritable = true;
        self
    }

    /// Receives the messages that are there (recvmmsg(2)), and waits if there is none: for one, not for all
    /// (`MSG_WAITFORONE`). The call's timeout is not offered: the kernel looks at it only when a message comes.
    ///
    /// With [`RecvFlags::PEEK`] it is one message: all would be the same. The end of a stream comes once
    /// ([`Received::is_eof`]); of a sequential-packet socket, where nothing tells it from an empty message, it fills the
    /// batch.
    ///
    /// # Errors
    ///
    /// That of recvmmsg(2) before the first message; one behind it is told by the next call. An error that is pending on a
    /// stream comes before the data that arrived before it: go on until there is no more. EINTR is retried, `WouldBlock` is
    /// returned. Truncation is no error. [`EncodeError::Value`](crate::EncodeError::Value) if there is no room for a
    /// message.
    #[doc(alias = "recvmmsg")]
    #[doc(alias = "MSG_WAITFORONE")]
    #[inline(always)]
    pub fn recv(&mut self, socket: impl AsFd) -> io::Result<ReceivedMessages<'_, L>> {
        if self.capacity() == 0 {
            return Err(no_room().into());
        }
        self.inboxes.recv(&socket, self.ask)?;
        Ok(self.received())
    }

    /// The same into buffers of the caller's, `each` for every message, in order. The messages say how long they are; their
    /// data lies in the buffers, which are the caller's again at once.
    ///
    /// ```
    /// use ancillary::batch::RecvBatch;
    /// use std::{io::IoSliceMut, net::UdpSocket};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let socket = UdpSocket::bind("127.0.0.1:0")?;
    /// # let to = socket.local_addr()?;
    /// for data in [b"head first", b"head other"] {
    ///     socket.send_to(data, to)?;
    /// }
    /// let (mut heads, mut bodies) = ([[0; 5]; 2], [[0; 64]; 2]);
    /// let mut buffers: Vec<_> = heads.iter_mut().zip(&mut bodies)
    ///     .flat_map(|(head, body)| [IoSliceMut::new(head), IoSliceMut::new(body)])
    ///     .collect();
    /// let mut batch = RecvBatch::<()>::new(2, 0); // without buffers of its own
    /// let lengths: Vec<usize> = batch.recv_into(&socket, &mut buffers, 2)?.map(|message| message.len()).collect();
    /// assert_eq!(lengths, [10, 10]);
    /// assert_eq!((&heads[1], &bodies[1][..5]), (b"head ", &b"other"[..]));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    pub fn recv_into(
        &mut self,
        socket: impl AsFd,
        buffers: &mut [IoSliceMut<'_>],
        each: usize,
    ) -> io::Result<ReceivedMessages<'_, L, ()>> {
        if self.capacity() == 0 || each == 0 || each > buffers.len() {
            return Err(no_room().into());
        }
        self.inboxes.recv_into(&socket, buffers, each, self.ask)?;
        Ok(self.received_into())
    }

    /// The messages of the last receive that have not been looked at: where a closure around readiness cannot return them.
    /// None after [`recv_into`](Self::recv_into).
    ///
    /// ```
    /// use ancillary::batch::RecvBatch;
    /// use std::net::UdpSocket;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let (socket, mut batch) = (UdpSocket::bind("127.0.0.1:0")?, RecvBatch::<()>::new(32, 1500));
    /// socket.send_to(b"hello", socket.local_addr()?)?;
    /// let when_ready = |batch: &mut RecvBatch<()>| batch.recv(&socket).map(|messages| messages.len());
    /// let count = when_ready(&mut batch)?; // by whatever waits for readiness
    /// let first = batch.received().next().unwrap();
    /// assert_eq!((count, first.data()), (1, &b"hello"[..]));
    /// # Ok(())
    /// # }
    /// ```
    #[inline(always)]
    pub fn received(&mut self) -> ReceivedMessages<'_, L> {
        let mut messages = self.inboxes.messages();
        if messages.are_elsewhere() {
            messages.end();
        }
        ReceivedMessages { messages, kind: PhantomData }
    }

    /// The same after [`recv_into`](Self::recv_into); else without their data.
    ///
    /// ```
    /// use ancillary::batch::RecvBatch;
    /// use std::{io::IoSliceMut, net::UdpSocket};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let (socket, mut batch) = (UdpSocket::bind("127.0.0.1:0")?, RecvBatch::<()>::new(1, 0));
    /// socket.send_to(b"hello", socket.local_addr()?)?;
    /// let mut data = [0; 64];
    /// let count = batch.recv_into(&socket, &mut [IoSliceMut::new(&mut data)], 1)?.len();
    /// let message = batch.received_into().next().unwrap(); // as often as the closure around readiness is done
    /// assert_eq!((count, &data[..message.len()]), (1, &b"hello"[..]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn received_into(&mut self) -> ReceivedMessages<'_, L, ()> {
        ReceivedMessages { messages: self.inboxes.messages(), kind: PhantomData }
    }

    /// Forgets the last messages and closes the descriptors that nobody took.
    pub fn clear(&mut self) {
        self.inboxes.clear();
    }
}

#[cold]
fn no_room() -> EncodeError {
    EncodeError::Value { field: "vlen", expected: "room and buffers for a message", found: 0 }
}

/// Prints how many messages it has room for, and how much for each.
impl<L: RecvList> fmt::Debug for RecvBatch<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (data, control) = self.inboxes.sizes();
        write!(f, "RecvBatch {{ capacity: {}, data: {data} bytes, control: {control} bytes }}", self.capacity())
    }
}

/// The messages that one call has brought; see [`RecvBatch::recv`].
///
/// With `D` of `&[u8]` they have their data, with `()` it is in the caller's buffers.
///
/// ```
/// use ancillary::batch::{ReceivedMessages, RecvBatch};
/// use std::net::UdpSocket;
///
/// /// What a server does with all that has come together.
/// fn serve(messages: ReceivedMessages<'_, ()>) -> usize {
///     println!("{} at once", messages.len());
///     messages.map(|message| message.data().len()).sum()
/// }
///
/// # fn main() -> std::io::Result<()> {
/// # let (socket, mut batch) = (UdpSocket::bind("127.0.0.1:0")?, RecvBatch::new(32, 1500));
/// # let to = socket.local_addr()?;
/// for data in [&b"one"[..], b"three"] {
///     socket.send_to(data, to)?;
/// }
/// assert_eq!(serve(batch.recv(&socket)?), 8);
/// # Ok(())
/// # }
/// ```
pub struct ReceivedMessages<'b, L, D = &'b [u8]> {
    messages: sys::InMessages<'b>,
    kind: PhantomData<fn() -> (L, D)>,
}

impl<'b, L: RecvList> Iterator for ReceivedMessages<'b, L> {
    type Item = Received<'b, L, &'b [u8]>;

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        let (inbox, arrival, eof, data) = self.messages.next()?;
        Some(Received::of_batch(inbox, arrival, eof, data))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.messages.len(), Some(self.messages.len()))
    }
}

impl<'b, L: RecvList> Iterator for ReceivedMessages<'b, L, ()> {
    type Item = Received<'b, L>;

    fn next(&mut self) -> Option<Self::Item> {
        let (inbox, arrival, eof) = self.messages.next_elsewhere()?;
        Some(Received::of_batch(inbox, arrival, eof, ()))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.messages.len(), Some(self.messages.len()))
    }
}

impl<L: RecvList> ExactSizeIterator for ReceivedMessages<'_, L> {}
impl<L: RecvList> ExactSizeIterator for ReceivedMessages<'_, L, ()> {}
impl<L: RecvList> FusedIterator for ReceivedMessages<'_, L> {}
impl<L: RecvList> FusedIterator for ReceivedMessages<'_, L, ()> {}

impl<L, D> fmt::Debug for ReceivedMessages<'_, L, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReceivedMessages {{ left: {} }}", self.messages.len())
    }
}
