//! IPv4 and IPv6 over real sockets: typed control both ways, dual stack, truncation, errors.

#![cfg(target_os = "linux")]

mod common;

use std::{
    error::Error,
    io::{self},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    os::fd::AsFd,
};

use ancillary::{
    ControlBuf, ControlList, ControlVec, FamilyError, MsgFlags, MsgHdr, RawCmsg, SockAddr, SocketExt, cmsg,
    cmsg::CmsgId,
    interface,
    message::{
        Ecn, HopLimit, IpPktInfo, IpTos, IpTtl, Ipv6HopLimit, Ipv6PktInfo, PktInfo, RecvList, TClass, Timestamp,
        TrafficClass,
    },
    parser::ControlMessage,
    set_option,
};
use common::{
    has_v6,
    pairs::{DUAL, V4, V6, asked, bound, errno, send, shape, udp_lite},
    skipped,
};
use nix::libc;

fn port(socket: &UdpSocket) -> u16 {
    socket.local_addr().unwrap().port()
}

fn local(socket: &UdpSocket) -> SocketAddr {
    socket.local_addr().unwrap()
}

fn lo() -> u32 {
    interface::index("lo").unwrap()
}

/// What arrives with the next datagram.
fn next<O, L: for<'a> RecvList<Output<'a> = O>>(socket: &UdpSocket) -> O {
    let (mut data, mut control) = ([0; 64], ControlVec::<L>::with_capacity(1024));
    let message = socket.recv_msg(&mut data, &mut control).unwrap();
    message.require_complete().unwrap();
    assert_eq!(message.data(), b"data");
    message.extract()
}

fn cause<E: Error + Copy + 'static>(result: io::Result<usize>) -> E {
    let error = result.unwrap_err();
    match error.get_ref().and_then(|cause| cause.downcast_ref::<E>()) {
        Some(cause) => *cause,
        None => panic!("expected {}, found {error:?}", std::any::type_name::<E>()),
    }
}

fn int(level: i32, ty: i32, payload: &[u8]) -> RawCmsg<'_> {
    RawCmsg::new(CmsgId::new(level, ty), payload)
}

/// R601
#[test]
fn a_received_hop_limit_is_one_message_of_four_bytes() {
    if !has_v6("a_received_hop_limit_is_one_message_of_four_bytes") {
        return;
    }
    let (receiver, sender) = asked::<Ipv6HopLimit>(V6);
    set_option(sender.as_fd(), libc::IPPROTO_IPV6, libc::IPV6_UNICAST_HOPS, 37).unwrap();
    send(&sender, ()).unwrap();
    assert_eq!(shape(&receiver), [(libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT, 4)]);
    send(&sender, ()).unwrap();
    assert_eq!(next::<_, Ipv6HopLimit>(&receiver), Some(Ipv6HopLimit(37)));
}

/// R602, R608, R616
#[test]
fn a_sent_hop_limit_arrives_and_beats_the_socket_option() {
    if !has_v6("a_sent_hop_limit_arrives_and_beats_the_socket_option") {
        return;
    }
    let (receiver, sender) = asked::<Ipv6HopLimit>(V6);
    set_option(sender.as_fd(), libc::IPPROTO_IPV6, libc::IPV6_UNICAST_HOPS, 5).unwrap();
    for limit in [2, 0, 1, 4, 254, 255] {
        send(&sender, Ipv6HopLimit(limit)).unwrap();
        assert_eq!(next::<_, Ipv6HopLimit>(&receiver), Some(Ipv6HopLimit(limit)));
    }
    send(&sender, ()).unwrap();
    assert_eq!(next::<_, Ipv6HopLimit>(&receiver), Some(Ipv6HopLimit(5)), "only for one datagram");
    let raw = |limit: i32| send(&sender, int(libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT, &limit.to_ne_bytes()));
    assert_eq!((errno(raw(-2)), errno(raw(256))), (libc::EINVAL, libc::EINVAL));
    raw(-1).unwrap();
    assert_eq!(next::<_, Ipv6HopLimit>(&receiver), Some(Ipv6HopLimit(5)), "none given");
}

