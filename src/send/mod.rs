//! Sending: a header is built from borrowed parts and sent.

mod all;
mod build;
mod list;
mod refused;
mod storage;

pub use list::ControlList;
pub(crate) use refused::{flags as refused_flags, other_name, without_data};
pub use storage::{BatchSlot, Inline, Storage};

use std::{
    fmt,
    io::{self, IoSlice},
    os::fd::{AsFd, BorrowedFd},
};

use nix::libc;

use crate::{
    addr::{Name, SockAddr},
    cmsg::Cmsgs,
    error::EncodeError,
    flags::SendFlags,
    parser, sys,
};

/// A message to send (`struct msghdr`): destination, buffers to gather, control messages, flags.
///
/// Everything is borrowed or kept inline (2.5 KiB), nothing is allocated. The first error of a builder method is
/// remembered and returned by [`send`](Self::send), before any byte leaves. Make one for each message; what is worth
/// keeping are a [`ControlList`], a [`SockAddr`](crate::SockAddr), a list of slices.
///
/// ```
/// use ancillary::{MsgHdr, message::{IpTtl, PktInfo}};
/// use std::net::{Ipv4Addr, UdpSocket};
///
/// # fn main() -> std::io::Result<()> {
/// let (socket, peer) = (UdpSocket::bind("0.0.0.0:0")?, UdpSocket::bind("127.0.0.1:0")?);
/// let sent = MsgHdr::new()
///     .to(peer.local_addr()?)
///     .data(b"hello, ")
///     .data(b"world")
///     .control(IpTtl(64))
///     .control(PktInfo::source(Ipv4Addr::new(127, 0, 0, 9)))
///     .send(&socket)?;
/// assert_eq!(sent, 12);
///
/// let mut data = [0; 32];
/// let (len, from) = peer.recv_from(&mut data)?;
/// assert_eq!((&data[..len], from.ip().to_string()), (&b"hello, world"[..], "127.0.0.9".into()));
/// # Ok(())
/// # }
/// ```
///
/// It cannot outlive what it borrows:
///
/// ```compile_fail,E0597
/// use ancillary::MsgHdr;
///
/// let mut header = MsgHdr::new();
/// {
///     let data = vec![1, 2, 3];
///     header.data(&data);
/// }
/// header.flags(ancillary::SendFlags::NOSIGNAL);
/// ```
#[doc(alias = "msghdr")]
#[doc(alias = "sendmsg")]
pub struct MsgHdr<'a, S = Inline<'a>> {
    name: Name<'a>,
    parts: S,
    list: Option<&'a ControlList<'a>>,
    flags: SendFlags,
    /// Mostly nothing: a new header writes, and a send asks, that alone.
    past: Option<Past>,
}

/// What has happened to a message.
#[derive(Clone, Copy, Default)]
struct Past {
    /// The first; `Gather`, which is none on a stream, gives way to any other.
    failure: Option<Failure>,
    progress: Progress,
}

/// What went wrong while a message was built.
#[derive(Clone, Copy)]
struct Failure {
    error: EncodeError,
    /// How many slices there were then: behind them bytes are missing, with `Gather`.
    slices: usize,
}

/// How much of the message `send_all` has sent.
#[derive(Clone, Copy, Default)]
enum Progress {
    #[default]
    None,
    /// So many bytes: control messages come too late.
    Begun(usize),
    /// So many bytes with an earlier header, says the caller.
    Skipped(usize),
}

impl<'a> MsgHdr<'a> {
    /// An empty message with [`SendFlags::NOSIGNAL`].
    #[inline(always)]
    #[expect(clippy::new_without_default, reason = "NOSIGNAL is a choice, not an empty value")]
    pub const fn new() -> Self {
        Self {
            name: Name::new(),
            parts: Inline { slices: sys::IoSlices::new(), control: sys::Outbox::new() },
            list: None,
            flags: SendFlags::NOSIGNAL,
            past: None,
        }
    }

