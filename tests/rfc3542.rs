//! Headers of options and what goes with them (RFC 3542), from host to host and over loopback.

#![cfg(target_os = "linux")]

mod common;

use std::{
    fs, io,
    net::{Ipv6Addr, SocketAddr, UdpSocket},
    time::Duration,
};

use ancillary::{
    ControlBuf, ControlList, ControlVec, DecodeError, EncodeError, MsgHdr, RawCmsg, SendControl, SocketExt,
    cmsg::{self, CmsgId},
    message::{
        AtMost, ExtendedError, Ipv6DontFrag, Ipv6DstOpts, Ipv6FlowInfo, Ipv6HopLimit, Ipv6HopOpts, Ipv6PathMtu,
        Ipv6PktInfo, Ipv6Rthdr, Ipv6RthdrDstOpts, Meaning, RecvList, TClass,
    },
    parser::{self, ControlMessage, Malformed},
    rfc3542::{OptionsBuilder, path_mtu},
};
use common::{
    TIMEOUT, has_v6,
    namespace::{Namespace, link, on_loopback, v6},
    pairs::{V6, asked, bound, errno, send},
    raw,
    running::Running,
};
use nix::libc;

// Protocol numbers.
const UDP: u8 = 17;
const DESTINATION: u8 = 60;

/// Type, alignment, data.
type Described = (u8, usize, &'static [u8]);

const ALERT: Described = (5, 2, &[0, 0]);
/// Those of the RFC's appendix; who does not know them skips them.
const X: Described = (0x0a, 8, &[0x12, 0x34, 0x56, 0x78, 1, 2, 3, 4, 5, 6, 7, 8]);
const Y: Described = (0x14, 4, &[1, 0x13, 0x31, 1, 2, 3, 4]);

type HopOpts = AtMost<Ipv6HopOpts<'static>, 256>;
type DstOpts = AtMost<Ipv6DstOpts<'static>, 256>;
type Headers = (HopOpts, DstOpts);

fn build<'b>(buffer: &'b mut [u8], options: &[Described]) -> Result<&'b [u8], EncodeError> {
    let mut builder = OptionsBuilder::new(buffer);
    for &(ty, align, data) in options {
        builder.append(ty, align, data);
    }
    builder.finish()
}

fn header(options: &[Described]) -> Vec<u8> {
    build(&mut [0; 2048], options).unwrap().to_vec()
}

/// Two hosts; the sender on the first is connected to the receiver on the second.
struct Hosts {
    near: Namespace,
    far: Namespace,
    sender: UdpSocket,
    receiver: UdpSocket,
}

/// `None` where there can be none, which is said.
fn hosts(test: &str) -> Option<Hosts> {
    if !has_v6(test) {
        return None;
    }
    let (near, far) = (Namespace::new(test)?, Namespace::new(test)?);
    // A label is there if it is sent.
    near.set("ipv6/auto_flowlabels", "0");
    if !link(test, 1, 1500, &near, &far) {
        return None;
    }
    let receiver = far.run(|| bound((v6(1, 2), 0)));
    let sender = near.run(|| bound((Ipv6Addr::UNSPECIFIED, 0)));
    sender.connect(receiver.local_addr().unwrap()).unwrap();
    Some(Hosts { near, far, sender, receiver })
}

impl Hosts {
    /// Sends both headers and expects them; how many options were found.
    fn exchange(&self, hop: &[u8], dst: &[u8]) -> (usize, usize) {
        send(&self.sender, (Ipv6HopOpts::new(hop).unwrap(), Ipv6DstOpts::new(dst).unwrap())).unwrap();
        let (mut data, mut control) = ([0; 16], ControlVec::<Headers>::new());
        let message = self.receiver.recv_msg(&mut data, &mut control).unwrap();
        message.require_complete().unwrap();
        let (found_hop, found_dst) = message.extract();
        let (found_hop, found_dst) = (found_hop.unwrap(), found_dst.unwrap());
        assert_eq!((message.data(), message.cmsgs().count()), (&b"data"[..], 2));
        assert_eq!((found_hop.next_header(), found_dst.next_header()), (DESTINATION, UDP), "written by the kernel");
        assert_eq!((&found_hop.as_bytes()[1..], &found_dst.as_bytes()[1..]), (&hop[1..], &dst[1..]));
        (found_hop.options().count(), found_dst.options().count())
    }

