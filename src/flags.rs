//! Flags of sendmsg(2) and recvmsg(2): what is asked of a send, of a receive, and what came back.
//!
//! All three keep bits they do not know: a new kernel's flag survives `from_bits_retain` and `bits`.

use bitflags::bitflags;
use nix::libc;

bitflags! {
    /// What is asked of a send (the `flags` argument of sendmsg(2)).
    ///
    /// `MSG_ZEROCOPY` is missing on purpose: the kernel would go on reading the buffers after the call has
    /// returned, which borrowed buffers cannot promise. Given as an unknown bit it is refused with
    /// [`EncodeError::Flag`](crate::EncodeError::Flag).
    ///
    /// [send(2)](https://man7.org/linux/man-pages/man2/send.2.html)
    ///
    /// ```
    /// use ancillary::{MsgHdr, SendFlags};
    /// use std::{io::ErrorKind, os::unix::net::UnixDatagram};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let (a, _b) = UnixDatagram::pair()?;
    /// let mut message = MsgHdr::new();
    /// message.data(b"now or not at all").flags(SendFlags::DONTWAIT);
    /// let full = (0..100_000).find_map(|_| message.send(&a).err()); // nobody reads
    /// assert_eq!(full.map(|error| error.kind()), Some(ErrorKind::WouldBlock));
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias = "MSG_ZEROCOPY")]
    #[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
    pub struct SendFlags: i32 {
        /// The neighbour is known to be alive: progress happened (`MSG_CONFIRM`; Linux 2.3.15, UDP and raw).
        #[doc(alias = "MSG_CONFIRM")]
        #[cfg(linux_like)]
        const CONFIRM = libc::MSG_CONFIRM;
        /// Only to directly connected networks (`MSG_DONTROUTE`).
        #[doc(alias = "MSG_DONTROUTE")]
        const DONTROUTE = libc::MSG_DONTROUTE;
        /// Fail with `WouldBlock` instead of waiting (`MSG_DONTWAIT`).
        #[doc(alias = "MSG_DONTWAIT")]
        const DONTWAIT = libc::MSG_DONTWAIT;
        /// End of a record (`MSG_EOR`; on Linux AF_UNIX accepts it and does not deliver it).
        #[doc(alias = "MSG_EOR")]
        const EOR = libc::MSG_EOR;
        /// Connect and send in one step (`MSG_FASTOPEN`; Linux 3.7, TCP).
        #[doc(alias = "MSG_FASTOPEN")]
        #[cfg(linux_like)]
        const FASTOPEN = libc::MSG_FASTOPEN;
        /// More data follows at once: hold this back (`MSG_MORE`; Linux 2.4.4, TCP; 2.6, UDP).
        #[doc(alias = "MSG_MORE")]
        #[cfg(linux_like)]
        const MORE = libc::MSG_MORE;
        /// `EPIPE` without the signal SIGPIPE (`MSG_NOSIGNAL`); the default of [`MsgHdr`](crate::MsgHdr).
        #[doc(alias = "MSG_NOSIGNAL")]
        const NOSIGNAL = libc::MSG_NOSIGNAL;
        /// Out-of-band data (`MSG_OOB`).
        #[doc(alias = "MSG_OOB")]
        const OOB = libc::MSG_OOB;
        const _ = !0;
    }
}

