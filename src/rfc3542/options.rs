//! Headers of options: hop-by-hop and destination (section 10).

use std::fmt;

use super::values::{OptionValue, set_val};
use crate::error::EncodeError;

/// The longest header: its length byte counts up to 255 units of eight bytes behind the first.
const LONGEST: usize = 2048;

/// Builds a header of hop-by-hop or destination options in a buffer of the caller's (`inet6_opt_init`,
/// `inet6_opt_append`, `inet6_opt_finish`).
///
/// It aligns each option as asked ([`Alignment`]), counted from the start of the header, and pads before it and at the
/// end with Pad1 and PadN. The first error of a method is remembered, and told by [`finish`](Self::finish).
///
/// ```
/// use ancillary::{message::Ipv6Options, rfc3542::{OptionsBuilder, get_val}};
///
/// let mut buffer = [0; 64];
/// let mut options = OptionsBuilder::new(&mut buffer);
/// options
///     .append(5, 2, &[0, 0]) // router alert: two bytes, aligned to two
///     .append_values(10, 8, (0x1234_5678_u32, 0x0102_0304_0506_0708_u64)); // the first of the RFC's appendix
/// let header = options.finish()?; // for Ipv6HopOpts::new, or Ipv6DstOpts::new
/// assert_eq!(header[..8], [0, 2, 5, 2, 0, 0, 10, 12]);
///
/// let mut found = Ipv6Options::of(header)?;
/// assert_eq!(found.next(), Some(Ok((5, &[0, 0][..]))));
/// let (ty, data) = found.next().unwrap()?;
/// assert_eq!((ty, get_val::<(u32, u64)>(data, 0)?), (10, (0x1234_5678, 0x0102_0304_0506_0708)));
/// assert_eq!(get_val::<u64>(data, 4)?, 0x0102_0304_0506_0708);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # What arrives
///
/// Linux drops a packet whose header has more than eight options, padding not counted
/// (`net.ipv6.max_hbh_opts_number`, `net.ipv6.max_dst_opts_number`, Linux 4.15). An option that a host does not know is
/// skipped where the upper two bits of its type are zero; else the packet is dropped, and where the first is set, an ICMP
/// parameter problem goes back, which the error queue tells.
///
/// # References
///
/// RFC 3542 s. 10; RFC 8200 s. 4.2; net/ipv6/exthdrs.c, `ip6_parse_tlv`
pub struct OptionsBuilder<'b> {
    bytes: &'b mut [u8],
    /// How many bytes the header has so far, written or not: with an error it goes on counting.
    len: usize,
    error: Option<EncodeError>,
}

impl<'b> OptionsBuilder<'b> {
    /// An empty header in `bytes`, of which any number may be given: what is not needed stays as it is
    /// (`inet6_opt_init`).
    /// With none the header is only counted: [`len`](Self::len), and the error of [`finish`](Self::finish), say its length.
    ///
    /// RFC 3542 s. 10.1
    #[doc(alias = "inet6_opt_init")]
    pub fn new(bytes: &'b mut [u8]) -> Self {
        let mut builder = Self { bytes, len: 0, error: None };
        builder.put(&[0, 0]);
        builder
    }

    /// One option with its data (`inet6_opt_append`); `align` is 1, 2, 4 or 8 for the data, and no more than it has
    /// bytes, or a pair for the type (see [`Alignment`]).
    ///
    /// RFC 3542 s. 10.2
    #[doc(alias = "inet6_opt_append")]
    pub fn append(&mut self, ty: u8, align: impl Into<Alignment>, data: &[u8]) -> &mut Self {
        self.append_with(ty, align, data.len(), |bytes| bytes.copy_from_slice(data))
    }

    /// One option with these values for data, in network byte order: an integer, an address, or a tuple of such.
    ///
    /// RFC 3542 s. 10.2 and 10.4
    #[doc(alias = "inet6_opt_set_val")]
    pub fn append_values<V: OptionValue>(&mut self, ty: u8, align: impl Into<Alignment>, values: V) -> &mut Self {
        // There is as much room as they take.
        self.append_with(ty, align, V::LEN, |bytes| _ = set_val(bytes, 0, values))
    }

    /// One option with data of this length that `fill` writes; it is zero before. `fill` is not called where there is no
    /// room for it.
    ///
    /// ```
    /// use ancillary::rfc3542::OptionsBuilder;
    ///
    /// let mut bytes = [0; 16];
    /// let mut options = OptionsBuilder::new(&mut bytes);
    /// options.append_with(0x1e, 1, 10, |data| data[..5].copy_from_slice(b"hello")); // the rest stays zero
    /// let header = options.finish()?;
    /// assert_eq!(header, *b"\0\x01\x1e\x0ahello\0\0\0\0\0\x01\0"); // 16 bytes, two of them padding
    /// # Ok::<(), ancillary::EncodeError>(())
    /// ```
    ///
    /// RFC 3542 s. 10.2
    pub fn append_with(
        &mut self,
        ty: u8,
        align: impl Into<Alignment>,
        len: usize,
        fill: impl FnOnce(&mut [u8]),
    ) -> &mut Self {
        match allowed(ty, align.into(), len).map(|align| align.padding(self.len)) {
            Ok(padding) => self.pad(padding),
            Err(error) => {
                self.error.get_or_insert(error);
                return self;
            }
        }
        self.put(&[ty, len as u8]);
        let start = self.len;
        self.put(&[0; 255][..len]);
        if let Some(data) = self.bytes.get_mut(start..self.len) {
            fill(data);
        }
        self
    }

