//! Sending, and what an error says of the kernel's numbers.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
};

use nix::libc;

use super::{Sends, ZeroCopy, ZeroCopyBuf, ZeroCopyError, buffer};
use crate::{error::EncodeError, flags::SendFlags, options::Families, send::MsgHdr, sys};

/// Flags under which a send that succeeds is numbered. Others change what the kernel does: MSG_PROBE sends nothing.
const ALLOWED: SendFlags = SendFlags::CONFIRM
    .union(SendFlags::DONTROUTE)
    .union(SendFlags::DONTWAIT)
    .union(SendFlags::EOR)
    .union(SendFlags::FASTOPEN)
    .union(SendFlags::MORE)
    .union(SendFlags::NOSIGNAL)
    .union(SendFlags::OOB);

impl<S: AsFd, B: ZeroCopyBuf> ZeroCopy<S, B> {
    /// Sends a buffer to the connected peer, in one call, and returns how many bytes went.
    ///
    /// On a non-blocking stream that may be fewer than it has: the buffer stays here, and [`resume`](Self::resume) sends
    /// the rest. A list of buffers has at most 64.
    ///
    /// # Errors
    ///
    /// That of sendmsg(2), with the buffer, unless the kernel may have it (UDP): `WouldBlock`; ENOBUFS
    /// ([`is_full`](ZeroCopyError::is_full)) when too many completions have not been read, or more memory is pinned than
    /// `RLIMIT_MEMLOCK` allows, where the whole buffer counts: [`wait`](Self::wait) if buffers are pending, else send it
    /// the usual way. [`EncodeError::Unfinished`] if the rest of another buffer comes first.
    pub fn send(&mut self, buffer: B) -> Result<usize, ZeroCopyError<B>> {
        self.send_with(buffer, |_| {})
    }

    /// The same with a destination, control messages and flags, which `header` adds to the message; the data is the
    /// buffer's.
    ///
    /// ```
    /// use ancillary::{ZeroCopy, message::HopLimit};
    /// use std::net::UdpSocket;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// # let peer = UdpSocket::bind("127.0.0.1:0")?;
    /// # let to = peer.local_addr()?;
    /// let mut out = ZeroCopy::new(UdpSocket::bind("127.0.0.1:0")?)?;
    /// out.send_with([b"head".to_vec(), b"body".to_vec()], |header| {
    ///     header.to(to).control(HopLimit(9));
    /// })?;
    /// # let mut data = [0; 9];
    /// # assert_eq!(peer.recv(&mut data)?, 8);
    /// # assert_eq!(&data[..8], b"headbody");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), and those of the [`MsgHdr`], but an address of another family is the kernel's error;
    /// `InvalidInput` if `header` has changed the data, or has flags that this crate has no name for.
    pub fn send_with(
        &mut self,
        buffer: B,
        header: impl for<'h> FnOnce(&mut MsgHdr<'h>),
    ) -> Result<usize, ZeroCopyError<B>> {
        self.sends.send_with(buffer, header)
    }

    /// Sends more of a buffer that went in part, under the same flags, and returns how many bytes went: 0 if there is no
    /// rest.
    ///
    /// ```
    /// use ancillary::ZeroCopy;
    /// use std::io::{ErrorKind, Read};
    /// # use std::net::{TcpListener, TcpStream};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// # use ancillary::set_option;
    /// # use nix::libc::{SO_RCVBUF, SO_SNDBUF, SOL_SOCKET};
    /// # let listener = TcpListener::bind("127.0.0.1:0")?;
    /// # set_option(&listener, SOL_SOCKET, SO_RCVBUF, 4096)?;
    /// # let socket = TcpStream::connect(listener.local_addr()?)?;
    /// # set_option(&socket, SOL_SOCKET, SO_SNDBUF, 4096)?;
    /// # let mut peer = listener.accept()?.0;
    /// socket.set_nonblocking(true)?;
    /// let mut out = ZeroCopy::new(socket)?;
    /// let mut sent = out.send(vec![7; 6_000])?;
    /// assert_eq!(out.unsent(), 6_000 - sent);
    /// # let mut room = vec![0; 6_000];
    /// while out.unsent() > 0 {
    ///     match out.resume() {
    ///         Ok(more) => sent += more,
    /// #       Err(error) if error.raw_os_error() == Some(nix::libc::ENOBUFS) => return Ok(()), // RLIMIT_MEMLOCK
    ///         Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error),
    ///         _ => assert!(peer.read(&mut room)? > 0), // a real program polls
    ///     }
    /// }
    /// assert_eq!(sent, 6_000);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// That of sendmsg(2), and the rest stays: `WouldBlock`; ENOBUFS as for [`send`](Self::send), as long as too many of
    /// the parts that went are not complete: [`complete`](Self::complete) reads those that are.
    pub fn resume(&mut self) -> io::Result<usize> {
        self.sends.resume()
    }
}

