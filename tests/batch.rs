//! Batches both ways: what each message has of its own, and how many go and come in a call.

#![cfg(target_os = "linux")]

mod common;

use std::{
    io::{ErrorKind, IoSliceMut, Read},
    net::UdpSocket,
    os::unix::net::UnixDatagram,
    thread,
    time::SystemTime,
};

use ancillary::{
    MsgFlags, RecvFlags, SocketExt,
    batch::{RecvBatch, SendBatch},
    cmsg,
    message::{IpTtl, ScmTimestamping, Timestamp},
};
use common::{
    again::without_batch_calls,
    batches::{collect, texts},
    pairs::{V4, addrs, bound, datagrams, errno, tcp, udp},
};
use nix::{libc, unistd::pipe};

/// Sends each of these as a message of its own.
fn send_all(room: &mut SendBatch, socket: &UdpSocket, all: &[&[u8]]) {
    let mut batch = room.begin();
    for data in all {
        batch.message().data(data).queue().unwrap();
    }
    assert_eq!(batch.send_all(socket).unwrap(), all.len());
}

/// BA01
#[test]
fn a_message_that_is_cut_says_so_and_no_other() {
    for addr in addrs("a_message_that_is_cut_says_so_and_no_other") {
        let (receiver, sender) = udp(addr);
        for (flags, cut) in [(RecvFlags::empty(), 5), (RecvFlags::TRUNC, 6)] {
            let (mut room, mut batch) = (SendBatch::new(2), RecvBatch::<()>::new(2, 0));
            let mut out = room.begin();
            out.message().data(b"one").data(b"two").queue().unwrap();
            out.message().data(b"three\0").queue().unwrap();
            assert_eq!(out.send(&sender).unwrap(), 2);

            let (mut whole, mut short) = ([0; 6], [0; 5]);
            let mut buffers = [IoSliceMut::new(&mut whole), IoSliceMut::new(&mut short)];
            let mut messages = batch.flags(flags).recv_into(&receiver, &mut buffers, 1).unwrap();
            let (one, two) = (messages.next().unwrap(), messages.next().unwrap());
            assert!(messages.next().is_none() && messages.next().is_none());
            assert_eq!((one.len(), one.full_len(), two.len(), two.full_len()), (6, 6, 5, cut));
            assert!(!one.flags().contains(MsgFlags::TRUNC) && two.flags().contains(MsgFlags::TRUNC));
            assert!(one.require_complete().is_ok() && two.require_complete().unwrap_err().data);
            assert_eq!((&whole, &short), (b"onetwo", b"three"));
        }
    }
}

/// BA02
#[test]
fn messages_go_to_two_receivers_in_turn() {
    for addr in addrs("messages_go_to_two_receivers_in_turn") {
        let (a, b, sender) = (bound(addr), bound(addr), bound(addr));
        let texts_sent: Vec<_> = (0..16).map(|k| format!("{:>width$}", k, width = 10 + k)).collect();
        let mut room = SendBatch::new(16);
        let mut batch = room.begin();
        for (text, to) in texts_sent.iter().zip([&a, &b].into_iter().cycle()) {
            batch.message().to(to.local_addr().unwrap()).data(text.as_bytes()).queue().unwrap();
        }
        assert_eq!((batch.len(), batch.is_full(), batch.sent()), (16, true, 0));
        assert_eq!((batch.send(&sender).unwrap(), batch.sent(), batch.send(&sender).unwrap()), (16, 16, 0));
        for (receiver, first) in [(&a, 0), (&b, 1)] {
            let expected: Vec<_> = texts_sent.iter().skip(first).step_by(2).cloned().collect();
            assert_eq!(texts(&mut RecvBatch::<()>::new(3, 64), receiver, 8), expected);
        }
    }
}

/// BA03, FL08
#[test]
fn slots_without_a_message_are_not_touched() {
    for slots in [2, 4] {
        let (receiver, sender) = udp(V4);
        let mut batch = RecvBatch::<()>::new(slots, 4);
        batch.flags(RecvFlags::DONTWAIT);
        send_all(&mut SendBatch::new(2), &sender, &[b"ab", b"cdef"]);
        let mut buffers = [[b'x'; 4]; 4];
        let mut lists: Vec<_> = buffers.iter_mut().map(|buffer| IoSliceMut::new(buffer)).collect();
        let messages = batch.recv_into(&receiver, &mut lists, 1).unwrap();
        assert_eq!(messages.size_hint(), (2, Some(2)));
        let from = sender.local_addr().unwrap();
        let found: Vec<_> = messages.map(|m| (m.len(), m.peer().unwrap().as_inet().unwrap())).collect();
        assert_eq!(found, [(2, from), (4, from)]);
        assert_eq!(buffers, [*b"abxx", *b"cdef", *b"xxxx", *b"xxxx"]);
        assert_eq!(batch.recv(&receiver).unwrap_err().kind(), ErrorKind::WouldBlock);
        assert_eq!(batch.received().count(), 0);
    }
}

