//! Error types: what was expected and what was found.

use std::{error::Error, fmt, io, net::Ipv6Addr};

use crate::text::family_name;

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
            Self::Messages { available } => write!(f, "the batch is full: it has room for {available} messages"),
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

/// A socket or an address is of another family than the operation needs.
///
/// ```
/// use ancillary::{FamilyError, SocketExt, message::HopLimit};
/// use std::os::unix::net::UnixDatagram;
///
/// # fn main() -> std::io::Result<()> {
/// let (socket, _) = UnixDatagram::pair()?;
/// let error = socket.enable::<HopLimit>().unwrap_err(); // a local socket has no routers
/// assert_eq!(error.to_string(), "socket: expected AF_INET or AF_INET6, found AF_UNIX");
/// let error = error.downcast::<FamilyError>().unwrap();
/// assert_eq!((error.what, error.found), ("socket", nix::libc::AF_UNIX));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct FamilyError {
    /// What has the family: `"socket"` or `"destination address"`.
    pub what: &'static str,
    /// The families that would do, as C names.
    pub expected: &'static str,
    /// The family found (`AF_*`).
    pub found: i32,
}

impl FamilyError {
    /// For messages of one's own ([`RecvControl::set_enabled`](crate::RecvControl::set_enabled)).
    #[must_use]
    pub const fn new(what: &'static str, expected: &'static str, found: i32) -> Self {
        Self { what, expected, found }
    }
}

impl fmt::Display for FamilyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: expected {}, found ", self.what, self.expected)?;
        fmt_family(self.found, f)
    }
}

fn fmt_family(family: i32, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match family_name(family) {
        Some(name) => f.write_str(name),
        None => write!(f, "address family {family}"),
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

/// Bytes or a path that make no socket address.
///
/// ```
/// use ancillary::{AddrError, SockAddr};
///
/// assert_eq!(SockAddr::unix("run\0me"), Err(AddrError::NulByte { position: 3 }));
/// let long = SockAddr::unix("x".repeat(200)).unwrap_err();
/// assert!(matches!(long, AddrError::TooLong { found: 200.., .. }), "{long}");
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum AddrError {
    /// The name is longer than the address can hold.
    TooLong {
        /// Bytes given.
        found: usize,
        /// The most that fits.
        max: usize,
    },
    /// The bytes are too few to name a family.
    TooShort {
        /// Bytes given.
        found: usize,
        /// The least that is needed.
        min: usize,
    },
    /// A path holds a NUL byte.
    NulByte {
        /// Where it stands.
        position: usize,
    },
}

impl fmt::Display for AddrError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::TooLong { found, max } => write!(f, "expected at most {max} bytes of address, found {found}"),
            Self::TooShort { found, min } => write!(f, "expected at least {min} bytes of address, found {found}"),
            Self::NulByte { position } => write!(f, "expected a path without NUL, found one at byte {position}"),
        }
    }
}

/// A text that is no address with a zone ([`ScopedAddr`](crate::interface::ScopedAddr)), or none with a port
/// ([`ScopedSocketAddr`](crate::interface::ScopedSocketAddr)).
///
/// ```
/// use ancillary::{ScopeError, interface::ScopedSocketAddr};
///
/// let error = "[fe80::1%nowhere]:80".parse::<ScopedSocketAddr>().unwrap_err();
/// assert_eq!(error, ScopeError::Interface { found: "nowhere".into() });
/// let error = "[fe80::1]:65536".parse::<ScopedSocketAddr>().unwrap_err();
/// assert_eq!(error.to_string(), "expected a port of 0..=65535 behind \"]:\", found \"65536\"");
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ScopeError {
    /// What stands before the `%`, or the whole of it, is no IPv6 address.
    Address {
        /// The text there.
        found: String,
    },
    /// Nothing stands behind the `%`.
    EmptyZone {
        /// What stands before it.
        addr: Ipv6Addr,
    },
    /// What stands behind the `%` is neither the name of an interface nor a number.
    Interface {
        /// The text there.
        found: String,
    },
    /// What stands behind the `%` is no number, and the address is not link-local: its zone is no interface.
    NotLinkLocal {
        /// What stands before it.
        addr: Ipv6Addr,
        /// The text behind it.
        found: String,
    },
    /// It is no address in brackets, a colon and a port.
    Form {
        /// The whole text.
        found: String,
    },
    /// What stands behind the colon is no port.
    Port {
        /// The text there.
        found: String,
    },
}

impl fmt::Display for ScopeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address { found } => write!(f, "expected an IPv6 address, found {found:?}"),
            Self::EmptyZone { addr } => {
                write!(f, "expected an interface's name or number behind \"{addr}%\", found nothing")
            }
            Self::Interface { found } => {
                write!(f, "expected an interface's name or number behind '%', found {found:?}")
            }
            Self::NotLinkLocal { addr, found } => {
                write!(f, "expected a number behind \"{addr}%\", which is not link-local, found {found:?}")
            }
            Self::Form { found } => write!(f, "expected \"[address%zone]:port\", found {found:?}"),
            Self::Port { found } => write!(f, "expected a port of 0..=65535 behind \"]:\", found {found:?}"),
        }
    }
}

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
#[cfg(linux_like)]
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

#[cfg(linux_like)]
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

macro_rules! into_io_error {
    ($($(#[$attribute:meta])? $error:ty => $kind:ident,)+) => {$(
        $(#[$attribute])?
        impl Error for $error {}

        $(#[$attribute])?
        impl From<$error> for io::Error {
            #[cold]
            fn from(error: $error) -> Self {
                io::Error::new(io::ErrorKind::$kind, error)
            }
        }
    )+};
}

into_io_error! {
    EncodeError => InvalidInput,
    DecodeError => InvalidData,
    TruncatedError => InvalidData,
    FdCountError => InvalidData,
    FamilyError => InvalidInput,
    ShortReadError => UnexpectedEof,
    AddrError => InvalidInput,
    ScopeError => InvalidInput,
    #[cfg(linux_like)] PinnedError => InvalidInput,
}
