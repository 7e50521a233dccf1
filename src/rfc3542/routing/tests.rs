//! Bytes of RFC 3542, and any bytes.

use proptest::prelude::*;

use super::*;

fn addr(n: u16) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, n)
}

fn build(ty: RoutingType, count: u16, room: usize) -> Result<Vec<u8>, EncodeError> {
    let mut buffer = vec![0xa5; room];
    let mut builder = RoutingBuilder::new(&mut buffer, ty);
    for n in 1..=count {
        builder.add(addr(n));
    }
    builder.finish().map(<[u8]>::to_vec)
}

/// R637
#[test]
fn a_source_route_is_as_the_rfc_has_it() {
    let space = |count| RoutingType::Source.space(count);
    assert_eq!([0, 1, 3, 127, 128].map(space), [Some(8), Some(24), Some(56), Some(2040), None]);
    let mut bytes = build(RoutingType::Source, 3, 56).unwrap();
    let mut expected = vec![0, 6, 0, 3, 0, 0, 0, 0];
    (1..=3).for_each(|n| expected.extend(addr(n).octets()));
    assert_eq!(bytes, expected);
    assert_eq!(build(RoutingType::Source, 4, 56), Err(EncodeError::HeaderSpace { needed: 72, available: 56 }));

    let header = RoutingHeader::new(&bytes).unwrap();
    assert_eq!((header.segments(), header.segments_left()), (3, 3));
    assert_eq!([0, 2, 3, usize::MAX].map(|n| header.addr(n)), [Some(addr(1)), Some(addr(3)), None, None]);
    bytes[3] = 0; // as it arrives
    reverse(&mut bytes).unwrap();
    let back = RoutingHeader::new(&bytes).unwrap();
    assert_eq!((back.segments_left(), back.addrs().collect::<Vec<_>>()), (3, vec![addr(3), addr(2), addr(1)]));
}

#[test]
fn segments_stand_in_the_header_from_the_last_to_the_first() {
    let mut bytes = build(RoutingType::SegmentRouting, 3, 64).unwrap();
    assert_eq!(bytes[..8], [0, 6, 4, 2, 2, 0, 0, 0]);
    assert_eq!((&bytes[8..24], &bytes[40..]), (&addr(3).octets()[..], &addr(1).octets()[..]));
    let header = RoutingHeader::new(&bytes).unwrap();
    assert_eq!(header.addrs().collect::<Vec<_>>(), [addr(1), addr(2), addr(3)]);
    assert_eq!(format!("{header:?}"), "SegmentRouting left 2 [2001:db8::1, 2001:db8::2, 2001:db8::3]");
    bytes[3] = 0; // as it arrives
    reverse(&mut bytes).unwrap();
    let back = RoutingHeader::new(&bytes).unwrap();
    let expected = vec![addr(2), addr(1), addr(3)];
    assert_eq!((back.segments_left(), back.addrs().collect::<Vec<_>>()), (2, expected), "the last is no node");
    // What follows the segments stays where it is.
    bytes[1] += 1;
    bytes.extend([5, 6, 0, 0, 0, 0, 0, 0]);
    reverse(&mut bytes).unwrap();
    assert_eq!((RoutingHeader::new(&bytes).unwrap().addr(0), &bytes[56..58]), (Some(addr(1)), &[5, 6][..]));
}

#[test]
fn a_home_address_is_one_and_no_route() {
    let mut bytes = build(RoutingType::HomeAddress, 1, 24).unwrap();
    assert_eq!(bytes[..8], [0, 2, 2, 1, 0, 0, 0, 0]);
    assert_eq!(RoutingHeader::new(&bytes).unwrap().addrs().collect::<Vec<_>>(), [addr(1)]);
    assert!(matches!(reverse(&mut bytes), Err(DecodeError::Value { field: "routing type", found: 2, .. })));
}

#[test]
fn numbers_of_addresses_that_a_type_does_not_have_are_refused() {
    for (ty, count) in [
        (RoutingType::Source, 128),
        (RoutingType::HomeAddress, 0),
        (RoutingType::HomeAddress, 2),
        (RoutingType::SegmentRouting, 0),
        (RoutingType::SegmentRouting, 128),
    ] {
        let error = build(ty, count, 4096).unwrap_err();
        assert!(matches!(error, EncodeError::Value { found, .. } if found == i64::from(count)), "{ty:?} {error}");
        assert_eq!(ty.space(count.into()), None);
    }
    assert_eq!(build(RoutingType::Source, 127, 4096).unwrap().len(), 2040);
    for room in 0..40 {
        let error = EncodeError::HeaderSpace { needed: 40, available: room };
        assert_eq!(build(RoutingType::SegmentRouting, 2, room), Err(error));
    }
}

