//! Datagrams of IPv4 and IPv6 over links of their own: fragments, checksums, flow labels, path MTU, original
//! destination.

#![cfg(target_os = "linux")]

mod common;

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket},
    os::fd::AsRawFd,
};

use ancillary::{
    ControlBuf, ControlVec, MsgHdr, RawCmsg, SendControl, SocketExt,
    cmsg::CmsgId,
    message::{
        FragSize, IpChecksum, IpOrigDstAddr, IpProtocol, IpRecvFragSize, Ipv6DontFrag, Ipv6FlowInfo, Ipv6OrigDstAddr,
        Ipv6PathMtu, Ipv6RecvFragSize, OrigDst, RecvList, TClass,
    },
    set_option,
};
use common::{
    TIMEOUT, has_v6,
    namespace::{Namespace, link, on_loopback, routed, v4, v6},
    pairs::{self, errno, shape},
    skipped,
};
use nix::libc;
use socket2::{Domain, Protocol, Socket, Type};

// include/uapi/linux/in6.h
const IPV6_AUTOFLOWLABEL: i32 = 70;
const IPV6_DONTFRAG: i32 = 62;
const IPV6_FLOWLABEL_MGR: i32 = 32;

fn bound(ip: impl Into<IpAddr>) -> UdpSocket {
    pairs::bound((ip.into(), 0))
}

fn port(socket: &UdpSocket) -> u16 {
    socket.local_addr().unwrap().port()
}

fn send(from: &UdpSocket, to: SocketAddr, data: &[u8], control: impl SendControl<'static>) -> io::Result<usize> {
    let list = ancillary::ControlList::new(control)?;
    MsgHdr::new().to(to).data(data).control_from(&list).send(from)
}

/// What comes with the next datagram, which is this long.
fn next<O, L: for<'a> RecvList<Output<'a> = O>>(socket: &UdpSocket, len: usize) -> O {
    let (mut data, mut control) = (vec![0; 65536], ControlBuf::<L>::new());
    let message = socket.recv_msg(&mut data, &mut control).unwrap();
    message.require_complete().unwrap();
    assert_eq!(message.data().len(), len);
    message.extract()
}

/// R628, R629
#[test]
fn the_original_destination_is_address_and_port() {
    let (receiver, sender) = (bound(Ipv4Addr::UNSPECIFIED), bound(Ipv4Addr::LOCALHOST));
    let to = SocketAddrV4::new(Ipv4Addr::new(127, 0, 0, 9), port(&receiver));
    send(&sender, to.into(), b"data", ()).unwrap();
    assert_eq!(next::<_, IpOrigDstAddr>(&receiver, 4), None, "not enabled");
    receiver.enable::<IpOrigDstAddr>().unwrap();
    send(&sender, to.into(), b"data", ()).unwrap();
    assert_eq!(next::<_, IpOrigDstAddr>(&receiver, 4), Some(IpOrigDstAddr(to)));
    send(&sender, to.into(), b"data", ()).unwrap();
    assert_eq!(shape(&receiver), [(libc::IPPROTO_IP, 20, 16)]);

    if !has_v6("the_original_destination_is_address_and_port") {
        return;
    }
    let (receiver, sender) = (bound(Ipv6Addr::UNSPECIFIED), bound(Ipv6Addr::LOCALHOST));
    let to = SocketAddrV6::new(Ipv6Addr::LOCALHOST, port(&receiver), 0, 0);
    send(&sender, to.into(), b"data", ()).unwrap();
    assert_eq!(next::<_, Ipv6OrigDstAddr>(&receiver, 4), None, "not enabled");
    receiver.enable::<Ipv6OrigDstAddr>().unwrap();
    send(&sender, to.into(), b"data", ()).unwrap();
    let (mut data, mut control) = ([0; 8], ControlBuf::<Ipv6OrigDstAddr>::new());
    let message = receiver.recv_msg(&mut data, &mut control).unwrap();
    assert_eq!((message.cmsgs().count(), message.extract()), (1, Some(Ipv6OrigDstAddr(to))));
    send(&sender, to.into(), b"data", ()).unwrap();
    assert_eq!(shape(&receiver), [(libc::IPPROTO_IPV6, 74, 28)]);
}

