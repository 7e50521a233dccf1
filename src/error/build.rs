//! What a message to send is refused for.

use std::fmt;

use super::fmt_family;

/// Why a header could not be built or must not be sent; reported before any byte leaves.
///
/// ```
/// use ancillary::{EncodeError, cmsg, message::IpTos};
///
/// let (mut small, mut large) = ([0; 8], [0; 64]);
/// match cmsg::encode(&IpTos(0), &mut small) {
///     Err(EncodeError::ControlSpace { needed, available }) => assert!(needed > available),
///     other => panic!("{other:?}"),
/// }
/// # #[cfg(target_os = "linux")]
/// assert!(cmsg::encode(&IpTos(0), &mut large).is_ok());
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum EncodeError {
    /// The control messages need more room than the buffer has (`msg_controllen`).
    ControlSpace {
        /// Bytes needed with this message, padding included.
        needed: usize,
        /// Bytes the buffer has in all.
        available: usize,
    },
    /// A header that is built in a buffer, or read into one, needs more room than the buffer has ([`rfc3542`](crate::rfc3542)).
    HeaderSpace {
        /// Bytes needed, padding included.
        needed: usize,
        /// Bytes the buffer has.
        available: usize,
    },
    /// One control message has a payload longer than a `cmsg_len` can say.
    Payload {
        /// Bytes of payload given.
        found: usize,
        /// The most that is possible.
        max: usize,
    },
    /// More slices than fit (`msg_iovlen`).
    Slices {
        /// Slices given.
        needed: usize,
        /// Slices that fit.
        available: usize,
    },
    /// More messages than the batch has room for ([`SendBatch`](crate::batch::SendBatch)).
    Messages {
        /// Messages it has room for.
        available: usize,
    },
    /// A message of a batch that is in it already.
    Queued,
    /// More descriptors than one message can carry (`SCM_MAX_FD`).
    #[doc(alias = "SCM_MAX_FD")]
    Descriptors {
        /// Descriptors given, or the first count that was too many.
        found: usize,
        /// The most that one message carries.
        max: usize,
    },
    /// Descriptors without a byte of data on a stream: the kernel would report success and drop them.
    DescriptorsWithoutData {
        /// Descriptors in the message.
        descriptors: usize,
    },
    /// Other control messages without a byte of data on an AF_UNIX stream, which drops them likewise.
    ControlWithoutData {
        /// Bytes of control messages.
        found: usize,
    },
    /// A control message is for destinations of one family, and the destination is of another: a
    /// [`PktInfo`](crate::message::PktInfo) of the other family, or [`to`](crate::MsgHdr::to) after messages that had
    /// been encoded for another destination.
    Destination {
        /// The family that the message is for (`AF_*`).
        expected: i32,
        /// The family of the destination.
        found: i32,
    },
    /// A control message for a message of which a part has been sent: they go with the first byte.
    Begun {
        /// Bytes sent.
        sent: usize,
    },
    /// Another buffer while one is half sent (`ZeroCopy`): its rest comes first.
    Unfinished {
        /// Bytes of it that are to be sent.
        unsent: usize,
    },
    /// `SCM_RIGHTS` built from plain numbers; only borrowed descriptors can be sent, by
    /// [`ScmRights`](crate::message::ScmRights).
    DescriptorNumbers,
    /// A message that holds memory addresses for the kernel to write to (level `SOL_RDS`): no safe code can vouch for
    /// them.
    MemoryAddresses,
    /// A [`bytes::Buf`](https://docs.rs/bytes) gave fewer bytes to gather than it holds.
    Gather {
        /// Bytes the buffer holds.
        expected: usize,
        /// Bytes its chunks gave.
        found: usize,
    },
    /// A field has a value that the kernel would refuse.
    Value {
        /// The C name of the field or message.
        field: &'static str,
        /// What is accepted.
        expected: &'static str,
        /// What was given.
        found: i64,
    },
    /// An option of an extension header that cannot be aligned so ([`Alignment`](crate::rfc3542::Alignment)).
    Alignment {
        /// The number, or the first of the pair.
        multiple: usize,
        /// The second of the pair.
        offset: Option<usize>,
        /// Bytes of data that the option has.
        len: usize,
    },
    /// A flag that cannot be used with borrowed buffers.
    Flag {
        /// The C name of the flag.
        flag: &'static str,
        /// What is needed instead.
        expected: &'static str,
    },
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::ControlSpace { needed, available } => {
                write!(f, "control messages need {needed} bytes, the buffer has {available}")
            }
            Self::HeaderSpace { needed, available } => {
                write!(f, "the header needs {needed} bytes, the buffer has {available}")
            }
            Self::Payload { found, max } => {
                write!(f, "expected a payload of at most {max} bytes, found {found}")
            }
            Self::Messages { available } => write!(f, "the batch is full: it has room for {available} message(s)"),
            Self::Queued => f.write_str("the message is in the batch already: make another"),
            Self::Slices { needed, available } => {
                write!(f, "message needs {needed} slices, {available} fit")
            }
            Self::Descriptors { found, max } => {
                write!(f, "expected at most {max} descriptors in one message, found {found}")
            }
            Self::DescriptorsWithoutData { descriptors } => {
                write!(f, "expected at least one byte of data with {descriptors} descriptor(s) on a stream, found none")
            }
            Self::ControlWithoutData { found } => {
                write!(f, "expected at least one byte of data with {found} bytes of control messages, found none")
            }
            Self::Destination { expected, found } => {
                write!(f, "expected a destination of ")?;
                fmt_family(expected, f)?;
                write!(f, ", which a control message is for, found ")?;
                fmt_family(found, f)
            }
            Self::Begun { sent } => {
                write!(f, "expected control messages before the first byte, found {sent} bytes sent")
            }
            Self::Unfinished { unsent } => {
                write!(f, "expected the {unsent} bytes that are left of the buffer before (resume, or abandon them)")
            }
            Self::DescriptorNumbers => {
                f.write_str("expected borrowed descriptors (ScmRights), found SCM_RIGHTS as plain numbers")
            }
            Self::MemoryAddresses => f.write_str("expected plain data, found a message of memory addresses (SOL_RDS)"),
            Self::Gather { expected, found } => {
                write!(f, "expected to gather {expected} bytes, the buffer's chunks gave {found}")
            }
            Self::Value { field, expected, found } => {
                write!(f, "{field}: expected {expected}, found {found}")
            }
            Self::Alignment { multiple, offset: None, len } => write!(
                f,
                "option alignment: expected 1, 2, 4 or 8, and no more than the length (or a pair), found {multiple} for \
                 {len} bytes"
            ),
            Self::Alignment { multiple, offset: Some(offset), len } => write!(
                f,
                "option alignment: expected 1, 2, 4 or 8, and an offset below it, found ({multiple}, {offset}) for {len} \
                 bytes"
            ),
            Self::Flag { flag, expected } => write!(f, "{flag} needs {expected}"),
        }
    }
}
