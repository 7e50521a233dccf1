//! Descriptors in batches: the right ones with each message, none twice, none left open.

#![cfg(target_os = "linux")]

mod common;

use std::{
    io::ErrorKind,
    os::{fd::OwnedFd, unix::net::UnixStream},
    process,
};

use ancillary::{
    ControlList, EncodeError, MsgFlags, RecvFlags, SocketExt,
    batch::{RecvBatch, SendBatch},
    cmsg,
    message::{Credentials, ScmPidfd, ScmRights, ScmRightsSpace},
};
use common::{
    again::without_batch_calls,
    batches::collect,
    has_descriptors, no_leak, open_count,
    pairs::{KINDS, pair},
    pipes::{contents, is_cloexec, names, numbered},
    skipped,
};
use nix::sys::socket::SockType;

type Rights = ScmRightsSpace<4>;

/// How many descriptors go with each message, of pipes in order.
const COUNTS: [usize; 6] = [2, 1, 3, 1, 4, 2];

/// Sends a message for each of these, named by its number, with so many descriptors.
fn send(socket: &UnixStream, fds: &[OwnedFd], counts: &[usize]) {
    let mut room = SendBatch::new(counts.len());
    let mut batch = room.begin();
    let numbers: Vec<_> = (0..counts.len() as u8).map(|k| [k]).collect();
    let mut rest = fds;
    for (number, count) in numbers.iter().zip(counts) {
        let (own, others) = rest.split_at(*count);
        batch.message().data(number).control(ScmRights::new(own)).queue().unwrap();
        rest = others;
    }
    assert_eq!(batch.send_all(socket).unwrap(), counts.len());
}

/// The numbers of the pipes that go with each message.
fn expected(counts: &[usize]) -> Vec<Vec<String>> {
    let ends = counts.iter().scan(0, |end, count| {
        *end += count;
        Some(*end)
    });
    ends.zip(counts).map(|(end, count)| names(end - count..end)).collect()
}

#[test]
fn each_message_has_its_own_descriptors() {
    no_leak(|| {
        for kind in KINDS {
            let (a, b) = pair(kind);
            let mut batch = RecvBatch::<Rights>::new(4, 1);
            for inheritable in [false, true] {
                if inheritable {
                    batch.inheritable();
                }
                let fds = numbered(13);
                send(&a, &fds, &COUNTS);
                drop(fds); // what is under way needs them no longer
                let mut number = 0;
                let found = collect(&mut batch, &b, COUNTS.len(), |mut m| {
                    assert_eq!((m.data(), m.fds().count()), (&[number][..], COUNTS[usize::from(number)]));
                    assert!(m.fds().all(|fd| is_cloexec(fd) != inheritable));
                    number += 1;
                    contents(m.take_fds())
                });
                assert_eq!(found, expected(&COUNTS), "{kind:?}");
            }
        }
    });
}

/// FI05
#[expect(clippy::forget_non_drop, reason = "whatever is forgotten, nothing depends on its drop")]
#[test]
fn what_nobody_takes_is_closed_by_the_next_receive_and_at_the_end() {
    no_leak(|| {
        let (a, b) = pair(SockType::Datagram);
        let (mut batch, before) = (RecvBatch::<Rights>::new(6, 4), open_count());
        let all = COUNTS.iter().sum::<usize>();
        let open = || open_count() - before;
        // Each receive closes what the one before has left open.
        for round in 0..9 {
            send(&a, &numbered(13), &COUNTS);
            let mut messages = batch.recv(&b).unwrap();
            assert_eq!((messages.len(), open()), (6, all), "{round}");
            match round {
                0 => {}                                        // not looked at
                1 => drop(messages.next()),                    // half looked at
                2 => assert_eq!(messages.by_ref().count(), 6), // looked at
                3 => std::mem::forget(messages),               // forgotten
                4 => messages.for_each(std::mem::forget),      // each forgotten
                5 => {
                    // All of the second, one of the third.
                    let mut message = messages.nth(1).unwrap();
                    assert_eq!(contents(message.take_fds()), ["2"]);
                    let mut message = messages.next().unwrap();
                    assert_eq!(contents(message.take_fds().next()), ["3"]);
                    assert_eq!((message.fds().count(), open()), (2, all - 2));
                }
                6 => {
                    let mut all: Vec<_> = messages.collect();
                    // Each is its own, in any order.
                    assert_eq!(contents(all[5].take_fds()), ["11", "12"]);
                    assert_eq!(contents(all[0].take_fds().next()), ["0"]);
                    assert!(all[4].take_fds_exact::<3>().is_err());
                    let taken = all[4].take_fds_exact::<4>().unwrap();
                    assert_eq!(open(), 13 - 3);
                    drop(all);
                    assert_eq!(contents(taken), names(7..11));
                }
                7 => {
                    batch.clear();
                    assert_eq!((open(), batch.received().len()), (0, 0));
                }
                _ => {
                    let mut rest = batch.received();
                    assert_eq!(contents(rest.next().unwrap().take_fds()), ["0", "1"]);
                }
            }
        }
        assert_eq!(open(), 13 - 2);
        // A receive of nothing closes them too.
        batch.flags(RecvFlags::DONTWAIT);
        assert_eq!(batch.recv(&b).unwrap_err().kind(), ErrorKind::WouldBlock);
        assert_eq!(open(), 0);
        send(&a, &numbered(13), &COUNTS);
        batch.recv(&b).unwrap();
        drop(batch);
        assert_eq!(open(), 0);
        // Neither read: the kernel has them.
        send(&a, &numbered(13), &COUNTS);
    });
}

