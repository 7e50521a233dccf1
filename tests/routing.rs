//! Routing headers that travel (RFC 3542 s. 7), through a router between two hosts.

#![cfg(target_os = "linux")]

mod common;

use std::{
    io,
    net::{Ipv6Addr, UdpSocket},
};

use ancillary::{
    ControlVec, DecodeError, SocketExt,
    message::{Ipv6DstOpts, Ipv6HopLimit, Ipv6HopOpts, Ipv6Rthdr, Ipv6RthdrDstOpts},
    parser::ControlMessage,
    rfc3542::{OptionsBuilder, RoutingBuilder, RoutingHeader, RoutingType, get_val, reverse},
};
use common::{
    has_v6,
    namespace::{Namespace, on_loopback, routed, v6},
    pairs::{V6, bound, send, udp},
    running::Running,
    skipped,
};
use nix::libc;

fn build(ty: RoutingType, nodes: &[Ipv6Addr]) -> Vec<u8> {
    let mut buffer = [0; 256];
    let mut route = RoutingBuilder::new(&mut buffer, ty);
    nodes.iter().for_each(|node| _ = route.add(*node));
    route.finish().unwrap().to_vec()
}

/// Two hosts and a router that do segment routing.
fn segment_routed(test: &str) -> Option<[Namespace; 3]> {
    if !has_v6(test) {
        return None;
    }
    let hosts = routed(test, 1500)?;
    let route = build(RoutingType::SegmentRouting, &[v6(2, 2)]);
    if let Err(error) = hosts[0].run(|| Ipv6Rthdr::new(&route).unwrap().set_sticky(bound(V6))) {
        skipped(format_args!("SKIPPED {test}: segment routing (CONFIG_IPV6_SEG6_LWTUNNEL): {error}"));
        return None;
    }
    for (host, interfaces) in hosts.iter().zip([&["all", "veth1"][..], &["all", "veth1", "veth2"], &["all", "veth2"]]) {
        interfaces.iter().for_each(|name| host.set(&format!("ipv6/conf/{name}/seg6_enabled"), "1"));
    }
    Some(hosts)
}

