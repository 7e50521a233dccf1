use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6};

use super::*;
use crate::message::{
    RecvControl,
    laws::{reads, refuses},
};

fn plain(errno: i32, origin: u8, ty: u8, code: u8, info: u32, data: u32) -> Vec<u8> {
    let mut bytes = errno.to_ne_bytes().to_vec();
    bytes.extend([origin, ty, code, 0]);
    bytes.extend(info.to_ne_bytes());
    bytes.extend(data.to_ne_bytes());
    bytes
}

fn with_v4(mut error: Vec<u8>, family: i32, last: u8) -> Vec<u8> {
    error.extend((family as u16).to_ne_bytes());
    error.extend([0, 0, 192, 0, 2, last, 0, 0, 0, 0, 0, 0, 0, 0]);
    error
}

fn with_v6(mut error: Vec<u8>, family: i32, addr: Ipv6Addr) -> Vec<u8> {
    error.extend((family as u16).to_ne_bytes());
    error.extend([0; 6]);
    error.extend(addr.octets());
    error.extend(0u32.to_ne_bytes());
    error
}

#[test]
fn a_closed_port_is_read_with_its_offender() {
    let bytes = with_v4(plain(libc::ECONNREFUSED, 2, 3, 3, 0, 0), libc::AF_INET, 1);
    let printed = "{IP_RECVERR port unreachable, says 192.0.2.1}";
    reads::<ExtendedError>(ExtendedError::IP, &bytes, printed, |error| {
        assert_eq!(error.meaning(), Meaning::PortUnreachable);
        assert_eq!((error.origin, error.ty, error.code), (Origin::Icmp, 3, 3));
        assert_eq!(error.offender, Some(SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 1), 0).into()));
        assert_eq!(error.to_io_error().kind(), io::ErrorKind::ConnectionRefused);
    });
    let router: Ipv6Addr = "2001:db8::1".parse().unwrap();
    let bytes = with_v6(plain(libc::EMSGSIZE, 3, 2, 0, 1280, 0), libc::AF_INET6, router);
    let printed = "{IPV6_RECVERR packet too big for an MTU of 1280, says 2001:db8::1}";
    reads::<ExtendedError>(ExtendedError::IPV6, &bytes, printed, |error| {
        assert_eq!(error.meaning(), Meaning::PacketTooBig { mtu: 1280 });
        assert_eq!(error.offender, Some(SocketAddrV6::new(router, 0, 0, 0).into()));
    });
}

#[test]
fn an_offender_may_be_absent() {
    let local = plain(libc::EMSGSIZE, 1, 0, 0, 1500, 0);
    let too_long = io::Error::from_raw_os_error(libc::EMSGSIZE);
    for (id, bytes) in [
        (ExtendedError::IP, with_v4(local.clone(), libc::AF_UNSPEC, 0)),
        (ExtendedError::IPV6, with_v6(local.clone(), libc::AF_UNSPEC, Ipv6Addr::UNSPECIFIED)),
        (ExtendedError::IP, local.clone()),
        (ExtendedError::PACKET, local.clone()),
        (ExtendedError::VSOCK, local.clone()),
        (ExtendedError::CAN_RAW, local.clone()),
        (ExtendedError::J1939, local.clone()),
    ] {
        // Only of IP is the number an MTU; on J1939 it is an event.
        let big = matches!(id, ExtendedError::IP | ExtendedError::IPV6);
        let meaning = if big { "packet too big for an MTU of 1500".into() } else { too_long.to_string() };
        let printed = format!("{{{} {meaning}}}", id.name().unwrap());
        reads::<ExtendedError>(id, &bytes, &printed, |error| {
            assert_eq!((error.offender, error.origin, error.id), (None, Origin::Local, id));
            assert_eq!(matches!(error.meaning(), Meaning::PacketTooBig { mtu: 1500 }), big);
        });
    }
}

#[test]
fn completions_and_timestamps_have_their_numbers() {
    let bytes = plain(0, 5, 0, 1, 7, 9);
    reads::<ExtendedError>(ExtendedError::VSOCK, &bytes, "{VSOCK_RECVERR sends 7 to 9 complete, copied}", |error| {
        let range = ZeroCopied { first: 7, last: 9, copied: true };
        assert_eq!(error.meaning(), Meaning::ZeroCopied(range));
    });
    for (info, point, word) in [
        (0, TimestampPoint::Sent, "sent"),
        (1, TimestampPoint::Scheduled, "scheduled"),
        (2, TimestampPoint::Acknowledged, "acknowledged"),
        (3, TimestampPoint::Completed, "completed"),
        (9, TimestampPoint::Other(9), "timestamp 9"),
    ] {
        let bytes = plain(libc::ENOMSG, 4, 0, 0, info, 0xdead_beef);
        let printed = format!("{{PACKET_TX_TIMESTAMP {word}, id 3735928559}}");
        reads::<ExtendedError>(ExtendedError::PACKET, &bytes, &printed, |error| {
            assert_eq!(error.meaning(), Meaning::Sent { point, id: 0xdead_beef });
        });
    }
    let bytes = plain(libc::ECANCELED, 6, 0, 2, 2, 1);
    reads::<ExtendedError>(
        ExtendedError::PACKET,
        &bytes,
        "{PACKET_TX_TIMESTAMP time 4294967298 was missed}",
        |error| {
            assert_eq!(error.meaning(), Meaning::NotSent { time: 0x1_0000_0002, missed: true });
        },
    );
}

