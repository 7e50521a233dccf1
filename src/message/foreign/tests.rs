//! Two messages become one value, as address and interface do on the BSDs; here with their bytes on any system.

use std::net::Ipv4Addr;

use nix::libc::IPPROTO_IP;

use super::wire;
use crate::{
    cmsg::{self, CmsgId, RawCmsg},
    error::DecodeError,
    message::{AtMost, IpPktInfo, RecvControl, RecvList},
    parser,
};

const ADDRESS: CmsgId = CmsgId::new(IPPROTO_IP, 7);
const INTERFACE: CmsgId = CmsgId::new(IPPROTO_IP, 20);
const OTHER: CmsgId = CmsgId::new(IPPROTO_IP, 65);

#[derive(Debug, PartialEq)]
struct Halves(IpPktInfo);

impl RecvControl for Halves {
    type Value<'a> = Self;
    const PAYLOAD_LEN: usize = 88;

    fn matches(id: CmsgId) -> bool {
        id == ADDRESS || id == INTERFACE
    }

    fn decode(cmsg: RawCmsg<'_>) -> Result<Self, DecodeError> {
        let nowhere = IpPktInfo::source(Ipv4Addr::UNSPECIFIED);
        if cmsg.id() == INTERFACE {
            return wire::link_index(cmsg.payload()).map(|ifindex| Self(IpPktInfo { ifindex, ..nowhere }));
        }
        let addr = Ipv4Addr::from(cmsg.array::<4>()?);
        Ok(Self(IpPktInfo { ifindex: 0, spec_dst: addr, addr }))
    }

    fn merge<'a>(earlier: Self::Value<'a>, later: Self::Value<'a>) -> Self::Value<'a> {
        Self(wire::join(earlier.0, later.0))
    }
}

/// The same without a word on what two of them make.
#[derive(Debug, PartialEq)]
struct Last(CmsgId);

impl RecvControl for Last {
    type Value<'a> = Self;
    const PAYLOAD_LEN: usize = 88;

    fn matches(id: CmsgId) -> bool {
        Halves::matches(id)
    }

    fn decode(cmsg: RawCmsg<'_>) -> Result<Self, DecodeError> {
        Ok(Self(cmsg.id()))
    }
}

#[test]
fn halves_are_merged_while_they_are_extracted_whichever_comes_first() {
    let index = 0x0102u16.to_ne_bytes();
    let interface = [8, 18, index[0], index[1], 6, 0, 0, 0];
    let (address, other) = (RawCmsg::new(ADDRESS, &[192, 0, 2, 1]), RawCmsg::new(OTHER, &[57]));
    let interface = RawCmsg::new(INTERFACE, &interface);
    let addr = Ipv4Addr::new(192, 0, 2, 1);
    let whole = || Some(Halves(IpPktInfo { ifindex: 0x0102, spec_dst: addr, addr }));
    for messages in [[address, other, interface], [interface, other, address], [other, interface, address]] {
        let mut bytes = [0; 128];
        let len = cmsg::encode(&messages, &mut bytes).unwrap();
        let found = |list: fn(parser::Cmsgs<'_>) -> Option<Halves>| list(parser::cmsgs(&bytes[..len]));
        assert_eq!(found(<Halves as RecvList>::extract), whole());
        assert_eq!(found(<AtMost<Halves, 88> as RecvList>::extract), whole());
        assert_eq!(found(|cmsgs| <(Last, Halves)>::extract(cmsgs).1), whole());
        let last = <Last as RecvList>::extract(parser::cmsgs(&bytes[..len]));
        assert_eq!(last, Some(Last(if messages[2] == other { messages[1] } else { messages[2] }.id())));
    }
}

#[test]
fn a_half_that_cannot_be_read_leaves_the_other() {
    let address = RawCmsg::new(ADDRESS, &[192, 0, 2, 1]);
    let addr = Ipv4Addr::new(192, 0, 2, 1);
    let half = Some(Halves(IpPktInfo { ifindex: 0, spec_dst: addr, addr }));
    let cut = RawCmsg::new(INTERFACE, &[56, 18, 2, 0, 6, 3, 6, 0]);
    for messages in [[address, cut], [cut, address]] {
        let mut bytes = [0; 128];
        let len = cmsg::encode(&messages, &mut bytes).unwrap();
        assert_eq!(<Halves as RecvList>::extract(parser::cmsgs(&bytes[..len])), half);
    }
}
