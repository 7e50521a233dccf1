//! The walk over a buffer of control messages: any bytes, any alignment.

use std::{fmt, iter::FusedIterator};

use super::{CmsgId, RawCmsg};
use crate::{error::DecodeError, sys};

/// Iterates over the control messages in a buffer; see [`parser::cmsgs`](crate::parser::cmsgs).
///
/// Every message is clamped to the bytes there are, the last one may lack its padding, and a header that says less
/// than its own length ends the walk: [`error`](Self::error) tells.
#[doc(alias = "CMSG_FIRSTHDR")]
#[doc(alias = "CMSG_NXTHDR")]
#[derive(Clone)]
#[must_use = "iterators are lazy"]
pub struct Cmsgs<'a> {
    rest: &'a [u8],
    error: Option<DecodeError>,
}

impl<'a> Cmsgs<'a> {
    #[inline(always)]
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, error: None }
    }

    /// The bytes not yet walked over.
    #[inline]
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Why the walk ended before the end of the buffer, if it did; then [`rest`](Self::rest) starts at the malformed
    /// header. Fewer bytes than a header are no error: the kernel ignores them too.
    #[inline]
    pub const fn error(&self) -> Option<DecodeError> {
        self.error
    }
}

impl<'a> Iterator for Cmsgs<'a> {
    type Item = RawCmsg<'a>;

    #[inline(always)]
    fn next(&mut self) -> Option<RawCmsg<'a>> {
        let (header, _) = self.rest.split_at_checked(sys::HEADER)?;
        #[allow(clippy::unnecessary_cast, reason = "a u32 on other systems")]
        let len = sys::CmsgLen::from_ne_bytes(field(header, 0)) as usize;
        if len < sys::HEADER {
            // Not a call: that would make the compiler keep the whole walk in memory.
            if self.error.is_none() {
                self.error = Some(DecodeError::Header { expected: sys::HEADER, found: len });
            }
            return None;
        }
        let id = CmsgId::from_header(field(header, sys::LEVEL_AT));
        let end = len.min(self.rest.len());
        let payload = self.rest.get(sys::HEADER..end)?;
        // `end` is the length of a slice, so rounding it up cannot wrap. The last message may lack its padding.
        let (_, rest) = self.rest.split_at(sys::align_up(end).min(self.rest.len()));
        self.rest = rest;
        Some(RawCmsg::clamped(id, payload, len > end))
    }
}

impl FusedIterator for Cmsgs<'_> {}

impl fmt::Debug for Cmsgs<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.clone()).finish()
    }
}

#[inline(always)]
fn field<const N: usize>(header: &[u8], at: usize) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(&header[at..at + N]);
    bytes
}
