//! Sends without a copy (`MSG_ZEROCOPY`; Linux).

mod buffer;
mod flight;
mod send;

pub use buffer::ZeroCopyBuf;

use std::{
    error::Error,
    fmt, io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use nix::libc;

use crate::{
    control::{ControlBuf, ControlBuffer},
    error_queue::{ErrorQueue, QueuedError, Waits},
    flags::SendFlags,
    message::{ExtendedError, Meaning, RecvList},
    options::{Families, SO_ZEROCOPY, socket_protocol},
    sys,
};
use flight::Flight;

/// A TCP or UDP socket whose sends are not copied (`MSG_ZEROCOPY`; Linux 4.14, UDP 5.0).
///
/// The kernel reads a buffer until the network card, or the peer's acknowledgement, is done with it. So the buffers are
/// owned here, and come back when the kernel says so on the error queue. A buffer is never freed before: those still
/// outstanding when this is dropped are leaked; [`wait`](Self::wait) before.
///
/// It pays from about 10 KiB in one send on a real network card. On loopback the kernel copies after all, later, and
/// says so: the cost of the bookkeeping comes on top.
///
/// ```
/// use ancillary::ZeroCopy;
/// use std::{io::Read, net::{TcpListener, TcpStream}, time::Duration};
///
/// # fn main() -> std::io::Result<()> {
/// # let listener = TcpListener::bind("127.0.0.1:0")?;
/// # let socket = TcpStream::connect(listener.local_addr()?)?;
/// # let mut peer = listener.accept()?.0;
/// let mut out = ZeroCopy::new(socket)?;
/// out.send(vec![7; 30_000])?;
/// # peer.read_exact(&mut vec![0; 30_000])?;
/// while out.pending() > 0 {
///     let found = out.wait(Duration::from_secs(5), |buffer: Vec<u8>, copied| {
///         assert_eq!(buffer.len(), 30_000); // ours again, to be filled anew
///         println!("copied after all: {copied}");
///     })?;
///     if found == 0 {
///         break; // the peer does not read
///     }
/// }
/// # assert_eq!(out.pending(), 0);
/// # Ok(())
/// # }
/// ```
///
/// What is only borrowed cannot be sent this way:
///
/// ```compile_fail
/// use ancillary::ZeroCopy;
///
/// let data = vec![7; 30_000];
/// let mut out = ZeroCopy::new(std::net::UdpSocket::bind("127.0.0.1:0").unwrap()).unwrap();
/// out.send(&data[..]).unwrap();
/// ```
///
/// The kernel numbers the sends of a socket, and nothing else may send with `MSG_ZEROCOPY` on it: this is the only way in
/// this crate, and [`new`](Self::new) refuses a socket that has `SO_ZEROCOPY` set already; a socket has one `ZeroCopy` in
/// its life. Who reads the error queue by other means takes the completions away, and the buffers stay.
///
/// Over UDP the kernel may have numbered a send that failed (by a firewall, segments that do not fit), and does not say
/// so. The buffer of the first such error stays here, and comes back if the kernel had it; what follows is sent with a
/// copy, the usual way, and comes back with the next [`complete`](Self::complete): [`is_copying`](Self::is_copying). Only
/// a new socket sends without a copy again. `WouldBlock`, a pending ICMP error, more bytes than a datagram holds and (where
/// `IP_RECVERR` is not set) ENOBUFS are no such errors.
///
/// # Shutting down
///
/// [`abandon`](Self::abandon) what is half sent, then [`wait`](Self::wait) until nothing is pending or it returns 0 after a
/// time that is long enough: a peer that does not read keeps the buffers. What is pending when this is dropped is leaked.
/// A server asks TCP to give such a peer up (`TCP_USER_TIMEOUT`, tcp(7)): its buffers come back when that time has passed.
///
/// # References
///
/// Documentation/networking/msg_zerocopy.rst; net/core/skbuff.c, `msg_zerocopy_realloc`, `__msg_zerocopy_callback`
#[doc(alias = "MSG_ZEROCOPY")]
#[doc(alias = "SO_ZEROCOPY")]
pub struct ZeroCopy<S, B> {
    socket: S,
    sends: Sends<B>,
}

/// All of it but the socket as its owner has it.
pub(crate) struct Sends<B> {
    flight: Flight<B>,
    /// Bytes sent of the newest buffer, if not all of it was, and the flags it went with.
    rest: (usize, SendFlags),
    /// The socket whose sends are counted, whatever the owner's may lend later.
    counted: OwnedFd,
    udp: bool,
    /// Whether the kernel's numbers are known no longer.
    lost: bool,
    /// Another descriptor of the socket, while a future written by hand waits with it for room.
    #[cfg(feature = "tokio")]
    pub(crate) anew: Option<(::tokio::net::UnixDatagram, std::task::Waker)>,
}

impl<S: AsFd, B: ZeroCopyBuf> ZeroCopy<S, B> {
    /// Sets `SO_ZEROCOPY` on a TCP or UDP socket, and keeps a descriptor of its own for it.
    ///
    /// # Errors
    ///
    /// [`FamilyError`](crate::FamilyError) or `Unsupported` for other sockets (vsock, which numbers by other rules, among
    /// them), that of setsockopt(2); EMFILE; `AlreadyExists` if the option is set, so that sends may have been counted: by another
    /// `ZeroCopy`, or inherited from a listening socket. The option is never unset.
    pub fn new(socket: S) -> io::Result<Self> {
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let counted = socket.as_fd().try_clone_to_owned()?;
        let fd = counted.as_fd();
        Families::INET.require(fd)?;
        let udp = match (sys::int_option(fd, libc::SOL_SOCKET, libc::SO_TYPE)?, socket_protocol(fd)?) {
            (libc::SOCK_STREAM, libc::IPPROTO_TCP) => false,
            (libc::SOCK_DGRAM, libc::IPPROTO_UDP) => true,
            _ => return Err(io::Error::new(io::ErrorKind::Unsupported, "expected TCP or UDP, found another protocol")),
        };
        let guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        if sys::int_option(fd, libc::SOL_SOCKET, SO_ZEROCOPY)? != 0 {
            let found = "expected a socket without SO_ZEROCOPY, found one whose sends may have been counted";
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, found));
        }
        sys::set_int_option(fd, libc::SOL_SOCKET, SO_ZEROCOPY, 1)?;
        drop(guard);
        let rest = (0, SendFlags::empty());
        let sends = Sends {
            flight: Flight::new(),
            rest,
            counted,
            udp,
            lost: false,
            #[cfg(feature = "tokio")]
            anew: None,
        };
        Ok(Self { socket, sends })
    }

    /// The socket: to receive with, or to send small things the usual way.
    pub fn socket(&self) -> &S {
        &self.socket
    }

    /// The socket again; buffers that are still pending are leaked. It cannot send without a copy any more.
    ///
    /// ```
    /// use ancillary::ZeroCopy;
    /// use std::{io::ErrorKind, net::UdpSocket};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let out = ZeroCopy::<_, Vec<u8>>::new(UdpSocket::bind("127.0.0.1:0")?)?;
    /// let socket = out.into_inner();
    /// let again = ZeroCopy::<_, Vec<u8>>::new(socket).unwrap_err();
    /// assert_eq!(again.kind(), ErrorKind::AlreadyExists);
    /// # Ok(())
    /// # }
    /// ```
    pub fn into_inner(self) -> S {
        self.socket
    }

    /// Buffers that are sure to come back, and have not. One of which a rest is unsent is among them, and comes back only
    /// after [`resume`](Self::resume) has sent that, or [`abandon`](Self::abandon) has given it up.
    pub fn pending(&self) -> usize {
        self.sends.flight.len()
    }

    /// Whether sends are copied from now on, since the kernel's numbers are known no longer (UDP).
    pub fn is_copying(&self) -> bool {
        self.sends.lost
    }

    /// Bytes of the newest buffer that have not been sent.
    pub fn unsent(&self) -> usize {
        self.sends.unsent()
    }

    #[cfg(feature = "tokio")]
    pub(crate) fn parts_mut(&mut self) -> (&S, &mut Sends<B>) {
        (&self.socket, &mut self.sends)
    }

    /// Reads the completions that have arrived, without waiting, and hands back the buffers that are free, each with
    /// whether the kernel has copied it after all. Returns how many.
    ///
    /// # Errors
    ///
    /// An [`ExtendedError`] (`Other`) for an entry of another kind, which only a socket has that was asked for network
    /// errors or timestamps: [`drain`](Self::drain) serves those. The buffers have been handed back then, too.
    pub fn complete(&mut self, released: impl FnMut(B, bool)) -> io::Result<usize> {
        self.sends.complete(released)
    }

    /// Reads the error queue, without waiting, 4,096 entries at most: free buffers, and entries of other kinds. Returns how
    /// many entries there were; buffers that were copied come back without one.
    ///
    /// # Errors
    ///
    /// Those of [`ErrorQueue::drain`](crate::ErrorQueue::drain).
    pub fn drain<C: ControlBuffer>(
        &mut self,
        data: &mut [u8],
        control: &mut C,
        f: impl FnMut(Completion<'_, B, C::List>),
    ) -> io::Result<usize> {
        self.sends.drain(data, control, f)
    }

    /// Waits until a buffer is free, at most so long (and so long in vain, if only one is pending that has an unsent rest);
    /// then does what [`complete`](Self::complete) does. Returns how many buffers came back: 0 after the time, or if none
    /// is pending. It does not spin on a connection that has failed.
    ///
    /// # Errors
    ///
    /// As [`complete`](Self::complete), and those of poll(2), epoll_create1(2) and epoll_ctl(2).
    pub fn wait(&mut self, timeout: Duration, mut released: impl FnMut(B, bool)) -> io::Result<usize> {
        let mut waits = Waits::of(timeout);
        loop {
            let found = self.complete(&mut released)?;
            if found > 0 || self.pending() == 0 || !waits.next(self.as_fd())? {
                return Ok(found);
            }
        }
    }

    /// Gives up the rest of a buffer that was sent in part; it comes back when that part is complete, or at once.
    ///
    /// ```
    /// use ancillary::ZeroCopy;
    /// use std::{net::UdpSocket, time::Duration};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// # let peer = UdpSocket::bind("127.0.0.1:0")?;
    /// # let socket = UdpSocket::bind("127.0.0.1:0")?;
    /// # socket.connect(peer.local_addr()?)?;
    /// let mut out = ZeroCopy::new(socket)?;
    /// out.send(vec![7; 1200])?;
    ///
    /// let mut back = Vec::new();
    /// out.abandon(|buffer, _| back.push(buffer)); // nothing more is sent of it,
    /// for _ in 0..100 {
    ///     if out.wait(Duration::from_secs(1), |buffer, _| back.push(buffer))? == 0 {
    ///         break; // and what was sent is waited for
    ///     }
    /// }
    /// assert_eq!((back.len(), out.pending()), (1, 0));
    /// # Ok(())
    /// # }
    /// ```
    pub fn abandon(&mut self, mut released: impl FnMut(B, bool)) {
        self.sends.rest.0 = 0;
        self.sends.flight.give_up(&mut released);
    }
}

