//! RFC 3542's sticky options on real sockets: set, read back, seen by the receiver, overridden for one datagram, cleared.

#![cfg(target_os = "linux")]

mod common;

use std::{
    io,
    net::{Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket},
};

use ancillary::{
    ControlBuf, ControlVec, EncodeError, FamilyError, MsgHdr, RecvControl, SocketExt, interface,
    message::{
        Ipv6DontFrag, Ipv6DstOpts, Ipv6FlowInfo, Ipv6HopLimit, Ipv6HopOpts, Ipv6PathMtu, Ipv6PktInfo, Ipv6Rthdr,
        Ipv6RthdrDstOpts, TClass,
    },
    rfc3542::{Ipv6AutoFlowLabel, Ipv6FlowInfoSend},
    set_option,
};
use common::{
    cause, has_v6,
    namespace::{Namespace, link, link_local, on_loopback, v6, without_net_raw},
    pairs::{self, V6, asked, bound, errno, send, udp},
    skipped,
};
use nix::libc;

/// Router alert (RFC 2711).
const ALERT: [u8; 8] = [0, 0, 5, 2, 0, 0, 1, 0];
/// An option that may be skipped by who does not know it, padding before and behind it.
const SKIPPED: [u8; 16] = [0, 1, 0, 0, 0x1e, 4, 0xa, 0xb, 0xc, 0xd, 1, 4, 0, 0, 0, 0];

/// What comes with the next datagram.
fn next<L: RecvControl + for<'a> RecvControl<Value<'a> = L>>(socket: &UdpSocket) -> Option<L> {
    let (mut data, mut control) = ([0; 16], ControlVec::<L>::new());
    let message = socket.recv_msg(&mut data, &mut control).unwrap();
    message.require_complete().unwrap();
    assert_eq!(message.data(), b"data");
    message.extract()
}

/// Type and bytes, but for what follows it, of each header that comes with the next datagram.
fn headers(socket: &UdpSocket) -> Vec<(i32, Vec<u8>)> {
    let (mut data, mut control) = ([0; 16], ControlVec::<()>::with_capacity(8192));
    let message = socket.recv_msg(&mut data, &mut control).unwrap();
    message.require_complete().unwrap();
    assert_eq!(message.data(), b"data");
    message.cmsgs().map(|cmsg| (cmsg.id().ty(), cmsg.payload()[1..].to_vec())).collect()
}

/// A header as [`headers`] shows it.
fn seen(ty: i32, header: &[u8]) -> (i32, Vec<u8>) {
    (ty, header[1..].to_vec())
}

#[test]
fn a_sticky_hop_limit_is_that_of_every_unicast_packet() {
    if !has_v6("a_sticky_hop_limit_is_that_of_every_unicast_packet") {
        return;
    }
    let (receiver, sender) = asked::<Ipv6HopLimit>(V6);
    let arrives = |hops| assert_eq!(next::<Ipv6HopLimit>(&receiver), Some(hops));
    let default = Ipv6HopLimit::sticky(&sender).unwrap();
    send(&sender, ()).unwrap();
    arrives(default);

    for hops in [Ipv6HopLimit(9), Ipv6HopLimit(255), Ipv6HopLimit(0)] {
        hops.set_sticky(&sender).unwrap();
        assert_eq!(Ipv6HopLimit::sticky(&sender).unwrap(), hops);
        send(&sender, ()).unwrap();
        arrives(hops);
        send(&sender, Ipv6HopLimit(11)).unwrap();
        arrives(Ipv6HopLimit(11));
        send(&sender, ()).unwrap();
        arrives(hops);
    }
    assert_eq!(Ipv6HopLimit::sticky_multicast(&sender).unwrap(), Ipv6HopLimit(1), "another option");

    Ipv6HopLimit::clear_sticky(&sender).unwrap();
    assert_eq!(Ipv6HopLimit::sticky(&sender).unwrap(), default);
    send(&sender, ()).unwrap();
    arrives(default);
}

