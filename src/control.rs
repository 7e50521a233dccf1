//! Buffers for received control data; they own the descriptors that arrive in them.

#[cfg(linux_like)]
use std::io;
use std::{
    fmt,
    marker::PhantomData,
    os::fd::{BorrowedFd, OwnedFd},
};

#[cfg(linux_like)]
use crate::take::take_pidfd;
use crate::{
    addr::SockAddr,
    cmsg::Cmsgs,
    error::FdCountError,
    flags::MsgFlags,
    message::{RecvControl, RecvList},
    parser::{self, Messages},
    sys::{HeapStorage, Inbox, InboxMut, InlineStorage},
    take::TakeFds,
};

/// A control buffer of `N` bytes on the stack for the messages `L`.
///
/// It owns the descriptors that a receive brings: those that nobody takes are closed by the next receive into it, or
/// when it is dropped. Moving it between receives is fine. The peer's address has its place here too.
///
/// 256 bytes are enough for most sets, and leave room for messages that somebody else has enabled; a set that does not
/// fit is refused when the program is compiled, and `{ L::SPACE }` is the exact number:
///
/// ```
/// use ancillary::{ControlBuf, message::{HopLimit, PktInfo, RecvList, ScmRightsSpace}};
///
/// let usual = ControlBuf::<(PktInfo, HopLimit)>::new();
/// assert_eq!(usual.capacity(), 256);
///
/// type Many = ScmRightsSpace<253>;
/// let exact = ControlBuf::<Many, { <Many as RecvList>::SPACE }>::new();
/// # #[cfg(all(target_os = "linux", target_pointer_width = "64"))]
/// assert_eq!(exact.capacity(), 1032);
/// ```
///
/// ```compile_fail
/// use ancillary::{ControlBuf, message::ScmRightsSpace};
/// let too_small = ControlBuf::<ScmRightsSpace<253>>::new();
/// ```
pub struct ControlBuf<L: RecvList = (), const N: usize = 256> {
    inbox: Inbox<InlineStorage<N>>,
    list: PhantomData<fn() -> L>,
}

impl<L: RecvList, const N: usize> ControlBuf<L, N> {
    /// An empty one: `ControlBuf::<L>::new()`, with `L` named, since it can be inferred only from a variable's type.
    #[inline(always)]
    pub const fn new() -> Self {
        const { assert!(L::SPACE <= N, "the messages need more than N bytes: give L::SPACE as N") };
        Self { inbox: Inbox::new(InlineStorage::new()), list: PhantomData }
    }
}

impl<L: RecvList, const N: usize> Default for ControlBuf<L, N> {
    fn default() -> Self {
        Self::new()
    }
}

/// A control buffer on the heap, its size chosen at run time; otherwise like [`ControlBuf`].
///
/// Made once, used for many receives: it allocates when it is made.
///
/// ```
/// use ancillary::ControlVec;
///
/// let control: ControlVec = ControlVec::with_capacity(4096);
/// assert_eq!(control.capacity(), 4096);
/// ```
pub struct ControlVec<L: RecvList = ()> {
    inbox: Inbox<HeapStorage>,
    list: PhantomData<fn() -> L>,
}

impl<L: RecvList> ControlVec<L> {
    /// With room for the messages `L`, and at least 256 bytes.
    #[must_use]
    pub fn new() -> Self {
        Self::with_capacity(L::SPACE.max(256))
    }

    /// Of exactly this many bytes. Fewer than `L::SPACE` cut the messages short.
    #[must_use]
    pub fn with_capacity(bytes: usize) -> Self {
        Self { inbox: Inbox::new(HeapStorage::new(bytes)), list: PhantomData }
    }
}

impl<L: RecvList> Default for ControlVec<L> {
    fn default() -> Self {
        Self::new()
    }
}

pub(crate) mod sealed {
    pub trait Sealed {
        #[doc(hidden)]
        fn inbox(&mut self) -> super::Borrowed<'_>;
    }
}

/// A borrowed control buffer of either kind.
#[doc(hidden)]
pub struct Borrowed<'a>(pub(crate) InboxMut<'a>);