/// BA04
#[test]
fn a_message_gathered_from_one_buffer_is_scattered_over_five() {
    let parts = [&b"HELLO"[..], b"-", b"R", b"", b"-U-THERE"];
    let joined = parts.concat();
    for dialed in [true, false] {
        for reversed in [false, true] {
            let (receiver, sender) = (bound(V4), bound(V4));
            let to = receiver.local_addr().unwrap();
            if dialed {
                sender.connect(to).unwrap();
            }
            let (to, whole) = ((!dialed).then_some(to), [&joined[..]]);
            let mut room = SendBatch::new(2);
            let mut batch = room.begin();
            for scattered in [reversed, !reversed] {
                let mut message = batch.message();
                message.to(to);
                for part in if scattered { &parts[..] } else { &whole } {
                    message.data(part);
                }
                message.queue().unwrap();
            }
            assert_eq!(batch.send_all(&sender).unwrap(), 2);

            let mut data = [[0; 20]; 2];
            let [one, two] = &mut data;
            let mut buffers: Vec<_> = one.chunks_mut(4).chain(two.chunks_mut(4)).map(IoSliceMut::new).collect();
            let mut batch = RecvBatch::<()>::new(2, 0);
            let lens: Vec<_> = batch.recv_into(&receiver, &mut buffers, 5).unwrap().map(|m| m.len()).collect();
            assert_eq!(lens, [joined.len(); 2]);
            assert!(data.iter().all(|data| data.starts_with(&joined)));
        }
    }
}

/// BA07
#[test]
fn a_call_takes_none_or_1024_and_send_all_takes_all() {
    let (mut receiver, sender) = tcp(V4);
    let mut room = SendBatch::new(2050);
    assert_eq!((room.begin().send(&sender).unwrap(), room.begin().send_all(&sender).unwrap()), (0, 0));
    let numbers: Vec<_> = (0..2050u16).map(u16::to_be_bytes).collect();
    let mut batch = room.begin();
    for number in &numbers[..1025] {
        batch.message().data(number).queue().unwrap();
    }
    assert_eq!((batch.send(&sender).unwrap(), batch.sent()), (1024, 1024));
    assert_eq!((batch.send(&sender).unwrap(), batch.send(&sender).unwrap(), batch.sent()), (1, 0, 1025));
    for number in &numbers[1025..] {
        batch.message().data(number).queue().unwrap();
    }
    assert_eq!((batch.send_all(&sender).unwrap(), batch.sent()), (1025, 2050));

    let mut all = vec![0; 1000];
    receiver.read_exact(&mut all).unwrap();
    let mut batch = RecvBatch::<()>::new(1025, 2);
    let mut calls = Vec::new();
    while all.len() < 4100 {
        let messages = batch.recv(&receiver).unwrap();
        calls.push(messages.len());
        all.extend(messages.flat_map(|message| message.data().to_vec()));
    }
    assert_eq!(all, numbers.concat());
    // recvmmsg(2) has no such limit.
    assert_eq!(calls[0], 1025);
}

/// BA07
#[test]
fn thousands_of_datagrams_go_by_one_send_all() {
    const EACH: usize = 100;
    let (receivers, sender): (Vec<_>, _) = ((0..25).map(|_| bound(V4)).collect(), bound(V4));
    let mut room = SendBatch::with_room(25 * EACH, 25 * EACH, 0);
    let (mut batch, texts_sent) = (room.begin(), (0..EACH).map(|k| k.to_string()).collect::<Vec<_>>());
    for text in &texts_sent {
        for receiver in &receivers {
            batch.message().to(receiver.local_addr().unwrap()).data(text.as_bytes()).queue().unwrap();
        }
    }
    assert_eq!(batch.send_all(&sender).unwrap(), 25 * EACH);
    let mut batch = RecvBatch::<()>::new(64, 16);
    for receiver in &receivers {
        assert_eq!(texts(&mut batch, receiver, EACH), texts_sent);
    }
}

/// BA08
#[test]
fn a_receive_waits_for_one_message_not_for_all() {
    let (a, b) = datagrams();
    let mut batch = RecvBatch::<()>::new(3, 16);
    thread::scope(|scope| {
        scope.spawn(|| a.send(b"one").unwrap());
        assert_eq!(texts(&mut batch, &b, 1), ["one"]);
    });
    batch.flags(RecvFlags::DONTWAIT);
    for _ in 0..2 {
        assert_eq!(errno(batch.recv(&b).map(|_| ())), libc::EAGAIN);
    }
    a.send(b"two").unwrap();
    assert_eq!(texts(&mut batch, &b, 1), ["two"]);
}