impl<B: ZeroCopyBuf> Sends<B> {
    /// Whether completions give buffers back without a further send.
    #[cfg(feature = "tokio")]
    pub(crate) fn will_release(&self) -> bool {
        self.flight.will_release()
    }

    /// Whether a completion is sure to come.
    #[cfg(feature = "tokio")]
    pub(crate) fn will_complete(&self) -> bool {
        self.flight.will_complete()
    }

    pub(crate) fn unsent(&self) -> usize {
        self.flight.unfinished().map_or(0, |buffer| buffer::len(buffer) - self.rest.0)
    }

    fn complete(&mut self, released: impl FnMut(B, bool)) -> io::Result<usize> {
        self.read(released).map(|(_, count)| count)
    }

    /// How many entries were read, and how many buffers came back.
    pub(crate) fn read(&mut self, mut released: impl FnMut(B, bool)) -> io::Result<(usize, usize)> {
        let (mut count, mut other) = (0, None);
        let entries = self.drain(&mut [], &mut ControlBuf::<ExtendedError>::new(), |event| match event {
            Completion::Released { buffer, copied } => {
                count += 1;
                released(buffer, copied);
            }
            Completion::Error(entry) => other = Some(*entry.error()),
        })?;
        match other {
            Some(error) => Err(io::Error::other(error)),
            None => Ok((entries, count)),
        }
    }

