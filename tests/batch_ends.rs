//! Batches that are received where there is little: empty messages, ends, no room, nothing there.

#![cfg(target_os = "linux")]

mod common;

use std::{
    io::{ErrorKind, IoSliceMut, Write},
    net::Shutdown,
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::{UnixDatagram, UnixStream},
    },
};

use ancillary::{MsgFlags, MsgHdr, Received, RecvFlags, SocketExt, batch::RecvBatch, message::Credentials};
use common::{
    again::without_batch_calls,
    batches::{collect, texts, wait},
    pairs::{V4, datagrams, errno, pair, stream, tcp, udp},
};
use nix::{libc, poll::PollFlags, sys::socket::SockType};
use tokio::io::Interest;

#[test]
fn empty_datagrams_are_messages_and_no_end() {
    let (receiver, sender) = udp(V4);
    let ((a, b), (c, d)) = (datagrams(), pair(SockType::SeqPacket));
    let mut batch = RecvBatch::<()>::new(5, 4);
    let empty = |batch: &mut RecvBatch<()>, socket: &dyn AsFd| {
        collect(batch, socket.as_fd(), 5, |m| (m.len(), m.is_empty(), m.is_eof()))
    };
    let all = [0, 1, 0, 0, 0].map(|len| (len, len == 0, false));
    for _ in 0..2 {
        for data in [&b""[..], b"x", b"", b"", b""] {
            sender.send(data).unwrap();
            a.send(data).unwrap();
            MsgHdr::new().data(data).send(&c).unwrap();
        }
        for socket in [&receiver as &dyn AsFd, &b, &d] {
            assert_eq!(empty(&mut batch, socket), all);
        }
    }
}

/// FL04
#[test]
fn the_end_of_a_stream_comes_once_and_is_told() {
    let unix = |(a, b): (UnixStream, UnixStream)| (OwnedFd::from(a), OwnedFd::from(b));
    let internet = || {
        let (a, b) = tcp(V4);
        unix((UnixStream::from(OwnedFd::from(a)), UnixStream::from(OwnedFd::from(b))))
    };
    for (credentials, (a, b)) in [(false, unix(stream())), (true, unix(stream())), (false, internet())] {
        if credentials {
            b.enable::<Credentials>().unwrap();
        }
        let a = UnixStream::from(a);
        (&a).write_all(b"abcde").unwrap();
        wait(&b, PollFlags::POLLIN);
        let mut batch = RecvBatch::<Credentials>::new(8, 2);
        // The last is shorter and no end.
        let mut all = Vec::new();
        while all.len() < 5 {
            for m in batch.recv(&b).unwrap() {
                assert_eq!((m.is_eof(), m.extract().is_some()), (false, credentials));
                all.extend_from_slice(m.data());
            }
        }
        assert_eq!(all, b"abcde");
        (&a).write_all(b"fgh").unwrap();
        a.shutdown(Shutdown::Write).unwrap();
        let mut found = Vec::new();
        while found.last().is_none_or(|(_, eof)| !eof) {
            found.extend(batch.recv(&b).unwrap().map(|m| {
                let end = m.is_eof();
                // What Linux attaches to the end belongs to no message.
                assert_eq!(m.extract().is_some(), credentials && !end);
                assert_eq!((m.control_bytes().is_empty(), m.is_empty()), (end || !credentials, end));
                assert!(!m.flags().contains(MsgFlags::CTRUNC) && m.peer().is_none());
                (m.data().to_vec(), end)
            }));
        }
        assert_eq!(found, [(b"fg".to_vec(), false), (b"h".to_vec(), false), (vec![], true)]);
        // It is told again as often as it is asked, whatever for.
        for flags in [RecvFlags::empty(), RecvFlags::DONTWAIT, RecvFlags::from_bits_retain(libc::MSG_EOR)] {
            batch.flags(flags);
            let ends: Vec<_> = batch.recv(&b).unwrap().map(|m| (m.len(), m.is_eof())).collect();
            assert_eq!(ends, [(0, true)]);
        }
        let (mut one, mut two) = ([0; 3], [0; 3]);
        let mut buffers = [IoSliceMut::new(&mut one), IoSliceMut::new(&mut two)];
        let ends: Vec<_> = batch.recv_into(&b, &mut buffers, 1).unwrap().map(|m| (m.len(), m.is_eof())).collect();
        assert_eq!(ends, [(0, true)]);
    }
}

