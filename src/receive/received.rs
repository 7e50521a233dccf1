//! What a receive brought.

#[cfg(linux_like)]
use std::io;
use std::{
    fmt,
    marker::PhantomData,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use crate::{
    addr::SockAddr,
    cmsg::{Cmsgs, unlikely},
    error::{DecodeError, FdCountError, TruncatedError},
    flags::MsgFlags,
    message::{RecvControl, RecvList},
    parser::{self, Messages},
    sys::{self, Arrival, InboxMut},
    take::TakeFds,
};
#[cfg(linux_like)]
use crate::{message::UdpGro, take::take_pidfd};

/// A received message: how long it is, from whom, with which flags, control messages and descriptors.
///
/// It borrows the control buffer, which goes on owning the descriptors, and not the data: `D` is `&[u8]` where one
/// buffer was given, and `()` where the data lies in several of the caller's, which are his again at once.
///
/// ```
/// use ancillary::{ControlBuf, SocketExt, message::HopLimit};
/// use std::net::UdpSocket;
///
/// # fn main() -> std::io::Result<()> {
/// let (server, client) = (UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?);
/// server.enable::<HopLimit>()?;
/// client.send_to(b"hello", server.local_addr()?)?;
///
/// let (mut data, mut control) = ([0; 1500], ControlBuf::<HopLimit>::new());
/// let message = server.recv_msg(&mut data, &mut control)?;
/// assert_eq!(message.data(), b"hello");
/// assert_eq!(message.peer().and_then(|peer| peer.as_inet()), Some(client.local_addr()?));
/// assert_eq!(message.extract(), message.get::<HopLimit>());
/// println!("{message:?}"); // length, peer, messages and flags
/// # Ok(())
/// # }
/// ```
pub struct Received<'a, L = (), D = ()> {
    inbox: InboxMut<'a>,
    len: usize,
    full_len: usize,
    flags: MsgFlags,
    eof: bool,
    bytes: D,
    list: PhantomData<fn() -> L>,
}

/// A [`Received`] without what it borrows.
#[cfg(feature = "tokio")]
#[derive(Clone, Copy)]
pub(crate) struct Said {
    len: usize,
    full_len: usize,
    flags: MsgFlags,
    eof: bool,
}

impl<'a, L: RecvList, D> Received<'a, L, D> {
    #[inline(always)]
    pub(super) fn new(
        mut inbox: InboxMut<'a>,
        socket: &(impl AsFd + ?Sized),
        arrival: Arrival,
        capacity: impl FnOnce() -> usize,
        data: D,
    ) -> Self {
        let full_len = arrival.returned;
        let (mut flags, mut eof) = (MsgFlags::from_bits_retain(arrival.flags), false);
        if full_len == 0 {
            unlikely();
            // Datagrams have a sender; only what has none can be the end of a stream.
            let control = !inbox.received().is_empty();
            eof = inbox.peer().is_none() && capacity() > 0 && sys::ends_stream(socket.as_fd(), flags.bits(), control);
            // What Linux attaches to the end of a stream belongs to no message: credentials say pid 0 and uid 0.
            if eof {
                inbox.rearm();
                flags -= MsgFlags::CTRUNC;
            }
        }
        let len = arrival.written;
        Self { inbox, len, full_len, flags, eof, bytes: data, list: PhantomData }
    }

    /// What the receive said, which can leave a closure around readiness.
    #[cfg(feature = "tokio")]
    pub(crate) fn said(&self) -> Said {
        Said { len: self.len, full_len: self.full_len, flags: self.flags, eof: self.eof }
    }

    /// The message of the last receive into this inbox, which said so.
    #[cfg(feature = "tokio")]
    pub(crate) fn again(inbox: InboxMut<'a>, said: Said, data: D) -> Self {
        let Said { len, full_len, flags, eof } = said;
        Self { inbox, len, full_len, flags, eof, bytes: data, list: PhantomData }
    }

    /// One of a batch, of which all this is known.
    #[inline(always)]
    pub(crate) fn of_batch(inbox: InboxMut<'a>, arrival: Arrival, eof: bool, data: D) -> Self {
        let flags = MsgFlags::from_bits_retain(arrival.flags);
        Self { inbox, len: arrival.written, full_len: arrival.returned, flags, eof, bytes: data, list: PhantomData }
    }

