//! Messages beyond the first ones: what a QUIC stack sends and receives, and the error queue.

use std::{hint::black_box, net::Ipv6Addr};

use ancillary::{
    cmsg,
    message::{
        ExtendedError, Ipv6PktInfo, Meaning, RecvList, ScmTimestamping, TClass, Timestamp, TimestampPoint, UdpGro,
        UdpSegment,
    },
    parser,
};
use nix::libc;

use super::repeat;
use crate::c::{self, catalogue as by_hand};

const SEGMENT: u16 = 1200;
const CLASS: u8 = 2;
const SOURCE: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 7);

/// Control data of these messages, as the kernel would write it.
fn control(messages: &[(i32, i32, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (level, ty, payload) in messages {
        bytes.extend((16 + payload.len()).to_ne_bytes());
        bytes.extend(level.to_ne_bytes());
        bytes.extend(ty.to_ne_bytes());
        bytes.extend(*payload);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
    }
    bytes
}

fn info() -> [u8; 20] {
    let mut info = [0; 20];
    info[..16].copy_from_slice(&SOURCE.octets());
    info
}

fn to_send() -> Vec<u8> {
    control(&[
        (by_hand::SOL_UDP, by_hand::UDP_SEGMENT, &SEGMENT.to_ne_bytes()),
        (libc::IPPROTO_IPV6, libc::IPV6_TCLASS, &i32::from(CLASS).to_ne_bytes()),
        (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &info()),
    ])
}

fn stamp() -> Vec<u8> {
    [1_700_000_000i64.to_ne_bytes(), 5i64.to_ne_bytes()].concat()
}

fn received() -> Vec<u8> {
    control(&[
        (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS, &stamp()),
        (by_hand::SOL_UDP, by_hand::UDP_GRO, &i32::from(SEGMENT).to_ne_bytes()),
        (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &info()),
        (libc::IPPROTO_IPV6, libc::IPV6_TCLASS, &i32::from(CLASS).to_ne_bytes()),
    ])
}

fn error() -> Vec<u8> {
    let mut stamps = stamp();
    stamps.resize(48, 0);
    let mut error = libc::ENOMSG.to_ne_bytes().to_vec();
    error.extend([4, 0, 0, 0]); // SO_EE_ORIGIN_TIMESTAMPING
    error.extend([0; 4]); // SCM_TSTAMP_SND
    error.extend(9u32.to_ne_bytes());
    error.extend([0; 16]); // no offender
    control(&[(libc::SOL_SOCKET, libc::SCM_TIMESTAMPING, &stamps), (libc::IPPROTO_IP, libc::IP_RECVERR, &error)])
}

pub(super) fn build(times: u32) {
    let mut bytes = c::Aligned([0; 88]);
    repeat(times, || {
        let (bytes, segment, class, source) = black_box((&mut bytes.0, SEGMENT, CLASS, SOURCE));
        let messages = (UdpSegment(segment), TClass(class), Ipv6PktInfo::source(source));
        black_box(cmsg::encode(&messages, bytes).unwrap_or(0));
    });
    assert_eq!(bytes.0[..], to_send());
}

pub(super) fn build_c(times: u32) {
    let mut bytes = c::Aligned([0; 88]);
    repeat(times, || {
        let (bytes, segment, class, source) = black_box((&mut bytes, SEGMENT, CLASS, SOURCE));
        let mut header = c::header();
        by_hand::build_quic(bytes, &mut header, segment, class, source);
        black_box(header.msg_controllen);
    });
    assert_eq!(bytes.0[..], to_send());
}

pub(super) fn parse(times: u32) {
    let bytes = received();
    let extract = |bytes| <(UdpGro, TClass, Ipv6PktInfo, Timestamp)>::extract(parser::cmsgs(bytes));
    repeat(times, || black_box(extract(black_box(&bytes))));
    let (gro, class, info, stamp) = extract(&bytes);
    assert_eq!((gro, class), (Some(UdpGro(SEGMENT.into())), Some(TClass(CLASS))));
    assert_eq!((info, stamp), (Some(Ipv6PktInfo::source(SOURCE)), Timestamp::new(1_700_000_000, 5)));
}

pub(super) fn parse_c(times: u32) {
    let mut bytes = received();
    let header = c::over(&mut bytes);
    repeat(times, || black_box(by_hand::parse_quic(black_box(&header))));
    let found = by_hand::parse_quic(&header);
    assert_eq!((found.gro, found.class), (Some(SEGMENT.into()), Some(CLASS.into())));
    assert_eq!(found.info.unwrap().ipi6_addr.s6_addr, SOURCE.octets());
    assert_eq!(found.stamp.unwrap().tv_nsec, 5);
}

pub(super) fn parse_error(times: u32) {
    let bytes = error();
    let extract = |bytes| <(ScmTimestamping, ExtendedError)>::extract(parser::cmsgs(bytes));
    repeat(times, || black_box(extract(black_box(&bytes))));
    let (stamps, error) = extract(&bytes);
    assert_eq!(stamps.unwrap().software, Timestamp::new(1_700_000_000, 5));
    assert_eq!(error.unwrap().meaning(), Meaning::Sent { point: TimestampPoint::Sent, id: 9 });
}

pub(super) fn parse_error_c(times: u32) {
    let mut bytes = error();
    let header = c::over(&mut bytes);
    repeat(times, || black_box(by_hand::parse_error(black_box(&header))));
    let (stamps, error) = by_hand::parse_error(&header);
    assert_eq!((stamps.unwrap()[0].tv_nsec, error.unwrap().0.ee_data), (5, 9));
}
