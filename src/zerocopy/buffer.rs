//! Buffers that may stay with the kernel.

use std::sync::Arc;

mod sealed {
    pub trait Sealed {
        /// Calls `add` for each piece of the data, in order.
        fn each<'a>(&'a self, add: &mut dyn FnMut(&'a [u8]));
    }
}

pub(super) use sealed::Sealed;

/// What [`ZeroCopy`](super::ZeroCopy) and [`pinned::SendMsg`](crate::pinned::SendMsg) can send: owned bytes that stay where they are when their owner moves, and that
/// nobody can change meanwhile.
///
/// `Vec<u8>`, `Box<[u8]>`, `Arc<[u8]>`, `&'static [u8]`, `bytes::Bytes`; an array or a `Vec` of these is gathered.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot stay with the kernel until it is sent",
    note = "owned bytes can: `Vec<u8>`, `Box<[u8]>`, `Arc<[u8]>`, `bytes::Bytes`, `&'static [u8]`, and arrays of these"
)]
pub trait ZeroCopyBuf: Sealed {}

impl<B: Sealed> ZeroCopyBuf for B {}

macro_rules! bytes {
    ($($type:ty),+) => {
        $(impl Sealed for $type {
            fn each<'a>(&'a self, add: &mut dyn FnMut(&'a [u8])) {
                add(self);
            }
        })+
    };
}

bytes!(Vec<u8>, Box<[u8]>, Arc<[u8]>, &'static [u8]);
#[cfg(feature = "bytes")]
bytes!(::bytes::Bytes);

impl<B: Sealed, const N: usize> Sealed for [B; N] {
    fn each<'a>(&'a self, add: &mut dyn FnMut(&'a [u8])) {
        self.iter().for_each(|piece| piece.each(add));
    }
}

impl<B: Sealed> Sealed for Vec<B> {
    fn each<'a>(&'a self, add: &mut dyn FnMut(&'a [u8])) {
        self.iter().for_each(|piece| piece.each(add));
    }
}

/// How many bytes it has.
pub(super) fn len(buffer: &impl Sealed) -> usize {
    let mut len = 0;
    buffer.each(&mut |piece| len += piece.len());
    len
}