/// R603, R604
#[test]
fn hop_limit_and_traffic_class_fit_in_exactly_their_space() {
    if !has_v6("hop_limit_and_traffic_class_fit_in_exactly_their_space") {
        return;
    }
    type Both = (Ipv6HopLimit, TClass);
    let (receiver, sender) = asked::<Both>(V6);
    for capacity in [Both::SPACE, 10240] {
        assert_eq!(Both::SPACE, 2 * cmsg::space(4).unwrap());
        send(&sender, (Ipv6HopLimit(3), TClass(0xb9))).unwrap();
        let (mut data, mut control) = ([0; 8], ControlVec::<Both>::with_capacity(capacity));
        let message = receiver.recv_msg(&mut data, &mut control).unwrap();
        message.require_complete().unwrap();
        assert!(!message.flags().intersects(MsgFlags::CTRUNC | MsgFlags::TRUNC));
        assert_eq!(message.extract(), (Some(Ipv6HopLimit(3)), Some(TClass(0xb9))));
        let mut types: Vec<_> = message.cmsgs().map(|cmsg| (cmsg.id().ty(), cmsg.payload().len())).collect();
        types.sort_unstable();
        assert_eq!(types, [(libc::IPV6_HOPLIMIT, 4), (libc::IPV6_TCLASS, 4)]);
    }
}

/// R610, R607
#[test]
fn a_sent_traffic_class_beats_the_socket_option() {
    if !has_v6("a_sent_traffic_class_beats_the_socket_option") {
        return;
    }
    let (receiver, sender) = asked::<TClass>(V6);
    set_option(sender.as_fd(), libc::IPPROTO_IPV6, libc::IPV6_TCLASS, 10).unwrap();
    send(&sender, ()).unwrap();
    assert_eq!(next::<_, TClass>(&receiver), Some(TClass(10)));
    for class in [20, 0, 1, 2, 3, 0x20, 0xfc, 0xff] {
        send(&sender, TClass(class)).unwrap();
        assert_eq!(next::<_, TClass>(&receiver), Some(TClass(class)));
    }
}

/// R611, R612
#[test]
fn packet_info_says_interface_and_destination_over_ipv6() {
    if !has_v6("packet_info_says_interface_and_destination_over_ipv6") {
        return;
    }
    let (receiver, sender) = asked::<Ipv6PktInfo>(V6);
    for ifindex in [0, lo()] {
        send(&sender, Ipv6PktInfo { addr: Ipv6Addr::LOCALHOST, ifindex }).unwrap();
        let expected = Ipv6PktInfo { addr: Ipv6Addr::LOCALHOST, ifindex: lo() };
        assert_eq!(next::<_, Ipv6PktInfo>(&receiver), Some(expected));
    }
    send(&sender, ()).unwrap();
    assert_eq!(shape(&receiver), [(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, 20)]);
}

/// R619
#[test]
fn a_source_that_this_host_has_not_is_refused() {
    if !has_v6("a_source_that_this_host_has_not_is_refused") {
        return;
    }
    let (receiver, sender) = asked::<Ipv6PktInfo>(V6);
    let info = Ipv6PktInfo::source(Ipv6Addr::LOCALHOST);
    let absent = Ipv6PktInfo { ifindex: i32::MAX as u32, ..info };
    assert_eq!(errno(send(&sender, absent)), libc::ENODEV);
    let on_lo = |addr| Ipv6PktInfo { addr, ifindex: lo() };
    let mapped = Ipv4Addr::LOCALHOST.to_ipv6_mapped();
    let foreign = "2001:db8::1".parse().unwrap();
    let link_local = "fe80::1".parse().unwrap();
    for info in [Ipv6PktInfo::source(foreign), Ipv6PktInfo::source(mapped), on_lo(link_local)] {
        assert_eq!(errno(send(&sender, info)), libc::EINVAL, "{info:?}");
    }
    // The kernel looks at the length, which may be more than it needs.
    let bytes = [&Ipv6Addr::LOCALHOST.octets()[..], &lo().to_ne_bytes(), &[0; 4]].concat();
    let raw = |len| RawCmsg::new(CmsgId::new(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO), &bytes[..len]);
    assert_eq!(errno(send(&sender, raw(19))), libc::EINVAL);
    for len in [20, 24] {
        send(&sender, raw(len)).unwrap();
        assert_eq!(next::<_, Ipv6PktInfo>(&receiver), Some(on_lo(Ipv6Addr::LOCALHOST)));
    }
}

