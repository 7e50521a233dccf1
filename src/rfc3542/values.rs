//! Values in the data of an option (sections 10.4 and 10.7).

use std::{mem, net::Ipv6Addr};

use crate::error::{DecodeError, EncodeError};

/// A value in the data of an option, in network byte order: an integer, an address, bytes as they are; or several of
/// these one behind the other, as a tuple.
///
/// [`OptionsBuilder::append_values`](super::OptionsBuilder::append_values), [`set_val`] and [`get_val`] take and give it.
/// Nothing is aligned between the values of a tuple.
///
/// ```
/// use ancillary::rfc3542::{OptionValue, get_val, set_val};
/// use std::net::Ipv6Addr;
///
/// /// Any value behind a byte that says which kind it is.
/// fn tagged<V: OptionValue>(kind: u8, value: V) -> Result<[u8; 20], ancillary::EncodeError> {
///     let mut data = [0; 20];
///     set_val(&mut data, 0, (kind, value))?;
///     Ok(data)
/// }
/// assert_eq!(tagged(1, 0x1331u16)?[..3], [1, 0x13, 0x31]);
/// assert_eq!(get_val::<Ipv6Addr>(&tagged(2, Ipv6Addr::LOCALHOST)?, 1)?, Ipv6Addr::LOCALHOST);
/// assert!(tagged(3, [0; 20]).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// RFC 3542 s. 10.4 and 10.7
pub trait OptionValue: sealed::Value {}

mod sealed {
    pub trait Value: Sized {
        /// Bytes that it takes.
        const LEN: usize;

        /// Writes it at the start, and leaves the rest; `None` if there are too few bytes.
        fn put(&self, to: &mut &mut [u8]) -> Option<()>;

        /// Reads it from the start, and leaves the rest; `None` if there are too few bytes.
        fn take(from: &mut &[u8]) -> Option<Self>;
    }
}

use sealed::Value;

impl<const N: usize> OptionValue for [u8; N] {}

impl<const N: usize> Value for [u8; N] {
    const LEN: usize = N;

    fn put(&self, to: &mut &mut [u8]) -> Option<()> {
        let (room, rest) = mem::take(to).split_first_chunk_mut()?;
        (*room, *to) = (*self, rest);
        Some(())
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        let (value, rest) = from.split_first_chunk()?;
        *from = rest;
        Some(*value)
    }
}

macro_rules! values {
    ($($type:ty, $len:literal, $to:ident, $from:ident;)+) => {$(
        impl OptionValue for $type {}

        impl Value for $type {
            const LEN: usize = $len;

            fn put(&self, to: &mut &mut [u8]) -> Option<()> {
                self.$to().put(to)
            }

            fn take(from: &mut &[u8]) -> Option<Self> {
                <[u8; $len]>::take(from).map(Self::$from)
            }
        }
    )+};
}

values! {
    u8, 1, to_be_bytes, from_be_bytes;
    u16, 2, to_be_bytes, from_be_bytes;
    u32, 4, to_be_bytes, from_be_bytes;
    u64, 8, to_be_bytes, from_be_bytes;
    Ipv6Addr, 16, octets, from;
}

macro_rules! tuples {
    ($($($letter:ident $index:tt)+;)+) => {$(
        impl<$($letter: OptionValue),+> OptionValue for ($($letter,)+) {}

        impl<$($letter: OptionValue),+> Value for ($($letter,)+) {
            const LEN: usize = 0 $(+ $letter::LEN)+;

            fn put(&self, to: &mut &mut [u8]) -> Option<()> {
                $(self.$index.put(to)?;)+
                Some(())
            }

            fn take(from: &mut &[u8]) -> Option<Self> {
                Some(($($letter::take(from)?,)+))
            }
        }
    )+};
}

tuples! {
    A 0;
    A 0 B 1;
    A 0 B 1 C 2;
    A 0 B 1 C 2 D 3;
    A 0 B 1 C 2 D 3 E 4;
    A 0 B 1 C 2 D 3 E 4 F 5;
    A 0 B 1 C 2 D 3 E 4 F 5 G 6;
    A 0 B 1 C 2 D 3 E 4 F 5 G 6 H 7;
}

/// Writes a value at this offset of an option's data (`inet6_opt_set_val`); gives the offset behind it.
///
/// ```
/// use ancillary::rfc3542::{get_val, set_val};
///
/// let mut data = [0; 7];
/// let next = set_val(&mut data, 0, 1u8)?;
/// let next = set_val(&mut data, next, 0x1331u16)?;
/// set_val(&mut data, next, 0x0102_0304u32)?;
/// assert_eq!(data, [1, 0x13, 0x31, 1, 2, 3, 4]);
/// assert_eq!(get_val::<u16>(&data, 1)?, 0x1331);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// RFC 3542 s. 10.4
///
/// # Errors
///
/// [`EncodeError::HeaderSpace`] if the data has no room for it there; nothing is written then.
#[doc(alias = "inet6_opt_set_val")]
pub fn set_val<V: OptionValue>(data: &mut [u8], offset: usize, value: V) -> Result<usize, EncodeError> {
    let (needed, available) = (offset.saturating_add(V::LEN), data.len());
    let room = data.get_mut(offset..needed).and_then(|mut room| value.put(&mut room));
    room.map(|()| needed).ok_or(EncodeError::HeaderSpace { needed, available })
}

