//! IPv6 extension headers over real sockets: options and routing, under new and obsolete numbers.

#![cfg(target_os = "linux")]

mod common;

use std::{
    io,
    net::{Ipv6Addr, SocketAddr, UdpSocket},
};

use ancillary::{
    ControlBuf, ControlList, ControlVec, EncodeError, MsgFlags, MsgHdr, SendControl, SocketExt, cmsg,
    message::{
        AtMost, Ipv6DstOpts, Ipv6HopLimit, Ipv6HopOpts, Ipv6PktInfo, Ipv6Rthdr, Ipv6RthdrDstOpts, RecvList, Rfc2292,
    },
    parser::ControlMessage,
    rfc3542::{self, RoutingBuilder, RoutingHeader, RoutingType},
};
use common::{
    cause, has_v6,
    namespace::{on_loopback, without_net_raw},
    pairs::{V6, bound, udp},
    skipped,
};
use nix::libc;
use socket2::{Domain, Protocol, Socket, Type};

// Protocol numbers.
const UDP: u8 = 17;
const ROUTING: u8 = 43;
const DESTINATION: u8 = 60;

/// Next header, length, router alert (RFC 2711), PadN.
const ALERT: [u8; 8] = [0, 0, 5, 2, 0, 0, 1, 0];
/// An option that may be skipped by who does not know it, padding before and behind it.
const SKIPPED: [u8; 16] = [0, 1, 0, 0, 0x1e, 4, 0xa, 0xb, 0xc, 0xd, 1, 4, 0, 0, 0, 0];

type Options = (Ipv6HopOpts<'static>, Ipv6DstOpts<'static>);

fn pair() -> (UdpSocket, UdpSocket) {
    udp(V6)
}

fn send<'a>(socket: &UdpSocket, control: impl SendControl<'a>) -> io::Result<usize> {
    let list = ControlList::new(control)?;
    MsgHdr::new().data(b"data").control_from(&list).send(socket)
}

/// Identity and payload of everything that comes with the next datagram.
fn all(socket: &UdpSocket) -> Vec<(i32, Vec<u8>)> {
    let (mut data, mut control) = ([0; 16], ControlVec::<()>::with_capacity(8192));
    let message = socket.recv_msg(&mut data, &mut control).unwrap();
    message.require_complete().unwrap();
    assert_eq!(message.data(), b"data");
    let cmsgs = message.cmsgs().inspect(|cmsg| assert_eq!(cmsg.id().level(), libc::IPPROTO_IPV6));
    cmsgs.map(|cmsg| (cmsg.id().ty(), cmsg.payload().to_vec())).collect()
}

/// The header as it arrives: the kernel has written what follows it.
fn followed_by(next: u8, header: &[u8]) -> Vec<u8> {
    [&[next], &header[1..]].concat()
}

/// Runs `f` where it may send what needs a privilege.
fn privileged(test: &str, f: fn()) {
    if has_v6(test) {
        on_loopback(test, f);
    }
}

/// R609
#[test]
fn option_headers_arrive_as_sent_while_they_are_enabled() {
    privileged("option_headers_arrive_as_sent_while_they_are_enabled", || {
        let (receiver, sender) = pair();
        let sent = (Ipv6HopOpts::new(&ALERT).unwrap(), Ipv6DstOpts::new(&SKIPPED).unwrap());
        send(&sender, sent).unwrap();
        assert_eq!(all(&receiver), [], "not enabled");

        receiver.enable::<Options>().unwrap();
        send(&sender, ()).unwrap();
        assert_eq!(all(&receiver), [], "no headers");
        send(&sender, sent).unwrap();
        let (mut data, mut control) = ([0; 16], ControlVec::<Options>::new());
        let message = receiver.recv_msg(&mut data, &mut control).unwrap();
        message.require_complete().unwrap();
        let (hop, dst) = message.extract();
        let (hop, dst) = (hop.unwrap(), dst.unwrap());
        assert_eq!((hop.next_header(), dst.next_header()), (DESTINATION, UDP), "written by the kernel");
        assert_eq!((&hop.as_bytes()[1..], &dst.as_bytes()[1..]), (&ALERT[1..], &SKIPPED[1..]));
        assert_eq!(hop.options().collect::<Vec<_>>(), [Ok((5, &[0, 0][..]))]);
        assert_eq!(dst.options().collect::<Vec<_>>(), [Ok((0x1e, &[0xa, 0xb, 0xc, 0xd][..]))]);

        // What has arrived goes out as it is.
        MsgHdr::new().data(b"data").control((hop, dst)).send(&sender).unwrap();
        let again = [(libc::IPV6_HOPOPTS, hop.as_bytes().to_vec()), (libc::IPV6_DSTOPTS, dst.as_bytes().to_vec())];
        assert_eq!(all(&receiver), again);

        receiver.disable::<Options>().unwrap();
        send(&sender, sent).unwrap();
        assert_eq!(all(&receiver), [], "disabled");
    });
}

