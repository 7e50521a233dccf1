//! Batches that are sent: what each message carries, whose an error is, and what goes on behind it.

#![cfg(target_os = "linux")]

mod common;

use std::{
    io::{ErrorKind, IoSlice, Read},
    net::{Ipv4Addr, SocketAddr, UdpSocket},
};

use ancillary::{
    ControlList, EncodeError, FamilyError, RecvFlags, SendFlags, SockAddr, SocketExt,
    batch::{RecvBatch, SendBatch},
    message::{ExtendedError, HopLimit, PktInfo, TrafficClass, UdpSegment},
};
use common::{
    again::without_batch_calls,
    batches::{collect, texts},
    cause, has_v6,
    pairs::{DUAL, KINDS, V4, V6, bound, closed, datagrams, errno, pair, sigpipe_is_pending, stream, tcp, udp},
    starting::gone,
};
use nix::{
    libc,
    sys::signal::{SigSet, Signal},
};

type Meta = (HopLimit, TrafficClass, PktInfo);

/// The same address as IPv6 has it.
fn mapped(addr: SocketAddr) -> SocketAddr {
    match addr {
        SocketAddr::V4(v4) => (v4.ip().to_ipv6_mapped(), v4.port()).into(),
        v6 => v6,
    }
}

fn meta(batch: &mut RecvBatch<Meta>, receiver: &UdpSocket, count: usize) -> Vec<(String, u8, u8, String, String)> {
    collect(batch, receiver, count, |m| {
        let (hops, class, info) = m.extract();
        let from = m.peer().unwrap().as_inet().unwrap().ip();
        let text = String::from_utf8(m.data().to_vec()).unwrap();
        (text, hops.unwrap().0, class.unwrap().0, info.unwrap().addr().to_string(), from.to_string())
    })
}

#[test]
fn each_message_goes_its_own_way_in_both_families() {
    if !has_v6("each_message_goes_its_own_way_in_both_families") {
        return;
    }
    let (v4, v6, sender) = (bound(V4), bound(V6), bound(DUAL));
    v4.enable::<Meta>().unwrap();
    v6.enable::<Meta>().unwrap();
    let (to_v4, to_v6) = (mapped(v4.local_addr().unwrap()), v6.local_addr().unwrap());
    let (mut room, mut received) = (SendBatch::new(8), RecvBatch::<Meta>::new(3, 64));
    // Lists that are borrowed, and names, beside what the batch keeps.
    let (name, text) = (&SockAddr::from(to_v6), b"by reference");
    let slices = [IoSlice::new(&text[..3]), IoSlice::new(&text[3..])];
    let list = ControlList::new((HopLimit(77), TrafficClass(0x50))).unwrap();
    for round in 0..3u8 {
        let digit = [b'0' + round];
        let mut batch = room.begin();
        batch.message().to(to_v4).data(b"a").data(&digit).control(HopLimit(10 + round)).queue().unwrap();
        batch.message().to(to_v6).data(b"b").data(&digit).control(TrafficClass(0x20)).queue().unwrap();
        let source = PktInfo::source(Ipv4Addr::new(127, 0, 0, 9));
        let both = (HopLimit(20 + round), TrafficClass(0x40));
        let refused = batch.message().to(to_v6).control(both).data(b"other").to(to_v4).queue();
        let expected = EncodeError::Destination { expected: libc::AF_INET6, found: libc::AF_INET };
        assert_eq!(refused, Err(expected));
        batch.message().to(to_v4).control(both).control(source).data(b"c").data(&digit).queue().unwrap();
        batch.message().to(name).slices(&slices).control_from(&list).queue().unwrap();
        batch.message().to(to_v6).control_from(&list).control(TrafficClass(0x60)).data(&digit).queue().unwrap();
        batch.message().data(b"plain").to(to_v4).queue().unwrap();
        assert_eq!((batch.len(), batch.send_all(&sender).unwrap()), (6, 6));

        let row = |text: &str, hops, class, to: &str, from: &str| {
            (text.to_owned(), hops, class, to.to_owned(), from.to_owned())
        };
        let local = "127.0.0.1";
        let expected = [
            row(&format!("a{round}"), 10 + round, 0, local, local),
            row(&format!("c{round}"), 20 + round, 0x40, local, "127.0.0.9"),
            row("plain", 64, 0, local, local),
        ];
        assert_eq!(meta(&mut received, &v4, 3), expected);
        let expected = [
            row(&format!("b{round}"), 64, 0x20, "::1", "::1"),
            row("by reference", 77, 0x50, "::1", "::1"),
            row(&round.to_string(), 77, 0x60, "::1", "::1"),
        ];
        assert_eq!(meta(&mut received, &v6, 3), expected);
    }
}

