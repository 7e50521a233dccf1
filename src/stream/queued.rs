//! Descriptors that wait to be sent.

use std::{
    fs::File,
    net::{TcpListener, TcpStream, UdpSocket},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::{UnixDatagram, UnixListener, UnixStream},
    },
};

/// A descriptor to send: owned, and closed once it has gone, or borrowed.
///
/// It comes from anything that is [`AsFd`], by reference, and from [`OwnedFd`] and std's files and sockets, by value.
///
/// ```
/// use ancillary::stream::FdWriter;
/// use std::{fs::File, os::unix::net::UnixStream};
///
/// # fn main() -> std::io::Result<()> {
/// let (a, b) = UnixStream::pair()?;
/// let mut out = FdWriter::new();
/// out.queue(b"lent", [&b])?; // stays ours
/// out.queue(b"given", [File::open("/dev/null")?])?; // closed when it has gone
/// out.flush(&a)?;
/// assert_eq!(out.pending_fds(), 0);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub enum QueuedFd<'fd> {
    /// Closed when it has been sent, or when the queue is dropped.
    Owned(OwnedFd),
    /// Stays its owner's.
    Borrowed(BorrowedFd<'fd>),
}

impl AsFd for QueuedFd<'_> {
    #[inline]
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Owned(fd) => fd.as_fd(),
            Self::Borrowed(fd) => *fd,
        }
    }
}

impl<'fd, T: AsFd + ?Sized> From<&'fd T> for QueuedFd<'fd> {
    fn from(fd: &'fd T) -> Self {
        Self::Borrowed(fd.as_fd())
    }
}

impl<'fd> From<BorrowedFd<'fd>> for QueuedFd<'fd> {
    fn from(fd: BorrowedFd<'fd>) -> Self {
        Self::Borrowed(fd)
    }
}

impl From<OwnedFd> for QueuedFd<'_> {
    fn from(fd: OwnedFd) -> Self {
        Self::Owned(fd)
    }
}

macro_rules! owned {
    ($($type:ty),+) => {$(
        impl From<$type> for QueuedFd<'_> {
            fn from(fd: $type) -> Self {
                Self::Owned(fd.into())
            }
        }
    )+};
}

owned!(File, TcpListener, TcpStream, UdpSocket, UnixDatagram, UnixListener, UnixStream);