    /// More flags, beside [`SendFlags::NOSIGNAL`].
    #[inline]
    pub fn flags(&mut self, flags: SendFlags) -> &mut Self {
        match refused_flags(flags) {
            Some(error) => return self.fail(error),
            None => self.flags |= flags,
        }
        self
    }

    /// What the builder refused and no socket will take.
    #[cfg(feature = "tokio")]
    pub(crate) fn refused(&self) -> Option<EncodeError> {
        self.first_error().filter(|error| !matches!(error, EncodeError::Gather { .. }))
    }

    #[cfg(linux_like)]
    pub(crate) fn current_flags(&self) -> SendFlags {
        self.flags
    }

    #[cfg(linux_like)]
    pub(crate) fn replace_flags(&mut self, flags: SendFlags) {
        self.flags = flags;
    }

    /// As [`send`](Self::send), in one system call at most, whose error is returned as it is; an error without a number was
    /// made before it.
    #[cfg(linux_like)]
    pub(crate) fn send_once(&self, socket: BorrowedFd<'_>) -> io::Result<usize> {
        self.check(socket).map_err(|error| match error.raw_os_error() {
            Some(_) => io::Error::other(error),
            None => error,
        })?;
        let (slices, control) = (self.data_slices(), self.control_bytes());
        sys::sendmsg(&socket, self.name.get(), slices, control, self.flags.bits())
    }

    /// For data that is owned until completion, and what the type system calls `'static`.
    #[cfg(linux_like)]
    pub(crate) fn zerocopy(&mut self) -> &mut Self {
        self.flags |= SendFlags::from_bits_retain(sys::MSG_ZEROCOPY);
        self
    }

    /// Lets a write to a closed stream raise SIGPIPE, as C does by default.
    ///
    /// ```
    /// use ancillary::MsgHdr;
    /// use std::{io::ErrorKind, os::unix::net::UnixStream};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let (a, b) = UnixStream::pair()?;
    /// drop(b);
    /// let error = MsgHdr::new().data(b"x").raise_sigpipe().send(&a).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::BrokenPipe); // a Rust program ignores the signal, unless told otherwise
    /// # Ok(())
    /// # }
    /// ```
    pub fn raise_sigpipe(&mut self) -> &mut Self {
        self.flags -= SendFlags::NOSIGNAL;
        self
    }

    /// Sends it, once (sendmsg(2)), and returns how many bytes of data went: on a stream perhaps not all.
    ///
    /// By sendto(2) where that does the same. Small pieces may go as one copy, made on the stack (16 KiB at most).
    ///
    /// After a partial send of a stream the control messages are gone with the first byte: do not send them again.
    /// [`send_all`](Self::send_all) sees to that. A header may be sent many times.
    ///
    /// # Errors
    ///
    /// The first [`EncodeError`] of the builder, or [`EncodeError::DescriptorsWithoutData`] on a stream,
    /// [`FamilyError`](crate::FamilyError) for an address of another family than the socket; nothing has been sent then.
    /// Else that of sendmsg(2), errno preserved; EINTR is retried, `WouldBlock` is returned. A pending ICMP error fails a
    /// send, which is then not sent.
    #[doc(alias = "sendmsg")]
    #[inline(always)]
    pub fn send(&self, socket: impl AsFd) -> io::Result<usize> {
        // All of it now: behind a call that sees the header it would be read again.
        let (name, flags) = (self.name.get(), self.flags.bits());
        let (slices, control) = (self.data_slices(), self.control_bytes());
        // Something may be wrong, or an empty message may carry descriptors.
        if self.past.is_some() || (!control.is_empty() && slices.first().is_none_or(|slice| slice.is_empty())) {
            self.check(socket.as_fd())?;
        }
        match sys::send(&socket, name, slices, control, flags) {
            Ok(sent) => Ok(sent),
            Err(error) if slices.len() > sys::MAX_SLICES => Err(refused::too_many_slices(slices.len(), error)),
            Err(error) => self.explain(socket.as_fd(), error),
        }
    }