#[test]
fn a_mapped_address_is_reached_from_an_ipv4_socket_wherever_it_stands() {
    let (receiver, sender) = (bound(V4), bound(V4));
    receiver.enable::<HopLimit>().unwrap();
    let to = receiver.local_addr().unwrap();
    let borrowed = &SockAddr::from(mapped(to));
    let mut room = SendBatch::new(5);
    for pattern in 0..32u8 {
        let mut batch = room.begin();
        let numbers = [0, 1, 2, 3, 4u8].map(|k| [k]);
        for number in &numbers {
            let mut message = batch.message();
            match (pattern >> number[0] & 1, number[0] % 2) {
                (0, _) => message.to(to),
                (_, 0) => message.to(borrowed),
                _ => message.to(mapped(to)),
            };
            message.data(number).control(HopLimit(40 + number[0])).queue().unwrap();
        }
        assert_eq!(batch.send_all(&sender).unwrap(), 5);
        let mut received = RecvBatch::<HopLimit>::new(5, 8);
        let found = collect(&mut received, &receiver, 5, |m| (m.data()[0], m.extract().unwrap().0));
        assert_eq!(found, [(0, 40), (1, 41), (2, 42), (3, 43), (4, 44)], "{pattern:05b}");
    }
    // Another family's address is the error of its own message.
    let mut batch = room.begin();
    let foreign: SocketAddr = "[::1]:9".parse().unwrap();
    for (addr, data) in [(to, b"a"), (foreign, b"b"), (mapped(to), b"c")] {
        batch.message().to(addr).data(data).queue().unwrap();
    }
    for _ in 0..2 {
        let error = batch.send_all(&sender).unwrap_err();
        assert_eq!(batch.sent(), 1);
        assert_eq!((cause::<FamilyError>(&error).unwrap().found, batch.len()), (libc::AF_INET6, 3));
    }
    assert!(batch.skip());
    assert_eq!((batch.send_all(&sender).unwrap(), batch.sent(), batch.skip()), (1, 3, false));
    assert_eq!(texts(&mut RecvBatch::<()>::new(8, 8), &receiver, 2), ["a", "c"]);
}

#[test]
fn an_error_is_that_of_its_message_wherever_it_stands() {
    let (receiver, sender) = udp(V4);
    let too_long = vec![0; 70_000];
    let names: Vec<_> = (0..6).map(|k| k.to_string()).collect();
    let mut room = SendBatch::new(6);
    let mut received = RecvBatch::<()>::new(6, 16);
    for bad in 0..64u8 {
        let is_bad = |k: usize| bad >> k & 1 == 1;
        let mut batch = room.begin();
        for (k, name) in names.iter().enumerate() {
            let data = if is_bad(k) { &too_long } else { name.as_bytes() };
            batch.message().data(data).queue().unwrap();
        }
        let mut refused = Vec::new();
        for _ in 0..=6 {
            match batch.send_all(&sender) {
                Ok(_) => break,
                Err(error) => {
                    assert_eq!(error.raw_os_error(), Some(libc::EMSGSIZE));
                    refused.push(batch.sent());
                    assert!(batch.skip());
                }
            }
        }
        assert_eq!((batch.sent(), batch.skip()), (6, false));
        assert_eq!(refused, (0..6).filter(|k| is_bad(*k)).collect::<Vec<_>>());
        let good: Vec<_> = (0..6).filter(|k| !is_bad(*k)).map(|k| k.to_string()).collect();
        assert_eq!(texts(&mut received, &receiver, good.len()), good);
    }
}