#[test]
fn a_sticky_multicast_hop_limit_is_that_of_every_packet_to_a_group() {
    let test = "a_sticky_multicast_hop_limit_is_that_of_every_packet_to_a_group";
    if !has_v6(test) {
        return;
    }
    let (Some(a), Some(b)) = (Namespace::new(test), Namespace::new(test)) else { return };
    if !link(test, 1, 1500, &a, &b) {
        return;
    }
    let group = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x114);
    a.run(|| {
        let lo = interface::index("veth1").unwrap();
        let (receiver, sender) = (bound(pairs::DUAL), bound((v6(1, 1), 0)));
        receiver.enable::<Ipv6HopLimit>().unwrap();
        // The sender's own host hears it, too (`IPV6_MULTICAST_LOOP`).
        receiver.join_multicast_v6(&group, lo).unwrap();
        sender.connect(SocketAddrV6::new(group, receiver.local_addr().unwrap().port(), 0, lo)).unwrap();
        let arrives = |hops| assert_eq!(next::<Ipv6HopLimit>(&receiver), Some(hops));
        assert_eq!(Ipv6HopLimit::sticky_multicast(&sender).unwrap(), Ipv6HopLimit(1));
        send(&sender, ()).unwrap();
        arrives(Ipv6HopLimit(1));

        Ipv6HopLimit(7).set_sticky_multicast(&sender).unwrap();
        assert_eq!(Ipv6HopLimit::sticky_multicast(&sender).unwrap(), Ipv6HopLimit(7));
        assert_ne!(Ipv6HopLimit::sticky(&sender).unwrap(), Ipv6HopLimit(7), "another option");
        send(&sender, ()).unwrap();
        arrives(Ipv6HopLimit(7));
        send(&sender, Ipv6HopLimit(11)).unwrap();
        arrives(Ipv6HopLimit(11));

        Ipv6HopLimit::clear_sticky_multicast(&sender).unwrap();
        assert_eq!(Ipv6HopLimit::sticky_multicast(&sender).unwrap(), Ipv6HopLimit(1));
        send(&sender, ()).unwrap();
        arrives(Ipv6HopLimit(1));
    });
    let (stream, _peer) = a.run(|| pairs::tcp(V6));
    assert_eq!(errno(Ipv6HopLimit(7).set_sticky_multicast(&stream)), libc::ENOPROTOOPT);
}

#[test]
fn a_sticky_traffic_class_is_that_of_every_packet() {
    if !has_v6("a_sticky_traffic_class_is_that_of_every_packet") {
        return;
    }
    let (receiver, sender) = asked::<TClass>(V6);
    let arrives = |class| assert_eq!(next::<TClass>(&receiver), Some(class));
    assert_eq!(TClass::sticky(&sender).unwrap(), TClass(0));
    send(&sender, ()).unwrap();
    arrives(TClass(0));

    for class in [TClass(0xb9), TClass(0xff)] {
        class.set_sticky(&sender).unwrap();
        assert_eq!(TClass::sticky(&sender).unwrap(), class);
        send(&sender, ()).unwrap();
        arrives(class);
        send(&sender, TClass(0x12)).unwrap();
        arrives(TClass(0x12));
        send(&sender, ()).unwrap();
        arrives(class);
    }
    let (stream, _peer) = pairs::tcp(V6);
    TClass(0xff).set_sticky(&stream).unwrap();
    assert_eq!(TClass::sticky(&stream).unwrap(), TClass(0xfc), "ECN is TCP's own");

    TClass::clear_sticky(&sender).unwrap();
    assert_eq!(TClass::sticky(&sender).unwrap(), TClass(0));
    send(&sender, ()).unwrap();
    arrives(TClass(0));
}

#[test]
fn sticky_dont_frag_refuses_what_is_too_long() {
    if !has_v6("sticky_dont_frag_refuses_what_is_too_long") {
        return;
    }
    let (receiver, sender) = udp(V6);
    set_option(&sender, libc::IPPROTO_IPV6, libc::IPV6_MTU, 1280).unwrap();
    sender.enable::<Ipv6PathMtu>().unwrap();
    let long = |control: Option<Ipv6DontFrag>| MsgHdr::new().data(&[0; 5000]).control(control).send(&sender);
    let arrives = || assert_eq!(receiver.recv(&mut [0; 8192]).unwrap(), 5000);
    assert_eq!(Ipv6DontFrag::sticky(&sender).unwrap(), Ipv6DontFrag(false));
    long(None).unwrap();
    arrives();

    Ipv6DontFrag(true).set_sticky(&sender).unwrap();
    assert_eq!(Ipv6DontFrag::sticky(&sender).unwrap(), Ipv6DontFrag(true));
    assert_eq!(errno(long(None)), libc::EMSGSIZE);
    let mut control = ControlBuf::<Ipv6PathMtu>::new();
    assert_eq!(sender.recv_msg(&mut [0; 16], &mut control).unwrap().extract().unwrap().mtu, 1280);
    long(Some(Ipv6DontFrag(false))).unwrap();
    arrives();
    assert_eq!(errno(long(None)), libc::EMSGSIZE);

    Ipv6DontFrag::clear_sticky(&sender).unwrap();
    assert_eq!(Ipv6DontFrag::sticky(&sender).unwrap(), Ipv6DontFrag(false));
    long(None).unwrap();
    arrives();
}