/// R624
#[test]
fn option_headers_need_a_privilege() {
    if !has_v6("option_headers_need_a_privilege") {
        return;
    }
    without_net_raw(|| {
        let (receiver, sender) = pair();
        receiver.enable::<Options>().unwrap();
        let eperm = |result: io::Result<usize>| result.unwrap_err().raw_os_error() == Some(libc::EPERM);
        assert!(eperm(send(&sender, Ipv6HopOpts::new(&ALERT).unwrap())));
        assert!(eperm(send(&sender, Ipv6DstOpts::new(&ALERT).unwrap())));
        assert!(eperm(send(&sender, Ipv6RthdrDstOpts::new(&ALERT).unwrap())));
        assert!(eperm(send(&sender, Rfc2292(Ipv6HopOpts::new(&ALERT).unwrap()))));
        assert!(eperm(send(&sender, Rfc2292(Ipv6DstOpts::new(&ALERT).unwrap()))));
        send(&sender, ()).unwrap();
        assert_eq!(all(&receiver), []);
    });
}

#[test]
fn of_two_destination_headers_the_last_wins_and_all_other_pairs_are_refused() {
    privileged("of_two_destination_headers_the_last_wins_and_all_other_pairs_are_refused", || {
        let (receiver, sender) = pair();
        receiver.enable::<Options>().unwrap();
        let (hop, dst) = (Ipv6HopOpts::new(&ALERT).unwrap(), Ipv6DstOpts::new(&ALERT).unwrap());
        let einval = |result: io::Result<usize>| result.unwrap_err().raw_os_error() == Some(libc::EINVAL);
        assert!(einval(send(&sender, [hop, hop])));
        assert!(einval(send(&sender, (hop, Rfc2292(hop)))), "the obsolete one is the same header");
        assert!(einval(send(&sender, [Rfc2292(hop), Rfc2292(hop)])));
        assert!(einval(send(&sender, [Rfc2292(dst), Rfc2292(dst)])));
        send(&sender, [dst, Ipv6DstOpts::new(&SKIPPED).unwrap()]).unwrap();
        assert_eq!(all(&receiver), [(libc::IPV6_DSTOPTS, followed_by(UDP, &SKIPPED))]);
    });
}