#[test]
fn every_icmp_code_has_the_meaning_of_its_rfc() {
    use Meaning::*;
    let meaning = |origin, ty, code| {
        let bytes = plain(libc::EPROTO, origin, ty, code, 576, 0);
        ExtendedError::decode(RawCmsg::new(ExtendedError::PACKET, &bytes)).unwrap().meaning()
    };
    let other = Other { errno: libc::EPROTO as u32 };
    let big = PacketTooBig { mtu: 576 };
    let unreachable = [
        NetworkUnreachable,
        HostUnreachable,
        ProtocolUnreachable,
        PortUnreachable,
        big,
        other,
        NetworkUnreachable,
        HostUnreachable,
        HostUnreachable,
        Prohibited,
        Prohibited,
        NetworkUnreachable,
        HostUnreachable,
        Prohibited,
        Prohibited,
        Prohibited,
        other,
    ];
    for (code, expected) in (0..).zip(unreachable) {
        assert_eq!(meaning(2, 3, code), expected, "3/{code}");
    }
    for (code, expected) in (0..).zip([HopLimitExceeded, ReassemblyTimeExceeded, other]) {
        assert_eq!((meaning(2, 11, code), meaning(3, 3, code)), (expected, expected), "{code}");
    }
    let unreachable =
        [NetworkUnreachable, Prohibited, other, HostUnreachable, PortUnreachable, Prohibited, Prohibited, other];
    for (code, expected) in (0..).zip(unreachable) {
        assert_eq!(meaning(3, 1, code), expected, "1/{code}");
    }
    assert_eq!(
        (meaning(2, 12, 0), meaning(3, 4, 0), meaning(3, 4, 2)),
        (ParameterProblem, ParameterProblem, ParameterProblem)
    );
    assert_eq!((meaning(3, 4, 1), meaning(3, 2, 0)), (ProtocolUnreachable, big));
    assert_eq!(
        (meaning(2, 0, 0), meaning(3, 128, 0), meaning(0, 3, 3), meaning(99, 3, 3)),
        (other, other, other, other)
    );
    assert!(Meaning::PortUnreachable.to_string() == "port unreachable" && other.to_string().contains("rotocol"));
}

#[test]
fn an_extension_is_where_the_icmp_message_says() {
    let at = |origin, len: u16, flags| {
        let [l0, l1] = len.to_ne_bytes();
        let bytes = plain(libc::EHOSTUNREACH, origin, 11, 0, 0, u32::from_ne_bytes([l0, l1, flags, 0]));
        ExtendedError::decode(RawCmsg::new(ExtendedError::IP, &bytes)).unwrap().extension_at()
    };
    assert_eq!((at(2, 128, 0), at(3, 128, 0)), (Some(128), Some(128)));
    assert_eq!((at(2, 128, 1), at(2, 0, 0), at(4, 128, 0)), (None, None, None));
}

#[test]
fn an_entry_that_was_cut_is_refused() {
    let v4 = with_v4(plain(libc::ECONNREFUSED, 2, 3, 3, 0, 0), libc::AF_INET, 1);
    let v6 = with_v6(plain(libc::ECONNREFUSED, 3, 1, 4, 0, 0), libc::AF_INET6, Ipv6Addr::LOCALHOST);
    for (id, bytes) in
        [(ExtendedError::IP, &v4), (ExtendedError::IPV6, &v6), (ExtendedError::PACKET, &plain(0, 5, 0, 0, 0, 0))]
    {
        let whole = bytes.len();
        let longer = [bytes.as_slice(), &[0; 4]].concat();
        for found in (0..=longer.len()).filter(|&found| found != whole && found != 16) {
            let expected = if found < 16 { 16 } else { whole };
            refuses::<ExtendedError>(RawCmsg::new(id, &longer[..found]), DecodeError::Length { expected, found });
        }
    }
}

#[test]
fn an_offender_of_another_family_is_refused() {
    let unix = with_v4(plain(0, 2, 3, 3, 0, 0), libc::AF_UNIX, 1);
    let field = "SO_EE_OFFENDER";
    let error = |expected, found: i32| DecodeError::Value { field, expected, found: found.into() };
    refuses::<ExtendedError>(RawCmsg::new(ExtendedError::IP, &unix), error("AF_INET or AF_UNSPEC", libc::AF_UNIX));
    let crossed = with_v6(plain(0, 3, 1, 4, 0, 0), libc::AF_INET, Ipv6Addr::LOCALHOST);
    refuses::<ExtendedError>(
        RawCmsg::new(ExtendedError::IPV6, &crossed),
        error("AF_INET6 or AF_UNSPEC", libc::AF_INET),
    );
}