#[test]
fn a_sticky_interface_is_that_of_every_packet() {
    let test = "a_sticky_interface_is_that_of_every_packet";
    if !has_v6(test) {
        return;
    }
    let (Some(a), Some(b)) = (Namespace::new(test), Namespace::new(test)) else { return };
    if !link(test, 1, 1500, &a, &b) || !link(test, 2, 1500, &a, &b) {
        return;
    }
    let index = |host: &Namespace, name: &str| host.run(|| interface::index(name).unwrap());
    let (ours, theirs) =
        (["veth1", "veth2"].map(|name| index(&a, name)), ["veth1", "veth2"].map(|name| index(&b, name)));
    let (receiver, sender) = (b.run(|| bound(pairs::DUAL)), a.run(|| bound(pairs::DUAL)));
    receiver.enable::<Ipv6PktInfo>().unwrap();
    // Both links have this address at their ends; no scope says which is meant.
    let to = SocketAddrV6::new(link_local(2), receiver.local_addr().unwrap().port(), 0, 0);
    let send = |control: Option<Ipv6PktInfo>| MsgHdr::new().to(to).data(b"data").control(control).send(&sender);
    let arrives =
        |ifindex| assert_eq!(next::<Ipv6PktInfo>(&receiver), Some(Ipv6PktInfo { addr: link_local(2), ifindex }));
    for (this, other) in [(0, 1), (1, 0)] {
        Ipv6PktInfo::set_sticky_interface(&sender, ours[this]).unwrap();
        send(None).unwrap();
        arrives(theirs[this]);
        let by = |ifindex| Some(Ipv6PktInfo { addr: Ipv6Addr::UNSPECIFIED, ifindex });
        assert_eq!(errno(send(by(ours[other]))), libc::EINVAL, "two interfaces");
        send(by(ours[this])).unwrap();
        arrives(theirs[this]);
        // A destination that says the interface itself.
        let scoped = SocketAddrV6::new(*to.ip(), to.port(), 0, ours[other]);
        MsgHdr::new().to(scoped).data(b"data").send(&sender).unwrap();
        arrives(theirs[other]);
        send(None).unwrap();
        arrives(theirs[this]);
    }
    let missing = 1 + ours[0].max(ours[1]);
    Ipv6PktInfo::set_sticky_interface(&sender, missing).unwrap();
    assert_eq!(errno(send(None)), libc::ENETUNREACH);
    Ipv6PktInfo::set_sticky_interface(&sender, 0).unwrap();
    let there = SocketAddrV6::new(v6(2, 2), to.port(), 0, 0);
    MsgHdr::new().to(there).data(b"data").send(&sender).unwrap();
    assert_eq!(
        next::<Ipv6PktInfo>(&receiver),
        Some(Ipv6PktInfo { addr: v6(2, 2), ifindex: theirs[1] }),
        "by its route"
    );
}

