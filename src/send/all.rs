//! Sending the whole of a message over a stream.

use std::{
    io::{self, IoSlice},
    os::fd::AsFd,
};

use super::{MsgHdr, Progress};
#[cfg(linux_like)]
use crate::flags::SendFlags;
use crate::{error::EncodeError, sys};

impl MsgHdr<'_> {
    /// Sends all of it over a stream, in as many calls as it takes, and returns how many bytes the message has.
    ///
    /// The control messages go with the first byte, and only there, as descriptors must; what TLS or SCTP want with
    /// every call is for [`send`](Self::send). More slices than `IOV_MAX` go in several calls.
    ///
    /// On `WouldBlock`, or any other error, the header remembers how far it came: calling again continues from there,
    /// and [`sent`](Self::sent) says where that is. Control messages that are added meanwhile come too late:
    /// [`EncodeError::Begun`]. Success starts it afresh, and so does `skip(0)`, for another socket.
    ///
    /// ```
    /// use ancillary::MsgHdr;
    /// use std::{io::{ErrorKind, Read}, os::unix::net::UnixStream};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let (a, mut b) = UnixStream::pair()?;
    /// a.set_nonblocking(true)?;
    /// let (data, mut received) = (vec![7; 1 << 20], 0);
    /// let mut message = MsgHdr::new();
    /// message.data(&data);
    /// while let Err(error) = message.send_all(&a) {
    ///     assert_eq!(error.kind(), ErrorKind::WouldBlock); // a real program polls here
    ///     received += b.read(&mut [0; 65536])?;
    /// }
    /// drop(a);
    /// assert_eq!(received + b.read_to_end(&mut Vec::new())?, 1 << 20);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send); [`EncodeError::Gather`] for a `Buf` that gave less than it holds;
    /// [`EncodeError::Slices`] for more than `IOV_MAX` slices on a socket that is no stream, where a second call would
    /// be a second message.
    pub fn send_all(&mut self, socket: impl AsFd) -> io::Result<usize> {
        let socket = socket.as_fd();
        if let Some(error) = self.first_error() {
            return Err(error.into());
        }
        let slices = self.data_slices();
        // One buffer may stand in the list many times.
        let Some(total) = slices.iter().try_fold(0usize, |sum, slice| sum.checked_add(slice.len())) else {
            let found = slices.iter().fold(0i64, |sum, slice| sum.saturating_add(slice.len() as i64));
            return Err(
                EncodeError::Value { field: "msg_iov", expected: "at most usize::MAX bytes in all", found }.into()
            );
        };
        if slices.len() > sys::MAX_SLICES && !sys::is_stream(socket)? {
            return Err(EncodeError::Slices { needed: slices.len(), available: sys::MAX_SLICES }.into());
        }
        let mut sent = self.sent();
        if sent == 0 {
            self.check(socket)?;
        } else if !sys::takes_parts(socket)? {
            let (field, expected) = ("sent", "0 on a socket that is no stream");
            return Err(EncodeError::Value { field, expected, found: sent as i64 }.into());
        }
        if sent > total {
            let (field, expected) = ("sent", "no more than the bytes of the message");
            return Err(EncodeError::Value { field, expected, found: sent as i64 }.into());
        }
        if sent > 0 && sent == total {
            self.set_progress(Progress::None);
            return Ok(total);
        }
        let result = loop {
            let control = if sent == 0 { self.control_bytes() } else { &[] };
            match self.send_rest(socket, sent, control) {
                Ok(0) if sent < total => break Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => sent += n,
                Err(error) if sent == 0 => match self.explain(socket, error) {
                    Ok(n) => sent += n,
                    Err(error) => break Err(error),
                },
                Err(error) => break Err(error),
            }
            if sent >= total {
                break Ok(total);
            }
        };
        self.set_progress(if result.is_ok() || sent == 0 { Progress::None } else { Progress::Begun(sent) });
        result
    }

    /// How many bytes [`send_all`](Self::send_all) had sent when it returned an error; 0 after success.
    #[must_use]
    pub fn sent(&self) -> usize {
        match self.progress() {
            Progress::None => 0,
            Progress::Begun(sent) | Progress::Skipped(sent) => sent,
        }
    }

    /// Lets [`send_all`](Self::send_all) continue behind so many bytes: a header borrows its data, so the state of a
    /// connection keeps [`sent`](Self::sent) and makes the header anew. Behind the first byte no control message goes;
    /// behind the last byte nothing, and further behind it is an error. [`send`](Self::send) knows nothing of it.
    ///
    /// ```
    /// use ancillary::MsgHdr;
    /// use std::{io, os::unix::net::UnixStream};
    ///
    /// struct Outgoing { frame: Vec<u8>, sent: usize }
    ///
    /// impl Outgoing {
    ///     /// Called whenever the socket is writable, until it is `Ok`.
    ///     fn advance(&mut self, socket: &UnixStream) -> io::Result<()> {
    ///         let mut message = MsgHdr::new();
    ///         let result = message.data(&self.frame).skip(self.sent).send_all(socket);
    ///         self.sent = if result.is_ok() { self.frame.len() } else { message.sent() };
    ///         result.map(drop)
    ///     }
    /// }
    /// # let (a, b) = UnixStream::pair().unwrap();
    /// # let mut outgoing = Outgoing { frame: b"frame".to_vec(), sent: 3 };
    /// # outgoing.advance(&a).unwrap();
    /// # outgoing.advance(&a).unwrap(); // done: nothing goes a second time
    /// # let mut rest = [0; 9];
    /// # assert_eq!(io::Read::read(&mut &b, &mut rest).unwrap(), 2);
    /// ```
    pub fn skip(&mut self, sent: usize) -> &mut Self {
        self.set_progress(Progress::Skipped(sent));
        self
    }

    /// One call for what lies behind the first `skip` bytes.
    pub(crate) fn send_rest(&self, socket: impl AsFd, skip: usize, control: &[u8]) -> io::Result<usize> {
        let name = self.name.get();
        #[allow(unused_mut, reason = "only Linux connects while it sends")]
        let mut flags = self.flags;
        #[cfg(linux_like)]
        if skip > 0 {
            flags -= SendFlags::FASTOPEN; // it is connected now
        }
        let flags = flags.bits();
        // If the first slice is half sent, a list of its own begins with its rest.
        let mut list = [IoSlice::new(&[]); sys::INLINE_SLICES];
        let rest = sys::rest_of(self.data_slices(), skip, &mut list);
        sys::send(&socket, name, rest, control, flags)
    }
}
