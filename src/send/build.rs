//! Building a message, wherever its parts are kept.

use std::io::IoSlice;

use nix::libc;

use super::{BatchSlot, ControlList, Failure, MsgHdr, Past, Progress, Storage};
use crate::{
    addr::{Name, ToSockAddr, set_name},
    cmsg::{ControlOut, unlikely},
    error::EncodeError,
    flags::SendFlags,
    message::SendControl,
    sys,
};

impl<'a, S: Storage<'a>> MsgHdr<'a, S> {
    /// The destination (`msg_name`, `msg_namelen`); none for a connected socket.
    ///
    /// Before [`control`](Self::control) if messages for both families are to go out in one form. After it, another
    /// family than before is [`EncodeError::Destination`].
    #[doc(alias = "msg_name")]
    #[doc(alias = "msg_namelen")]
    #[inline(always)]
    pub fn to(&mut self, addr: impl ToSockAddr<'a>) -> &mut Self {
        let encoded =
            if self.parts.control().as_bytes().is_empty() { libc::AF_UNSPEC } else { self.name.effective_family() };
        set_name(&mut self.name, addr);
        if encoded != libc::AF_UNSPEC && encoded != self.name.effective_family() {
            self.fail(EncodeError::Destination { expected: encoded, found: self.name.effective_family() });
        }
        self
    }

    /// One more buffer to gather (`msg_iov`). A header holds 64, a batch what it was made for; [`slices`](Self::slices)
    /// takes more.
    #[doc(alias = "msg_iov")]
    #[inline(always)]
    pub fn data(&mut self, bytes: &'a [u8]) -> &mut Self {
        if let Err(needed) = self.parts.slices_mut().push(bytes) {
            self.fail(EncodeError::Slices { needed, available: self.parts.slices().capacity() });
        }
        self
    }

    /// Many buffers to gather: by reference when they are all there is, up to 1,024 (`IOV_MAX`) for
    /// [`send`](Self::send), any number for [`send_all`](MsgHdr::send_all); else copied into the header's 64.
    ///
    /// ```
    /// use ancillary::MsgHdr;
    /// use std::{io::IoSlice, os::unix::net::UnixDatagram};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let (a, b) = UnixDatagram::pair()?;
    /// let pieces: Vec<_> = (0..100).map(|_| IoSlice::new(b"pie")).collect();
    /// assert_eq!(MsgHdr::new().slices(&pieces).send(&a)?, 300);
    /// # assert_eq!(b.recv(&mut [0; 512])?, 300);
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias = "msg_iov")]
    #[doc(alias = "msg_iovlen")]
    #[doc(alias = "IOV_MAX")]
    #[doc(alias = "UIO_MAXIOV")]
    #[inline]
    pub fn slices(&mut self, slices: &'a [IoSlice<'a>]) -> &mut Self {
        if let Err(needed) = self.parts.slices_mut().set_or_extend(slices) {
            self.fail(EncodeError::Slices { needed, available: self.parts.slices().capacity() });
        }
        self
    }

    /// All chunks of a [`bytes::Buf`], which is not advanced.
    ///
    /// If its `chunks_vectored` gives less than it holds, sending it as a datagram is [`EncodeError::Gather`]; on a
    /// stream it is a short send, unless other data follows.
    ///
    /// ```
    /// use ancillary::MsgHdr;
    /// use bytes::{Buf, Bytes};
    /// use std::os::unix::net::UnixDatagram;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let (a, b) = UnixDatagram::pair()?;
    /// let frame = Bytes::from_static(b"head").chain(Bytes::from_static(b"body")); // two chunks, gathered
    /// assert_eq!(MsgHdr::new().buf(&frame).send(&a)?, 8);
    /// # assert_eq!(b.recv(&mut [0; 16])?, 8);
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "bytes")]
    pub fn buf(&mut self, buf: &'a (impl bytes::Buf + ?Sized)) -> &mut Self {
        let mut found = 0;
        let filled = self.parts.slices_mut().fill(|free| {
            let used = buf.chunks_vectored(free).min(free.len());
            found = sys::total(&free[..used]);
            used
        });
        if let Err(needed) = filled {
            return self.fail(EncodeError::Slices { needed, available: self.parts.slices().capacity() });
        }
        if found != buf.remaining() {
            self.fail(EncodeError::Gather { expected: buf.remaining(), found });
        }
        self
    }

    /// Control messages (`msg_control`): one, a tuple, a slice, an `Option`, or references to these; 1,280 bytes in
    /// all (in a batch, what it was made for). A [`ControlList`] holds more.
    ///
    /// After [`to`](Self::to), a message for both families goes out in the one form the destination needs.
    #[doc(alias = "msg_control")]
    #[inline(always)]
    pub fn control(&mut self, messages: impl SendControl<'a>) -> &mut Self {
        if self.list.is_some() {
            self.copy_list();
        }
        if let Progress::Begun(sent) = self.progress() {
            return self.fail(EncodeError::Begun { sent });
        }
        let family = self.name.effective_family();
        let control = self.parts.control_mut();
        // Twice the same: where there is all of this, each message need not ask for its own.
        let result = if S::SHARED && control.free() < PLENTY {
            unlikely();
            messages.encode(&mut ControlOut::new(control.sink(), family))
        } else {
            messages.encode(&mut ControlOut::new(control.sink(), family))
        };
        if let Err(error) = result {
            self.fail(error);
        }
        self
    }

    /// Control messages that were encoded before; by reference when they are all there is.
    ///
    /// ```
    /// use ancillary::{ControlList, MsgHdr, message::HopLimit};
    /// use std::net::UdpSocket;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// # let (socket, peer) = (UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?);
    /// # let to = peer.local_addr()?;
    /// let list = ControlList::new(HopLimit(1))?; // encoded once, for many messages
    /// for data in [b"one", b"two"] {
    ///     MsgHdr::new().to(to).data(data).control_from(&list).send(&socket)?;
    /// }
    /// # assert_eq!((peer.recv(&mut [0; 9])?, peer.recv(&mut [0; 9])?), (3, 3));
    /// # Ok(())
    /// # }
    /// ```
    pub fn control_from(&mut self, list: &'a ControlList<'a>) -> &mut Self {
        if let Progress::Begun(sent) = self.progress() {
            return self.fail(EncodeError::Begun { sent });
        }
        self.copy_list();
        self.list = Some(list);
        if !self.parts.control().as_bytes().is_empty() {
            self.copy_list();
        }
        self
    }

    #[inline(always)]
    fn copy_list(&mut self) {
        if let Some(list) = self.list.take() {
            if let Err(error) = self.parts.control_mut().append(|sink| append_list(sink, list.as_bytes())) {
                self.fail(error);
            }
        }
    }

    /// Remembers the first error. Never a call: it would make the compiler read every field again afterwards.
    #[inline(always)]
    pub(super) fn fail(&mut self, error: EncodeError) -> &mut Self {
        let gather = |error: &EncodeError| matches!(error, EncodeError::Gather { .. });
        let mut past = self.past.unwrap_or_default();
        if past.failure.is_none_or(|before| gather(&before.error) && !gather(&error)) {
            past.failure = Some(Failure { error, slices: self.data_slices().len() });
            self.past = Some(past);
        }
        self
    }

    #[inline(always)]
    pub(crate) fn first_error(&self) -> Option<EncodeError> {
        self.past?.failure.map(|failure| failure.error)
    }

    #[inline(always)]
    pub(super) fn progress(&self) -> Progress {
        self.past.map_or(Progress::None, |past| past.progress)
    }

    pub(super) fn set_progress(&mut self, progress: Progress) {
        self.past = match self.past.and_then(|past| past.failure) {
            None if matches!(progress, Progress::None) => None,
            failure => Some(Past { failure, progress }),
        };
    }

    #[inline(always)]
    pub(super) fn control_bytes(&self) -> &[u8] {
        match self.list {
            Some(list) => list.as_bytes(),
            None => self.parts.control().as_bytes(),
        }
    }

    #[inline(always)]
    pub(crate) fn data_slices(&self) -> &[IoSlice<'a>] {
        self.parts.slices().as_slice()
    }
}

/// More than most messages need.
const PLENTY: usize = 128;

#[cold]
#[inline(never)]
fn append_list(sink: sys::ByteSink<'_>, list: &[u8]) -> Result<(), EncodeError> {
    ControlOut::new(sink, libc::AF_UNSPEC).push_list(list)
}

impl<'m, 'a> MsgHdr<'a, BatchSlot<'m, 'a>> {
    #[inline(always)]
    pub(crate) fn in_slot(slot: sys::Slot<'m, 'a>) -> Self {
        Self { name: Name::new(), parts: BatchSlot(slot), list: None, flags: SendFlags::empty(), past: None }
    }

    #[inline(always)]
    pub(crate) fn slot(&self) -> &sys::Slot<'m, 'a> {
        &self.parts.0
    }

    #[inline(always)]
    pub(crate) fn put_in_slot(&mut self) -> Result<(), sys::QueueError> {
        let (name, own) = self.name.parts();
        self.parts.0.queue(name, own, self.list.map(ControlList::as_bytes))
    }
}