impl<B: ZeroCopyBuf> Sends<B> {
    pub(crate) fn send_with(
        &mut self,
        buffer: B,
        header: impl for<'h> FnOnce(&mut MsgHdr<'h>),
    ) -> Result<usize, ZeroCopyError<B>> {
        // A datagram without data is numbered over UDP, and not where it goes on with another.
        let copy = self.lost || buffer::len(&buffer) == 0;
        let mut message = MsgHdr::new();
        buffer.each(&mut |piece| {
            message.data(piece);
        });
        header(&mut message);
        if let Err(error) = self.allow(&message, &buffer) {
            return Err(ZeroCopyError { error, buffer: Some(buffer) });
        }
        let flags = message.current_flags();
        let message = if copy { &mut message } else { message.zerocopy() };
        match message.send_once(self.counted.as_fd()) {
            Ok(sent) if copy => {
                self.flight.copied(buffer);
                Ok(sent)
            }
            Ok(sent) => {
                let open = sent < buffer::len(&buffer);
                self.rest = (if open { sent } else { 0 }, flags - SendFlags::FASTOPEN);
                self.flight.begin(buffer, open);
                Ok(sent)
            }
            Err(error) if !copy && self.may_be_counted(&error, buffer::len(&buffer)) => {
                self.lost = true;
                self.flight.doubt(buffer);
                Err(ZeroCopyError { error, buffer: None })
            }
            Err(error) => Err(ZeroCopyError { error, buffer: Some(buffer) }),
        }
    }

    /// What can be refused before the kernel is asked.
    fn allow(&self, message: &MsgHdr<'_>, buffer: &B) -> io::Result<()> {
        if self.rest.0 > 0 {
            return Err(EncodeError::Unfinished { unsent: self.unsent() }.into());
        }
        let refused = if !holds(message, buffer) {
            "expected the data of the buffer alone, found other data"
        } else if !ALLOWED.contains(message.current_flags()) {
            "expected flags that have names, found others"
        } else if self.lost && !self.udp {
            "expected a connection whose sends are counted, found one under TCP_REPAIR"
        } else {
            // An ICMP error that is pending would be this send's, and leave open whether it was numbered.
            return if self.udp { pending_error(self.counted.as_fd()) } else { Ok(()) };
        };
        Err(io::Error::new(io::ErrorKind::InvalidInput, refused))
    }

    pub(crate) fn resume(&mut self) -> io::Result<usize> {
        let Some(buffer) = self.flight.unfinished() else { return Ok(0) };
        let (begun, flags) = self.rest;
        let len = buffer::len(buffer);
        let mut message = MsgHdr::new();
        buffer.each(&mut |piece| {
            message.data(piece);
        });
        message.replace_flags(flags);
        match message.zerocopy().send_rest(&self.counted, begun, &[]) {
            Ok(0) => Ok(0),
            Ok(sent) => {
                let open = begun + sent < len;
                self.rest.0 = if open { begun + sent } else { 0 };
                self.flight.go_on(open);
                Ok(sent)
            }
            Err(error) => {
                if self.may_be_counted(&error, len) {
                    self.lost = true;
                    self.flight.lose_count();
                }
                Err(error)
            }
        }
    }

    /// Whether the kernel may have numbered a send that failed. TCP takes the number back (net/ipv4/tcp.c,
    /// `tcp_sendmsg_locked`), but for a connection under repair; UDP does where it fails early (net/ipv4/ip_output.c,
    /// `__ip_append_data`).
    fn may_be_counted(&self, error: &io::Error, len: usize) -> bool {
        /// What a datagram over IPv6 holds, the longer one.
        const LONGEST: usize = 65_535 - 8;
        let socket = self.counted.as_fd();
        match error.raw_os_error() {
            // This crate's own, made before the call.
            None => false,
            Some(libc::EAGAIN) => false,
            Some(_) if !self.udp => sys::int_option(socket, libc::IPPROTO_TCP, libc::TCP_REPAIR).unwrap_or(1) != 0,
            Some(libc::EMSGSIZE) => len <= LONGEST,
            Some(libc::ENOBUFS) => reports_full_queues(socket),
            Some(_) => true,
        }
    }
}

/// Whether a full queue of the network device fails a send, which is numbered then: with `IP_RECVERR` alone
/// (net/ipv4/ip_output.c, `ip_send_skb`).
fn reports_full_queues(socket: BorrowedFd<'_>) -> bool {
    let v4 = || sys::int_option(socket, libc::IPPROTO_IP, libc::IP_RECVERR);
    let v6 = || sys::int_option(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVERR);
    let asked = match Families::INET.require(socket) {
        Ok(libc::AF_INET) => v4(),
        Ok(_) => v4().and_then(|v4| Ok(v4 | v6()?)),
        Err(error) => Err(error),
    };
    asked.map_or(true, |asked| asked != 0)
}

/// The error that waits for the next call (`SO_ERROR`), if there is one.
fn pending_error(socket: BorrowedFd<'_>) -> io::Result<()> {
    match sys::int_option(socket, libc::SOL_SOCKET, libc::SO_ERROR)? {
        0 => Ok(()),
        errno => Err(io::Error::from_raw_os_error(errno)),
    }
}

/// Whether the data of the message is that of the buffer.
fn holds(message: &MsgHdr<'_>, buffer: &impl buffer::Sealed) -> bool {
    let mut slices = message.data_slices().iter();
    let mut same = true;
    buffer.each(&mut |piece| same &= slices.next().is_some_and(|slice| std::ptr::eq(&**slice, piece)));
    same && slices.next().is_none()
}
