//! Descriptors (`SCM_RIGHTS`); see [unix(7)](https://man7.org/linux/man-pages/man7/unix.7.html).

use std::{
    fmt, io,
    os::fd::{AsFd, BorrowedFd, RawFd},
};

use super::{RecvControl, SendControl};
use crate::{
    cmsg::{CmsgId, ControlOut, RawCmsg},
    error::{DecodeError, EncodeError},
    options::Families,
    sys,
};

/// Descriptors to send to another process (`SCM_RIGHTS`).
///
/// The file descriptions travel, the numbers do not: the receiver gets new descriptors for the same open files. Up to
/// 253 in one message (Linux 2.6.38), over AF_UNIX sockets; several `ScmRights` in one header become one message, and
/// none at all emits none. On a stream they travel with the first byte of data, so there must be one. The sender's
/// descriptors stay open and stay its own. Sockets of other families ignore the message.
///
/// Anything that is [`AsFd`] will do, by reference; the header keeps the borrow. Different types go together as
/// `[file.as_fd(), socket.as_fd()]`. To receive them see [`ScmRightsSpace`]. A bare number has to be vouched for
/// with [`BorrowedFd::borrow_raw`], which is `unsafe` in the standard library because the number may not be yours.
///
/// # Wire layout
///
/// ```text
///   0    4    8        4n
///   +----+----+--------+
///   | fd | fd |  ...   |   int, host byte order
///   +----+----+--------+
/// ```
///
/// # Examples
///
/// ```
/// use ancillary::{MsgHdr, SocketExt, message::ScmRights};
/// use std::{fs::File, os::{fd::AsFd, unix::net::UnixStream}};
///
/// # fn main() -> std::io::Result<()> {
/// let (a, b) = UnixStream::pair()?;
/// let file = File::open("/dev/null")?;
/// MsgHdr::new().data(b"x").control(ScmRights::new([file.as_fd(), a.as_fd()])).send(&a)?;
///
/// let mut data = [0; 1];
/// let message = b.recv_fds::<2>(&mut data)?;
/// assert_eq!(message.fds().count(), 2);
/// # Ok(())
/// # }
/// ```
///
/// A descriptor cannot be closed while a header holds it:
///
/// ```compile_fail,E0505
/// use ancillary::{MsgHdr, message::ScmRights};
/// use std::{fs::File, os::unix::net::UnixStream};
///
/// let (a, _b) = UnixStream::pair().unwrap();
/// let file = File::open("/dev/null").unwrap();
/// let mut header = MsgHdr::new();
/// header.data(b"x").control(ScmRights::new([&file]));
/// drop(file);
/// header.send(&a).unwrap();
/// ```
///
/// # Errors
///
/// Building: [`EncodeError::Descriptors`] for more than 253. Sending: ETOOMANYREFS when more of this user's are in
/// flight than `RLIMIT_NOFILE` (`CAP_SYS_RESOURCE` or `CAP_SYS_ADMIN` lift it); EINVAL for an io_uring; EPERM when the
/// receiver has refused them (`SO_PASSRIGHTS`, Linux 6.16).
///
/// # References
///
/// unix(7); net/core/scm.c, `scm_fp_copy`
#[doc(alias = "SCM_RIGHTS")]
#[derive(Clone)]
pub struct ScmRights<I>(I);

impl<'fd, I> ScmRights<I>
where
    I: Iterator<Item: BorrowFd<'fd>> + Clone,
{
    /// These descriptors, in this order: `[&file, &other]`, `[file.as_fd(), socket.as_fd()]`, `&vec_of_owned`.
    #[inline]
    pub fn new(fds: impl IntoIterator<IntoIter = I>) -> Self {
        Self(fds.into_iter())
    }
}

impl<I> fmt::Debug for ScmRights<I>
where
    I: Iterator<Item: fmt::Debug> + Clone,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ScmRights")?;
        f.debug_list().entries(self.0.clone()).finish()
    }
}

impl<'fd, I> SendControl<'fd> for ScmRights<I>
where
    I: Iterator<Item: BorrowFd<'fd>> + Clone,
{
    #[inline(always)]
    fn encode(&self, out: &mut ControlOut<'_, 'fd>) -> Result<(), EncodeError> {
        out.push_rights(self.0.clone().map(BorrowFd::borrow_fd), sys::numbers(&self.0))
    }
}