/// MX06
#[test]
fn a_ttl_travels_over_udp_lite() {
    let name = "a_ttl_travels_over_udp_lite";
    match (udp_lite(), udp_lite()) {
        (Ok(receiver), Ok(sender)) => {
            sender.connect(local(&receiver)).unwrap();
            send(&sender, IpTtl(9)).unwrap();
            assert_eq!(next::<_, IpTtl>(&receiver), None, "not enabled");
            receiver.enable::<(IpTtl, IpTos)>().unwrap();
            send(&sender, (IpTtl(9), IpTos(0x28))).unwrap();
            assert_eq!(next::<_, (IpTtl, IpTos)>(&receiver), (Some(IpTtl(9)), Some(IpTos(0x28))));
        }
        (Err(error), _) | (_, Err(error)) => skipped(format_args!("SKIPPED {name}: no UDP-Lite here: {error}")),
    }
}

/// R613, I401
#[test]
fn a_datagram_comes_from_exactly_the_source_that_was_asked_for() {
    let (receiver, sender) = (bound("0.0.0.0:0"), bound("0.0.0.0:0"));
    for source in [Ipv4Addr::new(127, 0, 0, 2), Ipv4Addr::new(127, 0, 0, 1), Ipv4Addr::new(127, 9, 8, 7)] {
        let to = SocketAddr::from((Ipv4Addr::LOCALHOST, port(&receiver)));
        for info in [PktInfo::from(IpPktInfo::source(source)), PktInfo::source(source).on_interface(lo())] {
            MsgHdr::new().to(to).data(b"hello").control(info).send(&sender).unwrap();
            let (mut data, mut control) = ([0; 8], ControlBuf::<()>::new());
            let message = receiver.recv_msg(&mut data, &mut control).unwrap();
            let peer = message.peer().unwrap().as_inet().unwrap();
            assert_eq!(peer, SocketAddr::from((source, port(&sender))));
        }
    }
}

/// R613
#[test]
fn a_foreign_ipv6_source_is_sent_with_freebind() {
    let name = "a_foreign_ipv6_source_is_sent_with_freebind";
    if !has_v6(name) {
        return;
    }
    const IPV6_FREEBIND: i32 = 78;
    let source = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
    let (receiver, sender) = (bound(DUAL), bound(DUAL));
    let to = SocketAddr::from((Ipv6Addr::LOCALHOST, port(&receiver)));
    let mut header = MsgHdr::new();
    header.to(to).data(b"hello").control(PktInfo::source(source));
    assert_eq!(errno(header.send(&sender)), libc::EINVAL, "without the option");
    if let Err(error) = set_option(sender.as_fd(), libc::IPPROTO_IPV6, IPV6_FREEBIND, 1) {
        return skipped(format_args!("SKIPPED {name}: IPV6_FREEBIND: {error}"));
    }
    header.send(&sender).unwrap();
    let (mut data, mut control) = ([0; 8], ControlBuf::<()>::new());
    let message = receiver.recv_msg(&mut data, &mut control).unwrap();
    assert_eq!(message.peer().unwrap().as_inet().unwrap().ip(), IpAddr::V6(source));
}

/// I402
#[test]
fn packet_info_says_interface_and_destination_over_ipv4() {
    let receiver = bound("0.0.0.0:0");
    receiver.enable::<IpPktInfo>().unwrap();
    let sender = bound(V4);
    for last in [1, 2, 77] {
        let addr = Ipv4Addr::new(127, 0, 0, last);
        sender.send_to(b"8 bytes!", (addr, port(&receiver))).unwrap();
        let (mut data, mut control) = ([0; 64], ControlBuf::<IpPktInfo>::new());
        let message = receiver.recv_msg(&mut data, &mut control).unwrap();
        assert_eq!(message.data(), b"8 bytes!");
        assert_eq!(message.extract(), Some(IpPktInfo { ifindex: lo(), spec_dst: addr, addr }));
        assert_eq!(message.cmsgs().count(), 1);
        assert_eq!(message.peer().unwrap().as_inet(), Some(local(&sender)));
    }
}