/// TR09
#[test]
fn descriptors_that_do_not_fit_are_not_left_open() {
    no_leak(|| {
        let (a, b) = pair(SockType::Datagram);
        let fds = numbered(13);
        for control in [0, 16, 19, 20, 24, 28, 32, 40] {
            let mut batch = RecvBatch::<()>::with_control(6, 1, control);
            // Rounded up to a multiple of eight.
            let room = control.next_multiple_of(8).saturating_sub(cmsg::len(0).unwrap()) / 4;
            let before = open_count();
            send(&a, &fds, &COUNTS);
            let found: Vec<_> = batch
                .recv(&b)
                .unwrap()
                .map(|mut m| (m.flags().contains(MsgFlags::CTRUNC), m.fds().count(), m.take_fds().count()))
                .collect();
            let expected = COUNTS.map(|count| (count > room, count.min(room), count.min(room)));
            assert_eq!(found, expected, "{control}");
            assert_eq!(open_count(), before);
        }
    });
}

/// FL03
#[test]
fn a_peek_installs_descriptors_that_are_closed() {
    no_leak(|| {
        let (a, b) = pair(SockType::Datagram);
        send(&a, &numbered(2), &[2]);
        let mut peek = RecvBatch::<Rights>::new(3, 1);
        peek.flags(RecvFlags::PEEK);
        for _ in 0..2 {
            let mut taken = Vec::new();
            taken.extend(peek.recv(&b).unwrap().flat_map(|mut m| m.take_fds().collect::<Vec<_>>()));
            assert_eq!(taken.len(), 2);
            assert_eq!(peek.recv(&b).unwrap().len(), 1);
        }
        drop(peek);
        let mut batch = RecvBatch::<Rights>::new(3, 1);
        assert_eq!(collect(&mut batch, &b, 1, |mut m| contents(m.take_fds())), [["0", "1"]]);
    });
}

#[test]
fn a_descriptor_of_the_process_comes_with_each_message() {
    no_leak(|| {
        for kind in KINDS {
            let (a, b) = pair(kind);
            if let Err(error) = b.enable::<ScmPidfd>() {
                return skipped(format_args!("SKIPPED a_descriptor_of_the_process_comes_with_each_message: {error}"));
            }
            b.enable::<Credentials>().unwrap();
            let own = process::id() as i32;
            let (mut batch, before) = (RecvBatch::<(Credentials, Rights)>::new(8, 1), open_count());
            send(&a, &numbered(6), &[2, 1, 3]);
            let found = collect(&mut batch, &b, 3, |mut m| {
                let pidfd = if m.data() == [1] { None } else { m.take_pidfd().unwrap() };
                assert_eq!(m.extract().0.unwrap().pid, own);
                (pidfd.is_some(), contents(m.take_fds().take(2)))
            });
            let names = |range| names(range);
            assert_eq!(found, [(true, names(0..2)), (false, names(2..3)), (true, names(3..5))]);
            assert_eq!(open_count(), before + 2);
            drop(a);
            if kind == SockType::Stream {
                let ends: Vec<_> = batch.recv(&b).unwrap().map(|m| (m.is_eof(), m.control_bytes().len())).collect();
                assert_eq!(ends, [(true, 0)]);
            }
            batch.clear();
            assert_eq!(open_count(), before - 1);
        }
    });
}

#[test]
fn as_many_descriptors_as_there_may_be_go_by_reference() {
    no_leak(|| {
        if !has_descriptors("as_many_descriptors_as_there_may_be_go_by_reference") {
            return;
        }
        let (a, b) = pair(SockType::Datagram);
        let fds = numbered(2);
        let many: Vec<_> = fds.iter().cycle().take(253).collect();
        let list = ControlList::new(ScmRights::new(&many)).unwrap();
        let mut room = SendBatch::with_room(3, 3, 24);
        let mut batch = room.begin();
        let refused = batch.message().data(b"x").control(ScmRights::new(&many)).queue();
        assert!(matches!(refused, Err(EncodeError::ControlSpace { available: 24, .. })), "{refused:?}");
        batch.message().data(b"x").control_from(&list).queue().unwrap();
        batch.message().data(b"y").control(ScmRights::new(&fds)).queue().unwrap();
        assert_eq!(batch.send_all(&a).unwrap(), 2);
        // Neither what is refused nor what is not sent leaves anything.
        batch.message().data(b"z").control_from(&list).queue().unwrap();
        let mut received = RecvBatch::<ScmRightsSpace<253>>::new(2, 1);
        let found = collect(&mut received, &b, 2, |mut m| m.take_fds().count());
        assert_eq!(found, [253, 2]);
    });
}

#[test]
fn all_this_holds_where_the_system_has_no_such_calls() {
    without_batch_calls("all_this_holds_where_the_system_has_no_such_calls");
}