    /// Bytes of data that arrived in the buffers.
    #[inline(always)]
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no bytes of data arrived: an empty datagram, or the end of a stream ([`is_eof`](Self::is_eof)).
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The real length of a datagram that was cut, if [`RecvFlags::TRUNC`](crate::RecvFlags::TRUNC) asked for it; else
    /// [`len`](Self::len).
    ///
    /// ```
    /// use ancillary::{ControlBuf, MsgHdrMut, RecvFlags};
    /// use std::os::unix::net::UnixDatagram;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// # #[cfg(target_os = "linux")] {
    /// let (a, b) = UnixDatagram::pair()?;
    /// a.send(&[7; 300])?;
    /// let (mut data, mut control) = ([0; 16], ControlBuf::<()>::new());
    /// let message = MsgHdrMut::new().data(&mut data).flags(RecvFlags::TRUNC).recv(&b, &mut control)?;
    /// assert_eq!((message.len(), message.full_len()), (16, 300));
    /// # }
    /// # Ok(())
    /// # }
    /// ```
    #[inline]
    #[must_use]
    pub fn full_len(&self) -> usize {
        self.full_len
    }

    /// Whether the peer has closed a stream. An empty datagram is not that; on a sequential-packet socket the kernel
    /// tells the two apart no more than this does: it says `false`.
    ///
    /// ```
    /// use ancillary::{ControlBuf, SocketExt};
    /// use std::os::unix::net::{UnixDatagram, UnixStream};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let ((a, b), (c, d), mut control) = (UnixStream::pair()?, UnixDatagram::pair()?, ControlBuf::<()>::new());
    /// drop(a);
    /// c.send(b"")?;
    /// let mut data = [0; 16];
    /// let end = b.recv_msg(&mut data, &mut control)?;
    /// assert!(end.is_empty() && end.is_eof());
    /// let empty = d.recv_msg(&mut data, &mut control)?;
    /// assert!(empty.is_empty() && !empty.is_eof());
    /// # Ok(())
    /// # }
    /// ```
    #[inline]
    #[must_use]
    pub fn is_eof(&self) -> bool {
        self.eof
    }

    /// What the kernel reported (`msg_flags`).
    #[doc(alias = "msg_flags")]
    #[inline(always)]
    #[must_use]
    pub fn flags(&self) -> MsgFlags {
        self.flags
    }

    /// Where it came from (`msg_name`): `None` on connected streams and from unnamed sockets. On a dual-stack socket an
    /// IPv4 peer is `::ffff:a.b.c.d`, and is answered as such.
    #[doc(alias = "msg_name")]
    #[inline]
    #[must_use]
    pub fn peer(&self) -> Option<&SockAddr> {
        self.inbox.peer()
    }

    /// The message itself, unless data or control data were cut.
    ///
    /// # Errors
    ///
    /// [`TruncatedError`] says which; what arrived is still there.
    pub fn require_complete(&self) -> Result<&Self, TruncatedError> {
        let data = self.flags.contains(MsgFlags::TRUNC) || self.full_len > self.len;
        let control = self.flags.contains(MsgFlags::CTRUNC);
        if data || control {
            let control_len = self.control_bytes().len();
            return Err(TruncatedError { data, control, len: self.len, control_len });
        }
        Ok(self)
    }