/// I403, I407, R607
#[test]
fn a_sent_tos_beats_the_socket_option() {
    let (receiver, sender) = asked::<IpTos>(V4);
    set_option(sender.as_fd(), libc::IPPROTO_IP, libc::IP_TOS, 20).unwrap();
    send(&sender, ()).unwrap();
    assert_eq!(next::<_, IpTos>(&receiver), Some(IpTos(20)));
    for tos in [40, 20, 0, 1, 2, 3, 0x20, 255] {
        send(&sender, IpTos(tos)).unwrap();
        assert_eq!(next::<_, IpTos>(&receiver), Some(IpTos(tos)));
    }
    let raw = |payload: &[u8]| send(&sender, int(libc::IPPROTO_IP, libc::IP_TOS, payload));
    for tos in [256, -1] {
        assert_eq!(errno(raw(&i32::to_ne_bytes(tos))), libc::EINVAL, "{tos}");
    }
    for len in [0, 2, 8] {
        assert_eq!(errno(raw(&[0; 8][..len])), libc::EINVAL, "{len} bytes");
    }
    raw(&[40]).unwrap();
    assert_eq!(next::<_, IpTos>(&receiver), Some(IpTos(40)), "one byte");
}

/// I406, R608
#[test]
fn a_sent_ttl_beats_the_socket_option() {
    let (receiver, sender) = asked::<IpTtl>(V4);
    sender.set_ttl(5).unwrap();
    for ttl in [4, 1, 64, 255] {
        send(&sender, IpTtl(ttl)).unwrap();
        assert_eq!(next::<_, IpTtl>(&receiver), Some(IpTtl(ttl)));
    }
    send(&sender, ()).unwrap();
    assert_eq!(next::<_, IpTtl>(&receiver), Some(IpTtl(5)), "only for one datagram");
    let raw = |payload: &[u8]| send(&sender, int(libc::IPPROTO_IP, libc::IP_TTL, payload));
    for ttl in [0, 256, -1] {
        assert_eq!(errno(raw(&i32::to_ne_bytes(ttl))), libc::EINVAL, "{ttl}");
    }
    for len in [1, 2, 8] {
        assert_eq!(errno(raw(&[1; 8][..len])), libc::EINVAL, "{len} bytes");
    }
}

/// I404
#[test]
fn messages_arrive_only_while_they_are_enabled() {
    type Meta = (PktInfo, HopLimit, TrafficClass, Timestamp);
    for addr in [V4, V6] {
        if addr == V6 && !has_v6("messages_arrive_only_while_they_are_enabled") {
            return;
        }
        let (receiver, sender) = asked::<()>(addr);
        for (ttl, on) in [(1, true), (2, false), (3, true)] {
            if on {
                receiver.enable::<Meta>().unwrap()
            } else {
                receiver.disable::<Meta>().unwrap()
            }
            send(&sender, (HopLimit(ttl), TrafficClass(0x11))).unwrap();
            let (info, hops, class, stamp) = next::<_, Meta>(&receiver);
            assert_eq!(hops, on.then_some(HopLimit(ttl)));
            assert_eq!(class, on.then_some(TrafficClass(0x11)));
            assert_eq!(info.map(|info| (info.addr(), info.ifindex())), on.then(|| (local(&receiver).ip(), lo())));
            assert_eq!(stamp.is_some(), on);
        }
        receiver.disable::<Meta>().unwrap();
        send(&sender, ()).unwrap();
        assert_eq!(shape(&receiver), []);
    }
}

/// I405
#[test]
fn a_ttl_arrives_as_int_and_a_tos_as_one_byte() {
    let (receiver, sender) = asked::<(IpPktInfo, IpTtl, IpTos)>(V4);
    send(&sender, (IpTtl(9), IpTos(0x48))).unwrap();
    let level = libc::IPPROTO_IP;
    let expected = [(level, libc::IP_PKTINFO, 12), (level, libc::IP_TTL, 4), (level, libc::IP_TOS, 1)];
    assert_eq!(shape(&receiver), expected);
    send(&sender, (IpTos(0x48), IpTtl(9))).unwrap();
    let (info, ttl, tos) = next::<_, (IpPktInfo, IpTtl, IpTos)>(&receiver);
    assert_eq!((ttl, tos), (Some(IpTtl(9)), Some(IpTos(0x48))));
    assert_eq!(info.unwrap().addr, Ipv4Addr::LOCALHOST);
}