#[test]
fn segments_go_beside_whole_messages() {
    for addr in common::pairs::addrs("segments_go_beside_whole_messages") {
        let (receiver, sender) = udp(addr);
        let data: Vec<u8> = (0..250).collect();
        let mut room = SendBatch::new(3);
        let mut batch = room.begin();
        batch.message().data(&data[..120]).data(&data[120..]).control(UdpSegment(100)).queue().unwrap();
        batch.message().data(&data).queue().unwrap();
        batch.message().data(&data[..60]).control((HopLimit(9), UdpSegment(20))).queue().unwrap();
        assert_eq!(batch.send_all(&sender).unwrap(), 3);
        let found = collect(&mut RecvBatch::<()>::new(4, 300), &receiver, 7, |m| m.data().to_vec());
        let pieces = data.chunks(100).chain([&data[..]]).chain(data[..60].chunks(20));
        assert_eq!(found, pieces.collect::<Vec<_>>());
    }
}

#[test]
fn flags_are_those_of_the_call_and_zero_copy_is_refused() {
    let (a, b) = datagrams();
    let mut room = SendBatch::new(300);
    let mut batch = room.begin();
    batch.message().data(b"x").queue().unwrap();
    batch.flags(SendFlags::from_bits_retain(0x0400_0000));
    for _ in 0..2 {
        let error = batch.send_all(&a).unwrap_err();
        assert!(matches!(cause(&error), Some(EncodeError::Flag { flag: "MSG_ZEROCOPY", .. })), "{error}");
        assert_eq!(batch.sent(), 0);
    }
    let mut batch = room.begin();
    for _ in 0..300 {
        batch.message().data(b"y").queue().unwrap();
    }
    // A socket that blocks, and is full before.
    let error = batch.flags(SendFlags::DONTWAIT).send_all(&a).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EAGAIN));
    let sent = batch.sent();
    assert_eq!(texts(&mut RecvBatch::<()>::new(32, 4), &b, sent), vec!["y"; sent]);
}

/// EQ10
#[test]
fn the_pending_error_of_a_connection_takes_no_message_with_it() {
    let (to, _closed) = closed(Ipv4Addr::LOCALHOST.into());
    let sender = bound(V4);
    sender.connect(to).unwrap();
    sender.enable::<ExtendedError>().unwrap();
    let (mut room, data) = (SendBatch::new(5), [b"0", b"1", b"2", b"3", b"4"]);
    let mut batch = room.begin();
    data.iter().for_each(|data| batch.message().data(*data).queue().unwrap());
    // Each that went has made the next one fail once.
    for _ in 0..=5 {
        match batch.send_all(&sender) {
            Ok(_) => break,
            Err(error) => assert_eq!(error.raw_os_error(), Some(libc::ECONNREFUSED)),
        }
    }
    assert_eq!(batch.sent(), 5);
    let mut queue = RecvBatch::<ExtendedError>::new(8, 8);
    queue.flags(RecvFlags::ERRQUEUE);
    assert_eq!(collect(&mut queue, &sender, 5, |m| m.data().to_vec()), data);
}