    pub(crate) fn drain<C: ControlBuffer>(
        &mut self,
        data: &mut [u8],
        control: &mut C,
        mut f: impl FnMut(Completion<'_, B, C::List>),
    ) -> io::Result<usize> {
        let Self { flight, counted, lost, .. } = self;
        flight.release_ready(&mut |buffer, copied| f(Completion::Released { buffer, copied }));
        ErrorQueue::of(counted.as_fd())?.drain(data, control, |entry| match entry.error().meaning() {
            Meaning::ZeroCopied(range) => {
                *lost |= !flight.complete(range, &mut |buffer, copied| f(Completion::Released { buffer, copied }));
            }
            _ => f(Completion::Error(entry)),
        })
    }
}

impl<S, B> AsFd for ZeroCopy<S, B> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.sends.counted.as_fd()
    }
}

impl<S, B> fmt::Debug for ZeroCopy<S, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (socket, pending) = (self.sends.counted.as_raw_fd(), self.sends.flight.len());
        write!(f, "ZeroCopy {{ socket: {socket}, pending: {pending}")?;
        if self.sends.rest.0 > 0 {
            write!(f, ", a rest behind {} bytes", self.sends.rest.0)?;
        }
        f.write_str(" }")
    }
}

/// What [`ZeroCopy::drain`] found on the error queue.
///
/// ```
/// use ancillary::{Completion, ControlBuf, SocketExt, ZeroCopy, message::ExtendedError};
/// use std::{net::UdpSocket, time::Duration};
///
/// # fn main() -> std::io::Result<()> {
/// # let peer = UdpSocket::bind("127.0.0.1:0")?;
/// let socket = UdpSocket::bind("127.0.0.1:0")?;
/// socket.connect(peer.local_addr()?)?;
/// socket.enable::<ExtendedError>()?; // network errors too
/// let mut out = ZeroCopy::new(socket)?;
/// out.send(vec![7; 1200])?;
/// # peer.recv(&mut [0; 1500])?;
/// # out.error_queue()?.wait(Duration::from_secs(10))?;
/// let (mut data, mut control, mut free) = ([0; 64], ControlBuf::<ExtendedError>::new(), Vec::new());
/// out.drain(&mut data, &mut control, |found| match found {
///     Completion::Released { buffer, .. } => free.push(buffer),
///     Completion::Error(entry) => eprintln!("{}", entry.error()),
///     _ => {}
/// })?;
/// assert_eq!(free, [vec![7; 1200]]); // to be filled anew
/// # Ok(())
/// # }
/// ```
#[non_exhaustive]
pub enum Completion<'a, B, L> {
    /// The kernel has finished with a buffer.
    Released {
        /// The buffer.
        buffer: B,
        /// Whether the data was copied after all.
        copied: bool,
    },
    /// A network error, or a timestamp.
    Error(QueuedError<'a, L, &'a [u8]>),
}

