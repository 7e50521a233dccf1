//! Batches where little is as usual: parts, panics, errors behind others, nothing to receive into.

#![cfg(target_os = "linux")]

mod common;

use std::{
    io::{ErrorKind, IoSlice, IoSliceMut, Read},
    net::{Ipv4Addr, TcpListener},
    os::{
        fd::{AsFd, BorrowedFd},
        unix::net::{UnixDatagram, UnixStream},
    },
    panic::{AssertUnwindSafe, catch_unwind},
    thread,
};

use ancillary::{
    EncodeError, RecvFlags, SendFlags,
    batch::{Batch, BatchMessage, ReceivedMessages, RecvBatch, SendBatch},
    message::ScmRightsSpace,
};
use common::{
    TIMEOUT, cause,
    pairs::{V4, bound},
};

#[test]
fn batches_go_to_other_threads() {
    fn can<T: Send>() {}
    fn can_be_shared<T: Sync>() {}
    can::<(SendBatch, Batch<'_, '_>, RecvBatch<ScmRightsSpace<3>>, ReceivedMessages<'_, ()>)>();
    can::<BatchMessage<'_, '_>>();
    can_be_shared::<(SendBatch, Batch<'_, '_>, RecvBatch<()>, ReceivedMessages<'_, (), ()>)>();
}

struct Panics;

impl AsFd for Panics {
    fn as_fd(&self) -> BorrowedFd<'_> {
        panic!("no descriptor");
    }
}

#[test]
fn a_panic_of_the_socket_leaves_no_way_to_the_callers_buffers() {
    let (socket, sender) = (bound(V4), bound(V4));
    let mut batch = RecvBatch::<()>::new(4, 64);
    let mut memory = [0; 64];
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _ = batch.recv_into(Panics, &mut [IoSliceMut::new(&mut memory)], 1);
    }));
    assert!(panicked.is_err());
    sender.send_to(&[7; 64], socket.local_addr().unwrap()).unwrap();
    let arrived: Vec<_> = batch.recv(&socket).unwrap().map(|message| message.data().to_vec()).collect();
    assert_eq!((arrived, memory), (vec![vec![7; 64]], [0; 64]));
}

/// The kernel cuts a message at 0x7ffff000 bytes, and goes on with the next one as if it were whole.
#[test]
#[cfg(target_pointer_width = "64")]
fn of_a_message_over_two_gibibytes_nothing_is_left_out_of_a_stream() {
    let (a, mut b) = UnixStream::pair().unwrap();
    let reader = thread::spawn(move || {
        let (mut data, mut total, mut end) = (vec![0; 1 << 20], 0u64, Vec::new());
        loop {
            match b.read(&mut data).unwrap() {
                0 => return (total, end),
                n => {
                    total += n as u64;
                    end = data[n.saturating_sub(4)..n].to_vec();
                }
            }
        }
    });
    let block = vec![0; 2 << 20];
    let slices: Vec<_> = (0..1024).map(|_| IoSlice::new(&block)).collect();
    let mut room = SendBatch::new(2);
    let mut batch = room.begin();
    batch.message().slices(&slices).queue().unwrap();
    batch.message().data(b"tail").queue().unwrap();
    assert_eq!(batch.send_all(&a).unwrap(), 2);
    drop(a);
    assert_eq!(reader.join().unwrap(), ((2 << 30) + 4, b"tail".to_vec()));
}

