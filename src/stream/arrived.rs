//! Descriptors that have arrived, in order, and what else a receive says of the stream.

use std::{
    collections::VecDeque,
    fmt,
    iter::FusedIterator,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use crate::{error::FdCountError, flags::MsgFlags, receive::Received};

#[derive(Default)]
pub(super) struct Arrived {
    fds: VecDeque<OwnedFd>,
    /// So many at the front were given to a [`PopFds`], which has not taken them; it may have been forgotten.
    given: usize,
    /// Whether the kernel has kept some back.
    pub(super) lost: bool,
    pub(super) eof: bool,
}

impl Arrived {
    /// Takes over what came with the bytes, the descriptors first of all; how many bytes there are.
    pub(super) fn take<D>(&mut self, mut message: Received<'_, (), D>) -> usize {
        self.fds.extend(message.take_fds());
        self.lost |= message.flags().contains(MsgFlags::CTRUNC);
        self.eof |= message.is_eof();
        message.len()
    }

    pub(super) fn len(&self) -> usize {
        self.fds.len() - self.given
    }

    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = BorrowedFd<'_>> + Clone {
        self.fds.iter().skip(self.given).map(AsFd::as_fd)
    }

    pub(super) fn pop_one(&mut self) -> Option<OwnedFd> {
        self.close_given();
        self.fds.pop_front()
    }

    pub(super) fn pop(&mut self, count: usize) -> Result<PopFds<'_>, FdCountError> {
        self.close_given();
        let found = self.fds.len();
        if found < count {
            return Err(FdCountError { expected: count, found });
        }
        self.given = count;
        Ok(PopFds(self))
    }

    fn close_given(&mut self) {
        while self.given > 0 {
            self.given -= 1;
            drop(self.fds.pop_front());
        }
    }
}

impl fmt::Debug for Arrived {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Descriptors that leave a reader; closes what is not taken.
///
/// ```
/// use ancillary::stream::FdStream;
/// use std::{fs::File, io::{Read, Write}, os::unix::net::UnixStream};
///
/// # fn main() -> std::io::Result<()> {
/// let (a, b) = UnixStream::pair()?;
/// let (mut client, mut server) = (FdStream::new(a), FdStream::new(b));
/// client.queue(b"three", [File::open("/dev/null")?, File::open("/dev/null")?, File::open("/dev/null")?])?;
/// client.flush()?;
/// server.read_exact(&mut [0; 5])?;
/// let mut fds = server.pop_fds(3)?;
/// let first = fds.next().map(File::from);
/// drop(fds); // closes the other two
/// # assert!(first.is_some() && server.pop_fd().is_none());
/// # Ok(())
/// # }
/// ```
#[must_use = "descriptors that are not taken are closed"]
pub struct PopFds<'a>(&'a mut Arrived);

impl Iterator for PopFds<'_> {
    type Item = OwnedFd;

    #[inline]
    fn next(&mut self) -> Option<OwnedFd> {
        self.0.given = self.0.given.checked_sub(1)?;
        self.0.fds.pop_front()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.0.given, Some(self.0.given))
    }
}

impl ExactSizeIterator for PopFds<'_> {}

impl FusedIterator for PopFds<'_> {}

impl Drop for PopFds<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.0.given > 0 {
            self.0.close_given();
        }
    }
}

/// Prints those that are left.
impl fmt::Debug for PopFds<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PopFds(")?;
        f.debug_list().entries(self.0.fds.iter().take(self.0.given)).finish()?;
        f.write_str(")")
    }
}