/// R625
#[test]
fn old_and_new_forms_are_delivered_together() {
    privileged("old_and_new_forms_are_delivered_together", || {
        type New = (Ipv6PktInfo, Ipv6HopLimit, AtMost<Ipv6HopOpts<'static>, 64>, AtMost<Ipv6DstOpts<'static>, 64>);
        type Old = (
            Rfc2292<Ipv6PktInfo>,
            Rfc2292<Ipv6HopLimit>,
            AtMost<Rfc2292<Ipv6HopOpts<'static>>, 64>,
            AtMost<Rfc2292<Ipv6DstOpts<'static>>, 64>,
        );
        let (receiver, sender) = pair();
        receiver.enable::<New>().unwrap();
        receiver.enable::<Old>().unwrap();
        // Sent in the old form and in the new one.
        let info = Ipv6PktInfo::source(Ipv6Addr::LOCALHOST);
        let (hop, dst) = (Ipv6HopOpts::new(&ALERT).unwrap(), Ipv6DstOpts::new(&SKIPPED).unwrap());
        let check = |hops| {
            let (mut data, mut control) = ([0; 16], ControlVec::<()>::with_capacity(1024));
            let message = receiver.recv_msg(&mut data, &mut control).unwrap();
            message.require_complete().unwrap();
            let (new_info, new_hops, new_hop, new_dst) = New::extract(message.cmsgs());
            let (old_info, old_hops, old_hop, old_dst) = Old::extract(message.cmsgs());
            let seen = new_info.unwrap();
            assert_eq!((seen.addr, new_hops), (Ipv6Addr::LOCALHOST, Some(Ipv6HopLimit(hops))));
            let (header, options) = (new_hop.unwrap(), new_dst.unwrap());
            assert_eq!(header.as_bytes(), followed_by(DESTINATION, &ALERT));
            assert_eq!(options.as_bytes(), followed_by(UDP, &SKIPPED));
            assert_eq!((old_info, old_hops), (Some(Rfc2292(seen)), new_hops.map(Rfc2292)));
            assert_eq!((old_hop, old_dst), (Some(Rfc2292(header)), Some(Rfc2292(options))));
            assert_eq!(message.cmsgs().count(), 8);
            // The registry has one variant for both, and both names.
            let infos = message.messages().filter(|message| *message == ControlMessage::Ipv6PktInfo(seen)).count();
            assert_eq!(infos, 2);
            let printed = format!("{message:?}");
            assert!(printed.contains("{IPV6_HOPOPTS 8 bytes: 3c") && printed.contains("{IPV6_2292HOPOPTS 8 bytes: 3c"));
        };
        send(&sender, (Rfc2292(info), Rfc2292(Ipv6HopLimit(33)), Rfc2292(hop), Rfc2292(dst))).unwrap();
        check(33);
        send(&sender, (info, Ipv6HopLimit(44), hop, dst)).unwrap();
        check(44);

        receiver.disable::<Old>().unwrap();
        send(&sender, (info, Ipv6HopLimit(44), hop, dst)).unwrap();
        let kinds: Vec<_> = all(&receiver).iter().map(|(ty, _)| *ty).collect();
        assert_eq!(kinds, [libc::IPV6_PKTINFO, libc::IPV6_HOPLIMIT, libc::IPV6_HOPOPTS, libc::IPV6_DSTOPTS]);
    });
}

#[test]
fn a_header_longer_than_the_room_reserved_arrives_cut() {
    privileged("a_header_longer_than_the_room_reserved_arrives_cut", || {
        type Short = AtMost<Ipv6HopOpts<'static>, 8>;
        let (receiver, sender) = pair();
        receiver.enable::<Short>().unwrap();
        let (mut data, mut control) = ([0; 16], ControlBuf::<Short, { Short::SPACE }>::new());
        send(&sender, Ipv6HopOpts::new(&ALERT).unwrap()).unwrap();
        let message = receiver.recv_msg(&mut data, &mut control).unwrap();
        message.require_complete().unwrap();
        assert_eq!(message.extract().unwrap().as_bytes(), followed_by(UDP, &ALERT));

        send(&sender, Ipv6HopOpts::new(&SKIPPED).unwrap()).unwrap();
        let message = receiver.recv_msg(&mut data, &mut control).unwrap();
        assert!(message.flags().contains(MsgFlags::CTRUNC));
        assert_eq!((message.data(), message.extract()), (&b"data"[..], None));
        let cut = "[{IPV6_HOPOPTS malformed: expected 16 bytes, found 8; 8 bytes: 11 01 00 00 1e 04 0a 0b}]";
        assert_eq!(format!("{control:?}"), cut);
    });
}

