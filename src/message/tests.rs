//! What the messages of the core keep to.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{
    laws::{refuses, refuses_lengths, round_trips},
    *,
};
use crate::{cmsg, parser};

const INT: usize = 4;

#[test]
fn every_byte_round_trips_as_an_int() {
    for value in 0..=u8::MAX {
        let int = i32::from(value).to_ne_bytes();
        if value > 0 {
            #[cfg(linux_like)]
            round_trips(IpTtl(value), IpTtl::RECEIVED, &int);
        }
        #[cfg(linux_like)]
        round_trips(IpTos(value), IpTos::RECEIVED, &int);
        round_trips(Ipv6HopLimit(value), Ipv6HopLimit::ID, &int);
        round_trips(TClass(value), TClass::ID, &int);
    }
}

#[test]
#[cfg(linux_like)]
fn packet_info_round_trips() {
    let v4 = IpPktInfo { ifindex: 7, spec_dst: Ipv4Addr::new(192, 0, 2, 1), addr: Ipv4Addr::new(192, 0, 2, 255) };
    let mut payload = 7u32.to_ne_bytes().to_vec();
    payload.extend([192, 0, 2, 1, 192, 0, 2, 255]);
    round_trips(v4, IpPktInfo::ID, &payload);
    round_trips(PktInfo::from(v4), IpPktInfo::ID, &payload);

    let addr: Ipv6Addr = "2001:db8::1".parse().unwrap();
    let v6 = Ipv6PktInfo { addr, ifindex: 0x0102_0304 };
    let mut payload = addr.octets().to_vec();
    payload.extend(0x0102_0304u32.to_ne_bytes());
    round_trips(v6, Ipv6PktInfo::ID, &payload);
    round_trips(PktInfo::from(v6), Ipv6PktInfo::ID, &payload);
}

#[test]
#[cfg(linux_like)]
fn credentials_round_trip() {
    let payload = [1i32.to_ne_bytes(), 1000u32.to_ne_bytes(), u32::MAX.to_ne_bytes()].concat();
    round_trips(Credentials { pid: 1, uid: 1000, gid: u32::MAX }, Credentials::ID, &payload);
}

/// PA06
#[test]
#[cfg(linux_like)]
fn every_other_length_is_refused() {
    #[cfg(linux_like)]
    refuses_lengths::<IpTtl>(IpTtl::RECEIVED, &[INT], INT);
    refuses_lengths::<IpTos>(IpTos::RECEIVED, &[1, INT], INT);
    refuses_lengths::<Ipv6HopLimit>(Ipv6HopLimit::ID, &[INT], INT);
    refuses_lengths::<TClass>(TClass::ID, &[INT], INT);
    refuses_lengths::<IpPktInfo>(IpPktInfo::ID, &[12], 12);
    refuses_lengths::<Ipv6PktInfo>(Ipv6PktInfo::ID, &[20], 20);
    refuses_lengths::<Credentials>(Credentials::ID, &[12], 12);
    let old = if size_of::<usize>() == 4 { 8 } else { 16 };
    for id in [Timestamp::MICROS, Timestamp::NANOS, Timestamp::MICROS_NEW, Timestamp::NANOS_NEW] {
        refuses_lengths::<Timestamp>(id, &[old, 16], 16);
    }
}

#[test]
fn values_outside_a_byte_are_refused() {
    for found in [-1, 256, i32::MIN, i32::MAX] {
        let payload = found.to_ne_bytes();
        let cmsg = |id| RawCmsg::new(id, &payload);
        let error = |field| DecodeError::Value { field, expected: "0..=255", found: found.into() };
        refuses::<IpTtl>(cmsg(IpTtl::RECEIVED), error("IP_TTL"));
        #[cfg(any(linux_like, apple, target_os = "freebsd", target_os = "dragonfly"))]
        refuses::<IpTos>(cmsg(IpTos::RECEIVED), error("IP_TOS"));
        refuses::<Ipv6HopLimit>(cmsg(Ipv6HopLimit::ID), error("IPV6_HOPLIMIT"));
        refuses::<TClass>(cmsg(TClass::ID), error("IPV6_TCLASS"));
    }
}

#[test]
#[cfg(any(linux_like, solarish))]
fn a_ttl_of_zero_is_refused_before_sending() {
    let error = |field| Err(EncodeError::Value { field, expected: "1..=255", found: 0 });
    assert_eq!(cmsg::encode(&IpTtl(0), &mut [0; 64]), error("IP_TTL"));
    assert_eq!(cmsg::encode(&HopLimit(0), &mut [0; 64]), error("hop limit"));
}