#[test]
fn no_room_for_data_is_no_end_of_a_stream() {
    let (a, b) = stream();
    MsgHdr::new().data(b"here").send(&a).unwrap();
    let mut none = RecvBatch::<()>::new(3, 0);
    let all = |m: Received<'_, ()>| (m.len(), m.full_len(), m.is_eof());
    let found: Vec<_> = none.recv(&b).unwrap().map(|m| (m.len(), m.is_eof())).collect();
    assert!(!found.is_empty() && found.iter().all(|m| *m == (0, false)), "{found:?}");

    // Lists of their own lengths: what has room says what there is, the others nothing.
    let mut batch = RecvBatch::<()>::new(4, 8);
    let mut into = |rooms: &[usize]| {
        let mut room = [[0; 4]; 4];
        let lists = room.iter_mut().zip(rooms);
        let mut lists: Vec<_> = lists.map(|(room, len)| IoSliceMut::new(&mut room[..*len])).collect();
        batch.recv_into(&b, &mut lists, 1).unwrap().map(all).collect::<Vec<_>>()
    };
    assert_eq!(into(&[0, 0])[0], (0, 0, false));
    assert_eq!(into(&[0, 2, 0, 2]), [(0, 0, false), (2, 2, false), (0, 0, false), (2, 2, false)]);
    MsgHdr::new().data(b"more").send(&a).unwrap();
    assert_eq!(into(&[4, 0])[0], (4, 4, false));
    drop(a);
    assert_eq!(into(&[2, 0, 2, 2]), [(0, 0, true)]);
    assert_eq!(into(&[0, 2, 2, 0]), [(0, 0, false), (0, 0, true)]);
    assert!(into(&[0, 0]).iter().all(|m| *m == (0, 0, false)));
}

/// NB09
#[test]
fn nothing_there_is_told_and_changes_nothing() {
    let (a, b) = datagrams();
    let mut batch = RecvBatch::<()>::new(4, 8);
    batch.flags(RecvFlags::DONTWAIT);
    a.send(b"before").unwrap();
    assert_eq!(texts(&mut batch, &b, 1), ["before"]);
    for _ in 0..3 {
        assert_eq!(batch.recv(&b).unwrap_err().kind(), ErrorKind::WouldBlock);
        assert_eq!(batch.received().len(), 0);
    }
    // A socket with a limit, which waits until then.
    b.set_read_timeout(Some(std::time::Duration::from_millis(1))).unwrap();
    assert_eq!(errno(RecvBatch::<()>::new(4, 8).recv(&b).map(drop)), libc::EAGAIN);
    a.send(b"after").unwrap();
    assert_eq!(texts(&mut batch, &b, 1), ["after"]);
}

#[test]
fn what_has_not_been_looked_at_is_there_after_a_closure() {
    let (a, b) = UnixDatagram::pair().unwrap();
    b.set_nonblocking(true).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    runtime.block_on(async {
        let b = tokio::net::UnixDatagram::from_std(b).unwrap();
        let mut batch = RecvBatch::<()>::new(4, 8);
        for text in ["1", "2", "3"] {
            a.send(text.as_bytes()).unwrap();
        }
        let count = b.async_io(Interest::READABLE, || batch.recv(&b).map(|messages| messages.len())).await.unwrap();
        assert_eq!((count, batch.received().len()), (3, 3));
        assert_eq!(batch.received().next().unwrap().data(), b"1");
        assert_eq!(format!("{:?}", batch.received()), "ReceivedMessages { left: 2 }");
        let rest: Vec<_> = batch.received().map(|m| m.data().to_vec()).collect();
        assert_eq!((rest, batch.received().len()), (vec![b"2".to_vec(), b"3".to_vec()], 0));

        a.send(b"forgotten").unwrap();
        batch.recv(&b).map(drop).unwrap();
        batch.clear();
        assert_eq!((batch.received().len(), batch.recv(&b).unwrap_err().kind()), (0, ErrorKind::WouldBlock));
    });
}

#[test]
fn no_room_for_messages_takes_none() {
    let (a, b) = datagrams();
    a.send(b"x").unwrap();
    for (messages, bytes, control) in [(0, 0, 0), (0, 100, 100)] {
        let mut batch = RecvBatch::<()>::with_control(messages, bytes, control);
        assert_eq!(batch.recv(&b).map(drop).unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!((batch.capacity(), batch.received().len()), (0, 0));
        batch.clear();
    }
    assert_eq!(texts(&mut RecvBatch::<()>::new(1, 1), &b, 1), ["x"]);
}

#[test]
fn more_than_any_memory_is_a_panic() {
    let most = usize::MAX;
    for (messages, bytes, control) in [(most, 2, 0), (2, most, 0), (1, 1, most), (most, 0, 8), (most, 0, 0)] {
        std::panic::catch_unwind(|| RecvBatch::<()>::with_control(messages, bytes, control)).map(drop).unwrap_err();
    }
}

#[test]
fn all_this_holds_where_the_system_has_no_such_calls() {
    without_batch_calls("all_this_holds_where_the_system_has_no_such_calls");
}