/// I408
#[test]
fn of_two_messages_of_one_type_the_last_wins() {
    let (receiver, sender) = asked::<(IpTtl, IpTos)>(V4);
    send(&sender, [IpTos(0x28), IpTos(0x10)]).unwrap();
    assert_eq!(next::<_, IpTos>(&receiver), Some(IpTos(0x10)));
    send(&sender, [IpTtl(3), IpTtl(200), IpTtl(8)]).unwrap();
    assert_eq!(next::<_, IpTtl>(&receiver), Some(IpTtl(8)));
    if has_v6("of_two_messages_of_one_type_the_last_wins") {
        let (receiver, sender) = asked::<(Ipv6HopLimit, TClass)>(V6);
        send(&sender, (Ipv6HopLimit(7), TClass(4), Ipv6HopLimit(6), TClass(8))).unwrap();
        assert_eq!(next::<_, (Ipv6HopLimit, TClass)>(&receiver), (Some(Ipv6HopLimit(6)), Some(TClass(8))));
    }
}

type Everything = (PktInfo, HopLimit, TrafficClass);

/// AD18, AD20, AD23
#[test]
fn a_dual_stack_socket_reports_both_kinds_of_peers_alike() {
    if !has_v6("a_dual_stack_socket_reports_both_kinds_of_peers_alike") {
        return;
    }
    let server = bound(DUAL);
    server.enable::<Everything>().unwrap();
    let (v4, v6, dual) = (bound(V4), bound(V6), bound(DUAL));
    let port = port(&server);
    let at = |ip: IpAddr| SocketAddr::from((ip, port));
    let plain = Ipv4Addr::new(127, 0, 0, 3);
    let cases = [
        (&v4, at(plain.into()), IpAddr::from(plain)),
        (&v6, at(Ipv6Addr::LOCALHOST.into()), Ipv6Addr::LOCALHOST.into()),
        (&dual, at(plain.into()), plain.into()),
        (&dual, at(plain.to_ipv6_mapped().into()), plain.into()),
        (&dual, at(Ipv6Addr::LOCALHOST.into()), Ipv6Addr::LOCALHOST.into()),
    ];
    for (client, to, seen) in cases {
        for ecn in [Ecn::Ect0, Ecn::Ect1, Ecn::Ce, Ecn::NotEct] {
            let control = (HopLimit(33), TrafficClass::new(46, ecn));
            let sent = MsgHdr::new().to(to).data(b"question").control(control).send(client);
            assert_eq!(sent.unwrap(), 8, "{to}");
            let (mut data, mut control) = ([0; 64], ControlBuf::<Everything>::new());
            let message = server.recv_msg(&mut data, &mut control).unwrap();
            let (info, hops, class) = message.extract();
            let (info, class) = (info.unwrap(), class.unwrap());
            assert_eq!((hops, class.dscp(), class.ecn()), (Some(HopLimit(33)), 46, ecn), "{to}");
            assert_eq!((info.addr(), info.spec_dst(), info.ifindex()), (seen, seen, lo()), "{to}");
            let infos = message
                .messages()
                .filter(|message| matches!(message, ControlMessage::IpPktInfo(_) | ControlMessage::Ipv6PktInfo(_)));
            assert_eq!(infos.count(), 1, "{message:?}");

            let peer = message.peer().unwrap().as_inet().unwrap();
            assert!(peer.is_ipv6(), "an IPv6 socket has IPv6 peers: {peer}");
            assert_eq!((peer.ip().to_canonical().is_ipv4(), peer.port()), (seen.is_ipv4(), local(client).port()));
        }
    }
}

/// AD18, AD23: without a destination in the header, a message for both families goes out in both forms.
#[test]
fn a_connected_dual_stack_socket_reaches_both_families() {
    if !has_v6("a_connected_dual_stack_socket_reaches_both_families") {
        return;
    }
    for to in [V4, V6] {
        let (receiver, sender) = (bound(to), bound(DUAL));
        receiver.enable::<Everything>().unwrap();
        let mut to = local(&receiver);
        if let IpAddr::V4(ip) = to.ip() {
            to.set_ip(ip.to_ipv6_mapped().into());
        }
        sender.connect(to).unwrap();
        let mut header = MsgHdr::new();
        header.data(b"data").control((HopLimit(21), TrafficClass(0x2c)));
        assert_eq!(header.send(&sender).unwrap(), 4);
        let (info, hops, class) = next::<_, Everything>(&receiver);
        assert_eq!((hops, class), (Some(HopLimit(21)), Some(TrafficClass(0x2c))));
        assert_eq!(info.unwrap().addr(), local(&receiver).ip());
    }
}

