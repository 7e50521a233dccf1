//! Sends without a copy (`MSG_ZEROCOPY`; Linux).

mod buffer;
mod flight;

pub use buffer::ZeroCopyBuf;

use std::{
    error::Error,
    fmt, io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use nix::libc;

use crate::{
    control::{ControlBuf, ControlBuffer},
    error::EncodeError,
    error_queue::{self, ErrorQueue, QueuedError},
    message::{ExtendedError, Meaning, RecvList},
    options::{Families, SO_ZEROCOPY, socket_protocol},
    send::MsgHdr,
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
///     out.wait(Duration::from_secs(1), |buffer: Vec<u8>, copied| {
///         assert_eq!(buffer.len(), 30_000); // ours again, to be filled anew
///         println!("copied after all: {copied}");
///     })?;
/// }
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
/// Over UDP the kernel may have numbered a send that failed (by a firewall, a full queue, segments that do not fit), and
/// does not say so. The buffer of the first such error stays here, and comes back if the kernel had it; what follows is
/// sent with a copy, the usual way, and comes back with the next [`complete`](Self::complete):
/// [`is_copying`](Self::is_copying). `WouldBlock`, and more bytes than a datagram holds, are no such errors.
///
/// # References
///
/// Documentation/networking/msg_zerocopy.rst; net/core/skbuff.c, `msg_zerocopy_realloc`, `__msg_zerocopy_callback`
#[doc(alias = "MSG_ZEROCOPY")]
#[doc(alias = "SO_ZEROCOPY")]
pub struct ZeroCopy<S, B> {
    flight: Flight<B>,
    /// Bytes sent of the newest buffer, if not all of it was.
    begun: usize,
    socket: S,
    /// The socket whose sends are counted, whatever `socket` may lend later.
    counted: OwnedFd,
    udp: bool,
    /// Whether the kernel's numbers are known no longer.
    copying: bool,
}

impl<S: AsFd, B: ZeroCopyBuf> ZeroCopy<S, B> {
    /// Sets `SO_ZEROCOPY` on a TCP or UDP socket, and keeps a descriptor of its own for it.
    ///
    /// # Errors
    ///
    /// [`FamilyError`](crate::FamilyError), or that of setsockopt(2), for other sockets (vsock, which numbers by other
    /// rules, among them); EMFILE; `AlreadyExists` if the option is set, so that sends may have been counted: by another
    /// `ZeroCopy`, or inherited from a listening socket. The option is never unset.
    pub fn new(socket: S) -> io::Result<Self> {
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let counted = socket.as_fd().try_clone_to_owned()?;
        let fd = counted.as_fd();
        Families::INET.require(fd)?;
        let udp = socket_protocol(fd)? == libc::IPPROTO_UDP;
        let guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        if sys::int_option(fd, libc::SOL_SOCKET, SO_ZEROCOPY)? != 0 {
            let found = "expected a socket without SO_ZEROCOPY, found one whose sends may have been counted";
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, found));
        }
        sys::set_int_option(fd, libc::SOL_SOCKET, SO_ZEROCOPY, 1)?;
        drop(guard);
        Ok(Self { flight: Flight::new(), begun: 0, socket, counted, udp, copying: false })
    }

    /// The socket: to receive with, or to send small things the usual way.
    pub fn socket(&self) -> &S {
        &self.socket
    }

    /// The socket again; buffers that are still pending are leaked. It cannot send without a copy any more.
    pub fn into_inner(self) -> S {
        self.socket
    }

    /// Buffers that are sure to come back, and have not. One of which a rest is unsent is among them, and comes back only
    /// after [`resume`](Self::resume) has sent that, or [`abandon`](Self::abandon) has given it up.
    pub fn pending(&self) -> usize {
        self.flight.len()
    }

    /// Whether sends are copied, since one failed that the kernel may have numbered (UDP).
    pub fn is_copying(&self) -> bool {
        self.copying
    }

    /// Sends a buffer to the connected peer, in one call, and returns how many bytes went.
    ///
    /// On a non-blocking stream that may be fewer than it has: the buffer stays here, and [`resume`](Self::resume) sends
    /// the rest.
    ///
    /// # Errors
    ///
    /// That of sendmsg(2), with the buffer, unless the kernel may have it: `WouldBlock`; ENOBUFS when too many completions have
    /// not been read, or more memory is pinned than `RLIMIT_MEMLOCK` allows (the whole buffer counts): [`wait`](Self::wait) if buffers are pending, else send it the usual
    /// way. [`EncodeError::Unfinished`] if the rest of another buffer comes first.
    pub fn send(&mut self, buffer: B) -> Result<usize, ZeroCopyError<B>> {
        self.send_with(buffer, |_| {})
    }

    /// The same with a destination, control messages and flags, which `header` adds to the message; the data is the
    /// buffer's.
    ///
    /// ```
    /// use ancillary::{ZeroCopy, message::HopLimit};
    /// use std::net::UdpSocket;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// # let peer = UdpSocket::bind("127.0.0.1:0")?;
    /// # let to = peer.local_addr()?;
    /// let mut out = ZeroCopy::new(UdpSocket::bind("127.0.0.1:0")?)?;
    /// out.send_with([b"head".to_vec(), b"body".to_vec()], |header| {
    ///     header.to(to).control(HopLimit(9));
    /// })?;
    /// # let mut data = [0; 9];
    /// # assert_eq!(peer.recv(&mut data)?, 8);
    /// # assert_eq!(&data[..8], b"headbody");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), and those of the [`MsgHdr`]; `InvalidInput` if `header` has changed the data.
    pub fn send_with(
        &mut self,
        buffer: B,
        header: impl for<'h> FnOnce(&mut MsgHdr<'h>),
    ) -> Result<usize, ZeroCopyError<B>> {
        if self.begun > 0 {
            let error = EncodeError::Unfinished { unsent: self.unsent() }.into();
            return Err(ZeroCopyError { error, buffer: Some(buffer) });
        }
        // A datagram without data is numbered over UDP, and not where it goes on with another.
        let copy = self.copying || buffer::len(&buffer) == 0;
        let mut message = MsgHdr::new();
        buffer.each(&mut |piece| {
            message.data(piece);
        });
        header(&mut message);
        let sent = if holds(&message, &buffer) {
            let message = if copy { &mut message } else { message.zerocopy() };
            message.send(&self.counted)
        } else {
            Err(io::Error::new(io::ErrorKind::InvalidInput, "expected the data of the buffer alone, found other data"))
        };
        match sent {
            Ok(_) if copy => {
                let sent = buffer::len(&buffer);
                self.flight.copied(buffer);
                Ok(sent)
            }
            Ok(sent) => {
                let rest = sent < buffer::len(&buffer);
                self.begun = if rest { sent } else { 0 };
                self.flight.begin(buffer, rest);
                Ok(sent)
            }
            Err(error) if self.udp && !copy && may_be_counted(&error, &buffer) => {
                self.copying = true;
                self.flight.doubt(buffer);
                Err(ZeroCopyError { error, buffer: None })
            }
            // TCP takes the number of a send that fails back.
            Err(error) => Err(ZeroCopyError { error, buffer: Some(buffer) }),
        }
    }

    /// Sends more of a buffer that went in part, and returns how many bytes went: 0 if there is no rest.
    ///
    /// # Errors
    ///
    /// That of sendmsg(2), and the rest stays: `WouldBlock`; ENOBUFS as for [`send`](Self::send), as long as too many of
    /// the parts that went are not complete: [`complete`](Self::complete) reads those that are.
    pub fn resume(&mut self) -> io::Result<usize> {
        let Some(buffer) = self.flight.unfinished() else { return Ok(0) };
        let mut message = MsgHdr::new();
        buffer.each(&mut |piece| {
            message.data(piece);
        });
        let sent = message.zerocopy().send_rest(&self.counted, self.begun, &[])?;
        if sent > 0 {
            let rest = self.begun + sent < buffer::len(buffer);
            self.begun = if rest { self.begun + sent } else { 0 };
            self.flight.go_on(rest);
        }
        Ok(sent)
    }

    /// Bytes of the newest buffer that have not been sent.
    pub fn unsent(&self) -> usize {
        self.flight.unfinished().map_or(0, |buffer| buffer::len(buffer) - self.begun)
    }

    /// Reads the completions that have arrived, without waiting, and hands back the buffers that are free, each with
    /// whether the kernel has copied it after all. Returns how many.
    ///
    /// # Errors
    ///
    /// An [`ExtendedError`] (`Other`) for an entry of another kind, which only a socket has that was asked for network
    /// errors or timestamps: [`drain`](Self::drain) serves those.
    pub fn complete(&mut self, mut released: impl FnMut(B, bool)) -> io::Result<usize> {
        let (mut count, mut other) = (0, None);
        self.drain(&mut [], &mut ControlBuf::<ExtendedError>::new(), |event| match event {
            Completion::Released { buffer, copied } => {
                count += 1;
                released(buffer, copied);
            }
            Completion::Error(entry) => other = Some(*entry.error()),
        })?;
        match other {
            Some(error) => Err(io::Error::other(error)),
            None => Ok(count),
        }
    }

    /// Reads the error queue, without waiting, 4,096 entries at most: free buffers, and entries of other kinds. Returns how
    /// many entries there were.
    ///
    /// # Errors
    ///
    /// Those of [`ErrorQueue::drain`](crate::ErrorQueue::drain).
    pub fn drain<C: ControlBuffer>(
        &mut self,
        data: &mut [u8],
        control: &mut C,
        mut f: impl FnMut(Completion<'_, B, C::List>),
    ) -> io::Result<usize> {
        let Self { flight, counted, .. } = self;
        flight.release_copied(&mut |buffer, copied| f(Completion::Released { buffer, copied }));
        ErrorQueue::of(counted.as_fd())?.drain(data, control, |entry| match entry.error().meaning() {
            Meaning::ZeroCopied(range) => {
                flight.complete(range, &mut |buffer, copied| f(Completion::Released { buffer, copied }));
            }
            _ => f(Completion::Error(entry)),
        })
    }

    /// Waits until a buffer is free, at most so long (and so long in vain, if only one is pending that has an unsent rest); then does what [`complete`](Self::complete) does. Returns how many
    /// buffers came back: 0 after the time, or if none is pending.
    ///
    /// # Errors
    ///
    /// As [`complete`](Self::complete), and those of poll(2).
    pub fn wait(&mut self, timeout: Duration, mut released: impl FnMut(B, bool)) -> io::Result<usize> {
        let start = Instant::now();
        let mut woken = false;
        loop {
            let found = self.complete(&mut released)?;
            let left = timeout.saturating_sub(start.elapsed());
            if found > 0 || self.pending() == 0 || left.is_zero() {
                return Ok(found);
            }
            if woken {
                // A connection that has failed shows as ready every time, with nothing to read.
                std::thread::sleep(left.min(Duration::from_millis(1)));
            }
            woken = error_queue::wait(self.counted.as_fd(), left)?;
        }
    }

    /// Gives up the rest of a buffer that was sent in part; it comes back when that part is complete, or at once.
    pub fn abandon(&mut self, mut released: impl FnMut(B, bool)) {
        self.begun = 0;
        self.flight.give_up(&mut released);
    }
}

