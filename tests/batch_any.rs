//! Batches of any shape, and many threads with one socket.

#![cfg(target_os = "linux")]

mod common;

use std::{collections::HashMap, ops::RangeInclusive, sync::mpsc, thread};

use ancillary::{
    SocketExt,
    batch::{Batch, BatchMessage, ReceivedMessages, RecvBatch, SendBatch},
    message::{HopLimit, PktInfo, TrafficClass},
};
use common::{
    again::without_batch_calls,
    batches::collect,
    has_v6,
    pairs::{DUAL, V4, V6, bound, datagrams},
};
use proptest::prelude::*;

/// TH01
#[test]
fn threads_share_a_socket_and_each_message_arrives_whole_once() {
    const WRITERS: u8 = 4;
    const EACH: u8 = 40;
    let (server, addr) = (bound(V4), "127.0.0.1");
    server.enable::<(HopLimit, PktInfo)>().unwrap();
    let to = server.local_addr().unwrap();
    let (found, messages) = mpsc::channel();
    thread::scope(|scope| {
        let readers: Vec<_> = (0..3).map(|_| (server.try_clone().unwrap(), found.clone())).collect();
        drop(found);
        for (server, found) in readers {
            scope.spawn(move || {
                let mut batch = RecvBatch::<(HopLimit, PktInfo)>::new(8, 256);
                let mut stops = 0;
                while stops == 0 {
                    for message in batch.recv(&server).unwrap() {
                        match message.data() {
                            b"stop" => stops += 1,
                            data => found.send((data.to_vec(), message.extract())).unwrap(),
                        }
                    }
                }
                // Those that were for others.
                for _ in 1..stops {
                    server.send_to(b"stop", to).unwrap();
                }
            });
        }
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                scope.spawn(move || {
                    let (socket, mut room) = (bound(V4), SendBatch::new(8));
                    let data: Vec<_> = (0..EACH).map(|k| vec![writer * EACH + k; usize::from(k) + 100]).collect();
                    for chunk in data.chunks(7) {
                        let mut batch = room.begin();
                        for data in chunk {
                            batch.message().to(to).data(data).control(HopLimit(data[0] + 1)).queue().unwrap();
                        }
                        batch.send_all(&socket).unwrap();
                    }
                })
            })
            .collect();
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        for _ in 0..3 {
            server.send_to(b"stop", to).unwrap();
        }
    });
    let mut seen: Vec<_> = messages
        .iter()
        .map(|(data, (hops, info))| {
            assert_eq!(info.unwrap().addr().to_string(), addr);
            assert_eq!((data.len(), hops), (usize::from(data[0] % EACH) + 100, Some(HopLimit(data[0] + 1))));
            assert!(data.iter().all(|byte| *byte == data[0]));
            data[0]
        })
        .collect();
    seen.sort_unstable();
    assert_eq!(seen, (0..WRITERS * EACH).collect::<Vec<_>>());
}

#[test]
fn batches_go_to_other_threads() {
    fn is_send_and_sync<T: Send + Sync>() {}
    is_send_and_sync::<(SendBatch, Batch<'_, '_>, BatchMessage<'_, '_>)>();
    is_send_and_sync::<(RecvBatch<HopLimit>, ReceivedMessages<'_, HopLimit>, ReceivedMessages<'_, HopLimit, ()>)>();
    let (a, b) = datagrams();
    a.send(b"here").unwrap();
    let mut batch = RecvBatch::<()>::new(2, 8);
    batch.recv(&b).unwrap();
    // Moved with a message that nobody has looked at.
    let mut batch = Box::new(batch);
    let found = thread::spawn(move || batch.received().map(|m| m.data().to_vec()).collect::<Vec<_>>());
    assert_eq!(found.join().unwrap(), [b"here"]);
}

/// One message of a random batch: where to, which slices, and the messages with it.
#[derive(Clone, Debug)]
struct Shape {
    to: usize,
    slices: Vec<Vec<u8>>,
    hops: Option<u8>,
    class: Option<u8>,
    source: Option<u8>,
}

fn shape() -> impl Strategy<Value = Shape> {
    let slices = proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..6);
    // The lowest bits are for congestion, and 0 is no time to live.
    let class = proptest::option::of((0..64u8).prop_map(|dscp| dscp << 2));
    let hops = proptest::option::of(RangeInclusive::new(1, 255u8));
    (0..3usize, slices, hops, class, proptest::option::of(1..250u8))
        .prop_map(|(to, slices, hops, class, source)| Shape { to, slices, hops, class, source })
}

#[test]
fn all_this_holds_where_the_system_has_no_such_calls() {
    without_batch_calls("all_this_holds_where_the_system_has_no_such_calls");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_batches_arrive_exactly_as_sent(
        rounds in proptest::collection::vec(proptest::collection::vec(shape(), 0..40), 1..4),
        each in 1..50usize,
    ) {
        type Meta = (HopLimit, TrafficClass, PktInfo);
        let v6 = has_v6("any_batches_arrive_exactly_as_sent");
        let names: &[&str] = if v6 { &[V4, V6, DUAL] } else { &[V4; 3] };
        let receivers: Vec<_> = names.iter().map(bound).collect();
        let sender = bound(if v6 { DUAL } else { V4 });
        receivers.iter().for_each(|receiver| receiver.enable::<Meta>().unwrap());
        let to = |k: usize| {
            let port = receivers[k].local_addr().unwrap().port();
            let host = match (v6, k) { (true, 0) => "[::ffff:127.0.0.1]", (true, _) => "[::1]", _ => "127.0.0.1" };
            format!("{host}:{port}").parse::<std::net::SocketAddr>().unwrap()
        };
        let (mut room, mut received) = (SendBatch::with_room(40, 240, 40 * 160), RecvBatch::<Meta>::new(each, 200));
        for round in &rounds {
            let mut batch = room.begin();
            for shape in round {
                let mut message = batch.message();
                message.to(to(shape.to));
                shape.slices.iter().for_each(|slice| { message.data(slice); });
                let source = shape.source.filter(|_| shape.to == 0 || !v6);
                let source = source.map(|last| PktInfo::source([127, 0, 0, last]));
                message.control((shape.hops.map(HopLimit), shape.class.map(TrafficClass), source)).queue().unwrap();
            }
            prop_assert_eq!(batch.send_all(&sender).unwrap(), round.len());
            let mut expected = HashMap::<usize, Vec<&Shape>>::new();
            round.iter().for_each(|shape| expected.entry(shape.to).or_default().push(shape));
            for (k, shapes) in expected {
                let found = collect(&mut received, &receivers[k], shapes.len(), |m| {
                    let from = m.peer().and_then(|peer| peer.as_inet()).unwrap();
                    (m.data().to_vec(), m.extract(), from, m.require_complete().is_ok())
                });
                for (shape, (data, (hops, class, info), from, complete)) in shapes.into_iter().zip(found) {
                    prop_assert_eq!((data, complete), (shape.slices.concat(), true));
                    prop_assert_eq!(hops.unwrap().0, shape.hops.unwrap_or(64));
                    prop_assert_eq!(class.unwrap().0, shape.class.unwrap_or(0));
                    prop_assert_eq!(info.unwrap().addr(), to(k).ip().to_canonical());
                    if let (Some(last), true) = (shape.source, k == 0 || !v6) {
                        prop_assert_eq!(from.ip().to_string(), format!("127.0.0.{last}"));
                    }
                    prop_assert_eq!(from.port(), sender.local_addr().unwrap().port());
                }
            }
        }
    }
}
