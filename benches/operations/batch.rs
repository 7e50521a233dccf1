//! A batch of datagrams with TTL, TOS and PKTINFO, sent and received.

use std::hint::black_box;

use ancillary::{
    batch::{RecvBatch, SendBatch},
    message::{IpPktInfo, IpTos, IpTtl},
};

use super::{SOURCE, TOS, TTL, repeat, sockets};
use crate::c::batch::{self as by_hand, MESSAGES};

type Meta = (IpPktInfo, IpTtl, IpTos);

pub(crate) fn batch(times: u32) {
    let (sender, receiver, to) = &sockets::<Meta>();
    let (mut room, mut arriving) = (SendBatch::new(MESSAGES), RecvBatch::<Meta>::new(MESSAGES, 1500));
    let mut arrived = 0;
    repeat(times, || {
        let mut batch = room.begin();
        for _ in 0..MESSAGES {
            let (text, ttl, tos, source) = black_box((b"data", TTL, TOS, SOURCE));
            let control = (IpTtl(ttl), IpTos(tos), IpPktInfo::source(source));
            batch.message().to(to).data(text).control(control).queue().unwrap();
        }
        batch.send_all(sender).unwrap();
        let before = arrived;
        while arrived < before + MESSAGES as u32 {
            for message in arriving.recv(receiver).unwrap() {
                let (info, ttl, tos) = message.extract();
                let whole = message.data() == b"data" && ttl == Some(IpTtl(TTL)) && tos == Some(IpTos(TOS));
                arrived += u32::from(whole && info.is_some());
            }
        }
    });
    assert_eq!(arrived, times * MESSAGES as u32);
}

pub(crate) fn batch_c(times: u32) {
    use std::os::fd::AsFd;

    let (sender, receiver, to) = &sockets::<Meta>();
    let (mut room, mut arriving) = (by_hand::Send::new(), by_hand::Receive::new());
    let mut arrived = 0;
    repeat(times, || {
        for at in 0..MESSAGES {
            let (text, ttl, tos, source) = black_box((b"data", TTL, TOS, SOURCE));
            assert!(room.set(at, to.as_bytes(), text, ttl, tos, source));
        }
        room.send(sender.as_fd());
        let before = arrived;
        while arrived < before + MESSAGES as u32 {
            for at in 0..arriving.receive(receiver.as_fd()) {
                let (data, header) = arriving.message(at);
                let (info, ttl, tos) = crate::c::parse3(header);
                let whole = data == b"data" && ttl == Some(TTL.into()) && tos == Some(TOS);
                arrived += u32::from(whole && info.is_some());
            }
        }
    });
    assert_eq!(arrived, times * MESSAGES as u32);
}