#[test]
fn a_dual_stack_socket_has_the_original_destination_of_both_families() {
    if !has_v6("a_dual_stack_socket_has_the_original_destination_of_both_families") {
        return;
    }
    let receiver = bound(Ipv6Addr::UNSPECIFIED);
    let plain = Ipv4Addr::new(127, 0, 0, 9);
    let (v4, v6, dual) = (bound(Ipv4Addr::LOCALHOST), bound(Ipv6Addr::LOCALHOST), bound(Ipv6Addr::UNSPECIFIED));
    let cases: [(&UdpSocket, IpAddr, IpAddr); 4] = [
        (&v4, plain.into(), plain.into()),
        (&dual, plain.to_ipv6_mapped().into(), plain.into()),
        (&v6, Ipv6Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()),
        (&dual, Ipv6Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()),
    ];
    for on in [false, true, false] {
        if on {
            receiver.enable::<OrigDst>().unwrap();
        } else {
            receiver.disable::<OrigDst>().unwrap();
        }
        for (sender, to, seen) in cases {
            send(sender, (to, port(&receiver)).into(), b"data", ()).unwrap();
            let expected = on.then(|| OrigDst((seen, port(&receiver)).into()));
            assert_eq!(next::<_, OrigDst>(&receiver, 4), expected, "{to}");
        }
    }
    // On an IPv4 socket it is the IPv4 option alone.
    let receiver = bound(Ipv4Addr::LOCALHOST);
    receiver.enable::<OrigDst>().unwrap();
    send(&v4, receiver.local_addr().unwrap(), b"data", ()).unwrap();
    assert_eq!(next::<_, OrigDst>(&receiver, 4), Some(OrigDst(receiver.local_addr().unwrap())));
}

/// A link-local destination has its interface.
#[test]
fn the_original_destination_has_its_scope() {
    let name = "the_original_destination_has_its_scope";
    if !has_v6(name) {
        return;
    }
    let (Some(near), Some(far)) = (Namespace::new(name), Namespace::new(name)) else { return };
    if !link(name, 1, 1500, &near, &far) {
        return;
    }
    let index = |host: &Namespace| host.run(|| ancillary::interface::index("veth1").unwrap());
    let (receiver, sender) = (far.run(|| bound(Ipv6Addr::UNSPECIFIED)), near.run(|| bound(Ipv6Addr::UNSPECIFIED)));
    receiver.enable::<Ipv6OrigDstAddr>().unwrap();
    let at = |scope| SocketAddrV6::new("fe80::2".parse().unwrap(), port(&receiver), 0, scope);
    send(&sender, at(index(&near)).into(), b"data", ()).unwrap();
    assert_eq!(next::<_, Ipv6OrigDstAddr>(&receiver, 4), Some(Ipv6OrigDstAddr(at(index(&far)))));
}

/// R627, I412
#[test]
fn the_largest_fragment_is_told_and_only_of_fragments() {
    let name = "the_largest_fragment_is_told_and_only_of_fragments";
    if !has_v6(name) {
        return;
    }
    let (Some(near), Some(far)) = (Namespace::new(name), Namespace::new(name)) else { return };
    if !link(name, 1, 1500, &near, &far) {
        return;
    }
    let [four, six, dual] = [Ipv4Addr::UNSPECIFIED.into(), v6(1, 2).into(), Ipv6Addr::UNSPECIFIED.into()]
        .map(|addr: IpAddr| far.run(|| bound(addr)));
    let senders = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
    let [from_four, from_six] = senders.map(|addr: IpAddr| near.run(|| bound(addr)));
    let (v4, v6) = (IpAddr::from(v4(1, 2)), IpAddr::from(v6(1, 2)));
    let big = [0; 4000];
    // A fragment of IPv6 has a multiple of eight bytes behind its 48 of headers.
    let cases = [
        (&four, &from_four, v4, 1500),
        (&six, &from_six, v6, 1496),
        (&dual, &from_four, v4, 1500),
        (&dual, &from_six, v6, 1496),
    ];
    for (receiver, sender, to, size) in cases {
        let to = SocketAddr::from((to, port(receiver)));
        receiver.disable::<FragSize>().unwrap();
        send(sender, to, &big, ()).unwrap();
        assert_eq!(next::<_, FragSize>(receiver, 4000), None, "not enabled");
        receiver.enable::<FragSize>().unwrap();
        send(sender, to, &big, ()).unwrap();
        assert_eq!(next::<_, FragSize>(receiver, 4000), Some(FragSize(size)), "{to}");
        send(sender, to, b"data", ()).unwrap();
        assert_eq!(next::<_, FragSize>(receiver, 4), None, "in one piece");
        // The specific one of the packet's family is the one that comes.
        send(sender, to, &big, ()).unwrap();
        let both = next::<_, (IpRecvFragSize, Ipv6RecvFragSize)>(receiver, 4000);
        let expected =
            if to.is_ipv4() { (Some(IpRecvFragSize(size)), None) } else { (None, Some(Ipv6RecvFragSize(size))) };
        assert_eq!(both, expected);
    }
}

