//! Buffers for received control data; they own the descriptors that arrive in them.

use std::{fmt, marker::PhantomData};

use crate::{
    cmsg::Cmsgs,
    message::RecvList,
    parser,
    sys::{HeapStorage, Inbox, InboxMut, InlineStorage},
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
    /// An empty one.
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
    /// Of exactly this many bytes; 0 is possible. Allocates once.
    pub fn with_capacity(bytes: usize) -> Self {
        Self { inbox: Inbox::new(HeapStorage::new(bytes)), list: PhantomData }
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

/// A [`ControlBuf`] or a [`ControlVec`].
pub trait ControlBuffer: sealed::Sealed {
    /// The messages it was declared for.
    type List: RecvList;
}

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
            pub fn capacity(&self) -> usize {
                self.inbox.capacity()
            }

            /// The messages of the last receive.
            pub fn cmsgs(&self) -> Cmsgs<'_> {
                Cmsgs::new(self.inbox.received())
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
