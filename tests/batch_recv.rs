//! Batches that are received: what each message brings, and other queues and families.

#![cfg(target_os = "linux")]

mod common;

use std::{
    io::{ErrorKind, IoSliceMut, Write},
    net::{Ipv4Addr, SocketAddr},
};

use ancillary::{
    MsgFlags, MsgHdr, RecvFlags, SocketExt,
    batch::{RecvBatch, SendBatch},
    cmsg,
    message::{ExtendedError, HopLimit, Meaning, PacketAuxdata, PktInfo, TrafficClass, UdpGro, UdpSegment},
};
use common::{
    TIMEOUT,
    again::without_batch_calls,
    batches::{collect, texts, wait},
    has_v6,
    namespace::Namespace,
    pairs::{DUAL, V4, addrs, asked, bound, closed, datagrams, errno, tcp, udp},
    pipes::numbered,
};
use nix::{
    libc,
    poll::PollFlags,
    sys::{
        socket::{
            AddressFamily, SockFlag, SockProtocol, SockType, setsockopt, socket,
            sockopt::{RcvBuf, ReceiveTimeout},
        },
        time::{TimeVal, TimeValLike},
    },
};

#[test]
fn each_message_has_its_own_sender_and_control_messages() {
    if !has_v6("each_message_has_its_own_sender_and_control_messages") {
        return;
    }
    type Meta = (HopLimit, TrafficClass, PktInfo);
    let receiver = bound(DUAL);
    receiver.enable::<Meta>().unwrap();
    let port = receiver.local_addr().unwrap().port();
    let v4 = |last| SocketAddr::from(([127, 0, 0, last], port));
    let v6 = SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, port));
    let senders = [bound(V4), bound("[::1]:0"), bound(V4), bound("[::1]:0")];
    let mut batch = RecvBatch::<Meta>::new(4, 32);
    // The longer names and control messages must leave nothing behind in the places of the shorter ones.
    for order in [[0, 1, 2, 3], [3, 2, 1, 0], [1, 3, 0, 2]] {
        for k in order {
            let to = if k % 2 == 1 { v6 } else { v4(k as u8 + 1) };
            let control = (HopLimit(k as u8 + 30), TrafficClass(8 * k as u8));
            MsgHdr::new().to(to).data(&vec![k as u8; 9 * k]).control(control).send(&senders[k]).unwrap();
        }
        let found = collect(&mut batch, &receiver, 4, |m| {
            let (hops, class, info) = m.extract();
            let peer = m.peer().unwrap().as_inet().unwrap();
            (m.data().to_vec(), hops.unwrap(), class.unwrap(), info.unwrap().addr(), peer)
        });
        let expected = order.map(|k| {
            let own = senders[k].local_addr().unwrap();
            let (to, from) = if k % 2 == 1 {
                (v6.ip(), own)
            } else {
                let mapped = Ipv4Addr::LOCALHOST.to_ipv6_mapped();
                (v4(k as u8 + 1).ip(), SocketAddr::from((mapped, own.port())))
            };
            (vec![k as u8; 9 * k], HopLimit(k as u8 + 30), TrafficClass(8 * k as u8), to, from)
        });
        assert_eq!(found, expected);
    }
}

/// TR09
#[test]
fn control_data_is_cut_only_where_it_does_not_fit() {
    let (a, b) = datagrams();
    let fds = numbered(3);
    for sent in [[0, 3, 1, 0], [3, 0, 0, 3], [1, 1, 3, 2]] {
        for count in sent {
            a.send_fds(&[count as u8], &fds[..count]).unwrap();
        }
        // Room for so many, of which the last fills it.
        let header = cmsg::len(0).unwrap();
        let control = (header + 8) / 8 * 8;
        let fit = (control - header) / 4;
        let mut batch = RecvBatch::<()>::with_control(4, 1, control);
        let found = collect(&mut batch, &b, 4, |m| (m.flags().contains(MsgFlags::CTRUNC), m.fds().count()));
        assert_eq!(found, sent.map(|count| (count > fit, count.min(fit))));
    }
    // No control data at all.
    a.send_fds(b"x", &fds).unwrap();
    a.send(b"y").unwrap();
    let found = collect(&mut RecvBatch::<()>::with_control(2, 1, 0), &b, 2, |m| {
        assert!(m.control_bytes().is_empty());
        m.flags().contains(MsgFlags::CTRUNC)
    });
    assert_eq!(found, [true, false]);
}