impl<B, L: RecvList> fmt::Debug for Completion<'_, B, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Released { copied, .. } => write!(f, "Released {{ copied: {copied} }}"),
            Self::Error(entry) => write!(f, "Error({entry:?})"),
        }
    }
}

/// Why [`ZeroCopy::send`] has sent nothing, or [`SendMsg::set`](crate::pinned::SendMsg::set) has taken nothing, with the
/// buffer.
///
/// ```
/// use ancillary::{MsgHdr, ZeroCopy};
/// use std::net::UdpSocket;
///
/// # fn main() -> std::io::Result<()> {
/// let mut out = ZeroCopy::new(UdpSocket::bind("127.0.0.1:0")?)?;
/// let error = out.send(vec![7; 70_000]).unwrap_err(); // longer than a datagram can be
/// assert!(!error.is_full()); // waiting would not help
/// assert!(!out.is_copying()); // and the socket is as good as before
/// assert_eq!(error.buffer.map(|buffer| buffer.len()), Some(70_000)); // nothing is lost
/// # Ok(())
/// # }
/// ```
pub struct ZeroCopyError<B> {
    /// The reason.
    pub error: io::Error,
    /// The buffer; `None` if the kernel may have it (UDP), and then it stays with the [`ZeroCopy`].
    pub buffer: Option<B>,
}

impl<B> ZeroCopyError<B> {
    /// Whether the kernel can pin no more (ENOBUFS). If nothing is pending, waiting does not help: send it the usual way,
    /// `MsgHdr::new().data(&buffer).send_all(out.socket())`.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.error.raw_os_error() == Some(libc::ENOBUFS)
    }
}

impl<B> fmt::Debug for ZeroCopyError<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl<B> fmt::Display for ZeroCopyError<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl<B> Error for ZeroCopyError<B> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.error)
    }
}

impl<B> From<ZeroCopyError<B>> for io::Error {
    fn from(error: ZeroCopyError<B>) -> Self {
        error.error
    }
}
