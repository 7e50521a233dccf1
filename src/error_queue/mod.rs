//! Reading a socket's error queue (Linux).

mod wait;

pub(crate) use wait::Waits;

use std::{
    fmt, io,
    ops::{Deref, DerefMut},
    os::fd::{AsFd, BorrowedFd},
    time::Duration,
};

use nix::libc;

use crate::{
    cmsg,
    control::ControlBuffer,
    error::{EncodeError, TruncatedError},
    flags::{MsgFlags, RecvFlags},
    message::{ExtendedError, RecvControl, RecvList},
    options::{Families, SO_ZEROCOPY, socket_protocol},
    receive::{MsgHdrMut, Received},
    sys,
};

// include/uapi/linux/in.h
const IPPROTO_DCCP: i32 = 33;
const IPPROTO_L2TP: i32 = 115;
const CAN_RAW: i32 = 1; // include/uapi/linux/can.h
const CAN_J1939: i32 = 7;
const ROOM: usize = match cmsg::space(ExtendedError::PAYLOAD_LEN) {
    Some(room) => room,
    None => unreachable!(),
};

/// How many entries one [`ErrorQueue::drain`] reads at most, so that a flood of ICMP messages cannot keep it.
const AT_MOST: usize = 4096;

/// The error queue of a socket: network errors, timestamps of what was sent, completions of `MSG_ZEROCOPY`.
///
/// Made by [`SocketExt::error_queue`](crate::SocketExt::error_queue), which looks once whether there is one. A queue that
/// is not empty shows as `POLLERR`, unasked. With [`ExtendedError`](crate::message::ExtendedError) enabled, the next send or
/// receive may fail with the error of an earlier one, once, unless the queue was read before.
///
/// ```
/// use ancillary::{ControlBuf, SocketExt, message::{ExtendedError, Meaning}};
/// use std::{net::UdpSocket, time::Duration};
///
/// # fn main() -> std::io::Result<()> {
/// let socket = UdpSocket::bind("127.0.0.1:0")?;
/// socket.enable::<ExtendedError>()?;
/// let nobody = UdpSocket::bind("127.0.0.1:0")?.local_addr()?; // closed again at once
/// socket.send_to(b"anyone?", nobody)?;
///
/// let (mut data, mut control) = ([0; 64], ControlBuf::<ExtendedError>::new());
/// let mut found = Vec::new();
/// let queue = socket.error_queue()?;
/// queue.drain_for(Duration::from_secs(1), &mut data, &mut control, |entry| {
///     found.push((entry.error().meaning(), entry.data().to_vec(), entry.peer().and_then(|peer| peer.as_inet())));
/// })?;
/// assert_eq!(found, [(Meaning::PortUnreachable, b"anyone?".to_vec(), Some(nobody))]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
#[doc(alias = "MSG_ERRQUEUE")]
pub struct ErrorQueue<'s> {
    socket: BorrowedFd<'s>,
}

impl<'s> ErrorQueue<'s> {
    pub(crate) fn of(socket: BorrowedFd<'s>) -> io::Result<Self> {
        // Who ignores the flag would hand out ordinary messages instead.
        let ignores = match Families::ERROR_QUEUE.require(socket)? {
            libc::AF_INET | libc::AF_INET6 => match socket_protocol(socket)? {
                libc::IPPROTO_SCTP => Some("expected a protocol with an error queue, found IPPROTO_SCTP"),
                IPPROTO_DCCP => Some("expected a protocol with an error queue, found IPPROTO_DCCP"),
                IPPROTO_L2TP => Some("expected a protocol with an error queue, found IPPROTO_L2TP"),
                _ => None,
            },
            libc::AF_CAN if !matches!(socket_protocol(socket)?, CAN_RAW | CAN_J1939) => {
                Some("expected CAN_RAW or CAN_J1939, found another protocol of AF_CAN")
            }
            // Before Linux 6.7 vsock has neither.
            libc::AF_VSOCK if sys::int_option(socket, libc::SOL_SOCKET, SO_ZEROCOPY)? == 0 => {
                Some("expected a vsock with SO_ZEROCOPY, found one that has nothing to report")
            }
            _ => None,
        };
        match ignores {
            None => Ok(Self { socket }),
            Some(found) => Err(io::Error::new(io::ErrorKind::Unsupported, found)),
        }
    }

    /// Reads one entry; never blocks, whatever the socket's mode.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if the queue is empty. [`EncodeError::ControlSpace`] (`InvalidInput`) for a control buffer without
    /// room for an [`ExtendedError`]: nothing is read then. [`TruncatedError`] (`InvalidData`) if other messages took
    /// its room, so that the entry cannot be read; what arrived is in the control buffer.
    pub fn recv<'d, 'c, C: ControlBuffer>(
        &self,
        data: &'d mut [u8],
        control: &'c mut C,
    ) -> io::Result<QueuedError<'c, C::List, &'d [u8]>> {
        let available = control.inbox().0.capacity();
        if available < ROOM {
            return Err(EncodeError::ControlSpace { needed: ROOM, available }.into());
        }
        let received = MsgHdrMut::new().flags(RecvFlags::ERRQUEUE).recv_slice(&self.socket, data, control)?;
        match received.get::<ExtendedError>() {
            Some(error) => Ok(QueuedError { error, received }),
            None => Err(not_an_entry(received)),
        }
    }

    /// Waits until there is an entry, at most so long; `false` after the time.
    ///
    /// In a reactor, wait for errors alone (`POLLERR`, which needs no asking): a socket is writable nearly always. A
    /// connection that has failed or ended shows as well, with nothing to read: then this is `true` every time, and
    /// [`recv`](Self::recv) says `WouldBlock`. [`drain_for`](Self::drain_for) waits on then, without spinning.
    ///
    /// # Errors
    ///
    /// That of poll(2); EINTR is retried.
    pub fn wait(&self, timeout: Duration) -> io::Result<bool> {
        wait::wait(self.socket, timeout)
    }

