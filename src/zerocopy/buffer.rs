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
///
/// ```
/// use ancillary::{ZeroCopy, ZeroCopyBuf};
/// use std::{net::UdpSocket, sync::Arc, time::Duration};
///
/// /// Sends and waits for the buffer.
/// fn send_and_wait<B: ZeroCopyBuf>(out: &mut ZeroCopy<UdpSocket, B>, buffer: B) -> std::io::Result<Option<B>> {
///     let mut back = None;
///     out.send(buffer)?;
///     out.wait(Duration::from_secs(10), |buffer, _copied| back = Some(buffer))?;
///     Ok(back)
/// }
///
/// # fn main() -> std::io::Result<()> {
/// # let peer = UdpSocket::bind("127.0.0.1:0")?;
/// # let [one, other] = [UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?];
/// # one.connect(peer.local_addr()?)?;
/// # other.connect(peer.local_addr()?)?;
/// let shared: Arc<[u8]> = b"for many".as_slice().into();
/// let back = send_and_wait(&mut ZeroCopy::new(one)?, shared.clone())?;
/// assert!(back.is_some_and(|back| Arc::ptr_eq(&back, &shared)));
/// let back = send_and_wait(&mut ZeroCopy::new(other)?, [vec![1], vec![2, 3]])?; // gathered
/// assert_eq!(back, Some([vec![1], vec![2, 3]]));
/// # assert_eq!([peer.recv(&mut [0; 64])?, peer.recv(&mut [0; 64])?], [8, 3]);
/// # Ok(())
/// # }
/// ```
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
