//! The options in a header.

use std::{fmt, iter::FusedIterator};

use crate::{error::DecodeError, text::debug_hex};

/// Iterates over the options of a header: type and data, without the length byte.
///
/// Padding (Pad1, PadN) is skipped: it says nothing. An option longer than what is left comes out once, as
/// [`DecodeError::Length`], and ends it.
///
/// ```
/// use ancillary::message::Ipv6Options;
///
/// let header = [17, 0, 5, 2, 0, 0, 1, 0]; // router alert, two bytes of padding
/// let mut options = Ipv6Options::of(&header)?;
/// assert_eq!((options.next(), options.next()), (Some(Ok((5, &[0, 0][..]))), None));
/// # Ok::<(), ancillary::DecodeError>(())
/// ```
///
/// RFC 3542 s. 10.5; RFC 8200 s. 4.2
#[doc(alias = "inet6_opt_next")]
#[doc(alias = "inet6_opt_find")]
#[derive(Clone)]
#[must_use = "iterators are lazy"]
pub struct Ipv6Options<'a> {
    rest: &'a [u8],
}

/// Bytes that a header has by its own length, which counts units of eight without the first; the least if there is
/// none.
pub(super) const fn len_said(header: &[u8]) -> usize {
    match *header {
        [_, units, ..] => (units as usize + 1) * 8,
        _ => 8,
    }
}

impl<'a> Ipv6Options<'a> {
    /// Those of a whole header, wherever it comes from.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Length`] if it has not as many bytes as its own length says.
    pub const fn of(header: &'a [u8]) -> Result<Self, DecodeError> {
        let (expected, found) = (len_said(header), header.len());
        match header {
            [_, _, rest @ ..] if found == expected => Ok(Self { rest }),
            _ => Err(DecodeError::Length { expected, found }),
        }
    }

    #[cfg(linux_like)]
    pub(super) const fn new(rest: &'a [u8]) -> Self {
        Self { rest }
    }
}

impl<'a> Iterator for Ipv6Options<'a> {
    type Item = Result<(u8, &'a [u8]), DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        const PAD_1: u8 = 0;
        const PAD_N: u8 = 1;
        loop {
            let (ty, len, rest) = match *self.rest {
                [] => return None,
                [PAD_1, ref rest @ ..] => {
                    self.rest = rest;
                    continue;
                }
                [_] => return self.malformed(2),
                [ty, len, ref rest @ ..] => (ty, usize::from(len), rest),
            };
            let Some((data, rest)) = rest.split_at_checked(len) else {
                return self.malformed(2 + len);
            };
            self.rest = rest;
            if ty != PAD_N {
                return Some(Ok((ty, data)));
            }
        }
    }
}

impl<'a> Ipv6Options<'a> {
    #[cold]
    fn malformed(&mut self, expected: usize) -> Option<Result<(u8, &'a [u8]), DecodeError>> {
        let found = self.rest.len();
        self.rest = &[];
        Some(Err(DecodeError::Length { expected, found }))
    }
}

impl FusedIterator for Ipv6Options<'_> {}

/// What is left.
impl fmt::Debug for Ipv6Options<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug_hex("Ipv6Options", self.rest, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(bytes: &[u8]) -> Vec<Result<(u8, &[u8]), DecodeError>> {
        Ipv6Options { rest: bytes }.collect()
    }

    #[test]
    fn padding_is_skipped() {
        assert_eq!(list(&[]), []);
        assert_eq!(list(&[0, 0, 0, 1, 0, 1, 3, 9, 9, 9]), []);
        assert_eq!(list(&[0, 5, 2, 7, 8, 1, 1, 0, 0xc2, 0, 1, 0]), [Ok((5, &[7, 8][..])), Ok((0xc2, &[][..]))]);
    }

    #[test]
    fn a_header_is_as_long_as_it_says() {
        let header = [0, 1, 5, 2, 7, 8, 1, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        for found in (0..header.len()).filter(|&found| found != 16) {
            let expected = if found < 2 { 8 } else { 16 };
            assert_eq!(Ipv6Options::of(&header[..found]).unwrap_err(), DecodeError::Length { expected, found });
        }
        assert_eq!(Ipv6Options::of(&header[..16]).unwrap().collect::<Vec<_>>(), [Ok((5, &[7, 8][..]))]);
    }

    #[test]
    fn a_malformed_option_comes_out_once_and_is_the_last() {
        let short = |expected, found| Err(DecodeError::Length { expected, found });
        assert_eq!(list(&[5, 2, 0, 0, 5]), [Ok((5, &[0, 0][..])), short(2, 1)]);
        assert_eq!(list(&[0, 1]), [short(2, 1)]);
        assert_eq!(list(&[1, 3, 0, 0]), [short(5, 4)], "padding too");
        assert_eq!(list(&[0xc2, 255, 0, 0]), [short(257, 4)]);
        let mut options = Ipv6Options { rest: &[5] };
        assert_eq!((options.next(), options.next()), (Some(short(2, 1)), None));
    }
}
