//! From bytes to messages: the enum [`ControlMessage`] and the one table that leads to it.
//!
//! Works on any bytes, without a socket, at any alignment, and never owns a descriptor.
//!
//! ```
//! use ancillary::parser;
//!
//! assert_eq!(parser::parse(b"not control data at all").count(), 1); // one malformed header, and an end
//! assert_eq!(parser::parse(&[]).count(), 0);
//! ```

#![forbid(unsafe_code)]

mod registry;

pub use registry::ControlMessage;

use std::{fmt, iter::FusedIterator};

pub use crate::cmsg::Cmsgs;
use crate::{
    cmsg::{CmsgId, ControlOut, RawCmsg},
    error::DecodeError,
    text::hex,
};

/// The raw messages in a buffer of control data.
///
/// ```
/// use ancillary::{RawCmsg, cmsg, cmsg::CmsgId, parser};
///
/// let mut bytes = [0; 64];
/// let len = cmsg::encode(&RawCmsg::new(CmsgId::new(9999, 1), b"whatever"), &mut bytes)?;
/// let found = parser::cmsgs(&bytes[..len]).find(|cmsg| cmsg.id().level() == 9999);
/// assert_eq!(found.map(|cmsg| cmsg.payload()), Some(&b"whatever"[..]));
/// # Ok::<(), ancillary::EncodeError>(())
/// ```
#[inline]
pub fn cmsgs(bytes: &[u8]) -> Cmsgs<'_> {
    Cmsgs::new(bytes)
}

/// The typed messages in a buffer of control data.
///
/// A header that makes no sense comes out once, as [`ControlMessage::Malformed`], and ends the iteration.
///
/// ```
/// use ancillary::{ControlList, message::IpTtl, parser::{self, ControlMessage}};
///
/// # #[cfg(target_os = "linux")] {
/// let list = ControlList::new(IpTtl(9))?;
/// assert_eq!(parser::parse(list.as_bytes()).next(), Some(ControlMessage::IpTtl(IpTtl(9))));
///
/// let broken = [list.as_bytes(), &[0; 24]].concat(); // and a header of length 0
/// let found: Vec<_> = parser::parse(&broken).collect();
/// assert!(matches!(found[..], [ControlMessage::IpTtl(_), ControlMessage::Malformed(_)]));
/// # }
/// # Ok::<(), ancillary::EncodeError>(())
/// ```
#[inline]
pub fn parse(bytes: &[u8]) -> Messages<'_> {
    Messages { cmsgs: Cmsgs::new(bytes), ended: false }
}

/// Iterates over typed messages; see [`parse`].
///
/// ```
/// use ancillary::{ControlList, message::{IpTos, IpTtl}, parser::{self, ControlMessage, Messages}};
///
/// fn ttl(mut messages: Messages<'_>) -> Option<u8> {
///     messages.find_map(|message| match message {
///         ControlMessage::IpTtl(ttl) => Some(ttl.0),
///         _ => None,
///     })
/// }
/// # #[cfg(target_os = "linux")] {
/// let list = ControlList::new((IpTos(0), IpTtl(9)))?;
/// let messages = parser::parse(list.as_bytes()); // of a message that arrived: `message.messages()`
/// assert_eq!(format!("{messages:?}"), "[{IP_TOS 0x00}, {IP_TTL 9}]");
/// assert_eq!(ttl(messages), Some(9));
/// # }
/// # Ok::<(), ancillary::EncodeError>(())
/// ```
#[derive(Clone)]
#[must_use = "iterators are lazy"]
pub struct Messages<'a> {
    cmsgs: Cmsgs<'a>,
    ended: bool,
}

impl<'a> Iterator for Messages<'a> {
    type Item = ControlMessage<'a>;

    #[inline]
    fn next(&mut self) -> Option<ControlMessage<'a>> {
        if let Some(cmsg) = self.cmsgs.next() {
            return Some(ControlMessage::decode(cmsg));
        }
        let error = self.cmsgs.error().filter(|_| !self.ended)?;
        self.ended = true;
        Some(ControlMessage::Malformed(Malformed { cmsg: RawCmsg::new(CmsgId::new(0, 0), self.cmsgs.rest()), error }))
    }
}

impl FusedIterator for Messages<'_> {}

impl fmt::Debug for Messages<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt_list(self.cmsgs.clone(), f)
    }
}

/// Prints `[{IP_PKTINFO 192.0.2.7 if 2}, {IP_TTL 57}]`.
pub(crate) fn fmt_list(mut cmsgs: Cmsgs<'_>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str("[")?;
    let mut separator = "";
    for cmsg in &mut cmsgs {
        write!(f, "{separator}{cmsg:?}")?;
        separator = ", ";
    }
    if let Some(error) = cmsgs.error() {
        write!(f, "{separator}{{malformed: {error}}}")?;
    }
    f.write_str("]")
}

/// What a known message holds that could not be read as its type, with the reason.
///
/// ```
/// use ancillary::parser::{self, ControlMessage};
///
/// let Some(ControlMessage::Malformed(found)) = parser::parse(&[0; 24]).next() else { panic!() };
/// assert!(found.error.to_string().starts_with("expected a cmsg_len of at least"));
/// assert_eq!(found.cmsg.payload().len(), 24);
/// ```
#[derive(Clone, Copy, Eq, PartialEq)]
#[non_exhaustive]
pub struct Malformed<'a> {
    /// The message; for a malformed header (its id is then 0, 0), all bytes from there on.
    pub cmsg: RawCmsg<'a>,
    /// What was expected and what was found.
    pub error: DecodeError,
}

impl CmsgId {
    /// The C name, where this crate knows the message.
    pub fn name(self) -> Option<&'static str> {
        registry::name(self).or_else(|| registry::sent_name(self, 0))
    }
}

impl fmt::Debug for CmsgId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "level {} type {}", self.level(), self.ty()),
        }
    }
}

/// Decoded where the crate knows the message: `{IP_TTL 57}`; what is only sent by name: `{UDP_SEGMENT, 2 bytes: b0 04}`;
/// else `{level 1 type 999, 4 bytes: 01 00 00 00}`.
impl fmt::Debug for RawCmsg<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(name) = registry::sent_name(self.id(), self.payload().len()) {
            write!(f, "{{{name}, ")?;
            hex(self.payload(), f)?;
            return f.write_str("}");
        }
        ControlMessage::decode(*self).fmt_with(self.id(), f)
    }
}

/// Prints the messages written so far.
impl fmt::Debug for ControlOut<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt_list(Cmsgs::new(self.as_bytes()), f)
    }
}