    /// What the receiver's kernel has counted.
    fn counter(&self, name: &str) -> u64 {
        let all = self.far.run(|| fs::read_to_string("/proc/thread-self/net/snmp6")).unwrap();
        let line = all.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("no {name}"));
        line.trim().parse().unwrap()
    }

    /// What is sent with these messages does not arrive: what is sent after it comes first.
    fn dropped<'a>(&self, control: impl SendControl<'a>) {
        assert_eq!(send(&self.sender, control).unwrap(), 4);
        self.sender.send(b"after").unwrap();
        let mut data = [0; 16];
        let len = self.receiver.recv(&mut data).unwrap();
        assert_eq!(&data[..len], b"after");
    }
}

/// Of each number of options up to eight, in every order of alignments.
#[test]
fn options_arrive_as_they_were_built_and_are_found() {
    let Some(hosts) = hosts("options_arrive_as_they_were_built_and_are_found") else { return };
    hosts.receiver.enable::<Headers>().unwrap();
    for hop in [&[ALERT][..], &[X, Y], &[Y, X, ALERT], &[ALERT, Y, Y, X, X, ALERT, Y, X]] {
        for dst in [&[X][..], &[Y, X], &[X, Y, X, Y, X, Y, X, Y]] {
            assert_eq!(hosts.exchange(&header(hop), &header(dst)), (hop.len(), dst.len()));
        }
    }

    let (hop, dst) = (header(&[ALERT, X, Y]), header(&[Y, X]));
    send(&hosts.sender, (Ipv6HopOpts::new(&hop).unwrap(), Ipv6DstOpts::new(&dst).unwrap())).unwrap();
    let (mut data, mut control) = ([0; 16], ControlVec::<Headers>::new());
    let message = hosts.receiver.recv_msg(&mut data, &mut control).unwrap();
    let (hop, dst) = message.extract();
    let (hop, dst) = (hop.unwrap(), dst.unwrap());
    for (ty, _, data) in [ALERT, X, Y] {
        assert_eq!(hop.find(ty), Ok(Some(data)));
        assert_eq!(dst.find(ty), Ok(Some(data).filter(|_| ty != ALERT.0)));
    }
    for (ty, align, _) in [X, Y] {
        let at = |header: &[u8], data: &[u8]| data.as_ptr() as usize - header.as_ptr() as usize;
        assert_eq!(at(hop.as_bytes(), hop.find(ty).unwrap().unwrap()) % align, 0, "aligned as asked");
        assert_eq!(at(dst.as_bytes(), dst.find(ty).unwrap().unwrap()) % align, 0, "aligned as asked");
    }
}