/// An event loop that owns its frames makes the batch anew whenever the socket is writable.
#[test]
fn a_batch_that_was_given_up_is_resumed_where_it_stopped() {
    let (a, mut b) = UnixStream::pair().unwrap();
    a.set_nonblocking(true).unwrap();
    b.set_read_timeout(TIMEOUT).unwrap();
    let frames: Vec<Vec<u8>> = (0..6u8).map(|n| vec![n; 300_000]).collect();
    let (mut room, mut done, mut begun, mut received) = (SendBatch::new(8), 0, 0, Vec::new());
    let mut parts = 0;
    for _ in 0..1000 {
        let mut batch = room.begin();
        for frame in &frames[done..] {
            batch.message().data(frame).queue().unwrap();
        }
        let result = batch.resume(begun).send_all(&a);
        (done, begun) = (done + batch.sent(), batch.begun());
        match result {
            Ok(_) => break,
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
        parts += usize::from(begun > 0);
        let mut data = [0; 100_000];
        let len = b.read(&mut data).unwrap();
        received.extend_from_slice(&data[..len]);
    }
    assert_eq!((done, begun), (6, 0));
    drop(a);
    b.read_to_end(&mut received).unwrap();
    assert!(received == frames.concat() && parts > 0, "{} bytes, {parts} parts", received.len());
}

/// Who waits for the edge has no second one: what is told must be true now.
#[test]
fn a_writable_stream_is_never_told_to_be_full() {
    let (a, mut b) = UnixStream::pair().unwrap();
    a.set_nonblocking(true).unwrap();
    b.set_nonblocking(true).unwrap();
    let long = vec![1; 600_000];
    let mut room = SendBatch::new(2);
    let mut batch = room.begin();
    batch.message().data(b"short").queue().unwrap();
    batch.message().data(&long).queue().unwrap();
    // Fewer than all: it is full.
    assert_eq!((batch.send(&a).unwrap(), batch.begun() > 0), (1, true));
    let (mut data, mut received) = (vec![0; 1 << 20], 0);
    for _ in 0..100 {
        while let Ok(len) = b.read(&mut data) {
            received += len;
        }
        let begun = batch.begun();
        match batch.send(&a) {
            Ok(sent) => assert_eq!((sent, batch.sent()), (1, 2)),
            Err(error) => assert_eq!((error.kind(), batch.begun() > begun), (ErrorKind::WouldBlock, true)),
        }
        if batch.sent() == 2 {
            break;
        }
    }
    while received < 600_005 {
        received += b.read(&mut data).unwrap();
    }
    assert_eq!((received, batch.sent()), (600_005, 2));
}

#[test]
fn a_batch_is_resumed_only_inside_a_message_of_a_stream() {
    let ((a, _b), (c, d)) = (UnixStream::pair().unwrap(), UnixDatagram::pair().unwrap());
    let mut room = SendBatch::new(1);
    let mut batch = room.begin();
    assert_eq!(batch.resume(3).send(&a).unwrap(), 0);
    batch.message().data(b"two").queue().unwrap();
    for (begun, expected) in
        [(4, "no more than the bytes of the message"), (usize::MAX >> 1, "no more than the bytes of the message")]
    {
        let error = batch.resume(begun).send(&a).unwrap_err();
        assert_eq!(cause(&error), Some(EncodeError::Value { field: "begun", expected, found: begun as i64 }));
    }
    let error = batch.resume(1).send(&c).unwrap_err();
    assert_eq!(cause(&error), Some(EncodeError::Value { field: "begun", expected: "0: not a stream", found: 1 }));
    assert_eq!(batch.resume(3).send_all(&a).unwrap(), 1);
    assert_eq!(batch.rewind().send_all(&c).unwrap(), 1);
    assert_eq!(d.recv(&mut [0; 8]).unwrap(), 3);
}

#[test]
fn one_batch_goes_to_several_sockets() {
    let (socket, peers) = (bound(V4), [bound(V4), bound(V4)]);
    let mut room = SendBatch::new(2);
    let mut batch = room.begin();
    batch.message().data(b"one").queue().unwrap();
    batch.message().data(b"more").queue().unwrap();
    for peer in &peers {
        socket.connect(peer.local_addr().unwrap()).unwrap();
        assert_eq!(batch.rewind().send_all(&socket).unwrap(), 2);
    }
    for peer in &peers {
        let mut data = [0; 8];
        assert_eq!([peer.recv(&mut data).unwrap(), peer.recv(&mut data).unwrap()], [3, 4]);
    }
}

#[test]
fn the_first_message_connects_and_the_others_follow() {
    let listener = TcpListener::bind(V4).unwrap();
    let to = listener.local_addr().unwrap();
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.set_write_timeout(TIMEOUT).unwrap();
    let mut room = SendBatch::new(3);
    let mut batch = room.begin();
    batch.flags(SendFlags::FASTOPEN);
    for data in [&b"one "[..], b"two ", b"three"] {
        batch.message().to(to).data(data).queue().unwrap();
    }
    assert_eq!(batch.send_all(&socket).unwrap(), 3);
    drop(socket);
    let (mut peer, _) = listener.accept().unwrap();
    peer.set_read_timeout(TIMEOUT).unwrap();
    let mut received = Vec::new();
    peer.read_to_end(&mut received).unwrap();
    assert_eq!(received, b"one two three");
}

#[test]
fn without_room_for_a_message_a_receive_is_an_error() {
    let socket = bound(V4);
    let refused = Some(EncodeError::Value { field: "vlen", expected: "room and buffers for a message", found: 0 });
    assert_eq!(cause(&RecvBatch::<()>::new(0, 10).recv(&socket).unwrap_err()), refused);
    let (mut x, mut y) = ([0], [0]);
    let mut buffers = [IoSliceMut::new(&mut x), IoSliceMut::new(&mut y)];
    for (messages, each) in [(0, 1), (1, 0), (1, 3)] {
        let error = RecvBatch::<()>::new(messages, 10).recv_into(&socket, &mut buffers, each).unwrap_err();
        assert_eq!(cause(&error), refused, "{messages} {each}");
    }
}

#[test]
fn what_lies_in_the_callers_buffers_is_received_as_that() {
    let (socket, sender) = (bound(V4), bound(V4));
    sender.send_to(b"abc", socket.local_addr().unwrap()).unwrap();
    let (mut batch, mut data) = (RecvBatch::<()>::new(2, 10), [0; 8]);
    batch.recv_into(&socket, &mut [IoSliceMut::new(&mut data)], 1).unwrap();
    assert_eq!(batch.received().len(), 0);
    assert_eq!(batch.received().next().map(|message| message.len()), None);
    let found: Vec<_> = batch.received_into().map(|message| (message.len(), message.full_len())).collect();
    assert_eq!((found, &data[..3]), (vec![(3, 3)], &b"abc"[..]));
}

#[test]
fn without_room_for_a_byte_a_stream_has_not_ended() {
    let (a, b) = UnixStream::pair().unwrap();
    let mut room = SendBatch::new(1);
    let mut batch = room.begin();
    batch.message().data(b"x").queue().unwrap();
    batch.send(&a).unwrap();
    let mut nothing = RecvBatch::<()>::new(3, 0);
    let ends: Vec<_> = nothing.recv(&b).unwrap().map(|message| message.is_eof()).collect();
    assert!(!ends.is_empty() && !ends.contains(&true), "{ends:?}");
    let mut batch = RecvBatch::<()>::new(3, 8);
    drop(a);
    let found: Vec<_> = batch.recv(&b).unwrap().map(|message| (message.data().to_vec(), message.is_eof())).collect();
    assert_eq!(found, [(b"x".to_vec(), false), (vec![], true)]);
}

#[test]
fn one_message_is_peeked_at() {
    let (socket, sender) = (bound(V4), bound(V4));
    for data in [b"1", b"2"] {
        sender.send_to(data, (Ipv4Addr::LOCALHOST, socket.local_addr().unwrap().port())).unwrap();
    }
    let mut batch = RecvBatch::<()>::new(4, 8);
    batch.flags(RecvFlags::PEEK);
    for _ in 0..2 {
        let found: Vec<_> = batch.recv(&socket).unwrap().map(|message| message.data().to_vec()).collect();
        assert_eq!(found, [b"1"]);
    }
}

/// recvmmsg(2) takes more messages than sendmmsg(2).
#[test]
fn more_than_1024_messages_come_together() {
    let (a, b) = UnixStream::pair().unwrap();
    let data = vec![b'x'; 1100];
    let mut room = SendBatch::new(1);
    let mut batch = room.begin();
    batch.message().data(&data).queue().unwrap();
    assert_eq!(batch.send_all(&a).unwrap(), 1);
    let mut each = RecvBatch::<()>::new(1100, 1);
    assert_eq!(each.recv(&b).unwrap().filter(|message| message.data() == b"x").count(), 1100);
}
