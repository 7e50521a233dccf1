//! Bytes of RFC 3542, and any bytes.

use proptest::prelude::*;

use super::*;
use crate::{error::DecodeError, message::Ipv6HopOpts, rfc3542::get_val};

fn build<A: Into<Alignment> + Copy>(options: &[(u8, A, &[u8])], room: usize) -> Result<Vec<u8>, EncodeError> {
    let mut buffer = vec![0xa5; room];
    let mut builder = OptionsBuilder::new(&mut buffer);
    for &(ty, align, data) in options {
        builder.append(ty, align, data);
    }
    builder.finish().map(<[u8]>::to_vec)
}

/// R632, R633: the example of the RFC's appendix C
#[test]
fn the_example_of_the_rfc_comes_out_byte_for_byte() {
    let mut buffer = [0xa5; 40];
    let mut builder = OptionsBuilder::new(&mut buffer);
    assert_eq!(builder.len(), 2);
    builder.append_with(10, 8, 12, |data| {
        let next = set_val(data, 0, 0x1234_5678_u32).unwrap();
        assert_eq!((next, set_val(data, next, 0x0102_0304_0506_0708_u64)), (4, Ok(12)));
    });
    assert_eq!(builder.len(), 20);
    builder.append_values(20, 4, (1_u8, 0x1331_u16, 0x0102_0304_u32));
    assert_eq!(builder.len(), 31);
    let expected = [
        0x00, 0x03, 0x01, 0x02, 0x00, 0x00, 0x0a, 0x0c, 0x12, 0x34, 0x56, 0x78, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06,
        0x07, 0x08, 0x01, 0x00, 0x14, 0x07, 0x01, 0x13, 0x31, 0x01, 0x02, 0x03, 0x04, 0x00,
    ];
    assert_eq!(builder.finish().unwrap(), expected);
    assert_eq!(buffer[32..], [0xa5; 8], "what is not needed is not touched");
    let header = Ipv6HopOpts::new(&expected).unwrap();
    let found: Vec<_> = header.options().map(Result::unwrap).collect();
    assert_eq!(found, [(10, &expected[8..20]), (20, &expected[24..31])]);
    assert_eq!((header.find(20), header.find(99)), (Ok(Some(&expected[24..31])), Ok(None)));
    assert_eq!(get_val(found[0].1, 0), Ok((0x1234_5678_u32, 0x0102_0304_0506_0708_u64)));
    let y = found[1].1;
    assert_eq!((get_val(y, 0), get_val(y, 1), get_val(y, 3)), (Ok(1_u8), Ok(0x1331_u16), Ok(0x0102_0304_u32)));
}

/// R634
#[test]
fn one_free_byte_is_pad1_and_more_are_padn() {
    for len in 1..=10 {
        let data = [7; 10];
        let header = build(&[(10, 1usize, &data[..len])], 64).unwrap();
        let used = 4 + len;
        assert_eq!(header.len(), used.next_multiple_of(8), "{len}");
        let padding: &[u8] = match header.len() - used {
            0 => &[],
            1 => &[0],
            n => &[&[1, n as u8 - 2], &[0; 5][..n - 2]].concat(),
        };
        assert_eq!(header[used..], *padding, "{len}");
    }
    for (align, start) in [(1usize, 2), (2, 2), (4, 2), (8, 6)] {
        let header = build(&[(10, align, &[9; 8])], 64).unwrap();
        assert_eq!(header[start..start + 2], [10, 8], "{align}");
    }
    assert_eq!(build(&[(10, 8usize, &[9; 8])], 64).unwrap()[..8], [0, 1, 1, 2, 0, 0, 10, 8]);
}

