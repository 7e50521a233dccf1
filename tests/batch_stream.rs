//! Batches that a stream takes in parts, and what it cannot take.

#![cfg(target_os = "linux")]

mod common;

use std::{
    io::{ErrorKind, Read},
    net::TcpListener,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
    thread,
};

use ancillary::{
    EncodeError, SendFlags,
    batch::{RecvBatch, SendBatch},
    cmsg,
    message::{Credentials, ScmRights, ScmRightsSpace},
    set_option,
};
use common::{
    TIMEOUT,
    again::without_batch_calls,
    batches::{collect, wait},
    cause, no_leak,
    pairs::{V4, pair, stream, tcp},
    pipes::{contents, names, numbered},
};
use nix::{libc, poll::PollFlags, sys::socket::SockType};
use socket2::{Domain, Socket, Type};

type Rights = ScmRightsSpace<4>;

/// Bytes of a message that a socket takes in parts.
const LONG: usize = 100_000;

fn filled(k: usize) -> Vec<u8> {
    (0..LONG).map(|at| (at / 251 + at + k) as u8).collect()
}

/// Both ends, non-blocking, with little room.
fn narrow((a, b): (UnixStream, UnixStream)) -> (UnixStream, UnixStream) {
    set_option(a.as_fd(), libc::SOL_SOCKET, libc::SO_SNDBUF, 4096).unwrap();
    a.set_nonblocking(true).unwrap();
    b.set_nonblocking(true).unwrap();
    (a, b)
}

/// Whatever is there: data, and the names of the descriptors.
fn drain(batch: &mut RecvBatch<Rights>, socket: BorrowedFd<'_>, all: &mut Vec<u8>, found: &mut Vec<String>) {
    match batch.recv(socket) {
        Ok(messages) => {
            for mut message in messages {
                all.extend_from_slice(message.data());
                found.extend(contents(message.take_fds()));
            }
        }
        Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
    }
}

/// NB06
#[test]
fn a_message_that_a_stream_takes_in_parts_is_finished_before_the_next() {
    no_leak(|| {
        let (server, client) = tcp(V4);
        let tcp = (UnixStream::from(OwnedFd::from(client)), UnixStream::from(OwnedFd::from(server)));
        for ((a, b), rights) in [(narrow(stream()), true), (narrow(tcp), false)] {
            let (fds, data) = (numbered(8), (0..4).map(filled).collect::<Vec<_>>());
            let mut room = SendBatch::new(4);
            let mut batch = room.begin();
            for (k, data) in data.iter().enumerate() {
                let mut message = batch.message();
                // A border in the middle of what goes at once, and an empty slice.
                message.data(&data[..10]).data(b"").data(&data[10..50_000]).data(&data[50_000..]);
                message.control(ScmRights::new(&fds[2 * k..2 * k + 2])).queue().unwrap();
            }
            let (mut received, mut all, mut found) = (RecvBatch::<Rights>::new(4, 700), Vec::new(), Vec::new());
            let (mut blocked, mut sent) = (0, 0);
            for _ in 0..100_000 {
                if batch.sent() < 4 {
                    match if blocked % 2 == 0 { batch.send_all(&a) } else { batch.send(&a) } {
                        Ok(count) => sent += count,
                        Err(error) => {
                            assert_eq!(error.kind(), ErrorKind::WouldBlock);
                            blocked += 1;
                        }
                    }
                } else if all.len() == 4 * LONG {
                    break;
                }
                drain(&mut received, b.as_fd(), &mut all, &mut found);
            }
            assert!(all == data.concat() && blocked > 4 && sent <= 4);
            assert_eq!(found, if rights { names(0..8) } else { vec![] });
            assert_eq!(batch.send_all(&a).unwrap(), 0);
        }
    });
}

#[test]
fn a_connection_is_opened_by_the_first_message_alone() {
    no_leak(|| {
        for blocking in [true, false] {
            let listener = TcpListener::bind(V4).unwrap();
            let to = listener.local_addr().unwrap();
            let reader = thread::spawn(move || {
                let (mut all, peer) = (Vec::new(), listener.accept().unwrap().0);
                peer.set_read_timeout(TIMEOUT).unwrap();
                (&peer).read_to_end(&mut all).unwrap();
                all
            });
            let a = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            a.set_nonblocking(!blocking).unwrap();
            let long = filled(0).repeat(50);
            let mut room = SendBatch::new(5);
            let mut batch = room.begin();
            batch.message().data(b"left out").queue().unwrap();
            for data in [&long[..], b"", b"second", &long] {
                batch.message().to(to).data(data).queue().unwrap();
            }
            batch.flags(SendFlags::FASTOPEN).skip();
            for _ in 0..100_000 {
                match batch.send_all(&a) {
                    Ok(_) => break,
                    Err(error) => {
                        let number = error.raw_os_error().unwrap();
                        assert!(!blocking && [libc::EINPROGRESS, libc::EAGAIN].contains(&number), "{error}");
                        wait(&a, PollFlags::POLLOUT);
                    }
                }
            }
            assert_eq!(batch.sent(), 5);
            drop(a);
            assert!(reader.join().unwrap() == [&long[..], b"second", &long].concat());
        }
    });
}