/// The routing header of the next datagram, and the hop limit that was left.
fn travelled(socket: &UdpSocket) -> (Option<Vec<u8>>, u8) {
    type Seen = (Ipv6Rthdr<'static>, Ipv6HopLimit);
    let (mut data, mut control) = ([0; 16], ControlVec::<Seen>::new());
    let message = socket.recv_msg(&mut data, &mut control).unwrap();
    message.require_complete().unwrap();
    assert_eq!(message.data(), b"data");
    let (route, hops) = message.extract();
    (route.map(|route| route.as_bytes().to_vec()), hops.unwrap().0)
}

/// PE17: sent with a sticky header, seen by tcpdump on both links; what has arrived is turned around and leads back.
#[test]
fn a_segment_route_leads_there_and_turned_around_back() {
    let test = "a_segment_route_leads_there_and_turned_around_back";
    let Some([near, router, far]) = segment_routed(test) else { return };
    // Where the route says nothing, the packet goes another way, past the addresses of the router.
    let (sender, receiver) = (near.run(|| bound((v6(1, 1), 0))), far.run(|| bound((v6(2, 2), 0))));
    for (socket, peer) in [(&sender, &receiver), (&receiver, &sender)] {
        socket.connect(peer.local_addr().unwrap()).unwrap();
        socket.enable::<(Ipv6Rthdr<'_>, Ipv6HopLimit)>().unwrap();
    }
    let args = |interface| ["-i", interface, "-n", "-v", "-l", "--immediate-mode", "-Z", "root", "ip6 proto 43"];
    let dumps = [(&router, "veth1"), (&far, "veth2")].map(|(host, interface)| {
        let dump = Running::start(test, host, "tcpdump", &args(interface))?;
        dump.until(&format!("listening on {interface}"));
        Some(dump)
    });
    let seen = |dump: usize, expected: &str| {
        let Some(dump) = &dumps[dump] else { return };
        let line = dump.until("type=4");
        assert!(line.contains(expected), "{expected:?} is not in:\n{line}");
    };

    // Both addresses of the router; where the last segment stands, the kernel writes the destination.
    for last in [v6(2, 2), Ipv6Addr::UNSPECIFIED] {
        let route = build(RoutingType::SegmentRouting, &[v6(1, 2), v6(2, 1), last]);
        Ipv6Rthdr::new(&route).unwrap().set_sticky(&sender).unwrap();
        send(&sender, ()).unwrap();
        let nodes = "[0]fd66:2::2, [1]fd66:2::1, [2]fd66:1::2)";
        seen(
            0,
            &format!("fd66:1::1 > fd66:1::2: RT6 (len=6, type=4, segleft=2, last-entry=2, flags=0x0, tag=0, {nodes}"),
        );
        seen(
            1,
            &format!("fd66:1::1 > fd66:2::2: RT6 (len=6, type=4, segleft=0, last-entry=2, flags=0x0, tag=0, {nodes}"),
        );
        let (Some(mut header), hops) = travelled(&receiver) else { panic!("no header") };
        let printed = "SegmentRouting left 0 [fd66:1::2, fd66:2::1, fd66:2::2]";
        assert_eq!(RoutingHeader::new(&header).unwrap().to_string(), printed);
        assert!(hops < 64, "through the router");

        reverse(&mut header).unwrap();
        let printed = "SegmentRouting left 2 [fd66:2::1, fd66:1::2, fd66:2::2]";
        assert_eq!(RoutingHeader::new(&header).unwrap().to_string(), printed);
        Ipv6Rthdr::new(&header).unwrap().set_sticky(&receiver).unwrap();
        send(&receiver, ()).unwrap();
        let nodes = "[0]fd66:1::1, [1]fd66:1::2, [2]fd66:2::1)";
        seen(
            1,
            &format!("fd66:2::2 > fd66:2::1: RT6 (len=6, type=4, segleft=2, last-entry=2, flags=0x0, tag=0, {nodes}"),
        );
        seen(
            0,
            &format!("fd66:2::2 > fd66:1::1: RT6 (len=6, type=4, segleft=0, last-entry=2, flags=0x0, tag=0, {nodes}"),
        );
        let (Some(header), hops) = travelled(&sender) else { panic!("no header") };
        let printed = "SegmentRouting left 0 [fd66:2::1, fd66:1::2, fd66:1::1]";
        assert_eq!(RoutingHeader::new(&header).unwrap().to_string(), printed);
        assert!(hops < 64, "through the router");
    }

    Ipv6Rthdr::clear_sticky(&sender).unwrap();
    send(&sender, ()).unwrap();
    assert_eq!(travelled(&receiver), (None, 63));
}

/// Around a header that has no node on the way, all three kinds of options arrive; around one that has, those behind it: a
/// node that is Linux loses packets in which anything stands before it.
#[test]
fn options_stand_before_and_behind_a_route() {
    let test = "options_stand_before_and_behind_a_route";
    let Some([near, _router, far]) = segment_routed(test) else { return };
    let (sender, receiver) = (near.run(|| bound((v6(1, 1), 0))), far.run(|| bound((v6(2, 2), 0))));
    sender.connect(receiver.local_addr().unwrap()).unwrap();
    receiver.enable::<(Ipv6HopOpts<'_>, Ipv6DstOpts<'_>, Ipv6Rthdr<'_>)>().unwrap();
    let options = |value: u32| {
        let mut buffer = [0; 16];
        let mut options = OptionsBuilder::new(&mut buffer);
        options.append_values(0x1e, (4, 2), value);
        options.finish().unwrap().to_vec()
    };
    let send_along = |nodes: &[Ipv6Addr], (before, behind): (bool, bool)| {
        let (hop, first, last) = (options(1), options(2), options(3));
        if before {
            Ipv6HopOpts::new(&hop).unwrap().set_sticky(&sender).unwrap();
            Ipv6RthdrDstOpts::new(&first).unwrap().set_sticky(&sender).unwrap();
        }
        Ipv6Rthdr::new(&build(RoutingType::SegmentRouting, nodes)).unwrap().set_sticky(&sender).unwrap();
        if behind {
            Ipv6DstOpts::new(&last).unwrap().set_sticky(&sender).unwrap();
        }
        send(&sender, Ipv6HopLimit(16)).unwrap();
        Ipv6HopOpts::clear_sticky(&sender).unwrap();
        Ipv6RthdrDstOpts::clear_sticky(&sender).unwrap();
        Ipv6Rthdr::clear_sticky(&sender).unwrap();
        Ipv6DstOpts::clear_sticky(&sender).unwrap();
    };
    // Each header: which, and the option's value or the number of segments.
    let arrives = || {
        let (mut data, mut control) = ([0; 16], ControlVec::<()>::with_capacity(4096));
        let message = receiver.recv_msg(&mut data, &mut control).unwrap();
        message.require_complete().unwrap();
        let value = |option: Option<Result<(u8, &[u8]), DecodeError>>| match option {
            Some(Ok((0x1e, data))) => get_val::<u32>(data, 0).unwrap(),
            other => panic!("{other:?}"),
        };
        let found = message.messages().map(|message| match message {
            ControlMessage::Ipv6HopOpts(header) => ("hop", value(header.options().next())),
            ControlMessage::Ipv6DstOpts(header) => ("dst", value(header.options().next())),
            ControlMessage::Ipv6Rthdr(header) => ("route", RoutingHeader::try_from(header).unwrap().segments() as u32),
            other => panic!("{other:?}"),
        });
        found.collect::<Vec<_>>()
    };
    let (direct, by_node) = ([v6(2, 2)], [v6(1, 2), v6(2, 2)]);
    send_along(&direct, (true, true));
    assert_eq!(arrives(), [("hop", 1), ("dst", 2), ("route", 1), ("dst", 3)]);
    send_along(&by_node, (true, true));
    send_along(&by_node, (false, true));
    let (mut found, whole) = (arrives(), [("hop", 1), ("dst", 2), ("route", 2), ("dst", 3)]);
    // Some nodes lose what has a header before the route, others forward it.
    if found == whole {
        found = arrives();
    }
    assert_eq!(found, [("route", 2), ("dst", 3)]);
}

/// As it arrives where segment routing is not enabled: not at all.
#[test]
fn a_route_through_a_host_that_does_no_segment_routing_ends_there() {
    let test = "a_route_through_a_host_that_does_no_segment_routing_ends_there";
    let Some([near, router, far]) = segment_routed(test) else { return };
    let (sender, receiver) = (near.run(|| bound((v6(1, 1), 0))), far.run(|| bound((v6(2, 2), 0))));
    sender.connect(receiver.local_addr().unwrap()).unwrap();
    receiver.enable::<(Ipv6Rthdr<'_>, Ipv6HopLimit)>().unwrap();
    let route = build(RoutingType::SegmentRouting, &[v6(1, 2), v6(2, 2)]);
    let with_route = || {
        Ipv6Rthdr::new(&route).unwrap().set_sticky(&sender).unwrap();
        send(&sender, ()).unwrap();
        Ipv6Rthdr::clear_sticky(&sender).unwrap();
    };
    router.set("ipv6/conf/veth1/seg6_enabled", "0");
    with_route();
    send(&sender, ()).unwrap();
    assert_eq!(travelled(&receiver).0, None, "the second comes first");
    router.set("ipv6/conf/veth1/seg6_enabled", "1");
    with_route();
    assert_eq!(travelled(&receiver).0.map(|header| header[2]), Some(4));
}

/// Type 0 is sent in no form (RFC 5095); type 2 in both where the kernel does Mobile IPv6; type 4 as a sticky option.
#[test]
fn the_kernel_sends_the_types_that_are_documented() {
    let test = "the_kernel_sends_the_types_that_are_documented";
    if !has_v6(test) {
        return;
    }
    on_loopback(test, || {
        let (_receiver, sender) = udp(V6);
        let refused = |result: io::Result<()>| match result {
            Ok(()) => false,
            Err(error) => error.raw_os_error() == Some(libc::EINVAL) || panic!("{error}"),
        };
        let try_both = |ty| {
            let route = build(ty, &[Ipv6Addr::LOCALHOST]);
            let route = Ipv6Rthdr::new(&route).unwrap();
            let sticky = route.set_sticky(&sender);
            Ipv6Rthdr::clear_sticky(&sender).unwrap();
            (refused(send(&sender, route).map(drop)), refused(sticky))
        };
        assert_eq!(try_both(RoutingType::Source), (true, true));
        let (message, sticky) = try_both(RoutingType::HomeAddress);
        assert_eq!(message, sticky, "either way or not at all");
        if message {
            skipped(format_args!("SKIPPED in {test}: type 2 needs CONFIG_IPV6_MIP6"));
        }
        let (message, sticky) = try_both(RoutingType::SegmentRouting);
        assert!(message, "not as a control message");
        if sticky {
            skipped(format_args!("SKIPPED in {test}: type 4 needs CONFIG_IPV6_SEG6_LWTUNNEL"));
        }
    });
}

/// What a C program does with two nodes: the header whole, its addresses, their number, one of them, and the way back.
#[test]
fn a_header_of_two_nodes_is_printed_counted_indexed_and_turned_around_in_place() {
    let nodes: [Ipv6Addr; 2] = ["2001:db8::1", "2001:db8::2"].map(|node| node.parse().unwrap());
    let mut header = build(RoutingType::Source, &nodes);
    let golden = [&[0, 4, 0, 2, 0, 0, 0, 0][..], &nodes[0].octets(), &nodes[1].octets()].concat();
    assert_eq!(header, golden);
    let read = RoutingHeader::new(&header).unwrap();
    assert_eq!(read.to_string(), "Source left 2 [2001:db8::1, 2001:db8::2]");
    assert_eq!(format!("{read:?}"), read.to_string());
    assert_eq!(read.addrs().map(|node| node.to_string()).collect::<Vec<_>>(), ["2001:db8::1", "2001:db8::2"]);
    assert_eq!((read.segments(), read.segments_left(), read.routing_type()), (2, 2, RoutingType::Source));
    assert_eq!([0, 1, 2].map(|index| read.addr(index)), [Some(nodes[0]), Some(nodes[1]), None]);

    reverse(&mut header).unwrap();
    let golden = [&golden[..8], &nodes[1].octets(), &nodes[0].octets()].concat();
    assert_eq!(header, golden);
    assert_eq!(RoutingHeader::new(&header).unwrap().to_string(), "Source left 2 [2001:db8::2, 2001:db8::1]");

    let message = Ipv6Rthdr::new(&header).unwrap();
    assert!(
        message.to_string().starts_with("type 0 left 2, 40 bytes: 00 04 00 02 00 00 00 00 20 01 0d b8"),
        "{message}"
    );
}