/// A [`ControlBuf`] or a [`ControlVec`], or a box of one, or a mutable reference to one.
///
/// ```
/// use ancillary::{ControlBuf, ControlBuffer, ControlVec, SocketExt};
/// use std::{io, os::unix::net::UnixDatagram};
///
/// fn count(socket: &UnixDatagram, control: &mut impl ControlBuffer) -> io::Result<usize> {
///     Ok(socket.recv_msg(&mut [0; 64], control)?.messages().count())
/// }
///
/// # fn main() -> io::Result<()> {
/// let (a, b) = UnixDatagram::pair()?;
/// a.send_fds(b"1", [&a])?;
/// a.send(b"2")?;
/// assert_eq!(count(&b, &mut ControlBuf::<()>::new())?, 1);
/// assert_eq!(count(&b, &mut ControlVec::<()>::new())?, 0);
/// # Ok(())
/// # }
/// ```
pub trait ControlBuffer: sealed::Sealed {
    /// The messages it was declared for.
    type List: RecvList;
}

impl<C: sealed::Sealed + ?Sized> sealed::Sealed for &mut C {
    #[inline(always)]
    fn inbox(&mut self) -> Borrowed<'_> {
        (**self).inbox()
    }
}

impl<C: ControlBuffer + ?Sized> ControlBuffer for &mut C {
    type List = C::List;
}

impl<C: sealed::Sealed + ?Sized> sealed::Sealed for Box<C> {
    #[inline(always)]
    fn inbox(&mut self) -> Borrowed<'_> {
        (**self).inbox()
    }
}

impl<C: ControlBuffer + ?Sized> ControlBuffer for Box<C> {
    type List = C::List;
}

// What a receive brought stays readable here when its `Received` is gone: after an error in the middle of a stream, in
// a loop around readiness, in a completion queue.
macro_rules! buffer {
    ([$($generics:tt)*] $type:ty) => {
        impl<$($generics)*> sealed::Sealed for $type {
            #[inline(always)]
            fn inbox(&mut self) -> Borrowed<'_> {
                Borrowed(self.inbox.as_mut())
            }
        }

        impl<$($generics)*> ControlBuffer for $type {
            type List = L;
        }

        impl<$($generics)*> $type {
            /// Bytes of control data that it can take (`msg_controllen`).
            #[must_use]
            pub fn capacity(&self) -> usize {
                self.inbox.capacity()
            }

            /// The messages of the last receive.
            pub fn cmsgs(&self) -> Cmsgs<'_> {
                Cmsgs::new(self.inbox.received())
            }

            /// The messages of the last receive as an enum.
            pub fn messages(&self) -> Messages<'_> {
                parser::parse(self.inbox.received())
            }

            /// The declared messages of the last receive; see [`Received::extract`](crate::Received::extract).
            #[must_use]
            pub fn extract(&self) -> L::Output<'_> {
                L::extract(self.cmsgs())
            }

            /// The message of this type of the last receive; see [`Received::get`](crate::Received::get).
            #[must_use]
            pub fn get<T: RecvControl>(&self) -> Option<T::Value<'_>> {
                <T as RecvList>::extract(self.cmsgs())
            }

            /// What the last receive reported (`msg_flags`).
            #[must_use]
            pub fn flags(&self) -> MsgFlags {
                MsgFlags::from_bits_retain(self.inbox.flags())
            }

            /// Where the last message came from.
            #[must_use]
            pub fn peer(&self) -> Option<&SockAddr> {
                self.inbox.peer()
            }

            /// The descriptors that nobody has taken, borrowed.
            pub fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> + Clone {
                self.inbox.fds()
            }

            /// Takes the descriptors, one after the other.
            pub fn take_fds(&mut self) -> TakeFds<'_> {
                TakeFds::new(self.inbox.as_mut())
            }

            /// Takes exactly `M` descriptors; [`TakeFds::exactly`] for a number that is not known before.
            ///
            /// # Errors
            ///
            /// [`FdCountError`] if there are more or fewer; none is taken then.
            pub fn take_fds_exact<const M: usize>(&mut self) -> Result<[OwnedFd; M], FdCountError> {
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
                take_pidfd(self.inbox.as_mut())
            }

            /// Forgets the last message and closes the descriptors that nobody took.
            pub fn clear(&mut self) {
                self.inbox.as_mut().rearm();
            }
        }

        /// Prints the messages of the last receive.
        impl<$($generics)*> fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                parser::fmt_list(self.cmsgs(), f)
            }
        }
    };
}

buffer!([L: RecvList, const N: usize] ControlBuf<L, N>);
buffer!([L: RecvList] ControlVec<L>);