    /// The control data as bytes (`msg_control`, `msg_controllen`); taken descriptors read -1.
    ///
    /// ```
    /// use ancillary::{ControlBuf, SocketExt, message::HopLimit, parser};
    /// use std::net::UdpSocket;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let socket = UdpSocket::bind("127.0.0.1:0")?;
    /// socket.enable::<HopLimit>()?;
    /// socket.send_to(b"x", socket.local_addr()?)?;
    /// let (mut data, mut control) = ([0; 16], ControlBuf::<HopLimit>::new());
    /// let message = socket.recv_msg(&mut data, &mut control)?;
    /// let kept = message.control_bytes().to_vec(); // for a trace, say: it is read later, and anywhere
    /// assert_eq!(format!("{:?}", parser::parse(&kept)), format!("{:?}", message.messages()));
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias = "msg_control")]
    #[doc(alias = "msg_controllen")]
    #[inline]
    #[must_use]
    pub fn control_bytes(&self) -> &[u8] {
        self.inbox.received()
    }

    /// The raw control messages.
    #[inline]
    pub fn cmsgs(&self) -> Cmsgs<'_> {
        parser::cmsgs(self.control_bytes())
    }

    /// The control messages as an enum.
    #[inline]
    pub fn messages(&self) -> Messages<'_> {
        parser::parse(self.control_bytes())
    }

    /// The declared messages, an `Option` each, in one walk; of several of one type the last. One that was cut is
    /// `None`: the flag [`MsgFlags::CTRUNC`] tells, and [`messages`](Self::messages) shows what is left of it. Messages of
    /// any length are views of the control buffer: copy what is needed of them before taking descriptors.
    #[inline(always)]
    #[must_use]
    pub fn extract(&self) -> L::Output<'_> {
        L::extract(self.cmsgs())
    }

    /// The message of this type, declared or not, if one arrived that can be read; of several the last.
    #[inline]
    #[must_use]
    pub fn get<T: RecvControl>(&self) -> Option<T::Value<'_>> {
        <T as RecvList>::extract(self.cmsgs())
    }

    /// The last message of this type, or why it cannot be read.
    ///
    /// ```
    /// use ancillary::{ControlVec, DecodeError, SocketExt, message::HopLimit};
    /// use std::net::UdpSocket;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// # #[cfg(target_os = "linux")] {
    /// let socket = UdpSocket::bind("127.0.0.1:0")?;
    /// socket.enable::<HopLimit>()?;
    /// socket.send_to(b"x", socket.local_addr()?)?;
    /// # let header = ancillary::cmsg::len(0).unwrap();
    /// let (mut data, mut control) = ([0; 16], ControlVec::<()>::with_capacity(header)); // without room for a payload
    /// let message = socket.recv_msg(&mut data, &mut control)?;
    /// assert_eq!(message.get::<HopLimit>(), None);
    /// assert_eq!(message.try_get::<HopLimit>(), Err(DecodeError::Length { expected: 4, found: 0 }));
    /// # }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// The [`DecodeError`] of the message.
    pub fn try_get<T: RecvControl>(&self) -> Result<Option<T::Value<'_>>, DecodeError> {
        self.cmsgs().filter(|cmsg| T::matches(cmsg.id())).last().map(T::decode).transpose()
    }

    /// The received descriptors that nobody has taken, borrowed.
    #[doc(alias = "SCM_RIGHTS")]
    pub fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> + Clone {
        self.inbox.fds()
    }

    /// Takes the received descriptors, one after the other. Those not taken stay in the control buffer, which closes
    /// them.
    #[doc(alias = "SCM_RIGHTS")]
    pub fn take_fds(&mut self) -> TakeFds<'_> {
        TakeFds::new(self.inbox.reborrow())
    }

    /// Takes exactly `N` descriptors; [`TakeFds::exactly`] for a number that is not known before.
    ///
    /// These are those that arrived. With `MSG_CTRUNC` more were sent, or no more could be opened:
    /// [`require_complete`](Self::require_complete) says so.
    ///
    /// # Errors
    ///
    /// [`FdCountError`] if there are more or fewer; none is taken then.
    #[doc(alias = "SCM_RIGHTS")]
    pub fn take_fds_exact<const N: usize>(&mut self) -> Result<[OwnedFd; N], FdCountError> {
        self.take_fds().exact()
    }

    /// Takes the descriptor of the sender's process (`SCM_PIDFD`), if one arrived and has not been taken.
    ///
    /// # Errors
    ///
    /// The kernel's reason for sending a number instead: EMFILE, ESRCH (before Linux 6.16, of a sender that has gone:
    /// nothing that should end a server).
    #[cfg(linux_like)]
    #[doc(alias = "SCM_PIDFD")]
    pub fn take_pidfd(&mut self) -> io::Result<Option<OwnedFd>> {
        take_pidfd(self.inbox.reborrow())
    }
}

impl<'d, L> Received<'_, L, &'d [u8]> {
    /// The data that arrived.
    #[inline(always)]
    #[must_use]
    pub fn data(&self) -> &'d [u8] {
        self.bytes.get(..self.len).unwrap_or(self.bytes)
    }
}

#[cfg(linux_like)]
impl<'d, L: RecvList> Received<'_, L, &'d [u8]> {
    /// The datagrams that the kernel has merged into this one ([`UdpGro`]); this one, where it has merged none. With
    /// [`MsgFlags::TRUNC`] the last is what is left of one.
    #[doc(alias = "UDP_GRO")]
    pub fn segments(&self) -> impl Iterator<Item = &'d [u8]> {
        UdpGro::segments(self.get::<UdpGro>(), self.data())
    }
}

/// Prints length, peer, flags and control messages in one line.
impl<L: RecvList, D> fmt::Debug for Received<'_, L, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Received {{ {} bytes", self.len)?;
        if self.full_len > self.len {
            write!(f, " of {}", self.full_len)?;
        }
        if let Some(peer) = self.peer() {
            write!(f, ", from: {peer:?}")?;
        }
        f.write_str(", control: ")?;
        parser::fmt_list(self.cmsgs(), f)?;
        f.write_str(", flags: ")?;
        bitflags::parser::to_writer(&self.flags, &mut *f)?;
        f.write_str(" }")
    }
}