    /// Pads the header to a multiple of eight bytes, and writes its length (`inet6_opt_finish`). The next header is 0: the
    /// kernel fills it in.
    ///
    /// RFC 3542 s. 10.3
    ///
    /// # Errors
    ///
    /// The first of [`EncodeError::Value`], for a type that is padding (0, 1), data of more than 255 bytes, more than
    /// 2,048 bytes in all, and [`EncodeError::Alignment`]; else [`EncodeError::HeaderSpace`] with how many bytes are
    /// needed.
    #[doc(alias = "inet6_opt_finish")]
    pub fn finish(mut self) -> Result<&'b [u8], EncodeError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        self.pad(self.len.next_multiple_of(8) - self.len);
        if self.len > LONGEST {
            let (field, found) = ("extension header", self.len as i64);
            return Err(EncodeError::Value { field, expected: "at most 2048 bytes", found });
        }
        let available = self.bytes.len();
        match self.bytes.get_mut(..self.len) {
            Some(header) => {
                header[1] = (self.len / 8 - 1) as u8;
                Ok(header)
            }
            None => Err(EncodeError::HeaderSpace { needed: self.len, available }),
        }
    }

    /// Bytes that the header takes so far, without the padding at the end; what does not fit is counted too.
    #[expect(clippy::len_without_is_empty, reason = "a count of bytes, never 0")]
    pub fn len(&self) -> usize {
        self.len
    }

    fn pad(&mut self, count: usize) {
        match count {
            0 => {}
            1 => self.put(&[0]),
            // At most seven: two bytes of PadN, and zeros.
            _ => self.put(&[1, count as u8 - 2, 0, 0, 0, 0, 0][..count]),
        }
    }

    fn put(&mut self, bytes: &[u8]) {
        if let Some(room) = self.bytes.get_mut(self.len..self.len + bytes.len()) {
            room.copy_from_slice(bytes);
        }
        self.len += bytes.len();
    }
}

/// Where an option may stand, counted from the start of the header: a number is of its data, a pair of its type, two bytes
/// before.
///
/// A number, as in RFC 3542: the data starts at a multiple of it. It is 1, 2, 4 or 8, and no more than the data's length:
/// 8 for four bytes is refused.
///
/// A pair `(x, y)`, as in the definitions of options, which say "x*n+y" (RFC 8200 s. 4.2): the type stands at a multiple
/// of `x` and `y` more bytes. `x` is 1, 2, 4 or 8, and `y` less, whatever the data's length.
///
/// Who sends an option that has a definition takes the pair from there. The numbers 1, 2, 4, 8 are the pairs (1, 0),
/// (2, 0), (4, 2), (8, 6).
///
/// ```
/// use ancillary::rfc3542::OptionsBuilder;
///
/// let mut buffer = [0; 16];
/// let mut options = OptionsBuilder::new(&mut buffer);
/// options.append_values(0xc2, (4, 2), 0x1_0000_u32); // jumbo payload (RFC 2675), 4n+2
/// options.append(0x1e, (4, 0), &[7]);                // another, 4n
/// assert_eq!(options.finish()?, [0, 1, 0xc2, 4, 0, 1, 0, 0, 0x1e, 1, 7, 1, 3, 0, 0, 0]);
///
/// let mut options = OptionsBuilder::new(&mut buffer);
/// options.append(0x1e, 8, &[1, 2, 3, 4]); // (8, 6) would do
/// let error = options.finish().unwrap_err().to_string();
/// assert!(error.starts_with("option alignment: expected 1, 2, 4 or 8"));
/// assert!(error.ends_with("found 8 for 4 bytes"));
/// # Ok::<(), ancillary::EncodeError>(())
/// ```
///
/// RFC 3542 s. 10.2
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Alignment {
    multiple: usize,
    /// Of the type; the data, if there is none.
    offset: Option<usize>,
}

/// Of the data.
impl From<usize> for Alignment {
    fn from(multiple: usize) -> Self {
        Self { multiple, offset: None }
    }
}

/// Of the type: x*n+y.
impl From<(usize, usize)> for Alignment {
    fn from((multiple, offset): (usize, usize)) -> Self {
        Self { multiple, offset: Some(offset) }
    }
}

impl Alignment {
    /// Bytes before an option that would start here; the alignment is one that there is.
    fn padding(self, start: usize) -> usize {
        // The data stands two bytes behind the type.
        let offset = self.offset.unwrap_or(2 * self.multiple - 2);
        (self.multiple + offset - start % self.multiple) % self.multiple
    }
}

/// RFC 3542 s. 10.2.
fn allowed(ty: u8, align: Alignment, len: usize) -> Result<Alignment, EncodeError> {
    let number = |found: usize| i64::try_from(found).unwrap_or(i64::MAX);
    let value = |field, expected, found| Err(EncodeError::Value { field, expected, found });
    let Alignment { multiple, offset } = align;
    if ty < 2 {
        return value("option type", "2..=255", ty.into());
    }
    if len > 255 {
        return value("option length", "0..=255", number(len));
    }
    // Of the data it is no more than its length; of the type any length has any.
    let possible = offset.map_or(multiple <= len.max(1), |offset| offset < multiple);
    if matches!(multiple, 1 | 2 | 4 | 8) && possible {
        return Ok(align);
    }
    Err(EncodeError::Alignment { multiple, offset, len })
}

impl fmt::Debug for OptionsBuilder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OptionsBuilder {{ {} bytes of {}", self.len, self.bytes.len())?;
        if let Some(error) = self.error {
            write!(f, ", error: {error}")?;
        }
        f.write_str(" }")
    }
}

#[cfg(all(test, linux_like))]
mod tests;