bitflags! {
    /// What is asked of a receive (the `flags` argument of recvmsg(2)).
    ///
    /// `MSG_CMSG_CLOEXEC` is not among them: received descriptors are close-on-exec unless
    /// [`MsgHdrMut::inheritable`](crate::MsgHdrMut::inheritable) says otherwise.
    ///
    /// [recv(2)](https://man7.org/linux/man-pages/man2/recv.2.html)
    ///
    /// ```
    /// use ancillary::{ControlBuf, MsgHdrMut, RecvFlags};
    /// use std::os::unix::net::UnixDatagram;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let (a, b) = UnixDatagram::pair()?;
    /// a.send(b"how long am I?")?;
    /// let (mut data, mut control) = ([0; 4], ControlBuf::<()>::new());
    /// let mut ask = MsgHdrMut::new();
    /// ask.data(&mut data).flags(RecvFlags::PEEK | RecvFlags::TRUNC);
    /// assert_eq!(ask.recv(&b, &mut control)?.full_len(), 14); // and it is still there
    /// # Ok(())
    /// # }
    /// ```
    #[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
    pub struct RecvFlags: i32 {
        /// Fail with `WouldBlock` instead of waiting (`MSG_DONTWAIT`).
        #[doc(alias = "MSG_DONTWAIT")]
        const DONTWAIT = libc::MSG_DONTWAIT;
        /// Read the error queue (`MSG_ERRQUEUE`; Linux 2.2). It never blocks; `MSG_DONTWAIT` is added because
        /// AF_UNIX ignores the flag and would wait for data.
        #[doc(alias = "MSG_ERRQUEUE")]
        #[cfg(linux_like)]
        const ERRQUEUE = libc::MSG_ERRQUEUE;
        /// Out-of-band data (`MSG_OOB`).
        #[doc(alias = "MSG_OOB")]
        const OOB = libc::MSG_OOB;
        /// Leave the message in the queue (`MSG_PEEK`). Linux installs new descriptors at every peek; they are
        /// owned by the control buffer like any others. Elsewhere a peek shows numbers, and none is owned.
        #[doc(alias = "MSG_PEEK")]
        const PEEK = libc::MSG_PEEK;
        /// Take data that lies in device memory (`MSG_SOCK_DEVMEM`; Linux 6.12, TCP): it stays there, and
        /// [`ScmDevmemDmabuf`](crate::message::ScmDevmemDmabuf) says where. Without the flag such data is EFAULT. The
        /// length of what arrived counts it too; the buffers have only the bytes that
        /// [`ScmDevmemLinear`](crate::message::ScmDevmemLinear) counts.
        #[doc(alias = "MSG_SOCK_DEVMEM")]
        #[cfg(linux_like)]
        const SOCK_DEVMEM = 0x0200_0000; // include/linux/socket.h
        /// Report the real length of a datagram that does not fit (`MSG_TRUNC`):
        /// [`Received::full_len`](crate::Received::full_len). On TCP the kernel discards the bytes unread.
        #[doc(alias = "MSG_TRUNC")]
        const TRUNC = libc::MSG_TRUNC;
        /// Wait until the buffers are full (`MSG_WAITALL`); descriptors and signals still cut it short.
        #[doc(alias = "MSG_WAITALL")]
        const WAITALL = libc::MSG_WAITALL;
        const _ = !0;
    }
}

bitflags! {
    /// What a receive reports (`msg_flags`).
    ///
    /// Test with `contains`, never for equality: the kernel echoes flags of the call
    /// (`MSG_CMSG_CLOEXEC`) and later kernels add more.
    ///
    /// ```
    /// use ancillary::MsgFlags;
    ///
    /// let flags = MsgFlags::from_bits_retain(MsgFlags::TRUNC.bits() | 0x0100_0000);
    /// assert!(flags.contains(MsgFlags::TRUNC));
    /// assert_eq!(flags.bits() & 0x0100_0000, 0x0100_0000); // unknown bits survive
    /// ```
    ///
    /// [recvmsg(2)](https://man7.org/linux/man-pages/man2/recvmsg.2.html)
    #[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
    pub struct MsgFlags: i32 {
        /// The call asked for close-on-exec descriptors; an echo (`MSG_CMSG_CLOEXEC`).
        #[doc(alias = "MSG_CMSG_CLOEXEC")]
        #[cfg(not(apple))]
        const CMSG_CLOEXEC = crate::sys::MSG_CMSG_CLOEXEC;
        /// Control messages were cut or dropped: the control buffer was too small, or descriptors could not be
        /// installed (`MSG_CTRUNC`).
        #[doc(alias = "MSG_CTRUNC")]
        const CTRUNC = libc::MSG_CTRUNC;
        /// End of a record (`MSG_EOR`).
        #[doc(alias = "MSG_EOR")]
        const EOR = libc::MSG_EOR;
        /// The message comes from the error queue (`MSG_ERRQUEUE`).
        #[doc(alias = "MSG_ERRQUEUE")]
        #[cfg(linux_like)]
        const ERRQUEUE = libc::MSG_ERRQUEUE;
        /// Out-of-band data (`MSG_OOB`).
        #[doc(alias = "MSG_OOB")]
        const OOB = libc::MSG_OOB;
        /// The datagram was longer than the buffers; the rest is gone (`MSG_TRUNC`).
        #[doc(alias = "MSG_TRUNC")]
        const TRUNC = libc::MSG_TRUNC;
        const _ = !0;
    }
}