#[test]
fn what_no_header_can_hold_is_refused() {
    let refused = |ty, align: usize, data: &[u8], field, found| {
        let error = build(&[(ty, align, data), (0, 9, &[])], 4096).unwrap_err();
        assert!(matches!(error, EncodeError::Value { field: f, found: n, .. } if f == field && n == found), "{error}");
    };
    refused(0, 1, &[1], "option type", 0);
    refused(1, 1, &[1], "option type", 1);
    refused(2, 1, &[1; 256], "option length", 256);
    let number = |align: usize, data: &[u8]| build(&[(2, align, data)], 16);
    for (multiple, len) in [(0, 1), (3, 4), (5, 8), (16, 4), (usize::MAX, 4), (2, 0), (2, 1), (4, 3), (8, 4), (8, 7)] {
        let error = EncodeError::Alignment { multiple, offset: None, len };
        assert_eq!(number(multiple, &[1; 8][..len]), Err(error));
    }
    let pair = |x, y| build(&[(2, (x, y), &[1])], 16);
    let error = |multiple, offset| Err(EncodeError::Alignment { multiple, offset: Some(offset), len: 1 });
    for x in [0, 3, 5, 6, 7, 9, 16, usize::MAX] {
        assert_eq!(pair(x, 0), error(x, 0));
    }
    for (x, y) in [(1, 1), (2, 2), (4, 5), (8, 8), (8, usize::MAX)] {
        assert_eq!(pair(x, y), error(x, y));
    }
    let text = |error: Result<_, EncodeError>| error.unwrap_err().to_string();
    let expected =
        "option alignment: expected 1, 2, 4 or 8, and no more than the length (or a pair), found 8 for 4 bytes";
    assert_eq!(text(number(8, &[1; 4])), expected);
    let expected = "option alignment: expected 1, 2, 4 or 8, and an offset below it, found (4, 5) for 1 bytes";
    assert_eq!(text(pair(4, 5)), expected);
    assert!(pair(8, 7).is_ok(), "of the type, whatever the data's length");
    assert!(build(&[(2, 1usize, &[])], 8).is_ok());
    let full = [(2, 1usize, &[1; 255][..]); 8];
    assert!(matches!(build(&full, 4096), Err(EncodeError::Value { found: 2064, .. })));
    assert_eq!(build(&full[..7], 4096).unwrap().len(), 1808);
}

#[test]
fn too_little_room_says_how_much_is_needed() {
    let options: [(_, usize, &[u8]); 2] = [(10, 8, &[1; 12]), (20, 4, &[2; 7])];
    for room in 0..32 {
        assert_eq!(build(&options, room), Err(EncodeError::HeaderSpace { needed: 32, available: room }));
    }
    assert_eq!(build(&options, 32).unwrap().len(), 32);
}

/// The types of the definitions: router alert 2n+0, jumbo payload 4n+2, home address 8n+6, in situ OAM 4n+0.
#[test]
fn an_option_stands_where_its_definition_says() {
    for (align, starts) in [((2, 0), [2, 4]), ((4, 2), [2, 6]), ((8, 6), [6, 6]), ((4, 0), [4, 4]), ((1, 0), [2, 3])] {
        for (before, start) in starts.into_iter().enumerate() {
            let mut buffer = [0; 32];
            let mut builder = OptionsBuilder::new(&mut buffer);
            (0..before).for_each(|_| builder.put(&[0]));
            builder.append(0x1e, align, &[7; 4]);
            let header = builder.finish().unwrap();
            assert_eq!(header[start..start + 3], [0x1e, 4, 7], "{align:?} behind {before}");
            assert_eq!(Ipv6HopOpts::new(header).unwrap().find(0x1e), Ok(Some(&[7; 4][..])));
        }
    }
    // For the data at a multiple of x, the type is two before it.
    for x in [1, 2, 4, 8] {
        let of_type = Alignment::from((x, (2 * x - 2) % x));
        (0..100).for_each(|at| assert_eq!(Alignment::from(x).padding(at), of_type.padding(at), "{x} at {at}"));
    }
}

#[test]
fn what_has_no_room_is_not_filled() {
    let mut buffer = [0xa5; 8];
    let mut builder = OptionsBuilder::new(&mut buffer);
    builder.append_with(10, 1, 5, |_| panic!("no room"));
    builder.append_with(0, 1, 1, |_| panic!("no option"));
    assert!(matches!(builder.finish(), Err(EncodeError::Value { field: "option type", .. })));
}

/// How the types start in a header: where, and with which.
fn starts(header: &[u8]) -> Vec<(usize, u8)> {
    let (mut found, mut at) = (Vec::new(), 2);
    while at < header.len() {
        found.push((at, header[at]));
        at += if header[at] == 0 { 1 } else { 2 + usize::from(header[at + 1]) };
    }
    assert_eq!(at, header.len());
    found
}

