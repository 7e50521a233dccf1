//! A message to send.

use std::{fmt, io};

use nix::libc;

use crate::{
    error::{EncodeError, PinnedError},
    flags::SendFlags,
    send::MsgHdr,
    sys,
    zerocopy::{ZeroCopyBuf, ZeroCopyError},
};

/// `IORING_CQE_F_NOTIF` (include/uapi/linux/io_uring.h).
const F_NOTIF: u32 = 1 << 3;

/// A message for `IORING_OP_SENDMSG` or `IORING_OP_SENDMSG_ZC`, which owns all it consists of.
///
/// Made once, used for many messages: [`set`](Self::set) copies address, control messages and data of a [`MsgHdr`],
/// duplicates its descriptors (fcntl(2), one call each), and takes a buffer to send behind the data, which is not copied.
/// [`start`](Self::start) gives the header for one request, and [`complete`](Self::complete) is told how that ended;
/// meanwhile nothing of it can be changed or taken out. Dropped meanwhile, it is leaked, its descriptors too.
///
/// ```
/// use ancillary::{MsgHdr, message::IpTtl, pinned::SendMsg};
/// # #[cfg(not(uring))]
/// # fn main() {}
/// # #[cfg(uring)]
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use io_uring::{IoUring, opcode, types::Fd};
/// use std::{net::UdpSocket, os::fd::AsRawFd};
///
/// let (socket, peer) = (UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?);
/// let Ok(mut ring) = IoUring::new(8) else { return Ok(()) }; // containers often forbid it
/// let mut message = SendMsg::new();
/// message.set(MsgHdr::new().to(peer.local_addr()?).data(b"hello, ").control(IpTtl(9)), b"world".to_vec())?;
///
/// let entry = opcode::SendMsg::new(Fd(socket.as_raw_fd()), message.start()?).flags(message.flags()).build();
/// // SAFETY: this is the one request of this start, and its completion is reported below; the socket stays open.
/// unsafe { ring.submission().push(&entry)? };
/// ring.submit_and_wait(1)?;
/// let completion = ring.completion().next().expect("waited for");
/// assert_eq!(message.complete(completion.result(), completion.flags())?, 12);
/// assert_eq!(message.take_buffer(), Some(b"world".to_vec())); // ours again
/// # Ok(())
/// # }
/// ```
#[doc(alias = "IORING_OP_SENDMSG")]
#[doc(alias = "IORING_OP_SENDMSG_ZC")]
#[doc(alias = "io_uring_prep_sendmsg")]
#[doc(alias = "io_uring_prep_sendmsg_zc")]
pub struct SendMsg<B = Vec<u8>> {
    parts: sys::SendPinned<B>,
    flags: SendFlags,
    /// What the kernel said of the data, while it has the buffers.
    result: Option<i32>,
    copied: bool,
}

impl<B: ZeroCopyBuf> SendMsg<B> {
    /// An empty message.
    #[must_use]
    pub fn new() -> Self {
        Self { parts: sys::SendPinned::new(), flags: SendFlags::NOSIGNAL, result: None, copied: false }
    }

    /// Replaces the message: the header's parts, copied, and behind its data this buffer, as it is. What was there before
    /// is dropped. Once its storage has grown to the longest message it allocates nothing.
    ///
    /// # Errors
    ///
    /// [`PinnedError::InFlight`]; the first [`EncodeError`] of the header, more than 1,024 slices; that of
    /// fcntl(2) for a descriptor (EMFILE). The buffer comes back. What only a socket can tell is the caller's to check:
    /// descriptors without data are dropped by a stream, an address of another family is refused by the kernel.
    pub fn set(&mut self, message: &MsgHdr<'_>, buffer: B) -> Result<(), ZeroCopyError<B>> {
        match self.set_header(message) {
            Ok(()) => self.parts.add(buffer, |buffer, add| buffer.each(&mut |piece| add(piece))),
            Err(error) => return Err(ZeroCopyError { error, buffer: Some(buffer) }),
        }
        match self.parts.slices() {
            needed if needed > sys::MAX_SLICES => {
                let error = EncodeError::Slices { needed, available: sys::MAX_SLICES }.into();
                Err(ZeroCopyError { error, buffer: self.parts.take_buffer() })
            }
            _ => Ok(()),
        }
    }

    fn set_header(&mut self, message: &MsgHdr<'_>) -> io::Result<()> {
        if self.parts.in_flight() {
            return Err(PinnedError::InFlight.into());
        }
        let (name, slices, control) = message.raw_parts()?;
        self.parts.set(name, slices, control)?;
        self.flags = message.current_flags();
        (self.result, self.copied) = (None, false);
        Ok(())
    }

