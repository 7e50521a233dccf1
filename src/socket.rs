//! What every socket gains: [`SocketExt`].

use std::{
    io,
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use nix::libc;

#[cfg(linux_like)]
use crate::error_queue::{ErrorQueue, QueuedError};
use crate::{
    control::ControlBuffer,
    error::FdCountError,
    flags::MsgFlags,
    message::{BorrowFd, RecvList, ScmRights},
    receive::{MsgHdrMut, Received, RecvExact},
    send::MsgHdr,
};

/// Options, receiving and descriptors, for everything that is [`AsFd`]: the sockets of std, nix, socket2, tokio, mio.
///
/// Sending goes through [`MsgHdr`].
///
/// ```
/// use ancillary::{ControlBuf, SocketExt, message::Timestamp};
///
/// # fn main() -> std::io::Result<()> {
/// let socket = std::net::UdpSocket::bind("127.0.0.1:0")?;
/// socket.enable::<Timestamp>()?;
/// socket.send_to(b"now", socket.local_addr()?)?;
/// let (mut data, mut control) = ([0; 16], ControlBuf::<Timestamp>::new());
/// let when = socket.recv_msg(&mut data, &mut control)?.extract();
/// assert!(when.is_some());
/// # Ok(())
/// # }
/// ```
pub trait SocketExt: AsFd {
    /// Asks the kernel to deliver these messages with every datagram.
    ///
    /// `Ok` says that the kernel took the option, not that every socket of the family delivers: TCP takes many and delivers
    /// few ([`message`](crate::message) says which sockets do).
    ///
    /// It knows the socket's family: on an IPv6 socket, [`PktInfo`](crate::message::PktInfo) sets the IPv6 option
    /// alone, and the other unified messages set both.
    ///
    /// # Errors
    ///
    /// [`FamilyError`](crate::FamilyError) on a socket of a family that never delivers it, else that of setsockopt(2):
    /// [`try_enable`](Self::try_enable) tells a kernel without the option from a failure.
    #[doc(alias = "setsockopt")]
    fn enable<L: RecvList>(&self) -> io::Result<()> {
        L::set_all_enabled(self.as_fd(), true)
    }

    /// The same, where the kernel may be too old or built without it: `Ok(false)` says that it has no such option for
    /// this socket (ENOPROTOOPT, EOPNOTSUPP). Of a tuple, those before the one that is missing are enabled, and those behind
    /// it are not: ask for each alone.
    ///
    /// ```
    /// use ancillary::{SocketExt, message::Timestamp};
    /// use std::net::UdpSocket;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let socket = UdpSocket::bind("127.0.0.1:0")?;
    /// if !socket.try_enable::<Timestamp>()? {
    ///     eprintln!("no receive timestamps here: using the time of reading");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`enable`](Self::enable), for every other reason.
    #[doc(alias = "ENOPROTOOPT")]
    fn try_enable<L: RecvList>(&self) -> io::Result<bool> {
        match self.enable::<L>() {
            Ok(()) => Ok(true),
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOPROTOOPT | libc::EOPNOTSUPP)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Asks the kernel to deliver them no longer.
    ///
    /// ```
    /// use ancillary::{ControlBuf, SocketExt, message::HopLimit};
    /// use std::net::UdpSocket;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let (socket, mut control) = (UdpSocket::bind("127.0.0.1:0")?, ControlBuf::<HopLimit>::new());
    /// socket.enable::<HopLimit>()?;
    /// socket.disable::<HopLimit>()?;
    /// socket.send_to(b"x", socket.local_addr()?)?;
    /// assert_eq!(socket.recv_msg(&mut [0; 16], &mut control)?.extract(), None);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`enable`](Self::enable).
    fn disable<L: RecvList>(&self) -> io::Result<()> {
        L::set_all_enabled(self.as_fd(), false)
    }

    /// Receives one message into one buffer; [`MsgHdrMut`] takes several, and flags.
    ///
    /// # Errors
    ///
    /// That of recvmsg(2); EINTR is retried. `WouldBlock` says that nothing was there, on a non-blocking socket, or that the
    /// socket's time limit has passed (`SO_RCVTIMEO`, `set_read_timeout`): it is not `TimedOut`. Truncation is no error:
    /// [`Received::require_complete`] makes it one. An error may be that of an earlier send (ECONNREFUSED after an ICMP
    /// message): on a connected datagram socket, or with [`ExtendedError`](crate::message::ExtendedError) enabled.
    #[doc(alias = "recvmsg")]
    #[doc(alias = "SO_RCVTIMEO")]
    #[inline(always)]
    fn recv_msg<'d, 'c, C: ControlBuffer>(
        &self,
        data: &'d mut [u8],
        control: &'c mut C,
    ) -> io::Result<Received<'c, C::List, &'d [u8]>> {
        MsgHdrMut::new().recv_slice(self, data, control)
    }

    /// The same into memory that may be uninitialised; what arrived is initialised.
    ///
    /// ```
    /// use ancillary::{ControlBuf, SocketExt};
    /// use std::{mem::MaybeUninit, os::unix::net::UnixDatagram};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let (a, b) = UnixDatagram::pair()?;
    /// a.send(b"hello")?;
    /// let (mut data, mut control) = ([MaybeUninit::uninit(); 65536], ControlBuf::<()>::new());
    /// assert_eq!(b.recv_msg_uninit(&mut data, &mut control)?.data(), b"hello"); // what arrived, and no more
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`recv_msg`](Self::recv_msg).
    #[inline(always)]
    fn recv_msg_uninit<'d, 'c, C: ControlBuffer>(
        &self,
        data: &'d mut [MaybeUninit<u8>],
        control: &'c mut C,
    ) -> io::Result<Received<'c, C::List, &'d [u8]>> {
        MsgHdrMut::new().recv_uninit(self, data, control)
    }

    /// The same into the spare capacity of a `bytes::BufMut` (its first chunk: reserve before), which advances.
    ///
    /// ```
    /// use ancillary::{ControlBuf, SocketExt};
    /// use bytes::BytesMut;
    /// use std::os::unix::net::UnixDatagram;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let (a, b) = UnixDatagram::pair()?;
    /// let (mut data, mut control) = (BytesMut::with_capacity(64), ControlBuf::<()>::new());
    /// for piece in ["hello, ", "world"] {
    ///     a.send(piece.as_bytes())?;
    ///     b.recv_msg_buf(&mut data, &mut control)?;
    /// }
    /// assert_eq!(data, "hello, world");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`recv_msg`](Self::recv_msg).
    #[cfg(feature = "bytes")]
    fn recv_msg_buf<'c, C: ControlBuffer>(
        &self,
        data: &mut (impl bytes::BufMut + ?Sized),
        control: &'c mut C,
    ) -> io::Result<Received<'c, C::List>> {
        MsgHdrMut::new().recv_buf(self.as_fd(), data, control)
    }

    /// Receives exactly as many bytes from a blocking stream as the buffer holds, in as many calls as it takes; the
    /// control data of all of them is kept. On a non-blocking socket, or one with a timeout, `WouldBlock` loses what
    /// has arrived: [`RecvExact`] does the same and remembers. On datagrams, which have borders, it has no meaning.
    ///
    /// # Errors
    ///
    /// [`ShortReadError`](crate::ShortReadError) (`UnexpectedEof`) says how many bytes came before the peer closed.
    fn recv_exact<'c, C: ControlBuffer>(
        &self,
        data: &mut [u8],
        control: &'c mut C,
    ) -> io::Result<Received<'c, C::List>> {
        RecvExact::new().recv(self.as_fd(), data, control)
    }

    /// The socket's error queue, if sockets of its kind have one.
    ///
    /// # Errors
    ///
    /// [`FamilyError`](crate::FamilyError) for AF_UNIX, netlink and others, which ignore `MSG_ERRQUEUE` and would hand out
    /// ordinary messages; `Unsupported` for SCTP, DCCP, L2TP, some of CAN and vsock without `SO_ZEROCOPY`, which do the same.
    #[cfg(linux_like)]
    #[doc(alias = "MSG_ERRQUEUE")]
    fn error_queue(&self) -> io::Result<ErrorQueue<'_>> {
        ErrorQueue::of(self.as_fd())
    }

    /// Reads one entry of the error queue, without ever blocking: the short form of
    /// [`error_queue`](Self::error_queue), which looks at the socket once for many entries.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if there is none; see [`ErrorQueue::recv`].
    #[cfg(linux_like)]
    #[doc(alias = "MSG_ERRQUEUE")]
    #[doc(alias = "IP_RECVERR")]
    fn recv_error<'d, 'c, C: ControlBuffer>(
        &self,
        data: &'d mut [u8],
        control: &'c mut C,
    ) -> io::Result<QueuedError<'c, C::List, &'d [u8]>> {
        ErrorQueue::of(self.as_fd())?.recv(data, control)
    }

    /// Sends data with descriptors, in one call: on a stream perhaps not all of the data, but all of the descriptors.
    /// The socket has to be an AF_UNIX one: others take the data and ignore descriptors.
    ///
    /// # Errors
    ///
    /// As [`MsgHdr::send`].
    #[doc(alias = "SCM_RIGHTS")]
    fn send_fds<'fd, I>(&self, data: &'fd [u8], fds: impl IntoIterator<IntoIter = I>) -> io::Result<usize>
    where
        I: Iterator<Item: BorrowFd<'fd>> + Clone,
    {
        MsgHdr::new().data(data).control(ScmRights::new(fds)).send(self)
    }

    /// Receives data with at most `N` descriptors, close-on-exec. More than `N` are closed, and reported as
    /// [`MsgFlags::CTRUNC`]; [`FdMessage::exact`] makes an error of more and of fewer.
    ///
    /// # Errors
    ///
    /// As [`recv_msg`](Self::recv_msg). The end of a stream is none: [`FdMessage::is_eof`].
    #[doc(alias = "SCM_RIGHTS")]
    fn recv_fds<const N: usize>(&self, data: &mut [u8]) -> io::Result<FdMessage<N>> {
        // Room for as many as a message can carry, and for credentials and the like that others have enabled.
        let mut control = crate::ControlBuf::<(), 1536>::new();
        let mut message = self.recv_msg(data, &mut control)?;
        let (len, eof, flags) = (message.len(), message.is_eof(), message.flags());
        let mut arrived = message.take_fds();
        let fds = std::array::from_fn(|_| arrived.next());
        let surplus = arrived.map(drop).count();
        let flags = if surplus > 0 { flags | MsgFlags::CTRUNC } else { flags };
        Ok(FdMessage { len, eof, flags, fds, surplus })
    }
}

