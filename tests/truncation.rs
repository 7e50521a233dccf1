//! Control buffers of every size: what fits is delivered whole, what is cut is known to be cut, the data is intact.

#![cfg(all(target_os = "linux", target_pointer_width = "64"))]

mod common;

use std::{
    fmt::Debug,
    fs::File,
    io::{ErrorKind, IoSlice, Write},
    net::{Ipv4Addr, Ipv6Addr, UdpSocket},
    os::fd::OwnedFd,
};

use ancillary::{
    ControlVec, DecodeError, MsgFlags, MsgHdr, MsgHdrMut, Received, RecvExact, RecvFlags, SendControl, SocketExt,
    cmsg::{self, CmsgId},
    interface,
    message::{
        Credentials, HopLimit, IpPktInfo, IpTos, IpTtl, Ipv6HopLimit, Ipv6PktInfo, PktInfo, RecvList, ScmRightsSpace,
        TClass, TrafficClass,
    },
    parser::ControlMessage,
};
use common::{
    has_v6, no_leak, open_count,
    pairs::{self, asked},
    pipes::contents,
};
use nix::{libc, sys::socket::SockType};

const DATA: &[u8] = b"the data is intact";
const HEADER: usize = 16;

fn pair<L: RecvList>(host: &str) -> (UdpSocket, UdpSocket) {
    asked::<L>((host, 0))
}

/// What the kernel has to deliver: the type, and its bytes.
type Item<'a> = (ControlMessage<'a>, CmsgId, Vec<u8>);

/// What it makes of that in so many bytes: each message as far as there is room behind the header, the first bytes of
/// it if not all. How long each payload is, how many bytes that makes, and whether anything is missing.
fn cut(items: &[Item<'_>], size: usize) -> (Vec<usize>, usize, bool) {
    let (mut lens, mut at, mut cut) = (Vec::new(), 0, false);
    for (_, _, payload) in items {
        let room = size - at;
        if room < HEADER {
            cut = true;
            continue;
        }
        let len = payload.len().min(room - HEADER);
        cut |= len < payload.len();
        lens.push(len);
        at += (HEADER + payload.len().next_multiple_of(8)).min(room);
    }
    (lens, at, cut)
}

/// Checks one received message, but for what `extract` says; returns which of the items are complete.
fn check<L: RecvList, D>(message: &Received<'_, L, D>, items: &[Item<'_>], size: usize) -> Vec<bool> {
    let case = format!("{size} bytes: {message:?}");
    let (lens, control_len, is_cut) = cut(items, size);
    assert_eq!(message.len(), DATA.len(), "{case}");
    assert_eq!(message.control_bytes().len(), control_len, "{case}");
    assert_eq!(message.flags().contains(MsgFlags::CTRUNC), is_cut, "{case}");
    assert!(!message.flags().contains(MsgFlags::TRUNC), "{case}");
    match message.require_complete().err() {
        Some(error) => {
            let found = (error.data, error.control, error.len, error.control_len);
            assert_eq!((found, is_cut), ((false, true, DATA.len(), control_len), true), "{case}");
        }
        None => assert!(!is_cut, "{case}"),
    }
    let raw: Vec<_> = message.cmsgs().map(|cmsg| (cmsg.id(), cmsg.payload())).collect();
    let expected: Vec<_> = items.iter().zip(&lens).map(|((_, id, bytes), &len)| (*id, &bytes[..len])).collect();
    assert_eq!(raw, expected, "{case}");
    assert_eq!(message.messages().count(), lens.len(), "{case}");
    for (found, ((typed, id, bytes), &len)) in message.messages().zip(items.iter().zip(&lens)) {
        if len == bytes.len() {
            assert_eq!(found, *typed, "{case}");
            continue;
        }
        let ControlMessage::Malformed(malformed) = found else { panic!("expected a malformed {id:?}, {case}") };
        assert_eq!((malformed.cmsg.id(), malformed.cmsg.payload()), (*id, &bytes[..len]), "{case}");
        let DecodeError::Length { expected, found } = malformed.error else { panic!("{:?}, {case}", malformed.error) };
        // IP_TOS has two lengths.
        assert!(found == len && (expected == bytes.len() || bytes.len() == 1), "{case}");
    }
    (0..items.len()).map(|i| lens.get(i) == Some(&items[i].2.len())).collect()
}