#[test]
fn buffers_of_the_caller_are_taken_in_order_as_many_as_there_are() {
    let (a, b) = datagrams();
    let mut batch = RecvBatch::<()>::new(3, 4);
    for (buffers, each, takes) in [(7, 2, 3), (7, 3, 2), (2, 3, 0), (0, 1, 0), (5, 0, 0), (1, 1, 1), (9, 1, 3)] {
        let numbers = ["one", "two", "three"].map(str::as_bytes);
        numbers.iter().for_each(|number| assert_eq!(a.send(number).unwrap(), number.len()));
        let mut room = vec![[b'.'; 3]; buffers];
        let mut lists: Vec<_> = room.iter_mut().map(|room| IoSliceMut::new(room)).collect();
        let lens: Vec<_> = match batch.recv_into(&b, &mut lists, each) {
            Ok(messages) => messages.map(|m| m.len()).collect(),
            Err(error) => {
                assert_eq!((error.kind(), takes), (ErrorKind::InvalidInput, 0));
                Vec::new()
            }
        };
        assert_eq!(lens.len(), takes, "{buffers} {each}");
        let filled = room.concat();
        for (k, len) in lens.iter().enumerate() {
            let at = 3 * each * k;
            assert_eq!((*len, &filled[at..at + len]), (numbers[k].len().min(3 * each), &numbers[k][..*len]));
        }
        // The batch's own buffers are its own again.
        if takes < 3 {
            let left = collect(&mut batch, &b, 3 - takes, |m| m.data().to_vec());
            assert!(left.iter().zip(&numbers[takes..]).all(|(left, number)| **left == number[..number.len().min(4)]));
        }
    }
}

#[test]
fn merged_datagrams_come_apart() {
    for addr in addrs("merged_datagrams_come_apart") {
        let (receiver, sender) = asked::<UdpGro>(addr);
        let data: Vec<u8> = (0..250).collect();
        let mut room = SendBatch::new(3);
        let mut out = room.begin();
        out.message().data(&data).control(UdpSegment(100)).queue().unwrap();
        out.message().data(&data[..30]).queue().unwrap();
        out.message().queue().unwrap();
        out.message().queue().unwrap_err();
        out.send_all(&sender).unwrap();
        let mut batch = RecvBatch::<UdpGro>::new(4, 65_536);
        let mut found = Vec::new();
        for _ in 0..5 {
            if found.len() < 5 {
                let messages = batch.recv(&receiver).unwrap();
                found.extend(messages.flat_map(|m| m.segments().map(<[u8]>::to_vec).collect::<Vec<_>>()));
            }
        }
        assert_eq!(found, [&data[..100], &data[100..200], &data[200..], &data[..30], b""]);
    }
}

/// EQ04
#[test]
fn the_error_queue_comes_in_batches_and_never_waits() {
    let (to, _closed) = closed(Ipv4Addr::LOCALHOST.into());
    let socket = bound(V4);
    socket.enable::<ExtendedError>().unwrap();
    let mut batch = RecvBatch::<ExtendedError>::new(4, 16);
    batch.flags(RecvFlags::ERRQUEUE);
    assert_eq!(errno(batch.recv(&socket).map(drop)), libc::EAGAIN);
    for text in ["one", "two", ""] {
        // A pending error fails a send; reading the queue clears it.
        MsgHdr::new().to(to).data(text.as_bytes()).send(&socket).unwrap();
        wait(&socket, PollFlags::POLLERR);
        let found = collect(&mut batch, &socket, 1, |m| {
            assert!(m.flags().contains(MsgFlags::ERRQUEUE) && !m.is_eof());
            (m.data().to_vec(), m.peer().unwrap().as_inet(), m.extract().unwrap().meaning())
        });
        assert_eq!(found, [(text.as_bytes().to_vec(), Some(to), Meaning::PortUnreachable)]);
    }
    assert_eq!(errno(batch.recv(&socket).map(drop)), libc::EAGAIN);
    // AF_UNIX does not know the flag and hands out what there is, or would wait.
    let (a, b) = datagrams();
    assert_eq!(errno(batch.recv(&b).map(drop)), libc::EAGAIN);
    a.send(b"x").unwrap();
    assert_eq!(batch.recv(&b).unwrap().len(), 1);
}