/// AD18: a message for both families, encoded without knowing the destination.
#[test]
fn control_before_the_destination_serves_both_families() {
    if !has_v6("control_before_the_destination_serves_both_families") {
        return;
    }
    let list = ControlList::new((HopLimit(12), TrafficClass(0x60))).unwrap();
    let sender = bound(DUAL);
    for to in [V4, V6] {
        let receiver = bound(to);
        receiver.enable::<(HopLimit, TrafficClass)>().unwrap();
        MsgHdr::new().control(HopLimit(11)).to(local(&receiver)).data(b"data").send(&sender).unwrap();
        assert_eq!(next::<_, HopLimit>(&receiver), Some(HopLimit(11)));
        MsgHdr::new().to(local(&receiver)).data(b"data").control_from(&list).send(&sender).unwrap();
        let expected = (Some(HopLimit(12)), Some(TrafficClass(0x60)));
        assert_eq!(next::<_, (HopLimit, TrafficClass)>(&receiver), expected);
    }
}

/// AD19, AD20
#[test]
fn an_ipv4_socket_sends_to_mapped_addresses_and_refuses_others() {
    let (receiver, sender) = (bound("0.0.0.0:0"), bound(V4));
    receiver.enable::<HopLimit>().unwrap();
    let to = SocketAddr::from((Ipv4Addr::LOCALHOST, port(&receiver)));
    let mapped = SocketAddr::from((Ipv4Addr::LOCALHOST.to_ipv6_mapped(), port(&receiver)));
    for to in [to, mapped] {
        let sent = MsgHdr::new().to(to).data(b"data").control(HopLimit(9)).send(&sender).unwrap();
        assert_eq!(sent, 4);
        let (mut data, mut control) = ([0; 8], ControlBuf::<HopLimit>::new());
        let message = receiver.recv_msg(&mut data, &mut control).unwrap();
        assert_eq!(message.extract(), Some(HopLimit(9)));
        assert_eq!(message.peer().unwrap().as_inet(), Some(local(&sender)), "plain IPv4");
    }
    let v6 = SocketAddr::from((Ipv6Addr::LOCALHOST, port(&receiver)));
    let error: FamilyError = cause(MsgHdr::new().to(v6).data(b"data").send(&sender));
    assert_eq!((error.what, error.expected, error.found), ("destination address", "AF_INET", libc::AF_INET6));
    let unix = SockAddr::unix("/nowhere").unwrap();
    let error: FamilyError = cause(MsgHdr::new().to(unix).data(b"data").send(&sender));
    assert_eq!(error.found, libc::AF_UNIX);
}

/// AD23, R613: the answer comes from the address that was asked, on every kind of server.
#[test]
fn a_reply_comes_from_the_address_that_was_asked() {
    let v4 = [Ipv4Addr::LOCALHOST, Ipv4Addr::new(127, 0, 0, 7), Ipv4Addr::new(127, 200, 1, 3)].map(IpAddr::from);
    let v6 = IpAddr::from(Ipv6Addr::LOCALHOST);
    let asked = |server: &str, asked: &[IpAddr]| {
        let server = bound(server);
        server.enable::<PktInfo>().unwrap();
        for &ip in asked {
            let client = bound(if ip.is_ipv4() { V4 } else { V6 });
            client.send_to(b"data", (ip, port(&server))).unwrap();
            let (mut data, mut control) = ([0; 64], ControlBuf::<PktInfo>::new());
            let message = server.recv_msg(&mut data, &mut control).unwrap();
            let reply = message.extract().unwrap().reply().unwrap();
            assert_eq!((reply.spec_dst(), reply.ifindex()), (if ip.is_ipv4() { ip } else { v6 }, 0));
            MsgHdr::new().to(message.peer()).data(message.data()).control(reply).send(&server).unwrap();
            let (len, from) = client.recv_from(&mut [0; 64]).unwrap();
            assert_eq!((len, from), (4, SocketAddr::from((ip, port(&server)))));

            // The same encoded before the destination is known.
            let list = ControlList::new(reply).unwrap();
            MsgHdr::new().control_from(&list).to(message.peer()).data(b"again").send(&server).unwrap();
            let (len, from) = client.recv_from(&mut [0; 64]).unwrap();
            assert_eq!((len, from), (5, SocketAddr::from((ip, port(&server)))));
        }
    };
    asked("0.0.0.0:0", &v4);
    if has_v6("a_reply_comes_from_the_address_that_was_asked") {
        asked("[::]:0", &[v4[0], v6, v4[1], v4[2], v6]);
    }
}