    /// Reads until the queue is empty, or 4,096 entries, and hands each to `f`; returns how many there were. Never blocks,
    /// never waits.
    ///
    /// # Errors
    ///
    /// The first one of [`recv`](Self::recv) but `WouldBlock`; what comes behind stays in the queue.
    pub fn drain<C: ControlBuffer>(
        &self,
        data: &mut [u8],
        control: &mut C,
        mut f: impl FnMut(QueuedError<'_, C::List, &[u8]>),
    ) -> io::Result<usize> {
        for read in 0..AT_MOST {
            match self.recv(data, control) {
                Ok(entry) => f(entry),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(read),
                Err(error) => return Err(error),
            }
        }
        Ok(AT_MOST)
    }

    /// Waits until there is an entry, at most so long; then does what [`drain`](Self::drain) does. Returns how many there
    /// were: 0 after the time. A connection that has failed or ended, which leaves no entry, does not end the wait and
    /// does not make it spin.
    ///
    /// ```
    /// use ancillary::{ControlBuf, SocketExt, message::ExtendedError};
    /// use std::{net::{TcpListener, TcpStream}, time::Duration};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let socket = TcpStream::connect(listener.local_addr()?)?;
    /// socket.shutdown(std::net::Shutdown::Write)?;
    /// drop(listener.accept()?); // ended on both sides
    /// let (queue, mut control) = (socket.error_queue()?, ControlBuf::<ExtendedError>::new());
    /// let found = queue.drain_for(Duration::from_millis(20), &mut [], &mut control, |entry| println!("{entry:?}"))?;
    /// assert_eq!(found, 0);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`drain`](Self::drain), and those of poll(2), epoll_create1(2) and epoll_ctl(2); EINTR is retried.
    pub fn drain_for<C: ControlBuffer>(
        &self,
        timeout: Duration,
        data: &mut [u8],
        control: &mut C,
        mut f: impl FnMut(QueuedError<'_, C::List, &[u8]>),
    ) -> io::Result<usize> {
        let mut waits = Waits::of(timeout);
        loop {
            let read = self.drain(data, control, &mut f)?;
            if read > 0 || !waits.next(self.socket)? {
                return Ok(read);
            }
        }
    }
}

impl AsFd for ErrorQueue<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket
    }
}

#[cold]
fn not_an_entry<L: RecvList>(received: Received<'_, L, &[u8]>) -> io::Error {
    if received.flags().contains(MsgFlags::ERRQUEUE) {
        let (len, control_len) = (received.len(), received.control_bytes().len());
        return TruncatedError { data: false, control: true, len, control_len }.into();
    }
    io::Error::new(io::ErrorKind::Unsupported, "expected an entry of the error queue, found an ordinary message")
}

/// An entry of the error queue, with everything a received message has.
///
/// [`data`](Received::data) is what could not be sent, or was, and [`peer`](Received::peer) where it went (on a dual-stack
/// socket an IPv4 peer is mapped: [`SockAddr::as_inet_canonical`](crate::SockAddr::as_inet_canonical)). Timestamps are
/// beside the error; hop limit, traffic class and packet info are those of the ICMP message.
///
/// ```
/// use ancillary::{ControlBuf, QueuedError, SocketExt, message::{ExtendedError, Meaning}};
/// use std::net::{SocketAddr, UdpSocket};
///
/// /// Who does not listen, and which question he did not get.
/// fn unheard<'d>(entry: &QueuedError<'_, ExtendedError, &'d [u8]>) -> Option<(SocketAddr, &'d [u8])> {
///     let is_unheard = entry.error().meaning() == Meaning::PortUnreachable;
///     is_unheard.then(|| Some((entry.peer()?.as_inet()?, entry.data())))?
/// }
///
/// # fn main() -> std::io::Result<()> {
/// # let deaf = UdpSocket::bind("127.0.0.1:0")?;
/// # let nobody = deaf.local_addr()?;
/// # deaf.connect(nobody)?; // it hears itself alone
/// let socket = UdpSocket::bind("127.0.0.1:0")?;
/// socket.enable::<ExtendedError>()?;
/// socket.send_to(b"anyone?", nobody)?;
/// # socket.error_queue()?.wait(std::time::Duration::from_secs(10))?;
/// let (mut data, mut control) = ([0; 64], ControlBuf::<ExtendedError>::new());
/// let entry = socket.recv_error(&mut data, &mut control)?;
/// assert_eq!(unheard(&entry), Some((nobody, &b"anyone?"[..])));
/// # Ok(())
/// # }
/// ```
pub struct QueuedError<'a, L = (), D = ()> {
    error: ExtendedError,
    received: Received<'a, L, D>,
}

impl<'a, L, D> QueuedError<'a, L, D> {
    #[cfg(feature = "tokio")]
    pub(crate) fn new(error: ExtendedError, received: Received<'a, L, D>) -> Self {
        Self { error, received }
    }

    /// What happened.
    #[inline]
    #[must_use]
    pub fn error(&self) -> &ExtendedError {
        &self.error
    }
}

impl<'a, L, D> Deref for QueuedError<'a, L, D> {
    type Target = Received<'a, L, D>;

    #[inline]
    fn deref(&self) -> &Received<'a, L, D> {
        &self.received
    }
}

impl<L, D> DerefMut for QueuedError<'_, L, D> {
    #[inline]
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.received
    }
}

impl<L: RecvList, D> fmt::Debug for QueuedError<'_, L, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "QueuedError({:?})", self.received)
    }
}