    /// An address of another family gets a typed error, or what the other family calls the same address.
    #[cold]
    #[inline(never)]
    fn explain(&self, socket: BorrowedFd<'_>, error: io::Error) -> io::Result<usize> {
        let plain = other_name(socket, self.name.get(), error)?;
        sys::send(&socket, Some(&plain), self.data_slices(), self.control_bytes(), self.flags.bits())
    }

    #[cold]
    #[inline(never)]
    fn check(&self, socket: BorrowedFd<'_>) -> io::Result<()> {
        let slices = self.data_slices();
        match self.past.and_then(|past| past.failure) {
            Some(Failure { error: EncodeError::Gather { .. }, slices: gap })
                if slices[gap..].iter().all(|slice| slice.is_empty()) && sys::is_stream(socket)? => {}
            Some(Failure { error, .. }) => return Err(error.into()),
            None => {}
        }
        without_data(socket, slices, self.control_bytes())
    }

    /// Hands the message to foreign code as a C `struct msghdr`, valid during the call.
    ///
    /// ```
    /// use ancillary::{MsgHdr, message::HopLimit};
    ///
    /// let mut message = MsgHdr::new();
    /// message.data(b"head").data(b"body").control(HopLimit(9));
    /// let (slices, control) = message.with_raw(|raw| (raw.msg_iovlen as usize, raw.msg_controllen as usize))?;
    /// assert_eq!(slices, 2);
    /// # #[cfg(all(target_os = "linux", target_pointer_width = "64"))]
    /// assert_eq!(control, 48); // in the form of either family
    /// # Ok::<(), ancillary::EncodeError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The first error of the builder, and more than 1,024 slices. What only a socket can tell is the caller's to
    /// check: descriptors without data on a stream. musl's own sendmsg refuses more than 1,024 bytes of control data.
    #[doc(alias = "msghdr")]
    #[inline(always)]
    pub fn with_raw<R>(&self, f: impl FnOnce(&libc::msghdr) -> R) -> Result<R, EncodeError> {
        let (name, slices, control) = self.raw_parts()?;
        Ok(sys::with_msghdr(name, slices, control, f))
    }

    /// Destination, data and control messages, if nothing is wrong with them.
    #[inline(always)]
    #[expect(clippy::type_complexity, reason = "the parts of a header")]
    pub(crate) fn raw_parts(&self) -> Result<(Option<&SockAddr>, &[IoSlice<'a>], &[u8]), EncodeError> {
        let (slices, control) = (self.data_slices(), self.control_bytes());
        if let Some(error) = self.first_error() {
            return Err(error);
        }
        if slices.len() > sys::MAX_SLICES {
            return Err(EncodeError::Slices { needed: slices.len(), available: sys::MAX_SLICES });
        }
        Ok((self.name.get(), slices, control))
    }
}

/// Prints destination, sizes, control messages and flags in one line.
impl<'a, S: Storage<'a>> fmt::Debug for MsgHdr<'a, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slices = self.data_slices();
        let bytes = slices.iter().fold(0u64, |sum, slice| sum.saturating_add(slice.len() as u64));
        f.write_str("MsgHdr { ")?;
        if let Some(name) = self.name.get() {
            write!(f, "to: {:?}, ", name)?;
        }
        write!(f, "data: {bytes} bytes (slices: {}), control: ", slices.len())?;
        parser::fmt_list(Cmsgs::new(self.control_bytes()), f)?;
        write!(f, ", flags: ")?;
        bitflags::parser::to_writer(&self.flags, &mut *f)?;
        if let Some(error) = self.first_error() {
            write!(f, ", error: {error}")?;
        }
        f.write_str(" }")
    }
}