/// The next datagram in a control buffer of `size` bytes, and which of the items it must have brought.
fn arrive<O, L: for<'a> RecvList<Output<'a> = O>>(
    (receiver, sender): &(UdpSocket, UdpSocket),
    control: impl for<'a> SendControl<'a>,
    items: &[Item<'_>],
    size: usize,
) -> (O, Vec<bool>) {
    assert_eq!(MsgHdr::new().data(DATA).control(control).send(sender).unwrap(), DATA.len());
    let (mut data, mut buffer) = ([0; 64], ControlVec::<L>::with_capacity(size));
    let message = receiver.recv_msg(&mut data, &mut buffer).unwrap();
    assert_eq!(message.data(), DATA);
    let complete = check(&message, items, size);
    (message.extract(), complete)
}

fn int(value: u8) -> Vec<u8> {
    i32::from(value).to_ne_bytes().to_vec()
}

fn only<T: Debug>(value: T, complete: bool) -> Option<T> {
    complete.then_some(value)
}

fn hop_limit(value: u8) -> Item<'static> {
    let id = CmsgId::new(libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT);
    (ControlMessage::Ipv6HopLimit(Ipv6HopLimit(value)), id, int(value))
}

fn traffic_class(value: u8) -> Item<'static> {
    let id = CmsgId::new(libc::IPPROTO_IPV6, libc::IPV6_TCLASS);
    (ControlMessage::TClass(TClass(value)), id, int(value))
}

/// TR10, TR11, TR12, TR13, TR14, TR15
#[test]
fn a_hop_limit_is_whole_or_it_is_none() {
    if !has_v6("a_hop_limit_is_whole_or_it_is_none") {
        return;
    }
    no_leak(|| {
        let (pair, items) = (pair::<Ipv6HopLimit>("::1"), [hop_limit(37)]);
        for size in 0..=32 {
            let (found, complete) = arrive::<_, Ipv6HopLimit>(&pair, Ipv6HopLimit(37), &items, size);
            assert_eq!(complete, [size >= 20]);
            assert_eq!(found, only(Ipv6HopLimit(37), complete[0]), "{size}");
            let (found, complete) = arrive::<_, HopLimit>(&pair, HopLimit(37), &items, size);
            assert_eq!(found, only(HopLimit(37), complete[0]), "{size}");
        }
        let model = [15, 16, 19, 20].map(|size| cut(&items, size));
        assert_eq!(model, [(vec![], 0, true), (vec![0], 16, true), (vec![3], 19, true), (vec![4], 20, false)]);
    });
}

/// TR10: no buffer for control data, or for the peer, is the same as one of no bytes.
#[test]
fn data_arrives_where_no_control_data_can() {
    if !has_v6("data_arrives_where_no_control_data_can") {
        return;
    }
    no_leak(|| {
        let (receiver, sender) = pair::<Ipv6HopLimit>("::1");
        for ask_peer in [true, false] {
            sender.send(DATA).unwrap();
            let (mut head, mut tail) = ([0; 3], [0; 64]);
            let mut header = MsgHdrMut::new();
            header.data(&mut head).data(&mut tail);
            if !ask_peer {
                header.no_peer();
            }
            let mut control = ControlVec::<Ipv6HopLimit>::with_capacity(0);
            let message = header.recv(&receiver, &mut control).unwrap();
            assert_eq!((message.len(), message.control_bytes(), message.extract()), (DATA.len(), &[][..], None));
            assert!(message.flags().contains(MsgFlags::CTRUNC));
            assert_eq!(message.peer().and_then(|peer| peer.as_inet()), only(sender.local_addr().unwrap(), ask_peer));
            assert_eq!(header.filled().collect::<Vec<_>>().concat(), DATA);
        }
    });
}

/// TR16, TR17, TR18, TR19, TR20
#[test]
fn a_second_message_that_is_cut_leaves_the_first_alone() {
    if !has_v6("a_second_message_that_is_cut_leaves_the_first_alone") {
        return;
    }
    type Both = (Ipv6HopLimit, TClass);
    no_leak(|| {
        let (pair, items) = (pair::<Both>("::1"), [hop_limit(200), traffic_class(0xb9)]);
        for size in 24..=Both::SPACE + 8 {
            let control = (Ipv6HopLimit(200), TClass(0xb9));
            let (found, complete) = arrive::<_, Both>(&pair, control, &items, size);
            assert_eq!(complete, [true, size >= 44]);
            assert_eq!(found, (Some(Ipv6HopLimit(200)), only(TClass(0xb9), size >= 44)), "{size}");
        }
    });
}

