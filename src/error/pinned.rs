//! Messages that the kernel has, or has not.

use std::fmt;

/// A message of [`pinned`](crate::pinned) is asked for what it cannot do now, or a completion is none of its own.
///
/// ```
/// use ancillary::{PinnedError, pinned::RecvMsg};
///
/// let mut message = RecvMsg::<()>::new(1500);
/// message.start()?;
/// assert_eq!(message.start(), Err(PinnedError::InFlight)); // one request at a time
/// message.withdraw(); // none was made of it
/// message.start()?;
/// # message.withdraw();
/// # Ok::<(), PinnedError>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum PinnedError {
    /// The kernel has it: a request has been started, and its completion not been reported.
    InFlight,
    /// A completion was reported, and no request has been started.
    NotInFlight,
    /// A completion was reported, and the kernel has written no message: it was another's.
    NotCompleted,
    /// There is no message to send: none has been set, or it has been sent.
    NotSet,
    /// The buffers have not been registered.
    NotRegistered,
    /// The completion's flags name no buffer of these.
    Buffer {
        /// The flags.
        flags: u32,
    },
    /// The bytes are fewer than the message says.
    Short {
        /// Bytes needed.
        needed: usize,
        /// Bytes there are.
        found: usize,
    },
}

impl fmt::Display for PinnedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::InFlight => f.write_str("expected a message that the kernel does not have, found one in flight"),
            Self::NotInFlight => f.write_str("expected a message in flight, found a completion of no request"),
            Self::NotCompleted => {
                f.write_str("expected a message that the kernel has written, found a completion of another request")
            }
            Self::NotSet => f.write_str("expected a message to send, found none"),
            Self::NotRegistered => f.write_str("expected registered buffers, found none"),
            Self::Buffer { flags } => write!(f, "expected a buffer of these, found completion flags {flags:#x}"),
            Self::Short { needed, found } => write!(f, "expected {needed} bytes of a message, found {found}"),
        }
    }
}
