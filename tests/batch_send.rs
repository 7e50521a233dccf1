//! Batches that are sent: what each message carries, what is refused and told of which message, and what goes on.

#![cfg(target_os = "linux")]

mod common;

use std::{
    fs,
    io::{IoSlice, Read},
    net::{Ipv4Addr, SocketAddr, UdpSocket},
};

use ancillary::{
    ControlList, EncodeError, FamilyError, RecvFlags, SendFlags, SockAddr, SocketExt,
    batch::{RecvBatch, SendBatch},
    message::{ExtendedError, HopLimit, IpTtl, PktInfo, TrafficClass, UdpSegment},
};
use common::{
    again::without_batch_calls,
    batches::{collect, texts},
    cause, has_v6,
    pairs::{DUAL, KINDS, V4, V6, bound, closed, datagrams, errno, pair, stream, tcp, udp},
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
    let (name, text) = (SockAddr::from(to_v6), "by reference".to_owned());
    let slices = [IoSlice::new(text[..3].as_bytes()), IoSlice::new(text[3..].as_bytes())];
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
        batch.message().to(&name).slices(&slices).control_from(&list).queue().unwrap();
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
    let borrowed = SockAddr::from(mapped(to));
    let mut room = SendBatch::new(5);
    for pattern in 0..32u8 {
        let mut batch = room.begin();
        let numbers = [0, 1, 2, 3, 4u8].map(|k| [k]);
        for number in &numbers {
            let mut message = batch.message();
            match (pattern >> number[0] & 1, number[0] % 2) {
                (0, _) => message.to(to),
                (_, 0) => message.to(&borrowed),
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
fn a_message_that_cannot_be_built_is_not_in_the_batch_and_takes_no_room() {
    let (receiver, sender) = udp(V4);
    receiver.enable::<IpTtl>().unwrap();
    let mut room = SendBatch::with_room(3, 6, 72);
    let many = [IoSlice::new(b"x"); 7];
    let mut batch = room.begin();
    for (k, number) in [b"0", b"1", b"2"].into_iter().enumerate() {
        let value = EncodeError::Value { field: "IP_TTL", expected: "1..=255", found: 0 };
        assert_eq!(batch.message().data(b"bad").control(IpTtl(0)).queue(), Err(value));
        let mut message = batch.message();
        let left = 6 - 2 * k;
        let slices = EncodeError::Slices { needed: left + 1, available: left };
        (0..=left).for_each(|_| {
            message.data(b"x");
        });
        assert_eq!(message.control(IpTtl(1)).queue(), Err(slices));
        // Once more, with the error that was first.
        assert_eq!(message.control(IpTtl(0)).queue(), Err(slices));
        let slices = EncodeError::Slices { needed: 8, available: left };
        assert_eq!(batch.message().slices(&many).data(b"x").queue(), Err(slices));
        let left = 72 - 24 * k;
        let space = EncodeError::ControlSpace { needed: left + 24, available: left };
        let messages = vec![IpTtl(9); left / 24 + 1];
        assert_eq!(batch.message().data(b"x").control(&messages[..]).queue(), Err(space));
        // Dropped, and forgotten.
        batch.message().data(b"dropped").control(IpTtl(99)).to(None::<SocketAddr>);
        let mut forgotten = batch.message();
        forgotten.data(b"forgotten").control(IpTtl(88));
        std::mem::forget(forgotten);
        assert_eq!((batch.len(), batch.is_empty(), batch.is_full()), (k, k == 0, false));
        batch.message().data(b"n").data(number).control(IpTtl(k as u8 + 50)).queue().unwrap();
    }
    assert!(batch.is_full());
    let full = EncodeError::Messages { available: 3 };
    assert_eq!(batch.message().queue(), Err(full));
    // What has been told of a message that does not fit is still the first error.
    assert!(matches!(batch.message().data(b"x").queue(), Err(EncodeError::Slices { available: 0, .. })));
    assert_eq!((batch.message().slices(&many).queue(), batch.len()), (Err(full), 3));
    assert_eq!(batch.send_all(&sender).unwrap(), 3);
    let found = collect(&mut RecvBatch::<IpTtl>::new(9, 8), &receiver, 3, |m| (m.data().to_vec(), m.extract()));
    let expected = [(b"n0", 50), (b"n1", 51), (b"n2", 52)].map(|(data, ttl)| (data.to_vec(), Some(IpTtl(ttl))));
    assert_eq!(found, expected);
    let mut none = SendBatch::new(0);
    let mut batch = none.begin();
    assert_eq!(batch.message().queue(), Err(EncodeError::Messages { available: 0 }));
    assert_eq!((batch.is_full(), batch.send_all(&sender).unwrap(), batch.skip()), (true, 0, false));
}

#[test]
fn a_message_is_queued_once() {
    let (a, b) = datagrams();
    let (list, slices) = (ControlList::new(IpTtl(9)).unwrap(), [IoSlice::new(b"x"); 3]);
    let mut room = SendBatch::new(3);
    let mut batch = room.begin();
    let mut message = batch.message();
    message.data(b"once").queue().unwrap();
    assert_eq!(message.queue(), Err(EncodeError::Queued));
    // What is added to it later is not.
    assert_eq!(message.data(b"more").control(IpTtl(0)).queue(), Err(EncodeError::Queued));
    assert_eq!(message.control_from(&list).slices(&slices).queue(), Err(EncodeError::Queued));
    assert!(!format!("{message:?}").is_empty());
    batch.message().data(b"twice").queue().unwrap();
    assert_eq!(format!("{batch:?}"), "Batch { sent: 0 of 2, messages: [4 bytes, 5 bytes] }");
    assert_eq!((batch.send_all(&a).unwrap(), batch.len()), (2, 2));
    assert_eq!(texts(&mut RecvBatch::<()>::new(9, 8), &b, 2), ["once", "twice"]);
    // What has gone is still shown, and more can follow.
    batch.message().data(b"later").queue().unwrap();
    assert_eq!(format!("{batch:?}"), "Batch { sent: 2 of 3, messages: [4 bytes, 5 bytes, 5 bytes] }");
    assert_eq!((batch.send_all(&a).unwrap(), batch.is_full()), (1, true));
    assert_eq!(texts(&mut RecvBatch::<()>::new(9, 8), &b, 1), ["later"]);
    assert_eq!(format!("{room:?}"), "SendBatch { capacity: 3 }");
}

#[test]
fn debug_says_where_to_and_with_which_messages() {
    let mut room = SendBatch::new(2);
    let mut batch = room.begin();
    assert_eq!(format!("{batch:?}"), "Batch { sent: 0 of 0, messages: [] }");
    let to: SocketAddr = "192.0.2.7:9".parse().unwrap();
    batch.message().to(to).data(b"abc").data(b"de").control(IpTtl(9)).queue().unwrap();
    batch.message().queue().unwrap();
    let expected = "Batch { sent: 0 of 2, messages: [5 bytes to 192.0.2.7:9 with [{IP_TTL 9}], 0 bytes] }";
    assert_eq!(format!("{batch:?}"), expected);
}

#[test]
fn a_batch_is_used_for_many_rounds_of_any_size() {
    let (a, b) = datagrams();
    let (mut room, mut received) = (SendBatch::with_room(8, 16, 0), RecvBatch::<()>::new(8, 64));
    for round in 0..200 {
        let data: Vec<_> = (0..round % 9).map(|k| format!("{round}.{k}")).collect();
        let mut batch = room.begin();
        for (k, text) in data.iter().enumerate() {
            let (head, tail) = text.split_at(text.len() / 2);
            let mut message = batch.message();
            if (round + k) % 3 == 0 {
                message.data(text.as_bytes());
            } else {
                message.data(head.as_bytes()).data(tail.as_bytes());
            }
            message.queue().unwrap();
        }
        match round % 5 {
            // Neither sent nor dropped.
            0 => std::mem::forget(batch),
            1 => drop(batch),
            _ => {
                assert_eq!(batch.send_all(&a).unwrap(), data.len());
                assert_eq!(texts(&mut received, &b, data.len()), data);
            }
        }
    }
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
fn a_list_of_1024_slices_goes_by_reference_and_a_longer_one_is_refused() {
    let (receiver, sender) = udp(V4);
    let data: Vec<u8> = (0..1025u16).map(|k| k as u8).collect();
    let slices: Vec<_> = data.chunks(1).map(IoSlice::new).collect();
    let mut room = SendBatch::with_room(4, 1, 0);
    let mut batch = room.begin();
    batch.message().data(b"before").queue().unwrap();
    batch.message().slices(&slices[..1024]).queue().unwrap();
    batch.message().slices(&slices).queue().unwrap();
    batch.message().slices(&slices[..3]).queue().unwrap();
    let error = batch.send_all(&sender).unwrap_err();
    assert_eq!(cause(&error), Some(EncodeError::Slices { needed: 1025, available: 1024 }));
    assert_eq!((batch.sent(), batch.skip(), batch.send_all(&sender).unwrap()), (2, true, 1));
    let found = collect(&mut RecvBatch::<()>::new(4, 2000), &receiver, 3, |m| m.data().to_vec());
    assert_eq!(found, [b"before", &data[..1024], &data[..3]]);
}

#[test]
fn a_list_of_control_messages_needs_no_room() {
    let (receiver, sender) = udp(V4);
    receiver.enable::<(HopLimit, TrafficClass)>().unwrap();
    let mut long = vec![(HopLimit(1), TrafficClass(4)); 30];
    long.push((HopLimit(99), TrafficClass(8)));
    let long = ControlList::new(&long[..]).unwrap();
    let mut room = SendBatch::with_room(3, 3, 48);
    let mut batch = room.begin();
    batch.message().data(b"a").control_from(&long).queue().unwrap();
    // Beside another message it is copied, and does not fit.
    let refused = batch.message().data(b"b").control_from(&long).control(IpTtl(9)).queue();
    assert!(matches!(refused, Err(EncodeError::ControlSpace { available: 48, .. })), "{refused:?}");
    batch.message().data(b"b").control(IpTtl(9)).control(TrafficClass(0)).queue().unwrap_err();
    batch.message().data(b"b").control(IpTtl(9)).queue().unwrap();
    batch.message().data(b"c").control_from(&long).queue().unwrap();
    assert_eq!(batch.send_all(&sender).unwrap(), 3);
    let found = collect(&mut RecvBatch::<(HopLimit, TrafficClass)>::new(3, 4), &receiver, 3, |m| m.extract());
    let listed = (Some(HopLimit(99)), Some(TrafficClass(8)));
    assert_eq!(found, [listed, (Some(HopLimit(9)), Some(TrafficClass(0))), listed]);
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

#[cfg(feature = "bytes")]
#[test]
fn buffers_of_many_chunks_are_gathered_where_there_is_room() {
    use bytes::Buf;
    let (receiver, sender) = udp(V4);
    let chain = Buf::chain(&b"a"[..], &b"bc"[..]).chain(&b"def"[..]);
    let mut room = SendBatch::with_room(3, 7, 0);
    let mut batch = room.begin();
    batch.message().buf(&chain).queue().unwrap();
    batch.message().data(b"-").buf(&chain).queue().unwrap();
    let gather = EncodeError::Gather { expected: 6, found: 0 };
    assert_eq!(batch.message().buf(&chain).queue(), Err(gather));
    batch.message().queue().unwrap();
    assert_eq!(batch.send_all(&sender).unwrap(), 3);
    assert_eq!(texts(&mut RecvBatch::<()>::new(3, 8), &receiver, 3), ["abcdef", "-abcdef", ""]);
}

/// Whether SIGPIPE is pending for this thread.
fn sigpipe_is_pending() -> bool {
    let status = fs::read_to_string("/proc/thread-self/status").unwrap();
    let pending = status.lines().find_map(|line| line.strip_prefix("SigPnd:")).unwrap();
    u64::from_str_radix(pending.trim(), 16).unwrap() & (1 << (libc::SIGPIPE - 1)) != 0
}

#[test]
fn a_peer_that_is_gone_raises_no_signal() {
    let sigpipe: SigSet = [Signal::SIGPIPE].into_iter().collect();
    sigpipe.thread_block().unwrap();
    let mut room = SendBatch::new(2);
    for kind in KINDS {
        let (a, b) = pair(kind);
        drop(b);
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
