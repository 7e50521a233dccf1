//! Headers of options: hop-by-hop and destination (section 10).

use std::fmt;

use crate::error::EncodeError;

/// The longest header: its length byte counts up to 255 units of eight bytes behind the first.
const LONGEST: usize = 2048;

/// Builds a header of hop-by-hop or destination options in a buffer of the caller's (`inet6_opt_init`,
/// `inet6_opt_append`, `inet6_opt_finish`).
///
/// It aligns each option's data as asked, counted from the start of the header, and pads before it and at the end with
/// Pad1 and PadN. The first error of a method is remembered, and told by [`finish`](Self::finish).
///
/// ```
/// use ancillary::{message::Ipv6HopOpts, rfc3542::OptionsBuilder};
///
/// let mut buffer = [0; 64];
/// let mut options = OptionsBuilder::new(&mut buffer);
/// options.append(5, 2, &[0, 0]);                       // router alert: two bytes, aligned to two
/// let header = Ipv6HopOpts::new(options.finish()?)?;
/// assert_eq!(header.as_bytes(), [0, 0, 5, 2, 0, 0, 1, 0]); // and two bytes of padding
/// assert_eq!(header.options().collect::<Vec<_>>(), [Ok((5, &[0, 0][..]))]);
/// # Ok::<(), ancillary::EncodeError>(())
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
#[doc(alias = "inet6_opt_init")]
#[doc(alias = "inet6_opt_append")]
#[doc(alias = "inet6_opt_set_val")]
#[doc(alias = "inet6_opt_finish")]
pub struct OptionsBuilder<'b> {
    bytes: &'b mut [u8],
    /// How many bytes the header has so far, written or not: with an error it goes on counting.
    len: usize,
    error: Option<EncodeError>,
}

impl<'b> OptionsBuilder<'b> {
    /// An empty header in `bytes`, of which any number may be given: what is not needed stays as it is.
    pub fn new(bytes: &'b mut [u8]) -> Self {
        let mut builder = Self { bytes, len: 0, error: None };
        builder.put(&[0, 0]);
        builder
    }

    /// One option with its data, which starts at a multiple of `align` (1, 2, 4 or 8, and no more than its length).
    pub fn append(&mut self, ty: u8, align: usize, data: &[u8]) -> &mut Self {
        self.append_with(ty, align, data.len(), |bytes| bytes.copy_from_slice(data))
    }

    /// The same, with data of this length that `fill` writes; it is zero before.
    pub fn append_with(&mut self, ty: u8, align: usize, len: usize, fill: impl FnOnce(&mut [u8])) -> &mut Self {
        if let Err(error) = allowed(ty, align, len) {
            self.error.get_or_insert(error);
            return self;
        }
        let data = self.len + 2;
        self.pad(data.next_multiple_of(align) - data);
        self.put(&[ty, len as u8]);
        let start = self.len;
        self.put(&[0; 255][..len]);
        if let Some(data) = self.bytes.get_mut(start..self.len) {
            fill(data);
        }
        self
    }

