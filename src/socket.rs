//! What every socket gains: [`SocketExt`].

use std::{
    io,
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use nix::libc;

use crate::{
    control::ControlBuffer,
    error::FamilyError,
    flags::MsgFlags,
    message::{BorrowFd, RecvList, ScmRights},
    receive::{MsgHdrMut, Received, RecvExact},
    send::MsgHdr,
    sys,
};

/// Options, receiving and descriptors, for everything that is [`AsFd`]: the sockets of std, nix, socket2, tokio, mio.
///
/// Sending goes through [`MsgHdr`].
pub trait SocketExt: AsFd {
    /// Asks the kernel to deliver these messages with every datagram.
    ///
    /// It knows the socket's family: on an IPv6 socket, [`PktInfo`](crate::message::PktInfo) sets the IPv6 option
    /// alone, and the other unified messages set both.
    ///
    /// # Errors
    ///
    /// [`FamilyError`] on a socket of a family that never delivers it, else that of setsockopt(2) (ENOPROTOOPT: this
    /// kernel has no such option).
    fn enable<L: RecvList>(&self) -> io::Result<()> {
        L::set_enabled(self.as_fd(), true)
    }

    /// Asks the kernel to deliver them no longer.
    ///
    /// # Errors
    ///
    /// As [`enable`](Self::enable).
    fn disable<L: RecvList>(&self) -> io::Result<()> {
        L::set_enabled(self.as_fd(), false)
    }

    /// Receives one message into one buffer; [`MsgHdrMut`] takes several, and flags.
    ///
    /// # Errors
    ///
    /// That of recvmsg(2); EINTR is retried, `WouldBlock` is returned. Truncation is no error:
    /// [`Received::require_complete`] makes it one.
    #[inline(always)]
    fn recv_msg<'a, C: ControlBuffer>(
        &self,
        data: &'a mut [u8],
        control: &'a mut C,
    ) -> io::Result<Received<'a, C::List, &'a [u8]>> {
        MsgHdrMut::new().recv_slice(self.as_fd(), data, control)
    }

    /// The same into memory that may be uninitialised; what arrived is initialised.
    ///
    /// # Errors
    ///
    /// As [`recv_msg`](Self::recv_msg).
    #[inline(always)]
    fn recv_msg_uninit<'a, C: ControlBuffer>(
        &self,
        data: &'a mut [MaybeUninit<u8>],
        control: &'a mut C,
    ) -> io::Result<Received<'a, C::List, &'a [u8]>> {
        MsgHdrMut::new().recv_uninit(self.as_fd(), data, control)
    }

    /// The same into the spare capacity of a [`bytes::BufMut`] (its first chunk: reserve before), which advances.
    ///
    /// # Errors
    ///
    /// As [`recv_msg`](Self::recv_msg).
    #[cfg(feature = "bytes")]
    fn recv_buf<'a, C: ControlBuffer>(
        &self,
        data: &mut impl bytes::BufMut,
        control: &'a mut C,
    ) -> io::Result<Received<'a, C::List>> {
        MsgHdrMut::new().recv_buf(self.as_fd(), data, control)
    }

    /// Receives exactly as many bytes from a blocking stream as the buffer holds, in as many calls as it takes; the
    /// control data of all of them is kept. [`RecvExact`] does the same on a non-blocking socket.
    ///
    /// # Errors
    ///
    /// [`ShortReadError`](crate::ShortReadError) (`UnexpectedEof`) says how many bytes came before the peer closed.
    fn recv_exact<'a, C: ControlBuffer>(
        &self,
        data: &'a mut [u8],
        control: &'a mut C,
    ) -> io::Result<Received<'a, C::List>> {
        RecvExact::new(data).recv(self.as_fd(), control)
    }

    /// Sends data with descriptors, in one call.
    ///
    /// # Errors
    ///
    /// As [`MsgHdr::send`].
    fn send_fds<'fd, I>(&self, data: &'fd [u8], fds: impl IntoIterator<IntoIter = I>) -> io::Result<usize>
    where
        I: Iterator<Item: BorrowFd<'fd>> + Clone,
    {
        MsgHdr::new().data(data).control(ScmRights::new(fds)).send(self)
    }

    /// Receives data with at most `N` descriptors, close-on-exec. More than `N` are closed, and reported as
    /// [`MsgFlags::CTRUNC`].
    ///
    /// # Errors
    ///
    /// As [`recv_msg`](Self::recv_msg).
    fn recv_fds<const N: usize>(&self, data: &mut [u8]) -> io::Result<FdMessage<N>> {
        // Room for as many as a message can carry, and for credentials and the like that others have enabled.
        let mut control = crate::ControlBuf::<(), 1536>::new();
        let mut message = self.recv_msg(data, &mut control)?;
        let (len, mut flags) = (message.len(), message.flags());
        let mut fds = [const { None }; N];
        let mut arrived = message.take_fds();
        for (slot, fd) in fds.iter_mut().zip(&mut arrived) {
            *slot = Some(fd);
        }
        if arrived.next().is_some() {
            flags |= MsgFlags::CTRUNC;
        }
        Ok(FdMessage { len, flags, fds })
    }
}