/// MX04
#[test]
fn packets_come_in_batches() {
    let test = "packets_come_in_batches";
    let Some(host) = Namespace::new(test) else { return };
    host.run(|| {
        let (_receiver, sender) = udp(V4);
        let sniffer = socket(AddressFamily::Packet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, SockProtocol::EthAll);
        let sniffer = sniffer.unwrap();
        let limit = TimeVal::seconds(TIMEOUT.unwrap().as_secs() as i64);
        setsockopt(&sniffer, ReceiveTimeout, &limit).unwrap();
        setsockopt(&sniffer, RcvBuf, &(1 << 20)).unwrap();
        sniffer.enable::<PacketAuxdata>().unwrap();
        let mut batch = RecvBatch::<PacketAuxdata>::new(3, 100);
        for round in 0..3u8 {
            for k in 0..4u8 {
                sender.send(&[0xaa, round, k]).unwrap();
            }
            // Each is seen twice: as it goes and as it comes.
            let mut seen = Vec::new();
            for _ in 0..1000 {
                if seen.len() < 8 {
                    for m in batch.recv(&sniffer).unwrap() {
                        let info = m.extract().unwrap();
                        assert_eq!((info.len as usize, m.peer().unwrap().as_bytes().len()), (m.len(), 20));
                        if m.data().ends_with(&[0xaa, round, m.data()[m.len() - 1]]) && m.len() == 31 {
                            seen.push(m.data()[30]);
                        }
                    }
                }
            }
            seen.sort_unstable();
            assert_eq!(seen, [0, 0, 1, 1, 2, 2, 3, 3]);
        }
    });
}

#[test]
fn debug_says_how_much_fits_and_what_is_left() {
    let mut batch = RecvBatch::<HopLimit>::with_control(3, 100, 33);
    assert_eq!(format!("{batch:?}"), "RecvBatch { capacity: 3, data: 100 bytes, control: 40 bytes }");
    let (a, b) = datagrams();
    a.send(b"x").unwrap();
    a.send(b"y").unwrap();
    let mut messages = batch.recv(&b).unwrap();
    assert_eq!(format!("{messages:?}"), "ReceivedMessages { left: 2 }");
    let message = messages.next().unwrap();
    assert_eq!(format!("{message:?}"), "Received { 1 bytes, control: [], flags: CMSG_CLOEXEC }");
    assert_eq!(format!("{messages:?}"), "ReceivedMessages { left: 1 }");
}

/// FL03
#[test]
fn a_peek_leaves_the_messages_there() {
    let (a, b) = datagrams();
    a.send(b"here").unwrap();
    let mut peek = RecvBatch::<()>::new(2, 8);
    peek.flags(RecvFlags::PEEK);
    for _ in 0..2 {
        assert_eq!(texts(&mut peek, &b, 2), ["here", "here"]);
    }
    assert_eq!(texts(&mut RecvBatch::<()>::new(2, 8), &b, 1), ["here"]);
}

/// TR31
#[test]
fn the_real_length_is_told_where_it_is_asked_for() {
    let (a, b) = datagrams();
    let mut batch = RecvBatch::<()>::new(3, 5);
    batch.flags(RecvFlags::TRUNC);
    for _ in 0..2 {
        for len in [3, 15, 5] {
            a.send(&vec![7; len]).unwrap();
        }
        let found = collect(&mut batch, &b, 3, |m| (m.data().to_vec(), m.full_len(), m.require_complete().is_ok()));
        assert_eq!(found, [(vec![7; 3], 3, true), (vec![7; 5], 15, false), (vec![7; 5], 5, true)]);
    }
    // TCP throws the bytes away.
    let (receiver, mut sender) = tcp(V4);
    sender.write_all(b"0123456789").unwrap();
    wait(&receiver, PollFlags::POLLIN);
    let found = collect(&mut batch, &receiver, 2, |m| (m.data().to_vec(), m.full_len(), m.is_eof()));
    assert_eq!(found, [(vec![], 5, false), (vec![], 5, false)]);
}

#[test]
fn all_this_holds_where_the_system_has_no_such_calls() {
    without_batch_calls("all_this_holds_where_the_system_has_no_such_calls");
}
