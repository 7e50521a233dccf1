//! Receiving exactly so many bytes from a stream.

use std::{io, os::fd::AsFd};

use super::{MsgHdrMut, Received};
use crate::{
    control::ControlBuffer,
    error::{EncodeError, ShortReadError},
    sys,
};

/// How far a buffer has been filled from a stream, over as many calls as it takes; it keeps the control data of all. On
/// datagrams, which have borders, it has no meaning.
///
/// It borrows nothing, so it can live beside the buffers in the state of a connection. On `WouldBlock` it remembers how
/// far it came: calling [`recv`](Self::recv) again with the same two buffers continues. Success starts it afresh;
/// for another stream make a new one.
///
/// ```
/// use ancillary::{ControlBuf, RecvExact};
/// use std::{io::{ErrorKind, Write}, os::unix::net::UnixStream};
///
/// # fn main() -> std::io::Result<()> {
/// let (mut a, b) = UnixStream::pair()?;
/// b.set_nonblocking(true)?;
/// let (mut frame, mut control, mut exact) = ([0; 6], ControlBuf::<()>::new(), RecvExact::new());
/// a.write_all(b"fra")?;
/// assert_eq!(exact.recv(&b, &mut frame, &mut control).unwrap_err().kind(), ErrorKind::WouldBlock);
/// assert_eq!(exact.received(), 3);
/// a.write_all(b"me!")?;
/// exact.recv(&b, &mut frame, &mut control)?;
/// assert_eq!(&frame, b"frame!");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct RecvExact {
    received: usize,
    started: bool,
}

impl RecvExact {
    /// At the start.
    #[must_use]
    pub const fn new() -> Self {
        Self { received: 0, started: false }
    }

    /// Bytes received so far; they stand at the start of the buffer.
    #[must_use]
    pub fn received(&self) -> usize {
        self.received
    }

    /// Receives until the buffer is full. An empty buffer is full at once.
    ///
    /// Of messages that come with every call, as credentials do, the last of each kind is kept; of descriptors all.
    ///
    /// # Errors
    ///
    /// [`ShortReadError`] (`UnexpectedEof`) if the peer closes before, with the number of bytes that arrived; else that
    /// of recvmsg(2), `WouldBlock` included. Descriptors that have arrived stay in the control buffer.
    pub fn recv<'c, C: ControlBuffer>(
        &mut self,
        socket: impl AsFd,
        data: &mut [u8],
        control: &'c mut C,
    ) -> io::Result<Received<'c, C::List>> {
        let socket = socket.as_fd();
        let mut inbox = control.inbox().0;
        if !self.started {
            inbox.rearm();
            *self = Self { received: 0, started: true };
        }
        let total = data.len();
        if total < self.received {
            let expected = "a buffer at least as long as what has been received";
            return Err(EncodeError::Value { field: "iov_len", expected, found: total as i64 }.into());
        }
        while let Some(rest) = data.get_mut(self.received..).filter(|rest| !rest.is_empty()) {
            inbox.compact();
            let (before, flags) = (inbox.len(), inbox.flags());
            let (arrival, _) = inbox.recv_slice(&socket, rest, MsgHdrMut::new().ask(true))?;
            // A TLS record may be empty.
            if arrival.returned == 0 && !sys::is_whole_record(socket, arrival.flags) {
                // What Linux attaches to the end of a stream belongs to no message.
                inbox.truncate(before, flags);
                return Err(ShortReadError { expected: total, received: self.received }.into());
            }
            self.received += arrival.returned;
        }
        inbox.compact();
        self.started = false;
        let arrival = sys::Arrival { returned: total, written: total, flags: inbox.flags() };
        Ok(Received::new(inbox, &socket, arrival, || total, ()))
    }
}