impl<T: AsFd + ?Sized> SocketExt for T {}

/// Data with descriptors, from [`SocketExt::recv_fds`]; iterates over the descriptors, closes what is left.
#[derive(Debug)]
pub struct FdMessage<const N: usize> {
    len: usize,
    flags: MsgFlags,
    fds: [Option<OwnedFd>; N],
}

impl<const N: usize> FdMessage<N> {
    /// Bytes of data.
    #[expect(clippy::len_without_is_empty, reason = "the length of the data, not of the descriptors")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// What the receive reported; [`MsgFlags::CTRUNC`] if descriptors were closed for want of room.
    pub fn flags(&self) -> MsgFlags {
        self.flags
    }

    /// The descriptors, borrowed.
    pub fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.fds.iter().flatten().map(AsFd::as_fd)
    }
}

impl<const N: usize> IntoIterator for FdMessage<N> {
    type Item = OwnedFd;
    type IntoIter = std::iter::Flatten<std::array::IntoIter<Option<OwnedFd>, N>>;

    fn into_iter(self) -> Self::IntoIter {
        self.fds.into_iter().flatten()
    }
}

/// Sets an option that is an `int` (setsockopt(2)); for messages of one's own.
///
/// # Errors
///
/// That of setsockopt(2).
#[doc(alias = "setsockopt")]
pub fn set_option(socket: BorrowedFd<'_>, level: i32, name: i32, value: i32) -> io::Result<()> {
    sys::set_int_option(socket, level, name, value)
}

/// The socket's family, if it is an internet one.
pub(crate) fn inet_family(socket: BorrowedFd<'_>) -> io::Result<i32> {
    require(socket, &[libc::AF_INET, libc::AF_INET6], "AF_INET or AF_INET6")
}

pub(crate) fn require_inet(socket: BorrowedFd<'_>) -> io::Result<()> {
    inet_family(socket).map(drop)
}

pub(crate) fn require_inet6(socket: BorrowedFd<'_>) -> io::Result<()> {
    require(socket, &[libc::AF_INET6], "AF_INET6").map(drop)
}

#[cfg(linux_like)]
pub(crate) fn require_unix_or_netlink(socket: BorrowedFd<'_>) -> io::Result<()> {
    require(socket, &[libc::AF_UNIX, libc::AF_NETLINK], "AF_UNIX or AF_NETLINK").map(drop)
}

fn require(socket: BorrowedFd<'_>, families: &[i32], expected: &'static str) -> io::Result<i32> {
    let found = sys::domain(socket)?;
    if families.contains(&found) { Ok(found) } else { Err(FamilyError { what: "socket", expected, found }.into()) }
}