    /// The header for one request, which the kernel has from now on; [the promise](super#the-promise) comes with it. After
    /// a request that failed, or a [`withdraw`](Self::withdraw), it can be started again as it is.
    ///
    /// # Errors
    ///
    /// [`PinnedError::InFlight`]; [`PinnedError::NotSet`] without a message, or after it has been sent.
    pub fn start(&mut self) -> Result<*const libc::msghdr, PinnedError> {
        let header = self.parts.start()?;
        (self.result, self.copied) = (None, false);
        Ok(header)
    }

    /// The flags for the request (`msg_flags`): those of the [`MsgHdr`].
    #[must_use]
    pub fn flags(&self) -> u32 {
        u32::from_ne_bytes(self.flags.bits().to_ne_bytes())
    }

    /// Takes the completion of its request, result and flags, and returns how many bytes of data went.
    ///
    /// On a stream perhaps not all: the rest is a new message, without the control messages, which are gone with the first
    /// byte. The descriptors are closed here, the duplicates.
    ///
    /// `IORING_OP_SENDMSG_ZC` completes twice: when the data has been taken, and when the kernel has done with the buffers
    /// (`IORING_CQE_F_NOTIF`). Each goes in here, and the message is in flight until the second; both return the same.
    ///
    /// # Errors
    ///
    /// That of the request, errno preserved; [`PinnedError::NotInFlight`] for a completion of nothing.
    #[doc(alias = "IORING_CQE_F_MORE")]
    #[doc(alias = "IORING_CQE_F_NOTIF")]
    pub fn complete(&mut self, result: i32, flags: u32) -> io::Result<usize> {
        if !self.parts.in_flight() {
            return Err(PinnedError::NotInFlight.into());
        }
        let sent = if flags & F_NOTIF == 0 {
            *self.result.insert(result)
        } else {
            // IORING_NOTIF_USAGE_ZC_COPIED is the bit of the sign.
            self.copied = result < 0;
            self.result.ok_or(PinnedError::NotCompleted)?
        };
        if flags & sys::F_MORE == 0 {
            self.parts.end(sent >= 0);
        }
        usize::try_from(sent).map_err(|_| io::Error::from_raw_os_error(sent.wrapping_neg()))
    }

    /// Takes back a start of which no request was made: the queue was full.
    ///
    /// A request that may have reached the kernel ends by its completion alone.
    pub fn withdraw(&mut self) {
        self.parts.end(false);
    }

    /// Whether the kernel may have it.
    #[must_use]
    pub fn is_in_flight(&self) -> bool {
        self.parts.in_flight()
    }

    /// Whether the kernel copied what it was to send without a copy. It says so to requests that ask for it alone
    /// (`IORING_SEND_ZC_REPORT_USAGE`).
    #[doc(alias = "IORING_NOTIF_USAGE_ZC_COPIED")]
    #[must_use]
    pub fn was_copied(&self) -> bool {
        self.copied
    }

    /// The buffer, unless the kernel may have it.
    #[must_use]
    pub fn buffer(&self) -> Option<&B> {
        self.parts.buffer()
    }

    /// Takes the buffer out, unless the kernel may have it; the message is empty then.
    pub fn take_buffer(&mut self) -> Option<B> {
        self.parts.take_buffer()
    }
}

impl SendMsg {
    /// [`set`](Self::set) without a buffer: all of the message is copied.
    ///
    /// ```
    /// use ancillary::{MsgHdr, pinned::SendMsg};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let mut message = SendMsg::new();
    /// for name in ["one", "two"] {
    ///     let greeting = format!("hello, {name}");
    ///     message.copy(MsgHdr::new().data(greeting.as_bytes()))?; // which may go now
    ///     let header = message.start()?;
    ///     # let _ = header;
    ///     assert!(message.is_in_flight());
    ///     message.withdraw(); // no request was made of it here
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`set`](Self::set).
    pub fn copy(&mut self, message: &MsgHdr<'_>) -> io::Result<()> {
        Ok(self.set(message, Vec::new())?)
    }
}

impl<B: ZeroCopyBuf> Default for SendMsg<B> {
    fn default() -> Self {
        Self::new()
    }
}

impl<B> fmt::Debug for SendMsg<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SendMsg {{ in flight: {} }}", self.parts.in_flight())
    }
}
