//! One control message as bytes.

use super::{CmsgId, ControlOut, SendControl};
use crate::error::{DecodeError, EncodeError};

/// A control message: its identity and its payload, borrowed from the buffer it stands in.
///
/// As a message to send it goes out as it is, except `SCM_RIGHTS`, which cannot be sent as numbers.
///
/// ```
/// use ancillary::{RawCmsg, cmsg::CmsgId};
///
/// let cmsg = RawCmsg::new(CmsgId::new(9999, 1), &[1, 2, 3, 4]);
/// assert_eq!(cmsg.array(), Ok([1, 2, 3, 4]));
/// assert_eq!(cmsg.array::<8>().unwrap_err().to_string(), "expected 8 bytes, found 4");
/// assert_eq!(format!("{cmsg:?}"), "{level 9999 type 1, 4 bytes: 01 02 03 04}");
/// ```
#[doc(alias = "cmsghdr")]
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct RawCmsg<'a> {
    id: CmsgId,
    payload: &'a [u8],
    cut: bool,
}

impl<'a> RawCmsg<'a> {
    /// A message of these parts.
    #[inline(always)]
    pub const fn new(id: CmsgId, payload: &'a [u8]) -> Self {
        Self { id, payload, cut: false }
    }

    #[inline(always)]
    pub(super) const fn clamped(id: CmsgId, payload: &'a [u8], cut: bool) -> Self {
        Self { id, payload, cut }
    }

    /// What it is.
    #[inline(always)]
    pub const fn id(self) -> CmsgId {
        self.id
    }

    /// The bytes at `CMSG_DATA`, at any alignment.
    #[doc(alias = "CMSG_DATA")]
    #[inline(always)]
    pub const fn payload(self) -> &'a [u8] {
        self.payload
    }

    /// Whether the header said more bytes than the buffer has. Linux shortens `cmsg_len` instead, so there a cut
    /// message is known only by its length; macOS leaves it.
    ///
    /// ```
    /// use ancillary::{ControlList, RawCmsg, cmsg::CmsgId, parser};
    ///
    /// let list = ControlList::new(RawCmsg::new(CmsgId::new(9999, 1), &[7; 40]))?;
    /// let bytes = list.as_bytes();
    /// let cut = parser::cmsgs(&bytes[..bytes.len() - 8]).next().unwrap();
    /// assert_eq!((cut.is_cut(), cut.payload().len()), (true, 32));
    /// # Ok::<(), ancillary::EncodeError>(())
    /// ```
    #[inline]
    pub const fn is_cut(self) -> bool {
        self.cut
    }

    /// The payload, if it has exactly `N` bytes.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Length`] with both lengths.
    #[inline(always)]
    pub fn array<const N: usize>(self) -> Result<[u8; N], DecodeError> {
        match self.payload.try_into() {
            Ok(bytes) => Ok(bytes),
            Err(_) => Err(DecodeError::Length { expected: N, found: self.payload.len() }),
        }
    }

    /// The payload as a C `int` in host byte order.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Length`] if it is not four bytes long.
    #[inline(always)]
    pub fn int(self) -> Result<i32, DecodeError> {
        self.array().map(i32::from_ne_bytes)
    }
}

impl SendControl<'_> for RawCmsg<'_> {
    fn encode(&self, out: &mut ControlOut<'_, '_>) -> Result<(), EncodeError> {
        out.push(self.id, self.payload)
    }
}