/// The one's complement sum of RFC 1071, byte by byte.
fn sum(bytes: &[u8]) -> u16 {
    let byte = |(at, byte): (usize, &u8)| u32::from(*byte) << if at % 2 == 0 { 8 } else { 0 };
    let sum: u32 = bytes.iter().enumerate().map(byte).sum();
    let once = (sum >> 16) + (sum & 0xffff);
    ((once >> 16) + once) as u16
}

/// From a raw socket, whose datagrams the kernel does not trust, so that it adds them up.
#[test]
fn a_checksum_is_the_sum_of_the_data() {
    const NAME: &str = "a_checksum_is_the_sum_of_the_data";
    on_loopback(NAME, || {
        checksums(&bound(Ipv4Addr::LOCALHOST));
        if has_v6(NAME) {
            checksums(&bound(Ipv6Addr::UNSPECIFIED));
        }
    });
}

fn checksums(receiver: &UdpSocket) {
    let raw = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::UDP)).unwrap();
    let to = SocketAddr::from((Ipv4Addr::LOCALHOST, port(receiver)));
    let send = |data: &[u8]| {
        let len = (8 + data.len() as u16).to_be_bytes();
        let mut packet = [&[0x30, 0x39], &to.port().to_be_bytes()[..], &len, &[0, 0], data].concat();
        let pseudo = [&[127, 0, 0, 1, 127, 0, 0, 1, 0, 17][..], &len, &packet].concat();
        packet[6..8].copy_from_slice(&(!sum(&pseudo)).to_be_bytes());
        raw.send_to(&packet, &to.into()).unwrap();
    };
    send(b"data");
    assert_eq!(next::<_, IpChecksum>(receiver, 4), None, "not enabled");
    receiver.enable::<IpChecksum>().unwrap();
    for data in [&b"data"[..], b"odd", &[0xff; 68], &[0x12, 0x34], &[0xff, 0xff, 0, 1]] {
        send(data);
        let found = next::<_, IpChecksum>(receiver, data.len()).unwrap();
        // The same number modulo 0xffff: zero has two forms.
        let (found, expected) = (u16::from_be_bytes(found.fold().to_ne_bytes()), sum(data));
        assert_eq!(found % 0xffff, expected % 0xffff, "{data:02x?}");
    }
    send(&[0x55; 200]);
    assert_eq!(next::<_, IpChecksum>(receiver, 200), None, "longer ones are added up while they are copied");
    bound(Ipv4Addr::LOCALHOST).send_to(b"data", to).unwrap();
    assert_eq!(next::<_, IpChecksum>(receiver, 4), None, "nobody adds up what stays on this host");
}