/// What stays borrowed for `'fd`: a [`BorrowedFd`], or a reference to anything that is [`AsFd`].
///
/// ```
/// use ancillary::{MsgHdr, SocketExt, message::{BorrowFd, ScmRights}};
/// use std::{fs::File, io, os::{fd::AsFd, unix::net::UnixStream}};
///
/// /// Takes files, sockets or borrowed descriptors.
/// fn lend<'fd, I>(to: &UnixStream, fds: I) -> io::Result<usize>
/// where
///     I: IntoIterator<Item: BorrowFd<'fd>, IntoIter: Clone>,
/// {
///     MsgHdr::new().data(b"x").control(ScmRights::new(fds)).send(to)
/// }
///
/// # fn main() -> io::Result<()> {
/// let (a, b) = UnixStream::pair()?;
/// lend(&a, &[File::open("/dev/null")?, File::open("/dev/null")?])?;
/// lend(&a, [a.as_fd()])?;
/// # assert_eq!(b.recv_fds::<2>(&mut [0])?.fds().count(), 2);
/// # assert_eq!(b.recv_fds::<1>(&mut [0])?.fds().count(), 1);
/// # Ok(())
/// # }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a borrowed descriptor",
    note = "lend it: `[&file]`, `[file.as_fd(), socket.as_fd()]`, or `&vec_of_owned`"
)]
pub trait BorrowFd<'fd> {
    /// The descriptor.
    fn borrow_fd(self) -> BorrowedFd<'fd>;
}

impl<'fd> BorrowFd<'fd> for BorrowedFd<'fd> {
    #[inline(always)]
    fn borrow_fd(self) -> BorrowedFd<'fd> {
        self
    }
}

impl<'fd, T: AsFd + ?Sized> BorrowFd<'fd> for &'fd T {
    #[inline(always)]
    fn borrow_fd(self) -> BorrowedFd<'fd> {
        self.as_fd()
    }
}

/// Room for at least `N` received descriptors in a [`ControlBuf`](crate::ControlBuf); extracted, it is how many
/// arrived.
///
/// The descriptors themselves come from [`Received::take_fds`](crate::Received::take_fds). Nothing needs enabling. More
/// than `N` may arrive: the buffer may be larger, and padding alone has room for one more;
/// [`take_fds_exact`](crate::Received::take_fds_exact) takes so many and no others.
///
/// ```
/// use ancillary::{ControlBuf, message::{Credentials, ScmRightsSpace}};
///
/// let control = ControlBuf::<(ScmRightsSpace<4>, Credentials)>::new();
/// # drop(control);
/// ```
#[doc(alias = "SCM_RIGHTS")]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ScmRightsSpace<const N: usize> {
    /// Descriptors that arrived.
    pub count: usize,
}

impl<const N: usize> RecvControl for ScmRightsSpace<N> {
    type Value<'a> = Self;
    const PAYLOAD_LEN: usize = 4 * N;

    fn matches(id: CmsgId) -> bool {
        id == CmsgId::RIGHTS
    }

    fn decode(cmsg: RawCmsg<'_>) -> Result<Self, DecodeError> {
        Ok(Self { count: cmsg.payload().len() / 4 })
    }

    /// Only says whether descriptors can arrive at all.
    fn set_enabled(socket: BorrowedFd<'_>, _: bool) -> io::Result<()> {
        Families::UNIX.require(socket).map(drop)
    }
}

/// The numbers in an `SCM_RIGHTS` message: a view that owns nothing.
///
/// A number in bytes says nothing about who owns it. Received descriptors belong to the control buffer; take them with
/// [`Received::take_fds`](crate::Received::take_fds).
///
/// ```
/// use ancillary::{cmsg, message::ScmRights, parser::{self, ControlMessage}};
/// use std::{fs::File, os::fd::AsRawFd};
///
/// # fn main() -> std::io::Result<()> {
/// let file = File::open("/dev/null")?;
/// let mut control = [0; 64];
/// let len = cmsg::encode(&ScmRights::new([&file]), &mut control)?;
/// let Some(ControlMessage::ScmRights(rights)) = parser::parse(&control[..len]).next() else { panic!() };
/// assert_eq!((rights.count(), rights.iter().next()), (1, Some(file.as_raw_fd())));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct ReceivedRights<'a>(&'a [u8]);

impl<'a> ReceivedRights<'a> {
    pub(crate) fn decode(cmsg: RawCmsg<'a>) -> Result<Self, DecodeError> {
        Ok(Self(cmsg.payload()))
    }

    /// How many whole numbers there are.
    pub fn count(&self) -> usize {
        self.0.len() / 4
    }

    /// The numbers; -1 where the descriptor has been taken.
    pub fn iter(&self) -> impl Iterator<Item = RawFd> + Clone + 'a {
        self.0.chunks_exact(4).map(|int| RawFd::from_ne_bytes([int[0], int[1], int[2], int[3]]))
    }
}

impl fmt::Debug for ReceivedRights<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl fmt::Display for ReceivedRights<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