/// Whether UDP may have numbered a send before it failed: not where this crate refused it, nor where it is refused early
/// (net/ipv4/ip_output.c, `__ip_append_data`).
fn may_be_counted(error: &io::Error, buffer: &impl buffer::Sealed) -> bool {
    /// What a datagram over IPv6 holds, the longer one.
    const LONGEST: usize = 65_535 - 8;
    match error.raw_os_error() {
        None | Some(libc::EAGAIN) => false,
        Some(libc::EMSGSIZE) => buffer::len(buffer) <= LONGEST,
        Some(_) => true,
    }
}

/// Whether the data of the message is that of the buffer.
fn holds(message: &MsgHdr<'_>, buffer: &impl buffer::Sealed) -> bool {
    let mut slices = message.data_slices().iter();
    let mut same = true;
    buffer.each(&mut |piece| same &= slices.next().is_some_and(|slice| std::ptr::eq(&**slice, piece)));
    same && slices.next().is_none()
}

impl<S, B> AsFd for ZeroCopy<S, B> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.counted.as_fd()
    }
}

impl<S, B> fmt::Debug for ZeroCopy<S, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (socket, pending) = (self.counted.as_raw_fd(), self.flight.len());
        write!(f, "ZeroCopy {{ socket: {socket}, pending: {pending}")?;
        if self.begun > 0 {
            write!(f, ", a rest behind {} bytes", self.begun)?;
        }
        f.write_str(" }")
    }
}

/// What [`ZeroCopy::drain`] found on the error queue.
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

/// Why [`ZeroCopy::send`] has sent nothing, with the buffer.
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