/// The protocol counts where a rule asks for it; the header is what the program has written.
#[test]
fn a_raw_datagram_takes_the_route_of_the_protocol_sent_with_it() {
    let name = "a_raw_datagram_takes_the_route_of_the_protocol_sent_with_it";
    let Some(host) = Namespace::new(name) else { return };
    host.ip("route add 10.66.9.0/24 dev lo");
    if let Err(error) = host.try_ip("rule add ipproto 254 prohibit pref 1") {
        return skipped(format_args!("SKIPPED {name}: rules by protocol (4.17): {error}"));
    }
    let (raw, receiver) = host.run(|| {
        let raw = |protocol| Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(protocol))).unwrap();
        (raw(libc::IPPROTO_RAW), raw(253))
    });
    receiver.set_read_timeout(TIMEOUT).unwrap();
    // Version and length, time to live, protocol, addresses; the kernel fills in the rest.
    let packet = |to: Ipv4Addr| {
        let mut header = [0x45, 0, 0, 0, 0, 0, 0, 0, 64, 253, 0, 0, 127, 0, 0, 1, 0, 0, 0, 0];
        header[16..].copy_from_slice(&to.octets());
        [&header[..], b"data"].concat()
    };
    let send = |to: Ipv4Addr, protocol| {
        let data = packet(to);
        MsgHdr::new().to(SocketAddr::from((to, 0))).data(&data).control(protocol).send(&raw)
    };
    let away = Ipv4Addr::new(10, 66, 9, 9);
    let sent = send(away, Some(IpProtocol(253)));
    if sent.as_ref().is_err_and(|error| error.raw_os_error() == Some(libc::EINVAL)) {
        return skipped(format_args!("SKIPPED {name}: IP_PROTOCOL (6.4): {sent:?}"));
    }
    assert_eq!(sent.unwrap(), 24);
    assert_eq!(send(away, None).unwrap(), 24);
    assert_eq!(errno(send(away, Some(IpProtocol(254)))), libc::EACCES);

    // To this host no rule applies, and what arrives has the protocol of the header.
    send(Ipv4Addr::LOCALHOST, Some(IpProtocol(254))).unwrap();
    let (mut packet, mut control) = ([0; 64], ControlBuf::<()>::new());
    let message = receiver.recv_msg(&mut packet, &mut control).unwrap();
    assert_eq!((message.data()[9], &message.data()[20..]), (253, &b"data"[..]));
}

#[test]
fn a_protocol_is_accepted_and_ignored_on_udp() {
    let name = "a_protocol_is_accepted_and_ignored_on_udp";
    let (receiver, sender) = (bound(Ipv4Addr::LOCALHOST), bound(Ipv4Addr::LOCALHOST));
    if let Err(error) = send(&sender, receiver.local_addr().unwrap(), b"data", IpProtocol(254)) {
        assert_eq!(error.raw_os_error(), Some(libc::EINVAL));
        return skipped(format_args!("SKIPPED {name}: IP_PROTOCOL (6.4): {error}"));
    }
    let mut data = [0; 16];
    assert_eq!(receiver.recv_from(&mut data).unwrap(), (4, sender.local_addr().unwrap()));
}

/// R614, R615
#[test]
fn a_flow_label_arrives_as_sent() {
    let name = "a_flow_label_arrives_as_sent";
    if !has_v6(name) {
        return;
    }
    on_loopback(name, || {
        let (receiver, sender) = (bound(Ipv6Addr::LOCALHOST), bound(Ipv6Addr::LOCALHOST));
        let to = receiver.local_addr().unwrap();
        let label = |label| Ipv6FlowInfo::new(0, label).unwrap();
        send(&sender, to, b"data", label(0x12345)).unwrap();
        assert_eq!(next::<_, Ipv6FlowInfo>(&receiver, 4), None, "not enabled");
        receiver.enable::<Ipv6FlowInfo>().unwrap();
        for value in [0x12345, 1, Ipv6FlowInfo::MAX_LABEL] {
            send(&sender, to, b"data", label(value)).unwrap();
            assert_eq!(next::<_, Ipv6FlowInfo>(&receiver, 4), Some(label(value)));
        }
        set_option(&sender, libc::IPPROTO_IPV6, IPV6_AUTOFLOWLABEL, 1).unwrap();
        send(&sender, to, b"data", ()).unwrap();
        let made = next::<_, Ipv6FlowInfo>(&receiver, 4).unwrap();
        assert!(made.label() > 0 && made.traffic_class() == 0, "{made}");
        set_option(&sender, libc::IPPROTO_IPV6, IPV6_AUTOFLOWLABEL, 0).unwrap();
        send(&sender, to, b"data", ()).unwrap();
        assert_eq!(next::<_, Ipv6FlowInfo>(&receiver, 4), None, "neither label nor class");

        // The class in the header is that of the other message.
        send(&sender, to, b"data", Ipv6FlowInfo::new(0x1c, 0x777).unwrap()).unwrap();
        assert_eq!(next::<_, Ipv6FlowInfo>(&receiver, 4), Some(label(0x777)));
        send(&sender, to, b"data", (label(0x777), TClass(0xb9))).unwrap();
        assert_eq!(next::<_, Ipv6FlowInfo>(&receiver, 4), Ipv6FlowInfo::new(0xb9, 0x777).ok());
        send(&sender, to, b"data", TClass(0x2e)).unwrap();
        assert_eq!(next::<_, Ipv6FlowInfo>(&receiver, 4), Ipv6FlowInfo::new(0x2e, 0).ok());
    });
}

