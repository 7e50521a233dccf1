//! Filters of ICMP types on raw sockets that ping their own host, and the checksums of others (RFC 3542 s. 3).

#![cfg(target_os = "linux")]

mod common;

use std::{
    io,
    net::{Ipv6Addr, SocketAddr},
};

use ancillary::{
    FamilyError,
    rfc3542::{Icmp6Filter, IcmpFilter, Ipv6Checksum},
};
use common::{TIMEOUT, cause, has_v6, namespace::on_loopback, pairs, pairs::errno, raw::int_option, skipped};
use nix::libc;
use socket2::{Domain, Protocol, Socket, Type};

// Types of ICMPv6 and ICMP.
const REQUEST6: u8 = 128;
const REPLY6: u8 = 129;
const REQUEST4: u8 = 8;
const REPLY4: u8 = 0;

/// Tells our packets from those of others.
const IDENTITY: [u8; 2] = [0xa5, 0x5a];

/// Two raw sockets, of which the second has no filter; says so where there can be none.
fn raw(test: &str, domain: Domain) -> Option<[Socket; 2]> {
    let protocol = if domain == Domain::IPV6 { Protocol::ICMPV6 } else { Protocol::ICMPV4 };
    let open = || {
        let socket = Socket::new(domain, Type::RAW, Some(protocol))?;
        socket.set_read_timeout(TIMEOUT)?;
        io::Result::Ok(socket)
    };
    match open().and_then(|filtered| Ok([filtered, open()?])) {
        Ok(sockets) => Some(sockets),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            skipped(format_args!("SKIPPED {test}: raw sockets: {error}"));
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// Sends an echo request with this number to the own host.
fn ping(socket: &Socket, number: u8) {
    let v6 = socket.domain().unwrap() == Domain::IPV6;
    let mut packet = [if v6 { REQUEST6 } else { REQUEST4 }, 0, 0, 0, IDENTITY[0], IDENTITY[1], 0, number];
    if !v6 {
        // The Internet checksum (RFC 1071), which the kernel computes for ICMPv6 alone.
        let sum: u32 = packet.chunks_exact(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum();
        let folded = !((sum & 0xffff) + (sum >> 16)) as u16;
        packet[2..4].copy_from_slice(&folded.to_be_bytes());
    }
    let to: SocketAddr = if v6 { "[::1]:0" } else { "127.0.0.1:0" }.parse().unwrap();
    assert_eq!(socket.send_to(&packet, &to.into()).unwrap(), packet.len());
}

/// Type and number of the next of our packets.
fn next(socket: &Socket) -> (u8, u8) {
    let header = if socket.domain().unwrap() == Domain::IPV6 { 0 } else { 20 };
    for _ in 0..1000 {
        let mut packet = [0; 100];
        let len = io::Read::read(&mut &*socket, &mut packet).unwrap();
        if packet[..len].get(header + 4..header + 6) == Some(&IDENTITY) {
            return (packet[header], packet[header + 7]);
        }
    }
    panic!("too many packets of others");
}

/// A ping whose request and reply have arrived at a socket without a filter: what the filtered one has not by now, a
/// later packet shows, since packets keep their order.
fn ping_seen([filtered, free]: &[Socket; 2], number: u8, [request, reply]: [u8; 2]) {
    ping(filtered, number);
    assert_eq!([next(free), next(free)], [(request, number), (reply, number)]);
}

#[test]
fn only_the_types_of_icmpv6_that_pass_arrive() {
    let test = "only_the_types_of_icmpv6_that_pass_arrive";
    if !has_v6(test) {
        return;
    }
    on_loopback(test, || {
        let Some(sockets) = raw(test, Domain::IPV6) else { return };
        let (filtered, types) = (&sockets[0], [REQUEST6, REPLY6]);
        assert_eq!(Icmp6Filter::get(filtered).unwrap(), Icmp6Filter::pass_all(), "a new socket");
        ping_seen(&sockets, 1, types);
        assert_eq!([next(filtered), next(filtered)], [(REQUEST6, 1), (REPLY6, 1)]);

        let replies = Icmp6Filter::block_all().pass(REPLY6);
        replies.set(filtered).unwrap();
        assert_eq!(Icmp6Filter::get(filtered).unwrap(), replies);
        assert_eq!(Icmp6Filter::get(&sockets[1]).unwrap(), Icmp6Filter::pass_all(), "of one socket alone");
        ping_seen(&sockets, 2, types);
        ping_seen(&sockets, 3, types);
        assert_eq!([next(filtered), next(filtered)], [(REPLY6, 2), (REPLY6, 3)]);

        Icmp6Filter::pass_all().block(REPLY6).set(filtered).unwrap();
        ping_seen(&sockets, 4, types);
        ping_seen(&sockets, 5, types);
        assert_eq!([next(filtered), next(filtered)], [(REQUEST6, 4), (REQUEST6, 5)]);

        Icmp6Filter::block_all().set(filtered).unwrap();
        ping_seen(&sockets, 6, types);
        Icmp6Filter::pass_all().set(filtered).unwrap();
        ping_seen(&sockets, 7, types);
        assert_eq!([next(filtered), next(filtered)], [(REQUEST6, 7), (REPLY6, 7)], "none of those before");
    });
}

#[test]
fn only_the_types_of_icmp_that_pass_arrive() {
    let test = "only_the_types_of_icmp_that_pass_arrive";
    on_loopback(test, || {
        let Some(sockets) = raw(test, Domain::IPV4) else { return };
        let (filtered, types) = (&sockets[0], [REQUEST4, REPLY4]);
        assert_eq!(IcmpFilter::get(filtered).unwrap(), IcmpFilter::pass_all(), "a new socket");
        ping_seen(&sockets, 1, types);
        assert_eq!([next(filtered), next(filtered)], [(REQUEST4, 1), (REPLY4, 1)]);

        let replies = IcmpFilter::block_all().pass(REPLY4);
        replies.set(filtered).unwrap();
        assert_eq!(IcmpFilter::get(filtered).unwrap(), replies);
        assert_eq!(IcmpFilter::get(&sockets[1]).unwrap(), IcmpFilter::pass_all(), "of one socket alone");
        ping_seen(&sockets, 2, types);
        ping_seen(&sockets, 3, types);
        assert_eq!([next(filtered), next(filtered)], [(REPLY4, 2), (REPLY4, 3)]);

        IcmpFilter::pass_all().block(REPLY4).unwrap().set(filtered).unwrap();
        ping_seen(&sockets, 4, types);
        ping_seen(&sockets, 5, types);
        assert_eq!([next(filtered), next(filtered)], [(REQUEST4, 4), (REQUEST4, 5)]);

        IcmpFilter::block_all().set(filtered).unwrap();
        ping_seen(&sockets, 6, types);
        IcmpFilter::pass_all().set(filtered).unwrap();
        ping_seen(&sockets, 7, types);
        assert_eq!([next(filtered), next(filtered)], [(REQUEST4, 7), (REPLY4, 7)], "none of those before");
    });
}

#[test]
fn other_sockets_have_no_filter() {
    let family = |result: io::Result<()>| cause::<FamilyError>(&result.unwrap_err()).unwrap().found;
    let (unix, v4) = (pairs::datagrams().0, pairs::bound(pairs::V4));
    assert_eq!(family(Icmp6Filter::pass_all().set(&unix)), libc::AF_UNIX);
    assert_eq!(family(Icmp6Filter::get(&v4).map(drop)), libc::AF_INET);
    assert_eq!(family(IcmpFilter::get(&unix).map(drop)), libc::AF_UNIX);
    assert_eq!(errno(IcmpFilter::pass_all().set(&v4)), libc::ENOPROTOOPT, "not a raw one");
    assert!([libc::ENOPROTOOPT, libc::EOPNOTSUPP].contains(&errno(IcmpFilter::get(&v4))));
    let test = "other_sockets_have_no_filter";
    if has_v6(test) {
        let v6 = pairs::bound(pairs::V6);
        assert_eq!(family(IcmpFilter::pass_all().set(&v6)), libc::AF_INET6);
        assert_eq!(errno(Icmp6Filter::block_all().set(&v6)), libc::ENOPROTOOPT);
        assert_eq!(errno(Icmp6Filter::get(&v6)), libc::ENOPROTOOPT);
    }
    // Of a protocol for experiments (RFC 3692).
    match Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(253))) {
        Ok(raw) => assert_eq!(errno(IcmpFilter::get(&raw)), libc::EOPNOTSUPP),
        Err(error) => skipped(format_args!("SKIPPED {test}: raw sockets: {error}")),
    }
}

/// Section 3.1. What a socket sends is looked at by one that has no checksum, and so takes every packet.
#[test]
fn the_checksum_of_a_raw_socket_is_written_and_checked_by_the_kernel() {
    let test = "the_checksum_of_a_raw_socket_is_written_and_checked_by_the_kernel";
    if !has_v6(test) {
        return;
    }
    on_loopback(test, || {
        // Of a protocol for experiments (RFC 3692).
        let open = || {
            let socket = Socket::new(Domain::IPV6, Type::RAW, Some(Protocol::from(253)))?;
            socket.set_read_timeout(TIMEOUT)?;
            io::Result::Ok(socket)
        };
        let (socket, free) = match open() {
            Ok(socket) => (socket, open().unwrap()),
            Err(error) => return skipped(format_args!("SKIPPED {test}: raw sockets: {error}")),
        };
        let to = SocketAddr::from((Ipv6Addr::LOCALHOST, 0)).into();
        let next = |mut socket: &Socket| {
            let mut data = [0; 8];
            assert_eq!(io::Read::read(&mut socket, &mut data).unwrap(), 8);
            data
        };
        let plain = |number| [1, 2, 3, 4, 0, 0, 5, number];
        // The complement of the sum of the words, both addresses ::1, length 8 and protocol 253.
        let summed = |number: u8| {
            let sum = !(0x0102 + 0x0304 + 0x0500 + u16::from(number) + 1 + 1 + 8 + 253);
            [1, 2, 3, 4, sum.to_be_bytes()[0], sum.to_be_bytes()[1], 5, number]
        };

        assert_eq!(Ipv6Checksum::get(&socket).unwrap(), Ipv6Checksum(None));
        socket.send_to(&plain(6), &to).unwrap();
        assert_eq!([next(&free), next(&socket)], [plain(6); 2]);

        Ipv6Checksum(Some(4)).set(&socket).unwrap();
        assert_eq!(Ipv6Checksum::get(&socket).unwrap(), Ipv6Checksum(Some(4)));
        assert_eq!(int_option(&socket, (libc::IPPROTO_IPV6, libc::IPV6_CHECKSUM)).unwrap(), 4);
        assert_eq!(Ipv6Checksum::get(&free).unwrap(), Ipv6Checksum(None), "of one socket alone");
        socket.send_to(&plain(7), &to).unwrap();
        assert_eq!([next(&free), next(&socket)], [summed(7); 2]);
        assert_eq!(errno(socket.send_to(&[1, 2, 3, 4, 5], &to)), libc::EINVAL, "no room for it");

        // A false one does not arrive; the next one, a true one, does.
        free.send_to(&plain(8), &to).unwrap();
        free.send_to(&summed(9), &to).unwrap();
        assert_eq!([next(&free), next(&free), next(&socket)], [plain(8), summed(9), summed(9)]);

        for odd in [1, 3, 65535] {
            assert_eq!(errno(Ipv6Checksum(Some(odd)).set(&socket)), libc::EINVAL);
        }
        for even in [0, 65534] {
            Ipv6Checksum(Some(even)).set(&socket).unwrap();
            assert_eq!(Ipv6Checksum::get(&socket).unwrap(), Ipv6Checksum(Some(even)));
        }
        Ipv6Checksum(None).set(&socket).unwrap();
        assert_eq!(Ipv6Checksum::get(&socket).unwrap(), Ipv6Checksum(None));
        socket.send_to(&plain(10), &to).unwrap();
        assert_eq!([next(&free), next(&socket)], [plain(10); 2]);
    });
}

#[test]
fn the_checksum_of_other_sockets_cannot_be_set() {
    let test = "the_checksum_of_other_sockets_cannot_be_set";
    let family = |result: io::Result<()>| cause::<FamilyError>(&result.unwrap_err()).unwrap().found;
    assert_eq!(family(Ipv6Checksum(None).set(pairs::datagrams().0)), libc::AF_UNIX);
    assert_eq!(family(Ipv6Checksum::get(pairs::bound(pairs::V4)).map(drop)), libc::AF_INET);
    if !has_v6(test) {
        return;
    }
    let udp = pairs::bound(pairs::V6);
    assert_eq!(errno(Ipv6Checksum(Some(6)).set(&udp)), libc::ENOPROTOOPT);
    assert_eq!(errno(Ipv6Checksum::get(&udp)), libc::ENOPROTOOPT);
    on_loopback(test, || {
        let Some([socket, _]) = raw(test, Domain::IPV6) else { return };
        assert_eq!(Ipv6Checksum::get(&socket).unwrap(), Ipv6Checksum(Some(2)), "of ICMPv6");
        for refused in [None, Some(2), Some(4)] {
            assert_eq!(errno(Ipv6Checksum(refused).set(&socket)), libc::EINVAL, "{refused:?}");
        }
    });
}