#[test]
fn a_long_header_needs_as_much_room_where_it_is_sent() {
    privileged("a_long_header_needs_as_much_room_where_it_is_sent", || {
        let (receiver, sender) = pair();
        receiver.enable::<Ipv6DstOpts<'_>>().unwrap();
        // As many options as fit into 2,048 bytes, which is as long as a header can be: eight of 253 bytes of data.
        let mut header = vec![0, 255];
        (0..8u8).for_each(|nth| header.extend([&[0x1e, 253][..], &[nth; 253]].concat()));
        header.resize(2048, 0);
        let options = Ipv6DstOpts::new(&header).unwrap();
        let error = MsgHdr::new().data(b"data").control(options).send(&sender).unwrap_err();
        let needed = cmsg::space(2048).unwrap();
        assert_eq!(cause(&error), Some(EncodeError::ControlSpace { needed, available: 1280 }));

        let header = &mut header[..1024];
        header[1] = 127;
        header[4 * 255 + 2..].fill(0);
        let options = Ipv6DstOpts::new(header).unwrap();
        assert_eq!(options.options().filter(|option| option.is_ok_and(|(_, data)| data.len() == 253)).count(), 4);
        send(&sender, options).unwrap();
        assert_eq!(all(&receiver), [(libc::IPV6_DSTOPTS, followed_by(UDP, header))]);
    });
}

/// A routing header of this type, with one address.
fn routing(ty: u8, left: u8, next: u8) -> [u8; 24] {
    let mut header = [0; 24];
    header[..4].copy_from_slice(&[next, 2, ty, left]);
    header[8..].copy_from_slice(&Ipv6Addr::LOCALHOST.octets());
    header
}

#[test]
fn routing_headers_to_send_are_left_to_the_kernel() {
    privileged("routing_headers_to_send_are_left_to_the_kernel", || {
        let name = "routing_headers_to_send_are_left_to_the_kernel";
        let (receiver, sender) = pair();
        receiver.enable::<(Ipv6Rthdr<'_>, Ipv6DstOpts<'_>)>().unwrap();
        for ty in [0, 1, 3, 4] {
            let header = routing(ty, 1, 0);
            let header = Ipv6Rthdr::new(&header).unwrap();
            for error in [send(&sender, header).unwrap_err(), send(&sender, Rfc2292(header)).unwrap_err()] {
                assert_eq!(error.raw_os_error(), Some(libc::EINVAL), "type {ty}");
            }
        }
        // Accepted, and nothing comes of it without a routing header.
        send(&sender, Ipv6RthdrDstOpts::new(&SKIPPED).unwrap()).unwrap();
        assert_eq!(all(&receiver), []);

        let header = routing(2, 1, 0);
        match send(&sender, Ipv6Rthdr::new(&header).unwrap()) {
            Ok(sent) => assert_eq!(sent, 4, "on its way; only a mobile node would receive it"),
            Err(error) => {
                assert_eq!(error.raw_os_error(), Some(libc::EINVAL));
                skipped(format_args!("SKIPPED in {name}: type 2 needs CONFIG_IPV6_MIP6: {error}"));
            }
        }
    });
}

/// Sends these headers and a datagram behind them, with its checksum, from a raw socket of the first one's protocol.
fn send_raw(first: u8, headers: &[&[u8]], to: SocketAddr) {
    let raw = Socket::new(Domain::IPV6, Type::RAW, Some(Protocol::from(i32::from(first)))).unwrap();
    let port = to.port().to_be_bytes();
    let mut udp = [&[0, 7][..], &port, &[0, 12, 0, 0], b"data"].concat();
    let pseudo = [&[0; 15][..], &[1], &[0; 15], &[1, 0, 0, 0, 12, 0, 0, 0, UDP], &udp].concat();
    let sum: u32 = pseudo.chunks(2).map(|word| u32::from(u16::from_be_bytes([word[0], word[1]]))).sum();
    let checksum = !((sum & 0xffff) + (sum >> 16)) as u16;
    udp[6..8].copy_from_slice(&checksum.to_be_bytes());
    let packet = [headers.concat(), udp].concat();
    let to = SocketAddr::from((Ipv6Addr::LOCALHOST, 0));
    assert_eq!(raw.send_to(&packet, &to.into()).unwrap(), packet.len());
}