/// R609
#[test]
fn tcpdump_sees_the_options_that_were_built() {
    let name = "tcpdump_sees_the_options_that_were_built";
    let Some(hosts) = hosts(name) else { return };
    let args = ["-i", "veth1", "-n", "-v", "-l", "--immediate-mode", "-Z", "root", "-Q", "in", "ip6"];
    let Some(tcpdump) = Running::start(name, &hosts.far, "tcpdump", &args) else { return };
    tcpdump.until("listening on veth1");
    let label = Ipv6FlowInfo::new(0, 0xabcde).unwrap();
    let (alert, several) = (header(&[ALERT]), header(&[X, Y]));
    let hop = |header| Ipv6HopOpts::new(header).unwrap();
    let dst = |header| Ipv6DstOpts::new(header).unwrap();
    let x_y = "(padn)(opt_type 0x0a: len=12)(padn)(opt_type 0x14: len=7)";
    let (hbh, dstopt) = (|options: &str| format!("HBH {options}"), |options: &str| format!("DSTOPT {options}"));
    let cases: [(ControlList<'_>, Vec<String>); 5] = [
        (ControlList::new(hop(&alert)).unwrap(), vec![hbh("(rtalert: 0x0000)")]),
        (ControlList::new(dst(&alert)).unwrap(), vec![dstopt("(rtalert: 0x0000)")]),
        (ControlList::new(hop(&several)).unwrap(), vec![hbh(x_y)]),
        (ControlList::new(dst(&several)).unwrap(), vec![dstopt(x_y)]),
        (
            ControlList::new((Ipv6HopLimit(16), TClass(0x2e), label, hop(&alert), dst(&several))).unwrap(),
            ["class 0x2e,", "flowlabel 0xabcde,", "hlim 16,", "HBH (rtalert: 0x0000)"]
                .map(str::to_owned)
                .into_iter()
                .chain([dstopt(x_y)])
                .collect(),
        ),
    ];
    for (port, (control, expected)) in (5001u16..).zip(&cases) {
        // The port tells the packets from each other.
        let to = SocketAddr::from((v6(1, 2), port));
        MsgHdr::new().to(to).data(b"data").control_from(control).send(&hosts.sender).unwrap();
        let seen = tcpdump.until(&format!("{port}: "));
        for text in expected {
            // It spaces the options as it likes.
            let squeezed = |text: &str| text.replace(' ', "");
            assert!(squeezed(&seen).contains(&squeezed(text)), "{text:?} is not in:\n{seen}");
        }
    }
}

/// All 128 choices of packet info, hop limit, traffic class, flow label, hop-by-hop and destination options, and no
/// fragments, which is not seen on the way.
#[test]
fn what_is_sent_together_arrives_together() {
    type All = (Ipv6PktInfo, Ipv6HopLimit, TClass, Ipv6FlowInfo, HopOpts, DstOpts);
    let Some(hosts) = hosts("what_is_sent_together_arrives_together") else { return };
    let source = v6(1, 11);
    hosts.near.ip(&format!("addr add {source}/64 dev veth1 nodad"));
    hosts.receiver.enable::<All>().unwrap();
    let (hop, dst) = (header(&[ALERT]), header(&[X, Y]));
    let (hop, dst) = (Ipv6HopOpts::new(&hop).unwrap(), Ipv6DstOpts::new(&dst).unwrap());
    let mut control = ControlVec::<All>::new();
    for choice in 0..128u8 {
        let chosen = |bit: u8| choice & 1 << bit != 0;
        let (class, label) = (if chosen(2) { 0xb9 } else { 0 }, if chosen(3) { 0x12345 } else { 0 });
        let sent = (
            chosen(0).then_some(Ipv6PktInfo::source(source)),
            chosen(1).then_some(Ipv6HopLimit(9)),
            chosen(2).then_some(TClass(class)),
            chosen(3).then_some(Ipv6FlowInfo::new(0, label).unwrap()),
            chosen(4).then_some(hop),
            chosen(5).then_some(dst),
            chosen(6).then_some(Ipv6DontFrag(true)),
        );
        send(&hosts.sender, sent).unwrap();

        let mut data = [0; 16];
        let message = hosts.receiver.recv_msg(&mut data, &mut control).unwrap();
        message.require_complete().unwrap();
        let (info, hops, found_class, flow, found_hop, found_dst) = message.extract();
        let from = message.peer().and_then(|peer| peer.as_inet()).unwrap();
        assert_eq!(from.ip() == source, chosen(0), "{choice:07b}: {from}");
        assert_eq!(info.map(|info| info.addr), Some(v6(1, 2)), "{choice:07b}");
        assert_eq!(hops, Some(Ipv6HopLimit(if chosen(1) { 9 } else { 64 })), "{choice:07b}");
        assert_eq!(found_class, Some(TClass(class)), "{choice:07b}");
        let expected = Ipv6FlowInfo::new(class, label).unwrap();
        assert_eq!(flow, (chosen(2) || chosen(3)).then_some(expected), "{choice:07b}");
        let follows = if chosen(5) { DESTINATION } else { UDP };
        let written = |next, header: &[u8]| [&[next], &header[1..]].concat();
        let (found_hop, found_dst) = (found_hop.map(Ipv6HopOpts::as_bytes), found_dst.map(Ipv6DstOpts::as_bytes));
        let expected = chosen(4).then(|| written(follows, hop.as_bytes()));
        assert_eq!(found_hop, expected.as_deref(), "{choice:07b}");
        let expected = chosen(5).then(|| written(UDP, dst.as_bytes()));
        assert_eq!(found_dst, expected.as_deref(), "{choice:07b}");
    }
}

#[test]
fn a_malformed_header_is_refused_before_it_is_sent() {
    let value = |field, expected, found| Err(EncodeError::Value { field, expected, found });
    let whole = "8 * (length + 1) bytes";
    for (header, found) in [(&[][..], 0), (&[0], 1), (&[0; 7], 7), (&[0; 9], 9), (&[0, 1, 0, 0, 0, 0, 0, 0], 8)] {
        assert_eq!(Ipv6HopOpts::new(header).map(|_| ()), value("IPV6_HOPOPTS", whole, found));
        assert_eq!(Ipv6DstOpts::new(header).map(|_| ()), value("IPV6_DSTOPTS", whole, found));
    }
    let cut = "options that end with the header, none cut";
    assert_eq!(Ipv6HopOpts::new(&[0, 0, 1, 0, 5, 9, 0, 0]).map(|_| ()), value("IPV6_HOPOPTS", cut, 4));
    assert_eq!(Ipv6DstOpts::new(&[0, 0, 1, 3, 0, 0, 0, 5]).map(|_| ()), value("IPV6_DSTOPTS", cut, 1));
    let built = |option| build(&mut [0; 64], &[option]).map(|_| ());
    assert_eq!(built((0, 1, &[])), value("option type", "2..=255", 0));
    assert_eq!(built((1, 1, &[0])), value("option type", "2..=255", 1));
    let alignment = |multiple, len| Err(EncodeError::Alignment { multiple, offset: None, len });
    assert_eq!(built((5, 3, &[0, 0, 0])), alignment(3, 3));
    assert_eq!(built((5, 4, &[0, 0])), alignment(4, 2));
    assert_eq!(built((5, 1, &[0; 256])), value("option length", "0..=255", 256));
    assert_eq!(built((5, 1, &[0; 100])), Err(EncodeError::HeaderSpace { needed: 104, available: 64 }));
    let error = build(&mut [0; 4096], &[(5, 1, &[0; 255][..]); 8]).map(|_| ());
    assert_eq!(error, value("extension header", "at most 2048 bytes", 2064));

    // Past the types, the kernel looks at the length alone.
    if !has_v6("a_malformed_header_is_refused_before_it_is_sent") {
        return;
    }
    on_loopback("a_malformed_header_is_refused_before_it_is_sent", || {
        let (receiver, sender) = asked::<Headers>(V6);
        for ty in [libc::IPV6_HOPOPTS, libc::IPV6_DSTOPTS] {
            for payload in [&[][..], &[0], &[0, 1, 0, 0, 0, 0, 0, 0]] {
                let raw = RawCmsg::new(CmsgId::new(libc::IPPROTO_IPV6, ty), payload);
                assert_eq!(errno(send(&sender, raw)), libc::EINVAL, "{raw:?}");
            }
        }
        sender.send(b"alone").unwrap();
        assert_eq!(receiver.recv(&mut [0; 16]).unwrap(), 5);
    });
}

/// The sender's kernel sends it, the receiver's drops it and counts it, so a program sees none from the network; but see
/// [`any_bytes_are_safe_to_look_through`].
#[test]
fn an_option_longer_than_its_header_is_dropped_by_the_receivers_kernel() {
    let name = "an_option_longer_than_its_header_is_dropped_by_the_receivers_kernel";
    let Some(hosts) = hosts(name) else { return };
    hosts.receiver.enable::<Headers>().unwrap();
    for malformed in [[0, 0, 0x1e, 5, 0, 0, 0, 0], [0, 0, 0x1e, 255, 0, 0, 0, 0], [0, 0, 0x1e, 3, 0, 0, 0, 5]] {
        let refused = Ipv6HopOpts::new(&malformed).unwrap_err();
        assert!(matches!(refused, EncodeError::Value { field: "IPV6_HOPOPTS", .. }), "{refused}");
        assert!(Ipv6DstOpts::new(&malformed).is_err() && Ipv6RthdrDstOpts::new(&malformed).is_err());
        let raw = |ty| RawCmsg::new(CmsgId::new(libc::IPPROTO_IPV6, ty), &malformed);
        let (hop, dst) = (raw(libc::IPV6_HOPOPTS), raw(libc::IPV6_DSTOPTS));
        let before = hosts.counter("Ip6InHdrErrors");
        hosts.dropped(hop);
        hosts.dropped(dst);
        assert_eq!(hosts.counter("Ip6InHdrErrors"), before + 2, "{malformed:?}");
    }
}

#[test]
fn any_bytes_are_safe_to_look_through() {
    let good = header(&[ALERT, X, Y]);
    let mut malformed = 0;
    for (at, byte) in (0..good.len()).flat_map(|at| (0..=255).map(move |byte| (at, byte))) {
        let mut bytes = good.clone();
        bytes[at] = byte;
        let mut message = vec![0; cmsg::space(bytes.len()).unwrap()];
        let raw = RawCmsg::new(CmsgId::new(libc::IPPROTO_IPV6, libc::IPV6_HOPOPTS), &bytes);
        let len = cmsg::encode(&raw, &mut message).unwrap();
        let mut found = parser::parse(&message[..len]);
        match found.next() {
            Some(ControlMessage::Ipv6HopOpts(header)) => {
                assert_eq!(header.as_bytes(), bytes);
                let options: Vec<_> = header.options().collect();
                let (errors, fine): (Vec<_>, Vec<_>) = options.iter().partition(|option| option.is_err());
                assert!(errors.is_empty() || (errors.len() == 1 && options.last() == Some(errors[0])));
                assert!(
                    fine.iter().flat_map(|option| option.iter()).map(|(_, data)| 2 + data.len()).sum::<usize>() <= 30
                );
                for ty in [5, 0x0a, 0x14, byte] {
                    let first = options.iter().find(|option| option.is_ok_and(|(found, _)| found == ty));
                    let expected = first.or(errors.first().copied()).copied().transpose();
                    assert_eq!(header.find(ty), expected.map(|found| found.map(|(_, data)| data)));
                }
                malformed += errors.len();
            }
            Some(ControlMessage::Malformed(Malformed { error, .. })) => {
                assert_eq!(at, 1, "only the length makes it no header");
                assert_eq!(error, DecodeError::Length { expected: 8 * (usize::from(byte) + 1), found: good.len() });
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(found.next(), None);
    }
    assert!(malformed > 255, "{malformed}");
}

/// net.ipv6.max_hbh_opts_number, net.ipv6.max_dst_opts_number
#[test]
fn more_than_eight_options_arrive_only_where_they_are_wanted() {
    let name = "more_than_eight_options_arrive_only_where_they_are_wanted";
    let Some(hosts) = hosts(name) else { return };
    hosts.receiver.enable::<Headers>().unwrap();
    let (eight, nine) = (header(&[Y; 8]), header(&[Y; 9]));
    assert_eq!(hosts.exchange(&eight, &eight), (8, 8));
    hosts.dropped(Ipv6HopOpts::new(&nine).unwrap());
    hosts.dropped(Ipv6DstOpts::new(&nine).unwrap());
    hosts.far.set("ipv6/max_hbh_opts_number", "9");
    hosts.far.set("ipv6/max_dst_opts_number", "9");
    assert_eq!(hosts.exchange(&nine, &nine), (9, 9));
}

/// The upper two bits of the type: skip, drop, drop and say so. RFC 8200 s. 4.2
#[test]
fn an_option_nobody_knows_is_treated_as_its_type_says() {
    let Some(hosts) = hosts("an_option_nobody_knows_is_treated_as_its_type_says") else { return };
    hosts.receiver.enable::<Headers>().unwrap();
    hosts.sender.enable::<ExtendedError>().unwrap();
    let of = |ty| header(&[(ty, 1, &[0xaa; 4])]);
    assert_eq!(hosts.exchange(&of(0x1e), &of(0x1e)), (1, 1));
    hosts.dropped(Ipv6HopOpts::new(&of(0x5e)).unwrap());
    hosts.dropped(Ipv6DstOpts::new(&of(0x5e)).unwrap());
    let queue = hosts.sender.error_queue().unwrap();
    for ty in [0x9e, 0xde] {
        let header = of(ty);
        let hop = Some(Ipv6HopOpts::new(&header).unwrap());
        let dst = Some(Ipv6DstOpts::new(&header).unwrap());
        for control in [(hop, None), (None, dst)] {
            send(&hosts.sender, control).unwrap();
            assert!(queue.wait(TIMEOUT.unwrap_or(Duration::MAX)).unwrap(), "no answer");
            let (mut data, mut control) = ([0; 16], ControlBuf::<ExtendedError>::new());
            let entry = queue.recv(&mut data, &mut control).unwrap();
            let error = entry.error();
            // Parameter problem, option not known, where it stands: behind the IPv6 header and two bytes.
            assert_eq!((error.ty, error.code, error.info), (4, 2, 42), "{error}");
            assert_eq!(error.meaning(), Meaning::ParameterProblem);
            assert_eq!(error.offender.map(|from| from.ip()), Some(v6(1, 2).into()));
        }
    }
    hosts.receiver.set_nonblocking(true).unwrap();
    assert_eq!(hosts.receiver.recv(&mut [0; 16]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
}

/// Hop limit 16 sent, and read with the interface and the address that were asked.
#[test]
fn a_hop_limit_is_set_for_one_datagram_and_read_with_packet_info() {
    if !has_v6("a_hop_limit_is_set_for_one_datagram_and_read_with_packet_info") {
        return;
    }
    let (receiver, sender) = asked::<(Ipv6PktInfo, Ipv6HopLimit)>(V6);
    let lo = ancillary::interface::index("lo").unwrap();
    let arrives = |sent: Option<Ipv6HopLimit>| {
        send(&sender, sent).unwrap();
        let (mut data, mut control) = ([0; 16], ControlBuf::<(Ipv6PktInfo, Ipv6HopLimit)>::new());
        let (info, hops) = receiver.recv_msg(&mut data, &mut control).unwrap().extract();
        assert_eq!(info, Some(Ipv6PktInfo { addr: Ipv6Addr::LOCALHOST, ifindex: lo }));
        hops.unwrap()
    };
    let usual = arrives(None);
    assert_ne!(usual, Ipv6HopLimit(16));
    assert_eq!(arrives(Some(Ipv6HopLimit(16))), Ipv6HopLimit(16));
    assert_eq!(arrives(None), usual);
}

#[test]
fn a_traffic_class_is_set_for_one_datagram() {
    if !has_v6("a_traffic_class_is_set_for_one_datagram") {
        return;
    }
    let (receiver, sender) = asked::<TClass>(V6);
    for (sent, expected) in [(Some(TClass(0x08)), TClass(0x08)), (None, TClass(0))] {
        send(&sender, sent).unwrap();
        let (mut data, mut control) = ([0; 16], ControlBuf::<TClass>::new());
        assert_eq!(receiver.recv_msg(&mut data, &mut control).unwrap().extract(), Some(expected));
    }
}

#[test]
fn the_path_mtu_of_loopback_is_told_after_what_does_not_fit() {
    let name = "the_path_mtu_of_loopback_is_told_after_what_does_not_fit";
    if !has_v6(name) {
        return;
    }
    let Some(host) = Namespace::new(name) else { return };
    for mtu in [65536, 4096] {
        host.ip(&format!("link set lo mtu {mtu}"));
        let (receiver, sender) = host.run(|| asked::<()>(V6));
        sender.enable::<Ipv6PathMtu>().unwrap();
        assert_eq!(path_mtu(&sender).unwrap() as usize, mtu, "by getsockopt(2)");
        let payload = vec![b'x'; 65527];
        let sent = |len: usize| MsgHdr::new().data(&payload[..len]).control(Ipv6DontFrag(true)).send(&sender);
        let fits = mtu - 48;
        // The longest datagram there is, which the usual loopback does not hold either.
        assert_eq!(errno(sent(65527)), libc::EMSGSIZE);
        let (mut data, mut control) = ([0; 16], ControlVec::<Ipv6PathMtu>::new());
        let message = sender.recv_msg(&mut data, &mut control).unwrap();
        let found = message.extract().unwrap();
        assert_eq!((found.mtu as usize, *found.addr.ip()), (mtu, Ipv6Addr::LOCALHOST));
        assert_eq!(sent(fits).unwrap(), fits);
        assert_eq!(receiver.recv(&mut vec![0; 65536]).unwrap(), fits);
    }
}

/// Each alone, and all together.
#[test]
fn what_is_enabled_is_read_back() {
    fn one<L: RecvList>(socket: &UdpSocket, names: &[i32]) {
        const ALL: [i32; 8] = [
            libc::IPV6_RECVPKTINFO,
            libc::IPV6_RECVHOPLIMIT,
            libc::IPV6_RECVTCLASS,
            libc::IPV6_FLOWINFO,
            libc::IPV6_RECVHOPOPTS,
            libc::IPV6_RECVDSTOPTS,
            libc::IPV6_RECVRTHDR,
            libc::IPV6_RECVPATHMTU,
        ];
        let set = || ALL.into_iter().filter(|name| raw::is_on(socket, (libc::IPPROTO_IPV6, *name))).collect::<Vec<_>>();
        assert_eq!(set(), []);
        socket.enable::<L>().unwrap();
        assert_eq!(set(), if names.is_empty() { &ALL } else { names });
        socket.disable::<L>().unwrap();
        assert_eq!(set(), []);
    }
    if !has_v6("what_is_enabled_is_read_back") {
        return;
    }
    let socket = bound(V6);
    one::<Ipv6PktInfo>(&socket, &[libc::IPV6_RECVPKTINFO]);
    one::<Ipv6HopLimit>(&socket, &[libc::IPV6_RECVHOPLIMIT]);
    one::<TClass>(&socket, &[libc::IPV6_RECVTCLASS]);
    one::<Ipv6FlowInfo>(&socket, &[libc::IPV6_FLOWINFO]);
    one::<HopOpts>(&socket, &[libc::IPV6_RECVHOPOPTS]);
    one::<DstOpts>(&socket, &[libc::IPV6_RECVDSTOPTS]);
    one::<Ipv6Rthdr<'_>>(&socket, &[libc::IPV6_RECVRTHDR]);
    one::<Ipv6PathMtu>(&socket, &[libc::IPV6_RECVPATHMTU]);
    one::<(Ipv6PktInfo, Ipv6HopLimit, TClass, Ipv6FlowInfo, HopOpts, DstOpts, Ipv6Rthdr<'_>, Ipv6PathMtu)>(
        &socket,
        &[],
    );
}