/// Reads a value at this offset of an option's data (`inet6_opt_get_val`), or several as a tuple.
///
/// ```
/// use ancillary::rfc3542::get_val;
///
/// let data = [1, 0x13, 0x31, 1, 2, 3, 4];
/// assert_eq!(get_val::<(u8, u16, u32)>(&data, 0)?, (1, 0x1331, 0x0102_0304));
/// assert_eq!(get_val::<u32>(&data, 3)?, 0x0102_0304);
/// assert_eq!(get_val::<u32>(&data, 4).unwrap_err().to_string(), "expected 8 bytes, found 7");
/// # Ok::<(), ancillary::DecodeError>(())
/// ```
///
/// RFC 3542 s. 10.7
///
/// # Errors
///
/// [`DecodeError::Length`] if the data ends before.
#[doc(alias = "inet6_opt_get_val")]
pub fn get_val<V: OptionValue>(data: &[u8], offset: usize) -> Result<V, DecodeError> {
    let (expected, found) = (offset.saturating_add(V::LEN), data.len());
    let value = data.get(offset..expected).and_then(|mut data| V::take(&mut data));
    value.ok_or(DecodeError::Length { expected, found })
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use proptest::prelude::*;

    use super::*;

    /// Written and read at every offset of data of every length.
    fn everywhere<V: OptionValue + Copy + Debug + PartialEq>(value: V, bytes: &[u8]) {
        let len = bytes.len();
        assert_eq!(V::LEN, len);
        for (room, offset) in (0..40).flat_map(|room| (0..42).map(move |offset| (room, offset))) {
            let mut data = vec![0xa5; room];
            let needed = offset + len;
            if needed > room {
                assert_eq!(
                    set_val(&mut data, offset, value),
                    Err(EncodeError::HeaderSpace { needed, available: room })
                );
                assert_eq!(data, vec![0xa5; room]);
                assert_eq!(get_val::<V>(&data, offset), Err(DecodeError::Length { expected: needed, found: room }));
                continue;
            }
            assert_eq!(set_val(&mut data, offset, value), Ok(needed));
            assert_eq!(get_val(&data, offset), Ok(value));
            assert_eq!(data, [&vec![0xa5; offset], bytes, &vec![0xa5; room - needed]].concat());
        }
        assert!(set_val(&mut [0; 8], usize::MAX, value).is_err() && get_val::<V>(&[0; 8], usize::MAX).is_err());
    }

    #[test]
    fn values_are_in_network_byte_order_and_stay_in_their_data() {
        everywhere(0x12u8, &[0x12]);
        everywhere(0x1234u16, &[0x12, 0x34]);
        everywhere(0x1234_5678u32, &[0x12, 0x34, 0x56, 0x78]);
        everywhere(0x0102_0304_0506_0708u64, &[1, 2, 3, 4, 5, 6, 7, 8]);
        everywhere([9, 8, 7], &[9, 8, 7]);
        let addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 7);
        everywhere(addr, &addr.octets());
        everywhere((1u8,), &[1]);
        everywhere((1u8, 0x1331u16, 0x0102_0304u32), &[1, 0x13, 0x31, 1, 2, 3, 4]);
        everywhere((1u8, (2u16, 3u8), [4u8; 2], 5u8, 6u8, 7u8, 8u8, 9u8), &[1, 0, 2, 3, 4, 4, 5, 6, 7, 8, 9]);
    }

    proptest! {
        #[test]
        fn a_tuple_is_its_values_one_behind_the_other(a: u8, b: u16, c: u32, d: u64, e: [u8; 3], offset in 0usize..20) {
            let (mut one, mut each) = ([0; 40], [0; 40]);
            let end = set_val(&mut one, offset, (a, b, c, d, e));
            let mut next = set_val(&mut each, offset, a);
            next = next.and_then(|next| set_val(&mut each, next, b));
            next = next.and_then(|next| set_val(&mut each, next, c));
            next = next.and_then(|next| set_val(&mut each, next, d));
            next = next.and_then(|next| set_val(&mut each, next, e));
            prop_assert_eq!((next, each), (end, one));
            prop_assert_eq!(get_val(&one, offset), Ok((a, b, c, d, e)));
        }
    }
}