proptest! {
    /// What is built is read back, each at its alignment, and is as short as the rules allow.
    #[test]
    fn any_options_are_read_back(options in prop::collection::vec(
        (2u8..=255, 0usize..4, 0usize..9, prop::collection::vec(any::<u8>(), 0..40)), 0..12,
    )) {
        // Offsets from 8 on stand for none.
        let aligned: Vec<_> = options.iter().map(|(ty, power, offset, data)| {
            let fits = |x: &usize| *offset < 8 || *x <= data.len().max(1);
            let x = (0..=*power).rev().map(|power| 1 << power).find(fits).unwrap();
            (*ty, if *offset < 8 { Alignment::from((x, offset % x)) } else { x.into() }, data.as_slice())
        }).collect();
        let bytes = build(&aligned, 2048).unwrap();
        let header = Ipv6HopOpts::new(&bytes).unwrap();
        let found: Vec<_> = header.options().map(Result::unwrap).collect();
        prop_assert_eq!(found.len(), aligned.len());
        let (mut most, mut last) = (2, 2);
        for ((ty, data), (expected, align, expected_data)) in found.iter().zip(&aligned) {
            prop_assert_eq!((*ty, *data), (*expected, *expected_data));
            let at = data.as_ptr() as usize - bytes.as_ptr() as usize;
            match align.offset {
                Some(offset) => prop_assert_eq!((at - 2) % align.multiple, offset),
                None => prop_assert_eq!(at % align.multiple, 0),
            }
            prop_assert!(at - 2 - last < align.multiple, "no more padding than that");
            last = at + data.len();
            most += 1 + data.len() + align.multiple;
        }
        prop_assert!(bytes.len() <= most.next_multiple_of(8) && bytes.len() % 8 == 0);
        prop_assert!(bytes.len() - last < 8);
        prop_assert_eq!(bytes.len(), 8 * (usize::from(bytes[1]) + 1));
        // Never two of padding in a row, and that of zeros.
        let starts = starts(&bytes);
        prop_assert!(starts.windows(2).all(|pair| pair[0].1 > 1 || pair[1].1 > 1), "{:?}", starts);
        for (at, _) in starts.iter().filter(|(_, ty)| *ty == 1) {
            let len = usize::from(bytes[at + 1]);
            prop_assert!(len <= 5 && bytes[at + 2..at + 2 + len].iter().all(|byte| *byte == 0));
        }
    }

    /// Whatever the order of errors and options, in a buffer of any length.
    #[test]
    fn no_call_panics(
        calls in prop::collection::vec((any::<u8>(), 0usize..20, 0usize..20, any::<bool>(), 0usize..300), 0..20),
        room in 0usize..2100,
    ) {
        let mut buffer = vec![0xa5; room];
        let mut builder = OptionsBuilder::new(&mut buffer);
        for (ty, x, y, pair, len) in calls {
            let align = if pair { Alignment::from((x, y)) } else { x.into() };
            builder.append(ty, align, &[7; 300][..len]);
        }
        let counted = builder.len();
        if let Ok(header) = builder.finish() {
            prop_assert!(header.len() == counted.next_multiple_of(8));
            prop_assert!(Ipv6HopOpts::new(header).is_ok());
        }
    }

    /// What is no header is refused, and what is one is read to its end, or to an error.
    #[test]
    fn any_bytes_are_safe(mut bytes in prop::collection::vec(any::<u8>(), 0..300), fix in any::<bool>(), ty: u8) {
        if fix && bytes.len() >= 8 {
            let units = bytes.len() / 8;
            bytes.truncate(8 * units);
            bytes[1] = (units - 1) as u8;
        }
        let read = Ipv6HopOpts::new(&bytes);
        let whole = bytes.len() >= 8 && bytes.len() == 8 * (usize::from(bytes[1]) + 1);
        match read {
            Ok(header) => {
                prop_assert!(whole && header.options().all(|option| option.is_ok()));
                let first = header.options().flatten().find(|(found, _)| *found == ty);
                prop_assert_eq!(header.find(ty), Ok(first.map(|(_, data)| data)));
            }
            Err(EncodeError::Value { field, expected, .. }) => {
                prop_assert_eq!(field, "IPV6_HOPOPTS");
                prop_assert_eq!(expected == "8 * (length + 1) bytes", !whole);
            }
            Err(other) => prop_assert!(false, "{:?}", other),
        }
        // As the kernel would hand it out, which looks at no more than the length.
        let raw = crate::cmsg::RawCmsg::new(Ipv6HopOpts::ID, &bytes);
        match <Ipv6HopOpts<'_> as crate::message::RecvControl>::decode(raw) {
            Ok(header) => {
                let options: Vec<_> = header.options().collect();
                prop_assert_eq!(options.iter().filter(|option| option.is_err()).count(), usize::from(read.is_err()));
            }
            Err(DecodeError::Length { .. }) => prop_assert!(!whole),
            Err(other) => prop_assert!(false, "{:?}", other),
        }
    }
}
