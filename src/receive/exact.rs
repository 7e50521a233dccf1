//! Receiving exactly so many bytes from a stream.

use std::{io, os::fd::AsFd};

use super::{MsgHdrMut, Received};
use crate::{control::ControlBuffer, error::ShortReadError, flags::RecvFlags, sys};

/// Fills a buffer from a stream, over as many calls as it takes, and keeps the control data of all of them.
///
/// On `WouldBlock` it remembers how far it came: calling [`recv`](Self::recv) again with the same control buffer
/// continues.
///
/// ```
/// use ancillary::{ControlBuf, RecvExact};
/// use std::{io::{ErrorKind, Write}, os::unix::net::UnixStream};
///
/// # fn main() -> std::io::Result<()> {
/// let (mut a, b) = UnixStream::pair()?;
/// b.set_nonblocking(true)?;
/// let (mut frame, mut control) = ([0; 6], ControlBuf::<()>::new());
/// let mut exact = RecvExact::new(&mut frame);
/// a.write_all(b"fra")?;
/// assert_eq!(exact.recv(&b, &mut control).unwrap_err().kind(), ErrorKind::WouldBlock);
/// assert_eq!(exact.received(), 3);
/// a.write_all(b"me!")?;
/// exact.recv(&b, &mut control)?;
/// assert_eq!(&frame, b"frame!");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct RecvExact<'d> {
    data: &'d mut [u8],
    received: usize,
    started: bool,
}

impl<'d> RecvExact<'d> {
    /// To fill this buffer.
    pub fn new(data: &'d mut [u8]) -> Self {
        Self { data, received: 0, started: false }
    }

    /// Bytes received so far; they stand at the start of the buffer.
    pub fn received(&self) -> usize {
        self.received
    }

    /// Receives until the buffer is full. An empty buffer is full at once.
    ///
    /// # Errors
    ///
    /// [`ShortReadError`] (`UnexpectedEof`) if the peer closes before, with the number of bytes that arrived; else that
    /// of recvmsg(2), `WouldBlock` included. Descriptors that have arrived stay in the control buffer.
    pub fn recv<'c, C: ControlBuffer>(
        &mut self,
        socket: impl AsFd,
        control: &'c mut C,
    ) -> io::Result<Received<'c, C::List>> {
        let socket = socket.as_fd();
        let mut inbox = control.inbox().0;
        if !self.started {
            inbox.rearm();
            self.started = true;
        }
        let (total, mut flags) = (self.data.len(), 0);
        while self.received < total {
            let ask = MsgHdrMut::new().ask(true);
            let (arrival, _) = inbox.recv_slice(socket, &mut self.data[self.received..], ask)?;
            flags |= arrival.flags;
            if arrival.returned == 0 {
                return Err(ShortReadError { expected: total, received: self.received }.into());
            }
            self.received += arrival.returned;
        }
        let arrival = sys::Arrival { returned: total, flags };
        Ok(Received::new(inbox, socket, arrival, total, RecvFlags::empty(), ()))
    }
}