    /// Pads the header to a multiple of eight bytes, and writes its length. The next header is 0: the kernel fills it in.
    ///
    /// # Errors
    ///
    /// The first of [`EncodeError::Value`], for a type that is padding (0, 1), an alignment that is none or is larger than
    /// the data, data of more than 255 bytes, more than 2,048 bytes in all; else [`EncodeError::HeaderSpace`] with how many
    /// bytes are needed.
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

/// RFC 3542 s. 10.2.
fn allowed(ty: u8, align: usize, len: usize) -> Result<(), EncodeError> {
    let value = |field, expected, found| Err(EncodeError::Value { field, expected, found });
    if ty < 2 {
        return value("option type", "2..=255", ty.into());
    }
    if len > 255 {
        return value("option length", "0..=255", i64::try_from(len).unwrap_or(i64::MAX));
    }
    if !matches!(align, 1 | 2 | 4 | 8) || align > len.max(1) {
        return value("option alignment", "1, 2, 4 or 8, and no more than the length", align as i64);
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::message::Ipv6HopOpts;

    fn build(options: &[(u8, usize, &[u8])], room: usize) -> Result<Vec<u8>, EncodeError> {
        let mut buffer = vec![0xa5; room];
        let mut builder = OptionsBuilder::new(&mut buffer);
        for &(ty, align, data) in options {
            builder.append(ty, align, data);
        }
        builder.finish().map(<[u8]>::to_vec)
    }

    /// R632: the example of the RFC's appendix C
    #[test]
    fn the_example_of_the_rfc_comes_out_byte_for_byte() {
        let mut buffer = [0xa5; 40];
        let mut builder = OptionsBuilder::new(&mut buffer);
        assert_eq!(builder.len(), 2);
        builder.append_with(10, 8, 12, |data| {
            data[..4].copy_from_slice(&0x1234_5678u32.to_be_bytes());
            data[4..].copy_from_slice(&0x0102_0304_0506_0708u64.to_be_bytes());
        });
        assert_eq!(builder.len(), 20);
        builder.append_with(20, 4, 7, |data| {
            data[0] = 1;
            data[1..3].copy_from_slice(&0x1331u16.to_be_bytes());
            data[3..].copy_from_slice(&0x0102_0304u32.to_be_bytes());
        });
        assert_eq!(builder.len(), 31);
        let expected = [
            0x00, 0x03, 0x01, 0x02, 0x00, 0x00, 0x0a, 0x0c, 0x12, 0x34, 0x56, 0x78, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06,
            0x07, 0x08, 0x01, 0x00, 0x14, 0x07, 0x01, 0x13, 0x31, 0x01, 0x02, 0x03, 0x04, 0x00,
        ];
        assert_eq!(builder.finish().unwrap(), expected);
        assert_eq!(buffer[32..], [0xa5; 8], "what is not needed is not touched");
        // R633
        let header = Ipv6HopOpts::new(&expected).unwrap();
        let found: Vec<_> = header.options().map(Result::unwrap).collect();
        assert_eq!(found, [(10, &expected[8..20]), (20, &expected[24..31])]);
        assert_eq!((header.find(20), header.find(99)), (Ok(Some(&expected[24..31])), Ok(None)));
    }

    /// R634
    #[test]
    fn one_free_byte_is_pad1_and_more_are_padn() {
        for len in 1..=10 {
            let data = [7; 10];
            let header = build(&[(10, 1, &data[..len])], 64).unwrap();
            let used = 4 + len;
            assert_eq!(header.len(), used.next_multiple_of(8), "{len}");
            let padding: &[u8] = match header.len() - used {
                0 => &[],
                1 => &[0],
                n => &[&[1, n as u8 - 2], &[0; 5][..n - 2]].concat(),
            };
            assert_eq!(header[used..], *padding, "{len}");
        }
        for (align, start) in [(1, 2), (2, 2), (4, 2), (8, 6)] {
            let header = build(&[(10, align, &[9; 8])], 64).unwrap();
            assert_eq!(header[start..start + 2], [10, 8], "{align}");
        }
        assert_eq!(build(&[(10, 8, &[9; 8])], 64).unwrap()[..8], [0, 1, 1, 2, 0, 0, 10, 8]);
    }

    #[test]
    fn what_no_header_can_hold_is_refused() {
        let refused = |ty, align, data: &[u8], field, found| {
            let error = build(&[(ty, align, data), (0, 9, &[])], 4096).unwrap_err();
            assert!(
                matches!(error, EncodeError::Value { field: f, found: n, .. } if f == field && n == found),
                "{error}"
            );
        };
        refused(0, 1, &[1], "option type", 0);
        refused(1, 1, &[1], "option type", 1);
        refused(2, 1, &[1; 256], "option length", 256);
        for align in [0, 3, 5, 16, 2] {
            refused(2, align, &[1], "option alignment", align as i64);
        }
        refused(2, 2, &[], "option alignment", 2);
        assert!(build(&[(2, 1, &[])], 8).is_ok());
        let full = [(2, 1, &[1; 255][..]); 8];
        assert!(matches!(build(&full, 4096), Err(EncodeError::Value { found: 2064, .. })));
        assert_eq!(build(&full[..7], 4096).unwrap().len(), 1808);
    }

    #[test]
    fn too_little_room_says_how_much_is_needed() {
        let options: [(u8, usize, &[u8]); 2] = [(10, 8, &[1; 12]), (20, 4, &[2; 7])];
        for room in 0..32 {
            assert_eq!(build(&options, room), Err(EncodeError::HeaderSpace { needed: 32, available: room }));
        }
        assert_eq!(build(&options, 32).unwrap().len(), 32);
    }

    proptest! {
        /// What is built is read back, each at its alignment, and is as short as the rules allow.
        #[test]
        fn any_options_are_read_back(options in prop::collection::vec(
            (2u8..=255, 0usize..4, prop::collection::vec(any::<u8>(), 0..40)), 0..12,
        )) {
            let aligned: Vec<_> = options.iter().map(|(ty, align, data)| {
                let align = (0..=*align).rev().map(|power| 1usize << power).find(|&align| align <= data.len().max(1));
                (*ty, align.unwrap(), data.as_slice())
            }).collect();
            let bytes = build(&aligned, 2048).unwrap();
            let header = Ipv6HopOpts::new(&bytes).unwrap();
            let found: Vec<_> = header.options().map(Result::unwrap).collect();
            prop_assert_eq!(found.len(), aligned.len());
            for ((ty, data), (expected, align, expected_data)) in found.iter().zip(&aligned) {
                prop_assert_eq!((*ty, *data), (*expected, *expected_data));
                prop_assert_eq!((data.as_ptr() as usize - bytes.as_ptr() as usize) % align, 0);
            }
            let most: usize = aligned.iter().map(|(_, align, data)| 2 + data.len() + align - 1).sum();
            prop_assert!(bytes.len() <= (2 + most).next_multiple_of(8) && bytes.len() % 8 == 0);
        }
    }
}
