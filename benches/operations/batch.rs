//! A batch of datagrams with TTL, TOS and PKTINFO, sent and received.

use std::{hint::black_box, net::UdpSocket, os::fd::AsFd};

use ancillary::{
    SockAddr, SocketExt,
    batch::{RecvBatch, SendBatch},
    message::{IpPktInfo, IpTos, IpTtl},
};

use super::{SOURCE, TOS, TTL, repeat};
use crate::c::batch as by_hand;

type Meta = (IpPktInfo, IpTtl, IpTos);

/// How many are received in one call at most: a socket holds no more by default.
const MOST: usize = 128;

pub(crate) fn batch(times: u32) {
    ours::<32>(32, times);
}

pub(crate) fn batch_c(times: u32) {
    c::<32>(32, times);
}

/// So many, sent in one call to as many sockets as hold them.
pub(super) fn many(count: usize, times: u32) {
    ours::<MOST>(count, times);
}

pub(super) fn many_c(count: usize, times: u32) {
    c::<MOST>(count, times);
}

/// Receivers of `each` datagrams, and who sends them.
fn sockets(count: usize, each: usize) -> (UdpSocket, Vec<(UdpSocket, SockAddr)>) {
    let bind = || UdpSocket::bind("127.0.0.1:0").unwrap();
    let receiver = |_| {
        let receiver = bind();
        receiver.enable::<Meta>().unwrap();
        let to = receiver.local_addr().unwrap().into();
        (receiver, to)
    };
    assert_eq!(count % each, 0);
    (bind(), (0..count / each).map(receiver).collect())
}

fn ours<const EACH: usize>(count: usize, times: u32) {
    let (sender, receivers) = &sockets(count, EACH);
    let (mut room, mut arriving) = (SendBatch::new(count), RecvBatch::<Meta>::new(EACH, 1500));
    let mut arrived = 0;
    repeat(times, || {
        let mut batch = room.begin();
        for (_, to) in receivers {
            for _ in 0..EACH {
                let (text, ttl, tos, source) = black_box((b"data", TTL, TOS, SOURCE));
                let control = (IpTtl(ttl), IpTos(tos), IpPktInfo::source(source));
                batch.message().to(to).data(text).control(control).queue().unwrap();
            }
        }
        batch.send_all(sender).unwrap();
        for (receiver, _) in receivers {
            let before = arrived;
            while arrived < before + EACH {
                for message in arriving.recv(receiver).unwrap() {
                    let (info, ttl, tos) = message.extract();
                    let whole = message.data() == b"data" && ttl == Some(IpTtl(TTL)) && tos == Some(IpTos(TOS));
                    arrived += usize::from(whole && info.is_some());
                }
            }
        }
    });
    assert_eq!(arrived, times as usize * count);
}

fn c<const EACH: usize>(count: usize, times: u32) {
    let (sender, receivers) = &sockets(count, EACH);
    let (mut room, mut arriving) = (by_hand::Send::<1024>::new(), by_hand::Receive::<EACH>::new());
    let mut arrived = 0;
    repeat(times, || {
        for (n, (_, to)) in receivers.iter().enumerate() {
            for at in 0..EACH {
                let (text, ttl, tos, source) = black_box((b"data", TTL, TOS, SOURCE));
                assert!(room.set(n * EACH + at, to.as_bytes(), text, ttl, tos, source));
            }
        }
        room.send(sender.as_fd(), count);
        for (receiver, _) in receivers {
            let before = arrived;
            while arrived < before + EACH {
                for at in 0..arriving.receive(receiver.as_fd()) {
                    let (data, header) = arriving.message(at);
                    let (info, ttl, tos) = crate::c::parse3(header);
                    let whole = data == b"data" && ttl == Some(TTL.into()) && tos == Some(TOS);
                    arrived += usize::from(whole && info.is_some());
                }
            }
        }
    });
    assert_eq!(arrived, times as usize * count);
}
