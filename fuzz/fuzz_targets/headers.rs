//! RFC 3542: options and routing headers from any bytes, and built from any values, as RFC 8200 lays them out.

#![no_main]

use std::net::Ipv6Addr;

use ancillary::{
    EncodeError,
    message::{Ipv6DstOpts, Ipv6HopOpts, Ipv6Options, Ipv6Rthdr},
    rfc3542::{OptionsBuilder, RoutingBuilder, RoutingHeader, RoutingType, get_val, reverse},
};
use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Input {
    bytes: Vec<u8>,
    find: u8,
    room: u16,
    options: Vec<(u8, u8, Option<u8>, Vec<u8>)>,
    ty: u8,
    nodes: Vec<[u8; 16]>,
}

fn read(bytes: &[u8], find: u8) {
    let whole = bytes.get(1).is_some_and(|units| bytes.len() == (usize::from(*units) + 1) * 8);
    assert_eq!(Ipv6Options::of(bytes).is_ok(), whole);
    if let Ok(options) = Ipv6Options::of(bytes) {
        let mut found = Vec::new();
        for option in options.clone() {
            match option {
                Ok((ty, data)) => {
                    assert!(ty > 1 && bytes.as_ptr_range().contains(&data.as_ptr().wrapping_sub(1)));
                    let _ = (get_val::<u64>(data, 1), get_val::<(u8, Ipv6Addr)>(data, usize::from(find)));
                    found.push((ty, data));
                }
                Err(error) => assert!(!error.to_string().is_empty()),
            }
        }
        let malformed = options.clone().any(|option| option.is_err());
        assert_eq!(Ipv6HopOpts::new(bytes).is_ok(), !malformed);
        if let Ok(header) = Ipv6DstOpts::new(bytes) {
            let first = found.iter().find(|(ty, _)| *ty == find).map(|(_, data)| *data);
            assert_eq!(header.find(find), Ok(first));
            assert!(!header.to_string().is_empty());
        }
    }
    if let Ok(header) = Ipv6Rthdr::new(bytes) {
        assert!(!header.to_string().is_empty() && RoutingHeader::try_from(header) == RoutingHeader::new(bytes));
    }
    let Ok(header) = RoutingHeader::new(bytes) else { return };
    let nodes: Vec<_> = header.addrs().collect();
    assert!(nodes.len() == header.segments() && usize::from(header.segments_left()) <= nodes.len());
    assert!(header.addr(nodes.len()).is_none() && !header.to_string().is_empty());
    let mut back = bytes.to_vec();
    if reverse(&mut back).is_ok() {
        let turned = RoutingHeader::new(&back).unwrap();
        let mut expected = nodes.clone();
        let way = expected.len() - usize::from(header.routing_type() == RoutingType::SegmentRouting);
        expected[..way].reverse();
        assert!(turned.addrs().eq(expected) && usize::from(turned.segments_left()) == way);
        reverse(&mut back).unwrap();
        assert!(RoutingHeader::new(&back).unwrap().addrs().eq(nodes));
    }
}

fuzz_target!(|input: Input| {
    let Input { bytes, find, room, options, ty, nodes } = input;
    read(&bytes, find);

    let mut buffer = vec![0xa5; usize::from(room % 2100)];
    let (mut counted, mut builder) = (OptionsBuilder::new(&mut []), OptionsBuilder::new(&mut buffer));
    for (ty, align, offset, data) in &options {
        let align = usize::from(*align);
        match offset {
            Some(offset) => {
                let pair = (align, usize::from(*offset));
                builder.append(*ty, pair, data);
                counted.append(*ty, pair, data);
            }
            None => {
                builder.append(*ty, align, data);
                counted.append(*ty, align, data);
            }
        }
    }
    assert_eq!(builder.len(), counted.len());
    let needed = match counted.finish() {
        Err(EncodeError::HeaderSpace { needed, available: 0 }) => Some(needed),
        Err(_) => None,
        Ok(_) => panic!("a header in no bytes"),
    };
    match (builder.finish(), needed) {
        (Ok(header), Some(needed)) => {
            assert_eq!((header.len(), header.len() % 8), (needed, 0));
            let found = Ipv6HopOpts::new(header).unwrap().options().map(Result::unwrap);
            assert!(found.eq(options.iter().map(|(ty, _, _, data)| (*ty, &data[..]))));
            for (at, (_, align, offset, _)) in Ipv6Options::of(header).unwrap().zip(&options) {
                let start = at.unwrap().1.as_ptr() as usize - header.as_ptr() as usize;
                match (usize::from(*align), offset) {
                    (align, None) => assert_eq!(start % align, 0),
                    (align, Some(offset)) => assert_eq!((start - 2) % align, usize::from(*offset)),
                }
            }
            read(header, find);
        }
        (Err(EncodeError::HeaderSpace { needed: found, available }), Some(needed)) => {
            assert!(found == needed && available < needed);
        }
        (Err(error), None) => assert!(!matches!(error, EncodeError::HeaderSpace { .. })),
        (result, needed) => panic!("{result:?}, counted {needed:?}"),
    }

    let ty = [RoutingType::Source, RoutingType::HomeAddress, RoutingType::SegmentRouting][usize::from(ty % 3)];
    let mut buffer = vec![0xa5; usize::from(room % 2100)];
    let mut route = RoutingBuilder::new(&mut buffer, ty);
    for node in &nodes {
        route.add(Ipv6Addr::from(*node));
    }
    match (route.finish(), ty.space(nodes.len())) {
        (Ok(header), Some(space)) => {
            assert_eq!(header.len(), space);
            let found = RoutingHeader::new(header).unwrap();
            assert!(found.routing_type() == ty && found.addrs().eq(nodes.iter().map(|node| Ipv6Addr::from(*node))));
            read(header, find);
        }
        (Err(EncodeError::HeaderSpace { needed, .. }), Some(space)) => assert_eq!(needed, space),
        (Err(EncodeError::Value { .. }), None) => {}
        (result, space) => panic!("{result:?} in {space:?}"),
    }
});