/// BA11
#[test]
fn each_message_has_its_own_flags_and_control_data() {
    let (receiver, sender) = udp(V4);
    receiver.enable::<IpTtl>().unwrap();
    let mut room = SendBatch::new(2);
    let mut out = room.begin();
    out.message().data(&[1; 10]).control(IpTtl(11)).queue().unwrap();
    out.message().data(&[2; 2]).control(IpTtl(22)).queue().unwrap();
    assert_eq!(out.send(&sender).unwrap(), 2);
    let space = cmsg::space(4).unwrap();
    let mut batch = RecvBatch::<IpTtl>::with_control(2, 4, space);
    let found = collect(&mut batch, &receiver, 2, |message| {
        let cut = |flag| message.flags().contains(flag);
        assert_eq!(message.control_bytes().len(), space);
        (message.data().to_vec(), cut(MsgFlags::TRUNC), cut(MsgFlags::CTRUNC), message.extract())
    });
    assert_eq!(found, [(vec![1; 4], true, false, Some(IpTtl(11))), (vec![2; 2], false, false, Some(IpTtl(22)))]);
}

/// BA14, NB01
#[test]
fn a_batch_that_would_block_in_the_middle_goes_on_and_doubles_nothing() {
    let (a, b) = UnixDatagram::pair().unwrap();
    a.set_nonblocking(true).unwrap();
    b.set_nonblocking(true).unwrap();
    let numbers: Vec<_> = (0..600).map(|k| k.to_string()).collect();
    let (mut room, mut received) = (SendBatch::new(600), RecvBatch::<()>::new(50, 16));
    let mut batch = room.begin();
    for number in &numbers {
        batch.message().data(number.as_bytes()).queue().unwrap();
    }
    let (mut all, mut blocked) = (Vec::new(), 0);
    while batch.sent() < 600 {
        if let Err(error) = batch.send_all(&a) {
            assert_eq!((error.kind(), error.raw_os_error()), (ErrorKind::WouldBlock, Some(libc::EAGAIN)));
            blocked += 1;
            let sent = batch.sent();
            // Nothing goes by a call that says so.
            assert_eq!((errno(batch.send(&a)), batch.sent()), (libc::EAGAIN, sent));
            let there = sent - all.len();
            assert!(there > 0);
            let mut some = received.recv(&b).unwrap();
            assert_eq!(some.len(), there.min(50));
            all.extend(some.by_ref().map(|message| String::from_utf8(message.data().to_vec()).unwrap()));
        }
    }
    assert!(blocked > 0);
    let left = 600 - all.len();
    all.extend(texts(&mut received, &b, left));
    assert_eq!(all, numbers);
    assert_eq!(received.recv(&b).unwrap_err().kind(), ErrorKind::WouldBlock);
}

/// TS03
#[test]
fn each_message_has_its_own_time() {
    let recent = |stamp: Timestamp| {
        let (stamp, now) = (stamp.to_system_time().unwrap(), SystemTime::now());
        now.duration_since(stamp).or_else(|_| stamp.duration_since(now)).unwrap().as_secs() < 60
    };
    let (receiver, sender) = udp(V4);
    receiver.enable::<Timestamp>().unwrap();
    send_all(&mut SendBatch::new(2), &sender, &[b"1", b"2"]);
    let stamps = collect(&mut RecvBatch::<Timestamp>::new(4, 8), &receiver, 2, |m| m.extract().unwrap());
    assert!(stamps.iter().all(|stamp| recent(*stamp)), "{stamps:?}");

    let (receiver, sender) = udp(V4);
    receiver.enable::<ScmTimestamping>().unwrap();
    let data: Vec<u8> = (0..400).map(|k| k as u8).collect();
    let (mut room, mut batch) = (SendBatch::new(1), RecvBatch::<ScmTimestamping>::new(1, 0));
    // Stamping is switched on some time after it was asked for.
    let stamp = (0..200_000).find_map(|_| {
        send_all(&mut room, &sender, &[&data]);
        let (mut head, mut tail) = ([0; 256], [0; 256]);
        let mut buffers = [IoSliceMut::new(&mut head), IoSliceMut::new(&mut tail)];
        let message = batch.recv_into(&receiver, &mut buffers, 2).unwrap().next().unwrap();
        let (len, stamp) = (message.len(), message.extract());
        assert_eq!((len, [&head[..], &tail[..144]].concat() == data), (400, true));
        stamp
    });
    assert!(recent(stamp.unwrap().software.unwrap()));
}

/// ER14
#[test]
fn what_is_no_socket_is_told_as_the_kernel_tells_it() {
    let (reader, writer) = pipe().unwrap();
    let (mut room, mut received) = (SendBatch::new(1), RecvBatch::<()>::new(1, 1));
    let mut batch = room.begin();
    batch.message().data(b"x").queue().unwrap();
    for _ in 0..2 {
        assert_eq!((errno(batch.send(&writer)), batch.sent()), (libc::ENOTSOCK, 0));
        assert_eq!(errno(received.recv(&reader).map(drop)), libc::ENOTSOCK);
    }
    // The batch is as it was.
    let (a, b) = datagrams();
    assert_eq!((batch.send(&a).unwrap(), texts(&mut received, &b, 1)), (1, vec!["x".to_owned()]));
}

#[test]
fn all_this_holds_where_the_system_has_no_such_calls() {
    without_batch_calls("all_this_holds_where_the_system_has_no_such_calls");
}
