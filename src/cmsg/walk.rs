//! The walk over a buffer of control messages: any bytes, any alignment.

use std::{fmt, iter::FusedIterator};

use super::{CmsgId, RawCmsg, unlikely};
use crate::{error::DecodeError, sys};

/// Iterates over the control messages in a buffer; see [`parser::cmsgs`](crate::parser::cmsgs).
///
/// Every message is clamped to the bytes there are, the last one may lack its padding, and a header that says less
/// than its own length ends the walk: [`error`](Self::error) tells.
///
/// ```
/// use ancillary::{cmsg, message::{IpTos, IpTtl}, parser};
///
/// let mut bytes = [0; 64];
/// let len = cmsg::encode(&(IpTtl(9), IpTos(0)), &mut bytes)?;
/// let payloads: Vec<usize> = parser::cmsgs(&bytes[..len]).map(|cmsg| cmsg.payload().len()).collect();
/// assert_eq!(payloads[0], 4);
///
/// let mut broken = parser::cmsgs(&[0; 32]);
/// assert!(broken.next().is_none() && broken.error().is_some() && broken.rest().len() == 32);
/// # Ok::<(), ancillary::EncodeError>(())
/// ```
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
        let (header, tail) = self.rest.split_at_checked(sys::HEADER)?;
        #[allow(clippy::unnecessary_cast, reason = "a u32 on other systems")]
        let said = sys::CmsgLen::from_ne_bytes(field(header, 0)) as usize;
        let id = CmsgId::from_header(field(header, sys::LEVEL_AT));
        // One comparison for both: a length that is less than a header's wraps to more than there is.
        let len = said.wrapping_sub(sys::HEADER);
        let Some((payload, _)) = tail.split_at_checked(len) else {
            unlikely();
            return self.malformed_or_cut(said, id, tail);
        };
        // `len` is that of a slice, so rounding it up cannot wrap. The last message may lack its padding.
        self.rest = match tail.get(sys::align_up(len)..) {
            Some(rest) => rest,
            None => {
                unlikely();
                &[]
            }
        };
        Some(RawCmsg::clamped(id, payload, false))
    }
}

/// What a header says.
#[derive(Clone, Copy)]
pub(crate) struct Header {
    len: usize,
    id: CmsgId,
}

impl Header {
    #[inline(always)]
    pub(crate) fn id(self) -> CmsgId {
        self.id
    }
}

impl<'a> Cmsgs<'a> {
    /// The next header, if there is a whole one.
    #[inline(always)]
    pub(crate) fn header(&self) -> Option<Header> {
        let (header, _) = self.rest.split_at_checked(sys::HEADER)?;
        #[allow(clippy::unnecessary_cast, reason = "a u32 on other systems")]
        let len = sys::CmsgLen::from_ne_bytes(field(header, 0)) as usize;
        Some(Header { len, id: CmsgId::from_header(field(header, sys::LEVEL_AT)) })
    }

    /// Whether there are fewer bytes left than a header has.
    #[inline(always)]
    pub(crate) fn is_over(&self) -> bool {
        self.rest.len() < sys::HEADER
    }

    /// The next message, with the header that stands there, if its payload has `len` bytes and its padding: one comparison
    /// less, and a step of a length that is known, for what is most often so.
    #[inline(always)]
    pub(crate) fn next_of_len(&mut self, header: Header, len: usize) -> Option<RawCmsg<'a>> {
        // A length beyond this is nobody's, and could wrap.
        if len > sys::MAX_LEN || header.len != sys::HEADER + len {
            return None;
        }
        let (message, rest) = self.rest.split_at_checked(sys::HEADER + sys::align_up(len))?;
        let payload = message.get(sys::HEADER..sys::HEADER + len)?;
        self.rest = rest;
        Some(RawCmsg::new(header.id, payload))
    }

    /// A header that says less than its own length ends the walk; one that says more than there is gets what there is.
    // Inlined, though rare: a call would make the compiler keep the whole walk in memory.
    #[inline(always)]
    fn malformed_or_cut(&mut self, said: usize, id: CmsgId, tail: &'a [u8]) -> Option<RawCmsg<'a>> {
        if said < sys::HEADER {
            if self.error.is_none() {
                self.error = Some(DecodeError::Header { expected: sys::HEADER, found: said });
            }
            return None;
        }
        self.rest = &[];
        Some(RawCmsg::clamped(id, tail, true))
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