#[test]
fn malformed_headers_are_refused() {
    let good = build(RoutingType::SegmentRouting, 2, 40).unwrap();
    for len in 0..good.len() {
        let expected = if len < 5 { 8 } else { 40 };
        assert_eq!(RoutingHeader::new(&good[..len]), Err(DecodeError::Length { expected, found: len }));
    }
    let with = |ty, at: usize, value: u8| {
        let mut bytes = build(ty, if ty == RoutingType::HomeAddress { 1 } else { 2 }, 40).unwrap();
        bytes[at] = value;
        bytes.resize((usize::from(bytes[1]) + 1) * 8, 0);
        (RoutingHeader::new(&bytes).err(), reverse(&mut bytes).err())
    };
    let value = |field, expected, found| {
        let error = Some(DecodeError::Value { field, expected, found });
        (error, error)
    };
    let long = Some(DecodeError::Length { expected: 8 + 256 * 16, found: 40 });
    assert_eq!(with(RoutingType::SegmentRouting, 4, 255), (long, long));
    assert_eq!(with(RoutingType::SegmentRouting, 2, 3), value("routing type", "0, 2 or 4", 3));
    assert_eq!(with(RoutingType::Source, 1, 3), value("routing header length", "an even number", 3));
    assert_eq!(with(RoutingType::Source, 3, 3), value("segments left", "no more than there are", 3));
    assert_eq!(with(RoutingType::HomeAddress, 1, 4), value("routing header length", "2", 4));
}

proptest! {
    /// Read, printed and turned around, whatever they are; where they are refused, nothing is changed.
    #[test]
    fn any_bytes_are_safe(mut bytes in prop::collection::vec(any::<u8>(), 0..600), fix in any::<bool>()) {
        if fix && bytes.len() >= 8 {
            let units = bytes.len() / 8;
            bytes.truncate(units * 8);
            bytes[1] = (units - 1) as u8;
            bytes[2] %= 5;
            bytes[3] %= 40;
            bytes[4] %= 40;
        }
        let mut back = bytes.clone();
        let turned = reverse(&mut back);
        match RoutingHeader::new(&bytes) {
            Ok(header) => {
                let nodes: Vec<_> = header.addrs().collect();
                prop_assert_eq!(nodes.len(), header.segments());
                prop_assert!((0..300).all(|index| header.addr(index) == nodes.get(index).copied()));
                prop_assert_eq!(header.to_string(),
                    format!("{:?} left {} {nodes:?}", header.routing_type(), header.segments_left()));
                prop_assert!(usize::from(header.segments_left()) <= header.segments());
                prop_assert_eq!(turned.is_ok(), header.routing_type() != RoutingType::HomeAddress);
            }
            Err(error) => prop_assert_eq!(turned, Err(error)),
        }
        if turned.is_err() {
            prop_assert_eq!(&back, &bytes);
        }
    }

    /// In the order of travel; turned around twice it is as it was built.
    #[test]
    fn what_is_built_is_read_back(nodes in prop::collection::vec(any::<u128>(), 1..=127), segments in any::<bool>()) {
        let ty = if segments { RoutingType::SegmentRouting } else { RoutingType::Source };
        let nodes: Vec<_> = nodes.into_iter().map(Ipv6Addr::from).collect();
        let mut buffer = [0xa5; 2048];
        let mut builder = RoutingBuilder::new(&mut buffer, ty);
        nodes.iter().for_each(|node| _ = builder.add(*node));
        let built = builder.finish().unwrap().to_vec();
        prop_assert_eq!(Some(built.len()), ty.space(nodes.len()));
        prop_assert!(built.len() % 8 == 0 && built.len() == 8 * (usize::from(built[1]) + 1));
        let header = RoutingHeader::try_from(Ipv6Rthdr::new(&built).unwrap()).unwrap();
        prop_assert_eq!((header.routing_type(), header.segments()), (ty, nodes.len()));
        prop_assert_eq!(usize::from(header.segments_left()), nodes.len() - usize::from(segments));
        prop_assert_eq!(header.addrs().collect::<Vec<_>>(), &nodes[..]);

        let mut bytes = built.clone();
        bytes[3] = 0; // as it arrives
        reverse(&mut bytes).unwrap();
        let mut expected = nodes;
        let way = expected.len() - usize::from(segments);
        expected[..way].reverse();
        prop_assert_eq!(RoutingHeader::new(&bytes).unwrap().addrs().collect::<Vec<_>>(), expected);
        reverse(&mut bytes).unwrap();
        prop_assert_eq!(bytes, built);
    }
}