#[test]
fn a_message_that_has_gone_in_part_can_be_given_up() {
    no_leak(|| {
        let (a, mut b) = narrow(stream());
        let (fds, data) = (numbered(2), filled(0));
        let mut room = SendBatch::new(3);
        let mut batch = room.begin();
        batch.message().data(b"before").control(ScmRights::new(&fds[..1])).queue().unwrap();
        batch.message().data(&data).control(ScmRights::new(&fds[1..])).queue().unwrap();
        batch.message().data(b"behind").queue().unwrap();
        // The first has gone; of the second a part.
        assert_eq!((batch.send(&a).unwrap(), batch.sent()), (1, 1));
        assert_eq!((batch.send(&a).unwrap_err().kind(), batch.sent()), (ErrorKind::WouldBlock, 1));
        assert!(batch.skip());
        let (mut received, mut all, mut found) = (RecvBatch::<Rights>::new(4, 700), Vec::new(), Vec::new());
        for _ in 0..200 {
            drain(&mut received, b.as_fd(), &mut all, &mut found);
        }
        assert_eq!((batch.send_all(&a).unwrap(), batch.sent()), (1, 3));
        drop(a);
        b.read_to_end(&mut all).unwrap();
        let middle = all.strip_prefix(b"before").unwrap().strip_suffix(b"behind").unwrap();
        assert!(!middle.is_empty() && middle.len() < LONG && data.starts_with(middle));
        assert_eq!(found, names(0..2));
    });
}

/// FD51
#[test]
fn control_messages_without_data_on_a_stream_are_the_error_of_their_message() {
    no_leak(|| {
        let (fds, names) = (numbered(6), [b"0", b"1", b"2", b"3"]);
        for rights in [true, false] {
            let expected = if rights {
                EncodeError::DescriptorsWithoutData { descriptors: 2 }
            } else {
                EncodeError::ControlWithoutData { found: cmsg::space(12).unwrap() }
            };
            // Which of the four are without data.
            for bad in 0..16u8 {
                let is_bad = |k: &usize| bad >> k & 1 == 1;
                let ((a, b), mut room) = (stream(), SendBatch::new(4));
                let mut batch = room.begin();
                for (k, name) in names.into_iter().enumerate() {
                    let mut message = batch.message();
                    message.data(if is_bad(&k) { b"" } else { name });
                    match (is_bad(&k), rights) {
                        (true, true) => message.control(ScmRights::new(&fds[4..])),
                        (true, false) => message.control(Credentials::own()),
                        _ => message.control(ScmRights::new(&fds[k..=k])),
                    };
                    message.queue().unwrap();
                }
                let mut refused = Vec::new();
                for _ in 0..=4 {
                    if let Err(error) = batch.send_all(&a) {
                        assert_eq!(cause(&error), Some(expected));
                        // It stays refused.
                        assert_eq!(cause(&batch.send(&a).unwrap_err()), Some(expected));
                        refused.push(batch.sent());
                        assert!(batch.skip());
                    }
                }
                assert_eq!((batch.sent(), refused), (4, (0..4).filter(is_bad).collect()));
                let good: Vec<_> = (0..4).filter(|k| !is_bad(k)).collect();
                let mut received = RecvBatch::<Rights>::new(4, 1);
                let found = collect(&mut received, &b, good.len(), |mut m| (m.data()[0], m.take_fds().count()));
                assert_eq!(found, good.iter().map(|k| (names[*k][0], 1)).collect::<Vec<_>>());
                drop(a);
                assert!(received.recv(&b).unwrap().all(|m| m.is_eof()));
            }
        }
        // Where messages have borders they go.
        let ((a, b), mut room) = (pair(SockType::Datagram), SendBatch::new(2));
        let mut batch = room.begin();
        batch.message().control(ScmRights::new(&fds[..2])).queue().unwrap();
        batch.message().data(b"").control(ScmRights::new(&fds[2..3])).queue().unwrap();
        assert_eq!(batch.send(&a).unwrap(), 2);
        let found = collect(&mut RecvBatch::<Rights>::new(4, 1), &b, 2, |mut m| (m.len(), contents(m.take_fds())));
        assert_eq!(found, [(0, common::pipes::names(0..2)), (0, common::pipes::names(2..3))]);
    });
}

#[test]
fn all_this_holds_where_the_system_has_no_such_calls() {
    without_batch_calls("all_this_holds_where_the_system_has_no_such_calls");
}