/// TR21
#[test]
fn three_messages_over_ipv6_are_cut_at_any_byte() {
    if !has_v6("three_messages_over_ipv6_are_cut_at_any_byte") {
        return;
    }
    type Meta = (Ipv6PktInfo, Ipv6HopLimit, TClass);
    type Unified = (TrafficClass, HopLimit, PktInfo);
    no_leak(|| {
        let info = Ipv6PktInfo { addr: Ipv6Addr::LOCALHOST, ifindex: interface::index("lo").unwrap() };
        let wire = [&info.addr.octets()[..], &info.ifindex.to_ne_bytes()].concat();
        let id = CmsgId::new(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO);
        let items = [(ControlMessage::Ipv6PktInfo(info), id, wire), hop_limit(1), traffic_class(0xfe)];
        let pair = pair::<Meta>("::1");
        let control = (Ipv6HopLimit(1), TClass(0xfe));
        for size in 0..=Meta::SPACE + 11 {
            let (found, complete) = arrive::<_, Meta>(&pair, control, &items, size);
            assert_eq!(complete, [size >= 36, size >= 60, size >= 84]);
            let expected =
                (only(info, complete[0]), only(Ipv6HopLimit(1), complete[1]), only(TClass(0xfe), complete[2]));
            assert_eq!(found, expected, "{size}");
            let (found, complete) = arrive::<_, Unified>(&pair, control, &items, size);
            let expected = (
                only(TrafficClass(0xfe), complete[2]),
                only(HopLimit(1), complete[1]),
                only(PktInfo::V6(info), complete[0]),
            );
            assert_eq!(found, expected, "{size}");
        }
    });
}

fn v4_items(info: IpPktInfo, ttl: u8, tos: u8) -> [Item<'static>; 3] {
    let id = |ty| CmsgId::new(libc::IPPROTO_IP, ty);
    let wire = [info.ifindex.to_ne_bytes(), info.spec_dst.octets(), info.addr.octets()].concat();
    [
        (ControlMessage::IpPktInfo(info), id(libc::IP_PKTINFO), wire),
        (ControlMessage::IpTtl(IpTtl(ttl)), id(libc::IP_TTL), int(ttl)),
        (ControlMessage::IpTos(IpTos(tos)), id(libc::IP_TOS), vec![tos]),
    ]
}

/// The same over IPv4, where the last message is one byte.
#[test]
fn three_messages_over_ipv4_are_cut_at_any_byte() {
    type Meta = (IpTtl, IpTos, IpPktInfo);
    type Unified = (PktInfo, HopLimit, TrafficClass);
    no_leak(|| {
        let addr = Ipv4Addr::LOCALHOST;
        let info = IpPktInfo { ifindex: interface::index("lo").unwrap(), spec_dst: addr, addr };
        let (pair, items) = (pair::<Meta>("127.0.0.1"), v4_items(info, 9, 0x48));
        let control = (IpTtl(9), IpTos(0x48));
        for size in 0..=Meta::SPACE + 11 {
            let (found, complete) = arrive::<_, Meta>(&pair, control, &items, size);
            assert_eq!(complete, [size >= 28, size >= 52, size >= 73]);
            let expected = (only(IpTtl(9), complete[1]), only(IpTos(0x48), complete[2]), only(info, complete[0]));
            assert_eq!(found, expected, "{size}");
            let (found, complete) = arrive::<_, Unified>(&pair, control, &items, size);
            let expected = (
                only(PktInfo::V4(info), complete[0]),
                only(HopLimit(9), complete[1]),
                only(TrafficClass(0x48), complete[2]),
            );
            assert_eq!(found, expected, "{size}");
        }
    });
}

/// TR15: one byte is how a whole `IP_TOS` arrives, but no other of these.
#[test]
fn the_first_byte_of_an_int_is_not_its_value() {
    let v6 = has_v6("the_first_byte_of_an_int_is_not_its_value");
    no_leak(|| {
        let (pair4, items) = (pair::<IpTtl>("127.0.0.1"), &v4_items(IpPktInfo::source([0; 4].into()), 9, 0)[1..2]);
        assert_eq!(arrive::<_, IpTtl>(&pair4, IpTtl(9), items, HEADER + 1), (None, vec![false]));
        assert_eq!(arrive::<_, HopLimit>(&pair4, IpTtl(9), items, HEADER + 1), (None, vec![false]));
        if !v6 {
            return;
        }
        let (pair6, items) = (pair::<Ipv6HopLimit>("::1"), [hop_limit(9)]);
        assert_eq!(arrive::<_, Ipv6HopLimit>(&pair6, HopLimit(9), &items, HEADER + 1), (None, vec![false]));
        assert_eq!(arrive::<_, HopLimit>(&pair6, HopLimit(9), &items, HEADER + 1), (None, vec![false]));
        let (pair6, items) = (pair::<TClass>("::1"), [traffic_class(9)]);
        assert_eq!(arrive::<_, TClass>(&pair6, TClass(9), &items, HEADER + 1), (None, vec![false]));
        assert_eq!(arrive::<_, TrafficClass>(&pair6, TClass(9), &items, HEADER + 1), (None, vec![false]));
    });
}

