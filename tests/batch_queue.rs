//! Batches that are filled: what is refused, what fits, and what is shown.

#![cfg(target_os = "linux")]

mod common;

use std::{io::IoSlice, net::SocketAddr};

use ancillary::{
    ControlList, EncodeError, SocketExt,
    batch::{RecvBatch, SendBatch},
    cmsg,
    message::{HopLimit, IpTtl, TrafficClass},
};
use common::{
    again::without_batch_calls,
    batches::{collect, texts},
    pairs::{V4, datagrams, udp},
};

/// What a message with an integer takes.
const SPACE: usize = cmsg::space(4).unwrap();

#[test]
fn a_message_that_cannot_be_built_is_not_in_the_batch_and_takes_no_room() {
    let (receiver, sender) = udp(V4);
    receiver.enable::<IpTtl>().unwrap();
    let mut room = SendBatch::with_room(3, 3, 3 * SPACE);
    let many = [IoSlice::new(b"x"); 7];
    let mut batch = room.begin();
    for (k, number) in [b"0", b"1", b"2"].into_iter().enumerate() {
        let value = EncodeError::Value { field: "IP_TTL", expected: "1..=255", found: 0 };
        assert_eq!(batch.message().data(b"bad").control(IpTtl(0)).queue(), Err(value));
        let mut message = batch.message();
        // One of its own, and what those before have left of three.
        let left = 1 + 3 - k;
        let slices = EncodeError::Slices { needed: left + 1, available: left };
        (0..=left).for_each(|_| {
            message.data(b"x");
        });
        assert_eq!(message.control(IpTtl(1)).queue(), Err(slices));
        // Once more, with the error that was first.
        assert_eq!(message.control(IpTtl(0)).queue(), Err(slices));
        let slices = EncodeError::Slices { needed: 8, available: left };
        assert_eq!(batch.message().slices(&many).data(b"x").queue(), Err(slices));
        let left = (3 - k) * SPACE;
        let space = EncodeError::ControlSpace { needed: left + SPACE, available: left };
        let messages = vec![IpTtl(9); left / SPACE + 1];
        assert_eq!(batch.message().data(b"x").control(&messages[..]).queue(), Err(space));
        // Never queued.
        batch.message().data(b"dropped").control(IpTtl(99)).to(None::<SocketAddr>);
        assert_eq!((batch.len(), batch.is_empty(), batch.is_full()), (k, k == 0, false));
        batch.message().data(b"n").data(number).control(IpTtl(k as u8 + 50)).queue().unwrap();
    }
    assert!(batch.is_full());
    let full = EncodeError::Messages { available: 3 };
    assert_eq!(batch.message().queue(), Err(full));
    // What has been told of a message that does not fit is still the first error.
    assert_eq!(batch.message().data(b"x").queue(), Err(full));
    assert!(matches!(batch.message().data(b"x").data(b"y").queue(), Err(EncodeError::Slices { available: 1, .. })));
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
            // Filled and not sent.
            0 | 1 => {}
            _ => {
                assert_eq!(batch.send_all(&a).unwrap(), data.len());
                assert_eq!(texts(&mut received, &b, data.len()), data);
            }
        }
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
    let refused = EncodeError::Slices { needed: 1025, available: 1024 };
    assert_eq!(batch.message().slices(&slices).queue(), Err(refused));
    batch.message().slices(&slices[..3]).queue().unwrap();
    assert_eq!(batch.send_all(&sender).unwrap(), 3);
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
    let mut room = SendBatch::with_room(3, 3, 2 * SPACE);
    let mut batch = room.begin();
    batch.message().data(b"a").control_from(&long).queue().unwrap();
    // Beside another message it is copied, and does not fit.
    let refused = batch.message().data(b"b").control_from(&long).control(IpTtl(9)).queue();
    assert!(
        matches!(refused, Err(EncodeError::ControlSpace { available, .. }) if available == 2 * SPACE),
        "{refused:?}"
    );
    batch.message().data(b"b").control(IpTtl(9)).control(TrafficClass(0)).queue().unwrap_err();
    batch.message().data(b"b").control(IpTtl(9)).queue().unwrap();
    batch.message().data(b"c").control_from(&long).queue().unwrap();
    assert_eq!(batch.send_all(&sender).unwrap(), 3);
    let found = collect(&mut RecvBatch::<(HopLimit, TrafficClass)>::new(3, 4), &receiver, 3, |m| m.extract());
    let listed = (Some(HopLimit(99)), Some(TrafficClass(8)));
    assert_eq!(found, [listed, (Some(HopLimit(9)), Some(TrafficClass(0))), listed]);
}

#[cfg(feature = "bytes")]
#[test]
fn buffers_of_many_chunks_are_gathered_where_there_is_room() {
    use bytes::Buf;
    let (receiver, sender) = udp(V4);
    let chain = Buf::chain(&b"a"[..], &b"bc"[..]).chain(&b"def"[..]);
    let mut room = SendBatch::with_room(3, 5, 0);
    let mut batch = room.begin();
    batch.message().buf(&chain).queue().unwrap();
    batch.message().data(b"-").buf(&chain).queue().unwrap();
    let gather = EncodeError::Gather { expected: 6, found: 1 };
    assert_eq!(batch.message().buf(&chain).queue(), Err(gather));
    batch.message().queue().unwrap();
    assert_eq!(batch.send_all(&sender).unwrap(), 3);
    assert_eq!(texts(&mut RecvBatch::<()>::new(3, 8), &receiver, 3), ["abcdef", "-abcdef", ""]);
}

#[test]
fn all_this_holds_where_the_system_has_no_such_calls() {
    without_batch_calls("all_this_holds_where_the_system_has_no_such_calls");
}