/// R614, R615
#[test]
fn where_a_label_is_leased_no_other_is_sent() {
    flow_labels("where_a_label_is_leased_no_other_is_sent", || {
        let (receiver, sender) = (bound(Ipv6Addr::LOCALHOST), bound(Ipv6Addr::LOCALHOST));
        receiver.enable::<Ipv6FlowInfo>().unwrap();
        let to = receiver.local_addr().unwrap();
        let [leased, other] = [0x4_5678, 0x4_5679].map(|label| Ipv6FlowInfo::new(0, label).unwrap());
        send(&sender, to, b"data", other).unwrap();
        assert_eq!(next::<_, Ipv6FlowInfo>(&receiver, 4), Some(other));

        // struct in6_flowlabel_req: destination, label, action GET, share EXCL, flags CREATE.
        let mut lease = [0; 32];
        lease[..16].copy_from_slice(&Ipv6Addr::LOCALHOST.octets());
        lease[16..20].copy_from_slice(&leased.label().to_be_bytes());
        lease[21] = 1;
        lease[22..24].copy_from_slice(&1u16.to_ne_bytes());
        let (fd, value, len) = (sender.as_raw_fd(), lease.as_ptr().cast(), lease.len() as libc::socklen_t);
        // SAFETY: the value has as many bytes as are said.
        let status = unsafe { libc::setsockopt(fd, libc::IPPROTO_IPV6, IPV6_FLOWLABEL_MGR, value, len) };
        assert_eq!(status, 0, "{}", io::Error::last_os_error());
        send(&sender, to, b"data", leased).unwrap();
        assert_eq!(next::<_, Ipv6FlowInfo>(&receiver, 4), Some(leased));
        assert_eq!(errno(send(&sender, to, b"data", other)), libc::EINVAL);
        // Not even by sockets that have leased none.
        let third = bound(Ipv6Addr::LOCALHOST);
        for label in [leased, other] {
            assert_eq!(errno(send(&third, to, b"data", label)), libc::EINVAL);
        }
        send(&third, to, b"data", ()).unwrap();
    });
}

/// In a namespace of its own: a lease there is one for all its sockets.
fn flow_labels(test: &str, f: fn()) {
    if has_v6(test) {
        if let Some(host) = Namespace::new(test) {
            host.run(f);
        }
    }
}

fn dont_frag(payload: &[u8]) -> RawCmsg<'_> {
    RawCmsg::new(CmsgId::new(libc::IPPROTO_IPV6, IPV6_DONTFRAG), payload)
}

/// R606, R618
#[test]
fn what_may_not_be_cut_is_refused_and_the_message_beats_the_option() {
    let name = "what_may_not_be_cut_is_refused_and_the_message_beats_the_option";
    if !has_v6(name) {
        return;
    }
    let (Some(near), Some(far)) = (Namespace::new(name), Namespace::new(name)) else { return };
    if !link(name, 1, 1500, &near, &far) {
        return;
    }
    let (receiver, sender) = (far.run(|| bound(v6(1, 2))), near.run(|| bound(v6(1, 1))));
    receiver.enable::<FragSize>().unwrap();
    let to = receiver.local_addr().unwrap();
    for option in [0, 1] {
        set_option(&sender, libc::IPPROTO_IPV6, IPV6_DONTFRAG, option).unwrap();
        assert_eq!(errno(send(&sender, to, &[0; 2000], Ipv6DontFrag(true))), libc::EMSGSIZE);
        send(&sender, to, &[0; 2000], Ipv6DontFrag(false)).unwrap();
        assert_eq!(next::<_, FragSize>(&receiver, 2000), Some(FragSize(1496)));
        send(&sender, to, &[0; 1452], Ipv6DontFrag(true)).unwrap();
        assert_eq!(next::<_, FragSize>(&receiver, 1452), None, "fits");
    }
    for neither in [2, -1] {
        let raw = MsgHdr::new().to(to).data(b"data").control(dont_frag(&i32::to_ne_bytes(neither))).send(&sender);
        assert_eq!(errno(raw), libc::EINVAL, "{neither}");
    }
    // Raw sockets of ICMPv6 too; those of other protocols are cut in any case.
    for (protocol, with) in [(Protocol::ICMPV6, Err(Some(libc::EMSGSIZE))), (Protocol::from(253), Ok(2000))] {
        let raw = near.run(|| Socket::new(Domain::IPV6, Type::RAW, Some(protocol)).unwrap());
        for (dont, expected) in [(true, with), (false, Ok(2000))] {
            let to = SocketAddr::from((v6(1, 2), 0));
            let sent = MsgHdr::new().to(to).data(&[0; 2000]).control(Ipv6DontFrag(dont)).send(&raw);
            assert_eq!(sent.map_err(|error| error.raw_os_error()), expected, "{protocol:?} {dont}");
        }
    }
}