/// The read end of a pipe that holds a text and whose other end is closed.
fn holding(text: &str) -> OwnedFd {
    let (reader, writer) = nix::unistd::pipe().unwrap();
    File::from(writer).write_all(text.as_bytes()).unwrap();
    reader
}

/// Credentials are cut like any message, descriptors only between two of them.
#[test]
fn credentials_and_descriptors_are_each_cut_in_their_own_way() {
    type Meta = (ScmRightsSpace<2>, Credentials);
    no_leak(|| {
        let own = Credentials::own();
        let wire = [own.pid.to_ne_bytes(), own.uid.to_ne_bytes(), own.gid.to_ne_bytes()].concat();
        let id = CmsgId::new(libc::SOL_SOCKET, libc::SCM_CREDENTIALS);
        let credentials = [(ControlMessage::Credentials(own), id, wire)];
        for kind in [SockType::Stream, SockType::Datagram, SockType::SeqPacket] {
            let (a, b) = pairs::pair(kind);
            b.enable::<Credentials>().unwrap();
            for size in 0..=Meta::SPACE + 8 {
                let fds = ["one", "two"].map(holding);
                a.send_fds(DATA, &fds).unwrap();
                drop(fds);
                let before = open_count();
                let (mut data, mut control) = ([0; 64], ControlVec::<Meta>::with_capacity(size));
                let mut message = b.recv_msg(&mut data, &mut control).unwrap();
                let case = format!("{kind:?}, {size} bytes: {message:?}");
                let (lens, at, is_cut) = cut(&credentials, size);
                let room = (size - at).saturating_sub(if at > 0 { HEADER } else { size });
                let count = (room / 4).min(2);
                assert_eq!(message.data(), DATA, "{case}");
                assert_eq!(open_count(), before + count, "{case}");
                assert_eq!(message.flags().contains(MsgFlags::CTRUNC), is_cut || count < 2, "{case}");
                let rights = (count > 0).then_some(ScmRightsSpace { count });
                assert_eq!(message.extract(), (rights, only(own, !is_cut)), "{case}");

                let mut found = message.messages();
                let first = found.next();
                match lens.first() {
                    None => assert_eq!(first, None, "{case}"),
                    Some(12) => assert_eq!(first, Some(ControlMessage::Credentials(own)), "{case}"),
                    Some(&len) => {
                        let Some(ControlMessage::Malformed(malformed)) = first else { panic!("{case}") };
                        assert_eq!(malformed.error, DecodeError::Length { expected: 12, found: len }, "{case}");
                        assert_eq!(malformed.cmsg.payload(), &credentials[0].2[..len], "{case}");
                    }
                }
                match found.next() {
                    None => assert_eq!(count, 0, "{case}"),
                    Some(ControlMessage::ScmRights(rights)) => assert_eq!(rights.count(), count, "{case}"),
                    Some(other) => panic!("{other:?}, {case}"),
                }
                assert_eq!(found.next(), None, "{case}");
                assert_eq!(contents(message.take_fds()), ["one", "two"][..count], "{case}");
                assert_eq!(open_count(), before, "{case}");
            }
        }
    });
}

