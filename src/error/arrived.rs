//! What is wrong with what has arrived.

use std::fmt;

/// Why bytes do not make what they are read as: a control message, a header or an option ([`rfc3542`](crate::rfc3542)).
///
/// ```
/// use ancillary::{DecodeError, RawCmsg, RecvControl, cmsg::CmsgId, message::ScmRightsSpace};
///
/// let cut = RawCmsg::new(CmsgId::new(9999, 1), &[9, 0]);
/// assert_eq!(cut.int(), Err(DecodeError::Length { expected: 4, found: 2 }));
/// # assert!(ScmRightsSpace::<1>::decode(cut).is_ok());
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum DecodeError {
    /// There are fewer or more bytes than it takes. A received control message that is too short has usually been truncated
    /// (`MSG_CTRUNC`).
    Length {
        /// Bytes it takes: those of the type (the shortest form, where there are several), or as many as a header or an
        /// option says that it has.
        expected: usize,
        /// Bytes that there are.
        found: usize,
    },
    /// A field has a value that the type cannot hold.
    Value {
        /// The name of the field or message, where it has one that of C.
        field: &'static str,
        /// What is accepted.
        expected: &'static str,
        /// What stands there.
        found: i64,
    },
    /// A header says a length (`cmsg_len`) shorter than itself; nothing behind it can be read.
    Header {
        /// The least that a `cmsg_len` can be.
        expected: usize,
        /// The `cmsg_len` found.
        found: usize,
    },
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Length { expected, found } => {
                write!(f, "expected {expected} bytes, found {found}")
            }
            Self::Value { field, expected, found } => {
                write!(f, "{field}: expected {expected}, found {found}")
            }
            Self::Header { expected, found } => {
                write!(f, "expected a cmsg_len of at least {expected}, found {found}")
            }
        }
    }
}

/// A message arrived incomplete (`MSG_TRUNC`, `MSG_CTRUNC`), for those who want that as an error.
///
/// ```
/// use ancillary::{ControlBuf, SocketExt, TruncatedError};
/// use std::os::unix::net::UnixDatagram;
///
/// fn whole(socket: &UnixDatagram) -> std::io::Result<[u8; 4]> {
///     let (mut data, mut control) = ([0; 4], ControlBuf::<()>::new());
///     socket.recv_msg(&mut data, &mut control)?.require_complete()?;
///     Ok(data)
/// }
///
/// # fn main() -> std::io::Result<()> {
/// let (a, b) = UnixDatagram::pair()?;
/// a.send(b"too long")?;
/// let error = whole(&b).unwrap_err().downcast::<TruncatedError>().unwrap();
/// assert_eq!((error.data, error.len), (true, 4));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct TruncatedError {
    /// Data was cut (`MSG_TRUNC`).
    pub data: bool,
    /// Control messages or descriptors were cut (`MSG_CTRUNC`).
    pub control: bool,
    /// Bytes of data delivered.
    pub len: usize,
    /// Bytes of control data delivered.
    pub control_len: usize,
}

impl fmt::Display for TruncatedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match (self.data, self.control) {
            (true, true) => "data and control data",
            (false, true) => "control data",
            _ => "data",
        };
        write!(
            f,
            "expected a whole message, found {what} truncated ({} bytes of data and {} of control data delivered)",
            self.len, self.control_len
        )
    }
}

/// Another number of descriptors arrived than was asked for. None has been taken: they stay in the control buffer, or,
/// from an [`FdMessage`](crate::FdMessage), are closed.
///
/// What was found is what arrived: after `MSG_CTRUNC`, for want of room or of descriptors that may be open
/// (`RLIMIT_NOFILE`), that is less than what was sent.
///
/// ```
/// use ancillary::{FdCountError, SocketExt};
/// use std::os::unix::net::UnixStream;
///
/// # fn main() -> std::io::Result<()> {
/// let (a, b) = UnixStream::pair()?;
/// a.send_fds(b"x", [&a])?;
/// let error: FdCountError = b.recv_fds::<2>(&mut [0; 1])?.exact().unwrap_err();
/// assert_eq!((error.expected, error.found), (2, 1));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct FdCountError {
    /// Descriptors asked for.
    pub expected: usize,
    /// Descriptors that arrived and have not been taken.
    pub found: usize,
}

impl fmt::Display for FdCountError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {} descriptor(s), found {}", self.expected, self.found)
    }
}

/// The peer closed a stream before all expected bytes had arrived.
///
/// ```
/// use ancillary::{ControlBuf, ShortReadError, SocketExt};
/// use std::{io::Write, os::unix::net::UnixStream};
///
/// # fn main() -> std::io::Result<()> {
/// let (mut a, b) = UnixStream::pair()?;
/// a.write_all(b"half")?;
/// drop(a);
/// let (mut frame, mut control) = ([0; 8], ControlBuf::<()>::new());
/// let error = b.recv_exact(&mut frame, &mut control).unwrap_err().downcast::<ShortReadError>().unwrap();
/// assert_eq!((error.expected, error.received), (8, 4));
/// assert_eq!(frame[..error.received], *b"half");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct ShortReadError {
    /// Bytes asked for.
    pub expected: usize,
    /// Bytes that arrived; they stand at the start of the buffer.
    pub received: usize,
}

impl fmt::Display for ShortReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {} bytes, the peer closed after {}", self.expected, self.received)
    }
}