#[test]
fn sticky_options_headers_are_those_of_every_packet() {
    let test = "sticky_options_headers_are_those_of_every_packet";
    if !has_v6(test) {
        return;
    }
    on_loopback(test, || {
        let (receiver, sender) = asked::<(Ipv6HopOpts<'_>, Ipv6DstOpts<'_>)>(V6);
        let (hop, dst) = (Ipv6HopOpts::new(&ALERT).unwrap(), Ipv6DstOpts::new(&SKIPPED).unwrap());
        let mut buffer = [0; 2040];
        assert_eq!(Ipv6HopOpts::sticky(&sender, &mut buffer).unwrap(), None);
        assert_eq!(Ipv6DstOpts::sticky(&sender, &mut buffer).unwrap(), None);
        send(&sender, ()).unwrap();
        assert_eq!(headers(&receiver), []);

        hop.set_sticky(&sender).unwrap();
        assert_eq!(Ipv6HopOpts::sticky(&sender, &mut [0; 8]).unwrap(), Some(hop));
        assert_eq!(Ipv6DstOpts::sticky(&sender, &mut buffer).unwrap(), None, "another option");
        send(&sender, ()).unwrap();
        assert_eq!(headers(&receiver), [seen(libc::IPV6_HOPOPTS, &ALERT)]);

        dst.set_sticky(&sender).unwrap();
        assert_eq!(Ipv6DstOpts::sticky(&sender, &mut buffer).unwrap(), Some(dst));
        let both = [seen(libc::IPV6_HOPOPTS, &ALERT), seen(libc::IPV6_DSTOPTS, &SKIPPED)];
        send(&sender, ()).unwrap();
        assert_eq!(headers(&receiver), both);
        send(&sender, Ipv6HopLimit(9)).unwrap();
        assert_eq!(headers(&receiver), both, "with a message that is no header");
        send(&sender, Ipv6HopOpts::new(&SKIPPED).unwrap()).unwrap();
        assert_eq!(headers(&receiver), [seen(libc::IPV6_HOPOPTS, &SKIPPED)], "in place of all sticky ones");
        send(&sender, ()).unwrap();
        assert_eq!(headers(&receiver), both);

        Ipv6HopOpts::clear_sticky(&sender).unwrap();
        assert_eq!(Ipv6HopOpts::sticky(&sender, &mut buffer).unwrap(), None);
        send(&sender, ()).unwrap();
        assert_eq!(headers(&receiver), [seen(libc::IPV6_DSTOPTS, &SKIPPED)]);
        Ipv6DstOpts::clear_sticky(&sender).unwrap();
        send(&sender, ()).unwrap();
        assert_eq!(headers(&receiver), []);
    });
}

#[test]
fn a_sticky_routing_header_and_the_options_before_it_are_those_of_every_packet() {
    let test = "a_sticky_routing_header_and_the_options_before_it_are_those_of_every_packet";
    if !has_v6(test) {
        return;
    }
    let Some(host) = Namespace::new(test) else { return };
    // Segment routing of one segment, where the packet goes anyway.
    let mut route = [0; 24];
    route[1..3].copy_from_slice(&[2, 4]);
    route[8..].copy_from_slice(&Ipv6Addr::LOCALHOST.octets());
    let route = Ipv6Rthdr::new(&route).unwrap();
    if let Err(error) = host.run(|| route.set_sticky(bound(V6))) {
        return skipped(format_args!("SKIPPED {test}: segment routing (CONFIG_IPV6_SEG6_LWTUNNEL): {error}"));
    }
    host.set("ipv6/conf/all/seg6_enabled", "1");
    host.set("ipv6/conf/lo/seg6_enabled", "1");
    host.run(|| {
        let (receiver, sender) = asked::<(Ipv6DstOpts<'_>, Ipv6Rthdr<'_>)>(V6);
        let options = Ipv6RthdrDstOpts::new(&SKIPPED).unwrap();
        let mut buffer = [0; 64];
        assert_eq!(Ipv6Rthdr::sticky(&sender, &mut buffer).unwrap(), None);
        options.set_sticky(&sender).unwrap();
        assert_eq!(Ipv6RthdrDstOpts::sticky(&sender, &mut buffer).unwrap(), Some(options));
        send(&sender, ()).unwrap();
        assert_eq!(headers(&receiver), [], "nothing without a routing header");

        route.set_sticky(&sender).unwrap();
        assert_eq!(Ipv6Rthdr::sticky(&sender, &mut buffer).unwrap(), Some(route));
        let both = [seen(libc::IPV6_DSTOPTS, &SKIPPED), seen(libc::IPV6_RTHDR, route.as_bytes())];
        send(&sender, ()).unwrap();
        assert_eq!(headers(&receiver), both);
        send(&sender, Ipv6DstOpts::new(&ALERT).unwrap()).unwrap();
        assert_eq!(headers(&receiver), [seen(libc::IPV6_DSTOPTS, &ALERT)], "in place of all sticky ones");
        send(&sender, ()).unwrap();
        assert_eq!(headers(&receiver), both);

        Ipv6RthdrDstOpts::clear_sticky(&sender).unwrap();
        send(&sender, ()).unwrap();
        assert_eq!(headers(&receiver), both[1..]);
        Ipv6Rthdr::clear_sticky(&sender).unwrap();
        assert_eq!(Ipv6Rthdr::sticky(&sender, &mut buffer).unwrap(), None);
        send(&sender, ()).unwrap();
        assert_eq!(headers(&receiver), []);
    });
}