#[test]
#[cfg(linux_like)]
fn type_of_service_arrives_as_one_byte() {
    assert_eq!(IpTos::decode(RawCmsg::new(IpTos::RECEIVED, &[0xb9])), Ok(IpTos(0xb9)));
    let class = TrafficClass::decode(RawCmsg::new(IpTos::RECEIVED, &[0xb9])).unwrap();
    assert_eq!((class.dscp(), class.ecn()), (46, Ecn::Ect1));
}

#[test]
#[cfg(all(linux_like, target_pointer_width = "64"))]
fn timestamps_are_read_in_both_units() {
    let payload = |fraction: i64| [1_700_000_000i64.to_ne_bytes(), fraction.to_ne_bytes()].concat();
    for (id, fraction, nanos) in [
        (Timestamp::MICROS, 999_999, 999_999_000),
        (Timestamp::MICROS_NEW, 1, 1_000),
        (Timestamp::NANOS, 999_999_999, 999_999_999),
        (Timestamp::NANOS_NEW, 0, 0),
    ] {
        let stamp = Timestamp::decode(RawCmsg::new(id, &payload(fraction))).unwrap();
        assert_eq!((stamp.seconds(), stamp.subsec_nanos()), (1_700_000_000, nanos));
        assert!(stamp.to_system_time().is_some());
    }
    for (id, found, field, expected) in [
        (Timestamp::MICROS, 1_000_000, "tv_usec", "0..=999999"),
        (Timestamp::NANOS, -1, "tv_nsec", "0..=999999999"),
        (Timestamp::NANOS, i64::MAX, "tv_nsec", "0..=999999999"),
    ] {
        let error = Timestamp::decode(RawCmsg::new(id, &payload(found))).unwrap_err();
        assert_eq!(error, DecodeError::Value { field, expected, found });
    }
}

#[test]
#[cfg(linux_like)]
fn unified_messages_go_out_for_both_families_when_the_destination_is_not_known() {
    let mut bytes = [0; 256];
    let len = cmsg::encode(&(HopLimit(9), TrafficClass(0x2e)), &mut bytes).unwrap();
    let printed = format!("{:?}", parser::cmsgs(&bytes[..len]));
    assert_eq!(printed, "[{IP_TTL 9}, {IPV6_HOPLIMIT 9}, {IP_TOS 0x2e}, {IPV6_TCLASS 0x2e}]");
    assert_eq!(parser::cmsgs(&bytes[..len]).count(), 4, "{printed}");
}

#[test]
#[cfg(linux_like)]
fn a_mapped_source_goes_out_as_ipv4() {
    let mapped: Ipv6Addr = "::ffff:192.0.2.7".parse().unwrap();
    let mut bytes = [0; 64];
    let len = cmsg::encode(&PktInfo::source(mapped).on_interface(3), &mut bytes).unwrap();
    let found = IpPktInfo::decode(parser::cmsgs(&bytes[..len]).next().unwrap()).unwrap();
    assert_eq!(found.spec_dst, Ipv4Addr::new(192, 0, 2, 7));
    assert_eq!(found.ifindex, 3);
}

#[test]
fn replies_come_from_the_address_that_was_asked() {
    let v4 = |spec_dst, addr| PktInfo::V4(IpPktInfo { ifindex: 2, spec_dst, addr });
    let v6 = |addr: &str| PktInfo::V6(Ipv6PktInfo { addr: addr.parse().unwrap(), ifindex: 2 });
    let (ours, group) = (Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(224, 0, 0, 251));
    // A multicast or broadcast destination is no source; the local address of the route is.
    assert_eq!(v4(ours, group).reply(), Some(PktInfo::source(ours)));
    assert_eq!(v4(ours, Ipv4Addr::BROADCAST).reply(), Some(PktInfo::source(ours)));
    // Ping sockets leave spec_dst empty.
    assert_eq!(v4(Ipv4Addr::UNSPECIFIED, ours).reply(), Some(PktInfo::source(ours)));
    assert_eq!(v4(Ipv4Addr::UNSPECIFIED, group).reply(), None);
    // The interface is kept only for link-local addresses.
    assert_eq!(v6("2001:db8::7").reply().unwrap().ifindex(), 0);
    assert_eq!(v6("fe80::7").reply(), Some(v6("fe80::7")));
    assert_eq!(v6("::ffff:192.0.2.1").reply(), Some(PktInfo::source(ours)));
    assert_eq!([v6("ff02::fb").reply(), v6("::").reply(), v6("::ffff:224.0.0.251").reply()], [None; 3]);
}

#[test]
fn descriptors_cannot_be_sent_as_numbers() {
    let raw = RawCmsg::new(CmsgId::RIGHTS, &[0, 0, 0, 0]);
    assert_eq!(cmsg::encode(&raw, &mut [0; 64]), Err(EncodeError::DescriptorNumbers));
}