/// One client's trouble is not the others'; what a message does not deserve is tried again.
#[test]
fn what_is_refused_twice_is_left_out_and_nothing_else() {
    let receiver = bound(V4);
    let (dead, _closed) = closed(Ipv4Addr::LOCALHOST.into());
    let (to, too_long, mut room) = (receiver.local_addr().unwrap(), vec![0; 70_000], SendBatch::new(6));
    let lost = || {
        let socket = bound(V4);
        socket.enable::<ExtendedError>().unwrap();
        socket.send_to(b"x", dead).unwrap();
        socket
    };
    for sender in [bound(V4), lost()] {
        let mut batch = room.begin();
        let ports = [to.port(), 0, to.port(), to.port(), to.port(), 0];
        for (k, port) in ports.into_iter().enumerate() {
            let data = [&b"0"[..], b"1", b"2", &too_long, b"4", b"5"][k];
            batch.message().to((Ipv4Addr::LOCALHOST, port)).data(data).queue().unwrap();
        }
        let mut refused = Vec::new();
        let went = batch.send_each(&sender, |number, error| refused.push((number, error.raw_os_error()))).unwrap();
        let expected = [(1, libc::EINVAL), (3, libc::EMSGSIZE), (5, libc::EINVAL)].map(|(k, e)| (k, Some(e)));
        assert_eq!((went, &refused[..]), (3, &expected[..]));
        assert_eq!(texts(&mut RecvBatch::<()>::new(6, 16), &receiver, 3), ["0", "2", "4"]);
        assert_eq!(batch.send_each(&sender, |_, _| panic!("all are dealt with")).unwrap(), 0);
    }
    // A full socket, and a stream, whose messages cannot be left out.
    let (a, b) = datagrams();
    a.set_nonblocking(true).unwrap();
    let mut many = SendBatch::new(2000);
    let mut batch = many.begin();
    (0..2000).for_each(|_| batch.message().data(b"much").queue().unwrap());
    let error = batch.send_each(&a, |_, _| panic!("none is left out")).unwrap_err();
    assert!(error.kind() == ErrorKind::WouldBlock && batch.sent() < 2000);
    drop(b);
    let (a, b) = stream();
    gone(b);
    let mut batch = room.begin();
    batch.message().data(b"x").queue().unwrap();
    let error = batch.send_each(&a, |_, _| panic!("none is left out")).unwrap_err();
    assert_eq!((error.raw_os_error(), batch.sent()), (Some(libc::EPIPE), 0));
}

#[test]
fn a_peer_that_is_gone_raises_no_signal() {
    let sigpipe: SigSet = [Signal::SIGPIPE].into_iter().collect();
    sigpipe.thread_block().unwrap();
    let mut room = SendBatch::new(2);
    for kind in KINDS {
        let (a, b) = pair(kind);
        gone(b);
        let mut batch = room.begin();
        batch.message().data(b"x").queue().unwrap();
        batch.message().data(b"y").queue().unwrap();
        for _ in 0..2 {
            let error = errno(batch.send_all(&a));
            assert!([libc::EPIPE, libc::ECONNREFUSED, libc::ENOTCONN].contains(&error), "{kind:?}: {error}");
        }
        assert_eq!(batch.sent(), 0);
    }
    assert!(!sigpipe_is_pending());
}

/// FL05
#[test]
fn on_a_stream_messages_follow_each_other_without_a_gap() {
    let (a, mut b) = stream();
    let (mut receiver, sender) = tcp(V4);
    let mut room = SendBatch::new(4);
    let mut send = |socket: &dyn std::os::fd::AsFd| {
        let mut batch = room.begin();
        batch.message().data(b"hel").data(b"lo").queue().unwrap();
        batch.message().queue().unwrap(); // nothing at all
        batch.message().data(b"").data(b", ").queue().unwrap();
        batch.message().data(b"world").queue().unwrap();
        assert_eq!(batch.send_all(socket.as_fd()).unwrap(), 4);
    };
    send(&a);
    send(&sender);
    for stream in [&mut b as &mut dyn Read, &mut receiver] {
        let mut data = [0; 12];
        stream.read_exact(&mut data).unwrap();
        assert_eq!(&data, b"hello, world");
    }
}

#[test]
fn all_this_holds_where_the_system_has_no_such_calls() {
    without_batch_calls("all_this_holds_where_the_system_has_no_such_calls");
}