/// Type 0 is deprecated, 1 (Nimrod) and 5 are unknown to the kernel; 2 would be dropped where it has Mobile IPv6.
#[test]
fn a_routing_header_that_leads_here_is_delivered() {
    privileged("a_routing_header_that_leads_here_is_delivered", || {
        type Both = (AtMost<Ipv6Rthdr<'static>, 64>, AtMost<Rfc2292<Ipv6Rthdr<'static>>, 64>);
        let receiver = bound(V6);
        let to = receiver.local_addr().unwrap();
        let header = |ty| routing(ty, 0, UDP);
        send_raw(ROUTING, &[&header(0)], to);
        assert_eq!(all(&receiver), [], "not enabled");
        receiver.enable::<Both>().unwrap();
        for ty in [0, 1, 5] {
            let header = header(ty);
            send_raw(ROUTING, &[&header], to);
            let (mut data, mut control) = ([0; 16], ControlBuf::<Both>::new());
            let message = receiver.recv_msg(&mut data, &mut control).unwrap();
            assert_eq!(message.data(), b"data");
            let (new, old) = message.extract();
            let new = new.unwrap();
            assert_eq!((new.routing_type(), new.segments_left(), new.next_header()), (ty, 0, UDP));
            assert_eq!((new.data(), new.as_bytes()), (&header[4..], &header[..]));
            assert_eq!(old, Some(Rfc2292(new)));
        }
    });
}

/// R637: a route that has been travelled is printed, counted, indexed, and turned back in place.
#[test]
fn a_route_that_was_travelled_is_read_and_turned_back() {
    privileged("a_route_that_was_travelled_is_read_and_turned_back", || {
        let receiver = bound(V6);
        receiver.enable::<Ipv6Rthdr<'_>>().unwrap();
        let nodes: [Ipv6Addr; 2] = ["2001:db8::1", "2001:db8::2"].map(|node| node.parse().unwrap());
        let mut buffer = [0; 64];
        let mut route = RoutingBuilder::new(&mut buffer, RoutingType::Source);
        nodes.iter().for_each(|node| _ = route.add(*node));
        let mut sent = route.finish().unwrap().to_vec();
        // Nobody sends or forwards this type any longer, so as it is at the end of its way.
        (sent[0], sent[3]) = (UDP, 0);
        send_raw(ROUTING, &[&sent], receiver.local_addr().unwrap());
        let (mut data, mut control) = ([0; 16], ControlVec::<Ipv6Rthdr<'_>>::new());
        let message = receiver.recv_msg(&mut data, &mut control).unwrap();
        let header = RoutingHeader::try_from(message.extract().unwrap()).unwrap();
        assert_eq!(format!("{header:?}"), "Source left 0 [2001:db8::1, 2001:db8::2]");
        assert_eq!((header.segments(), header.segments_left()), (2, 0));
        assert_eq!([0, 1, 2].map(|index| header.addr(index)), [Some(nodes[0]), Some(nodes[1]), None]);

        let mut back = header.as_bytes().to_vec();
        rfc3542::reverse(&mut back).unwrap();
        let back = RoutingHeader::new(&back).unwrap();
        assert_eq!((back.segments_left(), back.addrs().collect::<Vec<_>>()), (2, vec![nodes[1], nodes[0]]));
        let (_, sender) = pair();
        let refused = send(&sender, Ipv6Rthdr::new(back.as_bytes()).unwrap()).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(libc::EINVAL), "the kernel sends it no longer");
    });
}

#[test]
fn each_destination_header_is_a_message_in_the_order_of_the_packet() {
    privileged("each_destination_header_is_a_message_in_the_order_of_the_packet", || {
        type Headers = (Ipv6DstOpts<'static>, Ipv6Rthdr<'static>);
        let receiver = bound(V6);
        receiver.enable::<Headers>().unwrap();
        let (before, between, behind) =
            (followed_by(ROUTING, &ALERT), routing(1, 0, DESTINATION), followed_by(UDP, &SKIPPED));
        send_raw(DESTINATION, &[&before, &between, &behind], receiver.local_addr().unwrap());
        let (mut data, mut control) = ([0; 16], ControlVec::<Headers>::new());
        let message = receiver.recv_msg(&mut data, &mut control).unwrap();
        message.require_complete().unwrap();
        let found: Vec<_> = message.cmsgs().map(|cmsg| cmsg.payload()).collect();
        assert_eq!(found, [&before[..], &between, &behind], "{message:?}");
        let (options, route) = message.extract();
        assert_eq!(options.unwrap().as_bytes(), behind, "the last");
        assert_eq!(route.unwrap().as_bytes(), between);
    });
}