impl<T: AsFd + ?Sized> SocketExt for T {}

/// Data with descriptors, from [`SocketExt::recv_fds`]; iterates over the descriptors, closes what is left.
///
/// ```
/// use ancillary::SocketExt;
/// use std::os::unix::net::UnixStream;
///
/// # fn main() -> std::io::Result<()> {
/// let (a, b) = UnixStream::pair()?;
/// a.send_fds(b"ours", [&a, &b])?;
/// let mut data = [0; 4];
/// let message = b.recv_fds(&mut data)?;
/// let len = message.len(); // fewer than four, perhaps: it is a stream
/// let [first, second] = message.exact()?;
/// # drop((first, second, len));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct FdMessage<const N: usize> {
    len: usize,
    eof: bool,
    flags: MsgFlags,
    fds: [Option<OwnedFd>; N],
    surplus: usize,
}

impl<const N: usize> FdMessage<N> {
    /// Bytes of data.
    #[expect(clippy::len_without_is_empty, reason = "the length of the data, not of the descriptors")]
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether the peer has closed the stream; see [`Received::is_eof`].
    #[must_use]
    pub fn is_eof(&self) -> bool {
        self.eof
    }

    /// What the receive reported; [`MsgFlags::CTRUNC`] if descriptors were closed for want of room.
    #[must_use]
    pub fn flags(&self) -> MsgFlags {
        self.flags
    }