#[test]
fn sticky_headers_of_every_length_but_the_longest_are_read_back_whole_or_not_at_all() {
    let test = "sticky_headers_of_every_length_but_the_longest_are_read_back_whole_or_not_at_all";
    if !has_v6(test) {
        return;
    }
    on_loopback(test, || {
        let socket = bound(V6);
        for units in 0..=255u8 {
            let needed = 8 * (usize::from(units) + 1);
            // Pad1 alone.
            let mut header = vec![0; needed];
            header[1] = units;
            let set = Ipv6DstOpts::new(&header).unwrap().set_sticky(&socket);
            if units == 255 {
                assert_eq!(errno(set), libc::EINVAL);
                continue;
            }
            set.unwrap();
            for available in [0, 1, 7, 8, needed - 8, needed - 1, needed, needed + 1, 4096] {
                let mut buffer = vec![0xff; available];
                let found = Ipv6DstOpts::sticky(&socket, &mut buffer);
                if available >= needed {
                    assert_eq!(found.unwrap().unwrap().as_bytes(), header);
                    continue;
                }
                let needed = if available < 8 { 8 } else { needed };
                assert_eq!(cause(&found.unwrap_err()), Some(EncodeError::HeaderSpace { needed, available }));
            }
        }
    });
}

#[test]
fn sticky_options_headers_need_a_privilege() {
    if !has_v6("sticky_options_headers_need_a_privilege") {
        return;
    }
    without_net_raw(|| {
        let socket = bound(V6);
        assert_eq!(errno(Ipv6HopOpts::new(&ALERT).unwrap().set_sticky(&socket)), libc::EPERM);
        assert_eq!(errno(Ipv6DstOpts::new(&ALERT).unwrap().set_sticky(&socket)), libc::EPERM);
        assert_eq!(errno(Ipv6RthdrDstOpts::new(&ALERT).unwrap().set_sticky(&socket)), libc::EPERM);
        assert_eq!(errno(Ipv6HopOpts::clear_sticky(&socket)), libc::EPERM, "even to clear it");
        assert_eq!(errno(Ipv6DstOpts::clear_sticky(&socket)), libc::EPERM);
        assert_eq!(errno(Ipv6RthdrDstOpts::clear_sticky(&socket)), libc::EPERM);
        assert_eq!(Ipv6HopOpts::sticky(&socket, &mut [0; 8]).unwrap(), None, "not to read it");
        let mut route = ALERT;
        route[2..4].copy_from_slice(&[9, 0]);
        assert_eq!(errno(Ipv6Rthdr::new(&route).unwrap().set_sticky(&socket)), libc::EINVAL, "an unknown type");
        Ipv6Rthdr::clear_sticky(&socket).unwrap();
        Ipv6HopLimit(9).set_sticky(&socket).unwrap();
        TClass(9).set_sticky(&socket).unwrap();
    });
}