/// What comes alone, before the data that waits.
fn path_mtu(socket: &UdpSocket) -> Option<(Ipv6PathMtu, Option<SocketAddr>)> {
    let (mut data, mut control) = ([0; 16], ControlVec::<Ipv6PathMtu>::new());
    let message = socket.recv_msg(&mut data, &mut control).unwrap();
    message.require_complete().unwrap();
    let found = message.extract();
    assert_eq!(message.data(), if found.is_some() { &b""[..] } else { b"data" });
    found.map(|found| (found, message.peer().and_then(|peer| peer.as_inet())))
}

#[test]
fn the_path_mtu_comes_alone_after_a_send_that_was_too_long() {
    let name = "the_path_mtu_comes_alone_after_a_send_that_was_too_long";
    if !has_v6(name) {
        return;
    }
    let (receiver, sender) = (bound(Ipv6Addr::LOCALHOST), bound(Ipv6Addr::LOCALHOST));
    let to = receiver.local_addr().unwrap();
    set_option(&sender, libc::IPPROTO_IPV6, libc::IPV6_MTU, 1280).unwrap();
    let too_long = || assert_eq!(errno(send(&sender, to, &[0; 5000], Ipv6DontFrag(true))), libc::EMSGSIZE);
    send(&receiver, sender.local_addr().unwrap(), b"data", ()).unwrap();
    too_long();
    assert_eq!(path_mtu(&sender), None, "not enabled");

    sender.enable::<Ipv6PathMtu>().unwrap();
    send(&receiver, sender.local_addr().unwrap(), b"data", ()).unwrap();
    too_long();
    too_long();
    let addr = SocketAddrV6::new(Ipv6Addr::LOCALHOST, 0, 0, 0);
    let (found, peer) = path_mtu(&sender).unwrap();
    assert_eq!((found, peer), (Ipv6PathMtu { addr, mtu: 1280 }, Some(addr.into())));
    assert_eq!(path_mtu(&sender), None, "one for both, then the datagram");
}

/// A router with a narrow link behind it says so; then the kernel knows.
#[test]
fn the_path_mtu_is_that_of_the_narrowest_link() {
    let name = "the_path_mtu_is_that_of_the_narrowest_link";
    if !has_v6(name) {
        return;
    }
    let Some([near, _router, far]) = routed(name, 1300) else { return };
    let (receiver, sender) = (far.run(|| bound(v6(2, 2))), near.run(|| bound(v6(1, 1))));
    let to = receiver.local_addr().unwrap();
    sender.enable::<Ipv6PathMtu>().unwrap();
    sender.connect(to).unwrap();
    // Through the first link, refused by the router, which is an error of a connected socket that discovers.
    const PMTUDISC_DO: i32 = 2;
    set_option(&sender, libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, PMTUDISC_DO).unwrap();
    send(&sender, to, &[0; 1400], Ipv6DontFrag(true)).unwrap();
    assert_eq!(errno(sender.recv(&mut [0; 16])), libc::EMSGSIZE);

    assert_eq!(errno(send(&sender, to, &[0; 1400], Ipv6DontFrag(true))), libc::EMSGSIZE);
    let (found, peer) = path_mtu(&sender).unwrap();
    let addr = SocketAddrV6::new(v6(2, 2), 0, 0, 0);
    assert_eq!((found, peer), (Ipv6PathMtu { addr, mtu: 1300 }, Some(addr.into())));
    // What it says does fit.
    send(&sender, to, &[0; 1300 - 48], Ipv6DontFrag(true)).unwrap();
    assert_eq!(next::<_, ()>(&receiver, 1300 - 48), ());
}
