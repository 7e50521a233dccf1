//! Descriptors leaving a control buffer.

#[cfg(linux_like)]
use std::io;
use std::{fmt, iter::FusedIterator, os::fd::OwnedFd};

use crate::{
    error::FdCountError,
    sys::{FdCursor, InboxMut},
};

/// Takes received descriptors; see [`Received::take_fds`](crate::Received::take_fds) and
/// [`ControlBuf::take_fds`](crate::ControlBuf::take_fds).
///
/// ```
/// use ancillary::{ControlBuf, SocketExt, message::ScmRightsSpace};
/// use std::os::unix::net::UnixStream;
///
/// # fn main() -> std::io::Result<()> {
/// let (a, b) = UnixStream::pair()?;
/// a.send_fds(b"x", [&a, &b, &a])?;
/// let mut control = ControlBuf::<ScmRightsSpace<3>>::new();
/// b.recv_msg(&mut [0; 1], &mut control)?;
/// let first = control.take_fds().next();
/// assert_eq!((first.is_some(), control.fds().count()), (true, 2)); // two are the buffer's, which closes them
/// # Ok(())
/// # }
/// ```
#[must_use = "descriptors that are not taken are closed with the control buffer"]
pub struct TakeFds<'a> {
    inbox: InboxMut<'a>,
    cursor: FdCursor,
}

impl<'a> TakeFds<'a> {
    pub(crate) fn new(inbox: InboxMut<'a>) -> Self {
        Self { inbox, cursor: FdCursor::new() }
    }

    /// These, if `count` of them are left; for a number that is known before the program runs, `take_fds_exact`.
    ///
    /// ```
    /// use ancillary::{ControlBuf, SocketExt, message::ScmRightsSpace};
    /// use std::os::{fd::OwnedFd, unix::net::UnixStream};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let (a, b) = UnixStream::pair()?;
    /// a.send_fds(&[3], [&a, &b, &a])?; // how many there are
    /// let (mut data, mut control) = ([0; 1], ControlBuf::<ScmRightsSpace<8>>::new());
    /// let mut message = b.recv_msg(&mut data, &mut control)?;
    /// message.require_complete()?;
    /// let expected = usize::from(message.data()[0]);
    /// let fds: Vec<OwnedFd> = message.take_fds().exactly(expected)?.collect();
    /// assert_eq!(fds.len(), 3);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`FdCountError`] if there are more or fewer; none is taken then.
    pub fn exactly(self, count: usize) -> Result<Self, FdCountError> {
        match self.inbox.fds().count() {
            found if found == count => Ok(self),
            found => Err(FdCountError { expected: count, found }),
        }
    }

    /// All that are left, if they are `N`.
    pub(crate) fn exact<const N: usize>(self) -> Result<[OwnedFd; N], FdCountError> {
        let mut fds = self.exactly(N)?;
        Ok(std::array::from_fn(|_| fds.next().expect("counted above")))
    }
}

/// Takes the pidfd of an inbox; an error number of the kernel's becomes an error.
#[cfg(linux_like)]
pub(crate) fn take_pidfd(mut inbox: InboxMut<'_>) -> io::Result<Option<OwnedFd>> {
    match inbox.take_pidfd() {
        Some(Ok(fd)) => Ok(Some(fd)),
        Some(Err(number)) => Err(io::Error::from_raw_os_error(number.wrapping_neg())),
        None => Ok(None),
    }
}

impl Iterator for TakeFds<'_> {
    type Item = OwnedFd;

    #[inline]
    fn next(&mut self) -> Option<OwnedFd> {
        self.inbox.take_fd(&mut self.cursor)
    }
}

impl FusedIterator for TakeFds<'_> {}

impl fmt::Debug for TakeFds<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.inbox.fds()).finish()
    }
}