    /// The descriptors, borrowed.
    pub fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> + Clone {
        self.fds.iter().flatten().map(AsFd::as_fd)
    }

    /// All `N` descriptors. With `MSG_CTRUNC` in the [`flags`](Self::flags), fewer than were sent could be opened.
    ///
    /// # Errors
    ///
    /// [`FdCountError`] if more or fewer arrived; all are closed then.
    pub fn exact(self) -> Result<[OwnedFd; N], FdCountError> {
        let found = self.fds().count() + self.surplus;
        if found != N {
            return Err(FdCountError { expected: N, found });
        }
        Ok(self.fds.map(|fd| fd.expect("counted above")))
    }
}

impl<const N: usize> IntoIterator for FdMessage<N> {
    type Item = OwnedFd;
    type IntoIter = IntoFds<N>;

    fn into_iter(self) -> IntoFds<N> {
        IntoFds(self.fds.into_iter().flatten())
    }
}

/// The descriptors of an [`FdMessage`]; closes what is not taken.
///
/// ```
/// use ancillary::SocketExt;
/// use std::{fs::File, os::unix::net::UnixStream};
///
/// # fn main() -> std::io::Result<()> {
/// let (a, b) = UnixStream::pair()?;
/// a.send_fds(b"as many as there are", [&File::open("/dev/null")?, &File::open("/dev/zero")?])?;
/// let mut data = [0; 32];
/// let files: Vec<File> = b.recv_fds::<8>(&mut data)?.into_iter().map(File::from).collect();
/// assert_eq!(files.len(), 2);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "descriptors that are not taken are closed"]
pub struct IntoFds<const N: usize>(std::iter::Flatten<std::array::IntoIter<Option<OwnedFd>, N>>);

impl<const N: usize> Iterator for IntoFds<N> {
    type Item = OwnedFd;

    fn next(&mut self) -> Option<OwnedFd> {
        self.0.next()
    }
}
