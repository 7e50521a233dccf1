//! Why a reader reads no further.

use std::{error::Error, fmt, io};

/// Why an [`FdReader`](super::FdReader) reads no further. The call that returns it has read nothing: what arrived before
/// has been given out, or is in the buffer and in the queue.
///
/// ```
/// use ancillary::{SocketExt, stream::{FdReader, FdStreamError}};
/// use std::os::unix::net::UnixStream;
///
/// # fn main() -> std::io::Result<()> {
/// let (a, b) = UnixStream::pair()?;
/// let mut reader = FdReader::new().with_max_fds(1);
/// a.send_fds(b"two", [&a, &a])?;
/// a.send_fds(b"one", [&a])?;
/// reader.fill(&b)?;
/// let error = reader.fill(&b).unwrap_err().downcast::<FdStreamError>().unwrap();
/// assert_eq!(error, FdStreamError::QueueFull { queued: 2, max: 1 });
/// reader.pop_fds(2)?; // closes them
/// assert_eq!(reader.fill(&b)?, 3); // and on it goes
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum FdStreamError {
    /// The kernel kept descriptors back in an earlier receive (`MSG_CTRUNC`), most often because the process may open no
    /// more of them (`RLIMIT_NOFILE`). They are gone, so whatever came next would stand in their place: the queue holds
    /// those that arrived before them, in order, and the reader stays as it is.
    #[doc(alias = "MSG_CTRUNC")]
    Lost,
    /// More descriptors wait than the queue may hold ([`with_max_fds`](super::FdReader::with_max_fds)). None is lost: when
    /// enough have been popped, reading goes on.
    QueueFull {
        /// Descriptors that wait.
        queued: usize,
        /// How many may.
        max: usize,
    },
}

impl fmt::Display for FdStreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Lost => f.write_str("expected all descriptors of the stream, some were lost (MSG_CTRUNC)"),
            Self::QueueFull { queued, max } => {
                write!(f, "expected at most {max} descriptors that wait to be taken, found {queued}")
            }
        }
    }
}

impl Error for FdStreamError {}

impl From<FdStreamError> for io::Error {
    #[cold]
    fn from(error: FdStreamError) -> Self {
        io::Error::new(io::ErrorKind::InvalidData, error)
    }
}