#[test]
fn a_control_buffer_that_is_full_half_way_is_flagged_and_leaks_nothing() {
    no_leak(|| {
        let (header, space) = (cmsg::len(0).unwrap(), cmsg::space(8).unwrap());
        for size in 0..=3 * space + 8 {
            let (a, b) = pairs::pair(SockType::Stream);
            let fds = ["0", "1", "2", "3", "4", "5"].map(holding);
            fds.chunks(2).for_each(|two| assert_eq!(a.send_fds(b"ab", two).unwrap(), 2));
            drop(fds);
            let (mut expected, mut at) = (Vec::new(), 0);
            for first in [0, 2, 4] {
                let count = (size - at).saturating_sub(header).min(8) / 4;
                expected.extend((first..first + count).map(|k| k.to_string()));
                at += if count > 0 { cmsg::space(4 * count).unwrap().min(size - at) } else { 0 };
            }
            let before = open_count();
            let (mut frame, mut control) = ([0; 6], ControlVec::<()>::with_capacity(size));
            let mut message = b.recv_exact(&mut frame, &mut control).unwrap();
            assert_eq!(open_count(), before + expected.len(), "{size}: {message:?}");
            assert_eq!(message.flags().contains(MsgFlags::CTRUNC), expected.len() < 6, "{size}: {message:?}");
            assert_eq!(contents(message.take_fds()), expected, "{size}");
            assert_eq!((open_count(), &frame), (before, b"ababab"));
        }
    });
}

#[test]
fn what_was_cut_before_it_would_block_is_still_flagged_at_the_end() {
    no_leak(|| {
        let (a, b) = pairs::pair(SockType::Stream);
        b.set_nonblocking(true).unwrap();
        let (mut frame, mut control) = ([0; 4], ControlVec::<()>::with_capacity(0));
        let mut exact = RecvExact::new();
        a.send_fds(b"ab", [&a]).unwrap();
        assert_eq!(exact.recv(&b, &mut frame, &mut control).unwrap_err().kind(), ErrorKind::WouldBlock);
        MsgHdr::new().data(b"cd").send_all(&a).unwrap();
        assert!(exact.recv(&b, &mut frame, &mut control).unwrap().flags().contains(MsgFlags::CTRUNC));
    });
}

/// TR33
#[test]
fn a_peek_with_too_short_a_buffer_gives_the_beginning_and_goes_on() {
    if !has_v6("a_peek_with_too_short_a_buffer_gives_the_beginning_and_goes_on") {
        return;
    }
    no_leak(|| {
        let (receiver, sender) = pair::<Ipv6HopLimit>("::1");
        let text = b"a datagram of 29 bytes, whole";
        sender.send(text).unwrap();
        let mut control = ControlVec::<Ipv6HopLimit>::with_capacity(Ipv6HopLimit::SPACE);
        for room in [25, 25, 0, 28] {
            let mut data = vec![0; room];
            let mut header = MsgHdrMut::new();
            let message = header.data(&mut data).flags(RecvFlags::PEEK).recv(&receiver, &mut control).unwrap();
            assert_eq!((message.len(), message.is_eof()), (room, false));
            assert!(message.flags().contains(MsgFlags::TRUNC) && !message.flags().contains(MsgFlags::CTRUNC));
            assert!(message.extract().is_some());
            assert_eq!(data, &text[..room]);
        }
        let mut data = [0; 64];
        let message = receiver.recv_msg(&mut data, &mut control).unwrap();
        assert_eq!((message.data(), message.require_complete().is_ok()), (&text[..], true));
    });
}

/// IO06
#[test]
fn a_datagram_split_one_way_is_received_split_another_way() {
    const TEXT: &[u8] = b"one-two-six-ten";
    no_leak(|| {
        let (receiver, connected) = pair::<()>("127.0.0.1");
        let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
        let pieces: Vec<_> = TEXT.split_inclusive(|&byte| byte == b'-').map(IoSlice::new).collect();
        for (sender, to) in [(connected, None), (stranger, Some(receiver.local_addr().unwrap()))] {
            for (last, lens) in [(21, vec![1, 2, 4, 4, 4]), (3, vec![1, 2, 4, 4, 3])] {
                assert_eq!(MsgHdr::new().to(to).slices(&pieces).send(&sender).unwrap(), 15);
                let (mut one, mut two, mut three, mut four, mut five) = ([0], [0; 2], [0; 4], [0; 4], vec![0; last]);
                let (mut header, mut control) = (MsgHdrMut::new(), ControlVec::<()>::with_capacity(0));
                header.data(&mut one).data(&mut two).data(&mut three).data(&mut four).data(&mut five);
                let message = header.recv(&receiver, &mut control).unwrap();
                let len = lens.iter().sum::<usize>();
                assert_eq!((message.len(), message.flags().contains(MsgFlags::TRUNC)), (len, len < 15));
                assert_eq!(message.peer(), Some(&sender.local_addr().unwrap().into()));
                assert_eq!(header.filled().map(<[u8]>::len).collect::<Vec<_>>(), lens);
                assert_eq!(header.filled().collect::<Vec<_>>().concat(), TEXT[..len]);
            }
        }
    });
}