#[test]
fn the_flow_label_of_an_address_goes_out_where_that_was_asked_for() {
    let test = "the_flow_label_of_an_address_goes_out_where_that_was_asked_for";
    if !has_v6(test) {
        return;
    }
    let (receiver, sender) = (bound(V6), bound(V6));
    receiver.enable::<Ipv6FlowInfo>().unwrap();
    Ipv6AutoFlowLabel(false).set(&sender).unwrap();
    assert_eq!(Ipv6AutoFlowLabel::get(&sender).unwrap(), Ipv6AutoFlowLabel(false));
    let SocketAddr::V6(mut to) = receiver.local_addr().unwrap() else { unreachable!() };
    to.set_flowinfo(0x0ab1_2345_u32.to_be());
    let send = |control: Option<Ipv6FlowInfo>| MsgHdr::new().to(to).data(b"data").control(control).send(&sender);
    let label = |label| Some(Ipv6FlowInfo::new(0, label).unwrap());
    assert_eq!(Ipv6FlowInfoSend::get(&sender).unwrap(), Ipv6FlowInfoSend(false));
    send(None).unwrap();
    assert_eq!(next::<Ipv6FlowInfo>(&receiver), None, "not asked for");

    Ipv6FlowInfoSend(true).set(&sender).unwrap();
    assert_eq!(Ipv6FlowInfoSend::get(&sender).unwrap(), Ipv6FlowInfoSend(true));
    send(None).unwrap();
    assert_eq!(next::<Ipv6FlowInfo>(&receiver), label(0x12345));
    send(label(0x54321)).unwrap();
    assert_eq!(next::<Ipv6FlowInfo>(&receiver), label(0x54321), "the message comes first");
    send(None).unwrap();
    assert_eq!(next::<Ipv6FlowInfo>(&receiver), label(0x12345));
    Ipv6FlowInfoSend(false).set(&sender).unwrap();
    send(None).unwrap();
    assert_eq!(next::<Ipv6FlowInfo>(&receiver), None);
}

#[test]
fn a_flow_label_is_made_unless_that_was_forbidden() {
    let test = "a_flow_label_is_made_unless_that_was_forbidden";
    if !has_v6(test) {
        return;
    }
    let Some(host) = Namespace::new(test) else { return };
    host.set("ipv6/auto_flowlabels", "2"); // if a socket asks for it
    host.run(|| {
        let (receiver, sender) = asked::<Ipv6FlowInfo>(V6);
        assert_eq!(Ipv6AutoFlowLabel::get(&sender).unwrap(), Ipv6AutoFlowLabel(false));
        send(&sender, ()).unwrap();
        assert_eq!(next::<Ipv6FlowInfo>(&receiver), None);
        Ipv6AutoFlowLabel(true).set(&sender).unwrap();
        assert_eq!(Ipv6AutoFlowLabel::get(&sender).unwrap(), Ipv6AutoFlowLabel(true));
        send(&sender, ()).unwrap();
        assert_ne!(next::<Ipv6FlowInfo>(&receiver).unwrap().label(), 0);
        Ipv6AutoFlowLabel(false).set(&sender).unwrap();
        send(&sender, ()).unwrap();
        assert_eq!(next::<Ipv6FlowInfo>(&receiver), None);
    });
}

#[test]
fn sockets_of_other_families_have_none() {
    let family = |result: io::Result<()>| cause::<FamilyError>(&result.unwrap_err()).unwrap().found;
    let (v4, unix) = (bound(pairs::V4), pairs::datagrams().0);
    assert_eq!(family(Ipv6HopLimit(1).set_sticky(&v4)), libc::AF_INET);
    assert_eq!(family(Ipv6HopLimit::sticky(&unix).map(drop)), libc::AF_UNIX);
    assert_eq!(family(Ipv6HopLimit::clear_sticky(&v4)), libc::AF_INET);
    assert_eq!(family(Ipv6HopLimit(1).set_sticky_multicast(&v4)), libc::AF_INET);
    assert_eq!(family(TClass(1).set_sticky(&v4)), libc::AF_INET);
    assert_eq!(family(Ipv6DontFrag(true).set_sticky(&unix)), libc::AF_UNIX);
    assert_eq!(family(Ipv6PktInfo::set_sticky_interface(&v4, 1)), libc::AF_INET);
    assert_eq!(family(Ipv6HopOpts::new(&ALERT).unwrap().set_sticky(&v4)), libc::AF_INET);
    assert_eq!(family(Ipv6HopOpts::sticky(&v4, &mut []).map(drop)), libc::AF_INET);
    assert_eq!(family(Ipv6Rthdr::clear_sticky(&unix)), libc::AF_UNIX);
    assert_eq!(family(Ipv6FlowInfoSend(true).set(&v4)), libc::AF_INET);
    assert_eq!(family(Ipv6AutoFlowLabel::get(&v4).map(drop)), libc::AF_INET);
}
